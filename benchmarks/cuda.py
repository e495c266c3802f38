"""`python -m benchmarks cuda`: is the GPU right, and how quick? In under eight minutes.

With `--quick` in under four. Not suites in asv's manner like the others: a GPU is lent rather than
owned, so parts run in order of worth (`cuda_parts`), each in a process of its own and within a time
limit, and what is known is on disk at each moment. Needs NumPy, CuPy and a GPU; Numba for the
comparison with the CPU; nothing else.
"""

from __future__ import annotations

import datetime
import math
import re
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ittisal
from ittisal import backends

from . import apart, cuda_estimate, report
from . import machine as machines
from .cuda_parts import PARTS, SIZES
from .settings import shape_of

BUDGET = {"quick": 225.0, "full": 465.0}  # seconds for all parts
LEAST = 5.0  # seconds: with less left no part is begun
COMMAND = [sys.executable, "-m", "benchmarks.cuda_parts"]
WRONG, NO_GPU, UNFINISHED = 1, 3, 4  # exit statuses
# Goals on an H100-class GPU, by figure and size: 640x480, 1920x1080, 3840x2160. Times are upper
# limits, rates lower ones.
GOALS: dict[str, tuple[float, float, float]] = {
    "device_us": cuda_estimate.H200_GOAL,
    "python_us": (50, 75, 160),
    "batch_fps": (100_000, 15_000, 4_000),
    "pinned_fps": (45_000, 7_000, 1_750),
}
FIRST_CALL_S = 2.0
RIVALS = ("cpu_default", "cpu_1_thread", "cpu_all_threads", "plain_cupy")

Found = dict[str, dict[str, Any]]  # by part: its `state`, what it `found`, `seconds`, perhaps `log`


def run(name: str, arguments: list[str], deadline: float, found: Found, save: Callable) -> None:
    """Do one part, if there is time for it, and save each figure as soon as it is known."""
    start = time.monotonic()
    part = found[name] = {"state": "running", "found": {}}
    limit = min(getattr(PARTS[name], arguments[-1]), deadline - start)

    def known(key: str, value: Any) -> None:
        part["found"][key] = value
        save()

    if limit < LEAST:
        part["state"] = "left out"
    else:
        part.update(apart.call([*COMMAND, name, *arguments], limit, known))
    part["seconds"] = round(time.monotonic() - start, 2)
    save()


def checks(found: Found) -> dict[str, dict[str, Any]]:
    """All answers that were checked, by part and name; each has `good`."""
    return {
        f"{name}: {key}": value
        for name, part in found.items()
        for key, value in part["found"].items()
        if isinstance(value, dict) and "good" in value
    }


def wrong(found: Found) -> list[str]:
    """What must not be: parts that failed, answers that differ."""
    failed = [f"{name}: failed" for name, part in found.items() if part["state"] == "failed"]
    differ = [f"{k}: {_shown(v)}" for k, v in checks(found).items() if v["good"] is not True]
    return failed + differ


def unfinished(found: Found) -> list[str]:
    """What was stopped, or never begun, since time was up."""
    states = ("stopped", "left out")
    return [f"{name}: {part['state']}" for name, part in found.items() if part["state"] in states]


def _figure(found: Found, part: str, *names: str) -> float | None:
    """The highest of a part's figures of these names, medians where there are percentiles."""
    values = found.get(part, {}).get("found", {})
    got = [values[name] for name in names if name in values]
    return max((v["p50"] if isinstance(v, dict) else v for v in got), default=None)


def figures(found: Found, size: str) -> dict[str, float | None]:
    """What the goals are set for."""
    names = {
        "batch_fps": [f"batch_{n}_fps" for n in (8, 32, 128)],
        "pinned_fps": ["pinned_stream_fps", "pinned_batch_fps"],
    }
    return {goal: _figure(found, f"speed, {size}", *names.get(goal, [goal])) for goal in GOALS}


def nearness(found: Found, size: str) -> dict[str, float | None]:
    """The same figures beside the floors and the rivals."""

    def over(a: float | None, b: float | None) -> float | None:
        return a / b if a and b else None

    pixels, measured = math.prod(shape_of(size)), figures(found, size)
    reading = over(3e-3 * pixels, _figure(found, "floors", "copy_gb_s"))
    upload = over(_figure(found, "floors", "upload_gb_s"), 3e-9 * pixels)
    rivals = {name: _figure(found, "rivals", f"{name}, {size}") for name in RIVALS}
    return {
        "floor: frame read once, us": reading,
        "floor: graph of seven empty kernels, us": _figure(found, "floors", "graph_device_us"),
        "device_us over its reading floor": over(measured["device_us"], reading),
        "floor: uploads, fps": upload,
        "pinned_fps of its floor": over(measured["pinned_fps"], upload),
        **{
            f"times faster than {rival} (python_us)": over(taken, measured["python_us"])
            for rival, taken in rivals.items()
        },
    }


