"""What subcommands share: errors, types of arguments, the model's options, outputs, progress.

Whatever is wrong with what the user gave raises `UsageError`, before any work.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from .. import backends, bounds, documents, faces
from ..config import PRESETS, Config, preset
from ..faces import FaceDetector
from ..files import identity, is_special, temporary, write_whole
from ..frames import check_shape
from ..imagefiles import ImageError
from ..levels import Levels
from ..model import Saliency
from ..pipeline import BackendError
from .messages import plain

MOST_PIXELS = 65535  # of a side of a part of a picture
STDIO = "-"  # standard input or output, where a file could be named


# --- errors ------------------------------------------------------------------------------------


class UsageError(Exception):
    """The command cannot start as it was given: exit status 2."""


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    return os.environ.get("ITTISAL_DEBUG", "") not in ("", "0")


def of_stdout(error: BaseException) -> bool:
    """Whether standard output failed: errors of files name the file, ours have no number."""
    return isinstance(error, OSError) and error.errno is not None and error.filename is None


def reason(error: BaseException) -> str:
    """The error on one line, to be read after the name of what failed."""
    text = plain(" ".join(str(error).split()))
    if isinstance(error, MemoryError):
        return text or "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fspath(error.filename)}: " if error.filename is not None else ""
        return plain(where + error.strerror)
    # These are raised with messages for users; anything else is a fault of the package.
    if isinstance(error, (UsageError, ImageError, BackendError, OSError, ValueError, TypeError)):
        return text
    return (
        f"unexpected {type(error).__name__}: {text}. This is a fault in ittisal: please report "
        "it with the output of `ittisal info` and of this command under ITTISAL_DEBUG=1"
    )


# --- types of arguments ------------------------------------------------------------------------


def number(
    low: float, high: float = math.inf, *, whole: bool = False, above: bool = False
) -> Callable[[str], Any]:
    """A type for argparse: a number from `low` to `high`, or `above` the low limit."""
    if above:
        limits = f"above {low}" + f" and at most {high}" * (high < math.inf)
    else:
        limits = f"from {low} to {high}" if high < math.inf else f"of at least {low}"

    def parse(text: str) -> float:
        try:
            value = float(text) if not whole else int(text) if text.isdecimal() else math.nan
        except ValueError:
            value = math.nan
        if not (low < value <= high if above else low <= value <= high):  # NaN too
            raise argparse.ArgumentTypeError(
                f"{text!r} must be a {'whole ' * whole}number {limits}"
            )
        return value

    return parse


def size(text: str) -> tuple[int, int]:
    """(height, width) from "WIDTHxHEIGHT", for argparse."""
    match = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write WIDTHxHEIGHT, as in 640x480")
    try:
        return check_shape((int(match[2]), int(match[1])))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def aspect(text: str) -> float:
    """Width over height from "W:H" or a number, for argparse."""
    number = r"(\d{1,6}(?:\.\d{1,6})?)"
    match = re.fullmatch(f"{number}(?::{number})?", text)
    ratio = float(match[1]) / float(match[2] or 1) if match and float(match[2] or 1) else 0.0
    if not 1e-3 <= ratio <= 1e3:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no aspect; write WIDTH:HEIGHT, as in 16:9, or a number from 0.001 to 1000"
        )
    return ratio


def extent(text: str) -> tuple[int, int]:
    """(height, width) of a part of a picture from "WIDTHxHEIGHT", for argparse."""
    match = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if not match or not all(1 <= int(side) <= MOST_PIXELS for side in match.groups()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; write WIDTHxHEIGHT, as in 400x300, sides from 1 to {MOST_PIXELS}"
        )
    return int(match[2]), int(match[1])


def output(text: str) -> str:
    """Where to write, for argparse: /dev/stdout is `-`, also where that leads to a file."""
    return STDIO if text == "/dev/stdout" else text


def parse_levels(text: str) -> Levels:
    """Levels for argparse: values, "7000:7500", or percentiles, "1%:99%" and "1%:99%:SECONDS"."""
    match = re.fullmatch(r"([^:%]+)(%?):([^:%]+)\2(?::(.+))?", text)
    try:
        if not match or (match[4] and not match[2]):
            raise ValueError
        pair = float(match[1]), float(match[3])
        seconds = math.inf if match[4] == "first" else float(match[4] or Levels.seconds)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} are no levels; write BLACK:WHITE, as in 7000:7500 or 1%:99%, or percentiles "
            "and the seconds to follow them with, as in 1%:99%:5 or 1%:99%:first"
        ) from None
    try:
        return Levels(percentiles=pair, seconds=seconds) if match[2] else Levels(pair)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def levels_text(levels: Levels) -> str:
    """Levels as `parse_levels` takes them.

    Examples
    --------
    >>> levels_text(Levels((7000, 7500))), levels_text(Levels(percentiles=(1, 99.9), seconds=5))
    ('7000:7500', '1%:99.9%:5')
    """
    percent = "%" * (levels.percentiles is not None)
    pair = levels.percentiles or levels.values or ()
    text = ":".join(f"{value:.15g}{percent}" for value in pair)
    return text + f":{levels.seconds:.15g}" * (levels.seconds != Levels.seconds)


def add_sizes(
    parser: argparse.ArgumentParser, default: Sequence[tuple[int, int]], what: str
) -> None:
    """`--size` for one or more frame sizes, (height, width)."""
    shown = " ".join(f"{width}x{height}" for height, width in default)
    parser.add_argument(
        "--size",
        metavar="WxH",
        nargs="+",
        type=size,
        default=list(default),
        help=f"{what} (default: {shown})" if shown else what,
    )


# --- the model ---------------------------------------------------------------------------------


LEVELS_HELP = """\
black and white of frames that use a part of their range, such as thermal ones: values, as in
7000:7500 or --levels=-20:40, or percentiles, as in 1%%:99%%. In video these are followed with a
time constant of 1 second, or 5 with 1%%:99%%:5; with 1%%:99%%:first those of the first frame stay
(default: the whole range)"""


def add_model_options(
    parser: argparse.ArgumentParser,
    *,
    backend: bool = True,
    threads: bool = True,
    levels: bool = False,
    faces: bool = False,
    several: bool = False,
    preset: str = "itti1998",
) -> None:
    """`--preset`, of one or `several`, with its default, `--config`, `--set`; if wanted also
    `--backend`, `--threads`, `--levels` and `--faces`.
    """
    group = parser.add_argument_group("model")
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--preset",
        metavar="NAME",
        nargs="+" if several else None,
        default=[preset] if several else preset,
        help=f"named set of parameters: {', '.join(PRESETS)} (default: {preset})",
    )
    which.add_argument("--config", metavar="FILE", help="a .json or .toml file of config fields")
    group.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="change one field, as in hue_threshold=0.05 or weights.colour=2; repeatable",
    )
    if backend:
        group.add_argument(
            "--backend",
            metavar="NAME",
            default="auto",
            help=f"auto, {', '.join(backends.MODULES)} (default: auto, the fastest that can run "
            "here)",
        )
    if threads:
        group.add_argument(
            "--threads",
            metavar="N",
            type=number(1, 256, whole=True),
            help="CPU threads that share one frame (default: by its size)",
        )
    if levels:
        group.add_argument("--levels", metavar="BLACK:WHITE", type=parse_levels, help=LEVELS_HELP)
    if faces:
        add_faces_option(group, "look for faces, and multiply the map where they are")


def add_max_pixels(parser: Any) -> None:
    """`--max-pixels`, of commands that read pictures; see `bounds`."""
    parser.add_argument(
        "--max-pixels",
        metavar="N",
        type=number(1, whole=True),
        help=f"of a picture or frame (default: {bounds.PIXELS_PER_BYTE} for each byte of its file, "
        "of 1 MiB if that is smaller, as far as memory is free)",
    )


def add_faces_option(parser: Any, what: str) -> None:
    """`--faces`; see `face_detector`."""
    parser.add_argument(
        "--faces",
        metavar="FILE",
        help=f"{what}: by a model file of YuNet; `--faces download` fetches it once from OpenCV's "
        "model zoo, 230 KB, into the cache folder (needs pooch, the extra `faces`)",
    )


def face_detector(args: argparse.Namespace, **options: Any) -> FaceDetector | None:
    """What `--faces` asks for; None without it. UsageError if it cannot be had."""
    if args.faces is None:
        return None
    try:
        path = faces.download() if args.faces == "download" else args.faces
        return FaceDetector(path, **options)
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(f"--faces {args.faces}: {reason(error)}") from error


def read_config(args: argparse.Namespace, name: str | None = None) -> Config:
    """The config by `--preset`, or one `name` of several, `--config` and `--set`."""
    try:
        config = Config.from_file(args.config) if args.config else preset(name or args.preset)
        plain = config.to_dict()
        for setting in args.set:
            _assign(plain, setting)
        return Config.from_dict(plain)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(reason(error)) from error


def _assign(plain: dict[str, Any], setting: str) -> None:
    """Put `field=value`, or `field.part=value` of weights, into a config's plain values."""
    name, equals, text = setting.partition("=")
    if not equals:
        raise ValueError(f"--set {setting}: write FIELD=VALUE, as in hue_threshold=0.05")
    try:
        value = documents.parse(text, ".json")
    except ValueError:
        value = text  # a bare word, as in phase=even
    name, _, key = name.partition(".")
    if key:
        whole = [field for field, given in plain.items() if isinstance(given, dict)]
        if name not in whole:
            raise ValueError(
                f"--set {setting}: only {' and '.join(whole)} have parts, as in weights.colour=2"
            )
        plain[name] = {**plain[name], key: value}
    else:
        plain[name] = value


