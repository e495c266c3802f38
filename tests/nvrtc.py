"""NVRTC by ctypes: compiles CUDA C++ for any architecture with neither GPU nor driver nor CuPy."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Used(NamedTuple):
    """What ptxas says that a kernel takes."""

    registers: int
    spilled: int  # bytes, stores and loads
    shared: int  # bytes, static


class CompileError(RuntimeError):
    """The compiler's text."""


@cache
def library() -> ctypes.CDLL | None:
    """The one that pip installs (nvidia-cuda-nvrtc...), or the system's, or none."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
    found = [str(path) for folder in folders for path in sorted(folder.glob("*/lib/libnvrtc.so.*"))]
    for name in [*found, "libnvrtc.so"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


MISSING = "NVRTC is not here; pip install nvidia-cuda-nvrtc-cu12"


def compile_for(architecture: int, source: str, options: tuple[str, ...]) -> tuple[str, bytes]:
    """The compiler's log and the machine code for `sm_<architecture>`.

    Raises
    ------
    CompileError
        It does not compile.
    """
    nvrtc = library()
    assert nvrtc is not None, MISSING
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"ittisal.cu", 0, None, None)
    try:
        given = [f"--gpu-architecture=sm_{architecture}", *options]
        texts = (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
        status = nvrtc.nvrtcCompileProgram(program, len(given), texts)
        log = _fetch(nvrtc, program, "ProgramLog").decode().rstrip("\0")
        if status:
            raise CompileError(log or f"NVRTC status {status}")
        return log, _fetch(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _fetch(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'"
    r".*?(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def used(log: str) -> dict[str, Used]:
    """By kernel, from the log of a compilation with `--ptxas-options=-v`."""
    found = {}
    for entry in _ENTRY.finditer(log):
        shared = re.search(r"(\d+) bytes smem", entry["rest"])
        found[entry["name"]] = Used(
            int(entry["registers"]),
            int(entry["stores"]) + int(entry["loads"]),
            int(shared[1]) if shared else 0,
        )
    return found
