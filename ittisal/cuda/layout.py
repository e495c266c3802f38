"""Where everything lies on the device: geometry, tables of weights, and one arena per frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..allocator import Allocator
from ..channels import edges
from ..config import Channel, Contrast, Smoothing
from ..features import FEATURES, ORIENTATIONS, TEMPORAL, Model, Signal
from ..pipeline import PROGRAM_STAGES, FrameFormat
from ..plan import (
    FIGURE_MAPS,
    HUE_TOLERANCE,
    MOVING_FIGURE,
    SCALES,
    Plan,
    gaussian_tables,
    linear_light,
)
from ..sampling import sampling
from ..toolbox import toolbox_plan
from .structs import COUNTERS, ENERGIES, FOUND, GEOMETRY, LEVELS, SIZES, STEP_KINDS

STATISTIC_SIZE = SCALES * (1 + SCALES)  # doubles of one set: a mean and a row of covariances each
WHITENER_SIZE = SCALES + SCALES * (SCALES + 1) // 2  # floats of a mean and a whitening matrix
MEASURE_BLOCKS = 16  # at most, that measure maps
SCAN_BLOCKS = 256  # of `scan`, at most
ALONE = 8192  # samples of a plane that one block takes on to the coarsest level
MAP_BLOCKS = 32  # that share a map, at most: as many as a warp has threads
MAP_THREADS = 512  # of each, at most: three fit where 1536 threads do
TILE_ROWS, TILE_COLUMNS = 8, 48  # of orientation and motion
SURROUNDEDNESS, CORNERS = len(ORIENTATIONS), len(ORIENTATIONS) + 1  # maps behind the energies
ALIGNED = 32  # floats: buffers start on a cache line
LIMIT = 2**31 - 1  # offsets are 32-bit integers


@dataclass
class Layout:
    """The geometry that all kernels are handed, the tables, and how to find things again."""

    plan: Plan
    geometry: np.ndarray  # GEOMETRY, one element; what depends on a frame's format is unset
    tables: np.ndarray  # float32
    linear_tables: dict[str, int]  # offset of a type's linear light

    @property
    def frame_floats(self) -> int:
        """Floats of one frame's part of the arena."""
        return int(self.geometry["frame"])

    def schedule(self, format_: FrameFormat, frames: int, *, past: bool) -> Any:
        """The launches of each stage."""
        from .schedule import Schedule

        return Schedule(self, format_, frames, past)


def make_layout(plan: Plan) -> Layout:
    """Size and place everything for a plan.

    Raises
    ------
    ValueError
        The frame is too large for 32-bit offsets.
    """
    if plan.config.model in PROGRAM_STAGES:
        layout: Layout = import_module(f".{plan.config.model}", __package__).Layout(plan)
        return layout
    if plan.config.model is Model.TOOLBOX:
        plan = toolbox_plan(plan)
    config = plan.config
    geometry = np.zeros(1, GEOMETRY)[0]
    tables, arena = Allocator(ALIGNED), Allocator(ALIGNED)
    _place_levels(plan, geometry, tables, arena)
    for step in plan.steps():
        weights_and_fades = zip(plan.step_weights(step), step.fade, strict=True)
        for axis, (weights, fade) in enumerate(weights_and_fades):
            at = 2 * np.arange(len(weights))[:, None] - len(step.taps) // 2
            faded = fade[np.clip(at + np.arange(len(step.taps) + 1), 0, len(fade) - 1)]
            kind = STEP_KINDS.index(step.kind)
            geometry["steps"][kind, step.level, axis] = tables.put(weights * faded)
    geometry["edges"] = put_edges(plan, tables)
    geometry["map_fade"] = [tables.put(fade) for fade in plan.map_fade()]
    if config.centre_prior > 0:
        geometry["centre_prior"] = [tables.put(prior) for prior in plan.centre_prior()]
    if config.has(Channel.WHITENED):
        geometry["whitened_fade"] = [tables.put(fade) for fade in plan.map_fade(always=True)]
    if plan.rewrites_maps:
        gaussians = gaussian_tables(plan.map_shape)
        geometry["gaussians"] = [tables.put(*gaussian) for gaussian in gaussians]
        geometry["reach"] = [len(kernel) - 1 for kernel, _, _ in gaussians]
    linear = {}
    if config.linear:
        for name, full in (("uint8", 255), ("uint16", 65535)):
            linear[name] = tables.put(linear_light(np.arange(full + 1) / full))
    _place_maps(plan, geometry, arena)
    check_size(plan, arena)
    geometry["frame"] = arena.size
    _set_numbers(plan, geometry)
    filled = tables.fill(np.zeros(max(tables.size, ALIGNED), np.float32))
    return Layout(plan, geometry, filled, linear)


