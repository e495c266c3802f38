"""How frames come from a source to the model: when they are asked for, or by a thread.

A feed has `take`, `newer`, `losses`, `interrupt` and `close`, and says of its reader
`channel_order`, `fps`, `frames` and whether frames are those of a `live` source.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .clock import Clock
from .errors import FrameError, VideoError
from .exchange import NOTES, SLICE, Exchange, Silence, Slot
from .readers import Counting, Reader, Source
from .selection import Selection

GRACE = 1.0  # seconds that `close` waits for a reader, which may hang in a driver
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds between attempts to reconnect
RUNNING: set[Connection] = set()  # whose threads have not ended, of streams forgotten ones too


@dataclass
class About:
    """What an open reader says of itself, for those on the other side of the thread.

    `counted` is whether the container has counted its `frames`, `paced` whether a recording is
    played at its own speed.
    """

    channel_order: str = "rgb"
    fps: float | None = None
    frames: int | None = None
    counted: bool = False
    fills: bool = False
    live: bool = False
    paced: bool = False

    def learn(self, reader: Reader, live: bool | None) -> None:
        """Take over what the reader says; live unless it says how many frames there are."""
        self.channel_order, self.fps, self.frames = reader.channel_order, reader.fps, reader.frames
        self.counted = isinstance(reader, Counting) and reader.counted
        self.fills = reader.fills
        self.live = self.frames is None if live is None else live
        self.paced = self.live and self.frames is not None


class Direct:
    """Frames read when they are asked for, by who asks: of iterables, whose code is not ours."""

    def __init__(self, source: Source, selection: Selection) -> None:
        self.about = About()
        self.reconnects = 0
        self.selection = replace(selection, lost=self._note)
        self._reader = source.open()
        self.about.learn(self._reader, False)
        self._slot = Slot()
        self._notes: list[tuple[int, str]] = []

    def take(self) -> Slot | None:
        """The next frame that is wanted, an empty slot if it is lost, or None at the end."""
        selection, slot = self.selection, self._slot
        if not selection.advance(self._reader):
            return None
        try:
            slot.frame = self._reader.retrieve(slot.frame)
        except FrameError as error:
            self._note(selection.index, str(error))
            return Slot()
        slot.index, slot.time, slot.arrived = selection.index, selection.time, selection.now()
        return slot

    def newer(self) -> Slot | None:
        """None: nothing comes unasked."""
        return None

    def losses(self) -> tuple[int, list[tuple[int, str]]]:
        """How many frames were lost since the last call, their numbers and why."""
        notes = self._notes.copy()
        self._notes.clear()
        return len(notes), notes

    def _note(self, index: int, reason: str) -> None:
        self._notes.append((index, reason))

    def interrupt(self) -> None:
        """Nothing: the caller's code, if it waits, cannot be woken."""

    def close(self) -> None:
        """Let go of the source."""
        self._reader.close()

    abandon = close


class Connection:
    """A thread that opens a source, reads it and hands its frames over, until stopped."""

    def __init__(
        self, source: Source, selection: Selection, live: bool | None, clock: Clock
    ) -> None:
        self.about = About()
        self.exchange = Exchange(clock)
        self.selection = replace(selection, lost=self.exchange.lost)
        self._source, self._live, self._clock = source, live, clock
        self.thread = threading.Thread(
            target=self._run, name=f"ittisal reads {source.name}", daemon=True
        )

    def start(self) -> Connection:
        """Begin to read."""
        RUNNING.add(self)
        self.thread.start()
        return self

    def _run(self) -> None:
        try:
            reader = self._source.open()
            try:
                self.about.learn(reader, self._live)
                self.exchange.latest = self.about.live
                self.selection.live = self.about.live and not self.about.paced
                complete = self._read(reader)
            finally:
                # A fault in closing must not hide that reading went well, or why it did not.
                with contextlib.suppress(Exception):
                    reader.close()
        except Exception as error:
            self.exchange.finish(error)
        else:
            gone = self._source.again and self.selection.live and not complete
            self.exchange.finish(
                VideoError(f"{self._source.name}: no more frames come") if gone else None
            )
        finally:
            RUNNING.discard(self)

    def _read(self, reader: Reader) -> bool:
        """Hand over frames; whether that ended because all that were wanted are there."""
        exchange, selection = self.exchange, self.selection
        began: float | None = None
        while (slot := exchange.vacant()) is not None:
            if not selection.advance(reader):
                return selection.complete
            if self.about.paced:
                if began is None:
                    began = self._clock.now() - selection.time
                self._wait_until(began + selection.time)
                selection.arrived = self._clock.now()
            try:
                slot.frame = reader.retrieve(slot.frame)
            except FrameError as error:
                exchange.lost(selection.index, str(error))
                exchange.put_back(slot)
                continue
            slot.index, slot.time = selection.index, selection.time
            slot.arrived = selection.arrived if self.about.live else self._clock.now()
            exchange.publish(slot)
        return True

    def _wait_until(self, time: float) -> None:
        with self.exchange.changed:
            while not self.exchange.stopped and (left := time - self._clock.now()) > 0:
                self._clock.wait(self.exchange.changed, left)


