"""One GPU through CuPy: memory, streams, events, compiled kernels and recorded graphs.

All that the backend asks of a device is here, so that the tests can put a host in its place. CuPy
is imported when a device is opened, never before.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from typing import Any

import numpy as np

from .. import store
from ..frames import is_on_gpu
from ..pipeline import BackendError
from . import compiler
from .compiler import Job
from .installation import LESS_MEMORY, device_name, explained
from .sources import Unit

REPEATS = 20  # of what is timed
_recording = threading.Lock()


class Device:
    """The GPU that is current when this is made."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self._device = cupy.cuda.Device()
        self._device.synchronize()  # makes the context, or says why not
        self.id = int(self._device.id)
        self.name = device_name(self.id)
        self._here = nullcontext()
        self.capability = int(self._device.compute_capability)
        with self._device:
            # For frames that come from the host. Non-blocking: not held up by the default stream.
            self.stream = cupy.cuda.Stream(non_blocking=True)
            self.copies = cupy.cuda.Stream(non_blocking=True)

    # --- memory

    def zeros(self, size: int, dtype: Any) -> Any:
        """Device memory; MemoryError if there is none left."""
        with self._device, self._memory(size * np.dtype(dtype).itemsize, "of GPU memory"):
            made = self.cupy.zeros(size, dtype)
            self.cupy.cuda.get_current_stream().synchronize()
            return made

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Page-locked host memory, which the GPU reads and writes by itself."""
        import cupyx

        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with self._device, self._memory(nbytes, "of page-locked host memory"):
            return cupyx.zeros_pinned(shape, dtype)

    def upload(self, array: np.ndarray) -> Any:
        """A copy in device memory, complete on return."""
        made = self.zeros(array.size, array.dtype)
        with self._device:
            made.set(np.ascontiguousarray(array).ravel())
            self.cupy.cuda.get_current_stream().synchronize()
        return made

    def download(self, array: Any) -> np.ndarray:
        """A copy in host memory, once all that was asked of the device is done."""
        with self._device:
            self._device.synchronize()
            return self.cupy.asnumpy(array)

    def on_host(self, array: Any) -> np.ndarray:
        """The array where the host can read it."""
        return self.download(array)

    @contextmanager
    def _memory(self, nbytes: int, kind: str) -> Iterator[None]:
        """Turn a failed allocation into a MemoryError that says what would help."""
        cuda = self.cupy.cuda
        try:
            yield
        except (cuda.memory.OutOfMemoryError, cuda.runtime.CUDARuntimeError) as error:
            text = str(error)
            if not isinstance(error, cuda.memory.OutOfMemoryError) and "Memory" not in text:
                raise
            free, total = cuda.runtime.memGetInfo()
            raise MemoryError(
                f"{nbytes / 2**20:.0f} MiB {kind} could not be had ({self.name} has "
                f"{free / 2**20:.0f} of {total / 2**20:.0f} MiB free); {LESS_MEMORY}"
            ) from error

    def by_value(self, struct: np.ndarray) -> np.ndarray:
        """A struct as a kernel's argument: plain bytes, or CuPy would list its fields each time."""
        return struct.view(f"V{struct.itemsize}")

    # --- copies and order

    def address(self, array: Any) -> int:
        """Of an array in device memory."""
        return array.data.ptr

    def copy(self, target: int, source: int, nbytes: int, stream: Any) -> None:
        """Between two addresses, on the device and in page-locked host memory, without waiting."""
        runtime = self.cupy.cuda.runtime
        runtime.memcpyAsync(target, source, nbytes, runtime.memcpyDefault, stream.ptr)

    def event(self) -> Any:
        """A mark in a stream that other streams and the host can wait for."""
        with self._device:
            return self.cupy.cuda.Event(disable_timing=True)

    def wait(self, event: Any) -> None:
        """Wait on the host for an event. BackendError if the GPU failed on the way."""
        try:
            event.synchronize()
        except self.cupy.cuda.runtime.CUDARuntimeError as error:
            raise BackendError(
                f"{self.name} failed ({error}); what this process holds on it is lost. Start the "
                "process again"
            ) from error

    def current_stream(self) -> Any:
        """The caller's stream."""
        return self.cupy.cuda.get_current_stream()

    def current(self) -> AbstractContextManager[Any]:
        """Where kernels and graphs are launched on this device."""
        return self._here if self.cupy.cuda.runtime.getDevice() == self.id else self._device

    # --- kernels

    def compile(
        self, units: Sequence[tuple[Unit, tuple[str, ...]]]
    ) -> dict[str, Callable[..., None]]:
        """Kernels by name, of units with their options; from the store if they were compiled
        before. Units are compiled at the same time, each by a thread.
        """
        architecture = compiler.architecture(self.capability)

        def loaded(unit: Unit, options: tuple[str, ...]) -> dict[str, Callable[..., None]]:
            with self.cupy.cuda.Device(self.id):
                module = _loaded(self.id, Job(unit.name, unit.text, options, architecture))
                return {name: module.get_function(name) for name in unit.kernels}

        with explained(f"{self.name} cannot load the kernels"), ThreadPoolExecutor() as pool:
            found = list(pool.map(loaded, *zip(*units, strict=True)))
        store.tidy()
        store.warn_if_unkept()
        return {name: kernel for unit in found for name, kernel in unit.items()}

    def record(self, run: Callable[[Any], None]) -> Callable[[Any], None]:
        """Record what `run` launches on a stream as a graph; the result launches it on another.

        `run` must have been run before, for lazy loading, and must not allocate. The collector is
        held off: a destructor that frees device memory would spoil the recording.
        """
        with explained(f"{self.name} cannot record a graph"), self._device, _recording:
            stream = self.cupy.cuda.Stream(non_blocking=True)
            collecting = gc.isenabled()
            gc.disable()
            try:
                stream.begin_capture()
                try:
                    run(stream)
                except BaseException:  # not to be hidden by what it made of the recording
                    with suppress(RuntimeError):
                        stream.end_capture()
                    raise
                graph = stream.end_capture()
            finally:
                if collecting:
                    gc.enable()
            graph.upload(stream)
            stream.synchronize()
        return graph.launch

    def milliseconds(self, run: Callable[[Any], None]) -> float:
        """The device's own time for what `run` launches on a stream, which may be repeated.

        As one graph of many runs: launched singly, short kernels would wait for Python.
        """

        def repeat(stream: Any) -> None:
            for _ in range(REPEATS):
                run(stream)

        with self._device:
            run(self.stream)
            launch = self.record(repeat)
            events = self.cupy.cuda.Event(), self.cupy.cuda.Event()
            launch(self.stream)
            events[0].record(self.stream)
            launch(self.stream)
            events[1].record(self.stream)
            events[1].synchronize()
        return self.cupy.cuda.get_elapsed_time(*events) / REPEATS

    # --- arrays of other libraries

    def adopt(self, array: Any) -> Any:
        """Another library's device array as CuPy's, in place, ordered after its stream.

        Raises
        ------
        TypeError
            It lies in host memory.
        ValueError
            It lies on another GPU.
        """
        if not isinstance(array, self.cupy.ndarray):
            if not is_on_gpu(array):
                raise TypeError("out is in host memory, the frame on the GPU; give a GPU array")
            protocol = "from_dlpack" if hasattr(array, "__dlpack__") else "asarray"
            array = getattr(self.cupy, protocol)(array)
        there = array.data.device_id
        if there != self.id:
            raise ValueError(
                f"the array lies on GPU {there}, this model on GPU {self.id}; copy it, or build "
                f"the model under cupy.cuda.Device({there})"
            )
        return array

    def empty(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
        """A new array, for a result."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with self._device, self._memory(nbytes, "of GPU memory"):
            return self.cupy.empty(shape, dtype)

    def hand_over(self, array: Any, like: Any) -> Any:
        """One of CuPy's arrays as `like`'s library has them, ordered before its stream goes on."""
        if isinstance(like, self.cupy.ndarray):
            return array
        if hasattr(like, "__array_namespace__"):
            library = like.__array_namespace__()
        else:
            library = sys.modules.get(type(like).__module__.split(".")[0])
        convert = getattr(library, "from_dlpack", None)
        return array if convert is None else convert(array)


@lru_cache(maxsize=256)
def _loaded(device: int, job: Job) -> Any:
    """A job's module on the current device, which has this number."""
    from cupy.cuda import Module, driver

    module, stored = Module(), compiler.read(job)
    if stored is not None:
        try:
            module.load(stored)
            return module
        except driver.CUDADriverError:  # compiled again, once
            module = Module()
    module.load(compiler.compile_and_keep(job))
    return module
