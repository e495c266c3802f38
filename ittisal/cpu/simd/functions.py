"""The bridge to Numba: functions written in the SIMD layer, and what scalar code reads.

A function decorated with `@simd.function()` is called from a kernel that Numba compiles. Its body
never runs on numbers: whole numbers arrive as `Value`, the context as `Context`, facts
as themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from ..context import INDEX
from .memory import Context
from .values import I64, Value


class Static(types.Type):
    """The type of an argument whose value is part of the signature, so known when compiling."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__(name=f"Static({value!r})")


class ContextType(types.Type):
    """The type of the context: its address."""

    def __init__(self) -> None:
        super().__init__(name="Context")


context_type = ContextType()
register_model(Static)(models.OpaqueModel)


@register_model(ContextType)
class _ContextModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, I64)


def _wrap(context: Any, builder: ir.IRBuilder, kind: types.Type, value: ir.Value) -> Any:
    if isinstance(kind, Static):
        return kind.value
    if isinstance(kind, ContextType):
        return Context(Value(builder, value))
    if isinstance(kind, (types.Integer, types.Boolean)):
        return Value(builder, context.cast(builder, value, kind, types.int64))
    raise TypeError(f"simd functions take whole numbers, the context and facts, not {kind}")


def function(returns: types.Type = types.none) -> Callable[[Callable[..., Any]], Any]:
    """Make a Python function that writes vector code callable from kernels.

    `returns` is the Numba type of its result: none, or a scalar.
    """

    def decorate(write: Callable[..., Any]) -> Any:
        def typed(*kinds: types.Type) -> Any:
            def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
                wrapped = [_wrap(context, builder, k, a) for k, a in zip(kinds, args, strict=True)]
                result = write(*wrapped)
                if returns is types.none:
                    return context.get_dummy_value()
                return result.v

            return returns(*kinds), generate

        # Numba reads the arity off the function, so it has to have one.
        names = ", ".join(inspect.signature(write).parameters)
        typer = eval(f"lambda typing_context, {names}: typed({names})", {"typed": typed})
        typer.__name__ = typer.__qualname__ = write.__name__
        typer.__doc__ = write.__doc__
        typer.__module__ = write.__module__
        return intrinsic(prefer_literal=True)(typer)

    return decorate


def kernel(write: Callable[..., None]) -> Callable[..., None]:
    """Make a whole kernel of a function (task, worker, context, facts) that writes vector code."""
    written = function()(write)

    def run(task, worker, context, facts):
        written(task, worker, context, facts)

    run.__doc__, run.__module__ = write.__doc__, write.__module__
    return run


# --- scalar code -------------------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def field(context, record, name):
    """A whole number of the context, or the address that a field holds."""
    offset = 8 * INDEX[name.literal_value]

    def generate(_context, builder, _signature, args):
        address = builder.add(args[0], ir.Constant(I64, offset))
        return builder.load(builder.inttoptr(address, I64.as_pointer()))

    return types.int64(record, name), generate


@intrinsic
def column(context, record, index):
    """A column of the record at an address (see `Record`), as a whole number."""

    def generate(context, builder, _signature, args):
        pointer = builder.inttoptr(args[0], I64.as_pointer())
        return builder.load(builder.gep(pointer, [args[1]]))

    return types.int64(types.int64, types.int64), generate