@atexit.register
def _leave() -> None:
    """Stop all readers, and wait for them, when the program ends.

    One that came back from C++ only while Python is taken down would abort the program.
    """
    left = [connection for connection in tuple(RUNNING) if connection.thread.is_alive()]
    for connection in left:
        connection.exchange.stop()
    until = time.monotonic() + GRACE
    for connection in left:
        connection.thread.join(max(until - time.monotonic(), 0))


class Threaded:
    """Frames read by a thread: ahead and in order, or the newest of a live source.

    A live source that fails, ends, or is silent for `timeout` seconds has vanished: it is reported
    and, if asked for, opened anew, with longer and longer pauses. A thread that hangs in the old
    connection is left behind with its buffers, and ends when it wakes.

    Parameters
    ----------
    source : Source
    selection : Selection
    live : bool, optional
        As for `stream`.
    clock : Clock
    report : callable
        Told of what happens, in the thread of the consumer.
    reconnect : float, optional
        Seconds to go on trying; 0 does not try, None never gives up.
    timeout : float
        Seconds without a frame after which a source that is not patient has vanished.
    """

    def __init__(
        self,
        source: Source,
        selection: Selection,
        *,
        live: bool | None,
        clock: Clock,
        report: Callable[[str], None],
        reconnect: float | None,
        timeout: float,
    ) -> None:
        self.reconnects = 0
        self._source, self._live, self._clock, self._report = source, live, clock, report
        self._reconnect_for = reconnect
        self._timeout = None if source.patience else timeout
        self._met = False
        self._interrupted = False
        self._lost = 0
        self._notes: list[tuple[int, str]] = []
        self._connection = Connection(source, selection, live, clock).start()

    @property
    def about(self) -> About:
        """What the reader says of itself."""
        return self._connection.about

    @property
    def selection(self) -> Selection:
        """Where the reader is."""
        return self._connection.selection

    def take(self) -> Slot | None:
        """The next frame, or the newest; an empty slot if some are lost; None at the end.

        None, too, once interrupted.

        Raises
        ------
        VideoError
            The source cannot be opened or read, or has vanished for good.
        """
        try:
            slot = self._connection.exchange.take(self._timeout)
        except (Silence, VideoError) as error:
            if not (self._met and self._source.again and self.selection.live):
                raise self._gone(error) from None
            slot = self._reconnect(self._gone(error))
        self._met = self._met or slot is not None
        return slot

    def newer(self) -> Slot | None:
        """A frame that is ready now, if any."""
        return self._connection.exchange.newer()

    def losses(self) -> tuple[int, list[tuple[int, str]]]:
        """How many frames were lost since the last call, and numbers and reasons of the last."""
        count, notes = self._connection.exchange.losses()
        count, self._lost = count + self._lost, 0
        notes, self._notes = self._notes + notes, []
        return count, notes

    def _gone(self, error: Exception) -> VideoError:
        if isinstance(error, VideoError):
            return error
        return VideoError(
            f"{self._source.name}: no frame came for {self._timeout:g} s; check that it is "
            "connected and sends, or raise the timeout"
        )

    def _reconnect(self, gone: VideoError) -> Slot | None:
        """The first frame of a new connection, made within the time that there is for it."""
        clock, limit = self._clock, self._reconnect_for
        if limit is not None and limit <= 0:
            raise VideoError(
                f"{gone}. It is not opened again, since reconnecting was not asked for: say for "
                "how long to try"
            ) from gone
        began, pause = clock.now(), FIRST_PAUSE
        deadline = None if limit is None else began + limit
        self._report(f"{gone}; trying to reconnect")
        while True:
            self._connection.exchange.stop()
            self._keep_losses()
            self._sleep_until(min(clock.now() + pause, math.inf if deadline is None else deadline))
            if self._interrupted:
                return None
            self._connection = Connection(self._source, self.selection, self._live, clock).start()
            if self._interrupted:  # perhaps before there was this connection
                self._connection.exchange.stop()
            try:
                slot = self._connection.exchange.take(self._timeout)
            except (Silence, VideoError) as error:
                if deadline is not None and clock.now() >= deadline:
                    self._connection.exchange.stop()
                    raise VideoError(
                        f"{self._gone(error)}. Gave up after trying for {limit:g} s"
                    ) from error
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            if self._interrupted:
                return None
            self.reconnects += 1
            self._report(f"{self._source.name}: is back after {clock.now() - began:.1f} s")
            return slot

    def _keep_losses(self) -> None:
        count, notes = self._connection.exchange.losses()
        self._lost += count
        self._notes = (self._notes + notes)[-NOTES:]

    def _sleep_until(self, time: float) -> None:
        while not self._interrupted and (left := time - self._clock.now()) > 0:
            self._clock.sleep(min(left, SLICE))

    def interrupt(self) -> None:
        """Stop reading, and wake who waits for a frame. From any thread."""
        self._interrupted = True
        self._connection.exchange.stop()

    abandon = interrupt

    def close(self) -> None:
        """Stop reading, and let go of the source unless its reader hangs."""
        self.interrupt()
        thread = self._connection.thread
        if thread is not threading.current_thread():
            thread.join(GRACE)
