"""The published programs: what their papers and codes say, and every backend that has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import ittisal
from ittisal import GBVS, TOOLBOX, VOCUS2, Saliency, references
from ittisal.attention.grid import Grid
from ittisal.references import gbvs, vocus2
from ittisal.sampling import sampling

PROGRAMS = {"toolbox": TOOLBOX, "vocus2": VOCUS2, "gbvs": GBVS}
SHAPES = [(32, 32), (33, 47), (97, 32), (64, 300), (121, 163)]
each = pytest.mark.parametrize("name", PROGRAMS)


def picture(shape, seed=0):
    """Smooth colours with a red square."""
    rng = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[:height, :width] / max(shape)
    waves = [np.sin(f * x + g * y + p) for f, g, p in rng.uniform(2, 14, (3, 3))]
    frame = 0.5 + 0.2 * np.stack(waves, axis=2)
    top, left = height // 3, width // 2
    frame[top : top + 8, left : left + 8] = (0.9, 0.1, 0.1)
    return np.rint(255 * frame).astype(np.uint8)


@each
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", [True, False], ids=["rgb", "grey"])
def test_odd_and_tiny_frames(name, shape, colour):
    frame = picture(shape) if colour else picture(shape)[..., 0]
    config = PROGRAMS[name]
    with Saliency(shape, config, backend="reference") as model:
        saliency = model(frame)
        assert saliency.shape == model.map_shape == sampling(shape, config).map_shape
        assert np.isfinite(saliency).all() and (saliency >= 0).all() and saliency.max() > 0
        added = model.contributions()
    assert set(added) == {str(c) for c in config.channel_weights(colour=colour)}
    np.testing.assert_allclose(sum(added.values()), saliency, atol=1e-6)
    large = ittisal.saliency_map(frame, config, backend="reference")
    assert large.shape == shape and 0 <= large.min() <= large.max() <= 1


@each
def test_types_and_orders_agree(name):
    frame = picture((48, 70))
    config = PROGRAMS[name]

    def of(frame, order="rgb"):
        return Saliency((48, 70), config, backend="reference", channel_order=order)(frame)

    expected = of(frame)
    np.testing.assert_array_equal(of(frame[..., ::-1], "bgr"), expected)
    np.testing.assert_allclose(of(frame.astype(np.uint16) * 257), expected, atol=1e-6)
    np.testing.assert_allclose(of(frame.astype(np.float32) / np.float32(255)), expected, atol=2e-2)


@each
def test_weights_choose_channels(name):
    frame = picture((64, 96))
    lone = replace(PROGRAMS[name], weights={"intensity": 1})
    trace = Saliency((64, 96), lone, backend="reference").trace(frame)
    assert [k for k in trace if k.startswith("conspicuity/")] == ["conspicuity/intensity"]
    assert not any("red" in k or "orientation" in k for k in trace)


def test_vocus2_splits_on_from_off():
    """A bright spot on dark is in `on` alone at its middle, a dark one on bright in `off`."""
    frame = np.full((128, 128), 0.2)
    frame[60:68, 60:68] = 0.9
    for x, here, there in ((frame, "on", "off"), (1.1 - frame, "off", "on")):
        trace = references.trace(x, replace(VOCUS2, weights={"intensity": 1}))
        at = {half: trace[f"contrast/intensity/{half}"][32, 32] for half in ("on", "off")}
        assert at[here] > 0.05 > 1e-3 > at[there]
        assert np.unravel_index(trace["saliency"].argmax(), (64, 64)) in {
            (y, x) for y in (31, 32) for x in (31, 32)
        }


def test_vocus2_is_flat_on_flat_frames():
    assert not references.trace(np.full((40, 50, 3), 0.3), VOCUS2)["saliency"].any()


def test_vocus2_blurs_as_gaussians_add():
    """Blurring twice is blurring once by the root of the sum of squares."""
    x = np.zeros((81, 81))
    x[40, 40] = 1
    twice, once = vocus2.blur(vocus2.blur(x, 3), 4), vocus2.blur(x, 5)
    np.testing.assert_allclose(twice, once, atol=1e-5)
    assert vocus2.blur(np.full((33, 40), 0.7), 13) == pytest.approx(0.7)


def test_gbvs_is_uniform_on_flat_frames():
    """No edge has a weight: the chain stays uniform; only the border's fade is left."""
    trace = references.trace(np.full((96, 128, 3), 0.4), GBVS)
    for name, x in trace.items():
        if name.startswith("activation/"):
            np.testing.assert_allclose(x, x.mean(), rtol=1e-9)
    middle = trace["saliency"][8:-8, 8:-8]
    assert middle.min() == pytest.approx(1)


def test_gbvs_activation_is_an_equilibrium():
    """P p = p, and p is a distribution."""
    x = np.random.default_rng(3).random((12, 17))
    p = gbvs.activation(x)
    assert p.sum() == pytest.approx(1) and (p >= 0).all()
    weights = np.abs(np.subtract.outer(x.ravel(), x.ravel())) * gbvs.nearness(x.shape)
    moved = weights / weights.sum(axis=0) @ p.ravel()
    np.testing.assert_allclose(moved, p.ravel(), rtol=1e-9)


def test_gbvs_favours_the_middle():
    """White noise, many times: the mean map is highest in the middle (its centre bias)."""
    rng = np.random.default_rng(5)
    maps = [gbvs.activation(rng.random((16, 24))) for _ in range(40)]
    mean = np.mean(maps, axis=0)
    assert mean[5:11, 8:16].mean() > 1.2 * mean[[0, -1]].mean()


def test_gbvs_colours():
    """A grey of any brightness has almost no red-green and blue-yellow opponency beside a hue."""
    grey = np.full((1, 1), 0.6)
    red = gbvs.dkl(np.full((1, 1), 0.9), grey / 3, grey / 3)
    neutral = gbvs.dkl(grey, grey, grey)
    assert abs(neutral[1]) < 0.02 < red[1]


def test_attention_on_maps_with_more_samples_than_pixels(rng):
    """`gbvs` has 48 samples along the longer side of any frame."""
    seen = Grid.of(rng.random((32, 40)), (32, 40), GBVS)
    assert seen.saliency.shape == (38, 48) and np.isfinite(seen.saliency).all()
    assert ittisal.scanpath(rng.random((32, 40)), 2, shape=(32, 40), config=GBVS)
    assert isinstance(ittisal.regions(rng.random((32, 40)), shape=(32, 40), config=GBVS), list)
