"""Which kernels run for a frame, and how many blocks of each. Knows no device.

The order of the stages is `ittisal.pipeline`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .. import pipeline
from ..config import Channel
from ..features import FEATURES, ORIENTATIONS
from ..pipeline import FrameFormat
from ..plan import SCALES, SLOTS
from ..sampling import GBVS_SIDE, sampling
from .layout import (
    ALONE,
    CORNERS,
    MAP_BLOCKS,
    MAP_THREADS,
    MEASURE_BLOCKS,
    SCAN_BLOCKS,
    Layout,
    rows,
)
from .structs import Step
from .variant import COLUMNS, MAX_ROWS, THREADS

ROWS = (16, 8, 4)  # of outputs that a block makes: fewer if there would be few blocks
ENOUGH = 256  # blocks: some two per multiprocessor of a large GPU
# Samples of a map that one block takes, at most, and of a block's part of a larger one, at least. A
# launch more costs as much as some thousand samples; there are six times as many maps as sums.
SHARED = {"normalise": (8192, 2048), "combine": (2048, 256), "figure": (8192, 8192)}
SCANNED_PER_THREAD = 16  # pixels, at least, where there are enough
MOST_DOWN = 65535  # blocks along y, of any grid
CALLER = "call", "channel_maps", "added", "multiplied"  # what the kernel takes that writes the map

Argument = str | int | np.float32


class Launch(NamedTuple):
    """One kernel launch. Arguments are names of buffers, or numbers.

    All kernels begin with the geometry, the tables and the arena.
    """

    stage: str
    kernel: str
    grid: tuple[int, int, int]
    block: int
    arguments: tuple[str | np.int32 | np.float32, ...]


def schedule(
    layout: Layout, format_: FrameFormat, frames: int, past: bool = True
) -> tuple[Launch, ...]:
    """The launches for `frames` frames at once, of one format, with one before them or not.

    The first one alone takes what differs from frame to frame, and leaves it for the others.
    """
    stages = layout.schedule(format_, frames, past=past)
    return pipeline.schedule(stages, layout.plan, colour=format_.colour, past=past)


class Launches:
    """Those that are the same for every model."""

    def __init__(self, layout: Layout, frames: int) -> None:
        self.layout, self.frames = layout, frames
        self.plan, self.config = layout.plan, layout.plan.config
        self.size = math.prod(self.plan.map_shape)

    def scan(self) -> Launch:
        """What all later launches need to know of the frame."""
        height, width = self.plan.shape
        blocks = min(SCAN_BLOCKS, _ceil(height * width, THREADS * SCANNED_PER_THREAD))
        timing = ("flicker_decay", "smoothing_factor", "statistics_factor", "mode")
        return self._launch("opponency", "scan", blocks, THREADS, "frames", "maps", "call", *timing)

    def upsample(self) -> Launch:
        """The map at the frame's size: no stage, since few want it."""
        samples = sampling(self.plan.shape, self.config)
        numbers: list[int] = []
        for step, first in zip(samples.step, samples.first, strict=True):
            ratio = Fraction(step).limit_denominator(GBVS_SIDE)
            numbers += ratio.numerator, ratio.denominator, first == 0
        height, width = self.plan.shape
        grid = _ceil(width, THREADS), min(height, MOST_DOWN)
        return self._launch("upsample", "upsample", grid, THREADS, "maps", "out", *numbers)

    def channel(
        self, *, whole_frame: bool, each: bool, slot: int, slots: int, weight: float
    ) -> Launch:
        """A caller's map that lies on the device, to its slot: no stage, and in no graph."""
        blocks = _ceil(self.size, THREADS)
        given = "given", "channel_maps", int(whole_frame), int(each), slot, slots
        return self._launch("channel", "channel", blocks, THREADS, *given, np.float32(weight))

    def _launch(
        self, stage: str, kernel: str, grid: int | tuple[int, int], block: int, *given: Argument
    ) -> Launch:
        across, down = grid if isinstance(grid, tuple) else (grid, 1)
        others = (each if isinstance(each, str | np.float32) else np.int32(each) for each in given)
        arguments = ("geometry", "tables", "arena", *others)
        return Launch(stage, kernel, (across, down, self.frames), block, arguments)


