// A frame to the finest stored level of its planes, in one pass: pixels become the planes in
// registers and are downsampled on the way, twice unless levels are shifted, so that levels 0 and 1
// do not reach memory; only the background that flicker is compared with has the frame's size.

#include "common.cuh"
#include "downsample.cuh"
#include "pixels.cuh"

static_assert(FINEST_LEVEL >= 0 && FINEST_LEVEL <= 2, "up to two steps from the frame");

// --- pixels --------------------------------------------------------------------------------------

// Both opponents before they are divided by brightness, written with differences first so that grey
// gives exactly 0; all but for the factor COLOUR_SCALE. Returns the brightness. `sum` is r + g + b.
INLINE float opponents(float r, float g, float b, float sum, float& red_green, float& blue_yellow) {
    if (OPPONENCY_LINEAR) {
        red_green = r - g;
        blue_yellow = fmaf(-0.5f, r + g, b);
        return sum;
    }
    if (OPPONENCY_WALTHER) {
        red_green = r - g;
        blue_yellow = b - fminf(r, g);
        return fmaxf(fmaxf(r, g), b);
    }
    // Twice a colour less the others; of whole numbers, three times it less the sum is as exact.
    const bool whole = PIXEL_BITS < 32 && !LINEAR;
    const auto excess = [&](float x, float others) {
        return fmaxf(whole ? fmaf(3.0f, x, -sum) : x + x - others, 0.0f);
    };
    red_green = excess(r, g + b) - excess(g, r + b);
    const float spread = fmaxf(r, g) - fminf(r, g);
    const float yellow = OPPONENCY_INVT ? (r + g) - ((spread + spread) + (b + b)) : fminf(r, g) - b;
    blue_yellow = fmaf(-2.0f, fmaxf(yellow, 0.0f), excess(b, r + g));
    return sum;
}
const float COLOUR_SCALE = OPPONENCY_ITTI ? 1.5f : OPPONENCY_INVT ? 0.5f : 1.0f;

// Flicker's background: a sum of elements per pixel. Of three bytes as fixed point, in 32nds, of
// which a short holds the highest.
#if FIXED_POINT
typedef short Background;
enum { FRACTIONS = 32 };
#else
typedef float Background;
enum { FRACTIONS = 1 };
#endif

// A column of flicker's background, of a tile that has it: as it was and as it becomes.
template <bool FLICKERS>
struct BackgroundColumn {
    const Background* was;
    Background* becomes;
    float decay;
    int height, pitch;

    static INLINE BackgroundColumn at(Background* both, int x, const Call& call, int height,
                                      int width) {
        Background *first = both + x, *second = first + size_t(height) * width;
        return {call.turn ? second : first, call.turn ? first : second, call.flicker_decay, height,
                width};
    }
    typedef Background Fetched;
    template <bool INSIDE>
    INLINE Background fetch(int y) const {
        return __ldg(was + size_t(INSIDE ? y : clamp(y, height)) * pitch);
    }
    // |I - P| of row y; leaves P moved towards I. In fixed point what remains of a difference is
    // rounded towards 0, so that a still picture comes to rest at exactly 0. Samples that several
    // tiles see get the same from each.
    INLINE float flicker(float sum, Background before, int y) const {
        Background after;
        float size;
        if constexpr (FRACTIONS > 1) {
            const int now = int(sum) * FRACTIONS, distance = abs(now - before);
            const int left = (distance * int(fmaf(decay, 32768.0f, 0.5f))) >> 15;
            after = Background(now > before ? now - left : now + left);
            size = float(distance);
        } else {
            const float difference = sum - before;
            // Bounded, so that of what a bad frame may have left, NaN too, nothing is kept by 0.
            after = fmaf(-fminf(fmaxf(difference, -1e30f), 1e30f), decay, sum);
            size = fabsf(difference);
        }
        if (FAULT(background_never_moves)) after = before;
        if (y >= 0 && y < height) becomes[size_t(y) * pitch] = after;
        return size;
    }
};
template <>
struct BackgroundColumn<false> {
    static INLINE BackgroundColumn at(Background*, int, const Call&, int, int) { return {}; }
    struct Fetched {};
    template <bool INSIDE>
    INLINE Fetched fetch(int) const {
        return {};
    }
};

// A column of a frame as its first COUNT planes: a source.
template <int COUNT>
struct PixelColumn {
    static constexpr bool FLICKERS = PLANE_FLICKER >= 0 && COUNT > PLANE_FLICKER;
    static constexpr bool COLOURS = PLANE_BLUE_YELLOW >= 0 && COUNT > PLANE_BLUE_YELLOW;
    const Pixel* column;
    const float* linear;
    int height, pitch;
    float hue_limit;
    BackgroundColumn<FLICKERS> background;

