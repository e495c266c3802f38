"""Flicker, motion and smoothing: known answers, and what a model remembers, for every backend."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from attention import pixel
from conftest import model
from readings import FIVE
from test_stages import photo_like
from tolerances import alike, correlation, within

from ittisal import GAZE, INVT, ITTI_1998, VIDEO, Config, Saliency, reference, saliency_map
from ittisal.config import TEMPORAL, Channel
from ittisal.features import DIRECTIONS

SHAPE = (64, 96)
FLICKER, MOTION = Config(weights={"flicker": 1}), Config(weights={"motion": 1})
EMA, LEAKY = replace(ITTI_1998, smoothing="ema"), replace(ITTI_1998, smoothing="leaky")
READINGS = {
    "five": FIVE,
    "video": VIDEO,
    "video_invt": replace(
        INVT, weights=dict.fromkeys(Channel, 1), smoothing="leaky", whitening_seconds=0.1
    ),
    "leaky": LEAKY,
}
COLOUR, STATIC = {"colour"}, {"intensity", "colour", "orientation"}
EVERY = {channel.value for channel in Channel if FIVE.has(channel)}
TIMES = [0.0, 0.04, 0.05, 0.075, 0.2, 0.21]  # seconds; some closer than flicker's past lasts


@pytest.fixture
def fresh(backend):
    """Config, shape -> a model of the backend under test that has no past."""

    def make(config=FIVE, shape=SHAPE):
        run = model(backend, shape, config)
        run.reset()
        return run

    return make


def movie(count=6, shape=SHAPE, dtype="uint8", channels=3):
    """Frames that a camera sees as it wanders over a texture."""
    whole = photo_like((shape[0] + 40, shape[1] + 40), dtype, channels)
    at = [(0, 0), (3, 5), (9, 9), (9, 17), (20, 20), (14, 31), (30, 30), (33, 38)]
    views = (whole[y : y + shape[0], x : x + shape[1]] for y, x in at[:count])
    return np.stack(list(views))


def maps_of(run, frames, times=None):
    """Maps of a sequence from its start, one call each."""
    run.reset()
    times = [None] * len(frames) if times is None else times
    return np.stack([run(frame, time=now) for frame, now in zip(frames, times, strict=True)])


def uniform(value, shape=SHAPE, dtype=np.uint8):
    return np.full((*shape, 3), value, dtype)


def bar(direction, place, side=128):
    """A white bar on black, across its way, `place` pixels along it."""
    frame = np.zeros((side, side, 3), np.uint8)
    frame[32:96, place : place + 8] = 255
    return np.ascontiguousarray(np.rot90(frame, direction // 90))


# --- motion ------------------------------------------------------------------------------------


def summed(trace, levels=(2, 3)):
    """Responses per direction, over levels."""
    return {
        direction: sum(trace[f"motion/{direction}/{level}"].sum() for level in levels)
        for direction in DIRECTIONS
    }


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_pitfall_16_a_moving_bar_moves_one_way(fresh, direction):
    """Four pixels per frame: to the right on screen, up, to the left, down.

    Across its way a bar is what it was, so that both products are the same; ahead of it there was
    nothing: the other directions are exactly 0.
    """
    run = fresh(MOTION, (128, 128))
    run(bar(direction, 56))
    found = summed(run.trace(bar(direction, 60)))
    assert found[direction] > 1
    assert all(10 * found[other] <= found[direction] for other in DIRECTIONS if other != direction)
    assert all(found[other] == 0 for other in DIRECTIONS if other != direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_pitfall_16_at_levels_that_are_not_stored(direction):
    """The same at levels 1 to 3, which the fast backends never store whole."""
    frames = [reference.to_unit(bar(direction, place)) for place in (56, 60)]
    before, now = (reference.pyramid(reference.intensity(f), ITTI_1998) for f in frames)
    found = {
        other: sum(
            reference.motion(now[level], before[level], other, FIVE.motion_threshold).sum()
            for level in (1, 2, 3)
        )
        for other in DIRECTIONS
    }
    assert all(10 * found[other] <= found[direction] for other in DIRECTIONS if other != direction)


def test_motion_by_hand():
    """A 3 x 3 frame: what is here now was beside before."""
    before, now = np.zeros((2, 3, 3))
    before[1, 1], now[1, 2], now[0, 1] = 0.5, 0.4, 0.2  # half went to the right, some up
    right, up, left, down = (reference.motion(now, before, d, 0.01) for d in DIRECTIONS)
    wanted = np.zeros((3, 3))
    wanted[1, 2] = 0.4 * 0.5
    within("hand", right, wanted)
    wanted = np.zeros((3, 3))
    wanted[0, 1] = 0.2 * 0.5
    within("hand", up, wanted)
    assert not left.any()
    assert not down.any()
    assert not reference.motion(now, before, 90, 0.11).any()  # all of it below the threshold
    assert reference.motion(now, before, 90, 0.2 * 0.5).any()  # not below it


def test_nothing_moves_beyond_the_border(fresh):
    """What comes in over a border was not beside before, and what leaves is gone."""
    run = fresh(MOTION, (128, 128))
    dark, strip = np.zeros((2, 128, 128, 3), np.uint8)
    strip[:, :8] = 255
    run(dark)
    assert not any(summed(run.trace(strip)).values())
    assert not any(summed(run.trace(dark)).values())


@pytest.mark.parametrize("level", [2, 3, 4])
def test_a_level_prefers_a_sample_per_frame(fresh, level):
    """2^L pixels: there the one before lies where this one was, as nearly as can be."""
    run = fresh(MOTION, (256, 256))
    rng = np.random.default_rng(level)
    stripes = np.repeat(rng.integers(0, 2, 512 >> level, np.uint8) * 255, 1 << level)
    found = {}
    for speed in (1, 2, 4, 8, 16, 32, 64):
        frames = [
            np.broadcast_to(stripes[start : start + 256, None, None], (256, 256, 3))
            for start in (128, 128 - speed)  # down
        ]
        run.reset()
        run(frames[0])
        trace = run.trace(frames[1])
        found[speed] = summed(trace, [level])[270] - summed(trace, [level])[90]
    assert max(found, key=found.get) == 2**level


@pytest.mark.parametrize("threshold", [0.0, FIVE.motion_threshold, 0.5])
def test_what_the_threshold_leaves(fresh, threshold):
    """All that is kept is at least the threshold: and a higher one keeps less of the same."""
    frames = movie(2)
    traces = []
    for limit in (0.0, threshold):
        run = fresh(replace(MOTION, motion_threshold=limit))
        run(frames[0])
        traces.append(run.trace(frames[1]))
    for name in (name for name in traces[0] if name.startswith("motion/")):
        every, kept = (np.asarray(trace[name]) for trace in traces)
        np.testing.assert_array_equal(kept, np.where(every >= np.float32(threshold), every, 0))


def test_motion_mirrored_and_transposed(fresh):
    """To the right becomes to the left; down becomes to the right.

    With a threshold of 0, across which a response is continuous.
    """
    config = replace(MOTION, motion_threshold=0)
    frames = movie(2, (256, 256))
    for turn, swaps in (
        (lambda f: f[:, ::-1], {0: 180, 90: 90, 180: 0, 270: 270}),
        (lambda f: f.swapaxes(0, 1), {0: 270, 90: 180, 180: 90, 270: 0}),
    ):
        run = fresh(config, (256, 256))
        run(frames[0])
        plain = run.trace(frames[1])
        run.reset()
        run(turn(frames[0]))
        turned = run.trace(turn(frames[1]))
        for direction, becomes in swaps.items():
            for level in range(2, 9):
                wanted = plain[f"motion/{direction}/{level}"]
                within("turned_motion", turned[f"motion/{becomes}/{level}"], turn(wanted))
        alike("equivariant", turned["saliency"], turn(plain["saliency"]))


def test_a_thing_is_followed(fresh):
    """Moving by 16 pixels per frame, among many that stand still."""
    run, rng = fresh(FIVE, (256, 320)), np.random.default_rng(3)
    still = np.full((256, 320, 3), 60, np.uint8)
    for y, x in rng.integers(16, 224, (24, 2)):
        still[y : y + 12, x : x + 12] = 200
    seen = []
    for k in range(10):
        frame = still.copy()
        frame[120:136, 48 + 16 * k : 64 + 16 * k] = 230
        run(frame)
        if k > 0:
            added = run.contributions()
            assert added["motion"].max() > 0
            place = np.unravel_index(added["motion"].argmax(), added["motion"].shape)
            seen.append(pixel(place, FIVE, 320))
    assert all(abs(y - 128) <= 16 for y, _ in seen)
    for k, (_, x) in enumerate(seen):
        assert abs(x - (56 + 16 * (k + 1))) <= 16


def bars(where, moved, shades):
    """Bars on grey, each moved along x by some pixels."""
    frame = np.full((256, 320, 3), 90, np.uint8)
    for (y, x), along, shade in zip(where, moved, shades, strict=True):
        frame[y : y + 20, x + along : x + along + 6] = shade
    return frame


@pytest.mark.parametrize("odd", ["moves", "moves the other way", "flickers"])
def test_what_moves_unlike_the_rest_is_seen_first(fresh, odd):
    """By `video` as by the channels alone, while `gaze` sees equal bars."""
    rng = np.random.default_rng(7)
    where = [(y, x) for y in range(30, 226, 40) for x in range(40, 280, 48)]
    where = [tuple(place + rng.integers(-6, 7, 2)) for place in where]
    target = 14
    for config in (FIVE, VIDEO):
        run = fresh(config, (256, 320))
        for k in range(6):
            along = np.full(len(where), 4 * k if odd == "moves the other way" else 0)
            along[target] = {"moves": 4 * k, "flickers": 0}.get(odd, -4 * k)
            shades = np.full(len(where), 180)
            shades[target] -= 60 * (odd == "flickers" and k % 2)
            saliency = run(bars(where, along, shades), time=0.04 * k)
        y, x = pixel(np.unravel_index(saliency.argmax(), saliency.shape), config, 320)
        assert abs(y - where[target][0] - 10) <= 16
        assert abs(x - where[target][1] - along[target] - 3) <= 16


def test_a_first_frame_is_seen_as_gaze_sees_it(fresh):
    frame = movie(1)[0]
    within("same_maths", fresh(VIDEO)(frame), fresh(GAZE)(frame))


@pytest.mark.parametrize("gain", [2.0**-3, 2.0**-16])
def test_exposure_does_not_matter(fresh, gain):
    """Nor to motion, whose responses go by its square, but for the threshold."""
    run = fresh(replace(FIVE, motion_threshold=0))
    added = []
    for scale in (1, gain):
        maps_of(run, movie(2, dtype="float32") * np.float32(scale))
        added.append(run.contributions())
    for channel in ("flicker", "motion"):
        assert added[0][channel].max() > 0.1
        within("same_maths", added[1][channel], added[0][channel])


# --- flicker -----------------------------------------------------------------------------------


def level_2(run, frame, time=None):
    """Flicker at level 2, where a uniform frame's is what it is at its own size."""
    return run.trace(frame, time=time)["pyramid/flicker/2"]


