"""What a source may be, and what its readers give: frames, times, errors."""

from __future__ import annotations

import contextlib
import http.server
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from fractions import Fraction
from functools import partial
from pathlib import Path

import clips
import cv2
import numpy as np
import PIL.Image
import pytest
from clips import FakeModel
from test_cli import begin, finished

import ittisal
from ittisal.video import NothingWanted, RawVideo, VideoError, stream
from ittisal.video.opencv_reader import Header, header, open_file
from ittisal.video.pyav_reader import PyAVReader, open_pyav
from ittisal.video.selection import Reading
from ittisal.video.sources import natural, resolve

av = pytest.importorskip("av")
READERS = ("opencv", "pyav")


@pytest.fixture(autouse=True)
def model(monkeypatch):
    """A model that costs nothing: these tests are about what comes before it."""
    fake = type("Model", (FakeModel,), {"made": [], "calls": []})
    monkeypatch.setattr("ittisal.video.streaming.Saliency", fake)
    return fake


@pytest.fixture(params=READERS)
def reader(request):
    return request.param


def opened(path, reader, order="bgr"):
    if reader == "opencv":
        return open_file(str(path), path.name)
    return open_pyav(str(path), path.name, order)


def drained(reader):
    """(time, copy of the frame) of all frames of a reader."""
    found = []
    while reader.grab():
        found.append((reader.time, reader.retrieve(None).copy()))
    reader.close()
    return found


def played(path, **options):
    """The numbers that frames show, their times in 1/25 s, the stream, and what it reported."""
    said = []
    with stream(path, report=said.append, **options) as results:
        shown = [(clips.number(r.frame), round(r.time * 25)) for r in results]
    return shown, results, said


# --- times --------------------------------------------------------------------------------------

IRREGULAR = [0, 1, 3, 4, 9, 10, 11, 17, 18, 25]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
@pytest.mark.parametrize("late", [0, 10])
def test_times_of_an_irregular_file_are_exact_with_both_readers(tmp_path, name, late):
    """The time is 0 at the first frame, whatever the container counts from."""
    ticks = [tick + late for tick in IRREGULAR]
    path = clips.write_video(tmp_path / name, clips.grey_frames(10), ticks)
    by_opencv, by_pyav = (drained(opened(path, reader)) for reader in READERS)
    for found in (by_opencv, by_pyav):
        assert [clips.number(frame) for _, frame in found] == list(range(10))
        assert [time * 25 for time, _ in found] == pytest.approx(IRREGULAR, abs=1e-3)
    for (_, one), (_, other) in zip(by_opencv, by_pyav, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_pyav_gives_the_order_asked_for(tmp_path):
    red = [np.full((64, 96, 3), (200, 30, 30), np.uint8)] * 2
    path = clips.write_video(tmp_path / "clip.mp4", red)
    for order, place in (("rgb", 0), ("bgr", 2)):
        for _, frame in drained(opened(path, "pyav", order)):
            assert frame[..., place].mean() > 150 > 100 > frame[..., 2 - place].mean()


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_pictures_taken_sideways_are_turned_upright(tmp_path, clockwise):
    frame = np.full((64, 96, 3), 60, np.uint8)
    frame[:16, :24] = 220  # top left as recorded
    path = clips.write_rotated(tmp_path / "phone.mp4", [frame] * 3, clockwise)
    expected = np.rot90(frame, -clockwise // 90)
    capture = cv2.VideoCapture(str(path))
    turned_by_opencv = capture.read()[1]
    capture.release()
    for reader in READERS:
        found = drained(opened(path, reader))
        assert len(found) == 3
        assert found[0][1].shape == expected.shape
        assert np.abs(found[0][1].astype(int) - expected).mean() < 5
        assert np.abs(found[0][1].astype(int) - turned_by_opencv).max() <= 1


@pytest.mark.parametrize("clockwise", [0, 90])
def test_readers_fill_the_array_that_they_are_given(tmp_path, reader, clockwise):
    frames = clips.grey_frames(4)
    path = tmp_path / "clip.mp4"
    if clockwise:
        clips.write_rotated(path, frames, clockwise)
    else:
        clips.write_video(path, frames)
    source = opened(path, reader)
    source.grab()
    buffer = np.empty_like(source.retrieve(None))
    for i in (1, 2, 3):
        source.grab()
        frame = source.retrieve(buffer)
        assert np.shares_memory(frame, buffer) and clips.number(buffer) == i
    source.close()


# --- which frames -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, range(30)),
        ({"every": 7}, [0, 7, 14, 21, 28]),
        ({"start": 0.4}, range(10, 30)),
        ({"start": 0.41, "end": 0.6}, range(11, 15)),
        ({"first": 13, "every": 5}, [15, 20, 25]),
        ({"first": 3, "start": 0.2, "end": 1.0, "every": 4}, [8, 12, 16, 20, 24]),
    ],
    ids=str,
)
def test_every_start_end_and_first_keep_the_numbers_of_the_source(
    tmp_path, reader, wanted, expected
):
    path = clips.write_video(tmp_path / "clip.mp4", clips.grey_frames(30))
    with stream(path, reader=reader, **wanted) as results:
        found = [(r.index, round(r.time * 25), clips.number(r.frame)) for r in results]
        assert results.statistics.dropped == results.statistics.missing == 0
    assert found == [(i, i, i) for i in expected]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """900 frames with gaps in time, one key frame in 40, whose brightness tells them apart."""
    ticks = 400 + np.cumsum(1 + (np.arange(900) % 7 == 3) * 4)  # the container starts late
    frames = [np.full((64, 96, 3), 4 * (i % 50) + 20, np.uint8) for i in range(900)]
    path = tmp_path_factory.mktemp("long") / "clip.mp4"
    clips.write_video(path, frames, [int(tick) for tick in ticks], gop=40)
    return path, (ticks - ticks[0]) / 25


