"""The frame to level 2 of intensity, red-green and blue-yellow, in one pass.

Pixels are turned into the three planes in registers and halved twice on the way, so neither the
planes at full size nor level 1 ever reach memory: only a few rows of it, in cache.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from . import simd
from .jit import inner
from .layout import (
    COLUMN_STRIDE,
    COLUMN_TABLE,
    HEIGHT,
    LEVELS,
    PAD,
    PITCH,
    PLANE_STRIDE,
    PLANES,
    ROW_TABLE,
    WIDTH,
)
from .pyramid import clear, halve, state_stride
from .simd import F32, I8, I32, LANES, Memory, Value, number

# --- pixels ------------------------------------------------------------------------------------


def load_pixels(pixels: Memory, at: Value, channels: int) -> list[Value]:
    """LANES interleaved pixels from element `at`, as one float vector per channel."""
    if channels == 1:
        return [unsigned_to_float(pixels.load(at))]
    if pixels.element == I8:
        # Four pixels are 12 bytes: one 16-byte group each, so that a shuffle within groups,
        # cheap on every CPU, both picks a channel and widens it to int32.
        groups = [pixels.load(at + 12 * g, 16) for g in range(LANES // 4)]
        while len(groups) > 1:
            both = range(2 * groups[0].lanes)
            groups = [simd.shuffle(a, b, both) for a, b in zip(groups[::2], groups[1::2], strict=True)]
        group = groups[0]
        zero = Value(group.b, ir.Constant(group.v.type, None))
        planes = []
        for c in range(3):
            picked = []
            for lane in range(LANES):
                picked += [lane // 4 * 16 + lane % 4 * 3 + c, *[group.lanes] * 3]
            wide = simd.shuffle(group, zero, picked)
            planes.append(Value(wide.b, wide.b.bitcast(wide.v, ir.VectorType(I32, LANES))).to(F32))
        return planes
    first, second, third = (pixels.load(at + k * LANES) for k in range(3))
    both = simd.shuffle(first, second, range(2 * LANES))
    last = simd.shuffle(third, third, [*range(LANES), *range(LANES)])
    every_third = (simd.shuffle(both, last, range(c, 3 * LANES, 3)) for c in range(3))
    return [unsigned_to_float(channel) for channel in every_third]


def unsigned_to_float(a: Value) -> Value:
    """Pixels as float32, whatever they were."""
    if a.element == F32:
        return a
    return Value(a.b, a.b.zext(a.v, ir.VectorType(I32, a.lanes))).to(F32)


def opponency(r: Value, g: Value, b: Value, threshold: Value, variant: str) -> list[Value]:
    """r + g + b, red-green, blue-yellow, each short of the factor in `scales`.

    Where brightness is not above the threshold there is no hue. Written with differences first,
    so that grey gives exactly 0.
    """
    if variant == "walther":
        brightest = simd.maximum(simd.maximum(r, g), b)
        inverse = simd.select(brightest > threshold, 1.0 / brightest, 0.0)
        return [r + g + b, (r - g) * inverse, (b - simd.minimum(r, g)) * inverse]
    total = (r + g) + b
    inverse = simd.select(total > threshold, 1.0 / total, 0.0)
    red = simd.maximum(2.0 * r - (g + b), 0.0)
    green = simd.maximum(2.0 * g - (r + b), 0.0)
    blue = simd.maximum(2.0 * b - (r + g), 0.0)
    if variant == "invt":
        yellow = simd.maximum((r + g) - 2.0 * simd.absolute(r - g) - 2.0 * b, 0.0)
    else:
        yellow = simd.maximum(simd.minimum(r, g) - b, 0.0)
    return [total, (red - green) * inverse, (blue - 2.0 * yellow) * inverse]


COLOUR_SCALE = {"itti": 1.5, "invt": 0.5, "walther": 1.0}


@simd.function()
def halve_pixels(
    pixels,
    even,
    odd,
    threshold,
    arena,
    rows,
    columns,
    column_stride,
    state,
    state_stride,
    output,
    output_stride,
    pairs,
    kind,
    parts,
):
    """A pair of rows of pixels, through opponency, one step down."""
    order, variant, channels, planes = kind

    def channels_at(row, x):
        values = load_pixels(pixels, row + x * channels, channels)
        if channels == 1:
            return values
        r, g, b = values if order == "rgb" else values[::-1]
        return [r + g + b] if planes == 1 else opponency(r, g, b, threshold, variant)

    def source(x):
        even_low, even_high = channels_at(even, x), channels_at(even, x + LANES)
        odd_low, odd_high = channels_at(odd, x), channels_at(odd, x + LANES)
        return [
            ((even_low[p], even_high[p]), (odd_low[p], odd_high[p])) for p in range(planes)
        ]

    halve(
        source,
        arena.at(rows),
        arena.at(columns),
        column_stride,
        arena.at(state),
        state_stride,
        arena.at(output),
        output_stride,
        pairs,
        planes,
        parts,
    )


@simd.function()
def halve_scaled(
    arena, even, odd, plane_stride, rows, columns, column_stride, state, state_stride, output,
    output_stride, pairs, grey_scale, kind, parts,
):
    """A pair of rows of level 1 one step down, into the units of the model."""
    variant, planes = kind[1], kind[3]

    def source(x):
        def at(row, plane):
            start = row + x + plane_stride * plane
            return arena.load(start), arena.load(start + LANES)

        return [(at(even, plane), at(odd, plane)) for plane in range(planes)]

    colour = simd.constants(arena, [COLOUR_SCALE[variant]] * LANES)
    halve(
        source, arena.at(rows), arena.at(columns), column_stride, arena.at(state), state_stride,
        arena.at(output), output_stride, pairs, planes, parts,
        scales=[grey_scale.splat(), colour, colour][:planes],
    )


@inner
def pixel_rows(
    pixels, even, odd, threshold, arena, rows, columns, column_stride, state, stride, output,
    output_stride, pairs, kind, parts,
):
    """`halve_pixels`, compiled once for its two uses: rows in the frame, and rows copied."""
    halve_pixels(
        pixels, even, odd, threshold, arena, rows, columns, column_stride, state, stride, output,
        output_stride, pairs, kind, parts,
    )


@inner
def opponency_rows(
    frame, spare, threshold, grey_scale, arena, levels, halvings, table_kind, plane, first, last,
    scratch, kind, channels, planes, parts,
):
    """Rows `first` to `last` of level 2 of the planes from `plane` on.

    `spare` holds a pair of rows copied from the frame's end, where whole vectors would read past
    it.
    """
    reach = number(parts) // 2
    channels = number(channels)
    planes = number(planes)
    height, width = levels[0, HEIGHT], levels[0, WIDTH]
    row_size = width * channels
    table0, table1 = table_kind * LEVELS, table_kind * LEVELS + 1
    pairs0, pairs1 = (width + 1) // 2, (levels[1, WIDTH] + 1) // 2
    stride0, stride1 = state_stride(pairs0), state_stride(pairs1)
    spare_size = spare.size // 2
    # Reads go in blocks of 2 PAD pixels, and a little over.
    reads = stride0 * channels + 16

    state0 = scratch
    state1 = state0 + planes * 2 * reach * stride0
    level1 = state1 + planes * 2 * reach * stride1 + PAD  # two rows of each plane
    row1 = stride1 + 2 * PAD
    dummy = level1 + planes * 2 * row1 + PAD
    clear(arena, scratch, dummy - scratch)

    first_row = max(2 * (first - reach), 0)
    last_row = min(2 * (last - 1 + reach) + 1, levels[1, HEIGHT] - 1)
    pair1 = first_row // 2
    for pair in range(max(first_row - reach, 0), last_row + reach + 1):
        row = pair - reach  # of level 1, complete after this pair
        even = min(2 * pair, height - 1) * row_size
        odd = min(2 * pair + 1, height - 1) * row_size
        rows = halvings[table0, ROW_TABLE] + pair * 2 * (2 * reach + 1)
        output = level1 + (row & 1) * row1
        if odd + reads <= frame.size:
            pixel_rows(
                frame, even, odd, threshold, arena, rows, halvings[table0, COLUMN_TABLE],
                halvings[table0, COLUMN_STRIDE], state0, stride0, output, 2 * row1, pairs0,
                kind, parts,
            )
        else:
            for i in range(row_size):
                spare[i] = frame[even + i]
                spare[spare_size + i] = frame[odd + i]
            pixel_rows(
                spare, 0, spare_size, threshold, arena, rows, halvings[table0, COLUMN_TABLE],
                halvings[table0, COLUMN_STRIDE], state0, stride0, output, 2 * row1, pairs0,
                kind, parts,
            )
        while row >= first_row and pair1 < last + reach and (
            row >= 2 * pair1 + 1 or row == last_row
        ):
            done = pair1 - reach
            keep = done >= first
            output = dummy
            if keep:
                output = levels[2, PLANES] + plane * levels[2, PLANE_STRIDE] + done * levels[2, PITCH]
            halve_scaled(
                arena, level1, level1 + row1, 2 * row1,
                halvings[table1, ROW_TABLE] + pair1 * 2 * (2 * reach + 1),
                halvings[table1, COLUMN_TABLE], halvings[table1, COLUMN_STRIDE],
                state1, stride1, output, levels[2, PLANE_STRIDE] if keep else stride1, pairs1,
                grey_scale, kind, parts,
            )
            pair1 += 1


# --- the brightest pixel -----------------------------------------------------------------------


@simd.function(simd.types.int64)
def highest_byte(pixels, start, stop):
    """The highest of the bytes from `start` in whole blocks before `stop` (or 255 bytes past)."""
    width = 4 * LANES
    best = [simd.Carry(pixels.load(start + k * width, width)) for k in range(2)]
    for x in simd.span(start, stop, 2 * width):
        for k in range(2):
            best[k].set(simd.byte_maximum(best[k].get(), pixels.load(x + k * width, width)))
    highest = simd.extreme(simd.byte_maximum(best[0].get(), best[1].get()), simd.byte_maximum)
    return Value(highest.b, highest.b.zext(highest.v, simd.I64))


@simd.function(simd.types.float32)
def highest_sum(pixels, start, stop, channels):
    """The highest r + g + b of the pixels from `start` in whole blocks before `stop`."""

    def sums(x):
        values = load_pixels(pixels, x, channels)
        return values[0] if channels == 1 else values[0] + values[1] + values[2]

    best = simd.Carry(sums(start))
    for x in simd.span(start, stop, LANES * channels):
        best.set(simd.maximum(best.get(), sums(x)))
    return simd.extreme(best.get(), simd.maximum)


BLOCK = 3 * 4096  # bytes: small enough to stay in cache between the two looks at it
OVER = 16  # pixels that a vector may reach past the one it starts at


@inner
def brightest_bytes(frame, start, stop, channels, full):
    """Highest r + g + b (or grey value) between two elements of a uint8 frame.

    A block whose highest byte could not beat the best sum so far is not looked at again, and a
    white pixel ends the search.
    """
    size = number(channels)
    best = 0.0
    while start + BLOCK <= stop and best < full:
        if start + BLOCK + OVER > frame.size:
            break
        if highest_byte(frame, start, start + BLOCK) * size > best:
            best = max(best, highest_sum(frame, start, start + BLOCK, channels))
        start += BLOCK
    if best < full:
        best = max(best, brightest(frame, start, stop, channels))
    return best


@inner
def brightest(frame, start, stop, channels):
    """Highest r + g + b (or grey value) between two elements of a frame."""
    size = number(channels)
    best = 0.0
    whole = (min(stop, frame.size - OVER) - start) // (LANES * size) * (LANES * size)
    if whole > 0:
        best = max(best, highest_sum(frame, start, start + whole, channels))
        start += whole
    while start < stop:
        value = 0.0
        for c in range(size):
            value += frame[start + c]
        best = max(best, value)
        start += size
    return best


@simd.function(simd.types.UniTuple(simd.types.float32, 3))
def extent_of_blocks(pixels, start, stop):
    """Lowest and highest element of whole vectors, and NaN if there is a NaN or an infinity."""
    first = unsigned_to_float(pixels.load(start))
    low, high, poison = simd.Carry(first), simd.Carry(first), simd.Carry(first * 0.0)
    for x in simd.span(start, stop, LANES):
        here = unsigned_to_float(pixels.load(x))
        low.set(simd.minimum(here, low.get()))
        high.set(simd.maximum(here, high.get()))
        poison.set(poison.get() + here * 0.0)
    return (
        simd.extreme(low.get(), simd.minimum),
        simd.extreme(high.get(), simd.maximum),
        simd.total(poison.get()),
    )


@inner
def extent(frame, start, stop):
    """Lowest and highest element between two; NaN, both, if there is one."""
    low, high, poison = np.float32(frame[start]), np.float32(frame[start]), np.float32(0)
    whole = (stop - start) // LANES * LANES
    if whole > 0:
        low, high, poison = extent_of_blocks(frame, start, start + whole)
        start += whole
    while start < stop:
        here = np.float32(frame[start])
        low, high, poison = min(low, here), max(high, here), poison + here * np.float32(0)
        start += 1
    if poison != poison and not np.isinf(low) and not np.isinf(high):
        return poison, poison
    return low, high
