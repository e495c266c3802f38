"""The contract of `Saliency` and `saliency_map`, of frames, and of the choice of backend."""

from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import BACKENDS, model
from readings import FIVE
from tolerances import within

import ittisal.model
from ittisal import (
    INVT,
    ITTI_1998,
    VIDEO,
    BackendError,
    Config,
    Saliency,
    reference,
    saliency_map,
    upsample,
)
from ittisal.backends import available, choose
from ittisal.frames import MAX_SIDE, check_frame, composite
from ittisal.maps import peak
from ittisal.pipeline import STAGES

EVEN = replace(ITTI_1998, phase="even")
SPLIT = replace(ITTI_1998, split_cs=True)
BEFORE = replace(ITTI_1998, normalise_before_reduction=True)
SHAPE = (96, 128)


@pytest.fixture
def small(photo):
    """A small colour frame, uint8."""
    return photo[:96, :128].copy()


@pytest.fixture
def run(backend):
    """A model of `SHAPE`, by the backend under test."""
    return model(backend, SHAPE)


# --- frame formats -----------------------------------------------------------------------------


def test_integers_are_divided_by_their_full_scale(run, small):
    wanted = run(small / np.float32(255))
    within("scaled_input", run(small), wanted)
    within("scaled_input", run(small.astype(np.uint16) * 257), wanted)


def test_a_uint16_frame_is_not_taken_for_bytes(run, small):
    """A frame of twelve bits in a 16-bit type is dim, not wrong: hue and N do not mind."""
    twelve = small.astype(np.uint16) * 16
    within("scaled_input", run(twelve), run(small / np.float32(255)))


def test_float_types(run, small):
    single = small / np.float32(255)
    assert np.array_equal(run(single.astype(np.float64)), run(single))
    half = single.astype(np.float16)
    assert np.array_equal(run(half), run(half.astype(np.float32)))
    within("half_float", run(half), run(single))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_grey_frames(run, small, dtype):
    whole = small[..., 2]  # in which no two peaks of a map nearly tie: (M - m)^2 would be rounding
    grey = whole.astype(dtype) / dtype(255 if np.dtype(dtype).kind == "f" else 1)
    grey = grey.astype(dtype)
    assert np.array_equal(run(grey[..., None]), run(grey))
    assert np.array_equal(run(np.asfortranarray(grey)), run(grey))
    within("scaled_input", run(grey), run(whole))


def test_arrays_of_other_libraries(run, small):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return small

    assert np.array_equal(run(Tensor()), run(small))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "I;16", "F"])
def test_pil_images(small, mode):
    Image = pytest.importorskip("PIL.Image")
    plain = small if mode.startswith("RGB") else small[..., 2]
    numbers = {"I;16": plain * np.uint16(257), "F": plain / np.float32(255)}.get(mode, plain)
    image = Image.fromarray(numbers)
    image = image if image.mode == mode else image.convert(mode)
    assert image.mode == mode
    within("scaled_input", saliency_map(image), saliency_map(plain))
    if not mode.endswith("A"):
        within("scaled_input", model("cpu", SHAPE)(image), model("cpu", SHAPE)(plain))


@pytest.mark.parametrize("mode", ["P", "CMYK", "HSV", "YCbCr", "1"])
def test_pil_images_of_other_numbers_are_refused(small, mode):
    Image = pytest.importorskip("PIL.Image")
    image = Image.fromarray(small).convert(mode)
    for run in (saliency_map, model("reference", SHAPE)):
        with pytest.raises(TypeError, match=r'convert it first: frame.convert\("RGB"\)'):
            run(image)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_models_belong_to_one_process(copied):
    with pytest.raises(TypeError, match="build one per process"):
        copied(model("cpu", SHAPE))


def test_masked_arrays(small):
    """A mask is never overlooked; one that masks nothing is none."""
    masked = np.ma.masked_array(small, mask=False)
    np.testing.assert_array_equal(saliency_map(masked), saliency_map(small))
    masked[3, 4] = np.ma.masked
    for run in (saliency_map, model("reference", SHAPE)):
        with pytest.raises(ValueError, match=r"3 of its numbers are masked; fill"):
            run(masked)


@pytest.mark.parametrize(
    ("dtype", "order"),
    [
        (np.uint8, "C"),
        (np.uint8, "F"),
        (np.uint16, "C"),
        (np.float16, "C"),
        (np.float32, "C"),
        (np.float64, "F"),
    ],
)
def test_the_input_is_never_changed(run, small, dtype, order):
    scale = 255 if np.dtype(dtype).kind == "f" else 1
    frame = np.array(small / scale, dtype, order=order)
    before = frame.copy()
    run(frame)
    run.trace(frame)
    run.timings(frame)
    saliency_map(frame, backend=run.backend)
    assert np.array_equal(frame, before)


