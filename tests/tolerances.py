"""Every tolerance of the tests, each with its reason.

`within(name, got, wanted)` compares arrays: the largest difference against a fraction of the
largest wanted value, plus an absolute part. `alike(name, got, wanted)` asks for a correlation.
Exact claims (zero, equal) are asserted as such and have no line here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """`relative` to the largest wanted magnitude; `absolute` in the data's own unit."""

    relative: float
    absolute: float
    why: str


class Likeness(NamedTuple):
    """The least Pearson correlation."""

    least: float
    why: str


TOLERANCES = {
    # --- reference, float64
    "hand": Tolerance(1e-12, 1e-13, "a few float64 operations against arithmetic by hand"),
    "printed": Tolerance(0, 5e-3, "the known answer is given to two or three decimals"),
    "order": Tolerance(1e-9, 1e-13, "float64 sums taken in another order, scaled up by N"),
    "plan": Tolerance(1e-13, 1e-15, "the same weights worked out in two ways"),
    # --- model properties that hold exactly but for rounding
    "leak": Tolerance(0, 1e-5, "luminance into orientation: the limit of section 11.5"),
    "ramp": Tolerance(0, 1e-6, "a linear ramp has no band-pass and no centre-surround contrast"),
    "equal_colour": Tolerance(0, 1e-6, "raw colour contrast of a uniform field: section 11.4"),
    "phase": Tolerance(0.02, 0, "energy of a grating, over its phases: section 11.6"),
    # --- fixations found in gaze samples
    "eye_at_rest": Tolerance(0, 0.5, "median of some 40 samples with noise of 0.3 pixels"),
    "eye_stays": Tolerance(
        0, 10 * 1000 / 240, "a saccade begins up to 5 samples early, and as many are averaged"
    ),
    "ridge": Tolerance(2e-2, 0, "a hundredth of the mean variance is added before whitening"),
    "grey_ridge": Tolerance(
        2e-2, 0, "of three planes, two of them 0, the mean variance and so the ridge is a third"
    ),
    # --- whole maps
    "scaled_input": Tolerance(1e-5, 0, "uint8 against uint8 / 255: section 11.1"),
    "half_float": Tolerance(5e-3, 0, "float16 keeps 11 bits of the frame"),
    "same_maths": Tolerance(1e-5, 0, "the same sums in float32 in another order"),
    "upsampled": Tolerance(1e-6, 1e-7, "float32 interpolation against float64"),
    "golden": Tolerance(1e-6, 0, "float32 storage, and other versions of NumPy"),
    # --- backends against the reference's golden maps
    "float32": Tolerance(1e-5, 0, "float32 through some ten linear steps, then (M - m)^2"),
    "float32_plateaus": Tolerance(
        5e-3, 0, "peak_mean=all counts each sample of a plateau, which rounding may split"
    ),
    "grey_levels": Tolerance(1e-5, 0.5, "the same, rounded to whole grey levels"),
    "toolbox": Tolerance(
        1e-4, 0, "on thin maps each of up to twelve iterations in a row enlarges what rounding left"
    ),
    # --- stages of a float32 backend, each on the reference's inputs
    "stage_opponency": Tolerance(2e-6, 1e-8, "sums of some 256 float32 products, and 1/brightness"),
    "stage_pyramid": Tolerance(2e-6, 1e-8, "six steps of 36 float32 products, input rounded once"),
    "stage_orientation": Tolerance(
        2e-6, 3e-7, "the band is a difference of nearly equal numbers of up to 1"
    ),
    "stage_level": Tolerance(2e-6, 3e-7, "a few differences of nearly equal float32 samples"),
    "stage_motion": Tolerance(
        0,
        7 * 2.0**-24,
        "two products of up to 1, each of two factors rounded to float32 and then rounded itself, "
        "3 half units each; and their difference, one more",
    ),
    "turned_motion": Tolerance(
        0,
        4 * 19 * 2.0**-24,
        "products of intensities of up to 1, each off by 2e-6, or 19 times 2^-23, either way",
    ),
    "stage_flicker_fixed_point": Tolerance(
        2e-6,
        (1 + 765 * 32 / 2**16) / (765 * 32),
        "a fixed-point background is rounded down to 1/32 of a level of the three bytes' sum, and "
        "its decay to 2^-15: so much for the one frame that faded",
    ),
    "stage_whiten": Tolerance(
        1e-5, 1e-5, "planes of up to 1, rounded to 2^-24, less their mean, over deviations of 1/100"
    ),
    "stage_statistics": Tolerance(1e-5, 1e-9, "float64 sums of squares of such"),
    "stage_figure": Tolerance(2e-6, 1e-6, "reconstruction is exact; then roots, and resampling"),
    "stage_centre_surround": Tolerance(
        4e-6, 3e-7, "a difference of nearly equal numbers of up to 1, then two steps"
    ),
    "stage_normalise": Tolerance(1e-5, 1e-6, "(M - m)^2 doubles the relative error of m"),
    "stage_combine": Tolerance(1e-5, 1e-6, "N twice more on sums of such maps"),
    "stage_weighted": Tolerance(
        1e-5, 5e-6, "10 (M - m)^2 where M is near m: 20 (M - m) times the 2e-6 that m is off"
    ),
    # --- GBVS
    "gbvs_map": Tolerance(5e-4, 1e-4, "Gabors of unit norm as sums of separable ones, off by 1e-3"),
    "gbvs_colour": Tolerance(
        2e-2, 0, "a value may be looked up as the grey level above or below, of 256"
    ),
    "gbvs_activation": Tolerance(2e-5, 0, "float32 sums of some 1000, less sums nearly as great"),
    "gbvs_saliency": Tolerance(
        4e-3, 0, "maps that are nearly flat are scaled up to the same range as all others"
    ),
    "vocus2": Tolerance(1e-5, 0, "a dozen blurs in float32, and differences of blurs"),
    # --- the read-out
    "log_density": Tolerance(1e-6, 2e-6, "float32 logarithms of some 10, upsampled in float32"),
    "fitted_blur_percent": Tolerance(0, 0.02, "the search ends at steps of 0.01"),
    "fitted_power": Tolerance(0.02, 0, "it follows the blur"),
    "fitted_gain_power": Tolerance(0.02, 0, "the same"),
    "fitted_centre_width": Tolerance(2e-3, 0, "the same, less so"),
    "fitted_centre_height": Tolerance(2e-3, 2e-3, "the same"),
}

