"""Submissions read back, and what a check finds; models of pysaliency, both ways."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

import ittisal
from ittisal import GAZE, INVT, ITTI_1998, datasets, evaluation, metrics, readout
from ittisal.evaluation import Scene

GAZE_READOUT = readout.load("gaze")
NO_H5PY = importlib.util.find_spec("h5py") is None
FORMATS = ["maps", pytest.param("maps.h5", marks=pytest.mark.skipif(NO_H5PY, reason="no h5py"))]
needs_h5py = pytest.mark.skipif(NO_H5PY, reason="no h5py")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images in folders, as CAT2000's, of odd and of the smallest sizes; and fixations."""
    folder = tmp_path_factory.mktemp("submission")
    sizes = {"Art/001.png": (75, 101), "Art/002.png": (32, 32), "b.c.png": (33, 47)}
    rng = np.random.default_rng(3)
    builder = datasets.dataset.Builder("odd", folder / "images", sigma_px=5)
    for i, (name, size) in enumerate(sizes.items()):
        import cv2

        picture = rng.integers(0, 255, (*size, 3), np.uint8) // 4
        picture[10:16, 12:20] = (0, 0, 255)
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / "images" / name), picture)
        builder.add_image(name)
        builder.add(i, rng.uniform(0, 31, 9), rng.uniform(0, 31, 9), np.arange(9) % 3)
    return builder.data_set()


def submitted(data, path, config=GAZE, fitted=GAZE_READOUT, **options):
    return evaluation.submit(data, config, fitted, path, backend="reference", **options)


def maps_in(path, data):
    """Arrays by the names of images, read without the package."""
    if path.is_dir():
        return {
            name: np.load(path / f"{name.removesuffix('.png')}.npy", allow_pickle=False)
            for name in data.images
        }
    import h5py

    with h5py.File(path) as file:
        return {name: file[name][()] for name in data.images}


def log_density(data, i, config=GAZE, fitted=GAZE_READOUT):
    image = data.load_image(i)
    raw = ittisal.Saliency(image.shape[:2], config, backend="reference")(image)
    return fitted.log_density(raw, image.shape[:2], config)


# --- written ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("config", [GAZE, INVT], ids=["gaze", "invt"])
def test_log_densities_read_back(data, tmp_path, form, config):
    fitted = readout.load("gaze" if config is GAZE else "invt")
    steps = []
    result = submitted(data, tmp_path / form, config, fitted, progress=lambda: steps.append(1))
    assert set(result.images) == set(data.images) and not result.failed and len(steps) == 3
    for i, (name, found) in enumerate(maps_in(tmp_path / form, data).items()):
        assert found.dtype == np.float32 and found.shape == tuple(data.sizes[i]), name
        assert np.array_equal(found, log_density(data, i, config, fitted))
        assert abs(np.log(np.exp(found.astype(np.float64)).sum())) < 1e-4
    assert evaluation.check_submission(tmp_path / form, data) == []
    assert [path.name for path in tmp_path.iterdir()] == [form]


def test_nothing_else_is_in_the_folder(data, tmp_path):
    submitted(data, tmp_path / "new" / "maps")
    found = sorted(
        path.relative_to(tmp_path / "new" / "maps").as_posix()
        for path in (tmp_path / "new" / "maps").rglob("*.*")
    )
    assert found == ["Art/001.npy", "Art/002.npy", "b.c.npy"]


@pytest.mark.parametrize("metric", metrics.MAPS)
def test_maps_for_one_metric(data, tmp_path, metric):
    submitted(data, tmp_path / "maps", metric=metric, sigma_px=3)
    for i, found in enumerate(maps_in(tmp_path / "maps", data).values()):
        wanted = metrics.map_for(
            log_density(data, i),
            metric,
            baseline_log_density=np.log(Scene(data, i).baseline),
            sigma_px=3,
        )
        assert found.dtype == np.float32 and np.allclose(found, wanted, rtol=1e-6, atol=0)
    assert evaluation.check_submission(tmp_path / "maps", data, densities=False) == []
    assert len(evaluation.check_submission(tmp_path / "maps", data)) == 3


def test_the_blur_is_the_data_sets(data, tmp_path):
    submitted(data, tmp_path / "default", metric="kl")
    submitted(data, tmp_path / "five", metric="kl", sigma_px=5)
    pairs = (maps_in(tmp_path / name, data).values() for name in ("default", "five"))
    assert all(np.array_equal(one, other) for one, other in zip(*pairs, strict=True))


