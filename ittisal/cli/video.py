"""`ittisal video`: the saliency of a video, a camera, a network stream or a pipe."""

from __future__ import annotations

import argparse
import glob
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..config import MIN_SIDE, Config
from ..video import RawVideo, Source, Stream, VideoError, stream, writers
from ..video.opencv_writer import CODECS as OPENCV_SUFFIXES
from ..video.pictures import KINDS
from ..video.pyav_writer import CODECS as PYAV_SUFFIXES
from ..video.raw import PIXEL_FORMATS
from ..video.sources import DEFAULT_FPS, READERS
from ..video.writers import RAW_FORMATS, WRITERS
from . import images, options
from .errors import UsageError, debugging, reason
from .interrupts import Interrupts
from .progress import Progress
from .resuming import Parts, Past
from .video_outputs import STDOUT, Outputs, Request, publish
from .window import Window

LEAST_FPS, MOST_FPS = 1.0, 240.0  # of inputs, as far as they are believed
CAPPED_FPS = 120.0  # of videos of those above
TOLD = (
    "dropped", "failed", "missing", "cuts", "resizes", "reconnects", "mended", "repeated",
    "left_out",
)  # fmt: skip
NOTABLE = 0.1  # share of frames repeated or left out that is worth a line

DESCRIPTION = """\
The saliency of every frame of a video, or of the newest frame of a live one: as a video, as one
line of numbers per frame, or in a window. clip.mp4 becomes clip.overlay.mp4 beside it, unless
something else is asked for. The paths of what was written are printed on standard output,
everything else on standard error.
"""

