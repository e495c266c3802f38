"""The CPU backend: kernels with explicit SIMD, one file per stage, compiled by LLVM and Numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from ..features import Model
from ..pipeline import BackendError, makes_no_whole_maps
from ..plan import Plan
from ..toolbox import toolbox_plan

if TYPE_CHECKING:
    from .backend import KernelBackend


def probe() -> tuple[bool, str]:
    """Whether Numba is there. It is not imported: kernels that are compiled already need none.

    Raises
    ------
    BackendError
        The environment names a target that there is none of.
    """
    from importlib import util

    missing = [name for name in ("numba", "llvmlite") if util.find_spec(name) is None]
    if missing:
        return False, f"{missing[0]} is not installed; pip install numba"
    try:
        from . import target  # noqa: F401
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
    from .target import target

    found = target()
    return {
        "numba": metadata.version("numba"),
        "target": found.triple,
        "cpu": found.cpu,
        "lanes": f"{found.lanes} float32 ({32 * found.lanes} bits)",
        "byte permutes": "yes" if found.permutes_bytes else "no",
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
