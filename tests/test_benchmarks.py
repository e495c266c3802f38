"""The benchmarks run from end to end, and the rival they carry computes the same model.

Nothing here asserts a time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import cuda_rehearsal
import cv2
import host_kernels
import numpy as np
import pytest
import scipy.ndimage
from tolerances import within

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import ittisal  # noqa: E402
from benchmarks import (  # noqa: E402
    attention,
    contact_sheet,
    cuda,
    cuda_checks,
    cuda_parts,
    cuda_timings,
    fixations,
    guided_search,
    soak,
)
from benchmarks.answers import agreement  # noqa: E402
from benchmarks.bench_accuracy import maxima  # noqa: E402
from benchmarks.bench_video import LongRun  # noqa: E402
from benchmarks.frames import PHOTOGRAPHS, photograph  # noqa: E402
from benchmarks.gates import Gate  # noqa: E402
from benchmarks.gpu import clocks, facts, percentiles  # noqa: E402
from benchmarks.handwritten import Handwritten, PlainHandwritten  # noqa: E402
from benchmarks.plain_cupy import PlainCupy  # noqa: E402
from benchmarks.report import number, table, warnings  # noqa: E402
from benchmarks.scenes import scene  # noqa: E402
from benchmarks.settings import shape_of  # noqa: E402
from benchmarks.timing import interleave  # noqa: E402
from ittisal import reference  # noqa: E402
from ittisal.cuda import compiler  # noqa: E402


@pytest.mark.parametrize("contender", [Handwritten, PlainHandwritten])
@pytest.mark.parametrize("size", ["320x240", "333x251", "251x333", "100x70", "45x33", "32x32"])
def test_handwritten_equals_reference(contender, size):
    frame = photograph(size)
    found = agreement(
        contender(shape_of(size))(frame), reference.saliency(frame, channel_order="bgr")
    )
    assert found.difference < 1e-4
    assert found.r > 0.99999


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_handwritten_equals_reference_on_every_photograph(name):
    """A flipped local maximum moves a map by about 1e-3 of its maximum; no more is allowed."""
    frame = photograph("277x203", name)
    found = agreement(
        Handwritten((203, 277))(frame), reference.saliency(frame, channel_order="bgr")
    )
    assert found.difference < 5e-3
    assert found.r > 0.9999


@pytest.mark.parametrize("contender", [Handwritten, PlainHandwritten])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 100, 30)])
def test_handwritten_sees_nothing_in_a_constant_frame(contender, colour):
    frame = np.full((97, 131, 3), colour, np.uint8)
    assert not contender((97, 131))(frame).any()


def test_handwritten_keeps_no_state():
    model = Handwritten((96, 128))
    frames = [photograph("128x96", name) for name in ("coffee", "rocket")]
    first = model(frames[0]).copy()
    model(frames[1])
    assert np.array_equal(model(frames[0]), first)


def test_runner_from_end_to_end(tmp_path):
    """Every suite on a tiny frame with the reference, as one would run it."""
    kept = tmp_path / "kept"
    command = [sys.executable, "-m", "benchmarks", "all", "--quick", "--size", "64x48"]
    command += ["--seconds", "0.02", "--backend", "reference"]
    command += ["--json", str(tmp_path / "run.json"), "--out", str(kept)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ITTISAL_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "run.json").read_text())
    assert [json.loads(path.read_text()) for path in kept.iterdir()] == [document]
    suites = {result["suite"] for result in document["results"]}
    assert suites == {
        "Frame",
        "Threads",
        "AgainstHandwritten",
        "AgainstPlain",
        "Stages",
        "Import",
        "FirstMap",
        "Model",
        "Process",
        "Frames",
        "Float32",
        "CLibrary",
        "Instructions",
        "Onnx",
        "Prebuilt",
        "OpenCV",
        "Sequence",
        "EndToEnd",
        "LongRun",
        "Staleness",
        "WhatItCosts",
        "Programs",
        "Crop",
        "HostTime",
        "Levels",
        "Compile",
        "Network",
        "Regions",
        "Scanpath",
    }
    for suite in suites:
        assert f"## {suite}" in done.stdout
    assert f"## cuda\n\nskipped: {cuda.why_skipped()}" in done.stdout
    assert document["machine"]["versions"]["numpy"]
    frame = next(r for r in document["results"] if r["suite"] == "Frame")
    times = frame["times_ms"]
    ratio = times["ittisal"]["min"] / times["pyrdown"]["min"]
    assert frame["ratios"]["in pyrDowns"]["min"] == pytest.approx(ratio)
    assert frame["figures"]["difference"]["value"] < 1e-6


@pytest.mark.parametrize("mode", ["every frame", "newest"])
def test_a_long_run_of_few_results(mode, monkeypatch):
    monkeypatch.setattr(LongRun, "count", 3)
    found = LongRun().track_run(mode)
    assert found["results"] + found["dropped"] == 3
    assert found["first tenth p50 ms"] > 0 and found["last tenth p50 ms"] > 0


def test_runner_refuses_unknown_names():
    command = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there are: saliency, start" in done.stderr


def test_contenders_take_turns():
    calls = []
    times = interleave({n: lambda n=n: calls.append(n) for n in "abc"}, seconds=0, min_rounds=3)
    assert "".join(calls) == "abcabc" + "abc" + "bca" + "cab"
    assert all(t.rounds == 3 and t.minimum <= t.median for t in times.values())


def test_gate_verdicts():
    lower, higher = Gate(2.0, 1.5), Gate(12, 20, higher=True)
    assert [lower.verdict(v) for v in (1.5, 1.9, 2.1)] == ["stretch met", "gate met", "missed"]
    assert [higher.verdict(v) for v in (21, 12, 11)] == ["stretch met", "gate met", "missed"]
    assert Gate(1e-5).verdict(0) == "gate met"


def test_table_and_warnings():
    result = {
        "suite": "Frame",
        "params": {"size": "64x48"},
        "times_ms": {"ittisal": {"min": 1.0, "median": 1.5, "rounds": 9, "spread": 1.5}},
        "ratios": {
            "x": {"min": 1.9, "median": 2.2, "gate": 2, "stretch": 1.5, "verdict": "gate met"}
        },
        "figures": {"r": {"value": 0.99995, "unit": ""}},
    }
    lines = table([result, {"skipped": "no GPU", "params": {}}]).splitlines()
    assert lines[0] == "| size | ittisal ms | x | r | x: wanted | spread |"
    assert lines[2] == "| 64x48 | 1 / 1.5 | 1.90 / 2.20 | 0.99995 | 2 / 1.5: gate met | 1.50 ! |"
    assert lines[3] == "skipped: no GPU"
    assert warnings([result]) == ["Frame 64x48: median is 1.50 of the minimum"]
    shown = {None: "-", 0: "0", 1234.5: "1234", 12.345: "12.3", 1.5e-7: "1.5e-07", 1 - 1e-12: "1"}
    assert {value: number(value) for value in shown} == shown


def test_maxima_are_those_that_n_counts():
    x = np.zeros((5, 7))
    x[1, 1], x[3, 5], x[2, 3], x[0, 3] = 10, 0.5, 4, 10  # global, too low, kept, on the border
    assert [tuple(at + 1) for at in np.argwhere(maxima(x))] == [(1, 1), (2, 3)]


# --- the GPU's, without one --------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(256, 256), (300, 467), (480, 640)])
def test_plain_cupy_equals_reference(shape):
    """NumPy and SciPy stand in for CuPy's namesakes."""
    frame = scene(shape)
    found = agreement(
        PlainCupy(np, scipy.ndimage)(frame), reference.saliency(frame, channel_order="bgr")
    )
    assert found.difference < 1e-5


