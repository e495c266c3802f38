"""What maps are compared with: densities that do not see the image, and the observers themselves.

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
from .scenes import Scene, Target, with_uniform
from .scores import METRICS

SIGMA = 0.25  # of the centre Gaussian, as a part of each side
FLOOR = 0.3  # of the weight that `centre_biased` leaves in the corners
SEED = 0  # of the halves of observers


def centre_gaussian(shape: tuple[int, int]) -> np.ndarray:
    """A Gaussian in the middle of the image, with the image's aspect ratio.

    exp(-((x - W/2) / (W/4))^2 / 2 - ((y - H/2) / (H/4))^2 / 2), at pixel centres: float32 of
    `shape`, (H, W), at most 1.

    Examples
    --------
    >>> centre_gaussian((1, 3)).round(3)
    array([[0.411, 1.   , 0.411]], dtype=float32)
    """
    rows, columns = (
        np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / SIGMA) ** 2).astype(np.float32)
        for n in shape
    )
    return rows[:, None] * columns


def centre_biased(saliency: np.ndarray) -> np.ndarray:
    """A map times (0.3 + the centre Gaussian): float32 of the map's shape.

    Examples
    --------
    >>> import numpy as np
    >>> centre_biased(np.ones((1, 3), np.float32)).round(3)
    array([[0.711, 1.3  , 0.711]], dtype=float32)
    """
    height, width = saliency.shape
    return saliency * (np.float32(FLOOR) + centre_gaussian((height, width)))


def _uniform(scene: Scene) -> np.ndarray:
    return np.full(scene.shape, 1 / (scene.shape[0] * scene.shape[1]))


def _centre(scene: Scene) -> np.ndarray:
    gaussian = centre_gaussian(scene.shape).astype(np.float64)
    return with_uniform(gaussian / gaussian.sum())


def humans_scores(scene: Scene, names: Sequence[str]) -> list[float]:
    """How well observers predict each other: the ceiling for models.

    Scores at fixations (AUC, NSS, information gain, ...) leave one observer out: the map is the
    density of all the other observers' fixations, blurred by the data set's sigma, and scored at
    the fixations of that one; the mean over observers.

    Scores against a density (CC, SIM, KL) would compare that map with the few fixations of one
    observer, which no model is asked to predict. They split the observers into two halves instead
    (at random, with a fixed seed): the density of one against that of the other, the mean of both
    directions. Models are scored against the density of all observers, which is less noisy: a
    model can exceed this ceiling.

    `names` are keys of `METRICS`. Raises ValueError if there are fewer than two observers, or it is
    not known who made a fixation.
    """
    if UNKNOWN in scene.subject:
        raise ValueError("it is not known who made each fixation")
    observers = np.unique(scene.subject)
    if len(observers) < 2:
        raise ValueError(f"{len(observers)} observer(s) of this image; two are needed")
    found: dict[str, float] = {}
    at_fixations = [name for name in names if not METRICS[name].of_density]
    if at_fixations:
        rows = []
        for observer, rest in _leave_one_out(scene, observers, np.zeros(scene.shape)):
            chosen = scene.subject == observer
            target = Target(scene, scene.x[chosen], scene.y[chosen], scene.target.density)
            saliency = prepare(rest)
            rows.append([METRICS[name].score(saliency, target) for name in at_fixations])
        found.update(zip(at_fixations, np.mean(rows, axis=0), strict=True))
    of_density = [name for name in names if METRICS[name].of_density]
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


def _leave_one_out(
    scene: Scene, observers: np.ndarray, rest: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each observer and the fixation map of all others; `rest` is of those not in the list.

    By halves of halves: few sums, no map per observer in memory, and no differences, which would
    round away the order of small values.
    """
    if len(observers) == 1:
        yield observers[0], rest
        return
    first, second = np.array_split(observers, 2)
    for inside, outside in ((first, second), (second, first)):
        added = scene.fixation_map_of(np.isin(scene.subject, outside))
        yield from _leave_one_out(scene, inside, np.add(added, rest, out=added))


BASELINES: dict[str, Callable[[Scene], np.ndarray]] = {
    "uniform": _uniform,
    "centre": _centre,
    "others": lambda scene: scene.baseline,
    "humans": lambda scene: scene.density,  # its picture; its scores are `humans_scores`
}
