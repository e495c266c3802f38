// |centre - surround| of every feature and pair at the samples nearest to the map's, faded at the
// border.

#include "common.cuh"

// The sample of `from` nearest to sample `i` of `to`.
INLINE int nearest_of(int i, int from, int to) {
    return int((2LL * i + 1) * from / (2LL * to));
}

extern "C" __global__ void __launch_bounds__(THREADS) nearest(MODEL) {
    const int at = blockIdx.x * THREADS + threadIdx.x;
    const int slot = blockIdx.y % SLOTS, row = blockIdx.y / SLOTS;
    if (!(g.pairs >> slot & 1) || at >= map_size(g)) return;
    arena += size_t(blockIdx.z) * g.frame;
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const int y = at / width, x = at - y * width;
    const auto sample = [&](int level) {
        const int from_y = nearest_of(y, g.height[level], height);
        const int from_x = nearest_of(x, g.width[level], width);
        return arena[plane_at(g, g.plane[row], level) + from_y * g.width[level] + from_x];
    };
    const int centre = FINEST_LEVEL + slot / 2, surround = centre + (slot % 2 ? FAR : NEAR);
    const float fade = __ldg(tables + g.map_fade[0] + y) * __ldg(tables + g.map_fade[1] + x);
    arena[g.maps + map_number(g.feature[row], slot) * map_size(g) + at] =
        fabsf(sample(centre) - sample(surround)) * fade;
}
