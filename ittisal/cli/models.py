"""Running the model from the command line: models by size, and what is told of a map."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from ..config import Config
from ..features import TEMPORAL, Channel
from ..maps import peak, upsample
from ..model import Saliency

KEPT = 4
PARTS = {  # what maps are made of, by the name that a file takes: where the trace has it
    **{str(channel): f"conspicuity/{channel}" for channel in Channel},
    "figure": "figure",
    "corners": "corners",
}


class Models:
    """One `Saliency` per frame size, the last few kept: folders tend to hold a few sizes."""

    def __init__(self, config: Config, backend: str, threads: int | None) -> None:
        self.config = config
        self._backend, self._threads = backend, threads
        self._models: OrderedDict[tuple[int, int], Saliency] = OrderedDict()

    def get(self, shape: tuple[int, int]) -> Saliency:
        """The model for pictures of this (height, width): it has seen none before."""
        if shape not in self._models:
            model = Saliency(
                shape,
                self.config,
                backend=self._backend,
                channel_order="bgr",
                threads=self._threads,
            )
            while len(self._models) >= KEPT:
                self._models.popitem(last=False)[1].close()
            self._models[shape] = model
        self._models.move_to_end(shape)
        self._models[shape].reset()
        return self._models[shape]

    def close(self) -> None:
        """Close every model."""
        while self._models:
            self._models.popitem()[1].close()


def conspicuities(model: Saliency, frame: np.ndarray) -> dict[str, np.ndarray]:
    """Raw float32 maps by name: `saliency` and the parts that this frame has."""
    trace = model.trace(frame)
    names = {"saliency": "saliency", **PARTS}
    return {name: np.asarray(trace[key], np.float32) for name, key in names.items() if key in trace}


def parts_of(config: Config) -> tuple[str, ...]:
    """Which of `PARTS` the model makes of a still colour picture."""
    made = [str(c) for c in config.weights if config.has(c) and c not in TEMPORAL]
    figure = ["figure", "corners"] if config.figure else []
    return (*made, *figure)


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
