"""Models on fixations: the same scores as by hand, honest intervals, nothing lost silently."""

from __future__ import annotations

import csv
import io
import json
import threading
import unicodedata
import weakref
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tolerances import within

import ittisal
from ittisal import datasets, evaluation, imagefiles, metrics
from ittisal.config import PRESETS
from ittisal.evaluation.folders import MapFolder, read_map
from ittisal.evaluation.run import chosen_images
from ittisal.imagefiles import ImageError

ALL = tuple(evaluation.METRICS)
BASELINES = tuple(evaluation.BASELINES)
FAST = ("auc", "nss", "cc")


@pytest.fixture
def tiny(tiny):
    """Six images of two sizes, four observers."""
    return datasets.load(tiny)


@pytest.fixture
def copied(tiny, tmp_path):
    """The same in a folder that a test may spoil."""
    datasets.save(tiny, tmp_path / "copy")
    return datasets.load(tmp_path / "copy")


def redness(image):
    """A map that needs no model: positive, of the image's size, different on each image."""
    return 1 + image[..., 0].astype(np.float32) + np.arange(image.shape[1], dtype=np.float32) / 1000


def scored(data, models, names=FAST, **options):
    return evaluation.evaluate(data, models, names, threads=1, **options)


# --- what is scored ----------------------------------------------------------------------------


def test_scores_are_those_of_the_metrics(tiny):
    result = scored(tiny, {"redness": redness}, ALL)
    assert result.scores.shape == (6, 1, len(ALL))
    for i in range(len(tiny)):
        saliency, looks, others = redness(tiny.load_image(i)), tiny.fixations(i), tiny.others(i)
        shape, sigma = saliency.shape, float(tiny.sigma_px[i])
        x, y = looks.x, looks.y
        density = metrics.empirical_density(x, y, shape, sigma)
        shuffled = metrics.log_density(metrics.empirical_density(*others, shape, sigma))
        wanted = {
            "auc": metrics.auc(saliency, x, y),
            "auc_judd": metrics.auc_judd(saliency, x, y),
            "auc_borji": metrics.auc_borji(saliency, x, y),
            "sauc": metrics.shuffled_auc(saliency, x, y, *others),
            "nss": metrics.nss(saliency, x, y),
            "cc": metrics.cc(saliency, density),
            "sim": metrics.sim(saliency, density),
            "kl": metrics.kl(saliency, density),
            "ig": metrics.information_gain(metrics.log_density(saliency), shuffled, x, y),
        }
        assert set(wanted) == set(ALL)
        within("order", result.scores[i, 0], [wanted[name] for name in ALL])


