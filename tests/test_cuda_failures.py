"""A GPU that is there and does not work: what is said, and what `auto` does. CuPy is a fake."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings

import numpy as np
import pytest

from ittisal import BackendError, Saliency, store, warning
from ittisal.cuda import compiler, device, installation

INSTALL = "pip install 'ittisal[cuda]'"


class CudaRuntimeError(RuntimeError):
    """cupy.cuda.runtime.CUDARuntimeError."""


class CudaDriverError(RuntimeError):
    """cupy.cuda.driver.CUDADriverError."""


class NvrtcError(RuntimeError):
    """cupy.cuda.nvrtc.NVRTCError."""


class OutOfMemoryError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError."""


class Array(np.ndarray):
    """Device memory."""

    def set(self, values):
        self[...] = values


class Anything:
    """A stream or an event."""

    def __init__(self, **how):
        pass

    def synchronize(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def begin_capture(self):
        pass

    def end_capture(self):
        raise CudaRuntimeError("cudaErrorStreamCaptureInvalidated: operation failed")


class Gpu:
    """All that the construction of a model asks of CuPy. `fails` says what raises which error,
    `loaded` is what was handed to the driver, in turn, and `refused` what it does not take.
    """

    def __init__(self):
        self.fails = {}
        self.loaded, self.refused, self.compiled = [], set(), 0
        gpu = self

        class Device(Anything):
            id, compute_capability = 0, "90"

            def __init__(self, number=0):
                pass

            def synchronize(self):
                gpu.asked("synchronize")

        class Module:
            def load(self, code):
                gpu.loaded.append(code)
                gpu.asked("load")
                if code in gpu.refused:
                    raise CudaDriverError("CUDA_ERROR_INVALID_IMAGE: image is invalid")

            def get_function(self, name):
                return name

        def zeros(size, dtype):
            self.asked("zeros")
            return np.zeros(size, dtype).view(Array)

        self.cupy = types.ModuleType("cupy")
        self.cupy.__spec__ = importlib.util.spec_from_loader("cupy", None)
        self.cupy.__version__, self.cupy.zeros = "14.2.0", zeros
        self.cupy.cuda = types.ModuleType("cupy.cuda")
        vars(self.cupy.cuda).update(
            Device=Device,
            Module=Module,
            Stream=Anything,
            Event=Anything,
            get_current_stream=Anything,
            driver=types.SimpleNamespace(CUDADriverError=CudaDriverError),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            runtime=types.SimpleNamespace(
                CUDARuntimeError=CudaRuntimeError,
                getDeviceCount=lambda: self.asked("getDeviceCount", 1),
                getDeviceProperties=lambda number: {"name": b"NVIDIA Thing"},
                memGetInfo=lambda: (1 << 20, 1 << 30),
                runtimeGetVersion=lambda: 12090,
            ),
            nvrtc=types.SimpleNamespace(
                NVRTCError=NvrtcError,
                getVersion=lambda: self.asked("getVersion", (12, 9)),
                getSupportedArchs=lambda: (75, 80, 86, 87, 89, 90),
                createProgram=lambda *given: 1,
                destroyProgram=lambda program: None,
                compileProgram=lambda program, options: self.asked("compileProgram"),
                getProgramLog=lambda program: "opponency.cu(10): error: oops",
                getCUBIN=self.cubin,
                getPTX=lambda program: b"",
            ),
        )

    def asked(self, name, answer=None):
        if name in self.fails:
            raise self.fails[name]
        return answer

    def cubin(self, program):
        self.compiled += 1
        return b"machine code %d" % self.compiled


def forget():
    for cached in (installation.device_name, device._loaded, compiler.capabilities, store.folder):
        cached.cache_clear()
    warning._given.clear()
    store._unkept.clear()


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("ITTISAL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(installation, "_has_driver", lambda: True)
    fake = Gpu()
    monkeypatch.setitem(sys.modules, "cupy", fake.cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", fake.cupy.cuda)
    forget()
    yield fake
    forget()


def auto():
    with Saliency((64, 64)) as model:
        return model.backend


def refused_and_passed_over(kind, *words):
    """A named backend raises this and says that; "auto" takes the CPU and warns once."""
    with pytest.raises(kind) as caught:
        Saliency((64, 64), backend="cuda")
    for word in words:
        assert word in str(caught.value)
    with pytest.warns(RuntimeWarning) as given:
        assert auto() == "cpu"
    [warned] = given
    assert "backend 'cuda' is not used" in str(warned.message) and warned.filename == __file__
    for word in words:
        assert word in str(warned.message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert auto() == "cpu"


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        (
            "getDeviceCount",
            CudaRuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient"),
            ["InsufficientDriver", "update the NVIDIA driver", INSTALL],
        ),
        (
            "synchronize",
            CudaRuntimeError("cudaErrorDevicesUnavailable: all CUDA-capable devices are busy"),
            ["DevicesUnavailable", "nvidia-smi -c 0"],
        ),
        (
            "synchronize",
            CudaRuntimeError("cudaErrorContextIsDestroyed: context is destroyed"),
            ["ContextIsDestroyed", "start this process again"],
        ),
        ("synchronize", CudaRuntimeError("cudaErrorUnknown: unknown error"), ['backend="cpu"']),
        ("getVersion", RuntimeError("CuPy failed to load libnvrtc.so.12"), ["NVRTC", INSTALL]),
        ("getVersion", OSError("libnvrtc.so.12: wrong ELF class"), ["NVRTC", "ELF", INSTALL]),
        ("compileProgram", NvrtcError("NVRTC_ERROR_COMPILATION (6)"), ["sm_90", "error: oops"]),
        (
            "load",
            CudaDriverError("CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available"),
            ["NVIDIA Thing", "NO_BINARY_FOR_GPU", "update the NVIDIA driver"],
        ),
        (
            "load",
            CudaDriverError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION: compiled with an unsupported"),
            ["UNSUPPORTED_PTX_VERSION", "update the NVIDIA driver"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value).partition(":")[0],
)
def test_a_failure_says_why_and_what_to_do(gpu, where, error, words):
    gpu.fails[where] = error
    refused_and_passed_over(BackendError, *words)


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("zeros", OutOfMemoryError("Out of memory allocating 512 bytes")),
        ("zeros", CudaRuntimeError("cudaErrorMemoryAllocation: out of memory")),
        ("synchronize", CudaRuntimeError("cudaErrorMemoryAllocation: out of memory")),
        ("load", CudaDriverError("CUDA_ERROR_OUT_OF_MEMORY: out of memory")),
    ],
    ids=str,
)
def test_memory_that_is_all_taken(gpu, where, error):
    gpu.fails[where] = error
    refused_and_passed_over(MemoryError, "smaller frames", 'backend="cpu"')


def test_a_gpu_that_the_compiler_no_longer_knows(gpu):
    gpu.cupy.cuda.nvrtc.getSupportedArchs = lambda: (100, 120)
    refused_and_passed_over(BackendError, "10.0 and newer", "9.0", INSTALL)


def test_no_gpu_and_no_cupy_are_passed_over_in_silence(gpu, monkeypatch):
    gpu.fails["getDeviceCount"] = CudaRuntimeError("cudaErrorNoDevice: no CUDA-capable device")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert auto() == "cpu"
        monkeypatch.setitem(sys.modules, "cupy", None)
        assert auto() == "cpu"


def test_a_toolkits_stub_is_no_driver(monkeypatch):
    def load(name):
        if name != "libcuda.so":
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(installation.ctypes, "CDLL", load)
    assert not installation._has_driver()


def test_a_cupy_that_cannot_be_imported(gpu, monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise RuntimeError('built for another NumPy')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy")
    refused_and_passed_over(BackendError, "CuPy", "built for another NumPy", INSTALL)


def test_the_store_serves_without_the_compiler(gpu):
    with Saliency((64, 64), backend="cuda"):
        first = gpu.loaded.copy()
    assert gpu.compiled == len(first) > 3
    forget()
    gpu.fails["getVersion"] = RuntimeError("CuPy failed to load libnvrtc.so.12")
    with Saliency((64, 64)) as model:
        assert model.backend == "cuda"
    assert sorted(gpu.loaded[len(first) :]) == sorted(first)


def test_stored_code_that_does_not_load_is_compiled_again(gpu):
    with Saliency((64, 64), backend="cuda"):
        gpu.refused.update(gpu.loaded[:2])
    for compilations in (2, 0):
        forget()
        before = gpu.compiled
        with Saliency((64, 64), backend="cuda"):
            assert gpu.compiled == before + compilations


def test_a_store_that_cannot_be_written(gpu, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ITTISAL_CACHE_DIR", str(tmp_path / "file"))
    store.folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="ITTISAL_CACHE_DIR") as given:
        for _ in range(2):
            with Saliency((64, 64), backend="cuda"):
                pass
    assert len(given) == 1


def test_what_spoils_a_recording_is_said(gpu):
    """And not what CUDA makes of it."""

    def run(stream):
        raise ValueError("the first error")

    with pytest.raises(ValueError, match="the first error"):
        device.Device().record(run)


def test_a_recording_that_fails_says_why(gpu, monkeypatch):
    with pytest.raises(BackendError, match=r"NVIDIA Thing cannot record a graph .*Invalidated"):
        device.Device().record(lambda stream: None)

    def end_capture(stream):
        raise CudaRuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(Anything, "end_capture", end_capture)
    with pytest.raises(MemoryError, match="smaller frames"):
        device.Device().record(lambda stream: None)
