"""The CUDA backend as a whole, on the host: repeatable, in any order, and its faults would be seen.

`test_stages` holds the kernels against the reference; here is what a GPU adds: threads that race,
frames that lie elsewhere, buffers that are used again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import host_kernels
import numpy as np
import pytest
import test_channels
import test_cuda_time
from host_device import HostDevice
from test_stages import CONFIGS, photo_like
from tolerances import no_sum_is_negative, within

from ittisal import (
    GAZE,
    GBVS,
    INVT,
    ITTI_1998,
    TOOLBOX,
    VOCUS2,
    BackendError,
    Config,
    Saliency,
    upsample,
)
from ittisal.allocator import Allocator
from ittisal.cuda import backend as cuda_backend
from ittisal.cuda import sources, supports
from ittisal.cuda.backend import CudaBackend
from ittisal.cuda.program import ProgramBackend
from ittisal.cuda.schedule import schedule
from ittisal.pipeline import PROGRAM_STAGES, FrameFormat
from ittisal.plan import Plan

pytestmark = pytest.mark.skipif(not host_kernels.HAS_COMPILER, reason=host_kernels.NO_COMPILER)

SHAPE = (65, 83)
MOAT = 4096  # floats: more than a tile's rows of any plane here
_take = Allocator.take
READINGS = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "split": CONFIGS["split"],
    "iterative": replace(CONFIGS["iterative"], normalise_saliency=True),
    "gaze": replace(GAZE, weights={"colour": 1, "orientation": 1, "whitened": 1}),
    "toolbox": TOOLBOX,
    "vocus2": VOCUS2,
    "gbvs": GBVS,
}
# Fault points of the kernels: FAULT(name) in their text.
MOAT_FAULTS = ["rows_too_many", "one_sample_too_many"]
FAULTS = [
    "missed_halo_row",
    "wrong_weight",
    "borders_as_interior",
    "one_column_too_many",
    "orientations_swapped",
    "the_wrong_surround",
    "counter_not_reset",
    "nobody_is_last",
    "a_map_too_few",
    "another_hue_threshold",
]
FIGURE_FAULTS = [
    "from_one_end",
    "pits_for_peaks",
    "the_third_least",
    "isolated_items",
    "the_means_left_in",
    "the_inverses_columns",
    "another_scales_energies",
    "no_fade",
]
SANITIZED_FAULTS = {  # what the sanitizers say, and where
    "one_output_too_many": ("heap-buffer-overflow", "combine.cu:"),
    "one_column_on": ("heap-buffer-overflow", "upsample.cu:"),
    "narrow_lines": ("out of bounds", "downsample.cuh:"),
    "narrow_parts": ("", "common.cuh:"),
}


def planted(fault):
    """What to define so that a fault is planted."""
    return {f"FAULT_{fault}": 1} if fault else {}


def make(shape=SHAPE, config=ITTI_1998, **device):
    backend = ProgramBackend if config.model in PROGRAM_STAGES else CudaBackend
    return backend(Plan(shape, config), "rgb", HostDevice(**device))


def saliency(backend, frame):
    out = np.empty(backend.plan.map_shape, np.float32)
    backend.run(frame, out)
    return out


def frames_of(count, shape=SHAPE, dtype="uint8"):
    return np.stack([np.roll(photo_like(shape, dtype), 7 * k, axis=1) for k in range(count)])


# --- the same bits, whatever the order ---------------------------------------------------------


@pytest.mark.parametrize("reading", READINGS)
def test_the_order_of_threads_and_blocks_does_not_matter(reading):
    shape = (150, 470)  # several tiles of every kernel
    frame = photo_like(shape)
    wanted = make(shape, READINGS[reading]).trace(frame)
    no_sum_is_negative(wanted)
    for order in host_kernels.ORDERS[1:]:
        got = make(shape, READINGS[reading], order=order, seed=7).trace(frame)
        for key, value in got.items():
            np.testing.assert_array_equal(value, wanted[key], err_msg=f"{key}, {order}")


@pytest.mark.parametrize("reading", READINGS)
def test_frames_do_not_remember_each_other(reading):
    backend, frames = make(config=READINGS[reading]), frames_of(2)
    first = saliency(backend, frames[0])
    second = saliency(backend, frames[1])
    assert not np.array_equal(first, second)
    for _ in range(3):
        np.testing.assert_array_equal(saliency(backend, frames[0]), first)
        np.testing.assert_array_equal(saliency(backend, frames[1]), second)


def test_markers_too_large_for_shared_memory_are_the_same():
    """As of frames of 768 by 1024; they lie in the arena."""
    frame, config, little = photo_like(SHAPE), READINGS["gaze"], {"SHARED_SAMPLES": 8}
    wanted = make(config=config).trace(frame)
    for order in host_kernels.ORDERS:
        got = make(config=config, order=order, seed=3, defines=little).trace(frame)
        for key in ("surroundedness/intensity/on", "surroundedness/blue_yellow/off", "saliency"):
            np.testing.assert_array_equal(got[key], wanted[key])


@pytest.mark.parametrize("reading", ["itti1998", "invt", "split", "gaze"])
def test_sums_that_several_blocks_share_are_the_same(monkeypatch, reading):
    """As of large frames: each step of `normalise` and `combine` is a launch of its own."""
    shape, config = (150, 470), replace(READINGS[reading], normalise_saliency=reading == "invt")
    frame, wanted = photo_like(shape), make(shape, config).trace(photo_like(shape))
    shared = dict.fromkeys(("normalise", "combine", "figure"), (64, 64))
    monkeypatch.setattr("ittisal.cuda.schedule.SHARED", shared)
    for order in host_kernels.ORDERS:
        backend = make(shape, config, order=order, seed=5)
        got = backend.trace(frame)
        launched = backend.device.launched
        assert launched.count("normalise") == 2
        assert launched.count("combine") == (7 if reading == "invt" else 5)
        for key, value in got.items():
            np.testing.assert_array_equal(value, wanted[key], err_msg=f"{key}, {order}")


def test_formats_take_turns():
    backend = make()
    frames = [photo_like(SHAPE, dtype, n) for dtype in ("uint8", "float32") for n in (3, 1)]
    wanted = [saliency(make(), frame) for frame in frames]
    for _ in range(2):
        for frame, alone in zip(frames, wanted, strict=True):
            np.testing.assert_array_equal(saliency(backend, frame), alone)


def test_neither_the_frame_nor_the_tables_are_written_to():
    backend, frame = make(), photo_like(SHAPE).copy()
    tables, before = backend.tables.copy(), frame.copy()
    saliency(backend, frame)
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_array_equal(backend.tables, tables)


@pytest.mark.parametrize("reading", READINGS)
def test_every_sample_of_the_arena_is_written_before_it_is_read(reading):
    """What an earlier model left in the device's memory makes no difference."""
    frame = photo_like(SHAPE)
    wanted = saliency(make(config=READINGS[reading]), frame)
    backend = make(config=READINGS[reading])
    test_cuda_time.forget(backend, np.nan)
    np.testing.assert_array_equal(saliency(backend, frame), wanted)