def test_the_baselines(tiny):
    result = scored(tiny, ["uniform", "others"], ALL)
    chance = {"auc": 0.5, "auc_judd": 0.5, "auc_borji": 0.5, "sauc": 0.5, "nss": 0, "cc": 0}
    for name, value in chance.items():
        assert (result.of_image("uniform", name) == value).all()
    assert (result.of_image("others", "ig") == 0).all()  # it is the reference of information gain
    for i in (0, 2):  # of both sizes
        scene = evaluation.Scene(tiny, i)
        density = metrics.empirical_density(*tiny.others(i), scene.shape, scene.sigma)
        within("order", scene.baseline, 0.99 * density + 0.01 / density.size)

    saliency = evaluation.model("centre").map(evaluation.Scene(tiny, 0)).values
    height, width = saliency.shape
    assert abs(saliency.sum() - 1) < 1e-9
    assert np.unravel_index(saliency.argmax(), saliency.shape) == (height // 2 - 1, width // 2 - 1)
    bare = evaluation.centre_gaussian((height, width))
    sigma_away = bare[height // 2, [width // 2, width // 2 + width // 4]]
    assert sigma_away[1] / sigma_away[0] == pytest.approx(np.exp(-0.5), rel=0.02)


def test_humans_at_fixations_leave_one_observer_out(tiny):
    names = ("auc", "sauc", "nss", "ig")
    result = scored(tiny, ["humans"], names)
    for i in (0, 2):
        looks, scene = tiny.fixations(i), evaluation.Scene(tiny, i)
        baseline = np.log(scene.baseline)
        rows = []
        for subject in np.unique(looks.subject):
            one = looks.subject == subject
            x, y = looks.x[one], looks.y[one]
            rest = metrics.empirical_density(looks.x[~one], looks.y[~one], scene.shape, scene.sigma)
            gain = metrics.information_gain(metrics.log_density(rest), baseline, x, y)
            shuffled = metrics.shuffled_auc(rest, x, y, *tiny.others(i))
            rows.append([metrics.auc(rest, x, y), shuffled, metrics.nss(rest, x, y), gain])
        within("order", result.scores[i, 0], np.mean(rows, axis=0))


def test_humans_against_a_density_are_two_halves(tiny):
    names = ("cc", "sim", "kl")
    found = scored(tiny, ["humans"], names).scores[0, 0]
    looks, scene = tiny.fixations(0), evaluation.Scene(tiny, 0)
    wanted = []
    for half in ((0, 1), (0, 2), (0, 3)):  # of four observers: one of these it must be
        first = np.isin(looks.subject, half)
        a, b = (
            metrics.empirical_density(looks.x[who], looks.y[who], scene.shape, scene.sigma)
            for who in (first, ~first)
        )
        wanted.append([(getattr(metrics, n)(a, b) + getattr(metrics, n)(b, a)) / 2 for n in names])
    assert min(np.abs(found - each).max() for each in wanted) < 1e-9


def test_humans_predict_each_other_better_than_the_baselines_do(tiny):
    result = scored(tiny, BASELINES, ALL)
    for name in set(ALL) - {"kl"}:  # some dozen fixations leave zeros, which KL punishes most
        scores = {model: result.score(model, name).mean for model in BASELINES}
        best = max if evaluation.METRICS[name].higher_is_better else min
        assert best(scores, key=scores.get) == "humans", name


def test_humans_need_two_observers(tmp_path):
    alone = datasets.generated(tmp_path / "alone", images=2, subjects=1)
    with pytest.raises(ValueError, match="humans: 1 observer"):
        scored(alone, ["humans"])
    unknown = replace(alone, subject=np.full(len(alone.x), datasets.UNKNOWN))
    with pytest.raises(ValueError, match="not known who made each fixation"):
        scored(unknown, ["humans"])


def test_models_find_the_odd_ones_out(tiny):
    names = ["itti1998", "invt", "uniform"]
    result = scored(tiny, [evaluation.model(each, backend="reference") for each in names])
    for name in names[:2]:
        assert result.score(name, "auc").low > 0.6
        assert result.difference(name, "uniform", "nss").low > 0.5


# --- what is done to maps ----------------------------------------------------------------------


def test_smoothing_is_in_percent_of_the_longer_side(tiny):
    def impulse(image):
        saliency = np.zeros(image.shape[:2], np.float32)
        saliency[saliency.shape[0] // 2, saliency.shape[1] // 2] = 1
        return saliency

    model = evaluation.Model("impulse", lambda scene: impulse(scene.image))
    for i in (0, 2):
        scene = evaluation.Scene(tiny, i)
        blurred = model.map(scene, evaluation.Treatment(smooth_percent=5)).values
        columns = np.arange(scene.shape[1])
        weights = blurred.sum(axis=0, dtype=np.float64)
        mean = (weights * columns).sum() / weights.sum()
        deviation = np.sqrt((weights * (columns - mean) ** 2).sum() / weights.sum())
        assert deviation == pytest.approx(0.05 * max(scene.shape), rel=0.01)
        assert weights.sum() == pytest.approx(1, abs=1e-4)


def test_smoothing_leaves_constant_maps_and_finds_what_is_not_finite():
    """Rounding in the blur would make a constant map vary, which AUC and NSS magnify."""
    for value in np.random.default_rng(0).random(40):
        smoothed = evaluation.Treatment(3.0)(np.full((97, 131), value, np.float32))
        assert (smoothed == np.float32(value)).all()
    broken = np.ones((40, 60))
    broken[20, 50] = np.nan
    with pytest.raises(ValueError, match="the map is nan at x=50, y=20"):
        evaluation.Treatment(3.0)(broken)


@pytest.mark.parametrize("unit", [2.0**-600, 2.0**-140, 2.0**900])
def test_smoothing_works_on_maps_of_any_unit(tiny, unit):
    plain, scaled = ({"model": lambda im, u=u: im[..., 0] * u} for u in (1.0, unit))
    how = {"smooth_percent": 3.0, "limit": 2}
    within("same_maths", scored(tiny, scaled, **how).scores, scored(tiny, plain, **how).scores)


def test_centre_bias_is_the_stated_formula(tiny):
    scene = evaluation.Scene(tiny, 0)
    model = evaluation.Model("ones", lambda scene: np.ones(scene.shape, np.float32))
    found = model.map(scene, evaluation.Treatment(centre_bias=True)).values
    height, width = scene.shape
    y, x = np.mgrid[:height, :width] + 0.5
    gaussian = np.exp(
        -0.5 * ((x - width / 2) / (width / 4)) ** 2 - 0.5 * ((y - height / 2) / (height / 4)) ** 2
    )
    within("same_maths", found, 0.3 + gaussian)
    # On negative values, as of a log density, it would favour the border.
    models = {"model": lambda im: np.log(0.001 + im[..., 0] / 256)}
    assert scored(tiny, models, smooth_percent=3).images == tiny.images
    with pytest.raises(ValueError, match=r"model: the map is -.* a centre bias would lower what"):
        scored(tiny, models, centre_bias=True)


def test_treatment_changes_models_and_no_baselines(tiny):
    models = [evaluation.model(name, backend="reference") for name in ("itti1998", *BASELINES)]
    plain = scored(tiny, models)
    for options in ({"smooth_percent": 4}, {"centre_bias": True}):
        treated = scored(tiny, models, **options)
        assert (treated.scores[:, 1:] == plain.scores[:, 1:]).all()
        assert (treated.scores[:, 0] != plain.scores[:, 0]).any()


# --- which images ------------------------------------------------------------------------------


def test_bad_images_are_named_skipped_and_counted(copied):
    whole = scored(copied, {"redness": redness})
    missing, broken, calls = copied.images[1], copied.images[4], []
    copied.path(1).unlink()
    copied.path(4).write_bytes(copied.path(4).read_bytes()[:200])
    progress = lambda: calls.append(threading.get_ident())  # noqa: E731
    result = scored(copied, {"redness": redness}, progress=progress)
    assert calls == [threading.get_ident()] * 6
    assert [name for name, _ in result.skipped] == [missing, broken]
    for (name, reason), words in zip(result.skipped, ("cannot be read", "truncated"), strict=True):
        assert name in reason and words in reason
    assert result.images == tuple(np.delete(whole.images, [1, 4]))
    assert (result.scores == np.delete(whole.scores, [1, 4], axis=0)).all()
    assert result.fixations == sum(len(copied.fixations(i)) for i in (0, 2, 3, 5))


def test_what_one_model_cannot_map_is_left_out_for_all(tiny):
    def picky(image):
        if image.shape[0] > image.shape[1]:
            raise ValueError("too tall")
        return redness(image)

    result = scored(tiny, {"redness": redness, "picky": picky})
    assert result.scores.shape[:2] == (4, 2)
    assert [reason for _, reason in result.skipped] == ["picky: too tall"] * 2
    assert (result.scores[:, 0] == result.scores[:, 1]).all()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((3, 4), r"bad: its map has shape \(3, 4\), the image \(120, 160\)"),
        (None, "must be finite"),
    ],
)
def test_nothing_left_is_an_error(tiny, shape, reason):
    with pytest.raises(ValueError, match=f"none of 6 images could be scored.*{reason}"):
        scored(tiny, {"bad": lambda image: np.full(shape or image.shape[:2], np.nan)})


def test_what_is_no_data_set_and_no_model(tiny):
    with pytest.raises(TypeError, match=r"must be a DataSet, as `ittisal.datasets.load` reads"):
        scored(str(tiny.root.parent), ["centre"])
    with pytest.raises(TypeError, match="is no name; give functions in a mapping"):
        scored(tiny, [redness])

    def faulty(image):
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"):  # a fault in a model is no skipped image
        scored(tiny, {"faulty": faulty})


def test_an_image_without_fixations_is_skipped(tiny):
    kept = tiny.image != 3
    columns = ("image", "x", "y", "subject", "order", "duration_ms")
    fewer = replace(tiny, **{name: getattr(tiny, name)[kept] for name in columns})
    result = scored(fewer, {"redness": redness})
    assert result.skipped == ((tiny.images[3], "has no fixations"),)


def test_one_image_has_no_others(tiny):
    single = tiny.subset([0])
    assert scored(single, {"redness": redness}).scores.shape == (1, 1, 3)
    for models, names in (({"redness": redness}, ["sauc"]), (["others"], ["auc"])):
        with pytest.raises(ValueError, match="need fixations on other images"):
            scored(single, models, names)


def test_a_limit_spreads_over_the_set_and_shuffles_with_all_of_it(tiny):
    assert chosen_images(700, 7) == [0, 100, 200, 300, 400, 500, 600]
    whole = scored(tiny, {"redness": redness}, ["sauc", "ig"])
    part = scored(tiny, {"redness": redness}, ["sauc", "ig"], limit=3)
    assert part.images == tiny.images[::2]
    assert (part.scores == whole.scores[::2]).all()


def test_scores_do_not_depend_on_threads(tiny):
    models = [evaluation.model(name, backend="reference") for name in ("itti1998", *BASELINES)]
    one = evaluation.evaluate(tiny, models, ALL, threads=1)
    three = evaluation.evaluate(tiny, models, ALL, threads=3)
    assert (one.scores == three.scores).all()


def test_no_more_images_are_held_than_are_worked_on(copied):
    seen, most, lock = [], [], threading.Lock()
    copied.path(3).unlink()  # what is skipped is let go too

    def watched(image):
        with lock:
            seen.append(weakref.ref(image))
            most.append(sum(each() is not None for each in seen))
        return redness(image)

    evaluation.evaluate(copied, {"watched": watched}, ALL, threads=2)
    assert len(seen) == 5 and max(most) <= 2


def test_an_interrupt_ends_it_and_begins_no_other_image(tiny):
    begun = []

    def counted(image):
        begun.append(1)
        return redness(image)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate(tiny, {"counted": counted}, FAST, threads=1, progress=interrupt)
    assert len(begun) < 6
    assert not [each for each in threading.enumerate() if each.name.startswith("ittisal-evaluate")]


def test_sizes_that_alternate_are_worked_out_once_each(tmp_path, monkeypatch):
    """More sizes than are kept, as in MIT1003."""
    rng = np.random.default_rng(0)
    names = [f"{i:02}.png" for i in range(18)]
    for i, name in enumerate(names):
        picture = np.zeros((40 + i % 6, 50, 3), np.uint8)
        (tmp_path / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    rows = [f"{name},{x:.1f},{y:.1f}" for name in names for x, y in rng.uniform(0, 40, (5, 2))]
    (tmp_path / "fixations.csv").write_text("\n".join(["image,x,y", *rows]))
    made = []

    def counted(x, y, shape, sigma):
        if len(x) > 5:  # not those of one image
            made.append(shape)
        return metrics.fixation_map(x, y, shape, sigma)

    monkeypatch.setattr(evaluation.scenes, "fixation_map", counted)
    result = scored(datasets.load(tmp_path), ["others"], ["auc"])
    assert sorted(made) == [(40 + i, 50) for i in range(6)] and result.images == tuple(names)


# --- models ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        (["itti"], {}, "no model 'itti'; give a preset"),
        (["maps:"], {}, "no model 'maps:'"),
        (["cv2:nothing"], {}, "no model 'cv2:nothing'"),
        (["uniform", "uniform"], {}, "two models are called 'uniform'"),
        ([], {}, "no model is given"),
        (["uniform"], {"metrics": ["auk"]}, "no metric 'auk'; the metrics are: auc"),
        (["uniform"], {"metrics": []}, "no metric is asked for"),
        (["uniform"], {"smooth_percent": -1}, "smooth_percent=-1 must be 0 to 50"),
        (["uniform"], {"smooth_percent": float("nan")}, "smooth_percent=nan"),
        (["uniform"], {"limit": 0}, "limit=0 must be at least 1"),
        (["uniform"], {"threads": 0}, "threads=0 must be at least 1"),
    ],
)
def test_bad_arguments(tiny, models, options, message):
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(tiny, models, **options)


