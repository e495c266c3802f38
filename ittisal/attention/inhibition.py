"""Inhibition of return: how strongly the places around an attended one are inhibited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

GAUSSIAN_WIDTH = 0.3  # standard deviation in the network over the radius of attention (iNVT)
FACILITATION = 1e-4  # of the inhibition: what lies near is facilitated instead (P98)
FACILITATION_WIDTH = 4.0  # standard deviation of that over the inhibition's

# (row, column) -> strengths, and the part of the map that they are for
Inhibition = Callable[[int, int], tuple[np.ndarray, Any]]


def disc(shape: tuple[int, int], radii: tuple[float, float]) -> Inhibition:
    """1 within the radius, in samples by axis, and 0 beyond.

    Examples
    --------
    >>> strengths, part = disc((5, 5), (1, 1))(0, 2)
    >>> strengths.tolist(), part
    ([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]], (slice(0, 2, None), slice(1, 4, None)))
    """
    reach = tuple(min(int(r), n - 1) for n, r in zip(shape, radii, strict=True))
    y, x = (np.arange(-k, k + 1) / r for k, r in zip(reach, radii, strict=True))
    return _around((np.hypot.outer(y, x) <= 1).astype(float), shape)


def gaussian(
    shape: tuple[int, int], deviations: tuple[float, float], *, facilitates: bool = False
) -> Inhibition:
    """A Gaussian with these standard deviations, in samples by axis.

    With `facilitates` a wider and much lower one is subtracted, so that what lies near, but not
    too near, is facilitated (P98's proximity preference).
    """

    def bell(width: float) -> np.ndarray:
        y, x = (
            np.exp(-((np.arange(1 - n, n) / (width * s)) ** 2) / 2)
            for n, s in zip(shape, deviations, strict=True)
        )
        return np.outer(y, x)

    table = bell(1)
    if facilitates:
        table -= FACILITATION * bell(FACILITATION_WIDTH)
    return _around(table, shape)


def of_network(name: str, shape: tuple[int, int], radii: tuple[float, float]) -> Inhibition:
    """The disc or the Gaussian, by its name, as the winner-take-all network has them.

    ValueError for another name.
    """
    if name == "disc":
        return disc(shape, radii)
    if name == "gauss":
        y, x = (GAUSSIAN_WIDTH * r for r in radii)
        return gaussian(shape, (y, x), facilitates=True)
    raise ValueError(f"inhibition={name!r} is not 'gauss' or 'disc', nor a function of a place")


def _around(table: np.ndarray, shape: tuple[int, int]) -> Inhibition:
    """A table of strengths by distance, laid around a place and cut at the map's borders."""
    reach = [n // 2 for n in table.shape]

    def inhibition(*place: int) -> tuple[np.ndarray, Any]:
        part = tuple(
            slice(max(at - r, 0), min(at + r + 1, n))
            for at, r, n in zip(place, reach, shape, strict=True)
        )
        inside = tuple(
            slice(cut.start - at + r, cut.stop - at + r)
            for cut, at, r in zip(part, place, reach, strict=True)
        )
        return table[inside], part

    return inhibition
