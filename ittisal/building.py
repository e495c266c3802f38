"""Kernels of the CPU ahead of time: into the store, or as libraries for other machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from .config import PRESETS, Config
from .cpu.prebuilt import VARIABLE, suffix
from .cpu.target import NAMED, NATIVE
from .frames import CHANNEL_ORDERS, DTYPES
from .pipeline import BackendError

TARGETS = (NATIVE, *NAMED)
ORDERS = (*CHANNEL_ORDERS, "grey")
TYPES = tuple(sorted(dtype.name for dtype in DTYPES))


class Built(NamedTuple):
    """What was made for a target."""

    target: str
    kernels: int
    compiled: int  # of them, rather than found in the store
    library: Path | None
    size: int  # bytes of the library, or of the objects in the store


def build(
    target: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    configs: Iterable[Config] = tuple(PRESETS.values()),
    dtypes: Sequence[str] = TYPES,
    orders: Sequence[str] = ORDERS,
) -> Built:
    """Compile the kernels that such frames need, of any size, without running them.

    Another process does it, since all kernels of a process are for one target.

    Parameters
    ----------
    target
        One of `TARGETS`: "native", which is this machine's CPU, or by name, as "x86-64-v3" and
        "cortex-a72".
    folder
        Where the target's shared library is written, for `ITTISAL_KERNELS`; it is made if it is not
        there. None: the objects are kept in the store alone. The library of "native" cannot be had,
        since no other machine could tell whether it runs it.
    configs
        Of the models; by default of all presets.
    dtypes
        Of pixels: "uint8", "uint16", "float32".
    orders
        Of channels: "rgb", "bgr", or "grey".

    Raises
    ------
    ValueError
        An unknown target, type or order, or a library of "native".
    BackendError
        A kernel does not compile, there is no C compiler for the target, or the library cannot be
        written.
    """
    for what, asked, known in (
        ("target", [target], TARGETS),
        ("dtypes", dtypes, TYPES),
        ("orders", orders, ORDERS),
    ):
        if unknown := [each for each in asked if each not in known]:
            raise ValueError(f"{what}={unknown[0]!r} is not one of: {', '.join(known)}")
    library = None
    if folder is not None:
        library = Path(folder) / library_name(target)
        try:
            library.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackendError(f"{folder} cannot be made: {error.strerror}") from error
    request = {
        "configs": [config.to_dict() for config in configs],
        "dtypes": [*dtypes],
        "orders": [*orders],
        "library": None if library is None else str(library.absolute()),
    }
    environment = {**os.environ, "ITTISAL_TARGET": target}
    environment.pop(VARIABLE, None)
    command = [sys.executable, "-m", f"{__package__}.cpu.build"]
    done = subprocess.run(
        command,
        input=json.dumps(request),
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"the process that compiles ended with status {done.returncode}"}
    if "error" in answer:
        raise BackendError(f"kernels for {target}: {answer['error']}")
    size = answer["bytes"] if library is None else library.stat().st_size
    return Built(target, answer["kernels"], answer["compiled"], library, size)


def origins(config: Config, shape: tuple[int, int] = (480, 640)) -> dict[str, int]:
    """How many of the kernels for uint8 frames of this size are "prebuilt", "stored", or "to be
    compiled", in this process.
    """
    from .cpu.build import kernels
    from .cpu.library import origin

    found = [origin(kernel) for kernel in kernels([config], ["uint8"], ORDERS, [shape])]
    return {each: found.count(each) for each in sorted(set(found))}


def library_name(target: str) -> str:
    """The name of a target's library of kernels.

    Raises
    ------
    ValueError
        The target is "native".
    """
    if target == NATIVE:
        raise ValueError(
            f"target={target!r} has no library, since another machine could not tell whether it "
            f"runs it; name the target: {', '.join(NAMED)}"
        )
    return f"{target}{suffix()}"
