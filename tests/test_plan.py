"""Plan against the reference's own geometry, which shares no code with it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from tolerances import within

from ittisal import INVT, ITTI_1998, VIDEO, Config, reference
from ittisal.config import DIRECTIONS, ORIENTATIONS, TEMPORAL, Channel, Phase
from ittisal.plan import (
    BINOMIAL_5,
    BINOMIAL_9,
    EVERY_FEATURE,
    Plan,
    attenuation,
    halving_weights,
    inside_sum,
    scatter_weights,
)

SHAPES = [
    (32, 32), (32, 2000), (33, 47), (63, 64), (64, 63), (127, 129), (128, 1000), (240, 320),
    (255, 256), (256, 255), (256, 256), (257, 511), (479, 641), (480, 640), (1080, 1920),
]  # fmt: skip
LENGTHS = [*range(1, 24), 31, 32, 33, 64, 65, 127]
TAPS = {"5": BINOMIAL_5, "9": BINOMIAL_9}


@pytest.mark.parametrize("config", [ITTI_1998, INVT], ids=["drop", "clamp"])
@pytest.mark.parametrize("shape", SHAPES)
def test_levels_and_pairs(shape, config):
    plan = Plan(shape, config)
    pyramid = reference.pyramid(np.zeros(shape), config)
    assert plan.top_level == len(pyramid) - 1 == reference.top_level(shape, config)
    assert [plan.level_shape(level) for level in range(len(pyramid))] == [x.shape for x in pyramid]
    assert plan.map_shape == pyramid[4].shape
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


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("n", LENGTHS)
def test_halving_weights_are_the_references_step(n, taps, phase):
    taps = TAPS[taps]
    weights = halving_weights(n, taps, phase)
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
    columns = [reference.halve(unit[:, None], config, taps)[:, 0] for unit in np.eye(n)]
    within("plan", matrix, np.transpose(columns))
    within("plan", weights.sum(1), np.ones(count))  # a constant stays constant


def test_halving_weights_in_the_interior_are_the_centred_binomials():
    inner = halving_weights(64, BINOMIAL_5, Phase.CENTRED)[10]
    within("plan", inner, np.array([1, 5, 10, 10, 5, 1]) / 32)
    inner = halving_weights(64, BINOMIAL_5, Phase.EVEN)[10]
    within("plan", inner, np.array([1, 4, 6, 4, 1, 0]) / 16)


def test_halving_weights_of_the_longest_side_take_little_memory():
    weights = halving_weights(1 << 16, BINOMIAL_9, Phase.CENTRED)
    assert weights.shape == (1 << 15, 10)
    short = halving_weights(64, BINOMIAL_9, Phase.CENTRED)
    within("plan", weights[[0, 1, 2, 16000, -3, -2, -1]], short[[0, 1, 2, 16, -3, -2, -1]])


@pytest.mark.parametrize("faded", [False, True])
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 16, 17, 40, 41])
def test_scatter_weights_are_the_same_weights(n, taps, phase, faded, rng):
    weights = halving_weights(n, TAPS[taps], phase)
    count, width = weights.shape
    fade = attenuation(n, 3) if faded else None
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
    within("plan", out, reference.halve(faint[:, None], config, TAPS[taps])[:, 0])


@pytest.mark.parametrize("width", [0, 1, 3, 5, 24, 200])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 11, 12, 120])
def test_attenuation_is_the_references(n, width):
    lone = np.ones((n, n))
    wanted = reference.attenuate(lone, width)
    fade = attenuation(n, width)
    within("plan", np.outer(fade, fade), wanted)


@pytest.mark.parametrize("taps", [BINOMIAL_5, BINOMIAL_9, np.array([0.5, 2, 0.5])])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 20])
def test_inside_sum_is_the_references(n, taps):
    within("plan", inside_sum(n, taps), reference.filter_axis(np.ones(n), taps, 0))


def test_features_in_order_and_without_the_weightless():
    every = [("intensity", Channel.INTENSITY), ("red_green", Channel.COLOUR)]
    every += [("blue_yellow", Channel.COLOUR)]
    every += [(f"orientation_{theta}", Channel.ORIENTATION) for theta in ORIENTATIONS]
    static = list(every)
    every += [("flicker", Channel.FLICKER)]
    every += [(f"motion_{direction}", Channel.MOTION) for direction in DIRECTIONS]
    assert list(Plan((64, 64), ITTI_1998).features) == static
    assert list(Plan((64, 64), VIDEO).features) == every
    assert len(every) == 12
    assert dict(every) == reference.FEATURE_CHANNEL
    assert list(EVERY_FEATURE) == every
    for channel in Channel:
        config = Config(weights={c: float(c is not channel) for c in Channel})
        assert list(Plan((64, 64), config).features) == [f for f in every if f[1] is not channel]


def test_features_of_a_frame_without_a_past_or_colour():
    plan = Plan((64, 64), VIDEO)
    for colour in (True, False):
        for past in (True, False):
            left_out = (TEMPORAL if not past else set()) | (set() if colour else {Channel.COLOUR})
            got = plan.features_of(colour=colour, past=past)
            assert got == tuple(f for f in EVERY_FEATURE if f[1] not in left_out)
    lone = Plan((64, 64), Config(weights={"flicker": 1}))
    assert lone.features == (("flicker", Channel.FLICKER),)
    assert lone.features_of(colour=True, past=False) == (("intensity", Channel.INTENSITY),)


@pytest.mark.parametrize(
    ("config", "features", "planes"),
    [
        (ITTI_1998, 7, 7),
        (Config(weights={"flicker": 1}), 8, 8),
        (Config(weights={"motion": 1}), 12, 13),  # the last frame's intensity, too
        (VIDEO, 12, 13),
        (replace(VIDEO, orientation_pyramid="laplacian"), 12, 14),
        (replace(ITTI_1998, smoothing="ema"), 7, 7),
    ],
)
def test_room_is_made_for_what_is_stored_only(config, features, planes):
    plan = Plan((64, 64), config)
    assert (plan.stored_features, plan.stored_planes) == (features, planes)
    behind = [plan.own_plane] * config.own_pyramid
    behind += [plan.before_plane] * config.has(Channel.MOTION)
    assert behind == list(range(features, planes))


def test_plans_are_values():
    plan = Plan((64, 96), ITTI_1998)
    assert plan == Plan((64, 96), Config())
    assert len({plan, Plan((64, 96), Config()), Plan((96, 64), ITTI_1998)}) == 2
    with pytest.raises(FrozenInstanceError):
        plan.shape = (1, 1)
