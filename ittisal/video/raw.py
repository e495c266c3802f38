"""Raw video in a pipe: pictures one after another, with nothing in between."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import FrameError, VideoError
from .readers import fits

PIXEL_FORMATS = ("bgr24", "rgb24", "gray", "gray16le", "yuv420p", "nv12")  # as ffmpeg calls them


@dataclass(frozen=True)
class RawVideo:
    """A source for `stream`: raw video from a binary file, pipe or socket file.

    As from ``ffmpeg -i clip.mp4 -f rawvideo -pix_fmt bgr24 -``, or a camera's own program.

    Parameters
    ----------
    file : binary file object
        Open for reading; what it has not buffered is read past its buffer, so nothing may have
        been read from it before. It is left open.
    size : (int, int)
        (height, width) in pixels; both even for yuv420p and nv12.
    pix_fmt : {"bgr24", "rgb24", "gray", "gray16le", "yuv420p", "nv12"}
        As ffmpeg calls it. The last two become BGR; grey stays grey.
    fps : float, optional
        Frames per second, for the times; 25 by default.

    Raises
    ------
    TypeError, ValueError
        Not a binary file, or another format or size.

    Examples
    --------
    >>> import io, ittisal
    >>> from ittisal.video import RawVideo
    >>> pipe = io.BytesIO(bytes(2 * 64 * 96))
    >>> [r.time for r in ittisal.stream(RawVideo(pipe, (64, 96), "gray", fps=50))]
    [0.0, 0.02]
    """

    file: Any
    size: tuple[int, int]
    pix_fmt: str = "bgr24"
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.pix_fmt not in PIXEL_FORMATS:
            raise ValueError(f"pix_fmt={self.pix_fmt!r} is not one of {', '.join(PIXEL_FORMATS)}")
        try:
            height, width = (int(n) for n in self.size)
            if (height, width) != tuple(self.size) or min(height, width) < 1:
                raise ValueError
        except (TypeError, ValueError):
            raise ValueError(f"size={self.size!r} must be (height, width) in pixels") from None
        if self.pix_fmt in ("yuv420p", "nv12") and (height % 2 or width % 2):
            raise ValueError(
                f"size={self.size!r}: {self.pix_fmt} needs even numbers; have ffmpeg pad or crop, "
                "or take bgr24"
            )
        if not hasattr(self.file, "readinto") or isinstance(self.file, io.TextIOBase):
            raise TypeError(
                f"file is a {type(self.file).__name__}; give one open in binary mode, such as "
                "sys.stdin.buffer"
            )


class RawReader:
    """Frames read straight into an array given before, or into a buffer and converted.

    Parameters
    ----------
    video : RawVideo
    fps : float
        Where the video does not say.
    """

    fills = True
    time: float | None = None
    frames: int | None = None

    def __init__(self, video: RawVideo, fps: float) -> None:
        self.fps: float | None = video.fps or fps
        self.channel_order = "rgb" if video.pix_fmt == "rgb24" else "bgr"
        height, width = video.size
        # A thread that waits in a buffered file holds its lock, and at exit Python dies of that.
        self._file = getattr(video.file, "raw", video.file)
        self._conversion: str | None = None
        self.shape: tuple[int, ...] = (height, width, 3)
        self._dtype = np.dtype(np.uint8)
        stored: tuple[int, ...] = self.shape
        if video.pix_fmt in ("yuv420p", "nv12"):
            stored = (height * 3 // 2, width)
            self._conversion = "I420" if video.pix_fmt == "yuv420p" else "NV12"
        elif video.pix_fmt.startswith("gray"):
            stored = self.shape = (height, width)
            self._dtype = np.dtype("<u2" if video.pix_fmt == "gray16le" else "u1")
        self._buffer: np.ndarray = np.empty(stored, self._dtype)

    def grab(self) -> bool:
        """Read one picture; False at the end.

        Raises
        ------
        VideoError
            The pipe broke, or ended within a picture.
        """
        have, size = 0, self._buffer.nbytes
        view = self._buffer.data.cast("B")
        while have < size:
            try:
                count = self._file.readinto(view[have:])
            except (OSError, ValueError) as error:
                raise VideoError(f"the raw video cannot be read on: {error}") from error
            if count is None:  # a pipe that does not block has nothing yet
                _wait_readable(self._file)
                continue
            if not count:
                break
            have += count
        if 0 < have < size:
            raise FrameError(
                f"the raw video ends within this picture, after {have} of {size} bytes; are its "
                "size and pixel format right?"
            )
        return have == size

    def retrieve(self, out: np.ndarray | None) -> np.ndarray:
        """The picture last read. If `out` fits, it is what the next is read into."""
        native = self._dtype.newbyteorder("=")
        picture = out if fits(out, self.shape, native) else np.empty(self.shape, native)
        if self._conversion is not None:
            import cv2

            code = getattr(cv2, f"COLOR_YUV2BGR_{self._conversion}")
            cv2.cvtColor(self._buffer, code, dst=picture)
        elif self._dtype.isnative:
            picture, self._buffer = self._buffer, picture
        else:
            np.copyto(picture, self._buffer)
        return picture

    def close(self) -> None:
        """Nothing: the file is the caller's."""


def _wait_readable(file: Any) -> None:
    import select

    select.select([file], [], [], 1.0)
