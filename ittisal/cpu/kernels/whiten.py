"""Statistics of a frame's maps, the maps that they decorrelate, and the squared Mahalanobis
distance of their oriented energies.

A group is the maps that are whitened together: the planes, or the energies of one plane and
orientation at several scales. Its statistics are a row per map: the mean, then the covariances.
"""

from __future__ import annotations

import operator
from functools import reduce

from llvmlite import ir

from ...plan import DARK, FLAT, RIDGE, SCALES
from .. import rows as r
from .. import simd
from ..simd import F64, LANES, Context, Memory, Record, Value
from .centre_surround import upsample
from .downsample import clear, downsample_scratch
from .orientation import band_row, energy_row
from .task import Task, stream

COLUMNS = 1 + SCALES  # of a group's statistics; of its whitening matrix, behind which its offset
GROUP = SCALES * COLUMNS  # numbers of a group


# --- statistics --------------------------------------------------------------------------------


def doubles(a: Value) -> list[Value]:
    """The same numbers in float64: both halves of the vector."""
    half = a.lanes // 2
    wide = ir.VectorType(F64, half)
    parts = (simd.shuffle(a, a, range(start, start + half)) for start in (0, half))
    return [Value(a.b, a.b.fpext(part.v, wide)) for part in parts]


def means_of(context: Context, starts: list[Value]) -> list[Value]:
    """Write the code for the means of some maps, in float64."""
    arena, width = context.arena, context.map_width
    zero, means = simd.zeros(arena, LANES // 2, F64), []
    for start in starts:
        total = simd.Carry(simd.zeros(arena, 1, F64))
        for y in simd.span(0, context.map_height, 1):
            row, part = arena.at(start + y * context.map_pitch), simd.Carry(zero)
            part.set(zero)
            for x in simd.span(0, width, LANES):
                low, high = doubles(simd.select(simd.ramp(x) < width, row.load(x), 0.0))
                part.set(part.get() + (low + high))
            total.set(total.get() + simd.total(part.get()))
        means.append(total.get() / (context.map_height * width).to(F64))
    return means


def covariances_of(
    context: Context, starts: list[Value], means: list[Value]
) -> dict[tuple[int, int], Value]:
    """Write the code for the covariances of some maps, by pair (k, j) with j up to k."""
    arena, width, count = context.arena, context.map_width, len(starts)
    pairs = [(k, j) for k in range(count) for j in range(k + 1)]
    zero, nothing = simd.zeros(arena, LANES // 2, F64), simd.zeros(arena, 1, F64)
    parts = {pair: simd.Carry(zero) for pair in pairs}
    totals = {pair: simd.Carry(nothing) for pair in pairs}
    means = [mean.splat(LANES // 2) for mean in means]
    for y in simd.span(0, context.map_height, 1):
        rows = [arena.at(start + y * context.map_pitch) for start in starts]
        for pair in pairs:
            parts[pair].set(zero)
        for x in simd.span(0, width, LANES):
            inside = doubles(simd.select(simd.ramp(x) < width, simd.zeros(arena) + 1.0, 0.0))
            samples = [doubles(row.load(x)) for row in rows]
            for half, mask in enumerate(inside):
                away = [(x_[half] - mean) * mask for x_, mean in zip(samples, means, strict=True)]
                for k, j in pairs:
                    parts[k, j].set(parts[k, j].get() + away[k] * away[j])
        for pair in pairs:
            totals[pair].set(totals[pair].get() + simd.total(parts[pair].get()))
    samples = (context.map_height * width).to(F64)
    return {pair: totals[pair].get() / samples for pair in pairs}


def statistics(task, worker, context, facts):
    """Mean and covariance of one group of maps (`reference.statistics`), and its whitening matrix.

    The matrix W is the inverse of the covariance's Cholesky factor: z = W x + offset. It comes
    from the running statistics of the frames before where the config asks, unless nothing varied
    in them.
    """
    task = Task(task, worker, context, facts)
    order, group = range(len(facts.maps)), task.extra
    starts = [task.plane + task.output * number for number in facts.maps]
    means = means_of(context, starts)
    covariances = covariances_of(context, starts, means)
    measured = context.statistics.at(group * GROUP)
    running = measured.at(context.running)
    matrix = context.whitening.at(group * GROUP)
    for k in order:
        measured.store(k * COLUMNS, means[k])
        for j in order:
            measured.store(k * COLUMNS + 1 + j, covariances[max(k, j), min(k, j)])

    # A map varies if its standard deviation is not flat next to its signal.
    signals = [simd.maximum(context.signals[number], DARK) for number in facts.signals]
    least = [signal * signal * FLAT**2 for signal in signals]

    def vary(statistics: Memory) -> Value:
        flags = [statistics[k * COLUMNS + 1 + k] > least[k] for k in order]
        return reduce(operator.or_, flags)

    if facts.of_planes:
        varies = vary(measured)
        context.set("planes_vary", simd.select(varies, simd.number(measured, 1), 0))
    else:  # energies of planes that do not vary are at no distance from their mean
        varies = context.planes_vary > 0
    averages = (context.averages > 0) & vary(running)

    def reference(at: int) -> Value:
        return simd.select(averages, running[at], measured[at])

    covariance = {(k, j): reference(k * COLUMNS + 1 + j) for k, j in covariances}
    variances = [covariance[k, k] for k in order]
    ridge = sum(variances[1:], variances[0]) * (RIDGE / len(order)) + DARK**2
    factor: dict[tuple[int, int], Value] = {}  # the Cholesky factor
    for k, j in covariances:
        rest = covariance[k, j] + ridge if j == k else covariance[k, j]
        for i in range(j):
            rest = rest - factor[k, i] * factor[j, i]
        factor[k, j] = simd.root(rest) if j == k else rest / factor[j, j]
    inverse: dict[tuple[int, int], Value] = {}
    for k, j in covariances:
        if j == k:
            inverse[k, k] = 1.0 / factor[k, k]
            continue
        terms = [factor[k, i] * inverse[i, j] for i in range(j, k)]
        inverse[k, j] = (0.0 - sum(terms[1:], terms[0])) / factor[k, k]
    for k in order:
        varies_here = variances[k] > least[k]
        if not facts.of_planes:
            varies_here = varies_here & varies
        terms = [inverse[k, j] * reference(j * COLUMNS) for j in range(k + 1)]
        values = {j: inverse[k, j] for j in range(k + 1)}
        values[SCALES] = 0.0 - sum(terms[1:], terms[0])
        for j, value in values.items():
            matrix.store(k * COLUMNS + j, simd.select(varies_here, value, 0.0))


# --- decorrelated planes and their energies ----------------------------------------------------


def matrix_row(
    context: Context, group: Value | int, row: Value | int, count: int
) -> tuple[list[Value], Value]:
    """A row of a whitening matrix as vectors of float32: what scales each map, and the offset."""
    start = (group * SCALES + row) * COLUMNS
    numbers = [context.whitening[start + k].to(simd.F32).splat() for k in (*range(count), SCALES)]
    return numbers[:-1], numbers[-1]


def whiten_row(task: Task, row: Record) -> None:
    """One row of one decorrelated plane, with zeros behind it."""
    arena, context, facts = task.arena, task.context, task.facts
    scales, offset = matrix_row(context, 0, task.plane, len(facts.maps))
    source, width = row[r.WHITE_SOURCE], row[r.WHITE_WIDTH]
    output = task.scratch + row[r.WHITE_OUTPUT]
    for x in simd.span(0, width, LANES):
        z = offset
        for number, scale in zip(facts.maps, scales, strict=True):
            z = z + arena.load(source + context.plane_stride * number + x) * scale
        arena.store(output + x, simd.select(simd.ramp(x) < width, z, 0.0))


def interpolate_row(task: Task, row: Record) -> None:
    """A row that lies between two upsampled ones."""
    arena = task.arena
    first, second = (arena.at(task.scratch + row[k]) for k in (r.ABOVE, r.BELOW))
    t, output = row.number(r.BETWEEN_T), task.output + row[r.RESULT]
    for x in simd.span(0, task.context.map_width, LANES):
        a = first.load(x)
        arena.store(output + x, a + (second.load(x) - a) * t)


# A band of the energies of one decorrelated plane at one level, at the map's level. The plane, its
# energies and the levels between pass through a few rows of scratch.
whitened_energies = stream(
    {
        r.CLEAR: clear,
        r.WHITEN: whiten_row,
        r.BAND: lambda task, row: band_row(task, row, task.scratch),
        r.ENERGY: energy_row,
        r.DOWNSAMPLE: downsample_scratch,
        r.UPSAMPLE_NEXT: lambda task, row: upsample(task, row, task.extra, 1),
        r.INTERPOLATE: interpolate_row,
    }
)


# --- squared Mahalanobis distance --------------------------------------------------------------


def mahalanobis(task, worker, context, facts):
    """|z|^2 of one energy of one plane, z its scales after whitening: the squared Mahalanobis
    distance from the frame's mean, at every place of the map's level.
    """
    task = Task(task, worker, context, facts)
    first, group = task.plane, task.extra
    output = context.mahalanobis + (group - 1) * context.map_stride
    arena, stride, width = context.arena, context.map_stride, context.map_width
    matrix = [matrix_row(context, group, k, k + 1) for k in range(SCALES)]
    for y in simd.span(0, context.map_height, 1):
        row = y * context.map_pitch
        for x in simd.span(0, width, LANES):
            samples = [arena.load(first + row + stride * k + x) for k in range(SCALES)]
            squares = []
            for scales, z in matrix:
                for scale, sample in zip(scales, samples, strict=False):
                    z = z + sample * scale
                squares.append(z * z)
            total = sum(squares[1:], squares[0])
            inside = simd.ramp(x) < width
            arena.store(output + row + x, simd.select(inside, total, 0.0))


def sum_distances(task, worker, context, facts):
    """The conspicuity map before N: the sum over all planes' energies, faded at the border."""
    arena, width, fade = context.arena, context.map_width, context.whitened_fade
    count, first = context.whitened_count, context.mahalanobis
    for y in simd.span(0, context.map_height, 1):
        row = y * context.map_pitch
        row_fade = arena[fade + context.map_pitch + y]
        for x in simd.span(0, width, LANES):
            total = simd.Carry(arena.load(first + row + x))
            for k in simd.span(1, count, 1):
                total.set(total.get() + arena.load(first + row + k * context.map_stride + x))
            value = total.get() * (arena.load(fade + x) * row_fade)
            arena.store(context.whitened_sum + row + x, value)
