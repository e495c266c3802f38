// Graph-based visual saliency, unfused: ittisal/references/gbvs.py says what follows from what. Of a
// level the planes lie one after the other: red, green and blue if colour counts, intensity, four
// energies if orientation counts, and the three axes of colour.

#include "common.cuh"
#include "guidance.cuh"
#include "pixels.cuh"

enum { ANGLES = ORIENTATIONS, AXES = 3 };

// The samples along an axis that an output is the weighted sum of. A table says how many there are;
// for each output which is the first; and then, for each output, the weight of the first, of the
// next, and so on, 0 behind the last.
struct Taps {
    const float* at;
    int count, outputs, first;
    INLINE Taps(const float* table, int outputs, int output)
        : at(table + 1 + output), count(int(__ldg(table))), outputs(outputs), first(int(__ldg(at))) {}
    INLINE float weight(int k) const { return __ldg(at + (1 + k) * outputs); }
};

// The frame down to so many rows, in one pass: red, green and blue, if wanted, and their maximum.
extern "C" __global__ void __launch_bounds__(THREADS)
    gbvs_pixels(MODEL, const Call* call, int target, int rows, int table, int colours) {
    const int height = g.height[0], width = g.width[0];
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= rows * width) return;
    const Pixel* frame = static_cast<const Pixel*>(call->frames) +
                         blockIdx.z * (size_t(height) * width * PIXEL_CHANNELS);
    const float* linear = tables + g.linear;
    const Taps taps(tables + table, rows, at / width);
    float sums[PIXEL_CHANNELS] = {}, brightest = 0.0f;
    for (int k = 0; k < taps.count; ++k) {
        const float weight = taps.weight(k);
        const size_t pixel = size_t(min(taps.first + k, height - 1)) * width + at % width;
        float highest = 0.0f;
        for (int c = 0; c < PIXEL_CHANNELS; ++c) {
            const float value = element(__ldg(frame + pixel * PIXEL_CHANNELS + c), linear);
            sums[c] = fmaf(value, weight, sums[c]);
            highest = fmaxf(highest, value);
        }
        brightest = fmaf(highest, weight, brightest);
    }
    float* out = arena + size_t(blockIdx.z) * g.frame + target + at;
    const size_t size = size_t(rows) * width;
    for (int c = 0; c < colours; ++c)
        out[c * size] = sums[BGR ? PIXEL_CHANNELS - 1 - c : c] / g.full;
    out[colours * size] = brightest / g.full;
}

// Planes resampled along one axis.
extern "C" __global__ void __launch_bounds__(THREADS)
    gbvs_resample(MODEL, int source, int height, int width, int target, int rows, int columns,
                  int across, int table) {
    const int at = blockIdx.x * THREADS + threadIdx.x;
    if (at >= rows * columns) return;
    arena += size_t(blockIdx.z) * g.frame;
    const float* plane = arena + source + size_t(blockIdx.y) * height * width;
    const int y = at / columns, x = at % columns, last = (across ? width : height) - 1;
    const Taps taps(tables + table, across ? columns : rows, across ? x : y);
    float sum = 0.0f;
    for (int k = 0; k < taps.count; ++k) {
        const int sample = min(taps.first + k, last);
        sum = fmaf(plane[across ? y * width + sample : sample * width + x], taps.weight(k), sum);
    }
    arena[target + size_t(blockIdx.y) * rows * columns + at] = sum;
}

// Where a block's tile lies, of all levels' tiles.
struct Tile {
    int level, height, width, top, left;
    INLINE Tile(const Geometry& g) {
        level = level_of(g, blockIdx.x), height = g.height[level], width = g.width[level];
        const int tile = blockIdx.x - g.first_tile[level], across = ceil_div(width, GBVS_COLUMNS);
        top = tile / across * GBVS_ROWS, left = tile % across * GBVS_COLUMNS;
    }
};
enum { BESIDE = COLUMNS / GBVS_COLUMNS };  // rows of a tile that a block's threads take at once