@pytest.fixture
def moats(monkeypatch):
    """Space after each buffer of the arena: a function that sets it to NaN, and says where."""
    taken = []

    def with_a_moat(self, size):
        offset = _take(self, size)
        taken.append((self, slice(offset + size, _take(self, MOAT) + MOAT)))
        return offset

    def filled(backend):
        ours = [moat for owner, moat in taken if owner.size == backend.layout.frame_floats]
        assert len(ours) >= 9  # levels and the rest
        for moat in ours:
            backend.arena[moat] = np.nan
        return ours

    monkeypatch.setattr(Allocator, "take", with_a_moat)
    return filled


def crossed(backend, moats, frame):
    """The frame's map, and whether anything was written between the buffers."""
    ours = moats(backend)
    before = backend.arena.view(np.uint32).copy()
    got, after = saliency(backend, frame), backend.arena.view(np.uint32)
    return got, any((after[moat] != before[moat]).any() for moat in ours)


@pytest.mark.parametrize("shape", [SHAPE, (33, 523)])
@pytest.mark.parametrize("reading", READINGS)
def test_nothing_between_the_buffers_is_written_or_used(moats, reading, shape):
    """They lie close in the arena, where no sanitizer sees one run into the next."""
    frame = photo_like(shape)
    got, wet = crossed(make(shape, READINGS[reading]), moats, frame)
    assert not wet
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Allocator, "take", _take)
        np.testing.assert_array_equal(got, saliency(make(shape, READINGS[reading]), frame))


@pytest.mark.parametrize("fault", MOAT_FAULTS)
def test_samples_too_many_are_noticed(moats, fault):
    shape = (300, 470)  # all six pairs
    assert crossed(make(shape, defines=planted(fault)), moats, photo_like(shape))[1]


