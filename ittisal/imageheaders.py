"""Headers of image files: format, size, end and orientation, without decoding."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"v/1\x01": "OpenEXR",
}
_BRANDS = {rb"avif|avis": "AVIF", rb"hei[cxms]|hev[cxms]|mif1|msf1": "HEIC"}
_EXIF = {  # what precedes an EXIF block; AVIF counts the bytes up to it, of which there are none
    "JPEG": rb"Exif\0\0",
    "PNG": rb"eXIf",
    "WebP": rb"EXIF....",
    "AVIF": rb"\0\0\0\0",
}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers, without DHT, JPG and DAC
_BITS, _ORIENTATION, _SAMPLE_FORMAT = 0x0102, 0x0112, 0x0153  # tags of TIFF and EXIF
_FLOAT = 3
_SHORT = 3  # the type of these tags
_TIFF = {  # version -> format and offset of the first directory; of its count; entry, offset in it
    42: ("I", 4, "H", 12, 8),
    43: ("Q", 8, "Q", 20, 12),
}


def kind_of(data: bytes) -> str | None:
    """The name of the file format, or None if it is no known one."""
    if data[4:8] == b"ftyp":
        brands = data[8 : int.from_bytes(data[:4], "big")]
        return next((kind for names, kind in _BRANDS.items() if re.search(names, brands)), None)
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)


def is_half_float(data: bytes) -> bool:
    """Whether a TIFF file has samples of 16-bit floats."""
    tags = _tags(data)
    return [tags.get(tag, (0, 0))[1] for tag in (_BITS, _SAMPLE_FORMAT)] == [16, _FLOAT]


def size_of(data: bytes) -> tuple[int, int] | None:
    """(height, width) from a PNG or JPEG header; None where it does not state them."""
    kind = kind_of(data)
    height = width = 0
    if kind == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
    for at in jpeg_segments(data) if kind == "JPEG" else ():
        if at + 9 <= len(data) and data[at + 1] in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            break
    # A height of 0 follows a JPEG's scan; PNG's sides are below 2^31.
    return (height, width) if 0 < min(height, width) <= max(height, width) < 1 << 31 else None


def missing_end(data: bytes) -> str | None:
    """The name of the end that a JPEG or PNG file lacks."""
    kind = kind_of(data)
    if kind == "PNG" and b"IEND" not in data[-(1 << 16) :] and b"IEND" not in data:
        return "IEND"
    if kind == "JPEG" and data.find(b"\xff\xd9", _jpeg_scan(data)) < 0:
        return "EOI"
    return None


def orientation(data: bytes) -> int:
    """How the stored picture is to be turned for display, 1 (not at all) to 8, as EXIF counts.

    By the tag of JPEG, PNG, WebP and TIFF; by the container's properties of AVIF, and by its tag
    where there are none.
    """
    kind = kind_of(data)
    turned = _avif_orientation(data) if kind == "AVIF" else None
    if turned:
        return turned
    block = data if kind == "TIFF" else b""
    if kind in _EXIF:
        end = _jpeg_scan(data) if kind == "JPEG" else len(data)
        found = re.compile(_EXIF[kind] + rb"(?=II\*\0|MM\0\*)", re.DOTALL).search(data, 0, end)
        block = data[found.end() : found.end() + (1 << 16)] if found else b""
    _, value = _tags(block).get(_ORIENTATION, (0, 1))
    return value if 1 <= value <= 8 else 1


def without_orientation(data: bytes) -> bytes:
    """A TIFF file made upright by its tag; other files unchanged.

    OpenCV turns no other format by itself, and turns TIFF wrongly where it has tiles.
    """
    at, value = _tags(data).get(_ORIENTATION, (0, 1)) if kind_of(data) == "TIFF" else (0, 1)
    if value == 1:
        return data
    changed = bytearray(data)
    changed[at : at + 2] = b"\1\0" if data.startswith(b"II") else b"\0\1"
    return bytes(changed)


def _tags(block: bytes) -> dict[int, tuple[int, int]]:
    """Offset and first value of each tag of 16-bit numbers in the first directory of a TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    found: dict[int, tuple[int, int]] = {}
    try:
        version = struct.unpack_from(f"{order}H", block, 2)[0] if order else 0
        if version not in _TIFF:
            return found
        word, at, short, size, inside = _TIFF[version]
        (start,) = struct.unpack_from(order + word, block, at)
        (entries,) = struct.unpack_from(order + short, block, start)
        start += struct.calcsize(order + short)
        for entry in range(start, start + size * entries, size):
            tag, kind, count = struct.unpack_from(order + "HH" + word, block, entry)
            if kind != _SHORT:
                continue
            value_at = entry + inside
            if count * 2 > size - inside:  # too many to lie in the entry itself
                (value_at,) = struct.unpack_from(order + word, block, value_at)
            found[tag] = value_at, struct.unpack_from(order + "H", block, value_at)[0]
    except (struct.error, OverflowError):  # cut short or damaged
        pass
    return found


