"""Memory in the code being written: arrays, records of integers, and the context."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ..context import FIELDS, INDEX
from .values import F32, F64, I8, I16, I64, LANES, Value

ELEMENTS = {"u1": I8, "u2": I16, "i2": I16, "f4": F32, "f8": F64, "i8": I64}
SIZES = {I8: 1, I16: 2, F32: 4, F64: 8, I64: 8}
DTYPES = {"uint8": "u1", "uint16": "u2", "int16": "i2", "float32": "f4"}


class Memory:
    """A one-dimensional array; indices are in elements."""

    def __init__(self, builder: ir.IRBuilder, data: ir.Value, element: ir.Type) -> None:
        self.b, self.data, self.element = builder, data, element

    def at(self, index: Any) -> Memory:
        """The same memory from `index` on."""
        return Memory(self.b, self._address(index), self.element)

    def _address(self, index: Any) -> ir.Value:
        offset = index.v if isinstance(index, Value) else ir.Constant(I64, index)
        return self.b.gep(self.data, [offset])

    def __getitem__(self, index: Any) -> Value:
        return Value(self.b, self.b.load(self._address(index)))

    def load(self, index: Any, lanes: int = LANES) -> Value:
        """`lanes` consecutive elements; no alignment needed."""
        kind = ir.VectorType(self.element, lanes)
        address = self.b.bitcast(self._address(index), kind.as_pointer())
        loaded = self.b.load(address)
        loaded.align = SIZES[self.element]
        return Value(self.b, loaded)

    def store(self, index: Any, value: Value) -> None:
        """Write a scalar or a vector of consecutive elements."""
        address = self.b.bitcast(self._address(index), value.v.type.as_pointer())
        self.b.store(value.v, address).align = SIZES[self.element]


def bytes_of(dtype: str) -> int:
    """Size of an element."""
    return SIZES[ELEMENTS[DTYPES.get(dtype, dtype)]]


def memory_at(address: Value, dtype: str) -> Memory:
    """The array of a dtype that lies at an address."""
    element = ELEMENTS[DTYPES.get(dtype, dtype)]
    return Memory(address.b, address.b.inttoptr(address.v, element.as_pointer()), element)


class Record:
    """A row of 64-bit columns at an address: whole numbers, or float64 by `number`."""

    def __init__(self, address: Value) -> None:
        self.address = address

    def __getitem__(self, column: int) -> Value:
        return memory_at(self.address, "i8")[column]

    def number(self, column: int) -> Value:
        """A float64 column as a float32 scalar."""
        return self.double(column).to(F32)

    def double(self, column: int) -> Value:
        """The same as a float64 scalar."""
        return memory_at(self.address, "f8")[column]

    def record(self, column: int) -> Record:
        """The record whose address a column holds."""
        return Record(self[column])


class Context:
    """The context's fields as attributes: numbers, and arrays of what they point to."""

    def __init__(self, address: Value) -> None:
        self._address = address

    def __getattr__(self, name: str) -> Any:
        kind = FIELDS[name]
        column = INDEX[name]
        if not kind.startswith("*"):
            return memory_at(self._address, kind)[column]
        address = memory_at(self._address, "i8")[column]
        return memory_at(address, kind[1:]) if kind != "*" else address

    def count(self, name: str) -> Value:
        """Add 1 to a whole number, for all workers at once; its value before."""
        numbers = memory_at(self._address, "i8")
        one = ir.Constant(I64, 1)
        at = numbers.at(INDEX[name]).data
        return Value(numbers.b, numbers.b.atomic_rmw("add", at, one, "seq_cst"))

    def set(self, name: str, value: Value) -> None:
        """Set a number."""
        memory_at(self._address, FIELDS[name]).store(INDEX[name], value)
