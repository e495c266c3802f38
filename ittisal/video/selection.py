"""Which frames of a source are wanted, what number each has, and when it was shown."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import FrameError
from .readers import Reader, Skipping

SOON = 1e-6  # seconds between arrivals that the clock cannot tell apart


@dataclass(frozen=True)
class Wanted:
    """The frames to work on: from number `first` and `start` seconds on, before `end` seconds.

    Of those, the ones whose number is a multiple of `every`, so that a run that is taken up again
    takes the same.
    """

    every: int = 1
    start: float = -math.inf
    end: float = math.inf
    first: int = 0

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("first", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        for name in ("start", "end"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        if not self.start < self.end:  # NaN too
            raise ValueError(f"start={self.start:g} s must come before end={self.end:g} s")


def whole(name: str, value: Any, least: int) -> int:
    """An argument that has to be a whole number, of whatever type, and not below a limit.

    Raises
    ------
    TypeError, ValueError
        It is not; named.
    """
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

    Parameters
    ----------
    wanted : Wanted
    live : bool
        Whether times are those of arrival.
    now : callable
        The clock, for arrivals.
    fps : float
        Where the reader does not say. Frames without times are shown at number / fps.
    lost : callable
        Called with the number of a frame that cannot be read, and the reason.
    index, time : int, float
        Of the frame stopped at. They go on counting from one reader to the next.
    arrived : float
        When it came, by the clock.
    mended : int
        Times replaced so far, see `Statistics`.
    complete : bool
        Whether the end of what is wanted has been reached, rather than that of the source.
    origin : float, optional
        The first arrival from a live source.
    timed : bool
        Whether a time has come from the source.
    """

    wanted: Wanted
    live: bool
    now: Callable[[], float]
    fps: float
    lost: Callable[[int, str], None] = lambda index, reason: None
    index: int = -1
    time: float = -math.inf
    arrived: float = 0.0
    mended: int = 0
    complete: bool = False
    origin: float | None = None
    timed: bool = False

    def advance(self, reader: Reader) -> bool:
        """Grab until the reader is at a frame that is wanted; False if there is none any more."""
        wanted = self.wanted
        if self.index < 0 and not self.live and isinstance(reader, Skipping):
            self.index += reader.skip(wanted.first, wanted.start)
        while True:
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