@pytest.mark.parametrize(
    ("wanted", "first"),
    [({"first": 251}, 251), ({"first": 640}, 640), ({"first": 899}, 899), ({"start": 40.0}, None)],
    ids=str,
)
def test_going_far_into_a_file_is_exact(long_clip, monkeypatch, wanted, first):
    path, times = long_clip
    skipped = []

    def skip(self, *wanted, _skip=PyAVReader.skip):
        skipped.append(_skip(self, *wanted))
        return skipped[-1]

    monkeypatch.setattr(PyAVReader, "skip", skip)
    first = int(np.searchsorted(times, 40.0)) if first is None else first
    with stream(path, reader="pyav", cuts=False, **wanted) as results:
        found = [(r.index, clips.number(r.frame), round(r.time, 6)) for r in results]
        assert results.statistics.missing == 0
    assert found == [(i, i % 50, pytest.approx(times[i], abs=1e-6)) for i in range(first, 900)]
    assert (first - 85 < skipped[0] <= first and skipped[0] % 40 == 0) or first == 251


def test_a_number_that_is_beyond_the_end(long_clip):
    with pytest.raises(NothingWanted, match="none of its 900 frames"):
        stream(long_clip[0], reader="pyav", first=5000)


def test_frames_left_out_are_not_converted_and_the_rest_is_not_decoded():
    script = clips.Script(clips.grey_frames(30))
    indices = [r.index for r in stream(clips.scripted(script), every=5, start=0.2, end=0.72)]
    assert indices == [5, 10, 15]
    assert script.retrieves == 3
    assert script.grabs == 19  # number 18 is at 0.72 s


@pytest.mark.parametrize("wanted", [{"first": 30}, {"start": 60.0}])
def test_nothing_that_was_asked_for(tmp_path, reader, wanted):
    path = clips.write_video(tmp_path / "clip.mp4", clips.grey_frames(30))
    with pytest.raises(NothingWanted, match=r"none of its 30 frames up to 1.16 s.*choose"):
        stream(path, reader=reader, **wanted)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"every": 0}, ValueError, "every=0"),
        ({"every": 1.5}, TypeError, "every=1.5"),
        ({"first": -1}, ValueError, "first=-1"),
        ({"start": 2, "end": 1}, ValueError, "start=2 s must come before end=1 s"),
        ({"width": 31}, ValueError, "width=31"),
        ({"width": 64.0}, TypeError, "width=64.0"),
        ({"fps": 0}, ValueError, "fps=0"),
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"reconnect": -1}, ValueError, "reconnect=-1"),
        ({"every": True}, TypeError, "every=True"),
        ({"start": "a"}, TypeError, "start='a' must be a number"),
        ({"end": [1]}, TypeError, r"end=\[1\] must be a number"),
        ({"fps": "x"}, TypeError, "fps='x' must be a number"),
        ({"timeout": None}, TypeError, "timeout=None must be a number"),
        ({"reconnect": "1"}, TypeError, "reconnect='1' must be a number"),
        ({"report": 3}, TypeError, "report=3 must be callable"),
        ({"channel_order": "gbr"}, ValueError, "gbr"),
        ({"reader": "decord"}, ValueError, "decord"),
    ],
    ids=str,
)
def test_wrong_settings(settings, error, message):
    with pytest.raises(error, match=message):
        stream(clips.grey_frames(1), **settings)
    with pytest.raises(ValueError, match="by OpenCV only"):
        stream(0, reader="pyav")


