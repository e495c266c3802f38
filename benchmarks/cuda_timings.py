"""How quick is the GPU? Frames on it and from the host; against the CPU and plain CuPy."""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import ittisal
from ittisal import backends

from .agreement import agreement
from .apart import ROOT
from .gpu import Gpu, clocks, percentiles
from .machine import usable_cores
from .plain_cupy import PlainCupy
from .scenes import scene
from .settings import shape_of

BATCHES = (8, 32, 128)  # frames that lie on the GPU
SEQUENCES = ("video", "gaze")  # presets
HOST_BATCHES = (64, 16)  # of frames from the host: small ones, large ones


def make(size: str, backend: str = "cuda", threads: int | None = None) -> ittisal.Saliency:
    """A model for BGR frames of a size."""
    return ittisal.Saliency(shape_of(size), backend=backend, channel_order="bgr", threads=threads)


def speed(size: str, seconds: float) -> Iterator[tuple[str, Any]]:
    """`itti1998`: frames on the GPU, frames from the host, and where the time goes."""
    yield from on_gpu(Gpu(), size, seconds)
    yield from from_host(size, seconds)
    with make(size) as model:
        samples = [model.timings(scene(shape_of(size))) for _ in range(5)]
    yield from (
        (f"stage {name}, us", float(np.median([sample[name] for sample in samples]) * 1e3))
        for name in samples[0]
    )


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
            try:
                frames = gpu.repeat(frame, count)
            except MemoryError as error:  # larger ones do not fit either
                yield f"batch_{count}, left out", str(error)
                break
            maps = cupy.empty((count, *model.map_shape), np.float32)

            def batch(frames: Any = frames, maps: Any = maps) -> None:
                model(frames, out=maps)

            yield f"batch_{count}_fps", gpu.per_second(batch, count, seconds)


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
        sources = {"pinned": (pinned, batch), "pageable": ([frame] * 3, np.array(batch))}
        for name, (frames, together) in sources.items():
            found = wall_us(lambda frames=frames: model(frames[0], out=out), seconds)
            yield f"{name}_call_us", found
            count = max(int(seconds * 1e6 / found["p50"]), 10)
            yield f"{name}_stream_fps", stream_fps(model, frames, count)
            model(together, out=maps)
            start, done = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                model(together, out=maps)
                done += len(together)
            yield f"{name}_batch_fps", done / (time.perf_counter() - start)


def wall_us(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Microseconds of a call that waits for its result."""
    taken, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < 5:
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1e6)
    return percentiles(taken)


def stream_fps(model: ittisal.Saliency, frames: list[np.ndarray], count: int) -> float:
    """Frames a second of a stream of so many, of these in turn."""
    for _ in model.stream(frames):
        pass
    start = time.perf_counter()
    for _ in model.stream(itertools.islice(itertools.cycle(frames), count)):
        pass
    return count / (time.perf_counter() - start)


def presets(sizes: Sequence[str], seconds: float) -> Iterator[tuple[str, Any]]:
    """Successive frames with all five channels (`video`), and `gaze`: on the GPU, and streamed."""
    gpu, rounds = Gpu(), max(int(100 * seconds), 20)
    for size, name in itertools.product(sizes, SEQUENCES):
        shape, config = shape_of(size), ittisal.preset(name)
        frames = [np.roll(scene(shape), 5 * k, 1) for k in range(4)]
        with ittisal.Saliency(shape, config, backend="cuda", channel_order="bgr") as model:
            with gpu.stream:
                turn = itertools.cycle([gpu.cupy.asarray(frame) for frame in frames])
                out = gpu.cupy.empty(model.map_shape, np.float32)

                def call(model: Any = model, turn: Any = turn, out: Any = out) -> None:
                    model(next(turn), out=out)

                for _ in range(4 * len(frames)):  # graphs of frames that come round again
                    call()
                yield f"{name} {size} device_us", gpu.device_us(call, rounds)
                yield f"{name} {size} python_us", gpu.wall_us(call, 5 * rounds)
            yield f"{name} {size} buffers_mib", model.nbytes / 2**20
            pinned = [model.pinned_frame() for _ in range(4)]
            for k, frame in enumerate(pinned):
                frame[:] = frames[k]
            fps = stream_fps(model, pinned, max(int(300 * seconds), 5))
            yield f"{name} {size} pinned_stream_fps", fps


def rivals(sizes: Sequence[str], seconds: float) -> Iterator[tuple[str, Any]]:
    """The CPU path of this machine and plain CuPy, their answers checked first."""
    gpu = Gpu()
    usable, reason = backends.available()["cpu"]
    if not usable:
        yield "cpu", f"missing: {reason}"
    for size in sizes:
        frame = scene(shape_of(size))
        with make(size) as model:
            truth = model(frame)
        for name, threads in cpu_threads().items() if usable else ():
            with make(size, "cpu", threads) as model:
                out = np.empty(model.map_shape, np.float32)
                near = agreement(model(frame, out=out), truth)
                taken = wall_us(lambda m=model, f=frame, out=out: m(f, out=out), seconds)
                yield f"{name}, {size}", {**taken, "threads": model.threads, "r": near.r}
        try:
            from cupyx.scipy import ndimage

            with gpu.stream:
                plain, source = PlainCupy(gpu.cupy, ndimage), gpu.cupy.asarray(frame)
                near = agreement(gpu.cupy.asnumpy(plain(source)), truth)
        except (RuntimeError, ImportError, MemoryError) as error:  # no CUDA headers, say
            yield f"plain_cupy, {size}, missing", str(error)
            continue
        rounds = max(int(20 * seconds), 5)
        taken = gpu.wall_us(lambda plain=plain, source=source: plain(source), rounds)
        yield f"plain_cupy, {size}", {**taken, "r": near.r, "difference": near.difference}


def cpu_threads() -> dict[str, int | None]:
    """One, as many as a model takes unasked, and every core that this process may use.

    Unasked a small frame gets one and a large one eight, so the quickest may be any of these.
    """
    return {"cpu_default": None, "cpu_1_thread": 1, "cpu_all_threads": min(usable_cores(), 256)}


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
                    env={**os.environ, "CUPY_CACHE_DIR": cache, "ITTISAL_CACHE_DIR": cache},
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                )
                if done.returncode:
                    raise RuntimeError(done.stderr[-3000:])
                runs.append([float(word) for word in done.stdout.split()])
            steps = zip(STEPS, map(statistics.median, zip(*runs, strict=True)), strict=True)
            yield name, dict(steps)
            yield f"{name}_s", statistics.median(sum(run[1:4]) for run in runs)
