"""Maps made visible: colours, overlay, and a captioned panel. All pictures are 8-bit BGR."""

from __future__ import annotations

import numpy as np

from ..imagefiles import to_bgr8

CAPTION_HEIGHT = 34
GAP = 12
BACKGROUND = (24, 24, 24)
INK = (235, 235, 235)


def heat(saliency: np.ndarray) -> np.ndarray:
    """A map in [0, 1] in colours.

    Inferno: its lightness rises evenly from black, so equal steps of saliency look equal, no
    edge appears that is not in the map, and it survives grey print and colour blindness.
    """
    import cv2

    return cv2.applyColorMap(np.rint(saliency * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)


def overlay(frame: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The map's colours over the photograph in grey: every colour seen is saliency.

    The heat is the more opaque the higher it is, so that nothing veils what does not stand out.
    """
    import cv2

    grey = cv2.cvtColor(to_bgr8(frame), cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)
    opacity = 0.75 * saliency[..., None]
    # A little darker, or white paper would outshine the brightest heat.
    return np.rint(0.8 * grey * (1 - opacity) + heat(saliency) * opacity).astype(np.uint8)


def ring(picture: np.ndarray, x: int, y: int) -> np.ndarray:
    """A copy with a circle around one pixel."""
    import cv2

    radius = max(8, min(picture.shape[:2]) // 14)
    thickness = max(1, radius // 10)
    out = picture.copy()
    for colour, width in (((0, 0, 0), thickness + 2), ((255, 255, 255), thickness)):
        cv2.circle(out, (x, y), radius, colour, width, cv2.LINE_AA)
    return out


def panel(tiles: list[tuple[str, np.ndarray]], columns: int, footer: str) -> np.ndarray:
    """Pictures of one size side by side, each under its caption, with a legend below."""
    import cv2

    height, width = tiles[0][1].shape[:2]
    rows = -(-len(tiles) // columns)
    step_x, step_y = width + GAP, height + CAPTION_HEIGHT
    out = np.full(
        (rows * step_y + CAPTION_HEIGHT + GAP, columns * step_x + GAP, 3), BACKGROUND, np.uint8
    )
    for i, (caption, tile) in enumerate(tiles):
        x, y = GAP + i % columns * step_x, i // columns * step_y
        _write(out, caption, x, y + CAPTION_HEIGHT - 11)
        out[y + CAPTION_HEIGHT : y + step_y, x : x + width] = tile
    y = rows * step_y + GAP + 20
    bar = heat(np.linspace(0, 1, 160, dtype=np.float32)[None])
    end = out.shape[1] - GAP
    _write(out, "0", end - 300, y, 0.5)
    out[y - 13 : y + 3, end - 280 : end - 120] = cv2.resize(bar, (160, 16))
    _write(out, "map's maximum", end - 112, y, 0.45)
    _write(out, footer, GAP, y, 0.5)
    return out


def fit(picture: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """A picture scaled to lie in the middle of a box (width, height), its proportions kept."""
    import cv2

    factor, left, top = _place(picture.shape, box)
    size = [max(1, round(n * factor)) for n in picture.shape[1::-1]]
    out = np.full((box[1], box[0], 3), BACKGROUND, np.uint8)
    out[top : top + size[1], left : left + size[0]] = cv2.resize(
        picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    return out


def fitted(x: int, y: int, shape: tuple[int, ...], box: tuple[int, int]) -> tuple[int, int]:
    """Where pixel (x, y) of a picture of this shape lies after `fit`."""
    factor, left, top = _place(shape, box)
    return left + round(x * factor), top + round(y * factor)


def _place(shape: tuple[int, ...], box: tuple[int, int]) -> tuple[float, int, int]:
    """Factor, left and top of a picture in a box."""
    factor = min(box[0] / shape[1], box[1] / shape[0])
    return (
        factor,
        (box[0] - round(shape[1] * factor)) // 2,
        (box[1] - round(shape[0] * factor)) // 2,
    )


def _write(picture: np.ndarray, text: str, x: int, y: int, scale: float = 0.62) -> None:
    import cv2

    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
