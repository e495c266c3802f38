"""Scores of the map against a density of fixations, pixel by pixel."""

from __future__ import annotations

import numpy as np

from .prepared import MapLike, PreparedMap, prepare

EPSILON = 2.0**-52  # of `kl`, as in the MIT code


def cc(saliency: MapLike, density: MapLike) -> float:
    """Pearson's correlation of map and density, over pixels.

    The covariance over the product of the deviations. An increasing affine transform of either
    changes nothing.

    Parameters
    ----------
    saliency, density : array_like of shape (H, W), or PreparedMap
        The density as `empirical_density` makes it.

    Returns
    -------
    float
        -1 to 1; 0 where either is constant.

    Raises
    ------
    ValueError
        Shapes differ, a value is not finite, or the density is zero everywhere.

    Notes
    -----
    Bylinskii, Judd, Oliva, Torralba & Durand, "What do different evaluation metrics tell us about
    saliency models?", IEEE TPAMI 41(3), 2019.

    Examples
    --------
    >>> round(cc([[0, 1], [2, 3]], [[1, 3], [5, 7]]), 12)
    1.0
    """
    a, b = _pair(saliency, density)
    if a.constant or b.constant:
        return 0.0
    products = np.sum(a.centred * b.centred)  # not vdot: BLAS has threads of its own
    return float(products / a.values.size / a.deviation / b.deviation)


def sim(saliency: MapLike, density: MapLike) -> float:
    """Similarity, the histogram intersection: the probability that map and density share.

    The sum over pixels of min(p, q), p and q being map and density, each minus its lowest value,
    over their sums. An increasing affine transform of either changes nothing.

    Parameters
    ----------
    saliency, density : array_like of shape (H, W), or PreparedMap
        A constant map counts as uniform.

    Returns
    -------
    float
        0 to 1; 1 where they are equal.

    Raises
    ------
    ValueError
        Shapes differ, a value is not finite, or the density is zero everywhere.

    Notes
    -----
    Bylinskii et al. 2019 (see `cc`), and Judd, Durand & Torralba, "A benchmark of computational
    models of saliency to predict human fixations", MIT-CSAIL-TR-2012-001. That the lowest value is
    subtracted first is the MIT saliency benchmark's definition (similarity): a map's offset would
    count otherwise.

    Examples
    --------
    >>> sim([[1, 1, 2, 0]], [[2, 1, 1, 0]])
    0.75
    """
    a, b = _pair(saliency, density)
    return float(np.minimum(a.distribution_above_minimum, b.distribution_above_minimum).sum())


def kl(saliency: MapLike, density: MapLike) -> float:
    """Kullback-Leibler divergence of the map from the density, in nats: lower is better.

    The sum over pixels of q ln(e + q / (e + p)), p and q being map and density over their sums,
    e = 2^-52. Where the map is 0 and the density is not, the score is large, and it is e that
    says how large.

    Parameters
    ----------
    saliency, density : array_like of shape (H, W), or PreparedMap
        Not negative. A map of zeros counts as uniform.

    Returns
    -------
    float
        About 0 where they are equal.

    Raises
    ------
    ValueError
        Shapes differ, or a value is negative or not finite; an all-zero density.

    Notes
    -----
    Bylinskii et al. 2019 (see `cc`), eq. 6, with the MIT code's e.

    Examples
    --------
    >>> round(kl([[1, 1]], [[3, 1]]), 6)  # .75 ln 1.5 + .25 ln .5
    0.130812
    """
    a, b = _pair(saliency, density)
    p, q = a.distribution, b.distribution
    ratio = q / (p + EPSILON)
    ratio += EPSILON
    return float(np.sum(np.multiply(q, np.log(ratio, out=ratio), out=ratio)))


def _pair(saliency: MapLike, density: MapLike) -> tuple[PreparedMap, PreparedMap]:
    a, b = prepare(saliency), prepare(density)
    if a.shape != b.shape:
        raise ValueError(f"the map has shape {a.shape}, the density {b.shape}; resize the map")
    if b.minimum == b.maximum == 0:
        raise ValueError("the density is zero everywhere; there is nothing to compare with")
    return a, b
