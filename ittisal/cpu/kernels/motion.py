"""Reichardt's detectors (IDP03): two frames' intensity levels to one response per direction.

Each direction compares a sample with its neighbour on the side that things come from. The zeros
around every row are what enters there.
"""

from __future__ import annotations

from ...features import DIRECTIONS
from .. import rows as r
from .. import simd
from ..simd import F32, LANES, Record
from .task import Task, plane_row, stream


def motion_row(task: Task, row: Record) -> None:
    """One row of all four responses."""
    context, facts = task.context, task.facts
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


motion = stream(motion_row)