@pytest.mark.parametrize(
    ("before", "now", "step"),
    [
        (51, 204, 0.6),
        (204, 51, 0.6),
        (0, 255, 1.0),
        ((30, 60, 90), (60, 120, 90), 90 / 765),
        ((255, 0, 0), (0, 0, 255), 0.0),  # no brighter, no darker
    ],
)
def test_flicker_is_the_step_of_intensity(fresh, before, now, step):
    run = fresh(FLICKER)
    run(uniform(before))
    got = level_2(run, uniform(now))
    within("stage_opponency", got, np.full(got.shape, step))


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint16", 3), ("float32", 3)])
def test_flicker_of_other_formats(fresh, dtype, channels):
    full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    frames = [uniform(full * value, dtype=dtype) for value in (0.2, 0.8)]
    frames = [frame if channels == 3 else frame[..., 0].copy() for frame in frames]
    run = fresh(FIVE)
    run(frames[0])
    got = level_2(run, frames[1])
    within("stage_opponency", got, np.full(got.shape, 0.6))


def test_flicker_lies_where_it_flickers(fresh):
    """0 but near a square that changed; the square's own step within it."""
    frame = uniform(50)
    after = frame.copy()
    after[16:48, 32:64] += 102
    run = fresh(FLICKER)
    run(frame)
    got = level_2(run, after)
    within("stage_opponency", got[6:10, 10:14], np.full((4, 4), 0.4))
    assert not got[:2].any()
    assert not got[:, :6].any()
    assert not got[14:].any()
    assert not got[:, 18:].any()


