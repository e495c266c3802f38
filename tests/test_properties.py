"""Properties that the model has whatever its numbers are, for every backend."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import stimuli
from attention import pixel
from conftest import model
from readings import READINGS as PRESETS
from tolerances import correlation, no_sum_is_negative, within

from ittisal import GAZE, INVT, ITTI_1998, Config, Saliency
from ittisal.features import CHANNELS, ORIENTATIONS

CLAMPED = replace(ITTI_1998, small_frames="clamp")
READINGS = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "split": replace(ITTI_1998, split_cs=True),
    "walther": replace(ITTI_1998, opponency="walther"),
    "unfaded": replace(ITTI_1998, border_attenuation=False),
    "iterative": replace(ITTI_1998, normalisation="iterative"),
    "gaze": GAZE,
}


# --- nothing to see ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (61, 131)])
@pytest.mark.parametrize("reading", READINGS)
def test_constant_frames_give_exactly_zero(raw_map, reading, shape, rng):
    """Colours picked at random, as float and as bytes, at awkward sizes."""
    for colour in rng.random((3, 3)):
        frame = stimuli.canvas(colour, *shape)
        assert not raw_map(frame, READINGS[reading]).any()
        assert not raw_map(np.uint8(frame * 255), READINGS[reading]).any()
        rounded = frame * (1 + rng.uniform(-1, 1, frame.shape) * 2.0**-24)
        assert not raw_map(np.float32(rounded), READINGS[reading]).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_constant_grey_frames_give_exactly_zero(raw_map, dtype):
    full = 1 if dtype is np.float32 else np.iinfo(dtype).max
    for level in (0, full // 3 if full > 1 else 1 / 3, full):
        assert not raw_map(np.full((61, 203), level, dtype)).any()


# --- contributions -----------------------------------------------------------------------------

CONTRIBUTED = {
    **PRESETS,
    "iterative": replace(INVT, normalisation="iterative"),
    "gaze_invt": replace(GAZE, normalise_saliency=True),
}


@pytest.mark.parametrize("name", CONTRIBUTED)
def test_contributions_add_up_to_the_map(backend, name, photo):
    """Also where the sum is normalised again, and of a frame in which nothing stands out."""
    run = model(backend, photo.shape[:2], CONTRIBUTED[name])
    for frame in (photo, np.full_like(photo, 90)):
        saliency, added = run(frame), run.contributions()
        within("same_maths", sum(added.values()), saliency)
        assert all((x >= 0).all() for x in added.values())


@pytest.mark.parametrize("name", CONTRIBUTED)
def test_no_sum_rounds_to_below_0(backend, name, photo):
    """Of noise, and of a box on white, whose faded maps are lowest in their middle."""
    box = np.full_like(photo, 255)
    box[80:128, 100:160] = 200, 40, 90
    noise = np.random.default_rng(5).random(photo.shape, np.float32)
    run = model(backend, photo.shape[:2], CONTRIBUTED[name])
    for frame in (box, noise):
        no_sum_is_negative(run.trace(frame))


# --- little contrast ---------------------------------------------------------------------------


def hot_spot(dtype, channels, sigma, rng):
    """A ramp of 500 counts in 16 bits with a spot of 500 more, or of 8 in 8 bits, on a pedestal."""
    y, x = np.mgrid[:240, :320]
    spot = np.exp(-((y - SPOT[0]) ** 2 + (x - SPOT[1]) ** 2) / (2 * sigma**2))
    pedestal, height, noise = (7000, 500, 3) if dtype != "uint8" else (90, 8, 0)
    counts = pedestal + height * (x / 320 + spot) + noise * rng.standard_normal(x.shape)
    frame = counts / 65535 if dtype == "float32" else np.rint(counts)
    frame = frame.astype(dtype)
    return frame if channels == 1 else np.repeat(frame[..., None], 3, axis=2)


SPOT = (130, 200)


@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [
        *((name, "uint16", 1) for name in PRESETS),
        ("gaze", "uint16", 3), ("gaze", "float32", 1), ("gaze", "uint8", 3),
    ],
)  # fmt: skip
def test_a_hot_spot_is_found_in_a_small_part_of_the_range(raw_map, name, dtype, channels, rng):
    """Small or wide, whatever lies below it."""
    for sigma in (4, 20, 30):
        frame, config = hot_spot(dtype, channels, sigma, rng), PRESETS[name]
        saliency = raw_map(frame, config)
        peak = np.unravel_index(saliency.argmax(), saliency.shape)
        place = pixel(peak, config, max(frame.shape))
        assert saliency.max() > 0 and np.hypot(*(place - SPOT)) <= 24, (sigma, place)


# --- every channel -----------------------------------------------------------------------------

# One frame, three odd things, each for one channel: a bump of light on a grating; a red disc as
# bright as the grating under it; a patch where the grating runs the other way.
ODD = {"intensity": (71.5, 87.5), "colour": (183.5, 119.5), "orientation": (119.5, 231.5)}


def three_odd_things():
    y, x = np.mgrid[:256, :320].astype(float)
    away = {name: np.hypot(y - place[0], x - place[1]) for name, place in ODD.items()}
    along = np.where(away["orientation"] < 28, y, x)
    grey = 0.4 + 0.2 * np.sin(2 * np.pi * (along + 0.5) / 24)
    grey = grey + 0.3 * np.exp(-(away["intensity"] ** 2) / (2 * 20**2))
    frame = np.repeat(grey[..., None], 3, 2)
    frame[away["colour"] < 24] *= (1.6, 0.7, 0.7)  # the same mean
    return frame.astype(np.float32)


def looked_at(x):
    """Where a map is highest, in pixels."""
    return pixel(np.unravel_index(x.argmax(), x.shape))


@pytest.mark.parametrize("name", ODD)
def test_each_channel_sees_its_own_odd_thing_only(traced, name):
    conspicuity = traced(three_odd_things())[f"conspicuity/{name}"]
    assert np.hypot(*(looked_at(conspicuity) - ODD[name])) <= 16
    for other, place in ODD.items():
        if other != name:
            i, j = np.rint((np.array(place) + 0.5) / 16 - 0.5).astype(int)
            assert conspicuity[i, j] < 0.5 * conspicuity.max(), other


@pytest.mark.parametrize("name", ODD)
def test_weights_pick_channels(raw_map, traced, name):
    frame = three_odd_things()
    raw = raw_map(frame, Config(weights={name: 1}))
    assert np.hypot(*(looked_at(raw) - ODD[name])) <= 16
    alone = set(traced(frame, Config(weights={name: 2})))
    assert {n for n in alone if n.startswith("conspicuity/")} == {f"conspicuity/{name}"}


# Of the other channels, flicker and motion are in test_time, whitened in test_figure.
DEFAULT = [channel for channel, traits in CHANNELS.items() if traits.weight > 0]


@pytest.mark.parametrize("channel", DEFAULT)
def test_removing_a_channel_changes_the_map(raw_map, photo, channel):
    config = Config(weights={c: float(c is not channel) for c in DEFAULT})
    assert correlation(raw_map(photo, config), raw_map(photo)) < 0.99


def test_the_map_is_the_weighted_mean_of_its_channels(raw_map, photo):
    weights = {"intensity": 1.0, "colour": 2.0, "orientation": 5.0}
    alone = {name: raw_map(photo, Config(weights={name: 1})) for name in weights}
    wanted = sum(weight / 8 * alone[name] for name, weight in weights.items())
    within("same_maths", raw_map(photo, Config(weights=weights)), wanted)


@pytest.mark.parametrize("theta", ORIENTATIONS)
def test_each_orientation_feature_finds_its_bar(traced, theta):
    frame = stimuli.canvas(height=256, width=256)
    rng = np.random.default_rng(theta)
    centres = [(y + 0.5, x + 0.5) for y in range(63, 200, 64) for x in range(63, 200, 64)]
    chosen = rng.integers(len(centres))
    for k, centre in enumerate(centres):
        stimuli.bar(frame, centre, theta if k == chosen else theta + 90)
    feature = traced(frame)[f"feature/orientation_{theta}"]
    assert np.hypot(*(looked_at(feature) - centres[chosen])) <= 256 / 12


# --- what must not matter ----------------------------------------------------------------------


@pytest.mark.parametrize("reading", ["itti1998", "split", "unfaded", "iterative"])
@pytest.mark.parametrize("gain", [0.5, 0.125])
def test_exposure_does_not_matter(raw_map, photo, reading, gain):
    frame = photo / np.float32(255)
    wanted = raw_map(frame, READINGS[reading])
    within("same_maths", raw_map(frame * np.float32(gain), READINGS[reading]), wanted)


def test_a_grey_frame_is_a_colour_frame_without_its_colour(raw_map, photo):
    """The weights of the channels left sum to one: 1/2 each instead of 1/3."""
    grey = np.ascontiguousarray(photo[..., 1])
    three = np.repeat(grey[..., None], 3, 2)
    within("same_maths", raw_map(three) * 1.5, raw_map(grey))


@pytest.mark.parametrize("reading", READINGS)
def test_rgb_and_bgr(raw_map, photo, reading):
    """To the last bit, which may decide what is a local maximum; sums of floats are rounded."""
    config, photo = READINGS[reading], photo[:99, :131]
    for frame in (photo, (photo / 255).astype(np.float32)):
        swapped = np.ascontiguousarray(frame[..., ::-1])
        right = raw_map(frame, config)
        assert np.array_equal(raw_map(swapped, config, channel_order="bgr"), right)
        assert abs(raw_map(swapped, config) - right).max() > 0.01 * right.max()


def test_options_that_change_the_map(raw_map, photo):
    """Every option does something, and the backend listens to it."""
    photo = photo[:131, :163] // 2  # so that a fixed threshold is another one
    plain = raw_map(photo)
    for option in (
        {"opponency": "invt"}, {"opponency": "walther"}, {"hue_reference": "fixed"},
        {"hue_threshold": 0.4}, {"linear": True}, {"phase": "even"},
        {"orientation_pyramid": "laplacian"}, {"wavenumber": 1.8},
        {"orientation_contrast": "rectified"}, {"upsampling": "replicate"}, {"split_cs": True},
        {"border_attenuation": False}, {"reduction_taps": 9}, {"normalisation": "none"},
        {"normalisation": "iterative"}, {"peak_mean": "all"}, {"normalise_opponents": True},
        {"normalise_saliency": True},
    ):  # fmt: skip
        other = raw_map(photo, replace(ITTI_1998, **option))
        assert other.shape == plain.shape
        moved = abs(other / other.max() - plain / plain.max()).max()
        assert moved > 1e-3, option


def test_iterations_count(raw_map, photo):
    maps = [
        raw_map(photo, replace(ITTI_1998, normalisation="iterative", iterations=n))
        for n in (1, 2, 6)
    ]
    for a, b in pairwise(maps):
        assert correlation(a, b) < 0.9999


def test_clamping_adds_pairs_to_small_frames_only(raw_map, photo):
    small = np.ascontiguousarray(photo[:100, :120])
    assert abs(raw_map(small, CLAMPED) - raw_map(small)).max() > 0
    assert np.array_equal(raw_map(photo, CLAMPED), raw_map(photo))


# --- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("shape", "pairs"),
    [
        ((32, 32), 1), ((33, 63), 1), ((32, 2000), 1), ((2000, 32), 1), ((64, 65), 3),
        ((67, 1501), 3), ((127, 128), 3), ((128, 129), 5), ((255, 300), 5), ((256, 257), 6),
    ],
)  # fmt: skip
def test_any_size_from_32_works(backend, shape, pairs, channels, rng):
    """The pairs used, the map's shape, and agreement with the reference, at awkward sizes."""
    frame = rng.integers(0, 90, (*shape, channels), np.uint8)
    y, x = shape[0] // 2, shape[1] // 3
    frame[y : y + 9, x : x + 7, 0] = 250
    run = model(backend, shape)
    assert len(run.plan.pairs) == pairs
    raw = run(frame)
    assert raw.shape == run.map_shape == (shape[0] // 16, shape[1] // 16)
    assert np.isfinite(raw).all()
    assert raw.min() >= 0
    assert raw.max() > 0
    within("float32", raw, model("reference", shape)(frame))
    used = {n.split("/")[2] for n in run.trace(frame) if n.startswith("normalised/intensity/")}
    assert used == {f"{c}-{s}" for c, s in run.plan.pairs}


@pytest.mark.parametrize("shape", [(31, 32), (32, 31), (31, 2000), (1, 1), (0, 64)])
def test_smaller_sizes_are_refused(backend, shape):
    with pytest.raises(ValueError, match=f"{shape[1]}x{shape[0]} pixels.*at least 32"):
        Saliency(shape, backend=backend)
