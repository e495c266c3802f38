"""How frames come from a reader to the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import FrameError
from .readers import Source
from .selection import Selection


@dataclass
class Slot:
    """Room for one frame, used over and over."""

    frame: np.ndarray
    index: int = -1
    time: float = 0.0
    arrived: float = 0.0


class Direct:
    """Frames read when they are asked for, by who asks."""

    def __init__(self, source: Source, selection: Selection) -> None:
        self.reader = source.open()
        self._selection = selection
        self._slot: Slot | None = None

    def take(self) -> Slot | None:
        """The next frame that is wanted, or None at the end."""
        selection = self._selection
        while selection.advance(self.reader):
            try:
                frame = self.reader.retrieve(self._slot.frame if self._slot else None)
            except FrameError as error:
                selection.lost(selection.index, str(error))
                continue
            self._slot = Slot(frame, selection.index, selection.time, selection.now())
            return self._slot
        return None

    def close(self) -> None:
        """Let go of the source."""
        self.reader.close()
