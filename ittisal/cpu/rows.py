"""Columns of the tables that streaming kernels walk, one row per operation.

A streaming kernel goes through its rows from first to last; each row says what to do next and
where its operands lie. The tables are made with the plan (`tables`), so that no kernel decides
about borders, bands or which rows are kept.
"""

from __future__ import annotations

SCAN_TASKS = 16  # parts of a frame that are scanned for its brightest pixel
RECONSTRUCTIONS = 8  # side by side at each place: three planes and their negatives, in fours
REACH = 4  # of the oriented filters
PARTIALS = 5  # results of a row's horizontal filters
GABOR_PARTIALS = 6  # the same of Gabor filters, the most that there are

# A launch: its kernel, one to run after it in the same task or 0, number of its first task, how
# many tasks, and how much the fused kernel's task numbers are greater; first ticket, ticket behind
# its last, and how many tickets have to be done before. A kernel of 0 ends a list.
KERNEL, FUSED, FIRST_TASK, TASKS, FUSED_SHIFT, FIRST_TICKET, END_TICKET, BARRIER = range(8)
LAUNCH_COLUMNS = 8

COLUMNS = 16  # of every table of rows
ROW_BYTES = 8 * COLUMNS

# Columns of a task: its rows, as addresses, and numbers that its rows are relative to.
FIRST_ROW, END_ROW, PLANE, OUTPUT_BASE, EXTRA = range(5)
TASK_COLUMNS = 8

# The first column is the operation.
(
    CLEAR,  # zero a range of scratch
    STORE_PIXELS,  # a pair of the frame's rows, through opponency
    DOWNSAMPLE_PIXELS,  # the same, one step
    DOWNSAMPLE,  # a pair of rows of some planes or maps
    DOWNSAMPLE_CONTRAST,  # a pair of rows of the centre against both surrounds
    UPSAMPLE_NEAR,  # a row of the nearer surround to the centre's width
    UPSAMPLE_FAR,
    UPSAMPLE_NEXT,  # a row to the width of the next finer level
    CONTRAST,  # a row of the centre against a surround, at the map's level
    INTERPOLATE,  # a row that lies between two upsampled ones
    WHITEN,  # a row of a decorrelated plane
    BAND,  # a row of the band-pass, filtered along x
    ENERGY,  # a row of the oriented energies
    UPSAMPLE_MAP,  # a whole map to the map's level
    NEAREST,  # a row of the centre against both surrounds, nearest samples
) = range(15)
OPERATION = 0

# CLEAR
START, SIZE = 1, 2
# Every downsampling: its step's record, the rows of samples, the row of weights, where the result
# goes (in scratch, or relative to the task's output), from plane to plane.
STEP, EVEN, ODD, WEIGHTS, OUTPUT, IN_SCRATCH, OUTPUT_STRIDE = range(1, 8)
# Of pixels: rows of flicker's background; whether vectors would read past the frame's end; where
# the odd row goes if it is stored as it is.
BACKGROUND_EVEN, BACKGROUND_ODD, AT_EDGE, ODD_OUTPUT = 8, 9, 10, 11
# Of contrasts: two upsampled rows of either surround, and how far between them the even and the
# odd row of the centre lie (float64).
NEAR, NEAR_T, FAR, FAR_T = 8, 10, 12, 14
# A step's record: its weights along x, columns of pairs, state in scratch, from plane to plane.
COLUMN_WEIGHTS, COLUMN_STRIDE, PAIRS, STATE, STATE_STRIDE, SOURCE_STRIDE = range(6)
STEP_COLUMNS = 8

# UPSAMPLE_*: source, relative to the task's plane; index of its last sample; output in scratch.
SOURCE, LAST, UPSAMPLED = 1, 2, 3
# CONTRAST and INTERPOLATE: the two upsampled rows and how far between them (float64), the centre's
# row, the row's fade, output.
ABOVE, BELOW, BETWEEN_T, CENTRE, ROW_FADE, RESULT = range(1, 7)
# WHITEN: source, output in scratch, width.
WHITE_SOURCE, WHITE_OUTPUT, WHITE_WIDTH = range(1, 4)
# BAND and ENERGY: the level's record; the row's factor; where the result goes. The rows around it
# are relative to the kernel's base (the arena or scratch), or, if negative, the negated offset in
# the arena.
LEVEL, ROW_FACTOR, ORIENTED, ORIENTED_STRIDE, ORIENTED_IN_SCRATCH = range(1, 6)
BAND_CENTRE, AROUND = 6, 7
# A level's record: column factors of the low-pass and of the energies, width, two rows of scratch.
LOW_FACTORS, ENERGY_FACTORS, LEVEL_WIDTH, LOW_ROW, BAND_ROW = range(5)
# A level's row and those above and below it, in each plane, or, if negative, zeros at that place in
# the arena; its width.
HERE, ABOVE_HERE, BELOW_HERE, WIDTH = range(1, 5)

# UPSAMPLE_MAP: source and output; levels between them; the source's size and pitch.
UP_SOURCE, UP_OUTPUT, UP_LEVELS, UP_HEIGHT, UP_WIDTH, UP_PITCH = range(1, 7)

# NEAREST: rows of the centre and of both surrounds; addresses of the numbers of their samples, by
# column of the map; the row's fade, output.
LEVELS, SAMPLES, NEAREST_FADE, NEAREST_RESULT = 1, 4, 7, 8

# A map to be normalised, or both halves of one: where it lies; its scale and offset; number of its
# signal; whether N is applied; weight and range (float64); whether `iterative` rescales it first;
# where it is copied from, or -1.
MAP, AFFINE, SIGNAL, NORMALISED, WEIGHT, TOP, RESCALED, COPIED = range(8)
# A source of a weighted sum: a map, its scale and offset.
SOURCE_MAP, SOURCE_AFFINE = range(2)
SOURCE_COLUMNS = 2
SOURCE_BYTES = 8 * SOURCE_COLUMNS
