"""What the kernels are compiled for, as `-D` options: no kernel chooses a constant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np

from .. import plan as model
from ..channels import LIMIT as CHANNEL_LIMIT  # noqa: F401 - named in capitals, for kernels
from ..config import DELTAS, Channel, Choice, Phase
from ..features import FEATURES, ORIENTATIONS
from ..pipeline import FrameFormat
from ..plan import BINOMIAL_5, BINOMIAL_9, Plan, downsampling_weights
from ..references import gbvs
from . import layout
from .sources import Unit
from .structs import SIZES

THREADS = 256  # of a block that streams samples
COLUMNS = 128  # of a block that downsamples: one column of samples each
MAX_ROWS = 8  # that a tile of the pyramid has
GBVS_COLUMNS, GBVS_ROWS = 32, 8  # of a tile of GBVS's energies and colours
GBVS_OUTPUTS = 4  # samples of a map that a thread sums all edges of
SHARED_SAMPLES = 11 << 10  # of a marker, where it fits in shared memory
BITS = {"uint8": 8, "uint16": 16, "float32": 32}
PIXEL_PLANES = ("intensity", "flicker", "red_green", "blue_yellow")


def fixed_point(plan: Plan, format_: FrameFormat) -> bool:
    """Whether flicker's background is kept in 16-bit fixed point."""
    return format_ == ("uint8", 3) and not plan.config.linear


def definitions(plan: Plan, order: str, format_: FrameFormat) -> dict[str, int | str]:
    """Names and values for a plan and a format of frames.

    With the numbers that modules here name in capitals, and the config's fields: PHASE_EVEN is
    whether `phase` is EVEN, and so on.
    """
    config, colour = plan.config, format_.colour
    planes = plan.pixel_planes(colour=colour)
    lowpass = {5: BINOMIAL_5, 9: BINOMIAL_9, len(plan.pyramid_taps): plan.pyramid_taps}
    numbers: dict[str, int | float] = {}
    for module in (vars(model), vars(layout), globals()):
        numbers |= {name: value for name, value in module.items() if name.isupper()}
    for field in fields(config):
        name, value = field.name.upper(), getattr(config, field.name)
        if isinstance(value, Choice):
            numbers |= {f"{name}_{each.name}": int(each is value) for each in type(value)}
        elif isinstance(value, int):
            numbers[name] = int(value)
    return {
        **{name: value for name, value in numbers.items() if isinstance(value, int)},
        **{name: _float(value) for name, value in numbers.items() if isinstance(value, float)},
        "RIDGE": repr(model.RIDGE),  # a double
        **SIZES,
        "FINEST_LEVEL": plan.finest_level,
        "MAP_LEVEL": plan.map_level,
        "NEAR": DELTAS[0],  # surround less centre level
        "FAR": DELTAS[1],
        "ORIENTATIONS": len(ORIENTATIONS),
        "MOST_FEATURES": max(sum(f.channel is each for f in FEATURES) for each in Channel),
        # The frame.
        "PIXEL_BITS": BITS[format_.dtype],  # integers, or 32: float
        "PIXEL_CHANNELS": format_.channels,
        "BGR": int(order == "bgr" and colour),
        "FIXED_POINT": int(fixed_point(plan, format_)),
        # Planes made from pixels: how many, and their numbers, or -1.
        "PIXEL_PLANES": len(planes),
        **{
            f"PLANE_{name.upper()}": planes.index(name) if name in planes else -1
            for name in PIXEL_PLANES
        },
        "WHITENED_PLANES": len(plan.whitened_planes(colour=colour)),
        "HAS_ORIENTATION_PYRAMID": int(config.has_orientation_pyramid),
        "HAS_WHITENED": int(config.has(Channel.WHITENED)),
        "AVERAGES": int(config.averages),
        "HAS_CENTRE_PRIOR": int(config.centre_prior > 0),
        "CHANNELS_LAST": int(plan.channels_last),
        # Filters.
        "PYRAMID_TAPS": len(plan.pyramid_taps),
        **{f"INTERIOR_{n}(k)": _interior(taps, config.phase) for n, taps in lowpass.items()},
        "ENVELOPE": _array(plan.envelope),
        "GABOR": int(plan.gabor is not None),
        "MEASURES": _array(plan.gabor.measures() if plan.gabor else ()),
        # Of colours: their mean, times three.
        "INTENSITY(r,g,b)": _intensity(plan.luma),
        "GBVS_SIDE": gbvs.SIDE,
        "GBVS_REACH": gbvs.GABOR.half,
        "GBVS_FLAT": _float(gbvs.FLAT),
        "GBVS_GREY_STEP": _float(gbvs.GREY_STEP),
    }


def options(unit: Unit, defined: dict[str, int | str]) -> tuple[str, ...]:
    """`-D` options for a unit: of the definitions, those that its text mentions.

    So what does not depend on a frame's format, or on the config, is compiled once.
    """
    words = _words(unit.text)
    named = ((name, name.partition("(")[0]) for name in defined)
    return tuple(f"-D{name}={defined[name]}" for name, word in named if word in words)


@lru_cache(maxsize=64)
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


def _float(value: float) -> str:
    return f"{float(value)!r}f"


def _array(values: Any) -> str:
    if isinstance(values, float):
        return _float(values)
    return "{" + ",".join(_array(each) for each in values) + "}"


def _intensity(luma: Sequence[float]) -> str:
    if not luma:
        return "((r)+(g))+(b)"
    r, g, b = (_float(3 * weight) for weight in luma)
    return f"fmaf({r},r,fmaf({g},g,{b}*(b)))"


def _interior(taps: np.ndarray, phase: Phase) -> str:
    """The weight of sample k in an output far from the borders: as a choice, which compilers fold
    where k is known, and not as an array, which costs registers.
    """
    weights = downsampling_weights(8 * len(taps), taps, phase)[2 * len(taps)]
    choices = [f"k=={k}?{_float(weight)}:" for k, weight in enumerate(weights[:-1])]
    return f"({''.join(choices)}{_float(weights[-1])})"
