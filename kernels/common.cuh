// What every kernel shares: the geometry it is handed, borders, halving steps and reductions.
//
// No constant is chosen here. These arrive by -D, from ittisal/cuda/variant.py:
//   PIXEL_BITS, CHANNELS            the frame: 8 or 16 (integers) or 32 (float); 1 or 3
//   BGR, LINEAR                     its order; undo the sRGB curve first
//   PLANES                          3, or 1: intensity only
//   OPPONENCY                       ITTI, INVT, WALTHER or UNDIVIDED (config.py: linear)
//   EVEN, REPLICATE                 where coarse samples lie, how a surround fills up
//   RECTIFIED, SPLIT                the sign of orientation contrast; both halves kept apart
//   REDUCTION_TAPS                  5 or 9, from a centre-surround map to level 4
//   OWN_PYRAMID                     orientation has a 9-tap pyramid of its own
//   HAS_FLICKER, HAS_MOTION         the channels that need a past
//   HAS_WHITENED                    the channel of whitened energies
//   WHITENS, FIGURES                planes are decorrelated; what is enclosed in them counts
//   AVERAGES                        by the statistics of the frames before
//   SMOOTHED                        the map is smoothed over time
//   OPERATOR, ALL_PEAKS, ITERATIONS the operator N
//   NORM_OPPONENTS, NORM_SALIENCY   N on more sums
//   FIXED_HUE                       the hue threshold is a fraction of 1, not of the frame
//   GEOMETRY_BYTES, CALL_BYTES      sizeof(Geometry) and sizeof(Call) as the host has them
//
// Every product that is added is an explicit fmaf, and the compiler fuses no other (--fmad=false):
// so one source gives the same bits on every device, and on a host, but for the last bit of what
// GPUs approximate (`reciprocal`, `root`). Reductions are of integers, or of maxima, which come out
// alike in any order, or of doubles in a fixed one.

#if PIXEL_BITS == 8
typedef unsigned char Pixel;
#elif PIXEL_BITS == 16
typedef unsigned short Pixel;
#else
typedef float Pixel;
#endif

enum { ITTI, INVT, WALTHER, UNDIVIDED };
enum { MAXNORM, ITERATIVE, NONE };
enum { LEVELS = 9, FIRST_LEVEL = 2, MAP_LEVEL = 4, SLOTS = 6, FEATURES = 12, GROUPS = 6 };
// Features, which are planes by the same numbers: I, RG, BY, four orientations, flicker, four
// directions of motion. Behind those stored: orientation's own pyramid, the last frame's intensity.
enum { ORIENTED = 3, FLICKER = 7, MOVING = 8, STORED_PLANES = FEATURES + 2 };
enum { HALVES = SPLIT ? 2 : 1 };
// Statistics: of the planes, and of each plane's energies of each orientation, at several scales.
// Each is as long as those of four maps: a mean and a row of the covariance for each.
enum { SCALES = 4, MEASURES = 1 + 3 * 4, MEASURE = SCALES * (1 + SCALES), MEASURE_BLOCKS = 16 };
// What `brightest` finds in a frame, the saliency map's maximum, and what is known of the frames
// before: whether the last one was good, whether there is a past, flicker's background's brightness
// at most, what that kept for the last frame, the scale of flicker's flat test, whether the frame
// has a map, and the share of its statistics in the usual ones.
enum {
    BRIGHTEST,
    LOWEST,
    HIGHEST,
    THRESHOLD,
    PEAK,
    GOOD,
    PAST,
    BACKGROUND,
    KEPT,
    FLICKER_SCALE,
    VALID,
    RENEWED,
    FOUND
};
// How a frame follows: it has no past, or comes after the last one, or is that again.
enum { FIRST, NEXT, AGAIN };
// Counters of blocks that are done, each set back to 0 by the last.
enum {
    SCANNED,
    HALVED,
    ADDED = HALVED + STORED_PLANES,
    SUMMED = ADDED + FEATURES,
    JOINED = SUMMED + GROUPS,
    MEASURED,
    FRAMED = MEASURED + MEASURES
};
// Maps for figures: energies of the four orientations where corners are found, brought to level 4;
// the same of roots of what is enclosed; corners.
enum { ROOTS = 4, CORNERS = 5 };
// Kinds of halving: planes, own pyramid, a faded contrast's first step to level 4, a later one.
enum { PLANE_STEP, OWN_STEP, FADED_STEP, PLAIN_STEP, STEPS };

