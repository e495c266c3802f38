"""What has to be known when compiling: one value, which is part of the kernels' signature."""

from __future__ import annotations

from typing import NamedTuple

from ..config import Channel, Config, Contrast, PeakMean, Phase, Upsampling
from ..plan import BINOMIAL_5, BINOMIAL_9, FLICKER, SLOTS
from .layout import (
    interior_weights,
    reduction_taps,
)

CENTRED, EVEN, REPLICATE = range(3)  # where the samples of a surround lie, and how it fills up
Weights = tuple[tuple[int, int], ...]  # per output that a pair of rows reaches: even, odd row


class Variant(NamedTuple):
    """One way to compile the kernels."""

    order: str  # of colour frames
    opponency: str
    channels: int  # of the frame
    colour: int  # red-green and blue-yellow too, or intensity only
    background: str  # that flicker is measured against: "words" or "floats", or "" for no flicker
    weights: Weights  # of a pyramid's step
    reduction: Weights  # of a step from a centre-surround map to level 4
    wavenumber: float
    sign: str  # "absolute", "split", or "mixed": orientation rectified
    grid: int
    all_peaks: int  # every sample of a plateau counts as a local maximum

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the planes that opponency makes."""
        return (0, *((1, 2) if self.colour else ()), *((FLICKER,) if self.background else ()))

    @property
    def planes(self) -> int:
        """How many those are."""
        return len(self.numbers)

    @property
    def halves(self) -> int:
        """Maps per centre-surround difference."""
        return 2 if self.sign == "split" else 1

    @property
    def maps(self) -> int:
        """Maps of a feature at one centre level, with both its surrounds."""
        return 2 * self.halves

    @property
    def slot_maps(self) -> int:
        """Maps of a feature."""
        return SLOTS * self.halves

    @property
    def reach(self) -> int:
        """How many outputs to either side a pair of rows reaches in a pyramid's step."""
        return len(self.weights) // 2

    @property
    def reduction_reach(self) -> int:
        """The same for a centre-surround map's step."""
        return len(self.reduction) // 2


def background_kind(config: Config, dtype: str, channels: int) -> str:
    """How flicker's background is kept: as words where a frame's sums are made as such."""
    if not config.has(Channel.FLICKER):
        return ""
    return "words" if dtype == "uint8" and channels == 3 else "floats"


def variants(
    config: Config, order: str, dtype: str, channels: int
) -> tuple[Variant, Variant | None]:
    """How to compile for a config and a kind of frame; and for its own orientation pyramid."""
    colour = channels == 3 and config.sees_colour
    rectified = config.orientation_contrast is Contrast.RECTIFIED
    if config.upsampling is Upsampling.REPLICATE:
        grid = REPLICATE
    else:
        grid = CENTRED if config.phase is Phase.CENTRED else EVEN
    variant = Variant(
        order=order if channels == 3 else "rgb",  # grey has none
        opponency=config.opponency.value,
        channels=channels,
        colour=int(colour),
        background=background_kind(config, dtype, channels),
        weights=interior_weights(BINOMIAL_5, config.phase),
        reduction=interior_weights(reduction_taps(config), config.phase),
        wavenumber=config.wavenumber,
        sign="split" if config.split_cs else "mixed" if rectified else "absolute",
        grid=grid,
        all_peaks=int(config.peak_mean is PeakMean.ALL),
    )
    if not config.own_pyramid:
        return variant, None
    own = interior_weights(BINOMIAL_9, config.phase)
    return variant, variant._replace(colour=0, background="", weights=own)
