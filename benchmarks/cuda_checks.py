"""Is the GPU right? Against the reference, against itself, and under compute-sanitizer."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ittisal

from .agreement import agreement
from .apart import ROOT
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
    "video": {},
    "leaky": {"smoothing": "leaky", "split_cs": True},
    "whitened": {},
    "gaze": {},
    "gaze_video": {
        "weights": dict.fromkeys(dict(ittisal.VIDEO.weights), 1),  # every channel
        "whitening_seconds": 0.1,
        "smoothing": "leaky",
    },
}
MOVED = (3, -5)  # pixels down and across, from a frame to the next where maps depend on it
ODD = ((32, 32), (33, 37), (47, 2079), (129, 127), (611, 33), (301, 467))
INTERFACES = (257, 403), 9  # shape and number of the frames
TYPICAL = ((480, 640), (485, 643), (1080, 1920))


class Case(NamedTuple):
    """One comparison with the reference."""

    reading: str
    shape: tuple[int, int]
    dtype: str = "uint8"
    channels: int = 3
    order: str = "bgr"


def config_of(reading: str) -> ittisal.Config:
    """The config that a reading's name stands for."""
    bases = {
        "invt": ittisal.INVT,
        "video": ittisal.VIDEO,
        "leaky": ittisal.VIDEO,
        "whitened": ittisal.WHITENED,
        "gaze": ittisal.GAZE,
        "gaze_video": ittisal.GAZE,
    }
    base = bases.get(reading, ittisal.ITTI_1998)
    return replace(base, **OPTIONS[reading])


def small() -> list[Case]:
    """Odd, thin and tiny sizes for the presets; every option and every frame format once."""
    presets = "itti1998", "invt", "video", "whitened", "gaze"
    found = [Case(reading, shape) for reading in presets for shape in ODD]
    found += [Case(reading, (129, 203)) for reading in OPTIONS]
    found += [
        Case(reading, (131, 197), dtype, channels, order)
        for reading in ("itti1998", "video", "gaze")
        for dtype in ("uint8", "uint16", "float32")
        for channels, order in ((3, "rgb"), (3, "bgr"), (1, "rgb"))
    ]
    return found


def large() -> list[Case]:
    """The sizes of cameras, for the presets; one of them for every option."""
    found = [Case("itti1998", (2160, 3840))]  # first: its reference takes longest
    found += [Case(reading, shape) for reading in ("itti1998", "invt") for shape in TYPICAL[::-1]]
    found += [Case(reading, (1080, 1920)) for reading in ("whitened", "gaze")]
    return found + [Case(reading, (480, 640)) for reading in list(OPTIONS)[2:]]


def model_of(case: Case, backend: str) -> ittisal.Saliency:
    """A model for a case."""
    return ittisal.Saliency(
        case.shape, config_of(case.reading), backend=backend, channel_order=case.order
    )


def map_of(case: Case, backend: str) -> np.ndarray:
    """The map of a case's frame: of the one after it, where a model remembers it."""
    frame = scene(case.shape, case.dtype, case.channels)
    with model_of(case, backend) as model:
        saliency = model(frame)
        if model.config.remembers:
            saliency = model(np.roll(frame, MOVED, (0, 1)))
    return saliency


def reference_map(case: Case) -> np.ndarray:
    """The reference's map; run in a process of its own."""
    return map_of(case, "reference")


def parity(backend: str, workers: int, cases: list[Case]) -> Iterator[dict[str, Any]]:
    """One row per case: largest difference over the maximum, and Pearson's r; or its failure."""
    context = multiprocessing.get_context("spawn")  # a GPU's context does not survive a fork
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        wanted = {case: pool.submit(reference_map, case) for case in cases}
        for case in cases:
            row = {**case._asdict(), "shape": list(case.shape)}
            print(row, flush=True)  # so that it is known which one never ended
            try:
                near = agreement(map_of(case, backend), wanted[case].result())
            except Exception:
                yield {**row, "good": False, "failed": traceback.format_exc()}
                continue
            yield {
                **row,
                "difference": near.difference,
                "r": near.r,
                "good": bool(near.r >= MIN_CORRELATION),
            }


def interfaces(cupy: Any) -> Iterator[tuple[str, bool | str]]:
    """Whether every way in and out gives the same bits; a traceback where one is shut."""
    shape, count = INTERFACES
    frames = np.stack([scene(shape, seed=seed) for seed in range(count)])
    with ittisal.Saliency(shape, backend="cuda", channel_order="bgr") as model:
        singles = np.stack([model(frame) for frame in frames])

        def same(maps: Any) -> bool:
            return bool(np.array_equal(cupy.asnumpy(maps), singles))

        on_gpu = cupy.asarray(frames)

        def given_out() -> bool:
            out = cupy.zeros(singles.shape, np.float32)
            return model(on_gpu, out=out) is out and same(out)

        def strided() -> bool:
            mirrored = model(np.ascontiguousarray(frames[0][:, ::-1]))
            return bool(np.array_equal(cupy.asnumpy(model(on_gpu[0][:, ::-1])), mirrored))

        def page_locked() -> bool:
            pinned = model.pinned_frame(frames=len(frames))
            pinned[:] = frames
            one = all(np.array_equal(model(f), m) for f, m in zip(pinned, singles, strict=True))
            return one and same(model(pinned)) and same(np.stack(list(model.stream(pinned))))

        def another_stream() -> bool:
            other = cupy.cuda.Stream(non_blocking=True)
            with other:
                late = [model(frame) for frame in on_gpu]
            other.synchronize()
            return same(cupy.stack(late))

        def easy() -> bool:
            here = ittisal.saliency_map(frames[0], backend="cuda", channel_order="bgr")
            there = ittisal.saliency_map(on_gpu[0], backend="cuda", channel_order="bgr")
            return bool(np.abs(cupy.asnumpy(there) - here).max() < 1e-6)

        ways: dict[str, Callable[[], bool]] = {
            "batch from the host": lambda: same(model(frames)),
            "batch on the GPU": lambda: same(model(on_gpu)),
            "frames on the GPU": lambda: same(cupy.stack([model(frame) for frame in on_gpu])),
            "out=": given_out,
            "a strided frame": strided,
            "stream": lambda: same(np.stack(list(model.stream(frames)))),
            "page-locked": page_locked,
            "another stream": another_stream,
            "frames that remember": lambda: remember(cupy, frames),
            "NaN gives NaN": lambda: nan_gives_nan(cupy, model),
            "saliency_map": easy,
            "torch": lambda: torch_in_and_out(model, frames, singles),
        }
        for name, way in ways.items():
            print(name, flush=True)
            try:
                yield name, way()
            except ImportError as error:
                if name != "torch":
                    yield name, traceback.format_exc()
                else:
                    print(f"no torch: {error}", flush=True)
            except Exception:
                yield name, traceback.format_exc()


