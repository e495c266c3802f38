"""A window that shows pictures as they come."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from .errors import UsageError

TITLE = "ittisal"
TRIAL = "import cv2; cv2.namedWindow('ittisal'); cv2.destroyAllWindows()"


class Window:
    """OpenCV's window; q, Esc and its close button end it.

    Raises
    ------
    UsageError
        There is no display, or this OpenCV has no windows.
    """

    def __init__(self) -> None:
        # In a process of its own: without a display some windowing libraries end the process.
        trial = subprocess.run(
            [sys.executable, "-c", TRIAL], capture_output=True, timeout=60, check=False
        )
        if trial.returncode:
            raise UsageError(
                "--show: no window can be opened: there is no display, or this OpenCV is a "
                "headless one. Write a file with -o, or pipe raw video to a player with -o -"
            )
        import cv2

        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        self._fresh = True

    def show(self, picture: np.ndarray) -> bool:
        """Show a picture; whether more are wanted."""
        import cv2

        if self._fresh:
            cv2.resizeWindow(TITLE, *picture.shape[1::-1])
            self._fresh = False
        cv2.imshow(TITLE, picture)
        key = cv2.waitKey(1) & 0xFF
        return key not in (27, ord("q")) and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Take it away."""
        import cv2

        cv2.destroyAllWindows()