def test_presets_and_configs_are_the_package_s_own_maps(tiny, tmp_path):
    config = replace(ittisal.ITTI_1998, split_cs=True)
    path = tmp_path / "split.json"
    path.write_text(config.to_json())
    scene = evaluation.Scene(tiny, 0)
    for spec, wanted in (("invt", ittisal.INVT), (f"config:{path}", config)):
        found = evaluation.model(spec, backend="reference").map(scene).values
        assert (found == ittisal.saliency_map(scene.image, wanted, backend="reference")).all()


def test_names_of_models(tiny):
    assert [evaluation.model(name).name for name in PRESETS] == list(PRESETS)
    one = scored(tiny, "centre", "auc")  # one name is no list of letters
    assert (one.models, one.metrics) == (("centre",), ("auc",))
    assert (one.scores == scored(tiny, ["centre"], ["auc"]).scores).all()


def test_opencv_s_models(tiny, monkeypatch):
    scene = evaluation.Scene(tiny, 0)
    ours = evaluation.model("cv2:spectral_residual").map(scene).values
    bgr = np.ascontiguousarray(scene.image[..., ::-1])
    _, wanted = cv2.saliency.StaticSaliencySpectralResidual_create().computeSaliency(bgr)
    assert (ours == wanted).all()
    fine = evaluation.model("cv2:fine_grained").map(scene).values
    assert fine.shape == scene.shape and fine.max() > fine.min()
    monkeypatch.delattr(cv2, "saliency")  # as of opencv-python
    with pytest.raises(ValueError, match=r"cv2:fine_grained needs .* opencv-contrib-python"):
        evaluation.model("cv2:fine_grained")


