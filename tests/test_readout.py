"""The read-out: a density as its formula says, a fit that finds the truth, honest folds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import scipy.ndimage
from tolerances import within

import ittisal
from ittisal import INVT, ITTI_1998, VIDEO, ChannelMap, datasets, evaluation, readout
from ittisal.config import PRESETS
from ittisal.evaluation.fitting import _counts
from ittisal.evaluation.readout import log_evidence, multipliers, positions
from ittisal.readout import Observations, Readout
from ittisal.sampling import sampling

SHAPES = [(32, 32), (33, 47), (120, 160), (201, 96), (480, 640)]
PLAIN = Readout(blur_percent=3, power=1.5, centre_width=0.6, centre_height=-0.2)


def raw_map(rng, shape):
    """Positive, smooth on the scale of a few samples, as if of a frame of this shape."""
    noise = rng.random((shape[0] // 16, shape[1] // 16))
    return scipy.ndimage.gaussian_filter(noise, 1, mode="reflect").astype(np.float32)


def expected(rng, truth, config=ITTI_1998, shapes=((240, 320),) * 5 + ((320, 240),) * 3):
    """Observations in which every sample is looked at as often as `truth` says, to the fraction.

    With channels if it has a power of their gain.
    """
    maps, counts, channels = {}, {}, {}
    for i, shape in enumerate(shapes):
        maps[i] = raw_map(rng, shape) ** 2
        height, width = maps[i].shape
        log_p = truth.power * log_evidence(maps[i][None].astype(float), truth.blur_percent)[0]
        if truth.gain_power:
            spots = ChannelMap(raw_map(rng, shape) > 0.6, 20, "multiply")
            channels[i] = multipliers({"spots": spots}, sampling(shape, config))
            gains = 1 + 20.0 * spots.map[None]
            log_p += truth.gain_power * log_evidence(gains, truth.blur_percent)[0]
        log_p -= (positions(width) / truth.centre_width) ** 2 / 2
        log_p -= ((positions(height)[:, None] - truth.centre_height) / truth.centre_width) ** 2 / 2
        p = np.exp(log_p - log_p.max())
        counts[i] = 100 * p / p.sum()
    return Observations(None, config, maps, counts, {}, channels)


@pytest.fixture(scope="module")
def tiny(tiny):
    """Six images of two sizes."""
    return datasets.load(tiny)


@pytest.fixture(scope="module")
def seen(tiny):
    return readout.observe(tiny, backend="reference")


@pytest.fixture
def spoilt(tiny, tmp_path):
    """The same without the file of image 2."""
    datasets.save(tiny, tmp_path / "spoilt")
    data = datasets.load(tmp_path / "spoilt")
    data.path(2).unlink()
    return data


# --- the density -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "given",
    [
        PLAIN,
        Readout(0, 0, 100, 0),
        Readout(50, 100, 0.01, 1),
        Readout(0, 8, 0.05, -1e5),
        Readout(0.5, 100, 100, 1e5),
    ],
)
def test_densities_sum_to_one(rng, shape, given):
    for raw in (raw_map(rng, shape), raw_map(rng, shape) * 0, (raw_map(rng, shape) > 0.6) * 1e-30):
        log_p = given.log_density(raw, shape)
        assert log_p.shape == shape and log_p.dtype == np.float32
        total = np.log(np.exp(log_p.astype(np.float64)).sum())
        assert abs(total) < 1e-3


def test_the_formula(rng):
    """Pixel by pixel, on samples' own pixels where the upsampled map is the map."""
    shape = (96, 160)
    raw, faces = (raw_map(rng, shape).astype(np.float64) for _ in range(2))
    even = replace(ITTI_1998, phase="even")  # samples lie on pixels 0, 16, 32, ...
    given = replace(PLAIN, blur_percent=0, gain_power=0.7)
    channels = {"faces": ChannelMap(faces, 20, "multiply"), "no": ChannelMap(faces, 0, "multiply")}
    got = given.log_density(raw, shape, even, channels)[::16, ::16]
    gains = 1 + 20 * faces
    wanted = np.empty(raw.shape)
    for (i, j), s in np.ndenumerate(raw):
        u, v = (2 * 16 * j + 1) / 160 - 1, (2 * 16 * i + 1) / 96 - 1
        wanted[i, j] = 1.5 * math.log(s / raw.mean() + 0.001)
        wanted[i, j] += 0.7 * math.log(gains[i, j] / gains.mean() + 0.001)
        wanted[i, j] -= (u**2 + (v + 0.2) ** 2) / (2 * 0.6**2)
    within("log_density", got - got[0, 0], wanted - wanted[0, 0])


