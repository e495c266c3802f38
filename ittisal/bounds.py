"""How large a picture may be, so that a few bytes cannot fill the memory."""

from __future__ import annotations

import contextlib
import re

MAX_PIXELS: int | None = None
"""The most pixels of a picture or a frame of video; None: by the file's size and free memory."""
PIXELS_PER_BYTE = 32  # of a file, and of 1 MiB if it is smaller
BYTES_PER_PIXEL = 20  # of memory, for decoding and mapping


def excess(width: int, height: int, size: int, bits: int = 8) -> str:
    """Why a picture of so many pixels is refused, in a file of `size` bytes; empty if it is not.

    Samples of 32 `bits` count twice, those of 64 four times.
    """
    pixels, limit, why = width * height, MAX_PIXELS, "set by --max-pixels"
    if limit is None:
        limit, why = PIXELS_PER_BYTE * max(size, 1 << 20), "for a file of this size"
        affordable = free_memory() // BYTES_PER_PIXEL
        if affordable < limit:
            limit, why = affordable, "for the memory that is free"
        limit //= max(bits // 16, 1)
    if pixels <= limit:
        return ""
    return (
        f"states {width}x{height} pixels in {size:,} bytes, over the limit of {limit:,} pixels "
        f"{why}; if that is right, allow it with --max-pixels {pixels}"
    )


def free_memory() -> int:
    """Bytes of memory that new work can take; 1 EiB where the system does not say."""
    with contextlib.suppress(OSError), open("/proc/meminfo", "rb") as file:
        found = re.search(rb"^MemAvailable: *(\d+) kB", file.read(), re.MULTILINE)
        if found:
            return int(found[1]) << 10
    return 1 << 60