def test_maps_in_a_folder(tiny, tmp_path):
    (tmp_path / "deeper").mkdir()
    for i, name in enumerate(tiny.images):
        file = {0: "{}.saliency.npy", 1: "deeper/{}.npy"}.get(i, "{}.npy").format(Path(name).stem)
        kind = np.float64 if i == 1 else np.float32
        np.save(tmp_path / file, redness(tiny.load_image(i)).astype(kind))
    result = scored(tiny, [f"maps:{tmp_path}"], ALL)
    assert (result.scores == scored(tiny, {"redness": redness}, ALL).scores).all()
    assert result.remarks == ()
    (tmp_path / f"{Path(tiny.images[0]).stem}.saliency.npy").unlink()  # and as pictures
    scene = evaluation.Scene(tiny, 0)
    grey = scene.image[..., 1]
    for picture in (grey, np.repeat(grey[..., None], 3, axis=2)):
        cv2.imwrite(str(tmp_path / Path(tiny.images[0]).with_suffix(".png")), picture)
        assert (MapFolder(tmp_path).map_of(scene) == grey).all()


def test_maps_of_another_size_are_resized_and_said_so_once(tiny, tmp_path):
    for i, name in enumerate(tiny.images):
        height, width = tiny.sizes[i] // 4
        np.save(tmp_path / f"{Path(name).stem}.npy", np.tile(np.arange(float(width)), (height, 1)))
    folder, scene = evaluation.model(f"maps:{tmp_path}"), evaluation.Scene(tiny, 0)
    result = scored(tiny, [folder])
    assert len(result.remarks) == 1 and ": 6 maps" in result.remarks[0]
    inner = (np.arange(160) + 0.5) / 4 - 0.5
    within("same_maths", folder.map(scene).values[60], np.clip(inner, 0, 39))
    # Rounding would make constant maps vary, which AUC and NSS magnify.
    for value in np.random.default_rng(0).random(10):
        for size in ((37, 53), (200, 300)):
            np.save(tmp_path / f"{Path(tiny.images[0]).stem}.npy", np.full(size, value))
            found = MapFolder(tmp_path).map_of(scene)
            assert found.shape == (120, 160) and (found == value).all()


