"""Fixed frame buffers, queued between the thread that reads and the one that computes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from .clock import Clock

SLOTS = 3  # one is being filled, one waits, one is worked on
SLICE = 0.2  # seconds of waiting at a time, so that Ctrl-C is heard on every system
NOTES = 64  # reports kept of lost frames; the rest are counted


class Silence(Exception):
    """Nothing came for as long as was allowed."""


@dataclass(eq=False)
class Slot:
    """A buffer for one frame, used over and over.

    `frame` is the picture, and what the reader fills the next time. `dropped` is how many frames
    this one overtook.
    """

    frame: np.ndarray | None = None
    index: int = -1
    time: float = 0.0
    arrived: float = 0.0
    dropped: int = 0

    @property
    def picture(self) -> np.ndarray:
        """The frame of a slot that has been filled."""
        assert self.frame is not None
        return self.frame


class Exchange:
    """Three slots between one reader and one consumer.

    In order (`latest` False), the reader runs ahead of the consumer by as many frames as there are
    free slots, and then waits. With `latest` True the reader never waits: a frame that the consumer
    has not taken by the time the next is there is dropped, so that what is taken is always the
    newest.

    Nobody waits here for longer than it takes to move a slot, except `vacant` (in order) for the
    consumer and `take` for the reader.
    """

    def __init__(self, clock: Clock) -> None:
        self.latest = False
        self.changed = threading.Condition()
        self._clock = clock
        self._vacant = deque(Slot() for _ in range(SLOTS))
        self._ready: deque[Slot] = deque()
        self._taken: Slot | None = None
        self._dropped = 0
        self._lost = 0
        self._notes: deque[tuple[int, str]] = deque(maxlen=NOTES)
        self._ended = False
        self._error: Exception | None = None
        self.stopped = False

    # --- the reader's side -----------------------------------------------------------------

    def vacant(self) -> Slot | None:
        """A slot to fill; None once the consumer has stopped."""
        with self.changed:
            while not self._vacant and not self.stopped:
                self.changed.wait()
            return None if self.stopped else self._vacant.popleft()

    def publish(self, slot: Slot) -> None:
        """Hand over a slot that has been filled."""
        with self.changed:
            if self.latest:
                self._dropped += len(self._ready)
                self._vacant.extend(self._ready)
                self._ready.clear()
            self._ready.append(slot)
            self.changed.notify_all()

    def put_back(self, slot: Slot) -> None:
        """Return a slot that was not filled."""
        with self.changed:
            self._vacant.appendleft(slot)

    def lost(self, index: int, reason: str) -> None:
        """Note a frame that cannot be read."""
        with self.changed:
            self._lost += 1
            self._notes.append((index, reason))
            self.changed.notify_all()

    def finish(self, error: Exception | None = None) -> None:
        """Say that nothing more will come."""
        with self.changed:
            self._ended, self._error = True, error
            self.changed.notify_all()

    # --- the consumer's side ---------------------------------------------------------------

    def take(self, limit: float | None) -> Slot | None:
        """The next slot, good until the next call; None at the end, or once stopped.

        An empty slot says that frames were lost and none is ready yet: see `losses`.

        Parameters
        ----------
        limit : float, optional
            Seconds to wait at most.

        Raises
        ------
        Silence
            Nothing came within `limit`.
        Exception
            What the reader finished with, once all that it handed over has been taken.
        """
        asked = self._clock.now()
        with self.changed:
            while not self.stopped:
                if self._ready:
                    return self._pop()
                if self._lost:
                    return Slot()
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                patience = SLICE
                if limit is not None:
                    patience = min(SLICE, asked + limit - self._clock.now())
                    if patience <= 0:
                        raise Silence
                self._release()
                self._clock.wait(self.changed, patience)
            return None

    def newer(self) -> Slot | None:
        """A slot that is ready now, in place of the one taken before; None if there is none."""
        with self.changed:
            return self._pop() if self._ready else None

    def losses(self) -> tuple[int, list[tuple[int, str]]]:
        """How many frames were lost since the last call, and numbers and reasons of the last."""
        with self.changed:
            count, notes = self._lost, list(self._notes)
            self._lost = 0
            self._notes.clear()
            return count, notes

    def stop(self) -> None:
        """Let the reader go, which gets no more slots, and a consumer who waits for one."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()

    def _pop(self) -> Slot:
        self._release()
        self._taken = slot = self._ready.popleft()
        slot.dropped, self._dropped = self._dropped, 0
        self.changed.notify_all()
        return slot

    def _release(self) -> None:
        if self._taken is not None:
            self._vacant.append(self._taken)
            self._taken = None
            self.changed.notify_all()
