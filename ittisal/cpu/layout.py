"""Where planes, maps and weights lie: one float32 arena, made once per model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..allocator import Allocator
from ..config import Phase
from ..features import ORIENTATIONS, Channel
from ..plan import (
    FIGURE_MAPS,
    SCALES,
    Plan,
    Step,
    downsampling_weights,
    gaussian_tables,
    scatter_weights,
)
from .rows import GABOR_PARTIALS, RECONSTRUCTIONS

PAD = 16  # zeros around every row: half of the widest filter, and the widest vector
ENERGIES = 3 * len(ORIENTATIONS)  # of decorrelated planes


def padded(n: int) -> int:
    """`n` rounded up to whole widest vectors, with at least PAD more.

    An odd number of cache lines: rows a power of two apart would share the same few cache sets.
    """
    return ((n + PAD - 1) // PAD + 1) // 2 * 2 * PAD + PAD


def state_stride(pairs: int) -> int:
    """Floats from one row of a step's state to the next, for so many pairs of columns.

    Whole blocks of 2 PAD samples, and a line more (see `padded`).
    """
    return (pairs + PAD - 1) // PAD * (2 * PAD) + PAD


def interior_weights(taps: np.ndarray, phase: Phase) -> tuple[tuple[int, int], ...]:
    """A step's weights away from the borders, as whole numbers: per output, of the
    even and the odd sample of a pair.
    """
    middle = scatter_weights(downsampling_weights(64, taps, phase))[16] * weight_scale(taps, phase)
    return tuple((round(even), round(odd)) for even, odd in middle)


def weight_scale(taps: np.ndarray, phase: Phase) -> int:
    """What makes the interior weights whole numbers."""
    return round((2 if phase is Phase.CENTRED else 1) / taps[taps > 0][0])


class Weights(NamedTuple):
    """Where a step's weights lie: rows per pair of rows, and columns per pair of columns."""

    rows: int
    row_stride: int
    columns: int
    column_stride: int
    parts: int  # outputs that a pair reaches

    @property
    def reach(self) -> int:
        """Outputs to either side that a pair reaches."""
        return self.parts // 2

    def row(self, pair: int) -> int:
        """Where the weights of a pair of rows lie."""
        return self.rows + pair * self.row_stride


def aligned(size: int) -> np.ndarray:
    """So many zeroed floats, aligned to a cache line."""
    raw = np.zeros(size + PAD, np.float32)
    start = -raw.ctypes.data // 4 % PAD
    return raw[start : start + size]


