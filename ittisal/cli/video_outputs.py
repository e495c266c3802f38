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

from ..files import atomic
from ..imagefiles import SUFFIXES
from ..video import BackgroundWriter, Painter, Stream, open_video
from ..video.readers import reason
from ..video.records import Records, csv_line, json_line
from ..video.sources import is_pattern, matching
from ..video.video_files import CODECS, LEAST_FPS, WRITERS
from ..video.writers import FolderWriter, RawWriter, writing
from . import common
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
    scanpath: bool  # whether fixations are drawn and recorded
    boxes: bool  # the same of regions
    output: str | None
    form: str  # video, folder (of pictures), maps (as computed, in a folder), pipe or none
    pix_fmt: str  # of a pipe
    records: dict[str, str]  # where each form of records goes, by its suffix
    writer: str  # opencv or pyav
    sound: str | None  # the file whose sound a video gets
    clobber: bool  # whether files in a folder are replaced
    skipped: tuple[str, ...]  # files that exist and are to be left as they are

    @property
    def drawn(self) -> bool:
        """Whether pictures are written."""
        return self.form in ("video", "folder", "pipe")

    @property
    def files(self) -> list[str]:
        """The files and folders that are made."""
        paths = [self.output, *self.records.values()]
        return [path for path in paths if path is not None and path != STDOUT]

    @property
    def takes_stdout(self) -> bool:
        """Whether standard output is one of the outputs."""
        return STDOUT in (self.output, *self.records.values())


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
        if not names_a_file(name):
            raise UsageError("what should be made? Give -o, --jsonl, --csv or --show")
        output = str(Path(name).with_name(f"{Path(name).stem}.{kind}.mp4"))
    writer = _writer(args, output)
    form = _form(args, output, writer)
    outputs = {"-o": output, "--jsonl": args.jsonl, "--csv": args.csv}
    for option in ("--jsonl", "--csv"):
        if outputs[option] == "":
            raise UsageError(f"{option} is empty; give a file, or - for standard output")
    on_stdout = [option for option, path in outputs.items() if path == STDOUT]
    binary = "raw video" if form == "pipe" else None
    common.check_stdout(on_stdout + ["--json"] * args.json, binary=binary)
    if args.out_pix_fmt is not None and form != "pipe":
        raise UsageError("--out-pix-fmt is about raw video on standard output; add -o -")
    if args.raw and not (args.jsonl or args.csv) and (args.scanpath or args.boxes):
        raise UsageError(
            "--raw draws nothing; --scanpath and --boxes need --jsonl or --csv, or pictures"
        )
    if form == "video" and args.fps is not None and args.fps < LEAST_FPS:
        raise UsageError(
            f"--fps {args.fps:g}: videos have at least {LEAST_FPS:g}; write pictures, -o "
            "DIR/, or records, --jsonl"
        )
    _check_names(args, name, {o: path for o, path in outputs.items() if path and path != STDOUT})
    skipped = []
    if args.no_clobber:
        skipped = [path for path in outputs.values() if path and os.path.isfile(path)]
        outputs = {o: None if path in skipped else path for o, path in outputs.items()}
    records = {".jsonl": outputs["--jsonl"], ".csv": outputs["--csv"]}
    sound = form == "video" and writer == "pyav" and not (args.no_sound or args.live)
    return Request(
        kind=kind,
        grey=args.grey,
        scanpath=args.scanpath,
        boxes=args.boxes,
        output=outputs["-o"],
        form=form if outputs["-o"] else "none",
        pix_fmt=args.out_pix_fmt or "bgr24",
        records={suffix: path for suffix, path in records.items() if path},
        writer=writer,
        sound=name if sound and os.path.isfile(name) else None,
        clobber=not args.no_clobber,
        skipped=tuple(skipped),
    )


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


