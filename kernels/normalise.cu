// One scale and offset per centre-surround map, or one new map: one block per map, or for the two
// halves of a split one, which share a range.

#include "common.cuh"
#include "normalise.cuh"

extern "C" __global__ void __launch_bounds__(1024) normalise(MODEL) {
    const int slot = blockIdx.x, row = blockIdx.y;
    if (!(g.pairs >> slot & 1)) return;
    arena += size_t(blockIdx.z) * g.frame;
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    const int number = map_number(g.feature[row], slot);
    float *map = arena + g.maps + number * size,
          *scratch = arena + g.scratch + number / HALVES * 3 * size;
    Affine* affine = reinterpret_cast<Affine*>(arena + g.affines) + number;
    const float signal = size_of(g.signal[row], found_in(g, arena));
    const Range range = range_of(map, HALVES * size);
    for (int half = 0; half < HALVES; ++half, map += size, ++affine) {
        Range own = range;
        Peaks peaks{};
        if (NORMALISATION_MAXNORM && !is_flat(range, signal)) {
            if (HALVES > 1) own = range_of(map, size);
            peaks = peaks_of(map, height, Walk(height, width), range, own);
        }
        if (NORMALISATION_ITERATIVE)
            iterate(g, tables, map, scratch, onto(range, RANGE, is_flat(range, signal)));
        if (threadIdx.x == 0)
            *affine = NORMALISATION_ITERATIVE
                          ? Affine{1.0f, 0.0f}
                          : affine_of(range, own, peaks, signal, RANGE, 1.0f);
    }
}
