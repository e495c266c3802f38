"""What `ittisal video` makes of each frame, and where that goes: pictures, maps and records."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing import Painter
from ..files import atomic
from ..video import BackgroundWriter, Stream, open_video
from ..video.readers import reason
from ..video.records import Records, csv_line, json_line
from ..video.sources import is_pattern, matching
from ..video.video_files import CODECS, LEAST_FPS, WRITERS
from ..video.writers import RAW_FORMATS, FolderWriter, RawWriter, writing
from .common import UsageError

STDOUT = "-"
TITLE = "ittisal"
TRIAL = "import cv2; cv2.namedWindow('ittisal'); cv2.destroyAllWindows()"


# --- what is asked for -------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What to make, and where it goes; "-" is standard output."""

    kind: str  # as for `Painter`, and grey too
    grey: bool
    output: str | None
    form: str  # video, folder (of pictures), maps (as computed, in a folder), pipe or none
    pix_fmt: str  # of a pipe
    jsonl: str | None
    csv: str | None
    writer: str  # opencv or pyav
    sound: str | None  # the file whose sound a video gets
    clobber: bool  # whether files in a folder are replaced
    skipped: tuple[str, ...]  # files that exist and are to be left as they are

    @property
    def drawn(self) -> bool:
        """Whether pictures are written."""
        return self.form in ("video", "folder", "pipe")

    @property
    def records(self) -> dict[str, str]:
        """Where each form of records goes, by its suffix."""
        given = {".jsonl": self.jsonl, ".csv": self.csv}
        return {suffix: path for suffix, path in given.items() if path}

    @property
    def files(self) -> list[str]:
        """The files and folders that are made."""
        paths = [self.output, *self.records.values()]
        return [path for path in paths if path is not None and path != STDOUT]

    @property
    def takes_stdout(self) -> bool:
        """Whether standard output is one of the outputs."""
        return STDOUT in (self.output, self.jsonl, self.csv)


def make_request(args: argparse.Namespace, name: str) -> Request:
    """The options about outputs for one input; UsageError where they contradict each other."""
    if not name:
        raise UsageError("INPUT is empty; give a file, a camera's number, an address or a folder")
    kind = args.kind or "overlay"
    if args.grey and kind == "overlay":
        raise UsageError("--grey is about maps; add --map, --side-by-side or --channels")
    output = args.output
    if output is None and (
        not (args.jsonl or args.csv or args.show) or (args.kind and not args.show)
    ):
        output = _default_output(args, name, kind)
    writer = _writer(args, output)
    form = _form(args, output, writer)
    _check_stdout(args, output, form)
    if form == "video" and args.fps is not None and args.fps < LEAST_FPS:
        raise UsageError(
            f"--fps {args.fps:g}: videos have at least {LEAST_FPS:g}; write pictures, -o "
            "DIR/, or records, --jsonl"
        )
    sound = form == "video" and writer == "pyav" and not (args.no_sound or args.live)
    outputs = {"output": output, "jsonl": args.jsonl, "csv": args.csv}
    _check_names(name, [path for path in outputs.values() if path not in (None, STDOUT)])
    skipped = []
    if args.no_clobber:
        skipped = [p for p in outputs.values() if p and os.path.isfile(p)]
        outputs = {key: None if path in skipped else path for key, path in outputs.items()}
    return Request(
        kind=kind,
        grey=args.grey,
        form=form if outputs["output"] else "none",
        pix_fmt=args.out_pix_fmt or "bgr24",
        writer=writer,
        sound=name if sound and os.path.isfile(name) else None,
        clobber=not args.no_clobber,
        skipped=tuple(skipped),
        **outputs,
    )


def _default_output(args: argparse.Namespace, name: str, kind: str) -> str:
    if not names_a_file(name):
        raise UsageError("what should be made? Give -o, --jsonl, --csv or --show")
    if args.raw:
        raise UsageError("--raw needs a folder for its files: -o DIR/")
    path = Path(name)
    return str(path.with_name(f"{path.stem}.{kind}.mp4"))


def _writer(args: argparse.Namespace, output: str | None) -> str:
    """PyAV where it is installed and writes such files."""
    if args.writer:
        return str(args.writer)
    suffix = Path(output or "").suffix.lower()
    installed = importlib.util.find_spec("av") is not None
    pyav = suffix in CODECS["pyav"] and (installed or suffix not in CODECS["opencv"])
    return "pyav" if pyav else "opencv"


