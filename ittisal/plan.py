"""Geometry of one (config, frame size): levels, pairs, filter weights. No pixels, no backend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .config import (
    CENTRE_LEVELS,
    DELTAS,
    DIRECTIONS,
    MAP_LEVEL,
    ORIENTATIONS,
    TOP_LEVEL,
    Channel,
    Config,
    Phase,
    SmallFrames,
)

BINOMIAL_5 = np.array([1, 4, 6, 4, 1]) / 16
BINOMIAL_9 = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256

EVERY_FEATURE = (
    ("intensity", Channel.INTENSITY),
    ("red_green", Channel.COLOUR),
    ("blue_yellow", Channel.COLOUR),
    *((f"orientation_{theta}", Channel.ORIENTATION) for theta in ORIENTATIONS),
    ("flicker", Channel.FLICKER),
    *((f"motion_{direction}", Channel.MOTION) for direction in DIRECTIONS),
)


SLOTS = len(CENTRE_LEVELS) * len(DELTAS)  # centre-surround pairs, existing or not
# Features are planes by the same numbers. Those that need a past come last, so that a model without
# one stores nothing for them.
FEATURES = len(EVERY_FEATURE)
ORIENTED = 3
FLICKER = ORIENTED + len(ORIENTATIONS)
MOVING = FLICKER + 1
CHANNELS = len(Channel)
PROMOTION = 20.0  # N's values that double what a figure counts, as in the reference
CORNERS_ACROSS = 256  # samples of the longer side, at most, where corners are found
HUE_TOLERANCE = 1 + 1e-6  # as in the reference: a pixel at exactly the threshold has no hue


@dataclass(frozen=True)
class Plan:
    """All that follows from a config and a frame's (height, width).

    Examples
    --------
    >>> import ittisal
    >>> plan = ittisal.Saliency((480, 640), backend="reference").plan
    >>> plan.level_shape(4), plan.pairs
    ((30, 40), ((2, 5), (2, 6), (3, 6), (3, 7), (4, 7), (4, 8)))
    """

    shape: tuple[int, int]
    config: Config

    @cached_property
    def top_level(self) -> int:
        """The coarsest level that exists."""
        if self.config.small_frames is SmallFrames.CLAMP:
            return TOP_LEVEL
        return min(TOP_LEVEL, min(self.shape).bit_length() - 1)

    def level_shape(self, level: int) -> tuple[int, int]:
        """(height, width) of a level: halved and rounded down, at least 1."""
        height, width = self.shape
        return max(height >> level, 1), max(width >> level, 1)

    @property
    def map_shape(self) -> tuple[int, int]:
        """(height, width) of the saliency map."""
        return self.level_shape(MAP_LEVEL)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The centre-surround pairs (c, s) that this frame size has."""
        return tuple((c, c + d) for c in CENTRE_LEVELS for d in DELTAS if c + d <= self.top_level)

    @cached_property
    def features(self) -> tuple[tuple[str, Channel], ...]:
        """Feature names with their channels, for a colour frame; weightless channels left out."""
        return self.features_of(colour=True)

    @property
    def stored_features(self) -> int:
        """How many features have room: up to the last one that has a weight, or is whitened."""
        last = EVERY_FEATURE.index(self.features[-1]) if self.features else 0
        return max(1 + last, ORIENTED if self.config.whitens else 1)

    @property
    def own_plane(self) -> int:
        """Number of orientation's own pyramid among the stored planes, behind the features."""
        return self.stored_features

    @property
    def before_plane(self) -> int:
        """Number of the last frame's intensity among the stored planes."""
        return self.own_plane + self.config.own_pyramid

    @property
    def stored_planes(self) -> int:
        """How many planes have room."""
        return self.before_plane + self.config.has(Channel.MOTION)

    def features_of(self, *, colour: bool, past: bool = True) -> tuple[tuple[str, Channel], ...]:
        """The same, for a colour or a grey frame, with one before it or not."""
        weights = self.config.channel_weights(colour=colour, past=past)
        return tuple((name, channel) for name, channel in EVERY_FEATURE if channel in weights)


