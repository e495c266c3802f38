"""Tables of other programs made data sets, and what is wrong with a data set."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .dataset import UNKNOWN, DataSet, DataSetError
from .storage import LARGEST, data_set, find_table, image_folder, load, read_rows

SPELLINGS = {
    "image": ("image", "img", "image_name", "filename", "file", "stimulus"),
    "x": ("x", "fix_x"),
    "y": ("y", "fix_y"),
    "subject": ("subject", "observer", "participant"),
    "order": ("order",),
    "duration_ms": ("duration_ms", "duration", "fix_duration"),
}
MIN_SIDE = 32  # what the model needs
SECONDS = 10  # a median duration below this many ms was given in seconds

Progress = Callable[[int, int], None]


def check(
    path: str | os.PathLike[str], progress: Progress | None = None
) -> tuple[DataSet, list[str]]:
    """Read a data set, as `load` does, and each of its images; `progress` as of `save`.

    Returns it and a list of problems, one line each: images that cannot be read, are too small or
    without fixations, fixations twice, 1 % or more of them outside their image, positions that
    count from 1, durations in seconds.

    Examples
    --------
    >>> import tempfile
    >>> from ittisal import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = datasets.generated(folder + "/tiny")
    ...     datasets.check(folder + "/tiny")[1]
    []
    """
    data = load(path)
    return data, _problems(data, progress)


def read_table(
    path: str | os.PathLike[str],
    *,
    sigma_px: float | None = None,
    progress: Progress | None = None,
) -> tuple[DataSet, list[str]]:
    """Read a table of fixations as spreadsheets and eye trackers write it.

    Besides the format of `load`, it may be separated by semicolons or tabs, have the headings of
    `SPELLINGS` in any case and others, which are ignored, names of subjects, and names of images
    with backslashes or in another Unicode form than the files'. Subjects' names become numbers in
    alphabetical order; without a column `order` fixations count in the sequence of the rows.

    `path` is a folder with `fixations.csv` or `fixations.npz`, or a .csv, .tsv, .txt or .npz file;
    `sigma_px` replaces that in `dataset.json`; `progress` is as of `save`. Returns the data set of
    the images that can be read, and a list of problems, as of `check`.
    """
    table = find_table(Path(path), (".npz", ".csv", ".tsv", ".txt"))
    data = load(table) if table.suffix.lower() == ".npz" else _converted(table)
    if sigma_px:
        data = replace(data, sigma_px=np.full(len(data), sigma_px))
    return readable(data), _problems(data, progress)


def readable(data: DataSet) -> DataSet:
    """The data set without images that are missing or of unknown size; as it is if all are."""
    chosen = [i for i in range(len(data)) if data.sizes[i].all() and os.path.isfile(data.path(i))]
    return data.subset(chosen) if 0 < len(chosen) < len(data) else data


def _converted(table: Path) -> DataSet:
    headings, rows = read_rows(table, ",;\t")
    columns = {
        name: [row[place].strip() for row in rows.values()]
        for name, place in _places(table, [heading.strip().lower() for heading in headings]).items()
    }
    columns["image"] = _file_names(columns["image"], image_folder(table))
    if "subject" in columns:
        columns["subject"] = subjects = _numbered(columns["subject"])
        columns.setdefault("order", _counted(columns["image"], subjects))
    return data_set(table, columns, rows)


def _places(table: Path, headings: Sequence[str]) -> dict[str, int]:
    """The place of each column among the headings."""
    places = {}
    for name, spellings in SPELLINGS.items():
        found = [place for place, heading in enumerate(headings) if heading in spellings]
        if len(found) > 1:
            both = " and ".join(headings[place] for place in found)
            raise DataSetError(f"{table}, line 1: both {both} could be {name}; remove one")
        if found:
            places[name] = found[0]
    missing = [name for name in ("image", "x", "y") if name not in places]
    if missing:
        raise DataSetError(
            f"{table}, line 1: no column {', '.join(missing)}; the first line holds "
            f"{', '.join(headings) or 'nothing'}. Write headings, as in image,x,y,subject"
        )
    return places


def _file_names(images: list[str], folder: Path) -> list[str]:
    """Names as the files have them, relative to `folder`; as given if there is no such file.

    Tables from Windows have backslashes; macOS decomposes accents in file names, tables seldom do.
    """
    names = {name: name.replace("\\", "/").removeprefix("./") for name in set(images)}
    absent = [name for name in names if not os.path.exists(folder / names[name])]
    if not "".join(absent).isascii():
        paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        files = {unicodedata.normalize("NFC", path): path for path in paths}
        for name in absent:
            names[name] = files.get(unicodedata.normalize("NFC", names[name]), names[name])
    return [names[name] for name in images]


def _numbered(subjects: list[str]) -> list[str]:
    """Subjects as numbers: as given, or by the order of their names; empty if unknown."""
    subjects = ["" if subject == str(UNKNOWN) else subject for subject in subjects]
    names = sorted(set(subjects) - {""})
    if all(name.isdecimal() and float(name) <= LARGEST for name in names):
        return subjects
    place = {name: str(i) for i, name in enumerate(names)}
    return [place.get(name, "") for name in subjects]


def _counted(images: list[str], subjects: list[str]) -> list[str]:
    """0, 1, 2... for the rows of each subject on each image; empty if the subject is unknown."""
    seen: Counter[tuple[str, str]] = Counter()
    order = []
    for key in zip(images, subjects, strict=True):
        order.append(str(seen[key]) if key[1] else "")
        seen[key] += 1
    return order


def _problems(data: DataSet, progress: Progress | None) -> list[str]:
    problems = []
    for i, path in enumerate(map(data.path, range(len(data)))):
        try:
            height, width = data.load_image(i).shape[:2]
        except DataSetError as error:
            problems.append(str(error))
        else:
            if min(height, width) < MIN_SIDE:
                problems.append(
                    f"{path} is {width}x{height} pixels; models need sides of {MIN_SIDE} or more"
                )
            if not len(data.fixations(i)):
                problems.append(f"{path} has no fixations, so it cannot be scored")
        if progress:
            progress(i + 1, len(data))
    known = (data.subject != UNKNOWN) & (data.order != UNKNOWN)
    keys = np.stack([data.image[known], data.subject[known], data.order[known]])
    twice = keys.shape[1] - np.unique(keys, axis=1).shape[1]
    if twice:
        problems.append(
            f"{data.name}: {twice} fixations have image, subject and order in common with another; "
            "was the table joined from parts that overlap?"
        )
    durations = data.duration_ms[np.isfinite(data.duration_ms)]
    if len(durations) and np.median(durations) < SECONDS:
        problems.append(
            f"{data.name}: the median duration is {np.median(durations):g} ms; multiply by 1000 "
            "if these are seconds"
        )
    return problems + list(data.remarks)
