"""Where pictures go: video files, folders and pipes, each written by a thread of its own.

A writer has `write(picture, index, time)`, `finish()` and `abandon()`; in a `with` block the last
two are called at its end. Files appear under their
own name when they are finished, whole; until then they have a temporary name beside it, and
`abandon` removes that. A picture handed to `write` stays as it is until the next `write` has
returned.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import secrets
import shutil
import threading
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np

from .errors import VideoError

WRITERS = ("opencv", "pyav")
RAW_FORMATS = ("bgr24", "rgb24", "gray")
BUFFERS = 4  # pictures between the thread that draws and the one that writes
PATIENCE = 2.0  # seconds that `abandon` waits for a writer, whose pipe may be stuck
LEAST_FREE = 1 << 16  # bytes on the disk under which it counts as full
CHECKED_EVERY = 16  # pictures
LEAST_FPS, MOST_FPS = 0.01, 10_000.0
NO_PICTURE = "no picture was written"  # and players refuse files without any


T = TypeVar("T", bound="Closing")


class Closing:
    """In a `with` block: finished at its end, abandoned if an exception ends it."""

    def finish(self) -> None:
        """Complete the output and give it its name."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Leave nothing behind; does no harm twice, or after `finish`."""
        raise NotImplementedError

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            if kind is None:
                self.finish()
        except BaseException:
            self.abandon()
            raise
        if kind is not None:
            self.abandon()


class Writer(Protocol):
    """What every writer does. `counts` says what became of the pictures, for reports."""

    counts: dict[str, int]

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Write one picture, of the frame with this number and time.

        Parameters
        ----------
        picture : array (height, width, 3), uint8
            BGR. It must stay as it is until the next `write` has returned: give two arrays by
            turns, or a new one each time.
        index : int
        time : float
            Seconds; should increase.

        Raises
        ------
        ValueError
            It has another shape or type.
        VideoError
            It cannot be written.
        """

    def finish(self) -> None:
        """Complete the output and give it its name."""

    def abandon(self) -> None:
        """Leave nothing behind; does no harm twice, or after `finish`."""

    def __enter__(self) -> Writer:
        """Itself."""

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Finish, or abandon if there is an exception."""


class BackgroundWriter(Closing):
    """A writer on a thread of its own, with a queue of a few pictures in between.

    What goes wrong there is raised in the caller's thread, by the next call.

    Parameters
    ----------
    writer : Writer
    shape : tuple of int
        Of the pictures.
    dtype : data type

    Examples
    --------
    >>> import tempfile
    >>> from ittisal.video import BackgroundWriter, open_video
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = open_video(f"{folder}/grey.mp4", (64, 96), fps=25)
    ...     with BackgroundWriter(out, (64, 96, 3)) as writing:
    ...         for i in range(9):
    ...             picture = writing.buffer()
    ...             picture[...] = 20 * i
    ...             writing.write(picture, i, i / 25)
    >>> out.counts
    {'frames': 9, 'repeated': 0, 'left_out': 0}
    """

    def __init__(self, writer: Writer, shape: tuple[int, ...], dtype: Any = np.uint8) -> None:
        self.writer = writer
        self._free: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[np.ndarray, int, float] | None] = queue.SimpleQueue()
        for _ in range(BUFFERS):
            self._free.put(np.empty(shape, dtype))
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="ittisal writes", daemon=True)
        self._thread.start()

    def buffer(self) -> np.ndarray:
        """An array for the next picture, as soon as one is free.

        Raises
        ------
        OSError
            Writing failed.
        """
        self._raise()
        buffer = self._free.get()
        if buffer is None:
            self._free.put(None)  # for whoever asks again
            self._raise()
        assert buffer is not None
        return buffer

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Hand over what `buffer` gave, with the picture in it."""
        self._raise()
        self._full.put((picture, index, time))

    def finish(self) -> None:
        """Write what is waiting, then complete the output."""
        self._full.put(None)
        self._thread.join()
        self._raise()
        self.writer.finish()

    def abandon(self) -> None:
        """Stop, and leave nothing behind."""
        self._stopped = True
        self._full.put(None)
        self._thread.join(PATIENCE)
        self.writer.abandon()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        kept: np.ndarray | None = None  # the writer may still look at it
        try:
            while (item := self._full.get()) is not None and not self._stopped:
                self.writer.write(*item)
                if kept is not None:
                    self._free.put(kept)
                kept = item[0]
        except BaseException as error:
            self._error = error
            self._free.put(None)


class Named:
    """A file with a temporary name until it is whole.

    Parameters
    ----------
    path : Path
    temporary : Path
        Beside it, with the same suffix, by which libraries choose the container.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # Not tempfile: its files are private to the user, ours have the default permissions.
        name = f".ittisal-{secrets.token_hex(6)}.tmp{self.path.suffix}"
        self.temporary = self.path.parent / name

    def publish(self) -> None:
        """Give it its name."""
        os.replace(self.temporary, self.path)

    def remove(self) -> None:
        """Remove it, if it is there under its temporary name."""
        with contextlib.suppress(OSError):
            self.temporary.unlink()

    def failed(self, error: BaseException | str) -> VideoError:
        """The error that it cannot be written."""
        reason = error if isinstance(error, str) else getattr(error, "strerror", None) or error
        return VideoError(f"{self.path}: cannot be written: {' '.join(str(reason).split())}")

    def check_room(self) -> None:
        """Raise VideoError if the disk is full, which some libraries do not tell."""
        with contextlib.suppress(FileNotFoundError):
            if shutil.disk_usage(self.path.parent).free < LEAST_FREE:
                raise self.failed(os.strerror(errno.ENOSPC))


