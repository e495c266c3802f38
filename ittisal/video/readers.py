"""What every reader does, and what is said about a source before it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np

# Fraction of the frames counted in a file, if no more have time to be shown: it was trimmed.
TRIMMED = 0.995


class Reader(Protocol):
    """An open source. Used by one thread at a time; `close` by the same one.

    `grab` moves on to the next frame, which costs as little as it can, and `retrieve` hands over
    its picture.
    """

    channel_order: str
    """Of the frames: "rgb" or "bgr"."""
    fps: float | None
    """Nominal frames per second, where the source says so."""
    frames: int | None
    """How many frames there are, where the source says so; often an estimate."""
    time: float | None
    """Presentation time in seconds of the frame last grabbed, 0 at the stream's start."""
    fills: bool
    """Whether `retrieve` uses the array that it is given, and what it returns may be given back."""

    def grab(self) -> bool:
        """Move on to the next frame; False at the end.

        Raises
        ------
        FrameError
            This frame is lost, and the next can be grabbed.
        VideoError
            Nothing more can be read.
        """

    def retrieve(self, out: np.ndarray | None) -> np.ndarray:
        """The frame last grabbed, in an array that is then the caller's: `out`, if that fits.

        Or another one, in place of which the reader keeps `out` for frames to come.

        Raises
        ------
        FrameError, VideoError
            As for `grab`.
        """

    def close(self) -> None:
        """Let go of file or device; closing twice does no harm."""


@runtime_checkable
class Skipping(Protocol):
    """A reader that can go far ahead without decoding."""

    def skip(self, first: int, start: float) -> int:
        """Pass over frames before the first `grab`; how many, exactly.

        At most those before frame number `first`, or before the first one shown at `start` seconds
        or after, whichever is later. None (0) where it could not be sure of the number.
        """


@runtime_checkable
class Counting(Protocol):
    """A reader that knows whether its number of `frames` is a count rather than an estimate."""

    counted: bool


@dataclass(frozen=True)
class Source:
    """A source that has not been opened yet.

    Parameters
    ----------
    name : str
        For messages.
    open : callable
        Makes the `Reader`; raises VideoError. Called again for every reconnection.
    live : bool, optional
        Whether frames come at their own pace and the newest is wanted. None: if, once open, it
        does not say how many frames there are.
    again : bool
        Whether it may be opened anew when it has vanished.
    threaded : bool
        Whether a thread may read it ahead: not an iterable, which is the caller's own code.
    patience : bool
        Whether it may be silent for ever, as a file or a pipe on which nobody writes yet.
    """

    name: str
    open: Callable[[], Reader]
    live: bool | None = False
    again: bool = False
    threaded: bool = True
    patience: bool = True


def fits(out: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> TypeGuard[np.ndarray]:
    """Whether a frame of this shape and type can be written into `out` as it is."""
    return (
        out is not None
        and out.shape == shape
        and out.dtype == dtype
        and out.flags.c_contiguous
        and out.flags.writeable
    )
