"""Data sets: the format, the authors' files, and what is told of files that are wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from test_cli import exif, with_exif
from tolerances import within

from ittisal import datasets, imagefiles
from ittisal.datasets import DataSet, DataSetError, matlab
from ittisal.datasets.gaze import fixations as gaze_fixations

POSITIONS = "image,x,y\na.png,1,2\n"


def write_image(path: Path, size=(48, 64), picture=None) -> Path:
    """An RGB picture of this height and width, or the given one in OpenCV's order."""
    if picture is None:
        picture = np.zeros((*size, 3), np.uint8)
        picture[: size[0] // 2] = 10, 120, 230
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


def folder_of(path: Path, table: str, *names: str, **about) -> Path:
    """A data set of one's own: images, fixations.csv and dataset.json."""
    for name in names:
        write_image(path / name)
    (path / "fixations.csv").write_text(table, "utf-8")
    if about:
        (path / "dataset.json").write_text(json.dumps(about), "utf-8")
    return path


def small(root: Path, **changes) -> DataSet:
    """Two images of different sizes with three fixations, without files."""
    values = {
        "name": "small",
        "root": root,
        "images": ("a.png", "b.png"),
        "sizes": [[10, 20], [30, 40]],
        "image": [1, 0, 1],
        "x": [1, 19.5, 39],
        "y": [2, 9.5, 15],
        "subject": [0, 1, 1],
        "order": [0, 0, 0],
        "duration_ms": [100, np.nan, 300],
        "sigma_px": [1, 2],
    }
    return DataSet(**{**values, **changes})


ARRAYS = ("sizes", "image", "x", "y", "subject", "order", "duration_ms", "sigma_px")


def same(a: DataSet, b: DataSet) -> None:
    """Assert that two data sets hold the same, wherever they are."""
    assert a.images == b.images
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


# --- the class ---------------------------------------------------------------------------------


def test_fixations_by_image(tmp_path):
    x = np.array([1, 19.5, 39], np.float32)
    data = small(tmp_path, x=x)
    x[:] = 0  # its arrays are copies
    assert data.image.tolist() == [0, 1, 1]
    assert data.fixations(0).x.tolist() == [19.5]
    at = data.fixations(1)
    assert (len(at), at.x.tolist(), at.y.tolist()) == (2, [1, 39], [2, 15])
    assert (at.subject.tolist(), at.duration_ms.tolist()) == ([0, 1], [100, 300])
    assert np.shares_memory(at.x, data.x)
    assert data.subjects.tolist() == [0, 1]
    kinds = {name: getattr(data, name).dtype for name in ("sizes", "image", "x", "subject")}
    assert kinds == {"sizes": "int32", "image": "int32", "x": "float32", "subject": "int16"}
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(data, name)[0] = 0


def test_others(tmp_path):
    data = small(tmp_path)
    x, y = data.others(0)
    assert (x.tolist(), y.tolist(), x.dtype) == ([0.5, 19.5], [2 / 3, 5], np.float64)
    x, y = data.others(1)
    assert (x.tolist(), y.tolist()) == ([39], [28.5])

    edge = np.nextafter(np.float32(7), np.float32(0))
    at_edge = {"image": [0, 0, 0], "x": [edge, 0, 1], "y": [edge, 0, 1]}
    x, y = small(tmp_path, sizes=[[7, 7], [4001, 3001]], **at_edge).others(1)
    assert x.max() < 3001 and y.max() < 4001

    data = small(tmp_path, images=("a", "b", "c"), sizes=[[10, 20], [0, 0], [10, 20]],
                 image=[0, 1, 2], x=[1, 999, 3.3], y=[2, 999, 5], sigma_px=[1] * 3)  # fmt: skip
    assert data.others(0)[0].tolist() == [np.float32(3.3)]  # of one size: unchanged
    assert data.fixations(1).x.tolist() == [999]  # the size is not known
    with pytest.raises(DataSetError, match=r"b could not be read, so its size is not known"):
        data.others(1)


def test_subset(tiny):
    data = datasets.load(tiny)
    part = data.subset([4, 1])
    assert part.images == (data.images[4], data.images[1])
    np.testing.assert_array_equal(part.fixations(0).x, data.fixations(4).x)
    np.testing.assert_array_equal(part.fixations(1).order, data.fixations(1).order)
    np.testing.assert_array_equal(part.load_image(1), data.load_image(1))
    assert part.sizes.tolist() == data.sizes[[4, 1]].tolist()
    with pytest.raises(DataSetError, match="twice"):
        data.subset([1, 1])
    for method in (
        data.path,
        data.load_image,
        data.fixations,
        data.others,
        lambda i: data.subset([i]),
    ):
        for i in (-1, 6):
            with pytest.raises(DataSetError, match=f"no image {i}; tiny has 0 to 5"):
                method(i)


WRONG = [
    ({"images": ("a.png", "a.png")}, r"image a.png is listed twice"),
    ({"images": ("a.png", "../b.png")}, r"'../b.png': give a path relative"),
    ({"images": ("a.png", "/b.png")}, r"'/b.png': give a path relative"),
    ({"images": ("a.png", "")}, r"image ''"),
    ({"images": ("a.png", ".")}, r"image '.': give a path"),
    ({"images": (), "sizes": np.zeros((0, 2)), "sigma_px": []}, "no images"),
    ({"image": [1, 0, 2]}, r"image holds 0 to 2; there are 2 images"),
    ({"image": [1, 0, -1]}, r"image holds -1 to 1"),
    ({"image": [1, 0, 0.5]}, r"image holds 0.5; give whole numbers"),
    ({"image": ["a", "b", "a"]}, r"image is of type <U1"),
    ({"x": [1, 2]}, r"columns of the fixations differ in length: .* x \(2,\), y \(3,\)"),
    ({"x": [1, np.nan, 2]}, r"1 of 3 fixations are not inside .* on a.png, is at \(nan, 9.5\)"),
    ({"x": [1, 20, 2]}, r"number 1, on a.png, is at \(20, 9.5\) on an image of 20x10 pixels"),
    ({"x": [1, -0.5, 2]}, r"is at \(-0.5, 9.5\)"),
    ({"subject": [0, 1, 40000]}, r"subject holds 40000; give whole numbers from -32768 to 32767"),
    ({"subject": [0, 1, np.nan]}, r"subject holds nan"),
    ({"sizes": [[10, 20]]}, r"2 images, but sizes of shape \(1, 2\)"),
    ({"sizes": [[10, 20], [-30, 40]]}, r"sizes holds -30"),
    ({"sigma_px": [1, 0]}, r"sigma_px holds 0 to 1"),
    ({"sigma_px": [1, np.nan]}, r"sigma_px holds nan"),
    ({"sigma_px": [1, np.inf]}, r"sigma_px holds 1 to inf"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_does_not_fit_is_refused(changes, message, tmp_path):
    with pytest.raises(DataSetError, match=message):
        small(tmp_path, **changes)


def test_exchanged_axes_are_noticed(rng, tmp_path):
    x, y = rng.uniform(0, 64, 50), rng.uniform(0, 48, 50)
    rest = dict.fromkeys(("image", "subject", "order", "duration_ms"), np.zeros(50))
    match = r"x and y seem to be exchanged: \d+ of 50 .*, and 50 with"
    with pytest.raises(DataSetError, match=match):
        small(tmp_path, **rest, sizes=[[48, 64]] * 2, x=y, y=x)
    with pytest.raises(DataSetError, match="osie: " + match):
        read_published("osie", osie_files(tmp_path, [[(y, x, np.ones(50))]], ["1.jpg"]))
    few = {"image": [0, 0, 1], "x": [1, 2, 25], "y": [2, 11, 35]}
    with pytest.raises(DataSetError, match=r"2 of 3 fixations are not inside"):  # may be chance
        small(tmp_path, **few)


# --- images ------------------------------------------------------------------------------------


def one_image(path: Path, name: str, **about) -> DataSet:
    """A data set of the image of this name, which is there already."""
    return datasets.load(folder_of(path, f"image,x,y\n{name},1,2\n", **about))


def test_images_are_rgb(tmp_path):
    """Also grey ones, 16 bits and transparent ones."""
    colour, clear = np.full((40, 50, 3), (10, 120, 230), np.uint8), np.zeros((40, 50), np.uint8)
    for picture, wanted in (
        (colour, [230, 120, 10]),
        (clear, [0, 0, 0]),
        (np.full((40, 50, 3), 0x1234, np.uint16), [0x12, 0x12, 0x12]),
        (np.dstack([colour, clear]), [255, 255, 255]),
    ):
        write_image(tmp_path / "a.png", picture=picture)
        data = one_image(tmp_path, "a.png")
        image = data.load_image(0)
        assert (image.shape, image.dtype, image.flags.c_contiguous) == ((40, 50, 3), "uint8", 1)
        assert (image == wanted).all() and data.sizes.tolist() == [[40, 50]]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_turned_images(suffix, tmp_path):
    """By EXIF as viewers show them, unless positions are on the pixels as stored."""
    path = write_image(tmp_path / f"a{suffix}")
    path.write_bytes(with_exif(path.read_bytes(), exif(6, "<")))
    upright = one_image(tmp_path, path.name)
    assert (upright.sizes.tolist(), upright.load_image(0).shape) == ([[64, 48]], (64, 48, 3))
    stored = one_image(tmp_path, path.name, upright=False)
    assert (stored.sizes.tolist(), stored.load_image(0).shape) == ([[48, 64]], (48, 64, 3))


@pytest.mark.parametrize("width", [0, 1 << 31, (1 << 32) - 1])
def test_headers_of_impossible_sizes(width, tmp_path):
    whole = write_image(tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:16] + width.to_bytes(4, "big") + whole[20:])
    data = datasets.load(folder_of(tmp_path, POSITIONS + "b.png,1,2\n", "a.png"))
    assert data.sizes.tolist() == [[48, 64], [0, 0]]
    with pytest.raises(DataSetError, match=r"b.png is a damaged or truncated PNG"):
        data.load_image(1)


def test_threads_may_read_images_at_once(tmp_path):
    """Whatever C libraries print, standard error is afterwards what it was."""
    path = write_image(tmp_path / "a.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + bytes(40) + whole[-2:])  # libjpeg warns of it
    data = one_image(tmp_path, "a.jpg")
    before = os.fstat(2)
    with ThreadPoolExecutor(4) as pool, pytest.warns(imagefiles.DamageWarning, match="a.jpg is"):
        shapes = {picture.shape for picture in pool.map(data.load_image, [0] * 40)}
    assert shapes == {(48, 64, 3)}
    assert os.path.samestat(before, os.fstat(2))


def test_a_missing_or_broken_image_is_an_error_when_it_is_loaded(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "d")
    data = datasets.load(tmp_path / "d")
    data.path(0).unlink()
    data.path(1).write_bytes(data.path(1).read_bytes()[:-40])
    write_image(data.path(2), (50, 60))
    data.path(3).write_bytes(b"<!DOCTYPE html>")
    for i, message in enumerate(
        [
            r"bright-0.png cannot be read: No such file",
            r"colour-1.png is a damaged or truncated PNG file",
            r"oriented-2.png is 60x50 pixels, but the fixations are on 120x160; restore",
            r"bright-3.png is not an image that OpenCV reads",
        ]
    ):
        with pytest.raises(DataSetError, match=re.escape(str(data.root)) + ".*" + message):
            data.load_image(i)
    data.load_image(4)


# --- fixations.npz -----------------------------------------------------------------------------


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path / "fixations.npz") as archive:
        return dict(archive)


def test_npz_layout(tiny):
    arrays = arrays_of(tiny)
    kinds = {name: (array.dtype.str, array.ndim) for name, array in arrays.items()}
    assert kinds.pop("images")[0].startswith("<U")
    assert kinds == {
        "sizes": ("<i4", 2),
        "img": ("<i4", 1),
        "x": ("<f4", 1),
        "y": ("<f4", 1),
        "subject": ("<i2", 1),
        "order": ("<i2", 1),
        "duration_ms": ("<f4", 1),
        "sigma_px": ("<f4", 1),
    }


def test_save_and_load(tiny, tmp_path):
    about = {"licence": "free", "source": "here", "left_out": 3, "upright": False}
    data = replace(datasets.load(tiny), name="caf\udce9", **about)  # a name of bytes, no text
    steps = []
    datasets.save(data, tmp_path / "a" / "copy", progress=lambda *step: steps.append(step))
    again = datasets.load(tmp_path / "a" / "copy")
    same(again, data)
    for name in ("name", *about):
        assert getattr(again, name) == getattr(data, name)
    assert steps == [(i + 1, 6) for i in range(6)]
    assert again.path(0).read_bytes() == data.path(0).read_bytes()
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"copy"}


def test_images_beside_the_table_and_links(tiny, tmp_path):
    shutil.copytree(tiny / "images", tmp_path / "d")
    shutil.copy(tiny / "fixations.npz", tmp_path / "d")
    data = datasets.load(tmp_path / "d")
    assert (data.root, data.name) == (tmp_path / "d", "d")
    data.load_image(5)
    (tmp_path / "empty/.ittisal-01.tmp").mkdir(parents=True)  # of a run that was killed
    seen = []  # nothing is written beside a folder that is there, which may be a disk of its own
    progress = lambda *_: seen.append(len(list(tmp_path.iterdir())))  # noqa: E731
    datasets.save(data, tmp_path / "empty", link=sys.platform != "win32", progress=progress)
    assert seen == [2] * 6
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {
        ".ittisal-01.tmp",
        "images",
        "fixations.npz",
        "dataset.json",
    }
    linked = datasets.load(tmp_path / "empty")
    assert linked.path(2).is_symlink() or sys.platform == "win32"
    np.testing.assert_array_equal(linked.load_image(2), data.load_image(2))
    same(linked, datasets.load(tiny))


def test_save_is_whole_or_not_at_all(tiny, tmp_path):
    data = datasets.load(tiny)

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datasets.save(data, tmp_path / "out", progress=stop)
    with pytest.raises(DataSetError, match=r"6 of 6 images are missing, as .*bright-0.png"):
        datasets.save(replace(data, root=tmp_path), tmp_path / "out")
    assert not any(tmp_path.iterdir())
    (tmp_path / "note.txt").touch()
    for path in (tmp_path, tmp_path / "note.txt"):
        with pytest.raises(DataSetError, match="exists and is not empty; give a new folder"):
            datasets.save(data, path)


def test_npz_that_is_wrong(tiny, tmp_path):
    def refused(change, message):
        arrays = arrays_of(tiny)
        change(arrays)
        np.savez(tmp_path / "fixations.npz", **arrays)
        with pytest.raises(DataSetError, match=r"fixations.npz: .*" + message):
            datasets.load(tmp_path)

    refused(lambda a: (a.pop("img"), a.pop("order")), "no array img, order; it holds images, ")
    refused(lambda a: a.update(x=a["x"][1:]), r"differ in length: .*x \(287,\)")
    refused(lambda a: a.update(x=a["x"] + 1000), "288 of 288 fixations are not inside")
    refused(lambda a: a.update(images=np.arange(6)), r"images is int64 of shape \(6,\)")
    refused(lambda a: a["images"].__setitem__(1, a["images"][0]), "bright-0.png is listed twice")
    refused(lambda a: a.update(sizes=a["sizes"][:, 0]), r"sizes of shape \(6,\)")


def test_npz_that_is_damaged(rng, tiny, tmp_path):
    """Whatever zipfile, zlib and NumPy raise, it is one error."""
    whole = np.frombuffer((tiny / "fixations.npz").read_bytes(), np.uint8)
    np.savez(tmp_path / "fixations.npz", **{**arrays_of(tiny), "x": np.array([1, "a"], object)})
    pickled = (tmp_path / "fixations.npz").read_bytes()
    no_text = np.array([0x110000], np.uint32).view("U1")
    np.savez(tmp_path / "fixations.npz", **{**arrays_of(tiny), "images": no_text})
    beyond_unicode = (tmp_path / "fixations.npz").read_bytes()
    for content in (whole[:-500].tobytes(), b"image,x,y", b"", pickled, beyond_unicode):
        (tmp_path / "fixations.npz").write_bytes(content)
        with pytest.raises(DataSetError, match=r"fixations.npz cannot be read: damaged, truncated"):
            datasets.load(tmp_path)
    refused = 0
    for _ in range(300):
        broken = whole.copy()
        broken[rng.integers(len(whole), size=3)] = rng.integers(256, size=3)
        (tmp_path / "fixations.npz").write_bytes(broken.tobytes())
        try:
            datasets.load(tmp_path)
        except DataSetError:
            refused += 1
    assert refused > 100


# --- fixations.csv -----------------------------------------------------------------------------


def test_csv(tmp_path):
    table = (
        "x,image,y,subject,order,duration_ms\n"
        "1.5,b.png,2,0,0,200\n3,b.png,4,0,1,\n63.9,a.png,47.9,,,150\n"
    )
    data = datasets.load(folder_of(tmp_path / "mine", table, "a.png", "b.png"))
    assert data.name == "mine"
    assert data.images == ("b.png", "a.png")
    assert data.sizes.tolist() == [[48, 64]] * 2
    assert data.fixations(0).x.tolist() == [1.5, 3]
    assert (data.subject.tolist(), data.order.tolist()) == ([0, 0, -1], [0, 1, -1])
    np.testing.assert_array_equal(data.duration_ms, np.float32([200, np.nan, 150]))
    within("hand", data.sigma_px, np.float32([0.03 * 64] * 2))


def test_csv_of_positions_only(tmp_path):
    table = "image,x,y\na.png,1,2\nb.png,500,500\na.png,3,4\n"
    data = datasets.load(folder_of(tmp_path, table, "images/a.png"))
    assert data.root == tmp_path / "images"
    assert (data.subject.tolist(), data.order.tolist()) == ([-1] * 3, [-1] * 3)
    assert len(data.subjects) == 0 and np.isnan(data.duration_ms).all()
    assert data.sizes.tolist() == [[48, 64], [0, 0]] and len(data.fixations(1)) == 1
    with pytest.raises(DataSetError, match=r"b.png cannot be read: No such file"):
        data.load_image(1)


WRONG_TABLES = [
    ("", r"line 1: the headings are missing; give image, x, y, subject"),
    ("a.png,1,2\n", r"line 1: the headings are a.png, 1, 2; give image, .*dataset convert table"),
    ("image,x,z\na.png,1,2\n", r"the headings are image, x, z; give image, x, y"),
    ("image,x,y,X\na.png,1,2,3\n", r"the headings are image, x, y, X"),
    ("image,x,y,x\na.png,1,2,3\n", r"the headings are image, x, y, x"),
    ("image;x;y\na.png;1;2\n", r"the headings are image;x;y; .*reads other headings, separators"),
    ("image,x,y\n", r"headings, but no fixations"),
    ("image,x,y\na.png,1,2\na.png,nan,2\n", r"line 3: x is 'nan'; give a number from -1e\+09 to"),
    ("image,x,y\na.png,1,2\n\na.png,1,\n", r"line 4: y is ''; give a number"),
    ("image,x,y\na.png,inf,2\n", r"line 2: x is 'inf'"),
    ("image,x,y\na.png,left,2\n", r"line 2: x is 'left'"),
    ("image,x,y\na.png,1_0,2\n", r"line 2: x is '1_0'"),
    ("image,x,y\na.png,1.5,2,5\n", r"line 2: 4 fields under 3 headings; decimals .* a point"),
    ("image,x,y\n,1,2\n", r"line 2: image ''"),
    ("image,x,y,order\na.png,1,2,first\n", r"line 2: order is 'first'"),
    ("image,x,y,order\na.png,1,2,0.5\n", r"line 2: order is '0.5'; give a whole number from -1 to"),
    ("image,x,y,subject\na.png,1,2,Ann\n", r"line 2: subject is 'Ann'; .* from -1 to 32767"),
    ("image,x,y,duration_ms\na.png,1,2,-5\n", r"line 2: duration_ms is '-5'; .* from 0 to"),
    ("image,x,y\n../a.png,1,2\n", r"line 2: image '../a.png': give a path relative"),
    ("image,x,y\na.png,1,2\n/tmp/a.png,1,2\n", r"line 3: image '/tmp/a.png': give a path"),
    ("image,x,y\nb.png,1,2\nc.png,1,2\n", r"no image can be read: .*b.png .* \(and 1 more\)"),
    ("image,x,y\n" + "a.png,1,60\n" * 9 + "a.png,1,2\n", r"x and y seem to be exchanged: 1 of 10"),
    ("image,x,y\n" + "a.png,-9,2\n" * 3 + "a.png,1,2\n", r"only 1 of 4 .* is at \(-9, 2\) on an"),
    ("image,x,y\n" + "a.png,.5,.6\n" * 12, r"all positions are at most 1: .* fractions"),
]


@pytest.mark.parametrize(
    ("table", "message"), WRONG_TABLES, ids=[str(i) for i in range(len(WRONG_TABLES))]
)
def test_csv_that_is_wrong(table, message, tmp_path):
    with pytest.raises(DataSetError, match=r"fixations.csv.*" + message):
        datasets.load(folder_of(tmp_path, table, "a.png"))


def test_tables_that_are_not_found(tiny, tmp_path):
    folder = folder_of(tmp_path, "", "a.png")

    def refused(path, message):
        with pytest.raises(DataSetError, match=message):
            datasets.load(path)

    (folder / "fixations.csv").write_bytes("image,x,y\nä.png,1,2\n".encode("latin-1"))
    refused(folder, r"fixations.csv is not UTF-8 text .*save it as UTF-8")
    (folder / "fixations.csv").unlink()
    refused(folder, r"holds neither fixations.npz nor .*dataset list")
    refused(
        folder / "a.png", r"a.png is no table of fixations; give a file that ends in .npz, .csv"
    )
    refused(folder / "nowhere", r"nowhere: no such folder or table")
    (folder / "mine.csv").write_text(POSITIONS)
    assert len(datasets.load(folder / "mine.csv")) == 1
    (folder / "mine.csv").rename(folder / "fixations.csv")
    shutil.copy(tiny / "fixations.npz", folder)
    refused(folder, r"holds both fixations.npz and fixations.csv")


def test_about(tmp_path):
    about = {"name": "Mine", "sigma_px": 5, "licence": "CC0", "source": "me", "notes": "none"}
    data = datasets.load(folder_of(tmp_path, POSITIONS, "a.png", **about))
    assert (data.name, data.licence, data.source) == ("Mine", "CC0", "me")
    assert data.sigma_px.tolist() == [5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "write an object"),
        ("[" * 100_000, "cannot be read: is nested more than 32 deep"),
        ('{"sigma": 3}', "no 'sigma'; there are name, source"),
        ('{"sigma_px": "3"}', "sigma_px is '3'; give a float"),
        ('{"sigma_px": true}', "sigma_px is True; give a float"),
        ('{"sigma_px": -1}', "sigma_px is -1; give pixels above 0"),
        ('{"sigma_px": NaN}', "sigma_px is nan"),
        ('{"upright": 1}', "upright is 1; give a bool"),
    ],
)
def test_about_that_is_wrong(text, message, tmp_path):
    folder = folder_of(tmp_path, POSITIONS, "a.png")
    (folder / "dataset.json").write_text(text)
    with pytest.raises(DataSetError, match=r"dataset.json.*" + message):
        datasets.load(folder)


