"""`ittisal scanpath` and `ittisal regions` as their users meet them."""

from __future__ import annotations

import csv
import io

import cv2
import numpy as np
import pytest
from test_cli import load, names, run, run_here, save
from test_imagefiles import encoded, photo

import ittisal

COMMANDS = {"scanpath": "fixations", "regions": "regions"}
FIXATION = ["index", "time_ms", "x", "y", "column", "row", "saliency", "radius"]
REGION = ["index", "x", "y", "width", "height", "score", "confidence", "focus_x", "focus_y"]
COLUMNS = {"scanpath": FIXATION, "regions": REGION}


def display():
    """Two squares on a plain ground, the brighter one red: BGR of 192x256."""
    picture = np.full((192, 256, 3), 90, np.uint8)
    picture[64:96, 192:224] = 0, 0, 255
    picture[128:160, 32:64] = 160
    return picture


@pytest.fixture
def shown(tmp_path):
    save(tmp_path / "photo.png", display())
    return tmp_path


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("command", COMMANDS)
def test_it_writes_pictures(command, shown):
    save(shown / "other.png", photo(96, 128))
    ran = run_here(command, "photo.png", "other.png", cwd=shown)
    assert (ran.status, ran.out) == (0, f"photo.{command}.png\nother.{command}.png\n"), ran.err
    drawn = load(shown / f"photo.{command}.png")
    assert drawn.shape == (192, 256, 3) and (drawn != display()).any()
    again = run_here(command, ".", "-o", "out", cwd=shown)
    assert "pictures of earlier runs left out: 2" in again.err
    assert names(shown / "out") == {f"photo.{command}.png", f"other.{command}.png"}


def test_fixations_are_those_of_the_api(shown):
    options = ("-n", 3, "--inhibition", "object", "--winner", "lif", "--radius", 30)
    ran = run_here("scanpath", "photo.png", *options, "--explain", "--json", cwd=shown)
    (row,) = ran.rows
    model = ittisal.Saliency((192, 256), channel_order="bgr", backend="reference")
    traced = model.trace(display())
    given = {"n": 3, "inhibition": "object", "winner": "lif", "radius": 30, "shape": (192, 256)}
    path = ittisal.scanpath(traced, **given)
    why = [each.as_dict() for each in ittisal.explain(traced, path, shape=(192, 256))]
    assert len(path) == 3 and names(shown) == {"photo.png"} and row["outputs"] == {}
    assert row["fixations"] == [
        {**each.as_dict(), "why": reason} for each, reason in zip(path, why, strict=True)
    ]


def test_regions_are_those_of_the_api(shown):
    options = ("--budget", 0.3, "--min-confidence", 0.1, "--margin", 4, "--aspect", "1:1")
    sizes = ("--min-size", "20x24", "--max-size", "100x90", "-n", 2, "--overlap")
    ran = run_here("regions", "photo.png", *options, *sizes, "--json", cwd=shown)
    (row,) = ran.rows
    config = ittisal.GAZE
    raw = ittisal.Saliency((192, 256), config, channel_order="bgr", backend="reference")(display())
    found = ittisal.regions(
        raw, 2, budget=0.3, min_confidence=0.1, margin=4, aspect=1, min_size=(24, 20),
        max_size=(90, 100), overlap=True, shape=(192, 256), config=config,
    )  # fmt: skip
    assert found
    assert row["regions"] == [{"index": i, **each.as_dict()} for i, each in enumerate(found)]