def test_numbers_may_be_numpys(model):
    settings = {"every": np.int64(2), "first": np.uint8(1), "width": np.int32(64)}
    seconds = {"start": np.float32(0.5), "end": Fraction(1), "fps": np.int64(10)}
    frames = clips.grey_frames(12, (64, 128))
    with stream(frames, **settings, **seconds, timeout=np.float64(1), reconnect=1) as results:
        assert [(type(r.index), r.index) for r in results] == [(int, 6), (int, 8)]
    assert model.made[0].shape == (32, 64)


# --- files that are none ------------------------------------------------------------------------


def test_headers_of_mp4(tmp_path):
    def box(kind, data, size=None):
        return (8 + len(data) if size is None else size).to_bytes(4, "big") + kind + data

    short = box(
        b"mvhd", bytes(12) + (600).to_bytes(4, "big") + (1500).to_bytes(4, "big") + bytes(80)
    )
    long = bytes([1]) + bytes(19) + (600).to_bytes(4, "big") + (1500).to_bytes(8, "big")
    long = box(b"mvhd", long + bytes(80))
    unknown = box(b"mvhd", bytes(12) + (600).to_bytes(4, "big") + bytes(84))
    sound, kind = box(b"mdat", bytes(100)), box(b"ftyp", b"isom0000")
    wide = box(b"mdat", (16 + 50).to_bytes(8, "big") + bytes(50), size=1)
    path = tmp_path / "clip.mp4"
    for rest, seconds in [
        (sound + box(b"moov", short), 2.5),
        (wide + box(b"moov", box(b"free", b"12") + long), 2.5),
        (box(b"moov", short, size=0), 2.5),
        (box(b"moov", unknown), None),
        (box(b"moov", short)[:30], None),
        (sound, None),
        (box(b"mdat", b"", size=3), None),
        (b"", None),
    ]:
        path.write_bytes(kind + rest)
        assert header(str(path)) == Header(mp4=True, seconds=seconds)
    path.write_bytes(b"")
    assert header(str(path)) == header(str(tmp_path)) == Header()


def test_files_that_cannot_be_opened(tmp_path, reader, monkeypatch):
    def refused(path, message):
        with pytest.raises(VideoError, match=message) as caught:
            stream(path, reader=reader)
        assert Path(path).name in str(caught.value)

    monkeypatch.chdir(tmp_path)
    refused("gone.mp4", "no such file")
    refused("nowhere/gone.mp4", "no directory")
    refused("0", "for a camera give the number 0")
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", "0 bytes")
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    library = {"opencv": "OpenCV", "pyav": "FFmpeg"}[reader]
    refused(tmp_path / "text.mp4", f"not a video that {library} can read")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "directory without pictures")
    refused(str(tmp_path / "*.png"), "no file matches")
    refused(str(tmp_path / "*.mp4"), "not a picture")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(tmp_path / "text.mp4", "permission denied")


def test_a_sound_file_is_not_a_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        samples.rate = 8000
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    with pytest.raises(VideoError, match="no video stream"):
        stream(path, reader="pyav")
    with pytest.raises(VideoError, match="not a video"):
        stream(path)


def test_a_video_without_frames(tmp_path, reader):
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as container:
        track = container.add_stream("mpeg4", rate=25)
        track.width, track.height, track.pix_fmt = 96, 64, "yuv420p"
        track.codec_context.time_base = Fraction(1, 25)
        container.start_encoding()
    with pytest.raises(VideoError, match=r"none\.avi: (holds no frame|not a video)"):
        stream(path, reader=reader)


def noise_video(path, count=60, gop=5, **settings):
    noise = np.random.default_rng(1).integers(0, 256, (count, 64, 96, 3), np.uint8)
    return clips.write_video(path, list(noise), gop=gop, **settings)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("clip.mp4", {"options": {"movflags": "faststart"}}),
        ("clip.mkv", {}),
        ("clip.mkv", {"ticks": range(125, 185)}),
    ],
    ids=["mp4", "mkv", "late mkv"],
)
def test_a_file_cut_short_is_read_as_far_as_it_goes(tmp_path, reader, name, settings):
    path = noise_video(tmp_path / name, **settings)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    shown, results, said = played(path, reader=reader)
    count, statistics = len(shown), results.statistics
    assert 20 < count < 55
    assert count + statistics.failed + statistics.missing == 60 and statistics.failed <= 1
    assert len(said) == 1 + statistics.failed and "cut short" in said[-1] and name in said[-1]


