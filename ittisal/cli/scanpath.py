"""`ittisal scanpath`: where attention goes in photographs, in order."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ..attention.pictures import draw_scanpath
from ..attention.scanpath import INHIBITIONS, WINNERS, Fixation, scanpath
from . import attention, common
from .pictures import Picture

DESCRIPTION = """\
Attended locations of photographs, in order: the most salient first, then the most salient outside
what was attended to, and so on. The preset is `itti1998` unless another is named, the model whose
paper describes this. The picture of photo.jpg is photo.scanpath.png, beside it or in the directory
given by -o: numbers on a path, and thin outlines of what is inhibited after each. The paths of
written files are printed on standard output, everything else on standard error.
"""

EPILOG = (
    attention.OUTPUTS.format(example="photo.scanpath.png", nouns="fixations")
    + """
columns, and names in the fixations of --json:
  input          the image (not in --json, where its object has it)
  index          from 0; the picture shows index + 1
  time_ms        when attention arrives: simulated with --winner lif, else 50 ms a shift
  x, y           the location
  column, row    its sample of the saliency map
  saliency       the map's value there
  radius         of attention, in pixels
  object_...     with --inhibition object: segmented (the map that the region was found in, or
                 "disc" where none has one), channel, x, y, width, height in pixels, and area, as a
                 share of the image. In --json an object within the fixation
"""
    + attention.EXPLAINED
    + """
examples:
  ittisal scanpath photo.jpg                          photo.scanpath.png
  ittisal scanpath photo.jpg --explain -o why.png     with bars: what each is salient by
  ittisal scanpath photos/ -n 5 --csv fixations.csv   one table, no pictures
  ittisal scanpath photos/ --jsonl - -o paths         a table in a pipe, and pictures
  ittisal scanpath photo.jpg --inhibition object --winner lif
  ittisal scanpath photo.jpg --json | jq '.fixations[0].x'
  curl -s URL | ittisal scanpath - > path.png

"""
    + attention.EXIT.format(nouns="fixations")
)

COLUMNS = ("index", "time_ms", "x", "y", "column", "row", "saliency", "radius")
OBJECT_COLUMNS = tuple(
    f"object_{name}" for name in ("segmented", "channel", "x", "y", "width", "height", "area")
)


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("scanpath", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    attention.add_options(parser, "fixations")
    add = parser.add_argument
    add(
        "-n",
        metavar="N",
        type=common.number(1, 1000, whole=True),
        default=10,
        help="at most so many fixations of an image (default: 10)",
    )
    add(
        "--inhibition",
        choices=INHIBITIONS,
        default="disc",
        help="what is inhibited once it was attended to: all within the radius (default), a "
        "Gaussian of it, or the proto-object, by the maps that won there",
    )
    add(
        "--winner",
        choices=WINNERS,
        default="fast",
        help="the highest of what is not inhibited (default), or a simulated network of leaky "
        "integrate-and-fire neurons, whose inhibition decays: it returns",
    )
    add(
        "--radius",
        metavar="PIXELS",
        type=common.number(0, 10**6, above=True),
        help="of attention (default: a sixth of the shorter side; with the preset invt a twelfth)",
    )
    common.add_model_options(parser, levels=True, faces=True)


def run(args: argparse.Namespace) -> int:
    """Find the fixations of every image; 1 if some failed."""
    by_object = args.inhibition == "object"

    def find(source: Any, picture: Picture) -> Sequence[Fixation]:
        return scanpath(
            source,
            args.n,
            inhibition=args.inhibition,
            winner=args.winner,
            radius=args.radius,
            shape=picture.shape,
            config=picture.model.config,
        )

    columns = (*COLUMNS, *(OBJECT_COLUMNS if by_object else ()))
    return attention.run(args, "fixations", columns, find, draw_scanpath, traced=by_object)
