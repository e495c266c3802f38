"""One case of `python -m benchmarks fuzz`: an input made, a command run on it, and what is wrong.

A case is named by its kind, the run's seed and its number, and the same each time.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ittisal

from .fuzz_mutations import mutate, mutate_arguments
from .fuzz_seeds import Seed, picture

ADDRESSES = 3 << 30  # bytes of address space that a case may take
MEMORY = 1 << 30  # bytes that it may use
SECONDS = 10.0  # of the CPU
OUTPUTS = {"-o", "--output", "--out", "--csv", "--jsonl", "--per-image", "--plot"}
# What Pillow says of formats that it lacks, of a header's spaces, and of PNG's optional chunks.
OTHERWISE = re.compile(r"(?i:unsupported|not supported|unknown|token)|Truncated [a-z]\w+ chunk")
FAULT = re.compile(r"unexpected (\w+).* fault in ittisal|Traceback|Exception ignored")
LONGEST = 600  # characters of a line of an error
WARNINGS_HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Case(NamedTuple):
    """What is run."""

    name: str
    seed: str
    mutations: list[str]
    files: dict[str, bytes]
    target: str
    argv: list[str]
    whole: bytes = b""  # the target, undamaged

    @property
    def command(self) -> str:
        """The first word."""
        return self.argv[0] if self.argv else ""


class Outcome(NamedTuple):
    """What came of it."""

    status: Any  # the exit status, or an exception
    out: str
    err: str
    warnings: list[str]  # of Python, by libraries
    seconds: float  # of the CPU
    memory: int  # bytes more than before, at most
    changed: list[str]  # inputs that are not what they were
    made: list[str]  # files, and folders that hold none
    temporary: list[str]  # left in the folder of temporary files

    @property
    def interrupted(self) -> bool:
        """Whether SIGTERM ended it."""
        return self.status == 128 + signal.SIGTERM


def plan(kind: str, seed: int, number: int, seeds: list[Seed]) -> Case:
    """The case of this number; the first are the seeds, unchanged."""
    rng = random.Random(f"{kind} {seed} {number}")
    whole = number < len(seeds)
    base = seeds[number] if whole else rng.choice(seeds)
    target, argv = rng.choice(base.targets), rng.choice(base.commands).split()
    files, done = dict(base.files), []
    undamaged = files.get(target, b"")
    if target == "argv" and not whole:
        argv, done = mutate_arguments(rng, argv)
        argv = [word for word in argv if "://" not in word]  # nothing leaves this machine
    elif not whole:
        files[target], done = mutate(rng, target, files[target])
        if len(files) == 1 and rng.random() < 0.05:
            other = f"in{rng.choice(('.png', '.jpg', '.tif', '.npy', '.mp4', '.gif', ''))}"
            files[other], target = files.pop(target), other
            done.append(f"named {other}")
    argv = [word.replace("{}", target) for word in argv]
    name = f"{kind}-{seed}-{number:06d}"
    return Case(name, base.name, done, files, target, argv, undamaged)


def write(case: Case, folder: Path) -> None:
    """Write a case's files into a folder."""
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


# --- running -------------------------------------------------------------------------------------


def serve(pipe: Connection, kind: str, seed: int, seeds: list[Seed], root: Path) -> None:
    """In a process of its own: run the cases whose numbers come, and send what is wrong."""
    tempfile.tempdir = str(root / "temporary")
    os.mkdir(tempfile.tempdir)
    os.environ |= dict.fromkeys(("TMPDIR", "OPENCV_TEMP_PATH"), tempfile.tempdir)
    os.environ["COLUMNS"] = "100"
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    streams = [os.open(root / name, flags) for name in ("out", "err")]
    import cv2

    cv2.setNumThreads(1)
    ittisal.saliency_map(picture())  # loads the backend before memory is limited
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, used + ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        case = plan(kind, seed, pipe.recv(), seeds)
        outcome = run(case, root, streams)
        pipe.send((judge(case, outcome), outcome.status, outcome.err))


