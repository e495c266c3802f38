"""Pictures that a phone took sideways, turned upright into an array that is given."""

from __future__ import annotations

import numpy as np

from .readers import fits


def turn(frame: np.ndarray, quarters: int, out: np.ndarray | None) -> np.ndarray:
    """The frame turned so many quarters anticlockwise, in `out` if that fits, else a new array.

    Parameters
    ----------
    frame : ndarray of shape (H, W) or (H, W, 3)
        Not overlapping `out`.
    quarters : int
        0 to 3.
    """
    import cv2

    height, width = frame.shape[:2]
    shape = (width, height, *frame.shape[2:]) if quarters % 2 else frame.shape
    if not fits(out, shape, frame.dtype):
        out = np.empty(shape, frame.dtype)
    if quarters == 0:
        np.copyto(out, frame)
        return out
    code = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)[quarters - 1]
    cv2.rotate(frame, code, dst=out)
    return out
