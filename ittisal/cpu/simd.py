"""SIMD values for Numba: Python that runs once, at compile time, and writes vector code.

A function decorated with `@simd.function` is called from `@njit` code. Its body never runs on
numbers: arrays arrive as `Memory`, numbers as `Value`, compile-time constants as themselves, and
every operator on a `Value` writes one LLVM instruction on `LANES` float32 at a time. Loops over
`span` are loops in the compiled code; ordinary Python loops are unrolled. So a kernel reads like
its equation, costs Numba no type inference, and runs on whatever vectors the CPU has: LLVM
lowers the same instructions to AVX-512, AVX2, SSE or NEON.

    @simd.function()
    def scale(data, start, stop, factor):
        for x in simd.span(start, stop, simd.LANES):
            data.store(x, data.load(x) * factor)
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import NativeValue, intrinsic, models, register_model, unbox

F32 = ir.FloatType()
I64, I32, I16, I8 = (ir.IntType(bits) for bits in (64, 32, 16, 8))
# Contraction to fused multiply-adds, reciprocals for divisions, no signed zeros. Never
# reassociation: a sum keeps the order in which it is written.
FAST = ("contract", "arcp", "nsz")


def compiler_target() -> tuple[str, str, str]:
    """Triple, CPU name and features that Numba compiles for."""
    return cpu_target.target_context.codegen().magic_tuple()


@lru_cache(maxsize=1)
def target() -> tuple[int, bool]:
    """float32 lanes of the widest vectors (16, 8 or 4), and whether bytes permute freely.

    The compiler is asked rather than the CPU, so NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count.
    ITTISAL_LANES overrides the first.
    """
    triple, cpu, features = compiler_target()
    if features.startswith(("+", "-")) and triple.startswith("x86"):  # listed one by one
        listed = set(features.split(","))
        lanes = 16 if "+avx512f" in listed else 8 if "+avx" in listed else 4
        return _wished(lanes), "+avx512vbmi" in listed
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features)
    module = ir.Module()
    vector, byte_vector = ir.VectorType(F32, 16), ir.VectorType(I8, 64)
    add = ir.Function(module, ir.FunctionType(vector, [vector, vector]), "add")
    builder = ir.IRBuilder(add.append_basic_block())
    builder.ret(builder.fadd(*add.args))
    mix = ir.Function(module, ir.FunctionType(byte_vector, [byte_vector, byte_vector]), "mix")
    builder = ir.IRBuilder(mix.append_basic_block())
    mask = ir.Constant(ir.VectorType(I32, 64), [7 * lane % 128 for lane in range(64)])
    builder.ret(builder.shuffle_vector(*mix.args, mask))
    parsed = llvm.parse_assembly(str(module))
    parsed.triple = triple
    assembly = machine.emit_assembly(parsed)
    lanes = 16 if "zmm" in assembly else 8 if "ymm" in assembly else 4
    return _wished(lanes), "vpermi2b" in assembly or "vpermt2b" in assembly


def _wished(lanes: int) -> int:
    """The lanes that ITTISAL_LANES names, or those given."""
    wish = os.environ.get("ITTISAL_LANES")
    if wish and wish not in ("4", "8", "16"):
        raise ValueError(f"ITTISAL_LANES={wish!r} must be 4, 8 or 16")
    return int(wish) if wish else lanes


LANES, PERMUTES_BYTES = target()


# --- compile-time constants ----------------------------------------------------------------------


class Static(types.Type):
    """The type of an argument whose value is part of the signature, so known when compiling."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__(name=f"Static({value!r})")


register_model(Static)(models.OpaqueModel)


@unbox(Static)
def _ignored(_kind: Static, _object: Any, context: Any) -> NativeValue:
    return NativeValue(context.context.get_dummy_value())


@intrinsic(prefer_literal=True)
def constant(context, static, name):
    """A whole-number field of a `Static`, as an int64 that `@njit` code can compute with."""
    value = getattr(static.value, name.literal_value)

    def generate(_context, _builder, _signature, _args):
        return ir.Constant(I64, value)

    return types.int64(static, name), generate


# --- values --------------------------------------------------------------------------------------