def _form(args: argparse.Namespace, output: str | None, writer: str) -> str:
    """What the output is."""
    if output is None:
        return "none"
    if output == "":
        raise UsageError("-o is empty; give a file, a directory, or - for standard output")
    if output.endswith((os.sep, "/")) or os.path.isdir(output):
        return "maps" if args.raw else "folder"
    if args.raw:
        raise UsageError("--raw needs a folder for its files: -o DIR/")
    if output == STDOUT:
        return "pipe"
    suffix = Path(output).suffix.lower()
    if suffix not in CODECS[writer]:
        (other,) = (name for name in WRITERS if name != writer)
        hint = f"take --writer {other}, " * (suffix in CODECS[other])
        suffixes = CODECS[writer] if args.writer else {**CODECS["opencv"], **CODECS["pyav"]}
        raise UsageError(
            f"-o {output}: videos by {args.writer or 'OpenCV or PyAV'} end in "
            f"{', '.join(suffixes)}; {hint}end in one of these, or in / for a folder of pictures"
        )
    return "video"


def _check_stdout(args: argparse.Namespace, output: str | None, form: str) -> None:
    named = (("-o", output), ("--jsonl", args.jsonl), ("--csv", args.csv))
    on_stdout = [name for name, value in named if value == STDOUT] + ["--json"] * args.json
    if len(on_stdout) > 1:
        raise UsageError(
            f"standard output takes one of {' and '.join(on_stdout)}; give the others a file"
        )
    if form == "pipe" and sys.stdout.isatty():
        raise UsageError(
            "raw video would go to standard output, which is a terminal; redirect it, or give a "
            "file with -o"
        )
    if args.out_pix_fmt is not None:
        if form != "pipe":
            raise UsageError("--out-pix-fmt is about raw video on standard output; add -o -")
        if args.out_pix_fmt not in RAW_FORMATS:
            raise UsageError(
                f"--out-pix-fmt {args.out_pix_fmt} is not one of {', '.join(RAW_FORMATS)}"
            )


def _check_names(name: str, files: list[str]) -> None:
    """Refuse outputs that would replace the input or each other."""
    seen: dict[str, str] = {}
    for path in files:
        key = os.path.realpath(path)
        if key in seen:
            raise UsageError(f"{path} is given twice; every output needs another name")
        seen[key] = path
    read = name if name != STDOUT else ""
    places = {os.path.realpath(path) for path in input_files(read)}
    if not os.path.isfile(read):  # pictures: nothing goes among them
        places |= {os.path.dirname(path) for path in places}
    if os.path.exists(read):
        places.add(os.path.realpath(read))
    for key, path in seen.items():
        if key in places:
            raise UsageError(f"{path} would overwrite the input {name}; give another place")


def names_a_file(name: str) -> bool:
    """Whether an input is a file, or would be one if it were there."""
    if os.path.exists(name):
        return os.path.isfile(name)
    return not (name == STDOUT or name.isdecimal() or "://" in name or is_pattern(name))


def input_files(name: str) -> list[Path]:
    """The files that an input stands for; none if it is no file."""
    if name == STDOUT:
        return []
    if os.path.isfile(name):
        return [Path(name)]
    if os.path.isdir(name):
        return sorted(path for path in Path(name).iterdir() if path.is_file())
    return sorted(map(Path, matching(name))) if is_pattern(name) else []


# --- outputs -----------------------------------------------------------------------------------