# How near to motion's threshold a response has to lie for float32 to take it to the other side: as
# far as the response itself may be off. There it may be 0 or not, and nowhere else.
THRESHOLD_REACH = TOLERANCES["stage_motion"].absolute

LIKENESS = {
    "stopped": Likeness(0.999, "iterated until a step changes the distribution by 1e-4"),
    "equivariant": Likeness(0.999, "mirrored or turned, sides multiples of 256: section 12.8"),
    "odd_equivariant": Likeness(0.99, "the same where levels drop rows: section 12.8"),
    "odd_photograph": Likeness(0.93, "the same, measured on one photograph: .94 to .97"),
    "even_phase": Likeness(0.95, "even sampling mirrored, after one sample's shift: 12.8"),
    "shifted": Likeness(0.989, "moved by one sample of the map, interior: section 12.8"),
    "exposed": Likeness(0.9999, "the ridge and the soft root are all that is not in proportion"),
    "vocus2": Likeness(0.9999, "the map between four pixels, rather than their mean; surrounds"),
    "cropped": Likeness(0.9999, "one odd row and column more, interior: section 11.8"),
}


def within(name, got, wanted):
    """Assert that `got` is `wanted` within the named tolerance."""
    limit = TOLERANCES[name]
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    assert got.shape == wanted.shape, f"shape {got.shape}, wanted {wanted.shape}"
    assert np.isfinite(got).all(), "not finite"
    allowed = limit.relative * np.abs(wanted).max(initial=0) + limit.absolute
    error = np.abs(got - wanted)
    worst = np.unravel_index(error.argmax(), error.shape)
    assert error.max() <= allowed, (
        f"{name} ({limit.why}): at {worst} {got[worst]} for {wanted[worst]}, "
        f"off by {error.max():.3g}, allowed {allowed:.3g}"
    )


def within_past_threshold(name, got, response, threshold):
    """Assert that `got` is `response`, and 0 where that is below the threshold.

    Where a response lies so near the threshold that rounding decides, it may also be the other.
    """
    got, wanted = np.asarray(got, float), np.where(response >= threshold, response, 0)
    near = np.abs(response - threshold) <= THRESHOLD_REACH
    kept = near & (got != 0)
    wanted = np.where(near, np.where(kept, response, 0), wanted)
    within(name, got, wanted)


def correlation(a, b):
    """Pearson's r of two arrays."""
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def alike(name, got, wanted):
    """Assert that two maps correlate as the named likeness asks."""
    limit = LIKENESS[name]
    assert np.shape(got) == np.shape(wanted)
    r = correlation(got, wanted)
    assert r >= limit.least, f"{name} ({limit.why}): r = {r:.6f}, wanted {limit.least}"


def no_sum_is_negative(trace):
    """What N and all after it give, by the names of `reference.trace`, is not negative."""
    sums = ("normalised", "feature", "weighted", "conspicuity", "contribution", "saliency")
    for name, values in trace.items():
        assert name.split("/")[0] not in sums or values.min() >= 0, (name, values.min())
