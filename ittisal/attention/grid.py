"""A saliency map on the model's grid: where its samples lie, and which maxima stand out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..config import Config
from .view import View, view

THRESHOLD = 0.6  # of the map's maximum: the box of a lone square is then the square
FIGURE_THRESHOLD = 0.2  # the same with `figure`, which is highest in a square's corners
MIN_CONFIDENCE = 0.42  # above it are 99 % of OSIE's photographs with `gaze`, below it textures
WINDOW = 0.25  # of the map's shorter side: how far a place is from its background's maxima
QUANTILE = 0.25  # of all places, whose maxima make the background
BORDER = 2  # samples along the border whose filters see past the image; fewer in small maps


@dataclass(frozen=True)
class Grid:
    """A raw map over its frame."""

    view: View

    @classmethod
    def of(cls, source: Any, shape: Any, config: Config | None) -> Grid:
        """The map that `view` finds; one of the frame's own size as means over the pixels
        nearest to each sample of the raw map. TypeError and ValueError as `view`.
        """
        seen = view(source, shape, config)
        if not seen.full_size:
            return cls(seen)
        grid = seen._replace(seen=seen.shape).sampling
        starts = [grid.starts(axis) for axis in (0, 1)]
        sums = np.add.reduceat(np.add.reduceat(seen.saliency, starts[1], 1), starts[0], 0)
        sizes = [
            np.maximum(np.diff(first, append=n), 1)  # where samples outnumber pixels, one of these
            for first, n in zip(starts, seen.shape, strict=True)
        ]
        means = sums / np.outer(*sizes)
        return cls(seen._replace(saliency=means, seen=seen.shape))

    @property
    def saliency(self) -> np.ndarray:
        """(h, w) float64."""
        return self.view.saliency

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        return self.view.shape

    @property
    def threshold(self) -> float:
        """What belongs to a region, as a share of the map's maximum."""
        return FIGURE_THRESHOLD if self.view.config.figure else THRESHOLD

    @cached_property
    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """As of `View.edges`."""
        return self.view.edges()

    @cached_property
    def confidence(self) -> np.ndarray:
        """At each local maximum 1 - b / p, or 1 - sqrt(b / p) with `figure`; else 0.

        p is the maximum. b is the background: the value that a window of a quarter of the map's
        shorter side reaches in three quarters of all places. Maxima at the border are none.
        """
        import cv2

        highest = self.saliency.max()
        saliency = (self.saliency / (highest if highest > 0 else 1)).astype(np.float32)
        inner = tuple(slice(b, n - b) for n in saliency.shape for b in (min(BORDER, n // 8),))
        side = max(3, round(WINDOW * min(saliency.shape))) | 1
        reached = cv2.dilate(saliency[inner], np.ones((side, side), np.uint8)).ravel()
        place = int(QUANTILE * (reached.size - 1))
        background = np.partition(reached, place)[place]
        maxima = (saliency == cv2.dilate(saliency, np.ones((3, 3), np.uint8)))[inner]
        maxima &= saliency[inner] > background
        ratio = background / saliency[inner][maxima]
        result = np.zeros(saliency.shape)
        result[inner][maxima] = 1 - (np.sqrt(ratio) if self.view.config.figure else ratio)
        return result
