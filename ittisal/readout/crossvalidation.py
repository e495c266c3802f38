"""Scores that no fit has seen: each image under a read-out fitted on the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..evaluation import Model, Scene
from .density import Readout
from .fitting import Observations, fit


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Read-outs of all folds but one, for each fold. Made by `cross_validated`.

    Attributes
    ----------
    observations : Observations
    fold : dict of int to int
        The fold that each image is in, by its index.
    readouts : tuple of Readout
        Of each fold, fitted on the images of all others.
    """

    observations: Observations
    fold: dict[int, int]
    readouts: tuple[Readout, ...]

    def log_density(self, image: int) -> np.ndarray:
        """Log density on an image, by the read-out that was fitted without it.

        Returns
        -------
        float32 ndarray of shape (H, W)
            As of `Readout.log_density`.

        Raises
        ------
        KeyError
            There is no such image, or it could not be used.
        """
        seen = self.observations
        height, width = seen.dataset.sizes[image]
        readout = self.readouts[self.fold[image]]
        return readout.log_density(seen.maps[image], (int(height), int(width)), seen.config)

    def model(self, name: str) -> Model:
        """A model for `ittisal.evaluation.evaluate` on the same data set.

        Examples
        --------
        >>> import tempfile
        >>> from ittisal import datasets, evaluation, readout
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = datasets.generated(folder)
        ...     held_out = readout.cross_validated(readout.observe(data), folds=3)
        ...     models = ["itti1998", held_out.model("read-out")]
        ...     scores = evaluation.evaluate(data, models, ["auc", "ig"])
        >>> scores.models
        ('itti1998', 'read-out')
        """

        def map_of(scene: Scene) -> np.ndarray:
            self.observations.check(scene)
            return np.exp(self.log_density(scene.index))

        return Model(name, map_of, density=True)


def cross_validated(
    observations: Observations, folds: int = 5, *, seed: int = 0
) -> CrossValidation:
    """Deal the images to folds at random, and fit a read-out without each fold.

    Parameters
    ----------
    observations : Observations
    folds : int
        At least 2 and at most the number of images.
    seed : int
        Of the dealing.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        More folds than images, or fewer than 2.
    """
    images = observations.images
    if len(images) < 2:
        raise ValueError(f"cross-validation needs 2 images or more; {len(images)} can be used")
    if not 2 <= folds <= len(images):
        raise ValueError(
            f"folds={folds} must be at least 2 and at most the number of images, {len(images)}"
        )
    shuffled = np.random.default_rng(seed).permutation(images)
    fold = {int(i): place % folds for place, i in enumerate(shuffled)}
    readouts = tuple(
        fit(observations, [i for i in images if fold[i] != out]) for out in range(folds)
    )
    return CrossValidation(observations, fold, readouts)
