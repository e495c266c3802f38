"""42 maps to 7 features, 3 conspicuity maps and 1 saliency map: weighted sums of normed maps."""

from __future__ import annotations

from . import simd
from .jit import inner
from .simd import LANES


@simd.function()
def weighted_sum(arena, first, stride, weights, output, size, count):
    """The sum over `count` planes `stride` apart of scale x + offset, pairs lying at `weights`."""
    scales = [arena[weights + 2 * k].splat() for k in range(count)]
    offset = arena[weights + 1]
    for k in range(1, count):
        offset = offset + arena[weights + 2 * k + 1]
    offset = offset.splat()
    for x in simd.span(0, size, LANES):
        result = offset
        for k, scale in enumerate(scales):
            result = result + arena.load(first + stride * k + x) * scale
        arena.store(output + x, result)


@inner
def copy_map(arena, source, pitch, height, width, scale, offset, out):
    """A padded map to the caller's array."""
    for y in range(height):
        for x in range(width):
            out[y, x] = arena[source + y * pitch + x] * scale + offset
