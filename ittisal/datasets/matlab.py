"""MATLAB files: read with SciPy, or an error that says what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .dataset import DataSetError

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load(path: Path) -> dict[str, Any]:
    """The variables of a `.mat` file; structures have their fields as attributes.

    Axes of length 1 are dropped, so that a cell array of one cell is that cell: see `cells`.

    Raises
    ------
    DataSetError
        Missing, damaged, not MATLAB's, or of version 7.3, which SciPy does not read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise DataSetError(f"{path} cannot be read: {error.strerror}") from error
    if start.startswith((b"MATLAB 7.3", _HDF5)) or _HDF5 in start:
        raise DataSetError(
            f"{path} is a MATLAB 7.3 file (HDF5), which SciPy does not read. In MATLAB, load it "
            "and save it again with save(name, '-v7')"
        )
    if start.startswith(b"version https://git-lfs"):
        raise DataSetError(f"{path} is a Git LFS pointer, not the file; run `git lfs pull`")
    import scipy.io

    try:
        found = scipy.io.loadmat(str(path), squeeze_me=True, struct_as_record=False)
    except Exception as error:  # of damaged files SciPy raises whatever comes
        raise DataSetError(
            f"{path} is damaged, truncated or no MATLAB file ({type(error).__name__}: {error}); "
            f"it starts with {start[:12]!r}. Fetch it again"
        ) from error
    return {name: value for name, value in found.items() if not name.startswith("__")}


def variable(path: Path, name: str) -> Any:
    """One variable of a `.mat` file.

    Raises
    ------
    DataSetError
        As `load`, or there is no such variable.
    """
    found = load(path)
    if name not in found:
        raise DataSetError(f"{path}: no variable {name}; it holds {', '.join(found) or 'nothing'}")
    return found[name]


def cells(value: Any) -> list[Any]:
    """The elements of a cell or structure array, one where there is one only."""
    return list(value.flat) if isinstance(value, np.ndarray) and value.dtype == object else [value]


def field(path: Path, structure: Any, name: str) -> Any:
    """A field of a structure.

    Raises
    ------
    DataSetError
        There is no such field.
    """
    fields = getattr(structure, "_fieldnames", None)
    if fields is None or name not in fields:
        holds = ", ".join(fields) if fields else f"a {type(structure).__name__}"
        raise DataSetError(f"{path}: no field {name} where one is expected; there is {holds}")
    return getattr(structure, name)


def row(path: Path, structure: Any, name: str) -> np.ndarray:
    """A field of numbers, as a 1-D float64 array.

    Raises
    ------
    DataSetError
        There is no such field, or it does not hold numbers.
    """
    value = np.asarray(field(path, structure, name))
    if value.dtype.kind not in "iuf":
        raise DataSetError(f"{path}: {name} is of type {value.dtype}; numbers are expected")
    return value.astype(np.float64).ravel()
