"""`ittisal map`: saliency maps of image files."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import drawing
from ..config import Config
from ..pipeline import BackendError
from . import images, inputs, models, options
from .errors import UsageError, debugging, reason
from .progress import Progress

DESCRIPTION = """\
Saliency maps of images. photo.jpg becomes photo.saliency.png, beside it or in the directory
given by -o: 8-bit grey, the photograph's size, white where it stands out most. The paths of what
was written are printed on standard output, everything else on standard error.
"""

EPILOG = """\
inputs:
  Images that OpenCV reads (8 or 16 bits, grey, colour, alpha over white, float TIFF in 0..1)
  and .npy arrays (RGB or grey). EXIF orientations are applied, so maps lie over what viewers
  show. Of animations and multi-page files the first picture is taken. A directory stands for
  the image files in it; .npy files have to be named. Maps of earlier runs beside their
  photographs are left out. `-` is one encoded image on standard input.

examples:
  ittisal map photo.jpg                       photo.saliency.png
  ittisal map photo.jpg -o map.png            one image to one named file
  ittisal map 'shots/**/*.png' -o maps        patterns may be quoted
  ittisal map photos/ -r -o maps --overlay --channels
  ittisal map photos/ --json | jq .peak       where attention goes first
  ittisal map photo.jpg --preset gaze         where people would look
  ittisal map photo.jpg --raw                 unscaled numbers, 1/16 of the size, .npy
  curl -s URL | ittisal map - > map.png
  ittisal map photo.jpg --set weights.colour=0

