"""Channels of the caller's, in every backend's sum."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import host_kernels
import numpy as np
import pytest
from conftest import model
from host_device import HostDevice, LateDevice
from test_stages import SUPPORTS, movie, photo_like
from tolerances import within

import ittisal
from ittisal import GAZE, INVT, ITTI_1998, VIDEO, WHITENED, ChannelMap
from ittisal.channels import NO_CHANNELS, DeviceMap, check_channels
from ittisal.cpu.backend import CpuBackend
from ittisal.cuda.backend import CudaBackend
from ittisal.pipeline import FIRST_FRAME, FrameFormat, frame_timing
from ittisal.plan import Plan
from ittisal.sampling import sampling

SHAPE = (131, 203)
GAZE, VIDEO, WHITENED = (replace(each, working_size=0) for each in (GAZE, VIDEO, WHITENED))
FAULTS = ["one_pixel_too_many"]  # of the kernels
CONFIGS = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "whitened": WHITENED,
    "gaze": replace(GAZE, centre_prior=0.3),
    "even": replace(ITTI_1998, phase="even", weights={"intensity": 3, "orientation": 1}),
    "iterative": replace(ITTI_1998, normalisation="iterative", normalise_saliency=True),
    "video": replace(VIDEO, smoothing="leaky"),
}
needs_compiler = pytest.mark.skipif(not host_kernels.HAS_COMPILER, reason=host_kernels.NO_COMPILER)


def maps_of(rng, shape=SHAPE):
    """Two channels that are added, of the map's size and of the frame's, and two that multiply."""
    small, whole = (shape[0] // 16, shape[1] // 16), shape
    return {
        "depth": rng.random(small),
        "face": ChannelMap(rng.random(whole, np.float32) > 0.9, weight=2),
        "task": ChannelMap(rng.random(whole), 3, "multiply"),
        "range": ChannelMap(np.asfortranarray(rng.random(small)), Fraction(1, 2), "multiply"),
    }


# --- maps at the map's level -------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["centred", "even"])
@pytest.mark.parametrize("shape", [(32, 32), (47, 203), (129, 66)])
def test_a_map_of_the_frames_size_is_averaged_around_each_sample(rng, shape, phase):
    grid = sampling(shape, replace(ITTI_1998, phase=phase))
    whole = rng.random((2, *shape))
    found = check_channels({"a": whole}, grid, 2, None)["a"].map
    assert found.dtype == np.float32
    before, after = (8, 8) if phase == "even" else (7.5, 8.5)
    for index in np.ndindex(found.shape):
        ys, xs = (
            slice(int(max(at - before, 0)), int(at + after)) for at in grid.to_frame(index[1:])
        )
        assert found[index] == pytest.approx(whole[index[0], ys, xs].mean(), rel=1e-5)


def test_maps_are_copied():
    given = np.ones((8, 12), np.float32)
    grid = sampling(SHAPE, ITTI_1998)
    found = check_channels({"a": given}, grid, None, None)["a"].map
    given[:] = 0
    assert (found == 1).all()


BAD = {
    "a list": ([np.ones((8, 12))], TypeError, "give a mapping of names to maps"),
    "no name": ({1: np.ones((8, 12))}, TypeError, "the name 1; give a string"),
    "colour": ({"colour": np.ones((8, 12))}, ValueError, "name of the model's own"),
    "figure": ({"figure": np.ones((8, 12))}, ValueError, "name of the model's own"),
    "shape": ({"a": np.ones((8, 13))}, ValueError, r"\(8, 13\).*\(8, 12\).*\(131, 203\)"),
    "frames": ({"a": np.ones((3, 8, 12))}, ValueError, r"\(3, 8, 12\)"),
    "nothing": ({"a": None}, ValueError, r"shape \(\)"),
    "uint8": ({"a": np.ones((8, 12), np.uint8)}, TypeError, "uint8; give float.*full scale"),
    "complex": ({"a": np.ones((8, 12), complex)}, TypeError, "complex128"),
    "negative": ({"a": np.full((8, 12), -0.25)}, ValueError, "holds -0.25; .*at least 0"),
    "infinite": ({"a": np.full(SHAPE, np.inf)}, ValueError, "holds inf"),
    "too large": ({"a": np.full((8, 12), 1e300)}, ValueError, "holds inf"),
    "NaN": ({"a": np.where(np.eye(*SHAPE), np.nan, 0)}, ValueError, "holds NaN"),
    "product": ({"a": ChannelMap(np.full((8, 12), 1e7), 1e7)}, ValueError, "no more than 1e"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_channels_are_refused_and_leave_no_trace(backend, case):
    channels, error, message = BAD[case]
    frames, run = movie(SHAPE), ittisal.Saliency(SHAPE, VIDEO, backend=backend)
    run(frames[0])
    with pytest.raises(error, match=message):
        run(frames[1], channels=channels)
    got = run(frames[1])
    run.reset()
    run(frames[0])
    np.testing.assert_array_equal(got, run(frames[1]))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"weight": -1}, ValueError),
        ({"weight": float("nan")}, ValueError),
        ({"weight": "2"}, TypeError),
        ({"weight": True}, TypeError),
        ({"how": "max"}, ValueError),
    ],
)
def test_bad_weights_and_ways_are_refused_at_once(options, error):
    with pytest.raises(error, match=r"=.*(must be|is not 'add' or 'multiply')"):
        ChannelMap(np.ones((8, 12)), **options)


# --- in the sum --------------------------------------------------------------------------------


def test_one_is_what_stands_out_alone(backend):
    """A map of 1 at one place adds what the channel of intensity does, with a lone disc there."""
    y, x = np.mgrid[:256, :256]
    frame = np.where(np.hypot(y - 119.5, x - 135.5) < 12, 200, 60).astype(np.uint8)
    for config in (ITTI_1998, INVT, WHITENED, replace(ITTI_1998, weights={"intensity": 0.5})):
        run = model(backend, (256, 256), config)
        lone = np.zeros(run.map_shape)
        lone[7, 8] = 1
        run(frame, channels={"mine": lone})
        added = run.contributions()
        weights = [weight for name, weight in config.weights.items() if weight]
        if len(weights) > 1:
            weights = weights[:1] + weights[2:]  # grey: no colour
        its = next(name for name in ("intensity", "whitened") if name in added)
        assert added["mine"].max() == pytest.approx(added[its].max() / weights[0], rel=2e-2)
        assert np.argwhere(added["mine"]).tolist() == [[7, 8]]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("colours", [3, 1])
def test_every_backend_agrees_with_the_reference(backend, name, colours, rng):
    if name == "whitened" and colours == 1:
        colours = 3
    config, maps = CONFIGS[name], maps_of(rng)
    frames = movie(SHAPE, channels=colours) if name == "video" else [photo_like(SHAPE)]
    if colours == 1:
        frames = [frame if frame.ndim == 2 else frame[..., 1].copy() for frame in frames]
    truth, run = (ittisal.Saliency(SHAPE, config, backend=b) for b in ("reference", backend))
    for index, frame in enumerate(frames):
        options = {"time": index / 30, "channels": maps if index != 1 else None}
        within(
            "same_maths" if backend != "reference" else "hand",
            run(frame, **options),
            truth(frame, **options),
        )
        wanted, got = truth.contributions(), run.contributions()
        assert list(got) == list(wanted)
        assert {"depth", "face"} <= set(got) or index == 1
        for key, value in got.items():
            within("stage_weighted", value, wanted[key])


@pytest.mark.parametrize("name", ["itti1998", "gaze", "iterative"])
def test_contributions_add_up_and_are_traced(backend, name, rng):
    run, maps = model(backend, SHAPE, CONFIGS[name]), maps_of(rng)
    trace = run.trace(photo_like(SHAPE), channels=maps)
    added = run.contributions()
    within("same_maths", sum(added.values()), trace["saliency"])
    for key, value in added.items():
        within("same_maths", trace[f"contribution/{key}"], value)
    assert not {"task", "range"} & set(added)
    saliency = run(photo_like(SHAPE), channels=maps)
    np.testing.assert_array_equal(saliency, trace["saliency"].astype(np.float32))


@pytest.mark.parametrize("name", ["toolbox", "vocus2", "gbvs"])
def test_published_programs_take_channels_too(backend, name, rng):
    """In their final map: 1 in a map adds its whole range, times the weight beside the others'."""
    config = ittisal.preset(name)
    usable, reason = SUPPORTS.get(backend, lambda config: (True, ""))(config)
    if not usable:
        pytest.skip(reason)
    run, frame = ittisal.Saliency(SHAPE, config, backend=backend), photo_like(SHAPE)
    plain, map_ = run(frame), rng.random(run.map_shape)
    channels = {"a": map_, "b": ChannelMap(rng.random(SHAPE), 2, "multiply")}
    got = run(frame, channels=channels)
    factor = 1 + 2 * check_channels(channels, sampling(SHAPE, config), None, None)["b"].map
    top = 2 if name == "toolbox" else 1
    term = top * map_ / sum(config.weights.values())
    within("same_maths", got, (plain + term) * factor)
    added = run.contributions()
    within("same_maths", added["a"], term * factor)
    within("same_maths", sum(added.values()), got)


