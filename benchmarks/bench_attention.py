"""What it takes to say where to look, from a frame's map: against one `cv2.pyrDown`, one thread."""

from __future__ import annotations

import time

import cv2
import numpy as np

import ittisal

from .frames import photograph
from .fresh import make_model
from .settings import one_size, settings, shape_of


class _Loop:
    """The map of a frame, and one `cv2.pyrDown` of the frame in the loop."""

    param_names = ("size",)
    params = (one_size("1920x1080"),)

    def setup(self, size: str) -> None:
        """Make frame, map, and what pyrDown writes to."""
        cv2.setNumThreads(1)
        self.frame = photograph(size)
        self.half = cv2.pyrDown(self.frame)
        with make_model(size, 1) as model:
            self.saliency = np.array(model(self.frame))
        self.options = {"shape": shape_of(size), "config": ittisal.preset(settings.preset)}

    def time_pyrdown(self, *params: object) -> None:
        """One `cv2.pyrDown` of the BGR uint8 frame, the output array given."""
        cv2.pyrDown(self.frame, dst=self.half)


class Scanpath(_Loop):
    """Twenty fixations from the map of a frame, by the maximum of what is left."""

    ratios = (
        ("in pyrDowns", "time_disc", "time_pyrdown"),
        ("gauss, in pyrDowns", "time_gauss", "time_pyrdown"),
    )

    def setup(self, size: str) -> None:
        """Check that there are as many, with a small disc."""
        super().setup(size)
        self.options |= {"n": 20, "radius": min(shape_of(size)) / 12}
        if (count := len(ittisal.scanpath(self.saliency, **self.options))) < 20:
            raise NotImplementedError(f"the map has {count} fixations, not 20")

    def time_disc(self, *params: object) -> None:
        """With discs of inhibition."""
        ittisal.scanpath(self.saliency, **self.options)

    def time_gauss(self, *params: object) -> None:
        """With Gaussians."""
        ittisal.scanpath(self.saliency, inhibition="gauss", **self.options)


class Network(_Loop):
    """The winner-take-all network of a frame's map, against real time."""

    def setup(self, size: str) -> None:
        """Scale the map as scanpaths do, and check that there is something to find."""
        super().setup(size)
        self.saliency = self.saliency * (8 / self.saliency.max())
        if (count := len(self._winners("gauss"))) < 20:
            raise NotImplementedError(f"the network has {count} winners in 2 s, not 20")

    def track_times_real_time(self, *params: object) -> float:
        """Seconds simulated per second, the slower kind's best of 30 times two seconds."""
        return min(max(self._speed(kind) for _ in range(30)) for kind in ("gauss", "disc"))

    def _winners(self, kind: str) -> list:
        return ittisal.WinnerTakeAll(self.saliency.shape, kind).step(self.saliency, 2.0)

    def _speed(self, kind: str) -> float:
        start = time.perf_counter()
        self._winners(kind)
        return 2.0 / (time.perf_counter() - start)


class Regions(_Loop):
    """Ten boxes from the map of a frame, in three ways.

    `budget` fills a fifth of the frame, whatever stands out; `tiles` are of 320 pixels, or half of
    a smaller frame.
    """

    ratios = (
        ("in pyrDowns", "time_regions", "time_pyrdown"),
        ("budget, in pyrDowns", "time_budget", "time_pyrdown"),
        ("tiles, in pyrDowns", "time_tiles", "time_pyrdown"),
    )

    def setup(self, size: str) -> None:
        """Check the boxes."""
        super().setup(size)
        self.options["min_confidence"] = 0
        self.side = min(320, min(shape_of(size)) // 2)
        for boxes in (self.time_regions(), self.time_budget(), self.time_tiles()):
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

    def track_boxes(self, *params: object) -> float:
        """How many boxes there are."""
        return len(self.time_regions())


class Crop(_Loop):
    """A crop of a frame by its map, of three kinds."""

    ratios = (
        ("in pyrDowns", "time_largest", "time_pyrdown"),
        ("a part in pyrDowns", "time_part", "time_pyrdown"),
    )

    def time_largest(self, *params: object) -> None:
        """The square that keeps the most, as high as the frame."""
        ittisal.crop(self.saliency, aspect=1, **self.options)

    def time_part(self, *params: object) -> None:
        """One of half the height, which can move both ways."""
        ittisal.crop(self.saliency, aspect=1, zoom=2, **self.options)

    def time_thirds(self, *params: object) -> None:
        """The square with the highest sample on a third."""
        ittisal.crop(self.saliency, aspect=1, placement="thirds", **self.options)