class Outputs:
    """Draws, records, shows and writes results; `report` is called with what is worth knowing."""

    first = 0  # the number of the frame to open the input at
    complete = False  # whether an earlier run did all frames: `publish` is all that is left
    independent = True  # whether the others go on without an output that fails

    def __init__(
        self, request: Request, window: Window | None, report: Callable[[str], None]
    ) -> None:
        self.request, self.window, self.report = request, window, report
        self.done = 0  # frames written
        self.written: list[str] = []  # files that are complete
        self.error: OSError | None = None  # of the first output that could not be written on
        self._records: Records | None = None
        self._pictures: Pictures | None = None
        self.sinks: list[Pictures | Maps | Lines] = []
        self.counts: dict[str, int] = {"repeated": 0, "left_out": 0}

    def open(self, stream: Stream, fps: float) -> None:
        """Open all outputs for the results of a stream; videos have this frame rate."""
        request = self.request
        if request.records:
            self._records = Records(stream)
            for suffix, path in request.records.items():
                header = self._records.header if suffix == ".csv" else ""
                self.sinks.append(self.open_lines(suffix, path, header))
        if request.form == "maps":
            self.sinks.append(Maps(request))
        if request.drawn or self.window is not None:
            self._pictures = pictures = Pictures(stream, request, fps)
            self.sinks.append(pictures)
            if request.drawn:
                self.open_pictures(pictures)

    def open_lines(self, suffix: str, path: str, header: str) -> Lines:
        """Open a file of records."""
        return Lines(suffix, path, header)

    def open_pictures(self, pictures: Pictures) -> None:
        """Open what pictures are written to."""
        assert self.request.output is not None
        for text in pictures.begin(self.request.output, sound=self.request.sound):
            self.report(text)

    def take(self, result: Any) -> bool:
        """Write everything of one result; whether more are wanted.

        Raises
        ------
        OSError
            No output is left that can be written on, or the reader of a pipe has gone.
        """
        record = self._records(result) if self._records is not None else {}
        for sink in self.sinks.copy():
            try:
                sink.write(result, record)
            except BrokenPipeError:
                raise
            except OSError as error:
                if not self.independent or len(self.sinks) == 1:
                    raise
                self._give_up(sink, error)
        self.done += 1
        if self.window is None or self._pictures is None or self._pictures.picture is None:
            return True
        return self.window.show(self._pictures.picture)

    def _give_up(self, sink: Pictures | Maps | Lines, error: OSError) -> None:
        self.error = self.error or error
        name = "standard output: " if sink.path == STDOUT else ""
        self.report(f"{name}{reason(error)}; the other outputs go on")
        self.sinks.remove(sink)
        sink.abandon()

    def finish(self, *, complete: bool, whole: bool) -> None:
        """Complete all outputs; if one fails, the others are completed all the same.

        `complete` says that all frames that were wanted are done, `whole` that all outputs have
        all frames that are done.
        """
        for sink in self.sinks:
            try:
                sink.finish()
            except OSError as error:
                self.error = self.error or error
                continue
            self.count(sink.counts)
            if sink.path != STDOUT and sink.path is not None:
                self.written.append(sink.path)
        self.written.sort(key=self.request.files.index)

    def count(self, counts: dict[str, int]) -> None:
        """Add what became of pictures."""
        for name in self.counts:
            self.counts[name] += counts.get(name, 0)

    def totals(self, statistics: dict[str, Any]) -> dict[str, Any]:
        """Counts of the stream and of the outputs."""
        return {**statistics, **self.counts}

    def publish(self) -> None:
        """Nothing: outputs have their names."""

    def abandon(self) -> None:
        """Leave nothing half written."""
        for sink in self.sinks:
            sink.abandon()

    def close(self) -> None:
        """Nothing is held."""


class Pictures:
    """Pictures of results, written in the background, or only drawn for a window."""

    def __init__(self, stream: Stream, request: Request, fps: float) -> None:
        self.painter = Painter(stream, request.kind, grey=request.grey)
        self.picture: np.ndarray | None = None
        self.path = request.output if request.drawn else None
        self.counts: dict[str, int] = {}
        self.writing: BackgroundWriter | None = None
        self._request, self._fps, self._aspect = request, fps, stream.aspect

    def begin(self, path: str | Path, **options: Any) -> list[str]:
        """Open a writer; what it leaves out. `options` are those of `open_video`."""
        request, size = self._request, self.painter.size
        writer: Any
        if request.form == "pipe":
            writer = RawWriter(sys.stdout.buffer, request.pix_fmt)
        elif request.form == "folder":
            writer = FolderWriter(path, clobber=request.clobber)
        else:
            writer = open_video(
                path, size, writer=request.writer, fps=self._fps, aspect=self._aspect, **options
            )
        self.writing = BackgroundWriter(writer, (*size, 3))
        return getattr(writer, "notes", [])

    def write(self, result: Any, record: dict[str, Any]) -> None:
        """Draw and write one picture."""
        if self.writing is None:
            self.picture = self.painter(result)
        else:
            self.picture = self.painter(result, self.writing.buffer())
            self.writing.write(self.picture, result.index, result.time)

    def finish(self) -> None:
        """Complete what is written."""
        self.counts = {}
        if self.writing is None:
            return
        try:
            self.writing.finish()
            self.counts = self.writing.writer.counts
        except BaseException:
            self.abandon()
            raise
        self.writing = None

    def abandon(self) -> None:
        """Remove what is not complete."""
        if self.writing is not None:
            self.writing.abandon()
            self.writing = None


