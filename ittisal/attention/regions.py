"""Boxes for a detector: what stands out of a saliency map, ranked, with a confidence each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..config import Config, Phase, number
from ..maps import STEP
from .view import View, view

MIN_CONFIDENCE = 0.47  # above it lie 99 % of OSIE's photographs with `gaze`, below it textures
THRESHOLD = 0.6  # of the map's maximum: the box of a lone square is then the square
FIGURE_THRESHOLD = 0.2  # the same with `figure`, which is highest in a square's corners
WINDOW = 0.25  # of the map's shorter side: how far a place is from its background's maxima
QUANTILE = 0.25  # of all places, whose maxima make the background
BORDER = 2  # samples along the border whose filters see past the image; fewer in small maps
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
            "score": self.score,
            "confidence": self.confidence,
            "focus": {"x": self.focus[1], "y": self.focus[0]},
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
    With `figure` (the preset `gaze`), where saliency is a product of two measures, it is
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
        Regions below it are left out. A frame that is flat, or a texture, has none above the
        default; 0 keeps all.
    min_size, max_size : int or (int, int), optional
        Height and width of a box in pixels. Smaller boxes grow about their middle, larger ones are
        cut about their focus.
    aspect : float, optional
        Width over height; boxes grow to it.
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
        An option out of its range; a map that `shape` does not fit, that is empty, or that holds
        NaN, infinite or negative values.

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
    seen = _on_grid(view(source, shape, config))
    n = _whole("n", n)
    budget = _within("budget", budget, 0, 1, above=True)
    min_confidence = _within("min_confidence", min_confidence, 0, 1)
    form = _Form(
        smallest=_size("min_size", min_size, seen.shape, (1, 1)),
        largest=_size("max_size", max_size, None, seen.shape),
        aspect=None if aspect is None else _within("aspect", aspect, 0, np.inf, above=True),
        margin=_within("margin", margin, 0, np.inf),
        overlap=bool(overlap),
    )
    if (form.smallest > form.largest).any():
        raise ValueError(f"min_size={min_size!r} is larger than max_size={max_size!r}")
    peak = float(seen.saliency.max())
    if threshold is None:
        threshold = FIGURE_THRESHOLD if seen.config.figure else THRESHOLD
    floor = peak * _within("threshold", threshold, 0, 1)
    if peak <= 0:
        return []
    confidence = _confidence(seen)
    limit = budget * seen.shape[0] * seen.shape[1]

    def found(floor: float) -> list[Region]:
        parts = _components(seen, confidence, floor, min_confidence)
        return list(form.boxes(parts, n, seen.shape))

    return _fitting(found, floor, seen.saliency, limit)


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
    no tile before it covers. The first is so the best there is; several cover at least
    1 - 1/e, 63 %, of what the best choice of as many would.

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
        As for `regions`; tiles without a maximum of that confidence are left out.

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
    seen = _on_grid(view(source, shape, config))
    budget = _within("budget", budget, 0, 1, above=True)
    min_confidence = _within("min_confidence", min_confidence, 0, 1)
    extent = _size("size", size, seen.shape, None)
    affordable = int(budget * np.prod(seen.shape) // np.prod(extent))
    if affordable < 1:
        raise ValueError(
            f"a tile of {size!r} pixels is over budget={budget:g} of a frame of {seen.shape}; "
            "give a smaller size or a larger budget"
        )
    count = affordable if n is None else min(_whole("n", n), affordable)
    total = float(seen.saliency.sum())
    if total <= 0:
        return []
    confidence = _confidence(seen)
    left = seen.saliency.copy()
    spans = [_spans(_edges(seen, axis), int(extent[axis])) for axis in (0, 1)]
    chosen: list[Region] = []
    while len(chosen) < count:
        sums = _window_sums(left, spans)
        at = np.unravel_index(sums.argmax(), sums.shape)
        rows, columns = (
            _covered(span, int(i), size)
            for span, i, size in zip(spans, at, left.shape, strict=True)
        )
        inside = rows[:, None] * columns
        sure = float(confidence[inside > 0.5].max(initial=0.0))
        if sums[at] <= 1e-9 * total or sure < min_confidence:
            break
        taken = left * inside
        left -= taken
        middle = [np.average(np.arange(len(w)), weights=w) for w in (taken.sum(1), taken.sum(0))]
        low = [int(span.pixels[i]) for span, i in zip(spans, at, strict=True)]
        box = low[0], low[1], low[0] + int(extent[0]), low[1] + int(extent[1])
        chosen.append(_region(box, float(sums[at] / total), seen.to_frame(middle), sure))
    return chosen


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
                yield _region(free, float(score), focus, float(confidence))

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


def _region(box: tuple[int, ...], score: float, focus: Any, confidence: float) -> Region:
    y0, x0, y1, x1 = box
    inside = min(max(float(focus[0]), y0), y1 - 1.0), min(max(float(focus[1]), x0), x1 - 1.0)
    return Region(y0, x0, y1 - y0, x1 - x0, score, inside, confidence)


def _fitting(found: Any, floor: float, saliency: np.ndarray, limit: float) -> list[Region]:
    """The boxes at the lowest threshold, from `floor` up, at which they have `limit` pixels."""

    def pixels(boxes: list[Region]) -> int:
        return sum(box.height * box.width for box in boxes)

    boxes = found(floor)
    if pixels(boxes) <= limit:
        return boxes
    values = np.sort(saliency[saliency > floor])[::-1]
    few, many = 0, len(values) - 1  # samples above the threshold
    best = found(float(values[1])) if len(values) > 1 else boxes
    while many - few > 1 + saliency.size // 512:
        middle = (few + many) // 2
        boxes = found(float(values[middle]))
        if pixels(boxes) <= limit:
            few, best = middle, boxes
        else:
            many = middle
    while pixels(best) > limit:
        best.pop()
    return best


def _components(
    seen: View, confidence: np.ndarray, floor: float, min_confidence: float
) -> _Parts:
    """The connected sets of samples above `floor` that are confident."""
    import cv2

    saliency = seen.saliency
    above = saliency > floor
    labels = cv2.connectedComponents(above.view(np.uint8), connectivity=4)[1].ravel()
    at = np.flatnonzero(above)
    at = at[np.argsort(labels[at], kind="stable")]  # component by component, in reading order
    starts = np.flatnonzero(np.diff(labels[at], prepend=0))
    sure = np.maximum.reduceat(confidence.ravel()[at], starts) if len(at) else np.empty(0)
    y, x = np.divmod(at, saliency.shape[1])
    values = saliency.ravel()[at]
    if not len(at):
        starts = np.empty(0, int)
    mass = np.add.reduceat(values, starts)
    edges = [_edges(seen, axis) for axis in (0, 1)]
    low = [np.minimum.reduceat(i, starts) for i in (y, x)]
    high = [np.maximum.reduceat(i, starts) + 1 for i in (y, x)]
    middle = [np.add.reduceat(values * i, starts) / mass for i in (y, x)]
    rank = np.lexsort((at[starts], -mass))
    rank = rank[sure[rank] >= min_confidence]
    return _Parts(
        np.stack([edge[i[rank]] for edge, i in zip(edges, low, strict=True)], 1),
        np.stack([edge[i[rank]] for edge, i in zip(edges, high, strict=True)], 1),
        seen.to_frame(np.stack([i[rank] for i in middle], 1)),
        mass[rank] / saliency.sum(),
        sure[rank],
    )


def _confidence(seen: View) -> np.ndarray:
    """At each local maximum, how far it stands above the background; else 0."""
    import cv2

    saliency = seen.saliency.astype(np.float32)
    inner = tuple(slice(b, n - b) for n in saliency.shape for b in (min(BORDER, n // 8),))
    side = max(3, round(WINDOW * min(saliency.shape))) | 1
    reached = cv2.dilate(saliency[inner], np.ones((side, side), np.uint8)).ravel()
    place = int(QUANTILE * (reached.size - 1))
    background = np.partition(reached, place)[place]
    maxima = (saliency == cv2.dilate(saliency, np.ones((3, 3), np.uint8)))[inner]
    maxima &= saliency[inner] > background
    ratio = background / saliency[inner][maxima]
    result = np.zeros(saliency.shape)
    result[inner][maxima] = 1 - (np.sqrt(ratio) if seen.config.figure else ratio)
    return result


def _on_grid(seen: View) -> View:
    """The view with samples of the model's grid: means over squares of a full-size map."""
    if not seen.full_size:
        return seen
    height, width = seen.shape
    down, across = min(STEP, height), min(STEP, width)
    rows, columns = height // down, width // across
    squares = seen.saliency[: rows * down, : columns * across]
    means = squares.reshape(rows, down, columns, across).mean((1, 3))
    centred = replace(seen.config, phase=Phase.CENTRED)
    return seen._replace(saliency=means, seen=seen.shape, config=centred)


