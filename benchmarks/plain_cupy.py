"""`itti1998` in plain CuPy: what an able user writes in a day, whole arrays at a time.

`xp` is CuPy and `ndimage` its `cupyx.scipy.ndimage`; with NumPy and SciPy in their place the same
lines are tested against the reference. Every intermediate is an array in memory, every operation a
kernel or two of its own; nothing is read back before the end. Imports nothing from ittisal, so that
it also checks the answer that is timed. BGR frames, both sides at least 256.
"""

from __future__ import annotations

from typing import Any

import numpy as np

TAPS_5 = np.array([1, 4, 6, 4, 1], np.float32) / 16
TAPS_9 = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1], np.float32) / 256
WAVENUMBER = 2.6  # radians per pixel
RANGE, FLAT, PLATEAU = 10.0, 1e-5, 1e-4
PAIRS = [(2, 5), (2, 6), (3, 6), (3, 7), (4, 7), (4, 8)]


class PlainCupy:
    """Call it with a BGR uint8 frame on the device; gives the raw map, there."""

    def __init__(self, xp: Any, ndimage: Any) -> None:
        self.xp, self.ndimage = xp, ndimage
        self.taps = {5: xp.asarray(TAPS_5), 9: xp.asarray(TAPS_9)}
        self.kept: dict[Any, Any] = {}  # factors that depend on sizes alone

    def __call__(self, frame: Any) -> Any:
        """Raw map, float32 of shape (H//16, W//16)."""
        xp = self.xp
        unit = frame.astype(xp.float32) / 255
        b, g, r = unit[..., 0], unit[..., 1], unit[..., 2]
        intensity = (r + g + b) / 3
        brightest = intensity.max()
        hued = intensity > xp.maximum(brightest * 0.1000001, 1e-9)
        divisor = xp.where(hued, intensity, 1)
        r, g, b = (xp.where(hued, x / divisor, 0) for x in (r, g, b))
        red = xp.maximum(r - (g + b) / 2, 0)
        green = xp.maximum(g - (r + b) / 2, 0)
        blue = xp.maximum(b - (r + g) / 2, 0)
        yellow = xp.maximum((r + g) / 2 - xp.abs(r - g) / 2 - b, 0)

        intensities = self.pyramid(intensity)
        sums = [self.feature(intensities, brightest)]
        colours = [self.feature(self.pyramid(plane), 1.0) for plane in (red - green, blue - yellow)]
        sums.append(colours[0] + colours[1])
        oriented = [self.orientation(level) for level in intensities[2:]]
        directions = [
            self.normalise(self.feature([None, None, *levels], brightest), 1.0)
            for levels in zip(*oriented, strict=True)
        ]
        sums.append(directions[0] + directions[1] + directions[2] + directions[3])
        return sum(self.normalise(x, 1.0) for x in sums) / np.float32(3)

    def inside(self, shape: tuple[int, int], taps: int) -> Any:
        """1 / the taps that fall inside, per sample."""
        key = ("inside", shape, taps)
        if key not in self.kept:
            kernel = TAPS_5 if taps == 5 else TAPS_9
            rows, columns = (
                np.float32(1 / np.convolve(np.ones(n), kernel)[taps // 2 :][:n]) for n in shape
            )
            self.kept[key] = self.xp.asarray(np.outer(rows, columns))
        return self.kept[key]

    def low_pass(self, x: Any, taps: int) -> Any:
        """Cut at the borders and renormalised there."""
        for axis in (0, 1):
            x = self.ndimage.correlate1d(x, self.taps[taps], axis, mode="constant")
        return x * self.inside(x.shape, taps)

    def downsample(self, x: Any) -> Any:
        """The 5-tap, then every 2x2 block's mean."""
        x = self.low_pass(x, 5)
        h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
        x = (x[0:h:2] + x[1:h:2]) / 2
        return (x[:, 0:w:2] + x[:, 1:w:2]) / 2

    def pyramid(self, plane: Any) -> list[Any]:
        """Levels 0 to 8."""
        levels = [plane]
        for _ in range(8):
            levels.append(self.downsample(levels[-1]))
        return levels

    def fade(self, shape: tuple[int, int], width: int) -> Any:
        """The border attenuation."""
        key = ("fade", shape, width)
        if key not in self.kept:
            b = min(width, *(n // 2 for n in shape))
            nearest = (np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) for n in shape)
            ramps = [np.minimum(k / (b + 1), 1) for k in nearest]
            self.kept[key] = self.xp.asarray(np.float32(np.outer(*ramps)))
        return self.kept[key]

    def waves(self, shape: tuple[int, int], theta: int) -> tuple[Any, Any]:
        """Cosine and sine of a direction's wave."""
        key = ("waves", shape, theta)
        if key not in self.kept:
            phi = np.deg2rad(theta + 90)
            y, x = (np.arange(n) - n // 2 for n in shape)
            angle = WAVENUMBER * (np.cos(phi) * x[None, :] + np.sin(phi) * y[:, None])
            self.kept[key] = tuple(
                self.xp.asarray(np.float32(wave(angle))) for wave in (np.cos, np.sin)
            )
        return self.kept[key]

    def orientation(self, level: Any) -> list[Any]:
        """Four energies of one level."""
        band = level - self.low_pass(level, 9)
        energies = []
        for theta in (0, 45, 90, 135):
            parts = (self.low_pass(band * wave, 9) for wave in self.waves(level.shape, theta))
            energies.append(self.xp.hypot(*parts) * self.fade(level.shape, 5))
        return energies

    def upsample(self, x: Any, shape: tuple[int, int], delta: int) -> Any:
        """Bilinear, by exactly 2^delta, on the pyramid's grid."""
        for axis in (0, 1):
            n = x.shape[axis]
            key = ("upsample", shape[axis], n, delta, axis)
            if key not in self.kept:
                at = ((np.arange(shape[axis]) + 0.5) / 2**delta - 0.5).clip(0, n - 1)
                low = at.astype(int)
                t = np.float32(at - low).reshape([-1 if a == axis else 1 for a in (0, 1)])
                high = np.minimum(low + 1, n - 1)
                self.kept[key] = tuple(map(self.xp.asarray, (low, high, t)))
            low, high, t = self.kept[key]
            a = x.take(low, axis)
            x = a + (x.take(high, axis) - a) * t
        return x

    def feature(self, levels: Any, signal: Any) -> Any:
        """Centre-surround maps of one feature, each under N, added."""
        total = 0
        for c, s in PAIRS:
            centre = levels[c]
            x = self.xp.abs(centre - self.upsample(levels[s], centre.shape, s - c))
            x = x * self.fade(x.shape, max(x.shape) // 20)
            for _ in range(c, 4):
                x = self.downsample(x)
            total = total + self.normalise(x, signal)
        return total

    def normalise(self, x: Any, signal: Any) -> Any:
        """N: (M - mean of the other local maxima)^2 times the map, scaled to [0, M]."""
        xp = self.xp
        low, high = x.min(), x.max()
        spread = high - low
        flat = spread <= FLAT * signal
        x = xp.where(flat, 0, (x - low) * (RANGE / xp.where(flat, 1, spread))).astype(xp.float32)
        near = PLATEAU * RANGE
        inner = x[1:-1, 1:-1]
        across, down = (x[1:-1, :-2], x[1:-1, 2:]), (x[:-2, 1:-1], x[2:, 1:-1])
        peak = inner >= RANGE / 10
        for neighbour in (*across, *down):
            peak &= inner + near >= neighbour
        weight = peak.astype(xp.float32)
        for pair in (across, down):
            tied = sum((neighbour >= inner - near).astype(xp.float32) for neighbour in pair)
            weight /= 1 + tied
        at_top = xp.minimum((weight * (inner >= RANGE - near)).sum(), 1)
        total, count = (inner * weight).sum() - RANGE * at_top, weight.sum() - at_top
        mean = xp.where(count > 0.5, total / xp.maximum(count, 0.5), 0).clip(0, RANGE)
        return x * (RANGE - mean) ** 2
