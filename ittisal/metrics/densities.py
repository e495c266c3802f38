"""Densities of fixations, and densities made of maps. See `ittisal.metrics` for the conventions."""

from __future__ import annotations

import math

import numpy as np

from .prepared import MapLike, pixels_of, prepare


def empirical_density(
    x: np.ndarray, y: np.ndarray, shape: tuple[int, int], sigma_px: float
) -> np.ndarray:
    """The fixation density: the histogram of fixations over pixels, blurred by a Gaussian.

    `cc`, `sim` and `kl` compare maps with it (Bylinskii 2019). The Gaussian is not truncated; what
    falls outside the image is lost, and the rest scaled to a sum of 1.

    `shape` is (H, W) of the image; `sigma_px` is the standard deviation in pixels, above 0: by
    custom about one degree of visual angle. The result is float64 of shape (H, W), not negative,
    and sums to 1.

    Examples
    --------
    >>> empirical_density([1.5, 1], [0.2, 0], (1, 3), sigma_px=1).round(2)
    array([[0.27, 0.45, 0.27]])
    """
    density = fixation_map(x, y, shape, sigma_px)
    return density / density.sum()


def fixation_map(
    x: np.ndarray, y: np.ndarray, shape: tuple[int, int], sigma_px: float
) -> np.ndarray:
    """The sum of a Gaussian of height 1 at each fixation: `empirical_density` before its division.

    The fixation map of several observers is the sum of theirs. Parameters as of
    `empirical_density`; float64 of shape (H, W).

    Examples
    --------
    >>> fixation_map([1.5, 1], [0.2, 0], (1, 3), sigma_px=1).round(2)
    array([[1.21, 2.  , 1.21]])
    """
    _check_sigma(sigma_px)
    columns, rows = pixels_of(x, y, shape)
    # The Gaussian is separable, so rows and columns without a fixation need no work.
    columns, column = np.unique(columns, return_inverse=True)
    rows, row = np.unique(rows, return_inverse=True)
    histogram = np.zeros((len(rows), len(columns)))
    np.add.at(histogram, (row, column), 1)
    # einsum rather than matrix products: BLAS would start threads for each of the caller's threads,
    # which then wait for each other.
    across = np.einsum("rc,cx->rx", histogram, _gaussian(shape[1], columns, sigma_px))
    return np.einsum("ry,rx->yx", _gaussian(shape[0], rows, sigma_px), across)


def blurred(values: np.ndarray, sigma_px: float) -> np.ndarray:
    """A float64 map of shape (H, W) under the Gaussian of `fixation_map`, of height 1."""
    _check_sigma(sigma_px)
    down, across = (_gaussian(size, np.arange(size), sigma_px) for size in values.shape)
    return down @ values @ across


def log_density(saliency: MapLike, *, uniform: float = 0.01) -> np.ndarray:
    """A map taken for a density: ln((1 - uniform) s / sum(s) + uniform / (H W)).

    The uniform part leaves no fixation impossible. This makes `information_gain` computable for any
    map, but fair only to maps that mean a probability; the read-out (`ittisal.readout`) fits one
    instead.

    `saliency` is not negative, and a map of zeros counts as uniform; `uniform`, in (0, 1], is the
    weight of the uniform density. The result are natural logarithms, float64 of shape (H, W);
    |logsumexp| is below 1e-12.

    Examples
    --------
    >>> import numpy as np
    >>> np.exp(log_density([[0, 1]], uniform=0.5))
    array([[0.25, 0.75]])
    """
    if not 0 < uniform <= 1:
        raise ValueError(f"uniform={uniform} must be above 0 and at most 1")
    prepared = prepare(saliency)
    return np.log((1 - uniform) * prepared.distribution + uniform / prepared.values.size)


def _check_sigma(sigma_px: float) -> None:
    if not 0 < sigma_px < math.inf:
        raise ValueError(f"sigma_px={sigma_px} must be above 0 and finite")


def _gaussian(size: int, centres: np.ndarray, sigma: float) -> np.ndarray:
    """Heights at pixels 0 to size - 1 of Gaussians at `centres`, one per row."""
    distances = (np.arange(size) - centres[:, None]) / sigma
    return np.exp(-0.5 * distances**2)
