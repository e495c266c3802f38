"""The CUDA backend: kernels of `kernels/*.cu`, compiled and launched through CuPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from ..pipeline import makes_no_whole_maps
from ..plan import Plan

if TYPE_CHECKING:
    from .backend import CudaBackend


def probe() -> tuple[bool, str]:
    """Whether there is a GPU that can be used, and what is missing if not."""
    from .device import probe

    return probe()


def supports(config: Config) -> tuple[bool, str]:
    """Whether the config's options are all implemented here."""
    return makes_no_whole_maps(config)


def describe() -> dict[str, str]:
    """What the kernels would run on, and where they and their binaries are kept, by name."""
    from . import device, sources

    return {**device.describe(), "kernels": str(sources.directory())}


def make(plan: Plan, channel_order: str, threads: int) -> CudaBackend:
    """A backend for this plan on the current GPU. Compiles, or loads from CuPy's cache."""
    from .backend import CudaBackend

    return CudaBackend(plan, channel_order)
