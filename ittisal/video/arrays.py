"""Frames that are arrays already, from any iterable."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any

import numpy as np

from ..frames import check_frame, composite
from .errors import FrameError
from .readers import fits


class ArrayReader:
    """The arrays of an iterable as frames.

    Grey stays grey; what has alpha is composited over white.

    Parameters
    ----------
    arrays : iterable of arrays
        Asked for the next one only when that is wanted. Closed at the end if it can be.
    channel_order : {"rgb", "bgr"}
        Of those with colour.
    fps : float
        Frames per second, since arrays have no times.
    copies : bool
        Whether frames are copied: needed where the next is asked for before this one is done
        with, since many a camera fills one array over and over. Else they stay where they lie.
    """

    time: float | None = None

    def __init__(
        self, arrays: Iterable[Any], channel_order: str, fps: float, *, copies: bool = False
    ) -> None:
        self.fills = copies
        self.channel_order = channel_order
        self.fps: float | None = fps
        self.frames: int | None = len(arrays) if isinstance(arrays, Sized) else None
        self._iterator = iter(arrays)
        self._array: Any = None

    def grab(self) -> bool:
        """Ask for the next array."""
        try:
            self._array = next(self._iterator)
        except StopIteration:
            return False
        return True

    def retrieve(self, out: np.ndarray | None) -> np.ndarray:
        """The array last asked for."""
        array, self._array = self._array, None
        try:
            if hasattr(array, "__array__"):
                array = composite(np.asarray(array))
            frame = check_frame(array)
        except (TypeError, ValueError) as error:
            raise FrameError(str(error)) from error
        if not self.fills:
            return frame
        copy = out if fits(out, frame.shape, frame.dtype) else np.empty_like(frame, order="C")
        np.copyto(copy, frame)
        return copy

    def close(self) -> None:
        """Close a generator, so that it releases its resources."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
