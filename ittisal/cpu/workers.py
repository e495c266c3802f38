"""Threads that share one frame.

A frame costs well under a millisecond, too little for a thread pool's hand-over per stage. So
workers enter the compiled frame loop once per frame and draw tasks there (see kernels/run.py).
Between frames they sleep on a lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .kernel import Kernel
from .library import addresses

COUNTERS = 40  # int64: four cache lines, as in kernels/run.py, and space to align them

ALONE, SHARED = (Kernel("run", name, scalar=True) for name in ("run_alone", "run_shared"))


class _Worker:
    """A thread and its mailbox, which holds one job: the newest."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.job: tuple[Any, ...] | None = None
        self.stopping = False
        self.signal = threading.Lock()
        self.signal.acquire()

    def wake(self) -> None:
        """Wake the thread; if it has not woken since the last call, that one will do."""
        with contextlib.suppress(RuntimeError):  # it is awake
            self.signal.release()

    def work_loop(self) -> None:
        """Do the jobs in the mailbox, and sleep when there is none."""
        while True:
            self.signal.acquire()
            if self.stopping:
                return
            job, self.job = self.job, None
            if job is not None:
                work, frame, arguments, counters = job
                work(self.number, frame, *arguments)
                del job, counters  # kept alive for one who came too late for the frame


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.stopping = True
        worker.wake()
    workers.clear()


class WorkerPool:
    """Runs lists of launches, with the caller as worker 0.

    The threads end with the pool, whether it is closed or forgotten.
    """

    def __init__(self, size: int) -> None:
        self.counters = np.zeros(COUNTERS, np.int64)
        start = -self.counters.ctypes.data % 64
        self.counter_address = self.counters.ctypes.data + start
        self.frame = 0
        self.shared = size > 1
        self.kernels = [ALONE, SHARED] if self.shared else [ALONE]
        self.loop: Callable[..., None] | None = None
        self.workers = [_Worker(number) for number in range(1, size)]
        for worker in self.workers:
            threading.Thread(
                target=worker.work_loop, name=f"ittisal-{worker.number}", daemon=True
            ).start()
        self.close = weakref.finalize(self, _stop, self.workers)

    def run(self, launches: int, count: int, context: int) -> None:
        """Run `count` launches at an address on the context at another, to the end."""
        if self.loop is None:
            signature = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * (6 if self.shared else 3))
            self.loop = signature(addresses(self.kernels)[self.kernels[-1]])
        if not self.shared:
            self.loop(launches, 0, context)
            return
        self.frame = self.frame % 0x7FFFFFFF + 1
        arguments = self.counter_address, launches, count, context
        for worker in self.workers:
            worker.job = (self.loop, self.frame, arguments, self.counters)
            worker.wake()
        self.loop(0, self.frame, *arguments)
