"""`python -m benchmarks cuda`: is the GPU right, and how quick? In under eight minutes.

Not suites in asv's manner like the others: a GPU is lent rather than owned, so every part runs in
a process of its own and within a time limit (`cuda_parts`), a part that fails is written down and
the rest go on, and what is known so far is on disk after each. Needs NumPy, CuPy and a GPU; Numba
for the comparison with the CPU; nothing else.
"""

from __future__ import annotations

import datetime
import math
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ittisal import backends

from . import apart, cuda_parts, report
from . import machine as machines
from .cuda_parts import SIZES
from .settings import shape_of

BUDGET = 465.0  # seconds for all parts
LEAST = 8.0  # seconds: with less left no part is begun
CHECKS = ("parity", "interfaces", "replays")  # parts that say whether the answers are right
NO_GPU = 3  # exit status
# Goals on an H100-class GPU, by figure and size: 640x480, 1920x1080, 3840x2160. Times are upper
# limits, rates lower ones.
GOALS: dict[str, tuple[float, float, float]] = {
    "device_us": (30, 50, 130),
    "python_us": (50, 75, 160),
    "batch_fps": (100_000, 15_000, 4_000),
    "pinned_fps": (45_000, 7_000, 1_750),
}
FIRST_CALL_S = 2.0