// |even| + |odd| of Gabor filters of every angle, faded at the border. Of each pair of samples that
// lie opposite each other `filters` has the weights of the even filters and of the odd ones. Even
// ones sum to 0, so the middle may be subtracted first: a flat frame has no energy at all.
extern "C" __global__ void __launch_bounds__(COLUMNS)
    gbvs_orientation(MODEL, int intensity, int energies, int filters) {
    enum { REACH = GBVS_REACH, WIDE = GBVS_COLUMNS + 2 * REACH, HIGH = GBVS_ROWS + 2 * REACH };
    enum { OUTPUTS = GBVS_ROWS / BESIDE };
    __shared__ float samples[HIGH][WIDE];
    const Tile tile(g);
    arena += size_t(blockIdx.z) * g.frame;
    const float* plane = arena + plane_at(g, intensity, tile.level);
    for (int i = threadIdx.x; i < HIGH * WIDE; i += COLUMNS) {
        const int y = clamp(tile.top + i / WIDE - REACH, tile.height);
        const int x = clamp(tile.left + i % WIDE - REACH, tile.width);
        samples[i / WIDE][i % WIDE] = plane[y * tile.width + x];
    }
    __syncthreads();
    const int column = threadIdx.x % GBVS_COLUMNS, row = threadIdx.x / GBVS_COLUMNS;
    float even[OUTPUTS][ANGLES] = {}, odd[OUTPUTS][ANGLES] = {};
    const float4* weights = reinterpret_cast<const float4*>(tables + filters);
    for (int v = 0; v <= REACH; ++v)
        for (int u = v ? -REACH : 1; u <= REACH; ++u, weights += 2) {
            const float4 e = __ldg(weights), o = __ldg(weights + 1);
#pragma unroll
            for (int k = 0; k < OUTPUTS; ++k) {
                const int y = row + k * BESIDE + REACH, x = column + REACH;
                const float behind = samples[y + v][x + u], before = samples[y - v][x - u];
                const float sum = fmaf(samples[y][x], -2.0f, behind + before);
                const float difference = behind - before;
                even[k][0] = fmaf(sum, e.x, even[k][0]), odd[k][0] = fmaf(difference, o.x, odd[k][0]);
                even[k][1] = fmaf(sum, e.y, even[k][1]), odd[k][1] = fmaf(difference, o.y, odd[k][1]);
                even[k][2] = fmaf(sum, e.z, even[k][2]), odd[k][2] = fmaf(difference, o.z, odd[k][2]);
                even[k][3] = fmaf(sum, e.w, even[k][3]), odd[k][3] = fmaf(difference, o.w, odd[k][3]);
            }
        }
    const int *fades = g.filters[tile.level], x = tile.left + column;
    if (x >= tile.width) return;
#pragma unroll
    for (int k = 0; k < OUTPUTS; ++k) {
        const int y = tile.top + row + k * BESIDE;
        if (y >= tile.height) return;
        const float fade = __ldg(tables + fades[0] + y) * __ldg(tables + fades[1] + x);
        for (int angle = 0; angle < ANGLES; ++angle)
            arena[plane_at(g, energies + angle, tile.level) + y * tile.width + x] =
                (fabsf(even[k][angle]) + fabsf(odd[k][angle])) * fade;
    }
}

#if PIXEL_CHANNELS == 3
// Red, green and blue to the axes of DKL. `lights` has the light of each grey level by colour;
// `matrix` each axis' factors of them, and what is added.
extern "C" __global__ void __launch_bounds__(COLUMNS)
    gbvs_colours(MODEL, int red, int axes, int lights, int matrix) {
    const Tile tile(g);
    arena += size_t(blockIdx.z) * g.frame;
    const int x = tile.left + threadIdx.x % GBVS_COLUMNS;
    const int last = min(tile.top + GBVS_ROWS, tile.height);
    if (x >= tile.width) return;
    for (int y = tile.top + threadIdx.x / GBVS_COLUMNS; y < last; y += BESIDE) {
        const int at = y * tile.width + x;
        float light[AXES];
        for (int c = 0; c < AXES; ++c) {
            const float value = arena[plane_at(g, red + c, tile.level) + at];
            const float level = fminf(fmaxf(fmaf(value, 255.0f, -GBVS_GREY_STEP), 0.0f), 255.0f);
            light[c] = __ldg(tables + lights + c * 256 + int(level));
        }
        for (int axis = 0; axis < AXES; ++axis) {
            const float* factors = tables + matrix + axis * (AXES + 1);
            float sum = __ldg(factors + AXES);
            for (int c = 0; c < AXES; ++c) sum = fmaf(light[c], __ldg(factors + c), sum);
            arena[plane_at(g, axes + axis, tile.level) + at] = sum;
        }
    }
}
#endif

