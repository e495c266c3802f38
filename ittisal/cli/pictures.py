"""What commands on image files share: which images, where results go, and the work on each.

A command adds the options, makes a `Batch`, which checks the arguments, and runs it with a function
of one `Picture` that returns a `Result`:

    def add_parser(commands):
        parser = commands.add_parser("regions", description=DESCRIPTION, epilog=EPILOG)
        parser.set_defaults(run=run)
        pictures.add_options(parser, "pictures")
        parser.add_argument("--csv", metavar="FILE")
        common.add_model_options(parser, levels=True, faces=True, preset="gaze")

    def run(args):
        batch = pictures.Batch(args, "picture", {".png"}, {"csv": args.csv}, ("score", "x"))
        return batch.run(lambda source: {"regions": ".png"}, partial(_regions, args))

    def _regions(args, picture):
        saliency = picture.model(picture.frame, channels=picture.faces)
        found = ittisal.regions(saliency, shape=picture.shape)
        return pictures.Result(
            {"regions": [...]},  # in the line of --json, after those of every command
            {"regions": lambda: imagefiles.encode(drawn, "png")},
            rows=[{"score": ..., "x": ...}, ...],  # of the tables, after the column `input`
        )

The photograph photo.jpg gets photo.regions.png. A new kind of file is listed in `RESULTS`, so that
later runs do not take it for a photograph. A command that writes no pictures gives an empty
dictionary of kinds; one that writes them by choice, the kinds that are asked for.
"""

from __future__ import annotations

import argparse
import csv
import glob
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import imagefiles
from ..faces import FaceDetector
from ..files import is_special
from ..imagefiles import CONTAINERS, SUFFIXES, WRITTEN_SUFFIXES, ImageError
from ..pipeline import BackendError
from . import common, models
from .common import STDIO, UsageError

JSON = """\
JSON, one object per image:
  input, and error where it failed; else outputs (kind: file), width, height, backend, milliseconds
  (read, setup, model, write) and:
  {facts}
  Of a damaged file that was read, damaged says what is wrong with it.
  Files that --no-clobber leaves are in skipped. Where nothing is left to write, the image is not
  read, and its object ends there.
"""
STEPS = ("read", "setup", "model", "write")
RESULTS = {  # written beside photographs: noun -> kinds, and suffixes
    "maps": ({"saliency", "overlay", *models.PARTS}, WRITTEN_SUFFIXES),
    "crops": ({"crop"}, CONTAINERS),
    "pictures": ({"scanpath", "regions"}, {".png"}),
}


class Picture(NamedTuple):
    """One image, as the work on it sees it."""

    source: Source
    data: bytes  # the file
    stored: np.ndarray | None  # its pixels, upright, of their type, with alpha, if they are kept
    frame: np.ndarray  # the same for the model: BGR or grey, opaque
    model: Any  # the `Saliency` for frames of this size, or what else maps
    faces: FaceDetector | None = None  # its channels

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        return self.frame.shape[:2]


class Result(NamedTuple):
    """What the work on one image found."""

    facts: dict[str, Any]  # for its line of --json
    files: Mapping[str, Callable[[], bytes]]  # kind -> its file's content, made when it is due
    rows: Sequence[dict[str, Any]] = ()  # of the tables
    note: str = ""  # for standard error


def add_options(parser: argparse.ArgumentParser, nouns: str) -> None:
    """The images, `-o`, `--recursive`, `--no-clobber`, `--strict`, `--json` and `--quiet`."""
    add = parser.add_argument
    add("images", metavar="IMAGE", nargs="+", help="a file, directory, pattern, or - for stdin")
    add(
        "-o",
        "--output",
        metavar="DIR",
        type=common.output,
        help=f"where {nouns} go (default: beside each image); for one image also a FILE, or - for "
        "standard output",
    )
    add("-r", "--recursive", action="store_true", help="search folders within directories too")
    add("--no-clobber", action="store_true", help="do not overwrite existing files")
    common.add_max_pixels(parser)
    add(
        "--strict",
        action="store_true",
        help="refuse damaged files that could be read (default: a warning)",
    )
    add("--json", action="store_true", help="one JSON object per image on standard output")
    add(
        "-q",
        "--quiet",
        action="store_true",
        help="no paths, notes or progress; only errors and damage",
    )


