// Elements of a frame.

#include "common.cuh"

#if PIXEL_BITS == 8
typedef unsigned char Pixel;
#elif PIXEL_BITS == 16
typedef unsigned short Pixel;
#else
typedef float Pixel;
#endif

// An element as a float: linear light if the model wants it.
INLINE float element(Pixel value, const float* linear) {
    if (!LINEAR) return float(value);
    if (PIXEL_BITS < 32) return __ldg(linear + int(value));
    const float v = float(value);  // IEC 61966-2-1
    return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

// The 32-bit words from any address, aligned or not, by aligned loads. They may read up to three
// bytes to either side, but never outside the aligned words that hold the first and last byte, and
// one word past.
template <int WORDS>
INLINE void load_words(const unsigned char* from, unsigned (&words)[WORDS]) {
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
