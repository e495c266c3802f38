"""The published programs: what a frame costs, and how near they are to their references."""

from __future__ import annotations

import cv2
import numpy as np
import skimage.data

import ittisal

from .answers import agreement
from .frames import photograph
from .settings import one_size, shape_of

PROGRAMS = ("toolbox", "vocus2", "gbvs")
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")


class Programs:
    """A BGR uint8 frame on one thread; `r` correlates maps of photographs with the reference's."""

    param_names = ("size",)
    params = (one_size("1920x1080"),)
    ratios = tuple((f"{name}, in pyrDowns", f"time_{name}", "time_pyrdown") for name in PROGRAMS)

    def setup(self, size: str) -> None:
        """Make the frame and the models."""
        cv2.setNumThreads(1)
        self.frame = photograph(size)
        self.half = cv2.pyrDown(self.frame)
        options = {"threads": 1, "channel_order": "bgr", "backend": "cpu"}
        self.models = {
            name: ittisal.Saliency(shape_of(size), ittisal.preset(name), **options)
            for name in PROGRAMS
        }
        self.outs = {
            name: np.empty(model.map_shape, np.float32) for name, model in self.models.items()
        }

    def time_toolbox(self, *params: object) -> None:
        """A map by the SaliencyToolbox."""
        self._run("toolbox")

    def time_vocus2(self, *params: object) -> None:
        """A map by VOCUS2."""
        self._run("vocus2")

    def time_gbvs(self, *params: object) -> None:
        """A map by GBVS."""
        self._run("gbvs")

    def time_pyrdown(self, *params: object) -> None:
        """One `cv2.pyrDown` of the same frame, the output array given."""
        cv2.pyrDown(self.frame, dst=self.half)

    def track_r(self, *params: object) -> dict[str, float]:
        """Lowest correlation with the reference, by program."""
        found = {}
        for name in PROGRAMS:
            lowest = 1.0
            for photo in PHOTOGRAPHS:
                image = getattr(skimage.data, photo)()
                maps = [
                    ittisal.Saliency(image.shape[:2], ittisal.preset(name), backend=each)(image)
                    for each in ("cpu", "reference")
                ]
                lowest = min(lowest, agreement(*maps).r)
            found[name] = lowest
        return found

    def _run(self, name: str) -> None:
        self.models[name](self.frame, out=self.outs[name])
