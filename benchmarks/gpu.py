"""Timing on a GPU: by its own events, and by the clock on the wall."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ittisal import BackendError, cuda
from ittisal.cuda import compiler

SPIN = r"""
extern "C" __global__ void spin(long long nanoseconds) {
    long long start, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
    do asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    while (now - start < nanoseconds);
}
extern "C" __global__ void nothing() {}
"""
HOLD = 400_000  # nanoseconds that the GPU is kept busy, so that all launches are queued behind
LONGEST_HOLD = 20_000_000
FLUSH = 3  # times the second-level cache that are written to empty it


def percentiles(values: Any) -> dict[str, float]:
    """Minimum, median, 95th and 99th percentile, and how many there were."""
    values = np.asarray(values, float)
    return {
        "min": float(values.min()),
        **{f"p{p}": float(np.percentile(values, p)) for p in (50, 95, 99)},
        "count": len(values),
    }


def clocks() -> str:
    """Clocks, power and heat as nvidia-smi has them now; nothing here sets any."""
    asked = (
        "driver_version,pstate,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.draw,power.limit,"
        "temperature.gpu,utilization.gpu,pcie.link.gen.current,pcie.link.width.current"
    )
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True)
        names, values = (line.split(", ") for line in done.stdout.splitlines()[:2])
        pairs = list(zip(names, values, strict=True))
    except (OSError, subprocess.SubprocessError, ValueError) as error:  # or it says something else
        return f"not known: {type(error).__name__}"
    return ", ".join(f"{name.split(' ')[0]} {value}" for name, value in pairs)


def facts() -> Iterator[tuple[str, Any]]:
    """What there is to measure on, or what is missing."""
    try:
        usable, reason = cuda.probe()
    except BackendError as error:  # one is there, but does not work
        usable, reason = False, str(error)
    if not usable:
        yield "missing", reason
        return
    import cupy
    from cupy.cuda import nvrtc

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    yield "gpu", properties["name"].decode()
    yield "usable", reason
    yield "compute capability", f"{properties['major']}.{properties['minor']}"
    yield "nvrtc", ".".join(map(str, nvrtc.getVersion()))
    yield "clocks", clocks()
    yield from cuda.describe().items()


class Gpu:
    """The current GPU and a stream of its own."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        device = cupy.cuda.Device()
        architecture = compiler.architecture(int(device.compute_capability))
        self._module = cupy.cuda.Module()
        self._module.load(compiler.compile_text(SPIN, (), architecture)[0])
        self._spin, self.nothing = map(self._module.get_function, ("spin", "nothing"))
        cache = cupy.cuda.runtime.getDeviceProperties(device.id)["l2CacheSize"]
        self._flush = cupy.zeros(FLUSH * max(cache, 1 << 20), cupy.uint8)

    def device_us(
        self, call: Callable[[], Any], rounds: int, *, cold: bool = False
    ) -> dict[str, float]:
        """Microseconds that the GPU takes for what `call` launches on this stream.

        Each is queued behind a kernel that spins, so that the time Python takes to launch does not
        count: rounds in which Python took longer than that are left out, and the next spins for
        longer. `cold` writes over the second-level cache before.
        """
        cupy, taken, hold = self.cupy, [], HOLD
        with self.stream:
            for turn in range(3 * rounds + 3):
                if cold:
                    self._flush.data.memset_async(1, self._flush.nbytes)
                start, end = cupy.cuda.Event(), cupy.cuda.Event()
                self.stream.synchronize()
                begun = time.perf_counter_ns()
                self._spin((1,), (1,), (np.int64(hold),))
                start.record()
                call()
                end.record()
                in_time = time.perf_counter_ns() - begun < hold
                end.synchronize()
                if not in_time:
                    hold = min(2 * hold, LONGEST_HOLD)
                elif turn >= 3:
                    taken.append(cupy.cuda.get_elapsed_time(start, end) * 1e3)
                if len(taken) == rounds:
                    break
        if not taken:
            raise RuntimeError(f"Python never launched within {hold / 1000:.0f} us")
        return percentiles(taken)

    def wall_us(self, call: Callable[[], Any], rounds: int) -> dict[str, float]:
        """Microseconds from the call to its synchronised result, on the wall."""
        taken = []
        with self.stream:
            for _ in range(rounds + 10):
                start = time.perf_counter()
                call()
                self.stream.synchronize()
                taken.append((time.perf_counter() - start) * 1e6)
        return percentiles(taken[10:])

    def per_second(self, call: Callable[[], Any], each: int, seconds: float) -> float:
        """How many a second, if one call makes `each`: calls queue up, the last is waited for."""
        with self.stream:
            for _ in range(4):
                call()
            self.stream.synchronize()
            start, done = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                for _ in range(8):
                    call()
                    done += each
                self.stream.synchronize()
            return done / (time.perf_counter() - start)

    def repeat(self, frame: Any, count: int) -> Any:
        """A batch of one frame, by copies: no kernel of CuPy's, which would need CUDA headers."""
        frames = self.cupy.empty((count, *frame.shape), frame.dtype)
        for each in range(count):
            frames[each].data.copy_from_device_async(frame.data, frame.nbytes, self.stream)
        return frames

    def floors(self) -> Iterator[tuple[str, float]]:
        """What no program beats: launches that do nothing, copies on the GPU and to it."""
        import cupyx

        yield from self.launch_us()
        source = self.cupy.zeros(1 << 28, self.cupy.uint8)
        yield "copy_gb_s", 2 * self._copied(source, source.data.ptr, kind=3)
        source = cupyx.zeros_pinned(1 << 27, np.uint8)
        yield "upload_gb_s", self._copied(source, source.ctypes.data, kind=1)

    def _copied(self, source: Any, address: int, kind: int) -> float:
        """GB per second that are copied to the GPU's memory; `kind` is a cudaMemcpyKind."""
        target = self.cupy.empty(source.shape, np.uint8)

        def copy() -> None:
            self.cupy.cuda.runtime.memcpyAsync(
                target.data.ptr, address, source.nbytes, kind, self.stream.ptr
            )

        return source.nbytes / (self.device_us(copy, 20)["p50"] * 1e3)

    def launch_us(self) -> Iterator[tuple[str, float]]:
        """Microseconds of an empty kernel, and of a graph of seven, on the wall and within."""

        def kernel() -> None:
            self.nothing((1,), (1,), ())

        with self.stream:
            kernel()
            self.stream.synchronize()
            self.stream.begin_capture()
            for _ in range(7):
                kernel()
            graph = self.stream.end_capture()

        def launch() -> None:
            graph.launch(self.stream)

        yield "kernel_wall_us", self.wall_us(kernel, 300)["p50"]
        yield "graph_wall_us", self.wall_us(launch, 300)["p50"]
        yield "graph_device_us", self.device_us(launch, 100)["p50"]
