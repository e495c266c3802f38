"""The reference against arithmetic by hand, and the known pitfalls of this model.

The pitfalls are numbered as in section 11 of the design. Those about a whole map are asked of
every backend through the public functions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import stimuli
from attention import fixations
from readings import FIVE
from tolerances import alike, correlation, within

from ittisal import GAZE, INVT, ITTI_1998, VIDEO, WHITENED, Config, reference
from ittisal.config import OrientationPyramid, PeakMean, Phase
from ittisal.features import DIRECTIONS, FEATURES, ORIENTATIONS, TEMPORAL, Channel
from ittisal.pipeline import STAGES

# The levels of the paper, whatever the photograph's size.
GAZE, VIDEO, WHITENED, FIVE = (
    replace(each, working_size=0) for each in (GAZE, VIDEO, WHITENED, FIVE)
)

EVEN = replace(ITTI_1998, phase="even")
REPLICATE = replace(EVEN, upsampling="replicate")
SPLIT = replace(ITTI_1998, split_cs=True)
UNFADED = replace(ITTI_1998, border_attenuation=False)
NONE = replace(ITTI_1998, normalisation="none")
ITERATIVE = replace(ITTI_1998, normalisation="iterative")
COLOURS = {
    "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0),
    "white": (1, 1, 1), "orange": (1, 0.5, 0),
}  # fmt: skip


def with_peaks(*peaks, shape=(12, 16)):
    """Zero but for isolated interior peaks, in the order given, never side by side."""
    x = np.zeros(shape)
    spots = [(i, j) for i in range(1, shape[0] - 1, 2) for j in range(1, shape[1] - 1, 2)]
    for spot, peak in zip(spots, peaks, strict=False):
        x[spot] = peak
    return x


# --- the frame ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1), (np.float64, 1)]
)
def test_to_unit_divides_by_the_types_full_scale(dtype, full):
    frame = np.array([[[0, full, 0]]], dtype)
    unit = reference.to_unit(frame)
    assert unit.dtype == np.float64
    assert unit.tolist() == [[[0, 1, 0]]]


def test_to_unit_swaps_bgr():
    frame = np.array([[[0.1, 0.2, 0.3]]])
    assert reference.to_unit(frame, channel_order="bgr").tolist() == [[[0.3, 0.2, 0.1]]]


@pytest.mark.parametrize(
    ("encoded", "light"),
    [(0, 0), (0.04, 0.04 / 12.92), (0.5, 0.21404114048), (1, 1)],  # IEC 61966-2-1
)
def test_to_unit_undoes_srgb(encoded, light):
    unit = reference.to_unit(np.full((1, 1), encoded, float), replace(ITTI_1998, linear=True))
    assert unit == pytest.approx(light, abs=1e-10)


def test_intensity_is_the_mean():
    within("hand", reference.intensity(np.array([[[0.2, 0.3, 0.7]]])), [[0.4]])
    grey = np.array([[0.3]])
    assert reference.intensity(grey) is grey


OPPONENTS = {  # (RG, BY) of full colours, worked out on paper
    "itti": {
        "red": (3, 0), "green": (-3, 0), "blue": (0, 3), "yellow": (0, -1.5), "white": (0, 0),
        "orange": (1.5, -1),
    },
    "invt": {
        "red": (1, 0), "green": (-1, 0), "blue": (0, 1), "yellow": (0, -1), "white": (0, 0),
        "orange": (0.5, -1 / 3),
    },
    "walther": {
        "red": (1, 0), "green": (-1, 0), "blue": (0, 1), "yellow": (0, -1), "white": (0, 0),
        "orange": (0.5, -0.5),
    },
}  # fmt: skip


@pytest.mark.parametrize("gain", [1, 0.5])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("variant", OPPONENTS)
def test_opponency_by_hand(variant, colour, gain):
    pixel = np.full((1, 1, 3), COLOURS[colour], float) * gain  # hue knows no brightness
    planes = reference.opponency(pixel, replace(ITTI_1998, opponency=variant))
    within("hand", np.ravel(planes), OPPONENTS[variant][colour])


@pytest.mark.parametrize("top", range(10, 251, 10))
def test_hue_threshold_at_a_tie(top):
    """At exactly a tenth of the brightest there is no hue, whatever the rounding; above, hue."""
    frame = np.zeros((1, 3, 3), np.uint8)
    frame[0, 0] = top
    frame[0, 1, 0] = 3 * top // 10  # intensity top / 10
    frame[0, 2, 0] = 3 * top // 10 + 1
    red_green, _ = reference.opponency(reference.to_unit(frame))
    assert red_green[0, 0] == 0
    assert red_green[0, 1] == 0
    assert red_green[0, 2] == pytest.approx(3)


def test_hue_threshold_references():
    frame = np.zeros((1, 2, 3))
    frame[0, 0, 0], frame[0, 1, 0] = 0.24, 0.27  # intensities .08 and .09
    hued = {
        name: [bool(x) for x in np.ravel(reference.opponency(frame, config)[0])]
        for name, config in {
            "frame": ITTI_1998,
            "fixed": replace(ITTI_1998, hue_reference="fixed"),
            "fixed .085": replace(ITTI_1998, hue_reference="fixed", hue_threshold=0.085),
            "frame .95": replace(ITTI_1998, hue_threshold=0.95),
            "walther": replace(ITTI_1998, hue_reference="fixed", opponency="walther"),
        }.items()
    }
    assert hued == {
        "frame": [True, True],
        "fixed": [False, False],
        "fixed .085": [False, True],
        "frame .95": [False, True],
        "walther": [True, True],  # it looks at max(r, g, b)
    }


def test_black_has_no_hue():
    for variant in OPPONENTS:
        for where in ("frame", "fixed"):
            config = replace(ITTI_1998, opponency=variant, hue_reference=where)
            assert not np.any(reference.opponency(np.zeros((2, 2, 3)), config))


# --- pyramids ----------------------------------------------------------------------------------


def test_taps_are_binomials():
    five = np.convolve([1, 2, 1], [1, 2, 1])
    assert np.array_equal(reference.TAPS_5 * 16, five)
    assert np.array_equal(reference.TAPS_9 * 256, np.convolve(five, five))


def test_filter_axis_correlates_with_zeros_outside():
    x = np.array([[1.0, 2, 3]])
    assert reference.filter_axis(x, np.array([1, 10, 100]), 1).tolist() == [[210, 321, 32]]
    assert reference.filter_axis(x, np.array([1, 10, 100]), 0).tolist() == [[10, 20, 30]]


@pytest.mark.parametrize("taps", [reference.TAPS_5, reference.TAPS_9], ids=["5", "9"])
def test_low_pass_impulse_and_constant(taps):
    impulse = np.zeros((21, 23))
    impulse[10, 11] = 1
    half = len(taps) // 2
    out = reference.low_pass(impulse, taps)
    window = out[10 - half : 11 + half, 11 - half : 12 + half]
    within("hand", window, np.outer(taps, taps))
    assert out.sum() == pytest.approx(1)
    for shape in [(1, 1), (2, 7), (3, 3), (21, 23)]:
        within("hand", reference.low_pass(np.full(shape, 0.7), taps), np.full(shape, 0.7))


def test_low_pass_renormalises_at_borders():
    corner = np.zeros((8, 1))
    corner[0] = 1
    expected = [6 / 11, 4 / 15, 1 / 16, 0, 0, 0, 0, 0]  # taps inside: 11/16, 15/16, 1
    within("hand", reference.low_pass(corner, reference.TAPS_5)[:, 0], expected)


def test_decimate():
    x = np.arange(35.0).reshape(5, 7)
    assert reference.decimate(x, Phase.EVEN).tolist() == [[0, 2, 4], [14, 16, 18]]
    assert reference.decimate(x, Phase.CENTRED).tolist() == [[4, 6, 8], [18, 20, 22]]
    for phase in Phase:
        assert reference.decimate(x[:1], phase).shape == (1, 3)
        assert reference.decimate(x[:1, :1], phase).tolist() == [[0]]


def test_centred_downsampling_is_the_six_tap_binomial():
    impulse = np.zeros((16, 1))
    impulse[8] = 1
    got = reference.downsample(impulse, ITTI_1998)[:, 0]
    within("hand", got, np.array([0, 0, 0, 5, 10, 1, 0, 0]) / 32)  # 1 5 10 10 5 1 at 2i - 2
    got = reference.downsample(impulse, EVEN)[:, 0]
    within("hand", got, np.array([0, 0, 0, 1, 6, 1, 0, 0]) / 16)


def test_an_odd_last_row_still_contributes_before_it_goes():
    x = np.zeros((5, 1))
    x[4] = 1
    got = reference.downsample(x, ITTI_1998)[:, 0]  # rows 2 and 3 see it by 1/16 and 4/15
    within("hand", got, [0, (1 / 16 + 4 / 15) / 2])


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("n", [32, 33, 63, 100, 255, 256, 257, 479, 1000])
def test_level_sizes_are_floors(n, phase):
    pyramid = reference.pyramid(np.zeros((n, 300)), replace(ITTI_1998, phase=phase))
    assert [x.shape for x in pyramid] == [
        (n // 2**level, 300 // 2**level) for level in range(9) if min(n, 300) >= 2**level
    ]


def test_clamped_levels_stay_at_one_pixel():
    clamped = reference.pyramid(np.zeros((40, 70)), replace(ITTI_1998, small_frames="clamp"))
    assert [x.shape for x in clamped[4:]] == [(2, 4), (1, 2), (1, 1), (1, 1), (1, 1)]


def test_levels_keep_the_mean_of_a_ramp_in_place():
    """Centred level-s sample i is the value at pixel (i + 1/2) 2^s - 1/2; even, at 2^s i."""
    ramp = np.tile(np.arange(256.0), (256, 1))
    for config, at in (
        (ITTI_1998, lambda i, s: (i + 0.5) * 2**s - 0.5),
        (EVEN, lambda i, s: i * 2**s),
    ):
        level = reference.pyramid(ramp, config)[4]
        within("hand", level[8, 5:11], at(np.arange(5, 11), 4))


# --- orientation -------------------------------------------------------------------------------


def test_attenuate_by_hand():
    got = reference.attenuate(np.ones((5, 7)), 2)
    rows, columns = np.array([1, 2, 3, 2, 1]) / 3, np.array([1, 2, 3, 3, 3, 2, 1]) / 3
    within("hand", got, np.outer(rows, columns))
    assert np.array_equal(reference.attenuate(np.ones((7, 3)), 0), np.ones((7, 3)))


@pytest.mark.parametrize(
    ("shape", "width", "rows", "columns"),
    [
        ((3, 7), 2, [1 / 2, 1, 1 / 2], [1 / 2, 1, 1, 1, 1, 1, 1 / 2]),  # b = 1 on both axes
        ((7, 3), 2, [1 / 2, 1, 1, 1, 1, 1, 1 / 2], [1 / 2, 1, 1 / 2]),
        ((4, 6), 5, [1 / 3, 2 / 3, 2 / 3, 1 / 3], [1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3]),  # b = 2
        ((1, 6), 5, [1], [1, 1, 1, 1, 1, 1]),  # b = 0: nothing
    ],
)
def test_the_fade_has_one_width_for_both_axes(shape, width, rows, columns):
    """The shorter side limits it (iNVT): b = min(width, h // 2, w // 2)."""
    within("hand", reference.attenuate(np.ones(shape), width), np.outer(rows, columns))


@pytest.mark.parametrize("preset", [ITTI_1998, INVT], ids=["itti1998", "invt"])
def test_coarse_oriented_levels_fade_by_the_shorter_side(preset, rng):
    """Level 6 of 256x517 is 4x8: b = min(5, 4 // 2, 8 // 2) = 2 for rows and columns."""
    frame = rng.random((256, 517))
    faded = reference.trace(frame, preset)
    plain = reference.trace(frame, replace(preset, border_attenuation=False))
    rows = np.array([1, 2, 2, 1]) / 3
    columns = np.array([1, 2, 3, 3, 3, 3, 2, 1]) / 3
    for theta in ORIENTATIONS:
        name = f"orientation/{theta}/6"
        assert plain[name].shape == (4, 8)
        within("hand", faded[name], plain[name] * np.outer(rows, columns))
        assert np.array_equal(  # one row: no fade
            faded[f"orientation/{theta}/8"], plain[f"orientation/{theta}/8"]
        )


@pytest.mark.parametrize("preset", [ITTI_1998, INVT], ids=["itti1998", "invt"])
def test_maps_of_long_frames_fade_by_the_shorter_side(preset, rng):
    """Level 4 of 48x1600 is 3x100: b = min(100 // 20, 3 // 2) = 1, not 5, in columns too."""
    frame = rng.random((48, 1600))
    preset = replace(preset, small_frames="clamp")
    faded = reference.trace(frame, preset)["contrast/intensity/4-7"]
    preset = replace(preset, border_attenuation=False)
    plain = reference.trace(frame, preset)["contrast/intensity/4-7"]
    columns = np.ones(100)
    columns[[0, -1]] = 0.5
    within("hand", faded, plain * np.outer([0.5, 1, 0.5], columns))


@pytest.mark.parametrize("theta", ORIENTATIONS)
def test_oriented_energy_is_a_complex_band_pass(theta):
    """|LP9(L e^(ikx))| by direct two-dimensional convolution at one interior sample."""
    rng = np.random.default_rng(theta)
    band = rng.standard_normal((21, 21))
    phi, k = np.deg2rad(theta + 90), 2.6
    y, x = np.mgrid[-4:5, -4:5]
    kernel = np.outer(reference.TAPS_9, reference.TAPS_9)
    kernel = kernel * np.exp(1j * k * (np.cos(phi) * x + np.sin(phi) * y))
    expected = abs((band[6:15, 8:17] * kernel).sum())
    assert reference.oriented_energy(band, theta, k)[10, 12] == pytest.approx(expected)


@pytest.mark.parametrize("config", [ITTI_1998, INVT], ids=["intensity", "laplacian"])
def test_orientation_takes_the_pyramid_of_the_config(config, photo):
    frame = photo[:64, :64]
    taps = {"intensity": reference.TAPS_5, "laplacian": reference.TAPS_9}
    plane = reference.intensity(reference.to_unit(frame))
    level = reference.pyramid(plane, config, taps[config.orientation_pyramid])[3]
    trace = reference.trace(frame, config)
    for theta, energy in reference.orientation(level, config).items():
        assert np.array_equal(trace[f"orientation/{theta}/3"], energy)


def test_orientation_fades_five_samples():
    level = np.random.default_rng(0).random((32, 32))
    faded, plain = (reference.orientation(level, c)[45] for c in (ITTI_1998, UNFADED))
    within("hand", faded, reference.attenuate(plain, 5))


# --- centre-surround ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ITTI_1998, [0, 0.25, 0.75, 1, 1]),
        (EVEN, [0, 0.5, 1, 1, 1]),
        (REPLICATE, [0, 0, 1, 1, 1]),  # the last block is stretched
    ],
    ids=["centred", "even", "replicate"],
)
def test_upsample_by_hand(config, expected):
    x = np.array([[0.0], [1.0]])
    within("hand", reference.upsample(x, (5, 1), 1, config)[:, 0], expected)
    within("hand", reference.upsample(x.T, (1, 5), 1, config)[0], expected)


