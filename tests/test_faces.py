"""Faces as a channel. What needs a model file of YuNet looks for it in ITTISAL_FACES."""

from __future__ import annotations

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage.data

import ittisal
from ittisal import GAZE, ITTI_1998, Face, FaceDetector, cli, datasets, faces, readout
from ittisal.sampling import sampling

MODEL = os.environ.get("ITTISAL_FACES", "")
needs_model = pytest.mark.skipif(
    not Path(MODEL).is_file(), reason="ITTISAL_FACES names no model file of YuNet"
)
SHAPE = (240, 320)
AT = 105.0, 70.0  # x, y of the stub's face


class Stub:
    """In place of `cv2.FaceDetectorYN`: one face, at a fixed part of whatever it is shown."""

    def __init__(self):
        self.seen, self.size = [], None

    def setInputSize(self, size):
        self.size = size

    def detect(self, image):
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert image.shape == (*self.size[::-1], 3)
        self.seen.append(image)
        scale = np.divide(self.size, SHAPE[::-1])
        middle, sides = (np.array(AT) + 0.5) * scale, 40 * scale
        row = [*(middle - sides / 2), *sides, *5 * [*middle], 0.9]
        return 1, np.array([row], np.float32)


@pytest.fixture
def stub(monkeypatch):
    """What detectors made meanwhile look with."""
    made = Stub()
    monkeypatch.setattr(faces, "_network", lambda path: made)
    return made


@pytest.fixture
def frame(rng):
    return rng.integers(0, 256, (*SHAPE, 3), np.uint8)


# --- the map -----------------------------------------------------------------------------------


def test_a_faces_gaussian():
    """Of 0.12 of its side, at its middle, of its score squared; of several the highest."""
    config = ITTI_1998
    grid = sampling((480, 640), config)
    y, x = grid.to_frame((10, 20))
    large = Face(x - 99, y - 99, 250, 250, 0.8, (x, y))
    drawn = faces.face_map([large], grid)
    assert drawn.dtype == np.float32
    assert drawn[10, 20] == drawn.max() == pytest.approx(0.64)
    variance = 30**2 + 8**2
    for dy, dx in ((0, 1), (2, 0), (1, -2)):
        wanted = 0.64 * np.exp(-0.5 * (dy**2 + dx**2) * 16**2 / variance)
        assert drawn[10 + dy, 20 + dx] == pytest.approx(wanted, rel=1e-5)
    small = Face(0, 0, 16, 16, 1.0, (x + 64, y))
    both = faces.face_map([large, small], grid)
    np.testing.assert_array_equal(both, np.maximum(drawn, faces.face_map([small], grid)))
    assert not faces.face_map([], grid).any()


@pytest.mark.parametrize("phase", ["centred", "even"])
def test_the_map_is_multiplied(any_backend, stub, frame, phase):
    config = replace(GAZE, phase=phase)
    detector = FaceDetector("yunet.onnx", weight=7)
    run = ittisal.Saliency(SHAPE, config, backend=any_backend)
    plain, got = run(frame), run(frame, channels=detector)
    factor = 1 + 7 * faces.face_map(detector.detect(frame), sampling(SHAPE, config))
    np.testing.assert_allclose(got, plain * factor, rtol=1e-5)
    within = ittisal.saliency_map(frame, config, backend=any_backend, channels=detector)
    assert within.max() == pytest.approx(1, abs=0.2)


# --- what the detector is shown ----------------------------------------------------------------


