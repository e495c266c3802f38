"""`ittisal bench`: latency on this machine, per frame and per stage."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from ..config import Config
from ..model import Saliency
from . import common, info, models

SIZES = ((240, 320), (480, 640), (720, 1280), (1080, 1920))
STAGE_FRAMES = 25
PERCENTILES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}
COLUMNS = {  # heading -> its width, what is below it, and how that is formatted
    "size": (11, "size", ""),
    "threads": (9, "threads", ""),
    "backend": (11, "backend", ""),
    "first": (10, "first_ms", ".1f"),
    "frames": (8, "frames", ""),
    **{name.removesuffix("_ms"): (9, name, ".3f") for name in PERCENTILES},
    "frames/s": (10, "frames_per_second", ".1f"),
}

DESCRIPTION = """\
Times the model on a photograph scaled to each size, one frame after the other, as a camera would
call it: latency percentiles, frames per second, and the median of every stage. Building the model
and the first call, which may compile, are timed apart.
"""

EPILOG = """\
examples:
  ittisal bench
  ittisal bench --size 640x480 --threads 1 2 4 --seconds 5
  ittisal bench --json > bench.json
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("bench", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    add = parser.add_argument
    common.add_sizes(parser, SIZES, "frame sizes")
    add(
        "--threads",
        metavar="N",
        nargs="+",
        type=common.number(1, 256, whole=True),
        default=[None],
        help="CPU threads per frame; several are compared (default: by the frame's size)",
    )
    add(
        "--seconds",
        metavar="S",
        type=common.number(0, 3600, above=True),
        default=2.0,
        help="per row (default: 2)",
    )
    add("--grey", action="store_true", help="grey frames rather than colour")
    add("--json", action="store_true", help="one JSON object instead of tables")
    common.add_model_options(parser, threads=False)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    config = common.read_config(args)
    common.require_opencv()
    for threads in args.threads:
        common.check_backend(args.backend, config, threads)
    picture = models.photograph(models.PHOTOGRAPHS[0])
    rows = []
    if not args.json:
        cpu = info.cpu()
        print(f"{cpu['name']}, {cpu['threads']} threads; {'grey' if args.grey else 'colour'} uint8")
        print("".join(f"{name:>{width}}" for name, (width, *_) in COLUMNS.items()), flush=True)
    for shape in args.size:
        frames = _frames(picture, shape, grey=args.grey)
        for threads in args.threads:
            row = measure(frames, config, args.backend, threads, args.seconds)
            rows.append(row)
            if not args.json:
                shown = {**row, "size": f"{row['width']}x{row['height']}"}
                cells = (f"{shown[key]:>{width}{form}}" for width, key, form in COLUMNS.values())
                print("".join(cells), flush=True)
    if args.json:
        print(json.dumps({"machine": info.facts(), "config": config.to_dict(), "rows": rows}))
        return 0
    print("times in milliseconds; first: building the model and one call\n")
    _print_stages(rows)
    return 0


def _frames(picture: np.ndarray, shape: tuple[int, int], *, grey: bool) -> list[np.ndarray]:
    """The picture at this size in its four mirrorings.

    Several, because one frame over and over would stay in the CPU's cache, unlike a camera's.
    """
    import cv2

    height, width = shape
    frame = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    if grey:
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    steps = (1, -1)
    return [np.ascontiguousarray(frame[::down, ::across]) for down in steps for across in steps]


def measure(
    frames: list[np.ndarray], config: Config, backend: str, threads: int | None, seconds: float
) -> dict[str, Any]:
    """Latency of one model over the frames in turn, for about so many seconds."""
    shape = frames[0].shape[:2]
    start = time.perf_counter()
    model = Saliency(shape, config, backend=backend, channel_order="bgr", threads=threads)
    model(frames[0])
    first = time.perf_counter() - start
    with model:
        times = models.latencies(model, frames, seconds)
        percentiles = np.percentile(times, list(PERCENTILES.values())) * 1e3
        return {
            "width": shape[1],
            "height": shape[0],
            "backend": model.backend,
            "threads": model.threads,
            "bytes": model.nbytes,
            "first_ms": round(first * 1e3, 3),
            "frames": len(times),
            **dict(zip(PERCENTILES, percentiles.round(4), strict=True)),
            "frames_per_second": round(len(times) / sum(times), 2),
            "stages_ms": _stages(model, frames, seconds),
        }


def _stages(model: Saliency, frames: list[np.ndarray], seconds: float) -> dict[str, float]:
    """Median milliseconds of each stage, in no more than the time of the measurement itself."""
    samples: list[dict[str, float]] = []
    end = time.perf_counter() + seconds
    while not samples or (len(samples) < STAGE_FRAMES and time.perf_counter() < end):
        samples.append(model.timings(frames[len(samples) % len(frames)]))
    medians = {name: np.median([sample[name] for sample in samples]) for name in samples[0]}
    return {name: round(float(median), 4) for name, median in medians.items()}


def _print_stages(rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row["stages_ms"]))
    print("stages, median")
    print(f"{'size':>11}{'threads':>9}" + "".join(f"{name:>{len(name) + 2}}" for name in names))
    for row in rows:
        times = (f"{row['stages_ms'].get(name, 0):>{len(name) + 2}.3f}" for name in names)
        size = f"{row['width']}x{row['height']}"
        print(f"{size:>11}{row['threads']:>9}" + "".join(times))
