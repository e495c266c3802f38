"""Scanpaths, the winner-take-all network and proto-objects (section 8 of the design)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attention import false_shifts
from stimuli import HEIGHT, WIDTH, horizontal_among_vertical, red_among_blue, white_among_grey

import ittisal
from ittisal import WinnerTakeAll
from ittisal.attention import inhibition
from ittisal.attention.view import view

DISPLAYS = (red_among_blue, horizontal_among_vertical, white_among_grey)
MAP = (30, 40)
FRAME = (480, 640)


def naive(saliency, inhibits, seconds, step=1e-4):
    """Section 8.3 step by step: (seconds, row, column) of each winner."""
    leak, current = 1e-7, saliency.ravel() * 1e-9 + 1e-14
    potential, inhibited, layer = np.zeros((3, saliency.size))
    global_inhibition, neuron, excitation = 1e-2, 0.0, 0.0
    winners, last = [], -math.inf
    for k in range(1, round(seconds / step) + 1):
        conductance = np.maximum(leak + inhibited, 1e-9)
        target = current / conductance
        potential = target + (potential - target) * np.exp(-conductance * step / 5e-8)
        inhibited *= 0.9999 ** (step / 1e-4)
        conductance = 1e-8 + global_inhibition
        target = (5e-8 * potential - 0.02 * global_inhibition) / conductance
        layer = target + (layer - target) * math.exp(-conductance * step / 1e-9)
        layer = np.maximum(layer, -0.02)
        global_inhibition = 0.0
        firing = np.flatnonzero(layer >= 1e-3)
        layer[firing] = 0
        if firing.size and k - last > round(1e-3 / step):
            row, column = divmod(int(firing[0]), saliency.shape[1])
            winners.append((k * step, row, column))
            last, excitation = k, 1e-7
            strengths, part = inhibits(row, column)
            inhibited.reshape(saliency.shape)[part] += 0.1 * potential[firing[0]] * strengths
        conductance = 1e-8 + excitation
        target = 0.1 * excitation / conductance
        neuron = target + (neuron - target) * math.exp(-conductance * step / 1e-9)
        if neuron >= 1e-3:
            neuron, excitation, global_inhibition = 0.0, 0.0, 1e-2
    return winners


def peaks(shape, *places, width=1.5):
    """Gaussian peaks: (row, column, height) each."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return sum(
        height * np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * width**2))
        for r, c, height in places
    )


@pytest.fixture(scope="module")
def raw(photo):
    """A photograph's map with a maximum of 8."""
    saliency = ittisal.Saliency(photo.shape[:2])(photo).astype(float)
    return saliency * (8 / saliency.max())


# --- the network, against section 8.3 step by step ----------------------------------------------


@pytest.mark.parametrize("shape", [(16, 20), (1, 9), (7, 1)])
@pytest.mark.parametrize(
    "inhibits",
    [
        lambda shape: inhibition.disc(shape, (2.6, 2.6)),
        lambda shape: inhibition.gaussian(shape, (0.8, 0.8), facilitates=True),
    ],
    ids=["disc", "gauss"],
)
def test_the_network_is_the_one_stepped_by_the_equations(shape, inhibits, rng):
    saliency = 8 * rng.random(shape) ** 3
    wanted = naive(saliency, inhibits(shape), 0.8)
    got = WinnerTakeAll(shape, inhibits(shape)).step(saliency, 0.8)
    assert [winner[1:] for winner in got] == [winner[1:] for winner in wanted]
    assert [winner.time for winner in got] == pytest.approx(
        [time for time, *_ in wanted], abs=2.01e-4
    )
    assert len(got) > 1


def test_the_network_of_a_photograph(raw):
    radius = min(raw.shape) / 6
    inhibits = inhibition.gaussian(raw.shape, (0.3 * radius, 0.3 * radius), facilitates=True)
    wanted = naive(raw, inhibits, 0.7)
    got = WinnerTakeAll(raw.shape, inhibits).step(raw, 0.7)
    assert [winner[1:] for winner in got] == [winner[1:] for winner in wanted]
    assert len(got) > 20


def test_intervals_of_search_displays():
    """Section 8.3: of displays, a median within P98's 30 to 70 ms."""
    intervals = []
    for display in DISPLAYS:
        image, _ = display(29, 1)
        raw = ittisal.Saliency(image.shape[:2])(image)
        path = ittisal.scanpath(raw, 8, inhibition="gauss", winner="lif", shape=image.shape[:2])
        intervals += np.diff([fixation.time for fixation in path]).tolist()
    assert 30 <= np.median(intervals) <= 70


