"""Timing on a GPU: by its own events, and by the clock on the wall."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np

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


class Gpu:
    """The current GPU and a stream of its own."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        module = cupy.RawModule(code=SPIN)
        self._spin, self.nothing = module.get_function("spin"), module.get_function("nothing")
        properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        self.properties = properties
        self._flush = cupy.zeros(FLUSH * max(properties["l2CacheSize"], 1 << 20), cupy.uint8)

    def facts(self) -> dict[str, Any]:
        """What the figures were measured on."""
        runtime, found = self.cupy.cuda.runtime, self.properties
        from cupy.cuda import nvrtc

        return {
            "gpu": found["name"].decode(),
            "compute_capability": f"{found['major']}.{found['minor']}",
            "multiprocessors": found["multiProcessorCount"],
            "l2_mib": found["l2CacheSize"] / 2**20,
            "memory_mib": found["totalGlobalMem"] / 2**20,
            "driver": runtime.driverGetVersion(),
            "runtime": runtime.runtimeGetVersion(),
            "nvrtc": ".".join(map(str, nvrtc.getVersion())),
            "cupy": self.cupy.__version__,
            "clocks": clocks(),
        }

    def device_us(
        self, call: Callable[[], Any], rounds: int, *, cold: bool = False
    ) -> dict[str, float]:
        """Microseconds that the GPU takes for what `call` launches on this stream.

        Each is queued behind a kernel that spins, so that the time Python takes to launch does not
        count: rounds in which Python took longer than that are left out. `cold` writes over the
        second-level cache before.
        """
        cupy, taken = self.cupy, []
        with self.stream:
            for turn in range(3 * rounds + 3):
                if cold:
                    self._flush.fill(1)
                start, end = cupy.cuda.Event(), cupy.cuda.Event()
                self.stream.synchronize()
                begun = time.perf_counter_ns()
                self._spin((1,), (1,), (np.int64(HOLD),))
                start.record()
                call()
                end.record()
                in_time = time.perf_counter_ns() - begun < HOLD
                end.synchronize()
                if in_time and turn >= 3:
                    taken.append(cupy.cuda.get_elapsed_time(start, end) * 1e3)
                if len(taken) == rounds:
                    break
        if not taken:
            raise RuntimeError(f"Python never launched within {HOLD / 1000:.0f} us")
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
            call()
            self.stream.synchronize()
            start, done = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                for _ in range(8):
                    call()
                    done += each
                self.stream.synchronize()
            return done / (time.perf_counter() - start)

    def copy_bandwidth(self) -> float:
        """Bytes per second read and written by a copy within the GPU's memory."""
        source = self.cupy.zeros(1 << 28, self.cupy.uint8)
        target = self.cupy.empty_like(source)

        def copy() -> None:
            self.cupy.cuda.runtime.memcpyAsync(
                target.data.ptr, source.data.ptr, source.nbytes, 3, self.stream.ptr
            )

        return 2 * source.nbytes / (self.device_us(copy, 20)["p50"] * 1e-6)

    def upload_bandwidth(self) -> float:
        """Bytes per second from page-locked host memory."""
        import cupyx

        source = cupyx.zeros_pinned(1 << 27, np.uint8)
        target = self.cupy.empty(source.shape, np.uint8)

        def copy() -> None:
            self.cupy.cuda.runtime.memcpyAsync(
                target.data.ptr, source.ctypes.data, source.nbytes, 1, self.stream.ptr
            )

        return source.nbytes / (self.device_us(copy, 20)["p50"] * 1e-6)

    def launch_us(self) -> dict[str, float]:
        """Floors: an empty kernel and an empty graph of seven kernels, on the wall and within."""
        with self.stream:
            self.nothing((1,), (1,), ())
            self.stream.synchronize()
            self.stream.begin_capture()
            for _ in range(7):
                self.nothing((1,), (1,), ())
            graph = self.stream.end_capture()

        def kernel() -> None:
            self.nothing((1,), (1,), ())

        def launch() -> None:
            graph.launch(self.stream)

        return {
            "kernel_wall": self.wall_us(kernel, 300)["p50"],
            "graph_wall": self.wall_us(launch, 300)["p50"],
            "graph_device": self.device_us(launch, 100)["p50"],
        }