class Schedule(Launches):
    """The launches of each stage, by a method of its name."""

    def __init__(self, layout: Layout, format_: FrameFormat, frames: int, past: bool) -> None:
        super().__init__(layout, frames)
        self.rows = rows(self.plan, colour=format_.colour, past=past)
        self.features = sum(row.feature >= 0 for row in self.rows)
        self.pixel_planes = len(self.plan.pixel_planes(colour=format_.colour))
        self.whitened_planes = len(self.plan.whitened_planes(colour=format_.colour))
        self.all_tiles = int(layout.geometry["first_tile"][-1])

    def opponency(self) -> Iterator[Launch]:
        """The frame to the finest level of its planes."""
        yield self.scan()
        finest = self.plan.finest_level
        for kernel, taps, first, _ in self._pyramids("opponency"):
            width = _outputs(taps, finest)
            high, down, across = _tiles(self.plan.level_shape(finest), width, self.frames)
            given = (high, first) if first else ("background", high)
            yield self._launch("opponency", kernel, (across, down), COLUMNS, "call", *given)

    def pyramid(self) -> Iterator[Launch]:
        """The coarser levels: two at a time by tiles, the rest of a small plane by a block."""
        plan, level = self.plan, self.plan.finest_level
        while level < plan.top_level and math.prod(plan.level_shape(level)) > ALONE:
            # Tiles of two steps have to cover the level between them too, to its last odd row.
            height, width = plan.level_shape(level + 1)
            halved = _ceil(height, 2), _ceil(width, 2)
            for kernel, taps, first, count in self._pyramids("pyramid"):
                copies, across = count * self.frames, _outputs(taps, 2)
                high, down, across = _tiles(halved, across, copies, most=MAX_ROWS)
                grid, numbers = (down * across, count), (first, level, high)
                yield self._launch("pyramid", kernel, grid, COLUMNS, *numbers)
            level += 2
        if level < plan.top_level:
            block = min(threads_per_map(math.prod(plan.level_shape(level))), MAP_THREADS)
            for kernel, _, first, count in self._pyramids("coarsest_levels"):
                yield self._launch("pyramid", kernel, count, block, first, level)

    def orientation(self) -> Iterator[Launch]:
        """Oriented energies of every level."""
        source = "orientation_pyramid" if self.config.has_orientation_pyramid else "intensity"
        planes = self._plane(source), self._first_plane("orientation")
        yield self._launch("orientation", "orientation", self.all_tiles, COLUMNS, *planes)

    def motion(self) -> Iterator[Launch]:
        """Responses of every level."""
        yield self._launch("motion", "motion", self.all_tiles, COLUMNS, self._first_plane("motion"))

    def whiten(self) -> Iterator[Launch]:
        """The decorrelated planes, and the channel that they make."""
        plan, geometry = self.plan, self.layout.geometry
        measuring = min(MEASURE_BLOCKS, _ceil(self.size, 2 * THREADS))
        yield self._launch("whiten", "plane_statistics", measuring, THREADS)
        levels = [level for level, first in enumerate(geometry["whitened"]) if first >= 0]
        largest = max(math.prod(plan.level_shape(level)) for level in levels)
        yield self._launch("whiten", "whiten", _ceil(largest, THREADS), THREADS)
        if self.config.has(Channel.WHITENED):
            energies, finest = self.whitened_planes * len(ORIENTATIONS), plan.finest_level
            tiles = int(geometry["first_tile"][finest + SCALES]), self.whitened_planes
            yield self._launch("whiten", "orientation", tiles, COLUMNS, -1, -1)
            yield self._resample("whiten", "resample_energies", finest, energies * SCALES)
            yield self._launch("whiten", "energy_statistics", (measuring, energies), THREADS)
            number = plan.sums.index(f"conspicuity/{Channel.WHITENED}")
            yield self._launch("whiten", "mahalanobis", _ceil(self.size, THREADS), THREADS, number)

    def figure(self) -> Iterator[Launch]:
        """Surroundedness and corners."""
        level, oriented = self.plan.corner_level, self._first_plane("orientation")
        block = threads_per_map(math.prod(self.plan.level_shape(level + 1)))
        yield self._launch("figure", "reconstruct", 2 * self.whitened_planes, block)
        yield self._resample("figure", "resample_figure", level, CORNERS, oriented)
        parts, block = self._parts("figure")
        yield self._launch("figure", "corners", parts, block)

    def centre_surround(self) -> Iterator[Launch]:
        """Tiles of the maps of all features and centre levels; or each map's nearest samples."""
        plan, levels = self.plan, self.plan.centre_levels
        if plan.nearest:
            grid = _ceil(self.size, THREADS), SLOTS * self.features
            yield self._launch("centre_surround", "nearest", grid, THREADS)
            return
        widths = [_outputs(self.config.reduction_taps, plan.map_level - c) for c in levels]
        high, down, _ = _tiles(plan.map_shape, widths[0], self.features * self.frames)
        tiles = sum(down * _ceil(plan.map_shape[1], width) for width in widths)
        grid = tiles, self.features
        yield self._launch("centre_surround", "centre_surround", grid, COLUMNS, high)

    def normalise(self) -> Iterator[Launch]:
        """A scale and an offset, or a new map, for each."""
        steps = [[Step.FIND_RANGES], [Step.FIND_PEAKS]]
        yield from self._steps("normalise", steps, 2 * [SLOTS * self.features])

    def combine(self) -> Iterator[Launch]:
        """Sums of maps, of features and of channels."""
        features, channels = len(self.rows), len(Channel)
        steps = [[Step.ADD_MAPS], [Step.FEATURE_PEAKS], [Step.ADD_FEATURES], [Step.CHANNEL_PEAKS]]
        if self.config.normalise_saliency:
            steps += [[Step.ADD_CHANNELS], [Step.SALIENCY_PEAKS], [Step.WRITE_MAP]]
        else:
            steps += [[Step.ADD_CHANNELS, Step.WRITE_MAP]]  # of the thread's own samples
        maps = [features, features, channels, channels, 1, 1, 1]
        yield from self._steps("combine", steps, maps, *CALLER)

    def _steps(
        self, kernel: str, steps: list[list[Step]], maps: list[int], *given: str
    ) -> Iterator[Launch]:
        """Steps that so many maps take: of small maps all at once, of large ones one by one."""
        parts, block = self._parts(kernel)
        if parts == 1:
            steps, maps = [[steps[0][0], steps[-1][-1]]], maps[:1]
        for its, count in zip(steps, maps, strict=False):
            numbers = its[0], its[-1]
            yield self._launch(kernel, kernel, (parts, count), block, *given, *numbers)

    def _parts(self, stage: str) -> tuple[int, int]:
        """How many blocks share a map, and threads of each."""
        alone, part = SHARED[stage]
        alone = self.size <= alone or self.plan.rewrites_maps
        parts = 1 if alone else min(_ceil(self.size, part), MAP_BLOCKS)
        return parts, min(threads_per_map(_ceil(self.size, parts)), MAP_THREADS)

    def _pyramids(self, kernel: str) -> Iterator[tuple[str, int, int, int]]:
        """Of the pyramids that there are: a kernel's name, taps, first plane and planes."""
        yield kernel, len(self.plan.pyramid_taps), 0, self.pixel_planes
        if self.config.has_orientation_pyramid:
            yield f"{kernel}_orientation", 9, self._plane("orientation_pyramid"), 1

    def _plane(self, name: str) -> int:
        return self.plan.planes.index(name)

    def _first_plane(self, stage: str) -> int:
        """Number of the first of the planes that a stage makes."""
        return self._plane(next(feature.name for feature in FEATURES if feature.stage == stage))

    def _resample(self, stage: str, kernel: str, finest: int, maps: int, *numbers: int) -> Launch:
        """Maps of levels from the finest on to the map's: tiles are widest for the coarsest."""
        steps = max(self.plan.map_level - finest, 0)
        width = _outputs(self.config.reduction_taps, steps)
        high, down, across = _tiles(self.plan.map_shape, width, maps * self.frames)
        return self._launch(stage, kernel, (down * across, maps), COLUMNS, high, *numbers)


def threads_per_map(size: int) -> int:
    """Threads of the one block that measures a map of `size` samples, or sums some."""
    for threads in (128, 256, 512):
        if size <= 4 * threads:
            return threads
    return 1024


def _outputs(taps: int, steps: int) -> int:
    """Outputs across that a block makes of its columns in up to two steps."""
    width = COLUMNS
    for _ in range(steps):
        width = (width - taps + 1) // 2
    return width


def _tiles(
    shape: tuple[int, int], width: int, copies: int, most: int = ROWS[0]
) -> tuple[int, int, int]:
    """Rows of a tile that is `width` wide, and how many tiles cover a shape, down and across."""
    across = _ceil(shape[1], width)
    for high in (n for n in ROWS if n <= most):
        if _ceil(shape[0], high) * across * copies >= ENOUGH:
            break
    return high, _ceil(shape[0], high), across


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
