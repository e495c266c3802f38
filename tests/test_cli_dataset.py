"""`ittisal dataset` as its users meet it: exit codes, files and streams."""

from __future__ import annotations

import json
import shutil

import pytest
from test_cli import run, run_here
from test_datasets import folder_of, osie_files, same, with_outside, write_image

from ittisal import datasets


def main(*arguments: object):
    """Exit status, standard output and standard error of the command in this process."""
    ran = run_here("dataset", *arguments, cwd=".")
    return ran.status, ran.out, ran.err


def test_help_and_list():
    status, out, err = main("--help")
    assert (status, err) == (0, "")
    for text in ("image,x,y,subject,order,duration_ms", "examples:", "exit status:", "generate"):
        assert text in out
    status, out, err = main("list")
    assert (status, err) == (0, "")
    for known in datasets.PUBLISHED.values():
        for text in (known.title.split(":")[0], *known.fetch):
            assert text in out
        assert f"ittisal dataset convert {known.name} SOURCE OUT" in out
    assert max(map(len, out.splitlines())) <= 100
    rows = [json.loads(line) for line in main("list", "--json")[1].splitlines()]
    assert [row["name"] for row in rows] == list(datasets.PUBLISHED)
    assert all(row["licence"] and row["get"] and row["files"] for row in rows)
    assert json.loads(main("list", "toronto", "--json")[1])["name"] == "toronto"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "mit300"], "no data set 'mit300' is known; there are osie, mit1003"),
        (["convert", "mit300", "a", "b"], "invalid choice: 'mit300'"),
        (["convert", "osie", "a"], "required: OUT"),
        (["convert", "osie", "a", "b", "--sigma", "0"], "'0' must be a number above 0"),
        (["convert", "osie", "a", "b", "--sigma", "wide"], "'wide' must be a number above 0"),
        (["generate", "a", "--images", "0"], "'0' must be a whole number from 1 to 10000"),
        (["generate", "a", "--seed", "-1"], "'-1' must be a whole number of at least 0"),
        (["convert", "osie", ".", "/dev/null/out"], "Give another place with OUT"),
        ([], "required: ACTION"),
    ],
)
def test_usage_errors(arguments, message):
    status, _, err = main(*arguments)
    assert status == 2 and message in err and len(err.splitlines()) == 1


def test_convert(tmp_path):
    files = osie_files(tmp_path / "files")
    status, out, err = main("convert", "osie", files, tmp_path / "out")
    assert (status, out) == (0, f"{tmp_path / 'out'}\n")
    assert err == "ittisal dataset: 2 images, 6 fixations\n"
    same(datasets.load(tmp_path / "out"), datasets.read_published("osie", files)[0])
    assert not (tmp_path / "out/images/1001.jpg").is_symlink()


def test_convert_tells_what_was_left_out(tmp_path):
    seen = [[([1, 2, 99], [3, 4, 5], [6, 7, 8])]] * 2
    files = osie_files(tmp_path / "files", seen)
    (files / "data/stimuli/1002.jpg").write_bytes(b"")
    status, out, err = main(
        "convert", "osie", files, tmp_path / "out", "--json", "--link", "--sigma", 7
    )
    facts = json.loads(out)
    assert status == 1
    assert (facts["images"], facts["fixations"], facts["left_out"]) == (1, 2, 1)
    assert "1002.jpg is empty (0 bytes)" in facts["problems"][0]
    assert "osie: 1 of 3 fixations (33.3 %) lie outside their image" in facts["problems"][1]
    assert err == "".join(f"ittisal dataset: {problem}\n" for problem in facts["problems"])
    data = datasets.load(tmp_path / "out")
    assert (data.sigma_px.tolist(), data.left_out) == ([7], 1)
    assert data.path(0).is_symlink()
    data.load_image(0)


