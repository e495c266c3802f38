/* The saliency map of a picture: ./example [PICTURE.ppm] > map.pgm
 *
 * The picture is a binary PPM (P6; PGM, P5, for a library of grey frames) of the size that the
 * library was exported for. Without one, a frame with a bright square is made.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ittisal.h"

static int fail(const char *what) {
    fprintf(stderr, "example: %s\n", what);
    return 1;
}

/* A picture's pixels, or a frame with a square in it. */
static unsigned char *read_frame(const char *path, int height, int width, int channels) {
    size_t size = (size_t)height * (size_t)width * (size_t)channels;
    unsigned char *frame = calloc(size, 1);
    int y, i, has_height, has_width, end;
    char kind;
    FILE *file;
    if (!frame) return NULL;
    if (!path) {
        for (y = height / 3; y < height / 2; y++)
            for (i = width / 3 * channels; i < width / 2 * channels; i++)
                frame[(size_t)y * (size_t)(width * channels) + (size_t)i] = 255;
        return frame;
    }
    file = fopen(path, "rb");
    if (!file || fscanf(file, "P%c %d %d %d", &kind, &has_width, &has_height, &end) != 4 ||
        kind != (channels == 3 ? '6' : '5') || has_width != width || has_height != height ||
        end != 255 || fgetc(file) == EOF || fread(frame, 1, size, file) != size) {
        free(frame);
        frame = NULL;
    }
    if (file) fclose(file);
    return frame;
}

int main(int count, char **words) {
    ittisal_options options;
    ittisal *model;
    unsigned char *frame;
    float *map, highest;
    size_t stride;
    int error, height, width, channels, channel, x, y, i;
    error = ittisal_variant(0, &options); /* the first; or fill in what you need */
    if (!error) error = ittisal_create(&options, &model);
    if (error) return fail(ittisal_strerror(error));
    if (options.type != ITTISAL_UINT8) return fail("the library's frames are not of type uint8");
    channels = options.pixels == ITTISAL_GREY ? 1 : 3;
    frame = read_frame(count > 1 ? words[1] : NULL, options.height, options.width, channels);
    if (!frame) return fail("the picture cannot be read, or is of another size or kind");
    ittisal_map_size(model, &height, &width);
    map = malloc((size_t)height * (size_t)width * sizeof *map);
    if (!map) return fail("not enough memory");
    stride = (size_t)width * sizeof *map;

    error = ittisal_run(
        model, frame, (size_t)(options.width * channels), ITTISAL_UNKNOWN, map, stride);
    if (error) return fail(ittisal_strerror(error));

    ittisal_peak(model, map, stride, &x, &y, &highest);
    fprintf(stderr, "%s, %dx%d: highest at %d, %d: %g\n", options.preset, options.width,
            options.height, x, y, highest);
    ittisal_channels(model, &channels);
    for (channel = 0; channel < channels; channel++) {
        const char *name;
        double share;
        ittisal_channel(model, channel, &name, &share);
        fprintf(stderr, "%s: %.0f %%\n", name, 100 * share);
    }
    printf("P5 %d %d 255\n", width, height);
    for (i = 0; i < height * width; i++)
        putchar(highest > 0 ? (int)(map[i] / highest * 255 + 0.5f) : 0);
    free(frame);
    free(map);
    ittisal_destroy(model);
    return 0;
}
