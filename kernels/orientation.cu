// Intensity levels to one energy per orientation, all levels in one launch. The filter, a 9-tap
// binomial times a complex wave (G94), separates: five filters down the columns of the band-passed
// tile, in registers, then eight across its rows give the four orientations. Outside the frame the
// band is zero; the cut kernels' renormalisation and the border's fade are one factor per row and
// per column.
//
// With GABOR the filters see the samples themselves. They are a Gaussian times a wave; the mean of the
// even one is subtracted by a box filter. Energies are |even| + |odd|. The factor of a sample is at
// least its column's first one, which is 1 near the left and right border.

#include "common.cuh"

enum { SPREAD = 4, WINDOW = 2 * SPREAD + 1, PARTIALS = 5 + GABOR };
// Of a tile: energies, the band that they need, the samples that the band needs; down and across.
enum {
    BAND_X = TILE_COLUMNS + 2 * SPREAD,
    SAMPLE_X = BAND_X + 2 * SPREAD,
    BAND_ROWS = TILE_ROWS + 2 * SPREAD,
    SAMPLE_ROWS = BAND_ROWS + 2 * SPREAD
};

// The envelope's sum of the nine samples from `at` on, and the same with taps like a cosine, alike
// on both sides, or like a sine, of opposite signs; and their plain sum.
INLINE float smooth(const float* at) {
    const float taps[] = ENVELOPE;
    float out = (at[2 * SPREAD] + at[0]) * taps[0];
#pragma unroll
    for (int i = 1; i < SPREAD; ++i) out = fmaf(at[2 * SPREAD - i] + at[i], taps[i], out);
    return fmaf(at[SPREAD], taps[SPREAD], out);
}
INLINE float cosine(const float* at, const float (&taps)[5]) {
    float out = at[4] * taps[0];
#pragma unroll
    for (int i = 1; i <= SPREAD; ++i) out = fmaf(at[4 + i] + at[4 - i], taps[i], out);
    return out;
}
INLINE float sine(const float* at, const float (&taps)[5]) {
    float out = (at[5] - at[3]) * taps[1];
#pragma unroll
    for (int i = 2; i <= SPREAD; ++i) out = fmaf(at[4 + i] - at[4 - i], taps[i], out);
    return out;
}

INLINE float total(const float* at) {
    float out = at[0];
#pragma unroll
    for (int i = 1; i < WINDOW; ++i) out += at[i];
    return out;
}

