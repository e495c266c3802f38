"""Reichardt's detectors (IDP03): two frames' intensity levels to one response per direction.

Each direction compares a sample with its neighbour on the side that things come from. The zeros
around every row are what enters there.
"""

from __future__ import annotations

from ..plan import MOVING
from . import simd
from .jit import inner
from .layout import BEFORE_PLANE, HEIGHT, PAD, PITCH, PLANE_STRIDE, PLANES, WIDTH, ZEROS
from .simd import LANES


@simd.function()
def motion_row(arena, now, before, output, plane_stride, width, threshold):
    """One row of all four responses. `now` and `before` are where it and the rows above and below
    it start, of this frame and of the last.
    """
    here_now, above_now, below_now = (arena.at(row) for row in now)
    here_before, above_before, below_before = (arena.at(row) for row in before)
    for x in simd.span(0, width, LANES):
        middle_now, middle_before = here_now.load(x), here_before.load(x)
        sides = [  # to the right, up, to the left, down: what lies behind, then and now
            (here_before.load(x - 1), here_now.load(x - 1)),
            (below_before.load(x), below_now.load(x)),
            (here_before.load(x + 1), here_now.load(x + 1)),
            (above_before.load(x), above_now.load(x)),
        ]
        for direction, (side_before, side_now) in enumerate(sides):
            response = middle_now * side_before - middle_before * side_now
            response = simd.select(response >= threshold, response, 0.0)
            arena.store(output + plane_stride * direction + x, response)


@inner
def motion_rows(buffers, level, first, last, threshold):
    """Rows `first` to `last` of the four responses of one level."""
    arena, levels, _, places, settings = buffers
    height, pitch = levels[level, HEIGHT], levels[level, PITCH]
    stride, planes = levels[level, PLANE_STRIDE], levels[level, PLANES]
    zeros = places[ZEROS] + PAD
    past = planes + settings[BEFORE_PLANE] * stride
    for y in range(first, last):
        row = y * pitch
        above_now, above_before = planes + row - pitch, past + row - pitch
        below_now, below_before = planes + row + pitch, past + row + pitch
        if y == 0:
            above_now, above_before = zeros, zeros
        if y == height - 1:
            below_now, below_before = zeros, zeros
        motion_row(
            arena,
            (planes + row, above_now, below_now),
            (past + row, above_before, below_before),
            planes + MOVING * stride + row,
            stride,
            levels[level, WIDTH],
            threshold,
        )
