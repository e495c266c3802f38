"""The operator N on maps at their level: one scale and one offset per map, or a new map.

`maxnorm` and `none` are affine, N(x) = scale x + offset, so only the two numbers are stored and
the weighted sums apply them. `iterative` rewrites the map.
"""

from __future__ import annotations

from ...plan import DARK, FLAT, HALF_A_PEAK, INHIBITION, PLATEAU, THRESHOLD
from .. import rows as r
from .. import simd
from ..kernel import Facts
from ..simd import F32, F64, LANES, Context, Record, Value
from .task import Task, blocks, stream


def extremes(context: Context, start: Value) -> tuple[Value, Value]:
    """Write the code for the lowest and highest value of a map."""
    arena, pitch = context.arena, context.map_pitch
    height, width = context.map_height, context.map_width
    low, high = simd.Carry(arena[start].splat()), simd.Carry(arena[start].splat())
    for y in simd.span(0, height, 1):
        row = arena.at(start + y * pitch)
        for x in simd.span(0, width, LANES):
            here = row.load(x)
            inside = simd.ramp(x) < width
            low.set(simd.select(inside, simd.minimum(here, low.get()), low.get()))
            high.set(simd.select(inside, simd.maximum(here, high.get()), high.get()))
    return simd.extreme(low.get(), simd.minimum), simd.extreme(high.get(), simd.maximum)


def local_maxima(
    context: Context,
    start: Value,
    low: Value,
    threshold: Value,
    top: Value,
    near: Value,
    all_peaks: bool,
) -> tuple[Value, Value, Value]:
    """Write the code for the sum above `low` and the count of the interior local maxima at or
    over a threshold, and the count of those at the top.

    Neighbours closer than `near` share a count, unless all samples count (`all_peaks`).
    """
    arena, pitch = context.arena, context.map_pitch
    height, width = context.map_height, context.map_width
    zero = simd.zeros(arena)
    total, count, at_top = simd.Carry(zero), simd.Carry(zero), simd.Carry(zero)

    def add(which, here, fraction):
        total.set(total.get() + simd.select(which, (here - low) * fraction, 0.0))
        count.set(count.get() + simd.select(which, fraction, 0.0))
        at_top.set(at_top.get() + simd.select(which & (here >= top), fraction, 0.0))

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
            add(peak, here, zero + 1.0)
            if all_peaks:
                continue
            tied = peak & (highest >= here - near)
            with simd.where_any(tied):  # rare: correct the counts that are shared
                fraction = zero + 1.0
                for pair in (row_pair, column_pair):
                    sharing = zero + 1.0
                    for neighbour in pair:
                        sharing = simd.select(neighbour >= here - near, sharing + 1.0, sharing)
                    fraction = fraction / sharing
                add(tied, here, fraction - 1.0)
    return (
        simd.total(total.get()),
        simd.total(count.get()),
        simd.total(at_top.get()),
    )


# --- iterated difference of Gaussians (IK00) ---------------------------------------------------


def copy_map(context: Context, source: Value, target: Value) -> None:
    """Write the code that copies a map with its padding."""
    arena = context.arena
    for x in simd.span(0, context.map_height * context.map_pitch, LANES):
        arena.store(target + x, arena.load(source + x))


def rescale(context: Context, start: Value, scale: Value, offset: Value) -> None:
    """Write the code that applies a scale and an offset to a map in place."""
    arena = context.arena
    for x in simd.span(start, start + context.map_height * context.map_pitch, LANES):
        arena.store(x, arena.load(x) * scale + offset)


def smooth(
    context: Context, source: Value, target: Value, row: Value, kernel: Value, half: Value
) -> None:
    """Write the code of a separable filter, cut at the borders and scaled to the kernel's full sum.

    `kernel` holds half the taps, from the centre out, then the factor of each row, then of each
    column. `row` is scratch for a row with `half` zeros on either side.
    """
    arena, pitch = context.arena, context.map_pitch
    height, width = context.map_height, context.map_width
    taps, rows = arena.at(kernel), arena.at(kernel + half + 1)
    columns = rows.at(height)
    for x in simd.span(0, width + half * 2, LANES):
        arena.store(row + x, simd.zeros(arena))
    middle = arena.at(row + half)
    for y in simd.span(0, height, 1):
        up = simd.select(y < half, y, half)
        down = simd.select(height - y - 1 < half, height - y - 1, half)
        for x, vectors in blocks(width):
            here = arena.at(source + y * pitch + x)
            totals = [simd.Carry(here.load(k) * taps[0]) for k in vectors]
            for stop, step in ((up, 0 - pitch), (down, pitch)):
                for i in simd.span(1, stop + 1, 1):
                    row_at, tap = here.at(step * i), taps[i]
                    for k, total in zip(vectors, totals, strict=True):
                        total.set(total.get() + row_at.load(k) * tap)
            for k, total in zip(vectors, totals, strict=True):
                inside = simd.ramp(x + k) < width
                middle.store(x + k, simd.select(inside, total.get() * rows[y], 0.0))
        for x, vectors in blocks(width):
            totals = [simd.Carry(middle.load(x + k) * taps[0]) for k in vectors]
            for i in simd.span(1, half + 1, 1):
                left, right, tap = middle.at(x - i), middle.at(x + i), taps[i]
                for k, total in zip(vectors, totals, strict=True):
                    total.set(total.get() + (left.load(k) + right.load(k)) * tap)
            for k, total in zip(vectors, totals, strict=True):
                value = total.get() * columns.load(x + k)
                inside = simd.ramp(x + k) < width
                arena.store(target + y * pitch + x + k, simd.select(inside, value, 0.0))


