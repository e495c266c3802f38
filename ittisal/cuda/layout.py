"""Where everything lies on the device: geometry, tables of weights, and one arena per frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import (
    CENTRE_LEVELS,
    MAP_LEVEL,
    ORIENTATIONS,
    TOP_LEVEL,
    Channel,
    Config,
    Normalisation,
    Smoothing,
)
from ..plan import (
    BINOMIAL_5,
    BINOMIAL_9,
    EVERY_FEATURE,
    FEATURES,
    HUE_TOLERANCE,
    SLOTS,
    Plan,
    attenuation,
    corner_level,
    halving_weights,
    inside_sum,
    linear_light,
    slot,
)

FIRST_LEVEL = CENTRE_LEVELS[0]  # levels below are never stored
LEVELS = TOP_LEVEL + 1
GROUPS = len(Channel)
PLANES = 3  # intensity, red-green, blue-yellow
STORED_PLANES = FEATURES + 2  # orientation's own pyramid, the last frame's intensity
SUMS = FEATURES + GROUPS + 1  # features, conspicuity maps, saliency
STEPS = 4  # kinds of halving: planes, own pyramid, a faded contrast's first, a later one
BRIGHTEST, LOWEST, HIGHEST = range(3)  # what is found in a frame; kernels/common.cuh has the rest
FOUND = 12
SCALES = 4  # levels whose energies are whitened together
ENERGIES = 3 * len(ORIENTATIONS)  # of decorrelated planes
MEASURES, MEASURE = 1 + ENERGIES, SCALES * (1 + SCALES)  # statistics, and doubles of each
MEASURE_BLOCKS = 16  # at most, that measure maps
WHITENER = SCALES + SCALES * (SCALES + 1) // 2  # floats of what statistics make of maps
FIGURE_MAPS = 6  # at level 4: energies where corners are found, figures, corners
COUNTERS = 1 + STORED_PLANES + FEATURES + GROUPS + 1 + MEASURES + 1
SCAN_BLOCKS = 256  # of `brightest`, at most
ENERGY_TILE = (8, 48)  # of orientation: rows, columns
ALIGNED = 32  # floats: buffers start on a cache line

_I, _F = np.int32, np.float32
# `struct Geometry` of kernels/common.cuh, field by field.
GEOMETRY = np.dtype(
    [
        ("height", _I, LEVELS),
        ("width", _I, LEVELS),
        ("planes", _I, LEVELS),
        ("steps", _I, (STEPS, LEVELS, 2)),
        ("filters", _I, (LEVELS, 2)),
        ("fade", _I, 2),
        ("gauss", _I, 2),
        ("reach", _I, 2),
        ("linear", _I),
        ("first_block", _I, LEVELS + 1),
        ("whitened", _I, LEVELS),
        ("features", _I, FEATURES + 1),
        ("count", _I, GROUPS),
        ("pairs", _I),
        ("top", _I),
        ("own", _I),
        ("before", _I),
        ("energies", _I, LEVELS),
        ("scales", _I),
        ("border", _I, 2),
        ("corners", _I),
        ("enclosed", _I),
        ("figures", _I),
        ("measures", _I),
        ("whiteners", _I),
        ("maps", _I),
        ("sums", _I),
        ("stats", _I),
        ("found", _I),
        ("counters", _I),
        ("partials", _I),
        ("scratch", _I),
        ("held", _I),
        ("frame", _I),
        ("full", _F),
        ("hue", _F),
        ("motion", _F),
        ("weight", _F, GROUPS),
        ("waves", _F, (2, 2, 5)),
    ]
)
# `struct Call`, which only kernels look into.
CALL_BYTES = 32
LIMIT = 2**31 - 1  # offsets are 32-bit integers


class _Places:
    """Hands out ranges of a buffer whose size is not known yet."""

    def __init__(self) -> None:
        self.size = 0
        self.filled: list[tuple[int, np.ndarray]] = []

    def take(self, size: int) -> int:
        """Where `size` floats are."""
        offset = self.size
        self.size += (int(size) + ALIGNED - 1) // ALIGNED * ALIGNED
        return offset

    def put(self, values: np.ndarray) -> int:
        """Where a copy of `values` will be."""
        offset = self.take(values.size)
        self.filled.append((offset, np.ravel(values)))
        return offset

    def array(self) -> np.ndarray:
        """The buffer, filled."""
        out = np.zeros(max(self.size, ALIGNED), np.float32)
        for offset, values in self.filled:
            out[offset : offset + values.size] = values
        return out


@dataclass
class Layout:
    """The geometry that all kernels are handed, the tables, and how to find things again."""

    plan: Plan
    geometry: np.ndarray  # GEOMETRY, one element; what depends on the kind of frame is unset
    tables: np.ndarray  # float32
    halves: int  # maps per centre-surround difference
    linear_tables: dict[str, int]  # where a type's linear light lies

    @property
    def frame_floats(self) -> int:
        """Floats of one frame's part of the arena."""
        return int(self.geometry["frame"])


