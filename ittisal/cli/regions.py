"""`ittisal regions`: boxes around what stands out in photographs, or tiles that cover it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..attention.grid import MIN_CONFIDENCE
from ..attention.pictures import draw_regions
from ..attention.regions import Region, regions
from ..attention.tiles import tiles
from . import attention, common
from .common import UsageError
from .pictures import Picture

DESCRIPTION = """\
Boxes around what stands out in photographs, ranked by the saliency in them, each with a confidence;
or tiles of one size that cover the most saliency, for a detector. The preset is `gaze` unless
another is named, since it predicts best where people look. The picture of photo.jpg is
photo.regions.png, beside it or in the directory given by -o. The paths of written files are printed
on standard output, everything else on standard error.
"""

EPILOG = (
    attention.OUTPUTS.format(example="photo.regions.png", nouns="regions")
    + """
columns, and names in the regions of --json:
  input          the image (not in --json, where its object has it)
  index          from 0; the picture shows index + 1
  x, y           the first pixel of the box
  width, height  its size
  score          the share of the map's saliency in it (of tiles: that it adds), 0 to 1
  confidence     how far its peak stands above the background, 0 to 1
  focus_...      x and y of its centre of gravity. In --json an object within the region
"""
    + attention.EXPLAINED
    + """
examples:
  ittisal regions photo.jpg                          photo.regions.png
  ittisal regions photo.jpg --explain -o why.png     with bars: what each is salient by
  ittisal regions photos/ -n 5 --csv boxes.csv       one table, no pictures
  ittisal regions photos/ --budget 0.1 --aspect 1:1 --margin 8 --json
  ittisal regions photos/ --tiles 320x320 --budget 0.3 --jsonl - | your-detector
  curl -s URL | ittisal regions - --json | jq '.regions[0]'

"""
    + attention.EXIT.format(nouns="regions")
)

COLUMNS = ("index", "x", "y", "width", "height", "score", "confidence", "focus_x", "focus_y")
BOXES_ONLY = {  # options that tiles do not have, with their defaults
    "min_size": None,
    "max_size": None,
    "aspect": None,
    "margin": 0.0,
    "overlap": False,
}


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("regions", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run, **BOXES_ONLY)
    attention.add_options(parser, "regions")
    add = parser.add_argument
    add(
        "-n",
        metavar="N",
        type=common.number(1, 1000, whole=True),
        help="at most so many regions of an image (default: 10; tiles: as the budget allows)",
    )
    add(
        "--budget",
        metavar="SHARE",
        type=common.number(0, 1, above=True),
        default=0.2,
        help="the largest share of the image that all have together (default: 0.2)",
    )
    add(
        "--min-confidence",
        metavar="SHARE",
        type=common.number(0, 1),
        default=MIN_CONFIDENCE,
        help=f"leave regions of less out; 0 keeps all (default: {MIN_CONFIDENCE}, above textures)",
    )
    add(
        "--tiles",
        metavar="WxH",
        type=common.extent,
        help="tiles of this size instead of boxes; none of the options below",
    )
    group = parser.add_argument_group("boxes")
    add = group.add_argument
    add("--min-size", metavar="WxH", type=common.extent, help="smaller boxes grow")
    add("--max-size", metavar="WxH", type=common.extent, help="larger boxes are cut")
    add("--aspect", metavar="W:H", type=common.aspect, help="boxes grow to it, as in 4:3")
    add(
        "--margin",
        metavar="PIXELS",
        type=common.number(0, 10**6),
        help="added on each side (default: 0)",
    )
    add("--overlap", action="store_true", help="boxes may share pixels")
    common.add_model_options(parser, levels=True, faces=True, preset="gaze")


def run(args: argparse.Namespace) -> int:
    """Find the regions of every image; 1 if some failed."""
    given = {name: getattr(args, name) for name in BOXES_ONLY}
    if args.tiles and given != BOXES_ONLY:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in BOXES_ONLY)
        raise UsageError(f"--tiles takes none of {names}: tiles have one size")
    if args.min_size and args.max_size and any(np.greater(args.min_size, args.max_size)):
        sizes = ["{1}x{0}".format(*size) for size in (args.min_size, args.max_size)]
        raise UsageError(
            "--min-size {} is larger than --max-size {}; give at most that".format(*sizes)
        )
    make: Any = tiles if args.tiles else regions
    options = {"size": args.tiles} if args.tiles else given
    if args.n:
        options["n"] = args.n

    def find(source: Any, picture: Picture) -> Sequence[Region]:
        return make(
            source,
            budget=args.budget,
            min_confidence=args.min_confidence,
            shape=picture.shape,
            config=picture.model.config,
            **options,
        )

    # Boxes grow by these, perhaps beyond the budget.
    grown = args.margin or args.aspect or args.min_size
    nothing = f"nothing stands out with a confidence of {args.min_confidence:g}"
    nothing += ", or no box fits the budget" * bool(grown)
    return attention.run(args, "regions", COLUMNS, find, draw_regions, nothing=nothing)
