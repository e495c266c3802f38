"""Graph-based visual saliency on the CPU (`references.gbvs`): its buffers, tables and launches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..allocator import Allocator
from ..features import Channel
from ..pipeline import FrameFormat
from ..plan import Plan, scatter_weights
from ..references import as_matrix
from ..references import gbvs as reference
from . import bands as b
from . import program, tables
from . import rows as r
from .layout import PAD, padded, put_weights
from .program import Place
from .schedule import Launch, Order, kernel
from .target import target

COLOURS, ENERGIES, LEVELS, SIDE = (
    reference.COLOURS, reference.ENERGIES, reference.LEVELS, reference.SIDE,
)  # fmt: skip
LEVEL_BAND = 90  # rows of a task, whatever the threads: they are always summed in the same order
WEIGHTS = ((5, 1), (10, 10), (1, 5))  # of a pair of samples, in the outputs that it reaches


class Levels:
    """Shapes of the pyramids' levels, and where they lie in a plane (see `layout.Layout`)."""

    finest_level = LEVELS[0]

    def __init__(self, shape: tuple[int, int], space: Allocator) -> None:
        self.plan, self.shape = self, shape
        self.levels: dict[int, int] = {}
        self.weights = {}
        self.plane_stride = b.MARGIN
        for level in range(LEVELS[-1] + 1):
            if level > 0 and not self.halves(level - 1):  # as the one before
                self.levels[level] = self.levels[level - 1]
            elif level >= self.finest_level:
                self.levels[level] = self.plane_stride
                self.plane_stride += self.level_shape(level)[0] * self.pitch(level)
            if self.halves(level):
                sides = map(reference.halving, self.level_shape(level))
                rows, columns = (scatter_weights(weights) for _, weights in sides)
                self.weights["pyramid", level] = put_weights(space, rows, columns, WEIGHTS, 32)
        self.plane_stride = padded(self.plane_stride)

    def level_shape(self, level: int) -> tuple[int, int]:
        """Height and width."""
        return reference.level_shape(self.shape, level)

    def halves(self, level: int) -> bool:
        """Whether the next one is smaller."""
        return min(self.level_shape(level)) > reference.SMALLEST

    def pitch(self, level: int) -> int:
        """Floats from one row to the next."""
        return padded(self.level_shape(level)[1] + 2 * b.MARGIN)


class LevelTables(tables.Tables):
    """The streams that make the levels of some planes."""

    def __init__(self, levels: Levels, planes: int, threads: int) -> None:
        self.layout: Any = levels
        self.plan: Any = levels
        self.planes, self.scratch_size = planes, 0
        self._records: list[np.ndarray] = []
        self.bands = tables.band_count(levels.level_shape(levels.finest_level)[0], threads)

    def coarser(self, start: int) -> np.ndarray:
        """The coarser levels, and the ends of the first plane's rows beside them."""
        levels, made = self.layout, list[list[int]]()
        for level in LEVELS:
            height, width = levels.level_shape(level)
            source = start + levels.levels[level], levels.pitch(level)
            if level < LEVELS[-1] and ("pyramid", level) in levels.weights:
                target = start + levels.levels[level + 1], levels.pitch(level + 1)
                stride = levels.plane_stride
                made += self._whole("pyramid", level, self.planes, stride, source, target)
            for y in range(height):
                made.append([0] * (r.WIDTH + 1))
                made[-1][r.OPERATION], made[-1][r.WIDTH] = b.EXTEND, width
                made[-1][r.HERE] = source[0] + y * source[1]
        return self.tasks([tables.Program(tables.table(made))])


