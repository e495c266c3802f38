// A feature's maps to one, features to conspicuity maps, and those to the saliency map (P98, eqs.
// 5-8), smoothed over time if asked. A few blocks per feature add its maps; the last of them goes
// on to N, the last one of a channel to its conspicuity map, and the last of all to the saliency
// map.

#include "common.cuh"
#include "normalise.cuh"

// Sums lie raw, for the trace, and, where `iterative` rewrites them, once more.
INLINE float* sum_at(const Geometry& g, float* arena, int index, bool normalised) {
    const int copies = normalised && NORMALISATION_ITERATIVE ? g.saliency + 1 : 0;
    return arena + g.sums + (index + copies) * map_size(g);
}
INLINE Affine* sum_affine(const Geometry& g, float* arena, int index) {
    return reinterpret_cast<Affine*>(arena + g.sum_affines) + index;
}

// N of a sum if it `norms`, times `weight`; the sum was made by the block's own stride (see
// range_of).
__device__ __noinline__ void norm_sum(const Geometry& g, const float* tables, float* arena,
                                      int index, bool norms, float top, float weight) {
    Affine* affine = sum_affine(g, arena, index);
    const int size = map_size(g);
    float *raw = sum_at(g, arena, index, false), *normalised = sum_at(g, arena, index, true);
    if (normalised != raw)
        for (int i = threadIdx.x; i < size; i += blockDim.x) normalised[i] = raw[i];
    if (norms) {
        float* scratch = arena + g.sum_scratch + index * 3 * size;
        norm(g, tables, normalised, 1, 1.0f, top, top != RANGE, weight, affine, scratch);
    } else if (threadIdx.x == 0) {
        *affine = {weight, 0.0f};
    }
    __syncthreads();
}

// A channel's conspicuity map: the weighted sum of its features' normalised sums.
__device__ void add_features(const Geometry& g, float* arena, int channel) {
    const int size = map_size(g), count = g.row_count[channel], first = g.first_row[channel];
    const float* from[MOST_FEATURES];
    float scale[MOST_FEATURES], offset = 0;
#pragma unroll
    for (int k = 0; k < MOST_FEATURES; ++k) {
        const int feature = g.feature[k < count ? first + k : first];
        const Affine* affine = sum_affine(g, arena, feature);
        from[k] = sum_at(g, arena, feature, true);
        scale[k] = k < count ? __ldcg(&affine->scale) : 0.0f;
        offset += k < count ? __ldcg(&affine->offset) : 0.0f;
    }
    float* to = sum_at(g, arena, g.conspicuity + channel, false);
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        float value = offset;
#pragma unroll
        for (int k = 0; k < MOST_FEATURES; ++k)
            if (k < count) value = fmaf(__ldcg(from[k] + i), scale[k], value);
        to[i] = value;
    }
}

// This block's part of the sum of a feature's normalised maps.
__device__ void add_maps(const Geometry& g, float* arena, int feature) {
    const int size = map_size(g), number = map_number(feature, 0);
    const float* maps = arena + g.maps + number * size;
    const Affine* affines = reinterpret_cast<const Affine*>(arena + g.affines) + number;
    float* to = sum_at(g, arena, feature, false);
    float scale[SLOTS * HALVES], offset = 0;
#pragma unroll
    for (int k = 0; k < SLOTS * HALVES; ++k) {
        const bool exists = g.pairs >> k / HALVES & 1;
        scale[k] = exists ? affines[k].scale : 0.0f;
        offset += exists ? affines[k].offset : 0.0f;
    }
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
        float value = offset;
#pragma unroll
        for (int k = 0; k < SLOTS * HALVES - FAULT(a_map_too_few); ++k)
            if (g.pairs >> k / HALVES & 1) value = fmaf(maps[k * size + i], scale[k], value);
        to[i] = value;
    }
}

extern "C" __global__ void __launch_bounds__(1024) combine(MODEL, const Call* call) {
    const int row = blockIdx.y, feature = g.feature[row], channel = g.channel[row],
              size = map_size(g);
    arena += size_t(blockIdx.z) * g.frame;
    Counters& counters = counters_in(g, arena);

    if (feature >= 0) {
        add_maps(g, arena, feature);
        if (gridDim.x > 1 && !last_of(counters.added[feature], gridDim.x)) return;
        norm_sum(g, tables, arena, feature, g.normalised_again[row], RANGE,
                 g.feature_weight[row]);
        if (!last_of(counters.summed[channel], g.row_count[channel])) return;
        add_features(g, arena, channel);
    } else if (blockIdx.x > 0) {  // the channel's stage has made its conspicuity map
        return;
    }
    norm_sum(g, tables, arena, g.conspicuity + channel, true, RANGE, g.weight[channel]);
    if (!last_of(counters.joined, g.channel_count)) return;

    // The weighted sum of the channels.
    float* const total = sum_at(g, arena, g.saliency, false);
    for (int i = threadIdx.x; i < size + FAULT(one_sample_too_many); i += blockDim.x) {
        float value = 0;
        for (int k = 0; k < CHANNELS; ++k) {
            if (g.row_count[k] == 0) continue;
            const float* from = sum_at(g, arena, g.conspicuity + k, true);
            const Affine* affine = sum_affine(g, arena, g.conspicuity + k);
            value += fmaf(__ldcg(from + i), __ldcg(&affine->scale), __ldcg(&affine->offset));
        }
        total[i] = value;
    }
    norm_sum(g, tables, arena, g.saliency, NORMALISE_SALIENCY,
             NORMALISE_SALIENCY ? SALIENCY_RANGE : RANGE, 1.0f);

    Found& found = found_in(g, arena);
    const bool valid = found.valid != 0.0f, follows = found.past != 0.0f;
    const Affine last = *sum_affine(g, arena, g.saliency);
    const float* map = sum_at(g, arena, g.saliency, true);
    float* out = call->maps + size_t(blockIdx.z) * size;
    float *before = arena + g.smoothed, *smoothed = before + size;
    const float factor = call->smoothing_factor;
    float peak = 0;
    for (int i = threadIdx.x; i < size + FAULT(one_output_too_many); i += blockDim.x) {
        // The lowest value times its scale may round to just under its offset; a NaN stays.
        float value = fmaf(map[i], last.scale, last.offset);
        value = value < 0.0f ? 0.0f : value;
        if (FIGURE) {
            const float* figure = arena + g.figure_maps;
            value = figure[SURROUNDEDNESS * size + i] * figure[CORNERS * size + i] *
                    fmaf(value, 1.0f / PROMOTION, 1.0f);
        }
        if (!SMOOTHING_NONE) {
            if (follows && factor < 1.0f) value = fmaf(value - before[i], factor, before[i]);
            smoothed[i] = value;
        }
        // A frame whose values are out of range, or that was to be compared with one, has no map:
        // NaN, since nobody may be waiting to be told.
        if (!valid) value = __int_as_float(0x7fffffff);
        out[i] = value;
        peak = fmaxf(peak, value);
    }
    peak = over_block(peak, Higher());
    if (threadIdx.x == 0) found.peak = peak;
}