@pytest.mark.parametrize(("height", "first"), [(8, 0.061), (2, 0.108)])
def test_first_winner_of_isolated_peaks(height, first):
    """Section 8.3: 61 ms for a peak of 8, 108 ms for one of 2; then 39 to 80 ms."""
    saliency = peaks(MAP, (8, 10, height), (20, 30, 0.7 * height), (22, 6, 0.4 * height))
    network = WinnerTakeAll(MAP, inhibition.disc(MAP, (5, 5)))
    winners = network.step(saliency, 1.0, most=3)
    assert [winner[1:] for winner in winners] == [(8, 10), (20, 30), (22, 6)]
    assert winners[0].time == pytest.approx(first, abs=1e-3)
    if height == 8:
        intervals = np.diff([winner.time for winner in winners])
        assert ((intervals >= 0.039) & (intervals <= 0.080)).all()


def test_half_the_time_step_gives_the_same_winners():
    """Section 11.15: the same order, times within 1 ms."""
    saliency = peaks(MAP, (8, 10, 8), (20, 30, 6), (22, 6, 5), (3, 33, 3))
    inhibits = inhibition.disc(MAP, (5, 5))
    coarse = WinnerTakeAll(MAP, inhibits).step(saliency, 0.6)
    fine = WinnerTakeAll(MAP, inhibits, time_step=5e-5).step(saliency, 0.6)
    assert len(coarse) == 4
    assert [w[1:] for w in coarse] == [w[1:] for w in fine]
    assert [w.time for w in coarse] == pytest.approx([w.time for w in fine], abs=1e-3)


def test_the_network_goes_on_from_call_to_call(raw):
    """Thirtieths of a second are no whole number of steps; the rest is carried over."""
    inhibits = inhibition.disc(raw.shape, (2.7, 2.7))
    network = WinnerTakeAll(raw.shape, inhibits)
    frames = [winner for _ in range(18) for winner in network.step(raw, 1 / 30)]
    whole = WinnerTakeAll(raw.shape, inhibits).step(raw, 0.6)
    assert network.time == pytest.approx(0.6)
    assert [w[1:] for w in frames] == [w[1:] for w in whole]
    assert [w.time for w in frames] == pytest.approx([w.time for w in whole], abs=3e-4)
    network.reset()
    assert network.step(raw, 0.6) == whole


def test_a_lone_peak_is_not_looked_at_again_before_half_a_second():
    saliency = peaks(MAP, (15, 20, 8.0))
    times = [w.time for w in WinnerTakeAll(MAP, inhibition.disc(MAP, (9, 9))).step(saliency, 9.0)]
    assert len(times) > 1
    assert np.diff(times).min() >= 0.5


def test_a_dark_map_has_no_winner_and_equal_ones_the_first():
    inhibits = inhibition.disc(MAP, (5, 5))
    assert WinnerTakeAll(MAP, inhibits).step(np.zeros(MAP), 1.0) == []
    (winner,) = WinnerTakeAll(MAP, inhibits).step(np.full(MAP, 8.0), 1.0, most=1)
    assert winner[1:] == (0, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, list])
def test_the_network_takes_maps_of_any_numbers(dtype):
    saliency = np.zeros(MAP)
    saliency[10, 20] = 8
    wanted = WinnerTakeAll(MAP).step(saliency, 0.1)
    given = saliency.tolist() if dtype is list else saliency.astype(dtype)
    assert WinnerTakeAll(MAP).step(given, 0.1) == wanted
    assert len(wanted) == 1


@pytest.mark.parametrize(
    ("options", "step", "message"),
    [
        ({}, {"saliency": np.ones((4, 5))}, r"\(4, 5\); this network is for \(30, 40\)"),
        ({}, {"saliency": np.full(MAP, np.nan)}, "map holds NaN"),
        ({}, {"seconds": -1}, "seconds=-1 must be at least 0 and finite"),
        ({}, {"seconds": math.nan}, "seconds=nan"),
        ({}, {"most": 0}, "most=0 must be a whole number above 0"),
        ({"time_step": 0}, {}, "time_step=0 must be above 0 and at most 0.001"),
        ({"radius": -1}, {}, "radius=-1 must be above 0 and finite"),
        ({"radius": (3, math.nan)}, {}, "radius=nan"),
        ({"inhibition": "box"}, {}, "inhibition='box' is not 'gauss' or 'disc'"),
        ({"shape": (0, 4)}, {}, "shape=0 must be a whole number above 0"),
    ],
)
def test_bad_arguments_of_the_network(options, step, message):
    with pytest.raises(ValueError, match=message):
        WinnerTakeAll(**{"shape": MAP} | options).step(
            **{"saliency": np.ones(MAP), "seconds": 0.1} | step
        )


