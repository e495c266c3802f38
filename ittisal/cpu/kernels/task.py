"""What streaming kernels share: their worker's scratch, their task's record, rows of planes."""

from __future__ import annotations

from .. import rows as r
from .. import simd
from ..simd import Context, Memory, Value


@simd.function(simd.types.int64)
def scratch_of(context, worker):
    """Offset in the arena of a worker's scratch."""
    return context.scratch + worker * context.scratch_size


@simd.function(simd.types.int64)
def task_record(context, task, facts):
    """Address of a task's record in the table that the fact `tasks` names."""
    tasks = getattr(context, facts.tasks)
    return Value(tasks.b, tasks.b.ptrtoint(tasks.at(task * r.TASK_COLUMNS).data, simd.I64))


def plane_row(context: Context, plane: int, offset: Value) -> Memory:
    """A row of a stored plane; zeros at -`offset` in the arena if that is negative."""
    start = context.planes + context.plane_stride * plane + offset
    return context.arena.at(simd.select(offset < 0, 0 - offset, start))
