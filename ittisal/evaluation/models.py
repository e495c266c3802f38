"""What is evaluated: anything that gives a map of an image, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config import PRESETS, Config, preset
from ..metrics import PreparedMap, prepare
from ..model import saliency_map
from .baselines import BASELINES, humans_scores
from .centre import centre_biased
from .folders import MapFolder
from .scenes import Scene
from .scores import Density, scores_of

OPENCV = {
    "spectral_residual": "StaticSaliencySpectralResidual_create",
    "fine_grained": "StaticSaliencyFineGrained_create",
}
SPECS = (
    f"a preset ({', '.join(PRESETS)}), config:FILE, maps:DIR, "
    f"{', '.join(f'cv2:{name}' for name in OPENCV)}, or a baseline ({', '.join(BASELINES)})"
)


@dataclass(frozen=True)
class Treatment:
    """What is done to every model's map before it is scored; baselines are left as they are.

    `smooth_percent`: a Gaussian whose sigma is so many percent of the image's longer side (the
    border is mirrored). Then, with `centre_bias`, the map times (0.3 + the centre Gaussian): see
    `centre_biased`.
    """

    smooth_percent: float = 0.0
    centre_bias: bool = False

    def __call__(self, saliency: np.ndarray) -> np.ndarray:
        """The map as it is scored. Raises ValueError for a centre bias on negative values."""
        if self.smooth_percent:
            import cv2

            prepared = prepare(saliency)  # before what is not finite spreads
            saliency = prepared.values
            if not prepared.constant:  # else rounding would make differences of nothing
                sigma = self.smooth_percent / 100 * max(saliency.shape)
                saliency = cv2.GaussianBlur(saliency, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        if not self.centre_bias:
            return saliency
        if saliency.min() < 0:
            raise ValueError(
                f"the map is {saliency.min():g} somewhere, and a centre bias would lower what is "
                "negative; subtract the minimum, or give exp of a log density"
            )
        return centre_biased(saliency)


AS_IT_IS = Treatment()


class Model:
    """A named way from a scene to a map.

    Parameters
    ----------
    name : str
        In tables.
    map_of : callable
        Scene -> array of shape (H, W), the image's own; higher is more salient. Called from
        several threads at once.
    baseline : bool
        It is there to be compared with: it sees more than the image, or less.
    density : bool
        Its maps are densities, above 0 everywhere and summing to 1, which nothing may be done to.
    config : Config, optional
        Of this package's own models: what a read-out can be fitted to.
    """

    def __init__(
        self,
        name: str,
        map_of: Callable[[Scene], np.ndarray],
        *,
        baseline: bool = False,
        density: bool = False,
        config: Config | None = None,
    ) -> None:
        self.name, self.baseline, self.density, self.config = name, baseline, density, config
        self._map_of = map_of

    def map(self, scene: Scene, treatment: Treatment = AS_IT_IS) -> PreparedMap:
        """The map that is scored, of the image's size.

        Raises
        ------
        ValueError
            It has another size, or values that are not finite.
        """
        saliency = np.asarray(self._map_of(scene))
        if saliency.shape != scene.shape:
            raise ValueError(f"its map has shape {saliency.shape}, the image {scene.shape}")
        if self.density:
            return Density(saliency)
        return prepare(saliency if self.baseline else treatment(saliency))

    def scores(self, scene: Scene, metrics: Iterable[str], treatment: Treatment) -> list[float]:
        """The scene's scores, in the order of `metrics`."""
        return scores_of(self.map(scene, treatment), scene.target, metrics)

    def remarks(self) -> list[str]:
        """What people should know of the maps, once all are made."""
        return []

    def __repr__(self) -> str:
        return f"<{'baseline' if self.baseline else 'model'} {self.name}>"


