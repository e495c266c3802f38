"""What the compiler says of kernels."""

from __future__ import annotations

import re
from typing import NamedTuple


class Used(NamedTuple):
    """What ptxas says that a kernel takes."""

    registers: int
    spilled: int  # bytes, stores and loads
    shared: int  # bytes, static


_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'"
    r".*?(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def used(log: str) -> dict[str, Used]:
    """By kernel, from the log of a compilation with `--ptxas-options=-v`."""
    found = {}
    for entry in _ENTRY.finditer(log):
        shared = re.search(r"(\d+) bytes smem", entry["rest"])
        found[entry["name"]] = Used(
            int(entry["registers"]),
            int(entry["stores"]) + int(entry["loads"]),
            int(shared[1]) if shared else 0,
        )
    return found


def use_double_precision(ptx: str) -> set[str]:
    """Kernels, and functions that were not made part of one, with instructions in double."""
    parts = re.split(r"\.(?:entry|func)\b", ptx)[1:]
    bodies = ((re.search(r"(\w+)\s*\(\n", part), part.partition("{")[2]) for part in parts)
    return {name[1] for name, body in bodies if name and ".f64" in body}
