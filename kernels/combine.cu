// A feature's maps to one, features to conspicuity maps, and those to the saliency map (P98, eqs.
// 5-8), with the caller's channels, smoothed over time if asked.
//
// The steps follow one another. Of small maps one launch takes all: a block has a feature, the last
// one of a channel goes on to its conspicuity map, and the last of all to the saliency map. Of
// large ones several blocks share each sum, and each step is a launch. N's range and peaks of a sum
// are found by each block for its part, and joined by those that need them.

#include "common.cuh"
#include "guidance.cuh"
#include "normalise.cuh"

// Sums lie raw, for the trace, and, where `iterative` rewrites them, once more.
INLINE float* sum_at(const Geometry& g, float* arena, int index, bool normalised) {
    const int copies = normalised && NORMALISATION_ITERATIVE ? g.saliency + 1 : 0;
    return arena + g.sums + (index + copies) * map_size(g);
}
INLINE Range* ranges_at(const Geometry& g, float* arena, int index) {
    return reinterpret_cast<Range*>(arena + g.sum_ranges) + index * MAP_BLOCKS;
}
INLINE Peaks* peaks_at(const Geometry& g, float* arena, int index) {
    return reinterpret_cast<Peaks*>(arena + g.sum_peaks) + index * MAP_BLOCKS;
}
// What is not negative may round to just under 0, as a map's lowest value times its scale does
// under its offset; a NaN stays.
INLINE float at_least_0(float value) { return value < 0.0f ? 0.0f : value; }
INLINE int warp() { return threadIdx.x / 32; }
INLINE int warps() { return blockDim.x / 32; }

// The range of this block's part of a sum, left for the others.
__device__ Range leave_range(const Geometry& g, float* arena, int index, Range range) {
    range = over_block(range, Wider());
    if (threadIdx.x == 0) ranges_at(g, arena, index)[blockIdx.x] = range;
    return range;
}

// Scale and offset that N gives a sum, if it is `normalised`, times `weight`; by a warp. The trace
// reads them too.
__device__ void find_affine(const Geometry& g, float* arena, int index, bool normalised, float top,
                            float weight, Affine& out) {
    const Peaks part = of_part(peaks_at(g, arena, index), Peaks{});
    const Range range = whole_range(ranges_at(g, arena, index));
    const Peaks peaks = over_warp(part, Sum());
    if (threadIdx.x % 32 > 0) return;
    out = normalised && !NORMALISATION_ITERATIVE ? affine_of(range, range, peaks, 1.0f, top, weight)
                                                 : Affine{weight, 0.0f};
    if (blockIdx.x == 0) reinterpret_cast<Affine*>(arena + g.sum_affines)[index] = out;
}

// What N has to know of a sum besides its range, which is that of the part if there is one alone;
// `iterative` writes the new map.
__device__ void find_peaks(const Geometry& g, const float* tables, float* arena, int index,
                           bool normalised, float top, Range part) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    const float* raw = sum_at(g, arena, index, false);
    const Range range = gridDim.x > 1 ? whole_range(ranges_at(g, arena, index)) : part;
    const bool flat = is_flat(range, 1.0f);
    if (NORMALISATION_ITERATIVE) {
        float* map = sum_at(g, arena, index, true);
        for (int i = threadIdx.x; i < size; i += blockDim.x) map[i] = raw[i];
        if (!normalised) return;
        const Affine first = top == RANGE ? Affine{1.0f, 0.0f} : onto(range, top, flat);
        iterate(g, tables, map, arena + g.sum_scratch + index * 3 * size, first);
    } else if (NORMALISATION_MAXNORM && normalised) {
        Peaks peaks{};
        if (!flat) peaks = peaks_of(raw, height, width, range, range);
        if (threadIdx.x == 0) peaks_at(g, arena, index)[blockIdx.x] = peaks;
    }
}

// The sum of a feature's normalised maps.
__device__ Range add_maps(const Geometry& g, float* arena, int feature) {
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
    Range range = no_values();
    for (int i = first_sample(); i < size; i += samples_on()) {
        float value = offset;
#pragma unroll
        for (int k = 0; k < SLOTS * HALVES - FAULT(a_map_too_few); ++k)
            if (g.pairs >> k / HALVES & 1) value = fmaf(maps[k * size + i], scale[k], value);
        to[i] = value = at_least_0(value);
        range = Wider()(range, {value, value});
    }
    return leave_range(g, arena, feature, range);
}

// A channel's conspicuity map: the weighted sum of its features' normalised sums, or what the
// channel's stage has made.
__device__ Range add_features(const Geometry& g, float* arena, int channel) {
    __shared__ Affine affines[MOST_FEATURES];
    const int size = map_size(g), first = g.first_row[channel], own = g.conspicuity + channel;
    const int count = g.feature[first] < 0 ? 0 : g.row_count[channel];
    for (int k = warp(); k < count; k += warps()) {
        const int row = first + k;
        find_affine(g, arena, g.feature[row], g.normalised_again[row], RANGE,
                    g.feature_weight[row], affines[k]);
    }
    __syncthreads();
    const float* from[MOST_FEATURES];
    float offset = 0;
#pragma unroll
    for (int k = 0; k < MOST_FEATURES; ++k) {
        from[k] = sum_at(g, arena, k < count ? g.feature[first + k] : own, true);
        if (k < count) offset += affines[k].offset;
    }
    float* to = sum_at(g, arena, own, false);
    Range range = no_values();
    for (int i = first_sample(); i < size; i += samples_on()) {
        float value = count ? offset : to[i];
#pragma unroll
        for (int k = 0; k < MOST_FEATURES; ++k)
            if (k < count) value = fmaf(__ldcg(from[k] + i), affines[k].scale, value);
        to[i] = value = at_least_0(value);
        range = Wider()(range, {value, value});
    }
    return leave_range(g, arena, own, range);
}

