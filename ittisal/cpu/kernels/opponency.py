"""The frame to the finest level of intensity, colour opponency and flicker, in one pass.

Pixels are turned into planes in registers and downsampled on the way, twice unless levels are
shifted, so neither the planes at full size nor level 1 reach memory: only a few rows of it, in
cache. Flicker keeps something at full size, the background that it is measured against: read from
one buffer and written to another, so that bands may compute a row twice.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from .. import rows as r
from .. import simd
from ..simd import F32, I8, I16, I32, LANES, Memory, Record, Value
from .downsample import Samples, clear, downsample, downsample_rows, unit
from .task import Task, stream

# --- pixels ------------------------------------------------------------------------------------


def load_pixels(pixels: Memory, at: Value, channels: int) -> list[Value]:
    """LANES interleaved pixels from element `at`, as one float vector per channel."""
    if channels == 1:
        return [unsigned_to_float(pixels.load(at))]
    if pixels.element == I8:
        # Four pixels are 12 bytes: one 16-byte group each, so that a shuffle within groups,
        # cheap on every CPU, both picks a channel and widens it to int32.
        group = simd.concatenate([pixels.load(at + 12 * g, 16) for g in range(LANES // 4)])
        zero = Value(group.b, ir.Constant(group.v.type, None))
        planes = []
        for c in range(3):
            picked = []
            for lane in range(LANES):
                picked += [lane // 4 * 16 + lane % 4 * 3 + c, *[group.lanes] * 3]
            wide = simd.shuffle(group, zero, picked)
            planes.append(Value(wide.b, wide.b.bitcast(wide.v, ir.VectorType(I32, LANES))).to(F32))
        return planes
    first, second, third = (pixels.load(at + k * LANES) for k in range(3))
    both = simd.shuffle(first, second, range(2 * LANES))
    last = simd.shuffle(third, third, [*range(LANES), *range(LANES)])
    every_third = (simd.shuffle(both, last, range(c, 3 * LANES, 3)) for c in range(3))
    return [unsigned_to_float(channel) for channel in every_third]


def load_fixed_point(pixels: Memory, at: Value) -> list[Value]:
    """2 LANES interleaved uint8 pixels from element `at`, as one int16 vector per channel."""
    lanes = 2 * LANES
    if LANES == 16 and simd.PERMUTES_BYTES:
        low, high = pixels.load(at, 64), pixels.load(at + 32, 64)
        channels = []
        for c in range(3):
            bytes_ = [3 * lane + c for lane in range(lanes)]
            picked = [b if b < 64 else b + 32 for b in bytes_ for _ in (0, 1)]
            doubled = simd.as_type(simd.shuffle(low, high, picked), I16, lanes)
            channels.append(doubled & doubled._match(0xFF)[1])
        return channels
    # Eight pixels are 24 bytes: two overlapping 16-byte loads, so that shuffles within groups of
    # 16 bytes, cheap on every CPU, both pick a channel and widen it.
    groups = [[pixels.load(at + 24 * g + 8 * k, 16) for g in range(lanes // 8)] for k in (0, 1)]
    low, high = (simd.concatenate(group) for group in groups)
    zero = Value(low.b, ir.Constant(low.v.type, None))
    channels = []
    for c in range(3):
        picks: list[list[int]] = [[], []]
        for lane in range(lanes):
            byte, group = 3 * (lane % 8) + c, lane // 8 * 16
            picks[0] += [group + byte if byte < 16 else low.lanes, low.lanes]
            picks[1] += [group + byte - 8 if byte >= 16 else low.lanes, low.lanes]
        a, b = (simd.shuffle(v, zero, p) for v, p in zip((low, high), picks, strict=True))
        channels.append(simd.as_type(a | b, I16, lanes))
    return channels


def unsigned_to_float(a: Value) -> Value:
    """Pixels as float32, whatever they were."""
    if a.element == F32:
        return a
    kind = ir.VectorType(I32, a.lanes) if a.lanes > 1 else I32
    return Value(a.b, a.b.zext(a.v, kind)).to(F32)


def pixel_sum(channels: list[Value]) -> Value:
    """The sum of a pixel's channels, with the same bits in either order of them."""
    return (channels[0] + channels[2]) + channels[1] if len(channels) == 3 else channels[0]


def intensity(channels: list[Value], luma: tuple[float, ...]) -> Value:
    """Three times the intensity of a colour: the sum of the channels, or by weights of theirs."""
    if not luma:
        return pixel_sum(channels)
    r, g, b = (channel * (3 * weight) for channel, weight in zip(channels, luma, strict=True))
    return (r + b) + g


