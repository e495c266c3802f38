"""Scalars and vectors in the code being written: one LLVM instruction per operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from ..target import target

if TYPE_CHECKING:
    from .memory import Memory

LANES = target().lanes
F64, F32 = ir.DoubleType(), ir.FloatType()
I64, I32, I16, I8 = (ir.IntType(bits) for bits in (64, 32, 16, 8))
# Contraction to fused multiply-adds, reciprocals for divisions, no signed zeros. Never
# reassociation: a sum is evaluated in the order in which it is written.
FAST = ("contract", "arcp", "nsz")


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
        """Converted lane by lane: between ints (signed), and between these and floats."""
        if element == self.element:
            return self
        kind = ir.VectorType(element, self.lanes) if self.lanes > 1 else element
        floats = ir.FloatType, ir.DoubleType
        if isinstance(element, floats):
            if isinstance(self.element, floats):
                narrows = isinstance(element, ir.FloatType)
                return Value(self.b, (self.b.fptrunc if narrows else self.b.fpext)(self.v, kind))
            return Value(self.b, self.b.sitofp(self.v, kind))
        if isinstance(self.element, floats):
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
            self.b.fcmp_ordered
            if isinstance(left.element, (ir.FloatType, ir.DoubleType))
            else self.b.icmp_signed
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

    def __floordiv__(self, other: Any) -> Value:
        """Of whole numbers that are not negative."""
        left, right = self._match(other)
        return Value(self.b, self.b.sdiv(left.v, right.v))

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


def equal(a: Value, b: Any) -> Value:
    """Lane-wise, of whole numbers."""
    a, b = a._match(b)
    return Value(a.b, a.b.icmp_signed("==", a.v, b.v))


def is_nan(a: Value) -> Value:
    """Lane-wise."""
    return Value(a.b, a.b.fcmp_unordered("uno", a.v, a.v))


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


def even_odd_int16(a: Value) -> tuple[Value, Value]:
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
    last = args[-1]
    suffix = {F32: "f32", F64: "f64"}.get(last.element) or f"i{last.element.width}"
    if last.lanes > 1:
        suffix = f"v{last.lanes}{suffix}"
    kind = ir.FunctionType(result, [a.v.type for a in args])
    name = f"llvm.{name}.{suffix}"
    called = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
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


def interleaved(even: Value, odd: Value) -> tuple[Value, Value]:
    """Inverse of `even_odd`."""
    n = even.lanes
    lanes = [lane + side for lane in range(n) for side in (0, n)]
    return shuffle(even, odd, lanes[:n]), shuffle(even, odd, lanes[n:])


def shifted_right(before: Value, a: Value, by: int = 1) -> Value:
    """Each lane's `by`-th left neighbour: (before[-by:], a[:-by])."""
    return shuffle(before, a, range(a.lanes - by, 2 * a.lanes - by))


def shifted_left(a: Value, after: Value, by: int = 1) -> Value:
    """Each lane's `by`-th right neighbour: (a[by:], after[:by])."""
    return shuffle(a, after, range(by, a.lanes + by))


def vector(scalars: list[Value]) -> Value:
    """Scalars of one type, lane by lane."""
    b, kind = scalars[0].b, ir.VectorType(scalars[0].v.type, len(scalars))
    result = ir.Constant(kind, ir.Undefined)
    for lane, scalar in enumerate(scalars):
        result = b.insert_element(result, scalar.v, ir.Constant(I32, lane))
    return Value(b, result)


def ramp(start: Value, lanes: int = LANES) -> Value:
    """(start, start + 1, ...), as int32."""
    steps = Value(start.b, ir.Constant(ir.VectorType(I32, lanes), list(range(lanes))))
    return start.to(I32).splat(lanes) + steps


def number(near: Value | Memory, value: float, element: ir.Type = I64) -> Value:
    """A scalar constant; `near` is any value of the function being written."""
    return Value(near.b, ir.Constant(element, value))


def zeros(near: Value | Memory, lanes: int = LANES, element: ir.Type = F32) -> Value:
    """A vector of zeros, or a scalar 0; `near` is any value of the function being written."""
    kind = ir.VectorType(element, lanes) if lanes > 1 else element
    return Value(near.b, ir.Constant(kind, None))


def constants(near: Value | Memory, numbers: list[float]) -> Value:
    """A vector of given float32 numbers; `near` is any value of the function being written."""
    return Value(near.b, ir.Constant(ir.VectorType(F32, len(numbers)), list(map(float, numbers))))
