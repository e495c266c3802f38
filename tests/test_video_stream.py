"""Streams: order, times, drops, staleness, reconnection, and letting go, with scripted sources."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import tracemalloc
import weakref

import clips
import numpy as np
import pytest
from clips import FakeClock, FakeModel, Hold, Script, camera, grey_frames, number, scripted

import ittisal
from ittisal.video import FrameError, VideoError, feeds, stream, streaming
from ittisal.video.records import Latencies
from ittisal.video.selection import Selection, Wanted


@pytest.fixture
def model(monkeypatch):
    """A model that costs nothing and writes down what it is given."""
    fake = type("Model", (FakeModel,), {"made": [], "calls": []})
    monkeypatch.setattr("ittisal.video.streaming.Saliency", fake)
    return fake


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(autouse=True)
def _quick_and_clean(monkeypatch):
    """A reader that hangs is not waited for, and no test leaves a thread behind."""
    monkeypatch.setattr("ittisal.video.feeds.GRACE", 0.01)
    before = set(threading.enumerate())
    yield
    if set(threading.enumerate()) - before:
        gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()


# --- every frame --------------------------------------------------------------------------------


def test_frames_come_in_order_once_each(model):
    script = Script(grey_frames(50), fps=10.0)
    with stream(scripted(script)) as results:
        assert results.fps == 10 and results.size == (64, 96) and not results.live
        found = [(r.index, r.time, number(r.saliency), r.dropped) for r in results]
        statistics = results.statistics
    assert found == [(i, pytest.approx(i / 10), i, 0) for i in range(50)]
    assert [call[0] for call in model.calls] == list(range(50))
    assert statistics.frames == 50 and statistics.failed == statistics.dropped == 0
    assert script.closed.is_set() and model.made[0].closed
    assert threading.current_thread() not in script.threads


def test_reading_runs_ahead_by_what_there_is_room_for_and_no_further(model):
    """While a frame is worked on, one waits and one more is being read."""
    holds = [Hold() for _ in range(6)]
    steps = [step for pair in zip(grey_frames(6), holds, strict=True) for step in pair]
    script = Script(steps)
    holds[0].release()
    with stream(scripted(script)) as results:
        next(results)
        holds[1].wait()  # frame 1 has been handed over while frame 0 is held
        for hold in holds:
            hold.release()
        assert next(results).index == 1
        results_left = list(results)
    assert [r.index for r in results_left] == [2, 3, 4, 5]


def test_iterables_are_asked_by_the_thread_that_iterates(model):
    asked = []

    def frames():
        for frame in grey_frames(4):
            asked.append(threading.current_thread())
            yield frame

    with stream(frames()) as results:
        assert len(model.made) == 1 and not model.calls  # it has compiled by now
        for k, result in enumerate(results):
            assert len(asked) == result.index + 1 == k + 1
    assert [first for _, _, first in model.calls] == [True, False, False, False]
    assert set(asked) == {threading.current_thread()}


@pytest.mark.parametrize("threaded", [False, True])
def test_latency_counts_from_when_a_frame_is_ready_and_asked_for(model, clock, threaded):
    model.during = lambda call: setattr(clock, "seconds", clock.seconds + 0.25)
    source = scripted(Script(grey_frames(3))) if threaded else grey_frames(3)
    with stream(source, clock=clock) as results:
        for result in results:
            assert result.latency == pytest.approx(0.25)
            clock.seconds += 7  # what the consumer does with it
    assert results.statistics.latency["max"] == pytest.approx(250)
    assert results.statistics.seconds == pytest.approx(3 * 0.25 + 2 * 7)


# --- times --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected", "mended"),
    [
        ([0.0, 0.1, 0.5], [0.0, 0.1, 0.5], 0),
        ([None, None, None], [0.0, 0.04, 0.08], 0),
        ([0.0, 0.0, 0.0], [0.0, 0.04, 0.08], 2),
        ([0.0, 1.0, 0.5, 2.0], [0.0, 1.0, 1.04, 2.0], 1),
        ([float("nan"), 0.2], [0.0, 0.2], 1),
        ([3.0, None, 4.0], [3.0, 3.04, 4.0], 1),
        ([-0.5, 0.5], [-0.5, 0.5], 0),
    ],
)
def test_times_always_increase(model, given, expected, mended):
    steps = list(zip(grey_frames(len(given)), given, strict=True))
    with stream(scripted(Script(steps))) as results:
        assert [r.time for r in results] == pytest.approx(expected)
    assert results.statistics.mended == mended


def test_a_selection_goes_on_counting_over_lost_frames():
    lost = []
    selection = Selection(Wanted(every=2), False, lambda: 0.0, 25, lambda *a: lost.append(a))
    reader = Script([*grey_frames(1), FrameError("torn"), *grey_frames(3)])
    stops = []
    while selection.advance(reader):
        stops.append((selection.index, selection.time))
    assert stops == [(0, 0.0), (2, 0.08), (4, 0.16)]
    assert lost == [(1, "torn")]


# --- what results give on demand ----------------------------------------------------------------


def test_frames_come_in_the_order_asked_for(model):
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:] = (10, 20, 30)
    for order in ("rgb", "bgr"):
        for asked in ("rgb", "bgr"):
            source = scripted(Script([frame] * 3, channel_order=order))
            with stream(source, channel_order=asked) as results:
                buffers = set()
                for result in results:
                    assert model.made[-1].settings[2] == order
                    assert result.frame is result.frame
                    assert tuple(result.frame[0, 0]) == ((10, 20, 30), (30, 20, 10))[order != asked]
                    buffers.add(result.frame.ctypes.data)
            assert len(buffers) <= 3


def test_what_a_result_gives_on_demand_ends_with_the_next(model):
    results = stream(scripted(Script(grey_frames(3))))
    first = next(results)
    assert number(first.frame) == 0 and number(first.trace()["frame"]) == 0
    assert set(first.contributions()) == {"intensity"}
    second = next(results)
    for ask in (lambda: first.frame, lambda: first.peak, first.trace, first.contributions):
        with pytest.raises(RuntimeError, match=r"frame, peak, .* before the next result"):
            ask()
    assert number(second.frame) == 1 and number(first.saliency) == 0
    results.close()
    with pytest.raises(RuntimeError, match="closed"):
        second.trace()


def test_width_is_the_models_and_not_the_frames(model):
    frames = grey_frames(3, (120, 160))
    frames[1][:, 80:] += 40
    with stream(scripted(Script(frames)), width=64) as results:
        for result in results:
            assert result.frame.shape == (120, 160, 3)
            assert result.trace()["frame"].shape == (48, 64, 3)
            assert result.saliency.shape == (3, 4)
    assert results.size == (120, 160) and model.made[0].shape == (48, 64)
    with stream(frames, width=1000) as results:
        assert results.model.shape == (120, 160)  # never upsampled
    with stream(grey_frames(1, (32, 400)), width=40) as results:
        assert results.model.shape == (32, 40)


# --- the past, and when it is forgotten ---------------------------------------------------------


def shots():
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(2)]


def test_the_model_forgets_the_past_at_a_cut(model):
    one, other = shots()
    frames = [one] * 3 + [other] * 3
    with stream(frames) as results:
        assert [r.cut for r in results] == [False, False, False, True, False, False]
    assert [first for _, _, first in model.calls] == [True, False, False, True, False, False]
    assert results.statistics.cuts == 1
    with stream(frames, cuts=False) as results:
        assert not any(r.cut for r in results)


@pytest.mark.parametrize("threaded", [False, True])
def test_frames_of_another_size_get_another_model(model, threaded):
    frames = grey_frames(3) + grey_frames(2, (48, 64)) + grey_frames(1)
    said = []
    source = scripted(Script(frames)) if threaded else frames
    with stream(source, report=said.append) as results:
        found = [(r.frame.shape[:2], r.saliency.shape, r.cut, results.size) for r in results]
    assert found == [
        *[((64, 96), (4, 6), False, (64, 96))] * 3,
        ((48, 64), (3, 4), True, (48, 64)),
        ((48, 64), (3, 4), False, (48, 64)),
        ((64, 96), (4, 6), True, (64, 96)),
    ]
    assert [m.shape for m in model.made] == [(64, 96), (48, 64), (64, 96)]
    assert all(m.closed for m in model.made)
    assert results.statistics.resizes == len(said) == 2
    assert "64x48 pixels from number 3 on, not 96x64" in said[0]


def test_times_and_results_of_the_real_model():
    """Flicker appears with the second frame, and not with the first after a cut."""
    one, other = shots()
    frames = [one, one // 2, other]
    with stream(frames, fps=10, backend="cpu", threads=1) as results:
        names = []
        for result in results:
            shares = result.contributions()
            total = sum(shares.values())
            np.testing.assert_allclose(total, result.saliency, atol=1e-5 * result.saliency.max())
            names.append({str(name.value if hasattr(name, "value") else name) for name in shares})
            assert "saliency" in result.trace()
        assert results.config == ittisal.VIDEO
    assert ["flicker" in shares for shares in names] == [False, True, False]
    assert results.statistics.cuts == 1


def test_a_gpu_reads_the_frames_where_the_reader_puts_them(gpu_on_host, monkeypatch):
    """Page-locked, so that nothing is copied on the host; the maps are the CPU's."""
    rng = np.random.default_rng(6)
    frames = [rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(8)]
    buffers, make = [], streaming.Stream._frame_buffer

    def frame_buffer(self, frame):
        buffers.append(make(self, frame))
        return buffers[-1]

    monkeypatch.setattr(streaming.Stream, "_frame_buffer", frame_buffer)
    maps = {}
    for backend in ("cpu", "cuda"):
        buffers.clear()
        with stream(scripted(Script(frames)), backend=backend, threads=1) as results:
            maps[backend] = []
            for result in results:
                assert any(result.frame is buffer for buffer in buffers)
                maps[backend].append(result.saliency)
        assert len(buffers) == 1 + 3  # the first is to compile with
    difference = np.abs(np.subtract(maps["cuda"], maps["cpu"])).max()
    assert difference < 1e-4 * np.max(maps["cpu"])


