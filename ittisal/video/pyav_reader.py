"""Files and network addresses through PyAV: FFmpeg with exact times, and most codecs."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from .readers import FrameError, VideoError, check_frame_size, import_av, reason, shown_frames, turn

MAX_FAULTS = 100  # packets in a row that cannot be decoded
NEAR = 250  # frames that are sooner decoded than sought past
REORDERED = 64  # packets that may still come with earlier times; codecs allow 16


class PyAVReader:
    """Frames of the first video stream of an open container, upright.

    `again` opens the container once more, if it can be sought in.
    """

    fills = True

    def __init__(
        self, container: Any, name: str, channel_order: str, again: Callable[[], Any] | None = None
    ) -> None:
        import av

        self._av: Any = av
        self._errors = (av.error.FFmpegError, OSError)
        self._container, self._name, self._again = container, name, again
        self._stream = video = container.streams.video[0]
        self.channel_order = channel_order
        self._format = f"{channel_order}24"
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._start = video.start_time or 0
        self.time: float | None = None
        rate = video.average_rate or video.guessed_rate
        self.fps: float | None = float(rate) if rate else None
        self.frames, self.counted = shown_frames(video.frames, self._estimate())
        self.damage = ""
        self._corrupt: set[int] = set()  # times of packets whose frames are to come
        self._frame: Any = None
        self._coming = self._decoded(container)

    @property
    def aspect(self) -> float:
        """Width over height of a pixel of the frame last grabbed, upright."""
        frame, video = self._frame, self._stream
        ratio = float(video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or 1)
        return 1 / ratio if frame is not None and frame.rotation // 90 % 2 else ratio

    def _estimate(self) -> float:
        """The number of frames by the duration of the stream, or the container; 0 if unknown."""
        video, container = self._stream, self._container
        if not self.fps:
            return 0.0
        if video.duration:
            return float(video.duration * video.time_base) * self.fps
        if container.duration:
            seconds = container.duration / self._av.time_base
            # Some count from 0 and not from the first frame: Matroska always does.
            whole = container.start_time == 0 or "matroska" in container.format.name
            begin = float(self._start * video.time_base) if whole else 0.0
            return max(seconds - begin, 0.0) * self.fps
        return 0.0

    def _decoded(self, container: Any) -> Iterator[Any]:
        """Frames, or the errors of packets that give none."""
        invalid = self._av.error.InvalidDataError
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        packets = container.demux(video)
        faults = 0
        while True:
            try:
                for packet in packets:
                    if packet.is_corrupt and packet.pts is not None:
                        self._corrupt.add(packet.pts)
                    for frame in packet.decode():
                        faults = 0
                        yield frame
                return
            except invalid as error:
                faults += 1
                if faults > MAX_FAULTS:
                    raise
                yield error

    def skip(self, first: int, start: float) -> int:
        """Go far ahead without decoding, where that is exact; see `Reader`."""
        near = start * (self.fps or 0) < NEAR or start == math.inf
        if self._again is None or (first < NEAR and near):
            return 0
        other = found = None
        with contextlib.suppress(*self._errors):
            other = self._again()
            found = _sought(other, first, start, self._decoded)
        if other is None or found is None:
            if other is not None:
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
        except self._errors as error:
            raise VideoError(f"{self._name}: reading failed: {reason(error)}") from error
        if frame is None:
            return False
        if isinstance(frame, Exception):
            raise FrameError(f"cannot be decoded: {reason(frame)}")
        self._frame = frame
        damaged = frame.is_corrupt or frame.pts in self._corrupt
        self.damage = "FFmpeg marks it as corrupt" if damaged else ""
        if self._corrupt and frame.pts is not None:
            self._corrupt = {time for time in self._corrupt if time > frame.pts}
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
        return turn(picture, frame.rotation // 90 % 4, out)  # quarters, anticlockwise

    def close(self) -> None:
        """Close the container."""
        self._frame = None
        self._coming = iter(())
        self._container.close()


def open_pyav(
    address: str, name: str, channel_order: str, timeout: float | None = None
) -> PyAVReader:
    """The reader of a file, or of an address that has to answer within `timeout` seconds."""
    av = import_av(name, "reader")
    try:
        container = av.open(address, timeout=timeout)
    except (av.error.FFmpegError, OSError) as error:
        what, hint = "not a video that FFmpeg can read, or a damaged one", ""
        if timeout is not None:
            what = "cannot be opened"
            hint = "; check address, name and password, and that it plays elsewhere"
        raise VideoError(f"{name}: {what}: {reason(error)}{hint}") from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"{name}: holds no video stream, though perhaps sound")
    video = container.streams.video[0]
    codec = video.codec_context  # None where FFmpeg knows none
    check_frame_size(codec.width if codec else 0, codec.height if codec else 0, address, name)
    again = partial(av.open, address) if timeout is None and os.path.isfile(address) else None
    return PyAVReader(container, name, channel_order, again)


def _sought(
    container: Any, first: int, start: float, decoded: Callable[[Any], Iterator[Any]]
) -> tuple[int, Iterator[Any]] | None:
    """Frames of a container from a key frame on, and how many come before; None if not sure.

    Containers are sought by time, to a key frame, and do not say what number it has. So the
    packets up to there are read, which is quick, and counted by their times. The key frame is at
    or before frame number `first`, or the first one shown `start` seconds after the stream's
    start, whichever is later. `decoded` makes the frames of a container.
    """
    stream = container.streams.video[0]
    if stream.time_base is None:
        return None
    origin = (stream.start_time or 0) + (0 if start < 0 else start / float(stream.time_base))
    shown: list[int] = []
    keys: list[int] = []
    beyond = 0
    for packet in container.demux(stream):
        if packet.is_discard or packet.size == 0:
            continue
        if packet.pts is None:
            return None
        shown.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
        beyond += len(shown) > first + 1 and packet.pts >= origin
        if beyond > REORDERED:
            break
    shown.sort()
    target = min(max(first, bisect_left(shown, origin)), len(shown) - 1)
    if target < NEAR or len(set(shown)) < len(shown):
        return None
    # One key frame more than needed: what follows the last in order may need the one before.
    usable = sorted(key for key in keys if key <= shown[target])[:-1]
    if not usable or bisect_left(shown, usable[-1]) < NEAR // 2:
        return None
    container.seek(usable[-1], stream=stream, backward=True)
    frames = decoded(container)
    begun = list(itertools.islice(frames, 2))
    if len(begun) < 2 or any(getattr(frame, "pts", None) is None for frame in begun):
        return None
    passed = bisect_left(shown, begun[0].pts)
    if passed > target or [frame.pts for frame in begun] != shown[passed : passed + 2]:
        return None
    return passed, itertools.chain(begun, frames)
