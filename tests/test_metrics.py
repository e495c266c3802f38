"""Metrics against cases done by hand, against definitions written out pair by pair, identities."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from tolerances import within

from ittisal import metrics
from ittisal.metrics.roc import counts

# 3x4 with ties and both signs, and three fixations, two of them on one pixel.
SMALL = np.array([[0.0, 1.0, 1.0, 4.0], [2.0, -1.0, 1.0, 0.0], [2.0, 2.0, 0.0, 8.0]])
X, Y = [3.0, 3.9, 1.5], [2.0, 2.9, 0.0]  # at 8, 8 and 1
P, Q = np.array([[0.0, 1.0], [2.0, 5.0]]), np.array([[0.0, 2.0], [2.0, 4.0]])
UNEVEN, UNIFORM = np.log([[0.5, 0.25], [0.125, 0.125]]), np.full((2, 2), math.log(0.25))

AREAS = {
    "auc": metrics.auc,
    "shuffled": lambda s, x, y: metrics.shuffled_auc(s, x, y, [0, 3, 2], [0, 2, 1]),
    "judd": metrics.auc_judd,
    "judd, no jitter": lambda s, x, y: metrics.auc_judd(s, x, y, jitter=False),
    "borji": metrics.auc_borji,
}
LOCATED = {**AREAS, "nss": metrics.nss}
COMPARED = {"cc": metrics.cc, "sim": metrics.sim, "kl": metrics.kl}


def tied_map(rng, shape=(7, 9), levels=5):
    """Few different values, of both signs."""
    return rng.integers(-2, levels - 2, shape).astype(float)


def fixations(rng, shape, n):
    return rng.uniform(0, shape[1], n), rng.uniform(0, shape[0], n)


def values_at(saliency, x, y):
    return [saliency[int(v), int(u)] for u, v in zip(x, y, strict=True)]


# --- by hand ------------------------------------------------------------------------------------


BY_HAND = [
    # 8 is above 11 pixels and ties with itself; 1 is above 4 (0, 0, 0, -1) and ties with 3.
    (metrics.auc(SMALL, X, Y), (11.5 + 11.5 + 5.5) / 3 / 12),
    # Negatives 0, 8, 1, 1: for 8 three are below and one ties, for 1 one is below and two tie.
    (metrics.shuffled_auc(SMALL, X, Y, [0, 3, 2, 2], [0, 2, 1, 1]), (3.5 + 3.5 + 2) / 3 / 4),
    # Fixated pixels 8 and 1; ten others. At 8: hits 1/2, alarms 0. At 1: hits 1, alarms 6/10
    # (4, 2, 2, 2, 1, 1). The trapezoids: 0.6 x (1/2 + 1)/2 + 0.4 x 1.
    (metrics.auc_judd(SMALL, X, Y, jitter=False), 0.6 * 0.75 + 0.4),
    # Mean 2, deviation 1.
    (metrics.nss([[1.0, 3.0], [1.0, 3.0]], [1, 1, 0], [0, 1, 1]), 1 / 3),
    (metrics.nss([[1.0, 3.0], [1.0, 3.0]], [1, 1, 1, 1, 0], [0, 0, 0, 0, 1]), 3 / 5),
    (metrics.cc(P, Q), 10 / math.sqrt(14 * 8)),
    (metrics.sim(P, Q), 1 / 8 + 2 / 8 + 4 / 8),
    (metrics.sim(3 * P + 7, Q), 1 / 8 + 2 / 8 + 4 / 8),  # no account of an offset
    (metrics.kl(P, Q), 2 / 8 * math.log(2) + 2 / 8 * math.log(1) + 4 / 8 * math.log(4 / 5)),
    # A map of zeros at fixations costs what epsilon says.
    (metrics.kl([[1, 0]], [[1, 1]]), 0.5 * (math.log(0.5) + math.log(0.5 * 2.0**52 + 2.0**-52))),
    (metrics.information_gain(UNEVEN, UNIFORM, [0, 0, 1], [0, 0, 1]), 1 / 3),
    (metrics.information_gain(UNEVEN, UNEVEN, [0, 1], [0, 1]), 0),
]


@pytest.mark.parametrize(("got", "wanted"), BY_HAND)
def test_by_hand(got, wanted):
    within("hand", got, wanted)


def test_auc_borji_by_hand():
    # One fixated pixel at the top and one split: at every threshold above the negative's value
    # only the hit counts, at the others both: 1, less one half where the negative is as high.
    saliency = np.array([[0.0, 0.0, 0.0, 1.0]])
    for seed in range(8):
        negative = np.random.default_rng(seed).integers(4, size=(1, 1))[0, 0]
        got = metrics.auc_borji(saliency, [3], [0], splits=1, seed=seed)
        assert got == (0.5 if negative == 3 else 1.0)


def test_what_has_no_probability():
    with np.errstate(divide="ignore"):
        p = np.log([[1.0, 0.0]])
    uniform = np.full((1, 2), math.log(0.5))
    assert metrics.information_gain(p, uniform, [0], [0]) == 1
    assert metrics.information_gain(p, uniform, [0, 1], [0, 0]) == -math.inf
    with pytest.raises(ValueError, match="no probability to fixation 1 at x=1, y=0"):
        metrics.information_gain(uniform, p, [0, 1], [0, 0])


def test_a_fixation_lies_in_the_pixel_of_its_whole_part():
    saliency = np.arange(12.0).reshape(3, 4)
    for x, y in [(0, 0), (3.999, 0), (0.001, 2.999), (2.5, 1.5)]:
        assert metrics.prepare(saliency).at([x], [y]) == [saliency[int(y), int(x)]]


# --- definitions written out ---------------------------------------------------------------------


def plain_area(positives, negatives):
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    return sum(pairs) / len(pairs)


def plain_judd(saliency, x, y):
    """Hit rate and false-alarm rate at each threshold, by counting."""
    fixated = {(int(v), int(u)) for u, v in zip(x, y, strict=True)}
    hits = [saliency[at] for at in fixated]
    others = [s for at, s in np.ndenumerate(saliency) if at not in fixated]
    points = [(0.0, 0.0)]
    for t in sorted(set(hits), reverse=True):
        points.append((np.mean([s >= t for s in others]), np.mean([s >= t for s in hits])))
    points.append((1.0, 1.0))
    return sum((b[0] - a[0]) * (b[1] + a[1]) / 2 for a, b in pairwise(points))


def plain_borji(saliency, x, y, splits, step, seed):
    scaled = (saliency - saliency.min()) / (saliency.max() - saliency.min())
    hits = np.array([scaled[at] for at in {(int(v), int(u)) for u, v in zip(x, y, strict=True)}])
    drawn = np.random.default_rng(seed).integers(scaled.size, size=(splits, len(hits)))
    areas = []
    for negatives in scaled.ravel()[drawn]:
        thresholds = np.arange(0, 1 + 1e-9, step)[::-1]
        rates = [((negatives >= t).mean(), (hits >= t).mean()) for t in thresholds]
        points = [(0.0, 0.0), *rates, (1.0, 1.0)]
        areas.append(sum((b[0] - a[0]) * (b[1] + a[1]) / 2 for a, b in pairwise(points)))
    return np.mean(areas)


@pytest.mark.parametrize("n", [1, 2, 30, 200])
def test_areas_are_those_of_the_definitions(rng, n):
    for _ in range(5):
        saliency = tied_map(rng)
        x, y = fixations(rng, saliency.shape, n)
        others = fixations(rng, saliency.shape, 3 * n)
        positives = values_at(saliency, x, y)
        within("hand", metrics.auc(saliency, x, y), plain_area(positives, saliency.ravel()))
        within(
            "hand",
            metrics.shuffled_auc(saliency, x, y, *others),
            plain_area(positives, values_at(saliency, *others)),
        )
        within(
            "hand",
            metrics.auc_borji(saliency, x, y, splits=7, step=0.25, seed=n),
            plain_borji(saliency, x, y, 7, 0.25, n),
        )
        if n < 200:
            got = metrics.auc_judd(saliency, x, y, jitter=False)
            within("hand", got, plain_judd(saliency, x, y))


def test_jitter_only_breaks_ties(rng):
    saliency = rng.permutation(63).reshape(7, 9).astype(float)  # no ties: nothing to break
    x, y = fixations(rng, saliency.shape, 10)
    plain = metrics.auc_judd(saliency, x, y, jitter=False)
    for scale in (1, 1e-12, 1e12):
        assert metrics.auc_judd(saliency * scale, x, y) == plain

    saliency = tied_map(rng, (40, 50))
    x, y = fixations(rng, saliency.shape, 60)
    got = [metrics.auc_judd(saliency, x, y, seed=seed) for seed in range(200)]
    assert len(set(got)) > 100
    assert got[3] == metrics.auc_judd(saliency, x, y, seed=3)
    # On average a broken tie counts one half: the area by pairs of a fixated pixel and another,
    # above which trapezoids lie by what pixels between two thresholds add, 1/(2F) at most; within
    # four deviations of the mean.
    fixated = np.zeros(saliency.shape, bool)
    fixated[y.astype(int), x.astype(int)] = True
    exact = plain_area(saliency[fixated], saliency[~fixated])
    error = 4 * np.std(got) / math.sqrt(len(got))
    assert exact - error < np.mean(got) < exact + 1 / (2 * fixated.sum()) + error


def test_nss_and_correlation_are_those_of_the_definitions(rng):
    for _ in range(5):
        saliency, density = tied_map(rng), rng.random((7, 9))
        x, y = fixations(rng, saliency.shape, 20)
        scores = (saliency - saliency.mean()) / saliency.std()
        within("hand", metrics.nss(saliency, x, y), np.mean(values_at(scores, x, y)))
        wanted = np.corrcoef(saliency.ravel(), density.ravel())[0, 1]
        within("hand", metrics.cc(saliency, density), wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1, 1e-6, 1e20, 1e-35, 1e33])
def test_counting_is_sorting(rng, dtype, scale):
    """Also where values crowd in one bucket, tie, or span more than the buckets' arithmetic."""
    skewed = rng.exponential(size=4000) ** 4
    few = np.round(rng.normal(size=4000), 1)
    for values in (skewed, few, np.zeros(50), few[:1]):
        values = (values * scale).astype(dtype)
        thresholds = np.concatenate([values[:40], values[:3] * dtype(3), [dtype(-7), dtype(0)]])
        thresholds = thresholds.astype(dtype)
        below, up_to = counts(values, thresholds)
        assert (below == [(values < t).sum() for t in thresholds]).all()
        assert (up_to == [(values <= t).sum() for t in thresholds]).all()