# --- lost frames --------------------------------------------------------------------------------


def test_lost_frames_are_reported_in_turn_and_counted(model):
    frames = grey_frames(6)
    steps = [frames[0], FrameError("torn"), frames[2], (FrameError("mangled"), 0.12), frames[4]]
    said = []
    with stream(scripted(Script(steps)), report=said.append) as results:
        assert [(r.index, number(r.saliency)) for r in results] == [(0, 0), (2, 2), (4, 4)]
    assert said == ["a script: frame 1: torn", "a script: frame 3: mangled"]
    assert results.statistics.failed == 2
    steps = [*frames[:1], *[FrameError("torn")] * 500, *frames[:1]]  # more than are stored
    with stream(scripted(Script(steps)), report=said.append) as results:
        assert [r.index for r in results] == [0, 501]
    assert results.statistics.failed == 500 and len(said) <= 502


def test_an_error_of_the_source_comes_after_the_frames_before_it(model):
    script = Script([*grey_frames(4), VideoError("the disc is scratched")])
    found = []
    with pytest.raises(VideoError, match="scratched"), stream(scripted(script)) as results:
        for result in results:
            found.append(result.index)
    assert found == [0, 1, 2, 3] and script.closed.is_set()
    assert list(results) == []


def test_errors_of_a_callers_code_are_passed_on(model):
    def frames():
        yield from grey_frames(2)
        raise ZeroDivisionError("mine")

    for live in (False, True):
        with pytest.raises(ZeroDivisionError, match="mine"):
            list(stream(frames(), live=live))
    with pytest.raises(SystemExit):  # not an Exception, and raised in the reader's thread
        list(stream((sys.exit(3) for _ in range(1)), live=True))


