"""SIMD values: Python that runs once, at compile time, and writes LLVM's vector code.

Every operator on a `Value` writes one LLVM instruction on `LANES` float32 at a time. Loops over
`span` are loops in the compiled code; ordinary Python loops are unrolled. So a kernel reads like
its equation, needs no type inference, and runs on whatever vectors the CPU has: LLVM lowers the
same instructions to AVX-512, AVX2, SSE or NEON.

    def scale(task, worker, context, facts):
        arena, start = context.arena, context.map_stride * task
        for x in simd.span(start, start + context.map_stride, simd.LANES):
            arena.store(x, arena.load(x) * facts.factor)

A kernel is such a function: its body never runs on numbers. Task and worker arrive as `Value`, the
context as `Context`, facts as themselves.
"""

from ..target import target
from .control import Carry, either, repeat_while, span, when, where_any
from .memory import Context, Memory, Record, bytes_of, memory_at
from .values import (
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    LANES,
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
    interleaved,
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

PERMUTES_BYTES = target().permutes_bytes
