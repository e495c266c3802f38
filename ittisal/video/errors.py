"""What can go wrong with a source of video."""

from __future__ import annotations


class VideoError(OSError):
    """A source cannot be opened, read or gone on with; the message names it and what to do."""


class FrameError(VideoError):
    """One frame cannot be read: it is reported and counted, and the rest go on."""


class NothingWanted(VideoError):
    """The source has frames, but none of those asked for."""
