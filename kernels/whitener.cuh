// The whitening of a few maps: uncorrelated ones of unit variance, of which the first stays what it
// is and each next one is what those before do not predict (Cholesky; after AWS, Garcia-Diaz et al.
// 2012).

// z = inverse (x - mean), by the rows of the whitening matrix, the inverse Cholesky factor. The row
// of a flat map is all 0.
template <int COUNT>
struct Whitener {
    float mean[COUNT], inverse[COUNT * (COUNT + 1) / 2];
    // Of the samples at one place, x: written over by z.
    INLINE void apply(float (&x)[COUNT]) const {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) x[i] -= mean[i];
#pragma unroll
        for (int i = COUNT - 1; i >= 0; --i) {
            float z = 0.0f;
#pragma unroll
            for (int j = 0; j <= i; ++j) z = fmaf(inverse[i * (i + 1) / 2 + j], x[j], z);
            x[i] = z;
        }
    }
};
template <int COUNT>
INLINE Whitener<COUNT>& whitener_at(const Geometry& g, float* arena, int number) {
    static_assert(sizeof(Whitener<SCALES>) == WHITENER_SIZE * sizeof(float) && COUNT <= SCALES, "");
    return *reinterpret_cast<Whitener<COUNT>*>(arena + g.whiteners + number * WHITENER_SIZE);
}
