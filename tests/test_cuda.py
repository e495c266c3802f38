"""The CUDA backend and its device: what is said where it cannot run, and runs where it can.

The tests marked so need a GPU; `python -m benchmarks cuda` does more of the kind, and measures.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from readings import FIVE
from test_stages import photo_like
from tolerances import correlation, within

import ittisal
from ittisal import INVT, ITTI_1998, BackendError, ChannelMap, Saliency, backends, saliency_map
from ittisal.cuda import compiler, describe, installation, sources
from ittisal.cuda.layout import geometry_for, make_layout
from ittisal.cuda.schedule import schedule
from ittisal.features import FEATURES, Channel, Feature, Signal
from ittisal.pipeline import STAGES, FrameFormat, stages
from ittisal.pipeline import BackendError as PipelineError
from ittisal.plan import Plan

USABLE, REASON = backends.available()["cuda"]
needs_gpu = pytest.mark.skipif(not USABLE, reason=REASON)
models = pytest.mark.parametrize("name", ["itti1998", "vocus2", "gbvs"])  # that share no stage


# --- without a GPU -----------------------------------------------------------------------------


def fake_cupy(*, devices=1, capability="90", hip=False):
    """What `probe` asks of CuPy."""
    runtime = types.SimpleNamespace(
        is_hip=hip,
        CUDARuntimeError=RuntimeError,
        getDeviceCount=lambda: devices,
        getDeviceProperties=lambda index: {"name": b"NVIDIA Thing"},
    )
    cuda = types.ModuleType("cupy.cuda")
    cuda.runtime = runtime
    cuda.Device = lambda: types.SimpleNamespace(id=0, compute_capability=capability)
    cuda.nvrtc = types.SimpleNamespace(
        getVersion=lambda: (12, 9), getSupportedArchs=lambda: (75, 80, 86, 87, 89, 90, 100, 120)
    )
    cupy = types.ModuleType("cupy")
    cupy.__spec__ = importlib.util.spec_from_loader("cupy", None)
    cupy.__version__, cupy.cuda = "14.2.0", cuda
    return {"cupy": cupy, "cupy.cuda": cuda}


@pytest.mark.parametrize(
    ("fake", "usable", "says"),
    [
        ({}, True, ["NVIDIA Thing", "9.0", "14.2.0", "12.9"]),
        ({"capability": "75"}, True, ["7.5"]),
        ({"capability": "120"}, True, ["12.0"]),
        ({"capability": "70"}, False, ["7.0", "7.5 is the least"]),
        ({"devices": 0}, False, ["no NVIDIA GPU"]),
        ({"hip": True}, False, ["AMD"]),
    ],
    ids=str,
)
def test_probe_says_what_there_is_or_what_is_missing(monkeypatch, request, fake, usable, says):
    for cached in (installation.device_name, compiler.capabilities):
        cached.cache_clear()
        request.addfinalizer(cached.cache_clear)
    monkeypatch.setattr(installation, "_has_driver", lambda: True)
    for name, module in fake_cupy(**fake).items():
        monkeypatch.setitem(sys.modules, name, module)
    found, reason = installation.probe()
    assert found is usable
    for words in says:
        assert words in reason


def test_no_cupy_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError) as caught:
        Saliency((64, 64), backend="cuda")
    assert str(caught.value).startswith("backend='cuda' cannot be used: cuda: CuPy is not")
    assert "pip install 'ittisal[cuda]'" in str(caught.value)
    assert Saliency((64, 64)).backend in ("cpu", "reference")  # auto goes on


def test_no_driver_is_said_before_cupy_is_loaded(monkeypatch):
    monkeypatch.setattr(installation, "_has_driver", lambda: False)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy()["cupy"])
    assert installation.probe() == (
        False,
        "there is no NVIDIA driver here; install one, or use another backend",
    )


class OnGpu:
    """An array as other libraries show it: of it only these are looked at."""

    shape = (64, 64, 3)

    def __dlpack_device__(self):
        return 2, 0


class OnGpuToo(OnGpu):
    """The older protocol."""

    __cuda_array_interface__ = {}  # noqa: RUF012
    __dlpack_device__ = None


@pytest.mark.parametrize("kind", [OnGpu, OnGpuToo])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_frames_on_a_gpu_need_the_cuda_backend(backend, kind):
    with Saliency((64, 64), backend=backend) as model:
        for call in (
            model,
            model.trace,
            model.timings,
            lambda frame: saliency_map(frame, backend=backend),
            lambda frame: list(model.stream([frame])),
        ):
            with pytest.raises(
                TypeError, match=r'on a GPU.*backend="cuda".*\.get\(\) or \.cpu\(\)'
            ):
                call(kind())


def test_kernels_that_are_nowhere_name_both_places(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "HEADER", "nothing.cuh")
    with pytest.raises(PipelineError) as caught:
        sources.directory()
    assert str(caught.value).count("kernels") >= 3


def kernels_of(config):
    """By name, the units that hold what a config launches."""
    launches = schedule(make_layout(Plan((128, 128), config)), FrameFormat("uint8", 3), 1)
    units = sources.units({launch.kernel for launch in launches})
    return {kernel: unit for unit in units for kernel in unit.kernels}


def test_units_keep_files_and_lines_and_hold_what_is_launched():
    texts = sources.read()
    for name in texts:
        text = sources.joined(name)
        assert text.startswith(f'#line 1 "{name}"\n') and "#include" not in text
        for line in text.splitlines():
            found = re.fullmatch(r'#line (\d+) "(.+)"', line)
            if found:
                number, here = int(found[1]), found[2]
                continue
            if here in texts and line:
                assert texts[here].splitlines()[number - 1] == line
            number += 1
    plain = set(kernels_of(ITTI_1998))
    orientation = {"opponency_orientation", "coarsest_levels_orientation"}
    assert set(kernels_of(INVT)) - plain == orientation
    assert set(kernels_of(replace(FIVE, working_size=0))) - plain == {"motion"}


def launches_of(config, format_, past):
    plan = Plan((200, 300), config)
    return plan, schedule(make_layout(plan), format_, 1, past)


@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize("format_", [FrameFormat("uint8", 3), FrameFormat("float32", 1)])
@pytest.mark.parametrize("name", ["itti1998", "invt", "video", "gaze", "whitened", "toolbox"])
def test_a_schedule_covers_each_stage_in_order(name, format_, past):
    plan, launches = launches_of(ittisal.preset(name), format_, past)
    there = tuple(dict.fromkeys(launch.stage for launch in launches))
    assert there == stages(plan, colour=format_.colour, past=past)
    assert [launch.stage for launch in launches] == sorted(
        (launch.stage for launch in launches), key=STAGES.index
    )
    assert launches[0].kernel == "scan"  # which is told what differs from frame to frame
    assert not {"frames", "maps", "mode"} & {a for one in launches[1:] for a in one.arguments}


EXTRA = Feature(
    "extra", Channel.ORIENTATION, "extra", "orientation", Signal.ONE, normalised_again=True
)


@pytest.fixture
def extra_feature(monkeypatch):
    """One more row in the table of features, of a plane that nothing fills."""
    for module in ("plan", "cuda.layout", "cuda.schedule", "cuda.variant"):
        monkeypatch.setattr(f"ittisal.{module}.FEATURES", (*FEATURES, EXTRA))


def test_a_feature_of_the_table_is_in_the_geometry(extra_feature):
    """With no further line: its plane, maps and sums, and its row in its channel."""
    format_ = FrameFormat("uint8", 3)
    layout = make_layout(Plan((200, 300), FIVE))
    geometry = geometry_for(layout, format_, True)[0]
    plan, channel = layout.plan, list(Channel).index(Channel.ORIENTATION)
    first, count = geometry["first_row"][channel], geometry["row_count"][channel]
    assert count == 5
    row = first + count - 1
    assert geometry["feature"][row] == plan.features.index(EXTRA)
    assert geometry["plane"][row] == plan.planes.index("extra")
    assert geometry["signal"][row] == Signal.ONE.value and geometry["normalised_again"][row]
    assert geometry["conspicuity"] == len(plan.features) == 13
    launches = {launch.kernel: launch for launch in schedule(layout, format_, 1)}
    assert launches["centre_surround"].grid[1] == launches["combine"].grid[1] == 13


def test_a_feature_of_the_table_is_computed(extra_feature, gpu_on_host):
    """Its maps are there, and since they are empty the map is what it was."""
    frame = photo_like((100, 131))
    with Saliency((100, 131), backend="cuda") as model:
        trace = model.trace(frame)
        assert not trace["feature/extra"].any() and not trace["extra/2"].any()
        with pytest.MonkeyPatch.context() as patch:
            for module in ("plan", "cuda.layout", "cuda.schedule", "cuda.variant"):
                patch.setattr(f"ittisal.{module}.FEATURES", FEATURES)
            with Saliency((100, 131), backend="cuda") as before:
                np.testing.assert_array_equal(before(frame), trace["saliency"])


# --- with one ----------------------------------------------------------------------------------


@needs_gpu
def test_describe():
    assert {"device", "memory", "cupy", "kernels"} <= set(describe())


@needs_gpu
def test_auto_takes_the_gpu():
    assert Saliency((64, 64)).backend == "cuda"


@needs_gpu
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_cupy_in_cupy_out(dtype):
    import cupy

    frame = photo_like((129, 203), "float32" if dtype == "float64" else dtype).astype(dtype)
    with Saliency(frame.shape[:2], backend="cuda") as model:
        wanted = model(frame)
        got = model(cupy.asarray(frame))
        assert isinstance(got, cupy.ndarray) and got.dtype == np.float32
        np.testing.assert_array_equal(cupy.asnumpy(got), wanted)
        out = cupy.zeros_like(got)
        assert model(cupy.asarray(frame), out=out) is out
        np.testing.assert_array_equal(cupy.asnumpy(out), wanted)
        with pytest.raises(TypeError, match="out is in host memory"):
            model(cupy.asarray(frame), out=np.zeros_like(wanted))


@needs_gpu
def test_ordered_on_the_stream_that_is_current():
    import cupy

    frames = [photo_like((480, 640)), photo_like((480, 640))[::-1].copy()]
    with Saliency((480, 640), backend="cuda") as model:
        wanted = [model(frame) for frame in frames]
        buffer = cupy.empty(frames[0].shape, cupy.uint8)
        streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
        for turn in range(40):
            k = turn % 2
            with streams[turn // 2 % 2] as stream:
                buffer.set(frames[k])  # waits, on this stream
                got = model(buffer)
                stream.synchronize()
            np.testing.assert_array_equal(cupy.asnumpy(got), wanted[k])


SHAPE = (301, 467)


def frames_of(count):
    return np.stack([np.roll(photo_like(SHAPE), 11 * k, axis=1) for k in range(count)])


@pytest.fixture
def model():
    with Saliency(SHAPE, backend="cuda") as made:
        yield made


@needs_gpu
@pytest.mark.parametrize("space", [2, 100])
def test_a_batch_on_the_gpu_is_its_frames(model, monkeypatch, space):
    import cupy

    monkeypatch.setattr(
        "ittisal.cuda.backend.BATCH_BYTES", space * 4 * model._backend.layout.frame_floats
    )
    frames = frames_of(5)
    wanted = np.stack([model(frame) for frame in frames])
    np.testing.assert_array_equal(model(frames), wanted)
    out = cupy.zeros(wanted.shape, cupy.float32)
    assert model(cupy.asarray(frames), out=out) is out
    np.testing.assert_array_equal(cupy.asnumpy(out), wanted)
    grey = frames[..., 1].copy()
    np.testing.assert_array_equal(cupy.asnumpy(model(cupy.asarray(grey))), model(grey))


@needs_gpu
@models
def test_graphs_replayed_give_the_same_bits(name):
    import cupy

    frames = [cupy.asarray(frame) for frame in frames_of(5)]
    with Saliency(SHAPE, ittisal.preset(name), backend="cuda") as model:
        wanted = [cupy.asnumpy(model(frame)) for frame in frames]
        got = [model(frames[k % 5]) for k in range(200)]
    for k, each in enumerate(got):
        np.testing.assert_array_equal(cupy.asnumpy(each), wanted[k % 5])


@needs_gpu
def test_strided_frames_on_two_streams(model):
    import cupy

    frames = [cupy.asarray(frame) for frame in frames_of(2)]
    wanted = [model(cupy.asnumpy(frame)[:, ::-1]) for frame in frames]
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    cupy.cuda.Device().synchronize()
    got = []
    for turn in range(40):
        with streams[turn % 2]:
            got.append(model(frames[turn % 2][:, ::-1]))
    cupy.cuda.Device().synchronize()
    for turn, each in enumerate(got):
        np.testing.assert_array_equal(cupy.asnumpy(each), wanted[turn % 2])


@needs_gpu
def test_two_models_on_two_streams():
    import cupy

    frames = [cupy.asarray(frame) for frame in frames_of(2)]
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    models = [Saliency(SHAPE, backend="cuda") for _ in range(2)]
    wanted = [cupy.asnumpy(models[0](frame)) for frame in frames]
    cupy.cuda.Device().synchronize()
    got = []
    for turn in range(40):
        with streams[turn % 2]:
            got.append(models[turn % 2](frames[turn % 2]))
    cupy.cuda.Device().synchronize()
    for turn, each in enumerate(got):
        np.testing.assert_array_equal(cupy.asnumpy(each), wanted[turn % 2])
    for each in models:
        each.close()


@needs_gpu
@pytest.mark.parametrize("pinned", [False, True])
def test_a_stream_of_frames_in_one_buffer(model, pinned):
    """The host fills it anew while the GPU works."""
    frames = np.concatenate([frames_of(5)] * 6)
    buffer = model.pinned_frame() if pinned else np.empty((*SHAPE, 3), np.uint8)

    def camera():
        for frame in frames:
            buffer[:] = frame
            yield buffer

    wanted = np.stack([model(frame) for frame in frames[:5]])
    got = np.stack(list(model.stream(camera())))
    np.testing.assert_array_equal(got.reshape(6, *wanted.shape), np.stack([wanted] * 6))


@needs_gpu
def test_the_arena_grows_between_graphs(model):
    import cupy

    frames = cupy.asarray(frames_of(4))
    single = cupy.asnumpy(model(frames[0]))
    for count in (2, 4, 3):
        got = cupy.asnumpy(model(frames[:count]))
        np.testing.assert_array_equal(got[0], single)
        np.testing.assert_array_equal(cupy.asnumpy(model(frames[0])), single)


@needs_gpu
@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_bad_values_on_the_gpu_give_no_map(model, value):
    import cupy

    frame = cupy.full((*SHAPE, 3), 0.5, cupy.float32)
    frame[100, 200, 1] = value
    assert np.isnan(cupy.asnumpy(model(frame))).all()
    frame[100, 200, 1] = 1
    assert np.isfinite(cupy.asnumpy(model(frame))).all()


@needs_gpu
def test_arrays_with_dlpack_alone(model):
    import cupy

    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **how):
            return self.array.__dlpack__(**how)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    frame = photo_like(SHAPE)
    got = model(Foreign(cupy.asarray(frame)))
    np.testing.assert_array_equal(cupy.asnumpy(got), model(frame))


@needs_gpu
def test_torch_in_torch_out(model):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    frame = photo_like(SHAPE)
    tensor = torch.from_numpy(frame.copy()).cuda()
    got = model(tensor)
    assert isinstance(got, torch.Tensor) and got.is_cuda
    np.testing.assert_array_equal(got.cpu().numpy(), model(frame))
    out = torch.empty_like(got)
    assert model(tensor, out=out) is out
    np.testing.assert_array_equal(out.cpu().numpy(), model(frame))


@needs_gpu
@models
def test_channels_on_the_gpu(name, rng):
    import cupy

    frame = photo_like(SHAPE)
    with Saliency(SHAPE, ittisal.preset(name), backend="cuda") as model:
        added, factor = rng.random(model.map_shape, np.float32), rng.random(SHAPE, np.float32)
        wanted, got = (
            model(put(frame), channels={
                "a": ChannelMap(put(added)), "b": ChannelMap(put(factor), 2, "multiply"),
            })
            for put in (np.asarray, cupy.asarray)
        )  # fmt: skip
        within("same_maths", cupy.asnumpy(got), wanted)


@needs_gpu
@models
def test_the_gpu_and_the_host_agree(name):
    """Up to N, which is discontinuous: there roots and powers that round otherwise may count."""
    from host_kernels import HAS_COMPILER, NO_COMPILER
    from test_kernels_on_host import make

    if not HAS_COMPILER:
        pytest.skip(NO_COMPILER)
    frame, config = photo_like(SHAPE), ittisal.preset(name)
    wanted = make(SHAPE, config).trace(frame)
    with Saliency(SHAPE, config, backend="cuda") as model:
        got = model.trace(frame)
    for key in got:
        if key.startswith(("pyramid/", "orientation/", "centre_surround/", "map/")):
            within("same_maths", got[key], wanted[key])
    assert correlation(got["saliency"], wanted["saliency"]) >= 0.9999


@needs_gpu
def test_a_cupy_image_through_saliency_map():
    import cupy

    image = photo_like((301, 467))
    got = saliency_map(cupy.asarray(image), backend="cuda")
    assert isinstance(got, cupy.ndarray) and got.shape == (301, 467)
    wanted = saliency_map(image, backend="cuda")
    assert np.abs(cupy.asnumpy(got) - wanted).max() < 1e-6


@needs_gpu
def test_frames_cost_no_memory():
    import cupy

    pool = cupy.get_default_memory_pool()
    frame = cupy.asarray(photo_like((480, 640)))
    with Saliency((480, 640), backend="cuda") as model:
        out = cupy.empty(model.map_shape, np.float32)
        model(frame, out=out)
        before = pool.used_bytes()
        for _ in range(300):
            model(frame, out=out)
        assert pool.used_bytes() == before
        held = model.nbytes
    assert pool.used_bytes() <= before - held + 4096