# --- scanpaths ----------------------------------------------------------------------------------


def places_of(path):
    return [(fixation.row, fixation.column) for fixation in path]


def test_the_network_and_the_maximum_agree_on_the_first_winner(raw_map):
    """Section 12.11: the same first winner on every display."""
    for display, seed in [(display, seed) for display in DISPLAYS for seed in range(2)]:
        image, target = display(15, seed)
        raw = raw_map(image)
        fast, lif = (
            ittisal.scanpath(raw, 1, winner=winner, shape=image.shape[:2])
            for winner in ("fast", "lif")
        )
        assert places_of(fast) == places_of(lif)
        assert false_shifts(raw, target, (HEIGHT, WIDTH)) == 0


def test_fixations_of_known_peaks():
    saliency = peaks(MAP, (4, 5, 3.0), (20, 30, 2.0), (10, 35, 1.0), width=0.5)
    path = ittisal.scanpath(saliency, 3)
    assert places_of(path) == [(4, 5), (20, 30), (10, 35)]
    assert [fixation.index for fixation in path] == [0, 1, 2]
    assert [fixation.time for fixation in path] == pytest.approx([50, 100, 150])
    assert [(fixation.y, fixation.x) for fixation in path[:1]] == [(4.5 * 16 - 0.5, 5.5 * 16 - 0.5)]
    assert path[1].saliency == pytest.approx(2.0)
    assert path[0].radius == 80  # a sixth of 480
    assert path[0].mask is None
    assert path[0].as_dict() == {
        "index": 0, "time_ms": 50.0, "x": 87.5, "y": 71.5, "column": 5, "row": 4,
        "saliency": pytest.approx(3.0), "radius": 80.0,
    }  # fmt: skip


def test_invt_looks_around_half_as_far_and_samples_evenly():
    path = ittisal.scanpath(peaks(MAP, (4, 5, 3.0)), 1, config=ittisal.INVT)
    assert (path[0].y, path[0].x, path[0].radius) == (64, 80, 40)


def test_nothing_within_a_disc_is_looked_at_again(raw):
    path = ittisal.scanpath(raw, 100, radius=40)
    apart = np.array([(fixation.y, fixation.x) for fixation in path])
    distances = np.hypot(*(apart[:, None] - apart[None]).transpose(2, 0, 1))
    assert distances[~np.eye(len(apart), dtype=bool)].min() > 40
    assert len(path) < 100  # the frame is full of discs


def test_gaussian_inhibition_leaves_its_share():
    """The standard deviation is the radius: one radius away, 1 - exp(-1/2) is left."""
    saliency = np.zeros(MAP)
    saliency[10, 10], saliency[10, 15] = 1, 0.999
    path = ittisal.scanpath(saliency, 3, inhibition="gauss", radius=80)
    left = 0.999 * (1 - math.exp(-0.5))
    saliency[20, 30] = left - 1e-3
    assert places_of(path)[:2] == [(10, 10), (10, 15)]
    path = ittisal.scanpath(saliency, 3, inhibition="gauss", radius=80)
    assert places_of(path)[:3] == [(10, 10), (10, 15), (20, 30)]
    saliency[20, 30] = left + 1e-3
    path = ittisal.scanpath(saliency, 3, inhibition="gauss", radius=80)
    assert places_of(path)[:3] == [(10, 10), (20, 30), (10, 15)]