# --- positions outside -------------------------------------------------------------------------


def with_outside(path, scale, outside, total) -> Path:
    """A table of positions inside, of which some are then multiplied by `scale`."""
    rows = [f"a.png,{60 * scale if i < outside else 50},9" for i in range(total - 1)]
    return folder_of(path, "\n".join(["image,x,y", *rows, "b.png,20,9"]), "a.png", "b.png")


def test_coordinates_of_another_resolution_are_suspected(tmp_path):
    """From 1 % outside on; the remark stays with the data set when it is saved."""
    data = datasets.load(with_outside(tmp_path / "few", 1.25, 1, 101))
    assert (len(data.x), data.left_out, data.remarks) == (100, 1, ())
    data, problems = datasets.check(with_outside(tmp_path / "a", 1.25, 5, 48))
    (remark,) = data.remarks
    assert problems == [remark] and data.left_out == 5
    assert "5 of 48 fixations (10.4 %) lie outside their image and are left out" in remark
    assert "(75, 9) on an image of 64x48 pixels. They may be pixels of another resolution" in remark
    datasets.save(data, tmp_path / "out")
    saved = datasets.load(tmp_path / "out")
    assert (saved.remarks, saved.left_out) == ((remark,), 5)
    (remark,) = datasets.load(with_outside(tmp_path / "b", -0.1, 1, 100)).remarks
    assert "(-6, 9)" in remark and "resolution" not in remark