// The equilibrium of the Markov chain of a map, to the power of 1.5. Weights of the edges are
// symmetric, so each sample has its share of the sum of all of them: no iteration. Each block sums
// the edges of some samples; each of its warps takes every eighth row of the other ends. The last of
// a map's blocks divides by the total. Of a level's `stride` maps `count` from `first` on are
// activated. The first one is intensity's: a map is flat if its range is tiny compared with either's
// maximum. `near` has the factors of distances along an axis.
extern "C" __global__ void __launch_bounds__(THREADS)
    gbvs_activation(MODEL, int maps, int activations, int stride, int first, int count, int near,
                    int parts) {
    enum { SIDE = GBVS_SIDE, LANES = 32, GROUPS = THREADS / LANES, OUTPUTS = GBVS_OUTPUTS };
    __shared__ float values[SIDE * SIDE], down[SIDE], across[2 * SIDE];
    __shared__ float joined[GROUPS][OUTPUTS][LANES];
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    const int level = blockIdx.y / count, number = level * stride + first + blockIdx.y % count;
    arena += size_t(blockIdx.z) * g.frame;
    const float *map = arena + maps + number * size, *signal = arena + maps + level * stride * size;
    Range range = no_values();
    float brightest = 0.0f;
    for (int i = threadIdx.x; i < size; i += THREADS) {
        const float value = values[i] = map[i];
        range = Wider()(range, {value, value});
        brightest = fmaxf(brightest, signal[i]);
    }
    for (int d = threadIdx.x; d < SIDE; d += THREADS) {
        down[d] = __ldg(tables + near + d);
        across[SIDE + d] = across[SIDE - d] = __ldg(tables + near + SIDE + d);
    }
    range = over_block(range, Wider());
    brightest = fmaxf(over_block(brightest, Higher()), fmaxf(range.high, -range.low));
    const bool flat = range.high - range.low <= GBVS_FLAT * brightest;

    // A thread's samples lie in one column, so that they share its distances.
    const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
    const int unit = blockIdx.x * LANES + lane, rows = ceil_div(height, OUTPUTS);
    const int x = unit % width, top = unit / width;
    float here[OUTPUTS], sums[OUTPUTS] = {};
    int ys[OUTPUTS];
#pragma unroll
    for (int k = 0; k < OUTPUTS; ++k) {
        ys[k] = min(top + k * rows, height - 1);
        here[k] = values[ys[k] * width + x];
    }
    for (int y = group; y < height; y += GROUPS) {
        const float *row = values + y * width, *factors = across + SIDE + x;
        float of_row[OUTPUTS] = {};
#pragma unroll 4
        for (int other = 0; other < width; ++other) {
            const float value = row[other], factor = factors[-other];
#pragma unroll
            for (int k = 0; k < OUTPUTS; ++k)
                of_row[k] = fmaf(fabsf(here[k] - value), factor, of_row[k]);
        }
#pragma unroll
        for (int k = 0; k < OUTPUTS; ++k)
            sums[k] = fmaf(of_row[k], down[abs(ys[k] - y)], sums[k]);
    }
#pragma unroll
    for (int k = 0; k < OUTPUTS; ++k) joined[group][k][lane] = sums[k];
    __syncthreads();
    float* out = arena + activations + number * size;
    float degree = 0.0f;
    const int y = top + group * rows;
    if (group < OUTPUTS && top < rows && y < height) {
        for (int k = 0; k < GROUPS; ++k) degree += joined[k][group][lane];
        if (flat) degree = 1.0f;
        out[y * width + x] = degree;
    }
    float total = over_block(degree, Sum());
    float* totals = arena + parts + number * gridDim.x;
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
    if (!last_of(counters_in(g, arena).normalised[number], gridDim.x)) return;
    total = over_block(threadIdx.x < gridDim.x ? __ldcg(totals + threadIdx.x) : 0.0f, Sum());
    for (int i = threadIdx.x; i < size; i += THREADS) {
        const float share = __ldcg(out + i) / total;
        out[i] = share * root(share);
    }
}

// The channels' sums of activation maps, and their weighted sum, faded, blurred, from 0 to 1, by one
// block. A channel without a weight is left out; maps of a level are of intensity, orientation,
// colour, in this order. `down` and `across` are the tables of blurs.
extern "C" __global__ void __launch_bounds__(1024, 1)
    gbvs_combine(MODEL, const Call* call, const float* channel_maps, int added, int multiplied,
                 int activations, int levels, int stride, int sums, int down, int across,
                 float intensity, float orientation, float colour) {
    enum { MAPS = 3 };
    __shared__ float total[GBVS_SIDE * GBVS_SIDE], blurred[GBVS_SIDE * GBVS_SIDE];
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    arena += size_t(blockIdx.z) * g.frame;
    const Guidance guidance = {channel_maps, added, multiplied};
    const float weights[MAPS] = {intensity, orientation, colour};
    const int firsts[MAPS] = {0, 1, stride - AXES}, counts[MAPS] = {1, ANGLES, AXES};
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        total[i] = 0.0f;
#pragma unroll
        for (int c = 0; c < MAPS; ++c) {
            if (weights[c] == 0.0f) continue;
            float sum = 0.0f;
            for (int level = 0; level < levels; ++level)
                for (int k = 0; k < counts[c]; ++k)
                    sum += arena[activations + (level * stride + firsts[c] + k) * size + i];
            arena[sums + c * size + i] = sum;
            total[i] = fmaf(sum, weights[c], total[i]);
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const Taps taps(tables + down, height, i / width);
        float sum = 0.0f;
        for (int k = 0; k < taps.count; ++k) {
            const int y = min(taps.first + k, height - 1);
            sum = fmaf(total[y * width + i % width], taps.weight(k), sum);
        }
        blurred[i] = sum;
    }
    __syncthreads();
    Range range = no_values();
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const int x = i % width;
        const Taps taps(tables + across, width, x);
        float sum = 0.0f;
        for (int k = 0; k < taps.count; ++k)
            sum = fmaf(blurred[i - x + min(taps.first + k, width - 1)], taps.weight(k), sum);
        total[i] = sum;
        range = Wider()(range, {sum, sum});
    }
    range = over_block(range, Wider());
    float peak = 0.0f;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        peak = fmaxf(peak, write_sample(g, arena, call, guidance, sums + MAPS * size, i, total[i],
                                        range));
    join_peak(found_in(g, arena), peak);
}
