"""Video: the saliency of files, cameras, network streams, folders and arrays, frame by frame.

OpenCV and PyAV are imported inside the functions that need them.

A frame goes one way: a `Source` (`sources`) is opened to a `Reader` (`readers`, `opencv_reader`,
`pyav_reader`); a `Selection` says which of its frames are wanted; a feed (`feeds`) reads them, in
a thread if it may; a `Stream` (`streaming`) gives them to the model and returns `Result`s, which
`ittisal.drawing`, `records` and `writers` show, describe and write.
"""

from ..drawing import overlay
from ..maps import RunningPeak
from .cuts import CutDetector
from .painter import Painter
from .readers import FrameError, NothingWanted, RawVideo, Reader, Source, VideoError
from .records import Records, Statistics
from .selection import Clock
from .streaming import Result, Stream, stream
from .video_files import open_video
from .writers import BackgroundWriter, Writer

__all__ = [
    "BackgroundWriter",
    "Clock",
    "CutDetector",
    "FrameError",
    "NothingWanted",
    "Painter",
    "RawVideo",
    "Reader",
    "Records",
    "Result",
    "RunningPeak",
    "Source",
    "Statistics",
    "Stream",
    "VideoError",
    "Writer",
    "open_video",
    "overlay",
    "stream",
]