def test_a_source_that_cannot_be_opened(model, clock):
    gone = VideoError("camera 7: no such camera")
    with pytest.raises(VideoError, match="camera 7: no such camera"):
        stream(camera(gone))
    with pytest.raises(VideoError, match=r"is not there\. Gave up after trying for 3 s"):
        stream(camera(gone), reconnect=3, clock=clock, report=lambda line: None)
    assert clock.now() == pytest.approx(103)
    with pytest.raises(VideoError, match="a script: no such file"):  # no camera or address
        stream(scripted(VideoError("a script: no such file")), reconnect=None)


def test_a_camera_that_is_not_there_at_first_is_waited_for(model, clock):
    gone = VideoError("camera 7: no such camera")
    said = []
    source = camera(gone, gone, gone, Script(grey_frames(1)), KeyError("stop"))
    results = stream(source, reconnect=None, clock=clock, report=said.append)
    assert said == [f"{gone}; trying again", "camera 7: is there after 3.5 s"]
    first = next(results)
    assert (first.index, first.time, first.cut) == (0, 0.0, False)
    assert results.statistics.reconnects == 0
    with pytest.raises(KeyError):
        next(results)
    assert said[2] == "camera 7: no more frames come; trying to reconnect"


# --- live ---------------------------------------------------------------------------------------


