// What every kernel shares: the structs, number formats and reductions.
//
// No constant of the model is chosen here. ittisal/cuda/variant.py says all that arrive by -D.
//
// Every product that is added is an explicit fmaf, and the compiler fuses no other (--fmad=false):
// so one source gives the same bits on every device, and on a host, but for the last bit of what
// GPUs approximate (`reciprocal`, `root`). Reductions are of integers, or of maxima, which come out
// alike in any order, or of doubles in a fixed one.

#include "structs.cuh"

#define INLINE __device__ __forceinline__
// What every kernel is handed first. Blocks with the same blockIdx.z work on the same frame.
#define MODEL const __grid_constant__ Geometry g, const float *tables, float *arena

// FAULT(name) is 0, and costs nothing. It is 1 under -DFAULT_name=1: the tests plant one fault at a
// time and see that it is noticed.
#define FAULT_SECOND(first, second, ...) second
#define FAULT_PICK(...) FAULT_SECOND(__VA_ARGS__)
#define FAULT_IS_1 ~,
#define FAULT_JOIN(given) FAULT_IS_##given
#define FAULT_VALUE(given) FAULT_PICK(FAULT_JOIN(given) 1, 0, ~)
#define FAULT(name) FAULT_VALUE(FAULT_##name)

enum { HALVES = SPLIT_CS ? 2 : 1 };

// The compiler takes more registers for Blackwell, so that fewer blocks fit a multiprocessor.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
enum { BLACKWELL = 1 };
#else
enum { BLACKWELL = 0 };
#endif

INLINE int clamp(int i, int n) { return min(max(i, 0), n - 1); }
INLINE int ceil_div(int a, int b) { return (a + b - 1) / b; }

// 1 / x and the square root, without the branches that serve infinite, tiny and zero x: a GPU's
// approximation and one Newton step. The root of x up to 1e-30 is 0.
INLINE float reciprocal(float x) {
#ifdef __CUDA_ARCH__
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
#else
    const float r = 1.0f / x;
#endif
    return fmaf(r, fmaf(-x, r, 1.0f), r);
}
INLINE float root(float x) {
#ifdef __CUDA_ARCH__
    float r;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
#else
    const float r = 1.0f / sqrtf(x);
#endif
    const float s = x * r;
    return x > 1e-30f ? fmaf(fmaf(-s, s, x) * 0.5f, r, s) : 0.0f;
}

// --- the arena -----------------------------------------------------------------------------------

INLINE int plane_at(const Geometry& g, int plane, int level) {
    return g.planes[level] + plane * g.height[level] * g.width[level];
}
INLINE int map_size(const Geometry& g) { return g.height[MAP_LEVEL] * g.width[MAP_LEVEL]; }
INLINE int map_number(int feature, int slot) { return (feature * SLOTS + slot) * HALVES; }
INLINE Found& found_in(const Geometry& g, float* arena) {
    return *reinterpret_cast<Found*>(arena + g.found);
}
INLINE Counters& counters_in(const Geometry& g, float* arena) {
    return *reinterpret_cast<Counters*>(arena + g.counters);
}
// The level of a block's tile, in the list of all levels' tiles.
INLINE int level_of(const Geometry& g, int block) {
    int level = FINEST_LEVEL;
    while (block >= g.first_tile[level + 1]) ++level;
    return level;
}

// Samples `x` to `x + COUNT - 1` of a row that starts on a 16-byte boundary; `x` is a multiple
// of 4.
template <int COUNT>
INLINE void load_row(const float* row, int x, float (&out)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i += 4) {
        const float4 four = *reinterpret_cast<const float4*>(row + x + i);
        out[i] = four.x, out[i + 1] = four.y, out[i + 2] = four.z, out[i + 3] = four.w;
    }
}

// --- reductions over a block ---------------------------------------------------------------------

// The value of the lane whose number differs in bit `k`, word by word.
template <class T>
INLINE T from_lane(T value, int k) {
    static_assert(sizeof(T) % sizeof(unsigned) == 0, "whole words");
    unsigned words[sizeof(T) / sizeof(unsigned)];
    memcpy(words, &value, sizeof(T));
#pragma unroll
    for (unsigned& word : words) word = __shfl_xor_sync(~0u, word, k);
    memcpy(&value, words, sizeof(T));
    return value;
}

// What another block has written, past this multiprocessor's own cache; word by word.
template <class T>
INLINE T from_block(const T* at) {
    unsigned words[sizeof(T) / sizeof(unsigned)];
#pragma unroll
    for (int i = 0; i < int(sizeof(T) / sizeof(unsigned)); ++i)
        words[i] = __ldcg(reinterpret_cast<const unsigned*>(at) + i);
    T value;
    memcpy(&value, words, sizeof(T));
    return value;
}

// Over a warp.
template <class T, class Join>
INLINE T over_warp(T value, Join join) {
#pragma unroll
    for (int k = 16; k; k /= 2) value = join(value, from_lane(value, k));
    return value;
}
// Over each warp, then over the warps by the first of them: all threads get the result. There are
// 2, 4, 8, 16 or 32 warps.
template <class T, class Join>
__device__ T over_block(T value, Join join) {
    __shared__ T parts[FAULT(narrow_parts) ? 2 : 32];
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    value = over_warp(value, join);
    __syncthreads();  // the result of an earlier reduction has been read
    if (lane == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x < 32) {
        value = parts[lane % warps];
        for (int k = warps / 2; k; k /= 2) value = join(value, from_lane(value, k));
        if (lane == 0) parts[0] = value;
    }
    __syncthreads();
    return parts[0];
}
struct Higher {
    __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
    template <class T>
    __device__ T operator()(T a, T b) const {
        return a + b;
    }
};
// The lowest and the highest of some values.
struct Range {
    float low, high;
};
struct Wider {
    __device__ Range operator()(Range a, Range b) const {
        return {fminf(a.low, b.low), fmaxf(a.high, b.high)};
    }
};
INLINE Range no_values() { return {3.0e38f, -3.0e38f}; }

// Whether this is the last of `blocks` to get here. What the others wrote before is then to be read
// by __ldcg, past this multiprocessor's own cache.
__device__ bool last_of(int& counter, int blocks) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(&counter, 1) == blocks - 1 + FAULT(nobody_is_last);
        if (last && !FAULT(counter_not_reset)) counter = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}
