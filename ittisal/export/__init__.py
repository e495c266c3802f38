"""Libraries and graphs of the model for programs without Python."""

from .onnx_model import LAYOUTS, export_onnx, onnx_model

__all__ = ["LAYOUTS", "export_onnx", "onnx_model"]
