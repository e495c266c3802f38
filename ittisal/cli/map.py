"""`ittisal map`: saliency maps of image files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import drawing, imagefiles
from ..imagefiles import FORMATS, WRITTEN_SUFFIXES
from . import common, models, pictures
from .common import UsageError
from .pictures import Picture, Result

DESCRIPTION = """\
Saliency maps of images. The map of photo.jpg is photo.saliency.png, beside it or in the directory
given by -o: 8-bit grey, as large as the photograph, white at the maximum. The paths of written
files are printed on standard output, everything else on standard error.
"""

EPILOG = """\
inputs:
  Images that OpenCV reads (8 or 16 bits, grey, colour, alpha over white, float TIFF in 0..1)
  and .npy arrays (RGB or grey). Orientations (EXIF, TIFF, AVIF) are applied, so maps lie over
  what viewers show. Of animations and multi-page files the first picture is read. HEIC has to be
  converted first. A directory means the image files in it; .npy files have to be named. Maps of
  earlier runs beside their photographs are skipped. `-` is one encoded image on standard input.

examples:
  ittisal map photo.jpg                       photo.saliency.png
  ittisal map photo.jpg -o map.png            one image to one named file
  ittisal map 'shots/**/*.png' -o maps        patterns may be quoted
  ittisal map photos/ -r -o maps --overlay --channels
  ittisal map photos/ --json | jq .peak       where attention goes first
  ittisal map photo.jpg --preset gaze         where people would look
  ittisal map photo.jpg --raw                 unscaled numbers, 1/16 of the size, .npy
  curl -s URL | ittisal map - > map.png
  ittisal map photo.jpg --set weights.colour=0
  ittisal map thermal.tiff --levels 7000:7500 16 bits, of which the scene uses a part

{json}
exit status:
  0 all went well; 1 some inputs failed, the rest were done; 2 wrong usage, nothing was done;
  130 interrupted. Files are written under a temporary name and renamed: never half.
""".format(
    json=pictures.JSON.format(
        facts="peak (x, y) in pixels, or null; maximum of the raw map; with --channels "
        "channel_maxima."
    )
)


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("map", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    pictures.add_options(parser, "maps")
    add = parser.add_argument
    add(
        "--format",
        choices=tuple(FORMATS),
        help="png: 8 bits (default); png16: 16 bits; tiff, npy: float32 in 0..1",
    )
    add("--size", choices=("image", "map"), help="the image's (default), or a sixteenth of it")
    add("--raw", action="store_true", help="as computed, not scaled to 1: --format npy --size map")
    add("--overlay", action="store_true", help="also a heat map over the photograph, .overlay.png")
    add(
        "--channels",
        action="store_true",
        help="also the maps that it is made of: .intensity, .colour, .orientation, or with other "
        "presets .whitened, .figure, .corners, each scaled to its maximum",
    )
    common.add_model_options(parser, levels=True)


def run(args: argparse.Namespace) -> int:
    """Map every image; 1 if some failed."""
    batch = pictures.Batch(args, "map", WRITTEN_SUFFIXES)
    form = _format(args, batch.file)
    plain = FORMATS[form][0]
    kinds = {"saliency": plain, **({"overlay": ".png"} if args.overlay else {})}
    kinds |= dict.fromkeys(models.parts_of(batch.config) if args.channels else (), plain)
    return batch.run(lambda source: kinds, partial(_map, args, form))


def _format(args: argparse.Namespace, file: str | None) -> str:
    """The format of maps by --format, --raw and the name of the one file, which must agree."""
    name = args.format
    if args.raw:
        if name not in (None, "npy"):
            raise UsageError(f"--raw is written as npy; leave --format {name} out")
        if args.size == "image":
            raise UsageError("--raw has the map's own size; leave --size image out")
        name = "npy"
    suffix = Path(file or "").suffix.lower()  # `-` and pipes have none that fits
    fitting = [key for key, suffixes in FORMATS.items() if suffix in suffixes]
    if fitting and name not in (None, *fitting):
        raise UsageError(f"-o {file} does not end in {FORMATS[name][0]}, as {name} does")
    return name or (fitting or ["png"])[0]


def _map(args: argparse.Namespace, form: str, picture: Picture) -> Result:
    """The maps of one image."""
    frame, model, shape, config = picture.frame, picture.model, picture.shape, picture.model.config
    maps = models.with_parts(model, frame) if args.channels else {"saliency": model(frame)}

    def encode(raw: np.ndarray) -> bytes:
        if not args.raw:
            small = args.size == "map"
            raw = models.unit(raw) if small else models.full_size(raw, shape, config)
        return imagefiles.encode(raw, form)

    def overlay() -> bytes:
        full = models.full_size(maps["saliency"], shape, config)
        return imagefiles.encode(drawing.heat_over(frame, full, model.levels), "png")

    saliency = maps["saliency"]
    facts: dict[str, Any] = {
        "peak": models.peak_of(saliency, shape, config),
        "maximum": float(saliency.max()),
    }
    if args.channels:
        facts["channel_maxima"] = {
            name: float(raw.max()) for name, raw in maps.items() if name != "saliency"
        }
    files: dict[str, Callable[[], bytes]] = {"overlay": overlay}
    files |= {kind: partial(encode, raw) for kind, raw in maps.items()}
    note = "" if saliency.max() > 0 else "nothing stands out; its map is all zero"
    return Result(facts, files, note=note)
