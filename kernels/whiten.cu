// Statistics of a few maps (means and covariances, in double), and what they make of the maps: the
// decorrelated planes; and the channel of these planes' energies, whitened over the scales.

#include "common.cuh"
#include "resample.cuh"
#include "signal.cuh"
#include "whitener.cuh"

// --- statistics ----------------------------------------------------------------------------------

// A map's mean and its row of the covariance, of COUNT maps: as in reference.statistics.
template <int COUNT>
INLINE const double* row_of(const double* statistics, int i) {
    return statistics + i * (COUNT + 1);
}

// Whether the variance of map `i` is more than rounding, next to its signal.
template <int COUNT>
INLINE bool varies(const double* statistics, int i, float signal) {
    const double flat = double(FLAT) * double(fmaxf(signal, DARK));
    return row_of<COUNT>(statistics, i)[1 + i] > flat * flat;
}
template <int COUNT>
__device__ bool any_varies(const double* statistics, const float (&signals)[COUNT]) {
    bool any = false;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) any = any || varies<COUNT>(statistics, i, signals[i]);
    return any;
}

// The whitening matrix of a covariance with a ridge.
template <int COUNT>
__device__ void find_whitener(const double* statistics, const float (&signals)[COUNT],
                              Whitener<COUNT>& out) {
    double lower[COUNT][COUNT], inverse[COUNT][COUNT], trace = 0.0;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) trace += row_of<COUNT>(statistics, i)[1 + i];
    const double ridge = RIDGE * trace / COUNT + double(DARK) * double(DARK);
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        const double* row = row_of<COUNT>(statistics, i) + 1;
#pragma unroll
        for (int j = 0; j <= i; ++j) {
            double rest = row[j] + (i == j ? ridge : 0.0);
#pragma unroll
            for (int k = 0; k < j; ++k) rest -= lower[i][k] * lower[j][k];
            lower[i][j] = i == j ? sqrt(rest) : rest / lower[j][j];
        }
        out.mean[i] = float(row[-1]);
#pragma unroll
        for (int j = 0; j <= i; ++j) {
            double sum = i == j ? 1.0 : 0.0;
#pragma unroll
            for (int k = j; k < i; ++k)
                sum -= (FAULT(the_inverses_columns) ? lower[k][j] : lower[i][k]) * inverse[k][j];
            inverse[i][j] = sum / lower[i][i];
            out.inverse[i * (i + 1) / 2 + j] =
                varies<COUNT>(statistics, i, signals[i]) ? float(inverse[i][j]) : 0.0f;
        }
    }
}

// A number as the sum of two floats (Dekker 1971): nearly as exact as a double, for which many GPUs
// have two lanes in a multiprocessor.
struct Pair {
    float high, low;
    INLINE Pair operator+(const Pair& other) const {
        const float sum = high + other.high, part = sum - high;
        const float error = (high - (sum - part)) + (other.high - part) + (low + other.low);
        const float rounded = sum + error;
        return {rounded, error - (rounded - sum)};
    }
};
INLINE Pair product(float x, float y) { return {x * y, fmaf(x, y, -(x * y))}; }

// Sums of COUNT maps and of their products.
template <int COUNT>
struct Sums {
    enum { TAKEN = COUNT + COUNT * (COUNT + 1) / 2 };
    Pair of[TAKEN];
    INLINE Sums operator+(const Sums& other) const {
        Sums sums;
#pragma unroll
        for (int k = 0; k < TAKEN; ++k) sums.of[k] = of[k] + other.of[k];
        return sums;
    }
};

// Mean and covariance of COUNT maps, by several blocks; the last goes on to their whitener. Sums
// are taken in a fixed order.
template <int COUNT>
__device__ void measure(const Geometry& g, float* arena, const float* const (&maps)[COUNT],
                        int number, const float (&signals)[COUNT]) {
    enum { TAKEN = Sums<COUNT>::TAKEN };
    const int size = map_size(g);
    Sums<COUNT> part{};
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
        float x[COUNT];
        int at = COUNT;
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            x[k] = maps[k][i];
            part.of[k] = part.of[k] + Pair{x[k], 0.0f};
#pragma unroll
            for (int j = 0; j <= k; ++j, ++at) part.of[at] = part.of[at] + product(x[k], x[j]);
        }
    }
    part = over_block(part, Sum());
    enum { ALL = STATISTICS * STATISTIC_SIZE };
    double* const all = reinterpret_cast<double*>(arena + g.statistics);
    double* current = all + number * STATISTIC_SIZE;
    const double* running = current + ALL;
    double* parts = all + 2 * ALL + number * (MEASURE_BLOCKS * STATISTIC_SIZE);
    __shared__ double sums[TAKEN];
    const int own = threadIdx.x;
    if (own == 0) {
#pragma unroll
        for (int k = 0; k < TAKEN; ++k)
            parts[blockIdx.x * STATISTIC_SIZE + k] =
                double(part.of[k].high) + double(part.of[k].low);
    }
    if (!last_of(counters_in(g, arena).measured[number], gridDim.x)) return;
    if (own < TAKEN) {
        double sum = 0.0;
        for (int block = 0; block < int(gridDim.x); ++block)
            sum += __ldcg(parts + block * STATISTIC_SIZE + own);
        sums[own] = sum / double(size);
    }
    __syncthreads();
    if (own != 0) return;
    int at = COUNT;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        current[i * (COUNT + 1)] = sums[i];
