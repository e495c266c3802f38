// The planes' coarser levels. A tile is halved twice in shared memory; then the last block of a plane
// goes on alone to the coarsest level, since what is left is too small to share.

// One level of one plane: a source of samples to halve.
struct Level {
    const float* plane;
    int height, width;

    template <bool PLAIN, int SAMPLES>
    struct Row {
        const float* row;
        int first, width;
        __device__ __forceinline__ Row(const Level& source, int y, int x) : first(x), width(source.width) {
            row = source.plane + (PLAIN ? y : clamp(y, source.height)) * width;
        }
        __device__ __forceinline__ void operator()(int p, float (&value)[1]) const {
            value[0] = row[PLAIN ? first + p : clamp(first + p, width)];
        }
    };
};

// All of a plane from `level` to the next, by one block.
template <int TAPS>
__device__ void halve_plane(const Geometry& g, const float* tables, float* arena, int kind, int plane, int level) {
    const float* in = arena + plane_at(g, plane, level);
    float* out = arena + plane_at(g, plane, level + 1);
    const int height = g.height[level], width = g.width[level];
    const int rows = g.height[level + 1], columns = g.width[level + 1];
    const float *down = tables + g.steps[kind][level][0], *across = tables + g.steps[kind][level][1];
    for (int i = threadIdx.x; i < rows * columns; i += THREADS) {
        const int y = i / columns, x = i - y * columns;
        float value = 0;
        for (int k = 0; k <= TAPS; ++k) {
            const float* row = in + clamp(2 * y - TAPS / 2 + k, height) * width;
            float sum = 0;
#pragma unroll
            for (int j = 0; j <= TAPS; ++j)
                sum = fmaf(__ldg(across + x * (TAPS + 1) + j), __ldcg(row + clamp(2 * x - TAPS / 2 + j, width)), sum);
            value = fmaf(__ldg(down + y * (TAPS + 1) + k), sum, value);
        }
        out[i] = value;
    }
    __threadfence_block();
    __syncthreads();
}

// Two steps from `level` by tiles; with `finish` all that follow, by each plane's last block.
template <int TAPS>
__device__ __forceinline__ void halve_levels(const Geometry& g, const float* tables, float* arena, int kind,
                                             int plane, int level, int finish) {
    typedef Tile<TAPS, 1, 2> Shared;
    __shared__ Shared tile;
    arena += size_t(blockIdx.z) * g.frame;
    const Level source{arena + plane_at(g, plane, level), g.height[level], g.width[level]};
    const int across = ceil_div(g.width[level + 1], 2 * TILE_X);
    const int x2 = blockIdx.x % across * TILE_X, y2 = blockIdx.x / across * TILE_Y;
    const int x1 = 2 * x2 - Shared::REACH, y1 = 2 * y2 - Shared::REACH;
    const int x0 = 2 * x1 - Shared::REACH, y0 = 2 * y1 - Shared::REACH;
    const float* const steps[2][2] = {
        {tables + g.steps[kind][level][0], tables + g.steps[kind][level][1]},
        {tables + g.steps[kind][level + 1][0], tables + g.steps[kind][level + 1][1]}};
    const int sizes[2][2] = {{g.height[level + 1], g.width[level + 1]}, {g.height[level + 2], g.width[level + 2]}};
    const int last = min(level + 2, g.top);
    const auto write = [&](int, int step, int y, int x, float value) {
        if (level + step <= last && y < sizes[step - 1][0] && x < sizes[step - 1][1])
            arena[plane_at(g, plane, level + step) + y * sizes[step - 1][1] + x] = value;
    };
    if (x0 >= 0 && y0 >= 0 && x0 + Shared::X0 <= source.width && y0 + Shared::Y0 <= source.height) {
        halve_across<TAPS, 1, true>(tile, source, x1, y0, steps[0][1], sizes[0][1]);
        __syncthreads();
        halve_again<TAPS, 1, true>(tile, x2, y2, steps, sizes, write);
    } else {
        halve_across<TAPS, 1, false>(tile, source, x1, y0, steps[0][1], sizes[0][1]);
        __syncthreads();
        halve_again<TAPS, 1, false>(tile, x2, y2, steps, sizes, write);
    }
    int* counters = reinterpret_cast<int*>(arena + g.counters);
    if (!finish || !last_of(counters + HALVED + plane, gridDim.x)) return;
    for (int l = last; l < g.top; ++l) halve_plane<TAPS>(g, tables, arena, kind, plane, l);
}

extern "C" __global__ void __launch_bounds__(THREADS) pyramid(
    const __grid_constant__ Geometry g, const float* tables, float* arena, int level, int finish) {
    halve_levels<5>(g, tables, arena, PLANE_STEP, blockIdx.y, level, finish);
}

#if OWN_PYRAMID
extern "C" __global__ void __launch_bounds__(THREADS) pyramid_own(
    const __grid_constant__ Geometry g, const float* tables, float* arena, int level, int finish) {
    halve_levels<9>(g, tables, arena, OWN_STEP, OWN, level, finish);
}
#endif
