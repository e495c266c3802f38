"""The format of data sets: a folder of images, a table of fixations, and facts about them.

The folder holds

- the image files, in `images/` if there is such a folder, else beside the table;
- `fixations.npz`, a NumPy archive without pickles, or `fixations.csv`;
- optionally `dataset.json`.

`fixations.npz` holds the arrays of a `DataSet`, with the types, shapes and meanings that it states:
`images` (text), `sizes`, `img` (which is its `image`), `x`, `y`, `subject`, `order`, `duration_ms`
and `sigma_px`.

`fixations.csv` is UTF-8 text, separated by commas, decimals with a point: a line of headings, then
a line per fixation. The columns are `image`, `x` and `y`, and any of `subject`, `order` and
`duration_ms`, in any sequence, with values as above; of the last three a value or a column may be
missing, if it is unknown. Fixations outside their image are left out and counted. Tables with other
headings, separators or names are converted by `read_table` and `ittisal dataset convert table`.

`dataset.json` may hold `name`, `source`, `licence`, `notes`, `sigma_px` (a number, for a CSV table;
else 3 % of the longer side), `upright` (false if positions are on the pixels as stored rather than
on the image turned as its EXIF orientation says), `left_out` and `remarks` (see `DataSet`).
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import documents
from ..arrayfiles import read_archive
from ..files import TEMPORARY, atomic
from ..imagefiles import SUFFIXES
from .dataset import UNKNOWN, Builder, DataSet, DataSetError, check_name

NPZ, CSV, JSON, IMAGES = "fixations.npz", "fixations.csv", "dataset.json", "images"
ARRAYS = ("images", "sizes", "img", "x", "y", "subject", "order", "duration_ms", "sigma_px")
CONVERT = "`ittisal dataset convert table` reads other headings, separators and names"
_ABOUT: dict[str, type] = {
    "name": str,
    "source": str,
    "licence": str,
    "notes": str,
    "sigma_px": float,
    "upright": bool,
    "left_out": int,
    "remarks": list,
}


@dataclass(frozen=True)
class Column:
    """The numbers of a column: their limits, and what an empty field counts as, if it may be."""

    low: float
    high: float
    whole: bool = False
    empty: float | None = None

    def number(self, text: str) -> float:
        """The value of a field; ValueError, which says what to give, if it has none."""
        if not text and self.empty is not None:
            return self.empty
        try:
            value = np.nan if "_" in text else float(text)
        except ValueError:
            value = np.nan
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            kind = "whole number" if self.whole else "number"
            raise ValueError(f"give a {kind} from {self.low:g} to {self.high:g}")
        return value


LARGEST = float(np.iinfo(np.int16).max)
COLUMNS = {
    "x": Column(-1e9, 1e9),
    "y": Column(-1e9, 1e9),
    "subject": Column(UNKNOWN, LARGEST, whole=True, empty=UNKNOWN),
    "order": Column(UNKNOWN, LARGEST, whole=True, empty=UNKNOWN),
    "duration_ms": Column(0, 1e9, empty=np.nan),
}
HEADINGS = ("image", *COLUMNS)


def load(path: str | os.PathLike[str]) -> DataSet:
    """Read a data set from a folder, or from the table in it, in the format of this module.

    `path` is the folder, or a .npz or .csv file. Of a `fixations.csv` the image files are opened
    for their sizes; of a `fixations.npz` none is opened before it is used.

    Raises DataSetError if nothing is there, or the table is not of the format or cannot be right.
    Single images that are missing or damaged are no error here: `DataSet.load_image` raises it.

    Examples
    --------
    >>> import tempfile
    >>> from ittisal import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = datasets.generated(folder + "/tiny")
    ...     data = datasets.load(folder + "/tiny")
    ...     print(data.name, len(data), len(data.subjects))
    tiny 6 4
    """
    table = find_table(Path(path), (".npz", ".csv"))
    if table.suffix.lower() == ".npz":
        return _read_npz(table)
    headings, rows = read_rows(table, ",")
    unknown = [heading for heading in headings if heading not in HEADINGS]
    if unknown or len(set(headings)) < len(headings) or not set(HEADINGS[:3]) <= set(headings):
        raise DataSetError(
            f"{table}, line 1: the headings are {', '.join(headings) or 'missing'}; give "
            f"{', '.join(HEADINGS)}, of which the last three may be missing. {CONVERT}"
        )
    columns = {name: [row[i] for row in rows.values()] for i, name in enumerate(headings)}
    return data_set(table, columns, rows)


def load_images(path: str | os.PathLike[str]) -> DataSet:
    """Read a data set, or a folder of images without a table, as the test sets of benchmarks are.

    `load`, where there is a table. Else the data set has no fixations, and its images are the
    picture files in the folder and below it, but hidden ones, in the order of their paths, with
    pixels as stored (`upright` is false), as benchmarks read them; `sigma_px` is 3 % of the longer
    side. Raises DataSetError as `load`, or if no picture is there.

    Examples
    --------
    >>> import tempfile
    >>> from ittisal import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = datasets.generated(folder + "/tiny", images=2)
    ...     data = datasets.load_images(folder + "/tiny/images")
    ...     print(data.images, len(data.x))
    ('bright-0.png', 'colour-1.png') 0
    """
    root = Path(path)
    if not root.is_dir() or any((root / name).exists() for name in (NPZ, CSV)):
        return load(path)
    try:
        found = sorted(
            relative
            for file in root.rglob("*")
            if file.suffix.lower() in SUFFIXES and file.is_file()
            for relative in [file.relative_to(root)]
            if not any(part.startswith(".") for part in relative.parts)
        )
    except OSError as error:
        raise DataSetError(f"{root} cannot be read: {error.strerror}") from error
    if not found:
        raise DataSetError(f"{root} holds neither {NPZ} nor {CSV} nor a picture")
    builder = Builder(root.resolve().name or "data", root, upright=False)
    for file in found:
        builder.add_image(file.as_posix())
    return builder.images_only()


def find_table(path: Path, suffixes: Sequence[str]) -> Path:
    """The table of fixations in a folder, or the given file; DataSetError if there is none."""
    if path.is_file():
        if path.suffix.lower() in suffixes:
            return path
        endings = ", ".join(suffixes)
        raise DataSetError(f"{path} is no table of fixations; give a file that ends in {endings}")
    if not path.is_dir():
        raise DataSetError(f"{path}: no such folder or table; give a folder with {NPZ} or {CSV}")
    found = [path / name for name in (NPZ, CSV) if (path / name).exists()]
    if len(found) > 1:
        raise DataSetError(f"{path} holds both {NPZ} and {CSV}; give the one to read")
    if not found:
        raise DataSetError(
            f"{path} holds neither {NPZ} nor {CSV}; published files become one with `ittisal "
            "dataset convert` (see `ittisal dataset list`)"
        )
    return found[0]


def image_folder(table: Path) -> Path:
    """Where the images of a table are."""
    folder = table.parent / IMAGES
    return folder if folder.is_dir() else table.parent


def _read_about(table: Path) -> dict[str, Any]:
    """Facts from the `dataset.json` beside a table, if there is one; the name always."""
    path = table.parent / JSON
    about: Any = {}
    try:
        if path.exists():
            about = documents.read(path)
    except (OSError, ValueError) as error:
        raise DataSetError(f"{path} cannot be read: {error}") from error
    if not isinstance(about, dict):
        raise DataSetError(f'{path}: write an object, as in {{"name": "My data"}}')
    for key, value in about.items():
        if key not in _ABOUT:
            raise DataSetError(f"{path}: no {key!r}; there are {', '.join(_ABOUT)}")
        kind = _ABOUT[key]
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise DataSetError(f"{path}: {key} is {value!r}; give a {kind.__name__}")
    if not 0 < about.get("sigma_px", 1) < 1e4:
        raise DataSetError(f"{path}: sigma_px is {about['sigma_px']}; give pixels above 0")
    about.pop("notes", None)
    return {**about, "name": about.get("name") or table.resolve().parent.name or "data"}


def _read_npz(table: Path) -> DataSet:
    about = _read_about(table)
    about.pop("sigma_px", None)
    try:
        held, arrays = read_archive(table, ARRAYS)
    except Exception as error:  # damaged archives make zipfile, zlib and NumPy raise many types
        raise DataSetError(
            f"{table} cannot be read: damaged, truncated, pickled or no .npz file ({error})"
        ) from error
    missing = [key for key in ARRAYS if key not in held]
    if missing:
        raise DataSetError(
            f"{table}: no array {', '.join(missing)}; it holds {', '.join(held)}. It needs "
            f"{', '.join(ARRAYS)}"
        )
    images = arrays.pop("images")
    if images.ndim != 1 or images.dtype.kind != "U":
        raise DataSetError(f"{table}: images is {images.dtype} of shape {images.shape}; give names")
    try:
        return DataSet(
            root=image_folder(table),
            images=tuple(images.tolist()),
            image=arrays.pop("img"),
            **arrays,
            **about,
        )
    except DataSetError as error:
        raise DataSetError(f"{table}: {error}") from error


def read_rows(table: Path, separators: str) -> tuple[list[str], dict[int, list[str]]]:
    """Headings and rows of a CSV file, by line number; the most frequent separator counts."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataSetError(f"{table} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataSetError(
            f"{table} is not UTF-8 text ({error.reason}); save it as UTF-8"
        ) from error
    separator = max(separators, key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: dict[int, list[str]] = {}
    try:
        headings = next(reader, [])
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            if len(row) != len(headings):
                decimals = "; decimals are written with a point" if separator == "," else ""
                raise DataSetError(
                    f"{table}, line {reader.line_num}: {len(row)} fields under {len(headings)} "
                    f"headings{decimals}"
                )
            rows[reader.line_num] = row
    except csv.Error as error:
        raise DataSetError(f"{table}, line {reader.line_num}: {error}") from error
    return headings, rows


def data_set(table: Path, columns: Mapping[str, list[str]], lines: Iterable[int]) -> DataSet:
    """The data set of a CSV file's columns, by the names of `HEADINGS`; `lines` are for errors."""
    if not columns["image"]:
        raise DataSetError(f"{table}: headings, but no fixations")
    about = {k: v for k, v in _read_about(table).items() if k not in ("left_out", "remarks")}
    builder = Builder(root=image_folder(table), **about)
    index: dict[str, int] = {}
    for line, image in zip(lines, columns["image"], strict=True):
        if image in index:
            continue
        try:
            check_name(image)
        except DataSetError as error:
            raise DataSetError(f"{table}, line {line}: {error}") from error
        index[image] = builder.add_image(image)
    numbers: dict[str, list[float]] = {}
    for name in columns.keys() & COLUMNS.keys():
        numbers[name] = []
        for line, text in zip(lines, columns[name], strict=True):
            try:
                numbers[name].append(COLUMNS[name].number(text))
            except ValueError as error:
                raise DataSetError(f"{table}, line {line}: {name} is {text!r}; {error}") from None
    builder.add([index[image] for image in columns["image"]], **numbers)
    try:
        return builder.data_set()
    except DataSetError as error:
        raise DataSetError(f"{table}: {error}") from error


def save(
    dataset: DataSet,
    path: str | os.PathLike[str],
    *,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a data set as a folder of images, `fixations.npz` and `dataset.json`.

    The folder, `path`, must be empty or new; it appears whole, or not at all. `link` makes symbolic
    links to the images where they are, rather than copies. `progress` is called with the images
    done and their number. Raises DataSetError if the folder is not empty, an image is missing, or
    something cannot be written.
    """
    folder = Path(path)
    missing = [i for i in range(len(dataset)) if not os.path.isfile(dataset.path(i))]
    if missing:
        raise DataSetError(
            f"{len(missing)} of {len(dataset)} images are missing, as {dataset.path(missing[0])}; "
            "restore them, or save a subset"
        )
    refuse_used(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # An empty folder is filled, not replaced: it may be a disk of its own.
        there = folder.exists()
        output = atomic(folder / IMAGES if there else folder.resolve())
        try:
            _write(dataset, output.temporary, link, progress)
            if there:
                for name in (IMAGES, JSON, NPZ):
                    os.replace(output.temporary / name, folder / name)
            else:
                output.publish()
        finally:
            output.discard()
    except OSError as error:
        where = error.filename2 or error.filename or folder
        raise DataSetError(f"cannot write {where}: {error.strerror}") from error


def refuse_used(folder: Path) -> None:
    """Raise DataSetError if a data set would be written over something."""
    try:
        # Unfinished ones are of a run that was killed.
        there = folder.iterdir() if folder.is_dir() else [folder] if folder.exists() else []
        if any(not path.name.startswith(TEMPORARY) for path in there):
            raise DataSetError(f"{folder} exists and is not empty; give a new folder")
    except OSError as error:
        raise DataSetError(f"{folder}: {error.strerror}") from error


def _write(
    dataset: DataSet, folder: Path, link: bool, progress: Callable[[int, int], None] | None
) -> None:
    for i, name in enumerate(dataset.images):
        target = folder / IMAGES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            target.symlink_to(dataset.path(i).resolve())
        else:
            shutil.copyfile(dataset.path(i), target)
        if progress:
            progress(i + 1, len(dataset))
    facts = ("name", "source", "licence", "upright", "left_out", "remarks")
    about = {key: getattr(dataset, key) for key in facts}
    # In ASCII, since names of files, and so of data sets, can be bytes that are no text.
    (folder / JSON).write_text(json.dumps(about, indent=2) + "\n")
    fields = {"images": np.array(dataset.images), "img": dataset.image}
    arrays = {key: fields.get(key, getattr(dataset, key, None)) for key in ARRAYS}
    np.savez_compressed(folder / NPZ, **arrays)  # type: ignore[arg-type]
