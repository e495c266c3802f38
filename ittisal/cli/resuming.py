"""Runs over long files that can be resumed, with no frame twice or missing.

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
statistics and the search for cuts are where they were; these are not written. At the end the
pieces are joined, the records take their names, and the directory is removed.

The state also holds what the run was asked for, and size and time of change of the input: a run
with others is refused. A lock keeps two runs apart.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import documents
from ..config import Config, Smoothing
from ..files import TEMPORARY, atomic, identity
from ..levels import Levels
from ..maps import RunningPeak
from ..pipeline import FLICKER_SECONDS
from ..video import Stream
from ..video.joining import Part, join
from ..video.video_files import representable
from ..video.writers import writing
from .common import UsageError, levels_text
from .video_outputs import Lines, Outputs, Pictures, Request, Window, input_files, names_a_file

VERSION = 2
FORGOTTEN = 1e-7  # weight of all before the frames shown again: below float32's precision
CUT_FRAMES = 75  # after which the search for cuts has forgotten: 0.8 ** 75 < FORGOTTEN
LOCK, STATE = "lock", "state.json"
OURS = re.compile(rf"lock|state\.json|part-\d+\.\w+|records\.\w+|{re.escape(TEMPORARY)}.*")
FILES = "input's files"
OPTIONS = ("every", "start", "end", "frames", "width", "reader", "fps", "no_cuts", "raw")


class ResumedOutputs(Outputs):
    """Outputs in a directory of parts, which go on where an earlier run ended."""

    independent = False  # they have the same frames, or a run could not go on with both

    def __init__(
        self,
        request: Request,
        window: Window | None,
        report: Callable[[str], None],
        args: argparse.Namespace,
        name: str,
        config: Config,
    ) -> None:
        super().__init__(request, window, report)
        _check_request(args, name, request)
        asked = {f"--{option.replace('_', '-')}": getattr(args, option) for option in OPTIONS}
        places = {"the input": name, "-o": request.output}
        places |= {f"--{suffix[1:]}": path for suffix, path in request.records.items()}
        # However they are written, and from wherever: realpath.
        asked |= {place: path and os.path.realpath(path) for place, path in places.items()}
        asked |= {
            "--writer": request.writer,
            "pictures of kind": request.kind,
            "--grey": request.grey,
            "--levels": args.levels and levels_text(args.levels),
            **dict(_flat(config.to_dict(), "the model's ")),
        }
        directory = Path(request.files[0].rstrip("/" + os.sep) + ".parts")
        self._parts = parts = Parts(directory, asked, input_files(name))
        state = parts.state
        self.first, self._next, self.complete = state["first"], state["next"], state["complete"]
        self._base = state["counts"]  # of earlier runs
        self._again: dict[str, Any] = {}  # counted again while the past is rebuilt
        self.done = self._base.get("frames", 0)
        self._past = Past(config, args.levels)
        self._checkpoint, self._unsaved = args.checkpoint, 0
        self._part_start = 0.0

    def open(self, stream: Stream, fps: float) -> None:
        """Open the records; pieces of video are opened one after the other."""
        self._stream, self._fps = stream, fps
        self._parts.state["fps"] = fps
        super().open(stream, fps)
        if self._pictures is not None and self._parts.state["brightness"]:
            painter = self._pictures.painter
            painter.peak, painter.channel_peak = (
                RunningPeak(*values) for values in self._parts.state["brightness"]
            )

    def open_lines(self, suffix: str, path: str, header: str) -> Lines:
        """Go on with the records of earlier runs."""
        work = self._parts.directory / f"records{suffix}"
        length = self._parts.state["lengths"].get(work.name, 0)
        return Lines(suffix, path, header, work=work, length=length)

    def open_pictures(self, pictures: Pictures) -> None:
        """Nothing yet: pieces begin with a result."""

    def take(self, result: Any) -> bool:
        """Write a result, unless it is one that only rebuilds the past."""
        self._past.add(result.index, result.time)
        if result.index < self._next:
            self._again = self._stream.statistics.as_dict()
            return True
        if self.request.drawn and self._pictures is not None and self._pictures.writing is None:
            self._begin(self._pictures, result.time)
        more = super().take(result)
        self._next, self._unsaved = result.index + 1, self._unsaved + 1
        if self._unsaved >= self._checkpoint:
            self._save(complete=False)
        return more

    def _begin(self, pictures: Pictures, time: float) -> None:
        """Open the writer of the next piece."""
        output, state = str(self.request.output), self._parts.state
        if self.request.form != "video":
            pictures.begin(output)
            return
        origin = self._origin(time)
        self._part_start = origin - state["origin"]
        notes = pictures.begin(self._parts.next_part(Path(output).suffix), origin=origin)
        for text in notes if not state["parts"] else []:  # the same for all pieces
            self.report(text)

    def _origin(self, time: float) -> float:
        """When a piece begins: with OpenCV at a slot of the whole, after those of the last."""
        state = self._parts.state
        if not state["parts"]:
            state["origin"] = time
            return time
        if self.request.writer != "opencv":
            return time
        fps, last = representable(self._fps), state["parts"][-1]
        end = round(last["start"] * fps) + last["pictures"]
        return float(state["origin"] + max(round((time - state["origin"]) * fps), end) / fps)

    def _save(self, *, complete: bool) -> None:
        """Close the piece at work, and count all that is done."""
        parts, pictures = self._parts, self._pictures
        if pictures is not None and pictures.writing is not None:
            writer: Any = pictures.writing.writer
            pictures.finish()
            self.count(pictures.counts)
            if self.request.form == "video":
                parts.add(Path(str(self.request.output)).suffix, self._part_start, writer.pictures)
        lines = [sink for sink in self.sinks if isinstance(sink, Lines)]
        brightness = None
        if pictures is not None:
            both = pictures.painter.peak, pictures.painter.channel_peak
            brightness = [[each.peak, each.time] for each in both]
        parts.save(
            lengths={f"records{each.suffix}": each.sync() for each in lines},
            brightness=brightness,
            next=self._next,
            first=self._past.first,
            counts=self.totals(self._stream.statistics.as_dict()),
            complete=complete,
        )
        self._unsaved = 0

    def finish(self, *, complete: bool, whole: bool) -> None:
        """Save the state, and close what is open."""
        if whole:
            try:
                self._save(complete=complete)
            except OSError as error:
                self.error = error
        super().finish(complete=complete, whole=whole)
        self.written.clear()

    def totals(self, statistics: dict[str, Any]) -> dict[str, Any]:
        """Counts of all runs, each frame once."""
        counts = {
            name: self._base.get(name, 0) + number - self._again.get(name, 0)
            for name, number in super().totals(statistics).items()
            if isinstance(number, int)
        }
        return {**statistics, **counts, "missing": statistics.get("missing", 0)}

    def publish(self) -> None:
        """Join the pieces, give the records their names, and remove the directory of parts.

        Any step may be the last one of a run that dies: the next run does what is left.
        """
        state, request, parts = self._parts.state, self.request, self._parts
        if not state["complete"]:
            return
        self.complete = True
        if request.form == "video" and request.output and state["parts"]:
            pieces = [
                Part(parts.directory / part["name"], part["start"], part["pictures"])
                for part in state["parts"]
            ]
            fps, origin = state["fps"], state["origin"]
            for text in join(pieces, request.output, fps=fps, sound=request.sound, origin=origin):
                self.report(text)
        for suffix, path in request.records.items():
            if (parts.directory / f"records{suffix}").exists():
                _copy(parts.directory / f"records{suffix}", path)
        parts.remove()
        self.written = request.files

    def close(self) -> None:
        """Let another run have the directory."""
        self._parts.close()


def _check_request(args: argparse.Namespace, name: str, request: Request) -> None:
    if request.takes_stdout:
        raise UsageError("--resume needs files; standard output cannot be gone back on")
    if not (input_files(name) or names_a_file(name)):
        raise UsageError("--resume needs an input that can be read again: a file or a folder")
    if args.live:
        raise UsageError("--resume is for every frame of a file, --live for the newest; give one")
    if args.faces is not None:
        raise UsageError(
            "--resume does not know the faces that the run before saw last; leave it or --faces out"
        )
    if args.levels is not None and args.levels.remembers and math.isinf(args.levels.seconds):
        raise UsageError(
            "--levels of the first frame cannot be resumed; give values, as in 7000:7500, or let "
            "percentiles follow, as in 1%:99%"
        )
    if not request.files:
        raise UsageError("--resume needs an output: -o, --jsonl or --csv")
    if request.scanpath or request.boxes:
        raise UsageError(
            "--resume does not know the fixations and boxes of the run before; leave it out, or "
            "--scanpath and --boxes"
        )


def _copy(source: Path, target: str) -> None:
    """Copy a file of records to its place, which may be on another disk."""
    with writing(target), atomic(target) as temporary:
        shutil.copyfile(source, temporary)


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

    def __init__(self, config: Config, levels: Levels | None = None) -> None:
        lag = -math.log(FORGOTTEN)
        seconds = [
            FLICKER_SECONDS,
            config.whitening_seconds if config.averages else 0.0,
            config.smoothing_seconds if config.smoothing is Smoothing.LEAKY else 0.0,
            levels.seconds if levels is not None and levels.remembers else 0.0,
        ]
        self._seconds = lag * max(seconds)
        self._count = CUT_FRAMES
        if config.smoothing is Smoothing.EMA and config.smoothing_rate < 1:
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
    """The directory of a run that can be resumed, and its state.

    `asked` is what the run is asked for, as plain values by the names of options. UsageError if
    the state is of another run, its files are not all there, or another run is at work.
    """

    def __init__(self, directory: Path, asked: dict[str, Any], inputs: Sequence[Path]) -> None:
        self.directory, self._removed = directory, False
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
        self._check_folder(inputs)
        try:
            self._lock()
        except OSError as error:
            raise UsageError(f"cannot write to {directory}: {error.strerror}") from error
        try:
            if (directory / STATE).exists():
                self.state = self._read(wanted)
                self._check_files()
            self._sweep()
        except BaseException:
            self._held.close()
            raise

    def _check_folder(self, inputs: Sequence[Path]) -> None:
        """Refuse a folder with files of others, which would be removed with it."""
        there = sorted(self.directory.iterdir()) if self.directory.is_dir() else []
        read = set(map(identity, inputs))
        foreign = [
            path for path in there if identity(path) in read or not OURS.fullmatch(path.name)
        ]
        if foreign:
            raise UsageError(
                f"{self.directory} is for parts of the result, but holds {foreign[0].name}; move "
                "that away, or give another -o"
            )

    def _lock(self) -> None:
        """Wait for nobody; a lock whose file was meanwhile removed, by its last holder, is none."""
        path = self.directory / LOCK
        while True:
            self.directory.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self._held = open(path, "a")  # noqa: SIM115 (held until the run ends)
                try:
                    import fcntl

                    fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except ImportError:  # Windows, which does not remove files that are open
                    self._held.close()
                    return
                except BlockingIOError:
                    self._held.close()
                    raise UsageError(
                        f"another run is at work in {self.directory}; wait for it, or give "
                        "another -o"
                    ) from None
                if os.path.samestat(os.fstat(self._held.fileno()), path.stat()):
                    return
                self._held.close()

    def _read(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The state that is there, of a run that was asked for the same."""
        anew = f"or remove {self.directory} to begin anew"
        try:
            state = documents.read(self.directory / STATE)
            version, asked = state["version"], dict(state["asked"])
        except (ValueError, KeyError, TypeError):
            where = self.directory / STATE
            raise UsageError(f"{where} is damaged; remove {self.directory}") from None
        if version != VERSION:
            raise UsageError(
                f"{self.directory} is of another version of ittisal; finish with it, {anew}"
            )
        differences = [
            difference(name, asked.get(name), wanted.get(name))
            for name in {**asked, **wanted}
            if asked.get(name) != wanted.get(name) and name != FILES
        ]
        if differences:
            raise UsageError(
                f"{self.directory} was begun {'; '.join(differences)}; give the same options, "
                f"{anew}"
            )
        if asked.get(FILES) != wanted[FILES]:
            raise UsageError(f"the input has changed since {self.directory} was begun; {anew[3:]}")
        return state

    def _check_files(self) -> None:
        """Check that all that the state counts is there, before hours are spent on the rest."""
        state = self.state
        # Of complete runs some may be published already.
        records = {} if state["complete"] else state["lengths"]
        least = {**records, **{part["name"]: part.get("bytes", 1) for part in state["parts"]}}
        for name, length in least.items():
            path = self.directory / name
            if not (path.is_file() and path.stat().st_size >= length):
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

    def add(self, suffix: str, start: float, pictures: int) -> None:
        """Count the piece that was finished, once it is on the disk."""
        path = self.next_part(suffix)
        with writing(path), open(path, "rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        self.state["parts"].append(
            {"name": path.name, "start": start, "pictures": pictures, "bytes": size}
        )

    def save(self, **values: Any) -> None:
        """Replace the state by one with these values; VideoError if it cannot be written."""
        self.state.update(values)
        path = self.directory / STATE
        with writing(path), atomic(path) as temporary, open(temporary, "x") as file:
            json.dump(self.state, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove the directory while no other run can be at work in it."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self._removed = True
        self._held.close()

    def close(self) -> None:
        """Let another run have it; remove it if nothing was done."""
        if not self._removed and not (self.directory / STATE).exists():
            self.remove()
        self._held.close()


def difference(name: str, before: Any, now: Any) -> str:
    """How a run was begun otherwise than it is asked for now.

    Examples
    --------
    >>> difference("--width", None, 64), difference("--no-cuts", False, True)
    ('without --width, not with --width 64', 'without --no-cuts')
    """
    if isinstance(before, bool) or isinstance(now, bool):
        return f"{'with' if before else 'without'} {name}"
    if before is None:
        return f"without {name}, not with {name} {now}"
    if now is None:
        return f"with {name} {before}, not without it"
    return f"with {name} {before}, not {now}"


def _flat(values: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
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
        numbers = f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode()
        digest.update(os.fsencode(path.name) + numbers)  # names may be of any bytes
    return digest.hexdigest()
