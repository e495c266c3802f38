"""The frames: scikit-image's bundled photographs at every size, the same for all contenders."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from skimage import data

from .settings import shape_of

PHOTOGRAPHS = {
    "coffee": data.coffee,
    "astronaut": data.astronaut,
    "chelsea": data.chelsea,
    "rocket": data.rocket,
    "hubble": data.hubble_deep_field,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
}


@lru_cache(maxsize=2)
def photograph(size: str, name: str = "coffee") -> np.ndarray:
    """A BGR uint8 frame, C-contiguous and read-only: area means to shrink, bicubic to upsample."""
    image = cv2.cvtColor(PHOTOGRAPHS[name](), cv2.COLOR_RGB2BGR)
    height, width = shape_of(size)
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    frame = np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=method))
    frame.flags.writeable = False
    return frame
