"""What `ittisal map` is given to read, and where each result goes, settled before any work."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError, reason
from .images import SUFFIXES, WRITTEN_SUFFIXES
from .models import PARTS

STDIN = "-"
KINDS = ("saliency", "overlay", *PARTS)  # photo.jpg gives photo.KIND.png


@dataclass(frozen=True)
class Source:
    """One image to read.

    `label` is what the user is told; `path` is None for standard input; `folder` is its place
    below the directory that was searched, kept below the output directory.
    """

    label: str
    path: Path | None
    folder: Path = Path()

    @property
    def stem(self) -> str:
        """The name that results are called after."""
        return self.path.stem if self.path else "stdin"


@dataclass(frozen=True)
class Problem:
    """An argument that leads to no image, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Inputs:
    """All that the arguments lead to. `leftovers` are maps of earlier runs, left out."""

    sources: list[Source]
    problems: list[Problem]
    leftovers: list[Source]


def expand(arguments: Iterable[str], *, recursive: bool, output: Path | None) -> Inputs:
    """Files, directories and patterns to images, each once, in the order given.

    Patterns are expanded here too: Windows shells leave them alone, and quoted ones arrive
    whole. A search in a directory leaves out hidden files and the output directory.
    """
    found: dict[str, Source] = {}
    problems: list[Problem] = []
    for argument in arguments:
        for item in _expand(argument, recursive, output):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                found.setdefault(_key(item.path) if item.path else STDIN, item)
    stems = {(_parent(source), source.stem) for source in found.values()}
    inputs = Inputs([], problems, [])
    for source in found.values():
        (inputs.leftovers if _is_leftover(source, stems) else inputs.sources).append(source)
    return inputs


def _parent(source: Source) -> Path:
    return source.path.parent if source.path else Path()


def _is_leftover(source: Source, stems: set[tuple[Path, str]]) -> bool:
    """Whether this is photo.saliency.png beside photo.jpg: else every run would map the maps."""
    stem, _, kind = source.stem.rpartition(".")
    written = source.path is not None and source.path.suffix in WRITTEN_SUFFIXES
    return written and kind in KINDS and (_parent(source), stem) in stems


def _expand(argument: str, recursive: bool, output: Path | None) -> Iterator[Source | Problem]:
    if argument == STDIN:
        yield Source(STDIN, None)
    elif os.path.isdir(argument):
        yield from _search(argument, recursive, output)
    elif os.path.exists(argument):
        yield Source(argument, Path(argument))
    elif any(sign in argument for sign in "*?["):
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            yield Problem(argument, "no file matches this pattern")
        for match in matches:
            if os.path.isdir(match):
                yield from _search(match, recursive, output)
            else:
                yield Source(match, Path(match))
    else:
        yield Problem(argument, "no such file")


def _search(directory: str, recursive: bool, output: Path | None) -> Iterator[Source | Problem]:
    # Naming the output directory itself is no mistake; finding it below is.
    other = _key(output) if output and _key(output) != _key(Path(directory)) else None
    empty = True
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
                empty = False
                yield Source(str(path), path, Path(os.path.relpath(folder, directory)))
    for error in errors:
        yield Problem(str(error.filename), error.strerror or reason(error))
    if empty and not errors:
        hint = "" if recursive else "; --recursive also searches the folders in it"
        yield Problem(directory, f"no image file in this directory{hint}")


def targets(
    sources: list[Source], extensions: dict[str, str], output: Path | None
) -> list[dict[str, Path]]:
    """Where each kind of result of each source goes: beside it, or below `output`.

    Raises
    ------
    UsageError
        Two results would share a name, or one would take the place of an input.
    """
    planned = [
        {
            kind: (output / source.folder if output else _parent(source))
            / f"{source.stem}.{kind}{extension}"
            for kind, extension in extensions.items()
        }
        for source in sources
    ]
    check_names(sources, planned)
    return planned


def check_names(sources: list[Source], planned: list[dict[str, Path]]) -> None:
    """Refuse results that would overwrite each other or an input."""
    inputs = {_key(source.path): source for source in sources if source.path}
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
