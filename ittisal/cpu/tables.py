"""The tables of rows and tasks that kernels walk, made with the plan: see `rows`.

Each streaming stage is a list of programs, one per task or shared by several; a program is the
rows of one band, in the order in which they can be computed. Offsets in scratch are relative to
the worker's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..allocator import Allocator
from ..config import Phase, Upsampling
from ..features import ORIENTATIONS, TEMPORAL, Channel, Feature, Signal
from ..plan import DELTAS, RANGE, SALIENCY_RANGE, SCALES, Plan
from . import rows as r
from .layout import ENERGIES, PAD, Layout, Weights, state_stride
from .rows import GABOR_PARTIALS, REACH

AROUND = 2 * REACH + 1  # rows that an oriented filter sees
BAND = 64  # rows of the finest level in a task: with fewer, a band's first rows would cost too much
WHITENED_BAND = 12  # the same of the map's level, for whitened energies


class Program(NamedTuple):
    """The rows of a task, and numbers that they are relative to."""

    rows: np.ndarray
    plane: int = 0
    output: int = 0
    extra: int = 0  # gain of negative contrasts; base of energies; a group; temporal channels


class Scratch(Allocator):
    """Hands out ranges of a worker's scratch."""

    def __init__(self) -> None:
        super().__init__(PAD, start=PAD)

    def take(self, size: int) -> int:
        """Offset of so many floats, with PAD more on either side."""
        return super().take(size + PAD)


