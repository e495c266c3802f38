"""Statistics of a frame's maps, and the maps that they leave uncorrelated.

One float64 array, of SHAPE, holds all of them: what they are (`MEASURED`, ...), then the group of
maps that are whitened together, then a row per map.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from ..config import MAP_LEVEL, ORIENTATIONS
from . import simd
from .jit import inner
from .layout import HEIGHT, PITCH, PLANE_STRIDE, PLANES, WIDTH
from .normalise import DARK, FLAT
from .simd import LANES, Value, constant

RIDGE = 1e-2  # of the mean variance, as in the reference
MEASURED, USUAL, TRIANGLES = range(3)  # of this frame, of the frames before, and what whitens
PLANE_GROUP = 0  # the planes; behind it the energies' groups, by plane and orientation
GROUPS = 1 + 3 * len(ORIENTATIONS)
MAPS_WHITENED = 4  # in a group, at most
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
    """Add those of a row of maps, less their means, to the other columns, one triangle of them."""
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
        measured.store(at, measured[at] + simd.total(totals[k, j].get()))


@inner
def statistics(buffers, first, stride, pitch, measured, variant, group):
    """Means and covariances over maps of level 4's size (`reference.statistics`): each map's in a
    row of `measured`, its mean first; of the covariances those with the maps before it.
    """
    arena, levels, _, _, _ = buffers
    height, width = levels[MAP_LEVEL, HEIGHT], levels[MAP_LEVEL, WIDTH]
    measured[:] = 0.0
    for y in range(height):
        add_sums(arena, first + y * pitch, stride, width, measured, variant, group)
    measured[:, 0] /= height * width
    for y in range(height):
        add_products(arena, first + y * pitch, stride, width, measured, variant, group)
    measured[:, 1:] /= height * width


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
    triangle(
        whitening[USUAL if averaged != 0 else MEASURED, PLANE_GROUP],
        1 + 2 * constant(variant, "colour"),
        brightest,
        whitening[TRIANGLES, PLANE_GROUP],
    )


# --- whitening ---------------------------------------------------------------------------------


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
            inverse[k] = 0.0


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


@inner
def whiten_rows(buffers, whitening, level, plane, first, last, target, variant):
    """Rows `first` to `last` of one decorrelated plane at a level, which start at `target`, as far
    apart as the level's own.
    """
    arena, levels, _, _, _ = buffers
    pitch = levels[level, PITCH]
    for y in range(first, last):
        whiten_row(
            arena,
            levels[level, PLANES] + y * pitch,
            levels[level, PLANE_STRIDE],
            whitening[TRIANGLES, PLANE_GROUP, plane],
            target + (y - first) * pitch,
            levels[level, WIDTH],
            variant,
        )
