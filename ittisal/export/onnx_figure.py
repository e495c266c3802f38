"""Figures and corners in a graph; see `reference.surroundedness` and `reference.corners`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..plan import DENSE, SOFT, SPARSE
from .onnx_graph import Tensor

STEPS = 8  # of the reconstruction between two questions whether it is done
NOT_REACHED = -3e38  # of places that nothing from the border has reached
LEAST_DIVISOR = 1e-30  # for quotients of nothing by nothing


def surroundedness(z: Tensor, shape: tuple[int, int, int, int], least: Tensor) -> Tensor:
    """The sum of soft roots of how far decorrelated planes stand above, and below, the ground.

    Parameters
    ----------
    z : Tensor of shape (1, n, h, w)
    least : Tensor of shape (1, n, 1, 1)
        Planes whose greatest height is not above it do not count.
    """
    _, n, height, width = shape
    both = z.graph.concatenate([z, -z], 1)
    heights = both - reconstruction(both, (1, 2 * n, height, width))
    counts = heights.highest() > z.graph.concatenate([least, least], 1)
    return ((counts.where(heights, 0.0) + SOFT).root() - SOFT**0.5).total((1,))


def reconstruction(mask: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Morphological reconstruction by dilation of masks from their borders.

    That of -z by erosion, with its sign changed. The marker grows along rows, then along columns,
    never above the mask, until it no longer does: how often depends on the picture, hence the
    loop. No path has more samples than a map, which limits it.
    """
    _, _, height, width = shape
    border = np.ones((height, width), bool)
    border[1:-1, 1:-1] = False

    def grown(marker: Tensor) -> Tensor:
        for _ in range(STEPS):
            for kernel in ([1, 3], [3, 1]):
                pads = [side // 2 for side in kernel] * 2
                reached = marker.graph.add("MaxPool", marker, kernel_shape=kernel, pads=pads)
                marker = reached.minimum(mask)
        return marker

    marker = mask.graph.add("Where", border, mask, NOT_REACHED)
    return mask.graph.repeat(grown, marker, shape, -(-height * width // STEPS))


def corners(energies: Tensor, least: Any) -> Tensor:
    """Where contours of several orientations meet, from energies of shape (1, 4, h, w).

    Where none is above `least`, that everywhere.
    """
    a, b, c, d = (energies.slice(1, k, k + 1) for k in range(4))
    low, high = (a.minimum(b), c.minimum(d)), (a.maximum(b), c.maximum(d))
    lowest = low[0].minimum(low[1])
    second = low[0].maximum(low[1]).minimum(*high)
    isotropic = lowest * (lowest / energies.mean((1,)).maximum(LEAST_DIVISOR))
    roots = second.root().mean()
    density = roots * roots / second.mean().maximum(LEAST_DIVISOR)
    scene = ((density - SPARSE) * (1 / (DENSE - SPARSE))).positive().minimum(1.0)
    found = second + scene * (isotropic - second)
    return (found.highest() > least).where(found, least)
