"""What can go wrong on the command line, and how it is said in one line."""

from __future__ import annotations

import os

from ..imagefiles import ImageError

__all__ = ["ImageError", "UsageError", "debugging", "reason"]


class UsageError(Exception):
    """The command cannot start as it was given: exit status 2."""


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    return os.environ.get("ITTISAL_DEBUG", "") not in ("", "0")


def reason(error: BaseException) -> str:
    """The error on one line, fit for a person to read after the name of what failed.

    Examples
    --------
    >>> reason(FileNotFoundError(2, "No such file or directory", "a.png"))
    'a.png: No such file or directory'
    """
    if isinstance(error, MemoryError):
        return " ".join(str(error).split()) or "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fspath(error.filename)}: " if error.filename is not None else ""
        return where + error.strerror
    text = " ".join(str(error).split())
    # The package raises these with messages meant for people; anything else is a fault.
    if isinstance(error, (UsageError, ImageError, ValueError, TypeError)):
        return text
    from ..pipeline import BackendError
    from ..video import VideoError

    if isinstance(error, (BackendError, VideoError)):
        return text
    return (
        f"unexpected {type(error).__name__}: {text}. This is a fault in ittisal: please report "
        "it with the output of `ittisal info` and of this command under ITTISAL_DEBUG=1"
    )
