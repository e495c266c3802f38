"""A model of the CPU backend as one block of memory, from which a program without Python starts.

The block is what the backend has in memory before the first frame: the context, lists of launches,
tables and buffers. They hold addresses of each other, which are found by making the model twice:
whatever differs between the two is an address, and has to lie in the same place of the same array
of either. So nothing here knows which fields, tables or buffers a preset has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import cpu
from ..config import Config
from ..cpu.context import INDEX
from ..cpu.kernel import Kernel
from ..pipeline import FrameFormat
from ..plan import Plan

# Upper 16 bits of a number that stands for a place in the block, or for a kernel: of NaNs, which
# no table holds.
PLACE, KERNEL = 0x7FF1 << 48, 0x7FF2 << 48
LINE = 64  # bytes that arrays are aligned to
COLUMNS = 16  # of most tables
SCRATCH = INDEX["scratch"]  # in floats from the arena, rather than an address


class Build:
    """A model, whose launches name kernels by numbers: they need not be loaded, nor fit this CPU.

    `modes` has a row for frames without one before and one for those with: the address of their
    launches, how many, and the addresses that the context's `changing` fields have then.
    """

    def __init__(
        self, shape: tuple[int, int], config: Config, format_: FrameFormat, order: str, threads: int
    ) -> None:
        self.backend: Any = cpu.make(Plan(shape, config), order, threads)
        self.backend.close()  # its threads
        self.plan, loops = self.backend.plan, self.backend.workers.kernels
        self.state: Any = self.backend.new_state(format_)
        self.kernels: list[Kernel] = list(dict.fromkeys([*self.state.kernels(), *loops]))
        self.loop = self.kernels.index(loops[-1])
        self.state.addresses = {kernel: KERNEL | n for n, kernel in enumerate(self.kernels)}
        self.changing = tuple(self.state.tables_of(False, False))
        pasts = (False, True) if config.remembers else (False,)
        self.modes = np.array([self._mode(past) for past in pasts])
        self.context = np.array(self.state.context.integers)
        self.context[SCRATCH] = self.state.scratch.ctypes.data
        self.memory = Memory((self.backend, self.state))

    def _mode(self, past: bool) -> list[int]:
        launches = self.state.launch_table(past, False, self.backend.stages)
        tables = self.state.tables_of(past, False).values()
        return [launches.ctypes.data, len(launches) - 1, *(each.ctypes.data for each in tables)]


class Memory:
    """The arrays that objects hold, directly or not, by where they lie."""

    def __init__(self, root: Any) -> None:
        found = {
            (a.ctypes.data, -a.nbytes): a for a in _arrays(root, set()) if a.flags.c_contiguous
        }
        self.arrays: list[np.ndarray] = []
        end = 0
        for (start, size), array in sorted(found.items(), key=lambda item: item[0]):
            if start >= end:  # else a part of the one before
                self.arrays.append(array)
                end = start - size
            elif start - size > end:
                raise RuntimeError("two arrays of the model overlap")
        self.starts = np.array([array.ctypes.data for array in self.arrays])
        self.sizes = np.array([array.nbytes for array in self.arrays])

    def find(self, addresses: Any) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the arrays that addresses lie in or just behind, and how far from the start.

        RuntimeError if there is none.
        """
        numbers = np.searchsorted(self.starts, addresses, "right") - 1
        offsets = addresses - self.starts[numbers]
        if (numbers < 0).any() or (offsets > self.sizes[numbers]).any():
            raise RuntimeError("a table of the model holds an address of an unknown array")
        return numbers, offsets


def _arrays(holder: Any, seen: set[int]) -> Iterator[np.ndarray]:
    """All arrays that an object of this package, or a container, holds."""
    if id(holder) in seen:
        return
    seen.add(id(holder))
    if isinstance(holder, np.ndarray):
        yield holder
        return
    inner: Iterable[Any] = ()
    if isinstance(holder, dict):
        inner = holder.values()
    elif isinstance(holder, (list, tuple, set)):
        inner = holder
    elif type(holder).__module__.startswith(cpu.__name__.partition(".")[0]):
        inner = vars(holder).values() if hasattr(holder, "__dict__") else ()
    for each in inner:
        yield from _arrays(each, seen)