# A fixed-point background gains an error of less than 1 + 765 * 32 / 2^16 units with each frame
# that fades (see `stage_flicker_fixed_point`), and 2/3 of the error before stays: 3 times as much.
FIXED_POINT = 3 * (1 + 765 * 32 / 2**16) / (765 * 32)


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint8", 1), ("float32", 3)])
def test_a_step_fades_geometrically_at_ten_milliseconds(fresh, dtype, channels):
    """P moves a third of the way: |I - P| after n frames is (1 - 1/3)^n of the step."""
    run = fresh(FIVE, (32, 32))
    frames = [uniform(value, (32, 32), dtype) for value in (0, 0.8 if dtype == "float32" else 204)]
    dark, bright = (frame if channels == 3 else frame[..., 0].copy() for frame in frames)
    allowed = FIXED_POINT if (dtype, channels) == ("uint8", 3) else 1e-6
    run(dark, time=5)
    for n in range(30):
        got = level_2(run, bright, 5 + 0.01 * (n + 1))
        assert abs(got - 0.8 * (2 / 3) ** n).max() <= allowed
    height = 0.8 * (1 - (2 / 3) ** 30)  # that the background has come to
    for n in range(30):  # and back
        got = level_2(run, dark, 5 + 0.01 * (n + 31))
        assert abs(got - height * (2 / 3) ** n).max() <= allowed


def test_irregular_times(fresh):
    """Each frame moves the background by a factor that follows from its time."""
    run, values = fresh(FLICKER), [0, 200, 40, 255, 90, 90, 10]
    gaps = [0.003, 0.02, 0.029, 0.05, 0.001, 0.012]
    now, background = 1.0, 0.0
    run(uniform(values[0]), time=now)
    for value, gap in zip(values[1:], gaps, strict=True):
        now += gap
        got = level_2(run, uniform(value), now)
        error = abs(got - abs(value / 255 - background)).max()
        assert error <= 10 * FIXED_POINT  # the least factor is 1/30
        background += min(1, gap / 0.03) * (value / 255 - background)


@pytest.mark.parametrize("gap", [None, 0.03, 0.05, 2.0])
def test_from_thirty_milliseconds_on_the_last_frame_counts(fresh, gap):
    run = fresh(FLICKER)
    for k, value in enumerate((0, 255, 100, 130)):
        got = run.trace(uniform(value), time=None if gap is None else gap * k)
    wanted = got["pyramid/flicker/2"]
    within("stage_opponency", wanted, np.full(wanted.shape, 30 / 255))


@pytest.mark.parametrize(("gain", "dtype"), [(1, "uint8"), (0.1, "uint8"), (0.1, "float32")])
def test_a_still_picture_comes_to_rest(fresh, gain, dtype):
    """After some quick frames its flicker is nothing: no map is blown up from rounding."""
    frames = movie(2, dtype="float32") * np.float32(gain)
    if dtype == "uint8":
        frames = np.uint8(np.round(frames * 255))
    run = fresh(FIVE)
    run(frames[0], time=0)
    for n in range(40):
        run(frames[1], time=0.01 * (n + 1))
        if n == 0:
            assert run.contributions()["flicker"].any()
    added = run.contributions()
    assert not added["flicker"].any()
    assert not added["motion"].any()
    assert added["intensity"].any()
    if dtype == "uint8" and run.backend != "reference":
        assert not run.retrace(frames[1])["pyramid/flicker/2"].any()


def test_little_light_flickers_too(fresh):
    """Blinking by 50 of 65,535 counts, so fast that the background decays between frames."""
    off = np.full((256, 320), 7000, np.uint16)
    on = off.copy()
    on[110:150, 200:240] += 50
    run = fresh(FIVE, (256, 320))
    for k in range(4):
        run((off, on)[k % 2], time=0.02 * k)
        assert k == 0 or run.contributions()["flicker"].any()


def test_a_blinking_square_is_looked_at(fresh):
    """Among others as bright that stay."""
    off = np.full((256, 320, 3), 40, np.uint8)
    for y, x in ((40, 40), (40, 200), (180, 60), (180, 260), (110, 150)):
        off[y : y + 16, x : x + 16] = 220
    on = off.copy()
    on[110:126, 250:266] = 220
    run = fresh(FIVE, (256, 320))
    for k in range(6):
        saliency = run((off, on)[k % 2])
        if k > 0:
            flicker = run.contributions()["flicker"]
            for x in (flicker, saliency):
                place = pixel(np.unravel_index(x.argmax(), x.shape), FIVE, 320)
                assert np.hypot(*(place - (117.5, 257.5))) <= 24