EPILOG = """\
inputs:
  A video file; the number of a camera; an address (rtsp://, http://, ...); a directory or quoted
  pattern of pictures, which are frames in natural order. `-` is standard input: raw video with
  --size, else a file that can be read from its beginning to its end, such as MPEG-TS or Matroska.

outputs:
  -o FILE      a video. OpenCV, the default, writes .mp4, .m4v, .mov, .mkv (MPEG-4) and .avi
               (Motion JPEG) at a constant rate: frames are repeated or left out so that each is
               shown at its time to half a frame. --writer pyav keeps times exactly, writes H.264
               (.webm: VP9) and carries the sound over. Pictures of odd size gain a pixel.
  -o DIR/      a PNG per frame, 000012.png; with --raw a float32 .npy of the map as computed
  -o -         raw video on standard output; each picture once, without times
  --jsonl FILE a line per frame: number and time, dropped frames before it, latency, the peak in
               pixels of the input and its value, the map's mean, and each channel's share
  --csv FILE   the same as a table
  Brightness follows the maps' peak over time, quickly up and slowly down, so that nothing
  flickers. Frames of another size than the first are scaled into the same picture.

long files:
  --resume     works in OUT.parts, and goes on there if it was interrupted or killed: no frame is
               twice or missing. At most --checkpoint frames are computed again. Pieces are joined
               without recoding by PyAV; without it OpenCV recodes them.

examples:
  ittisal video clip.mp4                                  clip.overlay.mp4
  ittisal video clip.mp4 -o map.mp4 --map --writer pyav   exact times, with its sound
  ittisal video clip.mp4 --jsonl - | jq .peak             where attention goes
  ittisal video 0 --show --width 320                      a camera in a window
  ittisal video rtsp://camera/stream --jsonl - --reconnect forever
  ittisal video day.mp4 --every 5 --csv day.csv --resume  again, if it was interrupted
  ffmpeg -i clip.mp4 -f rawvideo -pix_fmt bgr24 - |
    ittisal video - --size 1280x720 --pix-fmt bgr24 --fps 25 -o - |
    ffmpeg -f rawvideo -pix_fmt bgr24 -s 1280x720 -r 25 -i - out.mp4

exit status:
  0 all went well; 1 the input or an output failed, or some frames did, or it is cut short;
  2 wrong usage, nothing was done; 130 interrupted, 143 terminated, 129 hung up: outputs are
  complete up to there, or removed at a second interrupt. Files are written under a temporary name
  and renamed: never half. If one cannot be written on, it is removed, and the others are completed.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser(
        "video", help="saliency of a video or camera", description=DESCRIPTION, epilog=EPILOG
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("input", metavar="INPUT", help="a file, camera, address, folder, pattern, or - for stdin")
    add("-o", "--output", metavar="OUT", help="a video file, DIR/, or - for standard output")

    group = parser.add_argument_group("pictures")
    kinds = group.add_mutually_exclusive_group()
    for kind, text in zip(
        KINDS,
        (
            "heat over the frame in grey (default)",
            "the frame, and the map right of it",
            "the map in colours",
            "a panel of the frame, what each channel adds, and the map",
        ),
        strict=True,
    ):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=text)
    group.add_argument("--grey", action="store_true", help="maps in grey instead of colours")
    kinds.add_argument("--raw", action="store_true", help="with -o DIR/: maps as computed, .npy")
    group.add_argument("--show", action="store_true", help="also in a window; q or Esc ends")

    group = parser.add_argument_group("records")
    group.add_argument("--jsonl", metavar="FILE", help="a JSON line per frame; - for stdout")
    group.add_argument("--csv", metavar="FILE", help="a table with a row per frame; - for stdout")
    group.add_argument("--json", action="store_true", help="in the end, a JSON object on stdout")

    group = parser.add_argument_group("frames")
    add = group.add_argument
    add("--every", metavar="N", type=_whole, default=1, help="take only every N-th frame")
    add("--start", metavar="TIME", type=_time, help="begin there; seconds, or [HH:]MM:SS")
    add("--end", metavar="TIME", type=_time, help="end before it")
    add("--frames", metavar="N", type=_whole, help="end after so many")
    add("--width", metavar="N", type=_width, help="shrink frames to it for the model only")
    add(
        "--live",
        action="store_true",
        help="only ever the newest frame, a file at its own speed (default: cameras, addresses)",
    )
    add(
        "--reconnect",
        metavar="SECONDS",
        type=_patience,
        default=0.0,
        help="try so long to open a camera or address that vanished; or forever (default: 0)",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=10.0,
        help="without a frame, after which a camera or address has vanished (default: 10)",
    )
    add("--no-cuts", action="store_true", help="do not look for cuts")

    group = parser.add_argument_group("reading and writing")
    add = group.add_argument
    add("--reader", choices=READERS, default="opencv", help="what reads (default: opencv)")
    add("--writer", choices=WRITERS, help="what writes videos (default: as --reader)")
    add("--no-sound", action="store_true", help="do not carry the sound over")
    add(
        "--fps",
        metavar="F",
        type=_rate,
        help="frames per second of inputs that know no times, such as pipes and folders "
        f"(default: {DEFAULT_FPS:g}), and of videos that OpenCV writes (default: the input's, "
        f"at least {LEAST_FPS:g}; {CAPPED_FPS:g} for those above {MOST_FPS:g})",
    )
    add("--size", metavar="WxH", type=options.size, help="of raw video on standard input")
    add("--pix-fmt", metavar="FMT", help=f"of that: {', '.join(PIXEL_FORMATS)} (default: bgr24)")
    add(
        "--out-pix-fmt",
        metavar="FMT",
        help=f"of raw video on standard output: {', '.join(RAW_FORMATS)} (default: bgr24)",
    )
    add("--resume", action="store_true", help="go on where an interrupted run with it ended")
    add(
        "--checkpoint",
        metavar="N",
        type=_whole,
        default=1000,
        help="with --resume: make sure of what is done every N frames (default: 1000)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only errors")
    options.add_model_options(parser, preset="video")


def run(args: argparse.Namespace) -> int:
    """Work on every frame; see the epilog for the exit status."""
    config = options.read_config(args)
    images.require_opencv()
    _quieten()
    options.check_backend(args.backend, config, args.threads)
    request = _request(args)
    opening = _opening(args, config)
    for path in request.files:
        images.probe_directory(
            Path(path) if request.form in ("folder", "maps") and path == request.output
            else Path(path).absolute().parent,
            create=request.form in ("folder", "maps") and path == request.output,
        )  # fmt: skip
    window = Window() if args.show else None
    parts = _parts(args, request, config) if args.resume else None
    at_work = _Run(args, request, config, opening, window, parts)
    try:
        return at_work.go()
    except Exception as error:
        at_work.tell_error(error)
        raise
    finally:
        if parts is not None:
            parts.close()
        if window is not None:
            window.close()


class _Run:
    """One run of the command, from the opened outputs to what is told at the end."""

    def __init__(
        self,
        args: argparse.Namespace,
        request: Request,
        config: Config,
        opening: Callable[..., Stream],
        window: Window | None,
        parts: Parts | None,
    ) -> None:
        self.args, self.request, self.config = args, request, config
        self.opening, self.window, self.parts = opening, window, parts
        self.interrupts = Interrupts()
        self.progress = Progress(0, wanted=False)
        self.past = Past(config)
        before = parts.state if parts is not None else {}
        self.base: dict[str, Any] = before.get("counts", {})  # of earlier runs
        self.next = before.get("next", 0)
        self.again: dict[str, Any] = {}  # counted again while the past was rebuilt
        self.fps = before.get("fps", DEFAULT_FPS)
        self.about: dict[str, Any] = {}
        self.error: OSError | None = None
        self.complete = bool(before.get("complete"))
        self.broken = False  # an output, so that not all of the last frame is written
        self.done = 0  # frames of this run
        self.made = True  # outputs, unless there was nothing to put into them
        self.told = False

    def go(self) -> int:
        """The exit status."""
        state = self.parts.state if self.parts is not None else {}
        with self.interrupts:
            if not state.get("complete"):
                self._frames()
            interrupted = self.interrupts.number
            if self.parts is not None and self.parts.state["complete"]:
                for text in publish(self.parts, self.request, self.fps):
                    self._note(text)
        summary = self._summary()
        self._tell(summary)
        if self.error is not None:
            raise self.error
        if interrupted is not None and not self.complete:
            how = "interrupted" if interrupted == signal.SIGINT else "terminated"
            resume = "" if self.parts is None else "; the same command goes on from there"
            print(f"ittisal video: {how}{resume}", file=sys.stderr)
            return 128 + interrupted
        return 1 if summary["failed"] or summary["missing"] else 0

    def _frames(self) -> None:
        try:
            with self.interrupts.waiting():
                first = self.parts.state["first"] if self.parts is not None else 0
                opened = self.opening(first=first, report=self._report)
        except KeyboardInterrupt:
            return
        with opened:
            self.fps = self.args.fps or max(
                _likely(opened.fps) / self.args.every, writers.LEAST_FPS
            )
            if self.parts is not None:
                self.parts.state["fps"] = self.fps
            outputs = Outputs(
                opened,
                self.request,
                self.fps,
                window=self.window,
                parts=self.parts,
                note=self._note,
            )
            try:
                total, done = self._total(opened), self.base.get("frames", 0)
                wanted = not self.args.quiet
                with Progress(total, wanted=wanted, unit="frame", done=done) as self.progress:
                    self.complete = self._each(opened, outputs)
                    self._end(opened, outputs)
            except BaseException:
                outputs.abandon()
                raise
            finally:
                self._learn(opened, outputs)

    def _each(self, opened: Stream, outputs: Outputs) -> bool:
        """Work on frame after frame; whether all are done that were wanted."""
        count = self.base.get("frames", 0)
        unsaved = 0
        while True:
            if self.args.frames is not None and count >= self.args.frames:
                return True
            try:
                with self.interrupts.waiting():
                    result = next(opened, None)
            except KeyboardInterrupt:
                return False
            except VideoError as error:
                if not count:
                    raise
                self.error = error  # what is done is kept
                return False
            if result is None:
                return True
            self.past.add(result.index, result.time)
            if result.index < self.next:
                self.again = opened.statistics.as_dict()
                continue
            try:
                more = outputs.take(result)
            except OSError as error:
                self.error, self.broken = error, True
                return False
            self.next = result.index + 1
            count, unsaved, self.done = count + 1, unsaved + 1, self.done + 1
            self.progress.step()
            if self.parts is not None and unsaved >= self.args.checkpoint:
                self._save(opened, outputs, complete=False)
                unsaved = 0
            if not more:
                return True

    def _end(self, opened: Stream, outputs: Outputs) -> None:
        if not (self.done or self.complete or self.broken):
            self.made = False  # and what stands there from another run stays
            outputs.abandon()
            return
        try:
            if self.parts is not None and not self.broken:
                self._save(opened, outputs, complete=self.complete)
            outputs.finish()
        except OSError as error:
            raise (self.error or error) from None  # the first says what is the matter

    def _save(self, opened: Stream, outputs: Outputs, *, complete: bool) -> None:
        outputs.save(
            next=self.next,
            first=self.past.first,
            counts=self._counts(opened, outputs),
            complete=complete,
        )

    def _counts(self, opened: Stream, outputs: Outputs) -> dict[str, Any]:
        """Counts of all runs, each frame once."""
        now = opened.statistics.as_dict()
        counts = {
            name: self.base.get(name, 0) + number - self.again.get(name, 0)
            for name, number in now.items()
            if isinstance(number, int)
        }
        counts["missing"] = now["missing"]
        for name in ("repeated", "left_out"):
            counts[name] = self.base.get(name, 0) + outputs.counts.get(name, 0)
        return counts

    def _learn(self, opened: Stream, outputs: Outputs) -> None:
        """Keep what is told at the end."""
        statistics = opened.statistics.as_dict()
        self.base = self._counts(opened, outputs)
        self.about = {
            "width": opened.size[1],
            "height": opened.size[0],
            "backend": opened.model.backend,
            **{name: statistics[name] for name in ("seconds", "fps", "latency_ms")},
        }

    def _summary(self) -> dict[str, Any]:
        names = ("frames", "dropped", "failed", "missing", "repeated", "left_out")
        counts = {
            name: self.base.get(name, 0)
            for name in (*names, "reconnects", "cuts", "resizes", "mended")
        }
        state = self.parts.state if self.parts is not None else {"complete": bool(self.about)}
        return {
            "input": self.args.input,
            "outputs": self.request.files if state["complete"] and self.made else [],
            "interrupted": self.interrupts.number is not None and not self.complete,
            **counts,
            **self.about,
            **({"error": reason(self.error)} if self.error is not None else {}),
        }

    def tell_error(self, error: Exception) -> None:
        """With --json, what ends a run before there is a summary; `main` tells the person."""
        if self.args.json and not self.told and not isinstance(error, UsageError):
            name = self.args.input
            print(json.dumps({"input": name, "error": reason(error).removeprefix(f"{name}: ")}))

    def _tell(self, summary: dict[str, Any]) -> None:
        self.told = True
        if self.args.json:
            print(json.dumps(summary))
        elif not self.args.quiet and not _takes_stdout(self.request):
            for path in summary["outputs"]:
                print(path)
        if self.args.quiet or "latency_ms" not in summary:
            return
        moved = summary["repeated"] + summary["left_out"]
        if self.args.fps is None and moved > NOTABLE * summary["frames"]:
            print(
                "ittisal video: the times vary, or frames are missing: see what was repeated and "
                "left out below; --writer pyav keeps the times, or give --fps",
                file=sys.stderr,
            )
        latency = {k: v for k, v in summary["latency_ms"].items() if v is not None}
        told = ", ".join(f"{name} {value:.1f}" for name, value in latency.items())
        counts = ", ".join(
            f"{summary[name]} {name.replace('_', ' ')}"
            for name in TOLD
            if summary[name] or name in ("dropped", "failed")
        )
        print(
            f"ittisal video: {summary['frames']} frames, {summary['fps']:.1f} per second; "
            f"{counts}; latency in ms: {told or 'none'}",
            file=sys.stderr,
        )

    def _total(self, opened: Stream) -> int | None:
        """About how many frames there will be."""
        args, total = self.args, opened.frames
        if total is not None and opened.fps:
            end = min(total, args.end * opened.fps) if args.end is not None else total
            total = max(round(end - (args.start or 0.0) * opened.fps), 0)
        if total is not None:
            total = -(-total // args.every)
        if args.frames is not None:
            total = min(total, args.frames) if total is not None else args.frames
        return total

    def _report(self, text: str) -> None:
        self.progress.say(f"ittisal video: {text}")

    def _note(self, text: str) -> None:
        if not self.args.quiet:
            self._report(text)


def _request(args: argparse.Namespace) -> Request:
    """The options about outputs in one piece, contradictions refused."""
    if not args.input:
        raise UsageError("INPUT is empty; give a file, a camera's number, an address or a folder")
    kind = args.kind or "overlay"
    if args.grey and kind == "overlay":
        raise UsageError("--grey is about maps; add --map, --side-by-side or --channels")
    output = args.output
    wanted = (args.jsonl, args.csv, args.show or None)
    if output is None and (wanted == (None, None, None) or (args.kind and not args.show)):
        output = _default_output(args, kind)
    form = _form(args, output)
    on_stdout = [
        name
        for name, value in (("-o", output), ("--jsonl", args.jsonl), ("--csv", args.csv))
        if value == STDOUT
    ] + (["--json"] if args.json else [])
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
    if args.resume and (form == "pipe" or STDOUT in (args.jsonl, args.csv)):
        raise UsageError("--resume needs files; standard output cannot be gone back on")
    writer = args.writer or args.reader
    sound = None
    if form == "video" and writer == "pyav" and not args.no_sound and not args.live:
        sound = args.input if os.path.isfile(args.input) else None
    if form == "video" and args.fps is not None and args.fps < writers.LEAST_FPS:
        raise UsageError(
            f"--fps {args.fps:g}: videos have at least {writers.LEAST_FPS:g}; write pictures, -o "
            "DIR/, or records, --jsonl"
        )
    request = Request(
        kind, args.grey, output, form, args.out_pix_fmt or "bgr24", args.jsonl, args.csv, writer,
        sound,
    )  # fmt: skip
    _check_names(args, request)
    return request


def _default_output(args: argparse.Namespace, kind: str) -> str:
    name = args.input
    if not _names_a_file(name):
        raise UsageError("what should be made? Give -o, --jsonl, --csv or --show")
    if args.raw:
        raise UsageError("--raw needs a folder for its files: -o DIR/")
    path = Path(name)
    return str(path.with_name(f"{path.stem}.{kind}.mp4"))


def _names_a_file(name: str) -> bool:
    """Whether an input is a file, or would be one if it were there."""
    if os.path.exists(name):
        return os.path.isfile(name)
    other = name == STDOUT or name.isdecimal() or "://" in name
    return not other and not any(sign in name for sign in "*?[")


def _form(args: argparse.Namespace, output: str | None) -> str:
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
    suffix, writer = Path(output).suffix.lower(), args.writer or args.reader
    suffixes = OPENCV_SUFFIXES if writer == "opencv" else PYAV_SUFFIXES
    if suffix not in suffixes:
        other = PYAV_SUFFIXES if writer == "opencv" else OPENCV_SUFFIXES
        hint = f"add --writer {'pyav' if writer == 'opencv' else 'opencv'}, " * (suffix in other)
        raise UsageError(
            f"-o {output}: {writer} writes {', '.join(suffixes)}; {hint}end in one of these, or in "
            "/ for a folder of pictures"
        )
    return "video"


def _check_names(args: argparse.Namespace, request: Request) -> None:
    """Refuse outputs that would take the place of the input or of each other."""
    seen: dict[str, str] = {}
    for path in request.files:
        key = os.path.realpath(path)
        if key in seen:
            raise UsageError(f"{path} is given twice; every output needs a name of its own")
        seen[key] = path
    read = args.input if args.input != STDOUT else ""
    places = {os.path.realpath(path) for path in _inputs(read)}
    if not os.path.isfile(read):  # pictures: nothing goes among them
        places |= {os.path.dirname(path) for path in places}
    if os.path.exists(read):
        places.add(os.path.realpath(read))
    for key, path in seen.items():
        if key in places:
            raise UsageError(f"{path} would overwrite the input {args.input}; give another place")


def _likely(fps: float | None) -> float:
    """The rate of a video that is not told otherwise: the input's, unless that is none.

    Files of browsers give the ticks of their clock, 1000 per second, and files with long gaps
    averages that no part of them has.

    Examples
    --------
    >>> [_likely(fps) for fps in (None, 0.0056, 23.976, 240.0, 1000.0)]
    [25.0, 1.0, 23.976, 240.0, 120.0]
    """
    fps = fps or DEFAULT_FPS
    return CAPPED_FPS if fps > MOST_FPS else max(fps, LEAST_FPS)


def _takes_stdout(request: Request) -> bool:
    return STDOUT in (request.output, request.jsonl, request.csv)


def _opening(args: argparse.Namespace, config: Config) -> Callable[..., Stream]:
    """What opens the input, once its options make sense."""
    source: Any = args.input
    if source == "-":
        source = _stdin(args)
    elif args.size is not None or args.pix_fmt is not None:
        raise UsageError(
            "--size and --pix-fmt are about raw video on standard input; give - for it"
        )
    elif source.isdecimal() and not os.path.exists(source):
        source = int(source)
    if args.start is not None and args.end is not None and args.start >= args.end:
        raise UsageError(f"--start {args.start:g} s is not before --end {args.end:g} s")
    if args.resume and not (_inputs(args.input) or _names_a_file(args.input)):
        raise UsageError("--resume needs an input that can be read again: a file or a folder")
    if args.resume and args.live:
        raise UsageError("--resume is for every frame of a file, --live for the newest; give one")

    def opening(**more: Any) -> Stream:
        try:
            return stream(
                source,
                config,
                live=True if args.live else None,
                backend=args.backend,
                threads=args.threads,
                channel_order="bgr",
                width=args.width,
                every=args.every,
                start=args.start,
                end=args.end,
                reader=args.reader,
                reconnect=args.reconnect,
                cuts=not args.no_cuts,
                fps=args.fps,
                timeout=args.timeout,
                **more,
            )
        except (TypeError, ValueError) as error:
            if str(error).startswith("frame is "):  # no option is wrong, the input's size is
                raise VideoError(f"{args.input}: {error}") from error
            raise UsageError(str(error)) from error

    return opening


def _stdin(args: argparse.Namespace) -> Any:
    """Standard input as a source."""
    if sys.stdin.isatty():
        raise UsageError("- reads video from standard input, which is a terminal; pipe it in")
    if args.size is not None:
        try:
            return RawVideo(sys.stdin.buffer, args.size, args.pix_fmt or "bgr24", args.fps)
        except ValueError as error:
            raise UsageError(str(error)) from error
    if args.pix_fmt is not None:
        raise UsageError("--pix-fmt is about raw video, which needs --size WIDTHxHEIGHT too")
    name = "standard input"
    if args.reader == "pyav":
        from ..video.pyav_reader import open_pyav

        return Source(name, partial(open_pyav, "pipe:0", name, "bgr"))
    from ..video.opencv_reader import open_file

    return Source(name, partial(open_file, "pipe:0", name))


def _inputs(name: str) -> list[Path]:
    """The files that an input stands for; none if it is no file."""
    if name == STDOUT:
        return []
    if os.path.isfile(name):
        return [Path(name)]
    if os.path.isdir(name):
        return sorted(path for path in Path(name).iterdir() if path.is_file())
    if "://" not in name and any(sign in name for sign in "*?["):
        return sorted(Path(p) for p in glob.glob(name, recursive=True) if os.path.isfile(p))
    return []


def _parts(args: argparse.Namespace, request: Request, config: Config) -> Parts:
    """The directory of a run that can be resumed, beside its first output."""
    if not request.files:
        raise UsageError("--resume needs an output: -o, --jsonl or --csv")
    names = ("every", "start", "end", "frames", "width", "reader", "fps", "no_cuts", "raw")
    asked = {f"--{name.replace('_', '-')}": getattr(args, name) for name in names}
    places = {
        "the input": args.input, "-o": request.output, "--jsonl": request.jsonl,
        "--csv": request.csv,
    }  # fmt: skip
    # However they are written, and from wherever: realpath.
    asked |= {name: path and os.path.realpath(path) for name, path in places.items()}
    asked |= {
        "--writer": request.writer,
        "pictures of kind": request.kind,
        "--grey": request.grey,
        "the model's": config.to_dict(),
    }
    directory = Path(request.files[0].rstrip("/" + os.sep) + ".parts")
    return Parts(directory, asked, _inputs(args.input))


def _quieten() -> None:
    """Keep what C libraries print about bad files from the user, who gets our line instead."""
    if not debugging():
        import cv2

        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # none; read at the first use


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 to 1000000000")
    return int(text)


def _width(text: str) -> int:
    value = _whole(text)
    if value < MIN_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r} must be at least {MIN_SIDE} pixels")
    return value


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 10_000:  # also catches NaN
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0 and at most 10000")
    return value


def _time(text: str) -> float:
    """Seconds from "75", "75.5", "1:15" or "0:01:15.5", for argparse.

    Examples
    --------
    >>> _time("75.5"), _time("1:15"), _time("1:00:00.25")
    (75.5, 75.0, 3600.25)
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds or [HH:]MM:SS")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds, above 0 and at most 1000000")
    return value


def _patience(text: str) -> float | None:
    if text == "forever":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds, or the word forever")
    return value