def test_a_one_pixel_surround_is_a_constant():
    for config in (ITTI_1998, EVEN, REPLICATE):
        got = reference.upsample(np.array([[0.3]]), (17, 20), 4, config)
        within("hand", got, np.full((17, 20), 0.3))


def test_centre_surround_signs():
    centre, surround = np.array([[1.0, 5.0]]), np.array([[3.0]])
    config = replace(UNFADED, orientation_contrast="rectified")

    def maps(config, rectifiable):
        made = reference.centre_surround(centre, surround, 3, rectifiable, config)
        return [x.tolist() for x in made]

    assert maps(UNFADED, False) == [[[2, 2]]]
    assert maps(UNFADED, True) == [[[2, 2]]]
    assert maps(config, False) == [[[2, 2]]]
    assert maps(config, True) == [[[0, 2]]]
    for rectifiable in (False, True):
        assert maps(replace(config, split_cs=True), rectifiable) == [[[0, 2]], [[2, 0]]]


def test_only_orientation_may_be_rectified(photo):
    absolute, rectified = (
        reference.trace(photo, replace(ITTI_1998, orientation_contrast=sign))
        for sign in ("absolute", "rectified")
    )
    for name in (name for name in absolute if name.endswith("/2-5")):
        same = np.array_equal(absolute[name], rectified[name])
        assert same == ("orientation" not in name), name