def test_raw_maps_lie_where_their_samples_do(tiny, tmp_path):
    """A map at its own size is upsampled on the model's grid: its rows do not fill 120 pixels."""
    scene = evaluation.Scene(tiny, 0)
    assert scene.shape == (120, 160)
    for name, shape in (("itti1998", (7, 10)), ("gaze", (30, 40))):
        raw = np.random.default_rng(1).random(shape).astype(np.float32)
        np.save(tmp_path / f"{Path(tiny.images[0]).stem}.npy", raw)
        wanted = ittisal.upsample(raw, scene.shape, PRESETS[name])
        assert (MapFolder(tmp_path).map_of(scene) == wanted).all()


def test_a_map_that_is_missing_double_or_broken_is_named(tiny, tmp_path):
    stems = [Path(name).stem for name in tiny.images]
    for i in (1, 2, 3):
        np.save(tmp_path / f"{stems[i]}.npy", redness(tiny.load_image(i)))
    (tmp_path / f"{stems[1]}.png").write_bytes(b"")
    (tmp_path / f"{stems[4]}.png").write_bytes(b"no picture")
    np.save(tmp_path / f"{stems[5]}.npy", np.zeros((2, 3, 4, 5)))
    with open(tmp_path / f"{stems[3]}.npy", "wb") as file:
        np.savez(file, redness(tiny.load_image(3)))
    result = scored(tiny, [f"maps:{tmp_path}"])
    assert result.images == (tiny.images[2],)
    wanted = ("no map called bright-0", "two maps of one", "cannot be", "not an image", "is no map")
    for words, (_, reason) in zip(wanted, result.skipped, strict=True):
        assert words in reason and "maps:" in reason


