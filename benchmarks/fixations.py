"""What in `gaze` earns its place: parts and other readings of it, scored on human fixations.

python -m benchmarks.fixations DATASET [--limit N] [--smooth PERCENT] [--only WORD] [--json FILE]

Every row is a map made of the float64 reference's intermediates, so that one thing at a time
changes. `FIXATIONS.md` says what came of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

import ittisal

ANGLES = (0, 45, 90, 135)
PLANES = ("intensity", "red_green", "blue_yellow")
Trace = dict[str, np.ndarray]
METRICS = ("auc", "sauc", "nss", "cc")
# All maps at a sixteenth, whatever the image's size.
GAZE, WHITENED = (replace(each, working_size=0) for each in (ittisal.GAZE, ittisal.WHITENED))


# --- intermediates, once per image ---------------------------------------------------------------


@lru_cache(maxsize=64)
def model(shape: tuple[int, int], config: ittisal.Config, thread: int) -> ittisal.Saliency:
    """A reference model; each thread its own."""
    return ittisal.Saliency(shape, config, backend="reference")


class Traces:
    """The trace of the image that a thread last asked about, by config."""

    def __init__(self) -> None:
        self.local = threading.local()

    def __call__(self, image: np.ndarray, config: ittisal.Config = GAZE) -> Trace:
        """All intermediates."""
        if getattr(self.local, "image", None) is not image:
            self.local.image, self.local.kept = image, {}
        if config not in self.local.kept:
            run = model(image.shape[:2], config, threading.get_ident())
            self.local.kept[config] = run.trace(image)
        return self.local.kept[config]


traced = Traces()


def figure_level(t: Trace) -> int:
    """The level of surroundedness."""
    shape = t["surroundedness/intensity/on"].shape
    return next(level for level in range(2, 9) if t[f"pyramid/intensity/{level}"].shape == shape)


def to_map(x: np.ndarray, t: Trace) -> np.ndarray:
    """A finer or coarser map at the size of the saliency map."""
    height, width = t["saliency"].shape
    shrinks = x.shape[0] > height
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.asarray(x, np.float32), (width, height), interpolation=how)


def promotion(t: Trace, channels: tuple[str, ...] = ("intensity", "colour", "orientation")):
    """1 + S / 20, S of some of the channels with their weights made up to 1."""
    figure = t["contribution/figure"]
    total = sum(t[f"contribution/{name}"] for name in channels) * (3 / len(channels))
    return 1 + np.divide(total, figure, out=np.zeros_like(figure), where=figure > 0)


def corners(t: Trace, pick: Callable[[np.ndarray], np.ndarray], up: int = 0) -> np.ndarray:
    """Corners by another rule over the four energies at level 4, or `up` levels coarser."""
    level = figure_level(t) - 1 + up
    energies = [to_map(t[f"orientation/{angle}/{level}"], t) for angle in ANGLES]
    return pick(np.sort(energies, axis=0))


def isotropic(energies: np.ndarray) -> np.ndarray:
    """The least energy by its ratio to the mean."""
    return energies[0] ** 2 / np.maximum(energies.mean(0), 1e-12)


def reconstructed(mask: np.ndarray) -> np.ndarray:
    """Morphological reconstruction by erosion of the mask from its border."""
    from skimage.morphology import reconstruction

    marker = np.full_like(mask, mask.max())
    marker[[0, -1]], marker[:, [0, -1]] = mask[[0, -1]], mask[:, [0, -1]]
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    return reconstruction(marker, mask, method="erosion", footprint=cross)


def surroundedness(t: Trace, planes: list[np.ndarray], root: Callable) -> np.ndarray:
    """Figures of other planes, or under another root."""
    total = 0.0
    for z in planes:
        total = total + root(z + reconstructed(-z)) + root(reconstructed(z) - z)
    return to_map(total, t)


def whitened_planes(t: Trace) -> list[np.ndarray]:
    """The decorrelated planes of which surroundedness is taken."""
    return [t[f"whitened/{name}/{figure_level(t)}"] for name in PLANES]


def plain_planes(t: Trace, up: int = 0) -> list[np.ndarray]:
    """The same planes, as they are."""
    return [t[f"pyramid/{name}/{figure_level(t) + up}"] for name in PLANES]


def scaled(planes: list[np.ndarray]) -> list[np.ndarray]:
    """Each over its own standard deviation: variance, but not correlation, is taken out."""
    return [z / (z.std() + 1e-6) for z in planes]


def boolean_maps(t: Trace, thresholds: int = 21, dilation: int = 2) -> np.ndarray:
    """As published (Zhang & Sclaroff 2013): thresholds, a dilation, each map over its L2 norm."""
    total = np.zeros(whitened_planes(t)[0].shape, np.float32)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * dilation + 1,) * 2)
    for z in whitened_planes(t):
        low, high = np.percentile(z, [0.5, 99.5])
        for threshold in np.linspace(low, high, thresholds + 2)[1:-1]:
            for above in (z > threshold, z <= threshold):
                padded = cv2.copyMakeBorder(
                    above.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1
                )
                cv2.floodFill(padded, None, (0, 0), 0)
                kept = cv2.dilate(padded[1:-1, 1:-1], disc).astype(np.float32)
                total += kept / max(np.sqrt(kept.sum()), 1)
    return to_map(total, t)


def soft(x: np.ndarray, delta: float = 0.01) -> np.ndarray:
    """The reference's soft root."""
    return np.sqrt(x + delta) - np.sqrt(delta)