def test_percentiles():
    found = percentiles(range(1, 101))
    assert found == {"min": 1, "p50": 50.5, "p95": 95.05, "p99": 99.01, "count": 100}


def test_the_reference_equals_itself():
    small = cuda_checks.small()
    assert {case.shape for case in small} > set(cuda_checks.ODD)
    assert {case.reading for case in small} == set(cuda_checks.CONFIGS)
    cases = {case.reading: case._replace(shape=(33, 37)) for case in small}.values()
    rows = dict(cuda_checks.compared("reference", cases))
    assert len(rows) == len(cases) and all(row["good"] for row in rows.values())


def test_a_case_that_fails_leaves_the_others():
    cases = [cuda_checks.Case("itti1998", shape) for shape in ((20, 20), (40, 50))]
    rows = dict(cuda_checks.compared("reference", cases))
    broken, good = rows.values()
    assert not broken["good"] and "at least 32" in broken["failed"]
    assert good["good"]
    (wrong,) = cuda.wrong({"variants": {"state": "done", "found": rows}})
    assert "at least 32" in wrong


@pytest.mark.parametrize(
    ("changed", "stage"),
    [
        (("centre_surround/red_green/2-5", "orientation/45/3"), "orientation"),
        (("saliency", "centre_surround/red_green/2-5"), "centre_surround/"),
        (("saliency", "normalised/red_green/2-5"), "normalised/"),
        (("pyramid/intensity/2",), "pyramid/"),
        ((), ""),
    ],
)
def test_the_first_stage_that_differs_is_named(changed, stage):
    wanted = reference.trace(scene((64, 80)), ittisal.ITTI_1998)
    got = {key: plane.astype(np.float32) for key, plane in wanted.items()}
    for key in changed:
        got[key][1, 2] += 0.02 * np.abs(wanted[key]).max()
    got["pyramid/intensity/2"][0, 0] = np.nan if "pyramid/intensity/2" in changed else 0.5
    wanted["pyramid/intensity/2"][0, 0] = 0.5
    found, where = cuda_checks.first_difference(got, wanted)
    assert found == stage
    assert where.startswith(changed[-1] + " at (") if changed else not where


