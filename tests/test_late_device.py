"""The CUDA backend on a device that works on by itself, and the host goes on meanwhile.

Nothing may be read before it is there, nor refilled or let go before it has been read, whatever
goes first on the device (`LateDevice.pace`).
"""

from __future__ import annotations

import math
from functools import partial

import host_kernels
import numpy as np
import pytest
import test_kernels_on_host
from host_device import HostDevice, LateDevice, LateStream
from readings import READINGS
from test_kernels_on_host import saliency
from test_stages import photo_like

from ittisal import ITTI_1998
from ittisal.channels import NO_CHANNELS
from ittisal.cuda import backend as cuda_backend
from ittisal.cuda.backend import CudaBackend
from ittisal.cuda.graphs import MOST_GRAPHS, RECORDED_AT, Graphs
from ittisal.pipeline import FIRST_FRAME, frame_timing
from ittisal.plan import Plan

pytestmark = pytest.mark.skipif(not host_kernels.HAS_COMPILER, reason=host_kernels.NO_COMPILER)

COUNT = 5
SHAPE = (33, 47)  # the kernels are right by other tests
make = partial(test_kernels_on_host.make, SHAPE)
frames_of = partial(test_kernels_on_host.frames_of, shape=SHAPE)


@pytest.fixture(params=["needed", "others", 1], ids=str)
def device(request):
    return LateDevice(request.param)


@pytest.fixture
def backend(device):
    return late(device)


def alone(frames):
    """Frames that remember nothing, as a backend's stream takes them."""
    return ((frame, FIRST_FRAME, NO_CHANNELS) for frame in frames)


def late(device):
    return CudaBackend(Plan(SHAPE, ITTI_1998), "rgb", device)


@pytest.fixture(scope="module")
def wanted():
    """Maps of `frames_of(COUNT)`, by a device that does everything at once."""
    return np.stack([saliency(make(), frame) for frame in frames_of(COUNT)])


def on_device(device, array):
    made = device.empty(array.shape, array.dtype)
    made.view(np.ndarray)[...] = array
    return made


# --- frames from the host ----------------------------------------------------------------------


def camera(buffer):
    """Frames in turn, all in the same memory."""
    for frame in frames_of(COUNT):
        buffer[...] = frame
        yield buffer


def test_one_frame_after_the_other(backend, wanted):
    for frame, its in zip(camera(np.empty((*SHAPE, 3), np.uint8)), wanted, strict=True):
        np.testing.assert_array_equal(saliency(backend, frame), its)


@pytest.mark.parametrize("pinned", [False, True])
def test_a_stream_of_one_buffer(backend, wanted, pinned):
    shape = (*SHAPE, 3)
    buffer = backend.pinned_frame(shape, np.uint8) if pinned else np.empty(shape, np.uint8)
    np.testing.assert_array_equal(list(backend.stream(alone(camera(buffer)))), wanted)
    assert backend.device.under_way == 0


@pytest.mark.parametrize("space", [1, 2, 100])
def test_a_batch(backend, wanted, monkeypatch, space):
    monkeypatch.setattr(cuda_backend, "BATCH_BYTES", space * 4 * backend.layout.frame_floats)
    out = np.empty_like(wanted)
    backend.run_batch(frames_of(COUNT), out)
    np.testing.assert_array_equal(out, wanted)


def test_copies_and_kernels_overlap(wanted):
    """Else none of this would be needed: when a map is had, the next frame is on its way."""
    backend = late(LateDevice())
    maps = backend.stream(alone(frames_of(COUNT)))
    np.testing.assert_array_equal(next(maps), wanted[0])
    assert backend.device.under_way > 0
    maps.close()
    assert backend.device.under_way == 0


def test_a_stream_that_is_left_leaves_nothing_under_way(backend, wanted):
    maps = backend.stream(alone(frames_of(COUNT)))
    next(maps)
    maps.close()
    np.testing.assert_array_equal(saliency(backend, frames_of(COUNT)[3]), wanted[3])


