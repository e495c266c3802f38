"""Six maps per feature to one, features to conspicuity maps, and those to the saliency map:
weighted sums of normed maps.
"""

from __future__ import annotations

import numpy as np

from ..config import MAP_LEVEL, Channel
from ..plan import CHANNELS, FEATURES, FLICKER, MOVING, ORIENTED, PROMOTION, SLOTS
from . import simd
from .jit import inlined, inner
from .layout import (
    FEATURE_MASK,
    FIGURE,
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
SALIENCY = FEATURES + CHANNELS  # among the sums: features, then conspicuity maps, then this
WHITENED = FEATURES + list(Channel).index(Channel.WHITENED)
SUM_SIZES = {
    "colours": ORIENTED - COLOURS,
    "orientations": FLICKER - ORIENTED,
    "motions": FEATURES - MOVING,
    "channels": CHANNELS,
}


@simd.function()
def weighted_sum(arena, first, stride, weights, output, size, variant, over):
    """The sum of planes `stride` apart, each scaled and shifted by its pair at `weights`.

    `over` names what is summed: a feature's "maps", or one of SUM_SIZES.
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
    """P98, eqs. 5-8: sums over scales, then within channels, then over channels.

    Of what is whitened there is a conspicuity map already.
    """
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
            norms = feature >= ORIENTED and feature != FLICKER
            if COLOURS <= feature < ORIENTED:
                norms = settings[NORM_OPPONENTS] != 0
            norm_sum(buffers, feature, 1.0, norms, RANGE, variant, iterations, scratch)
    features = settings[FEATURE_MASK]
    first = np.int64(FEATURES)  # the conspicuity maps, in the order of `Channel`
    if features & 1:
        copy_plane(arena, places, sum_plane(places, 0), sum_plane(places, first))
    if features >> COLOURS & 1:
        sum_over(buffers, np.int64(COLOURS), first + 1, variant, iterations, "colours")
    if features >> ORIENTED & 1:
        sum_over(buffers, np.int64(ORIENTED), first + 2, variant, iterations, "orientations")
    if features >> FLICKER & 1:
        copy_plane(arena, places, sum_plane(places, FLICKER), sum_plane(places, first + 3))
    if features >> MOVING & 1:
        sum_over(buffers, np.int64(MOVING), first + 4, variant, iterations, "motions")
    for channel in range(CHANNELS):
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
def copy_out(buffers, out, held, share, variant, figures, iterations):
    """The saliency map to the caller's array: what it promotes, of figures, unless that is None;
    smoothed over time if less than the whole of it has a `share`. `held` is the smoothed map, as it
    was and as it becomes.
    """
    arena, levels, _, places, _ = buffers
    source = normed_plane(places, SALIENCY, iterations)
    stats = sum_stats(places, SALIENCY, variant)
    for y in range(levels[MAP_LEVEL, HEIGHT]):
        for x in range(levels[MAP_LEVEL, WIDTH]):
            value = arena[source + y * places[MAP_PITCH] + x]
            # The lowest value times its scale may round to just under its offset.
            value = max(value * arena[stats] + arena[stats + 1], np.float32(0))
            if figures is not None:
                at = places[FIGURE] + y * places[MAP_PITCH] + x
                count = arena[at] * arena[at + places[MAP_STRIDE]]
                value = count + count * value * np.float32(1 / PROMOTION)
            if held.size > 0:
                if share < 1:
                    value = held[0, y, x] + (value - held[0, y, x]) * share
                held[1, y, x] = value
            out[y, x] = value
