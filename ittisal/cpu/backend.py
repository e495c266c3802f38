"""The CPU backend: a plan's buffers, and one call into compiled code per frame."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np
from numba import types

from .. import trace
from ..config import Channel, Config, HueReference, Normalisation, Opponency
from ..frames import check_values
from ..pipeline import STAGES, OneByOne
from ..plan import HUE_TOLERANCE, Plan, linear_light, slot
from . import layout, normalise, run
from .layout import make_layout
from .run import run_frame
from .simd import Static
from .team import Team
from .variant import variants

OPERATORS = {
    Normalisation.MAXNORM: normalise.MAXNORM,
    Normalisation.ITERATIVE: normalise.ITERATIVE,
    Normalisation.NONE: normalise.NONE,
}
INTEGERS, TABLE = types.int64[::1], types.int64[:, ::1]
BUFFERS = types.Tuple((types.float32[::1], TABLE, TABLE, INTEGERS, INTEGERS))


@lru_cache(maxsize=64)
def compiled(config: Config, order: str, dtype: str, channels: int) -> tuple[Any, tuple[Any, ...]]:
    """The frame function for what has to be known when compiling, and its last arguments."""
    variant, own = variants(config, order, channels)
    floats = dtype == "float32"
    walther = config.opponency is Opponency.WALTHER and variant.planes == 3
    flags = (
        True if dtype == "uint8" else None,
        True if floats or walther else None,
        floats,
        walther,
        config.iterations if config.normalisation is Normalisation.ITERATIVE else None,
    )
    pixels = types.Array(getattr(types, dtype), 1, "C")
    signature = (
        *[types.int64] * 3,  # member, epoch, threads
        INTEGERS,  # words
        pixels,  # frame
        pixels,  # spare
        types.float32[:, ::1],  # out
        BUFFERS,
        types.float64[::1],  # numbers
        INTEGERS,  # offsets
        types.float64[:, ::1],  # partials
        types.UniTuple(types.int64, 2),  # stages
        Static(variant),
        types.none if own is None else Static(own),
        *(types.none if flag is None else types.boolean for flag in flags[:-1]),
        types.none if flags[-1] is None else types.int64,
    )
    run_frame.compile(signature)
    return run_frame.overloads[signature].entry_point, (None, None, *flags)


class CpuBackend(OneByOne):
    """Numba kernels over one arena. See `ittisal.pipeline.Backend`."""

    name = "cpu"

    def __init__(self, plan: Plan, channel_order: str, threads: int) -> None:
        config = plan.config
        self.plan, self.order, self.threads = plan, channel_order, threads
        self.layout = make_layout(plan, threads)
        self.offsets = np.zeros(run.OFFSETS * threads, np.int64)
        self.partials = np.zeros((run.SCAN_TASKS, 3))
        self.team = Team(threads)
        settings = self.layout.settings
        settings[layout.TOP] = plan.top_level
        settings[layout.PAIR_MASK] = sum(1 << slot(*pair) for pair in plan.pairs)
        settings[layout.FIXED_HUE] = config.hue_reference is HueReference.FIXED
        settings[layout.OPERATOR] = OPERATORS[config.normalisation]
        settings[layout.NORM_OPPONENTS] = config.normalise_opponents
        settings[layout.NORM_SALIENCY] = config.normalise_saliency
        self.kinds: dict[tuple[np.dtype, int], Any] = {}
        self.staging: dict[tuple[np.dtype, int], np.ndarray] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of arena, tables, scratch and copies of frames that are not read in place."""
        scratch = self.offsets, self.partials, self.team.words, *self.staging.values()
        spare = (kind[2] for kind in self.kinds.values())
        return self.layout.nbytes + sum(a.nbytes for a in (*scratch, *spare))

    def run(self, frame: np.ndarray, out: np.ndarray) -> None:
        """The raw map into `out`."""
        self.stages(self.staged(frame), out, 0, len(STAGES) - 1)

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage, each run by itself; `staging` if the frame has to be copied."""
        out = np.empty(self.plan.map_shape, np.float32)
        self.run(frame, out)
        start = time.perf_counter()
        ready = self.staged(frame)
        spent = {"staging": (time.perf_counter() - start) * 1e3} if ready is not frame else {}
        for index, name in enumerate(STAGES):
            start = time.perf_counter()
            self.stages(ready, out, index, index)
            spent[name] = (time.perf_counter() - start) * 1e3
        spent["total"] = sum(spent.values())
        return spent

    def trace(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Levels 2 up, maps at level 4, sums and the map; by the reference's names."""
        out = np.empty(self.plan.map_shape, np.float32)
        frame = self.staged(frame)
        self.stages(frame, out, 0, 3)
        kept = {name: view.copy() for name, view in self.views(frame.ndim).items()}
        self.stages(frame, out, 4, 5)
        return {**kept, **self.results(frame.ndim), "saliency": out}

    def results(self, ndim: int) -> dict[str, np.ndarray]:
        """What the last two stages made, by the reference's names."""
        return trace.results(self.plan, self.layout, ndim)

    def views(self, ndim: int = 3) -> dict[str, np.ndarray]:
        """The buffers that stages hand on, by the reference's names."""
        return trace.buffers(self.plan, self.layout, ndim)

    def close(self) -> None:
        """Let the worker threads go."""
        self.team.close()

    def stages(self, frame: np.ndarray, out: np.ndarray, first: int, last: int) -> None:
        """Run the stages from number `first` to `last` on what the buffers hold."""
        key = (frame.dtype, frame.ndim)
        kind = self.kinds.get(key)
        if kind is None:
            kind = self.kinds[key] = self._kind(frame)
        entry, choices, spare, features, numbers = kind
        self.layout.settings[layout.FEATURE_MASK] = features
        job = (
            self.layout.threads,
            self.team.words,
            frame.reshape(-1),
            spare,
            out,
            self.layout.buffers,
            numbers,
            self.offsets,
            self.partials,
            (first, last),
            *choices,
        )
        if not self.team.run(entry, job):
            check_values(numbers[run.LOWEST], numbers[run.HIGHEST])

    def _kind(self, frame: np.ndarray) -> tuple[Any, ...]:
        """What a kind of frame needs: code, spare rows, features and numbers."""
        config, dtype = self.plan.config, frame.dtype
        channels = 3 if frame.ndim == 3 else 1
        entry, choices = compiled(config, self.order, dtype.name, channels)
        row = (self.plan.shape[1] + 4 * layout.PAD) * channels + 4 * layout.PAD
        spare = np.zeros(2 * row * self.layout.threads, dtype)
        features = sum(1 << index for index, _ in trace.features(self.plan, frame.ndim))
        numbers = np.zeros(run.NUMBERS)
        numbers[run.FULL] = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
        numbers[run.HUE] = config.hue_threshold * HUE_TOLERANCE
        weights = config.channel_weights(colour=channels == 3)
        for index, channel in enumerate(Channel):
            numbers[run.WEIGHTS + index] = weights.get(channel, 0.0)
        return entry, choices, spare, features, numbers

    def staged(self, frame: np.ndarray) -> np.ndarray:
        """The frame, or a copy: contiguous, linear if the config asks. Its buffer is made once."""
        linear = self.plan.config.linear
        if frame.flags.c_contiguous and not linear:
            return frame
        dtype = np.dtype(np.float32) if linear else frame.dtype
        key = (dtype, frame.ndim)
        if key not in self.staging:
            self.staging[key] = np.empty(frame.shape, dtype)
        copy = self.staging[key]
        if not linear:
            np.copyto(copy, frame)
        elif frame.dtype == np.float32:
            check_values(frame.min(), frame.max())
            copy[:] = linear_light(frame)
        else:
            np.take(linear_table(np.iinfo(frame.dtype).max), frame, out=copy, mode="clip")
        return copy


@lru_cache(maxsize=2)
def linear_table(full: int) -> np.ndarray:
    """Linear light of every integer from 0 to `full`, float32."""
    return linear_light(np.arange(full + 1) / full)
