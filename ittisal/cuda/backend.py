"""The CUDA backend: a plan's buffers on a GPU, and what is launched on them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..channels import NO_CHANNELS, Channels, channels_of_frame
from ..frames import check_values
from ..pipeline import FIRST_FRAME, STAGES, FrameFormat, FrameTiming, Streamed, format_of
from ..plan import Plan
from ..trace import Traced
from . import variant
from .device import Device
from .graphs import Graphs
from .guidance import Guidance
from .installation import explained
from .layout import FrameBuffers, geometry_for, make_layout
from .programs import common_programs, programs
from .schedule import Launch, schedule
from .structs import CALL, FOUND, Mode

BATCH_BYTES = 30 << 20  # intermediates of a batch should stay in the GPU's second-level cache
DEPTH = 2  # parts of a batch or stream in progress: one is copied in, one worked on
PARTS = 4  # of a batch from the host, at least, so that there is something to overlap
ALL, FIRST, OTHERS = slice(None), slice(1), slice(1, None)  # of a frame's launches


@dataclass(eq=False)
class FormatState:
    """What frames of one format need: code and numbers."""

    format: FrameFormat
    geometries: list[Any]  # as a kernel takes it by value; without a past, and with one
    kernels: dict[str, Callable[..., None]]
    background: Any  # flicker's two
    # By the number of frames at once, and whether one came before:
    schedules: dict[tuple[int, bool], tuple[Launch, ...]] = field(default_factory=dict)


@dataclass(eq=False)
class TransferSlot:
    """Where frames from the host come in and maps go back."""

    state: FormatState
    pinned: np.ndarray  # frames
    frames: Any
    maps: Any
    pinned_maps: np.ndarray
    pinned_found: np.ndarray
    copy_in: Callable[[int, Any], None]  # so many bytes of pinned frames, on a stream
    copy_out: Callable[[int, Any], None]  # so many bytes of maps
    arrived: Any  # events
    done: Any
    count: int = 0  # of frames in progress
    from_caller: bool = False  # they are read from a pinned buffer that was handed out


class CudaBackend(Traced):
    """Fused kernels over one arena per frame. See `ittisal.pipeline.Backend`."""

    name = "cuda"
    threads = 1

    def __init__(self, plan: Plan, channel_order: str, device: Any = None) -> None:
        self.layout, self.order = make_layout(plan), channel_order
        self.plan = plan = self.layout.plan
        self.device = device if device is not None else Device()
        self.remembers, self.map_bytes = plan.config.remembers, 4 * math.prod(plan.map_shape)
        # What the API asks of arrays on the device.
        self.adopt, self.empty = self.device.adopt, self.device.empty
        self.hand_over, self.address = self.device.hand_over, self.device.address
        self.tables = self.device.upload(self.layout.tables)
        self.call = self.device.zeros(CALL.itemsize, np.uint8)
        self.states: dict[FrameFormat, FormatState] = {}
        self.slots: dict[tuple[FrameFormat, int], TransferSlot] = {}
        self.staging: dict[str, Any] = {}
        self.graphs = Graphs(self.device.record)
        self.guidance_maps = Guidance(self.device, plan, self._release)
        self.frames_at_once = 0
        self.arena: Any = None
        self.last_stream: Any = None
        self.finished = self.device.event()
        # Pinned buffers, with the addresses of their first byte and the one after the last.
        self.handed_out: list[tuple[weakref.ref[np.ndarray], int, int]] = []
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
        arrays += [self.guidance_maps.maps, *self.guidance_maps.pinned]
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

    def run(
        self,
        frame: np.ndarray,
        out: np.ndarray,
        timing: FrameTiming = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """The raw map of a frame in host memory into `out`; returns when it is there."""
        slot = self._slot(format_of(frame), 1, 0)
        try:
            self._submit(slot, frame[None], timing, channels)
            out[...] = self._finish(slot)[0]
        except BaseException:
            self._abandon([slot])
            raise

    def run_batch(
        self,
        frames: np.ndarray,
        out: np.ndarray,
        timings: Sequence[FrameTiming] | None = None,
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """The raw maps of several frames in host memory; copies and kernels overlap."""
        timings = timings or [FIRST_FRAME] * len(frames)
        size = self._at_once(-(-len(frames) // PARTS))
        starts = range(0, len(frames), size)
        parts = (
            (
                frames[start : start + size],
                timings[start],
                channels_of_frame(channels, slice(start, start + size)),
            )
            for start in starts
        )
        for start, maps in zip(starts, self._pipelined(parts, size, refilled=False), strict=True):
            out[start : start + len(maps)] = maps

    def stream(self, frames: Iterable[Streamed]) -> Iterator[np.ndarray]:
        """Maps of frames in turn: one is copied to the device while another is worked on."""
        parts = ((frame[None], timing, channels) for frame, timing, channels in frames)
        for maps in self._pipelined(parts, 1, refilled=True):
            yield maps[0].copy()

    def _at_once(self, frames: int) -> int:
        """How many of so many frames to work on at once: one, where each waits for the last."""
        if self.remembers:
            return 1
        if frames > self.frames_at_once:
            self._reserve(min(frames, BATCH_BYTES // (4 * self.layout.frame_floats)))
        return min(frames, self.frames_at_once)

    def _pipelined(
        self, parts: Iterable[Streamed], size: int, *, refilled: bool
    ) -> Iterator[np.ndarray]:
        """Pinned maps of each part of up to `size` frames, good until the next one.

        `refilled`: pinned frames may be filled anew when the next part is asked for.
        """
        in_progress: list[TransferSlot] = []
        try:
            for number, (part, timing, channels) in enumerate(parts):
                slot = self._slot(format_of(part[0]), size, number % DEPTH)
                in_progress.append(slot)
                self._submit(slot, part, timing, channels)
                if len(in_progress) == DEPTH:
                    yield self._finish(in_progress.pop(0))
                if refilled and slot.from_caller:
                    self.device.wait(slot.arrived)
            while in_progress:
                yield self._finish(in_progress.pop(0))
        finally:
            self._abandon(in_progress)  # the caller went away, or a frame was bad

    def _slot(self, format_: FrameFormat, size: int, number: int) -> TransferSlot:
        """A slot for up to `size` frames; made anew if it has to grow."""
        slot = self.slots.get((format_, number))
        if slot is None or len(slot.pinned) < size:
            device, map_shape, dtype = self.device, self.plan.map_shape, np.dtype(format_.dtype)
            shape = (*self.plan.shape, 3) if format_.colour else self.plan.shape
            pinned = device.pinned((size, *shape), dtype)
            frames = device.zeros(size * math.prod(shape), dtype)
            maps = device.zeros(size * math.prod(map_shape), np.float32)
            pinned_maps = device.pinned((size, *map_shape), np.float32)
            slot = self.slots[format_, number] = TransferSlot(
                self.state(format_),
                pinned,
                frames,
                maps,
                pinned_maps,
                device.pinned((size, FOUND.itemsize // 4), np.float32),
                partial(device.copy, device.address(frames), pinned.ctypes.data),
                partial(device.copy, pinned_maps.ctypes.data, device.address(maps)),
                *(device.event(), device.event()),
            )
        return slot

    def _submit(
        self, slot: TransferSlot, frames: np.ndarray, timing: FrameTiming, channels: Channels
    ) -> None:
        """Send frames to the device; nothing here waits for it."""
        device, stream, count = self.device, self.device.stream, len(frames)
        address = self._pinned_at(frames)
        slot.count, slot.from_caller = count, address is not None
        if address is None:
            np.copyto(slot.pinned[:count], frames)
            slot.copy_in(frames.nbytes, device.copies)
        else:
            device.copy(device.address(slot.frames), address, frames.nbytes, device.copies)
        slot.arrived.record(device.copies)
        stream.wait_event(slot.arrived)
        with device.current():
            self._order(stream)
            self._launch(slot.state, slot.frames, slot.maps, count, timing, stream, channels)
        slot.copy_out(count * self.map_bytes, stream)
        if slot.state.format.dtype == "float32":
            for index in range(count):
                found, target = self._found(index), slot.pinned_found[index]
                device.copy(target.ctypes.data, device.address(found), target.nbytes, stream)
        slot.done.record(stream)

    def _finish(self, slot: TransferSlot) -> np.ndarray:
        """Wait for a slot's maps. Raises ValueError if a float frame held what it must not."""
        self.device.wait(slot.done)
        if slot.state.format.dtype == "float32":
            _check_found(slot.pinned_found[: slot.count])
        return slot.pinned_maps[: slot.count]

    def _abandon(self, slots: Iterable[TransferSlot]) -> None:
        """Wait for what is under way."""
        for slot in slots:
            self.device.wait(slot.arrived)
            self.device.wait(slot.done)

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Pinned memory for frames, which `run` reads where it is. Belongs to the caller."""
        array = self.device.pinned(shape, dtype)
        start = array.ctypes.data
        self.handed_out = [each for each in self.handed_out if each[0]() is not None]
        self.handed_out.append((weakref.ref(array), start, start + array.nbytes))
        return array

    def _pinned_at(self, frames: np.ndarray) -> int | None:
        """Address of frames that all lie in one buffer handed out, which is still kept."""
        if not (self.handed_out and frames.flags.c_contiguous):
            return None
        start = frames.ctypes.data
        for ref, first, end in self.handed_out:
            if first <= start and start + frames.nbytes <= end and ref() is not None:
                return start
        return None

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
        with explained(
            "a frame that is not C-contiguous cannot be copied"
        ):  # by a kernel of CuPy's
            self.staging[key][...] = array
        return self.staging[key]

    def run_device(
        self,
        frames: Any,
        maps: Any,
        count: int | None = None,
        timings: Sequence[FrameTiming] | None = None,
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """Raw maps of a frame on the device into `maps`, or of `count` frames in one array.

        Both are CuPy arrays, `maps` C-contiguous. Ordered on the current stream; returns at once.
        Frames whose values are out of range give NaN.
        """
        with self.device.current():
            stream = self.device.current_stream()
            self._order(stream)
            frames = self.contiguous(frames)
            state = self.state(format_of(frames, count is not None))
            timings = timings or [FIRST_FRAME] * (count or 1)
            size = self._at_once(count or 1)
            if count is None or count <= size:
                self._launch(state, frames, maps, count or 1, timings[0], stream, channels)
                return
            for start in range(0, count, size):
                its = slice(start, start + size)
                part, guiding = frames[its], channels_of_frame(channels, its)
                self._launch(state, part, maps[its], len(part), timings[start], stream, guiding)

    def upsample_device(self, maps: Any, out: Any) -> None:
        """The map just made over its maximum at the frame's size; on the current stream."""
        state = next(iter(self.states.values()))
        launch = self.layout.schedule(state.format, 1, past=False).upsample()
        with self.device.current():
            stream = self.device.current_stream()
            self._order(stream)
            self._run(state, [launch], stream, maps=maps, out=out)
            self.finished.record(stream)  # it reads the maximum from the arena

    # --- one stage after the other

    def run_stages(self, frame: np.ndarray, out: np.ndarray, stages: Sequence[str]) -> None:
        """Run some stages on what the buffers hold; the last one writes the map into `out`."""
        slot, stream = self._arrive(frame), self.device.stream
        chosen = [one for one in self._schedule(slot.state, 1) if one.stage in stages]
        with self.device.current():
            self._run(slot.state, chosen, stream, slot.frames, slot.maps)
        if STAGES[-1] in stages:
            out[:] = self.device.download(slot.maps[: out.size]).reshape(out.shape)

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage by the device's clock, each repeated by itself."""
        slot, spent = self._arrive(frame, FrameTiming(past=True)), {}
        self.guidance_maps.clear()
        launches = self._schedule(slot.state, 1)
        for stage in dict.fromkeys(launch.stage for launch in launches):

            def run(stream: Any, stage: str = stage) -> None:
                chosen = [launch for launch in launches if launch.stage == stage]
                self._run(slot.state, chosen, stream, slot.frames, slot.maps, mode=Mode.NEXT)

            spent[stage] = self.device.milliseconds(run)
        return {**spent, "total": sum(spent.values())}

    def arrive(
        self, frame: np.ndarray, timing: FrameTiming | None, channels: Channels = NO_CHANNELS
    ) -> np.ndarray:
        """A frame made ready for `run_stages`; without a timing, the last one again."""
        if timing is not None:
            self._arrive(frame, timing)
        self.device.wait(self.finished)
        self.count = 1
        with self.device.current():
            self._join(self.state(format_of(frame)), channels, self.device.stream)
        return frame

    def guidance(self) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """The caller's channels of the last frame: see `Traced`."""
        return self.guidance_maps.of_frame(self.count - 1)

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
            self.graphs.clear()
            self.slots.clear()
            self.states.clear()
            self.staging.clear()
            self.guidance_maps.close()
            self.arena = self.tables = self.call = None

    def __del__(self) -> None:
        """A model that is forgotten waits too: its memory would go to others under the kernels."""
        with suppress(Exception):  # half made, or the interpreter is going down
            if self.arena is not None:
                self.device.wait(self.finished)

    # --- launching

    def _launch(
        self,
        state: FormatState,
        frames: Any,
        maps: Any,
        count: int,
        timing: FrameTiming,
        stream: Any,
        channels: Channels,
    ) -> None:
        """All stages for `count` frames.

        One graph where the same buffers and numbers come round again. Else the first launch, which
        takes them, is by itself, and a graph of the others serves all frames.
        """
        self._set_last(state.format, timing, count)
        self._join(state, channels, stream)

        def run(stream: Any, part: slice = ALL) -> None:
            launches = self._schedule(state, count)[part]
            self._run(state, launches, stream, frames, maps, mode=self._mode(self.timing))

        def run_in_two(stream: Any) -> None:
            run(stream, FIRST)
            self.graphs.launch(kind, stream, partial(run, part=OTHERS))

        _, _, flicker, smoothing, statistics = self.timing
        guidance = self.guidance_maps
        kind = state, count, self.timing.past, guidance.added, guidance.multiplied
        key = kind, flicker, smoothing, statistics, self.address(frames), self.address(maps)
        try:
            self.graphs.launch(key, stream, run, run_in_two)
            self.finished.record(stream)
        except BaseException:
            with suppress(Exception):  # the first error counts
                self.finished.record(stream)  # whatever was queued before it
            with explained(f"{self.device.name} failed"):
                raise

    def _join(self, state: FormatState, channels: Channels, stream: Any) -> None:
        """The caller's channels of the frames that are launched next."""
        if not channels:
            if self.guidance_maps.names:
                self.guidance_maps.clear()
            return
        colour, past = state.format.colour, self.timing.past
        schedule = self.layout.schedule(state.format, self.count, past=past)
        scale = self.plan.channel_scale(colour=colour, past=past)
        for launch, given in self.guidance_maps.put(channels, schedule, scale, stream):
            self._run(state, [launch], stream, given=given)

    def _order(self, stream: Any) -> None:
        """What a stream does from now on comes after what another still does with our buffers."""
        if self.arena is None:
            raise RuntimeError("this Saliency is closed; build another")
        if self.last_stream != stream:
            if self.last_stream is not None:
                stream.wait_event(self.finished)
            self.last_stream = stream

    def _run(
        self,
        state: FormatState,
        launches: Iterable[Launch],
        stream: Any,
        frames: Any = None,
        maps: Any = None,
        *,
        mode: Mode | None = None,
        out: Any = None,
        given: Any = None,
    ) -> None:
        guidance = self.guidance_maps
        arguments = {
            "geometry": state.geometries[self.timing.past],
            "tables": self.tables,
            "arena": self.arena,
            "background": state.background,
            "call": self.call,
            "frames": frames,
            "maps": maps,
            "out": out,
            "given": given,
            "channel_maps": guidance.maps,
            "added": np.int32(guidance.added),
            "multiplied": np.int32(guidance.multiplied),
            "flicker_decay": np.float32(self.timing.flicker_decay),
            "smoothing_factor": np.float32(self.timing.smoothing_factor),
            "statistics_factor": np.float32(self.timing.statistics_factor),
            "mode": np.int32(self._mode(None) if mode is None else mode),
        }
        for one in launches:
            values = [arguments[a] if isinstance(a, str) else a for a in one.arguments]
            state.kernels[one.kernel](one.grid, (one.block,), tuple(values), stream=stream)

    def _schedule(self, state: FormatState, count: int) -> tuple[Launch, ...]:
        key = count, self.timing.past
        if key not in state.schedules:
            state.schedules[key] = schedule(self.layout, state.format, *key)
        return state.schedules[key]

    def _reserve(self, frames: int) -> None:
        """Make space for so many frames at once, where that is more than there was."""
        if frames > self.frames_at_once:
            arena = self.device.zeros(frames * self.layout.frame_floats, np.float32)
            self._release()
            self.arena, self.frames_at_once = arena, frames

    def _release(self) -> None:
        """Wait for what uses a buffer that is let go of, and forget graphs with its address."""
        if self.arena is not None:
            self.device.wait(self.finished)
        self.graphs.clear()

    def _set_last(self, format_: FrameFormat, timing: FrameTiming, count: int = 1) -> None:
        """What is known of the last frame, or frames."""
        self.timing = timing if self.remembers else FIRST_FRAME
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
        slot.copy_in(frame.nbytes, device.stream)
        if timing is not None:
            self._set_last(format_, timing)
        scan, mode = self._schedule(slot.state, 1)[:1], self._mode(timing)
        with device.current():
            self._run(slot.state, scan, device.stream, slot.frames, slot.maps, mode=mode)
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
