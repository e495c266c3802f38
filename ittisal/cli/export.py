"""`ittisal export`: the model in a form that other runtimes take."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .. import export
from ..config import Config
from ..export import LAYOUTS
from ..frames import CHANNEL_ORDERS
from . import common
from .common import STDIO, UsageError
from .messages import say

DESCRIPTION = """\
Writes the model for frames of one size in a form that runs without Python.

onnx: a graph of standard operators (opset 17, static shapes, float32) for ONNX Runtime, OpenVINO
and others. Presets: itti1998, invt, whitened, gaze and toolbox; gaze has one loop.
"""

EPILOG = """\
inputs and outputs of an ONNX graph:
  frame             uint8 of shape (H, W, 3), or (H, W) with --grey; with --layout nchw float32 in
                    [0, 1] of shape (1, 3, H, W) or (1, 1, H, W)
  saliency          float32 (h, w), a sixteenth of the frame or what the preset has; the raw map of
                    one frame, at least 0, with no fixed maximum. With --layout nchw (1, 1, h, w)
  upsampled         with --upsample: (H, W) in [0, 1], what `ittisal map` writes
  contribution_...  with --contributions: what each channel adds to saliency
  The file's metadata says the same, and holds the config. Flicker, motion and smoothing need the
  frames before, which a graph does not keep.

examples:
  ittisal export --format onnx -o itti.onnx --size 640x480
  ittisal export --format onnx -o gaze.onnx --preset gaze --size 1280x720 --channel-order bgr
  ittisal export --format onnx -o net.onnx --size 640x480 --layout nchw --upsample
  ittisal export --format onnx -o - --size 320x240 --set centre_prior=0.34 > itti.onnx
  ittisal export --format onnx -o itti.onnx --size 640x480 --json | jq .outputs

exit status:
  0 all went well; 1 the file could not be written; 2 wrong usage, or a preset that the format
  cannot hold; 130 interrupted. The file is written under a temporary name and renamed.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("export", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--format", choices=tuple(FORMATS), required=True, help="what is written")
    add(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        type=common.output,
        help="the file; - is standard output",
    )
    add(
        "--size",
        metavar="WxH",
        required=True,
        type=common.size,
        help="of the frames, as in 640x480",
    )
    add(
        "--channel-order",
        choices=CHANNEL_ORDERS,
        default="rgb",
        help="of the frames (default: rgb; OpenCV's are bgr)",
    )
    add("--grey", action="store_true", help="grey frames rather than colour")
    add("--json", action="store_true", help="one JSON object on standard output")
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
    common.add_model_options(parser, threads=False, backend=False)


def run(args: argparse.Namespace) -> int:
    """Write what is asked for."""
    config = common.read_config(args)
    facts = FORMATS[args.format](args, config)
    facts = {"output": args.output, "format": args.format, **facts}
    if args.json:
        print(json.dumps(facts))
    elif args.output != STDIO:
        print(args.output)
    return 0


def _onnx(args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """Write an ONNX graph, and say what it holds."""
    path = Path(args.output)
    if args.output == STDIO:
        common.check_stdout(["-o -"] + ["--json"] * args.json, binary="an ONNX graph")
    else:
        common.refuse_inputs(args, [path], [])
        common.probe_file(path)
    try:
        model = export.onnx_model(
            config,
            args.size,
            channel_order=args.channel_order,
            grey=args.grey,
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


FORMATS = {"onnx": _onnx}
