"""How compiled backends sample and blur VOCUS2's pyramids (Frintrop, Werner & Garcia 2015).

All octaves of the centre pyramid are sampled as the original does, but for the first, whose finest
structures are 3 pixels wide: it is sampled at level 1, means of 2 by 2 pixels. A surround is the
centre's blur, at means of 4 by 4 of the octave's samples, and linear between them; its kernel is
narrower by the variances of the mean and of the interpolation. On and off contrasts of a map add up
to the size of its difference, which is all that the saliency map needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .features import Channel

PLANES = {  # by channel
    Channel.INTENSITY: ("intensity",),
    Channel.COLOUR: ("red_green", "blue_yellow"),
}
OCTAVES = 5  # which the smallest frame has
CENTRE, SURROUND = 3.0, 13.0  # standard deviations, in samples of an octave
SCALES = 2  # of an octave
CUBIC = -0.75  # slope of the interpolation that enlarges maps
TRUNCATION = 3.25  # standard deviations
EXTRA = 2  # samples of a surround beyond each border


class Blur(NamedTuple):
    """Weights along both axes; the first belongs `lead` samples before the sample."""

    taps: np.ndarray
    lead: int
    step: int = 1


class Octave(NamedTuple):
    """How its planes follow: the centres from the finer octave's last and from each other, the
    surrounds from means of the centres.
    """

    size: tuple[int, int]
    centres: tuple[Blur, Blur]
    spacing: int  # samples of the centre that are averaged along an axis
    surround_size: tuple[int, int]
    surrounds: tuple[Blur, Blur]


def gaussian(variance: float, shift: float = 0.0, step: int = 1) -> Blur:
    """Blur around `shift` samples behind each sample. Its lead is a multiple of the step."""
    reach = math.ceil((TRUNCATION * math.sqrt(variance) + abs(shift)) / step) * step
    taps = np.exp(-((np.arange(-reach, reach + 1) - shift) ** 2) / (2 * variance))
    return Blur(taps / taps.sum(), reach, step)


def means(spacing: int, lead: int) -> Blur:
    """Means of so many samples, from `lead` before the first."""
    return Blur(np.full(spacing, 1 / spacing), lead, spacing)


def surround_variance(scale: int, unit: int, spacing: int) -> float:
    """Of a surround's kernel, at `spacing` samples that are each `unit` of the octave's."""
    whole = (SURROUND**2 - CENTRE**2) * 2**scale / unit**2
    return (whole - (spacing**2 - 1) / 12) / spacing**2 - 1 / 6


def octaves(shape: tuple[int, int]) -> Iterator[Octave]:
    """From fine to coarse, for frames of a shape.

    The first follows from level 1 of the frame with a sample more before each border and behind.
    """
    nominal = shape
    size = (shape[0] + 1) // 2, (shape[1] + 1) // 2
    # Level 1 begins one sample before the frame; its means have a variance of their own.
    first = gaussian((CENTRE**2 - 1 / 4) / 4)
    first = first._replace(lead=first.lead - 1)
    for octave in range(OCTAVES):
        unit = 1 if octave else 2  # samples of the octave between two here
        spacing = 4 // unit
        rows, columns = (-(-n // spacing) + 2 * EXTRA for n in size)
        narrow, wide = (gaussian(surround_variance(k, unit, spacing)) for k in range(SCALES))
        second = gaussian(CENTRE**2 / unit**2)
        yield Octave(size, (first, second), spacing, (rows, columns), (narrow, wide))
        nominal = size = nominal[0] // 2, nominal[1] // 2
        # The next octave has every second sample, from the first; level 1 lies between them.
        variance = 2 * CENTRE**2 / unit**2
        first = gaussian(variance, step=2) if octave else gaussian(variance, -1 / 4)


def cubic(size: int, coarse: int) -> tuple[np.ndarray, np.ndarray]:
    """The four samples that each pair of `size` pixels is interpolated from, of `coarse` that cover
    the same frame: number of the first, counted from two before the border, and their weights.
    """
    at = (2 * np.arange(size // 2) + 1) * coarse / size - 0.5
    start = np.floor(at)
    distance = np.abs(at[:, None] - start[:, None] - np.arange(-1, 3))
    near = (CUBIC + 2) * distance**3 - (CUBIC + 3) * distance**2 + 1
    far = CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return start.astype(np.int64) + 1, np.where(distance <= 1, near, far)


def share(channel: Channel) -> float:
    """Of a difference in the mean of on and off, over all maps and the channel's planes."""
    return 1 / (2 * SCALES * OCTAVES * len(PLANES[channel]))
