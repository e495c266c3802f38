"""Names of `common`, for modules that still import them from here."""

from .common import ImageError, UsageError, debugging, reason

__all__ = ["ImageError", "UsageError", "debugging", "reason"]
