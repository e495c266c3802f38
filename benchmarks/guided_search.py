"""Guided search on photographs: targets learned from some of OSIE's, and found in another.

python -m benchmarks.guided_search DATASET OUT.jpg

Draws a row for each search: the last photograph that the gains were learned from, the one that is
searched, and its maps without and with the gains, each with the fixations up to the target. Prints
which fixation is the first on the target, and its mean saliency over that of all the rest.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

import ittisal

Box = tuple[int, int, int, int]  # y, x, height, width
WIDTH, GAP, CAPTION, FONT = 300, 6, 20, cv2.FONT_HERSHEY_SIMPLEX
MARGIN = 16  # px, a sample of the map: a fixation so near to a box is on it
FIXATIONS = 30
INK, FOUND = (255, 255, 255), (80, 255, 80)

BOXES: dict[str, tuple[Box, ...]] = {
    "1040": ((200, 105, 275, 185),),  # tomatoes
    "1079": ((205, 680, 165, 105), (280, 475, 60, 60)),  # orange road signs
    "1163": ((55, 275, 280, 190), (55, 525, 280, 190)),
    "1499": ((90, 500, 255, 245),),
    "1191": ((320, 630, 110, 55), (310, 25, 75, 55)),  # red clothes
    "1346": ((335, 205, 190, 135),),
    "1288": ((40, 300, 245, 140),),  # red cans
    "1306": ((30, 510, 260, 140),),
    "1373": ((150, 290, 110, 105),),  # green balloons
    "1685": ((90, 400, 110, 100),),
    "1438": ((90, 365, 145, 125),),  # red and white triangles
    "1558": ((105, 510, 165, 185),),
    "1692": ((0, 165, 240, 290),),
    "1508": ((310, 270, 255, 250),),  # oranges
    "1595": ((265, 325, 130, 165),),
}


class Search(NamedTuple):
    """What is looked for, learned from which photographs, in which other one."""

    name: str
    examples: tuple[str, ...]
    searched: str


SEARCHES = (
    Search("red can", ("1306",), "1288"),
    Search("red clothes", ("1191",), "1346"),
    Search("warning triangle", ("1692", "1558"), "1438"),
    Search("tomatoes, by oranges", ("1595", "1508"), "1040"),
    Search("road sign", ("1163", "1499"), "1079"),
    Search("green balloon", ("1685",), "1373"),
)


def main(arguments: list[str]) -> int:
    """Search for every target; 1 if the picture cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guided_search", description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("out")
    options = parser.parse_args(arguments)
    images = Path(options.dataset) / "images"
    sheet = np.vstack([row(search, images) for search in SEARCHES])
    if not cv2.imwrite(options.out, sheet, [cv2.IMWRITE_JPEG_QUALITY, 88]):
        print(f"{options.out} cannot be written", file=sys.stderr)
        return 1
    return 0


def row(search: Search, images: Path) -> np.ndarray:
    """The pictures of one search side by side."""
    examples = [read(images, name) for name in search.examples]
    masks = [mask(name, x) for name, x in zip(search.examples, examples, strict=True)]
    guided = ittisal.guided_config(examples, masks, channel_order="bgr")
    frame = read(images, search.searched)
    target = mask(search.searched, frame)
    tiles = [
        outlined(examples[-1], search.examples[-1], f"learned: {search.name}"),
        outlined(frame, search.searched, "searched"),
    ]
    said = []
    for name, config in (("bottom-up", ittisal.ITTI_1998), ("guided", guided)):
        with ittisal.Saliency(target.shape, config, channel_order="bgr") as model:
            raw = model(frame)
        path, order = found(raw, target)
        saliency = ittisal.upsample(raw, target.shape)
        contrast = saliency[target].mean() / saliency[~target].mean()
        said.append(f"{name}: fixation {order or 'none'}, {contrast:.2f} times the rest")
        tiles.append(captioned(attended(saliency, path, order), said[-1]))
    print(search.name, *said, sep="; ")
    gap = np.full((tiles[0].shape[0], GAP, 3), 255, np.uint8)
    strip = np.hstack([part for tile in tiles for part in (tile, gap)][:-1])
    return np.vstack([strip, np.full((GAP, strip.shape[1], 3), 255, np.uint8)])


def read(images: Path, name: str) -> np.ndarray:
    """A photograph, BGR."""
    path = images / f"{name}.jpg"
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path} cannot be read; DATASET is OSIE's folder, with images in it")
    return image


def mask(name: str, image: np.ndarray) -> np.ndarray:
    """The pixels in a photograph's boxes."""
    inside = np.zeros(image.shape[:2], bool)
    for y, x, height, width in BOXES[name]:
        inside[y : y + height, x : x + width] = True
    return inside


def found(raw: np.ndarray, target: np.ndarray) -> tuple[list, int | None]:
    """The fixations up to the first on the target, and its number; None if there is none."""
    near = cv2.dilate(target.astype(np.uint8), np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0
    path = ittisal.scanpath(raw, FIXATIONS, shape=target.shape)
    for order, fixation in enumerate(path, 1):
        if near[round(fixation.y), round(fixation.x)]:
            return path[:order], order
    return path, None


def outlined(image: np.ndarray, name: str, caption: str) -> np.ndarray:
    """A photograph with its boxes."""
    image = image.copy()
    for y, x, height, width in BOXES[name]:
        cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), FOUND, 4)
    return captioned(small(image), caption)


def attended(saliency: np.ndarray, path: list, order: int | None) -> np.ndarray:
    """A map in false colours over its maximum, with numbered fixations."""
    grey = np.uint8(255 * saliency / max(saliency.max(), 1e-12))
    picture = small(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO))
    scale = WIDTH / saliency.shape[1]
    for number, fixation in enumerate(path, 1):
        place = round(fixation.x * scale), round(fixation.y * scale)
        ink = FOUND if number == order else INK
        cv2.circle(picture, place, 9, ink, 1, cv2.LINE_AA)
        corner = place[0] - 4 * len(str(number)), place[1] + 4
        cv2.putText(picture, str(number), corner, FONT, 0.36, ink, 1, cv2.LINE_AA)
    return picture


def small(picture: np.ndarray) -> np.ndarray:
    """Scaled to a tile's width."""
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    return cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)


def captioned(tile: np.ndarray, caption: str) -> np.ndarray:
    """A tile under a line of text."""
    strip = np.full((CAPTION, tile.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, caption, (4, CAPTION - 6), FONT, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([strip, tile])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
