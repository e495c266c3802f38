"""Pyramid levels to the energies of Gabor filters of 9x9, |even| + |odd|, zeros outside.

Under an envelope that is the same in all directions a Gabor filter of any direction is separable:
five horizontal filters of a row, then eight vertical ones of the last nine rows, as in
`orientation`. The filters have a mean of zero and unit norm: a box takes their mean away.
"""

from __future__ import annotations

import math

from ...gabor import Gabor
from .. import rows as r
from .. import simd
from ..simd import LANES, Record
from .downsample import clear
from .orientation import VerticalFilters, even_filter, odd_filter, rows_around, wave, windows
from .task import Task, stream


def filtered_row(task: Task, row: Record) -> None:
    """Write the code for one row, filtered along x into its six partial results, which lie side by
    side, a vector of each in turn.
    """
    arena, filters = task.arena, Gabor(*task.facts.gabor)
    taps, k = filters.envelope[r.REACH :].tolist(), filters.wavenumber
    source, width = arena.at(row[r.BAND_CENTRE]), row.record(r.LEVEL)[r.LEVEL_WIDTH]
    partials = arena.at(task.scratch + row[r.ORIENTED])
    for x, here, left, right in windows(source, width):
        sums = [a + b for a, b in zip(right, left, strict=True)]
        differences = [a - b for a, b in zip(right, left, strict=True)]
        results = [even_filter(taps, here, sums), even_filter([1.0] * len(taps), here, sums)]
        for wavenumber in (k, k / math.sqrt(2)):
            results.append(even_filter(wave(taps, wavenumber, math.cos), here, sums))
            results.append(odd_filter(wave(taps, wavenumber, math.sin), differences))
        for p, result in enumerate(results):
            partials.store(x * r.GABOR_PARTIALS + p * LANES, result)


def energy_row(task: Task, row: Record) -> None:
    """The energies of one row from the partial results of the nine rows around it.

    Rows at the border have a factor of 0, which their first and last samples escape.
    """
    arena, filters = task.arena, Gabor(*task.facts.gabor)
    taps, k = filters.envelope[r.REACH :].tolist(), filters.wavenumber
    straight, oblique = filters.measures()
    diagonal = k / math.sqrt(2)
    level, around = row.record(r.LEVEL), rows_around(task, row, task.scratch)
    escaping, inside = (arena.at(level[each]) for each in (r.LOW_FACTORS, r.ENERGY_FACTORS))
    row_factor, output = arena[row[r.ROW_FACTOR]], arena.at(task.output + row[r.ORIENTED])
    for x in simd.span(0, level[r.LEVEL_WIDTH], LANES):
        down = VerticalFilters(around, x, r.GABOR_PARTIALS, taps)
        factor = simd.maximum(escaping.load(x), inside.load(x) * row_factor)
        box = down.summed(1, [1.0] * len(taps))

        def write(orientation, measures, even, odd, x=x, factor=factor, box=box):
            mean, even_scale, odd_scale = measures
            energy = simd.absolute(even - box * mean) * even_scale + simd.absolute(odd) * odd_scale
            output.store(row[r.ORIENTED_STRIDE] * orientation + x, energy * factor)

        write(0, straight, *down.cosine_sine(0, k))
        write(2, straight, down.summed(2, taps), down.summed(3, taps))
        cos_cos, cos_sin = down.cosine_sine(4, diagonal)
        sin_cos, sin_sin = down.cosine_sine(5, diagonal)
        write(1, oblique, cos_cos + sin_sin, cos_sin - sin_cos)
        write(3, oblique, cos_cos - sin_sin, cos_sin + sin_cos)


gabor = stream({r.CLEAR: clear, r.BAND: filtered_row, r.ENERGY: energy_row})
