// The operator N. `maxnorm` and `none` are affine, scale x + offset, so that only two numbers are
// kept; `iterative` writes a new map. What N has to know of a map is its range and its peaks, whose
// sums are of integers, so that blocks can share them and get the same bits.

enum { PARTS = 36 };  // a plateau's samples count as 36ths: 1 / ((1 + a) (1 + b)), a, b <= 2
const float FIXED = 65536.0f * 65536.0f;  // peaks of 0 to 1 as integers: summed in any order

// Threads of a block that has a map, at most.
enum { MOST_THREADS = NORMALISATION_ITERATIVE ? MAP_THREADS : 1024 };

// N's scale and offset, or 1 and 0 where `iterative` has written a new map.
struct Affine {
    float scale, offset;
};

// Samples of a map that a thread of this block has: its first one, and from one to the next.
INLINE int first_sample() { return blockIdx.x * blockDim.x + threadIdx.x; }
INLINE int samples_on() { return gridDim.x * blockDim.x; }

// A walk over the samples of a map, or of the part that this block has of it: row and column are
// known without division.
struct Walk {
    int i, y, x, columns, size, stride, rows_on, columns_on;
    __device__ Walk(int height, int width)
        : i(first_sample()),
          columns(width),
          size(height * width),
          stride(samples_on()) {
        y = i / width;
        x = i - y * width;
        rows_on = stride / width;
        columns_on = stride - rows_on * width;
    }
    __device__ bool more() const { return i < size; }
    __device__ void next() {
        i += stride;
        y += rows_on;
        x += columns_on;
        if (x >= columns) x -= columns, ++y;
    }
};

// What a block has found in its part of a map: the part of each thread of a warp, to be joined.
template <class T>
INLINE T of_part(const T* parts, T none) {
    const int part = threadIdx.x % 32;
    return part < int(gridDim.x) ? from_block(parts + part) : none;
}
INLINE Range whole_range(const Range* parts) {
    return over_warp(of_part(parts, no_values()), Wider());
}

// A thread looks at the samples that it writes, if it has just made the map by the same stride: so
// nobody need have waited before, and all have after.
__device__ Range range_of(const float* map, int size) {
    Range range = no_values();
    for (int i = first_sample(); i < size; i += samples_on())
        range = Wider()(range, {map[i], map[i]});
    return over_block(range, Wider());
}

// --- maxnorm -------------------------------------------------------------------------------------

// Local maxima: how many, how many of them are the highest, in 36ths, and the sum of their heights,
// those of the range being [0, FIXED].
struct Peaks {
    unsigned long long total;
    unsigned count, at_top;
    INLINE Peaks operator+(const Peaks& other) const {
        return {total + other.total, count + other.count, at_top + other.at_top};
    }
};
// How far below its neighbours a local maximum may lie: it is on a plateau.
INLINE float plateau(Range own) { return PEAK_MEAN_ALL ? 0.0f : PLATEAU * (own.high - own.low); }

// Those of this block's part: inside of the border, at least THRESHOLD of the range, and not
// below any of four neighbours. `range` is what becomes [0, top], `own` the map's: they differ in
// the lesser half of a split map.
__device__ Peaks peaks_of(const float* map, int height, int width, Range range, Range own) {
    const float spread = range.high - range.low, threshold = range.low + spread * THRESHOLD;
    const float near = plateau(own);
    Peaks peaks{};
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
        peaks.total += __float2ull_rn((value - range.low) / spread * FIXED) * parts;
        peaks.count += parts;
        if (value >= own.high - near) peaks.at_top += parts;
    }
    return over_block(peaks, Sum());
}

