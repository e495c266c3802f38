"""ittisal: visual saliency for Python, after Itti, Koch & Niebur (1998).

`saliency_map(image)` is the easy door; `Saliency((H, W))` the quick one for many frames.
Importing this loads NumPy and nothing heavier: Numba comes with the first model.
"""

from . import metrics, video
from ._version import __version__
from .config import INVT, ITTI_1998, VIDEO, Config, preset
from .maps import enlarge
from .model import Saliency, saliency_map
from .pipeline import BackendError
from .video import VideoError, stream

__all__ = [
    "INVT",
    "ITTI_1998",
    "VIDEO",
    "BackendError",
    "Config",
    "Saliency",
    "VideoError",
    "__version__",
    "enlarge",
    "metrics",
    "preset",
    "saliency_map",
    "stream",
    "video",
]
