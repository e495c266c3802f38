"""Saliency drawn: heat maps, overlays and captioned panels, for single pictures and for video.

All pictures are uint8. The heat colours are inferno's: its lightness rises evenly from black, so
that equal steps of saliency look equal, no edge appears that is not in the map, and it survives
grey print and colour blindness.
"""

from __future__ import annotations

import numpy as np

from .config import ITTI_1998, Config
from .frames import check_channel_order
from .imagefiles import to_bgr8
from .levels import Span, stretch
from .sampling import Sampling, sampling

DIMMED, OPACITY = 0.8, 0.75  # of the grey frame under the heat; of the heat where it is highest
BAND = 48  # rows drawn at a time, so that they stay in the processor's cache

BACKGROUND, INK = 24, 235  # grey levels of panels
GAP, CAPTION_HEIGHT = 12, 34  # of panels of single pictures, in pixels


# --- single pictures, BGR ----------------------------------------------------------------------


def visible(frame: np.ndarray, span: Span | None = None) -> np.ndarray:
    """A frame of any type that the model takes, as an 8-bit picture in the same channel order.

    It is stretched to show the values from `span[0]` to `span[1]`. Without a span, frames of 16
    bits show their lowest to their highest, since many cameras use a small part of the range.
    """
    if span is None and frame.dtype == np.uint16:
        span = float(frame.min()), float(frame.max())
    if span is not None:
        frame, stretched = np.empty(frame.shape, np.uint8), frame
        stretch(stretched, span, frame)
    return to_bgr8(frame)


def heat(saliency: np.ndarray) -> np.ndarray:
    """A map in [0, 1] in heat colours, BGR."""
    import cv2

    return cv2.applyColorMap(_levels(saliency), cv2.COLORMAP_INFERNO)


def heat_over(frame: np.ndarray, saliency: np.ndarray, span: Span | None = None) -> np.ndarray:
    """Heat over a photograph in grey: every colour seen is saliency.

    The frame is BGR or grey, of any type that the model takes, `visible` by its span; the map has
    its size, in [0, 1].
    """
    picture = visible(frame, span)
    out = np.empty_like(picture)
    Colours("bgr", picture.shape[1]).overlay(picture, _levels(saliency), out)
    return out


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
        text(out, caption, x, y + CAPTION_HEIGHT - 11, 0.62)
        out[y + CAPTION_HEIGHT : y + step_y, x : x + width] = tile
    y = rows * step_y + GAP + 20
    bar = heat(np.linspace(0, 1, 160, dtype=np.float32)[None])
    end = out.shape[1] - GAP
    text(out, "0", end - 300, y)
    out[y - 13 : y + 3, end - 280 : end - 120] = cv2.resize(bar, (160, 16))
    text(out, "map's maximum", end - 112, y, 0.45)
    text(out, footer, GAP, y)
    return out


