"""The CPU backend: a plan's buffers, a list of launches per format, one call per frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..channels import NO_CHANNELS, Channels, added, gain, multiplied
from ..config import HueReference, Smoothing
from ..features import ORIENTATIONS, Channel, Signal
from ..frames import check_values
from ..pipeline import (
    FIRST_FRAME,
    PROGRAM_STAGES,
    STAGES,
    FrameFormat,
    FrameTiming,
    OneByOne,
    format_of,
    schedule,
    stages,
)
from ..plan import HUE_TOLERANCE, Plan, linear_light
from ..trace import Traced
from . import rows as r
from .context import FIELDS, INDEX, ContextRecord
from .kernel import Kernel
from .layout import PAD, Layout, aligned, state_stride
from .library import addresses
from .rows import SCAN_TASKS
from .schedule import BACKGROUNDS, Launch, Order, Schedule, fixed_point
from .tables import Tables
from .workers import ALONE, WorkerPool

FRAME, OUT, BAD_VALUES = (INDEX[name] for name in ("frame", "out", "bad_values"))


class FormatState:
    """What one format of frames needs: its context and launches."""

    context: ContextRecord

    def __init__(self, backend: KernelBackend, format_: FrameFormat) -> None:
        self.plan, self.format = backend.plan, format_
        self.order, self.threads = backend.order, backend.threads
        (height, width), (dtype, channels) = self.plan.shape, format_
        row_size = width * channels
        edge_size = (width + 4 * PAD) * channels + 4 * PAD
        full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
        self.edge_rows = np.zeros((self.threads, 2, edge_size), dtype)
        self.context = ContextRecord(
            frame_size=height * row_size,
            row_size=row_size,
            edge_rows=self.edge_rows,
            edge_size=edge_size,
            full=full,
            grey_scale=1 / (full * channels),
        )
        self.addresses: dict[Kernel, int] = {}
        self.launches: dict[tuple[bool, bool, tuple[str, ...]], list[np.ndarray]] = {}
        self.in_context: tuple[bool, bool] | None = None  # whose tables, as of `tables_of`

    def kernels(self, gain: bool = False) -> list[Kernel]:
        """What its frames need, with a gain or not."""
        pasts = (False, True) if self.plan.config.remembers else (False,)
        return [launch.kernel for past in pasts for launch in self.schedule(past, gain)]

    def set_scratch(self, size: int, arena: np.ndarray) -> None:
        """So many floats of scratch for each worker, placed relative to the arena."""
        self.scratch = aligned(size * self.threads)
        self.context.set(
            scratch=(self.scratch.ctypes.data - arena.ctypes.data) // 4, scratch_size=size
        )

    def launch_table(self, past: bool, gain: bool, chosen: tuple[str, ...]) -> np.ndarray:
        """The launches of some stages, and an empty row behind."""
        key = past, gain, chosen
        if key not in self.launches:
            launches = self.schedule(past, gain)
            if gain:  # a kernel more, compiled when it is first asked for
                self.addresses |= addresses(launch.kernel for launch in launches)
            self.launches[key] = launch_tables(launches, chosen, self.addresses, self.threads)
        return self.launches[key][0]

    def schedule(self, past: bool, gain: bool = False) -> tuple[Launch, ...]:
        """All launches of a frame, with one before it or not; with a gain or not."""
        raise NotImplementedError

    def tables_of(self, past: bool, added: bool) -> dict[str, np.ndarray]:
        """The tables that differ between a frame with one before it and without, and with channels
        of the caller's that are added and without.
        """
        return {}

    @property
    def nbytes(self) -> int:
        """Bytes of its own buffers."""
        return self.edge_rows.nbytes + self.scratch.nbytes


class ModelState(FormatState):
    """The model's: with flicker's background and the tables of features."""

    def __init__(self, backend: CpuBackend, format_: FrameFormat) -> None:
        super().__init__(backend, format_)
        self.layout, self.tables = backend.layout, backend.tables
        plan, layout, tables, config = self.plan, self.layout, self.tables, self.plan.config
        (height, width), channels = plan.shape, format_.channels
        frame_size = height * width * channels
        pitch = state_stride((width + 1) // 2)
        background = (height * pitch + PAD) if config.has(Channel.FLICKER) else 1
        background_dtype = BACKGROUNDS[fixed_point(format_)]
        planes = len(plan.pixel_planes(colour=format_.colour))
        self.backgrounds = [np.zeros(background, background_dtype) for _ in range(2)]
        self.context.set(
            **backend.shared,
            background=self.backgrounds[0],
            next_background=self.backgrounds[1],
            opponency=tables.opponency("pyramid", channels, frame_size, planes, layout.planes),
            pyramid=tables.pyramid("pyramid", planes, layout.planes),
        )
        if config.has_orientation_pyramid:
            plane = layout.plane_at("orientation_pyramid")
            self.context.set(
                orientation_opponency=tables.opponency(
                    "orientation_pyramid", channels, frame_size, 1, plane
                ),
                orientation_pyramid=tables.pyramid("orientation_pyramid", 1, plane),
            )
        if config.has(Channel.WHITENED):
            decorrelated = len(plan.whitened_planes(colour=format_.colour))
            self.context.set(
                whitened_energies=tables.whitened_energies(decorrelated),
                whitened_count=decorrelated * len(ORIENTATIONS),
            )
        self.set_scratch(tables.scratch_size, layout.arena)
        self.map_tables: dict[tuple[bool, bool], dict[str, np.ndarray]] = {}

    def schedule(self, past: bool, gain: bool = False) -> tuple[Launch, ...]:
        """All launches of a frame, with one before it or not; with a gain or not."""
        made = Schedule(self.plan, self.tables, self.format, self.order, past, gain)
        return schedule(made, self.plan, colour=self.format.colour, past=past)

    def tables_of(self, past: bool, added: bool) -> dict[str, np.ndarray]:
        """The tables that name features, or the caller's channels."""
        key = past, added
        if key not in self.map_tables:
            colour = self.format.colour
            features = self.plan.features_of(colour=colour, past=past)
            weights = self.plan.config.channel_weights(colour=colour, past=past)
            self.map_tables[key] = {
                "centre_surround": self.tables.centre_surround(features),
                "maps": self.tables.maps(features, weights),
                "sums": self.tables.sums(features, weights, added=added),
            }
        return self.map_tables[key]

    @property
    def nbytes(self) -> int:
        """Bytes of its own buffers."""
        return super().nbytes + sum(background.nbytes for background in self.backgrounds)


