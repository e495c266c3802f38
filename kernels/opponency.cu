// The frame to level 2 of intensity, red-green, blue-yellow and flicker, in one pass: pixels become
// the planes in registers and are halved twice on the way, so that levels 0 and 1 never reach
// memory; only the background that flicker is measured against has the frame's size. Before it,
// `brightest` finds what the hue threshold is a fraction of, and puts in place what the last frame
// left.

// --- pixels --------------------------------------------------------------------------------------

// Words of `bytes` bytes from any address, aligned or not, by aligned loads. They may read up to
// three bytes to either side, but never outside the aligned words that hold the first and last
// byte, and one word past.
template <int WORDS>
__device__ __forceinline__ void load_words(const unsigned char* from, unsigned (&words)[WORDS]) {
    const size_t address = reinterpret_cast<size_t>(from);
    const unsigned* aligned = reinterpret_cast<const unsigned*>(address & ~size_t(3));
    const unsigned shift = unsigned(address & 3) * 8;
    unsigned low = __ldg(aligned);
#pragma unroll
    for (int i = 0; i < WORDS; ++i) {
        const unsigned high = __ldg(aligned + i + 1);
        words[i] = __funnelshift_r(low, high, shift);
        low = high;
    }
}

// An element as a float: linear light if the model wants it.
__device__ __forceinline__ float element(Pixel value, const float* linear) {
    if (!LINEAR) return float(value);
    if (PIXEL_BITS < 32) return __ldg(linear + int(value));
    const float v = float(value);  // IEC 61966-2-1
    return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

// Sum and both opponents before they are divided by brightness, written with differences first so
// that grey gives exactly 0; all but for the factor COLOUR_SCALE. Returns the brightness.
template <int COUNT>
__device__ __forceinline__ float opponents(float r, float g, float b, float (&value)[COUNT]) {
    const float sum = value[0] = (r + g) + b;
    if (OPPONENCY == UNDIVIDED) {
        value[1] = r - g;
        value[2] = fmaf(-0.5f, r + g, b);
        return sum;
    }
    if (OPPONENCY == WALTHER) {
        value[1] = r - g;
        value[2] = b - fminf(r, g);
        return fmaxf(fmaxf(r, g), b);
    }
    // Twice a colour less the others; of whole numbers, three times it less the sum is as exact.
    const bool whole = PIXEL_BITS < 32 && !LINEAR;
    const auto excess = [&](float x, float others) {
        return fmaxf(whole ? fmaf(3.0f, x, -sum) : x + x - others, 0.0f);
    };
    value[1] = excess(r, g + b) - excess(g, r + b);
    float yellow;
    if (OPPONENCY == INVT) {
        const float unlike = fmaxf(r, g) - fminf(r, g);
        yellow = fmaxf((r + g) - ((unlike + unlike) + (b + b)), 0.0f);
    } else {
        yellow = fmaxf(fminf(r, g) - b, 0.0f);
    }
    value[2] = fmaf(-2.0f, yellow, excess(b, r + g));
    return sum;
}
const float COLOUR_SCALE = OPPONENCY == ITTI ? 1.5f : OPPONENCY == INVT ? 0.5f : 1.0f;

// Flicker's background: a sum of elements per pixel. Of three bytes in 32nds, of which a short
// holds the highest.
#if PIXEL_BITS == 8 && CHANNELS == 3 && !LINEAR
typedef short Background;
enum { FINENESS = 32 };
#else
typedef float Background;
enum { FINENESS = 1 };
#endif

// A column of flicker's background, of a tile that has it: as it was and as it becomes.
template <bool FLICKERS>
struct BackgroundColumn {
    const Background* was;
    Background* becomes;
    float keep;
    int height, pitch;

    static __device__ __forceinline__ BackgroundColumn at(Background* both, int x, const Call& call,
                                                          int height, int width) {
        Background *first = both + x, *second = first + size_t(height) * width;
        return {call.turn ? second : first, call.turn ? first : second, call.keep, height, width};
    }
    typedef Background Fetched;
    __device__ __forceinline__ Background fetch(int y) const {
        return __ldg(was + size_t(clamp(y, height)) * pitch);
    }
    // |I - P| of row y; leaves P moved towards I. In words what is left of a difference is rounded
    // towards 0, so that a still picture comes to rest at exactly 0. Samples that several tiles see
    // get the same from each.
    __device__ __forceinline__ float flicker(float sum, Background before, int y) const {
        Background after;
        float size;
        if constexpr (FINENESS > 1) {
            const int now = int(sum) * FINENESS, distance = abs(now - before);
            const int left = (distance * int(fmaf(keep, 32768.0f, 0.5f))) >> 15;
            after = Background(now > before ? now - left : now + left);
            size = float(distance);
        } else {
            const float difference = sum - before;
            // Bounded, so that of what a bad frame may have left, NaN too, nothing is kept by 0.
            after = fmaf(-fminf(fmaxf(difference, -1e30f), 1e30f), keep, sum);
            size = fabsf(difference);
        }
        if (y >= 0 && y < height) becomes[size_t(y) * pitch] = after;
        return size;
    }
};
template <>
struct BackgroundColumn<false> {
    static __device__ __forceinline__ BackgroundColumn at(Background*, int, const Call&, int, int) {
        return {};
    }
    struct Fetched {};
    __device__ __forceinline__ Fetched fetch(int) const { return {}; }
};

// A column of a frame as COUNT planes, the last of them flicker if it FLICKERS: a source of samples
// to halve.
template <int COUNT, bool FLICKERS>
struct PixelColumn {
    enum { STATIC = COUNT - FLICKERS };
    const Pixel* column;
    const float* linear;
    int height, pitch;
    float threshold;
    BackgroundColumn<FLICKERS> background;

    struct Fetched {
        Pixel element[CHANNELS];
        typename BackgroundColumn<FLICKERS>::Fetched before;
    };
    __device__ __forceinline__ Fetched fetch(int y) const {
        const Pixel* from = column + size_t(clamp(y, height)) * pitch;
        Fetched pixel;
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) pixel.element[c] = __ldg(from + c);
        pixel.before = background.fetch(y);
        return pixel;
    }
    __device__ __forceinline__ void values(const Fetched& even, const Fetched& odd, int y,
                                           float (&a)[COUNT], float (&b)[COUNT]) const {
        planes(even, a);
        planes(odd, b);
        if constexpr (FLICKERS) {
            a[STATIC] = background.flicker(a[0], even.before, y);
            b[STATIC] = background.flicker(b[0], odd.before, y + 1);
        }
    }
    __device__ __forceinline__ void planes(const Fetched& pixel, float (&value)[COUNT]) const {
        if constexpr (CHANNELS == 1) {
            value[0] = element(pixel.element[0], linear);
        } else {
            const float r = element(pixel.element[BGR ? 2 : 0], linear),
                        g = element(pixel.element[1], linear),
                        b = element(pixel.element[BGR ? 0 : 2], linear);
            if constexpr (STATIC == 1) {
                value[0] = (r + g) + b;
            } else {
                const float brightness = opponents(r, g, b, value);
                if (OPPONENCY == UNDIVIDED) return;
                const float hue = brightness > threshold ? reciprocal(brightness) : 0.0f;
                value[1] *= hue;
                value[2] *= hue;
            }
        }
    }
};