// Of one plane, to the planes from number `target` on; or, where that is -1, of the decorrelated
// planes, at the levels whose energies are whitened together.
extern "C" __global__ void __launch_bounds__(COLUMNS) orientation(MODEL, int plane, int target) {
    enum { SEGMENTS = 2, ROWS_EACH = BAND_ROWS / SEGMENTS, EACH = TILE_ROWS / SEGMENTS };
    __shared__ __align__(16) float samples[SAMPLE_ROWS][SAMPLE_X];
    __shared__ __align__(16) float low[BAND_ROWS][SAMPLE_X];  // samples low-passed down
    __shared__ __align__(16) float band[BAND_ROWS][SAMPLE_X];
    __shared__ __align__(16) float partials[PARTIALS][TILE_ROWS][SAMPLE_X];

    const int level = level_of(g, blockIdx.x), block = blockIdx.x - g.first_tile[level];
    const int height = g.height[level], width = g.width[level], size = height * width;
    const int tiles = ceil_div(width, TILE_COLUMNS);
    const int x1 = block % tiles * TILE_COLUMNS, y1 = block / tiles * TILE_ROWS;
    arena += size_t(blockIdx.z) * g.frame;
    const bool whitened = target < 0;
    const float* source =
        arena + (whitened ? g.whitened[level] + int(blockIdx.y) * size : plane_at(g, plane, level));
    float* to = arena + (whitened ? g.energies[level] + int(blockIdx.y) * ORIENTATIONS * size
                                  : plane_at(g, target, level));
    const float *rows = tables + g.filters[level][0], *columns = tables + g.filters[level][1];

    // A thread has half a column.
    const int column = threadIdx.x % (COLUMNS / SEGMENTS),
              half = threadIdx.x / (COLUMNS / SEGMENTS);
    {
        const int x = x1 - 2 * SPREAD + column, first = y1 - 2 * SPREAD + half * ROWS_EACH;
        float window[ROWS_EACH + 2 * SPREAD];
#pragma unroll
        for (int i = 0; i < ROWS_EACH + 2 * SPREAD; ++i) {
            const int y = first + i;
            const bool inside = x >= 0 && x < width && y >= 0 && y < height;
            window[i] = inside ? __ldg(source + y * width + x) : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < ROWS_EACH; ++i) {
            low[half * ROWS_EACH + i][column] = smooth(window + i);
            samples[half * ROWS_EACH + i][column] = window[i + SPREAD];
        }
    }
    __syncthreads();
    for (int item = threadIdx.x; item < BAND_ROWS * (BAND_X / 4); item += COLUMNS) {
        const int r = item / (BAND_X / 4), c = item % (BAND_X / 4) * 4, y = y1 - SPREAD + r;
        float window[12], centre[4], out[4];
        load_row(low[r], c, window);
        load_row(samples[r], c + SPREAD, centre);
        const float down = y >= 0 && y < height ? __ldg(rows + y) : 0.0f;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int x = x1 - SPREAD + c + i;
            const float scale = x >= 0 && x < width ? __ldg(columns + x) * down : 0.0f;
            // Outside, samples are 0 too.
            out[i] = GABOR ? centre[i] : fmaf(-smooth(window + i), scale, centre[i]);
        }
        *reinterpret_cast<float4*>(&band[r][c]) = make_float4(out[0], out[1], out[2], out[3]);
    }
    __syncthreads();
    if (column < BAND_X) {
        float window[EACH + 2 * SPREAD];
#pragma unroll
        for (int i = 0; i < EACH + 2 * SPREAD; ++i) window[i] = band[half * EACH + i][column];
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const int r = half * EACH + i;
            partials[0][r][column] = smooth(window + i);
            if (GABOR) partials[PARTIALS - 1][r][column] = total(window + i);
#pragma unroll
            for (int k = 0; k < 2; ++k) {
                partials[1 + 2 * k][r][column] = cosine(window + i, g.waves[k][0]);
                partials[2 + 2 * k][r][column] = sine(window + i, g.waves[k][1]);
            }
        }
    }
    __syncthreads();
    for (int item = threadIdx.x; item < TILE_ROWS * (TILE_COLUMNS / 4); item += COLUMNS) {
        const int r = item / (TILE_COLUMNS / 4), c = item % (TILE_COLUMNS / 4) * 4, y = y1 + r;
        if (y >= height && !FAULT(rows_too_many)) break;
        const float down = __ldg(rows + height + y);
        float* out = to + y * width + x1 + c;
        float scale[4], box[4] = {};
#pragma unroll
        for (int i = 0; i < 4; ++i)
            scale[i] = x1 + c + i < width ? __ldg(columns + width + x1 + c + i) * down : 0.0f;
        if (GABOR) {
            float window[12];
            load_row(partials[PARTIALS - 1][r], c, window);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                if (x1 + c + i < width) scale[i] = fmaxf(scale[i], __ldg(columns + x1 + c + i));
                box[i] = total(window + i);
            }
        }
        // Orientations: a horizontal bar (0), whose wave runs down, 45, 90 and 135 degrees.
        const auto write = [&](int orientation, int i, float real, float imaginary) {
            float energy;
            if constexpr (GABOR) {
                const float measures[2][3] = MEASURES;
                const float(&its)[3] = measures[orientation % 2];
                energy = fmaf(fabsf(fmaf(-its[0], box[i], real)), its[1], fabsf(imaginary) * its[2]);
            } else {
                energy = root(fmaf(real, real, imaginary * imaginary));
            }
            if (x1 + c + i < width) out[orientation * size + i] = energy * scale[i];
        };
        float window[12], other[12];
        load_row(partials[0][r], c, window);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            write(2, i, cosine(window + i, g.waves[0][0]), sine(window + i, g.waves[0][1]));
        load_row(partials[1][r], c, window);
        load_row(partials[2][r], c, other);
#pragma unroll
        for (int i = 0; i < 4; ++i) write(0, i, smooth(window + i), smooth(other + i));
        load_row(partials[3][r], c, window);
        load_row(partials[4][r], c, other);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            // Down by across.
            const float cos_cos = cosine(window + i, g.waves[1][0]),
                        cos_sin = sine(window + i, g.waves[1][1]);
            const float sin_cos = cosine(other + i, g.waves[1][0]),
                        sin_sin = sine(other + i, g.waves[1][1]);
            write(FAULT(orientations_swapped) ? 3 : 1, i, cos_cos + sin_sin, sin_cos - cos_sin);
            write(3, i, cos_cos - sin_sin, sin_cos + cos_sin);
        }
    }
}
