"""A block of memory as few bytes, which a few lines of C unpack (`unpack` in native/ittisal.c).

Packed bytes are, again and again: how many bytes follow, these, how many bytes are then repeated,
and from how far back. Numbers are little-endian groups of seven bits, of which all but the last
have the eighth bit set. Zeros at the end are left out.
"""

from __future__ import annotations

import numpy as np

LEAST = 12  # bytes that are worth a repetition; with fewer, tables take more
MARKS = 64  # bytes at the start of a repetition that may be repeated themselves
CHUNK = 4096


def row_differences(numbers: np.ndarray, columns: int, slots: int = 16) -> np.ndarray:
    """Rows of numbers as differences from the last row whose first number had the same remainder
    by `slots`; the first number stays as it is.
    """
    rows = numbers.reshape(-1, columns)
    differences = rows.copy()
    for slot in range(slots):
        (at,) = np.nonzero(rows[:, 0] % slots == slot)
        differences[at[1:], 1:] -= rows[at[:-1], 1:]
    return differences.ravel()


def pack(block: bytes) -> bytes:
    """Packed bytes.

    Examples
    --------
    >>> pack(bytes(20)), len(pack(b"abc" * 1000))
    (b'', 7)
    """
    block = block.rstrip(b"\0")
    packed, marks = bytearray(), dict[bytes, int]()
    start = at = 0
    while at < len(block):
        key = block[at : at + LEAST]
        before = marks.get(key)
        marks[key] = at
        if before is None or len(key) < LEAST:
            at += 1
            continue
        size = _common(block, before, at)
        packed += _number(at - start) + block[start:at] + _number(size) + _number(at - before)
        for each in range(at + 1, at + min(size, MARKS)):
            marks[block[each : each + LEAST]] = each
        start = at = at + size
    if start < at:
        packed += _number(at - start) + block[start:at] + _number(0) + _number(0)
    return bytes(packed)


def _common(block: bytes, before: int, at: int) -> int:
    """How many bytes are the same from two places on."""
    size = LEAST
    while block[before + size : before + size + CHUNK] == block[at + size : at + size + CHUNK]:
        if at + size >= len(block):
            return len(block) - at
        size += CHUNK
    while at + size < len(block) and block[before + size] == block[at + size]:
        size += 1
    return min(size, len(block) - at)


def _number(value: int) -> bytes:
    """A number in groups of seven bits."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
