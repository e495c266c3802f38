"""A backend's buffers by the names of `reference.trace`."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .config import CENTRE_LEVELS, Channel
from .plan import EVERY_FEATURE, FEATURES, FLICKER, MOVING, ORIENTED, PROMOTION, Plan


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

    def figure(self) -> tuple[np.ndarray, np.ndarray]:
        """Views of how enclosed each place is, and of where corners are, at level 4."""

    def normed_sum(self, index: int) -> tuple[np.ndarray, float, float]:
        """What N left of it: a view, and the scale and offset that apply to it."""


def features(plan: Plan, colour: bool, past: bool) -> list[tuple[int, str]]:
    """Numbers and names of the features computed for a kind of frame."""
    present = plan.features_of(colour=colour, past=past)
    return [(EVERY_FEATURE.index(feature), feature[0]) for feature in present]


def buffers(plan: Plan, held: Held, colour: bool, past: bool) -> dict[str, np.ndarray]:
    """Views of what the stages up to centre-surround hand on."""
    named = {}
    present = features(plan, colour, past)
    levels = range(CENTRE_LEVELS[0], plan.top_level + 1)
    colours = colour and plan.config.sees_colour
    planes = list(range(ORIENTED if colours else 1))  # intensity, since others are made of it
    for index in planes + [index for index, _ in present if index == FLICKER]:
        for level in levels:
            named[f"pyramid/{EVERY_FEATURE[index][0]}/{level}"] = held.plane(index, level)
    if plan.config.own_pyramid:
        for level in levels:
            named[f"orientation_pyramid/{level}"] = held.plane(plan.own_plane, level)
    for index, name in present:
        if ORIENTED <= index < FLICKER or index >= MOVING:
            for level in levels:
                named[f"{name.replace('_', '/')}/{level}"] = held.plane(index, level)
    for index, name in present:
        for pair in plan.pairs:
            key = f"centre_surround/{name}/{pair[0]}-{pair[1]}"
            for half, ending in enumerate(("/on", "/off") if held.halves == 2 else ("",)):
                named[key + ending] = held.map(index, pair, half)
    if plan.config.figure:
        named["figure"], named["corners"] = held.figure()
    return named


def results(plan: Plan, held: Held, colour: bool, past: bool) -> dict[str, np.ndarray]:
    """Copies of what the last two stages made, but for the saliency map."""
    named = {}
    for index, name in features(plan, colour, past):
        for pair in plan.pairs:
            total = np.zeros(plan.map_shape, np.float32)
            for half in range(held.halves):
                scale, offset = held.stats(index, pair, half)
                total += held.map(index, pair, half) * scale + offset
            named[f"normalised/{name}/{pair[0]}-{pair[1]}"] = total
        named[f"feature/{name}"] = held.sum(index).copy()
    for channel in plan.config.channel_weights(colour=colour, past=past):
        named[f"conspicuity/{channel}"] = held.sum(_sum_of(channel)).copy()
    added = contributions(plan, held, colour, past)
    return named | {f"contribution/{channel}": x for channel, x in added.items()}


def contributions(plan: Plan, held: Held, colour: bool, past: bool) -> dict[str, np.ndarray]:
    """What each channel adds to the map, by its name; new arrays."""
    added = {}
    for channel in plan.config.channel_weights(colour=colour, past=past):
        plane, scale, offset = held.normed_sum(_sum_of(channel))
        added[channel.value] = plane * np.float32(scale) + np.float32(offset)
    if plan.config.figure:
        enclosed, corners = held.figure()
        figure = enclosed * corners
        added = {name: x * figure / np.float32(PROMOTION) for name, x in added.items()}
        added["figure"] = figure
    return added


def _sum_of(channel: Channel) -> int:
    """Number of a conspicuity map among the sums."""
    return FEATURES + list(Channel).index(channel)
