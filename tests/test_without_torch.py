"""What needs PyTorch says so where there is none."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from test_cli import run_here, save

from ittisal import class_saliency


@pytest.fixture(autouse=True)
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


def test_class_saliency():
    with pytest.raises(ImportError, match=r"needs PyTorch, .*; pip install 'ittisal\[torch\]'"):
        class_saliency(abs, np.zeros((3, 8, 8)))


def test_map(tmp_path):
    picture = save(tmp_path / "a.png")
    ran = run_here("map", picture, "--class-model", "net.pt2", cwd=tmp_path)
    assert ran.status == 2
    assert "--class-model needs PyTorch" in ran.err and "pip install 'ittisal[torch]'" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
