"""Which values of a frame are black and white, for sensors that use a part of their range."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

Span = tuple[float, float]  # black and white, in a frame's own units

SAMPLE = 8192  # pixels, about, that percentiles are measured on
BLOCK = 1 << 16  # pixels stretched at a time, so that they stay in the processor's cache
LARGEST = float(np.finfo(np.float32).max)
LEAST_SPAN = 1e-30  # so that full scale over span is finite in float32


@dataclass(frozen=True)
class Levels:
    """What black and white are, by fixed values or by percentiles of the frames.

    A frame is stretched before the model sees it: black and white become the ends of its type's
    range (of uint8, of uint16; 0 and 1 of float), values between them lie in proportion, values
    beyond are clipped. Colour frames have the same levels in all channels. Where black and white
    coincide, what is above them is white.

    Percentiles follow the scene, and stretch the noise of one in which there is nothing else.
    Fixed values do not.

    Parameters
    ----------
    values : (float, float), optional
        Black and white in the frame's own units: counts of uint8 or uint16, or the values of float
        frames, such as degrees, which may then have any finite range. (Transparent pictures in
        files, composited over white, are float in [0, 1].)
    percentiles : (float, float), optional
        Black and white as percentiles of a frame's values, from 0 to 100, in place of `values`.
        Measured on a regular grid of some 8000 pixels; 0 and 100 on all.
    seconds : float
        Time constant with which percentiles are followed from frame to frame, so that nothing
        flickers. 0 takes each frame by itself, `math.inf` keeps those of the first. `reset()`, and
        in streams a cut, begins anew.

    Raises
    ------
    TypeError, ValueError
        Not numbers, black not below white, or out of range.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.full((64, 96), 7100, np.uint16)
    >>> frame[20:40, 40:60] = 7400
    >>> model = ittisal.Saliency((64, 96), levels=ittisal.Levels(percentiles=(1, 99)))
    >>> bool(model(frame).max() > 0), model.levels
    (True, (7100.0, 7400.0))
    """

    values: Span | None = None
    percentiles: Span | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if (self.values is None) == (self.percentiles is None):
            raise ValueError(
                "levels are either values or percentiles; give one, as in Levels((7000, 7500)) or "
                "Levels(percentiles=(1, 99))"
            )
        name = "values" if self.percentiles is None else "percentiles"
        try:
            low, high = getattr(self, name)
        except (TypeError, ValueError):
            given = getattr(self, name)
            raise TypeError(f"levels: {name}={given!r} must be (black, white)") from None
        low, high = pair = _number(name, low), _number(name, high)
        if not -LARGEST <= low < high <= LARGEST:  # NaN too
            raise ValueError(
                f"levels: {name}={pair} must be finite, black below white; give (black, white)"
            )
        if name == "percentiles" and not (low >= 0 and high <= 100):
            raise ValueError(f"levels: percentiles={pair} must be from 0 to 100")
        seconds = _number("seconds", self.seconds)
        if not seconds >= 0:  # NaN too
            raise ValueError(
                f"levels: seconds={seconds:g} must be at least 0; math.inf keeps the first frame's"
            )
        object.__setattr__(self, name, pair)
        object.__setattr__(self, "seconds", seconds)

    @property
    def remembers(self) -> bool:
        """Whether black and white depend on the frames before."""
        return self.percentiles is not None and self.seconds > 0

    def follow(self, frame: np.ndarray, last: Span | None, elapsed: float) -> Span:
        """Black and white of a frame so many seconds after one that had `last`, or without one.

        Raises
        ------
        ValueError
            A float frame holds NaN, or values that are infinite in float32, or `values` lie outside
            an integer type.
        """
        span = self._measured(frame)
        if last is None or not self.remembers:
            return span
        weight = -math.expm1(-elapsed / self.seconds)
        low, high = (a + weight * (b - a) for a, b in zip(last, span, strict=True))
        return low, high

    def _measured(self, frame: np.ndarray) -> Span:
        if frame.dtype == np.float32 and not np.isfinite((frame.min(), frame.max())).all():
            raise ValueError(
                "frame holds NaN, or values that are infinite in float32; replace them first, as "
                "with numpy.nan_to_num, or scale the frame down"
            )
        if self.values is not None:
            low, high = self.values
            full = full_scale(frame.dtype)
            if frame.dtype != np.float32 and not (low >= 0 and high <= full):
                raise ValueError(
                    f"levels=({low:g}, {high:g}) reach beyond {frame.dtype} frames, whose values "
                    f"lie in 0 to {full:g}; give levels in the frame's own counts"
                )
            return self.values
        assert self.percentiles is not None
        # Odd, so that even and odd columns count alike.
        step = math.isqrt(frame.shape[0] * frame.shape[1] // SAMPLE) | 1
        sample = frame[::step, ::step].ravel()
        low, high = self.percentiles
        ranks = [round(p / 100 * (sample.size - 1)) for p in (low, high)]
        ranked = np.partition(sample, ranks)
        return (
            float(frame.min() if low == 0 else ranked[ranks[0]]),
            float(frame.max() if high == 100 else ranked[ranks[1]]),
        )


def as_levels(levels: Any) -> Levels | None:
    """`levels` as an argument may give them: None, `Levels`, or (black, white)."""
    return levels if levels is None or isinstance(levels, Levels) else Levels(levels)


def full_scale(dtype: np.dtype) -> float:
    """The value of white: 1 for float, else the type's largest."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def stretch(frame: np.ndarray, span: Span, out: np.ndarray) -> None:
    """Write a frame into `out` (uint8, uint16 or float32), black and white at its range's ends.

    Values beyond are clipped, and rounded where `out` holds integers.
    """
    full = full_scale(out.dtype)
    low, scale = np.float32(span[0]), np.float32(full / max(span[1] - span[0], LEAST_SPAN))
    rows = max(BLOCK // frame[0].size, 1)
    scratch = np.empty((min(rows, len(frame)), *frame.shape[1:]), np.float32)
    with np.errstate(over="ignore"):  # far beyond white
        for top in range(0, len(frame), rows):
            part = frame[top : top + rows]
            x = scratch[: len(part)]
            np.copyto(x, part)
            np.subtract(x, low, out=x)
            np.multiply(x, scale, out=x)
            x.clip(0, full, out=x)
            if out.dtype.kind == "u":
                np.rint(x, out=x)
            np.copyto(out[top : top + rows], x, casting="unsafe")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"levels: {name} holds {value!r}; give numbers")
    return float(value)
