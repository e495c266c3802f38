"""The CUDA backend: kernels of `kernels/*.cu`, compiled and launched through CuPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..config import Config
from ..features import Model
from ..pipeline import PROGRAM_STAGES, makes_no_whole_maps
from ..plan import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from .backend import CudaBackend
    from .compiler import Job


def probe() -> tuple[bool, str]:
    """Whether there is a GPU that can be used, and what is missing if not."""
    from .installation import probe

    return probe()


def supports(config: Config) -> tuple[bool, str]:
    """Whether the config's options are all implemented here."""
    if config.model is not Model.ITTI:
        return True, "the whole program"
    return makes_no_whole_maps(config)


def describe() -> dict[str, str]:
    """What the kernels run on, and where they and their machine code are kept, by name."""
    from .. import store
    from . import compiler, installation, prebuilt, sources

    brought = ", ".join(f"sm_{each}" for each in prebuilt.capabilities())

    return {
        **installation.describe(),
        "kernels": str(sources.directory()),
        "prebuilt kernels": f"for {brought}" if brought else "none",
        "cache directory": store.place(),
        "compiled": f"{compiler.count()} in the cache directory",
    }


def make(plan: Plan, channel_order: str, threads: int) -> CudaBackend:
    """A backend for this plan on the current GPU.

    Raises
    ------
    DeviceError, MemoryError
        CUDA, the compiler or the GPU fails; says why and what to do.
    """
    from .backend import CudaBackend
    from .installation import explained
    from .program import ProgramBackend

    backend = ProgramBackend if plan.config.model in PROGRAM_STAGES else CudaBackend
    with explained("the GPU cannot be used"):
        return backend(plan, channel_order)


def jobs(
    configs: Iterable[Config],
    formats: Sequence[tuple[str, int]] = (("uint8", 3),),
    orders: Sequence[str] = ("rgb",),
    architectures: Sequence[str] | None = None,
) -> list[Job]:
    """What to compile in advance, with no GPU there, each job once. Nothing is compiled here.

    Parameters
    ----------
    configs
        Of the models.
    formats
        Of their frames: (dtype, channels), as in ("float32", 1).
    orders
        Of channels, "rgb" or "bgr".
    architectures
        Such as "sm_90", or "compute_120" for PTX; by default machine code for all GPUs that are
        served, as far as NVRTC knows them, and PTX of the newest for those to come.

    Returns
    -------
    list of Job
        Small, and can be pickled: `build(job)` may run in any process.
    """
    from .programs import jobs

    return jobs(configs, formats, orders, architectures)


def build(job: Job) -> bytes:
    """Machine code or PTX of one of `jobs`: from the store or the package, or compiled now.

    Raises
    ------
    BackendError
        It does not compile, or must not, or NVRTC cannot be loaded.
    """
    from .compiler import build

    return build(job)


def prebuild(jobs: Iterable[Job], folder: Path) -> list[Path]:
    """Compile all jobs into an archive for each architecture; not from the store, nor into it.

    Raises
    ------
    BackendError
        One does not compile, NVRTC cannot be loaded, or an archive cannot be written.
    """
    from .archive import prebuild

    return prebuild(jobs, folder)