// --- the brightest pixel -------------------------------------------------------------------------

// Highest r + g + b, lowest and highest element. `poison` is NaN if one of them was, or infinite.
struct Extent {
    float sum, low, high, poison;
    __device__ __forceinline__ void add(const Pixel* pixel, const float* linear) {
        float total = 0;
        for (int c = 0; c < CHANNELS; ++c) {
            const Pixel value = __ldg(pixel + c);
            total += element(value, linear);
            high = fmaxf(high, float(value));
            if (PIXEL_BITS < 32) continue;
            low = fminf(low, float(value));
            poison += float(value) * 0.0f;
        }
        sum = fmaxf(sum, total);
    }
};
// The lower of two, or NaN if one of them is.
struct LowerOrNan {
    __device__ float operator()(float a, float b) const { return a != a || a < b ? a : b; }
};

// What the last frame leaves for this one is put in place, unless it was bad.
__device__ __forceinline__ void advance_frame(const Geometry& g, float* arena, int thread,
                                              int threads) {
    if (HAS_MOTION)
        for (int level = FIRST_LEVEL; level <= g.top; ++level) {
            const float* now = arena + plane_at(g, 0, level);
            float* before = arena + plane_at(g, g.before, level);
            for (int i = thread; i < g.height[level] * g.width[level]; i += threads)
                before[i] = now[i];
        }
    if (SMOOTHED)
        for (int i = thread; i < map_size(g); i += threads)
            arena[g.held + i] = arena[g.held + map_size(g) + i];
    if (AVERAGES) {
        const double* own = reinterpret_cast<const double*>(arena + g.measures);
        double* usual = reinterpret_cast<double*>(arena + g.measures) + MEASURES * MEASURE;
        const double share = double(arena[g.found + RENEWED]);
        for (int i = thread; i < MEASURES * MEASURE; i += threads)
            usual[i] = share < 1.0 ? usual[i] + share * (own[i] - usual[i]) : own[i];
    }
}