def test_positions_that_count_from_1_are_suspected(tmp_path):
    table = "image,x,y\n" + "".join(f"a.png,{x},{y}\n" for x, y in [(1, 1), (64, 20), (50, 48)] * 3)
    _, problems = datasets.check(folder_of(tmp_path, table + "a.png,60,9\n" * 9, "a.png"))
    assert len(problems) == 1
    assert re.search(r"seem to count from 1, .* least is 1, and 6 are equal", problems[0])


# --- tables of other programs ------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_spreadsheets(separator, tmp_path):
    """A byte order mark, CRLF, other separators and headings, backslashes, names as subjects."""
    rows = [
        ["Participant", "Filename", "X", "Y", "Duration", "comment"],
        ["sam", "sub\\a.png", " 1", "2", "10", 'says "hi"'],
        ["kim", "sub\\a.png", "3", "4", "20", ""],
        ["sam", "./sub/a.png", "5", "6", "30", ""],
        ["", "", "", "", "", ""],
    ]
    lines = [separator.join(f'"{f.replace(chr(34), chr(34) * 2)}"' for f in row) for row in rows]
    folder = folder_of(tmp_path, "", "sub/a.png")
    (folder / "fixations.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    with pytest.raises(DataSetError, match=r"reads other headings, separators and names"):
        datasets.load(folder)
    data, problems = datasets.read_table(folder, sigma_px=9)
    assert problems == []
    assert data.images == ("sub/a.png",)
    assert data.x.tolist() == [1, 3, 5]
    assert data.subject.tolist() == [1, 0, 1]
    assert data.order.tolist() == [0, 0, 1]
    assert data.duration_ms.tolist() == [10, 20, 30]
    assert data.sigma_px.tolist() == [9]


def test_tables_with_accents_in_names(tmp_path):
    """A table in one Unicode form, files in another, as macOS writes them."""
    composed, decomposed = (unicodedata.normalize(form, "Gemälde/ö.png") for form in ("NFC", "NFD"))
    assert composed != decomposed
    table = f"image,x,y\n{composed},1,2\n"
    data, problems = datasets.read_table(folder_of(tmp_path, table, decomposed))
    assert (data.images, data.sizes.tolist(), problems) == ((decomposed,), [[48, 64]], [])


@pytest.mark.parametrize("names", [("7", "8"), ("Ann", "Ben"), ("7", "9" * 5000)])
def test_tables_in_which_some_subjects_are_unknown(names, tmp_path):
    rows = [f"a.png,{x},2,{name}" for x, name in enumerate(["", *names, "", names[0], "-1"])]
    table = "\n".join(["image,x,y,subject", *rows])
    data, _ = datasets.read_table(folder_of(tmp_path, table, "a.png"))
    assert len(data.subjects) == 2 and (data.subject == -1).tolist() == [1, 0, 0, 1, 0, 1]
    assert data.subject[1] == data.subject[4] != data.subject[2]
    assert data.order.tolist() == [-1, 0, 0, -1, 1, -1]


def test_tables_without_unreadable_images(tmp_path):
    table = "image,x,y\na.png,1,2\nb.png,500,500\na.png,3,4\na.png,-1,2\n"
    data, problems = datasets.read_table(folder_of(tmp_path, table, "a.png"))
    assert (data.images, data.left_out) == (("a.png",), 1)
    assert "b.png cannot be read" in problems[0]
    table += "ä" * 200 + ",1,2\n"
    data, problems = datasets.read_table(folder_of(tmp_path, table))
    assert data.images == ("a.png",) and "ä cannot be read: File name too long" in problems[1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a.png,1,2\n", r"line 1: no column image, x, y; the first line holds a.png, 1, 2"),
        ("image,x,y,X\na.png,1,2,3\n", r"line 1: both x and x could be x; remove one"),
        ("image;x;y\na.png;1,5;2\n", r"line 2: x is '1,5'; give a number"),
    ],
)
def test_tables_that_are_wrong(table, message, tmp_path):
    with pytest.raises(DataSetError, match=r"fixations.csv, " + message):
        datasets.read_table(folder_of(tmp_path, table, "a.png"))


