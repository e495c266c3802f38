"""VOCUS2's kernels: what they compute, to rounding, and how near it comes to the reference."""

from __future__ import annotations

import math
from dataclasses import replace

import host_kernels
import numpy as np
import pytest
from host_device import HostDevice
from tolerances import alike, within

import ittisal
from ittisal import VOCUS2, Saliency, twin_pyramids
from ittisal.cuda.program import ProgramBackend
from ittisal.plan import Plan
from ittisal.references.vocus2 import planes

SHAPES = [(32, 32), (33, 47), (97, 32), (64, 301), (121, 163), (210, 150)]
PHOTOS = ["astronaut", "coffee", "chelsea"]
WEIGHTS = [{"intensity": 1, "colour": 2}, {"intensity": 1}, {"colour": 1}]


# --- the kernels' schedule in float64 ------------------------------------------------------------


def along(x, by, counts):
    """A blur of both axes, borders repeated."""
    for axis, count in enumerate(counts):
        at = np.arange(count)[:, None] * by.step + np.arange(len(by.taps)) - by.lead
        samples = np.moveaxis(x, axis, 0)[at.clip(0, x.shape[axis] - 1)]
        x = np.moveaxis(np.einsum("k,ik...->i...", by.taps, samples), 0, axis)
    return x


def surround(centre, scale, unit):
    """Means of 4 by 4 samples of the octave, blurred, and linear between them."""
    spacing = 4 // unit
    x = centre
    for axis, n in enumerate(centre.shape):
        blocks = np.arange(-2, -(-n // spacing) + 2)[:, None] * spacing + np.arange(spacing)
        x = np.moveaxis(np.moveaxis(x, axis, 0)[blocks.clip(0, n - 1)].mean(axis=1), 0, axis)
    x = along(
        x, twin_pyramids.gaussian(twin_pyramids.surround_variance(scale, unit, spacing)), x.shape
    )
    for axis, n in enumerate(centre.shape):
        at = (np.arange(n) - (spacing - 1) / 2) / spacing + 2
        low = at.astype(int)
        x = np.moveaxis(x, axis, 0)
        x = np.moveaxis(((1 - at + low) * x[low].T + (at - low) * x[low + 1].T).T, 0, axis)
    return x


def contrasts(plane):
    """The sizes of centre minus surround at 2 by 2 pixels, summed over both scales, per octave."""
    height, width = plane.shape
    size, nominal = ((height + 1) // 2, (width + 1) // 2), plane.shape
    padded = np.pad(plane, [(2, 2 + n % 2) for n in plane.shape], mode="edge")
    level_1 = padded.reshape(size[0] + 2, 2, size[1] + 2, 2).mean(axis=(1, 3))
    by = twin_pyramids.gaussian((9 - 1 / 4) / 4)
    centre = along(level_1, by._replace(lead=by.lead - 1), size)
    for octave in range(5):
        unit = 1 if octave else 2
        finer = along(centre, twin_pyramids.gaussian(9 / unit**2), size)
        yield sum(np.abs(c - surround(c, k, unit)) for k, c in enumerate((centre, finer)))
        size = nominal = nominal[0] // 2, nominal[1] // 2
        by = (
            twin_pyramids.gaussian(18, step=2) if octave else twin_pyramids.gaussian(18 / 4, -1 / 4)
        )
        centre = along(finer, by, size)


def enlarged(x, shape):
    """At 2 by 2 pixels of a frame."""
    for axis, n in enumerate(shape):
        starts, weights = twin_pyramids.cubic(n, x.shape[axis])
        at = (starts[:, None] - 2 + np.arange(4)).clip(0, x.shape[axis] - 1)
        samples = np.moveaxis(x, axis, 0)[at]
        x = np.moveaxis(np.einsum("ik,ik...->i...", weights, samples), 0, axis)
    return x


def schedule(unit, config):
    """Conspicuity maps and the map, as the kernels compute them."""
    height, width = (n // 2 for n in unit.shape[:2])
    means = {}
    for name, plane in planes(unit, config).items():
        finest, *coarser = contrasts(plane)
        total = finest[:height, :width] + sum(enlarged(x, plane.shape) for x in coarser)
        means[name] = total / 20
    out = {}
    if "intensity" in means:
        out["conspicuity/intensity"] = means["intensity"]
    if "red_green" in means:
        out["conspicuity/colour"] = (means["red_green"] + means["blue_yellow"]) / 2
    weights = config.channel_weights(colour=unit.ndim == 3)
    total = sum(weight * out[f"conspicuity/{channel}"] for channel, weight in weights.items())
    return {**out, "saliency": (total - total.min()) / (total.max() - total.min())}


# --- frames --------------------------------------------------------------------------------------


def scene(shape, dtype="uint8", channels=3, seed=0):
    """Smooth colours, noise, and a red square."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    waves = [np.sin(f * x + g * y + p) for f, g, p in rng.uniform(2, 14, (3, 3))]
    frame = 0.5 + 0.2 * np.stack(waves, axis=2) + rng.uniform(-0.1, 0.1, (*shape, 3))
    top, left = shape[0] // 3, shape[1] // 2
    frame[top : top + 8, left : left + 8] = (0.9, 0.1, 0.1)
    frame = frame if channels == 3 else frame[..., 1]
    if dtype == "float32":
        return frame.astype(np.float32)
    return np.rint(frame * np.iinfo(dtype).max).astype(dtype)


def full(frame):
    return 1 if frame.dtype == np.float32 else np.iinfo(frame.dtype).max


def cpu(shape, config=VOCUS2, threads=1, **options):
    return Saliency(shape, config, backend="cpu", threads=threads, **options)


def photo(name):
    data = pytest.importorskip("skimage.data")
    return getattr(data, name)()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weights", WEIGHTS, ids=["both", "intensity", "colour"])
def test_kernels_compute_their_schedule(shape, weights):
    config, frame = replace(VOCUS2, weights=weights), scene(shape)
    with cpu(shape, config) as model:
        traced = model.trace(frame)
    for name, wanted in schedule(frame / 255, config).items():
        within("vocus2", traced[name], wanted)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_formats(dtype, channels, order):
    frame = scene((75, 134), dtype, channels)
    wanted = schedule(frame / full(frame), VOCUS2)["saliency"]
    if channels == 3 and order == "bgr":
        frame = np.ascontiguousarray(frame[..., ::-1])
    with cpu((75, 134), channel_order=order) as model:
        within("vocus2", model(frame), wanted)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("shape", [(33, 47), (300, 210)])
def test_threads_share_a_frame(shape, threads):
    frame = scene(shape)
    with cpu(shape) as alone, cpu(shape, threads=threads) as shared:
        expected = alone(frame)
        for _ in range(3):
            np.testing.assert_allclose(shared(frame), expected, atol=1e-6)


@pytest.mark.parametrize("name", PHOTOS)
def test_photographs_agree_with_the_reference(name):
    frame = photo(name)
    shape = frame.shape[:2]
    wanted = Saliency(shape, VOCUS2, backend="reference").trace(frame)
    with cpu(shape) as model:
        got = model.trace(frame)
        added = model.contributions()
    for key in ("conspicuity/intensity", "conspicuity/colour", "saliency"):
        alike("vocus2", got[key], wanted[key])
    np.testing.assert_allclose(sum(added.values()), got["saliency"], atol=1e-6)


def test_a_spot_counts_whether_bright_or_dark():
    """On and off contrasts are kept apart by their signs, so that they never cancel."""
    frame = np.full((128, 160), 50, np.uint8)
    frame[60:68, 90:98] = 200
    with cpu(frame.shape) as model:
        bright, dark = model(frame), model(250 - frame)
    np.testing.assert_allclose(bright, dark, atol=1e-5)
    assert np.unravel_index(bright.argmax(), bright.shape) in {
        (y, x) for y in (31, 32) for x in (46, 47)
    }
    both = np.full((128, 160), 125, np.uint8)
    both[60:68, 40:48], both[60:68, 110:118] = 200, 50
    with cpu(both.shape) as model:
        saliency = model(both)
    assert saliency[31:33, 21:23].min() > 0.9 < saliency[31:33, 56:58].min()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [3, 1])
def test_flat_frames_have_no_map(dtype, channels):
    shape = (45, 70)
    with cpu(shape) as model:
        for value in (0, 0.3, 1):
            frame = np.zeros((*shape, 3) if channels == 3 else shape, dtype)
            frame[:] = value if dtype == "float32" else value * np.iinfo(dtype).max
            assert not model(frame).any()
        model(scene(shape, dtype, channels))
        assert not model(frame).any()


def test_bad_values_of_float_frames_are_found():
    frame = scene((48, 64), "float32")
    with cpu(frame.shape[:2]) as model:
        expected = model(frame)
        for bad in (np.nan, np.inf, 1.5, -0.5):
            broken = frame.copy()
            broken[40, 50, 1] = bad
            with pytest.raises(ValueError):
                model(broken)
        np.testing.assert_array_equal(model(frame), expected)


def test_frames_at_the_end_of_memory():
    """No kernel reads past a frame: what follows it does not matter."""
    for shape in ((32, 33), (40, 64), (64, 100)):
        frame = scene(shape)
        memory = np.zeros(2 * frame.size, np.uint8)
        inside = memory[: frame.size].reshape(frame.shape)
        inside[:] = frame
        with cpu(shape) as model:
            expected = model(inside)
            memory[frame.size :] = 255
            np.testing.assert_array_equal(model(inside), expected)


def test_gaussians_have_their_moments():
    for variance, shift, step in ((2.1875, 0, 1), (4.5, -0.25, 1), (18, 0, 2), (9.75, 0, 1)):
        by = twin_pyramids.gaussian(variance, shift, step)
        at = np.arange(len(by.taps)) - by.lead
        assert by.lead % step == 0 and by.taps.sum() == pytest.approx(1)
        assert by.taps @ at == pytest.approx(shift, abs=0.01)
        assert math.isclose(by.taps @ (at - shift) ** 2, variance, rel_tol=0.02)


def test_maps_have_half_the_frames_size():
    frame = scene((75, 134))
    assert cpu((75, 134))(frame).shape == (37, 67)
    large = ittisal.saliency_map(frame, VOCUS2, backend="cpu")
    assert large.shape == (75, 134) and 0 <= large.min() <= large.max() <= 1


# --- on a GPU, whose kernels run on the host -----------------------------------------------------

on_host = pytest.mark.skipif(not host_kernels.HAS_COMPILER, reason=host_kernels.NO_COMPILER)


def gpu(shape, config=VOCUS2, order="rgb"):
    return ProgramBackend(Plan(shape, config), order, HostDevice())


def saliency(backend, frame):
    out = np.empty(backend.plan.map_shape, np.float32)
    backend.run(frame, out)
    return out


@on_host
@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (121, 64)])
@pytest.mark.parametrize("weights", WEIGHTS, ids=["both", "intensity", "colour"])
def test_gpu_kernels_compute_their_schedule(shape, weights):
    config, frame = replace(VOCUS2, weights=weights), scene(shape)
    traced = gpu(shape, config).trace(frame)
    for name, wanted in schedule(frame / 255, config).items():
        within("vocus2", traced[name], wanted)
    assert {name for name in traced if name.startswith("contribution/")} == {
        f"contribution/{name}" for name in weights
    }


@on_host
@pytest.mark.parametrize(
    ("dtype", "channels", "order"),
    [("uint8", 3, "bgr"), ("uint8", 1, "rgb"), ("uint16", 3, "rgb"), ("float32", 3, "bgr")],
)
def test_gpu_formats(dtype, channels, order):
    frame = scene((43, 66), dtype, channels)
    wanted = schedule(frame / full(frame), VOCUS2)["saliency"]
    given = np.ascontiguousarray(frame[..., ::-1]) if order == "bgr" else frame
    backend = gpu((43, 66), order=order)
    within("vocus2", saliency(backend, given), wanted)
    flat = np.full_like(given, full(given) * 0.3)
    assert not saliency(backend, flat).any()
