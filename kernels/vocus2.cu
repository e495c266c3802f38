// VOCUS2's twin pyramids, unfused: ittisal/twin_pyramids.py says what follows from what. Planes of
// one size lie one after the other; a launch makes them all, blockIdx.y each.

#include "common.cuh"
#include "guidance.cuh"
#include "pixels.cuh"

// The frame to level 1, with one sample more before each border and behind: means of 2 by 2 pixels,
// less the first pixel, which no contrast sees, so that a flat frame is exactly 0.
extern "C" __global__ void __launch_bounds__(THREADS)
    vocus2_planes(MODEL, const Call* call, int target) {
    const int height = g.height[0], width = g.width[0];
    const int rows = ceil_div(height, 2) + 2, columns = ceil_div(width, 2) + 2;
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= rows * columns) return;
    const Pixel* frame = static_cast<const Pixel*>(call->frames) +
                         blockIdx.z * (size_t(height) * width * PIXEL_CHANNELS);
    const float* linear = tables + g.linear;
    const int y = at / columns * 2 - 2, x = at % columns * 2 - 2;
    float sums[PIXEL_CHANNELS];
    for (int c = 0; c < PIXEL_CHANNELS; ++c) {
        const float first = element(__ldg(frame + c), linear);
        sums[c] = 0.0f;
        for (int k = 0; k < 4; ++k) {
            const size_t pixel = size_t(clamp(y + k / 2, height)) * width + clamp(x + k % 2, width);
            sums[c] += element(__ldg(frame + pixel * PIXEL_CHANNELS + c), linear) - first;
        }
        sums[c] /= g.full * 4.0f;
    }
    float* out = arena + size_t(blockIdx.z) * g.frame + target + at;
    const float r = sums[BGR ? PIXEL_CHANNELS - 1 : 0], b = sums[BGR ? 0 : PIXEL_CHANNELS - 1];
    const float middle = sums[PIXEL_CHANNELS / 2];
    const size_t size = size_t(rows) * columns;
    out[0] = PIXEL_CHANNELS == 1 ? r : (r + b + middle) / 3.0f;
    if (PIXEL_CHANNELS == 3) {
        out[size] = r - middle;
        out[2 * size] = (b - r + (b - middle)) * 0.5f;
    }
}

// Samples of a blur along one axis: every `step`-th of the source, its border repeated. The first
// of `count` weights is that of `lead` samples before.
extern "C" __global__ void __launch_bounds__(THREADS)
    vocus2_blur(MODEL, int source, int height, int width, int target, int rows, int columns,
                int across, int taps, int count, int lead, int step) {
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= rows * columns) return;
    arena += size_t(blockIdx.z) * g.frame;
    const float* plane = arena + source + size_t(blockIdx.y) * height * width;
    const int y = at / columns, x = at % columns, first = (across ? x : y) * step - lead;
    float sum = 0.0f;
    for (int k = 0; k < count; ++k) {
        const float sample = across ? plane[y * width + clamp(first + k, width)]
                                    : plane[clamp(first + k, height) * width + x];
        sum = fmaf(sample, __ldg(tables + taps + k), sum);
    }
    arena[target + size_t(blockIdx.y) * rows * columns + at] = sum;
}

// A sample of a surround, `spacing` of the centre's apart and beginning two before the border,
// between its four neighbours.
INLINE float surround_at(const float* plane, int columns, int y, int x, int spacing) {
    const float place_y = (y - (spacing - 1) * 0.5f) / spacing + 2.0f;
    const float place_x = (x - (spacing - 1) * 0.5f) / spacing + 2.0f;
    const int up = int(place_y), left = int(place_x);
    const float ty = place_y - up, tx = place_x - left;
    const float* high = plane + up * columns + left;
    const float* low = high + columns;
    const float a = fmaf(high[1] - high[0], tx, high[0]), b = fmaf(low[1] - low[0], tx, low[0]);
    return fmaf(b - a, ty, a);
}

