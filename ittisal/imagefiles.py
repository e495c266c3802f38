"""Image files: decoded to frames or refused, and maps encoded.

Colour frames here are in OpenCV's order, BGR, and opaque (alpha is composited over white). Of
files with several pictures the first is taken.

Damage that a file is read in spite of is reported: `report` is given what the decoding library, or
the file's own structure, says of it; by default that is a `DamageWarning`.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np

from . import bounds, imageheaders, imagemetadata
from .arrayfiles import read_array
from .diagnostics import reported, summary
from .frames import check_frame, composite
from .warning import warn

# What a search in a directory takes for images. Arrays (.npy) and radiance maps (.exr, .hdr) can
# be anything, so they have to be named. HEIC is refused with advice rather than left out.
SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
FORMATS = {  # of maps: name -> file suffixes, the first is the default
    "png": (".png",),
    "png16": (".png",),
    "tiff": (".tiff", ".tif"),
    "npy": (".npy",),
}
_TYPES = np.uint8, np.uint16, np.float32, np.float64  # of pixels that OpenCV writes, in this order
CONTAINERS = {  # of photographs: suffix -> how many of these types it holds, and whether alpha
    **dict.fromkeys((".jpg", ".jpeg", ".jpe"), (1, False)),
    **dict.fromkeys((".avif", ".bmp", ".dib", ".webp"), (1, True)),
    **dict.fromkeys((".jp2", ".png"), (2, True)),
    **dict.fromkeys((".pgm", ".pnm", ".ppm"), (2, False)),
    **dict.fromkeys((".tif", ".tiff"), (4, True)),
    ".npy": (4, True),
}
WRITTEN_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)

MAX_SCANS = 200  # of progressive JPEG; each passes over the whole picture, and ten are usual
JP2_SIDE = 32  # pixels; of smaller pictures OpenCV writes no JPEG 2000, but leaves a temporary file
QUALITY = 95  # of photographs in formats with losses

_NPY = b"\x93NUMPY"
_EOI = b"\xff\xd9"  # what JPEG files end in
_UNREAD = {  # what OpenCV lacks -> what to do
    "HEIC": "convert it to JPEG or PNG, for example with heif-convert, or open it with the Python "
    "package pillow-heif and save the array as .npy",
    "OpenEXR": "some builds read it with OPENCV_IO_ENABLE_OPENEXR=1; or save it as float TIFF or "
    ".npy",
    "a TIFF file of 16-bit floats": "save it with 32-bit floats, or as .npy",
}

# What libraries say of other things than the picture, such as tags that they do not know.
_HARMLESS = re.compile(
    r"Warning: unknown JFIF revision|OpenJPEG2000: Image has unknown or unspecified color space"
    r"|TIFF_Warning TIFF\w+: (Unknown field|.*ascending order|.*ASCII value|.*assuming"
    r"|.*color channels)"
    r"|[a-z]\w{3}: (?!.*CRC)"  # chunks of PNG that are not needed
)
_CUT = re.compile(r"[Pp]remature end")  # of JPEG data
# Strips and tiles that libtiff cannot decode, of which some are black. Directories are those of
# later pictures.
_LOST = re.compile(r"TIFF_Error (?!TIFF\w*Dir)|TIFF_Warning Fax4Decode: Premature")


class ImageError(Exception):
    """An image file cannot be read or written; the message says why."""


class DamageWarning(UserWarning):
    """An image file is damaged and was read in spite of it: parts of the picture may be wrong.

    The message names the file and what is wrong with it. Make it an error
    (``warnings.simplefilter("error", ittisal.DamageWarning)``) to refuse such files, as those that
    cannot be read.
    """


Report = Callable[[str], None]


def warning_of(name: object) -> Report:
    """What reports damage of this file as a `DamageWarning`; ImageError where that is an error."""

    def report(said: str) -> None:
        try:
            warn(f"{name} is damaged, but was read: {said}", DamageWarning)
        except DamageWarning as error:
            raise ImageError(f"is damaged: {said}") from error

    return report


def read(path: Path, *, upright: bool = True, report: Report | None = None) -> np.ndarray:
    """The frame in a file, turned by its orientation as viewers do, or else as stored.

    Raises ImageError if it cannot be read, and as `decode`.
    """
    return decode(contents(path), upright=upright, report=report or warning_of(path))


def read_size(path: Path, *, upright: bool = True) -> tuple[int, int]:
    """(height, width) of the frame in a file, as `read`; JPEG and PNG are not decoded for it."""
    data = contents(path)
    size = imageheaders.size_of(data) if imageheaders.kind_of(data) in ("JPEG", "PNG") else None
    if size is None or imageheaders.missing_end(data):
        height, width = decode(data, upright=upright, report=lambda text: None).shape[:2]
        return height, width
    return size[::-1] if upright and imageheaders.orientation(data) >= 5 else size


def contents(path: Path) -> bytes:
    """The bytes of a file; ImageError if it cannot be read."""
    try:
        if stat.S_ISCHR(os.stat(path).st_mode):  # /dev/zero never ends
            raise ImageError("is a device, not an image file")
        with open(path, "rb") as file:  # by Python: cv2.imread fails on some names
            return file.read()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def decode(data: bytes, *, upright: bool = True, report: Report | None = None) -> np.ndarray:
    """The frame in an encoded image or a .npy array.

    Arrays are taken to be RGB, as everywhere in the package; the result is BGR. Raises ImageError
    for what is empty, truncated, damaged beyond use or no image, and TypeError or ValueError for a
    type or shape that the model does not take.
    """
    return to_frame(decode_stored(data, upright=upright, report=report))


def decode_stored(data: bytes, *, upright: bool = True, report: Report | None = None) -> np.ndarray:
    """As `decode`, with the channels and the type of the file: BGR, BGRA or grey, unchecked."""
    if data.startswith(_NPY):
        return _decode_array(data)
    image = decode_picture(imageheaders.without_orientation(data), report)
    return _upright(image, imageheaders.orientation(data)) if upright else image


def to_frame(stored: np.ndarray) -> np.ndarray:
    """A frame of what `decode_stored` gives: opaque, over white, and checked."""
    return check_frame(composite(stored))


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
        rounded = np.empty(picture.shape, kind)
        for row, unit in zip(rounded, picture, strict=True):  # less memory than all at once
            row[:] = np.rint(unit * np.float32(np.iinfo(kind).max))
        picture = rounded
    (ok, data), _ = reported(lambda: cv2.imencode(FORMATS[format][0], picture))
    if not ok:
        raise ImageError(f"OpenCV cannot encode {picture.shape} {picture.dtype} as {format}")
    return data.tobytes()


def encode_copy(picture: np.ndarray, suffix: str, source: bytes) -> bytes:
    """A picture of `decode_stored`'s in one of `CONTAINERS`, with the source's metadata.

    JPEG has quality 95 and whole chroma, AVIF 95, WebP 95 where the source has losses; JPEG 2000
    loses hardly anything, the others nothing. What the container does not hold is converted:
    transparent pixels lie over white, deeper ones are rounded to the most bits that it has. See
    `imagemetadata` for what is carried.

    Raises
    ------
    ImageError
        OpenCV cannot encode it.
    """
    import cv2

    if suffix == ".avif" and picture.dtype == np.uint16 and imageheaders.kind_of(source) == "AVIF":
        raise ImageError(
            "is AVIF of 10 or 12 bits, which is not written; give another format, as in -o FILE.png"
        )
    if suffix == ".npy":
        return encode(_swapped(picture), "npy")
    if suffix == ".jp2" and min(picture.shape[:2]) < JP2_SIDE:
        raise ImageError(
            f"is {picture.shape[1]}x{picture.shape[0]} pixels; OpenCV writes JPEG 2000 from "
            f"{JP2_SIDE}x{JP2_SIDE} on; give another format, as in -o FILE.png"
        )
    types, alpha = CONTAINERS[suffix]
    picture = _held(picture if alpha else composite(picture), _TYPES[:types])
    lossless_webp = not imagemetadata.is_lossy_webp(source)
    suffix = {".jpeg": ".jpg", ".jpe": ".jpg", ".pgm": ".pnm", ".ppm": ".pnm"}.get(suffix, suffix)
    options = {
        ".jpg": [
            *(cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR),
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ],
        ".avif": [cv2.IMWRITE_AVIF_QUALITY, QUALITY],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101 if lossless_webp else QUALITY],
    }
    try:
        (ok, data), _ = reported(lambda: cv2.imencode(suffix, picture, options.get(suffix, ())))
    except cv2.error:
        ok = False
    if not ok:
        raise ImageError(
            f"OpenCV cannot write {picture.dtype} of shape {picture.shape} as {suffix}; choose "
            "another format"
        )
    return imagemetadata.carry(source, data.tobytes(), picture.shape[:2])


def _held(picture: np.ndarray, types: tuple[type, ...]) -> np.ndarray:
    """The same intensities in one of these types, the deepest whole numbers if it has another."""
    if picture.dtype == np.float16:
        picture = picture.astype(np.float32)
    if picture.dtype in types:
        return picture
    kind = np.uint16 if np.uint16 in types else np.uint8
    full = np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1
    unit = np.clip(picture / np.float32(full), 0, 1)
    return np.rint(unit * np.float32(np.iinfo(kind).max)).astype(kind)


def to_bgr8(frame: np.ndarray) -> np.ndarray:
    """A frame of any type that the model takes, as an 8-bit BGR picture."""
    if frame.dtype == np.uint16:
        frame = (frame >> 8).astype(np.uint8)
    elif frame.dtype != np.uint8:
        rounded = np.empty(frame.shape, np.uint8)
        for row, unit in zip(rounded, frame, strict=True):  # less memory than all at once
            row[:] = np.rint(np.clip(unit, 0, 1) * 255)
        frame = rounded
    if frame.ndim == 2:
        frame = frame[..., None]
    return np.ascontiguousarray(np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame)


def decode_picture(
    data: bytes, report: Report | None = None, *, flags: int | None = None
) -> np.ndarray:
    """What OpenCV makes of an encoded image, with the full range of its type.

    `flags` are those of `cv2.imread`; unchanged by default. Raises ImageError if it cannot be
    decoded, not to its end, or with parts left out.
    """
    import cv2

    if not data:
        raise ImageError("is empty (0 bytes)")
    check_size(data)
    kind = imageheaders.kind_of(data)
    end = imageheaders.missing_end(data)
    whole = data + _EOI if end == "EOI" else data  # OpenCV 5 refuses what may lack nothing else
    whole = imageheaders.without_animation(whole)
    array = np.frombuffer(whole, np.uint8)
    flags = cv2.IMREAD_UNCHANGED if flags is None else flags

    def attempt() -> tuple[np.ndarray | None, str]:
        try:
            return cv2.imdecode(array, flags), ""
        except cv2.error as error:
            return None, f" ({error.err})"

    (image, detail), messages = reported(attempt)
    damage = [message for message in messages if not _HARMLESS.match(message)]
    if end and (end != "EOI" or any(map(_CUT.search, damage))):
        raise ImageError(f"is a truncated {kind} file: its end ({end}) is missing")
    if end:
        damage.append(f"its end ({end}) is missing")
    if fault := imageheaders.fault_of(data):
        damage.append(fault)
    if image is not None:
        _tell(damage, report)
        deep = image.dtype == np.uint16 and kind == "AVIF"
        return _full_range(image, imageheaders.avif_bits(data)) if deep else image
    if kind == "TIFF" and imageheaders.is_half_float(data):
        kind = "a TIFF file of 16-bit floats"
    if kind in _UNREAD:
        raise ImageError(f"is {kind}, which this OpenCV does not read; {_UNREAD[kind]}")
    if kind:
        raise ImageError(
            f"is a damaged or truncated {kind} file, or a variant that OpenCV does not read{detail}"
        )
    raise ImageError(f"is not an image that OpenCV reads{detail}; it starts with {data[:8]!r}")


def _tell(damage: list[str], report: Report | None) -> None:
    """Report damage, if any; ImageError where parts of the picture could not be decoded."""
    lost = [message for message in damage if _LOST.match(message)]
    said = summary(lost or damage).removeprefix("TIFF_Error ").removeprefix("TIFF_Warning ")
    if lost:
        raise ImageError(f"is a damaged TIFF file, parts of which cannot be decoded: {said}")
    if damage:
        (report or warning_of("an image"))(said)


def _full_range(image: np.ndarray, bits: int) -> np.ndarray:
    """uint16 samples of so many bits, 8 or more, spread from 0 to 65535."""
    return image << (16 - bits) | image >> (2 * bits - 16)


def _decode_array(data: bytes) -> np.ndarray:
    try:
        array = read_array(io.BytesIO(data), len(data))
    except Exception as error:  # of damaged files NumPy raises whatever comes
        raise ImageError(f"is a damaged, truncated or pickled .npy file: {error}") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return _swapped(array)


def _swapped(array: np.ndarray) -> np.ndarray:
    """RGB as BGR, or back, with or without alpha; grey as it is."""
    if array.ndim == 3 and array.shape[2] in (3, 4):
        return array[..., [2, 1, 0, 3][: array.shape[2]]]
    return array


def check_size(data: bytes) -> None:
    """Refuse a picture that is larger than its file may state (see `bounds`), or endless JPEG."""
    scans = imageheaders.scans_of(data)
    if scans > MAX_SCANS:
        raise ImageError(f"has {scans} scans, over the limit of {MAX_SCANS}; convert it to PNG")
    if imageheaders.has_cut_chunk(data):
        raise ImageError("is a damaged or truncated PNG file: a chunk is longer than what is left")
    height, width = imageheaders.size_of(data) or (0, 0)
    if excess := bounds.excess(width, height, len(data), imageheaders.sample_bits(data)):
        raise ImageError(excess)


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """The image turned and mirrored by its EXIF orientation."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