def test_channels_without_a_power_or_a_map(rng):
    shape = (96, 160)
    raw, guided = raw_map(rng, shape), replace(PLAIN, gain_power=0.7)
    channels = {"face": ChannelMap(raw_map(rng, shape), 20, "multiply")}
    wanted = PLAIN.log_density(raw, shape)
    assert (PLAIN.log_density(raw, shape, channels=channels) == wanted).all()
    for nothing in (None, {}, {"face": ChannelMap(raw * 0, 20, "multiply")}):
        within("log_density", guided.log_density(raw, shape, channels=nothing), wanted)
    with pytest.raises(ValueError, match="'face'] is added, and a read-out takes those that multi"):
        guided.log_density(raw, shape, channels={"face": raw})


def test_the_blur_is_a_gaussian(rng):
    raw = rng.random((1, 40, 60))
    got = np.exp(log_evidence(raw, 5)[0]) - 0.001
    wanted = scipy.ndimage.gaussian_filter(raw[0], 3, mode="constant", truncate=8)
    inside = scipy.ndimage.gaussian_filter(np.ones((40, 60)), 3, mode="constant", truncate=8)
    wanted /= inside  # the part of the Gaussian within the map counts as the whole
    within("order", got, wanted / wanted.mean())


def test_maps_of_zeros_and_of_other_units(rng):
    """A map of zeros, or a power of 0, leaves the Gaussian."""
    down, across = positions(96)[:, None], positions(160)
    gaussian = np.exp(-(across**2 + (down + 0.2) ** 2) / (2 * 0.6**2))
    wanted = np.log(gaussian / gaussian.sum())
    raw = raw_map(rng, (96, 160))
    within("log_density", PLAIN.log_density(raw * 0, (96, 160)), wanted)
    within("log_density", replace(PLAIN, power=0).log_density(raw, (96, 160)), wanted)
    for scale in (1e-12, 7.0, 1e12):  # the map's unit does not matter
        got = PLAIN.log_density(raw * np.float32(scale), (96, 160))
        within("log_density", got, PLAIN.log_density(raw, (96, 160)))
    flat = replace(PLAIN, power=0, centre_width=100, centre_height=0)
    assert np.ptp(flat.log_density(raw, (96, 160))) < 2e-4


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"blur_percent": -1}, ValueError, "blur_percent=-1 must be 0 to 50"),
        ({"power": math.nan}, ValueError, "power=nan must be 0 to 100"),
        ({"centre_width": 0}, ValueError, "centre_width=0 must be 0.01 to 100"),
        ({"centre_height": math.inf}, ValueError, "centre_height=inf"),
        ({"power": 10**400}, ValueError, "power=10+ must be 0 to 100"),
        ({"power": "2"}, TypeError, "power='2' must be a number"),
        ({"power": True}, TypeError, "power=True"),
        ({"gain_power": -1}, ValueError, "gain_power=-1 must be 0 to 100"),
    ],
)
def test_bad_numbers(change, error, match):
    with pytest.raises(error, match=match):
        replace(PLAIN, **change)


def test_bad_maps():
    with pytest.raises(ValueError, match="a 160x96 frame has"):
        PLAIN.log_density(np.ones((96, 160)), (96, 160))
    for value in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="finite and not negative"):
            PLAIN.log_density(np.full((6, 10), value), (96, 160))


def test_maps_of_models_are_never_changed(tiny, seen):
    """Nothing but the read-out applies the read-out."""
    image = tiny.load_image(0)
    raw = ittisal.Saliency(image.shape[:2], backend="reference")(image)
    assert (raw == seen.maps[0]).all()
    model = seen.model("raw")
    scene = evaluation.Scene(tiny, 0)
    assert (model.map(scene).values == ittisal.upsample(raw, image.shape[:2])).all()


# --- the fit -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "truth",
    [PLAIN, Readout(6, 3, 0.4, 0.3), Readout(1, 0.7, 1.5, 0), replace(PLAIN, gain_power=0.8)],
)
def test_the_fit_finds_what_made_the_data(rng, truth):
    found = readout.fit(expected(rng, truth))
    for field, value in asdict(truth).items():
        within(f"fitted_{field}", getattr(found, field), value)


