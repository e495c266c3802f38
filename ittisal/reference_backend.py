"""The reference behind the backends' interface, for `backend="reference"`."""

from __future__ import annotations

import time

import numpy as np

from . import reference
from .channels import NO_CHANNELS, Channels, added, multiplied
from .config import Config
from .frames import check_values
from .pipeline import FIRST_FRAME, FrameTiming, OneByOne
from .plan import Plan


def probe() -> tuple[bool, str]:
    """Always usable."""
    return True, "float64 NumPy, for correctness rather than speed"


def supports(config: Config) -> tuple[bool, str]:
    """Every option."""
    return True, "every option"


class ReferenceBackend(OneByOne):
    """Runs `reference.trace`; keeps nothing but the state that a frame leaves for the next."""

    name = "reference"
    threads = 1
    nbytes = 0

    def __init__(self, plan: Plan, channel_order: str) -> None:
        self.plan, self.channel_order = plan, channel_order
        self.timing = FIRST_FRAME
        self.past: reference.Past | None = None  # what the frame before the last one left
        self.last: dict[str, np.ndarray] = {}
        self.terms: dict[str, np.ndarray] = {}

    def trace(
        self,
        frame: np.ndarray,
        timing: FrameTiming | None = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> dict[str, np.ndarray]:
        """Every intermediate, float64."""
        if frame.dtype == np.float32:
            check_values(frame.min(), frame.max())
        config = self.plan.config
        if timing is not None:
            if not timing.past:
                self.past = None
            elif self.last:
                self.past = reference.passed(self.last, config, self.past, self.timing.elapsed)
            self.timing, self.last = timing, {}
        traced = reference.trace(
            frame,
            config,
            self.channel_order,
            self.past,
            self.timing.elapsed,
            added(channels),
            multiplied(channels),
        )
        if config.remembers:
            self.last = traced
        self.terms = {
            name.removeprefix("contribution/"): x
            for name, x in traced.items()
            if name.startswith("contribution/")
        }
        return traced

    def contributions(self) -> dict[str, np.ndarray]:
        """What each channel added to the last frame's map."""
        return {name: x.astype(np.float32) for name, x in self.terms.items()}

    def run(
        self,
        frame: np.ndarray,
        out: np.ndarray,
        timing: FrameTiming = FIRST_FRAME,
        channels: Channels = NO_CHANNELS,
    ) -> None:
        """The raw map into `out`."""
        out[:] = self.trace(frame, timing, channels)["saliency"]

    def timings(self, frame: np.ndarray) -> dict[str, float]:
        """The whole, in milliseconds: the reference is not split into timed stages."""
        start = time.perf_counter()
        self.trace(frame, FIRST_FRAME)
        return {"total": (time.perf_counter() - start) * 1e3}

    def close(self) -> None:
        """Nothing to release."""


def make(plan: Plan, channel_order: str, threads: int) -> ReferenceBackend:
    """A backend for this plan; always one thread."""
    return ReferenceBackend(plan, channel_order)
