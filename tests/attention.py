"""Fast winner-take-all with a disc of inhibition (section 8.2 of the design), for the tests."""

from __future__ import annotations

import numpy as np

from ittisal.config import ITTI_1998, Phase

STEP = 16  # pixels of the frame per sample of the map
LIMIT = 200  # fixations, more than any display has places


def pixel(index, config=ITTI_1998):
    """Where map samples lie in the frame."""
    index = np.asarray(index, float)
    return (index + 0.5) * STEP - 0.5 if config.phase is Phase.CENTRED else index * STEP


def fixations(raw, shape, config=ITTI_1998):
    """Yield (y, x) in pixels: the maximum, then each next one outside the discs, if any."""
    radius = min(shape) / 12
    left = np.array(raw, float)
    y, x = (pixel(np.arange(n), config) for n in left.shape)
    for _ in range(LIMIT):
        if left.max() <= 1e-20:
            return
        i, j = np.unravel_index(left.argmax(), left.shape)  # ties: lowest row-major index
        yield y[i], x[j]
        left[np.hypot(y[:, None] - y[i], x - x[j]) <= radius] = 0


def false_shifts(raw, target, shape, config=ITTI_1998):
    """How many fixations come before the target's; `LIMIT` if it is never looked at."""
    radius = min(shape) / 12
    for count, place in enumerate(fixations(raw, shape, config)):
        if np.hypot(*np.subtract(place, target)) <= radius:
            return count
    return LIMIT
