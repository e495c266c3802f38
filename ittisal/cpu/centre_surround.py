"""|centre - surround| of one feature at one centre level, reduced to level 4 as it is made.

The surround is enlarged two rows at a time, the difference is taken in registers and handed to
the halving step, so no map is ever stored at its own size. The border's fade is part of the
first step's weights.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from ..config import DELTAS, MAP_LEVEL
from . import simd
from .jit import inlined, inner
from .layout import (
    FADE_4,
    FADED,
    HEIGHT,
    LEVELS,
    MAP_PITCH,
    MAP_STRIDE,
    PAD,
    PITCH,
    PLANE_STRIDE,
    PLANES,
    REDUCE,
    WIDTH,
)
from .pyramid import clear, halve, halve_rows, state_stride, step, unit
from .simd import LANES, Value, constant
from .variant import CENTRED, EVEN, REPLICATE

NOWHERE = -2  # no enlarged row


def delta_of(side: str) -> int:
    """How many levels a surround is coarser than its centre; or the level behind, than a map."""
    return (*DELTAS, 1)[("near", "far", "next").index(side)]


@intrinsic(prefer_literal=True)
def surround_size(context, side):
    """Rows of the centre per row of a surround."""
    size = 1 << delta_of(side.literal_value)
    return simd.types.int64(side), lambda *_: ir.Constant(simd.I64, size)


def contrast(centre: Value, surround: Value, sign: str, negative: Value) -> list[Value]:
    """What is kept of a difference: its size, its two halves, or (where `negative` is -1 rather
    than 0) its size for some features and its positive half for others.
    """
    difference = centre - surround
    if sign == "split":
        return [simd.maximum(difference, 0.0), simd.maximum(surround - centre, 0.0)]
    if sign == "mixed":
        return [simd.maximum(difference, difference * negative)]
    return [simd.absolute(difference)]


@simd.function()
def enlarge_row(arena, source, last, output, side, variant):
    """One row of a surround's level, at its centre's length; `last` is its last sample.

    Between two samples the result is linear, or (REPLICATE) the left one. Beyond the outer
    samples, half a step out on a CENTRED grid, it is constant.
    """
    size = 1 << delta_of(side)
    centred = variant.grid == CENTRED
    steps = [0.0 if variant.grid == REPLICATE else (k + 0.5 * centred) / size for k in range(size)]
    t = simd.constants(arena, steps)
    start = output - size // 2 if centred else output
    low = simd.Carry(arena[source])
    for j in simd.span(0, last + 3, 1):  # from before the first sample, or from it
        after = j if centred else j + 1
        high = arena[source + simd.select(after < last, after, last)]
        left = low.get()
        arena.store(start + j * size, left.splat(size) + (high - left).splat(size) * t)
        low.set(high)


@simd.function()
def halve_contrast(arena, even, odd, near, near_t, far, far_t, negative, step, variant):
    """A pair of rows of the centre against both surrounds, one step down.

    A surround (`near`, `far`) lies between two enlarged rows A and B; it is A + t (B - A), with a
    t for either row of the centre.
    """
    surrounds = [
        ([arena.at(row) for row in rows], [t.splat() for t in ts])
        for rows, ts in ((near, near_t), (far, far_t))
    ]

    def source(x):
        for column in (x, x + LANES):
            maps = []
            centre = arena.load(even + column), arena.load(odd + column)
            for (first, second), ts in surrounds:
                a = first.load(column)
                rise = second.load(column) - a
                rows = [
                    contrast(c, a + rise * t, variant.sign, negative)
                    for c, t in zip(centre, ts, strict=True)
                ]
                maps += zip(*rows, strict=True)
            yield maps

    halve(source, arena, step, variant.reduction, [unit(variant.reduction)] * variant.maps)


@simd.function()
def contrast_row(
    arena, centre, surround, t, columns, row_scale, output, output_stride, width, negative, variant
):
    """One row at level 4: nothing to reduce, only the fade."""
    first, second = (arena.at(row) for row in surround)
    for x in simd.span(0, width, LANES):
        a = first.load(x)
        between = a + (second.load(x) - a) * t
        scale = arena.load(columns + x) * row_scale
        kept = contrast(arena.load(centre + x), between, variant.sign, negative)
        for half, value in enumerate(kept):
            arena.store(output + output_stride * half + x, value * scale)


@inlined
def surround_position(y, side, variant):
    """The enlarged row at or before row `y` (-1: before the first), and how far on `y` lies."""
    size = surround_size(side)
    if constant(variant, "grid") == CENTRED:
        at = y + size // 2
        return at // size - 1, np.float32((at % size + 0.5) / size)
    t = (y % size) / size if constant(variant, "grid") == EVEN else 0.0
    return y // size, np.float32(t)


@inner
def enlarged(arena, levels, plane, level, row, output, side, variant):
    """Enlarge one row of a plane, held at its first and last."""
    row = min(max(row, 0), levels[level, HEIGHT] - 1)
    source = levels[level, PLANES] + plane * levels[level, PLANE_STRIDE]
    source += row * levels[level, PITCH]
    enlarge_row(arena, source, levels[level, WIDTH] - 1, output, side, variant)


@inlined
def moved(arena, levels, plane, level, before, at, rows, side, variant):
    """The two enlarged rows at and after `at`, given those at and after `before`."""
    first, second = rows
    if at != before:
        first, second = second, first
        if at != before + 1 or before == NOWHERE:
            enlarged(arena, levels, plane, level, at, first, side, variant)
        enlarged(arena, levels, plane, level, at + 1, second, side, variant)
    return first, second


@inner
def faded_rows(buffers, plane, level, first_map, first, last, scratch, negative, side, variant):
    """Rows of the maps of one feature at centre level 4 with one surround."""
    arena, levels, _, places, _ = buffers
    pitch = levels[MAP_LEVEL, PITCH]
    centre = levels[MAP_LEVEL, PLANES] + plane * levels[MAP_LEVEL, PLANE_STRIDE]
    fade = places[FADE_4]
    rows = scratch + PAD, scratch + PAD + pitch + 4 * PAD
    before = np.int64(NOWHERE)
    for y in range(first, last):
        at, t = surround_position(y, side, variant)
        rows = moved(arena, levels, plane, level, before, at, rows, side, variant)
        before = at
        contrast_row(
            arena,
            centre + y * pitch,
            rows,
            t,
            fade,
            arena[fade + places[MAP_PITCH] + y],
            first_map + y * places[MAP_PITCH],
            places[MAP_STRIDE],
            levels[MAP_LEVEL, WIDTH],
            negative,
            variant,
        )


@inner
def reduced_rows(
    buffers, plane, level, near_level, far_level, first_map, first, last, scratch, negative, variant
):
    """Rows of the maps of one feature at centre level 2 or 3, with both surrounds."""
    arena, levels, halvings, places, _ = buffers
    height, width, pitch = levels[level, HEIGHT], levels[level, WIDTH], levels[level, PITCH]
    centre = levels[level, PLANES] + plane * levels[level, PLANE_STRIDE]
    map_pitch, map_stride = places[MAP_PITCH], places[MAP_STRIDE]
    reach, maps = constant(variant, "reduction_reach"), constant(variant, "maps")
    room = 2 * pitch + 4 * PAD  # a near surround that stands in for a far one is twice as long
    near = scratch + PAD, scratch + PAD + room
    far = scratch + PAD + 2 * room, scratch + PAD + 3 * room
    near_before, far_before = np.int64(NOWHERE), np.int64(NOWHERE)

    pairs, half_pairs = (width + 1) // 2, (levels[level + 1, WIDTH] + 1) // 2
    state = scratch + PAD + 4 * room
    half_state = state + maps * 2 * reach * state_stride(pairs)
    half_rows = half_state + maps * 2 * reach * state_stride(half_pairs) + PAD  # two of each map
    half_room = state_stride(half_pairs) + 2 * PAD
    dummy = half_rows + maps * 2 * half_room + PAD
    clear(arena, state, dummy - state)

    # From level 2, two steps; from level 3, one.
    twice = level + 1 < MAP_LEVEL
    first_row = max(2 * (first - reach), 0) if twice else first
    last_row = last - 1
    if twice:
        last_row = min(2 * (last - 1 + reach) + 1, levels[level + 1, HEIGHT] - 1)
    half_pair = first_row // 2
    table, half_table = FADED * LEVELS + level, REDUCE * LEVELS + level + 1
    for pair in range(max(first_row - reach, 0), last_row + reach + 1):
        row = pair - reach
        even, odd = min(2 * pair, height - 1), min(2 * pair + 1, height - 1)
        at, near_even = surround_position(even, "near", variant)
        _, near_odd = surround_position(odd, "near", variant)
        near = moved(arena, levels, plane, near_level, near_before, at, near, "near", variant)
        near_before = at
        at, far_even = surround_position(even, "far", variant)
        _, far_odd = surround_position(odd, "far", variant)
        far = moved(arena, levels, plane, far_level, far_before, at, far, "far", variant)
        far_before = at
        output, output_stride = dummy, half_room
        if twice:
            output, output_stride = half_rows + (row & 1) * half_room, 2 * half_room
        elif row >= first:
            output, output_stride = first_map + row * map_pitch, map_stride
        where = step(halvings, table, pair, reach, state, pairs, output, output_stride)
        halve_contrast(
            arena,
            centre + even * pitch,
            centre + odd * pitch,
            near,
            (near_even, near_odd),
            far,
            (far_even, far_odd),
            negative,
            where,
            variant,
        )
        while (
            twice
            and row >= first_row
            and half_pair < last + reach
            and (row >= 2 * half_pair + 1 or row == last_row)
        ):
            done = half_pair - reach
            output, output_stride = dummy, half_room
            if done >= first:
                output, output_stride = first_map + done * map_pitch, map_stride
            where = step(
                halvings,
                half_table,
                half_pair,
                reach,
                half_state,
                half_pairs,
                output,
                output_stride,
            )
            halve_rows(
                arena, half_rows, half_rows + half_room, 2 * half_room, where, variant, "reduction"
            )
            half_pair += 1


@inlined
def centre_surround_rows(
    buffers, plane, level, far_exists, first_map, first, last, scratch, negative, variant
):
    """Rows `first` to `last` at level 4 of the maps of one feature at one centre level.

    The maps of the near surround, then of the far one, lie from `first_map` on. Where the far
    level does not exist the near one stands in, and its map is not used.
    """
    near_level, far_level = level + DELTAS[0], level + DELTAS[0] + far_exists
    if level < MAP_LEVEL:
        reduced_rows(
            buffers,
            plane,
            level,
            near_level,
            far_level,
            first_map,
            first,
            last,
            scratch,
            negative,
            variant,
        )
    else:
        faded_rows(
            buffers, plane, near_level, first_map, first, last, scratch, negative, "near", variant
        )
        if far_exists:
            first_map += constant(variant, "halves") * buffers[3][MAP_STRIDE]
            faded_rows(
                buffers,
                plane,
                far_level,
                first_map,
                first,
                last,
                scratch,
                negative,
                "far",
                variant,
            )
