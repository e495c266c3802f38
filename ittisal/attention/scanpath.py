"""Scanpaths: the attended locations of a saliency map, in order (P98, section II.C)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Config
from . import checks
from .inhibition import Inhibition, disc, gaussian
from .network import PEAK_INPUT, WinnerTakeAll
from .proto_objects import ProtoObject, segment
from .view import View, view

INHIBITIONS = ("disc", "gauss", "object")
WINNERS = ("fast", "lif")
SHIFT = 0.05  # s: nominal time of a shift of attention, the middle of P98's 30 to 70 ms
QUIET = 1.0  # s without a winner after which the network is taken to have none
LEAST = 1e-20  # saliency up to which a place is not looked at


@dataclass(frozen=True, eq=False)
class Fixation:
    """One attended location.

    Parameters
    ----------
    index : int
        Its number, from 0.
    time : float
        When attention arrives, in ms: simulated with `winner="lif"`, 50 ms a shift with "fast".
    y, x : float
        In pixels of the frame; whole numbers are centres of pixels.
    row, column : int
        Of the map's sample.
    saliency : float
        The map's value there.
    radius : float
        Of the disc of attention, in pixels of the frame.
    mask : bool ndarray of the map's shape, or None
        The region attended to: the proto-object's with `inhibition="object"`, else None.
    object : ProtoObject or None
        With `inhibition="object"`; its `segmented` says which map it was found in, or "disc".
    """

    index: int
    time: float
    y: float
    x: float
    row: int
    column: int
    saliency: float
    radius: float
    object: ProtoObject | None = None

    @property
    def mask(self) -> np.ndarray | None:
        """The region attended to, where there is a proto-object."""
        return None if self.object is None else self.object.mask

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `object` without its masks, and only where there is one."""
        plain = {
            "index": self.index,
            "time_ms": round(self.time, 3),
            "x": round(self.x, 3),
            "y": round(self.y, 3),
            "column": self.column,
            "row": self.row,
            "saliency": self.saliency,
            "radius": round(self.radius, 3),
        }
        return plain | ({} if self.object is None else {"object": self.object.as_dict()})


def scanpath(
    source: Any,
    n: int = 10,
    *,
    inhibition: str = "disc",
    winner: str = "fast",
    radius: float | None = None,
    peak: float | None = PEAK_INPUT,
    shape: tuple[int, int] | None = None,
    config: Config | None = None,
) -> list[Fixation]:
    """The first attended locations of a saliency map.

    Parameters
    ----------
    source : array of shape (h, w), mapping, or Result
        A raw map of `Saliency`, a map of the frame's own size, the trace of a frame
        (`Saliency.trace`), or a result of `ittisal.stream`.
    n : int
        At most so many: fewer where nothing is left that stands out, none on a flat map.
    inhibition : {"disc", "gauss", "object"}
        What is inhibited once it was attended to. `disc`: all within the radius. `gauss`: less with
        distance, a Gaussian whose standard deviation is the radius ("fast"), or 0.3 of it with
        facilitation beyond ("lif"; P98). `object`: the proto-object, for which `source` has to be a
        trace or a result.
    winner : {"fast", "lif"}
        `fast`: the maximum of what is not inhibited; nothing recovers. `lif`: the network of leaky
        integrate-and-fire neurons, see `WinnerTakeAll`; inhibition decays within a second, and
        places are attended to again.
    radius : float, optional
        Of attention, in pixels of the frame; by default a sixth of its shorter side (P98), or with
        the preset `invt` a twelfth.
    peak : float, optional
        With "lif": maps are scaled to this maximum, on which intervals depend; None leaves them as
        they are.
    shape : (int, int), optional
        (height, width) of the frame, by default the map's times 16. A result knows its own.
    config : Config, optional
        The reading of the model that made the map (`itti1998`). A result knows its own.

    Returns
    -------
    list of Fixation

    Raises
    ------
    TypeError, ValueError
        Not a map, one of another size than the frame's, values that are negative or not finite, or
        an option outside its limits; `inhibition="object"` of a map alone.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.zeros((240, 320), np.uint8)
    >>> frame[40:60, 200:220] = 255
    >>> frame[150:170, 60:80] = 120
    >>> path = ittisal.scanpath(ittisal.Saliency(frame.shape)(frame), n=2, shape=frame.shape)
    >>> [(round(fixation.x), round(fixation.y)) for fixation in path]
    [(216, 56), (72, 152)]
    """
    for name, value, choices in (
        ("inhibition", inhibition, INHIBITIONS),
        ("winner", winner, WINNERS),
    ):
        if value not in choices:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")
    n = checks.whole("n", n)
    if peak is not None:
        peak = checks.within("peak", peak, 0, math.inf, above=True)
    seen = view(source, shape, config)
    radius = seen.attention_radius(radius)
    objects = Objects(seen, radius) if inhibition == "object" else None
    radii = tuple((radius / seen.sample_size).tolist())
    if winner == "lif":
        attended = _network(seen.saliency, objects or inhibition, radii, peak)
    else:
        by_distance = disc if inhibition == "disc" else gaussian
        attended = _fast(seen.saliency, objects or by_distance(seen.saliency.shape, radii))
    path = []
    for index, (seconds, row, column) in zip(range(n), attended, strict=False):
        found = None if objects is None else objects.last
        path.append(fixation(seen, index, seconds, row, column, radius, found))
    return path


def fixation(
    seen: View,
    index: int,
    seconds: float,
    row: int,
    column: int,
    radius: float,
    found: ProtoObject | None = None,
) -> Fixation:
    """The fixation at a sample of the map."""
    y, x = seen.to_frame((row, column)).tolist()
    saliency = float(seen.saliency[row, column])
    return Fixation(index, seconds * 1e3, y, x, row, column, saliency, radius, found)


class Objects:
    """Inhibition by proto-objects; `last` is the one that was inhibited last."""

    def __init__(self, seen: View, radius: float) -> None:
        self._seen, self._radius, self._trace = seen, radius, seen.intermediates()
        self.last: ProtoObject | None = None

    def __call__(self, row: int, column: int) -> tuple[np.ndarray, Any]:
        """The strengths of inhibition around a sample; see `inhibition.Inhibition`."""
        disc = self._seen.disc(row, column, self._radius)
        self.last = segment(self._seen, self._trace, row, column, disc)
        return self.last.inhibited.astype(float), slice(None)


def _fast(saliency: np.ndarray, inhibition: Inhibition) -> Iterator[tuple[float, int, int]]:
    """The maximum, then the maximum of what is not inhibited, and so on: seconds and place."""
    left = saliency.copy()
    inhibited = np.zeros_like(saliency)
    for shift in itertools.count(1):
        row, column = divmod(int(left.argmax()), left.shape[1])  # ties: the first in reading order
        if left[row, column] <= LEAST:
            return
        strengths, part = inhibition(row, column)
        depth = inhibited[part]
        np.maximum(depth, strengths, out=depth)
        left[part] = saliency[part] * (1 - depth)
        yield SHIFT * shift, row, column


def _network(
    saliency: np.ndarray,
    inhibition: str | Inhibition,
    radii: tuple[float, float],
    peak: float | None,
) -> Iterator[tuple[float, int, int]]:
    """The winners of the network while the map lasts."""
    highest = saliency.max()
    if highest <= LEAST:
        return
    network = WinnerTakeAll(saliency.shape, inhibition, radius=radii)
    scaled = saliency * (1 if peak is None else peak / highest)
    while winners := network.step(scaled, QUIET, most=1):
        yield from winners