const float RANGE = 10.0f;       // N rescales every map to [0, RANGE]
const float PLATEAU = 1e-4f;     // neighbours closer than this fraction of a range are one plateau
const float DARK = 1e-9f;        // up to here, of 1, intensity has no hue
const float FLAT = 1e-5f;        // a range under this fraction of the signal's counts as flat
const float REST = 1e-3f;        // of full scale: less flicker is none where its background fades
const float SOFT = 0.01f;        // standard deviations: what is less is hardly enclosed
const float PROMOTION = 20.0f;   // N's values that double what a figure counts
const double RIDGE = 1e-2;       // of the mean variance, added to each
const double HALF_A_PEAK = 0.5;  // counts are shares; less than this is none

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
    int whitened[LEVELS];         // the decorrelated planes of a level, where it has some
    int features[FEATURES + 1];   // numbers of those computed; FEATURES: what is whitened
    int count[GROUPS];            // how many of them each channel has
    int pairs;                    // bit per slot: the centre-surround pair exists
    int top;                      // coarsest level
    int own, before;              // numbers of the planes behind the features
    int energies[LEVELS];         // of the decorrelated planes, for the channel of those
    int scales;     // maps: the same at level 4, plane by plane, by orientation, by scale
    int border[2];  // tables: the fade of what is whitened, by axis
    int corners;    // level where corners are found; figures one above
    int enclosed;   // for each plane above its ground and below it, at that level
    int figures;    // maps at level 4: energies where corners are found, figures, corners
    int measures;   // doubles: this frame's statistics, the usual ones, parts of sums
    int whiteners;  // what takes maps to decorrelated ones; see whiten.cu
    int maps, sums, stats, found, counters, partials, scratch;
    int held;              // two maps: smoothed over time, as it was and as it becomes
    int frame;             // floats per frame of the arena
    float full;            // highest value of a pixel's element
    float hue;             // threshold, a fraction
    float motion;          // threshold, of squared intensity
    float weight[GROUPS];  // of the conspicuity maps
    float waves[2][2][5];  // axial and diagonal; cosine and sine times the binomial
};
static_assert(sizeof(Geometry) == GEOMETRY_BYTES, "ittisal/cuda/layout.py has other fields");

// What differs from frame to frame: read when a kernel runs, so that one recorded graph serves
// every frame, wherever it lies.
struct Call {
    const Pixel* frames;
    float* maps;
    float keep;   // what flicker's background keeps of its difference from the frame
    float share;  // of this frame's map in the smoothed one
    int turn;     // which of the two backgrounds this frame is measured against
};
static_assert(sizeof(Call) == CALL_BYTES, "ittisal/cuda/layout.py has another size");

__device__ __forceinline__ int clamp(int i, int n) { return min(max(i, 0), n - 1); }
__device__ __forceinline__ int ceil_div(int a, int b) { return (a + b - 1) / b; }

// 1 / x and the square root, without the branches that serve infinite, tiny and zero x: what a GPU
// approximates, made good by one Newton step. Of x up to 1e-30 the root is 0.
__device__ __forceinline__ float reciprocal(float x) {
#ifdef __CUDA_ARCH__
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
#else
    const float r = 1.0f / x;
#endif
    return fmaf(r, fmaf(-x, r, 1.0f), r);
}
__device__ __forceinline__ float root(float x) {
#ifdef __CUDA_ARCH__
    float r;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
#else
    const float r = 1.0f / sqrtf(x);
#endif
    const float s = x * r;
    return x > 1e-30f ? fmaf(fmaf(-s, s, x) * 0.5f, r, s) : 0.0f;
}

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
    return feature == 0         ? 0
           : feature < ORIENTED ? 1
           : feature < FLICKER  ? 2
           : feature < MOVING   ? 3
           : feature < FEATURES ? 4
                                : 5;
}

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
    template <class T>
    __device__ T operator()(T a, T b) const {
        return a + b;
    }
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