#pragma unroll
        for (int j = 0; j <= i; ++j) {
            const double means = FAULT(the_means_left_in) ? 0.0 : sums[i] * sums[j];
            const double product = sums[at++] - means;
            current[i * (COUNT + 1) + 1 + j] = current[j * (COUNT + 1) + 1 + i] =
                i == j ? fmax(product, 0.0) : product;
        }
    }
    // The frames before, unless nothing varied in them.
    const bool averaged = AVERAGES && !FAULT(the_frames_own_statistics) &&
                          found_in(g, arena).past != 0.0f && any_varies<COUNT>(running, signals);
    find_whitener<COUNT>(averaged ? running : current, signals,
                         whitener_at<COUNT>(g, arena, number));
}

// --- the planes ----------------------------------------------------------------------------------

INLINE void plane_signals(const Geometry& g, float* arena, float (&signals)[WHITENED_PLANES]) {
    for (int k = 0; k < WHITENED_PLANES; ++k)
        signals[k] = size_of(g.whitened_signal[k], found_in(g, arena));
}

extern "C" __global__ void __launch_bounds__(THREADS) plane_statistics(MODEL) {
    arena += size_t(blockIdx.z) * g.frame;
    float signals[WHITENED_PLANES];
    const float* planes[WHITENED_PLANES];
    plane_signals(g, arena, signals);
    for (int k = 0; k < WHITENED_PLANES; ++k)
        planes[k] = arena + plane_at(g, g.whitened_source[k], MAP_LEVEL);
    measure<WHITENED_PLANES>(g, arena, planes, 0, signals);
}

// The decorrelated planes of every level that has some.
extern "C" __global__ void __launch_bounds__(THREADS) whiten(MODEL) {
    arena += size_t(blockIdx.z) * g.frame;
    const Whitener<WHITENED_PLANES> whitener = whitener_at<WHITENED_PLANES>(g, arena, 0);
    for (int level = FINEST_LEVEL; level <= g.top_level; ++level) {
        if (g.whitened[level] < 0) continue;
        const int size = g.height[level] * g.width[level];
        const float* in = arena + g.planes[level];
        float* out = arena + g.whitened[level];
        for (int i = blockIdx.x * THREADS + threadIdx.x; i < size; i += gridDim.x * THREADS) {
            float x[WHITENED_PLANES];
#pragma unroll
            for (int k = 0; k < WHITENED_PLANES; ++k) x[k] = in[g.whitened_source[k] * size + i];
            whitener.apply(x);
#pragma unroll
            for (int k = 0; k < WHITENED_PLANES; ++k) out[k * size + i] = x[k];
        }
    }
}

// --- the channel ---------------------------------------------------------------------------------

#if HAS_WHITENED
extern "C" __global__ void __launch_bounds__(COLUMNS, RESIDENT) resample_energies(MODEL, int rows) {
    arena += size_t(blockIdx.z) * g.frame;
    const int energy = blockIdx.y / SCALES,
              scale = blockIdx.y % (FAULT(another_scales_energies) ? SCALES - 1 : SCALES),
              level = FINEST_LEVEL + scale;
    const int height = g.height[level], width = g.width[level];
    resample_tile<LevelColumn, FINEST_LEVEL>(
        g, tables, {arena + g.energies[level] + energy * height * width, level, height, width},
        arena + g.scales + blockIdx.y * map_size(g), rows);
}

extern "C" __global__ void __launch_bounds__(THREADS) energy_statistics(MODEL) {
    arena += size_t(blockIdx.z) * g.frame;
    const int energy = blockIdx.y;
    float signals[SCALES];
    const float* maps[SCALES];
    for (int k = 0; k < SCALES; ++k) {
        signals[k] = 1.0f;
        maps[k] = arena + g.scales + (energy * SCALES + k) * map_size(g);
    }
    measure<SCALES>(g, arena, maps, 1 + energy, signals);
}

// The conspicuity map, sum number `sum`: squared Mahalanobis distances of the energies, over the
// scales of each plane and orientation, from their means, faded towards the border.
extern "C" __global__ void __launch_bounds__(THREADS) mahalanobis(MODEL, int sum) {
    arena += size_t(blockIdx.z) * g.frame;
    const int size = map_size(g), width = g.width[MAP_LEVEL];
    const int i = blockIdx.x * THREADS + threadIdx.x;
    __shared__ int energies;
    if (threadIdx.x == 0) {  // where the frame does not vary, all of it is equally far
        float signals[WHITENED_PLANES];
        plane_signals(g, arena, signals);
        const double* planes = reinterpret_cast<const double*>(arena + g.statistics);
        const bool any = any_varies<WHITENED_PLANES>(planes, signals);
        energies = any ? ORIENTATIONS * WHITENED_PLANES : 0;
    }
    __syncthreads();
    if (i >= size) return;
    float total = 0.0f;
    for (int energy = 0; energy < energies; ++energy) {
        const float* maps = arena + g.scales + energy * SCALES * size + i;
        float z[SCALES];
#pragma unroll
        for (int k = 0; k < SCALES; ++k) z[k] = maps[k * size];
        whitener_at<SCALES>(g, arena, 1 + energy).apply(z);
        float distance = 0.0f;
#pragma unroll
        for (int k = 0; k < SCALES; ++k) distance = fmaf(z[k], z[k], distance);
        total += distance;
    }
    const int y = i / width, x = i - y * width;
    const float fade =
        __ldg(tables + g.whitened_fade[0] + y) * __ldg(tables + g.whitened_fade[1] + x);
    arena[g.sums + sum * size + i] = total * (FAULT(no_fade) ? 1.0f : fade);
}
#endif
