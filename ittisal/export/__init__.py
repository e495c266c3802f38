"""The model in forms that other runtimes take."""

from .onnx_model import ExportError, export_onnx

__all__ = ["ExportError", "export_onnx"]
