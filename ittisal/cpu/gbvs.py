"""Graph-based visual saliency on the CPU: its arena, its tables and its launches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import gbvs as g
from ..allocator import Allocator
from ..pipeline import FrameFormat
from ..plan import scatter_weights
from . import rows as r
from .kernels import gbvs as k
from .layout import PAD, Weights, aligned, padded, state_stride
from .rows import SCAN_TASKS
from .schedule import Launch, Order, kernel
from .target import LANES
from .tables import Program, Scratch, Tables, bands, table

BAND = 90  # rows of a level in a task, whatever the threads: sums are in the same order
WHOLE_WEIGHTS = ((5, 1), (10, 10), (1, 5))  # of a pair of samples in the outputs that it reaches


class GbvsPlan:
    """The shapes of a frame's levels and maps."""

    finest_level = g.LEVELS[0]

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.map_shape = shape, g.map_shape(shape)

    def level_shape(self, level: int) -> tuple[int, int]:
        """Height and width of a level."""
        return g.level_shape(self.shape, level)


class GbvsLayout:
    """Where planes, sums, maps and weights lie in the arena."""

    def __init__(self, plan: GbvsPlan) -> None:
        self.plan, self.space = plan, Allocator(PAD, start=PAD)
        self.levels: dict[int, int] = {}
        size = k.MARGIN
        for level in g.LEVELS:
            if level > g.LEVELS[0] and plan.level_shape(level) == plan.level_shape(level - 1):
                self.levels[level] = self.levels[level - 1]
                continue
            self.levels[level] = size
            size += plan.level_shape(level)[0] * self.pitch(level)
        self.plane_stride = padded(size)
        self.planes = self.space.take(len(g.PLANES) * self.plane_stride)
        height, width = plan.map_shape
        self.map_pitch = padded(width)
        self.map_stride = height * self.map_pitch + PAD
        self.weights = {
            ("pyramid", level): self._put_weights(level)
            for level in range(g.LEVELS[-1])
            if plan.level_shape(level) != plan.level_shape(level + 1)
        }
        self.light_levels = self.space.put(g.gamma_table().T)
        down, across = (
            g.graph_weights(n, g.SPREAD * sum(plan.map_shape) / 2) for n in plan.map_shape
        )
        self.graph_down, self.graph_across = self.put_rows(down), self.put_rows(across)
        self.graph_sums = self.put_rows(np.outer(down.sum(1), across.sum(1)))
        fades = [g.fade(n, g.MAP_FADE) for n in plan.map_shape]
        self.map_fade = self.put_rows(np.stack([np.resize(f, g.MAP_SIDE) for f in fades[::-1]]))

    def pitch(self, level: int) -> int:
        """Floats from one row of a level to the next."""
        return padded(self.plan.level_shape(level)[1] + 2 * k.MARGIN)

    def put_rows(self, matrix: np.ndarray) -> int:
        """Offset of a matrix whose rows are filled up to MAP_SIDE with zeros."""
        rows = np.zeros((len(matrix), g.MAP_SIDE))
        rows[:, : matrix.shape[1]] = matrix
        return self.space.put(rows)

    def take_maps(self, count: int) -> int:
        """Offset of so many maps."""
        return self.space.take(count * self.map_stride + PAD)

    def _put_weights(self, level: int) -> Weights:
        rows, columns = (
            scatter_weights(g.downsampling_weights(n)) for n in self.plan.level_shape(level)
        )
        return put_weights(self.space, rows, columns, WHOLE_WEIGHTS)


def put_weights(
    space: Allocator, rows: np.ndarray, columns: np.ndarray, interior: Any
) -> Weights:
    """Both axes' weights in whole numbers away from the borders; then whether they are
    interior ones.
    """
    whole, interior = np.sum(interior), np.ravel(interior)
    pairs, parts, _ = columns.shape
    by_row = np.zeros((len(rows) + parts, 2 * parts + 2))  # pairs past the end: zeros
    by_row[: len(rows), : 2 * parts] = rows.reshape(-1, 2 * parts) * whole
    by_row[:, 2 * parts] = np.isclose(by_row[:, : 2 * parts], interior, atol=1e-9).all(1)
    by_column = np.zeros((2 * parts + 1, padded(pairs) + PAD))
    by_column[:-1, :pairs] = columns.reshape(pairs, -1).T * whole
    plain = np.isclose(by_column[:-1].T, interior, atol=1e-9).all(1)
    windows = np.lib.stride_tricks.sliding_window_view(plain, PAD)
    by_column[-1, : len(windows)] = windows.all(1)
    return Weights(
        space.put(by_row), by_row.shape[1], space.put(by_column), by_column.shape[1], parts
    )


