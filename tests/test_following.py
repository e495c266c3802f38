"""Attention over video: what results of a stream offer, computed when it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

import ittisal
from ittisal.attention import network
from ittisal.video.painter import KINDS, Painter
from ittisal.video.records import Records, csv_line

SHAPE = (240, 320)


def frames(count=30, *, at=lambda i: (100, 60 + 2 * i), size=24, ground=60):
    """A bright square that moves over grey."""
    out = np.full((count, *SHAPE), ground, np.uint8)
    for i, frame in enumerate(out):
        y, x = at(i)
        frame[y : y + size, x : x + size] = 220
    return out


def stream(source, **options):
    options = {"config": ittisal.ITTI_1998, "fps": 30, **options}
    return ittisal.stream(source, **options)


def test_fixations_follow_what_stands_out():
    found = []
    with stream(frames(60)) as results:
        for result in results:
            assert result.fixations is result.fixations  # computed once
            found += [(result.index, fixation) for fixation in result.fixations]
    assert [fixation.index for _, fixation in found] == list(range(len(found)))
    times = [fixation.time for _, fixation in found]
    assert times == sorted(times)
    index, first = found[0]
    assert index / 30 - 1 / 30 < first.time / 1e3 <= index / 30
    assert np.hypot(first.y - 112, first.x - (72 + 2 * index)) < 24


def test_the_network_forgets_at_a_cut():
    """The shot after a cut is attended to as if it were the first, 61 ms after it begins."""
    still = frames(20, at=lambda i: (100, 60))
    other = frames(20, at=lambda i: (40, 240), ground=140, size=40)
    with stream(np.concatenate([still, other])) as results:
        found = [(r.index, f) for r in results for f in r.fixations]
    first = next(fixation for index, fixation in found if index >= 20)
    assert first.index == 0
    began = 19 / 30 * 1e3  # of the interval that ends with frame 20
    assert first.time == pytest.approx(began + 61, abs=2)


def test_regions_keep_their_identity():
    ids, boxes = [], []
    with stream(frames(20)) as results:
        for result in results:
            (box, *_) = result.regions
            ids.append(box.id)
            boxes.append(box)
    assert set(ids) == {1}
    first, last = boxes[0], boxes[-1]
    assert last.x - first.x == pytest.approx(38, abs=16)
    assert abs(last.y - first.y) <= 16


@pytest.mark.parametrize("config", [ittisal.ITTI_1998, ittisal.INVT], ids=["itti1998", "invt"])
def test_places_are_in_the_frame_where_it_was_shrunk_for_the_model(config):
    attended = []
    with stream(frames(4, at=lambda i: (100, 60), size=32), width=160, config=config) as results:
        for result in results:
            (box, *_) = result.regions
            assert np.hypot(box.focus[0] - 115.5, box.focus[1] - 75.5) < 16
            assert box.y <= 116 < box.y + box.height
            assert box.x <= 76 < box.x + box.width
            attended += result.fixations
    assert np.hypot(attended[0].y - 115.5, attended[0].x - 75.5) < 32


def test_nothing_is_computed_unasked(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("computed")

    monkeypatch.setattr(network.WinnerTakeAll, "step", refused)
    monkeypatch.setattr("ittisal.attention.following.regions", refused)
    with stream(frames(3)) as results:
        assert len(list(results)) == 3


def test_results_are_sources_of_every_function():
    with stream(frames(3), width=160) as results:
        for result in results:
            (fixation,) = ittisal.scanpath(result, 1)
            (region, *_) = ittisal.regions(result)
            crop = ittisal.crop(result, aspect=1)
            (why, _) = ittisal.explain(result, [fixation, region])
            found = ittisal.proto_object(result, (fixation.y, fixation.x))
            assert region.slices[0].stop <= SHAPE[0]
            assert crop.height == SHAPE[0]
            assert sum(why.channels.values()) == pytest.approx(1)
            assert found.box[0] < fixation.y < found.box[0] + found.box[2]
            # The square moves by two pixels per frame; the model sees it at half the size.
            assert abs(fixation.x - (72 + 2 * result.index)) < 32
            with pytest.raises(TypeError, match="knows its shape"):
                ittisal.scanpath(result, shape=SHAPE)
    with pytest.raises(RuntimeError, match="another frame's by now"):
        _ = result.fixations


def test_a_dark_video_has_neither():
    with stream(np.zeros((3, *SHAPE), np.uint8)) as results:
        assert [(r.fixations, r.regions) for r in results] == [([], [])] * 3


def test_frames_in_between_need_not_be_asked():
    """The network has the map of the next frame that is asked about for all the time since."""
    still = frames(30, at=lambda i: (100, 60))
    with stream(still) as results:
        found = [f for r in results if r.index % 10 == 9 for f in r.fixations]
    assert found
    assert all(0 < fixation.time <= 1e3 for fixation in found)


def test_results_far_apart():
    """The network runs through all the time in between; after a long gap it begins anew."""
    still = np.repeat(frames(1), 4, axis=0)
    with stream(still, fps=0.4) as results:
        times = [fixation.time for result in results for fixation in result.fixations]
    assert np.diff(times).max() < 300
    with stream(still, fps=0.05) as results:
        found = [(result.time, result.fixations) for result in results]
    for time, (first, *_) in found[1:]:
        assert np.hypot(first.y - 112, first.x - 72) < 24
        assert first.time == pytest.approx(1e3 * (time - 1) + 61, abs=2)


def test_records_have_fixations_and_regions():
    with stream(frames(12)) as results:
        record = Records(results, fixations=True, regions=True)
        rows = [record(result) for result in results]
        header = record.header.split(",")
    assert header[-9:] == [
        "fixation_x", "fixation_y", "fixation_time_ms",
        "region_id", "region_x", "region_y", "region_width", "region_height", "region_confidence",
    ]  # fmt: skip
    seen = [fixation for row in rows for fixation in row["fixations"]]
    assert [fixation["index"] for fixation in seen] == list(range(len(seen)))
    assert rows[-1]["regions"][0]["id"] == 1
    for row in rows:
        values = dict(zip(header, csv_line(row).split(","), strict=True))
        assert values["region_x"] == str(row["regions"][0]["x"])
        assert bool(values["fixation_x"]) == bool(row["fixations"])


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_show_them_on_the_frame_alone(kind):
    with stream(frames(12)) as plain, stream(frames(12)) as marked:
        paint, mark = Painter(plain, kind), Painter(marked, kind, scanpath=True, boxes=True)
        for a, b in zip(plain, marked, strict=True):
            before, after = paint(a).copy(), mark(b).copy()
    changed = np.argwhere((before != after).any(2))
    y, x = mark._layout.boxes[0] if kind == "channels" else (0, 0)
    height, width = mark._layout.tile
    assert len(changed)
    assert (changed >= (y, x)).all()
    assert (changed < (y + height, x + width)).all()