def test_centre_surround_fades_a_twentieth_of_the_longer_side():
    centre, surround = np.ones((20, 40)), np.zeros((2, 5))
    (got,) = reference.centre_surround(centre, surround, 3, False, ITTI_1998)
    within("hand", got, reference.attenuate(centre, 2))


def downsampled(x, level, config):
    """From its level to level 4, a step of the pyramid at a time."""
    kernel = {5: reference.TAPS_5, 9: reference.TAPS_9}[config.reduction_taps]
    for _ in range(level, 4):
        x = reference.downsample(x, config, kernel)
    return x


@pytest.mark.parametrize("taps", [5, 9])
def test_maps_reach_level_4_by_the_pyramids_step(taps, photo):
    config = replace(ITTI_1998, reduction_taps=taps)
    trace = reference.trace(photo[:147, :200], config)
    for pair in ("2-5", "3-6", "4-7"):
        contrast = trace[f"contrast/red_green/{pair}"]
        wanted = downsampled(contrast, int(pair[0]), config)
        assert np.array_equal(trace[f"centre_surround/red_green/{pair}"], wanted)


# --- the operator N ----------------------------------------------------------------------------


def n_of(x, config=ITTI_1998, **options):
    """N of one map, a signal of size 1."""
    return reference.normalise([np.asarray(x, float)], 1.0, config, **options)


@pytest.mark.parametrize("config", [ITTI_1998, INVT, NONE, ITERATIVE])
def test_flat_maps_become_zero(config):
    ramp = np.linspace(0, 2e-6, 48).reshape(6, 8)
    assert not n_of(0.99 * ramp, config).any()
    assert n_of(1.01 * ramp, config).any()
    assert not reference.normalise([1.99 * ramp], 2.0, config).any()  # a larger signal


def test_flat_needs_no_peak_at_zero_scale():
    assert not reference.normalise([np.zeros((6, 8))], 0.0, ITTI_1998).any()


def test_none_only_rescales():
    within("hand", n_of([[3.0, 4.0, 7.0]], NONE), [[0, 0.25, 1]])


def test_n_clips_negatives_first():
    x = with_peaks(4, 2)
    within("hand", n_of(np.where(x == 0, -3, x)), n_of(x))


