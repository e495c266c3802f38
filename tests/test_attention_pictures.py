"""Attention drawn: what changes in a picture, and where."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label

import ittisal
from ittisal import Explanation, Fixation, ProtoObject, Region
from ittisal.attention.pictures import CHANNEL_COLOURS, EDGE, FIRST, MARK
from ittisal.features import CHANNELS

GREY = 128
SIZES = [(240, 320), (1080, 1920), (96, 800), (48, 40)]


def canvas(shape=(480, 640), value=GREY):
    return np.full((*shape, 3), value, np.uint8)


def fixation(index, y, x, radius=80.0, found=None):
    return Fixation(index, 50.0 * index, y, x, int(y // 16), int(x // 16), 1.0, radius, found)


def changed(picture, value=GREY):
    return (picture != value).any(-1)


def reason(**channels):
    return Explanation(channels, {}, {}, 1.0)


def colour(picture, ink):
    return (picture == ink).all(-1)


@pytest.mark.parametrize("shape", SIZES)
def test_markers_and_discs_grow_with_the_picture(shape):
    picture = canvas(shape)
    y, x = shape[0] / 2, shape[1] / 2
    ittisal.draw_scanpath(picture, [fixation(0, y, x, min(shape) / 6)])
    rows, columns = np.nonzero(changed(picture))
    assert rows.mean() == pytest.approx(y, abs=2) and columns.mean() == pytest.approx(x, abs=2)
    reach = max(min(shape) / 6, 11 * max((shape[0] * shape[1] / 307200) ** 0.5, 0.7))
    assert 0.9 * reach < np.ptp(columns) / 2 < 1.3 * reach + 4
    assert colour(picture, FIRST).any() and (picture.max(-1) < 60).any()


@pytest.mark.parametrize("ground", [0, GREY, 255])
def test_no_marker_hides_another(ground):
    """Repeated, near and outermost places: as many white or yellow discs as fixations."""
    places = [(200, 300)] * 4 + [(203, 306)] * 3 + [(0, 0), (479, 639), (0, 639), (240, 8)]
    picture = canvas(value=ground)
    path = [fixation(i, y, x, 1.0) for i, (y, x) in enumerate(places)]
    ittisal.draw_scanpath(picture, path)
    bright = colour(picture, MARK) | colour(picture, FIRST)
    edges = colour(picture, EDGE)
    assert edges.any()
    markers = np.bincount(label(bright & ~edges, connectivity=1).ravel())[1:]
    assert (markers > 100).sum() >= len(places)


def test_objects_have_their_outline():
    mask = np.zeros((30, 40), bool)
    mask[10:14, 20:30] = True
    found = ProtoObject(mask, mask, "saliency", "intensity", (160, 320, 64, 160), 0.03)
    picture = canvas()
    ittisal.draw_scanpath(picture, [fixation(0, 192, 400, 150, found)])
    rows, columns = np.nonzero(changed(picture))
    assert abs(rows.min() - 160) < 6 and abs(rows.max() - 223) < 6
    assert abs(columns.min() - 320) < 6 and abs(columns.max() - 479) < 6
    instead = ProtoObject(mask, mask, "disc", "intensity", (160, 320, 64, 160), 0.03)
    ittisal.draw_scanpath(picture, [fixation(0, 192, 400, 150, instead)])
    assert np.ptp(np.nonzero(changed(picture))[0]) > 290


def test_the_path_joins_fixations_in_order():
    picture = canvas()
    places = [(60, 60), (60, 580), (420, 580)]
    ittisal.draw_scanpath(picture, [fixation(i, y, x, 5.0) for i, (y, x) in enumerate(places)])
    assert picture[60, 100:540].min() > 200 and picture[100:380, 580].min() > 200
    assert not changed(picture)[120:360, 120:520].any()


@pytest.mark.parametrize("shape", SIZES)
def test_boxes(shape):
    height, width = shape
    y, x = height // 3, width // 3
    box = Region(y, x, height // 2, width // 2, 0.5, (height / 2, width / 2), 0.9)
    picture = canvas(shape)
    ittisal.draw_regions(picture, [box])
    assert changed(picture)[y, x : x + box.width].all()
    assert changed(picture)[y + box.height - 1, x : x + box.width].all()
    if height > 200:  # else the label is below the box
        assert not changed(picture)[y + box.height :].any()
    assert colour(picture, FIRST).any()
    assert changed(picture)[int(box.focus[0]), int(box.focus[1])]


def test_labels_cover_no_other():
    boxes = [Region(100, 16 * i + 100, 16, 16, 0.1, (108, 16 * i + 108), 0.5) for i in range(9)]
    picture = canvas()
    ittisal.draw_regions(picture, boxes)
    filled = np.bincount(label(colour(picture, MARK), connectivity=1).ravel())[1:]
    assert (filled > 300).sum() == len(boxes) - 1 and colour(picture, FIRST).sum() > 300


def test_regions_with_ids_show_them():
    plain, known = canvas(), canvas()
    box = Region(100, 100, 200, 200, 0.1, (200, 200), 0.5)
    ittisal.draw_regions(plain, [box])
    ittisal.draw_regions(known, [Region(100, 100, 200, 200, 0.1, (200, 200), 0.5, id=7)])
    assert (plain != known).any()


def test_bars_are_as_long_as_the_shares():
    panel = canvas((300, 300))
    whys = [reason(intensity=0.25, colour=0.75), reason(intensity=1.0, colour=0.0)]
    ittisal.draw_reasons(panel, whys)
    for share, row in zip((0.75, 0.0), (panel[68:98], panel[98:128]), strict=True):
        rows = [colour(row, CHANNEL_COLOURS[name]).any(0) for name in ("intensity", "colour")]
        lengths = [(np.ptp(np.nonzero(each)[0]) + 1 if each.any() else 0) for each in rows]
        assert lengths[1] / sum(lengths) == pytest.approx(share, abs=0.02)
    reverse = canvas((300, 300))
    ittisal.draw_reasons(reverse, whys, channel_order="bgr")
    np.testing.assert_array_equal(reverse, panel[..., ::-1])
    ittisal.draw_reasons(reverse, whys, [3, 4])
    assert (reverse != panel).any()


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("n", [0, 3, 50, 200])
def test_panels_fit_any_number(shape, n):
    whys = [reason(orientation=0.5, figure=0.5)] * n
    height, width = ittisal.reasons_size(shape, whys)
    assert height >= shape[0]
    panel = canvas((height, width), 1)
    ittisal.draw_reasons(panel, whys)
    bars = label((colour(panel, CHANNEL_COLOURS["figure"])).any(1))
    shown = bars.max() - (n > 0)  # without the legend
    assert shown == n if n <= 50 else 48 <= shown < n
    small = canvas((60, 60), 1)
    ittisal.draw_reasons(small, whys)  # no space for them, no error
    assert (small != 1).any()


def test_every_channel_has_a_colour():
    assert {*map(str, CHANNELS), "figure"} == set(CHANNEL_COLOURS)
    assert len(set(CHANNEL_COLOURS.values())) == len(CHANNEL_COLOURS)


def test_nothing_to_draw():
    picture = canvas()
    ittisal.draw_scanpath(picture, [])
    ittisal.draw_regions(picture, [])
    assert not changed(picture).any()


def test_a_part_of_a_buffer_is_drawn_in_place():
    buffer = canvas((600, 1000))
    part = buffer[60:540, 100:740]
    ittisal.draw_scanpath(part, [fixation(0, 100, 100), fixation(1, 300, 300)])
    ittisal.draw_regions(part, [Region(10, 10, 90, 90, 1.0, (50, 50), 1.0)])
    ittisal.draw_reasons(buffer[:, 760:], [reason(intensity=1.0)])
    assert changed(part).any() and changed(buffer[:, 760:]).mean() > 0.99
    part[...] = GREY
    assert not changed(buffer[:, :760]).any()


@pytest.mark.parametrize(
    "picture",
    [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 4), np.uint8), np.zeros((48, 64, 3), float)],
    ids=["grey", "alpha", "float"],
)
def test_other_arrays_are_refused(picture):
    with pytest.raises(ValueError, match=r"give uint8 of \(H, W, 3\)"):
        ittisal.draw_scanpath(picture, [])
    with pytest.raises(ValueError, match="channel_order='grb'"):
        ittisal.draw_regions(canvas(), [], channel_order="grb")
