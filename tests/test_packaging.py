"""What users install: the wheel, and the sdist that it can be built from."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {"pyproject.toml", "ittisal", "kernels", "benchmarks", "tests", "README.md", "LICENSE"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Paths of a fresh sdist and of the wheel built from it."""
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def test_wheel_holds_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[1]).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"ittisal", next(t for t in tops if t.endswith(".dist-info"))}
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "ittisal").rglob("*.py")}
    assert sources <= set(names)
    assert "ittisal/py.typed" in names
    kernels = {f"ittisal/kernels/{path.name}" for path in (ROOT / "kernels").glob("*.cu*")}
    assert kernels and kernels <= set(names)
    assert not any(name.startswith("ittisal/kernels") and name.endswith(".py") for name in names)
    metadata = zipfile.ZipFile(built[1]).read(next(n for n in names if n.endswith("METADATA")))
    assert b"License-Expression: MIT" in metadata


def test_sdist_can_build_and_be_read(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.split("/", 1)[-1] for name in sdist.getnames()}
    needed = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "ittisal/reference.py",
        "kernels/common.cuh",
    }
    assert needed <= names


def test_the_installed_wheel_runs(built, tmp_path):
    """From the wheel alone: neither the checkout nor its working directory in sight."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(site)]
    subprocess.run([*install, str(built[1])], check=True, capture_output=True)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, ittisal, ittisal.cli\n"
        "assert ittisal.__file__.startswith(sys.argv[1]), ittisal.__file__\n"
        "model = ittisal.Saliency((64, 64), backend='cpu', threads=1)\n"
        "print(model(np.eye(64, dtype=np.uint8) * 255).shape, ittisal.__version__)\n"
        "from ittisal.cuda import sources\n"
        "assert str(sources.directory()).startswith(sys.argv[1]), sources.directory()\n"
        "assert len(sources.read()) == int(sys.argv[2])\n"
    )
    kernels = len(list((ROOT / "kernels").glob("*.cu*")))
    run = [sys.executable, "-c", code, str(site), str(kernels)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["(4,", "4)"]


def test_top_level_is_the_owners_list():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    tops = {name.split("/")[0] for name in tracked}
    assert {top for top in tops if not top.startswith(".")} <= ALLOWED