def test_the_fit_at_its_limits(rng):
    found = readout.fit(expected(rng, Readout(3, 1.5, 100, 0)))  # no centre bias
    assert found.centre_width > 20
    within("fitted_power", found.power, 1.5)
    found = readout.fit(expected(rng, Readout(3, 0, 0.6, -0.2)))  # nothing to do with the map
    assert found.power < 1e-3
    within("fitted_centre_width", found.centre_width, 0.6)
    # Fixations away from what is salient: the power is 0, not negative.
    data = expected(rng, PLAIN)
    data = replace(data, counts={i: 1 / (c + 1) for i, c in data.counts.items()})
    assert readout.fit(data).power == 0


@pytest.mark.parametrize("config", [ITTI_1998, INVT], ids=["centred", "even"])
def test_a_fixation_counts_at_the_nearest_sample(config):
    """Where an upsampled map with one sample is highest, that sample is nearest."""
    shape = (101, 170)
    for at in [(0, 0), (2, 3), (5, 9), (5, 0)]:
        small = np.zeros((6, 10), np.float32)
        small[at] = 1
        rows, columns = np.nonzero(ittisal.upsample(small, shape, config) > 0.75)
        fixations = datasets.Fixations(columns + 0.3, rows + 0.6, *[rows * 0] * 3)
        counts = _counts(fixations, sampling(shape, config))
        assert counts[at] == len(rows) == counts.sum()