# --- generated ---------------------------------------------------------------------------------


def test_generated_is_the_same_each_time(tiny, tmp_path):
    again = datasets.generated(tmp_path / "again")
    same(again, datasets.load(tiny))
    assert again.path(3).read_bytes() == datasets.load(tiny).path(3).read_bytes()
    other = datasets.generated(tmp_path / "other", seed=1)
    assert not np.array_equal(other.x, again.x)
    for wrong in ({"images": 0}, {"subjects": 0}, {"size": (20, 100)}):
        with pytest.raises(DataSetError, match="give 1 or more"):
            datasets.generated(tmp_path / "d", **wrong)


def test_generated_fixations_prefer_the_odd_bar(tiny):
    """It is the one bar that is red in `colour`: three fifths of the fixations lie near it."""
    data = datasets.load(tiny)
    picture = data.load_image(1).astype(int)
    y, x = (at.mean() for at in np.nonzero(picture[..., 0] - picture[..., 1] > 50))
    at = data.fixations(1)
    near = np.hypot(at.x - x, at.y - y) < 20
    assert near.mean() > 0.5
    assert len(set(map(tuple, data.sizes.tolist()))) == 2


# --- MATLAB files ------------------------------------------------------------------------------


def cell(values) -> np.ndarray:
    """A cell array of one column."""
    out = np.empty((len(values), 1), object)
    for i, value in enumerate(values):
        out[i, 0] = value
    return out


