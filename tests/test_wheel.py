"""A wheel that carries prebuilt kernels, and what runs of it where NumPy alone is installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from ittisal import wheel
from ittisal.building import library_name
from ittisal.config import PRESETS
from ittisal.native import toolchain

ROOT = Path(__file__).parents[1]
HERE = "x86-64-v2" if toolchain.here() == "x86_64" else "aarch64"  # what any such machine runs

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, with the kernels of one target, from a fresh sdist."""
    out, before = tmp_path_factory.mktemp("dist"), set(ROOT.rglob("*.so"))
    done = subprocess.run(
        [sys.executable, "-m", "build", "-C", f"targets={HERE}", "--outdir", str(out), str(ROOT)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert set(ROOT.rglob("*.so")) == before
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def alone(built, tmp_path_factory):
    """A folder of packages that has the wheel and NumPy."""
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(built).extractall(site)
    installed = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (installed / name).exists():
            (site / name).symlink_to(installed / name)
    return site


def run(code, *paths, **environment):
    """Run Python with the packages of these folders alone."""
    start = "import sys; sys.path[:0] = " + repr([str(path) for path in paths]) + "\n"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", start + code],
        env={**kept, **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        timeout=300,
    )


MAPS = """
import numpy as np, ittisal
from ittisal.config import PRESETS

random = np.random.default_rng(3)
frame = np.kron(random.integers(0, 256, (30, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
found = {}
for name, config in PRESETS.items():
    for order in ("rgb", "bgr"):
        for dtype, given in (("uint8", frame), ("uint16", np.uint16(257) * frame),
                             ("float32", np.float32(frame / 255))):
            if config.linear and dtype != "float32":
                continue
            model = ittisal.Saliency(
                frame.shape[:2], config, backend="cpu", channel_order=order, threads=2
            )
            found[f"{name} {order} {dtype}"] = model(given)
            found[f"{name} grey {dtype}"] = model(np.ascontiguousarray(given[..., 0]))
np.savez(OUT, **found)
from ittisal.cpu import target
print(target.name(), *sorted({"numba", "llvmlite", "cv2", "skimage"} & sys.modules.keys()))
"""
REFUSED = """
import numpy as np, ittisal
from dataclasses import replace
config = replace(ittisal.ITTI_1998, opponency="walther")
try:
    ittisal.Saliency((64, 64), config, backend="cpu")(np.zeros((64, 64, 3), np.uint8))
except ittisal.BackendError as error:
    print(error)
"""


def test_it_is_of_this_platform(built):
    _, _, _, tags = parse_wheel_filename(built.name)
    assert tags & set(sys_tags())
    assert {(tag.interpreter, tag.abi) for tag in tags} == {("py3", "none")}
    assert not any(tag.platform == "any" for tag in tags)
    if sys.platform == "linux":
        assert {tag.platform for tag in tags} == {f"manylinux_2_17_{toolchain.here()}"}
    with zipfile.ZipFile(built) as file:
        [name] = (name for name in file.namelist() if name.endswith(".dist-info/WHEEL"))
        said = BytesParser().parsebytes(file.read(name))
    assert said["Root-Is-Purelib"] == "false"
    assert {*said.get_all("Tag")} == {str(tag) for tag in tags}


def test_its_record_is_right(built):
    with zipfile.ZipFile(built) as file:
        names = set(file.namelist())
        [record] = (name for name in names if name.endswith(".dist-info/RECORD"))
        rows = {name: rest for name, *rest in csv.reader(file.read(record).decode().splitlines())}
        assert rows.keys() == names
        assert rows.pop(record) == ["", ""]
        for name, (digest, size) in rows.items():
            data = file.read(name)
            taken = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={taken}", len(data)), name
    assert f"ittisal/cpu/prebuilt/{library_name(HERE)}" in names
    assert sum("/prebuilt/" in name for name in names) == 1


def test_it_asks_for_numpy_alone(built):
    with zipfile.ZipFile(built) as file:
        [name] = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        said = BytesParser().parsebytes(file.read(name))

    def names(extra, python="3.12"):
        wanted = map(Requirement, said.get_all("Requires-Dist"))
        for_it = {"extra": extra, "python_version": python}
        return {each.name for each in wanted if not each.marker or each.marker.evaluate(for_it)}

    assert names("") == {"numpy"}
    assert names("full") == {"numpy", "numba", "opencv-contrib-python", "scikit-image"}


def test_maps_with_numpy_alone_are_those_of_compiled_kernels(alone, tmp_path):
    """Of all presets, orders and types, to the bit; nothing that compiles is imported."""
    done = run(
        f"OUT = {str(tmp_path / 'alone.npz')!r}\n" + MAPS,
        alone,
        ITTISAL_COMPILE="never",
        ITTISAL_TARGET=HERE,
        ITTISAL_CACHE_DIR=tmp_path / "none",
    )
    assert done.stdout.split() == [HERE], done.stderr
    given = [ROOT, *(path for path in sys.path if path)]
    done = run(f"OUT = {str(tmp_path / 'all.npz')!r}\n" + MAPS, *given, ITTISAL_TARGET=HERE)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "alone.npz") as got, np.load(tmp_path / "all.npz") as wanted:
        assert {name.split()[0] for name in got} == set(PRESETS)
        assert set(got) == set(wanted) and len(got) > 50
        for name in wanted:
            np.testing.assert_array_equal(got[name], wanted[name], err_msg=name)


def test_a_config_that_is_not_prebuilt(alone, tmp_path):
    """Numba is asked for where it is missing; where it is there, compiling may be refused."""
    given = {"ITTISAL_CACHE_DIR": tmp_path / "none", "ITTISAL_TARGET": HERE}
    done = run(REFUSED, alone, **given)
    assert "is not installed; pip install numba" in done.stdout, done.stderr
    everything = [alone, *(path for path in sys.path if path)]
    done = run(REFUSED, *everything, ITTISAL_COMPILE="never", **given)
    assert f"compiled for {HERE}, and ITTISAL_COMPILE=never forbids it" in done.stdout, done.stderr


# --- what is asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "settings", "wanted"),
    [
        ("", None, None),
        ("0", {}, None),
        ("1", None, wheel.Asked((), False)),
        ("cuda", None, wheel.Asked((), True)),
        ("0", {"prebuilt": "1,cuda"}, wheel.Asked((), True)),
        ("1", {"prebuilt": "0"}, None),
        ("", {"targets": "aarch64, cortex-a76"}, wheel.Asked(("aarch64", "cortex-a76"), False)),
        ("", {"targets": ["aarch64", "cortex-a76"]}, wheel.Asked(("aarch64", "cortex-a76"), False)),
    ],
)
def test_settings_and_environment(monkeypatch, variable, settings, wanted):
    monkeypatch.setenv("ITTISAL_PREBUILT", variable)
    assert wheel.asked(settings) == wanted


def test_what_is_not_known_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("ITTISAL_PREBUILT", "yes")
    with pytest.raises(SystemExit, match="ITTISAL_PREBUILT='yes' is not one of: 0, 1, cuda"):
        wheel.asked()
    for targets, said in (
        (("x86-64-v2", "aarch64"), "of one architecture, and these are of aarch64 and x86_64"),
        (("haswell",), "target='haswell' is not one of"),
        (("native",), "target='native' has no library"),
    ):
        with pytest.raises(SystemExit, match=said):
            wheel.add_kernels(tmp_path, wheel.Asked(targets, False))