class FolderWriter(Closing):
    """A file for each picture, named by the frame's number: 000012.png, or .npy for arrays.

    Parameters
    ----------
    folder : path
        Made if need be. Files there with the same names are replaced, others are left alone.
    suffix : {".png", ".npy"}
        `.npy` takes arrays of any type, as the raw maps are.
    """

    def __init__(self, folder: str | os.PathLike[str], suffix: str = ".png") -> None:
        if suffix not in (".png", ".npy"):
            raise ValueError(f"suffix={suffix!r} is not .png or .npy")
        self.folder, self.suffix = Path(folder), suffix
        self.counts = {"frames": 0}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VideoError(f"{self.folder}: cannot be made: {error.strerror}") from error

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Write one file under a temporary name, then rename it."""
        file = Named(self.folder / f"{index:06}{self.suffix}")
        try:
            with open(file.temporary, "xb") as out:
                if self.suffix == ".npy":
                    np.save(out, picture)
                else:
                    out.write(_png(picture))
            file.publish()
        except BaseException as error:
            file.remove()
            if isinstance(error, OSError):
                raise file.failed(error) from error
            raise
        self.counts["frames"] += 1

    def finish(self) -> None:
        """Nothing: every file is whole."""

    def abandon(self) -> None:
        """Nothing: every file is whole."""


class RawWriter(Closing):
    """Raw video into a pipe or file: pictures one after another, with nothing in between.

    It has no times, so each picture is written once, however long it was shown.

    Parameters
    ----------
    file : binary file object
        It is flushed after each picture, and left open.
    pix_fmt : {"bgr24", "rgb24", "gray"}
        As ffmpeg calls it.
    """

    def __init__(self, file: BinaryIO, pix_fmt: str = "bgr24") -> None:
        if pix_fmt not in RAW_FORMATS:
            raise ValueError(f"pix_fmt={pix_fmt!r} is not one of {', '.join(RAW_FORMATS)}")
        self._file, self._format = file, pix_fmt
        self._buffer: np.ndarray | None = None
        self._shape: tuple[int, ...] | None = None
        self.counts = {"frames": 0}

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Write one picture; all have the shape of the first."""
        if self._shape is None:
            self._shape = picture.shape[:2]
        picture = checked(picture, self._shape)
        if self._format != "bgr24":
            import cv2

            grey = self._format == "gray"
            code = cv2.COLOR_BGR2GRAY if grey else cv2.COLOR_BGR2RGB
            self._buffer = picture = cv2.cvtColor(picture, code, dst=self._buffer)
        self._file.write(picture.data.cast("B"))
        self._file.flush()
        self.counts["frames"] += 1

    def finish(self) -> None:
        """Nothing: all is written."""

    def abandon(self) -> None:
        """Nothing can be taken back."""