// The weighted sum of the channels; as what promotes figures, where the config has them.
__device__ Range add_channels(const Geometry& g, float* arena, const Guidance& guidance) {
    __shared__ Affine affines[CHANNELS];
    const int size = map_size(g);
    for (int k = warp(); k < CHANNELS; k += warps())
        if (g.row_count[k] > 0)
            find_affine(g, arena, g.conspicuity + k, true, RANGE, g.weight[k], affines[k]);
    __syncthreads();
    float* to = sum_at(g, arena, g.saliency, false);
    const float* figure = arena + g.figure_maps + SURROUNDEDNESS * size;
    Range range = no_values();
    for (int i = first_sample(); i < size + FAULT(one_sample_too_many); i += samples_on()) {
        float value = 0;
        for (int k = 0; k < CHANNELS; ++k) {
            if (g.row_count[k] == 0) continue;
            const float* from = sum_at(g, arena, g.conspicuity + k, true);
            const float term = fmaf(__ldcg(from + i), affines[k].scale, affines[k].offset);
            value += FIGURE ? term * (figure[i] + g.own_figure[k]) : term;
        }
        if (!CHANNELS_LAST) value = guidance.add(value, size, i, FIGURE ? figure[i] : 1.0f);
        to[i] = value = at_least_0(value);
        range = Wider()(range, {value, value});
    }
    return NORMALISE_SALIENCY ? leave_range(g, arena, g.saliency, range) : range;
}

// The caller's map.
__device__ void write_map(const Geometry& g, const float* tables, float* arena, const Call* call,
                          const Guidance& guidance) {
    __shared__ Affine affine;
    if (warp() == 0)
        find_affine(g, arena, g.saliency, NORMALISE_SALIENCY, SALIENCY_RANGE, 1.0f, affine);
    __syncthreads();
    Found& found = found_in(g, arena);
    const bool valid = found.valid != 0.0f, follows = found.past != 0.0f;
    const int size = map_size(g);
    const float* map = sum_at(g, arena, g.saliency, true);
    float* out = call->maps + size_t(blockIdx.z) * size;
    float *before = arena + g.smoothed, *smoothed = before + size;
    const float factor = call->smoothing_factor;
    float peak = 0;
    for (int i = first_sample(); i < size + FAULT(one_output_too_many); i += samples_on()) {
        float value = at_least_0(fmaf(map[i], affine.scale, affine.offset));
        if (FIGURE) {
            const float* figure = arena + g.figure_maps;
            value = fmaf(value, 1.0f / PROMOTION, figure[SURROUNDEDNESS * size + i]) *
                    figure[CORNERS * size + i];
        }
        if (CHANNELS_LAST) value = guidance.add(value, size, i);
        value = guidance.multiply(value, size, i);
        if (HAS_CENTRE_PRIOR) {
            const int width = g.width[MAP_LEVEL], y = i / width, x = i - y * width;
            value *= __ldg(tables + g.centre_prior[0] + y) * __ldg(tables + g.centre_prior[1] + x);
        }
        if (!SMOOTHING_NONE) {
            if (follows && factor < 1.0f) value = fmaf(value - before[i], factor, before[i]);
            // A NaN of the caller's maps is not passed on to the next frame.
            smoothed[i] = value == value ? value : follows ? before[i] : 0.0f;
        }
        // A frame whose values are out of range, or that was to be compared with one, has no map:
        // NaN, since nobody may be waiting to be told.
        if (!valid) value = __int_as_float(0x7fffffff);
        out[i] = value;
        peak = fmaxf(peak, value);
    }
    join_peak(found, peak);
}

// Steps `step` to `last`. Sums are complete when their range is known, which all threads wait for.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1)
    combine(MODEL, const Call* call, const float* channel_maps, int added, int multiplied, int step,
            int last) {
    arena += size_t(blockIdx.z) * g.frame;
    const Guidance guidance = {channel_maps, added, multiplied};
    Counters& counters = counters_in(g, arena);
    const int first = step, row = blockIdx.y;
    const int channel = first < ADD_FEATURES ? g.channel[row] : row;
    if (first < ADD_CHANNELS && g.row_count[channel] == 0) return;
    Range range = no_values();
    for (; step <= last; ++step) {
        if (step == ADD_FEATURES && first < step &&
            !last_of(counters.summed[channel], g.row_count[channel]))
            return;
        if (step == ADD_CHANNELS && first < step && !last_of(counters.joined, g.channel_count))
            return;
        if (step == ADD_MAPS) {
            if (g.feature[row] >= 0) range = add_maps(g, arena, g.feature[row]);
        } else if (step == ADD_FEATURES) {
            range = add_features(g, arena, channel);
        } else if (step == ADD_CHANNELS) {
            range = add_channels(g, arena, guidance);
        } else if (step == WRITE_MAP) {
            write_map(g, tables, arena, call, guidance);
        } else {
            const int index = step == FEATURE_PEAKS   ? g.feature[row]
                              : step == CHANNEL_PEAKS ? g.conspicuity + channel
                                                      : g.saliency;
            const bool normalised = step == FEATURE_PEAKS   ? g.normalised_again[row]
                                    : step == CHANNEL_PEAKS ? true
                                                            : NORMALISE_SALIENCY;
            const float top = step == SALIENCY_PEAKS ? SALIENCY_RANGE : RANGE;
            if (index >= 0) find_peaks(g, tables, arena, index, normalised, top, range);
        }
    }
}
