"""The GPU's stand-in that CUDA kernels are tested on: right ones run, wrong ones fail."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import host_kernels
import numpy as np
import pytest
from host_kernels import HAS_COMPILER, NO_COMPILER, ORDERS, HostModule, sanitizer_environment

pytestmark = pytest.mark.skipif(not HAS_COMPILER, reason=NO_COMPILER)

SOURCE = r"""
#line 1 "small.cu"
extern "C" __global__ void places(int* out) {
    const int row = blockIdx.z * blockDim.z + threadIdx.z;
    const int column = blockIdx.y * blockDim.y + threadIdx.y;
    const int layer = blockIdx.x * blockDim.x + threadIdx.x;
    const int height = gridDim.y * blockDim.y, width = gridDim.x * blockDim.x;
    out[(row * height + column) * width + layer] =
        row * 10000 + column * 100 + layer;
}

// Five samples of a row with weights 1 4 6 4 1; TILE outputs per block.
#define TILE 32
extern "C" __global__ void __launch_bounds__(TILE * 4)
blur(const float* __restrict__ in, float* __restrict__ out, int height, int width) {
    __shared__ float tile[4][TILE + 4];
    const int x0 = blockIdx.x * TILE, y = blockIdx.y * 4 + threadIdx.y;
    #pragma unroll
    for (int i = threadIdx.x; i < TILE + 4; i += TILE) {
        const int x = min(max(x0 + i - 2, 0), width - 1);
        tile[threadIdx.y][i] = __ldg(in + min(y, height - 1) * width + x);
    }
#ifndef NO_BARRIER
    __syncthreads();
#endif
    const float* s = &tile[threadIdx.y][threadIdx.x];
    if (x0 + int(threadIdx.x) < width && y < height)
        out[y * width + x0 + threadIdx.x] =
            fmaf(6.0f, s[2], fmaf(4.0f, s[1] + s[3], s[0] + s[4])) * 0.0625f;
}
#undef TILE
#define TILE 1

template <class T>
__device__ __forceinline__ T block_sum(T value) {
    __shared__ T sums[32];  // in a template, as helpers may be
    for (int by = 16; by; by >>= 1) value += __shfl_xor_sync(~0u, value, by);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    value = threadIdx.x < blockDim.x / 32 ? sums[threadIdx.x] : T(0);
    if (threadIdx.x < 32)
        for (int by = 16; by; by >>= 1) value += __shfl_down_sync(0xffffffffu, value, by);
    return value;
}

// The last block to finish adds up what all have left, and resets the counter.
extern "C" __global__ __launch_bounds__(128, 2)
void total(const int* in, int* partial, unsigned* finished, int* out, int size) {
    __shared__ bool last;
    int sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x)
        sum += in[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(finished, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last) return;
    sum = block_sum(threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0);
    if (threadIdx.x == 0) {
        *out = sum;
        *finished = 0;
    }
}

extern "C" __global__ void unwritten(float* out) {
    __shared__ float never[32], stale[32];
    out += blockIdx.x * 64 + threadIdx.x;
    out[0] = never[threadIdx.x];
    out[32] = stale[threadIdx.x];
    stale[threadIdx.x] = 1.0f;  // not to be seen by the next block
}

extern "C" __global__ void who(int* out, int* count) {
    out[atomicAdd(count, 1)] = blockIdx.x * blockDim.x + threadIdx.x;
}

extern "C" __global__ void lanes(unsigned* out, float* floats) {
    const unsigned lane = threadIdx.x;
    const bool low = lane < 16;
    // Halves of a warp that part for a while: one shuffles more often than the other.
    unsigned value = lane;
    if (low)
        for (int i = 0; i < 3; ++i) value = __shfl_xor_sync(0x0000ffffu, value, 1);
    else
        value = __shfl_xor_sync(0xffff0000u, value, 2);
    __syncwarp();
    out[lane] = __shfl_sync(~0u, value, 31 - lane);
    out[32 + lane] = __ballot_sync(~0u, lane % 3 == 0);
    out[64 + lane] = __any_sync(~0u, lane == 5) + 2 * __all_sync(~0u, lane == 5);
    // Lanes outside of the mask have no value to give.
    floats[lane] = low ? __shfl_xor_sync(0x0000ffffu, 1.0f, lane == 3 ? 16 : 1) : 0.0f;
}

