"""Benchmarks of ittisal: `python -m benchmarks`; see README.md here."""