@pytest.mark.parametrize("form", FORMATS)
def test_bad_images_are_left_out_and_named(data, tmp_path, form):
    shutil.copytree(data.root, tmp_path / "images")
    (tmp_path / "images" / "b.c.png").write_bytes(b"no picture")
    (tmp_path / "images" / "Art" / "001.png").unlink()
    result = submitted(replace(data, root=tmp_path / "images"), tmp_path / form)
    assert result.images == ("Art/002.png",) and set(result.failed) == {"Art/001.png", "b.c.png"}
    assert "001.png" in result.failed["Art/001.png"]
    problems = evaluation.check_submission(tmp_path / form, data)
    assert sorted(problems) == ["Art/001.png has no map", "b.c.png has no map"]


@pytest.mark.parametrize("form", FORMATS)
def test_where_no_image_can_be_mapped_nothing_is_written(data, tmp_path, form):
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="none of 3 images could be mapped; the first, "):
        submitted(replace(data, root=tmp_path), tmp_path / "out" / form)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_an_interrupt_leaves_nothing(data, tmp_path, form):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submitted(data, tmp_path / form, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_begin(data, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "maps.h5").mkdir()
    images = datasets.load_images(data.root)
    twice = replace(images, images=("a/x.png", "a/x.jpg", "b.png"))
    for given, name, metric, message in [
        (data, "there", None, "there exists; give a new folder"),
        (data, "a", "ig", "no map is made for metric 'ig'; the metrics are auc"),
        (images, "a", "sauc", "need fixations on other images, and images has none"),
        (twice, "a", None, r"a/x.png and a/x.jpg would both have the map .*x.npy; write an HDF5"),
    ]:
        with pytest.raises(ValueError, match=message):
            submitted(given, tmp_path / name, metric=metric)
    if not NO_H5PY:
        with pytest.raises(ValueError, match=r"maps.h5 is a folder"):
            submitted(data, tmp_path / "maps.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"pip install 'ittisal\[hdf5\]'"):
        submitted(data, tmp_path / "b.HDF5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps.h5", "there"]


FULL = """
import resource, signal, sys
from ittisal import GAZE, datasets, evaluation, readout

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
data = datasets.load_images(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
evaluation.submit(data, GAZE, readout.load("gaze"), sys.argv[2], backend="reference")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit to the size of files")
@pytest.mark.parametrize("size", [90, 6000, 20000])
@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk(data, tmp_path, form, size):
    """In a process of its own, which HDF5 could end."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, data.root, form, str(size)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and f"ValueError: cannot write {form}: " in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- images without fixations -------------------------------------------------------------------


def test_a_folder_of_images(data, tmp_path):
    shutil.copytree(data.root, tmp_path / "test set")
    folder = tmp_path / "test set"
    (folder / ".hidden").mkdir()
    for name in (".hidden/a.png", ".b.png", "notes.txt"):
        (folder / name).write_bytes(b"")
    found = datasets.load_images(folder)
    assert found.images == ("Art/001.png", "Art/002.png", "b.c.png") and found.name == "test set"
    assert len(found.x) == 0 and not found.upright and len(found.fixations(1)) == 0
    assert found.sizes.tolist() == [[75, 101], [32, 32], [33, 47]]
    assert found.sigma_px == pytest.approx([0.03 * 101, 0.03 * 32, 0.03 * 47])
    submitted(found, tmp_path / "maps")
    submitted(found, tmp_path / "blurred", metric="cc")
    assert evaluation.check_submission(tmp_path / "maps", data) == []
    datasets.save(data, tmp_path / "saved")
    assert len(datasets.load_images(tmp_path / "saved").x) == len(data.x)
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", "nor a picture"), ("none", "no such folder")):
        with pytest.raises(datasets.DataSetError, match=message):
            datasets.load_images(tmp_path / name)


# --- checked ------------------------------------------------------------------------------------


def changed(y, x, value):
    """What puts a value into a copy of a map."""

    def change(values):
        values = values.copy()
        values[y, x] = value
        return values

    return change


DAMAGES = {  # what becomes of the map of an image, and what is found
    "missing": ("Art/001.png", None, "Art/001.png has no map"),
    "extra": ("Art/003.png", lambda values: np.zeros((1, 1)), "is of no image"),
    "size": ("Art/001.png", lambda values: values[:-1], "is 101x74, its image 101x75 pixels"),
    "transposed": ("Art/001.png", np.transpose, "is 75x101, its image 101x75 pixels"),
    "nan": ("Art/001.png", changed(3, 7, np.nan), "the map is nan at x=7, y=3"),
    "infinite": ("b.c.png", changed(0, 0, -np.inf), "the map is -inf at x=0, y=0"),
    "off": ("Art/001.png", lambda values: values + np.float32(0.0012), "has logsumexp 0.00119"),
    "density": ("Art/001.png", np.exp, "has logsumexp 8.93"),
    "three axes": ("b.c.png", lambda values: np.zeros((2, 2, 2)), "is no map: float64 of shape"),
    "text": ("b.c.png", lambda values: np.array([["a"]], "S1"), "is no map: |S1 of shape (1, 1)"),
    "empty": ("b.c.png", lambda values: np.zeros((0, 3)), "is no map: float64 of shape (0, 3)"),
}


@pytest.fixture(scope="module")
def good(data, tmp_path_factory):
    """The arrays of a good submission."""
    path = tmp_path_factory.mktemp("good") / "maps"
    submitted(data, path)
    return maps_in(path, data)


def write(path, maps):
    """Arrays as a submission."""
    if path.suffix:
        import h5py

        with h5py.File(path, "w") as file:
            for name, values in maps.items():
                file[name] = values
        return
    for name, values in maps.items():
        target = path / f"{name.removesuffix('.png')}.npy"
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, values)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_is_found(data, good, tmp_path, form, kind):
    name, change, message = DAMAGES[kind]
    maps = dict(good)
    values = maps.pop(name, None)
    if change is not None:
        maps[name] = change(values)
    write(tmp_path / form, maps)
    (problem,) = evaluation.check_submission(tmp_path / form, data)
    assert message in problem and name.removesuffix(".png") in problem


def test_damaged_files(data, good, tmp_path):
    path = tmp_path / "maps"
    write(path, good)
    whole = (path / "b.c.npy").read_bytes()
    for content in (b"", whole[:100], whole[:-1], b"x" + whole):
        (path / "b.c.npy").write_bytes(content)
        (problem,) = evaluation.check_submission(path, data)
        assert "b.c.npy cannot be read" in problem
    (path / "b.c.npy").write_bytes(whole)
    np.save(path / "b.c.png.npy", np.zeros((2, 2)))
    (path / "b.c.tiff").write_bytes(b"")
    (path / "Art" / "readme.txt").write_text("hello")
    problems = evaluation.check_submission(path, data)
    assert [problem.partition(" is ")[2] for problem in problems] == [
        "of no image",  # Art/readme.txt
        "of no image",  # b.c.png.npy
        "a second map of one image; remove one",  # b.c.tiff
    ]


@needs_h5py
def test_damaged_hdf5_files(data, good, tmp_path):
    path = tmp_path / "maps.h5"
    write(path, good)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:600]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"maps.h5 is no folder and no HDF5 file that"):
            evaluation.check_submission(path, data)
    with pytest.raises(FileNotFoundError):
        evaluation.check_submission(tmp_path / "none.h5", data)
    write(path, {})
    assert evaluation.check_submission(path) == [f"{path} holds no map"]