def launch_tables(
    launches: Sequence[Launch], chosen: Sequence[str], found: dict[Kernel, int], threads: int
) -> list[np.ndarray]:
    """Launches of the chosen stages as `kernels/run.py` reads them, and the lists they point to.

    Fused launches are one row, serial ones a list that one worker runs. A launch whose neighbour
    before is left out comes after all before it.
    """
    groups: list[list[list[int]]] = []  # each the work of one ticket, or of a ticket per task
    barriers: list[int] = []
    newest, after = [0] * r.LAUNCH_COLUMNS, 0  # the last launch; the last group that came after
    follows = False  # the launch before is among them
    for launch in launches:
        order = launch.order if follows else Order.AFTER
        follows = launch.stage in chosen
        if not follows:
            continue
        row = [found[launch.kernel], 0, launch.first, launch.tasks, 0]
        if order is Order.FUSED and not newest[r.FUSED]:
            newest[r.FUSED] = row[r.KERNEL]
            newest[r.FUSED_SHIFT] = launch.first - newest[r.FIRST_TASK]
            continue
        newest = row
        if groups and (order is Order.SERIAL or threads == 1):
            groups[after].append(row)
        elif order is Order.BESIDE:
            barriers.append(barriers[-1])
            groups.append([row])
        else:
            barriers.append(sum(_tickets(group) for group in groups))
            after = len(groups)
            groups.append([row])
    lists = [_launch_array(group) for group in groups]
    if threads == 1:
        return lists or [_launch_array([])]
    rows, ticket = [], 0
    for group, list_, barrier in zip(groups, lists, barriers, strict=True):
        row = group[0] if len(group) == 1 else [found[ALONE], 0, list_.ctypes.data, 1, 0]
        rows.append([*row, ticket, ticket + row[r.TASKS], barrier])
        ticket += row[r.TASKS]
    return [_launch_array(rows), *lists]


def _tickets(group: Sequence[Sequence[int]]) -> int:
    return group[0][r.TASKS] if len(group) == 1 else 1