@dataclass
class Held:
    """One frame's part of the arena, or of it from `first` on, on the host: see
    `ittisal.trace.Held`.
    """

    layout: Layout
    arena: np.ndarray
    first: int = 0

    @property
    def halves(self) -> int:
        """Maps per centre-surround difference."""
        return self.layout.halves

    def plane(self, index: int, level: int) -> np.ndarray:
        """A view of one plane at one level."""
        shape = self.layout.plan.level_shape(level)
        return self._view(self._at("planes")[level], index, shape)

    def map(self, feature: int, pair: tuple[int, int], half: int = 0) -> np.ndarray:
        """A view of one centre-surround map at level 4."""
        index = (feature * SLOTS + slot(*pair)) * self.halves + half
        return self._view(self._at("maps"), index, self.layout.plan.map_shape)

    def stats(self, feature: int, pair: tuple[int, int], half: int = 0) -> tuple[float, float]:
        """Scale and offset that N gave a map."""
        return self._affine((feature * SLOTS + slot(*pair)) * self.halves + half)

    def whitening(self, colour: bool) -> dict[str, np.ndarray]:
        """Views of statistics, decorrelated planes and what is enclosed in them, by name."""
        plan = self.layout.plan
        names = [name for name, _ in EVERY_FEATURE[: 3 if colour else 1]]
        start = self._at("measures") - self.first
        count = len(names) * (1 + len(names))
        doubles = self.arena[start : start + 2 * count].view(np.float64)
        named = {"statistics/planes": doubles.reshape(len(names), -1)}
        for level, first in enumerate(self._at("whitened")):
            for index, name in enumerate(names if first >= 0 else ()):
                named[f"whitened/{name}/{level}"] = self._view(
                    first, index, plan.level_shape(level)
                )
        if plan.config.has(Channel.WHITENED):
            named |= self._whitened_energies(names)
        if plan.config.figure:
            shape = plan.level_shape(corner_level(plan.shape) + 1)
            for index, name in enumerate(names):
                for half, side in enumerate(("on", "off")):
                    view = self._view(self._at("enclosed"), 2 * index + half, shape)
                    named[f"enclosed/{name}/{side}"] = view
        return named

    def _whitened_energies(self, planes: list[str]) -> dict[str, np.ndarray]:
        """Views of the decorrelated planes' energies, at their levels and at level 4."""
        plan, named = self.layout.plan, {}
        measures = int(self._at("measures")) - self.first
        for index in range(len(planes) * len(ORIENTATIONS)):
            plane, theta = divmod(index, len(ORIENTATIONS))
            key = f"{planes[plane]}/{ORIENTATIONS[theta]}"
            for scale in range(SCALES):
                level = FIRST_LEVEL + scale
                at, place = self._at("energies")[level], index * SCALES + scale
                named[f"whitened/{key}/{level}"] = self._view(at, index, plan.level_shape(level))
                named[f"scale/{key}/{level}"] = self._view(
                    self._at("scales"), place, plan.map_shape
                )
            start = measures + 2 * (1 + index) * MEASURE
            doubles = self.arena[start : start + 2 * MEASURE].view(np.float64)
            named[f"statistics/{key}"] = doubles.reshape(SCALES, -1)
        return named

    def figure(self) -> tuple[np.ndarray, np.ndarray]:
        """Views of how enclosed each place is, and of where corners are, at level 4."""
        start, shape = self._at("figures"), self.layout.plan.map_shape
        return self._view(start, 4, shape), self._view(start, 5, shape)

    def sum(self, index: int) -> np.ndarray:
        """A view of a feature's sum, or (after the features) a conspicuity map."""
        return self._view(self._at("sums"), index, self.layout.plan.map_shape)

    def normed_sum(self, index: int) -> tuple[np.ndarray, float, float]:
        """What N left of a sum: a view, and the scale and offset that apply to it."""
        rewritten = self.layout.plan.config.normalisation is Normalisation.ITERATIVE
        plane = self.sum(index + SUMS * rewritten)
        return plane, *self._affine(FEATURES * SLOTS * self.halves + index)

    def _affine(self, index: int) -> tuple[float, float]:
        start = self._at("stats") - self.first + 2 * index
        return self.arena[start], self.arena[start + 1]

    def _at(self, field: str) -> Any:
        return self.layout.geometry[field]

    def _view(self, start: int, index: int, shape: tuple[int, int]) -> np.ndarray:
        size = shape[0] * shape[1]
        start = int(start) - self.first + index * size
        return self.arena[start : start + size].reshape(shape)


