"""One step of a pyramid, streamed: every halving in the model is this function.

A step is separable: each output is a weighted sum of 2x2 blocks ("pairs" of rows and of columns)
of its neighbourhood (`plan.scatter_weights`). Rows come in pairs; what each gives to the rows
still open is kept in `state`, and the one row that it completes is halved horizontally at once,
in registers. So a plane passes through once, and only the halved plane reaches memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from . import layout, simd
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
    REDUCE,
    ROW_TABLE,
    WIDTH,
)
from .simd import LANES, Memory, Value, constant
from .variant import Weights


class Step(NamedTuple):
    """Where a step's tables and rows lie in the arena, in floats from its start."""

    rows: Value  # weights of this pair of rows
    columns: Value  # of all pairs of columns
    column_stride: Value
    state: Value
    state_stride: Value
    output: Value
    output_stride: Value  # from plane to plane
    pairs: Value  # of columns


def weighted(row: Value | None, even: Value, odd: Value, w_even: int, w_odd: int) -> Value:
    """Row + w_even even + w_odd odd, with as few multiplications as whole weights allow."""
    terms = [(even, w_even), (odd, w_odd)]
    if w_even == w_odd:
        terms = [(even + odd, w_even)]
    given = [s if w == 1 else s * w for s, w in sorted(terms, key=lambda t: -t[1]) if w]
    return sum(given[1:], given[0]) if row is None else sum(given, row)


def unit(weights: Weights) -> float:
    """What whole weights along both axes have to be scaled by."""
    return 1 / sum(map(sum, weights)) ** 2


def halve(
    source: Callable[[Value], Iterator[list[tuple[Value, Value]]]],
    arena: Memory,
    step: tuple[Value, ...],
    weights: Weights,
    scales: list[Value | float],
    split: bool = False,
    numbers: tuple[int, ...] = (),
) -> None:
    """Write the code that takes a pair of rows of some planes one step.

    `source(x)` yields the 2 LANES columns from x in two halves, each a list with the even and
    the odd row's samples per plane. The halves follow each other, or (`split`) are the even and
    the odd columns.
    `weights` are the weights away from the borders, whole numbers known when compiling, which
    most rows and columns have; the step's tables hold each one's own, and whether they are
    these. `scales`, one per plane, undoes the factor of whole weights along both axes. `numbers`
    says how many output strides on each plane's row lies, if not one after the other.
    """
    where = Step(*step)
    rows, columns, state = (arena.at(at) for at in (where.rows, where.columns, where.state))
    column_stride, state_stride = where.column_stride, where.state_stride
    planes = len(scales)
    numbers = numbers or tuple(range(planes))
    parts = len(weights)
    reach = parts // 2
    interior = rows[2 * parts] > 0.0
    zero = (rows[2 * parts] * 0.0).splat()
    open_block = [simd.Carry(zero) for _ in range(planes)]
    before = [[simd.Carry(zero) for _ in range(parts)] for _ in range(planes)]

    for x in simd.span(0, where.pairs, LANES):
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
            target = where.output + where.output_stride * numbers[plane] + x - LANES
            arena.store(target, finished * scales[plane])
    for plane in range(planes):
        finished = open_block[plane].get()
        for d in range(1, reach + 1):
            finished += simd.shifted_left(before[plane][reach - d].get(), zero, d)
        target = where.output + where.output_stride * numbers[plane] + x - LANES
        arena.store(target, finished * scales[plane])


def arena_rows(
    arena: Memory, even: Value, odd: Value, plane_stride: Value, numbers: tuple[int, ...]
) -> Callable[[Value], Iterator[list[tuple[Value, Value]]]]:
    """A source for `halve`: two rows in the arena, of planes so many `plane_stride` on."""

    def source(x: Value) -> Iterator[list[tuple[Value, Value]]]:
        for column in (x, x + LANES):
            at = [column + plane_stride * number for number in numbers]
            yield [(arena.load(even + a), arena.load(odd + a)) for a in at]

    return source


