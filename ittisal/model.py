"""The public API: `Saliency` for many frames of one size, `saliency_map` for single images."""

from __future__ import annotations

import itertools
import math
import numbers
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NoReturn

import numpy as np

from . import backends
from .channels import NO_CHANNELS, Channels, channels_of_frame, check_channels
from .config import ITTI_1998, Config
from .frames import (
    as_array,
    check_channel_order,
    check_frame,
    check_frames,
    check_shape,
    composite,
    is_on_gpu,
)
from .levels import Levels, Span, as_levels, stretch
from .maps import upsample
from .pipeline import (
    FIRST_FRAME,
    FRAME_SECONDS,
    Backend,
    FrameFormat,
    FrameTiming,
    Streamed,
    format_of,
    frame_timing,
)
from .plan import Plan
from .sampling import sampling

SERIAL_PIXELS = 500_000  # below this a second thread costs more than it saves
MAX_AUTO_THREADS = 8
CACHED_MODELS = 4
# Arrays or `ChannelMap` by name, or a function that gives these for a frame.
ChannelMaps = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]
FLOAT32 = np.dtype(np.float32)


class Saliency:
    """The model for frames of one size: plan, kernels and fixed buffers made once.

    Nothing is allocated per frame when `out` is given. The buffers are its own, so use one
    object per thread; a second call while one is under way is refused.

    With flicker, motion, smoothing (the preset `video`), `whitening_seconds` or levels by
    percentiles a map depends on the frames before, which the object remembers until `reset()`. The
    first frame after that, or of another type or number of channels than the last, has none: its
    map is of the other channels alone.

    With the CUDA backend frames may lie in host memory (NumPy) or on the GPU (CuPy, torch, or
    anything else with DLPack). The former are copied there and back, and a call returns when the
    map is there. The latter stay, and so does the map: a call returns at once, ordered on the
    stream that is current.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the frames in pixels, both at least 32.
    config : Config
        The reading of the model; `ittisal.preset` names some.
    backend : {"auto", "cuda", "cpu", "reference"}
        "auto" takes the first of these that can run here, or what the environment variable
        ITTISAL_BACKEND names; `backend` then says which. A named backend never falls back to
        another. "cuda" takes the GPU that is current in CuPy; where one is there but does not work,
        "auto" warns once and goes on.
    channel_order : {"rgb", "bgr"}
        Of colour frames. OpenCV's are "bgr".
    threads : int, optional
        CPU threads that share one frame. By default ITTISAL_THREADS, else one for small frames
        and up to eight for large ones. The map does not depend on it.
    levels : (float, float) or Levels, optional
        Black and white in the frames' own units, or by percentiles, for sensors that use a part of
        their type's range: see `ittisal.Levels`. By default the type's whole range, [0, 1] of
        float frames. Not for frames on the GPU.

    Raises
    ------
    TypeError, ValueError
        Bad shape, order, thread count or levels.
    BackendError
        The backend named cannot run here.
    MemoryError
        The GPU has too little memory left.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> model = ittisal.Saliency((240, 320), channel_order="bgr")
    >>> frame = np.zeros((240, 320, 3), np.uint8)
    >>> frame[100:120, 200:220] = 255
    >>> raw = model(frame)
    >>> raw.shape, raw.dtype
    ((15, 20), dtype('float32'))
    """

    def __init__(
        self,
        shape: tuple[int, int],
        config: Config = ITTI_1998,
        *,
        backend: str = "auto",
        channel_order: str = "rgb",
        threads: int | None = None,
        levels: Levels | Span | None = None,
    ) -> None:
        if not isinstance(config, Config):
            raise TypeError(f"config is a {type(config).__name__}; give an ittisal.Config")
        self._plan = Plan(check_shape(shape), config)
        self._sampling = sampling(self._plan.shape, config)
        self._channel_order = check_channel_order(channel_order)
        count = _thread_count(threads, self._plan.shape)
        self._backend: Backend = backends.make(backend, self._plan, self._channel_order, count)
        self._exclusive = _Exclusive(self._backend)
        self._levels = as_levels(levels)
        self._stretched: dict[FrameFormat, np.ndarray] = {}  # buffers of frames
        levels_remember = self._levels is not None and self._levels.remembers
        self._past = _Past(config, config.remembers or levels_remember)
        self._channels: Channels = NO_CHANNELS  # of the last frame

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self._plan.shape

    @property
    def map_shape(self) -> tuple[int, int]:
        """(height, width) of the raw map: a sixteenth of the frame's with most presets."""
        return self._plan.map_shape

    @property
    def config(self) -> Config:
        """The reading of the model."""
        return self._plan.config

    @property
    def plan(self) -> Plan:
        """The geometry: levels, pairs, buffers."""
        return self._plan

    @property
    def backend(self) -> str:
        """Name of the backend that runs."""
        return self._backend.name

    @property
    def threads(self) -> int:
        """CPU threads that share one frame."""
        return self._backend.threads

    @property
    def levels(self) -> Span | None:
        """Black and white of the last frame, in its units; None before it, or without levels."""
        return self._past.span

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers that this object owns."""
        return self._backend.nbytes + sum(buffer.nbytes for buffer in self._stretched.values())

    def __reduce__(self) -> NoReturn:
        """Its buffers and threads belong to one process."""
        raise TypeError("a Saliency cannot be copied or sent elsewhere; build one per process")

    def __call__(
        self,
        frame: Any,
        out: Any = None,
        *,
        time: Any = None,
        channels: ChannelMaps | None = None,
    ) -> Any:
        """The raw saliency map of one frame, or of several (P98, eq. 8).

        Parameters
        ----------
        frame : array of shape (H, W, 3) or (H, W), or several: (N, H, W, 3) or (N, H, W)
            uint8, uint16, or float in [0, 1] (with `levels`, any finite float); any strides; never
            changed. Grey frames have no colour channel. C-contiguous ones are read where they are
            (with `levels` none is), others copied.
        out : float32 array of shape `map_shape`, or (N, *map_shape), optional
            C-contiguous; receives the map. On the GPU if the frame is.
        time : float, or N of them, optional
            When the frame is shown, in seconds from any start: what flicker, smoothing and
            running statistics go by. Frames without are taken to be 1/30 s apart. Has to grow until
            `reset()`. Models that remember nothing do not look at it.
        channels : mapping of str to array or ChannelMap, optional
            Channels of the caller's own for this frame, by names that the model's do not have: maps
            of a detector, another sensor or a task. An array is one that is added, of weight 1;
            see `ittisal.ChannelMap` for shapes, weights and products. For one frame also a callable
            that is given the frame and returns such a mapping, as `ittisal.FaceDetector` does.

        Returns
        -------
        float32 array of shape `map_shape`, or (N, *map_shape)
            (H//16, W//16); with a `working_size`, as in the presets `video`, `whitened` and `gaze`,
            small frames have (H//8, W//8) or (H//4, W//4), and 8 or 4 below in place of 16;
            `vocus2` and `gbvs` have maps of other sizes. Of the frame's library if that lies on
            the GPU, else NumPy's. Not negative, not scaled to 1: comparable between frames (but
            with `normalisation="none"`, as in the preset `whitened`, and in published programs,
            which stretch maps to a fixed range). A frame without contrast gives exactly 0. Map
            sample i lies at frame pixel (i + 1/2) 16 - 1/2.

        Raises
        ------
        TypeError, ValueError
            Another size or type than the model's, float values that are NaN or outside [0, 1], a
            time that is not after the last one, or channels that are none. Frames on the GPU give a
            map of NaN for such values, since nobody waits for them (and so does the frame after
            such a one that had no past). A frame that is refused leaves no trace in the next map,
            unless it was one of several: then the past is forgotten, as by `reset()`.
        RuntimeError
            The model is closed, or in use by another thread.
        MemoryError
            The GPU has too little memory left; the model stays usable.

        Examples
        --------
        >>> import numpy as np, ittisal
        >>> model = ittisal.Saliency((64, 64))
        >>> model(np.zeros((10, 64, 64, 3), np.uint8)).shape
        (10, 4, 4)
        """
        if is_on_gpu(frame):
            return self._on_gpu(frame, out, time, channels)
        frames, several = check_frames(as_array(frame), self._plan.shape)
        shape = (len(frames), *self._plan.map_shape) if several else self._plan.map_shape
        if out is None:
            out = np.empty(shape, np.float32)
        else:
            _check_out(out, shape)
        format_, count = format_of(frames, several), len(frames) if several else None
        guiding = self._checked(channels, frames, count)
        with self._exclusive as backend, self._past.follow(format_, time, count) as timings:
            self._channels = channels_of_frame(guiding, -1) if guiding else guiding
            if several:
                backend.run_batch(self._stretch(frames, timings), out, timings, guiding)
            else:
                backend.run(self._stretch(frames[None], timings)[0], out, timings[0], guiding)
        return out

    def reset(self) -> None:
        """Forget the frames before, as at a cut or after a jump: the next one is the first.

        Examples
        --------
        >>> import numpy as np, ittisal
        >>> model = ittisal.Saliency((64, 96), ittisal.VIDEO)
        >>> frame = np.zeros((64, 96), np.float32)
        >>> frame[20:40, 40:60] = 1
        >>> first, second = model(frame), model(frame)  # the second has no flicker, no motion
        >>> model.reset()
        >>> bool((model(frame) == first).all()), bool(second.max() < first.max())
        (True, True)
        """
        self._past.forget()

    def stream(
        self,
        frames: Iterable[Any],
        *,
        times: Iterable[Any] | None = None,
        channels: ChannelMaps | None = None,
    ) -> Iterator[np.ndarray]:
        """Raw maps of frames in turn, as from calls; with CUDA, copies and kernels overlap.

        Frame n + 1 is then asked for, and copied to the GPU, while frame n is worked on, so that a
        map comes one frame late.

        Parameters
        ----------
        frames : iterable of arrays
            Each as for a call; those on a GPU are copied to the host first (a call does better).
            One from `pinned_frame` may be filled anew once the next is asked for, like any other.
        times : iterable of float, optional
            One per frame, as for a call; asked for after its frame.
        channels : mapping or callable, optional
            As for a call, for each frame. With CUDA a detector runs while the frame before is
            worked on.

        Yields
        ------
        float32 ndarray of shape `map_shape`

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As for a call, at the frame that is at fault or the one after; and `times` ended before
            the frames. The past is then forgotten, as by `reset()`, and also where a stream is left
            before its end.

        Examples
        --------
        >>> import numpy as np, ittisal
        >>> model = ittisal.Saliency((64, 96))
        >>> frames = (np.full((64, 96, 3), i, np.uint8) for i in range(3))
        >>> [float(saliency.max()) for saliency in model.stream(frames)]
        [0.0, 0.0, 0.0]
        """

        def timed() -> Iterator[Streamed]:
            clock = itertools.repeat(None) if times is None else iter(times)
            for given in frames:
                frame, now = self._one(given), next(clock, clock)
                if now is clock:
                    raise ValueError("times ended before the frames did; give one for each")
                guiding = self._checked(channels, frame)
                with self._past.follow(format_of(frame), now) as timings:
                    self._channels = guiding
                    yield self._stretch(frame[None], timings)[0], timings[0], guiding

        with self._exclusive as backend:
            try:
                yield from backend.stream(timed())
            except BaseException:  # at which frame differs from backend to backend
                self.reset()
                raise

    def pinned_frame(
        self, dtype: Any = np.uint8, *, channels: int = 3, frames: int | None = None
    ) -> np.ndarray:
        """A zeroed frame to be filled by a camera or decoder and handed to the model.

        With CUDA its memory is page-locked, and the model copies it to the GPU at full speed,
        without a copy on the host; else it is an ordinary array. It is good for as long as the
        caller keeps it, and for this model.

        Parameters
        ----------
        dtype : uint8, uint16 or float32
        channels : 3 or 1
        frames : int, optional
            So many in one array, for batches.

        Returns
        -------
        ndarray of shape (H, W, 3), or (H, W); with `frames`, (N, H, W, 3) or (N, H, W)

        Raises
        ------
        TypeError, ValueError
            Another type or number.
        MemoryError
            So much memory cannot be page-locked.

        Examples
        --------
        >>> import ittisal
        >>> model = ittisal.Saliency((64, 96))
        >>> frame = model.pinned_frame()
        >>> frame[20:30, 40:50] = 255
        >>> bool(model(frame).max() > 0)
        True
        """
        dtype = np.dtype(dtype)
        if dtype not in (np.uint8, np.uint16, np.float32):
            raise TypeError(f"dtype={dtype} is not uint8, uint16 or float32")
        if channels not in (1, 3):
            raise ValueError(f"channels={channels!r} is not 3 or 1")
        if frames is not None and (not isinstance(frames, int) or frames < 1):
            raise ValueError(f"frames={frames!r} must be a whole number above 0")
        leading = () if frames is None else (frames,)
        shape = (*leading, *self.shape, *((3,) if channels == 3 else ()))
        with self._exclusive as backend:
            return backend.pinned_frame(shape, dtype)

    def trace(
        self, frame: Any, *, time: Any = None, channels: ChannelMaps | None = None
    ) -> dict[str, np.ndarray]:
        """A call that gives every intermediate, by the names of `ittisal.reference.trace`.

        The CPU and CUDA backends never make some, and leave them out: levels 0 and 1 of the
        pyramids, `contrast/...`, centre-surround maps at their own scale, and some of what lies
        between the planes and `figure` or `conspicuity/whitened`. The arrays are copies, in host
        memory.
        """
        frame = self._one(frame)
        guiding = self._checked(channels, frame)
        with self._exclusive as backend, self._past.follow(format_of(frame), time) as timings:
            self._channels = guiding
            return backend.trace(self._stretch(frame[None], timings)[0], timings[0], guiding)

    def retrace(self, frame: Any) -> dict[str, np.ndarray]:
        """The trace of the frame that was given last, given again with its channels: no time
        passes.

        Raises
        ------
        RuntimeError
            There was none since the model was made or `reset()`, it was of another format, or one
            that came since was refused.
        """
        frame = self._one(frame)
        with self._exclusive as backend:
            self._past.check(format_of(frame))
            return backend.trace(self._stretch(frame[None], [None])[0], None, self._channels)

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map, by the channel's name; the caller's too.

        Returns
        -------
        dict of str to float32 ndarray of shape `map_shape`
            The weighted terms of P98, eq. 8. Their sum is the map, before it is smoothed. Where the
            sum is normalised again (`normalise_saliency`), each sample of the result is divided in
            proportion to the terms there. With `figure` they are what each channel promotes of the
            figure, which has a term of its own, "figure". The caller's channels that multiply the
            map scale all terms.

        Raises
        ------
        RuntimeError
            No frame came since the model was made or `reset()`, or the last one was refused.

        Examples
        --------
        >>> import numpy as np, ittisal
        >>> model = ittisal.Saliency((64, 96))
        >>> frame = np.zeros((64, 96, 3), np.uint8)
        >>> frame[20:30, 40:50] = (255, 0, 0)
        >>> saliency, added = model(frame), model.contributions()
        >>> sorted(added)
        ['colour', 'intensity', 'orientation']
        >>> bool(np.allclose(sum(added.values()), saliency, rtol=1e-4))
        True
        """
        with self._exclusive as backend:
            self._past.check(self._past.format)
            return backend.contributions()

    def timings(self, frame: Any) -> dict[str, float]:
        """Milliseconds that each stage took for this frame, once; on a GPU by its own clock.

        The first stage includes that the state which the last frame left is committed. The past is
        forgotten, as by `reset()`.
        """
        frame = self._one(frame)
        with self._exclusive as backend:
            self.reset()
            return backend.timings(self._stretch(frame[None], [FIRST_FRAME])[0])

    def close(self) -> None:
        """Stop worker threads; the object then refuses frames. Closing twice does no harm."""
        self._exclusive.closed = True
        self._backend.close()

    def __enter__(self) -> Saliency:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<Saliency {width}x{height}, backend {self.backend}, threads {self.threads}>"

    def _stretch(self, frames: np.ndarray, timings: Sequence[FrameTiming | None]) -> np.ndarray:
        """Frames stretched by the levels, in the model's own buffer; without levels as they are.

        A frame without a timing is the last one again, and has its levels.
        """
        if self._levels is None:
            return frames
        format_ = format_of(frames[0])
        if format_ not in self._stretched or len(self._stretched[format_]) < len(frames):
            self._stretched[format_] = self._backend.pinned_frame(frames.shape, frames.dtype)
        stretched = self._stretched[format_][: len(frames)]
        for frame, out, timing in zip(frames, stretched, timings, strict=True):
            if timing is not None:
                last = self._past.span if timing.past else None
                self._past.span = self._levels.follow(frame, last, timing.elapsed)
            assert self._past.span is not None
            stretch(frame, self._past.span, out)
        return stretched

    def _one(self, frame: Any) -> np.ndarray:
        """One frame, checked, in host memory."""
        if is_on_gpu(frame):
            frame = _gpu_backend(self._backend).fetch(frame)  # touches no buffer of the model's
        frame, several = check_frames(as_array(frame), self._plan.shape)
        if several:
            raise ValueError(f"frame of shape {frame.shape} is not an image; give one at a time")
        return frame

    def _checked(
        self,
        channels: ChannelMaps | None,
        frames: Any,
        count: int | None = None,
        adopt: Callable[[Any], Any] | None = None,
    ) -> Channels:
        """The caller's channels of a frame, or of `count` frames.

        Their maps come to host memory, unless the backend can `adopt` them where they are.
        """
        if channels is None:
            return NO_CHANNELS

        def fetch(array: Any) -> np.ndarray:
            return _gpu_backend(self._backend, "a channel").fetch(array)

        if callable(channels):
            if count is not None:
                raise TypeError(
                    "channels is a function of one frame, and several are given; give maps, or "
                    "one frame at a time"
                )
            channels = channels(frames)
        stay = adopt is not None
        return check_channels(channels, self._sampling, count, adopt or fetch, stay=stay)

    def _on_gpu(self, frame: Any, out: Any, time: Any, channels: ChannelMaps | None) -> Any:
        """Maps of frames on the GPU, which stay there; see `__call__`."""
        self._refuse_levels()
        with self._exclusive as backend:
            gpu = _gpu_backend(backend)
            frames, several = check_frames(gpu.adopt(frame), self._plan.shape)
            shape = (len(frames), *self._plan.map_shape) if several else self._plan.map_shape
            maps = gpu.empty(shape) if out is None else gpu.adopt(out)
            _check_array(maps, shape)
            format_, count = format_of(frames, several), len(frames) if several else None
            guiding = self._checked(channels, frames, count, gpu.adopt)
            with self._past.follow(format_, time, count) as timings:
                self._channels = channels_of_frame(guiding, -1) if guiding else guiding
                gpu.run_device(frames, maps, count, timings, guiding)
            handed = gpu.hand_over(maps, frame)  # whose stream then waits for our reading of it
            if out is None:
                return handed
            gpu.hand_over(maps, out)
            return out

    def _upsampled_on_gpu(self, image: Any, channels: ChannelMaps | None) -> Any:
        """The [0, 1] map of an image on the GPU at its own size; see `saliency_map`."""
        self._refuse_levels()
        with self._exclusive as backend:
            gpu = _gpu_backend(backend)
            frame, _ = check_frames(gpu.adopt(image), self.shape)
            raw, full = gpu.empty(self.map_shape), gpu.empty(self.shape)
            guiding = self._checked(channels, frame, None, gpu.adopt)
            gpu.run_device(frame, raw, channels=guiding)
            gpu.upsample_device(raw, full)
            return gpu.hand_over(full, image)

    def _refuse_levels(self) -> None:
        if self._levels is not None:
            raise TypeError(
                "the frame lies on a GPU, and levels are for frames in host memory; copy it first, "
                "as with .get() or .cpu(), or stretch it there and leave levels out"
            )


class _Exclusive:
    """Access to a backend, for one caller at a time."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.closed = backend, False
        self._busy = threading.Lock()

    def __enter__(self) -> Backend:
        if self.closed:
            raise RuntimeError("this Saliency is closed; build another")
        if not self._busy.acquire(False):
            raise RuntimeError(
                "this Saliency is in use, by another thread or by a stream of frames that has not "
                "ended; build one for each thread"
            )
        return self.backend

    def __exit__(self, *exception: object) -> None:
        self._busy.release()


class _Past:
    """What a model knows of its last frame.

    As a context manager it gives the next one's timings, and forgets that one if it fails.
    """

    def __init__(self, config: Config, remembers: bool) -> None:
        self._remembers = remembers  # whether maps depend on the frames before
        self._timing = lru_cache(maxsize=8)(partial(frame_timing, config))
        self.forget()
        self.refused = False  # a frame came since, and was bad

    def forget(self) -> None:
        """As if no frame had come."""
        self.format: FrameFormat | None = None
        self.time: float | None = None
        self.span: Span | None = None  # by which the frame was stretched

    def check(self, format_: FrameFormat | None) -> None:
        """Raise RuntimeError unless the last frame was of this format."""
        if self.format is None or format_ != self.format:
            raise RuntimeError(
                "this is about the last frame, and there was none of its format since the model "
                "was made or reset; give one first"
            )
        if self.refused:  # it may have got as far as the buffers
            raise RuntimeError("the last frame was refused; give another first")

    def follow(self, format_: FrameFormat, time: Any, count: int | None = None) -> _Past:
        """One frame that comes now, or `count` of one format."""
        self._timings, last = self._timings_of(format_, time, count)
        self._before: tuple[Any, Any, Any] = None, None, None  # others' past is in the buffers
        if count is None and format_ == self.format:
            self._before = self.format, self.time, self.span
        self.format, self.time = format_, last
        return self

    def __enter__(self) -> list[FrameTiming]:
        return self._timings

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:
            self.refused = False
        elif issubclass(kind, (Exception, KeyboardInterrupt)):
            self.format, self.time, self.span = self._before
            self.refused = True

    def _timings_of(
        self, format_: FrameFormat, time: Any, count: int | None
    ) -> tuple[list[FrameTiming], float | None]:
        """Timings of frames, and the last one's time."""
        if not self._remembers:
            return [FIRST_FRAME] * (count or 1), None
        if count is None:
            times = [time]
        elif time is None:
            times = [None] * count
        elif isinstance(time, Iterable):
            times = list(time)
        else:
            raise TypeError(f"time={time!r} must hold a number of seconds for each frame")
        if len(times) != (count or 1):
            raise ValueError(f"time holds {len(times)} numbers for {count} frames")
        past, last = format_ == self.format, self.time
        timings = []
        for now in times:
            elapsed = _elapsed(last if past else None, now)
            timings.append(self._timing(elapsed if past else None))
            past, last = True, now
        return timings, last


def _elapsed(last: float | None, now: Any) -> float:
    """Seconds between two frames; a nominal frame's where one came without a time."""
    if now is None:
        return FRAME_SECONDS
    if isinstance(now, bool) or not isinstance(now, numbers.Real):
        raise TypeError(f"time={now!r} must be a number of seconds")
    try:
        seconds = float(now)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError(f"time={now!r} must be a finite number of seconds")
    if last is None:
        return FRAME_SECONDS
    elapsed = seconds - float(last)
    if not elapsed > 0:
        raise ValueError(
            f"time={now} is not after the last frame's, {last}; call reset() after a jump back"
        )
    return elapsed


def _gpu_backend(backend: Any, what: str = "the frame") -> Any:
    if backend.name != "cuda":
        raise TypeError(
            f"{what} lies on a GPU, and backend {backend.name!r} reads host memory; use "
            f'backend="cuda", or copy {what} first, as with .get() or .cpu()'
        )
    return backend


def _check_out(out: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is {type(out).__name__}; give a float32 ndarray of shape {shape}")
    _check_array(out, shape)
    if not out.flags.writeable:
        raise ValueError("out must be C-contiguous and writeable")


def _check_array(out: Any, shape: tuple[int, ...]) -> None:
    if out.dtype != FLOAT32:
        raise TypeError(f"out is {out.dtype}; give a float32 array of shape {shape}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; the map has {shape}")
    if not out.flags.c_contiguous:
        raise ValueError("out must be C-contiguous and writeable")


def _thread_count(threads: int | None, shape: tuple[int, int]) -> int:
    source = "threads"
    value: Any = threads
    if value is None and os.environ.get("ITTISAL_THREADS"):
        source, value = "ITTISAL_THREADS", os.environ["ITTISAL_THREADS"]
    if value is None:
        if shape[0] * shape[1] < SERIAL_PIXELS:
            return 1
        usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
        return min(len(usable), MAX_AUTO_THREADS)
    try:
        count = int(value)
        if isinstance(value, bool) or (not isinstance(value, str) and count != value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{source}={value!r} must be a whole number") from None
    if not 1 <= count <= 256:
        raise ValueError(f"{source}={count} must be 1 to 256")
    return count


_local = threading.local()


def saliency_map(
    image: Any,
    config: Config = ITTI_1998,
    *,
    backend: str = "auto",
    channel_order: str = "rgb",
    levels: Levels | Span | None = None,
    channels: ChannelMaps | None = None,
) -> np.ndarray:
    """The saliency map of an image, at the image's size, between 0 and 1.

    Parameters
    ----------
    image : array of shape (H, W), (H, W, 3), (H, W, 2) or (H, W, 4)
        Grey or colour; with straight alpha, which is composited over white. uint8,
        uint16, or float in [0, 1]; any strides; never changed. Sides at least 32. May lie on a GPU
        (CuPy, torch, ...), without alpha, where the CUDA backend runs.
    config : Config
        The reading of the model; see `ittisal.preset`.
    backend : {"auto", "cuda", "cpu", "reference"}
        As for `Saliency`.
    channel_order : {"rgb", "bgr"}
        Of colour images; never guessed. Images from cv2.imread are "bgr".
    levels : (float, float) or Levels, optional
        As for `Saliency`. Not for images on a GPU, nor for transparent ones.
    channels : mapping of str to array or ChannelMap, or callable, optional
        As for a call of `Saliency`.

    Returns
    -------
    float32 array of shape (H, W)
        On the GPU, and of the image's library, if the image is. In [0, 1]: the raw map over its
        maximum, upsampled bilinearly on the pyramid's own grid.
        (Map samples lie between pixels, so the highest pixel may fall a little short of 1.) All
        zero where nothing stands out.

    Raises
    ------
    TypeError, ValueError
        Not an image that the model takes; the message says why.
    BackendError
        The backend named cannot run here.

    Notes
    -----
    Models of the last sizes used are kept per thread, so repeated calls are quick. Video loops
    are better served by `Saliency`.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> image = np.zeros((96, 128, 3), np.uint8)
    >>> image[40:50, 60:70] = (255, 0, 0)
    >>> saliency = ittisal.saliency_map(image)
    >>> saliency.shape, saliency.dtype, bool(0.9 < saliency.max() <= 1)
    ((96, 128), dtype('float32'), True)
    """
    levels = as_levels(levels)
    if is_on_gpu(image):
        model = _cached_model(tuple(image.shape[:2]), config, backend, channel_order, levels)
        return model._upsampled_on_gpu(image, channels)
    image = as_array(image)
    frame = check_frame(composite(image))
    if levels is not None and frame.dtype.kind != image.dtype.kind:
        raise ValueError(
            f"image of {image.dtype} is transparent, and over white its values are fractions of 1, "
            "which levels do not mean; composite it first, or drop its alpha channel"
        )
    model = _cached_model(frame.shape[:2], config, backend, channel_order, levels)
    model.reset()  # a picture by itself
    raw = model(frame, channels=channels)
    peak = raw.max()
    if peak > 0:
        raw /= peak
    return upsample(raw, frame.shape[:2], config)


def _cached_model(*key: Any) -> Saliency:
    """A model from this thread's least-recently-used few; the environment is part of the key."""
    models: OrderedDict[Any, Saliency] = _local.__dict__.setdefault("models", OrderedDict())
    shape, config, backend, channel_order, levels = key
    key += (os.environ.get("ITTISAL_BACKEND"), os.environ.get("ITTISAL_THREADS"))
    model = models.pop(key, None)
    if model is None:
        model = Saliency(shape, config, backend=backend, channel_order=channel_order, levels=levels)
        while len(models) >= CACHED_MODELS:
            models.popitem(last=False)[1].close()
    models[key] = model
    return model
