"""VOCUS2 on a GPU: where its planes lie, and its launches; see `twin_pyramids`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ..features import Channel
from ..pipeline import FrameFormat
from ..plan import Plan
from ..twin_pyramids import EXTRA, PLANES, Blur, cubic, means, octaves, share
from . import unfused
from .schedule import CALLER, Launch
from .unfused import Place
from .variant import THREADS

MOST_PLANES = 3
RANGE_BLOCKS = 256  # that find the map's range, at most
NUMBERS = {name: k for k, name in enumerate(sum(PLANES.values(), ()))}  # of the planes


class Pass(NamedTuple):
    """A blur of all planes: down into other memory, then across."""

    source: Place
    between: Place
    target: Place
    blur: Blur
    taps: int


class Layout(unfused.Layout):
    """Places of the planes, and how they follow from each other."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        height, width = ((n + 1) // 2 + 2 for n in plan.shape)
        self.level_1 = source = self.take((height, width), MOST_PLANES)
        self.passes: list[Pass] = []
        self.centres: list[list[Place]] = []
        self.surrounds: list[list[Place]] = []
        self.spacings: list[int] = []
        self.contrasts: list[Place] = []  # of each channel, one after the other
        self.enlargements: list[tuple[int, int]] = []  # tables of rows and columns
        for number, octave in enumerate(octaves(plan.shape)):
            self.centres.append([])
            self.surrounds.append([])
            self.spacings.append(octave.spacing)
            for by, wider in zip(octave.centres, octave.surrounds, strict=True):
                source = self._blur(source, by, octave.size)
                averages = means(octave.spacing, EXTRA * octave.spacing)
                mean = self._blur(source, averages, octave.surround_size)
                self.centres[-1].append(source)
                self.surrounds[-1].append(self._blur(mean, wider, octave.surround_size))
            self.contrasts.append(self.take(octave.size, len(PLANES)))
            if number == 0:
                continue
            by_axis = (cubic(n, coarse) for n, coarse in zip(plan.shape, octave.size, strict=True))
            rows, columns = (self.constants.put(np.column_stack(each)) for each in by_axis)
            self.enlargements.append((rows, columns))
        self.sums = self.take(plan.map_shape, len(PLANES) + 1)  # conspicuity maps, saliency
        self.ranges = self.arena.take(2 * (1 + RANGE_BLOCKS))
        self.finish()

    def schedule(self, format_: FrameFormat, frames: int, *, past: bool) -> Schedule:
        """The launches of each stage."""
        return Schedule(self, format_, frames, past)

    def named(self, channels: Mapping[Channel, float]) -> dict[str, Place]:
        """Conspicuity maps and the map."""
        sums = {f"conspicuity/{c}": self.sums.plane(list(PLANES).index(c)) for c in channels}
        return {**sums, "saliency": self.sums.plane(len(PLANES))}

    def _blur(self, source: Place, by: Blur, size: tuple[int, int]) -> Place:
        between = self.take((size[0], source.width), MOST_PLANES)
        target = self.take(size, MOST_PLANES)
        self.passes.append(Pass(source, between, target, by, self.constants.put(by.taps)))
        return target


class Schedule(unfused.Schedule):
    """The launches of each stage, by a method of its name."""

    layout: Layout

    def __init__(self, layout: Layout, format_: FrameFormat, frames: int, past: bool) -> None:
        super().__init__(layout, format_, frames, past)
        self.planes = MOST_PLANES if format_.colour else 1

    def opponency(self) -> Iterator[Launch]:
        """The frame's range; level 1."""
        yield self.scan()
        level_1 = self.layout.level_1
        yield self.over("opponency", "vocus2_planes", level_1.size, 1, "call", level_1.offset)

    def twin_pyramids(self) -> Iterator[Launch]:
        """Blurs, each after those that it needs; then contrasts."""
        for source, between, target, by, taps in self.layout.passes:
            for across, (a, b) in enumerate(((source, between), (between, target))):
                numbers = *a, *b, across, taps, len(by.taps), by.lead, by.step
                yield self.over("twin_pyramids", "vocus2_blur", b.size, self.planes, *numbers)
        for octave, target in enumerate(self.layout.contrasts):
            (near, far), (narrow, wide) = self.layout.centres[octave], self.layout.surrounds[octave]
            places = near.offset, far.offset, narrow.offset, wide.offset
            sizes = *near[1:], *narrow[1:], self.layout.spacings[octave]
            for channel in self.weights:
                first, count = NUMBERS[PLANES[channel][0]], len(PLANES[channel])
                given = *places, *sizes, first, count, _of_channel(target, channel)
                yield self.over("twin_pyramids", "vocus2_contrast", target.size, 1, *given)

    def combine(self) -> Iterator[Launch]:
        """Conspicuity maps and their sum; then the map."""
        named, (finest, *coarser) = self.layout.named(self.weights), self.layout.contrasts
        sums = [named[f"conspicuity/{channel}"].offset for channel in self.weights]
        for channel, target in zip(self.weights, sums, strict=True):
            first = _of_channel(finest, channel)
            for source, tables in zip(coarser, self.layout.enlargements, strict=True):
                at = _of_channel(source, channel), *source[1:], *tables, np.float32(share(channel))
                to = target, first, finest.width
                yield self.over("combine", "vocus2_enlarge", self.size, 1, *at, *to)
                first = -1
        weights = [np.float32(weight) for weight in self.weights.values()]
        if len(sums) == 1:
            sums, weights = sums * 2, [weights[0], np.float32(0)]
        blocks = min(-(-self.size // THREADS), RANGE_BLOCKS)
        saliency = named["saliency"].offset, self.layout.ranges
        yield self._launch("combine", "vocus2_sum", blocks, THREADS, *sums, *weights, *saliency)
        yield self.over("combine", "vocus2_write", self.size, 1, *CALLER, *saliency)


def _of_channel(place: Place, channel: Channel) -> int:
    return place.plane(list(PLANES).index(channel)).offset
