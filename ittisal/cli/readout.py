"""`ittisal readout`: a map made a density of fixations, fitted on a data set."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import evaluation, readout
from . import common, fixations
from .common import UsageError, reason

METRICS = ("auc", "sauc", "nss", "cc", "sim", "kl", "ig")
BASELINES = ("centre", "others")

DESCRIPTION = """\
Fit a read-out: the blur, the power and the centre bias that turn a preset's maps into the density
under which the fixations of a data set (see `ittisal dataset`) are likeliest. Its scores are
cross-validated, each image under a read-out fitted without it, and stand beside those of the maps
as they are.
"""

EPILOG = """\
the read-out:
  With s the raw map and g the gain by faces, 1 without --faces, both blurred by a Gaussian of
  blur_percent of the longer side, m and n their means, and u, v the position across and down the
  frame from -1 to 1,
    ln p = power ln(s / m + 0.001) + gain_power ln(g / n + 0.001)
           - (u^2 + (v - centre_height)^2) / (2 centre_width^2) + const
  In Python: ittisal.readout.load("itti1998").log_density(model(image), image.shape[:2])
  It is never applied unless asked for.

examples:
  ittisal readout osie                                 itti1998, its numbers and scores
  ittisal readout osie --preset gaze --out readouts.json
  ittisal readout osie --preset gaze --faces yunet.onnx --out readouts.json
  ittisal readout osie --config mine.toml --name mine --out readouts.json
  ittisal readout osie --metric auc --metric nss --json | jq .readout

exit status:
  0 all went well; 1 some images were skipped (each is named), or nothing could be fitted; 2 wrong
  usage; 130 interrupted. The table is written at the end, under a temporary name, and renamed.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("readout", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    add = parser.add_argument
    fixations.add_options(parser, METRICS)
    add(
        "--out",
        metavar="FILE",
        help="a table of read-outs to put this one into, .json; made if it is not there",
    )
    add(
        "--name",
        metavar="NAME",
        help='what it is called in the table (default: the preset, and " faces" with --faces)',
    )
    add(
        "--folds",
        metavar="N",
        type=common.number(2, 256, whole=True),
        default=5,
        help="2 or more (default: 5)",
    )
    common.add_model_options(parser, threads=False)
    common.add_faces_option(parser, "look for faces, whose gain is one more factor of the density")


def run(args: argparse.Namespace) -> int:
    """Fit, score, and write; 1 if images were skipped."""
    common.require_opencv()
    config = common.read_config(args)
    common.check_backend(args.backend, config)
    detector = common.face_detector(args)
    name = _name(args)
    try:
        metrics = evaluation.check_metrics(args.metric or METRICS)
        if args.out is not None:
            _check_table(Path(args.out))
    except (OSError, ValueError) as error:
        raise UsageError(reason(error)) from error
    dataset = fixations.load(args)
    common.refuse_inputs(args, filter(None, [args.out]), fixations.files(args, dataset))
    if args.folds > len(dataset):
        raise UsageError(
            f"--folds {args.folds} must be at most the number of images, {len(dataset)}; give fewer"
        )
    with fixations.steps(args, "mapped", len(dataset)) as step:
        seen = readout.observe(
            dataset, config, backend=args.backend, channels=detector, progress=step
        )
    fixations.say(args, (f"{dataset.images[i]}: {why}" for i, why in seen.skipped.items()))
    fitted = readout.fit(seen)
    held_out = readout.cross_validated(seen, args.folds)
    models = [seen.model(name), held_out.model(_fitted(name))]
    models += [evaluation.model(baseline) for baseline in BASELINES]
    scores = fixations.scored(args, dataset, models, metrics=metrics)
    try:
        if args.out is not None:
            facts = _facts(name, scores, args.folds)
            text = readout.updated(args.out, name, fitted, facts)
            common.write(Path(args.out), text.encode())
            if not args.quiet:
                fixations.say(args, [f"wrote {name} to {args.out}"])
    finally:  # if the table cannot be written, standard output still is
        by_fold = [asdict(each) for each in held_out.readouts]
        facts = {"name": name, "readout": asdict(fitted), "by_fold": by_fold}
        fixations.print_scores(args, scores, facts)
        if not args.json:
            print("\n".join(_numbers(fitted, held_out)))
    return 1 if seen.skipped else 0


def _name(args: argparse.Namespace) -> str:
    """What the read-out is called."""
    if args.name == "":
        raise UsageError("--name is empty; give the read-out a name")
    if not args.name and args.out is not None and (args.config or args.set):
        raise UsageError("--out with --config or --set needs --name: it is no preset's read-out")
    unchanged = Path(args.config).stem if args.config else args.preset
    return str(args.name or ("changed" if args.set else unchanged) + " faces" * bool(args.faces))


def _fitted(name: str) -> str:
    """The row of the table that shows the read-out's scores."""
    return f"{name} read-out"


def _check_table(path: Path) -> None:
    """Refuse a file that is no table, or a folder that takes no file, before any work."""
    if path.suffix != ".json":
        raise UsageError(f"--out {path}: a table of read-outs is a .json file")
    common.probe_directory(path.parent, option="--out")
    if path.exists():
        readout.names(path)


def _numbers(fitted: readout.Readout, held_out: readout.CrossValidation) -> list[str]:
    """The numbers fitted on all images, and their range over the folds."""
    lines = ["", f"read-out, fitted on all images (range over {len(held_out.readouts)} folds)"]
    for field, value in asdict(fitted).items():
        folds = [getattr(each, field) for each in held_out.readouts]
        lines.append(f"{field:<15} {value:8.4f}  ({min(folds):.4f} to {max(folds):.4f})")
    return lines


def _facts(name: str, scores: evaluation.Evaluation, folds: int) -> dict[str, Any]:
    """What the table says of the read-out besides its numbers."""
    means = {
        metric: round(scores.score(_fitted(name), metric).mean, 4) for metric in scores.metrics
    }
    return {
        "fitted_on": {
            "dataset": scores.dataset,
            "images": len(scores.images),
            "fixations": scores.fixations,
        },
        "cross_validated": {"folds": folds, **means},
    }