def jpeg_segments(data: bytes) -> Iterator[int]:
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
    """Offset of the first scan. Segments before it, such as a thumbnail, have their own ends."""
    *_, last = jpeg_segments(data)
    return last


# EXIF's number by the axis of AVIF's mirror (none, top to bottom, left to right), which comes
# after its anticlockwise quarter turns.
_AVIF_ORIENTATIONS = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}


def _avif_orientation(data: bytes) -> int | None:
    """The orientation by the properties `irot` and `imir` of an AVIF file's primary picture."""
    found = _avif_properties(data)
    turns = found[b"irot"][0] & 3 if found.get(b"irot") else None
    mirror = found[b"imir"][0] & 1 if found.get(b"imir") else None
    return None if turns is mirror is None else _AVIF_ORIENTATIONS[mirror][turns or 0]


def avif_bits(data: bytes) -> int:
    """Bits of each sample of an AVIF file's primary picture, which has more than 8: 10 or 12."""
    found = _avif_properties(data)
    bits = found.get(b"pixi", b"")[5:6]
    flags = int.from_bytes(found.get(b"av1C", b"")[2:3], "big")
    return 12 if bits == b"\x0c" or (not bits and flags & 0x20) else 10


def _avif_properties(data: bytes) -> dict[bytes, bytes]:
    """The properties of an AVIF file's primary picture by name; none where they are damaged."""
    try:
        meta = dict(_boxes(data, range(len(data))))[b"meta"]
        inner = dict(_boxes(data, meta[4:]))
        properties = dict(_boxes(data, inner[b"iprp"]))
        listed = list(_boxes(data, properties[b"ipco"]))
        at = inner[b"pitm"].start
        (primary,) = struct.unpack_from(">I" if data[at] else ">H", data, at + 4)
        numbers = _avif_associations(data, properties[b"ipma"].start)[primary]
        found = (listed[number - 1] for number in numbers if number)  # 0 is none
        return {name: data[contents.start : contents.stop] for name, contents in found}
    except (KeyError, IndexError, struct.error):  # damaged, or without properties
        return {}


def _avif_associations(data: bytes, at: int) -> dict[int, list[int]]:
    """The numbers of each item's properties, counted from 1, by the box `ipma`."""
    version, flags, entries = struct.unpack_from(">B2xBI", data, at)
    at += 8
    found = {}
    for _ in range(entries):
        item, count = struct.unpack_from(">IB" if version else ">HB", data, at)
        at += 5 if version else 3
        numbers = struct.unpack_from(f">{count}{'H' if flags & 1 else 'B'}", data, at)
        at += count * (2 if flags & 1 else 1)
        # The highest bit is not of the number.
        found[item] = [number & (0x7FFF if flags & 1 else 0x7F) for number in numbers]
    return found


def _boxes(data: bytes, within: range) -> Iterator[tuple[bytes, range]]:
    """Name and contents (offsets) of each box of an ISO base media file."""
    at, end = within.start, within.stop
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        size = size or end - at
        if size < head:
            return
        yield name, range(at + head, min(at + size, end))
        at += size
