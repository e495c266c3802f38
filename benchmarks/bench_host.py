"""The CUDA backend's own Python per call: what comes on top of CuPy's and the GPU's time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np

from . import stub_device
from .settings import settings

SHAPE = (64, 64)  # small, so that copies of pixels are quick
BATCH = 8
CALLS = 20  # of a round
MANY = 64  # buffers: more than there are graphs of


class HostTime:
    """Microseconds of Python per call, `out` given, where CuPy and the GPU do nothing (none is
    needed): minimum and median (p50) of rounds.

    Frames on the device lie in one buffer, or in 64 that take turns, too many for graphs. Of frames
    from the host the copy of the pixels, measured by itself, is left out.
    """

    param_names = ("preset",)
    params = (("itti1998", "video"),)

    def track_us(self, preset: str) -> dict[str, float]:
        """Every way in."""
        frames = np.zeros((BATCH, *SHAPE, 3), np.uint8)
        pixels = microseconds(lambda: np.copyto(frames[0], frames[1]))
        with stub_device.model(SHAPE, preset) as model:
            maps = np.empty((BATCH, *model.map_shape), np.float32)
            there, maps_there, out = map(stub_device.like, (frames, maps, maps[0]))
            buffers = itertools.cycle([stub_device.like(frames[0]) for _ in range(MANY)])
            frame = next(buffers)
            found = {
                "device frame": microseconds(lambda: model(frame, out=out)),
                f"of {MANY} buffers": microseconds(lambda: model(next(buffers), out=out)),
                f"{BATCH} on device": microseconds(lambda: model(there, out=maps_there)),
                "host frame": microseconds(lambda: model(frames[0], out=maps[0])) - pixels,
                f"{BATCH} from host": microseconds(lambda: model(frames, out=maps))
                - BATCH * pixels,
            }
        figures = {name: least for name, (least, _) in found.items()}
        return figures | {f"{name} p50": median for name, (_, median) in found.items()}

    track_us.unit = "us"  # type: ignore[attr-defined]


def microseconds(call: Callable[[], object]) -> np.ndarray:
    """Of a call: minimum and median of rounds of some each."""
    for _ in range(CALLS):
        call()
    taken, end = [], time.perf_counter() + settings.seconds / 2
    while time.perf_counter() < end or not taken:
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        taken.append((time.perf_counter() - start) * 1e6 / CALLS)
    return np.array([min(taken), np.median(taken)])
