"""Kernels that were compiled before: one shared library per target, in a wheel or in a folder.

Nothing that compiles is imported: they are loaded by the operating system. Each library has the
kernels' own symbols, which depend on the kernels' sources, so one of another version lacks what it
is asked for. `supported.c` says how well it suits this CPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

VARIABLE = "ITTISAL_KERNELS"


class Library(NamedTuple):
    """One target's kernels."""

    target: str
    path: Path
    handle: ctypes.CDLL

    @property
    def kernels(self) -> int:
        """How many there are."""
        return ctypes.c_int.in_dll(self.handle, "ittisal_kernels").value

    def address(self, symbol: str) -> int | None:
        """Where the kernel of this symbol is, if it is among them."""
        try:
            return ctypes.cast(getattr(self.handle, symbol), ctypes.c_void_p).value
        except AttributeError:
            return None


def suffix() -> str:
    """How the names of this system's shared libraries end."""
    return {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def folder() -> Path:
    """Where the libraries are: ITTISAL_KERNELS, or the package's own folder."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else Path(__file__).with_name("prebuilt")


@cache
def libraries() -> dict[str, Library]:
    """Those that this CPU runs by their targets, the one that suits it best first."""
    found = []
    for path in sorted(folder().glob(f"*{suffix()}")):
        with contextlib.suppress(OSError, AttributeError):  # of another system; not of ours
            handle = ctypes.CDLL(str(path))
            found.append((handle.ittisal_supported(), Library(path.stem, path, handle)))
    found.sort(key=lambda ranked: -ranked[0])
    return {library.target: library for rank, library in found if rank > 0}