def test_observing(tiny, spoilt):
    steps = []
    got = readout.observe(spoilt, backend="reference", progress=lambda: steps.append(1))
    assert len(steps) == 6
    assert got.images == [0, 1, 3, 4, 5]
    assert "colour" not in got.skipped[2] or str(spoilt.path(2)) in got.skipped[2]
    for i in got.images:
        height, width = tiny.sizes[i]
        assert got.maps[i].shape == got.counts[i].shape == (height // 16, width // 16)
        assert got.counts[i].sum() == len(tiny.fixations(i))


def test_every_image_is_a_first_frame(tiny):
    one = readout.observe(tiny, VIDEO, backend="reference")
    other = readout.observe(tiny.subset([3, 0]), VIDEO, backend="reference")
    assert (one.maps[3] == other.maps[0]).all() and (one.maps[0] == other.maps[1]).all()


def test_images_that_cannot_be_fitted_on(tiny, seen):
    with pytest.raises(ValueError, match="image 77 has no map"):
        readout.fit(seen, [0, 77])
    for nothing in (seen, replace(seen, maps={}, counts={}, skipped={0: "is too small"})):
        with pytest.raises(ValueError, match="no images to fit"):
            readout.fit(nothing, [])


# --- folds -------------------------------------------------------------------------------------


def test_folds_are_fair(rng):
    data = expected(rng, PLAIN)
    found = readout.cross_validated(data, folds=3)
    sizes = np.bincount(list(found.fold.values()))
    assert sorted(found.fold) == data.images and len(sizes) == 3 and np.ptp(sizes) <= 1
    again = readout.cross_validated(data, folds=3)
    assert again.fold == found.fold and again.readouts == found.readouts
    assert readout.cross_validated(data, folds=3, seed=1).fold != found.fold


def test_no_image_is_seen_by_its_own_readout(rng):
    """Fixations of a fold, thrown elsewhere, change the read-outs of all other folds only."""
    data = expected(rng, PLAIN)
    before = readout.cross_validated(data, folds=4)
    image = 2
    thrown = {**data.counts, image: np.zeros_like(data.counts[image])}
    thrown[image][-1, -1] = 500
    after = readout.cross_validated(replace(data, counts=thrown), folds=4)
    changed = [a != b for a, b in zip(before.readouts, after.readouts, strict=True)]
    assert changed == [fold != before.fold[image] for fold in range(4)]


def test_folds_and_images_that_do_not_fit(rng, tiny):
    data = expected(rng, PLAIN)
    for folds in (1, 9):
        with pytest.raises(ValueError, match=f"folds={folds} must be at least 2 and at most .* 8"):
            readout.cross_validated(data, folds)
    alone = readout.observe(tiny.subset([0]), backend="reference")
    with pytest.raises(ValueError, match="needs 2 images or more; 1 can be used"):
        readout.cross_validated(alone)


def test_scores_that_are_held_out(tiny, seen):
    held_out = readout.cross_validated(seen, folds=3)
    models = [seen.model("raw"), held_out.model("fitted"), "centre"]
    scores = evaluation.evaluate(tiny, models, ["auc", "ig", "nss"], threads=1)
    assert scores.score("fitted", "ig").mean > 0  # on six images it need not beat the raw map
    i = 4
    log_p = held_out.log_density(i)
    got = scores.of_image("fitted", "nss")[i]
    fixations = tiny.fixations(i)
    within("hand", got, ittisal.metrics.nss(np.exp(log_p), fixations.x, fixations.y))
    wanted = held_out.readouts[held_out.fold[i]]
    assert (log_p == wanted.log_density(seen.maps[i], tuple(tiny.sizes[i]))).all()


def test_channels_of_every_image(tiny, seen):
    def channels(image):
        return {"left": ChannelMap(np.eye(*image.shape[:2]), 9, "multiply")}

    guided = readout.observe(tiny, backend="reference", channels=channels)
    assert (guided.maps[3] == seen.maps[3]).all()  # they are without channels
    scene = evaluation.Scene(tiny, 3)
    model = ittisal.Saliency(scene.shape, backend="reference")
    wanted = ittisal.upsample(model(scene.image, channels=channels), scene.shape)
    within("same_maths", guided.model("raw").map(scene).values, wanted)
    fitted = readout.Readout(2, 1, 1, 0, gain_power=2)
    got = guided.under(fitted).log_density(3)
    wanted = fitted.log_density(seen.maps[3], scene.shape, channels=channels(scene.image))
    assert (got == wanted).all()
    assert (got != seen.under(fitted).log_density(3)).any()


def test_scenes_of_another_data_set(tiny, seen, spoilt):
    model = readout.cross_validated(seen, folds=2).model("fitted")
    with pytest.raises(ValueError, match="another data set"):
        model.map(evaluation.Scene(tiny.subset([3, 1]), 0))
    unread = readout.observe(spoilt, backend="reference").model("raw")
    with pytest.raises(ValueError, match="No such file"):
        unread.map(evaluation.Scene(spoilt, 2))


# --- the table ---------------------------------------------------------------------------------


def test_tables(tmp_path):
    assert {name.removesuffix(" faces") for name in readout.names()} <= set(PRESETS)
    assert {"itti1998", "gaze faces"} <= set(readout.names())
    for name in readout.names():
        assert readout.load(name).power > 0
        assert (readout.load(name).gain_power > 0) == name.endswith(" faces")
    path = tmp_path / "table.json"
    other = replace(PLAIN, power=1 / 3)
    path.write_text(readout.updated(path, "one", PLAIN, {"fitted_on": "here"}))
    path.write_text(readout.updated(path, "two", PLAIN, {}))
    path.write_text(readout.updated(path, "two", other, {}))
    assert readout.names(path) == ["one", "two"]
    assert readout.load("one", path) == PLAIN
    assert readout.load("two", path) == replace(other, power=0.333333)
    assert json.loads(path.read_text())["readouts"]["one"]["fitted_on"] == "here"


def test_bad_tables(tmp_path):
    path = tmp_path / "table.json"
    with pytest.raises(FileNotFoundError):
        readout.load("itti1998", path)
    objects = ("{}", '{"readouts": []}', '{"readouts": {"a": 1}}')
    for text in ("", "[" * 100_000, "[]", "[1]", "\xff", *objects):
        path.write_bytes(text.encode("latin-1"))
        for use in (readout.names, lambda at: readout.updated(at, "a", PLAIN, {})):
            with pytest.raises(ValueError, match=r"table\.json"):
                use(path)
    path.write_text('{"readouts": {"a": {"readout": {"power": 1}}, "b": {}}}')
    for name in "ab":
        with pytest.raises(ValueError, match=f"read-out '{name}' is damaged"):
            readout.load(name, path)
    with pytest.raises(ValueError, match=r"no read-out 'c' in .*it has: a, b"):
        readout.load("c", path)


def test_importing_the_package_does_not_load_it():
    code = "import sys, ittisal; print('ittisal.readout' in sys.modules, ittisal.readout.names)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False <function names")
