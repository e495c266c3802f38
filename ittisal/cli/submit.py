"""`ittisal submit`: maps of a data set as saliency benchmarks take them, and a check of such."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import datasets, evaluation, metrics
from ..config import Config
from . import common, fixations
from .common import UsageError, reason

DEFAULT_MODEL = "itti1998"
WRITING = ("model", "faces", "readout", "table", "output", "sigma", "backend")  # without --check

DESCRIPTION = """\
Write a log density of fixations for every image of a data set, by a preset and its read-out (see
`ittisal readout`), as the MIT/Tübingen benchmark takes it and pysaliency reads it; or check such a
result.
"""

EPILOG = """\
images:
  DATASET is a folder of images and fixations (see `ittisal dataset`), or of images alone, as
  benchmarks' test sets are; these are also looked for in the folders below it.

result:
  A folder, with a/photo.npy for a/photo.jpg, or, if OUT ends in .h5 or .hdf5, an HDF5 file, with
  a data set a/photo.jpg (needs h5py, the extra `hdf5`). Each is float32 of the image's size:
  natural logarithms of probabilities whose logsumexp is within 0.001 of 0.
  Pictures would not do: their 8 or 16 bits take what is improbable for impossible.

metrics:
  Benchmarks make the map for each metric of the density themselves. For those that do not, --metric
  writes it, after Kümmerer, Wallis & Bethge 2018, in the same files:
  auc          ranks of the density: how many of the image's pixels are lower, from 0 to 1
  sauc         ranks of the density over that of other images' fixations (DATASET needs some)
  nss          the density
  cc, kl       the density blurred as the fixations are: by --sigma, which is 24 px for MIT300, 40
               for CAT2000, 30 for COCO-Freeview
  sim          the same. It is not the best, which depends on the number of fixations and has to be
               found numerically; that is not done here

check:
  --check names what is wrong: images without a map, maps of no image or of another size, values
  that are not finite or, unless --metric is given, are no log density. Without DATASET the images
  are not known, and only values are looked at.

examples:
  ittisal submit MIT300/ --model gaze -o gaze_mit300.h5
  ittisal submit --check gaze_mit300.h5 MIT300/
  ittisal submit MIT300/ --model gaze --faces yunet.onnx -o faces.h5
  ittisal submit osie --model itti1998 --metric cc -o maps
  ittisal readout osie --config mine.toml --name mine --out readouts.json
  ittisal submit MIT300/ --model config:mine.toml --table readouts.json -o mine

exit status:
  0 all went well; 1 some images could not be mapped (each is named, the others are written), or the
  check found something; 2 wrong usage; 130 interrupted. The result is written under a temporary
  name, and renamed: never half.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("submit", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("dataset", metavar="DATASET", nargs="?", help="a folder of images, with fixations or not")
    add(
        "--model",
        metavar="MODEL",
        help=f"a preset, or config:FILE, a .toml or .json file of config fields (default: "
        f"{DEFAULT_MODEL})",
    )
    common.add_faces_option(parser, "look for faces too, and take the read-out fitted with them")
    add("-o", "--output", metavar="OUT", help="a new folder, or a file that ends in .h5 or .hdf5")
    add("--check", metavar="RESULT", help="check such a folder or file instead of writing one")
    add(
        "--metric",
        metavar="NAME",
        type=str.lower,
        help=f"write the maps for one metric: {', '.join(metrics.MAPS)} (default: log densities)",
    )
    add(
        "--sigma",
        metavar="PX",
        type=common.number(0, 1000, above=True),
        help="blur for cc, kl and sim (default: the data set's, else 3 %% of the longer side)",
    )
    add(
        "--readout",
        metavar="NAME",
        help="the read-out (default: the preset's, or that called like the config's file; with "
        '--faces the name ends in " faces")',
    )
    add(
        "--table",
        metavar="FILE",
        help="the table of read-outs, as `ittisal readout --out` writes it (default: that which "
        "comes with ittisal)",
    )
    add("--backend", metavar="NAME", help="as of `ittisal map` (default: auto)")
    fixations.add_reading_options(parser)
    add("--json", action="store_true", help="one JSON object on standard output")
    add("-q", "--quiet", action="store_true", help="no notes or progress; only errors and warnings")


def run(args: argparse.Namespace) -> int:
    """Write, or check; 1 if something is wrong."""
    common.require_opencv()
    if args.check is not None:
        return _check(args)
    if args.dataset is None or not args.output:
        raise UsageError("give DATASET and -o OUT, or --check RESULT")
    backend = args.backend or "auto"
    model, config = _model(args)
    name, fitted = fixations.table_readout(model, args.table, args.readout)
    if args.faces and not fitted.gain_power:
        raise UsageError(f"the read-out {name!r} makes no use of faces; leave out --faces")
    common.check_backend(backend, config)
    output = Path(args.output)
    dataset = fixations.load(args, datasets.load_images)
    try:
        evaluation.check_submit(dataset, output, args.metric)
    except ValueError as error:
        raise UsageError(str(error)) from error
    common.refuse_inputs(args, [output], fixations.files(args, dataset))
    common.probe_directory(output.absolute().parent, create=True)
    with fixations.steps(args, "mapped", len(dataset)) as step:
        result = evaluation.submit(
            dataset,
            config,
            fitted,
            output,
            metric=args.metric,
            sigma_px=args.sigma,
            backend=backend,
            channels=model.channels,
            progress=step,
        )
    fixations.say(args, (f"{image}: {why}" for image, why in result.failed.items()))
    if args.json:
        facts = {
            "output": str(output),
            "format": "hdf5" if evaluation.is_hdf5(output) else "npy",
            "metric": args.metric,
            "model": model.name,
            "readout": {"name": name, **asdict(fitted)},
            "dataset": dataset.name,
            "images": len(dataset),
            "written": len(result.images),
            "failed": [{"image": image, "error": why} for image, why in result.failed.items()],
        }
        print(json.dumps(facts, indent=1))
    else:
        print(output)
        if not args.quiet:
            fixations.say(args, [f"{len(result.images)} of {len(dataset)} images written"])
    return 1 if result.failed else 0


def _model(args: argparse.Namespace) -> tuple[evaluation.Model, Config]:
    """What --model and --faces ask for, and its config."""
    spec = args.model or DEFAULT_MODEL
    try:
        model = evaluation.model(spec)
    except (OSError, ValueError) as error:
        raise UsageError(reason(error)) from error
    if model.config is None:
        raise UsageError(
            f"--model {spec} has no read-out that makes a log density of its maps; give a preset "
            f"or {fixations.CONFIG}FILE"
        )
    detector = common.face_detector(args)
    return fixations.faces_model(spec, detector) if detector else model, model.config


def _check(args: argparse.Namespace) -> int:
    """Name what is wrong with a result."""
    given = [name for name in WRITING if getattr(args, name) is not None]
    if given:
        raise UsageError(f"--check writes nothing; leave out --{given[0]}")
    path = Path(args.check)
    dataset = fixations.load(args, datasets.load_images) if args.dataset else None
    images = None if dataset is None else len(dataset)
    try:
        with fixations.steps(args, "checked", images) as step:
            problems = evaluation.check_submission(
                path, dataset, densities=args.metric is None, progress=step if images else None
            )
    except OSError as error:
        raise UsageError(reason(error)) from error
    fixations.say(args, problems)
    if args.json:
        print(json.dumps({"input": str(path), "images": images, "problems": problems}, indent=1))
    else:
        print(f"{path}: {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")
    return 1 if problems else 0
