"""What JPEG, PNG and WebP files hold besides the picture, carried from one file into another.

EXIF, XMP, IPTC, comments, the colour profile and the like. OpenCV writes none of it, or little.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator

from .imageheaders import jpeg_segments, kind_of, without_orientation

Chunks = Iterator[tuple[bytes, bytes]]  # names and contents

_PNG_KEPT = frozenset(
    {b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"pHYs"}
    | {b"eXIf", b"tIME", b"tEXt", b"zTXt", b"iTXt"}
)
_COLOUR = 2  # the bit of a PNG's colour type
_WEBP_KEPT = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}  # and their flags
_WEBP_ALPHA = 0x10
_EXIF = b"Exif\0\0"
_PROFILE = b"ICC_PROFILE\0"
_EXIF_POINTER, _THUMBNAIL, _THUMBNAIL_LENGTH = 0x8769, 0x0201, 0x0202  # tags
_SIZES = {0x0100: 1, 0x0101: 0, 0xA002: 1, 0xA003: 0}  # tags -> axis
_TYPES = {3: "H", 4: "I"}  # of tags, as struct names them


def carry(source: bytes, target: bytes, shape: tuple[int, int]) -> bytes:
    """A file with the metadata of another of the same format; of other formats, as it is.

    The orientation is set to upright and the size to that of the new picture. A thumbnail of the
    old one is removed.

    Parameters
    ----------
    source : bytes
        The file that the picture was taken from.
    target : bytes
        The new picture, as OpenCV writes it.
    shape : (int, int)
        Its (height, width).
    """
    kind = kind_of(target)
    carriers = {"JPEG": _carry_jpeg, "PNG": _carry_png, "WebP": _carry_webp}
    if kind != kind_of(source) or kind not in carriers:
        return target
    return carriers[kind](source, target, shape)


def is_lossy_webp(data: bytes) -> bool:
    """Whether a WebP file's picture is compressed with losses."""
    return kind_of(data) == "WebP" and b"VP8 " in (name for name, _ in _webp_chunks(data))


def _carry_jpeg(source: bytes, target: bytes, shape: tuple[int, int]) -> bytes:
    same_colours = _jpeg_components(source) == _jpeg_components(target)
    kept = b""
    for at in jpeg_segments(source):
        marker, (length,) = source[at + 1], struct.unpack_from(">H", source, at + 2)
        content = source[at + 4 : at + 2 + length]
        if marker == 0xE1:
            content = _corrected(content, shape)
        elif marker == 0xE2:
            if not (content.startswith(_PROFILE) and same_colours):
                continue  # such as an index of further pictures, which are not there
        elif marker == 0xED:
            content = _without_photoshop_thumbnail(content)
        elif not (0xE3 <= marker <= 0xEF and marker != 0xEE) and marker != 0xFE:
            continue  # APP0 and APP14 say how the old picture was encoded
        kept += struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    first, *rest = jpeg_segments(target)
    at = rest[0] if target[first + 1] == 0xE0 else first  # APP0 comes first
    return target[:at] + kept + target[at:]


def _jpeg_components(data: bytes) -> int:
    """The number of channels; 0 where it is not stated."""
    frames = (at for at in jpeg_segments(data) if data[at + 1] in (0xC0, 0xC1, 0xC2))
    return next((data[at + 9] for at in frames), 0)


def _carry_png(source: bytes, target: bytes, shape: tuple[int, int]) -> bytes:
    same_colours = not (source[25] ^ target[25]) & _COLOUR
    kept = b""
    for name, content in _png_chunks(source):
        if name not in _PNG_KEPT or (name == b"iCCP" and not same_colours):
            continue
        if name in (b"eXIf", b"iTXt"):
            content = _corrected(content, shape)
        kept += _png_chunk(name, content)
    (header, content), *rest = _png_chunks(target)
    others = (_png_chunk(*chunk) for chunk in rest if chunk[0] not in _PNG_KEPT)
    return target[:8] + _png_chunk(header, content) + kept + b"".join(others)


