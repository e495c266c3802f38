// The map over its maximum, at the frame's size: bilinear, on the map's own grid.

#include "common.cuh"

// Where a pixel lies between two of `count` samples, of which there are `samples` for each `pixels`
// pixels. The first one lies in the middle of its pixels or, if `on_first`, on pixel 0.
struct Position {
    int before, after;
    float fraction;
    INLINE Position(int pixel, int pixels, int samples, int on_first, int count) {
        const int at = samples * (2 * pixel + !on_first) - (on_first ? 0 : pixels);
        before = min(max(at, 0) / (2 * pixels), count - 1), after = min(before + 1, count - 1);
        fraction = float(max(at, 0) - before * 2 * pixels) / float(2 * pixels);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS)
    upsample(MODEL, const float* maps, float* out, int pixels_down, int samples_down,
             int on_first_row, int pixels_across, int samples_across, int on_first_column) {
    const int column = blockIdx.x * THREADS + threadIdx.x;
    const int height = g.height[0], width = g.width[0], rows = g.height[MAP_LEVEL],
              columns = g.width[MAP_LEVEL];
    if (column >= width) return;
    const float peak = found_in(g, arena + size_t(blockIdx.z) * g.frame).peak;
    const float* map = maps + size_t(blockIdx.z) * rows * columns;
    const Position x(column, pixels_across, samples_across, on_first_column, columns);
    for (int row = blockIdx.y; row < height; row += gridDim.y) {
        const Position y(row, pixels_down, samples_down, on_first_row, rows);
        const float* low = map + y.before * columns;
        const float* high = map + y.after * columns;
        const float first = __ldg(low + x.before), second = __ldg(high + x.before);
        const float a = fmaf(__ldg(low + x.after) - first, x.fraction, first);
        const float b = fmaf(__ldg(high + x.after) - second, x.fraction, second);
        const float value = fmaf(b - a, y.fraction, a);
        out[(size_t(blockIdx.z) * height + row) * width + column + FAULT(one_column_on)] =
            peak > 0.0f ? value / peak : value;
    }
}
