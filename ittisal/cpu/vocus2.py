"""VOCUS2 (Frintrop, Werner & Garcia 2015) on the CPU: its buffers, tables and launches.

All octaves of the centre pyramid are sampled as the original does, but for the first, whose finest
structures are 3 pixels wide: it is sampled at level 1, means of 2 by 2 pixels. A surround is the
centre's blur, at means of 4 by 4 of the octave's samples, and linear between them; its kernel is
narrower by the variances of the mean and of the interpolation. On and off contrasts of a map add up
to the size of its difference, which is all that the saliency map needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..allocator import Allocator
from ..pipeline import FrameFormat
from .rows import SCAN_TASKS
from .schedule import Launch, Order, kernel

OCTAVES = 5  # at most
CENTRE, SURROUND = 3.0, 13.0  # standard deviations, in samples of an octave
SCALES = 2  # of an octave
CUBIC = -0.75  # slope of the interpolation that enlarges maps
TRUNCATION = 4  # standard deviations

STRIP = 64  # floats that a kernel works on at a time
LINE = 16  # floats
MARGIN = 64  # to either side of a row in scratch: more than any kernel's reach
BAND = 32  # rows of a task, at least
MAP_BAND = 64  # rows of a task that sums maps, at most
ROWS = 4  # that a blur sums at once
EXTRA = 2  # samples of a surround beyond each border

# Columns of a task's record. All: rows and columns of its result, first row and row behind the
# last, where it goes, floats from row to row and from plane to plane.
HEIGHT, WIDTH, FIRST, LAST, TARGET, PITCH, STRIDE = range(7)
# A blur's: its source; 1 or 2 samples of it per sample; weights, how many, how far the first
# lies before the sample.
SOURCE, SOURCE_PITCH, SOURCE_HEIGHT, SOURCE_WIDTH, STEP, TAPS, COUNT, LEAD = range(7, 15)
# A contrast's: both centres, with the pitch and stride of PLANES, and both surrounds.
CENTRES, CENTRE_PITCH, CENTRE_STRIDE, SURROUNDS, SURROUND_PITCH, SURROUND_STRIDE = (
    7,
    9,
    10,
    11,
    13,
    14,
)
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
    count: int
    height: int
    width: int
    pitch: int
    stride: int

    def at(self, plane: int) -> int:
        """Where one lies."""
        return self.offset + plane * self.stride


class Blur(NamedTuple):
    """Weights along both axes; the first belongs `lead` samples before the sample."""

    taps: np.ndarray
    lead: int
    step: int = 1


def gaussian(variance: float, shift: float = 0.0, step: int = 1) -> Blur:
    """Blur around `shift` samples behind each sample. Its lead is a multiple of the step."""
    reach = math.ceil((TRUNCATION * math.sqrt(variance) + abs(shift)) / step) * step
    taps = np.exp(-((np.arange(-reach, reach + 1) - shift) ** 2) / (2 * variance))
    return Blur(taps / taps.sum(), reach, step)


def surround_variance(scale: int, unit: int, spacing: int) -> float:
    """Of a surround's kernel, at `spacing` samples that are each `unit` of the octave's."""
    whole = (SURROUND**2 - CENTRE**2) * 2**scale / unit**2
    mean = (spacing**2 - 1) / 12
    return (whole - mean) / spacing**2 - 1 / 6


def halved(lead: int) -> Blur:
    """Means of pairs of samples, from `lead` before the first."""
    return Blur(np.array([0.5, 0.5]), lead, 2)


def cubic(size: int, coarse: int, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First sample of four, counted from two before the first, and the four weights, for positions
    in `size` samples, of as many as `coarse` that cover the same frame.
    """
    at = (positions + 0.5) * coarse / size - 0.5
    start = np.floor(at)
    distance = np.abs(at[:, None] - start[:, None] - np.arange(-1, 3))
    near = (CUBIC + 2) * distance**3 - (CUBIC + 3) * distance**2 + 1
    far = CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return start.astype(np.int64) + 1, np.where(distance <= 1, near, far)