def test_channels_that_multiply_scale_the_map(backend, rng):
    run, frame, maps = model(backend, SHAPE), photo_like(SHAPE), maps_of(rng)
    plain = run(frame)
    got = run(frame, channels={name: maps[name] for name in ("range", "task")})
    checked = check_channels(maps, sampling(SHAPE, ITTI_1998), None, None)
    factor = (1 + checked["range"].map / 2) * (1 + 3 * checked["task"].map)
    within("same_maths", got, plain * factor)


def test_nothing_said_changes_nothing(backend):
    run, frame = model(backend, SHAPE, GAZE), photo_like(SHAPE)
    silent = {
        "a": np.zeros(run.map_shape),
        "b": ChannelMap(np.ones(SHAPE), 0),
        "c": ChannelMap(np.ones(SHAPE), 0, "multiply"),
    }
    wanted = run(frame)
    for channels in (silent, {}, None):
        np.testing.assert_array_equal(run(frame, channels=channels), wanted)


def test_maps_of_small_frames(rng):
    """Of the shifted map's shape, or the frame's; the whole frame's 1 is the map's."""
    config = replace(ITTI_1998, working_size=800)
    run, frame = model("cpu", SHAPE, config), photo_like(SHAPE)
    assert run.map_shape == (32, 50)
    whole = run(frame, channels={"a": ChannelMap(np.ones(SHAPE), 2, "multiply")})
    small = run(frame, channels={"a": ChannelMap(np.ones((32, 50)), 2, "multiply")})
    np.testing.assert_allclose(whole, small, rtol=1e-5)
    np.testing.assert_allclose(small, 3 * run(frame), rtol=1e-5)


