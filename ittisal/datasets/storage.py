"""Data sets in a folder: images, a table of fixations, and what is known about them.

The folder holds

- the image files, in `images/` if there is such a folder, else beside the table;
- `fixations.npz`, a NumPy archive without pickles, or `fixations.csv`;
- optionally `dataset.json`.

`fixations.npz` holds these arrays, N images and F fixations:

===============  ============  ============================================================
array            type          what
===============  ============  ============================================================
images           (N,) str      paths of the image files
sizes            (N, 2) int32  height, width in pixels
img              (F,) int32    which image
x, y             (F,) float32  pixels of the image, origin top-left, x to the right, y down
subject          (F,) int16    who looked; -1 unknown
order            (F,) int16    0 for a subject's first fixation on an image; -1 unknown
duration_ms      (F,) float32  NaN unknown
sigma_px         (N,) float32  Gaussian of the density, about one degree of visual angle
===============  ============  ============================================================

`fixations.csv` has a line of headings and one line per fixation. `image`, `x` and `y` are
needed; `subject` (a number or a name; empty where unknown), `order` and `duration_ms` (or
`duration`, in milliseconds) may follow, in any sequence, and other columns are passed over. It is
UTF-8, separated by commas, semicolons or tabs.

`dataset.json` may hold `name`, `source`, `licence`, `notes`, `sigma_px` (a number, for a table
without; else 3 % of the longer side are taken), `upright` (false where positions are on the
pixels as stored rather than on the image turned as its EXIF orientation says) and `left_out`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..files import temporary
from .dataset import UNKNOWN, DataSet, DataSetError, check_name
from .gathering import Gathering

NPZ, CSV, JSON, IMAGES = "fixations.npz", "fixations.csv", "dataset.json", "images"
ARRAYS = ("images", "sizes", "img", "x", "y", "subject", "order", "duration_ms", "sigma_px")
HEADINGS = {  # as they are called elsewhere
    "image": ("image", "img", "image_name", "filename", "file", "stimulus"),
    "x": ("x", "fix_x"),
    "y": ("y", "fix_y"),
    "subject": ("subject", "observer", "participant"),
    "order": ("order",),
    "duration_ms": ("duration_ms", "duration", "fix_duration"),
}
_KNOWN = {
    "name": str,
    "source": str,
    "licence": str,
    "notes": str,
    "sigma_px": float,
    "upright": bool,
    "left_out": int,
}


def load(path: str | os.PathLike[str]) -> DataSet:
    """Read a data set from a folder, or from the table in it.

    Of a `fixations.csv` the image files are looked at for their sizes; of a `fixations.npz`
    nothing is, until they are loaded. Fixations outside their image are left out and counted.

    Parameters
    ----------
    path : path
        The folder, or a `.npz` or `.csv` file.

    Returns
    -------
    DataSet

    Raises
    ------
    DataSetError
        Nothing there, or a table that cannot be right. Single images that are missing or damaged
        are no error here: `DataSet.load_image` raises it.

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
    return read_table(Path(path))[0]


def read_table(path: Path) -> tuple[DataSet, list[str]]:
    """The data set, and what is odd about it, for `check`."""
    table = _find_table(path)
    about = _read_about(table.parent / JSON)
    folder = table.parent / IMAGES
    root = folder if folder.is_dir() else table.parent
    name = about.get("name") or _folder_name(table)
    if table.suffix.lower() == ".npz":
        return _read_npz(table, root, name, about), []
    return _read_csv(table, root, name, about)


def _folder_name(table: Path) -> str:
    return table.resolve().parent.name or "data"


def _find_table(path: Path) -> Path:
    if path.is_file():
        if path.suffix.lower() not in (".npz", ".csv", ".tsv", ".txt"):
            raise DataSetError(f"{path} is no table of fixations; give a .npz or .csv file")
        return path
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


def _read_about(path: Path) -> dict[str, Any]:
    """What `dataset.json` tells, or nothing where there is none."""
    if not path.exists():
        return {}
    try:
        about = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataSetError(f"{path} cannot be read: {error}") from error
    if not isinstance(about, dict):
        raise DataSetError(f'{path}: write an object, as in {{"name": "My data"}}')
    for key, value in about.items():
        if key not in _KNOWN:
            raise DataSetError(f"{path}: no {key!r}; there are {', '.join(_KNOWN)}")
        kind = _KNOWN[key]
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits and not (kind is float and type(value) is int):
            raise DataSetError(f"{path}: {key} is {value!r}; give a {kind.__name__}")
    if not 0 < about.get("sigma_px", 1) < 1e4:
        raise DataSetError(f"{path}: sigma_px is {about['sigma_px']}; give pixels above 0")
    return about


# --- fixations.npz ------------------------------------------------------------------------------


