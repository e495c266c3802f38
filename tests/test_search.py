"""Guided search: gains learned from examples, and what they find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import stimuli
from attention import false_shifts
from conftest import model
from readings import FIVE

from ittisal import GAZE, INVT, ITTI_1998, WHITENED, Config, guided_config, reference
from ittisal.attention.search import FLOOR
from ittisal.features import FEATURES, Channel

CONJUNCTION = ((45, stimuli.BLUE), (90, stimuli.RED))


def box_around(place, size=29):
    """The box of a slanted bar, by its centre."""
    y, x = (int(centre) - size // 2 for centre in place)
    return y, x, size, size


def learned(seed, config=ITTI_1998, backend="cpu", count=15, **display):
    """A config learned from two displays of no other seed."""
    examples = [stimuli.red_slanted(count, 100 + 2 * seed + k, **display) for k in (0, 1)]
    frames, places = zip(*examples, strict=True)
    return guided_config(frames, [box_around(place) for place in places], config, backend=backend)


def shifts(backend, seeds, count=15, guided=True, **display):
    """False shifts of attention before the target, one number per seed."""
    found = []
    for seed in seeds:
        image, target = stimuli.red_slanted(count, seed, **display)
        config = learned(seed, count=count, **display) if guided else ITTI_1998
        with_config = model(backend, image.shape[:2], config)
        found.append(false_shifts(with_config(image), target, image.shape[:2], config))
    return np.array(found)


# --- what is found -----------------------------------------------------------------------------


def test_a_red_slanted_bar_is_found_first(backend):
    """Bottom-up it comes seventh on average, and on some displays last of 15."""
    seeds = range(8) if backend == "cpu" else (1, 2, 6)
    unguided = shifts(backend, seeds, guided=False)
    assert unguided.mean() > 6 and unguided.max() >= 10
    assert (shifts(backend, seeds) == 0).all()


@pytest.mark.parametrize("count", [15, 29])
def test_conjunctions_are_found_sooner(count):
    """Where half of the others are red and half slanted, gains differ by two times only."""
    display = {"count": count, "others": CONJUNCTION}
    unguided = shifts("cpu", range(8), guided=False, **display)
    guided = shifts("cpu", range(8), **display)
    assert guided.mean() < unguided.mean() / 3
    assert (guided <= unguided).all()


def test_gains_learned_on_every_backend_are_the_same(backend):
    got, wanted = learned(1, backend=backend), learned(1, backend="reference")
    assert got.feature_weights == pytest.approx(dict(wanted.feature_weights), rel=1e-3)
    assert got.weights == pytest.approx(dict(wanted.weights), rel=1e-3)


# --- what is learned ---------------------------------------------------------------------------


def test_gains_are_ratios_of_means():
    """By hand, of a target that is whole samples of the map, over two frames of different sizes."""
    frames = [stimuli.red_slanted(9, 5)[0], stimuli.red_slanted(9, 6)[0][64:448, 96:]]
    boxes = [(96, 160, 48, 64), (16, 32, 32, 32)]
    config = guided_config(frames, boxes, backend="reference")
    traces = [reference.trace(frame) for frame in frames]

    def ratio(maps):
        inside, outside = [], []
        for x, box in zip(maps, boxes, strict=True):
            y, left, height, width = (n // 16 for n in box)
            within = np.zeros(x.shape, bool)
            within[y : y + height, left : left + width] = True
            inside.append(x[within])
            outside.append(x[~within])
        floor = FLOOR * max(x.max() for x in maps)
        means = [np.concatenate(parts).mean() + floor for parts in (inside, outside)]
        return means[0] / means[1]

    seen = [f for f in FEATURES if ITTI_1998.has(f.channel)]
    gains = {f.name: ratio([trace[f"weighted/{f.name}"] for trace in traces]) for f in seen}
    mean = np.mean(list(gains.values()))
    for feature in FEATURES:
        wanted = gains[feature.name] / mean if feature in seen else 1
        assert config.feature_weights[feature.name] == pytest.approx(wanted)
    guided = [reference.trace(frame, config) for frame in frames]
    channels = (Channel.INTENSITY, Channel.COLOUR, Channel.ORIENTATION)
    ratios = [ratio([trace[f"conspicuity/{channel}"] for trace in guided]) for channel in channels]
    for channel, one in zip(channels, ratios, strict=True):
        assert config.weights[channel] == pytest.approx(one / np.mean(ratios))
    assert replace(config, weights=ITTI_1998.weights, feature_weights={}) == ITTI_1998


@pytest.mark.parametrize("phase", ["centred", "even"])
def test_boxes_and_masks_are_the_same(phase):
    image, place = stimuli.red_slanted(9, 3)
    y, x, height, width = box = box_around(place, 5)  # less than a sample of the map
    mask = np.zeros(image.shape[:2], bool)
    mask[y : y + height, x : x + width] = True
    config = replace(ITTI_1998, phase=phase)
    assert guided_config([image], [box], config) == guided_config([image], [mask], config)
    assert guided_config([image], [box], config).feature_weights["red_green"] > 1.5
    bgr = guided_config([image[..., ::-1]], [box], config, channel_order="bgr")
    assert bgr == guided_config([image], [box], config)


def test_a_single_pixel_is_enough():
    image, place = stimuli.red_slanted(9, 3)
    corners = [(0, 0, 1, 1), (511, 639, 1, 1), (*map(int, place), 1, 1)]
    for box in corners:
        config = guided_config([image[:509, :631] if box[0] == 0 else image], [box])
        assert 0 < min(config.feature_weights.values()) < max(config.feature_weights.values()) < 10


def test_weights_are_multiplied():
    """On a reading of the model with weights already; what has none gets none."""
    image, place = stimuli.red_slanted(9, 4)
    given = replace(ITTI_1998, feature_weights={"red_green": 0, "orientation_0": 5})
    plain, config = (
        guided_config([image], [box_around(place)], each) for each in (ITTI_1998, given)
    )
    assert config.feature_weights["red_green"] == 0
    names = ("blue_yellow", "orientation_0", "orientation_90")
    gains = {name: config.feature_weights[name] / plain.feature_weights[name] for name in names}
    assert gains["orientation_0"] == pytest.approx(5 * gains["orientation_90"])
    assert gains["blue_yellow"] == pytest.approx(gains["orientation_90"])
    invt = guided_config([image], [box_around(place)], INVT)
    assert invt.weights[Channel.INTENSITY] > invt.weights[Channel.ORIENTATION]


def test_what_is_not_seen_keeps_its_weight():
    """Grey frames have no colour, and single frames no past; some examples may be grey."""
    image, place = stimuli.red_slanted(9, 4)
    grey, box = np.ascontiguousarray(image[..., 0]), box_around(place)
    config = guided_config([grey], [box], FIVE)
    for feature in FEATURES:
        seen = feature.channel in (Channel.INTENSITY, Channel.ORIENTATION)
        assert (config.feature_weights[feature.name] != 1) == seen
    assert config.weights[Channel.COLOUR] == config.weights[Channel.MOTION] == 1
    assert config.weights[Channel.INTENSITY] != 1
    mixed = guided_config([grey, image], [box, box], FIVE)
    assert mixed.feature_weights["red_green"] > mixed.feature_weights["blue_yellow"]
    assert guided_config([image], [box], GAZE).figure


def test_flat_frames_teach_nothing():
    assert guided_config([np.zeros((64, 96, 3), np.uint8)], [(8, 8, 20, 20)]) == ITTI_1998


# --- what is refused ---------------------------------------------------------------------------

FRAME = np.zeros((64, 96, 3), np.uint8)
BOX = (8, 8, 20, 20)


@pytest.mark.parametrize(
    ("frames", "targets", "config", "error", "says"),
    [
        ([], [], ITTI_1998, ValueError, "there are no frames; give at least one"),
        ([FRAME], [BOX, BOX], ITTI_1998, ValueError, "of frames is 1, of targets 2; give lists"),
        (FRAME, BOX, ITTI_1998, ValueError, "of frames is 64, of targets 4; give lists"),
        ([FRAME], [(8, 8, 0, 4)], ITTI_1998, ValueError, "(8, 8, 0, 4) is empty or reaches out"),
        ([FRAME], [(8, 80, 4, 20)], ITTI_1998, ValueError, "out of the 96x64 frame"),
        ([FRAME], [(-1, 8, 4, 4)], ITTI_1998, ValueError, "(-1, 8, 4, 4) is empty or reaches"),
        ([FRAME], [(0, 0, 64, 96)], ITTI_1998, ValueError, "the target is the whole frame"),
        ([FRAME], [(8, 8, 4)], ITTI_1998, TypeError, "give a box (y, x, height, width)"),
        ([FRAME], [(8, 8, 4, 4.5)], ITTI_1998, TypeError, "dtype float64; give a box"),
        ([FRAME], [None], ITTI_1998, TypeError, "target is NoneType"),
        ([FRAME], [np.ones((64, 96))], ITTI_1998, TypeError, "or a boolean mask"),
        ([FRAME], [np.ones((64, 95), bool)], ITTI_1998, ValueError, "mask has shape (64, 95)"),
        ([FRAME], [np.ones((64, 96), bool)], ITTI_1998, ValueError, "the target is the whole"),
        ([FRAME], [np.zeros((64, 96), bool)], ITTI_1998, ValueError, "the target is empty"),
        ([FRAME], [BOX], WHITENED, ValueError, "no channel whose features a single frame shows"),
        ([FRAME], [BOX], Config(weights={"motion": 1}), ValueError, "no channel whose features"),
        ([FRAME[:16]], [(0, 0, 4, 4)], ITTI_1998, ValueError, "at least 32"),
        (["photo.jpg"], [BOX], ITTI_1998, TypeError, "frame is a str"),
    ],
)
def test_refused(frames, targets, config, error, says):
    with pytest.raises(error) as caught:
        guided_config(frames, targets, config)
    assert says in str(caught.value)


def test_colour_alone_refuses_grey_frames():
    with pytest.raises(ValueError, match="a grey frame has no colour channel"):
        guided_config([FRAME[..., 0]], [BOX], Config(weights={"colour": 1}))
