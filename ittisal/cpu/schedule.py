"""The CPU's launches: which kernels run for a frame, in which order, and how many tasks of each."""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..config import Normalisation, PeakMean, Phase, Upsampling
from ..features import DIRECTIONS, FEATURES, ORIENTATIONS, Channel, Signal
from ..pipeline import FrameFormat
from ..plan import BINOMIAL_9, SCALES, Plan
from .kernel import Kernel
from .layout import interior_weights
from .rows import SCAN_TASKS
from .tables import Tables

BACKGROUNDS = {True: "int16", False: "float32"}  # of flicker: fixed point, or not


class Order(Enum):
    """How a launch follows the one before it in the list."""

    AFTER = 0  # when all before it are done
    BESIDE = 1  # at the same time
    FUSED = 2  # task by task, each by the same worker
    SERIAL = 3  # behind the last launch AFTER others, by one worker that does all of both


class Launch(NamedTuple):
    """Some tasks of one kernel."""

    stage: str
    kernel: Kernel
    tasks: int
    order: Order = Order.AFTER
    first: int = 0  # number of the first task


def kernel(module: str, function: str | None = None, **facts: Any) -> Kernel:
    """A kernel by its module, its function if that has another name, and its facts."""
    return Kernel(module, function or module, tuple(sorted(facts.items())))


def fixed_point(format_: FrameFormat) -> bool:
    """Whether flicker's background is kept in fixed point: where sums of pixels are small."""
    return format_ == FrameFormat("uint8", 3)


