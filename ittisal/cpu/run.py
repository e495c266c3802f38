"""One frame through the stages, in the order of `pipeline.STAGES`."""

from __future__ import annotations

import numpy as np

from ..config import ORIENTATIONS
from . import centre_surround, combine, normalise, opponency, orientation, pyramid
from .jit import entry, inlined, inner
from .layout import (
    FEATURES,
    HEIGHT,
    MAP_PITCH,
    MAP_STRIDE,
    MAPS,
    ORIENTED,
    OWN,
    OWN_PYRAMID,
    PAD,
    PYRAMID,
    SCRATCH,
    SCRATCH_SIZE,
    SLOTS,
    STATS,
    SUM_PLANES,
    SUMS,
    WIDTH,
)
from .simd import number
from .team import close_door, done, draw, enter, leave, open_door, wait_for_phase

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


@inlined
def sum_plane(places, index):
    """Where a feature's sum, a conspicuity map or the saliency map starts."""
    return places[SUMS] + index * places[MAP_STRIDE]


@inlined
def sum_stats(places, map_count, index):
    """Where its scale and offset lie."""
    return places[STATS] + 2 * (FEATURES * SLOTS * (number(map_count) // 2) + index)


@inlined
def normed_plane(places, index, iterations):
    """Where the map is that N's scale and offset apply to: the sum, or its rewritten copy."""
    plane = sum_plane(places, index)
    if iterations is not None:
        plane += SUM_PLANES * places[MAP_STRIDE]
    return plane


@inner
def normalise_sum(arena, levels, places, settings, index, top, iterations, map_count, scratch):
    """N of a sum: nothing is rescaled again by `iterative`, but for the final map's range."""
    plane = normed_plane(places, index, iterations)
    if iterations is not None:
        copy_plane(arena, sum_plane(places, index), plane, places[MAP_STRIDE] - PAD)
    normalise.normalise(
        arena,
        plane,
        places[MAP_STRIDE],
        np.int64(1),
        places[MAP_PITCH],
        levels[4, HEIGHT],
        levels[4, WIDTH],
        1.0,
        np.float64(top),
        top != normalise.RANGE,
        settings[OPERATOR],
        settings[ALL_PEAKS] != 0,
        iterations,
        sum_stats(places, map_count, index),
        scratch,
    )


@inlined
def set_stats(arena, places, map_count, index, scale, offset):
    """Scale and offset of a sum given rather than measured."""
    at = sum_stats(places, map_count, index)
    arena[at] = scale
    arena[at + 1] = offset


@inlined
def copy_plane(arena, source, target, size):
    """Copy `size` floats."""
    for i in range(size):
        arena[target + i] = arena[source + i]


@inner
def keep_sum(arena, places, map_count, index, iterations):
    """A sum that N does not apply to."""
    if iterations is not None:
        copy_plane(
            arena,
            sum_plane(places, index),
            normed_plane(places, index, iterations),
            places[MAP_STRIDE] - PAD,
        )
    set_stats(arena, places, map_count, index, 1.0, 0.0)


@inner
def combine_maps(
    arena,
    levels,
    places,
    settings,
    numbers,
    iterations,
    map_count,
    slot_maps,
    directions,
    opponents,
    channels,
    scratch,
):
    """P98, eqs. 5-8: sums over scales, then within channels, then over channels."""
    size = levels[4, HEIGHT] * places[MAP_PITCH]
    stride = places[MAP_STRIDE]
    maps = number(slot_maps)
    for feature in range(FEATURES):
        if settings[FEATURE_MASK] >> feature & 1:
            combine.weighted_sum(
                arena,
                places[MAPS] + feature * maps * stride,
                stride,
                places[STATS] + 2 * feature * maps,
                sum_plane(places, feature),
                size,
                slot_maps,
            )
            if feature >= ORIENTED or (feature > 0 and settings[NORM_OPPONENTS] != 0):
                normalise_sum(
                    arena,
                    levels,
                    places,
                    settings,
                    feature,
                    normalise.RANGE,
                    iterations,
                    map_count,
                    scratch,
                )
            else:
                keep_sum(arena, places, map_count, feature, iterations)
    copy_plane(arena, sum_plane(places, 0), sum_plane(places, FEATURES), size)
    combine.weighted_sum(
        arena,
        normed_plane(places, 1, iterations),
        stride,
        sum_stats(places, map_count, 1),
        sum_plane(places, FEATURES + 1),
        size,
        opponents,
    )
    combine.weighted_sum(
        arena,
        normed_plane(places, ORIENTED, iterations),
        stride,
        sum_stats(places, map_count, ORIENTED),
        sum_plane(places, FEATURES + 2),
        size,
        directions,
    )
    for channel in range(3):
        weight = numbers[WEIGHTS + channel]
        if weight > 0:
            normalise_sum(
                arena,
                levels,
                places,
                settings,
                FEATURES + channel,
                normalise.RANGE,
                iterations,
                map_count,
                scratch,
            )
            at = sum_stats(places, map_count, FEATURES + channel)
            arena[at] *= weight
            arena[at + 1] *= weight
        else:
            set_stats(arena, places, map_count, FEATURES + channel, 0.0, 0.0)
    combine.weighted_sum(
        arena,
        normed_plane(places, FEATURES, iterations),
        stride,
        sum_stats(places, map_count, FEATURES),
        sum_plane(places, FEATURES + 3),
        size,
        channels,
    )
    if settings[NORM_SALIENCY] != 0:
        normalise_sum(
            arena, levels, places, settings, FEATURES + 3, 2.0, iterations, map_count, scratch
        )
    else:
        keep_sum(arena, places, map_count, FEATURES + 3, iterations)


# Phases between which all threads wait for each other.
SCAN, FRONT, LEVELS_AND_ENERGY, CONTRASTS, NORMS = range(5)
SCAN_TASKS = 16
BAND = 64  # rows of level 2 in a task: more would waste less on the band's first rows


@inlined
def band_count(rows, threads):
    """Into how many bands to cut the rows of level 2."""
    return 1 if threads == 1 else max(min(rows // BAND, 4 * threads), threads)


@inner
def run_scan(
    frame,
    task,
    partials,
    channels,
    full_sum,
    bytes_,
    floats,
    walther,
):
    """Brightest pixel, lowest and highest element of one part of the frame."""
    size = number(channels)
    pixels = frame.size // size
    start = pixels * task // SCAN_TASKS * size
    stop = pixels * (task + 1) // SCAN_TASKS * size
    if floats is not None or walther is not None:
        low, high = opponency.extent(frame, start, stop)
        partials[task, 1], partials[task, 2] = low, high
    if bytes_ is not None:
        partials[task, 0] = opponency.brightest_bytes(frame, start, stop, channels, full_sum)
    else:
        partials[task, 0] = opponency.brightest(frame, start, stop, channels)


@entry
def run_frame(
    member,
    epoch,
    threads,
    words,
    frame,
    spare,
    out,
    arena,
    levels,
    halvings,
    places,
    settings,
    numbers,
    offsets,
    partials,
    first_stage,
    last_stage,
    bytes_,
    floats,
    walther,
    kind,
    own_kind,
    channels,
    planes,
    one,
    weights,
    own_weights,
    wavenumber,
    sign,
    map_count,
    reduce_weights,
    grid,
    near_delta,
    far_delta,
    slot_maps,
    directions,
    opponents,
    three,
    iterations,
):
    """One member's part in the stages from `first_stage` to `last_stage` of one frame.

    False if the frame's values are out of range.
    """
    if member == 0:
        open_door(words, epoch)
    elif not enter(words, epoch):
        return True
    good = True
    scratch = places[SCRATCH] + member * places[SCRATCH_SIZE]
    top = settings[TOP]
    size = spare.size // threads
    spare = spare[member * size : (member + 1) * size]
    offsets = offsets[member * 16 : (member + 1) * 16]
    rows = levels[2, HEIGHT]
    bands = band_count(rows, threads)
    maps = number(slot_maps)

    if first_stage <= OPPONENCY <= last_stage:
        full_sum = numbers[FULL] * number(channels)
        task = draw(words, SCAN)
        while task < SCAN_TASKS:
            run_scan(frame, task, partials, channels, full_sum, bytes_, floats, walther)
            done(words, SCAN)
            task = draw(words, SCAN)
        wait_for_phase(words, SCAN, SCAN_TASKS)
        best, low, high = partials[0, 0], partials[0, 1], partials[0, 2]
        for i in range(1, SCAN_TASKS):
            best = max(best, partials[i, 0])
            if low == low:  # NaN stays
                low = (
                    partials[i, 1] if partials[i, 1] != partials[i, 1] else min(low, partials[i, 1])
                )
                high = max(high, partials[i, 2])
        if member == 0:
            numbers[BRIGHTEST], numbers[LOWEST], numbers[HIGHEST] = best / full_sum, low, high
        if floats is not None:
            good = low >= 0 and high <= 1 + 1e-6
        whole = numbers[FULL] if walther is not None else full_sum
        found = high if walther is not None else best
        threshold = np.float32(numbers[HUE] * (whole if settings[FIXED_HUE] != 0 else found))
        grey_scale = np.float32(1 / full_sum)

        task = draw(words, FRONT) if good else bands
        while task < bands:
            first, last = rows * task // bands, rows * (task + 1) // bands
            opponency.opponency_rows(
                frame,
                spare,
                threshold,
                grey_scale,
                arena,
                levels,
                halvings,
                PYRAMID,
                0,
                first,
                last,
                scratch,
                kind,
                channels,
                planes,
                weights,
            )
            if own_kind is not None:
                opponency.opponency_rows(
                    frame,
                    spare,
                    threshold,
                    grey_scale,
                    arena,
                    levels,
                    halvings,
                    OWN_PYRAMID,
                    OWN,
                    first,
                    last,
                    scratch,
                    own_kind,
                    channels,
                    one,
                    own_weights,
                )
            done(words, FRONT)
            task = draw(words, FRONT)
        if good:
            wait_for_phase(words, FRONT, bands)

    if good and first_stage <= ORIENTATION and last_stage >= PYRAMIDS:
        source = 0
        if own_kind is not None:
            source = OWN
        oriented = (
            first_stage <= ORIENTATION <= last_stage and settings[FEATURE_MASK] >> ORIENTED != 0
        )
        # The coarse levels are one task, since each needs the one before; level 2 is cut in bands.
        task = draw(words, LEVELS_AND_ENERGY)
        while task <= bands:
            if task > 0:
                level, last_level = np.int64(2), np.int64(2)
                first, last = rows * (task - 1) // bands, rows * task // bands
            else:
                level, last_level, first, last = np.int64(3), top, np.int64(0), np.int64(0)
            while level <= last_level:
                if task == 0:
                    last = levels[level, HEIGHT]
                    if first_stage <= PYRAMIDS:
                        pyramid.halve_plane(
                            arena,
                            levels,
                            halvings,
                            PYRAMID,
                            level - 1,
                            0,
                            planes,
                            weights,
                            scratch,
                        )
                        if own_kind is not None:
                            pyramid.halve_plane(
                                arena,
                                levels,
                                halvings,
                                OWN_PYRAMID,
                                level - 1,
                                OWN,
                                one,
                                own_weights,
                                scratch,
                            )
                if oriented:
                    orientation.orientation_rows(
                        arena,
                        levels,
                        places,
                        level,
                        source,
                        ORIENTED,
                        first,
                        last,
                        scratch,
                        offsets,
                        wavenumber,
                    )
                level += 1
            done(words, LEVELS_AND_ENERGY)
            task = draw(words, LEVELS_AND_ENERGY)
        wait_for_phase(words, LEVELS_AND_ENERGY, bands + 1)

    if good and first_stage <= CENTRE_SURROUND <= last_stage:
        task = draw(words, CONTRASTS)
        while task < 3 * FEATURES:  # the largest maps first
            c, feature = task // FEATURES, task % FEATURES
            if settings[FEATURE_MASK] >> feature & 1 and settings[PAIR_MASK] >> (2 * c) & 1:
                far = settings[PAIR_MASK] >> (2 * c + 1) & 1
                negative = np.float32(0.0 if feature >= ORIENTED else -1.0)
                centre_surround.centre_surround_rows(
                    arena,
                    levels,
                    halvings,
                    places,
                    feature,
                    c + 2,
                    c + 5,
                    c + 5 + far,
                    places[MAPS] + (feature * maps + c * number(map_count)) * places[MAP_STRIDE],
                    0,
                    levels[4, HEIGHT],
                    scratch,
                    negative,
                    sign,
                    map_count,
                    reduce_weights,
                    grid,
                    near_delta,
                    far_delta,
                )
            done(words, CONTRASTS)
            task = draw(words, CONTRASTS)
        wait_for_phase(words, CONTRASTS, 3 * FEATURES)

    if good and first_stage <= NORMALISE <= last_stage:
        halves = number(map_count) // 2
        task = draw(words, NORMS)
        while task < FEATURES:
            if settings[FEATURE_MASK] >> task & 1:
                signal = 1.0 if 0 < task < ORIENTED else numbers[BRIGHTEST]
                for slot in range(SLOTS):
                    index = task * maps + slot * halves
                    if settings[PAIR_MASK] >> slot & 1:
                        normalise.normalise(
                            arena,
                            places[MAPS] + index * places[MAP_STRIDE],
                            places[MAP_STRIDE],
                            halves,
                            places[MAP_PITCH],
                            levels[4, HEIGHT],
                            levels[4, WIDTH],
                            signal,
                            normalise.RANGE,
                            halves > 0,
                            settings[OPERATOR],
                            settings[ALL_PEAKS] != 0,
                            iterations,
                            places[STATS] + 2 * index,
                            scratch,
                        )
            done(words, NORMS)
            task = draw(words, NORMS)
        if member == 0:
            wait_for_phase(words, NORMS, FEATURES)

    if good and first_stage <= COMBINE <= last_stage and member == 0:
        combine_maps(
            arena,
            levels,
            places,
            settings,
            numbers,
            iterations,
            map_count,
            slot_maps,
            directions,
            opponents,
            three,
            scratch,
        )
        combine.copy_map(
            arena,
            normed_plane(places, FEATURES + 3, iterations),
            places[MAP_PITCH],
            levels[4, HEIGHT],
            levels[4, WIDTH],
            arena[sum_stats(places, map_count, FEATURES + 3)],
            arena[sum_stats(places, map_count, FEATURES + 3) + 1],
            out,
        )
    if member == 0:
        close_door(words)
    else:
        leave(words)
    return good
