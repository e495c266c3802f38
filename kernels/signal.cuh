// What maps are compared with to be flat.

// The highest value that a signal could have.
INLINE float size_of(int signal, const Found& found) {
    return signal == SIGNAL_ONE                 ? 1.0f
           : signal == SIGNAL_HUE               ? (OPPONENCY_LINEAR ? found.brightest : 1.0f)
           : signal == SIGNAL_BRIGHTEST_SQUARED ? found.brightest * found.brightest
           : signal == SIGNAL_FLICKER           ? found.flicker_signal
                                                : found.brightest;
}