class Maps:
    """A folder of maps as computed."""

    def __init__(self, request: Request) -> None:
        assert request.output is not None
        self.path: str = request.output
        self._writer = FolderWriter(self.path, ".npy", clobber=request.clobber)
        self.counts = self._writer.counts

    def write(self, result: Any, record: dict[str, Any]) -> None:
        """Write one map."""
        self._writer.write(result.saliency, result.index, result.time)

    def finish(self) -> None:
        """Nothing: every file is whole."""

    def abandon(self) -> None:
        """Nothing: every file is whole."""


class Lines:
    """A text file of one line per frame, or standard output.

    A run that can be resumed writes to `work`, cut to the `length` that counts, and publishes it
    itself.
    """

    def __init__(
        self, suffix: str, path: str, header: str, *, work: Path | None = None, length: int = 0
    ) -> None:
        self.suffix, self.path, self.counts = suffix, path, {"frames": 0}
        self._line = csv_line if suffix == ".csv" else json_line
        self._named = None if path == STDOUT or work is not None else atomic(path)
        # Standard output and pipes get each line at once.
        self._direct = path == STDOUT or (self._named and self._named.temporary == Path(path))
        with self._reported():
            if path == STDOUT:
                self._file: Any = sys.stdout.buffer
            elif self._named is not None:
                self._file = open(self._named.temporary, "wb")  # noqa: SIM115
            else:
                assert work is not None
                self._file = open(work, "r+b" if length else "wb")  # noqa: SIM115
                self._file.truncate(length)
                self._file.seek(length)
        if header and not length:
            self._add(header)

    def write(self, result: Any, record: dict[str, Any]) -> None:
        """Add the line of one record."""
        self._add(self._line(record))

    def _add(self, line: str) -> None:
        with self._reported():
            self._file.write(line.encode("utf-8", "surrogateescape") + b"\n")
            if self._direct:
                self._file.flush()

    def sync(self) -> int:
        """Write all lines to the disk; how many bytes they are."""
        with self._reported():
            self._file.flush()
            os.fsync(self._file.fileno())
        return int(self._file.tell())

    def finish(self) -> None:
        """Close the file and give it its name."""
        if self.path == STDOUT:
            return
        try:
            with self._reported():
                self._file.close()
                if self._named is not None:
                    self._named.publish()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file and, under a temporary name, remove it."""
        if self.path != STDOUT:
            with contextlib.suppress(OSError):  # what it buffered may not fit the disk
                self._file.close()
        if self._named is not None:
            self._named.discard()

    def _reported(self) -> Any:
        # The command line reports errors of standard output.
        return contextlib.nullcontext() if self.path == STDOUT else writing(self.path)


class Window:
    """OpenCV's window; q, Esc and its close button end it.

    Raises
    ------
    UsageError
        There is no display, or this OpenCV has no windows.
    """

    def __init__(self) -> None:
        # In a process of its own: without a display some windowing libraries end the process.
        trial = subprocess.run(
            [sys.executable, "-c", TRIAL], capture_output=True, timeout=60, check=False
        )
        if trial.returncode:
            raise UsageError(
                "--show: no window can be opened: there is no display, or this OpenCV is a "
                "headless one. Write a file with -o, or pipe raw video to a player with -o -"
            )
        import cv2

        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        self._fresh = True

    def show(self, picture: np.ndarray) -> bool:
        """Show a picture; whether more are wanted."""
        import cv2

        if self._fresh:
            cv2.resizeWindow(TITLE, *picture.shape[1::-1])
            self._fresh = False
        cv2.imshow(TITLE, picture)
        key = cv2.waitKey(1) & 0xFF
        return key not in (27, ord("q")) and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close it."""
        import cv2

        cv2.destroyAllWindows()
