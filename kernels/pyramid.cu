// The planes' coarser levels: by tiles, which are downsampled twice in shared memory; and the
// coarsest, where a plane is small, by one block per plane.

#include "common.cuh"
#include "downsample.cuh"

// Two steps from `level` by tiles.
template <int TAPS>
INLINE void downsample_levels(const Geometry& g, const float* tables, float* arena, int kind,
                              int first_plane, int level, int rows) {
    typedef Shape<TAPS, 2> S;
    enum { BETWEEN_ROWS = 2 * MAX_ROWS + TAPS - 1 };
    __shared__ Tile<TAPS, 1, 2> tile;
    __shared__ __align__(16) float between[BETWEEN_ROWS][S::PITCH];  // of the level between the two
    arena += size_t(blockIdx.z) * g.frame;
    const int plane = first_plane + blockIdx.y, height = g.height[level], width = g.width[level];
    const int tiles = ceil_div(g.width[level + 1], 2 * S::OUTPUTS);
    const int y = blockIdx.x / tiles * rows, x = blockIdx.x % tiles * S::OUTPUTS;
    const LevelColumn source{
        arena + plane_at(g, plane, level) + clamp(S::first(x) + int(threadIdx.x), width), height,
        width};
    const Steps steps(g, tables, kind, kind, level);
    const int last = min(level + 2, g.top_level);
    const auto write = [&](int step, int to_y, int to_x, float value) {
        if (level + step <= last && to_y < g.height[level + step] && to_x < g.width[level + step])
            arena[plane_at(g, plane, level + step) + to_y * g.width[level + step] + to_x] = value;
    };
    downsample_tile<TAPS, 1, 2>(
        tile, source, steps, y, x, rows, height, width, AHEAD,
        [&](int row, const float (&value)[1]) { between[row][threadIdx.x] = value[0]; },
        [&](int, int to_y, int to_x, float value) { write(2, to_y, to_x, value); });
    // Of the level between, the part that no other tile has.
    const auto write_between = [&](int line, int at, const float (&out)[RUN]) {
#pragma unroll
        for (int o = 0; o < RUN; ++o) {
            const int inner = at + o - S::REACH;
            if (inner >= 0 && inner < 2 * S::OUTPUTS) write(1, 2 * y + line, 2 * x + inner, out[o]);
        }
    };
    const auto weight = steps.across.weights<TAPS, false>(0);
    downsample_lines(between + S::REACH, 2 * rows, S::X1, 2 * x - S::REACH, weight, write_between);
}

// All levels from `level` on, of one plane by each block: the first from memory, then in shared
// memory. Across, a thread has a column of outputs, or every so many rows of it; down, a warp has a
// row.
template <int TAPS>
__device__ void downsample_plane(const Geometry& g, const float* tables, float* arena, int kind,
                                 int first_plane, int level) {
    __shared__ float halfway[ALONE], samples[ALONE / 2];
    arena += size_t(blockIdx.z) * g.frame;
    const int plane = first_plane + blockIdx.x;
    const float* in = arena + plane_at(g, plane, level);
    for (; level < g.top_level; ++level) {
        const int height = g.height[level], width = g.width[level];
        const int rows = g.height[level + 1], columns = g.width[level + 1];
        float* out = arena + plane_at(g, plane, level + 1);
        const Weights<TAPS, false> across{tables + g.steps[kind][level][1], columns},
            down{tables + g.steps[kind][level][0], rows};
        int lanes = 32;  // threads of a row
        while (lanes < columns && lanes < int(blockDim.x)) lanes *= 2;
        const int rows_on = blockDim.x / lanes;
        for (int x = threadIdx.x % lanes; x < columns; x += lanes) {
            float weights[TAPS + 1];
            int at[TAPS + 1];
#pragma unroll
            for (int k = 0; k <= TAPS; ++k) {
                weights[k] = across(x, k);
                at[k] = clamp(2 * x - TAPS / 2 + k, width);
            }
            for (int y = threadIdx.x / lanes; y < height; y += rows_on) {
                float sum = 0;
#pragma unroll
                for (int k = 0; k <= TAPS; ++k) sum = fmaf(weights[k], in[y * width + at[k]], sum);
                halfway[y * columns + x] = sum;
            }
        }
        __syncthreads();
        for (int y = threadIdx.x / 32; y < rows; y += blockDim.x / 32) {
            float weights[TAPS + 1];
            const float* row[TAPS + 1];
#pragma unroll
            for (int k = 0; k <= TAPS; ++k) {
                weights[k] = down(y, k);
                row[k] = halfway + clamp(2 * y - TAPS / 2 + k, height) * columns;
            }
            for (int x = threadIdx.x % 32; x < columns; x += 32) {
                float sum = 0;
#pragma unroll
                for (int k = 0; k <= TAPS; ++k) sum = fmaf(weights[k], row[k][x], sum);
                out[y * columns + x] = samples[y * columns + x] = sum;
            }
        }
        __syncthreads();
        in = samples;
    }
}

// Blocks that have to fit a multiprocessor.
enum { OF_FIVE = BLACKWELL ? 4 : 8, OF_NINE = BLACKWELL ? 3 : 6 };

extern "C" __global__ void __launch_bounds__(COLUMNS, PYRAMID_TAPS == 5 ? OF_FIVE : OF_NINE)
    pyramid(MODEL, int first_plane, int level, int rows) {
    downsample_levels<PYRAMID_TAPS>(g, tables, arena, PYRAMID_STEP, first_plane, level, rows);
}
extern "C" __global__ void __launch_bounds__(1024, 1)
    coarsest_levels(MODEL, int first_plane, int level) {
    downsample_plane<PYRAMID_TAPS>(g, tables, arena, PYRAMID_STEP, first_plane, level);
}

#if HAS_ORIENTATION_PYRAMID
extern "C" __global__ void __launch_bounds__(COLUMNS, OF_NINE)
    pyramid_orientation(MODEL, int first_plane, int level, int rows) {
    downsample_levels<9>(g, tables, arena, ORIENTATION_PYRAMID_STEP, first_plane, level, rows);
}
extern "C" __global__ void __launch_bounds__(1024, 1)
    coarsest_levels_orientation(MODEL, int first_plane, int level) {
    downsample_plane<9>(g, tables, arena, ORIENTATION_PYRAMID_STEP, first_plane, level);
}
#endif
