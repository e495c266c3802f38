"""Intensity levels to one energy per direction: separable quadrature filters, streamed by rows.

The complex filter is the 9-tap binomial times a wave, so it separates into rows and columns:
five horizontal filters of the band-passed row, then eight vertical ones of the last nine rows,
give all four directions. Outside the frame the band is zero; the cut kernels' renormalisation
and the border's fade are one factor per row and per column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..plan import ORIENTED
from . import simd
from .jit import inner
from .layout import (
    HEIGHT,
    ORIENT_COLUMNS,
    ORIENT_ROWS,
    PAD,
    PITCH,
    PLANE_STRIDE,
    PLANES,
    WIDTH,
    ZEROS,
)
from .pyramid import clear
from .simd import LANES, Memory, Value

REACH = 4
TAPS = [70 / 256, 56 / 256, 28 / 256, 8 / 256, 1 / 256]  # the binomial, from its centre out
PARTIALS = 5  # horizontal results kept per row: smooth, and cosine and sine at two wave numbers


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
    """Loop over a row of which only zeros lie outside: position, samples, and those up to REACH
    to the left and to the right. Shifted in registers: each sample is loaded once.
    """
    here = simd.Carry(row.load(0))
    before = simd.Carry(here.get() * 0.0)
    for x in simd.span(0, width, LANES):
        left, middle, right = before.get(), here.get(), row.load(x + LANES)
        reach = range(1, REACH + 1)
        yield (
            x,
            middle,
            [simd.shifted_right(left, middle, i) for i in reach],
            [simd.shifted_left(middle, right, i) for i in reach],
        )
        before.set(middle)
        here.set(right)


@simd.function()
def band_row(arena, rows, centre, columns, row_scale, scratch, output, partials, width, variant):
    """One row of the band I - LP9(I), filtered along x into its five partial results, which lie
    side by side, a vector of each in turn.

    `rows` lists where the nine rows around it start; rows outside the frame are rows of zeros.
    """
    around = [arena.at(rows[k]) for k in range(2 * REACH + 1)]
    for x in simd.span(0, width, LANES):
        column = [row.load(x) for row in around]
        sums = [column[REACH - i] + column[REACH + i] for i in range(1, REACH + 1)]
        arena.store(scratch + x, even_filter(TAPS, column[REACH], sums))
    for x, low, left, right in windows(arena.at(scratch), width):
        smooth = even_filter(TAPS, low, [a + b for a, b in zip(right, left, strict=True)])
        scale = arena.load(columns + x) * row_scale
        arena.store(output + x, arena.load(centre + x) - smooth * scale)
    wavenumber, diagonal = variant.wavenumber, variant.wavenumber / math.sqrt(2)
    for x, here, left, right in windows(arena.at(output), width):
        sums = [a + b for a, b in zip(right, left, strict=True)]
        differences = [a - b for a, b in zip(right, left, strict=True)]
        results = [even_filter(TAPS, here, sums)]
        for k in (wavenumber, diagonal):
            results.append(even_filter(wave(TAPS, k, math.cos), here, sums))
            results.append(odd_filter(wave(TAPS, k, math.sin), differences))
        for p, result in enumerate(results):
            arena.store(partials + x * PARTIALS + p * LANES, result)


@simd.function()
def energy_row(arena, rows, columns, row_scale, output, plane_stride, width, variant):
    """The energies of one row from the partial results of the nine rows around it."""
    around = [arena.at(rows[k]) for k in range(2 * REACH + 1)]
    wavenumber, diagonal = variant.wavenumber, variant.wavenumber / math.sqrt(2)
    for x in simd.span(0, width, LANES):

        def vertical(p):
            column = [row.load(x * PARTIALS + p * LANES) for row in around]
            ahead, behind = column[REACH + 1 :], column[REACH - 1 :: -1]
            return (
                column[REACH],
                [a + b for a, b in zip(ahead, behind, strict=True)],
                [a - b for a, b in zip(ahead, behind, strict=True)],
            )

        def cosine_sine(p, k):
            centre, sums, differences = vertical(p)
            return (
                even_filter(wave(TAPS, k, math.cos), centre, sums),
                odd_filter(wave(TAPS, k, math.sin), differences),
            )

        def smooth(p):
            centre, sums, _ = vertical(p)
            return even_filter(TAPS, centre, sums)

        scale = arena.load(columns + x) * row_scale

        def write(direction, real, imaginary):
            energy = simd.root(real * real + imaginary * imaginary) * scale
            arena.store(output + plane_stride * direction + x, energy)

        write(0, *cosine_sine(0, wavenumber))  # horizontal bar: the wave runs down
        write(2, smooth(1), smooth(2))
        cos_cos, cos_sin = cosine_sine(3, diagonal)
        sin_cos, sin_sin = cosine_sine(4, diagonal)
        write(1, cos_cos + sin_sin, cos_sin - sin_cos)
        write(3, cos_cos - sin_sin, cos_sin + sin_cos)


@inner
def orientation_rows(buffers, level, source_plane, first, last, scratch, offsets, variant):
    """Rows `first` to `last` of the four energies of one level. `offsets` holds nine integers."""
    arena, levels, _, places, _ = buffers
    height, width, pitch = levels[level, HEIGHT], levels[level, WIDTH], levels[level, PITCH]
    stride = levels[level, PLANE_STRIDE]
    source = levels[level, PLANES] + source_plane * stride
    output = levels[level, PLANES] + ORIENTED * stride
    rows, columns = levels[level, ORIENT_ROWS], levels[level, ORIENT_COLUMNS]
    zeros = places[ZEROS] + PAD
    low = scratch + PAD
    band = low + pitch
    ring = band + pitch  # nine rows of five partial results
    slot = PARTIALS * pitch
    clear(arena, scratch, PAD + 2 * pitch)
    for y in range(first - REACH, last + REACH):
        if 0 <= y < height:
            for k in range(2 * REACH + 1):
                row = y - REACH + k
                offsets[k] = source + row * pitch if 0 <= row < height else zeros
            partials = ring + y % (2 * REACH + 1) * slot
            band_row(
                arena,
                offsets,
                source + y * pitch,
                columns,
                arena[rows + 2 * y],
                low,
                band,
                partials,
                width,
                variant,
            )
        done = y - REACH
        if done >= first:
            for k in range(2 * REACH + 1):
                row = done - REACH + k
                inside = 0 <= row < height
                offsets[k] = ring + row % (2 * REACH + 1) * slot if inside else zeros
            energy_row(
                arena,
                offsets,
                columns + pitch,
                arena[rows + 2 * done + 1],
                output + done * pitch,
                stride,
                width,
                variant,
            )
