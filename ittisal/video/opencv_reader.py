"""Files, cameras and network addresses through OpenCV, whose frames are BGR."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..diagnostics import heard, summary
from ..files import utf8
from .readers import FrameError, VideoError, check_frame_size, reason, shown_frames, turn

ATTEMPTS = 16  # a damaged packet makes OpenCV say "end"; asked again, it goes on
MAX_FRAMES = 1 << 40  # some containers "count" -2^63 or more frames than ever were
MATROSKA = b"\x1a\x45\xdf\xa3"  # what its files begin with, WebM's too


@dataclass(frozen=True)
class Header:
    """What a file says of itself that OpenCV does not pass on."""

    matroska: bool = False
    mp4: bool = False
    seconds: float | None = None  # how long an MP4 is shown, edit lists taken into account


def header(path: str) -> Header:
    """The header of a file; of a pipe, which can be read once only, nothing is known."""
    if not os.path.isfile(path):
        return Header()
    with open(path, "rb") as file:
        begin = file.read(8)
        if begin[4:] != b"ftyp":
            return Header(matroska=begin.startswith(MATROSKA))
        return Header(mp4=True, seconds=_mp4_seconds(file))


def _mp4_seconds(file: BinaryIO) -> float | None:
    """The duration in an MP4's movie header; None if unknown."""
    end = file.seek(0, os.SEEK_END)
    movie = _find_box(file, b"moov", 0, end)
    found = _find_box(file, b"mvhd", *movie) if movie else None
    if found is None:
        return None
    file.seek(found[0])
    data = file.read(32)
    if len(data) < 32:
        return None
    # Version 1 has times of 64 bits: two of them come before the unit, which has 32 anyhow.
    unit, size = (20, 8) if data[0] == 1 else (12, 4)
    ticks = int.from_bytes(data[unit : unit + 4], "big")
    length = int.from_bytes(data[unit + 4 : unit + 4 + size], "big")
    unknown = not length or length == (1 << 8 * size) - 1
    return None if unknown or not ticks else length / ticks


def _find_box(file: BinaryIO, kind: bytes, place: int, end: int) -> tuple[int, int] | None:
    """Where the contents of the first box of this kind begin and end."""
    while place + 8 <= end:
        file.seek(place)
        head = file.read(16)
        size, begin = int.from_bytes(head[:4], "big"), place + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), place + 16
        after = end if size == 0 else place + size
        if after < begin:
            return None
        if head[4:8] == kind:
            return begin, min(after, end)
        place = after
    return None


class OpenCVReader:
    """Frames of an open `cv2.VideoCapture`, which is released by `close`.

    Pictures that a phone took sideways are turned upright; here, since OpenCV would make a new
    array for each. `timed` is whether it knows presentation times; cameras do not.
    """

    channel_order = "bgr"
    fills = True

    def __init__(self, capture: Any, name: str, *, timed: bool, header: Header = Header()) -> None:
        import cv2

        self._capture, self._name, self._timed = capture, name, timed
        self._position = cv2.CAP_PROP_POS_MSEC
        self._faults = cv2.error
        self.time: float | None = None
        self.damage = ""
        self._place = -1  # the number of the frame last grabbed
        self._ahead = False  # whether that is to be given the next time, after one that is lost
        self._quarters = _quarters(capture)
        self._lying: np.ndarray | None = None
        fps, count = (capture.get(p) for p in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.fps: float | None = fps if 0 < fps < 10_000 else None
        estimate = (header.seconds or 0.0) * (self.fps or 0.0)
        known = timed and 0 < count < MAX_FRAMES
        self.frames, sure = shown_frames(int(count), estimate) if known else (None, False)
        self.counted = sure and header.mp4
        self.aspect = _aspect(capture, self._quarters) if timed else 1.0
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
        said = summary(heard())
        self.damage = said and f"FFmpeg, which decodes some frames ahead, says: {said}"
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
    capture = _open(path, *_by_ffmpeg(0))
    if capture is None:
        raise VideoError(
            f"{name}: not a video that OpenCV can read, or a damaged one; try the reader pyav, "
            "or see what `ffprobe` says about it"
        )
    sides = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    check_frame_size(*sides, path, name)
    return OpenCVReader(capture, name, timed=True, header=header(path))


def open_address(address: str, name: str, timeout: float) -> OpenCVReader:
    """The reader of a network stream; VideoError if it cannot be opened within `timeout` s."""
    began = time.monotonic()
    capture = _open(address, *_by_ffmpeg(timeout))
    if capture is None:
        waited = time.monotonic() - began >= timeout
        raise VideoError(
            f"{name}: {f'no answer within {timeout:g} s' if waited else 'cannot be opened'}; check "
            "address, name and password, and that it plays elsewhere"
        )
    known = Header(matroska=address.lower().endswith((".mkv", ".webm")))
    return OpenCVReader(capture, name, timed=True, header=known)


def open_camera(index: int | str, name: str) -> OpenCVReader:
    """The reader of a camera by number or device path; VideoError if there is none."""
    import cv2

    capture = _open(index)
    if capture is None:
        raise VideoError(
            f"{name}: there is no such camera, it is in use, or access is not permitted; "
            "cameras are numbered from 0"
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where it is heeded, no old frames wait in a queue
    return OpenCVReader(capture, name, timed=False)


def _by_ffmpeg(timeout: float) -> tuple[int, list[int]]:
    """Arguments of a capture by FFmpeg, which waits for so many seconds at most; 0: no limit."""
    import cv2

    limit = math.ceil(timeout * 1000)  # in ms
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
    return cv2.CAP_FFMPEG, limits


def _open(source: int | str, *arguments: Any) -> Any:
    """An open capture, or None."""
    import cv2

    heard()  # what was said of another
    if isinstance(source, str):
        utf8(source)
    try:
        capture = cv2.VideoCapture(source, *arguments)
    except (cv2.error, OverflowError):  # a number that no camera can have, too
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


def _aspect(capture: Any, quarters: int) -> float:
    """Width over height of a pixel once the picture is upright."""
    import cv2

    across, down = (capture.get(p) for p in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    if not (across > 0 and down > 0):
        return 1.0
    return down / across if quarters % 2 else across / down
