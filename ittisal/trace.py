"""A backend's buffers by the names of `reference.trace`."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .config import CENTRE_LEVELS, Channel, OrientationPyramid
from .plan import EVERY_FEATURE, FEATURES, ORIENTED, OWN, Plan


class Held(Protocol):
    """What a backend's buffers hold, by number: features, and after them conspicuity maps."""

    @property
    def halves(self) -> int:
        """Maps per centre-surround difference."""

    def plane(self, index: int, level: int) -> np.ndarray:
        """A view of one plane at one level."""

    def map(self, feature: int, pair: tuple[int, int], half: int = 0) -> np.ndarray:
        """A view of one centre-surround map at level 4."""

    def stats(self, feature: int, pair: tuple[int, int], half: int = 0) -> tuple[float, float]:
        """Scale and offset that N gave a map."""

    def sum(self, index: int) -> np.ndarray:
        """A view of a feature's sum, or a conspicuity map."""


def features(plan: Plan, ndim: int) -> list[tuple[int, str]]:
    """Numbers and names of the features computed for frames of `ndim` axes."""
    present = plan.features_of(colour=ndim == 3)
    return [(EVERY_FEATURE.index(feature), feature[0]) for feature in present]


def buffers(plan: Plan, held: Held, ndim: int) -> dict[str, np.ndarray]:
    """Views of what the stages up to centre-surround hand on."""
    named = {}
    weights = dict(plan.config.weights)
    colour = ndim == 3 and weights[Channel.COLOUR] > 0
    planes = ("intensity", "red_green", "blue_yellow") if colour else ("intensity",)
    levels = range(CENTRE_LEVELS[0], plan.top_level + 1)
    for index, name in enumerate(planes):
        for level in levels:
            named[f"pyramid/{name}/{level}"] = held.plane(index, level)
    own = plan.config.orientation_pyramid is OrientationPyramid.LAPLACIAN
    if own and weights[Channel.ORIENTATION] > 0:
        for level in levels:
            named[f"orientation_pyramid/{level}"] = held.plane(OWN, level)
    for index, name in features(plan, ndim):
        if index >= ORIENTED:
            for level in levels:
                theta = name.split("_")[1]
                named[f"orientation/{theta}/{level}"] = held.plane(index, level)
    for index, name in features(plan, ndim):
        for pair in plan.pairs:
            key = f"centre_surround/{name}/{pair[0]}-{pair[1]}"
            for half, ending in enumerate(("/on", "/off") if held.halves == 2 else ("",)):
                named[key + ending] = held.map(index, pair, half)
    return named


def results(plan: Plan, held: Held, ndim: int) -> dict[str, np.ndarray]:
    """Copies of what the last two stages made, but for the saliency map."""
    named = {}
    for index, name in features(plan, ndim):
        for pair in plan.pairs:
            total = np.zeros(plan.map_shape, np.float32)
            for half in range(held.halves):
                scale, offset = held.stats(index, pair, half)
                total += held.map(index, pair, half) * scale + offset
            named[f"normalised/{name}/{pair[0]}-{pair[1]}"] = total
        named[f"feature/{name}"] = held.sum(index).copy()
    for channel in plan.config.channel_weights(colour=ndim == 3):
        index = FEATURES + list(Channel).index(channel)
        named[f"conspicuity/{channel}"] = held.sum(index).copy()
    return named