def test_n_ignores_offset_and_gain():
    x = with_peaks(10, 3, 2)
    within("hand", n_of(7 + 0.3 * x), n_of(x))


MAXNORM = [  # peaks, and the factor: others' mean (P98), everyone's mean (iNVT)
    ((10,), 100, 100),
    ((10, 2), 64, 16),
    ((10, 2, 4), 49, (10 - 16 / 3) ** 2),
    ((10, 10), 0, 0),
    ((10, 0.99), 100, 100),  # below a tenth: no peak
    ((10, 1), 81, (10 - 5.5) ** 2),
]


@pytest.mark.parametrize(("peaks", "others", "everyone"), MAXNORM)
def test_maxnorm_factor(peaks, others, everyone):
    x = with_peaks(*peaks)
    within("hand", n_of(x), x * others)
    within("hand", n_of(x, replace(ITTI_1998, peak_mean="all")), x * everyone)


def test_maxnorm_looks_at_interior_peaks_only():
    x = with_peaks(4, 4)
    x[0, 5] = 10
    within("hand", n_of(x), x * 36)  # the maximum is at the border: both 4s are others
    within("hand", n_of(x, replace(ITTI_1998, peak_mean="all")), x * 36)
    x = np.zeros((12, 16))
    x[0, 5] = 10
    within("hand", n_of(x), x * 100)
    within("hand", n_of(x, replace(ITTI_1998, peak_mean="all")), x)  # iNVT: left as it is


def test_maxnorm_threshold_and_range_follow_the_rescaled_map():
    x = 5 + with_peaks(10, 3)
    within("hand", n_of(x), (x - 5) * 49)


def test_invt_counts_every_sample_of_a_plateau():
    x = with_peaks(10)
    x[7, 7:9] = 4
    within("hand", n_of(x, replace(ITTI_1998, peak_mean="all")), x * 16)  # mean of 10, 4, 4


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2, 2), (1, 3), (3, 2)])
def test_a_plateau_is_one_peak(shape):
    """An object half-way between samples gives equal neighbours: one peak, not rivals."""
    x = np.zeros((12, 16))
    x[5 : 5 + shape[0], 6 : 6 + shape[1]] = 10
    within("hand", n_of(x), x * 100)
    if max(shape) == 2:  # longer ones count for a little more than one
        x[2, 2] = 4
        within("hand", n_of(x), x * 36)


@pytest.mark.parametrize("seed", range(20))
def test_n_never_exceeds_its_range(seed):
    """Whatever plateaus touch, and wherever they lie, the factor stays within M^2."""
    rng = np.random.default_rng(seed)
    x = np.kron(rng.integers(0, 4, (5, 6)), np.ones((2, 3))) + rng.normal(0, 1e-4, (10, 18))
    assert 0 <= n_of(x).max() <= 1000 * (1 + 1e-12)


def test_ties_count_alike_in_every_direction():
    x = with_peaks(10, 6, 4)
    x[7, 9] = 6 - 1e-4
    wanted = n_of(x)
    for turn in (np.fliplr, np.flipud, np.transpose):
        within("hand", turn(n_of(turn(x))), wanted)


@pytest.mark.parametrize("bits", range(16))
def test_a_plateau_is_one_peak_whatever_its_last_bits(bits):
    """Rounding may raise any of four equal samples, two on a diagonal among them."""
    x = np.zeros((12, 16))
    raised = np.array([bits >> k & 1 for k in range(4)]).reshape(2, 2)
    x[5:7, 6:8] = np.where(raised, 1.0, np.nextafter(1.0, 0))
    assert n_of(x).max() == pytest.approx(1000)


def test_final_n_has_range_two():
    x = with_peaks(10, 5)
    got = n_of(x, replace(ITTI_1998, peak_mean="all"), first=False, to=2.0)
    within("hand", got, x / 5 * (2 - 1.5) ** 2)


def test_split_halves_share_one_range():
    on, off = with_peaks(10, 2), with_peaks(1e-9, 1e-9, shape=(12, 16))[::-1]
    within("hand", reference.normalise([on, off], 1.0, SPLIT), n_of(on) + 0 * off)
    both = reference.normalise([on, 0.5 * on[:, ::-1]], 1.0, SPLIT)
    assert both[:, ::-1].max() > both.min()
    assert np.unravel_index(both.argmax(), both.shape) == (1, 1)


def test_split_half_with_the_lesser_peak_is_still_judged_by_its_own():
    """A lone peak of 9.4 must not count as its own rival because the other half has a 10."""
    lone, crowd = with_peaks(9.4), with_peaks(0, 0, 0, 10, 10, 10, 10)
    got = reference.normalise([lone, crowd], 1.0, SPLIT)
    alone = reference.normalise([lone, 0 * lone], 1.0, SPLIT)
    assert got[1, 1] >= 0.8 * alone[1, 1]
    assert not got[crowd > 0].any()


def test_gaussian_kernel():
    kernel = reference.gaussian(0.5, 0.8, (32, 40))
    i = np.arange(-2, 3)  # floor(0.8 sqrt(-2 ln 0.01)) = 2
    within("hand", kernel, 0.5 / (0.8 * np.sqrt(2 * np.pi)) * np.exp(-(i**2) / 1.28))
    assert len(reference.gaussian(1.5, 10, (64, 80))) == 61
    assert len(reference.gaussian(1.5, 10, (32, 40))) == 31  # capped at min / 2 - 1 a side
    assert len(reference.gaussian(1.5, 1, (3, 40))) == 7  # a cap of 0 is no cap


def test_iterate_step_by_hand():
    """One step at the middle of a lone sample: every term is known."""
    x = np.zeros((31, 41))
    x[15, 20] = 1.0
    excite, inhibit = 0.5 / (0.82 * np.sqrt(2 * np.pi)), 1.5 / (10.25 * np.sqrt(2 * np.pi))
    expected = 1 + excite**2 - inhibit**2 - 0.02
    assert reference.iterate(x, 1)[15, 20] == pytest.approx(expected)


def test_iterative_rescales_at_the_first_stage_only():
    x = with_peaks(4, 2, 1)
    within("order", n_of(3 * x, ITERATIVE), n_of(x, ITERATIVE))
    later = n_of(x, ITERATIVE, first=False)
    within("order", later, reference.iterate(x, 3))
    within("order", n_of(3 * x, ITERATIVE, first=False), 3 * later)
    final = n_of(x, ITERATIVE, first=False, to=2.0)
    within("order", final, reference.iterate(x / 2, 3))


