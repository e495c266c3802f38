"""Whether what is timed is right: the float64 `reference` is the truth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .agreement import Agreement, agreement
from .frames import photograph
from .fresh import make_model

MIN_CORRELATION = 0.9999


@lru_cache(maxsize=32)
def reference_map(size: str) -> np.ndarray:
    """The reference's raw map of the frame that is timed."""
    with make_model(size, backend="reference") as model:
        return model(photograph(size))


def check(answer: np.ndarray, size: str) -> Agreement:
    """Refuse to time a wrong answer to the frame of this size.

    Raises
    ------
    RuntimeError
        The map correlates with the reference's by less than 0.9999.
    """
    found = agreement(answer, reference_map(size))
    if not found.r >= MIN_CORRELATION:
        raise RuntimeError(f"wrong answer at {size}: r {found.r:.6f}, off by {found.difference:g}")
    return found
