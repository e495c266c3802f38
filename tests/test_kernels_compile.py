"""The CUDA kernels through NVIDIA's own compiler, for every GPU that is served; no GPU needed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import nvrtc
import pytest
from test_stages import AVERAGING, CONFIGS, MOVING, WHITENING

from ittisal import GAZE, INVT, ITTI_1998, VIDEO
from ittisal.cuda import sources, variant
from ittisal.cuda.layout import make_layout
from ittisal.cuda.schedule import schedule
from ittisal.plan import Plan

pytestmark = pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.MISSING)

ARCHITECTURES = (75, 80, 86, 87, 89, 90)
# What CuPy adds by itself, and what makes the compiler tell.
ALWAYS = ("-default-device", "-ftz=true", "--ptxas-options=-v")
REGISTERS = 65536  # of a multiprocessor; a block that asks for more cannot be launched
SHARED = 48 << 10  # bytes, static, of a block
SPLIT = replace(ITTI_1998, split_cs=True)
VARIANTS = {
    "itti1998 uint8": (ITTI_1998, "uint8", 3),
    "itti1998 uint16": (ITTI_1998, "uint16", 3),
    "itti1998 float32 grey": (ITTI_1998, "float32", 1),
    "invt float32": (INVT, "float32", 3),
    "invt split": (replace(INVT, split_cs=True), "uint8", 3),
    "walther split": (replace(SPLIT, opponency="walther", linear=True), "uint8", 3),
    "iterative": (replace(ITTI_1998, normalisation="iterative", linear=True), "float32", 3),
    "none": (
        replace(ITTI_1998, normalisation="none", normalise_opponents=True, normalise_saliency=True),
        "uint16",
        3,
    ),
    "uint8 grey": (ITTI_1998, "uint8", 1),
    "video": (VIDEO, "uint8", 3),
    "video float32 grey": (VIDEO, "float32", 1),
    "video split": (replace(VIDEO, split_cs=True, smoothing="leaky"), "uint16", 3),
    "gaze": (GAZE, "uint8", 3),
    "gaze video": (AVERAGING["gaze_video"], "float32", 1),
    "even": (replace(ITTI_1998, phase="even", upsampling="bilinear"), "uint8", 3),
}


def order_for(dtype):
    return "rgb" if dtype == "uint16" else "bgr"


@cache
def compiled(name, architecture):
    """The log of a variant's compilation, group by group as for a GPU."""
    config, dtype, channels = VARIANTS[name]
    options = variant.options(config, order_for(dtype), dtype, channels)
    logs = []
    for source in sources.groups(sources.read()):
        log, machine_code = nvrtc.compile_for(architecture, source, (*ALWAYS, *options))
        assert machine_code[:4] == b"\x7fELF"
        logs.append(log)
    return "".join(logs)


def threads_of(config, channels):
    """The most threads that each kernel is launched with, over small and large frames."""
    most = {"enlarge": 256}
    for shape in ((32, 32), (480, 640), (2160, 3840)):
        for launch in schedule(make_layout(Plan(shape, config)), channels, 1):
            most[launch.kernel] = max(most.get(launch.kernel, 0), launch.block)
    return most


CASES = [("itti1998 uint8", architecture) for architecture in ARCHITECTURES]
CASES += [(name, 90) for name in list(VARIANTS)[1:]]
CASES += [("invt split", 75)]  # the variant with the most sums under way at once


@pytest.mark.parametrize(("name", "architecture"), CASES)
def test_kernels_compile_within_their_means(name, architecture):
    config, _, channels = VARIANTS[name]
    log = compiled(name, architecture)
    assert "warning" not in log.lower(), log
    used, threads = nvrtc.used(log), threads_of(config, channels)
    assert set(used) == set(threads), "the kernels that are there are those that are launched"
    for kernel, means in used.items():
        assert means.spilled == 0, f"{kernel} spills {means.spilled} bytes"
        taken = -(-means.registers // 8) * 8 * threads[kernel]  # handed out by eights
        assert taken <= REGISTERS, f"{kernel} asks for {taken} registers"
        assert means.shared <= SHARED, f"{kernel} has {means.shared} bytes of shared memory"


def test_every_value_of_every_option_is_compiled():
    def values(variants):
        found = {}
        for config, order, dtype, channels in variants:
            for key, value in variant.definitions(config, order, dtype, channels).items():
                found.setdefault(key, set()).add(value)
        del found["ITERATIONS"]  # any number
        return found

    kinds = [(d, n) for d in variant.BITS for n in (1, 3)]
    every = [
        (c, o, *kind)
        for c in (*CONFIGS.values(), *MOVING.values(), *WHITENING.values(), *AVERAGING.values())
        for o in ("rgb", "bgr")
        for kind in kinds
    ]
    here = [(c, order_for(d), d, n) for c, d, n in VARIANTS.values()]
    assert values(here) == values(every)


def test_streaming_kernels_leave_room_for_others():
    """At least four blocks of each of the kernels that read most: their latencies overlap."""
    for architecture in ARCHITECTURES:
        used = nvrtc.used(compiled("itti1998 uint8", architecture))
        for kernel in ("opponency", "pyramid", "orientation", "centre_surround"):
            assert 4 * 128 * used[kernel].registers <= REGISTERS, f"{kernel}, sm_{architecture}"


def test_an_error_names_the_file_and_the_line():
    files = dict(sources.read())
    lines = files["pyramid.cu"].split("\n")
    lines[9] += " oops;"
    files["pyramid.cu"] = "\n".join(lines)
    options = variant.options(ITTI_1998, "rgb", "uint8", 3)
    with pytest.raises(nvrtc.CompileError, match=r'pyramid\.cu\(10\): error.*"oops"'):
        nvrtc.compile_for(90, sources.joined(files), (*ALWAYS, *options))


def test_the_host_and_the_kernels_have_the_same_geometry():
    """`static_assert` in common.cuh: a field more on one side does not compile."""
    options = variant.options(ITTI_1998, "rgb", "uint8", 3)
    grown = [f"{o}0" if o.startswith("-DGEOMETRY_BYTES=") else o for o in options]
    with pytest.raises(nvrtc.CompileError, match=r"layout\.py has other fields"):
        nvrtc.compile_for(90, sources.joined(), (*ALWAYS, *grown))