def save_mat(path: Path, **variables) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, do_compression=True, long_field_names=True)
    return path


read_published = datasets.read_published


def osie_files(root: Path, subjects=None, names=("1001.jpg", "1002.jpg")) -> Path:
    if subjects is None:
        subjects = [
            [([1.2, 60.5], [3, 40], [200, 300]), ([], [], [])],
            [([5], [6], [100]), ([7, 8, 63.9], [9, 10, 47.9], [1, 2, 3])],
        ]
    entries = [
        {
            "img": name,
            "subjects": cell(
                [
                    {"fix_x": [np.float64(x)], "fix_y": [np.float64(y)], "fix_duration": [d]}
                    for x, y, d in seen
                ]
            ),
        }
        for name, seen in zip(names, subjects, strict=True)
    ]
    for name in names:
        write_image(root / "data/stimuli" / name)
    save_mat(root / "data/eye/fixations.mat", fixations=cell(entries))
    return root


@pytest.mark.parametrize("inside", [".", "data"])
def test_osie(inside, tmp_path):
    steps = []
    data, problems = read_published(
        "osie", osie_files(tmp_path) / inside, progress=lambda *step: steps.append(step)
    )
    assert problems == []
    assert data.images == ("1001.jpg", "1002.jpg")
    assert data.root.name == "stimuli"
    np.testing.assert_array_equal(data.x, np.float32([1.2, 60.5, 5, 7, 8, 63.9]))
    np.testing.assert_array_equal(data.y, np.float32([3, 40, 6, 9, 10, 47.9]))
    assert data.subject.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.order.tolist() == [0, 1, 0, 0, 1, 2]
    assert data.duration_ms.tolist() == [200, 300, 100, 1, 2, 3]
    assert data.sigma_px.tolist() == [24, 24]
    assert data.licence.startswith("MIT")
    assert steps == [(1, 2), (2, 2)]


