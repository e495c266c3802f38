"""Readings of the Itti-Koch model, which every backend has."""

from ittisal.config import PRESETS, VIDEO, Config
from ittisal.features import Model

READINGS = {name: config for name, config in PRESETS.items() if config.model is Model.ITTI}
# `itti1998` with flicker and motion: these alone, without what `video` has of `gaze`.
FIVE = Config(weights=VIDEO.weights, hue_reference="fixed", working_size=800)