class GbvsTables(Tables):
    """The tables of frames of one format."""

    def __init__(self, layout: GbvsLayout, *, colour: bool, threads: int) -> None:
        self.layout, self.plan = layout, layout.plan  # type: ignore[assignment]
        self._records: list[np.ndarray] = []
        self.bands = 1 if threads == 1 else max(self.plan.level_shape(2)[0] // 64, threads)
        self.scratch_size = 2 * g.MAP_SIDE * g.MAP_SIDE + 4 * PAD
        self.planes = len(g.PLANES) if colour else 1
        self.angles = len(g.ANGLES)
        self.map_count = self.planes + self.angles  # of a level
        self.feature_maps = layout.take_maps(self.map_count * len(g.LEVELS))
        self.activations = layout.take_maps(self.map_count * len(g.LEVELS))
        self.conspicuities = layout.take_maps(3)
        self.kinds = [(self.planes, False), (self.angles, True)]
        self.band_tables = [self._bands(planes, faded) for planes, faded in self.kinds]

    def levels(self) -> np.ndarray:
        """The coarser levels of all planes, and repeated borders of the intensity."""
        layout, rows = self.layout, list[list[int]]()
        for level in g.LEVELS:
            height, width = self.plan.level_shape(level)
            start, pitch = layout.planes + layout.levels[level], layout.pitch(level)
            if ("pyramid", level) in layout.weights and level + 1 in layout.levels:
                target = layout.planes + layout.levels[level + 1], layout.pitch(level + 1)
                rows += self._whole(
                    "pyramid", level, self.planes, layout.plane_stride, (start, pitch), target
                )
            for y in range(height):
                row = [0] * (r.WIDTH + 1)
                row[r.OPERATION], row[r.HERE], row[r.WIDTH] = k.EXTEND, start + y * pitch, width
                rows.append(row)
        return self.tasks([Program(table(rows))])

    def _bands(self, planes: int, faded: bool) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """Records of all levels' bands, and the first and the last of each level."""
        layout, records, ranges = self.layout, list[np.ndarray](), []
        down, _ = self.plan.map_shape
        for level in g.LEVELS:
            height, width = self.plan.level_shape(level)
            matrix = g.resizing_weights(height, down)
            if faded:
                matrix = matrix * g.fade(height, g.ENERGY_FADE)
            weights = layout.put_rows(matrix.T)
            reached = np.array([_extent(column) for column in matrix.T], np.int64)
            self._records.append(reached)
            pitch = padded(width)
            first_band = len(records)
            for first, last in bands(height, max(height // BAND, 1)):
                start, stop = reached[first:last, 0].min(), reached[first:last, 1].max()
                record = np.zeros(k.BAND_COLUMNS, np.int64)
                record[: k.SUM_PITCH + 1] = (
                    layout.planes + layout.levels[level], layout.pitch(level), height, width,
                    first, last, weights, weights, reached.ctypes.data,
                    layout.space.take(planes * (stop - start) * pitch + PAD), start, stop - start,
                    pitch,
                )  # fmt: skip
                records.append(record)
            ranges.append((first_band, len(records) - first_band))
            scratch = k.orientation_scratch(width), (self.planes + 1) * pitch
            self.scratch_size = max(self.scratch_size, *scratch)
        made = np.array(records)
        self._records.append(made)
        return made, ranges

    def resizing(self) -> np.ndarray:
        """Each level's maps of either kind, across."""
        layout, tasks = self.layout, []
        for (made, ranges), (first_map, faded) in zip(
            self.band_tables, ((0, False), (self.planes, True)), strict=True
        ):
            for number, (level, (first, count)) in enumerate(zip(g.LEVELS, ranges, strict=True)):
                _, width = self.plan.level_shape(level)
                matrix = g.resizing_weights(width, self.plan.map_shape[1])
                if faded:
                    matrix = matrix * g.fade(width, g.ENERGY_FADE)
                padded_rows = np.zeros((g.MAP_SIDE, width))
                padded_rows[: len(matrix)] = matrix
                groups = padded_rows.reshape(-1, LANES, width).any(1)
                reaching = np.array([_extent(group) for group in groups], np.int64)
                self._records.append(reaching)
                task = np.zeros(r.TASK_COLUMNS, np.int64)
                task[: k.MAPS + 1] = (
                    made[first:].ctypes.data, count, layout.put_rows(matrix.T),
                    reaching.ctypes.data,
                    self.feature_maps + (number * self.map_count + first_map) * layout.map_stride,
                )  # fmt: skip
                tasks.append(task)
        both = np.array(tasks)
        self._records.append(both)
        return both

    def channels(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the maps of each channel: colour if there is any, intensity, orientation."""
        levels = range(0, self.map_count * len(g.LEVELS), self.map_count)
        kinds = [(0, 1), (self.planes, self.map_count)]
        if self.planes > 1:
            kinds.insert(0, (1, self.planes))
        return tuple(
            tuple(start + n for start in levels for n in range(*kind)) for kind in kinds
        )


def _extent(weights: np.ndarray) -> tuple[int, int]:
    """The first place that is not 0, and the one behind the last."""
    (at,) = np.nonzero(weights)
    return (int(at[0]), int(at[-1]) + 1) if len(at) else (0, 0)


def launches(tables: GbvsTables, format_: FrameFormat, order: str) -> Iterator[Launch]:
    """All launches of a frame."""
    dtype, channels = format_
    colour = format_.colour
    facts: dict[str, Any] = {
        "dtype": dtype,
        "channels": channels,
        "opponency": "channels" if colour else "",
    }
    if dtype == "float32":  # the only one with bad values
        yield Launch("opponency", kernel("scan", **facts), SCAN_TASKS)
    planes = kernel(
        "opponency",
        **facts,
        order=order if colour else "rgb",
        background="",
        tasks="opponency",
        planes=g.PLANES if colour else g.PLANES[:1],
        weights=WHOLE_WEIGHTS,
    )
    yield Launch("opponency", planes, tables.bands)
    coarser = kernel(
        "gbvs", "levels", tasks="pyramid", planes=tables.planes, weights=WHOLE_WEIGHTS
    )
    yield Launch("pyramid", coarser, 1)
    (plain, _), (faded, _) = tables.band_tables
    yield Launch("orientation", kernel("gbvs", "orientation"), len(faded))
    yield Launch("features", kernel("gbvs", "colours", colour=int(colour)), len(plain))
    matrix: Sequence[tuple[float, ...]] = ()
    if colour:
        factors, offsets = g.opponent_axes()
        matrix = tuple((*map(float, row), float(o)) for row, o in zip(factors, offsets, strict=True))
    count = len(g.LEVELS)
    light = kernel("gbvs", "features", planes=tables.planes, matrix=matrix)
    energies = kernel("gbvs", "features", planes=tables.angles, matrix=())
    yield Launch("features", light, count)
    yield Launch("features", energies, count, Order.BESIDE, first=count)
    vectors = -(-tables.plan.map_shape[1] // LANES)
    chain = kernel("gbvs", "activation", vectors=vectors)
    yield Launch("activation", chain, tables.map_count * count)
    yield Launch("combine", kernel("gbvs", "combine", channels=tables.channels()), 1)


def context_values(
    layout: GbvsLayout, tables: GbvsTables, format_: FrameFormat
) -> dict[str, Any]:
    """What the kernels read from the context."""
    height, width = layout.plan.shape
    size = height * width * format_.channels
    plane = layout.planes
    (plain, _), (faded, _) = tables.band_tables
    values = {
        "opponency": tables.opponency("pyramid", format_.channels, size, tables.planes, plane),
        "pyramid": tables.levels(),
        "orientation": faded,
        "levels": plain,
        "resampling": tables.resizing(),
        "planes": plane,
        "plane_stride": layout.plane_stride,
        "map_height": layout.plan.map_shape[0],
        "map_width": layout.plan.map_shape[1],
        "map_pitch": layout.map_pitch,
        "map_stride": layout.map_stride,
    }
    for name in ("light_levels", "graph_across", "graph_down", "graph_sums", "map_fade"):
        values[name] = getattr(layout, name)
    for name in ("feature_maps", "activations", "conspicuities"):
        values[name] = getattr(tables, name)
    return values