class Tables:
    """The tables of one model. It keeps them alive, and knows how much scratch they use."""

    def __init__(self, layout: Layout, threads: int) -> None:
        self.layout, self.plan = layout, layout.plan
        self.bands = band_count(self.plan.level_shape(self.plan.finest_level)[0], threads)
        # Whitened energies are cut in bands of the map's level.
        rows = self.plan.map_shape[0]
        self.whitened_bands = max(min(rows // WHITENED_BAND, threads), 1)
        # Of `iterative`: two maps, and a row with zeros on either side.
        reach = max((reach for _, reach in layout.gaussians), default=0)
        self.scratch_size = 2 * layout.map_stride + layout.map_pitch + 2 * reach + 4 * PAD
        self._records: list[np.ndarray] = []
        self._centre_rows = {centre: self._rows_of_centre(centre) for centre in self._centres()}

    # --- opponency and pyramids

    def opponency(
        self, kind: str, channels: int, frame_size: int, planes: int, output: int
    ) -> np.ndarray:
        """Bands of the finest level from a frame's pixels, by as many steps of a kind."""
        plan, layout = self.plan, self.layout
        height, width = plan.shape
        row_size = width * channels
        steps, first, second = plan.finest_level, layout.weights[kind, 0], layout.weights[kind, 1]
        background_pitch = state_stride((width + 1) // 2)
        reads = background_pitch * channels + PAD  # of blocks of 2 PAD pixels, and a little over
        scratch = Scratch()
        between = _TwoSteps(self, first, second, 0, planes, scratch)
        self._use(scratch)
        target = layout.levels[steps]
        pitch = layout.pitch(steps)

        def pixels(operation: int, pair: int, place: tuple[int, int, int]) -> list[int]:
            even, odd = (min(2 * pair + k, height - 1) for k in (0, 1))
            return [
                operation,
                between.steps[0],
                even * row_size,
                odd * row_size,
                first.row(pair),
                *place,
                even * background_pitch,
                odd * background_pitch,
                odd * row_size + reads > frame_size,
                target + odd * pitch,
            ]

        def band(start: int, stop: int) -> Iterator[list[int]]:
            if steps == 0:
                for pair in range(start // 2, (stop + 1) // 2):
                    yield pixels(r.STORE_PIXELS, pair, (target + 2 * pair * pitch, 0, 0))
                return
            yield [r.CLEAR, between.start, between.size]
            rows = (
                one_step(start, stop, first.reach)
                if steps == 1
                else two_steps(start, stop, first.reach, plan.level_shape(1)[0])
            )
            for step, pair, row in rows:
                final = (
                    (target + row * pitch, 0, layout.plane_stride)
                    if row >= start
                    else between.dropped
                )
                if step == 0:
                    place = final if steps == 1 else between.between(row)
                    yield pixels(r.DOWNSAMPLE_PIXELS, pair, place)
                else:
                    yield [
                        r.DOWNSAMPLE,
                        between.steps[1],
                        *between.rows_between,
                        second.row(pair),
                        *final,
                    ]

        programs = [Program(table(band(*each)), 0, output) for each in self._finest_bands()]
        return self.tasks(programs)

    def pyramid(self, kind: str, planes: int, output: int) -> np.ndarray:
        """All coarser levels, in one task."""
        layout = self.layout
        made: list[list[int]] = []
        for level in self.plan.levels[:-1]:
            source, target = (
                (output + layout.levels[at], layout.pitch(at)) for at in (level, level + 1)
            )
            made += self._whole(kind, level, planes, layout.plane_stride, source, target)
        return self.tasks([Program(table(made))])

    def _whole(
        self,
        kind: str,
        level: int,
        planes: int,
        stride: int,
        source: tuple[int, int],
        target: tuple[int, int],
    ) -> Iterator[list[int]]:
        """Rows of whole planes from a level to the next; places are (offset, pitch)."""
        weights, scratch = self.layout.weights[kind, level], Scratch()
        height, width = self.plan.level_shape(level)
        pairs = (width + 1) // 2
        start = scratch.size
        state = scratch.take(planes * 2 * weights.reach * state_stride(pairs))
        dropped = scratch.take(state_stride(pairs))
        self._use(scratch)
        step = self._step(weights, pairs, state, stride)
        yield [r.CLEAR, start, scratch.size - start]
        for pair in range(self.plan.level_shape(level + 1)[0] + weights.reach):
            row = pair - weights.reach
            place = (target[0] + row * target[1], 0, stride) if row >= 0 else (dropped, 1, 0)
            yield [
                r.DOWNSAMPLE,
                step,
                *(source[0] + min(2 * pair + k, height - 1) * source[1] for k in (0, 1)),
                weights.row(pair),
                *place,
            ]

    def _finest_bands(self) -> Iterator[tuple[int, int]]:
        return bands(self.plan.level_shape(self.plan.finest_level)[0], self.bands)

    # --- orientation and motion

    def orientation(self, source: str) -> np.ndarray:
        """Oriented energies: bands of the finest level, then the others."""
        plan, layout = self.plan, self.layout
        origin = layout.plane_at(source)
        output = layout.plane_at(f"orientation_{ORIENTATIONS[0]}")
        programs = []
        for level in plan.levels:
            height, _ = plan.level_shape(level)
            pitch, scratch = layout.pitch(level), Scratch()
            filters = _Filters(self, level, scratch)
            start, target = origin + layout.levels[level], output + layout.levels[level]
            each_band = self._finest_bands() if level == plan.finest_level else [(0, height)]
            for first, last in each_band:
                ys = np.arange(max(first - REACH, 0), min(last + REACH, height))
                around = ys[:, None] + np.arange(-REACH, REACH + 1)
                inside = (around >= 0) & (around < height)
                lines = filters.bands(
                    ys, start + ys * pitch, np.where(inside, start + around * pitch, -layout.zeros)
                )
                ready = filters.energies(
                    np.arange(first, last), target + np.arange(first, last) * pitch,
                    layout.plane_stride,
                )  # fmt: skip
                programs.append(Program(filters.interleaved(lines, ys, ready, first)))
            self._use(scratch)
        return self.tasks(programs)

    def levels(self) -> np.ndarray:
        """Every level's rows with those above and below: bands of the finest, then the others."""
        programs = []
        for level in self.plan.levels:
            height, width = self.plan.level_shape(level)
            bands_ = self._finest_bands() if level == self.plan.finest_level else [(0, height)]
            for first, last in bands_:
                ys = np.arange(first, last)
                made = np.zeros((last - first, r.COLUMNS), np.int64)
                for column, y in ((r.HERE, ys), (r.ABOVE_HERE, ys - 1), (r.BELOW_HERE, ys + 1)):
                    offsets = self.layout.levels[level] + y * self.layout.pitch(level)
                    made[:, column] = np.where((y >= 0) & (y < height), offsets, -self.layout.zeros)
                made[:, r.WIDTH] = width
                programs.append(Program(made))
        return self.tasks(programs)

    # --- centre-surround, N and sums

    def centre_surround(self, features: Sequence[Feature]) -> np.ndarray:
        """One task per feature and centre level; the largest maps first."""
        rectifies = self.plan.config.orientation_contrast == "rectified"
        programs = []
        for centre in self._centres():
            program = self._centre_rows[centre]
            for feature in features:
                maps = self.layout.map_at(self.plan.map_index(feature, centre, centre + DELTAS[0]))
                keeps_sign = rectifies and feature.rectifiable
                plane = self.layout.plane_at(feature.name)
                programs.append(Program(program, plane, maps, 0 if keeps_sign else -1))
        return self.tasks(programs)

    def _centres(self) -> list[int]:
        return sorted({centre for centre, _ in self.plan.pairs if self.plan.features})

    def _rows_of_centre(self, level: int) -> np.ndarray:
        """All rows of the maps of one feature at one centre level.

        Where the farther surround does not exist the nearer one stands in, and its map is unused.
        """
        plan, layout, scratch = self.plan, self.layout, Scratch()
        far_exists = (level, level + DELTAS[1]) in plan.pairs
        if plan.nearest:
            return self._nearest_rows([level, level + DELTAS[0], level + DELTAS[far_exists]])
        near = _Surround(plan, layout, scratch, level, level + DELTAS[0], r.UPSAMPLE_NEAR)
        far = _Surround(
            plan, layout, scratch, level, level + DELTAS[far_exists], r.UPSAMPLE_FAR,
            size=1 << DELTAS[1],
        )  # fmt: skip
        height, _ = plan.level_shape(level)
        pitch, origin = layout.pitch(level), layout.levels[level]
        made: list[list[int]] = []
        if level == plan.map_level:
            surrounds = [near, far] if far_exists else [near]
            for index, surround in enumerate(surrounds):
                output = index * plan.halves * layout.map_stride
                for y in range(height):
                    upsampled, above, below, t = surround.at(y)
                    made += upsampled
                    fade = layout.map_fade + layout.map_pitch + y
                    made.append(
                        [r.CONTRAST, above, below, bits(t), origin + y * pitch, fade,
                         output + y * layout.map_pitch]
                    )  # fmt: skip
        else:
            made = [*self._contrast_rows(level, near, far, scratch)]
        self._use(scratch)
        return table(made)

    def _contrast_rows(
        self, level: int, near: _Surround, far: _Surround, scratch: Scratch
    ) -> Iterator[list[int]]:
        plan, layout = self.plan, self.layout
        height, _ = plan.level_shape(level)
        pitch, origin = layout.pitch(level), layout.levels[level]
        maps, rows_of_map = 2 * plan.halves, plan.map_shape[0]
        first = layout.weights["faded_map", level]
        twice = level + 1 < plan.map_level
        second = layout.weights["map", level + 1] if twice else first
        between = _TwoSteps(self, first, second, level, maps, scratch)
        yield [r.CLEAR, between.start, between.size]
        rows = (
            two_steps(0, rows_of_map, first.reach, plan.level_shape(level + 1)[0])
            if twice
            else one_step(0, rows_of_map, first.reach)
        )
        for step, pair, row in rows:
            final = (row * layout.map_pitch, 0, layout.map_stride) if row >= 0 else between.dropped
            if step == 1:
                yield [
                    r.DOWNSAMPLE,
                    between.steps[1],
                    *between.rows_between,
                    second.row(pair),
                    *final,
                ]
                continue
            even, odd = (min(2 * pair + k, height - 1) for k in (0, 1))
            operands = []
            for surround in (near, far):
                upsampled, above, below, t = surround.at(even)
                yield from upsampled
                operands += [above, below, bits(t), bits(surround.position(odd)[1])]
            yield [
                r.DOWNSAMPLE_CONTRAST,
                between.steps[0],
                origin + even * pitch,
                origin + odd * pitch,
                first.row(pair),
                *(between.between(row) if twice else final),
                *operands,
            ]

    def _nearest_rows(self, levels: Sequence[int]) -> np.ndarray:
        """Rows of a centre and its surrounds, each at the samples nearest to the map's."""
        plan, layout = self.plan, self.layout
        numbers = [plan.nearest_samples(level) for level in levels]
        self._records += [columns for _, columns in numbers]
        made = []
        for y in range(plan.map_shape[0]):
            starts = [
                layout.levels[level] + int(rows[y]) * layout.pitch(level)
                for level, (rows, _) in zip(levels, numbers, strict=True)
            ]
            addresses = [columns.ctypes.data for _, columns in numbers]
            fade = layout.map_fade + layout.map_pitch + y
            made.append([r.NEAREST, *starts, *addresses, fade, y * layout.map_pitch])
        return table(made)

    def maps(self, features: Sequence[Feature], weights: dict[Channel, float]) -> np.ndarray:
        """What is normalised: centre-surround maps, task by task as they are made; then the sums
        of features, of channels, and the saliency map.
        """
        plan, layout, config = self.plan, self.layout, self.plan.config
        programs = []
        for centre in self._centres():
            for feature in features:
                made = []
                for of, surround in plan.pairs:
                    if of == centre:
                        index = plan.map_index(feature, centre, surround)
                        made.append(
                            [layout.map_at(index), layout.map_affine_at(index),
                             feature.signal.value, 1, bits(1.0), bits(RANGE), 1, -1]
                        )  # fmt: skip
                programs.append(Program(table(made)))

        def sum_row(name: str, normalised: bool, weight: float, top: float) -> Program:
            row = [
                layout.normalised_at(name), layout.sum_affine_at(name), Signal.ONE.value,
                normalised, bits(weight), bits(top), top != RANGE,
                layout.sum_at(name) if plan.rewrites_maps else -1,
            ]  # fmt: skip
            return Program(table([row]))

        for feature in features:
            again = plan.normalised_again(feature)
            weight = config.feature_weight(feature)
            programs.append(sum_row(f"feature/{feature.name}", again, weight, RANGE))
        for channel, weight in weights.items():
            programs.append(sum_row(f"conspicuity/{channel}", weight > 0, weight, RANGE))
        again = config.normalise_saliency
        programs.append(sum_row("saliency", again, 1.0, SALIENCY_RANGE if again else RANGE))
        return self.tasks(programs)

    def sums(
        self, features: Sequence[Feature], weights: dict[Channel, float], *, added: bool
    ) -> np.ndarray:
        """Sums of features' maps, of channels' features, and of the channels, with the caller's if
        some are added; temporal channels are last, and counted.
        """
        plan, layout = self.plan, self.layout
        programs = []

        def add(output: str, sources: Iterable[tuple[int, int]], temporal: int = 0) -> None:
            records = np.array([*sources], np.int64).reshape(-1, r.SOURCE_COLUMNS)
            programs.append(Program(records, 0, layout.sum_at(output), temporal))

        def normalised(names: Iterable[str]) -> list[tuple[int, int]]:
            return [(layout.normalised_at(name), layout.sum_affine_at(name)) for name in names]

        for feature in features:
            numbers = [
                plan.map_index(feature, *pair, half)
                for pair in plan.pairs
                for half in range(plan.halves)
            ]
            add(
                f"feature/{feature.name}",
                [(layout.map_at(n), layout.map_affine_at(n)) for n in numbers],
            )
        for channel in weights:
            sources = normalised(f"feature/{f.name}" for f in features if f.channel is channel)
            # A channel without features is a sum that its own stage has made.
            add(f"conspicuity/{channel}", sources or [(layout.whitened_sum, layout.unity)])
        still, moving = (
            normalised(
                f"conspicuity/{channel}" for channel in weights if (channel in TEMPORAL) is past
            )
            for past in (False, True)
        )
        caller = [(layout.added, layout.unity)] * added
        add("saliency", [*still, *caller, *moving], len(moving))
        return self.tasks(programs)

    # --- whitening and figure

    def plane_statistics(self) -> np.ndarray:
        """The group of the planes."""
        layout, level = self.layout, self.plan.map_level
        first = layout.plane_at("intensity") + layout.levels[level]
        return self._statistics([(first, layout.plane_stride, 0)])

    def energy_statistics(self) -> np.ndarray:
        """A group per plane and orientation."""
        layout = self.layout
        return self._statistics(
            [(layout.scale_at(e, 0), layout.map_stride, 1 + e) for e in range(ENERGIES)]
        )

    def _statistics(self, groups: list[tuple[int, int, int]]) -> np.ndarray:
        return self.tasks([Program(table([]), *group) for group in groups])

    def whitened_energies(self, planes: int) -> np.ndarray:
        """Energies of decorrelated planes at the map's level: of the finest level in bands, then
        of the others; plane by plane.
        """
        plan, layout = self.plan, self.layout
        count = len(ORIENTATIONS)
        programs = []
        for scale in range(SCALES):
            level = plan.finest_level + scale
            rows = plan.level_shape(max(level, plan.map_level))[0]
            parts = self.whitened_bands if scale == 0 else 1
            for first, last in bands(rows, parts):
                made = self._whitened_rows(level, first, last)
                for plane in range(planes):
                    target = layout.scale_at(plane * count, scale)
                    coarse = layout.coarse_energies + plane * count * layout.coarse_stride
                    at_map_level = level == plan.map_level
                    programs.append(
                        Program(made, plane, target, target if at_map_level else coarse)
                    )
        return self.tasks(programs)

    def whitened_tasks(self, planes: int) -> int:
        """How many tasks those are."""
        return (self.whitened_bands + SCALES - 1) * planes

    def _whitened_rows(self, level: int, first: int, last: int) -> np.ndarray:
        """Rows of the energies of one plane at one level: white rows, bands and energies pass
        through rings of nine rows; what is finer than the map's level is downsampled.
        """
        plan, layout, scratch = self.plan, self.layout, Scratch()
        count, stride = len(ORIENTATIONS), SCALES * layout.map_stride
        height, width = plan.level_shape(level)
        pitch = layout.pitch(level)
        white = scratch.take(AROUND * pitch)
        filters = _Filters(self, level, scratch)
        pair_rows = scratch.take(2 * count * pitch)
        steps_down = plan.map_level - level
        made: list[list[int]] = []
        rows: list[tuple[int, int, int]] = []
        if steps_down > 0:
            weights = layout.weights["map", level]
            after = layout.weights["map", level + 1] if steps_down > 1 else weights
            between = _TwoSteps(self, weights, after, level, count, scratch, pitch)
            made.append([r.CLEAR, between.start, between.size])
            rows = (
                [*two_steps(first, last, weights.reach, plan.level_shape(level + 1)[0])]
                if steps_down > 1
                else [*one_step(first, last, weights.reach)]
            )
            pairs = [pair for step, pair, _ in rows if step == 0]
            start, stop = 2 * pairs[0], min(2 * (pairs[-1] + 1), height)
        else:
            start, stop = first, last
        made.append([r.CLEAR, filters.start, filters.size])
        source = layout.plane_at("intensity") + layout.levels[level]
        waiting = iter(rows)
        following = next(waiting, None)
        for ahead in range(start - 2 * REACH, stop + 2 * REACH):
            if 0 <= ahead < height:
                output = white + ahead % AROUND * pitch
                made.append([r.WHITEN, source + ahead * pitch, output, width])
            y = ahead - REACH
            if 0 <= y < height and start - REACH <= y < stop + REACH:
                around = [
                    white + row % AROUND * pitch if 0 <= row < height else -layout.zeros
                    for row in range(y - REACH, y + REACH + 1)
                ]
                made += filters.bands([y], [white + y % AROUND * pitch], [around]).tolist()
            y = ahead - 2 * REACH
            if start <= y < stop:
                if steps_down > 0:
                    output, output_stride = pair_rows + (y & 1) * count * pitch, pitch
                else:
                    at_map = steps_down == 0
                    output_stride = stride if at_map else layout.coarse_stride
                    output = y * (layout.map_pitch if at_map else pitch)
                energy = filters.energies([y], [output], output_stride)
                energy[:, r.ORIENTED_IN_SCRATCH] = steps_down > 0
                made += energy.tolist()
            # Pairs whose rows are there, or whose odd row lies outside.
            while following is not None and (
                following[0] == 1 or min(2 * following[1] + 1, height - 1) <= y
            ):
                step, pair, row = following
                final = (row * layout.map_pitch, 0, stride) if row >= first else between.dropped
                if step == 0:
                    place = between.between(row) if steps_down > 1 else final
                    operands = [pair_rows, pair_rows + count * pitch]
                    of = weights
                else:
                    place, operands, of = final, [*between.rows_between], after
                made.append([r.DOWNSAMPLE, between.steps[step], *operands, of.row(pair), *place])
                following = next(waiting, None)
        if steps_down < 0:
            made += self._resampled_energies(level, scratch)
        self._use(scratch)
        return table(made)

    def _resampled_energies(self, level: int, scratch: Scratch) -> Iterator[list[int]]:
        """Rows that upsample the energies of the level above the map's to the map's."""
        plan, layout = self.plan, self.layout
        surround = _Surround(
            plan, layout, scratch, plan.map_level, level, r.UPSAMPLE_NEXT, origin=0
        )
        for index in range(len(ORIENTATIONS)):
            surround.restart(index * layout.coarse_stride)
            for y in range(plan.map_shape[0]):
                upsampled, above, below, t = surround.at(y)
                yield from upsampled
                output = index * SCALES * layout.map_stride + y * layout.map_pitch
                yield [r.INTERPOLATE, above, below, bits(t), 0, 0, output]

    def resampling(self) -> np.ndarray:
        """Surroundedness to the map's level; then the energies where corners are found."""
        plan, layout = self.plan, self.layout
        level, stride = plan.corner_level, layout.map_stride
        depth = [*self._to_map_level(level + 1, layout.surroundedness, layout.figures, 0)]
        energies: list[list[int]] = []
        for index, theta in enumerate(ORIENTATIONS):
            source = layout.plane_at(f"orientation_{theta}") + layout.levels[level]
            through = layout.surroundedness + (1 + index) * layout.surroundedness_stride
            target = layout.figures + (2 + index) * stride
            energies += self._to_map_level(level, source, target, through)
        return self.tasks([Program(table(depth)), Program(table(energies))])

    def _to_map_level(
        self, level: int, source: int, target: int, between: int
    ) -> Iterator[list[int]]:
        """Rows that take one map of a level to the map's; two steps by way of `between`."""
        plan, layout = self.plan, self.layout
        place = source, layout.pitch(level)
        if level >= plan.map_level:
            yield [
                r.UPSAMPLE_MAP, source, target, level - plan.map_level,
                *plan.level_shape(level), layout.pitch(level),
            ]  # fmt: skip
        for at in range(level, plan.map_level):
            last = at + 1 == plan.map_level
            following = (target if last else between), layout.pitch(at + 1)
            yield from self._whole("map", at, 1, 0, place, following)
            place = following

    # --- what they share

    def tasks(self, programs: Sequence[Program]) -> np.ndarray:
        """The table of tasks of some programs."""
        tasks = np.zeros((len(programs), r.TASK_COLUMNS), np.int64)
        for task, program in zip(tasks, programs, strict=True):
            address = program.rows.ctypes.data
            task[: r.EXTRA + 1] = (
                address,
                address + program.rows.nbytes,
                program.plane,
                program.output,
                program.extra,
            )
            self._records.append(program.rows)
        self._records.append(tasks)
        return tasks

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum({id(array): array.nbytes for array in self._records}.values())

    def _use(self, scratch: Scratch) -> None:
        self.scratch_size = max(self.scratch_size, scratch.size + 4 * PAD)

    def _step(self, weights: Weights, pairs: int, state: int, source_stride: int) -> int:
        """Address of a step's record."""
        record = np.zeros(r.STEP_COLUMNS, np.int64)
        record[: r.SOURCE_STRIDE + 1] = (
            weights.columns, weights.column_stride, pairs, state, state_stride(pairs),
            source_stride,
        )  # fmt: skip
        self._records.append(record)
        return record.ctypes.data


class _TwoSteps:
    """Records and scratch of two steps in a row from a level: both states, two rows between them
    of each plane, and a row for outputs that are dropped.
    """

    def __init__(
        self,
        tables: Tables,
        first: Weights,
        second: Weights,
        level: int,
        planes: int,
        scratch: Scratch,
        source_stride: int = 0,
    ) -> None:
        shape = tables.plan.level_shape
        pairs, half_pairs = ((shape(at)[1] + 1) // 2 for at in (level, level + 1))
        self.start = scratch.size
        self.row = state_stride(half_pairs) + 2 * PAD
        self.stride = 2 * self.row
        state = scratch.take(planes * 2 * first.reach * state_stride(pairs))
        half_state = scratch.take(planes * 2 * second.reach * state_stride(half_pairs))
        self.steps = (
            tables._step(first, pairs, state, source_stride),
            tables._step(second, half_pairs, half_state, self.stride),
        )
        self.rows = scratch.take(planes * self.stride) + PAD
        dropped = scratch.take(planes * self.row) + PAD
        self.size = dropped - PAD - self.start
        scratch.take(PAD)
        self.rows_between = self.rows, self.rows + self.row
        self.dropped = dropped, 1, self.row

    def between(self, row: int) -> tuple[int, int, int]:
        """Place of a row between the steps: output, in scratch, from plane to plane."""
        return self.rows + (row & 1) * self.row, 1, self.stride


class _Filters:
    """Rows of the oriented filters at one level; see kernels/orientation.py."""

    def __init__(self, tables: Tables, level: int, scratch: Scratch) -> None:
        layout = tables.layout
        self.height, width = layout.plan.level_shape(level)
        self.pitch, self.zeros = layout.pitch(level), layout.zeros
        self.row_factors, columns = layout.filters[level]
        self.start = scratch.size
        low, band = (scratch.take(self.pitch) for _ in (0, 1))
        self.size = scratch.size - self.start
        self.slot = GABOR_PARTIALS * self.pitch
        self.ring = scratch.take(AROUND * self.slot)
        record = np.array([columns, columns + self.pitch, width, low, band], np.int64)
        tables._records.append(record)
        self.record = record.ctypes.data

    def bands(self, ys: Any, centres: Any, around: Any) -> np.ndarray:
        """Rows that filter the band along x, for levels' rows `ys` with their sources."""
        ys = np.asarray(ys)
        made = np.zeros((len(ys), r.COLUMNS), np.int64)
        made[:, r.OPERATION], made[:, r.LEVEL] = r.BAND, self.record
        made[:, r.ROW_FACTOR] = self.row_factors + 2 * ys
        made[:, r.ORIENTED] = self.ring + ys % AROUND * self.slot
        made[:, r.BAND_CENTRE] = centres
        made[:, r.AROUND : r.AROUND + AROUND] = around
        return made

    def energies(self, ys: Any, outputs: Any, stride: int) -> np.ndarray:
        """Rows that make the energies."""
        ys = np.asarray(ys)
        around = ys[:, None] + np.arange(-REACH, REACH + 1)
        inside = (around >= 0) & (around < self.height)
        made = np.zeros((len(ys), r.COLUMNS), np.int64)
        made[:, r.OPERATION], made[:, r.LEVEL] = r.ENERGY, self.record
        made[:, r.ROW_FACTOR] = self.row_factors + 2 * ys + 1
        made[:, r.ORIENTED], made[:, r.ORIENTED_STRIDE] = outputs, stride
        ring = self.ring + around % AROUND * self.slot
        made[:, r.AROUND : r.AROUND + AROUND] = np.where(inside, ring, -self.zeros)
        return made

    def interleaved(
        self, lines: np.ndarray, ys: np.ndarray, energies: np.ndarray, first: int
    ) -> np.ndarray:
        """Bands and energies in the order in which the ring of nine rows allows them."""
        clear = table([[r.CLEAR, self.start, self.size]])
        order = np.concatenate([ys, np.arange(first, first + len(energies)) + REACH + 0.5])
        both = np.concatenate([lines, energies])[np.argsort(order, kind="stable")]
        return np.concatenate([clear, both])


class _Surround:
    """Upsampled rows of one surround: two at a time, in scratch."""

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        scratch: Scratch,
        level: int,
        coarse: int,
        operation: int,
        *,
        size: int | None = None,
        origin: int | None = None,
    ) -> None:
        self.config = plan.config
        self.size = 1 << (coarse - level)
        self.height, width = plan.level_shape(coarse)
        self.last, self.operation = width - 1, operation
        self.pitch = layout.pitch(coarse)
        self.origin = layout.levels[coarse] if origin is None else origin
        # Whole blocks of the width that the kernel makes of each sample.
        length = max(layout.pitch(level), (width + 2) * (size or self.size)) + 4 * PAD
        self.rows = [scratch.take(length) + PAD for _ in (0, 1)]
        scratch.take(PAD)
        self.restart(self.origin)

    def restart(self, origin: int) -> None:
        """Begin again, with another source."""
        self.origin = origin
        self.before: int | None = None

    def position(self, y: int) -> tuple[int, float]:
        """The surround's row at or before row `y` (-1 before the first); how far on `y` lies."""
        if self.config.upsampling is Upsampling.REPLICATE:
            return y // self.size, 0.0
        if self.config.phase is Phase.CENTRED:
            at = y + self.size // 2
            return at // self.size - 1, (at % self.size + 0.5) / self.size
        return y // self.size, y % self.size / self.size

    def at(self, y: int) -> tuple[list[list[int]], int, int, float]:
        """Rows to be upsampled now, the two rows around `y`, and how far between them it lies."""
        at, t = self.position(y)
        made = []
        if at != self.before:
            self.rows.reverse()
            if self.before is None or at != self.before + 1:
                made.append(self._upsample(at, self.rows[0]))
            made.append(self._upsample(at + 1, self.rows[1]))
            self.before = at
        return made, self.rows[0], self.rows[1], t

    def _upsample(self, row: int, output: int) -> list[int]:
        row = min(max(row, 0), self.height - 1)
        return [self.operation, self.origin + row * self.pitch, self.last, output]


def one_step(first: int, last: int, reach: int) -> Iterator[tuple[int, int, int]]:
    """(0, pair, the row that it completes) for rows `first` to `last` of one step."""
    for pair in range(max(first - reach, 0), last + reach):
        yield 0, pair, pair - reach


def two_steps(
    first: int, last: int, reach: int, rows_between: int
) -> Iterator[tuple[int, int, int]]:
    """(step, pair, the row that it completes) for rows `first` to `last` of two steps in a row.

    A pair of the second step follows once both its rows are there, or the last one is.
    """
    first_row = max(2 * (first - reach), 0)
    last_row = min(2 * (last - 1 + reach) + 1, rows_between - 1)
    half_pair = first_row // 2
    for _, pair, row in one_step(first_row, last_row + 1, reach):
        yield 0, pair, row
        while (
            row >= first_row
            and half_pair < last + reach
            and (row >= 2 * half_pair + 1 or row == last_row)
        ):
            yield 1, half_pair, half_pair - reach
            half_pair += 1


def bands(rows: int, count: int) -> Iterator[tuple[int, int]]:
    """First and last row of so many bands."""
    for index in range(count):
        yield rows * index // count, rows * (index + 1) // count


def band_count(rows: int, threads: int) -> int:
    """Bands of the finest level for so many threads."""
    return 1 if threads == 1 else max(min(rows // BAND, 4 * threads), threads)


def table(rows: Iterable[Sequence[int]]) -> np.ndarray:
    """Rows as one int64 array, filled up to COLUMNS."""
    rows = [*rows]
    made = np.zeros((len(rows), r.COLUMNS), np.int64)
    for row, values in zip(made, rows, strict=True):
        row[: len(values)] = values
    return made


def bits(number: float) -> int:
    """A float64's bits as a whole number."""
    return struct.unpack("q", struct.pack("d", number))[0]
