"""Graph-based visual saliency: the stages of `references.gbvs`.

The Gabors are separable, or sums of a few shifted separable ones, so that rows are filtered
down, then across, then (the diagonal ones) along their diagonals. Energies never reach memory
at their level's size: each row is added to the rows of the 48-sample maps at once.
"""

from __future__ import annotations

from functools import cache, partial, reduce

import numpy as np

from ...features import ORIENTATIONS
from ...references.gbvs import FLAT, GABOR, GREY_STEP, SIDE, blur_taps
from .. import rows as r
from .. import simd
from ..bands import (
    ACROSS,
    BAND_BYTES,
    BAND_COUNT,
    BANDS,
    DIAGONAL,
    DOWN,
    EXTEND,
    FIRST_SUM,
    LAST,
    LIGHT_LEVELS,
    MAPS,
    MARGIN,
    NEAR,
    REACHED,
    REACHING,
    RING,
    STEPS,
    SUM_PITCH,
    SUM_ROWS,
    SUMS,
    around,
    filter_row,
)
from ..simd import I16, I32, I64, LANES, Context, Memory, Record, Value
from .downsample import Across, clear, downsample_arena, weighted
from .opponency import downsample_level_1, load_fixed_point, pixel_rows
from .task import Task, stream

REACH = GABOR.half
ANGLES = len(ORIENTATIONS)
AROUND = around(LANES)
BOX_STEPS = range(3, REACH, 3)  # samples that stand for all of a filter's square, and the middle


# --- the Gabors' factors -----------------------------------------------------------------------


