"""`ittisal build`: compile kernels ahead of time, for this CPU or for others."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .. import building
from ..config import PRESETS, Config, preset
from ..pipeline import BackendError
from . import common
from .messages import say

DESCRIPTION = """\
Compiles the CPU's kernels for a set of presets, pixel types and channel orders, without running
them. Without -o they go into the store on disk, where later processes find them. With -o each
target's kernels are linked into one shared library there, by a C compiler (cc, a cross compiler, or
that of the package ziglang): a machine that has this folder needs neither Numba nor a compiler.
Set ITTISAL_KERNELS to the folder there; the library that suits its CPU best is loaded.
"""

EPILOG = """\
examples:
  ittisal build                                    all presets, for this CPU, into the store
  ittisal build --preset video --dtype uint8
  ittisal build --target cortex-a72 -o kernels     for a Raspberry Pi 4, on any machine
  ittisal build --target x86-64-v2 x86-64-v3 x86-64-v4 -o kernels
  ITTISAL_KERNELS=kernels ITTISAL_COMPILE=never ittisal map photo.jpg
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("build", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "--target",
        metavar="NAME",
        nargs="+",
        choices=building.TARGETS,
        default=[building.TARGETS[0]],
        help=f"one or several of {', '.join(building.TARGETS)} (default: native, this CPU)",
    )
    add("-o", "--output", metavar="DIR", help="folder for the libraries, one for each target")
    add("--json", action="store_true", help="one JSON line for each target")
    kinds = parser.add_argument_group("what is compiled")
    add = kinds.add_argument
    add(
        "--preset",
        metavar="NAME",
        nargs="+",
        help=f"of {', '.join(PRESETS)} (default: all, or none with --config)",
    )
    add("--config", metavar="FILE", nargs="+", default=[], help=".json or .toml files of fields")
    add(
        "--dtype",
        nargs="+",
        choices=building.TYPES,
        default=building.TYPES,
        help="types of pixels (default: all)",
    )
    add(
        "--channel-order",
        nargs="+",
        choices=building.ORDERS,
        default=building.ORDERS,
        help="orders of channels (default: all)",
    )


def run(args: argparse.Namespace) -> int:
    """Compile for one target after the other; those that fail are reported, and the rest go on."""
    try:
        names = args.preset or ([] if args.config else PRESETS)
        configs = [*map(preset, names), *map(Config.from_file, args.config)]
        for target in args.target if args.output is not None else ():
            building.library_name(target)
    except (OSError, ValueError, TypeError) as error:
        raise common.UsageError(common.reason(error)) from error
    failed = False
    for target in args.target:
        try:
            built = building.build(
                target, args.output, configs=configs, dtypes=args.dtype, orders=args.channel_order
            )
        except BackendError as error:
            say(f"ittisal build: {error}")
            failed = True
            continue
        if args.json:
            plain = built._asdict() | {"library": built.library and str(built.library)}
            print(json.dumps(plain), flush=True)
        else:
            print(
                f"{built.library or target}: {built.kernels} kernels, {built.compiled} of them "
                f"compiled now, {built.size / 2**20:.2f} MiB",
                flush=True,
            )
    return int(failed)
