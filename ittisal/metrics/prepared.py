"""Checked maps and fixations, and the statistics of a map that several scores share."""

from __future__ import annotations

from functools import cached_property

import numpy as np

LARGEST_EXPONENT = 400  # of two: squares in float64, and sums of them, end at about 1000


class PreparedMap:
    """A checked map, as `prepare` makes it, which every score takes in place of the array.

    Its statistics are computed once. The array must not be changed afterwards. `values`, of shape
    (H, W), are finite. Types that float32 holds exactly become float32, others float64. Values
    beyond 2^400, and maps below 2^-400, are scaled by a power of two, which changes no score.

    Examples
    --------
    >>> from ittisal.metrics import auc, nss, prepare
    >>> saliency = prepare([[0, 0], [0, 1]])
    >>> auc(saliency, [1], [1]), round(nss(saliency, [1], [1]), 3)
    (0.875, 1.732)
    """

    values: np.ndarray

    def __init__(self, saliency: np.ndarray) -> None:
        values = np.asarray(saliency)
        if values.dtype.kind not in "biuf":
            raise TypeError(f"a map of {values.dtype} has no order; give real numbers")
        if values.ndim != 2 or values.size == 0:
            raise ValueError(f"a map has two dimensions and a pixel; this has shape {values.shape}")
        exact = np.can_cast(values.dtype, np.float32)
        self.values = np.ascontiguousarray(values, np.float32 if exact else np.float64)
        if not np.isfinite(self.values).all():
            y, x = np.argwhere(~np.isfinite(self.values))[0]
            raise ValueError(
                f"the map is {self.values[y, x]} at x={x}, y={y}; maps must be finite everywhere"
            )
        # Squares and differences of such values would leave the range of numbers.
        exponent = int(np.frexp(np.abs(self.values).max())[1])
        if abs(exponent) > LARGEST_EXPONENT:
            self.values = np.ldexp(self.values, -exponent)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.values.shape
        return height, width

    @cached_property
    def minimum(self) -> float:
        """The lowest value."""
        return float(self.values.min())

    @cached_property
    def maximum(self) -> float:
        """The highest value."""
        return float(self.values.max())

    @property
    def constant(self) -> bool:
        """Whether all pixels are equal."""
        return self.minimum == self.maximum

    @cached_property
    def mean(self) -> float:
        """Mean of all values, summed in float64."""
        return float(self.values.mean(dtype=np.float64))

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of all values (of the population), in float64."""
        return float(self.values.std(dtype=np.float64))

    @cached_property
    def centred(self) -> np.ndarray:
        """The values minus their mean: float64 of shape (H, W)."""
        return np.subtract(self.values, self.mean, dtype=np.float64)

    @cached_property
    def distribution(self) -> np.ndarray:
        """The values over their sum: float64 of shape (H, W). Uniform where all are zero.

        Raises ValueError if a value is negative.
        """
        if self.minimum < 0:
            raise ValueError(
                f"the map is {self.minimum:g} somewhere; probabilities are not negative. Subtract "
                "the minimum, or give exp of a log density"
            )
        return _distribution(np.asarray(self.values, np.float64))

    @cached_property
    def distribution_above_minimum(self) -> np.ndarray:
        """The same of the values minus the lowest: uniform where all are equal."""
        return _distribution(np.subtract(self.values, self.minimum, dtype=np.float64))

    def pixels(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Indices of fixations into the flattened map: intp of shape (F,)."""
        columns, rows = pixels_of(x, y, self.shape)
        return rows * self.shape[1] + columns

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The map's values at fixations, in their order: shape (F,)."""
        return self.values.ravel()[self.pixels(x, y)]


MapLike = np.ndarray | PreparedMap


def prepare(saliency: MapLike) -> PreparedMap:
    """Check a map once for several scores; a PreparedMap is returned as it is.

    Raises TypeError and ValueError as the scores do: see `ittisal.metrics`.

    Examples
    --------
    >>> import numpy as np
    >>> prepare(np.eye(2, dtype=np.uint8)).values.dtype
    dtype('float32')
    """
    return saliency if isinstance(saliency, PreparedMap) else PreparedMap(saliency)


def pixels_of(
    x: np.ndarray, y: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of fixations on a map of `shape`: intp of shape (F,) each.

    Raises TypeError and ValueError as the scores do: see `ittisal.metrics`.
    """
    x, y = np.asarray(x), np.asarray(y)
    if any(array.size and array.dtype.kind not in "iuf" for array in (x, y)):
        raise TypeError(f"fixations are real numbers; x is of type {x.dtype}, y {y.dtype}")
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"fixations are two 1-D arrays of one length; x has shape {x.shape}, y {y.shape}"
        )
    if len(x) == 0:
        raise ValueError("no fixations: there is nothing to score; leave this image out")
    height, width = shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not inside.all():
        i = int(np.argmin(inside))
        raise ValueError(
            f"fixation {i} at x={x[i]:g}, y={y[i]:g} lies outside the map of {width}x{height} "
            f"pixels ({np.count_nonzero(~inside)} of {len(x)} do); drop these, or scale them to "
            "the map's size"
        )
    return x.astype(np.intp), y.astype(np.intp)


def _distribution(values: np.ndarray) -> np.ndarray:
    """Values that are not negative over their sum; uniform where all are zero."""
    highest = values.max()
    if highest == 0:
        return np.full(values.shape, 1 / values.size)
    # By the highest first, so that no sum overflows and no tiny map vanishes.
    scaled = values / highest
    return scaled / scaled.sum()
