"""The CPU backend: kernels with explicit SIMD, one file per stage, compiled by LLVM and Numba."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..config import Config
from ..features import Model
from ..pipeline import BackendError, makes_no_whole_maps
from ..plan import Plan
from ..toolbox import toolbox_plan

if TYPE_CHECKING:
    from .backend import KernelBackend


def probe() -> tuple[bool, str]:
    """Whether kernels are prebuilt for this CPU, or can be compiled. Numba is not imported.

    Raises
    ------
    BackendError
        The environment names a target that there is none of, or that this CPU does not run.
    """
    from importlib import util

    from . import prebuilt, target

    try:
        name = target.name()
        if name in prebuilt.libraries():
            return True, f"kernels prebuilt for {name}"
        missing = [name for name in ("numba", "llvmlite") if util.find_spec(name) is None]
        if missing:
            return False, f"{missing[0]} is not installed; pip install numba"
        target.target()
        if not target.runs_here():
            raise BackendError(
                f"this CPU does not run what is compiled for ITTISAL_TARGET={name}; unset it"
            )
    except ValueError as error:
        raise BackendError(str(error)) from error
    except (ImportError, OSError) as error:
        return False, f"llvmlite cannot be imported: {error}"
    return True, "kernels compiled for this CPU"


def supports(config: Config) -> tuple[bool, str]:
    """Whether the config's options are all implemented here."""
    return makes_no_whole_maps(config)


def describe() -> dict[str, str]:
    """What the kernels are compiled for, and where they are kept, by name."""
    from importlib import metadata

    from .. import store
    from . import prebuilt, target

    found = target.target()
    versions = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        versions["numba"] = metadata.version("numba")
    library = prebuilt.libraries().get(target.name())
    return {
        **versions,
        "target": f"{found.triple} ({target.name()})",
        "cpu": found.cpu,
        "lanes": f"{found.lanes} float32 ({32 * found.lanes} bits)",
        "byte permutes": "yes" if found.permutes_bytes else "no",
        "prebuilt kernels": f"{library.kernels} in {library.path}" if library else "none",
        "cache directory": store.place(),
    }


def make(plan: Plan, channel_order: str, threads: int) -> KernelBackend:
    """A backend for this plan. Kernels are compiled or loaded with a format's first frame."""
    if plan.config.model is Model.TOOLBOX:
        plan = toolbox_plan(plan)
    if plan.config.model is not Model.ITTI:
        from .program import ProgramBackend

        return ProgramBackend(plan, channel_order, threads)
    from .backend import CpuBackend

    return CpuBackend(plan, channel_order, threads)
