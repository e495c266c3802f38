// What makes a figure of a place: that it is surrounded by lower places or by higher ones, and that
// contours of several orientations meet there. The saliency map is multiplied by both (`combine`).

#include "common.cuh"
#include "resample.cuh"
#include "signal.cuh"
#include "whitener.cuh"

// --- morphological reconstruction ----------------------------------------------------------------

const float UNREACHED = 3.0e38f;  // of the marker: higher than any sample of the mask

// Reconstruction by erosion along a line: a marker of height c leaves a sample at max(mask, min(c,
// marker)): between two limits. Several samples in a row are two limits again.
struct Limits {
    float low, high;
    INLINE float operator()(float c) const { return fminf(fmaxf(c, low), high); }
};

// Erodes the marker along each line of a map, from its one end and from the other: a warp has a
// line, 32 samples at a time. `first`: the marker is the mask at the border, and unreached inside.
// True if any sample fell.
__device__ bool erode_across(const float* mask, float sign, float* marker, int height, int width,
                             bool first) {
    const int lane = threadIdx.x % 32;
    bool fell = false;
    for (int y = threadIdx.x / 32; y < height; y += blockDim.x / 32) {
        for (int back = 0; back < 2 - FAULT(from_one_end); ++back) {
            float come = UNREACHED;
            for (int done = 0; done < width; done += 32) {
                const int along = done + lane, x = back ? width - 1 - along : along;
                const bool inside = along < width;
                const int at = y * width + (inside ? x : 0);
                const bool border = y == 0 || y == height - 1 || x == 0 || x == width - 1;
                const float least = inside ? sign * mask[at] : -UNREACHED;
                float before = inside && border ? least : UNREACHED;
                if (inside && (back || !first)) before = marker[at];
                Limits here{least, before};
                for (int k = 1; k < 32; k *= 2) {
                    const float low = __shfl_sync(~0u, here.low, lane - k),
                                high = __shfl_sync(~0u, here.high, lane - k);
                    if (lane >= k) here = {here(low), here(high)};
                }
                const float after = here(come);
                come = __shfl_sync(~0u, after, 31);
                if (inside && (after < before || (first && !back))) {
                    marker[at] = after;
                    fell = true;
                }
            }
            __syncwarp();
        }
    }
    return fell;
}

// The same along each column, which a thread has.
__device__ bool erode_down(const float* mask, float sign, float* marker, int height, int width) {
    bool fell = false;
    for (int x = threadIdx.x; x < width; x += blockDim.x) {
        for (int back = 0; back < 2 - FAULT(from_one_end); ++back) {
            float come = UNREACHED;
#pragma unroll 4
            for (int k = 0; k < height; ++k) {
                const int at = (back ? height - 1 - k : k) * width + x;
                const float before = marker[at];
                come = Limits{sign * mask[at], before}(come);
                if (come < before) {
                    marker[at] = come;
                    fell = true;
                }
            }
        }
    }
    return fell;
}

// Surroundedness of a plane, and of its negative: the depth of what reconstruction from the border
// fills. One block has one reconstruction, whose result is the same in whatever order it erodes.
extern "C" __global__ void __launch_bounds__(1024, 1) reconstruct(MODEL) {
    __shared__ float shared_marker[SHARED_SAMPLES];
    arena += size_t(blockIdx.z) * g.frame;
    const int level = g.corner_level + 1, height = g.height[level], width = g.width[level];
    const int size = height * width, plane = blockIdx.x / 2;
    const bool negated = blockIdx.x % 2 == FAULT(pits_for_peaks);
    const float* mask = arena + g.whitened[level] + plane * size;
    const float sign = negated ? -1.0f : 1.0f;
    float* depth = arena + g.surroundedness + blockIdx.x * size;
    float* marker = size <= SHARED_SAMPLES ? shared_marker : depth;
    over_block(int(erode_across(mask, sign, marker, height, width, true)), Sum());
    for (int turn = 0, still = 0; still < 2; ++turn) {  // in both directions
        const bool fell = turn % 2 ? erode_across(mask, sign, marker, height, width, false)
                                   : erode_down(mask, sign, marker, height, width);
        still = over_block(int(fell), Sum()) ? 0 : still + 1;
    }
    // None where it is flat next to the plane's signal.
    float deepest = 0.0f;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        deepest = fmaxf(deepest, marker[i] - sign * mask[i]);
    deepest = over_block(deepest, Higher());
    const float signal = size_of(g.whitened_signal[plane], found_in(g, arena));
    const float unit =
        whitener_at<WHITENED_PLANES>(g, arena, 0).inverse[plane * (plane + 1) / 2 + plane];
    const bool flat = deepest <= FLAT * fmaxf(signal, DARK) * unit;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
        depth[i] = flat ? 0.0f : marker[i] - sign * mask[i];
}