def corner_level(shape: tuple[int, int]) -> int:
    """The level where corners are found; figures are found one above (`reference.corner_level`)."""
    level = CENTRE_LEVELS[0]
    while (
        max(shape) >> level > CORNERS_ACROSS
        and min(shape) >> (level + 2) >= 4
        and level + 2 <= TOP_LEVEL
    ):
        level += 1
    return level


def slot(centre: int, surround: int) -> int:
    """Place of a pair among the six."""
    return (centre - CENTRE_LEVELS[0]) * len(DELTAS) + surround - centre - DELTAS[0]


def halving_weights(n: int, taps: np.ndarray, phase: Phase) -> np.ndarray:
    """Weights of one pyramid step along one axis, borders and all.

    Output i is the sum over k of weights[i, k] x[2i - reach + k], reach = len(taps) // 2: the
    low-pass, cut and renormalised at the borders, then (centred) the mean of samples 2i and
    2i+1 or (even) sample 2i. Samples outside have weight 0.

    Returns
    -------
    float64 ndarray of shape (max(n // 2, 1), len(taps) + 1)
    """
    reach, count = len(taps) // 2, max(n // 2, 1)

    def low_pass_row(sample: np.ndarray) -> np.ndarray:
        at = sample[:, None] + np.arange(-reach, reach + 1)
        row = np.where((at >= 0) & (at < n), taps, 0.0)
        return row / row.sum(1, keepdims=True)

    first = 2 * np.arange(count)
    weights = np.zeros((count, len(taps) + 1))
    weights[:, :-1] = low_pass_row(first)
    if phase is Phase.CENTRED and n > 1:
        weights /= 2
        weights[:, 1:] += low_pass_row(first + 1) / 2
    return weights


def scatter_weights(weights: np.ndarray, fade: np.ndarray | None = None) -> np.ndarray:
    """The same weights seen from the input, for streaming: what each pair of samples gives.

    Parameters
    ----------
    weights : ndarray of shape (count, taps)
        From `halving_weights`.
    fade : ndarray of length n, optional
        Scales the input samples first.

    Returns
    -------
    float64 ndarray of shape (count + 1, taps // 2, 2)
        Entry [p, i, e] is the weight of sample 2p + e in output p - h + i, h = taps // 4.
        The last pair is the odd last sample, or nothing.
    """
    count, taps = weights.shape
    reach, parts = taps // 2 - 1, taps // 2
    out = np.zeros((count + 1, parts, 2))
    for i in range(parts):
        outputs = np.arange(count + 1) - parts // 2 + i
        valid = (outputs >= 0) & (outputs < count)
        for e in (0, 1):
            k = reach + 2 * (parts // 2 - i) + e
            out[valid, i, e] = weights[outputs[valid], k]
    if fade is not None:
        padded = np.zeros(2 * (count + 1))
        padded[: len(fade)] = fade[: len(padded)]
        out *= padded.reshape(-1, 1, 2)
    return out


def attenuation(n: int, width: int) -> np.ndarray:
    """The border fade of `width` samples along an axis of `n`: k/(width+1) for the k-th."""
    b = min(width, n // 2)
    fade = np.ones(n)
    fade[:b] = np.arange(1, b + 1) / (b + 1)
    fade[n - b :] = fade[:b][::-1]
    return fade


def inside_sum(n: int, taps: np.ndarray) -> np.ndarray:
    """Sum of the taps that fall inside an axis of `n`, per sample."""
    return np.convolve(np.ones(n), taps)[len(taps) // 2 :][:n]


def linear_light(encoded: np.ndarray) -> np.ndarray:
    """Undo the sRGB curve (IEC 61966-2-1), float32."""
    encoded = np.asarray(encoded, np.float64)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)
