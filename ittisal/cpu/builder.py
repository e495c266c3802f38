"""Compiles what the store lacks, in several processes at once.

Those processes import Numba, the one that wants the kernels does not: it starts sooner, and its
own Numba, if it has one, is left alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from . import store
from .library import Kernel, compiled

PER_PROCESS = 3  # kernels that take longer than to start another process
SILENCE = 1.0  # seconds before a bar is shown
WIDTH = 24

# What is printed must not go among the answers, and the process that starts this one ends it.
# Numba would import SciPy for linear algebra, which takes longer than several kernels.
CHILD = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
sys.path[:] = {path!r}
sys.modules["scipy"] = None
from {package}.compiler import serve
serve(sys.stdin.buffer, answers)
"""


def build(kernels: Sequence[Kernel]) -> dict[Kernel, bytes]:
    """Objects of kernels: those that another process compiles meanwhile, and the rest from here.

    Raises
    ------
    RuntimeError
        A kernel does not compile.
    """
    objects: dict[Kernel, bytes] = {}
    start, shown = time.monotonic(), False

    def show() -> None:
        """Draw a bar on a terminal, if it takes long."""
        nonlocal shown
        stream, done = sys.stderr, len(objects)
        if time.monotonic() - start >= SILENCE and stream is not None and stream.isatty():
            text = "ittisal: compiling kernels for this CPU (first time only)"
            bar = f"{'#' * (WIDTH * done // len(kernels)):<{WIDTH}}"
            print(f"\r{text} [{bar}] {done}/{len(kernels)}", end="", file=stream, flush=True)
            shown = True

    def take_compiled() -> bool:
        """Take what another process has compiled; whether that is all."""
        for kernel in kernels:
            if kernel not in objects and (data := store.read(kernel)) is not None:
                objects[kernel] = data
        show()
        return len(objects) == len(kernels)

    def add(kernel: Kernel, data: bytes) -> None:
        objects[kernel] = data
        compiled.append(kernel)
        store.write(kernel, data)
        show()

    try:
        with store.exclusive(take_compiled):
            if not take_compiled():
                _compile([kernel for kernel in kernels if kernel not in objects], add, show)
                store.tidy()
    finally:
        if shown:
            print(file=sys.stderr, flush=True)
    return objects


def _compile(
    kernels: Sequence[Kernel], add: Callable[[Kernel, bytes], None], show: Callable[[], None]
) -> None:
    """Compile kernels in other processes; in this one those that they leave."""
    pending = deque(kernels)
    results: queue.Queue[Any] = queue.Queue()
    children = _start(min(_processors(), -(-len(kernels) // PER_PROCESS)))
    threads = [
        threading.Thread(target=_drive, args=(child, pending, results), daemon=True)
        for child in children
    ]
    try:
        for thread in threads:
            thread.start()
        working = len(threads)
        while working:
            try:
                kernel, answer = results.get(timeout=0.2)
            except queue.Empty:
                show()
                continue
            if kernel is None:
                working -= 1
            elif isinstance(answer, str):
                raise _failure(kernel, answer)
            else:
                add(kernel, answer)
    finally:
        for child in children:
            child.kill()
        for child, thread in zip(children, threads, strict=True):
            if thread.ident is not None:
                thread.join()
            with contextlib.suppress(OSError):  # what it had not read
                child.__exit__(None, None, None)
    for kernel in pending:
        from .compiler import compile_kernel

        try:
            data = compile_kernel(kernel)
        except Exception as error:
            raise _failure(kernel, str(error)) from error
        add(kernel, data)


def _failure(kernel: Kernel, why: str) -> RuntimeError:
    return RuntimeError(f"kernel {kernel.function} of {kernel.full_module} does not compile: {why}")


def _processors() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _start(count: int) -> list[subprocess.Popen[bytes]]:
    """Processes that compile; fewer, or none, where they cannot be started."""
    children: list[subprocess.Popen[bytes]] = []
    # A program that embeds Python says there where Python is.
    spawn = sys.modules.get("multiprocessing.spawn")
    executable = spawn.get_executable() if spawn else sys.executable
    if getattr(sys, "frozen", False) or not executable:  # there is no Python to start
        return children
    command = [os.fsdecode(executable), "-c", CHILD.format(path=sys.path, package=__package__)]
    try:
        for _ in range(count):
            child = subprocess.Popen(
                command,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            children.append(child)
    except OSError:  # out of memory or of processes
        pass
    return children


def _drive(child: Any, pending: deque[Kernel], results: queue.Queue[Any]) -> None:
    """Hand a process kernel after kernel, until there are no more or the process ends."""
    while pending:
        try:
            kernel = pending.popleft()
        except IndexError:  # another thread took it
            break
        try:
            pickle.dump((kernel, store.symbol(kernel)), child.stdin)
            child.stdin.flush()
            results.put((kernel, pickle.load(child.stdout)))
        except Exception:  # the process ended
            pending.append(kernel)
            break
    results.put((None, None))
