"""Whitening and figures in the reference: arithmetic by hand, and properties of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tolerances import alike, within

from ittisal import GAZE, ITTI_1998, VIDEO, WHITENED, Saliency, reference
from ittisal.plan import Plan

PRESETS = pytest.mark.parametrize("config", [WHITENED, GAZE], ids=["whitened", "gaze"])


# --- whitening ---------------------------------------------------------------------------------


def test_statistics_are_mean_and_covariance():
    a, b = np.array([[1.0, 3.0]]), np.array([[4.0, 0.0]])
    assert reference.statistics([a, b]).tolist() == [[2, 1, -2], [2, -2, 4]]


def test_whitened_maps_are_uncorrelated_and_of_unit_variance(rng):
    mixed = np.tensordot(np.eye(3) + 0.2 * rng.random((3, 3)), rng.random((3, 40, 50)), 1)
    z = reference.whiten(list(mixed), reference.statistics(list(mixed)), [1.0] * 3)
    covariance = np.cov(np.reshape(z, (3, -1)), bias=True)
    within("ridge", covariance, np.eye(3))


def test_the_first_map_keeps_its_shape_and_each_next_loses_what_it_shares(rng):
    a, noise = rng.random((2, 30, 40))
    z = reference.whiten([a, a], reference.statistics([a, a]), [1.0] * 2)
    alike("equivariant", z[0], a)
    assert np.abs(z[1]).max() < 0.2 * np.abs(z[0]).max()
    z = reference.whiten([a, a + noise], reference.statistics([a, a + noise]), [1.0] * 2)
    shared = np.cov(a.ravel(), noise.ravel())[0, 1] / a.var()
    alike("equivariant", z[1], noise - a * shared)


def test_what_does_not_vary_stays_zero(rng):
    a, flat = rng.random((8, 8)), np.full((8, 8), 0.3)
    z = reference.whiten([a, flat], reference.statistics([a, flat]), [1.0, 1.0])
    assert (z[1] == 0).all()
    assert (z[0] != 0).any()


def test_whitening_is_by_the_cholesky_factor(rng):
    maps = list(rng.random((3, 20, 30)))
    measured = reference.statistics(maps)
    factor = reference.cholesky_factor(measured)
    assert np.array_equal(factor, np.tril(factor))
    within("ridge", factor @ factor.T, measured[:, 1:])
    x = np.reshape(maps, (3, -1)) - measured[:, :1]
    z = np.reshape(reference.whiten(maps, measured, [1.0] * 3), (3, -1))
    within("hand", factor @ z, x)


def test_the_squared_mahalanobis_distance_by_hand(rng):
    """It does not change when the energies are mixed or scaled."""
    energies = list(rng.random((4, 12, 16)))
    measured = reference.statistics(energies)
    got = reference.mahalanobis(energies, measured)
    x = np.reshape(energies, (4, -1)) - measured[:, :1]
    ridge = reference.RIDGE * np.trace(measured[:, 1:]) / 4 * np.eye(4)
    wanted = (x * np.linalg.solve(measured[:, 1:] + ridge, x)).sum(0).reshape(12, 16)
    within("hand", got, wanted)
    assert got.mean() == pytest.approx(4, rel=0.05)


# --- surroundedness ----------------------------------------------------------------------------


def test_reconstruction_fills_a_basin_up_to_its_lowest_outlet():
    mask = np.array(
        [
            [9, 9, 9, 9, 9],
            [9, 1, 9, 2, 9],
            [9, 1, 4, 9, 5],
            [9, 9, 9, 9, 9],
        ],
        float,
    )
    filled = reference.reconstruction(mask)
    assert filled[1, 1] == filled[2, 1] == 9  # every path out goes over 9
    assert filled[1, 3] == 9
    mask[0, 1] = 6  # an outlet
    filled = reference.reconstruction(mask)
    assert filled[1, 1] == filled[2, 1] == filled[2, 2] == 6
    assert filled[1, 3] == 9


def test_reconstruction_follows_a_spiral():
    """A path of low values to the border leaves what it leads to as it is, however it winds."""
    mask = spiral(17)
    assert (reference.reconstruction(mask) == mask).all()
    mask[[0, -1]], mask[:, [0, -1]] = 1, 1
    assert (reference.reconstruction(mask) == 1).all()


def spiral(side):
    """A path of zeros that winds from the border to the middle, walls of 1 between."""
    mask = np.ones((side, side))
    y, x = 1, 1
    mask[0, 1] = mask[1, 1] = 0  # the outlet
    lengths = [side - 3] * 3
    while lengths[-1] > 2:
        lengths += [lengths[-1] - 2] * 2
    for turn, length in enumerate(lengths):
        dy, dx = [(0, 1), (1, 0), (0, -1), (-1, 0)][turn % 4]
        for _ in range(length):
            y, x = y + dy, x + dx
            mask[y, x] = 0
    return mask


def test_reconstruction_is_scikit_images(rng):
    from skimage.morphology import reconstruction

    mask = rng.random((20, 30))
    marker = np.full_like(mask, mask.max())
    marker[[0, -1]], marker[:, [0, -1]] = mask[[0, -1]], mask[:, [0, -1]]
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    wanted = reconstruction(marker, mask, method="erosion", footprint=cross)
    assert (reference.reconstruction(mask) == wanted).all()


def test_surroundedness_counts_thresholds():
    """As boolean maps do: the number of thresholds that cut a sample off from the border."""
    from skimage.measure import label

    z = np.round(np.random.default_rng(3).random((12, 14)) * 20)
    above = np.zeros(z.shape)
    for threshold in range(20):
        labels = label(z > threshold, connectivity=1)
        outer = np.unique([*labels[[0, -1]].ravel(), *labels[:, [0, -1]].ravel()])
        above += (labels > 0) & ~np.isin(labels, outer)
    on, off = reference.surroundedness(z)
    assert (on == above).all()
    assert (reference.surroundedness(-z)[0] == off).all()


def test_a_figure_that_touches_the_border_is_none():
    z = np.zeros((10, 12))
    z[3:6, 4:8] = 1
    assert (reference.surroundedness(z)[0] == z).all()
    z[:6, 4:8] = 1
    assert (reference.surroundedness(z)[0] == 0).all()


def test_soft_root():
    assert reference.soft_root(np.array(0.0)) == 0
    within("hand", reference.soft_root(np.array(0.8)), np.sqrt(0.81) - 0.1)


def test_density():
    assert reference.density(np.zeros((2, 3))) == 0
    assert reference.density(np.full((2, 3), 1e-7)) == pytest.approx(1)
    one = np.zeros((2, 3))
    one[1, 1] = 5
    assert reference.density(one) == pytest.approx(1 / 6)


def test_isolated_corners_need_three_orientations():
    """Those of a scene, where corners are dense, need all four to be alike."""
    energies = np.zeros((4, 2, 5))
    energies[:, 0, 0] = 4, 1, 3, 2
    assert reference.corners(list(energies))[0, 0] == 2
    energies[:] = energies[:, :1, :1]
    within("hand", reference.corners(list(energies)), np.full((2, 5), 1 / 2.5))
    energies[:, 0, :4] = 0  # six of ten: half-way from items to a scene
    within("hand", reference.corners(list(energies))[1], np.full(5, (2 + 0.4) / 2))


def test_isolated_items_become_a_scene_without_a_jump():
    """In video the map must not jump when the density passes a threshold."""
    energies = np.random.default_rng(5).random((4, 30, 40))
    items = np.random.default_rng(6).random((30, 40))
    before, changes, densities = None, [], []
    for dense in np.linspace(0, 1, 201):
        scale = np.clip(dense - items, 0, None) + 1e-9
        now = reference.corners(list(energies * scale))
        densities.append(reference.density(np.sort(energies * scale, axis=0)[1]))
        if before is not None and dense > 0.1:
            changes.append(np.abs(now - before).max() / now.max())
        before = now
    assert densities[20] < reference.SPARSE
    assert densities[-1] > reference.DENSE
    assert max(changes) < 0.1


@pytest.mark.parametrize(
    ("shape", "level"),
    [
        ((32, 32), 0), ((256, 256), 0), ((320, 240), 1), ((480, 640), 2), ((600, 800), 2),
        ((768, 1024), 2), ((720, 1280), 3),
        ((1080, 1920), 3), ((1920, 1080), 3), ((2160, 3840), 4), ((4320, 7680), 5),
        ((32, 5000), 2), ((100, 5000), 3), ((2048, 65536), 7), ((65536, 65536), 7),
    ],
)  # fmt: skip
def test_corner_level_is_the_plans_too(shape, level):
    assert reference.corner_level(shape, GAZE) == Plan(shape, GAZE).corner_level == level


# --- whole maps --------------------------------------------------------------------------------


@PRESETS
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_frames_give_exactly_zero(config, value):
    frame = np.full((96, 128, 3), value)
    frame[..., 1] *= 0.5
    assert (reference.saliency(frame, config) == 0).all()


@PRESETS
@pytest.mark.parametrize("gain", [0.5, 1e-5])
def test_less_exposure_gives_the_same_picture(config, gain, photo):
    """The shape of the map: `gaze` itself is in units of energy."""
    bright, dark = (reference.saliency(photo / 255 * gain, config) for gain in (1, gain))
    alike("exposed", dark, bright)


@PRESETS
def test_a_grey_frame_is_a_colour_frame_without_colour(config, photo):
    grey = photo[..., 1]
    three = np.repeat(grey[..., None], 3, axis=2)
    if config.figure:  # its weight would be shared by the others
        config = replace(config, weights={"intensity": 1, "orientation": 1})
    within("grey_ridge", reference.saliency(three, config), reference.saliency(grey, config))


def test_contributions_of_gaze_add_up_to_the_map(photo):
    traced = reference.trace(photo, GAZE)
    parts = {name: x for name, x in traced.items() if name.startswith("contribution/")}
    assert set(parts) == {
        f"contribution/{name}" for name in ("figure", "intensity", "colour", "orientation")
    }
    within("order", sum(parts.values()), traced["saliency"])
    added = Saliency(photo.shape[:2], GAZE, backend="reference")
    within("upsampled", sum(contributions(added, photo).values()), added(photo))


def contributions(model, frame):
    model(frame)
    return model.contributions()


def test_figure_promotes_what_pops_out(photo):
    """Without it the map is the plain sum; with it that sum promotes what is a figure."""
    plain = reference.trace(photo, replace(GAZE, figure=False))["saliency"]
    traced = reference.trace(photo, GAZE)
    figure = traced["figure"] * traced["corners"]
    within("order", traced["saliency"], figure * (1 + plain / reference.PROMOTION))


def test_what_moves_needs_no_figure(photo):
    """Flicker and motion count as if they were figures, besides those that they promote."""
    before = reference.trace(photo, VIDEO)
    past = reference.passed(before, VIDEO)
    traced = reference.trace(np.roll(photo, 3, axis=1), VIDEO, past=past)
    plain = replace(VIDEO, figure=False)
    terms = reference.trace(np.roll(photo, 3, axis=1), plain, past=past)
    for channel in VIDEO.channel_weights(past=True):
        own = reference.MOVING_FIGURE if channel in ("flicker", "motion") else 0
        wanted = (traced["figure"] + own) * traced["corners"] / reference.PROMOTION
        name = f"contribution/{channel}"
        within("order", traced[name], wanted * terms[name])
        assert traced[name].any()


def test_running_statistics_whiten_every_frame_but_the_first(photo):
    """With `whitening_seconds` the frames before whiten a frame; the first whitens itself."""
    config = replace(WHITENED, whitening_seconds=0.5)
    other = np.ascontiguousarray(photo[::-1, :, ::-1])
    first = reference.trace(photo, config)
    assert (first["saliency"] == reference.trace(photo, WHITENED)["saliency"]).all()
    past = reference.passed(first, config)
    second = reference.trace(other, config, past=past, elapsed=0.1)
    assert (second["saliency"] != reference.trace(other, WHITENED)["saliency"]).any()
    left = reference.passed(second, config, past, 0.1)
    factor = 1 - np.exp(-0.1 / 0.5)
    now, before = second["statistics/planes"], first["statistics/planes"]
    within("hand", left.statistics["planes"], before + factor * (now - before))


def test_figure_needs_orientation():
    with pytest.raises(ValueError, match="orientation channel, whose weight is 0"):
        replace(GAZE, weights={"intensity": 1})


def test_linear_opponency():
    rgb = np.array([[[0.2, 0.5, 0.9]]])
    red_green, blue_yellow = reference.opponency(rgb, replace(ITTI_1998, opponency="linear"))
    within("hand", [red_green[0, 0], blue_yellow[0, 0]], [-0.3, 0.55])


# --- every backend -----------------------------------------------------------------------------


def textured(seed, shape=(64, 80)):
    """Coloured blocks of eight pixels."""
    small = np.random.default_rng(seed).integers(0, 256, (shape[0] // 8, shape[1] // 8, 3))
    return np.kron(small, np.ones((8, 8, 1))).astype(np.uint8)


def test_grey_and_colour_frames_take_turns(backend):
    """What a colour frame leaves in the buffers is no part of a grey one's map."""
    colour, grey = textured(1), textured(2)[..., 0].copy()
    model = Saliency(grey.shape, GAZE, backend=backend, threads=1)
    for frame in (colour, grey, colour, grey):
        within("float32", model(frame), reference.saliency(frame, GAZE))


def test_nothing_stands_out_where_all_touches_the_border(backend):
    """Then surroundedness is rounding, and must not be made a picture of."""
    frame = np.empty((240, 320, 3), np.uint8)
    frame[:] = (90, 120, 30)
    frame[:120, 100:200] = (255, 3, 60)
    model = Saliency(frame.shape[:2], GAZE, backend=backend, threads=1)
    assert (model(frame) == 0).all()


@PRESETS
def test_frames_of_one_colour_between_others(backend, config):
    """By running statistics: none after black, no noise after texture."""
    config = replace(config, whitening_seconds=0.5)
    flat = np.full((64, 80, 3), 90, np.uint8)
    frames = [np.zeros_like(flat), textured(1), textured(2), flat, textured(1)]
    model, truth = (
        Saliency(flat.shape[:2], config, backend=name, threads=1) for name in (backend, "reference")
    )
    for index, frame in enumerate(frames):
        got, wanted = model(frame), truth(frame)
        within("float32", got, wanted)
        assert (got.max() > 0) == (index not in (0, 3)), index
