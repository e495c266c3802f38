"""NumPy's .npy files and .npz archives: headers are checked before an array is made."""

from __future__ import annotations

import math
import sys
import warnings
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np

EXPANSION = 32  # times the size of an archive, or MiB if that is more: the limit of its arrays


def read_array(file: IO[bytes], size: int) -> np.ndarray:
    """The array in a .npy file of `size` bytes, open at its beginning.

    Raises ValueError if its items have no bytes, are pickled, need more than there are, or are text
    that is not Unicode, and what NumPy raises for damaged files, of any type.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # NumPy's, of headers that Python 2 wrote
        # Version 3 is 2 with other letters in the names of fields, which no array of numbers has.
        first = np.lib.format.read_magic(file) == (1, 0)
        shape, _, dtype = (
            np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        )(file)
        if not dtype.itemsize:
            raise ValueError(f"holds {dtype}, items of no bytes")
        needed, left = math.prod(shape) * dtype.itemsize, size - file.tell()
        if any(side < 0 for side in shape) or needed > left:
            raise ValueError(
                f"{dtype} of shape {shape} would take {needed:,} bytes, and {left:,} are there"
            )
        file.seek(0)
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    if dtype.kind == "U":
        characters = np.frombuffer(array.tobytes(), f"{dtype.byteorder}u4")
        if characters.max(initial=0) > sys.maxunicode:
            raise ValueError("holds characters beyond Unicode")
    return array


def read_archive(path: Path, names: Collection[str]) -> tuple[list[str], dict[str, Any]]:
    """The names of the arrays in a .npz file, and those arrays of `names` that are there.

    Raises ValueError as `read_array`, or if they are too large for the archive's size, and what
    zipfile, zlib and NumPy raise for damaged files, of any type.
    """
    with zipfile.ZipFile(path) as archive:
        held = {each.filename.removesuffix(".npy"): each for each in archive.infolist()}
        wanted = {name: held[name] for name in names if name in held}
        size, total = path.stat().st_size, sum(each.file_size for each in wanted.values())
        limit = EXPANSION * max(size, 1 << 20)
        if total > limit:
            raise ValueError(
                f"{size:,} bytes would become {total:,}, over the limit of {limit:,}; save it "
                "without compression, by numpy.savez"
            )
        arrays = {}
        for name, member in wanted.items():
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name} is compressed in a way that NumPy does not write")
            with archive.open(member) as file:
                arrays[name] = read_array(file, member.file_size)
    return list(held), arrays