def test_a_file_without_its_index(tmp_path, reader):
    path = clips.write_video(tmp_path / "clip.mp4", clips.grey_frames(30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match="not a video"):
        stream(path, reader=reader)


def test_one_damaged_frame_is_reported_and_the_rest_go_on(tmp_path, reader):
    path = noise_video(tmp_path / "clip.mp4")
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0)][23]
    data = bytearray(path.read_bytes())
    data[place : place + 4] = b"\xff\xff\xff\xff"  # the length of what follows
    path.write_bytes(data)
    said = []
    with stream(path, reader=reader, report=said.append) as results:
        found = [result.index for result in results]
    statistics = results.statistics
    assert statistics.failed == len(said) == 1 and "cannot be decoded" in said[0]
    assert len(found) == statistics.frames >= 58 and found[-1] >= 58
    assert statistics.missing == 0


@pytest.mark.parametrize("strict", [False, True])
def test_frames_that_the_decoder_marks_are_damaged(tmp_path, strict):
    """They are given and reported by name, or refused."""
    path = noise_video(tmp_path / "clip.avi", 12, codec="mpeg4")
    clips.damage(path, 7)
    said, damaged = [], []
    fault = pytest.raises(VideoError, match=r"clip.avi: frame 7 is damaged: FFmpeg marks it")
    with fault if strict else contextlib.nullcontext():
        for result in stream(path, reader="pyav", strict=strict, report=said.append):
            damaged.append(bool(result.damage))
    assert damaged == [False] * 7 + ([] if strict else [True] + [False] * 4)
    if not strict:
        assert len(said) == 1
        assert said[0].endswith(
            "clip.avi: frame 7 is damaged, but was read: FFmpeg marks it as corrupt"
        )


@pytest.mark.parametrize("cut", ["whole", "in a frame", "between frames"])
@pytest.mark.parametrize("name", ["a.gif", "a.ts"])
def test_files_that_promise_no_length_and_are_cut_short(tmp_path, reader, name, cut):
    path = tmp_path / name
    if name == "a.gif":
        frames = [PIL.Image.fromarray(frame) for frame in clips.moving_square(12)]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    else:
        clips.write_video(path, clips.moving_square(12))
    data = path.read_bytes()
    ends = {"whole": len(data), "in a frame": len(data) // 2 + 1, "between frames": len(data) - 1}
    path.write_bytes(data[: ends[cut]])
    _, results, said = played(path, reader=reader)
    assert results.statistics.missing == len(said) == (cut != "whole")
    assert not said or f"{name}: is cut short or damaged: its " in said[0]


def test_frames_lost_in_the_middle_are_counted(tmp_path):
    """Those after damage up to the next key frame, of which a decoder of H.265 says nothing."""
    path = noise_video(tmp_path / "clip.mp4", 100, 25, codec="libx265")
    data = bytearray(path.read_bytes())
    begin, end = len(data) * 4 // 10, len(data) * 6 // 10
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    said = []
    with stream(path, reader="pyav", report=said.append) as results:
        times = [result.time for result in results]
    statistics = results.statistics
    assert times[-1] == pytest.approx(99 / 25)
    assert statistics.failed > 0 and statistics.missing > 5
    assert statistics.frames + statistics.failed + statistics.missing == 100
    assert f"is damaged: besides the frames reported, {statistics.missing} of its 100" in said[-1]


@pytest.mark.parametrize(
    ("name", "settings", "end"),
    [
        # What Matroska says of its length counts from 0, as in parts of a file that was split.
        ("late.mkv", {"ticks": range(125, 165)}, None),
        ("late.ts", {"ticks": range(125, 165)}, None),
        ("late.mp4", {"ticks": range(125, 165)}, None),
        ("slow.mp4", {"ticks": range(0, 80, 2)}, None),
        # AVI counts frames that are repeated and not there.
        ("slow.avi", {"ticks": range(0, 80, 2), "codec": "mpeg4"}, None),
        ("ended.mp4", {}, 0.5),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_complete_is_not_cut_short(tmp_path, reader, name, settings, end):
    path = clips.write_video(tmp_path / name, clips.grey_frames(40), **settings)
    shown, results, said = played(path, reader=reader, end=end)
    step = 2 if "slow" in name else 1
    assert [time for _, time in shown] == [i * step for i in range(40 if end is None else 13)]
    assert results.frames == 40 or name == "slow.avi"
    assert not said and results.statistics.missing == 0


def test_a_file_trimmed_without_coding_anew_is_complete(tmp_path, reader):
    """The frames before its beginning are still in it, and are not shown."""
    whole = clips.write_video(tmp_path / "whole.mp4", clips.grey_frames(50), gop=50)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "clip.mp4"), "w") as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video)
        shift = int(20 / 25 / video.time_base)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                target.mux(packet)
    shown, results, said = played(tmp_path / "clip.mp4", reader=reader)
    assert [number for number, _ in shown] == list(range(20, 50)) and results.frames == 30
    assert not said and results.statistics.missing == 0


