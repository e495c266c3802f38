// Statistics of a few maps (means and covariances, in double), and what they make of the maps:
// uncorrelated ones of unit variance, of which the first stays what it is and each next one is what
// those before do not predict (Cholesky's triangle; after AWS, Garcia-Diaz et al. 2012).

#if WHITENS
// Maps that lie one after the other, at the same level.
struct Stack {
    const float* first;
    int size;
};

// z = inverse (x - mean): the triangle's rows lie one after the other. A row of a map that is flat
// is all 0.
template <int COUNT>
struct Whitener {
    float mean[COUNT], inverse[COUNT * (COUNT + 1) / 2];
    // Of the samples at one place, x: written over by z.
    __device__ __forceinline__ void apply(float (&x)[COUNT]) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) x[i] -= mean[i];
#pragma unroll
        for (int i = COUNT - 1; i >= 0; --i) {
            float z = 0.0f;
#pragma unroll
            for (int j = 0; j <= i; ++j) z = fmaf(inverse[i * (i + 1) / 2 + j], x[j], z);
            x[i] = z;
        }
    }
};
template <int COUNT>
__device__ __forceinline__ Whitener<COUNT>* whitener_at(const Geometry& g, float* arena,
                                                        int number) {
    return reinterpret_cast<Whitener<COUNT>*>(
        reinterpret_cast<Whitener<SCALES>*>(arena + g.whiteners) + number);
}

// The triangle's inverse of a covariance with a ridge; `moments` as in reference.statistics.
template <int COUNT>
__device__ void find_whitener(const double* moments, const float (&scales)[COUNT],
                              Whitener<COUNT>& out) {
    double lower[COUNT][COUNT], inverse[COUNT][COUNT], trace = 0.0;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) trace += moments[i * (COUNT + 1) + 1 + i];
    const double ridge = RIDGE * trace / COUNT + double(DARK) * double(DARK);
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        const double* row = moments + i * (COUNT + 1) + 1;
#pragma unroll
        for (int j = 0; j <= i; ++j) {
            double rest = row[j] + (i == j ? ridge : 0.0);
#pragma unroll
            for (int k = 0; k < j; ++k) rest -= lower[i][k] * lower[j][k];
            lower[i][j] = i == j ? sqrt(rest) : rest / lower[j][j];
        }
        const double flat = double(FLAT) * double(fmaxf(scales[i], DARK));
        const bool varies = row[i] > flat * flat;
        out.mean[i] = float(moments[i * (COUNT + 1)]);
#pragma unroll
        for (int j = 0; j <= i; ++j) {
            double sum = i == j ? 1.0 : 0.0;
#pragma unroll
            for (int k = j; k < i; ++k) sum -= lower[i][k] * inverse[k][j];
            inverse[i][j] = sum / lower[i][i];
            out.inverse[i * (i + 1) / 2 + j] = varies ? float(inverse[i][j]) : 0.0f;
        }
    }
}

// Whether any of COUNT maps varies, next to their signals' scales.
template <int COUNT>
__device__ bool varies(const double* moments, const float (&scales)[COUNT]) {
    bool any = false;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        const double flat = double(FLAT) * double(fmaxf(scales[i], DARK));
        any = any || moments[i * (COUNT + 1) + 1 + i] > flat * flat;
    }
    return any;
}

// The planes' signals: the frame's brightest pixel, and 1 for colours.
__device__ __forceinline__ void plane_signals(const Geometry& g, const float* arena,
                                              float (&scales)[PLANES]) {
    for (int k = 0; k < PLANES; ++k) scales[k] = k == 0 ? arena[g.found + BRIGHTEST] : 1.0f;
}

// Mean and covariance of COUNT maps, by several blocks; the last goes on to their whitener. Sums
// are taken in a fixed order.
template <int COUNT>
__device__ void measure(const Geometry& g, float* arena, const Stack& maps, int number,
                        const float (&scales)[COUNT]) {
    enum { SUMS_TAKEN = COUNT + COUNT * (COUNT + 1) / 2 };
    double sums[SUMS_TAKEN] = {};
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < maps.size;
         i += gridDim.x * blockDim.x) {
        double x[COUNT];
        int at = COUNT;
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            x[k] = double(maps.first[k * maps.size + i]);
            sums[k] += x[k];
#pragma unroll
            for (int j = 0; j <= k; ++j) sums[at++] += x[k] * x[j];
        }
    }
    double* own = reinterpret_cast<double*>(arena + g.measures) + number * MEASURE;
    const double* usual = own + MEASURES * MEASURE;
    double* parts = reinterpret_cast<double*>(arena + g.measures) + 2 * MEASURES * MEASURE +
                    number * (MEASURE_BLOCKS * MEASURE);
