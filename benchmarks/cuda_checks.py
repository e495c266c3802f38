"""Is the GPU right? Against the reference, against itself, and under compute-sanitizer."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ittisal

from .agreement import agreement
from .scenes import scene

MIN_CORRELATION = 0.9999
OPTIONS: dict[str, dict[str, Any]] = {
    "itti1998": {},
    "invt": {},
    "split_cs": {"split_cs": True},
    "walther": {"opponency": "walther", "split_cs": True},
    "iterative": {"normalisation": "iterative"},
    "none": {"normalisation": "none", "normalise_saliency": True, "normalise_opponents": True},
    "even": {"phase": "even", "border_attenuation": False},
    "replicate": {"upsampling": "replicate", "orientation_contrast": "rectified"},
    "nine_taps": {"reduction_taps": 9, "orientation_pyramid": "laplacian"},
    "linear": {"linear": True},
}
ODD = ((32, 32), (33, 37), (47, 2079), (129, 127), (611, 33), (301, 467))
USUAL = ((480, 640), (485, 643), (1080, 1920))


class Case(NamedTuple):
    """One comparison with the reference."""

    reading: str
    shape: tuple[int, int]
    dtype: str = "uint8"
    channels: int = 3
    order: str = "bgr"


def config_of(reading: str) -> ittisal.Config:
    """The config that a reading's name stands for."""
    base = ittisal.INVT if reading == "invt" else ittisal.ITTI_1998
    return replace(base, **OPTIONS[reading])


def cases(*, quick: bool) -> list[Case]:
    """What is compared: every size for the presets, a few for every option and kind of frame."""
    found = [Case(reading, shape) for reading in ("itti1998", "invt") for shape in ODD]
    found += [Case(reading, (129, 203)) for reading in OPTIONS]
    found += [
        Case("itti1998", (131, 197), dtype, channels, order)
        for dtype in ("uint8", "uint16", "float32")
        for channels, order in ((3, "rgb"), (3, "bgr"), (1, "rgb"))
    ]
    if not quick:
        found += [Case(reading, shape) for reading in ("itti1998", "invt") for shape in USUAL]
        found += [Case(reading, (480, 640)) for reading in list(OPTIONS)[2:]]
        found += [Case("itti1998", (2160, 3840))]
    return found


def model_of(case: Case, backend: str) -> ittisal.Saliency:
    """A model for a case."""
    return ittisal.Saliency(
        case.shape, config_of(case.reading), backend=backend, channel_order=case.order
    )


def frame_of(case: Case) -> np.ndarray:
    """The frame of a case."""
    return scene(case.shape, case.dtype, case.channels)


def reference_map(case: Case) -> np.ndarray:
    """The reference's map; run in a process of its own."""
    with model_of(case, "reference") as model:
        return model(frame_of(case))


def parity(backend: str, workers: int, *, quick: bool = False) -> Iterator[dict[str, Any]]:
    """One row per case: largest difference over the maximum, and Pearson's r."""
    found = sorted(cases(quick=quick), key=lambda case: -case.shape[0] * case.shape[1])
    context = multiprocessing.get_context("spawn")  # a GPU's context does not survive a fork
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        wanted = {case: pool.submit(reference_map, case) for case in found}
        for case in found:
            with model_of(case, backend) as model:
                got = model(frame_of(case))
            near = agreement(got, wanted[case].result())
            row = {**case._asdict(), "shape": list(case.shape)}
            yield {
                **row,
                "difference": near.difference,
                "r": near.r,
                "good": bool(near.r >= MIN_CORRELATION),
            }


