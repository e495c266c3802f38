"""Search displays and other stimuli of the behaviour tests, in plain NumPy.

A display is (image, target): float32 RGB in [0, 1], and the target's centre (y, x) in pixels.
Edges are anti-aliased, so that a turned bar has no staircase; an upright bar on half-pixel
centres has hard edges all the same.
"""

from __future__ import annotations

import numpy as np

HEIGHT, WIDTH = 512, 640
BORDER = 64  # px: no item's centre is nearer to the border
SPACING = 56  # px between centres: items never touch, and none lies within a rival's disc
LENGTH, BREADTH = 34, 10  # px, the bars

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
BAR = (0.8, 0.8, 0.8)
RED, GREEN, BLUE = (0.8, 0.0, 0.0), (0.0, 0.8, 0.0), (0.0, 0.0, 0.8)
GREY, BACKGROUND = (0.6, 0.6, 0.6), (0.3, 0.3, 0.3)


def canvas(colour=BLACK, height=HEIGHT, width=WIDTH):
    """A uniform frame."""
    return np.full((height, width, 3), colour, np.float32)


def _around(image, centre, reach):
    """The view of `image` within `reach` px of `centre`, and its pixels' offsets (y, x)."""
    low = [max(int(c - reach), 0) for c in centre]
    high = [int(c + reach) + 2 for c in centre]
    view = image[low[0] : high[0], low[1] : high[1]]
    y, x = (np.arange(n) + a - c for n, a, c in zip(view.shape[:2], low, centre, strict=True))
    return view, y[:, None], x[None, :]


def _paint(view, coverage, colour):
    """`colour` over `view`, in place, as far as `coverage` in [0, 1] says."""
    view += coverage[..., None].astype(np.float32) * (np.float32(colour) - view)


def bar(image, centre, angle=0.0, colour=BAR, length=LENGTH, breadth=BREADTH):
    """Draw a bar; `angle` in degrees from +x with y down, so that 45 looks like a backslash."""
    view, y, x = _around(image, centre, length)
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    along, across = np.abs(x * cos + y * sin), np.abs(y * cos - x * sin)
    inside = (np.clip((n + 1) / 2 - d, 0, 1) for n, d in ((length, along), (breadth, across)))
    _paint(view, np.multiply(*inside), colour)


def ring(image, centre, colour=BAR, radius=14.0, stroke=4.0):
    """Draw a circle's outline."""
    view, y, x = _around(image, centre, radius + stroke)
    off = np.abs(np.hypot(y, x) - radius)
    _paint(view, np.clip((stroke + 1) / 2 - off, 0, 1), colour)


def disc(image, centre, colour=BAR, radius=20.0):
    """Draw a filled circle."""
    view, y, x = _around(image, centre, radius + 1)
    _paint(view, np.clip(radius + 0.5 - np.hypot(y, x), 0, 1), colour)


def places(count, seed):
    """`count` random centres, on half pixels, `SPACING` apart and `BORDER` from the borders."""
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        place = rng.integers((BORDER, BORDER), (HEIGHT - BORDER, WIDTH - BORDER)) + 0.5
        if all(np.hypot(*(place - other)) >= SPACING for other in found):
            found.append(place)
    return found


def _singleton(target, others, count, seed, background=BLACK):
    """One bar among `count` - 1; `target` and `others` are (angle, colour)."""
    image = canvas(background)
    first, *rest = places(count, seed)
    bar(image, first, *target)
    for place in rest:
        bar(image, place, *others)
    return image, first


def red_among_blue(count, seed):
    """Singleton in colour."""
    return _singleton((90, RED), (90, BLUE), count, seed)


def horizontal_among_vertical(count, seed):
    """Singleton in orientation."""
    return _singleton((0, BAR), (90, BAR), count, seed)


def white_among_grey(count, seed):
    """Singleton in intensity, on darker grey."""
    return _singleton((90, WHITE), (90, GREY), count, seed, background=BACKGROUND)


def red_among_green(count, seed):
    """Singleton of the opponent colour: on a neutral background both drive |RG| alike."""
    return _singleton((90, RED), (90, GREEN), count, seed)


