"""How near one map is to another. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
