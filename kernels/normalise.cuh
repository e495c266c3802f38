// The operator N, of one map by one block. `maxnorm` and `none` are affine, scale x + offset, so
// that only two numbers are kept; `iterative` writes a new map.

enum { PARTS = 36 };  // a plateau's samples count as 36ths: 1 / ((1 + a) (1 + b)), a, b <= 2
const float FIXED = 65536.0f * 65536.0f;  // peaks of 0 to 1 as integers: summed in any order

// N's scale and offset, or 1 and 0 where `iterative` has written a new map.
struct Affine {
    float scale, offset;
};

// A walk over a map's samples by all threads of a block, row and column known without division.
struct Walk {
    int i, y, x, columns, size, rows_on, columns_on;
    __device__ Walk(int height, int width) : i(threadIdx.x), columns(width), size(height * width) {
        y = i / width;
        x = i - y * width;
        rows_on = blockDim.x / width;
        columns_on = blockDim.x - rows_on * width;
    }
    __device__ bool more() const { return i < size; }
    __device__ void next() {
        i += blockDim.x;
        y += rows_on;
        x += columns_on;
        if (x >= columns) x -= columns, ++y;
    }
};

struct Range {
    float low, high;
};
// A thread looks at the samples that it writes, if it has just made the map by the same stride: so
// nobody need have waited before, and all have after.
__device__ Range range_of(const float* map, int size) {
    float low = 3.0e38f, high = -3.0e38f;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        low = fminf(low, map[i]);
        high = fmaxf(high, map[i]);
    }
    return {over_block(low, Lower()), over_block(high, Higher())};
}

// (M - mean local maximum)^2; without the global maximum, or with it (iNVT). `range` is what
// becomes [0, top], `own` the map's: they differ in the lesser half of a split map. Interior
// samples that are at least THRESHOLD of the range and not below any of four neighbours are local
// maxima.
__device__ float maxnorm_factor(const float* map, int height, int width, Range range, Range own,
                                float top) {
    const float near = PEAK_MEAN_ALL ? 0.0f : PLATEAU * (own.high - own.low);
    const float spread = range.high - range.low, threshold = range.low + spread * THRESHOLD;
    unsigned long long total = 0;
    unsigned count = 0, at_top = 0;
    for (Walk at(height, width); at.more(); at.next()) {
        if (at.y < 1 || at.y >= height - 1 || at.x < 1 || at.x >= width - 1) continue;
        const float* here = map + at.i;
        const float value = here[0], left = here[-1], right = here[1], up = here[-width],
                    down = here[width];
        const float highest = fmaxf(fmaxf(left, right), fmaxf(up, down));
        if (value < threshold || value + near < highest) continue;
        unsigned parts = PARTS;
        if (!PEAK_MEAN_ALL) {
            const float tied = value - near;
            parts /= (1 + (left >= tied) + (right >= tied)) * (1 + (up >= tied) + (down >= tied));
        }
        total += __float2ull_rn((value - range.low) / spread * FIXED) * parts;
        count += parts;
        if (value >= own.high - near) at_top += parts;
    }
    total = over_block(total, Sum());
    count = over_block(count, Sum());
    at_top = over_block(at_top, Sum());
    const float highest = (own.high - range.low) / spread * top;
    const double most = double(highest);
    double sum = double(total) / (double(FIXED) * PARTS) * double(top),
           peaks = double(count) / PARTS;
    if (PEAK_MEAN_ALL) {
        if (count == 0) return 1.0f;
        if (count == PARTS) return highest * highest;
    } else {
        const double global = fmin(double(at_top) / PARTS, 1.0);
        sum -= global * most;
        peaks -= global;
    }
    const double mean = peaks > double(HALF_A_PEAK) ? fmin(fmax(sum / peaks, 0.0), most) : 0.0;
    return float((most - mean) * (most - mean));
}

// --- iterated difference of Gaussians (IK00) -----------------------------------------------------

// A Gaussian's table: its taps from the centre out, then full / inside sum by row and by column.
__device__ void smooth_map(const float* in, float* middle, float* out, int height, int width,
                           const float* kernel, int reach) {
    const float *by_row = kernel + reach + 1, *by_column = by_row + height;
    for (Walk at(height, width); at.more(); at.next()) {
        float value = 0;
        for (int k = -reach; k <= reach; ++k)
            if (at.y + k >= 0 && at.y + k < height)
                value = fmaf(kernel[k < 0 ? -k : k], in[at.i + k * width], value);
        middle[at.i] = value * by_row[at.y];
    }
    __syncthreads();
    for (Walk at(height, width); at.more(); at.next()) {
        float value = 0;
        for (int k = -reach; k <= reach; ++k)
            if (at.x + k >= 0 && at.x + k < width)
                value = fmaf(kernel[k < 0 ? -k : k], middle[at.i + k], value);
        out[at.i] = value * by_column[at.x];
    }
    __syncthreads();
}

// X <- max(0, x + excitation - inhibition - INHIBITION max x), in place.
__device__ void iterate(const Geometry& g, const float* tables, float* map, float* scratch,
                        Affine first) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    float *excitation = scratch, *inhibition = scratch + size, *middle = scratch + 2 * size;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        map[i] = fmaf(map[i], first.scale, first.offset);
    __syncthreads();
    for (int k = 0; k < ITERATIONS; ++k) {
        smooth_map(map, middle, excitation, height, width, tables + g.gaussians[0], g.reach[0]);
        smooth_map(map, middle, inhibition, height, width, tables + g.gaussians[1], g.reach[1]);
        const float constant = INHIBITION * range_of(map, size).high;
        for (int i = threadIdx.x; i < size; i += blockDim.x)
            map[i] = fmaxf(0.0f, map[i] + excitation[i] - inhibition[i] - constant);
        __syncthreads();
    }
}

// --- N -------------------------------------------------------------------------------------------

// N of `halves` maps that lie one after the other and share a range, onto [0, top]; each half's
// scale and offset, times `weight`, go to `affine`. `signal` is the largest contrast that could be,
// for the flat test. With `iterative` the maps are rewritten, and scaled to [0, top] first if
// `rescale`.
__device__ void norm(const Geometry& g, const float* tables, float* map, int halves, float signal,
                     float top, bool rescale, float weight, Affine* affine, float* scratch) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    const Range all = range_of(map, halves * size);
    const bool flat = all.high - all.low <= FLAT * fmaxf(signal, DARK);
    for (int half = 0; half < halves; ++half, map += size) {
        Affine result{0.0f, 0.0f};
        if (NORMALISATION_ITERATIVE && !rescale) {
            result.scale = 1.0f;
        } else if (!flat) {
            result.scale = (NORMALISATION_NONE ? 1.0f : top) / (all.high - all.low);
            if (NORMALISATION_MAXNORM) {
                const Range own = halves == 1 ? all : range_of(map, size);
                result.scale *= maxnorm_factor(map, height, width, all, own, top);
            }
            result.offset = -all.low * result.scale;
        }
        if (NORMALISATION_ITERATIVE) {
            iterate(g, tables, map, scratch, result);
            result = {1.0f, 0.0f};
        }
        if (threadIdx.x == 0) affine[half] = {result.scale * weight, result.offset * weight};
    }
}
