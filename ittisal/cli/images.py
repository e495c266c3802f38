"""Images in and out: bytes to frames, maps to bytes, files written whole or not at all.

Colour frames here are in OpenCV's order, BGR. Frames are upright (an EXIF orientation is
applied, so that a map lies over what people see) and opaque (alpha is composited over white).
Of files with several pictures the first is taken.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..frames import check_frame, composite
from .errors import ImageError, UsageError

# What a search in a directory takes for images. Arrays (.npy) and radiance maps (.exr, .hdr) can
# be anything, so they have to be named.
SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
# name -> file suffixes, the first is used when we choose
FORMATS = {
    "png": (".png",),
    "png16": (".png",),
    "tiff": (".tiff", ".tif"),
    "npy": (".npy",),
}
WRITTEN_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)

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


def read(path: Path) -> np.ndarray:
    """The frame in a file.

    Raises
    ------
    ImageError, TypeError, ValueError
        It cannot be read, or `decode` refuses what it holds.
    """
    try:
        if stat.S_ISCHR(os.stat(path).st_mode):  # /dev/zero never ends
            raise ImageError("is a device, not an image file")
        with open(path, "rb") as file:  # by Python: cv2.imread fails on some names
            data = file.read()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error
    return decode(data)


def decode(data: bytes) -> np.ndarray:
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
        _check_whole(data)
        image = _upright(_decode_image(data), _orientation(data))
    return check_frame(composite(image))


def _decode_image(data: bytes) -> np.ndarray:
    import cv2

    detail = ""
    with _silent():
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
    except (ValueError, EOFError, SyntaxError) as error:
        raise ImageError(f"is a damaged, truncated or pickled .npy file: {error}") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 3 and array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    return array


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep what C libraries print about bad files from the user, who gets our line instead."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _check_whole(data: bytes) -> None:
    """Refuse JPEG and PNG files whose end is missing: OpenCV 4 fills the rest with grey."""
    if data.startswith(_PNG) and b"IEND" not in data[-(1 << 16) :] and b"IEND" not in data:
        raise ImageError("is a truncated PNG file: its end (IEND) is missing")
    if data.startswith(_JPEG) and data.find(b"\xff\xd9", _jpeg_scan(data)) < 0:
        raise ImageError("is a truncated JPEG file: its end (EOI) is missing")


def _jpeg_scan(data: bytes) -> int:
    """Offset of the first scan. Segments before it, such as a thumbnail, have ends of their own."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big") if data[at + 1] != 0xFF else 1
    return at


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
    with _silent():
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
    temporary = _temporary(path.parent)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException as error:  # an interrupt too
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise ImageError(f"cannot write {path}: {error.strerror}") from error
        raise


def probe_directory(directory: Path, *, create: bool = False) -> None:
    """Make sure that files can be made in `directory`, by making one.

    Permission bits do not tell: not of a read-only disk, nor of what root may do.

    Raises
    ------
    UsageError
        It cannot be made, is no directory, or takes no file.
    """
    probe = _temporary(directory)
    try:
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write to {directory}: {error.strerror}. Give another place with -o"
        ) from error


def _temporary(directory: Path) -> Path:
    # Not tempfile: its files are private to the user, ours have the usual permissions.
    return directory / f".ittisal-{secrets.token_hex(6)}.tmp"


def write_stdout(data: bytes) -> None:
    """Write bytes to standard output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
