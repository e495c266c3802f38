"""42 maps to 7 features, 3 conspicuity maps and 1 saliency map: weighted sums of normed maps."""

from __future__ import annotations

import numpy as np

from ..config import MAP_LEVEL
from ..plan import FEATURES, ORIENTED, SLOTS
from . import simd
from .jit import inlined, inner
from .layout import (
    FEATURE_MASK,
    HEIGHT,
    MAP_PITCH,
    MAP_STRIDE,
    MAPS,
    NORM_OPPONENTS,
    NORM_SALIENCY,
    PAD,
    STATS,
    SUM_PLANES,
    SUMS,
    WIDTH,
)
from .normalise import RANGE, normalise
from .simd import LANES, constant

COLOURS = 1  # the first of the colour features
SALIENCY = FEATURES + 3  # among the sums: features, then conspicuity maps, then this
SUM_SIZES = {"colours": ORIENTED - COLOURS, "directions": FEATURES - ORIENTED, "channels": 3}


@simd.function()
def weighted_sum(arena, first, stride, weights, output, size, variant, over):
    """The sum of planes `stride` apart, each scaled and shifted by its pair at `weights`.

    `over` names what is summed: a feature's "maps", "colours", "directions" or "channels".
    """
    count = variant.slot_maps if over == "maps" else SUM_SIZES[over]
    scales = [arena[weights + 2 * k].splat() for k in range(count)]
    offset = arena[weights + 1]
    for k in range(1, count):
        offset = offset + arena[weights + 2 * k + 1]
    offset = offset.splat()
    for x in simd.span(0, size, LANES):
        result = offset
        for k, scale in enumerate(scales):
            result = result + arena.load(first + stride * k + x) * scale
        arena.store(output + x, result)


@inlined
def sum_plane(places, index):
    """Where a feature's sum, a conspicuity map or the saliency map starts."""
    return places[SUMS] + index * places[MAP_STRIDE]


@inlined
def normed_plane(places, index, iterations):
    """Where the map is that N's scale and offset apply to: the sum, or its rewritten copy."""
    plane = sum_plane(places, index)
    if iterations is not None:
        plane += SUM_PLANES * places[MAP_STRIDE]
    return plane


@inlined
def sum_stats(places, index, variant):
    """Where its scale and offset lie: behind those of all maps."""
    return places[STATS] + 2 * (FEATURES * SLOTS * constant(variant, "halves") + index)


@inlined
def copy_plane(arena, places, source, target):
    """Copy a map with its padding."""
    for i in range(places[MAP_STRIDE] - PAD):
        arena[target + i] = arena[source + i]


@inlined
def sum_over(buffers, first, output, variant, iterations, over):
    """The sum of normed sums from number `first` on."""
    arena, _, _, places, _ = buffers
    weighted_sum(
        arena,
        normed_plane(places, first, iterations),
        places[MAP_STRIDE],
        sum_stats(places, first, variant),
        sum_plane(places, output),
        places[MAP_STRIDE] - PAD,
        variant,
        over,
    )


@inner
def norm_sum(buffers, index, weight, norms, top, variant, iterations, scratch):
    """Weight a sum, after N if it `norms`. Sums are rescaled again only to another range."""
    arena, _, _, places, _ = buffers
    plane = normed_plane(places, index, iterations)
    stats = sum_stats(places, index, variant)
    if iterations is not None:
        copy_plane(arena, places, sum_plane(places, index), plane)
    if norms:
        normalise(
            buffers, plane, np.int64(1), 1.0, top, top != RANGE, stats, variant, iterations, scratch
        )
        arena[stats] *= weight
        arena[stats + 1] *= weight
    else:
        arena[stats] = weight
        arena[stats + 1] = 0.0


@inlined
def combine_maps(buffers, weights, variant, iterations, scratch):
    """P98, eqs. 5-8: sums over scales, then within channels, then over channels."""
    arena, _, _, places, settings = buffers
    stride = places[MAP_STRIDE]
    maps = constant(variant, "slot_maps")
    for feature in range(FEATURES):
        if settings[FEATURE_MASK] >> feature & 1:
            weighted_sum(
                arena,
                places[MAPS] + feature * maps * stride,
                stride,
                places[STATS] + 2 * feature * maps,
                sum_plane(places, feature),
                stride - PAD,
                variant,
                "maps",
            )
            norms = feature >= ORIENTED or (feature >= COLOURS and settings[NORM_OPPONENTS] != 0)
            norm_sum(buffers, feature, 1.0, norms, RANGE, variant, iterations, scratch)
    copy_plane(arena, places, sum_plane(places, 0), sum_plane(places, FEATURES))
    sum_over(buffers, np.int64(COLOURS), np.int64(FEATURES + 1), variant, iterations, "colours")
    sum_over(buffers, np.int64(ORIENTED), np.int64(FEATURES + 2), variant, iterations, "directions")
    for channel in range(3):
        weight = weights[channel]
        norm_sum(
            buffers, FEATURES + channel, weight, weight > 0, RANGE, variant, iterations, scratch
        )
    sum_over(buffers, np.int64(FEATURES), np.int64(SALIENCY), variant, iterations, "channels")
    norms = settings[NORM_SALIENCY] != 0
    norm_sum(
        buffers,
        np.int64(SALIENCY),
        1.0,
        norms,
        2.0 if norms else RANGE,
        variant,
        iterations,
        scratch,
    )


@inlined
def copy_out(buffers, out, variant, iterations):
    """The saliency map to the caller's array."""
    arena, levels, _, places, _ = buffers
    source = normed_plane(places, SALIENCY, iterations)
    stats = sum_stats(places, SALIENCY, variant)
    for y in range(levels[MAP_LEVEL, HEIGHT]):
        for x in range(levels[MAP_LEVEL, WIDTH]):
            value = arena[source + y * places[MAP_PITCH] + x]
            # The lowest value times its scale may round to just under its offset.
            out[y, x] = max(value * arena[stats] + arena[stats + 1], np.float32(0))
