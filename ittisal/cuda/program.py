"""The published programs on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..channels import Channels
from ..pipeline import BackendError
from ..trace import ProgramTraced
from .backend import CudaBackend, FormatState
from .vocus2 import TwinPyramids


class ProgramBackend(ProgramTraced, CudaBackend):
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

    def _join(self, state: FormatState, channels: Channels, stream: Any) -> None:
        if channels:
            raise BackendError(
                f"channels={sorted(channels)} do not join model={self.plan.config.model.value!r} "
                'on CUDA; use backend="cpu"'
            )
