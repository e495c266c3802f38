"""Video files: by OpenCV at a constant frame rate, by PyAV at exact times and with sound."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ..files import atomic, utf8
from .readers import VideoError, import_av, reason
from .writers import Writer, checked, writing

WRITERS = ("opencv", "pyav")
H264, VP9 = ("libx264", "mpeg4"), ("libvpx-vp9", "libvpx")
MPEG4, MOTION_JPEG = ("mp4v",), ("MJPG",)
CODECS: dict[str, dict[str, tuple[str, ...]]] = {  # by writer and suffix, the best first
    "opencv": {**dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), MPEG4), ".avi": MOTION_JPEG},
    "pyav": {**dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), H264), ".webm": VP9},
}
LEAST_FPS, MOST_FPS = 0.01, 10_000.0
LEAST_FREE = 1 << 16  # bytes on the disk under which it counts as full
CHECKED_EVERY = 16  # pictures

TICKS = 360_000  # per second: whole for 24, 25, 30, 60 and, over 1.001, those too; ms; 90 kHz
LONGEST_STEP = 1 << 30  # ticks between pictures: MP4 has 31 bits for them
FEWER_TICKS = 60_000  # MPEG-4 part 2 takes at most 65,535
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


def open_video(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    *,
    writer: str = "opencv",
    fps: float,
    sound: str | os.PathLike[str] | None = None,
    origin: float | None = None,
    aspect: float = 1.0,
) -> VideoFile:
    """The writer of a video file.

    Parameters
    ----------
    path : path
        Its suffix chooses container and codec. OpenCV: .mp4, .m4v, .mov, .mkv (MPEG-4 part 2) or
        .avi (Motion JPEG). PyAV: .mp4, .m4v, .mov, .mkv (H.264, or MPEG-4 part 2 where there is no
        x264) or .webm (VP9).
    size : (int, int)
        (height, width) of the pictures. Codecs want even numbers: a row or column is repeated
        where one is odd.
    writer : {"opencv", "pyav"}
        OpenCV writes constant frame rates: pictures are repeated or left out so that each is
        shown at its time to half a frame. PyAV, the extra `video`, writes exact times.
    fps : float
        Frames per second, from 0.01 to 10,000; nominal with PyAV.
    sound : path, optional
        A file whose sound is carried over. With PyAV only.
    origin : float, optional
        The time in seconds that is the file's beginning; by default the first picture's.
    aspect : float
        Width over height of a pixel. OpenCV, and WebM, hold square ones only.

    Returns
    -------
    Writer
        An `OpenCVWriter` or `PyAVWriter`. The file has its name after `finish`, or at the end of a
        `with` block. `notes` says what is not carried over.

    Raises
    ------
    VideoError
        It cannot be written here, or not by this library.
    ValueError
        Size or frame rate are out of bounds, or there is no such writer.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_video(f"{folder}/grey.mp4", (64, 96), fps=25) as writer:
    ...         for i in range(9):
    ...             writer.write(np.full((64, 96, 3), 20 * i, np.uint8), i, i / 25)
    >>> writer.counts
    {'frames': 9, 'repeated': 0, 'left_out': 0}
    """
    if writer == "opencv":
        if sound is not None:
            raise ValueError("OpenCV writes no sound; take writer='pyav'")
        return OpenCVWriter(path, size, fps, origin=origin, aspect=aspect)
    if writer == "pyav":
        return PyAVWriter(path, size, fps, sound=sound, origin=origin, aspect=aspect)
    raise ValueError(f"writer={writer!r} is not one of {', '.join(map(repr, WRITERS))}")


class VideoFile(Writer):
    """What both writers do: names, sizes, times from the origin on, counts, and closing.

    The arguments, here and in the two writers, are those of `open_video`.
    """

    library = ""  # its key in `CODECS`
    errors: tuple[type[Exception], ...] = (OSError,)  # what it raises

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        fps: float,
        *,
        origin: float | None = None,
        aspect: float = 1.0,
    ) -> None:
        self._file = atomic(path)
        self.suffix = self._file.path.suffix.lower()
        codecs = CODECS[self.library]
        if self.suffix not in codecs:
            other = next(name for name in WRITERS if name != self.library)
            raise VideoError(
                f"{path}: {self.library} writes {', '.join(codecs)}; for others take "
                f"writer={other!r}"
            )
        if not LEAST_FPS <= fps <= MOST_FPS:  # also catches NaN
            raise ValueError(
                f"fps={fps} must be from {LEAST_FPS:g} to {MOST_FPS:g} frames per second"
            )
        if len(size) != 2 or not all(side == int(side) >= 1 for side in size):
            raise ValueError(f"size={size} must be (height, width), both at least 1 pixel")
        self._given = size
        self._size = size[0] + size[0] % 2, size[1] + size[1] % 2  # codecs want even sides
        self._padded = [np.empty((*self._size, 3), np.uint8) for _ in range(2)]
        self.fps, self.origin = fps, origin
        self.pictures = 0  # how many are written, repeated ones too
        self.counts = {"frames": 0}
        self.notes: list[str] = []
        if aspect != 1 and (self.library == "opencv" or self.suffix == ".webm"):
            self.notes.append(
                f"{path}: pixels are {aspect:.3g} times as wide as high, which is not written, so "
                "that players show them square; the writer pyav writes it to .mp4, .mov and .mkv"
            )

    def write(self, picture: np.ndarray, index: int, time: float) -> None:
        """Write one picture, to be shown at its time."""
        picture = self._even(checked(picture, self._given))
        if self.origin is None:
            self.origin = time
        with writing(self._file.path, self.errors):
            self._add(picture, time - self.origin)
        self.counts["frames"] += 1

    def finish(self) -> None:
        """Complete the file and give it its name.

        Raises
        ------
        VideoError
            It cannot be written, or no picture was: a file with its name stays as it is.
        """
        try:
            with writing(self._file.path, self.errors):
                if not self.counts["frames"]:  # and players refuse files without any
                    raise OSError("no picture was written")
                self._complete()
                self._file.publish()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close and remove the file."""
        self._release()
        self._file.discard()

    def _even(self, picture: np.ndarray) -> np.ndarray:
        """The picture with its last row and column repeated where its size is odd.

        In a buffer that does not change until the call after the next.
        """
        if self._size == self._given:
            return picture
        import cv2

        self._padded.reverse()
        (down, right), edge = (side % 2 for side in self._given), cv2.BORDER_REPLICATE
        return cv2.copyMakeBorder(picture, 0, down, 0, right, edge, dst=self._padded[0])

    # What the libraries differ in.
    _add: Callable[[np.ndarray, float], None]
    _complete: Callable[[], None]
    _release: Callable[[], None]


