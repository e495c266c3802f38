"""The model's stages as parts of an ONNX graph: one method per stage, as in `reference.Stages`.

Tensors are float32 of shape (batch, channel, row, column). All that does not depend on the pixels
(filters, borders, interpolation) is a constant, worked out in float64 from the plan.
"""

from __future__ import annotations

import numpy as np

from ..config import Contrast, HueReference, Opponency
from ..features import FEATURES, ORIENTATIONS, Channel, Signal
from ..gabor import REACH
from ..pipeline import stages
from ..plan import (
    DARK,
    HUE_TOLERANCE,
    PROMOTION,
    SALIENCY_RANGE,
    SCALES,
    Plan,
)
from . import onnx_linear as linear
from .onnx_figure import corners, surroundedness
from .onnx_graph import Graph, Tensor
from .onnx_normalise import flat, normalise
from .onnx_whiten import Whitening, whitened, whitening

LEAST_DIVISOR = 1e-30  # for quotients of nothing by nothing


class Stages:
    """One frame on its way through the stages of a graph.

    Parameters
    ----------
    unit : Tensor of shape (1, 3, H, W) or (1, 1, H, W)
        The frame in [0, 1].
    order : str
        Of its channels: "rgb", "bgr" or "grey".
    """

    def __init__(self, graph: Graph, plan: Plan, unit: Tensor, order: str) -> None:
        self.graph, self.plan, self.config, self.order = graph, plan, plan.config, order
        self.colour = colour = order != "grey"
        self.weights = plan.config.channel_weights(colour=colour, past=False)
        self.features = plan.features_of(colour=colour, past=False)
        self.planes = plan.pixel_planes(colour=colour)
        self.unit = unit
        self.levels: dict[int, Tensor] = {}  # of the planes, (1, P, h, w)
        self.oriented: dict[int, Tensor] = {}  # energies, (1, 4, h, w)
        self.contributions: dict[str, Tensor] = {}  # what each channel adds to the map

    def run(self) -> Tensor:
        """All stages in the model's order; the map, of shape (1, 1, h, w)."""
        for stage in stages(self.plan, colour=self.colour, past=False):
            with self.graph.stage(stage):
                getattr(self, stage)()
        return self.saliency

    # --- stages

    def opponency(self) -> None:
        """Frame -> planes of intensity and colour opponency."""
        if not self.colour:
            intensity = self.unit
            self.brightest = intensity.highest()
            planes = [intensity]
        else:
            r, g, b = (self.unit.slice(1, k, k + 1) for k in map(self.order.index, "rgb"))
            mean = (r + g + b) * (1 / 3)
            self.brightest = mean.highest()
            planes = [mean]
            if self.plan.luma:
                red, green, blue = self.plan.luma
                planes = [r * red + g * green + b * blue]
            if len(self.planes) > 1:
                planes += self._opponents(r, g, b, mean)
        self.frame_planes = self.graph.concatenate(planes, 1)

    def _opponents(self, r: Tensor, g: Tensor, b: Tensor, mean: Tensor) -> list[Tensor]:
        """Red-green and blue-yellow. Every form is in proportion to r, g and b, so that the
        result is divided by brightness, rather than these.
        """
        form = self.config.opponency
        if form is Opponency.LINEAR:
            return [r - g, b - (r + g) * 0.5]
        brightness = r.maximum(g, b) if form is Opponency.WALTHER else mean
        divisor = mean * 3.0 if form is Opponency.INVT else brightness
        least = self.config.hue_threshold * HUE_TOLERANCE
        if self.config.hue_reference is HueReference.FRAME:
            top = self.brightest if brightness is mean else brightness.highest()
            hued = brightness > (top * least).maximum(DARK)
        else:
            hued = brightness > max(least, DARK)
        inverse = hued.where(1.0 / divisor.maximum(DARK), 0.0)
        if form is Opponency.WALTHER:
            return [(r - g) * inverse, (b - r.minimum(g)) * inverse]
        red = (r - (g + b) * 0.5).positive()
        green = (g - (r + b) * 0.5).positive()
        blue = (b - (r + g) * 0.5).positive()
        if form is Opponency.INVT:
            yellow = (((r + g) * 0.5 - (r - g).absolute() - b) * 2.0).positive()
        else:
            yellow = (r.minimum(g) - b).positive()  # (r + g) / 2 - |r - g| / 2 is the lesser
        return [(red - green) * inverse, (blue - yellow) * inverse]

    def pyramid(self) -> None:
        """Planes -> the levels that are needed."""
        self.levels = self._pyramid(self.frame_planes, "pyramid", len(self.planes))
        if self.config.has_orientation_pyramid:
            intensity = self.frame_planes.slice(1, 0, 1)
            self.sources = self._pyramid(intensity, "orientation_pyramid", 1)
        else:
            self.sources = {level: x.slice(1, 0, 1) for level, x in self.levels.items()}

    def _pyramid(self, planes: Tensor, kind: str, channels: int) -> dict[int, Tensor]:
        levels, below = {}, 0
        for level in self.plan.levels:
            step = linear.downsampling(self.plan, kind, below, level)
            levels[level] = planes = linear.apply(step, planes, channels)
            below = level
        return levels

    def orientation(self) -> None:
        """Levels of intensity -> oriented energies."""
        self.oriented = {level: self._energies(self.sources[level], level) for level in self.levels}

    def _energies(self, maps: Tensor, level: int, count: int = 1) -> Tensor:
        """Oriented energies of maps of a level: (n, 1, h, w) becomes (n, 4, h, w).

        The reference multiplies a band with waves and smooths the products. That is a convolution
        with waves under an envelope, up to the phase, which energies do not show.
        """
        height, width = self.plan.level_shape(level)
        rows, columns = self.plan.orientation_filters(level)
        if self.plan.gabor:
            filters = self._gabor_filters()
            factor = np.maximum(columns[0], rows[1][:, None] * columns[1])
        else:
            smooth = linear.low_pass(maps, 1, self.plan.envelope)
            maps = maps - smooth * np.outer(rows[0], columns[0])
            filters = self._filters(self.plan.envelope, self.plan.wavenumber)
            factor = np.outer(rows[1], columns[1])
        pads, half = [REACH] * 4, len(ORIENTATIONS)
        both = self.graph.add("Conv", maps, filters[:, None], pads=pads)
        pairs = both.reshape(count, 2, half, height * width)
        if self.plan.gabor:
            energies = pairs.absolute().total((1,))
        else:
            energies = self.graph.add("ReduceL2", pairs, axes=[1], keepdims=1)
        return energies.reshape(count, half, height, width) * factor

    def _filters(self, envelope: np.ndarray, wavenumber: float) -> np.ndarray:
        """Even filters of the four orientations, then odd ones, (8, 9, 9)."""
        at = np.arange(-REACH, REACH + 1)
        phi = np.deg2rad(np.add(ORIENTATIONS, 90))[:, None, None]
        angle = wavenumber * (np.cos(phi) * at + np.sin(phi) * at[:, None])
        waves = np.concatenate([np.cos(angle), np.sin(angle)])
        return np.asarray(waves * np.outer(envelope, envelope))

    def _gabor_filters(self) -> np.ndarray:
        """The same of zero mean and unit norm."""
        filters = self._filters(self.plan.envelope, self.plan.wavenumber)
        filters[: len(ORIENTATIONS)] -= filters[: len(ORIENTATIONS)].mean((1, 2), keepdims=True)
        return np.asarray(filters / np.linalg.norm(filters, axis=(1, 2), keepdims=True))

    def whiten(self) -> None:
        """Planes -> decorrelated planes -> energies -> distances from their mean."""
        self.decorrelated = self.plan.whitened_planes(colour=self.colour)
        signals = [self._signal(name) for name in self.decorrelated]
        self.plane_signals = self.graph.concatenate(signals, 1).reshape(len(signals), 1)
        level = self.plan.map_level
        by = whitening(self.levels[level], self._planes_shape(level), self.plane_signals)
        self.plane_whitening = by
        if self.config.has(Channel.WHITENED):
            self.distances = self._distances(by)

    def _planes_shape(self, level: int) -> tuple[int, int, int, int]:
        return 1, len(self.decorrelated), *self.plan.level_shape(level)

    def _whitened_planes(self, level: int) -> Tensor:
        return whitened(self.levels[level], self._planes_shape(level), self.plane_whitening)

    def _distances(self, by: Whitening) -> Tensor:
        """Squared Mahalanobis distances of the energies' scales, summed over all energies."""
        height, width = self.plan.map_shape
        count = len(self.decorrelated)
        energies = count * len(ORIENTATIONS)
        scales = []
        for level in range(self.plan.finest_level, self.plan.finest_level + SCALES):
            planes = self._whitened_planes(level)
            each = planes.reshape(count, 1, *self.plan.level_shape(level))
            found = self._energies(each, level, count)
            found = found.reshape(1, energies, *self.plan.level_shape(level))
            resized = self._to_map_level(found, level, energies)
            scales.append(resized.reshape(energies, 1, height, width))
        maps, shape = self.graph.concatenate(scales, 1), (energies, SCALES, height, width)
        z = whitened(maps, shape, whitening(maps, shape, 1.0))
        total = (z * z).total((0, 1))
        varied = by.varies.highest((0, 1, 2)).reshape(1, 1, 1, 1)  # 0 in a uniform frame
        return total * varied * np.outer(*self.plan.map_fade(always=True))

    def figure(self) -> None:
        """Decorrelated planes and oriented energies -> surroundedness and corners."""
        level = self.plan.corner_level
        z, shape = self._whitened_planes(level + 1), self._planes_shape(level + 1)
        least = flat(self.plane_signals) / self.plane_whitening.deviations
        total = surroundedness(z, shape, least.reshape(1, shape[1], 1, 1))
        self.figures = self._to_map_level(total, level + 1, 1)
        energies = self._to_map_level(self.oriented[level], level, len(ORIENTATIONS))
        self.corners = corners(energies, flat(self.brightest))

    def _to_map_level(self, maps: Tensor, level: int, channels: int) -> Tensor:
        """Downsampled by the pyramid's steps, or upsampled."""
        if level > self.plan.map_level:
            return linear.apply(
                linear.upsampling(self.plan, level, self.plan.map_level), maps, channels
            )
        step = linear.downsampling(self.plan, "map", level, self.plan.map_level)
        return linear.apply(step, maps, channels)

    def centre_surround(self) -> None:
        """Levels -> maps of each feature and pair, with their halves, (n, halves, h, w)."""
        find = self._nearest_differences if self.plan.nearest else self._differences
        maps = [find(centre) for centre in dict.fromkeys(c for c, _ in self.plan.pairs)]
        count = len(self.plan.pairs) * len(self.features)
        self.maps = self.graph.concatenate(
            [
                self.graph.concatenate(parts, 1).reshape(count, 1, *self.plan.map_shape)
                for parts in zip(*maps, strict=True)  # all first halves, all second ones
            ],
            1,
        )

    def _surrounds(self, centre: int) -> list[int]:
        return [s for c, s in self.plan.pairs if c == centre]

    def _feature_planes(self, level: int) -> Tensor:
        """The features' planes of a level, (1, F, h, w)."""
        names = [feature.name for feature in self.features]
        pixels = [self.planes.index(name) for name in names if name in self.planes]
        parts = []
        if len(pixels) == len(self.planes):
            parts.append(self.levels[level])
        elif pixels:
            parts.append(self.levels[level].take(pixels, 1))
        if self.oriented:
            parts.append(self.oriented[level])
        return self.graph.concatenate(parts, 1)

    def _differences(self, centre: int) -> list[Tensor]:
        """Differences of a centre level and its surrounds, by sign, faded and at the map's level.

        Each of shape (1, surrounds x features, h, w); one, or two halves.
        """
        plan, count = self.plan, len(self.features)
        here, differences = self._feature_planes(centre), []
        for surround in self._surrounds(centre):
            step = linear.upsampling(plan, surround, centre)
            there = linear.apply(step, self._feature_planes(surround), count)
            differences.append(here - there)
        both, channels = self.graph.concatenate(differences, 1), count * len(differences)
        if self.config.split_cs:
            maps = [both.positive(), (-both).positive()]
        else:
            rectified = self.config.orientation_contrast is Contrast.RECTIFIED
            signs = [0.0 if rectified and f.rectifiable else -1.0 for f in self.features]
            if 0.0 in signs:  # max(x, 0) for these, |x| for the others
                factors = np.reshape(signs * len(differences), (1, -1, 1, 1))
                maps = [both.maximum(both * factors)]
            else:
                maps = [both.absolute()]
        step = linear.downsampling(plan, "map", centre, plan.map_level)
        step = linear.faded(step, linear.border_fade(plan, centre))
        return [linear.apply(step, each, channels) for each in maps]

    def _nearest_differences(self, centre: int) -> list[Tensor]:
        """The same of the nearest samples to the map's."""

        def resized(level: int) -> Tensor:
            rows, columns = self.plan.nearest_samples(level)
            return self._feature_planes(level).take(rows, 2).take(columns, 3)

        here, fade = resized(centre), np.outer(*self.plan.map_fade())
        maps = [(here - resized(s)).absolute() * fade for s in self._surrounds(centre)]
        return [self.graph.concatenate(maps, 1)]

    def normalise(self) -> None:
        """N of each map, its halves added."""
        sizes = [self._signal(feature.name) for feature in self.features]
        one_each = self.graph.concatenate(sizes, 0)
        signals = self.graph.concatenate([one_each] * len(self.plan.pairs), 0)
        self.normalised = normalise(self.plan, self.maps, signals)

    def combine(self) -> None:
        """Normalised maps -> features -> conspicuity maps -> saliency map."""
        conspicuous = [self._conspicuity(channel) for channel in self.weights]
        maps = self._n(self.graph.concatenate(conspicuous, 0))
        terms = maps * np.reshape(list(self.weights.values()), (-1, 1, 1, 1))
        if self.config.figure:
            terms = terms * self.figures
        saliency = terms.total((0,))
        if self.config.normalise_saliency:
            total = saliency
            saliency = normalise(self.plan, total, 1.0, first=False, to=SALIENCY_RANGE)
            terms = terms * (saliency / total.maximum(LEAST_DIVISOR))
        names = list(map(str, self.weights))
        if self.config.figure:
            terms = self.graph.concatenate([terms * (1 / PROMOTION), self.figures], 0)
            saliency = self.figures + saliency * (1 / PROMOTION)
            saliency, terms = saliency * self.corners, terms * self.corners
            names.append("figure")
        if self.config.centre_prior > 0:
            prior = np.outer(*self.plan.centre_prior())
            saliency, terms = saliency * prior, terms * prior
        self.saliency = saliency
        self.contributions = {name: terms.slice(0, k, k + 1) for k, name in enumerate(names)}

    def _conspicuity(self, channel: Channel) -> Tensor:
        """The weighted sum over a channel's features, (1, 1, h, w)."""
        if channel is Channel.WHITENED:
            return self.distances
        height, width = self.plan.map_shape
        numbers = [k for k, feature in enumerate(self.features) if feature.channel is channel]
        pairs, count = len(self.plan.pairs), len(numbers)
        by_pair = self.normalised.reshape(pairs, len(self.features), height, width)
        own = by_pair.slice(1, numbers[0], numbers[-1] + 1)
        features = [self.features[k] for k in numbers]
        total = own.total((0,)).reshape(count, 1, height, width)
        if self.plan.normalised_again(features[0]):
            total = self._n(total)
        weights = np.reshape(list(map(self.config.feature_weight, features)), (-1, 1, 1, 1))
        if (weights != 1).any():
            total = total * weights
        return total.total((0,)) if count > 1 else total

    # --- what several stages need

    def _n(self, sums: Tensor) -> Tensor:
        """N of sums, which have no halves."""
        return normalise(self.plan, sums, 1.0, first=False)

    def _signal(self, name: str) -> Tensor:
        """The highest value that a feature or plane could have, (1, 1, 1, 1)."""
        signal = next(feature.signal for feature in FEATURES if feature.name == name)
        if signal is Signal.HUE and self.config.opponency is not Opponency.LINEAR:
            return self.graph.constant(np.ones((1, 1, 1, 1)))
        return self.brightest
