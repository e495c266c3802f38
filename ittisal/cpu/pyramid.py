"""One step of a pyramid, streamed: every halving in the model is this function.

A step is separable: each output is a weighted sum of 2x2 blocks ("pairs" of rows and of columns)
of its neighbourhood (`plan.scatter_weights`). Rows come in pairs; what each gives to the rows
still open is kept in `state`, and the one row that it completes is halved horizontally at once,
in registers. So a plane passes through once, and only the halved plane reaches memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llvmlite import ir
from numba.extending import intrinsic

from . import simd
from .jit import inlined, inner
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
from .simd import LANES, Memory, Value, number

InteriorWeights = tuple[tuple[int, int], ...]  # per output a pair reaches: even, odd row


def weighted(row: Value | None, even: Value, odd: Value, w_even: int, w_odd: int) -> Value:
    """Row + w_even even + w_odd odd, with as few multiplications as whole weights allow."""
    terms = [(even, w_even), (odd, w_odd)]
    if w_even == w_odd:
        terms = [(even + odd, w_even)]
    given = [s if w == 1 else s * w for s, w in sorted(terms, key=lambda t: -t[1]) if w]
    return sum(given[1:], given[0]) if row is None else sum(given, row)


def unit(weights: InteriorWeights) -> float:
    """What whole weights along both axes have to be scaled by."""
    return 1 / sum(map(sum, weights)) ** 2


def halve(
    source: Callable[[Value], Iterator[list[tuple[Value, Value]]]],
    rows: Memory,
    columns: Memory,
    column_stride: Value,
    state: Memory,
    state_stride: Value,
    output: Memory,
    output_stride: Value,
    pairs: Value,
    planes: int,
    weights: InteriorWeights,
    scales: list[Value | float],
    split: bool = False,
) -> None:
    """Write the code that takes a pair of rows of `planes` planes one step.

    `source(x)` yields the 2 LANES columns from x in two halves, each a list with the even and
    the odd row's samples per plane. The halves follow each other, or (`split`) are the even and
    the odd columns.
    `weights` are the row weights away from the borders, whole numbers known when compiling,
    which most rows and columns have; `rows` and `columns` hold each one's own, and whether
    they are these. `scales`, one per plane, undoes the factor of whole weights along both axes.
    """
    parts = len(weights)
    reach = parts // 2
    interior = rows[2 * parts] > 0.0
    zero = (rows[2 * parts] * 0.0).splat()
    open_block = [simd.Carry(zero) for _ in range(planes)]
    before = [[simd.Carry(zero) for _ in range(parts)] for _ in range(planes)]

    for x in simd.span(0, pairs, LANES):
        done: list[list[Value]] = [[] for _ in range(planes)]
        for half, samples in enumerate(source(x * 2)):
            column = x * 2 + half * LANES
            at = [
                [column + state_stride * (plane * (parts - 1) + k) for k in range(parts - 1)]
                for plane in range(planes)
            ]
            open_rows = [[state.load(a) for a in plane] for plane in at]

            def vertical(weigh, samples=samples, open_rows=open_rows):
                sums = []
                for (even, odd), partial in zip(samples, open_rows, strict=True):
                    for i, row in enumerate([*partial, None]):
                        sums.append(weigh(row, even, odd, i))
                return sums

            def own(row, even, odd, i):
                even, odd = even * rows[2 * i], odd * rows[2 * i + 1]
                return (even if row is None else row + even) + odd

            def usual(row, even, odd, i):
                return weighted(row, even, odd, *weights[i])

            sums = simd.either(interior, lambda: vertical(usual), lambda: vertical(own))
            for plane in range(planes):
                first, *others = sums[plane * parts : (plane + 1) * parts]
                done[plane].append(first)
                for a, partial in zip(at[plane], others, strict=True):
                    state.store(a, partial)
        both = [done[p] if split else simd.even_odd(*done[p]) for p in range(planes)]

        def inner_columns(both=both):
            return [weighted(None, *pair, *w) for pair in both for w in weights]

        def outer_columns(both=both, x=x):
            table = [columns.load(x + column_stride * k) for k in range(2 * parts)]
            return [e * table[2 * i] + o * table[2 * i + 1] for e, o in both for i in range(parts)]

        inner = columns[x + column_stride * (2 * parts)] > 0.0
        given = simd.either(inner, inner_columns, outer_columns)
        for plane in range(planes):
            parts_of = given[plane * parts : (plane + 1) * parts]
            finished = open_block[plane].get()
            opened = parts_of[reach]
            for d in range(1, reach + 1):
                left, right = parts_of[reach - d], parts_of[reach + d]
                finished += simd.shifted_left(before[plane][reach - d].get(), left, d)
                opened += simd.shifted_right(before[plane][reach + d].get(), right, d)
                before[plane][reach - d].set(left)
                before[plane][reach + d].set(right)
            open_block[plane].set(opened)
            output.store(output_stride * plane + x - LANES, finished * scales[plane])
    for plane in range(planes):
        finished = open_block[plane].get()
        for d in range(1, reach + 1):
            finished += simd.shifted_left(before[plane][reach - d].get(), zero, d)
        output.store(output_stride * plane + x - LANES, finished * scales[plane])


@simd.function()
def halve_rows(
    arena,
    even,
    odd,
    plane_stride,
    rows,
    columns,
    column_stride,
    state,
    state_stride,
    output,
    output_stride,
    pairs,
    planes,
    weights,
):
    """A pair of rows in the arena, for `planes` planes `plane_stride` apart."""

    def source(x):
        for column in (x, x + LANES):
            at = [column + plane_stride * plane for plane in range(planes)]
            yield [(arena.load(even + a), arena.load(odd + a)) for a in at]

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
        weights,
        [unit(weights)] * planes,
    )


@simd.function()
def clear(arena, start, size):
    """Zero `size` floats, rounded up to whole vectors."""
    zero = arena.load(start) * 0.0
    zero = zero - zero
    for x in simd.span(0, size, LANES):
        arena.store(start + x, zero)


@intrinsic
def reach_of(context, weights):
    """How many outputs to either side a pair of rows reaches, as an integer."""
    reach = len(weights.value) // 2
    return simd.types.int64(weights), lambda *_: ir.Constant(simd.I64, reach)


@inlined
def row_table_size(reach):
    """Entries of a row table for one pair: its weights, whether they are interior, and room."""
    return 2 * (2 * reach + 2)


@inlined
def state_stride(pairs):
    """Floats from one row of state to the next: whole blocks of 2 PAD samples, and a line more
    (see `layout.padded`).
    """
    return (pairs + PAD - 1) // PAD * (2 * PAD) + PAD


@inner
def halve_plane(arena, levels, halvings, kind, level, plane, planes, weights, scratch):
    """Take `planes` planes from `level` to the next, whole."""
    reach = reach_of(weights)
    states = number(planes) * 2 * reach
    height, width = levels[level, HEIGHT], levels[level, WIDTH]
    table = kind * LEVELS + level
    pairs = (width + 1) // 2
    stride = state_stride(pairs)
    dummy = scratch + states * stride + PAD
    clear(arena, scratch, states * stride)
    source = levels[level, PLANES] + plane * levels[level, PLANE_STRIDE]
    target = levels[level + 1, PLANES] + plane * levels[level + 1, PLANE_STRIDE]
    out_height = levels[level + 1, HEIGHT]
    for pair in range(out_height + reach):
        even = source + min(2 * pair, height - 1) * levels[level, PITCH]
        odd = source + min(2 * pair + 1, height - 1) * levels[level, PITCH]
        row = pair - reach
        output = target + row * levels[level + 1, PITCH] if row >= 0 else dummy
        output_stride = levels[level + 1, PLANE_STRIDE] if row >= 0 else stride
        halve_rows(
            arena,
            even,
            odd,
            levels[level, PLANE_STRIDE],
            halvings[table, ROW_TABLE] + pair * row_table_size(reach),
            halvings[table, COLUMN_TABLE],
            halvings[table, COLUMN_STRIDE],
            scratch,
            stride,
            output,
            output_stride,
            pairs,
            planes,
            weights,
        )
