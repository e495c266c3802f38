"""Images and the fixations on them: the class, and what puts one together from files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np

from ..imagefiles import ImageError, read, read_size, to_bgr8

UNKNOWN = -1  # the subject or order of a fixation that was published without
DEGREE = 0.03  # of the longer side: what one degree of visual angle is in most laboratories
SUSPICIOUS = 0.01  # of the fixations: so many outside their image are no chance
_PER_FIXATION = ("image", "x", "y", "subject", "order", "duration_ms")
_KINDS: dict[str, type] = {
    "sizes": np.int32,
    "image": np.int32,
    "x": np.float32,
    "y": np.float32,
    "subject": np.int16,
    "order": np.int16,
    "duration_ms": np.float32,
    "sigma_px": np.float32,
}


class DataSetError(ValueError):
    """A data set cannot be used as it is; the message names the file, the value and what to do."""


@dataclass(frozen=True, eq=False)
class Fixations:
    """The fixations on one image: views into the arrays of a `DataSet`, which describes them.

    `x`, `y` and `duration_ms` are float32, `subject` and `order` int16, all of shape (n,).
    """

    x: np.ndarray
    y: np.ndarray
    subject: np.ndarray
    order: np.ndarray
    duration_ms: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images and the fixations on them.

    Fixations are sorted by image, else in the order given. The arrays are read-only copies.

    Attributes
    ----------
    name : str
        What it is called in tables.
    root : Path
        The folder that the images' paths are relative to.
    images : tuple of str
        N paths of image files, relative to `root`, with forward slashes.
    sizes : int32 ndarray of shape (N, 2)
        Height and width in pixels; 0, 0 if the file could not be read and the size is unknown.
    image : int32 ndarray of shape (F,)
        Which image each fixation is on.
    x, y : float32 ndarray of shape (F,)
        Pixels of the image, origin top-left, x to the right, y down; inside the image. The pixel
        looked at is the whole part.
    subject, order : int16 ndarray of shape (F,)
        Who looked, and 0 for that subject's first fixation on the image; -1 if unknown.
    duration_ms : float32 ndarray of shape (F,)
        NaN if unknown.
    sigma_px : float32 ndarray of shape (N,)
        Width of the Gaussian that makes a density of the fixations: about one degree of visual
        angle.
    upright : bool
        Whether positions are those on the image turned as its EXIF orientation says; else on the
        pixels as stored, as MATLAB's imread reads them.
    left_out : int
        How many fixations the source has outside the image or without a position: not in here.
    source, licence : str
        Where the data are from, and on what terms.
    remarks : tuple of str
        What makes the source's positions suspicious.

    Raises
    ------
    DataSetError
        Arrays that do not fit each other, fixations outside their image, a name twice.

    Examples
    --------
    >>> import tempfile
    >>> from ittisal.datasets import generated
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = generated(folder + "/tiny", images=3)
    ...     print(len(data), data.images[0], data.load_image(0).shape, len(data.fixations(0)))
    3 bright-0.png (120, 160, 3) 48
    """

    name: str
    root: Path
    images: tuple[str, ...]
    sizes: np.ndarray
    image: np.ndarray
    x: np.ndarray
    y: np.ndarray
    subject: np.ndarray
    order: np.ndarray
    duration_ms: np.ndarray
    sigma_px: np.ndarray
    upright: bool = True
    left_out: int = 0
    source: str = ""
    licence: str = ""
    remarks: tuple[str, ...] = ()
    _starts: np.ndarray = field(init=False, repr=False)  # where each image's fixations begin

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("root", Path(self.root))
        put("images", tuple(str(name) for name in self.images))
        put("remarks", tuple(self.remarks))
        for name, kind in _KINDS.items():
            put(name, _array(name, getattr(self, name), kind))
        self._check()
        order = np.argsort(self.image, kind="stable")
        for name in _PER_FIXATION:
            put(name, _read_only(getattr(self, name)[order]))
        put("_starts", np.searchsorted(self.image, np.arange(len(self.images) + 1)))

    def __repr__(self) -> str:
        return (
            f"<DataSet {self.name}: {len(self.images)} images, {len(self.x)} fixations, "
            f"{len(self.subjects)} subjects, in {self.root}>"
        )

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    @property
    def subjects(self) -> np.ndarray:
        """Who looked, each once, sorted; empty if that was not published."""
        return np.unique(self.subject[self.subject != UNKNOWN])

    def path(self, i: int) -> Path:
        """The file of image `i`."""
        return self.root / self.images[self._index(i)]

    def load_image(self, i: int) -> np.ndarray:
        """Image `i`, as its observers saw it: uint8 RGB of shape (H, W, 3).

        Grey is repeated, alpha laid over white, and of 16 bits the upper 8 are taken. Raises
        DataSetError if the file is missing or damaged, or not of the size that the table states.
        """
        path = self.path(i)
        try:
            picture = to_bgr8(read(path, upright=self.upright))
        except (ImageError, TypeError, ValueError) as error:
            raise DataSetError(f"{path} {error}") from error
        height, width = self.sizes[i]
        if height and picture.shape[:2] != (height, width):
            raise DataSetError(
                f"{path} is {picture.shape[1]}x{picture.shape[0]} pixels, but the fixations are "
                f"on {width}x{height}; restore the original file"
            )
        return np.ascontiguousarray(picture[..., ::-1])

    def fixations(self, i: int) -> Fixations:
        """The fixations on image `i`, as views."""
        i = self._index(i)
        part = slice(self._starts[i], self._starts[i + 1])
        return Fixations(*(getattr(self, name)[part] for name in _PER_FIXATION if name != "image"))

    def others(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Where people looked on all other images, scaled to the size of image `i`.

        x and y, float64, inside image `i`: the negatives of the shuffled AUC. Images of unknown
        size are left out. Raises DataSetError if image `i` is one, since it could not be read.
        """
        if not self.sizes[self._index(i)].all():
            raise DataSetError(f"{self.path(i)} could not be read, so its size is not known")
        height, width = self.sizes[i].tolist()
        return self.scaled((height, width), self.image != i)

    def scaled(
        self, shape: tuple[int, int], chosen: np.ndarray | bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where people looked on images of known size, or some of them, scaled to one size.

        `shape` is (H, W), `chosen` bool of shape (F,). x and y are float64 and inside that size.
        """
        known: np.ndarray = np.all(self.sizes > 0, axis=1)
        chosen = known[self.image] & chosen
        height, width = self.sizes[self.image[chosen]].T
        # A float32 below the width is so by more than float64 rounds: the products stay inside.
        return self.x[chosen] * (shape[1] / width), self.y[chosen] * (shape[0] / height)

    def subset(self, indices: Iterable[int]) -> DataSet:
        """The data set of some of the images, in the order given, each once.

        `left_out` and `remarks` are those of the whole. Raises DataSetError for an index that
        occurs twice or is out of range.
        """
        chosen = [self._index(int(i)) for i in indices]
        if len(set(chosen)) < len(chosen):
            raise DataSetError("subset: an index occurs twice; give each image once")
        place = np.full(len(self.images), -1, np.int32)
        place[chosen] = np.arange(len(chosen))
        taken = place[self.image] >= 0
        columns = {name: getattr(self, name)[taken] for name in _PER_FIXATION}
        return replace(
            self,
            images=tuple(self.images[i] for i in chosen),
            sizes=self.sizes[chosen],
            sigma_px=self.sigma_px[chosen],
            **{**columns, "image": place[columns["image"]]},
        )

    def _index(self, i: int) -> int:
        if not 0 <= i < len(self.images):
            raise DataSetError(f"no image {i}; {self.name} has 0 to {len(self.images) - 1}")
        return int(i)

    def _check(self) -> None:
        count, lengths = len(self.images), {getattr(self, name).shape for name in _PER_FIXATION}
        for name in self.images:
            check_name(name)
        if len(set(self.images)) < count:
            twice = Counter(self.images).most_common(1)[0][0]
            self._refuse(f"image {twice} is listed twice; list each once")
        if not count or self.sizes.shape != (count, 2) or self.sigma_px.shape != (count,):
            self._refuse(
                f"{count or 'no'} images, but sizes of shape {self.sizes.shape} and sigma_px of "
                f"shape {self.sigma_px.shape}; give (N, 2) and (N,) for N images"
            )
        if (self.sizes < 0).any():
            self._refuse(f"sizes holds {self.sizes.min()}; sizes are positive")
        if not (self.sigma_px > 0).all() or not np.isfinite(self.sigma_px).all():
            self._refuse(
                f"sigma_px holds {self.sigma_px.min():g} to {self.sigma_px.max():g}; give pixels "
                "above 0, about one degree of visual angle"
            )
        if len(lengths) > 1 or self.x.ndim != 1:
            shapes = ", ".join(f"{name} {getattr(self, name).shape}" for name in _PER_FIXATION)
            self._refuse(f"columns of the fixations differ in length: {shapes}")
        if not ((self.image >= 0) & (self.image < count)).all():
            self._refuse(
                f"image holds {self.image.min()} to {self.image.max()}; there are {count} images, "
                "counted from 0"
            )
        positions = _Positions(self.name, self.x, self.y, self.sizes[self.image])
        positions.refuse_exchanged()
        if not positions.inside.all():
            first = int(np.argmin(positions.inside))
            self._refuse(
                f"{(~positions.inside).sum()} of {len(self.x)} fixations are not inside their "
                f"image: number {first}, on {self.images[self.image[first]]}, is "
                f"{positions.at(first)}. Leave such fixations out"
            )

    def _refuse(self, problem: str) -> NoReturn:
        raise DataSetError(f"{self.name}: {problem}")


class Builder:
    """Puts a data set together from images and fixations; leaves out and counts those outside.

    `problems` are sentences about files that could not be read.
    """

    def __init__(
        self, name: str, root: Path, *, sigma_px: float | None = None, **about: Any
    ) -> None:
        self.name, self.root, self.sigma_px, self.about = name, root, sigma_px, about
        self.upright: bool = about.get("upright", True)
        self.images: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.problems: list[str] = []
        self._rows: list[tuple[np.ndarray, ...]] = []

    def add_image(self, name: str) -> int:
        """Add an image; its index. A file that cannot be read is a problem, its size 0, 0."""
        size = (0, 0)
        try:
            size = read_size(self.root / name, upright=self.upright)
        except (ImageError, TypeError, ValueError) as error:
            self.problems.append(f"{self.root / name} {error}")
        self.images.append(name)
        self.sizes.append(size)
        return len(self.images) - 1

    def add(
        self,
        image: Any,
        x: Any,
        y: Any,
        subject: Any = UNKNOWN,
        order: Any = UNKNOWN,
        duration_ms: Any = np.nan,
    ) -> None:
        """Add fixations: arrays of one length, or one number for all."""
        columns = (np.asarray(each) for each in (image, x, y, subject, order, duration_ms))
        self._rows.append(tuple(np.broadcast_arrays(*map(np.atleast_1d, columns))))

    def data_set(self) -> DataSet:
        """All that was added.

        Raises DataSetError if there is no image, none that can be read, or no fixation; or if
        positions are not pixels of the images: exchanged, fractions, or mostly outside.
        """
        if not self.images:
            raise DataSetError(f"{self.name}: no images in {self.root}")
        sizes = np.array(self.sizes, np.int32)
        if not sizes.any():
            more = f" (and {len(self.images) - 1} more)" if len(self.images) > 1 else ""
            raise DataSetError(
                f"{self.name}: no image can be read: {self.problems[0]}{more}. Images go by the "
                f"names of files in {self.root}, endings included"
            )
        if not sum(len(row[0]) for row in self._rows):
            raise DataSetError(": ".join([f"{self.name}: no fixations", *self.problems[:1]]))
        table = dict(
            zip(_PER_FIXATION, map(np.concatenate, zip(*self._rows, strict=True)), strict=True)
        )
        with np.errstate(over="ignore"):  # what does not fit float32 is inside no image
            x, y = (table[name].astype(np.float32) for name in "xy")
        positions = _Positions(self.name, x, y, sizes[table["image"]])
        remarks = positions.checked()
        return self._data_set(
            {name: column[positions.inside] for name, column in table.items()},
            left_out=int((~positions.inside).sum()),
            remarks=remarks,
        )

    def images_only(self) -> DataSet:
        """The images that were added, without fixations."""
        return self._data_set({name: np.empty(0, _KINDS[name]) for name in _PER_FIXATION})

    def _data_set(self, fixations: dict[str, Any], **about: Any) -> DataSet:
        sizes = np.array(self.sizes, np.int32)
        sigma = np.full(len(sizes), self.sigma_px) if self.sigma_px else DEGREE * sizes.max(axis=1)
        return DataSet(
            name=self.name,
            root=self.root,
            images=tuple(self.images),
            sizes=sizes,
            sigma_px=np.where(sigma > 0, sigma, 1),
            **fixations,
            **about,
            **self.about,
        )


class _Positions:
    """Positions x, y on images of (n, 2) `sizes`, and how they look if they are not pixels.

    All finite positions count as inside an image of unknown size.
    """

    def __init__(self, name: str, x: np.ndarray, y: np.ndarray, sizes: np.ndarray) -> None:
        self.name, self.x, self.y = name, x, y
        self.height, self.width = sizes.T
        self.known = (self.height > 0) & (self.width > 0)
        self.finite = np.isfinite(x) & np.isfinite(y)
        self.inside = self._inside(x, y)

    def _inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        fits = (x >= 0) & (y >= 0) & (x < self.width) & (y < self.height)
        return self.finite & (fits | ~self.known)

    def at(self, i: int) -> str:
        """Where position `i` is, in words."""
        size = f"{self.width[i]}x{self.height[i]}"
        return f"at ({self.x[i]:g}, {self.y[i]:g}) on an image of {size} pixels"

    def refuse_exchanged(self) -> None:
        """Raise DataSetError if far fewer would be outside with x and y exchanged."""
        total, good = len(self.x), int(self.inside.sum())
        exchanged = int(self._inside(self.y, self.x).sum())
        # Three more or less can be chance in a small table.
        if total - good > 2 * (total - exchanged) + 3:
            raise DataSetError(
                f"{self.name}: x and y seem to be exchanged: {good} of {total} fixations are "
                f"inside their image, and {exchanged} with x and y the other way round. Exchange "
                "them"
            )

    def checked(self) -> tuple[str, ...]:
        """A remark on positions that are suspicious; DataSetError if they cannot be right."""
        self.refuse_exchanged()
        x, y, outside = self.x, self.y, self.finite & ~self.inside
        total = int((self.finite & self.known).sum())
        good = total - int(outside.sum())
        if 2 * good < total:
            raise DataSetError(
                f"{self.name}: only {good} of {total} fixations are inside their image; one is "
                f"{self.at(int(np.argmax(outside)))}. Positions are pixels of the image, from its "
                "top left corner: not of the screen, not from the centre"
            )
        if not self.inside.any():
            raise DataSetError(f"{self.name}: no fixation is inside an image")
        if total >= 10 and max(x[self.inside].max(), y[self.inside].max()) <= 1:
            raise DataSetError(
                f"{self.name}: all positions are at most 1: they seem to be fractions of the "
                "image. Multiply x by the image's width and y by its height"
            )
        across, down = (
            np.divide(at, side, out=np.zeros(len(at)), where=outside & (side > 0))
            for at, side in ((x, self.width), (y, self.height))
        )
        beyond = np.maximum(across, down)  # in widths or heights of the image; 1 is its edge
        least = min(x[self.finite].min(), y[self.finite].min())
        if beyond.max() == 1 and least >= 1:
            return (
                f"{self.name}: positions seem to count from 1, as MATLAB's do: the least is "
                f"{least:g}, and {(beyond == 1).sum()} are equal to the image's width or height. "
                "Subtract 1 from x and y",
            )
        if outside.sum() < SUSPICIOUS * total:
            return ()
        advice = "Positions are pixels of the image, from its top left corner"
        if beyond.max() >= 1:
            advice = (
                "They may be pixels of another resolution, such as the screen's: scale x and y to "
                "the image's size"
            )
        return (
            f"{self.name}: {outside.sum()} of {total} fixations ({100 * outside.sum() / total:.1f} "
            "%) lie outside their image and are left out; the farthest is "
            f"{self.at(int(np.argmax(np.where(outside, beyond, -1))))}. {advice}",
        )


def check_name(name: str) -> None:
    """Refuse an image's name that leads out of its folder, or nowhere."""
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise DataSetError(
            f"image {name!r}: give a path relative to the data set's folder, without `..`; "
            "copy or link the image into the folder"
        )


def _array(name: str, values: Any, kind: type) -> np.ndarray:
    """A read-only copy of this type; integers must fit it."""
    given = np.asarray(values)
    if given.dtype.kind not in "iufb":
        raise DataSetError(f"{name} is of type {given.dtype}; give an array of {kind.__name__}")
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        fits = (given >= limits.min) & (given <= limits.max) & (given == np.floor(given))
        if not fits.all():
            raise DataSetError(
                f"{name} holds {given[~fits].flat[0]}; give whole numbers from {limits.min} to "
                f"{limits.max}"
            )
    with np.errstate(over="ignore"):  # what does not fit float32 is inside no image
        return _read_only(given.astype(kind))


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
