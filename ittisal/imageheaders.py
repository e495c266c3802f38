"""Headers of image files: format, size, end and orientation, without decoding."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

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
    b"\xff\x4f\xff\x51": "JPEG 2000",  # without boxes
    b"\x59\xa6\x6a\x95": "Sun raster",
    b"v/1\x01": "OpenEXR",
}
_BRANDS = {rb"avif|avis": "AVIF", rb"hei[cxms]|hev[cxms]|mif1|msf1": "HEIC"}
_EXIF = {  # what precedes an EXIF block; AVIF counts the bytes up to it, of which there are none
    "JPEG": rb"Exif\0\0",
    "PNG": rb"eXIf",
    "WebP": rb"EXIF....",
    "AVIF": rb"\0\0\0\0",
}
_SIDES = {  # format -> where width and height are, and their form
    "PNG": (16, ">II"),
    "GIF": (6, "<HH"),
    "BMP": (18, "<ii"),
    "Sun raster": (4, ">II"),
}
_BOX = re.compile(rb"[A-Za-z0-9 ]{4}")  # names of JPEG 2000's and AVIF's boxes
_WEBP = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "))
_PNM = re.compile(rb"P[1-6][ \t\r\n]")
_NUMBER = rb"(?:(?:[ \t\r\n]|#[^\r\n]*[\r\n])+\d+)"  # after space and comments
_PNM_HEADER = re.compile(  # width and height, and but for bits the highest value
    rb"P(?:[14]%b{2}|[2356]%b{3})(?![^ \t\r\n#])" % (_NUMBER, _NUMBER)
)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers, without DHT, JPG and DAC
_WIDTH, _HEIGHT, _BITS, _ORIENTATION = 0x0100, 0x0101, 0x0102, 0x0112  # tags of TIFF and EXIF
_TILE_WIDTH, _TILE_HEIGHT, _SAMPLE_FORMAT = 0x0142, 0x0143, 0x0153
_STRIPS, _SAMPLES, _ROWS_PER_STRIP, _PLANAR = 0x0111, 0x0115, 0x0116, 0x011C
_FLOAT, _SEPARATE = 3, 2  # values of sample format and planar configuration
_SHORT = {3: "H"}  # types of tags, as struct has them
_WHOLE = {1: "B", **_SHORT, 4: "I", 16: "Q"}
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


def sample_bits(data: bytes) -> int:
    """Bits of each sample of a TIFF file; 0 of others, which have 8 or 16."""
    return _tags(data).get(_BITS, _NO_TAG).value if kind_of(data) == "TIFF" else 0


def is_half_float(data: bytes) -> bool:
    """Whether a TIFF file has samples of 16-bit floats."""
    return sample_bits(data) == 16 and _tags(data).get(_SAMPLE_FORMAT, _NO_TAG).value == _FLOAT


def size_of(data: bytes) -> tuple[int, int] | None:
    """(height, width) by the header of a file; None where it states none.

    PNM and the like, which cannot be compressed, are left out. Of TIFF whose tiles are larger it is
    a tile's.
    """
    try:
        width, height = map(abs, _sides(data, kind_of(data)))  # below 0: BMP from the top
    except (struct.error, LookupError, StopIteration):  # cut short, damaged or unknown
        return None
    # A height of 0 follows a JPEG's scan; others' sides are below 2^31.
    return (height, width) if 0 < min(height, width) <= max(height, width) < 1 << 31 else None


def _sides(data: bytes, kind: str | None) -> tuple[int, ...]:
    """(width, height) by the header of this format; raises as `size_of` expects where none is."""
    if kind == "JPEG":
        frame = next(at for at in jpeg_segments(data) if data[at + 1] in _FRAMES)
        return struct.unpack_from(">HH", data, frame + 5)[::-1]
    if kind == "WebP":
        return _webp_sides(data)
    if kind == "TIFF":
        tags = {tag: found.value for tag, found in _tags(data, _WHOLE).items()}
        tile = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_HEIGHT, 0)
        return max((tags[_WIDTH], tags[_HEIGHT]), tile, key=math.prod)
    if kind == "JPEG 2000":
        boxed = _path(data, range(len(data)), b"jp2c")
        start = 0 if data.startswith(b"\xff") else next(boxed).start
        right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
        return right - left, bottom - top
    if kind == "AVIF":
        tracks = _path(data, range(len(data)), b"moov", b"trak", b"tkhd")
        moving = (struct.unpack_from(">HxxH", data, track.stop - 8) for track in tracks)
        still = struct.unpack(">II", _avif_properties(data).get(b"ispe", bytes(12))[4:12])
        return max([still, *moving], key=math.prod)
    at, form = _SIDES[kind or ""]
    if kind == "PNG" and data[12:16] != b"IHDR":
        raise LookupError
    if kind == "BMP" and data[14] == 12:  # OS/2's
        form = "<HH"
    return struct.unpack_from(form, data, at)


def _webp_sides(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def missing_end(data: bytes) -> str | None:
    """The name of the end that a JPEG or PNG file lacks."""
    kind = kind_of(data)
    if kind == "PNG" and b"IEND" not in data[-(1 << 16) :] and b"IEND" not in data:
        return "IEND"
    if kind == "JPEG" and data.find(b"\xff\xd9", _jpeg_scan(data)) < 0:
        return "EOI"
    return None


def has_cut_chunk(data: bytes) -> bool:
    """Whether a chunk of a PNG file states more bytes than there are, which decoders allocate."""
    at = 8 if kind_of(data) == "PNG" else len(data)
    while at + 8 <= len(data):
        at, name = at + 12 + int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"IEND":
            return False
    return at > len(data)


def without_animation(data: bytes) -> bytes:
    """An animated PNG file as a still one, of its default picture; other files unchanged.

    Of rows that are missing in an animation OpenCV says nothing, and does not fill them. Where the
    default picture is no part of it and damaged, OpenCV 5 crashes.
    """
    at = data.find(b"acTL", 0, data.find(b"IDAT")) if kind_of(data) == "PNG" else -1
    return data if at < 0 else data[: at - 4] + data[at + 16 :]  # length, name, 8 bytes, checksum


def fault_of(data: bytes) -> str:
    """What is wrong with a file around its picture, which decoders pass over; empty if nothing is.

    WebP, JPEG 2000 and AVIF end where their container says, TIFF has as many strips as its picture
    needs, BMP's header ends before its picture, and PNM's is of numbers.
    """
    kind, end = kind_of(data), len(data)
    if kind == "WebP":
        end = 12
        while data[end : end + 4] in _WEBP:
            size = int.from_bytes(data[end + 4 : end + 8], "little")
            end += 8 + size + size % 2
    elif kind in ("JPEG 2000", "AVIF") and data[0] != 0xFF:
        first, end = b"", 0
        for name, box in _boxes(data, range(len(data))):
            if name == first or not _BOX.fullmatch(name):  # another file, or no box
                break
            first, end = first or name, box.stop
    elif kind == "TIFF":
        return _strips_fault(_tags(data, _WHOLE))
    elif kind == "BMP":
        picture, header = struct.unpack_from("<II", data.ljust(18, b"\0"), 10)
        return "its header reaches into its picture" if 14 + header > picture else ""
    elif _PNM.match(data) and not _PNM_HEADER.match(data):
        return "its header has more than numbers and comments"
    return f"{len(data) - end:,} bytes follow its end" if end < len(data) else ""


def _strips_fault(tags: Mapping[int, _Tag]) -> str:
    """What is wrong with the number of a TIFF's strips; empty if nothing is, or it has none."""
    height, strips = tags.get(_HEIGHT, _NO_TAG).value, tags.get(_STRIPS, _NO_TAG).number
    rows = min(tags.get(_ROWS_PER_STRIP, _NO_TAG).value or height, height)
    separate = tags.get(_PLANAR, _NO_TAG).value == _SEPARATE
    wanted = -(-height // max(rows, 1)) * (tags.get(_SAMPLES, _UPRIGHT).value if separate else 1)
    return f"it has {strips} strips where {wanted} are needed" if strips not in (0, wanted) else ""


def scans_of(data: bytes) -> int:
    """How many scans a JPEG file's picture has; 0 of other files."""
    if kind_of(data) != "JPEG":
        return 0
    start = _jpeg_scan(data)
    return data.count(b"\xff\xda", start, data.find(b"\xff\xd9", start))


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
    value = _tags(block).get(_ORIENTATION, _UPRIGHT).value
    return value if 1 <= value <= 8 else 1


def without_orientation(data: bytes) -> bytes:
    """A TIFF file made upright by its tag; other files unchanged.

    OpenCV turns no other format by itself, and turns TIFF wrongly where it has tiles.
    """
    found = _tags(data).get(_ORIENTATION, _UPRIGHT) if kind_of(data) == "TIFF" else _UPRIGHT
    if found.value == 1:
        return data
    changed = bytearray(data)
    changed[found.at : found.at + 2] = b"\1\0" if data.startswith(b"II") else b"\0\1"
    return bytes(changed)


class _Tag(NamedTuple):
    """Offset of a tag's first value, that value, and how many there are."""

    at: int
    value: int
    number: int


_NO_TAG, _UPRIGHT = _Tag(0, 0, 0), _Tag(0, 1, 1)


def _tags(block: bytes, types: Mapping[int, str] = _SHORT) -> dict[int, _Tag]:
    """The tags of these types in the first directory of a TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    found: dict[int, _Tag] = {}
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
            if kind not in types:
                continue
            value_at, form = entry + inside, order + types[kind]
            if count * struct.calcsize(form) > size - inside:  # too many to lie in the entry itself
                (value_at,) = struct.unpack_from(order + word, block, value_at)
            value = struct.unpack_from(form, block, value_at)[0]
            # As libtiff, which ignores second ones.
            found.setdefault(tag, _Tag(value_at, value, count))
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


def _path(data: bytes, within: range, name: bytes, *names: bytes) -> Iterator[range]:
    """Contents of the boxes by this name, or by the further names in them."""
    for found, contents in _boxes(data, within):
        if found == name:
            yield from _path(data, contents, *names) if names else [contents]