def estimates(found: Found, size: str) -> dict[str, str]:
    """Microseconds of each stage of `itti1998`, as measured and as estimated for this GPU."""
    estimated = _estimated(found["gpu"]["found"].get("gpu", ""), size)
    cells = {}
    for stage, value in estimated.items():
        measured = _figure(found, f"speed, {size}", f"stage {stage}, us")
        cells[f"{stage}, us (estimate)"] = f"{report.number(measured)} ({report.number(value)})"
    return cells


@cache
def _estimated(name: str, size: str) -> dict[str, float]:
    """By stage, and in total; nothing for a GPU whose numbers are not known."""
    gpu = next((gpu for known, gpu in cuda_estimate.GPUS.items() if known in name), None)
    spent: dict[str, float] = {}
    for launch, work in cuda_estimate.counted(ittisal.ITTI_1998, size) if gpu else ():
        taken = cuda_estimate.launch_us(work, launch, gpu)
        spent[launch.stage] = spent.get(launch.stage, 0.0) + taken
    return spent | {"total": sum(spent.values())} if spent else {}


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
    lines += [f"{len(checks(found))} answers checked."]
    for title, texts in (("WRONG", wrong(found)), ("For lack of time", unfinished(found))):
        lines += ["", f"{title}:", "", *(f"- {text}" for text in texts)] if texts else []
    cells = {
        size: {
            **{name: verdict(name, v, GOALS[name][k]) for name, v in figures(found, size).items()},
            **{name: report.number(v) for name, v in nearness(found, size).items()},
            **estimates(found, size),
        }
        for k, size in enumerate(SIZES)
    }
    names = cells[SIZES[0]]
    rows = [{"figure (goal)": name, **{s: cells[s][name] for s in SIZES}} for name in names]
    lines += ["", report.grid(rows)]
    first = _figure(found, "first call", "empty_cache_s")
    if first is not None:
        text = verdict("first_s", first, FIRST_CALL_S)
        lines += ["", f"First call, empty cache, context included, seconds: {text}"]
    for name, part in found.items():
        lines += ["", f"## {name}: {part['state']} ({part.get('seconds', '-')} s)", ""]
        lines += ["```", part["log"].strip(), "```", ""] if "log" in part else []
        lines += _table(part["found"])
    return "\n".join(lines) + "\n"


def _table(found: dict[str, Any]) -> list[str]:
    """What one part found: what has several values as rows, the rest line by line."""
    rows = [
        {"": name, **{key: _shown(each) for key, each in value.items()}}
        for name, value in found.items()
        if isinstance(value, dict)
    ]
    others = [f"- {k}: {_shown(v)}" for k, v in found.items() if not isinstance(v, dict)]
    return [*([report.grid(rows), ""] if rows else []), *others]


def _shown(value: Any) -> str:
    """A value in one line that fits a cell: of a traceback its last line."""
    if isinstance(value, float):
        return report.number(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items())
    lines = str(value).strip().splitlines() or [""]
    text = lines[-1] if lines[0].startswith("Traceback") else " ; ".join(lines)
    return text.replace("|", "/")


def why_skipped() -> str:
    """Why a run of everything leaves this out."""
    usable, reason = backends.available()["cuda"]
    return "it runs alone: python -m benchmarks cuda" if usable else reason


def main(out: Path | None, seconds: float, *, quick: bool = False) -> int:
    """Run all parts. 0: all answers are right; else `WRONG`, `NO_GPU`, or `UNFINISHED`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end the part
    mode = "quick" if quick else "full"
    deadline = time.monotonic() + BUDGET[mode]
    now = datetime.datetime.now(datetime.timezone.utc)
    found: Found = {}
    document: dict[str, Any] = {
        "schema": 2,
        "title": "",
        "time": now.isoformat(timespec="seconds"),
        "machine": machines.describe(),
        "parts": found,
    }
    unsaved = ""

    def save() -> None:
        nonlocal unsaved
        facts = found["gpu"]["found"]
        document["title"] = f"ittisal on {facts.get('usable', 'an unknown GPU')}, {mode}"
        name = f"{now:%Y-%m-%d}-cuda-{facts.get('gpu', 'unknown')}-{mode}"
        name = re.sub(r"[^a-z0-9]+", "-", name.lower())
        if out is None or "missing" in facts:
            return
        try:
            report.write_json(out / f"{name}.json", document)
            report.write_text(out / f"{name}.md", markdown(document))
            unsaved = ""
        except OSError as error:  # a full disk, say: go on, since all of it is printed too
            if str(error) != unsaved:
                print(f"benchmarks: results cannot be written: {error}", file=sys.stderr)
            unsaved = str(error)

    for name in (name for name, part in PARTS.items() if getattr(part, mode)):
        run(name, [str(seconds), mode], deadline, found, save)
        if "missing" in found[name]["found"] and name == "gpu":
            print(f"benchmarks: no GPU: {found[name]['found']['missing']}", file=sys.stderr)
            return NO_GPU
        part = found[name]
        print(f"  {name}: {part['state']}, {part['seconds']} s", file=sys.stderr, flush=True)
    print(markdown(document))
    return WRONG if wrong(found) else UNFINISHED if unfinished(found) or unsaved else 0