def opponents(
    r: Value, g: Value, b: Value, formula: str, luma: tuple[float, ...] = ()
) -> list[Value]:
    """Intensity and both opponents before division by brightness; then brightness, if it differs.

    The factor in `COLOUR_SCALE` is left out, so that integers stay integers. Differences come
    first, so that grey gives exactly 0.
    """
    if formula == "channels":
        return [simd.maximum(simd.maximum(r, g), b), r, g, b]
    brightness = intensity([r, g, b], luma)
    if formula == "linear":
        return [brightness, r - g, (b + b) - (r + g)]
    if formula == "walther":
        return [brightness, r - g, b - simd.minimum(r, g), simd.maximum(simd.maximum(r, g), b)]
    red_green = simd.excess(r + r, g + b) - simd.excess(g + g, r + b)
    if formula == "invt":
        spread = simd.maximum(r, g) - simd.minimum(r, g)
        yellow = simd.excess(r + g, (spread + spread) + (b + b))
    else:
        yellow = simd.excess(simd.minimum(r, g), b)
    return [brightness, red_green, simd.excess(b + b, r + g) - (yellow + yellow)]


def divide(rows: list[list[Value]], threshold: Value, formula: str) -> list[list[Value]]:
    """Opponents of two rows over brightness, and 0 where that is not above the threshold."""
    if formula in ("linear", "channels"):
        return rows
    brightness = [row[3] if len(row) > 3 else row[0] for row in rows]
    out = []
    for row, bright, hue in zip(rows, brightness, inverses(*brightness), strict=True):
        hue = simd.select(bright > threshold, hue, 0.0)
        out.append([row[0], row[1] * hue, row[2] * hue])
    return out


def inverses(a: Value, b: Value) -> tuple[Value, Value]:
    """1/a and 1/b with one division, the slowest instruction here; both at least 1e-15."""
    a, b = simd.maximum(a, 1e-15), simd.maximum(b, 1e-15)
    both = 1.0 / (a * b)
    return b * both, a * both


COLOUR_SCALE = {"itti": (1.5, 1.5), "invt": (0.5, 0.5), "walther": (1.0, 1.0), "linear": (3.0, 1.5)}

# A fixed-point background counts in 32nds, of which int16 holds the highest sum of three bytes.
FRACTION = 32
DECAY_ONE = 1 << 15  # its decay is a whole number of these


def flicker(total: Value, background: Memory, updated: Memory, at: Value, decay: Value) -> Value:
    """|I - P| of a vector of sums, P the background at `at`; stores P moved towards I.

    In fixed point the remaining difference is rounded towards 0, so that for a still picture the
    background arrives at exactly I.
    """
    if total.element != I16:
        difference = total - background.load(at)
        updated.store(at, total - difference * decay)
        return simd.absolute(difference)
    now, before = total * FRACTION, background.load(at, total.lanes)
    difference = now - before
    size = simd.maximum(difference, before - now)
    factor = (decay * DECAY_ONE + 0.5).to(I32).to(I16).splat(size.lanes)
    remaining = simd.high_product(size + size, factor)
    updated.store(at, simd.select(now > before, now - remaining, now + remaining))
    return size


def pixel_rows(task: Task, row: Record) -> tuple[Memory, Value, Value]:
    """A pair of the frame's rows: elements, and where either row starts among them.

    Rows that vectors would read past are copied to the worker's own first.
    """
    context = task.context
    variables = [simd.Carry(each) for each in (context.frame, row[r.EVEN], row[r.ODD])]
    with simd.when(row[r.AT_EDGE] > 0):
        copied = copy_edge(task, row), simd.number(row.address, 0), context.edge_size
        for variable, value in zip(variables, copied, strict=True):
            variable.set(value)
    frame, even, odd = (variable.get() for variable in variables)
    return simd.memory_at(frame, task.facts.dtype), even, odd


