"""Video: five channels against one `cv2.pyrDown`, whole loops, long runs, and old frames."""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import ittisal

from .agreement import agreement
from .answers import MIN_CORRELATION
from .frames import photograph
from .fresh import MEBI, _resident
from .settings import one_size, settings, shape_of

FRAMES = 8  # of a sequence, which is then run backwards: no jump
STEP = (4, 6)  # pixels down and across from one frame to the next
RATE = 25.0
CLIP_FRAMES = 150
MILLISECONDS = 1e3
(LARGE,) = one_size("1920x1080")
GENERATED = f"generated-{LARGE}"


@lru_cache(maxsize=2)
def sequence(size: str) -> list[np.ndarray]:
    """A camera that pans over the photograph, and back: BGR uint8, a cycle without a jump."""
    height, width = shape_of(size)
    size_of_whole = f"{width + STEP[1] * FRAMES}x{height + STEP[0] * FRAMES}"
    whole = photograph(size_of_whole)
    places = [*range(FRAMES), *range(FRAMES - 2, 0, -1)]
    return [
        np.ascontiguousarray(whole[STEP[0] * k :, STEP[1] * k :][:height, :width]) for k in places
    ]


def make(size: str, threads: int = 1, backend: str | None = None) -> ittisal.Saliency:
    """A model of the preset `video`, for BGR frames."""
    return ittisal.Saliency(
        shape_of(size),
        ittisal.VIDEO,
        backend=backend or settings.backend,
        channel_order="bgr",
        threads=threads,
    )


class Sequence:
    """Successive frames to raw maps with all five channels (preset `video`), and one
    single-threaded `cv2.pyrDown` of the same frame; the second map is checked.
    """

    param_names = ("size", "threads")
    params = (settings.sizes, settings.threads)
    ratios = (("in pyrDowns", "time_ittisal", "time_pyrdown"),)

    def setup(self, size: str, threads: int) -> None:
        """Make frames and model, and check the map of the second frame, which has a past."""
        cv2.setNumThreads(1)
        self.frames, self.turn = sequence(size), 0
        self.model = make(size, threads)
        self.out = np.empty(self.model.map_shape, np.float32)
        self.half = cv2.pyrDown(self.frames[0])
        with make(size, backend="reference") as reference:
            for frame in self.frames[:2]:
                truth, answer = reference(frame), self.model(frame, self.out)
        self.agreement = agreement(answer, truth)
        if not self.agreement.r >= MIN_CORRELATION:
            raise RuntimeError(f"wrong answer at {size}: r {self.agreement.r:.6f}")

    def teardown(self, *params: object) -> None:
        """Stop the model's threads."""
        self.model.close()

    def time_ittisal(self, *params: object) -> None:
        """The next frame to its raw map, the output array given."""
        self.turn = (self.turn + 1) % len(self.frames)
        self.model(self.frames[self.turn], self.out)

    def time_pyrdown(self, *params: object) -> None:
        """One `cv2.pyrDown` of the frame that the model has next, the output array given."""
        cv2.pyrDown(self.frames[(self.turn + 1) % len(self.frames)], dst=self.half)

    def track_difference(self, *params: object) -> float:
        """Of the checked map from the reference's, over the reference's maximum."""
        return self.agreement.difference

    track_difference.unit = "of max"


# --- whole loops ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def generated_clip() -> str:
    """A file of the panning camera, MPEG-4, kept until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="ittisal-benchmark-")
    _folders.append(folder)
    path = Path(folder.name) / f"{GENERATED}.mp4"
    frames = sequence(LARGE)
    height, width = shape_of(LARGE)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (width, height))
    for k in range(20 if settings.quick else CLIP_FRAMES):
        writer.write(frames[k % len(frames)])
    writer.release()
    return str(path)


_folders: list[tempfile.TemporaryDirectory] = []


def clips() -> tuple[str, ...]:
    """Names of the clips: those of `--clips`, and the generated one."""
    folder = Path(settings.clips) if settings.clips else None
    found = sorted(p.name for p in folder.glob("*.mp4")) if folder else []
    return (*found, GENERATED)


def path_of(clip: str) -> str:
    """Where a clip lies."""
    return generated_clip() if clip == GENERATED else str(Path(settings.clips) / clip)


def writing(folder: str, size: tuple[int, int], fps: float) -> ittisal.video.BackgroundWriter:
    """A thread that encodes MPEG-4, which OpenCV's own FFMPEG can."""
    target = ittisal.video.open_video(Path(folder) / "out.mp4", size, fps=fps)
    return ittisal.video.BackgroundWriter(target, (*size, 3))


