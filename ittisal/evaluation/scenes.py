"""One image of a data set with what scores need of it, each computed once, when first used."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from ..datasets import DataSet
from ..metrics import PreparedMap, fixation_map, prepare

SIZES = 4  # whose maps are cached: one of 1920x1080 has 16 MiB
UNIFORM = 0.01  # weight of a uniform density, so that no fixation is impossible


class Everyone:
    """All fixations of a data set, whatever image they are on, scaled to one size.

    Their maps of the last few sizes are cached. Several threads may use it.
    """

    def __init__(self, dataset: DataSet) -> None:
        self._lock = threading.Lock()
        self._map_at = lru_cache(SIZES)(partial(_map_at, dataset))

    def map_at(self, shape: tuple[int, int], sigma: float) -> np.ndarray:
        """Their `fixation_map`: float64 of this shape, not to be written to."""
        with self._lock:  # others wait: they mostly want the same one
            return self._map_at(shape, sigma)


def _map_at(dataset: DataSet, shape: tuple[int, int], sigma: float) -> np.ndarray:
    return fixation_map(*dataset.scaled(shape), shape, sigma)


class Scene:
    """Image `index` of a data set; scenes may share an `Everyone`, so that its maps are made once.

    `name` is the image's path in the data set, `shape` (H, W) in pixels, and `x`, `y` and
    `subject`, of shape (F,), are fixations in pixels and who made them.
    """

    def __init__(self, dataset: DataSet, index: int, everyone: Everyone | None = None) -> None:
        self.dataset, self.index = dataset, index
        self._everyone = everyone or Everyone(dataset)
        self.name = str(dataset.images[index])
        self.shape = (int(dataset.sizes[index][0]), int(dataset.sizes[index][1]))
        fixations = dataset.fixations(index)
        self.x, self.y, self.subject = fixations.x, fixations.y, fixations.subject

    @cached_property
    def image(self) -> np.ndarray:
        """The picture: uint8 of shape (H, W, 3), RGB. Raises DataSetError."""
        return self.dataset.load_image(self.index)

    @cached_property
    def others(self) -> tuple[np.ndarray, np.ndarray]:
        """Fixations of all other images, scaled to this one: x and y."""
        return self.dataset.others(self.index)

    @property
    def sigma(self) -> float:
        """Of the Gaussian that makes a density of fixations, in pixels: the data set's."""
        return float(self.dataset.sigma_px[self.index])

    @cached_property
    def density(self) -> np.ndarray:
        """Density of the fixations, blurred by `sigma`: float64 of shape (H, W), sums to 1."""
        return self.fixation_map / self.fixation_map.sum()

    @cached_property
    def fixation_map(self) -> np.ndarray:
        """`density` before its division: see `ittisal.metrics.fixation_map`."""
        return self.fixation_map_of(slice(None))

    def fixation_map_of(self, chosen: np.ndarray | slice) -> np.ndarray:
        """`fixation_map` of some of the fixations."""
        return fixation_map(self.x[chosen], self.y[chosen], self.shape, self.sigma)

    @cached_property
    def baseline(self) -> np.ndarray:
        """Density of the other images' fixations: the centre bias of this data set.

        Blurred by `sigma`, with 1 % of a uniform density: float64 of shape (H, W), sums to 1.
        """
        rest = self._everyone.map_at(self.shape, self.sigma) - self.fixation_map
        np.maximum(rest, 0, out=rest)  # rounding may pass below
        total = rest.sum()
        if not total > 0:
            raise ValueError("there are no fixations on other images")
        return with_uniform(rest / total)

    @cached_property
    def _prepared_density(self) -> PreparedMap:
        return prepare(self.density)

    @property
    def target(self) -> Target:
        """All fixations on this image, as what a map is scored against."""
        # Not cached: in a cycle of references the image would stay until Python looks for cycles.
        return Target(self, self.x, self.y, self._prepared_density)


@dataclass(frozen=True)
class Target:
    """What a map is scored against: fixations on a scene, and a density of fixations."""

    scene: Scene
    x: np.ndarray
    y: np.ndarray
    density: PreparedMap


def with_uniform(density: np.ndarray) -> np.ndarray:
    """A density with 1 % of a uniform one mixed in."""
    return (1 - UNIFORM) * density + UNIFORM / density.size
