"""Tiles of a fixed size that cover the most saliency."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from . import checks
from .grid import MIN_CONFIDENCE, Grid
from .regions import Region, region

EQUAL = 1e-6  # of the best window's saliency: of windows as good as that the middle one is taken


def tiles(
    source: Any,
    size: Any,
    n: int | None = None,
    *,
    shape: Any = None,
    config: Config | None = None,
    budget: float = 0.2,
    min_confidence: float = MIN_CONFIDENCE,
) -> list[Region]:
    """Tiles of one size, as a detector's input wants them, that cover the most saliency.

    Each tile is the window, of all windows of that size in the frame, with the most saliency that
    no tile before it covers; of equal windows the middle one. The first is the best there is;
    several cover at least 1 - 1/e (63 %) of what the best choice of as many would.

    Parameters
    ----------
    source, shape, config
        As for `regions`.
    size : int or (int, int)
        (height, width) of a tile in pixels, at most the frame's.
    n : int, optional
        At most so many tiles. By default as many as the budget allows.
    budget : float in (0, 1]
        The largest share of the frame's pixels that all tiles have together, shared ones counted
        twice: what a detector has to look at.
    min_confidence : float in [0, 1]
        Where no region is as sure as that, there are no tiles.

    Returns
    -------
    list of Region
        In the order chosen. The score is the share of the map's saliency that the tile adds.

    Raises
    ------
    TypeError, ValueError
        As for `regions`; and a tile that is larger than the frame or than the budget.

    Notes
    -----
    Nemhauser, Wolsey & Fisher, "An analysis of approximations for maximizing submodular set
    functions", Mathematical Programming 14, 1978.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> saliency = np.zeros((30, 40), np.float32)
    >>> saliency[10, 20] = saliency[12, 22] = 1
    >>> [tile] = ittisal.tiles(saliency, 64)
    >>> tile.y, tile.x, tile.score
    (144, 304, 1.0)
    """
    grid = Grid.of(source, shape, config)
    limit = checks.within("budget", budget, 0, 1, above=True) * math.prod(grid.shape)
    min_confidence = checks.within("min_confidence", min_confidence, 0, 1)
    height, width = extent = checks.size("size", size, grid.shape).tolist()
    affordable = int(limit // (height * width))
    if not affordable:
        raise ValueError(
            f"a tile of {width}x{height} is over budget={budget:g} of a frame of "
            f"{grid.shape[1]}x{grid.shape[0]}; give a smaller size or a larger budget"
        )
    count = affordable if n is None else min(checks.whole("n", n), affordable)
    left = grid.saliency.copy()
    high = left > grid.threshold * left.max()
    if grid.confidence[high].max(initial=0.0) < min_confidence:
        return []
    total = float(left.sum())
    spans = [_spans(edges, side) for edges, side in zip(grid.edges, extent, strict=True)]
    chosen: list[Region] = []
    while len(chosen) < count:
        sums = _window_sums(left, spans)
        best = _middle_best(sums)
        rows, columns = (_covered(span, i) for span, i in zip(spans, best, strict=True))
        inside = rows[:, None] * columns
        confidence = float(grid.confidence[inside > 0.5].max(initial=0.0))
        if not sums[best] > EQUAL * total:
            break
        taken = left * inside
        left -= taken
        middle = [np.average(np.arange(len(p)), weights=p) for p in (taken.sum(1), taken.sum(0))]
        y, x = (int(span.pixels[i]) for span, i in zip(spans, best, strict=True))
        box = y, x, y + height, x + width
        score = float(sums[best] / total)
        chosen.append(region(box, score, grid.view.to_frame(middle), confidence))
    return chosen


class _Spans(NamedTuple):
    """The windows along an axis that can be the best."""

    pixels: np.ndarray  # where each begins
    first: np.ndarray  # the same in samples, with fractions
    last: np.ndarray  # where each ends, in samples
    samples: int  # along the axis


def _spans(edges: np.ndarray, side: int) -> _Spans:
    """Windows with a whole pixel next to an edge of a sample: between them sums are linear."""
    last = int(edges[-1]) - side
    near = np.concatenate([edges, edges - side])
    pixels = np.unique(np.clip(np.concatenate([np.floor(near), np.ceil(near)]), 0, last))
    samples = np.arange(len(edges))
    first, end = (np.interp(at, edges, samples) for at in (pixels, pixels + side))
    return _Spans(pixels, first, end, len(edges) - 1)


def _window_sums(saliency: np.ndarray, spans: list[_Spans]) -> np.ndarray:
    """The saliency in each window, exactly, from a summed-area table."""
    table = np.zeros(np.add(saliency.shape, 1))
    np.cumsum(np.cumsum(saliency, 0), 1, out=table[1:, 1:])
    for span in spans:
        table = (_between(table, span.last) - _between(table, span.first)).T
    return table


def _between(table: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows of a table, linearly interpolated."""
    low = np.minimum(at.astype(int), len(table) - 2)
    return table[low] + (at - low)[:, None] * (table[low + 1] - table[low])


def _middle_best(sums: np.ndarray) -> tuple[int, int]:
    """Of the windows with the largest sum the one nearest to their middle."""
    best = np.argwhere(sums >= (1 - EQUAL) * sums.max())
    i, j = best[np.square(best - best.mean(0)).sum(1).argmin()].tolist()
    return i, j


def _covered(span: _Spans, i: int) -> np.ndarray:
    """How much of each sample window `i` covers, 0 to 1."""
    samples = np.arange(span.samples)
    return np.clip(span.last[i] - samples, 0, 1) - np.clip(span.first[i] - samples, 0, 1)
