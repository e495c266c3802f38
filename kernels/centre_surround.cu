// |centre - surround| of every feature and pair, reduced to level 4 as it is made: the surround is
// enlarged and the difference taken in registers, so that no map exists at its own size. The
// border's fade is part of the first step's weights.

// Where sample p lies between the samples of `delta` levels above: low + t (high - low).
struct Between {
    int low;
    float t;
};
__device__ __forceinline__ Between between(int p, int delta) {
    const int size = 1 << delta;
    if (REPLICATE || delta == 0) return {p >> delta, 0.0f};
    if (EVEN) return {p >> delta, float(p & (size - 1)) * (1.0f / float(size))};
    p += size / 2;
    return {(p >> delta) - 1, (float(p & (size - 1)) + 0.5f) * (1.0f / float(size))};
}

// One column of a surround, enlarged along x, on its way down the rows of its centre.
template <int DELTA>
struct SurroundColumn {
    const float *left, *right;
    float across;  // between the two
    int height, pitch;
    int low;  // of the two rows at hand
    float above, below;

    __device__ __forceinline__ SurroundColumn(const float* plane, int rows, int columns, int x,
                                              int y)
        : height(rows), pitch(columns) {
        const Between at = between(x, DELTA);
        left = plane + clamp(at.low, columns);
        right = plane + clamp(at.low + 1, columns);
        across = at.t;
        low = between(y, DELTA).low;
        above = sample(low);
        below = sample(low + 1);
    }
    __device__ __forceinline__ float sample(int row) const {
        const int at = clamp(row, height) * pitch;
        const float a = __ldg(left + at), b = __ldg(right + at);
        return fmaf(b - a, across, a);
    }
    // At rows y and y + 1, y even, so that both lie between the same two. Pairs come in order.
    __device__ __forceinline__ void at(int y, float& even, float& odd) {
        const Between down = between(y, DELTA);
        if (down.low != low) {
            low = down.low;
            above = below;
            below = sample(low + 1);
        }
        const float rise = below - above, step = REPLICATE ? 0.0f : 1.0f / (1 << DELTA);
        even = fmaf(rise, down.t, above);
        odd = fmaf(rise, down.t + step, above);
    }
};

// What is kept of a difference: its size, its two halves, or (RECTIFIED, of orientation) the
// positive.
__device__ __forceinline__ void contrast(float difference, bool rectified, float* value) {
    if constexpr (HALVES == 2) {
        value[0] = fmaxf(difference, 0.0f);
        value[1] = fmaxf(-difference, 0.0f);
    } else {
        value[0] = rectified ? fmaxf(difference, 0.0f) : fabsf(difference);
    }
}

// A column of a centre against both its surrounds: a source of samples to halve.
enum { CONTRASTS = 2 * HALVES };
struct ContrastColumn {
    typedef float Fetched;
    const float* column;
    int height, pitch;
    SurroundColumn<3> near;
    SurroundColumn<4> far;
    bool rectified;

    __device__ __forceinline__ float fetch(int y) const {
        return __ldg(column + clamp(y, height) * pitch);
    }
    __device__ __forceinline__ void values(float even, float odd, int y, float (&a)[CONTRASTS],
                                           float (&b)[CONTRASTS]) {
        float above, below;
        near.at(y, above, below);
        contrast(even - above, rectified, a);
        contrast(odd - below, rectified, b);
        far.at(y, above, below);
        contrast(even - above, rectified, a + HALVES);
        contrast(odd - below, rectified, b + HALVES);
    }
};
// The column for centre level `level` of a feature. Where the far surround does not exist the near
// one stands in, and what comes of it is not used.
__device__ __forceinline__ ContrastColumn contrast_column(const Geometry& g, const float* arena,
                                                          int feature, int level, int x, int y) {
    const int near = level + 3, far = min(level + 4, g.top);
    return {
        arena + plane_at(g, feature, level) + clamp(x, g.width[level]),
        g.height[level],
        g.width[level],
        SurroundColumn<3>(arena + plane_at(g, feature, near), g.height[near], g.width[near], x, y),
        SurroundColumn<4>(arena + plane_at(g, feature, far), g.height[far], g.width[far], x, y),
        RECTIFIED && feature >= ORIENTED && feature < FLICKER};
}

