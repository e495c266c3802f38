"""Parts of a video put together again, without recoding where that can be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import atomic
from .readers import VideoError, reason
from .video_files import TAIL, OpenCVWriter, Sound, av_errors
from .writers import writing

ANEW = "Remove the directory of parts and begin again"


@dataclass(frozen=True)
class Part:
    """One finished piece of a video."""

    path: Path
    start: float  # seconds from the beginning of the whole
    pictures: int  # how many it holds, repeated ones too


def join(
    parts: Sequence[Part],
    path: str | os.PathLike[str],
    *,
    fps: float,
    sound: str | os.PathLike[str] | None = None,
    origin: float = 0.0,
) -> list[str]:
    """Put parts of one size and codec together; they stay as they are.

    PyAV copies them as they are. Without it, or where the parts' encoders were not set alike,
    OpenCV decodes and encodes them again, at `fps`. PyAV also carries over the `sound` of a file,
    in which the whole begins at `origin` seconds; what of it is left out is returned.

    Raises
    ------
    VideoError
        A part cannot be read or is not whole, or the whole cannot be written.
    """
    notes: list[str] = []
    with writing(path, (OSError, ValueError)), atomic(path) as temporary:
        if _alike(parts):
            _copy(parts, temporary, sound, origin, notes)
        else:
            _recode(parts, temporary, fps)
    return notes


def _alike(parts: Sequence[Part]) -> bool:
    """Whether PyAV is there and one header serves all parts."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    headers = set()
    for part in parts:
        with _readable(part) as source:
            context = source.streams.video[0].codec_context
            headers.add((context.name, context.width, context.height, context.extradata))
    return len(headers) == 1


@contextlib.contextmanager
def _readable(part: Part) -> Iterator[Any]:
    """A part opened by PyAV; what it raises becomes an error that names the part."""
    import av

    try:
        with av.open(str(part.path)) as source:
            yield source
    except VideoError:
        raise
    except av_errors() as error:
        raise VideoError(
            f"{part.path}: this part cannot be read: {reason(error)}. {ANEW}"
        ) from error


def _copy(parts: Sequence[Part], target: Path, sound: Any, origin: float, notes: list[str]) -> None:
    import av

    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(av.open(str(target), "w"))
        first = stack.enter_context(_readable(parts[0])).streams.video[0]
        stream = whole.add_stream_from_template(first)
        stream.time_base = first.time_base
        heard = None
        if sound is not None:
            heard = Sound(sound, whole, notes)
            stack.callback(heard.close)
        last, end = -1, 0.0
        for part in parts:
            count = 0
            for packet in _packets(part):
                count += 1
                base = packet.time_base or first.time_base
                last = max(packet.pts + round(part.start / base), last + 1)
                packet.pts = packet.dts = last
                packet.stream = stream
                whole.mux(packet)
                end = float(last * base)
                if heard is not None:
                    heard.copy(origin, end)
            _check(part, count)
        if heard is not None:
            heard.copy(origin, end + TAIL)


def _packets(part: Part) -> Iterator[Any]:
    """The pictures of a part as they are stored."""
    with _readable(part) as source:
        packets = source.demux(source.streams.video[0])
        yield from (packet for packet in packets if packet.pts is not None and packet.size)


def _recode(parts: Sequence[Part], target: Path, fps: float) -> None:
    import cv2

    with contextlib.ExitStack() as stack:
        writer = None
        for part in parts:
            capture = cv2.VideoCapture(str(part.path), cv2.CAP_FFMPEG)
            stack.callback(capture.release)
            count = 0
            while True:
                good, picture = capture.read()
                if not good:
                    break
                if writer is None:
                    size = picture.shape[:2]
                    writer = stack.enter_context(OpenCVWriter(target, size, fps, origin=0.0))
                writer.write(picture, count, part.start + count / writer.fps)
                count += 1
            _check(part, count)


def _check(part: Part, count: int) -> None:
    if count != part.pictures:
        raise VideoError(
            f"{part.path}: holds {count} pictures, not the {part.pictures} that were written; it "
            f"was changed or damaged. {ANEW}"
        )