def test_only_the_newest_frame_is_worked_on(model):
    """Frames 1 to 8 come while frame 0 is held: 8 is next, and 7 are dropped."""
    hold, last = Hold(), Hold()
    frames = grey_frames(12)
    script = Script([frames[0], hold, *frames[1:9], last, *frames[9:]])
    with stream(camera(script, Script([])), reconnect=0) as results:
        assert results.live
        hold.wait()
        assert (next(results).index, results.statistics.dropped) == (0, 0)
        hold.release()
        last.wait()
        result = next(results)
        assert (result.index, number(result.saliency), result.dropped) == (8, 8, 7)
        last.release()
        with pytest.raises(VideoError, match="camera 7: no more frames come"):
            list(results)
    assert results.statistics.frames + results.statistics.dropped == 12


def test_frames_that_came_while_the_model_was_made_are_dropped(model):
    last = Hold()
    with stream(camera(Script([*grey_frames(5), last]))) as results:
        last.wait()
        first = next(results)
        assert first.index == 4 and first.dropped == results.statistics.dropped == 4
        last.release()


def at(clock, seconds):
    return lambda: setattr(clock, "seconds", seconds)


def test_live_times_are_those_of_arrival(model, clock):
    steps = []
    holds = [Hold() for _ in range(4)]
    for frame, seconds, hold in zip(grey_frames(4), (200, 200.5, 200.5, 203), holds, strict=True):
        steps += [at(clock, seconds), (frame, 77.0), hold]
    results = stream(camera(Script(steps)), clock=clock)
    times = []
    for hold in holds:
        times.append(next(results).time)
        hold.release()
    assert times == pytest.approx([0, 0.5, 0.5, 3], abs=1e-5)
    assert times[2] > times[1] and results.statistics.mended == 0
    with pytest.raises(VideoError):
        next(results)


@pytest.mark.parametrize("compute", [0.03, 0.1, 0.35])
def test_staleness_stays_under_an_interval_and_a_computation(model, clock, compute):
    """A camera of 25 frames a second, a consumer as slow as it likes: never an old image.

    Camera and model take turns: what the camera sends during a computation is let through then.
    """
    interval = 0.04
    parked, go = threading.Semaphore(0), threading.Semaphore(0)
    sent = []

    def send(i):
        def step():
            sent.append(i)
            clock.seconds = 100 + i * interval

        return step

    def pause():
        parked.release()
        assert go.acquire(timeout=30)

    steps = []
    frames = grey_frames(1) * 200
    for i, frame in enumerate(frames):
        steps += [send(i), frame, pause]

    def during(call):
        """The computation: the camera sends whatever falls into it."""
        done = clock.seconds + compute
        while 100 + (sent[-1] + 1) * interval <= done and sent[-1] + 1 < len(frames):
            go.release()
            assert parked.acquire(timeout=30)
        clock.seconds = done

    model.during = staticmethod(during)
    ages = []
    with stream(camera(Script(steps)), clock=clock, cuts=False) as results:
        assert parked.acquire(timeout=30)
        for _ in range(12):
            result = next(results)
            ages.append(clock.seconds - (100 + result.index * interval))
            assert result.latency == pytest.approx(ages[-1])
            if sent[-1] == result.index:  # a quick consumer waits for the camera
                go.release()
                assert parked.acquire(timeout=30)
        go.release(len(frames))
    assert max(ages) < interval + compute
    counts = results.statistics
    assert counts.latency["max"] == pytest.approx(max(ages) * 1e3)
    assert (counts.dropped > 0) == (compute > interval)