# --- pictures -----------------------------------------------------------------------------------


def write_pictures(folder, names, size=(48, 64)):
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), clips.grey_frames(i + 1, size)[i])


def test_pictures_come_in_natural_order(tmp_path):
    names = ["f1.png", "f2.png", "f9.png", "f10.png", "f11.png", "f100.png"]
    write_pictures(tmp_path, names)
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / ".hidden.png").write_bytes(b"")
    for source in (tmp_path, str(tmp_path / "f*.png")):
        with stream(source, fps=10) as results:
            found = [(clips.number(r.frame), r.index, r.time) for r in results]
        assert found == [(i, i, pytest.approx(i / 10)) for i in range(6)]


def test_numbers_that_are_missing_are_lost_frames(tmp_path):
    write_pictures(tmp_path, [f"a{i:02}.png" for i in (4, 6, 8, 14, 16)])  # 10 and 12 are not
    said = []
    for source in (tmp_path, tmp_path / "a%02d.png"):
        with stream(source, report=said.append) as results:
            found = [(r.index, Path(r.file).name) for r in results]
        assert found == [
            (0, "a04.png"),
            (1, "a06.png"),
            (2, "a08.png"),
            (5, "a14.png"),
            (6, "a16.png"),
        ]
        assert results.statistics.failed == 2 and results.pictures
    assert [line.split(": ")[1] for line in said] == ["frame 3", "frame 4"] * 2
    assert "a10.png is missing" in said[0]
    with pytest.raises(VideoError, match=r"a%03d\.png: no file matches"):
        stream(tmp_path / "a%03d.png")


def test_two_pictures_of_one_number_are_both_frames(tmp_path):
    names = ["a1.png", "a01.png", "a2.png", "a3.png", "a4.png"]
    write_pictures(tmp_path, names)
    found = {Path(result.file).name for result in stream(tmp_path)}
    assert found == set(names)


def test_natural_order():
    names = ["A2b", "a10b", "a2B3", "a02b", "2", "10", "x/9.png", "x/10.png"]
    expected = ["2", "10", "A2b", "a02b", "a2B3", "a10b", "x/9.png", "x/10.png"]
    assert sorted(names, key=natural) == expected


def test_grey_and_deep_pictures_stay_what_they_are(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), np.full((48, 64), 1000, np.uint16))
    cv2.imwrite(str(tmp_path / "2.png"), np.full((48, 64), 9, np.uint8))
    cv2.imwrite(str(tmp_path / "3.png"), np.full((48, 64, 3), (10, 20, 30), np.uint8))
    formats = [(r.frame.dtype, r.frame.shape, r.frame.reshape(-1)[0]) for r in stream(tmp_path)]
    assert formats == [
        (np.uint16, (48, 64), 1000),
        (np.uint8, (48, 64), 9),
        (np.uint8, (48, 64, 3), 30),  # asked for as RGB
    ]


@pytest.mark.parametrize("strict", [False, True])
def test_damaged_pictures_are_reported(tmp_path, strict):
    """Those of which the whole picture may be wrong, though OpenCV gives it."""
    for i, picture in enumerate(clips.moving_square(3)):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), picture)
    path = tmp_path / "1.jpg"
    path.write_bytes(path.read_bytes()[:-2])
    said, what = [], "its end (EOI) is missing"
    results = stream(tmp_path, strict=strict, report=said.append)
    if strict:
        with pytest.raises(VideoError, match="frame 1 is damaged: its end"):
            list(results)
    else:
        assert [result.damage for result in results] == ["", what, ""]
        assert said == [f"{tmp_path}: frame 1 is damaged, but was read: {what}"]
    assert results.statistics.damaged == len(said) == (not strict)


