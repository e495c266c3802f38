"""`ittisal warmup`: compile the kernels now rather than at the first frame."""

from __future__ import annotations

import argparse
import itertools
import time
from typing import Any

import numpy as np

from ..frames import CHANNEL_ORDERS
from ..model import Saliency
from . import common, info

SIZES = ((480, 640), (1080, 1920))  # one for a single thread, one for several
DTYPES = ("uint8", "uint16", "float32")

DESCRIPTION = """\
Builds and runs the model once for each frame format, so that its kernels are compiled and cached
before the first real frame. Cached kernels are not compiled again: presets, channel orders, sizes
and thread counts share most of them. Useful in the build of a container image or at the start of
a service.
"""

EPILOG = """\
examples:
  ittisal warmup
  ittisal warmup --size 1280x720 --dtype uint8 uint16
  ittisal warmup --preset gaze
  ittisal warmup --config mine.json
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("warmup", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    common.add_sizes(parser, SIZES, "frame sizes")
    parser.add_argument(
        "--dtype",
        nargs="+",
        choices=DTYPES,
        default=["uint8"],
        help="types of pixels (default: uint8)",
    )
    common.add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Build, run, and say how long it took."""
    config = common.read_config(args)
    common.check_backend(args.backend, config, args.threads)
    start = time.perf_counter()
    for shape, dtype, order in itertools.product(args.size, args.dtype, (*CHANNEL_ORDERS, "grey")):
        began = time.perf_counter()
        colour: dict[str, Any] = {"channel_order": order} if order in CHANNEL_ORDERS else {}
        frame = _frame((*shape, 3) if colour else shape, dtype)
        with Saliency(shape, config, backend=args.backend, threads=args.threads, **colour) as model:
            model(frame)
            model.trace(frame)
            ran = f"{model.backend}, threads {model.threads}"
        seconds = time.perf_counter() - began
        print(f"{shape[1]}x{shape[0]} {dtype} {order}, {ran}: {seconds:.2f} s", flush=True)
    print(f"in all {time.perf_counter() - start:.2f} s")
    cache = f"{ran.partition(',')[0]} cache directory"
    where = info.caches().get(cache, "none")
    print(f"{cache}: {where}")
    return int(where.startswith("none: "))  # compiled for nothing


def _frame(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A frame with contrast, so that no stage is skipped."""
    ramp = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape[:2])
    frame = np.stack([ramp, 1 - ramp, ramp**2], axis=2) if len(shape) == 3 else ramp
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    return (frame * scale).astype(dtype)
