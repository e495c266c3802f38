// The frame to level 2 of intensity, red-green and blue-yellow, in one pass: pixels become the
// three planes in registers and are halved twice on the way, so that levels 0 and 1 never reach
// memory. Before it, `brightest` finds what the hue threshold is a fraction of.

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
__device__ __forceinline__ float opponents(float r, float g, float b, float (&value)[3]) {
    const float sum = value[0] = (r + g) + b;
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

// A column of a frame as COUNT planes: a source of samples to halve.
template <int COUNT>
struct PixelColumn {
    const Pixel* column;
    const float* linear;
    int height, pitch;
    float threshold;

    struct Fetched {
        Pixel element[CHANNELS];
    };
    __device__ __forceinline__ Fetched fetch(int y) const {
        const Pixel* from = column + size_t(clamp(y, height)) * pitch;
        Fetched pixel;
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) pixel.element[c] = __ldg(from + c);
        return pixel;
    }
    __device__ __forceinline__ void values(const Fetched& even, const Fetched& odd, int,
                                           float (&a)[COUNT], float (&b)[COUNT]) const {
        planes(even, a);
        planes(odd, b);
    }
    __device__ __forceinline__ void planes(const Fetched& pixel, float (&value)[COUNT]) const {
        if constexpr (CHANNELS == 1) {
            value[0] = element(pixel.element[0], linear);
        } else {
            const float r = element(pixel.element[BGR ? 2 : 0], linear),
                        g = element(pixel.element[1], linear),
                        b = element(pixel.element[BGR ? 0 : 2], linear);
            if constexpr (COUNT == 1) {
                value[0] = (r + g) + b;
            } else {
                const float brightness = opponents(r, g, b, value);
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

// The only kernel that is told where the frames are and where the maps go; it leaves both for the
// rest.
extern "C" __global__ void __launch_bounds__(THREADS)
    brightest(const __grid_constant__ Geometry g, const float* tables, const Pixel* frames,
              float* maps, Addresses* addresses, float* arena) {
    if (blockIdx.x + blockIdx.z + threadIdx.x == 0) *addresses = {frames, maps};
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
        found[BRIGHTEST] = most / (g.full * CHANNELS);
        found[LOWEST] = lowest;
        found[HIGHEST] = highest;
        found[THRESHOLD] = fmaxf(g.hue * base, DARK * whole);
    }
}

// --- the front -----------------------------------------------------------------------------------

// One block makes `rows` rows of a tile of level 2 of COUNT planes, from number `plane` on.
template <int TAPS, int COUNT>
__device__ __forceinline__ void halve_frame(const Geometry& g, const float* tables,
                                            const Addresses* addresses, float* arena, int rows,
                                            int kind, int plane) {
    typedef Shape<TAPS, 2> S;
    __shared__ Tile<TAPS, COUNT, 2> tile;
    const int height = g.height[0], width = g.width[0], pitch = width * CHANNELS;
    const int y = blockIdx.y * rows, x = blockIdx.x * S::OUTPUTS;
    const Pixel* frame = addresses->frames + blockIdx.z * (size_t(height) * pitch);
    arena += size_t(blockIdx.z) * g.frame;
    const PixelColumn<COUNT> source{frame + clamp(S::first(x) + int(threadIdx.x), width) * CHANNELS,
                                    tables + g.linear, height, pitch, arena[g.found + THRESHOLD]};
    const Steps steps(g, tables, kind, kind, 0);
    const float grey = 1.0f / (g.full * CHANNELS);
    const int level_height = g.height[2], level_width = g.width[2];
    halve_tile<TAPS, COUNT, 2>(
        tile, source, steps, y, x, rows, height, width, 0, ignore,
        [&](int c, int to_y, int to_x, float value) {
            if (to_y < level_height && to_x < level_width)
                arena[plane_at(g, plane + c, 2) + to_y * level_width + to_x] =
                    value * (c == 0 ? grey : COLOUR_SCALE);
        });
}

extern "C" __global__ void __launch_bounds__(COLUMNS)
    opponency(const __grid_constant__ Geometry g, const float* tables, const Addresses* addresses,
              float* arena, int rows) {
    halve_frame<5, PLANES>(g, tables, addresses, arena, rows, PLANE_STEP, 0);
}

#if OWN_PYRAMID
extern "C" __global__ void __launch_bounds__(COLUMNS)
    opponency_own(const __grid_constant__ Geometry g, const float* tables,
                  const Addresses* addresses, float* arena, int rows) {
    halve_frame<9, 1>(g, tables, addresses, arena, rows, OWN_STEP, OWN);
}
#endif
