"""`ittisal export`: the model in a form that other runtimes take."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import building, export
from ..config import Config
from ..export import LAYOUTS
from ..pipeline import BackendError
from . import common
from .common import STDIO, UsageError
from .messages import say

DESCRIPTION = """\
Writes the model for frames of fixed sizes in a form that runs without Python.

c: a library of C functions for one kind of CPU, shared and static, with its header, files for
pkg-config and CMake, and an example. It holds a model for each combination of presets, sizes,
channel orders and types that are given; maps are those of the CPU backend to the bit. Nothing is
compiled, read or allocated where it runs.

onnx: a graph of standard operators (opset 17, static shapes, float32) for ONNX Runtime, OpenVINO
and others. Presets: itti1998, invt, whitened, gaze and toolbox; gaze has one loop.
"""

EPILOG = """\
files of a C library:
  include/ittisal.h   the functions, each with what it does
  lib/libittisal.so, lib/libittisal.a, lib/pkgconfig/, lib/cmake/
  example/            a program and its Makefile
  It needs a C compiler here: cc, a cross compiler, or the package ziglang.

inputs and outputs of an ONNX graph:
  frame             uint8 of shape (H, W, 3), or (H, W) if grey; with --layout nchw float32 in
                    [0, 1] of shape (1, 3, H, W) or (1, 1, H, W)
  saliency          float32 (h, w), a sixteenth of the frame or what the preset has; the raw map of
                    one frame, at least 0, with no fixed maximum. With --layout nchw (1, 1, h, w)
  upsampled         with --upsample: (H, W) in [0, 1], what `ittisal map` writes
  contribution_...  with --contributions: what each channel adds to saliency
  The file's metadata says the same, and holds the config. Flicker, motion and smoothing need the
  frames before, which a graph does not keep.

examples:
  ittisal export -o lib --size 640x480
  ittisal export -o lib --preset video gaze --size 640x480 320x240 --channel-order bgr grey
  ittisal export -o pi4 --preset video --size 640x480 --target cortex-a72 --threads 4
  ittisal export --format onnx -o itti.onnx --size 640x480
  ittisal export --format onnx -o gaze.onnx --preset gaze --size 1280x720 --channel-order bgr
  ittisal export --format onnx -o net.onnx --size 640x480 --layout nchw --upsample
  ittisal export --format onnx -o - --size 320x240 --set centre_prior=0.34 > itti.onnx
  ittisal export --format onnx -o itti.onnx --size 640x480 --json | jq .outputs

exit status:
  0 all went well; 1 it could not be compiled or written; 2 wrong usage, or a preset that the format
  cannot hold; 130 interrupted. Files and folders are written under a temporary name and renamed.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("export", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--format", choices=tuple(FORMATS), default="c", help="what is written (default: c)")
    add(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        type=common.output,
        help="a new folder; of onnx a file, or - for standard output",
    )
    add(
        "--size",
        metavar="WxH",
        required=True,
        nargs="+",
        type=_size,
        help="of the frames, as in 640x480; of c one or several",
    )
    add(
        "--channel-order",
        nargs="+",
        choices=building.ORDERS,
        default=["rgb"],
        help="of the frames: rgb, bgr as OpenCV's are, or grey; of c one or several (default: rgb)",
    )
    add("--json", action="store_true", help="one JSON object on standard output")
    c = parser.add_argument_group("c")
    c.add_argument(
        "--dtype",
        nargs="+",
        choices=building.TYPES,
        default=["uint8"],
        help="types of pixels, one or several (default: uint8)",
    )
    c.add_argument(
        "--target",
        metavar="NAME",
        choices=building.TARGETS,
        default=building.TARGETS[0],
        help=f"one of {', '.join(building.TARGETS)} (default: native, this CPU)",
    )
    c.add_argument(
        "--threads",
        metavar="N",
        type=common.number(1, 256, whole=True),
        default=1,
        help="of the program, that may share a frame (default: 1)",
    )
    onnx = parser.add_argument_group("onnx")
    onnx.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="hwc",
        help="of frame and maps: hwc, uint8 as cameras give it (default), or nchw, float32",
    )
    onnx.add_argument(
        "--upsample", action="store_true", help="also the map of the frame's size, in [0, 1]"
    )
    onnx.add_argument(
        "--contributions", action="store_true", help="also what each channel adds to the map"
    )
    common.add_model_options(parser, threads=False, backend=False, several=True)


