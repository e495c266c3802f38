"""Small frames worked on at finer levels: their maps in every format, and what is made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from attention import pixel
from conftest import model
from tolerances import correlation, within

import ittisal
from ittisal import GAZE, INVT, ITTI_1998, VIDEO, WHITENED, reference
from ittisal.attention.view import view

SHAPES = {(32, 32): 2, (97, 131): 2, (256, 256): 2, (32, 560): 1, (301, 467): 1, (283, 64): 1}
PRESETS = {"video": VIDEO, "whitened": WHITENED, "gaze": GAZE}
SHAPED = pytest.mark.parametrize("shape", SHAPES, ids=str)


def lone_square(shape, dtype="uint8", channels=3):
    """Red on grey with a little noise, and where its middle lies."""
    noise = np.random.default_rng(1).integers(-3, 4, (*shape, channels))
    frame = 100 + noise
    top, left = shape[0] // 2 - 6, 3 * shape[1] // 5 - 6
    frame[top : top + 12, left : left + 12] = (240, 40, 40)[:channels]
    frame = frame[..., 0] if channels == 1 else frame
    if dtype == "float32":
        return (frame / 255).astype(dtype), (top + 5.5, left + 5.5)
    scale = 257 if dtype == "uint16" else 1
    return (frame * scale).astype(dtype), (top + 5.5, left + 5.5)


@pytest.mark.parametrize("name", PRESETS)
@SHAPED
def test_maps_are_an_eighth_or_a_quarter_of_the_frame(name, shape):
    run = model("cpu", shape, PRESETS[name])
    size = 16 >> SHAPES[shape]
    assert run.map_shape == (shape[0] // size, shape[1] // size)
    frame, _ = lone_square(shape)
    saliency = run(frame)
    run.reset()
    assert saliency.shape == run.map_shape and saliency.max() > 0
    assert correlation(saliency, reference.saliency(frame, PRESETS[name])) > 0.9999


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(301, 367), (97, 131)], ids=str)
def test_every_format_in_time(shape, dtype, channels, order):
    """The second of two frames: flicker's background and motion too."""
    config = replace(VIDEO, figure=True, whitening_seconds=0.5, smoothing="leaky")
    frames = [lone_square(shape, dtype, channels)[0]]
    frames.append(np.ascontiguousarray(np.roll(frames[0], (1, 3), (0, 1))))
    past = reference.passed(reference.trace(frames[0], config, order), config)
    wanted = reference.trace(frames[1], config, order, past, 0.02)["saliency"]
    run = ittisal.Saliency(shape, config, backend="cpu", channel_order=order)
    for frame, time in zip(frames, (0.0, 0.02), strict=True):
        got = run(frame, time=time)
    assert correlation(got, wanted) > 0.9999
    with ittisal.Saliency(shape, config, backend="cpu", channel_order=order) as again:
        np.testing.assert_array_equal(again(np.stack(frames), time=[0.0, 0.02])[1], got)
    with ittisal.Saliency(shape, config, backend="cpu", channel_order=order, threads=2) as shared:
        *_, last = shared.stream(frames, times=[0.0, 0.02])
        np.testing.assert_array_equal(last, got)


@SHAPED
def test_attention_looks_where_the_square_is(shape):
    frame, middle = lone_square(shape)
    saliency = model("cpu", shape, GAZE)(frame)
    where = {"shape": shape, "config": GAZE}
    seen = view(saliency, **where)
    assert (seen.sample_size == 16 >> SHAPES[shape]).all()
    x, y = ittisal.maps.peak(saliency, shape, GAZE)
    first = ittisal.scanpath(saliency, 1, **where)[0]
    (box,) = ittisal.regions(saliency, 1, min_confidence=0, **where)
    for place in ((y, x), (first.y, first.x), box.focus):
        assert np.abs(np.subtract(place, middle)).max() <= 12
    crop = ittisal.crop(saliency, aspect=1, zoom=2, **where)
    assert crop.y <= middle[0] <= crop.y + crop.height
    assert crop.x <= middle[1] <= crop.x + crop.width
    assert seen.coverage((0, 0, *shape)).min() == 1


@pytest.mark.parametrize("phase", ["centred", "even"])
@SHAPED
def test_maps_are_upsampled_on_their_own_grid(shape, phase, rng):
    config = replace(GAZE, phase=phase)
    shift = SHAPES[shape]
    small = rng.random(ittisal.Saliency(shape, config, backend="reference").map_shape, np.float32)
    wanted = reference.upsample(small.astype(float), shape, 4 - shift, config)
    within("upsampled", ittisal.upsample(small, shape, config), wanted)
    assert pixel(1, config, max(shape)) == (16 >> shift) * (1 if phase == "even" else 1.5) - (
        0 if phase == "even" else 0.5
    )
    with pytest.raises(ValueError, match="the config that made the map"):
        ittisal.upsample(small, shape)


def test_a_map_without_its_frames_shape_may_be_of_several():
    small = np.ones((16, 16))
    for map_shape in ((16, 16), (30, 40), (52, 70)):
        with pytest.raises(ValueError, match=r"working_size=800.*several sizes.*the frame's shape"):
            view(np.ones(map_shape), config=GAZE)
    assert view(small).shape == (256, 256)
    assert view(small, (64, 64), GAZE).sample_size.tolist() == [4, 4]
    assert view(np.ones((64, 80)), config=GAZE).shape == (1024, 1280)
    for shape, config in (((64, 64), ITTI_1998), ((256, 256), GAZE)):
        with pytest.raises(ValueError, match="and the config that made the map"):
            view(small, shape, config)


def test_named_originals_are_never_shifted():
    for config in (ITTI_1998, INVT):
        assert ittisal.Saliency((64, 96), config, backend="reference").map_shape == (4, 6)


def test_streams_go_by_the_size_that_the_model_sees():
    frames = [np.zeros((360, 640, 3), np.uint8) for _ in range(2)]
    frames[1][100:140, 300:340] = 255
    for width, sample in ((None, 16), (320, 8), (160, 4)):
        with ittisal.stream(frames, width=width, config=VIDEO, backend="cpu") as stream:
            for result in stream:
                saliency, place = result.saliency, result.peak
        seen = (width or 640) * 360 // 640, width or 640
        assert saliency.shape == (seen[0] // sample, seen[1] // sample)
        assert np.abs(np.subtract(place, (319.5, 119.5))).max() <= 40
