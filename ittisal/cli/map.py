"""`ittisal map`: saliency maps of image files."""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import drawing, imagefiles
from ..imagefiles import FORMATS, SUFFIXES, WRITTEN_SUFFIXES
from ..pipeline import BackendError
from . import common, models
from .common import STDIO, UsageError

DESCRIPTION = """\
Saliency maps of images. The map of photo.jpg is photo.saliency.png, beside it or in the directory
given by -o: 8-bit grey, as large as the photograph, white at the maximum. The paths of written
files are printed on standard output, everything else on standard error.
"""

STEPS = ("read", "setup", "model", "write")

EPILOG = """\
inputs:
  Images that OpenCV reads (8 or 16 bits, grey, colour, alpha over white, float TIFF in 0..1)
  and .npy arrays (RGB or grey). Orientations (EXIF, TIFF, AVIF) are applied, so maps lie over
  what viewers show. Of animations and multi-page files the first picture is read. HEIC has to be
  converted first. A directory means the image files in it; .npy files have to be named. Maps of
  earlier runs beside their photographs are skipped. `-` is one encoded image on standard input.

examples:
  ittisal map photo.jpg                       photo.saliency.png
  ittisal map photo.jpg -o map.png            one image to one named file
  ittisal map 'shots/**/*.png' -o maps        patterns may be quoted
  ittisal map photos/ -r -o maps --overlay --channels
  ittisal map photos/ --json | jq .peak       where attention goes first
  ittisal map photo.jpg --preset gaze         where people would look
  ittisal map photo.jpg --raw                 unscaled numbers, 1/16 of the size, .npy
  ittisal map thermal.tiff --levels 7000:7500 16 bits, of which the scene uses a part
  curl -s URL | ittisal map - > map.png
  ittisal map photo.jpg --set weights.colour=0

exit status:
  0 all went well; 1 some inputs failed, the rest were done; 2 wrong usage, nothing was done;
  130 interrupted. Files are written under a temporary name and renamed: never half.
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("map", description=DESCRIPTION, epilog=EPILOG)
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
        choices=tuple(FORMATS),
        help="png: 8 bits (default); png16: 16 bits; tiff, npy: float32 in 0..1",
    )
    add("--size", choices=("image", "map"), help="the image's (default), or a sixteenth of it")
    add("--raw", action="store_true", help="as computed, not scaled to 1: --format npy --size map")
    add("--overlay", action="store_true", help="also a heat map over the photograph, .overlay.png")
    add(
        "--channels",
        action="store_true",
        help="also the maps that it is made of: .intensity, .colour, .orientation, or with other "
        "presets .whitened, .figure, .corners, each scaled to its maximum",
    )
    add("--no-clobber", action="store_true", help="do not overwrite existing files")
    add("--json", action="store_true", help="one JSON object per image on standard output")
    add("-q", "--quiet", action="store_true", help="no paths, notes or progress; only errors")
    common.add_model_options(parser, levels=True)


def run(args: argparse.Namespace) -> int:
    """Map every image; 1 if some failed."""
    config = common.read_config(args)
    common.require_opencv()
    common.check_backend(args.backend, config, args.threads)
    file = _output_file(args)
    directory = Path(args.output) if args.output and not file else None
    args.format = _format(args, file)
    plain = FORMATS[args.format][0]
    extensions = {"saliency": plain, **({"overlay": ".png"} if args.overlay else {})}
    extensions |= dict.fromkeys(models.parts_of(config) if args.channels else (), plain)
    sources = find(args.images, recursive=args.recursive, output=directory)
    if STDIO in args.images:
        if args.images.count(STDIO) > 1:
            raise UsageError("- is one image on standard input; give it once")
        common.check_stdin("an image")
    leftovers = _leftovers(sources)
    sources = [source for source in sources if source not in leftovers]
    planned = _plan(args, sources, extensions, file, directory)

    failed = 0
    by_size = models.Models(config, args.backend, args.threads, args.levels)
    with common.Progress(len(sources), wanted=not args.quiet) as progress:
        if leftovers and not args.quiet:
            progress.say(f"ittisal map: maps of earlier runs left out: {len(leftovers)}")
        for source, paths in zip(sources, planned, strict=True):
            entry: dict[str, Any] = {"input": source.label}
            try:
                entry |= _map(source, paths, args, by_size)
            except (BackendError, BrokenPipeError):
                raise  # no other image would fare better
            except Exception as error:
                if common.debugging():
                    traceback.print_exception(error)
                entry["error"] = common.reason(error)
                failed += 1
            _report(entry, progress, args)
            progress.step()
    by_size.close()
    if failed and len(sources) > 1:
        print(f"ittisal map: {failed} of {len(sources)} inputs failed", file=sys.stderr)
    return 1 if failed else 0


def _output_file(args: argparse.Namespace) -> str | None:
    """The one file (or `-`) that -o names, or None where it names a directory or nothing."""
    output = args.output
    if output is None:
        return STDIO if args.images == [STDIO] else None
    if output == "":
        raise UsageError("-o is empty; give a directory, a file, or - for standard output")
    if output == STDIO:
        return output
    suffix = Path(output).suffix.lower()
    if os.path.isdir(output) or output.endswith((os.sep, "/")):
        return None
    if suffix in SUFFIXES - WRITTEN_SUFFIXES:
        raise UsageError(
            f"-o {output}: maps are not written as {suffix}; end in "
            f"{', '.join(sorted(WRITTEN_SUFFIXES))}, or give a directory"
        )
    if suffix in WRITTEN_SUFFIXES:
        return output
    if os.path.exists(output):
        raise UsageError(f"-o {output}: is a file, not a directory")
    return None


def _format(args: argparse.Namespace, file: str | None) -> str:
    """The format of maps by --format, --raw and the name of the one file, which must agree."""
    name = args.format
    if args.raw:
        if name not in (None, "npy"):
            raise UsageError(f"--raw is written as npy; leave --format {name} out")
        if args.size == "image":
            raise UsageError("--raw has the map's own size; leave --size image out")
        name = "npy"
    if file and file != STDIO:
        suffix = Path(file).suffix.lower()
        fitting = [key for key, suffixes in FORMATS.items() if suffix in suffixes]
        if name not in (None, *fitting):
            raise UsageError(f"-o {file} does not end in {FORMATS[name][0]}, as {name} does")
        name = name or fitting[0]
    return name or "png"


def _plan(
    args: argparse.Namespace,
    sources: list[Source],
    extensions: dict[str, str],
    file: str | None,
    directory: Path | None,
) -> list[dict[str, Path]]:
    """Where everything goes, after checking that it can go there."""
    if file is None:
        if directory is None and STDIO in args.images:
            raise UsageError("where should the map of standard input go? Give a directory with -o")
        planned = [_targets(source, extensions, directory) for source in sources]
    else:
        if len(sources) > 1:
            raise UsageError(f"-o {file} takes one image, not {len(sources)}; give a directory")
        if len(extensions) > 1:
            raise UsageError(
                f"-o {file} takes one map; for --overlay and --channels give a directory with -o"
            )
        planned = [{"saliency": Path(file)} for _ in sources]
        if file == STDIO:
            common.check_stdout(["-o -"] + ["--json"] * args.json, binary="the map")
            return planned
    _check_names(sources, planned)
    folders = {path.parent for paths in planned for path in paths.values()}
    for folder in {directory} if directory else folders:
        common.probe_directory(folder, create=directory is not None)
    return planned


def _map(
    source: Source, paths: dict[str, Path], args: argparse.Namespace, by_size: models.Models
) -> dict[str, Any]:
    """Read, map and write one image; its JSON object."""
    if source.problem:
        raise imagefiles.ImageError(source.problem)
    skipped = [str(path) for path in paths.values() if args.no_clobber and path.exists()]
    paths = {kind: path for kind, path in paths.items() if str(path) not in skipped}
    entry: dict[str, Any] = {"outputs": {}, **({"skipped": skipped} if skipped else {})}
    if not paths:
        return entry
    times = [time.perf_counter()]
    if source.path is None:
        frame = imagefiles.decode(sys.stdin.buffer.read())
    else:
        frame = imagefiles.read(source.path)
    shape = frame.shape[:2]
    times.append(time.perf_counter())
    model = by_size.get(shape)
    times.append(time.perf_counter())
    maps = models.with_parts(model, frame) if args.channels else {"saliency": model(frame)}
    times.append(time.perf_counter())
    data = {}  # all encoded before the first is written
    for kind in paths:
        if kind == "overlay":
            full = models.full_size(maps["saliency"], shape, by_size.config)
            data[kind] = imagefiles.encode(drawing.heat_over(frame, full, model.levels), "png")
        elif kind in maps:  # a grey frame has no colour
            raw = maps[kind]
            if not args.raw:
                small = args.size == "map"
                raw = models.unit(raw) if small else models.full_size(raw, shape, by_size.config)
            data[kind] = imagefiles.encode(raw, args.format)
    for kind, encoded in data.items():
        common.write(paths[kind], encoded)
        entry["outputs"][kind] = str(paths[kind])
    times.append(time.perf_counter())
    saliency = maps.pop("saliency")
    entry |= {
        "width": shape[1],
        "height": shape[0],
        "backend": model.backend,
        "milliseconds": dict(zip(STEPS, (np.diff(times) * 1e3).round(3), strict=True)),
        "peak": models.peak_of(saliency, shape, by_size.config),
        "maximum": float(saliency.max()),
    }
    if args.channels:
        entry["channel_maxima"] = {name: float(raw.max()) for name, raw in maps.items()}
    return entry


def _report(entry: dict[str, Any], progress: common.Progress, args: argparse.Namespace) -> None:
    """Say what became of an image: JSON or paths on stdout, errors and notes on stderr."""
    if args.json:
        progress.say(json.dumps(entry), sys.stdout)
    if "error" in entry:
        progress.say(f"ittisal map: {entry['input']}: {entry['error']}")
    if "error" in entry or args.quiet:
        return
    for path in entry.get("skipped", ()):
        progress.say(f"ittisal map: {path}: exists, left as it is")
    if entry.get("maximum") == 0:
        progress.say(f"ittisal map: {entry['input']}: nothing stands out; its map is all zero")
    for path in entry["outputs"].values():
        if not args.json and path != STDIO:
            progress.say(path, sys.stdout)


# --- inputs, and where their results go --------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """One image to read, or an argument that leads to none."""

    label: str  # its name in messages
    path: Path | None  # None for standard input
    folder: Path = Path()  # below the directory that was searched, and below that of the output
    problem: str = ""  # why there is no image

    @property
    def stem(self) -> str:
        """The name that results are called after."""
        return self.path.stem if self.path else "stdin"

    @property
    def parent(self) -> Path:
        """Where results go by default."""
        return self.path.parent if self.path else Path()


def find(arguments: Iterable[str], *, recursive: bool, output: Path | None) -> list[Source]:
    """Files, directories and patterns to images, each once, in the order given.

    Patterns are expanded here too: Windows shells leave them alone, and quoted ones arrive
    whole. A search in a directory leaves out hidden files and the output directory.
    """
    found: dict[str, Source] = {}
    for argument in arguments:
        for source in _expand(argument, recursive, output):
            found.setdefault(_key(source.path) if source.path else STDIO, source)
    return list(found.values())


def _leftovers(sources: list[Source]) -> set[Source]:
    """Maps of earlier runs beside their photographs, as photo.saliency.png beside photo.jpg."""
    kinds = ("saliency", "overlay", *models.PARTS)
    images = [source for source in sources if source.path and not source.problem]
    stems = {(source.parent, source.stem) for source in images}
    found = set()
    for source in images:
        stem, _, kind = source.stem.rpartition(".")
        written = source.path and source.path.suffix in WRITTEN_SUFFIXES
        if written and kind in kinds and (source.parent, stem) in stems:
            found.add(source)
    return found


def _expand(argument: str, recursive: bool, output: Path | None) -> Iterator[Source]:
    if argument == STDIO:
        yield Source(STDIO, None)
        return
    matches = [argument]
    if not os.path.exists(argument):
        pattern = any(sign in argument for sign in "*?[")
        matches = sorted(glob.glob(argument, recursive=True)) if pattern else []
        if not matches:
            problem = "no file matches this pattern" if pattern else "no such file"
            yield Source(argument, Path(argument), problem=problem)
    for match in matches:
        if os.path.isdir(match):
            yield from _search(match, recursive, output)
        else:
            yield Source(match, Path(match))


def _search(directory: str, recursive: bool, output: Path | None) -> Iterator[Source]:
    # Naming the output directory itself is no mistake; finding it below is.
    other = _key(output) if output and _key(output) != _key(Path(directory)) else None
    found = False
    errors: list[OSError] = []
    for folder, folders, names in os.walk(directory, onerror=errors.append):
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and _key(Path(folder, name)) != other
        )
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith(".") and path.is_file():
                found = True
                yield Source(str(path), path, Path(os.path.relpath(folder, directory)))
    for error in errors:
        problem = error.strerror or common.reason(error)
        yield Source(str(error.filename), Path(error.filename), problem=problem)
    if not (found or errors):
        hint = "" if recursive else "; --recursive also searches the folders in it"
        problem = f"no image file in this directory{hint}"
        yield Source(directory, Path(directory), problem=problem)


def _targets(source: Source, extensions: dict[str, str], output: Path | None) -> dict[str, Path]:
    """Where each kind of result of a source goes: beside it, or below `output`."""
    if source.problem:
        return {}
    folder = output / source.folder if output else source.parent
    return {kind: folder / f"{source.stem}.{kind}{end}" for kind, end in extensions.items()}


def _check_names(sources: list[Source], planned: list[dict[str, Path]]) -> None:
    """Refuse results that would overwrite each other or an input."""
    inputs = {_key(source.path): source for source in sources if source.path and not source.problem}
    owners: dict[str, Source] = {}
    for source, paths in zip(sources, planned, strict=True):
        for path in paths.values():
            key = _key(path)
            if key in inputs:
                raise UsageError(
                    f"{path} would overwrite the input {inputs[key].label}. Give another place "
                    "with -o"
                )
            other = owners.setdefault(key, source)
            if other is not source:
                raise UsageError(
                    f"{other.label} and {source.label} would both be written to {path}. Run them "
                    "apart with a different -o, or rename one"
                )


def _key(path: Path) -> str:
    """One key for every spelling of a path. A link is its own file: writing replaces it."""
    path = Path(os.path.abspath(path))  # or `.` would have no name
    return os.path.normcase(os.path.join(os.path.realpath(path.parent), path.name))
