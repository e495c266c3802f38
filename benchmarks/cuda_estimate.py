"""`python -m benchmarks cuda --estimate`: how long a frame should take on a GPU, by counting.

Nothing here has been measured on a GPU. Launches, grids and bytes are the schedule's own.
Instructions are those of NVRTC's PTX for sm_90, per sample or row of the loops that run, counted by
hand, of which ptxas makes some nine tenths. A kernel takes the longer of two: the sequence of its
slowest thread, in as many waves of blocks as there are, and its bytes over the bandwidth; after the
gap that every launch of a graph costs. A measurement on a GPU replaces the constants of `GPUS`
first, then those of `WORK`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import ittisal
from ittisal.cuda.layout import Layout, make_layout
from ittisal.cuda.schedule import Launch, schedule
from ittisal.cuda.structs import Step
from ittisal.pipeline import FrameFormat
from ittisal.plan import SCALES, Plan

from . import report
from .settings import shape_of

SIZES = ("640x480", "1920x1080", "3840x2160")
PRESETS = ("itti1998", "invt", "video", "whitened", "gaze")
SCHEDULERS = 4  # of a multiprocessor, each issues an instruction of 32 threads a cycle
REGISTERS = 65536  # of a multiprocessor
MACHINE = 0.9  # instructions for one of PTX, by the size of the cubins' code
DEPENDENT = 2.5  # cycles between instructions of a thread: half of them wait for the one before
BARRIER = 40.0  # cycles
REDUCTION = 500.0  # of a block of 1024 threads, with its barriers
LAST_OF = 1000.0  # cycles until a block knows that it is the last one: two fences and an atomic


class Gpu(NamedTuple):
    """What an estimate takes of a GPU. Data sheets; latencies and gaps from published tests."""

    multiprocessors: int
    threads: int  # that a multiprocessor holds
    ghz: float
    memory_gb_s: float
    cache_mib: float  # second level
    cache_gb_s: float
    cache_cycles: float  # latency
    memory_cycles: float
    double_cycles: float  # of one operation that needs the one before
    gap_us: float  # between the launches of a graph


GPUS = {
    "H200": Gpu(132, 2048, 1.83, 4800, 50, 5500, 270, 650, 20, 1.3),
    "RTX 4060 laptop": Gpu(24, 1536, 2.2, 256, 32, 1500, 280, 600, 60, 1.2),
    "AGX Orin": Gpu(16, 1536, 1.3, 205, 4, 500, 260, 700, 60, 2.0),
    "Orin Nano": Gpu(8, 1536, 1.0, 102, 2, 250, 260, 700, 60, 2.5),
}
# Goals, us, for one frame of `itti1998` that lies on the device.
H200_GOAL = (30, 50, 130)
GOALS = {"H200": H200_GOAL, "AGX Orin": (90, 280, None)}


class Work(NamedTuple):
    """What the slowest thread of a launch does, and the bytes of all of them."""

    instructions: float
    reads: float = 1.0  # of the second-level cache, each waiting for the one before
    barriers: float = 0.0
    reductions: float = 0.0  # over a block
    lasts: float = 0.0  # `last_of`
    doubles: float = 0.0  # operations in double, each waiting for the one before
    nbytes: float = 0.0  # of the arena
    frame_bytes: float = 0.0
    registers: int = 32  # of a thread
    share: float = 1.0  # of its instructions that others have, on average


class Frame(NamedTuple):
    """What the counts go by."""

    layout: Layout
    format: FrameFormat

    @property
    def plan(self) -> Plan:
        """The geometry."""
        return self.layout.plan

    @property
    def pixels(self) -> int:
        """Of the frame."""
        return math.prod(self.plan.shape)

    @property
    def size(self) -> int:
        """Samples of a map."""
        return math.prod(self.plan.map_shape)

    def samples(self, first: int, last: int | None = None) -> int:
        """Of a plane's levels."""
        last = self.plan.top_level if last is None else min(last, self.plan.top_level)
        return sum(math.prod(self.plan.level_shape(level)) for level in range(first, last + 1))


def _ceil(a: float, b: float) -> int:
    return math.ceil(a / b)


def _numbers(launch: Launch) -> list[int]:
    return [int(one) for one in launch.arguments if not isinstance(one, str)]


def _across(lines: int, outputs: int, each: float) -> float:
    """Instructions of a thread that downsamples lines of a tile by runs of four outputs."""
    return _ceil(lines * _ceil(outputs, 4), 128) * each


