"""The CPU backend: Numba kernels with explicit SIMD, one file per stage."""

from __future__ import annotations


def probe() -> tuple[bool, str]:
    """Whether Numba can be had."""
    return False, "being written"


def supports(config) -> tuple[bool, str]:
    """Whether the config's options are all implemented here."""
    return True, "every option"