@pytest.mark.parametrize("name", ["itti1998", "video"])
def test_every_way_in_gives_the_same(backend, name, rng):
    """Calls, a batch with a map per frame or one for all, and a stream with a detector."""
    frames, config = np.stack(movie(SHAPE)), CONFIGS[name]
    several, one = rng.random((3, *SHAPE)), ChannelMap(rng.random((8, 12)), 0.5, "multiply")
    run = ittisal.Saliency(SHAPE, config, backend=backend)
    wanted = [run(f, channels={"a": a, "b": one}) for f, a in zip(frames, several, strict=True)]
    last = run.contributions()
    run.reset()
    got = run(frames, channels={"a": several, "b": one})
    np.testing.assert_array_equal(got, wanted)
    for key, value in run.contributions().items():
        np.testing.assert_array_equal(value, last[key])
    again = run.retrace(frames[-1])["saliency"]
    np.testing.assert_array_equal(again.astype(np.float32), wanted[-1])
    run.reset()
    its = iter(several)
    streamed = run.stream(frames, channels=lambda frame: {"a": next(its), "b": one})
    np.testing.assert_array_equal(list(streamed), wanted)


def test_a_detector_of_a_stream_is_given_its_frame(backend):
    frames, seen = movie(SHAPE), []
    run = model(backend, SHAPE)
    list(run.stream(iter(frames), channels=lambda frame: seen.append(frame) or {}))
    assert all(np.array_equal(a, b) for a, b in zip(seen, frames, strict=True))
    with pytest.raises(ValueError, match="own"):
        list(run.stream(frames, channels=lambda frame: {"motion": np.ones((8, 12))}))


