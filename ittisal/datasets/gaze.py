"""Fixations in a stream of gaze samples, after the authors of MIT1003.

Judd, Ehinger, Durand & Torralba (ICCV 2009) publish samples, and code that finds the fixations
in them by acceleration. This is that method with its constants, written anew: results can differ
from theirs in a sample at the ends of a fixation, hardly in its position.
"""

from __future__ import annotations

import numpy as np

RATE = 240  # samples per second
WINDOW = 4  # samples that a speed is averaged over
RISE = 3.4  # px per sample within WINDOW + 1 samples: their 6 degrees/s between two windows
LEAST = 3  # samples that the rise lasts
SEARCH = 25  # samples within which the fall follows
FARTHEST = 1e9  # px; beyond it, as without a number, nothing is known
SHORTEST = 12  # samples: a fixation of 50 ms or less is part of the saccade


def fixations(gaze: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the eye stood still, between saccades.

    A saccade starts where the speed rises and ends where it has fallen again. What lies between is
    a fixation at the median of its samples.

    `gaze`, of shape (n, 2), are x and y in pixels, 240 a second; blinks are negative, and so is a
    fixation within one. The result are x, y and duration in ms, float64, in the order of time.
    """
    gaze = np.asarray(gaze, np.float64)
    gaze = np.where(np.abs(gaze) <= FARTHEST, gaze, np.nan)
    x, y, duration = [], [], []
    start = 0
    for first, end in [*_saccades(gaze), (len(gaze), len(gaze))]:
        if first - start > (SHORTEST if start else 0):  # the first may be short
            part = gaze[start:first]
            part = part[np.isfinite(part).all(axis=1)]
            at = np.median(part, axis=0) if len(part) else (np.nan, np.nan)
            x.append(at[0])
            y.append(at[1])
            duration.append(1000 * (first - start) / RATE)
        start = end
    return np.array(x), np.array(y), np.array(duration)


def _saccades(gaze: np.ndarray) -> list[tuple[int, int]]:
    """First sample and the one past the last, of each; short pauses are swallowed."""
    if len(gaze) <= 2 * WINDOW:
        return []
    step = np.hypot(*np.diff(gaze, axis=0, prepend=gaze[:1]).T)
    speed = np.convolve(step, np.full(WINDOW, 1 / WINDOW))[: len(step)]  # of the samples before
    rise = np.zeros(len(step))
    rise[: -WINDOW - 1] = speed[WINDOW + 1 :] - speed[: -WINDOW - 1]
    saccades: list[tuple[int, int]] = []
    edges = np.flatnonzero(np.diff(rise > RISE, prepend=False, append=False)).tolist()
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first < LEAST:
            continue
        falling = rise[last : last + SEARCH + 2] < -RISE
        ends = np.flatnonzero(falling[:-1] & ~falling[1:])
        if not len(ends) and last < len(step) - WINDOW - 1:
            continue
        end = last + int(ends[0]) + 1 if len(ends) else len(step)  # or the record ends in one
        if saccades and first - saccades[-1][1] <= SHORTEST:
            saccades[-1] = (saccades[-1][0], max(end, saccades[-1][1]))
        else:
            saccades.append((first, end))
    return saccades
