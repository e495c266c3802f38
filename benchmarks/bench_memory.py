"""How much memory: buffers, the process's growth for them, its peak, and whether frames leak."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from . import fresh
from .settings import one_size, settings

FRAMES = 20 if settings.quick else 1000


def _need_proc() -> None:
    if not Path("/proc/self/statm").exists():
        raise NotImplementedError("resident memory is read from /proc")


class Model:
    """MiB of one model: the buffers it reports, and what the process grew by to run it."""

    param_names = ("size", "threads")
    params = (settings.sizes, settings.threads)

    def setup(self, size: str, threads: int) -> None:
        """Measure both in one fresh process."""
        _need_proc()
        self.memory = fresh.call("model_memory", size, threads)

    def track_buffers(self, *params: object) -> float:
        """`Saliency.nbytes`."""
        return self.memory["buffers"]

    def track_growth(self, *params: object) -> float:
        """Resident memory after three frames, less that before the model was made."""
        return self.memory["growth"]

    track_buffers.unit = track_growth.unit = "MiB"


class Process:
    """MiB of a fresh process at its largest, with one frame of noise and one thread."""

    param_names = ("size",)
    params = (settings.sizes,)

    def setup(self, size: str) -> None:
        """Fill the store of kernels, so that only `compiling` compiles."""
        fresh.call("model_memory", "64x64", 1)

    def peakmem_numpy_and_frame(self, size: str) -> None:
        """What any program has that holds a frame."""
        fresh.noise(size)

    def peakmem_cached(self, size: str) -> None:
        """One map made, kernels from the store."""
        fresh.make_model(size)(fresh.noise(size))

    def peakmem_compiling(self, size: str) -> None:
        """One map made, kernels compiled first."""
        with tempfile.TemporaryDirectory() as folder:
            os.environ["ITTISAL_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"] = folder
            fresh.make_model(size)(fresh.noise(size))


class Frames:
    """KiB by which a process grows over many frames, the output array given; 0 is no leak."""

    param_names = ("size",)
    params = (one_size("640x480"),)

    def setup(self, size: str) -> None:
        """Run the frames in a fresh process."""
        _need_proc()
        self.memory = fresh.call("frames_memory", size, FRAMES, 20 * settings.seconds)

    def track_growth(self, size: str) -> float:
        """Resident memory after the frames, less that after the first fifty."""
        return self.memory["growth"]

    def track_frames(self, size: str) -> float:
        """How many frames ran: 1000, or as many as there was time for."""
        return self.memory["frames"]

    track_growth.unit = "KiB"