def _scan(launch: Launch, frame: Frame) -> Work:
    per_thread = frame.pixels / (launch.grid[0] * launch.block)
    fast = frame.format == ("uint8", 3)
    kept = 0
    if frame.plan.config.remembers:
        kept = 8 * frame.samples(frame.plan.finest_level)
    return Work(
        per_thread * (8.4 if fast else 26) + 250,
        reads=per_thread / 16 + 2,
        reductions=2,
        lasts=1,
        nbytes=kept,
        frame_bytes=_frame_bytes(frame),
    )


def _frame_bytes(frame: Frame) -> float:
    return (
        frame.pixels * frame.format.channels * {"uint8": 1, "uint16": 2}.get(frame.format.dtype, 4)
    )


def _opponency(launch: Launch, frame: Frame) -> Work:
    rows, plan = _numbers(launch)[0], frame.plan
    planes = len(plan.pixel_planes(colour=frame.format.colour))
    nine, flicker = launch.kernel.endswith("orientation"), "flicker" in plan.planes
    if nine:
        planes, flicker = 1, False
    row = 60 + 70 * planes + 70 * flicker  # an output's, of four rows of pixels
    lines = planes * rows
    return Work(
        (rows + 3) * row + _across(lines, 62, 94) + _across(lines, 29, 52) + 150,
        reads=3,
        barriers=3 * _ceil(rows, 8),
        nbytes=4 * planes * frame.samples(plan.finest_level, plan.finest_level)
        + 4 * frame.pixels * flicker,
        frame_bytes=_frame_bytes(frame),
        registers=96 if flicker else 64,
    )


def _pyramid(launch: Launch, frame: Frame) -> Work:
    _, level, rows = _numbers(launch)
    across = _across(rows, 62, 94) + _across(rows, 29, 52) + _across(2 * rows, 62, 137)
    return Work(
        (rows + 3) * 85 + across + 150,
        reads=3,
        barriers=3,
        nbytes=4 * launch.grid[1] * frame.samples(level, level + 2),
        registers=48,
    )


