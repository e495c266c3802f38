"""CUDA C++ to machine code by NVRTC, and what was compiled before: in the store, or in the package.

Neither a GPU nor a driver is needed, nor any header: only CuPy, and NVRTC for what is in neither.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from typing import Any, NamedTuple

from .. import store
from ..pipeline import DeviceError
from . import prebuilt

PACKAGE = "pip install 'ittisal[cuda]' (drivers for CUDA 12) or 'ittisal[cuda13]' (CUDA 13)"
# Compute capabilities times ten of the GPUs that are served, where NVRTC knows them.
CAPABILITIES = (75, 80, 86, 87, 89, 90, 100, 120)
OPTIONS = (
    "-std=c++17",
    # No product is fused with a sum but where the text says fmaf: the same bits everywhere.
    "--fmad=false",
    # Denormals are 0, so that approximate reciprocals and roots take one instruction each. No
    # value of the model is so small that it counts.
    "-ftz=true",
)


class Job(NamedTuple):
    """What is compiled at once, and for which GPUs. It depends on nothing else; it can be pickled.

    The architecture is `sm_90` for machine code, or `compute_90` for PTX, which drivers compile for
    their GPU: the one way to those that are newer than NVRTC.
    """

    name: str
    text: str
    options: tuple[str, ...]
    architecture: str


def architecture(capability: int) -> str:
    """What to compile for on a GPU of a compute capability (times ten).

    Machine code for this GPU, or for the first of its generation, which it runs too: of what the
    package has prebuilt, else of what NVRTC knows. Otherwise PTX of the newest that is older.

    Raises
    ------
    DeviceError
        The GPU is older than all that NVRTC knows.
    """
    exact = capability, capability // 10 * 10
    for there in (prebuilt.capabilities, capabilities):
        if found := [each for each in exact if each in there()]:
            return f"sm_{found[0]}"
    known = capabilities()
    older = [each for each in known if each <= capability]
    if not older:
        raise DeviceError(
            f"NVRTC compiles for compute capability {min(known) / 10} and newer, the GPU has "
            f"{capability / 10}; install CuPy for an older CUDA: {PACKAGE}"
        )
    return f"compute_{max(older)}"


def architectures() -> list[str]:
    """Those that are compiled in advance: machine code, and PTX of the newest for later GPUs."""
    served = [each for each in CAPABILITIES if each in capabilities()]
    return [*(f"sm_{each}" for each in served), f"compute_{served[-1]}"]


@lru_cache(maxsize=1)
def capabilities() -> tuple[int, ...]:
    """The compute capabilities (times ten) that NVRTC knows; without it, those served."""
    try:
        return tuple(nvrtc().getSupportedArchs())
    except DeviceError:
        return CAPABILITIES


def build(job: Job) -> bytes:
    """The job's machine code, or PTX: from the store or the package, or compiled now.

    Raises
    ------
    DeviceError
        It does not compile, or must not, or NVRTC cannot be loaded.
    """
    found = read(job)
    return compile_and_keep(job) if found is None else found


def read(job: Job) -> bytes | None:
    """What the store, or else the package, has of a job."""
    found = store.read(*_file(job))
    return prebuilt.objects(job.architecture).get(key(job)) if found is None else found


def compile_and_keep(job: Job) -> bytes:
    """Compile a job, whatever was compiled before, and keep the result in the store.

    Raises
    ------
    DeviceError
        It does not compile, or must not, or NVRTC cannot be loaded.
    """
    if os.environ.get("ITTISAL_COMPILE") == "never":
        raise DeviceError(
            f"{job.name} would have to be compiled for {job.architecture}, and "
            "ITTISAL_COMPILE=never forbids it; unset it"
        )
    code = compile_text(job.text, job.options, job.architecture).code
    store.write(*_file(job), code)
    return code


def count() -> int:
    """How many of these jobs' results the store holds."""
    folder = store.directory()
    return 0 if folder is None else sum(1 for _ in folder.glob("*.cu.*.o"))


def key(job: Job, *depends: object) -> str:
    """A digest of all that a job's machine code depends on, and of what else it is kept by."""
    found = *depends, job.text, OPTIONS, job.options, job.architecture
    return hashlib.sha256(repr(found).encode()).hexdigest()[:32]


def _file(job: Job) -> tuple[str, str]:
    """The job's name and key in the store."""
    from cupy.cuda import runtime

    major = runtime.runtimeGetVersion() // 1000  # an older one may not load a newer one's code
    return f"{job.name}.{job.architecture}", key(job, major)


class Compiled(NamedTuple):
    """What the compiler makes of a text."""

    code: bytes  # machine code; of `compute_...` the PTX
    ptx: bytes
    log: str


def compile_text(text: str, options: tuple[str, ...], architecture: str) -> Compiled:
    """Compile a text for an architecture.

    Raises
    ------
    DeviceError
        It does not compile, or NVRTC cannot be loaded.
    """
    compiler = nvrtc()
    program = compiler.createProgram(text, "ittisal.cu", (), ())
    try:
        compiler.compileProgram(program, (f"-arch={architecture}", *OPTIONS, *options))
        ptx = compiler.getPTX(program)
        code = compiler.getCUBIN(program) if architecture.startswith("sm_") else ptx
        return Compiled(code, ptx, compiler.getProgramLog(program))
    except compiler.NVRTCError as error:
        log = compiler.getProgramLog(program)
        raise DeviceError(
            f"the CUDA kernels do not compile for {architecture}: {log or error}"
        ) from error
    finally:
        compiler.destroyProgram(program)


def nvrtc() -> Any:
    """CuPy's module of NVRTC.

    Raises
    ------
    DeviceError
        It cannot be loaded.
    """
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except (ImportError, RuntimeError, OSError) as error:
        raise DeviceError(
            f"NVRTC, which compiles the kernels, cannot be loaded ({str(error).strip()}); {PACKAGE}"
        ) from error
    return nvrtc
