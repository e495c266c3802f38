"""Images in and out: files to frames (see `ittisal.imagefiles`), maps to bytes and to files.

Colour frames here are in OpenCV's order, BGR, and upright (an EXIF orientation is applied, so
that a map lies over what people see).
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np

from ..files import temporary, write_whole
from ..imagefiles import SUFFIXES, ImageError, decode, read, silent
from .errors import UsageError

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "WRITTEN_SUFFIXES",
    "ImageError",
    "decode",
    "encode",
    "probe_directory",
    "read",
    "require_opencv",
    "write",
    "write_stdout",
]

# name -> file suffixes, the first is used when we choose
FORMATS = {
    "png": (".png",),
    "png16": (".png",),
    "tiff": (".tiff", ".tif"),
    "npy": (".npy",),
}
WRITTEN_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)


def require_opencv() -> None:
    """Import OpenCV now, so that its absence is told before any work.

    Raises
    ------
    UsageError
        It is not installed.
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"images need OpenCV, which cannot be imported ({error}); "
            "pip install opencv-contrib-python"
        ) from error


def encode(picture: np.ndarray, format: str) -> bytes:
    """A map in [0, 1] or an 8-bit picture in one of `FORMATS`.

    `png` has 8 bits and `png16` 16, rounded; `tiff` and `npy` keep float32.
    """
    import cv2

    if format == "npy":
        buffer = io.BytesIO()
        np.save(buffer, picture)
        return buffer.getvalue()
    if picture.dtype != np.uint8 and format != "tiff":
        kind = np.uint16 if format == "png16" else np.uint8
        picture = np.rint(picture * np.float32(np.iinfo(kind).max)).astype(kind)
    with silent():
        ok, data = cv2.imencode(FORMATS[format][0], picture)
    if not ok:
        raise ImageError(f"OpenCV cannot encode {picture.shape} {picture.dtype} as {format}")
    return data.tobytes()


def write(path: Path, data: bytes) -> None:
    """Write a file under a temporary name beside `path`, then rename it: whole, or not at all.

    Raises
    ------
    ImageError
        It cannot be written; nothing is left behind.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror}") from error


def probe_directory(directory: Path, *, create: bool = False, option: str = "-o") -> None:
    """Make sure that files can be made in `directory`, by making one.

    Permission bits do not tell: not of a read-only disk, nor of what root may do.

    Raises
    ------
    UsageError
        It cannot be made, is no directory, or takes no file.
    """
    probe = temporary(directory)
    try:
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write to {directory}: {error.strerror}. Give another place with {option}"
        ) from error


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
