/* What the exporter writes of each variant, and `ittisal.c` reads. */
#ifndef ITTISAL_VARIANT_H
#define ITTISAL_VARIANT_H

#include <stddef.h>
#include <stdint.h>

#include "ittisal.h"

/* A kernel: task, worker, context. The loop over a list of launches has the same type with one
 * thread, and else the one in `ittisal_work`. */
typedef void (*ittisal_kernel)(int64_t, int64_t, int64_t);

/* Numbers of the context's fields, written from the table of `ittisal/cpu/context.py`. */
#include "context.h"

enum {
    COLUMNS = 16,      /* of a row of tables */
    SLOTS = 16,        /* rows are kept as differences from the last one of their slot */
    PLACE = 0x7ff1,    /* upper bits of an offset in the block */
    KERNEL = 0x7ff2,   /* upper bits of a kernel's number */
    MODE_LAUNCHES = 0, /* columns of a mode; then a value for each of the fields in `changing` */
    MODE_COUNT = 1,
    MODE_VALUES = 2
};

/* A map in the block: where it lies, bytes, and how many floats from row to row. */
typedef struct {
    int64_t at, pitch;
} ittisal_plane;

/* What a channel contributes: a map, with its scale and offset in the block, or a scale. */
typedef struct {
    const char *name;
    ittisal_plane map;
    int64_t affine; /* -1: the scale is `weight`, the offset 0 */
    float weight;
    int temporal; /* flicker or motion */
} ittisal_term;

typedef struct {
    ittisal_options options;
    int channels, element;      /* elements of a pixel, bytes of an element */
    int map_height, map_width;
    double step[2], first[2];   /* a map's sample i lies on pixel first + step i, down and across */
    int threads;
    /* The block, packed, and how large it is; bytes at its start that are tables. */
    const unsigned char *packed;
    size_t packed_size, size, tables;
    const ittisal_kernel *kernels;
    int loop;                   /* number of the loop over launches */
    int64_t modes;              /* where the modes lie: of a frame without one before, and with */
    int mode_columns;
    const int *changing;        /* fields of the context that depend on the mode */
    /* Time. */
    int remembers, flickers;
    double smoothing_rate;      /* weight of a new map, or 0 */
    double smoothing_seconds;   /* or a time constant, or 0 */
    double averaging_seconds;   /* of running statistics, or 0 */
    int64_t intensity, previous_intensity; /* planes, and how many bytes are copied */
    size_t plane_size;
    size_t smoothed_size;       /* bytes of a smoothed map, or 0 */
    int64_t statistics;         /* float64: of this frame, then running ones */
    int statistics_count;       /* of either, or 0 */
    /* Contributions, of a frame without one before, and with. */
    const ittisal_term *terms[2];
    int term_count[2];
    int divides;                /* the saliency map is shared out by the terms at each sample */
    ittisal_plane saliency;
    int64_t saliency_affine;    /* or -1 */
    ittisal_plane total;        /* of the terms; or at = -1: they are added up */
    ittisal_plane figure, corners; /* at = -1 without */
    int64_t prior_rows, prior_columns; /* float32; or -1 */
} ittisal_snapshot;

extern const ittisal_snapshot ittisal_snapshots[];
extern const int ittisal_snapshot_count;

int ittisal_supported(void);

#endif
