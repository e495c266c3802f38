// Steps of a pyramid: low-pass and every other sample, once or twice, of one tile by one block.
//
// A tile is downsampled along its columns first, in registers, then along its rows, in shared
// memory: the two commute. Each thread of a block has one column of samples, and reads it from top
// to bottom.

enum {
    RUN = 4,   // outputs that a thread makes at a time along a row
    AHEAD = 4  // rows that it fetches before they are needed
};

// The weights of samples 2 i - TAPS / 2 + k in output i of n: those of the interior, or from the
// table that knows the borders, where samples that lie outside have weight 0. Outputs that do not
// exist are given some that do.
template <int TAPS, bool INTERIOR>
struct Weights {
    const float* table;
    int n;
    INLINE float operator()(int i, int k) const {
        if (FAULT(wrong_weight)) k = k / 2 * 2;
        if (INTERIOR || FAULT(borders_as_interior))
            return TAPS == 5 ? INTERIOR_5(k) : INTERIOR_9(k);
        return __ldg(table + clamp(i, n) * (TAPS + 1) + k);
    }
};
// Along one axis: the tables of a first and a second step, and how many outputs they have.
struct Axis {
    const float* tables[2];
    int sizes[2];
    template <int TAPS, bool INTERIOR>
    INLINE Weights<TAPS, INTERIOR> weights(int step) const {
        return {tables[step], sizes[step]};
    }
};

// Widths, for up to two steps from COLUMNS samples.
template <int TAPS, int STEPS_TAKEN>
struct Shape {
    enum {
        REACH = TAPS / 2,
        SAMPLES = 2 * RUN + TAPS - 1,  // that a run of outputs needs
        X1 = (COLUMNS - TAPS + 1) / 2,
        X2 = (X1 - TAPS + 1) / 2,
        OUTPUTS = STEPS_TAKEN == 2 ? X2 : STEPS_TAKEN == 1 ? X1 : COLUMNS,
        PITCH = (X1 + RUN - 1) / RUN * 2 * RUN - 2 * RUN + SAMPLES,  // runs may go past the last
        PITCH_1 = (X2 + RUN - 1) / RUN * 2 * RUN - 2 * RUN + SAMPLES
    };
    // The first sample of a tile whose first output is `i`, and how many so many outputs need.
    static INLINE int first(int i) {
        return STEPS_TAKEN == 2 ? 4 * i - 3 * REACH : STEPS_TAKEN == 1 ? 2 * i - REACH : i;
    }
    static INLINE int samples(int outputs) {
        return STEPS_TAKEN == 2 ? 4 * outputs + 3 * (TAPS - 1) : 2 * outputs + TAPS - 1;
    }
};

// One step along y, pair of rows by pair. REACH pairs after its first an output is complete.
template <int TAPS, int COUNT>
struct ColumnStep {
    enum { REACH = TAPS / 2 };
    float sums[REACH + 1][COUNT] = {};  // incomplete outputs, the oldest first

    // Adds pair `p`, counted from the one that output `first` begins with; gives output p - REACH.
    template <bool INTERIOR>
    INLINE void add(int p, int first, const float (&even)[COUNT], const float (&odd)[COUNT],
                    const Weights<TAPS, INTERIOR>& weight, float (&done)[COUNT]) {
#pragma unroll
        for (int j = 0; j <= REACH; ++j) {
            const int i = first + p - REACH + j;
            const float a = weight(i, 2 * (REACH - j)), b = weight(i, 2 * (REACH - j) + 1);
#pragma unroll
            for (int c = 0; c < COUNT; ++c)
                sums[j][c] = fmaf(b, odd[c], fmaf(a, even[c], sums[j][c]));
        }
#pragma unroll
        for (int c = 0; c < COUNT; ++c) {
            done[c] = sums[0][c];
#pragma unroll
            for (int j = 0; j < REACH; ++j) sums[j][c] = sums[j + 1][c];
            sums[REACH][c] = 0;
        }
    }
};

