"""The CPU backend: Numba kernels with explicit SIMD, one file per stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from ..pipeline import makes_no_whole_maps
from ..plan import Plan

if TYPE_CHECKING:
    from .backend import CpuBackend


def probe() -> tuple[bool, str]:
    """Whether Numba can be loaded."""
    try:
        import numba
    except ImportError as error:
        return False, f"Numba cannot be imported ({error}); pip install numba"
    return True, f"Numba {numba.__version__}"


def supports(config: Config) -> tuple[bool, str]:
    """Whether the config's options are all implemented here."""
    return makes_no_whole_maps(config)


def describe() -> dict[str, str]:
    """What the kernels are compiled for, and where they are kept, by name."""
    from .jit import cache_directory
    from .simd import LANES, PERMUTES_BYTES, compiler_target

    triple, cpu, _ = compiler_target()
    directory = cache_directory()
    return {
        "target": triple,
        "cpu": cpu,
        "lanes": f"{LANES} float32 ({32 * LANES} bits)",
        "byte permutes": "yes" if PERMUTES_BYTES else "no",
        "cache directory": str(directory or "none: nothing can be written, so nothing is kept"),
    }


def make(plan: Plan, channel_order: str, threads: int) -> CpuBackend:
    """A backend for this plan. The first call compiles, or loads from the cache."""
    from .backend import CpuBackend

    return CpuBackend(plan, channel_order, threads)
