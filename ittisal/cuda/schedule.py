"""Which kernels run for a frame, in which order and how many blocks of each. Knows no device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..config import Channel
from ..plan import SLOTS
from .layout import FIRST_LEVEL, SCAN_BLOCKS, Layout
from .variant import has_colour, has_own_pyramid

# As in kernels/common.cuh and orientation.cu.
THREADS = 256
TILE = (8, 16)  # samples that a block makes: rows, columns
SCANNED_PER_THREAD = 16  # pixels, at least, where there are enough
ALONE = 16384  # a plane of so many samples is left to one block


class Launch(NamedTuple):
    """One kernel launch. Arguments are names of buffers, or numbers."""

    stage: str
    kernel: str
    grid: tuple[int, int, int]
    block: int
    arguments: tuple[str | np.int32, ...]


def schedule(layout: Layout, channels: int, frames: int) -> tuple[Launch, ...]:
    """The launches for `frames` frames at once, of one kind.

    The first one alone takes the frames and the maps, and leaves their addresses for the others.
    """
    plan, config = layout.plan, layout.plan.config
    own = has_own_pyramid(config)
    features = len(plan.features_of(colour=channels == 3))
    planes = 3 if has_colour(config, channels) else 1
    launches: list[Launch] = []

    def launch(
        stage: str, kernel: str, grid: tuple[int, int], block: int, *arguments: str | np.int32
    ) -> None:
        launches.append(Launch(stage, kernel, (*grid, frames), block, ("geometry", *arguments)))

    height, width = plan.shape
    blocks = min(SCAN_BLOCKS, _ceil(height * width, THREADS * SCANNED_PER_THREAD))
    launch(
        "opponency",
        "brightest",
        (blocks, 1),
        THREADS,
        *("tables", "frames", "maps", "addresses", "arena"),
    )
    front = _tiles(plan.level_shape(FIRST_LEVEL))[::-1]
    for kernel in ("opponency", "opponency_own")[: 1 + own]:
        launch("opponency", kernel, front, THREADS, "tables", "addresses", "arena")

    level, finish = FIRST_LEVEL, False
    while not finish:
        rest = plan.level_shape(level + 2)
        finish = level + 2 >= plan.top_level or rest[0] * rest[1] <= ALONE
        halved = plan.level_shape(level + 1)
        rows, columns = _tiles((_ceil(halved[0], 2), _ceil(halved[1], 2)))
        for kernel, count in (("pyramid", planes), ("pyramid_own", 1))[: 1 + own]:
            numbers = np.int32(level), np.int32(finish)
            launch("pyramid", kernel, (rows * columns, count), THREADS, "tables", "arena", *numbers)
        level += 2

    if dict(config.weights)[Channel.ORIENTATION] > 0:
        blocks = int(layout.geometry["first_block"][-1])
        launch("orientation", "orientation", (blocks, 1), THREADS, "tables", "arena")
    rows, columns = _tiles(plan.map_shape)
    contrasts = SLOTS * rows * columns, features
    launch("centre_surround", "centre_surround", contrasts, THREADS, "tables", "arena")
    block = threads_per_map(plan.map_shape[0] * plan.map_shape[1])
    launch("normalise", "normalise", (SLOTS, features), block, "tables", "arena")
    launch("combine", "combine", (features, 1), block, "tables", "addresses", "arena")
    return tuple(launches)


def threads_per_map(size: int) -> int:
    """Threads of the one block that measures a map of `size` samples, or sums some."""
    for threads in (128, 256, 512):
        if size <= 4 * threads:
            return threads
    return 1024


def enlarge_grid(shape: tuple[int, int], frames: int) -> tuple[int, int, int]:
    """Blocks of `enlarge` for maps at the frames' size."""
    return _ceil(shape[1], THREADS), shape[0], frames


def _tiles(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tiles that cover so many samples."""
    return _ceil(shape[0], TILE[0]), _ceil(shape[1], TILE[1])


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
