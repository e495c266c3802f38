"""`python -m benchmarks cuda --quick` without a GPU: the same parts, processes, order and files.

`python tests/cuda_rehearsal.py OUT` puts `host_device` in a GPU's place, NumPy in CuPy's, and takes
small frames and few variants. NVRTC compiles as it does elsewhere. Its times mean nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import scipy  # noqa: E402
from host_device import HostDevice, Nothing  # noqa: E402

import ittisal.cuda.backend  # noqa: E402
from benchmarks import cuda, cuda_checks, cuda_parts, cuda_timings, gpu  # noqa: E402


class NumpyAsCupy(ModuleType):
    """NumPy under CuPy's name; unless it `compiles`, what needs no kernel of CuPy's."""

    compiles = False
    asnumpy = staticmethod(np.asarray)

    def __getattr__(self, name):
        if not self.compiles and name not in ("asarray", "copyto", "empty", "zeros", "ndarray"):
            raise AttributeError(f"{name} needs CUDA headers")
        return getattr(np, name)


class Stream(Nothing):
    """Everything is done at once."""

    def __init__(self, non_blocking=False):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


class FakeGpu:
    """Of `benchmarks.gpu.Gpu` what runs without a device."""

    def __init__(self):
        self.cupy, self.stream = sys.modules["cupy"], Stream()

    def device_us(self, call, rounds, *, cold=False):
        call()
        return gpu.percentiles([1.0, 2.0])

    def wall_us(self, call, rounds):
        return self.device_us(call, rounds)

    def per_second(self, call, each, seconds):
        call()
        return 1000.0 * each

    def repeat(self, frame, count):
        return np.repeat(frame[None], count, axis=0)

    def floors(self):
        yield from {"graph_device_us": 9.0, "copy_gb_s": 3000.0, "upload_gb_s": 25.0}.items()


def stand_in():
    """Put the host in the GPU's place in this process."""
    cupy, cupy_cuda = NumpyAsCupy("cupy"), ModuleType("cupy.cuda")
    cupy.cuda = cupy_cuda
    cupy_cuda.Stream = Stream
    cupy_cuda.Device = lambda: SimpleNamespace(
        id=0, compute_capability="90", synchronize=lambda: None
    )
    properties = {"name": b"No GPU", "major": 9, "minor": 0}
    cupy_cuda.runtime = SimpleNamespace(
        getDeviceProperties=lambda device: properties, free=lambda pointer: None
    )
    cupy_cuda.nvrtc = SimpleNamespace(getVersion=lambda: (0, 0), getSupportedArchs=lambda: (90,))
    modules = {"cupy": cupy, "cupy.cuda": cupy_cuda, "cupyx": scipy, "cupyx.scipy": scipy}
    sys.modules.update(modules)
    ittisal.cuda.probe = lambda: (True, "the host")
    ittisal.cuda.describe = lambda: {"device": "the host"}
    ittisal.cuda.backend.Device = HostDevice


def make_small():
    """Few variants, small frames, and as much time as it takes."""
    case, small = cuda_checks.Case, (65, 83)
    cuda_checks.presets = lambda: [case("itti1998", small)]
    cuda_checks.small = lambda: [case("itti1998", small, "float32", 1)]
    cuda_checks.INTERFACES = small, 3
    cuda_checks.REPLAYED = ("itti1998", small), ("video", small)
    replays = cuda_checks.replays
    cuda_checks.replays = lambda count: replays(10)
    cuda_checks.nan_gives_nan = lambda *_: True  # the host raises instead
    cuda_checks.find_sanitizer = lambda: None
    cuda_timings.SEQUENCES = ("video",)
    cuda_timings.shape_of = lambda size: small
    rivals = cuda_timings.rivals

    def large_enough(*arguments):  # for plain CuPy
        sys.modules["cupy"].compiles = True
        cuda_timings.shape_of = lambda size: (256, 272)
        return rivals(*arguments)

    cuda_timings.rivals = large_enough
    cuda_timings.BATCHES, cuda_timings.HOST_BATCHES = (8,), (2, 2)
    cuda_timings.Gpu = gpu.Gpu = FakeGpu
    here = f"import sys; sys.path.insert(0, {str(TESTS)!r}); import cuda_rehearsal\n"
    cuda_timings.FIRST = here + "cuda_rehearsal.stand_in()\n" + cuda_timings.FIRST


if __name__ == "__main__":
    if len(sys.argv) > 2:  # one part
        stand_in()
        make_small()
        cuda_parts.main(*sys.argv[1:])
    else:
        cuda.COMMAND = [sys.executable, __file__]
        cuda.BUDGET["quick"] = 3600.0
        for name, part in cuda.PARTS.items():
            cuda.PARTS[name] = part._replace(quick=600.0 if part.quick else 0)
        sys.exit(cuda.main(Path(sys.argv[1]), 0.01, quick=True))