class Humans(Model):
    """The inter-observer ceiling; see `humans_scores`. Its map is the density of all fixations."""

    def __init__(self) -> None:
        super().__init__("humans", BASELINES["humans"], baseline=True)

    def scores(self, scene: Scene, metrics: Iterable[str], treatment: Treatment) -> list[float]:
        """Scores of observers by each other."""
        return humans_scores(scene, tuple(metrics))


class _Folder(Model):
    """Maps in a folder; what had to be resized is said once."""

    def __init__(self, name: str, folder: MapFolder) -> None:
        super().__init__(name, folder.map_of)
        self.folder = folder

    def remarks(self) -> list[str]:
        """How many maps were resized."""
        count = len(self.folder.resized)
        return [f"{self.name}: {count} maps of another size than their image, resized"] * (
            count > 0
        )


def model(spec: str, *, backend: str = "auto") -> Model:
    """A model by its name on the command line.

    Parameters
    ----------
    spec : str
        A preset (`itti1998`), `config:FILE` (a .toml or .json file of config fields), `maps:DIR`
        (a folder of maps called like the images), `cv2:spectral_residual` or `cv2:fine_grained`
        (OpenCV's), or a baseline: `uniform`, `centre`, `others`, `humans`.
    backend : str
        Of `ittisal.Saliency`.

    Raises
    ------
    ValueError
        No such model, or a bad config.
    OSError
        The file or folder cannot be read.

    Examples
    --------
    >>> model("itti1998"), model("centre")
    (<model itti1998>, <baseline centre>)
    """
    kind, _, rest = spec.partition(":")
    if spec in BASELINES:
        return baseline(spec)
    if spec in PRESETS:
        return of_config(spec, preset(spec), backend=backend)
    if kind == "config" and rest:
        return of_config(spec, Config.from_file(rest), backend=backend)
    if kind == "maps" and rest:
        return _Folder(spec, MapFolder(Path(rest)))
    if kind == "cv2" and rest in OPENCV:
        return _opencv(spec, OPENCV[rest])
    raise ValueError(f"no model {spec!r}; give {SPECS}")


def baseline(name: str) -> Model:
    """One of the baselines: `uniform`, `centre`, `others` or `humans`."""
    if name == "humans":
        return Humans()
    return Model(name, BASELINES[name], baseline=True, density=True)


def of_config(name: str, config: Config, *, backend: str = "auto") -> Model:
    """The model of this package in one reading: `ittisal.saliency_map`."""
    return Model(
        name, lambda scene: saliency_map(scene.image, config, backend=backend), config=config
    )


def as_models(given: Mapping[str, Callable[[np.ndarray], Any]] | Iterable[Any]) -> list[Model]:
    """Models from names (or one), models, or named functions of an image.

    Raises
    ------
    ValueError, OSError
        As `model`; two of one name, or none.
    TypeError
        A function without a name.
    """
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Mapping):
        models = [_of_function(name, function) for name, function in given.items()]
    else:
        models = [item if isinstance(item, Model) else _named(item) for item in given]
    names = [each.name for each in models]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two models are called {name!r}; give each once")
    if not models:
        raise ValueError(f"no model is given; give {SPECS}")
    return models


def _named(spec: Any) -> Model:
    if not isinstance(spec, str):
        raise TypeError(f"model {spec!r} is no name; give functions in a mapping, by their names")
    return model(spec)


def _of_function(name: str, function: Callable[[np.ndarray], Any]) -> Model:
    return Model(name, lambda scene: function(scene.image))


def _opencv(name: str, maker: str) -> Model:
    kept = threading.local()  # whether OpenCV's objects may be shared is not documented

    def map_of(scene: Scene) -> np.ndarray:
        import cv2

        if not hasattr(kept, "saliency"):
            kept.saliency = getattr(cv2.saliency, maker)()
        done, saliency = kept.saliency.computeSaliency(np.ascontiguousarray(scene.image[..., ::-1]))
        if not done:
            raise ValueError("OpenCV computed no map")
        return saliency

    return Model(name, map_of)