#pragma unroll
    for (int k = 0; k < SUMS_TAKEN; ++k) {
        const double sum = over_block(sums[k], Sum());
        if (threadIdx.x == 0) parts[blockIdx.x * MEASURE + k] = sum;
    }
    int* counters = reinterpret_cast<int*>(arena + g.counters);
    if (!last_of(counters + MEASURED + number, gridDim.x) || threadIdx.x != 0) return;
    int at = COUNT;
#pragma unroll
    for (int k = 0; k < SUMS_TAKEN; ++k) {
        sums[k] = 0.0;
        for (int block = 0; block < int(gridDim.x); ++block)
            sums[k] += __ldcg(parts + block * MEASURE + k);
        sums[k] /= double(maps.size);
    }
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        own[i * (COUNT + 1)] = sums[i];
#pragma unroll
        for (int j = 0; j <= i; ++j) {
            const double product = sums[at++] - sums[i] * sums[j];
            own[i * (COUNT + 1) + 1 + j] = own[j * (COUNT + 1) + 1 + i] =
                i == j ? fmax(product, 0.0) : product;
        }
    }
    // The frames before, unless nothing varied in them.
    const bool averaged = AVERAGES && arena[g.found + PAST] != 0.0f && varies<COUNT>(usual, scales);
    find_whitener<COUNT>(averaged ? usual : own, scales, *whitener_at<COUNT>(g, arena, number));
}

extern "C" __global__ void __launch_bounds__(THREADS)
    plane_statistics(const __grid_constant__ Geometry g, float* arena) {
    arena += size_t(blockIdx.z) * g.frame;
    float scales[PLANES];
    plane_signals(g, arena, scales);
    measure<PLANES>(g, arena, {arena + plane_at(g, 0, MAP_LEVEL), map_size(g)}, 0, scales);
}

// The decorrelated planes of every level that has some.
extern "C" __global__ void __launch_bounds__(THREADS)
    whiten(const __grid_constant__ Geometry g, float* arena) {
    arena += size_t(blockIdx.z) * g.frame;
    const Whitener<PLANES> whitener = *whitener_at<PLANES>(g, arena, 0);
    for (int level = FIRST_LEVEL; level <= g.top; ++level) {
        if (g.whitened[level] < 0) continue;
        const int size = g.height[level] * g.width[level];
        const float* in = arena + plane_at(g, 0, level);
        float* out = arena + g.whitened[level];
        for (int i = blockIdx.x * THREADS + threadIdx.x; i < size; i += gridDim.x * THREADS) {
            float x[PLANES];
#pragma unroll
            for (int k = 0; k < PLANES; ++k) x[k] = in[k * size + i];
            whitener.apply(x);
#pragma unroll
            for (int k = 0; k < PLANES; ++k) out[k * size + i] = x[k];
        }
    }
}

// --- a level's map at level 4 --------------------------------------------------------------------

// A map of one level, by columns of samples: `Column{samples, height, width}` is a source to halve.
struct Level {
    const float* samples;
    int level, height, width;
};

template <int STEPS_TAKEN, class Column>
__device__ __forceinline__ void halve_to_map(const Geometry& g, const float* tables,
                                             const Level& from, float* to, int y, int x, int rows) {
    typedef Shape<REDUCTION_TAPS, STEPS_TAKEN> S;
    __shared__ Tile<REDUCTION_TAPS, 1, STEPS_TAKEN> tile;
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const Column source{from.samples + clamp(S::first(x) + int(threadIdx.x), from.width),
                        from.height, from.width};
    halve_tile<REDUCTION_TAPS, 1, STEPS_TAKEN>(
        tile, source, Steps(g, tables, PLAIN_STEP, PLAIN_STEP, MAP_LEVEL - STEPS_TAKEN), y, x, rows,
        from.height, from.width, 0, ignore, [&](int, int to_y, int to_x, float value) {
            if (to_y < height && to_x < width) to[to_y * width + to_x] = value;
        });
}

