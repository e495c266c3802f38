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

    Frames of both modes, without one before and with one, start with other values of `changing`.
    """

    def __init__(
        self, shape: tuple[int, int], config: Config, format_: FrameFormat, order: str, threads: int
    ) -> None:
        self.kernels: list[Kernel] = []
        self.backend = backend = cpu.make(Plan(shape, config), order, threads)
        self.state = state = backend.new_state(format_)
        backend.close()  # its threads
        self.kernels += dict.fromkeys([*state.kernels(), *backend.workers.kernels])
        state.addresses = {kernel: KERNEL | n for n, kernel in enumerate(self.kernels)}
        self.plan, context = backend.plan, state.context
        self.changing: tuple[str, ...] = ()
        modes = []
        for past in (True, False) if config.remembers else (False,):
            launches, tables = state.launch_table(past, False, backend.stages), state.tables_of(
                past, False
            )
            context.set(**tables)
            self.changing = tuple(tables)
            modes.append([launches, len(launches) - 1, *tables.values()])
        self.loop = self.kernels.index(backend.workers.kernels[-1])
        self.modes = np.array(
            [[x if isinstance(x, int) else x.ctypes.data for x in mode] for mode in modes[::-1]]
        )
        self.context = np.array(context.integers)
        self.context[SCRATCH] = state.scratch.ctypes.data
        self.memory = Memory((backend, state))

class Memory:
    """The arrays that objects hold, directly or not, by where they lie."""

    def __init__(self, root: Any) -> None:
        found = {(a.ctypes.data, -a.nbytes): a for a in _arrays(root, set()) if a.flags.c_contiguous}
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
        # The context and the modes, then the arrays that they point to, and so on.
        pairs: list[tuple[np.ndarray, np.ndarray]] = [
            (build.context, other.context),
            (build.modes, other.modes),
        ]
        numbered: dict[int, int] = {}  # arrays of the first, as numbers among the pairs
        pointers: list[tuple[np.ndarray, list[int], np.ndarray]] = []  # places, arrays, offsets
        for ours, theirs in pairs:  # which grow
            if ours.dtype != np.int64:
                continue
            (places,) = np.nonzero(ours.ravel() != theirs.ravel())
            found, offsets = build.memory.find(ours.ravel()[places])
            same, offsets_there = other.memory.find(theirs.ravel()[places])
            if (offsets != offsets_there).any():
                raise RuntimeError("a table of the model holds a number that is not always the same")
            for mine, its in {*zip(found.tolist(), same.tolist(), strict=True)}:
                if mine not in numbered:
                    numbered[mine] = len(pairs)
                    pairs.append((build.memory.arrays[mine], other.memory.arrays[its]))
            pointers.append((places, [numbered[each] for each in found.tolist()], offsets))
        self._starts = self._placed([ours for ours, _ in pairs])
        self._numbers = numbered
        self.modes = int(self._starts[1])
        block = np.zeros(self.size, np.uint8)
        for (ours, _), start in zip(pairs, self._starts.tolist(), strict=True):
            block[start : start + ours.nbytes] = np.ravel(ours).view(np.uint8)
        numbers = block[: self.table_bytes].view(np.int64)
        if (numbers >> 48 == PLACE >> 48).any():
            raise RuntimeError("a table of the model holds a number that stands for a place")
        tables = (start for (ours, _), start in zip(pairs, self._starts, strict=True)
                  if ours.dtype == np.int64)
        for start, (places, arrays, offsets) in zip(tables, pointers, strict=True):
            numbers[start // 8 + places] = PLACE | (self._starts[arrays] + offsets)
        scratch, arena = (numbers[INDEX[name]] for name in ("scratch", "arena"))
        numbers[SCRATCH] = (scratch - arena) // 4
        self.block = block

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
