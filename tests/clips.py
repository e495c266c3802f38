"""Small videos made on the spot, and scripted sources and clocks, for the tests of video."""

from __future__ import annotations

import struct
import threading
from fractions import Fraction

import numpy as np

from ittisal.video import Clock, Source, VideoError

FPS = 25


def grey_frames(count, size=(64, 96), step=4):
    """Frames that a codec leaves recognisable: frame i has the grey value step i + 20."""
    return [np.full((*size, 3), step * i + 20, np.uint8) for i in range(count)]


def moving_square(count, size=(64, 96), step=3):
    """A red square that moves to the right over grey; RGB."""
    frames = np.full((count, *size, 3), 70, np.uint8)
    for i, frame in enumerate(frames):
        frame[24:40, 8 + step * i : 24 + step * i] = (230, 30, 30)
    return frames


def number(frame, step=4):
    """Which of `grey_frames` this is, after coding."""
    return round((float(frame.mean()) - 20) / step)


def write_video(path, frames, ticks=None, *, codec="libx264", options=None, gop=12, aspect=1):
    """Write RGB frames with PyAV; frame i is shown at ticks[i] / 25 seconds (default i / 25)."""
    import av

    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        stream.codec_context.time_base = Fraction(1, FPS)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture.pts = i if ticks is None else ticks[i]
            picture.time_base = Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def damage(path, number):
    """Overwrite the middle of a packet of a video."""
    import av

    with av.open(str(path)) as container:
        packet = list(container.demux(video=0))[number]
        place = packet.pos + packet.size // 2
    data = bytearray(path.read_bytes())
    data[place : place + 20] = b"\xff" * 20
    path.write_bytes(data)


def write_rotated(path, frames, clockwise):
    """Write an MP4 that says it is to be turned clockwise by 90, 180 or 270 degrees."""
    write_video(path, frames)
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd")
    matrix = header + 4 + 4 + (32 if data[header + 4] else 20) + 8 + 8
    one = 1 << 16
    a, b, c, d = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[clockwise]
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


class FakeClock(Clock):
    """A clock that stands still until told, or until there is nothing left but to wait.

    A thread that reads waits for a moment to come, which then comes at once. The test's own thread
    waits for the reader, and really does, until notified; but once that is parked, its time passes.
    """

    def __init__(self):
        self.seconds = 100.0
        self._lock = threading.Lock()
        self._parked = False
        self._waiting = None

    def now(self):
        return self.seconds

    def wait(self, condition, seconds):
        with self._lock:
            if self._parked or threading.current_thread() is not threading.main_thread():
                self.seconds += seconds
                return
            self._waiting = condition
        condition.wait(30)
        self._waiting = None

    def sleep(self, seconds):
        self.seconds += seconds
        self._parked = False  # who hung has been given up

    def park(self):
        """From now on waiting lets the time pass; who waits already is woken to see it."""
        with self._lock:
            self._parked = True
            waiting = self._waiting
        if waiting is not None:
            with waiting:
                waiting.notify_all()


class Hold:
    """A step of a script at which the reader hangs until it is released."""

    def __init__(self, clock=None):
        self.reached, self.released = threading.Event(), threading.Event()
        self.clock = clock

    def __call__(self):
        if self.clock is not None:
            self.clock.park()
        self.reached.set()
        assert self.released.wait(30)

    def wait(self):
        """Until the reader hangs here."""
        assert self.reached.wait(30)

    def release(self):
        self.released.set()


class Script:
    """A reader that plays steps, one after another.

    A step is an array (a frame), a pair (array, time), an exception (raised by `grab`), or a
    callable (called before going on to the next).
    """

    def __init__(self, steps, *, fps=25.0, frames=None, channel_order="rgb", fills=True):
        self.fps, self.frames, self.channel_order, self.fills = fps, frames, channel_order, fills
        self.time = None
        self.closed = threading.Event()
        self.grabs = self.retrieves = 0
        self.threads = set()
        self._steps = iter(steps)

    def grab(self):
        self.threads.add(threading.current_thread())
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
                continue
            self._frame, self.time = step if isinstance(step, tuple) else (step, None)
            self.grabs += 1
            return True
        return False

    def retrieve(self, out):
        self.retrieves += 1
        if isinstance(self._frame, Exception):
            raise self._frame
        if not self.fills or out is None or out.shape != self._frame.shape:
            return self._frame.copy()
        np.copyto(out, self._frame)
        return out

    def close(self):
        self.closed.set()


def scripted(*connections, name="a script", **properties):
    """A source whose n-th opening gives the n-th of these readers, or raises it."""
    openings = iter(connections)

    def opening():
        reader = next(openings, VideoError(f"{name}: is not there"))
        if isinstance(reader, Exception):
            raise reader
        return reader

    return Source(name, opening, **properties)


def camera(*connections, **properties):
    """A scripted source that behaves like a camera."""
    return scripted(
        *connections, name="camera 7", live=True, again=True, patience=False, **properties
    )


class FakeModel:
    """Stands in for `Saliency`: maps hold the mean of the frame, and calls are written down."""

    made: list
    calls: list
    levels = None
    during = None  # called with the index of each call

    def __init__(self, shape, config, *, backend, channel_order, threads, levels):
        from ittisal.frames import check_shape

        self.shape = check_shape(shape)
        self.settings = (config, backend, channel_order, threads)
        self.closed = False
        self.past = []
        type(self).made.append(self)

    def pinned_frame(self, dtype=np.uint8, *, channels=3):
        return np.zeros(self.shape + ((3,) if channels == 3 else ()), dtype)

    def __call__(self, frame, *, time=None, channels=None):
        assert not self.closed
        if frame.dtype.kind == "f" and np.isnan(frame).any():
            raise ValueError("frame holds NaN; replace it first")
        assert frame.shape[:2] == self.shape
        if time is not None:
            assert not self.past or time > self.past[-1]
            self.past.append(time)
            type(self).calls.append((number(frame), time, len(self.past) == 1))
            if type(self).during is not None:
                type(self).during(len(type(self).calls) - 1)
        mean = np.float32(frame.mean())
        return np.full((self.shape[0] // 16, self.shape[1] // 16), mean)

    def reset(self):
        self.past = []

    def retrace(self, frame):
        return {"frame": frame.copy()}

    def contributions(self):
        return {"intensity": np.zeros((1, 1), np.float32)}

    def close(self):
        self.closed = True