def difference_of_gaussians(
    context: Context, start: Value, excitation: Value, inhibition: Value, highest: Value
) -> None:
    """Write the code for X <- max(0, x + excitation - inhibition - 0.02 max x), in place."""
    arena = context.arena
    constant = highest * INHIBITION
    for x in simd.span(0, context.map_height * context.map_pitch, LANES):
        here = arena.load(start + x) + arena.load(excitation + x) - arena.load(inhibition + x)
        arena.store(start + x, simd.maximum(here - constant, 0.0))


# --- N -----------------------------------------------------------------------------------------


def iterate(context: Context, scratch: Value, start: Value, iterations: int) -> None:
    """Write the code of all iterations on a map in place."""
    excitation, inhibition = scratch, scratch + context.map_stride
    row = inhibition + context.map_stride
    for _ in simd.span(0, simd.number(start, iterations), 1):
        smooth(context, start, excitation, row, context.excitation, context.excitation_reach)
        smooth(context, start, inhibition, row, context.inhibition, context.inhibition_reach)
        _, highest = extremes(context, start)
        difference_of_gaussians(context, start, excitation, inhibition, highest)


def promotion(
    context: Context, start: Value, low: Value, high: Value, scale: Value, facts: Facts
) -> Value:
    """Write the code for (M - mean local maximum)^2; without the global maximum, or with it (iNVT).

    `low` and `high` are the range that is scaled. M is the map's own maximum: it differs from the
    range's in the lesser half of a split map.
    """
    lowest, highest = (low, high) if facts.halves == 1 else extremes(context, start)
    near = low - low if facts.all_peaks else (highest - lowest) * PLATEAU
    threshold = low + (high - low) * THRESHOLD
    total, count, at_top = local_maxima(
        context, start, low, threshold, highest - near, near, facts.all_peaks
    )
    peak = (highest - low).to(F64) * scale
    if not facts.all_peaks:
        fraction = simd.minimum(at_top, 1.0)
        total -= (highest - low) * fraction
        count -= fraction
    mean = simd.maximum(simd.minimum(total.to(F64) * scale / count.to(F64), peak), 0.0)
    mean = simd.select(count > HALF_A_PEAK, mean, 0.0)
    factor = (peak - mean) * (peak - mean)
    if facts.all_peaks:  # none leaves the map as it is, one promotes it fully
        factor = simd.select(count < 1.5, peak * peak, factor)
        factor = simd.select(count < 0.5, 1.0, factor)
    return factor


def normalise_map(task: Task, row: Record) -> None:
    """N of one map, or of both halves of a split one, which share a range."""
    context, facts = task.context, task.facts
    start, normalised = row[r.MAP], row[r.NORMALISED] > 0
    with simd.when(row[r.COPIED] >= 0):
        copy_map(context, row[r.COPIED], start)
    starts = [start + context.map_stride * half for half in range(facts.halves)]
    ranges = [extremes(context, at) for at in starts]
    low, high = ranges[0]
    for other_low, other_high in ranges[1:]:
        low, high = simd.minimum(other_low, low), simd.maximum(other_high, high)
    signal = simd.maximum(context.signals[row[r.SIGNAL]], DARK)
    varies = normalised & (high - low > (signal * FLAT).to(F32))
    for half, at in enumerate(starts):
        zero, one = simd.number(low, 0.0, F64), simd.number(low, 1.0, F64)
        scale, offset = simd.Carry(simd.select(normalised, zero, 1.0)), simd.Carry(zero)
        with simd.when(varies):
            top = row.double(r.TOP) if facts.maxnorm or facts.iterations else one
            factor = top / (high - low).to(F64)
            if facts.maxnorm:
                factor = factor * promotion(context, at, low, high, factor, facts)
            scale.set(factor)
            offset.set((zero.to(F32) - low).to(F64) * factor)
        if facts.iterations:
            with simd.when(normalised):
                with simd.when(row[r.RESCALED] < 1):
                    scale.set(one)
                    offset.set(zero)
                rescale(context, at, scale.get().to(F32), offset.get().to(F32))
                iterate(context, task.scratch, at, facts.iterations)
                scale.set(one)
                offset.set(zero)
        affine, weight = context.arena.at(row[r.AFFINE] + 2 * half), row.double(r.WEIGHT)
        for k, value in enumerate((scale.get(), offset.get())):
            affine.store(k, (value.to(F32).to(F64) * weight).to(F32))


normalise = stream(normalise_map)