class Batch:
    """The images of one command, from checked arguments to its exit status.

    Parameters
    ----------
    args : Namespace
        With the options of `add_options` and `common.add_model_options`, levels and faces
        included.
    noun : str
        What is written for an image, for messages, as in "map".
    suffixes : collection of str
        What the name of a file after -o may end in.
    tables : mapping
        Tables of the rows of all images: "csv" or "jsonl" -> the file or "-" that the option of
        this name gives, or None.
    columns : sequence of str
        The keys of rows that are columns of CSV.
    keep_stored : bool
        Whether the work needs the file's own pixels besides the frame. Both take memory.

    Raises
    ------
    UsageError, BackendError
    """

    def __init__(
        self,
        args: argparse.Namespace,
        noun: str,
        suffixes: Collection[str],
        tables: Mapping[str, str | None] | None = None,
        columns: Sequence[str] = (),
        *,
        keep_stored: bool = False,
    ) -> None:
        self.args = args
        self.noun = noun
        self.keep_stored = keep_stored
        self.tables = {form: path for form, path in (tables or {}).items() if path is not None}
        self.columns = ["input", *columns]
        self.config = common.read_config(args)
        common.require_opencv()
        common.check_backend(args.backend, self.config, args.threads)
        self.file = self._output_file(suffixes)  # the one file (or `-`) that -o names
        self.directory = Path(args.output) if args.output and not self.file else None
        self.existing: list[str] = []  # tables that --no-clobber leaves as they are

    def run(
        self,
        kinds: Callable[[Source], dict[str, str]],
        work: Callable[[Picture], Result],
        by_size: Any = None,
    ) -> int:
        """Do every image: 1 if some failed.

        Parameters
        ----------
        kinds : callable
            The files of a source: kind -> suffix, the first being what a single file after -o is.
        work : callable
            Of one `Picture`. What it raises is said of that image, and the rest go on.
        by_size : optional
            What maps instead of `models.Models`, with its `get` and `close`; its `get` returns what
            has a `backend`.
        """
        args = self.args
        self.faces = common.face_detector(args, channel_order="bgr")
        sources = find(args.images, recursive=args.recursive, output=self.directory)
        if STDIO in args.images:
            if args.images.count(STDIO) > 1:
                raise UsageError("- is one image on standard input; give it once")
            common.check_stdin("an image")
        leftovers = _leftovers(sources)
        sources = [source for source in sources if source not in leftovers]
        planned = self._plan(sources, [kinds(source) for source in sources])
        if args.no_clobber:
            files = [path for path in self.tables.values() if path != STDIO]
            self.existing = [path for path in files if os.path.exists(path)]
            self.tables = {f: path for f, path in self.tables.items() if path not in self.existing}

        failed = 0
        if by_size is None:
            by_size = models.Models(self.config, args.backend, args.threads, args.levels)
        with common.Progress(len(sources), wanted=not args.quiet) as progress:
            tables = [
                _Table(form, path, self.columns, progress) for form, path in self.tables.items()
            ]
            if leftovers and not args.quiet:
                nouns = " and ".join(sorted(set(leftovers.values())))
                progress.say(f"{self._name}: {nouns} of earlier runs left out: {len(leftovers)}")
            self._say_skipped(self.existing, progress)
            try:
                for source, paths in zip(sources, planned, strict=True):
                    result = self._attempt(source, paths, by_size, work)
                    failed += "error" in result.facts
                    for table in tables:
                        table.add([{"input": source.label, **row} for row in result.rows])
                    self._report({"input": source.label, **result.facts}, result.note, progress)
                    progress.step()
            finally:  # after an interrupt tables hold the images up to there
                unwritten = self._finish(tables, progress)
        by_size.close()
        if failed and len(sources) > 1:
            print(f"{self._name}: {failed} of {len(sources)} inputs failed", file=sys.stderr)
        return 1 if failed or unwritten else 0

    @property
    def _name(self) -> str:
        return f"ittisal {self.args.command}"

    def _output_file(self, suffixes: Collection[str]) -> str | None:
        """The one file (or `-`) that -o names, or None where it names a directory or nothing."""
        output = self.args.output
        if output is None:
            return STDIO if self.args.images == [STDIO] else None
        if output == "":
            raise UsageError("-o is empty; give a directory, a file, or - for standard output")
        if output == STDIO:
            return output
        name, suffix = Path(output).name.lower(), Path(output).suffix.lower()
        if os.path.isdir(output) or output.endswith((os.sep, "/")):
            return None
        if suffix in suffixes or is_special(Path(output)):
            return output
        if suffix in SUFFIXES:
            raise UsageError(
                f"-o {output}: {self.noun}s are not written as {suffix}; end in "
                f"{', '.join(sorted(suffixes))}, or give a directory"
            )
        if name in suffixes or name in SUFFIXES:
            raise UsageError(f"-o {output}: a name is missing before {name}")
        if os.path.exists(output):
            raise UsageError(f"-o {output}: is a file, not a directory")
        return None

    def _plan(self, sources: list[Source], kinds: list[dict[str, str]]) -> list[dict[str, Path]]:
        """Where everything goes, after checking that it can go there."""
        if self.args.output is None and not any(kinds):
            self.file = None  # standard output is not needed
        file, directory = self.file, self.directory
        if file is None:
            if directory is None and STDIO in self.args.images and any(kinds):
                raise UsageError(
                    f"where should the {self.noun} of standard input go? Give a directory with -o"
                )
            planned = [_targets(*each, directory) for each in zip(sources, kinds, strict=True)]
        else:
            if len(sources) > 1:
                raise UsageError(f"-o {file} takes one image, not {len(sources)}; give a directory")
            if any(len(each) != 1 for each in kinds):
                names = " and ".join(name for each in kinds for name in each)
                raise UsageError(
                    f"-o {file} takes one {self.noun}, not {names}; give a directory with -o"
                )
            planned = [{kind: Path(file) for kind in each} for each in kinds]
        self._check_stdout()
        for form, name in self.tables.items():
            if not name or os.path.isdir(name):
                what = "is a directory" if name else "is empty"
                raise UsageError(f"--{form} {name!r} {what}; give a file, or - for standard output")
        tables = {form: Path(path) for form, path in self.tables.items() if path != STDIO}
        files = [{} for _ in planned] if file == STDIO else planned
        outputs = [*files, *({form: path} for form, path in tables.items())]
        common.refuse_inputs(
            self.args,
            (path for paths in outputs for path in paths.values()),
            (source.path for source in sources if source.path),
        )
        _check_names([*sources, *(Source(f"--{form}", None) for form in tables)], outputs)
        for form, path in tables.items():
            common.probe_file(path, option=f"--{form}")
        made = (path for paths in files for path in paths.values())
        folders = {path.parent for path in made if not is_special(path)}
        for folder in {directory} if directory else folders:
            common.probe_directory(folder, create=directory is not None)
        return planned

    def _check_stdout(self) -> None:
        """Refuse two results on standard output, and a picture on a terminal."""
        tables = [f"--{form} -" for form, path in self.tables.items() if path == STDIO]
        options = [*["-o -"] * (self.file == STDIO), *tables, *["--json"] * self.args.json]
        binary = f"the {self.noun}" if self.file == STDIO else None
        common.check_stdout(options, binary=binary)

    def _attempt(self, source: Source, *given: Any) -> Result:
        """As `_one`, with an error that concerns this image alone as a fact of it."""
        try:
            return self._one(source, *given)
        except Exception as error:
            if isinstance(error, BackendError) or common.of_stdout(error):
                raise  # no other image would fare better
            if common.debugging():
                traceback.print_exception(error)
            return Result({"error": common.reason(error)}, {})

    def _one(
        self,
        source: Source,
        paths: dict[str, Path],
        by_size: Any,
        work: Callable[[Picture], Result],
    ) -> Result:
        """Read one image, work on it and write its files."""
        if source.problem:
            raise ImageError(source.problem)
        skipped = [str(path) for path in paths.values() if self.args.no_clobber and path.is_file()]
        paths = {kind: path for kind, path in paths.items() if str(path) not in skipped}
        facts: dict[str, Any] = {"outputs": {}, **({"skipped": skipped} if skipped else {})}
        idle = skipped or (self.existing and not self.args.json)
        if idle and not (paths or self.tables):
            return Result(facts, {})
        times = [time.perf_counter()]
        data = source.read()
        damage: list[str] = []
        stored = imagefiles.decode_stored(data, report=damage.append)
        if damage and self.args.strict:
            raise ImageError(f"is damaged: {damage[0]}")
        frame = imagefiles.to_frame(stored)
        kept = stored if self.keep_stored else None
        del stored
        times.append(time.perf_counter())
        model = by_size.get(frame.shape[:2])
        times.append(time.perf_counter())
        result = work(Picture(source, data, kept, frame, model, self.faces))
        times.append(time.perf_counter())
        # All encoded before the first is written. A picture may lack a kind: a grey one, colour.
        encoded = {kind: result.files[kind]() for kind in paths if kind in result.files}
        for kind, content in encoded.items():
            common.write(paths[kind], content)
            facts["outputs"][kind] = str(paths[kind])
        times.append(time.perf_counter())
        facts |= {
            "width": frame.shape[1],
            "height": frame.shape[0],
            "backend": model.backend,
            "milliseconds": dict(zip(STEPS, (np.diff(times) * 1e3).round(3), strict=True)),
            **({"damaged": damage[0]} if damage else {}),
        }
        return result._replace(facts=facts | result.facts)

    def _report(self, entry: dict[str, Any], note: str, progress: common.Progress) -> None:
        """Say what became of an image: JSON or paths on stdout, errors and notes on stderr."""
        if self.args.json:
            progress.say(json.dumps(entry), sys.stdout)
        if "error" in entry:
            progress.say(f"{self._name}: {entry['input']}: {entry['error']}")
        if "damaged" in entry:
            progress.say(
                f"{self._name}: {entry['input']}: is damaged, but was read: {entry['damaged']}"
            )
        if "error" in entry or self.args.quiet:
            return
        self._say_skipped(entry.get("skipped", ()), progress)
        if note:
            progress.say(f"{self._name}: {entry['input']}: {note}")
        self._say_written(entry["outputs"].values(), progress)

    def _say_skipped(self, paths: Iterable[str], progress: common.Progress) -> None:
        for path in () if self.args.quiet else paths:
            progress.say(f"{self._name}: {path}: exists, left as it is")

    def _say_written(self, paths: Iterable[str], progress: common.Progress) -> None:
        """Paths on standard output, unless something else goes there."""
        taken = self.args.json or STDIO in (self.file, *self.tables.values())
        for path in () if taken or self.args.quiet else paths:
            progress.say(path, sys.stdout)

    def _finish(self, tables: Sequence[_Table], progress: common.Progress) -> int:
        """Write the tables; how many could not be written."""
        unwritten = 0
        for table in tables:
            try:
                table.finish()
            except ImageError as error:
                progress.say(f"{self._name}: {error}")
                unwritten += 1
            else:
                self._say_written([table.path] * (table.path != STDIO), progress)
        return unwritten


