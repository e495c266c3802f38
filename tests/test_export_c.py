"""The C library: against the Python package to the bit, from C, and what it refuses."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from test_stages import photo_like
from tolerances import within

from ittisal import ITTI_1998, BackendError, Config, Saliency, export_library, preset
from ittisal.config import PRESETS
from ittisal.export.packing import pack, row_differences
from ittisal.maps import channel_shares, peak
from ittisal.native import toolchain

HERE = Path(__file__).parent
PIXELS, TYPES = ("rgb", "bgr", "grey"), ("uint8", "uint16", "float32")
SHAPE = (99, 131)  # odd sides, whose rows end within vectors
SECONDS = 0.04
FRAMES = 4


def has_compiler():
    try:
        toolchain.compiler(toolchain.here())
    except toolchain.ToolchainError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")
with_gcc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")


class Options(ctypes.Structure):
    """`ittisal_options`."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("abi", "height", "width", "pixels", "type", "gaps")),
        ("preset", ctypes.c_char_p),
    )


class Library(NamedTuple):
    """A library, and the variants that it was asked for."""

    folder: Path
    variants: list[Options]


def exported(folder, presets, *, pixels=("bgr",), types=("uint8",), environment=None, **options):
    """A library in a new folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        configs = {name: preset(name) for name in presets}
        export_library(folder, configs, [SHAPE], pixels=pixels, types=types, **options)
    asked = [
        Options(1, *SHAPE, PIXELS.index(order), TYPES.index(type_), 0, name.encode())
        for name, order, type_ in product(presets, pixels, types)
    ]
    return Library(folder, asked)


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """A library of all presets, for frames as OpenCV reads them."""
    return exported(tmp_path_factory.mktemp("c") / "presets", PRESETS)


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    """A library of other formats, for three threads."""
    options = {"pixels": ["rgb", "grey"], "types": ["uint16", "float32"], "threads": 3}
    return exported(tmp_path_factory.mktemp("c") / "formats", ["video", "vocus2"], **options)


# --- from Python -------------------------------------------------------------------------------


def load(library):
    loaded = ctypes.CDLL(library.folder / "lib" / "libittisal.so")
    loaded.ittisal_strerror.restype = ctypes.c_char_p
    return loaded


def frames_of(options):
    """A few frames of a photograph that moves, and fades."""
    wide = photo_like((options.height, options.width + 3 * FRAMES))
    pixels, dtype = PIXELS[options.pixels], TYPES[options.type]
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    moved = [
        wide[:, 3 * n : 3 * n + options.width] / 255 * (1 - 0.1 * n) * full for n in range(FRAMES)
    ]
    return [
        np.ascontiguousarray((each[..., 1] if pixels == "grey" else each).astype(dtype))
        for each in moved
    ]


def model_of(options):
    """The Python package's for the same frames."""
    pixels = PIXELS[options.pixels]
    return Saliency(
        (options.height, options.width),
        preset(options.preset.decode()),
        backend="cpu",
        channel_order="rgb" if pixels == "grey" else pixels,
        threads=1,
    )


class Model:
    """A model of a library."""

    def __init__(self, library, options):
        self.library, self.handle = load(library), ctypes.c_void_p()
        self.call("create", ctypes.byref(options), ctypes.byref(self.handle), model=False)
        sides = [ctypes.c_int(), ctypes.c_int()]
        self.call("map_size", *map(ctypes.byref, sides))
        self.map_shape = tuple(side.value for side in sides)

    def call(self, name, *arguments, model=True):
        first = (self.handle,) if model else ()
        status = getattr(self.library, f"ittisal_{name}")(*first, *arguments)
        assert status == 0, (name, self.library.ittisal_strerror(status))

    def __call__(self, frame, seconds=SECONDS):
        out = np.full(self.map_shape, np.nan, np.float32)
        stride, out_stride = (ctypes.c_size_t(array.strides[0]) for array in (frame, out))
        self.call("run", _at(frame), stride, ctypes.c_double(seconds), _at(out), out_stride)
        return out

    def contributions(self):
        """Maps and shares by name."""
        count, maps, shares = ctypes.c_int(), {}, {}
        self.call("channels", ctypes.byref(count))
        for index in range(count.value):
            name, share = ctypes.c_char_p(), ctypes.c_double()
            self.call("channel", index, ctypes.byref(name), ctypes.byref(share))
            out = np.full(self.map_shape, np.nan, np.float32)
            self.call("contribution", index, _at(out), ctypes.c_size_t(out.strides[0]))
            maps[name.value.decode()], shares[name.value.decode()] = out, share.value
        return maps, shares

    def peak(self, out):
        x, y, value = ctypes.c_int(), ctypes.c_int(), ctypes.c_float()
        where = map(ctypes.byref, (x, y, value))
        self.call("peak", _at(out), ctypes.c_size_t(out.strides[0]), *where)
        return (x.value, y.value), value.value


