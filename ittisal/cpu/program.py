"""The published programs on the CPU: named buffers in one arena, and launches of their kernels."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ..allocator import Allocator
from ..features import Signal
from ..pipeline import FrameFormat, schedule
from ..plan import Plan
from ..trace import ProgramTraced
from .backend import FormatState, KernelBackend
from .layout import PAD, aligned, padded
from .rows import SCAN_TASKS
from .schedule import Launch, kernel


class Place(NamedTuple):
    """Where a buffer lies in the arena, in floats."""

    offset: int
    shape: tuple[int, int]
    pitch: int  # from row to row


class Program:
    """One program for frames of one format.

    A subclass, in the module called like the model, places its buffers and has a method for each
    stage of `pipeline.PROGRAM_STAGES`, which gives the launches. The buffers have the names of the
    reference's trace: what `trace` returns. `saliency` and each `conspicuity/CHANNEL` are among
    them.
    """

    scratch: int = 0  # floats for each worker

    def __init__(self, plan: Plan, format_: FrameFormat, order: str, threads: int) -> None:
        self.plan, self.format, self.threads = plan, format_, threads
        self.channels = plan.config.channel_weights(colour=format_.colour)
        self.order = order if format_.colour else "rgb"
        self.space = Allocator(PAD, start=PAD)
        self.places: dict[str, Place] = {}
        self.numbers: list[int] = []  # what kernels read as `context.program`
        self.fields: dict[str, Any] = {}  # others of the context that they read

    def take(self, name: str, shape: tuple[int, int]) -> Place:
        """A new buffer of (height, width) whose rows have zeros behind."""
        pitch = padded(shape[1])
        self.places[name] = Place(self.space.take(shape[0] * pitch + PAD), shape, pitch)
        return self.places[name]

    def allocate(self) -> np.ndarray:
        """Make the arena."""
        self.arena = self.space.fill(aligned(self.space.size + PAD))
        return self.arena

    def view(self, name: str) -> np.ndarray:
        """A view of a buffer."""
        offset, (height, width), pitch = self.places[name]
        return self.arena[offset : offset + height * pitch].reshape(height, pitch)[:, :width]

    def scan(self) -> Launch:
        """The launch that checks the values of float frames."""
        dtype, channels = self.format
        return Launch(
            "opponency", kernel("scan", dtype=dtype, channels=channels, opponency=""), SCAN_TASKS
        )


class ProgramState(FormatState):
    """A program's buffers and launches for one format."""

    def __init__(self, backend: KernelBackend, format_: FrameFormat) -> None:
        super().__init__(backend, format_)
        module = import_module(f".{self.plan.config.model}", __package__)
        self.program: Program = module.Program(self.plan, format_, self.order, self.threads)
        arena = self.program.allocate()
        self.context.set(
            arena=arena,
            program=np.array([*self.program.numbers, 0], np.int64),
            partials=np.zeros((SCAN_TASKS, 3)),
            signals=np.zeros(len(Signal)),
            **self.program.fields,
        )
        self.set_scratch(self.program.scratch, arena)

    def schedule(self, past: bool, gain: bool = False) -> tuple[Launch, ...]:
        """All launches of a frame."""
        return schedule(self.program, self.plan, colour=self.format.colour, past=past)

    @property
    def nbytes(self) -> int:
        """Bytes of its own buffers."""
        return super().nbytes + self.program.arena.nbytes


class ProgramBackend(KernelBackend, ProgramTraced):
    """A published program. See `ittisal.pipeline.Backend`."""

    current: ProgramState

    @property
    def nbytes(self) -> int:
        """Bytes of arenas, scratch and copies of frames that are not read in place."""
        formats = sum(state.nbytes for state in self.formats.values())
        return formats + sum(copy.nbytes for copy in self.staging.values())

    def new_state(self, format_: FrameFormat) -> ProgramState:
        """What frames of a format need."""
        return ProgramState(self, format_)

    def buffer_names(self) -> Iterable[str]:
        """All of them."""
        return self.current.program.places

    def buffer(self, name: str) -> np.ndarray:
        """A view of one."""
        return self.current.program.view(name)
