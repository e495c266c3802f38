"""Channels and features of the model, as two tables.

The reference, the plan, both backends, traces, contributions and the command line read these
tables; none of them names or counts features by itself. A feature is one plane per pyramid level
and one centre-surround map per pair of levels; the features of a channel add up to its
conspicuity map (P98, eqs. 5-7).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

ORIENTATIONS = (0, 45, 90, 135)  # of the bar, degrees from +x, y down: 45 is "\" on screen
DIRECTIONS = (0, 90, 180, 270)  # of motion: right, up, left, down on screen (iNVT)


class Choice(str, Enum):
    """A closed set of names. Any spelling outside it is an error, never a silent default."""

    def __str__(self) -> str:
        return self.value


class Model(Choice):
    """The program that a config describes.

    `itti` reads every field of the config. The others are published programs with their defaults,
    of which only the weights can be changed: `toolbox`, the SaliencyToolbox (Walther & Koch 2006);
    `vocus2` (Frintrop et al. 2015); `gbvs` (Harel et al. 2006).
    """

    ITTI, TOOLBOX, VOCUS2, GBVS = "itti", "toolbox", "vocus2", "gbvs"


class Channel(Choice):
    """What is made conspicuous, each ending in one conspicuity map (P98, eqs. 5-7; IDP03).

    `flicker` and `motion` compare a frame with those before. `whitened` is the squared Mahalanobis
    distance of the oriented energies of decorrelated colour planes from the frame's mean (after
    AWS).
    """

    INTENSITY = "intensity"
    COLOUR = "colour"
    ORIENTATION = "orientation"
    FLICKER = "flicker"
    MOTION = "motion"
    WHITENED = "whitened"


class ChannelTraits(NamedTuple):
    """What distinguishes a channel from the others."""

    weight: float = 0.0  # default, before the weights are divided by their sum
    needs_colour: bool = False  # absent in grey frames
    needs_past: bool = False  # absent in the first frame


CHANNELS: dict[Channel, ChannelTraits] = {
    Channel.INTENSITY: ChannelTraits(weight=1.0),
    Channel.COLOUR: ChannelTraits(weight=1.0, needs_colour=True),
    Channel.ORIENTATION: ChannelTraits(weight=1.0),
    Channel.FLICKER: ChannelTraits(needs_past=True),
    Channel.MOTION: ChannelTraits(needs_past=True),
    # It has no features: its stage makes the conspicuity map itself.
    Channel.WHITENED: ChannelTraits(),
}
MODEL_CHANNELS = {  # of the published programs
    Model.TOOLBOX: (Channel.INTENSITY, Channel.COLOUR, Channel.ORIENTATION),
    Model.VOCUS2: (Channel.INTENSITY, Channel.COLOUR),
    Model.GBVS: (Channel.INTENSITY, Channel.COLOUR, Channel.ORIENTATION),
}
TEMPORAL = frozenset(channel for channel, traits in CHANNELS.items() if traits.needs_past)


class Signal(Enum):
    """The highest value that a feature could have: what a map is compared with to be flat."""

    ONE = 0
    BRIGHTEST = 1  # the frame's highest intensity
    BRIGHTEST_SQUARED = 2
    FLICKER = 3  # the highest intensity of the frame or of flicker's background
    HUE = 4  # 1 where colours are divided by brightness; else the frame's highest intensity


class Feature(NamedTuple):
    """One row of the table of features."""

    name: str  # in traces: "feature/NAME", "centre_surround/NAME/2-5", ...
    channel: Channel
    planes: str  # in traces: "PLANES/LEVEL" is its plane at a level
    stage: str  # makes its planes: from pixels ("opponency"), or from levels of the pyramid
    signal: Signal = Signal.BRIGHTEST
    rectifiable: bool = False  # `orientation_contrast` applies
    normalised_again: bool | str = False  # N on its sum over scales; or the config field that asks


FEATURES: tuple[Feature, ...] = (
    Feature("intensity", Channel.INTENSITY, "pyramid/intensity", "opponency"),
    *(
        Feature(
            name,
            Channel.COLOUR,
            f"pyramid/{name}",
            "opponency",
            signal=Signal.HUE,
            normalised_again="normalise_opponents",
        )
        for name in ("red_green", "blue_yellow")
    ),
    *(
        Feature(
            f"orientation_{theta}",
            Channel.ORIENTATION,
            f"orientation/{theta}",
            "orientation",
            rectifiable=True,
            normalised_again=True,
        )
        for theta in ORIENTATIONS
    ),
    Feature("flicker", Channel.FLICKER, "pyramid/flicker", "opponency", signal=Signal.FLICKER),
    *(
        Feature(
            f"motion_{direction}",
            Channel.MOTION,
            f"motion/{direction}",
            "motion",
            signal=Signal.BRIGHTEST_SQUARED,
            normalised_again=True,
        )
        for direction in DIRECTIONS
    ),
)
