"""`stream`: the saliency of every frame of a video, or of the newest frame of a live one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..config import ITTI_1998, MIN_SIDE, Config
from ..frames import check_channel_order
from ..model import Saliency
from .clock import Clock
from .errors import VideoError
from .feeds import Direct, Slot
from .selection import Selection, Wanted
from .sources import DEFAULT_FPS, resolve
from .statistics import Statistics


class Result:
    """The saliency of one frame.

    `index`, `time`, `latency`, `saliency`, `dropped` and `cut` are its own. `frame`, `trace` and
    `contributions` are made on demand from the stream's buffers, and so only until the next
    result is asked for.

    Parameters
    ----------
    index : int
        Number of the frame in the source, from 0; frames dropped or left out are counted.
    time : float
        Presentation time in seconds: the container's own, 0 at the start of its video. Of live
        sources: since the first frame, by arrival. Always above the last result's.
    latency : float
        Seconds to the map: from the frame's arrival (live), or from its being decoded and asked
        for (else).
    saliency : float32 ndarray of shape (h//16, w//16)
        The raw map: not negative, comparable between frames.
    dropped : int
        Frames that came since the last result and were overtaken by newer ones.
    cut : bool
        Whether the model forgot the past before this frame: a cut, another size, a reconnection.
    """

    __slots__ = ("_serial", "_stream", "cut", "dropped", "index", "latency", "saliency", "time")

    def __init__(
        self,
        stream: Stream,
        serial: int,
        index: int,
        time: float,
        latency: float,
        saliency: np.ndarray,
        dropped: int,
        cut: bool,
    ) -> None:
        self._stream, self._serial = stream, serial
        self.index, self.time, self.latency = index, time, latency
        self.saliency, self.dropped, self.cut = saliency, dropped, cut

    @property
    def frame(self) -> np.ndarray:
        """The frame at its full size, in the stream's channel order; copy it to keep it."""
        return self._stream._shown(self._serial)

    def trace(self) -> dict[str, np.ndarray]:
        """Every intermediate by name, as `Saliency.trace` gives them."""
        model: Any
        model, frame = self._stream._computed(self._serial)
        return model.retrace(frame)

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel adds to the map, by the channel's name."""
        model: Any
        model, _ = self._stream._computed(self._serial)
        return model.contributions()

    def __repr__(self) -> str:
        return f"<Result {self.index} at {self.time:.3f} s>"


class Stream:
    """What `stream` returns: an iterator of `Result` that holds file or device until closed.

    Use it in a `with` block, or to its end. One thread at a time.
    """

    def __init__(
        self,
        source: Any,
        config: Config,
        *,
        backend: str,
        threads: int | None,
        channel_order: str,
        width: int | None,
        wanted: Wanted,
        reader: str,
        fps: float | None,
        clock: Clock,
    ) -> None:
        self.channel_order = check_channel_order(channel_order)
        self.statistics = Statistics()
        self._settings = (config, backend, threads)
        self._width = width
        self._clock = clock
        self._model: Saliency | None = None
        self._serial = 0
        self._closed = False
        self._slot: Slot | None = None
        self._opened = resolve(source, reader=reader, channel_order=channel_order, fps=fps)
        self.name = self._opened.name
        selection = Selection(wanted, False, clock.now, fps or DEFAULT_FPS, self._lost)
        self._selection = selection
        self._feed = Direct(self._opened, selection)
        self._began: float | None = None
        try:
            self._next: Slot | None = self._feed.take()
            if self._next is None:
                raise VideoError(f"{self.name}: holds no frame that is wanted")
            self._prepare(self._next.frame)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames, the source's own."""
        return self._size

    @property
    def model(self) -> Saliency:
        """The model; of the working size, if a width was given."""
        assert self._model is not None
        return self._model

    @property
    def fps(self) -> float | None:
        """Nominal frames per second, if the source says so."""
        return self._feed.reader.fps

    @property
    def frames(self) -> int | None:
        """How many frames the source has by its own account; for some files an estimate."""
        return self._feed.reader.frames

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        self._serial += 1
        if self._closed:
            raise StopIteration
        asked = self._clock.now()
        if self._began is None:
            self._began = asked
        try:
            slot, self._next = self._next, None
            if slot is None:
                slot = self._feed.take()
            if slot is None:
                self.close()
                raise StopIteration
            return self._compute(slot, asked)
        except BaseException:
            self.close()
            raise

    def _compute(self, slot: Slot, asked: float) -> Result:
        frame = slot.frame
        if frame.shape[:2] != self._size:
            self._prepare(frame)
            self.statistics.resizes += 1
        self._slot = slot
        model = self.model
        self._working = self._shrunk(frame)
        saliency = model(self._working)
        done = self._clock.now()
        latency = done - max(asked, slot.arrived)
        statistics = self.statistics
        statistics.frames += 1
        statistics.mended = self._selection.mended
        statistics.seconds = done - (self._began or 0.0)
        statistics.latencies.add(latency)
        return Result(self, self._serial, slot.index, slot.time, latency, saliency, 0, False)

    def _prepare(self, frame: np.ndarray) -> None:
        """A model, and buffers, for frames like this one."""
        height, width = frame.shape[:2]
        shape = (height, width)
        if self._width is not None and self._width < width:
            shape = max(round(height * self._width / width), MIN_SIDE), self._width
        config, backend, threads = self._settings
        order = self._feed.reader.channel_order
        if self._model is not None:
            self._model.close()
        self._model = Saliency(shape, config, backend=backend, channel_order=order, threads=threads)
        self._size = (height, width)
        self._small: np.ndarray | None = None
        self._converted: np.ndarray | None = None

    def _shrunk(self, frame: np.ndarray) -> np.ndarray:
        """The frame at the working size."""
        shape = self.model.shape
        if frame.shape[:2] == shape:
            return frame
        import cv2

        if self._small is None or self._small.dtype != frame.dtype:
            channels = 1 if frame.ndim == 2 else 3
            self._small = self.model.pinned_frame(frame.dtype, channels=channels)
        return cv2.resize(frame, shape[::-1], dst=self._small, interpolation=cv2.INTER_AREA)

    def _lost(self, index: int, reason: str) -> None:
        self.statistics.failed += 1

    def _shown(self, serial: int) -> np.ndarray:
        self._check(serial)
        assert self._slot is not None
        frame = self._slot.frame
        if frame.ndim == 2 or self._feed.reader.channel_order == self.channel_order:
            return frame
        import cv2

        if self._converted is None or self._converted.shape != frame.shape:
            self._converted = np.empty_like(frame)
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=self._converted)

    def _computed(self, serial: int) -> tuple[Saliency, np.ndarray]:
        self._check(serial)
        return self.model, self._working

    def _check(self, serial: int) -> None:
        if serial != self._serial or self._closed:
            raise RuntimeError(
                "this result's buffers hold another frame by now; ask for frame, trace or "
                "contributions before the next result, and copy what is to last"
            )

    def close(self) -> None:
        """Let go of file or device, threads and model; closing twice does no harm."""
        self._closed = True
        self._feed.close()
        if self._model is not None:
            self._model.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def stream(
    source: Any,
    config: Config = ITTI_1998,
    *,
    live: bool | None = None,
    backend: str = "auto",
    threads: int | None = None,
    channel_order: str = "rgb",
    width: int | None = None,
    every: int = 1,
    start: float | None = None,
    end: float | None = None,
    first: int = 0,
    reader: str = "opencv",
    reconnect: float | None = 0,
    timeout: float = 10.0,
    cuts: bool = True,
    fps: float | None = None,
    report: Callable[[str], None] | None = None,
    clock: Clock | None = None,
) -> Stream:
    """The saliency of the frames of a video (a skeleton: every frame, no threads yet)."""
    wanted = Wanted(
        every,
        -math.inf if start is None else start,
        math.inf if end is None else end,
        first,
    )
    return Stream(
        source,
        config,
        backend=backend,
        threads=threads,
        channel_order=channel_order,
        width=width,
        wanted=wanted,
        reader=reader,
        fps=fps,
        clock=clock or Clock(),
    )