def test_empirical_density_is_a_blurred_histogram(rng):
    shape, sigma = (40, 60), 3.0
    for n in (1, 7, 300):
        x, y = fixations(rng, shape, n)
        histogram = np.zeros(shape)
        for u, v in zip(x, y, strict=True):
            histogram[int(v), int(u)] += 1
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        blurred = np.zeros(shape)
        for at in np.argwhere(histogram):
            squares = (rows - at[0]) ** 2 + (columns - at[1]) ** 2
            blurred += histogram[tuple(at)] * np.exp(-squares / (2 * sigma**2))
        got = metrics.empirical_density(x, y, shape, sigma)
        within("hand", got, blurred / blurred.sum())
        within("hand", got.sum(), 1)


# --- identities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -3.0, 0.1, 1e-40, 1e30])
def test_constant_maps_are_at_chance(rng, value):
    x, y = fixations(rng, (7, 9), 6)
    flat = np.full((7, 9), value)
    for name, area in AREAS.items():
        assert area(flat, x, y) == 0.5, name
    density = metrics.empirical_density(x, y, (7, 9), 1.5)
    assert metrics.nss(flat, x, y) == 0
    assert metrics.cc(flat, density) == 0
    if value:
        assert metrics.cc(density, flat) == 0
    assert metrics.sim(flat, density) == metrics.sim(np.ones((7, 9)), density)
    if value >= 0:
        within("hand", metrics.kl(flat, density), metrics.kl(np.ones((7, 9)), density))


