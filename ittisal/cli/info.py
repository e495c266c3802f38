"""`ittisal info`: what this machine offers and what would run on it."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .. import backends
from .._version import __version__
from ..config import ITTI_1998, PRESETS, Config
from ..model import Saliency
from ..pipeline import BackendError
from . import common

PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
    "opencv-python",
    "opencv-python-headless",
    "scikit-image",
    "tqdm",
    "av",
    "cupy-cuda12x",
    "cupy-cuda13x",
)
NEEDED = ("numpy", "numba", "scikit-image")
VARIABLES = ("ITTISAL_", "NUMBA_", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")

DESCRIPTION = """\
CPU, threads, GPUs, backends, versions, caches and environment, as they bear on ittisal; fit to be
pasted into a bug report. With --size also the geometry of the model for frames of that size.
"""

EPILOG = """\
examples:
  ittisal info
  ittisal info --size 640x480 1920x1080
  ittisal info --json | jq .backends
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("info", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--size",
        metavar="WxH",
        nargs="+",
        type=common.size,
        default=[],
        help="also levels, pairs and map of frames of these sizes",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    common.add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the facts."""
    config = common.read_config(args)
    sections: dict[str, dict[str, Any]] = dict(facts())
    sections["presets"] = {name: _differences(preset) for name, preset in PRESETS.items()}
    for height, width in args.size:
        sections[f"{width}x{height}"] = _geometry((height, width), config, args.threads)
    if args.json:
        print(json.dumps(sections, indent=2))
        return 0
    column = max(len(name) for section in sections.values() for name in section)
    for title, section in sections.items():
        print(title)
        for name, value in section.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            print(f"  {name:{column}}  {text}")
    return 0


def _differences(config: Config) -> str:
    """The fields in which a preset is not the default."""
    default = Config().to_dict()
    return (
        ", ".join(
            f"{name}={value}" for name, value in config.to_dict().items() if value != default[name]
        )
        or "the default"
    )


def _geometry(shape: tuple[int, int], config: Config, threads: int | None) -> dict[str, Any]:
    # The reference allocates and compiles nothing; the geometry is every backend's.
    with Saliency(shape, config, backend="reference", threads=threads) as model:
        plan = model.plan
        return {
            "map": "{1}x{0}".format(*plan.map_shape),
            "levels": [
                "{1}x{0}".format(*plan.level_shape(level)) for level in range(plan.top_level + 1)
            ],
            "pairs": [f"{c}-{s}" for c, s in plan.pairs],
            "threads": model.threads,
        }


# --- facts, all text ---------------------------------------------------------------------------


def facts() -> dict[str, dict[str, str]]:
    """Facts about the machine and the installation, by section and name."""
    return {
        "ittisal": {
            "version": __version__,
            "python": f"{platform.python_version()} ({sys.executable})",
            "system": platform.platform(),
        },
        "cpu": cpu(),
        "backends": {
            name: f"{'usable' if usable else 'not usable'}: {why}"
            for name, (usable, why) in backends.available().items()
        },
        "auto": {"takes": auto_takes()},
        "cuda": describe_backend("cuda") or {"none": "see backends"},
        "gpus": gpus(),
        "packages": packages(),
        "caches": caches(),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)
        }
        or {"none set": ", ".join(f"{name}*" for name in VARIABLES[:2])},
    }


def cpu() -> dict[str, str]:
    """Name, usable threads, vector features, and what the CPU backend makes of them."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        usable = os.cpu_count() or 1
    found = {
        "name": _cpu_name(),
        "threads": f"{usable} usable of {os.cpu_count()}",
    }
    try:
        import llvmlite.binding as llvm

        features = llvm.get_host_cpu_features()
    except Exception:  # facts are told as far as they can be had
        features = {}
    vectors = ("sse4.1", "avx", "fma", "avx2", "avx512", "neon", "sve")
    names = [name for name in sorted(features) if features[name] and name.startswith(vectors)]
    if names:
        found["features"] = " ".join(names)
    return {**found, **describe_backend("cpu")}


def auto_takes() -> str:
    """Which backend `auto` takes here, or why it takes none."""
    try:
        return backends.choose("auto", ITTI_1998)[0]
    except BackendError as error:
        return str(error)


def describe_backend(name: str) -> dict[str, str]:
    """What a backend says of itself, if it does."""
    try:
        module = importlib.import_module(backends.MODULES[name])
        return {str(key): str(value) for key, value in module.describe().items()}
    except Exception:  # its library is missing or broken, or there is no GPU: `backends` says why
        return {}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n"):
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine() or "unknown"


def gpus() -> dict[str, str]:
    """NVIDIA GPUs by index, or why none is listed."""
    command = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,driver_version",
        "--format=csv,noheader",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        return {"none found": "nvidia-smi is not here"}
    except (OSError, subprocess.SubprocessError) as error:
        return {"none found": f"nvidia-smi failed: {' '.join(str(error).split())}"}
    lines = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    return {str(i): line for i, line in enumerate(lines)} or {"none found": "nvidia-smi lists none"}


def packages() -> dict[str, str]:
    """Versions of what is installed; what is needed and missing is said."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in NEEDED:
                found[name] = "not installed"
    if not any(name.startswith("opencv") for name in found):
        found["opencv-contrib-python"] = "not installed"
    return found


def caches() -> dict[str, str]:
    """Where compiled kernels are kept, by backend, and whether more can be written there."""
    found = {}
    for name in backends.MODULES:
        place = describe_backend(name).get("cache directory")
        if place and os.path.isdir(place):
            free = f"{shutil.disk_usage(place).free >> 20} MiB free"
            place += f" ({free if os.access(place, os.W_OK) else 'read only'})"
        if place:
            found[f"{name} cache directory"] = place
    return found
