"""Regions over video: each thing keeps its number, and its box does not flicker or jitter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .checks import within
from .grid import MIN_CONFIDENCE
from .regions import Region

MIN_IOU = 0.1  # intersection over union of two boxes of one thing
NEAR = 0.5  # or the distance of their centres, in mean lengths of a side


class RegionTracker:
    """Gives the regions of successive frames an identity.

    Regions are matched to the things of the frame before, best first: by intersection over union
    of the boxes, then by the distance of their centres. A thing appears when a region of high
    confidence matches none, stays while regions of lower confidence match it (hysteresis), and
    disappears with the first frame that is more than `hold` seconds after the last one and has
    none. Boxes, focal points, scores and confidences follow by a leaky integrator. It holds plain
    numbers only, and the same regions and times give the same result.

    Give it regions down to `stay`, and more than are shown, so that things do not end because they
    lost a rank: `ittisal.regions(result, 20, min_confidence=tracker.stay)`.

    Parameters
    ----------
    appear, stay : float in [0, 1]
        The confidence at which a thing appears, and which its later regions need; `stay` is at
        most `appear`.
    hold : float
        Seconds that a thing stays without a region. Where frames are farther apart, things are
        still matched from one to the next.
    smoothing : float
        Time constant in seconds of the leaky integrator; 0 takes every box as it is.

    Raises
    ------
    TypeError, ValueError
        A value that is no number, or out of its range.

    Examples
    --------
    >>> from ittisal import Region, RegionTracker
    >>> tracker = RegionTracker()
    >>> def box(x, confidence):
    ...     return Region(40, x, 32, 32, 0.5, (55.5, x + 15.5), confidence)
    >>> [thing.id for thing in tracker.update([box(100, 0.9)], 0.0)]
    [1]
    >>> [thing.id for thing in tracker.update([box(200, 0.3), box(104, 0.35)], 0.04)]
    [1]
    """

    def __init__(
        self,
        *,
        appear: float = MIN_CONFIDENCE,
        stay: float = 0.3,
        hold: float = 0.3,
        smoothing: float = 0.1,
    ) -> None:
        self.appear = within("appear", appear, 0, 1)
        self.stay = within("stay", stay, 0, 1)
        self.hold = within("hold", hold, 0, math.inf)
        self.smoothing = within("smoothing", smoothing, 0, math.inf)
        if self.stay > self.appear:
            raise ValueError(
                f"stay={stay!r} is above appear={appear!r}; give at most that, so that a thing "
                "that has appeared can stay"
            )
        self._count = 0
        self.reset()

    def reset(self) -> None:
        """Forget all things, as at a cut or a change of size; their numbers are not used again."""
        self._tracks: list[_Track] = []
        self._time = -math.inf

    def update(self, regions: Iterable[Region], time: float) -> list[Region]:
        """The things of a frame.

        Parameters
        ----------
        regions : iterable of Region
            Of this frame, as `ittisal.regions` gives them.
        time : float
            Of this frame in seconds, after that of the frame before.

        Returns
        -------
        list of Region
            With `id`, a number from 1 up; by falling score.

        Raises
        ------
        TypeError, ValueError
            A time that is no number, or not after the last one.
        """
        now = within("time", time, -math.inf, math.inf)
        if now <= self._time:
            raise ValueError(
                f"time={time!r} is not after that of the frame before, {self._time:g}; call "
                "reset() where the video starts again"
            )
        found = [region for region in regions if region.confidence >= self.stay]
        self._time = now
        free = set(range(len(found)))
        waiting = {track.id for track in self._tracks}
        for *_, track, i in sorted(self._pairs(found), key=lambda pair: pair[:4]):
            if track.id in waiting and i in free:
                waiting.remove(track.id)
                free.remove(i)
                track.follow(_numbers(found[i]), now, self.smoothing)
        self._tracks = [track for track in self._tracks if now - track.seen <= self.hold]
        for i in sorted(free):
            if found[i].confidence >= self.appear:
                self._count += 1
                self._tracks.append(_Track(self._count, _numbers(found[i]), now))
        order = sorted(self._tracks, key=lambda track: (-track.values[_SCORE], track.id))
        return [track.region() for track in order]

    def _pairs(self, found: list[Region]) -> Iterable[tuple[float, float, int, int, _Track, int]]:
        """Things and regions that may be one, with what ranks them."""
        for track in self._tracks:
            box = track.values[:4]
            for i, region in enumerate(found):
                other = _numbers(region)[:4]
                shared = np.minimum(box, other)[2:] - np.maximum(box, other)[:2]
                area = float(shared.prod()) if (shared > 0).all() else 0.0
                sides = np.stack([box[2:] - box[:2], other[2:] - other[:2]])
                iou = area / (float(sides.prod(1).sum()) - area)
                apart = float(np.hypot(*(box[2:] + box[:2] - other[2:] - other[:2]))) / 2
                if iou >= MIN_IOU or apart < NEAR * sides.mean():
                    yield -iou, apart, track.id, i, track, i


_SCORE = 6


def _numbers(region: Region) -> np.ndarray:
    """First and last edges (y, x), focus, score, confidence."""
    y, x = region.y, region.x
    edges = y, x, y + region.height, x + region.width
    return np.array([*edges, *region.focus, region.score, region.confidence], float)


@dataclass
class _Track:
    """One thing."""

    id: int
    values: np.ndarray  # as `_numbers`
    seen: float  # the time of its last region

    def follow(self, values: np.ndarray, now: float, seconds: float) -> None:
        """Move towards a new region, the further the more time has passed."""
        weight = 1 - math.exp((self.seen - now) / seconds) if seconds > 0 else 1.0
        self.values = self.values + weight * (values - self.values)
        self.seen = now

    def region(self) -> Region:
        """It in whole pixels."""
        top, left, bottom, right = (round(edge) for edge in self.values[:4].tolist())
        focus_y, focus_x, score, confidence = self.values[4:].tolist()
        size = max(bottom - top, 1), max(right - left, 1)
        return Region(top, left, *size, score, (focus_y, focus_x), confidence, self.id)
