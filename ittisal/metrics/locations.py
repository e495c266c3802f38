"""Scores of the map's values at fixations: normalised saliency and information gain."""

from __future__ import annotations

import numpy as np

from .prepared import MapLike, pixels_of, prepare

LOG_SUM_LIMIT = 1e-3  # of a log density's logsumexp, as saliency.tuebingen.ai asks


def nss(saliency: MapLike, x: np.ndarray, y: np.ndarray) -> float:
    """Normalised scanpath saliency: how far above the map's mean fixations lie, in deviations.

    The mean over fixations of (s - mean) / deviation, both over all pixels of the map (deviation
    of the population). Repeated fixations count as often as they occur. An increasing affine
    transform of the map changes nothing.

    Parameters
    ----------
    saliency : array_like of shape (H, W), or PreparedMap
    x, y : array_like of shape (F,)
        Fixations in pixels.

    Returns
    -------
    float
        0 at chance, and for a constant map.

    Raises
    ------
    ValueError
        A map that is not finite, no fixations, or one outside the map.

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


def information_gain(
    log_density: np.ndarray, baseline_log_density: np.ndarray, x: np.ndarray, y: np.ndarray
) -> float:
    """Information gain over a baseline, in bits per fixation.

    The mean over fixations of (ln p - ln b) / ln 2, p and b being the probabilities that the
    model and the baseline give to the fixated pixel.

    Parameters
    ----------
    log_density, baseline_log_density : array_like of shape (H, W)
        Natural logarithms of probabilities per pixel: each sums to 1 within 0.1 %. -inf, no
        probability, is allowed where the baseline has no fixation.
    x, y : array_like of shape (F,)
        Fixations in pixels.

    Returns
    -------
    float
        0 for a model as good as the baseline; -inf where the model rules out a fixation.

    Raises
    ------
    ValueError
        Shapes differ, a density is NaN or does not sum to 1, the baseline rules out a fixation,
        no fixations, or one outside the map.

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
    model = _checked_log_density(log_density, "the log density")
    baseline = _checked_log_density(baseline_log_density, "the baseline's log density")
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


def _checked_log_density(given: np.ndarray, what: str) -> np.ndarray:
    """A 2-D array whose exponentials sum to 1."""
    density = np.asarray(given)
    if density.dtype.kind != "f" or density.ndim != 2 or density.size == 0:
        raise ValueError(
            f"{what} is {density.dtype} of shape {density.shape}; give floats of shape (H, W)"
        )
    top = density.max()
    total = (
        float(top + np.log(np.exp(density - top).sum(dtype=np.float64))) if top > -np.inf else top
    )
    if not abs(total) < LOG_SUM_LIMIT:  # also catches NaN and inf
        raise ValueError(
            f"{what} has logsumexp {total:g}, which must be within {LOG_SUM_LIMIT:g} of 0; "
            "subtract it (see `log_density` for maps that are no densities)"
        )
    return density