def test_one_map_is_not_taken_for_several_images(tmp_path):
    """As in CAT2000, whose images are called 001.jpg, 002.jpg, ... in each category."""
    images = ("Action/001.png", "Art/001.png", "Art/002.png")
    for name in ("001.npy", "002.npy", "a.npy"):
        np.save(tmp_path / name, np.ones((2, 2)))
    folder = MapFolder(tmp_path)
    with pytest.raises(ValueError, match=r"001.npy could be the map of Action/001.png or of Art/0"):
        folder.path_of(images[0], images)
    assert folder.path_of(images[2], images).name == "002.npy"
    with pytest.raises(ValueError, match=r"of a.png or of a.jpg"):
        folder.path_of("a.png", ("a.jpg", "a.png"))
    (tmp_path / "Art").mkdir()
    (tmp_path / "001.npy").rename(tmp_path / "Art/001.npy")
    folder = MapFolder(tmp_path)
    assert folder.path_of(images[1], images).parent.name == "Art"
    with pytest.raises(ValueError, match="could be"):  # there is none in Action
        folder.path_of(images[0], images)


def test_a_map_of_another_category_is_not_taken(copied, tmp_path):
    """All the way: the image is left out, not scored on another image's map."""
    names = [f"{kind}/1.png" for kind in "abcdef"]
    for i, name in enumerate(names):
        (copied.root / name).parent.mkdir()
        copied.path(i).rename(copied.root / name)
    np.save(tmp_path / "1.npy", np.ones((12, 16)))
    with pytest.raises(ValueError, match=r"none of 6 images .* could be the map of a/1.png or of"):
        scored(replace(copied, images=tuple(names)), [f"maps:{tmp_path}"])


def test_arrays_whose_headers_are_damaged(tmp_path):
    """NumPy's errors of these are of many types, as of its parser."""
    path = tmp_path / "a.npy"
    np.save(path, np.ones((4, 4)))
    whole = path.read_bytes()
    for wrong in (whole.replace(b")", b"("), whole.replace(b"}", b" "), whole[:9], whole[:100]):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"a.npy cannot be read"):
            read_map(path)
        with pytest.raises(ImageError, match=r"damaged, truncated or pickled .npy"):
            imagefiles.read(path)


