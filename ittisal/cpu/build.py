"""Compiles kernels ahead of time, for the target of this process, without running them.

`python -m ittisal.cpu.build` is one target's part of `ittisal build`: see `ittisal.building`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from ..config import Config
from ..files import write_whole
from ..frames import CHANNEL_ORDERS
from ..native import toolchain
from ..pipeline import BackendError, FrameFormat
from ..plan import Plan
from . import make, store
from .kernel import Kernel
from .library import objects
from .target import NAMED, name

# Frames whose kernels are all there are: with maps at each level, and of every width up to gbvs's
# 48 samples.
SIDE = 480
SHAPES = (
    (64, 64),
    (240, 320),
    (480, 640),
    *((SIDE, SIDE * samples // 48) for samples in range(4, 49, 4)),
)


def kernels(
    configs: Iterable[Config],
    dtypes: Sequence[str],
    orders: Sequence[str],
    shapes: Sequence[tuple[int, int]] = SHAPES,
) -> list[Kernel]:
    """Those that frames of these kinds, of any size and for any number of threads, need.

    Parameters
    ----------
    configs
        Of the models.
    dtypes
        Of pixels: "uint8", "uint16", "float32".
    orders
        Of channels: "rgb", "bgr", or "grey" for a single one.
    shapes
        (height, width) of frames; by default such that there is one for each kernel.
    """
    found: dict[Kernel, None] = {}
    for config, shape, order in product(configs, shapes, orders):
        backend = make(Plan(shape, config), order if order in CHANNEL_ORDERS else "rgb", threads=2)
        for dtype in ("float32",) if config.linear else dtypes:
            state = backend.new_state(FrameFormat(dtype, 1 if order == "grey" else 3))
            found |= dict.fromkeys([*state.kernels(), *state.kernels(gain=True)])
        found |= dict.fromkeys([*backend.workers.kernels])
        backend.close()
    return list(found)


def link(found: dict[Kernel, bytes], out: Path) -> None:
    """Link objects into a shared library for this process's target.

    Raises
    ------
    ToolchainError
        There is no C compiler for the target, or it fails.
    OSError
        The library cannot be written.
    """
    named = NAMED[name()]
    define = f"-DITTISAL_{named.define}"
    cc = toolchain.compiler(named.architecture)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        for kernel, data in found.items():
            (made / f"{store.symbol(kernel)}.o").write_bytes(data)
        library = made / out.name
        sources = [toolchain.SOURCES / "supported.c", toolchain.SOURCES / "prebuilt.c"]
        flags = ["-O2", "-fPIC", "-shared", "-s", define, f"-DITTISAL_KERNELS={len(found)}"]
        toolchain.run([*cc, *flags, *sources, *sorted(made.glob("*.o")), "-o", library])
        write_whole(out, library.read_bytes())


def main() -> int:
    """One target's part of `building.build`, by JSON on standard input and output."""
    asked = json.load(sys.stdin)
    configs = [Config.from_dict(each) for each in asked["configs"]]
    try:
        found = objects(kernels(configs, asked["dtypes"], asked["orders"]))
        if asked["library"] is not None:
            link(found, Path(asked["library"]))
    except (BackendError, toolchain.ToolchainError, OSError, RuntimeError, ValueError) as error:
        print(json.dumps({"error": str(error)}))
        return 1
    size = sum(map(len, found.values()))
    print(json.dumps({"kernels": len(found), "compiled": len(store.compiled), "bytes": size}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