def test_single_images_take_channels_too(backend):
    image, task = photo_like(SHAPE), np.zeros(SHAPE)
    task[16:32, 48:64] = 1
    saliency = ittisal.saliency_map(image, backend=backend, channels={"a": ChannelMap(task, 99)})
    assert 0.9 < saliency[16:32, 48:64].max() <= 1
    assert saliency[64:].max() < 0.1


# --- what it costs -----------------------------------------------------------------------------


def test_without_channels_the_cpu_runs_what_it_ran():
    backend = CpuBackend(Plan(SHAPE, ITTI_1998), "rgb", 1)
    frame, out = photo_like(SHAPE), np.empty((8, 12), np.float32)
    backend.run(frame, out)
    state = backend.format_state(frame)
    tables = state.map_tables.copy()
    factor = ChannelMap(np.ones((8, 12), np.float32), 1, "multiply")
    backend.run(frame, out, FIRST_FRAME, {"a": factor})
    assert state.map_tables == tables  # nothing is added
    more = {launch.kernel for launch in state.schedule(False, gain=True)}
    assert len(more - {launch.kernel for launch in state.schedule(False)}) == 1
    backend.run(frame, out)
    assert len(state.launches) == 2


# --- on the GPU --------------------------------------------------------------------------------


def cuda(config=ITTI_1998, device=None):
    return CudaBackend(Plan(SHAPE, config), "rgb", device or HostDevice())


def prepared(channels, count=None, config=ITTI_1998):
    return check_channels(channels, sampling(SHAPE, config), count, None)


def there(device, channels):
    """The same with maps that lie on the device, as they were given."""
    made = {}
    for name, channel in channels.items():
        channel = channel if isinstance(channel, ChannelMap) else ChannelMap(channel)
        values = np.ascontiguousarray(channel.map, np.float32)
        its = device.upload(values).reshape(values.shape)
        made[name] = DeviceMap(its, float(channel.weight), channel.how)
    return made


@needs_compiler
@pytest.mark.parametrize("pace", ["needed", "others", 1, 2])
@pytest.mark.parametrize("name", ["itti1998", "even", "video"])
def test_maps_on_the_device(rng, name, pace):
    config, frames = CONFIGS[name], np.stack(movie(SHAPE))
    timings = [FIRST_FRAME, *2 * [frame_timing(config, 0.04)]]
    given = {
        "a": rng.random((3, *SHAPE)),
        "b": ChannelMap(rng.random((8, 12)), 0.5, "multiply"),
        "c": rng.random((3, 8, 12)),
        "d": rng.random(SHAPE),
    }
    wanted = np.empty((3, 8, 12), np.float32)
    alone = cuda(config)
    alone.run_batch(frames, wanted, timings, prepared(given, 3, config))
    device = LateDevice(pace)
    backend = cuda(config, device)
    on_device = device.upload(frames).reshape(frames.shape)
    mixed = prepared(given, 3, config) | there(device, {k: given[k] for k in "abd"})
    for channels in (there(device, given), mixed, prepared(given, 3, config)):
        maps = device.empty(wanted.shape)
        backend.run_device(on_device, maps, 3, timings, channels)
        within("same_maths", device.download(maps), wanted)
        for key, value in backend.contributions().items():
            within("same_maths", value, alone.contributions()[key])