@pytest.mark.parametrize("winner", ["fast", "lif"])
@pytest.mark.parametrize("inhibition", ["disc", "gauss"])
def test_equivariance(winner, inhibition):
    """Mirrored, shifted and scaled maps give mirrored, shifted and the same scanpaths."""
    raw = peaks(MAP, (8, 10, 8), (20, 30, 6), (22, 6, 5), (3, 33, 3), (12, 21, 2))
    options = {"winner": winner, "inhibition": inhibition, "n": 5, "radius": 64}
    path = ittisal.scanpath(raw, **options)
    mirrored = ittisal.scanpath(raw[:, ::-1], **options)
    assert places_of(mirrored) == [(r, raw.shape[1] - 1 - c) for r, c in places_of(path)]
    assert places_of(ittisal.scanpath(3.7e-4 * raw, **options)) == places_of(path)
    wide = np.pad(raw, ((0, 0), (9, 0)))
    assert places_of(ittisal.scanpath(wide, **options)) == [(r, c + 9) for r, c in places_of(path)]


def test_a_map_of_the_frames_own_size():
    frame = np.zeros((96, 128))
    frame[40, 70] = 1
    (fixation,) = ittisal.scanpath(frame, 1, shape=(96, 128))
    assert (fixation.y, fixation.x, fixation.radius) == (40, 70, 16)


def test_without_scaling_the_network_is_slower_for_weak_maps():
    saliency = peaks(MAP, (8, 10, 2.0))
    (scaled,) = ittisal.scanpath(saliency, 1, winner="lif")
    (plain,) = ittisal.scanpath(saliency, 1, winner="lif", peak=None)
    assert scaled.time == pytest.approx(61, abs=1)
    assert plain.time == pytest.approx(108, abs=1)


@pytest.mark.parametrize("winner", ["fast", "lif"])
@pytest.mark.parametrize("inhibition", ["disc", "gauss"])
def test_any_radius(winner, inhibition):
    saliency = peaks(MAP, (8, 10, 8.0)) + 0.1
    options = {"n": 3, "winner": winner, "inhibition": inhibition}
    assert len(ittisal.scanpath(saliency, radius=1e300, **options)) == 1
    assert len(set(places_of(ittisal.scanpath(saliency, radius=1e-100, **options)))) == 3


@pytest.mark.parametrize("winner", ["fast", "lif"])
@pytest.mark.parametrize("shape", [(2, 2), (1, 5), (6, 1)])
def test_tiny_and_flat_maps(winner, shape):
    assert ittisal.scanpath(np.zeros(shape), winner=winner) == []
    saliency = np.zeros(shape)
    saliency[-1, -1] = 1e-3
    path = ittisal.scanpath(saliency, 3, winner=winner)
    assert places_of(path)[0] == (shape[0] - 1, shape[1] - 1)


