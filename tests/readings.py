"""Presets that are readings of the Itti-Koch model, which every backend has."""

from ittisal.config import PRESETS
from ittisal.features import Model

READINGS = {name: config for name, config in PRESETS.items() if config.model is Model.ITTI}