@simd.function()
def halve_rows(arena, even, odd, plane_stride, step, variant, role):
    """A pair of rows in the arena; `role` says of a "pyramid" or a "reduction"."""
    reduction = role == "reduction"
    numbers = tuple(range(variant.maps)) if reduction else variant.numbers
    weights = variant.reduction if reduction else variant.weights
    source = arena_rows(arena, even, odd, plane_stride, numbers)
    halve(source, arena, step, weights, [unit(weights)] * len(numbers), numbers=numbers)


@simd.function()
def halve_single(arena, even, odd, step, variant):
    """A pair of rows of one map, on its way to level 4."""
    source = arena_rows(arena, even, odd, even, (0,))
    halve(source, arena, step, variant.reduction, [unit(variant.reduction)])


@simd.function()
def clear(arena, start, size):
    """Zero `size` floats, rounded up to whole vectors."""
    zero = arena.load(start) * 0.0
    zero = zero - zero
    for x in simd.span(0, size, LANES):
        arena.store(start + x, zero)


state_stride = inlined(layout.state_stride)


@inlined
def step(halvings, table, pair, reach, state, pairs, output, output_stride):
    """The `Step` of a pair of rows."""
    return (
        halvings[table, ROW_TABLE] + pair * 2 * (2 * reach + 2),
        halvings[table, COLUMN_TABLE],
        halvings[table, COLUMN_STRIDE],
        state,
        state_stride(pairs),
        output,
        output_stride,
        pairs,
    )


@inner
def halve_plane(buffers, kind, level, plane, scratch, variant):
    """Take the variant's planes, from number `plane` on, from `level` to the next, whole."""
    arena, levels, halvings, _, _ = buffers
    reach = constant(variant, "reach")
    height, width = levels[level, HEIGHT], levels[level, WIDTH]
    pairs = (width + 1) // 2
    stride = state_stride(pairs)
    states = constant(variant, "planes") * 2 * reach * stride
    dummy = scratch + states + PAD
    clear(arena, scratch, states)
    source = levels[level, PLANES] + plane * levels[level, PLANE_STRIDE]
    target = levels[level + 1, PLANES] + plane * levels[level + 1, PLANE_STRIDE]
    for pair in range(levels[level + 1, HEIGHT] + reach):
        even = source + min(2 * pair, height - 1) * levels[level, PITCH]
        odd = source + min(2 * pair + 1, height - 1) * levels[level, PITCH]
        row = pair - reach
        output, output_stride = dummy, 0
        if row >= 0:
            output = target + row * levels[level + 1, PITCH]
            output_stride = levels[level + 1, PLANE_STRIDE]
        where = step(
            halvings, kind * LEVELS + level, pair, reach, scratch, pairs, output, output_stride
        )
        halve_rows(arena, even, odd, levels[level, PLANE_STRIDE], where, variant, "pyramid")


@inner
def halve_map(buffers, level, source, target, target_pitch, scratch, variant):
    """Take one map of a level's size one step on its way to level 4, whole."""
    arena, levels, halvings, _, _ = buffers
    reach = constant(variant, "reduction_reach")
    height, width, pitch = levels[level, HEIGHT], levels[level, WIDTH], levels[level, PITCH]
    pairs = (width + 1) // 2
    states = 2 * reach * state_stride(pairs)
    dummy = scratch + states + PAD
    clear(arena, scratch, states)
    table = REDUCE * LEVELS + level
    for pair in range(levels[level + 1, HEIGHT] + reach):
        even = source + min(2 * pair, height - 1) * pitch
        odd = source + min(2 * pair + 1, height - 1) * pitch
        row = pair - reach
        output = target + row * target_pitch if row >= 0 else dummy
        where = step(halvings, table, pair, reach, scratch, pairs, output, np.int64(0))
        halve_single(arena, even, odd, where, variant)
