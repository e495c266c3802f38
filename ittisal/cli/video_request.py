"""What `ittisal video` is asked to make, and where that goes."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ..video.opencv_writer import CODECS as OPENCV_SUFFIXES
from ..video.pyav_writer import CODECS as PYAV_SUFFIXES
from ..video.writers import LEAST_FPS, RAW_FORMATS
from .errors import UsageError

STDOUT = "-"


@dataclass(frozen=True)
class Request:
    """What to make.

    Parameters
    ----------
    kind, grey : str, bool
        As for `Painter`.
    output : str, optional
        A video file, a folder, or - for standard output.
    form : {"video", "folder", "maps", "pipe", "none"}
        What the output is; `maps` are raw, in a folder.
    pix_fmt : str
        Of a pipe.
    jsonl, csv : str, optional
        Where the records go.
    writer : {"opencv", "pyav"}
    sound : str, optional
        Where a video gets its sound from.
    """

    kind: str
    grey: bool
    output: str | None
    form: str
    pix_fmt: str
    jsonl: str | None
    csv: str | None
    writer: str
    sound: str | None

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
        """All that will be there in the end."""
        output = [] if self.output in (None, STDOUT) else [str(self.output)]
        return output + [path for path in self.records.values() if path != STDOUT]

    @property
    def takes_stdout(self) -> bool:
        """Whether standard output is one of the outputs."""
        return STDOUT in (self.output, self.jsonl, self.csv)


def make_request(args: argparse.Namespace) -> Request:
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
    if form == "video" and args.fps is not None and args.fps < LEAST_FPS:
        raise UsageError(
            f"--fps {args.fps:g}: videos have at least {LEAST_FPS:g}; write pictures, -o "
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
    if not names_a_file(name):
        raise UsageError("what should be made? Give -o, --jsonl, --csv or --show")
    if args.raw:
        raise UsageError("--raw needs a folder for its files: -o DIR/")
    path = Path(name)
    return str(path.with_name(f"{path.stem}.{kind}.mp4"))


def names_a_file(name: str) -> bool:
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
    places = {os.path.realpath(path) for path in inputs_of(read)}
    if not os.path.isfile(read):  # pictures: nothing goes among them
        places |= {os.path.dirname(path) for path in places}
    if os.path.exists(read):
        places.add(os.path.realpath(read))
    for key, path in seen.items():
        if key in places:
            raise UsageError(f"{path} would overwrite the input {args.input}; give another place")


def inputs_of(name: str) -> list[Path]:
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
