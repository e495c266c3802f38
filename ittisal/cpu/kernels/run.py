"""The frame loop: workers draw the tasks of a list of launches. It knows no stage.

Tickets are drawn from one counter; a launch owns a range of them. A task of a launch waits until
all tasks before the launch's barrier are done. A worker that comes late finds fewer tickets, and
the frame does not wait for one that does not come: the frame has a number, and worker 0 closes it
when its last task is done. Waiting spins briefly, then yields the processor.

These are scalar kernels, whose arguments are whole numbers: Numba compiles them.
"""

from __future__ import annotations

import sys

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .. import rows as r
from ..context import INDEX

LAUNCH_BYTES = 8 * r.LAUNCH_COLUMNS
BAD_VALUES = INDEX["bad_values"]
# Counters, each on a cache line of its own.
LINE = 64
FRAME, LEFT, DRAWN, DONE = 0, LINE, 2 * LINE, 3 * LINE
FRAME_SHIFT = 32  # FRAME holds the frame's number above, and how many workers entered below
SPINS = 2000  # about 20 microseconds
NUMBER = ir.IntType(64)


def _pointer(builder, address):
    return builder.inttoptr(address, NUMBER.as_pointer())


@intrinsic
def column(typing, record, index):
    """A column of the record at an address, or a field of the context."""

    def generate(_context, builder, _signature, args):
        return builder.load(builder.gep(_pointer(builder, args[0]), [args[1]]))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def call_kernel(typing, address, task, worker, record):
    """Run one task of the kernel at an address."""

    def generate(context, builder, _signature, args):
        kind = ir.FunctionType(ir.VoidType(), [NUMBER] * 3)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def atomic_add(typing, address, value):
    """Add, and return the value before."""
    return types.int64(types.int64, types.int64), lambda _c, b, _s, args: b.atomic_rmw(
        "add", _pointer(b, args[0]), args[1], "seq_cst"
    )


@intrinsic
def atomic_exchange(typing, address, value):
    """Replace, and return the value before."""
    return types.int64(types.int64, types.int64), lambda _c, b, _s, args: b.atomic_rmw(
        "xchg", _pointer(b, args[0]), args[1], "seq_cst"
    )


@intrinsic
def atomic_load(typing, address):
    """The value."""
    return types.int64(types.int64), lambda _c, b, _s, args: b.load_atomic(
        _pointer(b, args[0]), "seq_cst", 8
    )


@intrinsic
def atomic_swap_if(typing, address, expected, value):
    """Replace if it is as expected; whether it was."""
    return types.boolean(*[types.int64] * 3), lambda _c, b, _s, args: b.extract_value(
        b.cmpxchg(_pointer(b, args[0]), args[1], args[2], "seq_cst", "seq_cst"), 1
    )


@intrinsic
def yield_processor(typing):
    """Let another thread run."""

    def generate(context, builder, _signature, _args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        kind = ir.FunctionType(ir.IntType(32), [])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


def run_alone(launches, worker, context):
    """All tasks of a list of launches in order, by one worker."""
    launch = launches
    while column(launch, r.KERNEL) != 0:
        task, shift = column(launch, r.FIRST_TASK), column(launch, r.FUSED_SHIFT)
        end = task + column(launch, r.TASKS)
        while task < end and column(context, BAD_VALUES) == 0:
            call_kernel(column(launch, r.KERNEL), task, worker, context)
            if column(launch, r.FUSED) != 0:
                call_kernel(column(launch, r.FUSED), task + shift, worker, context)
            task += 1
        launch += LAUNCH_BYTES


def run_shared(worker, frame, counters, launches, count, context):
    """One worker's part in a frame. Worker 0 opens and closes it."""
    if worker == 0:
        for counter in (LEFT, DRAWN, DONE):
            atomic_exchange(counters + counter, 0)
        atomic_exchange(counters + FRAME, frame << FRAME_SHIFT)
    else:
        while True:
            seen = atomic_load(counters + FRAME)
            if seen >> FRAME_SHIFT != frame:
                return
            if atomic_swap_if(counters + FRAME, seen, seen + 1):
                break
    tickets = column(launches + (count - 1) * LAUNCH_BYTES, r.END_TICKET)
    launch = launches
    ticket = atomic_add(counters + DRAWN, 1)
    while ticket < tickets:
        while ticket >= column(launch, r.END_TICKET):
            launch += LAUNCH_BYTES
        barrier, spins = column(launch, r.BARRIER), 0
        while atomic_load(counters + DONE) < barrier:
            spins += 1
            if spins > SPINS:
                yield_processor()
        task = column(launch, r.FIRST_TASK) + ticket - column(launch, r.FIRST_TICKET)
        if column(context, BAD_VALUES) == 0:
            call_kernel(column(launch, r.KERNEL), task, worker, context)
            if column(launch, r.FUSED) != 0:
                task += column(launch, r.FUSED_SHIFT)
                call_kernel(column(launch, r.FUSED), task, worker, context)
        atomic_add(counters + DONE, 1)
        ticket = atomic_add(counters + DRAWN, 1)
    if worker != 0:
        atomic_add(counters + LEFT, 1)
        return
    entered = atomic_exchange(counters + FRAME, 0) & ((1 << FRAME_SHIFT) - 1)
    spins = 0
    while atomic_load(counters + LEFT) < entered:
        spins += 1
        if spins > SPINS:
            yield_processor()
