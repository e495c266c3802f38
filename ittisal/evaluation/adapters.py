"""Models of this package as those of pysaliency, and the other way round."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ..config import ITTI_1998, Config, preset
from ..model import saliency_map


def as_pysaliency(
    model: str | Config | Callable[[np.ndarray], np.ndarray] = ITTI_1998,
    *,
    backend: str = "auto",
) -> Any:
    """A `pysaliency.SaliencyMapModel` that gives the maps of a model.

    `model` is a preset's name, a config, or a function from an image, uint8 RGB of shape (H, W, 3),
    to a map of shape (H, W), such as `evaluate` takes; `backend` is that of `saliency_map`, for the
    first two. The object takes what pysaliency gives it: an array, RGB or grey, or a Stimulus. It
    does not cache its maps, which pysaliency would do for all images. Maps are float64.

    pysaliency is no dependency: it needs torch, which it does not install, and version 0.2.22 NumPy
    below 2.4. Raises ImportError if it cannot be imported, and ValueError for an unknown preset.

    Examples
    --------
    >>> model = as_pysaliency("gaze")  # doctest: +SKIP
    >>> model.AUC(stimuli, fixations)  # doctest: +SKIP
    """
    map_of = model if callable(model) else _of_config(model, backend)
    try:
        from pysaliency import SaliencyMapModel
    except ImportError as error:
        raise ImportError(
            f"pysaliency cannot be imported ({error}); pip install pysaliency torch 'numpy<2.4'"
        ) from error

    class IttisalModel(SaliencyMapModel):
        """Maps of a function of an image."""

        def _saliency_map(self, stimulus: np.ndarray) -> np.ndarray:
            return np.asarray(map_of(_rgb(np.asarray(stimulus))), np.float64)

    return IttisalModel(caching=False)


def from_pysaliency(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A function from an image to a map, as `evaluate` takes, of one of pysaliency's models.

    `model` is a `pysaliency.SaliencyMapModel`, or a probabilistic `pysaliency.Model`, of which the
    map is the density; anything with their `saliency_map` or `log_density` will do. Calls wait for
    each other, since `evaluate` makes them from several threads. Raises TypeError for another
    object.

    Examples
    --------
    >>> evaluate(data, {"deepgaze": from_pysaliency(model)})  # doctest: +SKIP
    """
    density = getattr(model, "log_density", None)
    map_of = density or getattr(model, "saliency_map", None)
    if map_of is None:
        raise TypeError(
            f"{model!r} has neither `saliency_map` nor `log_density`; give a "
            "pysaliency.SaliencyMapModel or Model"
        )
    lock = threading.Lock()

    def saliency(image: np.ndarray) -> np.ndarray:
        with lock:
            found = np.array(map_of(image), np.float64)
        return np.exp(found) if density else found

    return saliency


def _of_config(model: str | Config, backend: str) -> Callable[[np.ndarray], np.ndarray]:
    config = preset(model) if isinstance(model, str) else model
    return lambda image: saliency_map(image, config, backend=backend)


def _rgb(image: np.ndarray) -> np.ndarray:
    """Grey, of shape (H, W) or (H, W, 1), as RGB."""
    grey = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else image
