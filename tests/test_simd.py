"""Each operation of `ittisal.cpu.simd` against NumPy, on the lanes that this CPU has."""

from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numpy as np
import pytest

from ittisal.cpu import compiler, simd
from ittisal.cpu.kernel import Facts
from ittisal.cpu.simd import LANES
from ittisal.cpu.target import machine, target

RNG = np.random.default_rng(5)
A = RNG.normal(size=4 * LANES).astype(np.float32)
B = RNG.normal(size=4 * LANES).astype(np.float32)
WORDS = RNG.integers(-3000, 3000, 4 * LANES).astype(np.int16)


CODES = {"float32": "f4", "int16": "i2", "uint8": "u1"}


def compiled(write):
    """Compile `write(*arguments)`; what it returns takes arrays (as addresses) and numbers."""

    def kernel(task, worker, context, facts):
        names = write.__code__.co_varnames[: write.__code__.co_argcount]
        write(*(simd.Record(task)[i] for i in range(len(names))))

    module = compiler.written(kernel, "tried", Facts())
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine(target()))
    engine.add_object_file(llvm.ObjectFileRef.from_data(compiler.emit(module)))
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(engine.get_function_address("tried"))

    def call(*arguments):
        numbers = [getattr(each, "ctypes", None) for each in arguments]
        record = np.array(
            [each if at is None else at.data for each, at in zip(arguments, numbers, strict=True)],
            np.int64,
        )
        function(record.ctypes.data, 0, 0)

    call.engine = engine  # it holds the code
    return call


def run(write, *arrays, size=LANES, dtype=np.float32):
    """Compile `out[:] = write(*arrays as Memory)` and run it."""
    codes = [CODES[array.dtype.name] for array in arrays]

    def store(addresses):
        target = simd.memory_at(simd.Record(addresses)[0], np.dtype(dtype).str[1:])
        memories = [
            simd.memory_at(simd.Record(addresses)[1 + i], code) for i, code in enumerate(codes)
        ]
        for i, value in enumerate(write(*memories)):
            target.store(i * LANES, value)

    out = np.full(size, -77, dtype)
    compiled(store)(np.array([each.ctypes.data for each in (out, *arrays)], np.int64))
    return out


ELEMENTWISE = {
    "add": (lambda a, b: a + b, lambda a, b: a + b),
    "sub": (lambda a, b: a - b, lambda a, b: a - b),
    "mul": (lambda a, b: a * b, lambda a, b: a * b),
    "div": (lambda a, b: a / b, lambda a, b: a / b),
    "number on the left": (lambda a, b: 2.0 - a * 3.0, lambda a, b: 2 - a * 3),
    "one over": (lambda a, b: 1.0 / a, lambda a, b: 1 / a),
    "minimum": (simd.minimum, np.minimum),
    "maximum": (simd.maximum, np.maximum),
    "absolute": (lambda a, b: simd.absolute(a), lambda a, b: np.abs(a)),
    "root": (lambda a, b: simd.root(simd.absolute(a)), lambda a, b: np.sqrt(np.abs(a))),
    "excess": (simd.excess, lambda a, b: np.maximum(a - b, 0)),
    "select": (lambda a, b: simd.select(a > b, a, 5.0), lambda a, b: np.where(a > b, a, 5)),
    "select number first": (
        lambda a, b: simd.select(a <= b, 5.0, a),
        lambda a, b: np.where(a <= b, 5, a),
    ),
    "both": (
        lambda a, b: simd.select((a > b) & (a >= 0.0) & (b < 1.0), a, b),
        lambda a, b: np.where((a > b) & (a >= 0) & (b < 1), a, b),
    ),
    "lane as scalar": (lambda a, b: a + b[1], lambda a, b: a + b[1]),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name):
    write, wanted = ELEMENTWISE[name]
    got = run(lambda a, b: [write(a.load(0), b.load(0))], A, B)
    np.testing.assert_allclose(got, wanted(A[:LANES], B[:LANES]), rtol=3e-7, atol=1e-7)


@pytest.mark.parametrize("by", [1, 2, 4])
def test_shifts_bring_in_the_neighbouring_vector(by):
    both = run(
        lambda a: [
            simd.shifted_right(a.load(0), a.load(LANES), by),
            simd.shifted_left(a.load(LANES), a.load(2 * LANES), by),
        ],
        A,
        size=2 * LANES,
    )
    np.testing.assert_array_equal(both[:LANES], A[LANES - by : 2 * LANES - by])
    np.testing.assert_array_equal(both[LANES:], A[LANES + by : 2 * LANES + by])


def test_even_odd():
    got = run(lambda a: simd.even_odd(a.load(0), a.load(LANES)), A, size=2 * LANES)
    np.testing.assert_array_equal(got, np.r_[A[: 2 * LANES : 2], A[1 : 2 * LANES : 2]])


def test_even_odd_int16_keep_their_signs():
    got = run(lambda a: simd.even_odd_int16(a.load(0, 2 * LANES)), WORDS, size=2 * LANES)
    np.testing.assert_array_equal(got, np.r_[WORDS[: 2 * LANES : 2], WORDS[1 : 2 * LANES : 2]])


