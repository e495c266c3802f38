"""Channels of the caller's own: maps of a detector, another sensor or a task that guide the model.

A map is 0 where it says nothing and 1 where something stands out alone. Added, it counts as one
more channel of its weight (P98, eq. 8), and the model's own keep theirs. Multiplied, it scales the
final map by 1 + weight * map.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from .features import Channel
from .frames import is_on_gpu
from .sampling import Sampling

WAYS = ("add", "multiply")
RESERVED = (*map(str, Channel), "figure")  # names that contributions have
LIMIT = 1e12  # of a weighted value: sums stay within float32


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """A channel of the caller's: its map, its weight, and how it joins the model's own.

    Parameters
    ----------
    map : array of shape (H//16, W//16) or (H, W); for N frames also (N, H//16, W//16) or (N, H, W)
        Float or bool, finite and not negative: 0 says nothing, 1 stands out alone. One of the
        frame's size is averaged around each sample of the saliency map. On a GPU (CuPy, torch,
        ...) C-contiguous float32, where the CUDA backend runs; nobody waits there, so values that
        are not allowed give NaN in the saliency map. Or a callable that is given the `Sampling` of
        the saliency map and returns such an array.
    weight : float >= 0
        Of a map that is added, beside the weights of the config.
    how : {"add", "multiply"}
        Added, 1 counts as the peak of a channel of this weight in which it is the only one
        (`normalisation="iterative"`: about). Multiplied, the saliency map is multiplied by
        1 + weight * map.

    Raises
    ------
    TypeError, ValueError
        A weight or way that is none; the map is checked by the call that it is given to.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> model = ittisal.Saliency((64, 96))
    >>> frame, face = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), bool)
    >>> face[16:32, 48:64] = True
    >>> saliency = model(frame, channels={"face": ittisal.ChannelMap(face, weight=2)})
    >>> np.argwhere(saliency).tolist(), sorted(model.contributions())
    ([[1, 3]], ['colour', 'face', 'intensity', 'orientation'])
    """

    map: Any
    weight: float = 1.0
    how: str = "add"

    def __post_init__(self) -> None:
        if isinstance(self.weight, bool) or not isinstance(self.weight, numbers.Real):
            raise TypeError(f"weight={self.weight!r} must be a number")
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight={self.weight!r} must be at least 0 and finite")
        if self.how not in WAYS:
            raise ValueError(f"how={self.how!r} is not 'add' or 'multiply'")


@dataclass(frozen=True, eq=False)
class DeviceMap(ChannelMap):
    """One whose map stays on the GPU, where the backend reads it."""


Channels = Mapping[str, ChannelMap]
NO_CHANNELS: Channels = MappingProxyType({})


def check_channels(
    channels: Any,
    sampling: Sampling,
    count: int | None,
    adopt: Callable[[Any], Any],
    *,
    stay: bool = False,
) -> dict[str, ChannelMap]:
    """The caller's channels with their maps at the map's level, for one frame or `count` frames.

    Parameters
    ----------
    channels : mapping of str to ChannelMap or array, or None
        An array is one to be added, of weight 1.
    sampling : Sampling
        Of the saliency map.
    adopt : callable
        What makes of an array on a GPU one in host memory, or, if they `stay` there, one that the
        backend reads; those keep their shape and are not looked into.

    Returns
    -------
    dict of str to ChannelMap
        Of maps in host memory, float32 copies of shape (H//16, W//16) or (count, H//16, W//16);
        `DeviceMap` for those that stay.

    Raises
    ------
    TypeError, ValueError
        No mapping, a name of the model's own, or a map of another shape, type or range.
    """
    if channels is None:
        return {}
    if not isinstance(channels, Mapping):
        raise TypeError(
            f"channels is a {type(channels).__name__}; give a mapping of names to maps, as in "
            'channels={"face": map}'
        )
    checked: dict[str, ChannelMap] = {}
    for name, given in channels.items():
        if not isinstance(name, str):
            raise TypeError(f"channels has the name {name!r}; give a string")
        if name in RESERVED:
            raise ValueError(f"channels[{name!r}] has a name of the model's own; give another name")
        channel = given if isinstance(given, ChannelMap) else ChannelMap(given)
        where, values = f"channels[{name!r}]", channel.map
        if callable(values):
            values = values(sampling)
        on_gpu, weight = is_on_gpu(values), float(channel.weight)
        values = adopt(values) if on_gpu else np.asarray(values)
        _check_shape(where, values.shape, sampling, count)
        if on_gpu and stay:
            _check_device_map(where, values)
            checked[name] = DeviceMap(values, weight, channel.how)
        else:
            values = _at_map_level(where, values, weight, sampling)
            checked[name] = ChannelMap(values, weight, channel.how)
    return checked


def channels_of_frame(channels: Channels, index: int | slice) -> dict[str, ChannelMap]:
    """Those of one of several frames, or of some of them."""
    return {
        name: replace(channel, map=channel.map[index]) if channel.map.ndim == 3 else channel
        for name, channel in channels.items()
    }


def added(channels: Channels) -> dict[str, np.ndarray]:
    """Weighted maps of the channels that are added, by name."""
    return {name: c.weight * c.map for name, c in channels.items() if c.how == "add"}


def multiplied(channels: Channels) -> dict[str, np.ndarray]:
    """The same of those that multiply."""
    return {name: c.weight * c.map for name, c in channels.items() if c.how == "multiply"}


def gain(maps: Iterable[np.ndarray]) -> Any:
    """The product of 1 + each map; 1 without any."""
    return math.prod((1 + values for values in maps), start=1.0)


def _check_shape(where: str, shape: tuple[int, ...], sampling: Sampling, count: int | None) -> None:
    sizes = sampling.map_shape, sampling.shape
    if shape not in sizes and (count is None or shape not in [(count, *size) for size in sizes]):
        raise ValueError(
            f"{where} has shape {shape}; give a map of the saliency map's shape, {sizes[0]}, or of "
            f"the frame's, {sizes[1]}" + (f", or {count} of them" if count is not None else "")
        )


def _check_device_map(where: str, values: Any) -> None:
    if values.dtype != np.float32 or not values.flags.c_contiguous:
        strided = "" if values.flags.c_contiguous else ", not C-contiguous"
        raise TypeError(
            f"{where} lies on a GPU as {values.dtype}{strided}; give C-contiguous float32 there"
        )


def _at_map_level(where: str, values: np.ndarray, weight: float, sampling: Sampling) -> np.ndarray:
    """A new float32 array, checked, and averaged if it has the frame's size."""
    if values.dtype.kind not in "fb":
        raise TypeError(
            f"{where} has dtype {values.dtype}; give float, 1 where something stands out alone, or "
            "bool. Divide integers by their full scale"
        )
    with np.errstate(over="ignore"):  # infinite then
        values = np.asarray(values, np.float32)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and weight * high <= LIMIT):
        shown = "NaN" if math.isnan(low) else f"{low if low < 0 else high:g}"
        raise ValueError(
            f"{where} holds {shown}; give numbers of at least 0 that with the weight are no more "
            f"than {LIMIT:g}. Replace or clip them first"
        )
    if values.shape[-2:] == sampling.map_shape:
        return values.copy()
    rows, columns = (edges(sampling, axis) for axis in (0, 1))
    means = np.stack([values[..., a : max(b, a + 1), :].mean(-2) for a, b in pairwise(rows)], -2)
    sums = np.add.reduceat(means[..., : columns[-1]], columns[:-1], -1)
    return np.asarray(sums / np.float32(np.diff(columns).clip(1)))


def edges(sampling: Sampling, axis: int) -> np.ndarray:
    """Where the pixels around each sample begin, and those of the last one end. Where samples are
    denser than pixels, a sample without any takes the one at which it begins.
    """
    between = np.arange(sampling.map_shape[axis] + 1) - 0.5
    pixels = np.ceil(sampling.first[axis] + sampling.step[axis] * between)
    return pixels.clip(0, sampling.shape[axis]).astype(np.intp)
