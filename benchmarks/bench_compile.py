"""How long CUDA kernels take to compile; no GPU is needed, but CuPy and NVRTC."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile

from .settings import settings

ARCHITECTURE = "sm_90"
# As a model does: all at once, each in a thread. The first number is with an empty store.
CODE = """
import importlib, json, sys, time
from concurrent.futures import ThreadPoolExecutor
import cupy, ittisal
from ittisal import backends

cuda = importlib.import_module(backends.MODULES["cuda"])
preset, architecture, most = json.loads(sys.argv[1])
config = ittisal.preset(preset)
jobs = cuda.jobs([config], [("uint8", 3)], ["rgb"], [architecture])[:most]
found, before = {}, time.process_time()
for name in ("compiled", "stored"):
    start = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        objects = list(pool.map(cuda.build, jobs))
    found[name] = time.perf_counter() - start
    found.setdefault("cpu", time.process_time() - before)
print(json.dumps({**found, "objects": len(objects), "kib": sum(map(len, objects)) / 1024}))
"""


class Compile:
    """Seconds until all kernels of a preset are machine code: from an empty store, and from a full
    one; in a fresh process, with CuPy imported.
    """

    param_names = ("preset",)
    params = (("itti1998",) if settings.quick else ("itti1998", "video", "gaze"),)

    def setup(self, preset: str) -> None:
        """Skip where there is no CuPy."""
        if importlib.util.find_spec("cupy") is None:
            raise NotImplementedError("CuPy is not installed")

    def track_compile(self, preset: str) -> dict[str, float]:
        """Seconds, and how many objects of how many KiB."""
        given = json.dumps([preset, ARCHITECTURE, 1 if settings.quick else None])
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-c", CODE, given],
                env={**os.environ, "ITTISAL_CACHE_DIR": folder},
                capture_output=True,
                text=True,
                check=True,
            )
        found = json.loads(done.stdout)
        return {
            "compiled, s": found["compiled"],
            "CPU, s": found["cpu"],
            "stored, s": found["stored"],
            "objects": found["objects"],
            "size, KiB": found["kib"],
        }