// Away from borders, output i of a halving is the sum over k of plain_weight(k) x[2 i - TAPS / 2 +
// k]: the low-pass and the mean of two (centred), or every other sample of the low-pass (even).
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

// A tile is halved down its columns first, in registers, then across its rows, in shared memory:
// the two commute. Each thread of a block has one column of samples, and reads it from top to
// bottom.
enum { THREADS = 256, COLUMNS = 128, MAX_ROWS = 8, RUN = 4 };

// Widths, for one step or two from COLUMNS samples.
template <int TAPS, int STEPS_TAKEN>
struct Shape {
    enum {
        REACH = TAPS / 2,
        SAMPLES = 2 * RUN + TAPS - 1,  // that a run of outputs needs
        X1 = (COLUMNS - TAPS + 1) / 2,
        X2 = (X1 - TAPS + 1) / 2,
        OUTPUTS = STEPS_TAKEN == 2 ? X2 : X1,
        PITCH = (X1 + RUN - 1) / RUN * 2 * RUN - 2 * RUN + SAMPLES,  // runs may go past the last
        PITCH_1 = (X2 + RUN - 1) / RUN * 2 * RUN - 2 * RUN + SAMPLES
    };
    // The first sample of a tile whose first output is `i`, and the samples that so many outputs
    // need.
    static __device__ __forceinline__ int first(int i) {
        return STEPS_TAKEN == 2 ? 4 * i - 3 * REACH : 2 * i - REACH;
    }
    static __device__ __forceinline__ int samples(int outputs) {
        return STEPS_TAKEN == 2 ? 4 * outputs + 3 * (TAPS - 1) : 2 * outputs + TAPS - 1;
    }
};

// One step along y, pair of rows by pair. REACH pairs after its first an output is complete.
template <int TAPS, int COUNT>
struct Down {
    enum { REACH = TAPS / 2 };
    float sums[REACH + 1][COUNT] = {};  // outputs under way, the oldest first

    // Adds pair `p`, counted from the one that output `first` begins with; gives output p - REACH.
    template <bool PLAIN>
    __device__ __forceinline__ void add(int p, int first, const float (&even)[COUNT],
                                        const float (&odd)[COUNT],
                                        const Weights<TAPS, PLAIN>& weight, float (&done)[COUNT]) {
#pragma unroll
        for (int j = 0; j <= REACH; ++j) {
            const int i = first + p - REACH + j;
            const float a = weight(i, 2 * (REACH - j)), b = weight(i, 2 * (REACH - j) + 1);
#pragma unroll
            for (int c = 0; c < COUNT; ++c)
                sums[j][c] = fmaf(b, odd[c], fmaf(a, even[c], sums[j][c]));
        }
#pragma unroll
        for (int c = 0; c < COUNT; ++c) {
            done[c] = sums[0][c];
#pragma unroll
            for (int j = 0; j < REACH; ++j) sums[j][c] = sums[j + 1][c];
            sums[REACH][c] = 0;
        }
    }
};

// A thread's column of a source on its way through one step or two, a few rows at a time.
// A source gives `fetch(y)`, of rows outside too, and the values of two rows, of which the first is
// even, in order: `values(fetched, fetched, y, values, values)`.
template <int TAPS, int COUNT, int STEPS_TAKEN, class Source>
struct March {
    typedef typename Source::Fetched Fetched;
    enum { REACH = TAPS / 2 };
    Source source;
    int y, y1, y0;  // the first output, and what it begins with on the way
    int pairs = 0, done = 0;
    Down<TAPS, COUNT> one, two;
    Fetched ahead[2][2];  // two pairs of rows, so that memory has time

