"""Measurements that need a process of their own: `call(name, ...)` runs one and reads its JSON.

Nothing heavy is imported here, for the children time imports.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEBI = 1 << 20


def call(name: str, *arguments: object, **environment: str) -> dict:
    """Run a function of this module in a fresh interpreter.

    Raises
    ------
    RuntimeError
        The child failed; the message ends with its traceback.
    """
    command = [sys.executable, "-m", "benchmarks.fresh", name, json.dumps(arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{name}{arguments} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def import_time(module: str) -> dict:
    """Seconds that one import takes in an interpreter that has loaded nothing else."""
    start = time.perf_counter()
    importlib.import_module(module)
    return {"seconds": time.perf_counter() - start}


def first_map(size: str, preset: str, order: str, dtype: str, channels: int, checkout: str) -> dict:
    """Seconds from having NumPy to a checkout's first map, and for the second map; MiB for both."""
    import numpy as np

    from .settings import settings, shape_of

    frame = np.random.default_rng(0).integers(0, 256, (*shape_of(size), channels), np.uint8)
    if dtype == "float32":
        frame = frame.astype(np.float32) / 255
    if channels == 1:
        frame = frame[..., 0]
    sys.path.insert(0, checkout)
    before = _resident() if Path("/proc/self/statm").exists() else 0
    start = time.perf_counter()
    import ittisal

    model = ittisal.Saliency(
        shape_of(size),
        ittisal.preset(preset),
        backend=settings.backend,
        channel_order=order,
        threads=1,
    )
    model(frame)
    first = time.perf_counter()
    model(frame)
    second = time.perf_counter()
    source = sys.modules["ittisal"].__file__ or ""
    if not source.startswith(checkout):
        raise RuntimeError(f"{source} is not of {checkout}")
    grown = _resident() - before if before else float("nan")
    return {"first": first - start, "second": second - first, "resident": grown / MEBI}


def fastest(size: str, preset: str, seconds: float) -> dict:
    """The least ms that a frame took, of as many as fit in `seconds`."""
    import ittisal

    from .settings import settings, shape_of

    model = ittisal.Saliency(
        shape_of(size), ittisal.preset(preset), backend=settings.backend, threads=1
    )
    frame, least = noise(size), float("inf")
    model(frame)
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        model(frame)
        least = min(least, time.perf_counter() - start)
    return {"ms": least * 1e3}


def model_memory(size: str, threads: int) -> dict:
    """MiB of a model's buffers, and by how much the process grew for it.

    The kernels are loaded by a small model first, so that their memory is not counted.
    """
    with make_model("64x64", threads) as small:
        for _ in range(3):
            small(noise("64x64"))
    frame = noise(size)
    before = _resident()
    model = make_model(size, threads)
    for _ in range(3):
        model(frame)
    return {"buffers": model.nbytes / MEBI, "growth": (_resident() - before) / MEBI}


def frames_memory(size: str, count: int, seconds: float) -> dict:
    """KiB by which the process grows over `count` frames, or as many as fit in `seconds`."""
    import numpy as np

    model, frame = make_model(size), noise(size)
    out = np.empty(model.map_shape, np.float32)
    for _ in range(min(count, 50)):
        model(frame, out)
    before = _resident()
    end = time.perf_counter() + seconds
    done = 0
    while done < count and time.perf_counter() < end:
        model(frame, out)
        done += 1
    return {"growth": (_resident() - before) / 1024, "frames": done}


def peak_memory(module: str, suite: str, method: str, params: list) -> dict:
    """MiB of this process at its largest, after one call of an asv `peakmem_` method."""
    instance = getattr(importlib.import_module(f"benchmarks.{module}"), suite)()
    if hasattr(instance, "setup"):
        instance.setup(*params)
    getattr(instance, method)(*params)
    return {"peak": _peak() / MEBI}


def make_model(size: str, threads: int = 1, backend: str | None = None):
    """A model for BGR frames, of the preset and backend asked for; imports only ittisal."""
    import ittisal

    from .settings import settings, shape_of

    return ittisal.Saliency(
        shape_of(size),
        ittisal.preset(settings.preset),
        backend=backend or settings.backend,
        channel_order="bgr",
        threads=threads,
    )


def noise(size: str):
    """A frame of random BGR pixels."""
    import numpy as np

    from .settings import shape_of

    return np.random.default_rng(0).integers(0, 256, (*shape_of(size), 3), np.uint8)


def _resident() -> int:
    """Bytes resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    """Bytes resident at most. Linux's ru_maxrss would count the parent's, from before exec."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
