"""The text of the CUDA kernels: where it is found, and what is compiled together.

Each `kernels/*.cu` is compiled by itself. What it includes is joined to it here, so that a
compiled kernel depends on its text and its options alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..pipeline import DeviceError
from . import structs

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

HEADER = "common.cuh"
_KERNEL = re.compile(r'extern "C" __global__ void\s+__launch_bounds__\([^)]*\)\s+(\w+)\(')
_INCLUDE = re.compile(r'#include "(.+)"')


class Unit(NamedTuple):
    """What is compiled at once."""

    name: str  # of the file
    text: str
    kernels: tuple[str, ...]  # those that are wanted of it


def directory() -> Traversable:
    """The folder that holds the kernels.

    Installed it is `ittisal/kernels`; in a checkout `kernels` beside the package, and only if
    pyproject.toml stands there too: site-packages may hold an unrelated `kernels`.

    Raises
    ------
    DeviceError
        Neither is there; names both.
    """
    installed = resources.files("ittisal") / "kernels"
    if (installed / HEADER).is_file():
        return installed
    root = Path(__file__).resolve().parents[2]
    if (root / "kernels" / HEADER).is_file() and (root / "pyproject.toml").is_file():
        return root / "kernels"
    raise DeviceError(
        f"the CUDA kernels are neither in {installed} nor in {root / 'kernels'}; "
        "install ittisal again"
    )


@lru_cache(maxsize=1)
def read() -> dict[str, str]:
    """Text by file name."""
    found = (file for file in directory().iterdir() if file.name.endswith((".cu", ".cuh")))
    return {file.name: file.read_text(encoding="utf-8") for file in found}


def joined(name: str, files: dict[str, str] | None = None) -> str:
    """A file with all that it includes, each once. Errors still name file and line."""
    texts, seen = {structs.GENERATED: structs.text(), **(files or read())}, set()

    def whole(name: str) -> str:
        seen.add(name)
        lines = [f'#line 1 "{name}"']
        for number, line in enumerate(texts[name].splitlines(), 1):
            included = _INCLUDE.match(line)
            if included is None:
                lines.append(line)
            elif included[1] not in seen:
                lines += [whole(included[1]), f'#line {number + 1} "{name}"']
            else:
                lines.append("")
        return "\n".join(lines)

    return whole(name) + "\n"


def units(kernels: Iterable[str], files: dict[str, str] | None = None) -> list[Unit]:
    """The units that hold the kernels of these names."""
    wanted, found = set(kernels), []
    for name, text in (files or read()).items():
        its_own = tuple(kernel for kernel in _KERNEL.findall(text) if kernel in wanted)
        if its_own:
            found.append(Unit(name, joined(name, files), its_own))
    return found