def _read_npz(table: Path, root: Path, name: str, about: dict[str, Any]) -> DataSet:
    arrays: dict[str, np.ndarray] = {}
    try:
        with np.load(io.BytesIO(table.read_bytes()), allow_pickle=False) as archive:
            missing = [key for key in ARRAYS if key not in archive]
            if missing:
                raise DataSetError(
                    f"{table}: no array {', '.join(missing)}; it holds {', '.join(archive)}. "
                    f"It needs {', '.join(ARRAYS)}"
                )
            arrays = {key: archive[key] for key in ARRAYS}
    except DataSetError:
        raise
    except Exception as error:  # of damaged archives zipfile, zlib and NumPy raise whatever comes
        raise DataSetError(
            f"{table} cannot be read: damaged, truncated, pickled or no .npz file ({error})"
        ) from error
    images = arrays.pop("images")
    if images.ndim != 1 or images.dtype.kind != "U":
        raise DataSetError(f"{table}: images is {images.dtype} of shape {images.shape}; give names")
    try:
        return DataSet(
            name=name,
            root=root,
            images=tuple(images.tolist()),
            image=arrays.pop("img"),
            upright=about.get("upright", True),
            left_out=about.get("left_out", 0),
            source=about.get("source", ""),
            licence=about.get("licence", ""),
            **arrays,
        )
    except DataSetError as error:
        raise DataSetError(f"{table}: {error}") from error


# --- fixations.csv ------------------------------------------------------------------------------


def _read_csv(
    table: Path, root: Path, name: str, about: dict[str, Any]
) -> tuple[DataSet, list[str]]:
    columns = _columns(table)
    gathering = Gathering(
        name,
        root,
        upright=about.get("upright", True),
        sigma_px=about.get("sigma_px"),
        source=about.get("source", ""),
        licence=about.get("licence", ""),
    )
    files = _Files(root)
    index: dict[str, int] = {}
    for image in columns["image"]:
        if image not in index:
            found = files.find(image)
            index[image] = gathering.add_image(found)
    image = np.array([index[image] for image in columns["image"]], np.int32)
    subject = _subjects(columns["subject"])
    order = columns["order"]
    if order is None:
        order = _order_of_rows(image, subject)
    gathering.add(image, columns["x"], columns["y"], subject, order, columns["duration_ms"])
    try:
        data = gathering.data_set()
    except DataSetError as error:
        raise DataSetError(f"{table}: {error}") from error
    return data, gathering.problems


def _columns(table: Path) -> dict[str, Any]:
    """The columns by our names: lists, arrays of numbers, or what stands for a missing one."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataSetError(f"{table} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataSetError(
            f"{table} is not UTF-8 text ({error.reason}); save it as UTF-8"
        ) from error
    heading = text.split("\n", 1)[0]
    separator = max(",;\t", key=heading.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        headings = [heading.strip().lower() for heading in next(lines, [])]
        places = _places(table, headings)
        rows, numbers = [], []
        for row in lines:
            if not any(field.strip() for field in row):
                continue
            if len(row) != len(headings):
                raise DataSetError(
                    f"{table}, line {lines.line_num}: {len(row)} fields under {len(headings)} "
                    f"headings{'; decimals are written with a point' if separator == ',' else ''}"
                )
            rows.append([field.strip() for field in row])
            numbers.append(lines.line_num)
    except csv.Error as error:
        raise DataSetError(f"{table}, line {lines.line_num}: {error}") from error
    if not rows:
        raise DataSetError(f"{table}: headings, but no fixations")
    columns = {name: [row[place] for row in rows] for name, place in places.items()}

    def numeric(name: str, *, needed: bool) -> np.ndarray:
        return np.array(
            [
                _number(table, line, headings[places[name]], text, needed)
                for line, text in zip(numbers, columns[name], strict=True)
            ]
        )

    for line, image in zip(numbers, columns["image"], strict=True):
        if not image:
            raise DataSetError(f"{table}, line {line}: no image; write the file's name")
    return {
        "image": [_posix(table, image) for image in columns["image"]],
        "x": numeric("x", needed=True),
        "y": numeric("y", needed=True),
        "subject": columns.get("subject"),
        "order": numeric("order", needed=True) if "order" in columns else None,
        "duration_ms": numeric("duration_ms", needed=False) if "duration_ms" in columns else np.nan,
    }


def _places(table: Path, headings: list[str]) -> dict[str, int]:
    """Where each of our columns stands among the headings."""
    places = {}
    for name, spellings in HEADINGS.items():
        found = [place for place, heading in enumerate(headings) if heading in spellings]
        if len(found) > 1:
            both = " and ".join(headings[place] for place in found)
            raise DataSetError(f"{table}: both {both} could be {name}; keep one")
        if found:
            places[name] = found[0]
    missing = [name for name in ("image", "x", "y") if name not in places]
    if missing:
        raise DataSetError(
            f"{table}: no column {', '.join(missing)}; the first line holds "
            f"{', '.join(headings) or 'nothing'}. Write headings, as in "
            "image,x,y,subject,order,duration_ms"
        )
    return places


def _number(table: Path, line: int, name: str, text: str, needed: bool) -> float:
    try:
        value = float(text) if text or needed else float("nan")
    except ValueError:
        value = float("inf")
    if np.isinf(value) or (needed and np.isnan(value)):
        raise DataSetError(
            f"{table}, line {line}: {name} is {text!r}; give a number, or leave the line out"
        )
    return value


def _posix(table: Path, name: str) -> str:
    """An image's name with forward slashes, as tables from Windows have it otherwise."""
    name = name.replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    try:
        check_name(name)
    except DataSetError as error:
        raise DataSetError(f"{table}: {error}") from error
    return name