#line 100 "wrong.cu"
extern "C" __global__ void some_return(int* out) {
    if (threadIdx.x == 5) return;
    __syncthreads();
    *out = 1;
}
extern "C" __global__ void two_barriers(int* out) {
    if (threadIdx.x < 32) __syncthreads();
    else
        __syncthreads();
    *out = 1;
}
extern "C" __global__ void some_lanes(int* out) {
    if (threadIdx.x < 48) *out = __shfl_xor_sync(~0u, *out, 1);
}
extern "C" __global__ void own_mask(int* out) { *out = __shfl_sync(2u, 1, 0); }
extern "C" __global__ void warp_and_block(int* out) {
    if (threadIdx.x < 16) __syncwarp();
    __syncthreads();
    *out = 1;
}

#line 1 "arguments.cu"
struct Level { int width, height; float weight; const float* data; float4 aligned; };
extern "C" __global__ void scalars(double* out, int i, unsigned u, float f, long long l,
                                   unsigned char b, bool yes) {
    out[0] = i; out[1] = u; out[2] = double(f); out[3] = l; out[4] = b; out[5] = yes;
}
extern "C" __global__ void by_value(float* out, const Level level) {
    *out = level.weight * (level.width + level.height) + level.data[1] + level.aligned.w;
}
extern "C" __global__ void nothing() {}
"""

LEVEL = np.dtype(
    {
        "names": ["width", "height", "weight", "data", "aligned"],
        "formats": ["i4", "i4", "f4", "u8", "4f4"],
        "offsets": [0, 4, 8, 16, 32],
        "itemsize": 48,
    }
)


@lru_cache
def compiled(*options):
    return HostModule(SOURCE, options)


@pytest.fixture(params=ORDERS)
def module(request):
    """The kernels above, in each order."""
    module = compiled()
    module.order(request.param, seed=3)
    return module


def blurred(module, image):
    height, width = image.shape
    out = np.zeros_like(image)
    grid = -(-width // 32), -(-height // 4)
    module.kernel("blur")(grid, (32, 4), (image, out, np.int32(height), np.int32(width)))
    return out


# --- kernels that are right ----------------------------------------------------------------------


def test_indices_in_three_dimensions(module):
    out = np.full((6, 10, 21), -1, np.int32)
    module.kernel("places")((3, 5, 2), (7, 2, 3), (out,))
    row, column, layer = np.indices(out.shape)
    np.testing.assert_array_equal(out, row * 10000 + column * 100 + layer)


@pytest.mark.parametrize("shape", [(37, 100), (1, 1), (4, 32), (5, 33)])
def test_tiles_in_shared_memory(module, rng, shape):
    image = rng.random(shape, np.float32)
    padded = np.pad(image.astype(float), ((0, 0), (2, 2)), mode="edge")
    wanted = sum(weight * padded[:, k : k + shape[1]] for k, weight in enumerate([1, 4, 6, 4, 1]))
    got = blurred(module, image)
    np.testing.assert_allclose(got, wanted / 16, rtol=1e-6)
    compiled().order("forward")
    np.testing.assert_array_equal(got, blurred(compiled(), image))


@pytest.mark.parametrize("blocks", [1, 7])
def test_sums_over_warps_blocks_and_the_grid(module, rng, blocks):
    numbers = rng.integers(-1000, 1000, 5000, np.int32)
    partial = np.zeros(blocks, np.int32)
    finished, out = np.zeros(1, np.uint32), np.zeros(1, np.int32)
    for _ in range(2):  # the kernel leaves the counter as it was
        out[0] = 0
        module.kernel("total")(
            (blocks,), (128,), (numbers, partial, finished, out, np.int32(numbers.size))
        )
        assert out[0] == numbers.sum() == partial.sum()
        assert finished[0] == 0


def test_what_lanes_tell_each_other(module):
    out, floats = np.zeros((3, 32), np.uint32), np.zeros(32, np.float32)
    module.kernel("lanes")((1,), (32,), (out, floats))
    lane = np.arange(32)
    np.testing.assert_array_equal(out[0, ::-1], np.where(lane < 16, lane ^ 1, lane ^ 2))
    np.testing.assert_array_equal(out[1], (1 << lane[::3]).sum())
    np.testing.assert_array_equal(out[2], 1)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(floats)), [3])


def test_orders_are_what_they_say():
    module = HostModule(SOURCE)

    def seen():
        out, count = np.zeros(24, np.int32), np.zeros(1, np.int32)
        module.kernel("who")((6,), (4,), (out, count))
        assert sorted(out) == list(range(24))
        assert (np.diff(out.reshape(6, 4) // 4) == 0).all(), "blocks run one after another"
        return list(out)

    assert seen() == list(range(24))
    module.order("reverse")
    assert seen() == list(range(24))[::-1]
    module.order("random", seed=1)
    first, second = seen(), seen()
    assert first != second
    module.order("random", seed=1)
    assert [seen(), seen()] == [first, second]
    module.order("random", seed=2)
    assert seen() != first
    with pytest.raises(ValueError, match=r"order='backward' is not one of forward, .*, rushing"):
        module.order("backward")


FUNCTIONS = {
    "byte_perm": ("__byte_perm(0x03020180u, 0x07060504u, 0x9670u)", 0x00060780),
    "dp4a": ("__dp4a(0xff020304u, 0x02ff0101u, 10u)", 255 * 2 + 2 * 255 + 3 + 4 + 10),
    "funnelshift": ("__funnelshift_r(0x89abcdefu, 0x01234567u, 8)", 0x6789ABCD),
    "funnelshift by 32": ("__funnelshift_r(5u, 6u, 32)", 5),
    "popc": ("__popc(0xf00fu)", 8),
    "ties to even": ("__float2uint_rn(2.5f)", 2),
    "negative to unsigned": ("__float2uint_rn(-3.0f)", 0),
    "too big for unsigned": ("__float2uint_rn(1e20f)", 2**32 - 1),
    "nan to unsigned": ("__float2uint_rn(0.0f / 0.0f)", 0),
    "down": ("__float2int_rd(-0.5f)", -1),
    "too low for int": ("__float2int_rd(-1e20f)", -(2**31)),
    "64 bits": ("(long long)__float2ull_rn(1e15f)", int(np.float32(1e15))),
    "bits of a float": ("__float_as_uint(1.0f)", 0x3F800000),
    "float of bits": ("__uint_as_float(0x40000000u)", 2),
    "signed bits": ("__float_as_int(-0.0f)", -(2**31)),
    "round trip": ("__int_as_float(__float_as_int(7.0f))", 7),
    "reciprocal": ("__frcp_rn(0.25f)", 4),
    "rounded": ("__fadd_rn(__fmul_rn(2.0f, 3.0f), __fdiv_rn(9.0f, __fsqrt_rn(9.0f)))", 9),
    "max of ints": ("max(-1, 2)", 2),
    "max as unsigned": ("max(-1, 2u)", 2**32 - 1),
    "min of floats": ("min(2.5f, -1.0f)", -1),
    "max with nan": ("max(0.0f / 0.0f, -1.0f)", -1),
    "abs of a float": ("abs(-4.75f) * 4", 19),
    "vector sizes": (
        "sizeof(uchar4) + 10 * alignof(float2) + 100 * alignof(uint4) + 1000 * alignof(int2)",
        4 + 80 + 1600 + 8000,
    ),
    "vectors": ("make_float4(1, 2, 3, 4).w + make_int2(5, 6).y + make_uint4(7, 8, 9, 10).x", 17),
    "atomic max": ("({ int i = -5; atomicMax(&i, 9) * 100 + i; })", -491),
    "atomic min": ("({ unsigned u = 5; atomicMin(&u, 2u) * 100 + u; })", 502),
    "atomic exchange": ("({ unsigned u = 5; atomicExch(&u, 7u) * 100 + u; })", 507),
    "atomic swap": ("({ int i = 5; atomicCAS(&i, 5, 8) * 100 + i; })", 508),
    "atomic swap of another": ("({ int i = 5; atomicCAS(&i, 4, 8) * 100 + i; })", 505),
    "atomics wrap": ("({ int i = 2147483647; atomicAdd(&i, 1); i; })", -(2**31)),
    "atomics of 64 bits": (
        "({ unsigned long long u = 1ull << 40; atomicAdd(&u, 1ull << 41); (long long)u; })",
        3 << 40,
    ),
}


def test_functions():
    lines = "\n".join(
        f"    out[{i}] = {expression};" for i, (expression, _) in enumerate(FUNCTIONS.values())
    )
    module = HostModule(f'extern "C" __global__ void all(long long* out) {{\n{lines}\n}}')
    out = np.zeros(len(FUNCTIONS), np.int64)
    module.kernel("all")((1,), (1,), (out,))
    wanted = {name: value for name, (_, value) in FUNCTIONS.items()}
    assert dict(zip(FUNCTIONS, out.tolist(), strict=True)) == wanted


# --- kernels that are wrong ----------------------------------------------------------------------


def test_unwritten_shared_memory_is_nan(module):
    out = np.zeros((3, 64), np.float32)
    module.kernel("unwritten")((3,), (32,), (out,))
    assert (out.view(np.uint32) == 0xFFFFFFFF).all()


def test_missing_barrier_shows(rng):
    image = rng.random((8, 64), np.float32)
    module = compiled("-DNO_BARRIER")
    results = []
    for order in ORDERS:
        module.order(order)
        results.append(blurred(module, image))
    assert all(np.isnan(result).any() for result in results)
    assert not np.array_equal(results[0], results[1], equal_nan=True)


@pytest.mark.parametrize(
    ("name", "threads", "message"),
    [
        ("some_return", 64, r"__syncthreads, wrong\.cu:102.*thread \(5, 0, 0\) has returned"),
        ("two_barriers", 64, r"__syncthreads, wrong\.cu:10[68].*__syncthreads, wrong\.cu:10[68]"),
        ("some_lanes", 64, r"__shfl_xor_sync, wrong\.cu:112; thread .* has returned"),
        ("own_mask", 2, r"thread \(0, 0, 0\) is not in its mask 0x2: __shfl_sync, wrong\.cu:114"),
        ("warp_and_block", 32, r"__sync.*wrong\.cu:11[67].*__sync.*wrong\.cu:11[67]"),
    ],
)
def test_divergent_barrier_is_an_error_and_no_hang(module, name, threads, message):
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"^{name}: .*{message}"):
            module.kernel(name)((2,), (threads,), (np.zeros(1, np.int32),))
    test_indices_in_three_dimensions(module)  # and the module goes on as if nothing were


@pytest.mark.parametrize(
    ("name", "grid", "block", "message"),
    [
        ("nothing", (1,), (1025,), r"block\.x is 1025; it must be 1 to 1024"),
        ("nothing", (1,), (1, 1, 65), r"block\.z is 65; it must be 1 to 64"),
        ("nothing", (1,), (32, 33), "a block of 1056 threads; a device's limit is 1024"),
        ("blur", (1,), (32, 5), "a block of 160 threads; __launch_bounds__ allows 128"),
        ("total", (1,), (129,), "a block of 129 threads; __launch_bounds__ allows 128"),
        ("nothing", (1,), (0,), r"block\.x is 0"),
        ("nothing", (0,), (1,), r"grid\.x is 0"),
        ("nothing", (1, -1), (1,), r"grid\.y is -1"),
        ("nothing", (2**31,), (1,), r"grid\.x is 2147483648; it must be 1 to 2147483647"),
        ("nothing", (2**32 + 1,), (1,), r"grid\.x is 4294967297"),
        ("nothing", (1, 65536), (1,), r"grid\.y is 65536; it must be 1 to 65535"),
        ("nothing", (1, 1, 65536), (1,), r"grid\.z is 65536"),
    ],
)
def test_launches_that_a_device_refuses(name, grid, block, message):
    arguments = {
        "nothing": (),
        "blur": (np.zeros(4, np.float32), np.zeros(4, np.float32), np.int32(1), np.int32(4)),
        "total": (*np.zeros((4, 1, 9), np.int32), np.int32(0)),
    }
    with pytest.raises(RuntimeError, match=f"^{name}: {message}"):
        compiled().kernel(name)(grid, block, arguments[name])


def test_largest_launches():
    kernel = compiled().kernel("nothing")
    for block in [(1024,), (1, 1024), (16, 1, 64)]:
        kernel((2,), block, ())
    kernel((1, 65535), (1,), ())
    with pytest.raises(TypeError, match="must be a tuple of one to three ints"):
        kernel((1, 1, 1, 1), (1,), ())
    with pytest.raises(TypeError):
        kernel((1.0,), (1,), ())


# --- arguments -----------------------------------------------------------------------------------

SCALARS = [np.int32(-1), np.uint32(2**32 - 1), np.float32(0.5)]
SCALARS += [np.int64(-(2**40)), np.uint8(200), np.bool_(True)]


def test_scalars_arrive():
    out = np.zeros(6)
    compiled().kernel("scalars")((1,), (1,), [out, *SCALARS])
    assert out.tolist() == [-1, 2**32 - 1, 0.5, -(2**40), 200, 1]


@pytest.mark.parametrize(
    ("index", "argument", "message"),
    [
        (0, 7, "must be an array, for a pointer; got builtins.int"),
        (0, np.float64(1), "must be an array, for a pointer; got numpy.float64"),
        (0, np.zeros(()), r"must be an array, for a pointer; got a float64 array of shape \(\)"),
        (0, np.zeros((4, 4))[:, ::2], "must be C-contiguous"),
        (1, 1, "must be a numpy.int32; got builtins.int"),
        (1, np.uint32(1), "must be a numpy.int32; got numpy.uint32"),
        (1, np.int64(1), "must be a numpy.int32; got numpy.int64"),
        (1, np.zeros(1, np.int32), r"must be a numpy.int32; got a int32 array of shape \(1,\)"),
        (3, 0.5, "must be a numpy.float32; got builtins.float"),
        (3, np.float64(0.5), "must be a numpy.float32; got numpy.float64"),
        (4, np.int32(1), "must be a numpy.int64; got numpy.int32"),
        (6, True, "must be a numpy.bool"),
    ],
)
def test_arguments_of_another_type_are_refused(index, argument, message):
    arguments = [np.zeros(6), *SCALARS]
    arguments[index] = argument
    with pytest.raises(TypeError, match=f"^scalars: argument {index} {message}"):
        compiled().kernel("scalars")((1,), (1,), arguments)


def test_arguments_are_counted():
    with pytest.raises(TypeError, match=r"places: 2 arguments for 1 parameters \(p\)"):
        compiled().kernel("places")((1,), (1,), (np.zeros(1, np.int32), np.int32(1)))
    with pytest.raises(TypeError, match="nothing: 1 arguments for 0 parameters"):
        compiled().kernel("nothing")((1,), (1,), (np.int32(1),))
    with pytest.raises(KeyError, match=r"no kernel 'blurr'; there are places, blur, total"):
        compiled().kernel("blurr")


def test_structs_go_by_value():
    data, out = np.array([0, 1000], np.float32), np.zeros(1, np.float32)
    level = np.zeros(1, LEVEL)
    level[0] = (3, 4, 0.5, data.ctypes.data, (0, 0, 0, 20))
    kernel = compiled().kernel("by_value")
    for argument in (level, level.reshape(())):
        out[0] = 0
        kernel((1,), (1,), (out, argument))
        assert out[0] == 1023.5
    for wrong, message in [
        (np.zeros(12, np.float32), "must be a structured array of one element, for a struct of 48"),
        (np.zeros(2, LEVEL), "must be a structured array of one element"),
        (np.float32(1), "must be a structured array of one element"),
        (np.zeros(1, [("width", "i4")]), "has 4 bytes; the struct has 48"),
    ]:
        with pytest.raises(TypeError, match=f"^by_value: argument 1 {message}"):
            kernel((1,), (1,), (out, wrong))


# --- compiling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("out[0] = undeclared;", "undeclared"),
        ("atomicAdd(out, 1.0f);", "no matching function for call to .atomicAdd"),
        ("out[0] = max(out[0], 0.0);", "use of deleted function"),
        ("out[0] = out[0] * 0.5;", "double"),
        ("int unused;", "unused variable"),
        ("float big[20000]; out[0] = big[int(out[1])];", "frame size"),
    ],
)
def test_what_does_not_compile(body, message):
    source = f'#line 7 "bad.cu"\nextern "C" __global__ void bad(float* out) {{ {body} }}\n'
    with pytest.raises(
        RuntimeError, match=rf"(?s)g\+\+ refused the kernels:.*bad\.cu.*:7:.*{message}"
    ):
        HostModule(source)


def test_cache_holds_libraries_by_content(tmp_path, monkeypatch):
    monkeypatch.setenv("ITTISAL_HOST_CACHE", str(tmp_path / "cache"))
    source = 'extern "C" __global__ void number(int* out) { *out = NUMBER; }'
    for number in (1, 2, 1):
        out = np.zeros(1, np.int32)
        options = ("--std=c++17", "-arch=sm_90", f"-DNUMBER={number}")
        HostModule(source, options).kernel("number")((1,), (1,), (out,))
        assert out[0] == number
    made = sorted(path.name for path in (tmp_path / "cache").glob("*/*"))
    assert made == ["cuda_on_host.h.gch", "kernels.so", "kernels.so"]

    def fail(*_args, **_options):
        raise AssertionError("compiled again")

    monkeypatch.setattr(host_kernels.subprocess, "run", fail)
    HostModule(source, ("-DNUMBER=2",))


def test_kernels_left_out():
    source = """
