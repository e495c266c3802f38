"""Weighted sums of normalised maps, and the saliency map in the caller's array (P98, eqs. 5-8)."""

from __future__ import annotations

from ...plan import MOVING_FIGURE, PROMOTION
from .. import rows as r
from .. import simd
from ..simd import Record
from .task import Task, blocks


def combine(task, worker, context, facts):
    """One sum of maps, each scaled and shifted by its own two numbers: a feature's maps, a
    channel's features, or the channels; these promote figures, where the config has them. No term
    is negative, but sums may round to just under 0.
    """
    task, arena = Task(task, worker, context, facts), context.arena
    first, last, output = task.record[r.FIRST_ROW], task.record[r.END_ROW], task.output
    parts = [(first, last)]
    if facts.figure:
        middle = last - task.extra * r.SOURCE_BYTES
        parts = [(first, middle), (middle, last)]
    offsets = []
    for part in parts:
        shift = simd.Carry(simd.zeros(arena, 1))
        for source in simd.span(*part, r.SOURCE_BYTES):
            shift.set(shift.get() + arena[Record(source)[r.SOURCE_AFFINE] + 1])
        offsets.append(shift.get().splat())
    size = context.map_height * context.map_pitch
    for x, vectors in blocks(size):
        sums = [[simd.Carry(offset) for _ in vectors] for offset in offsets]
        for part, totals in zip(parts, sums, strict=True):
            for source in simd.span(*part, r.SOURCE_BYTES):
                record = Record(source)
                scale, start = arena[record[r.SOURCE_AFFINE]].splat(), record[r.SOURCE_MAP] + x
                for k, total in zip(vectors, totals, strict=True):
                    total.set(total.get() + arena.load(start + k) * scale)
        for k, *totals in zip(vectors, *sums, strict=True):
            value = totals[0].get()
            if facts.figure:
                moving, figure = totals[1].get(), arena.load(context.figures + x + k)
                value = (value + moving) * figure + moving * MOVING_FIGURE
            arena.store(output + x + k, simd.maximum(value, 0.0))


def write_map(task, worker, context, facts):
    """The normalised sum to the caller's array: with the figures that it promotes, times corners,
    the caller's gain and the prior of place, and smoothed over time, where these are asked for.
    """
    arena, out, affine = context.arena, context.out, context.saliency_affine
    scale, offset = arena[affine], arena[affine + 1]
    factor, width = context.smoothing_factor.to(simd.F32), context.map_width
    for y in simd.span(0, context.map_height, 1):
        row = arena.at(context.saliency + y * context.map_pitch)
        figures = arena.at(context.figures + y * context.map_pitch)
        if facts.gain:
            gain = arena.at(context.gain + y * context.map_pitch)
        if facts.prior:
            across = arena.at(context.centre_prior)
            down = arena[context.centre_prior + context.map_pitch + y]
        for x in simd.span(0, width, 1):
            at = y * width + x
            # The lowest value times its scale may round to just under its offset.
            value = simd.maximum(row[x] * scale + offset, 0.0)
            if facts.figure:
                corners = figures[context.map_stride + x]
                value = (figures[x] + value * (1 / PROMOTION)) * corners
            if facts.gain:
                value = value * gain[x]
            if facts.prior:
                value = value * (across[x] * down)
            if facts.smoothed:
                before = context.previous_map[at]
                smooth = before + (value - before) * factor
                value = simd.select(factor < 1.0, smooth, value)
                context.next_map.store(at, value)
            out.store(at, value)
