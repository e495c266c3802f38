"""VOCUS2 on the CPU: its buffers, tables and launches; see `twin_pyramids`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..pipeline import FrameFormat
from ..plan import Plan
from ..twin_pyramids import EXTRA, PLANES, Blur, cubic, means, octaves, share
from . import program
from .program import Place
from .schedule import Launch, kernel

STRIP = 64  # floats that a kernel works on at a time
LINE = 16  # floats of a cache line
MARGIN = 64  # to either side of a row in scratch: more than any kernel's reach
BAND = 32  # rows of a task, at least
MAP_BAND = 64  # rows of a task that sums maps, at most
ROWS = 4  # that a blur sums at once

PIXELS, BLURS, CONTRASTS, MAPS = range(4)  # the program's numbers: addresses of tables of tasks
# Columns of a task's record. All: rows and columns of its result, first row and row behind the
# last, where it goes, floats from row to row and from plane to plane.
HEIGHT, WIDTH, FIRST, LAST, TARGET, PITCH, STRIDE = range(7)
# A blur's: its source; 1 or 2 samples of it per sample; weights, how many, how far the first
# lies before the sample.
SOURCE, SOURCE_PITCH, SOURCE_HEIGHT, SOURCE_WIDTH, STEP, TAPS, COUNT, LEAD = range(7, 15)
# A contrast's: both centres, both surrounds, whether it is added to what is there.
CENTRES, CENTRE_PITCH, SURROUNDS, SURROUND_PITCH, ADDED = 7, 9, 10, 12, 13
# A sum's: contrasts at level 1, the coarser octaves' records and how many, the channels' weights,
# the sum, where the tasks' extremes go, how many tasks.
(
    CONTRAST,
    CONTRAST_PITCH,
    CONTRAST_STRIDE,
    COARSER,
    COARSER_COUNT,
    WEIGHTS,
    SUM,
    EXTREMES,
    TASKS,
) = range(7, 16)
RECORD = 16
# Of a coarser octave: its contrasts, its size, first samples and weights of each row and column of
# the map.
(
    COARSE,
    COARSE_PITCH,
    COARSE_STRIDE,
    COARSE_WIDTH,
    COARSE_HEIGHT,
    ROW_STARTS,
    ROW_WEIGHTS,
    COLUMN_STARTS,
    COLUMN_WEIGHTS,
) = range(9)


class Planes(NamedTuple):
    """Some planes of one size in the arena."""

    offset: int
    height: int
    width: int
    pitch: int
    stride: int

    def at(self, plane: int) -> int:
        """Where one lies."""
        return self.offset + plane * self.stride

    @property
    def target(self) -> tuple[int, int, int]:
        """As columns of a record."""
        return self.offset, self.pitch, self.stride


class Program(program.Program):
    """VOCUS2 for frames of one format."""

    def __init__(self, plan: Plan, format_: FrameFormat, order: str, threads: int) -> None:
        super().__init__(plan, format_, order, threads)
        self.planes = tuple(name for channel in self.channels for name in PLANES[channel])
        self.records: list[np.ndarray] = []  # that other records and kernels have the addresses of
        self._opponency()
        self._pyramids()
        self._contrasts()
        self._sums()
        tables = self.pixel_bands, self.blurs, self.contrast_bands, self.map_bands
        self.numbers = [table.ctypes.data for table in tables]

    def take_planes(self, count: int, height: int, width: int) -> Planes:
        """New planes, whose rows have room for whole strips."""
        pitch = -(-width // STRIP) * STRIP + LINE
        stride = height * pitch + STRIP
        offset = self.space.take(count * stride + STRIP)
        return Planes(offset, height, width, pitch, stride)

    def bands(self, rows: int) -> Iterator[tuple[int, int]]:
        """First row and row behind the last, of each task."""
        count = max(min(self.threads, rows // BAND), 1)
        return pairwise(rows * k // count for k in range(count + 1))

    def _table(self, records: Iterable[list[int]]) -> np.ndarray:
        rows = list(records)
        table = np.zeros((len(rows), RECORD), np.int64)
        for target, row in zip(table, rows, strict=True):
            target[: len(row)] = row
        self.records.append(table)
        return table

    # --- opponency

    def _opponency(self) -> None:
        """Level 1, with the frame's border pixels around it."""
        height, width = ((n + 1) // 2 + 2 for n in self.plan.shape)
        self.level_1 = self.take_planes(len(self.planes), height, width)
        self.pixel_bands = self._table(
            [self.plan.shape[0], self.plan.shape[1], *band, *self.level_1.target]
            for band in self.bands(height)
        )

    # --- pyramids and contrasts

    def _pyramids(self) -> None:
        """Centres and surrounds of a plane; each plane's in the same memory."""
        blurs: list[list[list[int]]] = []  # by how many come before

        def blur(source: Planes, after: int, by: Blur, size: tuple[int, int]) -> Planes:
            """Record a blur that comes after so many others."""
            target = self.take_planes(1, *size)
            zeros = np.zeros(by.step * (ROWS - 1))
            taps = self.space.put(zeros, by.taps, zeros) + len(zeros)
            blurs.extend([] for _ in range(after + 1 - len(blurs)))
            blurs[after] += [
                [
                    *(target.height, target.width, *band, *target.target),
                    *(source.offset, source.pitch, source.height, source.width),
                    *(by.step, taps, len(by.taps), by.lead),
                ]
                for band in self.bands(target.height)
            ]
            line = source.width + by.step * 2 * (STRIP + MARGIN)
            self.scratch = max(self.scratch, ROWS * line + 2 * MARGIN)
            return target

        self.octaves: list[tuple[list[Planes], list[Planes]]] = []  # centres and surrounds
        source = self.level_1
        for octave in octaves(self.plan.shape):
            after, (rows, columns) = 2 * len(self.octaves), octave.surround_size
            centres, surrounds = [], []
            for by, wider in zip(octave.centres, octave.surrounds, strict=True):
                source = blur(source, after, by, octave.size)
                after += 1
                centres.append(source)
                # Halved once or twice, all of the margin with the first.
                mean, depth, lead = source, after, EXTRA * octave.spacing
                for size in [(2 * rows, 2 * columns)] * (octave.spacing == 4) + [(rows, columns)]:
                    mean, depth, lead = blur(mean, depth, means(2, lead), size), depth + 1, 0
                surrounds.append(blur(mean, depth, wider, (rows, columns)))
            self.octaves.append((centres, surrounds))
        starts = np.cumsum([0, *map(len, blurs)])
        records = np.array([record for each in blurs for record in each])
        by_plane = [records.copy() for _ in self.planes]
        for plane, copy in enumerate(by_plane):
            copy[: starts[1], SOURCE] += plane * self.level_1.stride
        self.blurs = self._table(np.concatenate(by_plane).tolist())
        self.depths = list(pairwise(starts.tolist()))

    def _contrasts(self) -> None:
        """A map per channel and octave; one for two, where the second has the map's samples."""
        even = not any(n % 2 for n in self.plan.shape)
        self.contrasts: list[Planes] = []
        for octave, ((centre, _), _) in enumerate(self.octaves):
            again = octave == 1 and even
            size = centre.height, centre.width
            self.contrasts.append(
                self.contrasts[0] if again else self.take_planes(len(self.channels), *size)
            )
        self.contrast_bands = self._table(
            [
                *(target.height, target.width, *band),
                *(target.at(channel), target.pitch, target.stride),
                *(near.offset, far.offset, near.pitch),
                *(narrow.offset, wide.offset, narrow.pitch),
                k > 0 or target in self.contrasts[:octave],
            ]
            for channel, names in enumerate(PLANES[each] for each in self.channels)
            for k in range(len(names))
            for octave, target in enumerate(self.contrasts)
            for (near, far), (narrow, wide) in [self.octaves[octave]]
            for band in self.bands(target.height)
        )

    # --- the saliency map

    def _sums(self) -> None:
        """All octaves' contrasts enlarged to the map."""
        height, width = self.plan.map_shape
        target = self.take_planes(len(self.channels), height, width)
        total = self.take_planes(1, height, width)
        for k, channel in enumerate(self.channels):
            name = f"conspicuity/{channel}"
            self.places[name] = Place(target.at(k), (height, width), target.pitch)
        self.places["saliency"] = Place(total.offset, (height, width), total.pitch)
        shares = np.array([share(channel) for channel in self.channels])
        factors = self.space.put(shares, np.array([*self.channels.values()]))
        coarser = self._table(self._enlargements())
        count = max(-(-height // MAP_BAND), min(self.threads, height // BAND), 1)
        bands = pairwise(height * k // count for k in range(count + 1))
        extremes = self.space.take(2 * count)
        finest = self.contrasts[0]
        self.map_bands = self._table(
            [
                *(height, width, first, last, *target.target),
                *finest.target,
                *(coarser.ctypes.data, len(coarser), factors, total.offset, extremes, count),
            ]
            for first, last in bands
        )
        rows = -(-height // count) + 6
        size = rows * (target.pitch + LINE) + finest.width + 4 * MARGIN
        self.scratch = max(self.scratch, size)

    def _enlargements(self) -> Iterator[list[int]]:
        coarser = [each for each in self.contrasts if each is not self.contrasts[0]]
        for contrast in coarser:
            axes: list[int] = []
            for n, coarse in zip(self.plan.shape, (contrast.height, contrast.width), strict=True):
                starts, weights = cubic(n, coarse)
                self.records.append(starts)
                axes += [starts.ctypes.data, self.space.put(weights)]
            yield [*contrast.target, contrast.width, contrast.height, *axes]

    # --- stages

    def opponency(self) -> list[Launch]:
        """The range of float frames; level 1."""
        dtype, channels = self.format
        facts = {"dtype": dtype, "channels": channels, "order": self.order}
        planes = kernel("vocus2", "opponency", **facts, planes=self.planes)
        checks = [self.scan()] if dtype == "float32" else []
        return [*checks, Launch("opponency", planes, len(self.pixel_bands))]

    def twin_pyramids(self) -> list[Launch]:
        """Plane by plane: blurs in the order in which they follow each other; then contrasts."""
        blur = kernel("vocus2", "blur")
        finest, coarser = (kernel("vocus2", "contrast", spacing=spacing) for spacing in (2, 4))
        fine = len(list(self.bands(self.contrasts[0].height)))
        launches = []
        for plane in range(len(self.planes)):
            first = plane * len(self.blurs) // len(self.planes)
            launches += [(blur, first + start, first + stop) for start, stop in self.depths]
            first, last = (
                (plane + k) * len(self.contrast_bands) // len(self.planes) for k in (0, 1)
            )
            launches += [(finest, first, first + fine), (coarser, first + fine, last)]
        return [
            Launch("twin_pyramids", each, last - first, first=first)
            for each, first, last in launches
        ]

    def combine(self) -> list[Launch]:
        """Conspicuity maps and their sum; then the map."""
        sums = kernel("vocus2", "combine", channels=len(self.channels))
        count = len(self.map_bands)
        return [
            Launch("combine", sums, count),
            Launch("combine", kernel("vocus2", "write_map"), count),
        ]