def test_osie_of_one_image_and_one_subject(tmp_path):
    """MATLAB's arrays have but one element then. What is outside is left out and counted."""
    seen = ([-3, 5, 64, np.nan, 6, 7], [5, 5, 5, 5, 47, 7], [1, 2, 3, 4, 5, 6])
    data, problems = read_published("osie", osie_files(tmp_path, [[seen]], ["1.jpg"]), sigma_px=9)
    assert (data.x.tolist(), data.order.tolist(), data.left_out) == ([5, 6, 7], [1, 4, 5], 3)
    assert (data.duration_ms.tolist(), data.sigma_px.tolist()) == ([2, 5, 6], [9])
    assert problems == list(data.remarks) and "2 of 5 fixations (40.0 %)" in problems[0]


def test_published_images_are_as_stored_and_those_missing_are_left_out(tmp_path):
    """MATLAB's imread does not turn them."""
    path = osie_files(tmp_path) / "data/stimuli/1001.jpg"
    path.write_bytes(with_exif(path.read_bytes(), exif(6, "<")))
    data, _ = read_published("osie", tmp_path)
    assert (data.sizes[0].tolist(), data.load_image(0).shape) == ([48, 64], (48, 64, 3))
    datasets.save(data, tmp_path / "out")
    assert datasets.load(tmp_path / "out").load_image(0).shape == (48, 64, 3)
    path.unlink()
    data, (problem,) = read_published("osie", tmp_path)
    assert (data.images, len(data.x)) == (("1002.jpg",), 4)
    assert "1001.jpg cannot be read: No such file" in problem


MAT_VARIABLES = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "complex": np.array([[1 + 2j]]),
    "truth": np.array([[True, False]]),
    "sparse": scipy.sparse.csc_matrix(np.eye(3) * 1j),
    "text": "ab\u00e9",
    "nothing": np.zeros((0, 0)),
    "cells": cell([np.arange(3), {"a": 1.0, "b": cell(["x", {}])}]),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_mat_files_of_every_class(compressed, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", MAT_VARIABLES, do_compression=compressed)
    assert matlab.load(tmp_path / "a.mat").keys() == MAT_VARIABLES.keys()


@pytest.mark.parametrize(
    ("whole", "damaged", "message"),
    [
        ((9, 24), (0, 24), "an element of type 0 and 24 bytes at 56"),
        ((9, 24), (14, 24), "an element of type 14"),
        ((9, 24), (9, 32), "an element of type 9 and 32 bytes"),
        ((5, 8), (5, 0), r"an array of \(\) in 80 bytes"),
        ((1, 3), (1 << 20, 1 << 20), "an array of .* in 80 bytes"),
        ((6, 0), (17, 0), "an array of class 17; give numbers"),
    ],
)
def test_mat_files_that_scipy_cannot_be_given(whole, damaged, message, tmp_path):
    """Some it refuses itself; some end the process, or take all memory."""
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.arange(3.0)})
    data = (tmp_path / "a.mat").read_bytes()
    broken = data.replace(struct.pack("<2I", *whole), struct.pack("<2I", *damaged), 1)
    assert broken != data
    (tmp_path / "a.mat").write_bytes(broken)
    with pytest.raises(DataSetError, match=rf"damaged, truncated .* \(ValueError: {message}"):
        matlab.load(tmp_path / "a.mat")


