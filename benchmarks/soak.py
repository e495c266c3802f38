"""`python -m benchmarks soak`: many frames, kills at random moments, and faults of the machine.

`frames` runs small frames through one stream, and compares memory, threads and open files at the
end with those after the first 10,000. `kills` ends commands by SIGKILL: every file that then stands
under its name has to be whole, no input may have changed, and the same command has to complete the
result. `faults` are a full disk, a folder that cannot be written, an input that vanishes and clocks
that jump.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import ittisal
from ittisal import datasets, video

from .fresh import MEBI, ROOT, _resident

SETTLED = 10_000  # frames, after which nothing may grow
SIDE = 32  # the smallest
IMAGES, CLIP_FRAMES = 24, 240
COMMANDS = {  # of what is made by `make_inputs`
    "map": "map photos -o out/maps",
    "video": "video clip.mp4 -o out/clip.mp4 --jsonl out/clip.jsonl --resume --checkpoint 20 "
    "--writer opencv",
    "evaluate": "evaluate tiny --csv out/scores.csv --per-image out/images.csv",
    "dataset convert": "dataset convert table tiny out/osie",
}
# `main` in a process whose wall clock jumps by days to and fro, its steady ones once by an hour.
JUMPING = """
import itertools, sys, time
steps, wall = itertools.count(), time.time
time.time = lambda: wall() + 86400 * (next(steps) % 7 - 3)
for name in ("perf_counter", "monotonic"):
    def now(calls=itertools.count(), clock=getattr(time, name)):
        return clock() + 3600 * (next(calls) > 50)
    setattr(time, name, now)
from ittisal.cli import main
sys.exit(main(sys.argv[1:]))
"""


# --- many frames -------------------------------------------------------------------------------


def frames(count: int) -> Iterator[str]:
    """Run them; what has grown."""
    pictures = np.random.default_rng(0).integers(0, 256, (16, SIDE, SIDE, 3), np.uint8)
    source = itertools.islice(itertools.cycle(pictures), count)
    settled, start = min(SETTLED, count // 2), time.perf_counter()
    states: list[tuple[int, int, int]] = []
    with ittisal.stream(source, fps=25, threads=1) as stream:
        for done, result in enumerate(stream, 1):
            if done % 1000 == 0:
                assert result.peak and len(result.regions) <= 10 and result.fixations is not None
            if done in (settled, count):
                states.append(
                    (_resident(), threading.active_count(), len(os.listdir("/proc/self/fd")))
                )
    seconds = time.perf_counter() - start
    grown = [after - before for before, after in zip(*states, strict=True)]
    print(
        f"- {done:,} frames in {seconds:.0f} s; from {settled:,} on, memory grew by "
        f"{grown[0] / 1024:.0f} KiB (of {states[0][0] / MEBI:.0f} MiB), threads by {grown[1]}, "
        f"open files by {grown[2]}",
        flush=True,
    )
    if done != count or grown[0] > MEBI or grown[1] > 0 or grown[2] > 0:
        yield f"frames: {done} of {count}; grown by {grown[0]} bytes"


# --- what the commands work on -----------------------------------------------------------------


def make_inputs(folder: Path) -> None:
    """Photographs, a clip and a data set."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (IMAGES, 15, 20, 3), np.uint8)
    (folder / "photos").mkdir()
    with video.open_video(folder / "clip.mp4", (120, 160), writer="opencv", fps=25) as clip:
        for i in range(CLIP_FRAMES):
            picture = cv2.resize(pictures[i % IMAGES], (160, 120), interpolation=cv2.INTER_CUBIC)
            clip.write(picture, i, i / 25)
            if i < IMAGES:
                cv2.imwrite(str(folder / f"photos/{i:02}.png"), picture)
    datasets.generated(folder / "tiny", images=6)