def _coarsest_levels(launch: Launch, frame: Frame) -> Work:
    _, level = _numbers(launch)
    total = barriers = 0.0
    for above in range(level, frame.plan.top_level):
        (height, _), (rows, columns) = (frame.plan.level_shape(k) for k in (above, above + 1))
        lanes = min(max(32, 2 ** math.ceil(math.log2(columns))), launch.block)
        at_once = launch.block // lanes
        total += _ceil(columns, lanes) * (_ceil(height, at_once) * 15 + 40)
        total += _ceil(rows, launch.block // 32) * (_ceil(columns, 32) * 16 + 40)
        barriers += 2
    nbytes = 4 * launch.grid[0] * frame.samples(level)
    return Work(total + 50, reads=4, barriers=barriers, nbytes=nbytes)


def _orientation(launch: Launch, frame: Frame) -> Work:
    whitened = _numbers(launch)[0] < 0
    first = frame.plan.finest_level
    samples = frame.samples(first, first + SCALES - 1 if whitened else None)
    return Work(1600, reads=2, barriers=3, nbytes=20 * samples * launch.grid[1], registers=56)


def _motion(launch: Launch, frame: Frame) -> Work:
    return Work(3 * 109, reads=3, nbytes=24 * frame.samples(frame.plan.finest_level))


def _centre_surround(launch: Launch, frame: Frame) -> Work:
    rows, halves = _numbers(launch)[0], frame.plan.halves
    lines = 2 * halves * rows
    row = 130 + 70 * halves  # an output's, of two steps; of one step half, and then little
    # Surrounds: a row for every 8 of the centre, and one for every 16, read when they are needed.
    reads = 2 + (4 * rows + 12) * (1 / 8 + 1 / 16)
    maps = launch.grid[1] * len(frame.plan.pairs) * halves * frame.size
    planes = launch.grid[1] * frame.samples(frame.plan.finest_level)
    return Work(
        (rows + 3) * row + _across(lines, 62, 107) + _across(lines, 29, 53) + 250,
        reads=reads,
        share=0.8,  # tiles of one step are twice as wide, those of none four times
        barriers=3 * _ceil(rows, 8),
        nbytes=4 * (maps + planes),
        registers=128,
    )


def _steps(launch: Launch, frame: Frame) -> Work:
    """Of `normalise` and `combine`."""
    first, last = _numbers(launch)
    plan, parts, config = frame.plan, launch.grid[0], frame.plan.config
    each = _ceil(frame.size, launch.block * parts)  # samples of a thread
    size, maps = 4 * frame.size, len(plan.pairs) * plan.halves
    features = sum(name.startswith("feature/") for name in plan.sums)
    channels = len(config.channel_weights(colour=frame.format.colour, past=True))
    halves, all_maps = plan.halves, size * maps * features
    peaks = Work(each * 60 + 50 + 40 * (parts > 1), 1 + (parts > 1) + each / 4, 0, 1)
    if plan.rewrites_maps:
        peaks = Work(config.iterations * each * 800, 6 * config.iterations, 6 * config.iterations)
    work = {
        Step.FIND_RANGES: Work(halves * (each * 10 + 60), 1 + each / 4, 0, halves, nbytes=all_maps),
        Step.FIND_PEAKS: peaks._replace(
            instructions=halves * peaks.instructions,
            reads=halves * peaks.reads + 1,
            lasts=float(parts > 1),
            doubles=20 * (not plan.rewrites_maps),
            nbytes=all_maps,
        ),
        Step.ADD_MAPS: Work(each * (10 + 6 * maps) + 100, 2 + each, 0, 1, nbytes=all_maps),
        Step.FEATURE_PEAKS: peaks._replace(nbytes=size * features),
        Step.ADD_FEATURES: Work(
            each * 43 + 150, 2 + each, 1, 1, doubles=20, nbytes=size * (features + channels)
        ),
        Step.CHANNEL_PEAKS: peaks._replace(nbytes=size * channels),
        Step.ADD_CHANNELS: Work(each * 48 + 150, 2 + each, doubles=20, nbytes=size * channels),
        Step.SALIENCY_PEAKS: peaks if config.normalise_saliency else Work(0, 0),
        Step.WRITE_MAP: Work(each * 30 + 90, 1 + each / 2, 0, 1, nbytes=2 * size),
    }
    chosen = [work[step] for step in Step if first <= step <= last]
    total = Work(*(sum(values) for values in zip(*chosen, strict=True)))
    alone = first == Step.ADD_MAPS and last == Step.WRITE_MAP
    return total._replace(lasts=2.0 if alone else total.lasts, registers=40, share=1.0)


def _plane_statistics(launch: Launch, frame: Frame) -> Work:
    each = _ceil(frame.size, launch.block * launch.grid[0])
    maps = launch.grid[1] * SCALES
    return Work(
        each * 133 + 300, 3 + each, 4, 2, 1, doubles=200, nbytes=4 * maps * frame.size, registers=48
    )


def _whiten(launch: Launch, frame: Frame) -> Work:
    levels = [k for k, at in enumerate(frame.layout.geometry["whitened"]) if at >= 0]
    samples = sum(math.prod(frame.plan.level_shape(level)) for level in levels)
    return Work(60 * len(levels), reads=2 * len(levels), nbytes=24 * samples)


def _resample(launch: Launch, frame: Frame) -> Work:
    rows = _numbers(launch)[0]
    chain = (rows + 3) * 135 + _across(rows, 62, 94) + _across(rows, 29, 52) + 150
    nbytes = 4 * launch.grid[1] * (frame.size + 8 * frame.size)
    return Work(chain, reads=3, barriers=3, nbytes=nbytes, registers=126)


def _mahalanobis(launch: Launch, frame: Frame) -> Work:
    return Work(12 * 40 + 100, reads=12, nbytes=4 * 37 * frame.size)


def _reconstruct(launch: Launch, frame: Frame) -> Work:
    """By as many turns as a photograph takes; a labyrinth takes more."""
    turns, (height, width) = 6, frame.plan.level_shape(frame.plan.corner_level + 1)
    lines = _ceil(height, launch.block // 32)
    across = 2 * lines * _ceil(width, 32) * 116
    down = 2 * height * 12 * _ceil(width, launch.block)
    nbytes = 8 * launch.grid[0] * height * width
    return Work(
        turns * (across + down) / 2, reads=4, reductions=turns + 1, nbytes=nbytes, registers=54
    )


def _corners(launch: Launch, frame: Frame) -> Work:
    """The energies twice: by all blocks, then by the last one."""
    each, again = _ceil(frame.size, launch.block * launch.grid[0]), _ceil(frame.size, launch.block)
    chain = each * 40 + again * 40 + 100
    return Work(chain, 2 + each + again, reductions=2, lasts=1, nbytes=36 * frame.size)


WORK: dict[str, Callable[[Launch, Frame], Work]] = {
    "scan": _scan,
    "opponency": _opponency,
    "opponency_orientation": _opponency,
    "pyramid": _pyramid,
    "pyramid_orientation": _pyramid,
    "coarsest_levels": _coarsest_levels,
    "coarsest_levels_orientation": _coarsest_levels,
    "orientation": _orientation,
    "motion": _motion,
    "plane_statistics": _plane_statistics,
    "whiten": _whiten,
    "resample_energies": _resample,
    "energy_statistics": _plane_statistics,
    "mahalanobis": _mahalanobis,
    "reconstruct": _reconstruct,
    "resample_figure": _resample,
    "corners": _corners,
    "centre_surround": _centre_surround,
    "normalise": _steps,
    "combine": _steps,
}


def launch_us(work: Work, launch: Launch, gpu: Gpu) -> float:
    """Microseconds of one launch in a graph."""
    blocks, warps = math.prod(launch.grid), launch.block // 32
    fit = min(gpu.threads // launch.block, REGISTERS // (work.registers * launch.block))
    waves = blocks / (gpu.multiprocessors * max(fit, 1))
    at_once = min(_ceil(blocks, gpu.multiprocessors), max(fit, 1)) * warps / SCHEDULERS
    cycles = (
        work.instructions * MACHINE * max(DEPENDENT, at_once * work.share)
        + work.reads * gpu.cache_cycles
        + (gpu.memory_cycles if work.frame_bytes else 0)
        + work.barriers * BARRIER
        + work.reductions * REDUCTION * launch.block / 1024
        + work.doubles * gpu.double_cycles
    )
    fits = work.nbytes < gpu.cache_mib * 2**20 / 2
    bandwidth = gpu.cache_gb_s if fits else gpu.memory_gb_s
    transfer = work.nbytes / bandwidth + work.frame_bytes / gpu.memory_gb_s  # nanoseconds
    nanoseconds = max(max(waves, 1) * cycles / gpu.ghz, transfer) + work.lasts * LAST_OF / gpu.ghz
    return gpu.gap_us + nanoseconds / 1e3


def counted(
    config: ittisal.Config, size: str, format_: FrameFormat | None = None
) -> list[tuple[Launch, Work]]:
    """The launches of a frame that came after another, and what each does."""
    frame = Frame(make_layout(Plan(shape_of(size), config)), format_ or FrameFormat("uint8", 3))
    launches = schedule(frame.layout, frame.format, 1)
    return [(launch, WORK[launch.kernel](launch, frame)) for launch in launches]


def estimate(config: ittisal.Config, size: str, gpu: Gpu) -> dict[str, float]:
    """Microseconds of one frame of bytes in colour, by kernel, and the "total"."""
    spent: dict[str, float] = {}
    for launch, work in counted(config, size):
        spent[launch.kernel] = spent.get(launch.kernel, 0.0) + launch_us(work, launch, gpu)
    return {**spent, "total": sum(spent.values())}


def row(preset: str, size: str) -> dict[str, str]:
    """What is counted of a frame, and the time that follows, by GPU."""
    config, found = ittisal.preset(preset), counted(ittisal.preset(preset), size)
    work = [each for _, each in found]
    blocks = [math.prod(launch.grid) * launch.block for launch, _ in found]
    numbers = {
        "launches": len(found),
        "instructions in sequence": sum(each.instructions for each in work),
        "reads in sequence": sum(each.reads for each in work),
        "doubles in sequence": sum(each.doubles for each in work),
        "MB": sum(each.nbytes + each.frame_bytes for each in work) / 1e6,
        "M instructions": sum(n * e.instructions for n, e in zip(blocks, work, strict=True)) / 1e6,
    }
    cells = {"preset": preset, "frame": size}
    cells |= {name: report.number(value) for name, value in numbers.items()}
    for name, gpu in GPUS.items():
        goal = GOALS.get(name, (None,) * 3)[SIZES.index(size)] if preset == "itti1998" else None
        total = estimate(config, size, gpu)["total"]
        cells[f"{name}, us"] = f"{total:.0f}" + (f" (goal {goal})" if goal else "")
    return cells


def main() -> int:
    """Print the tables."""
    print("# One frame on a GPU, estimated: no GPU has run this\n")
    print(report.grid([row(preset, size) for preset in PRESETS for size in SIZES]))
    for size in SIZES:
        by_gpu = {name: estimate(ittisal.ITTI_1998, size, gpu) for name, gpu in GPUS.items()}
        kernels = list(by_gpu["H200"])
        print(f"\n## itti1998, {size}: us by kernel, with the gap before it\n")
        print(
            report.grid(
                [{"kernel": k, **{n: f"{t[k]:.1f}" for n, t in by_gpu.items()}} for k in kernels]
            )
        )
    return 0
