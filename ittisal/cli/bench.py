"""`ittisal bench`: latency on this machine, per frame and per stage."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from ..config import Config
from ..model import Saliency
from . import common, info
from .demo import PHOTOGRAPHS, photograph

SIZES = ((240, 320), (480, 640), (720, 1280), (1080, 1920))
LEAST_FRAMES = 5
STAGE_FRAMES = 25
PERCENTILES = (50, 95, 99)

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
    add(
        "--size",
        metavar="WxH",
        nargs="+",
        type=common.size,
        default=list(SIZES),
        help="frame sizes (default: 320x240 640x480 1280x720 1920x1080)",
    )
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
    picture = photograph(PHOTOGRAPHS[0])
    rows = []
    if not args.json:
        cpu = info.cpu()
        print(f"{cpu['name']}, {cpu['threads']} threads; {'grey' if args.grey else 'colour'} uint8")
        print(
            f"{'size':>11}{'threads':>9}{'backend':>11}{'first':>10}{'frames':>8}"
            f"{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}{'frames/s':>10}",
            flush=True,
        )
    for shape in args.size:
        frames = _frames(picture, shape, grey=args.grey)
        for threads in args.threads:
            row = measure(frames, config, args.backend, threads, args.seconds)
            rows.append(row)
            if not args.json:
                print(_line(row), flush=True)
    if args.json:
        print(json.dumps({"machine": info.facts(), "config": config.to_dict(), "rows": rows}))
        return 0
    print("times in milliseconds; first: building the model and one call\n")
    _print_stages(rows)
    return 0


def _frames(picture: np.ndarray, shape: tuple[int, int], *, grey: bool) -> list[np.ndarray]:
    """The picture at this size in its four mirrorings.

    Several, because one frame over and over would lie in the cache, where a camera's never does.
    """
    import cv2

    height, width = shape
    frame = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    if grey:
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return [
        np.ascontiguousarray(mirrored[:, ::across])
        for mirrored in (frame, frame[::-1])
        for across in (1, -1)
    ]


def measure(
    frames: list[np.ndarray], config: Config, backend: str, threads: int | None, seconds: float
) -> dict[str, Any]:
    """Latency of one model over the frames in turn, for about so many seconds."""
    shape = frames[0].shape[:2]
    start = time.perf_counter()
    model = Saliency(shape, config, backend=backend, channel_order="bgr", threads=threads)
    out = np.empty(model.map_shape, np.float32)
    model(frames[0], out)
    first = time.perf_counter() - start
    with model:
        times: list[float] = []
        spent = 0.0
        while len(times) < LEAST_FRAMES or spent < seconds:
            frame = frames[len(times) % len(frames)]
            start = time.perf_counter()
            model(frame, out)
            times.append(time.perf_counter() - start)
            spent += times[-1]
        low, middle, high = np.percentile(times, PERCENTILES) * 1e3
        return {
            "width": shape[1],
            "height": shape[0],
            "backend": model.backend,
            "threads": model.threads,
            "bytes": model.nbytes,
            "first_ms": round(first * 1e3, 3),
            "frames": len(times),
            "p50_ms": round(low, 4),
            "p95_ms": round(middle, 4),
            "p99_ms": round(high, 4),
            "max_ms": round(max(times) * 1e3, 4),
            "frames_per_second": round(len(times) / spent, 2),
            "stages_ms": _stages(model, frames, seconds),
        }


def _stages(model: Saliency, frames: list[np.ndarray], seconds: float) -> dict[str, float]:
    """Median milliseconds of each stage, in no more than the time of the measurement itself."""
    samples: list[dict[str, float]] = []
    end = time.perf_counter() + seconds
    while not samples or (len(samples) < STAGE_FRAMES and time.perf_counter() < end):
        samples.append(model.timings(frames[len(samples) % len(frames)]))
    return {
        name: round(float(np.median([sample[name] for sample in samples])), 4)
        for name in samples[0]
    }


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['width']}x{row['height']}".rjust(11)
        + f"{row['threads']:>9}{row['backend']:>11}{row['first_ms']:>10.1f}{row['frames']:>8}"
        + "".join(f"{row[name]:>9.3f}" for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        + f"{row['frames_per_second']:>10.1f}"
    )


def _print_stages(rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row["stages_ms"]))
    print("stages, median")
    print(f"{'size':>11}{'threads':>9}" + "".join(f"{name:>{len(name) + 2}}" for name in names))
    for row in rows:
        times = (f"{row['stages_ms'].get(name, 0):>{len(name) + 2}.3f}" for name in names)
        size = f"{row['width']}x{row['height']}"
        print(f"{size:>11}{row['threads']:>9}" + "".join(times))
