"""How the kernels are compiled: the options, once, and a cache that cannot go stale."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numba.core.config

from .._version import __version__

settings: Any = numba.core.config  # its attributes are made at run time

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "boundscheck": False,
    # The safe part of fast-math: no reassociation, NaN and infinity keep their meaning.
    "fastmath": {"contract", "arcp", "nsz"},
}

NO_DOOR: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@lru_cache(maxsize=1)
def cache_directory() -> Path | None:
    """Where compiled kernels are kept, or None where nothing can be written.

    ITTISAL_CACHE_DIR, else NUMBA_CACHE_DIR, else the user's cache folder; below it a folder per
    version, source text and ITTISAL_LANES, since Numba does not notice a change in callees.
    """
    digest = hashlib.sha256(os.environ.get("ITTISAL_LANES", "").encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"{__version__}-{digest.hexdigest()[:12]}"
    try:
        base = os.environ.get("ITTISAL_CACHE_DIR") or settings.CACHE_DIR or _user_cache()
        directory = Path(base).expanduser() / name
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / f".{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return directory


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "ittisal" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ittisal"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ittisal"


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only other compiled functions call, without a door for Python."""
    return numba.njit(**OPTIONS, **NO_DOOR)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Put a few lines into every function that calls them: quicker to compile than a call."""
    return numba.njit(inline="always", **OPTIONS, **NO_DOOR)(function)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, cached on disk with all that it calls."""
    dispatcher = numba.njit(**OPTIONS)(function)
    directory = cache_directory()
    if directory is not None:
        before = settings.CACHE_DIR
        settings.CACHE_DIR = str(directory)
        try:
            dispatcher.enable_caching()
        finally:
            settings.CACHE_DIR = before
    return dispatcher