def conjunction(count, seed):
    """Red horizontal among red vertical and blue horizontal, half each."""
    image = canvas()
    first, *rest = places(count, seed)
    bar(image, first, 0, RED)
    for i, place in enumerate(rest):
        bar(image, place, *((90, RED) if i % 2 else (0, BLUE)))
    return image, first


def red_slanted(count, seed, others=((45, BLUE), (90, BLUE), (0, BLUE), (90, RED))):
    """Red at 45 degrees among bars that are red or at 45 degrees, or neither, but not both."""
    image = canvas()
    first, *rest = places(count, seed)
    bar(image, first, 45, RED)
    for i, place in enumerate(rest):
        bar(image, place, *others[i % len(others)])
    return image, first


def _letter(image, centre, tail):
    """An O, or with its tail a Q: a stroke of 24 px across the ring at the lower right."""
    ring(image, centre)
    if tail:
        bar(image, centre + 14 / np.sqrt(2), 45, length=24, breadth=4)


def q_among_o(count, seed, swapped=False):
    """A Q among Os; `swapped`, an O among Qs."""
    image = canvas()
    first, *rest = places(count, seed)
    _letter(image, first, not swapped)
    for place in rest:
        _letter(image, place, swapped)
    return image, first


def o_among_q(count, seed):
    """An O among Qs: what is absent."""
    return q_among_o(count, seed, swapped=True)


def orientation_contrast(delta, seed, step=52, jitter=6):
    """(image, target, others): a jittered grid of upright bars, one turned by `delta` degrees."""
    rng = np.random.default_rng(seed)
    rows, columns = ((n - 2 * BORDER) // step + 1 for n in (HEIGHT, WIDTH))
    grid = np.stack(np.mgrid[:rows, :columns], -1).reshape(-1, 2)
    corner = (HEIGHT - (rows - 1) * step - 1) / 2, (WIDTH - (columns - 1) * step - 1) / 2
    centres = corner + grid * step + rng.integers(-jitter, jitter + 1, grid.shape)
    inner = np.flatnonzero(((grid > 0) & (grid < (rows - 1, columns - 1))).all(1))
    chosen = rng.choice(inner)
    image = canvas()
    for k, centre in enumerate(centres):
        bar(image, centre, 90 + delta * (k == chosen), length=28, breadth=6)
    return image, centres[chosen], np.delete(centres, chosen, 0)


def texture(height, width, seed):
    """Grey with amplitude 1/f, between 0.25 and 0.75: as smooth as a natural scene."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    f[0, 0] = np.inf
    plane = np.fft.irfft2(np.exp(2j * np.pi * rng.random(f.shape)) / f, (height, width))
    return np.float32(0.25 + 0.5 * (plane - plane.min()) / np.ptp(plane))


def red_square_in_noise(fraction, seed, height=512, width=768):
    """A red square of 40 px on a grey texture, `fraction` of all pixels then random greys."""
    rng = np.random.default_rng(seed)
    image = np.repeat(texture(height, width, seed)[..., None], 3, 2)
    target = rng.integers((BORDER, BORDER), (height - BORDER, width - BORDER)) + 0.5
    bar(image, target, 0, RED, length=40, breadth=40)
    hit = rng.random((height, width)) < fraction
    image[hit] = rng.random((hit.sum(), 1), dtype=np.float32)
    return image, target


def thermal(rng, height=256, width=320, people=((150, 100), (110, 230))):
    """What a thermal camera sees: counts of 7000 to 7500, uint16, and the warmest person's centre.

    Two warm people, the first the warmer, before a background that grows colder upwards; noise of
    3 counts, and of 2 from column to column.
    """
    y, x = np.mgrid[:height, :width]
    scene = 7080 + 60 * y / height + 20 * np.sin(x / 70)
    for warmth, (row, column) in zip((330, 200), people, strict=True):
        body = ((y - row) / 22) ** 2 + ((x - column) / 9) ** 2
        scene += warmth * np.clip(1.5 - body, 0, 1)
    scene += rng.normal(0, 3, scene.shape) + rng.normal(0, 2, width)
    return np.clip(np.rint(scene), 7000, 7500).astype(np.uint16), people[0]
