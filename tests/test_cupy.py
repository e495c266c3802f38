"""All that we use of CuPy is there, in the CuPy that is installed; no GPU is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cupy")

import cupy_uses

ROOT = Path(__file__).parents[1]
FOLDERS = ROOT / "ittisal" / "cuda", ROOT / "benchmarks"
# One that works, with marks where the cases below change it.
TEXT = """
class Device:
    def __init__(self, gpu):
        import cupy

        self.cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        cuda = self.cupy.cuda
        runtime = cuda.runtime
        self.where = runtime.getDevice(), gpu.cupy.cuda.driver.CUDADriverError

    def event(self):
        return self.cupy.cuda.Event(disable_timing=True)

    def run(self):
        import cupyx
        from cupy.cuda import Module, nvrtc

        with self.stream as stream:
            stream.begin_capture()
            graph = self.stream.end_capture()
        event = self.event()
        event.record(stream=self.stream)
        made = self.cupy.zeros(shape=3, dtype="f")
        made.set(arr=1, stream=self.stream)
        part = made[1:].ravel()
        pinned = cupyx.zeros_pinned(3)
        module = Module()
        module.load(nvrtc.getCUBIN(1))
        return self.cupy.RawModule(code="", options=())

PROGRAM = """
PROGRAM = "\nimport cupy\ncupy.cuda.runtime.free(0)\n"
TEXT += repr(PROGRAM)


def faults(text):
    found, looked_up = cupy_uses.faults({Path("text.py"): text})
    assert looked_up > 20
    return [fault.text for fault in found[Path("text.py")]]


def test_the_source_uses_only_what_there_is():
    lines, looked_up = cupy_uses.report(*FOLDERS)
    assert not lines, "\n".join(lines)
    assert looked_up > 150


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("cuda.runtime\n", "cuda.compiler.get_cache_dir\n", "cuda.compiler.get_cache_dir"),
        ("runtime.getDevice()", "runtime.getDevices()", "runtime.getDevices"),
        ("driver.CUDADriverError", "driver.CUDAError", "driver.CUDAError"),
        ("non_blocking=", "nonblocking=", "no keyword nonblocking"),
        ("disable_timing=", "timing=", "no keyword timing"),
        ("stream.begin_capture", "stream.start_capture", "stream.start_capture"),
        ("event.record(", "event.mark(", "event.mark"),
        ("record(stream=", "record(on=", "no keyword on"),
        ("dtype=", "type=", "no keyword type"),
        ("made.set(", "made.put_in(", "made.put_in"),
        ("arr=", "array=", "no keyword array"),
        (".ravel()", ".raveled()", "made[1:].raveled"),
        ("zeros_pinned", "zeros_in_pages", "cupyx.zeros_in_pages"),
        ("import Module,", "import Modules,", "from cupy.cuda import Modules"),
        ("module.load(", "module.loads(", "module.loads"),
        ("nvrtc.getCUBIN", "nvrtc.getCubin", "nvrtc.getCubin"),
        ("code=", "text=", "no keyword text"),
        ("free(0)", "freed(0)", "runtime.freed"),
    ],
)
def test_what_is_not_there_is_found(right, wrong, says):
    assert faults(TEXT) == []
    assert right in TEXT
    [fault] = faults(TEXT.replace(right, wrong))
    assert says in fault