// The only kernel that is told what differs from frame to frame; it leaves that for the rest.
// `mode` is how the frame follows.
extern "C" __global__ void __launch_bounds__(THREADS)
    brightest(const __grid_constant__ Geometry g, const float* tables, const Pixel* frames,
              float* maps, Call* call, float* arena, float keep, float share, float renewal,
              int mode) {
    // What a bad frame left is not put in place: the next one has the past that it had.
    const bool follows = mode == NEXT && arena[g.found + GOOD] != 0.0f;
    if (blockIdx.x + blockIdx.z + threadIdx.x == 0)
        *call = {frames, maps, keep, share, call->turn ^ int(follows)};
    if (follows) advance_frame(g, arena, blockIdx.x * THREADS + threadIdx.x, gridDim.x * THREADS);
    const int pixels = g.height[0] * g.width[0];
    const Pixel* frame = frames + size_t(blockIdx.z) * pixels * CHANNELS;
    const float* linear = tables + g.linear;
    arena += size_t(blockIdx.z) * g.frame;
    const int thread = blockIdx.x * THREADS + threadIdx.x, threads = gridDim.x * THREADS;
    Extent extent{0.0f, 1.0f, 0.0f, 0.0f};

    int done = 0;
    if constexpr (PIXEL_BITS == 8 && CHANNELS == 3 && !LINEAR && OPPONENCY != WALTHER) {
        const int fours = max(pixels / 4 - 2, 0);  // the words past the last four lie in the frame
        unsigned best = 0;
#pragma unroll 4
        for (int i = thread; i < fours; i += threads) {
            unsigned w[3];
            load_words(reinterpret_cast<const unsigned char*>(frame) + size_t(i) * 12, w);
            best = max(best, __dp4a(w[0], 0x00010101u, 0u));
            best = max(best, __dp4a(w[0], 0x01000000u, __dp4a(w[1], 0x00000101u, 0u)));
            best = max(best, __dp4a(w[1], 0x01010000u, __dp4a(w[2], 0x00000001u, 0u)));
            best = max(best, __dp4a(w[2], 0x01010100u, 0u));
        }
        extent.sum = float(best);
        done = fours * 4;
    }
    for (int i = done + thread; i < pixels; i += threads)
        extent.add(frame + size_t(i) * CHANNELS, linear);

    const float huge = 3.0e38f;  // infinities poison too, but are named by themselves
    if (extent.poison != extent.poison && extent.low >= -huge && extent.high <= huge)
        extent.low = extent.poison;
    const float sum = over_block(extent.sum, Higher()), low = over_block(extent.low, LowerOrNan()),
                high = over_block(extent.high, Higher());
    float* partials = arena + g.partials;
    if (threadIdx.x == 0) {
        partials[3 * blockIdx.x] = sum;
        partials[3 * blockIdx.x + 1] = low;
        partials[3 * blockIdx.x + 2] = high;
    }
    int* counters = reinterpret_cast<int*>(arena + g.counters);
    if (!last_of(counters + SCANNED, gridDim.x)) return;
    extent = {0.0f, 1.0f, 0.0f, 0.0f};
    if (threadIdx.x < gridDim.x) {
        const float* part = partials + 3 * threadIdx.x;
        extent = {__ldcg(part), __ldcg(part + 1), __ldcg(part + 2), 0.0f};
    }
    const float most = over_block(extent.sum, Higher()),
                lowest = over_block(extent.low, LowerOrNan()),
                highest = over_block(extent.high, Higher());
    if (threadIdx.x == 0) {
        const bool walther = OPPONENCY == WALTHER && PLANES == 3;
        const float whole = walther ? g.full : g.full * CHANNELS;
        const float base = FIXED_HUE ? whole : walther ? element(Pixel(highest), linear) : most;
        float* found = arena + g.found;
        if (mode == FIRST) found[PAST] = 0.0f;
        if (follows) {
            found[PAST] = 1.0f;
            found[BACKGROUND] =
                fmaf(found[KEPT], found[BACKGROUND] - found[BRIGHTEST], found[BRIGHTEST]);
        }
        const float brightest = most / (g.full * CHANNELS);
        found[BRIGHTEST] = brightest;
        found[FLICKER_SCALE] =
            fmaxf(fmaxf(brightest, found[BACKGROUND]), keep > 0.0f ? REST / FLAT : 0.0f);
        if (mode != AGAIN) {
            const bool good = PIXEL_BITS < 32 || (lowest >= 0.0f && highest <= 1.0f + 1e-6f);
            found[GOOD] = good;
            // On a device nobody may have been told that the first frame was bad.
            found[VALID] = good && (mode == FIRST || found[PAST] != 0.0f);
            found[KEPT] = keep;
            found[RENEWED] = found[PAST] != 0.0f ? renewal : 1.0f;
        }
        found[LOWEST] = lowest;
        found[HIGHEST] = highest;
        found[THRESHOLD] = fmaxf(g.hue * base, DARK * whole);
    }
}