# --- the rows ------------------------------------------------------------------------------------

Row = Callable[[np.ndarray], np.ndarray]


def of_trace(make: Callable[[Trace], np.ndarray], **changes: object) -> Row:
    """A map made of `gaze`'s intermediates, or of `gaze` with some fields changed."""
    return lambda image: make(traced(image, replace(GAZE, **changes)))


def with_corners(pick: Callable[[np.ndarray], np.ndarray], up: int = 0) -> Row:
    """`gaze` with another rule for corners."""
    return of_trace(lambda t: t["figure"] * corners(t, pick, up) * promotion(t))


def with_figure(make: Callable[[Trace], np.ndarray]) -> Row:
    """`gaze` with another figure."""
    return of_trace(lambda t: make(t) * t["corners"] * promotion(t))


def rows() -> dict[str, Row]:
    """Every row of the table by its name."""
    alone = {
        "gaze": of_trace(lambda t: t["saliency"]),
        "figure x corners": of_trace(lambda t: t["contribution/figure"]),
        "figure alone": of_trace(lambda t: t["figure"]),
        "corners alone": of_trace(lambda t: t["corners"]),
        "the sum over channels alone": of_trace(lambda t: t["saliency"], figure=False),
        "itti1998": lambda image: traced(image, ittisal.ITTI_1998)["saliency"],
        "whitened": lambda image: traced(image, WHITENED)["saliency"],
    }
    joined = {
        "joined: figure + corners, of one range": of_trace(
            lambda t: t["figure"] / t["figure"].max() + t["corners"] / t["corners"].max()
        ),
        "joined: whitened x figure": of_trace(
            lambda t: np.sqrt(t["conspicuity/whitened"]) * t["figure"],
            weights={"whitened": 1, "orientation": 1e-9},
        ),
        "joined: gaze x root of whitened": of_trace(
            lambda t: np.sqrt(t["conspicuity/whitened"]) * t["contribution/figure"],
            weights={"whitened": 1, "orientation": 1e-9},
        ),
        "joined: gaze + a tenth of the sum over channels": of_trace(
            lambda t: t["contribution/figure"] / t["contribution/figure"].max() + 0.1 * promoting(t)
        ),
    }
    promoted = {
        "promoted by orientation alone": of_trace(
            lambda t: t["contribution/figure"] * promotion(t, ("orientation",))
        ),
        "promoted by intensity and orientation": of_trace(
            lambda t: t["contribution/figure"] * promotion(t, ("intensity", "orientation"))
        ),
        "promoted a fifth as much": of_trace(
            lambda t: t["contribution/figure"] * (1 + (promotion(t) - 1) / 5)
        ),
    }
    cornered = {
        "corners: as among isolated items, the second least": with_corners(lambda e: e[1]),
        "corners: as in a scene, whatever the density": with_corners(isotropic),
        "corners: the least of four": with_corners(lambda e: e[0]),
        "corners: the third least": with_corners(lambda e: e[2]),
        "corners: the sum (plain energy)": with_corners(lambda e: e.sum(0)),
        "corners: the geometric mean": with_corners(lambda e: np.exp(np.log(e + 1e-6).mean(0))),
        "corners: one level coarser": with_corners(lambda e: e[1], 1),
        "corners: two levels coarser": with_corners(lambda e: e[1], 2),
        "corners: both levels": of_trace(
            lambda t: (
                t["figure"]
                * (corners(t, lambda e: e[1]) + corners(t, lambda e: e[1], 1))
                * promotion(t)
            )
        ),
    }
    figured = {
        "figure: planes not whitened": with_figure(
            lambda t: surroundedness(t, plain_planes(t), soft)
        ),
        "figure: planes scaled only": with_figure(
            lambda t: surroundedness(t, scaled(plain_planes(t)), soft)
        ),
        "figure: intensity alone": with_figure(
            lambda t: surroundedness(t, whitened_planes(t)[:1], soft)
        ),
        "figure: colours alone": with_figure(
            lambda t: surroundedness(t, whitened_planes(t)[1:], soft)
        ),
        "figure: one level coarser": with_figure(
            lambda t: surroundedness(t, scaled(plain_planes(t, 1)), soft)
        ),
        "figure: one level finer": with_figure(
            lambda t: surroundedness(t, scaled(plain_planes(t, -1)), soft)
        ),
        "figure: no root": with_figure(
            lambda t: surroundedness(t, whitened_planes(t), lambda x: x)
        ),
        "figure: a hard root": with_figure(
            lambda t: surroundedness(t, whitened_planes(t), np.sqrt)
        ),
        "figure: boolean maps as published": with_figure(boolean_maps),
        "figure: boolean maps, not dilated": with_figure(lambda t: boolean_maps(t, dilation=0)),
    }
    return {**alone, **joined, **promoted, **cornered, **figured}


