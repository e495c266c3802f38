// The caller's channels, and the last step of a published program, which they join.

#include "common.cuh"

// Weighted: per frame, maps that are added, then those that multiply.
struct Guidance {
    const float* maps;
    int added, multiplied;
    INLINE const float* first(int size) const {
        return maps + size_t(blockIdx.z) * (added + multiplied) * size;
    }
    // To sample `i` of a map of so many, times a factor.
    INLINE float add(float value, int size, int i, float factor = 1.0f) const {
#pragma unroll 1
        for (int k = 0; k < added; ++k) value += first(size)[k * size + i] * factor;
        return value;
    }
    INLINE float multiply(float value, int size, int i) const {
#pragma unroll 1
        for (int k = added; k < added + multiplied; ++k) value *= 1.0f + first(size)[k * size + i];
        return value;
    }
};

// The maximum over the blocks of what each has written; by all threads. Values that are not negative
// are in the order of their bits. `scan` sets it to 0.
INLINE void join_peak(Found& found, float peak) {
    peak = over_block(peak, Higher());
    if (threadIdx.x == 0) atomicMax(reinterpret_cast<int*>(&found.peak), __float_as_int(peak));
}

// Stretches sample `i` of a program's map from the map's range to 0 to 1, or 0 where all are equal.
// This is stored at `to`, for the trace; the caller, who gets what is returned, has it with the
// caller's channels, or NaN if the frame's values are out of range.
INLINE float write_sample(const Geometry& g, float* arena, const Call* call,
                          const Guidance& guidance, int to, int i, float value, Range range) {
    const float extent = range.high - range.low;
    const int size = map_size(g);
    value = extent > 0.0f ? (value - range.low) / extent : 0.0f;
    arena[to + i] = value;
    value = guidance.multiply(guidance.add(value, size, i), size, i);
    if (found_in(g, arena).valid == 0.0f) value = __int_as_float(0x7fffffff);
    call->maps[size_t(blockIdx.z) * size + i] = value;
    return value;
}
