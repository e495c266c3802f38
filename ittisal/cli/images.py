"""Names of `common`, for modules that still import them from here."""

from .common import ImageError, probe_directory, require_opencv, write

__all__ = ["ImageError", "probe_directory", "require_opencv", "write"]