def torch_in_and_out(model: ittisal.Saliency, frames: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether a tensor on the GPU gives a tensor there, and the same bits."""
    import torch

    answer = model(torch.from_numpy(frames).cuda())
    return isinstance(answer, torch.Tensor) and bool(np.array_equal(answer.cpu().numpy(), wanted))


def remember(cupy: Any, frames: np.ndarray) -> bool:
    """Whether frames in a row give the same from the host, on the GPU, in a batch and streamed."""
    times = np.arange(len(frames)) / 50
    options: dict[str, Any] = {"backend": "cuda", "channel_order": "bgr"}
    with ittisal.Saliency(frames.shape[1:3], ittisal.VIDEO, **options) as model:
        every = [np.stack([model(f, time=t) for f, t in zip(frames, times, strict=True)])]
        model.reset()
        every.append(model(frames, time=times))
        model.reset()
        every.append(cupy.asnumpy(model(cupy.asarray(frames), time=times)))
        model.reset()
        every.append(np.stack(list(model.stream(frames, times=times))))
    return all(np.array_equal(maps, every[0]) for maps in every)


def nan_gives_nan(cupy: Any, model: ittisal.Saliency) -> bool:
    """Whether a bad value in a frame on the GPU gives no map at all, and the next frame its own."""
    good = cupy.asarray(scene(model.shape, "float32"))
    bad = good.copy()
    bad[3, 4, 1] = cupy.nan
    wanted = model(good)
    alone = bool(cupy.isnan(model(bad)).all()) and bool((model(good) == wanted).all())
    with ittisal.Saliency(model.shape, ittisal.VIDEO, backend="cuda") as video:
        first, second = video(good), video(good[::-1])
        video.reset()
        same = bool((video(good) == first).all()) and bool(cupy.isnan(video(bad)).all())
        same = same and bool((video(good[::-1]) == second).all())
    return alone and same


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


SANITIZED = """
import sys
import numpy as np
import ittisal
from benchmarks.scenes import scene
shape = (int(sys.argv[1]), int(sys.argv[2]))
for config in (ittisal.ITTI_1998, ittisal.INVT, ittisal.VIDEO, ittisal.WHITENED, ittisal.GAZE):
    with ittisal.Saliency(shape, config, backend="cuda") as model:
        model(scene(shape))
        model(scene(shape, seed=1))
        model(np.stack([scene(shape, "float32", 1)] * 3))
"""
TOOLS = {  # options, and the frame: racecheck is the slowest
    "memcheck": (("--report-api-errors", "no"), (97, 131)),  # CuPy asks what it knows may fail
    "racecheck": ((), (32, 32)),
    "synccheck": ((), (97, 131)),
}


def sanitizer(seconds: float = 110) -> Iterator[tuple[str, Any]]:
    """compute-sanitizer over a small frame, if there is one: its last lines."""
    tool = find_sanitizer()
    if tool is None:
        yield "missing", "compute-sanitizer is not here"
        return
    end = time.perf_counter() + seconds
    for check, (options, shape) in TOOLS.items():
        command = [tool, "--tool", check, *options, "--error-exitcode", "9"]
        command += [sys.executable, "-c", SANITIZED, *map(str, shape)]
        limit = min(end - time.perf_counter(), 60)
        if limit < 5:
            yield check, "no time left"
            continue
        start = time.perf_counter()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=limit, cwd=ROOT
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            yield check, f"no answer: {type(error).__name__}, {limit:.0f} s"
            continue
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        summary = [line for line in lines if "SUMMARY" in line] or lines[-1:] or ["silent"]
        spent = time.perf_counter() - start
        yield check, f"exit {done.returncode}: {summary[-1].strip('= ')} ({spent:.0f} s)"
        if done.returncode:
            yield f"{check} says", "\n".join(lines[:40] + lines[40:][-20:])


def find_sanitizer() -> str | None:
    """The tool on the path, in a toolkit, or in NVIDIA's wheels."""
    on_path = shutil.which("compute-sanitizer")
    if on_path:
        return on_path
    wheels = Path(sysconfig.get_paths()["purelib"], "nvidia")
    places = [
        *Path("/usr/local").glob("cuda*/bin/compute-sanitizer"),
        *Path("/usr/local").glob("cuda*/compute-sanitizer/compute-sanitizer"),
        *wheels.glob("**/compute-sanitizer"),
    ]
    return next((str(path) for path in places if path.is_file()), None)