def test_a_frame_keeps_to_its_part_of_the_arena():
    backend = make()
    saliency(backend, photo_like(SHAPE))
    backend.run_device(frames_of(3), np.empty((3, *backend.plan.map_shape), np.float32), 3)
    others = backend.arena[backend.layout.frame_floats :]
    before = others.copy()
    for _ in range(2):  # as it comes, and as a graph
        saliency(backend, photo_like(SHAPE)[::-1].copy())
    np.testing.assert_array_equal(others, before)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_brightest_pixel_is_found_anywhere(dtype):
    shape = (33, 35)
    backend = make(shape)
    full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    found = slice(int(backend.layout.geometry["found"]), None)
    for place in [0, 1, 2, 3, 4, 5, 500, 33 * 35 - 10, *range(33 * 35 - 9, 33 * 35)]:
        frame = np.zeros((33 * 35, 3), dtype)
        frame[place] = full * 0.25, full * 0.5, full * 0.75
        saliency(backend, frame.reshape(*shape, 3))
        wanted = np.float32(frame[place].sum(dtype=np.float64) / (3 * full))
        assert backend.arena[found][0] == pytest.approx(wanted, rel=1e-6), place


# --- batches, streams, pinned frames ------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("space", [1, 3, 100])
def test_a_batch_is_its_frames(monkeypatch, dtype, space):
    """Also where not all fit at once, and some are left over."""
    backend = make()
    monkeypatch.setattr(cuda_backend, "BATCH_BYTES", space * 4 * backend.layout.frame_floats)
    frames = frames_of(5, dtype=dtype)
    wanted = np.stack([saliency(make(), frame) for frame in frames])
    out = np.empty_like(wanted)
    for count in (5, 4, 1):
        backend.run_batch(frames[:count], out[:count])
        np.testing.assert_array_equal(out[:count], wanted[:count])
        backend.run_device(frames[:count], out[:count], count)
        np.testing.assert_array_equal(out[:count], wanted[:count])


def test_a_graph_is_recorded_once_per_format_and_number_of_frames():
    backend, frames = make(), frames_of(4)
    out = np.empty((4, *backend.plan.map_shape), np.float32)
    for _ in range(5):
        saliency(backend, frames[0])
    assert backend.device.recorded == 1
    for _ in range(5):
        saliency(backend, frames[0, ..., 0].copy())
    assert backend.device.recorded == 2
    backend.run_device(frames, out, 4)  # the arena grows: what was recorded holds its address
    wanted = saliency(make(), frames[0])
    for _ in range(5):
        np.testing.assert_array_equal(saliency(backend, frames[0]), wanted)
        backend.run_device(frames, out, 4)
        np.testing.assert_array_equal(out[0], wanted)
    assert backend.device.recorded == 4


def test_kernels_are_launched_in_the_order_of_the_schedule():
    backend = make()
    frame = photo_like(SHAPE)
    saliency(backend, frame)
    backend.device.launched.clear()
    saliency(backend, frame)
    launches = schedule(backend.layout, FrameFormat("uint8", 3), 1)
    assert backend.device.launched == [one.kernel for one in launches]
    assert len(launches) == 7


@pytest.fixture
def model(gpu_on_host):
    with Saliency(SHAPE, backend="cuda") as made:
        yield made


def test_a_stream_asks_ahead_by_one_frame(model):
    frames, asked = frames_of(4), []

    def source():
        for k, frame in enumerate(frames):
            asked.append(k)
            yield frame

    maps = model.stream(source())
    assert not asked
    np.testing.assert_array_equal(next(maps), model._backend and saliency(make(), frames[0]))
    assert asked == [0, 1]
    assert len(list(maps)) == 3


def test_a_stream_that_is_left_or_fails_leaves_the_model_usable(model):
    frames = frames_of(3)
    maps = model.stream(iter(frames))
    next(maps)
    with pytest.raises(RuntimeError, match="a stream of frames that has not ended"):
        model(frames[0])
    maps.close()
    wanted = model(frames[0])
    with pytest.raises(ValueError, match="not an image"):
        list(model.stream([frames[0], frames[1], np.zeros((2, 2, 2, 2, 2), np.uint8)]))
    bad = frames_of(3, dtype="float32")
    bad[1, 50, 60] = np.nan
    found = []
    with pytest.raises(ValueError, match="NaN"):
        found.extend(model.stream(bad))
    assert len(found) == 1, "the map of the frame before is there, and no other"
    np.testing.assert_array_equal(model(frames[0]), wanted)


