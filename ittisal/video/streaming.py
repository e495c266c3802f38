"""`stream`: the saliency of every frame of a video, or of the newest frame of a live one."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..attention.following import Attention
from ..attention.regions import Region
from ..attention.scanpath import Fixation
from ..attention.view import View
from ..config import MIN_SIDE, VIDEO, Config
from ..diagnostics import heard, summary
from ..levels import Levels, Span, as_levels, full_scale
from ..maps import peak
from ..model import Saliency
from .cuts import CutDetector
from .endings import missing_end
from .feeds import SLOTS, Direct, Slot, Threaded
from .readers import NothingWanted, Source, VideoError, fits
from .records import Statistics
from .selection import Clock, Reading, Selection, Wanted, whole
from .sources import resolve

MOST_BUFFERS = 2 * SLOTS  # a reader may hold one or two besides those in the queue
LEEWAY = 0.005  # fraction of a file's frames that may be missing before it counts as cut short


@dataclass(slots=True, repr=False, eq=False)
class Result:
    """The saliency of one frame.

    `frame`, `peak`, `fixations`, `regions`, `trace` and `contributions` are made on demand from the
    stream's buffers and state, and so only until the next result is asked for; all else stays.

    Parameters
    ----------
    index : int
        Number of the frame in the source, from 0; frames dropped or left out are counted. After
        damage in a file it counts what the decoder gives, and may be too low; `time` stays right.
    time : float
        Presentation time in seconds: the container's own, 0 at the start of its video. Of live
        sources: since the first frame, by arrival. Always above the last result's.
    latency : float
        Seconds to the map: from the frame's arrival (live), or from its being decoded and asked
        for (else).
    saliency : float32 ndarray of shape (h//16, w//16), or of 8 or 4: see `Saliency.map_shape`
        The raw map: not negative, comparable between frames.
    dropped : int
        Frames that came since the last result and were overtaken by newer ones.
    cut : bool
        Whether the model forgot the past before this frame: a cut, another size, a reconnection.
    file : str, optional
        The picture's path, of a folder or pattern of pictures.
    damage : str
        What the decoder says of the frame, which it gives in spite of damage; else empty.
    """

    index: int
    time: float
    latency: float
    saliency: np.ndarray
    dropped: int
    cut: bool
    file: str | None
    damage: str
    _stream: Stream
    _serial: int

    @property
    def frame(self) -> np.ndarray:
        """The frame at its full size, in the stream's channel order; copy it to keep it."""
        return self._stream._frame(self._serial)

    @property
    def peak(self) -> tuple[int, int] | None:
        """Where the map is highest: x and y in the frame's pixels; None if nothing stands out."""
        size, config = self._stream.size, self._stream.config
        with self._stream._computed(self._serial) as (model, _):
            return peak(self.saliency, size, config, seen=model.shape)

    @property
    def fixations(self) -> list[Fixation]:
        """Places attended to since the result before, by the stream's winner-take-all network.

        The network (`WinnerTakeAll`, with Gaussian inhibition) runs in the video's time: 10 to 30
        fixations in the first second of a shot, 5 to 10 in later ones. Inhibition decays with a
        time constant of one second: a lone place is attended to again after three. The network is
        stepped when this is asked for, and forgets all at a cut or another size of frames. After
        ten seconds in which nobody asked, it begins anew, and the fixations are those of the last
        second. `Fixation.time` is in ms of the video, `index` counts from the last cut.
        """
        return self._attended().fixations(self.as_view(), self.time)

    @property
    def regions(self) -> list[Region]:
        """Boxes around what stands out, each with the `id` of the thing that it follows.

        As of `ittisal.regions`, tracked from the results before that were asked for theirs
        (`RegionTracker`); at most ten, by falling score.
        """
        return self._attended().regions(self.as_view(), self.time)

    def as_view(self) -> View:
        """The map over its frame, for the functions of `ittisal.attention`."""
        with self._stream._computed(self._serial) as (model, _):
            return View(
                self.saliency.astype(float),
                self._stream.size,
                model.shape,
                self._stream.config,
                self.trace,
            )

    def _attended(self) -> Attention:
        with self._stream._computed(self._serial):
            return self._stream._attention

    def trace(self) -> dict[str, np.ndarray]:
        """Every intermediate by name, as `Saliency.trace` gives them."""
        with self._stream._computed(self._serial) as (model, frame):
            return model.retrace(frame)

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel adds to the map, by the channel's name."""
        with self._stream._computed(self._serial) as (model, _):
            return model.contributions()

    def __repr__(self) -> str:
        return f"<Result {self.index} at {self.time:.3f} s>"


class Stream:
    """What `stream` returns: an iterator of `Result` that holds file or device until closed.

    Use it in a `with` block, or to its end. One that is forgotten is closed when it is collected,
    together with its results, since a result refers to its stream: store maps, or close the
    stream. One thread at a time may use it, but any may `close` it.

    Attributes
    ----------
    name : str
        The source, as in messages; passwords left out.
    config : Config
        The reading of the model.
    channel_order : {"rgb", "bgr"}
        Of `Result.frame`.
    statistics : Statistics
        Counts and latencies so far. They stay when the stream is closed.
    pictures : bool
        Whether the frames are picture files, which results name.
    """

    def __init__(
        self,
        source: Source,
        config: Config,
        selection: Selection,
        reading: Reading,
        settings: tuple[str, int | None, int | None, Levels | None],
        channels: Any,
        detector: CutDetector | None,
        strict: bool,
        report: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self.name = source.name
        self.config = config
        self.channel_order = reading.channel_order
        self.statistics = Statistics()
        self._settings = settings  # backend, threads, width and levels of the model
        self._channels = channels
        self._clock, self._report, self._detector = clock, report, detector
        self._model: Saliency | None = None
        self._attention = Attention()
        self._slot = Slot()
        self._serial = 0
        self._strict, self._path = strict, source.path
        self._began: float | None = None
        self._dropped = 0  # since the last result
        self._forget = False  # before the next frame
        self._shown_serial = 0
        self._closed = False
        self._users = 0  # calls that are at work with the source or the model, in any thread
        self._counting = threading.Lock()
        # The feed knows nothing of the stream, so that a forgotten stream is collected, and then
        # its thread ends.
        self._feed: Direct | Threaded
        if source.threaded or reading.live:
            self._feed = Threaded(source, selection, reading, clock, report)
        else:
            self._feed = Direct(source, selection)
        self._let_go = weakref.finalize(self, self._feed.abandon)
        try:
            first = self._take()
            if first is None:
                raise self._nothing()
            self._prepare(first)
            self.pictures = first.file is not None
            self._next: Slot | None = first
        except BaseException:
            self.close()
            raise

    # --- what is known of the source -------------------------------------------------------

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames, the source's own."""
        return self._size

    @property
    def fps(self) -> float | None:
        """Nominal frames per second, if the source says so."""
        return self._feed.about.fps

    @property
    def frames(self) -> int | None:
        """How many frames the source has by its own account; for some files an estimate."""
        return self._feed.about.frames

    @property
    def aspect(self) -> float:
        """Width over height of a pixel, upright; 1 unless the source says otherwise."""
        return self._feed.about.aspect or 1.0

    @property
    def live(self) -> bool:
        """Whether only the newest frame is worked on."""
        return self._feed.about.live

    @property
    def model(self) -> Saliency:
        """The model; of the working size, if a width was given. Another after a change of size."""
        assert self._model is not None
        return self._model

    # --- frame by frame --------------------------------------------------------------------

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        self._serial += 1  # what results gave on demand is over
        if not self._enter():
            raise StopIteration
        try:
            asked = self._clock.now()
            if self._began is None:
                self._began = asked
            while True:
                slot = self._first() if self._next is not None else self._take()
                if slot is None:
                    if not self._closed:  # by another thread, meanwhile
                        self._end()
                    raise StopIteration
                result = self._result(slot, asked)
                if result is not None:
                    return result
        except BaseException:
            self.close()
            raise
        finally:
            self._leave()

    def _first(self) -> Slot | None:
        """The frame that came when the stream was made, or by now a newer one."""
        slot, self._next = self._next, None
        newer = self._feed.newer() if self.live else None
        if newer is None:
            return slot
        self._count_dropped(newer.dropped + 1)
        return newer

    def _take(self) -> Slot | None:
        """The next frame; what was lost on the way to it is reported."""
        while True:
            slot = self._feed.take()
            count, notes = self._feed.losses.take()
            self.statistics.failed += count
            if count > len(notes):
                self._report(f"{self.name}: {count - len(notes)} frames cannot be read")
            for index, reason in notes:
                self._report(f"{self.name}: frame {index}: {reason}")
            if self._feed.reconnects > self.statistics.reconnects:
                self.statistics.reconnects = self._feed.reconnects
                self._forget = True
            if slot is None:
                return None
            if slot.frame is not None:
                self._count_dropped(slot.dropped)
                return slot

    def _count_dropped(self, count: int) -> None:
        self._dropped += count
        self.statistics.dropped += count

    def _result(self, slot: Slot, asked: float) -> Result | None:
        """The saliency of a frame; None if the model refuses it, which is reported."""
        statistics = self.statistics
        frame = slot.frame
        if slot.damage:
            self._damaged(f"frame {slot.index} is damaged", slot.damage)
        try:
            if frame.shape[:2] != self._size:
                before = self._size
                self._prepare(slot)
                statistics.resizes += 1
                self._report(
                    f"{self.name}: frames are {frame.shape[1]}x{frame.shape[0]} pixels from number "
                    f"{slot.index} on, not {before[1]}x{before[0]}; another model is made"
                )
            working = self._working_frame(slot)
            if self._detector is not None and self._detector.is_cut(working, self._scale(working)):
                statistics.cuts += 1
                self._forget = True
            model: Any = self.model
            if self._forget:
                model.reset()
                self._attention.reset()
                if hasattr(self._channels, "reset"):
                    self._channels.reset()
            saliency = model(working, time=slot.time, channels=self._channels)
        except (TypeError, ValueError) as error:
            statistics.failed += 1
            self._report(f"{self.name}: frame {slot.index}: {error}")
            return None
        done = self._clock.now()
        latency = done - (slot.arrived if self.live else max(asked, slot.arrived))
        statistics.frames += 1
        statistics.mended = self._feed.selection.mended
        statistics.seconds = done - (asked if self._began is None else self._began)
        statistics.latencies.add(latency)
        self._slot = slot
        dropped, self._dropped = self._dropped, 0
        cut, self._forget = self._forget, False
        facts = slot.index, slot.time, latency, saliency, dropped, cut, slot.file, slot.damage
        return Result(*facts, self, self._serial)

    def _damaged(self, what: str, said: str) -> None:
        """Count and report what is read in spite of damage, or refuse it."""
        if self._strict:
            raise VideoError(f"{self.name}: {what}: {said}")
        self.statistics.damaged += 1
        self._report(f"{self.name}: {what}, but was read: {said}")

    def _prepare(self, slot: Slot) -> None:
        """A model and buffers for frames like this one, with kernels compiled."""
        frame = slot.frame
        backend, threads, narrow, levels = self._settings
        height, width = shape = frame.shape[:2]
        if narrow is not None and narrow < width:
            shape = (max(round(height * narrow / width), MIN_SIDE), narrow)
        model: Any = Saliency(
            shape,
            self.config,
            backend=backend,
            channel_order=self._feed.about.channel_order,
            threads=threads,
            levels=levels,
        )
        if self._model is not None:
            self._model.close()
            self._forget = True
        self._model = model
        self._size = (height, width)
        self._frame_buffers: list[np.ndarray] = []
        self._small: np.ndarray | None = None
        self._shown: np.ndarray | None = None
        if self._detector is not None:
            self._detector.reset()
        # The first call compiles, and on a GPU the second too, which is no frame's latency.
        blank = self._frame_buffer(frame)
        model(blank)
        model(blank)
        model.reset()

    def _frame_buffer(self, frame: np.ndarray) -> np.ndarray:
        """A zeroed frame of the model's size, from which a GPU reads without a copy."""
        return self.model.pinned_frame(frame.dtype, channels=1 if frame.ndim == 2 else 3)

    def _working_frame(self, slot: Slot) -> np.ndarray:
        """The frame at the model's size, where the model reads it best."""
        frame, model = slot.frame, self.model
        if frame.shape[:2] == model.shape:
            ours = any(frame is buffer for buffer in self._frame_buffers)
            if self._feed.about.fills and not ours and len(self._frame_buffers) < MOST_BUFFERS:
                # From now on the reader fills a buffer that is the model's.
                slot.frame = self._frame_buffer(frame)
                self._frame_buffers.append(slot.frame)
                np.copyto(slot.frame, frame)
            return slot.frame
        import cv2

        if not fits(self._small, model.shape + frame.shape[2:], frame.dtype):
            self._small = self._frame_buffer(frame)
        cv2.resize(frame, model.shape[::-1], dst=self._small, interpolation=cv2.INTER_AREA)
        return self._small

    def _scale(self, frame: np.ndarray) -> float:
        """Fraction of the full scale from black to white, as far as levels are known."""
        span = self.model.levels
        return 1.0 if span is None else (span[1] - span[0]) / full_scale(frame.dtype)

    def _end(self) -> None:
        """Tell a source that is cut short from one that ended, and one that gave nothing."""
        statistics, selection, about = self.statistics, self._feed.selection, self._feed.about
        if not statistics.frames:
            raise self._nothing()
        if selection.complete or about.live:
            return
        if said := summary(heard()):
            self._damaged("the end is damaged", said)
        if end := missing_end(self._path):
            statistics.missing = 1
            self._report(f"{self.name}: is cut short or damaged: {end}")
            return
        if not (about.frames and about.fps):
            return
        short = about.frames / about.fps - (selection.time + 1 / about.fps)
        uncounted, leeway = about.frames - selection.index - 1, max(1, about.frames * LEEWAY)
        missing = min(uncounted, round(short * about.fps))
        if missing > leeway:
            statistics.missing = missing
            self._report(
                f"{self.name}: ends after frame {selection.index} ({selection.time:.2f} s), where "
                f"about {about.frames} frames ({about.frames / about.fps:.2f} s) are promised; it "
                "is cut short or damaged"
            )
        elif about.counted and statistics.failed and uncounted > leeway:
            # In files without damage the count may be above what is shown: some were trimmed.
            statistics.missing = uncounted
            self._report(
                f"{self.name}: is damaged: besides the frames reported, {uncounted} of its "
                f"{about.frames} were lost on the way, so that numbers are too low after them"
            )

    def _nothing(self) -> VideoError:
        selection, failed = self._feed.selection, self.statistics.failed
        read = selection.index + 1
        if failed:
            return VideoError(f"{self.name}: none of its {read} frames can be used")
        if not read:
            return VideoError(f"{self.name}: holds no frame; it is empty, cut short or damaged")
        return NothingWanted(
            f"{self.name}: none of its {read} frames up to {selection.time:.2f} s is among those "
            "asked for; choose other frames"
        )

    # --- on demand -------------------------------------------------------------------------

    def _frame(self, serial: int) -> np.ndarray:
        """The frame of the result with this serial number, in the order asked for."""
        with self._computed(serial):
            frame = self._slot.frame
            if frame.ndim == 2 or self._feed.about.channel_order == self.channel_order:
                return frame
            import cv2

            if self._shown is None or self._shown.dtype != frame.dtype:
                self._shown = np.empty_like(frame)
            if self._shown_serial != serial:
                self._shown_serial = serial
                cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=self._shown)  # or back: it only swaps
            return self._shown

    @contextmanager
    def _computed(self, serial: int) -> Iterator[tuple[Any, np.ndarray]]:
        """The model, not closed meanwhile, and the frame that it has just worked on."""
        if serial != self._serial or not self._enter():
            raise RuntimeError(
                "this result's buffers are another frame's by now, or the stream is closed; ask "
                "for frame, peak, fixations, regions, trace or contributions before the next "
                "result, and copy what is to last"
            )
        try:
            yield self.model, self._slot.frame if self._small is None else self._small
        finally:
            self._leave()

    # --- the end ---------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of file or device, threads and model; closing twice does no harm.

        May be called from any thread: one that waits for a result then waits no longer, and its
        loop ends. (Only an iterable's own code cannot be woken.) A reader that hangs in a driver
        is not waited for longer than a second.
        """
        with self._counting:
            if self._closed:
                return
            self._closed = True
            alone = not self._users
        self._let_go.detach()
        if alone:
            self._release()
        else:
            self._feed.interrupt()  # and who is at work lets go

    def _enter(self) -> bool:
        """Begin to work with source and model; False if they are closed."""
        with self._counting:
            if self._closed:
                return False
            self._users += 1
            return True

    def _leave(self) -> None:
        with self._counting:
            self._users -= 1
            last = self._closed and not self._users
        if last:
            self._release()

    def _release(self) -> None:
        self._feed.close()
        if self._model is not None:
            self._model.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Stream of {self.name}, {self._size[1]}x{self._size[0]}>"


def stream(
    source: Any,
    config: Config = VIDEO,
    *,
    live: bool | None = None,
    backend: str = "auto",
    threads: int | None = None,
    channel_order: str = "rgb",
    width: int | None = None,
    levels: Levels | Span | None = None,
    channels: Any = None,
    every: int = 1,
    start: float | None = None,
    end: float | None = None,
    first: int = 0,
    reader: str = "opencv",
    reconnect: float | None = 0,
    timeout: float = 10.0,
    cuts: bool = True,
    fps: float | None = None,
    strict: bool = False,
    report: Callable[[str], None] | None = None,
    clock: Clock | None = None,
) -> Stream:
    """The saliency of every frame of a video, or of the newest frame of a live one.

    A file is read ahead by a thread, in order, while the model works. A live source is read as
    fast as it sends, and the model is given the newest frame; what it could not keep up with is
    counted. Either way there are three frame buffers, however long it runs.

    Parameters
    ----------
    source : str, Path, int, RawVideo, Source, cv2.VideoCapture, or iterable of arrays
        A file; an address (rtsp://, http://, ...); a directory or a pattern (``shots/*.png``,
        ``shots/a%04d.png``) of pictures, in natural order, where a number that is missing is a
        lost frame; the number of a camera; raw video in a pipe; a capture that is
        open, read on from where it is and released at the end; or arrays, uint8,
        uint16 or float in [0, 1], of shape (H, W, 3), or (H, W) grey, or with alpha (composited
        over white).
    config : Config
        The reading of the model.
    live : bool, optional
        Only ever the newest frame. By default for cameras and for addresses that do not say how
        many frames they have. A recording is then played at its own speed.
    backend, threads
        As for `Saliency`.
    channel_order : {"rgb", "bgr"}
        Of the arrays of an iterable, and of `Result.frame`; never guessed.
    width : int, optional
        Frames wider than this many pixels are shrunk to it, by area, for the model.
    levels : (float, float) or Levels, optional
        Black and white, as for `Saliency`; float frames may then have any finite range. Percentiles
        are followed by the frames' times, and measured anew at a cut.
    channels : mapping or callable, optional
        Channels of the caller's own, as for a call of `Saliency`: maps for all frames, or what
        gives them for the frame that the model is given, such as `FaceDetector`. If it has a method
        `reset`, that is called at cuts.
    every : int
        Take only frames whose number is a multiple of this. The others are not dropped, since
        nobody wants them, and are not converted.
    start, end : float, optional
        Take only frames shown from `start` until before `end`, in seconds.
    first : int
        Take only frames from this number on, as for taking up a run again. What comes before it,
        or before `start`, is decoded to be counted; the reader "pyav" goes far into a file by
        seeking, just as exactly.
    reader : {"opencv", "pyav"}
        What reads files and addresses; PyAV is the extra `video`. Where frames change their size
        midway, OpenCV scales them to the first one's and says nothing; PyAV gives them as they are.
    reconnect : float, optional
        Seconds for which to try to open a camera or address that is not there, or that has
        vanished, after 0.5, 1, 2, ... at most 10 s; None for ever, 0 not at all.
    timeout : float
        Seconds without a frame after which a camera or address has vanished. The program does not
        hang, even where the driver does.
    cuts : bool
        Find cuts, and let the model forget the past there, so that none is taken for motion.
    fps : float, optional
        Frames per second of sources that know no times: iterables, pictures (default 25).
    strict : bool
        Raise VideoError at the first frame that the decoder gives in spite of damage. Known are
        those of picture files and of the reader "pyav"; with OpenCV, FFmpeg prints what it finds
        on standard error, which only the program `ittisal video` reads.
    report : callable, optional
        Given one line of text for each thing that went wrong and was got over: a frame that
        cannot be read or is damaged, a camera that vanished or came back, a file cut short, another
        frame size. By default they are warnings of the logger "ittisal.video". Called in your
        thread.
    clock : Clock, optional
        For tests.

    Returns
    -------
    Stream
        An iterator of `Result`. The first frame has been read, so that `size` is known; use it in
        a `with` block, or to its end.

    Raises
    ------
    VideoError
        The source cannot be opened, holds no frame (`NothingWanted`: none that was asked for), or
        has vanished for good. From `stream` or from the iterator.
    TypeError, ValueError
        Wrong arguments, or frames that the model does not take.
    BackendError
        The backend named cannot run here.

    Notes
    -----
    A model that is asked for the first time compiles, before the first result is given. Times
    always increase: one that is missing or does not is replaced by the last one and 1 / fps, and
    counted (`Statistics.mended`). Frames that cannot be read or that the model refuses are
    reported, counted (`Statistics.failed`) and left out.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> frames = np.zeros((3, 64, 96, 3), np.uint8)
    >>> frames[:, 20:30, 40:50] = 255
    >>> with ittisal.stream(frames, fps=10) as results:
    ...     for result in results:
    ...         print(result.index, result.time, result.saliency.shape, result.dropped)
    0 0.0 (16, 24) 0
    1 0.1 (16, 24) 0
    2 0.2 (16, 24) 0
    """
    wanted = Wanted(every, start, end, first)
    reading = Reading(reader, channel_order, live, fps, timeout, reconnect)
    width = None if width is None else whole("width", width, MIN_SIDE)
    levels = as_levels(levels)
    if report is not None and not callable(report):
        raise TypeError(f"report={report!r} must be callable: it is given lines of text")
    clock = clock or Clock()
    opened = resolve(source, reading)
    if live is None:
        reading = replace(reading, live=opened.live)
    return Stream(
        opened,
        config,
        Selection(wanted, False, clock.now, reading.rate),
        reading,
        (backend, threads, width, levels),
        channels,
        CutDetector() if cuts else None,
        strict,
        report or logging.getLogger("ittisal.video").warning,
        clock,
    )
