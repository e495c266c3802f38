"""A saliency map as attention sees it: checked, and with its place over the frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..config import ITTI_1998, MAP_LEVEL, MOST_SHIFT, Config, Phase
from ..frames import as_shape
from ..maps import to_frame, to_map
from ..sampling import Sampling, sampling
from . import checks


class View(NamedTuple):
    """A saliency map over its frame."""

    saliency: np.ndarray  # (h, w) float64, finite, not negative
    shape: tuple[int, int]  # (height, width) of the frame
    seen: tuple[int, int]  # the same of what the model saw, where the frame was shrunk for it
    config: Config
    trace: Callable[[], Mapping[str, np.ndarray]] | None = None  # every intermediate, if there are

    @property
    def full_size(self) -> bool:
        """Whether the map has a sample per pixel of the frame."""
        return self.saliency.shape == self.shape

    @property
    def sample_size(self) -> np.ndarray:
        """(height, width) of a sample of the map, in pixels of the frame."""
        if self.full_size:
            return np.ones(2)
        return np.multiply(self.sampling.step, np.divide(self.shape, self.seen))

    @property
    def sampling(self) -> Sampling:
        """Where the samples of a raw map lie over what the model saw."""
        return sampling(self.seen, self.config)

    def intermediates(self) -> Mapping[str, np.ndarray]:
        """What made the map, by the names of `reference.trace`; ValueError where it is unknown."""
        if self.trace is None:
            raise ValueError(
                "a map alone does not say what made it; give `model.trace(frame)`, or a result of "
                "`ittisal.stream`"
            )
        return self.trace()

    def attention_radius(self, radius: float | None = None) -> float:
        """The radius of attention in pixels of the frame.

        By default a sixth of the shorter side (P98), or a twelfth (iNVT) where the model samples as
        iNVT does. ValueError unless it is above 0.
        """
        if radius is None:
            return min(self.shape) / (12 if self.config.phase is Phase.EVEN else 6)
        return checks.within("radius", radius, 0, np.inf, above=True)

    def disc(self, row: int, column: int, radius: float) -> np.ndarray:
        """The mask of samples at most `radius` pixels from one, bool of the map's shape."""
        y, x = (
            (np.arange(n) - at) * size
            for n, at, size in zip(
                self.saliency.shape, (row, column), self.sample_size, strict=True
            )
        )
        return np.asarray(np.hypot.outer(y, x) <= radius)

    def nearest_sample(self, place: Any) -> tuple[int, int]:
        """(row, column) of the sample nearest to (y, x); ValueError if that is not in the frame.

        TypeError where it is no pair of numbers.
        """
        try:
            y, x = map(float, place)
        except (TypeError, ValueError):
            raise TypeError(f"place {place!r} is not (y, x) in pixels of the frame") from None
        height, width = self.shape
        if not (-0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5):  # NaN too
            raise ValueError(
                f"place ({y:g}, {x:g}) is outside the frame of {height} rows and {width} columns; "
                "give (y, x) in its pixels"
            )
        limits = np.subtract(self.saliency.shape, 1)
        row, column = np.clip(np.rint(self.to_map((y, x))), 0, limits).astype(int)
        return int(row), int(column)

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Where samples begin and end, in pixels: (h + 1,) down and (w + 1,) across.

        Sample i covers the pixels from edge i up to edge i + 1, which are nearer to it than to
        others. The outer ones reach the frame's borders.
        """
        count = max(self.saliency.shape) + 1
        corners = self.to_frame(np.arange(count)[:, None] - [0.5, 0.5]) + 0.5
        down, across = (corners[: n + 1, i].copy() for i, n in enumerate(self.saliency.shape))
        for edges, side in zip((down, across), self.shape, strict=True):
            edges[[0, -1]] = 0, side
        return down, across

    def box_around(self, mask: np.ndarray) -> tuple[int, int, int, int]:
        """y, x, height and width of the smallest box of pixels around the samples of a mask."""
        (y, bottom), (x, right) = (
            np.rint(edges[[inside[0], inside[-1] + 1]]).astype(int).tolist()
            for edges, axis in zip(self.edges(), (1, 0), strict=True)
            for inside in (np.flatnonzero(mask.any(axis)),)
        )
        return y, x, bottom - y, right - x

    def coverage(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """The share of each sample that lies in a box of pixels (y, x, height, width), 0 to 1.

        ValueError where the box is empty or reaches out of the frame.
        """
        y, x, height, width = box
        bottom, right = y + height, x + width
        inside = 0 <= y < bottom <= self.shape[0] and 0 <= x < right <= self.shape[1]
        if not inside:
            raise ValueError(
                f"box ({y:g}, {x:g}, {height:g}, {width:g}), as (y, x, height, width), is not in "
                f"the frame of {self.shape[0]} rows and {self.shape[1]} columns"
            )
        shares = []
        for edges, start, end in zip(self.edges(), (y, x), (bottom, right), strict=True):
            low, high = edges[:-1], edges[1:]
            overlap = np.minimum(high, end) - np.maximum(low, start)
            shares.append(np.maximum(overlap, 0) / (high - low))
        return np.outer(*shares)

    def to_frame(self, samples: Any) -> np.ndarray:
        """(y, x) in pixels of the frame of (row, column) in samples; see `maps.to_frame`."""
        if self.full_size:
            return np.asarray(samples, float)
        return to_frame(samples, self.shape, self.config, seen=self.seen)

    def to_map(self, pixels: Any) -> np.ndarray:
        """(row, column) in samples of (y, x) in pixels of the frame."""
        if self.full_size:
            return np.asarray(pixels, float)
        return to_map(pixels, self.shape, self.config, seen=self.seen)


def view(source: Any, shape: Any = None, config: Config | None = None) -> View:
    """The view of a map, of a trace, or of a stream's result; a view stays what it is.

    Parameters
    ----------
    source : array of shape (h, w), mapping, Result or View
        A map as `Saliency` gives it, or one of the frame's own size; what `Saliency.trace` gives;
        or a result of `ittisal.stream`.
    shape : (int, int), optional
        (height, width) of the frame; a result knows its own. By default the map's, times 16;
        needed where the config's `working_size` gives frames of several sizes such a map.
    config : Config, optional
        The reading of the model that made the map (`itti1998`); a result knows its own.

    Raises
    ------
    TypeError
        Not a map of real numbers; a shape or a config that is none.
    ValueError
        The map is empty, has another size than belongs to `shape`, or holds NaN, infinite or
        negative values; or a mapping without one. The shape is left out where it is needed.
    """
    if isinstance(source, View) or hasattr(source, "as_view"):  # a stream's result
        if shape is not None or config is not None:
            raise TypeError("a stream's result knows its shape and config; leave both out")
        return source if isinstance(source, View) else source.as_view()
    traced = isinstance(source, Mapping)
    if traced and "saliency" not in source:
        raise ValueError(
            f"a mapping of {', '.join(map(str, source)) or 'nothing'} has no saliency; give what "
            "`model.trace(frame)` returns"
        )
    if not isinstance(config, Config | None):
        raise TypeError(f"config is a {type(config).__name__}; give an ittisal.Config")
    saliency = checks.saliency(source["saliency"] if traced else source)
    trace = (lambda: source) if traced else None
    if shape is None:
        height, width = saliency.shape
        if config is not None and any(
            config.octave_shift((height << (MAP_LEVEL - k), width << (MAP_LEVEL - k))) == k
            for k in range(1, MOST_SHIFT + 1)
        ):
            raise ValueError(
                f"with working_size={config.working_size} frames of several sizes have maps of "
                f"shape {saliency.shape}; give the frame's shape"
            )
        shape = height << MAP_LEVEL, width << MAP_LEVEL
    height, width = shape = as_shape(shape)
    seen = View(saliency, shape, shape, ITTI_1998 if config is None else config, trace)
    if min(shape) < 1 or saliency.shape not in (shape, seen.sampling.map_shape):
        raise ValueError(
            f"map has shape {saliency.shape}; one of a {width}x{height} frame has "
            f"{seen.sampling.map_shape} or {shape}. Give the frame's shape, and the config that "
            "made the map"
        )
    return seen
