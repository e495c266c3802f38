"""The kernels' machine code: from this process, from the store, or compiled now.

Loading takes llvmlite alone; Numba is not imported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from . import store
from .target import machine, target


class Kernel(NamedTuple):
    """A kernel by name, with the facts that it is compiled for."""

    module: str  # "opponency": ittisal/cpu/kernels/opponency.py; with a dot, the full name
    function: str
    facts: tuple[tuple[str, Any], ...] = ()  # sorted names with plain values
    scalar: bool = False  # written for Numba, rather than for the SIMD layer; it has no facts

    @property
    def full_module(self) -> str:
        """Dotted name of the module."""
        return self.module if "." in self.module else f"{__package__}.kernels.{self.module}"


class Facts:
    """Facts as attributes."""

    def __init__(self, pairs: tuple[tuple[str, Any], ...]) -> None:
        self._pairs = pairs
        self.__dict__.update(pairs)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the kernel is compiled for no fact {name!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"Facts({self._pairs!r})"


compiled: list[Kernel] = []  # for this process, rather than loaded from the store
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
    store.warn_once()
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
