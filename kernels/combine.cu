// Six maps per feature to one, features to conspicuity maps, and those to the saliency map (P98,
// eqs. 5-8), smoothed over time if asked. A few blocks per feature add its maps; the last of them
// goes on to N, the last one of a channel to the channel's conspicuity map, and the last of all to
// the saliency map.

enum { SUMS = FEATURES + GROUPS + 1 };

// Sums lie raw, for the trace, and, where `iterative` rewrites them, once more.
__device__ __forceinline__ float* sum_at(const Geometry& g, float* arena, int index, bool normed) {
    return arena + g.sums + (index + (normed && OPERATOR == ITERATIVE ? SUMS : 0)) * map_size(g);
}

// N of a sum if it `norms`, times `weight`; the sum was made by the block's own stride (see
// range_of).
__device__ __noinline__ void norm_sum(const Geometry& g, const float* tables, float* arena,
                                      int index, bool norms, float top, float weight) {
    Affine* stats = reinterpret_cast<Affine*>(arena + g.stats) + FEATURES * SLOTS * HALVES + index;
    const int size = map_size(g);
    float *raw = sum_at(g, arena, index, false), *normed = sum_at(g, arena, index, true);
    if (normed != raw)
        for (int i = threadIdx.x; i < size; i += blockDim.x) normed[i] = raw[i];
    if (norms) {
        float* scratch = arena + g.scratch + (FEATURES * SLOTS + index) * 3 * size;
        norm(g, tables, normed, 1, 1.0f, top, top != RANGE, weight, stats, scratch);
    } else if (threadIdx.x == 0) {
        *stats = {weight, 0.0f};
    }
    __syncthreads();
}

// The sum of `count` normed sums from number `first` on.
__device__ void add_sums(const Geometry& g, float* arena, int first, int count, int output) {
    const int size = map_size(g);
    const float* from = sum_at(g, arena, first, true);
    const float* stats = arena + g.stats + 2 * (FEATURES * SLOTS * HALVES + first);
    float* to = sum_at(g, arena, output, false);
    float scale[4], offset = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        scale[k] = k < count ? __ldcg(stats + 2 * k) : 0.0f;
        offset += k < count ? __ldcg(stats + 2 * k + 1) : 0.0f;
    }
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        float value = offset;
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (k < count) value = fmaf(__ldcg(from + k * size + i), scale[k], value);
        to[i] = value;
    }
}

// This block's part of the sum of a feature's normed maps.
__device__ void add_maps(const Geometry& g, float* arena, int feature) {
    const int size = map_size(g), number = map_number(feature, 0);
    const float* maps = arena + g.maps + number * size;
    const Affine* stats = reinterpret_cast<const Affine*>(arena + g.stats) + number;
    float* to = sum_at(g, arena, feature, false);
    float scale[SLOTS * HALVES], offset = 0;
#pragma unroll
    for (int k = 0; k < SLOTS * HALVES; ++k) {
        const bool exists = g.pairs >> k / HALVES & 1;
        scale[k] = exists ? stats[k].scale : 0.0f;
        offset += exists ? stats[k].offset : 0.0f;
    }
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
        float value = offset;
#pragma unroll
        for (int k = 0; k < SLOTS * HALVES; ++k)
            if (g.pairs >> k / HALVES & 1) value = fmaf(maps[k * size + i], scale[k], value);
        to[i] = value;
    }
}

extern "C" __global__ void __launch_bounds__(1024)
    combine(const __grid_constant__ Geometry g, const float* tables, const Call* call,
            float* arena) {
    const int feature = g.features[blockIdx.y], group = group_of(feature), size = map_size(g);
    arena += size_t(blockIdx.z) * g.frame;
    int* counters = reinterpret_cast<int*>(arena + g.counters);

    if (feature < FEATURES) {
        add_maps(g, arena, feature);
        if (gridDim.x > 1 && !last_of(counters + ADDED + feature, gridDim.x)) return;
        const bool norms = group == 2 || group == 4 || (group == 1 && NORM_OPPONENTS);
        norm_sum(g, tables, arena, feature, norms, RANGE, 1.0f);
        if (!last_of(counters + SUMMED + group, g.count[group])) return;

        const int firsts[GROUPS] = {0, 1, ORIENTED, FLICKER, MOVING}, first = firsts[group];
        add_sums(g, arena, first, g.count[group], FEATURES + group);
    } else if (blockIdx.x > 0) {  // what is whitened has its conspicuity map already
        return;
    }
    norm_sum(g, tables, arena, FEATURES + group, true, RANGE, g.weight[group]);
    int groups = 0, present = 0;
    for (int k = 0; k < GROUPS; ++k) groups += g.count[k] > 0, present |= (g.count[k] > 0) << k;
    if (!last_of(counters + JOINED, groups)) return;

    // Channels that are left out have empty sums, with weight 0.
    const int saliency = FEATURES + GROUPS;
    float* const total = sum_at(g, arena, saliency, false);
    const Affine* stats =
        reinterpret_cast<const Affine*>(arena + g.stats) + FEATURES * SLOTS * HALVES;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        float value = 0;
        for (int k = 0; k < GROUPS; ++k) {
            if (!(present >> k & 1)) continue;
            const float* from = sum_at(g, arena, FEATURES + k, true);
            const float* affine = &stats[FEATURES + k].scale;
            value += fmaf(__ldcg(from + i), __ldcg(affine), __ldcg(affine + 1));
        }
        total[i] = value;
    }
    norm_sum(g, tables, arena, saliency, NORM_SALIENCY, NORM_SALIENCY ? 2.0f : RANGE, 1.0f);

    float* found = arena + g.found;
    const bool valid = found[VALID] != 0.0f, follows = found[PAST] != 0.0f;
    const Affine last = stats[saliency];
    const float* map = sum_at(g, arena, saliency, true);
    float* out = call->maps + size_t(blockIdx.z) * size;
    float *held = arena + g.held, *holds = held + size;
    const float share = call->share;
    float peak = 0;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        // The lowest value times its scale may round to just under its offset; a NaN stays.
        float value = fmaf(map[i], last.scale, last.offset);
        value = value < 0.0f ? 0.0f : value;
#if FIGURES  // promotes what is a figure
        const float* figures = arena + g.figures;
        value = figures[ROOTS * size + i] * figures[CORNERS * size + i] *
                fmaf(value, 1.0f / PROMOTION, 1.0f);
#endif
        if (SMOOTHED) {
            if (follows && share < 1.0f) value = fmaf(value - held[i], share, held[i]);
            holds[i] = value;
        }
        // A frame whose values are out of range, or that was to be compared with one, has no map:
        // NaN, since nobody may be waiting to be told.
        if (!valid) value = __int_as_float(0x7fffffff);
        out[i] = value;
        peak = fmaxf(peak, value);
    }
    peak = over_block(peak, Higher());
    if (threadIdx.x == 0) found[PEAK] = peak;
}
