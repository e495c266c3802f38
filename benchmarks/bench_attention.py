"""What is made of a frame's map: against one `cv2.pyrDown` of the frame, one thread."""

from __future__ import annotations

import cv2
import numpy as np

import ittisal

from .frames import photograph
from .fresh import make_model
from .settings import one_size, shape_of


class Crop:
    """A crop of a frame by its map. In the loop: three kinds, and one `cv2.pyrDown`."""

    param_names = ("size",)
    params = (one_size("1920x1080"),)
    ratios = (
        ("in pyrDowns", "time_largest", "time_pyrdown"),
        ("a part in pyrDowns", "time_part", "time_pyrdown"),
    )

    def setup(self, size: str) -> None:
        """Make the frame, its map, and what pyrDown writes to."""
        cv2.setNumThreads(1)
        self.frame = photograph(size)
        self.shape = shape_of(size)
        model = make_model(size, 1)
        self.saliency = np.array(model(self.frame))
        model.close()
        self.half = cv2.pyrDown(self.frame)

    def time_largest(self, size: str) -> None:
        """The square that keeps the most, as high as the frame."""
        ittisal.crop(self.saliency, aspect=1, shape=self.shape)

    def time_part(self, size: str) -> None:
        """One of half the height, which can move both ways."""
        ittisal.crop(self.saliency, aspect=1, zoom=2, shape=self.shape)

    def time_thirds(self, size: str) -> None:
        """The square with the highest sample on a third."""
        ittisal.crop(self.saliency, aspect=1, placement="thirds", shape=self.shape)

    def time_pyrdown(self, size: str) -> None:
        """One `cv2.pyrDown` of the same BGR uint8 frame, the output array given."""
        cv2.pyrDown(self.frame, dst=self.half)
