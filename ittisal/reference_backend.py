"""The reference behind the backends' interface, for `backend="reference"`."""

from __future__ import annotations

import time

import numpy as np

from . import reference
from .config import Config
from .frames import check_values
from .pipeline import OneByOne
from .plan import Plan


def probe() -> tuple[bool, str]:
    """Always usable."""
    return True, "float64 NumPy, for correctness rather than speed"


def supports(config: Config) -> tuple[bool, str]:
    """Every option."""
    return True, "every option"


class ReferenceBackend(OneByOne):
    """Runs `reference.trace`; holds no buffers."""

    name = "reference"
    threads = 1
    nbytes = 0

    def __init__(self, plan: Plan, channel_order: str) -> None:
        self.plan, self.channel_order = plan, channel_order

    def trace(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Every intermediate, float64."""
        if frame.dtype == np.float32:
            check_values(frame.min(), frame.max())
        return reference.trace(frame, self.plan.config, self.channel_order)

    def run(self, frame: np.ndarray, out: np.ndarray) -> None:
        """The raw map into `out`."""
        out[:] = self.trace(frame)["saliency"]

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """The whole, in milliseconds: the reference is not split into timed stages."""
        start = time.perf_counter()
        self.trace(frame)
        return {"total": (time.perf_counter() - start) * 1e3}

    def close(self) -> None:
        """Nothing to release."""


def make(plan: Plan, channel_order: str, threads: int) -> ReferenceBackend:
    """A backend for this plan; always one thread."""
    return ReferenceBackend(plan, channel_order)
