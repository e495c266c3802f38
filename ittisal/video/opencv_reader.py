"""Files, cameras and network addresses through OpenCV, whose frames are BGR."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import FrameError, VideoError, reason
from .headers import Header, header
from .readers import TRIMMED
from .upright import turn

ATTEMPTS = 16  # a damaged packet makes OpenCV say "end"; asked again, it goes on
UNKNOWN = Header()
MAX_FRAMES = 1 << 40  # some containers "count" -2^63 or more frames than ever were


class OpenCVReader:
    """Frames of a `cv2.VideoCapture`.

    Pictures that a phone took sideways are turned upright; here, since OpenCV would make a new
    array for each.

    Parameters
    ----------
    capture : cv2.VideoCapture
        Open; it is released by `close`.
    name : str
        For messages.
    timed : bool
        Whether it knows presentation times; cameras do not.
    header : Header
        What is known of a file besides.
    """

    channel_order = "bgr"
    fills = True

    def __init__(self, capture: Any, name: str, *, timed: bool, header: Header = UNKNOWN) -> None:
        import cv2

        self._capture, self._name, self._timed = capture, name, timed
        self._position = cv2.CAP_PROP_POS_MSEC
        self._faults = cv2.error
        self.time: float | None = None
        self._place = -1  # the number of the frame last grabbed
        self._ahead = False  # whether that is to be given the next time, after one that is lost
        self._quarters = _quarters(capture)
        self._lying: np.ndarray | None = None
        fps, frames = (capture.get(p) for p in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.fps: float | None = fps if 0 < fps < 10_000 else None
        self.frames: int | None = int(frames) if timed and 0 < frames < MAX_FRAMES else None
        self.counted = header.mp4 and self.frames is not None
        if self.frames is not None and self.fps is not None and header.seconds is not None:
            shown = round(header.seconds * self.fps)
            if shown < self.frames * TRIMMED - 1:
                self.frames, self.counted = shown, False
        if self.frames is not None and header.matroska:
            self._leave_out_start(self.frames)

    def _leave_out_start(self, frames: int) -> None:
        """Count from the first frame, which is grabbed to learn when it is shown."""
        import cv2

        first = getattr(cv2, "CAP_PROP_PTS", None)  # in frames; younger than OpenCV 4.10
        if first is not None and self._grab():
            self._place, self._ahead = 0, True
            self.frames = max(frames - max(round(self._capture.get(first)), 0), 1)

    def grab(self) -> bool:
        """Move on to the next frame; False at the end, or when a camera has gone."""
        if self._ahead:
            self._ahead = False
            return True
        if self._grab():
            self._place += 1
            return True
        if self.frames is not None and self._place + 1 >= self.frames:
            return False
        for _ in range(ATTEMPTS):
            if self._grab():
                self._ahead = True
                self._place += 2
                raise FrameError("cannot be decoded; the file or the transmission is damaged")
        return False

    def _grab(self) -> bool:
        try:
            if not self._capture.grab():
                return False
        except self._faults as error:
            raise VideoError(f"{self._name}: reading failed: {reason(error)}") from error
        if self._timed:  # after the grab this is the time of the frame grabbed
            self.time = self._capture.get(self._position) / 1e3
        return True

    def retrieve(self, out: np.ndarray | None) -> np.ndarray:
        """The frame last grabbed, uint8 of shape (H, W, 3)."""
        lies = self._quarters != 0
        try:
            good, frame = self._capture.retrieve(self._lying if lies else out)
        except self._faults as error:
            raise FrameError(f"cannot be decoded: {reason(error)}") from error
        if not good or frame is None:
            raise FrameError("cannot be decoded")
        if lies:
            self._lying = frame
            return turn(frame, self._quarters, out)
        return frame

    def close(self) -> None:
        """Release file or device."""
        self._capture.release()


def open_file(path: str, name: str) -> OpenCVReader:
    """The reader of a file that is there and can be read; VideoError if it holds no video."""
    import cv2

    # No limit on waiting: a named pipe may be silent for as long as it likes.
    capture = _open(path, cv2.CAP_FFMPEG, timeout=0)
    if capture is None:
        raise VideoError(
            f"{name}: not a video that OpenCV can read, or a damaged one; try the reader pyav, "
            "or see what `ffprobe` says about it"
        )
    return OpenCVReader(capture, name, timed=True, header=header(path))


def open_address(address: str, name: str, timeout: float) -> OpenCVReader:
    """The reader of a network stream; VideoError if nothing answers within `timeout` seconds."""
    import cv2

    capture = _open(address, cv2.CAP_FFMPEG, timeout=max(round(timeout * 1000), 1))
    if capture is None:
        raise VideoError(
            f"{name}: nothing that OpenCV can read answers there within {timeout:g} s; check "
            "address, name and password, and that it plays elsewhere"
        )
    known = Header(matroska=address.lower().endswith((".mkv", ".webm")))
    return OpenCVReader(capture, name, timed=True, header=known)


def open_camera(index: int | str, name: str) -> OpenCVReader:
    """The reader of a camera by number or device path; VideoError if there is none."""
    import cv2

    capture = cv2.VideoCapture(index)
    if not capture.isOpened():
        capture.release()
        raise VideoError(
            f"{name}: there is no such camera, it is in use, or access is not permitted; "
            "cameras are numbered from 0"
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where it is heeded, no old frames wait in a queue
    return OpenCVReader(capture, name, timed=False)


def _open(address: str, backend: int, timeout: int) -> Any:
    """An open capture with both of its timeouts in ms (0: none), or None."""
    import cv2

    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout]
    try:
        capture = cv2.VideoCapture(address, backend, limits)
    except cv2.error:
        return None
    if capture.isOpened():
        return capture
    capture.release()
    return None


def _quarters(capture: Any) -> int:
    """How many quarters anticlockwise the pictures have to be turned; OpenCV then leaves them."""
    import cv2

    clockwise = capture.get(cv2.CAP_PROP_ORIENTATION_META)
    if clockwise not in (90, 180, 270) or not capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0):
        return 0
    return int(360 - clockwise) // 90
