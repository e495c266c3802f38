"""The CUDA kernels through NVIDIA's own compiler, for every GPU that is served; no GPU needed."""

from __future__ import annotations

import re
from dataclasses import replace

import nvrtc
import pytest
from test_stages import AVERAGING, CONFIGS, MOVING, WHITENING

from ittisal import GAZE, INVT, ITTI_1998, VIDEO, BackendError
from ittisal.cuda import sources, structs, variant
from ittisal.cuda.compiler import compile_text
from ittisal.cuda.layout import make_layout
from ittisal.cuda.schedule import Schedule, schedule
from ittisal.pipeline import FrameFormat
from ittisal.plan import Plan

pytest.importorskip("cupy", exc_type=ImportError)

TELL = "--ptxas-options=-v"  # makes the compiler tell what kernels take
REGISTERS = 65536  # of a multiprocessor; a block that asks for more cannot be launched
SHARED = 48 << 10  # bytes, static, of a block
READ_MOST = ("opponency", "pyramid", "orientation", "centre_surround")
VARIANTS = {
    "itti1998 uint8": (ITTI_1998, "uint8", 3),
    "itti1998 uint16": (ITTI_1998, "uint16", 3),
    "itti1998 float32 grey": (ITTI_1998, "float32", 1),
    "invt float32": (INVT, "float32", 3),
    "invt split": (replace(INVT, split_cs=True), "uint8", 3),
    "iterative": (replace(ITTI_1998, normalisation="iterative", linear=True), "float32", 3),
    "none": (
        replace(ITTI_1998, normalisation="none", normalise_opponents=True, normalise_saliency=True),
        "uint16",
        3,
    ),
    "uint8 grey": (ITTI_1998, "uint8", 1),
    "video": (VIDEO, "uint8", 3),
    "video float32 grey": (VIDEO, "float32", 1),
    "video split": (
        replace(VIDEO, split_cs=True, opponency="walther", linear=True, smoothing="leaky"),
        "uint16",
        3,
    ),
    "gaze": (GAZE, "uint8", 3),
    "gaze video": (AVERAGING["gaze_video"], "float32", 1),
    "even": (replace(ITTI_1998, phase="even", upsampling="bilinear"), "uint8", 3),
}


def order_for(dtype):
    return "rgb" if dtype == "uint16" else "bgr"


def definitions(config, order, format_):
    return variant.definitions(Plan((480, 640), config), order, format_)


def threads_of(config, format_):
    """The most threads that each kernel is launched with, over small and large frames."""
    most = {}
    for shape in ((32, 32), (480, 640), (2160, 3840)):
        layout = make_layout(Plan(shape, config))
        launches = [Schedule(layout, format_, 1, past=True).upsample()]
        for launch in (*launches, *schedule(layout, format_, 1)):
            most[launch.kernel] = max(most.get(launch.kernel, 0), launch.block)
    return most


# The main one on every architecture, the one with the most sums under way at once on the oldest.
CASES = {
    75: ("itti1998 uint8", "invt split"),
    **dict.fromkeys((80, 86, 87, 89), ("itti1998 uint8",)),
    90: tuple(name for name in VARIANTS if name != "invt split"),
}
FILES = sorted(name for name in sources.read() if name.endswith(".cu"))


def compilations(file, architecture):
    """What variants need of a file, most of it in common: (unit, options) -> (threads, variants).

    The threads are the most of each kernel.
    """
    found = {}
    for name in CASES[architecture]:
        config, dtype, channels = VARIANTS[name]
        format_ = FrameFormat(dtype, channels)
        defined, threads = (
            definitions(config, order_for(dtype), format_),
            threads_of(config, format_),
        )
        for unit in sources.units(threads):
            if not unit.text.startswith(f'#line 1 "{file}"'):
                continue
            most, names = found.setdefault((unit, variant.options(unit, defined)), ({}, []))
            names.append(name)
            for kernel in unit.kernels:
                most[kernel] = max(most.get(kernel, 0), threads[kernel])
    return found


