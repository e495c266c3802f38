"""What kernels share: the task at hand, the walk over its rows, rows of planes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .. import rows as r
from .. import simd
from ..kernel import Facts
from ..simd import LANES, Context, Memory, Record, Value


class Task:
    """A task in the code being written: its record, its worker's scratch, context and facts."""

    def __init__(self, task: Value, worker: Value, context: Context, facts: Facts) -> None:
        self.context, self.facts, self.arena, self.worker = context, facts, context.arena, worker
        self.scratch = context.scratch + worker * context.scratch_size
        address = Value(task.b, task.b.ptrtoint(getattr(context, facts.tasks).data, simd.I64))
        self.record = Record(address + task * (8 * r.TASK_COLUMNS))
        self.plane, self.output = self.record[r.PLANE], self.record[r.OUTPUT_BASE]
        self.extra = self.record[r.EXTRA]


Operation = Callable[[Task, Record], None]


def stream(operations: dict[int, Operation] | Operation) -> Callable[..., None]:
    """A kernel that walks its task's rows; each says by its first column which operation it is."""

    def write(task: Value, worker: Value, context: Context, facts: Any) -> None:
        work = Task(task, worker, context, facts)
        for address in simd.span(work.record[r.FIRST_ROW], work.record[r.END_ROW], r.ROW_BYTES):
            row = Record(address)
            if callable(operations):
                operations(work, row)
                continue
            for number, operation in operations.items():
                with simd.when(simd.equal(row[r.OPERATION], number)):
                    operation(work, row)

    return write


BLOCK = 4  # vectors at a time


def blocks(size: Value) -> Iterator[tuple[Value, list[int]]]:
    """Loop over so many samples, rounded up to whole vectors: position, and the offsets of as many
    vectors as are worked on at once, so that none waits for the one before.
    """
    done = simd.Carry(simd.number(size, 0))
    for x in simd.span(0, size - (BLOCK - 1) * LANES, BLOCK * LANES):
        yield x, [k * LANES for k in range(BLOCK)]
        done.set(x + BLOCK * LANES)
    for x in simd.span(done.get(), size, LANES):
        yield x, [0]


def plane_row(context: Context, plane: int, offset: Value) -> Memory:
    """A row of a stored plane; zeros at -`offset` in the arena if that is negative."""
    start = context.planes + context.plane_stride * plane + offset
    return context.arena.at(simd.select(offset < 0, 0 - offset, start))
