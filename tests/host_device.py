"""A GPU's stand-in for `ittisal.cuda.device.Device`: NumPy memory, and the kernels built by g++.

So the backend's own orchestration (buffers, grids, arguments, order) is what the tests run.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext

import numpy as np
from host_kernels import HostModule

from ittisal.cuda import sources


class Nothing:
    """A stream, or an event: here everything is done as soon as it is asked for."""

    def record(self, stream=None):
        """Nothing to mark."""

    def synchronize(self):
        """Nothing to wait for."""

    def wait_event(self, event):
        """Nothing to wait for."""


class HostDevice:
    """See `ittisal.cuda.device.Device`."""

    id = 0
    name = "this host"

    def __init__(self, *, order="forward", seed=0, sanitize=False, source=lambda text: text):
        self.settings = {"order": order, "seed": seed, "sanitize": sanitize}
        self.source = source  # changes the kernels' text, to plant faults
        self.stream, self.copies = Nothing(), Nothing()
        self.launched = []  # names of kernels
        self.recorded = 0

    def zeros(self, size, dtype):
        return np.zeros(size, dtype)

    def empty(self, shape, dtype=np.float32):
        return np.full(shape, 99, dtype)

    def pinned(self, shape, dtype):
        return np.zeros(shape, dtype)

    def upload(self, array):
        return array.ravel().copy()

    def download(self, array):
        return array.copy()

    def copy_in(self, target, source, stream):
        target.view(np.uint8).reshape(-1)[: source.nbytes] = source.reshape(-1).view(np.uint8)

    def copy_out(self, target, source, stream):
        flat = np.ascontiguousarray(source).reshape(-1).view(np.uint8)
        target.reshape(-1).view(np.uint8)[:] = flat[: target.nbytes]

    def wait(self, event):
        """Nothing to wait for."""

    def event(self):
        return Nothing()

    def current_stream(self):
        return self.stream

    def on_host(self, array):
        return array

    def current(self):
        return nullcontext()

    @contextmanager
    def using(self, stream):
        yield

    def compile(self, files, options, names):
        text = self.source(sources.joined(files))
        module = HostModule(text, options, names=names(text), **self.settings)
        return {name: self._counted(name, module.kernel(name)) for name in module.names}

    def _counted(self, name, kernel):
        def launch(grid, block, arguments):
            self.launched.append(name)
            kernel(grid, block, arguments)

        return launch

    def record(self, run):
        self.recorded += 1
        return lambda stream: run()

    def milliseconds(self, run):
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3

    def adopt(self, array):
        return array

    def hand_over(self, array, like):
        return array
