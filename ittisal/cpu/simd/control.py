"""Loops, branches and variables in the code being written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from .memory import Memory
from .values import I64, Value


class Carry:
    """A variable of the code being written, for what one iteration leaves to the next."""

    def __init__(self, first: Value) -> None:
        self.b = first.b
        with first.b.goto_entry_block():
            self.slot = first.b.alloca(first.v.type)
        self.set(first)

    def get(self) -> Value:
        """Its value here."""
        return Value(self.b, self.b.load(self.slot))

    def set(self, value: Value) -> None:
        """Assign."""
        self.b.store(value.v, self.slot)


def span(start: Any, stop: Value, step: int) -> Iterator[Value]:
    """`for x in range(start, stop, step)` in the code being written."""
    b = stop.b
    first = start.v if isinstance(start, Value) else ir.Constant(I64, start)
    before = b.block
    head, body, after = (b.append_basic_block(f"span.{n}") for n in ("head", "body", "after"))
    b.branch(head)
    b.position_at_end(head)
    x = b.phi(I64)
    x.add_incoming(first, before)
    b.cbranch(b.icmp_signed("<", x, stop.v), body, after)
    b.position_at_end(body)
    yield Value(b, x)
    x.add_incoming(b.add(x, ir.Constant(I64, step), flags=("nsw",)), b.block)
    b.branch(head)
    b.position_at_end(after)


def repeat_while(near: Value | Memory, write: Callable[[], Value]) -> None:
    """`do ... while` in the code being written; `write` returns the condition. `near` is any value
    of the function being written.
    """
    b = near.b
    body, after = (b.append_basic_block(f"repeat.{n}") for n in ("body", "after"))
    b.branch(body)
    b.position_at_end(body)
    b.cbranch(write().v, body, after)
    b.position_at_end(after)


def either(
    condition: Value, yes: Callable[[], list[Value]], no: Callable[[], list[Value]]
) -> list[Value]:
    """The results of one of two pieces of code, by a scalar condition at run time."""
    b = condition.b
    ways = []
    with b.if_else(condition.v) as branches:
        for branch, write in zip(branches, (yes, no), strict=True):
            with branch:
                ways.append((write(), b.block))
    results = []
    for values in zip(*(result for result, _ in ways), strict=True):
        joined = b.phi(values[0].v.type)
        for value, (_, block) in zip(values, ways, strict=True):
            joined.add_incoming(value.v, block)
        results.append(Value(b, joined))
    return results


@contextmanager
def when(condition: Value) -> Iterator[None]:
    """`if condition:` in the code being written."""
    with condition.b.if_then(condition.v):
        yield


@contextmanager
def where_any(mask: Value) -> Iterator[None]:
    """`if any(mask)` in the code being written."""
    b = mask.b
    bits = b.bitcast(mask.v, ir.IntType(mask.lanes))
    with b.if_then(b.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))):
        yield
