"""How frames come from a source to the model: when they are asked for, or by a thread.

A feed has `take`, `newer`, `interrupt` and `close`, `losses`, and `about` its reader.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .readers import FrameError, Reader, Source, VideoError
from .selection import Clock, Reading, Selection

SLOTS = 3  # one is being filled, one waits, one is worked on
SLICE = 0.2  # seconds of waiting at a time, so that Ctrl-C is heard on every system
NOTES = 64  # reports stored of lost frames; the rest are counted
GRACE = 1.0  # seconds that `close` waits for a reader, which may hang in a driver
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between attempts to open a source again
RUNNING: set[Connection] = set()  # whose threads have not ended, of streams forgotten ones too


class Silence(Exception):
    """Nothing came for as long as was allowed."""


class Losses:
    """Frames that could not be read since this was last asked: all counted, the last described."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._notes: deque[tuple[int, str]] = deque(maxlen=NOTES)

    def add(self, index: int, reason: str) -> None:
        """Count one."""
        with self._lock:
            self.count += 1
            self._notes.append((index, reason))

    def take(self) -> tuple[int, list[tuple[int, str]]]:
        """How many, and numbers and reasons of the last of them; then none."""
        with self._lock:
            taken = self.count, list(self._notes)
            self.count = 0
            self._notes.clear()
            return taken


@dataclass(eq=False)
class Slot:
    """A buffer for one frame, used over and over."""

    frame: Any = None  # the picture, and what the reader fills the next time
    index: int = -1
    time: float = 0.0
    arrived: float = 0.0
    dropped: int = 0  # how many frames this one overtook
    file: str | None = None  # the picture's path where it has one
    damage: str = ""  # what the decoder says of it


@dataclass
class About:
    """What an open reader says of itself, for those on the other side of the thread."""

    channel_order: str = "rgb"
    fps: float | None = None
    frames: int | None = None
    counted: bool = False
    fills: bool = False
    aspect: float | None = None
    live: bool = False
    paced: bool = False  # whether a recording is played at its own speed

    def learn(self, reader: Reader, live: bool | None) -> None:
        """Copy what the reader says; live unless it says how many frames there are."""
        self.channel_order, self.fps, self.frames = reader.channel_order, reader.fps, reader.frames
        self.counted, self.fills = getattr(reader, "counted", False), reader.fills
        self.live = self.frames is None if live is None else live
        self.paced = self.live and self.frames is not None

    def fill(self, slot: Slot, reader: Reader, selection: Selection) -> None:
        """Put the frame that the selection stopped at into a slot."""
        slot.frame = reader.retrieve(slot.frame)
        slot.damage = getattr(reader, "damage", "")
        slot.index, slot.time = selection.index, selection.time
        slot.file = getattr(reader, "file", None)
        if self.aspect is None:  # some readers know with the first frame only
            self.aspect = getattr(reader, "aspect", 1.0)


class Direct:
    """Frames read when they are asked for, in the caller's thread: those of iterables."""

    def __init__(self, source: Source, selection: Selection) -> None:
        self.about = About()
        self.reconnects = 0
        self.losses = Losses()
        self.selection = replace(selection, lost=self.losses.add)
        self._reader = source.open()
        self.about.learn(self._reader, False)
        self._slot = Slot()

    def take(self) -> Slot | None:
        """The next frame that is wanted, an empty slot if it is lost, or None at the end."""
        selection, slot = self.selection, self._slot
        if not selection.advance(self._reader):
            return None
        try:
            self.about.fill(slot, self._reader, selection)
        except FrameError as error:
            self.losses.add(selection.index, str(error))
            return Slot()
        slot.arrived = selection.now()
        return slot

    def newer(self) -> Slot | None:
        """None: nothing comes unasked."""
        return None

    def interrupt(self) -> None:
        """Nothing: the caller's code, if it waits, cannot be woken."""

    def close(self) -> None:
        """Close the source."""
        self._reader.close()

    abandon = close


