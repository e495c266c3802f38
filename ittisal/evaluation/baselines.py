"""What maps are compared with: models that see less than the image, or the observers themselves.

`uniform`
    The same everywhere.
`centre`
    A Gaussian in the middle (`centre_gaussian`).
`others`
    The density of all other images' fixations, scaled to this image's size and blurred by the
    data set's sigma: the baseline of shuffled AUC and of information gain.
`humans`
    How well observers predict each other: `humans_scores`.

The first three are densities; `centre` and `others` have 1 % of a uniform density mixed in, as
every map has for information gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..datasets import UNKNOWN
from ..metrics import prepare
from .centre import centre_gaussian
from .scenes import Scene, Target, with_uniform
from .scores import METRICS

SEED = 0  # of the halves of observers


def uniform(scene: Scene) -> np.ndarray:
    """The uniform density: 1 / (H W), float64 of shape (H, W)."""
    return np.full(scene.shape, 1 / (scene.shape[0] * scene.shape[1]))


def centre(scene: Scene) -> np.ndarray:
    """The centre Gaussian as a density: float64 of shape (H, W)."""
    gaussian = centre_gaussian(scene.shape).astype(np.float64)
    return with_uniform(gaussian / gaussian.sum())


def others(scene: Scene) -> np.ndarray:
    """The density of other images' fixations: float64 of shape (H, W)."""
    return scene.baseline


def humans_scores(scene: Scene, names: Sequence[str]) -> list[float]:
    """How well observers predict each other: the ceiling for models.

    Scores at fixations (AUC, NSS, information gain, ...) leave one observer out: the map is the
    density of all the other observers' fixations, blurred by the data set's sigma, and scored at
    the fixations of that one; the mean over observers.

    Scores against a density (CC, SIM, KL) would compare that map with the few fixations of one
    observer, which no model is asked to predict. They split the observers into two halves instead
    (at random, the seed fixed): the density of one against that of the other, the mean of both
    directions. Models are scored against the density of all observers, which is less noisy: a
    model can come above this ceiling.

    Parameters
    ----------
    scene : Scene
    names : sequence of str
        Keys of `METRICS`.

    Returns
    -------
    list of float

    Raises
    ------
    ValueError
        Fewer than two observers, or it is not known who they are.
    """
    if UNKNOWN in scene.subject:
        raise ValueError("it is not known who made each fixation")
    observers = np.unique(scene.subject)
    if len(observers) < 2:
        raise ValueError(f"{len(observers)} observer(s) of this image; two are needed")
    at_fixations = [name for name in names if not METRICS[name].of_density]
    of_density = [name for name in names if METRICS[name].of_density]
    found: dict[str, float] = {}
    if at_fixations:
        rows = []
        for observer, rest in _left_out(scene, observers, np.zeros(scene.shape)):
            own = scene.subject == observer
            target = Target(scene, scene.x[own], scene.y[own], scene.target.density)
            saliency = prepare(rest)
            rows.append([METRICS[name].score(saliency, target) for name in at_fixations])
        found.update(zip(at_fixations, np.mean(rows, axis=0), strict=True))
    if of_density:
        shuffled = np.random.default_rng(SEED).permutation(observers)
        first = np.isin(scene.subject, shuffled[: len(observers) // 2])
        halves = [prepare(scene.fixation_map_of(chosen)) for chosen in (first, ~first)]
        rows = []
        for one, other in (halves, halves[::-1]):
            target = Target(scene, scene.x, scene.y, other)
            rows.append([METRICS[name].score(one, target) for name in of_density])
        found.update(zip(of_density, np.mean(rows, axis=0), strict=True))
    return [float(found[name]) for name in names]


def _left_out(
    scene: Scene, observers: np.ndarray, rest: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each of the observers, and the fixation map of all others; `rest` is of those not here.

    Halves of halves: as few sums as that takes, no map per observer in memory, and no
    differences, which would round away the order of small values.
    """
    if len(observers) == 1:
        yield observers[0], rest
        return
    first, second = np.array_split(observers, 2)
    for inside, outside in ((first, second), (second, first)):
        added = scene.fixation_map_of(np.isin(scene.subject, outside))
        yield from _left_out(scene, inside, np.add(added, rest, out=added))


BASELINES: dict[str, Callable[[Scene], np.ndarray]] = {
    "uniform": uniform,
    "centre": centre,
    "others": others,
    "humans": lambda scene: scene.density,  # its picture; its scores are `humans_scores`
}
