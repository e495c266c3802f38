"""The frame to level 2 of intensity, red-green, blue-yellow and flicker, in one pass.

Pixels are turned into the planes in registers and halved twice on the way, so neither the
planes at full size nor level 1 ever reach memory: only a few rows of it, in cache. Flicker alone
keeps something at full size, the background that it is measured against: one word per pixel, read
from one buffer and written to another, so that it does not matter who makes a row twice.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from ..plan import FLICKER
from . import simd
from .jit import inner
from .layout import (
    HEIGHT,
    LEVELS,
    PAD,
    PITCH,
    PLANE_STRIDE,
    PLANES,
    WIDTH,
)
from .pyramid import arena_rows, clear, halve, state_stride, step, unit
from .simd import F32, I8, I16, I32, LANES, Memory, Value, constant

# --- pixels ------------------------------------------------------------------------------------


def load_pixels(pixels: Memory, at: Value, channels: int) -> list[Value]:
    """LANES interleaved pixels from element `at`, as one float vector per channel."""
    if channels == 1:
        return [unsigned_to_float(pixels.load(at))]
    if pixels.element == I8:
        # Four pixels are 12 bytes: one 16-byte group each, so that a shuffle within groups,
        # cheap on every CPU, both picks a channel and widens it to int32.
        group = simd.concatenate([pixels.load(at + 12 * g, 16) for g in range(LANES // 4)])
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


def load_words(pixels: Memory, at: Value) -> list[Value]:
    """2 LANES interleaved uint8 pixels from element `at`, as one int16 vector per channel."""
    lanes = 2 * LANES
    if LANES == 16 and simd.PERMUTES_BYTES:
        low, high = pixels.load(at, 64), pixels.load(at + 32, 64)
        channels = []
        for c in range(3):
            bytes_ = [3 * lane + c for lane in range(lanes)]
            picked = [b if b < 64 else b + 32 for b in bytes_ for _ in (0, 1)]
            doubled = simd.as_type(simd.shuffle(low, high, picked), I16, lanes)
            channels.append(doubled & doubled._match(0xFF)[1])
        return channels
    # Eight pixels are 24 bytes: two overlapping 16-byte loads, so that shuffles within groups of
    # 16 bytes, cheap on every CPU, both pick a channel and widen it.
    groups = [[pixels.load(at + 24 * g + 8 * k, 16) for g in range(lanes // 8)] for k in (0, 1)]
    low, high = (simd.concatenate(group) for group in groups)
    zero = Value(low.b, ir.Constant(low.v.type, None))
    channels = []
    for c in range(3):
        picks: list[list[int]] = [[], []]
        for lane in range(lanes):
            byte, group = 3 * (lane % 8) + c, lane // 8 * 16
            picks[0] += [group + byte if byte < 16 else low.lanes, low.lanes]
            picks[1] += [group + byte - 8 if byte >= 16 else low.lanes, low.lanes]
        a, b = (simd.shuffle(v, zero, p) for v, p in zip((low, high), picks, strict=True))
        channels.append(simd.as_type(a | b, I16, lanes))
    return channels


def unsigned_to_float(a: Value) -> Value:
    """Pixels as float32, whatever they were."""
    if a.element == F32:
        return a
    return Value(a.b, a.b.zext(a.v, ir.VectorType(I32, a.lanes))).to(F32)


def opponents(r: Value, g: Value, b: Value, variant: str) -> list[Value]:
    """Sum and both opponents before they are divided by brightness; then brightness, if it
    is not the first.

    All but for the factor in `COLOUR_SCALE`, so that integers stay integers. Written with
    differences first, so that grey gives exactly 0.
    """
    total = (r + g) + b
    if variant == "linear":
        return [total, r - g, (b + b) - (r + g)]
    if variant == "walther":
        return [total, r - g, b - simd.minimum(r, g), simd.maximum(simd.maximum(r, g), b)]
    red_green = simd.excess(r + r, g + b) - simd.excess(g + g, r + b)
    if variant == "invt":
        unlike = simd.maximum(r, g) - simd.minimum(r, g)
        yellow = simd.excess(r + g, (unlike + unlike) + (b + b))
    else:
        yellow = simd.excess(simd.minimum(r, g), b)
    return [total, red_green, simd.excess(b + b, r + g) - (yellow + yellow)]


def divide(rows: list[list[Value]], threshold: Value, variant: str) -> list[list[Value]]:
    """Opponents of two rows over brightness, and 0 where that is not above the threshold."""
    if variant == "linear":
        return rows
    brightness = [row[3] if len(row) > 3 else row[0] for row in rows]
    out = []
    for row, bright, hue in zip(rows, brightness, inverses(*brightness), strict=True):
        hue = simd.select(bright > threshold, hue, 0.0)
        out.append([row[0], row[1] * hue, row[2] * hue])
    return out


def inverses(a: Value, b: Value) -> tuple[Value, Value]:
    """1/a and 1/b with one division, the slowest instruction here; both at least 1e-15."""
    a, b = simd.maximum(a, 1e-15), simd.maximum(b, 1e-15)
    both = 1.0 / (a * b)
    return b * both, a * both


COLOUR_SCALE = {"itti": (1.5, 1.5), "invt": (0.5, 0.5), "walther": (1.0, 1.0), "linear": (3.0, 1.5)}

# A background in words counts in 32nds, of which int16 holds the highest sum of three bytes.
FINENESS = 32
KEPT = 1 << 15  # what it keeps of a difference is a whole number of these


def flicker(total: Value, background: Memory, faded: Memory, at: Value, keep: Value) -> Value:
    """|I - P| of a vector of sums, P the background at `at`; leaves it moved towards I.

    In words what is left of a difference is rounded towards 0, so that a still picture comes to
    rest at exactly 0.
    """
    if total.element != I16:
        difference = total - background.load(at)
        faded.store(at, total - difference * keep)
        return simd.absolute(difference)
    now, before = total * FINENESS, background.load(at, total.lanes)
    difference = now - before
    size = simd.maximum(difference, before - now)
    kept = (keep * KEPT + 0.5).to(I32).to(I16).splat(size.lanes)
    left = simd.high_product(size + size, kept)
    faded.store(at, simd.select(now > before, now - left, now + left))
    return size


@simd.function()
def halve_pixels(pixels, even, odd, past, keep, threshold, arena, step, variant):
    """A pair of rows of pixels, through opponency, one step down; whole weights not undone.

    `past` is flicker's background, where it goes, and where both rows lie in either.
    """
    channels, background = variant.channels, variant.background
    words = channels == 3 and pixels.element == I8

    def planes_of(rows):
        """Both rows' planes before the division: integers as long as they are."""
        if variant.order == "bgr":
            rows = [row[::-1] for row in rows]
        if not variant.colour:
            return [[sum(row[1:], row[0])] for row in rows]
        return [opponents(*row, variant.opponency) for row in rows]

    def flickers_of(rows, x):
        """Both rows' flicker, if there is any."""
        if not background:
            return []
        before, after, *at = past
        return [
            flicker(row[0], before, after, start + x, keep)
            for row, start in zip(rows, at, strict=True)
        ]

    def finish(rows, flickers):
        rows = (
            divide(rows, threshold, variant.opponency)
            if variant.colour
            else [row[:1] for row in rows]
        )
        return [*zip(*rows, strict=True), *([flickers] if flickers else [])]

    def source(x):
        if words:
            rows = planes_of([load_words(pixels, row + x * 3) for row in (even, odd)])
            flickers = [simd.even_odd_words(value) for value in flickers_of(rows, x)]
            halves = [[simd.even_odd_words(value) for value in row] for row in rows]
            for half in (0, 1):
                yield finish(
                    [[value[half] for value in row] for row in halves],
                    [value[half] for value in flickers],
                )
        else:
            for column in (x, x + LANES):
                at = column * channels
                rows = planes_of([load_pixels(pixels, row + at, channels) for row in (even, odd)])
                yield finish(rows, flickers_of(rows, column))

    halve(source, arena, step, variant.weights, [1.0] * variant.planes, split=words)


