"""What the commands on human fixations share: the data set, progress, and the scores printed."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import datasets, evaluation, readout
from ..datasets.storage import CSV, JSON, NPZ
from ..faces import FaceDetector
from ..imagefiles import DamageWarning
from . import messages
from .common import Progress, UsageError, add_max_pixels, number, reason

Models = list[evaluation.Model]

CONFIG = "config:"  # how models of a config file begin

EVERY = 10.0  # seconds between lines on progress, if standard error is no terminal
WIDTH = 120  # of tables, if standard output is no terminal


def add_options(parser: argparse.ArgumentParser, metrics: Iterable[str] = ()) -> None:
    """The data set, `--metric` with its default, `--json`, `--threads` and `--quiet`."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="a folder of images and fixations")
    add(
        "--metric",
        metavar="NAME",
        action="append",
        help=f"a score: {', '.join(evaluation.METRICS)}; repeatable (default: "
        f"{', '.join(metrics) or 'all'})",
    )
    add_reading_options(parser)
    add("--json", action="store_true", help="one JSON object on standard output, no table")
    add(
        "--threads",
        metavar="N",
        type=number(1, 256, whole=True),
        help="images scored at once (default: as many as CPUs); changes no score",
    )
    add("-q", "--quiet", action="store_true", help="no notes or progress; only errors and warnings")


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """`--max-pixels` and `--strict`."""
    add_max_pixels(parser)
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse damaged images and maps that could be read (default: a warning)",
    )


def say(args: argparse.Namespace, lines: Iterable[str]) -> None:
    """Lines on standard error, each under the command's name."""
    for line in lines:
        messages.say(f"ittisal {args.command}: {line}")


@contextmanager
def steps(
    args: argparse.Namespace, what: str, total: int | None = None
) -> Iterator[Callable[..., None]]:
    """Progress over images: a bar on a terminal, else a line every ten seconds; none if quiet.

    To be called after each image, with the images done and their number, if `total` is not given.
    """
    counted, last = 0, time.monotonic()

    def step(done: int | None = None, of: int | None = total) -> None:
        nonlocal counted, last
        counted += 1
        progress.step(of)
        if time.monotonic() - last >= EVERY and not args.quiet and not sys.stderr.isatty():
            last = time.monotonic()
            say(args, [f"{what} {counted} of {of} images"])

    with Progress(total, wanted=not args.quiet) as progress:
        yield step


def load(
    args: argparse.Namespace, read: Callable[[Path], datasets.DataSet] = datasets.load
) -> datasets.DataSet:
    """The data set that is named, or UsageError; what is suspicious is said, also if quiet.

    With `--strict` what is damaged is refused from now on.
    """
    if args.strict:
        warnings.simplefilter("error", DamageWarning)
    try:
        data = read(Path(args.dataset))
    except (OSError, ValueError) as error:
        raise UsageError(reason(error)) from error
    say(args, (f"WARNING: {remark}" for remark in data.remarks))
    if data.left_out and not data.remarks and not args.quiet:
        total = len(data.x) + data.left_out
        say(args, [f"{data.left_out} of {total} fixations outside their image are left out"])
    return data


def files(
    args: argparse.Namespace, dataset: datasets.DataSet, models: Iterable[evaluation.Model] = ()
) -> list[Path]:
    """The files that a data set and models are read from."""
    given = Path(args.dataset)
    folder = given if given.is_dir() else given.parent
    tables = [given, *(folder / name for name in (NPZ, CSV, JSON))]
    images = [dataset.path(i) for i in range(len(dataset))]
    return [*tables, *images, *(path for model in models for path in model.files)]


def scored(
    args: argparse.Namespace, dataset: datasets.DataSet, models: Models, **options: Any
) -> evaluation.Evaluation:
    """`evaluation.evaluate`, with progress; options that are not given have its defaults."""
    total = min(len(dataset), options.get("limit") or len(dataset))
    with steps(args, "scored", total) as step:
        return evaluation.evaluate(dataset, models, threads=args.threads, progress=step, **options)


def faces_model(spec: str, detector: FaceDetector, backend: str = "auto") -> evaluation.Model:
    """The model of a preset or config, with faces."""
    found = evaluation.model(spec, backend=backend, channels=detector)
    return replace(found, name=f"{spec} faces")


def table_readout(
    model: evaluation.Model, table: str | None, name: str | None = None
) -> tuple[str, readout.Readout]:
    """A model's read-out in a table, by default that which ships, and its name there.

    That is by default the preset, or the stem of the config's file, and " faces" with faces.
    Raises UsageError if the table cannot be read, has none of that name, or one that was fitted
    with faces for a model without them.
    """
    if name is None and model.name.startswith(CONFIG):
        stem = Path(model.name.removeprefix(CONFIG)).stem
        name = stem + " faces" * (model.channels is not None)
    name, path = name or model.name, table or readout.SHIPPED
    try:
        known = readout.names(path)
        if name not in known:
            raise UsageError(
                f"no read-out {name!r} in {path}; it has {', '.join(known)}; fit one with `ittisal "
                "readout` and give its --out as --table, or name one to `ittisal submit` by "
                "--readout"
            )
        found = readout.load(name, path)
    except (OSError, ValueError) as error:
        raise UsageError(reason(error)) from error
    if found.gain_power and model.channels is None:
        raise UsageError(f"the read-out {name!r} was fitted with faces; give --faces too")
    return name, found


def print_scores(
    args: argparse.Namespace, result: evaluation.Evaluation, more: dict[str, Any] | None = None
) -> None:
    """The scores as JSON, after what else belongs to it, or as a table."""
    if args.json:
        print(json.dumps({**(more or {}), **result.to_dict()}, indent=1))
    else:
        terminal = sys.stdout.isatty()
        print(result.table(shutil.get_terminal_size((WIDTH, 24)).columns if terminal else WIDTH))