def _edges(seen: View, axis: int) -> np.ndarray:
    """Where samples begin and end along an axis, in pixels; the outer ones reach the border."""
    count = seen.saliency.shape[axis]
    steps = np.arange(count + 1) - 0.5
    edges = seen.to_frame(np.stack([steps, steps], 1))[:, axis] + 0.5
    edges[0], edges[-1] = 0, seen.shape[axis]
    return edges


class _Spans(NamedTuple):
    """The windows along an axis that can be the best."""

    pixels: np.ndarray  # where each begins
    first: np.ndarray  # the same in samples, with fractions
    last: np.ndarray  # where each ends, in samples


def _spans(edges: np.ndarray, side: int) -> _Spans:
    """Windows with a whole pixel next to an edge of a sample: between them sums are linear."""
    last = int(edges[-1]) - side
    near = np.concatenate([edges, edges - side])
    pixels = np.unique(np.clip(np.concatenate([np.floor(near), np.ceil(near)]), 0, last))
    samples = np.arange(len(edges))
    return _Spans(pixels, *(np.interp(at, edges, samples) for at in (pixels, pixels + side)))


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


def _covered(span: _Spans, i: int, count: int) -> np.ndarray:
    """How much of each sample window `i` covers, 0 to 1."""
    samples = np.arange(count)
    return np.clip(span.last[i] - samples, 0, 1) - np.clip(span.first[i] - samples, 0, 1)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number above 0")
    return int(value)


def _within(name: str, value: Any, low: float, high: float, *, above: bool = False) -> float:
    """The number, if it lies between the limits, or above the lower one."""
    found = number(name, value)
    if not (low < found if above else low <= found) or not found <= high or found == np.inf:
        wanted = f"above {low:g}" if above else f"at least {low:g}"
        raise ValueError(
            f"{name}={value!r} must be {wanted}" + (f" and at most {high:g}" * (high < np.inf))
        )
    return found


def _size(name: str, value: Any, frame: Any, otherwise: Any) -> np.ndarray:
    """(height, width) in pixels of one number or two, at most the frame's."""
    if value is None and otherwise is not None:
        return np.array(otherwise)
    sides = (value, value) if isinstance(value, (int, np.integer)) else value
    try:
        height, width = (_whole(name, side) for side in sides)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}={value!r} must be a whole number of pixels above 0, or (height, width)"
        ) from None
    if frame is not None and (height > frame[0] or width > frame[1]):
        raise ValueError(
            f"{name}={value!r} is larger than the frame, of {frame[0]} rows and {frame[1]} "
            "columns; give less"
        )
    return np.array((height, width)) if frame is not None else np.minimum((height, width), otherwise)
