"""What files say of themselves that OpenCV does not pass on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

MATROSKA = b"\x1a\x45\xdf\xa3"  # what its files begin with, WebM's too


@dataclass(frozen=True)
class Header:
    """What is known of a file before its frames are read.

    Parameters
    ----------
    matroska, mp4 : bool
        Which container it is, if one of these.
    seconds : float, optional
        How long an MP4 is shown; less than its frames would take if it was trimmed without coding
        it anew, since all are still in it.
    """

    matroska: bool = False
    mp4: bool = False
    seconds: float | None = None


def header(path: str) -> Header:
    """The header of a file; of a pipe, which can be read once only, nothing is known."""
    if not os.path.isfile(path):
        return Header()
    with open(path, "rb") as file:
        begin = file.read(8)
        if begin[4:] != b"ftyp":
            return Header(matroska=begin.startswith(MATROSKA))
        return Header(mp4=True, seconds=_seconds(file))


def _seconds(file: BinaryIO) -> float | None:
    """The duration in an MP4's movie header, edit lists taken into account; None if unknown."""
    end = file.seek(0, os.SEEK_END)
    movie = _find(file, b"moov", 0, end)
    found = _find(file, b"mvhd", *movie) if movie else None
    if found is None:
        return None
    file.seek(found[0])
    data = file.read(32)
    if len(data) < 32:
        return None
    # Version 1 has times of 64 bits: two of them come before the unit, which has 32 anyhow.
    unit, size = (20, 8) if data[0] == 1 else (12, 4)
    ticks = int.from_bytes(data[unit : unit + 4], "big")
    length = int.from_bytes(data[unit + 4 : unit + 4 + size], "big")
    unknown = not length or length == (1 << 8 * size) - 1
    return None if unknown or not ticks else length / ticks


def _find(file: BinaryIO, kind: bytes, place: int, end: int) -> tuple[int, int] | None:
    """Where the contents of the first box of this kind begin and end."""
    while place + 8 <= end:
        file.seek(place)
        head = file.read(16)
        size, begin = int.from_bytes(head[:4], "big"), place + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), place + 16
        after = end if size == 0 else place + size
        if after < begin:
            return None
        if head[4:8] == kind:
            return begin, min(after, end)
        place = after
    return None
