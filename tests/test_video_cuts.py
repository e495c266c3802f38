"""The cut detector: cuts are found, and what only looks like one is not."""

from __future__ import annotations

import numpy as np
import pytest

from ittisal.video import CutDetector
from ittisal.video.cuts import CELLS, thumbnail_of

SIZE = (180, 240)


def smooth(rng, scale=30, size=SIZE):
    """A picture with structure at a scale of so many pixels, in 0..1."""
    height, width = size
    coarse = rng.random((height // scale + 3, width // scale + 3))
    y, x = np.arange(height) / scale, np.arange(width) / scale
    i, j = y.astype(int), x.astype(int)
    v, u = (y - i)[:, None], (x - j)[None]
    rows = coarse[i] * (1 - v) + coarse[i + 1] * v
    return rows[:, j] * (1 - u) + rows[:, j + 1] * u


def found(frames):
    """Numbers of the frames at which a cut is found; frames in 0..1, given as 8-bit colour."""
    detector = CutDetector()
    colour = ((np.clip(f, 0, 1) * 255).astype(np.uint8)[..., None].repeat(3, 2) for f in frames)
    return [i for i, frame in enumerate(colour) if detector.is_cut(frame)]


@pytest.fixture
def scenes(rng):
    return [smooth(rng) for _ in range(4)]


def test_cuts_between_still_scenes(scenes):
    a, b, c, d = scenes
    assert found([a] * 6 + [b] * 8 + [c] * 5 + [d] * 5) == [6, 14, 19]


def test_nothing_happens(scenes, rng):
    a = scenes[0]
    assert found([a + rng.normal(0, 0.03, SIZE) for _ in range(20)]) == []
    assert found([np.zeros(SIZE)] * 5) == []


def test_a_dissolve_is_no_cut(scenes):
    a, b = scenes[:2]
    assert found([a * (1 - t) + b * t for t in np.linspace(0, 1, 15)]) == []


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_fades_and_dips_are_no_cuts_but_what_follows_may_be(scenes, level):
    a, b = scenes[:2]
    away = [a * (1 - t) + level * t for t in np.linspace(0, 1, 8)]
    back = [f.copy() for f in away[::-1]]
    assert found([*away, *back]) == []
    towards = [level * (1 - t) + b * t for t in np.linspace(0, 1, 8)]
    assert found([*away, *towards]) in ([], [len(away) + 1], [len(away) + 2])
    dark = [np.full(SIZE, level)] * 3
    assert found([a] * 5 + dark + [a] * 5) == []
    assert found([a] * 5 + dark + [b] * 5) == [8]


def test_flashes_and_changes_of_exposure_are_no_cuts(scenes):
    a = scenes[0]
    for lit in (np.ones(SIZE), a * 0.6 + 0.4, a + 0.3 * (a > 0.7)):
        assert found([a] * 6 + [lit] * 2 + [a] * 6) == []
    assert found([a * 0.5] * 5 + [a * 0.9] * 5) == []


def test_motion_is_no_cut(rng, scenes):
    wide = smooth(rng, size=(180, 1600))
    for speed in (2, 8, 16):
        assert found([wide[:, i * speed : i * speed + 240] for i in range(60)]) == []
    passing = [scenes[0].copy() for _ in range(20)]  # something, before a still scene
    for i, frame in enumerate(passing):
        frame[60:150, i * 12 : i * 12 + 70] = 1
    assert found(passing) == []


def test_a_cut_within_motion_is_found(rng):
    pans = [smooth(rng, size=(180, 600)) for _ in range(2)]
    frames = [pan[:, i * 6 : i * 6 + 240] for pan in pans for i in range(20)]
    assert found(frames) == [20]


@pytest.mark.parametrize(("dtype", "grey"), [("u1", False), ("u2", True), ("f4", False)])
@pytest.mark.parametrize("size", [(32, 32), (97, 131), (1080, 1920)])
def test_frame_formats(rng, dtype, grey, size):
    full = {"u1": 255, "u2": 65535, "f4": 1}[dtype]
    picture = (smooth(rng, size[0] // 6, size) * full).astype(dtype)
    frame = picture if grey else np.stack([picture * 0, picture, picture * 0], -1)
    thumbnail = thumbnail_of(frame)
    assert thumbnail.shape == CELLS and thumbnail.dtype == np.float32
    assert thumbnail.min() >= 0 and thumbnail.max() <= 1
    assert thumbnail.mean() == pytest.approx(picture.mean() / full, rel=0.1)
    detector = CutDetector()
    cuts = [detector.is_cut(f) for f in (frame, frame, full - frame, frame)]
    assert cuts == [False, False, True, False]  # the shot before is remembered


def test_unceasing_change_is_soon_no_cut(rng):
    assert max(found([smooth(rng) for _ in range(40)])) < 5


def test_frames_that_hold_no_numbers_are_left_out(scenes):
    a, b = (scene.astype(np.float32) for scene in scenes[:2])
    nan, inf = (np.full(SIZE, value, np.float32) for value in (np.nan, np.inf))
    detector = CutDetector()
    assert [detector.is_cut(frame) for frame in (a, nan, inf, b)] == [False, False, False, True]


def test_reset_forgets(scenes):
    detector = CutDetector()
    a, b = (scene.astype(np.float32) for scene in scenes[:2])
    detector.is_cut(a)
    detector.reset()
    assert not detector.is_cut(b)
