"""The C library against the package that exports it: the same frame, from a call of each."""

from __future__ import annotations

import ctypes
import tempfile
import time
from pathlib import Path

import numpy as np

import ittisal

from .frames import photograph
from .settings import one_size, shape_of

PRESETS = ("itti1998", "video", "gaze", "gbvs")


class Options(ctypes.Structure):
    """`ittisal_options`."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("abi", "height", "width", "pixels", "type", "gaps")),
        ("preset", ctypes.c_char_p),
    )


class CLibrary:
    """A frame through a library of one preset and size, exported for this CPU, on one thread.

    The C call is made from Python, by ctypes. `size` is that of the stripped shared library.
    """

    param_names = ("size", "preset")
    params = (one_size("320x240"), PRESETS)
    ratios = (("of Python's", "time_c", "time_python"),)

    def setup(self, size: str, preset: str) -> None:
        """Export the library, and make both models."""
        shape, self.frame = shape_of(size), photograph(size)
        config = ittisal.preset(preset)
        self.python = ittisal.Saliency(shape, config, backend="cpu", channel_order="bgr", threads=1)
        self.out = np.empty(self.python.map_shape, np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "library"
            try:
                done = ittisal.export_library(path, {preset: config}, [shape], pixels=["bgr"])
            except ittisal.BackendError as error:
                raise NotImplementedError(str(error)) from error
            self.library, self.bytes = ctypes.CDLL(path / "lib" / "libittisal.so"), done.size
        options, self.model = Options(), ctypes.c_void_p()
        memory = ctypes.c_size_t()
        self._call("variant", 0, ctypes.byref(options))
        self._call("memory", ctypes.byref(options), ctypes.byref(memory))
        start = time.perf_counter()
        self._call("create", ctypes.byref(options), ctypes.byref(self.model))
        self.created, self.memory = time.perf_counter() - start, memory.value
        self.arguments = (
            self.model,
            ctypes.c_void_p(self.frame.ctypes.data),
            ctypes.c_size_t(self.frame.strides[0]),
            ctypes.c_double(-1),
            ctypes.c_void_p(self.out.ctypes.data),
            ctypes.c_size_t(self.out.strides[0]),
        )
        self.time_c()
        if not np.array_equal(self.out, self.python(self.frame)):
            raise RuntimeError("the library gives another map than the package")
        self._call("reset", self.model)
        self.python.reset()

    def teardown(self, *params: object) -> None:
        """Give the memory back."""
        self.library.ittisal_destroy(self.model)
        self.python.close()

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self.library, f"ittisal_{name}")(*arguments)
        if status:
            raise RuntimeError(f"ittisal_{name}: status {status}")

    def time_c(self, *params: object) -> None:
        """The C call."""
        self._call("run", *self.arguments)

    def time_python(self, *params: object) -> None:
        """The Python call."""
        self.python(self.frame, out=self.out)

    def track_size(self, *params: object) -> float:
        """Of the shared library."""
        return self.bytes / 1024

    def track_create(self, *params: object) -> float:
        """Until the model is made."""
        return self.created * 1e3

    def track_memory(self, *params: object) -> float:
        """That a model takes."""
        return self.memory / 2**20

    track_size.unit = "KiB"
    track_create.unit = "ms"
    track_memory.unit = "MiB"
