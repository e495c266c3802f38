"""What the CUDA backend finds here: a GPU and what it needs, what is missing, or what fails."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from ..pipeline import BackendError, DeviceError
from . import compiler, prebuilt
from .compiler import PACKAGE

LEAST = 75  # compute capability, times ten
LESS_MEMORY = 'close other models, use smaller frames or batches, or backend="cpu"'
NEWER_DRIVER = f"update the NVIDIA driver, or install CuPy for the one that is there: {PACKAGE}"
# What to do, by a part of CUDA's name for the error, in small letters and without underscores.
ADVICE = {
    "insufficientdriver": NEWER_DRIVER,
    "nobinaryforgpu": NEWER_DRIVER,
    "nokernelimage": NEWER_DRIVER,
    "unsupportedptxversion": NEWER_DRIVER,
    "unavailable": "end the process that has the GPU alone, or let others use it: nvidia-smi -c 0",
    "contextisdestroyed": "start this process again",
    "cuda headers": f"give a C-contiguous frame, or install CUDA's headers: {PACKAGE}",
    "systemnotready": "start NVIDIA's fabric manager, which GPUs joined by NVSwitch wait for",
}
OTHERWISE = 'start this process again, or use backend="cpu"'


def probe() -> tuple[bool, str]:
    """Whether there are CuPy, a driver, a device and its kernels or their compiler; why not."""
    if importlib.util.find_spec("cupy") is None:
        return False, f"CuPy is not installed; {PACKAGE}"
    if not _has_driver():  # asked first, since CuPy takes a third of a second to load
        return False, "there is no NVIDIA driver here; install one, or use another backend"
    try:
        import cupy
    except Exception as error:
        raise DeviceError(f"CuPy cannot be imported ({error}); {PACKAGE}") from error
    runtime = cupy.cuda.runtime
    if getattr(runtime, "is_hip", False):
        return False, "this CuPy is for AMD GPUs; the kernels are CUDA C++"
    with explained("CUDA cannot be used"):
        try:
            count = runtime.getDeviceCount()
        except runtime.CUDARuntimeError as error:
            if "NoDevice" not in str(error):
                raise
            count = 0
        if count == 0:
            return False, "there is no NVIDIA GPU"
        device = cupy.cuda.Device()
        major, minor = divmod(int(device.compute_capability), 10)
        what = f"{device_name(device.id)}, compute capability {major}.{minor}"
    if 10 * major + minor < LEAST:
        return False, f"{what}; {LEAST / 10} is the least"
    what += f", CuPy {cupy.__version__}"
    architecture = compiler.architecture(10 * major + minor)
    if prebuilt.path(architecture).exists():
        return True, f"{what}, kernels prebuilt for {architecture}"
    try:
        version = ".".join(map(str, compiler.nvrtc().getVersion()))
    except DeviceError:
        if compiler.count() == 0:
            raise
        version = "none: kernels from the store alone"
    return True, f"{what}, NVRTC {version}"


def _has_driver() -> bool:
    """Whether NVIDIA's driver library can be loaded; `libcuda.so` may be a toolkit's stub."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def describe() -> dict[str, str]:
    """The current GPU and CUDA, by name."""
    import cupy

    runtime = cupy.cuda.runtime
    device = cupy.cuda.Device()
    found = runtime.getDeviceProperties(device.id)
    free, total = runtime.memGetInfo()
    return {
        "device": f"{device.id}: {device_name(device.id)}, of {runtime.getDeviceCount()}",
        "multiprocessors": str(found["multiProcessorCount"]),
        "memory": f"{free / 2**20:.0f} of {total / 2**20:.0f} MiB free",
        "second-level cache": f"{found['l2CacheSize'] / 2**20:.1f} MiB",
        "cuda": f"runtime {runtime.runtimeGetVersion()}, driver {runtime.driverGetVersion()}",
        "cupy": cupy.__version__,
    }


@lru_cache(maxsize=16)
def device_name(device: int) -> str:
    """What a GPU calls itself."""
    import cupy

    return cupy.cuda.runtime.getDeviceProperties(device)["name"].decode()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what CuPy raises into a DeviceError that says what to do, or into a MemoryError."""
    try:
        yield
    except BackendError:
        raise
    except (RuntimeError, ImportError, OSError) as error:
        name = str(error).partition(":")[0].replace("_", "").lower()
        if "outofmemory" in name or "memoryallocation" in name:
            raise MemoryError(f"{what} ({error}); {LESS_MEMORY}") from error
        advice = next((advice for part, advice in ADVICE.items() if part in name), OTHERWISE)
        raise DeviceError(f"{what} ({error}); {advice}") from error
