"""The operator N in a graph; see `reference.normalise`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..config import Normalisation, PeakMean
from ..plan import (
    DARK,
    FLAT,
    HALF_A_PEAK,
    INHIBITION,
    PLATEAU,
    RANGE,
    THRESHOLD,
    Plan,
    gaussian_tables,
)
from .onnx_graph import Tensor

HALVES = (1, 2, 3)  # the axes of all samples of a map and of its halves


def flat(signal: Any) -> Any:
    """The range up to which a map is flat beside the size of its signal."""
    if isinstance(signal, Tensor):
        return signal.maximum(DARK) * FLAT
    return np.maximum(signal, DARK) * FLAT


def normalise(
    plan: Plan, maps: Tensor, signal: Any, *, first: bool = True, to: float = RANGE
) -> Tensor:
    """N of several maps, each with its halves: (n, halves, h, w) becomes (n, 1, h, w).

    `signal` is 1, or the size of each map's signal, of shape (n, 1, 1, 1).
    """
    config, maps = plan.config, maps.positive()
    iterates = config.normalisation is Normalisation.ITERATIVE
    if config.normalisation is Normalisation.NONE:
        maps = _rescaled(maps, signal, 1.0)
    elif first or to != RANGE or not iterates:
        maps = _rescaled(maps, signal, to)
    if iterates:
        maps = _iterated(plan, maps)
    elif config.normalisation is Normalisation.MAXNORM:
        maps = maps * _promotion(plan, maps, to)
    return maps.total((1,)) if plan.halves > 1 else maps


def _rescaled(maps: Tensor, signal: Any, to: float) -> Tensor:
    low = maps.lowest(HALVES)
    height = maps.highest(HALVES) - low
    is_flat = height <= flat(signal)
    return (maps - low) * is_flat.where(0.0, to / is_flat.where(1.0, height))


def _promotion(plan: Plan, maps: Tensor, to: float) -> Tensor:
    """(M - m)^2 of each map, M its maximum and m the mean of its local maxima."""
    top = maps.highest()
    height, width = plan.map_shape
    all_peaks = plan.config.peak_mean is PeakMean.ALL
    if min(height, width) < 3:  # no sample has four neighbours, so there is no peak
        return top * 0.0 + 1.0 if all_peaks else top * top

    def shifted(down: int, right: int) -> Tensor:
        rows = maps.slice(2, 1 + down, height - 1 + down)
        return rows.slice(3, 1 + right, width - 1 + right)

    inner, row = shifted(0, 0), (shifted(0, -1), shifted(0, 1))
    column = (shifted(-1, 0), shifted(1, 0))
    highest, high = row[0].maximum(row[1], *column), inner >= THRESHOLD * to
    if all_peaks:
        counts = (high & (inner >= highest)).cast(np.float32)
        total, count = (counts * inner).total(), counts.total()
        mean = (count > 1.5).where(total / count.maximum(1.0), 0.0)
        return (count > 0.5).where((top - mean) * (top - mean), 1.0)
    near = (top - maps.lowest()) * PLATEAU
    equals = [
        sum((sample >= inner - near).cast(np.float32) for sample in pair) for pair in (row, column)
    ]
    share = 1.0 / ((1.0 + equals[0]) * (1.0 + equals[1]))
    counts = (high & (inner + near >= highest)).where(share, 0.0)
    at_top = (inner >= top - near).where(counts, 0.0).total().minimum(1.0)
    total, count = (counts * inner).total() - top * at_top, counts.total() - at_top
    some = count > HALF_A_PEAK
    mean = some.where((total / some.where(count, 1.0)).positive().minimum(top), 0.0)
    return (top - mean) * (top - mean)


def _iterated(plan: Plan, maps: Tensor) -> Tensor:
    """X <- max(0, X + excitation - inhibition - 0.02 max X), repeatedly."""
    blurs = []
    for kernel, *factors in gaussian_tables(plan.map_shape):
        whole = np.append(kernel, np.zeros(max(plan.map_shape)))
        blurs.append(
            [
                whole[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))] * factor[:, None]
                for n, factor in zip(plan.map_shape, factors, strict=True)
            ]
        )
    for _ in range(plan.config.iterations):
        excitation, inhibition = (down @ maps @ across.T for down, across in blurs)
        maps = (maps + excitation - inhibition - INHIBITION * maps.highest()).positive()
    return maps
