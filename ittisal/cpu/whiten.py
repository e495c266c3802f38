"""Statistics of a frame's maps, and the maps that they leave uncorrelated.

One float64 array, of SHAPE, holds all of them: what they are (`MEASURED`, ...), then the group of
maps that are whitened together, then a row per map.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from ..config import CENTRE_LEVELS, MAP_LEVEL, ORIENTATIONS
from . import simd
from .centre_surround import NOWHERE, moved, surround_position
from .jit import inner
from .layout import (
    COARSE_PLANE,
    HEIGHT,
    LEVELS,
    MAP_PITCH,
    MAP_STRIDE,
    ORIENT_COLUMNS,
    ORIENT_ROWS,
    PAD,
    PITCH,
    PLANE_STRIDE,
    PLANES,
    REDUCE,
    SCALES,
    WHITENED_FADE,
    WIDTH,
    ZEROS,
)
from .normalise import DARK, FLAT
from .orientation import PARTIALS, REACH, band_row, energy_row
from .pyramid import arena_rows, clear, halve, state_stride, step, unit
from .simd import LANES, Value, constant

RIDGE = 1e-2  # of the mean variance, as in the reference
MEASURED, USUAL, TRIANGLES = range(3)  # of this frame, of the frames before, and what whitens
PLANE_GROUP = 0  # the planes; behind it the energies' groups, by plane and orientation
COUNT = len(ORIENTATIONS)
GROUPS = 1 + 3 * COUNT
MAPS_WHITENED = 4  # in a group, at most: the scales of an energy
COARSEST = CENTRE_LEVELS[0] + MAPS_WHITENED - 1  # their last level
OFFSET = MAPS_WHITENED  # column of a triangle, behind its inverse
SHAPE = (3, GROUPS, MAPS_WHITENED, 1 + MAPS_WHITENED)


# --- statistics --------------------------------------------------------------------------------


def size_of(group: str, variant) -> int:
    """How many maps are whitened together."""
    return 1 + 2 * variant.colour if group == "planes" else MAPS_WHITENED


def doubles(a: Value) -> list[Value]:
    """The same numbers in float64: both halves of the vector."""
    half = a.lanes // 2
    wide = ir.VectorType(ir.DoubleType(), half)
    parts = (simd.shuffle(a, a, range(start, start + half)) for start in (0, half))
    return [Value(a.b, a.b.fpext(part.v, wide)) for part in parts]


@simd.function()
def add_sums(arena, row, stride, width, measured, variant, group):
    """Add those of a row of some maps, `stride` apart, to the first column of `measured`."""
    for k in range(size_of(group, variant)):
        here = arena.at(row + stride * k)
        total = simd.Carry(doubles(here.load(0) * 0.0)[0])
        for x in simd.span(0, width, LANES):
            first, second = doubles(simd.select(simd.ramp(x) < width, here.load(x), 0.0))
            total.set(total.get() + (first + second))
        at = k * (1 + MAPS_WHITENED)
        measured.store(at, measured[at] + simd.total(total.get()))


@simd.function()
def add_products(arena, row, stride, width, measured, variant, group):
    """Add those of a row of maps, less their means, to the other columns."""
    count, columns = size_of(group, variant), 1 + MAPS_WHITENED
    pairs = [(k, j) for k in range(count) for j in range(k + 1)]
    means = [measured[k * columns].splat(LANES // 2) for k in range(count)]
    rows = [arena.at(row + stride * k) for k in range(count)]
    zero = doubles(rows[0].load(0) * 0.0)[0]
    totals = {pair: simd.Carry(zero) for pair in pairs}
    for x in simd.span(0, width, LANES):
        inside = doubles(simd.select(simd.ramp(x) < width, rows[0].load(x) * 0.0 + 1.0, 0.0))
        samples = [doubles(here.load(x)) for here in rows]
        for half, mask in enumerate(inside):
            away = [(both[half] - mean) * mask for both, mean in zip(samples, means, strict=True)]
            for k, j in pairs:
                totals[k, j].set(totals[k, j].get() + away[k] * away[j])
    for k, j in pairs:
        at = k * columns + 1 + j
        both = measured[at] + simd.total(totals[k, j].get())
        measured.store(at, both)
        measured.store(j * columns + 1 + k, both)


@inner
def statistics(buffers, first, stride, pitch, measured, variant, group):
    """Means and covariances over maps of level 4's size (`reference.statistics`): each map's in a
    row of `measured`, its mean first.
    """
    arena, levels, _, _, _ = buffers
    height, width = levels[MAP_LEVEL, HEIGHT], levels[MAP_LEVEL, WIDTH]
    for k in range(MAPS_WHITENED):  # entry by entry: whole arrays take seconds to compile
        for j in range(1 + MAPS_WHITENED):
            measured[k, j] = 0.0
    for y in range(height):
        add_sums(arena, first + y * pitch, stride, width, measured, variant, group)
    for k in range(MAPS_WHITENED):
        measured[k, 0] /= height * width
    for y in range(height):
        add_products(arena, first + y * pitch, stride, width, measured, variant, group)
    for k in range(MAPS_WHITENED):
        for j in range(MAPS_WHITENED):
            measured[k, 1 + j] /= height * width


@inner
def plane_statistics(buffers, whitening, variant):
    """Those of the planes at level 4."""
    _, levels, _, _, _ = buffers
    statistics(
        buffers,
        levels[MAP_LEVEL, PLANES],
        levels[MAP_LEVEL, PLANE_STRIDE],
        levels[MAP_LEVEL, PITCH],
        whitening[MEASURED, PLANE_GROUP],
        variant,
        "planes",
    )


@inner
def plane_triangle(whitening, brightest, averaged, variant):
    """What whitens the planes: by this frame's statistics, or those of the frames before."""
    count = 1 + 2 * constant(variant, "colour")
    which = usual(whitening, PLANE_GROUP, count, brightest, averaged)
    triangle(whitening[which, PLANE_GROUP], count, brightest, whitening[TRIANGLES, PLANE_GROUP])


