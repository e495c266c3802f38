"""The kernels' machine code: prebuilt, from the store, or compiled now.

What is prebuilt needs neither Numba nor llvmlite; what is in the store needs llvmlite alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

from ..pipeline import BackendError
from ..store import warn_if_unkept
from . import prebuilt, store
from .kernel import Kernel
from .target import machine, name, target

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
    """Addresses of compiled kernels.

    Raises
    ------
    BackendError
        One has to be compiled, and cannot be, or must not.
    """
    wanted = list(dict.fromkeys(kernels))
    with _lock:
        new = [kernel for kernel in wanted if kernel not in _addresses]
        _addresses.update((kernel, at) for kernel in new if (at := _prebuilt(kernel)))
        missing = [kernel for kernel in new if kernel not in _addresses]
        if missing:
            _load(objects(missing))
    warn_if_unkept()
    return {kernel: _addresses[kernel] for kernel in wanted}


def objects(kernels: Iterable[Kernel]) -> dict[Kernel, bytes]:
    """Objects of kernels for this process's target: from the store, or compiled now.

    Raises
    ------
    BackendError
        One has to be compiled, and cannot be, or must not.
    """
    wanted = list(dict.fromkeys(kernels))
    try:
        found = {kernel: data for kernel in wanted if (data := store.read(kernel)) is not None}
        missing = [kernel for kernel in wanted if kernel not in found]
        if not missing:
            return found
        if os.environ.get("ITTISAL_COMPILE") == "never":
            raise BackendError(
                f"{_named(missing)} would have to be compiled for {name()}, and "
                "ITTISAL_COMPILE=never forbids it; unset it, or prebuild them by `ittisal build`"
            )
        from .builder import build
    except ImportError as error:
        raise BackendError(
            f"{_named(wanted)} would have to be compiled, and {error.name} is not installed; "
            "pip install numba, or prebuild them by `ittisal build`"
        ) from error
    return found | build(missing)


def origin(kernel: Kernel) -> str:
    """Where the kernel's machine code comes from: "prebuilt", "stored" or "to be compiled"."""
    if _prebuilt(kernel):
        return "prebuilt"
    try:
        file = store.path(kernel)
    except ImportError:  # no llvmlite, which what is stored needs
        file = None
    return "stored" if file is not None and file.exists() else "to be compiled"


def _named(kernels: list[Kernel]) -> str:
    """The first of them, and how many more."""
    more = f" and {len(kernels) - 1} more" if len(kernels) > 1 else ""
    return f"kernel {kernels[0].module}.{kernels[0].function}{more}"


def _prebuilt(kernel: Kernel) -> int | None:
    """The address of a kernel that is prebuilt for this process's target."""
    library = prebuilt.libraries().get(name())
    return None if library is None else library.address(store.symbol(kernel))


def _load(objects: dict[Kernel, bytes]) -> None:
    global _engine
    import llvmlite.binding as llvm

    if _engine is None:
        _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine(target()))
    for data in objects.values():
        _engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    _engine.finalize_object()
    for kernel in objects:
        _addresses[kernel] = _engine.get_function_address(store.symbol(kernel))