class Snapshot:
    """The block of a model: 64-bit numbers first, its context before all; then the rest.

    Parameters
    ----------
    shape : (int, int)
        Height and width of frames.
    config : Config
    format_ : FrameFormat
        Of frames.
    order : {"rgb", "bgr"}
        Of colour frames.
    threads : int
        That may share a frame.
    """

    def __init__(
        self, shape: tuple[int, int], config: Config, format_: FrameFormat, order: str, threads: int
    ) -> None:
        self.build = build = Build(shape, config, format_, order, threads)
        other = Build(shape, config, format_, order, threads)
        both = {*build.memory.starts.tolist()} & {*other.memory.starts.tolist()}
        # The context and the modes, then the arrays that they point to, and so on.
        pairs = [(build.context, other.context), (build.modes, other.modes)]
        numbers: dict[tuple[int, int], int] = {}  # of arrays in either memory: places in `pairs`
        pointers: list[tuple[np.ndarray, list[int], np.ndarray]] = []  # at, to which array, how far
        for ours, theirs in pairs:  # which grow
            if ours.dtype != np.int64:
                continue
            flat, flat_there = ours.ravel(), theirs.ravel()
            (at,) = np.nonzero(flat != flat_there)
            found, offsets = build.memory.find(flat[at])
            found_there, offsets_there = other.memory.find(flat_there[at])
            if (offsets != offsets_there).any() or both & {*flat.tolist()}:
                raise RuntimeError("a table of the model holds an address that cannot be followed")
            which = [*zip(found.tolist(), found_there.tolist(), strict=True)]
            for pair in which:
                if pair not in numbers:
                    numbers[pair] = len(pairs)
                    pairs.append((build.memory.arrays[pair[0]], other.memory.arrays[pair[1]]))
            pointers.append((at, [numbers[pair] for pair in which], offsets))
        self._numbers = {mine: number for (mine, _), number in numbers.items()}
        if len(self._numbers) < len(numbers):
            raise RuntimeError("the same address of the model leads to two arrays")
        arrays = [ours for ours, _ in pairs]
        self._starts = self._placed(arrays)
        self.modes = int(self._starts[1])
        self.block = np.zeros(self.size, np.uint8)
        for array, start in zip(arrays, self._starts.tolist(), strict=True):
            self.block[start : start + array.nbytes] = np.ravel(array).view(np.uint8)
        table = self.block[: self.table_bytes].view(np.int64)
        if (table >> 48 == PLACE >> 48).any():
            raise RuntimeError("a table of the model holds a number that stands for a place")
        tables = [number for number, array in enumerate(arrays) if array.dtype == np.int64]
        for number, (at, to, offsets) in zip(tables, pointers, strict=True):
            table[self._starts[number] // 8 + at] = PLACE | (self._starts[to] + offsets)
        table[SCRATCH] = (table[SCRATCH] - table[INDEX["arena"]]) // 4

    def _placed(self, arrays: list[np.ndarray]) -> np.ndarray:
        """Where arrays lie in the block: tables of numbers first."""
        starts = np.zeros(len(arrays), np.int64)
        end = 0
        for numbers in (True, False):
            for index, array in enumerate(arrays):
                if (array.dtype == np.int64) is numbers:
                    starts[index] = end
                    unit = 8 * COLUMNS if numbers else LINE
                    end += -(-array.nbytes // unit) * unit
            if numbers:
                self.table_bytes = end
        self.size = end
        return starts

    def place(self, array: np.ndarray) -> int:
        """Where an array, or a part of one, lies in the block; it is one that kernels use."""
        number, offset = self.build.memory.find(array.ctypes.data)
        return int(self._starts[self._numbers[int(number)]] + offset)
