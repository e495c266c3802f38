// Before a frame's planes are made: what the hue threshold is a fraction of, whether float values are
// in range, and the state that the last frame left, committed.

#include "common.cuh"
#include "pixels.cuh"

// Highest r + g + b, lowest and highest element. `poison` is NaN if one of them was, or infinite.
struct Extent {
    float sum, low, high, poison;
    INLINE void add(const Pixel* pixel, const float* linear) {
        float total = 0;
        for (int c = 0; c < PIXEL_CHANNELS; ++c) {
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
// Of both; the lowest is NaN if one of them is.
struct Joined {
    __device__ Extent operator()(const Extent& a, const Extent& b) const {
        const float low = a.low != a.low || a.low < b.low ? a.low : b.low;
        return {fmaxf(a.sum, b.sum), low, fmaxf(a.high, b.high), 0.0f};
    }
};

// Commits the state that the last frame left.
INLINE void commit_state(const Geometry& g, float* arena, int thread, int threads) {
    if (g.previous_intensity >= 0 && !FAULT(levels_not_committed))
        for (int level = FINEST_LEVEL; level <= g.top_level; ++level) {
            const float* now = arena + plane_at(g, PLANE_INTENSITY, level);
            float* before = arena + plane_at(g, g.previous_intensity, level);
            for (int i = thread; i < g.height[level] * g.width[level]; i += threads)
                before[i] = now[i];
        }
    if (!SMOOTHING_NONE && !FAULT(smoothed_not_committed))
        for (int i = thread; i < map_size(g); i += threads)
            arena[g.smoothed + i] = arena[g.smoothed + map_size(g) + i];
    if (AVERAGES && !FAULT(statistics_not_committed)) {
        double* const current = reinterpret_cast<double*>(arena + g.statistics);
        double* const running = current + STATISTICS * STATISTIC_SIZE;
        const double factor = double(found_in(g, arena).statistics_factor);
        for (double *from = current + thread, *to = running + thread; from < running;
             from += threads, to += threads)
            *to = factor < 1.0 && !FAULT(average_moves_at_once) ? *to + factor * (*from - *to)
                                                                : *from;
    }
}

// The only kernel that is told what differs from frame to frame; it leaves that for the rest.
// `mode` is how the frame follows.
extern "C" __global__ void __launch_bounds__(THREADS)
    scan(MODEL, const Pixel* frames, float* maps, Call* call, float flicker_decay,
         float smoothing_factor, float statistics_factor, int mode) {
    // A bad frame's state is not committed: the next one has the past that it had.
    const bool good = found_in(g, arena).good != 0.0f || FAULT(bad_frame_committed);
    const bool follows = mode == NEXT && good;
    const int turned = FAULT(one_background) ? 0 : int(follows);
    if (blockIdx.x + blockIdx.z + threadIdx.x == 0)
        *call = {frames, maps, flicker_decay, smoothing_factor, call->turn ^ turned};
    const int thread = blockIdx.x * THREADS + threadIdx.x, threads = gridDim.x * THREADS;
    if (follows) commit_state(g, arena, thread, threads);
    const int pixels = g.height[0] * g.width[0];
    const Pixel* frame = frames + size_t(blockIdx.z) * pixels * PIXEL_CHANNELS;
    const float* linear = tables + g.linear;
    arena += size_t(blockIdx.z) * g.frame;
    Extent extent{0.0f, 1.0f, 0.0f, 0.0f};

    int done = 0;
    if constexpr (PIXEL_BITS == 8 && PIXEL_CHANNELS == 3 && !LINEAR && !OPPONENCY_WALTHER) {
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
        extent.add(frame + size_t(i) * PIXEL_CHANNELS, linear);

    const float huge = 3.0e38f;  // infinities poison too, but are named by themselves
    if (extent.poison != extent.poison && extent.low >= -huge && extent.high <= huge)
        extent.low = extent.poison;
    extent = over_block(extent, Joined());
    Extent* partials = reinterpret_cast<Extent*>(arena + g.partials);
    if (threadIdx.x == 0) partials[blockIdx.x] = extent;
    if (!last_of(counters_in(g, arena).scanned, gridDim.x)) return;
    extent = {0.0f, 1.0f, 0.0f, 0.0f};
    if (threadIdx.x < gridDim.x) {
        const Extent* part = partials + threadIdx.x;
        extent = {__ldcg(&part->sum), __ldcg(&part->low), __ldcg(&part->high), 0.0f};
    }
    extent = over_block(extent, Joined());
    if (threadIdx.x == 0) {
        const bool walther = OPPONENCY_WALTHER && PLANE_RED_GREEN >= 0;
        const float whole = walther ? g.full : g.full * PIXEL_CHANNELS;
        const float most = walther ? element(Pixel(extent.high), linear) : extent.sum;
        Found& found = found_in(g, arena);
        if (mode == FIRST) found.past = 0.0f;
        if (follows) {
            found.past = 1.0f;
            found.background =
                fmaf(found.flicker_decay, found.background - found.brightest, found.brightest);
        }
        found.brightest = extent.sum / (g.full * PIXEL_CHANNELS);
        found.flicker_signal = fmaxf(fmaxf(found.brightest, found.background),
                                     flicker_decay > 0.0f ? REST / FLAT : 0.0f);
        if (mode != AGAIN) {
            const bool in_range = extent.low >= 0.0f && extent.high <= 1.0f + 1e-6f;
            found.good = PIXEL_BITS < 32 || in_range;
            // On a device nobody may have been told that the first frame was bad.
            found.valid = found.good != 0.0f && (mode == FIRST || found.past != 0.0f);
            found.flicker_decay = flicker_decay;
            found.statistics_factor = found.past != 0.0f ? statistics_factor : 1.0f;
        }
        found.peak = 0.0f;
        found.lowest = extent.low;
        found.highest = extent.high;
        const float hue_threshold =
            FAULT(another_hue_threshold) ? 2.0f * g.hue_threshold : g.hue_threshold;
        found.hue_limit = fmaxf(hue_threshold * (HUE_REFERENCE_FIXED ? whole : most), DARK * whole);
    }
}