class _Files:
    """Finds images whose names are spelt with other Unicode forms than in the table.

    macOS writes file names decomposed (e and an accent), most tables are composed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._spelt: dict[str, str] | None = None

    def find(self, name: str) -> str:
        """The name as the file has it; as given where there is no such file."""
        if name.isascii() or (self.root / name).exists():
            return name
        if self._spelt is None:
            paths = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))
            self._spelt = {unicodedata.normalize("NFC", path): path for path in paths}
        return self._spelt.get(unicodedata.normalize("NFC", name), name)


def _subjects(column: list[str] | None) -> Any:
    """Numbers as given, or names counted from 0 in their sorted order; unknown where empty."""
    if column is None or not any(column):
        return UNKNOWN
    try:
        numbers = np.array([int(text) if text else UNKNOWN for text in column])
        if numbers.min() >= UNKNOWN and numbers.max() <= np.iinfo(np.int16).max:
            return numbers
    except ValueError:
        pass
    place = {name: i for i, name in enumerate(sorted(set(column) - {""}))}
    return np.array([place.get(name, UNKNOWN) for name in column])


def _order_of_rows(image: np.ndarray, subject: Any) -> Any:
    """0, 1, 2... for the rows of each subject on each image; unknown where the subject is."""
    if np.ndim(subject) == 0:
        return UNKNOWN
    seen: dict[tuple[int, int], int] = {}
    order = np.full(len(image), UNKNOWN, np.int32)
    for row, key in enumerate(zip(image.tolist(), subject.tolist(), strict=True)):
        if key[1] == UNKNOWN:
            continue
        order[row] = seen.get(key, 0)
        seen[key] = order[row] + 1
    return order


# --- writing ------------------------------------------------------------------------------------


def save(
    dataset: DataSet,
    path: str | os.PathLike[str],
    *,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a data set as a folder of its own: images, `fixations.npz`, `dataset.json`.

    It is written under a temporary name first: whole, or not at all.

    Parameters
    ----------
    dataset : DataSet
    path : path
        The folder; it must be empty or new.
    link : bool
        Symbolic links to the images where they are, rather than copies.
    progress : callable, optional
        Called with the images done and their number.

    Raises
    ------
    DataSetError
        The folder has something in it, or an image is missing: nothing is written then. Or
        something cannot be written.
    """
    folder = Path(path)
    missing = [i for i in range(len(dataset)) if not dataset.path(i).is_file()]
    if missing:
        raise DataSetError(
            f"{len(missing)} of {len(dataset)} images are missing, as {dataset.path(missing[0])}; "
            "restore them, or save a subset"
        )
    refuse_used(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = temporary(folder.parent.resolve())
        try:
            _write(dataset, scratch, link, progress)
            if folder.exists():
                for name in (IMAGES, JSON, NPZ):
                    os.replace(scratch / name, folder / name)
            else:
                os.replace(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        where = error.filename2 or error.filename or folder
        raise DataSetError(f"cannot write {where}: {error.strerror}") from error


def refuse_used(folder: Path) -> None:
    """Raise DataSetError where something is that a data set would be written over."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
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
    (folder / JSON).write_bytes(_about(dataset))
    (folder / NPZ).write_bytes(_npz(dataset))


def _about(dataset: DataSet) -> bytes:
    about = {
        "name": dataset.name,
        "source": dataset.source,
        "licence": dataset.licence,
        "upright": dataset.upright,
        "left_out": dataset.left_out,
    }
    return (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()


def _npz(dataset: DataSet) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        key: getattr(dataset, key) for key in ARRAYS if key not in ("images", "img")
    }
    np.savez_compressed(buffer, images=np.array(dataset.images), img=dataset.image, **arrays)
    return buffer.getvalue()
