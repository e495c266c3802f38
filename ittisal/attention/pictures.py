"""Attention drawn: numbered scanpaths, labelled boxes, and what makes each place salient.

Everything is drawn in place on uint8 pictures of three channels: ten fixations or boxes take about
two pyrDowns of a 1080p frame. Lines and text grow with the picture, and have dark edges, so that
they can be read on any ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..drawing import BACKGROUND, INK
from ..frames import check_channel_order
from .explain import Explanation
from .proto_objects import ProtoObject
from .regions import Region
from .scanpath import Fixation

# Colours that people with any colour vision tell apart (Okabe & Ito 2008), RGB.
CHANNEL_COLOURS = {
    "intensity": (225, 225, 225),
    "colour": (213, 94, 0),
    "orientation": (86, 180, 233),
    "flicker": (0, 158, 115),
    "motion": (204, 121, 167),
    "whitened": (0, 114, 178),
    "figure": (240, 228, 66),
}
MARK, FIRST = (255, 255, 255), (255, 196, 37)  # of markers and boxes; of the first of them
EDGE = (16, 16, 16)
FADED = 0.55  # opacity of outlines of what is inhibited

# In units of a 640x480 picture's pixel.
MARKER = 11.0  # radius
SMALLEST_UNIT = 0.7
FACE = 0.44  # cv2's scale of text
REASONS_WIDTH, ROW, LEAST_ROW, LEGEND_ROW, MARGIN = 300.0, 30.0, 18.0, 20.0, 14.0
MOST_ROWS = 50  # for which a panel grows


def draw_scanpath(
    picture: np.ndarray, fixations: Sequence[Fixation], *, channel_order: str = "rgb"
) -> None:
    """Draw fixations in place: numbered markers on a path, and thin outlines of what they inhibit.

    Parameters
    ----------
    picture : uint8 ndarray of shape (H, W, 3)
        Of the frame's size; see `drawing.visible`.
    fixations : sequence of Fixation
        Numbered by their index, from 1. Outlines are of the proto-object where there is one, else
        of the disc of attention. Where markers would overlap, later ones are moved aside, with a
        line to their place.
    channel_order : {"rgb", "bgr"}

    Raises
    ------
    ValueError
        Not a picture of that kind.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.zeros((240, 320, 3), np.uint8)
    >>> frame[40:60, 200:220] = 255
    >>> raw = ittisal.Saliency(frame.shape[:2])(frame)
    >>> ittisal.draw_scanpath(frame, ittisal.scanpath(raw, 1, shape=frame.shape[:2]))
    """
    pen = _Pen(picture, channel_order)
    places = [np.array((fixation.x, fixation.y)) for fixation in fixations]
    for fixation in fixations:
        pen.faded(_outline(fixation))
    if len(places) > 1:
        pen.line(places, MARK, 1.4)
    radius = MARKER * pen.unit
    around = np.concatenate([np.zeros((1, 2)), *(_ring(radius, n) for n in range(2, 12))])
    spread = _Spread(picture.shape)
    markers = [spread.put(place + around, np.full(2, radius)) for place in places]
    for place, marker in zip(places, markers, strict=True):
        if np.abs(marker - place).max() > radius:
            pen.line([place, marker], MARK, 1.0)
            pen.dot(place, 2.5, MARK)
    for fixation, marker in zip(fixations, markers, strict=True):
        pen.badge(marker, str(fixation.index + 1), MARK if fixation.index else FIRST)


def draw_regions(
    picture: np.ndarray, regions: Sequence[Region], *, channel_order: str = "rgb"
) -> None:
    """Draw boxes in place, each with its rank from 1 (or its id), its confidence and its focus.

    Parameters
    ----------
    picture : uint8 ndarray of shape (H, W, 3)
        Of the frame's size; see `drawing.visible`.
    regions : sequence of Region
    channel_order : {"rgb", "bgr"}

    Raises
    ------
    ValueError
        Not a picture of that kind.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.zeros((240, 320, 3), np.uint8)
    >>> frame[40:60, 200:220] = 255
    >>> raw = ittisal.Saliency(frame.shape[:2])(frame)
    >>> ittisal.draw_regions(frame, ittisal.regions(raw, shape=frame.shape[:2]))
    """
    pen = _Pen(picture, channel_order)
    colours = [MARK if rank else FIRST for rank in range(len(regions))]
    for region, colour in zip(regions[::-1], colours[::-1], strict=True):
        pen.box(region, colour)
        pen.cross(np.array(region.focus[::-1]), colour)
    spread = _Spread(picture.shape)
    for region, colour, name in zip(regions, colours, _numbers(regions), strict=True):
        label = f"{name}  {region.confidence:.0%}"
        half = pen.extent(label) / 2 + 3 * pen.unit
        centre = spread.put(_beside(region, half), half)
        nearest = np.clip(centre, *_corners(region))
        if (np.abs(nearest - centre) > half + 2).any():
            pen.line([centre, nearest], colour, 1.0)
        pen.tab(centre, half, label, colour)


def draw_reasons(
    panel: np.ndarray,
    explanations: Sequence[Explanation],
    labels: Iterable[Any] | None = None,
    *,
    channel_order: str = "rgb",
) -> None:
    """Fill a panel with a stacked bar for each place: the channels' shares, and a legend.

    Each channel has the same colour always, `CHANNEL_COLOURS`.

    Parameters
    ----------
    panel : uint8 ndarray of shape (H, W, 3)
        Filled; see `reasons_size`. Rows that have no space are counted in the last line.
    explanations : sequence of Explanation
    labels : iterable, optional
        Of the bars; by default numbers from 1, as those of `draw_scanpath` and `draw_regions`.
    channel_order : {"rgb", "bgr"}

    Raises
    ------
    ValueError
        Not a picture of that kind.
    """
    pen = _Pen(panel, channel_order, panel.shape[1] / REASONS_WIDTH)
    panel[...] = BACKGROUND
    u = pen.unit
    colours = _colours(explanations)
    y = MARGIN * u
    for name, colour in colours.items():
        middle = y + LEGEND_ROW * u / 2
        swatch = (MARGIN * u, middle - 6 * u), ((MARGIN + 12) * u, middle + 6 * u)
        pen.bar(*swatch, colour)
        pen.text(name, np.array(((MARGIN + 20) * u, middle)), (INK,) * 3, left=True)
        y += LEGEND_ROW * u
    y += MARGIN * u
    free = len(panel) - MARGIN * u - y
    row = float(np.clip(free / max(len(explanations), 1), LEAST_ROW * u, ROW * u))
    fitting = max(int(free / row + 1e-6), 0)
    shown = len(explanations) if fitting >= len(explanations) else max(fitting - 1, 0)
    numbers = range(1, len(explanations) + 1) if labels is None else labels
    start, end = (MARGIN + 2 * MARKER + 8) * u, panel.shape[1] - MARGIN * u
    for why, number in zip(explanations[:shown], numbers, strict=False):
        middle = y + row / 2
        pen.text(str(number), np.array((MARGIN * u + MARKER * u, middle)), (INK,) * 3)
        x, height = start, row - 6 * u
        for name, colour in colours.items():
            share = why.channels.get(name, 0.0)
            width = share * (end - start)
            pen.bar((x, middle - height / 2), (x + width, middle + height / 2), colour)
            percent = f"{share:.0%}"
            if width > pen.extent(percent)[0] + 6 * u:
                pen.text(percent, np.array((x + width / 2, middle)), _ink_on(colour))
            x += width
        y += row
    if not explanations:
        pen.text("nothing stands out", np.array((MARGIN * u, y)), (INK,) * 3, left=True)
    if shown < len(explanations):
        more = f"and {len(explanations) - shown} more"
        pen.text(more, np.array((start, y + row / 2)), (INK,) * 3, left=True)


def reasons_size(shape: tuple[int, ...], explanations: Sequence[Explanation]) -> tuple[int, int]:
    """(height, width) of a panel for `draw_reasons` beside a picture of this shape.

    As high as the picture, or higher where up to 50 bars need it.
    """
    u = _unit(shape)
    legend = LEGEND_ROW * len(_colours(explanations))
    needed = 3 * MARGIN + legend + LEAST_ROW * 1.2 * min(len(explanations), MOST_ROWS)
    return max(shape[0], math.ceil(needed * u)), round(REASONS_WIDTH * u)


class _Pen:
    """Draws on a picture in RGB colours; coordinates are (x, y), sizes in units."""

    def __init__(self, picture: np.ndarray, channel_order: str, unit: float | None = None) -> None:
        fits = picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        if not fits or 0 in picture.shape:
            raise ValueError(
                f"picture is {picture.dtype} of shape {picture.shape}; give uint8 of (H, W, 3), "
                "as `ittisal.drawing.visible` returns it"
            )
        self._picture = picture
        self._step = -1 if check_channel_order(channel_order) == "bgr" else 1
        self.unit = _unit(picture.shape) if unit is None else unit
        self._weight = max(1, round(self.unit))  # of text, in pixels

    def _of(self, colour: tuple[int, ...]) -> tuple[int, ...]:
        return colour[:: self._step]

    def _width(self, units: float) -> int:
        return max(1, round(units * self.unit))

    def line(self, places: Sequence[np.ndarray], colour: tuple[int, ...], width: float) -> None:
        """Straight lines from place to place, with dark edges."""
        _polyline(self._picture, np.array(places), False, EDGE, self._width(width + 2))
        _polyline(self._picture, np.array(places), False, self._of(colour), self._width(width))

    def faded(self, outlines: list[np.ndarray]) -> None:
        """Closed outlines, translucent."""
        import cv2

        for points in outlines:
            reach = 2 + self.unit
            low = np.maximum(np.floor(points.min(0) - reach), 0).astype(int)
            high = np.ceil(points.max(0) + reach).astype(int) + 1
            part = self._picture[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
            if not part.size:
                continue
            drawn = part.copy()
            _polyline(drawn, points - low, True, EDGE, self._width(3))
            _polyline(drawn, points - low, True, self._of(MARK), self._width(1.2))
            cv2.addWeighted(drawn, FADED, part, 1 - FADED, 0, dst=part)

    def dot(self, place: np.ndarray, radius: float, colour: tuple[int, ...]) -> None:
        """A disc with a dark edge."""
        import cv2

        centre = _pixel(place)
        for extra, ink in ((1.5, EDGE), (0.0, self._of(colour))):
            size = self._width(radius + extra)
            cv2.circle(self._picture, centre, size, ink, -1, cv2.LINE_AA)

    def badge(self, place: np.ndarray, name: str, colour: tuple[int, ...]) -> None:
        """A disc with a number on it."""
        self.dot(place, MARKER - 1.5, colour)
        self.text(name, place, EDGE, fit=2 * MARKER - 6)

    def box(self, region: Region, colour: tuple[int, ...]) -> None:
        """The edge of a box, inside it."""
        for inset, width, ink in (
            (0, self._width(5), EDGE),
            (self._width(1), self._width(3), colour),
        ):
            left, top = region.x + inset, region.y + inset
            right, bottom = (
                end - inset for end in (region.x + region.width, region.y + region.height)
            )
            for low, high in (
                ((left, top), (right, top + width)),
                ((left, bottom - width), (right, bottom)),
                ((left, top), (left + width, bottom)),
                ((right - width, top), (right, bottom)),
            ):
                self.bar(low, high, ink)

    def cross(self, place: np.ndarray, colour: tuple[int, ...]) -> None:
        """A small cross with dark edges."""
        for width, ink, reach in ((3.5, EDGE, 6.0), (1.5, self._of(colour), 5.0)):
            for step in ((reach * self.unit, 0.0), (0.0, reach * self.unit)):
                ends = np.array((place - step, place + step))
                _polyline(self._picture, ends, False, ink, self._width(width))

    def tab(
        self, centre: np.ndarray, half: np.ndarray, label: str, colour: tuple[int, ...]
    ) -> None:
        """A label on a filled rectangle with a dark edge."""
        low, high = centre - half, centre + half
        edge = self._width(1)
        self.bar(low - edge, high + edge, EDGE)
        self.bar(low, high, colour)
        self.text(label, centre, EDGE)

    def bar(self, low: Any, high: Any, colour: tuple[int, ...]) -> None:
        """A filled rectangle from (left, top) to (right, bottom)."""
        left, top, right, bottom = (max(round(n), 0) for n in (*low, *high))
        self._picture[top:bottom, left:right] = self._of(colour)

    def extent(self, line: str) -> np.ndarray:
        """(width, height) of text in pixels."""
        import cv2

        face = cv2.FONT_HERSHEY_SIMPLEX
        return np.array(cv2.getTextSize(line, face, FACE * self.unit, self._weight)[0])

    def text(
        self,
        line: str,
        place: np.ndarray,
        colour: tuple[int, ...],
        *,
        left: bool = False,
        fit: float = math.inf,
    ) -> None:
        """Text with its middle (or the middle of its left end) at a place; shrunk to fit."""
        import cv2

        extent = self.extent(line)
        shrink = min(1.0, fit * self.unit / extent[0])
        start = place + shrink * extent / 2 * (0 if left else -1, 1)
        cv2.putText(
            self._picture,
            line,
            _pixel(start),
            cv2.FONT_HERSHEY_SIMPLEX,
            FACE * self.unit * shrink,
            self._of(colour),
            self._weight,
            cv2.LINE_AA,
        )


class _Spread:
    """Places labels inside a picture so that none covers another."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._last = np.array((shape[1], shape[0])) - 1.0
        self._taken = np.empty((0, 4))  # centre, half of the size

    def put(self, candidates: np.ndarray, half: np.ndarray) -> np.ndarray:
        """The first of these centres, moved into the picture, where a label has space.

        The first where none has.
        """
        inside = np.clip(candidates, half, np.maximum(self._last - half, half))
        centre = inside[0]
        if not self._free(inside[:1], half).all():
            centre = inside[self._free(inside, half).argmax()]
        self._taken = np.vstack([self._taken, [*centre, *half]])
        return np.asarray(centre)

    def _free(self, centres: np.ndarray, half: np.ndarray) -> np.ndarray:
        """Whether a label has space at each of these centres."""
        reach = self._taken[:, 2:] + half
        low, high = centres.min(0) - reach, centres.max(0) + reach
        near = ((self._taken[:, :2] > low) & (self._taken[:, :2] < high)).all(-1)
        distance = np.abs(centres[:, None] - self._taken[near, :2])
        return (distance >= reach[near]).any(-1).all(-1)


