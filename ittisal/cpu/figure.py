"""What makes a figure of a place: that it is enclosed, and that contours of all directions meet.

Both are found on small maps, whatever the frame's size (`plan.corner_level`), and end at level 4.
"""

from __future__ import annotations

import numpy as np

from ..config import MAP_LEVEL, ORIENTATIONS
from ..plan import ORIENTED
from . import simd
from .jit import inlined, inner
from .layout import (
    CORNER_LEVEL,
    FIGURE,
    FLOOD,
    FLOOD_LANES,
    HEIGHT,
    MAP_PITCH,
    MAP_STRIDE,
    PAD,
    PITCH,
    PLANE_STRIDE,
    PLANES,
    STEPS,
    WIDTH,
)
from .normalise import DARK, FLAT
from .pyramid import clear, halve_map
from .simd import LANES, constant
from .variant import CENTRED, REPLICATE
from .whiten import OFFSET, PLANE_GROUP, TRIANGLES

SOFT = 0.01  # standard deviations, as in the reference
HIGH = 3e38  # no water yet
COUNT = len(ORIENTATIONS)
# Maps at level 4, from places[FIGURE] on.
ENCLOSED, CORNERS, ENERGIES = range(3)


# --- enclosure ---------------------------------------------------------------------------------


@inner
def fill_grounds(buffers, inverse, count, level):
    """The grounds that water stands on, side by side at each place: the decorrelated planes, and
    the same turned over. Water covers all but the border, where it has run off.
    """
    arena, levels, _, places, _ = buffers
    height, width = levels[level, HEIGHT], levels[level, WIDTH]
    planes, stride, pitch = (
        levels[level, PLANES],
        levels[level, PLANE_STRIDE],
        levels[level, PITCH],
    )
    ground = places[FLOOD]
    water = ground + FLOOD_LANES * height * width
    half = FLOOD_LANES // 2
    for y in range(height):
        for x in range(width):
            at = planes + y * pitch + x
            place = FLOOD_LANES * (y * width + x)
            border = y == 0 or y == height - 1 or x == 0 or x == width - 1
            for k in range(count):
                z = np.float32(inverse[k, OFFSET])
                for j in range(k + 1):
                    z += np.float32(inverse[k, j]) * arena[at + j * stride]
                arena[ground + place + k] = z
                arena[ground + place + half + k] = -z
            for k in range(count, half):  # a grey frame may follow one with colours
                arena[ground + place + k] = arena[ground + place + half + k] = np.float32(0)
            for k in range(FLOOD_LANES):
                arena[water + place + k] = HIGH if not border else arena[ground + place + k]


@simd.function(simd.types.float32)
def sweep(arena, ground, water, first, last, step, row, column):
    """One pass over the places from `first` to before `last`, each `step` further on: water runs
    off to the neighbours already passed, `row` and `column` away. 0 where none did.
    """
    lanes = FLOOD_LANES
    fallen = simd.Carry(arena.load(ground, lanes) * 0.0)
    for i in simd.span(first, last, 1):
        at = i * step
        before = arena.load(water + at, lanes)
        beside = simd.minimum(
            arena.load(water + (at + row), lanes), arena.load(water + (at + column), lanes)
        )
        now = simd.maximum(simd.minimum(before, beside), arena.load(ground + at, lanes))
        arena.store(water + at, now)
        fallen.set(simd.select(now < before, 1.0, fallen.get()))
    return simd.extreme(fallen.get(), simd.maximum)


@inner
def flood(arena, ground, height, width):
    """Let the water run off until it stands (`reference.flooded`, exactly)."""
    lanes = np.int64(FLOOD_LANES)
    water = ground + lanes * height * width
    changed = True
    while changed:
        changed = False
        for y in range(1, height - 1):
            row = lanes * (y * width)
            fell = sweep(
                arena, ground + row, water + row, np.int64(1), width - 1, lanes,
                -lanes * width, -lanes,
            )  # fmt: skip
            changed = changed or fell > 0
        for y in range(height - 2, 0, -1):
            row = lanes * (y * width + width - 1)
            fell = sweep(
                arena, ground + row, water + row, np.int64(1), width - 1, -lanes,
                lanes * width, lanes,
            )  # fmt: skip
            changed = changed or fell > 0


@simd.function()
def deepest(arena, ground, water, places, output):
    """How deep each water is at most."""
    lanes = FLOOD_LANES
    most = simd.Carry(arena.load(ground, lanes) * 0.0)
    for at in simd.span(0, places * lanes, lanes):
        depth = arena.load(water + at, lanes) - arena.load(ground + at, lanes)
        most.set(simd.maximum(depth, most.get()))
    arena.store(output, most.get())


@simd.function()
def depth_row(arena, ground, water, kept, output, width):
    """The soft roots of how far each ground is under water, summed, for a row of places. `kept`
    holds 1 or 0 for each ground.
    """
    lanes = FLOOD_LANES
    keep = arena.load(kept, lanes)
    for x in simd.span(0, width, 1):
        at = x * lanes
        depth = (arena.load(water + at, lanes) - arena.load(ground + at, lanes)) * keep
        arena.store(output + x, simd.total(simd.root(depth + SOFT) - SOFT**0.5))


