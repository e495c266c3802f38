/* Models that start from snapshots of the Python package's: what its CPU backend does per frame.
 *
 * Compiled without contraction of a * b + c, so that sums are rounded as NumPy rounds them.
 */
#include "variant.h"

#include <float.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, COUNTERS = 4 * LINE / 8, LAST_FRAME = 0x3fffffff };

typedef union {
    int64_t i;
    double f;
} number;

/* A model in memory that is aligned to LINE: this, the block, a map and a copy of a frame. */
struct ittisal {
    int64_t counters[COUNTERS]; /* of the frame loop, each on a cache line of its own; see run.py */
    const ittisal_snapshot *snapshot;
    void *memory;        /* from malloc, or NULL */
    unsigned char *block;
    number *context;     /* at its start */
    float *own_map;      /* without gaps between rows, as kernels write it */
    unsigned char *copy; /* of a frame with gaps, or NULL */
    float *map;          /* the caller's, if it has gaps */
    size_t map_stride;
    int frame;           /* number of the last one, from 1 on */
    int ticket;          /* of the frame that is worked on, or 0 */
    int past;            /* a frame came before */
    int ran;             /* the last frame's state is to be committed with the next one */
    int mode;            /* of the last frame: whether it had one before it */
    int good;            /* there is a last frame, and it was accepted */
    double statistics_factor; /* weight of the last frame's statistics in the running ones */
};

const char *ittisal_version(void) {
    return ITTISAL_VERSION;
}

const char *ittisal_strerror(int status) {
    static const char *const texts[] = {
        "no error",
        "a pointer is null",
        "the program was compiled with another ittisal.h than the library",
        "the library was not exported for this preset, frame size, pixels and type",
        "the library was exported for a CPU with instructions that this one lacks",
        "not enough memory",
        "the buffer is shorter than ittisal_memory says",
        "a stride is less than a row or no whole number of elements, or the frame's rows have gaps "
        "and options.gaps is 0",
        "a frame or map does not lie on whole elements",
        "the frame comes 0 seconds after the last one, or infinitely many",
        "the frame holds NaN or an infinity",
        "the frame holds values outside 0 to 1",
        "there was no frame yet, or the last one was refused",
        "there is no worker, channel or variant of this number",
    };
    const int count = sizeof texts / sizeof *texts;
    return status > 0 || status <= -count ? "unknown status" : texts[-status];
}

/* --- creation ---------------------------------------------------------------------------------*/

int ittisal_variant(int index, ittisal_options *options) {
    if (!options) return ITTISAL_NULL_POINTER;
    if (index < 0 || index >= ittisal_snapshot_count) return ITTISAL_BAD_INDEX;
    *options = ittisal_snapshots[index].options;
    return ITTISAL_OK;
}

/* The snapshot for some options. */
static int find(const ittisal_options *options, const ittisal_snapshot **found) {
    int index;
    if (!options) return ITTISAL_NULL_POINTER;
    if (options->abi != ITTISAL_ABI) return ITTISAL_WRONG_ABI;
    if (!options->preset) return ITTISAL_NULL_POINTER;
    for (index = 0; index < ittisal_snapshot_count; index++) {
        const ittisal_options *has = &ittisal_snapshots[index].options;
        if (has->height == options->height && has->width == options->width &&
            has->pixels == options->pixels && has->type == options->type &&
            !strcmp(has->preset, options->preset)) {
            *found = &ittisal_snapshots[index];
            return ITTISAL_OK;
        }
    }
    return ITTISAL_NO_VARIANT;
}

static size_t lines(size_t bytes) {
    return (bytes + LINE - 1) / LINE * LINE;
}

static size_t row_bytes(const ittisal_snapshot *of) {
    return (size_t)of->options.width * (size_t)(of->channels * of->element);
}

static size_t map_bytes(const ittisal_snapshot *of) {
    return (size_t)of->map_height * (size_t)of->map_width * sizeof(float);
}

