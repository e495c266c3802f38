"""Layouts and schedules of the published programs: planes of any size, and launches over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..allocator import Allocator
from ..features import Channel
from ..pipeline import FrameFormat
from ..plan import Plan
from . import layout, schedule
from .layout import ALIGNED, SCAN_BLOCKS, check_size, put_edges
from .schedule import Argument, Launch
from .structs import COUNTERS, FOUND, GEOMETRY
from .variant import THREADS


class Place(NamedTuple):
    """Where a plane lies, or the first of some of one size that lie one after the other."""

    offset: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """Samples of a plane."""
        return self.height * self.width

    def plane(self, number: int) -> Place:
        """One of them."""
        return self._replace(offset=self.offset + number * self.size)


class Layout(layout.Layout):
    """What all programs have.

    A subclass, in the module called like the model, places its planes and tables, and then calls
    `finish`.
    """

    def __init__(self, plan: Plan) -> None:
        geometry = np.zeros(1, GEOMETRY)[0]
        super().__init__(plan, geometry, np.zeros(0), {})
        self.arena, self.constants = Allocator(ALIGNED), Allocator(ALIGNED)
        geometry["found"] = self.arena.take(FOUND.itemsize // 4)
        geometry["counters"] = self.arena.take(COUNTERS.itemsize // 4)
        geometry["partials"] = self.arena.take(4 * SCAN_BLOCKS)
        for level, shape in ((0, plan.shape), (plan.map_level, plan.map_shape)):
            geometry["height"][level], geometry["width"][level] = shape
        geometry["edges"] = put_edges(plan, self.constants)
        geometry["previous_intensity"] = -1

    def finish(self) -> None:
        """Make the tables.

        Raises
        ------
        ValueError
            The frame is too large for 32-bit offsets.
        """
        check_size(self.plan, self.arena)
        self.geometry["frame"] = self.arena.size
        self.tables = self.constants.fill(np.zeros(self.constants.size, np.float32))

    def take(self, shape: tuple[int, int], count: int = 1) -> Place:
        """Space for so many planes of (height, width)."""
        return Place(self.arena.take(count * math.prod(shape)), *shape)

    def named(self, channels: Mapping[Channel, float]) -> dict[str, Place]:
        """What a frame with these channels leaves, by the reference's names."""
        raise NotImplementedError


class Schedule(schedule.Launches):
    """The launches of each stage, by a method of its name."""

    def __init__(self, layout: Layout, format_: FrameFormat, frames: int, past: bool) -> None:
        super().__init__(layout, frames)
        self.weights = self.config.channel_weights(colour=format_.colour, past=past)

    def over(self, stage: str, kernel: str, size: int, planes: int, *given: Argument) -> Launch:
        """A thread per sample of so many planes."""
        return self._launch(stage, kernel, (-(-size // THREADS), planes), THREADS, *given)