// A thread's column of a source, through one step or two, a few rows at a time.
// A source gives `fetch<INSIDE>(y)`, of rows outside too unless INSIDE, and the values of two rows,
// of which the first is even, in order: `values(fetched, fetched, y, values, values)`.
template <int TAPS, int COUNT, int STEPS_TAKEN, class Source>
struct ColumnStream {
    typedef typename Source::Fetched Fetched;
    enum { REACH = TAPS / 2 };
    Source source;
    int y, y1, y0;  // the first output, the first between the steps, the first sample
    int pairs = 0, done = 0;
    ColumnStep<TAPS, COUNT> one, two;
    Fetched ahead[2][2];  // two pairs of rows, to hide the memory's latency

    INLINE ColumnStream(const Source& from, int first) : source(from), y(first) {
        y1 = STEPS_TAKEN == 2 ? 2 * y - REACH + FAULT(missed_halo_row) : y;
        y0 = 2 * y1 - REACH;
#pragma unroll
        for (int i = 0; i < 4; ++i) ahead[i / 2][i % 2] = source.template fetch<false>(y0 + i);
    }
    // The first step, by pairs that alternate between the two fetched ahead.
    template <int PAIR, bool INTERIOR>
    INLINE void step(const Weights<TAPS, INTERIOR>& weight, float (&out)[COUNT]) {
        const Fetched even = ahead[PAIR][0], odd = ahead[PAIR][1];
        const int at = y0 + 2 * pairs;
        ahead[PAIR][0] = source.template fetch<INTERIOR>(at + 4);
        ahead[PAIR][1] = source.template fetch<INTERIOR>(at + 5);
        float a[COUNT], b[COUNT];
        source.values(even, odd, at, a, b);
        one.add(pairs++, y1, a, b, weight, out);
    }
    // The next `rows` outputs, an even number, to `store(row, value)`, row from 0; with two steps,
    // what lies between them, from 2 REACH rows before, to `between(row, value)`.
    template <bool INTERIOR, class Between, class Store>
    INLINE void run(int rows, const Axis& axis, const Between& between, const Store& store) {
        const auto weight1 = axis.weights<TAPS, INTERIOR>(0),
                   weight2 = axis.weights<TAPS, INTERIOR>(1);
        float a[COUNT], b[COUNT], out[COUNT];
        if (pairs == 0) {
#pragma unroll
            for (int i = 0; i < REACH; i += 2) step<0>(weight1, a), step<1>(weight1, a);
        }
        if constexpr (STEPS_TAKEN == 1) {
            for (int row = 0; row < rows; row += 2) {
                step<0>(weight1, a);
                step<1>(weight1, b);
                store(row, a);
                store(row + 1, b);
            }
        } else {
            for (int row = done == 0 ? -REACH : 0; row < rows; ++row) {
                step<0>(weight1, a);
                step<1>(weight1, b);
                between(2 * (row + REACH), a);
                between(2 * (row + REACH) + 1, b);
                two.add(done++, y, a, b, weight2, out);
                if (row >= 0) store(row, out);
            }
        }
    }
};

// A source of one value per sample; `Self` fetches it.
struct OneValue {
    typedef float Fetched;
    static INLINE void values(float even, float odd, int, float (&a)[1], float (&b)[1]) {
        a[0] = even, b[0] = odd;
    }
};
// A column of one level of a plane: a source.
struct LevelColumn : OneValue {
    const float* column;
    int height, pitch;
    INLINE LevelColumn(const float* from, int height_, int pitch_)
        : column(from), height(height_), pitch(pitch_) {}
    template <bool INSIDE>
    INLINE float fetch(int y) const {
        return column[(INSIDE ? y : clamp(y, height)) * pitch];
    }
};

// One step along x of lines of samples, RUN outputs at a time, the first being output `first`:
// `store(line, x, values)`, x from 0.
template <int TAPS, bool INTERIOR, int PITCH, class Store>
INLINE void downsample_lines(const float (*lines)[PITCH], int count, int outputs, int first,
                             const Weights<TAPS, INTERIOR>& weight, const Store& store) {
    const int runs = (outputs + RUN - 1) / RUN;
    for (int item = threadIdx.x; item < count * runs; item += COLUMNS) {
        const int line = item / runs, x = (item - line * runs) * RUN;
        float samples[2 * RUN + TAPS - 1], out[RUN] = {};
        load_row(lines[line], 2 * x, samples);
#pragma unroll
        for (int o = 0; o < RUN; ++o)
#pragma unroll
            for (int k = 0; k <= TAPS; ++k)
                out[o] = fmaf(weight(first + x + o, k), samples[2 * o + k], out[o]);
        store(line, x, out);
    }
}

