"""Checks of options that several functions take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..config import number
from ..frames import is_on_gpu


def whole(name: str, value: Any) -> int:
    """The value, if it is a whole number above 0; else a ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number above 0")
    return int(value)


def within(name: str, value: Any, low: float, high: float, *, above: bool = False) -> float:
    """The value, if it is a finite number between the limits; `above`: not the lower one.

    Raises TypeError if it is no number and ValueError if it lies outside, which name it.
    """
    found = number(name, value)
    if not (low <= found <= high and math.isfinite(found) and not (above and found == low)):
        wanted = f"above {low:g}" if above else f"at least {low:g}"
        most = f"at most {high:g}" if high < math.inf else "finite"
        wanted = most if low == -math.inf else f"{wanted} and {most}"
        raise ValueError(f"{name}={value!r} must be {wanted}")
    return found


def size(name: str, value: Any, shape: tuple[int, int]) -> np.ndarray:
    """(height, width) in pixels, from one whole number or two, at most the frame's `shape`."""
    sides = (value, value) if isinstance(value, (int, np.integer)) else value
    try:
        height, width = (whole(name, side) for side in sides)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}={value!r} must be a whole number of pixels above 0, or (height, width)"
        ) from None
    if height > shape[0] or width > shape[1]:
        raise ValueError(
            f"{name} is {width}x{height} pixels, larger than the frame of {shape[1]}x{shape[0]}; "
            "give at most that"
        )
    return np.array((height, width))


def saliency(given: Any) -> np.ndarray:
    """A map as float64, a copy, if it has two axes and numbers from 0 to what float32 holds.

    TypeError where it holds no real numbers, else ValueError.
    """
    if is_on_gpu(given):
        raise TypeError(
            "the map is on a GPU; attention works in host memory: copy it, as with .get() or .cpu()"
        )
    array = np.asarray(given)
    if array.dtype.kind not in "fui":
        raise TypeError(
            f"map is {type(given).__name__} of dtype {array.dtype}; give numbers, as "
            "`Saliency` returns them"
        )
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"map has shape {array.shape}; give one of two axes, (h, w)")
    array = array.astype(np.float64)
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= np.finfo(np.float32).max):  # NaN too
        what = "NaN" if np.isnan(low) or np.isnan(high) else f"{low if low < 0 else high:g}"
        raise ValueError(f"map holds {what}; saliency is at least 0 and at most float32's 3.4e38")
    return array
