"""Threads that share one frame: tasks drawn from counters, and waiting inside compiled code.

A frame costs well under a millisecond, too little for a thread pool's hand-over per stage. So
workers enter the compiled function once per frame and draw tasks from atomic counters, one per
phase; who comes late finds less to do, and who does not come at all (a busy machine) is not
waited for: the frame has a number, and the door closes when its last task is done. Waiting spins
briefly, then yields the processor. Between frames workers sleep in the kernel.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .jit import inlined, inner

# The shared words, each on a cache line of its own.
LINE = 8
DOOR, LEFT, PHASES = 0, LINE, 2 * LINE  # per phase: tickets drawn, tasks done
MAX_PHASES = 8
WORDS = PHASES + MAX_PHASES * 2 * LINE
EPOCH_SHIFT = 32  # DOOR holds the frame's number above, and how many workers entered below
SPINS = 2000  # about 20 microseconds


def _atomic(write: Callable[..., Any]) -> Callable[..., Any]:
    """Code generator that gets the address of an array's element and the other operands."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return write(builder, builder.gep(array.data, [args[1]]), *args[2:])

    return generate


@intrinsic
def atomic_add(context, words, index, value):
    """Add, and give what was there before."""
    return types.int64(words, types.int64, types.int64), _atomic(
        lambda b, at, value: b.atomic_rmw("add", at, value, "seq_cst")
    )


@intrinsic
def atomic_exchange(context, words, index, value):
    """Replace, and give what was there before."""
    return types.int64(words, types.int64, types.int64), _atomic(
        lambda b, at, value: b.atomic_rmw("xchg", at, value, "seq_cst")
    )


@intrinsic
def atomic_load(context, words, index):
    """What is there."""
    return types.int64(words, types.int64), _atomic(lambda b, at: b.load_atomic(at, "seq_cst", 8))


@intrinsic
def atomic_swap_if(context, words, index, expected, value):
    """Replace if it is what was expected; whether it was."""
    return types.boolean(words, types.int64, types.int64, types.int64), _atomic(
        lambda b, at, expected, value: b.extract_value(
            b.cmpxchg(at, expected, value, "seq_cst", "seq_cst"), 1
        )
    )


@intrinsic
def yield_processor(context):
    """Let another thread run."""

    def generate(_context, builder, _signature, _args):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.IntType(32), []), name
        )
        builder.call(function, [])
        return _context.get_dummy_value()

    return types.void(), generate


@inner
def wait_for(words, index, value):
    """Until a counter reaches a value: spin briefly, then yield."""
    spins = 0
    while atomic_load(words, index) < value:
        spins += 1
        if spins > SPINS:
            yield_processor()


@inlined
def draw(words, phase):
    """The number of the next task of a phase."""
    return atomic_add(words, PHASES + phase * 2 * LINE, 1)


@inlined
def done(words, phase):
    """Count a task as done."""
    atomic_add(words, PHASES + (phase * 2 + 1) * LINE, 1)


@inlined
def wait_for_phase(words, phase, tasks):
    """Until all tasks of a phase are done."""
    wait_for(words, np.int64(PHASES + (phase * 2 + 1) * LINE), np.int64(tasks))


@inlined
def open_door(words, epoch):
    """Begin a frame: nobody is inside."""
    for i in range(PHASES, WORDS):
        words[i] = 0
    words[LEFT] = 0
    atomic_exchange(words, DOOR, epoch << EPOCH_SHIFT)


@inlined
def enter(words, epoch):
    """Whether the frame of this number is still being worked on; if so the caller is inside."""
    seen = atomic_load(words, DOOR)
    while seen >> EPOCH_SHIFT == epoch:
        if atomic_swap_if(words, DOOR, seen, seen + 1):
            return True
        seen = atomic_load(words, DOOR)
    return False


@inlined
def leave(words):
    """The caller has drawn its last task."""
    atomic_add(words, LEFT, 1)


@inlined
def close_door(words):
    """End a frame: let nobody in, and wait until those inside have left."""
    entered = atomic_exchange(words, DOOR, 0) & ((1 << EPOCH_SHIFT) - 1)
    wait_for(words, np.int64(LEFT), entered)


class _Member:
    """A worker thread and its mailbox, which holds one job: the newest."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.job: tuple[Any, ...] | None = None
        self.leaving = False
        self.signal = threading.Lock()
        self.signal.acquire()

    def call(self) -> None:
        """Wake the worker; if it has not woken since the last call, that one will do."""
        if self.signal.locked():
            self.signal.release()

    def live(self) -> None:
        """Do the jobs in the mailbox, and sleep when there is none."""
        while True:
            self.signal.acquire()
            if self.leaving:
                return
            job, self.job = self.job, None
            if job is not None:
                work, epoch, arguments = job
                work(self.number, epoch, *arguments)
                del job, work, arguments  # a sleeping worker keeps no frame alive


def _dismiss(members: list[_Member]) -> None:
    for member in members:
        member.leaving = True
        member.call()
    members.clear()


class Team:
    """Worker threads that run `work(member, epoch, *job)` for every job handed out.

    They end with the team, whether it is closed or forgotten.
    """

    def __init__(self, size: int) -> None:
        self.words = np.zeros(WORDS, np.int64)
        self.epoch = 0
        self.members = [_Member(number) for number in range(1, size)]
        for member in self.members:
            threading.Thread(
                target=member.live, name=f"ittisal-{member.number}", daemon=True
            ).start()
        self.close = weakref.finalize(self, _dismiss, self.members)

    def run(self, work: Callable[..., Any], job: tuple[Any, ...]) -> Any:
        """Do a job with all members, the caller among them; its result."""
        self.epoch = self.epoch % 0x7FFFFFFF + 1
        for member in self.members:
            member.job = (work, self.epoch, job)
            member.call()
        return work(0, self.epoch, *job)
