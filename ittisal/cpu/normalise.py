"""The operator N on the small maps: one scale and one offset per map, or a new map.

`maxnorm` and `none` are affine, N(x) = scale x + offset, so only the two numbers are kept and the
combination applies them. `iterative` rewrites the map.
"""

from __future__ import annotations

import numpy as np

from ..config import MAP_LEVEL
from . import simd
from .jit import inner
from .layout import HEIGHT, MAP_PITCH, MAP_STRIDE, OPERATOR, WIDTH
from .simd import LANES, constant

MAXNORM, ITERATIVE, NONE = range(3)
RANGE = 10.0
FLAT = 1e-5
PLATEAU = 1e-4  # of a map's range
HALF_A_PEAK = 0.5  # less than this is no peak
DARK = 1e-9  # of full intensity: no hue below, and the scale of the flat test at least


@simd.function(simd.types.UniTuple(simd.types.float32, 2))
def extremes(arena, start, pitch, height, width):
    """Lowest and highest value of a map."""
    low, high = simd.Carry(arena[start].splat()), simd.Carry(arena[start].splat())
    for y in simd.span(0, height, 1):
        row = arena.at(start + y * pitch)
        for x in simd.span(0, width, LANES):
            here = row.load(x)
            inside = simd.ramp(x) < width
            low.set(simd.select(inside, simd.minimum(here, low.get()), low.get()))
            high.set(simd.select(inside, simd.maximum(here, high.get()), high.get()))
    return simd.extreme(low.get(), simd.minimum), simd.extreme(high.get(), simd.maximum)


@simd.function(simd.types.UniTuple(simd.types.float32, 3))
def local_maxima(arena, start, pitch, height, width, low, threshold, top, near, variant):
    """Sum above `low` and count of the interior local maxima at or over a threshold, and count
    of those at the top.

    Neighbours closer than `near` (0 with `all_peaks`) share a count.
    """
    zero = arena[start].splat() * 0.0
    zero = zero - zero
    total, count, at_top = simd.Carry(zero), simd.Carry(zero), simd.Carry(zero)

    def count_in(which, here, share):
        total.set(total.get() + simd.select(which, (here - low) * share, 0.0))
        count.set(count.get() + simd.select(which, share, 0.0))
        at_top.set(at_top.get() + simd.select(which & (here >= top), share, 0.0))

    for y in simd.span(1, height - 1, 1):
        row = arena.at(start + y * pitch)
        for x in simd.span(0, width - 1, LANES):
            here = row.load(x)
            at = simd.ramp(x)
            row_pair = row.load(x - 1), row.load(x + 1)
            column_pair = row.load(x - pitch), row.load(x + pitch)
            highest = simd.maximum(simd.maximum(*row_pair), simd.maximum(*column_pair))
            peak = (here >= threshold) & (at > 0) & (at < width - 1)
            peak = peak & (here + near >= highest)
            count_in(peak, here, zero + 1.0)
            if variant.all_peaks:
                continue
            tied = peak & (highest >= here - near)
            with simd.where_any(tied):  # seldom: take back what is shared
                share = zero + 1.0
                for pair in (row_pair, column_pair):
                    sharing = zero + 1.0
                    for neighbour in pair:
                        sharing = simd.select(neighbour >= here - near, sharing + 1.0, sharing)
                    share = share / sharing
                count_in(tied, here, share - 1.0)
    return (
        simd.total(total.get()),
        simd.total(count.get()),
        simd.total(at_top.get()),
    )


@inner
def maxnorm_factor(buffers, start, lowest, highest, low, high, top, variant):
    """(M - mean local maximum)^2; without the global maximum, or with it (iNVT).

    `low` and `high` are the range that becomes [0, top], `lowest` and `highest` the map's own:
    M is its own maximum, which differs from `top` in the lesser half of a split map.
    """
    arena, levels, _, places, _ = buffers
    height, width = levels[MAP_LEVEL, HEIGHT], levels[MAP_LEVEL, WIDTH]
    pitch = places[MAP_PITCH]
    near = np.float32(0)
    if constant(variant, "all_peaks") == 0:
        near = np.float32(PLATEAU) * (highest - lowest)
    threshold = np.float32(low + (high - low) * np.float32(0.1))
    total, count, at_top = local_maxima(
        arena, start, pitch, height, width, low, threshold, highest - near, near, variant
    )
    scale = top / (high - low)
    own = (highest - low) * scale
    if constant(variant, "all_peaks") != 0:
        if count == 0:
            return 1.0
        if count == 1:
            return own * own
    else:
        share = min(at_top, np.float32(1))
        total -= (highest - low) * share
        count -= share
    mean = 0.0
    if count > HALF_A_PEAK:
        mean = min(max(total * scale / count, 0.0), own)
    return (own - mean) ** 2


