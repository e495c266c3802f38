"""What a stream counts: frames, losses and latencies, in fixed memory however long it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SHORTEST, LONGEST = 1e-6, 1e4  # seconds; what lies outside is counted in the outermost bins
STEP = 1.01  # from one bin to the next: the middle of a bin is within 0.5 % of all in it


class Latencies:
    """Durations in bins a hundredth apart: percentiles to half a percent, the maximum exactly.

    Examples
    --------
    >>> latencies = Latencies()
    >>> for ms in range(1, 101):
    ...     latencies.add(ms / 1000)
    >>> round(latencies.percentile(50) * 1000), latencies.longest
    (50, 0.1)
    """

    def __init__(self) -> None:
        bins = math.ceil(math.log(LONGEST / SHORTEST) / math.log(STEP)) + 1
        self._counts = np.zeros(bins, np.int64)
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        place = math.log(max(seconds, SHORTEST) / SHORTEST) / math.log(STEP)
        self._counts[min(int(place), len(self._counts) - 1)] += 1
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def percentile(self, percent: float) -> float:
        """The duration in seconds that `percent` of all do not exceed; NaN when there are none."""
        if not self.count:
            return math.nan
        rank = max(math.ceil(self.count * percent / 100), 1)
        if rank >= self.count:
            return self.longest
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(SHORTEST * STEP ** (place + 0.5), self.longest)

    @property
    def mean(self) -> float:
        """Of all durations, in seconds; NaN when there are none."""
        return self.total / self.count if self.count else math.nan


@dataclass
class Statistics:
    """Counts of a stream so far, and how long its frames took.

    Parameters
    ----------
    frames : int
        Results given.
    dropped : int
        Frames that came and were overtaken by newer ones (live sources).
    failed : int
        Frames that could not be read or computed; each was reported.
    missing : int
        Frames that the file promises and that neither came nor failed: above 0, it is cut short,
        or damaged so that the decoder left some out, after which `Result.index` is too low while
        `Result.time` stays right. About right only, since many files do not say exactly.
    cuts, resizes, reconnects : int
        Cuts found, changes of the frames' size, connections made anew.
    mended : int
        Presentation times that were missing or did not increase, and were replaced by the last
        one and the nominal interval.
    seconds : float
        From the first frame being asked for to the last result.
    latencies : Latencies
        From a frame's arrival (live), or its being ready and asked for (else), to its map.
    """

    frames: int = 0
    dropped: int = 0
    failed: int = 0
    missing: int = 0
    cuts: int = 0
    resizes: int = 0
    reconnects: int = 0
    mended: int = 0
    seconds: float = 0.0
    latencies: Latencies = field(default_factory=Latencies, repr=False)

    @property
    def fps(self) -> float:
        """Results per second so far; 0 before the first."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def latency(self) -> dict[str, float]:
        """Milliseconds: p50, p95, p99 and max; NaN before the first result.

        The percentiles are within half a percent, the maximum is exact.
        """
        percentiles = {f"p{p}": self.latencies.percentile(p) * 1e3 for p in (50, 95, 99)}
        longest = self.latencies.longest if self.latencies.count else math.nan
        return {**percentiles, "max": longest * 1e3}

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, for JSON; None where there is no number yet."""
        latency = {k: (None if math.isnan(v) else v) for k, v in self.latency.items()}
        names = ("frames", "dropped", "failed", "missing", "cuts", "resizes", "reconnects")
        counts = {name: getattr(self, name) for name in (*names, "mended", "seconds")}
        return {**counts, "fps": self.fps, "latency_ms": latency}