def _check_names(args: argparse.Namespace, name: str, outputs: dict[str, str]) -> None:
    """Refuse outputs, by their options, that would replace the input or each other."""
    files = input_files(name)
    common.refuse_inputs(args, outputs.values(), files)
    # Pictures are written under numbers, which may be an input's name.
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    places = {str(path.parent.resolve()) for path in pictures}
    places |= {str(path.resolve().parent) for path in pictures}
    seen = set()
    for option, path in outputs.items():
        key = os.path.realpath(path)
        if key in seen:
            raise UsageError(f"{path} is given twice; every output needs another name")
        if key in places:
            raise UsageError(f"{path} holds pictures of the input {name}; give another place")
        if option != "-o" and os.path.isdir(path):
            raise UsageError(f"{option} {path} is a directory; give a file")
        seen.add(key)


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
        self.counts = {"repeated": 0, "left_out": 0}

    def open(self, stream: Stream, fps: float) -> None:
        """Open all outputs for the results of a stream; videos have this frame rate."""
        request = self.request
        if request.records:
            self._records = Records(stream, fixations=request.scanpath, regions=request.boxes)
            for suffix, path in request.records.items():
                header = self._records.header if suffix == ".csv" else ""
                self.sinks.append(self.open_lines(suffix, path, header))
        if request.form == "maps":
            self.sinks.append(Maps(request))
        if request.drawn or self.window is not None:
            self._pictures = Pictures(stream, request, fps)
            self.sinks.append(self._pictures)
            if request.drawn:
                self.open_pictures(self._pictures)

    def open_lines(self, suffix: str, path: str, header: str) -> Lines:
        """Open a file of records."""
        return Lines(suffix, path, header)

    def open_pictures(self, pictures: Pictures) -> None:
        """Open what pictures are written to."""
        for text in pictures.begin(str(self.request.output), sound=self.request.sound):
            self.report(text)

    def take(self, result: Any) -> bool:
        """Write everything of one result; whether more are wanted.

        OSError if no output is left that can be written on, or the reader of a pipe has gone.
        """
        record = self._records(result) if self._records is not None else {}
        for sink in self.sinks.copy():
            try:
                sink.write(result, record)
            except OSError as error:
                last = len(self.sinks) == 1
                if isinstance(error, BrokenPipeError) or last or not self.independent:
                    raise
                self.error = self.error or error
                name = "standard output: " if sink.path == STDOUT else ""
                self.report(f"{name}{reason(error)}; the other outputs go on")
                self.sinks.remove(sink)
                sink.abandon()
        self.done += 1
        if self.window is None or self._pictures is None or self._pictures.picture is None:
            return True
        return self.window.show(self._pictures.picture)

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
        suffix = {"folder": ".png", "maps": ".npy"}.get(self.request.form)
        if suffix:
            there = Path(str(self.request.output)).glob(f"*{suffix}")
            others = sum(path.stem.isdecimal() for path in there) - self.done
            if others > 0:
                self.report(f"{self.request.output} also holds files of an earlier run: {others}")

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
        self.painter = Painter(
            stream,
            request.kind,
            grey=request.grey,
            scanpath=request.scanpath,
            boxes=request.boxes,
        )
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
        out = self.writing.buffer() if self.writing is not None else None
        self.picture = self.painter(result, out)
        if self.writing is not None:
            self.writing.write(self.picture, result.index, result.time)

    def finish(self) -> None:
        """Complete what is written."""
        self.counts = {}
        try:
            if self.writing is not None:
                self.writing.finish()
                self.counts = self.writing.writer.counts
                self.writing = None
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Remove what is not complete."""
        if self.writing is not None:
            self.writing.abandon()
            self.writing = None


class Maps:
    """A folder of maps as computed."""

    def __init__(self, request: Request) -> None:
        self.path = str(request.output)
        self._writer = FolderWriter(self.path, ".npy", clobber=request.clobber)
        self.counts = self._writer.counts
        self.finish, self.abandon = self._writer.finish, self._writer.abandon

    def write(self, result: Any, record: dict[str, Any]) -> None:
        """Write one map."""
        self._writer.write(result.saliency, result.index, result.time)


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
        self._file: Any = sys.stdout.buffer
        with self._reported():
            if self._named is not None:
                self._file = open(self._named.temporary, "wb")  # noqa: SIM115
            elif work is not None:
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
            self._file.flush()  # who reads a pipe gets each line at once

    def sync(self) -> int:
        """Write all lines to the disk; how many bytes they are."""
        with self._reported():
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
    """OpenCV's window; q, Esc and its close button end it. UsageError if there can be none."""

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
