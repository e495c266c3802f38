"""A GPU that does nothing, at once: what remains of a call is the package's own Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

import ittisal
from ittisal.cuda.device import Device

_addresses = itertools.count(1 << 32, 1 << 32)
CONTIGUOUS = SimpleNamespace(c_contiguous=True)


def _nothing(*arguments: Any, **options: Any) -> None:
    """Any of CuPy's functions."""


class Array:
    """Of a `cupy.ndarray` what the package asks for. There is no memory behind it."""

    flags = CONTIGUOUS

    def __init__(self, shape: tuple[int, ...], dtype: Any, pointer: int | None = None) -> None:
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self.size = math.prod(shape)
        self.nbytes = self.size * self.dtype.itemsize
        pointer = next(_addresses) if pointer is None else pointer
        self.data = SimpleNamespace(ptr=pointer, device_id=0)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> Array:
        start, stop, _ = part.indices(len(self))
        pointer = self.data.ptr + start * (self.nbytes // len(self))
        return Array((stop - start, *self.shape[1:]), self.dtype, pointer)


def like(array: np.ndarray) -> Array:
    """An array on the device, of the same shape and type."""
    return Array(array.shape, array.dtype)


class Stream:
    """A stream, or an event."""

    ptr = 0
    record = synchronize = wait_event = staticmethod(_nothing)


class StubDevice(Device):
    """`Device` with a CuPy that does nothing."""

    pinned = staticmethod(np.zeros)  # ordinary memory

    def __init__(self) -> None:
        self.id, self.name = 0, "nothing"
        self.stream, self.copies, current = Stream(), Stream(), Stream()
        self._device = self._here = nullcontext()
        runtime = SimpleNamespace(
            getDevice=lambda: 0,
            memcpyAsync=_nothing,
            memcpyDefault=4,
        )
        cuda = SimpleNamespace(runtime=runtime, get_current_stream=lambda: current)
        self.cupy = SimpleNamespace(ndarray=Array, cuda=cuda)

    def zeros(self, size: int, dtype: Any) -> Any:
        """Of no use."""
        return Array((size,), dtype)

    def upload(self, array: np.ndarray) -> Any:
        """Goes nowhere."""
        return Array((array.size,), array.dtype)

    def event(self) -> Any:
        """Always over."""
        return Stream()

    def compile(self, units: Any) -> dict[str, Callable[..., None]]:
        """Kernels that do nothing."""
        return {name: _nothing for unit, _ in units for name in unit.kernels}

    def record(self, run: Callable[[Any], None]) -> Callable[[Any], None]:
        """A graph of nothing."""
        run(Stream())
        return _nothing


@contextmanager
def model(shape: tuple[int, int], preset: str) -> Iterator[ittisal.Saliency]:
    """A model whose frames and maps may be `like` arrays; made with `StubDevice`."""
    with (
        mock.patch("ittisal.cuda.probe", lambda: (True, "nothing")),
        mock.patch("ittisal.cuda.backend.Device", StubDevice),
        ittisal.Saliency(shape, ittisal.preset(preset), backend="cuda") as made,
    ):
        yield made
