"""What is wrong with a data set, told at once rather than in the middle of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .dataset import UNKNOWN, DataSet, DataSetError
from .storage import read_table

MIN_SIDE = 32  # what the model needs
SECONDS = 10  # a median duration under this many ms was given in seconds


def check(
    path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None
) -> tuple[DataSet, list[str]]:
    """Read a data set and each of its images.

    Parameters
    ----------
    path : path
        As for `load`.
    progress : callable, optional
        Called with the images looked at and their number.

    Returns
    -------
    DataSet
    list of str
        Problems, one line each: images that cannot be read, are too small or were not looked at,
        fixations twice, positions that count from 1, durations in seconds.

    Raises
    ------
    DataSetError
        As `load`: the table cannot be right at all.

    Examples
    --------
    >>> import tempfile
    >>> from ittisal import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = datasets.generated(folder + "/tiny")
    ...     datasets.check(folder + "/tiny")[1]
    []
    """
    data, found = read_table(Path(path))
    problems = [problem for problem in found if not _of_an_image(problem, data)]
    for i in range(len(data)):
        problems += _image_problems(data, i)
        if progress:
            progress(i + 1, len(data))
    return data, problems + _table_problems(data)


def _of_an_image(problem: str, data: DataSet) -> bool:
    """Whether loading the images will tell the same."""
    return problem.startswith(f"{data.root}{os.sep}")


def _image_problems(data: DataSet, i: int) -> list[str]:
    try:
        height, width = data.load_image(i).shape[:2]
    except DataSetError as error:
        return [str(error)]
    problems = []
    if min(height, width) < MIN_SIDE:
        problems.append(
            f"{data.path(i)} is {width}x{height} pixels; models need sides of {MIN_SIDE} or more"
        )
    if not len(data.fixations(i)):
        problems.append(f"{data.path(i)} has no fixations, so it cannot be scored")
    return problems


def _table_problems(data: DataSet) -> list[str]:
    problems = []
    told = (data.subject != UNKNOWN) & (data.order != UNKNOWN)
    keys = np.stack([data.image[told], data.subject[told], data.order[told]])
    twice = keys.shape[1] - np.unique(keys, axis=1).shape[1]
    if twice:
        problems.append(
            f"{data.name}: {twice} fixations have image, subject and order in common with another; "
            "was the table put together twice?"
        )
    durations = data.duration_ms[np.isfinite(data.duration_ms)]
    if len(durations) and np.median(durations) < SECONDS:
        problems.append(
            f"{data.name}: the median duration is {np.median(durations):g} ms; multiply by 1000 "
            "if these are seconds"
        )
    return problems
