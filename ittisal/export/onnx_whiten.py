"""Statistics, whitening and Mahalanobis distances in a graph; see `reference.whiten`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..plan import DARK, RIDGE
from .onnx_graph import Tensor
from .onnx_normalise import flat


class Whitening(NamedTuple):
    """What decorrelates groups of n maps: z = inverse (x - mean), L the Cholesky factor."""

    mean: Tensor  # (groups, n, 1)
    inverse: Tensor  # of L, (groups, n, n)
    deviations: Tensor  # the diagonal of L, (groups, n, 1)
    varies: Tensor  # 1 for a map that is not flat beside its signal, else 0; (groups, n, 1)


def whitening(maps: Tensor, shape: tuple[int, int, int, int], signals: Any) -> Whitening:
    """That of groups of maps by their own statistics.

    `maps` is of this shape, (groups, n, h, w), `signals` is 1 or of shape (n, 1).
    """
    groups, n, height, width = shape
    samples = maps.reshape(groups, n, height * width)
    mean = samples.mean((2,))
    centred = samples - mean
    covariance = (centred @ centred.transpose(0, 2, 1)) * (1 / (height * width))
    # The diagonal, without an operator that few runtimes have.
    variances = (covariance * np.eye(n)).total((2,))
    ridge = variances.mean((1,)) * RIDGE + DARK**2
    deviations, inverse = _triangles(covariance + ridge * np.eye(n), n)
    varies = (variances.root() > flat(signals)).cast(np.float32)
    return Whitening(mean, inverse, deviations, varies)


def _triangles(covariance: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The diagonal of the Cholesky factor L, and the inverse of L; both by rows, written out."""

    def entry(row: int, column: int) -> Tensor:
        return covariance.slice(1, row, row + 1).slice(2, column, column + 1)

    factor: dict[tuple[int, int], Tensor] = {}
    inverse: dict[tuple[int, int], Tensor] = {}
    for i in range(n):
        for j in range(i + 1):
            rest = entry(i, j)
            for k in range(j):
                rest = rest - factor[i, k] * factor[j, k]
            factor[i, j] = rest.root() if i == j else rest * inverse[j, j]
        inverse[i, i] = 1.0 / factor[i, i]
        for j in range(i):
            terms = [factor[i, k] * inverse[k, j] for k in range(j, i)]
            inverse[i, j] = -sum(terms[1:], terms[0]) * inverse[i, i]
    graph, nothing = covariance.graph, inverse[0, 0] * 0.0
    rows = [
        graph.concatenate([inverse.get((i, j), nothing) for j in range(n)], 2) for i in range(n)
    ]
    return graph.concatenate([factor[i, i] for i in range(n)], 1), graph.concatenate(rows, 1)


def whitened(maps: Tensor, shape: tuple[int, int, int, int], by: Whitening) -> Tensor:
    """Uncorrelated maps of unit variance; one that does not vary becomes 0."""
    groups, n, height, width = shape
    samples = maps.reshape(groups, n, height * width) - by.mean
    return ((by.inverse @ samples) * by.varies).reshape(*shape)