// The sizes of centre minus surround of a channel's planes, the `count` from `first` on, summed
// over both scales.
extern "C" __global__ void __launch_bounds__(THREADS)
    vocus2_contrast(MODEL, int near_centre, int far_centre, int narrow, int wide, int height,
                    int width, int rows, int columns, int spacing, int first, int count,
                    int target) {
    const int at = blockIdx.x * THREADS + threadIdx.x, size = height * width;
    if (at >= size) return;
    arena += size_t(blockIdx.z) * g.frame;
    const int y = at / width, x = at % width;
    float sum = 0.0f;
    for (int plane = first; plane < first + count; ++plane)
        for (int scale = 0; scale < 2; ++scale) {
            const float* centre = arena + (scale ? far_centre : near_centre) + size_t(plane) * size;
            const float* surround =
                arena + (scale ? wide : narrow) + size_t(plane) * rows * columns;
            sum += fabsf(centre[at] - surround_at(surround, columns, y, x, spacing));
        }
    arena[target + at] = sum;
}

// The contrasts of a coarser octave, times `share`, at the map's level: bicubic, by tables of five
// numbers per row and column: the first of four samples, counted from two before the border, and
// their weights. Added to the map, or, with the finest octave's, its first terms.
extern "C" __global__ void __launch_bounds__(THREADS)
    vocus2_enlarge(MODEL, int source, int height, int width, int rows, int columns, float share,
                   int target, int finest, int pitch) {
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= map_size(g)) return;
    arena += size_t(blockIdx.z) * g.frame;
    const int y = at / g.width[MAP_LEVEL], x = at % g.width[MAP_LEVEL];
    const float *down = tables + rows + y * 5, *across = tables + columns + x * 5;
    const int top = int(__ldg(down)) - 2, left = int(__ldg(across)) - 2;
    float sum = finest >= 0 ? arena[finest + y * pitch + x] : 0.0f;
    for (int j = 0; j < 4; ++j) {
        const float* row = arena + source + clamp(top + j, height) * width;
        float line = 0.0f;
        for (int k = 0; k < 4; ++k)
            line = fmaf(row[clamp(left + k, width)], __ldg(across + 1 + k), line);
        sum = fmaf(line, __ldg(down + 1 + j), sum);
    }
    arena[target + at] = fmaf(sum, share, finest >= 0 ? 0.0f : arena[target + at]);
}

// The weighted sum of two conspicuity maps, and its range in each block's part; then, by the last
// block, over all.
extern "C" __global__ void __launch_bounds__(THREADS)
    vocus2_sum(MODEL, int first, int second, float first_weight, float second_weight, int target,
               int ranges) {
    arena += size_t(blockIdx.z) * g.frame;
    Range range = no_values();
    for (int at = blockIdx.x * THREADS + threadIdx.x; at < map_size(g); at += gridDim.x * THREADS) {
        const float sum =
            fmaf(arena[first + at], first_weight, arena[second + at] * second_weight);
        arena[target + at] = sum;
        range = Wider()(range, {sum, sum});
    }
    range = over_block(range, Wider());
    Range* parts = reinterpret_cast<Range*>(arena + ranges);
    if (threadIdx.x == 0) parts[blockIdx.x + 1] = range;
    if (!last_of(counters_in(g, arena).joined, gridDim.x)) return;
    range = no_values();
    for (int part = threadIdx.x; part < int(gridDim.x); part += THREADS)
        range = Wider()(range, from_block(parts + part + 1));
    range = over_block(range, Wider());
    if (threadIdx.x == 0) parts[0] = range;
}

// The map from 0 to 1.
extern "C" __global__ void __launch_bounds__(THREADS)
    vocus2_write(MODEL, const Call* call, const float* channel_maps, int added, int multiplied,
                 int target, int ranges) {
    const int at = blockIdx.x * THREADS + threadIdx.x;
    arena += size_t(blockIdx.z) * g.frame;
    const Guidance guidance = {channel_maps, added, multiplied};
    const Range range = *reinterpret_cast<const Range*>(arena + ranges);
    float peak = 0.0f;
    if (at < map_size(g))
        peak = write_sample(g, arena, call, guidance, target, at, arena[target + at], range);
    join_peak(found_in(g, arena), peak);
}
