"""The CUDA kernels through NVIDIA's own compiler, for every GPU that is served; no GPU needed."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from functools import cache
from itertools import product
from typing import NamedTuple

import nvrtc
import pytest
from readings import FIVE, READINGS
from test_stages import EVERY

from ittisal import GAZE, GBVS, ITTI_1998, TOOLBOX, VOCUS2, BackendError, Config
from ittisal.config import Normalisation, Opponency
from ittisal.cuda import sources, structs, supports, variant
from ittisal.cuda.compiler import CAPABILITIES, compile_text
from ittisal.cuda.layout import make_layout
from ittisal.cuda.programs import EXAMPLE, programs, unscheduled
from ittisal.cuda.schedule import schedule
from ittisal.pipeline import FrameFormat
from ittisal.plan import Plan

pytest.importorskip("cupy")

TELL = "--ptxas-options=-v"  # makes the compiler tell what kernels take
REGISTERS = 65536  # of a multiprocessor; a block that asks for more cannot be launched
SHARED = 48 << 10  # bytes, static, of a block
READ_MOST = ("opponency", "pyramid", "orientation", "centre_surround")
# What may use double precision, of which many GPUs have little, and for what.
DOUBLE = {
    "normalise": "the mean of the other peaks, by one thread",
    "combine": "the same of sums",
    "plane_statistics": "means and covariances, joined from sums of few samples in float",
    "energy_statistics": "the same",
    "mahalanobis": "whether the planes vary, by one thread",
    "scan": "running statistics, a few hundred, where there are any",
}
FORMATS = [FrameFormat(dtype, channels) for dtype in variant.BITS for channels in (1, 3)]
COLOUR = FrameFormat("uint8", 3)
COLOURS = COLOUR, FrameFormat("float32", 3)


class Variant(NamedTuple):
    """What is compiled for."""

    config: Config
    format: FrameFormat = COLOUR

    @property
    def order(self):
        return "rgb" if self.format.dtype == "uint16" else "bgr"


MAIN = Variant(ITTI_1998)
ALL_READINGS = tuple(Variant(preset) for preset in READINGS.values())
# Every option, and the levels that an octave shift moves, whatever the frame.
SHIFTED = [replace(FIVE, working_size=octaves * EXAMPLE[1]) for octaves in (2, 4)]
ALL = (*(config for config in EVERY.values() if supports(config)[0]), *SHIFTED)
# Pairs: presets and formats, presets and opponencies (which grey frames have none of), presets and
# N. Every other option comes once, for colour; left out are the products of three.
PRODUCTS = (
    *itertools.starmap(Variant, product(READINGS.values(), FORMATS)),
    *(
        Variant(replace(preset, opponency=opponency), format_)
        for preset, opponency, format_ in product(READINGS.values(), Opponency, COLOURS)
    ),
    *(
        Variant(replace(preset, normalisation=normalisation))
        for preset, normalisation in product((ITTI_1998, FIVE), Normalisation)
    ),
    *map(Variant, ALL),
)
PROGRAMS = tuple(itertools.starmap(Variant, product((TOOLBOX, VOCUS2, GBVS), FORMATS)))
# All of it for one GPU, the presets for the oldest and the newest, whose compilers differ most.
CASES = {each: tuple(map(Variant, (ITTI_1998, TOOLBOX, VOCUS2, GBVS))) for each in CAPABILITIES}
CASES |= dict.fromkeys((75, 120), (*ALL_READINGS, *PROGRAMS))
CASES[90] = (*PRODUCTS, *PROGRAMS)
FILES = sorted(name for name in sources.read() if name.endswith(".cu"))


def parts(file, architecture):
    """Into how many tests a file is divided, so that several cores share the longest."""
    return {"opponency.cu": 8}.get(file, 2) if architecture == 90 else 1


@cache
def threads_of(config, format_):
    """The most threads that each kernel is launched with, over small and large frames."""
    most = {}
    for shape in ((32, 32), EXAMPLE, (2160, 3840)):
        layout = make_layout(Plan(shape, config))
        for launch in (*unscheduled(layout, format_), *schedule(layout, format_, 1)):
            most[launch.kernel] = max(most.get(launch.kernel, 0), launch.block)
    return most


@cache
def compilations(variants):
    """What variants need, by file: (text, options) -> the most threads of each kernel."""
    found = {file: {} for file in FILES}
    for each in variants:
        layout, threads = make_layout(Plan(EXAMPLE, each.config)), threads_of(*each)
        for unit, options in programs(layout, each.order, each.format):
            most = found[unit.name].setdefault((unit.text, options), {})
            for kernel in unit.kernels:
                most[kernel] = max(most.get(kernel, 0), threads.get(kernel, 0))
    return found


@pytest.mark.parametrize(
    ("file", "architecture", "part"),
    [(file, each, part) for file in FILES for each in CASES for part in range(parts(file, each))],
)
def test_kernels_compile_within_their_means(file, architecture, part):
    main = compilations((MAIN,))[file]
    wanted = list(compilations(CASES[architecture])[file].items())
    for program, threads in wanted[part :: parts(file, architecture)]:
        text, options = program
        code, ptx, log = compile_text(text, (TELL, *options), f"sm_{architecture}")
        assert code[:4] == b"\x7fELF"
        assert "warning" not in log.lower(), log
        used = nvrtc.used(log)
        assert set(used) == set(threads), "the kernels that are there are those that are launched"
        for kernel, means in used.items():
            assert means.spilled == 0, f"{kernel} spills {means.spilled} bytes: {options}"
            taken = -(-means.registers // 8) * 8 * threads[kernel]  # handed out by eights
            assert taken <= REGISTERS, f"{kernel} asks for {taken} registers: {options}"
            assert means.shared <= SHARED, f"{kernel} has {means.shared} bytes shared: {options}"
            # At least four blocks of each of the kernels that read most, for their latencies to
            # overlap; three where the compiler takes more registers.
            blocks = 3 if architecture >= 100 else 4
            if kernel in READ_MOST and program in main:
                assert blocks * 128 * means.registers <= REGISTERS, kernel
        double = DOUBLE.keys() - ({"scan"} if "-DAVERAGES=0" in options else set())
        assert nvrtc.use_double_precision(ptx.decode()) <= double, options


def test_use_of_double_precision_is_found():
    text = """
    extern "C" __global__ void sums(float* out) { out[0] = out[1] + out[2]; }
    __device__ __noinline__ float half(float x) { return float(double(x) * 0.7); }
    extern "C" __global__ void halves(float* out) { out[0] = half(out[1]); }
    extern "C" __global__ void doubles(float* out) { out[0] = float(double(out[0]) * 0.3); }
    """
    found = nvrtc.use_double_precision(compile_text(text, (), "sm_90").ptx.decode())
    assert len(found) == 2 and "doubles" in found and any("half" in name for name in found)


def definitions(config, order, format_):
    return variant.definitions(make_layout(Plan(EXAMPLE, config)).plan, order, format_)


def test_every_value_of_every_option_is_compiled():
    words = set(re.findall(r"\w+", "".join(sources.read().values())))

    def values(variants):
        found = {}
        for config, order, format_ in variants:
            for key, value in definitions(config, order, format_).items():
                found.setdefault(key, set()).add(value)
        del found["ITERATIONS"]  # any number
        return {name: seen for name, seen in found.items() if name.partition("(")[0] in words}

    every = product(ALL, ("rgb", "bgr"), FORMATS)
    here = ((each.config, each.order, each.format) for each in PRODUCTS)
    assert values(here) == values(every)


def test_what_does_not_depend_on_the_format_is_compiled_once():
    layout = make_layout(Plan(EXAMPLE, GAZE))

    def options(order, *format_):
        found = programs(layout, order, FrameFormat(*format_))
        return {unit.kernels: options for unit, options in found}

    first = options("rgb", "uint8", 3)
    for other, apart in (
        (options("bgr", "uint8", 3), {"opponency"}),
        (options("rgb", "float32", 3), {"scan", "opponency"}),
        (options("rgb", "uint8", 1), {"scan", "opponency", "plane_statistics", "reconstruct"}),
    ):
        changed = {kernels for kernels in first if other[kernels] != first[kernels]}
        assert {kernels[0] for kernels in changed} == apart


def test_an_error_names_the_file_and_the_line():
    files = dict(sources.read())
    lines = files["pyramid.cu"].split("\n")
    lines[9] += " oops;"
    files["pyramid.cu"] = "\n".join(lines)
    (unit,) = sources.units(["pyramid"], files)
    defined = definitions(ITTI_1998, "rgb", COLOUR)
    with pytest.raises(BackendError, match=r'pyramid\.cu\(10\): error.*"oops"'):
        compile_text(unit.text, variant.options(unit, defined), "sm_90")


def test_the_host_and_the_kernels_have_the_same_structs():
    """A field that is in the text and not in NumPy's type, or the other way, does not compile."""
    defined = definitions(ITTI_1998, "rgb", COLOUR)
    (unit,) = sources.units(["upsample"])
    options = variant.options(unit, defined)
    compile_text(unit.text, options, "sm_90")
    for name, fields in structs._TABLES.items():
        field = next(reversed(fields))
        less = unit.text.replace(f"{field};  // {fields[field]}\n", "\n", 1)
        assert less != unit.text
        with pytest.raises(BackendError, match=f"{name} has another size"):
            compile_text(less, options, "sm_90")
