"""ittisal: visual saliency for Python, after Itti, Koch & Niebur (1998).

`saliency_map(image)` is for single images; `Saliency((H, W))` for many frames of one size.
Importing this loads NumPy and nothing heavier. Numba is loaded only where kernels are compiled.
"""

from typing import TYPE_CHECKING, Any

from ._version import __version__
from .config import GAZE, INVT, ITTI_1998, VIDEO, WHITENED, Config, preset
from .maps import upsample
from .model import Saliency, saliency_map
from .pipeline import BackendError

if TYPE_CHECKING:
    from . import datasets, evaluation, metrics, readout, video
    from .video import VideoError, stream

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


_LATER = {  # name -> the module to import when it is first used
    **{name: name for name in ("datasets", "evaluation", "metrics", "readout", "video")},
    "VideoError": "video",
    "stream": "video",
}


def __getattr__(name: str) -> Any:
    """Import these at their first use: who maps frames needs none of them."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f".{_LATER[name]}", __name__)
    return module if name == _LATER[name] else getattr(module, name)
