"""Compiles what the store lacks, in several processes at once."""

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

from ..store import tidy
from . import store
from .kernel import Kernel
from .target import NATIVE, name

TITLES = {NATIVE: "this CPU (first time only)"}
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
            text = f"ittisal: compiling kernels for {TITLES.get(name(), name())}"
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
        store.write(kernel, data)
        show()

    try:
        with store.exclusive(take_compiled):
            if not take_compiled():
                _compile([kernel for kernel in kernels if kernel not in objects], add, show)
                tidy()
    finally:
        if shown:
            print(file=sys.stderr, flush=True)
    return objects


def _compile(
    kernels: Sequence[Kernel], add: Callable[[Kernel, bytes], None], show: Callable[[], None]
) -> None:
    """Compile kernels here and in other processes; scalar ones only there, if any can be started.

    Those processes import Numba, this one does not: it starts sooner, and its own Numba, if it has
    one, is left alone.
    """
    scalar = any(kernel.scalar for kernel in kernels)
    # Others take them from the left, this process from the right.
    pending = deque(sorted(kernels, key=lambda kernel: not kernel.scalar))
    results: queue.Queue[Any] = queue.Queue()
    children = _start(max(min(_processors() - 1, len(kernels) // PER_PROCESS), scalar))
    threads = [
        threading.Thread(target=_drive, args=(child, pending, results), daemon=True)
        for child in children
    ]
    try:
        for thread in threads:
            thread.start()
        working, heard = len(threads), time.monotonic()
        while working or pending:
            show()
            if time.monotonic() - heard > store.PATIENCE:  # theirs are compiled here then
                for child in children:
                    child.kill()
            here = _next(pending, scalar=not working)
            if here is not None:
                _take(here, _compiled_here(here), add)
            with contextlib.suppress(queue.Empty):
                while working:
                    kernel, answer = results.get(timeout=0.2 if here is None else 0)
                    heard = time.monotonic()
                    if kernel is None:
                        working -= 1
                    else:
                        _take(kernel, answer, add)
    finally:
        for child in children:
            child.kill()
        for child, thread in zip(children, threads, strict=True):
            if thread.ident is not None:
                thread.join()
            with contextlib.suppress(OSError):  # what it had not read
                child.__exit__(None, None, None)


def _next(pending: deque[Kernel], *, scalar: bool) -> Kernel | None:
    """The next kernel for this process, or None if others are about to take the rest."""
    try:
        return pending.pop() if scalar or not pending[-1].scalar else None
    except IndexError:  # there is none, or another thread took it
        return None


def _compiled_here(kernel: Kernel) -> bytes | str:
    """A kernel's object, or why there is none."""
    from .compiler import compile_kernel

    try:
        return compile_kernel(kernel, store.symbol(kernel))
    except Exception as error:
        return str(error) or repr(error)


def _take(kernel: Kernel, answer: bytes | str, add: Callable[[Kernel, bytes], None]) -> None:
    """Add an object; raise RuntimeError where the answer is a text."""
    if isinstance(answer, str):
        raise RuntimeError(
            f"kernel {kernel.function} of {kernel.full_module} does not compile: {answer}"
        )
    add(kernel, answer)


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
