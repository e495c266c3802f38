"""Results as Markdown tables for people and as JSON for programs."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path

from .timing import NOISY


def heading(machine: dict, settings: dict) -> str:
    """The machine and what was asked, one fact a line."""
    lines = []
    for name, value in {**machine, **settings}.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, (list, tuple)):
            value = " ".join(map(str, value))
        lines.append(f"- {name.replace('_', ' ')}: {value}")
    return "\n".join(lines)


def table(results: list[dict]) -> str:
    """One suite's results: times and ratios as "minimum / median", gates as "gate / stretch"."""
    rows = [_cells(result) for result in results if "skipped" not in result]
    lines = [grid(rows)] if rows else []
    skipped = {r["skipped"]: r["params"] for r in results if "skipped" in r}
    lines += [f"skipped: {reason}" for reason in skipped]
    return "\n".join(lines)


def grid(rows: list[dict[str, str]]) -> str:
    """Rows of cells by column as a table."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row.get(column, "") for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def warnings(results: list[dict]) -> list[str]:
    """Rows whose median strays from the minimum: something else was running."""
    found = []
    for result in results:
        worst = max((t["spread"] for t in result.get("times_ms", {}).values()), default=1)
        if worst > NOISY:
            where = " ".join(str(v) for v in result["params"].values())
            found.append(f"{result['suite']} {where}: median is {worst:.2f} of the minimum")
    return found


def write_json(path: Path, document: dict) -> None:
    """Write whole or not at all."""
    write_text(path, json.dumps(document, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def number(value: float | None) -> str:
    """Three significant digits, more where only the tail of nines tells."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    if 0.999 < value < 1:
        return f"{value:.8f}".rstrip("0").rstrip(".")
    if value and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _cells(result: dict) -> dict[str, str]:
    cells = {name: str(value) for name, value in result["params"].items()}
    gates = {}
    for name, t in result["times_ms"].items():
        cells[f"{_words(name)} ms"] = f"{number(t['min'])} / {number(t['median'])}"
    for name, ratio in result["ratios"].items():
        cells[name] = f"{ratio['min']:.2f} / {ratio['median']:.2f}"
        gates[name] = ratio
    for name, figure in result["figures"].items():
        cells[f"{_words(name)} {figure['unit']}".strip()] = number(figure["value"])
        gates[name] = figure
    for name, entry in gates.items():
        if "verdict" in entry:
            limits = [entry["gate"], entry["stretch"]]
            wanted = " / ".join(number(v) for v in limits if v is not None)
            cells[f"{_words(name)}: wanted"] = f"{wanted}: {entry['verdict']}"
    if result["times_ms"]:
        worst = max(t["spread"] for t in result["times_ms"].values())
        cells["spread"] = f"{worst:.2f}{' !' if worst > NOISY else ''}"
    return cells


def _words(name: str) -> str:
    return name.replace("_", " ")
