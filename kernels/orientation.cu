// Intensity levels to one energy per direction, all levels in one launch. The filter, a 9-tap binomial
// times a complex wave, separates: five filters along x of the band-passed tile, then eight along y
// give the four directions (G94; ALGORITHM of P98's oriented pyramids). Outside the frame the band is
// zero; the cut kernels' renormalisation and the border's fade are one factor per row and per column.

enum { ENERGY_X = 32, ENERGY_Y = 8, SPREAD = 4, PARTIALS = 5 };

// The 9-tap binomial around `at`, samples `stride` apart.
__device__ __forceinline__ float smooth(const float* at, int stride) {
    float out = (at[4 * stride] + at[-4 * stride]) * (1 / 256.0f);
    out = fmaf(at[3 * stride] + at[-3 * stride], 8 / 256.0f, out);
    out = fmaf(at[2 * stride] + at[-2 * stride], 28 / 256.0f, out);
    out = fmaf(at[stride] + at[-stride], 56 / 256.0f, out);
    return fmaf(at[0], 70 / 256.0f, out);
}

// The same with taps like a cosine, alike on both sides, or like a sine, of opposite signs.
__device__ __forceinline__ float cosine(const float* at, int stride, const float (&taps)[5]) {
    float out = at[0] * taps[0];
#pragma unroll
    for (int i = 1; i <= SPREAD; ++i) out = fmaf(at[i * stride] + at[-i * stride], taps[i], out);
    return out;
}
__device__ __forceinline__ float sine(const float* at, int stride, const float (&taps)[5]) {
    float out = (at[stride] - at[-stride]) * taps[1];
#pragma unroll
    for (int i = 2; i <= SPREAD; ++i) out = fmaf(at[i * stride] - at[-i * stride], taps[i], out);
    return out;
}

extern "C" __global__ void __launch_bounds__(THREADS) orientation(
    const __grid_constant__ Geometry g, const float* tables, float* arena) {
    enum {
        BAND_X = ENERGY_X + 2 * SPREAD, BAND_Y = ENERGY_Y + 2 * SPREAD,
        X = BAND_X + 2 * SPREAD, Y = BAND_Y + 2 * SPREAD
    };
    __shared__ float samples[Y][X];
    __shared__ float low[Y][BAND_X];
    __shared__ float band[BAND_Y][BAND_X];
    __shared__ float partials[PARTIALS][BAND_Y][ENERGY_X];

    int level = FIRST_LEVEL;
    while (int(blockIdx.x) >= g.first_block[level + 1]) ++level;
    const int block = blockIdx.x - g.first_block[level];
    const int height = g.height[level], width = g.width[level];
    const int across = ceil_div(width, ENERGY_X);
    const int x1 = block % across * ENERGY_X, y1 = block / across * ENERGY_Y;
    arena += size_t(blockIdx.z) * g.frame;
    const float* source = arena + plane_at(g, OWN_PYRAMID ? OWN : 0, level);
    const float *rows = tables + g.filters[level][0], *columns = tables + g.filters[level][1];

    for (int i = threadIdx.x; i < Y * X; i += THREADS) {
        const int y = y1 - 2 * SPREAD + i / X, x = x1 - 2 * SPREAD + i % X;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        samples[i / X][i % X] = inside ? __ldg(source + y * width + x) : 0.0f;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < Y * BAND_X; i += THREADS)
        low[i / BAND_X][i % BAND_X] = smooth(&samples[i / BAND_X][i % BAND_X + SPREAD], 1);
    __syncthreads();
    for (int i = threadIdx.x; i < BAND_Y * BAND_X; i += THREADS) {
        const int r = i / BAND_X, c = i % BAND_X, y = y1 - SPREAD + r, x = x1 - SPREAD + c;
        float value = 0;
        if (y >= 0 && y < height && x >= 0 && x < width) {
            const float scale = __ldg(rows + y) * __ldg(columns + x);
            value = fmaf(-smooth(&low[r + SPREAD][c], BAND_X), scale, samples[r + SPREAD][c + SPREAD]);
        }
        band[r][c] = value;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < BAND_Y * ENERGY_X; i += THREADS) {
        const int r = i / ENERGY_X, c = i % ENERGY_X;
        const float* at = &band[r][c + SPREAD];
        partials[0][r][c] = smooth(at, 1);
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            partials[1 + 2 * k][r][c] = cosine(at, 1, g.waves[k][0]);
            partials[2 + 2 * k][r][c] = sine(at, 1, g.waves[k][1]);
        }
    }
    __syncthreads();
    const int r = threadIdx.x / ENERGY_X, c = threadIdx.x % ENERGY_X, y = y1 + r, x = x1 + c;
    if (y >= height || x >= width) return;
    const float scale = __ldg(rows + height + y) * __ldg(columns + width + x);
    float* out = arena + plane_at(g, ORIENTED, level) + y * width + x;
    const auto along_y = [&](int p) { return &partials[p][r + SPREAD][c]; };
    const auto write = [&](int direction, float real, float imaginary) {
        const float energy = __fsqrt_rn(fmaf(real, real, imaginary * imaginary));
        out[direction * height * width] = energy * scale;
    };
    const auto& axial = g.waves[0];
    const auto& diagonal = g.waves[1];
    // A horizontal bar's wave runs down, a vertical one's across.
    write(0, cosine(along_y(0), ENERGY_X, axial[0]), sine(along_y(0), ENERGY_X, axial[1]));
    write(2, smooth(along_y(1), ENERGY_X), smooth(along_y(2), ENERGY_X));
    const float cos_cos = cosine(along_y(3), ENERGY_X, diagonal[0]), cos_sin = sine(along_y(3), ENERGY_X, diagonal[1]);
    const float sin_cos = cosine(along_y(4), ENERGY_X, diagonal[0]), sin_sin = sine(along_y(4), ENERGY_X, diagonal[1]);
    write(1, cos_cos + sin_sin, cos_sin - sin_cos);
    write(3, cos_cos - sin_sin, cos_sin + sin_cos);
}
