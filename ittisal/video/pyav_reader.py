"""Files and network addresses through PyAV: FFmpeg with exact times, and most codecs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .errors import FrameError, VideoError, reason
from .pyav_seeking import NEAR, sought
from .readers import TRIMMED
from .upright import turn

MAX_FAULTS = 100  # packets in a row that cannot be decoded


class PyAVReader:
    """Frames of the first video stream of a container, upright.

    Parameters
    ----------
    container : av.container.InputContainer
        Open; it is closed by `close`.
    name : str
        For messages.
    channel_order : {"rgb", "bgr"}
        What the frames are decoded to.
    again : callable, optional
        Opens the container once more, if it can be sought in.
    """

    fills = True

    def __init__(
        self,
        container: Any,
        name: str,
        channel_order: str,
        again: Callable[[], Any] | None = None,
    ) -> None:
        import av

        self._av: Any = av
        self._container, self._name, self._again = container, name, again
        self._stream = video = container.streams.video[0]
        self.channel_order = channel_order
        self._format = f"{channel_order}24"
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._lying: np.ndarray | None = None
        self._start = video.start_time or 0
        self.time: float | None = None
        rate = video.average_rate or video.guessed_rate
        self.fps: float | None = float(rate) if rate else None
        estimate = self._estimate()
        # A file trimmed without coding anew still counts the frames that are not shown.
        self.counted = video.frames > 0 and not 0 < estimate < video.frames * TRIMMED - 1
        self.frames: int | None = (video.frames if self.counted else estimate) or None
        self._frame: Any = None
        self._coming = self._decoded(container)

    def _estimate(self) -> int:
        """The number of frames by the duration of the stream, or the container; 0 if unknown."""
        video, container = self._stream, self._container
        if not self.fps:
            return 0
        if video.duration:
            return round(float(video.duration * video.time_base) * self.fps)
        if container.duration:
            seconds = container.duration / self._av.time_base
            # Some count from 0 and not from the first frame: Matroska always does.
            whole = container.start_time == 0 or "matroska" in container.format.name
            begin = float(self._start * video.time_base) if whole else 0.0
            return round(max(seconds - begin, 0) * self.fps)
        return 0

    def _decoded(self, container: Any) -> Iterator[Any]:
        """Frames, or the errors of packets that give none."""
        invalid = self._av.error.InvalidDataError
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        packets = container.demux(video)
        faults = 0
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                for frame in packet.decode():
                    faults = 0
                    yield frame
            except invalid as error:
                faults += 1
                if faults > MAX_FAULTS:
                    raise
                yield error

    def skip(self, first: int, start: float) -> int:
        """Go far ahead without decoding, where that is exact; see `Skipping`."""
        near = start * (self.fps or 0) < NEAR or start == math.inf
        if self._again is None or (first < NEAR and near):
            return 0
        try:
            other = self._again()
        except (self._av.error.FFmpegError, OSError):
            return 0
        try:
            found = sought(other, first, start, self._decoded)
        except (self._av.error.FFmpegError, OSError):
            found = None
        if found is None:
            other.close()
            return 0
        passed, coming = found
        self.close()
        self._container, self._stream, self._coming = other, other.streams.video[0], coming
        return passed

    def grab(self) -> bool:
        """Decode the next frame; False at the end."""
        try:
            frame = next(self._coming, None)
        except (self._av.error.FFmpegError, OSError) as error:
            raise VideoError(f"{self._name}: reading failed: {reason(error)}") from error
        if frame is None:
            return False
        if isinstance(frame, Exception):
            raise FrameError(f"cannot be decoded: {reason(frame)}")
        self._frame = frame
        self.time = (
            None if frame.pts is None else float((frame.pts - self._start) * frame.time_base)
        )
        return True

    def retrieve(self, out: np.ndarray | None) -> np.ndarray:
        """The frame last grabbed, uint8 of shape (H, W, 3)."""
        frame = self._frame
        try:
            plain = self._reformatter.reformat(frame, format=self._format)
        except (self._av.error.FFmpegError, ValueError) as error:
            raise FrameError(f"cannot be converted: {reason(error)}") from error
        plane = plain.planes[0]
        height, width = plain.height, plain.width
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        picture = rows[:, : width * 3].reshape(height, width, 3)  # a view: rows are padded
        quarters = frame.rotation // 90 % 4  # anticlockwise
        return turn(picture, quarters, out)

    def close(self) -> None:
        """Close the container."""
        self._frame = None
        self._coming = iter(())
        self._container.close()


def open_pyav(
    address: str, name: str, channel_order: str, timeout: float | None = None
) -> PyAVReader:
    """The reader of a file, or of an address that has to answer within `timeout` seconds.

    Raises
    ------
    VideoError
        PyAV is not installed, or it is no video.
    """
    try:
        import av
    except ImportError as error:
        raise VideoError(
            f"{name}: the reader pyav needs PyAV, which cannot be imported ({error}); "
            "pip install 'ittisal[video]', or take the reader opencv"
        ) from error
    try:
        container = av.open(address, timeout=timeout)
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(
            f"{name}: not a video that FFmpeg can read, or a damaged one: {reason(error)}"
        ) from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{name}: holds no video stream, though perhaps sound")
    again = partial(av.open, address) if timeout is None and os.path.isfile(address) else None
    return PyAVReader(container, name, channel_order, again)