@pytest.mark.parametrize("architecture", CASES)
@pytest.mark.parametrize("file", FILES)
def test_kernels_compile_within_their_means(file, architecture):
    for (unit, options), (threads, names) in compilations(file, architecture).items():
        machine_code, log = compile_text(unit.text, (TELL, *options), f"sm_{architecture}")
        assert machine_code[:4] == b"\x7fELF"
        assert "warning" not in log.lower(), log
        used = nvrtc.used(log)
        assert set(used) == set(threads), "the kernels that are there are those that are launched"
        for kernel, means in used.items():
            assert means.spilled == 0, f"{names}: {kernel} spills {means.spilled} bytes"
            taken = -(-means.registers // 8) * 8 * threads[kernel]  # handed out by eights
            assert taken <= REGISTERS, f"{names}: {kernel} asks for {taken} registers"
            assert means.shared <= SHARED, f"{names}: {kernel} has {means.shared} bytes shared"
            # At least four blocks of each of the kernels that read most: their latencies overlap.
            if kernel in READ_MOST and "itti1998 uint8" in names:
                assert 4 * 128 * means.registers <= REGISTERS, kernel


def test_every_value_of_every_option_is_compiled():
    words = set(re.findall(r"\w+", "".join(sources.read().values())))

    def values(variants):
        found = {}
        for config, order, *format_ in variants:
            for key, value in definitions(config, order, FrameFormat(*format_)).items():
                found.setdefault(key, set()).add(value)
        del found["ITERATIONS"]  # any number
        return {name: seen for name, seen in found.items() if name.partition("(")[0] in words}

    formats = [(d, n) for d in variant.BITS for n in (1, 3)]
    every = [
        (c, o, *format_)
        for c in (*CONFIGS.values(), *MOVING.values(), *WHITENING.values(), *AVERAGING.values())
        for o in ("rgb", "bgr")
        for format_ in formats
    ]
    here = [(c, order_for(d), d, n) for c, d, n in VARIANTS.values()]
    assert values(here) == values(every)


def test_what_does_not_depend_on_the_format_is_compiled_once():
    """By CuPy, whose cache goes by text and options."""
    units, plan = sources.units(threads_of(GAZE, FrameFormat("uint8", 3))), Plan((480, 640), GAZE)

    def options(order, *format_):
        defined = variant.definitions(plan, order, FrameFormat(*format_))
        return {unit.kernels: variant.options(unit, defined) for unit in units}

    first = options("rgb", "uint8", 3)
    for other, apart in (
        (options("bgr", "uint8", 3), {"scan"}),
        (options("rgb", "float32", 3), {"scan"}),
        (options("rgb", "uint8", 1), {"scan", "plane_statistics", "reconstruct"}),
    ):
        changed = {kernels for kernels in first if other[kernels] != first[kernels]}
        assert {kernels[0] for kernels in changed} == apart


def test_an_error_names_the_file_and_the_line():
    files = dict(sources.read())
    lines = files["pyramid.cu"].split("\n")
    lines[9] += " oops;"
    files["pyramid.cu"] = "\n".join(lines)
    (unit,) = sources.units(["pyramid"], files)
    defined = definitions(ITTI_1998, "rgb", FrameFormat("uint8", 3))
    with pytest.raises(BackendError, match=r'pyramid\.cu\(10\): error.*"oops"'):
        compile_text(unit.text, variant.options(unit, defined), "sm_90")


def test_the_host_and_the_kernels_have_the_same_structs():
    """A field that is in the text and not in NumPy's type, or the other way, does not compile."""
    defined = definitions(ITTI_1998, "rgb", FrameFormat("uint8", 3))
    (unit,) = sources.units(["upsample"])
    options = variant.options(unit, defined)
    compile_text(unit.text, options, "sm_90")
    for name, fields in structs._TABLES.items():
        field = next(reversed(fields))
        less = unit.text.replace(f"{field};  // {fields[field]}\n", "\n", 1)
        assert less != unit.text
        with pytest.raises(BackendError, match=f"{name} has another size"):
            compile_text(less, options, "sm_90")
