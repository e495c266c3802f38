"""What makes a figure of a place: surroundedness, and contours of all orientations that meet.

Both are found on small maps, whatever the frame's size (`Plan.corner_level`), and are resampled
to the map's level.
"""

from __future__ import annotations

from ...features import ORIENTATIONS
from ...plan import DARK, DENSE, FLAT, SOFT, SPARSE
from .. import rows as r
from .. import simd
from ..kernel import Facts
from ..simd import F32, F64, I32, LANES, Context, Memory, Record, Value
from .downsample import clear, downsample_arena
from .task import Task, stream
from .whiten import COLUMNS, matrix_row

SIDE = r.RECONSTRUCTIONS  # lanes: reconstructions side by side
HALF = SIDE // 2  # of one sign
NOT_REACHED = 3e38  # marker of places that the border has not reached
LEAST_DIVISOR = 1e-30  # for quotients of nothing by nothing


# --- surroundedness ----------------------------------------------------------------------------


def fill_masks(context: Context, facts: Facts, mask: Memory, marker: Memory) -> None:
    """Write the code for masks and markers of the reconstructions, side by side at each place.

    The masks are the decorrelated planes and their negatives. The markers equal the masks on the
    border and are high inside.
    """
    arena, planes = context.arena, context.figure_planes
    height, width, pitch = context.figure_height, context.figure_width, context.figure_pitch
    count = len(facts.maps)
    matrix = [matrix_row(context, 0, k, k + 1) for k in range(count)]
    nothing, high = simd.zeros(arena, 1), simd.constants(arena, [NOT_REACHED] * SIDE)
    for y in simd.span(0, height, 1):
        for x in simd.span(0, width, 1):
            samples = [
                arena[planes + context.plane_stride * number + y * pitch + x]
                for number in facts.maps
            ]
            values = []
            for scales, offset in matrix:
                z = offset[0]
                for scale, sample in zip(scales, samples, strict=False):
                    z = z + sample * scale[0]
                values.append(z)
            values += [nothing] * (HALF - count)
            both = simd.vector([*values, *(0.0 - z for z in values)])
            place = (y * width + x) * SIDE
            mask.store(place, both)
            inside = (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)
            marker.store(place, simd.select(inside, high, both))


def reconstruct(context: Context, mask: Memory, marker: Memory) -> None:
    """Write the code for the reconstruction by erosion: markers fall to their lower neighbours, but
    not below their masks, in sweeps down and right, then up and left, until nothing falls.
    """
    height, width = context.figure_height, context.figure_width
    row = width * SIDE

    def sweeps() -> Value:
        fell = simd.Carry(simd.zeros(mask, SIDE))
        for sign in (1, -1):
            for y in simd.span(1, height - 1, 1):
                start = y * row if sign == 1 else (height - y) * row - SIDE
                for x in simd.span(1, width - 1, 1):
                    at = start + x * (sign * SIDE)
                    before = marker.load(at, SIDE)
                    lower = simd.minimum(
                        marker.load(at - row * sign, SIDE),
                        marker.load(at - sign * SIDE, SIDE),
                    )
                    now = simd.maximum(simd.minimum(before, lower), mask.load(at, SIDE))
                    marker.store(at, now)
                    fell.set(simd.select(now < before, 1.0, fell.get()))
        return simd.extreme(fell.get(), simd.maximum) > 0.0

    simd.repeat_while(mask, sweeps)


def surroundedness(task, worker, context, facts):
    """How surrounded each place is in the decorrelated planes: morphological reconstruction by
    erosion from the border, less the plane (`reference.surroundedness`), as the sum of soft roots.
    Depths that are flat next to the plane's signal do not count.
    """
    arena = context.arena
    height, width, pitch = context.figure_height, context.figure_width, context.figure_pitch
    size = height * width * SIDE
    mask = arena.at(context.reconstructions)
    marker = mask.at(size)
    fill_masks(context, facts, mask, marker)
    reconstruct(context, mask, marker)
    deepest = simd.Carry(simd.zeros(arena, SIDE))
    for at in simd.span(0, size, SIDE):
        depth = marker.load(at, SIDE) - mask.load(at, SIDE)
        deepest.set(simd.maximum(depth, deepest.get()))
    nothing, depths, counts = simd.zeros(arena, 1), deepest.get(), []
    for k in range(SIDE):
        plane = k % HALF
        if plane >= len(facts.maps):
            counts.append(nothing)
            continue
        signal = simd.maximum(context.signals[facts.signals[plane]], DARK)
        least = context.whitening[plane * COLUMNS + plane] * signal * FLAT
        counts.append(simd.select(depths[k] > least.to(F32), nothing + 1.0, nothing))
    counted = simd.vector(counts)
    for y in simd.span(0, height, 1):
        for x in simd.span(0, width, 1):
            at = (y * width + x) * SIDE
            depth = (marker.load(at, SIDE) - mask.load(at, SIDE)) * counted
            total = simd.total(simd.root(depth + SOFT) - SOFT**0.5)
            arena.store(context.surroundedness + y * pitch + x, total)


