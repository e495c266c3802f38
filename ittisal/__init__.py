"""ittisal: visual saliency for Python, after Itti, Koch & Niebur (1998).

`saliency_map(image)` is for single images; `Saliency((H, W))` for many frames of one size.
Importing this loads nothing: each name is imported at its first use. Numba is loaded only by the
processes that compile.
"""

from ._version import __version__

TYPE_CHECKING = False  # `typing` takes as long to import as the rest of `ittisal --help`
if TYPE_CHECKING:
    from typing import Any

    from . import attention, datasets, evaluation, export, faces, metrics, readout, video
    from . import backends as backends
    from . import config as config
    from .attention.crop import Crop, crop
    from .attention.explain import Explanation, explain
    from .attention.network import WinnerTakeAll
    from .attention.pictures import draw_reasons, draw_regions, draw_scanpath, reasons_size
    from .attention.proto_objects import ProtoObject, proto_object
    from .attention.regions import Region, regions
    from .attention.scanpath import Fixation, scanpath
    from .attention.search import guided_config
    from .attention.tiles import tiles
    from .attention.tracker import RegionTracker
    from .channels import ChannelMap
    from .config import (
        GAZE,
        GBVS,
        INVT,
        ITTI_1998,
        TOOLBOX,
        VIDEO,
        VOCUS2,
        WHITENED,
        Config,
        preset,
    )
    from .export import export_library, export_onnx
    from .faces import Face, FaceDetector
    from .gradients import class_saliency
    from .imagefiles import DamageWarning
    from .levels import Levels
    from .maps import upsample
    from .model import Saliency, saliency_map
    from .pipeline import BackendError
    from .video import VideoError, stream

__all__ = [
    "GAZE",
    "GBVS",
    "INVT",
    "ITTI_1998",
    "TOOLBOX",
    "VIDEO",
    "VOCUS2",
    "WHITENED",
    "BackendError",
    "ChannelMap",
    "Config",
    "Crop",
    "DamageWarning",
    "Explanation",
    "Face",
    "FaceDetector",
    "Fixation",
    "Levels",
    "ProtoObject",
    "Region",
    "RegionTracker",
    "Saliency",
    "VideoError",
    "WinnerTakeAll",
    "__version__",
    "attention",
    "class_saliency",
    "crop",
    "datasets",
    "draw_reasons",
    "draw_regions",
    "draw_scanpath",
    "evaluation",
    "explain",
    "export",
    "export_library",
    "export_onnx",
    "faces",
    "guided_config",
    "metrics",
    "preset",
    "proto_object",
    "readout",
    "reasons_size",
    "regions",
    "saliency_map",
    "scanpath",
    "stream",
    "tiles",
    "upsample",
    "video",
]

_NAMES = {  # module -> names taken from it, besides the module itself
    "attention": "",
    "attention.crop": "Crop crop",
    "attention.explain": "Explanation explain",
    "attention.network": "WinnerTakeAll",
    "attention.pictures": "draw_reasons draw_regions draw_scanpath reasons_size",
    "attention.proto_objects": "ProtoObject proto_object",
    "attention.regions": "Region regions",
    "attention.scanpath": "Fixation scanpath",
    "attention.search": "guided_config",
    "attention.tiles": "tiles",
    "attention.tracker": "RegionTracker",
    "backends": "",
    "channels": "ChannelMap",
    "config": "GAZE GBVS INVT ITTI_1998 TOOLBOX VIDEO VOCUS2 WHITENED Config preset",
    "datasets": "",
    "evaluation": "",
    "export": "export_library export_onnx",
    "faces": "Face FaceDetector",
    "gradients": "class_saliency",
    "imagefiles": "DamageWarning",
    "levels": "Levels",
    "maps": "upsample",
    "metrics": "",
    "model": "Saliency saliency_map",
    "pipeline": "BackendError",
    "readout": "",
    "video": "VideoError stream",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> "Any":
    """Import the name at its first use."""
    if name not in _HOMES and name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f".{_HOMES.get(name, name)}", __name__)
    globals()[name] = module if name in _NAMES else getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    """The public names, used or not."""
    return sorted({*globals(), *__all__})
