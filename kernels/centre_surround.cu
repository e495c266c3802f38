// |centre - surround| of every feature and pair, reduced to level 4 as it is made: the surround is
// enlarged and the difference taken in registers, so that no map exists at its own size. The border's
// fade is part of the first step's weights.

// Where sample p of a centre lies between the samples of a surround: low + t (high - low).
struct Between {
    int low;
    float t;
};
__device__ __forceinline__ Between between(int p, int delta) {
    const int size = 1 << delta;
    if (EVEN || REPLICATE) return {p >> delta, REPLICATE ? 0.0f : float(p & (size - 1)) / float(size)};
    p += size / 2;
    return {(p >> delta) - 1, (float(p & (size - 1)) + 0.5f) / float(size)};
}

// What is kept of a difference: its size, its two halves, or (RECTIFIED, of directions) the positive.
__device__ __forceinline__ void contrast(float difference, bool rectified, float (&value)[HALVES]) {
    if constexpr (HALVES == 2) {
        value[0] = fmaxf(difference, 0.0f);
        value[1] = fmaxf(-difference, 0.0f);
    } else {
        value[0] = rectified ? fmaxf(difference, 0.0f) : fabsf(difference);
    }
}

// A surround enlarged along y for the rows of one tile of its centre, in shared memory.
enum { ENLARGED_COLUMNS = 16 };  // a tile has at most 88 columns, an eighth of it and two more
template <int ROWS>
struct Enlarged {
    float row[ROWS][ENLARGED_COLUMNS];
    __device__ void fill(const float* surround, int height, int width, int y0, int first, int columns, int delta) {
        for (int i = threadIdx.x; i < ROWS * columns; i += THREADS) {
            const int r = i / columns, j = i - r * columns, x = clamp(first + j, width);
            const Between at = between(y0 + r, delta);
            const float a = __ldg(surround + clamp(at.low, height) * width + x);
            const float b = __ldg(surround + clamp(at.low + 1, height) * width + x);
            row[r][j] = fmaf(b - a, at.t, a);
        }
    }
};

// Centre against enlarged surround: a source of samples to halve.
template <int ROWS>
struct Contrast {
    const float* centre;
    const Enlarged<ROWS>& enlarged;
    int height, width, y0, first, delta;
    bool rectified;

    template <bool PLAIN, int SAMPLES>
    struct Row {
        const Contrast& from;
        const float *centre, *surround;
        int x;
        __device__ __forceinline__ Row(const Contrast& source, int y, int first) : from(source), x(first) {
            centre = from.centre + (PLAIN ? y : clamp(y, from.height)) * from.width;
            surround = from.enlarged.row[y - from.y0];
        }
        __device__ __forceinline__ void operator()(int p, float (&value)[HALVES]) const {
            const Between at = between(x + p, from.delta);
            const float a = surround[at.low - from.first], b = surround[at.low + 1 - from.first];
            const float c = __ldg(centre + (PLAIN ? x + p : clamp(x + p, from.width)));
            contrast(c - fmaf(b - a, at.t, a), from.rectified, value);
        }
    };
};

