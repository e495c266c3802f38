"""What is told of each frame: one JSON line, or one row of CSV."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..config import MAP_LEVEL, Config, Phase
from .pictures import channel_shares

STEP = 1 << MAP_LEVEL
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
        self._stream = stream
        self._config: Config = stream.model.config
        self.channels = [str(channel) for channel, weight in self._config.weights if weight > 0]

    def __call__(self, result: Any) -> dict[str, Any]:
        """One frame's record, as plain values.

        Returns
        -------
        dict
            `frame`: its number in the source. `time`: its presentation time in seconds.
            `dropped`: frames overtaken since the last record. `cut`: whether the past was
            forgotten before it. `latency_ms`: to its map. `peak`: `x` and `y` of the highest
            sample in pixels of the source's frame, and its `value`; None where nothing stands
            out. `mean`: of the map. `shares`: of each channel with a weight, of all that the
            channels add to the map; they sum to 1 (rounded to six places), and a channel without a
            part in this frame has 0, as have all where nothing stands out.
        """
        saliency = result.saliency
        shares = channel_shares(result.contributions())
        return {
            "frame": result.index,
            "time": round(result.time, 6),
            "dropped": result.dropped,
            "cut": result.cut,
            "latency_ms": round(result.latency * 1e3, 3),
            "peak": peak(saliency, self._stream.size, self._stream.model.shape, self._config),
            "mean": float(saliency.mean(dtype=np.float64)),
            "shares": {name: round(shares.get(name, 0.0), 6) for name in self.channels},
        }

    @property
    def header(self) -> str:
        """The first line of a CSV file."""
        return ",".join([*COLUMNS, *(f"share_{name}" for name in self.channels)])


def peak(
    saliency: np.ndarray, size: tuple[int, int], working: tuple[int, int], config: Config
) -> dict[str, Any] | None:
    """Where a map is highest, in pixels of a frame of `size` (height, width).

    `working` is the size of the frame that the model saw. None where nothing stands out.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> saliency = np.zeros((6, 8), np.float32)
    >>> saliency[2, 3] = 1
    >>> peak(saliency, (192, 256), (96, 128), ittisal.VIDEO)
    {'x': 111, 'y': 79, 'value': 1.0}
    """
    highest = float(saliency.max())
    if not highest > 0:
        return None
    offset = (STEP - 1) / 2 if config.phase is Phase.CENTRED else 0.0
    y, x = (
        int((int(i) * STEP + offset + 0.5) * whole / small - 0.5)
        for i, whole, small in zip(
            np.unravel_index(int(saliency.argmax()), saliency.shape), size, working, strict=True
        )
    )
    return {"x": x, "y": y, "value": highest}


def json_line(record: dict[str, Any]) -> str:
    """A record as one line of JSON."""
    return json.dumps(record)


def csv_line(record: dict[str, Any]) -> str:
    """A record as one row of CSV, under `Records.header`; empty fields where there is no peak."""
    at = record["peak"] or {"x": "", "y": "", "value": ""}
    flat = {**record, **at, "cut": int(record["cut"])}
    return ",".join(str(value) for value in (*(flat[c] for c in COLUMNS), *flat["shares"].values()))