def doors(cupy: Any) -> dict[str, bool]:
    """Whether every way in and out gives the same bits."""
    shape = (257, 403)
    frames = np.stack([scene(shape, seed=seed) for seed in range(9)])
    with ittisal.Saliency(shape, backend="cuda", channel_order="bgr") as model:
        singles = np.stack([model(frame) for frame in frames])

        def same(maps: Any) -> bool:
            return bool(np.array_equal(cupy.asnumpy(maps), singles))

        on_gpu = cupy.asarray(frames)
        out = cupy.zeros(singles.shape, np.float32)
        found = {
            "batch from the host": same(model(frames)),
            "batch on the GPU": same(model(on_gpu)),
            "frames on the GPU": same(cupy.stack([model(frame) for frame in on_gpu])),
            "out=": model(on_gpu, out=out) is out and same(out),
            "a strided frame": bool(
                np.array_equal(
                    cupy.asnumpy(model(on_gpu[0][:, ::-1])),
                    model(np.ascontiguousarray(frames[0][:, ::-1])),
                )
            ),
            "stream": same(np.stack(list(model.stream(frames)))),
        }
        pinned = model.pinned_frame(frames=9)
        pinned[:] = frames
        found["page-locked batch"] = same(model(pinned))
        other = cupy.cuda.Stream(non_blocking=True)
        with other:
            late = [model(frame) for frame in on_gpu]
        other.synchronize()
        found["another stream"] = same(cupy.stack(late))
        found["NaN gives NaN"] = nan_gives_nan(cupy, model)
        easy = ittisal.saliency_map(frames[0], backend="cuda", channel_order="bgr")
        full = ittisal.saliency_map(on_gpu[0], backend="cuda", channel_order="bgr")
        found["saliency_map"] = bool(np.abs(cupy.asnumpy(full) - easy).max() < 1e-6)
        try:
            import torch
        except ImportError:
            pass
        else:
            tensor = torch.from_numpy(frames).cuda()
            answer = model(tensor)
            found["torch"] = isinstance(answer, torch.Tensor) and bool(
                np.array_equal(answer.cpu().numpy(), singles)
            )
    return found


def nan_gives_nan(cupy: Any, model: ittisal.Saliency) -> bool:
    """Whether a bad value in a frame on the GPU gives no map at all, and the next frame its own."""
    good = cupy.asarray(scene(model.shape, "float32"))
    bad = good.copy()
    bad[3, 4, 1] = cupy.nan
    wanted = model(good)
    return bool(cupy.isnan(model(bad)).all()) and bool((model(good) == wanted).all())


def replays(cupy: Any, count: int = 1000) -> dict[str, Any]:
    """Ten frames in turn, `count` times, while another model works: each map the same each time."""
    shape, different = (480, 640), 0
    frames = cupy.asarray(np.stack([scene(shape, seed=seed) for seed in range(10)]))
    other_shape = (300, 401)
    other_frame = scene(other_shape)
    with (
        ittisal.Saliency(shape, backend="cuda", channel_order="bgr") as model,
        ittisal.Saliency(other_shape, backend="cuda") as other,
    ):
        wanted = cupy.stack([model(frame) for frame in frames])
        elsewhere = other(other_frame)
        out = cupy.empty((10, *model.map_shape), np.float32)
        for turn in range(count // 10):
            out.fill(-1)
            for k in range(10):
                model(frames[k], out=out[k])
            if turn % 10 == 0:
                different += not np.array_equal(other(other_frame), elsewhere)
            different += int((out != wanted).any())
    return {"replays": count, "different": different, "good": different == 0}


def sanitizer() -> dict[str, Any]:
    """compute-sanitizer over a small frame, if there is one: its last words."""
    tool = shutil.which("compute-sanitizer") or next(
        map(str, Path("/usr/local").glob("cuda*/bin/compute-sanitizer")), None
    )
    if tool is None:
        return {"missing": "compute-sanitizer is not here"}
    code = (
        "import numpy as np, ittisal\n"
        "from benchmarks.scenes import scene\n"
        "for config in (ittisal.ITTI_1998, ittisal.INVT):\n"
        "    with ittisal.Saliency((97, 131), config, backend='cuda') as model:\n"
        "        model(scene((97, 131))); model(scene((97, 131), 'float32', 1))\n"
    )
    found: dict[str, Any] = {}
    for check in ("memcheck", "racecheck", "synccheck", "initcheck"):
        command = [tool, "--tool", check, "--error-exitcode", "9", sys.executable, "-c", code]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=75)
        except subprocess.TimeoutExpired:
            found[check] = "took over 75 s"
            continue
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        found[check] = f"exit {done.returncode}: {lines[-1] if lines else 'silent'}"
        if done.returncode == 9:
            found[f"{check} says"] = "\n".join(lines[:40])
    return found
