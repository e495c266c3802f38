"""Guided search: gains of features and channels, learned from examples of a target.

After Navalpakkam & Itti, Vision Research 45 (2005) and Neuron 53 (2007): a feature counts in
proportion to how much more it responds to the target than to the surround.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..config import ITTI_1998, Config
from ..features import CHANNELS, FEATURES
from ..frames import check_frame
from ..model import Saliency
from ..sampling import sampling

FLOOR = 0.01  # of the highest response, added to both means: the ratio is at most 101


class Example(NamedTuple):
    """What the features add to their conspicuity maps, and where the target is."""

    responses: dict[str, np.ndarray]  # by the feature's name
    target: np.ndarray  # pixels of the target in each sample of the map
    surround: np.ndarray  # all other pixels


def guided_config(
    frames: Iterable[Any],
    targets: Iterable[Any],
    config: Config = ITTI_1998,
    *,
    backend: str = "auto",
    channel_order: str = "rgb",
) -> Config:
    """A config that makes salient what resembles the target in some example frames.

    The gain of a feature is its mean response in the target over its mean response in all the rest
    of the frame, the surround; its response is what it adds to its conspicuity map (`weighted/F`
    of `Saliency.trace`). Both means are over all frames. A hundredth of the highest response is
    added to both, so the ratio is at most 101; it is 1 where there is no response. The gains are
    divided by their mean. Those of channels are found likewise, from the conspicuity maps as the
    gains of the features make them. A feature has one weight for both its signs, so red is not told
    from green, nor bright from dark.

    Parameters
    ----------
    frames : sequence of arrays
        One or more examples, each of any size, as `Saliency` takes them.
    targets : sequence
        The target in each frame: a box (y, x, height, width) in whole pixels, or a boolean array
        of the frame's (height, width). It may be smaller than a sample of the map, 16x16 pixels:
        each sample counts in proportion to the pixels of the target in it.
    config : Config
        Its weights are multiplied by the gains. Weights of what is not seen in the frames stay:
        flicker and motion, and colour where all of them are grey.
    backend, channel_order
        As of `Saliency`.

    Returns
    -------
    Config
        The config with other `feature_weights` and `weights`.

    Raises
    ------
    TypeError
        A target is neither a box nor a boolean mask, or `Saliency` refuses a frame.
    ValueError
        There are no frames, or more or fewer targets; a box is empty or reaches out of the frame;
        a mask has another shape; a target is nothing or the whole frame; no channel with features
        has a weight, or none but flicker and motion; or `Saliency` refuses a frame.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.zeros((256, 256, 3), np.uint8)
    >>> frame[60:80, 60:80], frame[160:180, 160:180] = (255, 0, 0), (0, 0, 255)
    >>> config = ittisal.guided_config([frame], [(60, 60, 20, 20)])
    >>> config.feature_weights["red_green"] > 2 * config.feature_weights["blue_yellow"]
    True
    """
    frames, targets = list(frames), list(targets)
    if not frames:
        raise ValueError("there are no frames; give at least one example of the target")
    if len(frames) != len(targets):
        raise ValueError(
            f"the number of frames is {len(frames)}, of targets {len(targets)}; give lists with a "
            "target for each frame"
        )
    learned = [f for f in FEATURES if config.has(f.channel) and not CHANNELS[f.channel].needs_past]
    if not learned:
        raise ValueError(
            "no channel whose features a single frame shows has a weight; give one to intensity, "
            "colour or orientation"
        )
    examples = []
    for frame, target in zip(frames, targets, strict=True):
        frame = check_frame(frame)
        shape = frame.shape[:2]
        parts = _samples(_mask(target, shape), config)
        with Saliency(shape, config, backend=backend, channel_order=channel_order) as model:
            trace = model.trace(frame)
        seen = [feature.name for feature in learned if f"weighted/{feature.name}" in trace]
        examples.append(Example({name: trace[f"weighted/{name}"] for name in seen}, *parts))

    features = _gains({f.name: {f.name: 1.0} for f in learned}, examples)
    channels: dict[str, dict[str, float]] = {}
    for feature in learned:
        if feature.name in features:
            channels.setdefault(feature.channel, {})[feature.name] = features[feature.name]
    return replace(
        config,
        feature_weights=_multiplied(config.feature_weights, features),
        weights=_multiplied(config.weights, _gains(channels, examples)),
    )


def _gains(
    sums: Mapping[str, Mapping[str, float]], examples: Sequence[Example]
) -> dict[str, float]:
    """Target over surround, of weighted sums of features that some example has; their mean is 1."""
    ratios = {}
    for name, weights in sums.items():
        having = [example for example in examples if weights.keys() <= example.responses.keys()]
        if having:
            ratios[name] = _ratio(weights, having)
    mean = sum(ratios.values()) / len(ratios)
    return {name: ratio / mean for name, ratio in ratios.items()}


def _ratio(weights: Mapping[str, float], examples: Sequence[Example]) -> float:
    """Mean response of a weighted sum of features in the target over that in the surround."""
    responses, target, surround = [], [], []
    for example in examples:
        parts = [weight * example.responses[name] for name, weight in weights.items()]
        responses.append(np.sum(parts, axis=0).ravel())
        target.append(example.target.ravel())
        surround.append(example.surround.ravel())
    response = np.concatenate(responses)
    floor = FLOOR * response.max()
    if floor <= 0:
        return 1.0
    inside, outside = (
        np.average(response, weights=np.concatenate(pixels)) for pixels in (target, surround)
    )
    return float((inside + floor) / (outside + floor))


def _multiplied(weights: Mapping[Any, float], gains: Mapping[str, float]) -> dict[Any, float]:
    return {name: weight * gains.get(name, 1.0) for name, weight in weights.items()}


def _mask(target: Any, shape: tuple[int, int]) -> np.ndarray:
    """Which pixels of a frame are the target."""
    height, width = shape
    mask = np.asarray(target)
    if mask.dtype != bool:
        try:
            y, x, rows, columns = (operator.index(number) for number in target)
        except (TypeError, ValueError):
            raise TypeError(
                f"target is {type(target).__name__} of shape {mask.shape} and dtype {mask.dtype}; "
                "give a box (y, x, height, width) in whole pixels, or a boolean mask"
            ) from None
        if not (0 <= y < y + rows <= height and 0 <= x < x + columns <= width):
            raise ValueError(
                f"box (y, x, height, width) = {(y, x, rows, columns)} is empty or reaches out of "
                f"the {width}x{height} frame; give one inside it"
            )
        mask = np.zeros(shape, bool)
        mask[y : y + rows, x : x + columns] = True
    if mask.shape != shape:
        raise ValueError(f"mask has shape {mask.shape}; give one of the frame's, {shape}")
    if mask.all() or not mask.any():
        raise ValueError(
            f"the target is {'the whole frame' if mask.all() else 'empty'}; gains compare it with "
            "its surround, so mark a part of the frame"
        )
    return mask


def _samples(mask: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """How many pixels of the target, and how many others, belong to each sample of the map."""
    grid, parts = sampling((mask.shape[0], mask.shape[1]), config), []
    for part in (mask, ~mask):
        counts = part.astype(np.float64)
        for axis in (0, 1):
            counts = np.add.reduceat(counts, grid.starts(axis), axis=axis)
        parts.append(counts)
    return parts[0], parts[1]
