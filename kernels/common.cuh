// What every kernel shares: the geometry it is handed, borders, halving steps and reductions.
//
// No constant is chosen here. These arrive by -D, from ittisal/cuda/variant.py:
//   PIXEL_BITS, CHANNELS            the frame: 8 or 16 (integers) or 32 (float); 1 or 3
//   BGR, LINEAR                     its order; undo the sRGB curve first
//   PLANES                          3, or 1: intensity only
//   OPPONENCY                       ITTI, INVT or WALTHER
//   EVEN, REPLICATE                 where coarse samples lie, how a surround fills up
//   RECTIFIED, SPLIT                the sign of orientation contrast; both halves kept apart
//   REDUCTION_TAPS                  5 or 9, from a centre-surround map to level 4
//   OWN_PYRAMID                     orientation has a 9-tap pyramid of its own
//   OPERATOR, ALL_PEAKS, ITERATIONS the operator N
//   NORM_OPPONENTS, NORM_SALIENCY   N on more sums
//   FIXED_HUE                       the hue threshold is a fraction of 1, not of the frame
//   GEOMETRY_BYTES                  sizeof(Geometry) as the host has it
//
// Every product that is added is an explicit fmaf, and the compiler fuses no other (--fmad=false):
// so one source gives the same bits on every device, and on a host. Reductions are of integers, or
// of maxima, which come out alike in any order.

#if PIXEL_BITS == 8
typedef unsigned char Pixel;
#elif PIXEL_BITS == 16
typedef unsigned short Pixel;
#else
typedef float Pixel;
#endif

enum { ITTI, INVT, WALTHER };
enum { MAXNORM, ITERATIVE, NONE };
enum { LEVELS = 9, FIRST_LEVEL = 2, MAP_LEVEL = 4, SLOTS = 6, FEATURES = 7, GROUPS = 3 };
enum { ORIENTED = 3, OWN = 7, STORED_PLANES = 8 };  // planes: I, RG, BY, four directions, own
enum { HALVES = SPLIT ? 2 : 1 };
// What `brightest` finds in a frame, and the saliency map's maximum.
enum { BRIGHTEST, LOWEST, HIGHEST, THRESHOLD, PEAK, FOUND };
// Counters of blocks that are done, each set back to 0 by the last.
enum { SCANNED, HALVED, SUMMED = HALVED + STORED_PLANES, JOINED = SUMMED + GROUPS, COUNTERS };
// Kinds of halving: planes, own pyramid, a faded contrast's first step to level 4, a later one.
enum { PLANE_STEP, OWN_STEP, FADED_STEP, PLAIN_STEP, STEPS };

const float RANGE = 10.0f;        // N rescales every map to [0, RANGE]
const float PLATEAU = 1e-4f;      // neighbours closer than this fraction of a range are one plateau
const float DARK = 1e-9f;         // up to here, of 1, intensity has no hue
const float FLAT = 1e-5f;         // a range under this fraction of the signal's counts as flat
const double HALF_A_PEAK = 0.5;   // counts are shares; less than this is none

// Geometry of one model. Offsets are in floats, from the start of a frame's part of the arena, or
// (tables) from the start of the tables. ittisal/cuda/layout.py has the same fields.
struct Geometry {
    int height[LEVELS], width[LEVELS];
    int planes[LEVELS];           // the stored planes of a level, one after the other
    int steps[STEPS][LEVELS][2];  // tables: weights of a halving by kind, input level, axis
    int filters[LEVELS][2];       // tables: by axis, 1 / taps inside, then the same times the fade
    int fade[2];                  // tables: border fade at level 4, by axis
    int gauss[2];                 // tables: of `iterative`, narrow and wide; see normalise.cu
    int reach[2];                 // their half widths
    int linear;                   // tables: linear light of every integer value
    int first_block[LEVELS + 1];  // orientation: the flat list of tiles, level by level
    int features[FEATURES];       // numbers of those computed
    int count[GROUPS];            // how many of them intensity, colour and orientation have
    int pairs;                    // bit per slot: the centre-surround pair exists
    int top;                      // coarsest level
    int maps, sums, stats, found, counters, partials, scratch;
    int frame;                    // floats per frame of the arena
    float full;                   // highest value of a pixel's element
    float hue;                    // threshold, a fraction
    float weight[GROUPS];         // of the conspicuity maps
    float waves[2][2][5];         // axial and diagonal; cosine and sine times the binomial
};
static_assert(sizeof(Geometry) == GEOMETRY_BYTES, "ittisal/cuda/layout.py has other fields");