def test_integer_excess_saturates():
    a, b = np.abs(WORDS), np.abs(WORDS[::-1])
    got = run(
        lambda a, b: simd.even_odd_int16(simd.excess(a.load(0, 2 * LANES), b.load(0, 2 * LANES))),
        a,
        b.copy(),
        size=2 * LANES,
    )
    wanted = np.maximum(a[: 2 * LANES] - b[: 2 * LANES], 0)
    np.testing.assert_array_equal(got, np.r_[wanted[::2], wanted[1::2]])


def test_reductions():
    got = run(
        lambda a: [
            simd.total(a.load(0)).splat(),
            simd.extreme(a.load(0), simd.minimum).splat(),
            simd.extreme(a.load(0), simd.maximum).splat(),
        ],
        A,
        size=3 * LANES,
    )
    wanted = [A[:LANES].sum(), A[:LANES].min(), A[:LANES].max()]
    np.testing.assert_allclose(got, np.repeat(wanted, LANES), rtol=1e-5)


def test_loads_and_stores_need_no_alignment():
    got = run(lambda a: [a.load(3)], A[1:])
    np.testing.assert_array_equal(got, A[4 : 4 + LANES])


def test_bytes_read_unsigned_as_pixels():
    from ittisal.cpu.kernels.opponency import load_fixed_point, load_pixels

    frame = RNG.integers(0, 256, 3 * 4 * LANES + 64).astype(np.uint8)
    channels = frame[: 3 * 2 * LANES].reshape(-1, 3).T
    got = run(lambda a: load_pixels(a, simd.zeros(a, 1, simd.I64), 3), frame, size=3 * LANES)
    np.testing.assert_array_equal(got.reshape(3, LANES), channels[:, :LANES])

    def fixed_point(a):
        zero = simd.zeros(a, 1, simd.I64)
        return [half for c in load_fixed_point(a, zero) for half in simd.even_odd_int16(c)]

    got = run(fixed_point, frame, size=6 * LANES).reshape(3, 2, LANES)
    np.testing.assert_array_equal(got, np.stack([channels[:, ::2], channels[:, 1::2]], 1))


def test_loops_carry_values():
    def add_up(out, data, stop):
        out, data = (simd.memory_at(address, "f4") for address in (out, data))
        total = simd.Carry(data.load(0) * 0.0)
        for x in simd.span(0, stop, LANES):
            total.set(total.get() + data.load(x))
        out.store(0, simd.total(total.get()))

    call, out = compiled(add_up), np.zeros(1, np.float32)
    call(out, A, 0)
    assert out[0] == 0
    call(out, A, 4 * LANES)
    np.testing.assert_allclose(out[0], A.sum(), rtol=1e-5, atol=1e-5)


def test_a_loop_repeats_while_its_condition_holds():
    def double(out, limit):
        out = simd.memory_at(out, "i8")

        def write():
            rounds = simd.Carry(simd.number(out, 0))  # anew in each round
            rounds.set(rounds.get() + 1)
            out.store(0, out[0] + out[0])
            out.store(1, out[1] + rounds.get())
            return out[0] < limit

        simd.repeat_while(out, write)

    call = compiled(double)
    for limit, wanted in ((0, [6, 1]), (7, [12, 2]), (100, [192, 6])):
        out = np.array([3, 0], np.int64)
        call(out, limit)
        assert out.tolist() == wanted


def test_either_takes_one_way_at_run_time():
    def pick(out, data, flag):
        out, data = (simd.memory_at(address, "f4") for address in (out, data))
        for i, value in enumerate(
            simd.either(
                data[flag] > 0.0,
                lambda: [data.load(0), data.load(0) + 1.0],
                lambda: [data.load(0) * 0.0, data.load(0)],
            )
        ):
            out.store(i * LANES, value)

    call = compiled(pick)
    data = np.ones(2 * LANES, np.float32)
    data[-1] = -1
    for flag, wanted in ((0, (1, 2)), (2 * LANES - 1, (0, 1))):
        out = np.empty(2 * LANES, np.float32)
        call(out, data, flag)
        np.testing.assert_array_equal(out, np.repeat(np.float32(wanted), LANES))


def test_records_hold_whole_numbers_and_float64():
    record = np.zeros(3, np.int64)
    record[0], record.view(np.float64)[1], record[2] = 7, 2.5, record.ctypes.data

    def read(out, record):
        out, record = simd.memory_at(out, "f4"), simd.Record(record)
        out.store(0, record[0].to(simd.F32))
        out.store(1, record.number(1))
        out.store(2, record.record(2)[0].to(simd.F32))

    out = np.zeros(3, np.float32)
    compiled(read)(out, record)
    assert out.tolist() == [7, 2.5, 7]


def test_operands_must_agree():
    from llvmlite import ir

    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    a, b = (simd.Value(builder, ir.Constant(t, 1)) for t in (simd.I64, simd.F32))
    with pytest.raises(TypeError, match="operands differ"):
        a + b