class _Table:
    """Rows of all images as CSV or JSON Lines: in a file, written at the end, or on stdout at once.

    Parameters
    ----------
    form : "csv" or "jsonl"
    path : str
    columns : sequence of str
        Of CSV.
    progress : Progress
        Prints on standard output.
    """

    def __init__(
        self, form: str, path: str, columns: Sequence[str], progress: common.Progress
    ) -> None:
        self.path = path
        self._columns = columns if form == "csv" else ()
        self._lines: list[str] = []
        self._put = self._lines.append
        if path == STDIO:
            self._put = partial(progress.say, stream=sys.stdout)
        if form == "csv":
            self._put(_csv_line(columns))

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """More rows; those of JSON have all keys."""
        for row in rows:
            if self._columns:
                self._put(_csv_line(row.get(name, "") for name in self._columns))
            else:
                self._put(json.dumps(row))

    def finish(self) -> None:
        """Write the file."""
        if self.path != STDIO:
            text = "".join(f"{line}\n" for line in self._lines)
            common.write(Path(self.path), text.encode("utf-8", "surrogateescape"))


def _csv_line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    # The writer quotes the characters of its line end: names may hold both.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n")


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

    def read(self) -> bytes:
        """The file; ImageError if it cannot be read."""
        if self.path:
            return imagefiles.contents(self.path)
        try:
            return sys.stdin.buffer.read()
        except OSError as error:
            raise ImageError(f"cannot be read: {error.strerror}") from error


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


