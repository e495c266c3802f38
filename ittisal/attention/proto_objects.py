"""Proto-objects: the region at an attended location, by the maps that won there (WK06).

The channel that adds most to the saliency there, and within it the feature map with the largest
value there, are segmented around the location (Walther & Koch, Neural Networks 19, 2006).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Config
from ..features import FEATURES
from .view import View, view

# Of the value at the location; what is above belongs to the region. The first is WK06's, made for
# maps that are 0 in most places, as `iterative` makes them; others are connected by faint bridges.
LEVELS = (0.05, 0.1, 0.2, 0.35, 0.5)
LEAST_SEED = 1e-3  # of a map's maximum: below it the map says nothing about the location
LARGEST = 0.1  # of the map: larger regions are ground, not figure
EQUAL = 1e-5  # maps that differ less are equal but for rounding
DILATION = 2  # samples by which inhibition exceeds the region


@dataclass(frozen=True, eq=False)
class ProtoObject:
    """The region at a location.

    Parameters
    ----------
    mask : bool ndarray of the map's shape
        The region, smoothed; it holds the location.
    inhibited : bool ndarray of the map's shape
        The region before smoothing, and two samples around it.
    segmented : str
        The map in which it was found, by its name in traces: "normalised/FEATURE/C-S",
        "conspicuity/CHANNEL", "contribution/figure" or "saliency". "disc" where no map has a region
        there that is smaller than a tenth of the map, and the disc of attention stands in.
    channel : str
        The channel that adds most to the saliency there.
    box : (int, int, int, int)
        y, x, height and width of the smallest box around the region's samples, in pixels of the
        frame, inside it.
    area : float
        Share of the map that the region takes, in [0, 1].
    """

    mask: np.ndarray
    inhibited: np.ndarray
    segmented: str
    channel: str
    box: tuple[int, int, int, int]
    area: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the masks."""
        y, x, height, width = self.box
        return {
            "segmented": self.segmented,
            "channel": self.channel,
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "area": round(self.area, 6),
        }


def proto_object(
    source: Any,
    place: tuple[float, float],
    *,
    radius: float | None = None,
    shape: tuple[int, int] | None = None,
    config: Config | None = None,
) -> ProtoObject:
    """The proto-object at a place of the frame.

    Parameters
    ----------
    source : mapping or Result
        What `Saliency.trace` gives, or a result of `ittisal.stream`.
    place : (float, float)
        (y, x) in pixels of the frame.
    radius : float, optional
        Of the disc that stands in, in pixels; as for `scanpath`.
    shape, config
        As for `scanpath`.

    Raises
    ------
    ValueError
        The place lies outside the frame, or `source` is a map alone.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.full((480, 640), 40, np.uint8)
    >>> frame[96:176, 240:304] = 200
    >>> traced = ittisal.Saliency(frame.shape).trace(frame)
    >>> found = ittisal.proto_object(traced, (130, 270))
    >>> found.channel, found.segmented
    ('intensity', 'normalised/intensity/3-7')
    """
    seen = view(source, shape, config)
    row, column = seen.nearest_sample(place)
    disc = seen.disc(row, column, seen.attention_radius(radius))
    return segment(seen, seen.intermediates(), row, column, disc)


def segment(
    seen: View, trace: Mapping[str, np.ndarray], row: int, column: int, disc: np.ndarray
) -> ProtoObject:
    """The proto-object at a sample of the map; `disc` is the mask that stands in."""
    channel = _largest(_named(trace, "contribution/"), row, column)[0].removeprefix("contribution/")
    mask, inhibited, segmented = disc, disc, "disc"
    for name in _candidates(trace, channel, row, column):
        component = _component(trace[name], row, column)
        if component is not None:
            mask, inhibited, segmented = *_smoothed(component, row, column), name
            break
    return ProtoObject(
        mask, inhibited, segmented, channel, seen.box_around(mask), float(mask.mean())
    )


def _largest(maps: Mapping[str, np.ndarray], row: int, column: int) -> list[str]:
    """Names of the maps with the largest value at a sample.

    There may be several: N makes every map of a single peak equally high, but for rounding.
    """
    values = {name: x[row, column] for name, x in maps.items()}
    highest = max(values.values(), default=0) * (1 - EQUAL)
    return [name for name, value in values.items() if value >= highest]


def _named(trace: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The maps whose names begin so."""
    return {name: x for name, x in trace.items() if name.startswith(prefix)}


def _candidates(
    trace: Mapping[str, np.ndarray], channel: str, row: int, column: int
) -> Iterator[str]:
    """Names of maps to look for the region in, from the most to the least specific."""
    maps: dict[str, np.ndarray] = {}
    for feature in FEATURES:
        if feature.channel.value == channel:
            maps |= _named(trace, f"normalised/{feature.name}/")
    yield from _largest(maps, row, column)
    name = f"conspicuity/{channel}"
    yield name if name in trace else f"contribution/{channel}"
    yield "saliency"


def _component(x: np.ndarray, row: int, column: int) -> np.ndarray | None:
    """The four-connected component of the sample, above the lowest level where it is not too large.

    None where there is none, or the sample is too weak.
    """
    seed = float(x[row, column])
    if not seed > 0 or seed < LEAST_SEED * float(x.max()):
        return None
    for level in LEVELS:
        component = connected(x > level * seed, row, column)
        if component.mean() < LARGEST:
            return component
    return None


def connected(mask: np.ndarray, row: int, column: int) -> np.ndarray:
    """The four-connected component of a mask that holds the sample."""
    import cv2

    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    return np.asarray(labels == labels[row, column])


def _smoothed(component: np.ndarray, row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """The component opened and closed, and as it was but dilated."""
    import cv2

    plain = component.astype(np.uint8)
    inhibited = cv2.dilate(plain, _diamond(DILATION)) > 0
    for reach in (2, 1):  # a diamond of 5x5, or a cross of 3x3 where the location would be lost
        element = _diamond(reach)
        opened = cv2.morphologyEx(plain, cv2.MORPH_OPEN, element)
        closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, element)
        if closed[row, column]:
            return connected(closed > 0, row, column), inhibited
    return component, inhibited


def _diamond(reach: int) -> np.ndarray:
    """The structuring element of all samples at most so many steps away."""
    i = np.abs(np.arange(-reach, reach + 1))
    return (np.add.outer(i, i) <= reach).astype(np.uint8)
