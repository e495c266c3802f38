"""|centre - surround| of one feature at one centre level, reduced to level 4 as it is made.

The surround is enlarged two rows at a time, the difference is taken in registers and handed to
the halving step, so no map is ever stored at its own size. The border's fade is part of the
first step's weights.
"""

from __future__ import annotations

import numpy as np

from ..config import MAP_LEVEL
from . import simd
from .jit import inlined, inner
from .layout import (
    COLUMN_STRIDE,
    COLUMN_TABLE,
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
    ROW_TABLE,
    WIDTH,
)
from .pyramid import clear, halve, halve_rows, reach_of, row_table_size, state_stride, unit
from .simd import LANES, Value, number

CENTRED, EVEN, REPLICATE = range(3)  # where the samples of a surround lie, and how it fills up


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
def enlarge_row(arena, source, last, output, delta, grid):
    """One row of a level, 2^delta times as long; `last` is its last sample.

    Between two samples the result is linear, or (REPLICATE) the left one. Beyond the outer
    samples, half a step out on a CENTRED grid, it is constant.
    """
    size = 1 << delta
    centred = grid == CENTRED
    steps = [0.0 if grid == REPLICATE else (k + 0.5 * centred) / size for k in range(size)]
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
def halve_contrast(
    arena,
    even,
    odd,
    near,
    near_next,
    far,
    far_next,
    near_even,
    near_odd,
    far_even,
    far_odd,
    rows,
    columns,
    column_stride,
    state,
    state_stride,
    output,
    output_stride,
    pairs,
    negative,
    sign,
    weights,
):
    """A pair of rows of the centre against both surrounds, one step down.

    A surround between its enlarged rows A and B (`near` and `near_next`) is A + t (B - A).
    """
    surrounds = [
        (arena.at(near), arena.at(near_next), near_even.splat(), near_odd.splat()),
        (arena.at(far), arena.at(far_next), far_even.splat(), far_odd.splat()),
    ]

    def source(x):
        for column in (x, x + LANES):
            maps = []
            centre = arena.load(even + column), arena.load(odd + column)
            for first, second, *t in surrounds:
                a = first.load(column)
                rise = second.load(column) - a
                rows = [contrast(centre[r], a + rise * t[r], sign, negative) for r in (0, 1)]
                maps += zip(*rows, strict=True)
            yield maps

    halve(
        source,
        arena.at(rows),
        arena.at(columns),
        column_stride,
        arena.at(state),
        state_stride,
        arena.at(output),
        output_stride,
        pairs,
        4 if sign == "split" else 2,
        weights,
        [unit(weights)] * (4 if sign == "split" else 2),
    )


@simd.function()
def contrast_row(
    arena,
    centre,
    surround,
    surround_next,
    t,
    columns,
    row_scale,
    output,
    output_stride,
    width,
    negative,
    sign,
):
    """One row at level 4: nothing to reduce, only the fade."""
    for x in simd.span(0, width, LANES):
        a = arena.load(surround + x)
        between = a + (arena.load(surround_next + x) - a) * t
        scale = arena.load(columns + x) * row_scale
        for half, kept in enumerate(contrast(arena.load(centre + x), between, sign, negative)):
            arena.store(output + output_stride * half + x, kept * scale)


@inlined
def surround_position(y, delta, grid):
    """The enlarged row at or before row `y` (-1: before the first), and how far on `y` lies."""
    size = 1 << delta
    if number(grid) == CENTRED:
        at = y + size // 2
        return at // size - 1, np.float32((at % size + 0.5) / size)
    t = (y % size) / size if number(grid) == EVEN else 0.0
    return y // size, np.float32(t)


@inner
def enlarged(arena, levels, plane, level, row, output, delta, grid):
    """Enlarge one row of a plane, held at its first and last."""
    row = min(max(row, 0), levels[level, HEIGHT] - 1)
    source = (
        levels[level, PLANES] + plane * levels[level, PLANE_STRIDE] + row * levels[level, PITCH]
    )
    enlarge_row(arena, source, levels[level, WIDTH] - 1, output, delta, grid)