// Where the frames are and where the maps go: read when a kernel runs, so that one recorded graph
// serves every frame, wherever it lies.
struct Addresses {
    const Pixel* frames;
    float* maps;
};

__device__ __forceinline__ int clamp(int i, int n) { return min(max(i, 0), n - 1); }
__device__ __forceinline__ int ceil_div(int a, int b) { return (a + b - 1) / b; }

__device__ __forceinline__ int plane_at(const Geometry& g, int plane, int level) {
    return g.planes[level] + plane * g.height[level] * g.width[level];
}
__device__ __forceinline__ int map_size(const Geometry& g) {
    return g.height[MAP_LEVEL] * g.width[MAP_LEVEL];
}
__device__ __forceinline__ int map_number(int feature, int slot) {
    return (feature * SLOTS + slot) * HALVES;
}
__device__ __forceinline__ int group_of(int feature) {
    return feature == 0 ? 0 : feature < ORIENTED ? 1 : 2;
}
__device__ __forceinline__ int surround_of(int slot) { return FIRST_LEVEL + slot / 2 + 3 + slot % 2; }

// --- reductions over a block ---------------------------------------------------------------------

template <class T, class Join>
__device__ T over_block(T value, Join join) {
    __shared__ T parts[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = ceil_div(blockDim.x, 32);
    for (int k = 16; k; k /= 2) value = join(value, __shfl_xor_sync(~0u, value, k));
    __syncthreads();  // the result of an earlier reduction has been read
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    value = parts[0];
    for (int k = 1; k < warps; ++k) value = join(value, parts[k]);
    return value;
}
struct Lower {
    __device__ float operator()(float a, float b) const { return fminf(a, b); }
};
struct Higher {
    __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
    template <class T> __device__ T operator()(T a, T b) const { return a + b; }
};

// Whether this is the last of `blocks` to get here. What the others wrote before is then to be read
// by __ldcg, past this multiprocessor's own cache.
__device__ bool last_of(int* counter, int blocks) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(counter, 1) == blocks - 1;
        if (last) *counter = 0;
        __threadfence();
    }
    __syncthreads();
    return last;
}

// --- one step of a pyramid -----------------------------------------------------------------------

// Away from borders, output i of a halving is the sum over k of plain_weight(k) x[2 i - TAPS / 2 + k]:
// the low-pass and the mean of two (centred), or every other sample of the low-pass (even).
template <int TAPS>
__device__ __forceinline__ float plain_weight(int k) {
    if (TAPS == 5 && !EVEN) return (k == 0 || k == 5 ? 1 : k == 1 || k == 4 ? 5 : 10) / 32.0f;
    if (TAPS == 5) return (k == 5 ? 0 : k == 0 || k == 4 ? 1 : k == 2 ? 6 : 4) / 16.0f;
    if (!EVEN && k > 4) k = 9 - k;
    if (!EVEN) return (k == 0 ? 1 : k == 1 ? 9 : k == 2 ? 36 : k == 3 ? 84 : 126) / 512.0f;
    if (k == 9) return 0.0f;
    if (k > 4) k = 8 - k;
    return (k == 0 ? 1 : k == 1 ? 8 : k == 2 ? 28 : k == 3 ? 56 : 70) / 256.0f;
}

// The weights of output i of n: plain, or from the table that knows the borders, where samples that
// lie outside have weight 0. Outputs that do not exist are given some that do.
template <int TAPS, bool PLAIN>
struct Weights {
    const float* table;
    int n;
    __device__ __forceinline__ float operator()(int i, int k) const {
        return PLAIN ? plain_weight<TAPS>(k) : __ldg(table + clamp(i, n) * (TAPS + 1) + k);
    }
};

enum { TILE_X = 16, TILE_Y = 8, THREADS = 256, RUN = 4 };

// The shared memory of a tile that is halved once or twice; X0 by Y0 are the samples that it needs.
template <int TAPS, int COUNT, int STEPS_TAKEN>
struct __align__(16) Tile {
    enum {
        X1 = STEPS_TAKEN == 2 ? 2 * TILE_X + TAPS - 1 : TILE_X,
        Y1 = STEPS_TAKEN == 2 ? 2 * TILE_Y + TAPS - 1 : TILE_Y,
        X0 = 2 * X1 + TAPS - 1,
        Y0 = 2 * Y1 + TAPS - 1,
        REACH = TAPS / 2,
        SAMPLES = 2 * RUN + TAPS - 1,  // that a run of outputs needs
    };
    float across[COUNT][Y0][X1];
    float level[COUNT][Y1][X1];
};

