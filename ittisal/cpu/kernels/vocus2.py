"""VOCUS2: the frame to planes at level 1, blurs, contrasts, and their sum: see `cpu.vocus2`."""

from __future__ import annotations

from .. import simd
from .. import vocus2 as v
from ..kernel import Facts
from ..simd import F32, I8, LANES, Carry, Context, Memory, Record, Value
from .opponency import load_fixed_point, load_pixels, unsigned_to_float

BLOCK = v.STRIP // LANES  # vectors at a time


def record_of(task: Value, context: Context, table: int) -> Record:
    """The task's row of one of the program's tables."""
    return Record(context.program[table] + task * (8 * v.RECORD))


def clamped(index: Value, count: Value) -> Value:
    """The nearest of so many."""
    last = count - 1
    return simd.select(index < 0, 0, simd.select(index < last, index, last))


# --- opponency ---------------------------------------------------------------------------------


def opponency(task, worker, context, facts):
    """Rows of level 1: means of 2 by 2 pixels of intensity, red-green and blue-yellow.

    Differences from the frame's first pixel, which no contrast sees, so that a flat frame is
    exactly 0. The outermost samples are the border's pixels.
    """
    record, arena = record_of(task, context, v.PIXELS), context.arena
    pixels, channels = simd.memory_at(context.frame, facts.dtype), facts.channels
    height, width = record[v.HEIGHT], record[v.WIDTH]
    first = [unsigned_to_float(pixels[c]) * 4.0 for c in range(channels)]
    whole = width // (2 * LANES) * (2 * LANES)
    end = (width + 1) // 2 + 2
    for y in simd.span(record[v.FIRST], record[v.LAST], 1):
        rows = [clamped(y * 2 + k, height) * context.row_size for k in (-2, -1)]
        target = record[v.TARGET] + y * record[v.PITCH]

        def store(x: Value, sums: list[Value], target: Value = target) -> None:
            for k, plane in enumerate(opponents(sums, first, context, facts)):
                arena.store(target + record[v.STRIDE] * k + x, plane)

        def single(x: Value, rows: list[Value] = rows) -> None:
            columns = [clamped(x * 2 + k, width) * channels for k in (-2, -1)]
            sums = []
            for c in range(channels):
                each = [[unsigned_to_float(pixels[r + a + c]) for a in columns] for r in rows]
                sums.append((each[0][0] + each[1][0]) + (each[0][1] + each[1][1]))
            store(x, sums)

        for x in simd.span(0, whole, 2 * LANES):
            store(x // 2 + 1, quads(pixels, [row + x * channels for row in rows], channels))
        single(simd.number(arena, 0))
        for x in simd.span(whole // 2 + 1, end, 1):
            single(x)


def quads(pixels: Memory, rows: list[Value], channels: int) -> list[Value]:
    """Sums of 2 by 2 pixels, of LANES pairs of columns, per channel."""
    if channels == 3 and pixels.element == I8:
        upper, lower = (load_fixed_point(pixels, row) for row in rows)
        pairs = (simd.even_odd_int16(a + b) for a, b in zip(upper, lower, strict=True))
        return [even + odd for even, odd in pairs]
    halves = []
    for start in (0, LANES * channels):
        upper, lower = (load_pixels(pixels, row + start, channels) for row in rows)
        halves.append([a + b for a, b in zip(upper, lower, strict=True)])
    pairs = (simd.even_odd(a, b) for a, b in zip(*halves, strict=True))
    return [even + odd for even, odd in pairs]


def opponents(sums: list[Value], first: list[Value], context: Context, facts: Facts) -> list[Value]:
    """The planes of sums of four pixels."""
    away = [(a - b) / context.full.to(F32) for a, b in zip(sums, first, strict=True)]
    if facts.channels == 1:
        return [away[0] * 0.25]
    r, g, b = away[::-1] if facts.order == "bgr" else away
    planes = {
        "intensity": ((r + b) + g) * (1 / 12),
        "red_green": (r - g) * 0.25,
        "blue_yellow": ((b - r) + (b - g)) * 0.125,
    }
    return [planes[name] for name in facts.planes]


# --- pyramids ----------------------------------------------------------------------------------


def blur(task, worker, context, facts):
    """Rows of a separable blur of a plane, all samples or every second; borders are repeated."""
    record, arena = record_of(task, context, v.BLURS), context.arena
    scratch = context.scratch + worker * context.scratch_size + v.MARGIN
    for step in (1, 2):
        with simd.when(simd.equal(record[v.STEP], step)):
            blur_rows(record, arena, scratch, step)


def blur_rows(record: Record, arena: Memory, scratch: Value, step: int) -> None:
    """Write the code for `step` samples per sample: some rows down, then each across.

    What was summed down is stored by columns' remainders of the step, each with its own margins.
    """
    width, last = record[v.SOURCE_WIDTH], record[v.LAST]
    apart = (width // (step * v.STRIP) + 1) * v.STRIP + 2 * v.MARGIN
    for y in simd.span(record[v.FIRST], last, v.ROWS):
        sum_down(record, arena, scratch, apart, y, step)
        for row in range(v.ROWS):
            with simd.when(y + row < last):
                line = scratch + apart * (step * row)
                repeat_borders(arena, line, apart, width, step)
                sum_across(record, arena, line, apart, y + row, step)


def sum_down(
    record: Record, arena: Memory, scratch: Value, apart: Value, y: Value, step: int
) -> None:
    """Write the code for a few rows at once, so that each source row is loaded once for all."""
    source, pitch, height = record[v.SOURCE], record[v.SOURCE_PITCH], record[v.SOURCE_HEIGHT]
    taps, count = record[v.TAPS], record[v.COUNT] + step * (v.ROWS - 1)
    top, zero = y * step - record[v.LEAD], simd.zeros(arena)
    totals = [[Carry(zero) for _ in range(2)] for _ in range(v.ROWS)]
    for x in simd.span(0, record[v.SOURCE_WIDTH], 2 * LANES):
        for total in (each for pair in totals for each in pair):
            total.set(zero)
        for k in simd.span(0, count, 1):
            at = source + clamped(top + k, height) * pitch + x
            samples = [arena.load(at), arena.load(at + LANES)]
            for row, pair in enumerate(totals):
                tap = arena[taps + k - step * row].splat()  # 0 outside the kernel
                for total, sample in zip(pair, samples, strict=True):
                    total.set(total.get() + sample * tap)
        for row, pair in enumerate(totals):
            line, sums = scratch + apart * (step * row) + x // step, [each.get() for each in pair]
            parts = simd.even_odd(*sums) if step == 2 else sums
            for part, at in zip(parts, (line, line + (apart if step == 2 else LANES)), strict=True):
                arena.store(at, part)


def repeat_borders(arena: Memory, line: Value, apart: Value, width: Value, step: int) -> None:
    """Write the code that continues a row by its first and last samples."""
    last = width - 1
    left = arena[line].splat()
    right = arena[line + apart * (last - last // step * step) + last // step].splat()
    for part in range(step):
        start = line + apart * part
        stop = start + (last + (step - part)) // step
        for x in range(0, v.MARGIN, LANES):
            arena.store(start - v.MARGIN + x, left)
            arena.store(stop + x, right)


def sum_across(
    record: Record, arena: Memory, line: Value, apart: Value, y: Value, step: int
) -> None:
    """Write the code for one row of the result, a strip at a time."""
    taps, target = record[v.TAPS], record[v.TARGET] + y * record[v.PITCH]
    zero, start = simd.zeros(arena), line - record[v.LEAD] // step
    totals = [Carry(zero) for _ in range(BLOCK)]
    for x in simd.span(0, record[v.WIDTH], v.STRIP):
        for total in totals:
            total.set(zero)
        for k in simd.span(0, record[v.COUNT], 1):
            place = start + x + k // step
            at = place + (k - k // step * step) * apart
            tap = arena[taps + k].splat()
            for j, total in enumerate(totals):
                total.set(total.get() + arena.load(at + j * LANES) * tap)
        for j, total in enumerate(totals):
            arena.store(target + x + j * LANES, total.get())


# --- contrasts ---------------------------------------------------------------------------------


def interleaved(a: Value, b: Value) -> list[Value]:
    """(a0, b0, a1, b1, ...) as two vectors."""
    order = [lane + part * LANES for lane in range(LANES) for part in (0, 1)]
    return [simd.shuffle(a, b, half) for half in (order[:LANES], order[LANES:])]


def between(samples: list[Value], spacing: int) -> list[Value]:
    """Vectors of the samples between, linear; `samples` are three neighbours."""
    phases = []
    for k in range(spacing):
        place = (k - (spacing - 1) / 2) / spacing
        low = int(place >= 0)
        a, b = samples[low : low + 2]
        phases.append(a + (b - a) * (place % 1))
    if spacing == 2:
        return interleaved(*phases)
    even, odd = (interleaved(phases[k], phases[k + 2]) for k in (0, 1))
    return [each for a, b in zip(even, odd, strict=True) for each in interleaved(a, b)]


def contrast(task, worker, context, facts):
    """Rows of the sizes of a plane's centre minus surround, summed over both scales."""
    record, arena = record_of(task, context, v.CONTRASTS), context.arena
    spacing, pitch = facts.spacing, record[v.SURROUND_PITCH]
    for y in simd.span(record[v.FIRST], record[v.LAST], 1):
        block = y // spacing
        place = ((y - block * spacing).to(F32) - (spacing - 1) / 2) / spacing
        after = simd.select(place < 0.0, simd.number(arena, 1), 2)
        t = simd.select(place < 0.0, place + 1.0, place).splat()
        target = record[v.TARGET] + y * record[v.PITCH]
        for x in simd.span(0, record[v.WIDTH], spacing * LANES):
            before = [arena.load(target + x + j * LANES) for j in range(spacing)]
            totals = [simd.select(record[v.ADDED] > 0, total, 0.0) for total in before]
            for scale in (0, 1):
                centre = record[v.CENTRES + scale] + y * record[v.CENTRE_PITCH] + x
                start = record[v.SURROUNDS + scale] + (block + after) * pitch + x // spacing
                samples = []
                for k in (1, 2, 3):
                    a, b = arena.load(start + k), arena.load(start + pitch + k)
                    samples.append(a + (b - a) * t)
                for j, surround in enumerate(between(samples, spacing)):
                    difference = arena.load(centre + j * LANES) - surround
                    totals[j] = totals[j] + simd.absolute(difference)
            for j, total in enumerate(totals):
                arena.store(target + x + j * LANES, total)


# --- the saliency map --------------------------------------------------------------------------


def combine(task, worker, context, facts):
    """Rows of each channel's conspicuity, the mean of all its contrasts, and of the mean of the
    channels; and the extremes of the latter.
    """
    record, arena = record_of(task, context, v.MAPS), context.arena
    scratch = context.scratch + worker * context.scratch_size + v.MARGIN
    width, pitch, factors = record[v.WIDTH], record[v.PITCH], record[v.WEIGHTS]
    first, last = record[v.FIRST], record[v.LAST]
    for channel in range(facts.channels):
        target = record[v.TARGET] + record[v.STRIDE] * channel
        factor = arena[factors + channel].splat()
        finest = record[v.CONTRAST] + record[v.CONTRAST_STRIDE] * channel
        for y in simd.span(first, last, 1):
            for x in simd.span(0, width, LANES):
                value = arena.load(finest + y * record[v.CONTRAST_PITCH] + x)
                arena.store(target + y * pitch + x, value * factor)
        stop = record[v.COARSER] + record[v.COARSER_COUNT] * (8 * v.RECORD)
        for address in simd.span(record[v.COARSER], stop, 8 * v.RECORD):
            add_enlarged(record, Record(address), arena, scratch, target, channel, factor)
    lowest = Carry(simd.zeros(arena) + 3e38)
    highest = Carry(simd.zeros(arena) - 3e38)
    for y in simd.span(first, last, 1):
        for x in simd.span(0, width, LANES):
            at = y * pitch + x
            total = simd.zeros(arena)
            for channel in range(facts.channels):
                value = arena.load(record[v.TARGET] + record[v.STRIDE] * channel + at)
                total = total + value * arena[factors + facts.channels + channel].splat()
            arena.store(record[v.SUM] + at, total)
            inside = simd.ramp(x) < width
            lowest.set(simd.minimum(simd.select(inside, total, 3e38), lowest.get()))
            highest.set(simd.maximum(simd.select(inside, total, -3e38), highest.get()))
    extremes = record[v.EXTREMES] + task * 2
    arena.store(extremes, simd.extreme(lowest.get(), simd.minimum))
    arena.store(extremes + 1, simd.extreme(highest.get(), simd.maximum))


def add_enlarged(
    record: Record,
    coarse: Record,
    arena: Memory,
    scratch: Value,
    target: Value,
    channel: int,
    factor: Value,
) -> None:
    """Write the code that adds a coarser octave's contrasts: its rows to the map's width, then
    their sums down.
    """
    first, last, width, pitch = (record[k] for k in (v.FIRST, v.LAST, v.WIDTH, v.PITCH))
    row_starts = simd.memory_at(coarse[v.ROW_STARTS], "i8")
    starts = simd.memory_at(coarse[v.COLUMN_STARTS], "i8")
    weights, size = arena.at(coarse[v.COLUMN_WEIGHTS]), coarse[v.COARSE_WIDTH]
    wide = arena.at(scratch + (size + 2 * v.MARGIN))
    top, bottom = row_starts[first], row_starts[last - 1] + 4
    plane = coarse[v.COARSE] + coarse[v.COARSE_STRIDE] * channel
    for row in simd.span(top, bottom, 1):
        source = plane + clamped(row - 2, coarse[v.COARSE_HEIGHT]) * coarse[v.COARSE_PITCH]
        for x in simd.span(0, size, LANES):
            arena.store(scratch + 2 + x, arena.load(source + x))
        for k in (0, 1):
            arena.store(scratch + k, arena[source])
            arena.store(scratch + 2 + size + k, arena[source + size - 1])
        output = (row - top) * pitch
        for x in simd.span(0, width, 1):
            samples = arena.load(scratch + starts[x], 4) * weights.load(x * 4, 4)
            wide.store(output + x, simd.total(samples))
    for y in simd.span(first, last, 1):
        at = (row_starts[y] - top) * pitch
        four = [arena[coarse[v.ROW_WEIGHTS] + y * 4 + k].splat() * factor for k in range(4)]
        output = target + y * pitch
        for x in simd.span(0, width, LANES):
            total = arena.load(output + x)
            for k, weight in enumerate(four):
                total = total + wide.load(at + pitch * k + x) * weight
            arena.store(output + x, total)


def write_map(task, worker, context, facts):
    """Rows of the map from 0 to 1, into the caller's array; 0 where nothing differs."""
    record, arena, out = record_of(task, context, v.MAPS), context.arena, context.out
    extremes = record[v.EXTREMES]
    lowest, highest = Carry(arena[extremes]), Carry(arena[extremes + 1])
    for k in simd.span(1, record[v.TASKS], 1):
        lowest.set(simd.minimum(arena[extremes + k * 2], lowest.get()))
        highest.set(simd.maximum(arena[extremes + k * 2 + 1], highest.get()))
    low, extent = lowest.get(), highest.get() - lowest.get()
    scale = simd.select(extent > 0.0, 1.0 / simd.maximum(extent, 1e-30), 0.0)
    width = record[v.WIDTH]
    for y in simd.span(record[v.FIRST], record[v.LAST], 1):
        total = arena.at(record[v.SUM] + y * record[v.PITCH])
        row = out.at(y * width)
        whole = width // LANES * LANES
        for x in simd.span(0, whole, LANES):
            value = (total.load(x) - low) * scale
            total.store(x, value)
            row.store(x, value)
        for x in simd.span(whole, width, 1):
            value = (total[x] - low) * scale
            total.store(x, value)
            row.store(x, value)
