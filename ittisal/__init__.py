"""ittisal: visual saliency for Python, after Itti, Koch & Niebur (1998).

`saliency_map(image)` is for single images; `Saliency((H, W))` for many frames of one size.
Importing this loads NumPy and nothing heavier. Numba is loaded only where kernels are compiled.
"""

from typing import TYPE_CHECKING, Any

from . import metrics, video
from ._version import __version__
from .config import GAZE, INVT, ITTI_1998, VIDEO, WHITENED, Config, preset
from .maps import upsample
from .model import Saliency, saliency_map
from .pipeline import BackendError
from .video import VideoError, stream

if TYPE_CHECKING:
    from . import datasets, evaluation, readout

__all__ = [
    "GAZE",
    "INVT",
    "ITTI_1998",
    "VIDEO",
    "WHITENED",
    "BackendError",
    "Config",
    "Saliency",
    "VideoError",
    "__version__",
    "datasets",
    "evaluation",
    "metrics",
    "preset",
    "readout",
    "saliency_map",
    "stream",
    "upsample",
    "video",
]


def __getattr__(name: str) -> Any:
    """Import these at their first use: who maps frames needs none of them."""
    if name in ("datasets", "evaluation", "readout"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
