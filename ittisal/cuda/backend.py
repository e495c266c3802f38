"""The CUDA backend: a plan's buffers on a GPU, one recorded graph per format of frames."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..frames import check_values
from ..pipeline import FIRST_FRAME, STAGES, FrameFormat, FrameTiming, format_of
from ..plan import Plan
from ..trace import Traced
from . import variant
from .device import Device
from .layout import FrameBuffers, geometry_for, make_layout
from .programs import common_programs, programs
from .schedule import Launch, Schedule, schedule
from .structs import CALL, FOUND, Mode

BATCH_BYTES = 30 << 20  # intermediates of a batch should stay in the GPU's second-level cache
DEPTH = 2  # parts of a batch or stream in progress: one is copied in, one worked on
PARTS = 4  # of a batch from the host, at least, so that there is something to overlap


@dataclass(eq=False)
class FormatState:
    """What frames of one format need: code and numbers."""

    format: FrameFormat
    geometries: list[Any]  # as a kernel takes it by value; without a past, and with one
    kernels: dict[str, Callable[..., None]]
    background: Any  # flicker's two
    # By the number of frames at once, and whether one came before:
    schedules: dict[tuple[int, bool], tuple[Launch, ...]] = field(default_factory=dict)
    graphs: dict[tuple[int, bool], Callable[[Any], None]] = field(default_factory=dict)


@dataclass(eq=False)
class TransferSlot:
    """Where frames from the host come in and maps go back."""

    state: FormatState
    pinned: np.ndarray  # frames
    frames: Any
    maps: Any
    pinned_maps: np.ndarray
    pinned_found: np.ndarray
    arrived: Any  # events
    done: Any
    count: int = 0  # of frames in progress
    from_caller: bool = False  # they are read from a pinned buffer that was handed out


class CudaBackend(Traced):
    """Fused kernels over one arena per frame. See `ittisal.pipeline.Backend`."""

    name = "cuda"
    threads = 1

    def __init__(self, plan: Plan, channel_order: str, device: Any = None) -> None:
        self.plan, self.order = plan, channel_order
        self.layout = make_layout(plan)
        self.device = device if device is not None else Device()
        # What the API asks of arrays on the device.
        self.adopt, self.empty = self.device.adopt, self.device.empty
        self.hand_over = self.device.hand_over
        self.tables = self.device.upload(self.layout.tables)
        self.call = self.device.zeros(CALL.itemsize, np.uint8)
        self.states: dict[FrameFormat, FormatState] = {}
        self.slots: dict[tuple[FrameFormat, int], TransferSlot] = {}
        self.staging: dict[str, Any] = {}
        self.frames_at_once = 0
        self.arena: Any = None
        self.last_stream: Any = None
        self.finished = self.device.event()
        self.handed_out: list[weakref.ref[np.ndarray]] = []  # pinned buffers
        self._reserve(1)
        # What cannot be compiled or loaded is known now.
        self.device.compile(common_programs(self.layout, self.order))
        self._set_last(FrameFormat("uint8", 3), FIRST_FRAME)

    # --- what there is

    @property
    def nbytes(self) -> int:
        """Bytes on the device and of pinned host memory, but for buffers handed out."""
        arrays = [self.tables, self.call, self.arena, *self.staging.values()]
        arrays += [state.background for state in self.states.values()]
        for slot in self.slots.values():
            arrays += [slot.frames, slot.maps, slot.pinned, slot.pinned_maps, slot.pinned_found]
        return sum(array.nbytes for array in arrays if array is not None)

    def state(self, format_: FrameFormat) -> FormatState:
        """What frames of this format need; compiled when first asked for."""
        if format_ not in self.states:
            device = self.device
            kernels = device.compile(programs(self.layout, self.order, format_))
            geometries = [geometry_for(self.layout, format_, past) for past in (False, True)]
            size = 2 * math.prod(self.plan.shape) if "flicker" in self.plan.planes else 1
            fixed = variant.fixed_point(self.plan, format_)
            background = device.zeros(size, np.int16 if fixed else np.float32)
            by_value = [device.by_value(geometry) for geometry in geometries]
            self.states[format_] = FormatState(format_, by_value, kernels, background)
        return self.states[format_]

    # --- frames from the host

    def run(self, frame: np.ndarray, out: np.ndarray, timing: FrameTiming = FIRST_FRAME) -> None:
        """The raw map of a frame in host memory into `out`; returns when it is there."""
        self.run_batch(frame[None], out[None], [timing])

    def run_batch(
        self, frames: np.ndarray, out: np.ndarray, timings: Sequence[FrameTiming] | None = None
    ) -> None:
        """The raw maps of several frames in host memory; copies and kernels overlap."""
        timings = timings or [FIRST_FRAME] * len(frames)
        size = self._at_once(-(-len(frames) // PARTS))
        starts = range(0, len(frames), size)
        parts = ((frames[start : start + size], timings[start]) for start in starts)
        for start, maps in zip(starts, self._pipelined(parts, size, refilled=False), strict=True):
            out[start : start + len(maps)] = maps

    def stream(self, frames: Iterable[tuple[np.ndarray, FrameTiming]]) -> Iterator[np.ndarray]:
        """Maps of frames in turn: one is copied to the device while another is worked on."""
        parts = ((frame[None], timing) for frame, timing in frames)
        for maps in self._pipelined(parts, 1, refilled=True):
            yield maps[0].copy()

    def _at_once(self, frames: int) -> int:
        """How many of so many frames to work on at once: one, where each waits for the last."""
        return self._reserve(1 if self.plan.config.remembers else frames)

    def _pipelined(
        self, parts: Iterable[tuple[np.ndarray, FrameTiming]], size: int, *, refilled: bool
    ) -> Iterator[np.ndarray]:
        """Pinned maps of each part of up to `size` frames, good until the next one.

        `refilled`: pinned frames may be filled anew when the next part is asked for.
        """
        in_progress: list[TransferSlot] = []
        try:
            for number, (part, timing) in enumerate(parts):
                slot = self._slot(format_of(part[0]), size, number % DEPTH)
                in_progress.append(slot)
                self._submit(slot, part, timing)
                if len(in_progress) == DEPTH:
                    yield self._finish(in_progress.pop(0))
                if refilled and slot.from_caller:
                    self.device.wait(slot.arrived)
            while in_progress:
                yield self._finish(in_progress.pop(0))
        finally:
            for slot in in_progress:  # the caller went away, or a frame was bad
                self.device.wait(slot.arrived)
                self.device.wait(slot.done)

    def _slot(self, format_: FrameFormat, size: int, number: int) -> TransferSlot:
        """A slot for up to `size` frames; made anew if it has to grow."""
        key = format_, number
        if key not in self.slots or len(self.slots[key].pinned) < size:
            device, map_shape, dtype = self.device, self.plan.map_shape, np.dtype(format_.dtype)
            shape = (*self.plan.shape, 3) if format_.colour else self.plan.shape
            self.slots[key] = TransferSlot(
                self.state(format_),
                device.pinned((size, *shape), dtype),
                device.zeros(size * math.prod(shape), dtype),
                device.zeros(size * math.prod(map_shape), np.float32),
                device.pinned((size, *map_shape), np.float32),
                device.pinned((size, FOUND.itemsize // 4), np.float32),
                *(device.event(), device.event()),
            )
        return self.slots[key]

    def _submit(self, slot: TransferSlot, frames: np.ndarray, timing: FrameTiming) -> None:
        """Send frames to the device; nothing here waits for it."""
        device, count = self.device, len(frames)
        slot.from_caller = self._is_pinned(frames)
        if not slot.from_caller:
            np.copyto(slot.pinned[:count], frames)
            frames = slot.pinned[:count]
        device.copy_in(slot.frames, frames, device.copies)
        slot.arrived.record(device.copies)
        with device.using(device.stream):
            device.stream.wait_event(slot.arrived)
            self._launch(slot.state, slot.frames, slot.maps, count, timing)
            device.copy_out(slot.pinned_maps[:count], slot.maps, device.stream)
            if slot.state.format.dtype == "float32":
                for index in range(count):
                    device.copy_out(slot.pinned_found[index], self._found(index), device.stream)
            slot.done.record(device.stream)
        slot.count = count

    def _finish(self, slot: TransferSlot) -> np.ndarray:
        """Wait for a slot's maps. Raises ValueError if a float frame held what it must not."""
        self.device.wait(slot.done)
        if slot.state.format.dtype == "float32":
            _check_found(slot.pinned_found[: slot.count])
        return slot.pinned_maps[: slot.count]

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Pinned memory for frames, which `run` reads where it is. Belongs to the caller."""
        array = self.device.pinned(shape, dtype)
        self.handed_out = [ref for ref in self.handed_out if ref() is not None]
        self.handed_out.append(weakref.ref(array))
        return array

    def _is_pinned(self, frames: np.ndarray) -> bool:
        """Whether all of the frames lies in one buffer handed out, which is still kept."""
        return frames.flags.c_contiguous and any(
            (array := ref()) is not None and _within(frames, array) for ref in self.handed_out
        )

    # --- frames on the device

    def fetch(self, array: Any) -> np.ndarray:
        """A device array of any library in host memory."""
        return self.device.download(self.device.adopt(array))

    def contiguous(self, array: Any) -> Any:
        """The array, or a C-contiguous copy in a buffer that is made once."""
        if array.flags.c_contiguous:
            return array
        key = array.dtype.name
        if key not in self.staging or self.staging[key].shape != array.shape:
            self.device.wait(self.finished)
            self.staging[key] = self.device.empty(array.shape, array.dtype)
        self.staging[key][...] = array
        return self.staging[key]

    def run_device(
        self,
        frames: Any,
        maps: Any,
        count: int | None = None,
        timings: Sequence[FrameTiming] | None = None,
    ) -> None:
        """Raw maps of a frame on the device into `maps`, or of `count` frames in one array.

        Both are CuPy arrays, `maps` C-contiguous. Ordered on the current stream; returns at once.
        Frames whose values are out of range give NaN.
        """
        with self.device.current():
            self._order(self.device.current_stream())
            frames = self.contiguous(frames)
            state = self.state(format_of(frames if count is None else frames[0]))
            timings = timings or [FIRST_FRAME] * (count or 1)
            size = self._at_once(count or 1)
            if count is None or count <= size:
                self._launch(state, frames, maps, count or 1, timings[0])
                return
            for start in range(0, count, size):
                part, saliency = frames[start : start + size], maps[start : start + size]
                self._launch(state, part, saliency, len(part), timings[start])

    def upsample_device(self, maps: Any, out: Any) -> None:
        """The map just made over its maximum at the frame's size; on the current stream."""
        state = next(iter(self.states.values()))
        launch = Schedule(self.layout, state.format, 1, past=False).upsample()
        with self.device.current():
            stream = self.device.current_stream()
            self._order(stream)
            self._run(state, [launch], maps=maps, out=out)
            self.finished.record(stream)  # it reads the maximum from the arena

    # --- one stage after the other

    def run_stages(self, frame: np.ndarray, out: np.ndarray, stages: Sequence[str]) -> None:
        """Run some stages on what the buffers hold; the last one writes the map into `out`."""
        slot = self._arrive(frame)
        chosen = [one for one in self._schedule(slot.state, 1) if one.stage in stages]
        with self.device.using(self.device.stream):
            self._run(slot.state, chosen, slot.frames, slot.maps)
            if STAGES[-1] in stages:
                out[:] = self.device.download(slot.maps[: out.size]).reshape(out.shape)

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage by the device's clock, each repeated by itself."""
        slot, spent = self._arrive(frame, FrameTiming(past=True)), {}
        launches = self._schedule(slot.state, 1)
        for stage in dict.fromkeys(launch.stage for launch in launches):

            def run(stage: str = stage) -> None:
                chosen = [launch for launch in launches if launch.stage == stage]
                self._run(slot.state, chosen, slot.frames, slot.maps, mode=Mode.NEXT)

            spent[stage] = self.device.milliseconds(run)
        return {**spent, "total": sum(spent.values())}

    def arrive(self, frame: np.ndarray, timing: FrameTiming | None) -> np.ndarray:
        """A frame made ready for `run_stages`; without a timing, the last one again."""
        if timing is not None:
            self._arrive(frame, timing)
        return frame

    @property
    def colour(self) -> bool:
        """Whether the last frame had three channels."""
        return self.last_format.colour

    def buffers(self) -> FrameBuffers:
        """The last frame's part of the arena, on the host."""
        first = (self.count - 1) * self.layout.frame_floats

        def read(start: int, size: int) -> np.ndarray:
            return self.device.on_host(self.arena[first + start : first + start + size])

        return FrameBuffers(self.layout, read)

    def close(self) -> None:
        """Let go of all device memory, once it is no longer worked on."""
        try:
            if self.arena is not None:
                self.device.wait(self.finished)
        finally:
            self.slots.clear()
            self.states.clear()
            self.staging.clear()
            self.arena = self.tables = self.call = None

    def __del__(self) -> None:
        """A model that is forgotten waits too: its memory would go to others under the kernels."""
        with suppress(Exception):  # half made, or the interpreter is going down
            if self.arena is not None:
                self.device.wait(self.finished)

    # --- launching

    def _launch(
        self, state: FormatState, frames: Any, maps: Any, count: int, timing: FrameTiming
    ) -> None:
        """All stages for `count` frames on the current stream."""
        stream = self.device.current_stream()
        if self.arena is None:
            raise RuntimeError("this Saliency is closed; build another")
        self._order(stream)
        self._set_last(state.format, timing, count)
        try:
            first, *rest = self._schedule(state, count)
            self._run(state, [first], frames, maps, mode=self._mode(self.timing))
            key = count, self.timing.past
            if key in state.graphs:
                state.graphs[key](stream)
            else:  # the first time as it comes, which also loads what is loaded lazily
                self._run(state, rest)
                state.graphs[key] = self.device.record(lambda: self._run(state, rest))
        finally:  # whatever was queued before an error
            self.finished.record(stream)

    def _order(self, stream: Any) -> None:
        """What a stream does from now on comes after what another still does with our buffers."""
        if self.last_stream is not None and self.last_stream != stream:
            stream.wait_event(self.finished)
        self.last_stream = stream

    def _run(
        self,
        state: FormatState,
        launches: Iterable[Launch],
        frames: Any = None,
        maps: Any = None,
        *,
        mode: Mode | None = None,
        out: Any = None,
    ) -> None:
        arguments = {
            "geometry": state.geometries[self.timing.past],
            "tables": self.tables,
            "arena": self.arena,
            "background": state.background,
            "call": self.call,
            "frames": frames,
            "maps": maps,
            "out": out,
            "flicker_decay": np.float32(self.timing.flicker_decay),
            "smoothing_factor": np.float32(self.timing.smoothing_factor),
            "statistics_factor": np.float32(self.timing.statistics_factor),
            "mode": np.int32(self._mode(None) if mode is None else mode),
        }
        for one in launches:
            given = [arguments[a] if isinstance(a, str) else a for a in one.arguments]
            state.kernels[one.kernel](one.grid, (one.block,), tuple(given))

    def _schedule(self, state: FormatState, count: int) -> tuple[Launch, ...]:
        key = count, self.timing.past
        if key not in state.schedules:
            state.schedules[key] = schedule(self.layout, state.format, *key)
        return state.schedules[key]

    def _reserve(self, frames: int) -> int:
        """Make space for so many frames at once, or as many as pay; how many that is."""
        floats = self.layout.frame_floats
        wanted = max(1, min(frames, BATCH_BYTES // (4 * floats)))
        if wanted > self.frames_at_once:
            arena = self.device.zeros(wanted * floats, np.float32)
            if self.arena is not None:
                self.device.wait(self.finished)
            for state in self.states.values():
                state.graphs.clear()  # they hold the old one's address
            self.arena, self.frames_at_once = arena, wanted
        return wanted

    def _set_last(self, format_: FrameFormat, timing: FrameTiming, count: int = 1) -> None:
        """What is known of the last frame, or frames."""
        self.timing = timing if self.plan.config.remembers else FIRST_FRAME
        self.last_format, self.count = format_, count

    def _mode(self, timing: FrameTiming | None) -> Mode:
        """How the frame at hand follows the one before; without a timing it is that again."""
        if not self.timing.past:
            return Mode.FIRST
        return Mode.AGAIN if timing is None else Mode.NEXT

    def _arrive(self, frame: np.ndarray, timing: FrameTiming | None = None) -> TransferSlot:
        """Copy a frame to the device and check its values, once the arena is free.

        Without a timing it is the last one again.
        """
        device, format_ = self.device, format_of(frame)
        device.wait(self.finished)
        slot = self._slot(format_, 1, 0)
        np.copyto(slot.pinned[0], frame)
        device.copy_in(slot.frames, slot.pinned[:1], device.stream)
        if timing is not None:
            self._set_last(format_, timing)
        scan = self._schedule(slot.state, 1)[:1]
        with device.using(device.stream):
            self._run(slot.state, scan, slot.frames, slot.maps, mode=self._mode(timing))
        if format_.dtype == "float32":
            _check_found(device.download(self._found(0)))
        return slot

    def _found(self, index: int) -> Any:
        start = index * self.layout.frame_floats + int(self.layout.geometry["found"])
        return self.arena[start : start + FOUND.itemsize // 4]


def _check_found(found: np.ndarray) -> None:
    """Raise ValueError if what was found in float frames is out of range."""
    for frame in found.reshape(-1).view(FOUND):
        check_values(frame["lowest"], frame["highest"])


def _within(part: np.ndarray, whole: np.ndarray) -> bool:
    """Whether the bytes of one C-contiguous array are among another's."""
    first, start = whole.ctypes.data, part.ctypes.data
    return first <= start and start + part.nbytes <= first + whole.nbytes
