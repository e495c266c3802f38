"""The text of the CUDA kernels: where it is found, and how it is joined."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Channel, Config
from ..pipeline import BackendError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

HEADER = "common.cuh"
# What is compiled together; the groups at the same time, on several threads.
GROUPS = (
    ("opponency.cu", "pyramid.cu"),
    ("orientation.cu", "motion.cu", "centre_surround.cu", "whiten.cu", "figure.cu"),
    ("normalise.cu", "combine.cu", "enlarge.cu"),  # combine calls N
)
FILES = tuple(name for group in GROUPS for name in group)
_KERNEL = re.compile(r'extern "C" __global__ void\s+__launch_bounds__\([^)]*\)\s+(\w+)\(')


def directory() -> Traversable:
    """The folder that holds the kernels.

    Installed it is `ittisal/kernels`; in a checkout `kernels` beside the package, and only if
    pyproject.toml stands there too: site-packages may hold an unrelated `kernels`.

    Raises
    ------
    BackendError
        Neither is there; names both.
    """
    installed = resources.files("ittisal") / "kernels"
    if (installed / HEADER).is_file():
        return installed
    root = Path(__file__).resolve().parents[2]
    if (root / "kernels" / HEADER).is_file() and (root / "pyproject.toml").is_file():
        return root / "kernels"
    raise BackendError(
        f"the CUDA kernels are neither in {installed} nor in {root / 'kernels'}; "
        "install ittisal again"
    )


@lru_cache(maxsize=1)
def read() -> dict[str, str]:
    """Text by file name, the header first."""
    folder = directory()
    return {name: (folder / name).read_text(encoding="utf-8") for name in (HEADER, *FILES)}


def joined(files: dict[str, str] | None = None) -> str:
    """All files as one translation unit, in which errors still name file and line.

    Joined rather than included, because CuPy's cache of compiled kernels does not see what an
    `#include` brings in.
    """
    files = files or read()
    return "".join(f'#line 1 "{name}"\n{text}' for name, text in files.items())


def groups(files: dict[str, str]) -> list[str]:
    """The files as a few translation units, each with the header."""
    return [joined({name: files[name] for name in (HEADER, *group)}) for group in GROUPS]


def kernel_names(source: str, config: Config) -> tuple[str, ...]:
    """Names of the kernels in a source but for those that a config has no use for."""

    def is_there(name: str) -> bool:
        if name.endswith("_own"):
            return config.own_pyramid
        if name in ("plane_statistics", "whiten"):
            return config.whitens
        if name in ("bring_scales", "scale_statistics", "unlikeness"):
            return config.has(Channel.WHITENED)
        if name in ("flood", "bring_figures", "corners"):
            return config.figure
        return name != "motion" or config.has(Channel.MOTION)

    return tuple(filter(is_there, _KERNEL.findall(source)))