class OpenCVWriter(VideoFile):
    """Pictures in slots of one length.

    Each picture goes to the slot that is nearest to its time. Slots in between repeat the picture
    before; of several pictures for one slot the last is written. So durations and times are right
    to half a slot, whatever the frame rate of the source. `fps` is rounded by `representable`.
    """

    library = "opencv"

    def __init__(
        self, path: str | os.PathLike[str], size: tuple[int, int], fps: float, **options: Any
    ) -> None:
        import cv2

        super().__init__(path, size, fps, **options)
        self.fps = representable(fps)
        self._waiting: np.ndarray | None = None  # the newest picture, for the slot after those
        self._slot = 0
        self.counts |= {"repeated": 0, "left_out": 0}
        (codec,) = CODECS["opencv"][self.suffix]
        self._writer: Any = cv2.VideoWriter(
            utf8(self._file.temporary),
            cv2.CAP_FFMPEG,
            cv2.VideoWriter.fourcc(*codec),
            self.fps,
            self._size[::-1],
        )
        if not self._writer.isOpened():
            self._file.discard()
            raise VideoError(
                f"{path}: cannot be written: OpenCV cannot open it with codec {codec}; check that "
                "the directory is there and takes files, or try writer='pyav'"
            )

    def _add(self, picture: np.ndarray, time: float) -> None:
        """Put the picture into the slot nearest to its time."""
        slot = max(round(time * self.fps), 0)
        if self._waiting is None:
            self._slot = slot
        elif slot <= self._slot:
            self.counts["left_out"] += 1
        else:
            self._fill(slot)
        self._waiting, self._slot = picture, max(slot, self._slot)
        if self.counts["frames"] % CHECKED_EVERY == 0:
            self._check_disk()

    def _fill(self, until: int) -> None:
        """Write the waiting picture into all slots before this one."""
        count = max(until - self.pictures, 0)
        for _ in range(count):
            self._writer.write(self._waiting)
        self.pictures += count
        self.counts["repeated"] += max(count - 1, 0)

    def _complete(self) -> None:
        """Write the last picture, close the file, and read its count and last picture back.

        OpenCV reports no errors of writing, and an AVI that is cut short has the right count.
        """
        import cv2

        self._fill(self._slot + 1)
        self._writer.release()
        capture = cv2.VideoCapture(str(self._file.temporary), cv2.CAP_FFMPEG)
        try:
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
            # Matroska has no count, only a duration, which may round.
            whole = count >= self.pictures - (self.suffix == ".mkv")
            if whole:
                capture.set(cv2.CAP_PROP_POS_FRAMES, self.pictures - 1)
                whole = capture.grab()
        finally:
            capture.release()
        if not whole:
            self._check_disk()
            raise OSError(
                f"not all of its {self.pictures} frames can be read back; is the disk full?"
            )

    def _check_disk(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if shutil.disk_usage(self._file.path.parent).free < LEAST_FREE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _release(self) -> None:
        self._writer.release()


def representable(fps: float) -> float:
    """The frame rate that OpenCV writes for this one: a decimal fraction within 0.001 of it.

    Slots are counted in it, so that nothing drifts however long the video.

    Examples
    --------
    >>> [representable(fps) for fps in (25, 30000 / 1001, 12.3456)]
    [25.0, 29.97, 12.346]
    """
    rounded = (round(float(fps), digits) for digits in range(4))
    return next(rate for rate in rounded if abs(rate - fps) <= 0.001)


class PyAVWriter(VideoFile):
    """Pictures shown at exactly their times.

    Times have the container's precision: 1/360,000 s in MP4 and MOV, 1 ms in Matroska and WebM.
    The first picture is shown at 0, and sound is moved with it; it is copied as it is while
    pictures are shown, to a packet of sound or so.
    """

    library = "pyav"

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        fps: float,
        *,
        sound: str | os.PathLike[str] | None = None,
        aspect: float = 1.0,
        **options: Any,
    ) -> None:
        av = import_av(path, "writer")
        super().__init__(path, size, fps, aspect=aspect, **options)
        codec = next((c for c in CODECS["pyav"][self.suffix] if c in av.codecs_available), None)
        if codec is None:
            raise VideoError(
                f"{path}: this PyAV has none of the codecs "
                f"{', '.join(CODECS['pyav'][self.suffix])}; take another suffix, or writer='opencv'"
            )
        self._av, self.errors = av, av_errors()
        self._ticks = FEWER_TICKS if codec == "mpeg4" else TICKS
        self._last = -1
        self._yuv: np.ndarray | None = None
        self._container: Any = None
        self._sound: Sound | None = None
        try:
            with writing(self._file.path, self.errors):
                self._container = av.open(str(self._file.temporary), "w")
                self._stream = self._add_stream(codec, aspect)
                if sound is not None:
                    self._sound = Sound(sound, self._container, self.notes)
                self._container.start_encoding()  # what cannot be written is found out now
        except BaseException:
            self.abandon()
            raise

    def _add_stream(self, codec: str, aspect: float) -> Any:
        rate = Fraction(self.fps).limit_denominator(1001)
        stream = self._container.add_stream(codec, rate=rate, options=dict(OPTIONS[codec]))
        stream.height, stream.width = self._size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, self._ticks)
        stream.codec_context.colorspace = BT601
        stream.codec_context.color_range = LIMITED
        if aspect != 1:
            ratio = Fraction(aspect).limit_denominator(255)
            stream.codec_context.sample_aspect_ratio = ratio
        return stream

    def _add(self, picture: np.ndarray, time: float) -> None:
        import cv2

        at = max(round(time * self._ticks), self._last + 1)
        while self._yuv is not None and at - self._last > LONGEST_STEP:
            self._encode(self._last + LONGEST_STEP)  # the picture before, again
        self._yuv = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420, dst=self._yuv)
        self._encode(at)
        self._copy_sound(time)

    def _encode(self, ticks: int) -> None:
        frame = self._av.VideoFrame.from_ndarray(self._yuv, format="yuv420p")
        frame.pts, frame.time_base = ticks, Fraction(1, self._ticks)
        frame.colorspace, frame.color_range = BT601, LIMITED
        self._container.mux(self._stream.encode(frame))
        self._last = ticks
        self.pictures += 1

    def _complete(self) -> None:
        """Write what the encoder holds back and the rest of the sound."""
        self._container.mux(self._stream.encode(None))
        self._copy_sound(self._last / self._ticks + TAIL)
        self._container.close()

    def _copy_sound(self, until: float) -> None:
        if self._sound is not None:
            self._sound.copy(self.origin or 0.0, until)

    def _release(self) -> None:
        if self._sound is not None:
            self._sound.close()
        if self._container is not None:
            with contextlib.suppress(Exception):  # it is given up, and may be half open
                self._container.close()


