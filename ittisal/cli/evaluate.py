"""`ittisal evaluate`: models on human fixations."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import datasets, evaluation, readout
from ..faces import FaceDetector
from . import common, fixations
from .common import STDIO, UsageError, reason

DEFAULT_MODEL = "itti1998"

CROSS_VALIDATED = "read-outs are cross-validated: each image under the one fitted without its fold"

DESCRIPTION = """\
How well maps predict where people looked: scores of models and baselines on the fixations of a
data set (see `ittisal dataset`), with 95 % intervals by bootstrap over images and paired
differences between models.
"""

EPILOG = """\
models:
  itti1998, ...           a preset, at the image's size, as `ittisal map` makes it
  config:FILE             this package's model by a .toml or .json file of config fields
  maps:DIR                maps made elsewhere: files called like the images (photo.png, photo.npy,
                          photo.saliency.png), in folders like theirs where names repeat; resized
                          where their size differs, which is said
  cv2:spectral_residual, cv2:fine_grained
                          OpenCV's
  uniform, centre, others, humans
                          baselines; all are there by default

baselines:
  uniform   the same everywhere
  centre    a Gaussian, its sigma a quarter of each side
  others    the density of all other images' fixations, blurred as the data set says
  humans    the inter-observer ceiling. Scores at fixations leave one observer out: the density of
            all the others, at the fixations of that one, averaged over observers. CC, SIM and KL
            compare one random half of the observers with the other half.

scores:
  auc        area under the ROC curve, every pixel a negative, ties one half
  auc_judd   negatives are the pixels without fixation, thresholds at the fixations
  auc_borji  negatives are random pixels, thresholds in steps of a tenth
  sauc       negatives are all fixations of all other images, scaled to this one
  nss        mean of the map's z-scores at fixations
  cc, sim, kl  against the density of all fixations on the image (kl: lower is better)
  ig         information gain in bits per fixation over the density of other images' fixations.
             A map is made a density by dividing by its sum, and mixing in 1 % of uniform.

maps:
  Maps of models (not baselines) are scored as they are by default. --smooth 3 blurs
  them first with a Gaussian whose sigma is 3 % of the image's longer side. --centre-bias then
  multiplies them by 0.3 + exp(-((x - W/2) / (W/4))^2 / 2 - ((y - H/2) / (H/4))^2 / 2).

  --readout adds a row for each preset and config: its maps under a fitted read-out, blur, power
  and centre bias (see `ittisal readout`). Cross-validated: the images are dealt to 5 folds, and
  each is scored under the read-out fitted on the other folds. All images are fitted on, also
  with --limit. With --table each preset or config is scored under its read-out in that table: one
  that was fitted on another data set tells how far that one holds.

  --faces adds a row with faces for each preset and config, and for each of their read-outs.

examples:
  ittisal evaluate osie                          itti1998 against all baselines
  ittisal evaluate osie --model gaze --model whitened --model cv2:spectral_residual --smooth 2
  ittisal evaluate osie --model maps:my_maps --no-baselines --metric auc --metric nss
  ittisal evaluate osie --limit 100 --json | jq .models
  ittisal evaluate osie --model gaze --faces yunet.onnx --readout --table crowds.json
  ittisal evaluate osie --csv scores.csv --per-image images.csv --plot scores.png