int ittisal_memory(const ittisal_options *options, size_t *bytes) {
    const ittisal_snapshot *of;
    int status = find(options, &of);
    if (status) return status;
    if (!bytes) return ITTISAL_NULL_POINTER;
    *bytes = LINE - 1 + lines(sizeof(ittisal)) + lines(of->size) + lines(map_bytes(of));
    if (options->gaps) *bytes += lines(row_bytes(of) * (size_t)options->height);
    return ITTISAL_OK;
}

static size_t varint(const unsigned char **at) {
    size_t value = 0;
    int shift = 0;
    do value |= (size_t)(**at & 127) << shift, shift += 7;
    while (*(*at)++ & 128);
    return value;
}

/* Undo `packing.py`: bytes as they are, then a repetition of bytes some way back, and so on; the
 * rest is zeros. */
static void unpack(const ittisal_snapshot *of, unsigned char *block) {
    const unsigned char *at = of->packed, *end = at + of->packed_size;
    unsigned char *out = block;
    while (at < end) {
        size_t count = varint(&at), distance;
        memcpy(out, at, count);
        out += count, at += count;
        count = varint(&at), distance = varint(&at);
        for (; count > 0; count--, out++) *out = out[-(ptrdiff_t)distance];
    }
    memset(out, 0, of->size - (size_t)(out - block));
}

/* Tables as rows of numbers, from differences; and the addresses in them. */
static void relocate(const ittisal_snapshot *of, unsigned char *block) {
    int64_t *last[SLOTS] = {0}, *row = (int64_t *)block, *end = row + of->tables / 8;
    int column;
    for (; row < end; row += COLUMNS) {
        int64_t **slot = &last[row[0] & (SLOTS - 1)];
        for (column = 1; column < COLUMNS && *slot; column++)
            row[column] = (int64_t)((uint64_t)row[column] + (uint64_t)(*slot)[column]);
        *slot = row;
    }
    for (row = (int64_t *)block; row < end; row++) {
        int64_t value = *row & 0xffffffffffff;
        if (*row >> 48 == PLACE) *row = (int64_t)(intptr_t)(block + value);
        if (*row >> 48 == KERNEL) *row = (int64_t)(intptr_t)of->kernels[value];
    }
}

int ittisal_create_in(
    const ittisal_options *options, void *memory, size_t bytes, ittisal **model) {
    const ittisal_snapshot *of;
    unsigned char *at;
    ittisal *made;
    size_t needed;
    int status = find(options, &of);
    if (status) return status;
    if (!memory || !model) return ITTISAL_NULL_POINTER;
    ittisal_memory(options, &needed);
    if (bytes < needed) return ITTISAL_SHORT_BUFFER;
    if (!ittisal_supported()) return ITTISAL_UNSUPPORTED_CPU;
    at = (unsigned char *)memory + (-(uintptr_t)memory & (LINE - 1));
    made = (ittisal *)at;
    memset(made, 0, sizeof *made);
    made->snapshot = of;
    made->block = at += lines(sizeof *made);
    made->context = (number *)made->block;
    made->own_map = (float *)(at += lines(of->size));
    if (options->gaps) made->copy = at + lines(map_bytes(of));
    unpack(of, made->block);
    relocate(of, made->block);
    *model = made;
    return ITTISAL_OK;
}

int ittisal_create(const ittisal_options *options, ittisal **model) {
    size_t bytes;
    void *memory;
    int status = ittisal_memory(options, &bytes);
    if (status) return status;
    if (!model) return ITTISAL_NULL_POINTER;
    memory = malloc(bytes);
    if (!memory) return ITTISAL_NO_MEMORY;
    status = ittisal_create_in(options, memory, bytes, model);
    if (status)
        free(memory);
    else
        (*model)->memory = memory;
    return status;
}

void ittisal_destroy(ittisal *model) {
    if (model) free(model->memory);
}

int ittisal_reset(ittisal *model) {
    if (!model) return ITTISAL_NULL_POINTER;
    model->past = model->good = 0;
    return ITTISAL_OK;
}

int ittisal_map_size(const ittisal *model, int *height, int *width) {
    if (!model || !height || !width) return ITTISAL_NULL_POINTER;
    *height = model->snapshot->map_height;
    *width = model->snapshot->map_width;
    return ITTISAL_OK;
}