def test_a_camera_that_fails_leaves_the_model_usable(model):
    frame = photo_like(SHAPE)

    def camera():
        yield frame
        yield frame
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(model.stream(camera()))
    np.testing.assert_array_equal(model(frame), saliency(make(), frame))


def test_pinned_frames_are_read_where_they_are(model, monkeypatch):
    frames, pinned = frames_of(4), model.pinned_frame()
    copied = []
    copy = HostDevice.copy

    def watch(self, target, source, nbytes, stream):
        if nbytes == pinned.nbytes:
            copied.append(source)
        copy(self, target, source, nbytes, stream)

    monkeypatch.setattr(HostDevice, "copy", watch)

    def camera():
        for frame in frames:
            pinned[:] = frame  # one buffer for all
            yield pinned

    maps = list(model.stream(camera()))
    assert copied == [pinned.ctypes.data] * 4
    for got, frame in zip(maps, frames, strict=True):
        np.testing.assert_array_equal(got, saliency(make(), frame))
    model(frames[0])
    assert copied[-1] != frames[0].ctypes.data  # any other memory is staged
    part = model.pinned_frame(frames=3)
    assert part.shape == (3, *SHAPE, 3)
    part[:] = frames[:3]
    np.testing.assert_array_equal(model(part), model(frames[:3]))


# --- frames on the device ----------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.01, 1.01])
def test_bad_values_on_the_device_give_no_map(value):
    """Nobody waits for the device, so nobody can be told: the map is NaN, the next one right."""
    backend, good = make(), photo_like(SHAPE, "float32")
    bad = good.copy()
    bad[37, 33, 1] = value
    out = np.empty((3, *backend.plan.map_shape), np.float32)
    backend.run_device(np.stack([good, bad, good]), out, 3)
    assert np.isnan(out[1]).all()
    np.testing.assert_array_equal(out[0], saliency(make(), good))
    np.testing.assert_array_equal(out[2], out[0])


def test_strided_frames_on_the_device_are_copied():
    backend, frame = make(), photo_like(SHAPE)
    wanted = saliency(make(), np.ascontiguousarray(frame[:, ::-1]))
    out = np.empty(backend.plan.map_shape, np.float32)
    for _ in range(2):
        backend.run_device(frame[:, ::-1], out)
        np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("reading", ["itti1998", "invt"])
@pytest.mark.parametrize("shape", [SHAPE, (32, 700), (47, 33)])
def test_upsample_is_the_packages_own(shape, reading):
    config = READINGS[reading]
    backend, frame = make(shape, config), photo_like(shape)
    raw = np.empty(backend.plan.map_shape, np.float32)
    full = np.empty(shape, np.float32)
    backend.run_device(frame, raw)
    backend.upsample_device(raw, full)
    within("upsampled", full, upsample(raw / raw.max(), shape, config))
    backend.run_device(np.zeros_like(frame), raw)
    backend.upsample_device(raw, full)
    assert not full.any()


def test_a_trace_after_a_batch(model):
    """The batch's slots are larger than one frame."""
    frames = frames_of(3)
    wanted = model(frames)
    np.testing.assert_array_equal(model.trace(frames[1])["saliency"], wanted[1])
    assert model.timings(frames[1])["total"] > 0


def test_closing_in_the_middle_of_a_stream_is_an_error_not_a_crash(model):
    maps = model.stream(iter(frames_of(6)))
    next(maps)
    model.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(maps)


# --- limits ------------------------------------------------------------------------------------


def test_too_large_a_frame_is_refused_before_anything_is_allocated(monkeypatch):
    for name in ("zeros", "pinned", "upload", "compile"):
        monkeypatch.setattr(HostDevice, name, None)
    with pytest.raises(ValueError, match=r'40000x40000 pixels; .*backend="cpu"'):
        make((40000, 40000))


def test_nbytes_is_what_was_asked_of_the_device(monkeypatch):
    asked = []

    def watch(original):
        def watched(self, *given):
            asked.append(original(self, *given))
            return asked[-1]

        return watched

    for name in ("zeros", "pinned", "upload"):
        monkeypatch.setattr(HostDevice, name, watch(getattr(HostDevice, name)))
    backend = make()
    saliency(backend, photo_like(SHAPE))
    assert backend.nbytes == sum(array.nbytes for array in asked)
    pinned = backend.pinned_frame((*SHAPE, 3), np.uint8)  # the caller's
    assert backend.nbytes == sum(array.nbytes for array in asked) - pinned.nbytes