def run(args: argparse.Namespace) -> int:
    """Write what is asked for."""
    names = [Path(args.config).stem] if args.config else args.preset
    configs = {name: common.read_config(args, name) for name in names}
    try:
        facts = FORMATS[args.format](args, configs)
    except BackendError as error:
        say(f"ittisal export: {error}")
        return 1
    facts = {"output": args.output, "format": args.format, **facts}
    if args.json:
        print(json.dumps(facts))
    elif args.output != STDIO:
        print(args.output)
    return 0


def _size(text: str) -> tuple[int, int]:
    """A size for argparse."""
    if text == "any":
        raise argparse.ArgumentTypeError(
            "'any' cannot be had: sizes are fixed when a model is exported; give one or, of c, "
            "several, as in --size 640x480 320x240"
        )
    return common.size(text)


def _only(option: str, given: Sequence[Any]) -> Any:
    """What is given of an option of which a graph takes one."""
    if len(given) > 1:
        raise UsageError(f"{option}: an ONNX graph is of one; write a file for each")
    return given[0]


def _c(args: argparse.Namespace, configs: dict[str, Config]) -> dict[str, Any]:
    """Write a C library, and say what it holds."""
    if args.output == STDIO:
        raise UsageError("-o -: a C library is a folder; give its name")
    common.probe_directory(Path(args.output).absolute().parent, create=True)
    try:
        done = export.export_library(
            args.output,
            configs,
            args.size,
            pixels=args.channel_order,
            types=args.dtype,
            target=args.target,
            threads=args.threads,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not args.json:
        what = f"{done.variants} model{'s' * (done.variants > 1)} for {done.target}"
        say(f"{what}, {done.size >> 10} KiB; see include/ittisal.h and example/")
    return {"target": done.target, "models": done.variants, "bytes": done.size}


def _onnx(args: argparse.Namespace, configs: dict[str, Config]) -> dict[str, Any]:
    """Write an ONNX graph, and say what it holds."""
    config = configs[_only("--preset", list(configs))]
    path = Path(args.output)
    if args.output == STDIO:
        common.check_stdout(["-o -"] + ["--json"] * args.json, binary="an ONNX graph")
    else:
        common.refuse_inputs(args, [path], [])
        common.probe_file(path, create=True)
    try:
        model = export.onnx_model(
            config,
            _only("--size", args.size),
            channel_order=_only("--channel-order", args.channel_order),
            layout=args.layout,
            upsample=args.upsample,
            contributions=args.contributions,
        )
    except (ImportError, ValueError) as error:
        raise UsageError(str(error)) from error
    data = model.SerializeToString()
    common.write(path, data)
    outputs = {each.name: _shape(each) for each in model.graph.output}
    shapes = ", ".join(f"{name} {shape}" for name, shape in outputs.items())
    if not args.json:
        frame = f"{model.graph.input[0].doc_string}, {_shape(model.graph.input[0])}"
        say(f"{len(model.graph.node)} nodes, {len(data) >> 10} KiB; frame {frame} -> {shapes}")
    return {
        "bytes": len(data),
        "nodes": len(model.graph.node),
        "opset": model.opset_import[0].version,
        "inputs": {each.name: _shape(each) for each in model.graph.input},
        "outputs": outputs,
    }


def _shape(value: Any) -> list[int]:
    """Of an input or output."""
    return [each.dim_value for each in value.type.tensor_type.shape.dim]


FORMATS = {"c": _c, "onnx": _onnx}
