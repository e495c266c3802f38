"""The coarser levels of the planes, from the finest stored one on."""

from __future__ import annotations

from .. import rows as r
from ..simd import column
from .downsample import clear, downsample_rows
from .task import scratch_of, task_record


def pyramid(task, worker, context, facts):
    """All coarser levels, one after the other, since each needs the one before."""
    scratch = scratch_of(context, worker)
    record = task_record(context, task, facts)
    row, last = column(record, r.FIRST_ROW), column(record, r.END_ROW)
    while row < last:
        if column(row, r.OPERATION) == r.CLEAR:
            clear(context, row, scratch)
        else:
            downsample_rows(context, row, scratch, 0, 0, facts)
        row += r.ROW_BYTES
