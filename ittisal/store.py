"""A store of compiled kernels of CPUs and GPUs: one file per object, named by what it depends on.

Nothing fails for want of a store: what cannot be read counts as missing, and what cannot be kept
is said once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from functools import cache
from pathlib import Path

from .files import write_whole
from .warning import warn_once

MAGIC = b"ittisal object 1\n"  # then a SHA-256, then the object
CAPACITY = 64 << 20  # bytes of all objects; the least recently used are removed first
DAY = 24 * 3600


# --- the folder ----------------------------------------------------------------------------------


def directory() -> Path | None:
    """Where compiled kernels are kept, or None where they cannot be."""
    return folder()[0]


def place() -> str:
    """The folder, or why there is none."""
    found, why = folder()
    return str(found or f"none: {why}")


@cache
def folder() -> tuple[Path | None, str]:
    """The folder, or None and why.

    In ITTISAL_CACHE_DIR, else in NUMBA_CACHE_DIR, else in the user's cache folder. One that others
    may write to is not used: what lies in it is executed.
    """
    try:
        found = cache_folder().expanduser() / "kernels"
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            state = found.stat()
            if state.st_uid not in (0, os.geteuid()):
                return None, f"{found} belongs to another user"
            if state.st_mode & 0o022:
                return None, f"other users may write to {found} (chmod go-w makes it usable)"
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        return None, str(error)
    return found, ""


def cache_folder() -> Path:
    """The user's folder for what can be had again."""
    if chosen := os.environ.get("ITTISAL_CACHE_DIR"):
        return Path(chosen)
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / "ittisal"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "ittisal" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ittisal"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ittisal"


_unkept: list[str] = []  # why objects could not be kept


def warn_if_unkept() -> None:
    """Warn, the first time only, if objects could not be kept."""
    if _unkept:
        warn_once(
            "store",
            f"compiled kernels cannot be kept, so every process compiles them anew: {_unkept[0]}; "
            "set ITTISAL_CACHE_DIR to a folder of your own on a disk that is not full",
        )


# --- objects -------------------------------------------------------------------------------------


def path(name: str, key: str) -> Path | None:
    """The file of an object, whether it is there or not; None if there is no store."""
    folder = directory()
    return None if folder is None else folder / f"{name}-{key}.o"


def _digest(key: str, data: bytes) -> bytes:
    """Of the object and of its key, so that no object passes for another."""
    return hashlib.sha256(key.encode() + data).digest()


def read(name: str, key: str) -> bytes | None:
    """An object; None if there is none, or a damaged one, so that nothing is loaded unchecked."""
    file = path(name, key)
    if file is None:
        return None
    try:
        content = file.read_bytes()
    except OSError:
        return None
    data = content[len(MAGIC) + 32 :]
    if content[: len(MAGIC) + 32] != MAGIC + _digest(key, data):
        return None
    with contextlib.suppress(OSError):  # a store that is only read
        if time.time() - file.stat().st_mtime > DAY:
            os.utime(file)
    return data


def write(name: str, key: str, data: bytes) -> None:
    """Keep an object that was compiled, if it can be kept."""
    file = path(name, key)
    try:
        if file is None:
            raise OSError(folder()[1])
        write_whole(file, MAGIC + _digest(key, data) + data)
    except OSError as error:
        _unkept.append(str(error))


def tidy() -> None:
    """Remove the least recently used objects beyond the capacity, and what dead processes left."""
    folder = directory()
    if folder is None:
        return
    found = []
    for file in folder.glob("[!.]*.o"):
        with contextlib.suppress(OSError):
            state = file.stat()
            found.append((state.st_mtime, state.st_size, file))
    excess = sum(size for _, size, _ in found) - CAPACITY
    for _, size, file in sorted(found):
        if excess <= 0:
            break
        with contextlib.suppress(OSError):
            file.unlink()
            excess -= size
    for file in folder.glob(".*.tmp*"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > DAY:
                file.unlink()