@pytest.mark.parametrize("size", [480, 250, 64])
def test_faces_lie_where_they_are_whatever_the_size(stub, frame, size):
    (face,) = FaceDetector("yunet.onnx", size=size).detect(frame)
    assert face.centre == pytest.approx(AT, abs=1e-3)
    assert (face.width, face.height) == pytest.approx((40, 40), abs=1)
    assert face.score == pytest.approx(0.9)
    assert max(stub.seen[0].shape) == min(size, 320)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_frames_of_every_kind_look_the_same(stub, frame, order):
    detector = FaceDetector("yunet.onnx", channel_order=order)
    wanted = frame[..., ::-1] if order == "rgb" else frame
    for given in (
        frame,
        frame.astype(np.uint16) * 257,
        frame / np.float32(255),
        frame / 255,
        np.asfortranarray(frame),
    ):
        detector.detect(given)
        np.testing.assert_array_equal(stub.seen[-1], wanted)
    detector.detect(frame[..., 1])
    np.testing.assert_array_equal(stub.seen[-1], np.repeat(frame[..., 1:2], 3, 2))
    detector.detect(np.full(SHAPE, np.nan, np.float32))
    assert not stub.seen[-1].any()
    detector.detect(frame[:33, :32])
    assert stub.seen[-1].shape == (33, 32, 3)
    detector.detect(np.broadcast_to(frame[:32, :1], (32, 4000, 3)))
    assert stub.seen[-1].shape == (5, 640, 3)


def test_not_every_frame_is_looked_at(stub, frame):
    detector = FaceDetector("yunet.onnx", every=3)
    for _ in range(7):
        detector(frame)
    assert len(stub.seen) == 3
    detector.reset()
    detector(frame)
    assert len(stub.seen) == 4
    detector(frame[:200])  # of another shape
    assert len(stub.seen) == 5


def test_a_stream_looks_anew_at_a_cut(stub):
    shots = (getattr(skimage.data, name)()[:240, :320] for name in ("astronaut", "coffee"))
    frames = [shot for shot in shots for _ in range(3)]
    detector = FaceDetector("yunet.onnx", every=100)
    with ittisal.stream(frames, fps=10, backend="cpu", channels=detector) as results:
        cuts = [result.cut for result in results]
    assert cuts == [False, False, False, True, False, False]
    assert len(stub.seen) == 2


# --- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 31}, ValueError, "size=31 must be at least 32"),
        ({"size": 320.0}, TypeError, "size=320.0 must be a whole number"),
        ({"every": 0}, ValueError, "every=0 must be at least 1"),
        ({"weight": -1}, ValueError, "weight=-1 must be at least 0"),
        ({"channel_order": "gbr"}, ValueError, "'gbr' is not 'rgb' or 'bgr'"),
    ],
)
def test_bad_arguments(stub, options, error, message):
    with pytest.raises(error, match=message):
        FaceDetector("yunet.onnx", **options)


def test_bad_frames(stub, monkeypatch):
    detector = FaceDetector("yunet.onnx")
    for bad, error in ((None, TypeError), (np.zeros((32, 32, 4)), ValueError), ("x", TypeError)):
        with pytest.raises(error, match="frame"):
            detector(bad)
    with pytest.raises(TypeError, match="several are given"):
        ittisal.Saliency(SHAPE)(np.zeros((2, *SHAPE), np.uint8), channels=detector)
    monkeypatch.setattr(faces, "is_on_gpu", lambda frame: True)
    with pytest.raises(TypeError, match=r"lies on a GPU.*copy it"):
        detector(np.zeros(SHAPE, np.uint8))


def test_bad_model_files(tmp_path, monkeypatch):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model" * 100)
    with pytest.raises(ValueError, match=r"broken.onnx is no face detector.*give a model file"):
        FaceDetector(broken)
    for missing in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*give a model file"):
            FaceDetector(missing)
    monkeypatch.delattr(cv2, "FaceDetectorYN")
    with pytest.raises(ImportError, match="has no FaceDetectorYN; pip install"):
        FaceDetector(broken)


# --- fetched once, on request ------------------------------------------------------------------


@pytest.fixture
def pooch(monkeypatch):
    """In place of the package: what it was asked for, and what it does."""
    asked = []

    def retrieve(url, known_hash, *, fname, path):
        asked.append((url, known_hash))
        return os.path.join(path, fname)

    made = SimpleNamespace(retrieve=retrieve, asked=asked)
    monkeypatch.setitem(sys.modules, "pooch", made)
    return made