def test_frames_do_not_remember_each_other(backend, small):
    """Colour, grey, other types: nothing of one frame is left for the next."""
    with Saliency(SHAPE, backend=backend) as run:
        first = run(small)
        frames = [small[::-1], small[..., 0], small / np.float32(255), np.zeros_like(small)]
        for frame in frames:
            with Saliency(SHAPE, backend=backend) as fresh:
                assert np.array_equal(run(frame), fresh(frame))
        assert np.array_equal(run(small), first)


def test_check_frame_copies_only_what_it_must(small):
    for frame in (small, small.astype(np.uint16), small.astype(np.float32), small[..., 0]):
        assert check_frame(frame) is frame
    assert check_frame(small[..., :1]).base is not None
    assert check_frame(small.astype(np.float64)).dtype == np.float32


# --- what is refused ---------------------------------------------------------------------------


def poisoned(value, at=(50, 60)):
    frame = np.full((*SHAPE, 3), 0.5, np.float32)
    frame[at] = value
    return frame


BAD_FRAMES = {
    "None": (None, TypeError, ["NoneType", "camera or the file reader", "(H, W, 3)"]),
    "list": ([[0, 1]], TypeError, ["list", "give a NumPy array of shape"]),
    "text": ("photo.png", TypeError, ["str", "give a NumPy array"]),
    "int32": (np.zeros((*SHAPE, 3), np.int32), TypeError, ["int32", "uint8 (0-255)", "Divide"]),
    "int8": (np.zeros(SHAPE, np.int8), TypeError, ["int8", "float in [0, 1]"]),
    "uint32": (np.zeros(SHAPE, np.uint32), TypeError, ["uint32", "Divide other integers"]),
    "bool": (np.zeros(SHAPE, bool), TypeError, ["bool", "give uint8"]),
    "complex": (np.zeros(SHAPE, complex), TypeError, ["complex128", "give uint8"]),
    "object": (np.zeros(SHAPE, object), TypeError, ["object", "give uint8"]),
    "2 channels": (np.zeros((*SHAPE, 2), np.uint8), ValueError, ["(96, 128, 2)", "(H, W, 3)"]),
    "4 channels": (np.zeros((*SHAPE, 4), np.uint8), ValueError, ["(96, 128, 4)", "[..., :3]"]),
    "5 channels": (np.zeros((*SHAPE, 5), np.uint8), ValueError, ["(96, 128, 5)", "(H, W) grey"]),
    "1 axis": (np.zeros(96, np.uint8), ValueError, ["(96,)", "give (H, W, 3) colour"]),
    "5 axes": (np.zeros((2, 1, *SHAPE, 3), np.uint8), ValueError, ["(2, 1, 96, 128, 3)", "image"]),
    "empty": (np.zeros((0, 128, 3), np.uint8), ValueError, ["(0, 128, 3)", "empty"]),
    "no axes": (np.array(3, np.uint8), ValueError, ["()", "not an image"]),
    "other size": (
        np.zeros((128, 96, 3), np.uint8),
        ValueError,
        ["(128, 96, 3)", "(96, 128)", "Build another", "saliency_map(frame)"],
    ),
    "NaN": (poisoned(np.nan), ValueError, ["NaN", "nan_to_num"]),
    "inf": (poisoned(np.inf), ValueError, ["inf", "[0, 1]", "Divide by the full scale"]),
    "-inf": (poisoned(-np.inf), ValueError, ["-inf", "[0, 1]", "Clip"]),
    "negative": (poisoned(-0.25), ValueError, ["-0.25", "[0, 1]", "Clip or rescale"]),
    "over 1": (poisoned(1.5), ValueError, ["1.5", "[0, 1]", "Divide by the full scale"]),
    "0 to 255": (poisoned(255.0).astype(float), ValueError, ["255", "[0, 1]"]),
    "grey NaN": (poisoned(np.nan)[..., 0], ValueError, ["NaN", "nan_to_num"]),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
@pytest.mark.parametrize("how", ["__call__", "trace", "timings"])
def test_bad_frames_are_refused_with_a_way_out(run, case, how):
    frame, error, says = BAD_FRAMES[case]
    with pytest.raises(error) as caught:
        getattr(run, how)(frame)
    for words in says:
        assert words in str(caught.value), str(caught.value)


# `saliency_map` takes any size, and composites what has alpha.
TAKEN = ("other size", "2 channels", "4 channels")


@pytest.mark.parametrize("case", [case for case in BAD_FRAMES if case not in TAKEN])
def test_saliency_map_refuses_the_same(backend, case):
    frame, error, _ = BAD_FRAMES[case]
    with pytest.raises(error):
        saliency_map(frame, backend=backend)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (np.nan, (0, 0, 0)),
        (np.inf, (0, 127, 2)),
        (-1e-3, (47, 63, 1)),
        (1.001, (95, 0, 1)),
        (np.nan, (95, 127, 2)),
    ],
)
@pytest.mark.parametrize("config", [ITTI_1998, INVT, replace(ITTI_1998, linear=True)])
def test_a_bad_value_is_found_wherever_it_is(backend, config, at, value):
    """Also where the hue threshold needs no pass over the frame; and the model lives on."""
    run = model(backend, SHAPE, config)
    with pytest.raises(ValueError, match="frame holds"):
        run(poisoned(value, at))
    assert not run(poisoned(0.5)).any()


