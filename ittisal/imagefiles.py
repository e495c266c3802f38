"""Image files to frames: whole or refused, with errors fit for a person to read.

Colour frames here are in OpenCV's order, BGR, and opaque (alpha is composited over white). Of
files with several pictures the first is taken.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .frames import check_frame, composite

# What a search in a directory takes for images. Arrays (.npy) and radiance maps (.exr, .hdr) can
# be anything, so they have to be named.
SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

_NPY = b"\x93NUMPY"
_JPEG, _PNG, _WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"
_SIGNATURES = {
    _JPEG: "JPEG",
    _PNG: "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    _WEBP: "WebP",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"v/1\x01": "OpenEXR",
}


class ImageError(Exception):
    """An image file cannot be read or written; the message says why."""


def read(path: Path, *, upright: bool = True) -> np.ndarray:
    """The frame in a file.

    Parameters
    ----------
    path : Path
    upright : bool
        Turn it as its EXIF orientation says, as viewers do; else the pixels as stored (but for
        TIFF, which OpenCV turns).

    Raises
    ------
    ImageError, TypeError, ValueError
        It cannot be read, or `decode` refuses what it holds.
    """
    return decode(_contents(path), upright=upright)


def read_size(path: Path, *, upright: bool = True) -> tuple[int, int]:
    """(height, width) of the frame in a file; JPEG and PNG tell it without being decoded.

    Raises
    ------
    ImageError, TypeError, ValueError
        As `read`, as far as it looks.
    """
    data = _contents(path)
    header = _header_size(data)
    if header is None:
        height, width = decode(data, upright=upright).shape[:2]
        return height, width
    check_whole(data)
    return header[::-1] if upright and _orientation(data) >= 5 else header


def _contents(path: Path) -> bytes:
    try:
        if stat.S_ISCHR(os.stat(path).st_mode):  # /dev/zero never ends
            raise ImageError("is a device, not an image file")
        with open(path, "rb") as file:  # by Python: cv2.imread fails on some names
            return file.read()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def decode(data: bytes, *, upright: bool = True) -> np.ndarray:
    """The frame in an encoded image or a .npy array.

    Arrays are taken to be RGB, as everywhere in the package; the result is BGR.

    Raises
    ------
    ImageError
        Empty, truncated, damaged, or no image.
    TypeError, ValueError
        A type or shape that the model does not take.
    """
    if not data:
        raise ImageError("is empty (0 bytes)")
    if data.startswith(_NPY):
        image = _decode_array(data)
    else:
        check_whole(data)
        image = _decode_image(data)
        if upright:
            image = _upright(image, _orientation(data))
    return check_frame(composite(image))


def to_bgr8(frame: np.ndarray) -> np.ndarray:
    """A frame of any type that the model takes, as an 8-bit BGR picture."""
    if frame.dtype == np.uint16:
        frame = (frame >> 8).astype(np.uint8)
    elif frame.dtype != np.uint8:
        frame = np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)
    if frame.ndim == 3 and frame.shape[2] == 1:
        frame = frame[..., 0]
    if frame.ndim == 2:
        frame = np.repeat(frame[..., None], 3, axis=2)
    return np.ascontiguousarray(frame)


def display_bgr8(frame: np.ndarray) -> np.ndarray:
    """The same to be looked at: more than 8 bits are stretched over the range, from their lowest to
    their highest thousandth, since cameras often use a small part of it.
    """
    low, high = np.percentile(frame, [0.1, 99.9]) if frame.dtype != np.uint8 else (0, 0)
    return to_bgr8((frame - low) / (high - low) if high > low else frame)


def _decode_image(data: bytes) -> np.ndarray:
    import cv2

    detail = ""
    with silent():
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            image, detail = None, f" ({error.err})"
    if image is not None:
        return image
    kind = next((name for start, name in _SIGNATURES.items() if data.startswith(start)), None)
    if kind == "OpenEXR":
        raise ImageError(
            "is OpenEXR, which this OpenCV does not read (some builds do with "
            "OPENCV_IO_ENABLE_OPENEXR=1); save it as float TIFF or .npy"
        )
    if kind:
        raise ImageError(f"is a damaged or truncated {kind} file{detail}")
    raise ImageError(f"is not an image that OpenCV reads{detail}; it starts with {data[:8]!r}")


def _decode_array(data: bytes) -> np.ndarray:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # of damaged files NumPy raises whatever comes
        raise ImageError(f"is a damaged, truncated or pickled .npy file: {error}") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 3 and array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    return array


class _Silence:
    """Standard error leads nowhere while any thread is within."""

    def __init__(self) -> None:
        self._lock, self._within, self._saved = threading.Lock(), 0, -1

    def __enter__(self) -> None:
        with self._lock:
            if self._within == 0:
                self._redirect()
            self._within += 1

    def _redirect(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            self._saved = os.dup(2)
        except OSError:  # no stderr at all
            self._saved = -1
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._within -= 1
            if self._within == 0 and self._saved >= 0:
                os.dup2(self._saved, 2)
                os.close(self._saved)


_SILENCE = _Silence()


def silent() -> _Silence:
    """Keep what C libraries print about bad files from the user, who gets our line instead."""
    return _SILENCE


def _header_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) as a PNG or JPEG header tells it, else None."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    if not data.startswith(_JPEG):
        return None
    for at in _jpeg_segments(data):
        if at + 9 > len(data):
            return None
        # The start of a frame: 0xC0 to 0xCF but for DHT, JPG and DAC.
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return (height, width) if height else None  # 0: told after the scan
    return None


def check_whole(data: bytes) -> None:
    """Refuse JPEG and PNG files whose end is missing: OpenCV 4 fills the rest with grey."""
    if data.startswith(_PNG) and b"IEND" not in data[-(1 << 16) :] and b"IEND" not in data:
        raise ImageError("is a truncated PNG file: its end (IEND) is missing")
    if data.startswith(_JPEG) and data.find(b"\xff\xd9", _jpeg_scan(data)) < 0:
        raise ImageError("is a truncated JPEG file: its end (EOI) is missing")


def _jpeg_segments(data: bytes) -> Iterator[int]:
    """Offset of each segment's marker, up to that of the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        yield at
        if data[at + 1] == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    yield at


def _jpeg_scan(data: bytes) -> int:
    """Offset of the first scan. Segments before it, such as a thumbnail, have ends of their own."""
    *_, last = _jpeg_segments(data)
    return last


def _orientation(data: bytes) -> int:
    """EXIF orientation, 1 (upright) to 8. Of JPEG, PNG and WebP: OpenCV itself turns TIFF."""
    if data.startswith(_JPEG):
        at = data.find(b"Exif\0\0", 0, _jpeg_scan(data)) + 6
    elif data.startswith(_PNG):
        at = data.find(b"eXIf") + 4
    elif data.startswith(_WEBP):
        at = data.find(b"EXIF") + 8
    else:
        return 1
    exif = data[at : at + (1 << 16)]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:  # none found, or not what it seemed
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, start)
        for i in range(entries):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * i)
            if (tag, kind) == (0x0112, 3):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """The image turned and mirrored as its EXIF orientation says."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
