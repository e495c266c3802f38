"""Boxes for a detector: what stands out of a saliency map, ranked, with a confidence each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..config import Config
from . import checks
from .grid import MIN_CONFIDENCE, Grid

PRECISION = 64  # of the samples above the threshold: how near the budget is approached
MOST_TAKEN = 0.5  # of a box by boxes ranked before it: beyond this it is left out


@dataclass(frozen=True)
class Region:
    """A box in the frame, with what makes it one.

    `height` and `width` are in pixels, (`y`, `x`) is the first pixel inside.

    Examples
    --------
    >>> import numpy as np
    >>> region = Region(y=16, x=32, height=48, width=64, score=0.5, focus=(40.0, 60.0),
    ...                 confidence=0.9)
    >>> np.zeros((240, 320, 3))[region.slices].shape
    (48, 64, 3)
    """

    y: int
    x: int
    height: int
    width: int
    score: float  # the share of the map's saliency that lies in the region, 0 to 1
    focus: tuple[float, float]  # (y, x): its centre of gravity, inside the box
    confidence: float  # how far its peak stands above the background, 0 to 1
    id: int | None = None  # of `RegionTracker`: the same for one thing in successive frames

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns: `frame[region.slices]` are the pixels in the box."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers by name, for JSON; `id` only where there is one."""
        known = {} if self.id is None else {"id": self.id}
        return known | {
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "score": round(self.score, 6),
            "confidence": round(self.confidence, 6),
            "focus": {"x": round(self.focus[1], 3), "y": round(self.focus[0], 3)},
        }


def regions(
    source: Any,
    n: int = 10,
    *,
    shape: Any = None,
    config: Config | None = None,
    threshold: float | None = None,
    budget: float = 0.2,
    min_confidence: float = MIN_CONFIDENCE,
    min_size: Any = None,
    max_size: Any = None,
    aspect: float | None = None,
    margin: float = 0,
    overlap: bool = False,
) -> list[Region]:
    """The boxes around what stands out, ranked by the saliency in them.

    A region is a connected set of samples above a threshold. The threshold is raised until the
    boxes fit the budget; `threshold=0` leaves only the budget, which the boxes then fill with the
    most salient parts of the frame. Maps of the frame's own size are averaged over 16 x 16 pixels
    first, so that boxes lie on the model's grid.

    The confidence of a region is 1 - b / p, with p its highest local maximum and b the background:
    the value that a window of a quarter of the map's shorter side reaches in three quarters of the
    frame. As in the operator N, a maximum at the border is none. Two equal objects on a plain
    ground have a confidence near 1, the elements of a texture, which is alike everywhere, near 0.
    With `figure` (`gaze` and `video`), where saliency is a product of two measures, it is
    1 - sqrt(b / p).

    Parameters
    ----------
    source : array of shape (h, w), mapping, or Result
        A map as `Saliency` gives it or one of the frame's own size, what `Saliency.trace` gives, or
        a result of `ittisal.stream`.
    n : int
        At most so many boxes.
    shape : (int, int), optional
        (height, width) of the frame; a result knows its own. By default the map's, times 16.
    config : Config, optional
        The reading of the model that made the map (`itti1998`); a result knows its own.
    threshold : float in [0, 1], optional
        Of the map's maximum. By default 0.6, and 0.2 with `figure`, whose peaks are steeper.
    budget : float in (0, 1]
        The largest share of the frame's pixels that all boxes have together.
    min_confidence : float in [0, 1]
        Regions below it are left out; 0 keeps all. A flat frame has none, and noise, boards,
        gratings and all-over bars have none above the default. Exceptions are gratings and boards
        without `figure` whose period is near that of the map's samples: the model responds at
        their borders.
    min_size, max_size : int or (int, int), optional
        Height and width of a box in pixels. Smaller boxes grow about their middle, larger ones are
        cut about their focus.
    aspect : float, optional
        Width over height. Boxes grow to it; where `max_size` or the frame is in the way, both sides
        shrink.
    margin : float
        Pixels added on each side, before the limits of size.
    overlap : bool
        Whether boxes may share pixels. Else the lower-ranked one is cut, or left out where half of
        it is taken, or cutting would break `aspect` or `min_size`.

    Returns
    -------
    list of Region
        By falling score, equal ones in reading order; empty where nothing stands out.

    Raises
    ------
    TypeError
        Not a map of real numbers; an option is no number.
    ValueError
        An option out of its range; a smallest box over the budget; a map that `shape` does not
        fit, that is empty, or that holds NaN, infinite or negative values.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.zeros((256, 320, 3), np.uint8)
    >>> frame[80:128, 160:208] = 255
    >>> model = ittisal.Saliency((256, 320))
    >>> [box] = ittisal.regions(model(frame))
    >>> frame[box.slices].shape, box.confidence > 0.9
    ((48, 48, 3), True)
    """
    grid = Grid.of(source, shape, config)
    n = checks.whole("n", n)
    limit = checks.within("budget", budget, 0, 1, above=True) * math.prod(grid.shape)
    min_confidence = checks.within("min_confidence", min_confidence, 0, 1)
    form = _Form(
        np.ones(2) if min_size is None else checks.size("min_size", min_size, grid.shape),
        np.array(grid.shape if max_size is None else checks.size("max_size", max_size, grid.shape)),
        None if aspect is None else checks.within("aspect", aspect, 0, math.inf, above=True),
        checks.within("margin", margin, 0, math.inf),
        bool(overlap),
    )
    if (form.smallest > form.largest).any():
        raise ValueError(
            "min_size is {1:g}x{0:g} pixels, larger than max_size, {3:g}x{2:g}; give at most "
            "that".format(*form.smallest, *form.largest)
        )
    if form.smallest.prod() > limit:
        raise ValueError(
            "a box of {1:g}x{0:g} pixels, the smallest, is over ".format(*form.smallest)
            + f"budget={budget:g} of a frame of {grid.shape[1]}x{grid.shape[0]}; lower the one or "
            "raise the other"
        )
    if threshold is None:
        threshold = grid.threshold
    floor = checks.within("threshold", threshold, 0, 1) * float(grid.saliency.max())

    def boxes(floor: float) -> list[Region]:
        parts = _components(grid, floor, min_confidence)
        return list(form.boxes(parts, n, grid.shape))

    return _fitting(boxes, floor, grid.saliency, limit)