    struct Fetched {
        Pixel element[PIXEL_CHANNELS];
        typename BackgroundColumn<FLICKERS>::Fetched before;
    };
    template <bool INSIDE>
    INLINE Fetched fetch(int y) const {
        const Pixel* from = column + size_t(INSIDE ? y : clamp(y, height)) * pitch;
        Fetched pixel;
#pragma unroll
        for (int c = 0; c < PIXEL_CHANNELS; ++c) pixel.element[c] = __ldg(from + c);
        pixel.before = background.template fetch<INSIDE>(y);
        return pixel;
    }
    INLINE void values(const Fetched& even, const Fetched& odd, int y, float (&a)[COUNT],
                       float (&b)[COUNT]) const {
        planes(even, a);
        planes(odd, b);
        if constexpr (FLICKERS) {
            a[PLANE_FLICKER] = background.flicker(a[PLANE_INTENSITY], even.before, y);
            b[PLANE_FLICKER] = background.flicker(b[PLANE_INTENSITY], odd.before, y + 1);
        }
    }
    INLINE void planes(const Fetched& pixel, float (&value)[COUNT]) const {
        if constexpr (PIXEL_CHANNELS == 1) {
            value[PLANE_INTENSITY] = element(pixel.element[0], linear);
        } else {
            const float r = element(pixel.element[BGR ? 2 : 0], linear),
                        g = element(pixel.element[1], linear),
                        b = element(pixel.element[BGR ? 0 : 2], linear);
            const float sum = value[PLANE_INTENSITY] = INTENSITY(r, g, b);
            if constexpr (COLOURS) {
                float &red_green = value[PLANE_RED_GREEN], &blue_yellow = value[PLANE_BLUE_YELLOW];
                const float brightness = opponents(r, g, b, sum, red_green, blue_yellow);
                if (OPPONENCY_LINEAR) return;
                const float hue = brightness > hue_limit ? reciprocal(brightness) : 0.0f;
                red_green *= hue;
                blue_yellow *= hue;
            }
        }
    }
};

// --- the finest level ----------------------------------------------------------------------------

// One block makes `rows` rows of a tile of the first COUNT planes, to those from number `plane` on.
template <int TAPS, int COUNT>
INLINE void downsample_frame(const Geometry& g, const float* tables, float* arena, const Call* call,
                             Background* background, int rows, int kind, int plane) {
    typedef Shape<TAPS, FINEST_LEVEL> S;
    typedef PixelColumn<COUNT> Source;
    const int height = g.height[0], width = g.width[0], pitch = width * PIXEL_CHANNELS;
    const int y = blockIdx.y * rows, x = blockIdx.x * S::OUTPUTS;
    const Pixel* frame =
        static_cast<const Pixel*>(call->frames) + blockIdx.z * (size_t(height) * pitch);
    arena += size_t(blockIdx.z) * g.frame;
    const int column = clamp(S::first(x) + int(threadIdx.x), width);
    const auto flickers =
        BackgroundColumn<Source::FLICKERS>::at(background, column, *call, height, width);
    const Source source{frame + column * PIXEL_CHANNELS, tables + g.linear, height, pitch,
                        found_in(g, arena).hue_limit,    flickers};
    const float grey = 1.0f / (g.full * PIXEL_CHANNELS);
    const float colour = OPPONENCY_LINEAR ? 1.0f / g.full : COLOUR_SCALE;
    const int level_height = g.height[FINEST_LEVEL], level_width = g.width[FINEST_LEVEL];
    const auto store = [&](int c, int to_y, int to_x, float value) {
        const float fractions = FAULT(another_planes_scale) ? 1 : FRACTIONS;
        if (to_y < level_height && to_x < level_width + FAULT(one_column_too_many))
            arena[plane_at(g, plane + c, FINEST_LEVEL) + to_y * level_width + to_x] =
                value * (c == PLANE_INTENSITY                     ? grey
                         : Source::FLICKERS && c == PLANE_FLICKER ? grey / fractions
                                                                  : colour);
    };
    if constexpr (FINEST_LEVEL == 0) {
        for (int row = y; row < min(y + rows, height); row += 2) {
            float even[COUNT], odd[COUNT];
            source.values(source.template fetch<false>(row), source.template fetch<false>(row + 1),
                          row, even, odd);
            for (int c = 0; c < COUNT; ++c) {
                store(c, row, x + threadIdx.x, even[c]);
                store(c, row + 1, x + threadIdx.x, odd[c]);
            }
        }
    } else {
        __shared__ Tile<TAPS, COUNT, FINEST_LEVEL> tile;
        downsample_tile<TAPS, COUNT, FINEST_LEVEL>(tile, source, Steps(g, tables, kind, kind, 0), y,
                                                   x, rows, height, width, AHEAD, ignore, store);
    }
}

// Blocks that have to fit a multiprocessor: so few that no incomplete sum leaves the registers.
// Without a number the compiler aims at more, and spills.
enum { RESIDENT = PYRAMID_TAPS == 9 ? 3 - BLACKWELL : PIXEL_PLANES == 4 ? 3 : 4 };

extern "C" __global__ void __launch_bounds__(COLUMNS, RESIDENT)
    opponency(MODEL, const Call* call, Background* background, int rows) {
    downsample_frame<PYRAMID_TAPS, PIXEL_PLANES>(g, tables, arena, call, background, rows,
                                                 PYRAMID_STEP, 0);
}

#if HAS_ORIENTATION_PYRAMID
extern "C" __global__ void __launch_bounds__(COLUMNS, 3)
    opponency_orientation(MODEL, const Call* call, int rows, int plane) {
    downsample_frame<9, 1>(g, tables, arena, call, nullptr, rows, ORIENTATION_PYRAMID_STEP, plane);
}
#endif
