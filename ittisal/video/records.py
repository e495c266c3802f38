"""What is told of each frame: one JSON line, or one row of CSV."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..config import Config

COLUMNS = ("frame", "time", "dropped", "cut", "latency_ms", "x", "y", "value", "mean")


class Records:
    """Describes the results of a stream.

    Parameters
    ----------
    stream : Stream

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frames = np.zeros((1, 64, 96, 3), np.uint8)
    >>> frames[:, 16:32, 32:48] = (255, 0, 0)
    >>> with ittisal.stream(frames) as stream:
    ...     record = Records(stream)
    ...     (told,) = (record(result) for result in stream)
    >>> told["frame"], told["time"], told["cut"], sorted(told["peak"]), sorted(told["shares"])[:2]
    (0, 0.0, False, ['value', 'x', 'y'], ['colour', 'flicker'])
    """

    def __init__(self, stream: Any) -> None:
        config: Config = stream.config
        self.channels = weighted(config)

    def __call__(self, result: Any) -> dict[str, Any]:
        """One frame's record, as plain values.

        Returns
        -------
        dict
            `frame`: its number in the source. `time`: its presentation time in seconds.
            `dropped`: frames overtaken since the last record. `cut`: whether the past was
            forgotten before it. `latency_ms`: to its map. `peak`: `x` and `y` of the highest
            sample in pixels of the source's frame, and its `value`; None where nothing stands
            out. `mean`: of the map. `shares`: of each channel with a weight (and of "figure"),
            of all that they add to the map; they sum to 1 (rounded to six places), and a channel
            without a part in this frame has 0, as have all where nothing stands out.
        """
        saliency, at = result.saliency, result.peak
        shares = channel_shares(result.contributions())
        return {
            "frame": result.index,
            "time": round(result.time, 6),
            "dropped": result.dropped,
            "cut": result.cut,
            "latency_ms": round(result.latency * 1e3, 3),
            "peak": {"x": at[0], "y": at[1], "value": float(saliency.max())} if at else None,
            "mean": float(saliency.mean(dtype=np.float64)),
            "shares": {name: round(shares.get(name, 0.0), 6) for name in self.channels},
        }

    @property
    def header(self) -> str:
        """The first line of a CSV file."""
        return ",".join([*COLUMNS, *(f"share_{name}" for name in self.channels)])


def channel_shares(contributions: dict[str, np.ndarray]) -> dict[str, float]:
    """Each channel's share of all that the channels add to the map; all 0 where that is nothing.

    Examples
    --------
    >>> channel_shares({"intensity": np.ones((2, 2)), "colour": 3 * np.ones((2, 2))})
    {'intensity': 0.25, 'colour': 0.75}
    """
    sums = {
        name: max(float(part.sum(dtype=np.float64)), 0.0) for name, part in contributions.items()
    }
    total = sum(sums.values())
    return {name: part / total if total > 0 else 0.0 for name, part in sums.items()}


def weighted(config: Config) -> list[str]:
    """What `contributions` may name: the channels that have a weight, and the figure."""
    channels = [str(channel) for channel in config.weights if config.has(channel)]
    return channels + ["figure"] * config.figure


def json_line(record: dict[str, Any]) -> str:
    """A record as one line of JSON."""
    return json.dumps(record)


def csv_line(record: dict[str, Any]) -> str:
    """A record as one row of CSV, under `Records.header`; empty fields where there is no peak."""
    at = record["peak"] or {"x": "", "y": "", "value": ""}
    flat = {**record, **at, "cut": int(record["cut"])}
    return ",".join(str(value) for value in (*(flat[c] for c in COLUMNS), *flat["shares"].values()))
