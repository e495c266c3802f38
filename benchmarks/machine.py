"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "ittisal",
    "numpy",
    "numba",
    "llvmlite",
    "opencv-contrib-python",
    "scikit-image",
    "cupy-cuda12x",
    "cupy-cuda13x",
)
FEATURES = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vbmi", "asimd")


def describe() -> dict[str, object]:
    """CPU, caches, versions, commit and load, as plain values."""
    model, flags = _cpu()
    return {
        "cpu": model,
        "features": [name for name in FEATURES if name in flags],
        "compiled_for": _target(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "caches": _caches(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "load": load(),
    }


def usable_cores() -> int:
    """How many this process may use, which may be fewer than the machine has."""
    return len(getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0))


def load() -> float | None:
    """Mean number of running processes over the last minute, this one included."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def vectors(machine: dict[str, object]) -> str | None:
    """The vectors that kernels are compiled for, where a gate depends on it."""
    if machine["compiled_for"] == "haswell":
        return "avx2"
    if machine["compiled_for"] != "this CPU":
        return None
    features = machine["features"]
    return "avx512" if "avx512bw" in features else "avx2" if "avx2" in features else None


def _target() -> str:
    name = os.environ.get("NUMBA_CPU_NAME")
    if not name:
        return "this CPU"
    return name if os.environ.get("NUMBA_CPU_FEATURES") == "" else f"{name} plus this CPU's"


def _cpu() -> tuple[str, set[str]]:
    model, flags = platform.processor() or platform.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return model, flags
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            model = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = set(value.split())
    return model, flags


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        found[f"L{level}{'i' if kind == 'Instruction' else ''}"] = size
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit, with a plus sign if the tree differs from it."""
    try:
        head, changes = (
            subprocess.run(
                ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changes else "")
