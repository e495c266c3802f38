"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name beside `path`, then rename it.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    beside = temporary(path.parent)
    try:
        with open(beside, "xb") as file:
            file.write(data)
        os.replace(beside, path)
    except BaseException:  # an interrupt too
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def temporary(directory: Path) -> Path:
    """A new name in a directory that a search for images leaves out."""
    # Not tempfile: its files are private to the user, ours have the usual permissions.
    return directory / f".ittisal-{secrets.token_hex(6)}.tmp"
