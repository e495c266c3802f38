// Reichardt's detectors (IDP03): two frames' intensity levels to one response per direction, all
// levels in one launch. Each direction compares a sample with its neighbour on the side that things
// come from; beyond the border that is 0.

#include "common.cuh"

extern "C" __global__ void __launch_bounds__(COLUMNS) motion(MODEL, int target) {
    const int level = level_of(g, blockIdx.x), block = blockIdx.x - g.first_tile[level];
    const int height = g.height[level], width = g.width[level], size = height * width;
    const int tiles = ceil_div(width, TILE_COLUMNS);
    const int x0 = block % tiles * TILE_COLUMNS, y0 = block / tiles * TILE_ROWS;
    const float* now = arena + plane_at(g, PLANE_INTENSITY, level);
    const float* before = arena + plane_at(g, g.previous_intensity, level);
    float* out = arena + plane_at(g, target, level);
    // Where what is here now was before, moving right, up, left, down.
    const int up = FAULT(up_for_down) ? -1 : 1, right = FAULT(another_direction) ? 1 : -1;
    const int dy[4] = {0, up, 0, -up}, dx[4] = {right, 0, -right, 0};
    for (int item = threadIdx.x; item < TILE_ROWS * TILE_COLUMNS; item += COLUMNS) {
        const int y = y0 + item / TILE_COLUMNS, x = x0 + item % TILE_COLUMNS;
        if (y >= height || x >= width) continue;
        const int at = y * width + x;
        const float here_now = now[at], here_before = before[at];
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int side_y = y + dy[k], side_x = x + dx[k];
            float response = 0.0f;
            if (side_y >= 0 && side_y < height && side_x >= 0 && side_x < width) {
                const int side = side_y * width + side_x;
                response = fmaf(here_now, before[side], -(here_before * now[side]));
            }
            const float threshold = FAULT(no_motion_threshold) ? 0.0f : g.motion_threshold;
            out[k * size + at] = response >= threshold ? response : 0.0f;
        }
    }
}
