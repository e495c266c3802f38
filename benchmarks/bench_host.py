"""The CUDA backend's own Python per call: what the GPU's and CuPy's time comes on top of."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np

from . import stub_device
from .settings import settings

SHAPE = (64, 64)  # small, so that copies of pixels are quick
BATCH = 8
CALLS = 20  # of a round
NEW = 64  # buffers: more than there are graphs of


class HostTime:
    """Python of a call with `out` given, where CuPy and the GPU do nothing: microseconds, minimum
    and median (p50) of rounds.

    Frames on the GPU lie in one buffer, or in many in turn, for which no graph is recorded. Frames
    from the host are copied; what their pixels' copy takes by itself is left out.
    """

    param_names = ("preset",)
    params = (("itti1998", "video"),)

    def track_us(self, preset: str) -> dict[str, float]:
        """Every way in."""
        with stub_device.model(SHAPE, preset) as model:
            frames = np.zeros((BATCH, *SHAPE, 3), np.uint8)
            maps = np.empty((BATCH, *model.map_shape), np.float32)
            gpu_frames, gpu_maps = (stub_device.Array(x.shape, x.dtype) for x in (frames, maps))
            frame, out = frames[0], maps[0]
            gpu_frame, gpu_out = (stub_device.Array(x.shape, x.dtype) for x in (frame, out))
            many = itertools.cycle([stub_device.Array(frame.shape, np.uint8) for _ in range(NEW)])
            copy = np.empty_like(frame)
            ways = {
                "pixels": lambda: np.copyto(copy, frame),
                "device call": lambda: model(gpu_frame, out=gpu_out),
                "other buffers": lambda: model(next(many), out=gpu_out),
                f"batch of {BATCH}": lambda: model(gpu_frames, out=gpu_maps),
                "host frame": lambda: model(frame, out=out),
                f"host batch of {BATCH}": lambda: model(frames, out=maps),
            }
            found = {}
            pixels = microseconds(ways.pop("pixels"))
            for name, call in ways.items():
                copies = BATCH * name.startswith("host batch") or name.startswith("host")
                for kind, value in microseconds(call).items():
                    found[name + kind] = value - copies * pixels[kind]
            return found

    track_us.unit = "us"  # type: ignore[attr-defined]


def microseconds(call: Callable[[], object]) -> dict[str, float]:
    """Minimum and median of rounds of some calls each."""
    taken, end = [], time.perf_counter() + settings.seconds
    for _ in range(5):
        call()
    while time.perf_counter() < end or len(taken) < 5:
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        taken.append((time.perf_counter() - start) * 1e6 / CALLS)
    return {"": min(taken), " p50": statistics.median(taken)}