def test_tiles(shown):
    ran = run_here("regions", "photo.png", "--tiles", "64x48", "-n", 2, "--json", cwd=shown)
    (row,) = ran.rows
    assert [(each["width"], each["height"]) for each in row["regions"]] == [(64, 48)] * 2
    for tile, (x, y) in zip(row["regions"], [(32, 128), (192, 64)], strict=True):  # the squares
        assert tile["x"] <= x and tile["y"] <= y and tile["x"] + 64 >= x + 32
    ran = run_here("regions", "photo.png", "--tiles", "300x48", "--json", cwd=shown)
    assert (
        ran.status == 1
        and "size is 300x48 pixels, larger than the frame of 256x192" in ran.rows[0]["error"]
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_tables_have_one_schema(command, shown):
    save(shown / "other.png", display()[..., 2])  # grey
    line = (command, "photo.png", "other.png", "--explain")
    ran = run_here(*line, "--csv", "t.csv", "--jsonl", "-", cwd=shown)
    assert ran.status == 0 and names(shown) == {"photo.png", "other.png", "t.csv"}, ran.err
    table = rows_of((shown / "t.csv").read_text())
    shares = [name for name in table[0] if name.startswith("share_")]
    assert list(table[0]) == ["input", *COLUMNS[command], *shares] and len(shares) >= 3
    assert len(ran.rows) == len(table) > 1
    for row, line in zip(ran.rows, table, strict=True):
        assert list(row) == list(line) and {k: str(v) for k, v in row.items()} == line
        assert sum(row[name] for name in shares) == pytest.approx(1, abs=1e-5)
    assert {row["input"] for row in table} == {"photo.png", "other.png"}
    counts = [row["index"] for row in ran.rows if row["input"] == "other.png"]
    assert counts == [*range(len(counts))]


def test_objects_have_columns(shown):
    table = rows_of(
        run_here("scanpath", "photo.png", "--inhibition", "object", "--csv", "-", cwd=shown).out
    )
    more = ["segmented", "channel", "x", "y", "width", "height", "area"]
    assert list(table[0]) == ["input", *FIXATION, *(f"object_{name}" for name in more)]
    assert table[0]["object_channel"] in ("intensity", "colour", "orientation")


@pytest.mark.parametrize("command", COMMANDS)
def test_reasons_are_drawn_beside_the_picture(command, shown):
    plain = run(command, "-", cwd=shown, stdin=encoded(display()))
    assert plain.status == 0, plain.err
    wide = run_here(command, "-", "--explain", cwd=shown, stdin=encoded(display()))
    pictures = [cv2.imdecode(np.frombuffer(ran.raw, np.uint8), -1) for ran in (plain, wide)]
    assert pictures[0].shape == (192, 256, 3) and pictures[1].shape[1] > 256 + 150
    np.testing.assert_array_equal(pictures[1][:192, :256], pictures[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_data_with_pictures(command, shown):
    ran = run_here(command, "photo.png", "--json", "-o", "out", cwd=shown)
    path = str((shown / "out" / f"photo.{command}.png").relative_to(shown))
    assert ran.rows[0]["outputs"] == {command: path} and (shown / path).exists()
    ran = run_here(command, "-", "--jsonl", "-", cwd=shown, stdin=encoded(display()))
    assert ran.rows[0]["input"] == "-" and not ran.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--json", "--csv", "-o"])
def test_nothing_stands_out(command, option, shown):
    save(shown / "flat.png", np.full((64, 96, 3), 127, np.uint8))
    words = [option] if option == "--json" else [option, "made.png"]
    ran = run_here(command, "flat.png", "--explain", *words, cwd=shown)
    assert ran.status == 0
    assert "flat.png: nothing stands out" in ran.err
    assert ran.err.endswith(f"; no {COMMANDS[command]}\n")
    if option == "--json":
        assert ran.rows[0][COMMANDS[command]] == []
    elif option == "--csv":
        assert (shown / "made.png").read_text().startswith("input,index,")
    else:
        made = load(shown / "made.png")
        np.testing.assert_array_equal(made[:64, :96], np.full((64, 96, 3), 127))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_image_among_others(command, shown):
    (shown / "bad.png").write_bytes(b"no image")
    save(shown / "small.png", photo(16, 24))
    save(shown / "tiny.png", photo(32, 33))
    save(shown / "grey.png", display()[..., 2].astype(np.uint16) * 9 + 7000)
    images = ("bad.png", "small.png", "tiny.png", "grey.png", "photo.png")
    ran = run_here(command, *images, "--levels", "0%:100%", "-o", "out", "--explain", cwd=shown)
    assert ran.status == 1 and "2 of 5 inputs failed" in ran.err
    assert "small.png: frame is 24x16 pixels" in ran.err
    written = {f"{name}.{command}.png" for name in ("tiny", "grey", "photo")}
    assert names(shown / "out") == written
    assert load(shown / "out" / f"grey.{command}.png").max() == 255
    ran = run_here(command, *images, "--csv", "-", cwd=shown)
    assert ran.status == 1 and "photo.png" in {row["input"] for row in rows_of(ran.out)}


def test_presets_by_default(shown):
    fixations = [
        run_here("scanpath", "photo.png", *preset, "--jsonl", "-", cwd=shown).out
        for preset in ((), ("--preset", "itti1998"), ("--preset", "gaze"))
    ]
    assert fixations[0] == fixations[1] != fixations[2]
    boxes = [
        run_here("regions", "photo.png", *preset, "--jsonl", "-", cwd=shown).out
        for preset in ((), ("--preset", "gaze"), ("--preset", "itti1998"))
    ]
    assert boxes[0] == boxes[1] != boxes[2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("scanpath photo.png -n 0", "'0' must be a whole number from 1 to 1000"),
        ("scanpath photo.png --inhibition square", "invalid choice: 'square'"),
        ("scanpath photo.png --winner first", "invalid choice: 'first'"),
        ("scanpath photo.png --radius 0", "'0' must be a number above 0"),
        ("scanpath photo.png --json --csv -", "takes one of --csv - and --json"),
        ("scanpath photo.png --csv photo.png", "would overwrite the input"),
        ("scanpath photo.png -o path.jpg", "pictures are not written as .jpg"),
        ("scanpath photo.png -o - --jsonl -", "takes one of -o - and --jsonl -"),
        ("regions photo.png --budget 0", "'0' must be a number above 0 and at most 1"),
        ("regions photo.png --min-confidence nan", "must be a number from 0 to 1"),
        ("regions photo.png --aspect 4x3", "'4x3' is no aspect"),
        ("regions photo.png --min-size 32", "'32' is no size; write WIDTHxHEIGHT"),
        ("regions photo.png --tiles 0x32", "'0x32' is no size"),
        ("regions photo.png --margin -1", "'-1' must be a number from 0 to 1000000;"),
        ("regions photo.png --min-size 9x50 --max-size 9x40", "--min-size 9x50 is larger than"),
        ("regions photo.png --radius 4", "ittisal regions: unrecognized arguments: --radius 4"),
        ("regions photo.png --tiles 64x64 --margin 3", "--tiles takes none of --min-size"),
        ("regions photo.png --tiles 64x64 --overlap", "--tiles takes none of --min-size"),
    ],
)
def test_wrong_usage(line, message, shown):
    ran = run_here(*line.split(), cwd=shown)
    assert ran.status == 2 and message in ran.err and not ran.out, ran.err
    assert names(shown) == {"photo.png"}


def test_boxes_beyond_the_budget_are_no_flat_picture(shown):
    ran = run_here("regions", "photo.png", "--margin", "999", "--json", cwd=shown)
    assert ran.rows[0]["regions"] == [] and "or no box fits the budget; no regions" in ran.err
    ran = run_here("regions", "photo.png", "--budget", "1e-9", "--json", cwd=shown)
    assert "a box of 1x1 pixels, the smallest, is over budget=1e-09" in ran.rows[0]["error"]


def test_options_that_do_not_go_together_fail_for_their_image(shown):
    ran = run_here("regions", "photo.png", "--min-size", "200x180", cwd=shown)
    assert ran.status == 1 and "is over budget=0.2" in ran.err and names(shown) == {"photo.png"}
