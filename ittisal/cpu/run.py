"""One frame through the stages, in the order of `pipeline.STAGES`."""

from __future__ import annotations

import numpy as np

from ..config import ORIENTATIONS
from . import centre_surround, combine, normalise, opponency, orientation, pyramid
from .jit import entry, inner
from .layout import (
    FEATURES,
    HEIGHT,
    MAP_PITCH,
    MAP_STRIDE,
    MAPS,
    ORIENTED,
    OWN,
    OWN_PYRAMID,
    PYRAMID,
    SCRATCH,
    SCRATCH_SIZE,
    SLOTS,
    STATS,
    SUMS,
    WIDTH,
)
from .simd import number

OPPONENCY, PYRAMIDS, ORIENTATION, CENTRE_SURROUND, NORMALISE, COMBINE = range(6)
DIRECTIONS = len(ORIENTATIONS)

# Entries of the integer `settings`.
(
    TOP,  # coarsest level
    PAIR_MASK,  # bit per slot: the pair exists
    FEATURE_MASK,  # bit per feature: computed for this frame
    FIXED_HUE,  # the hue threshold is a fraction of FULL, not of the brightest pixel
    OPERATOR,
    ALL_PEAKS,
    NORM_OPPONENTS,
    NORM_SALIENCY,
    SETTINGS,
) = range(9)
# Entries of the float64 `numbers`.
(
    FULL,  # highest value of a channel's type
    HUE,  # hue threshold, a fraction
    WEIGHTS,  # of the three channels
    _,
    _,
    BRIGHTEST,  # found: the highest intensity, 0 to 1
    LOWEST,  # found: extent of a float frame
    HIGHEST,
    NUMBERS,
) = range(9)


@inner
def sum_plane(places, index):
    """Where a feature's sum, a conspicuity map or the saliency map starts."""
    return places[SUMS] + index * places[MAP_STRIDE]