class Layout:
    """Offsets of everything in the arena, in floats, and views of it by the plan's names."""

    def __init__(self, plan: Plan) -> None:
        self.plan, config = plan, plan.config
        self.space = space = Allocator(PAD, start=PAD)
        self.levels: dict[int, int] = {}  # where a level lies in each plane
        size = 0
        for level in plan.levels:
            self.levels[level] = size
            size += plan.level_shape(level)[0] * self.pitch(level) + PAD
        self.plane_stride = padded(size)
        self.planes = self._take_maps(len(plan.planes), self.plane_stride)
        self.zeros = space.take(GABOR_PARTIALS * self.pitch(plan.finest_level) + 2 * PAD) + PAD
        # Of a frame, and running: by group, the planes and each energy's scales.
        self.statistics = np.zeros((2, 1 + ENERGIES, SCALES, 1 + SCALES))
        height, width = plan.map_shape
        self.map_stride = height * padded(width) + PAD
        self.maps = self._take_maps(plan.map_count, self.map_stride)
        self.sums = self._take_maps(len(plan.sums) * (1 + plan.rewrites_maps), self.map_stride)
        self.affines = space.take(2 * (plan.map_count + len(plan.sums)))
        self.added = self._take_maps(2, self.map_stride)  # of the caller's channels: a sum, a gain
        self.gain = self.added + self.map_stride
        self.unity = space.put(np.array([1.0, 0.0]))  # a scale and an offset
        self.map_fade = self._put_fade(*plan.map_fade())
        if plan.config.centre_prior > 0:
            self.centre_prior = self._put_fade(*plan.centre_prior())
        self.weights = {(s.kind, s.level): self._put_weights(s) for s in plan.steps()}
        self.filters = {level: self._put_filters(level) for level in plan.levels}
        self.gaussians: list[tuple[int, int]] = []  # kernel, reach
        if plan.rewrites_maps:
            for kernel, rows, columns in gaussian_tables(plan.map_shape):
                factors = np.zeros(padded(width))
                factors[:width] = columns
                offset = space.put(kernel, rows, factors)
                self.gaussians.append((offset, len(kernel) - 1))
        if config.figure:
            level = plan.corner_level + 1
            height, width = plan.level_shape(level)
            self.figures = self._take_maps(FIGURE_MAPS, self.map_stride)
            self.surroundedness_stride = height * padded(width) + PAD
            self.surroundedness = self._take_maps(1 + len(ORIENTATIONS), self.surroundedness_stride)
            self.reconstructions = space.take(2 * RECONSTRUCTIONS * height * width)
        if config.has(Channel.WHITENED):
            level = plan.map_level + 1
            height, _ = plan.level_shape(level)
            self.scales = self._take_maps(ENERGIES * SCALES, self.map_stride)
            self.mahalanobis = self._take_maps(ENERGIES, self.map_stride)
            self.whitened_sum = self._take_maps(1, self.map_stride)
            self.coarse_stride = height * self.pitch(level) + PAD
            self.coarse_energies = self._take_maps(ENERGIES, self.coarse_stride)
            self.whitened_fade = self._put_fade(*plan.map_fade(always=True))

    def allocate(self) -> np.ndarray:
        """Make the arena."""
        self.arena = self.space.fill(aligned(self.space.size + PAD))
        return self.arena

    def _take_maps(self, count: int, stride: int) -> int:
        """Offset of maps `stride` apart, with zeros around each."""
        return self.space.take(stride * count + 2 * PAD) + PAD

    # --- offsets

    def pitch(self, level: int) -> int:
        """Floats from one row of a level to the next."""
        return padded(self.plan.level_shape(level)[1])

    @property
    def map_pitch(self) -> int:
        """The same of maps."""
        return self.pitch(self.plan.map_level)

    def plane_at(self, name: str) -> int:
        """Where a plane lies."""
        return self.planes + self.plan.planes.index(name) * self.plane_stride

    def map_at(self, index: int) -> int:
        """Where a centre-surround map lies."""
        return self.maps + index * self.map_stride

    def map_affine_at(self, index: int) -> int:
        """Where its scale and offset lie."""
        return self.affines + 2 * index

    def sum_at(self, name: str) -> int:
        """Where a sum lies."""
        return self.sums + self.plan.sums.index(name) * self.map_stride

    def normalised_at(self, name: str) -> int:
        """Where the map lies that a sum's scale and offset apply to: the sum, or its copy."""
        return self.sum_at(name) + self.plan.rewrites_maps * len(self.plan.sums) * self.map_stride

    def sum_affine_at(self, name: str) -> int:
        """Where a sum's scale and offset lie."""
        return self.affines + 2 * (self.plan.map_count + self.plan.sums.index(name))

    def scale_at(self, energy: int, scale: int) -> int:
        """Where one scale of an energy of a decorrelated plane lies, at the map's level."""
        return self.scales + (energy * SCALES + scale) * self.map_stride

    # --- views: see `trace.Buffers`

    def plane(self, name: str, level: int) -> np.ndarray:
        """A view of one plane at one level."""
        return self._view(self.plane_at(name) + self.levels[level], level)

    def guidance(self) -> tuple[np.ndarray, np.ndarray]:
        """Views of what the caller's channels add to the sum, and of what they multiply by."""
        return self._map_view(self.added), self._map_view(self.gain)

    def map(self, index: int) -> np.ndarray:
        """A view of one centre-surround map."""
        return self._map_view(self.map_at(index))

    def map_affine(self, index: int) -> tuple[float, float]:
        """Scale and offset that N gave it."""
        return self._pair(self.map_affine_at(index))

    def sum(self, name: str) -> np.ndarray:
        """A view of a sum."""
        return self._map_view(self.sum_at(name))

    def normalised_sum(self, name: str) -> tuple[np.ndarray, float, float]:
        """What N left of it: a view, and the scale and offset that apply to it."""
        return self._map_view(self.normalised_at(name)), *self._pair(self.sum_affine_at(name))

    def figure(self) -> tuple[np.ndarray, np.ndarray]:
        """Views of surroundedness and corners."""
        return self._map_view(self.figures), self._map_view(self.figures + self.map_stride)

    def measured(self, group: int, maps: int) -> np.ndarray:
        """Statistics of the frame."""
        return self.statistics[0, group, :maps, : 1 + maps]

    def scale(self, energy: int, scale: int) -> np.ndarray:
        """A view of one scale of an energy."""
        return self._map_view(self.scale_at(energy, scale))

    def whitened(self, planes: Sequence[str]) -> dict[str, np.ndarray]:
        """Views of the squared Mahalanobis distances, and of their sum."""
        if not self.plan.config.has(Channel.WHITENED):
            return {}
        named = {"conspicuity/whitened": self._map_view(self.whitened_sum)}
        for energy, (plane, theta) in enumerate(product(planes, ORIENTATIONS)):
            distance = self._map_view(self.mahalanobis + energy * self.map_stride)
            named[f"feature/whitened_{plane}_{theta}"] = distance
        return named

    def level_data(self, name: str) -> np.ndarray:
        """A plane's whole part of the arena: all of its levels."""
        start = self.plane_at(name)
        return self.arena[start : start + self.plane_stride - PAD]

    def _map_view(self, offset: int) -> np.ndarray:
        return self._view(offset, self.plan.map_level)

    def _view(self, offset: int, level: int) -> np.ndarray:
        height, width = self.plan.level_shape(level)
        pitch = self.pitch(level)
        return self.arena[offset : offset + height * pitch].reshape(height, pitch)[:, :width]

    def _pair(self, offset: int) -> tuple[float, float]:
        return self.arena[offset], self.arena[offset + 1]

    # --- tables of weights

    def _put_fade(self, rows: np.ndarray, columns: np.ndarray) -> int:
        across = np.zeros(self.map_pitch)
        across[: len(columns)] = columns
        return self.space.put(across, rows)

    def _put_filters(self, level: int) -> tuple[int, int]:
        """Row factors (of the low-pass and of the energy, row by row) and column factors."""
        rows, across = self.plan.orientation_filters(level)
        columns = np.zeros((2, self.pitch(level)))
        columns[:, : len(across[0])] = across
        return self.space.put(np.stack(rows, -1)), self.space.put(columns)

    def _put_weights(self, step: Step) -> Weights:
        phase = self.plan.config.phase
        rows, columns = (
            scatter_weights(weights, fade)
            for weights, fade in zip(self.plan.step_weights(step), step.fade, strict=True)
        )
        interior = interior_weights(step.taps, phase)
        return put_weights(self.space, rows, columns, interior, weight_scale(step.taps, phase))


