"""One part of a benchmark in a process of its own, so that nothing it does can harm the next.

A kernel that writes out of bounds spoils every later call of its process, and one that never ends
can only be killed. A part sends each figure through a pipe as soon as it has it, so that what was
found is known however the part ends, and with a full disk too.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parent.parent
LOG_LINES = 60  # kept of what a process prints: its end


def call(command: list[str], limit: float, known: Callable[[str, Any], None]) -> dict[str, str]:
    """Run a command whose process calls `send`; `known` gets each name and value.

    Returns how it ended: its `state` is "done", "failed" (with an exit status other than 0) or
    "stopped" (after `limit` seconds, with its children); the last two with its last lines in `log`.
    """
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # a group of its own, to be killed as one
    )
    pieces: queue.Queue[str] = queue.Queue()
    log: deque[str] = deque(maxlen=LOG_LINES)
    readers = [
        Thread(target=_read, args=arguments, daemon=True)
        for arguments in ((child.stdout, pieces.put), (child.stderr, log.append))
    ]
    for reader in readers:
        reader.start()
    end = time.monotonic() + limit
    try:
        while piece := pieces.get(timeout=max(end - time.monotonic(), 0)):
            known(*json.loads(piece))
        status = child.wait(max(end - time.monotonic(), 0))
        state, why = "failed" if status else "done", f"exit status {status}"
    except (queue.Empty, subprocess.TimeoutExpired):
        state, why = "stopped", f"stopped after {limit:.0f} s"
        child.send_signal(signal.SIGUSR1)  # it prints where it is
        time.sleep(0.2)
    finally:
        _end(child)
    for reader in readers:
        reader.join(1)
    return (
        {"state": state} if state == "done" else {"state": state, "log": f"{why}\n" + "".join(log)}
    )


def send(pieces: Iterable[tuple[str, Any]]) -> None:
    """Send (name, value) pieces to the process that called this one, each as soon as it is there.

    They take the standard output; what else is printed goes to the standard error.
    """
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        for piece in pieces:
            print(json.dumps(piece), file=output, flush=True)


def _read(pipe: TextIO, use: Callable[[str], None]) -> None:
    """Hand on whole lines, and "" at the end."""
    with pipe:
        for line in pipe:
            if line.endswith("\n"):
                use(line)
    use("")


def _end(child: subprocess.Popen) -> None:
    """Kill what is left of the child's group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # it hangs in the driver: no more can be done
        child.wait(5)
