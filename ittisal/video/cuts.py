"""Cuts: where one shot ends and the next begins, so that no motion is seen between them."""

from __future__ import annotations

import math
from collections import deque
from functools import lru_cache

import numpy as np

CELLS = (12, 16)  # rows and columns of the thumbnail
POINTS = 4  # samples each way that a cell is the mean of
HISTORY = 4  # thumbnails that a frame is compared with
FLAT = 0.02  # standard deviation below which a thumbnail shows nothing, of a full scale of 1
CHANGE = 0.06  # least mean absolute difference of a cut
LEAP = 2.5  # and least ratio to the running mean of the differences
ALIKE = 0.5  # correlation above which two thumbnails show the same shot
MEMORY = 0.2  # weight of the newest difference in the running mean


class CutDetector:
    """Tells for each frame whether a new shot begins with it.

    A thumbnail of 16 x 12 cells is taken from each frame: the means of 4 x 4 samples, strided over
    the frame, of its green channel or grey values. A frame is a cut if both are so:

    - it differs from the frame before: the mean absolute difference of the thumbnails is at least
      0.06 of the full scale, and 2.5 times their running mean;
    - it resembles none of the last four thumbnails that show anything: their correlation with it
      is under 0.5.

    So a fade or a dissolve, which changes little from frame to frame, is none. Neither is a change
    of exposure or a flash, which leave the pattern as it is, nor the frame after a flash, which is
    like the one before it. A frame that shows nothing (black, white) is not a cut, and is left out
    of the four: after black, the first frame of the next shot is the cut, and a dip to black within
    a shot is none. Where all changes all the time, as in noise, no frame is one. It costs tens of
    microseconds, at any size.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> shots = [rng.integers(0, 256, (6, 8)).astype(np.uint8).repeat(20, 0).repeat(20, 1)
    ...          for _ in range(2)]
    >>> detector = CutDetector()
    >>> [detector.is_cut(shots[i]) for i in (0, 0, 0, 1, 1, 0)]
    [False, False, False, True, False, False]

    The last is no cut, since the first shot is still remembered.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all frames, as after a change of size."""
        self._patterns: deque[np.ndarray] = deque(maxlen=HISTORY)
        self._last: np.ndarray | None = None
        self._running_mean = 0.0

    def is_cut(self, frame: np.ndarray, scale: float = 1.0) -> bool:
        """Whether a new shot begins with this frame; the frame is remembered.

        Parameters
        ----------
        frame : array of shape (H, W) or (H, W, 3)
            uint8, uint16, or float in [0, 1].
        scale : float
            Fraction of the full scale from black to white, where frames have levels.
        """
        thumbnail = thumbnail_of(frame).ravel()
        centred = thumbnail - thumbnail.mean()
        contrast = math.sqrt(np.dot(centred, centred) / centred.size)
        if not math.isfinite(contrast):
            return False  # the model will say what is wrong with it
        pattern = (
            centred / (contrast * math.sqrt(centred.size)) if contrast > FLAT * scale else None
        )
        last, self._last = self._last, thumbnail
        change = 0.0 if last is None else float(np.abs(thumbnail - last).mean())
        cut = (
            change >= max(CHANGE * scale, LEAP * self._running_mean)
            and pattern is not None
            and bool(self._patterns)
            and not any(np.dot(pattern, old) >= ALIKE for old in self._patterns)
        )
        self._running_mean += MEMORY * (change - self._running_mean)
        if pattern is not None:
            self._patterns.append(pattern)
        return cut


def thumbnail_of(frame: np.ndarray) -> np.ndarray:
    """Means of strided samples, float32 of shape (12, 16), of a full scale of 1."""
    height, width = frame.shape[:2]
    y, x, rows, columns = _grid(height, width)
    plane = frame[..., 1] if frame.ndim == 3 else frame
    samples = plane[y, x].astype(np.float32)
    full = 1.0 if frame.dtype.kind == "f" else float(np.iinfo(frame.dtype).max)
    with np.errstate(invalid="ignore", over="ignore"):
        return rows @ samples @ (columns / np.float32(full))


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> tuple[np.ndarray, ...]:
    """Rows and columns of the samples, and the matrices that take their means over cells."""
    places, means = [], []
    for cells, side in zip(CELLS, (height, width), strict=True):
        count = cells * POINTS
        places.append((np.arange(count) * 2 + 1) * side // (2 * count))
        means.append(np.repeat(np.eye(cells, dtype=np.float32), POINTS, axis=1) / POINTS)
    return places[0][:, None], places[1], means[0], np.ascontiguousarray(means[1].T)