class Schedule:
    """The launches of one frame, stage by stage: see `pipeline.schedule`.

    `format_` is what the kernels read, in linear light if the config asks for it.
    """

    def __init__(
        self,
        plan: Plan,
        tables: Tables,
        format_: FrameFormat,
        order: str,
        past: bool,
        gain: bool = False,
    ) -> None:
        self.plan, self.tables, self.format, self.past = plan, tables, format_, past
        self.gain = gain  # some of the caller's channels multiply
        self.luma = plan.luma if format_.colour else ()
        sees_order = self.luma or (format_.colour and plan.config.sees_colour)
        self.order = order if sees_order else "rgb"
        self.features = plan.features_of(colour=format_.colour, past=past)
        self.channels = plan.config.channel_weights(colour=format_.colour, past=past)

    # --- facts that several kernels share

    @cached_property
    def planes(self) -> tuple[str, ...]:
        """Planes made from pixels."""
        return self.plan.pixel_planes(colour=self.format.colour)

    @property
    def colour(self) -> bool:
        """Whether red-green and blue-yellow are among them."""
        return "red_green" in self.planes

    @property
    def decorrelated(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the planes that are whitened, and of their signals."""
        names = self.plan.whitened_planes(colour=self.format.colour)
        signals = {feature.name: feature.signal.value for feature in FEATURES}
        return {
            "maps": tuple(self.plan.planes.index(name) for name in names),
            "signals": tuple(signals[name] for name in names),
        }

    @property
    def grid(self) -> str:
        """Where the samples of a coarser level lie, and what lies between them."""
        if self.plan.config.upsampling is Upsampling.REPLICATE:
            return "replicate"
        return "centred" if self.plan.config.phase is Phase.CENTRED else "even"

    def weights(self, taps: np.ndarray) -> tuple[tuple[int, int], ...]:
        """Interior weights of a step with such a low-pass."""
        return interior_weights(taps, self.plan.config.phase)

    # --- stages

    def opponency(self) -> list[Launch]:
        """The frame's range; then bands of the finest level."""
        config, dtype, channels = self.plan.config, *self.format
        facts: dict[str, Any] = {
            "dtype": dtype,
            "channels": channels,
            "opponency": str(config.opponency) if self.colour else "",
        }
        scan = kernel("scan", **facts)
        facts |= {"order": self.order, "background": "", "luma": self.luma}
        if config.has(Channel.FLICKER):
            facts["background"] = BACKGROUNDS[fixed_point(self.format)]
        finest = f"level_{self.plan.finest_level}"
        planes = kernel(
            "opponency",
            finest,
            **facts,
            tasks="opponency",
            planes=self.planes,
            weights=self.weights(self.plan.pyramid_taps),
        )
        launches = [
            Launch("opponency", scan, SCAN_TASKS),
            Launch("opponency", planes, self.tables.bands),
        ]
        if config.has_orientation_pyramid:
            facts |= {"order": "rgb", "opponency": "", "background": "", "luma": ()}
            oriented = kernel(
                "opponency",
                finest,
                **facts,
                tasks="orientation_opponency",
                planes=("intensity",),
                weights=self.weights(BINOMIAL_9),
            )
            launches.append(Launch("opponency", oriented, self.tables.bands, Order.BESIDE))
        return launches

    def pyramid(self) -> list[Launch]:
        """All coarser levels in one task, since each needs the one before."""
        kinds = [("pyramid", len(self.planes), self.plan.pyramid_taps)]
        if self.plan.config.has_orientation_pyramid:
            kinds.append(("orientation_pyramid", 1, BINOMIAL_9))
        return [
            Launch(
                "pyramid",
                kernel("pyramid", tasks=kind, planes=planes, weights=self.weights(taps)),
                1,
                order,
            )
            for (kind, planes, taps), order in zip(kinds, (Order.AFTER, Order.SERIAL), strict=False)
        ]

    def orientation(self) -> list[Launch]:
        """Coarse levels behind the pyramid; the finest beside it."""
        wavenumber = self.plan.config.wavenumber
        energies = kernel("orientation", tasks="orientation", wavenumber=wavenumber)
        if self.plan.gabor:
            energies = kernel("gabor", tasks="orientation", gabor=tuple(self.plan.gabor))
        return self._levels("orientation", energies)

    def motion(self) -> list[Launch]:
        """The same."""
        number = self.plan.planes.index
        responses = kernel(
            "motion",
            tasks="levels",
            source=number("intensity"),
            previous=number("previous_intensity"),
            output=number(f"motion_{DIRECTIONS[0]}"),
        )
        return self._levels("motion", responses)

    def _levels(self, stage: str, of: Kernel) -> list[Launch]:
        bands, coarser = self.tables.bands, len(self.plan.levels) - 1
        return [
            Launch(stage, of, coarser, Order.SERIAL, first=bands),
            Launch(stage, of, bands, Order.BESIDE),
        ]

    def whiten(self) -> list[Launch]:
        """Statistics of the planes; then energies, their statistics and distances."""
        planes = self.decorrelated
        statistics = kernel("whiten", "statistics", tasks="plane_statistics", of_planes=1, **planes)
        launches = [Launch("whiten", statistics, 1)]
        if self.plan.config.has(Channel.WHITENED):
            count = len(planes["maps"])
            energies = kernel(
                "whiten",
                "whitened_energies",
                tasks="whitened_energies",
                maps=planes["maps"],
                planes=len(ORIENTATIONS),
                weights=self.weights(self.plan.reduction_taps),
                wavenumber=self.plan.config.wavenumber,
                grid=self.grid,
            )
            groups = kernel(
                "whiten",
                "statistics",
                tasks="energy_statistics",
                of_planes=0,
                maps=tuple(range(SCALES)),
                signals=(Signal.ONE.value,) * SCALES,
            )
            distances = kernel("whiten", "mahalanobis", tasks="energy_statistics")
            launches += [
                Launch("whiten", energies, self.tables.whitened_tasks(count)),
                Launch("whiten", groups, count * len(ORIENTATIONS)),
                Launch("whiten", distances, count * len(ORIENTATIONS), Order.FUSED),
                Launch("whiten", kernel("whiten", "sum_distances"), 1),
            ]
        return launches

    def figure(self) -> list[Launch]:
        """Surroundedness and corners, each resampled to the map's level."""
        resample = kernel(
            "figure",
            "resample",
            tasks="resampling",
            planes=1,
            weights=self.weights(self.plan.reduction_taps),
            grid=self.grid,
        )
        surrounded = kernel("figure", "surroundedness", **self.decorrelated)
        return [
            Launch("figure", surrounded, 1),
            Launch("figure", resample, 1, Order.FUSED),
            Launch("figure", resample, 1, Order.BESIDE, first=1),
            Launch("figure", kernel("figure", "corners"), 1, Order.FUSED),
        ]

    def centre_surround(self) -> list[Launch]:
        """A feature's maps at one centre level per task."""
        config = self.plan.config
        if self.plan.nearest:
            return [
                Launch(
                    "centre_surround", kernel("nearest", tasks="centre_surround"), self.map_tasks
                )
            ]
        sign = "split" if config.split_cs else "absolute"
        if config.orientation_contrast == "rectified" and not config.split_cs:
            sign = "mixed"
        maps = kernel(
            "centre_surround",
            tasks="centre_surround",
            planes=2 * self.plan.halves,
            sign=sign,
            grid=self.grid,
            weights=self.weights(self.plan.reduction_taps),
        )
        order = Order.BESIDE if config.figure else Order.AFTER
        return [Launch("centre_surround", maps, self.map_tasks, order)]

    def normalise(self) -> list[Launch]:
        """N of each task's maps while they are in cache."""
        return [Launch("normalise", self._normalise(self.plan.halves), self.map_tasks, Order.FUSED)]

    def combine(self) -> list[Launch]:
        """Sums and their N: features, channels, and the saliency map."""
        config = self.plan.config
        norm = self._normalise(halves=1)
        first, launches = 0, list[Launch]()
        for count in (len(self.features), len(self.channels), 1):
            if count:
                order = Order.SERIAL if launches else Order.AFTER
                last = first == len(self.features) + len(self.channels)
                sums = kernel("combine", tasks="sums", figure=int(last and config.figure))
                launches += [
                    Launch("combine", sums, count, order, first),
                    Launch("combine", norm, count, Order.FUSED, self.map_tasks + first),
                ]
            first += count
        write = kernel(
            "combine",
            "write_map",
            figure=int(config.figure),
            gain=int(self.gain),
            prior=int(config.centre_prior > 0),
            smoothed=int(config.smoothing != "none"),
        )
        return [*launches, Launch("combine", write, 1, Order.SERIAL)]

    @property
    def map_tasks(self) -> int:
        """Tasks of the centre-surround maps."""
        return len({centre for centre, _ in self.plan.pairs}) * len(self.features)

    def _normalise(self, halves: int) -> Kernel:
        config = self.plan.config
        iterates = config.normalisation is Normalisation.ITERATIVE
        return kernel(
            "normalise",
            tasks="maps",
            halves=halves,
            maxnorm=int(config.normalisation is Normalisation.MAXNORM),
            all_peaks=int(config.peak_mean is PeakMean.ALL),
            iterations=config.iterations if iterates else 0,
        )