def test_a_model_is_fetched_into_the_cache(pooch, tmp_path, monkeypatch):
    monkeypatch.setenv("ITTISAL_CACHE_DIR", str(tmp_path / "cache"))
    assert faces.download() == tmp_path / "cache" / faces.FILE
    assert faces.download(tmp_path) == tmp_path / faces.FILE
    ((url, digest), _) = pooch.asked
    assert url.startswith("https://github.com/opencv/opencv_zoo/")
    assert digest == f"sha256:{faces.SHA256}"
    assert len(faces.SHA256) == 64


def test_fetching_says_what_is_missing(pooch, monkeypatch):
    def retrieve(*args, **options):
        raise ConnectionError("no route to host")

    pooch.retrieve = retrieve
    with pytest.raises(OSError, match=r"no route to host.*fetch it by hand"):
        faces.download()
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"needs pooch: pip install 'ittisal\[faces\]'"):
        faces.download()


# --- the command line --------------------------------------------------------------------------


def run_cli(capsys, *arguments):
    status = cli.main([str(each) for each in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("command", ["map", "regions", "scanpath", "crop"])
def test_commands_on_pictures(stub, tmp_path, capsys, command):
    frame = np.ascontiguousarray(skimage.data.coffee()[100:340, 100:420])
    picture, folder = tmp_path / "photo.png", tmp_path / "out"
    cv2.imwrite(str(picture), frame)
    options = ["--zoom", "4"] if command == "crop" else []
    given = (command, picture, "--json", "--backend", "cpu", "-o", folder, *options)
    found = {}
    for name, faces_options in (("plain", ()), ("faces", ("--faces", "yunet.onnx"))):
        status, out, err = run_cli(capsys, *given, *faces_options)
        assert (status, err) == (0, "")
        found[name] = json.loads(out)
    assert len(stub.seen) == 1
    np.testing.assert_array_equal(stub.seen[0], frame)
    for entry in found.values():
        del entry["milliseconds"]
    assert found["plain"] != found["faces"]


def test_a_video(stub, rng, tmp_path, capsys):
    shots = tmp_path / "shots"
    shots.mkdir()
    frame = rng.integers(0, 256, (*SHAPE, 3), np.uint8)
    for index in range(7):
        cv2.imwrite(str(shots / f"{index}.png"), frame)
    records = tmp_path / "out.jsonl"
    options = ("--backend", "cpu", "--faces", "yunet.onnx", "--jsonl", records, "-q")
    status, _, err = run_cli(capsys, "video", shots, *options)
    assert (status, err) == (0, "")
    assert len(stub.seen) == 3  # of seven, every third
    assert max(stub.seen[0].shape) == 320
    peaks = [json.loads(line)["peak"] for line in records.read_text().splitlines()]
    assert len(peaks) == 7
    for peak in peaks:
        assert np.hypot(peak["x"] - AT[0], peak["y"] - AT[1]) < 16
    status, _, err = run_cli(capsys, "video", shots, *options, "--resume")
    assert status == 2
    assert "leave it or --faces out" in err


def test_evaluation_has_a_row_more(stub, tiny, capsys):
    options = ("--no-baselines", "--metric", "nss", "--json", "--faces", "yunet.onnx")
    status, out, _ = run_cli(capsys, "evaluate", tiny, "--backend", "cpu", *options)
    assert status == 0
    names = [model["name"] for model in json.loads(out)["models"]]
    assert names == ["itti1998", "itti1998 faces"]
    status, _, err = run_cli(capsys, "evaluate", tiny, "--model", "centre", *options)
    assert status == 2
    assert "--faces is for presets and configs" in err


def test_readouts(stub, tiny, tmp_path, capsys, monkeypatch):
    """Fitted into a table, cross-validated, taken from the table, and submitted."""
    monkeypatch.chdir(tmp_path)
    given = ("--backend", "cpu", "-q", "--faces", "yunet.onnx")
    score = ("--metric", "nss", "--json")
    status, out, err = run_cli(capsys, "readout", tiny, *given, *score, "--out", "t.json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [model["name"] for model in found["models"][:2]] == [
        "itti1998 faces",
        "itti1998 faces read-out",
    ]
    fitted = readout.load("itti1998 faces", "t.json")
    assert asdict(fitted) == pytest.approx(found["readout"], rel=1e-5)
    fitted = replace(fitted, gain_power=0.5)  # nobody looks where the stub finds a face
    Path("t.json").write_text(readout.updated("t.json", "itti1998 faces", fitted, {}))

    status, out, _ = run_cli(capsys, "readout", tiny, "--backend", "cpu", *score, "--out", "t.json")
    assert status == 0
    plain = {model["name"]: model for model in json.loads(out)["models"]}
    for table in ((), ("--table", "t.json")):
        options = ("--no-baselines", *score, *given, "--readout", *table)
        status, out, err = run_cli(capsys, "evaluate", tiny, *options)
        assert (status, err) == (0, "")
        rows = {model["name"]: model for model in json.loads(out)["models"]}
        names = ["itti1998", "itti1998 read-out", "itti1998 faces", "itti1998 faces read-out"]
        assert list(rows) == names
        held_out = rows["itti1998 faces read-out"] == found["models"][1]
        assert held_out == (table == ())
        assert (rows["itti1998 read-out"] == plain["itti1998 read-out"]) == (table == ())

    status, _, err = run_cli(capsys, "submit", tiny, *given, "--table", "t.json", "-o", "maps")
    assert (status, err) == (0, "")
    data = datasets.load(tiny)
    image = data.load_image(2)
    raw = ittisal.Saliency(image.shape[:2], backend="cpu")(image)
    faces_found = FaceDetector("yunet.onnx")(image)
    wanted = fitted.log_density(raw, image.shape[:2], channels=faces_found)
    got = np.load(Path("maps", data.images[2]).with_suffix(".npy"))
    np.testing.assert_array_equal(got, wanted)
    for options, message in (
        ((*given, "--readout", "gaze"), "'gaze' makes no use of faces; leave out --faces"),
        (("--readout", "gaze faces"), "'gaze faces' was fitted with faces; give --faces too"),
        (given, "no read-out 'itti1998 faces' in "),
    ):
        status, _, err = run_cli(capsys, "submit", tiny, *options, "-o", "more")
        assert status == 2 and message in err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--faces", "none.onnx"], "--faces none.onnx: there is no file none.onnx"),
        (["--faces", "download"], "--faces download: .* pip install 'ittisal"),
        (["--faces", "x", "--class-model", "y"], "leave --faces out"),
    ],
)
def test_wrong_usage(tmp_path, capsys, monkeypatch, frame, given, message):
    monkeypatch.setitem(sys.modules, "pooch", None)
    picture = tmp_path / "photo.png"
    cv2.imwrite(str(picture), frame)
    status, out, err = run_cli(capsys, "map", picture, *given)
    assert (status, out) == (2, "")
    assert re.search(message, err)
    assert len(err.splitlines()) == 1