def test_bad_pictures_are_reported_and_left_out(tmp_path):
    write_pictures(tmp_path, [f"{i}.png" for i in range(6)])
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes(b"no picture")
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:-20])  # else half grey
    cv2.imwrite(str(tmp_path / "5.png"), np.zeros((16, 64, 3), np.uint8))
    said = []
    with stream(tmp_path, report=said.append) as results:
        assert [r.index for r in results] == [1, 2]
        assert results.frames == 6
    assert results.statistics.failed == 4
    assert [line.split(": ")[1] for line in said] == [f"frame {i}" for i in (0, 3, 4, 5)]
    for line, message in zip(said, ("0 bytes", "3.png", "truncated", "at least 32"), strict=True):
        assert message in line
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(VideoError, match="none of its 6 frames can be used"):
        stream(tmp_path, report=said.append)


# --- arrays -------------------------------------------------------------------------------------


def test_arrays_are_not_copied():
    frames = clips.grey_frames(3)
    for result, frame in zip(stream(frames), frames, strict=True):
        assert result.frame is frame


@pytest.mark.parametrize(
    ("frame", "shape", "dtype"),
    [
        (np.zeros((48, 64), np.uint8), (48, 64), np.uint8),
        (np.zeros((48, 64, 1), np.uint16), (48, 64), np.uint16),
        (np.zeros((48, 64, 4), np.uint8), (48, 64, 3), np.float32),
        (np.full((48, 64, 4), 255, np.uint8), (48, 64, 3), np.uint8),
        (np.zeros((48, 64, 3)), (48, 64, 3), np.float32),
        (np.zeros((48, 64, 3), ">u2"), (48, 64, 3), np.uint16),
    ],
    ids=lambda value: f"{value.shape}{value.dtype}" if isinstance(value, np.ndarray) else "",
)
@pytest.mark.parametrize(("live", "width"), [(False, None), (True, 32)])
def test_formats_of_arrays(model, frame, shape, dtype, live, width):
    for result in stream(iter([frame]), live=live, width=width):
        assert (result.frame.shape, result.frame.dtype) == (shape, dtype)
        assert model.made[0].shape == ((48, 64) if width is None else (32, 32))
    assert len(model.calls) == 1


