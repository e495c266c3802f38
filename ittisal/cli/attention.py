"""What `ittisal scanpath` and `ittisal regions` share: tables, explanations and pictures."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import drawing, imagefiles
from ..attention.explain import Explanation, explain
from ..attention.pictures import draw_reasons, reasons_size
from ..maps import weighted_channels
from . import common, pictures
from .pictures import Picture, Result

OUTPUTS = """\
outputs:
  Without --json, --jsonl and --csv every image gets its picture, {example}. With them
  pictures are written only where -o says so. --jsonl and --csv write one table of the {nouns} of
  all images, with the same columns; files at the end, also of an interrupted run. Coordinates are
  pixels of the upright image, from 0 at the middle of the first.

"""
OUTPUTS += pictures.JSON.format(facts="{nouns}, a list of objects with the names below.")

EXIT = """\
exit status:
  0 all went well; 1 some inputs failed, the rest were done; 2 wrong usage, nothing was done;
  130 interrupted. An image in which nothing stands out has no {nouns}, which is no failure. Files
  are written under a temporary name and renamed: never half.
"""

EXPLAINED = """\
  share_CHANNEL  with --explain: of intensity, colour, orientation and the preset's other channels
                 in the saliency there; they sum to 1. --json has "why" instead: saliency, and
                 shares of channels, of features, and of pairs of levels (centre-surround)
"""


def add_options(parser: argparse.ArgumentParser, nouns: str) -> None:
    """The options of `pictures.add_options`, `--jsonl`, `--csv` and `--explain`."""
    pictures.add_options(parser, "pictures")
    add = parser.add_argument
    to: dict[str, Any] = {"metavar": "FILE", "type": common.output}
    add("--jsonl", **to, help=f"a JSON line for each of the {nouns}; - for stdout")
    add("--csv", **to, help=f"a table with a row for each of the {nouns}; - for stdout")
    add(
        "--explain",
        action="store_true",
        help="also why each is salient: the channels' shares in the tables, bars in the picture",
    )


def run(
    args: argparse.Namespace,
    nouns: str,
    columns: Sequence[str],
    find: Callable[[Any, Picture], Sequence[Any]],
    draw: Callable[..., None],
    *,
    traced: bool = False,
    nothing: str = "nothing stands out",
) -> int:
    """Find places in every image; 1 if some failed.

    Parameters
    ----------
    args : Namespace
    nouns : str
        Of what is found, for its list in JSON and for messages.
    columns : sequence of str
        Of tables, besides those of `--explain`.
    find : callable
        Of a map (or a trace, with `--explain` or where `traced`) and its picture: fixations or
        regions.
    draw : callable
        `draw_scanpath` or `draw_regions`.
    traced : bool
        Whether finding needs the trace.
    nothing : str
        Why there may be none in an image.
    """
    tables = {"csv": args.csv, "jsonl": args.jsonl}
    channels = weighted_channels(common.read_config(args)) if args.explain else []
    columns = [*columns, *(f"share_{name}" for name in channels)]
    batch = pictures.Batch(args, "picture", {".png"}, tables, columns)
    drawn = bool(args.output) or not (args.json or batch.tables)
    kinds = {args.command: ".png"} if drawn else {}

    def work(picture: Picture) -> Result:
        model = picture.model
        of = model.trace if args.explain or traced else model
        source = of(picture.frame, channels=picture.faces)
        found = find(source, picture)
        why = None
        if args.explain:
            why = explain(source, found, shape=picture.shape, config=model.config)
        entries = [{"index": i, **place.as_dict()} for i, place in enumerate(found)]
        rows = [_flat(entry) for entry in entries]
        for entry, row, reason in zip(entries, rows, why or (), strict=False):
            entry["why"] = reason.as_dict()
            shares = entry["why"]["channels"]  # a grey image has none of colour
            row |= {f"share_{name}": shares.get(name, 0.0) for name in channels}
        note = "" if found else f"{nothing}; no {nouns}"
        encode = partial(_encode, picture, found, why, draw)
        return Result({nouns: entries}, {args.command: encode}, rows, note)

    return batch.run(lambda source: kinds, work)


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    """Nested values by names such as focus_x."""
    flat: dict[str, Any] = {}
    for name, value in entry.items():
        parts = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}_{part}": x for part, x in parts} if parts else {name: value}
    return flat


def _encode(
    picture: Picture,
    found: Sequence[Any],
    why: Sequence[Explanation] | None,
    draw: Callable[..., None],
) -> bytes:
    """The photograph with what was found in it, and beside it the reasons."""
    out = drawing.visible(picture.frame, picture.model.levels)
    if out is picture.frame:
        out = out.copy()
    draw(out, found, channel_order="bgr")
    if why is not None:
        height, width = reasons_size(out.shape, why)
        panel = np.empty((height, width, 3), np.uint8)
        draw_reasons(panel, why, channel_order="bgr")
        framed = np.full((height, out.shape[1], 3), drawing.BACKGROUND, np.uint8)
        framed[: len(out)] = out
        out = np.hstack([framed, panel])
    return imagefiles.encode(out, "png")
