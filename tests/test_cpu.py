"""The CPU backend as a whole: threads, buffers, other CPUs' vectors, the cache."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from readings import FIVE
from test_stages import photo_like
from tolerances import within

from ittisal import (
    GAZE,
    INVT,
    ITTI_1998,
    VIDEO,
    WHITENED,
    BackendError,
    Config,
    Saliency,
    reference,
)
from ittisal.cli.models import PARTS, parts_of
from ittisal.cpu import describe
from ittisal.cpu.backend import CpuBackend, ModelState
from ittisal.features import FEATURES, TEMPORAL, Channel, Feature, Signal
from ittisal.pipeline import STAGES, FrameFormat, stages
from ittisal.plan import Plan


@pytest.mark.parametrize("shape", [(32, 32), (485, 643), (33, 1999), (1080, 1920)])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_the_map_does_not_depend_on_threads(shape, threads):
    frame = photo_like(shape)
    with (
        Saliency(shape, backend="cpu", threads=1) as one,
        Saliency(shape, backend="cpu", threads=threads) as many,
    ):
        wanted = one(frame)
        for _ in range(5):  # workers may or may not arrive in time
            np.testing.assert_array_equal(many(frame), wanted)


@pytest.mark.parametrize("shape", [(32, 32), (485, 643), (33, 1999)])
def test_nor_do_whitened_maps(shape):
    frame = photo_like(shape)
    with Saliency(shape, WHITENED, backend="cpu", threads=1) as one:
        wanted = one(frame)
    for threads in (2, 7):
        with Saliency(shape, WHITENED, backend="cpu", threads=threads) as many:
            for _ in range(5):
                np.testing.assert_array_equal(many(frame), wanted)


@pytest.mark.parametrize("value", [0, 1, 40, 255])
def test_uniform_frames_are_at_no_distance_from_their_mean(value):
    for shape in ((32, 32), (33, 47), (129, 203)):
        frame = np.full((*shape, 3), (value, value // 2, 255 - value), np.uint8)
        with Saliency(shape, WHITENED, backend="cpu", threads=1) as model:
            assert not model(frame).any()


def test_models_of_different_threads_at_once():
    """Each thread its own model, each model its own workers, frames changing all the while."""
    shape, failures = (129, 203), []
    frames = [np.roll(photo_like(shape), 9 * k, axis=1) for k in range(4)]
    with Saliency(shape, backend="cpu", threads=1) as model:
        wanted = [model(frame) for frame in frames]

    def work(seed):
        with Saliency(shape, backend="cpu", threads=3) as model:
            for k in np.random.default_rng(seed).integers(0, 4, 60):
                if not np.array_equal(model(frames[k]), wanted[k]):
                    failures.append(k)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_bad_values_leave_the_model_usable_by_all_threads():
    shape = (129, 127)
    good, bad = photo_like(shape, "float32"), photo_like(shape, "float32").copy()
    bad[100, 50, 1] = np.nan
    with Saliency(shape, backend="cpu", threads=3) as model:
        wanted = model(good)
        for _ in range(3):
            with pytest.raises(ValueError, match="NaN"):
                model(bad)
            np.testing.assert_array_equal(model(good), wanted)


@pytest.mark.parametrize("where", [(0, 0, 0), (-1, -1, -1), (64, 33, 1)])
@pytest.mark.parametrize(
    ("value", "says"),
    [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf"), (-0.25, "-0.25"), (255, "255")],
)
def test_every_pixel_is_checked(where, value, says):
    frame = photo_like((129, 127), "float32").copy()
    frame[where] = value
    with (
        Saliency((129, 127), backend="cpu", threads=1) as model,
        pytest.raises(ValueError, match=says),
    ):
        model(frame)


def test_frames_cost_no_allocation():
    frame = photo_like((240, 320))
    with Saliency((240, 320), backend="cpu", threads=2) as model:
        out = np.empty(model.map_shape, np.float32)
        for _ in range(3):
            model(frame, out)
        held = model.nbytes
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            model(frame, out)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert model.nbytes == held
    assert after - before < 4096, "Python objects must not pile up, nor arrays"


def test_stages_leave_the_frame_after_it_alone():
    """Two frames in turn give what each gives alone: no state leaks from frame to frame."""
    a, b = photo_like((301, 467)), photo_like((301, 467))[::-1].copy()
    with Saliency((301, 467), backend="cpu", threads=1) as model:
        first = model(a)
        second = model(b)
        np.testing.assert_array_equal(model(a), first)
        np.testing.assert_array_equal(model(b), second)


def test_grey_and_colour_frames_through_one_model():
    shape = (129, 127)
    colour, grey = photo_like(shape), photo_like(shape, channels=1)
    with Saliency(shape, backend="cpu", threads=1) as model:
        for _ in range(2):
            within("float32", model(grey), reference.saliency(grey))
            within("float32", model(colour), reference.saliency(colour))


def test_one_channel_only():
    frame = photo_like((129, 127))
    for channel in ("intensity", "colour", "orientation"):
        config = Config(weights={channel: 2})
        with Saliency((129, 127), config, backend="cpu", threads=1) as model:
            within("float32", model(frame), reference.saliency(frame, config))


def test_brightest_pixel_anywhere():
    """The search for it may skip blocks and stop early, but never miss it."""
    shape = (96, 7001)  # more than one block of the search
    for where in ((0, 0), (41, 3500), (95, 7000)):
        frame = np.full((*shape, 3), 40, np.uint8)
        frame[30:60, 1000:1100] = (40, 3, 3)  # hue only if it is above a tenth of the brightest
        for value in ((255, 100, 90), (255, 255, 255)):
            frame[where] = value
            with Saliency(shape, backend="cpu", threads=1) as model:
                got = model.trace(frame)["pyramid/red_green/2"]
            wanted = reference.trace(frame)["pyramid/red_green/2"]
            within("stage_opponency", got, wanted)


def test_an_option_that_is_lacking_is_refused():
    config = Config(normalise_before_reduction=True)
    with pytest.raises(BackendError, match="normalise_before_reduction"):
        Saliency((64, 64), config, backend="cpu")
    assert Saliency((64, 64), config).backend == "reference"


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_second_caller_is_refused_and_a_closed_model_too():
    frame = photo_like((1080, 1920))
    with Saliency((1080, 1920), backend="cpu", threads=1) as model:
        wanted, seen = model(frame), []

        def work():
            for _ in range(40):
                try:
                    seen.append(np.array_equal(model(frame), wanted))
                except RuntimeError as error:
                    assert "build one for each thread" in str(error)

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert seen and all(seen)
    with pytest.raises(RuntimeError, match="closed; build another"):
        model(frame)


@pytest.mark.parametrize("gain", [1e-3, 1e-12, 1e-30, 1e-40])
def test_frames_as_dim_as_floats_go(gain):
    """Dim frames lose their hues, then count as black; never NaN."""
    frame = (photo_like((129, 127), "float32").astype(float) * gain).astype(np.float32)
    with Saliency((129, 127), backend="cpu", threads=1) as model:
        got = model(frame)
    within("float32", got, reference.saliency(frame))
    assert (got.max() > 0) == (gain > 1e-20)


def test_frames_that_have_to_be_copied():
    shape = (129, 127)
    frame = photo_like(shape)
    linear = Config(linear=True)
    for config, view in ((Config(), frame[:, ::-1]), (linear, frame), (linear, frame[..., 0])):
        with Saliency(shape, config, backend="cpu", threads=1) as model:
            within("float32", model(view), reference.saliency(view, config))
            assert next(iter(model.timings(view))) == "staging"


COMPARE = """
import sys; sys.path[:0] = {path!r}
import numpy as np
from test_stages import photo_like, CONFIGS
from ittisal import Saliency, reference
from ittisal.cpu.simd import LANES
assert LANES == {lanes}, LANES
for shape in ((129, 127), (256, 301)):
    for dtype in ("uint8", "float32"):
        frame = photo_like(shape, dtype)
        got = Saliency(shape, backend="cpu", threads=2)(frame)
        wanted = reference.saliency(frame)
        assert np.abs(got - wanted).max() <= 1e-5 * wanted.max()
