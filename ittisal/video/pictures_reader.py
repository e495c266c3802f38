"""Pictures in files, one frame each, in the order in which people number them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..frames import check_frame
from .errors import FrameError

SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
_NUMBER = re.compile(r"(\d+)")


def natural(name: str) -> list[Any]:
    """A key for sorting by the numbers within names, not by their digits.

    Examples
    --------
    >>> sorted(["f10.png", "f9.png", "F1.png"], key=natural)
    ['F1.png', 'f9.png', 'f10.png']
    """
    # Text and numbers alternate, so that like is compared with like; the name settles ties.
    parts = _NUMBER.split(name.casefold())
    return [[int(p) if i % 2 else p for i, p in enumerate(parts)], name]


class PicturesReader:
    """Image files as frames, upright, in BGR or grey, 8 or 16 bits; alpha is left out.

    Parameters
    ----------
    paths : iterable of str
        In order.
    fps : float
        Frames per second, since pictures have no times.
    """

    channel_order = "bgr"
    fills = False
    time: float | None = None

    def __init__(self, paths: Iterable[str], fps: float) -> None:
        self._paths = list(paths)
        self._place = -1
        self.fps: float | None = fps
        self.frames: int | None = len(self._paths)

    def grab(self) -> bool:
        """Move on to the next file, which is not opened yet."""
        self._place += 1
        return self._place < len(self._paths)

    def retrieve(self, out: np.ndarray | None) -> np.ndarray:
        """The picture in the file; FrameError if it cannot be read."""
        import cv2

        path = self._paths[self._place]
        try:
            with open(path, "rb") as file:  # by Python: cv2.imread fails on some names
                data = file.read()
        except OSError as error:
            raise FrameError(f"{path} cannot be read: {error.strerror}") from error
        if not data:
            raise FrameError(f"{path} is empty (0 bytes)")
        try:
            flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            raise FrameError(f"{path} cannot be decoded: {error.err}") from error
        if picture is None:
            raise FrameError(f"{path} is not a picture, or damaged")
        try:
            return check_frame(picture)
        except (TypeError, ValueError) as error:
            raise FrameError(f"{path}: {error}") from error

    def close(self) -> None:
        """Nothing is held."""
