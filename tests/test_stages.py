"""Every stage of the CPU backend against the reference, each fed the reference's own inputs.

So a fault is named where it occurs: a stage cannot be wrong because the one before it was.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from tolerances import correlation, within

from ittisal import INVT, ITTI_1998, reference
from ittisal.config import Channel
from ittisal.cpu.backend import CpuBackend
from ittisal.pipeline import STAGES
from ittisal.plan import Plan

# Sides around every power of two that adds a level, odd at several levels, thin and tiny.
SHAPES = [
    (32, 32),
    (33, 37),
    (63, 64),
    (47, 203),
    (129, 127),
    (32, 700),
    (611, 33),
    (255, 257),
    (256, 512),
    (301, 467),
    (485, 643),
]
CONFIGS = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "split": replace(ITTI_1998, split_cs=True, opponency="walther"),
    "even_bilinear": replace(ITTI_1998, phase="even", border_attenuation=False),
    "nine_taps": replace(ITTI_1998, reduction_taps=9, orientation_pyramid="laplacian"),
    "replicate": replace(
        ITTI_1998, upsampling="replicate", orientation_contrast="rectified", opponency="invt"
    ),
    "iterative": replace(ITTI_1998, normalisation="iterative", iterations=2),
    "unnormed": replace(
        ITTI_1998,
        normalisation="none",
        normalise_opponents=True,
        normalise_saliency=True,
        peak_mean="all",
        hue_reference="fixed",
        weights={"intensity": 1.0, "colour": 3.0, "orientation": 0.5},
        small_frames="clamp",
    ),
}
SMALL = SHAPES[:8]  # for the configs that differ in few stages
CASES = [
    (name, shape)
    for name in CONFIGS
    for shape in (SHAPES if name in ("itti1998", "invt") else SMALL)
]
# What each stage reads and writes, as prefixes of names in the trace.
PYRAMIDS = ("pyramid/", "orientation_pyramid/")
READS = {
    "opponency": (),
    "pyramid": PYRAMIDS,
    "orientation": PYRAMIDS,
    "centre_surround": ("pyramid/", "orientation/"),
    "normalise": ("centre_surround/",),
    "combine": ("centre_surround/",),
}
WRITES = {
    "opponency": PYRAMIDS,
    "pyramid": PYRAMIDS,
    "orientation": ("orientation/",),
    "centre_surround": ("centre_surround/",),
    "normalise": ("normalised/",),
    "combine": ("feature/", "conspicuity/", "saliency"),
}


@lru_cache(maxsize=4)
def photo_like(shape, dtype="uint8", channels=3):
    """Smooth coloured texture with a few hard-edged things and black regions in it."""
    rng = np.random.default_rng(shape[0] * 10007 + shape[1])
    height, width = shape
    y, x = np.mgrid[:height, :width]
    frame = np.zeros((*shape, channels))
    for c in range(channels):
        for _ in range(6):
            fy, fx, p = [*rng.uniform(0, 0.5, 2), rng.uniform(0, 7)]
            frame[..., c] += rng.uniform(0, 0.1) * np.sin(fy * y + fx * x + p)
    frame += rng.uniform(0.2, 0.7, channels)
    for _ in range(7):
        a, b = rng.integers(0, height - 8), rng.integers(0, width - 8)
        h, w = rng.integers(4, max(height // 4, 5)), rng.integers(4, max(width // 4, 5))
        frame[a : a + h, b : b + w] = rng.uniform(0, 1, channels) * (rng.random() > 0.3)
    frame = np.clip(frame + rng.normal(0, 0.02, frame.shape), 0, 1)
    frame = frame[..., 0] if channels == 1 else frame
    if dtype == "float32":
        return frame.astype(np.float32)
    return np.round(frame * np.iinfo(dtype).max).astype(dtype)


@lru_cache(maxsize=4)
def reference_trace(name, shape, dtype="uint8", channels=3):
    return reference.trace(photo_like(shape, dtype, channels), CONFIGS[name])


def run_stage(name, shape, stage, dtype="uint8", channels=3, threads=1):
    """The stage's results on the reference's inputs, and the reference's, by name."""
    frame, wanted = (
        photo_like(shape, dtype, channels),
        reference_trace(name, shape, dtype, channels),
    )
    backend = CpuBackend(Plan(shape, CONFIGS[name]), "rgb", threads)
    out = np.empty(backend.plan.map_shape, np.float32)
    backend.run(frame, out)  # what a stage needs besides: the brightest pixel, say
    number = STAGES.index(stage)
    views = backend.views(frame.ndim)
    for key, view in views.items():
        given = key.startswith(READS[stage])
        if stage == "pyramid" and not key.endswith("/2"):
            given = False  # levels 3 up are its results
        view[:] = wanted[key] if given else np.nan if not key.startswith("orient") else 0
    first = number - 1 if stage == "combine" else number  # N has no results but its numbers
    backend.stages(frame, out, first, number)
    got = {**views, **backend.results(frame.ndim), "saliency": out}
    skip = () if stage != "opponency" else tuple(f"/{level}" for level in range(3, 9))
    backend.close()
    return {
        key: (value, wanted[key])
        for key, value in got.items()
        if key.startswith(WRITES[stage]) and not (skip and key.endswith(skip))
    }


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("name", "shape"), CASES, ids=lambda v: str(v).replace(" ", ""))
def test_stage_is_the_references(name, shape, stage):
    results = run_stage(name, shape, stage)
    assert results
    for key, (got, wanted) in results.items():
        try:
            within(f"stage_{stage}", got, wanted)
        except AssertionError as error:
            raise AssertionError(f"{key}: {error}") from None


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_kind_of_frame(dtype, channels, stage):
    for got, wanted in run_stage("itti1998", (131, 197), stage, dtype, channels).values():
        within(f"stage_{stage}", got, wanted)


def test_colour_is_left_out_where_it_has_no_weight():
    config = replace(ITTI_1998, weights={"intensity": 1, "orientation": 1})
    frame = photo_like((129, 127))
    backend = CpuBackend(Plan((129, 127), config), "rgb", 1)
    got, wanted = backend.trace(frame), reference.trace(frame, config)
    assert not any("red_green" in key or str(Channel.COLOUR) in key for key in got)
    within("cpu", got["saliency"], wanted["saliency"])


@pytest.mark.parametrize("name", CONFIGS)
def test_whole_map(name):
    """From the frame on, each stage on the one before's float32."""
    shape = (301, 467) if name in ("itti1998", "invt") else (255, 257)
    backend = CpuBackend(Plan(shape, CONFIGS[name]), "rgb", 1)
    out = np.empty(backend.plan.map_shape, np.float32)
    backend.run(photo_like(shape), out)
    wanted = reference_trace(name, shape)["saliency"]
    assert correlation(out, wanted) >= 0.9999
