"""Writers of video: what was written is opened again, and counted, timed and looked at."""

from __future__ import annotations

import errno
import io
import os
import threading
from functools import partial
from types import SimpleNamespace

import clips
import cv2
import numpy as np
import pytest
from clips import Hold, write_video

from ittisal.files import atomic, write_whole
from ittisal.video import VideoError
from ittisal.video.joining import Part, join
from ittisal.video.video_files import CODECS, OpenCVWriter, open_video, representable
from ittisal.video.writers import BackgroundWriter, FolderWriter, RawWriter

av = pytest.importorskip("av")

BOTH = pytest.mark.parametrize("writer", ["opencv", "pyav"])
# Seconds at which frames are shown: even, then uneven, with a gap, all whole in 1/360,000 s.
UNEVEN = [0, 0.04, 0.08, 0.1, 0.15, 0.16, 0.5, 0.54, 0.9, 1.0]


# Recognisable after coarse codecs too; 22 at most.
grey_frames, number = partial(clips.grey_frames, step=11), partial(clips.number, step=11)


def read(path):
    """Times and numbers of all frames, by PyAV."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return (
        [float(frame.pts * frame.time_base) for frame in frames],
        [number(frame.to_ndarray(format="bgr24")) for frame in frames],
    )


def read_opencv(path):
    """Numbers of all frames, by OpenCV."""
    capture = cv2.VideoCapture(str(path))
    numbers = [number(frame) for _, frame in iter(capture.read, (False, None))]
    capture.release()
    return numbers


def write(path, times, writer, size=(64, 96), fps=25.0, **options):
    """A video of `grey_frames` at these times; its writer."""
    out = open_video(path, size, writer=writer, fps=fps, **options)
    for i, (frame, time) in enumerate(zip(grey_frames(len(times), size), times, strict=True)):
        out.write(frame, i, time)
    out.finish()
    return out


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- video files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("writer", "suffix"),
    [("opencv", s) for s in CODECS["opencv"]]
    + [("pyav", s) for s in (".mp4", ".mov", ".mkv", ".webm")],
)
def test_every_frame_arrives_once(writer, suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    out = write(path, [i / 25 for i in range(20)], writer)
    times, numbers = read(path)
    assert numbers == list(range(20)) == read_opencv(path)
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=5.1e-4)
    assert out.counts["frames"] == out.pictures == 20 and not out.counts.get("repeated")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize(("suffix", "slack"), [(".mp4", 1e-9), (".mov", 1e-9), (".mkv", 5.1e-4)])
def test_pyav_keeps_variable_times(suffix, slack, tmp_path):
    path = tmp_path / f"out{suffix}"
    write(path, UNEVEN, "pyav")
    times, numbers = read(path)
    assert numbers == list(range(len(UNEVEN))) == read_opencv(path)
    np.testing.assert_allclose(times, UNEVEN, atol=slack)


@pytest.mark.parametrize("rate", [24, 25, 30, 60, 24000 / 1001, 30000 / 1001, 60000 / 1001, 90000])
def test_common_times_are_whole_ticks(rate, tmp_path):
    path = tmp_path / "out.mp4"
    given = [i / rate for i in (0, 1, 2, 7)]
    write(path, given, "pyav", fps=min(rate, 60))
    np.testing.assert_allclose(read(path)[0], given, rtol=0, atol=1e-9)


def test_hours_between_pictures_are_kept(tmp_path):
    """As after a camera that was away over night; the picture before it is repeated."""
    out = write(tmp_path / "out.mp4", [0, 0.04, 20_000.0], "pyav")
    times, numbers = read(tmp_path / "out.mp4")
    assert (times[:2], times[-1]) == ([0, 0.04], 20_000.0)
    assert numbers == [0, *[1] * (len(numbers) - 2), 2] and len(numbers) == out.pictures < 20


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_opencv_puts_frames_into_the_nearest_slot(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    out = write(path, UNEVEN, "opencv", fps=25.0)
    _, numbers = read(path)
    assert len(numbers) == 26  # 1.0 s is slot 25
    shown_from = {n: numbers.index(n) for n in set(numbers)}
    for n, slot in shown_from.items():
        assert abs(slot / 25 - UNEVEN[n]) <= 0.5 / 25 + 1e-9
    assert sorted(numbers) == numbers  # nothing goes back
    left_out = set(range(len(UNEVEN))) - set(numbers)
    assert out.counts == {
        "frames": len(UNEVEN),
        "repeated": 26 - len(shown_from),
        "left_out": len(left_out),
    }
    assert len(left_out) <= 2


def test_slots_do_not_drift(tmp_path):
    """OpenCV writes decimal rates: slots are counted in the one that it writes."""
    fps = 24000 / 1001
    out = OpenCVWriter(tmp_path / "out.avi", (64, 96), fps)
    out._writer.release()
    out._writer = SimpleNamespace(write=lambda picture: None, release=lambda: None)
    assert out.fps == representable(fps) != fps
    frame = grey_frames(1)[0]
    for second in range(0, 3600, 120):  # of an hour
        out.write(frame, 0, float(second))
        assert abs(out._slot / out.fps - second) <= 0.5 / out.fps
    out.abandon()


@BOTH
def test_odd_sizes_gain_a_pixel_and_colours_are_kept(writer, tmp_path):
    path = tmp_path / "out.mp4"
    colours = [(220, 30, 30), (30, 200, 40), (40, 30, 220), (255, 255, 255), (0, 0, 0)]
    with open_video(path, (65, 97), writer=writer, fps=25.0) as out:
        for i, colour in enumerate(colours):
            picture = np.full((65, 97, 3), colour, np.uint8)
            picture[-1:] = picture[:, -1:] = 128
            out.write(picture, i, i / 25)
    capture = cv2.VideoCapture(str(path))
    for colour in colours:
        frame = capture.read()[1].astype(int)
        assert frame.shape == (66, 98, 3)
        assert np.abs(frame[32, 48] - colour).max() <= 12, (colour, frame[32, 48])
        assert abs(frame[-1].mean() - 128) < 30 and abs(frame[:, -1].mean() - 128) < 30
    capture.release()


@BOTH
def test_times_begin_with_the_first_picture_or_the_origin(writer, tmp_path):
    path = tmp_path / "out.mp4"
    write(path, [10 + i / 25 for i in range(5)], writer)
    np.testing.assert_allclose(read(path)[0], np.arange(5) / 25, atol=1e-6)
    write(path, [10 + i / 25 for i in range(3)], writer, origin=9.8)
    times, numbers = read(path)
    if writer == "pyav":
        np.testing.assert_allclose(times, [0.2, 0.24, 0.28], atol=1e-6)
    else:
        assert numbers == [0] * 6 + [1, 2]


@BOTH
@pytest.mark.parametrize("background", [False, True])
def test_nothing_has_the_name_until_it_is_whole(background, writer, tmp_path):
    def opened():
        out = open_video(path, (64, 96), writer=writer, fps=25)
        return BackgroundWriter(out, (64, 96, 3)) if background else out

    path, picture = tmp_path / "out.mp4", grey_frames(1)[0]
    path.write_bytes(b"old")
    with pytest.raises(KeyError), opened() as out:
        out.write(picture, 0, 0.0)
        raise KeyError
    out.abandon()  # again: no harm
    with pytest.raises(VideoError, match=r"out\.mp4: cannot be written: no picture was"), opened():
        pass
    assert names(tmp_path) == ["out.mp4"] and path.read_bytes() == b"old"
    with opened() as out:
        out.write(picture, 0, 0.0)
        assert path.read_bytes() == b"old"
    assert read(path)[1] == [0] and names(tmp_path) == ["out.mp4"]


@BOTH
def test_what_cannot_be_written_is_told(writer, tmp_path):
    def refused(error, message, name="a.mp4", size=(64, 96), **options):
        with pytest.raises(error, match=message):
            open_video(tmp_path / name, size, **{"writer": writer, "fps": 25.0, **options})

    refused(VideoError, r"out\.xyz: (opencv|pyav) writes \.mp4", "out.xyz")
    refused(VideoError, r"out\.mp4: cannot be written", "none/out.mp4")
    for fps in (0, -1, float("nan"), 1e-9, 1e9):
        refused(ValueError, rf"fps={fps} must be from 0\.01 to 10000 frames", fps=fps)
    for size in ((0, 0), (64, -2), (64.5, 96), (64, 96, 3)):
        refused(ValueError, r"must be \(height, width\), both at least 1 pixel", size=size)
    refused(ValueError, "writer='gst' is not one of 'opencv', 'pyav'", writer="gst")
    refused(ValueError, "OpenCV writes no sound", writer="opencv", sound="a.mp4")
    assert not names(tmp_path)


@BOTH
def test_pictures_of_another_format_are_told(writer, tmp_path):
    """OpenCV would leave them out without a word."""
    good = np.zeros((64, 96, 3), np.uint8)
    with open_video(tmp_path / "a.mp4", (64, 96), writer=writer, fps=25) as out:
        for i, wrong in enumerate((good.reshape(96, 64, 3), good[..., 0], good.astype(float))):
            out.write(good[:, ::-1], i, i / 25)
            with pytest.raises(ValueError, match=r"picture has shape .* have shape \(64, 96, 3\)"):
                out.write(wrong, i, i / 25)
    assert len(read(tmp_path / "a.mp4")[0]) == 3


def test_without_pyav_the_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(
        VideoError, match=r"pip install 'ittisal\[video\]', or take writer='opencv'"
    ):
        open_video(tmp_path / "a.mp4", (64, 96), writer="pyav", fps=25.0)


@pytest.mark.parametrize("suffix", CODECS["opencv"])
@pytest.mark.parametrize("share", [0.05, 0.9])
def test_a_file_that_opencv_could_not_finish_is_found_out(suffix, share, tmp_path):
    """OpenCV tells nobody of errors; so the file is read back before it gets its name."""
    out = OpenCVWriter(tmp_path / f"out{suffix}", (64, 96), 25.0)
    rng = np.random.default_rng(0)
    for i in range(20):
        out.write(rng.integers(0, 256, (64, 96, 3), np.uint8), i, i / 25)
    whole, temporary = out._writer, out._file.temporary

    class Cut:
        def write(self, picture):
            whole.write(picture)

        def release(self):
            whole.release()
            if temporary.exists():
                os.truncate(temporary, int(temporary.stat().st_size * share))

    out._writer = Cut()
    with pytest.raises(VideoError, match="not all of its 20 frames can be read back; is the disk"):
        out.finish()
    assert not names(tmp_path)


def test_a_full_disk_is_noticed_while_writing(tmp_path, monkeypatch):
    import shutil

    out = OpenCVWriter(tmp_path / "out.mp4", (64, 96), 25.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(VideoError, match="cannot be written: No space left on device"):
        for i in range(20):
            out.write(grey_frames(1)[0], i, i / 25)
    out.abandon()
    assert not names(tmp_path)


# --- sound -------------------------------------------------------------------------------------


def with_sound(path, seconds=2.0, codec="aac"):
    """A video of 25 frames a second with a tone that is heard from 0.5 to 1 s."""
    rate, frames = 48000, grey_frames(20) + [grey_frames(1)[0]] * (int(seconds * 25) - 20)
    at = np.arange(int(seconds * rate)) / rate
    tone = (np.sin(at * 2 * np.pi * 440) * ((at >= 0.5) & (at < 1))).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="mono")
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = i
            container.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
        sound.rate, sound.pts = rate, 0
        fifo = av.AudioFifo()
        fifo.write(sound)
        for chunk in fifo.read_many(1024, partial=True):
            container.mux(audio.encode(chunk))
        container.mux(audio.encode())
        container.mux(video.encode())
    return path


def heard(path):
    """When the sound of a file begins to be loud, and its end; None if there is none."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        pieces = [
            (float(frame.pts * frame.time_base), np.abs(frame.to_ndarray()).max())
            for frame in container.decode(audio=0)
        ]
    loud = [time for time, level in pieces if level > 0.3]
    return loud[0], pieces[-1][0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_is_carried_over_in_step(suffix, tmp_path):
    source = with_sound(tmp_path / "source.mp4")
    path = tmp_path / f"out{suffix}"
    out = write(path, [i / 10 for i in range(20)], "pyav", fps=10.0, sound=source)
    assert out.notes == []
    assert read(path)[1] == list(range(20))
    begin, end = heard(path)
    assert begin == pytest.approx(0.5, abs=0.03) and 1.9 < end < 2.05
    write(path, [0.4 + i / 25 for i in range(10)], "pyav", sound=source)  # a part of it
    begin, end = heard(path)
    assert begin == pytest.approx(0.1, abs=0.03) and end < 0.5
    assert read(path)[0][0] == 0


def test_sound_that_goes_back_in_time_costs_no_picture(tmp_path):
    """As in recordings that were put one behind another."""
    data = with_sound(tmp_path / "once.ts", codec="mp2").read_bytes()
    (tmp_path / "twice.ts").write_bytes(data + data)
    times = [i / 10 for i in range(20)] + [4.0]
    write(tmp_path / "out.mp4", times, "pyav", fps=10.0, sound=tmp_path / "twice.ts")
    assert len(read(tmp_path / "out.mp4")[0]) == 21
    assert heard(tmp_path / "out.mp4")[0] == pytest.approx(0.5, abs=0.05)


def test_damage_to_the_sound_is_told_and_costs_no_picture(tmp_path, monkeypatch):
    source = with_sound(tmp_path / "source.mp4")
    out = open_video(tmp_path / "out.mp4", (64, 96), writer="pyav", fps=10.0, sound=source)

    class Damaged:
        streams = out._sound._source.streams
        close = out._sound._source.close

        def demux(self, streams):
            raise av.error.InvalidDataError(1, "Invalid data found when processing input")
            yield

    out._sound._source = Damaged()
    for i, frame in enumerate(grey_frames(5)):
        out.write(frame, i, i / 10)
    out.finish()
    assert len(read(tmp_path / "out.mp4")[0]) == 5
    assert out.notes == ["sound ends early: Invalid data found when processing input"]


def test_sound_that_does_not_fit_is_told(tmp_path):
    source = with_sound(tmp_path / "source.mp4")
    out = write(tmp_path / "out.webm", [0, 0.04], "pyav", sound=source)
    assert len(out.notes) == 1 and "sound aac does not go into webm" in out.notes[0]
    assert heard(tmp_path / "out.webm") is None
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    out = write(tmp_path / "out.mp4", [0, 0.04], "pyav", sound=tmp_path / "broken.mp4")
    assert "no sound, since PyAV cannot read" in out.notes[0]
    write_video(tmp_path / "silent.mp4", grey_frames(3))
    assert write(tmp_path / "out.mp4", [0, 0.04], "pyav", sound=tmp_path / "silent.mp4").notes == []


# --- parts -------------------------------------------------------------------------------------


def in_parts(folder, times, lengths, writer, suffix):
    parts, frames, done = [], grey_frames(len(times)), 0
    for length in lengths:
        path = folder / f"part{len(parts)}{suffix}"
        origin = times[done] if writer == "pyav" else round(times[done] * 25) / 25
        out = open_video(path, (64, 96), writer=writer, fps=25.0, origin=origin)
        for i in range(done, done + length):
            out.write(frames[i], i, times[i])
        out.finish()
        done += length
        parts.append(Part(path, origin, out.pictures))
    return parts


@pytest.mark.parametrize(
    ("writer", "suffix"),
    [("pyav", ".mp4"), ("pyav", ".mkv"), ("pyav", ".webm"), ("opencv", ".mp4"), ("opencv", ".avi")],
)
def test_parts_are_joined_as_they_are(writer, suffix, tmp_path):
    times = [0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.52, 0.56, 0.6]
    parts = in_parts(tmp_path, times, (3, 1, 4, 2), writer, suffix)
    path = tmp_path / f"out{suffix}"
    assert join(parts, path, fps=25.0) == []
    got, numbers = read(path)
    firsts = [numbers.index(i) for i in range(10)]
    np.testing.assert_allclose([got[i] for i in firsts], times, atol=1e-3)
    assert len(numbers) == sum(part.pictures for part in parts)
    assert sorted(set(read_opencv(path))) == list(range(10))
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_without_pyav_parts_are_recoded(tmp_path, monkeypatch):
    times = [i / 25 for i in range(6)] + [0.4, 0.44]
    parts = in_parts(tmp_path, times, (2, 4, 2), "opencv", ".mp4")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    join(parts, tmp_path / "out.mp4", fps=25.0)
    numbers = read_opencv(tmp_path / "out.mp4")
    assert len(numbers) == 12
    # Coded twice, a shade may be off by one; which frame it is shows in its neighbours too.
    want = np.array([0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 6, 7])
    assert np.abs(numbers - want).max() <= 1 and np.count_nonzero(numbers - want) <= 2


def test_parts_of_other_encoders_are_recoded(tmp_path):
    parts = in_parts(tmp_path, [i / 25 for i in range(4)], (2, 2), "pyav", ".mp4")
    write_video(tmp_path / "other.mp4", grey_frames(6)[4:], codec="mpeg4")
    parts.append(Part(tmp_path / "other.mp4", 4 / 25, 2))
    join(parts, tmp_path / "out.mp4", fps=25.0)
    assert read_opencv(tmp_path / "out.mp4") == [0, 1, 2, 3, 4, 5]


def test_joined_parts_have_their_sound(tmp_path):
    source = with_sound(tmp_path / "source.mp4")
    parts = in_parts(tmp_path, [i / 25 for i in range(20)], (8, 12), "pyav", ".mp4")
    assert join(parts, tmp_path / "out.mp4", fps=25.0, sound=source) == []
    assert heard(tmp_path / "out.mp4")[0] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("writer", ["pyav", "opencv"])
def test_a_part_that_was_changed_is_found_out(writer, tmp_path):
    parts = in_parts(tmp_path, [i / 25 for i in range(4)], (2, 2), writer, ".mp4")
    path = tmp_path / "out.mp4"
    with pytest.raises(VideoError, match=r"part1\.mp4: holds 2 pictures, not the 3 that were"):
        join([parts[0], Part(parts[1].path, 0.08, 3)], path, fps=25.0)
    parts[1].path.write_bytes(b"")
    with pytest.raises(VideoError, match=r"part1\.mp4: this part cannot be read.*begin again"):
        join(parts, path, fps=25.0)
    parts[1].path.unlink()
    with pytest.raises(VideoError, match=r"part1\.mp4: this part cannot be read.*begin again"):
        join(parts, path, fps=25.0)
    assert not [name for name in names(tmp_path) if name.startswith((".", "out"))]


# --- folders and pipes -------------------------------------------------------------------------


def test_folders_hold_a_file_per_frame(tmp_path):
    out = FolderWriter(tmp_path / "made" / "here")
    for i in (0, 7, 1234567):
        out.write(np.full((4, 6, 3), i % 256, np.uint8), i, i / 25)
    out.finish()
    folder = tmp_path / "made" / "here"
    assert names(folder) == ["000000.png", "000007.png", "1234567.png"]
    assert (cv2.imread(str(folder / "000007.png")) == 7).all()
    maps = FolderWriter(folder, ".npy")
    saliency = np.random.default_rng(0).random((4, 6), np.float32)
    maps.write(saliency, 3, 0.0)
    np.testing.assert_array_equal(np.load(folder / "000003.npy"), saliency)
    assert out.counts == {"frames": 3}


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    writer = FolderWriter(tmp_path / "file" / "sub")
    with pytest.raises(VideoError, match=r"sub/000000.png: cannot be written: Not a directory"):
        writer.write(np.zeros((4, 4, 3), np.uint8), 0, 0.0)
    with pytest.raises(VideoError, match="file/sub: cannot be written: Not a directory"):
        writer.finish()


def test_raw_pipes():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (4, 6, 3), np.uint8)
    grey = np.repeat(rng.integers(0, 256, (4, 6, 1), np.uint8), 3, 2)
    for pix_fmt, given, want in (
        ("bgr24", picture, picture),
        ("rgb24", picture, picture[..., ::-1]),
        ("gray", picture, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)),
        ("gray", grey, grey[..., 0]),
    ):
        pipe = io.BytesIO()
        with RawWriter(pipe, pix_fmt) as out:
            out.write(given, 0, 0.0)
            out.write(given, 1, 0.0)
            with pytest.raises(ValueError, match=r"\(6, 4, 3\) .* have shape \(4, 6, 3\)"):
                out.write(picture.reshape(6, 4, 3), 2, 0.0)
        assert pipe.getvalue() == want.tobytes() * 2


