"""Frames that use a part of their range: what levels cost, and what maps are without them."""

from __future__ import annotations

import cv2
import numpy as np

import ittisal

from .answers import agreement
from .frames import photograph
from .settings import one_size, shape_of

BLACK = 7000
COUNTS = (500, 50, 10)  # of 65536 that a scene uses
PRESETS = ("itti1998", "invt", "whitened", "gaze")


class Levels:
    """A 16-bit grey frame of 500 counts: the model alone, with values, and with percentiles.

    `r` correlates the map without levels with that of the frame stretched to the full range.
    """

    param_names = ("size",)
    params = (one_size("640x512"),)
    ratios = (
        ("without, in pyrDowns", "time_without", "time_pyrdown"),
        ("values, in pyrDowns", "time_values", "time_pyrdown"),
        ("percentiles, in pyrDowns", "time_percentiles", "time_pyrdown"),
    )

    def setup(self, size: str) -> None:
        """Make the frame and the models."""
        cv2.setNumThreads(1)
        self.colour = photograph(size)
        self.half = cv2.pyrDown(self.colour)
        self.grey = cv2.cvtColor(self.colour, cv2.COLOR_BGR2GRAY) / 255
        self.frame = _counts(self.grey, COUNTS[0])
        self.levels = BLACK, BLACK + COUNTS[0]
        self.shape = shape_of(size)
        percentiles = ittisal.Levels(percentiles=(1, 99), seconds=0)
        options = {"without": None, "values": self.levels, "percentiles": percentiles}
        self.models = {
            name: ittisal.Saliency(self.shape, threads=1, levels=levels)
            for name, levels in options.items()
        }
        self.out = np.empty(self.models["values"].map_shape, np.float32)

    def time_without(self, *params: object) -> None:
        """A map without levels."""
        self.models["without"](self.frame, out=self.out)

    def time_values(self, *params: object) -> None:
        """With values for black and white."""
        self.models["values"](self.frame, out=self.out)

    def time_percentiles(self, *params: object) -> None:
        """With percentiles of each frame."""
        self.models["percentiles"](self.frame, out=self.out)

    def time_pyrdown(self, *params: object) -> None:
        """One `cv2.pyrDown` of a BGR uint8 frame of this size, the output array given."""
        cv2.pyrDown(self.colour, dst=self.half)

    def track_r(self, *params: object) -> dict[str, float]:
        """Correlation without levels, by preset and counts."""
        found = {}
        for name in PRESETS:
            for counts in COUNTS:
                with ittisal.Saliency(self.shape, ittisal.preset(name), threads=1) as model:
                    stretched = model(np.round(self.grey * 65535).astype(np.uint16))
                    squeezed = model(_counts(self.grey, counts))
                found[f"{name}, {counts}"] = agreement(squeezed, stretched).r
        return found


def _counts(grey: np.ndarray, counts: int) -> np.ndarray:
    """A scene in so many counts above black."""
    return np.round(BLACK + grey * counts).astype(np.uint16)
