"""Readers: what each gives and how it fails, and those of arrays, picture files and raw video.

Those of videos, cameras and addresses are in `opencv_reader` and `pyav_reader`.
"""

from __future__ import annotations

import io
import operator
import os
import select
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np

from .. import bounds
from ..frames import check_frame, composite
from ..imagefiles import ImageError, decode_picture

# If no more than this fraction of the frames counted in a file is shown, the file was trimmed.
TRIMMED = 0.995
PIXEL_FORMATS = ("bgr24", "rgb24", "gray", "gray16le", "yuv420p", "nv12")  # as ffmpeg calls them
REASONS = {  # what FFmpeg says, in a sentence
    "Immediate exit requested": "there was no answer in time",
    "Input/output error": "the connection or the device failed",
}


class VideoError(OSError):
    """A source or an output cannot be opened, read or written; the message says what to do."""


class FrameError(VideoError):
    """One frame cannot be read: it is reported and counted, and the rest go on."""


class NothingWanted(VideoError):
    """The source has frames, but none of those asked for."""


def reason(error: BaseException | str) -> str:
    """Why, on one line: as the system, OpenCV or FFmpeg says it, without what surrounds that.

    Examples
    --------
    >>> reason(OSError(28, "No space left on device", "a.mp4"))
    'No space left on device'
    """
    said = getattr(error, "strerror", None) or getattr(error, "err", None) or error
    line = " ".join(str(said).split())
    return REASONS.get(line, line)


def import_av(name: Any, option: str) -> Any:
    """PyAV, as the "reader" or "writer" of a file; VideoError if it cannot be imported."""
    try:
        import av
    except ImportError as error:
        raise VideoError(
            f"{name}: {option}='pyav' needs PyAV, which cannot be imported ({error}); "
            f"pip install 'ittisal[video]', or take {option}='opencv'"
        ) from error
    return av


def check_frame_size(width: float, height: float, path: str, name: str) -> None:
    """VideoError if frames are larger than a file may state; see `bounds`. Others pass."""
    if os.path.isfile(path):
        excess = bounds.excess(int(width), int(height), os.path.getsize(path))
        if excess:
            raise VideoError(f"{name}: {excess}")


class Reader(Protocol):
    """An open source. Used by one thread at a time; `close` by the same one.

    `grab` moves on to the next frame, which costs as little as it can, and `retrieve` gives its
    picture. A reader may also have these:

    - `skip(first, start)` passes over frames before the first `grab` without decoding them and
      returns how many, exactly: at most those before frame number `first`, or before the first
      one shown at `start` seconds or after, whichever is later; 0 where it is not sure;
    - `counted`: whether `frames` is a count rather than an estimate;
    - `file`: the path of the picture last grabbed;
    - `aspect`: the width of a pixel over its height, where that is not 1;
    - `damage`: what the decoder says of the frame last retrieved, which it gave all the same.
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

        Or another one, in place of which the reader uses `out` for frames to come.

        Raises
        ------
        FrameError, VideoError
            As for `grab`.
        """

    def close(self) -> None:
        """Release file or device, if any; closing twice does no harm."""
        return None


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
        Whether it may be opened again when it has vanished.
    threaded : bool
        Whether a thread may read it ahead: not an iterable, which is the caller's code.
    patience : bool
        Whether it may be silent for ever, as a file or a pipe on which nobody writes yet.
    path : str
        Of a video file, to see in the end whether it was cut short.
    """

    name: str
    open: Callable[[], Reader]
    live: bool | None = False
    again: bool = False
    threaded: bool = True
    patience: bool = True
    path: str = ""


def fits(out: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> TypeGuard[np.ndarray]:
    """Whether a frame of this shape and type can be written into `out` as it is."""
    return (
        out is not None
        and out.shape == shape
        and out.dtype == dtype
        and out.flags.c_contiguous
        and out.flags.writeable
    )


def turn(frame: np.ndarray, quarters: int, out: np.ndarray | None) -> np.ndarray:
    """The frame turned by quarters anticlockwise (0 to 3), in `out` if that fits, else a new array.

    `out` must not overlap the frame.
    """
    import cv2

    height, width = frame.shape[:2]
    shape = (width, height, *frame.shape[2:]) if quarters % 2 else frame.shape
    if not fits(out, shape, frame.dtype):
        out = np.empty(shape, frame.dtype)
    if quarters == 0:
        np.copyto(out, frame)
        return out
    code = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)[quarters - 1]
    cv2.rotate(frame, code, dst=out)
    return out


def shown_frames(counted: int, estimate: float) -> tuple[int | None, bool]:
    """How many frames of a file are shown, and whether that is a count.

    `counted` is the container's number, `estimate` duration times frame rate; 0 if unknown. A file
    trimmed without coding it again still counts the frames that are not shown, so that a shorter
    duration is believed.

    Examples
    --------
    >>> shown_frames(250, 250.2), shown_frames(250, 100), shown_frames(0, 99.6), shown_frames(0, 0)
    ((250, True), (100, False), (100, False), (None, False))
    """
    if counted > 0 and not 0 < round(estimate) < counted * TRIMMED - 1:
        return counted, True
    return round(estimate) or None, False


class ArrayReader:
    """The arrays of an iterable as frames.

    Grey stays grey; what has alpha is composited over white. With `copies` frames are copied: the
    next is asked for while this one is still in use, and many a camera fills one array over and
    over.
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
        getattr(self._iterator, "close", lambda: None)()


