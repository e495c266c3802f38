"""What is reported of a stream: a record of each frame, and counts and latencies of all."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..maps import channel_shares, weighted_channels

COLUMNS = ("frame", "time", "dropped", "cut", "damaged", "latency_ms", "x", "y", "value", "mean")
ATTENTION = {  # of those lists, the columns of CSV
    "fixations": ("x", "y", "time_ms"),
    "regions": ("id", "x", "y", "width", "height", "confidence"),
}
SHORTEST, LONGEST = 1e-6, 1e4  # seconds; what lies outside is counted in the outermost bins
STEP = 1.01  # from one bin to the next: the middle of a bin is within 0.5 % of all in it


class Records:
    """Describes the results of a stream.

    Parameters
    ----------
    stream : Stream
    fixations, regions : bool
        Whether records have what attention does in each frame; it is computed for them.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frames = np.zeros((1, 64, 96, 3), np.uint8)
    >>> frames[:, 16:32, 32:48] = (255, 0, 0)
    >>> with ittisal.stream(frames) as stream:
    ...     record = Records(stream)
    ...     (row,) = (record(result) for result in stream)
    >>> row["frame"], row["time"], row["cut"], sorted(row["peak"]), sorted(row["shares"])[:2]
    (0, 0.0, False, ['value', 'x', 'y'], ['colour', 'figure'])
    """

    def __init__(self, stream: Any, *, fixations: bool = False, regions: bool = False) -> None:
        self.channels = weighted_channels(stream.config)
        self._files = ["file"] * stream.pictures
        self._attention = ["fixations"] * fixations + ["regions"] * regions

    def __call__(self, result: Any) -> dict[str, Any]:
        """One frame's record, as plain values.

        Returns
        -------
        dict
            `frame`: its number in the source. `time`: its presentation time in seconds. `dropped`:
            frames overtaken since the last record. `cut`: whether the past was forgotten before it.
            `damaged`: whether the decoder gave it in spite of damage; by OpenCV, which decodes
            ahead, some frames early. `latency_ms`: to its map. `peak`: `x` and `y` of the highest
            sample in pixels of the source's frame, and its `value`; None where nothing stands out.
            `mean`: of the map. `shares`: of each channel with a weight (and of "figure"), of all
            that they add to the map; they sum to 1 (rounded to six places), and a channel
            without a part in this frame has 0, as have all where nothing stands out. `file`: the
            picture's path, where the source is a folder or pattern of pictures. `fixations`,
            `regions`: lists of what `Result.fixations` and `Result.regions` are, each as its
            `as_dict` gives it.
        """
        saliency, at = result.saliency, result.peak
        shares = channel_shares(result.contributions())
        return {
            "frame": result.index,
            "time": round(result.time, 6),
            "dropped": result.dropped,
            "cut": result.cut,
            "damaged": bool(result.damage),
            "latency_ms": round(result.latency * 1e3, 3),
            "peak": {"x": at[0], "y": at[1], "value": float(saliency.max())} if at else None,
            "mean": float(saliency.mean(dtype=np.float64)),
            "shares": {name: round(shares.get(name, 0.0), 6) for name in self.channels},
            **{name: result.file for name in self._files},
            **{
                name: [each.as_dict() for each in getattr(result, name)] for name in self._attention
            },
        }

    @property
    def header(self) -> str:
        """The first line of a CSV file."""
        shares = (f"share_{name}" for name in self.channels)
        attention = (
            f"{name[:-1]}_{column}" for name in self._attention for column in ATTENTION[name]
        )
        return ",".join([*COLUMNS, *shares, *self._files, *attention])


def json_line(record: dict[str, Any]) -> str:
    """A record as one line of JSON."""
    return json.dumps(record)


def csv_line(record: dict[str, Any]) -> str:
    """A record as one row of CSV, under `Records.header`; empty fields where there is no peak.

    Of fixations the last one, of regions the first.
    """
    flat = {**record, **(record["peak"] or {})}
    flat |= {name: int(record[name]) for name in ("cut", "damaged")}
    row = [*(flat.get(name, "") for name in COLUMNS), *flat["shares"].values()]
    row += [record["file"]] if "file" in record else []
    for name, at in (("fixations", -1), ("regions", 0)):
        if name in record:
            shown = record[name][at] if record[name] else {}
            row += [shown.get(column, "") for column in ATTENTION[name]]
    line = io.StringIO()
    # The writer quotes the characters of its line end: names may hold both.
    csv.writer(line, lineterminator="\r\n").writerow(row)
    return line.getvalue().removesuffix("\r\n")


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
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        place = math.log(max(seconds, SHORTEST) / SHORTEST) / math.log(STEP)
        self._counts[min(int(place), len(self._counts) - 1)] += 1
        self.count += 1
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
    damaged : int
        Frames that the decoder gave in spite of damage, as far as it says so; each was reported.
    missing : int
        Frames that the file promises and that neither came nor failed: above 0, it is cut short,
        or damaged so that the decoder left some out, after which `Result.index` is too low while
        `Result.time` stays right. About right only, since many files do not say exactly: 1 where
        only the end of the file is missing.
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
    damaged: int = 0
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
        counts = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        return {**counts, "fps": self.fps, "latency_ms": latency}
