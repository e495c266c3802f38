"""The window of a given aspect that keeps the most saliency, or that is set by the focal point."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Config
from . import checks
from .view import View, view

PLACEMENTS = ("saliency", "centre", "thirds")
TIE = 1e-9  # of all saliency; sums of equal windows differ by rounding


@dataclass(frozen=True)
class Crop:
    """A window of a frame, in whole pixels, inside the frame.

    Attributes
    ----------
    y, x : int
        Its first row and column.
    height, width : int
    focus : (float, float)
        (y, x) where saliency is highest in the window; its middle where nothing stands out there.
    share : float
        The part of the frame's saliency that lies in the window, 0 to 1; 0 where there is none.

    Examples
    --------
    >>> window = Crop(0, 2, 4, 4, (1.5, 3.5), 0.75)
    >>> np.arange(32).reshape(4, 8)[window.slices].shape
    (4, 4)
    """

    y: int
    x: int
    height: int
    width: int
    focus: tuple[float, float]
    share: float

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window's pixels: `frame[crop.slices]`."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def as_dict(self) -> dict[str, Any]:
        """Plain values: `x`, `y`, `width`, `height`, `share`, and `focus` with its `x` and `y`."""
        return {
            **{name: getattr(self, name) for name in ("x", "y", "width", "height", "share")},
            "focus": {"x": self.focus[1], "y": self.focus[0]},
        }


def crop(
    source: Any,
    *,
    aspect: float | None = None,
    size: tuple[int, int] | None = None,
    zoom: float = 1.0,
    placement: str = "saliency",
    shape: Any = None,
    config: Config | None = None,
) -> Crop:
    """The best window of a frame for an aspect or an output size.

    The window is the largest of the aspect that fits the frame, or a part of it by `zoom`. It
    depends on the aspect, not on the number of pixels of the output, so that thumbnails of several
    sizes show the same part.

    Each sample of the map stands for the block of pixels around it. The saliency that a window
    keeps is then linear in its position between those at which an edge crosses a block's border, so
    the best one over all positions in whole pixels is found at the few next to these. Windows
    whose saliency is equal are ranked by the distance of their centre from the frame's centre, then
    by y and x.

    Parameters
    ----------
    source : array of shape (h, w), mapping, or Result
        A saliency map, as `Saliency` gives it or of the frame's own size; or what `Saliency.trace`
        gives; or a result of `ittisal.stream`.
    aspect : float, optional
        Width over height, as in 16 / 9. By default the frame's own, which is of use with `zoom`.
    size : (int, int), optional
        (height, width) of the output, which stands for its aspect.
    zoom : float
        At least 1: the sides of the largest window are divided by it.
    placement : {"saliency", "centre", "thirds"}
        Where the window goes: "saliency": where it keeps the most; "centre": around the focal
        point, the map's highest sample; "thirds": with the focal point on the vertical and
        horizontal third that is nearer to its place in the frame. The window is moved into the
        frame. Of a map of equal values all give the middle of the frame.
    shape : (int, int), optional
        (height, width) of the frame; a result knows its own. By default the map's, times 16.
    config : Config, optional
        The reading of the model that made the map (`itti1998`); a result knows its own.

    Returns
    -------
    Crop

    Raises
    ------
    TypeError, ValueError
        As `view`; or neither of aspect, size and zoom is given, or both aspect and size, or one is
        out of its range.

    Examples
    --------
    >>> saliency = np.zeros((6, 8))
    >>> saliency[2, 6] = 1
    >>> window = crop(saliency, aspect=1)
    >>> window.as_dict()
    {'x': 16, 'y': 0, 'width': 96, 'height': 96, 'share': 1.0, 'focus': {'x': 103.5, 'y': 39.5}}
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"placement={placement!r} is not one of {', '.join(PLACEMENTS)}")
    seen = view(source, shape, config)
    sides = _window(seen.shape, aspect, size, zoom)
    top = seen.saliency.max()
    values = seen.saliency / top if top > 0 else seen.saliency
    borders = seen.edges()
    total = _integral(values, borders, (0, 0), seen.shape)
    limits = np.subtract(seen.shape, sides)
    if placement == "saliency":
        y, x = _most(values, borders, sides, limits, TIE * float(total))
    else:
        focus = np.add(_highest(seen, values, borders, (0, 0), seen.shape), 0.5)
        third = np.sign(focus - np.divide(seen.shape, 2)) / 6 if placement == "thirds" else 0
        start = np.floor(focus - (0.5 + third) * np.array(sides) + 0.5)
        y, x = np.clip(start, 0, limits)
    corner = int(y), int(x)
    kept = _integral(values, borders, corner, sides)
    share = min(float(kept / total), 1.0) if total > 0 else 0.0
    return Crop(*corner, *sides, _highest(seen, values, borders, corner, sides), share)


