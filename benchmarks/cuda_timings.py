"""How quick is the GPU? Frames on it and from the host; against the CPU and plain CuPy."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import ittisal
from ittisal import backends

from .agreement import agreement
from .gpu import Gpu, percentiles
from .plain_cupy import PlainCupy
from .scenes import scene
from .settings import shape_of

BATCHES = (8, 32, 128)  # frames that lie on the GPU
HOST_BATCHES = (64, 16)  # of frames from the host: small ones, large ones


def make(size: str, backend: str = "cuda", threads: int | None = None) -> ittisal.Saliency:
    """A model for BGR frames of a size."""
    return ittisal.Saliency(shape_of(size), backend=backend, channel_order="bgr", threads=threads)


def on_gpu(gpu: Gpu, size: str, seconds: float) -> dict[str, Any]:
    """One frame, and batches, that lie on the GPU."""
    cupy, rounds = gpu.cupy, max(int(100 * seconds), 20)
    with make(size) as model, gpu.stream:
        frame = cupy.asarray(scene(shape_of(size)))
        out = cupy.empty(model.map_shape, np.float32)
        model(frame, out=out)

        def call() -> None:
            model(frame, out=out)

        found: dict[str, Any] = {
            "device_us": gpu.device_us(call, rounds),
            "device_cold_us": gpu.device_us(call, rounds // 2, cold=True),
            "python_us": gpu.wall_us(call, 5 * rounds),
            "buffers_mib": model.nbytes / 2**20,
        }
        for count in BATCHES:
            frames = cupy.repeat(frame[None], count, axis=0)
            maps = cupy.empty((count, *model.map_shape), np.float32)

            def batch(frames: Any = frames, maps: Any = maps) -> None:
                model(frames, out=maps)

            found[f"batch_{count}_fps"] = gpu.per_second(batch, count, seconds)
    return found


def stages(gpu: Gpu, size: str) -> dict[str, float]:
    """Microseconds per stage, by the GPU's clock."""
    with make(size) as model:
        frame = scene(shape_of(size))
        samples = [model.timings(frame) for _ in range(5)]
    return {name: float(np.median([s[name] for s in samples]) * 1e3) for name in samples[0]}


def from_host(size: str, seconds: float) -> dict[str, Any]:
    """Frames in page-locked and in ordinary memory: one by one, streamed, in batches."""
    with make(size) as model:
        frame = scene(shape_of(size))
        pinned = [model.pinned_frame() for _ in range(3)]
        batch = model.pinned_frame(frames=HOST_BATCHES[frame.size > 2_000_000])
        for each in (*pinned, *batch):
            each[:] = frame
        out = np.empty(model.map_shape, np.float32)
        maps = np.empty((len(batch), *model.map_shape), np.float32)
        found: dict[str, Any] = {}
        for name, source in (("pinned", pinned[0]), ("pageable", frame)):
            taken, end = [], time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                model(source, out=out)
                taken.append((time.perf_counter() - start) * 1e6)
            found[f"{name}_call_us"] = percentiles(taken)
        for name, sources in (("pinned", pinned), ("pageable", [frame] * 3)):
            count = max(int(seconds * 2e6 / found[f"{name}_call_us"]["p50"]), 10)
            start = time.perf_counter()
            for _ in model.stream(sources[k % 3] for k in range(count)):
                pass
            found[f"{name}_stream_fps"] = count / (time.perf_counter() - start)
        pageable = np.array(batch)
        for name, frames in (("pinned", batch), ("pageable", pageable)):
            model(frames, out=maps)
            start, done = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                model(frames, out=maps)
                done += len(frames)
            found[f"{name}_batch_fps"] = done / (time.perf_counter() - start)
    return found


def rivals(gpu: Gpu, size: str, seconds: float) -> Iterator[tuple[str, Any]]:
    """The CPU path of this machine and plain CuPy, their answers checked first."""
    frame = scene(shape_of(size))
    usable, reason = backends.available()["cpu"]
    with make(size) as model:
        truth = model(frame)
    for name, threads in (("cpu_all_threads", None), ("cpu_1_thread", 1)):
        if not usable:
            yield name, {"missing": reason}
            continue
        with make(size, "cpu", threads) as model:
            out = np.empty(model.map_shape, np.float32)
            near, taken = agreement(model(frame, out=out), truth), []
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(taken) < 5:
                start = time.perf_counter()
                model(frame, out=out)
                taken.append((time.perf_counter() - start) * 1e6)
            yield name, {**percentiles(taken), "threads": model.threads, "r": near.r}
    from cupyx.scipy import ndimage

    with gpu.stream:
        plain, source = PlainCupy(gpu.cupy, ndimage), gpu.cupy.asarray(frame)
        near = agreement(gpu.cupy.asnumpy(plain(source)), truth)
    wall = gpu.wall_us(lambda: plain(source), max(int(20 * seconds), 5))
    yield "plain_cupy", {**wall, "r": near.r, "difference": near.difference}


FIRST = """
import time
import numpy as np, cupy, ittisal
from benchmarks.scenes import scene
frame = scene((480, 640))
cupy.cuda.runtime.free(0)  # the context, which every CUDA program waits for
start = time.perf_counter()
ittisal.Saliency((480, 640), backend="cuda")(frame)
print(time.perf_counter() - start)
"""


def first_call() -> dict[str, float]:
    """Seconds from imports and context to the first map: nothing cached, then all cached."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CUPY_CACHE_DIR": folder}
        found = {}
        for name in ("empty_cache_s", "warm_cache_s"):
            command = [sys.executable, "-c", FIRST]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=120
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-3000:])
            found[name] = float(done.stdout.split()[-1])
    return found
