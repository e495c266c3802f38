"""Where everything lies: one float32 arena with every buffer and table, made once per model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import (
    CENTRE_LEVELS,
    MAP_LEVEL,
    ORIENTATIONS,
    TOP_LEVEL,
    Channel,
    Config,
    Normalisation,
    Phase,
)
from ..plan import (
    BINOMIAL_5,
    BINOMIAL_9,
    CHANNELS,
    FEATURES,
    SLOTS,
    Plan,
    attenuation,
    corner_level,
    halving_weights,
    inside_sum,
    scatter_weights,
    slot,
)

PAD = 16  # zeros around every row: half of the widest filter, and the widest vector
FIRST_LEVEL = CENTRE_LEVELS[0]  # levels below are never stored
LEVELS = TOP_LEVEL + 1

# Columns of `Layout.levels`, one row per level.
HEIGHT, WIDTH, PITCH, PLANES, PLANE_STRIDE, ORIENT_ROWS, ORIENT_COLUMNS = range(7)
# Kinds of halving: the planes' pyramid, the own orientation pyramid, a faded centre-surround map
# on its first step towards level 4, and any later step.
PYRAMID, OWN_PYRAMID, FADED, REDUCE = range(4)
# Columns of `Layout.halvings`, one row per kind and input level (kind * LEVELS + level).
ROW_TABLE, COLUMN_TABLE, COLUMN_STRIDE = range(3)
# Entries of `Layout.places`.
(
    MAPS, MAP_STRIDE, MAP_PITCH, SUMS, STATS, FADE_4, SCRATCH, SCRATCH_SIZE, ZEROS,
    FIGURE,  # maps at level 4, see `figure`
    STEPS,  # maps of one level on their way there
    FLOOD,  # grounds, then the water on them, FLOOD_LANES at each place
    SCALES,  # energies at level 4, by plane, orientation and level; then a map each
    WHITENED_FADE,
    COARSE_PLANE,  # number of the first of those energies at the coarsest of their levels
    PLACES,
) = range(16)  # fmt: skip
WHITENED_ENERGIES, WHITENED_LEVELS = 3 * len(ORIENTATIONS), 4
FLOOD_LANES = 8  # three planes and the same turned over, and none
FIGURE_MAPS = 2 + len(ORIENTATIONS)
# Entries of `Layout.settings`.
(
    TOP,  # coarsest level
    PAIR_MASK,  # bit per slot: the pair exists
    FEATURE_MASK,  # bit per feature: computed for this frame
    FIXED_HUE,  # the hue threshold is a fraction of full scale, not of the brightest pixel
    OPERATOR,  # N
    NORM_OPPONENTS,
    NORM_SALIENCY,
    OWN_PLANE,  # number of orientation's own pyramid
    BEFORE_PLANE,  # number of the last frame's intensity
    STORED,  # features that have room
    CORNER_LEVEL,  # where corners are found; figures one above
    AVERAGED,  # the statistics of whitening are those of the frames before
    SETTINGS,
) = range(13)
SUM_PLANES = FEATURES + CHANNELS + 1  # features, conspicuity maps, saliency


def padded(n: int) -> int:
    """`n` rounded up to whole widest vectors, with room behind.

    An odd number of cache lines: rows a power of two apart would share the same few cache sets.
    """
    return ((n + PAD - 1) // PAD + 1) // 2 * 2 * PAD + PAD


def state_stride(pairs):
    """Floats from one row of a step's state to the next, for so many pairs of columns.

    Whole blocks of 2 PAD samples, and a line more (see `padded`).
    """
    return (pairs + PAD - 1) // PAD * (2 * PAD) + PAD


def background_pitch(width):
    """Elements from one row of flicker's background to the next: vectors may run over a row."""
    return state_stride((width + 1) // 2)


@dataclass
class Layout:
    """The arena and the integer tables that say what lies where (in floats from its start)."""

    plan: Plan
    arena: np.ndarray  # float32
    levels: np.ndarray  # int64 (9, 7)
    halvings: np.ndarray  # int64 (4 * 9, 3)
    places: np.ndarray  # int64 (PLACES,)
    settings: np.ndarray  # int64 (SETTINGS,)
    halves: int  # maps per centre-surround difference
    threads: int

    @property
    def buffers(self) -> tuple[np.ndarray, ...]:
        """What every kernel is handed."""
        return self.arena, self.levels, self.halvings, self.places, self.settings

    def plane(self, index: int, level: int) -> np.ndarray:
        """A view of one plane at one level."""
        height, width, pitch, first, stride = self.levels[level, :5]
        return self._view(first + index * stride, height, width, pitch)

    def map(self, feature: int, pair: tuple[int, int], half: int = 0) -> np.ndarray:
        """A view of one centre-surround map at level 4."""
        index = (feature * SLOTS + slot(*pair)) * self.halves + half
        return self._map_view(self.places[MAPS] + index * self.places[MAP_STRIDE])

    def stats(self, feature: int, pair: tuple[int, int], half: int = 0) -> tuple[float, float]:
        """Scale and offset that N gave a map."""
        at = self.places[STATS] + 2 * ((feature * SLOTS + slot(*pair)) * self.halves + half)
        return self.arena[at], self.arena[at + 1]

    @property
    def nbytes(self) -> int:
        """Bytes of the arena and the tables."""
        return sum(a.nbytes for a in self.buffers)

    def sum(self, index: int) -> np.ndarray:
        """A view of a feature's sum, a conspicuity map, or the saliency map."""
        return self._map_view(self.places[SUMS] + index * self.places[MAP_STRIDE])

    def normed_sum(self, index: int) -> tuple[np.ndarray, float, float]:
        """What N left of a sum: a view, and the scale and offset that apply to it."""
        at = self.places[STATS] + 2 * (FEATURES * SLOTS * self.halves + index)
        rewritten = self.plan.config.normalisation is Normalisation.ITERATIVE
        plane = index + SUM_PLANES * rewritten
        return self.sum(plane), self.arena[at], self.arena[at + 1]

    def figure(self) -> tuple[np.ndarray, np.ndarray]:
        """Views of how enclosed each place is, and of where corners are."""
        enclosed, corners = (
            self._map_view(self.places[FIGURE] + k * self.places[MAP_STRIDE]) for k in (0, 1)
        )
        return enclosed, corners

    def scales(self, energy: int) -> dict[int, np.ndarray]:
        """Views of one energy of a decorrelated plane at level 4, by the level that it is of."""
        first, stride = self.places[SCALES], self.places[MAP_STRIDE]
        return {
            FIRST_LEVEL + k: self._map_view(first + (energy * WHITENED_LEVELS + k) * stride)
            for k in range(WHITENED_LEVELS)
        }

    def unlike(self, energy: int) -> np.ndarray:
        """A view of how unlike the average each place is in it, over its levels."""
        index = WHITENED_ENERGIES * WHITENED_LEVELS + energy
        return self._map_view(self.places[SCALES] + index * self.places[MAP_STRIDE])

    def remembered(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per level, where the last frame's intensity belongs and where this frame's lies."""
        pairs = []
        for level in range(FIRST_LEVEL, self.plan.top_level + 1):
            height, _, pitch, first, stride = self.levels[level, :5]
            size = height * pitch
            before = first + self.plan.before_plane * stride
            pairs.append((self.arena[before : before + size], self.arena[first : first + size]))
        return pairs

    def _map_view(self, offset: int) -> np.ndarray:
        height, width = self.plan.map_shape
        return self._view(offset, height, width, self.places[MAP_PITCH])

    def _view(self, offset: int, height: int, width: int, pitch: int) -> np.ndarray:
        return self.arena[offset : offset + height * pitch].reshape(height, pitch)[:, :width]


def reduction_taps(config: Config) -> np.ndarray:
    """Low-pass of the steps from a centre-surround map to level 4."""
    return BINOMIAL_9 if config.reduction_taps == 9 else BINOMIAL_5


def weight_scale(taps: np.ndarray, phase: Phase) -> int:
    """What makes the weights of a step away from the borders whole numbers."""
    return round((2 if phase is Phase.CENTRED else 1) / taps[0])


def interior_weights(taps: np.ndarray, phase: Phase) -> tuple[tuple[int, int], ...]:
    """Those whole numbers: per output that a pair of samples reaches, of its even and odd one."""
    middle = scatter_weights(halving_weights(64, taps, phase))[16] * weight_scale(taps, phase)
    return tuple((round(even), round(odd)) for even, odd in middle)


class _Arena:
    """Hands out ranges of an arena whose size is not known yet, and what to fill them with."""

    def __init__(self) -> None:
        self.size = PAD
        self.filled: list[tuple[int, np.ndarray]] = []

    def take(self, size: int) -> int:
        """Offset of `size` zeroed floats, aligned to the widest vector."""
        offset = self.size
        self.size += (int(size) + PAD - 1) // PAD * PAD
        return offset

    def put(self, values: np.ndarray) -> int:
        """Offset of a copy of `values`."""
        offset = self.take(values.size)
        self.filled.append((offset, values.ravel()))
        return offset

    def allocate(self) -> np.ndarray:
        """The arena, 64-byte aligned, zeroed and filled."""
        raw = np.zeros(self.size + 2 * PAD, np.float32)
        start = -raw.ctypes.data // 4 % PAD
        arena = raw[start : start + self.size + PAD]
        for offset, values in self.filled:
            arena[offset : offset + values.size] = values
        return arena


def make_layout(plan: Plan, threads: int) -> Layout:
    """Size and place every buffer for a plan."""
    config = plan.config
    arena = _Arena()
    own = config.own_pyramid
    levels = np.zeros((LEVELS, 7), np.int64)
    for level in range(LEVELS):
        height, width = plan.level_shape(level)
        levels[level, :3] = height, width, padded(width)
        if level > plan.top_level or level < FIRST_LEVEL:
            continue
        stride = height * padded(width) + PAD
        planes = plan.stored_planes
        if level == MAP_LEVEL + 1 and config.has(Channel.WHITENED):
            planes += WHITENED_ENERGIES
        levels[level, PLANES] = arena.take(stride * planes) + PAD
        levels[level, PLANE_STRIDE] = stride
        arena.take(PAD)
        fade = 5 if config.border_attenuation else 0
        tables = []
        for n in (height, width):
            inverse = 1 / inside_sum(n, BINOMIAL_9)
            tables.append(np.stack([inverse, inverse * attenuation(n, fade)], -1))
        levels[level, ORIENT_ROWS] = arena.put(tables[0])
        columns = np.zeros((2, padded(width)))
        columns[:, :width] = tables[1].T
        levels[level, ORIENT_COLUMNS] = arena.put(columns)

    halvings = np.zeros((4 * LEVELS, 3), np.int64)
    reduction = reduction_taps(config)
    for kind, taps, inputs in (
        (PYRAMID, BINOMIAL_5, range(plan.top_level)),
        (OWN_PYRAMID, BINOMIAL_9, range(plan.top_level) if own else ()),
        (FADED, reduction, range(CENTRE_LEVELS[0], MAP_LEVEL)),
        (REDUCE, reduction, range(CENTRE_LEVELS[0], MAP_LEVEL)),
    ):
        for level in inputs:
            shape = plan.level_shape(level)
            width_of_fade = max(shape) // 20 if config.border_attenuation else 0
            tables = [
                scatter_weights(
                    halving_weights(n, taps, config.phase),
                    attenuation(n, width_of_fade) if kind == FADED else None,
                )
                for n in shape
            ]
            whole = weight_scale(taps, config.phase)
            pairs, parts, _ = tables[1].shape
            # Both tables in whole numbers away from the borders, then whether they are the usual.
            usual = np.ravel(interior_weights(taps, config.phase))
            rows = np.zeros((len(tables[0]) + parts, 2 * parts + 2))  # pairs past the end: zeros
            rows[: len(tables[0]), : 2 * parts] = tables[0].reshape(-1, 2 * parts) * whole
            rows[:, 2 * parts] = np.isclose(rows[:, : 2 * parts], usual, atol=1e-9).all(1)
            columns = np.zeros((2 * parts + 1, padded(pairs) + PAD))
            columns[:-1, :pairs] = tables[1].reshape(pairs, -1).T * whole
            plain = np.isclose(columns[:-1].T, usual, atol=1e-9).all(1)
            windows = np.lib.stride_tricks.sliding_window_view(plain, PAD)
            columns[-1, : len(windows)] = windows.all(1)
            halvings[kind * LEVELS + level] = (
                arena.put(rows),
                arena.put(columns),
                columns.shape[1],
            )

    places = np.zeros(PLACES, np.int64)
    halves = 2 if config.split_cs else 1
    height, width = plan.map_shape
    count = plan.stored_features * SLOTS * halves
    places[MAP_PITCH] = padded(width)
    places[MAP_STRIDE] = height * padded(width) + PAD
    places[MAPS] = arena.take(places[MAP_STRIDE] * count) + PAD
    rewritten = config.normalisation is Normalisation.ITERATIVE
    places[SUMS] = arena.take(places[MAP_STRIDE] * SUM_PLANES * (1 + rewritten)) + PAD
    arena.take(PAD)
    places[STATS] = arena.take(2 * (FEATURES * SLOTS * halves + SUM_PLANES))
    fade = max(height, width) // 20 if config.border_attenuation else 0
    across = np.zeros(padded(width))
    across[:width] = attenuation(width, fade)
    places[FADE_4] = arena.put(np.concatenate([across, attenuation(height, fade)]))
    places[ZEROS] = arena.take(5 * padded(levels[FIRST_LEVEL, WIDTH]))
    if config.figure:
        places[FIGURE] = arena.take(places[MAP_STRIDE] * FIGURE_MAPS) + PAD
        arena.take(PAD)
        height, width, pitch = levels[corner_level(plan.shape) + 1, :3]
        places[STEPS] = arena.take((height * pitch + PAD) * (1 + len(ORIENTATIONS)) + PAD) + PAD
        places[FLOOD] = arena.take(2 * FLOOD_LANES * height * width)
    if config.has(Channel.WHITENED):
        count = WHITENED_ENERGIES * (WHITENED_LEVELS + 1)
        places[SCALES] = arena.take(places[MAP_STRIDE] * count) + PAD
        arena.take(PAD)
        height, width = plan.map_shape
        fade = max(height, width) // 20
        across = np.zeros(padded(width))
        across[:width] = attenuation(width, fade)
        places[WHITENED_FADE] = arena.put(np.concatenate([across, attenuation(height, fade)]))
        places[COARSE_PLANE] = plan.stored_planes
    places[SCRATCH_SIZE] = _scratch_size(plan, own)
    places[SCRATCH] = arena.take(places[SCRATCH_SIZE] * threads)
    return Layout(
        plan,
        arena.allocate(),
        levels,
        halvings,
        places,
        np.zeros(SETTINGS, np.int64),
        halves,
        threads,
    )


def _scratch_size(plan: Plan, own: bool) -> int:
    """Floats of scratch per thread: the largest that any stage asks for."""

    def twice(level: int, planes: int, states: int) -> int:
        """Two halvings in a row from `level`: state of both, two rows between, a spare row."""
        stride, between = (
            state_stride((plan.level_shape(at)[1] + 1) // 2) for at in (level, level + 1)
        )
        between += 2 * PAD
        return planes * (states * (stride + between) + 3 * between) + 4 * PAD

    size = twice(0, 3 + plan.config.has(Channel.FLICKER), 2)
    if own:
        size = max(size, twice(0, 1, 4))
    planes, states = (
        (4 if plan.config.split_cs else 2),
        (4 if plan.config.reduction_taps == 9 else 2),
    )
    width = padded(plan.level_shape(FIRST_LEVEL)[1])
    surrounds = 4 * (2 * width + 4 * PAD) + PAD
    size = max(size, surrounds + twice(FIRST_LEVEL, planes, states))
    size = max(size, PAD + width * (1 + 9 * 6))  # orientation: nine rows of band and partials
    if plan.config.has(Channel.WHITENED):  # that, nine rows to filter, two of energies, two steps
        rows = 1 + 9 * 7 + 2 * len(ORIENTATIONS)
        size = max(size, PAD + width * rows + twice(FIRST_LEVEL, len(ORIENTATIONS), states))
    height, width = plan.map_shape
    size = max(size, 3 * height * padded(width) + 2 * max(height, width) + PAD)  # iteration
    return (size + 4 * PAD) // PAD * PAD
