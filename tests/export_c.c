/* Checks an exported library from C: see test_export_c.py.
 *
 *     export_c FRAMES MAPS [maps only]
 *
 * FRAMES/n holds frames of variant n, one after the other; their maps are written to MAPS/n. They
 * come SECONDS apart. Frames, maps and models in all kinds of memory have to give the same.
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ittisal.h"

#define SECONDS 0.04
#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)
#define IS(status, wanted) CHECK((status) == (wanted))
#define GOOD(status) IS(status, ITTISAL_OK)

static const size_t elements[] = {1, 2, 4}; /* bytes, by type */

/* A variant: its options, and sizes in bytes. */
typedef struct {
    ittisal_options options;
    int map_height, map_width;
    size_t element, row, frame, map_row, map;
} variant;

/* Memory between two pages that nobody may touch. */
typedef struct {
    unsigned char *start, *end;
} guarded;

static guarded guard(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    unsigned char *at = mmap(NULL, whole + 2 * page, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    guarded made;
    CHECK(at != MAP_FAILED);
    GOOD(mprotect(at, page, PROT_NONE));
    GOOD(mprotect(at + page + whole, page, PROT_NONE));
    made.start = at + page;
    made.end = made.start + whole;
    return made;
}

static float *floats(unsigned char *at) {
    return (float *)(void *)at;
}

static variant get(int index) {
    variant of;
    ittisal *model;
    GOOD(ittisal_variant(index, &of.options));
    IS(of.options.abi, ITTISAL_ABI);
    GOOD(ittisal_create(&of.options, &model));
    GOOD(ittisal_map_size(model, &of.map_height, &of.map_width));
    ittisal_destroy(model);
    of.element = elements[of.options.type];
    of.row = (size_t)of.options.width * of.element * (of.options.pixels == ITTISAL_GREY ? 1 : 3);
    of.frame = of.row * (size_t)of.options.height;
    of.map_row = (size_t)of.map_width * sizeof(float);
    of.map = of.map_row * (size_t)of.map_height;
    return of;
}

/* --- the same map in all kinds of memory, and by several threads ------------------------------*/

typedef struct {
    ittisal *model;
    int worker, ticket, status;
} job;

static void *work(void *argument) {
    job *of = argument;
    of->status = ittisal_work(of->model, of->worker, of->ticket);
    return NULL;
}

/* `ittisal_run`, by as many threads as there may be. */
static void run_shared(ittisal *model, const void *frame, size_t stride, float *map, size_t row) {
    enum { MOST = 16 };
    pthread_t threads[MOST];
    job jobs[MOST];
    int count, ticket, i;
    GOOD(ittisal_threads(model, &count));
    CHECK(count >= 1 && count <= MOST);
    GOOD(ittisal_begin(model, frame, stride, SECONDS, map, row, &ticket));
    IS(ittisal_work(model, count, ticket), ITTISAL_BAD_INDEX);
    IS(ittisal_work(model, -1, ticket), ITTISAL_BAD_INDEX);
    for (i = count - 1; i >= 0; i--) {
        jobs[i].model = model, jobs[i].worker = i, jobs[i].ticket = ticket;
        if (i > 0) GOOD(pthread_create(&threads[i], NULL, work, &jobs[i]));
    }
    work(&jobs[0]);
    GOOD(jobs[0].status);
    for (i = 1; i < count; i++) {
        GOOD(pthread_join(threads[i], NULL));
        GOOD(jobs[i].status);
        GOOD(ittisal_work(model, i, ticket)); /* too late */
    }
    IS(ittisal_work(model, 0, ticket), ITTISAL_NO_FRAME);
}

static void check_memory(int index, const char *frames, const char *maps) {
    variant of = get(index);
    ittisal_options options = of.options;
    ittisal *plain, *placed, *shared;
    size_t bytes, odd_row = of.row + 5 * of.element, odd_map_row = of.map_row + 3 * sizeof(float);
    size_t gaps = odd_row * (size_t)(options.height - 1) + of.row;
    size_t map_gaps = odd_map_row * (size_t)(of.map_height - 1) + of.map_row;
    guarded memory, first = guard(of.frame), last = guard(of.frame), apart = guard(gaps);
    guarded map = guard(of.map), other = guard(of.map), map_apart = guard(map_gaps);
    unsigned char *frame = last.end - of.frame, *spread = apart.end - gaps;
    unsigned char *at_end = map.end - of.map, *map_spread = map_apart.end - map_gaps;
    char path[4096];
    int y;
    FILE *in, *out;
    GOOD(ittisal_create(&options, &plain));
    GOOD(ittisal_create(&options, &shared));
    options.gaps = 1;
    GOOD(ittisal_memory(&options, &bytes));
    memory = guard(bytes);
    memset(memory.start, 0xa5, (size_t)(memory.end - memory.start));
    IS(ittisal_create_in(&options, memory.start, bytes - 1, &placed), ITTISAL_SHORT_BUFFER);
    GOOD(ittisal_create_in(&options, memory.end - bytes, bytes, &placed));
    snprintf(path, sizeof path, "%s/%d", frames, index);
    CHECK(in = fopen(path, "rb"));
    snprintf(path, sizeof path, "%s/%d", maps, index);
    CHECK(out = fopen(path, "wb"));
    while (fread(frame, 1, of.frame, in) == of.frame) {
        GOOD(ittisal_run(plain, frame, of.row, SECONDS, floats(at_end), of.map_row));
        CHECK(fwrite(at_end, 1, of.map, out) == of.map);
        for (y = 0; y < options.height; y++)
            memcpy(spread + (size_t)y * odd_row, frame + (size_t)y * of.row, of.row);
        GOOD(ittisal_run(placed, spread, odd_row, SECONDS, floats(map_spread), odd_map_row));
        for (y = 0; y < of.map_height; y++)
            CHECK(!memcmp(map_spread + (size_t)y * odd_map_row, at_end + (size_t)y * of.map_row,
                          of.map_row));
        memcpy(first.start, frame, of.frame);
        run_shared(shared, first.start, of.row, floats(other.start), of.map_row);
        CHECK(!memcmp(other.start, at_end, of.map));
    }
    fclose(in);
    fclose(out);
    ittisal_destroy(plain);
    ittisal_destroy(shared);
    ittisal_destroy(placed); /* does nothing */
}

/* --- two models on two threads ----------------------------------------------------------------*/

enum { ROUNDS = 4 };

typedef struct {
    variant of;
    ittisal *model;
    unsigned char *frame;
    float *maps;
} stream;

static void *run_stream(void *argument) {
    stream *the = argument;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        memmove(the->frame, the->frame + the->of.row, the->of.frame - the->of.row);
        GOOD(ittisal_run(the->model, the->frame, the->of.row, SECONDS,
                         the->maps + (size_t)round * the->of.map / sizeof(float),
                         the->of.map_row));
    }
    return NULL;
}

