"""Ctrl-C, SIGTERM and SIGHUP, heard between frames rather than in the middle of a write."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last where there is one


class Interrupts:
    """While entered, the first signal asks for an orderly end, the second for an end at once.

    The first is noted in `number`; if the program is `waiting` for a frame, which may never come,
    it is also raised there, as KeyboardInterrupt. The second is raised wherever it comes. Later
    ones are not heard: they would break off the removal of temporary files, which is quick.
    Signals that the program was started to ignore, as under nohup, are ignored.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._heard = 0
        self._waiting = False
        self._before: dict[int, Any] = {}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """In this block nothing is lost if it is broken off."""
        self._waiting = True
        try:
            if self.number is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._waiting = False

    def _hear(self, number: int, frame: Any) -> None:
        self._heard += 1
        self.number = self.number or number
        if self._heard == 2 or (self._heard == 1 and self._waiting):
            raise KeyboardInterrupt

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