def test_a_rehearsal(tmp_path):
    """All parts, in processes of their own, on the host."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy, which compiles, is not here")
    if not host_kernels.HAS_COMPILER:
        pytest.skip(host_kernels.NO_COMPILER)
    command = [sys.executable, ROOT / "tests" / "cuda_rehearsal.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    text, document = sorted(tmp_path.iterdir(), key=lambda path: path.suffix, reverse=True)
    assert text.name.endswith("-cuda-no-gpu-quick.md")
    assert done.stdout.strip() == text.read_text().strip()
    parts = json.loads(document.read_text())["parts"]
    assert list(parts) == [name for name, part in cuda_parts.PARTS.items() if part.quick]
    assert {part["state"] for part in parts.values()} == {"done"}
    assert len(cuda.checks(parts)) >= 15 and not cuda.wrong(parts)
    for size in cuda.SIZES:
        figures = cuda.figures(parts, size)
        assert figures["device_us"] == 1.5 and None not in figures.values()
    assert parts["compiled"]["found"]["done"] == parts["compiled"]["found"]["programs"] > 0
    assert parts["rivals"]["found"]["plain_cupy, 1920x1080"]["difference"] < 1e-4
    assert "1.5 (30: met)" in done.stdout and "WRONG" not in done.stdout


PART = """
import os, subprocess, sys, time
from benchmarks.apart import send
def pieces(name):
    if name == "gpu":
        yield "gpu", "No GPU"
        return
    yield "first", {"good": name != "wrong"}
    print("about to", flush=True)
    if name == "broken":
        raise ValueError("bad")
    if name == "crash":
        os.abort()
    if name.startswith("hang"):
        yield "pid", subprocess.Popen(["sleep", "60"]).pid
        time.sleep(60)
    yield "second", 2.5