# --- the first frame, and those like the last --------------------------------------------------


@pytest.mark.parametrize("threshold", [FIVE.motion_threshold, 0])
def test_a_still_scene_neither_flickers_nor_moves(fresh, threshold):
    """Exactly; and what is left is the first map, with three weights out of five."""
    run, frame = fresh(replace(FIVE, motion_threshold=threshold)), movie(1)[0]
    first = run(frame)
    for _ in range(3):
        saliency = run(frame)
        added = run.contributions()
        assert not added["flicker"].any()
        assert not added["motion"].any()
        within("same_maths", saliency, 0.6 * first)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_frame_is_a_picture(fresh, channels):
    """Flicker and motion are left out of the weights; kernels without them round otherwise."""
    frame = movie(1, channels=channels)[0]
    still = replace(FIVE, weights=dict.fromkeys(STATIC, 1))
    run = fresh(FIVE)
    within("same_maths", run(frame), fresh(still)(frame))
    assert set(run.contributions()) == STATIC - (COLOUR if channels == 1 else set())


def test_the_first_map_is_not_smoothed(fresh):
    frame = movie(1)[0]
    wanted = fresh(ITTI_1998)(frame)
    np.testing.assert_array_equal(fresh(EMA)(frame), wanted)
    np.testing.assert_array_equal(fresh(LEAKY)(frame), wanted)


@pytest.mark.parametrize("reading", READINGS)
def test_reset_forgets(fresh, reading):
    run, frames = fresh(READINGS[reading]), movie()
    wanted = maps_of(run, frames, TIMES)
    assert abs(wanted[1] - wanted[0]).max() > 0
    run(frames[3], time=0.5)
    np.testing.assert_array_equal(maps_of(run, frames, TIMES), wanted)  # which resets
    run.reset()
    run.reset()
    np.testing.assert_array_equal(run(frames[0], time=-7.5), wanted[0])


@pytest.mark.parametrize("reading", READINGS)
def test_another_format_starts_anew(fresh, reading):
    run = fresh(READINGS[reading])
    byte, real, grey = movie(2), movie(2, dtype="float32"), movie(2, channels=1)
    first = {}
    for name, frames in (("byte", byte), ("real", real), ("grey", grey)):
        run.reset()
        first[name] = run(frames[1])
    run.reset()
    run(byte[0])
    assert abs(run(byte[1]) - first["byte"]).max() > 0  # it has a past
    np.testing.assert_array_equal(run(real[1]), first["real"])
    np.testing.assert_array_equal(run(grey[1]), first["grey"])
    np.testing.assert_array_equal(run(byte[1]), first["byte"])
    again = run(byte[0])
    run.reset()
    run(byte[1])
    np.testing.assert_array_equal(run(byte[0]), again)  # the past is the last frame of all


@pytest.mark.parametrize("channel", sorted(TEMPORAL))
def test_removing_a_temporal_channel_changes_the_map(fresh, channel):
    frames = movie(2, (256, 320))
    less = replace(FIVE, weights={c: float(c is not channel) for c in Channel})
    maps = []
    for config in (FIVE, less):
        run = fresh(config, (256, 320))
        run(frames[0])
        maps.append(run(frames[1]))
    assert correlation(*maps) < 0.999
    assert channel.value not in run.contributions()


@pytest.mark.parametrize("config", [FLICKER, MOTION], ids=["flicker", "motion"])
def test_a_temporal_channel_alone(fresh, config):
    """The first map is exactly 0, for want of anything to compare; the second is not."""
    run, frames = fresh(config), movie(3)
    assert not run(frames[0]).any()
    assert set(run.contributions()) == {"intensity"}
    assert not run.contributions()["intensity"].any()
    assert not any(
        name.startswith(("pyramid/flicker", "motion/")) for name in run.retrace(frames[0])
    )
    assert run(frames[1]).max() > 0
    assert set(run.contributions()) == {c.value for c in TEMPORAL if config.has(c)}
    assert run(frames[2]).max() > 0


@pytest.mark.parametrize("reading", ["video", "video_invt", "leaky"], ids=lambda v: v)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_frame_of_a_sequence_is_the_references(backend, fresh, reading, channels):
    if backend == "reference":
        pytest.skip("it is itself")
    config, frames = READINGS[reading], movie(shape=(255, 257), channels=channels)
    got = maps_of(fresh(config, (255, 257)), frames, TIMES)
    past, before = None, None
    for frame, saliency, now in zip(frames, got, TIMES, strict=True):
        elapsed = 0.0 if before is None else now - before
        trace = reference.trace(frame, config, past=past, elapsed=elapsed)
        past, before = reference.passed(trace, config, past, elapsed), now
        assert correlation(saliency, trace["saliency"]) >= 0.9999


# --- times -------------------------------------------------------------------------------------


def test_frames_without_times_are_a_thirtieth_of_a_second_apart(fresh):
    frames = movie()
    wanted = maps_of(fresh(READINGS["video_invt"]), frames)
    times = [Fraction(n, 30) for n in range(len(frames))]
    got = maps_of(fresh(READINGS["video_invt"]), frames, times)
    within("same_maths", got, wanted)


@pytest.mark.parametrize("number", [float, np.float64, np.float32, Fraction])
def test_any_real_number_is_a_time(fresh, number):
    run, frames = fresh(LEAKY), movie(3)
    wanted = maps_of(run, frames, [0, 0.25, 1.5])
    got = maps_of(run, frames, [number(0), number(0.25), number(1.5)])
    np.testing.assert_array_equal(got, wanted)


