"""A backend's buffers by the names of `reference.trace`."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .features import FEATURES, TEMPORAL, Channel, Feature
from .plan import PROMOTION, Plan


class Buffers(Protocol):
    """Views of a backend's buffers, by the plan's names and numbers."""

    def plane(self, name: str, level: int) -> np.ndarray:
        """One of `Plan.planes` at one level."""

    def map(self, index: int) -> np.ndarray:
        """A centre-surround map, by `Plan.map_index`."""

    def map_affine(self, index: int) -> tuple[float, float]:
        """Scale and offset that N gave it."""

    def sum(self, name: str) -> np.ndarray:
        """One of `Plan.sums`."""

    def normalised_sum(self, name: str) -> tuple[np.ndarray, float, float]:
        """What N left of a sum: a map, and the scale and offset that apply to it."""

    def figure(self) -> tuple[np.ndarray, np.ndarray]:
        """Surroundedness and corners, at the map's level."""


def buffers(plan: Plan, views: Buffers, *, colour: bool, past: bool) -> dict[str, np.ndarray]:
    """Views of the outputs of the stages up to `centre_surround`."""
    named = {}
    present = plan.features_of(colour=colour, past=past)
    absent = {f.name for f in FEATURES if f.channel in TEMPORAL and not past}
    planes = {
        f"pyramid/{name}": name for name in plan.pixel_planes(colour=colour) if name not in absent
    }
    if plan.config.has_orientation_pyramid:
        planes["orientation_pyramid"] = "orientation_pyramid"
    planes |= {feature.planes: feature.name for feature in present if feature.stage != "opponency"}
    for key, name in planes.items():
        for level in plan.levels:
            named[f"{key}/{level}"] = views.plane(name, level)
    for feature in present:
        for centre, surround in plan.pairs:
            key = f"centre_surround/{feature.name}/{centre}-{surround}"
            for half, ending in enumerate(("/on", "/off") if plan.halves == 2 else ("",)):
                index = plan.map_index(feature, centre, surround, half)
                named[key + ending] = views.map(index)
    if plan.config.figure:
        named["figure"], named["corners"] = views.figure()
    return named


def results(plan: Plan, views: Buffers, *, colour: bool, past: bool) -> dict[str, np.ndarray]:
    """Copies of the outputs of `normalise` and `combine`, but for the saliency map."""
    named = {}
    for feature in plan.features_of(colour=colour, past=past):
        for centre, surround in plan.pairs:
            key = f"normalised/{feature.name}/{centre}-{surround}"
            named[key] = _normalised(plan, views, feature, centre, surround)
        named[f"feature/{feature.name}"] = views.sum(f"feature/{feature.name}").copy()
    for channel in plan.config.channel_weights(colour=colour, past=past):
        named[f"conspicuity/{channel}"] = views.sum(f"conspicuity/{channel}").copy()
    added = contributions(plan, views, colour=colour, past=past)
    return named | {f"contribution/{channel}": x for channel, x in added.items()}


def _normalised(
    plan: Plan, views: Buffers, feature: Feature, centre: int, surround: int
) -> np.ndarray:
    total = np.zeros(plan.map_shape, np.float32)
    for half in range(plan.halves):
        index = plan.map_index(feature, centre, surround, half)
        scale, offset = views.map_affine(index)
        total += views.map(index) * scale + offset
    return total


def contributions(plan: Plan, views: Buffers, *, colour: bool, past: bool) -> dict[str, np.ndarray]:
    """What each channel adds to the map, by its name; new arrays."""
    added = {}
    for channel in plan.config.channel_weights(colour=colour, past=past):
        added[Channel(channel).value] = _affine(*views.normalised_sum(f"conspicuity/{channel}"))
    if plan.config.normalise_saliency:
        total, saliency = views.sum("saliency"), _affine(*views.normalised_sum("saliency"))
        share = np.divide(saliency, total, out=np.zeros_like(total), where=total > 0)
        added = {name: x * share for name, x in added.items()}
    if plan.config.figure:
        surroundedness, corners = views.figure()
        figure = surroundedness * corners
        added = {name: x * figure / np.float32(PROMOTION) for name, x in added.items()}
        added["figure"] = figure
    return added


def _affine(plane: np.ndarray, scale: float, offset: float) -> np.ndarray:
    # The lowest value times its scale may round to just under its offset.
    return np.maximum(plane * np.float32(scale) + np.float32(offset), 0)