def test_the_empirical_density_scores_highest(rng):
    shape = (30, 40)
    x, y = fixations(rng, shape, 25)
    best = metrics.empirical_density(x, y, shape, 2.0)
    others = [
        rng.random(shape),
        metrics.empirical_density(*fixations(rng, shape, 25), shape, 2.0),
        metrics.empirical_density(x[:12], y[:12], shape, 2.0),
        np.roll(best, 3, axis=1),
        np.ones(shape),
    ]
    for name, score in LOCATED.items():
        assert all(score(best, x, y) > score(other, x, y) for other in others), name
    for name, score in COMPARED.items():
        worse = [score(other, best) for other in others]
        assert score(best, best) < min(worse) if name == "kl" else score(best, best) > max(worse)
    within("hand", [metrics.cc(best, best), metrics.sim(best, best)], [1, 1])
    assert abs(metrics.kl(best, best)) < 2 * best.size * 2.0**-52  # its epsilon per pixel
    gains = [metrics.information_gain(*map(metrics.log_density, (best, o)), x, y) for o in others]
    assert min(gains) > 0


def test_areas_keep_under_monotone_transforms(rng):
    saliency = rng.integers(0, 8, (20, 30)) / 8
    x, y = fixations(rng, saliency.shape, 40)
    for transform in (np.exp, np.cbrt, lambda s: 1e6 * s - 5, lambda s: s**3 + s):
        for name in ("auc", "shuffled", "judd, no jitter"):
            assert AREAS[name](transform(saliency), x, y) == AREAS[name](saliency, x, y)
    for name in ("auc", "shuffled"):
        within("hand", AREAS[name](-saliency, x, y), 1 - AREAS[name](saliency, x, y))