class Value:
    """A scalar or a vector in the code being written."""

    __slots__ = ("b", "v")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.b, self.v = builder, value

    @property
    def lanes(self) -> int:
        """1 for a scalar."""
        return self.v.type.count if isinstance(self.v.type, ir.VectorType) else 1

    @property
    def element(self) -> ir.Type:
        """LLVM type of one lane."""
        return self.v.type.element if self.lanes > 1 else self.v.type

    def to(self, element: ir.Type) -> Value:
        """Converted lane by lane: int to float, or to a wider or narrower int (signed)."""
        if element == self.element:
            return self
        kind = ir.VectorType(element, self.lanes) if self.lanes > 1 else element
        if isinstance(element, ir.FloatType):
            return Value(self.b, self.b.sitofp(self.v, kind))
        if isinstance(self.element, ir.FloatType):
            return Value(self.b, self.b.fptosi(self.v, kind))
        wider = element.width > self.element.width
        return Value(self.b, (self.b.sext if wider else self.b.trunc)(self.v, kind))

    def splat(self, lanes: int = LANES) -> Value:
        """All lanes equal to this scalar."""
        if self.lanes > 1:
            return self
        kind = ir.VectorType(self.v.type, lanes)
        first = self.b.insert_element(ir.Constant(kind, ir.Undefined), self.v, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return Value(self.b, self.b.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros))

    def __getitem__(self, lane: int) -> Value:
        return Value(self.b, self.b.extract_element(self.v, ir.Constant(I32, lane)))

    def _match(self, other: Any) -> tuple[Value, Value]:
        """Both operands as one type: numbers become constants, scalars are splat."""
        if not isinstance(other, Value):
            constant = ir.Constant(self.element, other)
            return self, Value(self.b, constant).splat(self.lanes) if self.lanes > 1 else Value(
                self.b, constant
            )
        left, right = self, other
        if left.lanes > right.lanes:
            right = right.to(left.element).splat(left.lanes)
        elif right.lanes > left.lanes:
            left = left.to(right.element).splat(right.lanes)
        if left.v.type != right.v.type:
            raise TypeError(f"operands differ: {left.v.type} and {right.v.type}")
        return left, right

    def _arithmetic(self, other: Any, name: str, swap: bool = False) -> Value:
        left, right = self._match(other)
        if swap:
            left, right = right, left
        if isinstance(left.element, (ir.FloatType, ir.DoubleType)):
            return Value(self.b, getattr(self.b, "f" + name)(left.v, right.v, flags=FAST))
        return Value(self.b, getattr(self.b, name)(left.v, right.v))

    def _compare(self, other: Any, sign: str) -> Value:
        left, right = self._match(other)
        compare = (
            self.b.fcmp_ordered if isinstance(left.element, ir.FloatType) else self.b.icmp_signed
        )
        return Value(self.b, compare(sign, left.v, right.v))

    def __add__(self, other: Any) -> Value:
        return self._arithmetic(other, "add")

    def __sub__(self, other: Any) -> Value:
        return self._arithmetic(other, "sub")

    def __mul__(self, other: Any) -> Value:
        return self._arithmetic(other, "mul")

    def __truediv__(self, other: Any) -> Value:
        return self._arithmetic(other, "div")

    def __rsub__(self, other: Any) -> Value:
        return self._arithmetic(other, "sub", swap=True)

    def __rtruediv__(self, other: Any) -> Value:
        return self._arithmetic(other, "div", swap=True)

    __radd__, __rmul__ = __add__, __mul__

    def __and__(self, other: Value) -> Value:
        return Value(self.b, self.b.and_(self.v, other.v))

    def __or__(self, other: Value) -> Value:
        return Value(self.b, self.b.or_(self.v, other.v))

    def __lt__(self, other: Any) -> Value:
        return self._compare(other, "<")

    def __le__(self, other: Any) -> Value:
        return self._compare(other, "<=")

    def __gt__(self, other: Any) -> Value:
        return self._compare(other, ">")

    def __ge__(self, other: Any) -> Value:
        return self._compare(other, ">=")


def select(condition: Value, yes: Any, no: Any) -> Value:
    """`yes` where the condition holds, else `no`; one of them may be a number."""
    yes, no = yes._match(no) if isinstance(yes, Value) else reversed(no._match(yes))
    return Value(yes.b, yes.b.select(condition.v, yes.v, no.v))


