"""Whether what is timed is right: the float64 `reference` is the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .frames import photograph
from .fresh import make_model

MIN_CORRELATION = 0.9999


@lru_cache(maxsize=32)
def reference_map(size: str) -> np.ndarray:
    """The reference's raw map of the frame that is timed."""
    with make_model(size, backend="reference") as model:
        return model(photograph(size))


@dataclass(frozen=True)
class Agreement:
    """How near a map is to the reference's."""

    difference: float  # largest, as a fraction of the reference's maximum
    r: float  # Pearson's


def agreement(answer: np.ndarray, truth: np.ndarray) -> Agreement:
    """Compare two maps."""
    a, b = np.float64(answer), np.float64(truth)
    worst = np.abs(a - b).max()
    if worst == 0:
        return Agreement(0.0, 1.0)
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return Agreement(
        float(worst / max(np.abs(truth).max(), np.finfo(float).tiny)),
        float((a * b).sum() / norm) if norm else 0.0,
    )


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
