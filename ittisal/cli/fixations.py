"""What the commands on human fixations share: the data set, progress, and the scores printed."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import datasets, evaluation
from .common import Progress, UsageError, number, reason

Models = list[evaluation.Model]

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
    add("--json", action="store_true", help="one JSON object on standard output, no table")
    add(
        "--threads",
        metavar="N",
        type=number(1, 256, whole=True),
        help="images scored at once (default: as many as CPUs); changes no score",
    )
    add("-q", "--quiet", action="store_true", help="no notes or progress; only errors and warnings")


def say(args: argparse.Namespace, lines: Iterable[str]) -> None:
    """Lines on standard error, each under the command's name."""
    for line in lines:
        print(f"ittisal {args.command}: {line}", file=sys.stderr, flush=True)


class Steps:
    """Progress over images: a bar on a terminal, else a line every ten seconds; none if quiet."""

    def __init__(self, args: argparse.Namespace, what: str, total: int | None = None) -> None:
        self._args, self._what, self._total = args, what, total
        self._done, self._last = 0, time.monotonic()
        self._progress: Progress | None = None

    def step(self, done: int | None = None, total: int | None = None) -> None:
        """One more image is done; the first call may say of how many."""
        self._total = total or self._total
        if self._progress is None:
            self._progress = Progress(self._total, wanted=not self._args.quiet)
        self._done += 1
        self._progress.step()
        now = time.monotonic()
        if now - self._last >= EVERY and not self._args.quiet and not sys.stderr.isatty():
            self._last = now
            say(self._args, [f"{self._what} {self._done} of {self._total} images"])

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.__exit__(*exception)


def load(args: argparse.Namespace) -> datasets.DataSet:
    """The data set that is named; what is suspicious about it is said, also if quiet.

    Raises
    ------
    UsageError
        There is none, or it cannot be used.
    """
    try:
        data = datasets.load(Path(args.dataset))
    except (OSError, ValueError) as error:
        raise UsageError(reason(error)) from error
    say(args, (f"WARNING: {remark}" for remark in data.remarks))
    if data.left_out and not data.remarks and not args.quiet:
        total = len(data.x) + data.left_out
        say(args, [f"{data.left_out} of {total} fixations outside their image are left out"])
    return data


def scored(
    args: argparse.Namespace, dataset: datasets.DataSet, models: Models, **options: Any
) -> evaluation.Evaluation:
    """`evaluation.evaluate`, with progress; options that are not given have its defaults."""
    total = min(len(dataset), options.get("limit") or len(dataset))
    with Steps(args, "scored", total) as steps:
        return evaluation.evaluate(
            dataset, models, threads=args.threads, progress=steps.step, **options
        )


def print_scores(
    args: argparse.Namespace, result: evaluation.Evaluation, more: dict[str, Any] | None = None
) -> None:
    """The scores as JSON, after what else belongs to it, or as a table."""
    if args.json:
        print(json.dumps({**(more or {}), **result.to_dict()}, indent=1))
    else:
        terminal = sys.stdout.isatty()
        print(result.table(shutil.get_terminal_size((WIDTH, 24)).columns if terminal else WIDTH))
