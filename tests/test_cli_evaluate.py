"""`ittisal evaluate` and `readout` as users meet them: tables, files, streams, exit statuses."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import stat
import sys
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
from test_cli import run_here
from test_datasets import with_outside

import ittisal
from ittisal import cli, datasets, evaluation, files, readout
from ittisal.cli import common, fixations
from ittisal.evaluation.result import CELL

QUICK = ("--metric", "auc", "--metric", "nss", "--backend", "reference")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A data set's folder."""
    path = tmp_path_factory.mktemp("cli") / "tiny"
    datasets.generated(path, images=4)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, command="evaluate"):
    """Exit status, standard output, standard error."""
    ran = run_here(command, *arguments, cwd=".")
    return ran.status, ran.out, ran.err


@pytest.fixture
def spoilt(tiny, tmp_path):
    """A copy of which one image is missing."""
    datasets.save(datasets.load(tiny), tmp_path / "spoilt")
    data = datasets.load(tmp_path / "spoilt")
    data.path(2).unlink()
    return tmp_path / "spoilt"


def test_help_states_what_scores_mean():
    status, out, _ = run("--help")
    assert status == 0
    assert "0.3 + exp(-((x - W/2) / (W/4))^2 / 2" in out
    assert "(default: 0, none)" in out and "1 % of uniform" in out and "examples:" in out
    for name in (*evaluation.METRICS, *evaluation.BASELINES):
        assert re.search(rf"\b{name}\b", out), name


def test_the_default_table(tiny):
    status, out, err = run(tiny, "--backend", "reference")
    assert status == 0 and err == ""
    lines = out.splitlines()
    assert lines[0] == "tiny: 4 images, 192 fixations"
    assert "not smoothed, no centre bias" in lines[1]
    for name in ("itti1998", *evaluation.BASELINES):
        assert any(line.startswith(f"{name} ") for line in lines)
    headings = [line for line in lines if " AUC " in line or " IG" in line]
    assert len(headings) == 2  # nine scores do not fit one line of 120
    assert max(map(len, lines)) <= 120
    _, out, _ = run(tiny, *QUICK)
    rows = [line for line in out.splitlines()[3:] if re.search(r"\d|AUC", line)]
    assert len(rows) == 1 + 2 * (1 + 4 + 4)
    assert len({len(row) for row in rows}) == 1  # columns are aligned
    boundary = len(rows[0]) - CELL - 1  # between the two cells
    assert {row[boundary] for row in rows} == {" "}
    assert " " not in {row[boundary - 1] for row in rows}


def test_tables_of_any_width():
    rng = np.random.default_rng(0)
    result = evaluation.Evaluation(
        dataset="made up",
        models=("a", "b", "uniform"),
        baselines=frozenset({"uniform"}),
        metrics=tuple(evaluation.METRICS),
        images=("1", "2", "3"),
        scores=rng.normal(0, 1, (3, 3, 9)),
        fixations=9,
        skipped=(("4", "gone"),),
    )
    zero = replace(result, scores=np.full((3, 3, 9), -1e-9))
    assert "-0.000" not in zero.table(80)
    for width in (20, 60, 80, 200):
        lines = result.table(width).splitlines()
        assert lines[0] == "made up: 3 images, 1 skipped, 9 fixations"
        assert max(map(len, lines[2:])) <= max(width, 11 + 16)
        assert sum("b - a" in line for line in lines) == len(
            [line for line in lines if line == "models"]
        )
        assert not any("uniform -" in line or "- uniform" in line for line in lines)


def test_json(tiny):
    status, out, err = run(tiny, "--json", *QUICK, "--smooth", "2.5", "--limit", "3")
    found = json.loads(out)
    assert status == 0 and err == ""
    assert found["images"] == 3 and found["smooth_percent"] == 2.5 and not found["centre_bias"]
    names = [each["name"] for each in found["models"]]
    assert names == ["itti1998", *evaluation.BASELINES]
    score = found["models"][0]["scores"]["auc"]
    assert score["low"] < score["mean"] < score["high"]
    assert {each["minus"] for each in found["differences"]} == set(evaluation.BASELINES)