def test_bad_arrays_are_reported_and_left_out():
    good, bad = np.zeros((48, 64, 3), np.float32), np.full((48, 64, 3), np.nan, np.float32)
    said = []
    items = [good, None, good, bad, np.zeros((48, 64, 5)), good.astype(np.int32), good]
    with stream(items, report=said.append) as results:
        assert [r.index for r in results] == [0, 2, 6]
    assert results.statistics.failed == len(said) == 4
    assert "NoneType" in said[0] and "NaN" in said[1] and "not an image" in said[2]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (None, TypeError, "NoneType"),
        (b"clip.mp4", TypeError, "bytes"),
        (True, TypeError, "bool"),
        (1.5, TypeError, "float"),
        ({}, TypeError, "dict"),
        (np.zeros((48, 64, 3)), ValueError, "one array"),
        (np.zeros((48, 64)), ValueError, "one array"),
        (-1, ValueError, "numbered from 0"),
        (20240101123000, VideoError, "camera 20240101123000: there is no such camera"),
        ([], VideoError, "holds no frame"),
        ([None], VideoError, "none of its 1 frames"),
        ([np.zeros((16, 64, 3), np.uint8)], ValueError, "at least 32"),
        (cv2.VideoCapture(), VideoError, "not open"),
        (io.BytesIO(bytes(64 * 96 * 3)), TypeError, "RawVideo"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_source(source, error, message):
    with pytest.raises(error, match=message):
        stream(source, report=lambda line: None)


def test_a_capture_that_is_open_already(tmp_path):
    path = clips.write_video(tmp_path / "clip.mp4", clips.grey_frames(5))
    capture = cv2.VideoCapture(str(path))
    assert [clips.number(r.frame) for r in stream(capture)] == list(range(5))
    assert not capture.isOpened()


def test_generators_are_closed():
    ended = []

    def frames():
        try:
            yield from clips.grey_frames(9)
        finally:
            ended.append(True)

    with stream(frames()) as results:
        next(results)
    assert ended == [True]


# --- raw video ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pix_fmt", ["bgr24", "rgb24", "yuv420p", "nv12"])
def test_raw_colour(pix_fmt):
    frame = np.full((64, 96, 3), (180, 120, 60), np.uint8)
    frame[16:48, 32:64] = (40, 90, 200)
    data = av.VideoFrame.from_ndarray(frame, "rgb24").to_ndarray(format=pix_fmt).tobytes() * 3
    with stream(RawVideo(io.BytesIO(data), (64, 96), pix_fmt, fps=50)) as results:
        found = [(r.index, r.time, r.frame.copy()) for r in results]
    assert [(index, time) for index, time, _ in found] == [(0, 0), (1, 0.02), (2, 0.04)]
    flat = np.s_[20:44, 36:60]
    for _, _, shown in found:
        assert np.abs(shown[flat].astype(int) - frame[flat]).max() <= 3


@pytest.mark.parametrize(("pix_fmt", "dtype"), [("gray", "u1"), ("gray16le", "<u2")])
def test_raw_grey(pix_fmt, dtype):
    frames = np.random.default_rng(2).integers(0, 256, (4, 48, 64)).astype(dtype)
    frames *= 1 if dtype == "u1" else 257
    with stream(RawVideo(io.BytesIO(frames.tobytes()), (48, 64), pix_fmt)) as results:
        for result, frame in zip(results, frames, strict=True):
            assert result.frame.dtype == np.dtype(dtype) and (result.frame == frame).all()


def test_a_raw_frame_that_ends_early():
    said = []
    source = RawVideo(io.BytesIO(bytes(2 * 64 * 96 + 1000)), (64, 96), "gray")
    with stream(source, report=said.append) as results:
        assert len(list(results)) == 2
    assert results.statistics.failed == 1
    assert len(said) == 1 and "after 1000 of 6144 bytes" in said[0]
    with pytest.raises(VideoError, match="none of its 1 frames"):
        stream(RawVideo(io.BytesIO(b"12"), (64, 96)), report=lambda line: None)
    with pytest.raises(VideoError, match="holds no frame"):
        stream(RawVideo(io.BytesIO(b""), (64, 96)))


def test_raw_video_is_called_by_its_file(tmp_path):
    (tmp_path / "frames.raw").write_bytes(b"")
    with open(tmp_path / "frames.raw", "rb") as named:
        assert resolve(RawVideo(named, (32, 32))).name == str(tmp_path / "frames.raw")
    read, write = os.pipe()
    os.close(write)
    with open(read, "rb") as numbered:
        assert resolve(RawVideo(numbered, (32, 32))).name == "the raw video"
    stdin = io.BytesIO()
    for stdin.name in ("<stdin>", 0):
        assert resolve(RawVideo(stdin, (32, 32))).name == "standard input"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (((64, 96), "yuyv422"), "pix_fmt='yuyv422'"),
        (((64, 95), "nv12"), "even"),
        (((64, 0),), "size="),
        ((64,), "size=64"),
        (((64.5, 96),), "size="),
    ],
)
def test_wrong_raw_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RawVideo(io.BytesIO(), *settings)
    with pytest.raises(TypeError, match="binary"):
        RawVideo(io.StringIO(""), (64, 96))


def test_raw_video_in_pieces():
    """As pipes give it."""

    class Pieces(io.BytesIO):
        def readinto(self, view):
            return super().readinto(view[:7001])

    data = b"".join(frame.tobytes() for frame in clips.grey_frames(6))
    with stream(RawVideo(Pieces(data), (64, 96))) as results:
        assert [clips.number(r.saliency) for r in results] == list(range(6))


# --- the network, or what stands for it ---------------------------------------------------------


def test_passwords_stay_out_of_messages():
    assert resolve("rtsp://192.0.2.7:554/cam@1").name == "rtsp://192.0.2.7:554/cam@1"
    for password in ("secret", "s3:cr@t", "@"):
        source = resolve(f"rtsp://anna:{password}@192.0.2.7:554/live")
        assert source.name == "rtsp://anna:***@192.0.2.7:554/live"
    assert source.live is None and source.again and not source.patience


@pytest.fixture
def without_proxies(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_behind_an_address_is_read_whole(tmp_path, reader, without_proxies, monkeypatch):
    """It says how many frames it has, so that it is no live source."""
    clips.write_video(
        tmp_path / "clip.mp4", clips.grey_frames(30), options={"movflags": "faststart"}
    )
    handler = http.server.SimpleHTTPRequestHandler
    monkeypatch.setattr(handler, "log_message", lambda *_: None)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        with stream(f"{address}/clip.mp4", reader=reader) as results:
            assert not results.live
            assert [clips.number(r.frame) for r in results] == list(range(30))
        with pytest.raises(VideoError, match=r"gone\.mp4"):
            stream(f"{address}/gone.mp4", reader=reader, timeout=5)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)


