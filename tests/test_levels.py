"""Levels: frames that use a part of their range, by values and percentiles, still and in video."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from conftest import model
from readings import READINGS
from stimuli import thermal
from tolerances import within

import ittisal
from ittisal import ITTI_1998, VIDEO, Levels, Saliency, saliency_map
from ittisal.levels import stretch
from ittisal.maps import peak
from ittisal.video import Painter
from ittisal.video.cuts import CutDetector

SHAPE = (64, 96)
# Full scale over span is 5 and 128.5, so that rounding is the same in float32 and float64.
DTYPES = {"uint8": (60, 111), "uint16": (7000, 7510), "float32": (-20.5, 41.25)}


@pytest.fixture
def scene(rng):
    """A thermal frame of counts between 7000 and 7500."""
    return thermal(rng)[0]


@pytest.fixture
def build(backend):
    """Options -> a model of `SHAPE` by the backend under test."""
    return lambda config=ITTI_1998, **options: Saliency(
        SHAPE, config, backend=backend, threads=1, **options
    )


def squeezed(dtype, channels=1, count=1):
    """Frames within the levels of `DTYPES`, and the same stretched by arithmetic in float64."""
    low, high = DTYPES[dtype]
    frames = [thermal(np.random.default_rng(i), *SHAPE, ((30, 50 + 3 * i), (20, 20)))[0]
              for i in range(count)]  # fmt: skip
    fractions = (np.stack(frames) - 7000) / 500.0
    if channels == 3:
        fractions = np.stack([fractions, fractions**2, 1 - fractions], axis=-1)
    frames = low + fractions * (high - low)
    if dtype == "float32":
        return frames.astype(dtype), fractions.astype(dtype)
    frames = np.rint(frames).astype(dtype)
    full = float(np.iinfo(dtype).max)
    return frames, np.rint((frames - float(low)) * full / (high - low)).astype(dtype)


# --- a squeezed frame is as good as a stretched one --------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint8", 3), ("uint16", 1), ("uint16", 3), ("float32", 1)]
)
@pytest.mark.parametrize("preset", READINGS)
def test_the_map_is_that_of_the_stretched_frame(backend, build, preset, dtype, channels):
    frames, full = squeezed(dtype, channels, count=2)
    config = READINGS[preset]
    plain = model(backend, SHAPE, config)
    plain.reset()
    levelled = build(config, levels=DTYPES[dtype])
    for frame, wanted in zip(frames, full, strict=True):
        before = frame.copy()
        got, want = levelled(frame), plain(wanted)
        assert want.max() > 0
        if dtype == "float32":
            within("float32_plateaus", got, want)
        else:
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(frame, before)
    assert levelled.levels == DTYPES[dtype]


@pytest.mark.parametrize("preset", READINGS)
@pytest.mark.parametrize("levels", [(7000, 7500), Levels(percentiles=(1, 99.9))])
def test_the_warmest_person_is_the_peak(preset, levels):
    for seed in range(3):
        frame, (y, x) = thermal(np.random.default_rng(seed))
        config = READINGS[preset]
        saliency = Saliency(frame.shape, config, backend="cpu", threads=1, levels=levels)(frame)
        at = peak(saliency, frame.shape, config)
        assert abs(at[0] - x) <= 24 and abs(at[1] - y) <= 40


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_way_in_applies_them(dtype, build):
    """Batches, streams, traces and what follows a frame; strided frames too."""
    frames, full = squeezed(dtype, count=3)
    plain, levelled = build(VIDEO), build(VIDEO, levels=DTYPES[dtype])
    wanted = plain(full)
    same = np.testing.assert_array_equal
    if dtype == "float32":
        same = lambda got, want: within("float32_plateaus", got, want)  # noqa: E731
    same(levelled(frames), wanted)
    levelled.reset()
    same(levelled(np.asfortranarray(frames[0])), wanted[0])
    levelled.reset()
    for got, want in zip(levelled.stream(frames), wanted, strict=True):
        same(got, want)
    same(levelled.retrace(frames[2])["saliency"].astype(np.float32), wanted[2])
    parts = levelled.contributions()
    assert set(parts) == set(plain.contributions())
    levelled.reset()
    same(levelled.trace(frames[0])["saliency"].astype(np.float32), wanted[0])
    assert levelled.timings(frames[0])["total"] > 0
    assert levelled.nbytes > plain.nbytes


def test_saliency_map(backend):
    frames, full = squeezed("uint16")
    got = saliency_map(frames[0], backend=backend, levels=(7000, 7510))
    np.testing.assert_array_equal(got, saliency_map(full[0], backend=backend))
    whole = saliency_map(frames[0], backend=backend, levels=(0, 65535))
    np.testing.assert_array_equal(whole, saliency_map(frames[0], backend=backend))


# --- stretching --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_values_between_black_and_white(dtype):
    low, high = DTYPES[dtype]
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    third = (high - low) / 3
    values = np.array([low - 9, low, low + third, high - third, high, high + 9])
    frame = np.repeat(values.astype(dtype)[:, None], 40, axis=1)[:, ::2]  # strided
    out = np.full(frame.shape, 9, dtype)
    stretch(frame, (low, high), out)
    wanted = np.array([0, 0, full / 3, 2 * full / 3, full, full])
    np.testing.assert_allclose(out[:, 0], wanted, rtol=1e-6)
    assert (out == out[:, :1]).all()


def test_every_count_is_rounded_to_the_nearest():
    counts = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for low, high in ((0, 65535), (7000, 7500), (59_990, 60_000), (3, 40_000)):
        out = np.empty_like(counts)
        stretch(counts, (low, high), out)
        exact = np.clip((counts.astype(float) - low) * 65535 / (high - low), 0, 65535)
        assert np.abs(out - exact).max() <= 0.51


def test_extremes_overflow_nothing(build):
    frame = np.zeros(SHAPE, np.float32)
    frame[20:30, 40:50] = 3e38
    frame[50:55, 10:20] = -3e38
    for levels in ((0, 1), (0, 1e-300), (-3e38, 3e38), (1e9, 1e9 + 1)):
        assert np.isfinite(build(levels=levels)(frame)).all()


def test_models_own_their_buffer_and_no_frame_allocates():
    frame = thermal(np.random.default_rng(1), 240, 320)[0]
    levels = Levels(percentiles=(1, 99))
    with Saliency(frame.shape, backend="cpu", threads=1, levels=levels) as run:
        out = np.empty(run.map_shape, np.float32)
        for _ in range(3):
            run(frame, out)
        held = run.nbytes
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            run(frame, out)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert run.nbytes == held and after - before < 4096


# --- percentiles -------------------------------------------------------------------------------


def measured(frame, *percentiles):
    return Levels(percentiles=percentiles).follow(frame, None, 0.0)


def test_percentiles_of_a_frame(scene):
    for percentiles in ((1, 99), (0.5, 50), (10, 99.9)):
        found = measured(scene, *percentiles)
        for percentile, value in zip(percentiles, found, strict=True):
            below, up_to = 100 * (scene < value).mean(), 100 * (scene <= value).mean()
            assert below - 0.3 <= percentile <= up_to + 0.3
        assert found == measured(scene, *percentiles)
    hot = scene.copy()
    hot[13, 77], hot[200, 300] = 65535, 3  # two dead pixels
    assert measured(hot, 0, 100) == (3, 65535)
    np.testing.assert_allclose(measured(hot, 1, 99), measured(scene, 1, 99), atol=1)
    colour = np.stack([scene, scene + 1000, scene + 2000], axis=-1)
    assert measured(colour, 0, 100) == (scene.min(), scene.max() + 2000)
    columns = np.tile(np.array([0, 100], np.uint8), (480, 320))  # every other column
    assert measured(columns, 10, 90) == (0, 100)


def test_percentiles_are_followed_by_time():
    levels = Levels(percentiles=(0, 100), seconds=0.5)
    frame = np.full(SHAPE, 1000, np.uint16)
    frame[0, 0] = 2000
    span = levels.follow(frame, None, 9.0)
    assert span == (1000, 2000)
    frame += 1000
    for elapsed in (0.1, 0.4):
        span = levels.follow(frame, span, elapsed)
    np.testing.assert_allclose(span, (2000 - math.exp(-1) * 1000, 3000 - math.exp(-1) * 1000))
    assert replace(levels, seconds=0).follow(frame, span, 0.04) == (2000, 3000)
    assert replace(levels, seconds=math.inf).follow(frame, span, 1e9) == span


def test_a_cut_between_thermal_shots_is_seen():
    """A twentieth of the range would look like black frames."""
    detector = CutDetector()
    one, other = thermal(np.random.default_rng(1))[0], thermal(np.random.default_rng(2))[0][::-1]
    found = [detector.is_cut(frame, 500 / 65535) for frame in (one, one, other, other, other)]
    assert found == [False, False, True, False, False]
    assert not any(detector.is_cut(np.full(SHAPE, 7000, np.uint16), 0.0) for _ in range(3))


@pytest.mark.parametrize("config", [ITTI_1998, VIDEO])
def test_models_follow_until_they_are_reset(build, config):
    """Also where nothing else remembers. Times are in seconds, and have to increase."""
    frames = np.stack([squeezed("uint16")[0][0] + np.uint16(100 * i) for i in range(4)])
    low, high = float(frames[0].min()), float(frames[0].max())
    run = build(config, levels=Levels(percentiles=(0, 100), seconds=2))
    assert run.levels is None
    first = run(frames[0], time=5.0)
    assert run.levels == (low, high)
    run(frames[1], time=5.5)
    moved = 100 * -math.expm1(-0.25)
    np.testing.assert_allclose(run.levels, (low + moved, high + moved))
    with pytest.raises(ValueError, match="not after the last frame's"):
        run(frames[1], time=5.5)
    kept = run.levels
    run.retrace(frames[1])
    assert run.levels == kept
    run.reset()
    assert run.levels is None
    np.testing.assert_array_equal(run(frames[2] - np.uint16(200), time=0.0), first)
    run(frames[0].astype(np.float32))  # another type has a past of its own
    assert run.levels == (low, high)
    run.reset()
    one_by_one = [run(frame, time=i / 10).copy() for i, frame in enumerate(frames)]
    run.reset()
    np.testing.assert_array_equal(run(frames, time=np.arange(4) / 10), one_by_one)


def test_refused_frames_change_nothing(build):
    frames, _ = squeezed("float32", count=3)
    run, other = (build(VIDEO, levels=Levels(percentiles=(1, 99))) for _ in range(2))
    bad = frames[1].copy()
    for value in (np.nan, np.inf, -np.inf):
        bad[5, 5] = value
        run.reset()
        other.reset()
        run(frames[0])
        kept = run.levels
        with pytest.raises(ValueError, match="frame holds NaN, or values that are infinite"):
            run(bad)
        assert run.levels == kept
        other(frames[0])
        np.testing.assert_array_equal(run(frames[2]), other(frames[2]))
    for several in (np.stack([frames[0], bad]), bad.astype(np.float64) * 1e39):
        with pytest.raises(ValueError, match="NaN, or values that are infinite in float32"):
            run(several)
    assert run.levels is None


# --- nothing there -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("preset", READINGS)
def test_a_uniform_frame_has_no_map(dtype, preset):
    low, high = DTYPES[dtype]
    for levels in ((low, high), Levels(percentiles=(1, 99)), Levels(percentiles=(0, 100))):
        run = Saliency(SHAPE, READINGS[preset], backend="cpu", threads=1, levels=levels)
        for value in (low - 5, low, (low + high) / 2, high + 5):
            assert not run(np.full(SHAPE, value, dtype)).any()
            run.reset()


def test_what_lies_above_levels_that_coincide_is_white(build):
    frame = np.full(SHAPE, 7000, np.uint16)
    frame[20:24, 40:44] = 7001
    run = build(levels=Levels(percentiles=(1, 99)))
    assert run(frame).max() > 0 and run.levels == (7000, 7000)


# --- in streams --------------------------------------------------------------------------------


def test_streams_follow_by_the_frames_times_and_begin_anew_at_a_cut():
    first, second = (squeezed("uint16", count=2)[0] for _ in range(2))
    second = (second[:, ::-1, ::-1] * np.uint16(5)).copy()  # other counts, another picture
    frames = [*first, *second]
    spans, cuts = [], []
    levels = Levels(percentiles=(0, 100), seconds=0.5)
    with ittisal.stream(frames, fps=4, backend="cpu", levels=levels) as stream:
        for result in stream:
            spans.append(stream.model.levels)
            cuts.append(result.cut)
            np.testing.assert_allclose(result.trace()["saliency"], result.saliency, rtol=1e-5)
            np.testing.assert_array_equal(result.frame, frames[result.index])
    lows, highs = ([float(extreme(frame)) for frame in frames] for extreme in (np.min, np.max))
    assert cuts == [False, False, True, False]
    assert spans[0] == (lows[0], highs[0]) and spans[2] == (lows[2], highs[2])
    weight = -math.expm1(-0.5)
    for i in (1, 3):
        wanted = [a[i - 1] + weight * (a[i] - a[i - 1]) for a in (lows, highs)]
        np.testing.assert_allclose(spans[i], wanted)


def test_streams_draw_frames_by_their_levels():
    frames, full = squeezed("uint16", count=3)
    pictures = []
    for shown, levels in ((frames, DTYPES["uint16"]), (full, (0, 65535))):
        with ittisal.stream(shown, backend="cpu", levels=levels) as stream:
            paint = Painter(stream, "side-by-side")
            pictures.append([paint(result).copy() for result in stream])
    np.testing.assert_array_equal(*pictures)


# --- refused -----------------------------------------------------------------------------------


BAD = [
    (5, TypeError, r"values=5 must be \(black, white\)"),
    ((1, 2, 3), TypeError, r"must be \(black, white\)"),
    (("a", 2), TypeError, "values holds 'a'; give numbers"),
    ((False, 2), TypeError, "values holds False"),
    ((7500, 7000), ValueError, r"\(7500.0, 7000.0\) must be finite, black below white"),
    ((7000, 7000), ValueError, "black below white"),
    ((math.nan, 1), ValueError, "must be finite"),
    ((0, math.inf), ValueError, "must be finite"),
    ((0, 1e39), ValueError, "must be finite"),
]


@pytest.mark.parametrize(("levels", "error", "says"), BAD)
def test_bad_levels(levels, error, says):
    for build in (Levels, lambda given: Saliency(SHAPE, backend="reference", levels=given),
                  lambda given: saliency_map(np.zeros(SHAPE), levels=given),
                  lambda given: ittisal.stream("nowhere.mp4", levels=given)):  # fmt: skip
        with pytest.raises(error, match=says):
            build(levels)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({}, ValueError, "are either values or percentiles; give one"),
        ({"values": (1, 2), "percentiles": (1, 2)}, ValueError, "give one"),
        ({"percentiles": (-1, 99)}, ValueError, r"\(-1.0, 99.0\) must be from 0 to 100"),
        ({"percentiles": (1, 101)}, ValueError, "must be from 0 to 100"),
        ({"percentiles": (99, 1)}, ValueError, "black below white"),
        ({"percentiles": (1, 99), "seconds": -1}, ValueError, "seconds=-1 must be at least 0"),
        ({"percentiles": (1, 99), "seconds": math.nan}, ValueError, "seconds=nan must be"),
        ({"percentiles": (1, 99), "seconds": "1"}, TypeError, "seconds holds '1'"),
    ],
)
def test_bad_percentiles(options, error, says):
    with pytest.raises(error, match=says):
        Levels(**options)


@pytest.mark.parametrize(
    ("levels", "dtype", "says"),
    [
        (
            (7000, 7500),
            np.uint8,
            r"levels=\(7000, 7500\) reach beyond uint8 .* 0 to 255; give",
        ),
        ((-1, 200), np.uint8, "reach beyond uint8 frames"),
        ((0, 65536), np.uint16, "reach beyond uint16 frames, whose values lie in 0 to 65535"),
    ],
)
def test_levels_outside_the_type(build, levels, dtype, says):
    with pytest.raises(ValueError, match=says):
        build(levels=levels)(np.zeros(SHAPE, dtype))


def test_transparent_images_have_no_counts():
    image = np.full((64, 96, 4), 7000, np.uint16)
    with pytest.raises(ValueError, match=r"image of uint16 is transparent, .* composite it first"):
        saliency_map(image, levels=(7000, 7500))
    image[..., 3] = 65535
    assert not saliency_map(image, levels=(7000, 7500)).any()


def test_frames_on_a_gpu_are_refused(build):
    class OnGpu:
        shape = SHAPE

        def __dlpack_device__(self):
            return 2, 0

    with pytest.raises(TypeError, match="levels are for frames in host memory; copy it first"):
        build(levels=(7000, 7500))(OnGpu())