def _window(shape: tuple[int, int], aspect: Any, size: Any, zoom: Any) -> tuple[int, int]:
    """(height, width) of the window; see `crop`."""
    height, width = shape
    if aspect is not None and size is not None:
        raise ValueError(f"aspect={aspect!r} and size={size!r} are both given; give one")
    if size is not None:
        try:
            rows, columns = (operator.index(n) for n in size)
        except (TypeError, ValueError):
            raise TypeError(f"size={size!r} must be (height, width) in whole pixels") from None
        if min(rows, columns) < 1:
            raise ValueError(f"size={size!r}: both sides must be at least 1 pixel")
        aspect = columns / rows
    elif aspect is not None:
        aspect = checks.within("aspect", aspect, 0, math.inf, above=True)
    zoom = checks.within("zoom", zoom, 1, math.inf)
    if aspect is None:
        if zoom == 1:
            raise ValueError("give an aspect, a size or a zoom above 1; this is the whole frame")
        aspect = width / height
    fitting = min(height, width / aspect), min(width, height * aspect)
    rows, columns = (max(round(side / zoom), 1) for side in fitting)
    return rows, columns


def _most(
    values: np.ndarray, borders: Any, sides: tuple[int, int], limits: np.ndarray, tie: float
) -> np.ndarray:
    """(y, x) of the window that keeps the most: exact over all whole positions.

    What is kept is bilinear between the positions at which an edge of the window meets a border, so
    its maximum over whole positions is at one next to these. The middle of the frame is added for
    windows of equal sums.
    """
    places = []
    for edges, side, limit in zip(borders, sides, limits, strict=True):
        at = np.concatenate([edges, edges - side, [limit / 2]]) if limit else np.zeros(1)
        at = at[(at >= 0) & (at <= limit)]
        places.append(np.unique(np.concatenate([np.floor(at), np.ceil(at)])))
    rows = _sums(values, borders[0], places[0], sides[0])
    kept = _sums(rows.T, borders[1], places[1], sides[1]).T
    best = np.nonzero(kept >= kept.max() - tie)
    corners = np.stack([places[0][best[0]], places[1][best[1]]], axis=1)  # sorted by y, then x
    return corners[((2 * corners - limits) ** 2).sum(axis=1).argmin()]


def _sums(values: np.ndarray, borders: np.ndarray, starts: np.ndarray, side: int) -> np.ndarray:
    """The integral over the first axis from each start on, `side` pixels far."""
    if len(starts) == 1:
        return _overlap(borders, starts[0], side)[None] @ values
    until = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values * np.diff(borders)[:, None], axis=0, out=until[1:])
    at = np.concatenate([starts, starts + side])
    block = borders[:-1].searchsorted(at, "right") - 1
    integral = until[block] + (at - borders[block])[:, None] * values[block]
    return integral[len(starts) :] - integral[: len(starts)]


def _integral(values: np.ndarray, borders: Any, corner: Any, sides: tuple[int, int]) -> np.floating:
    """The integral over one window."""
    rows, columns = map(_overlap, borders, corner, sides)
    return rows @ values @ columns


def _overlap(borders: np.ndarray, start: int, side: int) -> np.ndarray:
    """How many pixels of each block lie from `start` on, `side` pixels far."""
    inside = np.minimum(borders[1:], start + side) - np.maximum(borders[:-1], start)
    return np.maximum(inside, 0)


def _highest(
    seen: View, values: np.ndarray, borders: Any, corner: Any, sides: tuple[int, int]
) -> tuple[float, float]:
    """(y, x) of the highest sample in a window, the first of equal ones; its middle if all are."""
    (top, left), (bottom, right) = corner, np.add(corner, sides)
    rows, columns = borders
    first = rows.searchsorted(top, "right") - 1, columns.searchsorted(left, "right") - 1
    part = values[first[0] : rows.searchsorted(bottom), first[1] : columns.searchsorted(right)]
    index = int(part.argmax())
    if part.flat[index] == part.min():
        return float(top + bottom - 1) / 2, float(left + right - 1) / 2
    row, column = divmod(index, part.shape[1])
    y, x = seen.to_frame((first[0] + row, first[1] + column))
    return min(max(float(y), top), bottom - 1.0), min(max(float(x), left), right - 1.0)