# --- the whole model ---------------------------------------------------------------------------


def names(config, levels=9, pairs=6, colour=True, past=False):
    """What a trace holds, from the documentation of `reference.trace`."""
    every = ["2-5", "2-6", "3-6", "3-7", "4-7", "4-8"][:pairs]
    features = ["intensity", *(["red_green", "blue_yellow"] if colour else [])]
    planes = [*features, *["flicker"] * past]
    features += [f"orientation_{theta}" for theta in ORIENTATIONS]
    features += ["flicker", *(f"motion_{d}" for d in DIRECTIONS)] if past else []
    channels = [
        c
        for c in Channel
        if (colour or c is not Channel.COLOUR)
        and (past or c not in TEMPORAL)
        and c is not Channel.WHITENED
    ]
    halves = ("/on", "/off") if config.split_cs else ("",)
    laplacian = config.orientation_pyramid is OrientationPyramid.LAPLACIAN
    kinds = ["contrast"] + ["centre_surround"] * (not config.normalise_before_reduction)
    return {
        *(f"pyramid/{p}/{s}" for p in planes for s in range(levels)),
        *(f"orientation_pyramid/{s}" for s in range(2, levels) if laplacian),
        *(f"orientation/{t}/{s}" for t in ORIENTATIONS for s in range(2, levels)),
        *(f"motion/{d}/{s}" for d in DIRECTIONS for s in range(2, levels) if past),
        *(f"{k}/{f}/{p}{h}" for k in kinds for f in features for p in every for h in halves),
        *(f"normalised/{f}/{p}" for f in features for p in every),
        *(f"{k}/{f}" for k in ("feature", "weighted") for f in features),
        *(f"{k}/{c}" for k in ("conspicuity", "contribution") for c in channels),
        "saliency",
    }


@pytest.mark.parametrize(
    "config",
    [ITTI_1998, SPLIT, INVT, replace(ITTI_1998, normalise_before_reduction=True)],
    ids=["itti1998", "split", "invt", "before"],
)
def test_trace_names_and_forty_two_maps(config, photo):
    trace = reference.trace(photo, config)
    assert set(trace) == names(config)
    assert sum(name.startswith("normalised/") for name in trace) == 42
    assert all(trace[name].shape == (16, 20) for name in trace if name.startswith("normalised"))
    assert all(x.dtype == np.float64 for x in trace.values())
    grey = reference.trace(photo[..., 0], config)
    assert set(grey) == names(config, colour=False)
    small = reference.trace(photo[:100, :80], replace(config, small_frames="drop"))
    assert set(small) == names(config, levels=7, pairs=3)


@pytest.mark.parametrize(
    "config",
    [FIVE, replace(FIVE, split_cs=True), replace(INVT, weights=FIVE.weights)],
    ids=["video", "split", "invt"],
)
def test_trace_names_and_seventy_two_maps_of_a_frame_with_a_past(config, photo):
    before = reference.trace(photo, config)
    assert set(before) == names(config)
    past = reference.passed(before, config)
    trace = reference.trace(photo[:, ::-1], config, past=past)
    assert set(trace) == names(config, past=True)
    assert sum(name.startswith("normalised/") for name in trace) == 72
    assert all(x.dtype == np.float64 for x in trace.values())
    grey = photo[..., 0]
    past = reference.passed(reference.trace(grey, config), config)
    trace = reference.trace(grey[::-1], config, past=past)
    assert set(trace) == names(config, colour=False, past=True)


def test_trace_names_of_whitening_and_figures(photo):
    """What the presets `whitened` and `gaze` add, from the same documentation."""
    planes = ["intensity", "red_green", "blue_yellow"]
    energies = [f"{p}/{t}" for p in planes for t in ORIENTATIONS]
    got = set(reference.trace(photo, WHITENED))
    assert got == {
        *(f"pyramid/{p}/{s}" for p in planes for s in range(9)),
        "statistics/planes",
        *(f"whitened/{p}/{s}" for p in planes for s in range(2, 6)),
        *(
            f"{kind}/{e}/{s}"
            for kind in ("whitened", "scale")
            for e in energies
            for s in (2, 3, 4, 5)
        ),
        *(f"statistics/{e}" for e in energies),
        *(f"feature/whitened_{e.replace('/', '_')}" for e in energies),
        "conspicuity/whitened",
        "contribution/whitened",
        "saliency",
    }
    assert set(reference.trace(photo, GAZE)) == names(GAZE) | {
        "statistics/planes",
        *(f"whitened/{p}/3" for p in planes),
        *(f"surroundedness/{p}/{side}" for p in planes for side in ("on", "off")),
        "figure",
        "corners",
        "contribution/figure",
    }


TIERS = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "split": SPLIT,
    "iterative": ITERATIVE,
    "none": NONE,
    "opponents": replace(ITTI_1998, normalise_opponents=True),
    "before": replace(ITTI_1998, normalise_before_reduction=True),
    "weights": Config(weights={"intensity": 1, "colour": 3}),
    "weighted": Config(
        feature_weights={"blue_yellow": 4, "orientation_0": 4, "orientation_135": 0}
    ),
    "five": FIVE,
    "video": VIDEO,
    "video_invt": replace(INVT, weights=dict.fromkeys(Channel, 1), smoothing="ema"),
}


# Relative to the largest of the channel; the others are 1 of 4.
WEIGHED = {"intensity": 1, "blue_yellow": 1, "orientation_0": 1, "orientation_135": 0}