# --- corners -----------------------------------------------------------------------------------


def corners(task, worker, context, facts):
    """Where contours of all orientations meet (`reference.corners`); or, if the highest is flat
    next to the signal, as much everywhere.
    """
    arena, stride, width = context.arena, context.map_stride, context.map_width
    output = context.figures + stride
    energies = output + stride
    isotropic = energies  # in place of the first
    nothing = simd.zeros(arena)
    roots, sums = simd.Carry(nothing), simd.Carry(nothing)
    for y in simd.span(0, context.map_height, 1):
        row = y * context.map_pitch
        for x in simd.span(0, width, LANES):
            a, b, c, d = (
                arena.load(energies + row + stride * k + x) for k in range(len(ORIENTATIONS))
            )
            low = simd.minimum(a, b), simd.minimum(c, d)
            high = simd.maximum(a, b), simd.maximum(c, d)
            least = simd.minimum(*low)
            second = simd.minimum(simd.maximum(*low), simd.minimum(*high))
            mean = simd.maximum((a + b + c + d) * (1 / len(ORIENTATIONS)), LEAST_DIVISOR)
            arena.store(output + row + x, second)
            arena.store(isotropic + row + x, least * (least / mean))
            inside = simd.select(simd.ramp(x) < width, second, 0.0)
            roots.set(roots.get() + simd.root(inside))
            sums.set(sums.get() + inside)
    root, total = simd.total(roots.get()).to(F64), simd.total(sums.get()).to(F64)
    samples = (context.map_height * width).to(F64)
    density = root * root / (simd.maximum(total, LEAST_DIVISOR) * samples)
    scene = simd.maximum(simd.minimum((density - SPARSE) * (1 / (DENSE - SPARSE)), 1.0), 0.0)
    scene = scene.to(F32).splat()
    highest = simd.Carry(nothing)
    for y in simd.span(0, context.map_height, 1):
        row = y * context.map_pitch
        for x in simd.span(0, width, LANES):
            second, isotropic_here = arena.load(output + row + x), arena.load(isotropic + row + x)
            found = second + (isotropic_here - second) * scene
            arena.store(output + row + x, found)
            inside = simd.select(simd.ramp(x) < width, found, 0.0)
            highest.set(simd.maximum(inside, highest.get()))
    least = (simd.maximum(context.brightest, DARK) * FLAT).to(F32)
    with simd.when(simd.extreme(highest.get(), simd.maximum) <= least):
        for x in simd.span(0, context.map_height * context.map_pitch, LANES):
            arena.store(output + x, least.splat())


# --- to the map's level ------------------------------------------------------------------------


def neighbours(
    position: Value, levels: Value, size: Value, grid: str
) -> tuple[Value, Value, Value]:
    """The two samples of an axis so many levels up on either side of a position, and how far
    between them it lies.
    """
    b = position.b
    factor = Value(b, b.shl(simd.number(position, 1).v, levels.v))
    if grid == "replicate":
        low = Value(b, b.sdiv(position.v, factor.v))
        low = simd.select(low < size - 1, low, size - 1)
        return low, low, simd.zeros(position, 1)
    at = position.to(F32)
    at = (at + 0.5) / factor.to(F32) - 0.5 if grid == "centred" else at / factor.to(F32)
    at = simd.maximum(simd.minimum(at, (size - 1).to(F32)), 0.0)
    low = at.to(I32).to(simd.I64)
    high = simd.select(low + 1 < size - 1, low + 1, size - 1)
    return low, high, at - low.to(F32)


def upsample_map(task: Task, row: Record) -> None:
    """A whole map of the map's level or a coarser one, on the pyramid's own grid."""
    arena, context, facts = task.arena, task.context, task.facts
    source, output, levels = row[r.UP_SOURCE], row[r.UP_OUTPUT], row[r.UP_LEVELS]
    height, width, pitch = row[r.UP_HEIGHT], row[r.UP_WIDTH], row[r.UP_PITCH]
    for y in simd.span(0, context.map_height, 1):
        above, below, down = neighbours(y, levels, height, facts.grid)
        above, below = arena.at(source + above * pitch), arena.at(source + below * pitch)
        for x in simd.span(0, context.map_width, 1):
            left, right, across = neighbours(x, levels, width, facts.grid)
            a = above[left] + (below[left] - above[left]) * down
            b = above[right] + (below[right] - above[right]) * down
            arena.store(output + y * context.map_pitch + x, a + (b - a) * across)


# Some maps at the map's level: downsampled from a finer one, upsampled from a coarser.
resample = stream({r.CLEAR: clear, r.DOWNSAMPLE: downsample_arena, r.UPSAMPLE_MAP: upsample_map})