def test_a_bad_frame_is_named_in_its_turn(backend):
    frames = frames_of(4, dtype="float32")
    frames[2, 30, 40] = np.nan
    found = []
    with pytest.raises(ValueError, match="NaN"):
        found.extend(backend.stream(alone(frames)))
    assert len(found) == 2
    for got, frame in zip(found, frames, strict=False):
        np.testing.assert_array_equal(got, saliency(make(), frame))
    np.testing.assert_array_equal(saliency(backend, frames[0]), found[0])


# --- frames on the device ----------------------------------------------------------------------


def by_two_streams(backend, run, make_output):
    """`run(frame, out)` for frames in turn, each stream with one buffer that is refilled."""
    device, outputs = backend.device, []
    streams = [LateStream(device) for _ in range(2)]
    buffers = [device.empty((*SHAPE, 3), np.uint8) for _ in streams]
    for k, frame in enumerate(frames_of(COUNT)):
        outputs.append(make_output())
        with device.using(streams[k % 2]):
            buffers[k % 2][...] = frame
            run(buffers[k % 2], outputs[-1])
    device.synchronize()
    return [np.array(out) for out in outputs]


def upsampled_alone(frame):
    """By a device that does everything at once."""
    backend, full = make(), np.empty(SHAPE, np.float32)
    raw = np.empty(backend.plan.map_shape, np.float32)
    backend.run_device(frame, raw)
    backend.upsample_device(raw, full)
    return full


def test_two_streams_share_a_model(backend, wanted):
    got = by_two_streams(backend, backend.run_device, lambda: backend.empty(wanted[0].shape))
    np.testing.assert_array_equal(got, wanted)


def test_two_streams_with_strided_frames(backend):
    """The copies go into one buffer, which the other stream's kernels may still be reading."""

    def run(frame, out):
        backend.run_device(frame[:, ::-1], out)

    got = by_two_streams(backend, run, lambda: backend.empty(backend.plan.map_shape))
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames_of(COUNT)]
    np.testing.assert_array_equal(got, [saliency(make(), frame) for frame in mirrored])


def test_two_streams_with_upsampled_maps(backend):
    """The peak lies in the arena, which the other stream's kernels write to."""

    def run(frame, out):
        raw = backend.empty(backend.plan.map_shape)
        backend.run_device(frame, raw)
        backend.upsample_device(raw, out)

    got = by_two_streams(backend, run, lambda: backend.empty(SHAPE))
    np.testing.assert_array_equal(got, [upsampled_alone(frame) for frame in frames_of(COUNT)])


def test_frames_of_host_and_device_take_turns(backend, wanted):
    frames, device = frames_of(COUNT), backend.device
    outputs = [backend.empty(wanted[0].shape) for _ in frames]
    for k, frame in enumerate(frames):
        backend.run_device(on_device(device, frame), outputs[k])
        np.testing.assert_array_equal(saliency(backend, frames[k - 1]), wanted[k - 1])
    device.synchronize()
    np.testing.assert_array_equal([np.array(out) for out in outputs], wanted)


def test_the_arena_grows_while_it_is_in_use(backend, wanted):
    """By another stream than the one that it was made on, which may hand it out again."""
    device, frames = backend.device, [on_device(backend.device, f) for f in frames_of(COUNT)]
    every = on_device(device, frames_of(COUNT))
    single, several = (backend.empty(shape) for shape in (wanted[0].shape, wanted.shape))
    with device.using(LateStream(device)):
        for frame in frames[:2]:  # the second time it is a graph
            backend.run_device(frame, single)
    with device.using(LateStream(device)):
        backend.run_device(every, several, COUNT)
    device.synchronize()
    np.testing.assert_array_equal(np.array(single), wanted[1])
    np.testing.assert_array_equal(np.array(several), wanted)
    backend.run_device(frames[2], single)  # a graph held the old one's address
    device.synchronize()
    np.testing.assert_array_equal(np.array(single), wanted[2])


