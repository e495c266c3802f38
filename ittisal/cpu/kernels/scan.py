"""The brightest pixel of a frame, and the extent of a float one."""

from __future__ import annotations

from ...features import Signal
from ...plan import DARK, FLAT, REST
from .. import rows as r
from .. import simd
from ..kernel import Facts
from ..simd import F32, F64, I8, LANES, Carry, Context, Memory, Value
from .opponency import load_fixed_point, load_pixels, pixel_sum, unsigned_to_float

BLOCK = 3 * 4096  # bytes: small enough to stay in cache between the two passes over it
FINITE = 3e38
OVERRUN = 16  # elements that a vector may reach past the one it starts at
PARTIALS = 3  # of a task: brightest sum, lowest and highest element


def raise_to(best: Carry, value: Value) -> None:
    """Write the code for `best = max(best, value)`."""
    best.set(simd.maximum(value, best.get()))


def add_highest_byte(pixels: Memory, start: Value, stop: Value) -> Value:
    """Write the code for the highest byte of a block; `stop` is a multiple of 8 LANES away."""
    width = 4 * LANES
    best = [Carry(pixels.load(start + k * width, width)) for k in range(2)]
    for x in simd.span(start, stop, 2 * width):
        for k in range(2):
            best[k].set(simd.byte_maximum(best[k].get(), pixels.load(x + k * width, width)))
    highest = simd.extreme(simd.byte_maximum(best[0].get(), best[1].get()), simd.byte_maximum)
    return Value(highest.b, highest.b.zext(highest.v, simd.I64)).to(F32)


def raise_to_sums(best: Carry, pixels: Memory, start: Value, stop: Value, channels: int) -> None:
    """Write the code for the highest r + g + b of the pixels in whole vectors."""
    fixed_point = channels == 3 and pixels.element == I8

    def sums(x: Value) -> Value:
        values = load_fixed_point(pixels, x) if fixed_point else load_pixels(pixels, x, channels)
        return pixel_sum(values)

    with simd.when(start < stop):
        highest = Carry(sums(start))
        for x in simd.span(start, stop, LANES * channels * (2 if fixed_point else 1)):
            highest.set(simd.maximum(highest.get(), sums(x)))
        raise_to(best, simd.extreme(highest.get(), simd.maximum).to(F32))


def scan(task, worker, context, facts):
    """Brightest sum of one part of the frame and, of a float one, lowest and highest element: NaN
    both if there is one. The last task to end joins what all have found.

    In bytes a block whose highest could not beat the best sum so far is passed over, and a white
    pixel ends the search.
    """
    pixels, size = simd.memory_at(context.frame, facts.dtype), facts.channels
    total, partials = context.frame_size, context.partials.at(task * PARTIALS)
    count = total // size
    start, stop = (count * part // r.SCAN_TASKS * size for part in (task, task + 1))
    if facts.opponency == "walther" or facts.dtype == "float32":
        at = start + (stop - start) // LANES * LANES
        first = unsigned_to_float(pixels.load(start))
        low, high, nan_sum = Carry(first), Carry(first), Carry(first * 0.0)
        for x in simd.span(start, at, LANES):
            here = unsigned_to_float(pixels.load(x))
            low.set(simd.minimum(here, low.get()))
            high.set(simd.maximum(here, high.get()))
            nan_sum.set(nan_sum.get() + here * 0.0)
        lowest = Carry(simd.extreme(low.get(), simd.minimum))
        highest = Carry(simd.extreme(high.get(), simd.maximum))
        nan = Carry(simd.total(nan_sum.get()))
        for x in simd.span(at, stop, 1):
            here = unsigned_to_float(pixels[x])
            lowest.set(simd.minimum(here, lowest.get()))
            highest.set(simd.maximum(here, highest.get()))
            nan.set(nan.get() + here * 0.0)
        infinite = (lowest.get() < -FINITE) | (highest.get() > FINITE)
        nan_found = simd.is_nan(nan.get())  # or an infinity, which is reported itself
        for k, extreme in ((1, lowest.get()), (2, highest.get())):
            value = simd.select(nan_found, simd.select(infinite, extreme, nan.get()), extreme)
            partials.store(k, value.to(F64))
    best, full = Carry(simd.zeros(partials, 1)), (context.full * float(size)).to(F32)
    at = Carry(start)
    if facts.dtype == "uint8":
        last = simd.select(stop < total - OVERRUN, stop, total - OVERRUN)
        for block in simd.span(start, last - (BLOCK - 1), BLOCK):
            with simd.when(best.get() < full):
                highest = add_highest_byte(pixels, block, block + BLOCK)
                with simd.when(highest * float(size) > best.get()):
                    raise_to_sums(best, pixels, block, block + BLOCK, size)
            at.set(block + BLOCK)
    with simd.when(best.get() < full):
        block, start = 2 * LANES * size, at.get()
        last = simd.select(stop < total - OVERRUN, stop, total - OVERRUN)
        whole = simd.select(last > start, last - start, 0) // block * block
        raise_to_sums(best, pixels, start, start + whole, size)
        for x in simd.span(start + whole, stop, size):
            values = [unsigned_to_float(pixels[x + c]) for c in range(size)]
            raise_to(best, pixel_sum(values))
    partials.store(0, best.get().to(F64))
    with simd.when(simd.equal(context.count("scanned"), r.SCAN_TASKS - 1)):
        join_parts(context, facts)
        context.set("scanned", simd.number(partials, 0))


def join_parts(context: Context, facts: Facts) -> None:
    """Write the code for what the parts say of the frame: hue limit, signals, and whether a
    float one's values are good.
    """
    partials, signals = context.partials, context.signals
    brightest_sum, lowest, highest, nan = (Carry(partials[k]) for k in (0, 1, 2, 2))
    for i in simd.span(0, simd.number(partials, PARTIALS * r.SCAN_TASKS), PARTIALS):
        raise_to(brightest_sum, partials[i])
        lowest.set(simd.minimum(partials[i + 1], lowest.get()))
        raise_to(highest, partials[i + 2])
        nan.set(simd.select(simd.is_nan(partials[i + 2]), partials[i + 2], nan.get()))
    full, nan_found = context.full, simd.is_nan(nan.get())
    full_sum = full * float(facts.channels)
    best, high = brightest_sum.get(), simd.select(nan_found, nan.get(), highest.get())
    low = simd.select(nan_found, nan.get(), lowest.get())
    brightest = best / full_sum
    context.set("brightest", brightest)
    context.set("lowest", low)
    context.set("highest", high)
    if facts.dtype == "float32":
        good = (low >= 0.0) & (high <= 1 + 1e-6)
        context.set("bad_values", simd.select(good, simd.number(partials, 0), 1))
    if facts.opponency == "walther":  # compares max(r, g, b), not the sum
        full_sum, best = full, high
    limit = context.hue_threshold * simd.select(context.fixed_hue > 0, full_sum, best)
    context.set("hue_limit", simd.maximum(limit, full_sum * DARK))
    flicker = simd.maximum(context.background_brightness, brightest)
    rest = simd.maximum(flicker, REST / FLAT)  # a background that decays never quite arrives
    one = simd.number(partials, 1.0, F64)
    values = {
        Signal.ONE: one,
        Signal.BRIGHTEST: brightest,
        Signal.BRIGHTEST_SQUARED: brightest * brightest,
        Signal.FLICKER: simd.select(context.flicker_decay > 0.0, rest, flicker),
        Signal.HUE: brightest if facts.opponency == "linear" else one,
    }
    for signal, value in values.items():
        signals.store(signal.value, value)
