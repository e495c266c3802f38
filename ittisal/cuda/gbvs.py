"""Graph-based visual saliency on a GPU (`references.gbvs`): its planes, tables and launches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from ..features import ORIENTATIONS, Channel
from ..pipeline import FrameFormat
from ..plan import Plan
from ..references import gbvs as reference
from . import unfused
from .schedule import CALLER, Argument, Launch
from .unfused import Place
from .variant import COLUMNS, GBVS_COLUMNS, GBVS_OUTPUTS, GBVS_ROWS, THREADS

LEVELS = reference.LEVELS
RGB = ("red", "green", "blue")
FEATURES = {  # in the order of a level's planes and maps
    Channel.INTENSITY: ("intensity",),
    Channel.ORIENTATION: reference.ENERGIES,
    Channel.COLOUR: reference.COLOURS,
}
LANES = 32  # threads that share the samples that they compare theirs with

Axis = tuple[np.ndarray, np.ndarray]  # samples along an axis, and their weights, for each output


class Layout(unfused.Layout):
    """Planes of the pyramids' levels, and maps that are made of them."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        put, geometry, has = self.constants.put, self.geometry, plan.config.has
        intensity, *others = FEATURES
        names = [FEATURES[channel] for channel in (intensity, *filter(has, others))]
        self.features: tuple[str, ...] = sum(names, ())
        self.colours = len(RGB) * has(Channel.COLOUR)
        self.planes = (*RGB[: self.colours], *self.features)
        shapes = [reference.level_shape(plan.shape, level) for level in range(LEVELS[-1] + 1)]
        self.levels = {level: self.take(shapes[level], len(self.planes)) for level in LEVELS}
        self.halvings = {LEVELS[0]: [put(taps(*halved_twice(n))) for n in plan.shape]}
        self.resizings: dict[int, list[int]] = {}
        tile = 0
        for level, place in self.levels.items():
            shape = height, width = place[1:]
            fades = [put(reference.fade(n, reference.GABOR_FADE)) for n in shape]
            geometry["planes"][level], geometry["filters"][level] = place.offset, fades
            geometry["height"][level], geometry["width"][level] = shape
            geometry["first_tile"][level] = tile
            tile += -(-height // GBVS_ROWS) * -(-width // GBVS_COLUMNS)
            sides = zip(shape, plan.map_shape, strict=True)
            self.resizings[level] = [put(taps(*reference.resizing(*side))) for side in sides]
            if level > LEVELS[0]:
                finer = shapes[level - 1]
                step = whole if finer == shape else halved
                self.halvings[level] = [put(taps(*step(n))) for n in finer]
        geometry["first_tile"][LEVELS[-1] + 1 :] = self.tiles = tile
        finest, rows = self.levels[LEVELS[0]], plan.map_shape[0]
        planes, maps = 1 + self.colours, len(LEVELS) * len(self.features)
        of_frame, of_level = planes * finest.height * plan.shape[1], finest.width * rows
        # What a pass down leaves for the one across.
        self.between = self.arena.take(max(of_frame, len(self.features) * of_level))
        self.feature_maps, self.activations = (self.take(plan.map_shape, maps) for _ in range(2))
        self.blocks = -(-plan.map_shape[1] * -(-rows // GBVS_OUTPUTS) // LANES)  # of an activation
        self.totals = self.arena.take(maps * self.blocks)
        self.sums = self.take(plan.map_shape, len(FEATURES) + 1)  # conspicuity maps, saliency
        self.filters, self.lights = put(opposite_pairs()), put(reference.light_table())
        self.opponents = put(reference.opponent_matrix())
        distances = np.zeros((2, reference.SIDE))
        for row, factors in zip(distances, reference.nearness_along(plan.map_shape), strict=True):
            row[: len(factors)] = factors[0]
        self.nearness = put(distances)
        self.blurs = [put(taps(*faded_blur(n))) for n in plan.map_shape]
        self.finish()

    def schedule(self, format_: FrameFormat, frames: int, *, past: bool) -> Schedule:
        """The launches of each stage."""
        return Schedule(self, format_, frames, past)

    def named(self, channels: Mapping[Channel, float]) -> dict[str, Place]:
        """All of the reference's trace."""
        names = [name for channel in channels for name in FEATURES[channel]]
        colours = RGB if Channel.COLOUR in channels else ()
        found = {}
        for number, (level, place) in enumerate(self.levels.items()):
            for name in ("intensity", *colours):
                found[f"pyramid/{name}/{level}"] = place.plane(self.planes.index(name))
            for name in names:
                at = number * len(self.features) + self.features.index(name)
                found[f"map/{name}/{level}"] = self.feature_maps.plane(at)
                found[f"activation/{name}/{level}"] = self.activations.plane(at)
        for number, channel in enumerate(FEATURES):
            if channel in channels:
                found[f"conspicuity/{channel}"] = self.sums.plane(number)
        return {**found, "saliency": self.sums.plane(len(FEATURES))}


class Schedule(unfused.Schedule):
    """The launches of each stage, by a method of its name."""

    layout: Layout

    def __init__(self, layout: Layout, format_: FrameFormat, frames: int, past: bool) -> None:
        super().__init__(layout, format_, frames, past)
        others = (names for channel, names in FEATURES.items() if channel in self.weights)
        self.maps = len({"intensity"}.union(*others))  # of a level
        self.colours = len(RGB) * (Channel.COLOUR in self.weights)
        # The first of the planes that are made of this frame's pixels.
        self.first = layout.colours - self.colours

    def opponency(self) -> Iterator[Launch]:
        """The finest level."""
        yield self.scan()
        layout, finest = self.layout, self.layout.levels[LEVELS[0]]
        between = Place(layout.between, finest.height, self.plan.shape[1])
        down, across = layout.halvings[LEVELS[0]]
        numbers = between.offset, between.height, down, self.colours
        yield self.over("opponency", "gbvs_pixels", between.size, 1, "call", *numbers)
        target, planes = finest.plane(self.first), 1 + self.colours
        yield self._resample("opponency", planes, between, target, 1, across)

    def pyramid(self) -> Iterator[Launch]:
        """The coarser levels."""
        for finer, level in pairwise(LEVELS):
            source, target = (self.layout.levels[each].plane(self.first) for each in (finer, level))
            tables = self.layout.halvings[level]
            yield from self._both("pyramid", 1 + self.colours, source, target, tables)

    def orientation(self) -> Iterator[Launch]:
        """Energies of every level."""
        if Channel.ORIENTATION in self.weights:
            planes = (self._plane(name) for name in ("intensity", reference.ENERGIES[0]))
            yield self._tiles("orientation", *planes, self.layout.filters)

    def features(self) -> Iterator[Launch]:
        """Colours of every level; then all at the map's size."""
        layout = self.layout
        if self.colours:
            planes = (self._plane(name) for name in (RGB[0], reference.COLOURS[0]))
            yield self._tiles("colours", *planes, layout.lights, layout.opponents)
        for number, (level, place) in enumerate(layout.levels.items()):
            source = place.plane(self._plane("intensity"))
            target = layout.feature_maps.plane(number * len(layout.features))
            yield from self._both("features", self.maps, source, target, layout.resizings[level])

    def activation(self) -> Iterator[Launch]:
        """A chain for each map of a channel with a weight."""
        layout, first = self.layout, int(Channel.INTENSITY not in self.weights)
        count = self.maps - first
        grid = layout.blocks, count * len(LEVELS)
        numbers = (
            layout.feature_maps.offset,
            layout.activations.offset,
            len(layout.features),
            first,
            count,
        )
        given = *numbers, layout.nearness, layout.totals
        yield self._launch("activation", "gbvs_activation", grid, THREADS, *given)

    def combine(self) -> Iterator[Launch]:
        """Sums, and the map."""
        layout = self.layout
        maps = layout.activations.offset, len(LEVELS), len(layout.features), layout.sums.offset
        weights = (np.float32(self.weights.get(channel, 0)) for channel in FEATURES)
        given: tuple[Argument, ...] = *CALLER, *maps, *layout.blurs, *weights
        yield self._launch("combine", "gbvs_combine", 1, 1024, *given)

    def _plane(self, name: str) -> int:
        return self.layout.planes.index(name)

    def _tiles(self, kernel: str, *numbers: int) -> Launch:
        stage = "orientation" if kernel == "orientation" else "features"
        return self._launch(stage, f"gbvs_{kernel}", self.layout.tiles, COLUMNS, *numbers)

    def _both(
        self, stage: str, planes: int, source: Place, target: Place, tables: list[int]
    ) -> Iterator[Launch]:
        """Planes of another size: down, then across."""
        between = Place(self.layout.between, target.height, source.width)
        for across, (a, b) in enumerate(((source, between), (between, target))):
            yield self._resample(stage, planes, a, b, across, tables[across])

    def _resample(
        self, stage: str, planes: int, source: Place, target: Place, across: int, table: int
    ) -> Launch:
        given = *source, *target, across, table
        return self.over(stage, "gbvs_resample", target.size, planes, *given)


def halved(n: int) -> Axis:
    """Of the next level, from `n` samples; those outside weigh nothing."""
    index, weights = reference.halving(n)
    return index.clip(0, n - 1), weights


def halved_twice(n: int) -> Axis:
    """Of the second level from here."""
    (finer, fine_weights), (index, weights) = halved(n), halved(n // 2)
    both = fine_weights[index] * weights[..., None]
    return finer[index].reshape(len(index), -1), both.reshape(len(index), -1)


def whole(n: int) -> Axis:
    """Of a level of the same size."""
    return np.arange(n)[:, None], np.ones((n, 1))


def faded_blur(n: int) -> Axis:
    """Of the last map, from the sum over channels."""
    index, weights = reference.blurring(n)
    return index, weights * reference.fade(n, reference.MAP_FADE)[index]


def taps(index: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The table that kernels read: how many samples, the first for each output, and the weights."""
    first = index.min(axis=1)
    count = int((index.max(axis=1) - first).max()) + 1
    table = np.zeros((1 + count, len(index)))
    table[0] = first
    np.add.at(table, (1 + index - first[:, None], np.arange(len(index))[:, None]), weights)
    return np.concatenate([[count], table.ravel()])


def opposite_pairs() -> np.ndarray:
    """Weights of the samples behind the middle, of the even and then the odd filters, by angle."""
    filters = [reference.GABOR.kernel(theta, phase) for phase in (0, 90) for theta in ORIENTATIONS]
    flat = np.stack(filters, axis=-1).reshape(-1, len(filters))
    return flat[len(flat) // 2 + 1 :]