def test_a_recording_played_live_keeps_its_pace(model, clock):
    steps = list(zip(grey_frames(4), (0.0, 1.0, 5.0, 9.0), strict=True))
    with stream(scripted(Script(steps, frames=4)), live=True, clock=clock) as results:
        assert results.live
        found = [r.time for r in results]
    assert found[-1] == 9.0 and set(found) <= {0.0, 1.0, 5.0, 9.0}
    assert results.statistics.frames + results.statistics.dropped == 4


def test_live_iterables_are_copied_and_end(model):
    frame = np.zeros((64, 96, 3), np.uint8)

    def one_buffer():
        for i in range(5):
            frame[:] = 4 * i + 20
            yield frame

    with stream(one_buffer(), live=True) as results:
        found = [(r.index, number(r.saliency), number(r.frame)) for r in results]
    assert found[-1] == (4, 4, 4) and all(i == j == k for i, j, k in found)


def test_end_ends_a_live_source(model, clock):
    steps = []
    for i, frame in enumerate(grey_frames(10)):
        steps += [at(clock, 100.0 + i), frame]
    with stream(camera(Script(steps)), end=3.5, clock=clock) as results:
        assert [r.index for r in results][-1] == 3


# --- vanishing and coming back ------------------------------------------------------------------


def test_a_camera_that_vanishes_is_reported_and_opened_again(model, clock):
    nothing = VideoError("camera 7: nothing")
    source = camera(Script(grey_frames(3)), nothing, nothing, Script(grey_frames(2)))
    said, found = [], []
    results = stream(source, reconnect=5, clock=clock, report=said.append)
    with pytest.raises(VideoError, match=r"is not there\. Gave up after trying for 5 s"):
        for result in results:
            found.append(result)
    assert found[0].index in (0, 1, 2) and not found[0].cut
    again = [result.index >= 3 for result in found].index(True)
    assert [result.cut for result in found] == [k == again for k in range(len(found))]
    assert results.statistics.reconnects == 1
    assert results.statistics.frames + results.statistics.dropped == 5
    assert said[0] == "camera 7: no more frames come; trying to reconnect"
    assert said[1] == "camera 7: is back after 3.5 s"  # 0.5 + 1 + 2
    assert said[2] == said[0] and len(said) == 3
    assert clock.now() == pytest.approx(100 + 3.5 + 5)


def test_pauses_grow_to_ten_seconds_and_never_end_where_so_asked(model, clock):
    nothing = [VideoError("camera 7: nothing")] * 8
    source = camera(Script(grey_frames(1)), *nothing, Script(grey_frames(1)), KeyError("stop"))
    said = []
    results = stream(source, reconnect=None, clock=clock, report=said.append)
    with pytest.raises(KeyError):
        list(results)
    assert said[1] == "camera 7: is back after 55.5 s"  # 0.5 + 1 + 2 + 4 + 8 + 4 x 10
    assert results.statistics.reconnects == 1


def test_without_reconnect_a_vanished_camera_is_an_error(model):
    results = stream(camera(Script(grey_frames(1))))
    with pytest.raises(VideoError, match=r"no more frames come\. .* reconnecting was not asked"):
        list(results)


def test_a_camera_that_hangs_does_not_hang_the_program(model, clock):
    hold = Hold(clock)
    stuck = Script([*grey_frames(1), hold])
    again = Script(grey_frames(1))
    results = stream(camera(stuck, again), reconnect=60, timeout=4, clock=clock)
    assert next(results).index == 0
    hold.wait()
    began = clock.now()
    result = next(results)
    assert result.index == 1 and result.cut
    assert clock.now() - began == pytest.approx(4.5, abs=0.01)  # the timeout and the first pause
    assert not stuck.closed.is_set()
    hold.release()  # the driver wakes: its thread ends and lets go
    assert stuck.closed.wait(30)
    results.close()