@pytest.mark.parametrize("shape", [(100, 131), (33, 47)])
def test_a_bad_value_in_the_last_odd_row_or_column_is_found(backend, shape):
    for at in ((shape[0] - 1, 3), (3, shape[1] - 1), (shape[0] - 1, shape[1] - 1)):
        frame = np.full((*shape, 3), 0.5, np.float32)
        frame[at] = np.nan
        with pytest.raises(ValueError, match="NaN"):
            model(backend, shape)(frame)


def test_rounding_over_one_is_forgiven(run):
    frame = poisoned(np.float32(1 + 5e-7))
    assert np.isfinite(run(frame)).all()


BAD_SHAPES = {
    "one side": (480, TypeError, ["480", "(height, width)"]),
    "three": ((480, 640, 3), TypeError, ["(480, 640, 3)", "frame.shape[:2]"]),
    "text": ("480x640", TypeError, ["480x640", "(height, width)"]),
    "half a pixel": ((480.5, 640), TypeError, ["480.5", "(height, width)"]),
    "None": (None, TypeError, ["None", "(height, width)"]),
    "endless": ((float("inf"), 640), TypeError, ["inf", "(height, width)"]),
    "not a number": ((float("nan"), 640), TypeError, ["nan", "(height, width)"]),
    "low": ((31, 640), ValueError, ["640x31", "at least 32", "Upsample"]),
    "narrow": ((640, 31), ValueError, ["31x640", "at least 32", "Upsample"]),
    "negative": ((-480, 640), ValueError, ["640x-480", "at least 32"]),
    "huge": ((MAX_SIDE + 1, 64), ValueError, ["64x65537", "65536", "Shrink"]),
}


@pytest.mark.parametrize("case", BAD_SHAPES)
def test_bad_shapes(backend, case):
    shape, error, says = BAD_SHAPES[case]
    with pytest.raises(error) as caught:
        Saliency(shape, backend=backend)
    for words in says:
        assert words in str(caught.value), str(caught.value)


@pytest.mark.parametrize("bad", ["RGB", "brg", None, 3])
def test_bad_channel_order(backend, bad, small):
    for function in (
        lambda: Saliency(SHAPE, backend=backend, channel_order=bad),
        lambda: saliency_map(small, backend=backend, channel_order=bad),
    ):
        with pytest.raises(ValueError, match=f"channel_order={bad!r} is not 'rgb' or 'bgr'"):
            function()


@pytest.mark.parametrize("bad", [None, "itti1998", {"split_cs": True}, Config])
def test_bad_config(bad):
    with pytest.raises(TypeError, match=r"give an ittisal\.Config"):
        Saliency(SHAPE, bad)


# --- out ---------------------------------------------------------------------------------------


def test_out_receives_the_map(run, small):
    out = np.full(run.map_shape, np.nan, np.float32)
    assert run(small, out) is out
    assert np.array_equal(out, run(small))
    assert run(small, out=out) is out


def test_maps_are_the_callers_own(run, small):
    first = run(small)
    kept = first.copy()
    second = run(np.ascontiguousarray(small[::-1]))
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, kept)
    first[:] = -1
    assert np.array_equal(run(small), kept)


def several(small):
    return np.stack([small, small[::-1], small[:, ::-1], small])


