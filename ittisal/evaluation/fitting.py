"""Fitting a read-out to fixations by maximum likelihood, and cross-validation of the fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..channels import Channels
from ..config import ITTI_1998, Config
from ..datasets import DataSet, Fixations
from ..maps import upsample
from ..sampling import Sampling, sampling
from .models import ChannelFunction, Model, raw_maps
from .readout import Readout, channel_gain, log_evidence, multipliers, positions
from .scenes import Scene

BLURS = (0.2, 10.0)  # percent, searched
BLUR_STEP = 0.01  # percent, the tolerance of that search
# Of power, 1 / centre_width^2, centre_height / centre_width^2 and, with channels, gain_power:
# within `Readout`'s limits.
BOUNDS = ((0.0, 100.0), (1e-4, 1e4), (-10.0, 10.0), (0.0, 100.0))
START = (1.0, 1.0, 0.0, 1.0)
MAX_STEPS = 100  # of Newton's method; some five are enough
RIDGE = 1e-9
SMALLEST_STEP, SMALLEST_GAIN = 1e-9, 1e-12


@dataclass(frozen=True, eq=False)
class Observations:
    """Raw maps of a data set's images, and the fixations at each of their samples, by `observe`.

    By the image's index, `maps` are float32 of shape (h, w), and `counts`, float64 of that shape,
    how many fixations are nearest to each sample; `channels` are those that multiply the map, of
    that shape too, and empty if none were asked for. `skipped` says why other images could not be
    used, and `config` is the maps' model.
    """

    dataset: DataSet
    config: Config
    maps: dict[int, np.ndarray]
    counts: dict[int, np.ndarray]
    skipped: dict[int, str]
    channels: dict[int, Channels] = field(default_factory=dict)

    @property
    def images(self) -> list[int]:
        """Indices of the images that can be used."""
        return sorted(self.maps)

    def gain(self, image: int) -> np.ndarray:
        """The gain of an image's channels, float64 of its map's shape; 1 without any."""
        return channel_gain(self.channels.get(image, {}), self.maps[image].shape)

    def under(self, readout: Readout) -> CrossValidation:
        """All images under a read-out that was fitted elsewhere."""
        return CrossValidation(self, dict.fromkeys(self.maps, 0), (readout,))

    def check(self, scene: Scene) -> None:
        """Raise ValueError unless the scene is of this data set, and its image has a map."""
        names = self.dataset.images
        if not (scene.index < len(names) and names[scene.index] == scene.name):
            raise ValueError(f"{scene.name} is of another data set than was observed")
        if scene.index not in self.maps:
            raise ValueError(self.skipped[scene.index])

    def model(self, name: str) -> Model:
        """The maps times the channels' gain, for `ittisal.evaluation.evaluate` on this data set."""

        def map_of(scene: Scene) -> np.ndarray:
            self.check(scene)
            raw = self.maps[scene.index] * self.gain(scene.index)
            return upsample(raw.astype(np.float32), scene.shape, self.config)

        return Model(name, map_of)


def observe(
    dataset: DataSet,
    config: Config = ITTI_1998,
    *,
    backend: str = "auto",
    channels: ChannelFunction | None = None,
    progress: Callable[[], object] | None = None,
) -> Observations:
    """Run the model on every image of a data set.

    Each image counts as the first frame. Those without fixations, and those that cannot be read or
    are too small for the model, are in `skipped`. `progress` is called without arguments after each
    image; `backend` is that of `Saliency`, and `channels` a function of the image such as a
    `FaceDetector`, of which all channels must multiply.
    """
    found = Observations(dataset, config, {}, {}, {})
    for i, shape, raw, given in raw_maps(dataset, config, backend=backend, channels=channels):
        fixations = dataset.fixations(i)
        if isinstance(raw, str):
            found.skipped[i] = raw
        elif len(fixations) == 0:
            found.skipped[i] = "has no fixations"
        else:
            found.maps[i] = raw
            grid = sampling(shape, config)
            found.counts[i] = _counts(fixations, grid)
            if channels is not None:
                found.channels[i] = multipliers(given, grid)
        if progress is not None:
            progress()
    return found


def fit(observations: Observations, images: Iterable[int] | None = None) -> Readout:
    """The read-out of greatest likelihood.

    It maximises the mean log density at the fixations, on the map's grid (a fixation counts at the
    nearest sample). For a given blur that is a concave problem of three numbers, or with channels
    four, solved by Newton's method within their limits; the blur is found by Brent's.

    `images` are the indices of those to fit on, all by default. Raises ValueError if there are
    none, or one has no map.

    Examples
    --------
    >>> import tempfile
    >>> from ittisal import datasets, readout
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     observations = readout.observe(datasets.generated(folder))
    >>> readout.fit(observations).power > 0
    True
    """
    from scipy.optimize import minimize_scalar

    chosen = list(observations.images if images is None else images)
    missing = [i for i in chosen if i not in observations.maps]
    if missing:
        raise ValueError(f"image {missing[0]} has no map; choose among `observations.images`")
    if not chosen:
        reasons = [f": {reason}" for reason in observations.skipped.values()]
        raise ValueError("there are no images to fit a read-out on" + "".join(reasons[:1]))
    groups = _groups(observations, chosen)
    search = {"bounds": BLURS, "method": "bounded", "options": {"xatol": BLUR_STEP}}
    blur = float(minimize_scalar(lambda blur: _best(groups, blur)[0], **search).x)
    _, (power, steepness, tilt, *gain_power) = _best(groups, blur)
    return Readout(blur, power, 1 / math.sqrt(steepness), tilt / steepness, *gain_power)


