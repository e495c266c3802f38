"""Runs over long files that can be taken up again, with no frame twice or missing.

With `--resume`, nothing is written under its final name until all is done. Beside the output
stands a directory, `OUT.mp4.parts`, with finished pieces of the video, the records so far, and
`state.json`, which says what of them counts. Every so many frames, and at an interrupt:

1. the piece of video at work is closed, read back, and takes its name;
2. the records are flushed to the disk;
3. `state.json` is replaced, in one step, by one that counts both.

A run that dies between two of these, by SIGKILL or with the machine, leaves a state that is older
than the files. The next run believes the state: it removes pieces that it does not count, cuts the
records to the length that it gives, and begins with the frame after the last one counted. Before
that one it shows the model some frames again, so many that flicker, motion, smoothing, running
statistics and the search for cuts are where they were; these go nowhere else. At the end the
pieces are joined, the records take their names, and the directory goes.

The state also holds what the run was asked for, and size and time of change of the input: a run
with others is refused. A lock keeps two runs apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..config import Config, Smoothing
from .errors import UsageError

VERSION = 2
FORGOTTEN = 1e-7  # weight of all before the frames shown again: below float32's precision
FLICKER_SECONDS = 0.03  # in which flicker follows fast videos
CUT_FRAMES = 75  # after which the search for cuts has forgotten: 0.8 ** 75 < FORGOTTEN
LOCK, STATE = "lock", "state.json"
FILES = "input's files"


class Past:
    """The frames that have to be shown again, so that the next one finds the model as it was.

    Examples
    --------
    >>> import ittisal
    >>> past = Past(ittisal.VIDEO)
    >>> for index in range(1000):
    ...     past.add(index, index / 25)
    >>> past.first
    924
    """

    def __init__(self, config: Config) -> None:
        lag = -math.log(FORGOTTEN)
        self._seconds = lag * FLICKER_SECONDS
        self._count = CUT_FRAMES
        if config.averages:
            self._seconds = max(self._seconds, lag * config.whitening_seconds)
        if config.smoothing is Smoothing.LEAKY:
            self._seconds = max(self._seconds, lag * config.smoothing_seconds)
        elif config.smoothing is Smoothing.EMA and config.smoothing_rate < 1:
            needed = math.ceil(lag / -math.log1p(-config.smoothing_rate))
            self._count = max(self._count, needed)
        self._frames: deque[tuple[int, float]] = deque()

    def add(self, index: int, time: float) -> None:
        """One more frame is done."""
        frames = self._frames
        frames.append((index, time))
        while len(frames) > self._count + 1 and time - frames[1][1] >= self._seconds:
            frames.popleft()

    @property
    def first(self) -> int:
        """Number of the first of them."""
        return self._frames[0][0] if self._frames else 0


class Parts:
    """The directory of a run that can be resumed.

    Parameters
    ----------
    directory : Path
        Made if need be; where there is a state in it, the run goes on from there.
    asked : dict
        What the run is asked for, as plain values by the names of options.
    inputs : Iterable of Path
        The files read.

    Raises
    ------
    UsageError
        The state is of another run, or its files are not all there, or another run is at work.
    """

    def __init__(self, directory: Path, asked: dict[str, Any], inputs: Iterable[Path]) -> None:
        self.directory = directory
        # As JSON gives them back: tuples are lists.
        wanted = json.loads(json.dumps({**asked, FILES: fingerprint(inputs)}))
        self.state: dict[str, Any] = {
            "version": VERSION,
            "asked": wanted,
            "parts": [],
            "next": 0,
            "first": 0,
            "origin": 0.0,
            "lengths": {},
            "brightness": None,
            "counts": {},
            "complete": False,
        }
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock()
        except OSError as error:
            raise UsageError(f"cannot write to {directory}: {error.strerror}") from error
        try:
            text = self._read()
            if text is not None:
                self.state = self._checked(text, wanted)
                self._check_files()
            self._sweep()
        except BaseException:
            self._held.close()
            raise

    def _lock(self) -> None:
        self._held = open(self.directory / LOCK, "a")  # noqa: SIM115 (held until the run ends)
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._held.close()
            raise UsageError(
                f"another run is at work in {self.directory}; wait for it, or give another -o"
            ) from None

    def _read(self) -> str | None:
        try:
            return (self.directory / STATE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _checked(self, text: str, wanted: dict[str, Any]) -> dict[str, Any]:
        anew = f"or remove {self.directory} to begin anew"
        try:
            state = json.loads(text)
            version, asked = state["version"], state["asked"]
        except (ValueError, KeyError, TypeError):
            where = self.directory / STATE
            raise UsageError(f"{where} is damaged; remove {self.directory}") from None
        if version != VERSION:
            raise UsageError(
                f"{self.directory} is of another version of ittisal; finish with it, {anew}"
            )
        told = [
            difference(name, asked.get(name), wanted.get(name))
            for name in {**asked, **wanted}
            if asked.get(name) != wanted.get(name) and name != FILES
        ]
        if told:
            raise UsageError(
                f"{self.directory} was begun {'; '.join(told)}; give the same options, {anew}"
            )
        if asked.get(FILES) != wanted[FILES]:
            raise UsageError(f"the input has changed since {self.directory} was begun; {anew[3:]}")
        return state

    def _check_files(self) -> None:
        """See that all which the state counts is there, before hours are spent on the rest."""
        state = self.state
        # Of complete runs some may have their final names already: see `publish`.
        records = {} if state["complete"] else state["lengths"]
        least = {**records, **{part["name"]: part.get("bytes", 1) for part in state["parts"]}}
        for name, length in least.items():
            path = self.directory / name
            try:
                whole = path.stat().st_size >= length
            except OSError:
                whole = False
            if not whole:
                raise UsageError(
                    f"{path} is missing or shorter than it was; remove {self.directory} to begin "
                    "anew"
                )

    def _sweep(self) -> None:
        """Remove what the state does not count."""
        counted = {part["name"] for part in self.state["parts"]}
        kept = counted | {LOCK, STATE, *self.state["lengths"]}
        for entry in self.directory.iterdir():
            if entry.name not in kept and entry.is_file():
                entry.unlink()

    def next_part(self, suffix: str) -> Path:
        """Where the next piece of video goes."""
        return self.directory / f"part-{len(self.state['parts']) + 1:05}{suffix}"

    def save(self, **values: Any) -> None:
        """Replace the state by one with these values."""
        self.state.update(values)
        temporary = self.directory / f"{STATE}.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(self.state, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.directory / STATE)

    def remove(self) -> None:
        """All is done: the directory goes."""
        self._held.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def close(self) -> None:
        """Let another run have it. One in which nothing was done goes."""
        self._held.close()
        if self._read() is None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.directory)


def difference(name: str, before: Any, now: Any) -> str:
    """How a run was begun otherwise than it is asked for now.

    Examples
    --------
    >>> difference("--width", None, 64)
    'without --width, not with --width 64'
    >>> difference("--no-cuts", False, True)
    'without --no-cuts'
    >>> difference("the model's", {"weights": {"motion": 1.0}}, {"weights": {"motion": 2.0}})
    "with the model's weights.motion 1.0, not 2.0"
    """
    if isinstance(before, dict) and isinstance(now, dict):
        before, now = dict(_flat(before)), dict(_flat(now))
        fields = (
            f"{field} {before.get(field)}, not {now.get(field)}"
            for field in {**before, **now}
            if before.get(field) != now.get(field)
        )
        return f"with {name} {', '.join(fields)}"
    if isinstance(before, bool) or isinstance(now, bool):
        return f"{'with' if before else 'without'} {name}"
    if before is None or now is None:
        one, other = (
            f"without {name}" if value is None else f"with {name} {value}"
            for value in (before, now)
        )
        return f"{one}, not {other}"
    return f"with {name} {before}, not {now}"


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def fingerprint(paths: Iterable[Path]) -> str:
    """What tells whether files have changed: a digest of their names, sizes and times."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()
