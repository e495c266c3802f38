"""Where pictures go: folders and pipes (video files are in `video_files`), on a thread.

Files appear under their name when they are finished, whole; `abandon` removes what there is.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np

from ..files import atomic
from .readers import VideoError, reason

RAW_FORMATS = ("bgr24", "rgb24", "gray")
BUFFERS = 4  # pictures between the thread that draws and the one that writes
PATIENCE = 2.0  # seconds that `abandon` waits for a writer, whose pipe may be stuck

T = TypeVar("T", bound="Writer")


class Writer(Protocol):
    """What every writer does. In a `with` block: finished at its end, abandoned at an exception.

    `counts` says what became of the pictures, for reports.
    """

    counts: dict[str, int] = {}  # noqa: RUF012

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Write one picture, of the frame with this number and time.

        Parameters
        ----------
        picture : array (height, width, 3), uint8
            BGR. It must not change until the next `write` has returned: give two arrays by turns,
            or a new one each time.
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
        """Complete the output and give it its name, if that is left to do."""
        return None

    def abandon(self) -> None:
        """Leave nothing half written behind; does no harm twice, or after `finish`."""
        return None

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.abandon()


@contextlib.contextmanager
def writing(path: Any, errors: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """In this block, errors become a VideoError that the file cannot be written, and why."""
    try:
        yield
    except VideoError:
        raise
    except errors as error:
        raise VideoError(f"{path}: cannot be written: {reason(error)}") from error


def checked(picture: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The picture in one piece of memory; ValueError if it is not one of this (height, width)."""
    if picture.shape != (*size, 3) or picture.dtype != np.uint8:
        raise ValueError(
            f"picture has shape {picture.shape} and type {picture.dtype}; pictures here have shape "
            f"{(*size, 3)}, BGR, and type uint8"
        )
    return np.ascontiguousarray(picture)


class BackgroundWriter(Writer):
    """A writer on a thread, with a queue of a few pictures in between.

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
        """An array for the next picture, as soon as one is free; OSError if writing failed."""
        self._raise()
        buffer = self._free.get()
        self._raise()
        assert buffer is not None
        return buffer

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Queue what `buffer` gave, with the picture in it."""
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
        if not self._thread.is_alive():  # else it does so when it wakes: encoders take one thread
            self.writer.abandon()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        last: np.ndarray | None = None  # the writer may still look at it
        try:
            while (item := self._full.get()) is not None and not self._stopped:
                self.writer.write(*item)
                if last is not None:
                    self._free.put(last)
                last = item[0]
        except BaseException as error:
            self._error = error
            self._free.put(None)
        if self._stopped:
            self.writer.abandon()


class FolderWriter(Writer):
    """A file for each picture, named by the frame's number: 000012.png, or .npy for any array.

    The folder is made if need be, with the first file or at the end. Without `clobber`, files that
    are there are left as they are.
    """

    def __init__(
        self, folder: str | os.PathLike[str], suffix: str = ".png", *, clobber: bool = True
    ) -> None:
        self.folder, self.suffix, self._clobber = Path(folder), suffix, clobber
        self.counts = {"frames": 0}

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Write one file."""
        path = self.folder / f"{index:06}{self.suffix}"
        if not self._clobber and path.exists():
            return
        with writing(path), atomic(path) as temporary, open(temporary, "xb") as out:
            if self.suffix == ".npy":
                np.save(out, picture)
            else:
                out.write(_png(picture))
        self.counts["frames"] += 1

    def finish(self) -> None:
        """Make the folder, if there was no picture."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)


class RawWriter(Writer):
    """Raw video into a pipe or file: pictures one after another, with nothing in between.

    It has no times, so each picture is written once, however long it was shown. The file is flushed
    after each, and left open.
    """

    def __init__(self, file: BinaryIO, pix_fmt: str = "bgr24") -> None:
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


def _png(picture: np.ndarray) -> bytes:
    import cv2

    good, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not good:
        raise VideoError(f"OpenCV cannot encode a picture of shape {picture.shape} as PNG")
    return data.tobytes()