// One tile of one map, STEPS_TAKEN halvings below its centre.
template <int STEPS_TAKEN>
__device__ __forceinline__ void reduce_tile(const Geometry& g, const float* tables, const float* arena, float* map,
                                            int feature, int slot, int x2, int y2) {
    enum { CENTRE = MAP_LEVEL - STEPS_TAKEN };
    typedef Tile<REDUCTION_TAPS, HALVES, STEPS_TAKEN> Shared;
    __shared__ Shared tile;
    __shared__ Enlarged<Shared::Y0> enlarged;
    const int level = surround_of(slot), delta = level - CENTRE;
    const int x1 = STEPS_TAKEN == 2 ? 2 * x2 - Shared::REACH : x2, y1 = STEPS_TAKEN == 2 ? 2 * y2 - Shared::REACH : y2;
    const int x0 = 2 * x1 - Shared::REACH, y0 = 2 * y1 - Shared::REACH;
    const int first = between(x0, delta).low, columns = between(x0 + Shared::X0 - 1, delta).low + 2 - first;
    enlarged.fill(arena + plane_at(g, feature, level), g.height[level], g.width[level], y0, first, columns, delta);
    __syncthreads();

    const int height = g.height[CENTRE], width = g.width[CENTRE];
    const Contrast<Shared::Y0> source{
        arena + plane_at(g, feature, CENTRE), enlarged, height, width, y0, first, delta, RECTIFIED && feature >= ORIENTED};
    const int rows = g.height[MAP_LEVEL], wide = g.width[MAP_LEVEL];
    const auto write = [&](int half, int step, int y, int x, float value) {
        if (step == 2 && y < rows && x < wide) map[half * rows * wide + y * wide + x] = value;
    };
    const int faded = max(height, width) / 20;  // the fade is in the table, borders or not
    const bool plain = x0 >= faded && y0 >= faded && x0 + Shared::X0 + faded <= width && y0 + Shared::Y0 + faded <= height;
    const float* const steps[2][2] = {
        {tables + g.steps[FADED_STEP][CENTRE][0], tables + g.steps[FADED_STEP][CENTRE][1]},
        {tables + g.steps[PLAIN_STEP][MAP_LEVEL - 1][0], tables + g.steps[PLAIN_STEP][MAP_LEVEL - 1][1]}};
    const int sizes[2][2] = {{g.height[CENTRE + 1], g.width[CENTRE + 1]}, {rows, wide}};
    if (plain) {
        halve_across<REDUCTION_TAPS, HALVES, true>(tile, source, x1, y0, steps[0][1], sizes[0][1]);
    } else {
        halve_across<REDUCTION_TAPS, HALVES, false>(tile, source, x1, y0, steps[0][1], sizes[0][1]);
    }
    __syncthreads();
    if constexpr (STEPS_TAKEN == 2) {
        if (plain) {
            halve_again<REDUCTION_TAPS, HALVES, true>(tile, x2, y2, steps, sizes, write);
        } else {
            halve_again<REDUCTION_TAPS, HALVES, false>(tile, x2, y2, steps, sizes, write);
        }
    } else {
        for (int i = threadIdx.x; i < HALVES * TILE_Y * TILE_X; i += THREADS) {
            const int x = i % TILE_X, y = i / TILE_X % TILE_Y, half = i / (TILE_X * TILE_Y);
            const Weights<REDUCTION_TAPS, false> down{steps[0][0], rows};
            write(half, 2, y2 + y, x2 + x, halve_down<REDUCTION_TAPS, false>(tile.across[half], y, x, y2, down));
        }
    }
}

// At level 4 there is nothing to reduce: only the fade.
__device__ __forceinline__ void fade_tile(const Geometry& g, const float* tables, const float* arena, float* map,
                                          int feature, int slot, int x2, int y2) {
    const int level = surround_of(slot), delta = level - MAP_LEVEL;
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const float *surround = arena + plane_at(g, feature, level), *centre = arena + plane_at(g, feature, MAP_LEVEL);
    const int y = y2 + threadIdx.x / TILE_X, x = x2 + threadIdx.x % TILE_X;
    if (threadIdx.x >= TILE_X * TILE_Y || y >= height || x >= width) return;
    const Between down = between(y, delta), across = between(x, delta);
    const int columns = g.width[level];
    const float* low = surround + clamp(down.low, g.height[level]) * columns;
    const float* high = surround + clamp(down.low + 1, g.height[level]) * columns;
    const int left = clamp(across.low, columns), right = clamp(across.low + 1, columns);
    const float a = fmaf(__ldg(high + left) - __ldg(low + left), down.t, __ldg(low + left));
    const float b = fmaf(__ldg(high + right) - __ldg(low + right), down.t, __ldg(low + right));
    float value[HALVES];
    contrast(__ldg(centre + y * width + x) - fmaf(b - a, across.t, a), RECTIFIED && feature >= ORIENTED, value);
    const float scale = __ldg(tables + g.fade[0] + y) * __ldg(tables + g.fade[1] + x);
    for (int half = 0; half < HALVES; ++half) map[half * height * width + y * width + x] = value[half] * scale;
}

extern "C" __global__ void __launch_bounds__(THREADS) centre_surround(
    const __grid_constant__ Geometry g, const float* tables, float* arena) {
    const int across = ceil_div(g.width[MAP_LEVEL], TILE_X), tiles = across * ceil_div(g.height[MAP_LEVEL], TILE_Y);
    const int slot = blockIdx.x / tiles, place = blockIdx.x % tiles;  // the most work first
    if (!(g.pairs >> slot & 1)) return;
    const int x2 = place % across * TILE_X, y2 = place / across * TILE_Y;
    const int feature = g.features[blockIdx.y];
    arena += size_t(blockIdx.z) * g.frame;
    float* map = arena + g.maps + map_number(feature, slot) * map_size(g);
    if (slot < 2) {
        reduce_tile<2>(g, tables, arena, map, feature, slot, x2, y2);
    } else if (slot < 4) {
        reduce_tile<1>(g, tables, arena, map, feature, slot, x2, y2);
    } else {
        fade_tile(g, tables, arena, map, feature, slot, x2, y2);
    }
}