def test_a_camera_that_never_sends(model, clock):
    hold = Hold(clock)
    with pytest.raises(VideoError, match="camera 7: no frame came for 10 s"):
        stream(camera(Script([hold])), clock=clock)
    hold.release()


def test_a_file_may_be_silent_for_as_long_as_it_likes(model, clock):
    hold = Hold(clock)
    results = stream(scripted(Script([*grey_frames(1), hold, *grey_frames(1)])), clock=clock)
    next(results)
    hold.wait()

    def patient(condition, seconds):
        if clock.seconds > 5000:
            hold.release()
            condition.wait(30)
        clock.seconds += 100

    clock.wait = patient
    assert next(results).index == 1
    results.close()


# --- letting go ---------------------------------------------------------------------------------


def test_closing_while_the_reader_hangs(model):
    hold = Hold()
    script = Script([*grey_frames(1), hold, *grey_frames(5)])
    results = stream(camera(script))
    next(results)
    hold.wait()
    results.close()
    results.close()
    assert not script.closed.is_set() and model.made[0].closed
    assert list(results) == []
    hold.release()
    assert script.closed.wait(30)
    assert script.grabs <= 2


def closed_from_elsewhere(results, wait):
    """What a thread finds that goes through the results until they are closed from this one."""
    found = []
    other = threading.Thread(target=lambda: found.extend(r.index for r in results), daemon=True)
    other.start()
    wait()
    results.close()
    other.join(30)
    assert not other.is_alive()
    return found


@pytest.mark.parametrize("kind", [scripted, camera])
def test_closing_from_another_thread_ends_the_wait_for_a_frame(model, kind):
    hold = Hold()
    script = Script([*grey_frames(2), hold])
    source = kind(script)
    results = stream(source, timeout=1e6, reconnect=None)
    said = []
    results._report = said.append
    assert set(closed_from_elsewhere(results, hold.wait)) <= {0, 1}
    assert model.made[0].closed and not said and results.statistics.reconnects == 0
    hold.release()
    assert script.closed.wait(30)


def test_closing_from_another_thread_ends_reconnecting(model, clock):
    results = stream(camera(Script(grey_frames(1))), reconnect=None, clock=clock)
    tried, closed = threading.Event(), threading.Event()
    sleep = clock.sleep

    def sleeping(seconds):
        if clock.seconds > 1000 and not tried.is_set():
            tried.set()
            assert closed.wait(30)
        assert clock.seconds < 2000
        sleep(seconds)

    clock.sleep = sleeping

    def close():
        assert tried.wait(30)
        results.close()
        closed.set()

    other = threading.Thread(target=close)
    other.start()
    assert [result.index for result in results] == [0]
    other.join(30)
    assert model.made[0].closed


def test_closing_from_another_thread_leaves_the_model_to_who_works_with_it(model):
    """The model is closed when the frame that it is at is done, not under its hands."""
    results = stream(grey_frames(5))

    def during(call):
        if call == 2:
            other = threading.Thread(target=results.close)
            other.start()
            other.join(30)
            assert not model.made[0].closed

    model.during = staticmethod(during)
    assert [result.index for result in results] == [0, 1, 2]
    assert model.made[0].closed


def test_closing_from_another_thread_while_an_iterable_makes_a_frame(model):
    within, go = threading.Event(), threading.Event()
    ended = []

    def frames():
        try:
            yield from grey_frames(2)
            within.set()
            assert go.wait(30)
            yield from grey_frames(2)
        finally:
            ended.append(True)

    results = stream(frames())

    def wait():
        assert within.wait(30)
        results.close()
        go.set()

    closed_from_elsewhere(results, wait)
    assert ended == [True] and model.made[0].closed


def test_an_interruption_in_the_consumer_lets_go(model, monkeypatch):
    monkeypatch.setattr("ittisal.video.feeds.GRACE", 30)
    for place in ("in the loop", "in the model"):
        script = Script(grey_frames(50))

        def interrupt(call=2):
            if call == 2:
                raise KeyboardInterrupt

        model.during = staticmethod(interrupt) if place == "in the model" else None
        model.calls.clear()
        with pytest.raises(KeyboardInterrupt), stream(scripted(script)) as results:
            for k, _ in enumerate(results):
                if k == 2:
                    interrupt()
        assert script.closed.is_set() and model.made[-1].closed


