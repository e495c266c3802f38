/* Visual saliency: maps of where attention goes, after Itti, Koch & Niebur (1998) and others.
 *
 *     ittisal_options options;
 *     ittisal *model;
 *     int error = ittisal_variant(0, &options);            // the first that the library has
 *     if (!error) error = ittisal_create(&options, &model);
 *     if (!error) error = ittisal_run(model, frame, 3 * width, ITTISAL_UNKNOWN, map, 4 * map_width);
 *     if (error) fprintf(stderr, "%s\n", ittisal_strerror(error));
 *
 * A library has the models that it was exported with: presets, frame sizes and pixel formats, each
 * combination a variant. Nothing is allocated after `ittisal_create`, and nothing at all with
 * `ittisal_create_in`. There is no global state: any number of models may be in use, each by one
 * thread at a time, or by several as `ittisal_begin` says. Nothing is printed, nothing is read.
 */
#ifndef ITTISAL_H
#define ITTISAL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ITTISAL_API __attribute__((visibility("default")))
#else
#define ITTISAL_API
#endif

#define ITTISAL_ABI 1 /* of this header; a library takes options of its own alone */

/* What every function but `ittisal_strerror` and `ittisal_version` returns. */
enum {
    ITTISAL_OK = 0,
    ITTISAL_NULL_POINTER = -1,
    ITTISAL_WRONG_ABI = -2,       /* options.abi is not the library's ITTISAL_ABI */
    ITTISAL_NO_VARIANT = -3,      /* the library was not exported for such options */
    ITTISAL_UNSUPPORTED_CPU = -4, /* the library's target has instructions that this CPU lacks */
    ITTISAL_NO_MEMORY = -5,
    ITTISAL_SHORT_BUFFER = -6, /* fewer bytes than `ittisal_memory` says */
    ITTISAL_BAD_STRIDE = -7,   /* less than a row, no whole number of elements; or rows of the frame
                                * have gaps, and options.gaps was 0 */
    ITTISAL_MISALIGNED = -8,   /* a frame or map that does not lie on whole elements */
    ITTISAL_BAD_TIME = -9,     /* 0 seconds, or infinitely many */
    ITTISAL_NOT_FINITE = -10,  /* a float frame holds NaN or an infinity */
    ITTISAL_OUT_OF_RANGE = -11, /* a float frame holds values outside 0 to 1 */
    ITTISAL_NO_FRAME = -12,    /* there was none yet, or the last one was refused */
    ITTISAL_BAD_INDEX = -13    /* a worker, channel or variant that there is none of */
};

/* Pixels: how many elements, in which order. */
enum { ITTISAL_RGB = 0, ITTISAL_BGR = 1, ITTISAL_GREY = 2 };

/* Elements: whole numbers up to the highest of their type, or floats from 0 to 1. */
enum { ITTISAL_UINT8 = 0, ITTISAL_UINT16 = 1, ITTISAL_FLOAT32 = 2 };

/* What a model is created for. */
typedef struct ittisal_options {
    int abi;            /* ITTISAL_ABI */
    int height, width;  /* of frames */
    int pixels;         /* ITTISAL_RGB, ITTISAL_BGR or ITTISAL_GREY */
    int type;           /* ITTISAL_UINT8, ITTISAL_UINT16 or ITTISAL_FLOAT32 */
    int gaps;           /* whether frames may have gaps between rows: memory for a copy, then */
    const char *preset; /* "itti1998", ... */
} ittisal_options;

typedef struct ittisal ittisal;

/* Seconds since the last frame, where they are not known: taken for a thirtieth. */
#define ITTISAL_UNKNOWN (-1.0)

/* The version of the package that exported the library. */
ITTISAL_API const char *ittisal_version(void);

/* What a status means, in English. */
ITTISAL_API const char *ittisal_strerror(int status);

/* The options of the library's variants, from 0 on; ITTISAL_BAD_INDEX behind the last. */
ITTISAL_API int ittisal_variant(int index, ittisal_options *options);

/* Bytes that a model takes in all. */
ITTISAL_API int ittisal_memory(const ittisal_options *options, size_t *bytes);

/* A model in memory from malloc. */
ITTISAL_API int ittisal_create(const ittisal_options *options, ittisal **model);

/* A model in the caller's memory, at any address, as long as that is there. */
ITTISAL_API int ittisal_create_in(
    const ittisal_options *options, void *memory, size_t bytes, ittisal **model);

/* Give a model's memory back, if it came from malloc. NULL is left alone. */
ITTISAL_API void ittisal_destroy(ittisal *model);

/* Forget the frames before: the next one is the first. For models that look at time (`video`). */
ITTISAL_API int ittisal_reset(ittisal *model);

/* Rows and columns of the map. */
ITTISAL_API int ittisal_map_size(const ittisal *model, int *height, int *width);

/* The saliency map of a frame, which is not changed.
 *
 * stride       bytes from row to row of the frame
 * seconds      since the last frame that was accepted; negative or NaN if not known. Not looked at
 *              in the first frame, nor by models that do not look at time
 * map          receives float32 values from 0 up, not scaled to 1: comparable between frames
 * map_stride   bytes from row to row of the map
 *
 * A frame that is refused leaves no trace in the next map, and the map as it was.
 */
ITTISAL_API int ittisal_run(ittisal *model, const void *frame, size_t stride, double seconds,
                            float *map, size_t map_stride);

/* The same by several of the caller's threads, up to the number that the library was exported for.
 *
 * One thread begins a frame; each worker then calls `ittisal_work` with its own number, from 0 on,
 * and the ticket. Worker 0 has to; its call returns when the map is whole, with the status of the
 * frame. A worker that comes late, or not at all, does no harm; one that comes before worker 0
 * waits for it. The next frame may begin when worker 0 has returned.
 */
ITTISAL_API int ittisal_threads(const ittisal *model, int *most);
ITTISAL_API int ittisal_begin(ittisal *model, const void *frame, size_t stride, double seconds,
                              float *map, size_t map_stride, int *ticket);
ITTISAL_API int ittisal_work(ittisal *model, int worker, int ticket);

/* How many channels contributed to the last frame's map: their numbers are from 0 on. */
ITTISAL_API int ittisal_channels(const ittisal *model, int *count);

/* A channel's name, and its share of the sum over the map, from 0 to 1 (all are 0 where nothing is
 * salient). Either may be NULL.
 */
ITTISAL_API int ittisal_channel(const ittisal *model, int index, const char **name, double *share);

/* What a channel added to the last frame's map: the sum over the channels is the map, before it is
 * smoothed over time.
 */
ITTISAL_API int ittisal_contribution(
    const ittisal *model, int index, float *map, size_t map_stride);

/* The pixel of the frame under the highest sample of a map, the first of equal ones, and its value;
 * -1, -1 and 0 where no sample is above 0.
 */
ITTISAL_API int ittisal_peak(
    const ittisal *model, const float *map, size_t map_stride, int *x, int *y, float *value);

#ifdef __cplusplus
}
#endif

#endif
