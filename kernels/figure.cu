// What makes a figure of a place: that it is enclosed, above its ground or below it, and that
// contours of all directions meet there. The saliency map is multiplied by both (`combine`).

#if FIGURES
enum { HELD = 11 << 10 };   // samples of water that shared memory has room for
const float DRY = 3.0e38f;  // higher than any ground: where no water has come from yet

// --- floods --------------------------------------------------------------------------------------

// Water that comes along a line at height c leaves a sample at max(ground, min(c, what stood
// there)): between two limits. Several samples in a row are two limits again.
struct Limits {
    float low, high;
    __device__ __forceinline__ float operator()(float c) const {
        return fminf(fmaxf(c, low), high);
    }
};

// Sinks the water along each line of a map, from its one end or from the other, as far as that
// goes: a warp has a line, 32 samples at a time. `first`: nothing stands there yet. True if any
// sank.
__device__ bool sink_across(const float* ground, float sign, float* water, int height, int width,
                            bool first) {
    const int lane = threadIdx.x % 32;
    bool sank = false;
    for (int y = threadIdx.x / 32; y < height; y += blockDim.x / 32) {
        for (int back = 0; back < 2; ++back) {
            float come = DRY;
            for (int done = 0; done < width; done += 32) {
                const int along = done + lane, x = back ? width - 1 - along : along;
                const bool inside = along < width;
                const int at = y * width + (inside ? x : 0);
                const bool border = y == 0 || y == height - 1 || x == 0 || x == width - 1;
                const float bed = inside ? sign * ground[at] : -DRY;
                float stood = inside && border ? bed : DRY;
                if (inside && (back || !first)) stood = water[at];
                Limits here{bed, stood};
                for (int k = 1; k < 32; k *= 2) {
                    const float low = __shfl_sync(~0u, here.low, lane - k),
                                high = __shfl_sync(~0u, here.high, lane - k);
                    if (lane >= k) here = {here(low), here(high)};
                }
                const float stands = here(come);
                come = __shfl_sync(~0u, stands, 31);
                if (inside && (stands < stood || (first && !back))) {
                    water[at] = stands;
                    sank = true;
                }
            }
            __syncwarp();
        }
    }
    return sank;
}

// The same along each column, which a thread has.
__device__ bool sink_down(const float* ground, float sign, float* water, int height, int width) {
    bool sank = false;
    for (int x = threadIdx.x; x < width; x += blockDim.x) {
        for (int back = 0; back < 2; ++back) {
            float come = DRY;
#pragma unroll 4
            for (int k = 0; k < height; ++k) {
                const int at = (back ? height - 1 - k : k) * width + x;
                const float stood = water[at];
                come = Limits{sign * ground[at], stood}(come);
                if (come < stood) {
                    water[at] = come;
                    sank = true;
                }
            }
        }
    }
    return sank;
}

// How far a plane stands above, or lies below, the ground that encloses it: the depth of water that
// flows in from the border, of the plane turned over or as it is. One block has one flood. Where
// the water comes to stand is the same in whatever order it sinks.
extern "C" __global__ void __launch_bounds__(1024, 1)
    flood(const __grid_constant__ Geometry g, float* arena) {
    __shared__ float held[HELD];
    arena += size_t(blockIdx.z) * g.frame;
    const int level = g.corners + 1, height = g.height[level], width = g.width[level];
    const int size = height * width;
    const float* ground = arena + g.whitened[level] + blockIdx.x / 2 * size;
    const float sign = blockIdx.x % 2 ? 1.0f : -1.0f;
    float* depth = arena + g.enclosed + blockIdx.x * size;
    float* water = size <= HELD ? held : depth;
    over_block(int(sink_across(ground, sign, water, height, width, true)), Sum());
    for (int turn = 0, still = 0; still < 2; ++turn) {  // in both directions
        const bool sank = turn % 2 ? sink_across(ground, sign, water, height, width, false)
                                   : sink_down(ground, sign, water, height, width);
        still = over_block(int(sank), Sum()) ? 0 : still + 1;
    }
    // None where it is flat next to the plane's signal.
    float deepest = 0.0f;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        deepest = fmaxf(deepest, water[i] - sign * ground[i]);
    deepest = over_block(deepest, Higher());
    const int plane = blockIdx.x / 2;
    const float signal = plane == 0 ? arena[g.found + BRIGHTEST] : 1.0f;
    const float unit = whitener_at<PLANES>(g, arena, 0)->inverse[plane * (plane + 1) / 2 + plane];
    const bool flat = deepest <= FLAT * fmaxf(signal, DARK) * unit;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        depth[i] = flat ? 0.0f : water[i] - sign * ground[i];
}

// --- figures and corners -------------------------------------------------------------------------

// A column of the sum of all that is enclosed, by a root that does not enlarge the smallest values.
struct RootsColumn {
    typedef float Fetched;
    const float* column;
    int height, pitch;
    __device__ __forceinline__ float fetch(int y) const {
        const float* at = column + clamp(y, height) * pitch;
        const float least = root(SOFT);
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k < 2 * PLANES; ++k) {
            const float x = at[k * height * pitch];
            sum = fmaf(x, reciprocal(root(x + SOFT) + least), sum);  // root(x + SOFT) - least
        }
        return sum;
    }
    __device__ __forceinline__ void values(float even, float odd, int, float (&a)[1],
                                           float (&b)[1]) const {
        a[0] = even, b[0] = odd;
    }
};

extern "C" __global__ void __launch_bounds__(COLUMNS, RESIDENT)
    bring_figures(const __grid_constant__ Geometry g, const float* tables, float* arena, int rows) {
    arena += size_t(blockIdx.z) * g.frame;
    const int map = blockIdx.y, level = g.corners + (map == ROOTS);
    float* to = arena + g.figures + map * map_size(g);
    Level from{arena + g.enclosed, level, g.height[level], g.width[level]};
    if (map == ROOTS) {
        bring_tile<RootsColumn, 3>(g, tables, from, to, rows);
    } else {
        from.samples = arena + plane_at(g, ORIENTED + map, level);
        bring_tile<LevelColumn, 2>(g, tables, from, to, rows);
    }
}

// Where three of the four directions have energy: the second least. Flat next to the frame's
// brightest, there are none.
extern "C" __global__ void __launch_bounds__(1024)
    corners(const __grid_constant__ Geometry g, float* arena) {
    arena += size_t(blockIdx.z) * g.frame;
    const int size = map_size(g);
    const float* energies = arena + g.figures;
    float* out = arena + g.figures + CORNERS * size;
    float highest = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
        const float a = energies[i], b = energies[size + i], c = energies[2 * size + i],
                    d = energies[3 * size + i];
        const float second =
            fminf(fmaxf(fminf(a, b), fminf(c, d)), fminf(fmaxf(a, b), fmaxf(c, d)));
        out[i] = second;
        highest = fmaxf(highest, second);
    }
    highest = over_block(highest, Higher());
    float* peaks = arena + g.partials;  // which `brightest` has done with
    if (threadIdx.x == 0) peaks[blockIdx.x] = highest;
    if (!last_of(reinterpret_cast<int*>(arena + g.counters) + FRAMED, gridDim.x)) return;
    for (int k = 0; k < int(gridDim.x); ++k) highest = fmaxf(highest, __ldcg(peaks + k));
    if (highest > FLAT * fmaxf(arena[g.found + BRIGHTEST], DARK)) return;
    for (int i = threadIdx.x; i < size; i += blockDim.x) out[i] = 0.0f;
}
#endif