/* --- frames -----------------------------------------------------------------------------------*/

/* Whether an array with a row of so many bytes can be used. */
static int check(const void *data, size_t stride, size_t row, size_t element) {
    if (!data) return ITTISAL_NULL_POINTER;
    if (stride < row || stride % element) return ITTISAL_BAD_STRIDE;
    return (uintptr_t)data % element ? ITTISAL_MISALIGNED : ITTISAL_OK;
}

static int check_map(const ittisal *model, const float *map, size_t stride) {
    if (!model) return ITTISAL_NULL_POINTER;
    return check(map, stride, (size_t)model->snapshot->map_width * sizeof *map, sizeof *map);
}

/* Make what the last frame left the past of the next one. */
static void commit(ittisal *model) {
    const ittisal_snapshot *of = model->snapshot;
    number *context = model->context;
    double *measured = (double *)(model->block + of->statistics);
    double *running = measured + of->statistics_count;
    int index;
    memcpy(model->block + of->previous_intensity, model->block + of->intensity, of->plane_size);
    if (of->smoothed_size)
        memcpy((void *)(intptr_t)context[PREVIOUS_MAP].i,
               (const void *)(intptr_t)context[NEXT_MAP].i, of->smoothed_size);
    for (index = 0; index < of->statistics_count; index++)
        running[index] += (measured[index] - running[index]) * model->statistics_factor;
    if (of->flickers) {
        number before = context[BACKGROUND];
        double now = context[BRIGHTEST].f, decay = context[FLICKER_DECAY].f;
        double difference = context[BACKGROUND_BRIGHTNESS].f - now;
        context[BACKGROUND] = context[NEXT_BACKGROUND];
        context[NEXT_BACKGROUND] = before;
        context[BACKGROUND_BRIGHTNESS].f = now + decay * difference;
    }
}

/* Set what a frame's map depends on of the time since the one before: `pipeline.frame_timing`. */
static void set_timing(ittisal *model, double seconds) {
    const ittisal_snapshot *of = model->snapshot;
    number *context = model->context;
    double decay = 0, smoothing = 1, statistics = 1;
    if (model->mode) {
        double passed = seconds / FLICKER_SECONDS;
        decay = 1 - (passed < 1 ? passed : 1);
        if (of->smoothing_rate > 0) smoothing = of->smoothing_rate;
        if (of->smoothing_seconds > 0) smoothing = -expm1(-seconds / of->smoothing_seconds);
        if (of->averaging_seconds > 0) statistics = -expm1(-seconds / of->averaging_seconds);
    }
    context[FLICKER_DECAY].f = decay;
    context[SMOOTHING_FACTOR].f = smoothing;
    context[AVERAGES].i = of->averaging_seconds > 0 && model->mode;
    model->statistics_factor = statistics;
}

int ittisal_begin(ittisal *model, const void *frame, size_t stride, double seconds, float *map,
                  size_t map_stride, int *ticket) {
    const ittisal_snapshot *of;
    const int64_t *values;
    size_t row, y;
    int status = check_map(model, map, map_stride), index;
    if (status) return status;
    of = model->snapshot, row = row_bytes(of);
    status = check(frame, stride, row, (size_t)of->element);
    if (status) return status;
    if (!ticket) return ITTISAL_NULL_POINTER;
    if (stride != row && !model->copy) return ITTISAL_BAD_STRIDE;
    if (of->remembers && model->past) {
        if (seconds == 0 || seconds > DBL_MAX) return ITTISAL_BAD_TIME;
        if (!(seconds > 0)) seconds = FRAME_SECONDS;
    }
    if (stride != row) {
        for (y = 0; y < (size_t)of->options.height; y++)
            memcpy(model->copy + y * row, (const unsigned char *)frame + y * stride, row);
        frame = model->copy;
    }
    if (model->ran && model->past) commit(model);
    model->ran = model->good = 0;
    model->mode = of->remembers && model->past;
    if (of->remembers) set_timing(model, seconds);
    values = (const int64_t *)(model->block + of->modes) + model->mode * of->mode_columns;
    for (index = MODE_VALUES; index < of->mode_columns; index++)
        model->context[of->changing[index - MODE_VALUES]].i = values[index];
    model->map = map;
    model->map_stride = map_stride;
    model->context[FRAME].i = (int64_t)(intptr_t)frame;
    model->context[OUT].i = (int64_t)(intptr_t)model->own_map;
    model->context[BAD_VALUES].i = 0;
    model->frame = model->frame % LAST_FRAME + 1;
    *ticket = 2 * model->frame + model->mode;
    __atomic_store_n(&model->ticket, *ticket, __ATOMIC_SEQ_CST);
    return ITTISAL_OK;
}