#if MORE
extern "C" __global__ void more(int* out) { *out = 2; }
#endif
extern "C" __global__ void one(int* out) { *out = 1; }
"""
    with pytest.raises(RuntimeError, match="more"):
        HostModule(source)
    out = np.zeros(1, np.int32)
    HostModule(source, names=["one"]).kernel("one")((1,), (1,), (out,))
    assert out[0] == 1
    assert HostModule(source, ["-DMORE=1"]).names == ["more", "one"]


# --- sanitizers ----------------------------------------------------------------------------------

SANITIZED = r"""
#line 1 "careless.cu"
__device__ __noinline__ void put(float* at, float value) { *at = value; }
extern "C" __global__ void turned(const float* in, float* out, int size) {
    __shared__ float row[ROOM];
    STORE(in[threadIdx.x]);
    __syncthreads();
    if (int(threadIdx.x) LIMIT size)
        out[threadIdx.x] = row[size - 1 - threadIdx.x % size];
}
extern "C" __global__ void diverge() {
    if (threadIdx.x) __syncthreads();
}
"""

SCRIPT = """
import sys
import numpy as np
from host_kernels import HostModule

source, *options = sys.argv[1:]
module = HostModule(source, options, sanitize=True)
for order in ("forward", "reverse", "random", "rushing"):
    module.order(order)
    values, out = np.arange(1001, dtype=np.float32), np.zeros(1000, np.float32)
    try:
        module.kernel("diverge")((1,), (64,), ())
    except RuntimeError:
        print("caught")
    module.kernel("turned")((3,), (1001,), (values, out, np.int32(1000)))
    assert (out == values[999::-1]).all()