def _unit(shape: tuple[int, ...]) -> float:
    """Pixels per pixel of a 640x480 picture."""
    return max(math.sqrt(shape[0] * shape[1] / (640 * 480)), SMALLEST_UNIT)


def _numbers(regions: Sequence[Region]) -> list[int]:
    """Ids of regions, or else their ranks."""
    return [rank if r.id is None else r.id for rank, r in enumerate(regions, 1)]


def _beside(region: Region, half: np.ndarray) -> np.ndarray:
    """Centres of a label, the best first: inside a large box, above or below a small one."""
    low, high = _corners(region)
    signs = np.array(((1, 1), (-1, 1), (1, -1), (-1, -1)))
    corners = np.where(signs > 0, low, high)
    inside = corners + signs * half
    outside = corners + signs * (1, -1) * half
    farther = [outside - signs * (0, 2 * k * half[1]) for k in range(1, 10)]
    small = (2 * half < 0.6 * (high - low)).all()
    return np.concatenate([inside, outside] if small else [outside, inside, *farther])


def _corners(region: Region) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of the first and of the last pixel of a box."""
    low = np.array((region.x, region.y), float)
    return low, low + np.subtract((region.width, region.height), 1)


def _ring(radius: float, n: int) -> np.ndarray:
    """(x, y) of points on a circle, that two discs of the radius have space beside each other."""
    angles = np.arange(0, 2 * np.pi, 1 / n) - np.pi / 4
    return radius * 1.1 * n * np.stack([np.cos(angles), np.sin(angles)], 1)


def _outline(fixation: Fixation) -> list[np.ndarray]:
    """Closed lines, (x, y) in pixels, around what a fixation attends to."""
    found = fixation.object
    if found is not None and found.segmented != "disc":
        return _contours(found)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    return [(fixation.x, fixation.y) + fixation.radius * circle]


def _contours(found: ProtoObject) -> list[np.ndarray]:
    """Smooth lines, (x, y) in pixels, around a mask, which lies in the box of the proto-object."""
    import cv2

    y, x, height, width = found.box
    rows, columns = (np.flatnonzero(found.mask.any(axis)) for axis in (1, 0))
    part = found.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    sample = np.array((width, height)) / part.shape[::-1]
    factor = int(np.clip(sample.min(), 1, 8))
    padded = np.pad(part, 1).astype(np.float32)
    fine = cv2.resize(padded, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    fine = cv2.GaussianBlur(fine, (0, 0), 0.6 * factor)
    inside = (fine > 0.5 * fine.max()).astype(np.uint8)
    lines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    low = np.array((x, y)) - 0.5 - sample
    return [(line[:: max(factor // 2, 1), 0] + 0.5) / factor * sample + low for line in lines]


def _polyline(
    picture: np.ndarray, points: np.ndarray, closed: bool, colour: tuple[int, ...], width: int
) -> None:
    import cv2

    fine = np.rint(points * 16).astype(np.int32)
    cv2.polylines(picture, [fine], closed, colour, width, cv2.LINE_AA, shift=4)


def _pixel(place: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(place).astype(int).tolist()
    return x, y


def _colours(explanations: Sequence[Explanation]) -> dict[str, tuple[int, ...]]:
    """The colours of all channels in these explanations, in the order of `CHANNEL_COLOURS`."""
    found = {name for why in explanations for name in why.channels}
    return {name: colour for name, colour in CHANNEL_COLOURS.items() if name in found}


def _ink_on(colour: tuple[int, ...]) -> tuple[int, ...]:
    """Dark on light colours, light on dark ones."""
    return EDGE if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else (INK,) * 3
