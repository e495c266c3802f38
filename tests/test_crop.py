"""Crops: the best window of all, known answers, placements, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import ittisal
from ittisal import Crop, crop
from ittisal.attention.view import View

EVEN = replace(ittisal.ITTI_1998, phase="even")


def pixel_mass(view: View) -> np.ndarray:
    """The integral of the map over each pixel of the frame, each sample a block of pixels."""
    parts = []
    for axis, (whole, n) in enumerate(zip(view.shape, view.saliency.shape, strict=True)):
        middles = view.to_frame(np.repeat(np.arange(n)[:, None], 2, axis=1))[:, axis]
        between = (middles[1:] + middles[:-1]) / 2 + 0.5
        edges = np.array([0, *between, whole])
        pixels = np.arange(whole)[:, None]
        overlap = np.minimum(pixels + 1, edges[1:]) - np.maximum(pixels, edges[:-1])
        parts.append(np.clip(overlap, 0, 1))
    return parts[0] @ view.saliency @ parts[1].T


def best_by_trying_all(view: View, height: int, width: int) -> tuple[int, int, float]:
    """(y, x, share) of the window that keeps the most, of equal ones the most central."""
    mass = pixel_mass(view)
    table = np.pad(mass.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    kept = table[height:, width:] - table[:-height, width:]
    kept = kept - table[height:, :-width] + table[:-height, :-width]
    y, x = np.nonzero(kept >= kept.max() - 1e-9 * mass.sum())
    off = (2 * y + height - view.shape[0]) ** 2 + (2 * x + width - view.shape[1]) ** 2
    best = np.lexsort((x, y, off))[0]
    return y[best], x[best], kept.max() / mass.sum()


def views(seed: int):
    """Maps of odd and even frames, by both samplings, of their frame's own size, and shrunk."""
    rng = np.random.default_rng(seed)
    for shape, config in [
        ((96, 128), ittisal.ITTI_1998),
        ((97, 143), ittisal.ITTI_1998),
        ((143, 65), EVEN),
        ((111, 112), EVEN),
    ]:
        small = rng.random([n // 16 for n in shape]) ** 4
        yield View(small, shape, shape, config)
        yield View(np.round(2 * small), shape, shape, config)  # many equal windows
    yield View(rng.random((31, 40)), (31, 40), (31, 40), EVEN)  # a sample per pixel
    seen = (67, 90)
    yield View(rng.random((4, 5)) ** 4, (101, 135), seen, ittisal.ITTI_1998)
    yield View(rng.random((4, 5)) ** 4, (101, 135), seen, EVEN)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("zoom", [1, 1.3, 2.6])
@pytest.mark.parametrize("aspect", [0.3, 1, 16 / 9, None])
def test_no_window_keeps_more(seed, zoom, aspect):
    if aspect is None and zoom == 1:
        aspect = 5
    for view in views(seed):
        source = SimpleNamespace(as_view=lambda view=view: view)
        found = crop(source, aspect=aspect, zoom=zoom)
        y, x, share = best_by_trying_all(view, found.height, found.width)
        assert found.share == pytest.approx(share, abs=1e-12)
        assert (found.y, found.x) == (y, x)


def test_a_lone_sample():
    saliency = np.zeros((12, 20), np.float32)
    saliency[7, 3] = 2
    window = crop(saliency, aspect=1)
    # The block is columns 48 to 63; of the windows that hold it, the most central one.
    assert window == Crop(0, 48, 192, 192, (119.5, 55.5), 1.0)
    assert window.as_dict() == {
        **{"x": 48, "y": 0, "width": 192, "height": 192, "share": 1.0},
        "focus": {"x": 55.5, "y": 119.5},
    }
    assert np.zeros((192, 320))[window.slices].shape == (192, 192)
    assert crop(saliency, aspect=1, zoom=8) == Crop(104, 48, 24, 24, (119.5, 55.5), 1.0)


@pytest.mark.parametrize("shape", [(192, 320), (200, 331), (320, 192)])
@pytest.mark.parametrize("aspect", [0.02, 0.5, 1, 1.5, 4, 90])
def test_the_window_is_the_largest_that_fits(shape, aspect):
    window = crop(np.ones([n // 16 for n in shape]), aspect=aspect, shape=shape)
    assert window.height == shape[0] or window.width == shape[1]
    assert 0 <= window.y <= shape[0] - window.height and 0 <= window.x <= shape[1] - window.width
    assert abs(window.width - aspect * window.height) <= max(aspect, 1)
    half = crop(np.ones([n // 16 for n in shape]), aspect=aspect, shape=shape, zoom=2)
    assert abs(2 * half.height - window.height) <= 2 and abs(2 * half.width - window.width) <= 2


def test_output_sizes_of_an_aspect_show_the_same_part():
    saliency = np.random.default_rng(3).random((67, 120)) ** 6
    windows = [
        crop(saliency, size=size, shape=(1080, 1920))
        for size in [(1200, 900), (400, 300), (40, 30), (133, 100), (4, 3)]
    ]
    assert len({windows[i] for i in (0, 1, 2, 4)}) == 1
    assert abs(windows[3].x - windows[0].x) <= 8 and abs(windows[3].width - 810) <= 3


def test_mirror():
    saliency = np.random.default_rng(5).random((8, 12)) ** 3
    for placement in ("saliency", "centre", "thirds"):
        for aspect, zoom in ((1, 1), (0.5, 2), (3, 1)):
            options = {"aspect": aspect, "zoom": zoom, "placement": placement}
            plain, mirrored = crop(saliency, **options), crop(saliency[:, ::-1], **options)
            assert mirrored.x == 192 - plain.x - plain.width and mirrored.y == plain.y
            assert mirrored.share == pytest.approx(plain.share)


@pytest.mark.parametrize("scale", [5e-324, 1e-30, 7.0, 1e37])
def test_scale(scale):
    saliency = np.round(9 * np.random.default_rng(6).random((8, 12)))
    plain, scaled = crop(saliency, aspect=0.7), crop(saliency * scale, aspect=0.7)
    assert replace(scaled, share=plain.share) == plain
    assert scaled.share == pytest.approx(plain.share)


@pytest.mark.parametrize(
    ("placement", "corner"), [("centre", (48, 240)), ("thirds", (61, 227)), ("saliency", (56, 208))]
)
def test_placements(placement, corner):
    saliency = np.zeros((12, 24))
    saliency[5, 17] = 1  # its middle is (88, 280), counted from the frame's corner
    window = crop(saliency, aspect=1, zoom=2.4, placement=placement)
    assert window == Crop(*corner, 80, 80, (87.5, 279.5), 1.0)


def test_placements_stay_in_the_frame():
    for at in np.ndindex(4, 6):
        saliency = np.zeros((4, 6))
        saliency[at] = 1
        for placement in ("centre", "thirds"):
            window = crop(saliency, aspect=2, zoom=1.1, placement=placement)
            assert 0 <= window.y <= 64 - window.height and 0 <= window.x <= 96 - window.width
            assert window.y <= window.focus[0] < window.y + window.height
            assert window.x <= window.focus[1] < window.x + window.width
            assert window.focus == (16 * at[0] + 7.5, 16 * at[1] + 7.5)


@pytest.mark.parametrize("placement", ["saliency", "centre", "thirds"])
@pytest.mark.parametrize(("value", "share"), [(0, 0), (0.3, 144 / 320)])
def test_nothing_stands_out(placement, value, share):
    window = crop(np.full((9, 20), value), aspect=1, placement=placement)
    assert window == Crop(0, 88, 144, 144, (71.5, 159.5), pytest.approx(share))


def test_the_focus_lies_in_the_window():
    saliency = np.zeros((6, 30))
    saliency[2, 2], saliency[:, 20:24] = 5, 1  # the highest sample, and a wide region
    window = crop(saliency, aspect=1)
    assert window.x > 40 and window.share == pytest.approx(24 / 29)
    assert window.x <= window.focus[1] < window.x + 96
    assert crop(saliency, aspect=1, placement="centre").focus == (39.5, 39.5)


def test_tiny_maps():
    assert crop(np.ones((1, 1)), aspect=1, shape=(5, 9)) == Crop(
        0, 2, 5, 5, (2.0, 4.0), pytest.approx(5 / 9)
    )
    assert crop(np.ones((1, 1)), aspect=1, zoom=1000).height == 1
    assert crop(np.ones((2, 2), np.uint8), aspect=1e9, shape=(32, 32)).height == 1


def test_the_same_of_a_trace():
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[20:36, 60:70] = 255
    trace = ittisal.Saliency((64, 96), backend="reference").trace(frame)
    window = crop(trace, aspect=1)
    assert window == crop(trace["saliency"], aspect=1, shape=(64, 96))
    assert window.x + window.width > 70


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "give an aspect, a size or a zoom"),
        ({"aspect": 1, "size": (4, 3)}, ValueError, "both given"),
        ({"aspect": 0}, ValueError, "aspect=0 must be above 0 and finite"),
        ({"aspect": float("nan")}, ValueError, "aspect=nan"),
        ({"aspect": "16:9"}, TypeError, "aspect='16:9' must be a number"),
        ({"size": 3}, TypeError, "size=3 must be"),
        ({"aspect": True}, TypeError, "aspect=True must be a number"),
        ({"size": (3, 4, 5)}, TypeError, "whole pixels"),
        ({"size": (2.5, 3)}, TypeError, "whole pixels"),
        ({"size": (0, 3)}, ValueError, "at least 1 pixel"),
        ({"aspect": 1, "zoom": 0.9}, ValueError, "zoom=0.9 must be at least 1"),
        ({"aspect": 1, "zoom": float("inf")}, ValueError, "zoom=inf"),
        ({"aspect": 1, "placement": "center"}, ValueError, "not one of saliency, centre, thirds"),
        ({"aspect": 1, "shape": (40, 40)}, ValueError, "Give the frame's shape"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        crop(np.ones((4, 6)), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1])
def test_bad_maps(value):
    with pytest.raises(ValueError, match="map holds"):
        crop(np.full((4, 6), value), aspect=1)
    with pytest.raises(ValueError, match="shape"):
        crop(np.ones((0, 6)), aspect=1)
