// A caller's map that lies on the device, weighted, at the map's level; averaged over the pixels
// around each sample if it has the frame's size.

#include "common.cuh"

// `given` is one map for all frames, or one for each; it goes to the slot of that number, of
// `slots` per frame. Values that are not allowed become NaN, since nobody may be waiting to be told.
extern "C" __global__ void __launch_bounds__(THREADS)
    channel(MODEL, const float* given, float* channel_maps, int whole_frame, int each, int slot,
            int slots, float weight) {
    const int i = blockIdx.x * THREADS + threadIdx.x;
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    if (i >= height * width) return;
    int y = i / width, x = i - y * width, y_end = y + 1, x_end = x + 1, pitch = width;
    int size = height * width;
    if (whole_frame) {
        const float *rows = tables + g.edges[0] + y, *columns = tables + g.edges[1] + x;
        y = int(__ldg(rows)), y_end = max(int(__ldg(rows + 1)), y + 1);
        x = int(__ldg(columns)), x_end = max(int(__ldg(columns + 1)), x + 1);
        pitch = g.width[0], size = g.height[0] * pitch;
    }
    if (each) given += size_t(blockIdx.z) * size;
    float sum = 0;
    for (int row = y; row < y_end; ++row)
        for (int column = x; column < x_end + FAULT(one_pixel_too_many); ++column) {
            const float value = __ldg(given + row * pitch + column);
            const bool allowed = value >= 0.0f && value * weight <= CHANNEL_LIMIT;
            sum += allowed ? value : __int_as_float(0x7fffffff);
        }
    const float mean = sum / float((y_end - y) * (x_end - x));
    channel_maps[(size_t(blockIdx.z) * slots + slot) * height * width + i] = mean * weight;
}
