"""VOCUS2 on a GPU: where its planes lie, and its launches; see `twin_pyramids`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..allocator import Allocator
from ..features import Channel
from ..pipeline import FrameFormat
from ..plan import Plan
from ..sampling import VOCUS2_LEVEL
from ..twin_pyramids import EXTRA, PLANES, Blur, cubic, means, octaves, share
from .layout import ALIGNED, SCAN_BLOCKS, Layout, check_size
from .schedule import Argument, Launch, Schedule
from .structs import COUNTERS, FOUND, GEOMETRY
from .variant import THREADS

MOST_PLANES = 3
RANGE_BLOCKS = 256  # that find the map's range, at most
NUMBERS = {name: k for k, name in enumerate(sum(PLANES.values(), ()))}  # of the planes


class Place(NamedTuple):
    """Planes of one size, one after the other."""

    offset: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """Samples of a plane."""
        return self.height * self.width


class Pass(NamedTuple):
    """A blur of all planes: down into other memory, then across."""

    source: Place
    between: Place
    target: Place
    blur: Blur
    taps: int


@dataclass
class TwinPyramids(Layout):
    """Places of the planes, and how they follow from each other."""

    level_1: Place
    passes: list[Pass] = field(default_factory=list)
    centres: list[list[Place]] = field(default_factory=list)
    surrounds: list[list[Place]] = field(default_factory=list)
    spacings: list[int] = field(default_factory=list)
    contrasts: list[Place] = field(default_factory=list)  # of each channel, one after the other
    enlargements: list[tuple[int, int]] = field(default_factory=list)  # tables of rows and columns
    ranges: int = 0

    def schedule(self, format_: FrameFormat, frames: int, *, past: bool) -> ProgramSchedule:
        """The launches of each stage."""
        return ProgramSchedule(self, format_, frames, past)

    def places(self) -> dict[str, int]:
        """Where the maps lie that the reference's trace has too."""
        names = [*(f"conspicuity/{channel}" for channel in PLANES), "saliency"]
        size = math.prod(self.plan.map_shape)
        return {name: int(self.geometry["sums"]) + k * size for k, name in enumerate(names)}