def test_no_memory_left_leaves_the_model_usable(model, monkeypatch):
    frames = frames_of(3)
    wanted = model(frames[0])

    def zeros(self, size, dtype):
        raise MemoryError("9 MiB of GPU memory could not be had")

    with monkeypatch.context() as patch:
        patch.setattr(HostDevice, "zeros", zeros)
        with pytest.raises(MemoryError, match="could not be had"):
            model(frames)
        with pytest.raises(MemoryError, match="could not be had"):
            model(frames[0].astype(np.float32) / 255)
        np.testing.assert_array_equal(model(frames[0]), wanted)
    np.testing.assert_array_equal(model(frames)[0], wanted)


@pytest.mark.parametrize("name", ["zeros", "pinned"])
@pytest.mark.parametrize("after", [0, 1])
def test_memory_that_ends_half_way_leaves_the_model_usable(model, monkeypatch, name, after):
    """Some of what a batch or another format of frames needs is had, the rest is not."""
    frames, calls = frames_of(3), []
    wanted = model(frames[0])
    original = getattr(HostDevice, name)

    def scarce(self, *given):
        calls.append(given)
        if len(calls) > after:
            raise MemoryError("9 MiB could not be had")
        return original(self, *given)

    for asked in (frames, frames[0].astype(np.uint16) * 257, frames / np.float32(255)):
        with monkeypatch.context() as patch:
            patch.setattr(HostDevice, name, scarce)
            calls.clear()
            with pytest.raises(MemoryError, match="could not be had"):
                model(asked)
            np.testing.assert_array_equal(model(frames[0]), wanted)
        model(asked)
        np.testing.assert_array_equal(model(frames[0]), wanted)
    np.testing.assert_array_equal(model(frames), [saliency(make(), frame) for frame in frames])


def test_what_it_lacks_is_named(gpu_on_host):
    config = Config(normalise_before_reduction=True)
    assert supports(config)[0] is False
    with pytest.raises(BackendError, match=r"^backend='cuda' cannot be used: cuda: .*reduction"):
        Saliency(SHAPE, config, backend="cuda")


def test_kernels_that_do_not_compile_are_an_error_when_the_model_is_made(gpu_on_host, monkeypatch):
    def compile(self, units):
        raise BackendError("the CUDA kernels do not compile for this host: ...")

    monkeypatch.setattr(HostDevice, "compile", compile)
    with pytest.raises(BackendError, match="do not compile"):
        Saliency(SHAPE, backend="cuda")


def test_a_gpu_that_fails_is_a_backend_error(model, monkeypatch):
    """Also for frames on the GPU, which nobody waits for."""
    frame = photo_like(SHAPE)
    wanted = model(frame)

    def launch(self, *given):
        raise RuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")

    with monkeypatch.context() as patch:
        patch.setattr("ittisal.cuda.graphs.Graphs.launch", launch)
        with pytest.raises(BackendError, match=r"failed \(cudaErrorIllegalAddress.* start this"):
            model(frame)
        with pytest.raises(BackendError, match=r"failed \(cudaErrorIllegalAddress"):
            model._backend.run_device(frame, np.empty_like(wanted))
    np.testing.assert_array_equal(model(frame), wanted)


def test_a_strided_frame_without_cuda_headers(model, monkeypatch):
    """CuPy compiles a kernel to copy it, with NVIDIA's headers."""

    class Unwritable(np.ndarray):
        def __setitem__(self, where, value):
            raise RuntimeError("Failed to find CUDA headers. Please install them.")

    def empty(self, shape, dtype=np.float32):
        return np.empty(shape, dtype).view(Unwritable)

    monkeypatch.setattr(HostDevice, "empty", empty)
    model._backend.staging.clear()
    with pytest.raises(BackendError, match=r"not C-contiguous .*headers.*give a C-contig"):
        model._backend.contiguous(photo_like(SHAPE)[:, ::-1])


def test_closing_lets_go(model):
    model(photo_like(SHAPE))
    assert model.nbytes > 0
    model.close()
    model.close()
    assert model._backend.nbytes == 0
    with pytest.raises(RuntimeError, match="closed"):
        model(photo_like(SHAPE))


# --- planted faults ----------------------------------------------------------------------------

