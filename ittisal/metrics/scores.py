"""Scores that use the map's values: at fixations, or against a density of fixations.

See `ittisal.metrics` for the conventions.
"""

from __future__ import annotations

import numpy as np

from .prepared import MapLike, PreparedMap, pixels_of, prepare

EPSILON = 2.0**-52  # of `kl`, as in the MIT code
LOG_SUM_LIMIT = 1e-3  # of a log density's logsumexp, as saliency.tuebingen.ai asks


def nss(saliency: MapLike, x: np.ndarray, y: np.ndarray) -> float:
    """Normalised scanpath saliency: the mean over fixations of (s - mean) / deviation.

    Mean and standard deviation (of the population) are over all pixels of the map. An increasing
    affine transform of the map changes nothing.

    Notes
    -----
    Peters, Iyer, Itti & Koch, "Components of bottom-up gaze allocation in natural images", Vision
    Research 45, 2005.

    Examples
    --------
    >>> nss([[0, 2], [0, 2]], x=[1, 1, 1, 0], y=[0, 0, 1, 0])
    0.5
    """
    prepared = prepare(saliency)
    values = prepared.at(x, y)
    if prepared.constant:
        return 0.0
    return float((values.mean(dtype=np.float64) - prepared.mean) / prepared.deviation)


def cc(saliency: MapLike, density: MapLike) -> float:
    """Pearson's correlation of map and density over pixels.

    The covariance over the product of the deviations; 0 where either is constant. An increasing
    affine transform of either changes nothing. See Bylinskii 2019.

    Examples
    --------
    >>> round(cc([[0, 1], [2, 3]], [[1, 3], [5, 7]]), 12)
    1.0
    """
    a, b = _pair(saliency, density)
    if a.constant or b.constant:
        return 0.0
    products = np.sum(a.centred * b.centred)  # not vdot: BLAS starts threads
    return float(products / a.values.size / a.deviation / b.deviation)


def sim(saliency: MapLike, density: MapLike) -> float:
    """Similarity, the histogram intersection: the sum over pixels of min(p, q).

    p and q are map and density, each minus its lowest value, over their sums; a constant map counts
    as uniform. An increasing affine transform of either changes nothing. 1 where both are equal.

    Notes
    -----
    Bylinskii 2019; Judd, Durand & Torralba, "A benchmark of computational models of saliency to
    predict human fixations", MIT-CSAIL-TR-2012-001. Subtracting the lowest value first is the MIT
    definition (similarity): a map's offset would count otherwise. Other codes leave it in: on 100
    photographs of OSIE that scores lower by .0039 on average, at most by .016, for maps of
    `itti1998` smoothed by 2 %, by .0028 for a centre Gaussian, by .0024 for `whitened` smoothed by
    2 %, and by less than .001 for the other maps and read-outs, whose minimum is near 0.

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
    e = 2^-52; about 0 where both are equal. Where the map is 0 and the density is not, the score is
    large, and e determines how large. A map of zeros counts as uniform. See Bylinskii 2019, eq. 6,
    with e of the MIT code.

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


def information_gain(
    log_density: np.ndarray, baseline_log_density: np.ndarray, x: np.ndarray, y: np.ndarray
) -> float:
    """Information gain over a baseline: the mean over fixations of (ln p - ln b) / ln 2, in bits.

    p and b are the probabilities that model and baseline give to the fixated pixel. 0 for a model
    as good as the baseline, -inf where the model excludes a fixation.

    `log_density` and `baseline_log_density` are array_like of shape (H, W), floats: natural
    logarithms of probabilities per pixel, each of which sums to 1 within 0.1 %. -inf, no
    probability, is allowed where the baseline has no fixation. Raises ValueError too if a density
    is NaN or does not sum to 1, or the baseline excludes a fixation.

    Notes
    -----
    Kuemmerer, Wallis & Bethge, "Information-theoretic model comparison unifies saliency metrics",
    PNAS 112(52), 2015.

    Examples
    --------
    >>> import numpy as np
    >>> p, uniform = np.log([[0.5, 0.25, 0.125, 0.125]]), np.full((1, 4), np.log(0.25))
    >>> information_gain(p, uniform, x=[0], y=[0])
    1.0
    """
    model = checked_log_density(log_density, "the log density")
    baseline = checked_log_density(baseline_log_density, "the baseline's log density")
    if model.shape != baseline.shape:
        raise ValueError(f"the log density has shape {model.shape}, the baseline {baseline.shape}")
    columns, rows = pixels_of(x, y, model.shape)
    expected = baseline[rows, columns].astype(np.float64)
    if np.isneginf(expected).any():
        i = int(np.argmax(np.isneginf(expected)))
        raise ValueError(
            f"the baseline gives no probability to fixation {i} at x={columns[i]}, y={rows[i]}; "
            "mix some uniform density into it"
        )
    return float((model[rows, columns] - expected).mean() / np.log(2))


def checked_log_density(given: np.ndarray, what: str) -> np.ndarray:
    """A 2-D array whose exponentials sum to 1."""
    density = np.asarray(given)
    if density.dtype.kind != "f" or density.ndim != 2 or density.size == 0:
        raise ValueError(
            f"{what} is {density.dtype} of shape {density.shape}; give floats of shape (H, W)"
        )
    total = top = float(density.max())
    if top > -np.inf:
        total += float(np.log(np.exp(density - top).sum(dtype=np.float64)))
    if not abs(total) < LOG_SUM_LIMIT:  # also catches NaN and inf
        raise ValueError(
            f"{what} has logsumexp {total:g}, which must be within {LOG_SUM_LIMIT:g} of 0; "
            "subtract it (see `log_density` for maps that are no densities)"
        )
    return density


def _pair(saliency: MapLike, density: MapLike) -> tuple[PreparedMap, PreparedMap]:
    a, b = prepare(saliency), prepare(density)
    if a.shape != b.shape:
        raise ValueError(f"the map has shape {a.shape}, the density {b.shape}; resize the map")
    if b.minimum == b.maximum == 0:
        raise ValueError("the density is zero everywhere; there is nothing to compare with")
    return a, b