/* What kernels found in the values of a frame. */
static int values_status(const number *context) {
    double lowest = context[LOWEST].f, highest = context[HIGHEST].f;
    if (!context[BAD_VALUES].i) return ITTISAL_OK;
    return lowest >= -FLT_MAX && highest <= FLT_MAX ? ITTISAL_OUT_OF_RANGE : ITTISAL_NOT_FINITE;
}

/* End a frame that all workers are done with. */
static int finish(ittisal *model) {
    const ittisal_snapshot *of = model->snapshot;
    size_t row = (size_t)of->map_width * sizeof(float);
    int y, status = values_status(model->context);
    if (!status) {
        for (y = 0; y < of->map_height; y++)
            memcpy((char *)model->map + (size_t)y * model->map_stride,
                   (const char *)model->own_map + (size_t)y * row, row);
        model->past = model->ran = model->good = 1;
    }
    __atomic_store_n(&model->ticket, 0, __ATOMIC_SEQ_CST);
    return status;
}

int ittisal_work(ittisal *model, int worker, int ticket) {
    typedef void (*shared)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
    const ittisal_snapshot *of;
    const int64_t *mode;
    int64_t context, counters, launches;
    ittisal_kernel loop;
    if (!model) return ITTISAL_NULL_POINTER;
    of = model->snapshot;
    if (worker < 0 || worker >= of->threads) return ITTISAL_BAD_INDEX;
    if (worker == 0 && (ticket == 0 || ticket != model->ticket)) return ITTISAL_NO_FRAME;
    mode = (const int64_t *)(model->block + of->modes) + (ticket & 1) * of->mode_columns;
    launches = mode[MODE_LAUNCHES], loop = of->kernels[of->loop];
    context = (int64_t)(intptr_t)model->context, counters = (int64_t)(intptr_t)model->counters;
    if (of->threads == 1) {
        loop(launches, 0, context);
        return finish(model);
    }
    /* Until worker 0 has opened the frame, whose number is then the first counter's upper half. */
    while (worker && __atomic_load_n(&model->ticket, __ATOMIC_SEQ_CST) == ticket &&
           __atomic_load_n(&model->counters[0], __ATOMIC_SEQ_CST) >> 32 != ticket)
        sched_yield();
    ((shared)loop)(worker, ticket, counters, launches, mode[MODE_COUNT], context);
    return worker ? ITTISAL_OK : finish(model);
}

int ittisal_run(ittisal *model, const void *frame, size_t stride, double seconds, float *map,
                size_t map_stride) {
    int ticket, status = ittisal_begin(model, frame, stride, seconds, map, map_stride, &ticket);
    return status ? status : ittisal_work(model, 0, ticket);
}

int ittisal_threads(const ittisal *model, int *most) {
    if (!model || !most) return ITTISAL_NULL_POINTER;
    *most = model->snapshot->threads;
    return ITTISAL_OK;
}

/* --- what a map is made of --------------------------------------------------------------------*/

static float sample(const ittisal *model, ittisal_plane plane, int y, int x) {
    return ((const float *)(model->block + plane.at))[y * plane.pitch + x];
}

static float affine(const ittisal *model, ittisal_plane plane, int64_t at, float weight, int y,
                    int x) {
    const float *pair = (const float *)(model->block + at);
    float value = sample(model, plane, y, x);
    value = at < 0 ? value * weight : value * pair[0] + pair[1];
    return value > 0 ? value : 0;
}

