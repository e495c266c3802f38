"""The CUDA backend: a plan's buffers on a GPU, one recorded graph per kind of frame."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import trace
from ..config import Channel
from ..frames import check_values
from ..pipeline import STAGES, STILL, Moment
from ..plan import Plan
from . import sources, variant
from .device import Device
from .layout import CALL_BYTES, FOUND, HIGHEST, LOWEST, Held, geometry_for, make_layout
from .schedule import Launch, enlarge_grid, schedule

FIRST, NEXT, AGAIN = range(3)  # how a frame follows, as in kernels/common.cuh
BATCH_BYTES = 30 << 20  # intermediates of a batch should stay in the GPU's second-level cache
DEPTH = 2  # parts under way at once: one on its way in, one worked on
PARTS = 4  # of a batch from the host, at least, so that there is something to overlap


@dataclass(eq=False)
class Kind:
    """What one kind of frame (type and channels) needs: code and numbers."""

    dtype: np.dtype
    channels: int
    geometries: tuple[Any, Any]  # as a kernel takes it by value; without a past, and with one
    kernels: dict[str, Callable[..., None]]
    background: Any  # flicker's two
    # By the number of frames at once, and whether one came before:
    schedules: dict[tuple[int, bool], tuple[Launch, ...]] = field(default_factory=dict)
    graphs: dict[tuple[int, bool], Callable[[Any], None]] = field(default_factory=dict)


@dataclass(eq=False)
class Port:
    """Where frames from the host come in and maps go back."""

    kind: Kind
    pinned: np.ndarray  # frames
    frames: Any
    maps: Any
    pinned_maps: np.ndarray
    pinned_found: np.ndarray
    arrived: Any  # events
    done: Any
    frames_under_way: int = 0
    lent: bool = False  # they are on their way from memory that was given out


class CudaBackend:
    """Fused kernels over one arena per frame. See `ittisal.pipeline.Backend`."""

    name = "cuda"
    threads = 1

    def __init__(self, plan: Plan, channel_order: str, device: Any = None) -> None:
        self.plan, self.order = plan, channel_order
        self.layout = make_layout(plan)
        self.device = device if device is not None else Device()
        self.tables = self.device.upload(self.layout.tables)
        self.call = self.device.zeros(CALL_BYTES, np.uint8)  # `struct Call` of kernels/common.cuh
        self.moment, self.colour, self.count = STILL, True, 1  # of the last frame, or frames
        self.kinds: dict[tuple[str, int], Kind] = {}
        self.ports: dict[tuple[str, int, int], Port] = {}
        self.staging: dict[str, Any] = {}
        self.frames_at_once = 0
        self.arena: Any = None
        self.last_stream: Any = None
        self.finished = self.device.event()
        self.lent: list[weakref.ref[np.ndarray]] = []  # page-locked arrays given out
        self._reserve(1)
        self.kind(np.dtype(np.uint8), 3)  # so that what cannot be compiled is known now

    # --- what there is

    @property
    def nbytes(self) -> int:
        """Bytes on the device and of page-locked host memory, but for arrays given out."""
        on_host = sum(
            port.pinned.nbytes + port.pinned_maps.nbytes + port.pinned_found.nbytes
            for port in self.ports.values()
        )
        arrays = [self.tables, self.call, self.arena, *self.staging.values()]
        arrays += [kind.background for kind in self.kinds.values()]
        for port in self.ports.values():
            arrays += [port.frames, port.maps]
        return on_host + sum(array.nbytes for array in arrays if array is not None)

    def kind(self, dtype: np.dtype, channels: int) -> Kind:
        """What frames of this type and number of channels need; compiled when first asked for."""
        key = (dtype.name, channels)
        if key not in self.kinds:
            config = self.plan.config
            kernels: dict[str, Callable[..., None]] = self.device.compile(
                sources.read(),
                variant.options(config, self.order, *key),
                lambda text: sources.kernel_names(text, config),
            )
            without, with_one = (
                self.device.by_value(geometry_for(self.layout, *key, past))
                for past in (False, True)
            )
            words = dtype == np.uint8 and channels == 3 and not config.linear
            pixels = self.plan.shape[0] * self.plan.shape[1]
            size = 2 * pixels if config.has(Channel.FLICKER) else 1
            background = self.device.zeros(size, np.int16 if words else np.float32)
            self.kinds[key] = Kind(dtype, channels, (without, with_one), kernels, background)
        return self.kinds[key]

    # --- frames from the host

    def run(self, frame: np.ndarray, out: np.ndarray, moment: Moment = STILL) -> None:
        """The raw map of a frame in host memory into `out`; returns when it is there."""
        self.run_batch(frame[None], out[None], [moment])

    def run_batch(
        self, frames: np.ndarray, out: np.ndarray, moments: Sequence[Moment] | None = None
    ) -> None:
        """The raw maps of several frames in host memory; copies and kernels overlap."""
        moments = moments or [STILL] * len(frames)
        size = self._at_once(-(-len(frames) // PARTS))
        starts = range(0, len(frames), size)
        parts = ((frames[start : start + size], moments[start]) for start in starts)
        for start, maps in zip(starts, self._pipelined(parts, size, refilled=False), strict=True):
            out[start : start + len(maps)] = maps

    def stream(self, frames: Iterable[tuple[np.ndarray, Moment]]) -> Iterator[np.ndarray]:
        """Maps of frames in turn: one is copied to the device while another is worked on."""
        parts = ((frame[None], moment) for frame, moment in frames)
        for maps in self._pipelined(parts, 1, refilled=True):
            yield maps[0].copy()

    def _at_once(self, frames: int) -> int:
        """How many of so many frames to work on at once: one, where each waits for the last."""
        return self._reserve(1 if self.plan.config.remembers else frames)

    def _pipelined(
        self, parts: Iterable[tuple[np.ndarray, Moment]], size: int, *, refilled: bool
    ) -> Iterator[np.ndarray]:
        """Page-locked maps of each part of up to `size` frames, good until the next one.

        `refilled`: page-locked frames may be filled anew when the next part is asked for.
        """
        under_way: list[Port] = []
        try:
            for count, (part, moment) in enumerate(parts):
                channels = 3 if part.ndim == 4 else 1
                port = self._port(self.kind(part.dtype, channels), size, count % DEPTH)
                under_way.append(port)
                self._submit(port, part, moment)
                if len(under_way) == DEPTH:
                    yield self._finish(under_way.pop(0))
                if refilled and port.lent:
                    self.device.wait(port.arrived)
            while under_way:
                yield self._finish(under_way.pop(0))
        finally:
            for port in under_way:  # the caller went away, or a frame was bad
                self.device.wait(port.arrived)
                self.device.wait(port.done)

    def _port(self, kind: Kind, size: int, number: int) -> Port:
        """A port for up to `size` frames; made anew if it has to grow."""
        key = (kind.dtype.name, kind.channels, number)
        if key not in self.ports or len(self.ports[key].pinned) < size:
            device, shape = self.device, self._frame_shape(kind.channels)
            frames = device.zeros(size * int(np.prod(shape)), kind.dtype)
            maps = device.zeros(size * int(np.prod(self.plan.map_shape)), np.float32)
            self.ports[key] = Port(
                kind,
                device.pinned((size, *shape), kind.dtype),
                frames,
                maps,
                device.pinned((size, *self.plan.map_shape), np.float32),
                device.pinned((size, FOUND), np.float32),
                device.event(),
                device.event(),
            )
        return self.ports[key]

    def _submit(self, port: Port, frames: np.ndarray, moment: Moment) -> None:
        """Send frames on their way; nothing here waits for the device."""
        device, count = self.device, len(frames)
        port.lent = self._is_lent(frames)
        if not port.lent:
            np.copyto(port.pinned[:count], frames)
            frames = port.pinned[:count]
        device.copy_in(port.frames, frames, device.copies)
        port.arrived.record(device.copies)
        with device.using(device.stream):
            device.stream.wait_event(port.arrived)
            self._launch(port.kind, port.frames, port.maps, count, device.stream, moment)
            device.copy_out(port.pinned_maps[:count], port.maps, device.stream)
            if port.kind.dtype == np.float32:
                for index in range(count):
                    found = self._found(index)
                    device.copy_out(port.pinned_found[index], found, device.stream)
            port.done.record(device.stream)
        port.frames_under_way = count

    def _finish(self, port: Port) -> np.ndarray:
        """Wait for a port's maps. Raises ValueError if a float frame held what it must not."""
        self.device.wait(port.done)
        count = port.frames_under_way
        if port.kind.dtype == np.float32:
            for found in port.pinned_found[:count]:
                check_values(found[LOWEST], found[HIGHEST])
        return port.pinned_maps[:count]

    def pinned_frame(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Page-locked memory for frames, which `run` reads where it is. Belongs to the caller."""
        array = self.device.pinned(shape, dtype)
        self.lent = [ref for ref in self.lent if ref() is not None]
        self.lent.append(weakref.ref(array))
        return array

    def _is_lent(self, frames: np.ndarray) -> bool:
        """Whether all of the frames lies in memory that was given out, and is still kept."""
        return frames.flags.c_contiguous and any(
            (array := ref()) is not None and _within(frames, array) for ref in self.lent
        )

    # --- frames on the device

    def adopt(self, array: Any) -> Any:
        """A device array of any library as CuPy's, in place; see `Device.adopt`."""
        return self.device.adopt(array)

    def fetch(self, array: Any) -> np.ndarray:
        """A device array of any library in host memory."""
        return self.device.download(self.device.adopt(array))

    def empty(self, shape: tuple[int, ...]) -> Any:
        """A new float32 array on the device."""
        return self.device.empty(shape)

    def hand_over(self, array: Any, like: Any) -> Any:
        """A result as the library of `like` has it; see `Device.hand_over`."""
        return self.device.hand_over(array, like)

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
        moments: Sequence[Moment] | None = None,
    ) -> None:
        """Raw maps of a frame on the device into `maps`, or of `count` frames in one array.

        Both are CuPy arrays, `maps` C-contiguous. Ordered on the current stream; returns at once.
        Frames whose values are out of range give NaN.
        """
        with self.device.current():
            stream = self.device.current_stream()
            self._order(stream)
            frames = self.contiguous(frames)
            kind = self.kind(frames.dtype, 3 if frames.ndim == 3 + (count is not None) else 1)
            moments = moments or [STILL] * (count or 1)
            size = self._at_once(count or 1)
            if count is None or count <= size:
                self._launch(kind, frames, maps, count or 1, stream, moments[0])
                return
            for start in range(0, count, size):
                part, saliency = frames[start : start + size], maps[start : start + size]
                self._launch(kind, part, saliency, len(part), stream, moments[start])

    def enlarge_device(self, maps: Any, out: Any) -> None:
        """The map just made over its maximum at the frame's size; on the current stream."""
        kind = next(iter(self.kinds.values()))
        grid = enlarge_grid(self.plan.shape, 1)
        with self.device.current():
            stream = self.device.current_stream()
            self._order(stream)
            kind.kernels["enlarge"](grid, (256,), (kind.geometries[0], maps, self.arena, out))
            self.finished.record(stream)  # it reads the maximum from the arena

    # --- one stage after the other

    def stages(self, frame: np.ndarray, out: np.ndarray, first: int, last: int) -> None:
        """Run the stages from number `first` to `last` on what the buffers hold."""
        kind, port = self._arrive(frame)
        chosen = STAGES[first : last + 1]
        with self.device.using(self.device.stream):
            launches = [one for one in self._schedule(kind, 1) if one.stage in chosen]
            self._run(kind, launches, port.frames, port.maps)
            if last == len(STAGES) - 1:
                out[:] = self.device.download(port.maps[: out.size]).reshape(out.shape)

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """Milliseconds per stage by the device's clock, each repeated by itself."""
        kind, port = self._arrive(frame, Moment(past=True))
        spent = {}
        for stage in STAGES:
            launches = [one for one in self._schedule(kind, 1) if one.stage == stage]
            if not launches:
                continue

            def run(launches: list[Launch] = launches) -> None:
                self._run(kind, launches, port.frames, port.maps, mode=NEXT)

            spent[stage] = self.device.milliseconds(run)
        spent["total"] = sum(spent.values())
        return spent

    def trace(self, frame: np.ndarray, moment: Moment | None = STILL) -> dict[str, np.ndarray]:
        """Levels 2 up, maps at level 4, sums and the map; by the reference's names."""
        out = np.empty(self.plan.map_shape, np.float32)
        if moment is not None:
            self._arrive(frame, moment)
        normalise = STAGES.index("normalise")
        self.stages(frame, out, 0, normalise - 1)
        kept = {name: view.copy() for name, view in self.views().items()}
        self.stages(frame, out, normalise, len(STAGES) - 1)
        return {**kept, **self.results(), "saliency": out}

    def views(self) -> dict[str, np.ndarray]:
        """What the stages up to centre-surround hand on, on the host."""
        held = self.held()
        views = trace.buffers(self.plan, held, self.colour, self.moment.past)
        return views | (held.whitening(self.colour) if self.plan.config.whitens else {})

    def results(self) -> dict[str, np.ndarray]:
        """What the last two stages made, on the host."""
        return trace.results(self.plan, self.held(), self.colour, self.moment.past)

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map."""
        first = int(self.layout.geometry["sums"])
        return trace.contributions(self.plan, self.held(first), self.colour, self.moment.past)

    def held(self, first: int = 0) -> Held:
        """The last frame's part of the arena, from float `first` on, where the host can read it."""
        start = (self.count - 1) * self.layout.frame_floats
        arena = self.arena[start + first : start + self.layout.frame_floats]
        return Held(self.layout, self.device.on_host(arena), first)

    def close(self) -> None:
        """Let go of all device memory, once it is no longer worked on."""
        try:
            if self.arena is not None:
                self.device.wait(self.finished)
        finally:
            self.ports.clear()
            self.kinds.clear()
            self.staging.clear()
            self.arena = self.tables = self.call = None

    def __del__(self) -> None:
        """A model that is forgotten waits too: its memory would go to others under the kernels."""
        with suppress(Exception):  # half made, or the interpreter is going down
            if self.arena is not None:
                self.device.wait(self.finished)

    # --- launching

    def _launch(
        self, kind: Kind, frames: Any, maps: Any, count: int, stream: Any, moment: Moment
    ) -> None:
        """All stages for `count` frames on a stream, which is the current one."""
        if self.arena is None:
            raise RuntimeError("this Saliency is closed; build another")
        self._order(stream)
        self._remember(kind, moment, count)
        try:
            self._replay(kind, frames, maps, count, stream)
        finally:  # whatever was queued before an error
            self.finished.record(stream)

    def _replay(self, kind: Kind, frames: Any, maps: Any, count: int, stream: Any) -> None:
        launches = self._schedule(kind, count)
        self._run(kind, launches[:1], frames, maps, mode=self._mode(self.moment))
        key = count, self.moment.past
        if key in kind.graphs:
            kind.graphs[key](stream)
        else:  # the first time as it comes, which also loads what is loaded lazily
            self._run(kind, launches[1:], None, None)
            kind.graphs[key] = self.device.record(lambda: self._run(kind, launches[1:], None, None))

    def _order(self, stream: Any) -> None:
        """What a stream does from now on comes after what another still does with our buffers."""
        if self.last_stream is not None and self.last_stream != stream:
            stream.wait_event(self.finished)
        self.last_stream = stream

    def _run(
        self,
        kind: Kind,
        launches: Iterable[Launch],
        frames: Any,
        maps: Any,
        *,
        mode: int | None = None,
    ) -> None:
        buffers = {
            "geometry": kind.geometries[self.moment.past],
            "tables": self.tables,
            "arena": self.arena,
            "background": kind.background,
            "call": self.call,
            "frames": frames,
            "maps": maps,
            "keep": np.float32(self.moment.keep),
            "share": np.float32(self.moment.share),
            "renewal": np.float32(self.moment.renewal),
            "mode": np.int32(self._mode(None) if mode is None else mode),
        }
        for one in launches:
            given = [buffers[a] if isinstance(a, str) else a for a in one.arguments]
            kind.kernels[one.kernel](one.grid, (one.block,), tuple(given))

    def _schedule(self, kind: Kind, count: int) -> tuple[Launch, ...]:
        key = count, self.moment.past
        if key not in kind.schedules:
            kind.schedules[key] = schedule(self.layout, kind.channels, *key)
        return kind.schedules[key]

    def _reserve(self, frames: int) -> int:
        """Make room for so many frames at once, or as many as pay; how many that is."""
        floats = self.layout.frame_floats
        wanted = max(1, min(frames, BATCH_BYTES // (4 * floats)))
        if wanted > self.frames_at_once:
            arena = self.device.zeros(wanted * floats, np.float32)
            for kind in self.kinds.values():
                kind.graphs.clear()  # they hold the old one's address
            if self.arena is not None:
                self.device.wait(self.finished)
            self.arena, self.frames_at_once = arena, wanted
        return wanted

    def _remember(self, kind: Kind, moment: Moment, count: int = 1) -> None:
        self.moment = moment if self.plan.config.remembers else STILL
        self.colour, self.count = kind.channels == 3, count

    def _mode(self, moment: Moment | None) -> int:
        """How the frame at hand follows the one before; without a moment it is that again."""
        if not self.moment.past:
            return FIRST
        return AGAIN if moment is None else NEXT

    def _arrive(self, frame: np.ndarray, moment: Moment | None = None) -> tuple[Kind, Port]:
        """Copy a frame to the device and check its values, once the arena is free.

        Without a moment it is the last one again.
        """
        self.device.wait(self.finished)
        kind = self.kind(frame.dtype, 3 if frame.ndim == 3 else 1)
        port = self._port(kind, 1, 0)
        np.copyto(port.pinned[0], frame)
        device = self.device
        device.copy_in(port.frames, port.pinned[:1], device.stream)
        if moment is not None:
            self._remember(kind, moment)
        scan = self._schedule(kind, 1)[:1]
        with device.using(device.stream):
            self._run(kind, scan, port.frames, port.maps, mode=self._mode(moment))
        if frame.dtype == np.float32:
            found = self.device.download(self._found(0))
            check_values(found[LOWEST], found[HIGHEST])
        return kind, port

    def _found(self, index: int) -> Any:
        start = index * self.layout.frame_floats + int(self.layout.geometry["found"])
        return self.arena[start : start + FOUND]

    def _frame_shape(self, channels: int) -> tuple[int, ...]:
        return (*self.plan.shape, 3) if channels == 3 else self.plan.shape


def _within(part: np.ndarray, whole: np.ndarray) -> bool:
    """Whether the bytes of one C-contiguous array are among another's."""
    first, start = whole.ctypes.data, part.ctypes.data
    return first <= start and start + part.nbytes <= first + whole.nbytes
