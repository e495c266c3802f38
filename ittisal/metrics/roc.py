"""Areas under the ROC curve: how well the map's values separate fixated places from others.

They depend on the order of values alone: a strictly increasing transform changes none of them,
except `auc_borji`, whose thresholds lie at fixed steps. See `ittisal.metrics` for the conventions.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .prepared import MapLike, prepare

JITTER = 1e-7  # of the map's range: the MIT code's 1/10000000
BUCKETS = 1 << 16
SPANS = (1e-30, 1e30)  # where the arithmetic of buckets neither over- nor underflows in float32


def auc(saliency: MapLike, x: np.ndarray, y: np.ndarray) -> float:
    """Exact area under the ROC curve, fixations against every pixel.

    The probability that the map is higher at a fixation than at a random pixel, ties counting one
    half: the mean over fixations i and all pixels j of [s_i > s_j] + [s_i = s_j] / 2. Every pixel
    is a negative, fixated or not. The "AUC" of Kuemmerer 2018, the area after Mann & Whitney.

    Examples
    --------
    >>> auc([[0, 1], [2, 3]], x=[1], y=[1])
    0.875
    """
    prepared = prepare(saliency)
    return _area(prepared.at(x, y), prepared.values.ravel())


def shuffled_auc(
    saliency: MapLike, x: np.ndarray, y: np.ndarray, other_x: np.ndarray, other_y: np.ndarray
) -> float:
    """Shuffled AUC: exact area under the ROC curve, fixations against those of other images.

    As `auc`, the negatives being the map's values at fixations on other images, which share the
    centre bias: a map of the centre bias alone scores .5. All of them count; none is sampled.
    `other_x` and `other_y`, of shape (N,), are already scaled to this image's size.

    Notes
    -----
    Tatler, Baddeley & Gilchrist, "Visual correlates of fixation selection", Vision Research 45,
    2005; Zhang, Tong, Marks, Shan & Cottrell, "SUN: A Bayesian framework for saliency using
    natural statistics", Journal of Vision 8(7):32, 2008. The MIT version samples negatives of ten
    other images and takes thresholds in steps; this is its limit.

    Examples
    --------
    >>> shuffled_auc([[0, 1], [2, 3]], x=[1], y=[1], other_x=[0, 1], other_y=[0, 1])
    0.75
    """
    prepared = prepare(saliency)
    return _area(prepared.at(x, y), prepared.at(other_x, other_y))


def auc_judd(
    saliency: MapLike, x: np.ndarray, y: np.ndarray, *, jitter: bool = True, seed: int = 0
) -> float:
    """AUC-Judd: thresholds at the fixated pixels, negatives the pixels without a fixation.

    Fixations become a set of pixels, repeated ones counting once. At each of their values t the
    hit rate is the fraction of fixated pixels with s >= t, the false-alarm rate that of other
    pixels with s >= t. The points are joined by straight lines from (0, 0) to (1, 1), so pixels
    between two thresholds count one half: the area is above the exact one by at most 1/(2F).

    `jitter` breaks ties by random numbers of up to 1e-7 of the map's range, by `seed`; without,
    equal fixations share one threshold. Raises ValueError too if every pixel is fixated.

    Notes
    -----
    Judd, Ehinger, Durand & Torralba, "Learning to predict where humans look", ICCV 2009, as
    defined by MIT (AUC_Judd). That adds 1e-7 to the map as it is given; here it is relative to the
    map's range, so that the unit does not matter.

    Examples
    --------
    >>> auc_judd([[0, 1], [2, 3]], x=[1], y=[1]), auc_judd([[0, 1], [2, 3]], x=[0, 1], y=[1, 1])
    (1.0, 1.0)
    """
    prepared = prepare(saliency)
    fixated = np.unique(prepared.pixels(x, y))
    others = prepared.values.size - len(fixated)
    if others == 0:
        raise ValueError("every pixel is fixated: there are no negatives; use `auc`")
    if prepared.constant:
        return 0.5
    values = prepared.values.ravel()
    if jitter:
        span = prepared.maximum - prepared.minimum
        values = values.astype(np.float64) + _noise(values.size, seed) * (JITTER * span)
    thresholds, repeats = np.unique(values[fixated], return_counts=True)
    below, _ = counts(values, thresholds)
    # From the highest threshold down.
    hits = np.cumsum(repeats[::-1])
    alarms = len(values) - below[::-1] - hits
    return float(_trapezoids(alarms / others, hits / len(fixated)))


def auc_borji(
    saliency: MapLike,
    x: np.ndarray,
    y: np.ndarray,
    *,
    splits: int = 100,
    step: float = 0.1,
    seed: int = 0,
) -> float:
    """AUC-Borji: negatives are random pixels, as many as fixated ones, drawn anew for each split.

    The map is scaled to [0, 1]. Hit rate and false-alarm rate at the thresholds 0, step, 2 step,
    ... up to 1 (fraction of values >= the threshold) are joined by straight lines from (0, 0); the
    area is averaged over the splits. Fixations become a set of pixels, repeated ones counting
    once; negatives are drawn with replacement from all pixels. The coarse steps matter: a map
    whose values crowd near 0 scores low, so this one does change under monotone transforms.

    `splits` is the number of sets of negatives, `step`, in (0, 1], is between thresholds, and
    `seed` is that of the random pixels.

    Notes
    -----
    Borji, Sihite & Itti, "Quantitative analysis of human-model agreement in visual saliency
    modeling: a comparative study", IEEE TIP 22(1), 2013; Borji, Tavakoli, Sihite & Itti,
    "Analysis of scores, datasets, and models in visual saliency prediction", ICCV 2013; as defined
    by MIT (AUC_Borji).

    Examples
    --------
    >>> 0.8 < auc_borji([[0, 1], [2, 3]], x=[1], y=[1]) < 0.95
    True
    """
    if splits < 1:
        raise ValueError(f"splits={splits} must be at least 1")
    if not 0 < step <= 1:
        raise ValueError(f"step={step} must be above 0 and at most 1")
    prepared = prepare(saliency)
    fixated = np.unique(prepared.pixels(x, y))
    if prepared.constant:
        return 0.5
    drawn = np.random.default_rng(seed).integers(prepared.values.size, size=(splits, len(fixated)))
    # One split per row; the fixated pixels are one more.
    chosen = prepared.values.ravel()[np.vstack([fixated, drawn])].astype(np.float64)
    scaled = (chosen - prepared.minimum) / (prepared.maximum - prepared.minimum)
    thresholds = step * np.arange(int(1 / step + 1e-9) + 1)
    reached = np.searchsorted(thresholds, scaled, side="right")  # how many thresholds, 1 or more
    tally = np.stack([np.count_nonzero(reached > k, axis=1) for k in range(len(thresholds))])
    rates = tally[::-1].T / len(fixated)  # from the highest threshold down; the last are all 1
    hits, alarms = rates[:1], rates[1:]
    return float(_trapezoids(alarms, np.repeat(hits, splits, axis=0)).mean())


def counts(values: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of values below each threshold, and of values not above it. Exact.

    Values are put into buckets of equal width, by arithmetic that preserves their order; only those
    in a threshold's bucket are sorted. That is several times quicker than sorting all.

    `values` and `thresholds` are finite, 1-D, and of one type of float.
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


@lru_cache(maxsize=2)
def _noise(count: int, seed: int) -> np.ndarray:
    """Random numbers in [0, 1), float32, the same for every map of so many pixels."""
    noise = np.random.default_rng(seed).random(count, dtype=np.float32)
    noise.flags.writeable = False
    return noise


def _area(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Fraction of pairs in which the positive is higher, ties one half."""
    below, up_to = counts(negatives, positives)
    return float((below + up_to).mean() / (2 * len(negatives)))


def _trapezoids(alarms: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Area under straight lines from (0, 0) through the points to (1, 1), along the last axis."""
    ends = [(0, 0)] * (alarms.ndim - 1) + [(1, 1)]
    alarms, hits = (np.pad(rates, ends, constant_values=(0.0, 1.0)) for rates in (alarms, hits))
    return np.sum(np.diff(alarms) * (hits[..., 1:] + hits[..., :-1]), axis=-1) / 2