// --- the front -----------------------------------------------------------------------------------

// One block makes `rows` rows of a tile of level 2 of COUNT planes, from number `plane` on.
template <int TAPS, int COUNT, bool FLICKERS>
__device__ __forceinline__ void halve_frame(const Geometry& g, const float* tables,
                                            const Call* call, float* arena, Background* background,
                                            int rows, int kind, int plane) {
    typedef Shape<TAPS, 2> S;
    __shared__ Tile<TAPS, COUNT, 2> tile;
    const int height = g.height[0], width = g.width[0], pitch = width * CHANNELS;
    const int y = blockIdx.y * rows, x = blockIdx.x * S::OUTPUTS;
    const Pixel* frame = call->frames + blockIdx.z * (size_t(height) * pitch);
    arena += size_t(blockIdx.z) * g.frame;
    const int column = clamp(S::first(x) + int(threadIdx.x), width);
    const PixelColumn<COUNT, FLICKERS> source{
        frame + column * CHANNELS,
        tables + g.linear,
        height,
        pitch,
        arena[g.found + THRESHOLD],
        BackgroundColumn<FLICKERS>::at(background, column, *call, height, width)};
    const Steps steps(g, tables, kind, kind, 0);
    const float grey = 1.0f / (g.full * CHANNELS);
    const float colour = OPPONENCY == UNDIVIDED ? 1.0f / g.full : COLOUR_SCALE;
    const int level_height = g.height[2], level_width = g.width[2];
    halve_tile<TAPS, COUNT, 2>(
        tile, source, steps, y, x, rows, height, width, 0, ignore,
        [&](int c, int to_y, int to_x, float value) {
            if (to_y < level_height && to_x < level_width)
                arena[plane_at(g, FLICKERS && c == COUNT - 1 ? int(FLICKER) : plane + c, 2) +
                      to_y * level_width + to_x] =
                    value * (c == 0                       ? grey
                             : FLICKERS && c == COUNT - 1 ? grey / FINENESS
                                                          : colour);
        });
}

extern "C" __global__ void __launch_bounds__(COLUMNS)
    opponency(const __grid_constant__ Geometry g, const float* tables, const Call* call,
              float* arena, Background* background, int rows) {
    halve_frame<5, PLANES + HAS_FLICKER, bool(HAS_FLICKER)>(g, tables, call, arena, background,
                                                            rows, PLANE_STEP, 0);
}

#if OWN_PYRAMID
extern "C" __global__ void __launch_bounds__(COLUMNS)
    opponency_own(const __grid_constant__ Geometry g, const float* tables, const Call* call,
                  float* arena, int rows) {
    halve_frame<9, 1, false>(g, tables, call, arena, nullptr, rows, OWN_STEP, g.own);
}
#endif
