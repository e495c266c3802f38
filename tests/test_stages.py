"""Every stage of every backend against the reference, each fed the reference's own inputs.

So a fault is named where it occurs: a stage cannot be wrong because the one before it was. The CUDA
kernels run on the host (`host_device`), through the launches that a GPU would get.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import host_kernels
import numpy as np
import pytest
from host_device import HostDevice
from tolerances import THRESHOLD_REACH, TOLERANCES, correlation, within, within_past_threshold

from ittisal import GAZE, INVT, ITTI_1998, TOOLBOX, VIDEO, WHITENED, Config, cpu, cuda, reference
from ittisal.config import Channel, Smoothing
from ittisal.cuda.backend import CudaBackend
from ittisal.cuda.layout import STATISTIC_SIZE
from ittisal.cuda.schedule import schedule
from ittisal.cuda.structs import SIZES
from ittisal.features import FEATURES
from ittisal.pipeline import FIRST_FRAME, STAGES, FrameFormat, frame_timing, stages
from ittisal.plan import Plan

KINDS = ["cpu", "cuda"]

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
    "even_bilinear": replace(ITTI_1998, phase="even", border_attenuation=False, centre_prior=0.28),
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
    "linear": replace(ITTI_1998, linear=True, hue_reference="fixed"),
    "toolbox": TOOLBOX,
}
FEATURE_WEIGHTS = {"blue_yellow": 0.3, "orientation_0": 0, "orientation_45": 4}
CONFIGS |= {
    "weighted": replace(ITTI_1998, feature_weights=FEATURE_WEIGHTS),
    "weighted_opponents": replace(INVT, feature_weights=FEATURE_WEIGHTS, normalise_opponents=True),
    "weighted_iterative": replace(
        ITTI_1998,
        feature_weights={**FEATURE_WEIGHTS, "red_green": 0, "blue_yellow": 0},
        normalisation="iterative",
        iterations=2,
    ),
}
# The same on the third of some quick frames.
MOVING = {
    "video": VIDEO,
    "video_split": replace(VIDEO, split_cs=True, smoothing="ema"),
    "video_invt": replace(INVT, weights=dict.fromkeys(Channel, 1), smoothing="leaky"),
    "flicker": Config(weights={"flicker": 1}),
    "motion": Config(weights={"motion": 1}, motion_threshold=1e-3),
    "leaky": replace(ITTI_1998, smoothing="leaky", centre_prior=0.2),
    "video_linear": replace(VIDEO, linear=True),
}
# By statistics of the frame.
WHITENING = {
    "whitened": WHITENED,
    "gaze": GAZE,
    "gaze_invt": replace(INVT, figure=True, centre_prior=0.5),
}
# By those of the frames before.
AVERAGING = {
    "gaze_video": replace(
        GAZE,
        weights=dict.fromkeys(Channel, 1),
        whitening_seconds=0.03,
        normalise_saliency=True,
    ),
}
# Each at P98's levels; and some at finer ones, by one level where the longer side is under 566
# pixels and by two under 283.
SHIFTED = ("itti1998", "invt", "split", "nine_taps", "iterative", "video", "video_invt")
SHIFTED += (*WHITENING, *AVERAGING)
for table in (CONFIGS, MOVING, WHITENING, AVERAGING):
    for name, config in [*table.items()]:
        table[name] = replace(config, working_size=0)
        if name in SHIFTED:
            table[f"{name}_shifted"] = replace(config, working_size=800)
STILLS = CONFIGS | WHITENING
EVERY = STILLS | MOVING | AVERAGING
SUPPORTS = {"cpu": cpu.supports, "cuda": cuda.supports}
TIMES = (0.0, 0.01, 0.022)  # seconds: so quick that flicker's background fades
FEW = [(33, 37), (47, 203), (129, 127)]  # for the configs that differ in few stages
# For frames in time: sizes at which no two peaks of a map nearly tie.
MOVED = [(133, 127) if shape == (129, 127) else shape for shape in SHAPES[:8]]
# Widths and heights about the CUDA blocks' tiles: 29, 62 or 128 samples of level 4 across (26, 60
# and 128 with nine taps), 29 or 26 of level 2, 48 of a level's energies, 4 or 8 or 16 rows down.
TILED = [(40, 29 * 16), (71, 29 * 16 + 17), (64, 62 * 16 + 1), (47, 128 * 16 + 31), (1031, 57)]
TILED += [(48, 520), (97, 2079)]  # wide, and too low for the far surrounds
SCENES = [
    (name, shape)
    for name in CONFIGS
    for shape in (SHAPES if name in ("itti1998", "invt", "toolbox") else FEW)
]
SCENES += [(f"{name}_shifted", (301, 467)) for name in ("itti1998", "invt", "gaze", "whitened")]
SCENES += [(f"{name}_shifted", (32, 33)) for name in ("itti1998", "gaze", "whitened")]
SCENES += [(name, shape) for name in MOVING for shape in (MOVED if name == "video" else FEW[:2])]
# The last two have their corners at levels 3 and 4, and so their figures at 4 and 5.
FRAMED = [(33, 47), (255, 257), (47, 203), (40, 1500), (97, 1111), (130, 2100)]
SCENES += [
    (name, shape)
    for name in WHITENING | AVERAGING
    for shape in (FRAMED if name in ("gaze", "whitened") else FRAMED[:2])
]
# Both kinds in turn, so that the reference's trace of a scene serves both.
CASES = [
    (kind, name, shape)
    for name, shape in SCENES
    for kind in KINDS
    if SUPPORTS[kind](EVERY[name])[0]
    # Decoded before any stage; golden maps look at it.
    and not (kind == "cpu" and EVERY[name].linear)
]
CASES += [("cuda", name, shape) for name in ("itti1998", "invt", "video") for shape in TILED]


def has_stage(config, stage):
    """Whether a config needs a stage."""
    return stage in stages(Plan((64, 64), config), colour=True, past=True)


def shows(kind, name, stage):
    """Whether a stage has results that are not shown by others."""
    config = EVERY[name]
    if "weighted" in name and stage != "combine":
        return False
    if name in WHITENING | AVERAGING and stage not in ("opponency", "whiten", "figure", "combine"):
        return False
    if (kind, stage) == ("cpu", "whiten"):  # hands on planes as they are, and a triangle
        return config.has(Channel.WHITENED)
    return has_stage(config, stage)


# What each stage reads and writes, as prefixes of names in the trace.
PYRAMIDS = ("pyramid/", "orientation_pyramid/")
LEVEL_PLANES = {
    feature.stage: (feature.planes.split("/")[0] + "/",)
    for feature in FEATURES
    if feature.stage != "opponency"
}
READS: dict[str, tuple[str, ...]] = {
    "opponency": (),
    "pyramid": PYRAMIDS,
    **{stage: PYRAMIDS for stage in LEVEL_PLANES},  # of motion, the last frame's too
    "whiten": ("pyramid/",),
    "figure": ("pyramid/", "whitened/", "orientation/"),
    "centre_surround": ("pyramid/", *(planes[0] for planes in LEVEL_PLANES.values())),
    "normalise": ("centre_surround/",),
    "combine": (
        "centre_surround/",
        "feature/whitened_",
        "conspicuity/whitened",
        "figure",
        "corners",
    ),
}
WRITES = {
    "opponency": PYRAMIDS,
    "pyramid": PYRAMIDS,
    **LEVEL_PLANES,
    "whiten": (
        "statistics/",
        "whitened/",
        "scale/",
        "feature/whitened_",
        "conspicuity/whitened",
    ),
    "figure": ("surroundedness/", "figure", "corners"),
    "centre_surround": ("centre_surround/",),
    "normalise": ("normalised/",),
    "combine": ("feature/", "weighted/", "conspicuity/", "contribution/", "saliency"),
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


def movie(shape, dtype="uint8", channels=3):
    """Three frames that a camera sees as it moves down and to the right, then back up, over such a
    texture. The sizes are odd, so that nothing falls on the pyramid's own grid.
    """
    whole = photo_like((shape[0] + 11, shape[1] + 13), dtype, channels)
    return [
        np.ascontiguousarray(whole[y : y + shape[0], x : x + shape[1]])
        for y, x in ((0, 0), (5, 7), (2, 13))
    ]


def timings_of(config):
    """The timings of frames at `TIMES`."""
    elapsed = [None, *np.diff(TIMES)]
    return [frame_timing(config, dt) for dt in elapsed]


@lru_cache(maxsize=4)
def scene(name, shape, dtype="uint8", channels=3):
    """Frames, their timings, what the reference has before the last one, and its trace of that."""
    config = EVERY[name]
    if name in STILLS:
        frame = photo_like(shape, dtype, channels)
        return [frame], [FIRST_FRAME], None, reference.trace(frame, config)
    frames, past, elapsed = movie(shape, dtype, channels), None, [0.0, *np.diff(TIMES)]
    for frame, dt in zip(frames, elapsed, strict=True):
        trace = reference.trace(frame, config, past=past, elapsed=dt)
        before, past = past, reference.passed(trace, config, past, dt)
    return frames, timings_of(config), before, trace


def make(kind, shape, config, order="rgb"):
    """A backend whose buffers can be written to from here."""
    if kind == "cpu":
        return cpu.make(Plan(shape, config), order, 1)
    if not host_kernels.HAS_COMPILER:
        pytest.skip(host_kernels.NO_COMPILER)
    return CudaBackend(Plan(shape, config), order, HostDevice())


def give_past(kind, backend, past):
    """Put what the reference has of the last frame where a backend keeps it.

    But for flicker's background, which has a form of its own.
    """
    if kind == "cuda":
        give_cuda_past(backend, past)
        return
    plan = backend.plan
    if plan.config.has(Channel.MOTION):
        for level in plan.levels:
            backend.layout.plane("previous_intensity", level)[:] = past.levels[level]
    if plan.config.averages:
        for running, statistics in zip(
            backend.statistics[1], past.statistics.values(), strict=False
        ):
            count, columns = statistics.shape
            running[:count, :columns] = statistics
    if plan.config.smoothing is not Smoothing.NONE:
        backend.smoothed[0] = past.saliency


def give_cuda_past(backend, past):
    """The same for the CUDA backend, in its arena."""
    plan, arena, geometry = backend.plan, backend.arena, backend.layout.geometry
    if plan.config.has(Channel.MOTION):
        for level in plan.levels:
            backend.buffers().plane("previous_intensity", level)[:] = past.levels[level]
    if plan.config.averages:
        size = SIZES["STATISTICS"] * STATISTIC_SIZE
        first = int(geometry["statistics"]) + 2 * size
        running = arena[first : first + 2 * size].view(np.float64)
        for number, statistics in enumerate(past.statistics.values()):
            running[number * STATISTIC_SIZE :][: statistics.size] = statistics.ravel()
    if plan.config.smoothing is not Smoothing.NONE:
        first = int(geometry["smoothed"])
        arena[first : first + past.saliency.size] = past.saliency.ravel()


def cuda_launches(backend):
    """What the CUDA backend launches for a uint8 colour frame that follows another."""
    return schedule(backend.layout, FrameFormat("uint8", 3), 1)


def stage_results(backend, frame, stage, trace):
    """The stage's results on the reference's inputs, and the reference's, by name."""
    out = np.full(backend.plan.map_shape, np.nan, np.float32)
    views, finest = backend.views(), backend.plan.finest_level
    for key, view in views.items():
        given = key.startswith(READS[stage])
        if stage == "pyramid" and not key.endswith(f"/{finest}"):
            given = False  # the levels above are its results
        view[:] = trace[key] if given else np.nan if not key.startswith("orient") else 0
    number = STAGES.index(stage)
    first = number - 1 if stage == "combine" else number  # N has no results but its numbers
    backend.run_stages(frame, out, STAGES[first : number + 1])
    got = {**views, **backend.results(), "saliency": out}
    skip = () if stage != "opponency" else tuple(f"/{level}" for level in range(finest + 1, 9))
    return {
        key: (value, trace[key])
        for key, value in got.items()
        if key.startswith(WRITES[stage]) and not (skip and key.endswith(skip))
    }


