"""The parts of `python -m benchmarks cuda`, each of which runs in a process of its own.

`python -m benchmarks.cuda_parts NAME SECONDS QUICK FILE` runs one and leaves JSON in the file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .apart import keep

SIZES = ("640x480", "1920x1080", "3840x2160")


class Part(NamedTuple):
    """What to do, and the seconds after which it is given up: some four times what it takes."""

    limit: float
    run: Callable[[float, bool], Any]


def _facts(seconds: float, quick: bool) -> Any:
    from .gpu import Gpu

    return Gpu().facts()


def _parity(large: bool) -> Callable[[float, bool], Any]:
    def run(seconds: float, quick: bool) -> Any:
        from . import cuda_checks as checks

        workers = max(min((os.cpu_count() or 2) - 2, 12), 1)
        return checks.parity("cuda", workers, checks.large() if large else checks.small())

    return run


def _interfaces(seconds: float, quick: bool) -> Any:
    import cupy

    from . import cuda_checks as checks

    return checks.interfaces(cupy)


def _replays(seconds: float, quick: bool) -> Any:
    import cupy

    from . import cuda_checks as checks

    return checks.replays(cupy, 100 if quick else 1000)


def _sanitizer(seconds: float, quick: bool) -> Any:
    from . import cuda_checks as checks

    return checks.sanitizer()


def _floors(seconds: float, quick: bool) -> Any:
    from .gpu import Gpu

    gpu = Gpu()
    yield "launch_us", gpu.launch_us()
    yield "copy_gb_s", gpu.copy_bandwidth() / 1e9
    yield "upload_gb_s", gpu.upload_bandwidth() / 1e9


def _first_call(seconds: float, quick: bool) -> Any:
    from . import cuda_timings as timings

    return timings.first_call(1 if quick else 3)


def _timing(name: str, size: str) -> Callable[[float, bool], Any]:
    def run(seconds: float, quick: bool) -> Any:
        from . import cuda_timings as timings
        from .gpu import Gpu

        if name == "from_host":
            return timings.from_host(size, seconds)
        arguments = (size,) if name == "stages" else (size, seconds)
        return getattr(timings, name)(Gpu(), *arguments)

    return run


def _sized(title: str, name: str, limit: float) -> dict[str, Part]:
    return {f"{title}, {size}": Part(limit, _timing(name, size)) for size in SIZES}


PARTS: dict[str, Part] = {  # in order of worth
    "gpu": Part(60, _facts),
    "parity, small": Part(150, _parity(large=False)),
    "interfaces": Part(60, _interfaces),
    "replays": Part(45, _replays),
    "floors": Part(40, _floors),
    **_sized("on the GPU", "on_gpu", 50),
    **_sized("from the host", "from_host", 60),
    "parity, large": Part(120, _parity(large=True)),
    "first call": Part(60, _first_call),
    **_sized("in time", "in_time", 40),
    **_sized("rivals", "rivals", 90),
    **_sized("stages", "stages", 40),
    "sanitizer": Part(120, _sanitizer),
}


def names(*, quick: bool) -> list[str]:
    """The parts to run; a quick run takes the first size, and small frames for parity."""
    if not quick:
        return list(PARTS)
    left_out = (*SIZES[1:], "parity, large")
    return [name for name in PARTS if not name.endswith(left_out)]


def main(name: str, seconds: str, quick: str, path: str) -> None:
    """Run one part here."""
    keep(PARTS[name].run(float(seconds), quick == "quick"), Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
