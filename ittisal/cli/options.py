"""Names of `common`, for modules that still import them from here."""

from .common import add_model_options, check_backend, number, read_config, size

__all__ = ["add_model_options", "check_backend", "count", "read_config", "size"]
count = number(1, 256, whole=True)