# --- whitening ---------------------------------------------------------------------------------


@inner
def varies(statistics, count, signal):
    """Whether any of some maps varies: see `triangle` for the signal."""
    for k in range(count):
        if np.sqrt(statistics[k, 1 + k]) > FLAT * max(signal if k == 0 else 1.0, DARK):
            return True
    return False


@inner
def usual(whitening, group, count, signal, averaged):
    """Which statistics whiten: of the frames before, or, if nothing varied in them, this one's."""
    if averaged != 0 and varies(whitening[USUAL, group], count, signal):
        return USUAL
    return MEASURED


@inner
def triangle(statistics, count, signal, inverse):
    """What whitens maps of such statistics: z[k] is the sum of inverse[k, j] x[j], j up to k, and
    of inverse[k, OFFSET] (`reference.whiten`).

    `signal` is the size of what could be in the first map, for the flat test; of the others, 1.
    """
    ridge = 0.0
    for k in range(count):
        ridge += statistics[k, 1 + k]
    ridge = RIDGE * ridge / count + DARK**2
    for k in range(count):
        for j in range(k + 1):
            rest = statistics[k, 1 + j]
            if j == k:
                rest += ridge
            for i in range(j):
                rest -= inverse[k, i] * inverse[j, i]
            inverse[k, j] = np.sqrt(rest) if j == k else rest / inverse[j, j]
    for k in range(count):  # from here on the rows before are those of the inverse
        for j in range(k):
            rest = 0.0
            for i in range(j, k):
                rest -= inverse[k, i] * inverse[i, j]
            inverse[k, j] = rest / inverse[k, k]
        inverse[k, k] = 1 / inverse[k, k]
    for k in range(count):
        inverse[k, OFFSET] = 0.0
        for j in range(k + 1):
            inverse[k, OFFSET] -= inverse[k, j] * statistics[j, 0]
        if np.sqrt(statistics[k, 1 + k]) <= FLAT * max(signal if k == 0 else 1.0, DARK):
            for j in range(1 + MAPS_WHITENED):
                inverse[k, j] = 0.0


def singles(inverse, count: int) -> tuple[list[Value], Value]:
    """A row of a triangle as vectors of float32: what scales each map, and the offset."""
    numbers = [inverse[k] for k in (*range(count), OFFSET)]
    *scales, offset = (Value(n.b, n.b.fptrunc(n.v, simd.F32)).splat() for n in numbers)
    return scales, offset


@simd.function()
def whiten_row(arena, row, stride, inverse, output, width, variant):
    """One row of one decorrelated plane, with zeros behind it. `inverse` is the plane's row."""
    scales, offset = singles(inverse, size_of("planes", variant))
    for x in simd.span(0, width, LANES):
        z = offset
        for k, scale in enumerate(scales):
            z = z + arena.load(row + stride * k + x) * scale
        arena.store(output + x, simd.select(simd.ramp(x) < width, z, 0.0))


# --- energies ----------------------------------------------------------------------------------


@simd.function()
def halve_energies(arena, even, odd, stride, step, variant):
    """A pair of rows of all energies, on their way to level 4."""
    source = arena_rows(arena, even, odd, stride, tuple(range(COUNT)))
    halve(source, arena, step, variant.reduction, [unit(variant.reduction)] * COUNT)


@inner
def energy_pair(arena, even, odd, stride, where, variant):
    """`halve_energies`, compiled once for its two uses."""
    halve_energies(arena, even, odd, stride, where, variant)