@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_average_is_noticed(rng, fault):
    whole = {"a": ChannelMap(rng.random(SHAPE), 1e3)}
    maps = []
    for planted in ({}, {f"FAULT_{fault}": 1}):
        backend = cuda(device=HostDevice(defines=planted))
        maps.append(np.empty((8, 12), np.float32))
        channels = there(backend.device, whole)
        backend.run_device(photo_like(SHAPE), maps[-1], None, [FIRST_FRAME], channels)
    assert not np.allclose(*maps, rtol=1e-3)


@needs_compiler
@pytest.mark.parametrize("bad", [np.nan, -1, np.inf, 1e13])
def test_bad_values_on_the_device_give_nan_for_a_frame(bad):
    config, frames = CONFIGS["video"], movie(SHAPE)
    timings = [FIRST_FRAME, *2 * [frame_timing(config, 0.04)]]
    spoilt = np.zeros(SHAPE, np.float32)
    spoilt[20, 50] = bad
    backend, plain = cuda(config), cuda(config)
    for index, (frame, timing) in enumerate(zip(frames, timings, strict=True)):
        got, wanted = (np.empty((8, 12), np.float32) for _ in range(2))
        channels = there(backend.device, {"a": spoilt}) if index == 1 else NO_CHANNELS
        backend.run_device(frame, got, None, [timing], channels)
        plain.run_device(frame, wanted, None, [timing])
        assert np.argwhere(np.isnan(got)).tolist() == ([[1, 3]] if index == 1 else [])
        others = ~np.isnan(got)
        others[1, 3] &= index < 2  # there the frame before last is remembered
        np.testing.assert_array_equal(got[others], wanted[others])


@needs_compiler
def test_graphs_stay_valid(rng):
    """One for each number of channels, whatever their maps, while the buffer has its size."""
    backend, out = cuda(), np.empty((8, 12), np.float32)
    frame = photo_like(SHAPE)
    for _ in range(4):
        backend.run(frame, out, FIRST_FRAME)
    assert backend.device.recorded == 1
    for count in (1, 2, 1):
        for _ in range(4):
            channels = prepared({str(k): rng.random((8, 12)) for k in range(count)})
            backend.run(frame, out, FIRST_FRAME, channels)
            wanted = np.empty_like(out)
            cuda().run(frame, wanted, FIRST_FRAME, channels)
            np.testing.assert_array_equal(out, wanted)
    assert backend.device.recorded <= 4


@needs_compiler
def test_nothing_is_allocated_for_frames_with_channels(rng, monkeypatch):
    backend, out = cuda(), np.empty((8, 12), np.float32)
    channels = prepared({"a": rng.random((8, 12)), "b": rng.random((8, 12))})
    for _ in range(3):
        backend.run(photo_like(SHAPE), out, FIRST_FRAME, channels)
    nbytes = backend.nbytes
    for name in ("zeros", "empty", "pinned", "upload"):
        monkeypatch.delattr(HostDevice, name)
    for _ in range(3):
        backend.run(photo_like(SHAPE), out, FIRST_FRAME, channels)
    assert backend.nbytes == nbytes
    assert backend.states[FrameFormat("uint8", 3)].kernels["channel"]


def test_device_maps_need_float32_in_rows(gpu_on_host, monkeypatch):
    """And a map on a GPU needs the CUDA backend."""
    monkeypatch.setattr("ittisal.channels.is_on_gpu", lambda array: True)
    grid = sampling(SHAPE, ITTI_1998)
    for bad in (np.ones((8, 12)), np.ones((12, 8), np.float32).T):
        with pytest.raises(TypeError, match="give C-contiguous float32 there"):
            check_channels({"a": bad}, grid, None, lambda array: array, stay=True)
    given = np.ones((8, 12), np.float32)
    assert check_channels({"a": given}, grid, None, lambda a: a, stay=True)["a"].map is given
    with pytest.raises(TypeError, match="a channel lies on a GPU, and backend 'cpu'"):
        model("cpu", SHAPE)(photo_like(SHAPE), channels={"a": given})
    frame = photo_like(SHAPE)
    got = model("cuda", SHAPE)(frame, channels={"a": given})
    monkeypatch.undo()
    assert got.shape == (8, 12)