def test_osie_files_that_are_not_as_published(tmp_path):
    table = osie_files(tmp_path) / "data/eye/fixations.mat"

    def refused(message):
        with pytest.raises(DataSetError, match=message):
            read_published("osie", tmp_path)

    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    refused(r"fixations.mat is damaged, truncated or no MATLAB file .* Fetch it again")
    table.write_bytes(b"<!DOCTYPE html><html></html>" * 20)
    refused(r"no MATLAB file .* starts with b'<!DOCTYPE ht'")
    table.write_bytes(b"")
    refused(r"is damaged, truncated or no MATLAB file")
    table.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    refused(r"fixations.mat is a MATLAB 7.3 file \(HDF5\), .* save\(name, '-v7'\)")
    table.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    refused(r"is a Git LFS pointer, not the file; run `git lfs pull`")
    save_mat(table, other=1)
    refused(r"fixations.mat: no variable fixations; it holds other")
    save_mat(table, fixations=cell([{"img": "1001.jpg"}, {"img": "1002.jpg"}]))
    refused(r"no field subjects where one is expected; there is img")
    save_mat(table, fixations=np.arange(3))
    refused(r"no field img where one is expected; there is a ndarray")
    osie_files(tmp_path, [[([1, 2], [2], [3])]], ["1001.jpg"])
    refused(r"image 1, subject 1 has 2 fix_x, 1 fix_y and 1 fix_duration")
    shutil.rmtree(tmp_path / "data/stimuli")
    refused(r"holds no stimuli \(it holds data\); give the folder that the archives were unp")
    table.unlink()
    refused(r"holds no fixations.mat \(it holds data\); give the folder")
    (tmp_path / "a.zip").touch()
    for name, source, message in (
        ("mit300", ".", "no data set 'mit300' is known; there are osie, "),
        ("osie", "nowhere", "nowhere: no such folder"),
        ("osie", "a.zip", r"a.zip is a file; unpack it and give the folder"),
    ):
        with pytest.raises(DataSetError, match=message):
            read_published(name, tmp_path / source)


def gaze(*places, stay=48, noise=0.3, seed=0) -> np.ndarray:
    """Samples at 240 Hz of an eye that stays at each place and leaps to the next in 40 ms."""
    rng = np.random.default_rng(seed)
    at = [np.tile(places[0], (stay, 1))]
    for a, b in pairwise(places):
        t = (np.arange(1, 11) / 11)[:, None]
        at.append(a + (np.subtract(b, a)) * (10 * t**3 - 15 * t**4 + 6 * t**5))
        at.append(np.tile(b, (stay, 1)))
    samples = np.concatenate(at)
    return samples + rng.normal(0, noise, samples.shape)


PLACES = [(500, 400), (200, 100), (800, 300), (760, 600)]


def test_fixations_in_samples():
    x, y, duration = gaze_fixations(gaze(*PLACES))
    within("eye_at_rest", np.stack([x, y], 1), PLACES)
    within("eye_stays", duration, np.full(4, 1000 * 48 / 240))
    for places in ([(10, 20)], [(10, 20), (12, 20)]):  # without saccades
        x, y, duration = gaze_fixations(gaze(*places, noise=0))
        assert len(x) == 1
        assert duration.tolist() == [1000 * len(gaze(*places)) / 240]
    x, y, duration = gaze_fixations(np.full((3, 2), 7.0))
    assert (x.tolist(), y.tolist(), duration.tolist()) == ([7], [7], [12.5])


def test_short_stops_and_blinks():
    path = np.concatenate([gaze((100, 100), (400, 100)), gaze((400, 100), (600, 300), stay=6)[6:]])
    x, y, _ = gaze_fixations(np.concatenate([path, np.tile((600, 300), (60, 1))]))
    within("eye_at_rest", x, [100, 400, 600])  # short stops are part of the saccade
    within("eye_at_rest", y, [100, 100, 300])
    stop = np.concatenate([gaze((100, 100), stay=60), gaze((300, 100), stay=8)])
    x, _, _ = gaze_fixations(np.concatenate([stop, gaze((600, 300), stay=60)]))
    within("eye_at_rest", x, [100, 600])

    seen = gaze((100, 100), (400, 100))  # the last fixation may be too short
    within("eye_at_rest", gaze_fixations(seen[:-30])[0], [100, 400])
    within("eye_at_rest", gaze_fixations(seen[:-44])[0], [100])

    seen = np.concatenate([seen, np.full((40, 2), -400.0), gaze((400, 200), stay=60)])
    x, _, _ = gaze_fixations(seen)  # blinks are not fixations on the image
    assert (x < 0).sum() == 1
    seen[:3] = np.nan
    within("eye_at_rest", gaze_fixations(seen)[0][[0, 1, -1]], [100, 400, 400])


def mit1003_files(root: Path) -> Path:
    """Two images and two subjects, who start at the centre and then look at two places."""
    long = "i" * 70  # MATLAB cuts names of variables at 63 characters
    for stem, size in ((long, (300, 400)), ("i2", (400, 300))):
        write_image(root / "ALLSTIMULI" / f"{stem}.jpeg", size)
        for subject, shift in (("CNG", 0), ("ajs", 10)):
            places = [(150, 150), (50 + shift, 60), (250, 200)]
            trial = {"DATA": {"eyeData": gaze(*places)}, "imgName": f"{stem}.jpeg"}
            save_mat(root / "DATA" / subject / f"{stem}.mat", **{stem[:63]: trial})
    (root / "DATA/shuff_stimnames.mat").touch()
    return root


def test_mit1003(tmp_path):
    data, problems = read_published("mit1003", mit1003_files(tmp_path))
    assert problems == []
    assert data.images == ("i2.jpeg", "i" * 70 + ".jpeg")
    assert data.sizes.tolist() == [[400, 300], [300, 400]]
    within("eye_at_rest", data.x, [49, 249, 59, 249] * 2)  # from 0, and not the central one
    within("eye_at_rest", data.y, [59, 199, 59, 199] * 2)
    assert data.subject.tolist() == [0, 0, 1, 1] * 2
    assert data.order.tolist() == [0, 1] * 4
    assert data.sigma_px.tolist() == [34, 34]


