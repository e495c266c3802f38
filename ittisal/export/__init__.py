"""Libraries and graphs of the model for programs without Python."""

from .library import Exported, export_library
from .onnx_model import LAYOUTS, export_onnx, onnx_model

__all__ = ["LAYOUTS", "Exported", "export_library", "export_onnx", "onnx_model"]
