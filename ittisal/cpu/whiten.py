"""Statistics of a frame's maps, and the maps that they leave uncorrelated.

One float64 array holds all of them, by what they are (`MEASURED`, ...), by the group of maps that
are whitened together, and by map.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from ..config import MAP_LEVEL, ORIENTATIONS
from . import simd
from .jit import inlined, inner
from .layout import HEIGHT, PITCH, PLANE_STRIDE, PLANES, WIDTH
from .normalise import DARK, FLAT
from .simd import LANES, Value, constant

RIDGE = 1e-2  # of the mean variance, as in the reference
MEASURED, USUAL, TRIANGLES = range(3)  # this frame's, those of the frames before, and what whitens
PLANE_GROUP = 0  # of the planes; after it, those of the energies, by plane and orientation
GROUPS = 1 + 3 * len(ORIENTATIONS)
SIZE = 4  # maps in a group, at most
OFFSET = SIZE  # column of `TRIANGLES`, behind the inverse triangle's
SHAPE = (3, GROUPS, SIZE, 1 + SIZE)


# --- statistics --------------------------------------------------------------------------------


def doubles(a: Value) -> list[Value]:
    """The same numbers in float64, half a vector each."""
    half = a.lanes // 2
    wide = ir.VectorType(ir.DoubleType(), half)
    parts = (simd.shuffle(a, a, range(start, start + half)) for start in (0, half))
    return [Value(a.b, a.b.fpext(part.v, wide)) for part in parts]


@simd.function()
def add_sums(arena, rows, width, sums):
    """Add to `sums` those of a row of so many maps."""
    for k, row in enumerate(rows):
        total = simd.Carry(doubles(arena.load(row) * 0.0)[0])
        for x in simd.span(0, width, LANES):
            here = simd.select(simd.ramp(x) < width, arena.load(row + x), 0.0)
            first, second = doubles(here)
            total.set(total.get() + (first + second))
        sums.store(k, sums[k] + simd.total(total.get()))


@simd.function()
def add_products(arena, rows, means, width, sums):
    """Add to `sums`, a matrix of SIZE columns, the products of a row of maps less their means."""
    count = len(rows)
    centres = [means[k].splat(LANES // 2) for k in range(count)]
    pairs = [(k, j) for k in range(count) for j in range(k + 1)]
    zero = doubles(arena.load(rows[0]) * 0.0)[0]
    totals = {pair: simd.Carry(zero) for pair in pairs}
    for x in simd.span(0, width, LANES):
        inside = simd.select(simd.ramp(x) < width, (arena.load(rows[0]) * 0.0) + 1.0, 0.0)
        halves = zip(*(doubles(arena.load(row + x)) for row in rows), strict=True)
        for half, mask in zip(halves, doubles(inside), strict=True):
            away = [(value - centre) * mask for value, centre in zip(half, centres, strict=True)]
            for k, j in pairs:
                totals[k, j].set(totals[k, j].get() + away[k] * away[j])
    for k, j in pairs:
        sums.store(k * SIZE + j, sums[k * SIZE + j] + simd.total(totals[k, j].get()))
