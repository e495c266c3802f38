"""Images and where people looked on them, checked once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..imagefiles import ImageError, read, to_bgr8

UNKNOWN = -1  # the subject or order of a fixation that was published without


class DataSetError(ValueError):
    """A data set cannot be used as it is; the message names the file, the value and what to do."""


@dataclass(frozen=True, eq=False)
class Fixations:
    """The fixations on one image, by subject as stored: views into the data set's arrays.

    Attributes
    ----------
    x, y : float32 ndarray of shape (n,)
        Pixels of the image, origin top-left; the pixel looked at is the whole part.
    subject : int16 ndarray of shape (n,)
        Who looked; -1 where that was not published.
    order : int16 ndarray of shape (n,)
        0 for a subject's first fixation on the image; -1 where that was not published.
    duration_ms : float32 ndarray of shape (n,)
        NaN where that was not published.
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

    Fixations come sorted by image, else in the order given. The arrays are read-only.

    Attributes
    ----------
    name : str
        What it is called in tables.
    root : Path
        The folder that the images' paths are relative to.
    images : tuple of str
        N paths of image files, relative to `root`, with forward slashes.
    sizes : int32 ndarray of shape (N, 2)
        Height and width in pixels; 0, 0 where the file could not be read, and nobody knows.
    image : int32 ndarray of shape (F,)
        Which image each fixation is on.
    x, y : float32 ndarray of shape (F,)
        Pixels of the image, origin top-left, x to the right, y down; inside the image. The pixel
        looked at is the whole part.
    subject, order : int16 ndarray of shape (F,)
        Who looked, and 0 for that subject's first fixation on the image; -1 where unknown.
    duration_ms : float32 ndarray of shape (F,)
        NaN where unknown.
    sigma_px : float32 ndarray of shape (N,)
        Width of the Gaussian that makes a density of the fixations: about one degree of visual
        angle.
    upright : bool
        Whether positions are those on the image turned as its EXIF orientation says; else on the
        pixels as stored, as MATLAB's imread sees them.
    left_out : int
        How many fixations the source has outside the image or without a position: not in here.
    source, licence : str
        Where the data are from, and on what terms.

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
    _starts: np.ndarray = field(init=False, repr=False)  # where each image's fixations begin

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("root", Path(self.root))
        put("images", tuple(str(name) for name in self.images))
        for name, kind in _KINDS.items():
            put(name, _array(name, getattr(self, name), kind))
        self._check()
        order = np.argsort(self.image, kind="stable")
        for name in _PER_FIXATION:
            array = getattr(self, name)[order]
            array.flags.writeable = False
            put(name, array)
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
        """Who looked, each once, sorted; empty where that was not published."""
        return np.unique(self.subject[self.subject != UNKNOWN])

    def path(self, i: int) -> Path:
        """The file of image `i`."""
        return self.root / self.images[self._index(i)]

    def load_image(self, i: int) -> np.ndarray:
        """Image `i` as its observers saw it.

        Parameters
        ----------
        i : int
            0 to len() - 1.

        Returns
        -------
        uint8 ndarray of shape (H, W, 3)
            RGB. Grey is repeated, alpha laid over white, and of 16 bits the upper 8 are taken.

        Raises
        ------
        DataSetError
            The file is missing or damaged, or not of the size that the table tells.
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

        The negatives of the shuffled AUC, and the best guess without looking at the image.

        Returns
        -------
        x, y : float64 ndarray
            Inside image `i`. Images whose size is unknown are left out.

        Raises
        ------
        DataSetError
            The size of image `i` is unknown, since its file could not be read.
        """
        i = self._index(i)
        if not self.sizes[i].all():
            raise DataSetError(f"{self.path(i)} could not be read, so its size is not known")
        known: np.ndarray = np.all(self.sizes > 0, axis=1)
        height, width = self.sizes[i].astype(np.float64)
        across, down = width / self.sizes[known, 1], height / self.sizes[known, 0]
        place = np.cumsum(known) - 1  # of an image among those known
        keep = known[self.image]
        keep[self._starts[i] : self._starts[i + 1]] = False
        at = place[self.image[keep]]
        # A float32 under the width is so by more than float64 rounds: the products stay inside.
        return self.x[keep] * across[at], self.y[keep] * down[at]

    def subset(self, indices: Iterable[int]) -> DataSet:
        """The data set of some of the images, in the order given, each once.

        Raises
        ------
        DataSetError
            An index twice, or out of range.
        """
        chosen = [self._index(int(i)) for i in indices]
        if len(set(chosen)) < len(chosen):
            raise DataSetError("subset: an index occurs twice; give each image once")
        place = np.full(len(self.images), -1, np.int32)
        place[chosen] = np.arange(len(chosen))
        kept = place[self.image] >= 0
        columns = {name: getattr(self, name)[kept] for name in _PER_FIXATION if name != "image"}
        return DataSet(
            name=self.name,
            root=self.root,
            images=tuple(self.images[i] for i in chosen),
            sizes=self.sizes[chosen],
            image=place[self.image[kept]],
            sigma_px=self.sigma_px[chosen],
            upright=self.upright,
            source=self.source,
            licence=self.licence,
            **columns,
        )

    def _index(self, i: int) -> int:
        if not 0 <= i < len(self.images):
            raise DataSetError(f"no image {i}; {self.name} has 0 to {len(self.images) - 1}")
        return int(i)

    def _check(self) -> None:
        count = len(self.images)
        if not count:
            raise DataSetError(f"{self.name}: no images")
        for name in self.images:
            check_name(name)
        if len(set(self.images)) < count:
            twice = next(name for i, name in enumerate(self.images) if name in self.images[:i])
            raise DataSetError(f"{self.name}: image {twice} is listed twice; list each once")
        if self.sizes.shape != (count, 2) or self.sigma_px.shape != (count,):
            raise DataSetError(
                f"{self.name}: {count} images, but sizes of shape {self.sizes.shape} and sigma_px "
                f"of shape {self.sigma_px.shape}; give ({count}, 2) and ({count},)"
            )
        if (self.sizes < 0).any():
            raise DataSetError(f"{self.name}: sizes holds {self.sizes.min()}; sizes are positive")
        if not (self.sigma_px > 0).all() or not np.isfinite(self.sigma_px).all():
            raise DataSetError(
                f"{self.name}: sigma_px holds {self.sigma_px.min():g} to {self.sigma_px.max():g}; "
                "give pixels above 0, about one degree of visual angle"
            )
        shapes = {name: getattr(self, name).shape for name in _PER_FIXATION}
        if len(set(shapes.values())) > 1 or self.x.ndim != 1:
            raise DataSetError(
                f"{self.name}: columns of the fixations differ in length: "
                + ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            )
        if len(self.image) and not (self.image.min() >= 0 and self.image.max() < count):
            raise DataSetError(
                f"{self.name}: image holds {self.image.min()} to {self.image.max()}; there are "
                f"{count} images, counted from 0"
            )
        self._check_positions()

    def _check_positions(self) -> None:
        sizes = self.sizes[self.image]
        good = inside(self.x, self.y, sizes)
        if good.all():
            return
        refuse_exchanged(self.name, self.x, self.y, sizes, good)
        first = int(np.argmin(good))
        i = self.image[first]
        raise DataSetError(
            f"{self.name}: {(~good).sum()} of {len(good)} fixations are not inside their image: "
            f"number {first} is at ({self.x[first]:g}, {self.y[first]:g}) on {self.images[i]}, "
            f"which is {self.sizes[i, 1]}x{self.sizes[i, 0]} pixels. Leave such fixations out"
        )


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


def inside(x: np.ndarray, y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which positions lie inside images of these (n, 2) sizes; all do where a size is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> inside(np.array([0, 9.9, 10]), np.array([0, 0, 0]), np.array([[5, 10]] * 3))
    array([ True,  True, False])
    """
    height, width = sizes[:, 0], sizes[:, 1]
    known = (height > 0) & (width > 0)
    fits = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return np.isfinite(x) & np.isfinite(y) & (fits | ~known)


def refuse_exchanged(
    name: str, x: np.ndarray, y: np.ndarray, sizes: np.ndarray, good: np.ndarray
) -> None:
    """Raise DataSetError where far fewer positions would be outside with x and y exchanged."""
    exchanged = int(inside(y, x, sizes).sum())
    # Three more or less can be chance in a small table.
    if len(good) - good.sum() > 2 * (len(good) - exchanged) + 3:
        raise DataSetError(
            f"{name}: x and y are exchanged, it seems: {good.sum()} of {len(good)} fixations are "
            f"inside their image, and {exchanged} with x and y the other way round. Exchange them"
        )


def check_name(name: str) -> None:
    """Refuse an image's name that leads out of its folder, or nowhere."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
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
        array: np.ndarray = given.astype(kind)
    array.flags.writeable = False
    return array