    __device__ __forceinline__ March(const Source& from, int first) : source(from), y(first) {
        y1 = STEPS_TAKEN == 2 ? 2 * y - REACH : y;
        y0 = 2 * y1 - REACH;
#pragma unroll
        for (int i = 0; i < 4; ++i) ahead[i / 2][i % 2] = source.fetch(y0 + i);
    }
    // Steps alternate between the two.
    template <int PAIR, bool PLAIN>
    __device__ __forceinline__ void step(const Weights<TAPS, PLAIN>& weight, float (&out)[COUNT]) {
        const Fetched even = ahead[PAIR][0], odd = ahead[PAIR][1];
        const int at = y0 + 2 * pairs;
        ahead[PAIR][0] = source.fetch(at + 4);
        ahead[PAIR][1] = source.fetch(at + 5);
        float a[COUNT], b[COUNT];
        source.values(even, odd, at, a, b);
        one.add(pairs++, y1, a, b, weight, out);
    }
    // The next `rows` outputs, an even number, to `store(row, value)`, row from 0; with two steps,
    // what lies between them, from 2 TAPS / 2 rows before, to `between(row, value)`.
    template <bool PLAIN, class Between, class Store>
    __device__ __forceinline__ void go(int rows, const float* const (&tables)[2],
                                       const int (&sizes)[2], const Between& between,
                                       const Store& store) {
        const Weights<TAPS, PLAIN> weight1{tables[0], sizes[0]}, weight2{tables[1], sizes[1]};
        float a[COUNT], b[COUNT], out[COUNT];
        if (pairs == 0) {
#pragma unroll
            for (int i = 0; i < REACH; i += 2) step<0>(weight1, a), step<1>(weight1, a);
        }
        if constexpr (STEPS_TAKEN == 1) {
            for (int row = 0; row < rows; row += 2) {
                step<0>(weight1, a);
                step<1>(weight1, b);
                store(row, a);
                store(row + 1, b);
            }
        } else {
            for (int row = done == 0 ? -REACH : 0; row < rows; ++row) {
                step<0>(weight1, a);
                step<1>(weight1, b);
                between(2 * (row + REACH), a);
                between(2 * (row + REACH) + 1, b);
                two.add(done++, y, a, b, weight2, out);
                if (row >= 0) store(row, out);
            }
        }
    }
};

// A column of one level of a plane: a source of samples to halve.
struct LevelColumn {
    typedef float Fetched;
    const float* column;
    int height, pitch;
    __device__ __forceinline__ float fetch(int y) const { return column[clamp(y, height) * pitch]; }
    __device__ __forceinline__ void values(float even, float odd, int, float (&a)[1],
                                           float (&b)[1]) const {
        a[0] = even, b[0] = odd;
    }
};

// Lines of samples through one step along x, RUN outputs at a time: `store(line, x, values)`, x
// from 0.
template <int TAPS, bool PLAIN, int PITCH, class Store>
__device__ __forceinline__ void halve_across(const float (*lines)[PITCH], int count, int outputs,
                                             int first, const float* table, int size,
                                             const Store& store) {
    enum { SAMPLES = 2 * RUN + TAPS - 1 };
    const Weights<TAPS, PLAIN> weight{table, size};
    const int runs = (outputs + RUN - 1) / RUN;
    for (int item = threadIdx.x; item < count * runs; item += COLUMNS) {
        const int line = item / runs, x = (item - line * runs) * RUN;
        float samples[SAMPLES], out[RUN] = {};
#pragma unroll
        for (int i = 0; i < SAMPLES; i += 4) {
            const float4 four = *reinterpret_cast<const float4*>(&lines[line][2 * x + i]);
            samples[i] = four.x, samples[i + 1] = four.y, samples[i + 2] = four.z,
            samples[i + 3] = four.w;
        }
#pragma unroll
        for (int o = 0; o < RUN; ++o)
#pragma unroll
            for (int k = 0; k <= TAPS; ++k)
                out[o] = fmaf(weight(first + x + o, k), samples[2 * o + k], out[o]);
        store(line, x, out);
    }
}

