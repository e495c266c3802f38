"""Kernels ahead of time: which there are, for which targets, and who loads them."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_cli import run, run_here

from ittisal import building
from ittisal.config import ITTI_1998, PRESETS
from ittisal.cpu import build, prebuilt, target
from ittisal.native import toolchain
from ittisal.pipeline import BackendError

X86 = toolchain.here() == "x86_64"
HERE = "x86-64-v2" if X86 else "aarch64"  # what any machine of this kind runs
SMALL = {"configs": [ITTI_1998], "dtypes": ["uint8"], "orders": ["rgb"]}
compiles = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Kernels for this machine in a library, of `ITTI_1998` and uint8 RGB frames."""
    path = tmp_path_factory.mktemp("kernels")
    built = building.build(HERE, path, **SMALL)
    assert built.library == path / building.library_name(HERE)
    assert built.size == built.library.stat().st_size
    assert 10 < built.kernels < 30
    return path


MAP = """
import sys
sys.path[:0] = {path!r}
import numpy as np, ittisal
from test_stages import photo_like
model = ittisal.Saliency((240, 320), {config}, backend="cpu", threads={threads})
np.save({out!r}, model(photo_like((240, 320), {dtype!r})))
from ittisal.cpu import target
print(target.name(), *sorted({{"numba", "llvmlite"}} & sys.modules.keys()))
"""


def map_of(out, config="ittisal.ITTI_1998", dtype="uint8", threads=1, **environment):
    """Run a map in a process of its own; what it loaded, its map, and what it said."""
    code = MAP.format(
        path=[os.path.dirname(__file__)],
        config=config,
        dtype=dtype,
        threads=threads,
        out=str(out),
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout.split(), np.load(out) if out.exists() else None, done.stderr


# --- loading -------------------------------------------------------------------------------------


@compiles
@pytest.mark.parametrize("threads", [1, 2])
def test_maps_of_prebuilt_kernels_are_those_of_compiled_ones(folder, tmp_path, threads):
    """To the bit, and nothing that compiles is imported."""
    loaded, got, said = map_of(
        tmp_path / "prebuilt.npy", threads=threads, ITTISAL_KERNELS=folder, ITTISAL_COMPILE="never"
    )
    assert loaded == [HERE], said
    loaded, wanted, said = map_of(tmp_path / "compiled.npy", threads=threads, ITTISAL_TARGET=HERE)
    assert loaded == [HERE, "llvmlite"], said
    np.testing.assert_array_equal(got, wanted)


@compiles
def test_what_is_not_prebuilt_is_compiled_for_the_same_target(folder, tmp_path):
    loaded, got, said = map_of(tmp_path / "mixed.npy", dtype="float32", ITTISAL_KERNELS=folder)
    assert loaded == [HERE, "llvmlite"], said
    wanted = map_of(tmp_path / "compiled.npy", dtype="float32", ITTISAL_TARGET=HERE)[1]
    np.testing.assert_array_equal(got, wanted)


@compiles
def test_what_is_not_prebuilt_may_be_refused(folder, tmp_path):
    environment = {"ITTISAL_KERNELS": folder, "ITTISAL_COMPILE": "never"}
    environment["ITTISAL_CACHE_DIR"] = tmp_path / "cache"
    _, got, said = map_of(tmp_path / "map.npy", "ittisal.GAZE", **environment)
    assert got is None
    assert f"would have to be compiled for {HERE}, and ITTISAL_COMPILE=never forbids it" in said


@compiles
def test_the_native_target_on_request(folder, tmp_path):
    loaded, _, said = map_of(tmp_path / "map.npy", ITTISAL_KERNELS=folder, ITTISAL_TARGET="native")
    assert loaded == ["native", "llvmlite"], said


WITHOUT = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Block())
import numpy as np
import ittisal
from ittisal import backends
frame = np.eye(64, dtype=np.uint8)[..., None].repeat(3, axis=2) * 255
print(backends.available()["cpu"])
print(ittisal.Saliency((64, 64), backend="cpu")(frame).max() > 0)
try:
    ittisal.Saliency((64, 64), ittisal.GAZE, backend="cpu")(frame)
