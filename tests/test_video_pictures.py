"""Pictures of video: where the heat lies, that it is not stretched, and that nothing flickers."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import ittisal
from ittisal import drawing
from ittisal.drawing import heat
from ittisal.maps import channel_shares
from ittisal.sampling import sampling
from ittisal.video import Painter, RunningPeak, overlay
from ittisal.video.painter import KINDS

UNSHIFTED = dataclasses.replace(ittisal.VIDEO, working_size=0)


class Stream:
    """What a painter asks of a stream."""

    def __init__(self, size, working=None, config=UNSHIFTED, channel_order="bgr"):
        self.size, self.channel_order = size, channel_order
        self.model = SimpleNamespace(shape=working or size, config=config, levels=None)

    def result(self, saliency, frame=None, *, index=0, time=0.0, cut=False):
        if frame is None:
            frame = np.full((*self.size, 3), 90, np.uint8)
        return SimpleNamespace(
            frame=frame,
            saliency=saliency,
            index=index,
            time=time,
            cut=cut,
            contributions=lambda: {"intensity": saliency},
        )


def random_map(working, seed=0, config=UNSHIFTED):
    shape = sampling(working, config).map_shape
    return np.random.default_rng(seed).random(shape, np.float32)


def frame_of(size, seed=1):
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


@pytest.mark.parametrize("phase", ["centred", "even"])
@pytest.mark.parametrize("working_size", [0, 200, 800])
@pytest.mark.parametrize("size", [(64, 96), (75, 101), (66, 127)])
def test_maps_lie_where_still_pictures_have_them(size, phase, working_size):
    config = dataclasses.replace(ittisal.VIDEO, phase=phase, working_size=working_size)
    saliency = random_map(size, config=config)
    painter = Painter(Stream(size, config=config), "map", grey=True)
    picture = painter(Stream(size, config=config).result(saliency))
    want = ittisal.upsample(saliency / saliency.max(), size, config) * 255
    # Half a level for each rounding; older OpenCV warps to a 32nd of a sample (even phase).
    slack = 1.51 if phase == "centred" else 5
    assert np.abs(picture[..., 0] - want).max() <= slack
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])


def test_maps_of_a_working_size_are_spread_over_the_frame():
    size, working = (192, 256), (96, 128)
    saliency = random_map(working)
    picture = Painter(Stream(size, working), "map", grey=True)(Stream(size).result(saliency))
    rows = (np.arange(6) + 0.5) * 32 - 0.5  # between two pixels
    columns = (np.arange(8) + 0.5) * 32 - 0.5
    at = picture[..., 0].astype(float)
    four = sum(
        at[(rows + dy).astype(int)][:, (columns + dx).astype(int)]
        for dy in (-0.5, 0.5)
        for dx in (-0.5, 0.5)
    )
    assert np.abs(four / 4 - saliency / saliency.max() * 255).max() < 8  # a 64th of the way off


@pytest.mark.parametrize("order", ["bgr", "rgb"])
@pytest.mark.parametrize("size", [(64, 96), (75, 101)])
def test_the_overlay_is_that_of_still_pictures(size, order):
    frame, saliency = frame_of(size), random_map(size)
    given = frame if order == "bgr" else np.ascontiguousarray(frame[..., ::-1])
    stream = Stream(size, channel_order=order)
    picture = Painter(stream)(stream.result(saliency, given))
    full = ittisal.upsample(saliency / saliency.max(), size)
    want = drawing.heat_over(frame, full).astype(int)
    got = picture if order == "bgr" else picture[..., ::-1]
    assert np.abs(got - want).max() <= 5  # rounded at each of its steps
    np.testing.assert_array_equal(
        overlay(given, saliency, channel_order=order, config=UNSHIFTED), picture
    )


def test_side_by_side_is_frame_and_map():
    stream, saliency, frame = Stream((75, 101)), random_map((75, 101)), frame_of((75, 101))
    painter = Painter(stream, "side-by-side")
    picture = painter(stream.result(saliency, frame))
    assert painter.size == (75, 202) and picture.shape == (75, 202, 3)
    np.testing.assert_array_equal(picture[:, :101], frame)
    np.testing.assert_array_equal(
        picture[:, 101:], Painter(stream, "map")(stream.result(saliency, frame))
    )


def test_the_panel_shows_every_channel():
    frames = [np.full((128, 192, 3), 60, np.uint8) for _ in range(2)]
    for i, frame in enumerate(frames):
        frame[40:80, 60 + 8 * i : 76 + 8 * i] = (0, 0, 255)
    with ittisal.stream(frames, channel_order="bgr", backend="reference") as stream:
        painter = Painter(stream, "channels")
        empty, full = (painter(result).copy() for result in stream)
    assert empty.shape == (*painter.size, 3) and painter.size[0] % 2 == painter.size[1] % 2 == 0
    tiles = [
        [picture[y : y + painter._layout.tile[0], x : x + 240] for y, x in painter._layout.boxes]
        for picture in (empty, full)
    ]
    assert len(tiles[0]) == 8
    lit = [[int(np.ptp(tile.astype(int), axis=(0, 1)).max()) > 30 for tile in row] for row in tiles]
    assert lit[0] == [True] * 4 + [False] * 2 + [True] * 2  # no flicker, no motion yet
    assert all(lit[1])
    shown = cv2.resize(frames[1], (240, 160), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(tiles[1][0], shown)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_made_in_place(kind):
    stream = Stream((64, 96))
    painter = Painter(stream, kind)
    results = [stream.result(random_map((64, 96), i), index=i, time=i / 25) for i in range(3)]
    first = painter(results[0])
    assert painter(results[1]) is first  # its own buffer, again
    out = np.zeros((*painter.size, 3), np.uint8)
    assert painter(results[2], out) is out and out.any()


def test_a_frame_of_another_size_goes_into_the_same_picture():
    stream = Stream((64, 96))
    painter = Painter(stream, "map", grey=True)
    painter(stream.result(random_map((64, 96))))
    stream.size = stream.model.shape = (128, 96)
    picture = painter(stream.result(np.ones((8, 6), np.float32), cut=True))
    assert picture.shape == (64, 96, 3)
    assert (picture[:, 24:72] == 255).all() and (picture[:, :24] == 24).all()


def test_nothing_salient_is_dark():
    stream = Stream((64, 96))
    flat = np.zeros((4, 6), np.float32)
    assert not Painter(stream, "map", grey=True)(stream.result(flat)).any()
    frame = frame_of((64, 96))
    picture = Painter(stream)(stream.result(flat, frame))
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    assert np.abs(picture - 0.8 * grey[..., None]).max() <= 1 + 0.01


def test_sixteen_bits_are_stretched_to_the_values_that_they_have():
    frames = [np.full((64, 96), 7000, np.uint16) for _ in range(3)]
    for frame, high in zip(frames, (7250, 7500, 7100), strict=True):
        frame[20:40, 40:60] = high
    stream = Stream((64, 96))
    painter, flat = Painter(stream, "side-by-side"), np.zeros((4, 6), np.float32)
    shown = [painter(stream.result(flat, frame))[30, 50, 0] for frame in frames]
    assert shown == [255, 255, round(255 / 5)]  # of 7000 to 7250, then to 7500
    picture = painter(stream.result(flat, frames[2], cut=True))
    assert picture[30, 50, 0] == 255 and picture[0, 0, 0] == 0
    assert drawing.heat_over(frames[0], np.zeros((64, 96))).max() == round(0.8 * 255)
    plain = frame_of((64, 96))
    for frame in (plain, plain.astype(np.float32) / 255):
        np.testing.assert_array_equal(drawing.visible(frame), plain)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_frames_are_shown_by_the_levels_of_the_model(dtype):
    frame = np.full((64, 96), 100, dtype)
    frame[20:40, 40:60] = 200
    stream = Stream((64, 96))
    painter, flat = Painter(stream, "side-by-side"), np.zeros((4, 6), np.float32)
    for stream.model.levels, shown in (((100.0, 200.0), (0, 255)), ((150.0, 350.0), (0, 64))):
        picture = painter(stream.result(flat, frame))
        assert (picture[0, 0, 0], picture[30, 50, 0]) == shown
    assert drawing.heat_over(frame, np.zeros((64, 96)), (100, 200)).max() == round(0.8 * 255)


def test_wrong_use_is_told():
    with pytest.raises(ValueError, match=r"kind='heat' is not one of 'overlay', 'side-by-side'"):
        Painter(Stream((64, 96)), "heat")
    with pytest.raises(ValueError, match="grey=True has no meaning"):
        Painter(Stream((64, 96)), "overlay", grey=True)
    with pytest.raises(ValueError, match=r"map has shape \(3, 6\), which is not that of a 96x64"):
        overlay(np.zeros((64, 96, 3), np.uint8), np.zeros((3, 6), np.float32))
    with pytest.raises(ValueError, match="channel_order"):
        overlay(np.zeros((64, 96, 3), np.uint8), np.zeros((4, 6), np.float32), channel_order="bg")


# --- brightness --------------------------------------------------------------------------------


def test_brightness_is_quick_up_and_slow_down():
    brightness = RunningPeak()
    for i in range(50):
        assert brightness.follow(10.0, i / 25) == pytest.approx(10.0)
    fallen = brightness.follow(1.0, 2.0)  # one dim frame
    assert 9.8 < fallen < 10
    for i in range(1, 126):  # five seconds of them
        fallen = brightness.follow(1.0, 2.0 + i / 25)
    assert fallen == pytest.approx(1 + 9 * np.exp(-1), rel=0.02)
    for i in range(1, 6):  # a fifth of a second
        risen = brightness.follow(10.0, 7.0 + i / 25)
    assert risen > 8.5


def test_brightness_goes_by_time_and_starts_anew_at_a_cut():
    slow, fast = RunningPeak(), RunningPeak()
    slow.follow(8.0, 0.0), fast.follow(8.0, 0.0)
    for i in range(1, 11):
        fast.follow(2.0, i / 100)
    assert slow.follow(2.0, 0.1) == pytest.approx(fast.peak)
    assert slow.follow(1.0, 0.14, anew=True) == 1.0
    assert RunningPeak().follow(0.0, 0.0) == 0.0


def test_an_unsteady_maximum_does_not_flicker():
    """Every other frame has one sample twice as high; the rest of the picture must stay put."""
    stream = Stream((64, 96))
    painter = Painter(stream, "map", grey=True)
    shades = []
    for i in range(20):
        saliency = np.full((4, 6), 0.5, np.float32)
        saliency[0, 0] = 2.0 if i % 2 else 1.0
        shades.append(int(painter(stream.result(saliency, time=i / 25))[60, 90, 0]))
    steady = shades[10:]
    assert max(steady) - min(steady) <= 0.2 * max(steady)  # stretched frames would halve it


def test_shares_sum_to_one():
    added = {name: np.full((2, 3), n, np.float32) for name, n in (("a", 1), ("b", 2), ("c", 0))}
    assert channel_shares(added) == pytest.approx({"a": 1 / 3, "b": 2 / 3, "c": 0})
    assert channel_shares({"a": np.zeros((2, 2))}) == {"a": 0.0}


def test_heat_rises_in_lightness():
    colours = heat(np.linspace(0, 1, 256)[None])
    grey = cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY)[0].astype(int)
    assert (np.diff(grey) >= -1).all() and grey[0] < 5 and grey[-1] > 230