def _at(array):
    return ctypes.c_void_p(array.ctypes.data)


def check_maps(library, index):
    options = library.variants[index]
    there = Model(library, options)
    with model_of(options) as model:
        assert there.map_shape == model.map_shape
        for number, frame in enumerate(frames_of(options)):
            wanted = model(frame, time=number * SECONDS)
            got = there(frame, number * SECONDS - (number - 1) * SECONDS)
            np.testing.assert_array_equal(got, wanted)
            (maps, shares), added = there.contributions(), model.contributions()
            assert [*maps] == [*added]
            for name, values in maps.items():
                np.testing.assert_array_equal(values, added[name])
            within("order", [*shares.values()], [*channel_shares(added).values()])
            assert there.peak(got) == (peak(wanted, SHAPE, model.config), wanted.max())


@pytest.mark.parametrize("index", range(len(PRESETS)), ids=PRESETS)
def test_every_preset_gives_the_same_bits(presets, index):
    check_maps(presets, index)


@pytest.mark.parametrize("index", range(8))
def test_other_formats_do_too(formats, index):
    check_maps(formats, index)


def test_a_library_lists_its_variants(formats):
    listed, library = [], load(formats)
    while library.ittisal_variant(len(listed), ctypes.byref(options := Options())) == 0:
        listed.append((options.preset, options.pixels, options.type))
    assert listed == [(each.preset, each.pixels, each.type) for each in formats.variants]


def test_reset_forgets_the_frames_before(presets):
    options = presets.variants[list(PRESETS).index("video")]
    model, frames = Model(presets, options), frames_of(options)
    first, second = model(frames[0]), model(frames[1])
    model.call("reset")
    np.testing.assert_array_equal(model(frames[0]), first)
    np.testing.assert_array_equal(model(frames[1]), second)


def test_seconds_count(formats):
    options = formats.variants[0]
    frames, times = frames_of(options), (0.0, 0.5, 0.51, 0.6)
    with model_of(options) as model:
        there = Model(formats, options)
        for before, now, frame in zip((0, *times), times, frames, strict=False):
            np.testing.assert_array_equal(there(frame, now - before), model(frame, time=now))
    unknown, thirtieth = Model(formats, options), Model(formats, options)
    for frame in frames:
        np.testing.assert_array_equal(unknown(frame, -1.0), thirtieth(frame, 1 / 30))


def test_the_same_library_comes_out_again(tmp_path):
    """Whatever addresses the process had."""
    one, other = (
        exported(tmp_path / name, ["gbvs", "whitened"], threads=2).folder
        for name in ("one", "other")
    )
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert len(files) > 6
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