@pytest.mark.parametrize(
    ("saliency", "options", "message"),
    [
        (np.full(MAP, np.nan), {}, "map holds NaN"),
        (np.full(MAP, -0.5), {}, "map holds -0.5"),
        (np.full(MAP, np.inf), {}, "map holds inf"),
        (np.full(MAP, 1e308), {}, "at most float32's 3.4e38"),
        (np.zeros((0, 4)), {}, r"map has shape \(0, 4\)"),
        (np.zeros((3, 4, 3)), {}, r"map has shape \(3, 4, 3\)"),
        (np.zeros(MAP, complex), {}, "dtype complex128"),
        (np.zeros(MAP), {"shape": (100, 100)}, r"shape \(30, 40\); one of a 100x100 frame has"),
        (np.zeros(MAP), {"shape": (480.5, 640)}, r"shape=\(480.5, 640\) must be \(height, width\)"),
        (np.zeros(MAP), {"shape": 480}, r"shape=480 must be \(height, width\)"),
        (np.zeros((1, 1)), {"shape": (0, 0)}, "one of a 0x0 frame"),
        (np.zeros(MAP), {"config": "gaze"}, "config is a str; give an ittisal.Config"),
        ({"intensity": np.zeros(MAP)}, {}, "a mapping of intensity has no saliency"),
        (np.zeros(MAP), {"radius": math.inf}, "radius=inf must be above 0 and finite"),
        (np.zeros(MAP), {"n": 0}, "n=0 must be a whole number above 0"),
        (np.zeros(MAP), {"radius": -1}, "radius=-1 must be"),
        (np.zeros(MAP), {"peak": 0}, "peak=0 must be"),
        (np.zeros(MAP), {"winner": "slow"}, "winner='slow' is not one of 'fast', 'lif'"),
        (np.zeros(MAP), {"inhibition": "box"}, "inhibition='box' is not one of"),
        (np.zeros(MAP), {"inhibition": "object"}, "a map alone does not say what made it"),
    ],
)
def test_bad_arguments(saliency, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ittisal.scanpath(saliency, **options)


def test_a_map_on_a_gpu_has_to_be_copied():
    class OnGpu:
        @property
        def __cuda_array_interface__(self):
            return {"shape": MAP}

    with pytest.raises(TypeError, match="on a GPU; attention works in host memory"):
        ittisal.scanpath(OnGpu())


# --- proto-objects ------------------------------------------------------------------------------


def square(colour=(255, 40, 40), size=64):
    """A lone square on grey, its corner on a sample's border."""
    frame = np.full((*FRAME, 3), 90, np.uint8)
    frame[160 : 160 + size, 320 : 320 + size] = colour
    return frame


def test_the_proto_object_of_a_lone_square(traced):
    trace = traced(square())
    (fixation, *_) = ittisal.scanpath(trace, inhibition="object", shape=FRAME)
    found = fixation.object
    assert found.segmented.startswith("normalised/")
    assert fixation.mask is found.mask
    assert found.mask[fixation.row, fixation.column]
    assert not (found.mask & ~found.inhibited).any()
    assert found.area == pytest.approx(found.mask.mean())
    y, x, height, width = found.box
    assert y <= 160 < 160 + 64 <= y + height
    assert x <= 320 < 320 + 64 <= x + width
    assert height <= 64 + 2 * 48  # surrounds of the winning pair spread it
    assert found.as_dict()["x"] == x


def test_a_coloured_square_is_traced_to_colour(traced):
    frame = np.full((*FRAME, 3), 128, np.uint8)
    frame[160:224, 320:384] = (228, 78, 78)  # the same intensity
    found = ittisal.proto_object(traced(frame), (192, 352), shape=FRAME)
    assert found.channel == "colour"
    assert "/red_green/" in found.segmented


def test_what_fills_the_map_is_no_object(traced):
    frame = np.full(FRAME, 60, np.uint8)
    frame[:, 320:] = 200
    found = ittisal.proto_object(traced(frame), (240, 600), shape=FRAME)
    if found.segmented == "disc":  # said, never silent
        assert found.box[2] == 11 * 16
    assert found.area < 0.1


@pytest.mark.parametrize("config", [ittisal.GAZE, ittisal.WHITENED, ittisal.INVT])
def test_proto_objects_of_other_presets(config):
    frame = square()
    trace = ittisal.Saliency(FRAME, config).trace(frame)
    (fixation, *_) = ittisal.scanpath(trace, inhibition="object", shape=FRAME, config=config)
    y, x, height, width = fixation.object.box
    assert fixation.object.segmented != "disc"
    assert y < 192 < y + height
    assert x < 352 < x + width


@pytest.mark.parametrize("config", [ittisal.ITTI_1998, ittisal.INVT], ids=["itti1998", "invt"])
def test_boxes_of_outer_samples_end_with_the_frame(config):
    """Their pixels are nearer to them than to others."""
    seen = view(np.ones((29, 40)), (479, 641), config)
    mask = np.zeros((29, 40), bool)
    mask[-2:, -1] = True
    start = np.array([432, 624]) if config.phase == "centred" else np.array([424, 616])
    assert seen.box_around(mask) == (*start, *(np.array([479, 641]) - start))
    mask[0, 0] = True
    assert seen.box_around(mask) == (0, 0, 479, 641)
    assert seen.coverage((0, 0, 479, 641)).min() == 1


def test_inhibited_objects_are_not_looked_at_again(photo):
    shape = photo.shape[:2]
    trace = ittisal.Saliency(shape).trace(photo)
    seen = np.zeros(trace["saliency"].shape, bool)
    for fixation in ittisal.scanpath(trace, 6, inhibition="object", shape=shape):
        assert not seen[fixation.row, fixation.column]
        seen |= fixation.object.inhibited
    lif = ittisal.scanpath(trace, 3, inhibition="object", winner="lif", shape=shape)
    assert len(lif) == 3
    assert all(fixation.object is not None for fixation in lif)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((480, 10), "outside the frame of 480 rows and 640 columns"),
        (5, r"place 5 is not \(y, x\)"),
        ((1, 2, 3), r"place \(1, 2, 3\) is not \(y, x\)"),
    ],
)
def test_a_place_outside_the_frame(place, message, traced):
    with pytest.raises((TypeError, ValueError), match=message):
        ittisal.proto_object(traced(square()), place, shape=FRAME)