class _Parts(NamedTuple):
    """Connected sets of samples, by falling sum of their saliency."""

    low: np.ndarray  # (k, 2) pixels: edges of the box around the samples
    high: np.ndarray
    focus: np.ndarray  # (k, 2) pixels: centre of gravity
    score: np.ndarray  # (k,)
    confidence: np.ndarray  # (k,)


@dataclass(frozen=True)
class _Form:
    """What boxes are to be like."""

    smallest: np.ndarray  # (height, width) in pixels
    largest: np.ndarray
    aspect: float | None
    margin: float
    overlap: bool

    def boxes(self, parts: _Parts, n: int, frame: tuple[int, int]) -> Iterator[Region]:
        """The first `n` parts as boxes inside the frame."""
        low, size = self._sized(parts, np.array(frame))
        corners = np.concatenate([low, low + size], axis=1).astype(int).tolist()
        taken: list[tuple[int, ...]] = []
        for box, focus, score, confidence in zip(
            map(tuple, corners), parts.focus, parts.score, parts.confidence, strict=True
        ):
            if len(taken) == n:
                return
            free = box if self.overlap else self._free(box, taken)
            if free is not None:
                taken.append(free)
                yield region(free, float(score), focus, float(confidence))

    def _sized(self, parts: _Parts, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(first pixel, size) of each box: with margin, aspect, and between the limits."""
        low = np.maximum(np.round(parts.low - self.margin), 0)
        high = np.minimum(np.round(parts.high + self.margin), frame)
        size = high - low
        if self.aspect is not None:
            size = np.maximum(size, size[:, ::-1] * (1 / self.aspect, self.aspect))
        size = size * self._together(np.maximum(self.smallest / size, 1), np.max)
        size = size * self._together(np.minimum(self.largest / size, 1), np.min)
        size = np.clip(np.round(size), 1, frame)
        grown = (low + high - size) / 2
        cut = np.clip(parts.focus + 0.5 - size / 2, low, np.maximum(high - size, low))
        start = np.where(size < high - low, cut, grown)
        return np.clip(np.round(start), 0, frame - size), size

    def _together(self, factors: np.ndarray, pick: Any) -> np.ndarray:
        """With an aspect, one factor for both sides."""
        return factors if self.aspect is None else pick(factors, axis=1, keepdims=True)

    def _free(self, box: tuple[int, ...], taken: list[tuple[int, ...]]) -> tuple[int, ...] | None:
        """The largest part of a box outside those taken, or None where too little is left."""
        free = box
        for other in taken:
            free = _outside(free, other)
        if free == box:
            return box
        size = free[2] - free[0], free[3] - free[1]
        small = size[0] < self.smallest[0] or size[1] < self.smallest[1]
        if self.aspect is not None or small or _area(free) < MOST_TAKEN * _area(box):
            return None
        return free


def _area(box: tuple[int, ...]) -> int:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def _outside(box: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """The largest box within `box`, over its whole height or width, that misses `other`."""
    y0, x0, y1, x1 = box
    top, left, bottom, right = other
    if y1 <= top or bottom <= y0 or x1 <= left or right <= x0:
        return box
    sides = (y0, x0, top, x1), (bottom, x0, y1, x1), (y0, x0, y1, left), (y0, right, y1, x1)
    return max(sides, key=_area)


def region(box: tuple[int, ...], score: float, focus: Any, confidence: float) -> Region:
    """The region of a box (first and last edges), its focus moved into it."""
    y0, x0, y1, x1 = box
    inside = min(max(float(focus[0]), y0), y1 - 1.0), min(max(float(focus[1]), x0), x1 - 1.0)
    return Region(y0, x0, y1 - y0, x1 - x0, score, inside, confidence)


def _fitting(
    boxes: Callable[[float], list[Region]], floor: float, saliency: np.ndarray, limit: float
) -> list[Region]:
    """The boxes at the lowest threshold, from `floor` up, at which they have `limit` pixels."""
    best = boxes(floor)
    if _pixels(best) <= limit:
        return best
    values = np.sort(saliency[saliency > floor])[::-1]
    few, many, best = 0, len(values) - 1, []  # samples above the threshold
    while many - few > 1 + few // PRECISION:
        middle = (few + many) // 2
        found = boxes(float(values[middle]))
        if _pixels(found) <= limit:
            few, best = middle, found
        else:
            many = middle
    return best


def _pixels(found: list[Region]) -> int:
    return sum(box.height * box.width for box in found)


def _components(grid: Grid, floor: float, min_confidence: float) -> _Parts:
    """The confident ones of the connected sets of samples above `floor`."""
    import cv2

    saliency = grid.saliency
    above = saliency > floor
    count, labels = cv2.connectedComponents(above.view(np.uint8), connectivity=4)
    if count == 1:
        return _Parts(*np.empty((3, 0, 2)), *np.empty((2, 0)))
    at = np.flatnonzero(above)
    labels = labels.ravel()[at]
    order = np.argsort(labels, kind="stable")  # set by set, each in reading order
    at, starts = at[order], labels[order].searchsorted(np.arange(1, count))
    values = saliency.ravel()[at]
    mass = np.add.reduceat(values, starts)
    confidence = np.maximum.reduceat(grid.confidence.ravel()[at], starts)
    rank = np.lexsort((at[starts], -mass))
    rank = rank[confidence[rank] >= min_confidence]
    low, high, middle = np.empty((3, len(rank), 2))
    for axis, i in enumerate(np.divmod(at, saliency.shape[1])):
        low[:, axis] = grid.edges[axis][np.minimum.reduceat(i, starts)[rank]]
        high[:, axis] = grid.edges[axis][np.maximum.reduceat(i, starts)[rank] + 1]
        middle[:, axis] = np.add.reduceat(values * i, starts)[rank] / mass[rank]
    focus = grid.view.to_frame(middle)
    return _Parts(low, high, focus, mass[rank] / saliency.sum(), confidence[rank])