print("clean")
"""


PUT, INDEX = (
    "-DSTORE(value)=put(row + threadIdx.x, value)",
    "-DSTORE(value)=row[threadIdx.x] = value",
)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("-DROOM=1001", "-DLIMIT=<", PUT), ["clean"]),
        (("-DROOM=1001", "-DLIMIT=<=", PUT), ["heap-buffer-overflow", "careless.cu:7"]),
        (("-DROOM=1000", "-DLIMIT=<", PUT), ["global-buffer-overflow", "'row'", "careless.cu:1"]),
        (("-DROOM=1000", "-DLIMIT=<", INDEX), ["out of bounds for type", "careless.cu:4"]),
    ],
    ids=["right", "global memory", "shared memory", "index"],
)
def test_sanitizers_name_the_line(options, wanted):
    environment = sanitizer_environment()
    if environment is None:
        pytest.skip("libasan and libubsan are not installed")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, SANITIZED, *options],
        cwd=Path(__file__).parent,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode == 0) == (wanted == ["clean"]), done.stderr
    for words in wanted:
        assert words in done.stdout + done.stderr
    assert "caught" in done.stdout


def test_sanitizers_want_their_environment(monkeypatch):
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    with pytest.raises(RuntimeError, match=r"without sanitizer_environment\(\)"):
        HostModule(SOURCE, sanitize=True)