// --- surroundedness and corners at the map's level -----------------------------------------------

// A column of the sum over planes, by a root that does not enlarge the smallest values.
struct RootsColumn : LevelColumn {
    using LevelColumn::LevelColumn;
    template <bool INSIDE>
    INLINE float fetch(int y) const {
        const float* at = column + (INSIDE ? y : clamp(y, height)) * pitch;
        const float least = root(SOFT);
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k < 2 * WHITENED_PLANES; ++k) {
            const float x = at[k * height * pitch];
            sum = fmaf(x, reciprocal(root(x + SOFT) + least), sum);  // root(x + SOFT) - least
        }
        return sum;
    }
};

// Energies of the planes from number `oriented` on, and surroundedness.
extern "C" __global__ void __launch_bounds__(COLUMNS, RESIDENT > 1 ? RESIDENT - 1 : 1)
    resample_figure(MODEL, int rows, int oriented) {
    arena += size_t(blockIdx.z) * g.frame;
    const int map = blockIdx.y, level = g.corner_level + (map == SURROUNDEDNESS);
    float* to = arena + g.figure_maps + map * map_size(g);
    Level from{arena + g.surroundedness, level, g.height[level], g.width[level]};
    if (map == SURROUNDEDNESS) {
        resample_tile<RootsColumn, FINEST_LEVEL + 1>(g, tables, from, to, rows);
    } else {
        from.samples = arena + plane_at(g, oriented + map, level);
        resample_tile<LevelColumn, FINEST_LEVEL>(g, tables, from, to, rows);
    }
}

// What contours of all orientations reach at a sample, and what three of them do.
struct Meeting {
    float isotropic, second;  // the least energy by its ratio to their mean; the second least
    INLINE Meeting(const float* energies, int size, int i) {
        const float a = energies[i], b = energies[size + i], c = energies[2 * size + i],
                    d = energies[3 * size + i];
        const float lower = fmaxf(fminf(a, b), fminf(c, d)),
                    upper = fminf(fmaxf(a, b), fmaxf(c, d));
        const float least = fminf(fminf(a, b), fminf(c, d)), mean = (a + b + c + d) * 0.25f;
        second = FAULT(the_third_least) ? fmaxf(lower, upper) : fminf(lower, upper);
        isotropic = least * (least * reciprocal(fmaxf(mean, 1.0e-30f)));
    }
};

// Sums of a map and of its roots, in a fixed order.
struct Density {
    float roots, sum;
    INLINE Density operator+(Density other) const {
        return {roots + other.roots, sum + other.sum};
    }
};

// Where three of the four orientations have energy; in a scene, whose corners are dense, where all
// have. Where all is flat next to the frame's brightest, figures count alone.
extern "C" __global__ void __launch_bounds__(1024) corners(MODEL) {
    arena += size_t(blockIdx.z) * g.frame;
    const int size = map_size(g);
    const float* energies = arena + g.figure_maps;
    float* out = arena + g.figure_maps + CORNERS * size;
    Density part{};
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
        const float second = Meeting(energies, size, i).second;
        part = part + Density{root(second), second};
    }
    part = over_block(part, Sum());
    Density* parts = reinterpret_cast<Density*>(arena + g.partials);  // which `scan` has done with
    if (threadIdx.x == 0) parts[blockIdx.x] = part;
    if (!last_of(counters_in(g, arena).cornered, gridDim.x)) return;
    Density all{};
    for (int k = 0; k < int(gridDim.x); ++k) all = all + from_block(parts + k);
    const float density = all.roots / fmaxf(all.sum, 1.0e-30f) * (all.roots / float(size));
    const float scene = fminf(fmaxf((density - SPARSE) / (DENSE - SPARSE), 0.0f), 1.0f);
    float highest = 0.0f;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const Meeting at(energies, size, i);
        out[i] = fmaf(FAULT(isolated_items) ? 0.0f : scene, at.isotropic - at.second, at.second);
        highest = fmaxf(highest, out[i]);
    }
    highest = over_block(highest, Higher());
    const float least = FLAT * fmaxf(found_in(g, arena).brightest, DARK);
    if (highest > least) return;
    for (int i = threadIdx.x; i < size; i += blockDim.x) out[i] = least;
}
