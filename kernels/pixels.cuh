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