def _leftovers(sources: list[Source]) -> dict[Source, str]:
    """Results of earlier runs beside their photographs, as photo.saliency.png beside photo.jpg.

    Each with the noun of its kind.
    """
    images = [source for source in sources if source.path and not source.problem]
    stems = {(source.parent, source.stem) for source in images}
    found = {}
    for source in images:
        stem, _, kind = source.stem.rpartition(".")
        suffix = source.path.suffix if source.path else ""
        for noun, (kinds, suffixes) in RESULTS.items():
            if kind in kinds and suffix in suffixes and (source.parent, stem) in stems:
                found[source] = noun
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
            from ..video.sources import without_password  # not needed where all is well

            problem = "no file matches this pattern" if pattern else "no such file"
            yield Source(without_password(argument), Path(argument), problem=problem)
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
    """Refuse results that would overwrite each other."""
    owners: dict[str, Source] = {}
    for source, paths in zip(sources, planned, strict=True):
        for path in paths.values():
            other = owners.setdefault(_key(path), source)
            if other is not source:
                raise UsageError(
                    f"{other.label} and {source.label} would both be written to {path}. Run them "
                    "apart with a different -o, or rename one"
                )


def _key(path: Path) -> str:
    """One key for every spelling of a path. A link is its own file: writing replaces it."""
    path = Path(os.path.abspath(path))  # or `.` would have no name
    return os.path.normcase(os.path.join(os.path.realpath(path.parent), path.name))