// One step or two along x of what halve_down left in `lines`; results to `store(line, x, values)`.
template <int TAPS, int STEPS_TAKEN, bool PLAIN, class T, class Store>
__device__ __forceinline__ void halve_lines(T& tile, int count, int x,
                                            const float* const (&tables)[2], const int (&sizes)[2],
                                            const Store& store) {
    typedef Shape<TAPS, STEPS_TAKEN> S;
    if constexpr (STEPS_TAKEN == 1) {
        halve_across<TAPS, PLAIN>(tile.lines, count, S::X1, x, tables[0], sizes[0], store);
    } else {
        const auto keep = [&](int line, int at, const float (&out)[RUN]) {
            *reinterpret_cast<float4*>(&tile.halved[line][at]) =
                make_float4(out[0], out[1], out[2], out[3]);
        };
        halve_across<TAPS, PLAIN>(tile.lines, count, S::X1, 2 * x - S::REACH, tables[0], sizes[0],
                                  keep);
        __syncthreads();
        halve_across<TAPS, PLAIN>(tile.halved, count, S::X2, x, tables[1], sizes[1], store);
    }
}

// The shared memory of a tile: lines halved along y, then (two steps) once along x.
template <int TAPS, int COUNT, int STEPS_TAKEN>
struct __align__(16) Tile {
    float lines[COUNT * MAX_ROWS][Shape<TAPS, STEPS_TAKEN>::PITCH];
    float halved[STEPS_TAKEN == 2 ? COUNT * MAX_ROWS : 1][Shape<TAPS, 2>::PITCH_1];
};

// A tile's weights, first step and second, and how many outputs they have: along y, along x.
struct Steps {
    const float *down[2], *across[2];
    int heights[2], widths[2];
    __device__ __forceinline__ Steps(const Geometry& g, const float* tables, int first, int second,
                                     int level) {
        const int kinds[2] = {first, second};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int at = min(level + i, LEVELS - 2);
            down[i] = tables + g.steps[kinds[i]][at][0];
            across[i] = tables + g.steps[kinds[i]][at][1];
            heights[i] = g.height[at + 1];
            widths[i] = g.width[at + 1];
        }
    }
};

__device__ __forceinline__ void ignore(int, const float*) {}

// A whole tile, whose first output is (y, x) and has `rows` rows: down, then across, MAX_ROWS rows
// at a time. Tiles that keep off the borders, and `faded` samples more, have plain weights.
template <int TAPS, int COUNT, int STEPS_TAKEN, class T, class Source, class Between, class Store>
__device__ __forceinline__ void halve_tile(T& tile, const Source& source, const Steps& steps, int y,
                                           int x, int rows, int height, int width, int faded,
                                           const Between& between, const Store& store) {
    typedef Shape<TAPS, STEPS_TAKEN> S;
    const int y0 = S::first(y), x0 = S::first(x);
    const bool plain_down = y0 >= faded && y0 + S::samples(rows) + faded <= height;
    const bool plain_across = x0 >= faded && x0 + COLUMNS + faded <= width;
    March<TAPS, COUNT, STEPS_TAKEN, Source> march(source, y);
    for (const int last = y + rows; y < last; y += MAX_ROWS) {
        const int here = min(last - y, int(MAX_ROWS));
        const auto keep = [&](int row, const float (&value)[COUNT]) {
#pragma unroll
            for (int c = 0; c < COUNT; ++c) tile.lines[c * here + row][threadIdx.x] = value[c];
        };
        const auto put = [&](int line, int at, const float (&out)[RUN]) {
            const int c = line / here, to_y = y + line - c * here;
#pragma unroll
            for (int o = 0; o < RUN; ++o)
                if (at + o < S::OUTPUTS) store(c, to_y, x + at + o, out[o]);
        };
        if (plain_down) {
            march.template go<true>(here, steps.down, steps.heights, between, keep);
        } else {
            march.template go<false>(here, steps.down, steps.heights, between, keep);
        }
        __syncthreads();
        if (plain_across) {
            halve_lines<TAPS, STEPS_TAKEN, true>(tile, COUNT * here, x, steps.across, steps.widths,
                                                 put);
        } else {
            halve_lines<TAPS, STEPS_TAKEN, false>(tile, COUNT * here, x, steps.across, steps.widths,
                                                  put);
        }
        __syncthreads();
    }
}
