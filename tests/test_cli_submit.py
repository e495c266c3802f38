"""`ittisal submit` as users meet it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from test_cli import run_here
from test_submission import needs_h5py

from ittisal import Saliency, datasets, evaluation, metrics, readout
from ittisal.cli import fixations


@pytest.fixture
def here(tiny, tmp_path, monkeypatch):
    """The current folder, with a data set `tiny`, and its images alone in `images`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny, "tiny")
    shutil.copytree("tiny/images", "images")
    return tmp_path


def run(line, command="submit"):
    """Exit status, standard output, standard error."""
    ran = run_here(command, *line.split(), cwd=".")
    return ran.status, ran.out, ran.err


def test_help_states_the_format():
    status, out, _ = run("--help")
    assert status == 0 and "logsumexp is within 0.001 of 0" in out
    assert "examples:" in out and "extra `hdf5`" in out
    for name in metrics.MAPS:
        assert f" {name}" in out


@pytest.mark.parametrize("name", [name for name in readout.names() if " faces" not in name])
def test_every_preset_with_a_readout(here, name):
    status, out, err = run(f"images --model {name} -o maps")
    assert (status, out, err) == (0, "maps\n", "ittisal submit: 6 of 6 images written\n")
    assert run("--check maps tiny") == (0, "maps: no problems\n", "")
    assert run("--check maps") == (0, "maps: no problems\n", "")
    config = evaluation.model(name).config
    image = datasets.load(here / "tiny").load_image(2)
    raw = Saliency(image.shape[:2], config, backend="reference")(image)
    wanted = readout.load(name).log_density(raw, image.shape[:2], config)
    assert np.array_equal(np.load("maps/oriented-2.npy"), wanted)


@needs_h5py
def test_hdf5_and_json(here):
    status, out, err = run("tiny --model gaze -o new/gaze.h5 --json -q")
    assert status == 0 and err == ""
    found = json.loads(out)
    assert found == {
        "output": "new/gaze.h5",
        "format": "hdf5",
        "metric": None,
        "model": "gaze",
        "readout": {"name": "gaze", **asdict(readout.load("gaze"))},
        "dataset": "tiny",
        "images": 6,
        "written": 6,
        "failed": [],
    }
    status, out, err = run("--check new/gaze.h5 images --json")
    assert status == 0 and err == ""
    assert json.loads(out) == {"input": "new/gaze.h5", "images": 6, "problems": []}
    status, out, err = run("tiny -o new/gaze.h5 -q")  # files are replaced
    assert (status, out, err) == (0, "new/gaze.h5\n", "")


def test_maps_for_a_metric(here):
    assert run("tiny --metric sAUC -o ranks -q")[0] == 0
    assert run("images --metric cc --sigma 2 -o blurred -q")[0] == 0
    assert run("--check ranks tiny --metric sauc")[0] == 0
    status, out, err = run("--check ranks tiny")
    assert status == 1 and out == "ranks: 6 problems\n" and err.count("has logsumexp") == 6
    assert 0 < np.load("ranks/bright-0.npy").mean() < 1
    assert np.load("blurred/bright-0.npy").sum() == pytest.approx(1, abs=1e-4)


def test_bad_images_are_named_and_the_others_written(here):
    (here / "images" / "colour-1.png").write_bytes(b"")
    status, out, err = run("images -o maps --json")
    found = json.loads(out)
    assert status == 1 and found["written"] == 5 and found["images"] == 6
    (failed,) = found["failed"]
    assert failed["image"] == "colour-1.png" and "empty" in failed["error"]
    assert err == f"ittisal submit: colour-1.png: {failed['error']}\n"
    status, out, err = run("--check maps tiny")
    assert (status, out) == (1, "maps: 1 problem\n")
    assert err == "ittisal submit: colour-1.png has no map\n"


def test_where_nothing_can_be_mapped(here):
    for path in (here / "images").iterdir():
        path.write_bytes(b"no picture")
    status, out, err = run("images -o maps")
    assert status == 1 and out == "" and err.count("\n") == 1
    assert "none of 6 images could be mapped; the first, bright-0.png" in err
    assert not (here / "maps").exists()


def test_a_config_with_a_table_of_readouts(here):
    (here / "mine.toml").write_text("split_cs = true\n")
    table = readout.updated("t.json", "mine", readout.load("gaze"), {})
    (here / "t.json").write_text(table)
    assert run("images --model config:mine.toml --table t.json -o a -q")[0] == 0
    assert run("images --model config:mine.toml --readout gaze -o b -q")[0] == 0
    assert np.array_equal(np.load("a/bright-0.npy"), np.load("b/bright-0.npy"))


def test_progress_in_a_pipe(here, monkeypatch):
    monkeypatch.setattr(fixations, "EVERY", 0)
    _, _, err = run("images -o maps")
    assert "ittisal submit: mapped 6 of 6 images\n" in err
    assert "ittisal submit: checked 6 of 6 images\n" in run("--check maps images")[2]
    assert run("--check maps -q")[2] == ""


USAGE_ERRORS = [
    ("", "give DATASET and -o OUT, or --check RESULT"),
    ("tiny", "give DATASET and -o OUT"),
    ("tiny -o ", "expected one argument"),
    ("none -o a", "none: no such folder"),
    ("tiny -o tiny", "tiny exists; give a new folder"),
    ("tiny -o a --model itti", "no model 'itti'; give a preset (itti1998"),
    ("tiny -o a --model video", "no read-out 'video' in "),
    ("tiny -o a --model video", "fit one with `ittisal readout` and give its --out as --table"),
    ("tiny -o a --model uniform", "has no read-out that makes a log density"),
    ("tiny -o a --model cv2:fine_grained", "give a preset or config:FILE"),
    ("tiny -o a --model config:none.toml", "none.toml: No such file"),
    ("tiny -o a --readout mine", "no read-out 'mine'"),
    ("tiny -o a --faces none.onnx", "--faces none.onnx: there is no file none.onnx"),
    ("--check images --faces x", "leave out --faces"),
    ("tiny -o a --table none.json", "none.json: No such file"),
    ("tiny -o a --table tiny/dataset.json", "dataset.json is no table of read-outs"),
    ("tiny -o a --metric auk", "no map is made for metric 'auk'; the metrics are auc, sauc"),
    ("images -o a --metric sauc", "need fixations on other images"),
    ("tiny -o a --sigma 0", "'0' must be a number above 0"),
    ("tiny -o a --backend gpu", "backend='gpu' is not one of"),
    ("--check none", "none: No such file"),
    ("--check images none", "none: no such folder"),
    ("--check images -o a", "--check writes nothing; leave out --output"),
    ("--check images --model gaze", "leave out --model"),
]


@pytest.mark.parametrize(("line", "message"), USAGE_ERRORS)
def test_usage_errors(line, message, here, monkeypatch):
    monkeypatch.setattr(evaluation, "submit", None)  # nothing is computed
    before = sorted(here.rglob("*"))
    status, out, err = run(line)
    assert status == 2 and out == "" and message in err and err.count("\n") == 1
    assert sorted(here.rglob("*")) == before