def _counts(fixations: Fixations, grid: Sampling) -> np.ndarray:
    """Fixations nearest to each sample of a map."""
    y, x = np.floor(fixations.y), np.floor(fixations.x)
    counts = np.zeros(grid.map_shape)
    np.add.at(counts, (grid.nearest(0, y), grid.nearest(1, x)), 1)
    return counts


def _groups(observations: Observations, images: list[int]) -> list[_Group]:
    """Images whose maps have one shape."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i in images:
        shapes.setdefault(observations.maps[i].shape, []).append(i)
    return [
        _Group(
            np.array([observations.maps[i] for i in same], np.float64),
            np.array([observations.counts[i] for i in same]),
            np.array([observations.gain(i) for i in same]) if observations.channels else None,
        )
        for same in shapes.values()
    ]


def _best(groups: list[_Group], blur: float) -> tuple[float, np.ndarray]:
    """The least mean negative log likelihood at this blur, and its power, steepness and tilt, and,
    with channels, gain_power.

    With steepness 1 / width^2 and tilt height / width^2, ln p is linear in all but for its
    constant: an exponential family, whose likelihood is concave. So Newton's method with halved
    steps finds the minimum; a value at a limit that would leave it is fixed.
    """
    families = [_Family(group, blur) for group in groups]
    terms = len(families[0].features)
    low, high = np.transpose(BOUNDS[:terms])
    values = np.array(START[:terms])
    loss, gradient, hessian = _sum(families, values)
    for _ in range(MAX_STEPS):
        fixed = ((values <= low) & (gradient > 0)) | ((values >= high) & (gradient < 0))
        free = np.flatnonzero(~fixed)
        step = np.zeros(terms)
        # The power of constant maps is undetermined: the ridge leaves it where it is.
        curved = hessian[np.ix_(free, free)] + RIDGE * np.eye(len(free))
        step[free] = -np.linalg.solve(curved, gradient[free])
        while True:
            tried = np.clip(values + step, low, high)
            there = _sum(families, tried)
            if there[0] <= loss or np.abs(step).max(initial=0) < SMALLEST_STEP:
                break
            step /= 2
        gained = loss - there[0]
        if gained > 0:
            values, (loss, gradient, hessian) = tried, there
        if gained < SMALLEST_GAIN:
            break
    return loss, values


class _Group(NamedTuple):
    """Maps of one shape, fixations at each sample, and gains: float64 of shape (N, h, w)."""

    maps: np.ndarray
    counts: np.ndarray
    gains: np.ndarray | None


class _Family:
    """Densities over the N maps of a group, by the weights of K features.

    Power, steepness, tilt and gain_power weigh the map's logarithm, a paraboloid, a slope and the
    gain's logarithm. `features`: (K, N, samples). `number`: (N,) fixations of each map. `sums`:
    (K,) of the features over all fixations.
    """

    def __init__(self, group: _Group, blur: float) -> None:
        number, height, width = group.maps.shape
        across, down = positions(width), positions(height)[:, None]
        features = [log_evidence(group.maps, blur), -(across**2 + down**2) / 2, down]
        if group.gains is not None:
            features.append(log_evidence(group.gains, blur))
        stacked = np.stack(np.broadcast_arrays(*features))
        self.features = stacked.reshape(len(features), number, -1)
        counts = group.counts.reshape(number, -1)
        self.number = counts.sum(axis=1)
        self.sums = np.einsum("np,knp->k", counts, self.features)

    def loss(self, values: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Negative log likelihood, its gradient and its Hessian.

        The gradient is the features' means less those observed, the Hessian their covariance.
        """
        log_p = np.einsum("k,knp->np", values, self.features)
        top = log_p.max(axis=1, keepdims=True)
        p = np.exp(log_p - top)
        mass = p.sum(axis=1, keepdims=True)
        total = self.number @ (np.log(mass) + top)[:, 0] - values @ self.sums
        p /= mass
        means = np.einsum("np,knp->kn", p, self.features)
        p *= self.number[:, None]
        squares = np.einsum("knp,lnp->kl", self.features * p, self.features)
        gradient = means @ self.number - self.sums
        return float(total), gradient, squares - (means * self.number) @ means.T


def _sum(families: list[_Family], values: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """`_Family.loss` of all maps, per fixation."""
    fixations = sum(family.number.sum() for family in families)
    losses, gradients, hessians = zip(*(family.loss(values) for family in families), strict=True)
    return sum(losses) / fixations, sum(gradients) / fixations, sum(hessians) / fixations


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """For each fold, the read-out of all others. Made by `cross_validated`.

    `fold` is the fold that each image is in, by its index; `readouts` are, for each fold, fitted on
    the images of all others.
    """

    observations: Observations
    fold: dict[int, int]
    readouts: tuple[Readout, ...]

    def log_density(self, image: int) -> np.ndarray:
        """Log density on an image, by the read-out that was fitted without it.

        float32 of shape (H, W), as of `Readout.log_density`. Raises KeyError if there is no such
        image, or it could not be used.
        """
        seen = self.observations
        height, width = seen.dataset.sizes[image]
        return self.readouts[self.fold[image]].log_density(
            seen.maps[image], (int(height), int(width)), seen.config, seen.channels.get(image)
        )

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
    """Assign images to folds at random by the seed, and fit a read-out without each fold.

    Raises ValueError unless `folds` is at least 2 and at most the number of images.
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