def test_a_batch_is_its_frames(run, small):
    frames = several(small)
    wanted = np.stack([run(frame) for frame in frames])
    np.testing.assert_array_equal(run(frames), wanted)
    out = np.empty_like(wanted)
    assert run(frames, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    grey = frames[..., 1]
    assert grey.ndim == 3  # (N, H, W) is a batch of grey frames, never one frame of W channels
    np.testing.assert_array_equal(run(grey), np.stack([run(frame) for frame in grey]))
    np.testing.assert_array_equal(run(grey[..., None]), run(grey))
    np.testing.assert_array_equal(run(frames[:1]), wanted[:1])


def test_bad_batches(run, small):
    frames = several(small)
    with pytest.raises(ValueError, match="empty"):
        run(frames[:0])
    with pytest.raises(
        ValueError, match=r"\(90, 128, 3\); this Saliency was built for \(96, 128\)"
    ):
        run(frames[:, :90])
    with pytest.raises(ValueError, match=r"the map has \(4, 6, 8\)"):
        run(frames, out=np.empty((6, 8), np.float32))
    bad = frames / np.float32(255)
    bad[2, 5, 6, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        run(bad)
    for how in (run.trace, run.timings):
        with pytest.raises(ValueError, match="not an image; give one at a time"):
            how(frames)
    assert run(small).max() > 0


def test_a_stream_gives_the_maps_of_calls(run, small):
    frames = several(small)
    maps = list(run.stream(frames))
    np.testing.assert_array_equal(np.stack(maps), run(frames))
    assert list(run.stream([])) == []
    with pytest.raises(ValueError, match="one at a time"):
        list(run.stream([small, frames]))
    under_way = run.stream(iter(frames))
    next(under_way)
    with pytest.raises(RuntimeError, match="by a stream of frames that has not ended"):
        run(small)
    under_way.close()
    np.testing.assert_array_equal(run(small), maps[0])


def test_pinned_frames(run, small):
    frame = run.pinned_frame()
    assert frame.shape == (*SHAPE, 3) and frame.dtype == np.uint8 and not frame.any()
    frame[:] = small
    np.testing.assert_array_equal(run(frame), run(small))
    assert run.pinned_frame("float32", channels=1, frames=3).shape == (3, *SHAPE)
    for bad, error in (
        ({"dtype": "int32"}, TypeError),
        ({"channels": 4}, ValueError),
        ({"frames": 0}, ValueError),
        ({"frames": 2.0}, ValueError),
    ):
        with pytest.raises(error, match=next(iter(bad))):
            run.pinned_frame(**bad)


def read_only():
    out = np.zeros((6, 8), np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "error", "says"),
    [
        (np.zeros((6, 8)), TypeError, "out is float64; give a float32"),
        (np.zeros((6, 8), np.uint8), TypeError, "out is uint8; give a float32"),
        ([[0.0] * 8] * 6, TypeError, "out is list; give a float32"),
        (np.zeros((8, 6), np.float32), ValueError, "out has shape (8, 6); the map has (6, 8)"),
        (np.zeros((96, 128), np.float32), ValueError, "out has shape (96, 128)"),
        (np.zeros((8, 6), np.float32).T, ValueError, "C-contiguous and writeable"),
        (np.zeros((6, 16), np.float32)[:, ::2], ValueError, "C-contiguous and writeable"),
        (read_only(), ValueError, "C-contiguous and writeable"),
    ],
)
def test_bad_out(run, small, out, error, says):
    with pytest.raises(error) as caught:
        run(small, out)
    assert says in str(caught.value)


# --- the object --------------------------------------------------------------------------------


def test_what_a_model_says_of_itself(backend):
    with Saliency((100, 131), SPLIT, backend=backend, threads=1) as run:
        assert run.shape == (100, 131)
        assert run.map_shape == (6, 8)
        assert run.config is SPLIT
        assert run.plan.shape == run.shape
        assert run.plan.config is SPLIT
        assert run.backend == backend
        assert run.threads == 1
        assert repr(run) == f"<Saliency 131x100, backend {backend}, threads 1>"
        assert (run.nbytes == 0) == (backend == "reference")


def test_shapes_may_come_from_numpy(backend, small):
    shape = np.array(small.shape[:2])
    assert Saliency(shape, backend=backend).shape == SHAPE


def test_close_twice(backend, small):
    run = Saliency(SHAPE, backend=backend)
    run(small)
    run.close()
    run.close()
    with Saliency(SHAPE, backend=backend) as run:
        run.close()


@pytest.mark.parametrize("config", [ITTI_1998, SPLIT, INVT], ids=["itti1998", "split", "invt"])
def test_trace_has_the_references_names(backend, photo, config):
    """A backend may leave out what it never makes, and nothing else."""
    for frame in (photo, photo[..., 0], photo[:64, :100]):
        truth = reference.trace(frame, config)
        trace = model(backend, frame.shape[:2], config).trace(frame)
        unmade = set()
        if backend != "reference":
            unmade = {n for n in truth if n.startswith("contrast/") or n.endswith(("/0", "/1"))}
        assert set(trace) == set(truth) - unmade
        for name, x in trace.items():
            assert x.shape == truth[name].shape, name


@pytest.mark.parametrize("reading", ["itti1998", "split", "iterative", "none"])
def test_trace_has_the_references_values(backend, photo, reading):
    """Sums and maps as the reference has them; the stages' own tests look at the rest."""
    config = {
        "itti1998": ITTI_1998,
        "split": SPLIT,
        "iterative": replace(ITTI_1998, normalisation="iterative", normalise_opponents=True),
        "none": replace(ITTI_1998, normalisation="none"),
    }[reading]
    truth = reference.trace(photo, config)
    trace = model(backend, photo.shape[:2], config).trace(photo)
    for name in trace:
        if name.startswith(
            ("normalised/", "feature/", "weighted/", "conspicuity/", "contribution/", "saliency")
        ):
            within("float32", trace[name], truth[name])


def test_trace_ends_in_the_map_and_is_a_copy(run, small):
    trace = run.trace(small)
    assert np.array_equal(trace["saliency"].astype(np.float32), run(small))
    kept = {name: x.copy() for name, x in trace.items()}
    run.trace(np.ascontiguousarray(small[::-1]))
    assert all(np.array_equal(trace[name], x) for name, x in kept.items())
    for x in trace.values():
        x[...] = 7
    again = run.trace(small)
    assert all(np.array_equal(again[name], x) for name, x in kept.items())


@pytest.mark.parametrize("config", [ITTI_1998, FIVE, VIDEO], ids=["itti1998", "five", "video"])
def test_timings(backend, small, config):
    """Of every stage that the config has: no `motion` where nothing moves."""
    run = model(backend, SHAPE, config)
    timings = run.timings(small)
    assert "total" in timings
    assert set(timings) - {"total"} <= set(STAGES)
    assert all(isinstance(spent, float) and spent >= 0 for spent in timings.values())
    stages = sum(spent for name, spent in timings.items() if name != "total")
    assert stages == 0 or stages == pytest.approx(timings["total"])
    if backend == "cpu":
        without = set() if config.figure else {"whiten", "figure"}
        if config is ITTI_1998:
            without.add("motion")
        assert set(timings) == {*STAGES, "total"} - without


# --- threads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(96, 128), (67, 301), (512, 640)])
def test_the_map_does_not_depend_on_threads(backend, shape, rng):
    frame = rng.integers(0, 256, (*shape, 3), np.uint8)
    maps = []
    for threads in (1, 2, 3, 7):
        with Saliency(shape, backend=backend, threads=threads) as run:
            assert run.threads == (threads if backend == "cpu" else 1)
            maps.append(run(frame))
    assert all(np.array_equal(maps[0], other) for other in maps[1:])


@pytest.mark.parametrize(
    ("shape", "usable", "threads"),
    [((480, 640), 16, 1), ((1080, 1920), 2, 2), ((1080, 1920), 64, 8), ((1080, 1920), 1, 1)],
)
def test_threads_by_default(monkeypatch, shape, usable, threads):
    """One for a small frame, else those this process may use, up to eight."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(usable)), raising=False)
    with Saliency(shape, backend="cpu") as run:
        assert run.threads == threads


def test_threads_from_the_environment(monkeypatch):
    monkeypatch.setenv("ITTISAL_THREADS", "3")
    assert Saliency(SHAPE, backend="cpu").threads == 3
    assert Saliency(SHAPE, backend="cpu", threads=2).threads == 2  # the argument wins
    monkeypatch.setenv("ITTISAL_THREADS", "")
    assert Saliency(SHAPE, backend="cpu").threads == 1


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (0, ValueError, "threads=0 must be 1 to 256"),
        (-1, ValueError, "threads=-1 must be 1 to 256"),
        (257, ValueError, "threads=257 must be 1 to 256"),
        (1.5, TypeError, "threads=1.5 must be a whole number"),
        (True, TypeError, "threads=True must be a whole number"),
        ("two", TypeError, "threads='two' must be a whole number"),
        (float("nan"), TypeError, "threads=nan must be a whole number"),
        (float("inf"), TypeError, "threads=inf must be a whole number"),
    ],
)
def test_bad_threads(monkeypatch, bad, error, says):
    with pytest.raises(error) as caught:
        Saliency(SHAPE, backend="reference", threads=bad)
    assert str(caught.value) == says
    if isinstance(bad, int) and not isinstance(bad, bool):
        monkeypatch.setenv("ITTISAL_THREADS", str(bad))
        with pytest.raises(error, match=f"^ITTISAL_THREADS={bad} must be 1 to 256"):
            Saliency(SHAPE, backend="reference")


def test_bad_threads_in_the_environment_are_named(monkeypatch):
    monkeypatch.setenv("ITTISAL_THREADS", "many")
    with pytest.raises(TypeError, match="ITTISAL_THREADS='many' must be a whole number"):
        Saliency(SHAPE, backend="reference")


# --- backends ----------------------------------------------------------------------------------


def test_available_says_why():
    found = available()
    assert set(found) == set(BACKENDS)
    assert found["reference"][0] is True
    for usable, reason in found.values():
        assert isinstance(usable, bool)
        assert reason


def forbid_the_reference(monkeypatch):
    def trace(*args, **options):
        raise AssertionError("the reference ran")

    monkeypatch.setattr("ittisal.reference.trace", trace)


def test_a_named_backend_really_runs(monkeypatch, backend, small):
    """Without the reference only the reference fails."""
    with Saliency(SHAPE, backend=backend) as run:
        assert run.backend == backend
        forbid_the_reference(monkeypatch)
        if backend == "reference":
            with pytest.raises(AssertionError, match="the reference ran"):
                run(small)
        else:
            assert run(small).max() > 0


def test_the_environment_forces_a_backend(monkeypatch, backend, small):
    monkeypatch.setenv("ITTISAL_BACKEND", backend)
    with Saliency(SHAPE) as run:
        assert run.backend == backend
        forbid_the_reference(monkeypatch)
        for function in (run, saliency_map):
            if backend == "reference":
                with pytest.raises(AssertionError, match="the reference ran"):
                    function(small)
            else:
                assert function(small).max() > 0


def test_a_named_backend_beats_the_environment(monkeypatch):
    monkeypatch.setenv("ITTISAL_BACKEND", "nonsense")
    assert Saliency(SHAPE, backend="reference").backend == "reference"


@pytest.mark.parametrize("bad", ["gpu", "", "CPU", None])
def test_unknown_backends(bad, small):
    for function in (
        lambda: Saliency(SHAPE, backend=bad),
        lambda: saliency_map(small, backend=bad),
    ):
        with pytest.raises(BackendError) as caught:
            function()
        assert str(caught.value) == f"backend={bad!r} is not one of: auto, cuda, cpu, reference"


def test_unknown_backend_in_the_environment(monkeypatch):
    monkeypatch.setenv("ITTISAL_BACKEND", "gpu")
    with pytest.raises(BackendError, match="ITTISAL_BACKEND='gpu' is not one of: auto, cuda, cpu"):
        Saliency(SHAPE)


def test_an_empty_environment_variable_is_none(monkeypatch):
    monkeypatch.setenv("ITTISAL_BACKEND", "")
    assert Saliency(SHAPE).backend in BACKENDS


def test_auto_takes_the_first_that_can(monkeypatch):
    monkeypatch.setattr("ittisal.cuda.probe", lambda: (True, "a GPU"))
    assert choose("auto", ITTI_1998)[0] == "cuda"
    assert choose("auto", BEFORE)[0] == "reference"  # cuda and cpu lack this option
    monkeypatch.setattr("ittisal.cuda.probe", lambda: (False, "no GPU here"))
    usable = available()["cpu"][0]
    assert choose("auto", ITTI_1998)[0] == ("cpu" if usable else "reference")
    monkeypatch.setattr("ittisal.cpu.probe", lambda: (False, "no numba here"))
    assert Saliency(SHAPE).backend == "reference"


def test_a_named_backend_never_falls_back(monkeypatch, small):
    with pytest.raises(BackendError, match=r"^backend='cpu' cannot be used: cpu: .*reduction"):
        Saliency(SHAPE, BEFORE, backend="cpu")
    monkeypatch.setattr("ittisal.cpu.probe", lambda: (False, "no numba here"))
    says = "^backend='cpu' cannot be used: cpu: no numba here$"
    with pytest.raises(BackendError, match=says):
        Saliency(SHAPE, backend="cpu")
    monkeypatch.setenv("ITTISAL_BACKEND", "cpu")
    with pytest.raises(BackendError, match=r"^ITTISAL_BACKEND='cpu' cannot be used: cpu: no"):
        saliency_map(small, SPLIT)
    assert issubclass(BackendError, RuntimeError)


# --- saliency_map ------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [ITTI_1998, INVT, EVEN], ids=["itti1998", "invt", "even"])
def test_saliency_map_is_the_raw_map_over_its_maximum_upsampled(backend, photo, config):
    frame = photo[:150, :203]
    raw = model(backend, (150, 203), config)(frame)
    shown = saliency_map(frame, config, backend=backend)
    assert shown.shape == (150, 203)
    assert shown.dtype == np.float32
    assert shown.min() >= 0
    assert shown.max() <= 1
    within("upsampled", shown, upsample(raw / raw.max(), (150, 203), config))


def test_saliency_map_of_nothing_is_zero(backend):
    shown = saliency_map(np.full((50, 60, 3), 200, np.uint8), backend=backend)
    assert shown.shape == (50, 60)
    assert not shown.any()


def test_saliency_map_takes_bgr(backend, small):
    wanted = saliency_map(small, backend=backend)
    swapped = small[..., ::-1]
    assert np.array_equal(saliency_map(swapped, backend=backend, channel_order="bgr"), wanted)
    assert not np.array_equal(saliency_map(swapped, backend=backend), wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_alpha_is_composited_over_white(backend, small, dtype):
    full = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    colour = (small / 255 * full).astype(dtype)
    alpha = np.full((*SHAPE, 1), full, dtype)
    opaque = np.concatenate([colour, alpha], 2)
    assert composite(opaque).dtype == dtype
    assert np.array_equal(
        saliency_map(opaque, backend=backend), saliency_map(colour, backend=backend)
    )
    alpha[:, :64] = full // 3 if full > 1 else 1 / 3
    alpha[:, 64:80] = 0
    opacity = alpha / np.float64(full)
    blend = (colour / np.float64(full) * opacity + (1 - opacity)).astype(np.float32)
    clear = np.concatenate([colour, alpha], 2)
    before = clear.copy()
    np.testing.assert_allclose(composite(clear), blend, atol=1e-6)
    within("same_maths", saliency_map(clear, backend=backend), saliency_map(blend, backend=backend))
    assert np.array_equal(clear, before)


def test_grey_with_alpha_is_composited_too(backend, small):
    grey = np.stack([small[..., 0], np.full(SHAPE, 255, np.uint8)], -1)
    wanted = saliency_map(small[..., 0], backend=backend)
    assert np.array_equal(saliency_map(grey, backend=backend), wanted)
    grey[..., 1] = 0  # all clear: white, and nothing to see
    assert not saliency_map(grey, backend=backend).any()


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, bool])
def test_alpha_does_not_let_other_types_in(dtype):
    """Refused without alpha, so refused with it, however transparent."""
    for alpha in (0, 1):
        image = np.ones((*SHAPE, 4), dtype)
        image[..., 3] = alpha
        with pytest.raises(TypeError, match=np.dtype(dtype).name):
            saliency_map(image)


@pytest.mark.parametrize("alpha", [np.nan, -0.5, 1.5])
def test_alpha_lies_in_0_to_1(backend, alpha):
    """Else it would lighten or darken the frame and nobody would know."""
    image = np.full((*SHAPE, 4), 0.9, np.float32)
    image[..., 3] = 1
    image[40:50, 60:70, 3] = alpha
    with pytest.raises(ValueError, match=r"alpha|frame holds"):
        saliency_map(image, backend=backend)


# --- its cache ---------------------------------------------------------------------------------


@pytest.fixture
def in_a_thread():
    """Run a function in a new thread, which starts with no models."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


@pytest.fixture
def built(monkeypatch):
    """Records shapes of the models built and closed."""
    log = {"built": [], "closed": []}
    init, close = Saliency.__init__, Saliency.close

    def recorded_init(self, shape, *args, **options):
        log["built"].append((threading.get_ident(), tuple(shape)))
        init(self, shape, *args, **options)

    def recorded_close(self):
        log["closed"].append(self.shape)
        close(self)

    monkeypatch.setattr(Saliency, "__init__", recorded_init)
    monkeypatch.setattr(Saliency, "close", recorded_close)
    return log


def look(side, **options):
    return saliency_map(np.zeros((side, 40), np.uint8), backend="reference", **options)


def test_the_cache_builds_each_model_once(in_a_thread, built):
    for _ in range(3):
        in_a_thread(look, 40)
        in_a_thread(look, 50)
    assert [shape for _, shape in built["built"]] == [(40, 40), (50, 40)]
    assert built["closed"] == []


def test_the_cache_drops_the_least_recently_used_and_closes_it(in_a_thread, built):
    kept = ittisal.model.CACHED_MODELS
    sides = list(range(40, 40 + kept))
    for side in sides:
        in_a_thread(look, side)
    in_a_thread(look, sides[0])  # used again: the second is now the oldest
    in_a_thread(look, 99)
    assert built["closed"] == [(sides[1], 40)]
    in_a_thread(look, sides[0])
    assert len(built["built"]) == kept + 1
    in_a_thread(look, sides[1])
    assert built["closed"] == [(sides[1], 40), (sides[2], 40)]


def test_the_cache_tells_apart_all_that_matters(in_a_thread, built, monkeypatch):
    def every():
        frame = np.zeros((40, 40), np.uint8)
        saliency_map(frame, backend="reference")
        saliency_map(frame, SPLIT, backend="reference")
        saliency_map(frame, backend="reference", channel_order="bgr")
        monkeypatch.setenv("ITTISAL_BACKEND", "reference")
        saliency_map(frame)
        monkeypatch.setenv("ITTISAL_THREADS", "2")
        saliency_map(frame)

    in_a_thread(every)
    assert len(built["built"]) == 5


def test_the_cache_is_per_thread(built):
    start = threading.Barrier(2)

    def work():
        start.wait(timeout=60)
        look(40)
        look(40)
        start.wait(timeout=60)  # neither ends before the other has begun: two threads

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work) for _ in range(2)]:
            future.result()
    assert len(built["built"]) == 2
    assert len({thread for thread, _ in built["built"]}) == 2


