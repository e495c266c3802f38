"""Names of `common`, for modules that still import them from here."""

from .common import Progress

__all__ = ["Progress"]