// A tile of the map at level 4 of what lies at another level, FINEST or coarser: reduced, as it is,
// or enlarged. Tiles of coarser levels are wider, and blocks past the last have nothing to do.
template <class Column, int FINEST>
__device__ __forceinline__ void bring_tile(const Geometry& g, const float* tables,
                                           const Level& from, float* to, int rows) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const int tile = from.level == 2   ? int(Shape<REDUCTION_TAPS, 2>::OUTPUTS)
                     : from.level == 3 ? int(Shape<REDUCTION_TAPS, 1>::OUTPUTS)
                                       : int(COLUMNS);
    const int across = ceil_div(width, tile);
    const int y = blockIdx.x / across * rows, x = blockIdx.x % across * tile;
    if (y >= height) return;
    if (from.level == 2) {
        if constexpr (FINEST == 2) halve_to_map<2, Column>(g, tables, from, to, y, x, rows);
    } else if (from.level == 3) {
        halve_to_map<1, Column>(g, tables, from, to, y, x, rows);
    } else if (x + int(threadIdx.x) < width) {
        const int delta = from.level - MAP_LEVEL, at = x + threadIdx.x;
        const Between across_x = between(at, delta);
        const Column left{from.samples + clamp(across_x.low, from.width), from.height, from.width};
        const Column right{from.samples + clamp(across_x.low + 1, from.width), from.height,
                           from.width};
        for (int row = y; row < min(y + rows, height); ++row) {
            const Between down = between(row, delta);
            const float a = left.fetch(down.low), b = left.fetch(down.low + 1);
            const float above = fmaf(right.fetch(down.low) - a, across_x.t, a);
            const float below = fmaf(right.fetch(down.low + 1) - b, across_x.t, b);
            to[row * width + at] = fmaf(below - above, down.t, above);
        }
    }
}
#endif

// --- the channel ---------------------------------------------------------------------------------

#if HAS_WHITENED
extern "C" __global__ void __launch_bounds__(COLUMNS, RESIDENT)
    bring_scales(const __grid_constant__ Geometry g, const float* tables, float* arena, int rows) {
    arena += size_t(blockIdx.z) * g.frame;
    const int energy = blockIdx.y / SCALES, level = FIRST_LEVEL + blockIdx.y % SCALES;
    const int height = g.height[level], width = g.width[level];
    bring_tile<LevelColumn, FIRST_LEVEL>(
        g, tables, {arena + g.energies[level] + energy * height * width, level, height, width},
        arena + g.scales + blockIdx.y * map_size(g), rows);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    scale_statistics(const __grid_constant__ Geometry g, float* arena) {
    arena += size_t(blockIdx.z) * g.frame;
    const int energy = blockIdx.y, size = map_size(g);
    const float scales[SCALES] = {1.0f, 1.0f, 1.0f, 1.0f};
    measure<SCALES>(g, arena, {arena + g.scales + energy * SCALES * size, size}, 1 + energy,
                    scales);
}

// The conspicuity map: how far the energies of all planes and orientations are from their means,
// each in units of what is usual, faded towards the border.
extern "C" __global__ void __launch_bounds__(THREADS)
    unlikeness(const __grid_constant__ Geometry g, const float* tables, float* arena) {
    arena += size_t(blockIdx.z) * g.frame;
    const int size = map_size(g), width = g.width[MAP_LEVEL];
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= size) return;
    float sum = 0.0f, signals[PLANES];
    plane_signals(g, arena, signals);
    // Where the frame does not vary, all of it is as unlike what came before.
    const double* planes = reinterpret_cast<const double*>(arena + g.measures);
    const int energies = varies<PLANES>(planes, signals) ? 4 * PLANES : 0;
    for (int energy = 0; energy < energies; ++energy) {
        const float* maps = arena + g.scales + energy * SCALES * size + i;
        float z[SCALES];
#pragma unroll
        for (int k = 0; k < SCALES; ++k) z[k] = maps[k * size];
        whitener_at<SCALES>(g, arena, 1 + energy)->apply(z);
        float unlike = 0.0f;
#pragma unroll
        for (int k = 0; k < SCALES; ++k) unlike = fmaf(z[k], z[k], unlike);
        sum += unlike;
    }
    const int y = i / width, x = i - y * width;
    const float fade = __ldg(tables + g.border[0] + y) * __ldg(tables + g.border[1] + x);
    arena[g.sums + (FEATURES + group_of(FEATURES)) * size + i] = sum * fade;
}
#endif
