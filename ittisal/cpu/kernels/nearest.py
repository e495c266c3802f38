"""|centre - surround| of one feature at one centre level, at the samples nearest to the map's."""

from __future__ import annotations

from .. import rows as r
from .. import simd
from ..simd import Record
from .task import Task, stream


def nearest_row(task: Task, row: Record) -> None:
    """Write the code for one row of the maps of both surrounds, faded at the border."""
    arena, context = task.arena, task.context
    samples = [
        (arena.at(task.plane + row[r.LEVELS + k]), simd.memory_at(row[r.SAMPLES + k], "i8"))
        for k in range(3)
    ]
    fade, row_fade = arena.at(context.map_fade), arena[row[r.NEAREST_FADE]]
    output = arena.at(task.output + row[r.NEAREST_RESULT])
    for x in simd.span(0, context.map_width, 1):
        centre, *surrounds = (level[number[x]] for level, number in samples)
        scale = fade[x] * row_fade
        for k, surround in enumerate(surrounds):
            value = simd.absolute(centre - surround) * scale
            output.store(context.map_stride * k + x, value)


nearest = stream(nearest_row)