except backends.BackendError as error:
    print(error)
"""


@compiles
def test_without_a_compiler(tmp_path):
    building.build(HERE, tmp_path, **SMALL)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env={**os.environ, "ITTISAL_KERNELS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    usable, good, refused = done.stdout.splitlines()
    assert usable == str((True, f"kernels prebuilt for {HERE}"))
    assert good == "True"
    assert "would have to be compiled, and llvmlite is not installed; pip install numba" in refused


# --- which library -------------------------------------------------------------------------------


def libraries_in(folder, monkeypatch) -> list[str]:
    """Targets of the libraries there that this CPU runs, the best one first."""
    monkeypatch.setenv("ITTISAL_KERNELS", str(folder))
    return list(prebuilt.libraries.__wrapped__())


def write_library(path: Path, rank: int) -> None:
    """A library that says how well it suits this CPU."""
    source = path.with_suffix(".c")
    source.write_text(f"int ittisal_supported(void) {{ return {rank}; }}\n")
    toolchain.run([*toolchain.compiler(toolchain.here()), "-shared", "-fPIC", source, "-o", path])


@compiles
def test_the_best_library_that_this_cpu_runs(tmp_path, monkeypatch):
    for name, rank in (("a", 2), ("b", 4), ("c", 3), ("none", 0)):
        write_library(tmp_path / f"{name}{prebuilt.suffix()}", rank)
    assert libraries_in(tmp_path, monkeypatch) == ["b", "c", "a"]


@compiles
def test_what_is_no_library_of_ours_is_left_alone(folder, tmp_path, monkeypatch):
    whole = next(folder.iterdir()).read_bytes()
    for name, data in (("text", b"text"), ("empty", b""), ("cut", whole[:100])):
        (tmp_path / f"{name}{prebuilt.suffix()}").write_bytes(data)
    source = tmp_path / "other.c"
    source.write_text("int other(void) { return 1; }\n")
    library = tmp_path / f"other{prebuilt.suffix()}"
    toolchain.run([*toolchain.compiler(toolchain.here()), "-shared", source, "-o", library])
    assert libraries_in(tmp_path, monkeypatch) == []
    assert libraries_in(tmp_path / "missing", monkeypatch) == []


@compiles
@pytest.mark.skipif(not X86, reason="levels of x86")
@pytest.mark.parametrize("level", range(2, 6))
def test_a_level_that_this_cpu_lacks_is_not_loaded(tmp_path, monkeypatch, level):
    """As LLVM sees this CPU."""
    import llvmlite.binding as llvm

    names = ("x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4-vbmi")
    named = target.NAMED[names[level - 2]]
    there = llvm.get_host_cpu_features()
    library = tmp_path / f"level{prebuilt.suffix()}"
    flags = ["-shared", "-fPIC", f"-DITTISAL_{named.define}", "-o", library]
    source = toolchain.SOURCES / "supported.c"
    toolchain.run([*toolchain.compiler("x86_64"), source, *flags])
    runs = all(there.get(feature) for feature in named.needs)
    assert libraries_in(tmp_path, monkeypatch) == (["level"] if runs else [])


OTHER = "cortex-a76" if X86 else "x86-64-v2"


def test_a_target_that_this_cpu_does_not_run(tmp_path):
    _, got, said = map_of(tmp_path / "map.npy", ITTISAL_TARGET=OTHER)
    assert got is None
    assert f"this CPU does not run what is compiled for ITTISAL_TARGET={OTHER}; unset it" in said


def test_an_unknown_target(tmp_path):
    _, _, said = map_of(tmp_path / "map.npy", ITTISAL_TARGET="z80")
    assert "ITTISAL_TARGET='z80' is not one of: native, x86-64-v2," in said


# --- what is built -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", target.NAMED)
def test_lanes_and_permutes_are_what_llvm_makes_of_a_target(name):
    named = target.NAMED[name]
    plain = target.Target(f"{named.architecture}-linux", named.cpu, named.features, 4, False)
    made = target._probed(plain)
    assert (made.lanes, made.permutes_bytes) == (named.lanes, named.permutes_bytes)


@pytest.mark.parametrize("name", PRESETS)
def test_frames_of_any_size_need_no_other_kernels(name):
    known = set(build.kernels([PRESETS[name]], ["uint8"], ["rgb"]))
    rng = random.Random(name)
    shapes = [(rng.randint(32, 700), rng.randint(32, 700)) for _ in range(6)]
    shapes += [(32, 33), (40, 700), (700, 40), (1080, 1920)]
    for shape in shapes:
        assert not set(build.kernels([PRESETS[name]], ["uint8"], ["rgb"], [shape])) - known, shape


def test_objects_of_a_target_are_for_its_architecture():
    """Compiled on this machine for another one, and kept apart from this one's."""
    built = building.build(OTHER, **{**SMALL, "orders": ["grey"]})
    assert built.library is None and built.kernels > 5 and built.size > 1000
    code = (
        "from ittisal.cpu import build, library, store; from ittisal.config import ITTI_1998\n"
        "kernels = build.kernels([ITTI_1998], ['uint8'], ['grey'])\n"
        "data = library.objects(kernels)\n"
        "print(*{each[18:20].hex() for each in data.values()}, len(store.compiled))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ITTISAL_TARGET": OTHER},
        capture_output=True,
        text=True,
    )
    machine = {"x86_64": "3e00", "aarch64": "b700"}[target.NAMED[OTHER].architecture]
    assert done.stdout.split() == [machine, "0"], done.stderr


