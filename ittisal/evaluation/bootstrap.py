"""How sure a mean over images is: what it might have been with other images like these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
SEED = 0
LEVEL = 95  # percent


@dataclass(frozen=True)
class Estimate:
    """A mean over images with its 95 % interval.

    Examples
    --------
    >>> f"{Estimate(0.5, 0.25, 0.75):.2f}"
    '0.50 [0.25 0.75]'
    """

    mean: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}} [{self.low:{spec}} {self.high:{spec}}]"


class Bootstrap:
    """Percentile bootstrap over images.

    The images are drawn anew, with replacement, as many as there are, 2000 times (fixed seed);
    the interval holds the middle 95 % of the means. All columns see the same draws, so that the
    difference of two is of the same images: a paired comparison.

    Parameters
    ----------
    values : ndarray of shape (N, K)
        K scores of each of N images, all finite.

    Notes
    -----
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.

    Examples
    --------
    >>> import numpy as np
    >>> bootstrap = Bootstrap(np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]))
    >>> f"{bootstrap.mean(0):.2f}", f"{bootstrap.difference(1, 0):.2f}"
    ('2.00 [1.00 3.00]', '1.00 [1.00 1.00]')
    """

    def __init__(self, values: np.ndarray) -> None:
        count = len(values)
        rng = np.random.default_rng(SEED)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        self._means = values.mean(axis=0)
        self._resampled = drawn @ values / count  # (RESAMPLES, K)

    def mean(self, column: int) -> Estimate:
        """The mean of one column."""
        return self._estimate(self._means[column], self._resampled[:, column])

    def difference(self, one: int, other: int) -> Estimate:
        """The mean of one column less that of another, over the same images."""
        return self._estimate(
            self._means[one] - self._means[other],
            self._resampled[:, one] - self._resampled[:, other],
        )

    @staticmethod
    def _estimate(mean: float, resampled: np.ndarray) -> Estimate:
        tail = (100 - LEVEL) / 2
        low, high = np.percentile(resampled, [tail, 100 - tail])
        return Estimate(float(mean), float(low), float(high))
