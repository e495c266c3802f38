"""`python -m benchmarks`: run suites, print tables, keep JSON."""

from __future__ import annotations

import argparse
import datetime
import importlib
import inspect
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import ittisal
from ittisal import backends

from . import machine as machines
from . import report
from .settings import SIZES, Settings, shape_of

SUITES = (
    "saliency",
    "start",
    "memory",
    "accuracy",
    "peers",
    "video",
    "attention",
    "levels",
    "programs",
    "library",
    "instructions",
    "onnx",
    "host",
    "compile",
)
BUSY = 0.7  # running processes beyond which figures deserve a warning


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__} `fuzz` and `soak` have options of their own: see `fuzz --help`.",
    )
    what = f"any of {', '.join(SUITES)}, or all (default); or cuda, alone, on a machine with a GPU"
    parser.add_argument("what", nargs="*", help=what)
    parser.add_argument("--only", metavar="CLASS", help="one suite class, such as Frame")
    parser.add_argument("--size", type=_sizes, default=SIZES, help="WxH[,WxH...]")
    parser.add_argument("--threads", type=_threads, default=(1, 2), help="N[,N...]")
    parser.add_argument("--seconds", type=float, help="of timing per loop (2, quick 0.1)")
    parser.add_argument("--preset", default="itti1998")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--clips", metavar="DIR", help="with .mp4 files, for video's whole loops")
    parser.add_argument("--against", metavar="DIR", help="another version's checkout, for start")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test; of cuda what four minutes can tell"
    )
    parser.add_argument("--estimate", action="store_true", help="of cuda, by counting: no GPU")
    parser.add_argument("--cpu", metavar="NAME", help="compile for this CPU, such as haswell")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results there")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write DIR/<time>-<host>.json")
    options = parser.parse_args(arguments)
    if options.what == ["cuda"]:
        return options
    unknown = set(options.what) - {*SUITES, "all"}
    if unknown:
        parser.error(
            f"no benchmark {min(unknown)!r}; there are: {', '.join(SUITES)}, all; or cuda, alone"
        )
    if not options.what or "all" in options.what:
        options.what = list(SUITES)
    if options.backend == "auto":
        options.backend, _ = backends.choose("auto", ittisal.ITTI_1998)
        if options.backend == "reference":
            parser.error("only the reference can run here; install numba, or --backend reference")
    return options


def _sizes(text: str) -> tuple[str, ...]:
    sizes = tuple(text.lower().split(","))
    for size in sizes:
        shape_of(size)
    return sizes


def _threads(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(","))


def main(arguments: list[str]) -> int:
    """Run what the command line names; 0 unless something failed."""
    if arguments[:1] in (["fuzz"], ["soak"]):
        return importlib.import_module(f".{arguments[0]}", __package__).main(arguments[1:])
    options = parse(arguments)
    if options.what == ["cuda"]:
        from . import cuda, cuda_estimate

        if options.estimate:
            return cuda_estimate.main()
        seconds = options.seconds or (0.1 if options.quick else 2.0)
        return cuda.main(options.out, seconds, quick=options.quick)
    if options.cpu and os.environ.get("NUMBA_CPU_NAME") != options.cpu:
        return _compiled_for(options.cpu, arguments)
    Settings(
        sizes=options.size,
        threads=options.threads,
        seconds=options.seconds or (0.1 if options.quick else 2.0),
        preset=options.preset,
        backend=options.backend,
        clips=options.clips,
        against=options.against and str(Path(options.against).resolve()),
        quick=options.quick,
    ).export()
    return _run(options)


def _compiled_for(cpu: str, arguments: list[str]) -> int:
    """The same command in a process that compiles for another CPU.

    The name alone is not enough: this CPU's features are added unless their list is empty.
    """
    environment = {**os.environ, "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, env=environment).returncode


def _run(options: argparse.Namespace) -> int:
    from . import runner  # only now: suites read the settings when they are imported
    from .settings import settings

    machine = machines.describe()
    results, warnings, failed = [], [], False
    if (machine["load"] or 0) > BUSY:
        warnings.append(f"load was {machine['load']} before anything ran: figures may be high")
    print("# ittisal benchmarks\n")
    print(report.heading(machine, asdict(settings)))
    for module in options.what:
        for suite in runner.suites(module):
            if options.only not in (None, suite.__name__):
                continue
            rows = []
            try:
                for row in runner.run(suite, machine):
                    print(f"  {suite.__name__} {row['params']}", file=sys.stderr, flush=True)
                    rows.append(row)
            except RuntimeError as error:
                failed = True
                warnings.append(f"{suite.__name__} failed: {error}")
            results += rows
            if rows:
                print(f"\n## {suite.__name__}\n\n{inspect.getdoc(suite)}\n", flush=True)
                print(report.table(rows), flush=True)
    if not results and not failed:
        print(f"nothing to run: no class {options.only!r}, or no parameters", file=sys.stderr)
        return 2
    if options.what == list(SUITES) and not options.only:
        from . import cuda

        print(f"\n## cuda\n\nskipped: {cuda.why_skipped()}")
    warnings += report.warnings(results)
    if warnings:
        print("\n## Warnings\n\n" + "\n".join(f"- {text}" for text in warnings))
    now = datetime.datetime.now(datetime.timezone.utc)
    document = {
        "schema": 1,
        "time": now.isoformat(timespec="seconds"),
        "machine": machine,
        "load_after": machines.load(),
        "settings": asdict(settings),
        "results": results,
        "warnings": warnings,
    }
    if options.json:
        report.write_json(options.json, document)
    if options.out:
        name = f"{now:%Y%m%dT%H%M%SZ}-{platform.node() or 'host'}.json"
        report.write_json(options.out / name, document)
        print(f"\nwrote {options.out / name}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
