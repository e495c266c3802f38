"""The parts of `python -m benchmarks cuda`, in order of worth; each runs in a process of its own.

`python -m benchmarks.cuda_parts NAME SECONDS quick` (or `full`) runs one and prints what it finds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from . import cuda_checks as checks
from . import cuda_timings as timings
from . import gpu
from .apart import send

SIZES = ("640x480", "1920x1080", "3840x2160")


class Part(NamedTuple):
    """When a part is stopped, and what it does: figures by name, each as soon as it is known."""

    quick: float  # seconds, some four times what it takes; 0: not in a quick run
    full: float
    run: Callable[[float, bool], Iterator[tuple[str, Any]]]  # seconds of timing per figure, quick


def _speed(size: str) -> Part:
    return Part(25, 110, lambda seconds, quick: timings.speed(size, seconds))


def _sizes(quick: bool) -> tuple[str, ...]:
    return SIZES[1:2] if quick else SIZES


PARTS = {
    "gpu": Part(40, 60, lambda *_: gpu.facts()),
    "compiled": Part(60, 90, lambda *_: checks.compiled([*checks.presets(), *checks.small()])),
    "presets": Part(30, 60, lambda *_: checks.compared("cuda", checks.presets())),
    "replays": Part(20, 45, lambda _, quick: checks.replays(100 if quick else 1000)),
    "floors": Part(20, 40, lambda *_: gpu.Gpu().floors()),
    **{f"speed, {size}": _speed(size) for size in SIZES},
    "presets' speed": Part(20, 90, lambda s, quick: timings.presets(_sizes(quick), s)),
    "variants": Part(45, 120, lambda *_: checks.compared("cuda", checks.small())),
    "interfaces": Part(30, 60, lambda *_: checks.interfaces()),
    "large": Part(0, 120, lambda *_: checks.compared("cuda", checks.large())),
    "first call": Part(30, 60, lambda _, quick: timings.first_call(1 if quick else 3)),
    "sanitizer": Part(90, 120, lambda *_: checks.sanitizer()),
    "rivals": Part(40, 120, lambda s, quick: timings.rivals(_sizes(quick), s)),
}


def main(name: str, seconds: str, mode: str) -> None:
    """Run one part here."""
    send(PARTS[name].run(float(seconds), mode == "quick"))


if __name__ == "__main__":
    main(*sys.argv[1:])