@inner
def centre_surround_rows(
    arena,
    levels,
    halvings,
    places,
    plane,
    centre_level,
    near_level,
    far_level,
    first_map,
    first,
    last,
    scratch,
    negative,
    sign,
    map_count,
    weights,
    grid,
    near_delta,
    far_delta,
):
    """Rows `first` to `last` at level 4 of the maps of one feature at one centre level.

    The maps of the near surround, then of the far one, lie from `first_map` on. A surround level
    that does not exist is given as one that does, and its map is not used.
    """
    height, width, pitch = (
        levels[centre_level, HEIGHT],
        levels[centre_level, WIDTH],
        levels[centre_level, PITCH],
    )
    centre = levels[centre_level, PLANES] + plane * levels[centre_level, PLANE_STRIDE]
    map_pitch, map_stride = places[MAP_PITCH], places[MAP_STRIDE]
    room = pitch + 4 * PAD
    near, near_next, far, far_next = (
        scratch + PAD,
        scratch + PAD + room,
        scratch + PAD + 2 * room,
        scratch + PAD + 3 * room,
    )
    near_at, far_at = -2, -2
    reach = reach_of(weights)
    maps = number(map_count)

    if centre_level == MAP_LEVEL:
        fade = places[FADE_4]
        for y in range(first, last):
            for far_one in (False, True):
                if far_one:
                    at, t = surround_position(y, number(far_delta), grid)
                    enlarged(arena, levels, plane, far_level, at, near, far_delta, grid)
                    enlarged(arena, levels, plane, far_level, at + 1, near_next, far_delta, grid)
                else:
                    at, t = surround_position(y, number(near_delta), grid)
                    enlarged(arena, levels, plane, near_level, at, near, near_delta, grid)
                    enlarged(arena, levels, plane, near_level, at + 1, near_next, near_delta, grid)
                contrast_row(
                    arena,
                    centre + y * pitch,
                    near,
                    near_next,
                    t,
                    fade,
                    arena[fade + map_pitch + y],
                    first_map + far_one * (maps // 2) * map_stride + y * map_pitch,
                    map_stride,
                    width,
                    negative,
                    sign,
                )
        return

    pairs = (width + 1) // 2
    stride = state_stride(pairs)
    state = scratch + PAD + 4 * room
    half_height, half_width = levels[centre_level + 1, HEIGHT], levels[centre_level + 1, WIDTH]
    half_pairs = (half_width + 1) // 2
    half_stride = state_stride(half_pairs)
    half_state = state + maps * 2 * reach * stride
    half_rows = half_state + maps * 2 * reach * half_stride + PAD  # two of each map
    half_room = half_stride + 2 * PAD
    dummy = half_rows + maps * 2 * half_room + PAD
    clear(arena, state, dummy - state)

    twice = centre_level + 1 < MAP_LEVEL
    first_row = max(2 * (first - reach), 0) if twice else first
    last_row = min(2 * (last - 1 + reach) + 1, half_height - 1) if twice else last - 1
    half_pair = first_row // 2
    table = FADED * LEVELS + centre_level
    half_table = REDUCE * LEVELS + centre_level + 1
    for pair in range(max(first_row - reach, 0), last_row + reach + 1):
        row = pair - reach
        even, odd = min(2 * pair, height - 1), min(2 * pair + 1, height - 1)
        at, near_even = surround_position(even, number(near_delta), grid)
        _, near_odd = surround_position(odd, number(near_delta), grid)
        if at != near_at:
            near, near_next = near_next, near
            if at != near_at + 1 or near_at == -2:
                enlarged(arena, levels, plane, near_level, at, near, near_delta, grid)
            enlarged(arena, levels, plane, near_level, at + 1, near_next, near_delta, grid)
            near_at = at
        at, far_even = surround_position(even, number(far_delta), grid)
        _, far_odd = surround_position(odd, number(far_delta), grid)
        if at != far_at:
            far, far_next = far_next, far
            if at != far_at + 1 or far_at == -2:
                enlarged(arena, levels, plane, far_level, at, far, far_delta, grid)
            enlarged(arena, levels, plane, far_level, at + 1, far_next, far_delta, grid)
            far_at = at
        if twice:
            output, output_stride = half_rows + (row & 1) * half_room, 2 * half_room
        elif row >= first:
            output, output_stride = first_map + row * map_pitch, map_stride
        else:
            output, output_stride = dummy, half_room
        halve_contrast(
            arena,
            centre + even * pitch,
            centre + odd * pitch,
            near,
            near_next,
            far,
            far_next,
            near_even,
            near_odd,
            far_even,
            far_odd,
            halvings[table, ROW_TABLE] + pair * row_table_size(reach),
            halvings[table, COLUMN_TABLE],
            halvings[table, COLUMN_STRIDE],
            state,
            stride,
            output,
            output_stride,
            pairs,
            negative,
            sign,
            weights,
        )
        while (
            twice
            and row >= first_row
            and half_pair < last + reach
            and (row >= 2 * half_pair + 1 or row == last_row)
        ):
            done = half_pair - reach
            halve_rows(
                arena,
                half_rows,
                half_rows + half_room,
                2 * half_room,
                halvings[half_table, ROW_TABLE] + half_pair * row_table_size(reach),
                halvings[half_table, COLUMN_TABLE],
                halvings[half_table, COLUMN_STRIDE],
                half_state,
                half_stride,
                first_map + done * map_pitch if done >= first else dummy,
                map_stride if done >= first else half_room,
                half_pairs,
                map_count,
                weights,
            )
            half_pair += 1
