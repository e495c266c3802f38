"""Attention over video: the network and the regions go on from frame to frame."""

from __future__ import annotations

import numpy as np

from ..maps import RunningPeak
from ..pipeline import FRAME_SECONDS
from .network import PEAK_INPUT, Winner, WinnerTakeAll
from .regions import Region, regions
from .scanpath import QUIET, Fixation, fixation
from .tracker import RegionTracker
from .view import View

MOST_REGIONS = 10  # that are shown
LONGEST_GAP = 10.0  # s between results: then inhibition has decayed to the neurons' leak
RANKED = 20  # regions that are looked for, so that none ends because it lost a rank


class Attention:
    """Attended locations and regions of successive frames.

    Either is computed only when it is asked for, and once per frame. Frames that are not asked
    about are passed over: the network then has the next frame's map for all the time since, or
    after a long gap begins anew with it.
    """

    def __init__(self) -> None:
        self._tracker = RegionTracker()
        self.reset()

    def reset(self) -> None:
        """Forget the frames before, as at a cut or a change of size."""
        self._network: WinnerTakeAll | None = None
        self._peak = RunningPeak()
        self._tracker.reset()
        self._count = 0  # of fixations
        self._fixated: tuple[float | None, list[Fixation]] = None, []  # at which time, and where
        self._tracked: tuple[float | None, list[Region]] = None, []

    def fixations(self, seen: View, time: float) -> list[Fixation]:
        """Places attended to since the frame before; see `Result.fixations`."""
        last, found = self._fixated
        if last != time:
            elapsed = FRAME_SECONDS if last is None else time - last
            if elapsed > LONGEST_GAP:
                self._network, elapsed = None, QUIET
            found = [self._fixation(seen, time, w) for w in self._step(seen, time, elapsed)]
            self._fixated = time, found
        return found

    def regions(self, seen: View, time: float) -> list[Region]:
        """What stands out, by falling score; see `Result.regions`."""
        last, found = self._tracked
        if last != time:
            ranked = regions(seen, RANKED, min_confidence=self._tracker.stay)
            found = self._tracker.update(ranked, time)[:MOST_REGIONS]
            self._tracked = time, found
        return found

    def _step(self, seen: View, time: float, elapsed: float) -> list[Winner]:
        highest = self._peak.follow(float(seen.saliency.max()), time)
        if self._network is None:
            height, width = (seen.attention_radius() / seen.sample_size).tolist()
            self._network = WinnerTakeAll(seen.saliency.shape, radius=(height, width))
        scale = PEAK_INPUT / highest if highest > 0 else 0.0
        return self._network.step(np.minimum(seen.saliency * scale, PEAK_INPUT), elapsed)

    def _fixation(self, seen: View, time: float, winner: Winner) -> Fixation:
        assert self._network is not None
        seconds = time - (self._network.time - winner.time)
        self._count += 1
        return fixation(
            seen, self._count - 1, seconds, winner.row, winner.column, seen.attention_radius()
        )
