"""MATLAB files, read with SciPy, and checked before: SciPy crashes on some that are damaged."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import DataSetError

_HDF5 = b"\x89HDF\r\n\x1a\n"

# Types of elements in files of version 5 ("MAT-File Format", MathWorks).
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_NAMES, _INTEGERS = (_INT8, _UTF8), (_INT32, _UINT32)
_PLAIN = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18))  # numbers and text
# Classes of arrays.
_CELL, _STRUCTURE, _OBJECT, _TEXT, _SPARSE, _NUMERIC, _FUNCTION = 1, 2, 3, 4, 5, range(6, 16), 16
_EXPANSION = 64  # times a file's size, or MiB if that is more: the limit of a variable's


def load(path: Path) -> dict[str, Any]:
    """The variables of a `.mat` file; structures have their fields as attributes.

    Axes of length 1 are dropped, so that a cell array of one cell is that cell: see `cells`. Raises
    DataSetError if it is missing, damaged, not MATLAB's, or of version 7.3 (HDF5).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataSetError(f"{path} cannot be read: {error.strerror}") from error
    if data.startswith(b"MATLAB 7.3") or _HDF5 in data[:1024]:
        raise DataSetError(
            f"{path} is a MATLAB 7.3 file (HDF5), which SciPy does not read. In MATLAB, load it "
            "and save it again with save(name, '-v7')"
        )
    if data.startswith(b"version https://git-lfs"):
        raise DataSetError(f"{path} is a Git LFS pointer, not the file; run `git lfs pull`")
    import scipy.io

    try:
        if 0 not in data[:4]:  # else of version 4, which has no elements
            check(data)
        found = scipy.io.loadmat(io.BytesIO(data), squeeze_me=True, struct_as_record=False)
    except Exception as error:  # damaged files make SciPy raise many types
        raise DataSetError(
            f"{path} is damaged, truncated or no MATLAB file ({type(error).__name__}: {error}); "
            f"it starts with {data[:12]!r}. Fetch it again"
        ) from error
    return {name: value for name, value in found.items() if not name.startswith("__")}


def check(data: bytes) -> None:
    """Raise an exception unless the elements of a file are whole, and of types that SciPy knows."""
    order = "<" if data[126:128] == b"IM" else ">"
    at = 128
    while at < len(data):
        kind, size = struct.unpack_from(order + "2I", data, at)
        content = memoryview(data)[at:]
        at += 8 + size
        if kind == _COMPRESSED:
            limit = _EXPANSION * max(len(data), 1 << 20)
            content = memoryview(zlib.decompressobj().decompress(content[8 : 8 + size], limit))
        _Elements(content, order).variable()


class _Elements:
    """Elements of a file, followed as SciPy does, but without making arrays."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data, self._order, self._at = data, order, 0

    def variable(self) -> None:
        """Check an array, which is not empty."""
        kind, size = self._pair()
        if kind != _MATRIX or not size:
            raise ValueError(f"a variable of type {kind} and {size} bytes")
        self._array()

    def _matrix(self) -> None:
        kind, size = self._pair()
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} where an array belongs")
        if size:
            self._array()

    def _array(self) -> None:
        self._pair()
        flags, _ = self._pair()
        sides = self._integers()
        count = math.prod(sides)
        self._element(_NAMES)
        kind, parts = flags & 0xFF, 1 + (flags >> 11 & 1)  # with imaginary ones, if complex
        if len(sides) < 2 or min(sides) < 0 or (kind != _SPARSE and count > len(self._data)):
            raise ValueError(f"an array of {sides} in {len(self._data):,} bytes")
        if kind == _OBJECT:
            self._element(_NAMES)
        if kind in (_STRUCTURE, _OBJECT):
            (length,) = self._integers()
            count *= len(self._element(_NAMES)) // length
        plain = {_TEXT: 1, _SPARSE: 2 + parts, **dict.fromkeys(_NUMERIC, parts)}
        arrays = {_CELL: count, _STRUCTURE: count, _OBJECT: count, _FUNCTION: 1}
        if kind not in plain.keys() | arrays.keys():
            raise ValueError(f"an array of class {kind}; give numbers, text, cells or structures")
        for _ in range(plain.get(kind, 0)):
            self._element(_PLAIN)
        for _ in range(arrays.get(kind, 0)):
            self._matrix()

    def _pair(self) -> tuple[int, int]:
        """Two integers, which mostly are an element's type and size."""
        self._at += 8
        return struct.unpack_from(self._order + "2I", self._data, self._at - 8)

    def _element(self, kinds: Container[int]) -> memoryview:
        """The content of an element of one of these types."""
        at = self._at + 8
        kind, size = self._pair()
        if kind >> 16:  # up to four bytes, in the place of their number
            at, kind, size = at - 4, kind & 0xFFFF, kind >> 16
        else:
            self._at += size + -size % 8
        if kind not in kinds or at + size > len(self._data):
            raise ValueError(f"an element of type {kind} and {size} bytes at {at}")
        return self._data[at : at + size]

    def _integers(self) -> tuple[int, ...]:
        content = self._element(_INTEGERS)
        return struct.unpack_from(f"{self._order}{len(content) // 4}i", content)


def variable(path: Path, name: str) -> Any:
    """A variable of a `.mat` file. DataSetError as of `load`, or if there is none of this name."""
    found = load(path)
    if name not in found:
        raise DataSetError(f"{path}: no variable {name}; it holds {', '.join(found) or 'nothing'}")
    return found[name]


def cells(value: Any) -> list[Any]:
    """The elements of a cell or structure array, also if there is only one."""
    return list(value.flat) if isinstance(value, np.ndarray) and value.dtype == object else [value]


def member(path: Path, structure: Any, name: str) -> Any:
    """A field of a structure; DataSetError if there is none of this name."""
    fields = getattr(structure, "_fieldnames", None)
    if fields is None or name not in fields:
        holds = ", ".join(fields) if fields else f"a {type(structure).__name__}"
        raise DataSetError(f"{path}: no field {name} where one is expected; there is {holds}")
    return getattr(structure, name)


def numbers(path: Path, structure: Any, name: str) -> np.ndarray:
    """A field of numbers, as float64; DataSetError if it holds none."""
    value = np.asarray(member(path, structure, name))
    if value.dtype.kind not in "iuf":
        raise DataSetError(f"{path}: {name} is of type {value.dtype}; numbers are expected")
    return value.astype(np.float64)
