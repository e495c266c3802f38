"""What can go wrong with a source of video."""

from __future__ import annotations


class VideoError(OSError):
    """A source cannot be opened, read or gone on with; the message names it and what to do."""


class FrameError(VideoError):
    """One frame cannot be read: it is reported and counted, and the rest go on."""


class NothingWanted(VideoError):
    """The source has frames, but none of those asked for."""


def reason(error: BaseException) -> str:
    """Why, on one line: as the system, OpenCV or FFmpeg says it, without what surrounds that.

    Examples
    --------
    >>> reason(OSError(28, "No space left on device", "a.mp4"))
    'No space left on device'
    """
    said = getattr(error, "strerror", None) or getattr(error, "err", None) or error
    return " ".join(str(said).split())
