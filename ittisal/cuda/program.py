"""The published programs on a GPU."""

from __future__ import annotations

import numpy as np

from ..pipeline import FIRST_FRAME, FrameTiming
from ..trace import program_contributions, program_trace
from .backend import CudaBackend
from .vocus2 import TwinPyramids


class ProgramBackend(CudaBackend):
    """A published program. See `ittisal.pipeline.Backend`."""

    layout: TwinPyramids

    def named_buffers(self) -> dict[str, np.ndarray]:
        """The last frame's maps, on the host."""
        first, (height, width) = (self.count - 1) * self.layout.frame_floats, self.plan.map_shape
        weights = self.plan.config.channel_weights(colour=self.colour)
        named = ["saliency", *(f"conspicuity/{channel}" for channel in weights)]
        starts = {name: first + self.layout.places()[name] for name in named}
        return {
            name: self.device.on_host(self.arena[start : start + height * width]).reshape(
                height, width
            )
            for name, start in starts.items()
        }

    def trace(
        self, frame: np.ndarray, timing: FrameTiming | None = FIRST_FRAME
    ) -> dict[str, np.ndarray]:
        """Every buffer, and the map."""
        return program_trace(self, frame, timing)

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map; new arrays."""
        return program_contributions(self)
