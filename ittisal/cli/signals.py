"""Ctrl-C, SIGTERM and SIGHUP end the command, also while a library does not return."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ENDS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
GRACE = 1.0  # seconds
orderly = threading.Event()
"""Set while the command has handlers that end it in order, and once it has ended."""


def handle(handler: Any) -> dict[int, Any]:
    """Set the handler of `ENDS`, but of those ignored, as under nohup; the handlers before."""
    return {
        number: signal.signal(number, handler)
        for number in ENDS
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }


@contextlib.contextmanager
def ending(name: str) -> Iterator[None]:
    """In this block the signals unwind, so that temporary files go.

    SIGINT raises KeyboardInterrupt, others SystemExit. If the block has not ended after `GRACE`, as
    in a long call of a library, temporary files are removed and the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    orderly.clear()
    incoming, outgoing = os.pipe()
    if hasattr(os, "set_blocking"):  # not needed on Windows, which may lack it
        os.set_blocking(outgoing, False)
    handlers = handle(_unwind)
    wakeup = signal.set_wakeup_fd(outgoing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(incoming, name), daemon=True).start()
    try:
        yield
    finally:
        orderly.set()
        signal.set_wakeup_fd(wakeup)
        os.close(outgoing)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _unwind(number: int, frame: Any) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _watch(incoming: int, name: str) -> None:
    """Wait for signals, whose numbers the system writes to this pipe at once, handled or not."""
    with open(incoming, "rb", buffering=0) as pipe:
        while received := pipe.read(1):
            number = received[0]
            if number in ENDS and not orderly.wait(GRACE):
                from ..files import discard_all  # `--help` does without

                discard_all()
                if number == signal.SIGINT:
                    os.write(2, f"{name}: interrupted\n".encode("utf-8", "backslashreplace"))
                os._exit(128 + number)