exit status:
  0 all went well; 1 some inputs failed, the rest were done; 2 wrong usage, nothing was done;
  130 interrupted. Files are written under a temporary name and renamed: never half.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser(
        "map", help="saliency maps of image files", description=DESCRIPTION, epilog=EPILOG
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("images", metavar="IMAGE", nargs="+", help="a file, directory, pattern, or - for stdin")
    add(
        "-o",
        "--output",
        metavar="DIR",
        help="where maps go (default: beside each image); for one image also a FILE, or - for "
        "standard output",
    )
    add("-r", "--recursive", action="store_true", help="search folders within directories too")
    add(
        "--format",
        choices=tuple(images.FORMATS),
        help="png: 8 bits (default); png16: 16 bits; tiff, npy: float32 in 0..1",
    )
    add("--size", choices=("image", "map"), help="the image's (default), or a sixteenth of it")
    add("--raw", action="store_true", help="as computed, not scaled to 1: --format npy --size map")
    add("--overlay", action="store_true", help="also a heat map over the photograph, .overlay.png")
    add(
        "--channels",
        action="store_true",
        help="also what the map is made of: .intensity, .colour, .orientation, or with other "
        "presets .whitened, .figure, .corners, each to its own scale",
    )
    add("--no-clobber", action="store_true", help="leave files that exist as they are")
    add("--json", action="store_true", help="one JSON object per image on standard output")
    add("-q", "--quiet", action="store_true", help="no paths, notes or progress; only errors")
    options.add_model_options(parser)


@dataclass(frozen=True)
class Request:
    """What to make of each image."""

    format: str
    small: bool  # at the map's size rather than the image's
    raw: bool
    overlay: bool
    channels: tuple[str, ...]

    @property
    def extensions(self) -> dict[str, str]:
        """File suffix of each kind of result."""
        plain = images.FORMATS[self.format][0]
        kinds = {"saliency": plain}
        if self.overlay:
            kinds["overlay"] = ".png"
        return kinds | dict.fromkeys(self.channels, plain)


def run(args: argparse.Namespace) -> int:
    """Map every image; 1 if some failed."""
    config = options.read_config(args)
    images.require_opencv()
    options.check_backend(args.backend, config, args.threads)
    if args.images.count(inputs.STDIN) > 1:
        raise UsageError("- stands for one image on standard input; give it once")
    sole = _sole_output(args)
    directory = Path(args.output) if args.output and not sole else None
    request = _request(args, sole, config)
    found = inputs.expand(args.images, recursive=args.recursive, output=directory)
    if inputs.STDIN in args.images and sys.stdin.isatty():
        raise UsageError("- reads an image from standard input, which is a terminal; pipe one in")
    planned = _plan(args, found.sources, request, sole, directory)

    work = _Work(request, models.Models(config, args.backend, args.threads), args.no_clobber)
    failed = len(found.problems)
    with Progress(len(found.sources), wanted=not args.quiet) as progress:
        report = _Report(progress, json=args.json, quiet=args.quiet)
        for problem in found.problems:
            report.entry({"input": problem.label, "error": problem.reason})
        if found.leftovers:
            report.note(f"maps of earlier runs left out: {len(found.leftovers)}")
        for source, paths in zip(found.sources, planned, strict=True):
            try:
                entry = work.do(source, paths)
            except (BackendError, BrokenPipeError):
                raise  # no other image would fare better
            except Exception as error:
                if debugging():
                    traceback.print_exception(error)
                entry = {"input": source.label, "error": reason(error)}
                failed += 1
            report.entry(entry)
            progress.step()
    work.models.close()
    total = len(found.sources) + len(found.problems)
    if failed and total > 1:
        print(f"ittisal map: {failed} of {total} inputs failed", file=sys.stderr)
    return 1 if failed else 0


def _sole_output(args: argparse.Namespace) -> str | None:
    """The one file (or `-`) that -o names, or None where it names a directory or nothing."""
    output = args.output
    if output is None:
        return "-" if args.images == [inputs.STDIN] else None
    if output == "":
        raise UsageError("-o is empty; give a directory, a file, or - for standard output")
    if output == "-":
        return output
    suffix = Path(output).suffix.lower()
    known = images.WRITTEN_SUFFIXES
    if os.path.isdir(output) or output.endswith((os.sep, "/")):
        return None
    if suffix in images.SUFFIXES - known:
        raise UsageError(
            f"-o {output}: maps are not written as {suffix}; end in {', '.join(sorted(known))}, "
            "or give a directory"
        )
    if suffix in known:
        return output
    if os.path.exists(output):
        raise UsageError(f"-o {output}: is a file, not a directory")
    return None


def _request(args: argparse.Namespace, sole: str | None, config: Config) -> Request:
    """The options in one piece, contradictions refused."""
    name = args.format
    if args.raw:
        if name not in (None, "npy"):
            raise UsageError(f"--raw is written as npy; leave --format {name} out")
        if args.size == "image":
            raise UsageError("--raw has the map's own size; leave --size image out")
        name = "npy"
    if sole and sole != "-":
        suffix = Path(sole).suffix.lower()
        fitting = [key for key, suffixes in images.FORMATS.items() if suffix in suffixes]
        if name not in (None, *fitting):
            raise UsageError(f"-o {sole} does not end in {images.FORMATS[name][0]}, as {name} does")
        name = name or fitting[0]
    small = args.raw or args.size == "map"
    channels = models.parts_of(config) if args.channels else ()
    return Request(name or "png", small, args.raw, args.overlay, channels)


def _plan(
    args: argparse.Namespace,
    sources: list[inputs.Source],
    request: Request,
    sole: str | None,
    directory: Path | None,
) -> list[dict[str, Path]]:
    """Where everything goes, after checking that it can go there."""
    if sole is None:
        if directory is None and any(source.path is None for source in sources):
            raise UsageError("where should the map of standard input go? Give a directory with -o")
        planned = inputs.targets(sources, request.extensions, directory)
        if directory:
            images.probe_directory(directory, create=True)
        else:
            for parent in {path.parent for paths in planned for path in paths.values()}:
                images.probe_directory(parent)
        return planned
    if len(sources) > 1:
        raise UsageError(f"-o {sole} takes one image, not {len(sources)}; give a directory")
    if len(request.extensions) > 1:
        raise UsageError(
            f"-o {sole} takes one map; for --overlay and --channels give a directory with -o"
        )
    if sole == "-":
        if args.json:
            raise UsageError("standard output takes the map or --json, not both; give another -o")
        if sys.stdout.isatty():
            raise UsageError(
                "the map would go to standard output, which is a terminal; redirect it, or give "
                "a file with -o"
            )
        return [{"saliency": Path("-")} for _ in sources]
    planned = [{"saliency": Path(sole)} for _ in sources]
    inputs.check_names(sources, planned)
    images.probe_directory(Path(sole).parent)
    return planned


class _Work:
    """Reads, maps and writes one image at a time."""

    def __init__(self, request: Request, kept: models.Models, no_clobber: bool) -> None:
        self.request, self.models, self.no_clobber = request, kept, no_clobber

    def do(self, source: inputs.Source, paths: dict[str, Path]) -> dict[str, Any]:
        """Make what is asked of one image; what `--json` says of it."""
        skipped = []
        if self.no_clobber:
            skipped = [str(path) for path in paths.values() if path.exists()]
            paths = {kind: path for kind, path in paths.items() if not path.exists()}
            if not paths:
                return {"input": source.label, "outputs": {}, "skipped": skipped}
        clock = _Clock()
        if source.path is None:
            frame = images.decode(sys.stdin.buffer.read())
        else:
            frame = images.read(source.path)
        clock.lap("read")
        model = self.models.get(frame.shape[:2])
        clock.lap("setup")
        if self.request.channels:
            maps = models.conspicuities(model, frame)
        else:
            maps = {"saliency": model(frame)}
        clock.lap("model")
        results = self._encode(frame, maps, set(paths))
        written = {}
        for kind, data in results.items():
            written[kind] = str(paths[kind])
            if written[kind] == "-":
                images.write_stdout(data)
            else:
                paths[kind].parent.mkdir(parents=True, exist_ok=True)
                images.write(paths[kind], data)
        clock.lap("write")
        entry = {
            "input": source.label,
            "outputs": written,
            "width": frame.shape[1],
            "height": frame.shape[0],
            "backend": model.backend,
            "milliseconds": clock.laps,
            "peak": models.peak_of(maps["saliency"], frame.shape[:2], self.models.config),
            "maximum": float(maps["saliency"].max()),
        }
        if self.request.channels:
            entry["channel_maxima"] = {
                name: float(raw.max()) for name, raw in maps.items() if name != "saliency"
            }
        if skipped:
            entry["skipped"] = skipped
        return entry

    def _encode(
        self, frame: np.ndarray, maps: dict[str, np.ndarray], kinds: set[str]
    ) -> dict[str, bytes]:
        """The files' bytes, all before the first is written."""
        request, config = self.request, self.models.config
        out = {}
        for kind, raw in maps.items():
            if kind in kinds:
                out[kind] = images.encode(self._scaled(raw, frame.shape[:2]), request.format)
        if "overlay" in kinds:
            full = models.full_size(maps["saliency"], frame.shape[:2], config)
            out["overlay"] = images.encode(drawing.heat_over(frame, full), "png")
        return out

    def _scaled(self, raw: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        if self.request.raw:
            return raw
        if self.request.small:
            return models.unit(raw)
        return models.full_size(raw, shape, self.models.config)


class _Report:
    """Tells what became of each image: JSON or paths on stdout, errors and notes on stderr."""

    def __init__(self, progress: Progress, *, json: bool, quiet: bool) -> None:
        self.progress, self.json, self.quiet = progress, json, quiet

    def entry(self, entry: dict[str, Any]) -> None:
        """One image is done, skipped or failed."""
        if self.json:
            self.progress.say(json.dumps(entry), sys.stdout)
        if "error" in entry:
            self.progress.say(f"ittisal map: {entry['input']}: {entry['error']}")
            return
        for path in entry.get("skipped", ()):
            self.note(f"{path}: exists, left as it is")
        if entry.get("maximum") == 0:
            self.note(f"{entry['input']}: nothing stands out; its map is all zero")
        if not (self.json or self.quiet):
            for path in entry["outputs"].values():
                if path != "-":
                    self.progress.say(path, sys.stdout)

    def note(self, text: str) -> None:
        """Something worth knowing that is no error."""
        if not self.quiet:
            self.progress.say(f"ittisal map: {text}")


class _Clock:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """The time since the last lap goes to `name`."""
        now = time.perf_counter()
        self.laps[name] = round((now - self._last) * 1e3, 3)
        self._last = now
