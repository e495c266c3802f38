"""Video: the saliency of files, cameras, network streams, folders and arrays, frame by frame.

OpenCV and PyAV are imported inside the functions that need them.
"""

from .errors import VideoError
from .statistics import Statistics
from .streaming import Result, Stream, stream

__all__ = ["Result", "Statistics", "Stream", "VideoError", "stream"]