# --- the thread --------------------------------------------------------------------------------


class Recorder:
    """A writer whose steps can be held up, or fail."""

    def __init__(self, fail_at=None, hold=None):
        self.counts = {}
        self.written, self.kept = [], []
        self.fail_at, self.hold = fail_at, hold
        self.finished = self.abandoned = False

    def write(self, picture, index, time):
        if self.hold is not None:
            assert self.hold.wait(30)
        if index == self.fail_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        # The one before may still be looked at while this is written.
        assert all(int(old[0, 0]) == value for old, value in self.kept)
        self.kept = [(picture, int(picture[0, 0]))]
        self.written.append((int(picture[0, 0]), index, time))

    def finish(self):
        self.finished = True

    def abandon(self):
        self.abandoned = True


def feed(writing, count):
    """The addresses of the buffers that were used."""
    used = set()
    for i in range(count):
        buffer = writing.buffer()
        used.add(buffer.ctypes.data)
        buffer[...] = i
        writing.write(buffer, i, i / 25)
    return used


def test_pictures_arrive_in_order_in_few_buffers():
    recorder = Recorder()
    writing = BackgroundWriter(recorder, (2, 2))
    buffers = feed(writing, 50)
    writing.finish()
    assert recorder.written == [(i, i, i / 25) for i in range(50)] and recorder.finished
    assert len(buffers) == 4


