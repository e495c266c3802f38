"""The structs that the host and the kernels share, one line per field.

The tables give the NumPy types that the host fills in, and the C text that kernels include.
"""

from __future__ import annotations

import re
from enum import IntEnum

import numpy as np

from ..config import TOP_LEVEL
from ..features import FEATURES, ORIENTATIONS, Channel, Signal
from ..plan import SLOTS

GENERATED = "structs.cuh"  # what kernels include
LEVELS = TOP_LEVEL + 1
ENERGIES = 3 * len(ORIENTATIONS)  # of the decorrelated planes
STEP_KINDS = ("pyramid", "orientation_pyramid", "faded_map", "map")  # as in `Plan.steps`
SIZES = {
    "LEVELS": LEVELS,
    "LEVELS_AND_END": LEVELS + 1,
    "FEATURES": len(FEATURES),
    "CHANNELS": len(Channel),
    "ROWS": len(FEATURES) + len(Channel),
    "PAIRS": len(FEATURES) * SLOTS,
    "STATISTICS": 1 + ENERGIES,  # of the planes, and of each energy over the scales
    "STEPS": len(STEP_KINDS),
}


class Mode(IntEnum):
    """How a frame follows the one before it."""

    FIRST = 0  # it has no past
    NEXT = 1
    AGAIN = 2  # it is the last frame, run again


class Step(IntEnum):
    """Of `normalise` and `combine`: each needs what all blocks have done in the one before."""

    FIND_RANGES = 0
    FIND_PEAKS = 1
    ADD_MAPS = 2
    FEATURE_PEAKS = 3
    ADD_FEATURES = 4
    CHANNEL_PEAKS = 5
    ADD_CHANNELS = 6
    SALIENCY_PEAKS = 7
    WRITE_MAP = 8


