"""Video files written by OpenCV, which knows constant frame rates only."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from .errors import VideoError
from .writers import CHECKED_EVERY, NO_PICTURE, Closing, Evened, Named, check_rate

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}


class OpenCVWriter(Closing):
    """Pictures in slots of one length.

    Each picture goes to the slot that is nearest to its time. Slots in between repeat the picture
    before; of several pictures for one slot the last is kept. So durations and times are right to
    half a slot, whatever the frame rate of the source.

    Parameters
    ----------
    path : path
        Ends in .mp4, .m4v, .mov, .mkv (MPEG-4 part 2) or .avi (Motion JPEG).
    size : (int, int)
        (height, width) of the pictures.
    fps : float
        Slots per second; `representable` says what becomes of it.
    origin : float, optional
        The time in seconds that is the file's beginning; by default the first picture's.

    Raises
    ------
    VideoError
        No such suffix or codec, or it cannot be written.
    ValueError
        Size or frame rate are out of bounds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        fps: float,
        *,
        origin: float | None = None,
    ) -> None:
        import cv2

        self._file = Named(path)
        suffix = self._file.path.suffix.lower()
        if suffix not in CODECS:
            raise VideoError(
                f"{path}: OpenCV writes {', '.join(CODECS)}; for others, and for exact times, take "
                "writer='pyav'"
            )
        check_rate(fps)
        self._even = Evened(size)
        self.fps, self.origin = representable(fps), origin
        self._next = 0  # the first slot that is not written
        self._waiting: np.ndarray | None = None  # the newest picture, for the slot after those
        self._slot = 0
        self.counts = {"frames": 0, "repeated": 0, "left_out": 0}
        code = cv2.VideoWriter.fourcc(*CODECS[suffix])
        self._writer: Any = cv2.VideoWriter(
            str(self._file.temporary), cv2.CAP_FFMPEG, code, self.fps, self._even.size[::-1]
        )
        if not self._writer.isOpened():
            self._file.remove()
            raise self._file.failed(
                f"OpenCV cannot open it with codec {CODECS[suffix]}; check that the directory is "
                "there and takes files, or try writer='pyav'"
            )

    @property
    def pictures(self) -> int:
        """How many slots are written."""
        return self._next

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Put the picture into the slot nearest to its time."""
        picture = self._even(picture)
        if self.origin is None:
            self.origin = time
        slot = max(round((time - self.origin) * self.fps), 0)
        if self._waiting is None:
            self._slot = slot
        elif slot <= self._slot:
            self.counts["left_out"] += 1
        else:
            self._fill(slot)
        self._waiting, self._slot = picture, max(slot, self._slot)
        self.counts["frames"] += 1
        if self.counts["frames"] % CHECKED_EVERY == 0:
            self._file.check_room()

    def _fill(self, until: int) -> None:
        """Write the waiting picture into all slots before this one."""
        count = max(until - self._next, 0)
        for _ in range(count):
            self._writer.write(self._waiting)
        self._next += count
        self.counts["repeated"] += max(count - 1, 0)

    def finish(self) -> None:
        """Write the last picture, close the file, see that it can be read, and name it.

        Raises
        ------
        VideoError
            It cannot be written, or no picture was: what has its name stays as it is.
        """
        if self._waiting is not None:
            self._fill(self._slot + 1)
            self._waiting = None
        self._writer.release()
        try:
            if not self.counts["frames"]:
                raise self._file.failed(NO_PICTURE)
            self._check()
            self._file.publish()
        except OSError as error:
            self._file.remove()
            raise error if isinstance(error, VideoError) else self._file.failed(error) from error

    def _check(self) -> None:
        """Read its count and its last picture back: OpenCV tells no errors of writing.

        An AVI that is cut short has the right count all the same, so both.
        """
        import cv2

        wanted = self._next
        capture = cv2.VideoCapture(str(self._file.temporary), cv2.CAP_FFMPEG)
        try:
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
            # Matroska has no count, only a duration, which may round.
            whole = count >= wanted - (1 if self._file.path.suffix.lower() == ".mkv" else 0)
            if whole and wanted:
                capture.set(cv2.CAP_PROP_POS_FRAMES, wanted - 1)
                whole = capture.grab()
        finally:
            capture.release()
        if not whole:
            self._file.check_room()
            raise self._file.failed(
                f"not all of its {wanted} frames can be read back; is the disk full?"
            )

    def abandon(self) -> None:
        """Close and remove the file."""
        self._writer.release()
        self._file.remove()


def representable(fps: float) -> float:
    """The frame rate that OpenCV writes for this one: a decimal fraction within 0.001 of it.

    Slots are counted in it, so that nothing drifts however long the video.

    Examples
    --------
    >>> [representable(fps) for fps in (25, 30000 / 1001, 12.3456)]
    [25.0, 29.97, 12.346]
    """
    base = 1
    while abs(math.floor(fps * base + 0.5) / base - fps) > 0.001:
        base *= 10
    return math.floor(fps * base + 0.5) / base