def test_two_threads_at_once_give_the_same_maps(backend, photo):
    """Each on its own frames, of one size, with both functions."""
    frames = [photo[:128, :160], photo[100:228, 60:220], photo[64:192, 128:288]]
    wanted = [saliency_map(frame, backend=backend) for frame in frames]
    raw = [model(backend, (128, 160))(frame) for frame in frames]
    start = threading.Barrier(2)

    def work(offset):
        own = Saliency((128, 160), backend=backend)
        start.wait(timeout=60)
        for i in range(6):
            k = (i + offset) % 3
            assert np.array_equal(saliency_map(frames[k], backend=backend), wanted[k])
            assert np.array_equal(own(frames[k]), raw[k])

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, offset) for offset in range(2)]:
            future.result()


# --- upsampling --------------------------------------------------------------------------------


def test_peak_is_where_the_map_is_highest(rng):
    small = rng.random((6, 8)).astype(np.float32)
    small[2, 3] = 2
    assert peak(small, (96, 128)) == (55, 39)  # left and above of the middle of 16 x 16 pixels
    assert peak(small, (96, 128), EVEN) == (48, 32)
    assert peak(small, (480, 1280), seen=(96, 128)) == (559, 199)
    assert peak(np.ones((6, 8)), (96, 128)) == (7, 7)
    assert peak(small * 0, (96, 128)) is None


