"""What every streaming kernel begins with: its worker's scratch and its task's record."""

from __future__ import annotations

from .. import rows as r
from .. import simd
from ..simd import Value


@simd.function(simd.types.int64)
def scratch_of(context, worker):
    """Offset in the arena of a worker's scratch."""
    return context.scratch + worker * context.scratch_size


@simd.function(simd.types.int64)
def task_record(context, task, facts):
    """Address of a task's record in the table that the fact `tasks` names."""
    tasks = getattr(context, facts.tasks)
    return Value(tasks.b, tasks.b.ptrtoint(tasks.at(task * r.TASK_COLUMNS).data, simd.I64))