static float term(const ittisal *model, const ittisal_term *of, int y, int x) {
    float value = affine(model, of->map, of->affine, of->weight, y, x);
    if (model->snapshot->figure.at >= 0)
        value *= sample(model, model->snapshot->figure, y, x) + (of->temporal ? MOVING_FIGURE : 0);
    return value;
}

/* What a channel contributes to one sample; one beyond the terms is the figure. */
static float contribution(const ittisal *model, int index, int y, int x) {
    const ittisal_snapshot *of = model->snapshot;
    const ittisal_term *terms = of->terms[model->mode];
    int each, count = of->term_count[model->mode];
    float value;
    if (index < count) {
        value = term(model, &terms[index], y, x);
        if (of->divides) {
            float total = 0;
            if (of->total.at >= 0) total = sample(model, of->total, y, x);
            for (each = 0; each < count && of->total.at < 0; each++)
                total += term(model, &terms[each], y, x);
            value *= total > 0 ? affine(model, of->saliency, of->saliency_affine, 1, y, x) / total
                               : 0;
        }
        if (of->figure.at >= 0) value /= PROMOTION;
    } else
        value = sample(model, of->figure, y, x);
    if (of->corners.at >= 0) value *= sample(model, of->corners, y, x);
    if (of->prior_rows >= 0)
        value *= ((const float *)(model->block + of->prior_rows))[y] *
                 ((const float *)(model->block + of->prior_columns))[x];
    return value;
}

static double sum(const ittisal *model, int index) {
    double total = 0;
    int y, x;
    for (y = 0; y < model->snapshot->map_height; y++)
        for (x = 0; x < model->snapshot->map_width; x++)
            total += contribution(model, index, y, x);
    return total;
}

int ittisal_channels(const ittisal *model, int *count) {
    if (!model || !count) return ITTISAL_NULL_POINTER;
    if (!model->good) return ITTISAL_NO_FRAME;
    *count = model->snapshot->term_count[model->mode] + (model->snapshot->figure.at >= 0);
    return ITTISAL_OK;
}

int ittisal_channel(const ittisal *model, int index, const char **name, double *share) {
    int count, each, status = ittisal_channels(model, &count);
    if (status) return status;
    if (index < 0 || index >= count) return ITTISAL_BAD_INDEX;
    if (name)
        *name = index < model->snapshot->term_count[model->mode]
                    ? model->snapshot->terms[model->mode][index].name
                    : "figure";
    if (share) {
        double total = 0;
        for (each = 0; each < count; each++) total += sum(model, each);
        *share = total > 0 ? sum(model, index) / total : 0;
    }
    return ITTISAL_OK;
}

int ittisal_contribution(const ittisal *model, int index, float *map, size_t map_stride) {
    int count, y, x, status = check_map(model, map, map_stride);
    if (status) return status;
    status = ittisal_channels(model, &count);
    if (status) return status;
    if (index < 0 || index >= count) return ITTISAL_BAD_INDEX;
    for (y = 0; y < model->snapshot->map_height; y++)
        for (x = 0; x < model->snapshot->map_width; x++)
            ((float *)((char *)map + (size_t)y * map_stride))[x] = contribution(model, index, y, x);
    return ITTISAL_OK;
}

int ittisal_peak(
    const ittisal *model, const float *map, size_t map_stride, int *x, int *y, float *value) {
    const ittisal_snapshot *of;
    int row, column, status = check_map(model, map, map_stride);
    if (status) return status;
    if (!x || !y || !value) return ITTISAL_NULL_POINTER;
    of = model->snapshot;
    *x = *y = -1;
    *value = 0;
    for (row = 0; row < of->map_height; row++) {
        const float *here = (const float *)((const char *)map + (size_t)row * map_stride);
        for (column = 0; column < of->map_width; column++)
            if (here[column] > *value) {
                *value = here[column];
                *y = (int)(of->first[0] + of->step[0] * row);
                *x = (int)(of->first[1] + of->step[1] * column);
            }
    }
    return ITTISAL_OK;
}
