// |centre - surround| of every feature and pair, downsampled to the map's level as it is made: the
// surround is upsampled and the difference taken in registers, so that no map exists at its own
// size. The border's fade is part of the first step's weights.

#include "common.cuh"
#include "resample.cuh"

// One column of a surround, upsampled along x, as it goes down the rows of its centre.
template <int DELTA>
struct SurroundColumn {
    const float *left, *right;
    float across;  // between the two
    int height, pitch;
    int low;  // of the two rows at hand
    float above, below;

    INLINE SurroundColumn(const Geometry& g, const float* plane, int level, int x, int y)
        : height(g.height[level]), pitch(g.width[level]) {
        const Interpolation at = interpolation(x, DELTA);
        left = plane + clamp(at.low, pitch);
        right = plane + clamp(at.low + 1, pitch);
        across = at.t;
        low = interpolation(y, DELTA).low;
        above = sample(low);
        below = sample(low + 1);
    }
    INLINE float sample(int row) const {
        const int at = clamp(row, height) * pitch;
        const float a = __ldg(left + at), b = __ldg(right + at);
        return fmaf(b - a, across, a);
    }
    // At rows y and y + 1, y even, so that both lie between the same two. Pairs come in order.
    INLINE void at(int y, float& even, float& odd) {
        const Interpolation down = interpolation(y, DELTA);
        if (down.low != low) {
            low = down.low;
            above = below;
            below = sample(low + 1);
        }
        const float rise = below - above, step = UPSAMPLING_REPLICATE ? 0.0f : 1.0f / (1 << DELTA);
        even = fmaf(rise, down.t, above);
        odd = fmaf(rise, down.t + step, above);
    }
};

// What is kept of a difference: its size, its two halves, or the positive one.
INLINE void contrast(float difference, bool rectified, float* value) {
    if constexpr (HALVES == 2) {
        value[0] = fmaxf(difference, 0.0f);
        value[1] = fmaxf(-difference, 0.0f);
    } else {
        value[0] = rectified ? fmaxf(difference, 0.0f) : fabsf(difference);
    }
}

// A column of a centre against both its surrounds: a source.
enum { CONTRASTS = 2 * HALVES };
struct ContrastColumn {
    typedef float Fetched;
    const float* column;
    int height, pitch;
    SurroundColumn<NEAR> near;
    SurroundColumn<FAR> far;
    bool rectified;

    template <bool INSIDE>
    INLINE float fetch(int y) const {
        return __ldg(column + clamp(y, height) * pitch);
    }
    INLINE void values(float even, float odd, int y, float (&a)[CONTRASTS], float (&b)[CONTRASTS]) {
        float above, below;
        near.at(y, above, below);
        contrast(even - above, rectified, a);
        contrast(odd - below, rectified, b);
        if (!FAULT(the_wrong_surround)) far.at(y, above, below);
        contrast(even - above, rectified, a + HALVES);
        contrast(odd - below, rectified, b + HALVES);
    }
};
// The column of centre level `level`, of a row's feature. Where the far surround does not exist the
// near one stands in, and what comes of it is not used.
INLINE ContrastColumn contrast_column(const Geometry& g, const float* arena, int row, int level,
                                      int x, int y) {
    const int plane = g.plane[row], near = level + NEAR, far = min(level + FAR, g.top_level);
    return {arena + plane_at(g, plane, level) + clamp(x, g.width[level]),
            g.height[level],
            g.width[level],
            SurroundColumn<NEAR>(g, arena + plane_at(g, plane, near), near, x, y),
            SurroundColumn<FAR>(g, arena + plane_at(g, plane, far), far, x, y),
            ORIENTATION_CONTRAST_RECTIFIED && g.rectified[row]};
}

// Where the maps of a feature at one centre level go: near surround, then far.
struct Maps {
    float* first;
    int height, width;
    bool far_exists;
    INLINE void write(int c, int y, int x, float value) const {
        if (y < height && x < width && (c < HALVES || far_exists))
            first[(c * height + y) * width + x] = value;
    }
};

// `rows` rows of a tile of the maps, STEPS_TAKEN steps from their centre.
template <int STEPS_TAKEN>
INLINE void reduce_tile(const Geometry& g, const float* tables, const float* arena,
                        const Maps& maps, int row, int y, int x, int rows) {
    enum { CENTRE = MAP_LEVEL - STEPS_TAKEN };
    typedef Shape<REDUCTION_TAPS, STEPS_TAKEN> S;
    __shared__ Tile<REDUCTION_TAPS, CONTRASTS, STEPS_TAKEN> tile;
    const int height = g.height[CENTRE], width = g.width[CENTRE];
    const ContrastColumn source =
        contrast_column(g, arena, row, CENTRE, S::first(x) + int(threadIdx.x), S::first(y));
    const int faded = max(height, width) / 20;  // the fade is in the table
    downsample_tile<REDUCTION_TAPS, CONTRASTS, STEPS_TAKEN>(
        tile, source, Steps(g, tables, FADED_MAP_STEP, MAP_STEP, CENTRE), y, x, rows, height, width,
        faded, ignore,
        [&](int c, int to_y, int to_x, float value) { maps.write(c, to_y, to_x, value); });
}

// At the map's level there is nothing to downsample: only the fade.
INLINE void fade_tile(const Geometry& g, const float* tables, const float* arena, const Maps& maps,
                      int row, int y, int x, int rows) {
    x += threadIdx.x;
    if (x >= maps.width) return;
    ContrastColumn source = contrast_column(g, arena, row, MAP_LEVEL, x, y);
    const float *fade = tables + g.map_fade[0], across = __ldg(tables + g.map_fade[1] + x);
    for (const int last = min(y + rows, maps.height); y < last; y += 2) {
        float even[CONTRASTS], odd[CONTRASTS];
        source.values(source.fetch<false>(y), source.fetch<false>(y + 1), y, even, odd);
        for (int c = 0; c < CONTRASTS; ++c) {
            maps.write(c, y, x, even[c] * (__ldg(fade + y) * across));
            maps.write(c, y + 1, x, odd[c] * (__ldg(fade + min(y + 1, maps.height - 1)) * across));
        }
    }
}

// A list of the tiles of every centre level, the most work, and so the finest, first.
extern "C" __global__ void __launch_bounds__(COLUMNS, RESIDENT) centre_surround(MODEL, int rows) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const int down = ceil_div(height, rows);
    int block = blockIdx.x, level = FINEST_LEVEL, across = ceil_div(width, map_tile_width(level));
    while (block >= down * across) {
        block -= down * across;
        across = ceil_div(width, map_tile_width(++level));
    }
    const int y = block / across * rows, x = block % across * map_tile_width(level);

    const int row = blockIdx.y, slot = 2 * (level - FINEST_LEVEL);
    if (!(g.pairs >> slot & 1)) return;
    arena += size_t(blockIdx.z) * g.frame;
    const int number = map_number(g.feature[row], slot);
    const Maps maps{arena + g.maps + number * map_size(g), height, width,
                    bool(g.pairs >> (slot + 1) & 1)};
    if (level == MAP_LEVEL - 2) {
        reduce_tile<2>(g, tables, arena, maps, row, y, x, rows);
    } else if (level == MAP_LEVEL - 1) {
        reduce_tile<1>(g, tables, arena, maps, row, y, x, rows);
    } else {
        fade_tile(g, tables, arena, maps, row, y, x, rows);
    }
}