@cache
def axial_taps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Even and odd factor along the wave, from the middle on, and the factor across it."""
    at = np.arange(-REACH, REACH + 1)
    across, window = np.exp(-(at**2) / 32), (abs(at) <= NEAR) * np.exp(-(at**2) / 8)
    factors = []
    for factor, phase in ((window * np.cos(2 * at), 0), (window * np.sin(2 * at), 90)):
        filter_ = np.outer(factor, across)
        without_mean = filter_ - filter_.mean()
        scale = (without_mean * GABOR.kernel(0, phase)).sum() / (without_mean**2).sum()
        factors.append(factor[REACH:] * scale)
    return factors[0], factors[1], across[REACH:]


@cache
def diagonal_taps() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cosine and sine from the middle on; weights along the diagonal, of the even filter and of
    the odd one.
    """
    at = np.arange(-NEAR, NEAR + 1)
    wave, window = np.sqrt(2) * at, np.exp(-(at**2) / 8)
    cosine, sine = window * np.cos(wave), window * np.sin(wave)
    even = np.outer(cosine, cosine) + np.outer(sine, sine)
    odd = np.outer(sine, cosine) - np.outer(cosine, sine)
    side = 2 * (NEAR + DIAGONAL) + 1
    square = slice(side // 2 - REACH, side // 2 + REACH + 1)
    weights = []
    for part, phase in ((even, 0), (odd, 90)):
        shifted, target = np.zeros((STEPS + 2, side, side)), np.zeros((side, side))
        for step in range(-STEPS, STEPS + 1):
            place = slice(DIAGONAL + 2 * step, DIAGONAL + 2 * step + len(at))
            shifted[abs(step), place, place] += part
        shifted[-1, square, square] = 1  # the mean
        target[square, square] = GABOR.kernel(45, phase)
        weights.append(np.linalg.lstsq(shifted.reshape(len(shifted), -1).T, target.ravel())[0])
    return cosine[NEAR:], sine[NEAR:], weights[0][:-1], weights[1][:-1]


def folded_sum(taps: np.ndarray) -> float:
    """Sum of a symmetric filter that is given from the middle on."""
    return float(2 * taps.sum() - taps[0])


def means() -> tuple[float, float]:
    """What of the samples of the square to subtract from the even filters, so that a flat frame
    gives 0: of the axial ones and of the diagonal ones.
    """
    (even, _, across), (cosine, _, steps, _) = axial_taps(), diagonal_taps()
    samples = (2 * len(BOX_STEPS) + 1) ** 2
    axial = folded_sum(even) * folded_sum(across)
    return axial / samples, folded_sum(cosine) ** 2 * folded_sum(steps) / samples


# --- the finest level of colour bytes ----------------------------------------------------------


def downsample_bytes(task: Task, row: Record) -> None:
    """A pair of the frame's rows to max(r, g, b), r, g and b, one step; whole weights not undone.

    As `opponency.downsample_pixels`, but int16 along y, which holds 32 bytes' sum.
    """
    arena, step, weights = task.arena, row.record(r.STEP), task.facts.weights
    pixels, even, odd = pixel_rows(task, row)
    rows = arena.at(row[r.WEIGHTS])
    lanes = 2 * LANES
    start = arena.at(task.scratch + step[r.STATE]).data
    state = simd.memory_at(Value(arena.b, arena.b.ptrtoint(start, I64)), "int16")
    stride = step[r.STATE_STRIDE]
    parts, planes = len(weights), len(task.facts.planes)
    masks = [reduce(simd.maximum, [rows[2 * i + e] for i in range(parts)]) for e in (0, 1)]
    masks = [simd.select(mask > 0.0, simd.number(arena, 1, I16), 0).splat(lanes) for mask in masks]
    interior = rows[2 * parts] > 0.0
    across = Across(task, row, [rows[2 * parts + 1]] * planes, task.scratch)

    def samples(x, factors=None):
        found = []
        for at, factor in zip((even, odd), factors or (None, None), strict=True):
            channels = load_fixed_point(pixels, at + x * 6)
            if task.facts.order == "bgr":
                channels = channels[::-1]
            if factor is not None:
                channels = [channel * factor for channel in channels]
            found.append([reduce(simd.maximum, channels), *channels])
        return [sample for pair in zip(*found, strict=True) for sample in pair]

    for x in simd.span(0, step[r.PAIRS], LANES):
        pairs = simd.either(interior, partial(samples, x), partial(samples, x, masks))
        both = []
        for plane in range(planes):
            at = [x * 2 + stride * (plane * (parts - 1) + k) for k in range(parts - 1)]
            opened = [*(state.load(a, lanes) for a in at), None]
            evens, odds = pairs[2 * plane : 2 * plane + 2]
            complete, *others = (
                weighted(sums, evens, odds, *w) for sums, w in zip(opened, weights, strict=True)
            )
            for a, sums in zip(at, others, strict=True):
                state.store(a, sums)
            both.append(simd.even_odd_int16(complete))
        across(x, both)
    across.finish()


planes = stream(
    {r.CLEAR: clear, r.DOWNSAMPLE_PIXELS: downsample_bytes, r.DOWNSAMPLE: downsample_level_1}
)


# --- levels ------------------------------------------------------------------------------------


def extend(task: Task, row: Record) -> None:
    """Repeat the first and the last sample of a row beside it."""
    start, width = row[r.HERE], row[r.WIDTH]
    here = task.arena.at(start)
    first, last = here[0].splat(), here[width - 1].splat()
    for x in range(0, MARGIN, LANES):
        here.store(x - MARGIN, first)
        here.store(width + x, last)


levels = stream({r.CLEAR: clear, r.DOWNSAMPLE: downsample_arena, EXTEND: extend})


# --- orientation -------------------------------------------------------------------------------


class Band:
    """A band of a level in the code being written, and the sums that its rows are added to."""

    def __init__(self, task: Value, context: Context, table: Memory) -> None:
        address = Value(task.b, task.b.ptrtoint(table.data, I64))
        self.record = Record(address + task * BAND_BYTES)
        self.arena, self.context = context.arena, context
        self.source, self.pitch, self.height, self.width, self.first, self.last = (
            self.record[column] for column in range(LAST + 1)
        )

    def row(self, y: Value) -> Value:
        """Where a row lies; outside, the nearest."""
        y = simd.select(y < 0, 0, y)
        y = simd.select(y < self.height, y, self.height - 1)
        return self.source + y * self.pitch

    def sum_start(self, plane: int) -> Value:
        """Where the sums of a plane lie."""
        size = self.record[SUM_ROWS] * self.record[SUM_PITCH]
        return self.record[SUMS] + size * plane

    def clear(self, planes: int) -> None:
        """Zero the sums."""
        zero = simd.zeros(self.arena)
        for x in simd.span(self.sum_start(0), self.sum_start(planes), LANES):
            self.arena.store(x, zero)

    def add(self, y: Value, rows: list[tuple[int, Value]], weights: int) -> None:
        """Add row `y` of some planes, each at a place in the arena, to the map's rows."""
        arena, pitch = self.arena, self.record[SUM_PITCH]
        reached = simd.memory_at(self.record[REACHED] + y * 16, "i8")
        starts = [self.sum_start(plane) for plane, _ in rows]
        for out in simd.span(reached[0], reached[1], 1):
            weight = arena[self.record[weights] + y * SIDE + out].splat()
            offset = (out - self.record[FIRST_SUM]) * pitch
            for x in simd.span(0, self.width, LANES):
                for start, (_, row) in zip(starts, rows, strict=True):
                    at = start + offset + x
                    arena.store(at, arena.load(at) + arena.load(row + x) * weight)


def pairs(load, reach: int):
    """Sums and differences of the samples k before and after, for k from 1 on."""
    for k in range(1, reach + 1):
        before, after = load(-k), load(k)
        yield k, before + after, after - before


def orientation(task, worker, context, facts):
    """A band's energies of all angles, faded at the level's border, added to the map's rows."""
    arena = context.arena
    band = Band(task, context, context.orientation)
    scratch = context.scratch + worker * context.scratch_size + AROUND
    width, length = band.width, filter_row(band.width, LANES)
    even, odd, across = axial_taps()
    cosine, sine, even_steps, odd_steps = diagonal_taps()
    axial_mean, diagonal_mean = means()
    names = ("across", "even", "odd", "cosine", "sine", "box")
    planes = ANGLES + 1  # of a row of the ring
    down = {name: scratch + length * k for k, name in enumerate(names)}
    energies = [scratch + length * (len(names) + k) for k in range(ANGLES)]
    ring = scratch + length * (len(names) + ANGLES)
    band.clear(ANGLES)

    def filter_down(y):
        """All filters along y of one row."""
        rows = {k: arena.at(band.row(y + k)) for k in range(-REACH, REACH + 1)}
        for x in simd.span(-AROUND, width + (AROUND - LANES + 1), LANES):
            middle = rows[0].load(x)
            sums = {
                "across": middle * across[0], "even": middle * even[0], "odd": None,
                "cosine": middle * cosine[0], "sine": None, "box": middle,
            }  # fmt: skip

            def add(name, value, tap, sums=sums):
                sums[name] = value * tap if sums[name] is None else sums[name] + value * tap

            for k, total, difference in pairs(lambda k, x=x: rows[k].load(x), REACH):
                add("across", total, across[k])
                if k in BOX_STEPS:
                    add("box", total, 1.0)
                if k <= NEAR:
                    add("even", total, even[k])
                    add("odd", difference, odd[k])
                    add("cosine", total, cosine[k])
                    add("sine", difference, sine[k])
            for name, value in sums.items():
                arena.store(down[name] + x, value)

    def filter_axes(slot):
        """The energies of waves down and across."""
        for x in simd.span(0, width, LANES):
            loads = {name: lambda k, at=down[name] + x: arena.load(at + k) for name in names}
            wave = [loads["across"](0) * even[0], None]
            for k, total, difference in pairs(loads["across"], NEAR):
                wave[0] = wave[0] + total * even[k]
                product = difference * odd[k]
                wave[1] = product if wave[1] is None else wave[1] + product
            mean = arena.load(slot + length * ANGLES + x) * axial_mean
            energy = simd.absolute(wave[0] - mean) + simd.absolute(wave[1])
            arena.store(energies[2] + x, energy)
            both = []
            for name in ("even", "odd"):
                value = loads[name](0) * across[0]
                for k, total, _ in pairs(loads[name], REACH):
                    value = value + total * across[k]
                both.append(simd.absolute(value - mean if name == "even" else value))
            arena.store(energies[0] + x, both[0] + both[1])

    def filter_diagonals(slot):
        """The separable parts of the diagonal waves: both angles' even and odd ones."""
        for x in simd.span(-DIAGONAL, width + DIAGONAL, LANES):
            products = {}
            for name in ("cosine", "sine"):
                at = down[name] + x
                real, imaginary = arena.load(at) * cosine[0], None
                for k, total, difference in pairs(lambda k, at=at: arena.load(at + k), NEAR):
                    real = real + total * cosine[k]
                    product = difference * sine[k]
                    imaginary = product if imaginary is None else imaginary + product
                products[name] = real, imaginary
            (cc, cs), (sc, ss) = products["cosine"], products["sine"]
            at = down["box"] + x
            box = arena.load(at)
            for k in BOX_STEPS:
                box = box + (arena.load(at - k) + arena.load(at + k))
            for plane, value in enumerate((cc + ss, sc - cs, cc - ss, sc + cs, box)):
                arena.store(slot + length * plane + x, value)

    def filter_along(y):
        """The energies of the diagonal waves of a row whose neighbours are in the ring."""
        slots = {step: ring_slot(y + 2 * step) for step in range(-STEPS, STEPS + 1)}
        for x in simd.span(0, width, LANES):
            mean = arena.load(slots[0] + length * ANGLES + x) * diagonal_mean
            for angle, sign, first in ((1, 1, 0), (3, -1, 2)):
                total = None
                for plane, weights in ((first, even_steps), (first + 1, odd_steps)):

                    def load(step, plane=plane, x=x, sign=sign):
                        return arena.load(slots[step] + length * plane + x + 2 * step * sign)

                    value = load(0) * weights[0]
                    for k, both, _ in pairs(load, STEPS):
                        value = value + both * weights[k]
                    size = simd.absolute(value - mean if plane == first else value)
                    total = size if total is None else total + size
                arena.store(energies[angle] + x, total)

    def ring_slot(y):
        at = y - band.first + DIAGONAL
        return ring + (at - at // RING * RING) * (length * planes)

    for y in simd.span(band.first - DIAGONAL, band.last + DIAGONAL, 1):
        filter_down(y)
        filter_diagonals(ring_slot(y))
        inside = (y >= band.first) & (y < band.last)
        with simd.when(inside):
            filter_axes(ring_slot(y))
            band.add(y, [(0, energies[0]), (2, energies[2])], DOWN)
        before = y - DIAGONAL
        with simd.when(before >= band.first):
            filter_along(before)
            band.add(before, [(1, energies[1]), (3, energies[3])], DOWN)


# --- features ----------------------------------------------------------------------------------


def colours(task, worker, context, facts):
    """A band's intensity and the light of its red, green and blue, added to the map's rows."""
    arena = context.arena
    band = Band(task, context, context.levels)
    lights = facts.lights
    scratch = context.scratch + worker * context.scratch_size
    length = band.record[SUM_PITCH]
    band.clear(1 + lights)
    for y in simd.span(band.first, band.last, 1):
        row = band.source + y * band.pitch
        rows = [(0, row)]
        for channel in range(lights):
            table = arena.at(context.light_levels + channel * LIGHT_LEVELS)
            source = row + context.plane_stride * (1 + channel)
            target = scratch + length * channel
            for x in simd.span(0, band.width, LANES):
                level = simd.maximum(arena.load(source + x) * 255.0 - GREY_STEP, 0.0)
                level = simd.minimum(level, 255.0).to(I32)
                light = simd.vector([table[level[lane].to(I64)] for lane in range(LANES)])
                arena.store(target + x, light)
            rows.append((1 + channel, target))
        band.add(y, rows, DOWN)


def resize_across(context: Context, record: Record, worker: Value, planes: int) -> None:
    """Write the code that sums the bands' parts of some maps and resizes them across."""
    arena, pitch = context.arena, context.map_pitch
    scratch = context.scratch + worker * context.scratch_size
    bands, count = record[BANDS], record[BAND_COUNT]
    length = Record(bands)[SUM_PITCH]
    reaching = simd.memory_at(record[REACHING], "i8")
    for y in simd.span(0, context.map_height, 1):
        for x in simd.span(scratch, scratch + length * planes, LANES):
            arena.store(x, simd.zeros(arena))
        for address in simd.span(bands, bands + count * BAND_BYTES, BAND_BYTES):
            band = Record(address)
            at = y - band[FIRST_SUM]
            with simd.when((at >= 0) & (at < band[SUM_ROWS])):
                for plane in range(planes):
                    row = scratch + length * plane
                    start = band[SUMS] + (band[SUM_ROWS] * plane + at) * length
                    for x in simd.span(0, length, LANES):
                        arena.store(row + x, arena.load(row + x) + arena.load(start + x))
        for x in simd.span(0, context.map_width, LANES):
            ends = reaching.at(x // LANES * 2)
            totals = [simd.Carry(simd.zeros(arena)) for _ in range(planes)]
            for source in simd.span(ends[0], ends[1], 1):
                weights = arena.load(record[ACROSS] + source * SIDE + x)
                for plane, total in enumerate(totals):
                    sample = arena[scratch + length * plane + source]
                    total.set(total.get() + weights * sample.splat())
            for plane, total in enumerate(totals):
                target = record[MAPS] + context.map_stride * plane + y * pitch
                arena.store(target + x, total.get())


def features(task, worker, context, facts):
    """A level's maps of one kind; of colour, light is turned into the axes of DKL behind them."""
    arena = context.arena
    address = Value(task.b, task.b.ptrtoint(context.resampling.data, I64))
    record = Record(address + task * (8 * r.TASK_COLUMNS))
    planes = facts.planes
    resize_across(context, record, worker, planes)
    if not facts.matrix:
        return
    light = record[MAPS] + context.map_stride
    size = context.map_height * context.map_pitch
    for x in simd.span(0, size, LANES):
        channels = [arena.load(light + context.map_stride * k + x) for k in range(3)]
        for k, (*factors, offset) in enumerate(facts.matrix):
            value = channels[0] * factors[0] + offset
            for channel, factor in zip(channels[1:], factors[1:], strict=True):
                value = value + channel * factor
            arena.store(light + context.map_stride * k + x, value)


# --- activation --------------------------------------------------------------------------------


def extent(context: Context, start: Value) -> tuple[Value, Value]:
    """The lowest and the highest sample of a map."""
    arena, width = context.arena, context.map_width
    first = arena[start].splat()
    low, high = simd.Carry(first), simd.Carry(first)
    for y in simd.span(0, context.map_height, 1):
        for x in simd.span(0, width, LANES):
            here = arena.load(start + y * context.map_pitch + x)
            here = simd.select(simd.ramp(x) < width, here, first)
            low.set(simd.minimum(here, low.get()))
            high.set(simd.maximum(here, high.get()))
    lowest = simd.extreme(low.get(), simd.minimum)
    return lowest, simd.extreme(high.get(), simd.maximum)


def activation(task, worker, context, facts):
    """The equilibrium of one feature map's Markov chain, to the power of 1.5.

    Weights between two places are |a - b| g, g a Gaussian of their distance. They are symmetric,
    so the equilibrium is proportional to each place's sum of them, here as 2 max(a, b) - a - b.
    A map that is flat beside its level's intensity, or its own size, activates all places alike.
    """
    arena, pitch, height, width = (
        context.arena, context.map_pitch, context.map_height, context.map_width,
    )  # fmt: skip
    signal, source, output = (context.maps[task * 3 + k] for k in range(3))
    values = context.scratch + worker * context.scratch_size
    row_sums = values + SIDE * SIDE
    lowest, highest = extent(context, source)
    span = highest - lowest
    vectors = facts.vectors
    one = simd.zeros(arena, 1) + 1.0
    brightest = reduce(simd.maximum, [extent(context, signal)[1], highest, 0.0 - lowest])
    flat = span <= brightest * FLAT
    scale = one / simd.select(flat, one, span)
    for y in simd.span(0, height, 1):
        for x in range(0, vectors * LANES, LANES):
            value = (arena.load(source + y * pitch + x) - lowest) * scale
            arena.store(values + y * SIDE + x, value)
    for x in range(0, SIDE, LANES):
        arena.store(row_sums + x, simd.zeros(arena))
    total = simd.Carry(simd.zeros(arena, 1))
    for x in simd.span(0, width, 1):
        across = [arena.load(context.graph_across + x * SIDE + k * LANES) for k in range(vectors)]

        def row_sum(y, pick, across=across):
            """Sums over a row, lane by lane, of what is picked."""
            parts = []
            for k, weight in enumerate(across):
                product = pick(arena.load(values + y * SIDE + k * LANES)) * weight
                if len(parts) < 2:
                    parts.append(product)
                else:
                    parts[k % 2] = parts[k % 2] + product
            return parts[0] + parts[1] if len(parts) > 1 else parts[0]

        for y in simd.span(0, height, 1):
            arena.store(row_sums + y, simd.total(row_sum(y, lambda b: b)))
        for y in simd.span(0, height, 1):
            here = arena[values + y * SIDE + x]
            a = here.splat()
            highs, down = simd.Carry(simd.zeros(arena)), context.graph_down + y * SIDE
            for other in simd.span(0, height, 1):
                part = row_sum(other, lambda b, a=a: simd.maximum(a, b))
                highs.set(highs.get() + part * arena[down + other].splat())
            sums = simd.zeros(arena)
            for k in range(0, SIDE, LANES):
                sums = sums + arena.load(down + k) * arena.load(row_sums + k)
            highest_sum = highs.get()
            reached = arena[context.graph_sums + y * SIDE + x]
            degree = simd.total(highest_sum + (highest_sum - sums)) - here * reached
            degree = simd.select(flat, one, simd.maximum(degree, 0.0))
            arena.store(output + y * pitch + x, degree)
            total.set(total.get() + degree)
    inverse = one / total.get()
    for y in simd.span(0, height, 1):
        for x in range(0, vectors * LANES, LANES):
            at = output + y * pitch + x
            p = arena.load(at) * inverse
            arena.store(at, p * simd.root(p))


# --- combine -----------------------------------------------------------------------------------


def combine(task, worker, context, facts):
    """The channels' sums of activations; their weighted sum, faded, blurred, and from 0 to 1."""
    arena, pitch, height, width = (
        context.arena, context.map_pitch, context.map_height, context.map_width,
    )  # fmt: skip
    stride = context.map_stride
    scratch = context.scratch + worker * context.scratch_size
    faded, down = scratch, scratch + SIDE * SIDE
    for y in simd.span(0, height, 1):
        for x in simd.span(0, width, LANES):
            at, all_ = y * pitch + x, None
            for channel, maps in enumerate(facts.channels):
                weight, sum_ = arena[context.channel_weights + channel], None
                for number in maps:
                    p = arena.load(context.activations + stride * number + at)
                    sum_ = p if sum_ is None else sum_ + p
                arena.store(context.conspicuities + stride * channel + at, sum_)
                all_ = sum_ * weight if all_ is None else all_ + sum_ * weight
            fade = arena.load(context.map_fade + y * SIDE + x)
            arena.store(faded + y * SIDE + x, all_ * fade)
    taps = [float(tap) for tap in blur_taps()]
    reach = len(taps) // 2

    def inside(at: Value, size: Value) -> Value:
        at = simd.select(at < 0, 0, at)
        return simd.select(at < size, at, size - 1)

    for y in simd.span(0, height, 1):
        rows = [faded + inside(y + k, height) * SIDE for k in range(-reach, reach + 1)]
        for x in simd.span(0, width, LANES):
            blurred = None
            for row, tap in zip(rows, taps, strict=True):
                product = arena.load(row + x) * tap
                blurred = product if blurred is None else blurred + product
            arena.store(down + y * SIDE + x, blurred)
    lowest = simd.Carry(simd.zeros(arena, 1) + 1e30)
    highest = simd.Carry(simd.zeros(arena, 1))
    for y in simd.span(0, height, 1):
        for x in simd.span(0, width, 1):
            blurred = None
            for k, tap in zip(range(-reach, reach + 1), taps, strict=True):
                product = arena[down + y * SIDE + inside(x + k, width)] * tap
                blurred = product if blurred is None else blurred + product
            arena.store(faded + y * SIDE + x, blurred)
            lowest.set(simd.minimum(blurred, lowest.get()))
            highest.set(simd.maximum(blurred, highest.get()))
    low, span = lowest.get(), highest.get() - lowest.get()
    one = simd.zeros(arena, 1) + 1.0
    scale = simd.select(span > 0.0, one / simd.select(span > 0.0, span, one), 0.0)
    for y in simd.span(0, height, 1):
        for x in simd.span(0, width, 1):
            value = (arena[faded + y * SIDE + x] - low) * scale
            context.out.store(y * width + x, value)
            arena.store(context.saliency + y * pitch + x, value)