def check_backend(name: str, config: Config, threads: int | None = None) -> None:
    """Refuse a backend (BackendError) or thread count that cannot run."""
    backends.choose(name, config)
    try:  # the reference allocates nothing, so this checks the arguments alone
        Saliency((32, 32), config, backend="reference", threads=threads)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def require_opencv() -> None:
    """Refuse to work without OpenCV."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"images need OpenCV, which cannot be imported ({error}); "
            "pip install opencv-contrib-python"
        ) from error


# --- inputs and outputs ------------------------------------------------------------------------


def check_stdin(what: str) -> None:
    """Refuse to read from a terminal."""
    if sys.stdin.isatty():
        raise UsageError(f"- reads {what} from standard input, which is a terminal; pipe it in")


def check_stdout(options: Sequence[str], *, binary: str | None = None) -> None:
    """Refuse two results on standard output, and what is no text (`binary`) on a terminal."""
    if len(options) > 1:
        raise UsageError(
            f"standard output takes one of {' and '.join(options)}; give the others a file"
        )
    if binary and sys.stdout.isatty():
        raise UsageError(
            f"{binary} would go to standard output, which is a terminal; redirect it, or give a "
            "file with -o"
        )


def refuse_inputs(
    args: argparse.Namespace,
    outputs: Iterable[str | Path],
    inputs: Iterable[str | Path],
) -> None:
    """Refuse outputs that are inputs, or files that options name, or links to them."""
    named = [getattr(args, option, None) for option in ("config", "faces", "class_model", "table")]
    read = {identity(path): path for path in [*inputs, *filter(None, named)]}
    for path in outputs:
        file = identity(path)
        if file and file in read:
            raise UsageError(f"{path} would overwrite the input {read[file]}; give another place")


def probe_directory(directory: Path, *, create: bool = False, option: str = "-o") -> None:
    """Refuse a directory in which no file can be made, by making one.

    With `create` it may be missing, and one is made where it would be. Permission bits do not show
    read-only disks, nor what root may do.
    """
    try:
        above = [directory, *directory.parents] if create else [directory]
        probe = temporary(next((place for place in above if place.exists()), directory))
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"cannot write to {directory}: {error.strerror}. Give another place with {option}"
        ) from error


def probe_file(path: Path, *, create: bool = False, option: str = "-o") -> None:
    """Refuse a file whose directory takes none; devices and pipes are written to as they are."""
    if not is_special(path):
        probe_directory(path.parent, create=create, option=option)


def write(path: Path, data: bytes) -> None:
    """Write standard output, or a file whole or not at all (ImageError), with its directories."""
    if str(path) == STDIO:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        write_whole(path, data)
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror}") from error


class Progress:
    """A bar on stderr if tqdm is there and stderr is a terminal; lines of text do not tear it.

    `total` is None where it is unknown; `done` counts those of an earlier run.
    """

    def __init__(
        self, total: int | None, *, wanted: bool, unit: str = "image", done: int = 0
    ) -> None:
        self._bar: Any = None
        if wanted and (total is None or total > 1) and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(
                total=total, initial=done, unit=unit, file=sys.stderr, dynamic_ncols=True
            )

    def step(self, total: int | None = None) -> None:
        """One more is done, of so many if that was unknown."""
        if self._bar is not None:
            self._bar.total = total or self._bar.total
            self._bar.update()

    def say(self, text: str, stream: TextIO | None = None) -> None:
        """A message on stderr, or a line on another stream, at once."""
        if self._bar is not None:
            self._bar.clear()
        print(text if stream else plain(text), file=stream or sys.stderr, flush=True)
        if self._bar is not None:
            self._bar.refresh()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
