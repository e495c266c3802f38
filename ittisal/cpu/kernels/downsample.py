"""One step of a pyramid, streamed: every downsampling in the model is this function.

A step is separable: each output is a weighted sum of 2x2 blocks ("pairs" of rows and of columns)
of its neighbourhood (`plan.scatter_weights`). Rows come in pairs; what each adds to the outputs
still open is kept in `state`, and the one row that it completes is downsampled horizontally at
once, in registers. So a plane passes through once, and only the smaller plane reaches memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .. import rows as r
from .. import simd
from ..simd import LANES, Record, Value
from .task import Task

InteriorWeights = tuple[
    tuple[int, int], ...
]  # per output that a pair reaches: of its even and odd sample
Samples = Iterator[list[tuple[Value, Value]]]


def weighted(row: Value | None, even: Value, odd: Value, w_even: int, w_odd: int) -> Value:
    """Row + w_even even + w_odd odd, with as few multiplications as whole weights allow."""
    terms = [(even, w_even), (odd, w_odd)]
    if w_even == w_odd:
        terms = [(even + odd, w_even)]
    products = [s if w == 1 else s * w for s, w in sorted(terms, key=lambda t: -t[1]) if w]
    products = products or [simd.zeros(even, even.lanes)]
    return sum(products[1:], products[0]) if row is None else sum(products, row)


def unit(weights: InteriorWeights) -> float:
    """The factor that undoes whole weights along both axes."""
    return 1 / sum(map(sum, weights)) ** 2


def downsample(
    source: Callable[[Value], Samples],
    task: Task,
    row: Record,
    scales: Sequence[Value | float],
    target: Value | int,
    split: bool = False,
) -> None:
    """Write the code that takes a pair of rows of some planes one step.

    `source(x)` yields the 2 LANES columns from x in two halves, each a list with the even and
    the odd row's samples per plane. The halves follow each other, or (`split`) are the even and
    the odd columns. The row's output is in scratch, or relative to `target`.

    The fact `weights` holds the interior weights, whole numbers, which most rows and columns have;
    the step's tables hold each one's own, and whether they are these. `scales`, one per plane,
    undoes the factor of whole weights along both axes.
    """
    arena, step, weights = task.arena, row.record(r.STEP), task.facts.weights
    rows = arena.at(row[r.WEIGHTS])
    state = arena.at(task.scratch + step[r.STATE])
    state_stride = step[r.STATE_STRIDE]
    planes = len(scales)
    parts = len(weights)
    interior = rows[2 * parts] > 0.0
    across = Across(task, row, scales, target)
    for x in simd.span(0, step[r.PAIRS], LANES):
        complete: list[list[Value]] = [[] for _ in range(planes)]
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
                    for i, opened in enumerate([*partial, None]):
                        sums.append(weigh(opened, even, odd, i))
                return sums

            def border_weights(opened, even, odd, i):
                even, odd = even * rows[2 * i], odd * rows[2 * i + 1]
                return (even if opened is None else opened + even) + odd

            def interior_weights(opened, even, odd, i):
                return weighted(opened, even, odd, *weights[i])

            sums = simd.either(
                interior, lambda: vertical(interior_weights), lambda: vertical(border_weights)
            )
            for plane in range(planes):
                first, *others = sums[plane * parts : (plane + 1) * parts]
                complete[plane].append(first)
                for a, partial in zip(at[plane], others, strict=True):
                    state.store(a, partial)
        both = [complete[p] if split else simd.even_odd(*complete[p]) for p in range(planes)]
        across(x, both)
    across.finish()


class Across:
    """The horizontal half of a step in the code being written: rows that are complete along y."""

    def __init__(
        self, task: Task, row: Record, scales: Sequence[Value | float], target: Value | int
    ) -> None:
        self.arena, step = task.arena, row.record(r.STEP)
        self.weights, self.scales = task.facts.weights, scales
        self.columns = self.arena.at(step[r.COLUMN_WEIGHTS])
        self.column_stride = step[r.COLUMN_STRIDE]
        base = simd.select(row[r.IN_SCRATCH] > 0, task.scratch, target)
        self.output, self.output_stride = base + row[r.OUTPUT], row[r.OUTPUT_STRIDE]
        self.zero, parts = simd.zeros(self.arena), len(self.weights)
        self.open_block = [simd.Carry(self.zero) for _ in scales]
        self.before = [[simd.Carry(self.zero) for _ in range(parts)] for _ in scales]

    def __call__(self, x: Value, both: Sequence[Sequence[Value]]) -> None:
        """Take the pairs of columns from pair `x` on: even and odd samples of each plane."""
        weights, parts = self.weights, len(self.weights)
        columns, stride, reach = self.columns, self.column_stride, len(self.weights) // 2

        def inner_columns() -> list[Value]:
            return [weighted(None, e, o, *w) for e, o in both for w in weights]

        def outer_columns() -> list[Value]:
            table = [columns.load(x + stride * k) for k in range(2 * parts)]
            return [e * table[2 * i] + o * table[2 * i + 1] for e, o in both for i in range(parts)]

        inner = columns[x + stride * (2 * parts)] > 0.0
        scattered = simd.either(inner, inner_columns, outer_columns)
        for plane, before in enumerate(self.before):
            parts_of = scattered[plane * parts : (plane + 1) * parts]
            finished = self.open_block[plane].get()
            opened = parts_of[reach]
            for d in range(1, reach + 1):
                left, right = parts_of[reach - d], parts_of[reach + d]
                finished += simd.shifted_left(before[reach - d].get(), left, d)
                opened += simd.shifted_right(before[reach + d].get(), right, d)
                before[reach - d].set(left)
                before[reach + d].set(right)
            self.open_block[plane].set(opened)
            self._store(plane, x, finished)
        self.end = x

    def finish(self) -> None:
        """Write the last block, behind the loop over x."""
        reach = len(self.weights) // 2
        for plane, before in enumerate(self.before):
            finished = self.open_block[plane].get()
            for d in range(1, reach + 1):
                finished += simd.shifted_left(before[reach - d].get(), self.zero, d)
            self._store(plane, self.end, finished)

    def _store(self, plane: int, x: Value, finished: Value) -> None:
        at = self.output + self.output_stride * plane + x - LANES
        self.arena.store(at, finished * self.scales[plane])


def downsample_rows(
    task: Task,
    row: Record,
    scales: Sequence[Value | float],
    source: Value | int,
    target: Value | int,
) -> None:
    """Write the code for a pair of rows of planes in the arena, relative to `source`."""
    even, odd = (row[k] + source for k in (r.EVEN, r.ODD))
    stride = row.record(r.STEP)[r.SOURCE_STRIDE]

    def samples(x: Value) -> Samples:
        for column in (x, x + LANES):
            at = [column + stride * plane for plane in range(len(scales))]
            yield [(task.arena.load(even + a), task.arena.load(odd + a)) for a in at]

    downsample(samples, task, row, scales, target)


def downsample_arena(task: Task, row: Record) -> None:
    """A pair of rows of `facts.planes` planes, wherever the row says."""
    downsample_rows(task, row, [unit(task.facts.weights)] * task.facts.planes, 0, 0)


def downsample_scratch(task: Task, row: Record) -> None:
    """The same from scratch, relative to the task's output."""
    scales = [unit(task.facts.weights)] * task.facts.planes
    downsample_rows(task, row, scales, task.scratch, task.output)


def clear(task: Task, row: Record) -> None:
    """Zero a range of scratch, rounded up to whole vectors."""
    start = task.scratch + row[r.START]
    for x in simd.span(0, row[r.SIZE], LANES):
        task.arena.store(start + x, simd.zeros(task.arena))