def test_an_address_that_does_not_answer(reader, without_proxies):
    """What is said is true: refused at once, or silent for as long as was allowed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp4"
        answer = {"opencv": r"no answer within 0\.3 s", "pyav": "there was no answer in time"}
        with pytest.raises(VideoError, match=f"a.mp4: .*{answer[reader]}; check address, name"):
            resolve(address, Reading(reader, timeout=0.3)).open()
        with pytest.raises(VideoError, match=r"a.mp4: (no frame came for|.*no answer)"):
            stream(address, reader=reader, timeout=0.3)
    refused = {"opencv": "a.mp4: cannot be opened; check", "pyav": "Connection refused; check"}
    for timeout in (5, float("inf")):
        with pytest.raises(VideoError, match=refused[reader]):
            stream(address, reader=reader, timeout=timeout)


# --- the public API -----------------------------------------------------------------------------


def test_the_public_api(caplog):
    assert ittisal.stream is stream and ittisal.VideoError is VideoError
    assert issubclass(VideoError, OSError)
    with caplog.at_level(logging.WARNING, "ittisal.video"):
        list(stream([np.zeros((48, 64), np.uint8), None]))
    assert "frame 1" in caplog.text


STUCK = """
import sys
from ittisal.video import RawVideo, stream

video = RawVideo(sys.stdin.buffer, (32, 32), "gray")
for result in stream(video, backend="reference"):
    print(result.index, flush=True)
    if len(sys.argv) > 1:
        raise KeyboardInterrupt
"""


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_program_whose_pipe_is_silent_can_end(interrupted):
    """Python aborts at exit if a thread then waits in a buffered file."""
    words = [sys.executable, "-W", "error", "-c", STUCK, *["interrupted"] * interrupted]
    with begin(words, stdin=subprocess.PIPE) as process:
        process.stdin.write(bytes(2 * 32 * 32))
        process.stdin.flush()
        assert process.stdout.readline() == b"0\n"
        if not interrupted:
            assert process.stdout.readline() == b"1\n"
            process.send_signal(signal.SIGINT)
        errors = process.stderr.read()  # ends with the process, while its input is still open
    assert b"KeyboardInterrupt" in errors and b"Fatal" not in errors
    assert process.returncode in (1, 130, -signal.SIGINT)


LEFT = """
import sys
from ittisal.video import stream

def first_frames():
    live = sys.argv[2] == "live"
    for result in stream(sys.argv[1], live=live, width=64, backend="reference"):
        if result.index >= 2:
            return

first_frames()
sys.exit(7)
"""
WITHIN = """
import sys, threading
import cv2, numpy as np
from ittisal.video import Source, stream

within = threading.Event()
large = np.zeros((1000, 1000, 3), np.uint8)

class Reader:
    channel_order, fps, frames, time, fills = "bgr", 25.0, None, None, False
    grabs = 0

    def grab(self):
        self.grabs += 1
        if self.grabs > 2:
            within.set()
            cv2.medianBlur(large, 31)  # a while in C++, as in a driver
        return True

    def retrieve(self, out):
        return np.zeros((32, 32, 3), np.uint8)

    def close(self):
        print("closed", flush=True)

results = stream(Source("a driver", Reader), backend="reference")
next(results)
if sys.argv[1] == "forgotten":
    del results
within.wait()
sys.exit(7)
"""


@pytest.mark.parametrize("way", ["live", "in order"])
def test_a_program_may_end_with_a_stream_left_open(tmp_path, way):
    path = clips.write_video(tmp_path / "clip.mp4", clips.grey_frames(50, (360, 640)))
    for _ in range(2):
        ran = finished([sys.executable, "-W", "error", "-c", LEFT, path, way], tmp_path, {})
        assert (ran.status, ran.out, ran.err) == (7, "", "")


@pytest.mark.parametrize("way", ["open", "forgotten"])
def test_a_program_that_ends_waits_for_its_reader(tmp_path, way):
    """Python aborts if a thread comes back from C++ while it is being taken down."""
    ran = finished([sys.executable, "-W", "error", "-c", WITHIN, way], tmp_path, {})
    assert (ran.status, ran.out, ran.err) == (7, "closed\n", "")