def put_weights(
    space: Allocator,
    rows: np.ndarray,
    columns: np.ndarray,
    interior: tuple[tuple[int, int], ...],
    whole: int,
) -> Weights:
    """A step's weights along both axes, from `scatter_weights`, where `interior` has them as whole
    numbers, `whole` times as great; then whether they are interior ones. Behind a pair of rows
    comes how much more the weights of the output that it completes are.
    """
    plain_weights = np.ravel(interior)
    pairs, parts, _ = columns.shape
    by_row = np.zeros((len(rows) + parts, 2 * parts + 2))  # pairs past the end: zeros
    by_row[: len(rows), : 2 * parts] = rows.reshape(-1, 2 * parts) * whole
    by_row[:, 2 * parts] = np.isclose(by_row[:, : 2 * parts], plain_weights, atol=1e-9).all(1)
    middle = parts // 2
    more = by_row[: len(rows), 2 * middle] / interior[middle][0]
    by_row[middle : middle + len(more), 2 * parts + 1] = more
    by_column = np.zeros((2 * parts + 1, padded(pairs) + PAD))
    by_column[:-1, :pairs] = columns.reshape(pairs, -1).T * whole
    plain = np.isclose(by_column[:-1].T, plain_weights, atol=1e-9).all(1)
    windows = np.lib.stride_tricks.sliding_window_view(plain, PAD)
    by_column[-1, : len(windows)] = windows.all(1)
    return Weights(
        space.put(by_row), by_row.shape[1], space.put(by_column), by_column.shape[1], parts
    )
