"""`ittisal video` as its users meet it: as processes; outputs are opened again and counted."""

from __future__ import annotations

import contextlib
import csv
import errno
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
from clips import Script, camera, damage, write_video
from clips import moving_square as frames
from stimuli import thermal
from test_cli import (
    ENVIRONMENT,
    POSIX,
    assert_wrong_usage,
    begin,
    command,
    finished,
    limited,
    names,
    on_terminal,
    run,
    run_here,
    run_script,
)

import ittisal
from ittisal import VideoError
from ittisal.cli import video
from ittisal.cli.common import UsageError
from ittisal.cli.resuming import Parts, Past
from ittisal.cli.video import Interrupts
from ittisal.cli.video_outputs import Outputs
from ittisal.video import BackgroundWriter, video_files

av = pytest.importorskip("av")

COUNT = 12
SIZE = (64, 96)
# Four times as quick, where what the model makes of the frames is not the question.
LIGHT = ["--set", "figure=false", "--set", "weights.orientation=0", "--set", "weights.colour=0"]
CHANNELS = ("intensity", "colour", "orientation", "flicker", "motion", "figure")


def clip(path, count=COUNT, ticks=None, size=SIZE, **options):
    return write_video(path, list(frames(count, size)), ticks, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a clip of 12 frames and another folder; tests write under other names."""
    made = tmp_path_factory.mktemp("video")
    clip(made / "clip.mp4")
    (made / "shots").mkdir()
    cv2.imwrite(str(made / "shots/a.png"), frames(1)[0])
    return made


def read(path):
    """Times, and RGB frames."""
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    return (
        [float(frame.pts * frame.time_base) for frame in decoded],
        [frame.to_ndarray(format="rgb24") for frame in decoded],
    )


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def streamed(path, **options):
    """What the API gives for the same frames."""
    with ittisal.stream(str(path), backend="reference", **options) as stream:
        return [(result.index, result.time, result.saliency.copy()) for result in stream]


def from_camera(steps, monkeypatch):
    """Let the command open a camera that gives these."""
    source = camera(Script(steps, channel_order="bgr"))

    def opening(_, *arguments, **options):
        return ittisal.stream(source, *arguments, **{**options, "live": False})

    monkeypatch.setattr(video, "stream", opening)


def here(*arguments, cwd, **options):
    """Like `run`, in this process, which is quicker."""
    return run_here("video", *arguments, cwd=cwd, **options)


# --- what is made ------------------------------------------------------------------------------


def test_a_clip_becomes_an_overlay_beside_it(tmp_path):
    clip(tmp_path / "clip.mp4")
    ran = run("video", "clip.mp4", cwd=tmp_path)
    assert (ran.status, ran.out) == (0, "clip.overlay.mp4\n"), ran.err
    assert ran.err.startswith("ittisal video: 12 frames, ") and ran.err.count("\n") == 1
    assert "0 dropped, 0 failed; latency in ms: p50 " in ran.err
    assert names(tmp_path) == {"clip.mp4", "clip.overlay.mp4"}
    times, pictures = read(tmp_path / "clip.overlay.mp4")
    np.testing.assert_allclose(times, np.arange(COUNT) / 25, atol=1e-6)
    assert {picture.shape for picture in pictures} == {(64, 96, 3)}
    colours = np.ptp(np.array(pictures).astype(int), axis=3)
    assert colours[:, 2:10, 2:10].max() < 12  # a quiet corner
    assert colours[0].max() > 60  # heat elsewhere


@pytest.mark.parametrize("levels", ["7000:7500", "1%:99.9%", "1%:99.9%:first"])
def test_levels_of_a_thermal_camera(levels, tmp_path):
    (tmp_path / "shots").mkdir()
    random, columns = np.random.default_rng(1), range(100, 148, 12)
    for column in columns:
        people = (150, column), (110, 230)
        cv2.imwrite(str(tmp_path / f"shots/{column}.png"), thermal(random, people=people)[0])
    ran = here("shots", "--levels", levels, "--jsonl", "-", "-o", "a.mp4", "--side-by-side",
               cwd=tmp_path)  # fmt: skip
    assert ran.status == 0, ran.err
    for row, column in zip(ran.rows, columns, strict=True):
        assert abs(row["peak"]["x"] - column) <= 24
    shown = read(tmp_path / "a.mp4")[1][-1][:, :320]
    assert shown[150, columns[-1]].min() > 200 and shown[:30].max() < 80


def test_records_are_what_the_api_gives(folder):
    ran = here("clip.mp4", "--jsonl", "r.jsonl", "--csv", "r.csv", "-q", cwd=folder)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    want = streamed(folder / "clip.mp4")
    told = rows(folder / "r.jsonl")
    assert [(row["frame"], row["time"]) for row in told] == [(i, t) for i, t, _ in want]
    assert [row["peak"]["value"] for row in told] == [float(each.max()) for _, _, each in want]
    assert {tuple(row["shares"]) for row in told} == {CHANNELS}
    with open(folder / "r.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in table] == list(range(COUNT))
    assert [float(row["time"]) for row in table] == [row["time"] for row in told]
    assert not (folder / "clip.overlay.mp4").exists()  # records were asked for, no video


def test_attention_is_recorded_and_drawn(folder):
    ran = here("clip.mp4", "--scanpath", "--boxes", "--jsonl", "a.jsonl", "--csv", "a.csv",
               "-o", "attention.mp4", "-q", cwd=folder)  # fmt: skip
    assert ran.status == 0, ran.err
    told = rows(folder / "a.jsonl")
    fixations = [fixation for row in told for fixation in row["fixations"]]
    assert [fixation["index"] for fixation in fixations] == list(range(len(fixations))) != []
    with open(folder / "a.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for row, line in zip(told, table, strict=True):
        boxes = row["regions"]
        assert line["region_id"] == (str(boxes[0]["id"]) if boxes else "")
        assert bool(line["fixation_x"]) == bool(row["fixations"])
    plain = here("clip.mp4", "-o", "plain.mp4", "-q", cwd=folder)
    assert plain.status == 0
    pairs = zip(read(folder / "attention.mp4")[1], read(folder / "plain.mp4")[1], strict=True)
    assert max(np.abs(a.astype(int) - b).max() for a, b in pairs) > 100


@pytest.mark.parametrize("kind", ["overlay", "side-by-side", "map", "channels"])
def test_kinds_of_pictures(kind, folder):
    name = f"{kind}.mp4"
    ran = here("clip.mp4", f"--{kind}", "-o", name, "--frames", "4", cwd=folder)
    assert (ran.status, ran.out) == (0, f"{name}\n"), ran.err
    _, pictures = read(folder / name)
    assert len(pictures) == 4
    size = {"side-by-side": (64, 192), "channels": (384, 1000)}.get(kind, SIZE)
    assert pictures[0].shape[:2] == size


def test_json_tells_everything(folder):
    ran = here("clip.mp4", "--json", "--jsonl", "j.jsonl", "-o", "j.avi", cwd=folder)
    assert ran.status == 0
    (told,) = ran.rows
    assert set(told) == {
        "input", "outputs", "interrupted", "frames", "dropped", "failed", "damaged",
        "missing", "repeated", "left_out", "reconnects", "cuts", "resizes", "mended", "width",
        "height", "backend", "seconds", "fps", "latency_ms",
    }  # fmt: skip
    assert told["input"] == "clip.mp4" and told["outputs"] == ["j.avi", "j.jsonl"]
    assert (told["frames"], told["width"], told["height"]) == (COUNT, 96, 64)
    assert told["backend"] == "reference" and told["fps"] > 0 and not told["interrupted"]
    assert not any(told[name] for name in ("dropped", "failed", "missing", "repeated", "left_out"))
    latency = told["latency_ms"]
    assert list(latency) == ["p50", "p95", "p99", "max"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]


def test_folders_of_pictures_and_maps(folder):
    here("clip.mp4", "-o", "pictures/", "--every", "3", "--map", *LIGHT, cwd=folder)
    assert names(folder / "pictures") == {f"0000{i:02}.png" for i in (0, 3, 6, 9)}
    assert cv2.imread(str(folder / "pictures/000009.png")).shape == (64, 96, 3)
    here("clip.mp4", "-o", "maps/", "--raw", "--frames", "3", cwd=folder)
    for i, (_, _, saliency) in enumerate(streamed(folder / "clip.mp4")[:3]):
        np.testing.assert_array_equal(np.load(folder / f"maps/00000{i}.npy"), saliency)
    ran = here("clip.mp4", "-o", "maps/", "--raw", "--frames", "2", cwd=folder)
    assert "maps/ also holds files of an earlier run: 1" in ran.err
    # Those pictures are a video again.
    ran = here("pictures/", "--jsonl", "-", "--fps", "5", "-q", *LIGHT, cwd=folder)
    assert [(row["frame"], row["time"]) for row in ran.rows] == [(i, i / 5) for i in range(4)]


def test_pictures_beside_what_is_read_overwrite_nothing(tmp_path, monkeypatch):
    """A camera is no path, and the folder that holds the one being read is another."""
    (tmp_path / "shots").mkdir()
    cv2.imwrite(str(tmp_path / "shots" / "a.png"), frames(1)[0])
    ran = here("shots", "-o", "./", *LIGHT, cwd=tmp_path)
    assert ran.status == 0 and names(tmp_path) == {"shots/a.png", "000000.png"}, ran.err
    from_camera(frames(2), monkeypatch)
    ran = here("0", "-o", "./", *LIGHT, cwd=tmp_path)
    assert ran.status == 0 and names(tmp_path) == {"shots/a.png", "000000.png", "000001.png"}


def test_a_part_of_a_clip_at_a_working_width(folder):
    ran = here("clip.mp4", "--start", "0.2", "--end", "0:00.4", "--every", "2", "--width", "64",
        "--jsonl", "-", "-o", "part.mp4", "-q", cwd=folder,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert [row["frame"] for row in ran.rows] == [6, 8]
    for row in ran.rows:  # in pixels of the clip
        assert abs(row["peak"]["x"] - (16 + 3 * row["frame"])) <= 24
    times, pictures = read(folder / "part.mp4")
    np.testing.assert_allclose(times, np.arange(2) * 0.08, atol=1e-6)
    assert pictures[0].shape == (64, 96, 3)


def test_model_options_reach_the_model(folder):
    few = ["clip.mp4", "--jsonl", "-", "-q", "--frames", "3"]
    ran = here(*few, "--preset", "itti1998", cwd=folder)
    assert tuple(ran.rows[2]["shares"]) == CHANNELS[:3]
    ran = here(*few, "--set", "weights.motion=0", "--set", "figure=false", cwd=folder)
    assert tuple(ran.rows[2]["shares"]) == CHANNELS[:4]


TICKS = [0, 1, 2, 5, 6, 10, 11, 12, 20, 21]  # of 1/25 s


def test_variable_times_are_kept(tmp_path):
    clip(tmp_path / "vfr.mp4", len(TICKS), TICKS)
    ran = here(
        "vfr.mp4", "-o", "out.mp4", "--jsonl", "-", *LIGHT, cwd=tmp_path
    )  # PyAV is installed
    assert ran.status == 0, ran.err
    want = np.array(TICKS) / 25
    np.testing.assert_allclose([row["time"] for row in ran.rows], want, atol=1e-6)
    np.testing.assert_allclose(read(tmp_path / "out.mp4")[0], want, atol=1e-6)
    ran = here("vfr.mp4", "--fps", "25", "-o", "out.avi", "--json", cwd=tmp_path)
    (told,) = ran.rows
    assert (told["frames"], told["repeated"], told["left_out"]) == (10, 12, 0)
    assert len(read(tmp_path / "out.avi")[1]) == 22


@pytest.mark.parametrize(("rate", "repeated", "left_out"), [(1000.0, 92, 0), (0.0056, 0, 8)])
def test_unlikely_rates_are_bounded(rate, repeated, left_out, tmp_path, monkeypatch):
    """Files of browsers give the ticks of their clock, files with gaps useless averages."""
    monkeypatch.setattr(video.Stream, "fps", property(lambda stream: rate))
    clip(tmp_path / "vfr.mp4", len(TICKS), TICKS)
    ran = here("vfr.mp4", "--json", "--writer", "opencv", *LIGHT, cwd=tmp_path)
    counts = ran.rows[0]
    assert (counts["frames"], counts["repeated"], counts["left_out"]) == (10, repeated, left_out)
    assert f"{repeated} were repeated and {left_out} left out. --writer pyav" in ran.err
    for more in ([], ["-o", "o.avi", "--fps", "25"], ["-o", "o.avi", "-q"]):
        assert "varying times" not in here("vfr.mp4", *more, *LIGHT, cwd=tmp_path).err


def test_the_shape_of_pixels_is_kept(tmp_path):
    clip(tmp_path / "wide.mp4", 2, aspect="4/3")
    for reader in ("opencv", "pyav"):
        ran = here("wide.mp4", "-o", "o.mp4", "--reader", reader, *LIGHT, cwd=tmp_path)
        with av.open(str(tmp_path / "o.mp4")) as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert "pixels" not in ran.err
    for name in ("o.avi", "o.webm"):
        ran = here("wide.mp4", "-o", name, *LIGHT, cwd=tmp_path)
        assert ran.status == 0 and f"{name}: pixels are 1.33 times as wide as high" in ran.err


def test_several_clips_become_overlays_beside_them(tmp_path):
    for name in ("a.mp4", "c.mp4", "c.mkv"):
        clip(tmp_path / name, 2)
    (tmp_path / "b.mp4").write_text("no video")
    ran = here("a.mp4", "b.mp4", "c.mp4", "--json", *LIGHT, cwd=tmp_path)
    assert ran.status == 1 and "ittisal video: b.mp4: not a video" in ran.err
    assert [row.get("outputs") for row in ran.rows] == [["a.overlay.mp4"], None, ["c.overlay.mp4"]]
    assert here("a.mp4", "c.mp4", "--start", "2", "--end", "1", cwd=tmp_path).status == 2
    for arguments, message in (
        (["a.mp4", "c.mp4", "-o", "d.mp4"], "take one INPUT; without them"),
        (["c.mp4", "c.mkv"], "two INPUTs would be written to c.overlay.mp4"),
        (["1.png", "2.png"], "quote the pattern, as in 'shots/*.png'"),
    ):
        ran = here(*arguments, cwd=tmp_path)
        assert ran.status == 2 and message in ran.err and ran.err.count("\n") == 1


def test_a_clip_lets_go_of_its_buffers_before_the_next(tmp_path, monkeypatch):
    alive = []

    def opening(*arguments, **options):
        gc.collect()
        alive.append(sum(isinstance(each, video.Stream) for each in gc.get_objects()))
        return ittisal.stream(*arguments, **options)

    for name in ("a.mp4", "b.mp4", "c.mp4"):
        clip(tmp_path / name, 2)
    monkeypatch.setattr(video, "stream", opening)
    assert here("a.mp4", "b.mp4", "c.mp4", *LIGHT, cwd=tmp_path).status == 0
    assert len(alive) == 3 and len(set(alive)) == 1


def test_files_that_exist_may_be_left_as_they_are(tmp_path):
    clip(tmp_path / "a.mp4", 3)
    (tmp_path / "a.overlay.mp4").write_bytes(b"old")
    ran = here("a.mp4", "--no-clobber", "--json", cwd=tmp_path)
    assert ran.status == 0 and "a.overlay.mp4: exists, left as it is" in ran.err
    assert ran.rows == [{"input": "a.mp4", "outputs": [], "skipped": ["a.overlay.mp4"]}]
    here("a.mp4", "--no-clobber", "-o", "a.overlay.mp4", "--csv", "a.csv", *LIGHT, cwd=tmp_path)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 4
    assert (tmp_path / "a.overlay.mp4").read_bytes() == b"old"
    (tmp_path / "p").mkdir()
    (tmp_path / "p/000001.png").write_bytes(b"old")
    here("a.mp4", "--no-clobber", "-o", "p/", *LIGHT, cwd=tmp_path)
    assert (tmp_path / "p/000001.png").read_bytes() == b"old"
    assert names(tmp_path / "p") == {f"00000{i}.png" for i in range(3)}


def test_records_name_the_pictures_and_missing_numbers_are_lost_frames(tmp_path):
    for i in (7, 8, 10):
        cv2.imwrite(str(tmp_path / f"s{i:03}.png"), frames(1)[0])
    ran = here("s%03d.png", "--jsonl", "-", "--csv", "s.csv", "--fps", "10", *LIGHT, cwd=tmp_path)
    found = [(row["frame"], row["time"], row["file"]) for row in ran.rows]
    assert found == [(0, 0.0, "s007.png"), (1, 0.1, "s008.png"), (3, 0.3, "s010.png")]
    assert ran.status == 1 and "s%03d.png: frame 2: s009.png is missing" in ran.err
    with open(tmp_path / "s.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [file for _, _, file in found]


def test_sound_is_carried_over(tmp_path):
    from test_video_writers import heard, with_sound

    with_sound(tmp_path / "tone.mp4", seconds=1.2)
    here("tone.mp4", "--start", "0.4", "-o", "out.mp4", *LIGHT, cwd=tmp_path)
    assert heard(tmp_path / "out.mp4")[0] == pytest.approx(0.1, abs=0.03)
    here("tone.mp4", "--no-sound", "-o", "out.mp4", *LIGHT, cwd=tmp_path)
    assert heard(tmp_path / "out.mp4") is None


# --- usage -------------------------------------------------------------------------------------


USAGE_ERRORS = [
    ("video", "INPUT"),
    ("video clip.mp4 --every 0", "'0' must be a whole number from 1"),
    ("video clip.mp4 --width 8", "'8' must be a whole number from 32 to 1000000000"),
    ("video clip.mp4 --start 1:2:3:4", "'1:2:3:4' is no time; write seconds or [HH:]MM:SS"),
    ("video clip.mp4 --start 2 --end 1", "start=2 s must come before end=1 s"),
    ("video clip.mp4 --fps nan", "'nan' must be a number above 0"),
    ("video clip.mp4 --fps 0.005", "--fps 0.005: videos have at least 0.01; write pictures"),
    ("video clip.mp4 --reconnect soon", "1000000000, or the word forever"),
    ("video clip.mp4 --timeout 0", "'0' must be a number above 0"),
    ("video clip.mp4 --map --overlay", "not allowed with"),
    ("video clip.mp4 --grey", "--grey is about maps"),
    ("video clip.mp4 --raw -o a.mp4", "--raw needs a folder"),
    ("video clip.mp4 -o a.gif", ".mp4, .m4v, .mov, .mkv, .avi, .webm; end in one of these"),
    ("video clip.mp4 -o a.webm --writer opencv", "take --writer pyav"),
    ("video clip.mp4 -o a.avi --writer pyav", "take --writer opencv"),
    ("video clip.mp4 -o folder", "end in one of these, or in / for a folder"),
    ("video clip.mp4 -o clip.mp4", "clip.mp4 would overwrite the input clip.mp4"),
    ("video shots/*.png -o shots/", "shots/ holds pictures of the input shots/*.png"),
    ("video shots/ -o shots", "shots holds pictures of the input shots/"),
    ("video shots/ --jsonl shots/a.png", "shots/a.png would overwrite the input shots/a.png"),
    ("video clip.mp4 --jsonl a --csv a", "a is given twice"),
    ("video clip.mp4 --jsonl shots", "--jsonl shots is a directory; give a file"),
    ("video clip.mp4 --csv=", "--csv is empty; give a file"),
    ("video clip.mp4 -o none/a.mp4", "cannot write to"),
    ("video clip.mp4 --jsonl - --csv -", "standard output takes one of --jsonl and --csv"),
    ("video clip.mp4 --size 96x64 -o a.mp4", "about raw video on standard input"),
    ("video clip.mp4 --out-pix-fmt gray -o a.mp4", "add -o -"),
    ("video clip.mp4 -o - --out-pix-fmt yuv420p", "invalid choice: 'yuv420p'"),
    ("video clip.mp4 -o - --resume", "--resume needs files"),
    ("video clip.mp4 --jsonl a --resume --live", "give one"),
    ("video clip.mp4 --jsonl a --resume --levels 1%:9%:first", "cannot be resumed; give values"),
    ("video clip.mp4 --jsonl a --levels 7000:7500", "reach beyond uint8 frames, whose values lie"),
    ("video clip.mp4 --jsonl a --resume --boxes", "does not know the fixations and boxes"),
    ("video clip.mp4 -o maps/ --raw --scanpath", "--raw draws nothing"),
    ("video 7 --jsonl a --resume", "an input that can be read again"),
    ("video 7", "what should be made? Give -o, --jsonl, --csv or --show"),
    ("video clip.mp4 --backend gpu --jsonl a", "backend='gpu' is not one of"),
]


@pytest.mark.parametrize(("line", "message"), USAGE_ERRORS, ids=[line for line, _ in USAGE_ERRORS])
def test_usage_errors(line, message, folder):
    assert_wrong_usage(line, message, folder)


@pytest.mark.skipif(sys.platform != "linux", reason="displays are told by the environment")
def test_a_window_without_a_display_is_told(folder):
    ran = run("video", "clip.mp4", "--show", cwd=folder, DISPLAY="", WAYLAND_DISPLAY="")
    assert ran.status == 2 and "--show: no window can be opened" in ran.err
    assert ran.err.count("\n") == 1


def test_a_window_ends_the_run_when_it_is_closed(folder, monkeypatch):
    class Window:
        shown, closed = [], 0

        def show(self, picture):
            self.shown.append(picture.copy())
            return len(self.shown) < 5

        def close(self):
            type(self).closed += 1

    monkeypatch.setattr(video, "Window", Window)
    assert here("clip.mp4", "--show", "--map", "--jsonl", "w.jsonl", cwd=folder).status == 0
    assert len(Window.shown) == len(rows(folder / "w.jsonl")) == 5 and Window.closed == 1
    assert Window.shown[0].shape == (64, 96, 3)
    here("clip.mp4", "--show", "-o", "w.mp4", *LIGHT, cwd=folder)  # closed again after one more
    assert len(read(folder / "w.mp4")[0]) == 1


def test_a_camera_that_vanishes_leaves_whole_outputs(tmp_path, monkeypatch):
    """What goes wrong while frames come is told, after what was done is made sure of."""
    from_camera([*frames(3)[..., ::-1], VideoError("the cable was pulled")], monkeypatch)
    ran = here("7", "-o", "out.mp4", "--jsonl", "out.jsonl", "--json", *LIGHT, cwd=tmp_path)
    assert ran.status == 1 and "ittisal video: the cable was pulled" in ran.err
    assert ran.rows[0]["frames"] == 3 == len(rows(tmp_path / "out.jsonl"))
    assert ran.rows[0]["error"] == "the cable was pulled"
    assert len(read(tmp_path / "out.mp4")[0]) == 3


# --- inputs that are not good videos -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.mp4", "no such file"),
        ("text.mp4", "not a video that OpenCV can read"),
        ("small.mp4", "frame is 64x24 pixels; both sides must"),
    ],
)
def test_inputs_that_cannot_be_read(name, message, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    clip(tmp_path / "small.mp4", 3, size=(24, 64))
    ran = run("video", name, "-o", "out.mp4", "--json", cwd=tmp_path)  # FFmpeg prints nothing
    (told,) = ran.rows
    assert ran.status == 1 and told == {"input": name, "error": told["error"]}
    assert message in told["error"] and ran.err == f"ittisal video: {name}: {told['error']}\n"
    assert names(tmp_path) == {"text.mp4", "small.mp4"}


@pytest.mark.parametrize("reader", ["opencv", "pyav"])
def test_a_truncated_clip_is_done_as_far_as_it_goes(reader, tmp_path):
    whole = clip(tmp_path / "whole.mkv", 60, gop=4)
    data = whole.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    ran = here("cut.mkv", "--reader", reader, "-o", "out.avi", "--jsonl", "out.jsonl", "--json",
        *LIGHT, cwd=tmp_path,
    )  # fmt: skip
    (told,) = ran.rows
    assert 20 < told["frames"] < 60
    assert ran.status == (1 if told["missing"] or told["failed"] else 0)
    assert len(rows(tmp_path / "out.jsonl")) == told["frames"]
    # Where a frame in between is lost too, the one before is shown on.
    ran = here("cut.mkv", "--reader", reader, "--csv", "out.csv", *LIGHT, cwd=tmp_path)
    for name in ("failed", "missing"):
        assert (f"{told[name]} {name}" in ran.err) is bool(told[name] or name == "failed")
    shown = told["frames"] + told["repeated"] - told["left_out"]
    assert len(read(tmp_path / "out.avi")[0]) == shown


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("reader", ["opencv", "pyav"])
def test_damage_that_the_decoder_conceals_is_told(reader, strict, tmp_path):
    """Also with OpenCV, for which FFmpeg prints it."""
    noise = np.random.default_rng(1).integers(0, 256, (12, *SIZE, 3), np.uint8)
    damage(write_video(tmp_path / "clip.avi", list(noise), codec="mpeg4", gop=5), 7)
    ran = run("video", "clip.avi", "--reader", reader, "-o", "out.avi", "--jsonl", "out.jsonl",
        "--json", *LIGHT, *["--strict"] * strict, cwd=tmp_path,
    )  # fmt: skip
    (told,) = ran.rows
    lines = [line for line in ran.err.splitlines() if "damaged" in line]
    said = (
        "FFmpeg marks it" if reader == "pyav" else "FFmpeg, which decodes some frames ahead, says: "
    )
    assert said in lines[0] and "[mpeg4 @" not in ran.err
    found = [row["damaged"] for row in rows(tmp_path / "out.jsonl")]
    if strict:
        assert ran.status == 1 and told["damaged"] == 0 and not any(found)
        assert told["frames"] == len(found) <= 7 and "is damaged: FFmpeg" in told["error"]
    else:
        assert ran.status == 0 and told["damaged"] == sum(found) == len(lines) - 1 == 1
        assert told["frames"] == len(found) == 12 and 4 <= found.index(True) <= 7
        assert "0 failed, 1 damaged" in lines[1]


def test_frames_that_cannot_be_read_are_told_and_the_rest_go_on(tmp_path):
    (tmp_path / "shots").mkdir()
    for i, picture in enumerate(frames(5)):
        cv2.imwrite(str(tmp_path / f"shots/{i}.png"), picture[..., ::-1])
    (tmp_path / "shots/2.png").write_bytes(b"damaged")
    ran = here("shots", "-o", "out.avi", "--json", *LIGHT, cwd=tmp_path)
    (told,) = ran.rows
    assert (ran.status, told["frames"], told["failed"]) == (1, 4, 1)
    assert "frame 2: " in ran.err
    _, pictures = read(tmp_path / "out.avi")
    assert len(pictures) == 5 and told["repeated"] == 1  # shown on in its stead


def test_frames_of_another_size_go_into_the_same_video(tmp_path):
    (tmp_path / "shots").mkdir()
    for i, picture in enumerate([*frames(3), *frames(3, (96, 64))]):
        cv2.imwrite(str(tmp_path / f"shots/{i}.png"), picture[..., ::-1])
    ran = here("shots", "-o", "out.mp4", "--json", *LIGHT, cwd=tmp_path)
    assert ran.status == 0 and ran.rows[0]["resizes"] == 1 and ", 1 resizes; " in ran.err
    _, pictures = read(tmp_path / "out.mp4")
    assert {picture.shape for picture in pictures} == {(64, 96, 3)} and len(pictures) == 6


# --- pipes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pix_fmt", ["rgb24", "gray"])
def test_raw_video_through_pipes(pix_fmt, tmp_path):
    given = frames(6)
    fed = given if pix_fmt == "rgb24" else given[..., 0]
    ran = run(
        "video", "-", "--size", "96x64", "--pix-fmt", pix_fmt, "-o", "-", "--out-pix-fmt", pix_fmt,
        "--side-by-side", "--jsonl", "r.jsonl", "--fps", "50", *LIGHT, cwd=tmp_path,
        stdin=fed.tobytes(),
    )  # fmt: skip
    assert ran.status == 0, ran.err
    shape = (6, 64, 192, 3) if pix_fmt != "gray" else (6, 64, 192)
    pictures = np.frombuffer(ran.raw, np.uint8).reshape(shape)
    np.testing.assert_array_equal(pictures[:, :, :96], fed)
    assert pictures[:, :, 96:].any()
    assert [row["time"] for row in rows(tmp_path / "r.jsonl")] == [i / 50 for i in range(6)]


@pytest.mark.parametrize("reader", ["opencv", "pyav"])
def test_an_encoded_video_from_a_pipe(reader, tmp_path):
    data = clip(tmp_path / "clip.mkv", 6).read_bytes()
    ran = run(
        *["video", "-", "-q", "--jsonl", "-", "--reader"], reader, *LIGHT, cwd=tmp_path, stdin=data
    )
    assert ran.status == 0, ran.err
    assert [row["time"] for row in ran.rows] == [i / 25 for i in range(6)]


@POSIX
@pytest.mark.parametrize(
    ("number", "arguments"),
    [(0, ["--csv", "closed.csv"]), (1, ["--csv", "closed.csv"]), (1, ["--jsonl", "-"]),
     (2, ["--jsonl", "-"])],
)  # fmt: skip
def test_a_closed_standard_stream(number, arguments, folder):
    """What is opened next would take its number, and every line that is printed."""
    words = command("video", "clip.mp4", *arguments, *LIGHT)
    ran = finished(words, folder, {}, preexec_fn=lambda: os.close(number))
    assert ran.status == 0, ran.err
    table = arguments[0] == "--csv"
    lines = 1 if table else COUNT  # the table's name, or a record for each frame
    assert ran.out.count("\n") == (0 if number == 1 else lines)
    assert ran.err.count("\n") == (0 if number == 2 else 1)
    if table:
        assert len((folder / "closed.csv").read_bytes().splitlines()) == COUNT + 1


@POSIX
def test_progress_on_a_terminal_only(folder):
    pytest.importorskip("tqdm")
    arguments = ("clip.mp4", "--jsonl", "p.jsonl", *LIGHT)
    ran, seen = on_terminal("video", *arguments, cwd=folder)
    assert ran.status == 0 and b"12/12" in seen and b"frame" in seen
    assert not here(*arguments, "-q", cwd=folder, terminal="stderr").err


# --- interrupts --------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize(
    ("number", "status", "word", "writer"),
    [
        (signal.SIGINT, 130, b"interrupted", "opencv"),
        (signal.SIGTERM, 143, b"terminated", "pyav"),
        (getattr(signal, "SIGHUP", 1), 129, b"terminated", "pyav"),
    ],
)
def test_an_interrupt_leaves_whole_outputs(number, status, word, writer, tmp_path):
    """A pipe that stays open: the command waits for the next frame when the signal comes."""
    words = command("video", "-", "--size", "96x64", "--writer", writer, "-o", "out.mp4", "--csv",
                    "out.csv", "--jsonl", "-", *LIGHT)  # fmt: skip
    with begin(words, tmp_path, number, stdin=subprocess.PIPE) as process:
        process.stdin.write(frames(7).tobytes())
        process.stdin.flush()
        seen = [process.stdout.readline() for _ in range(7)]
        process.send_signal(number)
        process.wait(timeout=120)  # while its standard input is still open
        err = process.stderr.read()
    assert process.returncode == status
    assert err.splitlines()[-1] == b"ittisal video: " + word and b"7 frames" in err
    assert len(read(tmp_path / "out.mp4")[0]) == 7
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 8
    assert [json.loads(line)["frame"] for line in seen] == list(range(7))
    assert names(tmp_path) == {"out.mp4", "out.csv"}


@POSIX
def test_an_interrupt_while_the_input_is_opened(folder, tmp_path, monkeypatch):
    """A camera or an address may never answer."""

    def opening(*_, **__):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")

    monkeypatch.setattr(video, "stream", opening)
    ran = here(folder / "clip.mp4", "-o", "out.mp4", cwd=tmp_path)
    assert (ran.status, ran.out, ran.err) == (130, "", "ittisal video: interrupted\n")
    assert not names(tmp_path)


@POSIX
@pytest.mark.parametrize(("writer", "resume"), [("opencv", []), ("pyav", ["--resume"])])
def test_an_interrupt_before_the_first_picture_keeps_what_is_there(
    writer, resume, tmp_path, monkeypatch
):
    clip(tmp_path / "clip.mp4", 2)
    for name in ("out.mp4", "out.csv"):
        (tmp_path / name).write_bytes(b"old")
    monkeypatch.setattr(
        video.Stream, "__next__", lambda stream: signal.raise_signal(signal.SIGTERM)
    )
    ran = here("clip.mp4", "-o", "out.mp4", "--csv", "out.csv", "--writer", writer, "--json",
        *resume, *LIGHT, cwd=tmp_path,
    )  # fmt: skip
    assert ran.status == 143 and ran.rows[0]["outputs"] == [] and ran.rows[0]["frames"] == 0
    assert {(tmp_path / name).read_bytes() for name in ("out.mp4", "out.csv")} == {b"old"}
    assert names(tmp_path) == {"clip.mp4", "out.mp4", "out.csv"}


@POSIX
@pytest.mark.parametrize(("owner", "writer"), [(Outputs, "opencv"), (BackgroundWriter, "pyav")])
def test_many_interrupts_leave_no_temporary(owner, writer, folder, tmp_path, monkeypatch):
    """The second, while outputs are completed, gives them up; those after it are not heard."""

    def interrupting(owner, name, times, first=0):
        called, method = [], getattr(owner, name)

        def call(*arguments, **options):
            called.append(name)
            for _ in range(times if len(called) > first else 0):
                signal.raise_signal(signal.SIGTERM)
            return method(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    interrupting(video.Stream, "__next__", 1, first=2)
    interrupting(owner, "finish", 1)
    interrupting(BackgroundWriter, "abandon", 3)
    before = names(folder)
    ran = here("clip.mp4", "-o", str(tmp_path / "many.mp4"), "--writer", writer, *LIGHT, cwd=folder)
    assert (ran.status, ran.out) == (130, "")
    assert not names(tmp_path) and names(folder) == before


@POSIX
def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
        assert interrupts.number is None and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@POSIX
def test_a_broken_pipe_is_quiet_and_other_outputs_are_whole(tmp_path):
    words = command("video", "-", "--size", "96x64", "-o", "-", "--jsonl", "out.jsonl")
    with begin(words, tmp_path, stdin=subprocess.PIPE) as process:
        process.stdin.write(frames(1).tobytes())
        process.stdin.flush()
        assert len(process.stdout.read(64 * 96 * 3)) == 64 * 96 * 3
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # it may be gone already
            process.stdin.write(frames(19).tobytes())
            process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 141
    assert len(rows(tmp_path / "out.jsonl")) >= 1


# --- disks -------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["-o", "-"], ["--jsonl", "-"], ["--json"]])
def test_full_stdout(arguments, folder):
    words = command("video", "clip.mp4", "--csv", "full.csv", *LIGHT, *arguments)
    with open("/dev/full", "wb") as full:
        ran = finished(words, folder, {}, stdout=full)
    assert ran.status == 1 and "No space left on device" in ran.err
    assert "Traceback" not in ran.err and "Exception" not in ran.err
    assert (folder / "full.csv").exists()


@POSIX
def test_records_go_into_a_pipe_of_the_shell(folder):
    """As --csv >(gzip > a.csv.gz), in whose directory no file can be made."""
    end, start = os.pipe()
    with open(end, "rb") as reader:
        process = subprocess.Popen(
            command("video", "clip.mp4", "--csv", f"/dev/fd/{start}", *LIGHT), cwd=folder,
            env=ENVIRONMENT, pass_fds=[start], stderr=subprocess.PIPE,
        )  # fmt: skip
        os.close(start)
        with process:
            assert len(reader.read().splitlines()) == COUNT + 1, process.stderr.read()
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_device_is_written_as_it_is(folder):
    ran = run("video", "clip.mp4", "--jsonl", "/dev/full", *LIGHT, cwd=folder)
    assert ran.status == 1 and "/dev/full: cannot be written: No space left" in ran.err
    assert run("video", "clip.mp4", "--jsonl", os.devnull, *LIGHT, cwd=folder).status == 0
    assert not os.path.isfile(os.devnull)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A folder with a clip whose pictures take space."""
    made = tmp_path_factory.mktemp("noisy")
    writer = cv2.VideoWriter(str(made / "noise.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (96, 64))
    rng = np.random.default_rng(0)
    for _ in range(30):
        writer.write(rng.integers(0, 256, (64, 96, 3), np.uint8))
    writer.release()
    return made


@POSIX
@pytest.mark.parametrize(
    "arguments", [["-o", "o.mp4"], ["-o", "o.avi"], ["-o", "o.mp4", "--writer", "pyav"]]
)
def test_a_file_that_cannot_grow_on_is_not_left_half_written(arguments, noisy):
    name = arguments[1]
    (noisy / name).write_bytes(b"old")
    arguments = ["noise.avi", *arguments, "--side-by-side", "--csv", "o.csv", *LIGHT]
    ran = limited(9_000, "video", *arguments, cwd=noisy)
    assert ran.status == 1, ran.err
    assert f"{name}: cannot be written: " in ran.err and "Traceback" not in ran.err
    assert (noisy / name).read_bytes() == b"old"
    assert not [name for name in names(noisy) if name.startswith(".")]
    assert len((noisy / "o.csv").read_text().splitlines()) == 31


@pytest.mark.parametrize("writer", ["opencv", "pyav"])
def test_records_go_on_when_the_videos_disk_is_full(writer, folder, monkeypatch):
    left = [5]

    def full(path):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    add = getattr(video_files, {"opencv": "OpenCVWriter", "pyav": "PyAVWriter"}[writer])._add
    monkeypatch.setattr(
        f"ittisal.video.video_files.{add.__qualname__}", lambda *a: (full(a), add(*a))
    )
    ran = here("clip.mp4", "-o", "f.mp4", "--csv", "f.csv", "--json", "--writer", writer, *LIGHT,
        cwd=folder,
    )  # fmt: skip
    assert ran.status == 1 and not (folder / "f.mp4").exists()
    assert "f.mp4: cannot be written: No space left on device; the other outputs go on" in ran.err
    assert len((folder / "f.csv").read_text().splitlines()) == COUNT + 1
    assert ran.rows[0]["outputs"] == ["f.csv"] and "No space left" in ran.rows[0]["error"]


@POSIX
def test_a_folder_that_cannot_grow_on(noisy):
    arguments = ["noise.avi", "-o", "pngs/", "--channels", *LIGHT]
    ran = limited(3_000, "video", *arguments, cwd=noisy)
    assert ran.status == 1 and "pngs/000000.png: cannot be written: File too large" in ran.err
    assert not names(noisy / "pngs")


# --- runs that are taken up again --------------------------------------------------------------

LONG = 30
KILLED = """
import os, signal, sys
from ittisal import cli
from ittisal.cli import video_outputs
take, left = video_outputs.Outputs.take, [COUNT]
def counting(self, result):
    if not left[0]:
        os.kill(os.getpid(), signal.NUMBER)
    left[0] -= 1
    return take(self, result)
video_outputs.Outputs.take = counting
sys.exit(cli.main(ARGUMENTS))
"""


def killed(arguments, cwd, count, number="SIGKILL"):
    """A process that is sent a signal when it has written so many frames."""
    script = KILLED.replace("COUNT", str(count)).replace("NUMBER", number)
    return run_script(script.replace("ARGUMENTS", repr(["video", *arguments, *LIGHT])), cwd)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A folder with a longer clip, two shots of variable times, and one run over it at once."""
    made = tmp_path_factory.mktemp("long")
    ticks = np.cumsum([0] + [1, 1, 2, 1, 3] * (LONG // 5))[:LONG].tolist()
    stripes = np.where(np.arange(96) // 16 % 2, 200, 30).astype(np.uint8)[:, None]
    pictures = [*frames(LONG // 2), *np.maximum(frames(LONG // 2) - 50, stripes)]
    write_video(made / "long.mp4", pictures, ticks)
    ran = run(
        "video", "long.mp4", "--jsonl", "once.jsonl", "--side-by-side", "--writer", "pyav", "-o",
        "once.mp4", *LIGHT, cwd=made,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    return made


def plain(path):
    """Records without what differs between runs."""
    return [{**row, "latency_ms": None} for row in rows(path)]


@POSIX
@pytest.mark.parametrize(("writer", "suffix"), [("pyav", ".mp4"), ("opencv", ".avi")])
def test_a_killed_run_is_taken_up_again(writer, suffix, long):
    out = f"{writer}{suffix}"
    arguments = [
        "long.mp4", "--writer", writer, "-o", out, "--jsonl", f"{out}.jsonl", "--csv",
        f"{out}.csv", "--side-by-side", "--resume", "--checkpoint", "8", "--json",
    ]  # fmt: skip
    assert killed(arguments, long, 21).status == -signal.SIGKILL
    state = json.loads((long / f"{out}.parts/state.json").read_text())
    assert state["next"] == 16 and not (long / out).exists()
    ran = killed(arguments, long, 10, "SIGTERM")
    assert ran.status == 143 and "the same command goes on from there" in ran.err
    assert ran.rows[0]["outputs"] == [] and ran.rows[0]["interrupted"]
    for name in os.listdir(long / f"{out}.parts"):
        if name.startswith("part-"):
            assert read(long / f"{out}.parts" / name)[0]  # the pieces can be played
    ran = run("video", *arguments, *LIGHT, cwd=long)
    assert ran.status == 0, ran.err
    assert (ran.rows[0]["frames"], ran.rows[0]["interrupted"]) == (LONG, False)
    assert ran.rows[0]["cuts"] == 1
    assert not (long / f"{out}.parts").exists()

    assert plain(long / f"{out}.jsonl") == plain(long / "once.jsonl")
    with open(long / f"{out}.csv", newline="") as file:
        assert [int(row["frame"]) for row in csv.DictReader(file)] == list(range(LONG))
    want, pictures = read(long / "once.mp4")
    times, got = read(long / out)
    if writer == "pyav":
        np.testing.assert_allclose(times, want, atol=1e-6)
        different = [np.abs(a.astype(int) - b).mean() for a, b in zip(got, pictures, strict=True)]
        assert max(different) < 4  # coded in other pieces
    else:
        assert times[-1] == pytest.approx(want[-1], abs=0.5 / 20)


@POSIX
def test_records_alone_and_folders_are_taken_up_again(long):
    arguments = ["long.mp4", "--jsonl", "alone.jsonl", "--resume", "--checkpoint", "7", "-q"]
    assert killed(arguments, long, 22).status == -signal.SIGKILL
    assert run("video", *arguments, *LIGHT, cwd=long).status == 0
    assert plain(long / "alone.jsonl") == plain(long / "once.jsonl")
    arguments = [
        "long.mp4", "-o", "maps/", "--raw", "--every", "2", "--resume", "--checkpoint", "7",
    ]  # fmt: skip
    assert killed(arguments, long, 12).status == -signal.SIGKILL
    assert run("video", *arguments, *LIGHT, cwd=long).out == "maps/\n"
    assert names(long / "maps") == {f"{i:06}.npy" for i in range(0, LONG, 2)}


@POSIX
@pytest.mark.parametrize("step", ["join", "_copy"])
def test_a_run_that_dies_while_it_publishes(step, long):
    """All frames are done; what is left is to join, to rename and to clear up."""
    arguments = ["long.mp4", "-o", f"{step}.mp4", "--jsonl", f"{step}.jsonl", "--resume", *LIGHT]
    script = f"""
import os, signal, sys
from ittisal import cli
from ittisal.cli import resuming
done = resuming.{step}
def dying(*arguments, **options):
    done(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
resuming.{step} = dying
sys.exit(cli.main(["video", *{arguments!r}]))
"""
    assert run_script(script, long).status == -signal.SIGKILL
    assert (long / f"{step}.mp4.parts").exists()
    ran = run("video", *arguments, cwd=long)
    assert ran.status == 0 and ran.out == f"{step}.mp4\n{step}.jsonl\n", ran.err
    assert plain(long / f"{step}.jsonl") == plain(long / "once.jsonl")
    assert not (long / f"{step}.mp4.parts").exists()


@POSIX
def test_a_full_disk_can_be_resumed(noisy):
    arguments = ["video", "noise.avi", "-o", "r.mp4", "--jsonl", "r.jsonl", "--resume",
                 "--checkpoint", "4", *LIGHT]  # fmt: skip
    ran = limited(9_000, *arguments, cwd=noisy)
    assert ran.status == 1 and "cannot be written" in ran.err
    ran = run(*arguments, cwd=noisy)
    assert ran.status == 0, ran.err
    assert [row["frame"] for row in rows(noisy / "r.jsonl")] == list(range(30))
    assert len(read(noisy / "r.mp4")[0]) == 30


@POSIX
def test_another_run_is_not_taken_for_the_same(long):
    arguments = ["long.mp4", "--jsonl", "other.jsonl", "--resume", "--checkpoint", "7"]
    assert killed(arguments, long, 20).status == -signal.SIGKILL
    ran = here(*arguments, *LIGHT, "--width", "64", cwd=long)
    assert ran.status == 2 and "begun without --width, not with --width 64; " in ran.err
    assert "remove other.jsonl.parts to begin anew" in ran.err
    ran = here(*arguments, *LIGHT, "--levels", "0:200", cwd=long)
    assert "was begun without --levels, not with --levels 0:200; give the same" in ran.err
    ran = here(*arguments, *LIGHT, "--set", "weights.motion=2", cwd=long)
    assert "was begun with the model's weights.motion 1.0, not 2.0; give the same" in ran.err
    ran = here(*arguments, *LIGHT, "--no-cuts", "--every", "2", cwd=long)
    assert "was begun with --every 1, not 2; without --no-cuts; give the same" in ran.err
    status = (long / "long.mp4").stat()
    os.utime(long / "long.mp4", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    ran = here(*arguments, *LIGHT, cwd=long)
    assert ran.status == 2 and "the input has changed" in ran.err
    os.utime(long / "long.mp4", ns=(status.st_atime_ns, status.st_mtime_ns))
    (long / "other.jsonl.parts/state.json").write_text("{")
    ran = here(*arguments, *LIGHT, cwd=long)
    assert ran.status == 2 and "state.json is damaged; remove other.jsonl.parts" in ran.err


@POSIX
def test_a_part_that_is_not_whole_is_found_out_first(long, monkeypatch):
    arguments = ["long.mp4", "-o", "p.mp4", "--jsonl", "p.jsonl", "--resume", "--checkpoint", "7"]
    assert killed(arguments, long, 20).status == -signal.SIGKILL
    monkeypatch.setattr(video, "stream", lambda *arguments, **options: pytest.fail("began"))
    state = json.loads((long / "p.mp4.parts/state.json").read_text())
    for name, counted in (
        ("records.jsonl", state["lengths"]["records.jsonl"]),
        ("part-00001.mp4", state["parts"][0]["bytes"]),
    ):
        part = long / "p.mp4.parts" / name
        data = part.read_bytes()
        for broken in (data[: counted - 1], b"", None):
            part.unlink() if broken is None else part.write_bytes(broken)
            ran = here(*arguments, *LIGHT, cwd=long)
            assert ran.status == 2
            assert f"p.mp4.parts/{name} is missing or shorter than it was; remove" in ran.err
            assert "remove p.mp4.parts to begin anew" in ran.err
        part.write_bytes(data)
    monkeypatch.undo()
    # The same files, written otherwise.
    arguments[0::2] = [str(long / "long.mp4"), "./p.mp4", f"{long}/p.jsonl", "--checkpoint"]
    assert here("-q", *arguments, *LIGHT, cwd=long).status == 0
    assert plain(long / "p.jsonl") == plain(long / "once.jsonl")


def test_the_time_without_a_frame_reaches_the_stream(folder, monkeypatch):
    def opening(*arguments, **options):
        raise VideoError(f"waited {options['timeout']}")

    monkeypatch.setattr(video, "stream", opening)
    assert "waited 10.0" in here("clip.mp4", "--jsonl", "t.jsonl", cwd=folder).err
    assert "waited 2.5" in here("clip.mp4", "--timeout", "2.5", "--jsonl", "t", cwd=folder).err


def test_an_empty_input_is_told(folder):
    ran = here("", "--csv", "e.csv", "--resume", cwd=folder)
    assert ran.status == 2 and "INPUT is empty; give a file" in ran.err


@POSIX
def test_parts_are_removed_before_another_run_can_begin(tmp_path, monkeypatch):
    directory, tried = tmp_path / "a.jsonl.parts", []

    def removing(path, *, _remove=shutil.rmtree, **options):
        with pytest.raises(UsageError, match="another run is at work"):
            Parts(directory, {}, [])
        tried.append(path)
        _remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", removing)
    for ending in ("close", "remove"):
        getattr(Parts(directory, {}, []), ending)()
    assert tried == [directory] * 2 and not directory.exists()


@POSIX
def test_names_of_any_bytes_can_be_resumed(folder, tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(folder / "clip.mp4", tmp_path / name)
    ran = run("video", name, "--reader", "pyav", "--resume", "--csv", "a.csv", *LIGHT, cwd=tmp_path)
    assert ran.status == 0 and names(tmp_path) == {name, "a.csv"}, ran.err


def test_a_state_that_cannot_be_written_is_named(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = here("clip.mp4", "-o", "full/", "--resume", *LIGHT, cwd=folder)
    assert ran.status == 1
    assert "full.parts/state.json: cannot be written: No space left on device" in ran.err


@POSIX
def test_two_runs_do_not_work_on_the_same_parts(long):
    import fcntl

    (long / "busy.jsonl.parts").mkdir()
    with open(long / "busy.jsonl.parts/lock", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ran = here("long.mp4", "--jsonl", "busy.jsonl", "--resume", cwd=long)
    assert ran.status == 2 and "another run is at work in busy.jsonl.parts" in ran.err


def test_a_run_that_never_began_leaves_no_parts(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for name, message in (("text.mp4", "not a video"), ("none.mp4", "no such file")):
        ran = here(name, "-o", "a.mp4", "--resume", cwd=tmp_path)
        assert ran.status == 1 and message in ran.err
        assert names(tmp_path) == {"text.mp4"} and not (tmp_path / "a.mp4.parts").exists()


def past_of(config, count=2000, fps=25, levels=None):
    past = Past(config, levels)
    for i in range(count):
        past.add(i, i / fps)
    return count - past.first


def test_as_much_of_the_past_is_shown_again_as_the_model_remembers():
    assert past_of(ittisal.VIDEO) == 76
    assert past_of(ittisal.VIDEO, fps=1000) > 480  # flicker follows within 30 ms
    leaky = ittisal.Config(smoothing="leaky", smoothing_seconds=2.0)
    assert past_of(leaky) / 25 > 2.0 * np.log(1e7)
    slow = ittisal.Config(smoothing="ema", smoothing_rate=0.1)
    assert 0.9 ** past_of(slow) < 1e-7
    averaging = ittisal.Config(whitening_seconds=2.0, figure=True)
    assert past_of(averaging) / 25 > 2.0 * np.log(1e7)
    followed = ittisal.Levels(percentiles=(1, 99), seconds=2.0)
    assert past_of(ittisal.ITTI_1998, levels=followed) / 25 > 2.0 * np.log(1e7)
    assert past_of(ittisal.ITTI_1998, levels=ittisal.Levels((1, 99))) == 76
    assert Past(ittisal.VIDEO).first == 0
