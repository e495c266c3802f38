"""Video: the saliency of files, cameras, network streams, folders and arrays, frame by frame.

OpenCV and PyAV are imported inside the functions that need them.

A frame goes one way: a `Source` is opened to a `Reader` (`opencv_reader`, `pyav_reader`,
`pictures_reader`, `raw`, `arrays`); a `Selection` says which of its frames are wanted; a feed
hands them over, with a thread of its own (`feeds`, `exchange`); a `Stream` gives them to the
model and hands out `Result`s.
"""

from .clock import Clock
from .cuts import CutDetector
from .errors import FrameError, NothingWanted, VideoError
from .pictures import Brightness, Painter, overlay
from .raw import RawVideo
from .readers import Reader, Source
from .records import Records
from .statistics import Statistics
from .streaming import Result, Stream, stream
from .writers import BackgroundWriter, Writer, open_video

__all__ = [
    "BackgroundWriter",
    "Brightness",
    "Clock",
    "CutDetector",
    "FrameError",
    "NothingWanted",
    "Painter",
    "RawVideo",
    "Reader",
    "Records",
    "Result",
    "Source",
    "Statistics",
    "Stream",
    "VideoError",
    "Writer",
    "open_video",
    "overlay",
    "stream",
]