def test_the_copy_of_strided_frames_grows_while_it_is_in_use(backend, wanted):
    """By another stream than the one that it was made on, which may hand it out again."""
    device, frames = backend.device, on_device(backend.device, frames_of(COUNT)[:, ::-1])[:, ::-1]
    single, several = (backend.empty(shape) for shape in (wanted[0].shape, wanted.shape))
    for frame in frames[:2]:
        with device.using(LateStream(device)) as stream:
            backend.run_device(frame, single)
    device.reach(stream, 2)  # waited and copied, but nothing has read the copy
    with device.using(LateStream(device)):
        backend.run_device(frames, several, COUNT)
    device.synchronize()
    np.testing.assert_array_equal(np.array(single), wanted[1])
    np.testing.assert_array_equal(np.array(several), wanted)


def test_a_trace_waits_for_what_other_streams_do(backend, wanted):
    frames, device = frames_of(COUNT), backend.device
    truth = make().trace(frames[1])
    out = backend.empty(wanted[0].shape)
    backend.run_device(on_device(device, frames[0]), out)
    for key, value in backend.trace(frames[1]).items():
        np.testing.assert_array_equal(value, truth[key], err_msg=key)
    backend.run_device(on_device(device, frames[2]), out)
    backend.timings(frames[1])
    device.synchronize()
    np.testing.assert_array_equal(np.array(out), wanted[2])


def test_closing_waits_for_what_is_under_way(device):
    backend, frame = late(device), photo_like(SHAPE)
    raw, full = backend.empty(backend.plan.map_shape), backend.empty(SHAPE)
    with device.using(LateStream(device)):
        backend.run_device(on_device(device, frame), raw)
        backend.upsample_device(raw, full)
    backend.close()
    device.synchronize()
    np.testing.assert_array_equal(np.array(full), upsampled_alone(frame))


# --- graphs of buffers that come round ---------------------------------------------------------


def buffers_of(backend, count):
    """Frames and maps."""
    device = backend.device
    shapes = ((*SHAPE, 3), np.uint8), (backend.plan.map_shape, np.float32)
    return [[device.empty(*each) for each in shapes] for _ in range(count)]


def in_buffers(backend, buffers, frames, given=None, streams=2):
    """Maps of frames in turn, by streams and in buffers that take turns."""
    device, maps = backend.device, []
    streams = [LateStream(device) for _ in range(streams)]
    for k, frame in enumerate(frames):
        turn = k % len(buffers)
        source, out = buffers[turn]
        maps.append(backend.empty(out.shape))
        with device.using(streams[turn % len(streams)]):
            source[...] = frame
            backend.run_device(source, out, None, given and [given[k]])
            maps[-1][...] = out
    device.synchronize()
    return [np.array(each) for each in maps]


@pytest.mark.parametrize("name", READINGS)
def test_every_preset_replayed(name, device):
    """Sequences in two buffers, which have graphs by then, and in one for each frame."""
    config, frames = READINGS[name], np.concatenate([frames_of(COUNT)] * 2)
    given = [frame_timing(config, 0.04 if k else None) for k in range(len(frames))]
    host = CudaBackend(Plan(SHAPE, config), "rgb", HostDevice())
    wanted = np.empty((len(frames), *host.plan.map_shape), np.float32)
    for frame, out, when in zip(frames, wanted, given, strict=True):
        host.run(frame, out, when)
    backend = CudaBackend(Plan(SHAPE, config), "rgb", device)
    two, many = (buffers_of(backend, count) for count in (2, len(frames)))
    for buffers in (two, two, many):
        np.testing.assert_array_equal(in_buffers(backend, buffers, frames, given), wanted)
    assert device.recorded >= 2


def test_pairs_of_buffers_that_come_round_have_a_graph_each(backend, wanted):
    """Besides the one that serves all, but for the first launch."""
    (first, one), (second, other) = buffers_of(backend, 2)
    pairs = [(first, one), (second, one), (second, other), (first, other)]
    for graphs in (1, 1, 1 + 4, 1 + 4):
        maps = in_buffers(backend, pairs, frames_of(COUNT)[:4], streams=1)
        np.testing.assert_array_equal(maps, wanted[:4])
        assert backend.device.recorded == graphs


