// Reichardt's detectors (IDP03): two frames' intensity levels to one response per direction, all
// levels in one launch, by the tiles of orientation. Each direction compares a sample with its
// neighbour on the side that things come from; beyond the border that is 0.

#if HAS_MOTION
extern "C" __global__ void __launch_bounds__(COLUMNS)
    motion(const __grid_constant__ Geometry g, float* arena) {
    const int level = level_of(g, blockIdx.x);
    const int block = blockIdx.x - g.first_block[level];
    const int height = g.height[level], width = g.width[level], size = height * width;
    const int tiles = ceil_div(width, ENERGY_X);
    const int x0 = block % tiles * ENERGY_X, y0 = block / tiles * ENERGY_ROWS;
    const float* now = arena + plane_at(g, 0, level);
    const float* before = arena + plane_at(g, g.before, level);
    float* out = arena + plane_at(g, MOVING, level);
    // To the right, up, to the left, down: where what is here now was before.
    const int dy[4] = {0, 1, 0, -1}, dx[4] = {-1, 0, 1, 0};
    for (int item = threadIdx.x; item < ENERGY_ROWS * ENERGY_X; item += COLUMNS) {
        const int y = y0 + item / ENERGY_X, x = x0 + item % ENERGY_X;
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
            out[k * size + at] = response >= g.motion ? response : 0.0f;
        }
    }
}
#endif
