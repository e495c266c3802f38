"""What is evaluated: anything that gives a map of an image, by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config import PRESETS, Config
from ..datasets import DataSet
from ..metrics import PreparedMap, prepare
from ..model import Saliency, saliency_map
from .baselines import BASELINES, centre_biased, humans_scores
from .folders import MapFolder
from .scenes import Scene
from .scores import METRICS, Density

OPENCV = {
    "spectral_residual": "StaticSaliencySpectralResidual_create",
    "fine_grained": "StaticSaliencyFineGrained_create",
}
SPECS = (
    f"a preset ({', '.join(PRESETS)}), config:FILE, maps:DIR, "
    f"{', '.join(f'cv2:{name}' for name in OPENCV)}, or a baseline ({', '.join(BASELINES)})"
)


ChannelFunction = Callable[[np.ndarray], Mapping[str, Any]]


@dataclass(frozen=True)
class Treatment:
    """What is done to every model's map before it is scored; baselines are left as they are.

    First a Gaussian blur whose sigma is `smooth_percent` of the image's longer side (the border is
    mirrored); then, with `centre_bias`, the map times (0.3 + the centre Gaussian): see
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
            if not prepared.constant:  # else rounding would make it vary
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


UNTREATED = Treatment()


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A named function, `map_of`, from a scene to a map.

    That is an array of the image's shape, (H, W), higher where more salient; the function is called
    from several threads at once. A `baseline` is there to be compared with: it uses more than the
    image, or less. If the maps are a `density`, they are above 0 everywhere and sum to 1, and are
    scored untreated. `config`, with the function that gives `channels` of an image, is that of this
    package's models, to which a read-out can be fitted.
    `scores_of`, from a scene and names of metrics to scores, replaces those of the map. `remarks`
    gives a list of what people should know of the maps, once all are made. `files` are those that
    it reads.
    """

    name: str
    map_of: Callable[[Scene], np.ndarray]
    baseline: bool = False
    density: bool = False
    config: Config | None = None
    channels: ChannelFunction | None = None
    scores_of: Callable[[Scene, Sequence[str]], list[float]] | None = None
    remarks: Callable[[], list[str]] = list
    files: Sequence[Path] = ()

    def map(self, scene: Scene, treatment: Treatment = UNTREATED) -> PreparedMap:
        """The map that is scored, of the image's size.

        Raises ValueError if it has another size, or values that are not finite.
        """
        saliency = np.asarray(self.map_of(scene))
        if saliency.shape != scene.shape:
            raise ValueError(f"its map has shape {saliency.shape}, the image {scene.shape}")
        if self.density:
            return Density(saliency)
        return prepare(saliency if self.baseline else treatment(saliency))

    def scores(self, scene: Scene, metrics: Sequence[str], treatment: Treatment) -> list[float]:
        """The scene's scores, in the order of `metrics`."""
        if self.scores_of is not None:
            return self.scores_of(scene, metrics)
        saliency, target = self.map(scene, treatment), scene.target
        return [METRICS[name].score(saliency, target) for name in metrics]

    def __repr__(self) -> str:
        return f"<{'baseline' if self.baseline else 'model'} {self.name}>"


def model(spec: str, *, backend: str = "auto", channels: ChannelFunction | None = None) -> Model:
    """A model by its name on the command line.

    `spec` is a preset (`itti1998`), `config:FILE` (a .toml or .json file of config fields),
    `maps:DIR` (a folder of maps called like the images), `cv2:spectral_residual` or
    `cv2:fine_grained` (OpenCV's), or a baseline: `uniform`, `centre`, `others`, `humans`; `backend`
    and `channels`, a function of the image such as a `FaceDetector`, which other models do without,
    are those of `ittisal.Saliency`. Raises ValueError for an unknown model or a bad config, and
    OSError if the file or folder cannot be read.

    Examples
    --------
    >>> model("itti1998"), model("centre")
    (<model itti1998>, <baseline centre>)
    """
    kind, _, rest = spec.partition(":")
    path = Path(os.path.expanduser(rest))  # shells leave the ~ of maps:~/mine
    if spec == "humans":
        return Model(spec, BASELINES[spec], baseline=True, scores_of=humans_scores)
    if spec in BASELINES:
        return Model(spec, BASELINES[spec], baseline=True, density=True)
    if spec in PRESETS or (kind == "config" and rest):
        config = PRESETS[spec] if spec in PRESETS else Config.from_file(path)

        def map_of(scene: Scene) -> np.ndarray:
            return saliency_map(scene.image, config, backend=backend, channels=channels)

        files = [path] if rest else []
        return Model(spec, map_of, config=config, channels=channels, files=files)
    if kind == "maps" and rest:
        folder = MapFolder(path)
        return Model(spec, folder.map_of, remarks=lambda: folder.remarks(spec), files=folder.files)
    if kind == "cv2" and rest in OPENCV:
        return _opencv(spec, OPENCV[rest])
    raise ValueError(f"no model {spec!r}; give {SPECS}")


def raw_maps(
    dataset: DataSet,
    config: Config,
    *,
    backend: str = "auto",
    channels: ChannelFunction | None = None,
) -> Iterator[tuple[int, tuple[int, int], np.ndarray | str, Mapping[str, Any]]]:
    """Yield the index of each image, its (height, width), its raw map as of a first frame, and its
    channels, which the map is without.

    Images of one size follow each other. Instead of a float32 map there is a text if the image
    cannot be read or is too small for the model.
    """
    model: Saliency | None = None
    for i in sorted(range(len(dataset)), key=lambda i: (*dataset.sizes[i], i)):
        found: np.ndarray | str
        given: Mapping[str, Any] = {}
        shape = 0, 0
        try:
            image = dataset.load_image(i)
            shape = image.shape[:2]
            if model is None or model.shape != shape:
                model = Saliency(shape, config, backend=backend)
            model.reset()
            found = np.array(model(image), np.float32)
            given = channels(image) if channels is not None else {}
        except ValueError as error:
            found = str(error)
        yield i, shape, found, given


def as_models(given: Mapping[str, Callable[[np.ndarray], Any]] | Iterable[Any]) -> list[Model]:
    """Models from names (or one), models, or named functions of an image.

    Raises as `model`, ValueError for two of one name or none, TypeError for what has no name.
    """
    if isinstance(given, Mapping):
        models = [_of_function(name, function) for name, function in given.items()]
    else:
        specs = [given] if isinstance(given, str) else list(given)
        models = [model(spec) if isinstance(spec, str) else spec for spec in specs]
    for i, each in enumerate(models):
        if not isinstance(each, Model):
            raise TypeError(f"model {each!r} is no name; give functions in a mapping, by name")
        if each.name in [before.name for before in models[:i]]:
            raise ValueError(f"two models are called {each.name!r}; give each once")
    if not models:
        raise ValueError(f"no model is given; give {SPECS}")
    return models


def _of_function(name: str, function: Callable[[np.ndarray], Any]) -> Model:
    return Model(name, lambda scene: function(scene.image))


def _opencv(name: str, maker: str) -> Model:
    import cv2

    if not hasattr(cv2, "saliency"):
        raise ValueError(f"{name} needs OpenCV's extra modules; pip install opencv-contrib-python")
    make = getattr(cv2.saliency, maker)

    def map_of(scene: Scene) -> np.ndarray:
        # Made anew, since it is not documented whether threads may share it.
        done, saliency = make().computeSaliency(np.ascontiguousarray(scene.image[..., ::-1]))
        if not done:
            raise ValueError("OpenCV computed no map")
        return saliency

    return Model(name, map_of)
