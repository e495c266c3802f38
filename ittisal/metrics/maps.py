"""The map that a density asks for under each metric. See `ittisal.metrics` for the conventions."""

from __future__ import annotations

import numpy as np

from .densities import blurred
from .prepared import prepare
from .scores import checked_log_density

RANKED, DENSITY, BLURRED = "ranks", "density", "blurred"
MAPS = {  # metric -> what the map is
    "auc": RANKED,
    "sauc": RANKED,
    "nss": DENSITY,
    "cc": BLURRED,
    "sim": BLURRED,
    "kl": BLURRED,
}


def map_for(
    log_density: np.ndarray,
    metric: str,
    *,
    baseline_log_density: np.ndarray | None = None,
    sigma_px: float | None = None,
) -> np.ndarray:
    """The map that scores best under a metric, where fixations are drawn from a density.

    No map is best under all metrics; a density gives one for each (Kuemmerer 2018).

    ========  ===================================================================
    metric    map
    ========  ===================================================================
    `auc`     ranks of the density
    `sauc`    ranks of the density over the baseline's
    `nss`     the density
    `cc`      the density blurred as the fixations are: by `sigma_px`
    `kl`      the same
    `sim`     the same, which is not the best: see the notes
    ========  ===================================================================

    Ranks are the fraction of pixels that are lower, equal ones counting one half: any increasing
    function of the density has the same AUC, but ranks survive 8 or 16 bits and thresholds at fixed
    steps best.

    Parameters
    ----------
    log_density, baseline_log_density : float array_like of shape (H, W)
        Natural logarithms of probabilities per pixel, each of which sums to 1 within 0.1 %, as of
        `ittisal.readout.Readout.log_density`. The baseline, of `sauc`, is that of other images'
        fixations, and excludes no pixel.
    metric : str
        A key of `MAPS`.
    sigma_px : float, optional
        Of `cc`, `kl` and `sim`: of the Gaussian by which the fixations are blurred, in pixels; see
        `empirical_density`.

    Returns
    -------
    float64 ndarray of shape (H, W)
        `nss`, `cc`, `kl` and `sim`: sums to 1. `auc` and `sauc`: in (0, 1).

    Raises
    ------
    ValueError
        For another metric, a density that does not sum to 1, or a baseline or sigma that is missing
        or cannot be used.

    Notes
    -----
    Blurring is exact for `kl` where no Gaussian crosses the border, since the best density is the
    mean of those that it is compared with, and close for `cc`, whose deviations vary. The best map
    for `sim` depends on the number of fixations: it is sharper than their mean density where they
    are few, and is found numerically in Kuemmerer 2018. That is not done here: by quantiles of 150
    densities drawn from `gaze`'s read-out it gained .003 on 20 photographs of OSIE.

    Examples
    --------
    >>> import numpy as np
    >>> log_p = np.log([[0.5, 0.25, 0.125, 0.125]])
    >>> map_for(log_p, "auc")
    array([[0.875, 0.625, 0.25 , 0.25 ]])
    >>> map_for(log_p, "kl", sigma_px=1).round(2)
    array([[0.34, 0.33, 0.21, 0.12]])
    """
    if metric not in MAPS:
        raise ValueError(f"no map is made for metric {metric!r}; the metrics are {', '.join(MAPS)}")
    density = checked_log_density(log_density, "the log density").astype(np.float64)
    if metric == "sauc":
        if baseline_log_density is None:
            raise ValueError("the map for sauc needs baseline_log_density, of other images")
        baseline = checked_log_density(baseline_log_density, "the baseline's log density")
        if baseline.shape != density.shape or not np.isfinite(baseline).all():
            raise ValueError(
                f"the baseline's log density, of shape {baseline.shape}, must be finite and of the "
                f"density's shape, {density.shape}; mix some uniform density into it"
            )
        density -= baseline
    if MAPS[metric] == RANKED:
        return _ranks(density)
    density = np.exp(density)
    if MAPS[metric] == BLURRED:
        if sigma_px is None:
            raise ValueError(f"the map for {metric} needs sigma_px, as of `empirical_density`")
        density = blurred(density, sigma_px)
    return prepare(density).distribution


def _ranks(values: np.ndarray) -> np.ndarray:
    """The fraction of pixels below each pixel, equal ones counting one half."""
    _, place, repeats = np.unique(values, return_inverse=True, return_counts=True)
    return ((np.cumsum(repeats) - repeats / 2) / values.size)[place].reshape(values.shape)
