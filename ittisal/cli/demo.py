"""`ittisal demo`: a photograph and its maps in one picture, and the time that they took."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import drawing, imagefiles
from .._version import __version__
from ..config import Config
from ..imagefiles import ImageError
from . import common, models
from .common import UsageError

FILE = "ittisal-demo.png"
TILE_WIDTH = 480  # three make a picture that a laptop shows whole
STEADY_SECONDS = 0.5

DESCRIPTION = """\
Writes one picture: a photograph, the maps of its channels (intensity, colour and orientation, or
with other presets whitened energies, figure and corners), the saliency map, and the map laid over
the photograph, with a ring at its maximum. Prints the picture's path and the time that the map
took. Nothing is downloaded.
"""

EPILOG = f"""\
photographs, from scikit-image:
  {", ".join(models.PHOTOGRAPHS)}

examples:
  ittisal demo
  ittisal demo --image chelsea -o cat.png
  ittisal demo --image my.jpg --preset gaze
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("demo", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--image",
        metavar="NAME",
        default=models.PHOTOGRAPHS[0],
        help=f"a bundled photograph, or an image file (default: {models.PHOTOGRAPHS[0]})",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default=FILE,
        help=f"where the picture goes: a .png file or a directory (default: {FILE})",
    )
    common.add_max_pixels(parser)
    common.add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Make the picture, and print the times."""
    config = common.read_config(args)
    common.require_opencv()
    common.check_backend(args.backend, config, args.threads)
    path = _target(args.output)
    common.refuse_inputs(args, [path], [args.image])
    frame = _frame(args.image)
    height, width = frame.shape[:2]

    start = time.perf_counter()
    by_size = models.Models(config, args.backend, args.threads)
    try:
        model = by_size.get((height, width))
        model(frame)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{args.image}: {error}") from error
    first = time.perf_counter() - start
    steady = float(np.median(models.latencies(model, [frame], STEADY_SECONDS)))
    model.reset()
    maps = models.with_parts(model, frame)
    peak = models.peak_of(maps["saliency"], (height, width), config)

    threads = f"{model.threads} thread" + ("s" if model.threads > 1 else "")
    name = Path(args.config).name if args.config else args.preset
    name += " with " * bool(args.set) + ", ".join(args.set)
    footer = (
        f"ittisal {__version__}, {name}, {width}x{height}: {steady * 1e3:.3g} ms on {model.backend}"
    )
    common.write(path, imagefiles.encode(_picture(frame, maps, peak, config, footer), "png"))
    where = f"x {peak['x']}, y {peak['y']}" if peak else "none: nothing stands out"
    print(f"picture     {path.absolute()}")
    print(f"photograph  {args.image}, {width}x{height} pixels")
    print(f"model       {name}, backend {model.backend}, {threads}")
    print(f"first call  {first * 1e3:.1f} ms, with building the model")
    print(f"then        {steady * 1e3:.2f} ms a frame (median), {1 / steady:.1f} frames per second")
    print(f"peak        {where}")
    by_size.close()
    return 0


def _target(output: str) -> Path:
    path = Path(output)
    if path.is_dir():
        path = path / FILE
    if path.suffix.lower() != ".png":
        raise UsageError(f"-o {output}: the picture is a PNG; end in .png, or give a directory")
    common.probe_directory(path.parent)
    return path


def _frame(name: str) -> np.ndarray:
    """A bundled photograph by name, else an image file."""
    if name in models.PHOTOGRAPHS or not os.path.isfile(name):
        return models.photograph(name)
    try:
        return imagefiles.read(Path(name))
    except (ImageError, TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from error


def _picture(
    frame: np.ndarray,
    maps: dict[str, np.ndarray],
    peak: dict[str, int] | None,
    config: Config,
    footer: str,
) -> np.ndarray:
    """The captioned panel: photograph, parts, map and overlay."""
    shape = frame.shape[:2]
    full = {name: models.full_size(raw, shape, config) for name, raw in maps.items()}
    over = drawing.heat_over(frame, full["saliency"])
    tiles = [("photograph", drawing.visible(frame))]
    for name in models.parts_of(config):
        if name in full:
            tiles.append((name, drawing.heat(full[name])))
        else:
            tiles.append((f"{name}: none (grey photograph)", np.zeros_like(over)))
    tiles.append(("saliency", drawing.heat(full["saliency"])))
    tiles.append(("overlay, ring at the peak", over))
    box = TILE_WIDTH, int(np.clip(TILE_WIDTH * shape[0] / shape[1], 160, TILE_WIDTH))
    fitted = [(caption, drawing.fit(tile, box)) for caption, tile in tiles]
    if peak:  # drawn on the tile, so that it looks the same for every size of photograph
        caption, tile = fitted[-1]
        fitted[-1] = (
            caption,
            drawing.ring(tile, *drawing.fitted(peak["x"], peak["y"], shape, box)),
        )
    return drawing.panel(fitted, columns=3, footer=footer)