def make_layout(plan: Plan) -> Layout:
    """Size and place everything for a plan.

    Raises
    ------
    ValueError
        The frame is too large for 32-bit offsets.
    """
    config = plan.config
    geometry = np.zeros(1, GEOMETRY)[0]
    tables, arena = _Places(), _Places()
    own = config.own_pyramid
    corners = corner_level(plan.shape)
    whitened = config.has(Channel.WHITENED)
    scales = range(FIRST_LEVEL, FIRST_LEVEL + SCALES)  # levels whose energies are whitened
    decorrelated = {*scales} if whitened else set()
    if config.figure:
        decorrelated.add(corners + 1)
    blocks = 0
    for level in range(LEVELS):
        height, width = plan.level_shape(level)
        geometry["height"][level], geometry["width"][level] = height, width
        geometry["first_block"][level] = blocks
        geometry["whitened"][level] = -1
        if not FIRST_LEVEL <= level <= plan.top_level:
            continue
        geometry["planes"][level] = arena.take(height * width * plan.stored_planes)
        if level in decorrelated:
            geometry["whitened"][level] = arena.take(height * width * PLANES)
        if whitened and level in scales:
            geometry["energies"][level] = arena.take(height * width * ENERGIES)
        rows, columns = ENERGY_TILE
        blocks += -(-height // rows) * -(-width // columns)
        fade = 5 if config.border_attenuation else 0
        for axis, n in enumerate((height, width)):
            inverse = 1 / inside_sum(n, BINOMIAL_9)
            filters = np.stack([inverse, inverse * attenuation(n, fade)])
            geometry["filters"][level, axis] = tables.put(filters)
    geometry["first_block"][plan.top_level + 1 :] = blocks

    reduction = BINOMIAL_9 if config.reduction_taps == 9 else BINOMIAL_5
    for kind, taps, inputs in (
        (0, BINOMIAL_5, range(plan.top_level)),
        (1, BINOMIAL_9, range(plan.top_level) if own else ()),
        (2, reduction, range(CENTRE_LEVELS[0], MAP_LEVEL)),
        (3, reduction, range(CENTRE_LEVELS[0], MAP_LEVEL)),
    ):
        for level in inputs:
            shape = plan.level_shape(level)
            width_of_fade = max(shape) // 20 if config.border_attenuation and kind == 2 else 0
            for axis, n in enumerate(shape):
                weights = halving_weights(n, taps, config.phase)
                weights = weights * _faded(attenuation(n, width_of_fade), weights.shape)
                geometry["steps"][kind, level, axis] = tables.put(weights)

    fade = max(plan.map_shape) // 20 if config.border_attenuation else 0
    for axis, n in enumerate(plan.map_shape):
        geometry["fade"][axis] = tables.put(attenuation(n, fade))
    if config.normalisation is Normalisation.ITERATIVE:
        side = max(plan.map_shape)
        for index, (amplitude, sigma) in enumerate(((0.5, 0.02 * side), (1.5, 0.25 * side))):
            kernel, by_row, by_column = _gaussian(amplitude, sigma, plan.map_shape)
            geometry["gauss"][index] = tables.put(np.concatenate([kernel, by_row, by_column]))
            geometry["reach"][index] = len(kernel) - 1
    linear = {}
    if config.linear:
        for name, full in (("uint8", 255), ("uint16", 65535)):
            linear[name] = tables.put(linear_light(np.arange(full + 1) / full))

    halves = 2 if config.split_cs else 1
    size = plan.map_shape[0] * plan.map_shape[1]
    rewritten = config.normalisation is Normalisation.ITERATIVE
    geometry["pairs"] = sum(1 << slot(*pair) for pair in plan.pairs)
    geometry["top"] = plan.top_level
    geometry["own"], geometry["before"] = plan.own_plane, plan.before_plane
    geometry["corners"] = corners
    if config.figure:
        height, width = plan.level_shape(corners + 1)
        geometry["enclosed"] = arena.take(2 * PLANES * height * width)
    if whitened:
        for axis, n in enumerate(plan.map_shape):
            geometry["border"][axis] = tables.put(attenuation(n, max(plan.map_shape) // 20))
        height, width = plan.map_shape
        geometry["scales"] = arena.take(ENERGIES * SCALES * height * width)
    geometry["maps"] = arena.take(plan.stored_features * SLOTS * halves * size)
    geometry["sums"] = arena.take(SUMS * size * (1 + rewritten))
    geometry["stats"] = arena.take(2 * (FEATURES * SLOTS * halves + SUMS))
    geometry["figures"] = arena.take(FIGURE_MAPS * size * config.figure)
    geometry["found"] = arena.take(FOUND)
    geometry["counters"] = arena.take(COUNTERS)
    geometry["partials"] = arena.take(3 * SCAN_BLOCKS)
    scratch = 3 * size * (FEATURES * SLOTS + SUMS) if rewritten else 0
    geometry["scratch"] = arena.take(scratch)
    doubles = MEASURES * MEASURE * (2 + MEASURE_BLOCKS)
    geometry["measures"] = arena.take(2 * doubles * config.whitens)
    geometry["whiteners"] = arena.take(MEASURES * WHITENER * config.whitens)
    smooths = config.smoothing is not Smoothing.NONE
    geometry["held"] = arena.take(2 * size * smooths)
    height, width = plan.shape
    if arena.size > LIMIT or 3 * height * width > LIMIT:
        raise ValueError(
            f"frame is {width}x{height} pixels; the CUDA backend's offsets end at {LIMIT} "
            'elements. Shrink it, or use backend="cpu"'
        )
    geometry["frame"] = arena.size
    geometry["hue"] = config.hue_threshold * HUE_TOLERANCE
    geometry["motion"] = config.motion_threshold
    geometry["waves"] = _waves(config)
    return Layout(plan, geometry, tables.array(), halves, linear)


def geometry_for(held: Layout, dtype: str, channels: int, past: bool) -> np.ndarray:
    """The geometry for one kind of frame, with one before it or not: an array of one element, as
    kernels take it by value.
    """
    config = held.plan.config
    geometry = np.array([held.geometry])
    weights = config.channel_weights(colour=channels == 3, past=past)
    features = held.plan.features_of(colour=channels == 3, past=past)
    numbers = [EVERY_FEATURE.index(feature) for feature in features]
    numbers += [FEATURES] * (Channel.WHITENED in weights)
    geometry["features"][0, : len(numbers)] = numbers
    for index, channel in enumerate(Channel):
        count = sum(each == channel for _, each in features)
        geometry["count"][0, index] = count or (channel in weights)
        geometry["weight"][0, index] = weights.get(channel, 0.0)
    integers = dtype != "float32"
    geometry["full"] = np.iinfo(dtype).max if integers and not config.linear else 1.0
    geometry["linear"] = held.linear_tables.get(dtype, 0)
    return geometry


def _faded(fade: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The fade of the samples that each output's weights are of."""
    count, taps = shape
    at = 2 * np.arange(count)[:, None] - (taps // 2 - 1) + np.arange(taps)
    return fade[np.clip(at, 0, len(fade) - 1)]


def _gaussian(amplitude: float, sigma: float, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Half a 1-D Gaussian cut at 1 %, and its full sum over that inside, by row and by column."""
    half = int(sigma * np.sqrt(-2 * np.log(0.01)))
    cap = max(0, min(shape) // 2 - 1)  # 0 means no cap
    half = min(half, cap) if cap else half
    i = np.arange(half + 1)
    kernel = amplitude / (sigma * np.sqrt(2 * np.pi)) * np.exp(-(i**2) / (2 * sigma**2))
    whole = np.concatenate([kernel[:0:-1], kernel])
    inside = (np.convolve(np.ones(n), whole)[half:][:n] for n in shape)
    return kernel, *(whole.sum() / each for each in inside)


def _waves(config: Config) -> np.ndarray:
    """The 9-tap binomial, from its centre out, times cosine and sine; axial, then diagonal."""
    at = np.arange(5)
    numbers = config.wavenumber * np.array([1, np.sqrt(0.5)])[:, None, None]
    waves = np.concatenate([np.cos(numbers * at), np.sin(numbers * at)], axis=1)
    return waves * BINOMIAL_9[4:]
