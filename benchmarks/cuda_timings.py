"""How quick is the GPU? Frames on it and from the host; against the CPU and plain CuPy."""

from __future__ import annotations

import itertools
import os
import statistics
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
from .apart import ROOT
from .gpu import Gpu, clocks, percentiles
from .plain_cupy import PlainCupy
from .scenes import scene
from .settings import shape_of

BATCHES = (8, 32, 128)  # frames that lie on the GPU
HOST_BATCHES = (64, 16)  # of frames from the host: small ones, large ones


def make(size: str, backend: str = "cuda", threads: int | None = None) -> ittisal.Saliency:
    """A model for BGR frames of a size."""
    return ittisal.Saliency(shape_of(size), backend=backend, channel_order="bgr", threads=threads)


def on_gpu(gpu: Gpu, size: str, seconds: float) -> Iterator[tuple[str, Any]]:
    """One frame, and batches, that lie on the GPU."""
    cupy, rounds = gpu.cupy, max(int(100 * seconds), 20)
    with make(size) as model, gpu.stream:
        frame = cupy.asarray(scene(shape_of(size)))
        out = cupy.empty(model.map_shape, np.float32)
        model(frame, out=out)

        def call() -> None:
            model(frame, out=out)

        yield "device_us", gpu.device_us(call, rounds)
        yield "clocks", clocks()
        yield "device_cold_us", gpu.device_us(call, rounds // 2, cold=True)
        yield "python_us", gpu.wall_us(call, 5 * rounds)
        yield "buffers_mib", model.nbytes / 2**20
        for count in BATCHES:
            frames = cupy.repeat(frame[None], count, axis=0)
            maps = cupy.empty((count, *model.map_shape), np.float32)

            def batch(frames: Any = frames, maps: Any = maps) -> None:
                model(frames, out=maps)

            yield f"batch_{count}_fps", gpu.per_second(batch, count, seconds)


def in_time(gpu: Gpu, size: str, seconds: float) -> Iterator[tuple[str, Any]]:
    """Successive frames with all five channels (preset `video`), on the GPU and from the host."""
    cupy, rounds = gpu.cupy, max(int(100 * seconds), 20)
    shape = shape_of(size)
    with (
        ittisal.Saliency(shape, ittisal.VIDEO, backend="cuda", channel_order="bgr") as model,
        gpu.stream,
    ):
        frames = [cupy.asarray(np.roll(scene(shape), 5 * k, 1)) for k in range(4)]
        out = cupy.empty(model.map_shape, np.float32)
        turn = itertools.cycle(frames)
        model(next(turn), out=out)

        def call() -> None:
            model(next(turn), out=out)

        call()
        yield "device_us", gpu.device_us(call, rounds)
        yield "python_us", gpu.wall_us(call, 5 * rounds)
        yield "buffers_mib", model.nbytes / 2**20
    with ittisal.Saliency(shape, ittisal.VIDEO, backend="cuda", channel_order="bgr") as model:
        pinned = [model.pinned_frame() for _ in range(4)]
        for k, frame in enumerate(pinned):
            frame[:] = np.roll(scene(shape), 5 * k, 1)
        count = max(int(300 * seconds), 10)
        for _ in model.stream(pinned):
            pass
        start = time.perf_counter()
        for _ in model.stream(pinned[k % 4] for k in range(count)):
            pass
        yield "pinned_stream_fps", count / (time.perf_counter() - start)


def stages(gpu: Gpu, size: str) -> dict[str, float]:
    """Microseconds per stage, by the GPU's clock."""
    with make(size) as model:
        frame = scene(shape_of(size))
        samples = [model.timings(frame) for _ in range(5)]
    return {name: float(np.median([s[name] for s in samples]) * 1e3) for name in samples[0]}


def from_host(size: str, seconds: float) -> Iterator[tuple[str, Any]]:
    """Frames in page-locked and in ordinary memory: one by one, streamed, in batches."""
    with make(size) as model:
        frame = scene(shape_of(size))
        pinned = [model.pinned_frame() for _ in range(3)]
        batch = model.pinned_frame(frames=HOST_BATCHES[frame.size > 2_000_000])
        for each in (*pinned, *batch):
            each[:] = frame
        out = np.empty(model.map_shape, np.float32)
        maps = np.empty((len(batch), *model.map_shape), np.float32)
        typical = {}  # microseconds
        for name, source in (("pinned", pinned[0]), ("pageable", frame)):
            taken, end = [], time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                model(source, out=out)
                taken.append((time.perf_counter() - start) * 1e6)
            found = percentiles(taken)
            typical[name] = found["p50"]
            yield f"{name}_call_us", found
        for name, sources in (("pinned", pinned), ("pageable", [frame] * 3)):
            count = max(int(seconds * 1e6 / typical[name]), 10)
            start = time.perf_counter()
            for _ in model.stream(sources[k % 3] for k in range(count)):
                pass
            yield f"{name}_stream_fps", count / (time.perf_counter() - start)
        pageable = np.array(batch)
        for name, frames in (("pinned", batch), ("pageable", pageable)):
            model(frames, out=maps)
            start, done = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                model(frames, out=maps)
                done += len(frames)
            yield f"{name}_batch_fps", done / (time.perf_counter() - start)


def rivals(gpu: Gpu, size: str, seconds: float) -> Iterator[tuple[str, Any]]:
    """The CPU path of this machine and plain CuPy, their answers checked first."""
    frame = scene(shape_of(size))
    usable, reason = backends.available()["cpu"]
    with make(size) as model:
        truth = model(frame)
    for name, threads in cpu_threads().items():
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


def cpu_threads() -> dict[str, int | None]:
    """One, as many as a model takes unasked, and every core that this process may use.

    Unasked a small frame gets one and a large one eight, so the quickest may be any of these.
    """
    usable = len(getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0))
    return {"cpu_default": None, "cpu_1_thread": 1, "cpu_all_threads": min(usable, 256)}


FIRST = """
import time
begin = time.perf_counter()
import numpy, cupy, ittisal
imported = time.perf_counter()
frame = numpy.zeros((480, 640, 3), numpy.uint8)
frame[200:220, 300:330] = 255
start = time.perf_counter()
cupy.cuda.runtime.free(0)  # makes the context, which every CUDA program waits for
ready = time.perf_counter()
model = ittisal.Saliency((480, 640), backend="cuda")
made = time.perf_counter()
model(frame)
first = time.perf_counter()
model(frame)
print(imported - begin, ready - start, made - ready, first - made, time.perf_counter() - first)
"""
STEPS = ("imports_s", "context_s", "model_s", "frame_s", "second_frame_s")


def first_call(times: int) -> Iterator[tuple[str, Any]]:
    """Seconds from the imports to the first map, context included: nothing cached, then all.

    Medians of fresh processes.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("empty_cache", "warm_cache"):
            runs = []
            for turn in range(times):
                cache = os.path.join(folder, str(turn) if name == "empty_cache" else "0")
                done = subprocess.run(
                    [sys.executable, "-c", FIRST],
                    env={**os.environ, "CUPY_CACHE_DIR": cache},
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                if done.returncode:
                    raise RuntimeError(done.stderr[-3000:])
                runs.append([float(word) for word in done.stdout.split()])
            steps = zip(STEPS, map(statistics.median, zip(*runs, strict=True)), strict=True)
            yield name, dict(steps)
            yield f"{name}_s", statistics.median(sum(run[1:4]) for run in runs)