def test_mit1003_recordings_that_are_missing_or_wrong(tmp_path):
    files = mit1003_files(tmp_path)

    def refused(message):
        with pytest.raises(DataSetError, match=message):
            read_published("mit1003", files)

    blink = np.concatenate([gaze((150, 150), (50, 60)), np.full((40, 2), -400.0)])
    save_mat(files / "DATA/ajs/i2.mat", i2={"DATA": {"eyeData": blink}})
    data, problems = read_published("mit1003", files)
    assert (problems, data.left_out, len(data.x)) == ([], 1, 7)
    (files / "DATA/ajs/i2.mat").unlink()
    data, (problem,) = read_published("mit1003", files)
    assert len(data.x) == 6
    assert re.search(r"1 of 4 recordings are missing, as .*i2.mat", problem)
    save_mat(files / "DATA/ajs/i2.mat", i2={"DATA": {"eyeData": np.arange(4.0)}})
    refused(r"i2.mat: eyeData is float64 of shape \(4,\); \(sam")
    save_mat(files / "DATA/ajs/i2.mat", i2={"DATA": np.empty((0, 0), object)})
    refused(r"i2.mat: DATA is empty; a recording is expected")
    save_mat(files / "DATA/ajs/i2.mat", i2=1)
    refused(r"i2.mat holds 0 structures; one is expected")
    shutil.rmtree(files / "DATA")
    (files / "DATA/ajs").mkdir(parents=True)
    refused(r"no fixations: 2 of 2 recordings are missing, as")
    (files / "DATA/ajs").rmdir()
    refused(r"DATA holds no folder of a subject; unpack DATA.zip")
    (files / "DATA").rmdir()
    refused(r"holds no DATA or ALLFIXATIONMAPS \(it holds ALLS")

    for stem, size in (("i" * 70, (300, 400)), ("i2", (400, 300))):  # the points drawn
        drawn = 255 * mask(size, (30, 20), (250, 100))
        write_image(files / "ALLFIXATIONMAPS" / f"{stem}_fixPts.jpg", picture=drawn)
    data, problems = read_published("mit1003", files)
    assert problems == []
    assert np.floor(data.fixations(1).x).tolist() == [30, 250]
    assert np.floor(data.fixations(1).y).tolist() == [20, 100]
    assert data.subject.max() == -1


def mask(size, *points) -> np.ndarray:
    out = np.zeros(size, np.uint8)
    for x, y in points:
        out[y, x] = 1
    return out


def test_cat2000(tmp_path):
    train = tmp_path / "trainSet"
    for name, points in (("Action/001", [(5, 6), (60, 40)]), ("Sketch/002", [(0, 0)])):
        write_image(train / f"Stimuli/{name}.jpg")
        save_mat(train / f"FIXATIONLOCS/{name}.mat", fixLocs=mask((48, 64), *points))
    write_image(train / "Stimuli/Action/Output/001_SaliencyMap.jpg")  # not a photograph
    for source in (tmp_path, train):
        data, problems = read_published("cat2000", source)
        assert problems == []
        assert data.images == ("Action/001.jpg", "Sketch/002.jpg")
        assert (data.x.tolist(), data.y.tolist()) == ([5.5, 60.5, 0.5], [6.5, 40.5, 0.5])
        assert data.image.tolist() == [0, 0, 1]
        assert len(data.subjects) == 0
    save_mat(train / "FIXATIONLOCS/Action/001.mat", fixLocs=mask((64, 48), (5, 6)))
    with pytest.raises(DataSetError, match=r"001.jpg are on a grid \(64, 48\), but .* 48 rows"):
        read_published("cat2000", tmp_path)
    (train / "FIXATIONLOCS/Action/001.mat").unlink()
    data, problems = read_published("cat2000", tmp_path)
    assert (len(data), len(data.fixations(0)), len(problems)) == (2, 0, 1)
    assert "001.mat cannot be read: No such file" in problems[0]
    shutil.rmtree(train / "FIXATIONLOCS")
    with pytest.raises(DataSetError, match=r"holds no FIXATIONLOCS \(it holds trainSet\)"):
        read_published("cat2000", tmp_path)


def test_toronto(tmp_path):
    base = tmp_path / "eyetrackingdata/fixdens"
    for i in (1, 2, 10):
        write_image(base / f"Original Image Set/{i}.jpg")
    masks = [mask((48, 64), (i, 2 * i)) for i in range(10)]
    white = np.empty((1, 10), object)
    white[0, :] = masks
    save_mat(base / "origfixdata.mat", white=white)
    for source in (tmp_path, tmp_path / "eyetrackingdata", base):
        data, problems = read_published("toronto", source)
        assert data.images == ("1.jpg", "2.jpg", "10.jpg")
        assert (data.x.tolist(), data.y.tolist()) == ([0.5, 1.5, 9.5], [0.5, 2.5, 18.5])
        assert len(problems) == 7


def test_published_facts():
    for name, known in datasets.PUBLISHED.items():
        assert known.name == name
        assert all(address.startswith(("http://", "https://")) for address in known.fetch)
        assert all((known.title, known.paper, known.licence, known.notes, *known.layout))


# --- check -------------------------------------------------------------------------------------


def test_check_of_images(tiny, tmp_path):
    steps = []
    data, problems = datasets.check(tiny, lambda *step: steps.append(step))
    assert (problems, steps[-1], len(data)) == ([], (6, 6), 6)
    shutil.copytree(tiny, tmp_path / "d")
    data = datasets.load(tmp_path / "d")
    data.path(0).unlink()
    data.path(1).write_bytes(b"")
    _, problems = datasets.check(tmp_path / "d")
    assert len(problems) == 2
    assert "bright-0.png cannot be read: No such file" in problems[0]
    assert "colour-1.png is empty (0 bytes)" in problems[1]
    arrays = arrays_of(tiny)
    arrays["img"] = np.where(arrays["img"] == 4, 3, arrays["img"])
    arrays["order"][:] = -1
    np.savez(tmp_path / "d/fixations.npz", **arrays)
    problems = datasets.check(tmp_path / "d")[1]
    assert "colour-4.png has no fixations, so it cannot be scored" in problems[2]


def test_check_of_a_table(tmp_path):
    write_image(tmp_path / "small.png", (20, 100))
    table = "image,x,y,subject,order,duration_ms\n" + (
        "a.png,1,2,0,0,0.2\na.png,1,2,0,0,0.3\nsmall.png,1,2,0,0,0.2\nb.png,1,2,0,0,0.2\n"
    )
    _, problems = datasets.check(folder_of(tmp_path, table, "a.png"))
    text = "\n".join(problems)
    assert len(problems) == 4
    assert "small.png is 100x20 pixels; models need sides of 32 or more" in text
    assert "b.png cannot be read" in text
    assert "1 fixations have image, subject and order in common" in text
    assert "median duration is 0.2 ms; multiply by 1000" in text