def _launch_array(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Rows as an array, with an empty one behind."""
    array = np.zeros((len(rows) + 1, r.LAUNCH_COLUMNS), np.int64)
    for target, row in zip(array, rows, strict=False):
        target[: len(row)] = row
    return array


class KernelBackend(OneByOne):
    """Compiled kernels that run as launches. See `ittisal.pipeline.Backend`."""

    name = "cpu"

    def __init__(self, plan: Plan, channel_order: str, threads: int) -> None:
        self.plan, self.order, self.threads = plan, channel_order, threads
        self.stages = PROGRAM_STAGES.get(plan.config.model, STAGES)  # in order, used or not
        self.workers = WorkerPool(threads)
        self.timing = FIRST_FRAME  # of the last frame
        self.current: FormatState | None = None  # of the last frame
        # The caller's channels of the last frame: what each one adds, and factors less 1.
        self.terms: dict[str, np.ndarray] = {}
        self.factors: list[np.ndarray] = []
        self.ran = False  # since the last frame's state was committed
        self.formats: dict[FrameFormat, Any] = {}
        self.staging: dict[FrameFormat, np.ndarray] = {}

    @property
    def colour(self) -> bool:
        """Whether the last frame had three channels."""
        return self.current is None or self.current.format.colour

    # --- frames

    def run(
        self,
        frame: np.ndarray,
        out: np.ndarray,
        timing: FrameTiming = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """The raw map into `out`."""
        self.run_stages(self.arrive(frame, timing, channels), out, self.stages)

    def run_stages(self, frame: np.ndarray, out: np.ndarray, chosen: Sequence[str]) -> None:
        """Run some stages on what the buffers hold; the last one writes the map into `out`."""
        state, past = self.format_state(frame), self.timing.past
        last = self.plan.channels_last
        context, in_context = state.context, (past, bool(self.terms) and not last)
        if state.in_context != in_context:
            context.set(**state.tables_of(*in_context))
            state.in_context = in_context
        table = state.launch_table(past, bool(self.factors) and not last, tuple(chosen))
        integers = context.integers
        integers[FRAME], integers[OUT] = frame.ctypes.data, out.ctypes.data
        integers[BAD_VALUES] = 0
        if len(table) > 1:
            self.workers.run(table.ctypes.data, len(table) - 1, context.address)
        if integers[BAD_VALUES]:
            check_values(context.get("lowest"), context.get("highest"))
        if last and self.stages[-1] in chosen:
            for values in self.terms.values():
                out += values
            for values in self.factors:
                out *= 1 + values
        self.ran = True

    def format_state(self, frame: np.ndarray) -> FormatState:
        """What frames of this one's format need."""
        format_ = format_of(frame)
        if format_ not in self.formats:
            state = self.new_state(format_)
            # All at once, so that they are compiled side by side.
            state.addresses = addresses([*state.kernels(), *self.workers.kernels])
            self.formats[format_] = state
        return self.formats[format_]

    def new_state(self, format_: FrameFormat) -> FormatState:
        """What frames of a format need."""
        raise NotImplementedError

    def staged(self, frame: np.ndarray) -> np.ndarray:
        """The frame, or a copy: contiguous, linear if the config asks. Its buffer is made once."""
        linear = self.plan.config.linear
        if frame.flags.c_contiguous and not linear:
            return frame
        format_ = format_of(frame)
        if format_ not in self.staging:
            self.staging[format_] = np.empty(frame.shape, np.float32 if linear else frame.dtype)
        copy = self.staging[format_]
        if not linear:
            np.copyto(copy, frame)
        elif frame.dtype == np.float32:
            check_values(frame.min(), frame.max())
            copy[:] = linear_light(frame)
        else:
            np.take(linear_table(np.iinfo(frame.dtype).max), frame, out=copy, mode="clip")
        return copy

    def arrive(
        self, frame: np.ndarray, timing: FrameTiming | None, channels: Channels = NO_CHANNELS
    ) -> np.ndarray:
        """A frame made ready for `run_stages`; without a timing, the last one again."""
        ready = self.staged(frame)
        if timing is not None:
            self.advance(ready, timing)
        self.terms, self.factors = {}, []
        if channels:
            scale = self.plan.channel_scale(colour=self.colour, past=self.timing.past)
            self.terms = {name: scale * values for name, values in added(channels).items()}
            self.factors = list(multiplied(channels).values())
            if not self.plan.channels_last:
                self.join()
        return ready

    def join(self) -> None:
        """Put the caller's channels where the kernels read them."""
        raise NotImplementedError

    def guidance(self) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """The caller's channels of the last frame: see `Traced`."""
        return self.terms, self.factors

    def advance(self, frame: np.ndarray, timing: FrameTiming) -> None:
        """Set a frame's timing."""
        self.timing, self.current = timing, self.format_state(frame)

    # --- stage by stage

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage, each run by itself; `staging` if the frame has to be copied."""
        out = np.empty(self.plan.map_shape, np.float32)
        timing = FrameTiming(past=True)
        self.run(frame, out, timing)
        start = time.perf_counter()
        ready = self.staged(frame)
        spent = {"staging": (time.perf_counter() - start) * 1e3} if ready is not frame else {}
        names = stages(self.plan, colour=self.colour, past=True)
        for name in names:
            self.format_state(ready).launch_table(True, False, (name,))
        for name in names:
            start = time.perf_counter()
            if name == names[0]:
                self.advance(ready, timing)
            self.run_stages(ready, out, (name,))
            spent[name] = (time.perf_counter() - start) * 1e3
        spent["total"] = sum(spent.values())
        return spent

    def close(self) -> None:
        """Release the worker threads."""
        self.workers.close()


class CpuBackend(KernelBackend, Traced):
    """The model over one arena."""

    def __init__(self, plan: Plan, channel_order: str, threads: int) -> None:
        config = plan.config
        super().__init__(plan, channel_order, threads)
        self.layout = layout = Layout(plan)
        self.tables = tables = Tables(layout, threads)
        smooths = config.smoothing is not Smoothing.NONE
        self.smoothed = np.zeros((2, *(plan.map_shape if smooths else (0, 0))), np.float32)
        self.statistics = layout.statistics
        self.whitening = np.zeros(self.statistics.shape[1:])
        self.change = np.zeros_like(self.whitening)
        self.partials, self.signals = np.zeros((SCAN_TASKS, 3)), np.zeros(len(Signal))
        # Offsets and distances in the arena have the layout's names.
        numbers = (name for name, kind in FIELDS.items() if kind == "i8" and hasattr(layout, name))
        self.shared: dict[str, Any] = {
            **{name: getattr(layout, name) for name in numbers},
            "hue_threshold": config.hue_threshold * HUE_TOLERANCE,
            "fixed_hue": config.hue_reference is HueReference.FIXED,
            "partials": self.partials,
            "signals": self.signals,
            "motion_threshold": config.motion_threshold,
            "previous_map": self.smoothed[0],
            "next_map": self.smoothed[1],
            "smoothing_factor": 1.0,
            "levels": tables.levels(),
            "map_height": plan.map_shape[0],
            "map_width": plan.map_shape[1],
            "statistics": self.statistics,
            "running": self.whitening.size,
            "whitening": self.whitening,
            "saliency": layout.normalised_at("saliency"),
            "saliency_affine": layout.sum_affine_at("saliency"),
        }
        if config.has(Channel.ORIENTATION):
            source = "orientation_pyramid" if config.has_orientation_pyramid else "intensity"
            self.shared["orientation"] = tables.orientation(source)
        for name, gaussian in zip(("excitation", "inhibition"), layout.gaussians, strict=False):
            self.shared[name], self.shared[f"{name}_reach"] = gaussian
        if config.whitens:
            self.shared["plane_statistics"] = tables.plane_statistics()
        if config.has(Channel.WHITENED):
            self.shared["energy_statistics"] = tables.energy_statistics()
        if config.figure:
            level = plan.corner_level + 1
            self.shared |= {
                "resampling": tables.resampling(),
                "figure_planes": layout.planes + layout.levels[level],
                "figure_height": plan.level_shape(level)[0],
                "figure_width": plan.level_shape(level)[1],
                "figure_pitch": layout.pitch(level),
            }
        self.shared["arena"] = layout.allocate()

    @property
    def nbytes(self) -> int:
        """Bytes of arena, tables, scratch and copies of frames that are not read in place."""
        arrays: list[np.ndarray] = [self.smoothed, self.statistics, self.whitening, self.change]
        arrays += self.staging.values()
        formats = sum(state.nbytes for state in self.formats.values())
        return (
            self.layout.arena.nbytes + self.tables.nbytes + formats + sum(a.nbytes for a in arrays)
        )

    def new_state(self, format_: FrameFormat) -> FormatState:
        """What frames of a format need."""
        return ModelState(self, format_)

    def join(self) -> None:
        """The sum and the product."""
        sum_of_maps, gain_of_maps = self.layout.guidance()
        sum_of_maps[:] = sum(self.terms.values())
        gain_of_maps[:] = gain(self.factors)

    def advance(self, frame: np.ndarray, timing: FrameTiming) -> None:
        """Commit the state that the last frame left, and set this one's timing."""
        state = self.format_state(frame)
        due, self.ran = self.ran and timing.past, False
        if due:
            self._commit(state)
        if timing is self.timing and state is self.current:
            return
        state.context.set(
            flicker_decay=timing.flicker_decay,
            smoothing_factor=timing.smoothing_factor,
            averages=self.plan.config.averages and timing.past,
        )
        self.timing, self.current = timing, state

    def _commit(self, state: FormatState) -> None:
        context, config = state.context, self.plan.config
        if config.has(Channel.MOTION):
            data = self.layout.level_data
            np.copyto(data("previous_intensity"), data("intensity"))
        self.smoothed[0] = self.smoothed[1]
        if config.averages:
            measured, running = self.statistics
            np.subtract(measured, running, out=self.change)
            self.change *= self.timing.statistics_factor if self.timing.past else 1.0
            running += self.change
        if config.has(Channel.FLICKER):
            context.swap("background", "next_background")
            now, decay = context.get("brightest"), context.get("flicker_decay")
            brightness = now + decay * (context.get("background_brightness") - now)
            context.set(background_brightness=brightness)

    # --- what the buffers hold

    def buffers(self) -> Layout:
        """The arena, whose layout knows where all lies."""
        return self.layout


@lru_cache(maxsize=2)
def linear_table(full: int) -> np.ndarray:
    """Linear light of every integer from 0 to `full`, float32."""
    return linear_light(np.arange(full + 1) / full)