@needs_h5py
def test_bytes_changed_in_an_hdf5_file(data, tmp_path):
    path = tmp_path / "maps.h5"
    submitted(data, path)
    whole = path.read_bytes()
    found = 0
    for at in np.random.default_rng(1).integers(0, len(whole), 60):
        content = bytearray(whole)
        content[at : at + 4] = b"\xa5\x5a\xff\x00"
        path.write_bytes(content)
        try:
            found += bool(evaluation.check_submission(path, data))
        except ValueError as error:  # it cannot be opened
            assert "maps.h5" in str(error)
            found += 1
    assert found > 30  # the rest is unused, or a bit of a value


@pytest.mark.parametrize("form", FORMATS)
def test_without_the_images_values_are_checked(good, tmp_path, form):
    write(tmp_path / form, {name: values + np.float32(0.0009) for name, values in good.items()})
    assert evaluation.check_submission(tmp_path / form) == []
    bad = tmp_path / f"bad {form}"
    write(bad, {"a.png": np.zeros((2, 3))})
    (problem,) = evaluation.check_submission(bad)
    assert "has logsumexp 1.79176" in problem and "a" in problem
    assert evaluation.check_submission(bad, densities=False) == []
    (tmp_path / "nothing").mkdir()
    assert evaluation.check_submission(tmp_path / "nothing") == [
        f"{tmp_path / 'nothing'} holds no map"
    ]


