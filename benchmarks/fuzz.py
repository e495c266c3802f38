"""`python -m benchmarks fuzz`: broken and hostile inputs, and what must not come of them.

Whole inputs of many formats (`fuzz_seeds`) are damaged (`fuzz_mutations`) and given to ittisal's
commands in a child process with limits on time and memory, where the outcome is judged
(`fuzz_case`). A child that crashes or hangs is started again.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import fuzz_case
from .fuzz_seeds import KINDS

WALL = 30.0  # seconds until SIGTERM
PATIENCE = 2.0  # seconds from SIGTERM to the end


class Verdict(NamedTuple):
    """What is wrong with a case."""

    number: int
    failures: list[tuple[str, str]]  # oracle, and what it says
    status: Any = None
    err: str = ""


class Child:
    """A process that runs cases of one kind, and a new one after each that crashed or hung."""

    def __init__(self, kind: str, seed: int) -> None:
        self._given = kind, seed, KINDS[kind]()
        self._process: Any = None

    def run(self, number: int) -> Verdict:
        """Run the case of a number."""
        if self._process is None:
            self._start()
        end = "crash"
        try:
            self._pipe.send(number)
            for limit in (WALL, PATIENCE):
                if self._pipe.poll(limit):
                    return Verdict(number, *self._pipe.recv())
                self._process.terminate()
                end = "endless"
        except (EOFError, ConnectionError):
            self._process.join()
        status = self._process.exitcode
        text = "does not end by SIGTERM" if status is None else f"exit status {status}"
        err = (self._root / "err").read_text(errors="replace")
        self.close()
        return Verdict(number, [(end, text)], None, err)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._root = Path(tempfile.mkdtemp(prefix="ittisal-fuzz-"))
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=fuzz_case.serve, args=(other, *self._given, self._root), daemon=True
        )
        self._process.start()
        other.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            shutil.rmtree(self._root, ignore_errors=True)
            self._process = None


def run(
    kind: str, seed: int, numbers: Sequence[int], seconds: float = math.inf
) -> Iterator[Verdict]:
    """The verdicts on cases, until numbers or `seconds` are over."""
    child, end = Child(kind, seed), time.monotonic() + seconds
    try:
        for number in numbers:
            yield child.run(number)
            if time.monotonic() > end:
                break
    finally:
        child.close()


def keep(folder: Path, kind: str, seed: int, verdict: Verdict) -> Path:
    """Write a case's files, and what is wrong with it, into a folder of its own."""
    case = fuzz_case.plan(kind, seed, verdict.number, KINDS[kind]())
    kept = folder / case.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    fuzz_case.write(case, kept)
    facts = {
        "repeat": f"python -m benchmarks fuzz --only {kind} --seed {seed} --case {verdict.number}",
        "seed": case.seed,
        "mutations": case.mutations,
        "argv": case.argv,
        **verdict._asdict(),
    }
    (kept / "case.json").write_text(json.dumps(facts, indent=1, default=str))
    return kept


def main(arguments: list[str]) -> int:
    """Run what the command line says; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description=__doc__)
    parser.add_argument("--only", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60, help="for all kinds together (60)")
    parser.add_argument("--cases", type=int, help="of each kind, however long that takes")
    parser.add_argument("--case", type=int, help="only the case of this number")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(tempfile.gettempdir(), "ittisal-fuzz"),
        help="folder for failing inputs (%(default)s)",
    )
    options = parser.parse_args(arguments)
    numbers: Sequence[int] = range(sys.maxsize)
    seconds = options.seconds / len(options.only)
    if options.case is not None:
        numbers = [options.case]
    elif options.cases is not None:
        numbers, seconds = range(options.cases), math.inf
    found: defaultdict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    print("| kind | cases | failures | unreported | cases/s |\n|---|---|---|---|---|")
    for kind in options.only:
        start, failed, unreported, count = time.monotonic(), 0, 0, 0
        for verdict in run(kind, options.seed, numbers, seconds):
            count += 1
            oracles = {oracle for oracle, _ in verdict.failures}
            failed += bool(oracles - fuzz_case.LIMITS)
            unreported += bool(oracles) and oracles <= fuzz_case.LIMITS
            if oracles:
                kept = keep(options.out, kind, options.seed, verdict)
                for oracle, text in verdict.failures:
                    found[kind, oracle, text.partition(": ")[0]].append((kept.name, text))
            if options.case is not None:
                print(verdict.err, file=sys.stderr)
        rate = count / (time.monotonic() - start)
        print(f"| {kind} | {count} | {failed} | {unreported} | {rate:.1f} |", flush=True)
    for (kind, oracle, _), cases in sorted(found.items()):
        name, text = cases[0]
        print(f"- {kind}, {oracle}, {len(cases)} times, as {name}: {text}")
    if found:
        print(f"failing inputs are in {options.out}; case.json says how to repeat each")
    return int(any(oracle not in fuzz_case.LIMITS for _, oracle, _ in found))
