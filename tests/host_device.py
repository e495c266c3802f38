"""A GPU's stand-in for `ittisal.cuda.device.Device`: NumPy memory, and the kernels built by g++.

So the backend's own orchestration (buffers, grids, arguments, order) is what the tests run.
"""

from __future__ import annotations

import ctypes
import random
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import numpy as np
from host_kernels import HostModule


class Nothing:
    """A stream, or an event: here everything is done as soon as it is asked for."""

    def add(self, act):
        act()

    def record(self, stream=None):
        """Nothing to mark."""

    def synchronize(self):
        """Nothing to wait for."""

    def wait_event(self, event):
        """Nothing to wait for."""


class Recording:
    """A stream on which nothing is done."""

    def __init__(self):
        self.work = []

    def add(self, act):
        self.work.append(act)


def _given(argument):
    """What a kernel gets at its launch: structs and numbers by value, memory by its address."""
    if not isinstance(argument, np.ndarray):
        return argument
    return argument.copy() if argument.dtype.names else borrowed(argument)


def borrowed(array):
    """The same memory, as a device knows it: by its address, whoever owns it by then."""
    memory = (ctypes.c_ubyte * array.nbytes).from_address(array.ctypes.data)
    return np.ndarray(array.shape, array.dtype, memory, strides=array.strides)


class HostDevice:
    """See `ittisal.cuda.device.Device`."""

    id = 0
    name = "this host"

    def __init__(self, *, defines=(), **settings):
        self.settings = settings  # of `HostModule`
        self.defines = dict(defines)  # in place of the backend's own, or besides: `FAULT_name`
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

    def by_value(self, struct):
        return struct

    def address(self, array):
        return array.ctypes.data

    def copy(self, target, source, nbytes, stream):
        stream.add(lambda: ctypes.memmove(target, source, nbytes))

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

    def compile(self, units):
        with ThreadPoolExecutor(2) as pool:
            modules = list(pool.map(self._module, units))
        return {
            name: self._counted(name, module.kernel(name))
            for module in modules
            for name in module.names
        }

    def _module(self, given):
        unit, options = given
        for name, value in self.defines.items():
            options = [one for one in options if not one.startswith(f"-D{name}=")]
            if name.removeprefix("FAULT_") in unit.text:
                options.append(f"-D{name}={value}")
        return HostModule(unit.text, options, names=unit.kernels, **self.settings)

    def _counted(self, name, kernel):
        def launch(grid, block, arguments, stream):
            given = tuple(map(_given, arguments))

            def act():
                self.launched.append(name)
                kernel(grid, block, given)

            stream.add(act)

        return launch

    def record(self, run):
        """What `run` launches, with the arguments that it has now."""
        self.recorded += 1
        recording = Recording()
        run(recording)

        def launch(stream):
            for act in recording.work:
                stream.add(act)

        return launch

    def milliseconds(self, run):
        start = time.perf_counter()
        run(self.stream)
        self.stream.synchronize()
        return (time.perf_counter() - start) * 1e3

    def adopt(self, array):
        return array

    def hand_over(self, array, like):
        return array


# --- one that does nothing at once -------------------------------------------------------------


class LateStream:
    """Work in order, done when somebody waits for it, or (`LateDevice.pace`) at any time before."""

    def __init__(self, device):
        self.device, self.work, self.done = device, [], 0
        device.streams.append(self)

    def add(self, act):
        self.work.append(act)
        self.device.go_on()

    def wait_event(self, event):
        if event.mark is not None:
            self.work.append(event.mark)

    def synchronize(self):
        self.device.reach(self, len(self.work))


class LateEvent:
    """A place in a stream: (stream, how much of its work comes before)."""

    def __init__(self, device):
        self.device, self.mark = device, None

    def record(self, stream=None):
        stream = stream or self.device.now
        self.mark = stream, len(stream.work)


class LateArray(np.ndarray):
    """Device memory: what is written to it is written in the order of the current stream."""

    device = None

    def __array_finalize__(self, other):
        self.device = getattr(other, "device", None)

    def __setitem__(self, where, value):
        target = self.view(np.ndarray)
        self.device.now.add(lambda: target.__setitem__(where, value))


class LateDevice(HostDevice):
    """As a GPU, it works on by itself: copies and kernels read what is there when their turn comes.

    What is let go of is overwritten: device memory when the stream that it was made on gets there,
    as CuPy's pool hands it out again, pinned memory at once.

    Parameters
    ----------
    pace
        "needed": a wait lets only that happen which it waits for. "others": all other streams get
        as far as they can before each step. A number: streams take turns at random, at any time.
    """

    def __init__(self, pace="needed", **settings):
        super().__init__(**settings)
        self.pace, self.random = pace, random.Random(pace)
        self.streams, self.memory = [], []
        self.stream, self.copies = LateStream(self), LateStream(self)
        self.now = LateStream(self)  # of the caller

    def ready(self, stream):
        """Whether a stream has work, and that waits for nothing."""
        if stream.done == len(stream.work):
            return False
        act = stream.work[stream.done]
        return callable(act) or act[0].done >= act[1]

    def step(self, stream):
        act = stream.work[stream.done]
        if callable(act):
            act()
        stream.done += 1

    def reach(self, stream, count):
        while stream.done < count:
            able = [one for one in self.streams if self.ready(one)]
            if isinstance(self.pace, int):
                chosen = self.random.choice(able)
            elif self.pace == "others" and any(one is not stream for one in able):
                chosen = next(one for one in able if one is not stream)
            else:
                chosen = stream
                while not self.ready(chosen):
                    chosen = chosen.work[chosen.done][0]
            self.step(chosen)

    def go_on(self):
        while isinstance(self.pace, int) and self.random.random() < 0.4:
            able = [one for one in self.streams if self.ready(one)]
            if able:
                self.step(self.random.choice(able))

    def synchronize(self):
        for stream in self.streams:
            stream.synchronize()

    @property
    def under_way(self):
        """How much has been asked for and is not done."""
        return sum(len(stream.work) - stream.done for stream in self.streams)

    def zeros(self, size, dtype):
        return self._made(super().zeros(size, dtype))

    def empty(self, shape, dtype=np.float32):
        return self._made(super().empty(shape, dtype))

    def upload(self, array):
        return self._made(super().upload(array))

    def pinned(self, shape, dtype):
        memory = super().pinned(shape, dtype)
        self.memory.append(memory)
        made = np.ndarray(shape, dtype, memory.data)
        weakref.finalize(made, memory.view(np.uint8).fill, 255)
        return made

    def _made(self, memory):
        self.memory.append(memory)  # kept, so that late work harms nobody
        made = memory.view(LateArray)
        made.device = self
        spoil = memory.view(np.uint8).fill
        weakref.finalize(made, self.now.add, lambda: spoil(255))
        return made

    def download(self, array):
        self.synchronize()
        return np.array(array)

    def on_host(self, array):
        self.synchronize()
        return array.view(np.ndarray)

    def wait(self, event):
        if event.mark is not None:
            self.reach(*event.mark)

    def event(self):
        return LateEvent(self)

    def current_stream(self):
        return self.now

    @contextmanager
    def using(self, stream):
        before, self.now = self.now, stream
        try:
            yield stream
        finally:
            self.now = before
