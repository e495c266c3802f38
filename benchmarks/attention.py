"""Where people look, and where attention says they would: boxes and scanpaths.

python -m benchmarks.attention DATASET [--limit N] [--only WORD] [--json FILE]

A data set is what `ittisal dataset convert` makes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

import ittisal

Box = tuple[int, int, int, int]  # first row and column, and the ones after the last
Boxes = Callable[[np.ndarray], list[Box]]
Rows = dict[str, dict[str, float]]

PRESETS = {"gaze": ittisal.GAZE, "itti1998": ittisal.ITTI_1998}
COUNT, BUDGET = 5, 0.2  # boxes or fixations, and the boxes' share of the frame
RESAMPLES, SEED = 1000, 0  # of images, for intervals of 95 %


@lru_cache(maxsize=8)
def model(shape: tuple[int, int], config: ittisal.Config) -> ittisal.Saliency:
    """A model of the fast path."""
    return ittisal.Saliency(shape, config, threads=1)


def interval(amounts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Limits (2, rows) of amounts (rows, images) over weights (images), images resampled."""
    drawn = np.random.default_rng(SEED).integers(0, len(weights), (RESAMPLES, len(weights)))
    return np.percentile(amounts[:, drawn].sum(2) / weights[drawn].sum(1), [2.5, 97.5], axis=1)


# --- boxes ---------------------------------------------------------------------------------------


def of_map(saliency: np.ndarray, shape: tuple[int, int], config: ittisal.Config, **options) -> list:
    """`ittisal.regions` under the same limits for all."""
    found = ittisal.regions(
        saliency, COUNT, shape=shape, config=config, budget=BUDGET, min_confidence=0, **options
    )
    return [(box.y, box.x, box.y + box.height, box.x + box.width) for box in found]


def of_preset(config: ittisal.Config, **options: object) -> Boxes:
    """Boxes of a preset's map."""

    def boxes(image: np.ndarray) -> list[Box]:
        shape = image.shape[:2]
        return of_map(model(shape, config)(image), shape, config, **options)

    return boxes


def centre(image: np.ndarray) -> list[Box]:
    """A block in the middle, of the frame's aspect and the whole budget, cut into columns."""
    height, width = image.shape[:2]
    rows, columns = (int(side * BUDGET**0.5) for side in (height, width))
    y, x = (height - rows) // 2, (width - columns) // 2
    cuts = x + np.linspace(0, columns, COUNT + 1).astype(int)
    return [(y, int(a), y + rows, int(b)) for a, b in pairwise(cuts)]


def spectral_residual(image: np.ndarray) -> np.ndarray:
    """OpenCV's map, of the frame's size."""
    peer = cv2.saliency.StaticSaliencySpectralResidual_create()
    return peer.computeSaliency(np.ascontiguousarray(image[..., ::-1]))[1]


def residual_regions(image: np.ndarray) -> list[Box]:
    """Its map, boxes by `ittisal.regions`."""
    return of_map(spectral_residual(image), image.shape[:2], ittisal.ITTI_1998, threshold=0)


def residual_otsu(image: np.ndarray) -> list[Box]:
    """Its map above Otsu's threshold, the largest boxes that fit the budget."""
    levels = cv2.convertScaleAbs(spectral_residual(image), alpha=255)
    _, mask = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    stats = cv2.connectedComponentsWithStats(mask)[2][1:]
    boxes: list[Box] = []
    left = BUDGET * mask.size
    for x, y, width, height, _ in stats[np.argsort(-stats[:, 4], kind="stable")].tolist():
        if len(boxes) < COUNT and width * height <= left:
            boxes.append((y, x, y + height, x + width))
            left -= width * height
    return boxes


BOXES: dict[str, Boxes] = {
    "gaze, budget filled": of_preset(ittisal.GAZE, threshold=0),
    "gaze, its own threshold": of_preset(ittisal.GAZE),
    "itti1998, budget filled": of_preset(ittisal.ITTI_1998, threshold=0),
    "itti1998, its own threshold": of_preset(ittisal.ITTI_1998),
    "centre": centre,
    "cv2 spectral residual, ittisal.regions": residual_regions,
    "cv2 spectral residual, Otsu": residual_otsu,
}


def boxes(data: ittisal.datasets.DataSet) -> Rows:
    """The share of all fixations inside 5 boxes that have at most 20 % of the frame together."""
    hits = np.zeros((len(BOXES), len(data)))
    area = np.zeros((len(BOXES), len(data)))
    count = np.zeros((len(BOXES), len(data)))
    fixations = np.array([len(data.fixations(i)) for i in range(len(data))])
    for i in range(len(data)):
        image, seen = data.load_image(i), data.fixations(i)
        y, x = np.floor(seen.y).astype(int), np.floor(seen.x).astype(int)
        for row, find in enumerate(BOXES.values()):
            found = find(image)
            mask = np.zeros(image.shape[:2], bool)
            for top, left, bottom, right in found:
                mask[top:bottom, left:right] = True
            hits[row, i], area[row, i], count[row, i] = mask[y, x].sum(), mask.mean(), len(found)
        print(".", end="", file=sys.stderr, flush=True)
    low, high = interval(hits, fixations)
    return {
        name: {
            "fixations inside": hits[row].sum() / fixations.sum(),
            "from": low[row],
            "to": high[row],
            "of the frame": area[row].mean(),
            "boxes": count[row].mean(),
        }
        for row, name in enumerate(BOXES)
    }


