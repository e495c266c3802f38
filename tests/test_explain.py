"""Explanations: shares that sum to 1 and are what the map loses without a channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from readings import READINGS
from tolerances import within

import ittisal
from ittisal.attention.view import view

SHAPE = (256, 320)
CONFIGS = {
    **READINGS,
    "split": replace(ittisal.ITTI_1998, split_cs=True, normalise_opponents=True),
    "gains": replace(ittisal.ITTI_1998, feature_weights={"red_green": 3, "orientation_45": 0}),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_shares_sum_to_one_at_every_level(name, photo, backend):
    config = CONFIGS[name]
    model = ittisal.Saliency(SHAPE, config, backend=backend)
    model(photo[:, ::-1])  # so that flicker and motion have a past
    traced = model.trace(photo)
    path = ittisal.scanpath(traced, 3, shape=SHAPE, config=config)
    grid = [(y, x) for y in range(8, SHAPE[0], 16) for x in range(8, SHAPE[1], 16)]
    places = [*path, (100.0, 200.0), (32, 48, 64, 80), *grid]
    for why, place in zip(
        ittisal.explain(traced, places, shape=SHAPE, config=config), places, strict=True
    ):
        for level in (why.channels, why.features, why.pairs):
            assert sum(level.values()) == pytest.approx(1 if why.saliency else 0)
            assert min(level.values()) >= 0
        for channel, share in why.channels.items():
            features = [f.name for f in ittisal.features.FEATURES if f.channel.value == channel]
            parts = [why.features[each] for each in features] or [why.features[channel]]
            assert sum(parts) == pytest.approx(share, abs=1e-6)
        if hasattr(place, "saliency"):
            assert why.saliency == pytest.approx(place.saliency, rel=1e-5)


@pytest.mark.parametrize("channel", ["intensity", "colour", "orientation"])
def test_a_channel_left_out_takes_its_share(channel, photo, backend):
    """Weights are divided by their sum, so what is left grows by as much as that falls."""
    weights = {"intensity": 2, "colour": 1, "orientation": 3}
    without = replace(ittisal.ITTI_1998, weights={**weights, channel: 0})
    config = replace(ittisal.ITTI_1998, weights=weights)
    traced = ittisal.Saliency(SHAPE, config, backend=backend).trace(photo)
    left = ittisal.Saliency(SHAPE, without, backend=backend)(photo)
    path = ittisal.scanpath(traced, 5, shape=SHAPE)
    for why, fixation in zip(ittisal.explain(traced, path, shape=SHAPE), path, strict=True):
        wanted = fixation.saliency * (1 - why.channels[channel])
        got = left[fixation.row, fixation.column] * (6 - weights[channel]) / 6
        within("same_maths", np.array([got]), np.array([wanted]))


def test_what_stands_out_by_colour_is_explained_by_colour(traced):
    frame = np.full((*SHAPE, 3), 128, np.uint8)
    frame[96:128, 200:232] = (228, 78, 78)  # as bright as the rest
    (why,) = ittisal.explain(traced(frame), [(112, 216)], shape=SHAPE)
    assert max(why.channels, key=why.channels.get) == "colour"
    assert max(why.features, key=why.features.get) == "red_green"
    assert set(why.as_dict()) == {"saliency", "channels", "features", "pairs"}
    assert 0 not in why.as_dict()["pairs"].values()


def test_a_box_is_the_sum_of_its_samples(photo):
    traced = ittisal.Saliency(SHAPE).trace(photo)
    box = (32, 48, 64, 80)
    (why,) = ittisal.explain(traced, [box], shape=SHAPE)
    assert why.saliency == pytest.approx(float(traced["saliency"][2:6, 3:8].sum()), rel=1e-5)
    seen = view(traced, SHAPE)
    assert (seen.coverage((40, 48, 8, 8))[2, 3], seen.coverage(box).sum()) == (0.25, 20)


def test_proto_objects_and_nothing(photo):
    traced = ittisal.Saliency(SHAPE).trace(photo)
    found = ittisal.proto_object(traced, (100, 100), shape=SHAPE)
    (why,) = ittisal.explain(traced, [found], shape=SHAPE)
    assert why.saliency == pytest.approx(float(traced["saliency"][found.mask].sum()), rel=1e-5)
    dark = ittisal.Saliency(SHAPE).trace(np.zeros(SHAPE, np.uint8))
    (why,) = ittisal.explain(dark, [(10, 10)], shape=SHAPE)
    assert (why.saliency, sum(why.channels.values())) == (0, 0)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("here", "is no fixation"),
        ((1, 2, 3), "is no fixation"),
        ((256, 10), "outside the frame of 256 rows"),
        ((0, 0, 0, 10), r"box \(0, 0, 0, 10\)"),
        ((0, 0, 10, 321), "is not in the frame"),
        ((float("nan"), 0), "outside the frame"),
    ],
)
def test_bad_places(place, message, photo):
    traced = ittisal.Saliency(SHAPE).trace(photo)
    with pytest.raises((TypeError, ValueError), match=message):
        ittisal.explain(traced, [place], shape=SHAPE)


def test_places_of_another_map(photo):
    large = ittisal.Saliency(SHAPE).trace(photo)
    small = ittisal.Saliency((64, 64)).trace(np.ascontiguousarray(photo[:64, :64]))
    (fixation,) = ittisal.scanpath(large, 1, shape=SHAPE, inhibition="object")
    for place, message in ((fixation, "fixation at sample"), (fixation.object, "proto-object has")):
        with pytest.raises(ValueError, match=message):
            ittisal.explain(small, [place])


def test_a_map_alone_has_no_reasons():
    with pytest.raises(ValueError, match="does not say what made it"):
        ittisal.explain(np.ones((16, 20)), [(10, 10)])
