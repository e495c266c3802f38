"""Pyramid levels to one energy per orientation: separable quadrature filters, streamed by rows.

The complex filter is the 9-tap binomial times a wave, so it separates into rows and columns:
five horizontal filters of the band-passed row, then eight vertical ones of the last nine rows,
give all four orientations. Outside the level the band is zero; the cut kernels' renormalisation
and the border's fade are one factor per row and per column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .. import rows as r
from .. import simd
from ..simd import LANES, Memory, Record, Value
from .downsample import clear
from .task import Task, stream

TAPS = [70 / 256, 56 / 256, 28 / 256, 8 / 256, 1 / 256]  # the binomial, from its centre out
AROUND_ROWS = 2 * r.REACH + 1


def wave(taps: list[float], wavenumber: float, trig) -> list[float]:
    """The taps times a cosine or sine wave."""
    return [t * trig(wavenumber * i) for i, t in enumerate(taps)]


def even_filter(taps: list[float], centre: Value, sums: list[Value]) -> Value:
    """Filter with taps alike on both sides; `sums[i - 1]` is the sum of the samples i away."""
    result = centre * taps[0]
    for tap, both in zip(taps[1:], sums, strict=True):
        result = result + both * tap
    return result


def odd_filter(taps: list[float], differences: list[Value]) -> Value:
    """Filter with taps of opposite signs on both sides."""
    result = differences[0] * taps[1]
    for tap, both in zip(taps[2:], differences[1:], strict=True):
        result = result + both * tap
    return result


def windows(row: Memory, width: Value) -> Iterator[tuple[Value, Value, list[Value], list[Value]]]:
    """Loop over a row of which only zeros lie outside: position, samples, and those up to r.REACH
    to the left and to the right. Shifted in registers: each sample is loaded once.
    """
    here = simd.Carry(row.load(0))
    before = simd.Carry(here.get() * 0.0)
    for x in simd.span(0, width, LANES):
        left, middle, right = before.get(), here.get(), row.load(x + LANES)
        reach = range(1, r.REACH + 1)
        yield (
            x,
            middle,
            [simd.shifted_right(left, middle, i) for i in reach],
            [simd.shifted_left(middle, right, i) for i in reach],
        )
        before.set(middle)
        here.set(right)


def rows_around(task: Task, row: Record, base: Value | int) -> list[Memory]:
    """The nine rows around a row's: relative to `base`, or absolute where negative."""
    offsets = [row[r.AROUND + k] for k in range(AROUND_ROWS)]
    return [task.arena.at(simd.select(at < 0, 0 - at, at + base)) for at in offsets]


def band_row(task: Task, row: Record, base: Value | int) -> None:
    """Write the code for one row of the band I - LP9(I), filtered along x into its five partial
    results, which lie side by side, a vector of each in turn. Its sources are relative to `base`.
    """
    arena, scratch, facts = task.arena, task.scratch, task.facts
    level, around = row.record(r.LEVEL), rows_around(task, row, base)
    width, low_row, band = (
        level[r.LEVEL_WIDTH],
        scratch + level[r.LOW_ROW],
        scratch + level[r.BAND_ROW],
    )
    factors, row_factor = arena.at(level[r.LOW_FACTORS]), arena[row[r.ROW_FACTOR]]
    partials, centre = arena.at(scratch + row[r.ORIENTED]), arena.at(row[r.BAND_CENTRE] + base)
    for x in simd.span(0, width, LANES):
        samples = [each.load(x) for each in around]
        sums = [samples[r.REACH - i] + samples[r.REACH + i] for i in range(1, r.REACH + 1)]
        arena.store(low_row + x, even_filter(TAPS, samples[r.REACH], sums))
    for x, low, left, right in windows(arena.at(low_row), width):
        smooth = even_filter(TAPS, low, [a + b for a, b in zip(right, left, strict=True)])
        scale = factors.load(x) * row_factor
        arena.store(band + x, centre.load(x) - smooth * scale)
    wavenumber, diagonal = facts.wavenumber, facts.wavenumber / math.sqrt(2)
    for x, here, left, right in windows(arena.at(band), width):
        sums = [a + b for a, b in zip(right, left, strict=True)]
        differences = [a - b for a, b in zip(right, left, strict=True)]
        results = [even_filter(TAPS, here, sums)]
        for k in (wavenumber, diagonal):
            results.append(even_filter(wave(TAPS, k, math.cos), here, sums))
            results.append(odd_filter(wave(TAPS, k, math.sin), differences))
        for p, result in enumerate(results):
            partials.store(x * r.PARTIALS + p * LANES, result)


class VerticalFilters:
    """Filters down the partial results of nine rows, a vector of columns from `x` on."""

    def __init__(self, around: list[Memory], x: Value, partials: int, taps: list[float]) -> None:
        self.around, self.start, self.taps = around, x * partials, taps

    def cosine_sine(self, partial: int, wavenumber: float) -> tuple[Value, Value]:
        """By an envelope times cosine and times sine."""
        centre, sums, differences = self._samples(partial)
        return (
            even_filter(wave(self.taps, wavenumber, math.cos), centre, sums),
            odd_filter(wave(self.taps, wavenumber, math.sin), differences),
        )

    def summed(self, partial: int, weights: list[float]) -> Value:
        """By weights from the centre out."""
        centre, sums, _ = self._samples(partial)
        return even_filter(weights, centre, sums)

    def _samples(self, partial: int) -> tuple[Value, list[Value], list[Value]]:
        samples = [each.load(self.start + partial * LANES) for each in self.around]
        ahead, behind = samples[r.REACH + 1 :], samples[r.REACH - 1 :: -1]
        return (
            samples[r.REACH],
            [a + b for a, b in zip(ahead, behind, strict=True)],
            [a - b for a, b in zip(ahead, behind, strict=True)],
        )


def energy_row(task: Task, row: Record) -> None:
    """The energies of one row from the partial results of the nine rows around it. The result
    is in scratch, or relative to the number that the task holds.
    """
    arena, facts = task.arena, task.facts
    level, around = row.record(r.LEVEL), rows_around(task, row, task.scratch)
    factors, row_factor = arena.at(level[r.ENERGY_FACTORS]), arena[row[r.ROW_FACTOR]]
    target = simd.select(row[r.ORIENTED_IN_SCRATCH] > 0, task.scratch, task.extra)
    output, plane_stride = arena.at(target + row[r.ORIENTED]), row[r.ORIENTED_STRIDE]
    wavenumber, diagonal = facts.wavenumber, facts.wavenumber / math.sqrt(2)
    for x in simd.span(0, level[r.LEVEL_WIDTH], LANES):
        down = VerticalFilters(around, x, r.PARTIALS, TAPS)
        scale = factors.load(x) * row_factor

        def write(orientation, real, imaginary, x=x, scale=scale):
            energy = simd.root(real * real + imaginary * imaginary) * scale
            output.store(plane_stride * orientation + x, energy)

        write(0, *down.cosine_sine(0, wavenumber))  # horizontal bar: the wave runs down
        write(2, down.summed(1, TAPS), down.summed(2, TAPS))
        cos_cos, cos_sin = down.cosine_sine(3, diagonal)
        sin_cos, sin_sin = down.cosine_sine(4, diagonal)
        write(1, cos_cos + sin_sin, cos_sin - sin_cos)
        write(3, cos_cos - sin_sin, cos_sin + sin_cos)


orientation = stream(
    {r.CLEAR: clear, r.BAND: lambda task, row: band_row(task, row, 0), r.ENERGY: energy_row}
)