# --- the detector itself -----------------------------------------------------------------------


@needs_model
def test_a_face_is_found(capfd):
    photo = skimage.data.astronaut()
    detector = FaceDetector(MODEL)
    (face,) = detector.detect(photo)
    assert face.centre == pytest.approx((220, 122), abs=8)
    assert face.x < face.centre[0] < face.x + face.width
    assert face.score > 0.8
    for given in (photo.mean(2).astype(np.uint8), photo / 255, photo.astype(np.uint16) << 8):
        (its,) = detector.detect(given)
        assert its.centre == pytest.approx(face.centre, abs=5)
    assert all(cup.score < 0.5 for cup in detector.detect(skimage.data.coffee()))
    assert detector.detect(np.zeros((32, 32), np.uint8)) == []
    assert detector.detect(np.zeros((32, 4000, 3), np.uint8)) == []
    saliency = ittisal.saliency_map(photo, GAZE, channels=detector)
    y, x = np.unravel_index(saliency.argmax(), saliency.shape)
    assert np.hypot(x - face.centre[0], y - face.centre[1]) < 24
    assert capfd.readouterr().err == ""


@needs_model
def test_threads_share_a_detector():
    photo = skimage.data.astronaut()
    frames = [photo, photo[:256, 100:400], photo[::2, ::2]]
    detector = FaceDetector(MODEL)
    wanted = [detector.detect(frame) for frame in frames]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(detector.detect, 4 * frames)) == 4 * wanted
