"""What it takes to say where to look, from a frame's map: against one `cv2.pyrDown`."""

from __future__ import annotations

import cv2

import ittisal

from .frames import photograph
from .fresh import make_model
from .settings import one_size, settings, shape_of


class Regions:
    """Ten boxes from the map of a frame. In the loop: three ways, and one `cv2.pyrDown`.

    `budget` fills a fifth of the frame, whatever stands out; `tiles` are of 320 pixels, or half of
    a smaller frame.
    """

    param_names = ("size",)
    params = (one_size("1920x1080"),)
    ratios = (
        ("in pyrDowns", "time_regions", "time_pyrdown"),
        ("budget, in pyrDowns", "time_budget", "time_pyrdown"),
        ("tiles, in pyrDowns", "time_tiles", "time_pyrdown"),
    )

    def setup(self, size: str) -> None:
        """Make frame, map, and what pyrDown writes to; check the boxes."""
        cv2.setNumThreads(1)
        frame = photograph(size)
        self.frame, self.half = frame, cv2.pyrDown(frame)
        with make_model(size, 1) as model:
            self.saliency = model(frame)
        self.options = {
            "shape": shape_of(size),
            "config": ittisal.preset(settings.preset),
            "min_confidence": 0,
        }
        self.side = min(320, min(shape_of(size)) // 2)
        for boxes in (self.time_regions(size), self.time_budget(size), self.time_tiles(size)):
            if not 1 <= len(boxes) <= 10:
                raise RuntimeError(f"{len(boxes)} boxes")

    def time_regions(self, *params: object) -> list[ittisal.Region]:
        """Ten boxes, whatever their confidence."""
        return ittisal.regions(self.saliency, **self.options)

    def time_budget(self, *params: object) -> list[ittisal.Region]:
        """Ten boxes that fill a fifth of the frame."""
        return ittisal.regions(self.saliency, threshold=0, **self.options)

    def time_tiles(self, *params: object) -> list[ittisal.Region]:
        """Ten tiles, or as many as fit."""
        return ittisal.tiles(self.saliency, self.side, 10, budget=0.6, **self.options)

    def time_pyrdown(self, *params: object) -> None:
        """One `cv2.pyrDown` of the BGR uint8 frame, the output array given."""
        cv2.pyrDown(self.frame, dst=self.half)

    def track_boxes(self, *params: object) -> float:
        """How many boxes there are."""
        return len(self.time_regions())
