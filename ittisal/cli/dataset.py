"""`ittisal dataset`: known data sets, theirs in our format, and what is wrong with one."""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

from .. import datasets
from ..datasets.storage import refuse_used
from . import common, fixations
from .common import UsageError

TABLE = "table"  # convert: no published layout, but a folder as `evaluate` reads it

DESCRIPTION = """\
Images and where people looked on them, for `ittisal evaluate`. Nothing is downloaded: `list` says
what to get where and on what terms, `convert` makes the one format out of the authors' files, and
`check` finds what is wrong with a data set, yours too.
"""

EPILOG = """\
your data:
  A folder with the images (in images/, or beside the table) and fixations.csv, separated by
  commas, one line per fixation under the headings image,x,y,subject,order,duration_ms. x and y are
  pixels of the image from its top left corner, counted from 0; subject and order are whole numbers;
  the last three columns may be left out. Optionally dataset.json: {"name": "My data", "sigma_px":
  30}, where sigma_px is one degree of visual angle. `convert table` reads tables with other
  headings, separators, names of subjects and of images, and writes the format.

fixations outside their image:
  They are left out and counted. From 1 % of all on, `convert`, `check` and `evaluate` warn: the
  coordinates may be those of another resolution.

examples:
  ittisal dataset list osie
  ittisal dataset convert osie predicting-human-gaze-beyond-pixels/ osie
  ittisal dataset convert table recordings/ mine
  ittisal dataset check mine
  ittisal dataset generate tiny

exit status:
  0 all went well; 1 something is wrong with the data; 2 wrong usage; 130 interrupted
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("dataset", description=DESCRIPTION, epilog=EPILOG)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)

    add = actions.add_parser("list", help="the data sets that are known, and where to get them")
    add.set_defaults(run=run_list)
    add.add_argument("name", metavar="NAME", nargs="?", help="one of them (default: all)")
    add.add_argument("--json", action="store_true", help="one JSON object per data set")

    add = actions.add_parser(
        "convert", help="published files, or a table, to a folder of our format"
    )
    add.set_defaults(run=run_convert)
    names = [*datasets.PUBLISHED, TABLE]
    add.add_argument(
        "name", metavar="NAME", choices=names, help=f"whose layout: {', '.join(names)}"
    )
    add.add_argument("source", metavar="SOURCE", help="the folder that the files were unpacked to")
    add.add_argument("output", metavar="OUT", help="a new folder")
    add.add_argument(
        "--link", action="store_true", help="link to the images where they are, do not copy them"
    )
    add.add_argument(
        "--sigma",
        metavar="PX",
        type=common.number(0, 1000, above=True),
        help="one degree of visual angle in pixels (default: the data set's)",
    )
    common.add_max_pixels(add)
    _add_reporting(add)

    add = actions.add_parser("check", help="read a data set and its images; 1 if anything is wrong")
    add.set_defaults(run=run_check)
    add.add_argument("directory", metavar="DIR", help="a folder, or the table in it")
    common.add_max_pixels(add)
    _add_reporting(add)

    add = actions.add_parser("generate", help="a tiny data set with a known answer, to try things")
    add.set_defaults(run=run_generate)
    add.add_argument("output", metavar="DIR", help="a new folder")
    add.add_argument(
        "--images",
        metavar="N",
        type=common.number(1, 10_000, whole=True),
        default=6,
        help="default: 6",
    )
    whole = common.number(0, whole=True)
    add.add_argument("--seed", metavar="N", type=whole, default=0, help="default: 0")
    _add_reporting(add)


def _add_reporting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress")


def run_list(args: argparse.Namespace) -> int:
    """Print what is known of the published data sets."""
    known = datasets.PUBLISHED
    if args.name is not None and args.name not in known:
        raise UsageError(f"no data set {args.name!r} is known; there are {', '.join(known)}")
    shown = [known[args.name]] if args.name else list(known.values())
    # Addresses stay on one line.
    fill = partial(textwrap.fill, width=100, break_long_words=False, break_on_hyphens=False)
    for i, one in enumerate(shown):
        facts = {
            "paper": one.paper,
            "get": one.fetch,
            "licence": one.licence,
            "files": one.layout,
            "degree": f"{one.sigma_px:g} px ({one.sigma_from})",
            "notes": one.notes,
            "then": f"ittisal dataset convert {one.name} SOURCE OUT",
        }
        if args.json:
            print(json.dumps({"name": one.name, "title": one.title, **facts}))
            continue
        if i:
            print()
        lines = [(f"{one.name:9}", one.title)]
        for fact, value in facts.items():
            texts = [value] if isinstance(value, str) else value
            lines += [(f"  {'' if j else fact:9}", text) for j, text in enumerate(texts)]
        for label, text in lines:
            print(fill(text, initial_indent=label, subsequent_indent=" " * len(label)))
    return 0


def run_convert(args: argparse.Namespace) -> int:
    """Write our format; 1 if something had to be left out or is suspicious."""
    common.require_opencv()
    output = Path(args.output)
    refuse_used(output)  # before reading, which can take minutes
    common.probe_directory(output, create=True, option="OUT")
    with fixations.steps(args, "read") as step:
        if args.name == TABLE:
            read = datasets.read_table
        else:
            read = partial(datasets.read_published, args.name)
        data, problems = read(args.source, sigma_px=args.sigma, progress=step)
    fixations.say(args, problems)
    with fixations.steps(args, "wrote") as step:
        datasets.save(data, output, link=args.link, progress=step)
    return _report(args, data, problems, output)


def run_check(args: argparse.Namespace) -> int:
    """Print what the data set holds and what is wrong with it."""
    common.require_opencv()
    with fixations.steps(args, "read") as step:
        data, problems = datasets.check(args.directory, step)
    fixations.say(args, problems)
    return _report(args, data, problems, None)


def run_generate(args: argparse.Namespace) -> int:
    """Write the tiny data set."""
    common.require_opencv()
    data = datasets.generated(args.output, images=args.images, seed=args.seed)
    return _report(args, data, [], Path(args.output))


def _report(
    args: argparse.Namespace, data: datasets.DataSet, problems: list[str], output: Path | None
) -> int:
    """Counts, and where it went; 1 if there are problems."""
    known = [i for i, size in enumerate(data.sizes) if size.all()] or slice(None)
    sizes = sorted(data.sizes[known].tolist(), key=math.prod)
    count, per_image = len(data.x), len(data.x) / len(data)
    outside = f"{data.left_out} of {count + data.left_out} outside their image"
    facts = {
        "name": data.name,
        "images": len(data),
        "fixations": count,
        "left_out": data.left_out,
        "subjects": len(data.subjects),
        "smallest": "{1}x{0}".format(*sizes[0]),
        "largest": "{1}x{0}".format(*sizes[-1]),
        "degree_px": float(data.sigma_px[known].mean()),
        "licence": data.licence,
        "source": data.source,
    }
    if args.json:
        where = None if output is None else str(output)
        print(json.dumps({**facts, "problems": problems, "output": where}))
    elif output is None:
        shown = {
            "name": data.name,
            "images": f"{len(data)}, {facts['smallest']} to {facts['largest']} pixels",
            "fixations": f"{count}, {per_image:.1f} per image",
            "left out": outside,
            "subjects": str(len(data.subjects) or "not known; no inter-observer ceiling"),
            "degree": f"{facts['degree_px']:.3g} px",
            "licence": data.licence or "not stated",
            "source": data.source or "not stated",
            "problems": str(len(problems) or "none"),
        }
        for fact, value in shown.items():
            print(f"{fact:10}{value}")
    else:
        if not args.quiet:
            left_out = f"; {outside} left out" if data.left_out else ""
            fixations.say(args, [f"{len(data)} images, {count} fixations{left_out}"])
        print(output)
    return 1 if problems else 0