BAD_TIMES = [
    (2.0, ValueError, ["time=2.0", "not after the last frame's, 2.5", "reset()"]),
    (2.5, ValueError, ["time=2.5", "not after the last frame's, 2.5"]),
    (-1, ValueError, ["time=-1", "2.5"]),
    (math.nan, ValueError, ["time=nan", "finite number of seconds"]),
    (math.inf, ValueError, ["time=inf", "finite number of seconds"]),
    (10**400, ValueError, ["time=1000", "finite number of seconds"]),
    ("3.0", TypeError, ["time='3.0'", "number of seconds"]),
    (True, TypeError, ["time=True", "number of seconds"]),
    ([3.0], TypeError, ["time=[3.0]", "number of seconds"]),
    (3 + 0j, TypeError, ["time=(3+0j)", "number of seconds"]),
]


def test_bad_times_are_refused_and_leave_no_trace(fresh):
    run, frames = fresh(READINGS["video_invt"]), movie(3)
    wanted = maps_of(run, frames, [0, 2.5, 2.51])
    maps_of(run, frames[:2], [0, 2.5])
    for time, error, says in BAD_TIMES:
        for call in (
            lambda time=time: run(frames[0], time=time),
            lambda time=time: run.trace(frames[0], time=time),
            lambda time=time: run(frames[:1], time=[time]),
        ):
            with pytest.raises(error) as caught:
                call()
            assert all(words in str(caught.value) for words in says), str(caught.value)
    np.testing.assert_array_equal(run(frames[2], time=2.51), wanted[2])


def test_the_first_time_may_be_any(fresh):
    run, frames = fresh(LEAKY), movie(2)
    wanted = maps_of(run, frames, [0, 0.25])
    for start in (-1e6, -0.25, 4096):
        np.testing.assert_array_equal(maps_of(run, frames, [start, start + 0.25]), wanted)


def test_a_bad_first_time(fresh):
    run, frame = fresh(), movie(1)[0]
    with pytest.raises(TypeError, match="time='now' must be a number of seconds"):
        run(frame, time="now")
    with pytest.raises(RuntimeError, match="there was none"):
        run.contributions()


# --- batches and streams -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reading", "times"), [*((reading, TIMES) for reading in READINGS), ("video_invt", None)]
)
def test_every_method_gives_the_same_maps(fresh, reading, times):
    """Calls, traces, batches, streams: bit for bit."""
    run, frames = fresh(READINGS[reading]), movie(5)
    times = times and times[:5]
    wanted = maps_of(run, frames, times)
    each = times or [None] * len(frames)
    run.reset()
    np.testing.assert_array_equal(run(frames, time=times), wanted)
    run.reset()
    parts = [run(frames[part], time=times and times[part]) for part in (slice(2), slice(2, None))]
    np.testing.assert_array_equal(np.concatenate(parts), wanted)
    run.reset()
    np.testing.assert_array_equal(run(frames, time=times and np.array(times)), wanted)
    run.reset()
    np.testing.assert_array_equal(np.stack(list(run.stream(frames, times=times))), wanted)
    run.reset()
    traced = [run.trace(frame, time=now) for frame, now in zip(frames, each, strict=True)]
    got = np.stack([trace["saliency"] for trace in traced]).astype(np.float32)
    np.testing.assert_array_equal(got, wanted)
    run.reset()
    mixed = [run(frames[0], time=each[0]), *run(frames[1:3], time=times and times[1:3])]
    mixed += list(run.stream(frames[3:4], times=times and iter(times[3:4])))
    mixed.append(run(frames[4], time=each[4]))
    np.testing.assert_array_equal(np.stack(mixed), wanted)


@pytest.mark.parametrize(
    ("time", "error", "says"),
    [
        ([0.1, 0.2], ValueError, "2 numbers for 3 frames"),
        ([0.1, 0.2, 0.3, 0.4], ValueError, "4 numbers for 3 frames"),
        ([0.1, 0.3, 0.2], ValueError, "time=0.2 is not after the last frame's, 0.3"),
        (0.1, TypeError, "time=0.1 must hold a number of seconds for each frame"),
        ("abc", TypeError, "time='a' must be a number of seconds"),
    ],
)
def test_bad_times_of_a_batch_leave_no_trace(fresh, time, error, says):
    """None of its frames has been looked at."""
    run, frames = fresh(), movie(5)
    wanted = maps_of(run, [frames[0], frames[4]], [0, 0.02])
    run.reset()
    run(frames[0], time=0)
    with pytest.raises(error, match=says):
        run(frames[1:4], time=time)
    np.testing.assert_array_equal(run(frames[4], time=0.02), wanted[1])


def test_times_may_be_left_out_in_between(fresh):
    """A frame without one is taken to be 1/30 s after the last, and so is the next."""
    run, frames = fresh(LEAKY), movie(4)
    wanted = maps_of(run, frames, [0, Fraction(1, 30), Fraction(2, 30), 1])
    within("same_maths", maps_of(run, frames, [0, None, -5, 1 - 5 - 2 / 30]), wanted)


def test_a_stream_whose_times_end_says_so(fresh):
    run, frames = fresh(), movie(3)
    with pytest.raises(ValueError, match="times ended before the frames did"):
        list(run.stream(frames, times=[0.0, 0.1]))
    assert len(list(fresh().stream(frames, times=[0.0, 0.1, 0.2, 0.3]))) == 3


# --- bad frames --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reading", "after", "times"),
    [("video", 1, TIMES), ("video", 2, None), ("video_invt", 3, TIMES), ("leaky", 1, TIMES)],
)
def test_a_bad_frame_leaves_no_trace(fresh, reading, times, after):
    """The next map is as if it had never come, the time between good frames included."""
    run, frames = fresh(READINGS[reading]), movie(dtype="float32")
    bad = frames[0].copy()
    bad[50, 60] = np.nan
    kept = [*range(after), *range(after + 1, len(frames))]
    wanted = maps_of(run, frames[kept], times and [times[k] for k in kept])
    run.reset()
    got = []
    for k, frame in enumerate(frames):
        now = times and times[k]
        if k == after:
            for way in (run, run.trace)[: 1 + after % 2]:  # one in a row, or two
                with pytest.raises(ValueError, match="NaN"):
                    way(bad, time=now)
            with pytest.raises(ValueError, match=r"built for"):
                run(frame[:50], time=now)
        else:
            got.append(run(frame, time=now))
    np.testing.assert_array_equal(np.stack(got), wanted)