@simd.function()
def halve_level_1(arena, even, odd, plane_stride, step, grey_scale, variant):
    """A pair of rows of level 1 one step down, into the units of the model."""
    undo = unit(variant.weights) ** 2
    fineness = FINENESS if variant.background == "words" else 1
    scales = {0: grey_scale * undo, FLICKER: grey_scale * (undo / fineness)}
    for number, factor in enumerate(COLOUR_SCALE[variant.opponency], 1):
        if variant.opponency == "linear":  # not divided by brightness
            scales[number] = grey_scale * (factor * undo)
        else:
            scales[number] = simd.constants(arena, [factor * undo] * LANES)
    source = arena_rows(arena, even, odd, plane_stride, tuple(range(variant.planes)))
    halve(
        source,
        arena,
        step,
        variant.weights,
        [scales[number].splat() for number in variant.numbers],
        numbers=variant.numbers,
    )


@inner
def pixel_rows(pixels, even, odd, past, keep, threshold, arena, where, variant):
    """`halve_pixels`, compiled once for its two uses: rows in the frame, and rows copied."""
    halve_pixels(pixels, even, odd, past, keep, threshold, arena, where, variant)


@inner
def opponency_rows(
    frame,
    spare,
    memory,
    keep,
    threshold,
    grey_scale,
    buffers,
    kind,
    plane,
    first,
    last,
    scratch,
    variant,
):
    """Rows `first` to `last` of level 2 of the variant's planes, from number `plane` on.

    `spare` holds a pair of rows copied from the frame's end, where whole vectors would read past
    it. The first two of `memory` are flicker's background, as it was and as it becomes.
    """
    arena, levels, halvings, _, _ = buffers
    reach, channels = constant(variant, "reach"), constant(variant, "channels")
    planes = constant(variant, "planes")
    height, width = levels[0, HEIGHT], levels[0, WIDTH]
    row_size, spare_size = width * channels, spare.size // 2
    table0, table1 = kind * LEVELS, kind * LEVELS + 1
    pairs0, pairs1 = (width + 1) // 2, (levels[1, WIDTH] + 1) // 2
    # Reads go in blocks of 2 PAD pixels, and a little over.
    background_pitch = state_stride(pairs0)  # as `layout.background_pitch`
    reads = background_pitch * channels + 16

    state0 = scratch
    state1 = state0 + planes * 2 * reach * state_stride(pairs0)
    row1 = state_stride(pairs1) + 2 * PAD
    level1 = state1 + planes * 2 * reach * state_stride(pairs1) + PAD  # two rows of each plane
    dummy = level1 + planes * 2 * row1 + PAD
    clear(arena, scratch, dummy - scratch)

    first_row = max(2 * (first - reach), 0)
    last_row = min(2 * (last - 1 + reach) + 1, levels[1, HEIGHT] - 1)
    pair1 = first_row // 2
    for pair in range(max(first_row - reach, 0), last_row + reach + 1):
        row = pair - reach  # of level 1, complete after this pair
        even = min(2 * pair, height - 1) * row_size
        odd = min(2 * pair + 1, height - 1) * row_size
        output = level1 + (row & 1) * row1
        where = step(halvings, table0, pair, reach, state0, pairs0, output, 2 * row1)
        past = (
            memory[0],
            memory[1],
            min(2 * pair, height - 1) * background_pitch,
            min(2 * pair + 1, height - 1) * background_pitch,
        )
        if odd + reads <= frame.size:
            pixel_rows(frame, even, odd, past, keep, threshold, arena, where, variant)
        else:
            for i in range(row_size):
                spare[i] = frame[even + i]
                spare[spare_size + i] = frame[odd + i]
            pixel_rows(spare, np.int64(0), spare_size, past, keep, threshold, arena, where, variant)
        # Once both its rows are there, or the last is, a pair of level 1.
        while (
            row >= first_row and pair1 < last + reach and (row >= 2 * pair1 + 1 or row == last_row)
        ):
            done = pair1 - reach
            output, output_stride = dummy, np.int64(0)
            if done >= first:
                output_stride = levels[2, PLANE_STRIDE]
                output = levels[2, PLANES] + plane * output_stride + done * levels[2, PITCH]
            where = step(halvings, table1, pair1, reach, state1, pairs1, output, output_stride)
            halve_level_1(arena, level1, level1 + row1, 2 * row1, where, grey_scale, variant)
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
def highest_sum(pixels, start, stop, variant):
    """The highest r + g + b of the pixels from `start` in whole blocks before `stop`."""
    channels = variant.channels
    words = channels == 3 and pixels.element == I8

    def sums(x):
        values = load_words(pixels, x) if words else load_pixels(pixels, x, channels)
        return sum(values[1:], values[0])

    best = simd.Carry(sums(start))
    for x in simd.span(start, stop, LANES * channels * (2 if words else 1)):
        best.set(simd.maximum(best.get(), sums(x)))
    return simd.extreme(best.get(), simd.maximum).to(F32)


BLOCK = 3 * 4096  # bytes: small enough to stay in cache between the two looks at it
OVER = 16  # pixels that a vector may reach past the one it starts at


@inner
def brightest_bytes(frame, start, stop, full, variant):
    """Highest r + g + b (or grey value) between two elements of a uint8 frame.

    A block whose highest byte could not beat the best sum so far is not looked at again, and a
    white pixel ends the search.
    """
    size = constant(variant, "channels")
    best = 0.0
    while start + BLOCK <= stop and best < full:
        if start + BLOCK + OVER > frame.size:
            break
        if highest_byte(frame, start, start + BLOCK) * size > best:
            best = max(best, highest_sum(frame, start, start + BLOCK, variant))
        start += BLOCK
    if best < full:
        best = max(best, brightest(frame, start, stop, variant))
    return best


@inner
def brightest(frame, start, stop, variant):
    """Highest r + g + b (or grey value) between two elements of a frame."""
    size = constant(variant, "channels")
    best = 0.0
    block = 2 * LANES * size
    whole = (min(stop, frame.size - OVER) - start) // block * block
    if whole > 0:
        best = max(best, highest_sum(frame, start, start + whole, variant))
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