send(pieces(sys.argv[1]))
"""


@pytest.fixture
def some_parts(monkeypatch, tmp_path):
    """Gives a run of the named parts: (status, document or None, its Markdown)."""
    program = tmp_path / "part.py"
    program.write_text(PART)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(cuda, "COMMAND", [sys.executable, str(program)])
    monkeypatch.setattr(cuda.signal, "signal", lambda *_: None)

    def run(*names, out="out", limit=20):
        limits = {name: 2 if name == "hang" else limit for name in ("gpu", *names)}
        parts = {name: cuda_parts.Part(each, each, None) for name, each in limits.items()}
        monkeypatch.setattr(cuda, "PARTS", parts)
        status = cuda.main(tmp_path / out, 0.1, quick=True)
        found = sorted((tmp_path / out).glob("*")) if (tmp_path / out).is_dir() else []
        return status, *(path.read_text() for path in found)

    monkeypatch.setattr(cuda, "LEAST", 1.0)
    return run


def test_parts_that_end_badly_leave_what_they_found_and_the_others(some_parts):
    status, document, text = some_parts("broken", "crash", "hang", "good")
    assert status == cuda.WRONG
    parts = json.loads(document)["parts"]
    states = {name: part["state"] for name, part in parts.items()}
    failed = dict.fromkeys(("broken", "crash"), "failed")
    assert states == {"gpu": "done", **failed, "hang": "stopped", "good": "done"}
    assert all(parts[name]["found"]["first"] == {"good": True} for name in states if name != "gpu")
    assert parts["good"]["found"]["second"] == 2.5
    logs = {name: part.get("log", "") for name, part in parts.items()}
    assert logs["broken"].startswith("exit status 1\nabout to\n")
    assert logs["broken"].endswith("ValueError: bad\n")
    assert "exit status -6\nabout to\nFatal Python error: Aborted" in logs["crash"]
    assert "stopped after 2 s\nabout to\n" in logs["hang"] and "in pieces" in logs["hang"]
    assert "WRONG:\n\n- broken: failed\n- crash: failed\n\nFor lack of time" in text
    assert "- hang: stopped\n" in text and logs["broken"].strip() in text
    child = Path(f"/proc/{parts['hang']['found']['pid']}/stat")
    assert not child.exists() or ") Z " in child.read_text()


@pytest.mark.parametrize(
    ("names", "status"),
    [(["good"], 0), (["good", "hang"], cuda.UNFINISHED), (["wrong"], cuda.WRONG)],
)
def test_wrong_answers_are_told_from_parts_that_were_stopped(some_parts, names, status):
    assert some_parts(*names)[0] == status


def test_a_run_ends_in_time(some_parts, monkeypatch):
    """Whatever its parts do, and those that were not begun are left out."""
    monkeypatch.setitem(cuda.BUDGET, "quick", 6.0)
    start = time.monotonic()
    status, document, _ = some_parts("hang", "hang longer", "good")
    assert time.monotonic() - start < 6 + 5
    parts = json.loads(document)["parts"]
    assert [part["state"] for part in parts.values()] == ["done", "stopped", "stopped", "left out"]
    assert status == cuda.UNFINISHED


def test_results_that_cannot_be_written_are_printed(some_parts, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert some_parts("good", out="file/out") == (cuda.UNFINISHED,)
    printed = capsys.readouterr()
    assert printed.err.count("results cannot be written") == 1 and "- second: 2.5" in printed.out


def test_parts_are_whole(monkeypatch):
    """Those that figures are taken from have the names that `figures` looks for."""
    names = list(cuda_parts.PARTS)
    assert set(names) > {"floors", "rivals", "first call", *(f"speed, {s}" for s in cuda.SIZES)}
    monkeypatch.setattr(cuda_checks, "find_sanitizer", lambda: None)
    assert dict(cuda_parts.PARTS["sanitizer"].run(0.1, True)).keys() == {"missing"}


def test_the_sanitizers_program_is_run_and_its_summary_kept(monkeypatch, tmp_path):
    tool = tmp_path / "compute-sanitizer"
    tool.write_text("#!/bin/sh\necho ========= ERROR SUMMARY: 2 errors\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = dict(cuda_checks.sanitizer())
    assert found["memcheck"]["says"] == "ERROR SUMMARY: 2 errors"
    wrong = cuda.wrong({"sanitizer": {"state": "done", "found": found}})
    assert len(wrong) == len(cuda_checks.TOOLS)


def test_a_gpu_that_does_not_work_is_missing(monkeypatch):
    def probe():
        raise ittisal.BackendError("all devices are busy")

    monkeypatch.setattr("ittisal.cuda.probe", probe)
    assert dict(facts()) == {"missing": "all devices are busy"}


def test_no_more_processes_compile_than_there_are_cores_to_use(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 192)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    asked = []

    def pool(count, **options):
        asked.append(count)
        raise KeyboardInterrupt

    monkeypatch.setattr(cuda_checks, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(compiler, "architecture", lambda capability: "sm_90")
    cupy = types.SimpleNamespace(
        cuda=types.SimpleNamespace(Device=lambda: types.SimpleNamespace(compute_capability="90"))
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(KeyboardInterrupt):
        list(cuda_checks.compiled(cuda_checks.presets()[:1]))
    assert asked == [3]


def test_what_a_gpu_cannot_hold_or_cupy_compile_fails_no_part(monkeypatch):
    """Batches that do not fit, and plain CuPy without CUDA headers, are left out."""

    def fails(error):
        def call(*arguments):
            raise error

        return call

    class SmallGpu(cuda_rehearsal.FakeGpu):
        repeat = fails(MemoryError("out of memory"))

        def __init__(self):
            self.cupy, self.stream = cuda_rehearsal.NumpyAsCupy("cupy"), cuda_rehearsal.Stream()

    monkeypatch.setattr(cuda_timings, "Gpu", SmallGpu)
    monkeypatch.setattr(cuda_timings, "PlainCupy", fails(RuntimeError("no CUDA headers")))
    monkeypatch.setattr(cuda_timings.backends, "available", lambda: {"cpu": (False, "")})
    monkeypatch.setattr(
        cuda_timings,
        "make",
        lambda size, backend="cuda": ittisal.Saliency((32, 32), backend="reference"),
    )
    monkeypatch.setattr(cuda_timings, "shape_of", lambda size: (32, 32))
    found = dict(cuda_timings.on_gpu(SmallGpu(), "32x32", 0.01))
    assert found["batch_8, left out"] == "out of memory" and "device_us" in found
    found = dict(cuda_timings.rivals(["32x32"], 0.01))
    assert found["plain_cupy, 32x32, missing"] == "no CUDA headers"


def test_torch_without_a_gpu_counts_as_absent(monkeypatch):
    torch = types.SimpleNamespace(cuda=types.SimpleNamespace(is_available=lambda: False))
    for module in (torch, None):
        monkeypatch.setitem(sys.modules, "torch", module)
        assert not cuda_checks.torch_has_gpu()


def test_clocks_are_not_known_without_the_tool(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert clocks().startswith("not known")


@pytest.mark.parametrize(
    ("says", "known"),
    [
        ("No devices were found", "not known"),
        ("a, b [MHz]\\n1, 2", "a 1, b 2"),
        ("a, b\\n1", "not"),
    ],
)
def test_clocks_survive_whatever_the_tool_says(monkeypatch, tmp_path, says, known):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{says}\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert clocks().startswith(known)


def test_no_gpu_is_said_in_a_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "cuda", "--out", str(tmp_path)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == cuda.NO_GPU
    assert len(done.stderr.splitlines()) == 1 and "no GPU: " in done.stderr
    assert not list(tmp_path.iterdir())


# --- fixations -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_dataset(tmp_path_factory):
    """A few small images with made-up fixations."""
    folder = tmp_path_factory.mktemp("made")
    ittisal.datasets.generated(folder, images=2, size=(96, 128))
    return folder


def test_parts_of_gaze_are_scored(small_dataset, capsys, tmp_path):
    """Every row runs; the first is the preset itself."""
    kept = tmp_path / "scores.json"
    assert fixations.main([str(small_dataset), "--json", str(kept), "--only", "gaze"]) == 0
    table = capsys.readouterr().out
    assert "| gaze  " in table
    assert json.loads(kept.read_text())
    image = ittisal.datasets.load(small_dataset).load_image(0)
    shape = image.shape[0] // 16, image.shape[1] // 16
    made = {name: row(image) for name, row in fixations.rows().items()}
    assert all(saliency.shape == shape for saliency in made.values())
    wanted = ittisal.Saliency(image.shape[:2], fixations.GAZE, backend="reference")(image)
    within("upsampled", made["gaze"], wanted)
    within("order", made["gaze"], made["figure x corners"] * fixations.promotion(traced(image)))


def traced(image):
    return ittisal.Saliency(image.shape[:2], fixations.GAZE, backend="reference").trace(image)


def test_boxes_against_fixations(small_dataset, capsys, tmp_path):
    """Every way to choose boxes runs, and keeps to the budget."""
    kept = tmp_path / "boxes.json"
    assert attention.main([str(small_dataset), "--json", str(kept), "--only", "boxes"]) == 0
    rows = json.loads(kept.read_text())["boxes"]
    assert list(rows) == list(attention.BOXES)
    for row in rows.values():
        assert 0 <= row["from"] <= row["fixations inside"] <= row["to"] <= 1
        assert row["of the frame"] <= attention.BUDGET and row["boxes"] <= attention.COUNT
    assert "| centre | " in capsys.readouterr().out
    block = np.array(attention.centre(np.zeros((100, 200, 3), np.uint8)))
    assert block.min(0)[:2].tolist() == [28, 55] and block.max(0)[2:].tolist() == [72, 144]


def test_scanpaths_against_fixations(small_dataset, capsys):
    """Every row is there, and distances are those of known places, an observer's mean first."""
    assert attention.main([str(small_dataset), "--only", "scanpath"]) == 0
    said = capsys.readouterr().out
    for row in ("gaze", "gaze, of another image", "itti1998", "centre"):
        assert f"\n| {row} | 0." in said
    x, y, subject, order = np.array([(30, 10, 0, 0), (70, 10, 0, 1), (70, 90, 1, 0)]).T
    seen = ittisal.datasets.Fixations(x, y, subject, order, np.full(3, np.nan))
    places = np.array([(0.1, 0.3), (0.9, 0.7)])
    nearest, in_order = attention.distances(seen, np.array((100, 100)), places)
    assert nearest * np.hypot(100, 100) == pytest.approx(((0 + 40) / 2 + 0) / 2)
    assert in_order * np.hypot(100, 100) == pytest.approx(((0 + 80) / 2 + np.hypot(80, 40)) / 2)


