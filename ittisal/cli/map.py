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
from . import common, models, networks, pictures
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
  ittisal map photo.jpg --preset gaze --faces yunet.onnx      and at whom
  ittisal map photo.jpg --raw                 unscaled numbers, the map's own size, .npy
  curl -s URL | ittisal map - > map.png
  ittisal map photo.jpg --set weights.colour=0
  ittisal map thermal.tiff --levels 7000:7500 16 bits, of which the scene uses a part
  ittisal map cat.jpg --class-model net.pt2 --class 281 --class-mean imagenet --class-std imagenet

{json}
exit status:
  0 all went well; 1 some inputs failed, the rest were done; 2 wrong usage, nothing was done;
  130 interrupted. Files are written under a temporary name and renamed: never half.
""".format(
    json=pictures.JSON.format(
        facts="peak (x, y) in pixels, or null; maximum of the raw map; with --channels "
        "channel_maxima;\n  with --class-model class and score."
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
    add(
        "--size",
        choices=("image", "map"),
        help="the image's (default), or the map's own: a sixteenth of it, or what the preset has; "
        "with --class-model the network's input",
    )
    add("--raw", action="store_true", help="as computed, not scaled to 1: --format npy --size map")
    add("--overlay", action="store_true", help="also a heat map over the photograph, .overlay.png")
    add(
        "--channels",
        action="store_true",
        help="also the maps that it is made of: .intensity, .colour, .orientation, or with other "
        "presets .whitened, .figure, .corners, each scaled to its maximum",
    )
    common.add_model_options(parser, levels=True, faces=True)
    networks.add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Map every image; 1 if some failed."""
    batch = pictures.Batch(args, "map", WRITTEN_SUFFIXES)
    form = _format(args, batch.file)
    plain = FORMATS[form][0]
    kinds = {"saliency": plain, **({"overlay": ".png"} if args.overlay else {})}
    kinds |= dict.fromkeys(models.parts_of(batch.config) if args.channels else (), plain)
    network = networks.from_options(args)
    work = partial(_class_map if network else _map, args, form)
    return batch.run(lambda source: kinds, work, network)


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
    """The maps of one image by a preset."""
    model, shape, config = picture.model, picture.shape, picture.model.config
    frame, faces = picture.frame, picture.faces
    if args.channels:
        maps = models.with_parts(model, frame, faces)
    else:
        maps = {"saliency": model(frame, channels=faces)}
    facts: dict[str, Any] = {}
    if args.channels:
        facts["channel_maxima"] = {
            name: float(raw.max()) for name, raw in maps.items() if name != "saliency"
        }
    peak = models.peak_of(maps["saliency"], shape, config)
    full_size = partial(models.full_size, shape=shape, config=config)
    return _result(args, form, picture, maps, full_size, peak, facts)


def _class_map(args: argparse.Namespace, form: str, picture: Picture) -> Result:
    """The map of one image by a network."""
    raw, facts = picture.model.map(picture.frame)
    peak = networks.peak_of(raw, picture.shape)
    full_size = partial(networks.full_size, shape=picture.shape)
    return _result(args, form, picture, {"saliency": raw}, full_size, peak, facts)


def _result(
    args: argparse.Namespace,
    form: str,
    picture: Picture,
    maps: dict[str, np.ndarray],
    full_size: Callable[[np.ndarray], np.ndarray],
    peak: dict[str, int] | None,
    facts: dict[str, Any],
) -> Result:
    """Raw maps as files, and what is said of them besides these facts."""

    def encode(raw: np.ndarray) -> bytes:
        if not args.raw:
            raw = models.unit(raw) if args.size == "map" else full_size(raw)
        return imagefiles.encode(raw, form)

    def overlay() -> bytes:
        full = full_size(maps["saliency"])
        heat = drawing.heat_over(picture.frame, full, picture.model.levels)
        return imagefiles.encode(heat, "png")

    maximum = float(maps["saliency"].max())
    files: dict[str, Callable[[], bytes]] = {"overlay": overlay}
    files |= {kind: partial(encode, raw) for kind, raw in maps.items()}
    note = "" if maximum > 0 else "nothing stands out; its map is all zero"
    return Result({"peak": peak, "maximum": maximum, **facts}, files, note=note)