@pytest.mark.parametrize("name", TIERS)
def test_the_order_of_the_sums(name, photo):
    """Section 7, from the centre-surround maps to the saliency map, one tier after another."""
    config, past = TIERS[name], None
    if config.remembers:
        past = reference.passed(reference.trace(photo[::-1], config), config)
    trace = reference.trace(photo, config, past=past)
    brightest = trace["pyramid/intensity/0"].max()
    weights = config.channel_weights(past=past is not None)

    def later(x, **options):
        return reference.normalise([x], 1.0, config, first=False, **options)

    sums = dict.fromkeys(weights, 0.0)
    for feature, channel, *_ in FEATURES:
        if channel not in weights:
            assert f"feature/{feature}" not in trace
            continue
        total = 0.0
        for pair in ("2-5", "2-6", "3-6", "3-7", "4-7", "4-8"):
            halves = ("/on", "/off") if config.split_cs else ("",)
            maps = [trace[f"contrast/{feature}/{pair}{half}"] for half in halves]
            scale = {"colour": 1.0, "motion": brightest**2}.get(channel.value, brightest)
            if config.normalise_before_reduction:
                x = reference.normalise(maps, scale, config)
                x = downsampled(x, int(pair[0]), config)
            else:
                maps = [downsampled(x, int(pair[0]), config) for x in maps]
                for x, half in zip(maps, halves, strict=True):
                    assert np.array_equal(x, trace[f"centre_surround/{feature}/{pair}{half}"])
                x = reference.normalise(maps, scale, config)
            within("order", trace[f"normalised/{feature}/{pair}"], x)
            total = total + x
        within("order", trace[f"feature/{feature}"], total)
        opponents = channel is Channel.COLOUR and config.normalise_opponents
        again = channel in (Channel.ORIENTATION, Channel.MOTION) or opponents
        relative = {"weighted": WEIGHED.get(feature, 0.25)}.get(name, 1)
        weighted = relative * (later(total) if again else total)
        within("order", trace[f"weighted/{feature}"], weighted)
        sums[channel] = sums[channel] + weighted
    if Channel.WHITENED in weights:
        distances = [x for name, x in trace.items() if name.startswith("feature/whitened_")]
        assert len(distances) == 12
        border = max(distances[0].shape) // 20
        sums[Channel.WHITENED] = sum(reference.attenuate(x, border) for x in distances)
    terms = {channel: weight * later(sums[channel]) for channel, weight in weights.items()}
    if config.figure:
        for channel in terms:
            own = reference.MOVING_FIGURE * (channel in TEMPORAL)
            terms[channel] = terms[channel] * (trace["figure"] + own)
    total = saliency = sum(terms.values())
    if config.normalise_saliency:
        saliency = later(total, to=2.0)
    share = saliency / np.where(total > 0, total, 1)
    if config.figure:
        share = share * trace["corners"] / reference.PROMOTION
        saliency = (trace["figure"] + saliency / reference.PROMOTION) * trace["corners"]
    for channel, term in terms.items():
        within("order", trace[f"conspicuity/{channel}"], sums[channel])
        within("order", trace[f"contribution/{channel}"], term * share)
    if config.smoothing == "ema":
        saliency = 0.9 * past.saliency + 0.1 * saliency
    within("order", trace["saliency"], saliency)
    assert trace["saliency"].max() > 0


def test_stages_in_order_add_what_the_trace_holds(photo):
    """Each stage by itself adds the names that are its own."""
    stages = reference.Stages(reference.to_unit(photo), GAZE, None, 0.04, {}, {})
    added = {}
    for stage in STAGES:
        before = set(stages.out)
        getattr(stages, stage)()
        added[stage] = {name.split("/")[0] for name in set(stages.out) - before}
    assert added == {
        "opponency": {"pyramid"},
        "pyramid": {"pyramid"},
        "orientation": {"orientation"},
        "motion": set(),
        "whiten": {"statistics", "whitened"},
        "figure": {"surroundedness", "figure", "corners"},
        "centre_surround": {"contrast", "centre_surround"},
        "normalise": {"normalised"},
        "combine": {"feature", "weighted", "conspicuity", "contribution", "saliency"},
    }
    for name, x in reference.trace(photo, GAZE).items():
        assert np.array_equal(x, stages.out[name]), name


def test_contrast_takes_the_levels_of_its_pair(photo):
    trace = reference.trace(photo, UNFADED)
    centre, surround = trace["pyramid/red_green/3"], trace["pyramid/red_green/7"]
    expected = abs(centre - reference.upsample(surround, centre.shape, 4, UNFADED))
    assert np.array_equal(trace["contrast/red_green/3-7"], expected)
    centre, surround = trace["orientation/135/2"], trace["orientation/135/5"]
    expected = abs(centre - reference.upsample(surround, centre.shape, 3, UNFADED))
    assert np.array_equal(trace["contrast/orientation_135/2-5"], expected)


def test_split_halves_add_up_to_the_absolute_contrast(photo):
    past = reference.passed(reference.trace(photo[:, ::-1]), ITTI_1998)
    split, whole = (
        reference.trace(photo, config, past=past) for config in (replace(FIVE, split_cs=True), FIVE)
    )
    for feature in (feature.name for feature in FEATURES):
        on, off = (split[f"contrast/{feature}/2-6/{half}"] for half in ("on", "off"))
        within("hand", on + off, whole[f"contrast/{feature}/2-6"])
        assert not (on * off).any()
        assert on.any()
        assert off.any()


def test_linear_decodes_the_frame_first(photo):
    frame = photo[:64, :64] / 255
    light = np.where(frame <= 0.04045, frame / 12.92, ((frame + 0.055) / 1.055) ** 2.4)
    linear = reference.saliency(frame, replace(ITTI_1998, linear=True))
    within("order", linear, reference.saliency(light))
    assert abs(linear - reference.saliency(frame)).max() > 0.01 * linear.max()


def test_saliency_is_the_last_of_the_trace(photo):
    assert np.array_equal(reference.saliency(photo), reference.trace(photo)["saliency"])


def test_the_reference_refuses_small_frames():
    with pytest.raises(ValueError, match=r"31x40.*at least 32"):
        reference.trace(np.zeros((40, 31)))


# --- pitfalls: section 11 ----------------------------------------------------------------------


def test_pitfall_01_uint8_arithmetic(raw_map, photo):
    """200 + 100 + 200 does not fit a byte."""
    frame = np.full((96, 128, 3), (60, 50, 40), np.uint8)
    frame[40:56, 70:86] = (200, 100, 200)
    for image in (frame, photo):
        within("scaled_input", raw_map(image), raw_map(image / np.float32(255)))
        within("scaled_input", raw_map(image.astype(np.uint16) * 257), raw_map(image))
    assert raw_map(frame).max() > 0


@pytest.mark.parametrize("colour", [*COLOURS.values(), (0, 0, 0), (0.2, 0.4, 0.6), (0.1, 0.7, 0.3)])
def test_pitfall_02_constant_image(raw_map, colour):
    frame = stimuli.canvas(colour, 239, 321)
    raw = raw_map(frame)
    assert not raw.any()
    assert not fixations(raw, frame.shape[:2])


