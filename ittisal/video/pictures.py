"""Saliency made visible over moving frames: quickly, in fixed buffers, and without flicker.

All pictures are uint8. The heat colours are inferno's: its lightness rises evenly from black, so
that equal steps of saliency look equal, and it survives grey print and colour blindness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import MAP_LEVEL, VIDEO, Config, Phase
from ..frames import check_channel_order
from .records import channel_shares, weighted

KINDS = ("overlay", "side-by-side", "map", "channels")
STEP = 1 << MAP_LEVEL  # pixels of the working frame per sample of the map
RISE, FALL = 0.1, 5.0  # seconds in which the brightness follows the maps' peak, up and down
DIMMED, OPACITY = 0.8, 0.75  # of the frame under the heat; of the heat where it is highest
BAND = 48  # rows worked on at a time: their pictures stay in the processor's cache

BACKGROUND, INK, GAP, CAPTION = 24, 235, 8, 22  # of the panel: grey levels, and pixels
COLUMNS, NARROWEST, WIDEST = 4, 240, 480  # of the panel: tiles in a row, and their widths


@dataclass
class Brightness:
    """The saliency that is drawn brightest: a running peak of the maps' maxima.

    Were every map stretched to its own maximum, pictures would flicker, and frames where nothing
    stands out would look as loud as the others. So the peak follows the maxima with time: up
    within a tenth of a second, down within five; what exceeds it meanwhile is drawn as the
    brightest. The first frame, and the first after a cut, start anew from their own maximum.

    Parameters
    ----------
    peak : float
        0 before the first frame.
    time : float, optional
        Presentation time in seconds of the last frame.

    Examples
    --------
    >>> brightness = Brightness()
    >>> [round(brightness.follow(high, time), 2) for time, high in enumerate([2.0, 1.0, 4.0])]
    [2.0, 1.82, 4.0]
    """

    peak: float = 0.0
    time: float | None = None

    def follow(self, maximum: float, time: float | None = None, *, anew: bool = False) -> float:
        """The peak, once a map with this maximum has come; without times, 25 frames a second."""
        elapsed = 0.04
        if time is not None:
            if self.time is not None:
                elapsed = max(time - self.time, 0.0)
            self.time = time
        if anew or self.peak <= 0:
            self.peak = maximum
        else:
            pace = RISE if maximum > self.peak else FALL
            self.peak += (1 - math.exp(-elapsed / pace)) * (maximum - self.peak)
        return self.peak


class Painter:
    """Draws the results of a stream, each picture of one size, in buffers of its own.

    Colours are in the stream's channel order. A frame of another size than the first is drawn
    into the same picture, scaled to fit.

    Parameters
    ----------
    stream : Stream
        Whose results are drawn.
    kind : {"overlay", "side-by-side", "map", "channels"}
        `overlay`: heat over the frame in grey, so that every colour seen is saliency, and the
        more opaque the higher it is. `side-by-side`: the frame, and the map right of it. `map`:
        the map at the frame's size. `channels`: the frame, what each channel adds to the map, all
        to one scale of their own, and the map, in small pictures; with the channels' shares.
    grey : bool
        Maps in grey instead of heat colours.

    Raises
    ------
    ValueError
        Another kind, or `grey` with `overlay`.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frames = np.zeros((2, 64, 96, 3), np.uint8)
    >>> with ittisal.stream(frames) as stream:
    ...     paint = Painter(stream, "side-by-side")
    ...     [paint(result).shape for result in stream]
    [(64, 192, 3), (64, 192, 3)]
    """

    def __init__(self, stream: Any, kind: str = "overlay", *, grey: bool = False) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not one of {', '.join(map(repr, KINDS))}")
        if grey and kind == "overlay":
            raise ValueError("grey=True has no meaning for an overlay, whose frame is grey")
        self.kind = kind
        self.brightness = Brightness()
        self.channel_brightness = Brightness()
        self._stream = stream
        self._config: Config = stream.model.config
        self._colours = _grey_colours() if grey else heat_colours(stream.channel_order)
        self._brushes: dict[tuple[int, ...], _Brush] = {}
        self._layout = _Layout(kind, stream.size, weighted(self._config))
        self._picture: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures."""
        return self._layout.size

    def __call__(self, result: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The picture of one result, until the next result is asked for.

        Parameters
        ----------
        result : Result
            The stream's newest.
        out : uint8 ndarray of shape (*size, 3), optional
            Receives the picture; else it is in the painter's own buffer, good until the next.

        Returns
        -------
        uint8 ndarray of shape (*size, 3)
        """
        if out is None:
            if self._picture is None:
                self._picture = np.empty((*self.size, 3), np.uint8)
            out = self._picture
        saliency = result.saliency
        peak = self.brightness.follow(float(saliency.max()), result.time, anew=result.cut)
        shape = self._stream.size
        if shape == self._layout.frame:
            self._paint(result, peak, self._layout, out)
        else:
            layout = _Layout(self.kind, shape, self._layout.channels)
            picture = np.empty((*layout.size, 3), np.uint8)
            self._paint(result, peak, layout, picture)
            fit(picture, out)
        return out

    def _paint(self, result: Any, peak: float, layout: _Layout, out: np.ndarray) -> None:
        saliency = result.saliency
        brush = self._brush(layout)
        if self.kind == "map":
            brush.map(saliency, peak, out)
            return
        frame = to_colour8(result.frame)
        if self.kind == "overlay":
            brush.overlay(frame, saliency, peak, out)
        elif self.kind == "side-by-side":
            width = layout.frame[1]
            np.copyto(out[:, :width], frame)
            brush.map(saliency, peak, out[:, width:])
        else:
            self._panel(result, frame, peak, layout, brush, out)

    def _panel(
        self,
        result: Any,
        frame: np.ndarray,
        peak: float,
        layout: _Layout,
        brush: _Brush,
        out: np.ndarray,
    ) -> None:
        import cv2

        added = result.contributions()
        shares = channel_shares(added)
        highest = max(float(part.max()) for part in added.values())
        brightest = self.channel_brightness.follow(highest, result.time, anew=result.cut)
        out[...] = BACKGROUND
        boxes = iter(layout.boxes)
        height, width = layout.tile
        y, x = next(boxes)
        tile = out[y : y + height, x : x + width]
        cv2.resize(frame, (width, height), dst=tile, interpolation=cv2.INTER_AREA)
        _caption(out, f"frame {result.index}", x, y)
        for name in layout.channels:
            y, x = next(boxes)
            tile = out[y : y + height, x : x + width]
            if name in added:
                brush.map(added[name], brightest, tile)
                _caption(out, f"{name} {shares[name]:.0%}", x, y)
            else:
                tile[...] = self._colours[0]
                _caption(out, f"{name} -", x, y)
        y, x = next(boxes)
        brush.map(result.saliency, peak, out[y : y + height, x : x + width])
        _caption(out, "saliency", x, y)

    def _brush(self, layout: _Layout) -> _Brush:
        """The tools for maps of the model's present size, on pictures like these."""
        target = layout.tile if self.kind == "channels" else layout.frame
        key = (*target, *self._stream.model.shape)
        if key not in self._brushes:
            working, order = self._stream.model.shape, self._stream.channel_order
            self._brushes = {key: _Brush(target, working, self._config, self._colours, order)}
        return self._brushes[key]


def overlay(
    frame: np.ndarray,
    saliency: np.ndarray,
    peak: float | None = None,
    *,
    config: Config = VIDEO,
    channel_order: str = "rgb",
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Heat over one frame in grey: for maps that come from no stream.

    Parameters
    ----------
    frame : array of shape (H, W) or (H, W, 3)
        uint8, uint16, or float in [0, 1].
    saliency : float32 array of shape (H//16, W//16)
        Its map as `Saliency` gives it.
    peak : float, optional
        The saliency that is drawn brightest; the map's own maximum if not given, which makes
        videos flicker: keep a `Brightness` for those, or use a `Painter`.
    config : Config
        Its `phase` says where the map's samples lie.
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
    frame = to_colour8(np.asarray(frame))
    if out is None:
        out = np.empty(frame.shape, np.uint8)
    shape = frame.shape[:2]
    if saliency.shape != (shape[0] >> MAP_LEVEL, shape[1] >> MAP_LEVEL):
        raise ValueError(
            f"map has shape {saliency.shape}, which is not that of a {shape[1]}x{shape[0]} frame, "
            f"{(shape[0] >> MAP_LEVEL, shape[1] >> MAP_LEVEL)}"
        )
    colours = heat_colours(check_channel_order(channel_order))
    brush = _Brush(shape, shape, config, colours, channel_order)
    brush.overlay(frame, saliency, float(saliency.max()) if peak is None else peak, out)
    return out


def to_colour8(frame: np.ndarray) -> np.ndarray:
    """A frame of any type that the model takes with three channels of 8 bits; a copy if need be."""
    if frame.dtype == np.uint16:
        frame = (frame >> 8).astype(np.uint8)
    elif frame.dtype != np.uint8:
        frame = np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)
    if frame.ndim == 2 or frame.shape[2] == 1:
        frame = np.repeat(frame.reshape(*frame.shape[:2], 1), 3, axis=2)
    return frame


def heat_colours(channel_order: str) -> np.ndarray:
    """uint8 array of shape (256, 3): the colour of each of 256 levels."""
    import cv2

    levels = np.arange(256, dtype=np.uint8)[:, None]
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[:, 0]  # BGR
    return np.ascontiguousarray(colours[:, ::-1] if channel_order == "rgb" else colours)


def fit(picture: np.ndarray, out: np.ndarray) -> None:
    """Scale a picture into the middle of another, its proportions kept, dark around it."""
    import cv2

    factor = min(n / m for n, m in zip(out.shape[:2], picture.shape[:2], strict=True))
    height, width = (max(round(n * factor), 1) for n in picture.shape[:2])
    top, left = (out.shape[0] - height) // 2, (out.shape[1] - width) // 2
    out[...] = BACKGROUND
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    out[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=way
    )


class _Brush:
    """Draws maps of one size onto pictures of one size.

    Parameters
    ----------
    target : (int, int)
        (H, W) of the picture.
    working : (int, int)
        (height, width) of the frames that the model sees, spread over the picture.
    config : Config
        Its `phase` says where the map's samples lie.
    colours : uint8 array of shape (256, 3)
    channel_order : {"rgb", "bgr"}
    """

    def __init__(
        self,
        target: tuple[int, int],
        working: tuple[int, int],
        config: Config,
        colours: np.ndarray,
        channel_order: str,
    ) -> None:
        import cv2

        self._target = target
        self._to_grey = cv2.COLOR_RGB2GRAY if channel_order == "rgb" else cv2.COLOR_BGR2GRAY
        levels = np.arange(256)[:, None] / 255
        self._colours = colours.reshape(256, 1, 3)
        glow = np.rint(OPACITY * levels * colours).astype(np.uint8)
        self._glow = glow.reshape(256, 1, 3)
        self._veil = np.rint(255 * DIMMED * (1 - OPACITY * levels[:, 0])).astype(np.uint8)
        rows, columns = (max(n >> MAP_LEVEL, 1) for n in working)
        self._scale = tuple(STEP * n / m for n, m in zip(target, working, strict=True))
        self._matrix = None if config.phase is Phase.CENTRED else _even(target, working)
        self._float = np.empty((rows, columns), np.float32)
        self._small = np.empty((rows, columns), np.uint8)
        # One row and column more, a copy of the last: what the map does not cover is held.
        self._padded = np.empty((rows + 1, columns + 1), np.uint8)
        self._large: np.ndarray | None = None
        band = (min(BAND, target[0]), target[1])
        self._light, self._dim = np.empty(band, np.uint8), np.empty(band, np.uint8)
        self._colour = np.empty((*band, 3), np.uint8)

    def levels(self, saliency: np.ndarray, peak: float) -> np.ndarray:
        """The map at the picture's size in 256 levels, 255 for the peak; a view of a buffer."""
        import cv2

        np.multiply(saliency, 255 / peak if peak > 0 else 0, out=self._float)
        np.clip(self._float, 0, 255, out=self._float)
        np.rint(self._float, out=self._float)
        np.copyto(self._small, self._float, casting="unsafe")
        height, width = self._target
        if self._matrix is not None:
            self._large = cv2.warpAffine(
                self._small,
                self._matrix,
                (width, height),
                dst=self._large,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            return self._large
        cv2.copyMakeBorder(self._small, 0, 1, 0, 1, cv2.BORDER_REPLICATE, dst=self._padded)
        # Pixel centres lie on pixel centres, as cv2.resize has it, when the scale is exact.
        self._large = cv2.resize(
            self._padded,
            None,
            dst=self._large,
            fx=self._scale[1],
            fy=self._scale[0],
            interpolation=cv2.INTER_LINEAR,
        )
        return self._large[:height, :width]

    def map(self, saliency: np.ndarray, peak: float, out: np.ndarray) -> None:
        """The map in colours."""
        import cv2

        levels = self.levels(saliency, peak)
        for rows in self._bands():
            cv2.applyColorMap(levels[rows], self._colours, dst=out[rows])

    def overlay(
        self, frame: np.ndarray, saliency: np.ndarray, peak: float, out: np.ndarray
    ) -> None:
        """The map's colours over the frame in grey.

        Where the map is s, grey times 0.8 (1 - 0.75 s) plus colour times 0.75 s. (A little darker
        than the frame, or white paper would outshine the brightest heat.)
        """
        import cv2

        levels = self.levels(saliency, peak)
        for rows in self._bands():
            n = rows.stop - rows.start
            light, dim, colour = self._light[:n], self._dim[:n], self._colour[:n]
            cv2.cvtColor(frame[rows], self._to_grey, dst=light)
            cv2.LUT(levels[rows], self._veil, dst=dim)
            cv2.multiply(light, dim, dst=light, scale=1 / 255)
            cv2.applyColorMap(levels[rows], self._glow, dst=colour)
            cv2.cvtColor(light, cv2.COLOR_GRAY2BGR, dst=out[rows])
            cv2.add(out[rows], colour, dst=out[rows])

    def _bands(self) -> list[slice]:
        height = self._target[0]
        return [slice(top, min(top + BAND, height)) for top in range(0, height, BAND)]


class _Layout:
    """Where things lie in pictures of one kind."""

    def __init__(self, kind: str, frame: tuple[int, int], channels: list[str]) -> None:
        self.frame, self.channels = frame, channels
        height, width = frame
        self.size = frame
        if kind == "side-by-side":
            self.size = height, 2 * width
        elif kind == "channels":
            count = len(channels) + 2
            columns = min(count, COLUMNS)
            tile = min(max(width // 2, NARROWEST), WIDEST)
            self.tile = max(round(height * tile / width), 1), tile
            down, across = self.tile[0] + CAPTION + GAP, tile + GAP
            self.boxes = [
                (i // columns * down + CAPTION + GAP // 2, i % columns * across + GAP)
                for i in range(count)
            ]
            rows = -(-count // columns)
            size = rows * down + GAP // 2, columns * across + GAP
            self.size = size[0] + size[0] % 2, size[1] + size[1] % 2  # codecs like even sides


def _grey_colours() -> np.ndarray:
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def _even(target: tuple[int, int], working: tuple[int, int]) -> np.ndarray:
    """From a picture's pixel to the map's sample, where sample i lies on working pixel 16 i."""
    (fy, fx), shift = ((m / n for n, m in zip(target, working, strict=True)), 0.5)
    return np.array(
        [
            [fx / STEP, 0, ((0.5 * fx) - shift) / STEP],
            [0, fy / STEP, ((0.5 * fy) - shift) / STEP],
        ]
    )


def _caption(picture: np.ndarray, text: str, x: int, y: int) -> None:
    import cv2

    face, ink = cv2.FONT_HERSHEY_SIMPLEX, (INK, INK, INK)
    cv2.putText(picture, text, (x, y - 7), face, 0.5, ink, 1, cv2.LINE_AA)
