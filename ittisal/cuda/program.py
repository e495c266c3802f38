"""The published programs on a GPU."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..trace import ProgramTraced
from .backend import CudaBackend
from .unfused import Layout, Place


class ProgramBackend(ProgramTraced, CudaBackend):
    """A published program. See `ittisal.pipeline.Backend`."""

    layout: Layout

    def buffer_names(self) -> Iterable[str]:
        """Of the maps, and of what lies at a level."""
        return self._places()

    def buffer(self, name: str) -> np.ndarray:
        """The last frame's, on the host."""
        offset, height, width = self._places()[name]
        start = offset + (self.count - 1) * self.layout.frame_floats
        values = self.device.on_host(self.arena[start : start + height * width])
        return values.reshape(height, width)

    def _places(self) -> dict[str, Place]:
        return self.layout.named(self.plan.config.channel_weights(colour=self.colour))
