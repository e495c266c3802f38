"""What frames leave for each other on the CUDA backend, with the kernels run on the host.

The maps themselves are held against the reference in `test_stages` and `test_time`; here is what a
GPU adds: orders of threads, work that is done late, recorded graphs, and bad frames that nobody
waits for.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import host_kernels
import numpy as np
import pytest
from host_device import HostDevice, LateDevice
from readings import FIVE
from test_stages import photo_like
from tolerances import correlation

from ittisal import GAZE, VIDEO
from ittisal.channels import NO_CHANNELS
from ittisal.cuda.backend import CudaBackend
from ittisal.cuda.structs import COUNTERS
from ittisal.pipeline import FIRST_FRAME, FrameFormat, frame_timing
from ittisal.plan import Plan

pytestmark = pytest.mark.skipif(not host_kernels.HAS_COMPILER, reason=host_kernels.NO_COMPILER)

SHAPE = (65, 83)
COUNT = 5
TIMES = [0.0, 0.04, 0.05, 0.09, 0.1]  # some closer than flicker's background forgets
READINGS = {
    "five": FIVE,
    "video": VIDEO,
    "leaky": replace(FIVE, smoothing="leaky", split_cs=True),
    "smoothed alone": replace(FIVE, weights={"intensity": 1}, smoothing="ema"),
    "flicker alone": replace(FIVE, weights={"flicker": 1}),
    "gaze": replace(GAZE, weights={"orientation": 1, "whitened": 1}, whitening_seconds=0.05),
}


def make(config=FIVE, device=None):
    return CudaBackend(Plan(SHAPE, config), "rgb", device or HostDevice())


def forget(backend, value):
    """Set all of the arena to a value, but the counters."""
    first = int(backend.layout.geometry["counters"])
    counters = slice(first, first + COUNTERS.itemsize // 4)
    kept = backend.arena[counters].copy()
    backend.arena[:] = value
    backend.arena[counters] = kept


def timings_of(config=FIVE, times=TIMES):
    elapsed = [None, *(b - a for a, b in pairwise(times))]
    return [frame_timing(config, dt) for dt in elapsed]


def frames_of(dtype="uint8"):
    texture = photo_like((SHAPE[0] + 40, SHAPE[1] + 40), dtype)
    at = [(0, 0), (3, 5), (9, 9), (9, 17), (20, 20)]
    return np.stack([texture[y : y + SHAPE[0], x : x + SHAPE[1]] for y, x in at])


def one_by_one(backend, config=FIVE, frames=None, given=None):
    frames = frames_of() if frames is None else frames
    out = np.empty((len(frames), *backend.plan.map_shape), np.float32)
    for frame, saliency, when in zip(frames, out, given or timings_of(config), strict=True):
        backend.run(frame, saliency, when)
    return out


@pytest.mark.parametrize("reading", ["video", "leaky", "gaze"])
def test_the_order_of_threads_and_blocks_does_not_matter(reading):
    config = READINGS[reading]
    wanted = one_by_one(make(config), config)
    for order in host_kernels.ORDERS[1:]:
        got = one_by_one(make(config, HostDevice(order=order, seed=7)), config)
        np.testing.assert_array_equal(got, wanted, err_msg=order)


@pytest.mark.parametrize(
    ("reading", "pace"),
    [
        *((reading, 1) for reading in READINGS),
        *((reading, pace) for reading in ("leaky", "gaze") for pace in ("needed", "others", 2)),
    ],
)
def test_every_way_in_gives_the_same(reading, pace):
    """However late the device works: calls, a batch, a stream, frames that lie on the device."""
    config = READINGS[reading]
    frames, given = frames_of(), timings_of(config)
    wanted = one_by_one(make(config), config)
    device = LateDevice(pace)
    backend = make(config, device)
    out = np.empty_like(wanted)
    np.testing.assert_array_equal(one_by_one(backend, config), wanted)
    backend.run_batch(frames, out, given)
    np.testing.assert_array_equal(out, wanted)
    streamed = backend.stream(zip(frames, given, COUNT * [NO_CHANNELS], strict=True))
    np.testing.assert_array_equal(list(streamed), wanted)
    there, maps = device.upload(frames).reshape(frames.shape), device.empty(wanted.shape)
    backend.run_device(there, maps, COUNT, given)
    np.testing.assert_array_equal(device.download(maps), wanted)


def test_two_graphs_serve_all_frames():
    """Wherever they lie: one for frames without a past, one for the rest; a model that remembers
    nothing has one.
    """
    for config, graphs in ((FIVE, 2), (replace(FIVE, weights={"intensity": 1}), 1)):
        backend, buffers = make(config), []
        for _ in range(3):
            for frame, when in zip(frames_of(), timings_of(config), strict=True):
                buffers.append((frame.copy(), np.empty(backend.plan.map_shape, np.float32)))
                backend.run_device(*buffers[-1], None, [when])
        assert backend.device.recorded == graphs


@pytest.mark.parametrize("reading", ["leaky", "gaze"])
def test_memory_is_as_it_comes(reading):
    """What an earlier model left in it makes no difference to the first frame, or those after."""
    config = READINGS[reading]
    wanted = one_by_one(make(config), config)
    backend = make(config)
    forget(backend, 1e30)
    backend.state(FrameFormat("uint8", 3)).background[:] = 31000
    np.testing.assert_array_equal(one_by_one(backend, config), wanted)


@pytest.mark.parametrize("reading", ["video", "leaky", "flicker alone", "gaze"])
@pytest.mark.parametrize("on_device", [False, True])
def test_a_bad_frame_leaves_nothing(reading, on_device):
    config, frames = READINGS[reading], frames_of("float32")
    bad = frames[2].copy()
    bad[50, 60] = np.nan
    given = timings_of(config)
    wanted = one_by_one(make(config), config, frames, given)
    backend = make(config)
    out = np.empty((1, *backend.plan.map_shape), np.float32)
    for index in range(COUNT):
        if index == 2 and on_device:
            backend.run_device(bad, out[0], None, [given[index]])
            assert np.isnan(out).all()
        elif index == 2:
            with pytest.raises(ValueError, match="NaN"):
                backend.run(bad, out[0], given[index])
        backend.run(frames[index], out[0], given[index])
        np.testing.assert_array_equal(out[0], wanted[index])


@pytest.mark.parametrize("reading", READINGS)
def test_a_bad_first_frame_on_the_device(reading):
    """Nobody is told of it, so that the next one is to be compared with it: that has no map either,
    and is the first for those after.
    """
    config, frames, given = READINGS[reading], frames_of("float32"), timings_of(READINGS[reading])
    wanted = one_by_one(make(config), config, frames[:3], given[:3])
    backend = make(config)
    one_by_one(backend, config, frames_of("float32")[::-1].copy())  # what lay there before
    out = np.empty(backend.plan.map_shape, np.float32)
    for frame, when in ((frames[0] - 2, given[0]), (frames[0], given[1])):
        backend.run_device(frame, out, None, [when])
        assert np.isnan(out).all()
    if "smoothed" not in reading and reading != "leaky":
        for frame, when, its in zip(frames[1:3], given[1:3], wanted[1:], strict=True):
            backend.run_device(frame, out, None, [when])
            assert correlation(out, its) > 0.999
    for frame, when, its in zip(frames[:3], given[:3], wanted, strict=True):
        backend.run_device(frame, out, None, [when])
        np.testing.assert_array_equal(out, its)


@pytest.mark.parametrize("reading", ["leaky", "gaze"])
def test_the_last_frame_again(reading):
    config = READINGS[reading]
    wanted = one_by_one(make(config), config)
    backend = make(config)
    out = np.empty(backend.plan.map_shape, np.float32)
    for frame, when, its in zip(frames_of(), timings_of(config), wanted, strict=True):
        backend.run(frame, out, when)
        for _ in range(2):
            np.testing.assert_array_equal(backend.trace(frame, None)["saliency"], its)
        added = backend.contributions()
        names = {str(channel) for channel in config.channel_weights(past=when.past)}
        assert set(added) == names | ({"figure"} if config.figure else set())


def test_timings_name_every_stage():
    assert "motion" in make().timings(frames_of()[0])
    assert "motion" not in make(READINGS["flicker alone"]).timings(frames_of()[0])


FAULTS = [
    "one_background",
    "levels_not_committed",
    "smoothed_not_committed",
    "bad_frame_committed",
    "another_direction",
    "up_for_down",
    "background_never_moves",
    "no_motion_threshold",
    "another_planes_scale",
    "statistics_not_committed",
    "the_frames_own_statistics",
    "average_moves_at_once",
]


@lru_cache(maxsize=4)
def outcome(dtype, fault=None):
    """Traces of a sequence, in which a bad frame comes between if it is float32."""
    config = replace(VIDEO, smoothing="ema", whitening_seconds=0.05)
    defines = {f"FAULT_{fault}": 1} if fault else {}
    backend, found = make(config, HostDevice(defines=defines)), []
    out = np.empty(backend.plan.map_shape, np.float32)
    given = zip(frames_of(dtype), timings_of(config), strict=True)
    for index, (frame, when) in enumerate(given):
        if dtype == "float32" and index == 3:
            backend.run_device(frame - 2, out, None, [when])
        found.append(backend.trace(frame, when))
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_noticed(fault):
    """Else the tests above prove little."""

    def differ(dtype):
        wanted, got = outcome(dtype), outcome(dtype, fault)
        return any(
            not np.array_equal(a[key], b[key])
            for a, b in zip(wanted, got, strict=True)
            for key in a
        )

    assert differ("uint8") or differ("float32")


def test_a_model_that_remembers_nothing_is_told_nothing():
    config = replace(FIVE, weights={"intensity": 1, "colour": 1})
    backend = make(config)
    out = np.empty((2, *backend.plan.map_shape), np.float32)
    backend.run(frames_of()[0], out[0], FIRST_FRAME)
    backend.run(frames_of()[0], out[1], frame_timing(config, 0.01))
    np.testing.assert_array_equal(out[0], out[1])
    assert backend.state(FrameFormat("uint8", 3)).background.size == 1
