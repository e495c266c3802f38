"""Kernels and C libraries for ARM, cross-compiled: what they ask for, and their maps under QEMU."""

from __future__ import annotations

import shutil
import struct
import subprocess

import numpy as np
import pytest
from test_export_c import STRICT, Library, build
from test_golden import MAPS, PHOTOGRAPHS, make
from tolerances import within

from ittisal import ITTI_1998, VIDEO, building, export_library
from ittisal.cpu import prebuilt, supports
from ittisal.native import toolchain

EMULATOR, SYSROOT = "qemu-aarch64", "/usr/aarch64-linux-gnu"
AARCH64 = 183  # EM_AARCH64
CORES = {  # target -> cores that run it: a cortex-a53 has no atomics of ARMv8.1 (LSE)
    "aarch64": ("cortex-a53", "cortex-a72", "cortex-a76", "max"),
    "cortex-a76": ("cortex-a76", "max"),
}
READINGS = {
    name: config
    for name, config in make.CONFIGS.items()
    if supports(config)[0] and not config.linear  # which no C library has
}


def compiler():
    """A C compiler for aarch64, if there is one."""
    try:
        return toolchain.compiler("aarch64")
    except toolchain.ToolchainError:
        return []


pytestmark = [
    pytest.mark.skipif(toolchain.here() == "aarch64", reason="this is no other architecture"),
    pytest.mark.skipif(not compiler(), reason="there is no C compiler for aarch64"),
]
emulated = pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"there is no {EMULATOR}")


# --- kernels -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Kernels of two presets for BGR bytes, a library for each target."""
    path = tmp_path_factory.mktemp("kernels")
    small = {"configs": [ITTI_1998, VIDEO], "dtypes": ["uint8"], "orders": ["bgr"]}
    for target in CORES:
        assert building.build(target, path, **small).kernels > 20
    return path


def undefined(data):
    """Names of symbols that an ELF file of 64 bits, little endian, needs from elsewhere."""
    sections_at, size, count = (
        *struct.unpack_from("<Q", data, 0x28),
        *struct.unpack_from("<HH", data, 0x3A),
    )
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", data, sections_at + n * size) for n in range(count)
    ]
    found = set()
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind != 11:  # SHT_DYNSYM
            continue
        names_at = sections[link][4]
        for at in range(offset, offset + length, 24):
            name, info, _, section = struct.unpack_from("<IBBH", data, at)
            if info >> 4 == 1 and section == 0:  # STB_GLOBAL, SHN_UNDEF: weak ones may stay so
                found.add(data[names_at + name :].split(b"\0", 1)[0].decode())
    return found


@pytest.mark.parametrize("target", CORES)
def test_what_a_library_needs(folder, target):
    """Of compiler's helpers nothing, as for atomics that a core may have or not."""
    data = (folder / building.library_name(target)).read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01"
    assert struct.unpack_from("<H", data, 18) == (AARCH64,)
    assert undefined(data) <= {"memset", "sched_yield", "getauxval"}  # the last by supported.c
    assert "sched_yield" in undefined(data)


def test_this_machine_does_not_load_them(folder, monkeypatch):
    monkeypatch.setenv(prebuilt.VARIABLE, str(folder))
    assert prebuilt.libraries.__wrapped__() == {}


# --- maps --------------------------------------------------------------------------------------


@emulated
@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("target", CORES)
def test_golden_maps(tmp_path, target, name):
    """Within the tolerance of float32 backends, and the same bits on every core."""
    photograph = PHOTOGRAPHS[name]
    pixels = "rgb" if photograph.ndim == 3 else "grey"
    library = tmp_path / "library"
    export_library(library, READINGS, [photograph.shape[:2]], pixels=[pixels], target=target)
    program = build(Library(library, []), tmp_path / "program", *STRICT, "-static", cc=compiler())
    frames = tmp_path / "frames"
    frames.mkdir()
    for index in range(len(READINGS)):
        (frames / str(index)).write_bytes(photograph.tobytes())
    first = {}
    for core in CORES[target]:
        maps = tmp_path / core
        maps.mkdir()
        command = [EMULATOR, "-cpu", core, program, frames, maps, "maps only"]
        subprocess.run(command, check=True)
        for index, reading in enumerate(READINGS):
            golden = MAPS[f"{name}/{reading}/saliency"]
            got = np.fromfile(maps / str(index), np.float32).reshape(golden.shape)
            within("float32", got, golden)
            np.testing.assert_array_equal(got, first.setdefault(reading, got))


@emulated
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_the_example(tmp_path):
    """As it is exported, with the shared library: a map in steps of 1/255."""
    photograph, golden = PHOTOGRAPHS["chelsea"], MAPS["chelsea/itti1998/saliency"]
    library, (height, width) = tmp_path / "library", photograph.shape[:2]
    export_library(library, {"itti1998": ITTI_1998}, [(height, width)], target="cortex-a72")
    example = library / "example"
    (example / "in.ppm").write_bytes(b"P6 %d %d 255\n" % (width, height) + photograph.tobytes())
    subprocess.run(["make", "-s", "-C", example, f"CC={' '.join(compiler())}"], check=True)
    done = subprocess.run(
        [EMULATOR, "-cpu", "cortex-a72", "-L", SYSROOT, "./example", "in.ppm"],
        cwd=example,
        capture_output=True,
        check=True,
    )
    header, pixels = done.stdout.split(b"255\n", 1)
    assert header.split() == [b"P5", *(b"%d" % side for side in golden.shape[::-1])]
    got = np.frombuffer(pixels, np.uint8).reshape(golden.shape)
    within("grey_levels", got, golden / golden.max() * 255)