def put_edges(plan: Plan, tables: Allocator) -> list[int]:
    """The pixels around each sample of the map, by axis."""
    grid = sampling(plan.shape, plan.config)
    return [tables.put(edges(grid, axis)) for axis in (0, 1)]


def check_size(plan: Plan, arena: Allocator) -> None:
    """Raise ValueError if offsets in the arena or the frame do not fit 32 bits."""
    height, width = plan.shape
    if arena.size > LIMIT or 3 * height * width > LIMIT:
        raise ValueError(
            f"frame is {width}x{height} pixels; the CUDA backend's offsets end at {LIMIT} "
            'elements. Shrink it, or use backend="cpu"'
        )


def _place_levels(plan: Plan, geometry: Any, tables: Allocator, arena: Allocator) -> None:
    """Sizes of levels, planes of each, and orientation's filters and tiles."""
    config, decorrelated = plan.config, len(plan.whitened_planes())
    scales = range(plan.finest_level, plan.finest_level + SCALES) if _has_energies(plan) else ()
    tiles = 0
    for level in range(LEVELS):
        height, width = plan.level_shape(level)
        geometry["height"][level], geometry["width"][level] = height, width
        geometry["first_tile"][level] = tiles
        geometry["whitened"][level] = -1
        if level not in plan.levels:
            continue
        size = height * width
        geometry["planes"][level] = arena.take(size * len(plan.planes))
        if level in scales or (config.figure and level == plan.corner_level + 1):
            geometry["whitened"][level] = arena.take(size * decorrelated)
        if level in scales:
            geometry["energies"][level] = arena.take(size * ENERGIES)
        tiles += -(-height // TILE_ROWS) * -(-width // TILE_COLUMNS)
        filters = plan.orientation_filters(level)
        geometry["filters"][level] = [tables.put(*by_axis) for by_axis in filters]
    geometry["first_tile"][plan.top_level + 1 :] = tiles


def _place_maps(plan: Plan, geometry: Any, arena: Allocator) -> None:
    """Maps at their level, and what is found on the way to them."""
    config = plan.config
    rows, columns = plan.level_shape(plan.corner_level + 1)
    size, sums = plan.map_shape[0] * plan.map_shape[1], len(plan.sums)
    pairs = plan.map_count // plan.halves
    sets = SIZES["STATISTICS"]
    smooths = config.smoothing is not Smoothing.NONE
    for name, floats in {
        "surroundedness": 2 * len(plan.whitened_planes()) * rows * columns * config.figure,
        "scales": ENERGIES * SCALES * size * _has_energies(plan),
        "maps": plan.map_count * size,
        "sums": sums * size * (1 + plan.rewrites_maps),
        "affines": 2 * plan.map_count,
        "sum_affines": 2 * sums,
        "ranges": 2 * MAP_BLOCKS * plan.map_count,
        "peaks": 4 * MAP_BLOCKS * plan.map_count,
        "sum_ranges": 2 * MAP_BLOCKS * sums,
        "sum_peaks": 4 * MAP_BLOCKS * sums,
        "figure_maps": FIGURE_MAPS * size * config.figure,
        "found": FOUND.itemsize // 4,
        "counters": COUNTERS.itemsize // 4,
        "partials": 4 * SCAN_BLOCKS,
        "scratch": 3 * size * pairs * plan.rewrites_maps,
        "sum_scratch": 3 * size * sums * plan.rewrites_maps,
        "statistics": 2 * sets * STATISTIC_SIZE * (2 + MEASURE_BLOCKS) * config.whitens,
        "whiteners": sets * WHITENER_SIZE * config.whitens,
        "smoothed": 2 * size * smooths,
    }.items():
        geometry[name] = arena.take(floats)


def _set_numbers(plan: Plan, geometry: Any) -> None:
    """What is neither a size nor an offset."""
    config, planes, sources = plan.config, plan.planes, plan.whitened_planes()
    signals = {feature.name: feature.signal.value for feature in FEATURES}
    previous = "previous_intensity"
    geometry["top_level"] = plan.top_level
    geometry["pairs"] = sum(1 << plan.slot(*pair) for pair in plan.pairs)
    geometry["conspicuity"] = len(plan.features)
    geometry["saliency"] = plan.sums.index("saliency")
    geometry["previous_intensity"] = planes.index(previous) if previous in planes else -1
    if config.whitens:
        geometry["whitened_source"] = [planes.index(name) for name in sources]
        geometry["whitened_signal"] = [signals[name] for name in sources]
    geometry["corner_level"] = plan.corner_level
    geometry["hue_threshold"] = config.hue_threshold * HUE_TOLERANCE
    geometry["motion_threshold"] = config.motion_threshold
    geometry["waves"] = _waves(plan)


def _has_energies(plan: Plan) -> bool:
    return plan.config.has(Channel.WHITENED)


def _waves(plan: Plan) -> np.ndarray:
    """The oriented filters' envelope, from its centre out, times cosine and sine; axial, then
    diagonal.
    """
    at = np.arange(5)
    numbers = plan.wavenumber * np.array([1, np.sqrt(0.5)])[:, None, None]
    waves = np.concatenate([np.cos(numbers * at), np.sin(numbers * at)], axis=1)
    return waves * plan.envelope[4:]


# --- the features of a frame -------------------------------------------------------------------


class Row(NamedTuple):
    """A feature that is computed, or a channel without any, as kernels know it by number."""

    channel: int
    feature: int = -1
    plane: int = -1
    signal: int = Signal.ONE.value
    rectified: bool = False
    normalised_again: bool = False
    feature_weight: float = 1.0


def rows(plan: Plan, *, colour: bool, past: bool) -> list[Row]:
    """The rows of a frame: features first, those of a channel next to each other."""
    channels = list(Channel)
    present = plan.features_of(colour=colour, past=past)
    rectified = plan.config.orientation_contrast is Contrast.RECTIFIED
    found = [
        Row(
            channels.index(feature.channel),
            plan.features.index(feature),
            plan.planes.index(feature.name),
            feature.signal.value,
            feature.rectifiable and rectified,
            plan.normalised_again(feature),
            plan.config.feature_weight(feature),
        )
        for feature in sorted(present, key=lambda feature: channels.index(feature.channel))
    ]
    weights = plan.config.channel_weights(colour=colour, past=past)
    empty = weights.keys() - {feature.channel for feature in present}
    return found + [Row(channels.index(channel)) for channel in channels if channel in empty]


def geometry_for(layout: Layout, format_: FrameFormat, past: bool) -> np.ndarray:
    """The geometry for frames of one format, with one before them or not: an array of one element,
    as kernels take it by value.
    """
    plan, config = layout.plan, layout.plan.config
    geometry = np.array([layout.geometry])
    numbered = list(enumerate(rows(plan, colour=format_.colour, past=past)))
    for number, row in numbered:
        for field, value in row._asdict().items():
            geometry[field][0, number] = value
    weights = config.channel_weights(colour=format_.colour, past=past)
    for index, channel in enumerate(Channel):
        its_rows = [number for number, row in numbered if row.channel == index]
        geometry["first_row"][0, index] = min(its_rows, default=0)
        geometry["row_count"][0, index] = len(its_rows)
        geometry["weight"][0, index] = weights.get(channel, 0.0)
        geometry["own_figure"][0, index] = MOVING_FIGURE * (channel in TEMPORAL)
    geometry["channel_count"] = len(weights)
    integers = format_.dtype != "float32"
    geometry["full"] = np.iinfo(format_.dtype).max if integers and not config.linear else 1.0
    geometry["linear"] = layout.linear_tables.get(format_.dtype, 0)
    return geometry


# --- what the buffers hold ---------------------------------------------------------------------


@dataclass
class FrameBuffers:
    """Host views of one frame's part of the arena: see `ittisal.trace.Buffers`."""

    layout: Layout
    read: Callable[[int, int], np.ndarray]  # floats of the arena from an offset on, on the host

    def plane(self, name: str, level: int) -> np.ndarray:
        """One of `Plan.planes` at one level."""
        plan = self.layout.plan
        shape = plan.level_shape(level)
        return self._view(self._at("planes")[level], plan.planes.index(name), shape)

    def map(self, index: int) -> np.ndarray:
        """A centre-surround map, by `Plan.map_index`."""
        return self._map("maps", index)

    def map_affine(self, index: int) -> tuple[float, float]:
        """Scale and offset that N gave it."""
        return self._affine("affines", index)

    def sum(self, name: str) -> np.ndarray:
        """One of `Plan.sums`."""
        return self._map("sums", self.layout.plan.sums.index(name))

    def normalised_sum(self, name: str) -> tuple[np.ndarray, float, float]:
        """What N left of a sum: a map, and the scale and offset that apply to it."""
        plan = self.layout.plan
        index = plan.sums.index(name)
        left = self._map("sums", index + len(plan.sums) * plan.rewrites_maps)
        return left, *self._affine("sum_affines", index)

    def figure(self) -> tuple[np.ndarray, np.ndarray]:
        """Surroundedness and corners, at the map's level."""
        return self._map("figure_maps", SURROUNDEDNESS), self._map("figure_maps", CORNERS)

    def measured(self, group: int, maps: int) -> np.ndarray:
        """Statistics of so many maps: of the planes (0), then of each energy's scales."""
        start = int(self._at("statistics")) + 2 * group * STATISTIC_SIZE
        return self.read(start, 2 * maps * (1 + maps)).view(np.float64).reshape(maps, -1)

    def scale(self, energy: int, scale: int) -> np.ndarray:
        """One scale of an energy of a decorrelated plane, at the map's level."""
        return self._map("scales", energy * SCALES + scale)

    def whitened(self, planes: Sequence[str]) -> dict[str, np.ndarray]:
        """Decorrelated planes, their energies, and surroundedness in them."""
        plan, named = self.layout.plan, {}
        for level, first in enumerate(self._at("whitened")):
            shape, energies = plan.level_shape(level), self._at("energies")[level]
            for index, name in enumerate(planes if first >= 0 else ()):
                named[f"whitened/{name}/{level}"] = self._view(first, index, shape)
            oriented = product(planes, ORIENTATIONS if energies else ())
            for index, (name, theta) in enumerate(oriented):
                named[f"whitened/{name}/{theta}/{level}"] = self._view(energies, index, shape)
        if plan.config.figure:
            shape = plan.level_shape(plan.corner_level + 1)
            for index, (name, side) in enumerate(product(planes, ("on", "off"))):
                view = self._view(self._at("surroundedness"), index, shape)
                named[f"surroundedness/{name}/{side}"] = view
        return named

    def _map(self, field: str, index: int) -> np.ndarray:
        return self._view(self._at(field), index, self.layout.plan.map_shape)

    def _affine(self, field: str, index: int) -> tuple[float, float]:
        scale, offset = self.read(int(self._at(field)) + 2 * index, 2)
        return scale, offset

    def _at(self, field: str) -> Any:
        return self.layout.geometry[field]

    def _view(self, start: int, index: int, shape: tuple[int, int]) -> np.ndarray:
        size = shape[0] * shape[1]
        return self.read(int(start) + index * size, size).reshape(shape)
