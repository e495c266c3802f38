"""`ittisal info`: this machine, and what runs on it."""

from __future__ import annotations

import argparse
import contextlib
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

from .. import backends, building
from .._version import __version__
from ..config import ITTI_1998, PRESETS, Config
from ..features import Model
from ..model import Saliency
from ..pipeline import BackendError
from . import common

NEEDED = ("numpy", "numba", "scikit-image")
OPTIONAL = ("llvmlite", "tqdm", "av", "cupy-cuda12x", "cupy-cuda13x", "torch")
OPENCV = tuple(  # any of these
    f"opencv-{name}{kind}" for name in ("contrib-python", "python") for kind in ("", "-headless")
)
VECTORS = ("sse4.1", "avx", "fma", "neon", "sve")
VARIABLES = ("ITTISAL_", "NUMBA_", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")

DESCRIPTION = """\
CPU, threads, GPUs, backends, versions, caches and environment variables, as a bug report needs
them. With --size also the geometry of the model for frames of that size.
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
    common.add_sizes(parser, (), "also levels, pairs and map of frames of these sizes")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    common.add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the facts."""
    config = common.read_config(args)
    sections: dict[str, dict[str, Any]] = dict(facts())
    sections["kernels"] = {name: _origins(preset) for name, preset in PRESETS.items()}
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


def _origins(config: Config) -> str:
    """How many of the CPU's kernels for uint8 frames are there, and how many are not."""
    try:
        found = building.origins(config)
    except (BackendError, ValueError) as error:
        return f"none: {error}"
    return ", ".join(f"{count} {origin}" for origin, count in found.items())


def _differences(config: Config) -> str:
    """The fields in which a preset is not the default."""
    default = Config().to_dict()
    changed = {name: value for name, value in config.to_dict().items() if value != default[name]}
    return ", ".join(f"{name}={value}" for name, value in changed.items()) or "the default"


def _geometry(shape: tuple[int, int], config: Config, threads: int | None) -> dict[str, Any]:
    # The reference allocates and compiles nothing; the geometry is every backend's.
    with Saliency(shape, config, backend="reference", threads=threads) as model:
        plan = model.plan
        found: dict[str, Any] = {"map": "{1}x{0}".format(*plan.map_shape)}
        if config.model is Model.ITTI:
            levels = range(plan.top_level + 1)
            found["levels"] = ["{1}x{0}".format(*plan.level_shape(level)) for level in levels]
            found["pairs"] = [f"{c}-{s}" for c, s in plan.pairs]
        return {**found, "threads": model.threads}


def facts() -> dict[str, dict[str, str]]:
    """Facts about the machine and the installation, all text, by section and name."""
    try:
        automatic = backends.choose("auto", ITTI_1998)[0]
    except BackendError as error:
        automatic = str(error)
    variables = {
        name: os.environ[name] for name in sorted(os.environ) if name.startswith(VARIABLES)
    }
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
        "auto": {"takes": automatic},
        "cuda": _describe("cuda") or {"none": "see backends"},
        "gpus": gpus(),
        "packages": packages(),
        "caches": caches(),
        "environment": variables or {"none set": ", ".join(f"{name}*" for name in VARIABLES[:2])},
    }


def cpu() -> dict[str, str]:
    """Name, usable threads, vector features, and what the CPU backend makes of them."""
    name = platform.processor() or platform.machine() or "unknown"
    with contextlib.suppress(OSError):  # no Linux
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n")
        models = (line for line in lines if line.startswith(("model name", "Model")))
        name = next(models, f":{name}").partition(":")[2].strip()
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        usable = os.cpu_count() or 1
    try:
        import llvmlite.binding as llvm

        features = [name for name, there in llvm.get_host_cpu_features().items() if there]
    except Exception:  # the other facts do not depend on it
        features = []
    return {
        "name": name,
        "threads": f"{usable} usable of {os.cpu_count()}",
        "features": " ".join(sorted(each for each in features if each.startswith(VECTORS))),
        **_describe("cpu"),
    }


def gpus() -> dict[str, str]:
    """NVIDIA GPUs by index, or why none is listed."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        return {"none found": "nvidia-smi is not installed"}
    except (OSError, subprocess.SubprocessError) as error:
        return {"none found": f"nvidia-smi failed: {common.reason(error)}"}
    lines = answer.stdout.strip().splitlines()
    return {str(i): line for i, line in enumerate(lines)} or {"none found": "nvidia-smi lists none"}


def packages() -> dict[str, str]:
    """Versions of installed packages, and needed ones that are not installed."""
    found = {}
    for name in (*NEEDED, *OPTIONAL, *OPENCV):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    needed = NEEDED if set(OPENCV) & set(found) else (*NEEDED, OPENCV[0])
    return {**dict.fromkeys(needed, "not installed"), **found}


def caches() -> dict[str, str]:
    """Where compiled kernels are stored, by backend, and whether more can be written there."""
    found = {}
    for name in backends.MODULES:
        place = _describe(name).get("cache directory")
        if place and os.path.isdir(place):
            free = f"{shutil.disk_usage(place).free >> 20} MiB free"
            place += f" ({free if os.access(place, os.W_OK) else 'read only'})"
        if place:
            found[f"{name} cache directory"] = place
    return found


def _describe(backend: str) -> dict[str, str]:
    """Facts about a backend, by name; none if it cannot run."""
    try:
        module = importlib.import_module(backends.MODULES[backend])
        return {str(key): str(value) for key, value in module.describe().items()}
    except Exception:  # its library is missing or broken, or there is no GPU: `backends` says why
        return {}
