"""ONNX graphs: what a frame costs in ONNX Runtime, and how near they are to the reference."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import numpy as np

import ittisal

from .answers import agreement
from .frames import PHOTOGRAPHS, photograph
from .settings import one_size, settings, shape_of

PRESETS = ("itti1998", "invt", "whitened", "gaze", "toolbox")


class Onnx:
    """A BGR uint8 frame on one thread, by ONNX Runtime on the CPU and by the CPU backend.

    `r` and `difference`, a fraction of the reference's maximum, are the worst of six photographs;
    so is `native difference`, the CPU backend's. Both are float32, and N counts local maxima, so
    that the last bit may decide whether one counts.
    """

    param_names = ("preset", "size")
    params = (PRESETS, one_size("640x480"))
    ratios = (("times the native", "time_onnxruntime", "time_native"),)

    def setup(self, preset: str, size: str) -> None:
        """Export the preset, and compare maps of photographs."""
        if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
            raise NotImplementedError("needs onnx and onnxruntime: pip install 'ittisal[onnx]'")
        import onnxruntime

        shape, config = shape_of(size), ittisal.preset(preset)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            self.exported = ittisal.export_onnx(path, config, shape, channel_order="bgr")
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        self.frame = photograph(size)
        self.native, reference = (
            ittisal.Saliency(shape, config, backend=backend, channel_order="bgr", threads=1)
            for backend in ("cpu", "reference")
        )
        self.out = np.empty(self.native.map_shape, np.float32)
        found = {"onnx": [], "native": []}
        for name in tuple(PHOTOGRAPHS)[: 1 if settings.quick else None]:
            frame = photograph(size, name)
            truth = reference(frame)
            found["onnx"].append(agreement(self._map(frame), truth))
            found["native"].append(agreement(self.native(frame), truth))
        self.found = found

    def teardown(self, *params: object) -> None:
        """Stop the native model."""
        self.native.close()

    def time_onnxruntime(self, *params: object) -> None:
        """A map by ONNX Runtime."""
        self._map(self.frame)

    def time_native(self, *params: object) -> None:
        """A map by the CPU backend."""
        self.native(self.frame, out=self.out)

    def track_nodes(self, *params: object) -> float:
        """Operators of the graph, without those inside a loop."""
        return len(self.exported.graph.node)

    def track_size(self, *params: object) -> float:
        """KiB of the file."""
        return self.exported.ByteSize() / 1024

    def track_one_minus_r(self, *params: object) -> float:
        """1 less Pearson's correlation with the reference."""
        return 1 - min(each.r for each in self.found["onnx"])

    def track_difference(self, *params: object) -> dict[str, float]:
        """Largest difference from the reference."""
        return {
            "difference": max(each.difference for each in self.found["onnx"]),
            "native difference": max(each.difference for each in self.found["native"]),
        }

    track_size.unit = "KiB"
    track_difference.unit = "of max"

    def _map(self, frame: np.ndarray) -> np.ndarray:
        return self.session.run(["saliency"], {"frame": frame})[0]