def pixel_planes(task: Task, row: Record) -> tuple[Callable[[Value], Samples], bool]:
    """A pair of the frame's rows, through opponency: a source for `downsample`, and its `split`."""
    context, facts, channels = task.context, task.facts, task.facts.channels
    pixels, even, odd = pixel_rows(task, row)
    fixed_point = channels == 3 and pixels.element == I8
    colour, flickers = bool(facts.opponency), "flicker" in facts.planes
    threshold = context.hue_limit.to(F32)

    def planes_of(rows):
        """Both rows' planes before the division: integers as long as they are."""
        if facts.order == "bgr":
            rows = [each[::-1] for each in rows]
        if not colour:  # the same bits in either order of the channels
            return [[intensity(each, facts.luma)] for each in rows]
        return [opponents(*each, facts.opponency, facts.luma) for each in rows]

    def flicker_of(rows, x):
        """Both rows' flicker, if there is any."""
        if not flickers:
            return []
        before = simd.memory_at(context.background, facts.background)
        after = simd.memory_at(context.next_background, facts.background)
        decay = context.flicker_decay.to(F32)
        starts = row[r.BACKGROUND_EVEN], row[r.BACKGROUND_ODD]
        return [
            flicker(each[0], before, after, start + x, decay)
            for each, start in zip(rows, starts, strict=True)
        ]

    def planes_in_order(rows, flicker_rows):
        """(even, odd) per plane, by the order of `Plan.pixel_planes`."""
        if colour:
            rows = divide(rows, threshold, facts.opponency)
        first, *others = zip(*(each[: len(facts.planes) - flickers] for each in rows), strict=True)
        return [first, *([tuple(flicker_rows)] if flicker_rows else []), *others]

    def source(x):
        if fixed_point:
            rows = [load_fixed_point(pixels, at + x * 3) for at in (even, odd)]
            if not facts.luma:
                rows = planes_of(rows)
            flicker_rows = [simd.even_odd_int16(value) for value in flicker_of(rows, x)]
            halves = [[simd.even_odd_int16(value) for value in each] for each in rows]
            for half in (0, 1):
                floats = [[value[half] for value in each] for each in halves]
                if facts.luma:  # its weights are no whole numbers
                    floats = planes_of(floats)
                yield planes_in_order(floats, [value[half] for value in flicker_rows])
        else:
            for start in (x, x + LANES):
                at = start * channels
                rows = planes_of([load_pixels(pixels, each + at, channels) for each in (even, odd)])
                yield planes_in_order(rows, flicker_of(rows, start))

    return source, fixed_point


def plane_scales(task: Task, steps: int) -> list[Value]:
    """What brings planes into the units of the model, whole weights of so many steps undone."""
    context, facts = task.context, task.facts
    undo = unit(facts.weights) ** steps
    grey = context.grey_scale.to(F32)
    fraction = FRACTION if facts.background == "int16" else 1
    scales = {"intensity": grey * undo, "flicker": grey * (undo / fraction)}
    factors = COLOUR_SCALE.get(facts.opponency, ())  # of grey frames none
    if facts.opponency == "channels":  # each of them goes up to full scale
        scales = dict.fromkeys(facts.planes, grey * (3 * undo))
    for name, factor in zip(("red_green", "blue_yellow"), factors, strict=False):
        if facts.opponency == "linear":  # not divided by brightness
            scales[name] = grey * (factor * undo)
        else:
            scales[name] = simd.constants(context.arena, [factor * undo] * LANES)
    return [scales[name].splat() for name in facts.planes]


def store_pixels(task: Task, row: Record) -> None:
    """A pair of the frame's rows to level 0, and zeros behind them."""
    source, split = pixel_planes(task, row)
    width = task.context.row_size // task.facts.channels
    scales, outputs = plane_scales(task, 0), [row[r.OUTPUT], row[r.ODD_OUTPUT]]
    for x in simd.span(0, width, 2 * LANES):
        inside = [simd.ramp(x + k * LANES) < width.to(I32) for k in (0, 1)]
        for plane, (*halves, scale) in enumerate(zip(*source(x), scales, strict=True)):
            for output, *samples in zip(outputs, *halves, strict=True):
                at = task.output + output + task.context.plane_stride * plane + x
                for k, value in enumerate(simd.interleaved(*samples) if split else samples):
                    stored = simd.select(inside[k], value * scale, 0.0)
                    task.arena.store(at + k * LANES, stored)


def downsample_pixels(task: Task, row: Record) -> None:
    """A pair of the frame's rows one step, to level 1."""
    source, split = pixel_planes(task, row)
    downsample(source, task, row, plane_scales(task, 1), task.output, split)


def downsample_pixels_first(task: Task, row: Record) -> None:
    """The same to rows of scratch; whole weights not undone."""
    source, split = pixel_planes(task, row)
    scales = [1.0] * len(task.facts.planes)
    downsample(source, task, row, scales, task.scratch, split)


def downsample_level_1(task: Task, row: Record) -> None:
    """A pair of those rows another step, to level 2."""
    downsample_rows(task, row, plane_scales(task, 2), task.scratch, task.output)


def copy_edge(task: Task, row: Record) -> Value:
    """Write the code that copies a pair of rows; where the copies are."""
    context, dtype = task.context, task.facts.dtype
    pixels, size = simd.memory_at(context.frame, dtype), context.edge_size
    address = context.edge_rows + task.worker * (size * (2 * simd.bytes_of(dtype)))
    copies = simd.memory_at(address, dtype)
    for x in simd.span(0, context.row_size, 1):
        copies.store(x, pixels[row[r.EVEN] + x])
        copies.store(size + x, pixels[row[r.ODD] + x])
    return address


# By the finest level.
level_0 = stream(store_pixels)
level_1 = stream({r.CLEAR: clear, r.DOWNSAMPLE_PIXELS: downsample_pixels})
level_2 = stream(
    {r.CLEAR: clear, r.DOWNSAMPLE_PIXELS: downsample_pixels_first, r.DOWNSAMPLE: downsample_level_1}
)