def confidence(data: ittisal.datasets.DataSet) -> Rows:
    """The share of photographs in which something stands out, at the default confidence."""
    rows = {}
    for name, config in PRESETS.items():
        found = [
            len(ittisal.regions(model(image.shape[:2], config)(image), 1,
                                shape=image.shape[:2], config=config))
            for image in map(data.load_image, range(len(data)))
        ]  # fmt: skip
        rows[name] = {"with a region": float(np.mean(found))}
    return rows


# --- scanpaths -----------------------------------------------------------------------------------

# The centre, and four places around it as near as predicts best.
CENTRE = 0.5 + 0.2 * np.array([(0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)])


def attended(image: np.ndarray, config: ittisal.Config) -> np.ndarray:
    """The first fixations of a preset's map: y and x as shares of the frame's sides."""
    shape = image.shape[:2]
    saliency = model(shape, config)(image)
    path = ittisal.scanpath(saliency, COUNT, shape=shape, config=config)
    return np.array([(place.y + 0.5, place.x + 0.5) for place in path]).reshape(-1, 2) / shape


def distances(
    seen: ittisal.datasets.Fixations, shape: np.ndarray, places: np.ndarray
) -> tuple[float, float]:
    """From fixations to the nearest place, and from the k-th to the k-th place, in diagonals.

    Means over observers of each one's mean.
    """

    def mean(values: np.ndarray, subject: np.ndarray) -> float:
        _, who = np.unique(subject, return_inverse=True)
        return float((np.bincount(who, values) / np.bincount(who)).mean())

    offsets = np.stack([seen.y, seen.x], 1)[:, None] - places * shape
    apart = np.linalg.norm(offsets, axis=2) / np.hypot(*shape)
    early = np.flatnonzero((seen.order >= 0) & (seen.order < len(places)))
    in_order = apart[early, seen.order[early]]
    return mean(apart.min(1, initial=1), seen.subject), mean(in_order, seen.subject[early])


def scanpath(data: ittisal.datasets.DataSet) -> Rows:
    """The distance from fixations to the nearest of 5 predicted, in diagonals of the frame."""
    paths: dict[str, list[np.ndarray]] = {name: [] for name in PRESETS}
    for i in range(len(data)):
        image = data.load_image(i)
        for name, config in PRESETS.items():
            paths[name].append(attended(image, config))
        print(".", end="", file=sys.stderr, flush=True)
    order = np.random.default_rng(SEED).permutation(len(data))
    others = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    rows = {}
    for name, path in paths.items():
        rows[name] = path
        rows[f"{name}, of another image"] = [path[others[i]] for i in range(len(data))]
    rows["centre"] = [CENTRE] * len(data)
    found = np.array(
        [
            [distances(data.fixations(i), data.sizes[i], places) for i, places in enumerate(row)]
            for row in rows.values()
        ]
    )
    low, high = interval(found[..., 0], np.ones(len(data)))
    return {
        name: {
            "to the nearest": found[row, :, 0].mean(),
            "from": low[row],
            "to": high[row],
            "in order": found[row, :, 1].mean(),
        }
        for row, name in enumerate(rows)
    }


# --- the command ---------------------------------------------------------------------------------

MEASURES: dict[str, Callable[[ittisal.datasets.DataSet], Rows]] = {
    "boxes": boxes,
    "confidence": confidence,
    "scanpath": scanpath,
}


def main(arguments: list[str]) -> int:
    """Print a table per measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--limit", type=int, help="so many images, spread over the data set")
    parser.add_argument("--only", metavar="WORD", help="measures whose name has it")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    data = ittisal.datasets.load(options.dataset)
    if options.limit:
        chosen = np.linspace(0, len(data) - 1, min(options.limit, len(data))).round()
        data = data.subset(np.unique(chosen.astype(int)).tolist())
    found = {
        name: measure(data) for name, measure in MEASURES.items() if (options.only or "") in name
    }
    for name, rows in found.items():
        print(f"\n{(MEASURES[name].__doc__ or name).splitlines()[0]} {len(data)} images.\n")
        headings = list(next(iter(rows.values())))
        print(f"| | {' | '.join(headings)} |\n|---|{'---|' * len(headings)}")
        for row, figures in rows.items():
            print(f"| {row} | {' | '.join(f'{value:.3f}' for value in figures.values())} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