// Rows of samples, `COUNT` values each, halved along x into tile.across, RUN outputs at a time.
template <int TAPS, int COUNT, bool PLAIN, class T, class Source>
__device__ void halve_across(T& tile, const Source& source, int x1, int y0, const float* table, int n) {
    const Weights<TAPS, PLAIN> weight{table, n};
    const int runs = T::X1 / RUN;
    for (int item = threadIdx.x; item < T::Y0 * runs; item += THREADS) {
        const int row = item / runs, run = (item - row * runs) * RUN;
        const int first = x1 + run;
        float out[COUNT][RUN] = {};
        typename Source::template Row<PLAIN, T::SAMPLES> samples(source, y0 + row, 2 * first - T::REACH);
#pragma unroll
        for (int p = 0; p < T::SAMPLES; ++p) {
            float value[COUNT];
            samples(p, value);
#pragma unroll
            for (int o = 0; o < RUN; ++o) {
                const int k = p - 2 * o;
                if (k < 0 || k > TAPS) continue;
                const float w = weight(first + o, k);
#pragma unroll
                for (int c = 0; c < COUNT; ++c) out[c][o] = fmaf(w, value[c], out[c][o]);
            }
        }
#pragma unroll
        for (int c = 0; c < COUNT; ++c)
            *reinterpret_cast<float4*>(&tile.across[c][row][run]) =
                make_float4(out[c][0], out[c][1], out[c][2], out[c][3]);
    }
}

// Output row `row` of the tile, column x: the halving along y.
template <int TAPS, bool PLAIN, int PITCH>
__device__ __forceinline__ float halve_down(
    const float (*rows)[PITCH], int row, int x, int y1, const Weights<TAPS, PLAIN>& weight) {
    float out = 0;
#pragma unroll
    for (int k = 0; k <= TAPS; ++k) out = fmaf(weight(y1 + row, k), rows[2 * row + k][x], out);
    return out;
}

// The step after: what halve_across left is halved along y, then once more along both axes; the
// results of both steps go to `write(count, step, y, x, value)`.
template <int TAPS, int COUNT, bool PLAIN, class T, class Write>
__device__ void halve_again(
    T& tile, int x2, int y2, const float* const (&tables)[2][2], const int (&sizes)[2][2], const Write& write) {
    const int x1 = 2 * x2 - T::REACH, y1 = 2 * y2 - T::REACH;
    const Weights<TAPS, PLAIN> down1{tables[0][0], sizes[0][0]}, across2{tables[1][1], sizes[1][1]},
        down2{tables[1][0], sizes[1][0]};
    for (int item = threadIdx.x; item < COUNT * T::Y1 * T::X1; item += THREADS) {
        const int x = item % T::X1, y = item / T::X1 % T::Y1, c = item / (T::X1 * T::Y1);
        const float value = halve_down<TAPS, PLAIN>(tile.across[c], y, x, y1, down1);
        tile.level[c][y][x] = value;
        if (x >= T::REACH && x < T::REACH + 2 * TILE_X && y >= T::REACH && y < T::REACH + 2 * TILE_Y)
            write(c, 1, y1 + y, x1 + x, value);
    }
    __syncthreads();
    for (int item = threadIdx.x; item < COUNT * T::Y1 * TILE_X; item += THREADS) {
        const int x = item % TILE_X, y = item / TILE_X % T::Y1, c = item / (TILE_X * T::Y1);
        float out = 0;
#pragma unroll
        for (int k = 0; k <= TAPS; ++k) out = fmaf(across2(x2 + x, k), tile.level[c][y][2 * x + k], out);
        tile.across[c][y][x] = out;
    }
    __syncthreads();
    for (int item = threadIdx.x; item < COUNT * TILE_Y * TILE_X; item += THREADS) {
        const int x = item % TILE_X, y = item / TILE_X % TILE_Y, c = item / (TILE_X * TILE_Y);
        write(c, 2, y2 + y, x2 + x, halve_down<TAPS, PLAIN>(tile.across[c], y, x, y2, down2));
    }
}