@inner
def scale_rows(buffers, whitening, level, plane, first, last, scratch, offsets, variant):
    """Rows `first` to `last` at level 4 of the energies of one decorrelated plane at a level up to
    that; of a coarser level, at that level. `offsets` holds nine integers.

    The plane, its energies and what lies between levels pass through a few rows of scratch.
    """
    arena, levels, halvings, places, _ = buffers
    height, width, pitch = levels[level, HEIGHT], levels[level, WIDTH], levels[level, PITCH]
    target, target_pitch = places[SCALES], places[MAP_PITCH]
    target_stride = MAPS_WHITENED * places[MAP_STRIDE]
    target += plane * COUNT * target_stride + (level - CENTRE_LEVELS[0]) * places[MAP_STRIDE]
    if level > MAP_LEVEL:
        target_stride, target_pitch = levels[level, PLANE_STRIDE], pitch
        target = levels[level, PLANES] + (places[COARSE_PLANE] + plane * COUNT) * target_stride
    reach = constant(variant, "reduction_reach")
    rows, columns = levels[level, ORIENT_ROWS], levels[level, ORIENT_COLUMNS]
    zeros = places[ZEROS] + PAD

    decorrelated = scratch + PAD  # nine rows
    taps = 2 * REACH + 1
    low = decorrelated + taps * pitch
    band = low + pitch
    ring = band + pitch  # nine rows of five partial results
    slot = PARTIALS * pitch
    energies = ring + taps * slot  # a pair of rows of each
    pairs, half_pairs = (width + 1) // 2, (levels[level + 1, WIDTH] + 1) // 2
    state = energies + 2 * COUNT * pitch
    half_state = state + COUNT * 2 * reach * state_stride(pairs)
    half_rows = half_state + COUNT * 2 * reach * state_stride(half_pairs) + PAD
    half_room = state_stride(half_pairs) + 2 * PAD
    dummy = half_rows + COUNT * 2 * half_room + PAD
    clear(arena, scratch, dummy - scratch)

    reduces, twice = level < MAP_LEVEL, level + 1 < MAP_LEVEL
    first_row, last_row = first, last - 1  # of the next level, if that is finer than level 4
    if twice:
        first_row = max(2 * (first - reach), 0)
        last_row = min(2 * (last - 1 + reach) + 1, levels[level + 1, HEIGHT] - 1)
    half_pair = first_row // 2
    start, stop = first, last  # of the energies
    if reduces:
        start, stop = 2 * max(first_row - reach, 0), 2 * (last_row + reach + 1)
    for ahead in range(start - 2 * REACH, stop + 2 * REACH):
        if 0 <= ahead < height:
            whiten_row(
                arena,
                levels[level, PLANES] + ahead * pitch,
                levels[level, PLANE_STRIDE],
                whitening[TRIANGLES, PLANE_GROUP, plane],
                decorrelated + ahead % taps * pitch,
                width,
                variant,
            )
        y = ahead - REACH
        if 0 <= y < height and start - REACH <= y:
            for k in range(taps):
                row = y - REACH + k
                inside = 0 <= row < height
                offsets[k] = decorrelated + row % taps * pitch if inside else zeros
            band_row(
                arena,
                offsets,
                decorrelated + y % taps * pitch,
                columns,
                arena[rows + 2 * y],
                low,
                band,
                ring + y % taps * slot,
                width,
                variant,
            )
        y = ahead - 2 * REACH
        if start <= y < height:
            for k in range(taps):
                row = y - REACH + k
                offsets[k] = ring + row % taps * slot if 0 <= row < height else zeros
            output, output_stride = target + y * target_pitch, target_stride
            if reduces:
                output, output_stride = energies + (y & 1) * COUNT * pitch, pitch
            energy_row(
                arena,
                offsets,
                columns + pitch,
                arena[rows + 2 * y + 1],
                output,
                output_stride,
                width,
                variant,
            )
        if not reduces or y < start or y & 1 == 0:
            continue
        pair = y // 2
        row = pair - reach  # of the next level, complete after this pair
        output, output_stride = dummy, half_room
        if twice:
            output, output_stride = half_rows + (row & 1) * half_room, 2 * half_room
        elif row >= first:
            output, output_stride = target + row * target_pitch, target_stride
        table = REDUCE * LEVELS + level
        where = step(halvings, table, pair, reach, state, pairs, output, output_stride)
        energy_pair(arena, energies, energies + COUNT * pitch, pitch, where, variant)
        while (
            twice
            and row >= first_row
            and half_pair < last + reach
            and (row >= 2 * half_pair + 1 or row == last_row)
        ):
            done = half_pair - reach
            output, output_stride = dummy, half_room
            if done >= first:
                output, output_stride = target + done * target_pitch, target_stride
            table = REDUCE * LEVELS + level + 1
            where = step(
                halvings, table, half_pair, reach, half_state, half_pairs, output, output_stride
            )
            energy_pair(arena, half_rows, half_rows + half_room, 2 * half_room, where, variant)
            half_pair += 1