// The shared memory of a tile: lines downsampled along y, then (two steps) once along x.
template <int TAPS, int COUNT, int STEPS_TAKEN>
struct __align__(16) Tile {
    float lines[COUNT * MAX_ROWS][Shape<TAPS, STEPS_TAKEN>::PITCH - 8 * FAULT(narrow_lines)];
    float halfway[STEPS_TAKEN == 2 ? COUNT * MAX_ROWS : 1][Shape<TAPS, 2>::PITCH_1];
};

// One step or two along x of a tile's lines; results to `store(line, x, values)`.
template <int TAPS, int STEPS_TAKEN, bool INTERIOR, class T, class Store>
INLINE void downsample_across(T& tile, int count, int x, const Axis& axis, const Store& store) {
    typedef Shape<TAPS, STEPS_TAKEN> S;
    const auto weight1 = axis.weights<TAPS, INTERIOR>(0), weight2 = axis.weights<TAPS, INTERIOR>(1);
    if constexpr (STEPS_TAKEN == 1) {
        downsample_lines(tile.lines, count, S::X1, x, weight1, store);
    } else {
        const auto store_halfway = [&](int line, int at, const float (&out)[RUN]) {
            *reinterpret_cast<float4*>(&tile.halfway[line][at]) =
                make_float4(out[0], out[1], out[2], out[3]);
        };
        downsample_lines(tile.lines, count, S::X1, 2 * x - S::REACH, weight1, store_halfway);
        __syncthreads();
        downsample_lines(tile.halfway, count, S::X2, x, weight2, store);
    }
}

// The weights of a tile's steps from a level, by their kinds.
struct Steps {
    Axis down, across;
    INLINE Steps(const Geometry& g, const float* tables, int first, int second, int level) {
        const int kinds[2] = {first, second};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int at = min(level + i, LEVELS - 2);
            down.tables[i] = tables + g.steps[kinds[i]][at][0];
            across.tables[i] = tables + g.steps[kinds[i]][at][1];
            down.sizes[i] = g.height[at + 1];
            across.sizes[i] = g.width[at + 1];
        }
    }
};

INLINE void ignore(int, const float*) {}

// A whole tile, whose first output is (y, x) and has `rows` rows: down, then across, MAX_ROWS rows
// at a time. Tiles that keep off the borders, and `margin` samples more, have interior weights, and
// their source is only asked for rows inside if it is at least AHEAD.
template <int TAPS, int COUNT, int STEPS_TAKEN, class T, class Source, class Between, class Store>
INLINE void downsample_tile(T& tile, const Source& source, const Steps& steps, int y, int x,
                            int rows, int height, int width, int margin, const Between& between,
                            const Store& store) {
    typedef Shape<TAPS, STEPS_TAKEN> S;
    const int y0 = S::first(y), x0 = S::first(x);
    const bool interior_down = y0 >= margin && y0 + S::samples(rows) + margin <= height;
    const bool interior_across = x0 >= margin && x0 + COLUMNS + margin <= width;
    ColumnStream<TAPS, COUNT, STEPS_TAKEN, Source> column(source, y);
    for (const int last = y + rows; y < last; y += MAX_ROWS) {
        const int here = min(last - y, int(MAX_ROWS)), lines = COUNT * here;
        const auto store_line = [&](int row, const float (&value)[COUNT]) {
#pragma unroll
            for (int c = 0; c < COUNT; ++c) tile.lines[c * here + row][threadIdx.x] = value[c];
        };
        const auto store_outputs = [&](int line, int at, const float (&out)[RUN]) {
            const int c = line / here, to_y = y + line - c * here;
#pragma unroll
            for (int o = 0; o < RUN; ++o)
                if (at + o < S::OUTPUTS) store(c, to_y, x + at + o, out[o]);
        };
        if (interior_down)
            column.template run<true>(here, steps.down, between, store_line);
        else
            column.template run<false>(here, steps.down, between, store_line);
        __syncthreads();
        if (interior_across)
            downsample_across<TAPS, STEPS_TAKEN, true>(tile, lines, x, steps.across, store_outputs);
        else
            downsample_across<TAPS, STEPS_TAKEN, false>(tile, lines, x, steps.across,
                                                        store_outputs);
        __syncthreads();
    }
}
