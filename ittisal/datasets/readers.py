"""Published data sets as their authors' files lay them out.

Each reader takes the folder that the files were unpacked to, and a `Gathering` to fill. Positions
become pixels of the image counted from 0, so that the whole part is the pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..imagefiles import ImageError, read
from . import matlab, samples
from .dataset import UNKNOWN, DataSetError
from .gathering import Gathering

Progress = Callable[[int, int], None]


def osie(source: Path, gathering: Gathering, progress: Progress) -> None:
    """OSIE: `fixations{i}.img` and `.subjects{j}.fix_x`, `fix_y`, `fix_duration`.

    The positions are EyeLink's screen pixels, which count from 0: taken as they are.
    """
    table, stimuli = _first(
        source,
        [("eye/fixations.mat", "stimuli"), ("fixations.mat", "stimuli"), ("fixations.mat", "")],
        inner="data",
    )
    gathering.root = stimuli
    entries = matlab.cells(matlab.variable(table, "fixations"))
    for i, entry in enumerate(entries):
        image = gathering.add_image(str(matlab.field(table, entry, "img")))
        for subject, seen in enumerate(matlab.cells(matlab.field(table, entry, "subjects"))):
            x, y, duration = (
                matlab.row(table, seen, name) for name in ("fix_x", "fix_y", "fix_duration")
            )
            if not len(x) == len(y) == len(duration):
                raise DataSetError(
                    f"{table}: image {i + 1}, subject {subject + 1} has {len(x)} fix_x, {len(y)} "
                    f"fix_y and {len(duration)} fix_duration; they belong together"
                )
            gathering.add(image, x, y, subject, np.arange(len(x)), duration)
        progress(i + 1, len(entries))


def mit1003(source: Path, gathering: Gathering, progress: Progress) -> None:
    """MIT1003: gaze samples, `<image>.DATA.eyeData` in `DATA/<subject>/<image>.mat`.

    Fixations are found as the authors do (see `samples.fixations`). Each subject's first is left
    out, as the paper says: it is on the cross that had to be looked at before the image appeared.
    The authors use the whole part of a position as a MATLAB index, so 1 is subtracted.

    Without `DATA`, the points drawn in `ALLFIXATIONMAPS/<image>_fixPts.jpg` are taken, of all
    subjects together.
    """
    stimuli = _folder(source, ["ALLSTIMULI"])
    gathering.root = stimuli
    files = _image_files(stimuli)
    if not (source / "DATA").is_dir():
        maps = _folder(source, ["ALLFIXATIONMAPS"], wanted="DATA or ALLFIXATIONMAPS")
        for i, file in enumerate(files):
            image = gathering.add_image(file.name)
            drawn = maps / f"{file.stem}_fixPts.jpg"
            _add_points(gathering, image, partial(_bright, drawn))
            progress(i + 1, len(files))
        return
    subjects = sorted(path for path in (source / "DATA").iterdir() if path.is_dir())
    if not subjects:
        raise DataSetError(f"{source / 'DATA'} holds no folder of a subject; unpack DATA.zip there")
    missing: list[Path] = []
    for i, file in enumerate(files):
        image = gathering.add_image(file.name)
        for subject, folder in enumerate(subjects):
            table = folder / f"{file.stem}.mat"
            if not table.is_file():
                missing.append(table)
                continue
            x, y, duration = samples.fixations(_eye_data(table))
            gathering.add(image, x[1:] - 1, y[1:] - 1, subject, np.arange(len(x) - 1), duration[1:])
        progress(i + 1, len(files))
    if missing:
        gathering.problems.append(
            f"{len(missing)} of {len(files) * len(subjects)} recordings are missing, as "
            f"{missing[0]}"
        )


def _eye_data(table: Path) -> np.ndarray:
    """The (n, 2) gaze samples of one recording: its one structure is named after the image."""
    structures = [value for value in matlab.load(table).values() if hasattr(value, "_fieldnames")]
    if len(structures) != 1:
        raise DataSetError(f"{table} holds {len(structures)} structures; one is expected")
    trial = matlab.cells(matlab.field(table, structures[0], "DATA"))[0]
    gaze = np.asarray(matlab.field(table, trial, "eyeData"))
    if gaze.ndim != 2 or gaze.shape[1] < 2 or gaze.dtype.kind not in "iuf":
        raise DataSetError(
            f"{table}: eyeData is {gaze.dtype} of shape {gaze.shape}; (samples, 2) is expected"
        )
    return gaze[:, :2].astype(np.float64)


def cat2000(source: Path, gathering: Gathering, progress: Progress) -> None:
    """CAT2000's training set: `fixLocs` in `FIXATIONLOCS/<category>/<number>.mat`.

    It is 1 in each pixel that anybody looked at: of all subjects together, without order.
    """
    train = _folder(source, ["trainSet", "."], holding="FIXATIONLOCS")
    stimuli = _folder(train, ["Stimuli"])
    gathering.root = stimuli
    files = [
        file
        for category in sorted(path for path in stimuli.iterdir() if path.is_dir())
        for file in _image_files(category)  # their smoothed maps are below, in Output
    ]
    for i, file in enumerate(files):
        name = file.relative_to(stimuli)
        image = gathering.add_image(name.as_posix())
        table = train / "FIXATIONLOCS" / name.with_suffix(".mat")
        _add_points(gathering, image, partial(matlab.variable, table, "fixLocs"))
        progress(i + 1, len(files))


def toronto(source: Path, gathering: Gathering, progress: Progress) -> None:
    """Toronto: `white{i}` in `origfixdata.mat`, for `Original Image Set/<i>.jpg`.

    It is 1 in each pixel that anybody looked at: of all subjects together, without order.
    """
    table, stimuli = _first(
        source,
        [
            ("fixdens/origfixdata.mat", "fixdens/Original Image Set"),
            ("origfixdata.mat", "Original Image Set"),
        ],
        inner="eyetrackingdata",
    )
    gathering.root = stimuli
    masks = matlab.cells(matlab.variable(table, "white"))
    for i, mask in enumerate(masks):
        image = gathering.add_image(f"{i + 1}.jpg")
        _add_points(gathering, image, partial(np.asarray, mask))
        progress(i + 1, len(masks))


def _add_points(gathering: Gathering, image: int, mask_of: Callable[[], np.ndarray]) -> None:
    """The pixels that are set in a mask of the image's size, as positions at their middle."""
    name, (height, width) = gathering.images[image], gathering.sizes[image]
    if not height:
        return  # a problem already
    try:
        mask = mask_of()
    except DataSetError as error:
        gathering.problems.append(str(error))
        return
    if np.shape(mask) != (height, width):
        raise DataSetError(
            f"{gathering.name}: the fixations of {name} are on a grid {np.shape(mask)}, but "
            f"the image has {height} rows and {width} columns. Do both come from one archive?"
        )
    y, x = np.nonzero(mask)
    gathering.add(image, x + 0.5, y + 0.5, UNKNOWN, UNKNOWN, np.nan)


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