def test_a_slow_writer_holds_up_rather_than_piles_up():
    hold = threading.Event()
    writing = BackgroundWriter(Recorder(hold=hold), (2, 2))
    for i in range(4):
        writing.write(writing.buffer(), i, 0.0)
    waiting = threading.Thread(target=writing.buffer, daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()  # no fifth buffer
    hold.set()
    waiting.join(30)
    assert not waiting.is_alive()
    writing.abandon()


def test_a_writer_that_hangs_is_abandoned_by_its_own_thread(monkeypatch):
    monkeypatch.setattr("ittisal.video.writers.PATIENCE", 0.01)
    hold, recorder = Hold(), Recorder()
    recorder.write = lambda *picture: hold()
    writing = BackgroundWriter(recorder, (2, 2))
    feed(writing, 1)
    hold.wait()
    writing.abandon()
    assert not recorder.abandoned
    hold.release()
    writing._thread.join(30)
    assert recorder.abandoned


def test_an_error_of_the_writer_comes_up_in_the_caller():
    recorder = Recorder(fail_at=3)
    writing = BackgroundWriter(recorder, (2, 2))
    with pytest.raises(OSError, match="No space left"):
        feed(writing, 50)
    with pytest.raises(OSError, match="No space left"):
        writing.buffer()  # again, rather than waiting for ever
    with pytest.raises(OSError, match="No space left"):
        writing.finish()
    assert not recorder.finished
    writing.abandon()
    assert recorder.abandoned and [index for _, index, _ in recorder.written] == [0, 1, 2]
    writing = BackgroundWriter(Recorder(fail_at=2), (2, 2))
    feed(writing, 3)
    with pytest.raises(OSError, match="No space left"):  # on the last picture
        writing.finish()


def test_files_at_work_have_the_suffix_and_permissions_of_the_whole(tmp_path):
    file = atomic(tmp_path / "a.mp4")
    assert file.temporary.suffix == ".mp4" and file.temporary.parent == tmp_path
    file.discard()  # not there: no harm
    file.temporary.write_bytes(b"x")
    file.publish()
    assert names(tmp_path) == ["a.mp4"]
    write_whole(tmp_path / "whole", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1
