"""The model as a C library, for programs without Python."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from ..building import ORDERS, TARGETS, TYPES
from ..config import Config
from ..cpu import supports
from ..files import atomic
from ..frames import check_shape
from ..pipeline import BackendError


class Exported(NamedTuple):
    """What was written."""

    folder: Path
    target: str
    variants: int
    size: int  # bytes of the shared library
    compiled: int  # kernels, rather than found in the store


def export_library(
    folder: str | os.PathLike[str],
    configs: Mapping[str, Config],
    shapes: Sequence[tuple[int, int]],
    *,
    pixels: Sequence[str] = ("rgb",),
    types: Sequence[str] = ("uint8",),
    target: str = "native",
    threads: int = 1,
) -> Exported:
    """Write a C library with a variant for each combination of configs, shapes, pixels and types.

    Its maps are those of the Python package's CPU backend on the same target, to the bit. Another
    process does it, since all kernels of a process are for one target. The C compiler is `CC` or
    what there is; `CFLAGS` and `LDFLAGS` are added to its own flags.

    Parameters
    ----------
    folder
        A new folder, or an empty one: include/ittisal.h, lib/libittisal.so and .a, files for
        pkg-config and CMake, and an example.
    configs
        Models, by the names that programs ask for them by.
    shapes
        (height, width) of frames in pixels.
    pixels
        Orders of channels: "rgb", "bgr", or "grey".
    types
        Of pixels: "uint8", "uint16", "float32".
    target
        One of `ittisal.building.TARGETS`: "native", which is this machine's CPU, or by name, as
        "x86-64-v3" and "cortex-a72".
    threads
        That may share a frame, the caller's.

    Raises
    ------
    ValueError
        An unknown target, type or order, a bad shape, a folder that is not empty, or a config that
        no library can have.
    BackendError
        A kernel does not compile, there is no C compiler for the target, or the library cannot be
        written.
    """
    for what, asked, known in (
        ("target", [target], TARGETS),
        ("types", types, TYPES),
        ("pixels", pixels, ORDERS),
    ):
        if unknown := [each for each in asked if each not in known]:
            raise ValueError(f"{what}={unknown[0]!r} is not one of: {', '.join(known)}")
    shapes = [check_shape(shape) for shape in shapes]
    for name, config in configs.items():
        _check_config(name, config)
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} is there, and is not an empty folder; give another")
    variants = [
        {
            "preset": name,
            "config": config.to_dict(),
            "shape": shape,
            "pixels": order,
            "type": kind,
            "threads": threads,
        }
        for (name, config), shape, order, kind in product(configs.items(), shapes, pixels, types)
    ]
    try:
        with atomic(folder) as temporary:
            temporary.mkdir()
            compiled = _make(target, {"variants": variants, "folder": str(temporary.absolute())})
    except OSError as error:
        raise BackendError(f"{folder} cannot be written: {error.strerror}") from error
    size = (folder / "lib" / "libittisal.so").stat().st_size
    return Exported(folder, target, len(variants), size, compiled)


def _check_config(name: str, config: Config) -> None:
    """Refuse what a library would need Python, or whole maps, for."""
    if not re.fullmatch(r"[\w.+-]+", name, re.ASCII):
        raise ValueError(f"{name!r}: programs name a model by letters, digits and . + - _ alone")
    able, why = supports(config)
    if not able:
        raise ValueError(f"{name}: {why.partition(';')[0]}, and a C library has no other")
    if config.linear:
        raise ValueError(
            f"{name}: linear=True needs frames converted before the kernels see them, which a C "
            "library does not do; leave it out, and give float32 frames in linear light"
        )


def _make(target: str, asked: dict[str, object]) -> int:
    """Have another process make it; how many kernels it compiled."""
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.make"],
        input=json.dumps(asked),
        env={**os.environ, "ITTISAL_TARGET": target, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"the process that makes it ended with status {done.returncode}"}
    if "error" in answer:
        raise BackendError(f"C library for {target}: {answer['error']}")
    return int(answer["compiled"])