_TABLES: dict[str, dict[str, str]] = {
    # Numbers of one model. Offsets count floats, from the start of a frame's part of the arena or,
    # where the comment says so, of the tables of weights.
    "Geometry": {
        "int height[LEVELS]": "of each level",
        "int width[LEVELS]": "of each level",
        "int top_level": "the coarsest that exists",
        "int planes[LEVELS]": "the planes of a level, one after the other",
        "int steps[STEPS][LEVELS][2]": "tables: weights by kind, input level, axis",
        "int filters[LEVELS][2]": "tables: by axis, 1 / (taps inside), and that times the fade",
        "int map_fade[2]": "tables: border fade at the map's level, by axis",
        "int whitened_fade[2]": "tables: the same for the whitened channel",
        "int centre_prior[2]": "tables: by axis, at the map's level",
        "int edges[2]": "tables: by axis, where each sample's pixels begin, and the last one's end",
        "int gaussians[2]": "tables: of `iterative`, excitation and inhibition",
        "int reach[2]": "half widths of the Gaussians",
        "int linear": "tables: linear light of every integer value",
        "int first_tile[LEVELS_AND_END]": "the first of each level, of all levels' tiles",
        "int feature[ROWS]": "rows: number of the feature, or -1: its stage makes the channel",
        "int plane[ROWS]": "rows: number of the feature's plane",
        "int channel[ROWS]": "rows: number of the channel; rows of one channel are adjacent",
        "int signal[ROWS]": "rows: what a map is compared with to be flat",
        "int rectified[ROWS]": "rows: only centres above their surrounds count",
        "int normalised_again[ROWS]": "rows: N applies to the sum over scales",
        "float feature_weight[ROWS]": "rows: of the feature in its conspicuity map",
        "int first_row[CHANNELS]": "of each channel",
        "int row_count[CHANNELS]": "of each channel; 0: it is absent",
        "int channel_count": "channels present",
        "int pairs": "a bit per slot: the centre-surround pair exists",
        "int conspicuity": "number of the first channel's sum",
        "int saliency": "number of the last sum",
        "int previous_intensity": "plane of the frame before, or -1",
        "int whitened[LEVELS]": "the decorrelated planes of a level, or -1",
        "int whitened_source[3]": "numbers of the planes that are decorrelated",
        "int whitened_signal[3]": "their signals",
        "int energies[LEVELS]": "oriented energies of the decorrelated planes",
        "int scales": "maps: these by plane, orientation and scale, at the map's level",
        "int statistics": "doubles: the frame's, the running ones, parts of sums",
        "int whiteners": "whitening matrices, one per set of statistics",
        "int corner_level": "level of corners; surroundedness is found one above",
        "int surroundedness": "at that level: of each plane, and of its negative",
        "int figure_maps": "maps: energies at the corners' level, surroundedness, corners",
        "int maps": "maps: of `Plan.map_index`",
        "int sums": "maps: of `Plan.sums`; where N rewrites maps, once more as it leaves them",
        "int affines": "scale and offset that N gave each map",
        "int sum_affines": "scale and offset that N gave each sum",
        "int ranges": "struct Range of each part of a map",
        "int peaks": "struct Peaks of each part of a map",
        "int sum_ranges": "the same of sums",
        "int sum_peaks": "the same of sums",
        "int scratch": "maps: three per pair of a feature, for `iterative`",
        "int sum_scratch": "maps: three per sum",
        "int smoothed": "two maps: smoothed over time, up to the last frame and up to this one",
        "int found": "struct Found",
        "int counters": "struct Counters",
        "int partials": "what each block of `scan` found",
        "int frame": "size of one frame's part of the arena",
        "float full": "highest value of a pixel's element",
        "float hue_threshold": "a fraction",
        "float motion_threshold": "of squared intensity",
        "float weight[CHANNELS]": "of the conspicuity maps",
        "float own_figure[CHANNELS]": "surroundedness that a channel has without an outline",
        "float waves[2][2][5]": "taps: axial and diagonal; times cosine and sine",
    },
    # What differs from frame to frame. It lies in device memory, so that one recorded graph serves
    # every frame, wherever it lies.
    "Call": {
        "const void* frames": "pixels",
        "float* maps": "saliency maps to be written",
        "float flicker_decay": "fraction of its difference that flicker's background keeps",
        "float smoothing_factor": "weight of this frame's map in the smoothed one",
        "int turn": "which of the two backgrounds this frame is compared with",
    },
    # What `scan` finds in a frame, and what is known of the frames before.
    "Found": {
        "float brightest": "highest intensity, 0 to 1",
        "float lowest": "element",
        "float highest": "element",
        "float hue_limit": "brightness up to here has no hue",
        "float peak": "maximum of the saliency map",
        "float good": "the values are in range",
        "float past": "a frame came before",
        "float valid": "the frame has a map: it is good, and so was the first one",
        "float background": "bound of the brightness of flicker's background",
        "float flicker_decay": "of this frame, for the next",
        "float flicker_signal": "the higher of brightness and background",
        "float statistics_factor": "weight of this frame's statistics in the running ones",
    },
    # Blocks that are done. The last block sets a counter back to 0.
    "Counters": {
        "int scanned": "parts of the frame",
        "int normalised[PAIRS]": "parts of a feature's maps of one pair",
        "int summed[CHANNELS]": "features of a channel",
        "int joined": "channels",
        "int measured[STATISTICS]": "parts of a set of maps",
        "int cornered": "parts of the map",
    },
}
_TYPES = {"int": np.int32, "float": np.float32, "const void*": np.uintp, "float*": np.uintp}


def _dtype(name: str) -> np.dtype:
    fields = []
    for declaration in _TABLES[name]:
        type_, field, sizes = re.findall(r"(.+) (\w+)(.*)", declaration)[0]
        shape = [SIZES.get(size) or int(size) for size in re.findall(r"\w+", sizes)]
        fields.append((field, _TYPES[type_], tuple(shape)))
    return np.dtype(fields, align=True)


GEOMETRY, CALL, FOUND, COUNTERS = map(_dtype, _TABLES)


def text() -> str:
    """The structs, and the enumerations that go with them, in C."""
    enums = {
        "Mode": [mode.name for mode in Mode],
        "Step": [step.name for step in Step],
        "Signal": [f"SIGNAL_{signal.name}" for signal in Signal],
        "StepKind": [f"{kind.upper()}_STEP" for kind in STEP_KINDS],
    }
    lines = [f"enum {name} {{ {', '.join(values)} }};" for name, values in enums.items()]
    for name, fields in _TABLES.items():
        declared = [f"    {field};  // {comment}" for field, comment in fields.items()]
        size = _dtype(name).itemsize
        lines += [f"struct {name} {{", *declared, "};"]
        lines.append(f'static_assert(sizeof({name}) == {size}, "{name} has another size");')
    return "\n".join(lines) + "\n"
