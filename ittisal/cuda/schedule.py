"""Which kernels run for a frame, in which order and how many blocks of each. Knows no device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..config import MAP_LEVEL, ORIENTATIONS, Channel
from ..plan import SLOTS, corner_level
from .layout import FIGURE_MAPS, FIRST_LEVEL, MEASURE_BLOCKS, SCALES, SCAN_BLOCKS, Layout
from .variant import has_colour

# As in kernels/common.cuh.
THREADS = 256
COLUMNS = 128  # threads of a block that halves: one column of samples each
ROWS = (16, 8, 4)  # of outputs that such a block makes: fewer if there would be few blocks
ENOUGH = 512  # blocks: some four per multiprocessor of a large GPU
MAX_ROWS = 8  # that a tile of the pyramid has
ADDED_PER_BLOCK = 8192  # samples of a map
SCANNED_PER_THREAD = 16  # pixels, at least, where there are enough
MOST_DOWN = 65535  # blocks along y, of any grid
ALONE = 16384  # a plane of so many samples is left to one block


class Launch(NamedTuple):
    """One kernel launch. Arguments are names of buffers, or numbers."""

    stage: str
    kernel: str
    grid: tuple[int, int, int]
    block: int
    arguments: tuple[str | np.int32, ...]


def schedule(layout: Layout, channels: int, frames: int, past: bool = True) -> tuple[Launch, ...]:
    """The launches for `frames` frames at once, of one kind, with one before them or not.

    The first one alone takes what differs from frame to frame, and leaves it for the others.
    """
    plan, config = layout.plan, layout.plan.config
    own, whitened = config.own_pyramid, config.has(Channel.WHITENED)
    features = len(plan.features_of(colour=channels == 3, past=past))
    decorrelated = 3 if has_colour(config, channels) else 1
    planes = decorrelated + config.has(Channel.FLICKER)
    launches: list[Launch] = []

    def launch(
        stage: str, kernel: str, grid: tuple[int, int], block: int, *arguments: str | np.int32
    ) -> None:
        launches.append(Launch(stage, kernel, (*grid, frames), block, ("geometry", *arguments)))

    def bring(stage: str, kernel: str, finest: int, maps: int) -> None:
        """Maps of levels from the finest on to level 4: tiles are widest for the coarsest."""
        width = _outputs(config.reduction_taps, max(MAP_LEVEL - finest, 0))
        rows, down, across = _tiles(plan.map_shape, width, maps * frames)
        launch(stage, kernel, (down * across, maps), COLUMNS, "tables", "arena", np.int32(rows))

    height, width = plan.shape
    blocks = min(SCAN_BLOCKS, _ceil(height * width, THREADS * SCANNED_PER_THREAD))
    launch(
        "opponency",
        "brightest",
        (blocks, 1),
        THREADS,
        *("tables", "frames", "maps", "call", "arena", "keep", "share", "renewal", "mode"),
    )
    for kernel, taps in (("opponency", 5), ("opponency_own", 9))[: 1 + own]:
        rows, down, across = _tiles(plan.level_shape(FIRST_LEVEL), _outputs(taps, 2), frames)
        buffers = ("tables", "call", "arena", *(("background",) if taps == 5 else ()))
        launch("opponency", kernel, (across, down), COLUMNS, *buffers, np.int32(rows))

    level, finish = FIRST_LEVEL, False
    while not finish:
        rest = plan.level_shape(level + 2)
        finish = level + 2 >= plan.top_level or rest[0] * rest[1] <= ALONE
        # Tiles of two steps have to cover the level between them too, to its last odd row.
        height, width = plan.level_shape(level + 1)
        halved = _ceil(height, 2), _ceil(width, 2)
        for kernel, taps, count in (("pyramid", 5, planes), ("pyramid_own", 9, 1))[: 1 + own]:
            width = _outputs(taps, 2)
            rows, down, across = _tiles(halved, width, count * frames, most=MAX_ROWS)
            numbers = np.int32(level), np.int32(finish), np.int32(rows)
            launch("pyramid", kernel, (down * across, count), COLUMNS, "tables", "arena", *numbers)
        level += 2

    blocks = int(layout.geometry["first_block"][-1])
    if config.has(Channel.ORIENTATION):
        given = "tables", "arena", np.int32(False)
        launch("orientation", "orientation", (blocks, 1), COLUMNS, *given)
    if config.has(Channel.MOTION) and past:
        launch("motion", "motion", (blocks, 1), COLUMNS, "arena")
    taps = config.reduction_taps
    size = plan.map_shape[0] * plan.map_shape[1]
    if config.whitens:
        measuring = min(MEASURE_BLOCKS, _ceil(size, 2 * THREADS))
        launch("whiten", "plane_statistics", (measuring, 1), THREADS, "arena")
        largest = max(
            int(np.prod(plan.level_shape(level)))
            for level, first in enumerate(layout.geometry["whitened"])
            if first >= 0
        )
        launch("whiten", "whiten", (_ceil(largest, THREADS), 1), THREADS, "arena")
    if whitened:
        energies = decorrelated * len(ORIENTATIONS)
        tiles = int(layout.geometry["first_block"][FIRST_LEVEL + SCALES])
        given = "tables", "arena", np.int32(True)
        launch("whiten", "orientation", (tiles, decorrelated), COLUMNS, *given)
        bring("whiten", "bring_scales", FIRST_LEVEL, energies * SCALES)
        launch("whiten", "scale_statistics", (measuring, energies), THREADS, "arena")
        launch("whiten", "unlikeness", (_ceil(size, THREADS), 1), THREADS, "tables", "arena")
    if config.figure:
        level = corner_level(plan.shape)
        height, width = plan.level_shape(level + 1)
        block = threads_per_map(height * width)
        launch("figure", "flood", (2 * decorrelated, 1), block, "arena")
        bring("figure", "bring_figures", level, FIGURE_MAPS - 1)
        blocks = _ceil(size, ADDED_PER_BLOCK)
        launch("figure", "corners", (blocks, 1), threads_per_map(size), "arena")
    widths = _outputs(taps, 2), _outputs(taps, 1), COLUMNS  # of tiles of centre levels 2, 3, 4
    block = threads_per_map(size)
    if features:
        rows, _, _ = _tiles(plan.map_shape, widths[0], features * frames)
        tiles = sum(_ceil(plan.map_shape[0], rows) * _ceil(plan.map_shape[1], n) for n in widths)
        given = "tables", "arena", np.int32(rows)
        launch("centre_surround", "centre_surround", (tiles, features), COLUMNS, *given)
        launch("normalise", "normalise", (SLOTS, features), block, "tables", "arena")
    parts = _ceil(size, ADDED_PER_BLOCK)
    joined = parts, features + whitened
    launch("combine", "combine", joined, block, "tables", "call", "arena")
    return tuple(launches)


def threads_per_map(size: int) -> int:
    """Threads of the one block that measures a map of `size` samples, or sums some."""
    for threads in (128, 256, 512):
        if size <= 4 * threads:
            return threads
    return 1024


def enlarge_grid(shape: tuple[int, int], frames: int) -> tuple[int, int, int]:
    """Blocks of `enlarge` for maps at the frames' size."""
    return _ceil(shape[1], THREADS), min(shape[0], MOST_DOWN), frames


def _outputs(taps: int, steps: int) -> int:
    """Outputs across that a block makes of its columns in one or two halvings."""
    width = COLUMNS
    for _ in range(steps):
        width = (width - taps + 1) // 2
    return width


def _tiles(
    shape: tuple[int, int], width: int, copies: int, most: int = ROWS[0]
) -> tuple[int, int, int]:
    """Rows of a tile that is `width` wide, and how many tiles cover a shape, down and across."""
    across = _ceil(shape[1], width)
    for rows in (n for n in ROWS if n <= most):
        if _ceil(shape[0], rows) * across * copies >= ENOUGH:
            break
    return rows, _ceil(shape[0], rows), across


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