class Sound:
    """The sound of a file, copied into another without recoding, in step with the pictures.

    Times are counted from the beginning of the file's video. `container` receives a stream for
    each that its format takes; nothing may have been written to it. `notes` receives what is left
    out; damage to the sound costs no picture.
    """

    def __init__(self, path: str | os.PathLike[str], container: Any, notes: list[str]) -> None:
        import av

        self.notes = notes
        self._out = container
        self._targets: dict[int, Any] = {}
        self._last: dict[int, int] = {}  # by stream, the last packet's decoding time
        self._ahead: tuple[float, Any] | None = None
        self._packets: Iterator[tuple[float, Any]] = iter(())
        try:
            self._source: Any = av.open(os.fspath(path))
        except av_errors() as error:
            self._source = None
            notes.append(f"no sound, since PyAV cannot read {path}: {reason(error)}")
            return
        video: Any = self._source.streams.video
        start = video[0].start_time if video else None
        self._start = float(start * video[0].time_base) if start else 0.0
        supported = container.supported_codecs
        for stream in self._source.streams.audio:
            name = stream.codec_context.name if stream.codec_context else "of unknown kind"
            if name not in supported:
                notes.append(
                    f"sound {name} does not go into {container.format.name}: left out; .mkv takes "
                    "nearly all"
                )
                continue
            self._targets[stream.index] = container.add_stream_from_template(stream)
        if self._targets:
            self._packets = self._wanted()

    def _wanted(self) -> Iterator[tuple[float, Any]]:
        """Packets and their times in seconds from the video's beginning."""
        try:
            for packet in self._source.demux([self._source.streams[i] for i in self._targets]):
                base = packet.time_base
                if packet.pts is not None and packet.dts is not None and base is not None:
                    yield float(packet.pts * base) - self._start, packet
        except av_errors() as error:
            self.notes.append(f"sound ends early: {reason(error)}")

    def copy(self, begin: float, seconds: float) -> None:
        """Write all packets from time `begin`, which becomes 0, to so many seconds after it."""
        while True:
            self._ahead = item = self._ahead or next(self._packets, None)
            if item is None or item[0] > begin + seconds:
                return
            self._ahead = None
            time, packet = item
            index = packet.stream_index
            # Containers take no packet that goes back in time, as where recordings are joined.
            if time < begin or packet.dts <= self._last.get(index, packet.dts - 1):
                continue
            self._last[index] = packet.dts
            shift = round((begin + self._start) / packet.time_base)
            packet.stream = self._targets[index]
            packet.pts -= shift
            packet.dts -= shift
            self._out.mux(packet)

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()


def av_errors() -> tuple[type[Exception], ...]:
    """What PyAV raises: not all of its errors are OSErrors."""
    import av

    return av.error.FFmpegError, OSError, ValueError
