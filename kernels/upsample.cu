// The map over its maximum, at the frame's size: bilinear, on the pyramid's own grid.

#include "common.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
    upsample(MODEL, const float* maps, float* out) {
    const int x = blockIdx.x * THREADS + threadIdx.x;
    const int height = g.height[0], width = g.width[0], rows = g.height[MAP_LEVEL],
              columns = g.width[MAP_LEVEL];
    if (x >= width) return;
    const float peak = found_in(g, arena + size_t(blockIdx.z) * g.frame).peak;
    const float* map = maps + size_t(blockIdx.z) * rows * columns;
    const float step = 1 << MAP_LEVEL, offset = PHASE_EVEN ? 0.0f : (step - 1) / 2;
    const float ax = fminf(fmaxf((x - offset) / step, 0.0f), columns - 1.0f);
    const int left = int(ax), right = min(left + 1, columns - 1);
    const float tx = ax - left;
    for (int y = blockIdx.y; y < height; y += gridDim.y) {
        const float ay = fminf(fmaxf((y - offset) / step, 0.0f), rows - 1.0f);
        const int up = int(ay), down = min(up + 1, rows - 1);
        const float* low = map + up * columns;
        const float* high = map + down * columns;
        const float a = fmaf(__ldg(low + right) - __ldg(low + left), tx, __ldg(low + left));
        const float b = fmaf(__ldg(high + right) - __ldg(high + left), tx, __ldg(high + left));
        const float value = fmaf(b - a, ay - up, a);
        out[(size_t(blockIdx.z) * height + y) * width + x + FAULT(one_column_on)] =
            peak > 0.0f ? value / peak : value;
    }
}