def frames_ahead(path: str) -> Iterator[np.ndarray]:
    """A file's frames as `ittisal.stream` has them: decoded by a thread that is a few ahead."""
    free: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
    full: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
    for _ in range(3):
        free.put(None)

    def read() -> None:
        capture = cv2.VideoCapture(path)
        good = True
        while good:
            good, frame = capture.read(free.get())
            full.put(frame if good else None)

    threading.Thread(target=read, daemon=True).start()
    while (frame := full.get()) is not None:
        yield frame
        free.put(frame)


class EndToEnd:
    """A file to a file: decode on one thread, saliency and overlay on another, encode on a third;
    against the same without saliency. The model has one thread; OpenCV as many as it likes.
    """

    param_names = ("clip",)
    params = (clips(),)

    def track_loops(self, clip: str) -> dict[str, float]:
        """Milliseconds per frame of four loops, the best of a few turns, taken in turn."""
        path = path_of(clip)
        cv2.setNumThreads(-1)
        loops = {
            "decode": lambda: self._bare(path, encode=False),
            "decode, saliency": lambda: self._saliency(path, encode=False),
            "decode, encode": lambda: self._bare(path, encode=True),
            "decode, saliency, overlay, encode": lambda: self._saliency(path, encode=True),
        }
        best = dict.fromkeys(loops, np.inf)
        for _ in range(1 if settings.quick else 3):
            for name, loop in loops.items():
                best[name] = min(best[name], loop())
        self.fps = 1e3 / best["decode, saliency, overlay, encode"]
        return best

    track_loops.unit = "ms"

    def track_fps(self, clip: str) -> float:
        """Frames per second of the whole loop."""
        return self.fps

    def track_latency(self, clip: str) -> dict[str, float]:
        """From a frame that is decoded and asked for to its map, in the whole loop."""
        return {f"latency {name}": value for name, value in self.latency.items()}

    track_latency.unit = "ms"

    def _bare(self, path: str, *, encode: bool) -> float:
        """A reader and a writer thread with nothing in between; ms per frame."""
        with tempfile.TemporaryDirectory() as folder:
            target, count, start = None, 0, time.perf_counter()
            for frame in frames_ahead(path):
                if encode:
                    target = target or writing(folder, frame.shape[:2], RATE)
                    buffer = target.buffer()
                    np.copyto(buffer, frame)
                    target.write(buffer, count, count / RATE)
                count += 1
            if target is not None:
                target.finish()
            return (time.perf_counter() - start) / count * MILLISECONDS

    def _saliency(self, path: str, *, encode: bool) -> float:
        with (
            tempfile.TemporaryDirectory() as folder,
            ittisal.stream(path, threads=1, channel_order="bgr") as stream,
        ):
            target = writing(folder, stream.size, stream.fps or RATE) if encode else None
            paint, count, start = ittisal.video.Painter(stream), 0, time.perf_counter()
            for result in stream:
                if target is not None:
                    target.write(paint(result, target.buffer()), result.index, result.time)
                count += 1
            if target is not None:
                target.finish()
            spent = time.perf_counter() - start
            self.latency = stream.statistics.latency
        return spent / count * MILLISECONDS


# --- long runs and old frames --------------------------------------------------------------------