// Where the maps of a feature at one centre level go: near surround, then far.
struct Maps {
    float* first;
    int height, width;
    bool far_exists;
    __device__ __forceinline__ void write(int c, int y, int x, float value) const {
        if (y < height && x < width && (c < HALVES || far_exists))
            first[(c * height + y) * width + x] = value;
    }
};

// `rows` rows of a tile of the maps at level 4, STEPS_TAKEN halvings below their centre.
template <int STEPS_TAKEN>
__device__ __forceinline__ void reduce_tile(const Geometry& g, const float* tables,
                                            const float* arena, const Maps& maps, int feature,
                                            int y, int x, int rows) {
    enum { CENTRE = MAP_LEVEL - STEPS_TAKEN };
    typedef Shape<REDUCTION_TAPS, STEPS_TAKEN> S;
    __shared__ Tile<REDUCTION_TAPS, CONTRASTS, STEPS_TAKEN> tile;
    const int height = g.height[CENTRE], width = g.width[CENTRE];
    const ContrastColumn source =
        contrast_column(g, arena, feature, CENTRE, S::first(x) + int(threadIdx.x), S::first(y));
    const int faded = max(height, width) / 20;  // the fade is in the table
    halve_tile<REDUCTION_TAPS, CONTRASTS, STEPS_TAKEN>(
        tile, source, Steps(g, tables, FADED_STEP, PLAIN_STEP, CENTRE), y, x, rows, height, width,
        faded, ignore,
        [&](int c, int to_y, int to_x, float value) { maps.write(c, to_y, to_x, value); });
}

// At level 4 there is nothing to reduce: only the fade.
__device__ __forceinline__ void fade_tile(const Geometry& g, const float* tables,
                                          const float* arena, const Maps& maps, int feature, int y,
                                          int x, int rows) {
    x += threadIdx.x;
    if (x >= maps.width) return;
    ContrastColumn source = contrast_column(g, arena, feature, MAP_LEVEL, x, y);
    const float *fade = tables + g.fade[0], across = __ldg(tables + g.fade[1] + x);
    for (const int last = min(y + rows, maps.height); y < last; y += 2) {
        float even[CONTRASTS], odd[CONTRASTS];
        source.values(source.fetch(y), source.fetch(y + 1), y, even, odd);
        for (int c = 0; c < CONTRASTS; ++c) {
            maps.write(c, y, x, even[c] * (__ldg(fade + y) * across));
            maps.write(c, y + 1, x, odd[c] * (__ldg(fade + min(y + 1, maps.height - 1)) * across));
        }
    }
}

// Blocks that have to fit a multiprocessor: as few as leave registers enough for every sum under
// way.
enum { RESIDENT = (REDUCTION_TAPS == 5 ? 4 : 3) - SPLIT };

// A flat list of tiles, the most work first: centre level 2, 3, 4.
extern "C" __global__ void __launch_bounds__(COLUMNS, RESIDENT)
    centre_surround(const __grid_constant__ Geometry g, const float* tables, float* arena,
                    int rows) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL];
    const int down = ceil_div(height, rows);
    const int widths[3] = {Shape<REDUCTION_TAPS, 2>::OUTPUTS, Shape<REDUCTION_TAPS, 1>::OUTPUTS,
                           COLUMNS};
    int block = blockIdx.x, centre = 0;
    while (block >= down * ceil_div(width, widths[centre]))
        block -= down * ceil_div(width, widths[centre++]);
    const int across = ceil_div(width, widths[centre]);
    const int y = block / across * rows, x = block % across * widths[centre];

    const int feature = g.features[blockIdx.y], slot = 2 * centre;
    if (!(g.pairs >> slot & 1)) return;
    arena += size_t(blockIdx.z) * g.frame;
    const Maps maps{arena + g.maps + map_number(feature, slot) * map_size(g), height, width,
                    bool(g.pairs >> (slot + 1) & 1)};
    if (centre == 0) {
        reduce_tile<2>(g, tables, arena, maps, feature, y, x, rows);
    } else if (centre == 1) {
        reduce_tile<1>(g, tables, arena, maps, feature, y, x, rows);
    } else {
        fade_tile(g, tables, arena, maps, feature, y, x, rows);
    }
}