def test_nss_and_correlation_keep_under_affine_transforms(rng):
    saliency, density = rng.random((2, 20, 30))
    x, y = fixations(rng, saliency.shape, 40)
    for scale, offset in [(3, -1), (1e-9, 0), (1e9, 1e9)]:
        moved = scale * saliency + offset
        within("order", metrics.nss(moved, x, y), metrics.nss(saliency, x, y))
        within("order", metrics.cc(moved, density), metrics.cc(saliency, density))
        within("order", metrics.cc(density, moved), metrics.cc(saliency, density))
    within("order", metrics.nss(-saliency, x, y), -metrics.nss(saliency, x, y))


def test_shuffling_takes_out_a_centre_bias(rng):
    shape = (60, 80)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centre = np.exp(-(((rows - 29.5) / 15) ** 2 + ((columns - 39.5) / 20) ** 2) / 2)
    x, y = (np.clip(rng.normal(m, s, (2, 4000)), 0, 59) for m, s in ((39.5, 12), (29.5, 9)))
    assert metrics.auc(centre, x[0], y[0]) > 0.7
    got = metrics.shuffled_auc(centre, x[0], y[0], x[1], y[1])
    assert abs(got - 0.5) < 3 * math.sqrt(1 / 12 * 2 / 4000)  # three deviations of Mann & Whitney


def test_similarity_and_divergence_are_of_distributions(rng):
    p, q = rng.random((2, 8, 9))
    assert 0 < metrics.sim(p, q) < 1
    assert metrics.kl(p, q) > 0
    within("hand", metrics.sim(q, p), metrics.sim(p, q))
    within("hand", metrics.kl(5 * p, 7 * q), metrics.kl(p, q))
    assert abs(metrics.kl(3 * p + 7, q) - metrics.kl(p, q)) > 0.05  # an offset counts
    tiny = metrics.kl(p * 1e-300, q)  # its own sum of squares would underflow
    within("hand", tiny, metrics.kl(p, q))