static stream new_stream(int index, int seed) {
    stream the;
    size_t i;
    the.of = get(index);
    GOOD(ittisal_create(&the.of.options, &the.model));
    the.frame = calloc(the.of.frame, 1);
    the.maps = calloc(ROUNDS, the.of.map);
    CHECK(the.frame && the.maps);
    for (i = 0; i < the.of.frame / the.of.element; i++) {
        unsigned char value = (unsigned char)(i / 7 * (size_t)seed);
        if (the.of.options.type == ITTISAL_FLOAT32)
            floats(the.frame)[i] = (float)value / 255;
        else
            the.frame[i * the.of.element] = value;
    }
    return the;
}

static void check_two(int index) {
    stream together[2], alone;
    pthread_t threads[2];
    int i;
    for (i = 0; i < 2; i++) together[i] = new_stream(index, i + 3);
    for (i = 0; i < 2; i++) GOOD(pthread_create(&threads[i], NULL, run_stream, &together[i]));
    for (i = 0; i < 2; i++) GOOD(pthread_join(threads[i], NULL));
    for (i = 0; i < 2; i++) {
        alone = new_stream(index, i + 3);
        run_stream(&alone);
        CHECK(!memcmp(alone.maps, together[i].maps, ROUNDS * alone.of.map));
        ittisal_destroy(alone.model), free(alone.frame), free(alone.maps);
        ittisal_destroy(together[i].model), free(together[i].frame), free(together[i].maps);
    }
}

/* --- what is refused --------------------------------------------------------------------------*/

