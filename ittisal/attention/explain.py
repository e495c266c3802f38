"""Why a place is salient: the shares of channels, features and centre-surround pairs there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import Config
from ..features import FEATURES
from .view import View, view

DIGITS = 6  # of shares in JSON


@dataclass(frozen=True)
class Explanation:
    """What the saliency of one place is made of: shares that sum to 1 at each of three levels.

    Parameters
    ----------
    channels : dict of str to float
        By channel, and "figure" with presets that have it.
    features : dict of str to float
        By feature, as in "red_green" or "orientation_45". What has no features, "whitened" and
        "figure", is named by its channel.
    pairs : dict of str to float
        By feature and pair of levels, as in "red_green 2-5".
    saliency : float
        What the shares are of: the sum of the map's samples there (before smoothing over time),
        each by the part of it that belongs to the place.

    Notes
    -----
    All shares are 0 where the saliency is 0.
    """

    channels: dict[str, float]
    features: dict[str, float]
    pairs: dict[str, float]
    saliency: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, rounded to six places; pairs with a share of 0 are left out."""
        plain: dict[str, Any] = {"saliency": self.saliency}
        for level in ("channels", "features", "pairs"):
            shares = getattr(self, level).items()
            plain[level] = {
                name: round(share, DIGITS) for name, share in shares if share or level != "pairs"
            }
        return plain


def explain(
    source: Any,
    places: Iterable[Any],
    *,
    shape: tuple[int, int] | None = None,
    config: Config | None = None,
) -> list[Explanation]:
    """Why each of some places is salient.

    A map is a weighted sum of conspicuity maps, each of those a scaled sum of features, and each
    of those a sum of pairs: linear once N has scaled every map. So what each part adds is known
    exactly, and a map without a channel is lower by that channel's share.

    Parameters
    ----------
    source : mapping or Result
        What `Saliency.trace` gives, or a result of `ittisal.stream`.
    places : iterable
        Fixations, regions or proto-objects; points, (y, x); or boxes, (y, x, height, width); both
        in pixels of the frame. A point stands for the map's sample nearest to it.
    shape, config
        As for `scanpath`.

    Returns
    -------
    list of Explanation

    Raises
    ------
    TypeError, ValueError
        A place of another kind or outside the frame, or a map alone as `source`.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frame = np.full((256, 320, 3), 128, np.uint8)
    >>> frame[96:128, 200:232] = (228, 78, 78)  # as bright as the rest
    >>> traced = ittisal.Saliency(frame.shape[:2]).trace(frame)
    >>> (why,) = ittisal.explain(traced, ittisal.scanpath(traced, 1))
    >>> max(why.channels, key=why.channels.get), round(sum(why.pairs.values()), 6)
    ('colour', 1.0)
    """
    seen = view(source, shape, config)
    shares = _Shares(seen.intermediates())
    return [shares.of(_weights(seen, place)) for place in places]


class _Shares:
    """What each part adds to every sample of a map."""

    def __init__(self, trace: Mapping[str, np.ndarray]) -> None:
        self.channels = {
            name.removeprefix("contribution/"): np.asarray(x, float)
            for name, x in trace.items()
            if name.startswith("contribution/")
        }
        self.features: dict[str, np.ndarray] = {}
        self.pairs: dict[str, np.ndarray] = {}
        for channel, added in self.channels.items():
            features = [
                feature.name
                for feature in FEATURES
                if feature.channel.value == channel and f"weighted/{feature.name}" in trace
            ]
            parts = _divided(added, {name: trace[f"weighted/{name}"] for name in features})
            self.features |= parts or {channel: added}
            for feature in features:
                prefix = f"normalised/{feature}/"
                maps = {
                    f"{feature} {name.removeprefix(prefix)}": x
                    for name, x in trace.items()
                    if name.startswith(prefix)
                }
                self.pairs |= _divided(parts[feature], maps)
            if not features:
                self.pairs[channel] = added

    def of(self, weights: np.ndarray) -> Explanation:
        """The shares in the samples with these weights."""
        total = sum(float((x * weights).sum()) for x in self.channels.values())
        scaled = weights / total if total > 0 else np.zeros_like(weights)
        channels, features, pairs = (
            {name: float((x * scaled).sum()) for name, x in level.items()}
            for level in (self.channels, self.features, self.pairs)
        )
        return Explanation(channels, features, pairs, total)


def _divided(whole: np.ndarray, parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A map divided in proportion to the maps that it is made of."""
    if not parts:
        return {}
    total = np.sum([np.asarray(x, float) for x in parts.values()], axis=0)
    ratio = np.divide(whole, total, out=np.zeros_like(whole), where=total > 0)
    return {name: x * ratio for name, x in parts.items()}


def _weights(seen: View, place: Any) -> np.ndarray:
    """How much of each sample belongs to a place."""
    shape = seen.saliency.shape
    weights = np.zeros(shape)
    if hasattr(place, "row"):  # a fixation
        if not (0 <= place.row < shape[0] and 0 <= place.column < shape[1]):
            raise ValueError(
                f"fixation at sample ({place.row}, {place.column}) is of another map than this one "
                f"of shape {shape}; give those of its own scanpath"
            )
        weights[place.row, place.column] = 1
        return weights
    if hasattr(place, "mask"):  # a proto-object
        if place.mask.shape != shape:
            raise ValueError(
                f"proto-object has a mask of shape {place.mask.shape}, and is of another map than "
                f"this one of shape {shape}; give those found in it"
            )
        return place.mask.astype(float)
    if hasattr(place, "height"):  # a region
        place = (place.y, place.x, place.height, place.width)
    try:
        numbers = tuple(map(float, place))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in (2, 4):
        raise TypeError(
            f"place {place!r} is no fixation, region, proto-object, (y, x) or (y, x, height, width)"
        )
    if len(numbers) == 4:
        return seen.coverage(numbers)
    weights[seen.nearest_sample(numbers)] = 1
    return weights
