"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name beside `path`, then rename it.

    What is there and no file, such as /dev/null or a pipe, is written to, not put in place of.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    if is_special(path):
        with open(path, "wb") as sink:
            sink.write(data)
        return
    beside = temporary(path.parent)
    try:
        with open(beside, "xb") as file:
            file.write(data)
        os.replace(beside, path)
    except BaseException:  # an interrupt too
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def is_special(path: Path) -> bool:
    """Whether this is a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def temporary(directory: Path) -> Path:
    """A new name in a directory that a search for images leaves out."""
    # Not tempfile: its files are private to the user, ours have the default permissions.
    return directory / f".ittisal-{secrets.token_hex(6)}.tmp"
