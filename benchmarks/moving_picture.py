"""The picture of the five channels in README: `python -m benchmarks.moving_picture OUT.png`.

A still photograph in which a sugar lump slides over the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2
import numpy as np

import ittisal

from .frames import photograph

FRAMES = 9
LUMP = (480, 330), (8, -12), 22  # x and y at first, pixels per frame, side


def frames() -> Iterator[np.ndarray]:
    """640x400 BGR frames."""
    still = photograph("640x400")
    (x, y), (across, down), side = LUMP
    for k in range(FRAMES):
        frame = still.copy()
        corner = x + across * k, y + down * k
        cv2.rectangle(frame, corner, (corner[0] + side, corner[1] + side), (205, 220, 230), -1)
        yield frame


def main(path: str) -> None:
    """Draw the last frame's panel."""
    with ittisal.stream(frames(), channel_order="bgr", fps=25, cuts=False) as stream:
        paint = ittisal.video.Painter(stream, "channels")
        for result in stream:
            picture = paint(result)
    if not cv2.imwrite(path, picture):
        raise OSError(f"{path} cannot be written")


if __name__ == "__main__":
    main(*sys.argv[1:])