def make_layout(plan: Plan) -> TwinPyramids:
    """Size and place everything for a plan.

    Raises
    ------
    ValueError
        The frame is too large for 32-bit offsets.
    """
    geometry = np.zeros(1, GEOMETRY)[0]
    tables, arena = Allocator(ALIGNED), Allocator(ALIGNED)

    def take(size: tuple[int, int], count: int = MOST_PLANES) -> Place:
        return Place(arena.take(count * size[0] * size[1]), *size)

    height, width = ((n + 1) // 2 + 2 for n in plan.shape)
    layout = TwinPyramids(plan, geometry, np.zeros(0), {}, take((height, width)))

    def blur(source: Place, by: Blur, size: tuple[int, int]) -> Place:
        between, target = take((size[0], source.width)), take(size)
        layout.passes.append(Pass(source, between, target, by, tables.put(by.taps)))
        return target

    source = layout.level_1
    for number, octave in enumerate(octaves(plan.shape)):
        layout.centres.append([])
        layout.surrounds.append([])
        layout.spacings.append(octave.spacing)
        for by, wider in zip(octave.centres, octave.surrounds, strict=True):
            source = blur(source, by, octave.size)
            averages = means(octave.spacing, EXTRA * octave.spacing)
            mean = blur(source, averages, octave.surround_size)
            layout.centres[-1].append(source)
            layout.surrounds[-1].append(blur(mean, wider, octave.surround_size))
        layout.contrasts.append(take(octave.size, len(PLANES)))
        if number == 0:
            continue
        by_axis = (cubic(n, coarse) for n, coarse in zip(plan.shape, octave.size, strict=True))
        rows, columns = (tables.put(np.column_stack(each)) for each in by_axis)
        layout.enlargements.append((rows, columns))
    size = math.prod(plan.map_shape)
    geometry["sums"] = arena.take((len(PLANES) + 1) * size)  # conspicuity maps, saliency
    layout.ranges = arena.take(2 * (1 + RANGE_BLOCKS))
    geometry["found"] = arena.take(FOUND.itemsize // 4)
    geometry["counters"] = arena.take(COUNTERS.itemsize // 4)
    geometry["partials"] = arena.take(4 * SCAN_BLOCKS)
    for level, shape in ((0, plan.shape), (VOCUS2_LEVEL, plan.map_shape)):
        geometry["height"][level], geometry["width"][level] = shape
    geometry["previous_intensity"] = -1
    geometry["frame"] = arena.size
    check_size(plan, arena)
    layout.tables = tables.fill(np.zeros(tables.size, np.float32))
    return layout


class ProgramSchedule(Schedule):
    """The launches of each stage, by a method of its name."""

    layout: TwinPyramids

    def __init__(self, layout: TwinPyramids, format_: FrameFormat, frames: int, past: bool) -> None:
        super().__init__(layout, format_, frames, past)
        self.planes = MOST_PLANES if format_.colour else 1
        self.weights = self.config.channel_weights(colour=format_.colour, past=past)

    def opponency(self) -> Iterator[Launch]:
        """The frame's range; level 1."""
        yield self.scan()
        level_1 = self.layout.level_1
        yield self._over("opponency", "vocus2_planes", level_1.size, 1, "call", level_1.offset)

    def twin_pyramids(self) -> Iterator[Launch]:
        """Blurs, each after those that it needs; then contrasts."""
        for source, between, target, by, taps in self.layout.passes:
            for across, (a, b) in enumerate(((source, between), (between, target))):
                numbers = *a, *b, across, taps, len(by.taps), by.lead, by.step
                yield self._over("twin_pyramids", "vocus2_blur", b.size, self.planes, *numbers)
        for octave, target in enumerate(self.layout.contrasts):
            (near, far), (narrow, wide) = self.layout.centres[octave], self.layout.surrounds[octave]
            places = near.offset, far.offset, narrow.offset, wide.offset
            sizes = *near[1:], *narrow[1:], self.layout.spacings[octave]
            for channel in self.weights:
                first, count = NUMBERS[PLANES[channel][0]], len(PLANES[channel])
                given = *places, *sizes, first, count, _of_channel(target, channel)
                yield self._over("twin_pyramids", "vocus2_contrast", target.size, 1, *given)

    def combine(self) -> Iterator[Launch]:
        """Conspicuity maps and their sum; then the map."""
        places, (finest, *coarser) = self.layout.places(), self.layout.contrasts
        sums = [places[f"conspicuity/{channel}"] for channel in self.weights]
        for channel, target in zip(self.weights, sums, strict=True):
            first = _of_channel(finest, channel)
            for source, tables in zip(coarser, self.layout.enlargements, strict=True):
                at = _of_channel(source, channel), *source[1:], *tables, np.float32(share(channel))
                to = target, first, finest.width
                yield self._over("combine", "vocus2_enlarge", self.size, 1, *at, *to)
                first = -1
        weights = [np.float32(weight) for weight in self.weights.values()]
        if len(sums) == 1:
            sums, weights = sums * 2, [weights[0], np.float32(0)]
        blocks = min(-(-self.size // THREADS), RANGE_BLOCKS)
        saliency = places["saliency"], self.layout.ranges
        yield self._launch("combine", "vocus2_sum", blocks, THREADS, *sums, *weights, *saliency)
        yield self._over("combine", "vocus2_write", self.size, 1, "call", *saliency)

    def _over(self, stage: str, kernel: str, size: int, planes: int, *given: Argument) -> Launch:
        """A thread per sample of so many planes."""
        return self._launch(stage, kernel, (-(-size // THREADS), planes), THREADS, *given)


def _of_channel(place: Place, channel: Channel) -> int:
    return place.offset + list(PLANES).index(channel) * place.size
