"""GBVS: its reference against its description, and every backend's stages against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from test_stages import photo_like
from tolerances import alike, within

from ittisal import GBVS, Config, Saliency
from ittisal.references import gbvs

TINY, ODD, WIDE, TALL = (32, 32), (129, 203), (33, 701), (301, 37)


def trace(frame, config=GBVS, backend="cpu", threads=1, order="rgb"):
    shape = frame.shape[:2]
    with Saliency(shape, config, backend=backend, threads=threads, channel_order=order) as model:
        return model.trace(frame)


def transitions(x):
    """The chain's matrix, entry by entry: from each column's sample to each row's."""
    values, places = x.ravel(), np.indices(x.shape).reshape(2, -1)
    squared = sum(np.subtract.outer(place, place) ** 2 for place in places)
    sigma = 0.15 * np.mean(x.shape)
    weights = np.abs(np.subtract.outer(values, values)) * np.exp(-squared / (2 * sigma**2))
    return weights / weights.sum(axis=0)


# --- published facts -------------------------------------------------------------------------


def test_the_power_iteration_of_the_authors_ends_near_it():
    frame = photo_like((240, 320))
    wanted = trace(frame, backend="reference")
    total = 0
    for name, x in wanted.items():
        if name.startswith("map/"):
            matrix, p, change = transitions(x), np.full(x.size, 1 / x.size), 1.0
            while change > 1e-4:
                p, before = matrix @ p, p
                change = np.linalg.norm(p - before)
            total = total + (p / p.sum()).reshape(x.shape) ** 1.5
    faded = gbvs.attenuate(total, gbvs.MAP_FADE, shared=False)
    alike("stopped", wanted["saliency"], gbvs.blur(faded))


def test_what_differs_from_its_surroundings_is_active(rng):
    x = 0.5 + 0.01 * rng.random((27, 48))
    x[9, 30] = 1
    assert np.unravel_index(gbvs.activation(x).argmax(), x.shape) == (9, 30)


@pytest.mark.parametrize("shape", [TINY, ODD])
@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_flat_frames_activate_all_places_alike(backend, value, shape):
    frame = np.full((*shape, 3), (value, value // 2, 255 - value), np.uint8)
    found = trace(frame, backend=backend)
    for name, x in found.items():
        if name.startswith("activation/"):
            within("same_maths", x, np.full(x.shape, x.size**-1.5))
    saliency = found["saliency"]
    assert saliency.max() == pytest.approx(1)
    within("same_maths", saliency, saliency[::-1, ::-1])


def test_the_longer_side_of_maps_has_48_samples():
    for shape, wanted in {
        (1080, 1920): (27, 48), (300, 451): (32, 48), (37, 37): (48, 48), (701, 33): (48, 2),
        (32, 9000): (1, 48),
    }.items():  # fmt: skip
        with Saliency(shape, GBVS, backend="cpu") as model:
            assert model.plan.map_shape == wanted == gbvs.map_shape(shape)


# --- against the reference -------------------------------------------------------------------

fast = pytest.mark.parametrize("any_backend", ["cpu", "cuda"], indirect=True)


def assert_matches(found, wanted):
    """Every buffer of the reference, by its stage's tolerance."""
    assert set(found) == set(wanted)
    colours = "luminance", "red_green", "blue_yellow"
    for name, x in wanted.items():
        stage, *feature = name.split("/")
        if stage == "map" and feature[0] in colours:
            within("gbvs_colour", found[name], x)
        elif stage == "map":
            within("gbvs_map", found[name], x)
        elif stage == "pyramid":
            within("stage_pyramid", found[name], x)
        elif stage == "activation":  # of its own maps, whose range may be small
            signal = wanted[f"pyramid/intensity/{feature[1]}"].max()
            p = gbvs.activation(np.float64(found[name.replace(stage, "map", 1)]), signal)
            within("gbvs_activation", found[name], p**1.5)
        else:
            within("gbvs_saliency", found[name], x)


@fast
@pytest.mark.parametrize("shape", [TINY, (33, 47), ODD, WIDE, TALL, (240, 320)])
def test_its_stages_are_the_references(backend, shape):
    frame = photo_like(shape)
    assert_matches(trace(frame, backend=backend), trace(frame, backend="reference"))


@fast
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("order", ["rgb", "bgr", "grey"])
def test_formats(backend, order, dtype):
    frame = photo_like((97, 150))
    frame = {"uint8": frame, "uint16": frame * np.uint16(257), "float32": frame / 255}[dtype]
    frame = frame.astype(dtype)
    if order == "grey":
        frame, order = np.ascontiguousarray(frame[..., 1]), "rgb"
    found = trace(frame, backend=backend, order=order)
    assert ("conspicuity/colour" in found) == (frame.ndim == 3)
    assert_matches(found, trace(frame, backend="reference", order=order))


@fast
@pytest.mark.parametrize(
    "weights", [{"intensity": 1}, {"colour": 1}, {"orientation": 1, "colour": 3}]
)
def test_channels_without_a_weight_are_left_out(backend, weights):
    config = Config(
        model="gbvs", weights={"intensity": 0, "colour": 0, "orientation": 0, **weights}
    )
    frame = photo_like((97, 150))
    found = trace(frame, config, backend=backend)
    assert {name.split("/")[1] for name in found if "conspicuity/" in name} == set(weights)
    assert_matches(found, trace(frame, config, backend="reference"))


@pytest.mark.parametrize("shape", [TINY, ODD, WIDE, TALL, (1080, 1920)])
def test_the_map_does_not_depend_on_threads(shape):
    frame = photo_like(shape)
    wanted = trace(frame)
    for threads in (2, 5):
        for name, x in trace(frame, threads=threads).items():
            np.testing.assert_array_equal(x, wanted[name], err_msg=name)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 1.5])
def test_bad_values_are_refused(bad):
    frame = np.full((64, 80, 3), 0.5, np.float32)
    with Saliency((64, 80), GBVS, backend="cpu") as model:
        wanted = model(frame).copy()
        frame[40, 70, 1] = bad
        with pytest.raises(ValueError, match="frame"):
            model(frame)
        frame[40, 70, 1] = 0.5
        np.testing.assert_array_equal(model(frame), wanted)