def test_convert_a_table(tmp_path):
    """Of the images that can be read; a position that counts from 1, it seems, is a problem too."""
    table = "image;x;y\na.png;1;2\nb.png;1;2\na.png;64;2\na.png;3;4\nc.png;1;2\na.png;5;6\n"
    folder = folder_of(tmp_path / "mine", table, "a.png", name="Mine")
    (folder / "c.png").write_bytes(b"no picture")
    status, _, err = main("convert", "table", folder, tmp_path / "out", "--sigma", 9)
    assert status == 1 and "b.png cannot be read" in err and "c.png is not an image" in err
    assert err.endswith("dataset: 1 images, 3 fixations; 1 of 4 outside their image left out\n")
    data = datasets.load(tmp_path / "out")
    assert (data.name, data.x.tolist(), data.sigma_px.tolist()) == ("Mine", [1, 3, 5], [9])
    assert (data.images, data.left_out) == (("a.png",), 1)


def test_convert_says_what_is_wrong(tiny, tmp_path, monkeypatch):
    status, out, err = main("convert", "osie", tiny, tmp_path / "out")
    assert (status, out) == (1, "")
    assert err.startswith(f"ittisal dataset: {tiny} holds no fixations.mat (it holds dataset")
    monkeypatch.setattr(datasets, "read_published", None)  # what follows is said before it reads
    monkeypatch.setattr(datasets, "read_table", None)
    (tmp_path / "file").touch()
    for name, out in (("osie", tmp_path), ("mit1003", tmp_path / "file"), ("table", tmp_path)):
        status, _, err = main("convert", name, tmp_path, out, "-q")
        assert (status, len(err.splitlines())) == (1, 1)
        assert "exists and is not empty; give a new folder" in err
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_check(tiny):
    status, out, err = main("check", tiny)
    assert (status, err) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines() if " " in line)
    assert facts["images"] == "6, 160x120 to 120x160 pixels"
    assert facts["fixations"] == "288, 48.0 per image"
    assert facts["subjects"] == "4"
    assert facts["problems"] == "none"


def test_check_finds_problems(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "d")
    (tmp_path / "d/images/bright-0.png").unlink()
    write_image(tmp_path / "d/images/colour-1.png", (40, 40))
    status, out, err = main("check", tmp_path / "d", "--json")
    facts = json.loads(out)
    assert (status, facts["output"], facts["images"]) == (1, None, 6)
    assert err.splitlines() == [f"ittisal dataset: {problem}" for problem in facts["problems"]]
    assert "bright-0.png cannot be read" in err
    assert "colour-1.png is 40x40 pixels" in err
    status, out, _ = main("check", tmp_path / "d")
    assert (status, "problems  2" in out) == (1, True)


def test_check_of_a_table(tmp_path):
    folder = folder_of(tmp_path, "image,x,y\nb.png,1,2\na.png,1,2\n", "a.png")
    status, out, err = main("check", folder)
    assert status == 1
    assert "images    2, 64x48 to 64x48 pixels" in out  # of those whose size is known
    assert "degree    1.92 px" in out
    assert "b.png cannot be read" in err
    status, out, err = main("check", with_outside(tmp_path, 1.25, 5, 48))
    assert (status, "left out  5 of 48 outside their image" in out) == (1, True)
    assert "5 of 48 fixations (10.4 %)" in err


def test_generate(tiny, tmp_path):
    status, out, _ = main("generate", tmp_path / "g", "--images", 4)
    assert (status, out) == (0, f"{tmp_path / 'g'}\n")
    assert len(datasets.load(tmp_path / "g")) == 4
    main("generate", tmp_path / "h", "--json", "-q")
    same(datasets.load(tmp_path / "h"), datasets.load(tiny))
    status, _, err = main("generate", tmp_path / "g")
    assert (status, "exists and is not empty" in err) == (1, True)


def test_as_a_process_with_warnings_as_errors(tmp_path):
    folder = folder_of(tmp_path / "Ünïcode", "image,x,y\nä.png,1,2\n", "ä.png")
    done = run("dataset", "check", folder, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (0, "")
    assert "subjects  not known" in done.out
    done = run("dataset", "convert", "osie", osie_files(tmp_path / "f"), "out", cwd=tmp_path)
    assert (done.status, done.out) == (0, "out\n")