def begin(folder: Path, line: str, *, script: str = "", **options: Any) -> subprocess.Popen[str]:
    """Start a command in a folder."""
    program = ["-c", script] if script else ["-m", "ittisal"]
    return subprocess.Popen(
        [sys.executable, *program, *line.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finished(folder: Path, line: str, **options: Any) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    process = begin(folder, line, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def contents(folder: Path) -> dict[str, Any]:
    """What the files under a folder hold, but temporary ones and parts of results."""
    return {
        str(path.relative_to(folder)): content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not re.search(r"\.ittisal-|\.parts/", str(path.relative_to(folder)))
    }


def content(path: Path) -> Any:
    """The bytes; of a video how many frames can be read, of records each frame and its time."""
    if path.suffix == ".mp4":
        capture = cv2.VideoCapture(str(path))
        return sum(iter(lambda: capture.read()[0], False))
    if path.suffix == ".jsonl":
        with contextlib.suppress(ValueError):  # cut short
            rows = map(json.loads, path.read_bytes().splitlines())
            return [(row["frame"], row["time"]) for row in rows]
    return path.read_bytes()


class Trial:
    """A command, what it makes when nothing goes wrong, and how long that takes."""

    def __init__(self, inputs: Path, name: str) -> None:
        self.name, self.line, self._inputs = name, COMMANDS[name], inputs
        self._before = contents(inputs)
        folder = self.fresh()
        finished(folder, self.line)  # compiles what is not in the store
        shutil.rmtree(folder)
        folder = self.fresh()
        status, err = self.run(folder)
        self.wanted = contents(folder / "out")
        shutil.rmtree(folder)
        if status or not self.wanted:
            raise RuntimeError(f"{self.line}: {err}")

    def run(self, folder: Path) -> tuple[int, str]:
        """Exit status and standard error of the whole command; how long it took is noted."""
        start = time.perf_counter()
        status, _, err = finished(folder, self.line)
        self.seconds = time.perf_counter() - start
        return status, err

    def fresh(self) -> Path:
        """A folder with the inputs and an empty `out`."""
        folder = Path(tempfile.mkdtemp(prefix="soak-", dir=self._inputs.parent))
        shutil.copytree(self._inputs, folder, dirs_exist_ok=True)
        (folder / "out").mkdir()
        return folder

    def wrong(self, folder: Path, *, complete: bool) -> list[str]:
        """Inputs that have changed, outputs that are damaged and, if complete, missing."""
        there = contents(folder)
        made = {k.removeprefix("out/"): v for k, v in there.items() if k.startswith("out/")}
        found = [f"input {k} lost" for k, v in self._before.items() if there.get(k) != v]
        found += [f"{k} damaged" for k, v in made.items() if self.wanted.get(k) != v]
        found += [f"{k} missing" for k in self.wanted if complete and k not in made]
        return found


# --- kills -------------------------------------------------------------------------------------


def kills(trials: list[Trial], count: int, seed: int) -> Iterator[str]:
    """Kill commands by turns; what is damaged, lost, or not completed."""
    rng, killed, ended = random.Random(seed), dict.fromkeys(COMMANDS, 0), 0
    for trial in itertools.cycle(trials):
        if sum(killed.values()) == count:
            break
        folder, moment = trial.fresh(), rng.uniform(0.2, 1) * trial.seconds
        process, start = begin(folder, trial.line), time.perf_counter()
        try:
            process.communicate(timeout=moment)
            ended, trial.seconds = ended + 1, time.perf_counter() - start
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed[trial.name] += 1
        found = trial.wrong(folder, complete=False)
        if contents(folder / "out") != trial.wanted:
            status, err = trial.run(folder)
            found += [f"exit status {status}: {err}"] * (status != 0)
            found += trial.wrong(folder, complete=True)
        yield from (f"{trial.name}, killed after {moment:.2f} s: {text}" for text in found)
        shutil.rmtree(folder)
    counts = ", ".join(f"{name} {n}" for name, n in killed.items())
    print(f"- runs killed: {counts}; {ended} ended before", flush=True)


# --- faults ------------------------------------------------------------------------------------


def faults(trials: list[Trial]) -> Iterator[str]:
    """Each of them with each command; what is not as it should be."""
    for fault in (full_disk, unwritable, vanished, jumping_clocks):
        for trial in trials:
            folder = trial.fresh()
            found = [*fault(trial, folder)]
            yield from (f"{fault.__name__}, {trial.name}: {text}" for text in found)
            shutil.rmtree(folder)
        print(f"- {fault.__doc__}", flush=True)


def full_disk(trial: Trial, folder: Path) -> Iterator[str]:
    """A full disk: an error that says so, nothing damaged."""
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (200, 200))  # bytes of a file
    status, _, err = finished(folder, trial.line, preexec_fn=full)
    if status != 1 or "File too large" not in err or "Traceback" in err:
        yield f"exit status {status}: {err}"
    yield from trial.wrong(folder, complete=False)
    yield from (f"{path} left" for path in folder.rglob(".ittisal-*"))


def unwritable(trial: Trial, folder: Path) -> Iterator[str]:
    """A folder that cannot be written: an error before any work."""
    (folder / "out").rmdir()
    os.symlink("/proc", folder / "out")  # which takes no files, not even root's
    status, _, err = finished(folder, trial.line)
    if status != 2 or "cannot write to out" not in err:
        yield f"exit status {status}: {err}"


def vanished(trial: Trial, folder: Path) -> Iterator[str]:
    """An input that vanishes: an error that names it, and the rest is whole."""
    gone = {"map": "photos/23.png", "video": "clip.mp4"}.get(trial.name, "tiny/images/bright-0.png")
    process = begin(folder, trial.line)
    time.sleep(0.6 * trial.seconds)
    (folder / gone).unlink()
    _, err = process.communicate(timeout=300)
    if process.returncode not in (0, 1) or "Traceback" in err or "a fault in" in err:
        yield f"exit status {process.returncode}: {err}"
    if process.returncode == 1 and gone.split("/")[-1] not in err:
        yield f"does not name {gone}: {err}"
    found = trial.wrong(folder, complete=False)
    yield from (text for text in found if text != f"input {gone} lost")


def jumping_clocks(trial: Trial, folder: Path) -> Iterator[str]:
    """Clocks that jump: the same result."""
    status, _, err = finished(folder, trial.line, script=JUMPING)
    if status:
        yield f"exit status {status}: {err}"
    yield from trial.wrong(folder, complete=True)


# --- all of it ---------------------------------------------------------------------------------

PARTS = ("frames", "kills", "faults")


def main(arguments: list[str]) -> int:
    """Run what the command line says; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--only", choices=PARTS, nargs="+")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ittisal-soak-") as folder:
        inputs = Path(folder, "inputs")
        inputs.mkdir()
        make_inputs(inputs)
        only = options.only or PARTS
        trials = [Trial(inputs, name) for name in COMMANDS if only != ["frames"]]
        parts = {
            "frames": frames(options.frames),
            "kills": kills(trials, options.kills, options.seed),
            "faults": faults(trials),
        }
        wrong = [text for name in only for text in parts[name]]
    print("\n".join(wrong) or "nothing is wrong")
    return int(bool(wrong))
