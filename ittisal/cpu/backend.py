"""The CPU backend: a plan's buffers, and one call into compiled code per frame."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import types

from .. import trace
from ..config import (
    ORIENTATIONS,
    Channel,
    Config,
    HueReference,
    Normalisation,
    Opponency,
    Smoothing,
)
from ..frames import check_values
from ..pipeline import STAGES, STILL, Moment, OneByOne
from ..plan import EVERY_FEATURE, HUE_TOLERANCE, ORIENTED, Plan, corner_level, linear_light, slot
from . import layout, normalise, run, whiten
from .combine import WHITENED
from .layout import make_layout
from .run import run_frame
from .simd import Static
from .team import Team
from .variant import background_kind, variants

OPERATORS = {
    Normalisation.MAXNORM: normalise.MAXNORM,
    Normalisation.ITERATIVE: normalise.ITERATIVE,
    Normalisation.NONE: normalise.NONE,
}
INTEGERS, TABLE = types.int64[::1], types.int64[:, ::1]
BACKGROUNDS = {"words": "int16", "floats": "float32", "": "float32"}
BUFFERS = types.Tuple((types.float32[::1], TABLE, TABLE, INTEGERS, INTEGERS))


@lru_cache(maxsize=64)
def compiled(config: Config, order: str, dtype: str, channels: int) -> tuple[Any, tuple[Any, ...]]:
    """The frame function for what has to be known when compiling, and its last arguments."""
    variant, own = variants(config, order, dtype, channels)
    floats = dtype == "float32"
    walther = config.opponency is Opponency.WALTHER and bool(variant.colour)
    flags = (
        True if dtype == "uint8" else None,
        True if floats or walther else None,
        floats,
        walther,
        True if config.has(Channel.MOTION) else None,
        True if config.whitens else None,
        True if config.figure else None,
        True if config.has(Channel.WHITENED) else None,
        config.iterations if config.normalisation is Normalisation.ITERATIVE else None,
    )
    pixels = types.Array(getattr(types, dtype), 1, "C")
    background = getattr(types, BACKGROUNDS[variant.background])
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
        types.Tuple((*[types.Array(background, 1, "C")] * 2, types.float32[:, :, ::1])),  # memory
        types.float64[:, :, :, ::1],  # whitening
        types.UniTuple(types.int64, 2),  # stages
        Static(variant),
        types.none if own is None else Static(own),
        *(types.none if flag is None else types.boolean for flag in flags[:-1]),
        types.none if flags[-1] is None else types.int64,
    )
    run_frame.compile(signature)
    return run_frame.overloads[signature].entry_point, (None, None, *flags)


@dataclass(eq=False)
class Kind:
    """What frames of one type and number of channels need."""

    channels: int
    entry: Any  # compiled code
    choices: tuple[Any, ...]  # its last arguments
    spare: np.ndarray  # rows
    numbers: np.ndarray
    features: list[int]  # bit per feature, without a past and with one
    weights: list[list[float]]  # of the channels, likewise
    memory: tuple[Any, ...]  # flicker's background, as it was and as it becomes; `held`


class CpuBackend(OneByOne):
    """Numba kernels over one arena. See `ittisal.pipeline.Backend`."""

    name = "cpu"

    def __init__(self, plan: Plan, channel_order: str, threads: int) -> None:
        config = plan.config
        self.plan, self.order, self.threads = plan, channel_order, threads
        self.layout = make_layout(plan, threads)
        self.offsets = np.zeros(run.OFFSETS * threads, np.int64)
        self.whitening = np.zeros(whiten.SHAPE)
        self.change = np.zeros(whiten.SHAPE[1:])
        self.partials = np.zeros((run.SCAN_TASKS, 3))
        self.team = Team(threads)
        settings = self.layout.settings
        settings[layout.TOP] = plan.top_level
        settings[layout.PAIR_MASK] = sum(1 << slot(*pair) for pair in plan.pairs)
        settings[layout.FIXED_HUE] = config.hue_reference is HueReference.FIXED
        settings[layout.OPERATOR] = OPERATORS[config.normalisation]
        settings[layout.NORM_OPPONENTS] = config.normalise_opponents
        settings[layout.NORM_SALIENCY] = config.normalise_saliency
        settings[layout.OWN_PLANE] = plan.own_plane
        settings[layout.BEFORE_PLANE] = plan.before_plane
        settings[layout.STORED] = plan.stored_features
        settings[layout.CORNER_LEVEL] = corner_level(plan.shape)
        remembers = config.has(Channel.MOTION)
        self.levels = self.layout.remembered() if remembers else []
        smooths = config.smoothing is not Smoothing.NONE
        self.held = np.zeros((2 * smooths, *plan.map_shape), np.float32)
        self.moment = STILL  # of the last frame
        self.current: Kind | None = None  # its kind
        self.ran = False  # since what the last frame left was put in place
        self.kinds: dict[tuple[np.dtype, int], Kind] = {}
        self.staging: dict[tuple[np.dtype, int], np.ndarray] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of arena, tables, scratch and copies of frames that are not read in place."""
        scratch = (
            self.offsets,
            self.partials,
            self.whitening,
            self.team.words,
            self.held,
            *self.staging.values(),
        )
        kinds = (array for kind in self.kinds.values() for array in (kind.spare, *kind.memory[:2]))
        return self.layout.nbytes + sum(a.nbytes for a in (*scratch, *kinds))

    def run(self, frame: np.ndarray, out: np.ndarray, moment: Moment = STILL) -> None:
        """The raw map into `out`."""
        ready = self.staged(frame)
        self.advance(ready, moment)
        self.stages(ready, out, 0, len(STAGES) - 1)
        self.ran = True

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage, each run by itself; `staging` if the frame has to be copied."""
        out = np.empty(self.plan.map_shape, np.float32)
        moment = Moment(past=True)
        self.run(frame, out, moment)
        start = time.perf_counter()
        ready = self.staged(frame)
        spent = {"staging": (time.perf_counter() - start) * 1e3} if ready is not frame else {}
        config = self.plan.config
        without = {
            "motion": not config.has(Channel.MOTION),
            "whiten": not config.whitens,
            "figure": not config.figure,
        }
        for index, name in enumerate(STAGES):
            if without.get(name):
                continue
            start = time.perf_counter()
            if index == 0:
                self.advance(ready, moment)
            self.stages(ready, out, index, index)
            self.ran = True
            spent[name] = (time.perf_counter() - start) * 1e3
        spent["total"] = sum(spent.values())
        return spent

    def trace(self, frame: np.ndarray, moment: Moment | None = STILL) -> dict[str, np.ndarray]:
        """Levels 2 up, maps at level 4, sums and the map; by the reference's names."""
        out = np.empty(self.plan.map_shape, np.float32)
        frame = self.staged(frame)
        if moment is not None:
            self.advance(frame, moment)
        normalise = STAGES.index("normalise")
        self.stages(frame, out, 0, normalise - 1)
        kept = {name: view.copy() for name, view in self.views().items()}
        self.stages(frame, out, normalise, len(STAGES) - 1)
        self.ran = True
        return {**kept, **self.results(), "saliency": out}

    def results(self) -> dict[str, np.ndarray]:
        """What the last two stages made, by the reference's names."""
        return trace.results(self.plan, self.layout, self.colour, self.moment.past)

    def views(self) -> dict[str, np.ndarray]:
        """The buffers that stages hand on, by the reference's names."""
        views = trace.buffers(self.plan, self.layout, self.colour, self.moment.past)
        return views | self.whitening_views()

    def whitening_views(self) -> dict[str, np.ndarray]:
        """Likewise, what whitening measures and makes."""
        if not self.plan.config.whitens:
            return {}
        planes = [name for name, _ in EVERY_FEATURE[: ORIENTED if self.colour else 1]]
        measured, count = self.whitening[whiten.MEASURED], len(planes)
        named = {"statistics/planes": measured[whiten.PLANE_GROUP, :count, : 1 + count]}
        if self.plan.config.has(Channel.WHITENED):
            names = [(plane, theta) for plane in planes for theta in ORIENTATIONS]
            for index, (plane, theta) in enumerate(names):
                named[f"statistics/{plane}/{theta}"] = measured[1 + index]
                for level, scale in self.layout.scales(index).items():
                    named[f"scale/{plane}/{theta}/{level}"] = scale
                named[f"feature/whitened_{plane}_{theta}"] = self.layout.unlike(index)
            named["conspicuity/whitened"] = self.layout.sum(WHITENED)
        return named

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map."""
        return trace.contributions(self.plan, self.layout, self.colour, self.moment.past)

    @property
    def colour(self) -> bool:
        """Whether the last frame had three channels."""
        return self.current is None or self.current.channels == 3

    def advance(self, frame: np.ndarray, moment: Moment) -> None:
        """Put in place what the last frame left, and set what this one is told of time."""
        kind = self.kind(frame)
        numbers = kind.numbers
        if self.ran and moment.past:
            for before, now in self.levels:
                np.copyto(before, now)
            self.held[:1] = self.held[1:]
            measured, usual, _ = self.whitening
            if self.plan.config.averages:
                renewal = self.moment.renewal if self.moment.past else 1.0
                np.subtract(measured, usual, out=self.change)
                self.change *= renewal
                usual += self.change
            was, becomes, held = kind.memory
            kind.memory = becomes, was, held
            fading = numbers[run.BACKGROUND] - numbers[run.BRIGHTEST]
            numbers[run.BACKGROUND] = numbers[run.BRIGHTEST] + numbers[run.KEEP] * fading
        self.ran = False
        if moment is self.moment and kind is self.current:
            return
        self.moment, self.current = moment, kind
        self.layout.settings[layout.AVERAGED] = self.plan.config.averages and moment.past
        numbers[run.KEEP], numbers[run.SHARE] = moment.keep, moment.share
        numbers[run.WEIGHTS :] = kind.weights[moment.past]
        self.layout.settings[layout.FEATURE_MASK] = kind.features[moment.past]

    def close(self) -> None:
        """Let the worker threads go."""
        self.team.close()

    def stages(self, frame: np.ndarray, out: np.ndarray, first: int, last: int) -> None:
        """Run the stages from number `first` to `last` on what the buffers hold."""
        kind = self.kind(frame)
        job = (
            self.layout.threads,
            self.team.words,
            frame.reshape(-1),
            kind.spare,
            out,
            self.layout.buffers,
            kind.numbers,
            self.offsets,
            self.partials,
            kind.memory,
            self.whitening,
            (first, last),
            *kind.choices,
        )
        if not self.team.run(kind.entry, job):
            check_values(kind.numbers[run.LOWEST], kind.numbers[run.HIGHEST])

    def kind(self, frame: np.ndarray) -> Kind:
        """What frames of this one's type and channels need; compiled when first asked for."""
        key = (frame.dtype, frame.ndim)
        if key not in self.kinds:
            self.kinds[key] = self._make_kind(frame.dtype, 3 if frame.ndim == 3 else 1)
        return self.kinds[key]

    def _make_kind(self, dtype: np.dtype, channels: int) -> Kind:
        config, (height, width) = self.plan.config, self.plan.shape
        colour = channels == 3
        entry, choices = compiled(config, self.order, dtype.name, channels)
        row = (width + 4 * layout.PAD) * channels + 4 * layout.PAD
        numbers = np.zeros(run.NUMBERS)
        numbers[run.FULL] = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
        numbers[run.HUE] = config.hue_threshold * HUE_TOLERANCE
        numbers[run.MOTION_THRESHOLD] = config.motion_threshold
        background = background_kind(config, dtype.name, channels)
        size = (height * layout.background_pitch(width) + layout.PAD) if background else 1
        masks, weights = [], []
        for past in (False, True):
            features = trace.features(self.plan, colour, past)
            masks.append(sum(1 << index for index, _ in features))
            given = config.channel_weights(colour=colour, past=past)
            weights.append([given.get(channel, 0.0) for channel in Channel])
        return Kind(
            channels,
            entry,
            choices,
            np.zeros(2 * row * self.layout.threads, dtype),
            numbers,
            masks,
            weights,
            (*(np.zeros(size, BACKGROUNDS[background]) for _ in range(2)), self.held),
        )

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
