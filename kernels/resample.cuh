// Samples of one level at another: bilinear, or by block replication; maps at the map's level.

#include "downsample.cuh"

// Where sample p lies between the samples of `delta` levels above: low + t (high - low).
struct Interpolation {
    int low;
    float t;
};
INLINE Interpolation interpolation(int p, int delta) {
    const int size = 1 << delta;
    if (UPSAMPLING_REPLICATE || delta == 0) return {p >> delta, 0.0f};
    if (PHASE_EVEN) return {p >> delta, float(p & (size - 1)) * (1.0f / float(size))};
    p += size / 2;
    return {(p >> delta) - 1, (float(p & (size - 1)) + 0.5f) * (1.0f / float(size))};
}

// Blocks that have to fit a multiprocessor: as few as leave registers enough for every sum that is
// incomplete.
enum { RESIDENT = 2 - SPLIT_CS + (REDUCTION_TAPS == 5 ? 2 - BLACKWELL : PHASE_EVEN && !BLACKWELL) };

// Width of a tile of maps at their level, of samples of another one.
INLINE int map_tile_width(int level) {
    return level == MAP_LEVEL - 2   ? int(Shape<REDUCTION_TAPS, 2>::OUTPUTS)
           : level == MAP_LEVEL - 1 ? int(Shape<REDUCTION_TAPS, 1>::OUTPUTS)
                                    : int(COLUMNS);
}

// A map of one level, by columns of samples: `Column{samples, height, width}` is a source.
struct Level {
    const float* samples;
    int level, height, width;
};

template <int STEPS_TAKEN, class Column>
INLINE void downsample_to_map(const Geometry& g, const float* tables, const Level& from, float* to,
                              int y, int x, int rows) {
    typedef Shape<REDUCTION_TAPS, STEPS_TAKEN> S;
    __shared__ Tile<REDUCTION_TAPS, 1, STEPS_TAKEN> tile;
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const Column source{from.samples + clamp(S::first(x) + int(threadIdx.x), from.width),
                        from.height, from.width};
    downsample_tile<REDUCTION_TAPS, 1, STEPS_TAKEN>(
        tile, source, Steps(g, tables, MAP_STEP, MAP_STEP, MAP_LEVEL - STEPS_TAKEN), y, x, rows,
        from.height, from.width, AHEAD, ignore, [&](int, int to_y, int to_x, float value) {
            if (to_y < height && to_x < width) to[to_y * width + to_x] = value;
        });
}

// A tile of the map at its level of what lies at another level, FINEST or coarser. Tiles of coarser
// levels are wider, and blocks past the last have nothing to do.
template <class Column, int FINEST>
INLINE void resample_tile(const Geometry& g, const float* tables, const Level& from, float* to,
                          int rows) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const int tile = map_tile_width(from.level), across = ceil_div(width, tile);
    const int y = blockIdx.x / across * rows, x = blockIdx.x % across * tile;
    if (y >= height) return;
    if (from.level == MAP_LEVEL - 2) {
        if constexpr (FINEST == MAP_LEVEL - 2)
            downsample_to_map<2, Column>(g, tables, from, to, y, x, rows);
    } else if (from.level == MAP_LEVEL - 1) {
        downsample_to_map<1, Column>(g, tables, from, to, y, x, rows);
    } else if (x + int(threadIdx.x) < width) {
        const int delta = from.level - MAP_LEVEL, at = x + threadIdx.x;
        const Interpolation along = interpolation(at, delta);
        const Column left{from.samples + clamp(along.low, from.width), from.height, from.width};
        const Column right{from.samples + clamp(along.low + 1, from.width), from.height,
                           from.width};
        for (int row = y; row < min(y + rows, height); ++row) {
            const Interpolation down = interpolation(row, delta);
            const auto at_row = [&](int y) {
                const float a = left.template fetch<false>(y);
                return fmaf(right.template fetch<false>(y) - a, along.t, a);
            };
            const float above = at_row(down.low), below = at_row(down.low + 1);
            to[row * width + at] = fmaf(below - above, down.t, above);
        }
    }
}
