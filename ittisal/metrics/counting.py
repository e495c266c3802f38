"""How many values lie below thresholds, without sorting them all."""

from __future__ import annotations

import numpy as np

BUCKETS = 1 << 16
SPANS = (1e-30, 1e30)  # where the arithmetic of buckets neither over- nor underflows in float32


def counts(values: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of values below each threshold, and of values not above it. Exact.

    Values are put into buckets of equal width, by arithmetic that keeps their order; only those
    in a threshold's bucket need sorting. That is several times quicker than sorting all.

    Parameters
    ----------
    values : float ndarray of shape (N,)
        Finite.
    thresholds : float ndarray of shape (T,)
        Finite, of the values' type.

    Returns
    -------
    (intp ndarray of shape (T,), intp ndarray of shape (T,))

    Examples
    --------
    >>> import numpy as np
    >>> counts(np.array([3.0, 1.0, 2.0, 2.0]), np.array([2.0, 3.0]))
    (array([1, 3]), array([3, 4]))
    """
    lowest, highest = float(values.min()), float(values.max())
    skipped: np.ndarray | int = 0
    near = values
    if SPANS[0] < highest - lowest < SPANS[1]:
        scale = (BUCKETS - 1) / (highest - lowest)
        with np.errstate(over="ignore"):  # thresholds may lie far beyond the values: clipped
            bucket, wanted = (
                np.clip((array - lowest) * scale, 0, BUCKETS - 1).astype(np.uint16)
                for array in (values, thresholds)
            )
        needed = np.zeros(BUCKETS, bool)
        needed[wanted] = True
        sizes = np.bincount(bucket, minlength=BUCKETS)
        skipped = np.cumsum(np.where(needed, 0, sizes))[wanted]
        near = values[needed[bucket]]
    near = np.sort(near)
    return (
        skipped + np.searchsorted(near, thresholds, side="left"),
        skipped + np.searchsorted(near, thresholds, side="right"),
    )