def open_video(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    *,
    writer: str = "opencv",
    fps: float,
    sound: str | os.PathLike[str] | None = None,
    origin: float | None = None,
) -> Writer:
    """The writer of a video file.

    Parameters
    ----------
    path : path
        Its suffix chooses container and codec.
    size : (int, int)
        (height, width) of the pictures. Codecs want even numbers: a row or column is repeated
        where one is odd.
    writer : {"opencv", "pyav"}
        OpenCV writes constant frame rates: pictures are repeated or left out so that each is
        shown at its time to half a frame. PyAV, the extra `video`, keeps times exactly.
    fps : float
        Frames per second, from 0.01 to 10,000; nominal with PyAV.
    sound : path, optional
        A file whose sound is carried over. With PyAV only.
    origin : float, optional
        The time in seconds that is the file's beginning; by default the first picture's.

    Returns
    -------
    Writer
        An `OpenCVWriter` or `PyAVWriter`. The file has its name after `finish`, or at the end of a
        `with` block.

    Raises
    ------
    VideoError
        It cannot be written here, or not by this library.
    ValueError
        Size or frame rate are out of bounds, or there is no such writer.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_video(f"{folder}/grey.mp4", (64, 96), fps=25) as writer:
    ...         for i in range(9):
    ...             writer.write(np.full((64, 96, 3), 20 * i, np.uint8), i, i / 25)
    >>> writer.counts
    {'frames': 9, 'repeated': 0, 'left_out': 0}
    """
    if writer == "opencv":
        from .opencv_writer import OpenCVWriter

        if sound is not None:
            raise ValueError("OpenCV writes no sound; take writer='pyav'")
        return OpenCVWriter(path, size, fps, origin=origin)
    if writer == "pyav":
        from .pyav_writer import PyAVWriter

        return PyAVWriter(path, size, fps, sound=sound, origin=origin)
    raise ValueError(f"writer={writer!r} is not one of {', '.join(map(repr, WRITERS))}")


def check_rate(fps: float) -> None:
    """Raise ValueError if no video can have this frame rate."""
    if not LEAST_FPS <= fps <= MOST_FPS:  # also catches NaN
        raise ValueError(f"fps={fps} must be from {LEAST_FPS:g} to {MOST_FPS:g} frames per second")


def checked(picture: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The picture in one piece of memory; ValueError if it is not one of this (height, width)."""
    if picture.shape != (*size, 3) or picture.dtype != np.uint8:
        raise ValueError(
            f"picture has shape {picture.shape} and type {picture.dtype}; pictures here have shape "
            f"{(*size, 3)}, BGR, and type uint8"
        )
    return np.ascontiguousarray(picture)


class Evened:
    """Pictures with even sides: the last row and column repeated where need be.

    Raises
    ------
    ValueError
        The size is none, or a picture has another.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        if len(size) != 2 or not all(side == int(side) >= 1 for side in size):
            raise ValueError(f"size={size} must be (height, width), both at least 1 pixel")
        self._given = size
        self.size = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._odd = self.size != size
        self._buffers = [np.empty((*self.size, 3), np.uint8) for _ in range(2 if self._odd else 0)]

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The picture itself, or one in a buffer that stays as it is until the next but one."""
        picture = checked(picture, self._given)
        if not self._odd:
            return picture
        buffer = self._buffers.pop(0)
        self._buffers.append(buffer)
        height, width = picture.shape[:2]
        buffer[:height, :width] = picture
        buffer[:height, width:] = picture[:, -1:]
        buffer[height:] = buffer[height - 1 : height]
        return buffer


def _png(picture: np.ndarray) -> bytes:
    import cv2

    good, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not good:
        raise VideoError(f"OpenCV cannot encode a picture of shape {picture.shape} as PNG")
    return data.tobytes()
