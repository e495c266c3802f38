"""`python -m benchmarks cuda`: is the GPU right, and how quick? In under eight minutes.

Not suites in asv's manner like the others: a GPU is lent rather than owned, so every part stands
alone, a part that fails is written down and the rest go on, and what is known so far is on disk
after each. Needs NumPy, CuPy and a GPU; Numba for the comparison with the CPU; nothing else.
"""

from __future__ import annotations

import datetime
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ittisal import backends

from . import machine as machines
from . import report

BUDGET = 470.0  # seconds; parts that would begin later are left out
NO_GPU = 3  # exit status
# Goals on an H100-class GPU, by figure and size: 640x480, 1920x1080, 3840x2160. Times are upper
# limits, rates lower ones.
SIZES = ("640x480", "1920x1080", "3840x2160")
GOALS: dict[str, tuple[float, float, float]] = {
    "device_us": (30, 50, 130),
    "python_us": (50, 75, 160),
    "batch_fps": (100_000, 15_000, 4_000),
    "pinned_fps": (45_000, 7_000, 1_750),
}
FIRST_CALL_S = 2.0


def parts(seconds: float, *, quick: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(name, what to do) in order of worth. Imports wait until a part runs: one may be broken."""
    from . import cuda_checks as checks
    from . import cuda_timings as timings
    from .gpu import Gpu

    gpu = Gpu()
    workers = max(min((os.cpu_count() or 2) - 2, 12), 1)
    yield "gpu", gpu.facts
    yield "parity, small", lambda: list(checks.parity("cuda", workers, quick=True))
    yield "doors", lambda: checks.doors(gpu.cupy)
    yield (
        "floors",
        lambda: {
            "copy_gb_s": gpu.copy_bandwidth() / 1e9,
            "upload_gb_s": gpu.upload_bandwidth() / 1e9,
            "launch_us": gpu.launch_us(),
        },
    )
    sizes = SIZES[:1] if quick else SIZES
    for size in sizes:
        yield f"on the GPU, {size}", lambda size=size: timings.on_gpu(gpu, size, seconds)
        yield f"stages, {size}", lambda size=size: timings.stages(gpu, size)
        yield f"from the host, {size}", lambda size=size: timings.from_host(size, seconds)
    yield "replays", lambda: checks.replays(gpu.cupy, 100 if quick else 1000)
    yield "first call", timings.first_call
    yield "sanitizer", checks.sanitizer
    for size in sizes:
        yield f"rivals, {size}", lambda size=size: dict(timings.rivals(gpu, size, seconds))
    if not quick:
        yield "parity, all", lambda: list(checks.parity("cuda", workers))


def run(
    steps: Iterator[tuple[str, Callable[[], Any]]],
    save: Callable[[dict[str, Any]], None],
    budget: float = BUDGET,
) -> dict[str, Any]:
    """Do the parts one by one; what each gave, or its traceback, by name."""
    begun = time.perf_counter()
    found: dict[str, Any] = {}
    while True:
        start = time.perf_counter()
        try:
            name, part = next(steps)
        except StopIteration:
            break
        except Exception:  # not even the parts could be made
            found["setting up"] = {"failed": traceback.format_exc(), "seconds": 0.0}
            save(found)
            break
        if start - begun > budget:
            found[name] = {"left_out": f"{budget:.0f} s were over"}
            continue
        try:
            found[name] = {"found": part()}
        except Exception:  # whatever it is, the rest is worth having
            found[name] = {"failed": traceback.format_exc()}
        found[name]["seconds"] = round(time.perf_counter() - start, 2)
        state = "FAILED" if "failed" in found[name] else "done"
        print(f"  {name}: {state}, {found[name]['seconds']} s", file=sys.stderr, flush=True)
        save(found)
    return found


def wrong(found: dict[str, Any]) -> list[str]:
    """What must not be: parts that failed, maps that differ."""
    bad = [name for name, part in found.items() if "failed" in part]
    for name, part in found.items():
        rows = part.get("found")
        if name.startswith("parity") and rows:
            bad += [f"{name}: {row}" for row in rows if not row["good"]]
        if name == "doors" and rows:
            bad += [f"{name}: {door}" for door, same in rows.items() if not same]
        if name == "replays" and rows and not rows["good"]:
            bad.append(f"{name}: {rows['different']} differ")
    return bad


def figures(found: dict[str, Any]) -> dict[str, list[float | None]]:
    """What the goals are set for, by size."""

    def of(part: str, size: str) -> dict[str, Any]:
        return found.get(f"{part}, {size}", {}).get("found") or {}

    def best(values: dict[str, Any], *names: str) -> float | None:
        return max((values[name] for name in names if name in values), default=None)

    rows: dict[str, list[float | None]] = {name: [] for name in GOALS}
    for size in SIZES:
        device, host = of("on the GPU", size), of("from the host", size)
        rows["device_us"].append(device.get("device_us", {}).get("p50"))
        rows["python_us"].append(device.get("python_us", {}).get("p50"))
        rows["batch_fps"].append(best(device, *(f"batch_{n}_fps" for n in (8, 32, 128))))
        rows["pinned_fps"].append(best(host, "pinned_stream_fps", "pinned_batch_fps"))
    return rows


def verdict(name: str, value: float | None, goal: float) -> str:
    """The figure, its goal, and whether it is met."""
    if value is None:
        return "-"
    met = value <= goal if name.endswith(("_us", "_s")) else value >= goal
    return f"{report.number(value)} ({report.number(goal)}: {'met' if met else 'missed'})"


def markdown(document: dict[str, Any]) -> str:
    """The document for people."""
    found = document["parts"]
    lines = [f"# {document['title']}", "", report.heading(document["machine"], {}), ""]
    bad = wrong(found)
    lines += ["All answers right." if not bad else "WRONG:", *(f"- {text}" for text in bad), ""]
    lines += ["| figure (goal) | " + " | ".join(SIZES) + " |", "|---|---|---|---|"]
    for name, values in figures(found).items():
        cells = [verdict(name, v, goal) for v, goal in zip(values, GOALS[name], strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    first = found.get("first call", {}).get("found")
    if first:
        text = verdict("first_s", first["empty_cache_s"], FIRST_CALL_S)
        lines += ["", f"First call, empty cache, seconds: {text}"]
    for name, part in found.items():
        if name.startswith("parity"):
            rows = part.get("found") or []
            worst = max(rows, key=lambda row: row["difference"], default=None)
            lines += ["", f"## {name}", "", f"{len(rows)} cases; worst: {worst}"]
            continue
        lines += ["", f"## {name} ({part.get('seconds', 0)} s)", ""]
        if "failed" in part or "left_out" in part:
            lines += ["```", (part.get("failed") or part["left_out"]).strip(), "```"]
            continue
        for key, value in part["found"].items():
            if isinstance(value, dict):
                value = ", ".join(
                    f"{k} {report.number(v) if isinstance(v, float) else v}"
                    for k, v in value.items()
                )
            elif isinstance(value, float):
                value = report.number(value)
            lines.append(f"- {key}: {value}")
    return "\n".join(lines) + "\n"


def main(out: Path | None, seconds: float, *, quick: bool = False) -> int:
    """Run all parts; 0 if all answers are right and no part failed."""
    usable, reason = backends.available()["cuda"]
    if not usable:
        print(f"benchmarks: no GPU to measure: {reason}", file=sys.stderr)
        return NO_GPU
    now = datetime.datetime.now(datetime.timezone.utc)
    gpu = re.sub(r"[^A-Za-z0-9]+", "-", reason.split(",")[0]).strip("-").lower()
    document: dict[str, Any] = {
        "schema": 1,
        "title": f"ittisal on {reason}",
        "time": now.isoformat(timespec="seconds"),
        "machine": machines.describe(),
        "parts": {},
    }

    def save(found: dict[str, Any]) -> None:
        document["parts"] = found
        if out is not None:
            name = f"{now:%Y-%m-%d}-cuda-{gpu}"
            report.write_json(out / f"{name}.json", document)
            report.write_text(out / f"{name}.md", markdown(document))

    found = run(parts(seconds, quick=quick), save)
    print(markdown(document))
    return int(bool(wrong(found)))
