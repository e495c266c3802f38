"""How a source is read, which of its frames are wanted, and each one's number and time."""

from __future__ import annotations

import math
import operator
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..frames import check_channel_order
from .readers import FrameError, Reader

READERS = ("opencv", "pyav")
DEFAULT_FPS = 25.0  # of frames that come without times
SOON = 1e-6  # seconds between arrivals that the clock cannot tell apart


class Clock:
    """The machine's steady clock. Tests have others."""

    def now(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.perf_counter()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until the condition, which is held, is notified, at most so long."""
        condition.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """Let so much time pass; Ctrl-C ends it."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Wanted:
    """The frames to work on: from number `first` and `start` seconds on, before `end` seconds.

    Of those, the ones whose number is a multiple of `every`, so that a run that is resumed takes
    the same.
    """

    every: int = 1
    start: float | None = None
    end: float | None = None
    first: int = 0

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("first", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        for name, default in (("start", -math.inf), ("end", math.inf)):
            value = getattr(self, name)
            object.__setattr__(self, name, default if value is None else number(name, value))
        if not self.start < self.end:  # type: ignore[operator]  # NaN too
            raise ValueError(f"start={self.start:g} s must come before end={self.end:g} s")


@dataclass(frozen=True)
class Reading:
    """How a source is opened and read; the fields are the arguments of `stream`."""

    reader: str = "opencv"
    channel_order: str = "rgb"
    live: bool | None = None
    fps: float | None = None
    timeout: float = 10.0
    reconnect: float | None = 0.0

    def __post_init__(self) -> None:
        if self.reader not in READERS:
            raise ValueError(
                f"reader={self.reader!r} is not one of {', '.join(map(repr, READERS))}"
            )
        check_channel_order(self.channel_order)
        for name, limit in (
            ("fps", "above 0"),
            ("timeout", "above 0 seconds"),
            ("reconnect", "seconds, 0 for never, None for ever"),
        ):
            value = getattr(self, name)
            if value is None and name != "timeout":
                continue
            value = number(name, value)
            good = value >= 0 if name == "reconnect" else value > 0
            if not good or (name == "fps" and value == math.inf):
                raise ValueError(f"{name}={value:g} must be {limit}")
            object.__setattr__(self, name, value)

    @property
    def rate(self) -> float:
        """Frames per second of sources that know no times."""
        return self.fps or DEFAULT_FPS


def whole(name: str, value: Any, least: int) -> int:
    """An argument that has to be a whole number, of whatever type, and not below a limit."""
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} must be a whole number") from None
    if found < least:
        raise ValueError(f"{name}={found} must be at least {least}")
    return found


def number(name: str, value: Any) -> float:
    """An argument that has to be a number, of whatever type; TypeError if it is not."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={value!r} must be a number") from None


@dataclass
class Selection:
    """Goes through a reader and stops at the frames that are wanted.

    `index` and `time` are those of the frame stopped at, and go on from one reader to the next.
    """

    wanted: Wanted
    live: bool  # whether times are those of arrival
    now: Callable[[], float]
    fps: float  # where the reader does not say; frames without times are shown at number / fps
    lost: Callable[[int, str], None] = lambda index, reason: None  # called with lost frames
    stopped: Callable[[], bool] = lambda: False  # whether to look no further
    index: int = -1
    time: float = -math.inf
    arrived: float = 0.0  # when the frame came, by the clock
    mended: int = 0  # times replaced so far, see `Statistics`
    complete: bool = False  # whether the end of what is wanted is reached, not the source's
    origin: float | None = None  # the first arrival from a live source
    timed: bool = False  # whether a time has come from the source

    def advance(self, reader: Reader) -> bool:
        """Grab until the reader is at a frame that is wanted; False at the end, or if stopped."""
        wanted: Any = self.wanted
        skip = getattr(reader, "skip", None)
        if self.index < 0 and not self.live and skip is not None:
            self.index += skip(wanted.first, wanted.start)
        while not self.stopped():
            try:
                if not reader.grab():
                    return False
            except FrameError as error:
                self.index += 1
                self.lost(self.index, str(error))
                continue
            self.arrived = self.now()
            self.index += 1
            self.time = self._presented(reader)
            if self.time >= wanted.end:
                self.complete = True
                return False
            if (
                self.index >= wanted.first
                and self.time >= wanted.start
                and self.index % wanted.every == 0
            ):
                return True
        return False

    def _presented(self, reader: Reader) -> float:
        """The frame's presentation time: always above the last one's."""
        time = reader.time
        if self.live:
            if self.origin is None:
                self.origin = self.arrived
            return max(self.arrived - self.origin, self.time + SOON)
        fps = reader.fps or self.fps
        if time is None and not self.timed:
            return self.index / fps
        self.timed = True
        if time is not None and math.isfinite(time) and time > self.time:
            return time
        self.mended += 1
        return self.index / fps if self.time == -math.inf else self.time + 1 / fps
