"""What a backend's buffers hold of the last frame, by the names of `reference.trace`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Protocol

import numpy as np

from .channels import NO_CHANNELS, Channels, gain
from .features import FEATURES, ORIENTATIONS, TEMPORAL, Channel, Feature
from .pipeline import FIRST_FRAME, PROGRAM_STAGES, STAGES, Backend, FrameTiming
from .plan import MOVING_FIGURE, PROMOTION, SCALES, Plan


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

    def measured(self, group: int, maps: int) -> np.ndarray:
        """Statistics of so many maps: of the planes (0), then of each energy's scales."""

    def scale(self, energy: int, scale: int) -> np.ndarray:
        """One scale of an energy of a decorrelated plane, at the map's level."""

    def whitened(self, planes: Sequence[str]) -> dict[str, np.ndarray]:
        """What else this backend keeps of the decorrelated planes, by the reference's names."""


class Traced(Backend):
    """The traces and contributions of a backend whose buffers are `Buffers`."""

    plan: Plan
    timing: FrameTiming  # of the last frame

    @property
    def colour(self) -> bool:
        """Whether the last frame had three channels."""
        raise NotImplementedError

    def buffers(self) -> Buffers:
        """The last frame's buffers."""
        raise NotImplementedError

    def arrive(
        self, frame: np.ndarray, timing: FrameTiming | None, channels: Channels
    ) -> np.ndarray:
        """A frame made ready for `run_stages`; without a timing, the last one again."""
        raise NotImplementedError

    def guidance(self) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """The caller's channels of the last frame: what each one added to the sum, by name, and
        the weighted maps of those that multiply.
        """
        raise NotImplementedError

    def trace(
        self,
        frame: np.ndarray,
        timing: FrameTiming | None = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> dict[str, np.ndarray]:
        """Levels from the finest up, maps at their level, sums and the map."""
        out = np.empty(self.plan.map_shape, np.float32)
        frame = self.arrive(frame, timing, channels)
        normalise = STAGES.index("normalise")
        self.run_stages(frame, out, STAGES[:normalise])
        views = {name: view.copy() for name, view in self.views().items()}
        self.run_stages(frame, out, STAGES[normalise:])
        return {**views, **self.results(), "saliency": out}

    def views(self) -> dict[str, np.ndarray]:
        """Views of the outputs of the stages up to `centre_surround`."""
        plan, views, named = self.plan, self.buffers(), {}
        absent = {f.name for f in FEATURES if f.channel in TEMPORAL and not self.timing.past}
        pixels = plan.pixel_planes(colour=self.colour)
        planes = {f"pyramid/{name}": name for name in pixels if name not in absent}
        if plan.config.has_orientation_pyramid:
            planes["orientation_pyramid"] = "orientation_pyramid"
        planes |= {f.planes: f.name for f in self._present() if f.stage != "opponency"}
        for (key, name), level in product(planes.items(), plan.levels):
            named[f"{key}/{level}"] = views.plane(name, level)
        for feature, (centre, surround) in product(self._present(), plan.pairs):
            key = f"centre_surround/{feature.name}/{centre}-{surround}"
            for half, ending in enumerate(("/on", "/off") if plan.halves == 2 else ("",)):
                index = plan.map_index(feature, centre, surround, half)
                named[key + ending] = views.map(index)
        if plan.config.figure:
            named["figure"], named["corners"] = views.figure()
        if plan.config.whitens:
            whitened = plan.whitened_planes(colour=self.colour)
            named["statistics/planes"] = views.measured(0, len(whitened))
            oriented = product(whitened, ORIENTATIONS if plan.config.has(Channel.WHITENED) else ())
            for energy, (name, theta) in enumerate(oriented):
                named[f"statistics/{name}/{theta}"] = views.measured(1 + energy, SCALES)
                for scale in range(SCALES):
                    key = f"scale/{name}/{theta}/{plan.finest_level + scale}"
                    named[key] = views.scale(energy, scale)
            named |= views.whitened(whitened)
        return named

    def results(self) -> dict[str, np.ndarray]:
        """Copies of the outputs of `normalise` and `combine`, but for the saliency map."""
        plan, views, named = self.plan, self.buffers(), {}
        for feature in self._present():
            for centre, surround in plan.pairs:
                key = f"normalised/{feature.name}/{centre}-{surround}"
                named[key] = _normalised(plan, views, feature, centre, surround)
            key = f"feature/{feature.name}"
            named[key] = views.sum(key).copy()
            named[f"weighted/{feature.name}"] = _affine(*views.normalised_sum(key))
        for channel in self._weights():
            named[f"conspicuity/{channel}"] = views.sum(f"conspicuity/{channel}").copy()
        return named | {f"contribution/{name}": x for name, x in self.contributions().items()}

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map, by its name; new arrays."""
        views, (guiding, factors) = self.buffers(), self.guidance()
        added = {
            channel.value: _affine(*views.normalised_sum(f"conspicuity/{channel}"))
            for channel in self._weights()
        }
        if not self.plan.channels_last:
            added |= guiding
        if self.plan.config.figure:
            surroundedness, corners = views.figure()
            added = {
                name: x * (surroundedness + np.float32(MOVING_FIGURE * (name in TEMPORAL)))
                for name, x in added.items()
            }
        if self.plan.config.normalise_saliency:
            total, saliency = views.sum("saliency"), _affine(*views.normalised_sum("saliency"))
            share = np.divide(saliency, total, out=np.zeros_like(total), where=total > 0)
            added = {name: x * share for name, x in added.items()}
        if self.plan.channels_last:
            added |= guiding
        factors = [1 + x for x in factors]
        if self.plan.config.figure:
            added = {name: x / np.float32(PROMOTION) for name, x in added.items()}
            added["figure"] = surroundedness
            factors.insert(0, corners)
        if self.plan.config.centre_prior > 0:
            factors.append(np.outer(*self.plan.centre_prior()).astype(np.float32))
        for factor in factors:
            added = {name: x * factor for name, x in added.items()}
        return added

    def _present(self) -> tuple[Feature, ...]:
        return self.plan.features_of(colour=self.colour, past=self.timing.past)

    def _weights(self) -> dict[Channel, float]:
        return self.plan.config.channel_weights(colour=self.colour, past=self.timing.past)


class ProgramTraced(Traced):
    """The same of a published program, whose buffers have the reference's names."""

    def buffer_names(self) -> Iterable[str]:
        """Those that the last frame has."""
        raise NotImplementedError

    def buffer(self, name: str) -> np.ndarray:
        """A view of one."""
        raise NotImplementedError

    def trace(
        self,
        frame: np.ndarray,
        timing: FrameTiming | None = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> dict[str, np.ndarray]:
        """Every buffer, and the map."""
        out = np.empty(self.plan.map_shape, np.float32)
        ready = self.arrive(frame, timing, channels)
        self.run_stages(ready, out, PROGRAM_STAGES[self.plan.config.model])
        named = {name: self.buffer(name).copy() for name in self.buffer_names()}
        named |= {f"contribution/{name}": x for name, x in self.contributions().items()}
        return {**named, "saliency": out}

    def contributions(self) -> dict[str, np.ndarray]:
        """The map, divided at each sample in proportion to the channels' terms; new arrays."""
        guiding, factors = self.guidance()
        added = {
            str(channel): np.float32(weight) * self.buffer(f"conspicuity/{channel}")
            for channel, weight in self._weights().items()
        }
        saliency, total = self.buffer("saliency"), sum(added.values(), np.float32(0))
        share = np.divide(saliency, total, out=np.zeros_like(saliency), where=total > 0)
        added = {name: x * share for name, x in added.items()} | guiding
        return {name: x * gain(factors) for name, x in added.items()}


def _normalised(
    plan: Plan, views: Buffers, feature: Feature, centre: int, surround: int
) -> np.ndarray:
    total = np.zeros(plan.map_shape, np.float32)
    for half in range(plan.halves):
        index = plan.map_index(feature, centre, surround, half)
        total += _affine(views.map(index), *views.map_affine(index))
    return total


def _affine(plane: np.ndarray, scale: float, offset: float) -> np.ndarray:
    # The lowest value times its scale may round to just under its offset.
    return np.maximum(plane * np.float32(scale) + np.float32(offset), 0)
