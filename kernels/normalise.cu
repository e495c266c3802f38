// One scale and offset per centre-surround map, or one new map: one block per map.

#include "common.cuh"
#include "normalise.cuh"

extern "C" __global__ void __launch_bounds__(1024) normalise(MODEL) {
    const int slot = blockIdx.x, row = blockIdx.y;
    if (!(g.pairs >> slot & 1)) return;
    arena += size_t(blockIdx.z) * g.frame;
    const int number = map_number(g.feature[row], slot), size = map_size(g);
    norm(g, tables, arena + g.maps + number * size, HALVES,
         size_of(g.signal[row], found_in(g, arena)), RANGE, true, 1.0f,
         reinterpret_cast<Affine*>(arena + g.affines) + number,
         arena + g.scratch + number / HALVES * 3 * size);
}
