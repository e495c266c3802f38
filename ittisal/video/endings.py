"""Whether a file that does not say how many frames it has was cut short."""

from __future__ import annotations

import mmap
import os

_PACKET = 188  # bytes of MPEG-TS
_SYNC = 0x47
_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B  # blocks of GIF
_COLOURS = 0x80  # whether a table of colours follows; its size is in the lowest three bits


def missing_end(path: str) -> str:
    """What the end of a GIF or MPEG-TS file lacks; empty if nothing, and for other files."""
    if not os.path.isfile(path) or not os.path.getsize(path):
        return ""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] == b"GIF8":
            return "" if _gif_is_whole(data) else "its trailer cannot be reached"
        if set(data[: 4 * _PACKET : _PACKET]) == {_SYNC} and len(data) % _PACKET:
            return f"its last packet has {len(data) % _PACKET} of {_PACKET} bytes"
    return ""


def _gif_is_whole(data: mmap.mmap) -> bool:
    """Whether all blocks are there, up to the trailer."""
    try:
        at = 13 + _table(data[10])
        while data[at] != _TRAILER:
            if data[at] == _PICTURE:
                at += 10 + _table(data[at + 9]) + 1
            elif data[at] == _EXTENSION:
                at += 2
            else:
                return False
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True


def _table(flags: int) -> int:
    """Bytes of the table of colours."""
    return 3 << (flags & 7) + 1 if flags & _COLOURS else 0
