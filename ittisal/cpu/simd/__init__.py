"""SIMD values for Numba: Python that runs once, at compile time, and writes vector code.

Every operator on a `Value` writes one LLVM instruction on `LANES` float32 at a time. Loops over
`span` are loops in the compiled code; ordinary Python loops are unrolled. So a kernel reads like
its equation, needs no type inference, and runs on whatever vectors the CPU has: LLVM lowers the
same instructions to AVX-512, AVX2, SSE or NEON.

    @simd.function()
    def scale(context, start, stop, factor):
        arena = context.arena
        for x in simd.span(start, stop, simd.LANES):
            arena.store(x, arena.load(x) * factor)
"""

from numba.core import types

from ..target import LANES, PERMUTES_BYTES
from .control import Carry, either, span, when, where_any
from .functions import (
    Static,
    column,
    context_type,
    field,
    function,
    kernel,
)
from .memory import Context, Memory, Record, bytes_of, memory_at
from .values import (
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    Value,
    absolute,
    as_type,
    byte_maximum,
    concatenate,
    constants,
    equal,
    even_odd,
    even_odd_int16,
    excess,
    extreme,
    high_product,
    is_nan,
    maximum,
    minimum,
    number,
    ramp,
    root,
    select,
    shifted_left,
    shifted_right,
    shuffle,
    total,
    vector,
    zeros,
)
