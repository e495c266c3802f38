"""Reichardt's detectors (IDP03): two frames' intensity levels to one response per direction.

Each direction compares a sample with its neighbour on the side that things come from. The zeros
around every row are what enters there.
"""

from __future__ import annotations

from ...features import DIRECTIONS
from .. import rows as r
from .. import simd
from ..simd import F32, LANES, Record, column
from .task import plane_row, task_record


@simd.function()
def motion_row(context, row, facts):
    """One row of all four responses."""
    row = Record(row)
    here, above, below = range(r.HERE, r.BELOW_HERE + 1)
    now, before = (
        [plane_row(context, plane, row[column]) for column in (here, above, below)]
        for plane in (facts.source, facts.previous)
    )
    outputs = [plane_row(context, facts.output + k, row[here]) for k in range(len(DIRECTIONS))]
    threshold = context.motion_threshold.to(F32)
    for x in simd.span(0, row[r.WIDTH], LANES):
        middle_now, middle_before = now[0].load(x), before[0].load(x)
        sides = [  # of motion to the right, up, to the left, down: what lies behind, then and now
            (before[0].load(x - 1), now[0].load(x - 1)),
            (before[2].load(x), now[2].load(x)),
            (before[0].load(x + 1), now[0].load(x + 1)),
            (before[1].load(x), now[1].load(x)),
        ]
        for output, (side_before, side_now) in zip(outputs, sides, strict=True):
            response = middle_now * side_before - middle_before * side_now
            output.store(x, simd.select(response >= threshold, response, 0.0))


def motion(task, worker, context, facts):
    """A band of rows of the four responses of one level."""
    record = task_record(context, task, facts)
    row, last = column(record, r.FIRST_ROW), column(record, r.END_ROW)
    while row < last:
        motion_row(context, row, facts)
        row += r.ROW_BYTES
