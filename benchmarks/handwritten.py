"""`itti1998` written by hand with OpenCV and NumPy: what ittisal has to beat.

It stands for what an able user writes in a day who knows both libraries well: the same model to
the letter, float32, buffers made once, integer arithmetic where pixels are integers, row bands
for the colours, borders corrected only where they differ. It stops short of fusing the colours
with the first low-pass. It takes BGR uint8 frames with a default config only, and imports nothing
from ittisal, so that it also checks the answer that is timed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

TAPS_5 = np.float32([1, 4, 6, 4, 1]) / np.float32(16)
TAPS_9 = np.float32([1, 8, 28, 56, 70, 56, 28, 8, 1]) / np.float32(256)
WAVENUMBER = 2.6  # radians per pixel
RANGE = 10.0
FLAT = 1e-5
PLATEAU = 1e-4
BAND_PIXELS = 1 << 18  # of a row band: the quickest of 16 K to all on an EPYC with 1 MiB of L2
STRIP_PIXELS = 1 << 16  # planes larger than this have only their borders corrected
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class Border:
    """Makes a zero-padded low-pass into one cut and renormalised at the borders, in place."""

    def __init__(self, shape: tuple[int, int], taps: np.ndarray) -> None:
        self.reach = len(taps) // 2
        self.rows, self.columns = (
            np.float32(1 / np.convolve(np.ones(n), taps)[self.reach :][:n]) for n in shape
        )
        self.plane = np.outer(self.rows, self.columns)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Correct what the zero-padded filter returned."""
        if x.size <= STRIP_PIXELS:
            return cv2.multiply(x, self.plane, dst=x)
        n = self.reach
        x[:n] *= self.rows[:n, None]
        x[-n:] *= self.rows[-n:, None]
        x[:, :n] *= self.columns[:n]
        x[:, -n:] *= self.columns[-n:]
        return x


