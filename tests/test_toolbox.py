"""The SaliencyToolbox: its reference, and the backends' maps against it. Stages: `test_stages`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import model
from test_stages import KINDS, photo_like
from tolerances import correlation, within

import ittisal
from ittisal import TOOLBOX, Saliency, references
from ittisal.pipeline import stages
from ittisal.references import toolbox

SHAPES = [(32, 32), (33, 47), (97, 32), (64, 300), (121, 163), (32, 515), (515, 33), (63, 64)]


def test_colours_are_walthers():
    planes = toolbox.planes(np.array([[[0.8, 0.4, 0.2], [0.09, 0.0, 0.0]]]), TOOLBOX)
    np.testing.assert_allclose(planes["red_green"], [[0.5, 0]])
    np.testing.assert_allclose(planes["blue_yellow"], [[-0.25, 0]])


def test_levels():
    """Halves rounded down; sides of two and three samples become one."""
    shapes = [(37, 70)]
    x = np.ones(shapes[0])
    while min(x.shape) > 1:
        x = toolbox.downsample(x)
        shapes.append(x.shape)
        np.testing.assert_allclose(x, 1)
    assert shapes == [(37, 70), (18, 35), (9, 17), (4, 8), (2, 4), (1, 2)]


def test_rows_at_the_border_are_lost():
    x = np.random.default_rng(1).random((20, 30))
    energy = toolbox.oriented(x, 45)
    assert not energy[:4, 4:-4].any() and not energy[-4:, 4:-4].any()
    assert (energy[4:-4] > 0).all() and (energy[:4, :4] > 0).all()


@pytest.fixture(params=KINDS)
def backend(request):
    """Those that run it by a plan; CUDA's kernels on the host."""
    if request.param == "cuda":
        request.getfixturevalue("gpu_on_host")
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", [True, False], ids=["rgb", "grey"])
def test_maps_are_the_references(backend, shape, colour):
    frame = photo_like(shape, channels=3 if colour else 1)
    with Saliency(shape, TOOLBOX, backend=backend, threads=1) as run:
        saliency, added = run(frame), run.contributions()
    trace = references.trace(frame / 255, TOOLBOX)
    within("toolbox", saliency, trace["saliency"])
    assert added.keys() == {str(c) for c in TOOLBOX.channel_weights(colour=colour)}
    for name, x in added.items():
        within("toolbox", x, trace[f"contribution/{name}"])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("weights", [TOOLBOX.weights, {"intensity": 1}, {"colour": 1}], ids=str)
def test_takes_any_frame(backend, dtype, weights):
    """Types and orders of channels, and the weights of few channels."""
    frame, config = photo_like((150, 233)), replace(TOOLBOX, weights=weights)
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    frame = (frame / 255 * full).astype(dtype)
    wanted = references.trace(frame / full, config)["saliency"]
    for order, given in (("rgb", frame), ("bgr", np.ascontiguousarray(frame[..., ::-1]))):
        within("toolbox", model(backend, (150, 233), config, order)(given), wanted)


def test_threads_share_a_frame():
    frame = photo_like((150, 233))
    wanted = references.trace(frame / 255, TOOLBOX)["saliency"]
    with Saliency((150, 233), TOOLBOX, backend="cpu", threads=2) as run:
        within("toolbox", run(frame), wanted)


def test_every_way_gives_the_same_map(backend):
    """One by one, in a batch and streamed; with alpha; and at the frame's size."""
    frames = np.stack([photo_like((97, 132)), photo_like((97, 132))[::-1]])
    run = model(backend, (97, 132), TOOLBOX)
    singles = np.stack([run(frame) for frame in frames])
    np.testing.assert_array_equal(run(frames), singles)
    np.testing.assert_array_equal(np.stack(list(run.stream(frames))), singles)
    np.testing.assert_array_equal(np.float32(run.trace(frames[0])["saliency"]), singles[0])
    assert run.timings(frames[0]).keys() == {*stages(run.plan, colour=True, past=False), "total"}
    opaque = np.dstack([frames[0], np.full((97, 132), 255, np.uint8)])
    large = ittisal.saliency_map(frames[0], TOOLBOX, backend=backend)
    np.testing.assert_array_equal(ittisal.saliency_map(opaque, TOOLBOX, backend=backend), large)
    enlarged = ittisal.upsample(singles[0] / singles[0].max(), (97, 132), TOOLBOX)
    within("upsampled", large, enlarged)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_on_photographs(backend, name):
    frame = getattr(pytest.importorskip("skimage.data"), name)()
    wanted = references.trace(frame / 255, TOOLBOX)["saliency"]
    assert correlation(model(backend, frame.shape[:2], TOOLBOX)(frame), wanted) > 1 - 1e-6


def test_is_flat_on_flat_frames(any_backend):
    """But for orientation, which sees the frame's border."""
    config = replace(TOOLBOX, weights={"intensity": 1, "colour": 1})
    for colour in ((0, 0, 0), (3, 1, 0), (90, 140, 40), (255, 255, 255)):
        frame = np.full((70, 113, 3), colour, np.uint8)
        assert not model(any_backend, (70, 113), config)(frame).any()


def test_sees_hue_from_a_tenth_on(any_backend):
    """Of full scale, in the brightest channel; without it below."""
    frame = np.full((64, 96, 3), 0.05, np.float32)
    frame[20:36, 40:56] = 0.1, 0.02, 0.02
    run = model(any_backend, (64, 96), replace(TOOLBOX, weights={"colour": 1}))
    for scale, seen in ((1, True), (0.999, False)):
        assert run(frame * np.float32(scale)).any() == seen


def test_is_explained(backend):
    frame = photo_like((160, 240))
    trace = model(backend, (160, 240), TOOLBOX).trace(frame)
    (why,) = ittisal.explain(trace, ittisal.scanpath(trace, 1, config=TOOLBOX), config=TOOLBOX)
    for level in (why.channels, why.features, why.pairs):
        assert sum(level.values()) == pytest.approx(1, abs=1e-5)
