"""Runs asv-style suites: all `time_` methods of a class take turns in one loop.

A suite is a class with `params`, `param_names`, `setup`, `teardown`, and methods `time_*`
(timed), `track_*` (return a figure, or None, or a dict of figures; `unit` names theirs) and
`peakmem_*` (run in a fresh process). `setup` raises NotImplementedError to skip. `ratios`, which
asv ignores, lists names with the two `time_` methods whose quotient each is.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections.abc import Iterator
from functools import partial

from . import fresh, gates
from .settings import settings
from .timing import interleave


def suites(module: str) -> list[type]:
    """The suites of `bench_<module>`, in the order written."""
    contents = vars(importlib.import_module(f"{__package__}.bench_{module}"))
    return [
        each
        for name, each in contents.items()
        if inspect.isclass(each)
        and each.__module__.endswith(f"bench_{module}")
        and not name.startswith("_")
        and any(map(_names(each), ("time_", "track_", "peakmem_")))
    ]


def run(suite: type, machine: dict) -> Iterator[dict]:
    """One result per combination of parameters."""
    axes = getattr(suite, "params", ())
    names = getattr(suite, "param_names", ())
    for values in itertools.product(*axes):
        yield _run_one(suite, dict(zip(names, values, strict=True)), machine)


def _names(suite: type):
    """Function of a prefix: the suite's methods that start so, base classes' first."""
    order = {name: None for cls in reversed(suite.__mro__) for name in vars(cls)}
    return lambda prefix: [n for n in order if n.startswith(prefix) and getattr(suite, n)]


def _run_one(suite: type, params: dict, machine: dict) -> dict:
    result: dict = {"suite": suite.__name__, "params": params}
    instance, values = suite(), tuple(params.values())
    try:
        if hasattr(instance, "setup"):
            instance.setup(*values)
    except NotImplementedError as skipped:
        return {**result, "skipped": str(skipped)}
    names = _names(suite)
    try:
        figures = _track(instance, names("track_"), values)
        for name in names("peakmem_"):
            module = suite.__module__.rpartition(".")[2]
            found = fresh.call("peak_memory", module, suite.__name__, name, list(values))
            figures[name.removeprefix("peakmem_")] = {"value": found["peak"], "unit": "MiB"}
        times = interleave(
            {n: partial(getattr(instance, n), *values) for n in names("time_")},
            settings.seconds,
        )
    finally:
        if hasattr(instance, "teardown"):
            instance.teardown(*values)
    result["times_ms"] = {
        name.removeprefix("time_"): {
            "min": t.minimum,
            "median": t.median,
            "rounds": t.rounds,
            "spread": t.spread,
        }
        for name, t in times.items()
    }
    result["ratios"] = {
        name: {
            "min": times[above].minimum / times[below].minimum,
            "median": times[above].median / times[below].median,
        }
        for name, above, below in getattr(suite, "ratios", ())
    }
    result["figures"] = figures
    for kind, key in (("ratios", "min"), ("figures", "value")):
        for name, entry in result[kind].items():
            gate = gates.find(suite.__name__, name, params, machine)
            if gate and entry[key] is not None:
                entry |= {"gate": gate.gate, "stretch": gate.stretch}
                entry["verdict"] = gate.verdict(entry[key])
    return result


def _track(instance: object, names: list[str], values: tuple) -> dict[str, dict]:
    figures = {}
    for name in names:
        method = getattr(instance, name)
        found, unit = method(*values), getattr(method, "unit", "")
        if not isinstance(found, dict):
            found = {name.removeprefix("track_"): found}
        figures |= {key: {"value": value, "unit": unit} for key, value in found.items()}
    return figures
