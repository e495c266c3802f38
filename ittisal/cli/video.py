"""`ittisal video`: the saliency of a video, a camera, a network stream or a pipe."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..config import MIN_SIDE, Config
from ..video import RawVideo, Source, Stream, VideoError, stream
from ..video.pictures import KINDS
from ..video.raw import PIXEL_FORMATS
from ..video.sources import DEFAULT_FPS, READERS
from ..video.writers import RAW_FORMATS, WRITERS
from . import images, options
from .errors import UsageError, debugging
from .resuming import Parts
from .video_request import Request, inputs_of, make_request, names_a_file
from .video_run import CAPPED_FPS, LEAST_FPS, MOST_FPS, Run
from .window import Window

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
    request = make_request(args)
    opening = _opening(args, config)
    for path in request.files:
        images.probe_directory(
            Path(path) if request.form in ("folder", "maps") and path == request.output
            else Path(path).absolute().parent,
            create=request.form in ("folder", "maps") and path == request.output,
        )  # fmt: skip
    window = Window() if args.show else None
    parts = _parts(args, request, config) if args.resume else None
    at_work = Run(args, request, config, opening, window, parts)
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
    if args.resume and not (inputs_of(args.input) or names_a_file(args.input)):
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
    return Parts(directory, asked, inputs_of(args.input))


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
