"""The model's linear steps as matrices along either axis, and how a graph applies them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..config import Phase, Upsampling
from ..plan import Plan, attenuation
from ..sampling import sampling
from .onnx_graph import Tensor

LONG = 256  # samples of an axis from which on a convolution costs less than a product of matrices
SAME = 1e-12  # weights that differ by less are those of one filter


class Axes(NamedTuple):
    """A separable step: a matrix for columns of samples and one for rows, (results, samples)."""

    down: np.ndarray
    across: np.ndarray

    def after(self, first: Axes) -> Axes:
        """As one step, this one behind another."""
        return Axes(self.down @ first.down, self.across @ first.across)


# --- matrices ----------------------------------------------------------------------------------


def downsampling(plan: Plan, kind: str, first: int, last: int) -> Axes:
    """The steps of a kind of the plan's (`Step.kind`) from one level to another, as one."""
    found = Axes(*(np.eye(n) for n in plan.level_shape(first)))
    for step in plan.steps():
        if step.kind == kind and first <= step.level < last:
            sides = plan.level_shape(step.level)
            weights = plan.step_weights(step)
            found = Axes(*map(_strided, weights, sides)).after(found)
    return found


def _strided(weights: np.ndarray, n: int) -> np.ndarray:
    """The matrix of weights as `plan.downsampling_weights` gives them, for n samples."""
    count, taps = weights.shape
    reach, matrix = (taps - 1) // 2, np.zeros((count, n))
    for row, k in np.argwhere(weights):
        matrix[row, 2 * row - reach + k] = weights[row, k]
    return matrix


def faded(step: Axes, fade: tuple[np.ndarray, np.ndarray]) -> Axes:
    """A step on samples that are scaled by a border fade first."""
    return Axes(step.down * fade[0], step.across * fade[1])


def border_fade(plan: Plan, level: int) -> tuple[np.ndarray, np.ndarray]:
    """That of centre-surround maps of a level, by axis."""
    shape = plan.level_shape(level)
    return attenuation(shape, max(shape) // 20 if plan.config.border_attenuation else 0)


def upsampling(plan: Plan, level: int, to: int) -> Axes:
    """From a level to a finer one, on the pyramid's grid."""
    factor, config = 1 << (level - to), plan.config
    matrices = []
    for side, n in zip(plan.level_shape(to), plan.level_shape(level), strict=True):
        at = np.arange(side)
        if config.upsampling is Upsampling.REPLICATE:
            matrices.append(interpolation(at // factor, n))
        elif config.phase is Phase.CENTRED:
            matrices.append(interpolation((at + 0.5) / factor - 0.5, n))
        else:
            matrices.append(interpolation(at / factor, n))
    return Axes(*matrices)


def to_frame(plan: Plan) -> Axes:
    """From the map to the frame's pixels, as `maps.upsample` does it."""
    grid = sampling(plan.shape, plan.config)
    down, across = (
        interpolation((np.arange(side) - first) / step, n)
        for side, n, step, first in zip(*grid, strict=True)
    )
    return Axes(down, across)


def interpolation(at: np.ndarray, n: int) -> np.ndarray:
    """Linear interpolation of n samples at some places; beyond the outer ones it is constant."""
    at = np.clip(at, 0, n - 1)
    low = np.minimum(at.astype(int), max(n - 2, 0))
    high = np.minimum(low + 1, n - 1)
    matrix, rows = np.zeros((len(at), n)), np.arange(len(at))
    np.add.at(matrix, (rows, low), 1 - (at - low))
    np.add.at(matrix, (rows, high), at - low)
    return matrix


# --- in a graph --------------------------------------------------------------------------------


def apply(step: Axes, maps: Tensor, channels: int) -> Tensor:
    """A step of maps of shape (1, channels, h, w); long axes are convolved."""
    for axis, matrix in zip((2, 3), step, strict=True):
        count, n = matrix.shape
        if count == n and np.array_equal(matrix, np.eye(n)):
            continue
        convolve = n >= LONG and count < n
        maps = (_convolved if convolve else _product)(matrix, maps, axis, channels)
    return maps


def _product(matrix: np.ndarray, maps: Tensor, axis: int, channels: int = 0) -> Tensor:
    return matrix @ maps if axis == 2 else maps @ matrix.T


def _convolved(matrix: np.ndarray, maps: Tensor, axis: int, channels: int) -> Tensor:
    """A strided filter by a convolution, but for the results near a border, whose weights differ:
    those are products of matrices with the few samples that they see.
    """
    count, n = matrix.shape
    stride, middle = n // count, count // 2
    seen = np.flatnonzero(matrix[middle])
    start, kernel = seen[0] - stride * middle, matrix[middle, seen[0] : seen[-1] + 1]
    rows = np.arange(count)
    inside = (start + stride * rows >= 0) & (start + stride * rows + len(kernel) <= n)
    alike = np.zeros(count, bool)
    for row in rows[inside]:
        wanted = np.zeros(n)
        wanted[start + stride * row :][: len(kernel)] = kernel
        alike[row] = np.abs(matrix[row] - wanted).max() < SAME
    first, last = middle, middle
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < count and alike[last + 1]:
        last += 1
    before = -start % stride  # zeros, so that the convolution's results are the matrix's
    skipped = (before + start) // stride  # of the matrix's results, which it has none for
    pads = [before, 0, 0, 0] if axis == 2 else [0, before, 0, 0]
    filtered = maps.graph.add(
        "Conv",
        maps,
        np.tile(_along(kernel, axis), (channels, 1, 1, 1)),
        group=channels,
        strides=[stride, 1] if axis == 2 else [1, stride],
        pads=pads,
    )
    parts = [filtered.slice(axis, first + skipped, last + 1 + skipped)]
    if first > 0:
        reach = int(np.flatnonzero(matrix[:first].any(0))[-1]) + 1
        parts.insert(0, _product(matrix[:first, :reach], maps.slice(axis, 0, reach), axis))
    if last + 1 < count:
        reach = int(np.flatnonzero(matrix[last + 1 :].any(0))[0])
        parts.append(_product(matrix[last + 1 :, reach:], maps.slice(axis, reach, n), axis))
    return maps.graph.concatenate(parts, axis)


def low_pass(maps: Tensor, channels: int, taps: np.ndarray) -> Tensor:
    """A separable low-pass with zeros outside; the shares inside are left to the caller."""
    for axis in (2, 3):
        reach = len(taps) // 2
        maps = maps.graph.add(
            "Conv",
            maps,
            np.tile(_along(taps, axis), (channels, 1, 1, 1)),
            group=channels,
            pads=[reach, 0, reach, 0] if axis == 2 else [0, reach, 0, reach],
        )
    return maps


def _along(kernel: Sequence[float] | np.ndarray, axis: int) -> np.ndarray:
    """A filter along an axis, of shape (1, 1, k, 1) or (1, 1, 1, k)."""
    return np.reshape(kernel, (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1))
