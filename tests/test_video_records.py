"""What is told of each frame, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from clips import moving_square

import ittisal
from ittisal.video.records import COLUMNS, Records, csv_line, json_line

CHANNELS = ["intensity", "colour", "orientation", "flicker", "motion"]


def told(frames, config=ittisal.VIDEO, **options):
    with ittisal.stream(frames, config, backend="reference", fps=10, **options) as stream:
        record = Records(stream)
        pairs = [(record(result), result.saliency.copy()) for result in stream]
        return record, [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def test_a_record_tells_what_the_map_holds():
    _, records, maps = told(moving_square(4, step=8))
    for i, (record, saliency) in enumerate(zip(records, maps, strict=True)):
        assert list(record) == [
            "frame", "time", "dropped", "cut", "damaged", "latency_ms", "peak", "mean", "shares"
        ]  # fmt: skip
        assert (record["frame"], record["time"]) == (i, i / 10)
        assert (record["dropped"], record["cut"]) == (0, False)
        assert record["latency_ms"] > 0
        assert record["peak"]["value"] == float(saliency.max())
        assert record["mean"] == pytest.approx(saliency.mean(dtype=np.float64))


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (ittisal.VIDEO, [*CHANNELS, "figure"]),
        (ittisal.ITTI_1998, CHANNELS[:3]),
        (ittisal.GAZE, [*CHANNELS[:3], "figure"]),
    ],
    ids=["video", "itti1998", "gaze"],
)
def test_shares_are_of_the_channels_with_a_weight_and_sum_to_one(config, channels):
    record, records, _ = told(moving_square(4, step=8), config)
    assert record.header.endswith(",".join(f"share_{name}" for name in channels))
    for row in records:
        assert list(row["shares"]) == channels == record.channels
        assert sum(row["shares"].values()) == pytest.approx(1, abs=1e-5)
    if "motion" in channels:  # none at first
        for name in ("flicker", "motion"):
            assert records[0]["shares"][name] == 0 and records[2]["shares"][name] > 0.05


def test_a_grey_video_has_no_share_of_colour():
    _, records, _ = told(moving_square(2, step=8)[..., 0])
    assert records[1]["shares"]["colour"] == 0
    assert sum(records[1]["shares"].values()) == pytest.approx(1, abs=1e-5)


def test_where_nothing_stands_out():
    record, (flat,), _ = told(np.full((1, 64, 96, 3), 90, np.uint8))
    with ittisal.stream(np.full((1, 64, 96, 3), 90, np.uint8), backend="reference") as stream:
        assert [result.peak for result in stream] == [None]
    assert flat["peak"] is None and flat["mean"] == 0 and set(flat["shares"].values()) == {0}
    row = dict(zip(record.header.split(","), csv_line(flat).split(","), strict=True))
    assert row["x"] == row["y"] == row["value"] == "" and row["share_colour"] == "0.0"


def test_json_and_csv_say_the_same():
    record, records, _ = told(moving_square(3, step=8))
    lines = [json.loads(json_line(r)) for r in records]
    assert lines == records
    text = "\n".join([record.header, *map(csv_line, records)])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == [*COLUMNS, *(f"share_{name}" for name in (*CHANNELS, "figure"))]
    for row, line in zip(rows, lines, strict=True):
        assert (int(row["frame"]), float(row["time"])) == (line["frame"], line["time"])
        assert (int(row["x"]), int(row["y"])) == (line["peak"]["x"], line["peak"]["y"])
        assert float(row["value"]) == line["peak"]["value"]
        assert float(row["share_motion"]) == line["shares"]["motion"]
        assert row["cut"] == "0"
    record = {**records[0], "file": 'a\nfolder/b\r,"c.png'}
    rows = list(
        csv.DictReader(io.StringIO(f"{','.join([*rows[0], 'file'])}\n{csv_line(record)}", ""))
    )
    assert [row["file"] for row in rows] == [record["file"]]


def test_the_peak_is_where_the_object_is_at_any_width():
    frames = np.full((1, 192, 256, 3), 90, np.uint8)
    frames[:, 128:160, 64:96] = (255, 0, 0)
    for width in (None, 128):
        with ittisal.stream(frames, backend="reference", width=width) as stream:
            ((record, at),) = [(Records(stream)(result), result.peak) for result in stream]
        assert at == (record["peak"]["x"], record["peak"]["y"])
        assert abs(record["peak"]["x"] - 80) <= 32 and abs(record["peak"]["y"] - 144) <= 32