static void check_errors(int index) {
    variant of = get(index);
    ittisal_options options = of.options;
    ittisal *model;
    unsigned char *frame = calloc(of.frame + 8, 1);
    float *map = calloc(of.map + 8, 1), value;
    char *memory;
    const char *name;
    double share;
    size_t bytes;
    int x, y, count, ticket;
    CHECK(frame && map);
    IS(ittisal_variant(-1, &options), ITTISAL_BAD_INDEX);
    IS(ittisal_variant(1 << 20, &options), ITTISAL_BAD_INDEX);
    IS(ittisal_variant(0, NULL), ITTISAL_NULL_POINTER);
    IS(ittisal_create(NULL, &model), ITTISAL_NULL_POINTER);
    IS(ittisal_create(&options, NULL), ITTISAL_NULL_POINTER);
    IS(ittisal_memory(NULL, &bytes), ITTISAL_NULL_POINTER);
    IS(ittisal_memory(&options, NULL), ITTISAL_NULL_POINTER);
    GOOD(ittisal_memory(&options, &bytes));
    memory = malloc(bytes + 1);
    CHECK(memory);
    IS(ittisal_create_in(&options, NULL, bytes, &model), ITTISAL_NULL_POINTER);
    IS(ittisal_create_in(&options, memory, bytes, NULL), ITTISAL_NULL_POINTER);
    IS(ittisal_create_in(&options, memory, 0, &model), ITTISAL_SHORT_BUFFER);
    options.abi++;
    IS(ittisal_create(&options, &model), ITTISAL_WRONG_ABI);
    options = of.options, options.preset = NULL;
    IS(ittisal_create(&options, &model), ITTISAL_NULL_POINTER);
    options.preset = "no such preset";
    IS(ittisal_create(&options, &model), ITTISAL_NO_VARIANT);
    options = of.options, options.width++;
    IS(ittisal_create(&options, &model), ITTISAL_NO_VARIANT);
    options = of.options, options.height = -options.height;
    IS(ittisal_create(&options, &model), ITTISAL_NO_VARIANT);
    options = of.options, options.type = 99;
    IS(ittisal_create(&options, &model), ITTISAL_NO_VARIANT);
    options = of.options, options.pixels = -1;
    IS(ittisal_create(&options, &model), ITTISAL_NO_VARIANT);

    GOOD(ittisal_create_in(&of.options, memory + 1, bytes, &model)); /* at an odd address */
    IS(ittisal_channels(model, &count), ITTISAL_NO_FRAME);
    IS(ittisal_channel(model, 0, &name, &share), ITTISAL_NO_FRAME);
    IS(ittisal_contribution(model, 0, map, of.map_row), ITTISAL_NO_FRAME);
    IS(ittisal_work(model, 0, 0), ITTISAL_NO_FRAME);
    IS(ittisal_work(NULL, 0, 0), ITTISAL_NULL_POINTER);
    IS(ittisal_run(NULL, frame, of.row, SECONDS, map, of.map_row), ITTISAL_NULL_POINTER);
    IS(ittisal_run(model, NULL, of.row, SECONDS, map, of.map_row), ITTISAL_NULL_POINTER);
    IS(ittisal_run(model, frame, of.row, SECONDS, NULL, of.map_row), ITTISAL_NULL_POINTER);
    IS(ittisal_begin(model, frame, of.row, SECONDS, map, of.map_row, NULL), ITTISAL_NULL_POINTER);
    IS(ittisal_run(model, frame, of.row - 1, SECONDS, map, of.map_row), ITTISAL_BAD_STRIDE);
    IS(ittisal_run(model, frame, 0, SECONDS, map, of.map_row), ITTISAL_BAD_STRIDE);
    IS(ittisal_run(model, frame, of.row + 4, SECONDS, map, of.map_row), ITTISAL_BAD_STRIDE);
    IS(ittisal_run(model, frame, of.row, SECONDS, map, of.map_row - 4), ITTISAL_BAD_STRIDE);
    IS(ittisal_run(model, frame, of.row, SECONDS, map, of.map_row + 2), ITTISAL_BAD_STRIDE);
    IS(ittisal_run(model, frame, of.row, SECONDS, floats((unsigned char *)map + 2), of.map_row),
       ITTISAL_MISALIGNED);
    if (of.element > 1)
        IS(ittisal_run(model, frame + 1, of.row, SECONDS, map, of.map_row), ITTISAL_MISALIGNED);
    GOOD(ittisal_run(model, frame, of.row, NAN, map, of.map_row));
    GOOD(ittisal_run(model, frame, of.row, ITTISAL_UNKNOWN, map, of.map_row));
    if (!strcmp(of.options.preset, "video")) {
        IS(ittisal_run(model, frame, of.row, 0, map, of.map_row), ITTISAL_BAD_TIME);
        IS(ittisal_begin(model, frame, of.row, INFINITY, map, of.map_row, &ticket),
           ITTISAL_BAD_TIME);
        GOOD(ittisal_reset(model));
        GOOD(ittisal_run(model, frame, of.row, 0, map, of.map_row)); /* the first: not looked at */
    }
    GOOD(ittisal_channels(model, &count));
    CHECK(count > 0);
    IS(ittisal_channel(model, count, &name, &share), ITTISAL_BAD_INDEX);
    IS(ittisal_channel(model, -1, &name, &share), ITTISAL_BAD_INDEX);
    IS(ittisal_contribution(model, count, map, of.map_row), ITTISAL_BAD_INDEX);
    IS(ittisal_contribution(model, 0, NULL, of.map_row), ITTISAL_NULL_POINTER);
    GOOD(ittisal_channel(model, 0, NULL, NULL));
    IS(ittisal_channels(NULL, &count), ITTISAL_NULL_POINTER);
    IS(ittisal_channels(model, NULL), ITTISAL_NULL_POINTER);
    IS(ittisal_map_size(model, &x, NULL), ITTISAL_NULL_POINTER);
    IS(ittisal_threads(NULL, &x), ITTISAL_NULL_POINTER);
    IS(ittisal_reset(NULL), ITTISAL_NULL_POINTER);
    memset(map, 0, of.map);
    IS(ittisal_peak(model, map, of.map_row, &x, &y, NULL), ITTISAL_NULL_POINTER);
    IS(ittisal_peak(model, map, 1, &x, &y, &value), ITTISAL_BAD_STRIDE);
    GOOD(ittisal_peak(model, map, of.map_row, &x, &y, &value));
    CHECK(x == -1 && y == -1 && value == 0);
    ittisal_destroy(NULL);
    for (x = ITTISAL_OK; x >= ITTISAL_BAD_INDEX; x--)
        CHECK(strcmp(ittisal_strerror(x), ittisal_strerror(1)));
    CHECK(!strcmp(ittisal_strerror(ITTISAL_BAD_INDEX - 1), ittisal_strerror(1)));
    CHECK(ittisal_version()[0]);
    free(memory), free(frame), free(map);
}

