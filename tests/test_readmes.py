"""The README files: their Python runs, their commands parse, and what they link to is there."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ittisal import cli

ROOT = Path(__file__).parents[1]
FILES = ("README.md", "ittisal/README.md", "benchmarks/README.md", "kernels/README.md")
MOST_LINES = 200  # of the first
SIZES = (360, 400), (480, 640)  # of a clip's frames, and of those of a loop


def blocks(language):
    """Every fenced block in a language, by file and line."""
    found = []
    for file in FILES:
        text = (ROOT / file).read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, re.M | re.S):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], id=f"{file}:{line}"))
    return found


def commands(line):
    """The words of each command of a line of shell; files that are redirected to are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    found = [[]]
    words = iter(lexer)
    for word in words:
        if word == "|":
            found.append([])
        elif word in ("<", ">"):
            next(words)
        else:
            found[-1].append(word)
    return [each for each in found if each]


@pytest.fixture
def stand_ins(monkeypatch):
    """What the examples take for granted: a camera, a street, a window, a GPU, a detector."""
    import cv2

    import ittisal

    shown = []
    monkeypatch.setattr(cv2, "imshow", lambda name, picture: shown.append(picture.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: 27 if len(shown) == 2 else -1)
    random = np.random.default_rng(1)
    clip, scenes = (random.integers(0, 256, (3, *size, 3), np.uint8) for size in SIZES)
    stream, model = ittisal.stream, ittisal.Saliency
    monkeypatch.setattr(ittisal, "stream", lambda source, **options: stream(clip, **options))
    monkeypatch.setitem(sys.modules, "cupy", np)
    monkeypatch.setattr(
        ittisal, "Saliency", lambda *given, backend="auto", **options: model(*given, **options)
    )
    monkeypatch.setattr(ittisal, "FaceDetector", lambda file, **options: lambda frame: {})
    box = SimpleNamespace(x=1, y=2)
    return {"frames": enumerate(scenes), "detector": lambda tile: [box]}


@pytest.mark.parametrize("text", blocks("python"))
def test_python_runs(text, stand_ins):
    for package in ("torch", "onnxruntime"):
        if f"import {package}" in text:
            pytest.importorskip(package, reason=f"{package} is not installed")
    exec(compile(text, "<README>", "exec"), dict(stand_ins))


@pytest.mark.parametrize("text", blocks("sh"))
def test_commands_parse(text):
    from benchmarks.__main__ import parse

    for line in text.splitlines():
        parsed = 0
        for program, *words in commands(line):
            if program == "ittisal":
                assert cli.parser(words[0]).parse_args(words).run
                parsed += 1
            elif words[:2] == ["-m", "benchmarks"]:
                assert parse(words[2:]).what
                parsed += 1
        assert parsed, line


@pytest.mark.parametrize("file", FILES)
def test_links_lead_somewhere(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert ((ROOT / file).parent / target).exists(), target


def test_readme_is_short():
    assert len((ROOT / FILES[0]).read_text(encoding="utf-8").splitlines()) <= MOST_LINES