def _folder(
    source: Path, names: Iterable[str], *, holding: str = "", wanted: str | None = None
) -> Path:
    """The first of some folders in `source` that is there (and holds another)."""
    tried = [source / name for name in names]
    for folder in tried:
        if (folder / holding).is_dir():
            return folder
    raise DataSetError(
        f"{source} holds no folder {wanted or tried[0].name}{_inside(source)}; give the folder "
        "that the archives were unpacked to (see `ittisal dataset list`)"
    )


def _first(source: Path, layouts: Sequence[tuple[str, str]], *, inner: str) -> tuple[Path, Path]:
    """Table and folder of images of the first layout that is there, in `source` or `inner`."""
    for base in (source, source / inner):
        for table, folder in layouts:
            if (base / table).is_file():
                if (base / folder).is_dir():
                    return base / table, base / folder
                raise DataSetError(
                    f"{base} holds {table}, but no folder {folder} with the images; put it there"
                )
    raise DataSetError(
        f"{source} holds no {layouts[0][0]}{_inside(source)}; give the folder that the archive "
        "was unpacked to (see `ittisal dataset list`)"
    )


def _inside(source: Path) -> str:
    """What is there instead, for an error."""
    if not source.is_dir():
        return " (it is no folder)"
    names = sorted(path.name for path in source.iterdir())
    more = ", ..." if len(names) > 4 else ""
    return f" (it holds {', '.join(names[:4])}{more})" if names else " (it is empty)"