def test_a_reader_that_looks_for_the_first_frame_can_be_stopped(model, clock):
    script = Script(itertools.repeat(grey_frames(1)[0]))

    def interrupted(condition, seconds):
        raise KeyboardInterrupt

    clock.wait = interrupted
    with pytest.raises(KeyboardInterrupt):
        stream(scripted(script), first=10**12, clock=clock)
    assert script.closed.wait(30)


def test_an_interrupt_before_the_reader_is_started_lets_the_program_end(monkeypatch):
    def start(thread):
        raise KeyboardInterrupt

    monkeypatch.setattr(feeds, "RUNNING", set())
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        stream(scripted(Script([])))
    feeds._leave()


def test_a_forgotten_stream_lets_its_thread_go(model):
    script = Script(grey_frames(50))
    results = stream(scripted(script))
    next(results)
    gone = weakref.ref(results)
    del results
    gc.collect()
    assert gone() is None
    assert script.closed.wait(30)


def test_a_reader_that_fails_to_close_hides_nothing(model):
    script = Script(grey_frames(3))
    script.close = lambda: 1 / 0
    assert len(list(stream(scripted(script)))) == 3


def test_wrong_models_close_the_source(model):
    script = Script(grey_frames(5, (16, 16)))
    with pytest.raises(ValueError, match="at least 32"):
        stream(scripted(script))
    assert script.closed.wait(30)


# --- fixed memory -------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["opencv", "pyav"])
@pytest.mark.parametrize("width", [None, 160])
def test_no_frame_is_allocated_once_it_runs(tmp_path, reader, width):
    pytest.importorskip("av")
    frame = np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8)
    path = clips.write_video(tmp_path / "clip.mp4", [frame] * 40)
    with stream(path, reader=reader, width=width, threads=1, backend="cpu") as results:
        for k, result in enumerate(results):
            result.frame  # noqa: B018 (converted on demand)
            if k == 10:
                tracemalloc.start()
                tracemalloc.reset_peak()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert k == 39
    assert peak < frame.nbytes / 2


def test_thousands_of_frames_leave_nothing_behind(model):
    frames = grey_frames(4, (32, 32)) * 375
    with stream(scripted(Script(frames)), cuts=True) as results:
        for k, result in enumerate(results):
            del result
            if k == 500:
                gc.collect()
                model.calls.clear()
                tracemalloc.start()
                before, _ = tracemalloc.get_traced_memory()
            model.calls.clear()
            model.made[0].past = model.made[0].past[-1:]
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert k == 1499
    assert after - before < 20_000


# --- statistics ---------------------------------------------------------------------------------


def test_percentiles_are_within_a_percent(rng):
    for values in (rng.exponential(0.01, 5000), rng.uniform(1e-5, 2, 5000), np.full(10, 0.02)):
        latencies = Latencies()
        for value in values:
            latencies.add(float(value))
        assert latencies.longest == values.max()
        for percent in (1, 50, 95, 99, 100):
            exact = np.percentile(values, percent, method="inverted_cdf")
            assert latencies.percentile(percent) == pytest.approx(exact, rel=0.01)
    latencies = Latencies()
    assert np.isnan(latencies.percentile(50))
    for value in (-1e-9, 0.0, 1e9):  # beyond the bins
        latencies.add(value)
    assert latencies.longest == 1e9 and latencies.percentile(50) == pytest.approx(1e-6, rel=0.01)


def test_statistics_as_plain_numbers(model, clock):
    with stream(grey_frames(2), clock=clock) as results:
        empty = results.statistics.as_dict()
        assert empty["frames"] == 0 and empty["latency_ms"]["p50"] is None
        list(results)
    full = results.statistics.as_dict()
    assert set(full["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert full["frames"] == 2 and full["fps"] == 0.0  # by a clock that stands still