def test_folders_of_maps(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no map in this folder"):
        evaluation.model(f"maps:{tmp_path}")
    with pytest.raises(OSError, match="no folder of maps"):
        evaluation.model(f"maps:{tmp_path / 'none'}")
    np.save(tmp_path / (unicodedata.normalize("NFD", "café") + ".npy"), np.ones((2, 2)))
    assert MapFolder(tmp_path).path_of("café.png").parent == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine.json").write_text(ittisal.INVT.to_json())
    assert evaluation.model("maps:~").config is None
    assert evaluation.model("config:~/mine.json").config == ittisal.INVT
    with pytest.raises(OSError, match="no folder of maps"):
        evaluation.model("maps:~nobody-of-this-name/maps")


# --- intervals ---------------------------------------------------------------------------------


def test_intervals_are_those_of_the_normal_for_normal_scores(rng):
    values = rng.normal(2, 3, (400, 1))
    found = evaluation.Bootstrap(values).mean(0)
    error = values.std() / np.sqrt(400)
    assert found.mean == values.mean()
    # 2000 resamples give a quantile's place within a tenth of a standard error.
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_differences_are_paired(rng):
    common = rng.normal(0, 10, 300)
    values = np.stack([common, common + 1 + rng.normal(0, 0.1, 300)], axis=1)
    bootstrap = evaluation.Bootstrap(values)
    found = bootstrap.difference(1, 0)
    assert 0.95 < found.low < found.mean < found.high < 1.05
    assert bootstrap.mean(0).high - bootstrap.mean(0).low > 1
    opposite = bootstrap.difference(0, 1)
    assert (opposite.low, opposite.high) == pytest.approx((-found.high, -found.low))
    assert evaluation.Bootstrap(values).mean(1) == bootstrap.mean(1)  # it is repeatable
    assert evaluation.Bootstrap(np.array([[0.25]])).mean(0) == evaluation.Estimate(0.25, 0.25, 0.25)


# --- results -----------------------------------------------------------------------------------


def test_pairs_are_models_among_each_other_and_against_baselines(tiny):
    models = {"a": redness, "b": lambda image: -redness(image)}
    given = [*evaluation.models.as_models(models), evaluation.model("uniform")]
    result = scored(tiny, given, ["auc"])
    assert result.pairs == [("b", "a"), ("a", "uniform"), ("b", "uniform")]
    auc = {name: result.score(name, "auc").mean for name in ("a", "b")}
    assert auc["a"] + auc["b"] == pytest.approx(1)
    assert result.difference("b", "a", "auc").mean == pytest.approx(auc["b"] - auc["a"])


def test_plain_values(tiny):
    models = [*evaluation.models.as_models({"redness": redness}), evaluation.model("centre")]
    result = scored(tiny, models, ["auc", "kl"], smooth_percent=2)
    plain = json.loads(json.dumps(result.to_dict()))
    assert (plain["images"], plain["skipped"], plain["smooth_percent"]) == (6, [], 2.0)
    assert [each["baseline"] for each in plain["models"]] == [False, True]
    assert plain["models"][0]["scores"]["kl"] == vars(result.score("redness", "kl"))
    (difference,) = plain["differences"]
    assert (difference["model"], difference["minus"]) == ("redness", "centre")

    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [(row["model"], row["metric"]) for row in rows] == [
        (model, metric) for model in ("redness", "centre") for metric in ("auc", "kl")
    ]
    assert float(rows[0]["low"]) == result.score("redness", "auc").low

    rows = list(csv.DictReader(io.StringIO(result.per_image_csv())))
    assert len(rows) == 12 and rows[0]["image"] == tiny.images[0]
    exact = [[float(row["auc"]), float(row["kl"])] for row in rows]
    assert (np.reshape(exact, result.scores.shape) == result.scores).all()


# --- pictures ----------------------------------------------------------------------------------


def decoded(picture):
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)


def test_pictures(tiny, monkeypatch):
    models = [*evaluation.models.as_models({"redness": redness}), evaluation.model("centre")]
    result = scored(tiny, models, ["nss", "kl"])
    png = decoded(evaluation.plot_scores(result))
    assert min(png.shape[:2]) > 300 and png.std() > 10
    evaluation.check_plot(Path("scores.svg"))
    text = evaluation.plot_scores(result, ".svg")
    assert text.startswith(b"<?xml") and text == evaluation.plot_scores(result, ".svg")
    assert min(decoded(evaluation.plot_images(result, tiny, models)).shape[:2]) > 300

    # Pixel 0 is from 0 to 1, for the picture and for the fixations.
    monkeypatch.setattr(evaluation.plots, "_file", lambda figure, suffix: figure)
    one = tiny.subset([0])
    axes = evaluation.plot_images(scored(one, models), one, models).axes
    for axis in axes[:2]:
        assert tuple(axis.images[0].get_extent()) == (0, 160, 120, 0)
        assert (axis.get_xlim(), axis.get_ylim()) == ((0, 160), (120, 0))
        assert (axis.collections[0].get_offsets() == np.stack([one.x, one.y], axis=1)).all()


def test_pictures_of_images_with_any_name(copied):
    names = ("co$t_$x^{.png", "フォト.png", "caf\udce9.png")
    for i, name in enumerate(names):
        copied.path(i).rename(copied.root / name)
    data = replace(copied, images=(*names, *copied.images[3:]), name=f"set {names}")
    models = evaluation.models.as_models({f"model {name}": redness for name in names})
    result = scored(data.subset([0, 1, 2]), models, ["nss"])
    assert evaluation.plot_scores(result, ".svg")
    assert evaluation.plot_images(result, data, models, ".png")