def minimum(a: Value, b: Any) -> Value:
    """Lane-wise; `b` where either is NaN."""
    return select(a < b, a, b)


def maximum(a: Value, b: Any) -> Value:
    """Lane-wise; `b` where either is NaN."""
    return select(a > b, a, b)


def excess(a: Value, b: Value) -> Value:
    """max(a - b, 0); integers must not be negative."""
    if isinstance(a.element, ir.FloatType):
        return maximum(a - b, 0.0)
    return _call("usub.sat", a, b, fast=False)


def as_type(a: Value, element: ir.Type, lanes: int) -> Value:
    """The same bits, seen as another vector."""
    return Value(a.b, a.b.bitcast(a.v, ir.VectorType(element, lanes)))


def even_odd_words(a: Value) -> tuple[Value, Value]:
    """The even and the odd lanes of int16, each as a vector of float32."""
    pairs = as_type(a, I32, a.lanes // 2)
    sixteen = pairs._match(16)[1].v
    even = a.b.ashr(a.b.shl(pairs.v, sixteen), sixteen)
    return Value(a.b, even).to(F32), Value(a.b, a.b.ashr(pairs.v, sixteen)).to(F32)


def high_product(a: Value, b: Value) -> Value:
    """The high halves of the products of unsigned int16."""
    wide = ir.VectorType(I32, a.lanes)
    product = a.b.mul(a.b.zext(a.v, wide), a.b.zext(b.v, wide))
    sixteen = ir.Constant(wide, [16] * a.lanes)
    return Value(a.b, a.b.trunc(a.b.lshr(product, sixteen), a.v.type))


def byte_maximum(a: Value, b: Value) -> Value:
    """Lane-wise, of unsigned integers."""
    return Value(a.b, a.b.select(a.b.icmp_unsigned(">", a.v, b.v), a.v, b.v))


def _call(name: str, *args: Value, result: ir.Type | None = None, fast: bool = True) -> Value:
    builder = args[0].b
    result = result or args[0].v.type
    vector = next(a.v.type for a in reversed(args) if a.lanes > 1)
    suffix = f"v{vector.count}{'f32' if vector.element == F32 else f'i{vector.element.width}'}"
    kind = ir.FunctionType(result, [a.v.type for a in args])
    called = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.{suffix}")
    flags = {"fastmath": FAST} if fast else {}
    return Value(builder, builder.call(called, [a.v for a in args], **flags))


def absolute(a: Value) -> Value:
    """|a|."""
    return _call("fabs", a, fast=False)


def root(a: Value) -> Value:
    """Square root."""
    return _call("sqrt", a, fast=False)


def total(a: Value) -> Value:
    """Sum over the lanes, pairwise."""
    while a.lanes > 1:
        half = a.lanes // 2
        a = shuffle(a, a, range(half)) + shuffle(a, a, range(half, 2 * half))
        if half == 1:
            a = a[0] if a.lanes > 1 else a
    return a


def extreme(a: Value, pick: Callable[[Value, Any], Value]) -> Value:
    """`minimum` or `maximum` over the lanes."""
    while a.lanes > 1:
        half = a.lanes // 2
        a = pick(shuffle(a, a, range(half)), shuffle(a, a, range(half, 2 * half)))
    return a


def shuffle(a: Value, b: Value, lanes: Any) -> Value:
    """Lanes picked by number from `a` followed by `b`; one lane gives a scalar."""
    lanes = list(lanes)
    if len(lanes) == 1:
        return a[lanes[0]] if lanes[0] < a.lanes else b[lanes[0] - a.lanes]
    mask = ir.Constant(ir.VectorType(I32, len(lanes)), lanes)
    return Value(a.b, a.b.shuffle_vector(a.v, b.v, mask))


def concatenate(parts: list[Value]) -> Value:
    """Vectors of one length, a power of two of them, end to end."""
    while len(parts) > 1:
        both = range(2 * parts[0].lanes)
        parts = [shuffle(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def even_odd(a: Value, b: Value) -> tuple[Value, Value]:
    """2n consecutive samples, as the even and the odd ones."""
    n = a.lanes
    return shuffle(a, b, range(0, 2 * n, 2)), shuffle(a, b, range(1, 2 * n, 2))


def shifted_right(before: Value, a: Value, by: int = 1) -> Value:
    """Each lane's `by`-th left neighbour: (before[-by:], a[:-by])."""
    return shuffle(before, a, range(a.lanes - by, 2 * a.lanes - by))


def shifted_left(a: Value, after: Value, by: int = 1) -> Value:
    """Each lane's `by`-th right neighbour: (a[by:], after[:by])."""
    return shuffle(a, after, range(by, a.lanes + by))


def ramp(start: Value, lanes: int = LANES) -> Value:
    """(start, start + 1, ...), as int32."""
    steps = Value(start.b, ir.Constant(ir.VectorType(I32, lanes), list(range(lanes))))
    return start.to(I32).splat(lanes) + steps


def constants(near: Value | Memory, numbers: list[float]) -> Value:
    """A vector of given float32 numbers; `near` is any value of the function being written."""
    return Value(near.b, ir.Constant(ir.VectorType(F32, len(numbers)), list(map(float, numbers))))


class Carry:
    """A variable of the code being written, for what one iteration leaves to the next."""

    def __init__(self, first: Value) -> None:
        self.b = first.b
        self.slot = cgutils.alloca_once_value(first.b, first.v)

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
def where_any(mask: Value) -> Iterator[None]:
    """`if any(mask)` in the code being written."""
    b = mask.b
    bits = b.bitcast(mask.v, ir.IntType(mask.lanes))
    with b.if_then(b.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))):
        yield


class Memory:
    """A one-dimensional array; indices are in elements."""

    def __init__(self, builder: ir.IRBuilder, data: ir.Value, element: ir.Type, size: int) -> None:
        self.b, self.data, self.element, self.size = builder, data, element, size

    def at(self, index: Any) -> Memory:
        """The same memory from `index` on."""
        return Memory(self.b, self._address(index), self.element, self.size)

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
        loaded.align = self.size
        return Value(self.b, loaded)

    def store(self, index: Any, value: Value) -> None:
        """Write a scalar or a vector of consecutive elements."""
        address = self.b.bitcast(self._address(index), value.v.type.as_pointer())
        self.b.store(value.v, address).align = self.size


# --- the bridge to Numba -------------------------------------------------------------------------


def _wrap(context: Any, builder: ir.IRBuilder, kind: types.Type, value: ir.Value) -> Any:
    if isinstance(kind, Static):
        return kind.value
    if isinstance(kind, types.StringLiteral):
        return kind.literal_value
    if isinstance(kind, types.BaseTuple):
        parts: Any = kind
        return tuple(
            _wrap(context, builder, part, builder.extract_value(value, i))
            for i, part in enumerate(parts)
        )
    if isinstance(kind, types.Array):
        data = context.make_array(kind)(context, builder, value).data
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        return Memory(builder, data, context.get_data_type(kind.dtype), size)
    if isinstance(kind, types.Integer):
        return Value(builder, context.cast(builder, value, kind, types.int64))
    if isinstance(kind, types.Float):
        return Value(builder, context.cast(builder, value, kind, types.float32))
    raise TypeError(f"simd functions take arrays, numbers, tuples, names and Static, not {kind}")


def function(returns: types.Type = types.none) -> Callable[[Callable[..., Any]], Any]:
    """Make a Python function that writes vector code callable from `@njit` code.

    `returns` is the Numba type of its result: none, a scalar, or a UniTuple of one scalar type.
    """

    def decorate(write: Callable[..., Any]) -> Any:
        def typed(*kinds: types.Type) -> Any:
            def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
                wrapped = [_wrap(context, builder, k, a) for k, a in zip(kinds, args, strict=True)]
                result = write(*wrapped)
                if returns is types.none:
                    return context.get_dummy_value()
                if isinstance(returns, types.BaseTuple):
                    return context.make_tuple(builder, returns, [r.v for r in result])
                return result.v

            return returns(*kinds), generate

        # Numba reads the arity off the function, so it has to have one.
        names = ", ".join(inspect.signature(write).parameters)
        typer = eval(f"lambda context, {names}: typed({names})", {"typed": typed})
        typer.__name__ = typer.__qualname__ = write.__name__
        typer.__doc__ = write.__doc__
        typer.__module__ = write.__module__
        return intrinsic(prefer_literal=True)(typer)

    return decorate