def test_log_density_sums_to_one(rng):
    for saliency in (rng.random((9, 11)), np.zeros((9, 11)), rng.random((9, 11)) * 1e300):
        for uniform in (1e-6, 0.01, 1.0):
            density = np.exp(metrics.log_density(saliency, uniform=uniform))
            within("hand", density.sum(), 1)
            assert density.min() >= uniform / 99 * (1 - 1e-12)


# --- what goes in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.float16, np.float32])
def test_types_of_maps(rng, dtype):
    saliency = (rng.random((12, 15)) * 4).astype(dtype)
    x, y = fixations(rng, saliency.shape, 10)
    for name, score in LOCATED.items():
        assert score(saliency, x, y) == score(saliency.astype(float), x, y), name
        assert score(saliency[::-1].copy()[::-1], x, y) == score(saliency, x, y), name


@pytest.mark.parametrize("unit", [2.0**-1060, 2.0**-660, 2.0**500, 2.0**1019])
def test_the_unit_of_a_map_changes_no_score(rng, unit):
    """Nor does it overflow, or make a map with a peak a constant one."""
    saliency = rng.integers(-3, 8, (7, 9)).astype(float)
    density = rng.random((7, 9))
    x, y = fixations(rng, saliency.shape, 12)
    for score in LOCATED.values():
        within("same_maths", score(saliency * unit, x[:3], y[:3]), score(saliency, x[:3], y[:3]))
    for name, score in COMPARED.items():
        plain = saliency + 3 * (name == "kl")
        within("same_maths", score(plain * unit, density), score(plain, density))
        within("same_maths", score(density, (plain + 3) * unit), score(density, plain + 3))


def test_negatives_may_lie_close_together_and_far_below():
    saliency = np.array([[0, 2e-30, 1e10]], np.float32)
    assert metrics.shuffled_auc(saliency, [2], [0], [0, 1], [0, 0]) == 1


def test_prepared_maps_score_like_arrays_and_nothing_given_is_changed(rng):
    saliency, density = rng.random((2, 12, 15))
    x, y = fixations(rng, saliency.shape, 10)
    given = (saliency, density, x, y)
    before = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    prepared = metrics.prepare(saliency)
    assert metrics.prepare(prepared) is prepared
    for score in LOCATED.values():
        assert score(prepared, x, y) == score(saliency, x, y)
    for score in COMPARED.values():
        assert score(prepared, metrics.prepare(density)) == score(saliency, density)
    assert all((array == copy).all() for array, copy in zip(given, before, strict=True))


@pytest.mark.parametrize("name", LOCATED)
def test_bad_fixations(name):
    def fails(x, y, match):
        with pytest.raises(ValueError, match=match):
            LOCATED[name](SMALL, x, y)

    fails([], [], "no fixations")
    fails([1, 4.0], [1, 2], r"fixation 1 at x=4, y=2 lies outside the map of 4x3 .*1 of 2 do")
    fails([1, -0.5], [1, 2], "fixation 1 at x=-0.5")
    fails([1, 2], [1, 3], "fixation 1 at x=2, y=3")
    fails([1, math.nan], [1, 2], "fixation 1 at x=nan")
    fails([1, 2], [1], "one length")
    fails([[1]], [[1]], "1-D")
    for bad in (["1"], [None], [1j], [True]):
        with pytest.raises(TypeError, match="fixations are real numbers"):
            LOCATED[name](SMALL, bad, [1])


def test_bad_maps(rng):
    def fails(error, saliency, match):
        with pytest.raises(error, match=match):
            metrics.auc(saliency, [0], [0])

    for value in (math.nan, math.inf, -math.inf):
        broken = rng.random((3, 4))
        broken[2, 1] = value
        fails(ValueError, broken, f"the map is {value} at x=1, y=2")
    fails(ValueError, np.zeros(4), "two dimensions")
    fails(ValueError, np.zeros((0, 4)), "two dimensions and a pixel")
    fails(TypeError, np.zeros((2, 2), complex), "complex128")