def check_stages(kind, name, shape, chosen, dtype="uint8", channels=3):
    """Assert that each chosen stage's results are the reference's."""
    config = EVERY[name]
    frames, timings, past, trace = scene(name, shape, dtype, channels)
    backend = make(kind, shape, config)
    out = np.empty(backend.plan.map_shape, np.float32)
    for frame, timing in zip(frames, timings, strict=True):
        backend.run(frame, out, timing)  # what a stage needs besides: the brightest pixel, say
    if past is not None:
        give_past(kind, backend, past)
    fixed_point = dtype == "uint8" and channels == 3 and not config.linear
    for stage in chosen:
        results = stage_results(backend, frames[-1], stage, trace)
        assert results
        for key, (got, wanted) in results.items():
            try:
                if stage == "motion":
                    _, direction, level = key.split("/")
                    levels = trace[f"pyramid/intensity/{level}"], past.levels[int(level)]
                    response = reference.motion(*levels, int(direction), -np.inf)
                    within_past_threshold("stage_motion", got, response, config.motion_threshold)
                elif key.startswith("pyramid/flicker/") and fixed_point and stage == "opponency":
                    within("stage_flicker_fixed_point", got, wanted)
                elif key.startswith("statistics/"):
                    within("stage_statistics", got, wanted)
                elif key.startswith("weighted/"):
                    within("stage_weighted", got, wanted)
                else:
                    limit = f"stage_{stage}"
                    within(limit if limit in TOLERANCES else "stage_level", got, wanted)
            except AssertionError as error:
                raise AssertionError(f"{stage}, {key}: {error}") from None
    backend.close()