@simd.function()
def between_row(arena, rows, t, output, width):
    """What lies between two rows, so far on from the first."""
    first, second = (arena.at(row) for row in rows)
    for x in simd.span(0, width, LANES):
        a = first.load(x)
        arena.store(output + x, a + (second.load(x) - a) * t)


@inner
def enlarge_energies(buffers, plane, scratch, variant):
    """The energies of one decorrelated plane from the level behind level 4."""
    arena, levels, _, places, _ = buffers
    pitch = places[MAP_PITCH]
    for k in range(COUNT):
        index = plane * COUNT + k
        target = places[SCALES] + (index * MAPS_WHITENED + MAPS_WHITENED - 1) * places[MAP_STRIDE]
        rows = scratch + PAD, scratch + PAD + pitch + 4 * PAD
        before = np.int64(NOWHERE)
        for y in range(levels[MAP_LEVEL, HEIGHT]):
            at, t = surround_position(y, "next", variant)
            number = places[COARSE_PLANE] + index
            rows = moved(arena, levels, number, COARSEST, before, at, rows, "next", variant)
            before = at
            between_row(arena, rows, t, target + y * pitch, levels[MAP_LEVEL, WIDTH])


# --- unlikeness --------------------------------------------------------------------------------


@simd.function()
def unlike_row(arena, row, stride, inverse, output, width):
    """The squared length of what whitening leaves of a row of the scales of an energy."""
    columns = 1 + MAPS_WHITENED
    triangle = [singles(inverse.at(k * columns), k + 1) for k in range(MAPS_WHITENED)]
    for x in simd.span(0, width, LANES):
        samples = [arena.load(row + stride * k + x) for k in range(MAPS_WHITENED)]
        squares = []
        for scales, z in triangle:
            for scale, sample in zip(scales, samples, strict=False):
                z = z + sample * scale
            squares.append(z * z)
        total = sum(squares[1:], squares[0])
        arena.store(output + x, simd.select(simd.ramp(x) < width, total, 0.0))


@inner
def unlikeness(buffers, whitening, index, brightest, averaged, variant):
    """How unlike the frame's average each place is in one energy of one plane, at level 4; not at
    all where the frame does not vary.
    """
    arena, levels, _, places, _ = buffers
    stride, pitch = places[MAP_STRIDE], places[MAP_PITCH]
    scales = places[SCALES] + index * MAPS_WHITENED * stride
    group = 1 + index
    measured = whitening[MEASURED, group]
    statistics(buffers, scales, stride, pitch, measured, variant, "scales")
    inverse = whitening[TRIANGLES, group]
    which = usual(whitening, group, np.int64(MAPS_WHITENED), 1.0, averaged)
    triangle(whitening[which, group], np.int64(MAPS_WHITENED), 1.0, inverse)
    planes = 1 + 2 * constant(variant, "colour")
    if not varies(whitening[MEASURED, PLANE_GROUP], planes, brightest):
        for k in range(MAPS_WHITENED):
            for j in range(1 + MAPS_WHITENED):
                inverse[k, j] = 0.0
    output = places[SCALES] + (3 * COUNT * MAPS_WHITENED + index) * stride
    for y in range(levels[MAP_LEVEL, HEIGHT]):
        row = y * pitch
        unlike_row(arena, scales + row, stride, inverse, output + row, levels[MAP_LEVEL, WIDTH])


@simd.function()
def sum_row(arena, row, stride, columns, row_scale, output, width, variant):
    """A row of the sum over the energies of all planes, faded towards the border."""
    for x in simd.span(0, width, LANES):
        maps = [arena.load(row + stride * k + x) for k in range(size_of("planes", variant) * COUNT)]
        total = sum(maps[1:], maps[0])
        arena.store(output + x, total * (arena.load(columns + x) * row_scale))


@inner
def sum_unlikeness(buffers, output, variant):
    """The conspicuity map, before it is normalised."""
    arena, levels, _, places, _ = buffers
    stride, pitch = places[MAP_STRIDE], places[MAP_PITCH]
    first, fade = places[SCALES] + 3 * COUNT * MAPS_WHITENED * stride, places[WHITENED_FADE]
    for y in range(levels[MAP_LEVEL, HEIGHT]):
        sum_row(
            arena,
            first + y * pitch,
            stride,
            fade,
            arena[fade + pitch + y],
            output + y * pitch,
            levels[MAP_LEVEL, WIDTH],
            variant,
        )