def test_a_bad_first_frame_is_not_a_past(fresh):
    run, frames = fresh(), movie(2, dtype="float32")
    wanted = maps_of(run, frames)
    run.reset()
    with pytest.raises(ValueError, match="NaN"):
        run(np.full_like(frames[0], np.nan))
    with pytest.raises(RuntimeError, match="there was none"):
        run.contributions()
    np.testing.assert_array_equal(np.stack([run(frame) for frame in frames]), wanted)


# --- the last frame again ----------------------------------------------------------------------


@pytest.mark.parametrize("reading", READINGS)
def test_retrace_is_the_trace_and_changes_nothing(fresh, reading):
    run, frames = fresh(READINGS[reading]), movie(3)
    wanted = maps_of(run, frames, TIMES[:3])
    run.reset()
    for frame, now, saliency in zip(frames, TIMES, wanted, strict=False):
        traced = run.trace(frame, time=now)
        again = run.retrace(frame)
        assert list(again) == list(traced)
        assert all(np.array_equal(again[name], traced[name]) for name in traced)
        np.testing.assert_array_equal(traced["saliency"].astype(np.float32), saliency)
    run.reset()
    for frame, now, saliency in zip(frames, TIMES, wanted, strict=False):
        np.testing.assert_array_equal(run(frame, time=now), saliency)
        run.retrace(frame)
        np.testing.assert_array_equal(run.retrace(frame)["saliency"].astype(np.float32), saliency)


def test_retrace_after_a_batch_and_a_stream(fresh):
    run, frames = fresh(), movie(4)
    maps = run(frames[:2])
    np.testing.assert_array_equal(run.retrace(frames[1])["saliency"].astype(np.float32), maps[1])
    maps = list(run.stream(frames[2:]))
    np.testing.assert_array_equal(run.retrace(frames[3])["saliency"].astype(np.float32), maps[1])


def test_what_is_about_the_last_frame_needs_one(fresh):
    run, frame = fresh(), movie(1)[0]
    for ask in (run.contributions, lambda: run.retrace(frame)):
        run.reset()
        with pytest.raises(RuntimeError, match="give one first"):
            ask()
        run(frame)
        ask()
        run.reset()
        with pytest.raises(RuntimeError, match="give one first"):
            ask()
    run(frame)
    with pytest.raises(RuntimeError, match="none of its format"):
        run.retrace(frame[..., 0])
    with pytest.raises(RuntimeError, match="none of its format"):
        run.retrace(frame / np.float32(255))


@pytest.mark.parametrize("reading", READINGS)
def test_after_a_refused_frame_there_is_no_last_one_to_ask_about(fresh, reading):
    """Until the next, which sees what came before."""
    run, frames = fresh(READINGS[reading]), movie(3, dtype="float32")
    wanted = maps_of(run, frames, TIMES[:3])
    for k in range(2):
        maps_of(run, frames[: k + 1], TIMES[: k + 1])
        kept = run.contributions()
        for bad in (frames[0][:50], "frame"):  # nobody has begun
            with pytest.raises((TypeError, ValueError)):
                run(bad, time=9)
        assert set(run.contributions()) == set(kept)
        with pytest.raises(ValueError, match="NaN"):
            run(np.full_like(frames[0], np.nan), time=9)
        for ask in (run.contributions, lambda k=k: run.retrace(frames[k])):
            with pytest.raises(RuntimeError, match="last frame was refused; give another first"):
                ask()
        np.testing.assert_array_equal(run(frames[k + 1], time=TIMES[k + 1]), wanted[k + 1])
        assert run.contributions()


def test_a_bad_frame_of_another_format_starts_anew(fresh):
    run, frames = fresh(), movie(3)
    run.reset()
    first = run(frames[2])
    maps_of(run, frames[:2])
    with pytest.raises(ValueError, match="NaN"):
        run(np.full(SHAPE, np.nan, np.float32))
    np.testing.assert_array_equal(run(frames[2]), first)


@pytest.mark.parametrize("method", ["batch", "stream"])
def test_a_bad_frame_among_several_starts_anew(fresh, method):
    """How far a backend got differs; what comes after does not."""
    run, frames = fresh(), movie(5, dtype="float32")
    first = run(frames[4])
    maps_of(run, frames[:2], [0, 1])
    bad = frames[1:4].copy()
    bad[1, 5, 5] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        if method == "batch":
            run(bad, time=[2, 3, 4])
        else:
            list(run.stream(bad, times=[2, 3, 4]))
    with pytest.raises(RuntimeError, match="give one first"):
        run.contributions()
    np.testing.assert_array_equal(run(frames[4], time=0), first)


# --- contributions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [FIVE, VIDEO, replace(FIVE, weights={"intensity": 4, "colour": 2, "flicker": 1, "motion": 3})],
    ids=["five", "video", "weighted"],
)
def test_contributions_sum_to_the_map(fresh, config):
    run = fresh(config)
    having = {channel.value for channel in Channel if config.has(channel)}
    having |= {"figure"} if config.figure else set()
    for channels in (3, 1):
        for k, frame in enumerate(movie(3, channels=channels)):
            saliency, added = run(frame), run.contributions()
            left_out = (set() if k else {c.value for c in TEMPORAL}) | (
                COLOUR if channels == 1 else set()
            )
            assert set(added) == having - left_out
            assert all(type(name) is str for name in added)
            for x in added.values():
                assert x.dtype == np.float32
                assert x.shape == run.map_shape
                assert x.min() >= -1e-6 * saliency.max()  # a scale and an offset, rounded
            within("same_maths", sum(added.values()), saliency)


