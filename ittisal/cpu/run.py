"""One frame through the stages, in the order of `pipeline.STAGES`, by one thread or several.

Work goes in phases of tasks (see `team`), between which all threads wait for each other. A phase
is part of a stage, or joins two whose results would otherwise leave the cache in between.
"""

from __future__ import annotations

import numpy as np

from ..config import CENTRE_LEVELS, MAP_LEVEL
from ..plan import CHANNELS, FLICKER, MOVING, ORIENTED, SLOTS
from . import combine, figure, motion, normalise, opponency, orientation, pyramid, whiten
from .centre_surround import centre_surround_rows
from .jit import entry, inlined
from .layout import (
    AVERAGED,
    FEATURE_MASK,
    FIRST_LEVEL,
    FIXED_HUE,
    HEIGHT,
    MAP_STRIDE,
    MAPS,
    OWN_PLANE,
    OWN_PYRAMID,
    PAIR_MASK,
    PYRAMID,
    SCRATCH,
    SCRATCH_SIZE,
    STATS,
    STORED,
    TOP,
)
from .simd import constant
from .team import close_door, done, draw, enter, leave, open_door, wait_for_phase

(
    OPPONENCY, PYRAMIDS, ORIENTATION, MOTION, WHITEN, FIGURE, CENTRE_SURROUND, NORMALISE, COMBINE,
) = range(9)  # fmt: skip
SCAN, FRONT, COARSE_AND_ENERGY, STATISTICS, SCALES, CONTRASTS = range(6)  # phases

# Entries of the float64 `numbers`.
(
    FULL,  # highest value of a channel's type
    HUE,  # hue threshold, a fraction
    BRIGHTEST,  # found: the highest intensity, 0 to 1
    LOWEST,  # found: extent of a float frame
    HIGHEST,
    KEEP,  # what flicker's background keeps of its difference from the frame, a fraction
    SHARE,  # of this frame's map in the smoothed one
    MOTION_THRESHOLD,
    BACKGROUND,  # flicker's brightest, at most
    WEIGHTS,  # of the channels
) = range(10)
NUMBERS = WEIGHTS + CHANNELS

# Of full scale: less flicker than that is none where its background fades, as in the reference.
REST = 1e-3
SCAN_TASKS = 16
FIGURE_TASKS = 2
SCALE_BAND = 12  # rows of level 4 in a task of whitening, likewise
BAND = 64  # rows of level 2 in a task: with fewer, a band's first rows would cost too much
OFFSETS = 16  # integers of scratch per thread


