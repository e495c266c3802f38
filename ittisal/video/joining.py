"""Parts of a video put together again, without recoding where that can be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import VideoError
from .writers import Named

ANEW = "Remove the directory of parts and begin anew"


@dataclass(frozen=True)
class Part:
    """One finished piece of a video.

    Parameters
    ----------
    path : Path
    start : float
        When it begins, in seconds from the beginning of the whole.
    pictures : int
        How many it holds, repeated ones too.
    """

    path: Path
    start: float
    pictures: int


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
    OpenCV decodes and encodes them anew.

    Parameters
    ----------
    parts : sequence of Part
        In the order of time.
    path : path
        The whole, under a temporary name until it is finished and has been counted.
    fps : float
        For OpenCV.
    sound : path, optional
        A file whose sound is carried over; with PyAV only.
    origin : float
        The time in that file at which the whole begins.

    Returns
    -------
    list of str
        What of the sound is left out, and why.

    Raises
    ------
    VideoError
        A part cannot be read or is not whole, or the whole cannot be written.
    """
    file = Named(path)
    try:
        notes = _copy(parts, file, sound, origin) if _alike(parts) else _recode(parts, file, fps)
        file.publish()
    except (OSError, ValueError) as error:
        raise error if isinstance(error, VideoError) else file.failed(error) from error
    finally:
        file.remove()
    return notes


def _alike(parts: Sequence[Part]) -> bool:
    """Whether PyAV is there and one header serves all parts."""
    try:
        import av
    except ImportError:
        return False
    headers = set()
    for part in parts:
        with _opened(av, part) as source:
            context = source.streams.video[0].codec_context
            headers.add((context.name, context.width, context.height, context.extradata))
    return len(headers) == 1


def _opened(av: Any, part: Part) -> Any:
    from .pyav_writer import errors, reason

    try:
        return av.open(str(part.path))
    except errors() as error:
        raise VideoError(
            f"{part.path}: this part cannot be read: {reason(error)}. {ANEW}"
        ) from error


def _packets(part: Part, source: Any) -> Iterator[Any]:
    """The pictures of a part as they are stored; what goes wrong is told of the part."""
    from .pyav_writer import errors, reason

    try:
        yield from source.demux(source.streams.video[0])
    except errors() as error:
        raise VideoError(
            f"{part.path}: this part cannot be read: {reason(error)}. {ANEW}"
        ) from error


def _copy(parts: Sequence[Part], file: Named, sound: Any, origin: float) -> list[str]:
    import av

    from .pyav_writer import TAIL, Sound, add_copy

    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(av.open(str(file.temporary), "w"))
        first = stack.enter_context(_opened(av, parts[0]))
        target = add_copy(whole, first.streams.video[0])
        target.time_base = first.streams.video[0].time_base
        heard = None
        if sound is not None:
            heard = Sound(sound, whole)
            stack.callback(heard.close)
            notes = heard.notes
        last, end = -1, 0.0
        for part in parts:
            with _opened(av, part) as source:
                count = 0
                for packet in _packets(part, source):
                    if packet.pts is None or not packet.size:
                        continue
                    count += 1
                    base = packet.time_base or first.streams.video[0].time_base
                    last = max(packet.pts + round(part.start / base), last + 1)
                    packet.pts = packet.dts = last
                    packet.stream = target
                    whole.mux(packet)
                    end = float(last * base)
                    if heard is not None:
                        heard.copy(origin, origin + end)
            _check(part, count)
        if heard is not None:
            heard.copy(origin, origin + end + TAIL)
    return notes


def _recode(parts: Sequence[Part], file: Named, fps: float) -> list[str]:
    import cv2

    from .opencv_writer import OpenCVWriter

    writer = None
    try:
        for part in parts:
            capture = cv2.VideoCapture(str(part.path), cv2.CAP_FFMPEG)
            count = 0
            while True:
                good, picture = capture.read()
                if not good:
                    break
                if writer is None:
                    writer = OpenCVWriter(file.temporary, picture.shape[:2], fps, origin=0.0)
                writer.write(picture, count, part.start + count / writer.fps)
                count += 1
            capture.release()
            _check(part, count)
        assert writer is not None  # parts have pictures, or `_check` has raised
        writer.finish()
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise
    return []


def _check(part: Part, count: int) -> None:
    if count != part.pictures:
        raise VideoError(
            f"{part.path}: holds {count} pictures, not the {part.pictures} that were written; it "
            f"was changed or damaged. {ANEW}"
        )