class Program(program.Program):
    """GBVS for frames of one format. Channels without a weight are left out."""

    def __init__(self, plan: Plan, format_: FrameFormat, order: str, threads: int) -> None:
        super().__init__(plan, format_, order, threads)
        self.records: list[np.ndarray] = []
        self.scratch = 2 * SIDE * SIDE + 4 * PAD
        colour = Channel.COLOUR in self.channels
        self.planes = ("intensity", *(("red", "green", "blue") if colour else ()))
        self.plain = ("intensity", *(COLOURS if colour else ()))
        self.energies = ENERGIES if Channel.ORIENTATION in self.channels else ()
        self.levels = levels = Levels(plan.shape, self.space)
        start = self.space.take(len(self.planes) * levels.plane_stride)
        for number, name in enumerate(self.planes):
            for level in LEVELS:
                offset = start + number * levels.plane_stride + levels.levels[level]
                place = Place(offset, levels.level_shape(level), levels.pitch(level))
                self.places[f"pyramid/{name}/{level}"] = place
        self.streams = LevelTables(levels, len(self.planes), threads)
        self.resized: list[list[int]] = []
        self.bands = self._bands(self.plain, 0), self._bands(self.energies, reference.GABOR_FADE)
        self.names = [
            name
            for name in (*self.plain, *self.energies)
            if reference.channel_of(name) in self.channels
        ]
        named = [f"{name}/{level}" for level in LEVELS for name in self.names]
        activations = [self.take(f"activation/{name}", plan.map_shape) for name in named]
        sums = [self.take(f"conspicuity/{channel}", plan.map_shape) for channel in self.channels]
        saliency = self.take("saliency", plan.map_shape)
        maps = [self.places[f"map/{name}"].offset for name in named]
        signals = [self.places[f"map/intensity/{name.split('/')[1]}"].offset for name in named]
        tasks = zip(signals, maps, (place.offset for place in activations), strict=True)
        if Channel.INTENSITY not in self.channels:
            for level in LEVELS:
                del self.places[f"map/intensity/{level}"]
        size = plan.shape[0] * plan.shape[1] * format_.channels
        frame = "pyramid", format_.channels, size, len(self.planes), start
        down, across = reference.nearness_along(plan.map_shape)
        fades = [reference.fade(n, reference.MAP_FADE) for n in plan.map_shape]
        self.fields = {
            "opponency": self.streams.opponency(*frame),
            "pyramid": self.streams.coarser(start),
            "levels": self.bands[0],
            "orientation": self.bands[1],
            "resampling": self._keep(self.resized),
            "maps": self._keep([*tasks]),
            "plane_stride": levels.plane_stride,
            "map_height": plan.map_shape[0],
            "map_width": plan.map_shape[1],
            "map_pitch": saliency.pitch,
            "map_stride": sums[0].offset - activations[-1].offset,
            "map_fade": self._put_rows(np.outer(*fades)),
            "light_levels": self.space.put(reference.light_table()),
            "activations": activations[0].offset,
            "conspicuities": sums[0].offset,
            "channel_weights": self.space.put(np.array([*self.channels.values()])),
            "saliency": saliency.offset,
            "graph_down": self._put_rows(down),
            "graph_across": self._put_rows(across),
            "graph_sums": self._put_rows(np.outer(down.sum(1), across.sum(1))),
        }
        self.scratch = max(self.scratch, self.streams.scratch_size)

    def _bands(self, names: Sequence[str], faded: int) -> np.ndarray:
        """Records of all levels' bands; places the maps that are made of them."""
        made: list[list[int]] = []
        for level in LEVELS if names else ():
            source = self.places[f"pyramid/intensity/{level}"]
            height, width = source.shape
            down, across = (
                as_matrix(*reference.resizing(n, count), n) * reference.fade(n, faded)
                for n, count in zip(source.shape, self.plan.map_shape, strict=True)
            )
            reached, parts = self._keep([extent(row) for row in down.T]), self._put_rows(down.T)
            first_band, pitch = len(made), padded(width)
            for first, last in tables.bands(height, max(height // LEVEL_BAND, 1)):
                low, high = reached[first:last, 0].min(), reached[first:last, 1].max()
                sums = self.space.take(len(names) * (high - low) * pitch + PAD)
                made.append([
                    source.offset, source.pitch, height, width, first, last, parts,
                    reached.ctypes.data, sums, low, high - low, pitch,
                ])  # fmt: skip
            vectors = np.zeros((SIDE, width))
            vectors[: len(across)] = across
            lanes = target().lanes
            reaching = self._keep(
                [extent(v) for v in np.any(vectors.reshape(-1, lanes, width), axis=1)]
            )
            maps = [self.take(f"map/{name}/{level}", self.plan.map_shape) for name in names]
            self.resized.append([
                first_band, len(made) - first_band, self._put_rows(across.T),
                reaching.ctypes.data, maps[0].offset, 0, 0, 0,
            ])  # fmt: skip
            scratch = b.filter_scratch(width, lanes), (len(names) + 1) * pitch
            self.scratch = max(self.scratch, *scratch)
        records = self._keep(made)
        for row in self.resized[-len(LEVELS) :] if names else ():
            row[0] = records[row[0] :].ctypes.data
        return records

    def _keep(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """A table that kernels read."""
        self.records.append(np.array(rows, np.int64))
        return self.records[-1]

    def _put_rows(self, matrix: np.ndarray) -> int:
        """Where a matrix lies whose rows are filled up to the longest of a map's."""
        rows = np.zeros((len(matrix), SIDE))
        rows[:, : matrix.shape[1]] = matrix
        return self.space.put(rows)

    # --- stages

    def opponency(self) -> list[Launch]:
        """The planes at the finest level."""
        dtype, channels = self.format
        colour = self.format.colour
        bytes_ = self.format == FrameFormat("uint8", 3)
        planes = kernel(
            *(("gbvs", "planes") if bytes_ else ("opponency", "level_2")),
            dtype=dtype,
            channels=channels,
            opponency="channels" if colour else "",
            order=self.order,
            background="",
            luma=(),
            tasks="opponency",
            planes=self.planes,
            weights=WEIGHTS,
        )
        scan = [self.scan()] if dtype == "float32" else []  # whole numbers are never bad
        return [*scan, Launch("opponency", planes, self.streams.bands)]

    def pyramid(self) -> list[Launch]:
        """The coarser levels."""
        planes = len(self.planes)
        coarser = kernel("gbvs", "levels", tasks="pyramid", planes=planes, weights=WEIGHTS)
        return [Launch("pyramid", coarser, 1)]

    def orientation(self) -> list[Launch]:
        """Energies, summed down."""
        count = len(self.bands[1])
        return [Launch("orientation", kernel("gbvs", "orientation"), count)] if count else []

    def features(self) -> list[Launch]:
        """The rest, summed down; then all, across."""
        lights = len(self.planes) - 1
        matrix = reference.opponent_matrix().tolist() if lights else []
        count = len(LEVELS)
        colour = kernel("gbvs", "features", planes=len(self.plain), matrix=as_tuples(matrix))
        energy = kernel("gbvs", "features", planes=len(self.energies), matrix=())
        made = [
            Launch("features", kernel("gbvs", "colours", lights=lights), len(self.bands[0])),
            Launch("features", colour, count),
        ]
        if self.energies:
            made.append(Launch("features", energy, count, Order.BESIDE, first=count))
        return made

    def activation(self) -> list[Launch]:
        """A chain for each map."""
        vectors = -(-self.plan.map_shape[1] // target().lanes)
        chain = kernel("gbvs", "activation", vectors=vectors)
        return [Launch("activation", chain, len(self.names) * len(LEVELS))]

    def combine(self) -> list[Launch]:
        """Their sums, and the saliency map."""
        count = len(self.names)
        channels = tuple(
            tuple(
                level * count + number
                for level in range(len(LEVELS))
                for number, name in enumerate(self.names)
                if reference.channel_of(name) is channel
            )
            for channel in self.channels
        )
        return [Launch("combine", kernel("gbvs", "combine", channels=channels), 1)]


def extent(weights: np.ndarray) -> tuple[int, int]:
    """The first place that is not 0, and the one behind the last."""
    (at,) = np.nonzero(weights)
    return (int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0)


def as_tuples(rows: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """Rows as a kernel's fact."""
    return tuple(map(tuple, rows))
