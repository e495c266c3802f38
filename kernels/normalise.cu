// One scale and offset per centre-surround map, or one new map. Large maps are shared by several
// blocks, and their ranges and their peaks are two launches.

#include "common.cuh"
#include "normalise.cuh"
#include "signal.cuh"

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) normalise(MODEL, int step, int last) {
    const int slot = blockIdx.y % SLOTS, row = blockIdx.y / SLOTS;
    if (!(g.pairs >> slot & 1)) return;
    arena += size_t(blockIdx.z) * g.frame;
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    const int number = map_number(g.feature[row], slot);
    float* const maps = arena + g.maps + number * size;
    Range* const ranges = reinterpret_cast<Range*>(arena + g.ranges) + number * MAP_BLOCKS;
    Peaks* const found = reinterpret_cast<Peaks*>(arena + g.peaks) + number * MAP_BLOCKS;
    Range range = no_values();  // the halves of a split map share it
    if (step == FIND_RANGES)
        for (int half = 0; half < HALVES; ++half) {
            const Range part = range_of(maps + half * size, size);
            if (threadIdx.x == 0) ranges[half * MAP_BLOCKS + blockIdx.x] = part;
            range = Wider()(range, part);
        }
    if (last == FIND_RANGES) return;
    const auto range_of_half = [&](int half) { return whole_range(ranges + half * MAP_BLOCKS); };
    if (gridDim.x > 1)
        for (int half = 0; half < HALVES; ++half) range = Wider()(range, range_of_half(half));
    const float signal = size_of(g.signal[row], found_in(g, arena));
    const bool flat = is_flat(range, signal);
    if (NORMALISATION_ITERATIVE)
        for (int half = 0; half < HALVES; ++half)
            iterate(g, tables, maps + half * size, arena + g.scratch + number / HALVES * 3 * size,
                    onto(range, RANGE, flat));
    if (NORMALISATION_MAXNORM && !flat)
        for (int half = 0; half < HALVES; ++half) {
            const Range own = HALVES > 1 ? range_of_half(half) : range;
            const Peaks part = peaks_of(maps + half * size, height, width, range, own);
            if (threadIdx.x == 0) found[half * MAP_BLOCKS + blockIdx.x] = part;
        }
    if (gridDim.x > 1 && !last_of(counters_in(g, arena).normalised[number / HALVES], gridDim.x))
        return;
    __syncthreads();
    const int half = threadIdx.x / 32;  // a warp has each
    if (half >= HALVES) return;
    const Peaks part = of_part(found + half * MAP_BLOCKS, Peaks{});
    const Range own = HALVES > 1 ? range_of_half(half) : range;
    const Peaks peaks = over_warp(part, Sum());
    if (threadIdx.x % 32 == 0)
        reinterpret_cast<Affine*>(arena + g.affines)[number + half] =
            NORMALISATION_ITERATIVE ? Affine{1.0f, 0.0f}
                                    : affine_of(range, own, peaks, signal, RANGE, 1.0f);
}
