"""The read-out: from a raw map and five numbers to a log density; and tables of such numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import documents
from ..channels import ChannelMap, Channels, check_channels, gain, multiplied
from ..config import ITTI_1998, Config, number
from ..maps import upsample
from ..sampling import Sampling, sampling

FLOOR = 1e-3  # of the map's mean: what a sample of 0 counts as, since its logarithm is needed
NO_BLUR = 0.1  # samples: a Gaussian narrower than that is a single one
SHIPPED = Path(__file__).with_name("readouts.json")
ABOUT = (
    "Read-outs by preset: see ittisal.readout.Readout for what the numbers mean, and "
    "`ittisal readout --help` for how they were fitted."
)
LIMITS = {
    "blur_percent": (0.0, 50.0),
    "power": (0.0, 100.0),
    "centre_width": (0.01, 100.0),  # a spot; flat to 0.01 %
    "centre_height": (-1e5, 1e5),  # far out, a wide Gaussian is a slope
    "gain_power": (0.0, 100.0),
}


@dataclass(frozen=True)
class Readout:
    """Five numbers that make a density of a raw map, and of channels such as faces.

    With s the map and g the channels' gain, 1 + weight x map of each channel that multiplies, both
    blurred by a Gaussian; m and n their means; and u, v the pixel's position across and down the
    frame, from -1 to 1:

        ln p = power ln(s / m + 0.001) + gain_power ln(g / n + 0.001)
               - (u^2 + (v - centre_height)^2) / (2 centre_width^2) + const

    so the density is the map to a power times the gain to another times a Gaussian about the
    centre, and the constant makes it sum to 1. The map's unit does not matter; a map of zeros
    leaves the others, and without channels the gain is 1.

    Parameters
    ----------
    blur_percent : float in [0, 50]
        The blur's sigma in percent of the longer side.
    power : float in [0, 100]
        0 ignores the map.
    centre_width : float in [0.01, 100]
        The Gaussian's sigma, in halves of each side: 100 is no centre bias.
    centre_height : float in [-1e5, 1e5]
        Position of the Gaussian's maximum: 0 in the middle, -1 at the upper border.
    gain_power : float in [0, 100]
        0 ignores the channels.

    Notes
    -----
    A log-linear pool of map and centre prior. By cross-validation of two models on OSIE it is the
    simplest good form: mixing in a uniform or central density, a second blur of the density,
    quartic terms, two centre widths, and functions of map values other than a power gained next to
    nothing.

    Examples
    --------
    >>> import numpy as np
    >>> readout = Readout(blur_percent=2, power=1.5, centre_width=0.6, centre_height=0)
    >>> raw = np.ones((6, 8), np.float32)
    >>> density = np.exp(readout.log_density(raw, (96, 128)))
    >>> density.shape, round(float(density.sum()), 4), bool(density[48, 64] > density[0, 0])
    ((96, 128), 1.0, True)
    """

    blur_percent: float
    power: float
    centre_width: float
    centre_height: float
    gain_power: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            value, (low, high) = number(field.name, given), LIMITS[field.name]
            if not low <= value <= high:  # also catches NaN
                raise ValueError(f"{field.name}={given!r} must be {low:g} to {high:g}")
            object.__setattr__(self, field.name, value)

    def log_density(
        self,
        raw_map: np.ndarray,
        shape: tuple[int, int],
        config: Config = ITTI_1998,
        channels: Mapping[str, ChannelMap] | None = None,
    ) -> np.ndarray:
        """The log density of fixations, in natural logarithms: float32 of `shape`, (H, W).

        `raw_map` is as `Saliency` computes it without `channels`: finite, not negative, in any
        unit. `config` is the model's: it says where the map's samples lie. `channels` are as of
        `Saliency`, such as those that `FaceDetector` gives of the image; all multiply.
        |logsumexp| is below 0.001.
        """
        raw = np.asarray(raw_map, np.float64)
        if raw.ndim != 2 or not np.isfinite(raw).all() or raw.min(initial=0) < 0:
            raise ValueError(
                f"the raw map, of shape {raw.shape}, must have two dimensions and values that are "
                "finite and not negative; give what `Saliency` computes"
            )
        grid = sampling(shape, config)
        gains = channel_gain(multipliers(channels, grid), grid.map_shape)
        log_p = np.zeros(shape)
        for power, values in ((self.power, raw), (self.gain_power, gains)):
            if power == 0:
                continue
            evidence = power * log_evidence(values[None], self.blur_percent)[0]
            log_p += upsample(evidence.astype(np.float32), shape, config)
        across, down = positions(shape[1]), positions(shape[0])
        log_p -= (across / self.centre_width) ** 2 / 2
        log_p -= ((down - self.centre_height) / self.centre_width)[:, None] ** 2 / 2
        log_p -= log_p.max()
        log_p -= math.log(np.exp(log_p).sum())
        return log_p.astype(np.float32)


def log_evidence(maps: np.ndarray, blur_percent: float) -> np.ndarray:
    """ln(s / m + 0.001) of raw maps, or gains, of one size.

    `maps`, float64 of shape (N, h, w), are not negative. s is blurred by a Gaussian whose sigma is
    `blur_percent` of the longer side; at the border its part inside the map counts as the whole. m
    is the mean of s over each map; where it is 0, so is s / m. float64 of shape (N, h, w).
    """
    height, width = maps.shape[1:]
    sigma = blur_percent / 100 * max(height, width)
    blurred = _blur(height, sigma) @ maps @ _blur(width, sigma).T
    mean = blurred.mean(axis=(1, 2), keepdims=True)
    return np.log(blurred / np.where(mean > 0, mean, 1) + FLOOR)


def multipliers(channels: Mapping[str, ChannelMap] | None, grid: Sampling) -> dict[str, ChannelMap]:
    """Channels with their maps at the samples of the saliency map, by `check_channels`.

    Raises ValueError if one is added: that is a part of the raw map.
    """
    checked = check_channels(channels, grid, None, np.asarray)
    for name, channel in checked.items():
        if channel.how != "multiply":
            raise ValueError(
                f"channels[{name!r}] is added, and a read-out takes those that multiply; give it "
                "to the model"
            )
    return checked


def channel_gain(channels: Channels, map_shape: tuple[int, ...]) -> np.ndarray:
    """The product of 1 + weight x map over `multipliers`, float64; 1 without any."""
    return np.ones(map_shape) * gain(multiplied(channels).values())


def positions(size: int) -> np.ndarray:
    """Middles of pixels across a side, from -1 to 1: -0.75, -0.25, 0.25 and 0.75 of 4."""
    return (2 * np.arange(size) + 1) / size - 1


def _blur(size: int, sigma: float) -> np.ndarray:
    """Weights of the Gaussian between samples of a line; each row sums to 1."""
    if sigma < NO_BLUR:
        return np.eye(size)
    samples = np.arange(size)
    weights = np.exp(-0.5 * ((samples[:, None] - samples) / sigma) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def load(name: str, path: str | Path = SHIPPED) -> Readout:
    """The read-out of a preset (see `names`), from the table that ships or from that at `path`.

    Raises OSError if the table cannot be read, and ValueError if it is no table as `ittisal readout
    --out` writes it, or has no read-out of this name (lists those it has).

    Examples
    --------
    >>> load("itti1998").centre_height < 0
    True
    """
    entries = _read(Path(path))
    if name not in entries:
        raise ValueError(f"no read-out {name!r} in {path}; it has: {', '.join(entries)}")
    try:
        return Readout(**entries[name]["readout"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: the read-out {name!r} is damaged: {error}") from error


def names(path: str | Path = SHIPPED) -> list[str]:
    """The read-outs in a table. Raises as `load` does.

    Examples
    --------
    >>> "itti1998" in names()
    True
    """
    return list(_read(Path(path)))


def updated(path: str | Path, name: str, readout: Readout, facts: dict[str, Any]) -> str:
    """The text, in JSON, of a table to which a read-out was added, or in which it was replaced.

    `path` is the table as it is, if there is one; nothing is written. The numbers have six digits;
    `facts` are stated beside them: what the read-out was fitted on, and its scores. Raises OSError
    or ValueError if there is a file that cannot be read, or is no such table.
    """
    path = Path(path)
    entries = _read(path) if path.exists() else {}
    values = {field: float(f"{value:.6g}") for field, value in asdict(readout).items()}
    entries[name] = {"readout": values, **facts}
    return json.dumps({"about": ABOUT, "readouts": entries}, indent=2) + "\n"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = documents.read(path)["readouts"]
        if all(isinstance(entry, dict) for entry in entries.values()):
            return entries
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(
        f"{path} is no table of read-outs, an object `readouts` of objects by name; name another "
        "file, or make one with `ittisal readout DATASET --out FILE`"
    )