def fit(picture: np.ndarray, box: tuple[int, int], out: np.ndarray | None = None) -> np.ndarray:
    """A picture scaled to lie in the middle of a box (width, height), its proportions unchanged."""
    import cv2

    factor, left, top = _placement(picture.shape, box)
    width, height = (max(1, round(n * factor)) for n in picture.shape[1::-1])
    if out is None:
        out = np.empty((box[1], box[0], 3), np.uint8)
    out[...] = BACKGROUND
    out[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    return out


def fitted(x: int, y: int, shape: tuple[int, ...], box: tuple[int, int]) -> tuple[int, int]:
    """Where pixel (x, y) of a picture of this shape lies after `fit`."""
    factor, left, top = _placement(shape, box)
    return left + round(x * factor), top + round(y * factor)


def text(picture: np.ndarray, line: str, x: int, y: int, scale: float = 0.5) -> None:
    """Write one line with its baseline's left end at (x, y)."""
    import cv2

    ink = (INK, INK, INK)
    cv2.putText(picture, line, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)


def _placement(shape: tuple[int, ...], box: tuple[int, int]) -> tuple[float, int, int]:
    """Factor, left and top of a picture in a box."""
    factor = min(box[0] / shape[1], box[1] / shape[0])
    left, top = ((n - round(m * factor)) // 2 for n, m in zip(box, shape[1::-1], strict=True))
    return factor, left, top


def _levels(saliency: np.ndarray) -> np.ndarray:
    scaled = saliency * 255
    return np.rint(scaled, out=scaled).astype(np.uint8)


# --- video -------------------------------------------------------------------------------------


def overlay(
    frame: np.ndarray,
    saliency: np.ndarray,
    peak: float | None = None,
    *,
    config: Config = ITTI_1998,
    channel_order: str = "rgb",
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Heat over one frame in grey: for maps that come from no stream.

    Parameters
    ----------
    frame : array of shape (H, W) or (H, W, 3)
        uint8, uint16, or float in [0, 1].
    saliency : float32 array of shape (H//16, W//16), or what the config's maps have
        Its map as `Saliency` gives it.
    peak : float, optional
        The saliency that is drawn brightest; by default the map's maximum, which makes videos
        flicker: use a `RunningPeak` for those, or a `Painter`.
    config : Config
        What made the map: it says where the samples lie.
    channel_order : {"rgb", "bgr"}
        Of frame and picture.
    out : uint8 array of shape (H, W, 3), optional
        Receives the picture.

    Returns
    -------
    uint8 ndarray of shape (H, W, 3)

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.full((64, 96, 3), 100, np.uint8)
    >>> frame[20:40, 40:60] = (255, 0, 0)
    >>> overlay(frame, ittisal.Saliency((64, 96))(frame)).shape
    (64, 96, 3)
    """
    frame = visible(np.asarray(frame))
    if out is None:
        out = np.empty(frame.shape, np.uint8)
    shape = frame.shape[:2]
    wanted = sampling(shape, config).map_shape
    if saliency.shape != wanted:
        raise ValueError(
            f"map has shape {saliency.shape}, which is not that of a {shape[1]}x{shape[0]} frame, "
            f"{wanted}"
        )
    colours = Colours(check_channel_order(channel_order), shape[1])
    renderer = Renderer(shape, shape, config, colours)
    colours.overlay(
        frame, renderer.levels(saliency, float(saliency.max()) if peak is None else peak), out
    )
    return out


class Colours:
    """Colours of 256 levels of saliency, for pictures of this width; in grey instead of heat."""

    def __init__(self, channel_order: str, width: int, *, grey: bool = False) -> None:
        import cv2

        levels = np.arange(256, dtype=np.uint8)[:, None]
        ramp = np.dstack([levels] * 3) if grey else cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
        self.ramp = np.ascontiguousarray(ramp[..., ::-1] if channel_order == "rgb" else ramp)
        opacity = OPACITY * levels / 255
        self._glow = np.rint(opacity[..., None] * self.ramp).astype(np.uint8)
        self._veil = np.rint(255 * DIMMED * (1 - opacity)).astype(np.uint8)
        self._to_grey = cv2.COLOR_RGB2GRAY if channel_order == "rgb" else cv2.COLOR_BGR2GRAY
        self._light, self._dim = np.empty((2, BAND, width), np.uint8)
        self._colour = np.empty((BAND, width, 3), np.uint8)

    def map(self, levels: np.ndarray, out: np.ndarray) -> None:
        """The levels in colours."""
        import cv2

        for rows in _bands(len(levels)):
            cv2.applyColorMap(levels[rows], self.ramp, dst=out[rows])

    def overlay(self, frame: np.ndarray, levels: np.ndarray, out: np.ndarray) -> None:
        """The levels' colours over the frame in grey.

        Where the map is s: grey times 0.8 (1 - 0.75 s) plus colour times 0.75 s. (A little darker
        than the frame, or white paper would outshine the brightest heat.)
        """
        import cv2

        for rows in _bands(len(frame)):
            n = rows.stop - rows.start
            light, dim, colour = self._light[:n], self._dim[:n], self._colour[:n]
            cv2.cvtColor(frame[rows], self._to_grey, dst=light)
            cv2.LUT(levels[rows], self._veil, dst=dim)
            cv2.multiply(light, dim, dst=light, scale=1 / 255)
            cv2.applyColorMap(levels[rows], self._glow, dst=colour)
            cv2.cvtColor(light, cv2.COLOR_GRAY2BGR, dst=out[rows])
            cv2.add(out[rows], colour, dst=out[rows])


class Renderer:
    """Spreads maps of one size over pictures of one size.

    `target` is (H, W) of the picture, `working` of the frames that the model sees.
    """

    def __init__(
        self, target: tuple[int, int], working: tuple[int, int], config: Config, colours: Colours
    ) -> None:
        self.key, self.colours = (target, working), colours
        self._target = target
        grid = sampling(working, config)
        scale = zip(grid.step, target, working, strict=True)
        self._scale = tuple(step * n / m for step, n, m in scale)
        self._matrix = _even(target, grid) if grid.first == (0, 0) else None
        self._large: np.ndarray | None = None

    def levels(self, saliency: np.ndarray, peak: float) -> np.ndarray:
        """The map at the picture's size in 256 levels, 255 for the peak; a view of a buffer."""
        import cv2

        small = _levels(np.clip(saliency * (1 / peak if peak > 0 else 0), 0, 1))
        height, width = self._target
        if self._matrix is not None:
            self._large = cv2.warpAffine(
                small,
                self._matrix,
                (width, height),
                dst=self._large,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            return self._large
        # One row and column more, a copy of the last: beyond it the map is constant. Pixel centres
        # lie on pixel centres, as cv2.resize has it, when the scale is exact.
        fy, fx = self._scale
        padded = cv2.copyMakeBorder(small, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
        self._large = cv2.resize(padded, None, dst=self._large, fx=fx, fy=fy)
        return self._large[:height, :width]


def _bands(height: int) -> list[slice]:
    return [slice(top, min(top + BAND, height)) for top in range(0, height, BAND)]


def _even(target: tuple[int, int], grid: Sampling) -> np.ndarray:
    """From a picture's pixel to the map's sample, where the first lies on the first pixel."""
    fy, fx = (m / n for n, m in zip(target, grid.shape, strict=True))
    matrix = np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2]])
    return matrix / np.array(grid.step)[::-1, None]