exit status:
  0 all went well; 1 some images were skipped (each is named, and the result counts them), or
  nothing could be scored; 2 wrong usage; 130 interrupted. Files are written at the end, under a
  temporary name, and renamed: never half.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("evaluate", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    add = parser.add_argument
    fixations.add_options(parser)
    add(
        "--model",
        metavar="MODEL",
        action="append",
        help=f"what to score, see below; repeatable (default: {DEFAULT_MODEL})",
    )
    add("--no-baselines", action="store_true", help="no baselines but those given by --model")
    add(
        "--smooth",
        metavar="PERCENT",
        type=common.number(0, evaluation.MAX_SMOOTH),
        default=0.0,
        help="blur of models' maps, sigma in percent of the longer side (default: 0, none)",
    )
    add("--centre-bias", action="store_true", help="favour the centre of models' maps, see below")
    common.add_faces_option(
        parser, "for each preset and config a row more, its map multiplied where faces are"
    )
    add("--readout", action="store_true", help="fitted read-outs too, cross-validated, see below")
    add(
        "--table",
        metavar="FILE",
        help="with --readout: take read-outs from this table, as `ittisal readout --out` writes it",
    )
    add(
        "--limit",
        metavar="N",
        type=common.number(1, whole=True),
        help="N images only, spread evenly over the data set",
    )
    add(
        "--csv",
        metavar="FILE",
        type=common.output,
        help="means and intervals, a row per model and score; - is stdout",
    )
    add(
        "--per-image",
        metavar="FILE",
        type=common.output,
        help="CSV of scores, a row per image and model; - is stdout",
    )
    add(
        "--plot",
        metavar="FILE",
        help="a picture of the scores, .png, .svg or .pdf, and beside it FILE.images.*: the best "
        "and worst images with fixations and map (needs matplotlib, the extra `plot`)",
    )
    add("--backend", metavar="NAME", default="auto", help="of presets and configs (default: auto)")


def run(args: argparse.Namespace) -> int:
    """Score the models; 1 if images were skipped."""
    common.require_opencv()
    try:
        metrics = evaluation.check_metrics(args.metric or evaluation.METRICS)
        models = [evaluation.model(spec, backend=args.backend) for spec in _specs(args)]
    except (OSError, ValueError) as error:
        raise UsageError(reason(error)) from error
    if args.table and not args.readout:
        raise UsageError("--table is of read-outs; give --readout too")
    for option in ("faces", "readout"):
        if getattr(args, option) and all(model.config is None for model in models):
            raise UsageError(f"--{option} is for presets and configs, and --model names none")
    outputs = _check_outputs(args)
    detector = common.face_detector(args)
    if detector is not None:
        models = _with_faces(models, detector, args)
    dataset = fixations.load(args)
    common.refuse_inputs(args, outputs, fixations.files(args, dataset, models))
    models = _without_ceiling(models, dataset, args)
    if args.readout:
        models = _with_readouts(models, dataset, args)
    result = fixations.scored(
        args,
        dataset,
        models,
        metrics=metrics,
        smooth_percent=args.smooth,
        centre_bias=args.centre_bias,
        limit=args.limit,
    )
    if args.readout and not args.table:
        result = replace(result, remarks=(*result.remarks, CROSS_VALIDATED))
    fixations.say(args, (f"{image}: {why}" for image, why in result.skipped))
    if result.skipped:
        total = len(result.images) + len(result.skipped)
        summary = f"{len(result.skipped)} of {total} images skipped, for all models"
        fixations.say(args, [summary])
    if not args.quiet:  # those of the data set have been said
        fixations.say(args, result.remarks[len(dataset.remarks) :])
    _write(args, result, dataset, models)
    return 1 if result.skipped else 0


def _specs(args: argparse.Namespace) -> list[str]:
    """The models asked for, each once, and the baselines after them."""
    specs = list(args.model or [DEFAULT_MODEL])
    if not args.no_baselines:
        specs += evaluation.BASELINES
    return list(dict.fromkeys(specs))


def _without_ceiling(
    models: fixations.Models, dataset: datasets.DataSet, args: argparse.Namespace
) -> fixations.Models:
    """The models without `humans`, unless asked for, if it is not known who looked."""
    known = not (dataset.subject == datasets.UNKNOWN).any()
    if (known and len(dataset.subjects) > 1) or "humans" in (args.model or ()):
        return models
    if not args.quiet and any(model.name == "humans" for model in models):
        why = "has one observer" if known else "does not say who made each fixation"
        fixations.say(args, [f"{dataset.name} {why}: no baseline `humans`"])
    return [model for model in models if model.name != "humans"]


def _with_faces(
    models: fixations.Models, detector: FaceDetector, args: argparse.Namespace
) -> fixations.Models:
    """The models, and after each of this package's the same with faces."""
    found = []
    for model in models:
        found.append(model)
        if model.config is not None:
            found.append(fixations.faces_model(model.name, detector, args.backend))
    return found


def _with_readouts(
    models: fixations.Models, dataset: datasets.DataSet, args: argparse.Namespace
) -> fixations.Models:
    """The models, and after each of this package's its read-out: cross-validated, or --table's."""
    given = {}
    if args.table:
        ours = [model for model in models if model.config is not None]
        given = {model.name: fixations.table_readout(model, args.table)[1] for model in ours}
    found = []
    for model in models:
        found.append(model)
        if model.config is None:
            continue
        with fixations.steps(args, f"{model.name}: mapped", len(dataset)) as step:
            seen = readout.observe(
                dataset,
                model.config,
                backend=args.backend,
                channels=model.channels,
                progress=step,
            )
        try:
            held_out = (
                seen.under(given[model.name]) if args.table else readout.cross_validated(seen)
            )
        except ValueError as error:
            fixations.say(args, (f"{dataset.images[i]}: {why}" for i, why in seen.skipped.items()))
            raise ValueError(f"--readout: {error}") from error
        found.append(held_out.model(f"{model.name} read-out"))
    return found


def _check_outputs(args: argparse.Namespace) -> list[Path]:
    """Refuse, before any work, outputs that cannot be written or that collide; the files."""
    files: list[Path] = []
    on_stdout = ["--json"] * args.json
    for option in ("csv", "per_image", "plot"):
        path, name = getattr(args, option), "--" + option.replace("_", "-")
        if path is None:
            continue
        if path == STDIO and option != "plot":
            on_stdout.append(f"{name} -")
            continue
        if path in ("", STDIO) or path.endswith((os.sep, "/")) or os.path.isdir(path):
            raise UsageError(f"{name} {path}: give a file")
        common.probe_file(Path(path), option=name)
        files.append(Path(path))
    common.check_stdout(on_stdout)
    files += [_pictures(Path(args.plot))] if args.plot else []
    if len({os.path.realpath(path) for path in files}) < len(files):
        raise UsageError("two results would go to one file; give each another")
    if args.plot:
        try:
            evaluation.check_plot(Path(args.plot))
        except ValueError as error:
            raise UsageError(f"--plot {args.plot}: {error}") from error
    return files


def _write(
    args: argparse.Namespace,
    result: evaluation.Evaluation,
    dataset: datasets.DataSet,
    models: fixations.Models,
) -> None:
    """Write all that was asked for; if one cannot be written, standard output still is."""
    texts = {args.csv: result.to_csv, args.per_image: result.per_image_csv}

    def write(path: Path, data: bytes) -> None:
        common.write(path, data)
        if not args.quiet:
            fixations.say(args, [f"wrote {path}"])

    try:
        for path, text in texts.items():
            if path and path != STDIO:
                write(Path(path), text().encode("utf-8", "surrogateescape"))
        if args.plot:
            plot = Path(args.plot)
            write(plot, evaluation.plot_scores(result, plot.suffix))
            write(_pictures(plot), evaluation.plot_images(result, dataset, models, plot.suffix))
    finally:
        if STDIO in texts:
            sys.stdout.write(texts[STDIO]())
        else:
            fixations.print_scores(args, result)


def _pictures(plot: Path) -> Path:
    """Where the best and worst images go."""
    return plot.with_name(f"{plot.stem}.images{plot.suffix}")
