"""Gabor filters by numbers: what makes them separable, and of zero mean and unit norm."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

REACH = 4  # samples from the centre
_AT = np.arange(-REACH, REACH + 1)


class Gabor(NamedTuple):
    """Filters of 9x9 of zero mean and unit norm, under an envelope alike in all directions."""

    period: float  # samples
    deviation: float  # of the Gaussian envelope

    @property
    def wavenumber(self) -> float:
        """Radians per sample."""
        return 2 * np.pi / self.period

    @property
    def envelope(self) -> np.ndarray:
        """The nine taps of the Gaussian, along either axis."""
        return np.exp(-((_AT / self.deviation) ** 2) / 2)

    def measures(self) -> tuple[tuple[float, float, float], ...]:
        """Of the axial filters, then of the diagonal ones: the mean that is taken from the even
        one, and the factors that make its norm 1, and the odd one's.
        """
        window = np.outer(self.envelope, self.envelope)
        found = list[tuple[float, float, float]]()
        for place in (_AT[:, None], np.subtract.outer(_AT, _AT) * np.sqrt(0.5)):
            even, odd = (window * wave(self.wavenumber * place) for wave in (np.cos, np.sin))
            mean = float(even.mean())
            norms = np.linalg.norm(even - mean), np.linalg.norm(odd)
            found.append((mean, float(1 / norms[0]), float(1 / norms[1])))
        return tuple(found)
