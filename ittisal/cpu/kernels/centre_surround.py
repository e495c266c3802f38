"""|centre - surround| of one feature at one centre level, downsampled to the map's level as it is
made.

The surround is upsampled two rows at a time, the difference is taken in registers and handed to
the downsampling step, so no map is stored at its own size. The border's fade is part of the first
step's weights.
"""

from __future__ import annotations

from ...config import DELTAS
from .. import rows as r
from .. import simd
from ..simd import F32, LANES, Record, Value
from .downsample import clear, downsample, downsample_scratch, unit
from .task import Task, stream


def upsample(task: Task, row: Record, plane: Value, delta: int) -> None:
    """Write the code for one row `delta` levels finer, at the finer level's width.

    Between two samples the result is linear, or (grid "replicate") the left one. Beyond the
    outer samples, half a step out on a centred grid, it is constant.
    """
    arena, grid, size = task.arena, task.facts.grid, 1 << delta
    source, last = plane + row[r.SOURCE], row[r.LAST]
    centred = grid == "centred"
    steps = [0.0 if grid == "replicate" else (k + 0.5 * centred) / size for k in range(size)]
    t = simd.constants(arena, steps)
    output = task.scratch + row[r.UPSAMPLED]
    start = output - size // 2 if centred else output
    low = simd.Carry(arena[source])
    for j in simd.span(0, last + 3, 1):  # from before the first sample, or from it
        after = j if centred else j + 1
        high = arena[source + simd.select(after < last, after, last)]
        left = low.get()
        arena.store(start + j * size, left.splat(size) + (high - left).splat(size) * t)
        low.set(high)


def contrast(centre: Value, surround: Value, sign: str, negative_gain: Value) -> list[Value]:
    """What is kept of a difference: its size ("absolute"), or its two halves ("split"), or
    ("mixed") its size where `negative_gain` is -1 and its positive half where it is 0.
    """
    difference = centre - surround
    if sign == "split":
        return [simd.maximum(difference, 0.0), simd.maximum(surround - centre, 0.0)]
    if sign == "mixed":
        return [simd.maximum(difference, difference * negative_gain)]
    return [simd.absolute(difference)]


def downsample_contrast(task: Task, row: Record) -> None:
    """A pair of rows of the centre against both surrounds, one step.

    A surround lies between two upsampled rows A and B; it is A + t (B - A), with a t for either
    row of the centre.
    """
    arena, facts, negative_gain = task.arena, task.facts, task.extra.to(F32)
    even, odd = (arena.at(task.plane + row[k]) for k in (r.EVEN, r.ODD))
    surrounds = [
        (
            [arena.at(task.scratch + row[rows + k]) for k in (0, 1)],
            [row.number(ts + k).splat() for k in (0, 1)],
        )
        for rows, ts in ((r.NEAR, r.NEAR_T), (r.FAR, r.FAR_T))
    ]

    def source(x):
        for at in (x, x + LANES):
            maps = []
            centre = even.load(at), odd.load(at)
            for (first, second), ts in surrounds:
                a = first.load(at)
                rise = second.load(at) - a
                rows = [
                    contrast(c, a + rise * t, facts.sign, negative_gain)
                    for c, t in zip(centre, ts, strict=True)
                ]
                maps += zip(*rows, strict=True)
            yield maps

    scales = [unit(facts.weights)] * facts.planes
    downsample(source, task, row, scales, task.output)


def contrast_row(task: Task, row: Record) -> None:
    """One row at the map's level: nothing to downsample, only the fade."""
    arena, context, sign = task.arena, task.context, task.facts.sign
    first, second = (arena.at(task.scratch + row[k]) for k in (r.ABOVE, r.BELOW))
    centre, output = arena.at(task.plane + row[r.CENTRE]), arena.at(task.output + row[r.RESULT])
    columns, row_fade = arena.at(context.map_fade), arena[row[r.ROW_FADE]]
    negative_gain, t = task.extra.to(F32), row.number(r.BETWEEN_T)
    for x in simd.span(0, context.map_width, LANES):
        a = first.load(x)
        between = a + (second.load(x) - a) * t
        scale = columns.load(x) * row_fade
        for half, value in enumerate(contrast(centre.load(x), between, sign, negative_gain)):
            output.store(context.map_stride * half + x, value * scale)


# The maps of one feature at one centre level: of the near surround, then of the far one.
centre_surround = stream(
    {
        r.CLEAR: clear,
        r.UPSAMPLE_NEAR: lambda task, row: upsample(task, row, task.plane, DELTAS[0]),
        r.UPSAMPLE_FAR: lambda task, row: upsample(task, row, task.plane, DELTAS[1]),
        r.DOWNSAMPLE_CONTRAST: downsample_contrast,
        r.DOWNSAMPLE: downsample_scratch,
        r.CONTRAST: contrast_row,
    }
)
