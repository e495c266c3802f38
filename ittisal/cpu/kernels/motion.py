"""Reichardt's detectors (IDP03): two frames' intensity levels to one response per direction.

Each direction compares a sample with its neighbour on the side that things come from. The zeros
around every row are what enters there.
"""

from __future__ import annotations

from .. import rows as r
from .. import simd
from ..simd import F32, LANES, Record, column
from .task import task_record


@simd.function()
def motion_row(context, row):
    """One row of all four responses."""
    arena, row = context.arena, Record(row)
    here_now, above_now, below_now = (arena.at(row[r.NOW + k]) for k in range(3))
    here_before, above_before, below_before = (arena.at(row[r.BEFORE + k]) for k in range(3))
    threshold, plane_stride = context.motion_threshold.to(F32), context.plane_stride
    for x in simd.span(0, row[r.MOTION_WIDTH], LANES):
        middle_now, middle_before = here_now.load(x), here_before.load(x)
        sides = [  # of motion to the right, up, to the left, down: what lies behind, then and now
            (here_before.load(x - 1), here_now.load(x - 1)),
            (below_before.load(x), below_now.load(x)),
            (here_before.load(x + 1), here_now.load(x + 1)),
            (above_before.load(x), above_now.load(x)),
        ]
        for direction, (side_before, side_now) in enumerate(sides):
            response = middle_now * side_before - middle_before * side_now
            response = simd.select(response >= threshold, response, 0.0)
            arena.store(row[r.MOTION_OUTPUT] + plane_stride * direction + x, response)


def motion(task, worker, context, facts):
    """A band of rows of the four responses of one level."""
    record = task_record(context, task, facts)
    row, last = column(record, r.FIRST_ROW), column(record, r.END_ROW)
    while row < last:
        motion_row(context, row)
        row += r.ROW_BYTES