def parts(
    seconds: float, deadline: float, *, quick: bool
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(name, what to do) in order of worth; each in a process of its own, with a time limit."""
    for name in cuda_parts.names(quick=quick):
        command = [sys.executable, "-m", "benchmarks.cuda_parts", name, str(seconds)]
        command.append("quick" if quick else "full")

        def part(name: str = name, command: list[str] = command) -> Any:
            left = deadline - time.perf_counter()
            return apart.call(command, min(cuda_parts.PARTS[name].limit, left))

        yield name, part


def run(
    steps: Iterator[tuple[str, Callable[[], Any]]],
    save: Callable[[dict[str, Any]], None],
    deadline: float = math.inf,
) -> dict[str, Any]:
    """Do the parts one by one; what each gave, or its traceback, by name."""
    found: dict[str, Any] = {}
    for name, part in steps:
        start = time.perf_counter()
        if start > deadline - LEAST:
            found[name] = {"left_out": "no time was left"}
        else:
            try:
                found[name] = {"found": part()}
            except Exception as error:  # whatever it is, the rest is worth having
                told = isinstance(error, apart.PartError)
                found[name] = {"failed": str(error) if told else traceback.format_exc()}
                if told and error.found:
                    found[name]["found"] = error.found
        found[name]["seconds"] = round(time.perf_counter() - start, 2)
        state = next(iter(set(found[name]) & {"failed", "left_out"}), "done").upper()
        print(f"  {name}: {state}, {found[name]['seconds']} s", file=sys.stderr, flush=True)
        try:
            save(found)
        except Exception:  # a full disk, a value that has no place in a table: go on
            traceback.print_exc()
    return found


def wrong(found: dict[str, Any]) -> list[str]:
    """What must not be: parts that failed, maps that differ, answers that were not checked."""
    bad = [name for name, part in found.items() if "failed" in part]
    for name, part in found.items():
        rows = part.get("found") or {}
        if "left_out" in part and name.startswith(CHECKS):
            bad.append(f"{name}: {part['left_out']}")
        elif name.startswith("parity"):
            bad += [f"{name}: {_case(row)}" for row in rows if not row["good"]]
        elif name == "interfaces":
            bad += [f"{name}: {interface}" for interface, same in rows.items() if same is not True]
        elif name == "replays" and rows and not rows["good"]:
            bad.append(f"{name}: {rows['different']} differ")
        elif name == "sanitizer":
            bad += [f"{name}: {k} {v}" for k, v in rows.items() if str(v).startswith("exit 9")]
    return bad


def _case(row: dict[str, Any]) -> str:
    """A case of parity in one line."""
    if "failed" in row:
        row = {**row, "failed": row["failed"].strip().splitlines()[-1]}
    return ", ".join(f"{name} {value}" for name, value in row.items())


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


def nearness(found: dict[str, Any]) -> dict[str, list[float | None]]:
    """The same figures beside the floors and the rivals, by size."""

    def got(part: str, *keys: str) -> float | None:
        value = found.get(part, {}).get("found") or {}
        for key in keys:
            value = value.get(key, {})
        return value if isinstance(value, float) and value > 0 else None

    def over(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a / b

    rows: dict[str, list[float | None]] = {}
    pinned = figures(found)["pinned_fps"]
    for size, pinned_fps in zip(SIZES, pinned, strict=True):
        height, width = shape_of(size)
        nbytes = 3.0 * height * width
        device = got(f"on the GPU, {size}", "device_us", "p50")
        python = got(f"on the GPU, {size}", "python_us", "p50")
        reading = over(nbytes / 1e3, got("floors", "copy_gb_s"))
        upload = over(got("floors", "upload_gb_s"), nbytes / 1e9)
        for name, value in {
            "floor: frame read once, us": reading,
            "floor: graph of seven empty kernels, us": got("floors", "launch_us", "graph_device"),
            "device_us over its reading floor": over(device, reading),
            "floor: uploads, fps": upload,
            "pinned_fps of its floor": over(pinned_fps, upload),
            **{
                f"times faster than {rival} (python_us)": over(
                    got(f"rivals, {size}", rival, "p50"), python
                )
                for rival in ("cpu_default", "cpu_1_thread", "cpu_all_threads", "plain_cupy")
            },
        }.items():
            rows.setdefault(name, []).append(value)
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
    checked = [name for name in found if name.startswith(CHECKS)]
    right = f"All answers right: {', '.join(checked)}." if checked else "Nothing checked yet."
    lines += [right] if not bad else ["WRONG:", "", *(f"- {_one_line(text)}" for text in bad)]
    lines += ["", "| figure (goal) | " + " | ".join(SIZES) + " |", "|---|---|---|---|"]
    for name, values in figures(found).items():
        cells = [verdict(name, v, goal) for v, goal in zip(values, GOALS[name], strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, values in nearness(found).items():
        lines.append(f"| {name} | " + " | ".join(map(report.number, values)) + " |")
    first = (found.get("first call", {}).get("found") or {}).get("empty_cache_s")
    if first is not None:
        text = verdict("first_s", first, FIRST_CALL_S)
        lines += ["", f"First call, empty cache, context included, seconds: {text}"]
    for name, part in found.items():
        lines += ["", f"## {name} ({part.get('seconds', 0)} s)", ""]
        if "failed" in part or "left_out" in part:
            lines += ["```", (part.get("failed") or part["left_out"]).strip(), "```", ""]
        lines += _table(part.get("found"))
    return "\n".join(lines) + "\n"


def _table(found: Any) -> list[str]:
    """What one part found: percentiles and cases as tables, the rest line by line."""
    if isinstance(found, list):
        columns = list(dict.fromkeys(key for row in found for key in row))
        rows = [[_shown(row.get(c, "")) for c in columns] for row in found]
        head = "| " + " | ".join(columns) + " |"
        body = ["| " + " | ".join(row) + " |" for row in rows]
        return [head, "|" + "---|" * len(columns), *body] if rows else []
    if not isinstance(found, dict):
        return []
    times = [{"": k, **v} for k, v in found.items() if isinstance(v, dict) and "p99" in v]
    others = {k: v for k, v in found.items() if not (isinstance(v, dict) and "p99" in v)}
    lines = _table(times)
    return lines + [""] * bool(lines) + [f"- {k}: {_shown(v)}" for k, v in others.items()]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return report.number(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items())
    return _one_line(str(value))


def _one_line(text: str) -> str:
    """Fit for a cell: of a traceback the last line, without what ends cells."""
    lines = text.strip().splitlines() or [""]
    return (lines[-1] if lines[0].startswith("Traceback") else " ; ".join(lines)).replace("|", "/")


def why_skipped() -> str:
    """Why a run of everything leaves this out."""
    usable, reason = backends.available()["cuda"]
    return "it runs alone: python -m benchmarks cuda" if usable else reason


def main(out: Path | None, seconds: float, *, quick: bool = False) -> int:
    """Run all parts; 0 if all answers are right and no part failed."""
    usable, reason = backends.available()["cuda"]
    if not usable:
        print(f"benchmarks: no GPU to measure: {reason}", file=sys.stderr)
        return NO_GPU
    deadline = time.perf_counter() + BUDGET
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

    found = run(parts(seconds, deadline, quick=quick), save, deadline)
    try:
        print(markdown(document))
    except Exception:
        traceback.print_exc()
    return int(bool(wrong(found)))