@pytest.mark.parametrize("config", [ITTI_1998, INVT, SPLIT, ITERATIVE, NONE])
def test_pitfall_02_constant_image_of_odd_size(raw_map, config):
    assert not raw_map(stimuli.canvas((0.3, 0.9, 0.7), 479, 641), config).any()


@pytest.mark.parametrize("config", [ITTI_1998, SPLIT, INVT])
def test_pitfall_03_grey_image_has_no_colour(traced, photo, config):
    trace = traced(np.repeat(photo[..., :1], 3, 2), config)
    for name, x in trace.items():
        if "red_green" in name or "blue_yellow" in name or "colour" in name:
            assert not x.any(), name
    assert "conspicuity/colour" in trace
    assert trace["saliency"].any()


@pytest.mark.parametrize("colour", COLOURS)
def test_pitfall_04_uniform_colour_has_no_contrast(traced, colour):
    """Eqs. 2-3 as P98 prints them answer to uniform red."""
    trace = traced(stimuli.canvas(COLOURS[colour], 128, 160))
    maps = [x for name, x in trace.items() if name.startswith(("contrast", "centre_surround"))]
    assert maps
    for x in maps:
        within("equal_colour", x, np.zeros_like(x))


def test_pitfall_05_luminance_does_not_leak_into_orientation(traced, rng):
    frame = rng.random((64, 96)).astype(np.float32) * np.float32(0.6)
    dim, bright = traced(frame), traced(frame + np.float32(0.3))
    oriented = [name for name in dim if name.startswith("orientation/")]
    assert len(oriented) == 4 * 5  # levels 2 to 6
    for name in oriented:
        within("leak", bright[name], dim[name])


def test_pitfall_05_ramps_have_no_orientation():
    y, x = np.mgrid[:64, :64] / 64
    for energy in reference.orientation(0.3 * x + 0.7 * y, ITTI_1998).values():
        inner = energy[16:-16, 16:-16]
        within("ramp", inner, np.zeros_like(inner))


@pytest.mark.parametrize("angle", ORIENTATIONS)
def test_pitfall_06_angles(angle):
    image = stimuli.canvas(height=128, width=128)
    stimuli.bar(image, (64, 64), angle, length=40, breadth=2)
    energy = reference.orientation(image[..., 0], UNFADED)
    assert max(energy, key=lambda theta: energy[theta].max()) == angle
    middle = {theta: x[60:69, 60:69].max() for theta, x in energy.items()}  # not the bar's ends
    assert all(x <= 0.13 * middle[angle] for theta, x in middle.items() if theta != angle)


@pytest.mark.parametrize("angle", ORIENTATIONS)
def test_pitfall_06_angles_in_a_frame(traced, angle):
    """45 is a backslash on screen: its wave vector points down and to the left."""
    image = stimuli.canvas(height=256, width=256)
    stimuli.bar(image, (127.5, 127.5), angle, length=160, breadth=8)
    trace = traced(image)
    sums = {theta: trace[f"orientation/{theta}/2"][16:48, 16:48].sum() for theta in ORIENTATIONS}
    assert max(sums, key=sums.get) == angle


@pytest.mark.parametrize("theta", ORIENTATIONS)
def test_pitfall_06_energy_does_not_beat(theta):
    """A grating of pi/2 rad/px has the same energy wherever its phase stands."""
    phi = np.deg2rad(theta + 90)
    y, x = np.mgrid[:48, :48]
    energies = []
    for step in range(12):
        wave = np.cos(np.pi / 2 * (np.cos(phi) * x + np.sin(phi) * y) + step * np.pi / 6)
        energies.append(reference.orientation(wave, UNFADED)[theta][16:-16, 16:-16])
    middle = np.full_like(energies, (np.max(energies) + np.min(energies)) / 2)
    within("phase", energies, middle)


def test_pitfall_07_alignment():
    """Centre and surround of a ramp agree; block replication is off by 14 on average."""
    ramp = np.tile(np.arange(512.0), (512, 1))

    def contrast(config):
        levels = reference.pyramid(ramp, config)
        config = replace(config, border_attenuation=False)
        maps = reference.centre_surround(levels[2], levels[5], 3, False, config)
        return maps[0][40:88, 40:88]

    for config in (ITTI_1998, EVEN):
        within("ramp", contrast(config), np.zeros((48, 48)))
    wrong = contrast(REPLICATE)
    assert wrong.mean() == pytest.approx(14)
    assert wrong.max() == pytest.approx(28)


@pytest.mark.parametrize("config", [ITTI_1998, EVEN], ids=["centred", "even"])
def test_pitfall_07_alignment_of_every_pair(traced, config):
    """The same for all pairs, in both directions, through each backend."""
    for axis in (0, 1):
        ramp = np.linspace(0, 1, 1024, dtype=np.float32)
        frame = np.ascontiguousarray(np.broadcast_to(ramp[:, None], (1024, 1024)))
        trace = traced(frame if axis == 0 else np.ascontiguousarray(frame.T), config)
        for pair in ("2-5", "2-6", "3-6"):
            inner = trace[f"centre_surround/intensity/{pair}"][24:40, 24:40]
            within("ramp", inner, np.zeros((16, 16)))


def test_pitfall_08_sizes_go_by_powers_of_two(raw_map):
    """An odd last row and column must not stretch the grid."""
    image = np.repeat(stimuli.texture(479, 641, 5)[..., None], 3, 2)
    image[200:230, 300:330] *= (1.0, 0.4, 0.4)
    odd, even = raw_map(image), raw_map(np.ascontiguousarray(image[:478, :640]))
    alike("cropped", odd[3:-3, 3:-3], even[3:-3, 3:-3])


def test_pitfall_09_opponency_keeps_its_sign(traced):
    frame = stimuli.canvas((0.8, 0, 0), 128, 128)
    frame[:, 64:] = (0, 0.8, 0)
    level = traced(frame)["pyramid/red_green/4"]
    assert level[:, :2].min() > 1
    assert level[:, -2:].max() < -1
    frame[:, :64], frame[:, 64:] = (0, 0, 0.8), (0.8, 0.8, 0)
    level = traced(frame)["pyramid/blue_yellow/4"]
    assert level[:, :2].min() > 1
    assert level[:, -2:].max() < -1