def test_bad_requests(tmp_path):
    with pytest.raises(ValueError, match=r"target='z80' is not one of: native, x86-64-v2"):
        building.build("z80")
    with pytest.raises(ValueError, match=r"dtypes='int8' is not one of: float32, uint16, uint8"):
        building.build(HERE, dtypes=["int8"])
    with pytest.raises(ValueError, match=r"orders='gbr' is not one of: rgb, bgr, grey"):
        building.build(HERE, orders=["gbr"])
    with pytest.raises(ValueError, match=r"target='native' has no library"):
        building.build("native", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match=r"file.* cannot be made: "):
        building.build(HERE, tmp_path / "file" / "folder")


# --- the command ---------------------------------------------------------------------------------


@compiles
def test_the_command(folder, tmp_path):
    arguments = ["--preset", "itti1998", "--dtype", "uint8", "--channel-order", "rgb"]
    ran = run_here("build", "--target", HERE, *arguments, "-o", "made", "--json", cwd=tmp_path)
    assert ran.status == 0, ran.err
    answer = json.loads(ran.out)
    assert answer["compiled"] == 0
    assert (tmp_path / answer["library"]).stat().st_size == answer["size"]
    again = run_here("build", *arguments, cwd=tmp_path)
    assert again.status == 0 and again.out.startswith("native: "), again.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--target z80", "invalid choice: 'z80'"),
        ("--target native -o out", "target='native' has no library"),
        ("--preset none", "none"),
        ("--config missing.toml", "missing.toml"),
    ],
)
def test_wrong_usage(tmp_path, arguments, said):
    ran = run_here("build", *arguments.split(), cwd=tmp_path)
    assert ran.status == 2 and said in ran.err
    assert not any(tmp_path.iterdir())


def test_a_compiler_that_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "false")
    arguments = ["--preset", "itti1998", "--dtype", "uint8", "--channel-order", "rgb"]
    ran = run_here("build", "--target", HERE, "-o", "out", *arguments, cwd=tmp_path)
    assert ran.status == 1 and "false -O2" in ran.err and "failed" in ran.err
    assert not [*tmp_path.rglob("*.so")]


def test_there_is_no_compiler(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        toolchain.ToolchainError, match=r"no C compiler for riscv64 \(riscv64-linux"
    ):
        toolchain.compiler("riscv64")


def test_info_says_what_is_prebuilt(folder, tmp_path):
    ran = run("info", "--json", cwd=tmp_path, ITTISAL_KERNELS=str(folder))
    facts = json.loads(ran.out)
    assert f"in {folder}" in facts["cpu"]["prebuilt kernels"]
    assert "prebuilt" in facts["kernels"]["itti1998"]
    assert "to be compiled" in facts["kernels"]["gbvs"] or "stored" in facts["kernels"]["gbvs"]
