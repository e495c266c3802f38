"""What commands on image files share, through a command made here that writes all it can."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from functools import partial

import pytest
from test_cli import encoded, names, photo, run_here, save

from ittisal import cli, imagefiles
from ittisal.cli import common, pictures


def add_parser(commands):
    parser = commands.add_parser("sizes")
    parser.set_defaults(run=run)
    pictures.add_options(parser, "texts")
    parser.add_argument("--csv")
    parser.add_argument("--jsonl")
    parser.add_argument("--draw", action="store_true")
    common.add_model_options(parser, levels=True, faces=True)


def run(args: argparse.Namespace) -> int:
    tables = {"csv": args.csv, "jsonl": args.jsonl}
    batch = pictures.Batch(args, "text", {".png"}, tables, ("side", "pixels"))
    return batch.run(lambda source: {"sizes": ".png"} if args.draw else {}, partial(_work, args))


def one(args: argparse.Namespace, picture: pictures.Picture) -> pictures.Result:
    rows = [
        {"side": side, "pixels": n, "all": list(picture.shape)}
        for side, n in zip("yx", picture.shape, strict=True)
    ]
    return pictures.Result({"sides": 2}, {"sizes": lambda: b"drawn"}, rows, "looked at")


_work = one


@pytest.fixture
def sizes(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ittisal.cli.sizes", sys.modules[__name__])
    monkeypatch.setitem(cli.COMMANDS, "sizes", "the sizes of images")
    for name in "ab":
        save(tmp_path / f"{name}.png")
    return partial(run_here, "sizes", cwd=tmp_path)


TABLE = [["input", "side", "pixels"]] + [
    [f"{name}.png", side, pixels] for name in "ab" for side, pixels in (("y", "48"), ("x", "64"))
]


def test_tables_in_files(sizes, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    ran = sizes("a.png", "bad.png", "b.png", "--csv", "t.csv", "--jsonl", "t.jsonl")
    assert (ran.status, ran.out) == (1, "t.csv\nt.jsonl\n")
    assert "bad.png: is empty" in ran.err and "a.png: looked at" in ran.err
    assert names(tmp_path) == {"a.png", "b.png", "bad.png", "t.csv", "t.jsonl"}
    assert list(csv.reader((tmp_path / "t.csv").read_text().splitlines())) == TABLE
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert rows[3] == {"input": "b.png", "side": "x", "pixels": 64, "all": [48, 64]}


def test_tables_on_standard_output(sizes, tmp_path):
    ran = sizes("a.png", "b.png", "--csv", "-", "--draw", "-q")
    assert list(csv.reader(ran.out.splitlines())) == TABLE and not ran.err
    assert names(tmp_path) == {"a.png", "b.png", "a.sizes.png", "b.sizes.png"}
    stdin = (tmp_path / "a.png").read_bytes()
    assert len(sizes("-", "--jsonl", "-", stdin=stdin).rows) == 2
    (row,) = sizes("-", "--json", stdin=stdin).rows
    assert row["input"] == "-" and row["sides"] == 2 and row["outputs"] == {}
    ran = sizes("-", "--csv", "t.csv", "--draw", stdin=stdin)
    assert ran.raw == b"drawn" and (tmp_path / "t.csv").exists()


def test_tables_take_pictures_that_exist(sizes, tmp_path):
    (tmp_path / "a.sizes.png").write_bytes(b"old")
    ran = sizes("a.png", "--draw", "--no-clobber", "--csv", "-")
    assert (tmp_path / "a.sizes.png").read_bytes() == b"old" and len(ran.out.splitlines()) == 3
    assert not sizes("a.png", "--draw", "--no-clobber").out


def test_tables_that_exist(sizes, tmp_path):
    (tmp_path / "t.csv").write_text("old")
    ran = sizes("a.png", "--csv", "t.csv", "--no-clobber")
    assert (ran.status, ran.out) == (0, "") and "t.csv: exists, left as it is" in ran.err
    assert "looked at" not in ran.err
    ran = sizes("a.png", "--csv", "t.csv", "--jsonl", "t.jsonl", "--no-clobber")
    assert ran.out == "t.jsonl\n" and (tmp_path / "t.csv").read_text() == "old"
    assert sizes("a.png", "--csv", "t.csv", "--no-clobber", "--json").rows[0]["sides"] == 2
    assert sizes("a.png", "--csv", "t.csv").out == "t.csv\n"
    assert (tmp_path / "t.csv").read_text() != "old"


def test_an_interrupt_leaves_tables_of_what_is_done(sizes, tmp_path, monkeypatch):
    def interrupted(args, picture):
        if picture.source.stem == "b":
            raise KeyboardInterrupt
        return one(args, picture)

    monkeypatch.setattr(sys.modules[__name__], "_work", interrupted)
    ran = sizes("a.png", "b.png", "--csv", "t.csv", "--json")
    assert ran.status == 130 and len(ran.rows) == 1
    assert list(csv.reader((tmp_path / "t.csv").read_text().splitlines())) == TABLE[:3]


def test_a_table_that_cannot_be_written_leaves_the_other(sizes, tmp_path, monkeypatch):
    def write(path, data):
        if path.suffix == ".csv":
            raise imagefiles.ImageError(f"cannot write {path}: No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(common, "write", write)
    ran = sizes("a.png", "--csv", "t.csv", "--jsonl", "t.jsonl")
    assert (ran.status, ran.out) == (1, "t.jsonl\n")
    assert "ittisal sizes: cannot write t.csv: No space left on device" in ran.err


def test_rows_of_names_with_line_ends(sizes, tmp_path):
    odd = ["new\nline.png", "return\r.png", 'q"u,o.png']
    for name in odd:
        save(tmp_path / name)
    ran = sizes(*odd, "--csv", "t.csv")
    assert ran.status == 0, ran.err
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["input"] for row in rows] == [name for name in odd for _ in "yx"]


@pytest.mark.parametrize("strict", [False, True])
def test_damaged_files_are_told_and_the_rest_go_on(strict, sizes, tmp_path, monkeypatch):
    """By name and by what the library says, also with --quiet; refused with --strict."""
    jpeg = encoded(photo(), ".jpg")
    (tmp_path / "bad.jpg").write_bytes(jpeg[:-2])
    said = "its end (EOI) is missing"
    ran = sizes("a.png", "bad.jpg", "b.png", "--json", "--quiet", *["--strict"] * strict)
    a, bad, b = map(json.loads, ran.out.splitlines())
    assert "damaged" not in {**a, **b} and "error" not in {**a, **b}
    if strict:
        assert ran.status == 1 and bad == {"input": "bad.jpg", "error": f"is damaged: {said}"}
        assert ran.err.splitlines()[0] == f"ittisal sizes: bad.jpg: is damaged: {said}"
    else:
        assert ran.status == 0 and bad["damaged"] == said and bad["width"] == 64
        assert ran.err == f"ittisal sizes: bad.jpg: is damaged, but was read: {said}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png --csv - --jsonl -", "takes one of --csv - and --jsonl -"),
        ("a.png --csv - --json", "takes one of --csv - and --json"),
        ("- --csv - --draw", "takes one of -o - and --csv -"),
        ("a.png --csv a.png", "would overwrite the input a.png"),
        ("a.png -o - --draw --csv a.png", "would overwrite the input a.png"),
        ("a.png --csv t --jsonl t", "--csv and --jsonl would both be written to t"),
        ("a.png --csv none/t.csv", "cannot write to none"),
        ("a.png --csv .", "--csv '.' is a directory; give a file"),
        ("a.png --jsonl=", "--jsonl '' is empty; give a file"),
        ("a.png -o x.png", "takes one text"),
    ],
)
def test_usage_errors(line, message, sizes, tmp_path):
    ran = sizes(*line.split())
    assert ran.status == 2 and message in ran.err and not ran.out, ran.err
    assert names(tmp_path) == {"a.png", "b.png"}