def run(case: Case, root: Path, streams: list[int]) -> Outcome:
    """Run a case's command in this process, with standard output and error in files."""
    work = root / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    write(case, work)
    os.chdir(work)
    for number, stream in zip((1, 2), streams, strict=True):
        os.ftruncate(stream, 0)
        os.dup2(stream, number)
    heard: list[str] = []
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _memory("VmRSS"), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = _listener(heard)
        sys.argv, status = ["ittisal", *case.argv], None
        try:
            runpy.run_module("ittisal", run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        except BaseException as error:
            status = error
    seconds, peak = time.process_time() - start, _memory("VmHWM")
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os.chdir(root)
    out, err = (os.pread(each, 1 << 24, 0).decode(errors="backslashreplace") for each in streams)
    paths = {name: work / name for name in case.files}
    changed = [
        name
        for name, path in paths.items()
        if not path.is_file() or path.read_bytes() != case.files[name]
    ]
    temporary = os.listdir(tempfile.gettempdir())
    shutil.rmtree(tempfile.gettempdir())
    os.mkdir(tempfile.gettempdir())
    made = list(_made(work, case))
    return Outcome(status, out, err, heard, seconds, peak - before, changed, made, temporary)


def _listener(heard: list[str]) -> Callable[..., None]:
    """What notes warnings of libraries, and prints all that users see."""

    def listen(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        if not issubclass(category, WARNINGS_HIDDEN):
            sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
            ours = Path(filename).name == "__main__.py" or category is ittisal.DamageWarning
            if not ours:
                heard.append(f"{Path(filename).name}:{lineno}: {message}")

    return listen


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def _made(work: Path, case: Case) -> Iterator[str]:
    for folder, folders, names in os.walk(work):
        for name in names:
            path = str(Path(folder, name).relative_to(work))
            if path not in case.files:
                yield path
        if not (folders or names):
            yield str(Path(folder).relative_to(work))


# --- judging -------------------------------------------------------------------------------------


def judge(case: Case, outcome: Outcome) -> list[tuple[str, str]]:
    """What is wrong: names of oracles, and what they say."""
    return [(name, text) for name, oracle in ORACLES.items() for text in oracle(case, outcome)]


def _endless(case: Case, outcome: Outcome) -> Iterator[str]:
    if outcome.interrupted:
        yield "did not end; ended by SIGTERM"
    elif outcome.seconds > SECONDS:
        yield f"{outcome.seconds:.0f} s of the CPU"


def _memory_used(case: Case, outcome: Outcome) -> Iterator[str]:
    if outcome.memory > MEMORY:
        yield f"used: {outcome.memory >> 20} MiB"
    for line in outcome.err.splitlines():
        if re.search("not enough memory|unable to allocate|failed to allocate", line, re.I):
            yield f"asked for: {line[:300]}"


def _fault(case: Case, outcome: Outcome) -> Iterator[str]:
    if isinstance(outcome.status, BaseException):
        yield f"raised: {outcome.status!r}"
    for line in outcome.err.splitlines():
        if found := FAULT.search(line):
            yield f"{found[1]}: {line[:300]}"


def _status(case: Case, outcome: Outcome) -> Iterator[str]:
    if outcome.status not in (0, 1, 2) and not (
        outcome.interrupted or isinstance(outcome.status, BaseException)
    ):
        yield f"exit status {outcome.status}"
    if outcome.status in (1, 2) and not outcome.err.strip() and "problems" not in outcome.out:
        yield f"exit status {outcome.status} without a word"


def _message(case: Case, outcome: Outcome) -> Iterator[str]:
    for line in outcome.err.splitlines():
        if len(line) > LONGEST:
            yield f"long: {len(line)} characters: {line[:120]}"
        elif not line.startswith(("ittisal", "usage:", " ")) and "--help" not in case.argv:
            yield f"not ours: {line[:200]}"
        elif not line.isprintable() or "\\udc" in line:
            yield f"not printable: {line[:200]!r}"


def _inputs(case: Case, outcome: Outcome) -> Iterator[str]:
    for name in outcome.changed:
        before = [a for a, b in pairwise(case.argv) if b == name]
        if len(before) != 1 or before[0] not in OUTPUTS:  # else it was to be overwritten
            yield f"changed: {name}"


def _leftovers(case: Case, outcome: Outcome) -> Iterator[str]:
    for name in outcome.temporary:
        yield f"temporary: {name}"
    wrote = outcome.out + "".join(re.findall("wrote .*", outcome.err))
    if {"-q", "--quiet"} & {*case.argv}:  # of what was asked for by name nothing is said
        wrote += "".join(name for option, name in pairwise(case.argv) if option in OUTPUTS)
    for name in outcome.made:
        shown = os.fsencode(name).decode(errors="backslashreplace")  # as `wrote` has it
        said = outcome.status == 0 or shown in wrote or shown.split(os.sep)[0] in wrote
        if ".ittisal-" in name or not said:
            yield f"{shown}: left"


def _values(case: Case, outcome: Outcome) -> Iterator[str]:
    """Outputs: readable, finite, in range, of the promised size."""
    size = None
    if "--json" in case.argv and outcome.status in (0, 1) and re.fullmatch(".*\n", outcome.out):
        try:
            facts = json.loads(outcome.out, parse_constant=_no_number)
        except ValueError as error:
            yield f"standard output: {error}"
        else:
            if "height" in facts and not {"--raw", "--size"} & {*case.argv}:
                size = facts["height"], facts["width"]
    limit = np.inf if "--raw" in case.argv else 1.0
    for name in outcome.made:
        path = Path(tempfile.gettempdir()).parent / "work" / name
        # Data sets are copied with their damaged pictures.
        if path.suffix not in READERS or not path.is_file() or case.command == "dataset":
            continue
        try:
            read = READERS[path.suffix](path.read_bytes())
        except Exception as error:
            read = repr(error)
        if isinstance(read, str) and read:
            yield f"unreadable: {name}: {read}"
        elif case.command == "map" and path.suffix == ".npy" and read.dtype == np.float32:
            low, high = float(read.min()), float(read.max())
            if not (0 <= low <= high <= limit and np.isfinite(high)):
                yield f"range: {name}: from {low} to {high}"
            if size and read.shape[:2] != size:
                yield f"size: {name}: {read.shape} for {size}"


def _no_number(text: str) -> float:
    raise ValueError(f"{text} in JSON")


def _concealed(case: Case, outcome: Outcome) -> Iterator[str]:
    """Read without a word though an independent reader and the decoder find damage."""
    found, silent = _missed(case, outcome)
    if found and not silent:
        yield found


def _unreported(case: Case, outcome: Outcome) -> Iterator[str]:
    """The same of pictures of which the decoder says nothing either."""
    if case.command != "video":
        found, silent = _missed(case, outcome)
        if found and silent:
            yield found


def _missed(case: Case, outcome: Outcome) -> tuple[str, bool]:
    """What an independent reader finds wrong with an input that was read without a word.

    And whether the decoder of the picture says nothing of it. Damage that leaves the picture as it
    was counts for nothing.
    """
    said = [line for line in outcome.err.splitlines() if "nothing stands out" not in line]
    if outcome.status != 0 or said or '"damaged"' in outcome.out or case.target not in case.files:
        return "", False
    data = case.files[case.target]
    if case.command == "video":
        return _ffmpeg(data), False
    found = _pillow(data) if case.command in ("map", "crop") else ""
    if not found:
        return "", False
    picture, words = _decoded(data)
    if picture is not None and np.array_equal(picture, _decoded(case.whole)[0], equal_nan=True):
        return "", False
    return found, picture is not None and not words


def _decoded(data: bytes) -> tuple[Any, bool]:
    """What OpenCV makes of a picture, and whether it or its decoder prints anything meanwhile."""
    import cv2

    before = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        finally:
            os.dup2(before, 2)
            os.close(before)
        return picture, os.fstat(printed.fileno()).st_size > 0


def _pillow(data: bytes) -> str:
    """What Pillow finds wrong with a picture that it knows."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                image.load()
    except (Image.UnidentifiedImageError, Image.DecompressionBombError):
        return ""
    except Exception as error:
        return "" if OTHERWISE.search(str(error)) else repr(error)
    return ""


def _ffmpeg(data: bytes) -> str:
    """What FFmpeg says of a video, through PyAV: errors, and frames that it calls corrupt."""
    import av

    av.logging.set_level(av.logging.ERROR)
    corrupt = 0
    try:
        with av.logging.Capture() as log, av.open(io.BytesIO(data)) as container:
            container.streams.video[0].thread_count = 1
            for frame in container.decode(video=0):
                corrupt += frame.is_corrupt
    except (av.FFmpegError, IndexError) as error:
        return f"FFmpeg: {error}"
    finally:
        av.logging.set_level(None)
    messages = [text for *_, text in log] + [f"{corrupt} corrupt frames"] * (corrupt > 0)
    return f"FFmpeg: {messages[0]}" if messages else ""


def _jsonl(data: bytes) -> None:
    for line in data.splitlines():
        json.loads(line, parse_constant=_no_number)


def _csv(data: bytes) -> None:
    rows = csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape")))
    if len({len(row) for row in rows}) != 1:
        raise ValueError("rows of different length")


READERS: dict[str, Callable[[bytes], Any]] = {  # text is what is wrong
    ".npy": lambda data: np.load(io.BytesIO(data)),
    ".png": _pillow,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".mp4": _ffmpeg,
}
ORACLES: dict[str, Callable[[Case, Outcome], Iterator[str]]] = {
    "endless": _endless,
    "memory": _memory_used,
    "fault": _fault,
    "status": _status,
    "message": _message,
    "warning": lambda case, outcome: iter(outcome.warnings),
    "input": _inputs,
    "leftover": _leftovers,
    "values": _values,
    "concealed": _concealed,
    "unreported": _unreported,
}
LIMITS = {"unreported"}  # neither passes nor failures: ittisal knows no more than its decoders