class PicturesReader(Reader):
    """Image files as frames, upright, in BGR or grey, 8 or 16 bits; alpha is left out."""

    channel_order = "bgr"
    fills = False
    time: float | None = None
    file = damage = ""

    def __init__(self, paths: list[str], fps: float) -> None:
        self._paths = iter(paths)
        self.fps: float | None = fps
        self.frames: int | None = len(paths)

    def grab(self) -> bool:
        """Move on to the next file, which is not opened yet."""
        self.file, self.damage = next(self._paths, ""), ""
        return bool(self.file)

    def retrieve(self, out: np.ndarray | None) -> np.ndarray:
        """The picture in the file; FrameError if it cannot be read."""
        import cv2

        path = self.file
        try:
            flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
            data = Path(path).read_bytes()  # by Python: cv2.imread fails on some names
            return check_frame(decode_picture(data, self._report, flags=flags))
        except FileNotFoundError as error:
            raise FrameError(f"{path} is missing") from error
        except OSError as error:
            raise FrameError(f"{path} cannot be read: {reason(error)}") from error
        except (ImageError, TypeError, ValueError) as error:
            raise FrameError(f"{path} {reason(error)}") from error

    def _report(self, said: str) -> None:
        self.damage = said


@dataclass(frozen=True)
class RawVideo:
    """A source for `stream`: raw video from a binary file, pipe or socket file.

    As from ``ffmpeg -i clip.mp4 -f rawvideo -pix_fmt bgr24 -``, or a camera's program.

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
            height, width = (operator.index(n) for n in self.size)
        except (TypeError, ValueError):
            height = width = 0
        if min(height, width) < 1:
            raise ValueError(f"size={self.size!r} must be (height, width) in pixels")
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

    @property
    def name(self) -> str:
        """Of the file, for messages."""
        name = getattr(self.file, "name", None)
        if name in ("<stdin>", 0):  # 0: opened by its number
            return "standard input"
        return name if isinstance(name, str) else "the raw video"


class RawReader(Reader):
    """Frames read straight into an array given before, or into a buffer and converted."""

    fills = True
    time: float | None = None
    frames: int | None = None

    def __init__(self, video: RawVideo, fps: float) -> None:
        self.fps: float | None = video.fps or fps
        self.channel_order = "rgb" if video.pix_fmt == "rgb24" else "bgr"
        height, width = video.size
        # A thread that waits in a buffered file holds its lock, and at exit Python dies of that.
        self._file = getattr(video.file, "raw", video.file)
        self._conversion = {"yuv420p": "I420", "nv12": "NV12"}.get(video.pix_fmt)
        grey = video.pix_fmt.startswith("gray")
        self._shape = (height, width) if grey else (height, width, 3)
        self._dtype = np.dtype("<u2" if video.pix_fmt == "gray16le" else "u1")
        stored = (height * 3 // 2, width) if self._conversion else self._shape
        self._buffer: np.ndarray = np.empty(stored, self._dtype)

    def grab(self) -> bool:
        """Read one picture; False at the end."""
        have, size = 0, self._buffer.nbytes
        view = self._buffer.data.cast("B")
        while have < size:
            try:
                count = self._file.readinto(view[have:])
            except (OSError, ValueError) as error:
                raise VideoError(f"the raw video cannot be read on: {error}") from error
            if count is None:  # a pipe that does not block has nothing yet
                select.select([self._file], [], [], 1.0)
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
        picture = out if fits(out, self._shape, native) else np.empty(self._shape, native)
        if self._conversion is not None:
            import cv2

            code = getattr(cv2, f"COLOR_YUV2BGR_{self._conversion}")
            cv2.cvtColor(self._buffer, code, dst=picture)
        elif self._dtype.isnative:
            picture, self._buffer = self._buffer, picture
        else:
            np.copyto(picture, self._buffer)
        return picture