@inner
def normalise(buffers, start, halves, signal, top, rescale, stats, variant, iterations, scratch):
    """N of one map, or of both halves of a split one, which share a range.

    `signal` is the size of what could be there, for the flat test. Leaves scale and offset of
    each half at `stats`. `iterations` is None unless the operator is `iterative`; then `rescale`
    says whether to bring the range to [0, top] first.
    """
    arena, levels, _, places, settings = buffers
    height, width = levels[MAP_LEVEL, HEIGHT], levels[MAP_LEVEL, WIDTH]
    pitch, stride = places[MAP_PITCH], places[MAP_STRIDE]
    operator = settings[OPERATOR]
    low, high = extremes(arena, start, pitch, height, width)
    if halves == 2:
        low2, high2 = extremes(arena, start + stride, pitch, height, width)
        low, high = min(low, low2), max(high, high2)
    flat = high - low <= np.float32(FLAT * max(signal, DARK))
    for half in range(halves):
        scale, offset = 0.0, 0.0
        if operator == ITERATIVE and not rescale:
            scale = 1.0
        elif not flat:
            scale = (1.0 if operator == NONE else top) / (high - low)
            if operator == MAXNORM:
                at = start + half * stride
                lowest, highest = low, high
                if halves == 2:
                    lowest, highest = extremes(arena, at, pitch, height, width)
                scale *= maxnorm_factor(buffers, at, lowest, highest, low, high, top, variant)
            offset = -low * scale
        if iterations is not None:
            at = start + half * stride
            iterate(arena, at, pitch, height, width, scale, offset, iterations, scratch)
            scale, offset = 1.0, 0.0
        arena[stats + 2 * half] = scale
        arena[stats + 2 * half + 1] = offset


@inner
def gaussian(kernel, amplitude, sigma, height, width):
    """Half of a 1-D Gaussian, from its centre out, cut at 1 %; its number of taps."""
    half = int(sigma * np.sqrt(-2 * np.log(0.01)))
    cap = max(0, min(height, width) // 2 - 1)  # 0 means no cap
    if cap > 0:
        half = min(half, cap)
    for i in range(half + 1):
        kernel[i] = (
            amplitude / (sigma * np.sqrt(2 * np.pi)) * np.exp(-(i * i) / (2 * sigma * sigma))
        )
    return half


@inner
def smooth(arena, source, middle, target, pitch, height, width, kernel, half):
    """Separable filter; cut at the borders and scaled to the kernel's full sum."""
    full = kernel[0]
    for i in range(1, half + 1):
        full += 2 * kernel[i]
    for y in range(height):
        inside = kernel[0]
        for x in range(width):
            arena[middle + y * pitch + x] = kernel[0] * arena[source + y * pitch + x]
        for i in range(1, half + 1):
            for row in (y - i, y + i):
                if 0 <= row < height:
                    inside += kernel[i]
                    for x in range(width):
                        arena[middle + y * pitch + x] += kernel[i] * arena[source + row * pitch + x]
        scale = full / inside
        for x in range(width):
            arena[middle + y * pitch + x] *= scale
    for y in range(height):
        for x in range(width):
            inside = kernel[0]
            value = kernel[0] * arena[middle + y * pitch + x]
            for i in range(1, half + 1):
                if x - i >= 0:
                    inside += kernel[i]
                    value += kernel[i] * arena[middle + y * pitch + x - i]
                if x + i < width:
                    inside += kernel[i]
                    value += kernel[i] * arena[middle + y * pitch + x + i]
            arena[target + y * pitch + x] = value * (full / inside)


@inner
def iterate(arena, start, pitch, height, width, scale, offset, iterations, scratch):
    """X <- max(0, x + excitation - inhibition - 0.02 max x), in place (IK00)."""
    size = height * pitch
    excitation, inhibition, middle = scratch, scratch + size, scratch + 2 * size
    kernels = arena[scratch + 3 * size :]
    wide = kernels[max(height, width) :]
    side = max(height, width)
    for i in range(size):
        arena[start + i] = arena[start + i] * scale + offset
    narrow_half = gaussian(kernels, 0.5, 0.02 * side, height, width)
    wide_half = gaussian(wide, 1.5, 0.25 * side, height, width)
    for _ in range(iterations):
        smooth(arena, start, middle, excitation, pitch, height, width, kernels, narrow_half)
        smooth(arena, start, middle, inhibition, pitch, height, width, wide, wide_half)
        _, high = extremes(arena, start, pitch, height, width)
        for y in range(height):
            for x in range(width):
                i = y * pitch + x
                arena[start + i] = max(
                    np.float32(0.0),
                    arena[start + i]
                    + arena[excitation + i]
                    - arena[inhibition + i]
                    - np.float32(0.02) * high,
                )
