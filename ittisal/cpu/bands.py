"""What GBVS's kernels and their tables share: columns of records, and how far filters reach."""

from __future__ import annotations

from ..features import ORIENTATIONS
from ..references.gbvs import GABOR
from .rows import NEAREST

# A band of a level: where the intensity's level lies, from row to row, its size, the band's rows;
# the part of each row in the map's rows, plain or faded; which of these it reaches (first and
# last, by row); the band's sums, the first row that they are of, how many, from row to row.
(
    SOURCE, PITCH, HEIGHT, WIDTH, FIRST, LAST,
    DOWN, REACHED, SUMS, FIRST_SUM, SUM_ROWS, SUM_PITCH,
) = range(12)  # fmt: skip
BAND_COLUMNS = 12
BAND_BYTES = 8 * BAND_COLUMNS
# A level's maps of one kind: its bands and how many; the part of each column in the map's
# columns; by vector of the map's columns, the first and the last that it comes from; the maps.
BANDS, BAND_COUNT, ACROSS, REACHING, MAPS = range(5)

EXTEND = NEAREST + 1  # an operation: repeat the ends of a row beside it
LIGHT_LEVELS = 256  # values that light is known for

NEAR = 8  # reach of the filters along the wave, and of the diagonals' separable parts
STEPS = 4  # to either side along a diagonal, of two samples each
DIAGONAL = 2 * STEPS
RING = 2 * DIAGONAL + 1  # rows that a diagonal sees
MARGIN = 48  # samples that repeat the ends of the intensity's rows


def around(lanes: int) -> int:
    """Samples on either side of a row that are filtered down."""
    return GABOR.half + DIAGONAL + lanes


def filter_row(width, lanes: int):
    """Floats of a row of the orientation's scratch."""
    return (width + (2 * around(lanes) + 2 * lanes + 16)) // 16 * 16


def filter_scratch(width: int, lanes: int) -> int:
    """Floats of scratch for the orientation of a level: filtered rows, energies and the ring."""
    rows = 6 + len(ORIENTATIONS) + (len(ORIENTATIONS) + 1) * RING
    return int(filter_row(width, lanes)) * rows + 2 * around(lanes)