def test_files(tiny, here):
    status, out, err = run(
        tiny, *QUICK, "--csv", "scores.csv", "--per-image", "images.csv", "--model", "uniform"
    )
    assert status == 0 and "models" not in out.splitlines()[2]
    with open("scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 4 and {row["baseline"] for row in rows} == {"1"}
    with open("images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 4 and {float(r["auc"]) for r in rows if r["model"] == "uniform"} == {
        0.5
    }
    assert sorted(path.name for path in here.iterdir()) == ["images.csv", "scores.csv"]
    assert "wrote scores.csv" in err and "wrote images.csv" in err
    status, out, err = run(tiny, *QUICK, "--per-image", "-", "--no-baselines")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0 and err == ""
    assert [row["model"] for row in rows] == ["itti1998"] * 4
    assert list(rows[0]) == ["image", "model", "auc", "nss"]


def test_pictures(tiny, here):
    status, _, err = run(tiny, *QUICK, "--plot", "scores.png")
    assert status == 0
    assert sorted(path.name for path in here.iterdir()) == ["scores.images.png", "scores.png"]
    for path in here.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG") and f"wrote {path.name}" in err


def test_skipped_images_are_named_and_counted(spoilt):
    status, out, err = run(spoilt, *QUICK, "--json")
    found = json.loads(out)
    assert status == 1
    assert found["images"] == 3 and len(found["skipped"]) == 1
    name = found["skipped"][0]["image"]
    assert f"ittisal evaluate: {name}: " in err and "1 of 4 images skipped" in err
    status, out, _ = run(spoilt, *QUICK, "-q")
    assert status == 1 and out.startswith("tiny: 3 images, 1 skipped, 144 fixations\n")
    status, out, err = run(spoilt, *QUICK, "--folds", "2", command="readout")
    assert status == 1 and "3 images, 1 skipped" in out
    assert err.startswith(f"ittisal readout: {name}: ") and err.count("\n") == 1


@pytest.mark.parametrize("command", [["evaluate"], ["readout", "--folds", "2"]])
def test_damaged_images_are_refused_if_asked(tiny, here, command):
    name, *options = command
    shutil.copytree(tiny, here / "data")
    path = sorted((here / "data/images").iterdir())[0]
    jpeg = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes()
    path.write_bytes(jpeg[:-2])
    with pytest.warns(ittisal.DamageWarning):
        assert run(here / "data", *QUICK, *options, "-q", command=name)[0] == 0
    status, out, err = run(here / "data", *QUICK, *options, "-q", "--strict", command=name)
    assert status == 1 and "3 images, 1 skipped" in out
    assert f"{path.name} is damaged: its end (EOI) is missing" in err


def test_nothing_scored_is_a_failure(tiny, here):
    (here / "maps").mkdir()
    np.save(here / "maps" / "other.npy", np.zeros((4, 4)))
    status, out, err = run(tiny, "--model", "maps:maps", "--csv", "scores.csv")
    assert status == 1 and out == ""
    assert "none of 4 images could be scored" in err and "no map called" in err
    assert not (here / "scores.csv").exists()


def test_an_interrupt_leaves_no_files(tiny, here, monkeypatch):
    def interrupt(*_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(common.Progress, "step", interrupt)
    status, out, err = run(tiny, *QUICK, "--csv", "a.csv", "--plot", "a.png")
    assert status == 130 and out == "" and err == "ittisal evaluate: interrupted\n"
    assert list(here.iterdir()) == []


def test_a_full_disk_is_told_of_the_file_and_the_table_is_printed(tiny, here, monkeypatch):
    def fail(*_):  # without a file's name in the error, as `write` fails
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "replace", fail)
    status, out, err = run(tiny, *QUICK, "--csv", "scores.csv")
    assert status == 1 and "itti1998" in out
    assert err == "ittisal evaluate: cannot write scores.csv: No space left on device\n"
    status, out, err = run(tiny, *QUICK, "--folds", "2", "--out", "t.json", command="readout")
    assert status == 1 and "fitted on all images" in out
    assert err == "ittisal readout: cannot write t.json: No space left on device\n"
    assert list(here.iterdir()) == []


def test_files_are_written_where_nobody_reads_standard_output(tiny, here, monkeypatch):
    def broken(*_):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(evaluation.Evaluation, "table", broken)
    monkeypatch.setattr(cli, "_discard_stdout", lambda: None)
    assert run(tiny, *QUICK, "--csv", "scores.csv", "--per-image", "images.csv")[0] == 141
    assert sorted(path.name for path in here.iterdir()) == ["images.csv", "scores.csv"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_written_to_and_stays(tiny, here):
    """/dev/null would become a file where root writes to it."""
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        status, _, _ = run(tiny, *QUICK, "--csv", "pipe")
        assert status == 0 and stat.S_ISFIFO(os.stat("pipe").st_mode)
        assert os.read(reader, 100).startswith(b"model,baseline,metric,mean")
    finally:
        os.close(reader)


@pytest.mark.skipif(os.fsdecode(b"\xe9") != "\udce9", reason="file names are Unicode here")
def test_images_whose_names_are_no_text(tiny, here):
    data = datasets.load(tiny)
    datasets.save(data, "odd")
    name = os.fsdecode(b"caf\xe9.png")
    odd = datasets.load("odd")
    odd.path(0).rename(odd.root / name)
    with np.load("odd/fixations.npz") as table:
        arrays = dict(table)
    arrays["images"] = np.array([name, *odd.images[1:]])
    np.savez("odd/fixations.npz", **arrays)
    assert run("odd", *QUICK, "--per-image", "images.csv")[0] == 0
    assert b"\ncaf\xe9.png,itti1998," in (here / "images.csv").read_bytes()


def test_no_ceiling_where_observers_are_not_known(tiny, here):
    data = datasets.load(tiny)
    subject = np.where(np.arange(len(data.x)) % 5, data.subject, datasets.UNKNOWN)
    datasets.save(replace(data, subject=subject), "some")
    status, out, err = run("some", *QUICK)
    assert status == 0 and "\nhumans" not in out
    assert err.endswith("tiny does not say who made each fixation: no baseline `humans`\n")
    datasets.generated("alone", images=3, subjects=1)
    status, out, err = run("alone", *QUICK)
    assert status == 0 and "has one observer: no baseline `humans`" in err and "\nhumans" not in out


def test_fixations_outside_are_counted(here):
    status, out, err = run(with_outside(here / "a", 1.25, 1, 200), *QUICK)
    assert status == 0 and out.startswith("a: 2 images, 199 fixations, 1 outside their im")
    assert "ittisal evaluate: 1 of 200 fixations outside their image are left out\n" in err
    assert run(with_outside(here / "b", 1.25, 1, 201), *QUICK, "-q")[2] == ""


@pytest.mark.parametrize("command", ["evaluate", "readout"])
def test_coordinates_of_another_resolution_are_suspected(here, command):
    """Loudly, from 1 % on: also if quiet, and once."""
    arguments = ["--folds", "2"] if command == "readout" else ["--model", "itti1998"]
    folder = with_outside(here, 1.25, 5, 48)
    status, out, err = run(folder, *QUICK, *arguments, "--json", "-q", command=command)
    found = json.loads(out)
    assert status == 0 and found["left_out"] == 5
    (remark,) = found["remarks"]
    assert "5 of 48 fixations (10.4 %) lie outside" in remark
    assert err == f"ittisal {command}: WARNING: {remark}\n"


def test_progress_in_a_pipe(tiny, monkeypatch):
    assert run(tiny, *QUICK)[2] == ""  # it takes less than ten seconds
    monkeypatch.setattr(fixations, "EVERY", 0)
    err = run(tiny, *QUICK)[2].splitlines()
    assert err == [f"ittisal evaluate: scored {i + 1} of 4 images" for i in range(4)]
    assert run(tiny, *QUICK, "-q")[2] == ""


def test_remarks(tiny, here):
    data = datasets.load(tiny)
    (here / "maps").mkdir()
    for name in data.images:
        np.save(here / "maps" / (name.rpartition(".")[0] + ".npy"), np.eye(30))
    arguments = (tiny, *QUICK, "--model", "maps:maps", "--no-baselines")
    assert "another size" in run(*arguments)[2]
    assert run(*arguments, "-q")[2] == ""


def test_the_readout_command(tiny, here):
    arguments = (tiny, *QUICK, "--folds", "2")
    fitted = readout.fit(readout.observe(datasets.load(tiny), backend="reference"))
    status, out, err = run(*arguments, command="readout")
    assert status == 0 and err == ""
    assert "itti1998 read-out - itti1998" in out and "fitted on all images (range over 2" in out
    assert f"power           {fitted.power:8.4f}" in out

    status, out, err = run(*arguments, "--out", "table.json", "--json", command="readout")
    assert status == 0 and err == "ittisal readout: wrote itti1998 to table.json\n"
    printed = json.loads(out)
    assert len(printed["by_fold"]) == 2 and printed["readout"] == asdict(fitted)
    found = readout.load("itti1998", "table.json")
    assert list(asdict(found).values()) == pytest.approx(list(asdict(fitted).values()), rel=1e-5)

    changed = ("--out", "table.json", "--set", "weights.colour=0", "--name", "grey", "-q")
    assert run(*arguments, *changed, command="readout")[2] == ""
    assert readout.names("table.json") == ["itti1998", "grey"]
    assert readout.load("grey", "table.json") != found == readout.load("itti1998", "table.json")
    facts = json.loads((here / "table.json").read_text())["readouts"]["grey"]
    assert facts["fitted_on"]["images"] == 4 and facts["cross_validated"]["folds"] == 2

    assert [path.name for path in here.iterdir()] == ["table.json"]


def test_read_outs(tmp_path):
    datasets.generated(tmp_path / "six", images=6)
    arguments = ("--metric", "ig", "--backend", "reference", "--json", "--readout")
    models = ("--model", "itti1998", "--model", "cv2:spectral_residual", "--no-baselines")
    status, out, err = run(tmp_path / "six", *arguments, *models)
    found = json.loads(out)
    names = [each["name"] for each in found["models"]]
    assert status == 0 and names == ["itti1998", "itti1998 read-out", "cv2:spectral_residual"]
    (gain,) = (
        each["scores"]["ig"]
        for each in found["differences"]
        if (each["model"], each["minus"]) == ("itti1998 read-out", "itti1998")
    )
    # Whether it gains is the data's affair; that the two are compared image by image is ours.
    plain, fitted = (each["scores"]["ig"]["mean"] for each in found["models"][:2])
    assert gain["mean"] == pytest.approx(fitted - plain) and gain["low"] < gain["high"]
    assert "cross-validated" in err and "cross-validated" in found["remarks"][-1]


def test_read_outs_need_five_images(tiny, tmp_path):
    status, out, err = run(tiny, *QUICK, "--readout")
    assert status == 1 and out == "" and "--readout: folds=5" in err
    data = datasets.generated(tmp_path / "five", images=5)
    data.path(1).unlink()
    status, _, err = run(tmp_path / "five", *QUICK, "--readout")
    assert status == 1 and f"{data.images[1]}: " in err.splitlines()[0]
    assert "number of images, 4" in err.splitlines()[1]


USAGE_ERRORS = [  # of evaluate, unless another command is named
    ("", "DATASET"),
    ("none", "none"),
    ("readout none", "none"),
    ("readout {tiny} --folds 1", "'1' must be a whole number from 2 to 256"),
    ("readout {tiny} --folds 5", "--folds 5 must be at most the number of images, 4; give fewer"),
    ("readout {tiny} --metric rmse", "no metric 'rmse'"),
    ("readout {tiny} --preset itti", "no preset 'itti'"),
    ("readout {tiny} --name=", "--name is empty"),
    ("readout {tiny} --out table.txt", "a table of read-outs is a .json file"),
    ("readout {tiny} --out no/folder/table.json", "Give another place with --out"),
    ("readout {tiny} --out {tiny}/dataset.json", "dataset.json is no table of read-outs"),
    ("readout {tiny} --out new.json --set linear=true", "needs --name"),
    ("{tiny} --model itti", "no model 'itti'; give a preset (itti1998"),
    ("{tiny} --model config:none.json", "none.json: No such file"),
    ("{tiny} --model maps:none", "none: is no folder of maps"),
    ("{tiny} --metric auk", "no metric 'auk'; the metrics are: auc"),
    ("{tiny} --table t.json", "--table is of read-outs; give --readout too"),
    ("{tiny} --readout --table none.json", "none.json: No such file"),
    ("{tiny} --model centre --readout", "--readout is for presets and configs"),
    ("{tiny} --smooth 60", "'60' must be a number from 0 to 50"),
    ("{tiny} --smooth nan", "'nan' must be a number from 0 to 50"),
    ("{tiny} --limit 0", "'0' must be a whole number of at least 1"),
    ("{tiny} --threads 0", "'0' must be a whole number from 1"),
    ("{tiny} --csv none/a.csv", "cannot write to none"),
    ("{tiny} --csv .", "--csv .: give a file"),
    ("{tiny} --csv new/", "--csv new/: give a file"),
    ("{tiny} --csv - --json", "standard output takes one of --json and --csv -"),
    ("{tiny} --csv a.csv --per-image a.csv", "two results would go to one file"),
    ("{tiny} --csv a.csv --per-image ./a.csv", "two results would go to one file"),
    ("{tiny} --plot a.png --csv a.images.png", "two results would go to one file"),
    ("{tiny} --plot a.jpg", "pictures end in .png"),
    ("{tiny} --plot -", "--plot -: give a file"),
    ("{tiny} --backend gpu", "backend='gpu' is not one of"),
]


@pytest.mark.parametrize(("line", "message"), USAGE_ERRORS, ids=[line for line, _ in USAGE_ERRORS])
def test_usage_errors(line, message, tiny, here, monkeypatch):
    monkeypatch.setattr(readout, "observe", None)  # nothing is computed
    command, _, rest = line.partition(" ") if line.startswith("readout") else ("evaluate", "", line)
    words = (word.format(tiny=tiny) for word in rest.split())
    status, out, err = run(*words, command=command)
    assert status == 2 and out == "" and message in err and err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_pictures_without_matplotlib_are_refused_before_any_work(tiny, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(evaluation, "evaluate", None)
    status, _, err = run(tiny, "--plot", "a.png")
    assert status == 2 and "pip install 'ittisal[plot]'" in err
