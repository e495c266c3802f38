"""Readers of published data sets, as their authors' files lay them out.

Each takes the folder that the files were unpacked to, and fills a `Builder`. Positions become
pixels of the image counted from 0, so that the whole part is the pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ..imagefiles import ImageError, read
from . import gaze
from .dataset import Builder, DataSetError
from .matlab import cells, load, member, numbers, variable

Progress = Callable[[int, int], None]


def osie(source: Path, builder: Builder, progress: Progress) -> None:
    """OSIE: `fixations{i}.img` and `.subjects{j}.fix_x`, `fix_y`, `fix_duration`.

    The positions are EyeLink's screen pixels, which count from 0: taken as they are.
    """
    table, builder.root = _find(source, "fixations.mat"), _find(source, "stimuli")
    entries = cells(variable(table, "fixations"))
    for i, entry in enumerate(entries):
        image = builder.add_image(str(member(table, entry, "img")))
        for subject, seen in enumerate(cells(member(table, entry, "subjects"))):
            x, y, duration = (
                np.ravel(numbers(table, seen, name)) for name in ("fix_x", "fix_y", "fix_duration")
            )
            if not len(x) == len(y) == len(duration):
                raise DataSetError(
                    f"{table}: image {i + 1}, subject {subject + 1} has {len(x)} fix_x, {len(y)} "
                    f"fix_y and {len(duration)} fix_duration; they belong together"
                )
            builder.add(image, x, y, subject, np.arange(len(x)), duration)
        progress(i + 1, len(entries))


def mit1003(source: Path, builder: Builder, progress: Progress) -> None:
    """MIT1003: gaze samples, `<image>.DATA.eyeData` in `DATA/<subject>/<image>.mat`.

    Fixations are found as the authors do (see `gaze.fixations`). Each subject's first is left out,
    as the paper says: it is on the cross that had to be looked at before the image appeared. The
    authors use the whole part of a position as a MATLAB index, so 1 is subtracted. Blinks, of which
    x and y are negative, have no position.

    Without `DATA`, the points drawn in `ALLFIXATIONMAPS/<image>_fixPts.jpg` are taken, of all
    subjects together.
    """
    builder.root = _find(source, "ALLSTIMULI")
    files = _image_files(builder.root)
    recordings = _find(source, "DATA", "ALLFIXATIONMAPS")
    if recordings.name != "DATA":
        for i, file in enumerate(files):
            drawn = recordings / f"{file.stem}_fixPts.jpg"
            _add_points(builder, builder.add_image(file.name), partial(_bright, drawn))
            progress(i + 1, len(files))
        return
    subjects = sorted(path for path in recordings.iterdir() if path.is_dir())
    if not subjects:
        raise DataSetError(f"{recordings} holds no folder of a subject; unpack DATA.zip there")
    missing: list[Path] = []
    for i, file in enumerate(files):
        image = builder.add_image(file.name)
        for subject, folder in enumerate(subjects):
            table = folder / f"{file.stem}.mat"
            if not table.is_file():
                missing.append(table)
                continue
            x, y, duration = (column[1:] for column in gaze.fixations(_eye_data(table)))
            x = np.where((x < 0) & (y < 0), np.nan, x)
            builder.add(image, x - 1, y - 1, subject, np.arange(len(x)), duration)
        progress(i + 1, len(files))
    if missing:
        builder.problems.append(
            f"{len(missing)} of {len(files) * len(subjects)} recordings are missing, as "
            f"{missing[0]}"
        )


def _eye_data(table: Path) -> np.ndarray:
    """The (n, 2) gaze samples of a recording: its one structure is named after the image."""
    structures = [value for value in load(table).values() if hasattr(value, "_fieldnames")]
    if len(structures) != 1:
        raise DataSetError(f"{table} holds {len(structures)} structures; one is expected")
    trials = cells(member(table, structures[0], "DATA"))
    if not trials:
        raise DataSetError(f"{table}: DATA is empty; a recording is expected")
    samples = numbers(table, trials[0], "eyeData")
    if samples.ndim != 2 or samples.shape[1] < 2:
        raise DataSetError(
            f"{table}: eyeData is {samples.dtype} of shape {samples.shape}; (samples, 2) is "
            "expected"
        )
    return samples[:, :2]


def cat2000(source: Path, builder: Builder, progress: Progress) -> None:
    """CAT2000's training set: `fixLocs` in `FIXATIONLOCS/<category>/<number>.mat`.

    It is 1 in each pixel that anybody looked at: of all subjects together, without order.
    """
    builder.root, locations = _find(source, "Stimuli"), _find(source, "FIXATIONLOCS")
    categories = sorted(path for path in builder.root.iterdir() if path.is_dir())
    # The smoothed maps in each category's folder Output are no photographs.
    files = [file for category in categories for file in _image_files(category)]
    for i, file in enumerate(files):
        name = file.relative_to(builder.root)
        table = locations / name.with_suffix(".mat")
        image = builder.add_image(name.as_posix())
        _add_points(builder, image, partial(variable, table, "fixLocs"))
        progress(i + 1, len(files))


def toronto(source: Path, builder: Builder, progress: Progress) -> None:
    """Toronto: `white{i}` in `origfixdata.mat`, for `Original Image Set/<i>.jpg`.

    It is 1 in each pixel that anybody looked at: of all subjects together, without order.
    """
    table = _find(source, "origfixdata.mat")
    builder.root = _find(source, "Original Image Set")
    masks = cells(variable(table, "white"))
    for i, mask in enumerate(masks):
        image = builder.add_image(f"{i + 1}.jpg")
        _add_points(builder, image, partial(np.asarray, mask))
        progress(i + 1, len(masks))


def _add_points(builder: Builder, image: int, mask_of: Callable[[], np.ndarray]) -> None:
    """Add the pixels that are set in a mask of the image's size, as positions at their middle."""
    name, (height, width) = builder.images[image], builder.sizes[image]
    if not height:
        return  # a problem already
    try:
        mask = mask_of()
    except DataSetError as error:
        builder.problems.append(str(error))
        return
    if np.shape(mask) != (height, width):
        raise DataSetError(
            f"{builder.name}: the fixations of {name} are on a grid {np.shape(mask)}, but "
            f"the image has {height} rows and {width} columns. Do both come from one archive?"
        )
    y, x = np.nonzero(mask)
    builder.add(image, x + 0.5, y + 0.5)


def _bright(path: Path) -> np.ndarray:
    """The white points of a picture; JPEG leaves grey around them."""
    try:
        picture = read(path, upright=False)
    except (ImageError, TypeError, ValueError) as error:
        raise DataSetError(f"{path} {error}") from error
    return picture.reshape(*picture.shape[:2], -1)[..., 0] > 127


def _image_files(folder: Path) -> list[Path]:
    """The JPEG files in a folder, in the order of their names."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in (".jpg", ".jpeg") and not path.name.startswith(".")
    )


def _find(source: Path, *names: str) -> Path:
    """The file or folder of the first of these names in `source`, or up to three folders below."""
    for name in names:
        for below in ("", "*/", "*/*/", "*/*/*/"):
            for path in sorted(source.glob(below + name)):
                return path
    inside = sorted(path.name for path in source.iterdir())
    more = ", ..." if len(inside) > 4 else ""
    raise DataSetError(
        f"{source} holds no {' or '.join(names)} (it holds {', '.join(inside[:4]) or 'nothing'}"
        f"{more}); give the folder that the archives were unpacked to (see `ittisal dataset list`)"
    )