@inner
def enclosed_map(buffers, whitening, brightest, scratch, variant):
    """How enclosed each place is, at level 4: by depths that are not flat next to the signal."""
    arena, levels, _, places, settings = buffers
    level = settings[CORNER_LEVEL] + 1
    height, width, pitch = levels[level, HEIGHT], levels[level, WIDTH], levels[level, PITCH]
    inverse = whitening[TRIANGLES, PLANE_GROUP]
    fill_grounds(buffers, inverse, 1 + 2 * constant(variant, "colour"), level)
    ground = places[FLOOD]
    flood(arena, ground, height, width)
    water = ground + FLOOD_LANES * height * width
    deepest(arena, ground, water, height * width, scratch)
    half = FLOOD_LANES // 2
    for k in range(FLOOD_LANES):
        plane = min(k % half, 2)
        signal = max(brightest if plane == 0 else 1.0, DARK)
        flat = arena[scratch + k] <= np.float32(FLAT * signal * inverse[plane, plane])
        arena[scratch + k] = 0.0 if flat else 1.0
    depths = places[STEPS]
    for y in range(height):
        row = FLOOD_LANES * width * y
        depth_row(arena, ground + row, water + row, scratch, depths + y * pitch, width)
    to_map_level(buffers, level, depths, depths, places[FIGURE], scratch, variant)


# --- corners -----------------------------------------------------------------------------------


@simd.function(simd.types.float32)
def second_least(arena, energies, stride, output, width):
    """The energy that three of the four directions reach, for a row at level 4; the highest."""
    highest = simd.Carry(arena.load(energies) * 0.0)
    for x in simd.span(0, width, LANES):
        a, b, c, d = (arena.load(energies + stride * k + x) for k in range(COUNT))
        low = simd.minimum(a, b), simd.minimum(c, d)
        high = simd.maximum(a, b), simd.maximum(c, d)
        kept = simd.minimum(simd.maximum(*low), simd.minimum(*high))
        arena.store(output + x, kept)
        inside = simd.ramp(x) < width
        highest.set(simd.select(inside, simd.maximum(kept, highest.get()), highest.get()))
    return simd.extreme(highest.get(), simd.maximum)


@inner
def corners_map(buffers, brightest, scratch, variant):
    """Where corners are, at level 4; none where the highest is flat next to the signal."""
    arena, levels, _, places, settings = buffers
    level = settings[CORNER_LEVEL]
    step = levels[level + 1, HEIGHT] * levels[level + 1, PITCH] + PAD
    stride, pitch = places[MAP_STRIDE], places[MAP_PITCH]
    height, width = levels[MAP_LEVEL, HEIGHT], levels[MAP_LEVEL, WIDTH]
    energies = places[FIGURE] + ENERGIES * stride
    for k in range(COUNT):
        source = levels[level, PLANES] + (ORIENTED + k) * levels[level, PLANE_STRIDE]
        between = places[STEPS] + (1 + k) * step
        to_map_level(buffers, level, source, between, energies + k * stride, scratch, variant)
    corners = places[FIGURE] + CORNERS * stride
    highest = 0.0
    for y in range(height):
        row = y * pitch
        highest = max(highest, second_least(arena, energies + row, stride, corners + row, width))
    if highest <= np.float32(FLAT * max(brightest, DARK)):
        clear(arena, corners, height * pitch)


# --- to level 4 --------------------------------------------------------------------------------


@inner
def to_map_level(buffers, level, source, between, target, scratch, variant):
    """A map of a level at level 4: reduced from a finer level (by way of `between`, of the next
    level's size, from level 2), enlarged from a coarser.
    """
    _, levels, _, places, _ = buffers
    pitch = places[MAP_PITCH]
    if level < MAP_LEVEL - 1:
        halve_map(buffers, level, source, between, levels[level + 1, PITCH], scratch, variant)
        halve_map(buffers, level + 1, between, target, pitch, scratch, variant)
    elif level < MAP_LEVEL:
        halve_map(buffers, level, source, target, pitch, scratch, variant)
    else:
        enlarge_map(buffers, level, source, target, variant)


@inner
def enlarge_map(buffers, level, source, target, variant):
    """A map of level 4 or a coarser one at level 4, on the pyramid's own grid."""
    arena, levels, _, places, _ = buffers
    coarse, width = levels[level, WIDTH], levels[MAP_LEVEL, WIDTH]
    for y in range(levels[MAP_LEVEL, HEIGHT]):
        above, below, down = between_samples(y, level, levels[level, HEIGHT], variant)
        above = source + above * levels[level, PITCH]
        below = source + below * levels[level, PITCH]
        row = target + y * places[MAP_PITCH]
        for x in range(width):
            left, right, across = between_samples(x, level, coarse, variant)
            a = arena[above + left] + (arena[below + left] - arena[above + left]) * down
            b = arena[above + right] + (arena[below + right] - arena[above + right]) * down
            arena[row + x] = a + (b - a) * across


@inlined
def between_samples(p, level, size, variant):
    """The two samples of a coarse axis on either side of sample `p` at level 4, and how far on."""
    factor = np.int64(1) << (level - MAP_LEVEL)
    if constant(variant, "grid") == REPLICATE:
        low = min(p // factor, size - 1)
        return low, low, np.float32(0)
    at = p / factor
    if constant(variant, "grid") == CENTRED:
        at = (p + 0.5) / factor - 0.5
    at = min(max(at, 0.0), size - 1.0)
    low = np.int64(at)
    return low, min(low + 1, size - 1), np.float32(at - low)
