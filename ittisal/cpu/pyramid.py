"""One step of a pyramid, streamed: every halving in the model is this function.

A step is separable: each output is a weighted sum of 2x2 blocks ("pairs" of rows and of columns)
of its neighbourhood (`plan.scatter_weights`). Rows come in pairs; what each gives to the rows
still open is kept in `state`, and the one row that it completes is halved horizontally at once,
in registers. So a plane passes through once, and only the halved plane reaches memory.
"""

from __future__ import annotations

from collections.abc import Callable

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
from .simd import LANES, Memory, Value, number

Pair = tuple[Value, Value]  # 2 LANES consecutive samples of one row


def halve(
    source: Callable[[Value], list[tuple[Pair, Pair]]],
    rows: Memory,
    columns: Memory,
    column_stride: Value,
    state: Memory,
    state_stride: Value,
    output: Memory,
    output_stride: Value,
    pairs: Value,
    planes: int,
    parts: int,
    scales: list[Value] | None = None,
) -> None:
    """Write the code that takes a pair of rows of `planes` planes one step.

    `source(x)` gives, per plane, 2 LANES samples from column x of the even and of the odd row.
    `parts` is the number of outputs that a pair reaches along an axis: 3 for the 5-tap, 5 for
    the 9-tap.
    """
    weights = [[rows[2 * i + e].splat() for e in (0, 1)] for i in range(parts)]
    reach = parts // 2
    zero = weights[0][0] * 0.0
    open_block = [simd.Carry(zero) for _ in range(planes)]
    before = [[simd.Carry(zero) for _ in range(parts)] for _ in range(planes)]

    for x in simd.span(0, pairs, LANES):
        table = [[columns.load(x + column_stride * (2 * i + e)) for e in (0, 1)] for i in range(parts)]
        for plane, (even, odd) in enumerate(source(x * 2)):
            done = []
            for half in (0, 1):
                at = [
                    x * 2 + half * LANES + state_stride * (plane * (parts - 1) + k)
                    for k in range(parts - 1)
                ]
                open_rows = [state.load(a) for a in at] + [None]
                sums = []
                for row, (w_even, w_odd) in zip(open_rows, weights, strict=True):
                    given = w_even * even[half]
                    sums.append((given if row is None else row + given) + w_odd * odd[half])
                done.append(sums[0])
                for a, partial in zip(at, sums[1:], strict=True):
                    state.store(a, partial)
            e, o = simd.even_odd(*done)
            given = [w_even * e + w_odd * o for w_even, w_odd in table]
            finished = open_block[plane].get()
            opened = given[reach]
            for d in range(1, reach + 1):
                left, right = given[reach - d], given[reach + d]
                finished += simd.shifted_left(before[plane][reach - d].get(), left, d)
                opened += simd.shifted_right(before[plane][reach + d].get(), right, d)
                before[plane][reach - d].set(left)
                before[plane][reach + d].set(right)
            open_block[plane].set(opened)
            if scales is not None:
                finished *= scales[plane]
            output.store(output_stride * plane + x - LANES, finished)
    for plane in range(planes):
        finished = open_block[plane].get()
        for d in range(1, reach + 1):
            finished += simd.shifted_left(before[plane][reach - d].get(), zero, d)
        if scales is not None:
            finished *= scales[plane]
        output.store(output_stride * plane + x - LANES, finished)


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
    parts,
):
    """A pair of rows in the arena, for `planes` planes `plane_stride` apart."""

    def source(x):
        def at(row, plane):
            start = row + x + plane_stride * plane
            return arena.load(start), arena.load(start + LANES)

        return [(at(even, plane), at(odd, plane)) for plane in range(planes)]

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
def clear(arena, start, size):
    """Zero `size` floats, rounded up to whole vectors."""
    zero = arena.load(start) * 0.0
    zero = zero - zero
    for x in simd.span(0, size, LANES):
        arena.store(start + x, zero)


@inner
def state_stride(pairs):
    """Floats from one row of state to the next: whole blocks of 2 PAD samples."""
    return (pairs + PAD - 1) // PAD * (2 * PAD)


@inner
def halve_plane(arena, levels, halvings, kind, level, plane, planes, parts, scratch):
    """Take `planes` planes from `level` to the next, whole."""
    reach = number(parts) // 2
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
            halvings[table, ROW_TABLE] + pair * 2 * (2 * reach + 1),
            halvings[table, COLUMN_TABLE],
            halvings[table, COLUMN_STRIDE],
            scratch,
            stride,
            output,
            output_stride,
            pairs,
            planes,
            parts,
        )
