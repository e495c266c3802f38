"""Scores as a table for people: aligned columns, intervals under means, baselines apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..evaluation import METRICS, Estimate, Evaluation

CELL = 15  # "[-0.123 -0.123]"


def table(result: Evaluation, width: int) -> str:
    """The whole of what an evaluation found, in lines of at most `width` where that is possible."""
    own = [name for name in result.models if name not in result.baselines]
    reference = [name for name in result.models if name in result.baselines]
    pairs = result.pairs[: len(own) * (len(own) - 1) // 2] or result.pairs
    sections = [
        ("models", [(name, _score(result, name)) for name in own]),
        ("baselines", [(name, _score(result, name)) for name in reference]),
        (
            "paired differences",
            [(f"{a} - {b}", _difference(result, a, b)) for a, b in pairs],
        ),
    ]
    sections = [(title, rows) for title, rows in sections if rows]
    first = max(len(name) for _, rows in sections for name, _ in rows)
    per_block = max(1, (width - first) // (CELL + 1))
    blocks = [result.metrics[i : i + per_block] for i in range(0, len(result.metrics), per_block)]
    lines = list(heading(result))
    for metrics in blocks:
        lines += ["", _line("", [_label(metric) for metric in metrics], first)]
        for title, rows in sections:
            lines.append(title)
            for name, cell in rows:
                found = [cell(metric) for metric in metrics]
                lines.append(_line(name, [_text(each.mean) for each in found], first))
                intervals = [f"[{_text(each.low)} {_text(each.high)}]" for each in found]
                lines.append(_line("", intervals, first))
    return "\n".join(lines)


def heading(result: Evaluation) -> Iterator[str]:
    """What the scores are of: data set, images, treatment of the maps."""
    skipped = f", {len(result.skipped)} skipped" if result.skipped else ""
    how = result.treatment
    smooth = f"blurred, sigma {how.smooth_percent:g} %" if how.smooth_percent else "not smoothed"
    centre = "with" if how.centre_bias else "no"
    yield f"{result.dataset}: {len(result.images)} images{skipped}, {result.fixations} fixations"
    yield f"models' maps {smooth}, {centre} centre bias; 95 % intervals over images under the means"


def _score(result: Evaluation, name: str) -> Callable[[str], Estimate]:
    return lambda metric: result.score(name, metric)


def _difference(result: Evaluation, name: str, other: str) -> Callable[[str], Estimate]:
    return lambda metric: result.difference(name, other, metric)


def _label(name: str) -> str:
    metric = METRICS[name]
    return metric.label if metric.higher_is_better else f"{metric.label} (low)"


def _text(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # no minus before 0.000


def _line(first: str, cells: list[str], width: int) -> str:
    return (first.ljust(width) + "".join(f" {cell:>{CELL}}" for cell in cells)).rstrip()
