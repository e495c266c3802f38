"""Models by frame size, and what is reported of a map."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import numpy as np

from ..config import Config
from ..features import TEMPORAL, Channel
from ..maps import peak, upsample
from ..model import Saliency

MODELS = 4
PARTS = {  # of a map, by the name that a file takes -> where the trace has it
    **{str(channel): f"conspicuity/{channel}" for channel in Channel},
    "figure": "figure",
    "corners": "corners",
}


class Models:
    """One `Saliency` for each of the last few frame sizes: folders tend to hold a few sizes."""

    def __init__(self, config: Config, backend: str, threads: int | None) -> None:
        self.config = config
        self._build = partial(
            Saliency, config=config, backend=backend, channel_order="bgr", threads=threads
        )
        self._models: OrderedDict[tuple[int, int], Saliency] = OrderedDict()

    def get(self, shape: tuple[int, int]) -> Saliency:
        """The model for pictures of this (height, width), reset: it has seen no frame."""
        if shape not in self._models:
            model = self._build(shape)
            while len(self._models) >= MODELS:
                self._models.popitem(last=False)[1].close()
            self._models[shape] = model
        self._models.move_to_end(shape)
        self._models[shape].reset()
        return self._models[shape]

    def close(self) -> None:
        """Close every model."""
        while self._models:
            self._models.popitem()[1].close()


def with_parts(model: Saliency, frame: np.ndarray) -> dict[str, np.ndarray]:
    """Raw float32 maps by name: `saliency` and those of `PARTS` that this frame has."""
    trace = model.trace(frame)
    names = {"saliency": "saliency", **PARTS}
    return {name: np.asarray(trace[key], np.float32) for name, key in names.items() if key in trace}


def parts_of(config: Config) -> tuple[str, ...]:
    """Which of `PARTS` the model makes of a still colour picture."""
    made = [str(c) for c, weight in config.weights if weight > 0 and c not in TEMPORAL]
    return (*made, *(["figure", "corners"] if config.figure else []))


def full_size(raw: np.ndarray, shape: tuple[int, int], config: Config) -> np.ndarray:
    """A raw map over its maximum at the frame's size; all zero where nothing stands out."""
    return upsample(unit(raw), shape, config)


def unit(raw: np.ndarray) -> np.ndarray:
    """A raw map over its maximum."""
    top = raw.max()
    return raw / top if top > 0 else raw


def peak_of(raw: np.ndarray, shape: tuple[int, int], config: Config) -> dict[str, int] | None:
    """The frame's pixel under the highest sample, or None where nothing stands out."""
    at = peak(raw, shape, config)
    return at and {"x": at[0], "y": at[1]}