def _png_chunks(data: bytes) -> Chunks:
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + 8 + length]
        at += 12 + length


def _png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def _carry_webp(source: bytes, target: bytes, shape: tuple[int, int]) -> bytes:
    kept = {name: content for name, content in _webp_chunks(source) if name in _WEBP_KEPT}
    for name in kept.keys() - {b"ICCP"}:
        kept[name] = _corrected(kept[name], shape)
    picture = list(_webp_chunks(target))
    name, content = picture[0]
    if name == b"VP8X":
        flags = content[0] & _WEBP_ALPHA
    else:  # a picture without losses says whether it has alpha after its sides of 14 bits
        flags = _WEBP_ALPHA if name == b"VP8L" and content[4] & 0x10 else 0
    flags |= sum(_WEBP_KEPT[name] for name in kept)
    height, width = ((side - 1).to_bytes(3, "little") for side in shape)
    chunks = [
        (b"VP8X", bytes([flags, 0, 0, 0]) + width + height),
        *((name, kept[name]) for name in kept if name == b"ICCP"),
        *(chunk for chunk in picture if chunk[0] in (b"ALPH", b"VP8 ", b"VP8L")),
        *((name, kept[name]) for name in (b"EXIF", b"XMP ") if name in kept),
    ]
    body = b"WEBP"
    for name, content in chunks:
        body += name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunks(data: bytes) -> Chunks:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _corrected(block: bytes, shape: tuple[int, int]) -> bytes:
    """EXIF or XMP, of the same length, that describes an upright picture of another size."""
    start = len(_EXIF) if block.startswith(_EXIF) else 0
    if block[start : start + 4] not in (b"II*\0", b"MM\0*"):
        return re.sub(rb"""(tiff:Orientation(?:=["']|>))[2-8]""", rb"\g<1>1", block)
    exif = bytearray(without_orientation(block[start:]))
    order = "<" if exif.startswith(b"II") else ">"
    with contextlib.suppress(struct.error):  # cut short or damaged: what can be read is corrected
        (main,) = struct.unpack_from(order + "I", exif, 4)
        tags, after = _directory(exif, main, order)
        (thumbnail,) = struct.unpack_from(order + "I", exif, after)
        struct.pack_into(order + "I", exif, after, 0)
        found, _ = _directory(exif, thumbnail, order) if thumbnail else ({}, 0)
        if found.keys() >= {_THUMBNAIL, _THUMBNAIL_LENGTH}:
            at, length = (
                struct.unpack_from(order + found[tag][0], exif, found[tag][1])[0]
                for tag in (_THUMBNAIL, _THUMBNAIL_LENGTH)
            )
            exif[at : at + length] = bytes(len(exif[at : at + length]))
        if _EXIF_POINTER in tags:
            (inner,) = struct.unpack_from(order + "I", exif, tags[_EXIF_POINTER][1])
            tags |= _directory(exif, inner, order)[0]
        for tag in tags.keys() & _SIZES.keys():
            struct.pack_into(order + tags[tag][0], exif, tags[tag][1], shape[_SIZES[tag]])
    return block[:start] + bytes(exif)


def _directory(exif: bytearray, at: int, order: str) -> tuple[dict[int, tuple[str, int]], int]:
    """Type and offset of each tag of one whole number, and the offset of the next directory's."""
    (entries,) = struct.unpack_from(order + "H", exif, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", exif, entry)
        if kind in _TYPES and count == 1:
            tags[tag] = _TYPES[kind], entry + 8
    return tags, at + 2 + 12 * entries


def _without_photoshop_thumbnail(block: bytes) -> bytes:
    """The resources of an APP13 segment, with zeros for the contents of its thumbnails."""
    changed = bytearray(block)
    for found in re.finditer(rb"8BIM\x04[\x09\x0c]\0\0(.{4})", block, re.DOTALL):
        at, length = found.end(), int.from_bytes(found[1], "big")
        changed[at : at + length] = bytes(len(changed[at : at + length]))
    return bytes(changed)
