"""Plan against the reference's geometry, with which it shares no code, and its tables."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from itertools import pairwise, product

import numpy as np
import pytest
from readings import FIVE, READINGS
from tolerances import within

from ittisal import GAZE, INVT, ITTI_1998, WHITENED, Config, plan, reference
from ittisal.config import Phase
from ittisal.features import (
    CHANNELS,
    DIRECTIONS,
    FEATURES,
    ORIENTATIONS,
    TEMPORAL,
    Channel,
    Feature,
    Signal,
)
from ittisal.plan import (
    BINOMIAL_5,
    BINOMIAL_9,
    SLOTS,
    Plan,
    attenuation,
    downsampling_weights,
    inside_sum,
    scatter_weights,
)

SHAPES = [
    (32, 32), (32, 2000), (33, 47), (63, 64), (64, 63), (127, 129), (128, 1000), (240, 320),
    (255, 256), (256, 255), (256, 256), (257, 511), (479, 641), (480, 640), (1080, 1920),
]  # fmt: skip
LENGTHS = [*range(1, 24), 31, 32, 33, 64, 65, 127]
TAPS = {"5": BINOMIAL_5, "9": BINOMIAL_9}


@pytest.mark.parametrize("working_size", [0, 800])
@pytest.mark.parametrize("config", [ITTI_1998, INVT], ids=["drop", "clamp"])
@pytest.mark.parametrize("shape", SHAPES)
def test_levels_and_pairs(shape, config, working_size):
    config = replace(config, working_size=working_size)
    plan = Plan(shape, config)
    pyramid = reference.pyramid(np.zeros(shape), config)
    assert plan.top_level == len(pyramid) - 1 == reference.top_level(shape, config)
    assert [plan.level_shape(level) for level in range(len(pyramid))] == [x.shape for x in pyramid]
    assert plan.map_shape == pyramid[reference.map_level(shape, config)].shape
    assert list(plan.pairs) == reference.pairs(shape, config)


@pytest.mark.parametrize(
    ("side", "pairs"),
    [
        (32, ["2-5"]),
        (63, ["2-5"]),
        (64, ["2-5", "2-6", "3-6"]),
        (127, ["2-5", "2-6", "3-6"]),
        (128, ["2-5", "2-6", "3-6", "3-7", "4-7"]),
        (255, ["2-5", "2-6", "3-6", "3-7", "4-7"]),
        (256, ["2-5", "2-6", "3-6", "3-7", "4-7", "4-8"]),
        (5000, ["2-5", "2-6", "3-6", "3-7", "4-7", "4-8"]),
    ],
)
def test_the_shorter_side_decides_the_pairs(side, pairs):
    for shape in ((side, 6000), (6000, side)):
        assert [f"{c}-{s}" for c, s in Plan(shape, ITTI_1998).pairs] == pairs
        assert len(Plan(shape, INVT).pairs) == 6  # clamped: always all


@pytest.mark.parametrize(
    ("shape", "shift", "pairs"),
    [
        ((32, 256), 2, ["0-3", "0-4", "1-4", "1-5", "2-5"]),
        ((64, 64), 2, ["0-3", "0-4", "1-4", "1-5", "2-5", "2-6"]),
        ((32, 400), 1, ["1-4", "1-5", "2-5"]),
        ((128, 400), 1, ["1-4", "1-5", "2-5", "2-6", "3-6", "3-7"]),
    ],
)
def test_small_frames_are_worked_on_at_finer_levels(shape, shift, pairs):
    plan = Plan(shape, replace(ITTI_1998, working_size=800))
    assert plan.octave_shift == shift
    assert [f"{c}-{s}" for c, s in plan.pairs] == pairs
    assert plan.map_shape == tuple(n // (16 >> shift) for n in shape)
    assert plan.levels[0] == plan.finest_level == 2 - shift and plan.map_level == 4 - shift


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("n", LENGTHS)
def test_downsampling_weights_are_the_references_step(n, taps, phase):
    taps = TAPS[taps]
    weights = downsampling_weights(n, taps, phase)
    count, reach = max(n // 2, 1), len(taps) // 2
    assert weights.shape == (count, len(taps) + 1)
    matrix = np.zeros((count, n))  # the documented sum, unrolled
    for i in range(count):
        for k, weight in enumerate(weights[i]):
            at = 2 * i - reach + k
            if 0 <= at < n:
                matrix[i, at] = weight
            else:
                assert weight == 0  # outside samples may hold anything
    config = replace(ITTI_1998, phase=phase)
    columns = [reference.downsample(unit[:, None], config, taps)[:, 0] for unit in np.eye(n)]
    within("plan", matrix, np.transpose(columns))
    within("plan", weights.sum(1), np.ones(count))  # a constant stays constant


def test_downsampling_weights_in_the_interior_are_the_centred_binomials():
    inner = downsampling_weights(64, BINOMIAL_5, Phase.CENTRED)[10]
    within("plan", inner, np.array([1, 5, 10, 10, 5, 1]) / 32)
    inner = downsampling_weights(64, BINOMIAL_5, Phase.EVEN)[10]
    within("plan", inner, np.array([1, 4, 6, 4, 1, 0]) / 16)


def test_downsampling_weights_of_the_longest_side_take_little_memory():
    weights = downsampling_weights(1 << 16, BINOMIAL_9, Phase.CENTRED)
    assert weights.shape == (1 << 15, 10)
    short = downsampling_weights(64, BINOMIAL_9, Phase.CENTRED)
    within("plan", weights[[0, 1, 2, 16000, -3, -2, -1]], short[[0, 1, 2, 16, -3, -2, -1]])


@pytest.mark.parametrize("faded", [False, True])
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 16, 17, 40, 41])
def test_scatter_weights_are_the_same_weights(n, taps, phase, faded, rng):
    weights = downsampling_weights(n, TAPS[taps], phase)
    count, width = weights.shape
    fade = attenuation((n, n), 3)[0] if faded else None
    scatter = scatter_weights(weights, fade)
    assert scatter.shape == (count + 1, width // 2, 2)
    x = rng.random(n)
    padded = np.zeros(2 * (count + 1))
    padded[:n] = x
    out = np.zeros(count)
    for p, i, e in np.ndindex(scatter.shape):
        to = p - width // 4 + i
        if 0 <= to < count:
            out[to] += scatter[p, i, e] * padded[2 * p + e]
        else:
            assert scatter[p, i, e] == 0
    config = replace(ITTI_1998, phase=phase)
    faint = x * (1 if fade is None else fade)
    within("plan", out, reference.downsample(faint[:, None], config, TAPS[taps])[:, 0])


@pytest.mark.parametrize("width", [0, 1, 3, 5, 24, 200])
@pytest.mark.parametrize("shape", [(1, 9), (2, 3), (3, 2), (7, 7), (11, 120), (12, 5), (120, 1)])
def test_attenuation_is_the_references(shape, width):
    rows, columns = attenuation(shape, width)
    within("plan", np.outer(rows, columns), reference.attenuate(np.ones(shape), width))


def test_attenuation_by_hand():
    """One width for both axes, limited by the shorter side; nothing if that is one sample."""
    rows, columns = attenuation((3, 7), 2)
    assert rows.tolist() == [0.5, 1, 0.5]
    assert columns.tolist() == [0.5, 1, 1, 1, 1, 1, 0.5]
    assert [fade.tolist() for fade in attenuation((1, 9), 5)] == [[1], [1] * 9]


@pytest.mark.parametrize("taps", [BINOMIAL_5, BINOMIAL_9, np.array([0.5, 2, 0.5])])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 20])
def test_inside_sum_is_the_references(n, taps):
    within("plan", inside_sum(n, taps), reference.filter_axis(np.ones(n), taps, 0))


# --- steps -------------------------------------------------------------------------------------

STEPS = {
    **READINGS,
    "unfaded": replace(INVT, border_attenuation=False),
    "even": replace(ITTI_1998, phase="even", reduction_taps=9),
}


@pytest.mark.parametrize("shape", [(33, 47), (100, 517), (256, 320)])
@pytest.mark.parametrize("name", STEPS)
def test_steps_are_the_references(name, shape, rng):
    """Weights, taps and fade of each step give the reference's coarser level."""
    config = STEPS[name]
    made = Plan(shape, config)
    steps = {(step.kind, step.level): step for step in made.steps()}
    assert len(steps) == len(list(made.steps()))
    fine = range(made.top_level)
    below = range(made.finest_level, made.map_level)
    levels = {"pyramid": fine, "faded_map": below, "map": below}
    if config.has_orientation_pyramid:
        levels["orientation_pyramid"] = fine
    assert set(steps) == {(kind, level) for kind in levels for level in levels[kind]}
    for (kind, level), step in steps.items():
        x = rng.random(made.level_shape(level))
        rows, columns = (downsampling_matrix(n, step.taps, config.phase) for n in x.shape)
        got = rows @ (x * np.outer(*step.fade)) @ columns.T
        fades = kind == "faded_map" and config.border_attenuation
        faint = reference.attenuate(x, max(x.shape) // 20 if fades else 0)
        nine = config.reduction_taps == 9 if "map" in kind else kind == "orientation_pyramid"
        taps = reference.TAPS_9 if nine else reference.TAPS_5
        within("plan", got, reference.downsample(faint, config, taps))


def downsampling_matrix(n, taps, phase):
    """The step along an axis as a matrix."""
    weights = downsampling_weights(n, taps, phase)
    matrix = np.zeros((len(weights), n + 2 * len(taps)))
    for i, row in enumerate(weights):
        matrix[i, len(taps) + 2 * i - len(taps) // 2 :][: len(row)] = row
    return matrix[:, len(taps) : len(taps) + n]


@pytest.mark.parametrize("config", [ITTI_1998, INVT, STEPS["unfaded"]])
@pytest.mark.parametrize("shape", [(40, 1000), (256, 320), (600, 33)])
def test_fades_of_levels_and_maps_are_the_references(shape, config, rng):
    made = Plan(shape, config)
    for level in made.levels:
        ones = np.ones(made.level_shape(level))
        (inverse, faded), (across, faded_across) = made.orientation_filters(level)
        within("plan", np.outer(inverse, across) * reference_inside(ones.shape), ones)
        wanted = reference.attenuate(ones, 5 if config.border_attenuation else 0)
        within("plan", np.outer(faded, faded_across) * reference_inside(ones.shape), wanted)
    ones = np.ones(made.map_shape)
    wanted = reference.attenuate(ones, max(ones.shape) // 20)
    within("plan", np.outer(*made.map_fade(always=True)), wanted)
    wanted = wanted if config.border_attenuation else ones
    within("plan", np.outer(*made.map_fade()), wanted)


def reference_inside(shape):
    """Sums of the nine taps that fall inside, of each sample."""
    return np.outer(*(reference.filter_axis(np.ones(n), reference.TAPS_9, 0) for n in shape))


# --- features, planes, maps and sums -----------------------------------------------------------


def test_the_table_of_features_by_hand():
    """Names and order, and what distinguishes each; independent of how the table is written."""
    wanted = {"intensity": (Channel.INTENSITY, "pyramid/intensity", "opponency", Signal.BRIGHTEST)}
    for name in ("red_green", "blue_yellow"):
        wanted[name] = (Channel.COLOUR, f"pyramid/{name}", "opponency", Signal.HUE)
    for theta in (0, 45, 90, 135):
        wanted[f"orientation_{theta}"] = (
            Channel.ORIENTATION, f"orientation/{theta}", "orientation", Signal.BRIGHTEST,
        )  # fmt: skip
    wanted["flicker"] = (Channel.FLICKER, "pyramid/flicker", "opponency", Signal.FLICKER)
    for direction in (0, 90, 180, 270):
        wanted[f"motion_{direction}"] = (
            Channel.MOTION, f"motion/{direction}", "motion", Signal.BRIGHTEST_SQUARED,
        )  # fmt: skip
    assert [(f.name, f[1:5]) for f in FEATURES] == list(wanted.items())
    for feature in FEATURES:
        oriented = feature.channel is Channel.ORIENTATION
        assert feature.rectifiable == oriented
        again = oriented or feature.channel is Channel.MOTION
        assert feature.normalised_again == (
            "normalise_opponents" if feature.channel is Channel.COLOUR else again
        )
    assert set(CHANNELS) == set(Channel)
    assert [c for c, traits in CHANNELS.items() if traits.weight] == list(Channel)[:3]
    assert [c for c, traits in CHANNELS.items() if traits.needs_colour] == [Channel.COLOUR]
    assert {Channel.FLICKER, Channel.MOTION} == TEMPORAL


def test_features_in_order_and_without_the_weightless():
    assert Plan((64, 64), ITTI_1998).features == FEATURES[:7]
    assert Plan((64, 64), FIVE).features == FEATURES
    assert Plan((64, 64), WHITENED).features == ()
    for channel in Channel:
        config = Config(weights={c: float(c is not channel) for c in Channel})
        wanted = tuple(f for f in FEATURES if f.channel is not channel)
        assert Plan((64, 64), config).features == wanted


def test_features_of_a_frame_without_a_past_or_colour():
    made = Plan((64, 64), FIVE)
    for colour, past in product((True, False), repeat=2):
        left_out = (set() if past else TEMPORAL) | (set() if colour else {Channel.COLOUR})
        got = made.features_of(colour=colour, past=past)
        assert got == tuple(f for f in FEATURES if f.channel not in left_out)
    lone = Plan((64, 64), Config(weights={"flicker": 1}))
    assert [f.name for f in lone.features_of()] == ["flicker"]
    assert [f.name for f in lone.features_of(past=False)] == ["intensity"]
    assert [f.name for f in lone.features] == ["intensity", "flicker"]


def test_normalised_again():
    made = Plan((64, 64), FIVE)
    again = {f.name for f in FEATURES if made.normalised_again(f)}
    assert again == {f.name for f in FEATURES if f.name.startswith(("orientation", "motion"))}
    opponents = Plan((64, 64), replace(FIVE, normalise_opponents=True))
    more = {f.name for f in FEATURES if opponents.normalised_again(f)}
    assert more - again == {"red_green", "blue_yellow"}


ORIENTED = [f"orientation_{theta}" for theta in ORIENTATIONS]
MOVING = [f"motion_{direction}" for direction in DIRECTIONS]
COLOURS = ["red_green", "blue_yellow"]


@pytest.mark.parametrize(
    ("config", "planes"),
    [
        (ITTI_1998, ["intensity", *COLOURS, *ORIENTED]),
        (INVT, ["intensity", *COLOURS, *ORIENTED, "orientation_pyramid"]),
        (FIVE, ["intensity", "flicker", *COLOURS, *ORIENTED, *MOVING, "previous_intensity"]),
        (
            replace(FIVE, orientation_pyramid="laplacian"),
            [
                *["intensity", "flicker", *COLOURS, *ORIENTED, *MOVING],
                *["orientation_pyramid", "previous_intensity"],
            ],
        ),
        (Config(weights={"intensity": 1}), ["intensity"]),
        (Config(weights={"flicker": 1}), ["intensity", "flicker"]),
        (Config(weights={"motion": 1}), ["intensity", *MOVING, "previous_intensity"]),
        (Config(weights={"orientation": 1}), ["intensity", *ORIENTED]),
        (WHITENED, ["intensity", *COLOURS]),
        (GAZE, ["intensity", *COLOURS, *ORIENTED]),
        (replace(ITTI_1998, smoothing="ema"), ["intensity", *COLOURS, *ORIENTED]),
    ],
)
def test_planes_are_those_that_are_needed(config, planes):
    made = Plan((64, 64), config)
    assert list(made.planes) == planes
    assert len(set(planes)) == len(planes)


CONFIGS = {**READINGS, **{name: Config(weights={name: 1}) for name in ("colour", "flicker")}}


@pytest.mark.parametrize("name", CONFIGS)
def test_planes_of_grey_frames_are_the_first(name):
    """Planes made from pixels come first, and of those a grey frame's: one pass makes them."""
    made = Plan((64, 64), CONFIGS[name])
    colour, grey = made.pixel_planes(), made.pixel_planes(colour=False)
    assert made.planes[: len(colour)] == colour
    assert colour[: len(grey)] == grey
    assert set(colour) - set(grey) == (set(COLOURS) if made.config.sees_colour else set())


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
@pytest.mark.parametrize("name", CONFIGS)
def test_maps_and_sums_have_numbers_of_their_own(name, split):
    made = Plan((256, 256), replace(CONFIGS[name], split_cs=split))
    assert made.halves == (2 if split else 1)
    slots = [made.slot(centre, surround) for centre, surround in made.pairs]
    assert slots == list(range(SLOTS))
    numbers = [
        made.map_index(feature, centre, surround, half)
        for feature in made.features
        for centre, surround in made.pairs
        for half in range(made.halves)
    ]
    assert numbers == list(range(made.map_count))
    assert len(set(made.sums)) == len(made.sums)
    assert set(made.sums) == {
        *(f"feature/{feature.name}" for feature in made.features),
        *(f"conspicuity/{channel}" for channel in Channel),
        "saliency",
    }


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_numbers_do_not_depend_on_the_pairs_that_exist(side):
    """A small frame leaves numbers out; the others stay."""
    small, large = Plan((side, 256), ITTI_1998), Plan((256, 256), ITTI_1998)
    for feature, (centre, surround) in product(FEATURES[:7], small.pairs):
        number = small.map_index(feature, centre, surround)
        assert number == large.map_index(feature, centre, surround)
    assert small.map_count == large.map_count == 42


def test_a_feature_of_the_table_is_in_planes_sums_and_maps(monkeypatch, photo):
    """A row more in the table is a plane, six maps and a sum more, with no further line."""
    before = Plan((256, 320), ITTI_1998)
    features, planes, sums, maps = before.features, before.planes, before.sums, before.map_count
    again = Feature("diagonal", Channel.ORIENTATION, "orientation/45", "orientation")
    for module in (plan, reference):
        monkeypatch.setattr(module, "FEATURES", (*FEATURES, again))
    made = Plan((256, 320), ITTI_1998)
    assert made.features == (*features, again)
    assert made.planes == (*planes, "diagonal")
    assert set(made.sums) - set(sums) == {"feature/diagonal"}
    numbers = [made.map_index(again, centre, surround) for centre, surround in made.pairs]
    assert numbers == list(range(maps, maps + SLOTS))
    assert made.map_count == maps + SLOTS
    assert again not in Plan((256, 320), Config(weights={"intensity": 1})).features
    trace = reference.trace(photo)
    added = [name for name in trace if "/diagonal" in name]
    assert len(added) == 3 * SLOTS + 2  # contrast, centre_surround, normalised; feature, weighted
    added.remove("weighted/diagonal")  # its sum is not normalised again
    assert np.array_equal(trace["weighted/diagonal"], trace["feature/diagonal"])
    for name in added:
        assert np.array_equal(trace[name], trace[name.replace("diagonal", "orientation_45")])


def test_levels_that_are_stored():
    for shape in ((32, 40), (256, 256), (1080, 1920)):
        made = Plan(shape, ITTI_1998)
        assert list(made.levels) == list(range(2, made.top_level + 1))
        heights = [made.level_shape(level)[0] for level in made.levels]
        assert all(fine // 2 == coarse for fine, coarse in pairwise(heights))


def test_plans_are_values():
    plan = Plan((64, 96), ITTI_1998)
    assert plan == Plan((64, 96), Config())
    assert len({plan, Plan((64, 96), Config()), Plan((96, 64), ITTI_1998)}) == 2
    with pytest.raises(FrozenInstanceError):
        plan.shape = (1, 1)