def fade(shape: tuple[int, int], width: int) -> np.ndarray:
    """The border attenuation as a plane of factors: k/(b+1) for the k-th row or column.

    b is the width, limited by half the shorter side.
    """
    b = min(width, *(n // 2 for n in shape))
    nearest = (np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) for n in shape)
    ramps = [np.minimum(k / (b + 1), 1) for k in nearest]
    return np.float32(np.outer(*ramps))


class Handwritten:
    """The model for BGR uint8 frames of one (height, width)."""

    def __init__(self, shape: tuple[int, int]) -> None:
        top = min(8, min(shape).bit_length() - 1)
        self.shapes = [(shape[0] >> k, shape[1] >> k) for k in range(top + 1)]
        self.pairs = [(c, c + d) for c in (2, 3, 4) for d in (3, 4) if c + d <= top]
        self.border = [Border(s, TAPS_5) for s in self.shapes]
        self.planes = [[_empty(s) for s in self.shapes] for _ in range(3)]  # I, RG, BY
        self.low = np.empty(shape[0] * shape[1], np.float32)
        self.difference = np.empty(self.shapes[2][0] * self.shapes[2][1], np.float32)

        rows = max(1, min(shape[0], BAND_PIXELS // shape[1]))
        self.total = np.empty(shape, np.int16)
        self.bytes = [np.empty((rows, shape[1]), np.uint8) for _ in range(4)]
        self.shorts = [np.empty((rows, shape[1]), np.int16) for _ in range(2)]
        self.factor = _empty((rows, shape[1]))

        n = np.arange(-4, 5)
        self.waves = [
            (np.float32(TAPS_9 * np.cos(k * n)), np.float32(TAPS_9 * np.sin(k * n)))
            for k in (WAVENUMBER, WAVENUMBER / np.sqrt(2))
        ]
        self.energies = {k: [_empty(self.shapes[k]) for _ in range(4)] for k in range(2, top + 1)}
        self.parts = {k: [_empty(self.shapes[k]) for _ in range(5)] for k in self.energies}
        self.border_9 = {k: Border(self.shapes[k], TAPS_9) for k in self.energies}
        self.gain = {k: fade(self.shapes[k], 5) * self.border_9[k].plane for k in self.energies}

        self.fades = {c: fade(self.shapes[c], max(self.shapes[c]) // 20) for c in (2, 3, 4)}
        self.surrounds = {pair: self._surround(*pair) for pair in self.pairs}
        self.stack = np.empty((7, len(self.pairs), *self.shapes[4]), np.float32)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The raw map, float32 of shape (H//16, W//16)."""
        brightest = self.opponency(frame)
        self.pyramids()
        self.orientation()
        self.centre_surround()
        return self.combine(brightest)

    def opponency(self, frame: np.ndarray) -> float:
        """Level 0 of the three planes; the frame's brightest intensity.

        With t = r + g + b, and all in whole numbers: RG = 3/2 (max(3r, t) - max(3g, t)) / t and
        BY = 3/2 (max(3b, t) - t - 2 max(min(r, g) - b, 0)) / t.
        """
        top = 0
        for band, (b, g, r, _), _, _ in self._bands(frame):
            t = self.total[band]
            np.add(b, g, out=t, dtype=np.int16)
            t += r
            top = max(top, int(t.max()))
        sums = np.arange(766, dtype=np.float32)
        hued = sums > 0.1 * (1 + 1e-6) * top
        table = np.divide(1.5, sums, out=np.zeros_like(sums), where=hued)
        intensity, red_green, blue_yellow = (levels[0] for levels in self.planes)
        for band, (b, g, r, yellow), (x, y), factor in self._bands(frame):
            t = self.total[band]
            np.multiply(t, np.float32(1 / 765), out=intensity[band])
            np.take(table, t, out=factor, mode="clip")
            np.multiply(r, 3, out=x, dtype=np.int16)
            np.multiply(g, 3, out=y, dtype=np.int16)
            np.maximum(x, t, out=x)
            np.maximum(y, t, out=y)
            x -= y
            np.multiply(x, factor, out=red_green[band])
            np.multiply(b, 3, out=x, dtype=np.int16)
            np.maximum(x, t, out=x)
            x -= t
            cv2.subtract(cv2.min(r, g, dst=yellow), b, dst=yellow)  # saturates at 0
            np.add(yellow, yellow, out=y, dtype=np.int16)
            x -= y
            np.multiply(x, factor, out=blue_yellow[band])
        return top / 765

    def pyramids(self) -> None:
        """Levels 1 and up of the three planes."""
        for levels in self.planes:
            for k in range(1, len(levels)):
                self._downsample(levels[k - 1], k - 1, levels[k])

    def orientation(self) -> None:
        """Quadrature energy for 0, 45, 90, 135 degrees on intensity levels 2 and up.

        The modulated low-pass equals a complex separable filter up to a phase. The two diagonals
        share four real ones.
        """
        (cos, sin), (cos_d, sin_d) = self.waves
        for k, energies in self.energies.items():
            level, (band, a, b, c, d) = self.planes[0][k], self.parts[k]
            self.border_9[k](_separable(level, TAPS_9, TAPS_9, band))
            cv2.subtract(level, band, dst=band)
            _separable(band, TAPS_9, cos, a)
            _separable(band, TAPS_9, sin, b)
            cv2.magnitude(a, b, magnitude=energies[0])
            _separable(band, cos, TAPS_9, a)
            _separable(band, sin, TAPS_9, b)
            cv2.magnitude(a, b, magnitude=energies[2])
            _separable(band, cos_d, cos_d, a)
            _separable(band, sin_d, sin_d, b)
            _separable(band, sin_d, cos_d, c)
            _separable(band, cos_d, sin_d, d)
            cv2.magnitude(cv2.add(a, b, dst=band), cv2.subtract(d, c), magnitude=energies[1])
            cv2.magnitude(cv2.subtract(a, b, dst=a), cv2.add(c, d, dst=c), magnitude=energies[3])
            for energy in energies:
                cv2.multiply(energy, self.gain[k], dst=energy)

    def centre_surround(self) -> None:
        """The 42 maps at level 4, in `stack[feature, pair]`."""
        features = [*self.planes]
        for theta in range(4):
            features.append([None, None, *(e[theta] for e in self.energies.values())])
        for f, levels in enumerate(features):
            for p, (c, s) in enumerate(self.pairs):
                up = self._upsample(levels[s], (c, s))
                out = self.stack[f, p]
                x = out if c == 4 else _shaped(self.difference, self.shapes[c])
                cv2.absdiff(levels[c], up, dst=x)
                cv2.multiply(x, self.fades[c], dst=x)
                if c == 2:
                    x = self._downsample(x, 2, self.parts[3][0])
                if c < 4:
                    self._downsample(x, 3, out)

    def combine(self, brightest: float) -> np.ndarray:
        """N on the 42 maps, sums over scales, N on orientations, N on the three channels."""
        scales = np.repeat([brightest, 1, 1, *[brightest] * 4], len(self.pairs))
        maps = normalise(self.stack.reshape(-1, *self.shapes[4]), scales)
        sums = maps.reshape(self.stack.shape).sum(1)
        colour = sums[1] + sums[2]
        orientation = normalise(sums[3:], 1.0).sum(0)
        return normalise(np.stack([sums[0], colour, orientation]), 1.0).sum(0) / np.float32(3)

    def _bands(self, frame: np.ndarray) -> Iterator[tuple]:
        """Row bands: their slice, the split channels and scratch of their size."""
        rows = len(self.factor)
        for start in range(0, len(frame), rows):
            band = slice(start, min(start + rows, len(frame)))
            n = band.stop - start
            views = [x[:n] for x in self.bytes]
            cv2.split(frame[band], views[:3])
            yield band, views, [x[:n] for x in self.shorts], self.factor[:n]

    def _downsample(self, x: np.ndarray, level: int, out: np.ndarray) -> np.ndarray:
        """One pyramid step: 5-tap low-pass over the level, then 2x2 means (an odd row is left)."""
        low = _separable(x, TAPS_5, TAPS_5, _shaped(self.low, x.shape))
        self.border[level](low)
        height, width = out.shape
        return cv2.resize(
            low[: 2 * height, : 2 * width], (width, height), dst=out, interpolation=cv2.INTER_AREA
        )

    def _surround(self, c: int, s: int) -> tuple[int, int, np.ndarray]:
        """Rows and columns to repeat so that 2^(s-c) times the surround covers the centre."""
        factor = 1 << (s - c)
        more = [-(-n // factor) - m for n, m in zip(self.shapes[c], self.shapes[s], strict=True)]
        shape = [(m + k) * factor for m, k in zip(self.shapes[s], more, strict=True)]
        return more[0], more[1], _empty(shape)

    def _upsample(self, x: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
        """Bilinear, by exactly 2^(s-c), cut to the centre's size."""
        rows, columns, out = self.surrounds[pair]
        if rows or columns:
            x = cv2.copyMakeBorder(x, 0, rows, 0, columns, cv2.BORDER_REPLICATE)
        cv2.resize(x, out.shape[::-1], dst=out, interpolation=cv2.INTER_LINEAR)
        height, width = self.shapes[pair[0]]
        return out[:height, :width]


class PlainHandwritten(Handwritten):
    """The same before anyone tuned its colours: the equations as NumPy writes them.

    Colours are most of the time of a first version, so this is near what one measures of code
    found in the wild, all else being tuned.
    """

    def opponency(self, frame: np.ndarray) -> float:
        """Level 0 of the three planes, whole planes at a time."""
        b, g, r = cv2.split(np.float32(frame) / 255)
        intensity = (r + g + b) / 3
        brightest = intensity.max()
        hued = intensity > np.float32(0.1 * (1 + 1e-6)) * brightest
        with np.errstate(divide="ignore", invalid="ignore"):
            r, g, b = (np.where(hued, x / intensity, np.float32(0)) for x in (r, g, b))
        red = np.maximum(r - (g + b) / 2, 0)
        green = np.maximum(g - (r + b) / 2, 0)
        blue = np.maximum(b - (r + g) / 2, 0)
        yellow = np.maximum((r + g) / 2 - np.abs(r - g) / 2 - b, 0)
        self.planes[0][0], self.planes[1][0], self.planes[2][0] = (
            intensity,
            red - green,
            blue - yellow,
        )
        return float(brightest)


def normalise(maps: np.ndarray, scales: np.ndarray | float) -> np.ndarray:
    """N(.) of each of (n, h, w) maps: to [0, 10], times (10 - mean of the other maxima)^2."""
    n, height, width = maps.shape
    flat = maps.reshape(n, -1)
    low, high = flat.min(1), flat.max(1)
    scale = np.zeros(n)
    np.divide(RANGE, high - low, out=scale, where=high - low > FLAT * np.asarray(scales))
    tall = maps.reshape(n * height, width)
    near = np.float32(PLATEAU) * (high - low)
    around = cv2.dilate(tall, CROSS).reshape(maps.shape)
    peaks = maps + near[:, None, None] >= around
    peaks[:, [0, -1]] = False
    peaks[:, :, [0, -1]] = False
    at = np.flatnonzero(peaks)
    values, of = maps.reshape(-1)[at], at // (height * width)
    counted = values >= low[of] + (high - low)[of] / 10
    at, values, of = at[counted], values[counted], of[counted]
    weight = np.ones(len(at), np.float32)  # close neighbours count as one peak
    for step in (1, width):
        close = [maps.reshape(-1)[at + s] >= values - near[of] for s in (step, -step)]
        weight /= 1.0 + close[0] + close[1]
    count = np.bincount(of, weight, minlength=n)
    total = np.bincount(of, weight * (values - low[of]), minlength=n)
    gone = np.minimum(np.bincount(of, weight * (values >= (high - near)[of]), minlength=n), 1)
    count = count - gone
    total = total - gone * (high - low)
    mean = np.where(count > 0.5, total / np.maximum(count, 0.5) * scale, 0)
    mean = np.clip(mean, 0, RANGE)
    gain = scale * (RANGE - mean) ** 2
    return (maps - low[:, None, None]) * np.float32(gain)[:, None, None]


def _empty(shape: Sequence[int]) -> np.ndarray:
    return np.empty(shape, np.float32)


def _shaped(buffer: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The start of a flat buffer as a contiguous plane."""
    return buffer[: shape[0] * shape[1]].reshape(shape)


def _separable(x: np.ndarray, across: np.ndarray, down: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Correlation with a separable kernel, zero outside."""
    return cv2.sepFilter2D(x, -1, across, down, dst=out, borderType=cv2.BORDER_CONSTANT)