def test_only_the_api_is_exported(presets):
    said = subprocess.run(
        ["nm", "-D", "--defined-only", presets.folder / "lib" / "libittisal.so"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split()[-1] for line in said.stdout.splitlines()}
    header = (presets.folder / "include" / "ittisal.h").read_text()
    assert names and all(f" {name}(" in header or f"*{name}(" in header for name in names), names


# --- from C ------------------------------------------------------------------------------------

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g")


def build(library, out, *flags, source=HERE / "export_c.c", cc=("cc",)):
    """A program with a static library."""
    archive = library.folder / "lib" / "libittisal.a"
    command = [*cc, *flags, source, "-I", library.folder / "include", archive, "-lm", "-lpthread"]
    done = subprocess.run([*command, "-o", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def check_program(library, program, tmp_path, runner=(), same=np.testing.assert_array_equal):
    """Run the program on frames of all variants; its maps are those of Python."""
    frames, maps = tmp_path / "frames", tmp_path / "maps"
    frames.mkdir(), maps.mkdir()
    for index, options in enumerate(library.variants):
        data = b"".join(frame.tobytes() for frame in frames_of(options))
        (frames / str(index)).write_bytes(data)
    done = subprocess.run([*runner, program, frames, maps], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(library.variants)} variants\n"
    for index, options in enumerate(library.variants):
        with model_of(options) as model:
            wanted = [model(f, time=n * SECONDS) for n, f in enumerate(frames_of(options))]
        got = np.fromfile(maps / str(index), np.float32).reshape(np.shape(wanted))
        same(got, np.array(wanted))


@with_gcc
@pytest.mark.parametrize("which", ["presets", "formats"])
def test_a_c_program(which, request, tmp_path):
    library = request.getfixturevalue(which)
    check_program(library, build(library, tmp_path / "program", *STRICT), tmp_path)


SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover=all"


@with_gcc
def test_sanitizers_find_nothing(tmp_path):
    """In the library's own C; kernels are LLVM's, and surrounded by guard pages."""
    flags = {"CFLAGS": f"-g {SANITIZED}", "LDFLAGS": SANITIZED}
    library = exported(
        *(tmp_path / "library", ["video", "gaze", "gbvs"]),
        **{"pixels": ["rgb"], "types": ["float32"], "threads": 2, "environment": flags},
    )
    program = build(library, tmp_path / "program", *STRICT, *SANITIZED.split())
    check_program(library, program, tmp_path)


CPP = """
#include "ittisal.h"
int main() {
    ittisal_options options;
    ittisal *model = nullptr;
    if (ittisal_variant(0, &options) || ittisal_create(&options, &model)) return 1;
    ittisal_destroy(model);
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_a_c_plus_plus_program(presets, tmp_path):
    source = tmp_path / "program.cpp"
    source.write_text(CPP)
    flags = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
    subprocess.run([build(presets, tmp_path / "program", *flags, source=source, cc=("c++",))])


@with_gcc
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("picture", [False, True])
def test_the_example(presets, tmp_path, picture):
    folder = tmp_path / "moved"  # it may lie anywhere
    shutil.copytree(presets.folder, folder)
    example, options = folder / "example", presets.variants[0]
    subprocess.run(["make", "-s", "-C", example], check=True)
    frame = frames_of(options)[0]
    (example / "frame.ppm").write_bytes(b"P6 %d %d 255\n" % SHAPE[::-1] + frame.tobytes())
    command = ["./example", *(["frame.ppm"] if picture else [])]
    done = subprocess.run(command, capture_output=True, cwd=example)
    assert done.returncode == 0, done.stderr
    with model_of(options) as model:
        head = b"P5 %d %d 255\n" % model.map_shape[::-1]
        assert done.stdout.startswith(head)
        if picture:
            raw = model(frame)
            wanted = (raw / raw.max() * np.float32(255) + np.float32(0.5)).astype(np.uint8)
            assert done.stdout[len(head) :] == wanted.tobytes()
            shares = channel_shares(model.contributions())
            said = [f"{name}: {100 * share:.0f} %" for name, share in shares.items()]
            assert done.stderr.decode().splitlines()[1:] == said
    refused = subprocess.run(["./example", "Makefile"], capture_output=True, cwd=example)
    assert refused.returncode == 1 and b"picture" in refused.stderr


@with_gcc
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="there is no pkg-config")
@pytest.mark.parametrize("static", [False, True])
def test_pkg_config(presets, tmp_path, static):
    lib = presets.folder / "lib"
    words = ["pkg-config", "--cflags", "--libs", *["--static"] * static, "ittisal"]
    environment = {**os.environ, "PKG_CONFIG_PATH": str(lib / "pkgconfig")}
    said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    flags, example = said.stdout.split(), presets.folder / "example" / "example.c"
    assert ("-lm" in flags) is static
    out = tmp_path / "example"
    subprocess.run(["cc", example, *flags, f"-Wl,-rpath,{lib}", "-o", out], check=True)
    assert subprocess.run([out], capture_output=True).returncode == 0


CMAKE = """
cmake_minimum_required(VERSION 3.15)
project(example C)
find_package(ittisal 0.1 REQUIRED)
add_executable(shared "{folder}/example/example.c")
target_link_libraries(shared ittisal::ittisal)
add_executable(static "{folder}/example/example.c")
target_link_libraries(static ittisal::static)
"""


@with_gcc
@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no CMake")
def test_cmake(presets, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.format(folder=presets.folder))
    build = tmp_path / "build"
    prefix = f"-DCMAKE_PREFIX_PATH={presets.folder}"
    subprocess.run(["cmake", "-S", tmp_path, "-B", build, prefix], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    for name in ("shared", "static"):
        assert subprocess.run([build / name], capture_output=True).returncode == 0


# --- other CPUs --------------------------------------------------------------------------------


def refused_by(library):
    """What a library says of this CPU."""
    options, handle = library.variants[0], ctypes.c_void_p()
    loaded = load(library)
    return loaded.ittisal_strerror(
        loaded.ittisal_create(ctypes.byref(options), ctypes.byref(handle))
    )


@pytest.mark.skipif(toolchain.here() != "x86_64", reason="it is about x86")
def test_a_cpu_that_lacks_instructions_is_refused(tmp_path):
    """Nothing of the kernels runs then."""
    import llvmlite.binding as llvm

    library = exported(tmp_path / "library", ["itti1998"], target="x86-64-v4-vbmi")
    has = llvm.get_host_cpu_features().get("avx512vbmi")
    assert (b"CPU" in refused_by(library)) is not has


CROSS = "aarch64-linux-gnu-gcc"


@pytest.mark.skipif(shutil.which(CROSS) is None, reason=f"there is no {CROSS}")
@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="there is no qemu-aarch64")
def test_a_library_for_another_architecture(tmp_path):
    library = exported(tmp_path / "library", ["itti1998", "video"], target="cortex-a72", threads=2)
    program = build(library, tmp_path / "program", *STRICT, "-static", cc=(CROSS,))
    runner = ("qemu-aarch64", "-cpu", "cortex-a72")
    check_program(library, program, tmp_path, runner, lambda *maps: within("float32", *maps))


# --- what is refused, and how it is kept -------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"configs": {"mine": Config(linear=True)}}, "linear=True"),
        ({"configs": {"mine": Config(normalise_before_reduction=True)}}, "whole maps"),
        ({"configs": {'a"b': ITTI_1998}}, "letters"),
        ({"shapes": [(16, 64)]}, "at least 32"),
        ({"pixels": ["rgba"]}, "pixels='rgba'"),
        ({"types": ["int8"]}, "types='int8'"),
        ({"target": "z80"}, "target='z80'"),
    ],
)
def test_what_no_library_can_have(tmp_path, change, said):
    options = {"configs": {"itti1998": ITTI_1998}, "shapes": [SHAPE], **change}
    with pytest.raises(ValueError, match=said):
        export_library(
            tmp_path / "library", options.pop("configs"), options.pop("shapes"), **options
        )
    assert not any(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match="not an empty folder"):
        export_library(tmp_path, {"itti1998": ITTI_1998}, [SHAPE])


def test_a_compiler_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "false")
    with pytest.raises(BackendError, match="false"):
        export_library(tmp_path / "library", {"itti1998": ITTI_1998}, [SHAPE])
    assert not any(tmp_path.iterdir())


def cli(*words):
    command = [sys.executable, "-m", "ittisal", "export", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_line(tmp_path):
    done = cli("-o", tmp_path / "library", "--size", "131x99", "--preset", "itti1998", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    library = tmp_path / "library" / "lib" / "libittisal.so"
    assert said["bytes"] == library.stat().st_size and said["models"] == 1
    again = cli("-o", tmp_path / "library", "--size", "131x99")
    assert again.returncode == 2 and "empty" in again.stderr
    any_size = cli("-o", tmp_path / "other", "--size", "any")
    assert any_size.returncode == 2 and "fixed" in any_size.stderr and "several" in any_size.stderr


def unpacked(packed):
    """What `unpack` in ittisal.c does."""
    at, out = 0, bytearray()

    def number():
        nonlocal at
        value = shift = 0
        while True:
            at += 1
            value |= (packed[at - 1] & 127) << shift
            shift += 7
            if packed[at - 1] < 128:
                return value

    while at < len(packed):
        count = number()
        out += packed[at : at + count]
        at += count
        count, distance = number(), number()
        for _ in range(count):
            out.append(out[-distance])
    return bytes(out)


@pytest.mark.parametrize("seed", range(20))
def test_packing_loses_nothing(seed):
    rng = np.random.default_rng(seed)
    parts = [rng.integers(0, 3, rng.integers(1, 40), np.uint8).tobytes() for _ in range(4)]
    block = b"".join(
        parts[n] * k for n, k in zip(rng.integers(0, 4, 60), rng.integers(1, 400, 60), strict=True)
    )
    assert unpacked(pack(block + bytes(50))) == block.rstrip(b"\0")
    rows = rng.integers(-(2**62), 2**62, (50, 4))
    rows[:, 0] = rng.integers(0, 20, 50)
    differences, last = row_differences(rows.ravel(), 4).reshape(-1, 4), {}
    for row in differences:
        row[1:] += last.get(row[0] % 16, np.zeros(3, np.int64))
        last[row[0] % 16] = row[1:].copy()
    np.testing.assert_array_equal(differences, rows)
