// The planes' coarser levels. A tile is halved twice in shared memory; then the last block of a
// plane goes on alone to the coarsest level, since what is left is too small to share.

// All of a plane from `level` to the next, by one block.
template <int TAPS>
__device__ void halve_plane(const Geometry& g, const float* tables, float* arena, int kind,
                            int plane, int level) {
    const float* in = arena + plane_at(g, plane, level);
    float* out = arena + plane_at(g, plane, level + 1);
    const int height = g.height[level], width = g.width[level];
    const int rows = g.height[level + 1], columns = g.width[level + 1];
    const float *down = tables + g.steps[kind][level][0],
                *across = tables + g.steps[kind][level][1];
    for (int i = threadIdx.x; i < rows * columns; i += COLUMNS) {
        const int y = i / columns, x = i - y * columns;
        float value = 0;
        for (int k = 0; k <= TAPS; ++k) {
            const float* row = in + clamp(2 * y - TAPS / 2 + k, height) * width;
            float sum = 0;
#pragma unroll
            for (int j = 0; j <= TAPS; ++j)
                sum = fmaf(__ldg(across + x * (TAPS + 1) + j),
                           __ldcg(row + clamp(2 * x - TAPS / 2 + j, width)), sum);
            value = fmaf(__ldg(down + y * (TAPS + 1) + k), sum, value);
        }
        out[i] = value;
    }
    __threadfence_block();
    __syncthreads();
}

// Two steps from `level` by tiles; with `finish` all that follow, by each plane's last block.
template <int TAPS>
__device__ __forceinline__ void halve_levels(const Geometry& g, const float* tables, float* arena,
                                             int kind, int plane, int level, int finish, int rows) {
    typedef Shape<TAPS, 2> S;
    enum { BETWEEN_ROWS = 2 * MAX_ROWS + TAPS - 1 };
    __shared__ Tile<TAPS, 1, 2> tile;
    __shared__ __align__(16) float between[BETWEEN_ROWS][S::PITCH];  // of the level between the two
    arena += size_t(blockIdx.z) * g.frame;
    const int height = g.height[level], width = g.width[level];
    const int tiles = ceil_div(g.width[level + 1], 2 * S::OUTPUTS);
    const int y = blockIdx.x / tiles * rows, x = blockIdx.x % tiles * S::OUTPUTS;
    const LevelColumn source{
        arena + plane_at(g, plane, level) + clamp(S::first(x) + int(threadIdx.x), width), height,
        width};
    const Steps steps(g, tables, kind, kind, level);
    const int last = min(level + 2, g.top);
    const auto write = [&](int step, int to_y, int to_x, float value) {
        if (level + step <= last && to_y < g.height[level + step] && to_x < g.width[level + step])
            arena[plane_at(g, plane, level + step) + to_y * g.width[level + step] + to_x] = value;
    };
    halve_tile<TAPS, 1, 2>(
        tile, source, steps, y, x, rows, height, width, 0,
        [&](int row, const float (&value)[1]) { between[row][threadIdx.x] = value[0]; },
        [&](int, int to_y, int to_x, float value) { write(2, to_y, to_x, value); });
    // Of the level between, the part that no other tile has.
    halve_across<TAPS, false>(between + S::REACH, 2 * rows, S::X1, 2 * x - S::REACH,
                              steps.across[0], steps.widths[0],
                              [&](int line, int at, const float (&out)[RUN]) {
#pragma unroll
                                  for (int o = 0; o < RUN; ++o) {
                                      const int own = at + o - S::REACH;
                                      if (own >= 0 && own < 2 * S::OUTPUTS)
                                          write(1, 2 * y + line, 2 * x + own, out[o]);
                                  }
                              });
    int* counters = reinterpret_cast<int*>(arena + g.counters);
    if (!finish || !last_of(counters + HALVED + plane, gridDim.x)) return;
    for (int l = last; l < g.top; ++l) halve_plane<TAPS>(g, tables, arena, kind, plane, l);
}

extern "C" __global__ void __launch_bounds__(COLUMNS)
    pyramid(const __grid_constant__ Geometry g, const float* tables, float* arena, int level,
            int finish, int rows) {
    const int plane = int(blockIdx.y) < PLANES ? int(blockIdx.y) : int(FLICKER);
    halve_levels<5>(g, tables, arena, PLANE_STEP, plane, level, finish, rows);
}

#if OWN_PYRAMID
extern "C" __global__ void __launch_bounds__(COLUMNS)
    pyramid_own(const __grid_constant__ Geometry g, const float* tables, float* arena, int level,
                int finish, int rows) {
    halve_levels<9>(g, tables, arena, OWN_STEP, g.own, level, finish, rows);
}
#endif