@pytest.mark.parametrize(
    ("kind", "name", "shape"), CASES, ids=lambda value: str(value).replace(" ", "")
)
def test_stages_are_the_references(kind, name, shape):
    check_stages(kind, name, shape, [stage for stage in STAGES if shows(kind, name, stage)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("cpu", "itti1998"), ("cuda", "itti1998"), ("cuda", "linear"),
        ("cpu", "toolbox"), ("cuda", "toolbox"),
        ("cpu", "video"), ("cuda", "video"), ("cuda", "video_linear"),
        ("cuda", "gaze"), ("cpu", "video_shifted"), ("cuda", "video_shifted"),
        ("cuda", "whitened"),
    ],
)  # fmt: skip
def test_every_kind_of_frame(kind, name, dtype, channels):
    # Sizes at which no two peaks of a map nearly tie: (M - m)^2 would be but rounding.
    shape = (131, 197) if name in STILLS else (135, 203)
    stages = [stage for stage in STAGES if has_stage(EVERY[name], stage)]
    check_stages(kind, name, shape, stages, dtype, channels)


@pytest.mark.parametrize("shape", [(131, 197), (32, 32)])
def test_grey_frames_are_whitened_alone(shape):
    """As above, in the one kind that differs, and smaller than any level 4 with a border."""
    check_stages("cpu", "whitened", shape, ["whiten", "combine"], "float32", 1)