def test_a_buffer_for_each_frame_has_none(backend, wanted):
    """But for the one that serves all: more would be of no use, and cost memory."""
    buffers = buffers_of(backend, MOST_GRAPHS)
    for _ in range(RECORDED_AT):
        turns = [k % COUNT for k in range(len(buffers))]
        np.testing.assert_array_equal(
            in_buffers(backend, buffers, frames_of(COUNT)[turns]), wanted[turns]
        )
    assert backend.device.recorded == 1


def test_an_address_that_is_used_again(backend, wanted):
    """By another array, once the first one is gone, for which there was a graph."""
    source, out = buffers_of(backend, 1)[0]
    for k in range(2 * RECORDED_AT):
        again = [[source.reshape(-1).reshape(source.shape), out.reshape(-1).reshape(out.shape)]]
        got = in_buffers(backend, again, [frames_of(COUNT)[k % COUNT]])
        np.testing.assert_array_equal(got, [wanted[k % COUNT]])
    assert backend.device.recorded == 1
    # As grey it is another frame.
    grey = source.reshape(-1)[: math.prod(SHAPE)].reshape(SHAPE)
    for frame in frames_of(2)[..., 1]:
        np.testing.assert_array_equal(
            in_buffers(backend, [[grey, out]], [frame]), [saliency(make(), frame.copy())]
        )


def test_a_batch_between_graphs(backend, wanted):
    """The arena grows: what was recorded holds the old one's address."""
    device, one, frames = backend.device, buffers_of(backend, 1), frames_of(COUNT)
    np.testing.assert_array_equal(in_buffers(backend, one, frames), wanted)
    assert device.recorded == 1
    every, several = on_device(device, frames), backend.empty(wanted.shape)
    for count in (COUNT, 2, COUNT, COUNT):
        backend.run_device(every, several, count)
        device.synchronize()
        np.testing.assert_array_equal(np.array(several)[:count], wanted[:count])
        np.testing.assert_array_equal(in_buffers(backend, one, frames[:1]), wanted[:1])


def test_graphs_used_last_stay():
    made = []
    graphs = Graphs(lambda run: made.append(run) or (lambda stream: stream.append("graph")))

    def launch(key):
        stream = []
        graphs.launch(key, stream, lambda stream: stream.append("as it comes"))
        return stream[0]

    assert [launch("a") for _ in range(5)] == ["as it comes"] * (RECORDED_AT - 1) + ["graph"] * 3
    for key in range(MOST_GRAPHS - 1):
        launch(key)
    assert launch("a") == "graph" and launch(MOST_GRAPHS) == "as it comes"
    assert launch("a") == "graph" and len(made) == 1
    for key in range(MOST_GRAPHS):
        launch(key)
    assert launch("a") == "as it comes"


# --- the device would show what was forgotten --------------------------------------------------


class Forgetful(LateDevice):
    """A backend that leaves out one kind of waiting."""

    def __init__(self, pace, forgets):
        super().__init__(pace)
        self.forgets = forgets
        if forgets == "arrived on the device":
            self.stream.wait_event = lambda event: None

    def wait(self, event):
        if self.forgets == "done" and event.mark and event.mark[0] is self.stream:
            return
        if self.forgets == "arrived" and event.mark and event.mark[0] is self.copies:
            return
        super().wait(event)


@pytest.mark.parametrize("forgets", ["done", "arrived", "arrived on the device"])
def test_a_wait_left_out_is_noticed(wanted, forgets):
    """Of a stream of pinned frames in one buffer."""
    noticed = []
    for pace in ("needed", "others", 1, 2, 3):
        backend = late(Forgetful(pace, forgets))
        buffer = backend.pinned_frame((*SHAPE, 3), np.uint8)
        maps = list(backend.stream(alone(camera(buffer))))
        noticed.append(not np.array_equal(maps, wanted))
    assert any(noticed)