@pytest.mark.parametrize("config", [ITTI_1998, EVEN], ids=["centred", "even"])
@pytest.mark.parametrize("shape", [(32, 32), (47, 63), (100, 131), (33, 2000), (240, 320)])
def test_upsample_is_the_references_interpolation(shape, config, rng):
    small = rng.random((shape[0] // 16, shape[1] // 16)).astype(np.float32)
    got = upsample(small, shape, config)
    assert got.shape == shape
    assert got.dtype == np.float32
    within("upsampled", got, reference.upsample(small.astype(float), shape, 4, config))
    assert got.min() >= small.min() - 1e-6
    assert got.max() <= small.max() + 1e-6


def test_upsample_puts_samples_where_the_pyramid_has_them():
    """Sample i lies at (i + 1/2) 16 - 1/2: halfway between pixels 16i + 7 and 16i + 8."""
    ramp = np.tile(np.arange(4, dtype=np.float32), (3, 1))
    centred = upsample(ramp, (48, 64))
    assert centred[20, 23] == pytest.approx(1 - 1 / 32)
    assert centred[20, 24] == pytest.approx(1 + 1 / 32)
    assert (centred[:, :8] == 0).all()
    assert (centred[:, 56:] == 3).all()
    even = upsample(ramp, (48, 64), EVEN)
    assert even[0, 16] == 1
    assert even[0, 24] == 1.5
    assert (even[:, 48:] == 3).all()
    assert np.array_equal(upsample(ramp.T.copy(), (64, 48)), centred.T)


def test_upsample_into_out_and_of_one_sample():
    out = np.full((40, 50), np.nan, np.float32)
    assert upsample(np.float32([[0.25, 0.5, 0.75], [0, 0, 0]]), (40, 50), out=out) is out
    assert np.isfinite(out).all()
    assert (upsample(np.float32([[0.7]]), (31, 17)) == np.float32(0.7)).all()


def test_upsample_takes_other_float_types():
    small = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(upsample(small, (32, 48)), upsample(small.astype(np.float32), (32, 48)))


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">f8"])
def test_byte_order_changes_nothing(dtype, rng):
    """Neither of pixels nor of alpha, which is composited all the same."""
    image = rng.random((48, 64, 4))
    if dtype == ">u2":
        image = image * 65535
    there = image.astype(dtype)
    here = there.astype(np.dtype(dtype).newbyteorder("="))
    np.testing.assert_array_equal(
        saliency_map(there, backend="reference"), saliency_map(here, backend="reference")
    )


def test_upsample_names_the_shape_that_fits():
    with pytest.raises(ValueError, match=r"\(3, 3\).*640x480.*\(30, 40\)"):
        upsample(np.zeros((3, 3)), (480, 640))
    with pytest.raises(ValueError, match="infinite in float32; scale it down"):
        upsample(np.full((30, 40), 1e39), (480, 640))
    with pytest.raises(ValueError, match="out is uint8"):
        upsample(np.zeros((30, 40)), (480, 640), out=np.zeros((480, 640), np.uint8))