"""


X86 = "x86" in describe()["target"]


@pytest.mark.parametrize(
    ("cpu", "lanes"), [("nehalem" if X86 else "", 4), ("haswell" if X86 else "", 8), ("", 16)]
)
def test_vectors_of_every_width(cpu, lanes):
    """What SSE, NEON and AVX2 machines run, on this one."""
    code = COMPARE.format(path=[os.path.dirname(__file__)], lanes=lanes)
    named = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    done = run_python(code, **(named if cpu else {"ITTISAL_LANES": str(lanes)}))
    assert done.returncode == 0, done.stderr


def test_a_bad_lane_count_is_named():
    done = run_python("from ittisal.cpu import target; target.target()", ITTISAL_LANES="5")
    assert "ITTISAL_LANES='5' must be 4, 8 or 16" in done.stderr


TINY = """
import sys, numpy as np, ittisal
from ittisal.cpu import library, store
ittisal.Saliency((32, 32), backend="cpu", threads=1)(np.zeros((32, 32, 3), np.uint8))
print(len(store.compiled), "numba" in sys.modules)
"""


def test_kernels_come_from_the_store_the_second_time():
    """And then Numba is not even imported."""
    first, again = run_python(TINY), run_python(TINY)
    assert first.returncode == 0, first.stderr
    assert again.stdout.split() == ["0", "False"]


def kernels_of(config, dtype="uint8", channels=3, order="rgb", shape=(240, 320), threads=1):
    """The kernels of a frame with one before it."""
    backend = CpuBackend(Plan(shape, config), order, threads)
    state = ModelState(backend, FrameFormat(dtype, channels))
    backend.close()
    return {launch.kernel for launch in state.schedule(past=True)}


def test_kernels_are_shared_by_what_they_depend_on():
    plain = kernels_of(ITTI_1998)
    assert len(kernels_of(ITTI_1998, order="bgr") - plain) == 1
    assert kernels_of(ITTI_1998, shape=(1080, 1920), threads=4) == plain
    assert len(kernels_of(GAZE, order="bgr") - kernels_of(GAZE)) == 1
    # A float frame differs in what reads its pixels, a grey one in the number of planes too.
    differing = {"scan", "opponency", "pyramid"}
    for dtype, channels in (("float32", 3), ("uint16", 3), ("uint8", 1)):
        new = kernels_of(ITTI_1998, dtype, channels) - plain
        assert {kernel.module for kernel in new} <= differing
    assert {k.module for k in kernels_of(FIVE) - plain} <= {
        "opponency", "pyramid", "motion", "combine",
    }  # fmt: skip


@pytest.mark.parametrize("config", [ITTI_1998, INVT, FIVE, VIDEO, WHITENED, GAZE])
def test_launches_cover_each_stage_in_order(config):
    for colour, past in itertools.product((True, False), repeat=2):
        backend = CpuBackend(Plan((240, 320), config), "rgb", 2)
        state = ModelState(backend, FrameFormat("uint8", 3 if colour else 1))
        backend.close()
        launched = [launch.stage for launch in state.schedule(past)]
        wanted = stages(backend.plan, colour=colour, past=past)
        assert tuple(dict.fromkeys(launched)) == wanted == tuple(s for s in STAGES if s in wanted)
        assert all(launch.tasks > 0 for launch in state.schedule(past))


def test_a_feature_of_the_table_is_computed(monkeypatch):
    """A row more in the table has maps, of a plane that nothing fills; the map is what it was."""
    frame = photo_like((129, 127))
    with Saliency((129, 127), backend="cpu", threads=1) as model:
        wanted = model(frame)
    extra = Feature("extra", Channel.ORIENTATION, "extra", "orientation", Signal.ONE)
    monkeypatch.setattr("ittisal.plan.FEATURES", (*FEATURES, extra))
    with Saliency((129, 127), backend="cpu", threads=1) as model:
        trace = model.trace(frame)
    assert not trace["feature/extra"].any() and not trace["extra/2"].any()
    np.testing.assert_array_equal(trace["saliency"], wanted)


def test_every_channel_has_a_name_on_the_command_line_and_a_contribution():
    config = Config(weights=dict.fromkeys(Channel, 1))
    assert {str(channel) for channel in Channel} <= set(PARTS)
    assert set(parts_of(config)) == {str(c) for c in Channel if c not in TEMPORAL}
    with Saliency((129, 127), config, backend="cpu", threads=1) as model:
        for _ in range(2):
            model(photo_like((129, 127)))
        assert set(model.contributions()) == {str(channel) for channel in Channel}


def test_an_interrupted_first_frame_leaves_the_model_usable(monkeypatch):
    frame = photo_like((129, 127))
    with Saliency((129, 127), backend="cpu", threads=1) as model:
        with monkeypatch.context() as patch:
            patch.setattr(ModelState, "tables_of", lambda *_: (_ for _ in ()).throw(MemoryError))
            with pytest.raises(MemoryError):
                model(frame)
        within("float32", model(frame), reference.saliency(frame))


def test_stages_run_apart_come_in_their_order():
    """Launches beside or fused with others that are left out wait for all before them."""
    backend = CpuBackend(Plan((129, 127), GAZE), "rgb", 3)
    frame = photo_like((129, 127))
    wanted, got = (np.empty(backend.plan.map_shape, np.float32) for _ in range(2))
    backend.run(frame, wanted)
    backend.run_stages(frame, got, ("opponency", "pyramid", "orientation"))
    for chosen in (("whiten",), ("figure",), ("centre_surround",), ("normalise", "combine")):
        backend.run_stages(frame, got, chosen)
    backend.close()
    np.testing.assert_array_equal(got, wanted)


def test_forgotten_models_take_their_threads_along():
    before = threading.active_count()
    for _ in range(5):
        Saliency((64, 64), backend="cpu", threads=3)(np.zeros((64, 64), np.uint8))
    gc.collect()
    deadline = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert threading.active_count() <= before
