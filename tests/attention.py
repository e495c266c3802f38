"""How soon attention finds a target, for the tests of behaviour."""

from __future__ import annotations

import numpy as np

import ittisal
from ittisal import maps
from ittisal.config import ITTI_1998

LIMIT = 200  # fixations, more than any display has places


def pixel(index, config=ITTI_1998, size=1024):
    """Where map samples lie in a frame so many pixels across, along one axis."""
    return maps.to_frame(np.stack([index, index], axis=-1), (size, size), config)[..., 0]


def fixations(raw, shape, config=ITTI_1998, n=LIMIT):
    """(y, x) of the attended locations, with discs of a twelfth of the shorter side (iNVT)."""
    path = ittisal.scanpath(raw, n, radius=min(shape) / 12, shape=shape, config=config)
    return [(fixation.y, fixation.x) for fixation in path]


def false_shifts(raw, target, shape, config=ITTI_1998):
    """How many fixations come before the target's; `LIMIT` if it is never looked at."""
    radius = min(shape) / 12
    for count, place in enumerate(fixations(raw, shape, config)):
        if np.hypot(*np.subtract(place, target)) <= radius:
            return count
    return LIMIT
