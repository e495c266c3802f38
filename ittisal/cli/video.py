"""`ittisal video`: the saliency of a video, a camera, a network stream or a pipe."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import MIN_SIDE, Config
from ..diagnostics import listening
from ..imagefiles import SUFFIXES
from ..video import RawVideo, Stream, VideoError, stream
from ..video.painter import KINDS
from ..video.readers import PIXEL_FORMATS
from ..video.selection import DEFAULT_FPS, READERS, Reading
from ..video.sources import encoded, without_password
from ..video.video_files import LEAST_FPS as LEAST_WRITTEN
from ..video.video_files import WRITERS
from ..video.writers import RAW_FORMATS
from . import common, messages, signals
from .common import Progress, UsageError, debugging, reason
from .resuming import ResumedOutputs
from .video_outputs import Outputs, Window, make_request

LEAST_FPS, MOST_FPS = 1.0, 240.0  # of inputs, as far as they are believed
CAPPED_FPS = 120.0  # of videos of those above
REPORTED = (
    "dropped", "failed", "damaged", "missing", "repeated", "left_out", "reconnects", "cuts",
    "resizes", "mended",
)  # fmt: skip
STREAM_OPTIONS = (
    "backend", "threads", "width", "levels", "every", "start", "end", "reader", "reconnect", "fps",
    "timeout", "strict",
)  # fmt: skip
FACES = {"size": 320, "every": 3}  # how often, and how large, a frame is looked at
NOTABLE = 0.1  # fraction of frames repeated or left out that is worth a line
KINDS_HELP = (
    "heat over the frame in grey (default)",
    "the frame, and the map right of it",
    "the map in colours",
    "a panel of the frame, what each channel adds, and the map",
)

COUNT = common.number(1, 10**9, whole=True)

DESCRIPTION = """\
The saliency of every frame of a video, or of the newest frame of a live one: as a video, as one
line of numbers per frame, or in a window. clip.mp4 becomes clip.overlay.mp4 beside it, unless
something else is asked for. The paths of what was written are printed on standard output,
everything else on standard error.
"""

EPILOG = """\
inputs:
  A video file; the number of a camera; an address (rtsp://, http://, ...); a directory or quoted
  pattern of pictures (shots/*.png, shots/a%04d.png), which are frames in natural order; where a
  number is missing, so is a frame. `-` is standard input: raw video with --size, else a file that
  can be read from its beginning to its end, such as MPEG-TS or Matroska.

outputs:
  -o FILE      a video. PyAV, where it is installed, writes .mp4, .m4v, .mov, .mkv (H.264) and
               .webm (VP9) with exact times, the shape of pixels and the sound. OpenCV writes .mp4,
               .m4v, .mov, .mkv (MPEG-4) and .avi (Motion JPEG) at a constant rate: frames are
               repeated or left out so that each is shown at its time to half a frame. Pictures
               of odd size gain a pixel.
  -o DIR/      a PNG per frame, 000012.png; with --raw a float32 .npy of the map as computed. Those
               of an earlier run with other numbers stay; how many is said in the end
  -o -         raw video on standard output; each picture once, without times
  --jsonl FILE a line per frame: number and time, dropped frames before it, whether it is damaged,
               latency, the peak in pixels of the input and its value, the map's mean, each
               channel's share, and of pictures the file
  --csv FILE   the same as a table
  --scanpath   the last five fixations by the winner-take-all network; in records "fixations",
               those since the record before (x, y, time_ms, ...), in CSV the last of them
  --boxes      at most ten, each with a number that it keeps from frame to frame; in records
               "regions" (id, x, y, width, height, score, confidence, focus), in CSV the first
  Brightness follows the maps' peak over time, quickly up and slowly down, so that nothing
  flickers. Frames of another size than the first are scaled into the same picture.

long files:
  --resume     works in OUT.parts, and goes on there if it was interrupted or killed: no frame is
               twice or missing. At most --checkpoint frames are computed again. Pieces are joined
               without recoding by PyAV; without it OpenCV recodes them.

examples:
  ittisal video clip.mp4                                  clip.overlay.mp4
  ittisal video *.mp4 --no-clobber                        of each that has none yet
  ittisal video clip.mp4 -o map.mp4 --map                 the maps alone
  ittisal video clip.mp4 --scanpath --boxes               where attention goes, over the heat
  ittisal video clip.mp4 --jsonl - --boxes | jq .regions  boxes for a detector
  ittisal video 0 --show --width 320                      a camera in a window
  ittisal video 'thermal/*.tiff' -o a.mp4 --levels 1%:99% a thermal camera's 16 bits
  ittisal video rtsp://camera/stream --jsonl - --reconnect forever
  ittisal video day.mp4 --every 5 --csv day.csv --resume  again, if it was interrupted
  ffmpeg -i clip.mp4 -f rawvideo -pix_fmt bgr24 - |
    ittisal video - --size 1280x720 --pix-fmt bgr24 --fps 25 -o - |
    ffmpeg -f rawvideo -pix_fmt bgr24 -s 1280x720 -r 25 -i - out.mp4

exit status:
  0 all went well; 1 the input or an output failed, or some frames did, or it is cut short;
  2 wrong usage, nothing was done; 130 interrupted, 143 terminated, 129 hung up: outputs are
  complete up to there, or removed at a second interrupt. Files are written under a temporary name
  and renamed: never half. If one cannot be written on, it is removed, and the others go on.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser(
        "video", help="saliency of a video or camera", description=DESCRIPTION, epilog=EPILOG
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="a file, camera, address, folder, pattern, or - for stdin; several files get their "
        "overlays beside them, one after the other",
    )
    add(
        "-o",
        "--output",
        metavar="OUT",
        type=common.output,
        help="a video file, DIR/, or - for standard output",
    )

    group = parser.add_argument_group("pictures")
    add, kinds = group.add_argument, group.add_mutually_exclusive_group()
    for kind, text in zip(KINDS, KINDS_HELP, strict=True):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=text)
    add("--grey", action="store_true", help="maps in grey instead of colours")
    add("--scanpath", action="store_true", help="draw, and record, the places attended to")
    add("--boxes", action="store_true", help="draw, and record, boxes around what stands out")
    kinds.add_argument("--raw", action="store_true", help="with -o DIR/: maps as computed, .npy")
    add("--show", action="store_true", help="also in a window; q or Esc ends")
    add("--no-clobber", action="store_true", help="leave files that exist as they are")

    add = parser.add_argument_group("records").add_argument
    to: dict[str, Any] = {"metavar": "FILE", "type": common.output}
    add("--jsonl", **to, help="a JSON line per frame; - for stdout")
    add("--csv", **to, help="a table with a row per frame; - for stdout")
    add("--json", action="store_true", help="in the end, a JSON object on stdout")

    add = parser.add_argument_group("frames").add_argument
    add("--every", metavar="N", type=COUNT, default=1, help="take only every N-th frame")
    add("--start", metavar="TIME", type=_time, help="begin there; seconds, or [HH:]MM:SS")
    add("--end", metavar="TIME", type=_time, help="end before it")
    add("--frames", metavar="N", type=COUNT, help="end after so many")
    add(
        "--width",
        metavar="N",
        type=common.number(MIN_SIDE, 10**9, whole=True),
        help="shrink frames to it for the model only",
    )
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
        help="try so long to open a camera or address that is not there, or has vanished; or "
        "forever (default: 0)",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        type=common.number(0, 10**6, above=True),
        default=10.0,
        help="without a frame, after which a camera or address has vanished (default: 10)",
    )
    add("--no-cuts", action="store_true", help="do not look for cuts")
    add("--strict", action="store_true", help="stop at the first frame that is damaged")

    reading = parser.add_argument_group("reading and writing")
    add = reading.add_argument
    add("--reader", choices=READERS, default="opencv", help="what reads (default: opencv)")
    common.add_max_pixels(reading)
    add(
        "--writer",
        choices=WRITERS,
        help="what writes videos (default: pyav where it is installed and writes such files)",
    )
    add("--no-sound", action="store_true", help="do not carry the sound over")
    add(
        "--fps",
        metavar="F",
        type=common.number(0, 10_000, above=True),
        help="frames per second of inputs that know no times, such as pipes and folders "
        f"(default: {DEFAULT_FPS:g}), and of videos that OpenCV writes (default: the input's, "
        f"at least {LEAST_FPS:g}; {CAPPED_FPS:g} for those above {MOST_FPS:g})",
    )
    add("--size", metavar="WxH", type=common.size, help="of raw video on standard input")
    add(
        "--pix-fmt",
        metavar="FMT",
        choices=PIXEL_FORMATS,
        help=f"of that: {', '.join(PIXEL_FORMATS)} (default: bgr24)",
    )
    add(
        "--out-pix-fmt",
        metavar="FMT",
        choices=RAW_FORMATS,
        help=f"of raw video on standard output: {', '.join(RAW_FORMATS)} (default: bgr24)",
    )
    add("--resume", action="store_true", help="go on where an interrupted run with it ended")
    add(
        "--checkpoint",
        metavar="N",
        type=COUNT,
        default=1000,
        help="with --resume: make sure of what is done every N frames (default: 1000)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="only errors")
    common.add_model_options(parser, preset="video", levels=True, faces=True)


def run(args: argparse.Namespace) -> int:
    """Work on every input; see the epilog for the exit status."""
    config = common.read_config(args)
    common.require_opencv()
    common.check_backend(args.backend, config, args.threads)
    runs = [Run(args, name, config) for name in args.inputs]
    if len(runs) > 1:
        _check_several(args, runs)
    with contextlib.nullcontext() if debugging() else listening():
        return _go(runs)


def _go(runs: list[Run]) -> int:
    """Work on one input after the other; the exit status."""
    if len(runs) == 1:
        return runs[0].go()
    status = 0
    while runs:
        try:
            ended = runs.pop(0).go()  # which lets go of its buffers before the next
        except (VideoError, UsageError) as error:
            _say(reason(error))
            ended = 2 if isinstance(error, UsageError) else 1
        if ended >= 128:  # interrupted
            return ended
        status = max(status, ended)
    return status


def _check_several(args: argparse.Namespace, runs: list[Run]) -> None:
    """Refuse what only one input can have."""
    if all(Path(name).suffix.lower() in SUFFIXES for name in args.inputs):
        raise UsageError(
            "several INPUTs are several videos; for a video of pictures quote the pattern, as in "
            "'shots/*.png'"
        )
    if args.output or args.jsonl or args.csv or args.show:
        raise UsageError(
            "-o, --jsonl, --csv and --show take one INPUT; without them every video gets its "
            'overlay beside it. Or loop: for f in *.mp4; do ittisal video "$f" -o "out/$f"; done'
        )
    outputs = [path for each in runs for path in each.request.files]
    for path in outputs:
        if outputs.count(path) > 1:
            raise UsageError(f"two INPUTs would be written to {path}; run them apart, with -o")


class Run:
    """One run over one input: open it, work on frame after frame, close, report."""

    def __init__(self, args: argparse.Namespace, name: str, config: Config) -> None:
        self.args, self.name, self.config = args, without_password(name), config
        self.request = make_request(args, name)
        self.source = _source(args, name)
        self.interrupts = Interrupts()
        self.progress = Progress(0, wanted=False)
        self.complete = False  # whether all frames that were wanted are done
        self.whole = True  # whether all outputs have all frames
        self.error: OSError | None = None
        self.opened: Stream | None = None
        self.summarised = False

    def go(self) -> int:
        """Do it all; the exit status."""
        args, request = self.args, self.request
        for path in request.skipped:
            self._note(f"{path}: exists, left as it is")
        if request.skipped and not request.files and not args.show:
            self._print_json({"input": self.name, "outputs": [], "skipped": request.skipped})
            return 0
        for path in request.files:
            if request.form in ("folder", "maps") and path == request.output:
                common.probe_directory(Path(path), create=True)
            else:
                common.probe_file(Path(path))
        try:
            with contextlib.ExitStack() as stack:
                window = Window() if args.show else None
                if window is not None:
                    stack.callback(window.close)
                self.outputs = Outputs(request, window, self._note)
                if args.resume:
                    self.outputs = ResumedOutputs(
                        request, window, self._note, args, self.name, self.config
                    )
                stack.callback(self.outputs.close)
                with self.interrupts:
                    self.complete = self.outputs.complete
                    if not self.complete:
                        self._frames()
                    self.outputs.publish()
            return self._end()
        except Exception as error:
            if not self.summarised and not isinstance(error, UsageError):
                text = reason(error).removeprefix(f"{self.name}: ")
                self._print_json({"input": self.name, "error": text})
            raise

    def _frames(self) -> None:
        """Open the input and the outputs, work on the frames, and complete the outputs."""
        args, outputs = self.args, self.outputs
        try:
            with self.interrupts.waiting():
                opened = self._open()
        except KeyboardInterrupt:
            return
        with opened as self.opened:
            fps = args.fps or max(likely(opened.fps) / args.every, LEAST_WRITTEN)
            began, total = outputs.done, self._total(opened)
            try:
                outputs.open(opened, fps)
                with Progress(
                    total, wanted=not args.quiet, unit="frame", done=began
                ) as self.progress:
                    self.complete = self._loop(opened)
                    if outputs.done == began and not self.complete and self.whole:
                        outputs.abandon()  # and files of another run stay
                    else:
                        outputs.finish(complete=self.complete, whole=self.whole)
            except BaseException:
                outputs.abandon()
                raise

    def _open(self) -> Stream:
        args = self.args
        try:
            return stream(
                self.source,
                self.config,
                live=True if args.live else None,
                channel_order="bgr",
                first=self.outputs.first,
                cuts=not args.no_cuts,
                channels=common.face_detector(args, channel_order="bgr", **FACES),
                report=self._report,
                **{name: getattr(args, name) for name in STREAM_OPTIONS},
            )
        except (TypeError, ValueError) as error:
            if str(error).startswith("frame is "):  # no option is wrong, the input's size is
                raise VideoError(f"{self.name}: {error}") from error
            raise UsageError(str(error)) from error

    def _loop(self, opened: Stream) -> bool:
        """Work on frame after frame; whether all are done that were wanted."""
        outputs, limit = self.outputs, self.args.frames
        while limit is None or outputs.done < limit:
            try:
                with self.interrupts.waiting():
                    result = next(opened, None)
            except KeyboardInterrupt:
                return False
            except VideoError as error:
                if not outputs.done:
                    raise
                self.error = error  # what is done is completed
                return False
            if result is None:
                return True
            before = outputs.done
            try:
                more = outputs.take(result)
            except OSError as error:
                self.error, self.whole = error, False
                return False
            if outputs.done > before:
                self.progress.step()
            if not more:
                return True
        return True

    def _total(self, opened: Stream) -> int | None:
        """About how many frames there will be."""
        args, total = self.args, opened.frames
        if total is None:
            return args.frames
        if opened.fps:
            end = min(total, args.end * opened.fps) if args.end is not None else total
            total = max(round(end - (args.start or 0.0) * opened.fps), 0)
        return min(-(-total // args.every), args.frames or total)

    def _end(self) -> int:
        """Report, and the exit status."""
        error, interrupted = self.error or self.outputs.error, self.interrupts.number
        if isinstance(error, BrokenPipeError):  # the reader has what it wants
            raise error
        opened, about = self.opened, {}
        statistics = opened.statistics.as_dict() if opened is not None else {}
        counts = self.outputs.totals(statistics)
        if opened is not None:
            about = {
                "width": opened.size[1],
                "height": opened.size[0],
                "backend": opened.model.backend,
                **{name: statistics[name] for name in ("seconds", "fps", "latency_ms")},
            }
        summary = {
            "input": self.name,
            "outputs": self.outputs.written,
            "interrupted": interrupted is not None and not self.complete,
            **{name: counts.get(name, 0) for name in ("frames", *REPORTED)},
            **about,
            **({"skipped": self.request.skipped} if self.request.skipped else {}),
            **({"error": reason(error)} if error is not None else {}),
        }
        self.summarised = True
        self._print_json(summary)
        if not (self.args.json or self.args.quiet or self.request.takes_stdout):
            for path in summary["outputs"]:
                print(path)
        if not self.args.quiet and about:
            self._print_counts(summary)
        if error is not None:
            raise error
        if summary["interrupted"] and interrupted is not None:
            how = "interrupted" if interrupted == signal.SIGINT else "terminated"
            resume = "; the same command goes on from there" if self.args.resume else ""
            _say(f"{how}{resume}")
            return 128 + interrupted
        return 1 if summary["failed"] or summary["missing"] else 0

    def _print_counts(self, summary: dict[str, Any]) -> None:
        moved = summary["repeated"] + summary["left_out"]
        if self.args.fps is None and moved > NOTABLE * summary["frames"]:
            _say(
                f"frames come at varying times, or some are missing: at a constant rate "
                f"{summary['repeated']} were repeated and {summary['left_out']} left out. "
                "--writer pyav (pip install 'ittisal[video]') writes all at their times; or give "
                "another --fps"
            )
        latency = {k: v for k, v in summary["latency_ms"].items() if v is not None}
        latencies = ", ".join(f"{name} {value:.1f}" for name, value in latency.items())
        counts = ", ".join(
            f"{summary[name]} {name.replace('_', ' ')}"
            for name in REPORTED
            if summary[name] or name in ("dropped", "failed")
        )
        _say(
            f"{summary['frames']} frames, {summary['fps']:.1f} per second; {counts}; "
            f"latency in ms: {latencies or 'none'}"
        )

    def _print_json(self, values: dict[str, Any]) -> None:
        if self.args.json:
            print(json.dumps(values))

    def _report(self, text: str) -> None:
        self.progress.say(f"ittisal video: {text}")

    def _note(self, text: str) -> None:
        if not self.args.quiet:
            self._report(text)


def _say(text: str) -> None:
    messages.say(f"ittisal video: {text}")


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP, heard between frames rather than in the middle of a write.

    The first signal asks for an orderly end, the second for an end at once. The first is stored
    in `number`; if the program is `waiting` for a frame, which may never come, it is also raised
    there, as KeyboardInterrupt. The second is raised wherever it comes. Later ones are ignored:
    they would break off the removal of temporary files, which is quick. Signals that the program
    was started to ignore, as under nohup, are ignored.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._heard = 0
        self._waiting = False
        self._before: dict[int, Any] = {}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """In this block nothing is lost if it is broken off."""
        self._waiting = True
        try:
            if self.number is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._waiting = False

    def _hear(self, number: int, frame: Any) -> None:
        self._heard += 1
        self.number = self.number or number
        if self._heard == 2 or (self._heard == 1 and self._waiting):
            raise KeyboardInterrupt

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signals.handle(self._hear)
            signals.orderly.set()
        return self

    def __exit__(self, *exception: object) -> None:
        signals.orderly.clear()
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _source(args: argparse.Namespace, name: str) -> Any:
    """What `stream` is to open; UsageError if the options about it contradict each other."""
    if name != "-":
        if args.size is not None or args.pix_fmt is not None:
            raise UsageError(
                "--size and --pix-fmt are about raw video on standard input; give - for it"
            )
        is_camera = name.isdecimal() and not os.path.exists(name)
        return int(name) if is_camera else name
    common.check_stdin("video")
    if args.size is not None:
        try:
            return RawVideo(sys.stdin.buffer, args.size, args.pix_fmt or "bgr24", args.fps)
        except ValueError as error:
            raise UsageError(str(error)) from error
    if args.pix_fmt is not None:
        raise UsageError("--pix-fmt is about raw video, which needs --size WIDTHxHEIGHT too")
    return encoded("pipe:0", "standard input", Reading(args.reader, "bgr"))


def likely(fps: float | None) -> float:
    """The rate of a video for which none is given: the input's, unless that is none.

    Files of browsers give the ticks of their clock, 1000 per second, and files with long gaps
    averages that no part of them has.

    Examples
    --------
    >>> [likely(fps) for fps in (None, 0.0056, 23.976, 240.0, 1000.0)]
    [25.0, 1.0, 23.976, 240.0, 120.0]
    """
    fps = fps or DEFAULT_FPS
    return CAPPED_FPS if fps > MOST_FPS else max(fps, LEAST_FPS)


# --- argument types ----------------------------------------------------------------------------


def _patience(text: str) -> float | None:
    """Seconds, or None for "forever"."""
    if text == "forever":
        return None
    try:
        return common.number(0, 10**9)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or the word forever") from None


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