def test_contributions_are_those_of_the_trace_and_the_callers_own(fresh):
    run, frames = fresh(), movie(2)
    run(frames[0])
    traced, added = run.trace(frames[1]), run.contributions()
    assert set(added) == EVERY
    for name, x in added.items():
        np.testing.assert_array_equal(x, traced[f"contribution/{name}"].astype(np.float32))
        x[:] = -1
    for name, x in run.contributions().items():
        np.testing.assert_array_equal(x, traced[f"contribution/{name}"].astype(np.float32))


def test_contributions_come_before_smoothing_and_the_last_normalisation(fresh):
    run, frames = fresh(EMA), movie(3)
    past = None
    for frame in frames:
        saliency = run(frame)
        total = sum(run.contributions().values())
        within("same_maths", saliency, total if past is None else 0.9 * past + 0.1 * total)
        past = saliency
    run = fresh(INVT)
    run(frames[0])
    total = np.float64(sum(run.contributions().values()))
    wanted = reference.normalise([total], 1.0, INVT, first=False, to=2.0)
    within("float32_plateaus", run(frames[0]), wanted)


def test_contributions_of_a_batch_are_its_last_frames(fresh):
    run, frames = fresh(), movie(3)
    maps = run(frames)
    within("same_maths", sum(run.contributions().values()), maps[-1])
    maps = list(run.stream(frames))
    within("same_maths", sum(run.contributions().values()), maps[-1])


# --- smoothing ---------------------------------------------------------------------------------


def test_ema_by_hand(fresh):
    """V + rate (S - V) per frame, whatever the times."""
    frames = movie()
    plain = maps_of(fresh(ITTI_1998), frames).astype(float)
    for rate in (0.1, 0.5, 1.0):
        got = maps_of(fresh(replace(EMA, smoothing_rate=rate)), frames, TIMES)
        value = plain[0]
        for saliency, smoothed in zip(plain, got, strict=True):
            value = value + rate * (saliency - value)
            within("same_maths", smoothed, value)


def test_leaky_by_hand(fresh):
    """The smoothing factor grows with the time: 1 - e^(-dt / tau)."""
    frames = movie()
    plain = maps_of(fresh(ITTI_1998), frames).astype(float)
    for seconds in (0.05, 0.5, 1e-6):
        got = maps_of(fresh(replace(LEAKY, smoothing_seconds=seconds)), frames, TIMES)
        value = plain[0]
        within("same_maths", got[0], value)
        for saliency, smoothed, dt in zip(plain[1:], got[1:], np.diff(TIMES), strict=True):
            value = value + (1 - math.exp(-dt / seconds)) * (saliency - value)
            within("same_maths", smoothed, value)


@pytest.mark.parametrize("steps", [[1.0], [0.5, 0.5], [0.01, 0.2, 0.05, 0.44, 0.3], [0.01] * 30])
def test_a_map_halves_in_tau_ln_2_however_often_it_is_looked_at(fresh, steps):
    run = fresh(LEAKY)
    first = run(movie(1)[0], time=0)
    now, dark = 0.0, uniform(0)
    for step in steps:
        now += step * 0.5 * math.log(2) / sum(steps)
        saliency = run(dark, time=now)
    within("same_maths", saliency, first / 2)


def test_smoothing_is_of_the_whole_map(fresh):
    """Flicker and motion are in it; the past is the smoothed map, not the last frame's own."""
    frames = movie()
    plain = maps_of(fresh(FIVE), frames, TIMES).astype(float)
    got = maps_of(fresh(replace(FIVE, smoothing="ema")), frames, TIMES)
    value = plain[0]
    for saliency, smoothed in zip(plain, got, strict=True):
        value = value + 0.1 * (saliency - value)
        within("same_maths", smoothed, value)


# --- the model as a whole ----------------------------------------------------------------------


def test_timings_forget_the_past_and_never_disturb(fresh):
    run, frames = fresh(), movie(3)
    wanted = maps_of(run, frames)
    run.timings(frames[1])
    with pytest.raises(RuntimeError, match="give one first"):
        run.contributions()
    np.testing.assert_array_equal(np.stack([run(frame) for frame in frames]), wanted)
    run.timings(frames[0])
    run.timings(frames[1])
    np.testing.assert_array_equal(run(frames[0], time=-3), wanted[0])


def test_pictures_do_not_see_each_other(backend):
    """`saliency_map` is for single images, whatever the preset."""
    frames = movie(2)
    wanted = saliency_map(frames[0], FIVE, backend=backend)
    for frame in (frames[1], frames[0]):
        again = saliency_map(frame, FIVE, backend=backend)
    np.testing.assert_array_equal(again, wanted)
    still = replace(FIVE, weights=dict.fromkeys(STATIC, 1))
    within("same_maths", wanted, saliency_map(frames[0], still, backend=backend))


def test_frames_may_be_filled_anew(fresh):
    """What is remembered is the model's own: a decoder's one buffer serves."""
    frames = movie()
    for config in (FIVE, LEAKY):
        run = fresh(config)
        wanted = maps_of(run, frames, TIMES)
        buffer, out = run.pinned_frame(), np.empty(run.map_shape, np.float32)
        run.reset()
        for frame, now, saliency in zip(frames, TIMES, wanted, strict=True):
            buffer[:] = frame
            run(buffer, out, time=now)
            np.testing.assert_array_equal(out, saliency)
            buffer[:] = 255
            out[:] = -1


