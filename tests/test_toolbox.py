"""The SaliencyToolbox: its reference, and the CPU's maps against it. Stages are in test_stages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_stages import photo_like
from tolerances import correlation, within

import ittisal
from ittisal import TOOLBOX, Saliency, references
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


def on_cpu(frame, config=TOOLBOX, order="rgb", threads=1):
    return Saliency(frame.shape[:2], config, backend="cpu", channel_order=order, threads=threads)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", [True, False], ids=["rgb", "grey"])
def test_maps_are_the_references(shape, colour):
    frame = photo_like(shape, channels=3 if colour else 1)
    with on_cpu(frame) as model:
        saliency, added = model(frame), model.contributions()
    trace = references.trace(frame / 255, TOOLBOX)
    within("toolbox", saliency, trace["saliency"])
    assert added.keys() == {str(c) for c in TOOLBOX.channel_weights(colour=colour)}
    for name, x in added.items():
        within("toolbox", x, trace[f"contribution/{name}"])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("weights", [TOOLBOX.weights, {"intensity": 1}, {"colour": 1}], ids=str)
def test_takes_any_frame(dtype, weights):
    """Types, orders of channels and threads, and the weights of few channels."""
    frame, config = photo_like((150, 233)), replace(TOOLBOX, weights=weights)
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    frame = (frame / 255 * full).astype(dtype)
    wanted = references.trace(frame / full, config)["saliency"]
    for threads in (1, 2):
        within("toolbox", on_cpu(frame, config, threads=threads)(frame), wanted)
        swapped = np.ascontiguousarray(frame[..., ::-1])
        within("toolbox", on_cpu(frame, config, "bgr", threads)(swapped), wanted)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_on_photographs(name):
    frame = getattr(pytest.importorskip("skimage.data"), name)()
    wanted = references.trace(frame / 255, TOOLBOX)["saliency"]
    assert correlation(on_cpu(frame)(frame), wanted) > 1 - 1e-6


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_is_flat_on_flat_frames(backend):
    """But for orientation, which sees the frame's border."""
    config = replace(TOOLBOX, weights={"intensity": 1, "colour": 1})
    for colour in ((0, 0, 0), (3, 1, 0), (90, 140, 40), (255, 255, 255)):
        frame = np.full((70, 113, 3), colour, np.uint8)
        assert not Saliency((70, 113), config, backend=backend)(frame).any()


def test_sees_hue_from_a_tenth_on():
    """Of full scale, in the brightest channel; without it below."""
    frame = np.full((64, 96, 3), 0.05, np.float32)
    frame[20:36, 40:56] = 0.1, 0.02, 0.02
    config = replace(TOOLBOX, weights={"colour": 1})
    for scale, seen in ((1, True), (0.999, False)):
        unit = frame * np.float32(scale)
        assert references.trace(unit.astype(float), config)["saliency"].any() == seen
        assert on_cpu(unit, config)(unit).any() == seen


def test_is_explained():
    frame = photo_like((160, 240))
    trace = on_cpu(frame).trace(frame)
    (why,) = ittisal.explain(trace, ittisal.scanpath(trace, 1, config=TOOLBOX), config=TOOLBOX)
    for level in (why.channels, why.features, why.pairs):
        assert sum(level.values()) == pytest.approx(1, abs=1e-5)
