"""The kernels' machine code: from this process, from the store, or compiled now.

Loading takes llvmlite alone; Numba is not imported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

import llvmlite.binding as llvm

from ..store import warn_if_unkept
from . import store
from .kernel import Kernel
from .target import machine, target

_addresses: dict[Kernel, int] = {}
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # no fork while LLVM works: its lock would never open there
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_lock._at_fork_reinit,  # type: ignore[attr-defined]
    )
_engine: Any = None


def addresses(kernels: Iterable[Kernel]) -> dict[Kernel, int]:
    """Addresses of compiled kernels: from this process, from the store, or compiled now."""
    wanted = list(dict.fromkeys(kernels))
    with _lock:
        new = [kernel for kernel in wanted if kernel not in _addresses]
        objects = {kernel: data for kernel in new if (data := store.read(kernel)) is not None}
        missing = [kernel for kernel in new if kernel not in objects]
        if missing:
            from .builder import build

            objects |= build(missing)
        if objects:
            _load(objects)
    warn_if_unkept()
    return {kernel: _addresses[kernel] for kernel in wanted}


def _load(objects: dict[Kernel, bytes]) -> None:
    global _engine
    if _engine is None:
        _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine(target()))
    for data in objects.values():
        _engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    _engine.finalize_object()
    for kernel in objects:
        _addresses[kernel] = _engine.get_function_address(store.symbol(kernel))