def test_bad_arguments(rng):
    p = rng.random((3, 4))
    log_p, x = metrics.log_density(p), [1]
    for score in COMPARED.values():
        with pytest.raises(ValueError, match=r"shape \(3, 4\), the density \(4, 3\)"):
            score(p, p.T)
        with pytest.raises(ValueError, match="zero everywhere"):
            score(p, np.zeros((3, 4)))
    for match, call in {
        "0.* somewhere; probabilities are not negative": lambda: metrics.kl(p - 1, p),
        "not negative. Subtract": lambda: metrics.log_density(p - 1),
        "splits=0": lambda: metrics.auc_borji(p, x, x, splits=0),
        "step=0": lambda: metrics.auc_borji(p, x, x, step=0),
        "step=1.5": lambda: metrics.auc_borji(p, x, x, step=1.5),
        "every pixel is fixated": lambda: metrics.auc_judd([[1.0]], [0], [0]),
        "sigma_px=0": lambda: metrics.empirical_density(x, x, (3, 4), 0),
        "sigma_px=nan": lambda: metrics.empirical_density(x, x, (3, 4), math.nan),
        "uniform=0": lambda: metrics.log_density(p, uniform=0),
        "the log density has logsumexp": lambda: metrics.information_gain(p, log_p, x, x),
        "baseline's log density has logsumexp": lambda: metrics.information_gain(log_p, p, x, x),
        "the baseline \\(4, 3\\)": lambda: metrics.information_gain(log_p, log_p.T, x, x),
        "int64": lambda: metrics.information_gain(np.zeros((3, 4), np.int64), log_p, x, x),
        "logsumexp nan": lambda: metrics.information_gain(log_p * math.nan, log_p, x, x),
        "logsumexp -inf": lambda: metrics.information_gain(log_p - math.inf, log_p, x, x),
    }.items():
        with pytest.raises(ValueError, match=match):
            call()


# --- the map that a density asks for -----------------------------------------------------------


def smooth_density(rng, shape, sigma):
    """A density with a few blobs, and some of everything."""
    x, y = (rng.uniform(0, side, 6) for side in shape[::-1])
    return 0.9 * metrics.empirical_density(x, y, shape, sigma) + 0.1 / np.prod(shape)


def drawn(rng, density, count):
    """Fixations drawn from a density: x and y."""
    at = rng.choice(density.size, count, p=density.ravel())
    return at % density.shape[1], at // density.shape[1]


def test_ranks_have_the_area_of_the_density(rng):
    density = tied_map(rng) + 3.0
    log_p = np.log(density / density.sum())
    ranks = metrics.map_for(log_p, "auc")
    x, y = fixations(rng, density.shape, 40)
    for score in AREAS.values():
        if score is not metrics.auc_borji:
            assert score(ranks, x, y) == score(density, x, y)
    assert ranks.dtype == np.float64 and ranks.min() > 0 and ranks.max() < 1
    assert ranks.mean() == pytest.approx(0.5)
    levels = np.unique(density)
    wanted = [np.mean(density < v) + np.mean(density == v) / 2 for v in levels]
    assert np.unique(ranks) == pytest.approx(wanted)
    distinct = metrics.map_for(metrics.log_density(rng.random((8, 8))), "auc")
    assert np.sort(distinct.ravel()) == pytest.approx((np.arange(64) + 0.5) / 64)


