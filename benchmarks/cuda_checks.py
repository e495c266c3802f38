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
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ittisal
from ittisal import GAZE, GBVS, INVT, ITTI_1998, TOOLBOX, VIDEO, WHITENED, cuda
from ittisal.cuda import compiler

from .agreement import agreement
from .apart import ROOT
from .machine import usable_cores
from .scenes import scene

MIN_CORRELATION = 0.9999
CONFIGS = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "video": VIDEO,
    "whitened": WHITENED,
    "gaze": GAZE,
    "toolbox": TOOLBOX,
    "gbvs": GBVS,
    "split_cs": replace(ITTI_1998, split_cs=True),
    "walther": replace(ITTI_1998, opponency="walther", split_cs=True),
    "iterative": replace(ITTI_1998, normalisation="iterative"),
    "none": replace(
        ITTI_1998, normalisation="none", normalise_saliency=True, normalise_opponents=True
    ),
    "even": replace(ITTI_1998, phase="even", border_attenuation=False),
    "replicate": replace(ITTI_1998, upsampling="replicate", orientation_contrast="rectified"),
    "nine_taps": replace(ITTI_1998, reduction_taps=9, orientation_pyramid="laplacian"),
    "linear": replace(ITTI_1998, linear=True),
    "leaky": replace(VIDEO, smoothing="leaky", split_cs=True),
    "gaze_video": replace(
        GAZE,
        weights=dict.fromkeys(dict(VIDEO.weights), 1),  # every channel
        whitening_seconds=0.1,
        smoothing="leaky",
    ),
}
PRESETS = tuple(CONFIGS)[:7]
TURNS = 4  # of the same frames: launched one by one, then as recorded graphs
MOVED = (3, -5)  # pixels down and across, from a frame to the next where maps depend on it
ODD = ((32, 32), (33, 37), (47, 2079), (129, 127), (611, 33), (301, 467))
INTERFACES = (257, 403), 9  # shape and number of the frames
REPLAYED = ("itti1998", (480, 640)), ("gaze", (300, 401))
PRESET_SHAPES = ((301, 467), (1080, 1920))
# How far a stage's results may be off: by so much of the largest wanted value, and so much in their
# own unit. By how names in the trace begin, in the order of the model. Before N it is what rounding
# does to float32, with room for powers and roots that differ between GPUs.
BEFORE_N = {
    "pyramid/flicker": (1e-5, 1e-4),  # in fixed point its background is rounded down
    "pyramid/": (1e-5, 1e-6),
    "orientation": (1e-5, 1e-6),
    "motion/": (1e-5, 5e-5),  # at its threshold of 4.6e-5 a response may be 0 or not
    "statistics/": (1e-5, 1e-5),
    "whitened/": (1e-5, 1e-5),
    "scale/": (1e-5, 1e-5),
    "surroundedness/": (1e-5, 1e-4),
    "figure": (1e-5, 1e-4),
    "corners": (1e-5, 1e-4),
    "centre_surround/motion": (1e-5, 5e-5),
    "centre_surround/": (1e-5, 1e-6),
    "map/": (1e-5, 1e-6),
    "activation/": (1e-4, 0.0),  # differences of values that may be nearly equal
}
# N is discontinuous: two nearly equal neighbours are one maximum or two.
AFTER_N = dict.fromkeys(("normalised/", "feature/", "conspicuity/", "saliency"), (1e-2, 0.0))
LIMITS = BEFORE_N | AFTER_N


class Case(NamedTuple):
    """One comparison with the reference."""

    reading: str
    shape: tuple[int, int]
    dtype: str = "uint8"
    channels: int = 3
    order: str = "bgr"


def presets() -> list[Case]:
    """A map of each preset of a small frame, and of one of 1080p."""
    return [Case(reading, shape) for shape in PRESET_SHAPES for reading in PRESETS]


def small() -> list[Case]:
    """Every option and every frame format once; odd, thin and tiny sizes for the presets."""
    found = [Case(reading, (129, 203)) for reading in CONFIGS]
    found += [
        Case(reading, (131, 197), dtype, channels, order)
        for reading in PRESETS
        for dtype in ("uint8", "uint16", "float32")
        for channels, order in ((3, "rgb"), (3, "bgr"), (1, "bgr"))
    ]
    return found + [Case(reading, shape) for reading in PRESETS for shape in ODD]


def large() -> list[Case]:
    """The sizes of cameras; one of them for every option."""
    found = [Case("itti1998", shape) for shape in ((2160, 3840), (1080, 1920), (485, 643))]
    return found + [Case(reading, (480, 640)) for reading in CONFIGS]


