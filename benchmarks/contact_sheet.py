"""README's picture of where people looked and what the presets say of it.

python -m benchmarks.contact_sheet DATASET OUT.jpg [--images N] [--smooth PERCENT]
"""

from __future__ import annotations

import argparse
import sys

import cv2
import numpy as np

import ittisal

COLUMNS = ("gaze", "whitened", "itti1998", "cv2:spectral_residual")
WIDTH, GAP, HEADER = 200, 6, 26
FONT = cv2.FONT_HERSHEY_SIMPLEX


def main(arguments: list[str]) -> int:
    """Draw one row per image: photograph, fixations, each model's map."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contact_sheet", description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("out")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--smooth", type=float, default=2.0, metavar="PERCENT")
    options = parser.parse_args(arguments)
    dataset = ittisal.datasets.load(options.dataset)
    models = [ittisal.evaluation.model(name) for name in COLUMNS]
    treatment = ittisal.evaluation.Treatment(smooth_percent=options.smooth)
    chosen = np.linspace(0, len(dataset) - 1, options.images + 2).astype(int)[1:-1]
    rows = [row(dataset, int(index), models, treatment) for index in chosen]
    sheet = np.vstack([header(rows[0].shape[1]), *rows])
    if not cv2.imwrite(options.out, sheet, [cv2.IMWRITE_JPEG_QUALITY, 88]):
        print(f"{options.out} cannot be written", file=sys.stderr)
        return 1
    return 0


def header(width: int) -> np.ndarray:
    """The columns' names."""
    strip = np.full((HEADER, width, 3), 255, np.uint8)
    for k, name in enumerate(("photograph", "fixations", *COLUMNS)):
        place = (k * (WIDTH + GAP) + 4, HEADER - 8)
        cv2.putText(strip, name, place, FONT, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return strip


def row(dataset, index: int, models: list, treatment) -> np.ndarray:
    """One image's pictures side by side."""
    image = dataset.load_image(index)
    looked = dataset.fixations(index)
    density = ittisal.metrics.empirical_density(
        looked.x, looked.y, image.shape[:2], float(dataset.sigma_px[index])
    )
    scene = ittisal.evaluation.Scene(dataset, index)
    maps = [model.map(scene, treatment).values for model in models]
    pictures = [small(image[..., ::-1]), dots(small(heat(density)), looked, image.shape)]
    pictures += [small(heat(saliency)) for saliency in maps]
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    joined = [part for picture in pictures for part in (picture, gap)][:-1]
    strip = np.hstack(joined)
    return np.vstack([strip, np.full((GAP, strip.shape[1], 3), 255, np.uint8)])


def small(picture: np.ndarray) -> np.ndarray:
    """Scaled to a column's width."""
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    return cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)


def heat(saliency: np.ndarray) -> np.ndarray:
    """A map in false colours, over its maximum."""
    grey = np.uint8(255 * np.clip(saliency / max(saliency.max(), 1e-12), 0, 1))
    return cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)


def dots(picture: np.ndarray, looked, shape: tuple[int, ...]) -> np.ndarray:
    """The fixations themselves over their density."""
    picture = picture.copy()
    scale = WIDTH / shape[1]
    for x, y in zip(looked.x, looked.y, strict=True):
        place = (round(float(x) * scale), round(float(y) * scale))
        cv2.circle(picture, place, 1, (255, 255, 255), -1, cv2.LINE_AA)
    return picture


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