@pytest.mark.parametrize("metric", metrics.MAPS)
def test_the_map_of_a_metric_scores_at_least_as_well_as_the_density(rng, metric):
    """On average, over fixations drawn from the density."""
    shape, sigma, count = (48, 64), 5.0, 60
    density = smooth_density(rng, shape, 4.0)
    rows, columns = np.ogrid[:48, :64]
    baseline = np.exp(-(((rows - 24) / 16) ** 2 + ((columns - 32) / 20) ** 2) / 2) + 0.02
    baseline /= baseline.sum()
    log_p, log_b = np.log(density), np.log(baseline)
    made = metrics.map_for(log_p, metric, baseline_log_density=log_b, sigma_px=sigma)
    maps = [metrics.prepare(each) for each in (made, density)]

    def scores():
        x, y = drawn(rng, density, count)
        target = metrics.empirical_density(x, y, shape, sigma)
        others = drawn(rng, baseline, count)
        for each in maps:
            if metric == "sauc":
                yield metrics.shuffled_auc(each, x, y, *others)
            elif metric in COMPARED:
                yield COMPARED[metric](each, target)
            else:
                yield LOCATED[metric](each, x, y)

    means = np.mean([list(scores()) for _ in range(40)], axis=0)
    gain = (means[0] - means[1]) * (-1 if metric == "kl" else 1)
    same = metric in ("auc", "nss")  # but for rounding: a logarithm can make two values one
    assert gain == pytest.approx(0, abs=1e-5) if same else gain > 0.01, means


def test_the_map_for_nss_is_the_density(rng):
    density = smooth_density(rng, (12, 15), 2)
    assert metrics.map_for(np.log(density), "nss") == pytest.approx(density, rel=1e-9)


@pytest.mark.parametrize("metric", ["cc", "kl", "sim"])
def test_the_blur_is_that_of_the_fixations(rng, metric):
    density = np.zeros((9, 13))
    density[4, 7], density[0, 2] = 0.75, 0.25
    with np.errstate(divide="ignore"):
        made = metrics.map_for(np.log(density), metric, sigma_px=1.5)
    wanted = metrics.empirical_density([7, 7, 7, 2], [4, 4, 4, 0], density.shape, 1.5)
    assert made == pytest.approx(wanted, rel=1e-9) and made.sum() == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 5)])
@pytest.mark.parametrize("metric", metrics.MAPS)
def test_maps_of_tiny_and_uniform_densities(metric, shape):
    log_p = np.full(shape, -np.log(np.prod(shape)))
    made = metrics.map_for(log_p, metric, baseline_log_density=log_p, sigma_px=50)
    assert made.shape == shape and np.isfinite(made).all()
    value = 0.5 if metric in ("auc", "sauc") else 1 / made.size
    assert made == pytest.approx(np.full(shape, value), rel=0.01)


BAD_MAPS = [
    ({"metric": "ig"}, "no map is made for metric 'ig'; the metrics are auc, sauc"),
    ({"log_density": np.zeros((3, 4))}, "has logsumexp 2.48491"),
    ({"log_density": np.full((3, 4), np.nan)}, "has logsumexp nan"),
    ({"log_density": np.zeros(4)}, r"shape \(4,\)"),
    ({"metric": "sauc"}, "needs baseline_log_density"),
    ({"metric": "sauc", "baseline_log_density": [[0.0]]}, r"of shape \(1, 1\)"),
    ({"metric": "kl"}, "needs sigma_px"),
    ({"metric": "cc", "sigma_px": 0}, "sigma_px=0 must be above 0"),
    ({"metric": "cc", "sigma_px": np.nan}, "sigma_px=nan must be above 0"),
]


@pytest.mark.parametrize(("changed", "message"), BAD_MAPS, ids=str)
def test_densities_that_give_no_map(changed, message):
    given = {"log_density": np.full((3, 4), -np.log(12)), "metric": "auc"} | changed
    with pytest.raises(ValueError, match=message):
        metrics.map_for(**given)


def test_a_baseline_that_excludes_a_pixel():
    uniform = np.full((1, 2), np.log(0.5))
    with pytest.raises(ValueError, match="must be finite"):
        metrics.map_for(uniform, "sauc", baseline_log_density=np.array([[0.0, -np.inf]]))