# --- pysaliency ---------------------------------------------------------------------------------


class StandIn:
    """What adapters need of `pysaliency.SaliencyMapModel`."""

    def __init__(self, caching=True):
        self.caching = caching

    def saliency_map(self, stimulus):
        return self._saliency_map(getattr(stimulus, "stimulus_data", stimulus))

    def _saliency_map(self, stimulus):
        raise NotImplementedError


@pytest.fixture
def pysaliency(monkeypatch):
    module = ModuleType("pysaliency")
    module.SaliencyMapModel = StandIn
    monkeypatch.setitem(sys.modules, "pysaliency", module)
    return module


@pytest.mark.parametrize("given", ["gaze", GAZE], ids=["preset", "config"])
def test_a_preset_for_pysaliency(data, pysaliency, given):
    model = evaluation.as_pysaliency(given, backend="reference")
    assert isinstance(model, pysaliency.SaliencyMapModel) and not model.caching
    image = data.load_image(0)
    found = model.saliency_map(image)
    assert found.dtype == np.float64
    assert np.array_equal(found, ittisal.saliency_map(image, GAZE, backend="reference"))
    grey = image[..., 1]
    wanted = ittisal.saliency_map(np.stack([grey] * 3, axis=2), GAZE, backend="reference")
    for each in (grey, grey[..., None]):
        assert np.array_equal(model.saliency_map(each), wanted)


def test_a_function_for_pysaliency(pysaliency):
    seen = []
    model = evaluation.as_pysaliency(lambda image: seen.append(image.shape) or image[..., 0])
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert model.saliency_map(image).tolist() == image[..., 0].tolist()
    model.saliency_map(image[..., 0])
    assert seen == [(2, 4, 3), (2, 4, 3)]


def test_there_and_back_scores_the_same(data, pysaliency):
    models = {
        "plain": lambda image: ittisal.saliency_map(image, ITTI_1998, backend="reference"),
        "back": evaluation.from_pysaliency(evaluation.as_pysaliency(backend="reference")),
    }
    scores = evaluation.evaluate(data, models, ["auc", "nss"], threads=2).scores
    assert np.array_equal(scores[:, 0], scores[:, 1])


def test_a_probabilistic_model_of_pysaliency():
    class Probabilistic:
        def log_density(self, stimulus):
            return np.log(np.full(stimulus.shape[:2], 1 / 6))

    found = evaluation.from_pysaliency(Probabilistic())(np.zeros((2, 3, 3), np.uint8))
    assert found == pytest.approx(np.full((2, 3), 1 / 6)) and found.dtype == np.float64


def test_bad_models_of_pysaliency(pysaliency, monkeypatch):
    with pytest.raises(TypeError, match="neither `saliency_map` nor `log_density`"):
        evaluation.from_pysaliency("gaze")
    with pytest.raises(ValueError, match="no preset 'deepgaze'"):
        evaluation.as_pysaliency("deepgaze")
    monkeypatch.setitem(sys.modules, "pysaliency", None)
    with pytest.raises(ImportError, match=r"pip install pysaliency torch 'numpy<2.4'"):
        evaluation.as_pysaliency()


@pytest.mark.parametrize("form", FORMATS)
def test_the_real_pysaliency(data, tmp_path, form):
    pysaliency = pytest.importorskip("pysaliency", exc_type=ImportError)
    submitted(data, tmp_path / form)
    stimuli = pysaliency.FileStimuli([str(data.path(i)) for i in range(len(data))])
    read = pysaliency.HDF5Model if "." in form else pysaliency.ModelFromDirectory
    theirs = read(stimuli, str(tmp_path / form))
    ours = evaluation.as_pysaliency(GAZE, backend="reference")
    assert isinstance(ours, pysaliency.SaliencyMapModel)
    for i in range(len(data)):
        wanted = log_density(data, i)
        assert np.array_equal(theirs.log_density(stimuli[i]), wanted)
        image = data.load_image(i)
        assert np.exp(wanted) == pytest.approx(evaluation.from_pysaliency(theirs)(image))
        wanted = ittisal.saliency_map(image, GAZE, backend="reference")
        assert np.array_equal(ours.saliency_map(stimuli[i]), wanted)
