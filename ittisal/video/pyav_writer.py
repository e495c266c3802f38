"""Video files written by PyAV: exact times, H.264, and the sound carried over."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from .errors import VideoError
from .writers import NO_PICTURE, Closing, Evened, Named, check_rate

TICKS = 360_000  # per second: whole for 24, 25, 30, 60 and, over 1.001, those too; ms; 90 kHz
FEWER_TICKS = 60_000  # MPEG-4 part 2 takes at most 65,535
CODECS = {
    ".mp4": ("libx264", "mpeg4"),
    ".m4v": ("libx264", "mpeg4"),
    ".mov": ("libx264", "mpeg4"),
    ".mkv": ("libx264", "mpeg4"),
    ".webm": ("libvpx-vp9", "libvpx"),
}
# No pictures predicted from later ones: then pictures are stored in the order of their times, which
# readers that know little get right, and parts can be put one after another without recoding.
OPTIONS = {
    "libx264": {"crf": "20", "preset": "veryfast", "bf": "0"},
    "mpeg4": {"q": "4", "bf": "0"},
    "libvpx-vp9": {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"},
    "libvpx": {"crf": "10", "b": "4M", "deadline": "realtime", "cpu-used": "8"},
}
BT601, LIMITED = 6, 1  # as FFmpeg numbers them: what OpenCV converts to
TAIL = 0.1  # seconds that sound goes on after the last picture appears


class PyAVWriter(Closing):
    """Pictures shown at exactly their times.

    Times are kept to the container's own precision: 1/360,000 s in MP4 and MOV, 1 ms in Matroska
    and WebM. The first picture is shown at 0, and sound is moved with it.

    Parameters
    ----------
    path : path
        Ends in .mp4, .m4v, .mov, .mkv (H.264, or MPEG-4 part 2 where there is no x264) or .webm
        (VP9).
    size : (int, int)
        (height, width) of the pictures.
    fps : float
        Nominal frames per second.
    sound : path, optional
        A file whose sound is copied as it is while pictures are shown, to a packet of sound or so,
        as far as the container takes it: `notes` says what is left out.
    origin : float, optional
        The time in seconds that is the file's beginning; by default the first picture's.

    Raises
    ------
    VideoError
        PyAV is not installed, no such suffix or codec, or it cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        fps: float,
        *,
        sound: str | os.PathLike[str] | None = None,
        origin: float | None = None,
    ) -> None:
        av = import_av(path)
        self._file = Named(path)
        suffix = self._file.path.suffix.lower()
        if suffix not in CODECS:
            raise VideoError(
                f"{path}: PyAV writes {', '.join(CODECS)} here; for .avi take writer='opencv'"
            )
        codec = next((name for name in CODECS[suffix] if name in av.codecs_available), None)
        if codec is None:
            raise VideoError(
                f"{path}: this PyAV has none of the codecs {', '.join(CODECS[suffix])}; take "
                "another suffix, or writer='opencv'"
            )
        check_rate(fps)
        self._av, self._even = av, Evened(size)
        self._ticks = FEWER_TICKS if codec == "mpeg4" else TICKS
        self._last = -1
        self.origin = origin
        self.counts = {"frames": 0}
        self._yuv: np.ndarray | None = None
        self._sound: Sound | None = None
        try:
            self._container = av.open(str(self._file.temporary), "w")
            self._stream = self._add_stream(codec, fps)
            if sound is not None:
                self._sound = Sound(sound, self._container)
            self._container.start_encoding()  # what cannot be written is found out now
        except errors() as error:
            self.abandon()
            raise self._file.failed(error) from error

    def _add_stream(self, codec: str, fps: float) -> Any:
        rate = Fraction(fps).limit_denominator(1001)
        stream = self._container.add_stream(codec, rate=rate, options=dict(OPTIONS[codec]))
        stream.height, stream.width = self._even.size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, self._ticks)
        stream.codec_context.colorspace = BT601
        stream.codec_context.color_range = LIMITED
        return stream

    @property
    def pictures(self) -> int:
        """How many are written."""
        return self.counts["frames"]

    @property
    def notes(self) -> list[str]:
        """What of the sound is left out, and why."""
        return self._sound.notes if self._sound else []

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Encode one picture to be shown at its time."""
        import cv2

        picture = self._even(picture)
        if self.origin is None:
            self.origin = time
        self._yuv = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420, dst=self._yuv)
        frame = self._av.VideoFrame.from_ndarray(self._yuv, format="yuv420p")
        self._last = max(round((time - self.origin) * self._ticks), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, self._ticks)
        frame.colorspace, frame.color_range = BT601, LIMITED
        try:
            self._container.mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.copy(self.origin, time)
        except errors() as error:
            raise self._file.failed(error) from error
        self.counts["frames"] += 1

    def finish(self) -> None:
        """Write what the encoder holds back and the rest of the sound, and name the file.

        Raises
        ------
        VideoError
            It cannot be written, or no picture was: what has its name stays as it is.
        """
        if not self.counts["frames"]:
            self.abandon()
            raise self._file.failed(NO_PICTURE)
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None and self.origin is not None:
                self._sound.copy(self.origin, self.origin + self._last / self._ticks + TAIL)
            self._container.close()
            self._file.publish()
        except errors() as error:
            self.abandon()
            raise self._file.failed(error) from error
        finally:
            if self._sound is not None:
                self._sound.close()

    def abandon(self) -> None:
        """Close and remove the file."""
        if self._sound is not None:
            self._sound.close()
        container = getattr(self, "_container", None)
        if container is not None:
            with contextlib.suppress(Exception):  # it is given up anyhow, and may be half open
                container.close()
        self._file.remove()


class Sound:
    """The sound of a file, copied into another without recoding, in step with the pictures.

    Parameters
    ----------
    path : path
        A file with a video stream, from whose beginning times are counted.
    container : av.container.OutputContainer
        Receives a stream for each that its format takes; nothing may have been written to it.
    """

    def __init__(self, path: str | os.PathLike[str], container: Any) -> None:
        import av

        self.notes: list[str] = []
        self._out = container
        self._targets: dict[int, Any] = {}
        self._ahead: tuple[float, Any] | None = None
        self._packets: Iterator[tuple[float, Any]] = iter(())
        try:
            self._source: Any = av.open(os.fspath(path))
        except errors() as error:
            self._source = None
            self.notes.append(f"no sound, since PyAV cannot read {path}: {reason(error)}")
            return
        video: Any = self._source.streams.video
        start = video[0].start_time if video else None
        self._start = float(start * video[0].time_base) if start else 0.0
        supported = container.supported_codecs
        for stream in self._source.streams.audio:
            name = stream.codec_context.name if stream.codec_context else "of unknown kind"
            if name not in supported:
                self.notes.append(
                    f"sound {name} does not go into {container.format.name}: left out; .mkv takes "
                    "nearly all"
                )
                continue
            self._targets[stream.index] = add_copy(container, stream)
        self._packets = self._wanted()

    def _wanted(self) -> Iterator[tuple[float, Any]]:
        """Packets and their times in seconds from the video's beginning."""
        if not self._targets:
            return
        chosen = [self._source.streams[index] for index in self._targets]
        for packet in self._source.demux(chosen):
            base = packet.time_base
            if packet.pts is not None and packet.dts is not None and base is not None:
                yield float(packet.pts * base) - self._start, packet

    def copy(self, begin: float, until: float) -> None:
        """Write all packets from time `begin`, which becomes 0, to `until`."""
        while True:
            item = self._ahead or next(self._packets, None)
            self._ahead = item
            if item is None or item[0] > until:
                return
            self._ahead = None
            time, packet = item
            if time < begin:
                continue
            shift = round((begin + self._start) / packet.time_base)
            packet.stream = self._targets[packet.stream_index]
            packet.pts -= shift
            packet.dts -= shift
            self._out.mux(packet)

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()


def add_copy(container: Any, stream: Any) -> Any:
    """A stream in `container` for the packets of another, as they are."""
    if hasattr(container, "add_stream_from_template"):  # PyAV 14
        return container.add_stream_from_template(stream)
    return container.add_stream(template=stream)


def import_av(name: Any) -> Any:
    """PyAV, or VideoError with what to do."""
    try:
        import av
    except ImportError as error:
        raise VideoError(
            f"{name}: writer='pyav' needs PyAV, which cannot be imported ({error}); "
            "pip install 'ittisal[video]', or take writer='opencv'"
        ) from error
    return av


def errors() -> tuple[type[Exception], ...]:
    """What PyAV raises: not all of its errors are OSErrors."""
    import av

    return av.error.FFmpegError, OSError, ValueError


def reason(error: BaseException) -> str:
    """Why, on one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())