def test_contact_sheet(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "COLUMNS", ("itti1998", "cv2:spectral_residual"))
    monkeypatch.setenv("ITTISAL_BACKEND", "reference")
    out = tmp_path / "sheet.png"
    assert contact_sheet.main([str(small_dataset), str(out), "--images", "2"]) == 0
    sheet = cv2.imread(str(out))
    columns, row = 4, round(96 * contact_sheet.WIDTH / 128) + contact_sheet.GAP
    assert sheet.shape[:2] == (
        contact_sheet.HEADER + 2 * row,
        columns * contact_sheet.WIDTH + (columns - 1) * contact_sheet.GAP,
    )


def test_guided_search(tmp_path, monkeypatch, capsys):
    """Learned from one picture and found in another: numbers, and a picture of both."""
    (tmp_path / "images").mkdir()
    boxes = {"1": ((40, 20, 16, 16),), "2": ((60, 90, 16, 16),)}
    for name, ((y, x, height, width),) in boxes.items():
        image = np.full((96, 128, 3), 90, np.uint8)
        image[20:36, 60:76] = (255, 0, 0)  # BGR
        image[y : y + height, x : x + width] = (0, 0, 255)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), image)
    monkeypatch.setattr(guided_search, "BOXES", boxes)
    monkeypatch.setattr(guided_search, "SEARCHES", (guided_search.Search("red", ("1",), "2"),))
    monkeypatch.setenv("ITTISAL_BACKEND", "reference")
    out = tmp_path / "sheet.png"
    assert guided_search.main([str(tmp_path), str(out)]) == 0
    assert "red; bottom-up: fixation " in (said := capsys.readouterr().out)
    assert "; guided: fixation 1, " in said
    width, gap = guided_search.WIDTH, guided_search.GAP
    height = guided_search.CAPTION + round(96 * width / 128) + gap
    assert cv2.imread(str(out)).shape[:2] == (height, 4 * width + 3 * gap)
    with pytest.raises(SystemExit, match="cannot be read; DATASET is OSIE's folder"):
        guided_search.main([str(out.parent / "images"), str(out)])


def test_soak(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "COMMANDS", {"map": soak.COMMANDS["map"]})
    monkeypatch.setattr(soak, "IMAGES", 2)
    monkeypatch.setattr(soak, "CLIP_FRAMES", 2)
    assert not list(soak.frames(2000))
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    soak.make_inputs(inputs)
    trial = soak.Trial(inputs, "map")
    assert not list(soak.kills([trial], 2, seed=0))
    folder = trial.fresh()
    (folder / "photos/00.png").unlink()
    (folder / "out/maps").mkdir()
    (folder / "out/maps/01.saliency.png").write_bytes(b"half")
    assert trial.wrong(folder, complete=True) == [
        "input photos/00.png lost",
        "maps/01.saliency.png damaged",
        "maps/00.saliency.png missing",
    ]
