"""A data set put together image by image, and what tells that its positions are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..imagefiles import ImageError, read_size
from .dataset import UNKNOWN, DataSet, DataSetError, inside, refuse_exchanged

DEGREE = 0.03  # of the longer side: what one degree of visual angle is in most laboratories


class Gathering:
    """Takes images and their fixations, leaves out those outside, and counts.

    `problems` are lines fit for a person: what could not be read and was left out.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        *,
        upright: bool = True,
        sigma_px: float | None = None,
        source: str = "",
        licence: str = "",
    ) -> None:
        self.name, self.root, self.upright = name, root, upright
        self.sigma_px, self.source, self.licence = sigma_px, source, licence
        self.images: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.problems: list[str] = []
        self._rows: list[tuple[np.ndarray, ...]] = []

    def add_image(self, name: str) -> int:
        """One more image; its index. A file that cannot be read is a problem, its size 0, 0."""
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
        """Some fixations: `x` and `y` 1-D, the rest as long or one number for all."""
        columns = np.broadcast_arrays(
            np.asarray(image, np.int32),
            np.asarray(x, np.float32),
            np.asarray(y, np.float32),
            np.asarray(subject),
            np.asarray(order),
            np.asarray(duration_ms, np.float32),
        )
        self._rows.append(tuple(np.atleast_1d(column) for column in columns))

    def data_set(self) -> DataSet:
        """All that was added.

        Raises
        ------
        DataSetError
            No image, none that can be read, no fixations; or positions that are not pixels of
            the images: exchanged, fractions, or mostly outside.
        """
        if not self.images:
            raise DataSetError(f"{self.name}: no images in {self.root}")
        if not any(height for height, _ in self.sizes):
            more = f" (and {len(self.images) - 1} more)" if len(self.images) > 1 else ""
            raise DataSetError(
                f"{self.name}: no image can be read: {self.problems[0]}{more}. Images go by the "
                f"names of files in {self.root}, endings included"
            )
        if not sum(len(row[0]) for row in self._rows):
            raise DataSetError(": ".join([f"{self.name}: no fixations", *self.problems[:1]]))
        image, x, y, subject, order, duration = (
            np.concatenate(column) for column in zip(*self._rows, strict=True)
        )
        sizes = np.array(self.sizes, np.int32)
        keep = inside(x, y, sizes[image])
        self._check_positions(x, y, sizes[image], keep)
        sides = sizes.max(axis=1)
        sigma = np.full(len(sizes), self.sigma_px) if self.sigma_px else DEGREE * sides
        return DataSet(
            name=self.name,
            root=self.root,
            images=tuple(self.images),
            sizes=sizes,
            image=image[keep],
            x=x[keep],
            y=y[keep],
            subject=subject[keep],
            order=order[keep],
            duration_ms=duration[keep],
            sigma_px=np.where(sigma > 0, sigma, 1),
            upright=self.upright,
            left_out=int((~keep).sum()),
            source=self.source,
            licence=self.licence,
        )

    def _check_positions(
        self, x: np.ndarray, y: np.ndarray, sizes: np.ndarray, keep: np.ndarray
    ) -> None:
        refuse_exchanged(self.name, x, y, sizes, keep)
        told = np.isfinite(x) & np.isfinite(y)
        total, kept = int(told.sum()), int(keep.sum())
        if 2 * kept < total:
            first = int(np.argmax(told & ~keep))
            raise DataSetError(
                f"{self.name}: only {kept} of {total} fixations are inside their image; one is at "
                f"({x[first]:g}, {y[first]:g}) on {sizes[first, 1]}x{sizes[first, 0]} pixels. "
                "Positions are pixels of the image, from its top left corner: not of the screen, "
                "not from the centre"
            )
        if not kept:
            raise DataSetError(f"{self.name}: no fixation is inside an image")
        if total >= 10 and max(x[keep].max(), y[keep].max()) <= 1:
            raise DataSetError(
                f"{self.name}: all positions are at most 1, fractions of the image, it seems. "
                "Multiply x by the image's width and y by its height"
            )
        out = told & ~keep
        least = float(min(x[told].min(), y[told].min()))
        self._note_counting_from_1(x[out], y[out], sizes[out], least)

    def _note_counting_from_1(
        self, x: np.ndarray, y: np.ndarray, sizes: np.ndarray, least: float
    ) -> None:
        """Positions of 1 to the width, rather than 0 to width - 1, show in what was left out."""
        on_edge = (x == sizes[:, 1]) | (y == sizes[:, 0])
        beyond = (x > sizes[:, 1]) | (y > sizes[:, 0])
        if on_edge.any() and least >= 1 and not beyond.any():
            self.problems.append(
                f"{self.name}: positions count from 1, it seems, as MATLAB's do: the least is "
                f"{least:g}, and {on_edge.sum()} are equal to the image's width or height. "
                "Subtract 1 from x and y"
            )