def test_the_movies_leave_nothing_untested():
    """Every temporal map has something in it; thresholds are met from both sides, and never so
    often near by that the comparison passes over a map.
    """
    for shape in (*MOVED, (135, 203)):
        frames, _, past, trace = scene("video", shape)
        moved = {key: x for key, x in trace.items() if key.startswith("motion/")}
        assert all(x.any() for key, x in moved.items() if key.endswith(("/2", "/3")))
        assert trace["pyramid/flicker/2"].max() > 0.1
        faded = past.background
        assert abs(faded - reference.intensity(reference.to_unit(frames[1]))).max() > 0.05
        for key in moved:
            _, direction, level = key.split("/")
            levels = trace[f"pyramid/intensity/{level}"], past.levels[int(level)]
            response = reference.motion(*levels, int(direction), -np.inf)
            near = abs(response - VIDEO.motion_threshold) <= THRESHOLD_REACH
            assert near.mean() < 0.01 or near.sum() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_colour_is_left_out_where_it_has_no_weight(kind):
    config = replace(ITTI_1998, weights={"intensity": 1, "orientation": 1})
    frame = photo_like((129, 127))
    backend = make(kind, (129, 127), config)
    got, wanted = backend.trace(frame), reference.trace(frame, config)
    assert not any("red_green" in key or str(Channel.COLOUR) in key for key in got)
    within("float32", got["saliency"], wanted["saliency"])