@inlined
def band_count(rows, threads):
    """Into how many bands to cut the rows of level 2."""
    return 1 if threads == 1 else max(min(rows // BAND, 4 * threads), threads)


@inlined
def scan_part(frame, task, partials, full_sum, bytes_, extents, variant):
    """Brightest pixel, lowest and highest element of one part of the frame."""
    size = constant(variant, "channels")
    pixels = frame.size // size
    start = pixels * task // SCAN_TASKS * size
    stop = pixels * (task + 1) // SCAN_TASKS * size
    if extents is not None:
        partials[task, 1], partials[task, 2] = opponency.extent(frame, start, stop)
    if bytes_ is not None:
        partials[task, 0] = opponency.brightest_bytes(frame, start, stop, full_sum, variant)
    else:
        partials[task, 0] = opponency.brightest(frame, start, stop, variant)


@inlined
def gathered(partials):
    """The parts' brightest pixel, lowest and highest element; a NaN stays."""
    best, low, high = partials[0, 0], partials[0, 1], partials[0, 2]
    for i in range(1, SCAN_TASKS):
        best = max(best, partials[i, 0])
        if low == low and not partials[i, 1] > low:  # lower, or NaN
            low = partials[i, 1]
        if not partials[i, 2] < high:
            high = partials[i, 2]
    return best, low, high


@entry
def run_frame(
    member,
    epoch,
    threads,
    words,
    frame,
    spare,
    out,
    buffers,
    numbers,
    offsets,
    partials,
    memory,
    whitening,
    stages,
    variant,
    own,
    bytes_,
    extents,
    floats,
    walther,
    moving,
    whitens,
    figures,
    whitened,
    iterations,
):
    """One member's part in one frame's stages from the first to the last of `stages`.

    `own` is how to compile the own orientation pyramid, or None. The last nine but for
    `iterations` are flags: all but `floats` and `walther` are None or not, since they decide what
    is compiled. Returns False if the frame's values are out of range.
    """
    if member == 0:
        open_door(words, epoch)
    elif not enter(words, epoch):
        return True
    first_stage, last_stage = stages
    _, levels, _, places, settings = buffers
    scratch = places[SCRATCH] + member * places[SCRATCH_SIZE]
    size = spare.size // threads
    spare = spare[member * size : (member + 1) * size]
    offsets = offsets[member * OFFSETS : (member + 1) * OFFSETS]
    rows = levels[FIRST_LEVEL, HEIGHT]
    bands = band_count(rows, threads)
    good = True

    if first_stage <= OPPONENCY <= last_stage:
        full_sum = numbers[FULL] * constant(variant, "channels")
        task = draw(words, SCAN)
        while task < SCAN_TASKS:
            scan_part(frame, task, partials, full_sum, bytes_, extents, variant)
            done(words, SCAN)
            task = draw(words, SCAN)
        wait_for_phase(words, SCAN, SCAN_TASKS)
        best, low, high = gathered(partials)
        if member == 0:
            numbers[BRIGHTEST], numbers[LOWEST], numbers[HIGHEST] = best / full_sum, low, high
        good = not floats or (low >= 0 and high <= 1 + 1e-6)
        full = numbers[FULL] if walther else full_sum
        found = high if walther else best
        threshold = numbers[HUE] * (full if settings[FIXED_HUE] != 0 else found)
        threshold = np.float32(max(threshold, normalise.DARK * full))
        scale, keep = np.float32(1 / full_sum), np.float32(numbers[KEEP])

        task = draw(words, FRONT) if good else bands
        while task < bands:
            first, last = rows * task // bands, rows * (task + 1) // bands
            opponency.opponency_rows(
                frame,
                spare,
                memory,
                keep,
                threshold,
                scale,
                buffers,
                PYRAMID,
                np.int64(0),
                first,
                last,
                scratch,
                variant,
            )
            if own is not None:
                opponency.opponency_rows(
                    frame,
                    spare,
                    memory,
                    keep,
                    threshold,
                    scale,
                    buffers,
                    OWN_PYRAMID,
                    settings[OWN_PLANE],
                    first,
                    last,
                    scratch,
                    own,
                )
            done(words, FRONT)
            task = draw(words, FRONT)
        if good:
            wait_for_phase(words, FRONT, bands)

    if good and first_stage <= MOTION and last_stage >= PYRAMIDS:
        source = np.int64(0)
        if own is not None:
            source = settings[OWN_PLANE]
        halves = first_stage <= PYRAMIDS
        features = settings[FEATURE_MASK]
        oriented = first_stage <= ORIENTATION <= last_stage and features >> ORIENTED & 1 != 0
        moves = last_stage >= MOTION and features >> MOVING & 1 != 0
        # The coarse levels are one task, since each needs the one before; level 2 is cut in bands.
        task = draw(words, COARSE_AND_ENERGY)
        while task <= bands:
            level, last_level = np.int64(FIRST_LEVEL), np.int64(FIRST_LEVEL)
            first, last = rows * (task - 1) // bands, rows * task // bands
            if task == 0:
                level, last_level = FIRST_LEVEL + 1, settings[TOP]
            while level <= last_level:
                if task == 0:
                    first, last = np.int64(0), levels[level, HEIGHT]
                    if halves:
                        pyramid.halve_plane(
                            buffers, PYRAMID, level - 1, np.int64(0), scratch, variant
                        )
                        if own is not None:
                            pyramid.halve_plane(
                                buffers, OWN_PYRAMID, level - 1, source, scratch, own
                            )
                if oriented:
                    orientation.orientation_rows(
                        buffers, level, source, first, last, scratch, offsets, variant
                    )
                if moving is not None:  # noqa: SIM102 (Numba leaves the outer branch out)
                    if moves:
                        threshold = np.float32(numbers[MOTION_THRESHOLD])
                        motion.motion_rows(buffers, level, first, last, threshold)
                level += 1
            done(words, COARSE_AND_ENERGY)
            task = draw(words, COARSE_AND_ENERGY)
        wait_for_phase(words, COARSE_AND_ENERGY, bands + 1)

    if whitens is not None:  # noqa: SIM102 (Numba leaves the outer branch out)
        if good and first_stage <= FIGURE and last_stage >= WHITEN:
            if draw(words, STATISTICS) == 0:
                whiten.plane_statistics(buffers, whitening, variant)
                whiten.plane_triangle(whitening, numbers[BRIGHTEST], settings[AVERAGED], variant)
                done(words, STATISTICS)
            wait_for_phase(words, STATISTICS, 1)

    if whitened is not None:  # noqa: SIM102 (likewise)
        if good and first_stage <= WHITEN <= last_stage:
            map_rows, planes = levels[MAP_LEVEL, HEIGHT], 1 + 2 * constant(variant, "colour")
            parts = max(min(map_rows // SCALE_BAND, threads), 1)
            tasks = (parts + whiten.MAPS_WHITENED - 1) * planes
            task = draw(words, SCALES)
            while task < tasks:  # level 2 in bands, then the others
                part, plane = task // planes, task % planes
                level = FIRST_LEVEL + max(part - parts + 1, 0)
                first, last = np.int64(0), levels[max(level, MAP_LEVEL), HEIGHT]
                if part < parts:
                    first, last = map_rows * part // parts, map_rows * (part + 1) // parts
                whiten.scale_rows(
                    buffers, whitening, level, plane, first, last, scratch, offsets, variant
                )
                if level > MAP_LEVEL:
                    whiten.enlarge_energies(buffers, plane, scratch, variant)
                done(words, SCALES)
                task = draw(words, SCALES)
            wait_for_phase(words, SCALES, tasks)

    if good and first_stage <= NORMALISE and last_stage >= WHITEN:
        halves = constant(variant, "halves")
        stored = settings[STORED]
        others = np.int64(0)
        if figures is not None:
            others += FIGURE_TASKS
        figure_tasks = others
        if whitened is not None:
            others += whiten.COUNT * (1 + 2 * constant(variant, "colour"))
        tasks = others + len(CENTRE_LEVELS) * stored
        task = draw(words, CONTRASTS)
        while task < others:  # the longest first
            if figures is not None:  # noqa: SIM102 (Numba leaves the outer branch out)
                if first_stage <= FIGURE <= last_stage:
                    if task == 0:
                        figure.enclosed_map(
                            buffers, whitening, numbers[BRIGHTEST], scratch, variant
                        )
                    elif task == 1:
                        figure.corners_map(buffers, numbers[BRIGHTEST], scratch, variant)
            if whitened is not None:  # noqa: SIM102 (likewise)
                if task >= figure_tasks and first_stage <= WHITEN:
                    energy = task - figure_tasks
                    whiten.unlikeness(
                        buffers, whitening, energy, numbers[BRIGHTEST], settings[AVERAGED], variant
                    )
            done(words, CONTRASTS)
            task = draw(words, CONTRASTS)
        while task < tasks:  # the largest maps first; N while they are in cache
            centre, feature = (task - others) // stored, (task - others) % stored
            pair_mask = settings[PAIR_MASK] >> (2 * centre)
            index = (feature * SLOTS + 2 * centre) * halves
            if settings[FEATURE_MASK] >> feature & 1 and pair_mask & 1:
                if first_stage <= CENTRE_SURROUND <= last_stage:
                    centre_surround_rows(
                        buffers,
                        feature,
                        FIRST_LEVEL + centre,
                        pair_mask >> 1 & 1,
                        places[MAPS] + index * places[MAP_STRIDE],
                        0,
                        levels[MAP_LEVEL, HEIGHT],
                        scratch,
                        np.float32(0.0 if ORIENTED <= feature < FLICKER else -1.0),
                        variant,
                    )
                if first_stage <= NORMALISE <= last_stage:
                    signal = numbers[BRIGHTEST]
                    if feature >= MOVING:
                        signal *= signal
                    elif 0 < feature < ORIENTED:
                        signal = 1.0
                    elif feature == FLICKER:
                        signal = max(signal, numbers[BACKGROUND])
                        if numbers[KEEP] > 0:
                            signal = max(signal, REST / normalise.FLAT)
                    for _ in range(1 + (pair_mask >> 1 & 1)):
                        normalise.normalise(
                            buffers,
                            places[MAPS] + index * places[MAP_STRIDE],
                            halves,
                            signal,
                            normalise.RANGE,
                            halves > 0,
                            places[STATS] + 2 * index,
                            variant,
                            iterations,
                            scratch,
                        )
                        index += halves
            done(words, CONTRASTS)
            task = draw(words, CONTRASTS)
        if member == 0:
            wait_for_phase(words, CONTRASTS, tasks)
            if whitened is not None:  # noqa: SIM102 (likewise)
                if first_stage <= WHITEN:
                    output = combine.sum_plane(places, combine.WHITENED)
                    whiten.sum_unlikeness(buffers, output, variant)

    if good and first_stage <= COMBINE <= last_stage and member == 0:
        combine.combine_maps(buffers, numbers[WEIGHTS:], variant, iterations, scratch)
        combine.copy_out(
            buffers, out, memory[2], np.float32(numbers[SHARE]), variant, figures, iterations
        )
    if member == 0:
        close_door(words)
    else:
        leave(words)
    return good