class Connection:
    """A thread that opens a source, reads it and hands its frames over in three slots.

    In order, the thread runs ahead of the consumer by as many frames as there are free slots, and
    then waits. From a live source it never waits: a frame that the consumer has not taken by the
    time the next is there is dropped, so that what is taken is always the newest.
    """

    def __init__(
        self, source: Source, selection: Selection, live: bool | None, clock: Clock, losses: Losses
    ) -> None:
        self.about = About()
        self.selection = replace(selection, lost=self._lost, stopped=lambda: self.stopped)
        self.stopped = False
        self._source, self._live, self._clock, self._losses = source, live, clock, losses
        self._changed = threading.Condition()
        self._vacant = deque(Slot() for _ in range(SLOTS))
        self._ready: deque[Slot] = deque()
        self._taken: Slot | None = None
        self._dropped = 0
        self._ended = False
        self._error: BaseException | None = None
        self.thread = threading.Thread(
            target=self._run, name=f"ittisal reads {source.name}", daemon=True
        )
        RUNNING.add(self)
        self.thread.start()

    # --- the reader's side -----------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            reader = self._source.open()
            try:
                self.about.learn(reader, self._live)
                self.selection.live = self.about.live and not self.about.paced
                complete = self._read(reader)
            finally:
                # A fault in closing must not hide that reading went well, or why it did not.
                with contextlib.suppress(Exception):
                    reader.close()
            if self._source.again and self.selection.live and not complete:
                error = VideoError(f"{self._source.name}: no more frames come")
        except BaseException as raised:  # SystemExit too, or the consumer would wait for ever
            error = raised
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()
        RUNNING.discard(self)

    def _read(self, reader: Reader) -> bool:
        """Hand over frames; whether that ended because all that were wanted are there."""
        selection, about, now = self.selection, self.about, self._clock.now
        began: float | None = None
        while (slot := self._vacant_slot()) is not None:
            if not selection.advance(reader):
                return selection.complete
            if about.paced:
                began = now() - selection.time if began is None else began
                self._wait_until(began + selection.time)
                selection.arrived = now()
            try:
                about.fill(slot, reader, selection)
            except FrameError as error:
                self._lost(selection.index, str(error))
                with self._changed:
                    self._vacant.appendleft(slot)
                continue
            slot.arrived = selection.arrived if about.live else now()
            with self._changed:
                if about.live:
                    self._dropped += len(self._ready)
                    self._vacant.extend(self._ready)
                    self._ready.clear()
                self._ready.append(slot)
                self._changed.notify_all()
        return True

    def _vacant_slot(self) -> Slot | None:
        """A slot to fill; None once the consumer has stopped."""
        with self._changed:
            while not self._vacant and not self.stopped:
                self._changed.wait()
            return None if self.stopped else self._vacant.popleft()

    def _lost(self, index: int, reason: str) -> None:
        with self._changed:
            if not self.stopped:
                self._losses.add(index, reason)
            self._changed.notify_all()

    def _wait_until(self, time: float) -> None:
        with self._changed:
            while not self.stopped and (left := time - self._clock.now()) > 0:
                self._clock.wait(self._changed, left)

    # --- the consumer's side ---------------------------------------------------------------

    def take(self, limit: float | None) -> Slot | None:
        """The next slot, good until the next call; None at the end, or once stopped.

        An empty slot says that frames were lost and none is ready yet: see `losses`. What reading
        ended with is raised once all that was handed over has been taken; `Silence` where nothing
        comes within `limit` seconds.
        """
        asked = self._clock.now()
        with self._changed:
            while not self.stopped:
                if self._ready:
                    return self._pop()
                if self._losses.count:
                    return Slot()
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return None
                patience = SLICE
                if limit is not None:
                    patience = min(SLICE, asked + limit - self._clock.now())
                    if patience <= 0:
                        raise Silence
                self._release()
                self._clock.wait(self._changed, patience)
            return None

    def newer(self) -> Slot | None:
        """A slot that is ready now, in place of the one taken before; None if there is none."""
        with self._changed:
            return self._pop() if self._ready else None

    def stop(self) -> None:
        """End the thread as soon as it can, and wake a consumer that waits for it."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def _pop(self) -> Slot:
        self._release()
        self._taken = slot = self._ready.popleft()
        slot.dropped, self._dropped = self._dropped, 0
        return slot

    def _release(self) -> None:
        if self._taken is not None:
            self._vacant.append(self._taken)
            self._taken = None
            self._changed.notify_all()


@atexit.register
def _leave() -> None:
    """Stop all readers, and wait for them, when the program ends.

    One that came back from C++ only while Python is taken down would abort the program.
    """
    # An interrupt may have come before one was started.
    left = [connection for connection in tuple(RUNNING) if connection.thread.is_alive()]
    for connection in left:
        connection.stop()
    until = time.monotonic() + GRACE
    for connection in left:
        connection.thread.join(max(until - time.monotonic(), 0))


class Threaded:
    """Frames read by a thread: ahead and in order, or the newest of a live source.

    A live source that fails, ends, or is silent for `timeout` seconds has vanished: it is reported
    and, if asked for, opened again, with longer and longer pauses. So is one that is not there
    at first. A thread that hangs in the old connection is left behind with its buffers, and ends
    when it wakes. `report` is called in the thread of the consumer.
    """

    def __init__(
        self,
        source: Source,
        selection: Selection,
        reading: Reading,
        clock: Clock,
        report: Callable[[str], None],
    ) -> None:
        self.reconnects = 0
        self._source, self._reading, self._clock, self._report = source, reading, clock, report
        self._timeout = None if source.patience else reading.timeout
        self._met = False
        self._interrupted = False
        self.losses = Losses()
        self._connect(selection)

    def take(self) -> Slot | None:
        """The next frame, or the newest; an empty slot if some are lost; None at the end.

        None, too, once interrupted; VideoError if the source has vanished for good.
        """
        try:
            slot = self._connection.take(self._timeout)
        except (Silence, VideoError) as error:
            gone, source = self._gone(error), self._source
            # Not even there at first, it may come all the same.
            limit, live = self._reading.reconnect, self._reading.live is not False
            may_come = self.selection.live if self._met else live and (limit is None or limit > 0)
            if not (source.again and may_come):
                raise gone from None
            slot = self._reconnect(gone)
        self._met = self._met or slot is not None
        return slot

    def newer(self) -> Slot | None:
        """A frame that is ready now, if any."""
        return self._connection.newer()

    def _connect(self, selection: Selection) -> None:
        live = self._reading.live
        self._connection = Connection(self._source, selection, live, self._clock, self.losses)
        self.about, self.selection = self._connection.about, self._connection.selection

    def _gone(self, error: Exception) -> VideoError:
        if isinstance(error, VideoError):
            return error
        return VideoError(
            f"{self._source.name}: no frame came for {self._timeout:g} s; check that it is "
            "connected and sends, or raise the timeout"
        )

    def _reconnect(self, gone: VideoError) -> Slot | None:
        """The first frame of a new connection, made within the time that there is for it."""
        clock, limit = self._clock, self._reading.reconnect
        if limit is not None and limit <= 0:
            raise VideoError(
                f"{gone}. It is not opened again, since reconnecting was not asked for: say for "
                "how long to try"
            ) from gone
        began, pause = clock.now(), FIRST_PAUSE
        deadline = math.inf if limit is None else began + limit
        self._report(f"{gone}; trying {'to reconnect' if self._met else 'again'}")
        while True:
            self._connection.stop()
            until = min(clock.now() + pause, deadline)
            while not self._interrupted and (left := until - clock.now()) > 0:
                clock.sleep(min(left, SLICE))
            if self._interrupted:
                return None
            self._connect(self.selection)
            if self._interrupted:  # perhaps before there was this connection
                self._connection.stop()
            try:
                slot = self._connection.take(self._timeout)
            except (Silence, VideoError) as error:
                if clock.now() >= deadline:
                    self._connection.stop()
                    raise VideoError(
                        f"{self._gone(error)}. Gave up after trying for {limit:g} s"
                    ) from error
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            if self._interrupted:
                return None
            self.reconnects += self._met
            state = "back" if self._met else "there"
            self._report(f"{self._source.name}: is {state} after {clock.now() - began:.1f} s")
            return slot

    def interrupt(self) -> None:
        """Stop reading, and wake a thread that waits for a frame. From any thread."""
        self._interrupted = True
        self._connection.stop()

    abandon = interrupt

    def close(self) -> None:
        """Stop reading, and release the source unless its reader hangs."""
        self.interrupt()
        thread = self._connection.thread
        if thread is not threading.current_thread():
            thread.join(GRACE)