def compiled(cases: list[Case]) -> Iterator[tuple[str, Any]]:
    """Compile for this GPU what the cases need, in processes, the first cases' kernels first."""
    import cupy

    architecture = compiler.architecture(int(cupy.cuda.Device().compute_capability))
    wanted = dict.fromkeys((c.reading, (c.dtype, c.channels), c.order) for c in cases)
    jobs = dict.fromkeys(
        job
        for reading, format_, order in wanted
        for job in cuda.jobs([CONFIGS[reading]], [format_], [order], [architecture])
    )
    start = time.perf_counter()
    yield "programs", len(jobs)
    context = multiprocessing.get_context("spawn")  # a GPU's context does not survive a fork
    with ProcessPoolExecutor(usable_cores(), mp_context=context) as pool:
        under_way = {pool.submit(cuda.build, job): job for job in jobs}
        for number, future in enumerate(as_completed(under_way), 1):
            if future.exception():
                job = under_way[future]
                yield f"{job.name} {number}", {"good": False, "failed": str(future.exception())}
            yield "done", number
            yield "seconds", round(time.perf_counter() - start, 2)


def compared(backend: str, cases: list[Case]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each case against the reference, or how it failed."""
    for case in cases:
        name = f"{case.reading} {case.shape[1]}x{case.shape[0]} {case.dtype} x{case.channels} "
        print(name, file=sys.stderr, flush=True)  # so that it is known which one never ended
        try:
            yield name + case.order, compare(backend, case)
        except Exception:
            yield name + case.order, {"good": False, "failed": traceback.format_exc()}


def compare(backend: str, case: Case) -> dict[str, Any]:
    """The second of two frames against the reference, and against itself run again.

    A map is good if nothing before N differs from the reference by more than rounding does, and the
    whole map correlates with the reference's: N is discontinuous, and rounding may move it.
    """
    first = scene(case.shape, case.dtype, case.channels)
    frames = [first, np.roll(first, MOVED, (0, 1))]
    config, order = CONFIGS[case.reading], case.order
    with ittisal.Saliency(case.shape, config, backend=backend, channel_order=order) as model:
        maps = []
        for _ in range(TURNS):
            model.reset()
            maps.append([model(frame) for frame in frames][-1])
        got = model.retrace(frames[-1])
    with ittisal.Saliency(case.shape, config, backend="reference", channel_order=order) as model:
        model(first)
        wanted = model.trace(frames[-1])
    near = agreement(maps[0], wanted["saliency"])
    stage, where = first_difference(got, wanted)
    again = {f"turn {turn}": maps[turn] for turn in range(1, TURNS)}
    again["stage by stage"] = np.float32(got["saliency"])
    others = [name for name, each in again.items() if not np.array_equal(maps[0], each)]
    return {
        "good": bool(not others and near.r >= MIN_CORRELATION and stage not in BEFORE_N),
        "r": near.r,
        "difference": near.difference,
        "first that differs": where,
        "other bits": ", ".join(others),
    }


def first_difference(got: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, str]:
    """The first stage whose results differ by more than its limit, and where; "" if none does."""
    stages = list(LIMITS)

    def number(key: str) -> int:
        return next((k for k, stage in enumerate(stages) if key.startswith(stage)), len(stages))

    for key in sorted(got.keys() & wanted.keys(), key=lambda key: (number(key), key)):
        if number(key) == len(stages):
            break
        stage = stages[number(key)]
        relative, absolute = LIMITS[stage]
        a, b = np.float64(got[key]), np.float64(wanted[key])
        allowed = relative * np.abs(b).max(initial=0) + absolute
        error = np.nan_to_num(np.abs(a - b), nan=np.inf)
        if error.max(initial=0) > allowed:
            at = tuple(map(int, np.unravel_index(error.argmax(), error.shape)))
            return stage, (
                f"{key} at {at}: {a[at]:.7g} for {b[at]:.7g}, allowed {allowed:.1g}; "
                f"{int((error > allowed).sum())} of {error.size} samples"
            )
    return "", ""


def interfaces() -> Iterator[tuple[str, dict[str, Any]]]:
    """Whether every way in and out gives the same bits; how it failed where one does not.

    Only the strided frame needs a kernel of CuPy's, which compiles where it finds CUDA headers.
    """
    import cupy

    shape, count = INTERFACES
    frames = np.stack([scene(shape, seed=seed) for seed in range(count)])
    with ittisal.Saliency(shape, backend="cuda", channel_order="bgr") as model:
        singles = np.stack([model(frame) for frame in frames])

        def same(maps: Any) -> bool:
            return np.array_equal([cupy.asnumpy(each) for each in maps], singles)

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
            return one and same(model(pinned)) and same(list(model.stream(pinned)))

        def another_stream() -> bool:
            other = cupy.cuda.Stream(non_blocking=True)
            with other:
                late = [model(frame) for frame in on_gpu]
            other.synchronize()
            return same(late)

        def easy() -> bool:
            here = ittisal.saliency_map(frames[0], backend="cuda", channel_order="bgr")
            there = ittisal.saliency_map(on_gpu[0], backend="cuda", channel_order="bgr")
            return bool(np.abs(cupy.asnumpy(there) - here).max() < 1e-6)

        ways: dict[str, Callable[[], bool]] = {
            "batch from the host": lambda: same(model(frames)),
            "batch on the GPU": lambda: same(model(on_gpu)),
            "frames on the GPU": lambda: same([model(frame) for frame in on_gpu]),
            "out=": given_out,
            "a strided frame": strided,
            "stream": lambda: same(list(model.stream(frames))),
            "page-locked": page_locked,
            "another stream": another_stream,
            "frames that remember": lambda: remember(cupy, frames),
            "NaN gives NaN": lambda: nan_gives_nan(cupy, model),
            "saliency_map": easy,
        }
        if torch_has_gpu():
            ways["torch"] = lambda: torch_in_and_out(model, frames, singles)
        for name, way in ways.items():
            print(name, file=sys.stderr, flush=True)
            try:
                yield name, {"good": way()}
            except Exception:
                yield name, {"good": False, "failed": traceback.format_exc()}


def torch_has_gpu() -> bool:
    """Whether PyTorch is here, and can use a GPU: not every build of it can."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


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
    good = scene(model.shape, "float32")
    bad, other = good.copy(), np.ascontiguousarray(good[::-1])
    bad[3, 4, 1] = np.nan

    def maps(model: ittisal.Saliency, *frames: np.ndarray) -> np.ndarray:
        model.reset()
        return np.stack([cupy.asnumpy(model(cupy.asarray(frame))) for frame in frames])

    with ittisal.Saliency(model.shape, ittisal.VIDEO, backend="cuda") as video:
        for each in (model, video):
            first, second = maps(each, good, other)
            wanted = np.stack([first, np.full_like(first, np.nan), second])
            if not np.array_equal(maps(each, good, bad, other), wanted, equal_nan=True):
                return False
    return True


def replays(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Two models, each on a stream of its own: ten frames in turn, the same maps each time."""
    import cupy

    with ExitStack() as stack:
        rows = []
        for reading, shape in REPLAYED:
            model = ittisal.Saliency(shape, CONFIGS[reading], backend="cuda")
            stack.enter_context(model)
            frames = cupy.asarray(np.stack([scene(shape, seed=seed) for seed in range(10)]))
            wanted = np.stack([cupy.asnumpy(model(frame)) for frame in frames])
            out, blank = (cupy.zeros(wanted.shape, np.float32) for _ in range(2))
            stream = cupy.cuda.Stream(non_blocking=True)
            rows.append((model, frames, wanted, out, blank, stream))
        different = [0] * len(rows)
        for _ in range(count // 10):
            for model, _, _, out, blank, _ in rows:
                model.reset()
                cupy.copyto(out, blank)
            cupy.cuda.Device().synchronize()
            for k in range(10):
                for model, frames, _, out, _, stream in rows:
                    with stream:
                        model(frames[k], out=out[k])
            for number, (_, _, wanted, out, _, stream) in enumerate(rows):
                stream.synchronize()
                different[number] += not np.array_equal(cupy.asnumpy(out), wanted)
    for (reading, _), turns in zip(REPLAYED, different, strict=True):
        yield reading, {"good": turns == 0, "frames": count, "turns that differ": turns}


SANITIZED = """
import sys
import numpy as np
import ittisal
from benchmarks.scenes import scene
shape = (int(sys.argv[1]), int(sys.argv[2]))
for name in sys.argv[3:]:
    config = ittisal.preset(name)
    with ittisal.Saliency(shape, config, backend="cuda", channel_order="bgr") as model:
        model(scene(shape))
        model(scene(shape, seed=1))
        model(np.stack([scene(shape, "float32", 1)] * 3))
"""
FAULTS = 9  # exit status where the tool found some
TOOLS = {  # options, and the frame: racecheck is the slowest
    "memcheck": (("--report-api-errors", "no"), (97, 131)),  # CuPy asks what it knows may fail
    "synccheck": ((), (97, 131)),
    "racecheck": ((), (32, 32)),
}


def sanitizer() -> Iterator[tuple[str, Any]]:
    """compute-sanitizer over small frames, if there is one: its last lines."""
    tool = find_sanitizer()
    if tool is None:
        yield "missing", "compute-sanitizer is not here"
        return
    for check, (options, shape) in TOOLS.items():
        command = [tool, "--tool", check, *options, "--error-exitcode", str(FAULTS)]
        command += [sys.executable, "-c", SANITIZED, *map(str, shape), *PRESETS, "vocus2"]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=ROOT)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        summary = [line for line in lines if "SUMMARY" in line] or lines[-1:] or ["silent"]
        ran = {"good": done.returncode == 0} if done.returncode in (0, FAULTS) else {}
        spent = round(time.perf_counter() - start, 1)
        yield check, {**ran, "says": summary[-1].strip("= "), "seconds": spent}
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