/* A float frame that is refused leaves the map alone, and no trace in the next one. */
static void check_values(int index) {
    static const struct {
        float value;
        int status;
    } bad[] = {{NAN, ITTISAL_NOT_FINITE},
               {INFINITY, ITTISAL_NOT_FINITE},
               {-INFINITY, ITTISAL_NOT_FINITE},
               {-0.5f, ITTISAL_OUT_OF_RANGE},
               {1.5f, ITTISAL_OUT_OF_RANGE}};
    variant of = get(index);
    stream two[2];
    float *values;
    size_t i, each, count = of.frame / sizeof(float);
    int channels;
    if (of.options.type != ITTISAL_FLOAT32) return;
    for (i = 0; i < 2; i++) two[i] = new_stream(index, 1);
    for (each = 0; each < sizeof bad / sizeof *bad; each++) {
        for (i = 0; i < 2; i++) {
            values = floats(two[i].frame);
            values[count / 2 + 50 * each] = 1;
            values[count - 1] = 0;
            GOOD(ittisal_run(two[i].model, values, of.row, SECONDS, two[i].maps, of.map_row));
            if (i == 0) continue;
            values[count - 1] = bad[each].value;
            two[i].maps[0] = 7;
            IS(ittisal_run(two[i].model, values, of.row, SECONDS, two[i].maps, of.map_row),
               bad[each].status);
            CHECK(two[i].maps[0] == 7);
            IS(ittisal_channels(two[i].model, &channels), ITTISAL_NO_FRAME);
            values[count - 1] = 0;
            two[i].maps[0] = two[0].maps[0];
        }
        CHECK(!memcmp(two[0].maps, two[1].maps, of.map));
    }
    for (i = 0; i < 2; i++)
        ittisal_destroy(two[i].model), free(two[i].frame), free(two[i].maps);
}

int main(int count, char **words) {
    ittisal_options options;
    int index;
    CHECK(count == 3 || count == 4);
    for (index = 0; ittisal_variant(index, &options) == ITTISAL_OK; index++) {
        check_memory(index, words[1], words[2]);
        if (count == 4) continue;
        check_two(index);
        check_errors(index);
        check_values(index);
    }
    printf("%d variants\n", index);
    return 0;
}
