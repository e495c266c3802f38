"""The build backend (PEP 517): setuptools' own, and wheels that carry prebuilt kernels.

`ITTISAL_PREBUILT`, or the config setting `prebuilt`, says what the wheel carries:

- nothing, or 0: the pure wheel, as setuptools makes it;
- 1: the CPU's kernels of all presets, channel orders and pixel types;
- cuda: those, and the same for GPUs.

The config setting `targets` names the CPU's targets, of one architecture; by default they are all
targets of this machine's. A wheel with kernels asks for what runs without a compiler; the rest of
the dependencies are in the extra `full`.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "ITTISAL_PREBUILT"
KINDS = {"", "0", "1", "cuda"}
# What the kernels are compiled by, and the wheel is packed by.
COMPILERS = ["numpy", "numba", "wheel>=0.40", "pyelftools>=0.30"]
# Every later driver loads the machine code of CUDA 12.
CUDA_COMPILERS = ["cupy-cuda12x>=14", "nvidia-cuda-nvrtc-cu12>=12.8"]
OLDEST = 17  # of glibc 2, that NumPy's wheels need too

Settings = Mapping[str, str | list[str]] | None


class Asked(NamedTuple):
    """What the wheel is to carry."""

    targets: tuple[str, ...]  # none: those of this machine's architecture
    cuda: bool


def asked(settings: Settings = None) -> Asked | None:
    """What the settings and the environment ask for; None: the pure wheel.

    Raises
    ------
    SystemExit
        It is none of what is known.
    """

    def words(name: str, default: str = "") -> list[str]:
        value = (settings or {}).get(name, default)
        text = value if isinstance(value, str) else ",".join(value)
        return [word.strip() for word in text.split(",")]

    kinds, targets = words("prebuilt", os.environ.get(VARIABLE, "")), words("targets")
    if unknown := set(kinds) - KINDS:
        raise SystemExit(f"error: {VARIABLE}={unknown.pop()!r} is not one of: 0, 1, cuda")
    named = tuple(filter(None, targets))
    return Asked(named, "cuda" in kinds) if named or {"1", "cuda"} & set(kinds) else None


# --- hooks ---------------------------------------------------------------------------------------


def __getattr__(name: str) -> Any:
    """The other hooks are setuptools'."""
    if name.startswith("_"):
        raise AttributeError(name)
    from setuptools import build_meta

    return getattr(build_meta, name)


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Packages that the wheel is built by."""
    from setuptools import build_meta

    needed = build_meta.get_requires_for_build_wheel(config_settings)
    if (wanted := asked(config_settings)) is None:
        return needed
    return [*needed, *COMPILERS, *(CUDA_COMPILERS if wanted.cuda else ())]


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Settings = None
) -> str:
    """The wheel's metadata, before it is built."""
    from setuptools import build_meta

    name = build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)
    if asked(config_settings) is not None:
        _ask_for_less(Path(metadata_directory, name, "METADATA"))
    return name


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel; with kernels, repack the pure one with them.

    Raises
    ------
    SystemExit
        The targets cannot be compiled for, or a kernel does not compile.
    """
    from setuptools import build_meta

    wanted = asked(config_settings)
    if wanted is None:
        return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    from wheel.wheelfile import WheelFile

    sys.path.insert(0, str(ROOT))  # for the processes that compile
    sys.dont_write_bytecode = True  # not into the sources
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        pure = build_meta.build_wheel(folder, config_settings, metadata_directory)
        tree = Path(folder, "tree")
        with WheelFile(Path(folder, pure)) as file:
            file.extractall(tree)
        platform = add_kernels(tree / "ittisal", wanted)
        name = f"{pure.removesuffix('any.whl')}{platform}.whl"
        [info] = tree.glob("*.dist-info")
        _ask_for_less(info / "METADATA")
        said = (info / "WHEEL").read_bytes().replace(b"Purelib: true", b"Purelib: false")
        (info / "WHEEL").write_bytes(said.replace(b"-any\n", f"-{platform}\n".encode()))
        with WheelFile(Path(wheel_directory, name), "w") as file:
            file.write_files(tree)
    return name


# --- kernels -------------------------------------------------------------------------------------


def add_kernels(package: Path, wanted: Asked) -> str:
    """Compile what is asked for into a package's folders; the tag of the platform that runs it.

    Raises
    ------
    SystemExit
        The targets cannot be compiled for, or a kernel does not compile.
    """
    from . import cuda
    from .building import TYPES, build
    from .config import PRESETS
    from .cpu.target import NAMED
    from .frames import CHANNEL_ORDERS
    from .native import toolchain
    from .pipeline import BackendError

    here = toolchain.here()
    targets = wanted.targets or [name for name in NAMED if NAMED[name].architecture == here]
    architectures = sorted({NAMED[name].architecture for name in targets if name in NAMED})
    if not targets or len(architectures) > 1:
        found = " and ".join(architectures) or f"none for this machine's {here}"
        raise SystemExit(
            "error: a wheel's targets are of one architecture, and these are of "
            f"{found}; name some by -C targets=..., of: {', '.join(NAMED)}"
        )
    try:
        built = [build(name, package / "cpu" / "prebuilt") for name in targets]
        if wanted.cuda:
            formats = [(dtype, channels) for dtype in TYPES for channels in (1, 3)]
            jobs = cuda.jobs(PRESETS.values(), formats, CHANNEL_ORDERS)
            cuda.prebuild(jobs, package / "cuda" / "prebuilt")
    except (BackendError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    return _platform(architectures[0], [each.library for each in built if each.library])


def _platform(architecture: str, libraries: list[Path]) -> str:
    """The platform tag: on Linux by the least glibc that has what the libraries need of it."""
    if sys.platform != "linux":
        return re.sub("[-.]", "_", sysconfig.get_platform())
    from elftools.elf.elffile import ELFFile

    needed = set()
    for library in libraries:
        with library.open("rb") as file:
            section = ELFFile(file).get_section_by_name(".gnu.version_r")
            for _, versions in section.iter_versions() if section else ():
                needed |= {version.name for version in versions}
    found = [re.fullmatch(r"GLIBC_2\.(\d+)(\.\d+)?", name) for name in needed]
    minor = max((int(each[1]) for each in found if each), default=0)
    if not all(found):  # something else than a version of glibc
        return f"linux_{architecture}"
    return f"manylinux_2_{max(minor, OLDEST)}_{architecture}"


# --- metadata ------------------------------------------------------------------------------------


def _ask_for_less(metadata: Path) -> None:
    """What the extra `full` has is not required without it."""
    lines = metadata.read_bytes().decode().split("\n")
    kept = [line for line in lines if f'{line}; extra == "full"' not in lines]
    metadata.write_bytes("\n".join(kept).encode())