def promoting(t: Trace) -> np.ndarray:
    """The sum over channels, of range 1."""
    total = promotion(t) - 1
    return total / max(total.max(), 1e-12)


SIDES = (320, 400, 512, 640, 800, 1024, 1280, 1600, 1920)


SHRUNK = (256, 400, 512, 640, 800)


def octaves() -> dict[str, Row]:
    """`gaze` and `whitened` of small images, with their levels shifted by 0 to 2 octaves."""
    return {
        f"octaves: {name}, longer side {side}, shifted by {shift}": at_side(
            side, replace(config, working_size=side << shift)
        )
        for name, config in {"gaze": ittisal.GAZE, "whitened": ittisal.WHITENED}.items()
        for side in SHRUNK
        for shift in range(3)
    }


def at_side(side: int, config: ittisal.Config = ittisal.GAZE) -> Row:
    """A preset's map of the image at another size, resampled to the image's."""

    def mapped(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        factor = side / max(height, width)
        size = round(width * factor), round(height * factor)
        shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        scaled_image = cv2.resize(image, size, interpolation=shrinks)
        raw = quick_model(scaled_image.shape[:2], config, threading.get_ident())(scaled_image)
        saliency = ittisal.upsample(raw, scaled_image.shape[:2], config)
        back = cv2.INTER_LINEAR if factor < 1 else cv2.INTER_AREA
        return cv2.resize(saliency, (width, height), interpolation=back)

    return mapped


@lru_cache(maxsize=64)
def quick_model(shape: tuple[int, int], config: ittisal.Config, thread: int) -> ittisal.Saliency:
    """A model of the fast path; each thread its own."""
    return ittisal.Saliency(shape, config, threads=1)


# --- the command ---------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Score the rows; print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fixations", description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--limit", type=int, help="so many images, spread over the data set")
    parser.add_argument("--smooth", type=float, default=2.0, metavar="PERCENT")
    parser.add_argument("--only", metavar="WORD", help="rows whose name has it")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    chosen = {name: row for name, row in rows().items() if (options.only or "") in name}
    models = {name: upsampled(row) for name, row in chosen.items()}
    if "size" in (options.only or "size"):
        models |= {f"size: longer side {side}": at_side(side) for side in SIDES}
    if options.only == "octaves":  # alone, for there are many
        models |= octaves()
    result = ittisal.evaluation.evaluate(
        ittisal.datasets.load(options.dataset),
        models,
        METRICS,
        smooth_percent=options.smooth,
        limit=options.limit,
        progress=lambda: print(".", end="", file=sys.stderr, flush=True),
    )
    print(f"\n{len(result.images)} images, smoothed by {options.smooth} % of the longer side\n")
    print(f"| {'':48} | AUC | sAUC | NSS | CC |\n|---|---|---|---|---|")
    for name in models:
        auc, sauc, nss, cc = (result.score(name, metric).mean for metric in METRICS)
        print(f"| {name:48} | {auc:.4f} | {sauc:.4f} | {nss:.3f} | {cc:.4f} |")
    if options.json:
        options.json.write_text(json.dumps(result.to_dict(), indent=1) + "\n")
    return 0


def upsampled(row: Row) -> Row:
    """A row's map at the image's size."""
    return lambda image: ittisal.upsample(np.asarray(row(image), np.float32), image.shape[:2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