@inner
def sum_stats(places, map_count, index):
    """Where its scale and offset lie."""
    return places[STATS] + 2 * (FEATURES * SLOTS * (number(map_count) // 2) + index)


@inner
def normalise_sum(arena, levels, places, settings, index, top, iterations, map_count, scratch):
    """N of a sum: nothing is rescaled again by `iterative`, but for the final map's range."""
    normalise.normalise(
        arena, sum_plane(places, index), places[MAP_STRIDE], 1, places[MAP_PITCH],
        levels[4, HEIGHT], levels[4, WIDTH], 1.0, top, top != normalise.RANGE,
        settings[OPERATOR], settings[ALL_PEAKS] != 0, iterations,
        sum_stats(places, map_count, index), scratch,
    )


@inner
def set_stats(arena, places, map_count, index, scale, offset):
    """Scale and offset of a sum given rather than measured."""
    at = sum_stats(places, map_count, index)
    arena[at] = scale
    arena[at + 1] = offset


@inner
def combine_maps(
    arena, levels, places, settings, numbers, iterations, map_count, slot_maps, directions,
    opponents, channels, scratch,
):
    """P98, eqs. 5-8: sums over scales, then within channels, then over channels."""
    size = levels[4, HEIGHT] * places[MAP_PITCH]
    stride = places[MAP_STRIDE]
    maps = number(slot_maps)
    for feature in range(FEATURES):
        if settings[FEATURE_MASK] >> feature & 1:
            combine.weighted_sum(
                arena, places[MAPS] + feature * maps * stride, stride,
                places[STATS] + 2 * feature * maps, sum_plane(places, feature), size, slot_maps,
            )
            if feature >= ORIENTED or (feature > 0 and settings[NORM_OPPONENTS] != 0):
                normalise_sum(
                    arena, levels, places, settings, feature, normalise.RANGE, iterations,
                    map_count, scratch,
                )
            else:
                set_stats(arena, places, map_count, feature, 1.0, 0.0)
    for i in range(levels[4, HEIGHT] * places[MAP_PITCH]):
        arena[sum_plane(places, FEATURES) + i] = arena[sum_plane(places, 0) + i]
    combine.weighted_sum(
        arena, sum_plane(places, 1), stride, sum_stats(places, map_count, 1),
        sum_plane(places, FEATURES + 1), size, opponents,
    )
    combine.weighted_sum(
        arena, sum_plane(places, ORIENTED), stride, sum_stats(places, map_count, ORIENTED),
        sum_plane(places, FEATURES + 2), size, directions,
    )
    for channel in range(3):
        weight = numbers[WEIGHTS + channel]
        if weight > 0:
            normalise_sum(
                arena, levels, places, settings, FEATURES + channel, normalise.RANGE, iterations,
                map_count, scratch,
            )
            at = sum_stats(places, map_count, FEATURES + channel)
            arena[at] *= weight
            arena[at + 1] *= weight
        else:
            set_stats(arena, places, map_count, FEATURES + channel, 0.0, 0.0)
    combine.weighted_sum(
        arena, sum_plane(places, FEATURES), stride, sum_stats(places, map_count, FEATURES),
        sum_plane(places, FEATURES + 3), size, channels,
    )
    if settings[NORM_SALIENCY] != 0:
        normalise_sum(
            arena, levels, places, settings, FEATURES + 3, 2.0, iterations, map_count, scratch
        )
    else:
        set_stats(arena, places, map_count, FEATURES + 3, 1.0, 0.0)


@entry
def run_frame(
    frame, spare, out, arena, levels, halvings, places, settings, numbers, offsets,
    first_stage, last_stage, bytes_, floats, walther,
    kind, own_kind, channels, planes, one, weights, own_weights, wavenumber,
    sign, map_count, reduce_weights, grid, near_delta, far_delta, slot_maps, directions, opponents,
    three, iterations,
):
    """All stages from `first_stage` to `last_stage` of one frame."""
    scratch = places[SCRATCH]
    top = settings[TOP]

    if first_stage <= OPPONENCY <= last_stage:
        full_sum = numbers[FULL] * number(channels)
        grey_scale = np.float32(1 / full_sum)
        high = np.float32(0)
        if floats is not None or walther is not None:
            low, high = opponency.extent(frame, 0, frame.size)
            if floats is not None:
                numbers[LOWEST], numbers[HIGHEST] = low, high
                if not (low >= 0 and high <= 1 + 1e-6):
                    return False
        if bytes_ is not None:
            best = opponency.brightest_bytes(frame, 0, frame.size, channels, full_sum)
        else:
            best = opponency.brightest(frame, 0, frame.size, channels)
        numbers[BRIGHTEST] = best / full_sum
        if walther is not None:
            threshold = numbers[FULL] if settings[FIXED_HUE] != 0 else np.float64(high)
        else:
            threshold = full_sum if settings[FIXED_HUE] != 0 else np.float64(best)
        threshold *= numbers[HUE]
        opponency.opponency_rows(
            frame, spare, np.float32(threshold), grey_scale, arena,
            levels, halvings, PYRAMID, 0, 0, levels[2, HEIGHT], scratch, kind, channels, planes,
            weights,
        )
        if own_kind is not None:
            opponency.opponency_rows(
                frame, spare, np.float32(threshold), grey_scale, arena,
                levels, halvings, OWN_PYRAMID, OWN, 0, levels[2, HEIGHT], scratch,
                own_kind, channels, one, own_weights,
            )
    if first_stage <= PYRAMIDS <= last_stage:
        for level in range(2, top):
            pyramid.halve_plane(
                arena, levels, halvings, PYRAMID, level, 0, planes, weights, scratch
            )
            if own_kind is not None:
                pyramid.halve_plane(
                    arena, levels, halvings, OWN_PYRAMID, level, OWN, one, own_weights, scratch
                )
    if first_stage <= ORIENTATION <= last_stage and settings[FEATURE_MASK] >> ORIENTED:
        source = 0
        if own_kind is not None:
            source = OWN
        for level in range(2, top + 1):
            orientation.orientation_rows(
                arena, levels, places, level, source, ORIENTED, 0, levels[level, HEIGHT], scratch,
                offsets, wavenumber,
            )
    maps = number(slot_maps)
    if first_stage <= CENTRE_SURROUND <= last_stage:
        for feature in range(FEATURES):
            if settings[FEATURE_MASK] >> feature & 1:
                negative = np.float32(0.0 if feature >= ORIENTED else -1.0)
                for c in range(3):
                    if settings[PAIR_MASK] >> (2 * c) & 1:
                        far = settings[PAIR_MASK] >> (2 * c + 1) & 1
                        centre_surround.centre_surround_rows(
                            arena, levels, halvings, places, feature, c + 2, c + 5, c + 5 + far,
                            places[MAPS]
                            + (feature * maps + c * number(map_count)) * places[MAP_STRIDE],
                            0, levels[4, HEIGHT], scratch, negative, sign, map_count, reduce_weights, grid,
                            near_delta, far_delta,
                        )
    if first_stage <= NORMALISE <= last_stage:
        halves = number(map_count) // 2
        for feature in range(FEATURES):
            if settings[FEATURE_MASK] >> feature & 1:
                signal = 1.0 if 0 < feature < ORIENTED else numbers[BRIGHTEST]
                for slot in range(SLOTS):
                    index = feature * maps + slot * halves
                    if settings[PAIR_MASK] >> slot & 1:
                        normalise.normalise(
                            arena, places[MAPS] + index * places[MAP_STRIDE], places[MAP_STRIDE],
                            halves, places[MAP_PITCH], levels[4, HEIGHT], levels[4, WIDTH],
                            signal, normalise.RANGE, True, settings[OPERATOR],
                            settings[ALL_PEAKS] != 0, iterations, places[STATS] + 2 * index,
                            scratch,
                        )
    if first_stage <= COMBINE <= last_stage:
        combine_maps(
            arena, levels, places, settings, numbers, iterations, map_count, slot_maps,
            directions, opponents, three, scratch,
        )
        combine.copy_map(
            arena, sum_plane(places, FEATURES + 3), places[MAP_PITCH], levels[4, HEIGHT],
            levels[4, WIDTH], arena[sum_stats(places, map_count, FEATURES + 3)],
            arena[sum_stats(places, map_count, FEATURES + 3) + 1], out,
        )
    return True