@pytest.mark.parametrize("name", ["itti1998", "weighted", "weighted_iterative", "video"])
@pytest.mark.parametrize("kind", ["reference", *KINDS])
def test_weighted_features_add_up_to_conspicuity_maps(kind, name):
    frames, timings, _, trace = scene(name, (133, 127))
    if kind != "reference":
        backend = make(kind, (133, 127), EVERY[name])
        for frame, timing in zip(frames, timings, strict=True):
            trace = backend.trace(frame, timing)
    parts: dict[str, list[np.ndarray]] = {}
    for feature in FEATURES:
        if f"weighted/{feature.name}" in trace:
            parts.setdefault(feature.channel, []).append(trace[f"weighted/{feature.name}"])
    assert {channel for channel in Channel if EVERY[name].has(channel)} == parts.keys()
    for channel, maps in parts.items():
        within("same_maths", np.sum(maps, axis=0), trace[f"conspicuity/{channel}"])
    if "weighted" in name:
        assert not trace["weighted/orientation_0"].any() and trace["weighted/orientation_45"].any()
    if name == "weighted_iterative":
        assert not trace["contribution/colour"].any()


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k in KINDS for n in EVERY if SUPPORTS[k](EVERY[n])[0]]
)
def test_whole_map(kind, name):
    """From the frames on, each stage on the one before's float32."""
    shape = (301, 467) if name in ("itti1998", "invt") else (255, 257)
    backend = make(kind, shape, EVERY[name])
    out = np.empty(backend.plan.map_shape, np.float32)
    frames, timings, _, trace = scene(name, shape)
    for frame, timing in zip(frames, timings, strict=True):
        backend.run(frame, out, timing)
    assert correlation(out, trace["saliency"]) >= 0.9999


def saliency_of(backend, shape):
    out = np.empty(backend.plan.map_shape, np.float32)
    backend.run(photo_like(shape), out)
    return out


@pytest.mark.parametrize("name", ["itti1998", "invt"])
def test_coarse_levels_of_large_frames(monkeypatch, name):
    """Planes too large for one block are halved by tiles once more, or twice: the same levels."""
    shape = (517, 709)
    wanted = make("cuda", shape, CONFIGS[name]).trace(photo_like(shape))
    for alone, launched in ((300, 2), (1, 3)):
        monkeypatch.setattr("ittisal.cuda.schedule.ALONE", alone)
        backend = make("cuda", shape, CONFIGS[name])
        launches = [one.kernel for one in cuda_launches(backend)]
        assert launches.count("pyramid") == launched
        got = backend.trace(photo_like(shape))
        for key in (key for key in got if key.startswith(PYRAMIDS)):
            within("same_maths", got[key], wanted[key])


@pytest.mark.parametrize("name", ["itti1998", "invt", "split"])
def test_tiles_of_every_height(monkeypatch, name):
    """Which one a frame gets depends on its size and on how many there are; all give the same."""
    shape = (517, 709)
    wanted = saliency_of(make("cuda", shape, CONFIGS[name]), shape)
    monkeypatch.setattr("ittisal.cuda.schedule.ENOUGH", 1)
    for rows in (16, 8, 4):
        monkeypatch.setattr("ittisal.cuda.schedule.ROWS", (rows, 4))
        backend = make("cuda", shape, CONFIGS[name])
        launches = {one.kernel: one for one in cuda_launches(backend)}
        assert launches["opponency"].arguments[-1] == rows
        np.testing.assert_array_equal(saliency_of(backend, shape), wanted)
