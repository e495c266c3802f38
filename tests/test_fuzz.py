"""`python -m benchmarks fuzz`: 139 of its broken inputs, and what it takes for a failure."""

from __future__ import annotations

import json

import pytest

from benchmarks import fuzz, fuzz_case
from benchmarks.fuzz_case import Case, Outcome
from benchmarks.fuzz_seeds import KINDS

# Numbers of cases of seed 0: of 1,875, those that together reach the most lines of ittisal (89 % of
# the lines that all reach) and kinds of messages, and those that failed once.
CASES = {
    "images": "39 40 50 56 77 90 97 103 113 122 137 140 146 148 151 160 168 196 204 219 228 "
    "261 280 282 285 297 313 329 340 375 391 395 398 417 427 433 439 447",
    "arrays": "3 12 14 24 51 68 111 113 131 136 139 162 163 191 195 205 218 239 260 268 275 "
    "282 306 309",
    "videos": "29 31 38 40 47 62 70 84 95 113 125 128 134 135 148",
    "tables": "14 16 17 18 24 25 43 49 50 65 89 128 144 172 174 182 220 259 304 363 365 372",
    "configs": "35 40 43 56 59 93 102 125 145 162 168 177 181 183 189 191",
    "commands": "27 34 36 46 75 77 81 93 114 125 149 152 174 200 220 229 239 242 248 251 274 "
    "286 317 334",
}


@pytest.mark.parametrize("kind", KINDS)
def test_broken_inputs(kind):
    numbers = [int(number) for number in CASES[kind].split()]
    assert [verdict for verdict in fuzz.run(kind, 0, numbers) if verdict.failures] == []


CASE = Case("images-0-000001", "rgb.png", ["bits"], {"in.png": b""}, "in.png", ["map", "in.png"])
GOOD = Outcome("0", "", "", [], 1.0, 0, [], [], [])


@pytest.mark.parametrize(
    ("outcome", "failures"),
    [
        ({"status": 0}, []),
        ({"status": 1, "err": "ittisal map: in.png: is empty\n"}, []),
        ({"status": 0, "made": ["out/in.npy"]}, []),
        ({"status": 1}, [("status", "exit status 1 without a word")]),
        ({"status": 139}, [("status", "exit status 139")]),
        ({"status": 143}, [("endless", "did not end; ended by SIGTERM")]),
        ({"status": 0, "seconds": 11.0}, [("endless", "11 s of the CPU")]),
        ({"status": 0, "memory": 2 << 30}, [("memory", "used: 2048 MiB")]),
        (
            {"status": KeyError(1)},
            [("fault", "raised: KeyError(1)")],
        ),
        (
            {"status": 2, "err": "ittisal: é\n\x1b[31m\n"},
            [("message", "not ours: \x1b[31m")],
        ),
        (
            {"status": 2, "err": "ittisal: \x1b[31m\n"},
            [("message", r"not printable: 'ittisal: \x1b[31m'")],
        ),
        ({"status": 0, "warnings": ["a.py:1: overflow"]}, [("warning", "a.py:1: overflow")]),
        ({"status": 0, "changed": ["in.png"]}, [("input", "changed: in.png")]),
        ({"status": 0, "temporary": ["x"]}, [("leftover", "temporary: x")]),
        ({"status": 1, "err": "ittisal: no\n", "made": ["out"]}, [("leftover", "out: left")]),
        ({"status": 1, "err": "ittisal: wrote caf\\xe9\n", "made": ["caf\udce9/a"]}, []),
        ({"status": 1, "err": "ittisal: no\n", "out": "caf\\xe9\n", "made": ["caf\udce9/a"]}, []),
    ],
)
def test_what_is_a_failure(outcome, failures):
    assert fuzz_case.judge(CASE, GOOD._replace(**outcome)) == failures


def test_damage_that_is_not_reported():
    """Pillow says that a picture ends early; a warning of ours, or its own ignorance, is enough."""
    data = KINDS["images"]()[0].files["baseline.jpg"]
    case = CASE._replace(files={"in.png": data[: len(data) // 2]}, whole=data)
    ((oracle, text),) = fuzz_case.judge(case, GOOD._replace(status=0))
    assert oracle == "concealed" and "truncated" in text
    said = GOOD._replace(status=0, err="ittisal map: in.png: is damaged\n")
    assert fuzz_case.judge(case, said) == []
    assert fuzz_case.judge(CASE, GOOD._replace(status=0)) == []


def test_damage_that_the_decoder_does_not_report(monkeypatch, tmp_path, capsys):
    """It is counted by itself where it changes the picture, and not at all where it does not."""
    monkeypatch.setattr(fuzz_case, "_pillow", lambda data: "a fault")
    data = dict(seed for each in KINDS["images"]() for seed in each.files.items())["rgb.bmp"]
    spoilt = data[:-1] + bytes([data[-1] ^ 255])
    silent = GOOD._replace(status=0)
    same = CASE._replace(files={"in.png": data + b"more"}, whole=data)
    other = CASE._replace(files={"in.png": spoilt}, whole=data)
    assert fuzz_case.judge(same, silent) == []
    assert fuzz_case.judge(other, silent) == [("unreported", "a fault")]
    verdict = fuzz.Verdict(3, [("unreported", "a fault")], 0)
    monkeypatch.setattr(fuzz, "run", lambda *_: iter([verdict]))
    assert fuzz.main(["--only", "images", "--out", str(tmp_path)]) == 0
    assert "| images | 1 | 0 | 1 |" in capsys.readouterr().out


def test_a_child_that_crashed_is_started_again():
    child = fuzz.Child("arrays", 0)
    try:
        assert not child.run(0).failures
        child._process.kill()
        assert child.run(1).failures == [("crash", "exit status -9")]
        assert not child.run(2).failures
    finally:
        child.close()


def test_failing_inputs_are_kept(tmp_path, monkeypatch, capsys):
    verdict = fuzz.Verdict(30, [("status", "exit status 3")], 3, "ittisal: what\n")
    monkeypatch.setattr(fuzz, "run", lambda *_: iter([verdict]))
    assert fuzz.main(["--only", "arrays", "--out", str(tmp_path)]) == 1
    assert "- arrays, status, 1 times, as arrays-0-000030: exit status 3" in capsys.readouterr().out
    facts = json.loads((tmp_path / "arrays-0-000030/case.json").read_text())
    assert facts["repeat"] == "python -m benchmarks fuzz --only arrays --seed 0 --case 30"
    case = fuzz_case.plan("arrays", 0, 30, KINDS["arrays"]())
    assert facts["mutations"] == case.mutations
    assert (tmp_path / "arrays-0-000030" / case.target).read_bytes() == case.files[case.target]
