"""Boxes, tiles and their identity over video."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import stimuli
from conftest import model

from ittisal import GAZE, ITTI_1998, Region, RegionTracker, regions, saliency_map, tiles
from ittisal.attention.grid import MIN_CONFIDENCE

SHAPE = (512, 640)
CONFIGS = pytest.mark.parametrize("config", [ITTI_1998, GAZE], ids=["itti1998", "gaze"])


def saliency(frame, config=ITTI_1998):
    return model("cpu", frame.shape[:2], config)(frame)


def found(frame, config=ITTI_1998, n=10, **options):
    """The regions of a frame."""
    return regions(saliency(frame, config), n, shape=frame.shape[:2], config=config, **options)


def square(side, top, left, shape=SHAPE, colour=(200, 40, 40), ground=60):
    frame = np.full((*shape, 3), ground, np.uint8)
    frame[top : top + side, left : left + side] = colour
    return frame


def corners(box):
    return np.array([box.y, box.x, box.y + box.height, box.x + box.width])


def pixels(boxes):
    return sum(box.height * box.width for box in boxes)


def cover(boxes, shape):
    mask = np.zeros(shape, int)
    for box in boxes:
        mask[box.slices] += 1
    return mask


def iou(a, b):
    low, high = np.maximum(corners(a), corners(b))[:2], np.minimum(corners(a), corners(b))[2:]
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (pixels([a, b]) - shared)


def blobs(shape, *places, width=1.5):
    """A map with Gaussian blobs: (row, column, height)."""
    y, x = np.indices(shape)
    return sum(
        height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))
        for row, column, height in places
    )


def photographs():
    yield np.ascontiguousarray(skimage.data.astronaut()[:512, :512])
    yield np.ascontiguousarray(skimage.data.coffee()[:384, :512])
    yield np.ascontiguousarray(skimage.data.chelsea()[:256, :256])


# --- known answers -------------------------------------------------------------------------------


@CONFIGS
@pytest.mark.parametrize("side", [24, 40, 64, 96, 128])
@pytest.mark.parametrize("place", [(160, 320), (150, 209), (329, 411)])
def test_a_lone_square_is_one_box(config, side, place):
    """Within a sample of the map on each side, and quite sure."""
    [box] = found(square(side, *place), config)
    wanted = np.array([*place, place[0] + side, place[1] + side])
    assert np.abs(corners(box) - wanted).max() <= 16
    assert np.abs(np.subtract(box.focus, np.add(place, (side - 1) / 2))).max() <= 8
    assert box.confidence > 0.8
    assert 0.1 < box.score <= 1


@CONFIGS
def test_two_equal_squares_are_two_sure_boxes(config):
    """Neither makes the other a background, though N sees two equal maxima."""
    frame = np.maximum(square(48, 96, 112), square(48, 352, 432))
    boxes = found(frame, config)
    assert len(boxes) == 2
    assert all(box.confidence > 0.8 for box in boxes)
    assert sorted(box.y < 256 for box in boxes) == [False, True]


@CONFIGS
def test_an_image_of_twice_the_size_has_boxes_of_twice_the_size(config):
    [small] = found(square(48, 144, 192), config)
    [large] = found(square(96, 288, 384, (1024, 1280)), config)
    assert np.abs(corners(large) - 2 * corners(small)).max() <= 32


@CONFIGS
def test_a_full_size_map_gives_the_same_boxes(config):
    frame = square(64, 160, 224)
    [wanted] = found(frame, config)
    [box] = regions(saliency_map(frame, config, backend="cpu"), shape=SHAPE, config=config)
    assert np.abs(corners(box) - corners(wanted)).max() <= 16
    trace = model("cpu", SHAPE, config).trace(frame)
    assert regions(trace, shape=SHAPE, config=config) == [wanted]


@CONFIGS
def test_a_mirrored_frame_has_mirrored_boxes(config):
    frame = next(photographs())
    plain = found(frame, config, min_confidence=0)
    mirrored = found(np.ascontiguousarray(frame[:, ::-1]), config, min_confidence=0)
    assert plain
    for a, b in zip(plain, mirrored, strict=True):
        assert (b.y, b.x + b.width, b.height, b.width) == (a.y, 512 - a.x, a.height, a.width)
        assert b.score == pytest.approx(a.score, rel=1e-4)
        assert b.confidence == pytest.approx(a.confidence, abs=1e-4)


def test_boxes_of_a_frame_that_was_shrunk_for_the_model_or_has_odd_sides():
    """They end with the frame, and samples cover as much of it as they see."""
    small = blobs((33, 60), (32, 59, 1.0), (10, 20, 1.2))
    boxes = regions(small, shape=(540, 975), min_confidence=0)
    assert corners(boxes[0]).tolist() == [144, 304, 192, 352]
    assert corners(boxes[1])[2:].tolist() == [540, 975]
    even = regions(small, shape=(540, 975), config=replace(ITTI_1998, phase="even"))
    assert (corners(boxes[0]) - corners(even[0])).tolist() == [8, 8, 8, 8]


def test_the_last_rows_and_columns_of_a_full_size_map_count():
    """Also where sides are no multiples of 16."""
    full = np.zeros((95, 127))
    full[80:, 32:48] = full[32:48, 112:] = 1
    boxes = regions(full, shape=full.shape, min_confidence=0, budget=1)
    assert [corners(box).tolist() for box in boxes] == [[32, 96, 48, 127], [64, 32, 95, 48]]


# --- nothing stands out --------------------------------------------------------------------------


def textures(shape):
    rng = np.random.default_rng(3)
    y, x = np.indices(shape)
    bars = stimuli.canvas()
    for centre in itertools.product(range(28, shape[0], 56), range(28, shape[1], 56)):
        stimuli.bar(bars, np.add(centre, rng.integers(-5, 6, 2)), 90, length=28, breadth=6)
    planes = {
        "white noise": rng.integers(0, 256, shape),
        "noise of one grey level": rng.integers(127, 130, shape),
        "board of 16": 255 * ((y // 16 + x // 16) % 2),
        "board of 32": 255 * ((y // 32 + x // 32) % 2),
        "grating of 8": 127 + 100 * np.sin(2 * np.pi * x / 8),
        "grating of 16": 127 + 100 * np.sin(2 * np.pi * x / 16),
        "grating of 32": 127 + 100 * np.sin(2 * np.pi * x / 32),
        "diagonal grating": 127 + 100 * np.sin(2 * np.pi * (x + y) / 20),
        "stripes": 255 * (y // 20 % 2),
    }
    yield "colour noise", rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    yield "bars", (255 * bars).astype(np.uint8)
    for name, plane in planes.items():
        noisy = plane + rng.normal(0, 2, shape)  # a camera's
        yield name, np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[..., None], 3, 2)


@CONFIGS
def test_nothing_stands_out_of_a_flat_frame_or_a_texture(config):
    for level in (0, 90, 255):
        assert found(np.full((*SHAPE, 3), level, np.uint8), config) == []
    for name, frame in textures(SHAPE):
        assert found(frame, config) == [], name
        assert tiles(saliency(frame, config), 128, shape=SHAPE, config=config) == [], name
        assert found(frame, config, min_confidence=0) or not saliency(frame, config).any()


def test_photographs_have_boxes():
    for frame in photographs():
        assert found(frame, GAZE)


def test_confidence_ignores_the_scale_of_the_map():
    frame = next(photographs())
    small, how = saliency(frame, GAZE).astype(float), {"shape": frame.shape[:2], "config": GAZE}
    plain = regions(small, **how)
    for scale in (4.0, 2.0**-200, 2.0**100):
        assert plain == regions(scale * small, **how)
    assert all(MIN_CONFIDENCE <= box.confidence <= 1 for box in plain)


# --- stability -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config", [ITTI_1998, replace(GAZE, working_size=0)], ids=["itti1998", "gaze"]
)
def test_a_shift_by_a_pixel_or_noise_of_a_level_does_not_reshuffle(config):
    """On maps of a sixteenth of the frame; finer ones have finer boxes, which may."""
    whole = skimage.data.astronaut()
    for top, left in ((10, 10), (100, 60), (200, 120)):
        frame = np.ascontiguousarray(whole[top : top + 256, left : left + 320])
        shifted = np.ascontiguousarray(whole[top - 1 : top + 255, left - 1 : left + 319])
        noise = np.random.default_rng(top).integers(-1, 2, frame.shape)
        noisy = np.clip(frame + noise, 0, 255).astype(np.uint8)
        first = found(frame, config, 3, min_confidence=0)
        for other in (shifted, noisy):
            again = found(other, config, 6, min_confidence=0)
            ranks = [max(range(len(again)), key=lambda i: iou(box, again[i])) for box in first]
            assert ranks == sorted(set(ranks))
            assert all(iou(box, again[i]) > 0.5 for box, i in zip(first, ranks, strict=True))


def test_equal_regions_are_in_reading_order():
    small = blobs((32, 40), (24, 8, 1.0), (8, 30, 1.0), (8, 8, 1.0))
    small = np.round(small, 6)
    order = [(round(box.focus[0]), round(box.focus[1])) for box in regions(small)]
    assert order == [(136, 136), (136, 488), (392, 136)]


# --- options -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy():
    """A map with many maxima, of a frame of 1080 x 1920."""
    rng = np.random.default_rng(5)
    places = zip(
        rng.uniform(3, 64, 30), rng.uniform(3, 117, 30), rng.uniform(0.3, 1, 30), strict=True
    )
    return blobs((67, 120), *places, width=2.5)


FRAME = (1080, 1920)


def boxes_of(busy, **options):
    return regions(busy, **({"shape": FRAME, "min_confidence": 0} | options))


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("options", [{}, {"margin": 20}, {"overlap": True}, {"aspect": 1.5}])
def test_boxes_fit_and_fill_the_budget(busy, budget, options):
    boxes = boxes_of(busy, n=8, budget=budget, threshold=0, **options)
    share = pixels(boxes) / math.prod(FRAME)
    assert 0.7 * min(budget, 0.3) < share <= budget


def test_more_budget_covers_more_saliency(busy):
    covered = [
        busy[cover(boxes_of(busy, budget=b, threshold=0), FRAME)[8:1072:16, 8::16] > 0].sum()
        for b in (0.02, 0.05, 0.1, 0.2, 0.4)
    ]
    assert covered == sorted(covered)


def test_n_boxes_ranked(busy):
    every = boxes_of(busy, n=100)
    assert [box.score for box in every] == sorted((box.score for box in every), reverse=True)
    assert sum(box.score for box in every) <= 1
    assert boxes_of(busy, n=3) == every[:3]
    assert len(every) > 10
    for box in every:
        assert box.y <= box.focus[0] <= box.y + box.height - 1
        assert box.x <= box.focus[1] <= box.x + box.width - 1
        assert cover([box], FRAME).sum() == box.height * box.width  # inside the frame


def test_boxes_share_pixels_only_by_choice():
    ring = blobs((32, 40), (16, 20, 1.0), width=6) - 1.2 * blobs((32, 40), (16, 20, 1.0), width=4)
    around = np.maximum(ring, 0) + 0.3 * blobs((32, 40), (16, 20, 1.0), width=1)
    options = {"min_confidence": 0, "threshold": 0.3, "budget": 1}
    assert cover(regions(around, overlap=True, **options), SHAPE).max() == 2
    assert cover(regions(around, **options), SHAPE).max() == 1
    corner = np.zeros((32, 40))
    corner[8:20, 8:10] = corner[18:20, 8:20] = 2  # an L
    corner[10:16, 15:26] = 1  # reaches into its box
    large, cut = regions(corner, overlap=False, **options)
    assert cover([large, cut], SHAPE).max() == 1
    assert corners(cut).tolist() == [160, 320, 256, 416]


@pytest.mark.parametrize("size", [(100, 40), 64])
def test_smallest_and_largest_size(busy, size):
    height, width = np.broadcast_to(size, 2)
    for box in boxes_of(busy, min_size=size):
        assert box.height >= height and box.width >= width
    for box in boxes_of(busy, max_size=size):
        assert box.height <= height and box.width <= width
    fixed = boxes_of(busy, min_size=size, max_size=size)
    assert {(box.height, box.width) for box in fixed} == {(height, width)}
    assert cover(fixed, FRAME).max() == 1


def test_aspect_holds_with_limits_of_size(busy):
    for aspect in (0.5, 1, 16 / 9):
        for box in boxes_of(busy, aspect=aspect, min_size=50, max_size=300):
            assert box.width / box.height == pytest.approx(aspect, rel=0.03)
            assert min(box.height, box.width) >= 50 and max(box.height, box.width) <= 300


def test_margin_widens_every_side_inside_the_frame():
    small = blobs((32, 40), (16, 20, 1.0), (3, 37, 0.9))
    plain = regions(small)
    wide = regions(small, margin=40)
    for a, b in zip(plain, wide, strict=True):
        low = np.maximum(corners(a)[:2] - 40, 0)
        high = np.minimum(corners(a)[2:] + 40, SHAPE)
        assert corners(b).tolist() == [*low, *high]


def test_regions_are_plain_numbers(busy):
    for box in boxes_of(busy, n=3) + tiles(busy, 160, shape=FRAME, min_confidence=0):
        again = json.loads(json.dumps(box.as_dict()))
        assert set(again) == {"x", "y", "width", "height", "score", "confidence", "focus"}
        assert again["focus"] == {"x": round(box.focus[1], 3), "y": round(box.focus[0], 3)}
        assert type(box.y) is type(box.width) is int and type(box.score) is float
        assert np.zeros(FRAME)[box.slices].shape == (box.height, box.width)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 9), (9, 1), (3, 3), (15, 20)])
def test_small_maps(shape):
    """Zero, flat, and with one maximum: boxes are inside, or there are none."""
    frame = tuple(16 * n for n in shape)
    one = np.zeros(shape)
    one[shape[0] // 2, shape[1] // 2] = 1
    for small in (np.zeros(shape), np.ones(shape), one):
        for options in ({}, {"min_confidence": 0}, {"min_confidence": 0, "budget": 1}):
            boxes = regions(small, **options) + tiles(small, 16, **{"budget": 1} | options)
            assert all(cover([box], frame).sum() == box.height * box.width for box in boxes)
    assert regions(np.zeros(shape), min_confidence=0) == []
    assert tiles(np.zeros(shape), 16, budget=1) == []
    assert regions(np.ones(frame), shape=frame) == []  # of the frame's size
    [whole] = regions(np.ones(shape), min_confidence=0, budget=1)
    assert corners(whole).tolist() == [0, 0, *frame]


BAD = [
    ({"n": 0}, "n=0 must be a whole number above 0"),
    ({"n": 2.5}, "n=2.5"),
    ({"budget": 0}, "budget=0 must be above 0 and at most 1"),
    ({"budget": 1.5}, "budget=1.5"),
    ({"threshold": -0.1}, "threshold=-0.1 must be at least 0 and at most 1"),
    ({"min_confidence": math.nan}, "min_confidence=nan"),
    ({"margin": -1}, "margin=-1 must be at least 0"),
    ({"margin": math.inf}, "margin=inf"),
    ({"aspect": 0}, "aspect=0 must be above 0"),
    ({"min_size": 0}, "min_size=0 must be a whole number of pixels"),
    ({"min_size": (3, 4, 5)}, r"min_size=\(3, 4, 5\)"),
    ({"max_size": "large"}, "max_size='large'"),
    ({"max_size": 700}, "max_size is 700x700 pixels, larger than the frame of 640x512"),
    ({"min_size": 100, "max_size": 50}, "min_size is 100x100 pixels, larger than max_size, 50x50"),
    ({"min_size": 300}, "a box of 300x300 pixels, the smallest, is over budget=0.2"),
    ({"shape": (100, 100)}, "Give the frame's shape"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=str)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        regions(np.ones((32, 40)), **options)


def test_bad_maps_and_tiles_are_named():
    for small in (np.full((4, 4), np.nan), -np.ones((4, 4)), np.empty((0, 4)), np.ones(4)):
        for call in (regions, lambda m: tiles(m, 16)):
            with pytest.raises(ValueError, match="map"):
                call(small)
    with pytest.raises(TypeError, match="budget='much' must be a number"):
        regions(np.ones((4, 4)), budget="much")
    for size, message in (
        (0, "size=0"),
        (600, "size is 600x600 pixels, larger than the frame"),
        (400, "a tile of 400x400 is over budget=0.2 of a frame of 640x512"),
        ("wide", "size='wide'"),
    ):
        with pytest.raises(ValueError, match=message):
            tiles(np.ones((32, 40)), size)


# --- tiles ---------------------------------------------------------------------------------------


def upsampled(small, frame):
    """A value per pixel: a sample's share over the pixels that it covers."""
    rows, columns = (
        np.minimum(np.arange(n) // 16, count - 1)
        for n, count in zip(frame, small.shape, strict=True)
    )
    sizes = np.outer(np.bincount(rows), np.bincount(columns))
    return (small / sizes)[rows[:, None], columns]


def best_window(values, size):
    table = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = size
    return (
        table[height:, width:]
        - table[:-height, width:]
        - table[height:, :-width]
        + table[:-height, :-width]
    )


@pytest.mark.parametrize("size", [(32, 48), (40, 23), (17, 64), (1, 1)])
def test_the_first_tile_is_the_best_of_all_windows(size):
    """Of every pixel's, on maps of random numbers."""
    rng = np.random.default_rng(1)
    for frame in ((96, 128), (104, 141)):
        small = rng.random((6, 8)) ** 3
        [tile] = tiles(small, size, 1, shape=frame, min_confidence=0, budget=1)
        sums = best_window(upsampled(small, frame), size)
        assert tile.score * small.sum() == pytest.approx(sums.max(), rel=1e-6)
        assert sums[tile.y, tile.x] == pytest.approx(sums.max(), rel=2e-6)
        assert (tile.height, tile.width) == size


def test_tiles_cover_what_they_say_and_near_the_best_choice():
    """Against all pairs and triples of windows on the grid."""
    rng = np.random.default_rng(2)
    for _ in range(5):
        small = rng.random((5, 6)) ** 4
        values = upsampled(small, (80, 96))
        windows = [
            (slice(y, y + 32), slice(x, x + 32)) for y in range(0, 49, 16) for x in range(0, 65, 16)
        ]
        for n in (2, 3):
            chosen = tiles(small, 32, n, min_confidence=0, budget=1)
            covered = values[cover(chosen, (80, 96)) > 0].sum()
            assert covered == pytest.approx(sum(t.score for t in chosen) * small.sum())
            best = 0.0
            for group in itertools.combinations(windows, n):
                mask = np.zeros((80, 96), bool)
                for window in group:
                    mask[window] = True
                best = max(best, values[mask].sum())
            assert covered >= (1 - 1 / math.e) * best


def test_tiles_keep_to_the_budget_and_lie_about_what_they_show(busy):
    chosen = tiles(busy, (270, 320), shape=FRAME, budget=0.3, min_confidence=0)
    assert len(chosen) == 0.3 * math.prod(FRAME) // (270 * 320)
    assert len(tiles(busy, 320, 2, shape=FRAME, min_confidence=0)) == 2
    one = np.zeros((32, 40))
    one[10, 20] = 1
    [tile] = tiles(one, 128)
    middle = np.array([tile.y + 63.5, tile.x + 63.5])
    assert np.abs(middle - (167.5, 327.5)).max() <= 8  # not at the tile's border


# --- over video ----------------------------------------------------------------------------------


def box(x, confidence=0.9, y=100, side=64, score=0.2):
    return Region(y, x, side, side, score, (y + 31.5, x + 31.5), confidence)


def test_things_keep_their_numbers():
    """Two that pass each other on different rows, one of them found first or second."""
    tracker = RegionTracker()
    for i in range(30):
        pair = [box(100 + 10 * i), box(400 - 10 * i, y=300, score=0.1)]
        things = tracker.update(pair[:: 1 - 2 * (i % 2)], i / 30)
        assert [thing.id for thing in things] == [1, 2]
        assert abs(things[0].x - (100 + 10 * i)) < 40
        assert [thing.height for thing in things] == [64, 64]
    assert things[0].as_dict()["id"] == 1


def test_a_thing_appears_when_sure_and_stays_when_less_so():
    tracker = RegionTracker(appear=0.6, stay=0.3, hold=0.21, smoothing=0)
    seen = {}
    confidences = [0.5, 0.59, 0.6, 0.35, 0.31, 0.2, 0.2, 0.9] + [0.1] * 10 + [0.5, 0.7]
    for i, confidence in enumerate(confidences):
        seen[i] = [thing.id for thing in tracker.update([box(100, confidence)], i / 20)]
    assert [i for i in seen if seen[i]] == [*range(2, 12), 19]
    assert seen[11] == [1] and seen[19] == [2]  # held for 0.21 s, then another thing


def test_boxes_do_not_jitter():
    rng = np.random.default_rng(0)
    tracker = RegionTracker(smoothing=0.2)
    given, shown = [], []
    for i in range(60):
        x = 200 + 16 * int(rng.integers(-1, 2))
        given.append(x)
        shown.append(tracker.update([box(x)], i / 30)[0].x)
    assert np.std(shown[10:]) < np.std(given[10:]) / 2
    assert abs(np.mean(shown[10:]) - np.mean(given[10:])) < 4


def test_smoothing_depends_on_time_not_on_the_frame_rate():
    ends = []
    for rate in (10, 20, 40):
        tracker = RegionTracker(smoothing=0.5)
        tracker.update([box(120)], 0)
        for i in range(1, rate + 1):
            things = tracker.update([box(160)], i / rate)
        ends.append(things[0].x)
    assert len(set(ends)) == 1 and 150 < ends[0] < 160


def test_reset_forgets():
    tracker = RegionTracker()
    tracker.update([box(100)], 5.0)
    with pytest.raises(ValueError, match=r"time=5.0 is not after .* call reset"):
        tracker.update([box(100)], 5.0)
    tracker.reset()
    assert [thing.id for thing in tracker.update([box(100)], 0.0)] == [2]
    tracker.reset()
    assert tracker.update([], 0.0) == []
    with pytest.raises(AttributeError):
        tracker.update([None], 1.0)
    assert tracker.update([], 1.0) == []  # that frame did not count


def test_each_region_is_one_thing():
    """The nearest wins; what is left over is new."""
    tracker = RegionTracker(smoothing=0)
    tracker.update([box(100), box(300, score=0.1)], 0)
    things = tracker.update([box(130), box(110), box(310, score=0.1)], 1 / 30)
    assert {thing.id: thing.x for thing in things} == {1: 110, 2: 310, 3: 130}
    far = tracker.update([box(900)], 2 / 30)
    assert {thing.id for thing in far} == {1, 2, 3, 4}


def test_bad_settings_of_a_tracker_are_named():
    for options, message in (
        ({"appear": 2}, "appear=2 must be at least 0 and at most 1"),
        ({"appear": 0.3, "stay": 0.4}, "stay=0.4 is above appear=0.3"),
        ({"hold": -1}, "hold=-1"),
        ({"smoothing": math.inf}, "smoothing=inf"),
    ):
        with pytest.raises(ValueError, match=message):
            RegionTracker(**options)
    with pytest.raises(ValueError, match="time=nan must be finite"):
        RegionTracker().update([], math.nan)
    with pytest.raises(TypeError, match="time='now'"):
        RegionTracker().update([], "now")