def test_models_do_not_share_a_past(backend):
    frames = movie(4)
    with (
        Saliency(SHAPE, FIVE, backend=backend, threads=1) as one,
        Saliency(SHAPE, FIVE, backend=backend, threads=1) as other,
    ):
        wanted = maps_of(one, frames)
        one.reset()
        for frame, saliency in zip(frames, wanted, strict=True):
            other(frame[::-1])
            np.testing.assert_array_equal(one(frame), saliency)


def test_channel_order(backend):
    frames = movie(3)
    with (
        Saliency(SHAPE, FIVE, backend=backend, threads=1) as rgb,
        Saliency(SHAPE, FIVE, backend=backend, threads=1, channel_order="bgr") as bgr,
    ):
        np.testing.assert_array_equal(maps_of(bgr, frames[..., ::-1]), maps_of(rgb, frames))


def test_linear_frames_flicker_in_light(fresh):
    run = fresh(replace(FIVE, linear=True))
    run(uniform(0))
    got = level_2(run, uniform(188))  # half the light, nearly
    within("stage_opponency", got, np.full(got.shape, ((188 / 255 + 0.055) / 1.055) ** 2.4))


@pytest.mark.parametrize("reading", READINGS)
def test_the_maps_do_not_depend_on_threads(reading):
    """Bands of rows overlap: a row that two workers make leaves the same state."""
    shape = (517, 301)
    frames = movie(shape=shape)
    maps = []
    for threads in (1, 2, 4):
        with Saliency(shape, READINGS[reading], backend="cpu", threads=threads) as run:
            maps.append(maps_of(run, frames, TIMES))
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])


@pytest.mark.parametrize("config", [FIVE, replace(FIVE, smoothing="leaky")])
def test_moving_frames_cost_no_allocation(config):
    frames = movie(2)
    with Saliency(SHAPE, config, backend="cpu", threads=2) as run:
        out, now = np.empty(run.map_shape, np.float32), 0.0
        for frame in (*frames, *frames):
            run(frame, out, time=(now := now + 0.02))
        nbytes = run.nbytes
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(30):
            for frame in frames:
                run(frame, out, time=(now := now + 0.02))
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert run.nbytes == nbytes
    assert after - before < 4096, "Python objects must not pile up, nor arrays"


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (611, 33)])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_uniform_frames_give_exactly_zero_however_they_change(fresh, shape, dtype):
    """A flash of the whole frame is nowhere in particular; nor is a cut to black."""
    run = fresh(FLICKER if dtype == "uint8" else FIVE, shape)
    for now, value in pairwise((0, 10, 255, 40, 0)):
        assert not run(uniform(value if dtype == "uint8" else value / 255, shape, dtype)).any(), now


def cut(to, dtype):
    """A picture, and after it another, or none, that stays."""
    before, after = movie(2, dtype=dtype)
    return [before, *[after * 0 if to == "black" else after[::-1].copy()] * 50]


@lru_cache(maxsize=16)
def truth_after_a_cut(step, to, dtype):
    with Saliency(SHAPE, FLICKER, backend="reference") as run:
        return maps_of(run, cut(to, dtype), [step * k for k in range(51)])


@pytest.mark.parametrize(
    ("step", "to", "dtype"),
    [
        *((0.005, "black", dtype) for dtype in ("uint8", "uint16", "float32")),
        (0.005, "another picture", "uint8"),
        (1 / 60, "another picture", "uint16"),
        (1 / 60, "black", "uint8"),
    ],
)
def test_a_quick_camera_comes_to_rest_after_a_cut(fresh, step, to, dtype):
    """What is left of the picture before fades as the reference says, and then is nothing: N makes
    no map of the last unit of a background.
    """
    run, rest = fresh(FLICKER), 0
    if run.backend == "reference":
        pytest.skip("it is itself")
    truth = truth_after_a_cut(step, to, dtype)
    for index, (frame, wanted) in enumerate(zip(cut(to, dtype), truth, strict=True)):
        got = run(frame, time=index * step)
        rest += index > 0 and not wanted.any()
        if got.any() and wanted.any():  # else one of them is just under the limit
            assert correlation(got, wanted) > 0.99, index
        if rest > 1:
            assert not got.any(), index
    assert truth[1].any() and rest > 5


@pytest.mark.parametrize("method", ["call", "trace"])
def test_a_bad_frame_of_another_format_leaves_no_trace(fresh, method):
    """Nor does one that was traced: a background of NaN is never looked at again."""
    frames, others = movie(4, dtype="float32"), movie(2, channels=1)
    wanted = maps_of(fresh(), frames)
    run = fresh()
    run(frames[0])
    with pytest.raises(ValueError, match="NaN"):
        (run.trace if method == "trace" else run)(np.full_like(frames[0], np.nan))
    run(others[0]), run(others[1])
    np.testing.assert_array_equal(maps_of(run, frames), wanted)
    assert all(np.isfinite(added).all() for added in run.contributions().values())


def test_a_traced_bad_frame_leaves_no_trace(fresh):
    frames, times = movie(4, dtype="float32"), [0, 0.02, 0.04, 0.06]
    wanted = maps_of(fresh(), frames, times)
    run = fresh()
    for frame, time, its in zip(frames, times, wanted, strict=True):
        if time:
            with pytest.raises(ValueError, match="NaN"):
                run.trace(np.full_like(frame, np.nan), time=time - 0.01)
        np.testing.assert_array_equal(run(frame, time=time), its)


def test_contributions_are_of_the_last_frame_of_a_batch(fresh):
    frames = movie(6)
    for config in (ITTI_1998, FIVE):
        run = fresh(config)
        for count in (6, 2):
            run.reset()
            maps = run(frames[:count])
            within("same_maths", sum(run.contributions().values()), maps[-1])


def test_a_stream_that_is_left_forgets(fresh):
    frames = movie(3)
    run = fresh()
    first = next(iter(run.stream(frames, times=[0, 0.1, 0.2])))
    np.testing.assert_array_equal(run(frames[0], time=0.1), first)