# Blocks run one after another here, so the others' samples are there, waited for or not. (For the
# same reason a `last_of` that is always true goes unseen: the last block does all of it again.)
UNSEEN = "bool last_of("


def barriers():
    """(file, line) of every barrier."""
    for name, text in sources.read().items():
        seen = True
        for number, line in enumerate(text.splitlines(), 1):
            seen = seen and UNSEEN not in line
            if "__syncthreads();" in line:
                if seen:
                    yield name, number
                seen = True


@pytest.fixture
def tall(monkeypatch):
    """Tiles that go on downwards."""
    monkeypatch.setattr("ittisal.cuda.schedule.ENOUGH", 1)


def outcome(reading, order="forward", **device):
    """All that a frame gives, and the map of another after it; or the error."""
    shape = (300, 470)
    backend = make(shape, READINGS[reading], order=order, seed=3, **device)
    frame = photo_like(shape)
    try:
        return {**backend.trace(frame), "after": saliency(backend, frame[::-1].copy())}
    except RuntimeError as error:
        return str(error)


right = lru_cache(outcome)  # of tall tiles


def noticed(readings, **device):
    """Whether a fault shows, in some order of threads."""
    for reading in readings:
        for order in host_kernels.ORDERS:
            got = outcome(reading, order, **device)
            if isinstance(got, str):
                return got
            different = [k for k in got if not np.array_equal(got[k], right(reading)[k])]
            if different:
                return f"{different[0]} differs in order {order}"
    return ""


@pytest.mark.parametrize("barrier", list(barriers()), ids="{0[0]}:{0[1]}".format)
def test_a_barrier_taken_out_is_noticed(tall, barrier):
    ones = {"normalise.cuh": ["iterative"], "normalise.cu": ["split"], "whiten.cu": ["gaze"]}
    ones["gbvs.cu"] = ["gbvs"]
    readings = ones.get(barrier[0], ["itti1998", "invt", "iterative", "gaze"])
    assert noticed(readings, without_barrier=barrier)


@pytest.mark.parametrize("fault", [*FAULTS, *FIGURE_FAULTS])
def test_a_fault_is_noticed(tall, fault):
    assert noticed(["gaze" if fault in FIGURE_FAULTS else "itti1998"], defines=planted(fault))


def test_every_fault_is_planted_by_some_test():
    there = set(re.findall(r"FAULT\((\w+)\)", "".join(sources.read().values()))) - {"name"}
    planted_here = {*MOAT_FAULTS, *FAULTS, *FIGURE_FAULTS, *SANITIZED_FAULTS}
    assert there == planted_here | {*test_cuda_time.FAULTS, *test_channels.FAULTS}


# --- under the sanitizers ----------------------------------------------------------------------

SANITIZED = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from ittisal import INVT, ITTI_1998, TOOLBOX
from test_kernels_on_host import READINGS, make, planted, replace, saliency
from test_stages import photo_like

fault = sys.argv[2]
# All kernels, in six.
split = replace(INVT, split_cs=True, normalisation="iterative")
CONFIGS = ITTI_1998, split, *(READINGS[name] for name in ("gaze", "toolbox", "vocus2", "gbvs"))
cases = {"forward": (61, 67), "random": (33, 131)}
for config in CONFIGS if not fault else [ITTI_1998]:
    for order, shape in cases.items() if not fault else [("forward", (61, 67))]:
        settings = {"order": order, "sanitize": True, "defines": planted(fault)}
        backend = make(shape, config, **settings)
        for frame in (photo_like(shape), photo_like(shape, "float32", 1)):
            saliency(backend, frame)
        raw, full = (np.empty(s, np.float32) for s in (backend.plan.map_shape, shape))
        backend.run_device(photo_like(shape), raw)
        backend.upsample_device(raw, full)
print("clean")
"""


def sanitized(fault=""):
    environment = host_kernels.sanitizer_environment()
    if environment is None:
        pytest.skip("g++ has no AddressSanitizer here")
    command = [sys.executable, "-c", SANITIZED, str(Path(__file__).parent), fault]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)


def test_whole_frames_are_clean_under_the_sanitizers():
    done = sanitized()
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == "clean\n"


@pytest.mark.parametrize("fault", SANITIZED_FAULTS)
def test_the_sanitizers_name_the_line(fault):
    says, where = SANITIZED_FAULTS[fault]
    done = sanitized(fault)
    assert done.returncode != 0
    assert says in done.stderr and where in done.stderr, done.stderr[-4000:]