// (M - mean local maximum)^2; without the global maximum, or with it (iNVT). In double: by one
// thread, since many GPUs have two lanes for that in a multiprocessor.
__device__ float maxnorm_factor(const Peaks& peaks, Range range, Range own, float top) {
    const float highest = (own.high - range.low) / (range.high - range.low) * top;
    if (PEAK_MEAN_ALL && peaks.count == 0) return 1.0f;
    if (PEAK_MEAN_ALL && peaks.count == PARTS) return highest * highest;
    const double most = double(highest);
    const unsigned global = PEAK_MEAN_ALL ? 0 : min(peaks.at_top, unsigned(PARTS));
    const unsigned others = peaks.count - global;  // and their sum, both in 36ths
    const double sum = double(peaks.total) * (double(top) / double(FIXED)) - double(global) * most;
    const bool any = double(others) > double(HALF_A_PEAK) * PARTS;
    const double mean = any ? fmin(fmax(sum / double(others), 0.0), most) : 0.0;
    return float((most - mean) * (most - mean));
}

// --- N -------------------------------------------------------------------------------------------

// Whether a map is flat; `signal` is the largest contrast that could be.
INLINE bool is_flat(Range range, float signal) {
    return range.high - range.low <= FLAT * fmaxf(signal, DARK);
}
// Onto [0, top], or to zero if it is flat.
INLINE Affine onto(Range range, float top, bool flat) {
    const float scale = flat ? 0.0f : top / (range.high - range.low);
    return {scale, flat ? 0.0f : -range.low * scale};
}
// Scale and offset that N gives a map, times `weight`. By one thread.
INLINE Affine affine_of(Range range, Range own, const Peaks& peaks, float signal, float top,
                        float weight) {
    const bool flat = is_flat(range, signal);
    Affine affine = onto(range, NORMALISATION_NONE ? 1.0f : top, flat);
    if (NORMALISATION_MAXNORM && !flat) {
        affine.scale *= maxnorm_factor(peaks, range, own, top);
        affine.offset = -range.low * affine.scale;
    }
    return {affine.scale * weight, affine.offset * weight};
}

// --- iterated difference of Gaussians (IK00) -----------------------------------------------------

// A Gaussian's table: its taps from the centre out, then full / inside sum by row and by column.
__device__ void smooth_map(const float* in, float* middle, float* out, int height, int width,
                           const float* kernel, int reach) {
    const float *by_row = kernel + reach + 1, *by_column = by_row + height;
    for (Walk at(height, width); at.more(); at.next()) {
        float value = 0;
        for (int k = max(-reach, -at.y), last = min(reach, height - 1 - at.y); k <= last; ++k)
            value = fmaf(__ldg(kernel + abs(k)), in[at.i + k * width], value);
        middle[at.i] = value * by_row[at.y];
    }
    __syncthreads();
    for (Walk at(height, width); at.more(); at.next()) {
        float value = 0;
        for (int k = max(-reach, -at.x), last = min(reach, width - 1 - at.x); k <= last; ++k)
            value = fmaf(__ldg(kernel + abs(k)), middle[at.i + k], value);
        out[at.i] = value * by_column[at.x];
    }
    __syncthreads();
}

// X <- max(0, x + excitation - inhibition - INHIBITION max x), in place; scaled first.
__device__ void iterate(const Geometry& g, const float* tables, float* map, float* scratch,
                        Affine first) {
    const int height = g.height[MAP_LEVEL], width = g.width[MAP_LEVEL], size = height * width;
    float *excitation = scratch, *inhibition = scratch + size, *middle = scratch + 2 * size;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        map[i] = fmaf(map[i], first.scale, first.offset);
    __syncthreads();
    for (int k = 0; k < ITERATIONS; ++k) {
#pragma unroll 1
        for (int j = 0; j < 2; ++j)
            smooth_map(map, middle, scratch + j * size, height, width, tables + g.gaussians[j],
                       g.reach[j]);
        const float constant = INHIBITION * range_of(map, size).high;
        for (int i = threadIdx.x; i < size; i += blockDim.x)
            map[i] = fmaxf(0.0f, map[i] + excitation[i] - inhibition[i] - constant);
        __syncthreads();
    }
}