def border_ratio(raw_map, config):
    """Mean saliency of noise in the outer two samples over that inside, 12 seeds."""
    outer = inner = 0.0
    for seed in range(12):
        noise = np.random.default_rng(seed).random((256, 320, 3), dtype=np.float32)
        raw = raw_map(noise, config)
        inside = raw[2:-2, 2:-2]
        inner += inside.mean()
        outer += (raw.sum() - inside.sum()) / (raw.size - inside.size)
    return outer / inner


def test_pitfall_10_the_border_is_not_salient(raw_map):
    assert border_ratio(raw_map, ITTI_1998) <= 1


def test_pitfall_10_the_border_is_salient_without_attenuation(raw_map):
    assert border_ratio(raw_map, UNFADED) > 1


@pytest.mark.parametrize("config", [ITTI_1998, UNFADED, INVT])
def test_pitfall_10_white_has_no_border(raw_map, config):
    assert not raw_map(stimuli.canvas(stimuli.WHITE, 150, 203), config).any()


def test_pitfall_11_one_peak_is_promoted_and_many_alike_vanish():
    one = n_of(with_peaks(3.0))
    assert one.max() == pytest.approx(1000)
    many = with_peaks(*[3.0] * 24)
    assert (many > 0).sum() == 24
    assert not n_of(many).any()


@pytest.mark.parametrize(
    ("peaks", "mean", "factor"),
    [((10, 2), "others", 64), ((10, 2), "all", 16), ((10,), "others", 100), ((10,), "all", 100)],
)
def test_pitfall_12_n_rule(peaks, mean, factor):
    x = with_peaks(*peaks)
    within("hand", n_of(x, replace(ITTI_1998, peak_mean=PeakMean(mean))), x * factor)


@pytest.mark.parametrize("gain", [0.5, 0.25])
def test_pitfall_13_exposure(raw_map, photo, gain):
    """With the frame's own maximum for the hue threshold, exposure changes nothing."""
    frame = photo / np.float32(255)
    within("same_maths", raw_map(frame * np.float32(gain)), raw_map(frame))
    fixed = replace(ITTI_1998, hue_reference="fixed")
    dim, bright = raw_map(frame * np.float32(gain), fixed), raw_map(frame, fixed)
    assert correlation(dim, bright) < 0.9999


def test_pitfall_14_iterative_known_answers():
    y, x = np.mgrid[:32, :40]
    peak = 10 * np.exp(-((y - 16) ** 2 + (x - 20) ** 2) / (2 * 1.5**2))
    for iterations, known in ((1, 11.25), (3, 14.39), (10, 34.4)):
        out = reference.iterate(peak, iterations)
        places = len(str(known).split(".")[1])
        assert round(out.max(), places) == known
        assert out.min() >= 0


def test_pitfall_14_iterative_does_not_wrap_around():
    y, x = np.mgrid[:32, :40]
    edge = 10 * np.exp(-((y - 16) ** 2 + x**2) / (2 * 1.5**2))
    for iterations in (1, 3, 10):
        assert not reference.iterate(edge, iterations)[:, -5:].any()


VIEWS = {
    "negative strides": lambda frame: frame[::-1, ::-1].copy()[::-1, ::-1],
    "every other column": lambda frame: np.repeat(frame, 2, axis=1)[:, ::2],
    "planar": lambda frame: np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0),
    "fortran": np.asfortranarray,
    "inside a larger array": lambda frame: np.pad(frame, ((3, 3), (5, 5), (0, 1)))[3:-3, 5:-5, :3],
}


@pytest.mark.parametrize("view", VIEWS)
def test_pitfall_17_views(raw_map, photo, view):
    strided = VIEWS[view](photo)
    assert not strided.flags.c_contiguous
    before = strided.copy()
    assert np.array_equal(raw_map(strided), raw_map(photo))
    assert np.array_equal(strided, before)


def test_pitfall_17_read_only(raw_map, photo):
    assert not photo.flags.writeable
    raw = raw_map(photo)
    writeable = photo.copy()
    assert np.array_equal(raw_map(writeable), raw)
    assert np.array_equal(writeable, photo)


@pytest.mark.parametrize("config", [ITTI_1998, INVT, SPLIT], ids=["itti1998", "invt", "split"])
def test_pitfall_18_transpose(raw_map, photo, config):
    flipped = np.ascontiguousarray(photo.swapaxes(0, 1))
    within("same_maths", raw_map(flipped, config).T, raw_map(photo, config))


def test_pitfall_18_transpose_swaps_orientations(traced, photo):
    upright, flipped = traced(photo), traced(np.ascontiguousarray(photo.swapaxes(0, 1)))
    for theta, turned in ((0, 90), (90, 0), (45, 45), (135, 135)):
        wanted = upright[f"feature/orientation_{theta}"]
        within("same_maths", flipped[f"feature/orientation_{turned}"].T, wanted)


def test_an_object_half_way_between_samples_is_seen(raw_map):
    """A disc in the middle of a frame lies between samples: their tie is one peak."""
    for shape in ((256, 256), (240, 320), (512, 256)):
        image = stimuli.canvas(height=shape[0], width=shape[1])
        middle = (shape[0] - 1) / 2, (shape[1] - 1) / 2
        stimuli.disc(image, middle, radius=20)
        raw = raw_map(image)
        assert raw.max() > 500  # intensity in full, 333, and more than half of orientation
        assert np.hypot(*np.subtract(fixations(raw, shape, n=1)[0], middle)) <= 16


# --- the prior of place ------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["centred", "even"])
def test_the_centre_prior_is_a_gaussian_of_each_side(photo, phase):
    config = replace(ITTI_1998, phase=phase)
    plain, with_prior, wide = (
        reference.trace(photo, replace(config, centre_prior=deviation))["saliency"]
        for deviation in (0, 0.28, 1e6)
    )
    height, width = photo.shape[:2]
    for row, column in ((0, 0), (2, 5), (plain.shape[0] - 1, 1)):
        first = 0 if phase == "even" else 7.5  # pixel of the first sample
        y, x = ((16 * row + first + 0.5) / height), ((16 * column + first + 0.5) / width)
        factor = np.exp(-((y - 0.5) ** 2 + (x - 0.5) ** 2) / (2 * 0.28**2))
        assert with_prior[row, column] == pytest.approx(plain[row, column] * factor, rel=1e-12)
    np.testing.assert_allclose(wide, plain, rtol=1e-9)
