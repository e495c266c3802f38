"""Time, in one place, so that tests can hold it."""

from __future__ import annotations

import threading
import time


class Clock:
    """The machine's own steady clock."""

    def now(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.perf_counter()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until the condition, which is held, is notified, at most so long."""
        condition.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """Let so much time pass; Ctrl-C ends it."""
        time.sleep(seconds)