class LongRun:
    """A hundred thousand generated 320x240 frames through a stream: every one, or the newest while
    they come as fast as they can. Latency and memory of the last tenth against those of the first.
    """

    param_names = ("mode",)
    params = (("every frame", "newest"),)
    count = 2_000 if settings.quick else 100_000

    def track_run(self, mode: str) -> dict[str, Any]:
        """Latencies are in ms, growth in KiB."""
        frames = sequence("320x240")
        source = (frames[k % len(frames)] for k in range(self.count))
        taken, count = np.full(self.count, np.nan), 0  # at once, since growth is looked for
        resident: list[int] = []
        with ittisal.stream(source, fps=RATE, live=mode == "newest", threads=1) as stream:
            for result in stream:
                taken[count] = result.latency
                count += 1
                if count % 100 == 0:
                    resident.append(_resident())
            dropped = stream.statistics.dropped
        ms = taken[:count] * MILLISECONDS
        tenth = max(count // 10, 1)  # of the newest there may be few
        first, last = ms[:tenth], ms[-tenth:]
        # The first tenth holds buffers that are made once: memory is compared from then on.
        settled = resident[max(len(resident) // 10, 1) - 1 :]
        return {
            "results": count,
            "dropped": dropped,
            "first tenth p50 ms": float(np.percentile(first, 50)),
            "last tenth p50 ms": float(np.percentile(last, 50)),
            "first tenth p99 ms": float(np.percentile(first, 99)),
            "last tenth p99 ms": float(np.percentile(last, 99)),
            "growth KiB": (max(settled[-10:]) - max(settled[:10])) / 1024 if settled else 0.0,
        }


class Staleness:
    """How old a frame is when its map is handed over: 640x480 at 60 frames per second by the
    clock, to one who takes 50 ms over each. Wanted: one interval, the longest that came of it, and
    one computing time at most.
    """

    def track_age(self) -> dict[str, float]:
        """Milliseconds from arrival to map, and the limit; frames dropped per result."""
        interval, results = 1 / 60, 20 if settings.quick else 200
        frames = sequence("640x480")
        # Computing, too, is for one whose caches have gone cold in the meantime.
        with ittisal.stream(frames * 3, fps=60, threads=1) as stream:
            compute = max(self._ages(stream))
        ages, dropped = [], 0
        shown: list[float] = []
        with ittisal.stream(self._camera(frames, interval, shown), live=True, threads=1) as stream:
            for result in stream:
                ages.append(result.latency)
                dropped += result.dropped
                time.sleep(0.05)
                if len(ages) == results:
                    break
        late = np.array(ages[1:]) * MILLISECONDS  # the first waits until the stream is made
        limit = (float(np.diff(shown).max()) + compute) * MILLISECONDS
        return {
            "age p50": float(np.percentile(late, 50)),
            "age p99": float(np.percentile(late, 99)),
            "age max": float(late.max()),
            "longest interval and computing": limit,
            "oldest of that": float(late.max()) / limit,
            "dropped per result": dropped / len(ages),
        }

    @staticmethod
    def _ages(stream: ittisal.video.Stream) -> Iterator[float]:
        for result in stream:
            yield result.latency
            time.sleep(0.05)

    @staticmethod
    def _camera(
        frames: list[np.ndarray], interval: float, shown: list[float]
    ) -> Iterator[np.ndarray]:
        due = time.perf_counter()
        while True:
            for frame in frames:
                due += interval
                time.sleep(max(due - time.perf_counter(), 0))
                shown.append(time.perf_counter())
                yield frame


class WhatItCosts:
    """What each channel in time adds: the presets in one loop, successive frames."""

    param_names = ("size",)
    params = ((LARGE,),)
    ratios = (
        ("five channels of three", "time_five", "time_three"),
        ("with flicker of three", "time_flicker", "time_three"),
        ("with motion of three", "time_motion", "time_three"),
    )

    def setup(self, size: str) -> None:
        """Four models of one thread."""
        cv2.setNumThreads(1)
        self.frames, self.turn = sequence(size), 0
        three = {"intensity": 1, "colour": 1, "orientation": 1}
        weights = {
            "three": three,
            "flicker": {**three, "flicker": 1},
            "motion": {**three, "motion": 1},
            "five": {**three, "flicker": 1, "motion": 1},
        }
        self.models = {
            name: ittisal.Saliency(
                shape_of(size),
                replace(ittisal.VIDEO, weights=given),
                backend=settings.backend,
                channel_order="bgr",
                threads=1,
            )
            for name, given in weights.items()
        }
        self.out = np.empty(self.models["five"].map_shape, np.float32)
        for name in self.models:
            self._next(name)  # flicker's background is made for the first frame

    def teardown(self, *params: object) -> None:
        """Close them."""
        for model in self.models.values():
            model.close()

    def _next(self, name: str) -> None:
        self.turn = (self.turn + 1) % len(self.frames)
        self.models[name](self.frames[self.turn], self.out)

    def time_three(self, *params: object) -> None:
        """Intensity, colour, orientation."""
        self._next("three")

    def time_flicker(self, *params: object) -> None:
        """And flicker."""
        self._next("flicker")

    def time_motion(self, *params: object) -> None:
        """And motion."""
        self._next("motion")

    def time_five(self, *params: object) -> None:
        """And both."""
        self._next("five")

    def track_buffers(self, *params: object) -> dict[str, float]:
        """MiB of each model's buffers."""
        return {name: model.nbytes / MEBI for name, model in self.models.items()}

    track_buffers.unit = "MiB"