class Vocus2:
    """Buffers, tables and launches for frames of one shape and format."""

    def __init__(
        self,
        shape: tuple[int, int],
        format_: FrameFormat,
        order: str,
        threads: int,
        weights: Sequence[float] = (1.0, 2.0),
    ) -> None:
        self.shape, self.format, self.threads = shape, format_, threads
        self.order = order if format_.colour else "rgb"
        self.planes = 3 if format_.colour else 1
        self.channels = ((0,), (1, 2)) if format_.colour else ((0,),)
        self.map_shape = max(shape[0] // 2, 1), max(shape[1] // 2, 1)
        self.octaves = min(int(math.log2(min(shape))), OCTAVES - 1) + 1
        self.space = Allocator(LINE, start=MARGIN)
        self.buffers: dict[str, Planes] = {}
        self.records: list[np.ndarray] = []
        self.scratch_size = 0
        self._opponency()
        self._pyramids()
        self._contrasts()
        self._sums(weights)

    def take(self, name: str, count: int, height: int, width: int) -> Planes:
        """A new buffer; rows have room for whole strips."""
        pitch = -(-width // STRIP) * STRIP + LINE
        stride = height * pitch + STRIP
        offset = self.space.take(count * stride + STRIP)
        self.buffers[name] = Planes(offset, count, height, width, pitch, stride)
        return self.buffers[name]

    def bands(self, rows: int) -> Iterator[tuple[int, int]]:
        """First row and row behind the last, of each task."""
        count = max(min(self.threads, rows // BAND), 1)
        edges = [rows * k // count for k in range(count + 1)]
        return pairwise(edges)

    # --- opponency

    def _opponency(self) -> None:
        """Level 1, with the frame's border pixels around it."""
        height, width = ((n + 1) // 2 + 2 for n in self.shape)
        self.level_1 = self.take("level_1", self.planes, height, width)
        self.opponency = self._table(
            [self.shape[0], self.shape[1], *band, *self._target(self.level_1)]
            for band in self.bands(height)
        )

    @staticmethod
    def _target(of: Planes) -> tuple[int, int, int]:
        return of.offset, of.pitch, of.stride

    def _table(self, records: Iterator[list[int]]) -> np.ndarray:
        rows = list(records)
        table = np.zeros((len(rows), RECORD), np.int64)
        for target, row in zip(table, rows, strict=True):
            target[: len(row)] = row
        self.records.append(table)
        return table

    # --- pyramids

    def _pyramids(self) -> None:
        """Centres and surrounds, by how many blurs have to come before."""
        blurs: list[list[list[int]]] = []

        def blur(name: str, source: Planes, depth: int, by: Blur, size: tuple[int, int]) -> Planes:
            """Record a blur; after `depth` others."""
            target = self.take(name, source.count, *size)
            zeros = np.zeros(by.step * (ROWS - 1))
            taps = self.space.put(zeros, by.taps, zeros) + len(zeros)
            blurs.extend([] for _ in range(depth + 1 - len(blurs)))
            for plane in range(source.count):
                for band in self.bands(target.height):
                    blurs[depth].append(
                        [
                            *(target.height, target.width, *band, target.at(plane)),
                            *(target.pitch, target.stride, source.at(plane), source.pitch),
                            *(source.height, source.width, by.step, taps, len(by.taps), by.lead),
                        ]
                    )
            line = by.step * (source.width // by.step + 2 * STRIP + 2 * MARGIN)
            self.scratch_size = max(self.scratch_size, ROWS * line + 2 * MARGIN)
            return target

        self.centres: list[list[Planes]] = []
        self.surrounds: list[list[Planes]] = []
        variance = CENTRE**2
        size = (self.shape[0] + 1) // 2, (self.shape[1] + 1) // 2
        # Level 1 begins one sample before the frame; its means have a variance of their own.
        first = gaussian((variance - 1 / 4) / 4)
        first, nominal = first._replace(lead=first.lead - 1), self.shape
        source = self.level_1
        for octave in range(self.octaves):
            unit, depth = (1, 2 * octave) if octave else (2, 0)
            centre = blur(f"centre/{octave}/0", source, depth, first, size)
            finer = blur(
                f"centre/{octave}/1", centre, depth + 1, gaussian(variance / unit**2), size
            )
            self.centres.append([centre, finer])
            pair = []
            for scale, plane in enumerate((centre, finer)):
                name, after = f"surround/{octave}/{scale}", depth + scale + 1
                spacing = 4 // unit
                rows, columns = (-(-n // spacing) + 2 * EXTRA for n in size)
                if spacing == 4:
                    halves = 2 * rows, 2 * columns
                    plane = blur(f"{name}/halves", plane, after, halved(4 * EXTRA), halves)
                    means = blur(f"{name}/means", plane, after + 1, halved(0), (rows, columns))
                else:
                    means = blur(f"{name}/means", plane, after, halved(2 * EXTRA), (rows, columns))
                kernel_ = gaussian(surround_variance(scale, unit, spacing))
                pair.append(blur(name, means, after + spacing // 2, kernel_, (rows, columns)))
            self.surrounds.append(pair)
            nominal = max(nominal[0] // 2, 1), max(nominal[1] // 2, 1)
            source, size = finer, nominal
            # The next octave has every second sample, from the first; level 1 lies between them.
            first = gaussian(2 * variance, step=2) if octave else gaussian(variance / 2, -1 / 4)
        starts = np.cumsum([0, *map(len, blurs)])
        self.pyramid = self._table(record for depth in blurs for record in depth)
        self.depths = list(zip(starts, map(len, blurs), strict=False))

    # --- contrasts

    def _contrasts(self) -> None:
        """A map per channel and octave."""
        self.contrasts = [
            self.take(f"contrast/{octave}", len(self.channels), centre.height, centre.width)
            for octave, (centre, _) in enumerate(self.centres)
        ]
        records: list[list[int]] = []
        for octave, target in enumerate(self.contrasts):
            (near, far), (narrow, wide) = self.centres[octave], self.surrounds[octave]
            for band in self.bands(target.height):
                records.append(
                    [
                        *(target.height, target.width, *band, *self._target(target)),
                        *(near.offset, far.offset, near.pitch, near.stride),
                        *(narrow.offset, wide.offset, narrow.pitch, narrow.stride),
                    ]
                )
            if octave == 0:
                self.first_contrasts = len(records)
        self.centre_surround = self._table(iter(records))

    # --- the saliency map

    def _sums(self, weights: Sequence[float]) -> None:
        """All octaves' contrasts enlarged to the map."""
        height, width = self.map_shape
        target = self.take("conspicuity", len(self.channels), height, width)
        total = self.take("saliency", 1, height, width)
        # The mean of on and off, over all maps and the channel's planes; then over the channels.
        shares = [1 / (2 * SCALES * self.octaves * len(planes)) for planes in self.channels]
        chosen = weights[: len(self.channels)]
        factors = self.space.put(np.array(shares), np.array(chosen) / sum(chosen))
        coarser = self._table(self._enlargements())
        count = max(-(-height // MAP_BAND), min(self.threads, height // BAND), 1)
        edges = [height * k // count for k in range(count + 1)]
        extremes = self.space.take(2 * count)
        finest = self.contrasts[0]
        self.sums = self._table(
            [
                *(height, width, first, last, *self._target(target)),
                *self._target(finest),
                *(coarser.ctypes.data, len(coarser), factors, total.offset, extremes, count),
            ]
            for first, last in pairwise(edges)
        )
        rows = -(-height // count) + 6
        size = rows * (target.pitch + LINE) + finest.width + 4 * MARGIN
        self.scratch_size = max(self.scratch_size, size)

    def _enlargements(self) -> Iterator[list[int]]:
        for contrast in self.contrasts[1:]:
            axes: list[int] = []
            for frame, size, coarse in zip(
                self.shape, self.map_shape, (contrast.height, contrast.width), strict=True
            ):
                starts, weights = cubic(frame, coarse, 2 * np.arange(size) + 0.5)
                self.records.append(starts)
                axes += [starts.ctypes.data, self.space.put(weights)]
            yield [*self._target(contrast), contrast.width, contrast.height, *axes]

    # --- launches

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """By the context's names."""
        return {
            "opponency": self.opponency,
            "pyramid": self.pyramid,
            "centre_surround": self.centre_surround,
            "sums": self.sums,
        }

    @property
    def launches(self) -> list[Launch]:
        """In order."""
        dtype, channels = self.format
        launches = []
        if dtype == "float32":
            scan = kernel("scan", dtype=dtype, channels=channels, opponency="")
            launches.append(Launch("opponency", scan, SCAN_TASKS))
        planes = kernel("vocus2", "opponency", dtype=dtype, channels=channels, order=self.order)
        blur = kernel("vocus2", "blur")
        launches.append(Launch("opponency", planes, len(self.opponency)))
        launches += [
            Launch("twin_pyramids", blur, count, first=first) for first, count in self.depths
        ]
        fine, rest = self.first_contrasts, len(self.centre_surround) - self.first_contrasts
        contrast = [kernel("vocus2", "contrast", channels=self.channels, spacing=s) for s in (2, 4)]
        launches.append(Launch("twin_pyramids", contrast[0], fine))
        if rest:
            launches.append(Launch("twin_pyramids", contrast[1], rest, Order.BESIDE, first=fine))
        sums = kernel("vocus2", "combine", channels=len(self.channels))
        launches.append(Launch("combine", sums, len(self.sums)))
        launches.append(Launch("combine", kernel("vocus2", "write_map"), len(self.sums)))
        return launches
