"""`Painter` draws the results of a stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..attention.pictures import draw_regions, draw_scanpath
from ..attention.scanpath import Fixation
from ..config import Config
from ..drawing import BACKGROUND, Colours, Renderer, fit, text, visible
from ..levels import Span
from ..maps import RunningPeak, channel_shares, weighted_channels

KINDS = ("overlay", "side-by-side", "map", "channels")
TILE_GAP, TILE_CAPTION = 8, 22  # of panels, in pixels
COLUMNS, NARROWEST, WIDEST = 4, 240, 480  # of panels: tiles in a row, and their widths
TRAIL = 5  # fixations that are shown at a time


class Painter:
    """Draws the results of a stream, each picture of one size, in fixed buffers.

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
        to one scale, and the map, in small pictures; with the channels' shares.
    grey : bool
        Maps in grey instead of heat colours.
    scanpath, boxes : bool
        Draw the last five fixations, and the regions, over the frame (with "map" over
        the map). They are computed for it.

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

    def __init__(
        self,
        stream: Any,
        kind: str = "overlay",
        *,
        grey: bool = False,
        scanpath: bool = False,
        boxes: bool = False,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not one of {', '.join(map(repr, KINDS))}")
        if grey and kind == "overlay":
            raise ValueError("grey=True has no meaning for an overlay, whose frame is grey")
        self.kind = kind
        self.peak = RunningPeak()
        self.channel_peak = RunningPeak()
        self._stream, self._grey = stream, grey
        self._scanpath, self._boxes = scanpath, boxes
        self._trail: list[Fixation] = []  # the last `TRAIL` of them
        self._config: Config = stream.model.config
        self._renderer: Renderer | None = None
        self._span: Span | None = None  # of values in this shot, for 16 bits
        self._layout = _Layout(kind, stream.size, weighted_channels(self._config))
        self._picture: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures."""
        return self._layout.size

    def __call__(self, result: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The picture of one result, drawn before the next result is asked for.

        Parameters
        ----------
        result : Result
            The stream's newest.
        out : uint8 ndarray of shape (*size, 3), optional
            Receives the picture; else it is in the painter's buffer, good until the next.

        Returns
        -------
        uint8 ndarray of shape (*size, 3)
        """
        if out is None:
            if self._picture is None:
                self._picture = np.empty((*self.size, 3), np.uint8)
            out = self._picture
        peak = self.peak.follow(float(result.saliency.max()), result.time, anew=result.cut)
        shape = self._stream.size
        if shape == self._layout.frame:
            self._paint(result, peak, self._layout, out)
            self._mark(result, self._layout, out)
        else:
            layout = _Layout(self.kind, shape, self._layout.channels)
            picture = np.empty((*layout.size, 3), np.uint8)
            self._paint(result, peak, layout, picture)
            self._mark(result, layout, picture)
            fit(picture, (out.shape[1], out.shape[0]), out)
        return out

    def _paint(self, result: Any, peak: float, layout: _Layout, out: np.ndarray) -> None:
        renderer = self._renderer_for(layout.tile)
        colours, levels = renderer.colours, renderer.levels(result.saliency, peak)
        if self.kind == "map":
            colours.map(levels, out)
            return
        frame = visible(result.frame, self._follow_span(result))
        if self.kind == "overlay":
            colours.overlay(frame, levels, out)
        elif self.kind == "side-by-side":
            width = layout.frame[1]
            np.copyto(out[:, :width], frame)
            colours.map(levels, out[:, width:])
        else:
            self._panel(result, frame, peak, layout, renderer, out)

    def _mark(self, result: Any, layout: _Layout, out: np.ndarray) -> None:
        """Fixations and regions over the frame, which is at the top left but in panels."""
        y, x = layout.boxes[0] if self.kind == "channels" else (0, 0)
        frame = out[y : y + layout.tile[0], x : x + layout.tile[1]]
        scale = layout.tile[0] / layout.frame[0]
        order = self._stream.channel_order
        if self._boxes:
            regions = [_scaled(region, scale) for region in result.regions]
            draw_regions(frame, regions, channel_order=order)
        if self._scanpath:
            if result.cut:
                self._trail.clear()
            self._trail = [*self._trail, *result.fixations][-TRAIL:]
            trail = [_scaled(fixation, scale) for fixation in self._trail]
            draw_scanpath(frame, trail, channel_order=order)

    def _follow_span(self, result: Any) -> Span | None:
        """The values to show: by the model's levels, or of 16 bits all since the last cut.

        So nothing flickers.
        """
        frame, levels = result.frame, self._stream.model.levels
        if levels is not None:
            return levels
        if frame.dtype == np.uint16:
            low, high = float(frame.min()), float(frame.max())
            if self._span is not None and not result.cut:
                low, high = min(low, self._span[0]), max(high, self._span[1])
            self._span = low, high
        return self._span

    def _panel(
        self,
        result: Any,
        frame: np.ndarray,
        peak: float,
        layout: _Layout,
        renderer: Renderer,
        out: np.ndarray,
    ) -> None:
        import cv2

        added = result.contributions()
        shares = channel_shares(added)
        highest = max(float(part.max()) for part in added.values())
        brightest = self.channel_peak.follow(highest, result.time, anew=result.cut)
        out[...] = BACKGROUND
        names = [f"frame {result.index}", *layout.channels, "saliency"]
        for i, (name, (y, x)) in enumerate(zip(names, layout.boxes, strict=True)):
            tile = out[y : y + layout.tile[0], x : x + layout.tile[1]]
            caption = name
            if i == 0:
                cv2.resize(frame, layout.tile[::-1], dst=tile, interpolation=cv2.INTER_AREA)
            elif i == len(names) - 1:
                renderer.colours.map(renderer.levels(result.saliency, peak), tile)
            elif name in added:
                renderer.colours.map(renderer.levels(added[name], brightest), tile)
                caption = f"{name} {shares[name]:.0%}"
            else:
                tile[...] = renderer.colours.ramp[0, 0]
                caption = f"{name} -"
            text(out, caption, x, y - 7)

    def _renderer_for(self, target: tuple[int, int]) -> Renderer:
        """The renderer for maps of the model's present size on pictures of this one."""
        key = target, self._stream.model.shape
        if self._renderer is None or self._renderer.key != key:
            colours = Colours(self._stream.channel_order, target[1], grey=self._grey)
            self._renderer = Renderer(*key, self._config, colours)
        return self._renderer


class _Layout:
    """Where things lie in pictures of one kind. `tile` is the size at which maps are drawn."""

    def __init__(self, kind: str, frame: tuple[int, int], channels: list[str]) -> None:
        self.frame, self.channels = frame, channels
        self.size = self.tile = frame
        height, width = frame
        if kind == "side-by-side":
            self.size = height, 2 * width
        elif kind == "channels":
            count = len(channels) + 2
            columns = min(count, COLUMNS)
            tile = min(max(width // 2, NARROWEST), WIDEST)
            self.tile = max(round(height * tile / width), 1), tile
            down, across = self.tile[0] + TILE_CAPTION + TILE_GAP, tile + TILE_GAP
            top = TILE_CAPTION + TILE_GAP // 2
            self.boxes = [
                (i // columns * down + top, i % columns * across + TILE_GAP) for i in range(count)
            ]
            rows = -(-count // columns)
            size = rows * down + TILE_GAP // 2, columns * across + TILE_GAP
            self.size = size[0] + size[0] % 2, size[1] + size[1] % 2  # codecs want even sides


def _scaled(mark: Any, scale: float) -> Any:
    """A fixation or a region in a picture of another size than the frame's."""
    y, x = mark.y * scale, mark.x * scale
    if isinstance(mark, Fixation):
        return replace(mark, y=y, x=x, radius=mark.radius * scale)
    height, width = (max(round(n * scale), 1) for n in (mark.height, mark.width))
    focus = mark.focus[0] * scale, mark.focus[1] * scale
    return replace(mark, y=round(y), x=round(x), height=height, width=width, focus=focus)
