"""The benchmarks run from end to end, and the rival they carry computes the same model.

Nothing here asserts a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.ndimage
from tolerances import within

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import ittisal  # noqa: E402
from benchmarks import (  # noqa: E402
    apart,
    attention,
    contact_sheet,
    cuda,
    cuda_checks,
    cuda_parts,
    cuda_timings,
    fixations,
    guided_search,
)
from benchmarks.answers import agreement  # noqa: E402
from benchmarks.bench_accuracy import maxima  # noqa: E402
from benchmarks.bench_video import LongRun  # noqa: E402
from benchmarks.frames import PHOTOGRAPHS, photograph  # noqa: E402
from benchmarks.gates import Gate  # noqa: E402
from benchmarks.gpu import clocks, percentiles  # noqa: E402
from benchmarks.handwritten import Handwritten, PlainHandwritten  # noqa: E402
from benchmarks.plain_cupy import PlainCupy  # noqa: E402
from benchmarks.report import number, table, warnings  # noqa: E402
from benchmarks.scenes import scene  # noqa: E402
from benchmarks.settings import shape_of  # noqa: E402
from benchmarks.timing import interleave  # noqa: E402
from ittisal import reference  # noqa: E402


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
        "OpenCV",
        "Sequence",
        "EndToEnd",
        "LongRun",
        "Staleness",
        "WhatItCosts",
        "Crop",
        "HostTime",
        "Levels",
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


def test_parity_finds_the_reference_equal_to_itself():
    small = cuda_checks.small()
    assert {case.shape for case in small} > set(cuda_checks.ODD)
    cases = list(dict.fromkeys(case._replace(shape=(33, 37)) for case in small))
    rows = list(cuda_checks.parity("reference", 1, cases))
    assert len(rows) == len(cases) and all(row["good"] for row in rows)
    assert {row["reading"] for row in rows} == set(cuda_checks.OPTIONS)
    json.dumps(rows)


def test_a_case_that_fails_leaves_the_others():
    cases = [cuda_checks.Case("itti1998", shape) for shape in ((20, 20), (40, 50))]
    broken, good = cuda_checks.parity("reference", 1, cases)
    assert not broken["good"] and "at least 32" in broken["failed"]
    assert good["good"]
    assert "at least 32" in cuda.wrong({"parity, small": {"found": [broken, good]}})[0]


class NumpyAsCupy:
    """NumPy under CuPy's name."""

    asnumpy = staticmethod(np.asarray)

    def __getattr__(self, name):
        return getattr(np, name)


class FakeGpu:
    """Of `benchmarks.gpu.Gpu` what runs without a device: everything is on the host."""

    class Stream:
        """Everything is done at once."""

        def __init__(self, non_blocking=False):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def synchronize(self):
            pass

    cupy = NumpyAsCupy()
    stream = Stream()

    def device_us(self, call, rounds, *, cold=False):
        call()
        return percentiles([1.0, 2.0])

    def wall_us(self, call, rounds):
        return self.device_us(call, rounds)

    def per_second(self, call, each, seconds):
        call()
        return 1000.0 * each


FakeGpu.cupy.cuda = FakeGpu


@pytest.fixture
def gpu(gpu_on_host, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupyx.scipy.ndimage", scipy.ndimage)
    monkeypatch.setitem(sys.modules, "cupyx.scipy", scipy)
    monkeypatch.setitem(sys.modules, "cupyx", scipy)
    return FakeGpu()


def test_the_gpus_parts_run_and_make_a_document(gpu, monkeypatch, tmp_path):
    """On the host, with a frame too small to need all six pairs' worth of patience."""
    size = "640x480"
    monkeypatch.setattr(cuda_timings, "shape_of", lambda size: (256, 272))
    monkeypatch.setattr(cuda_timings, "BATCHES", (8,))
    monkeypatch.setattr(cuda_timings, "HOST_BATCHES", (3, 2))
    monkeypatch.setattr(cuda_checks, "nan_gives_nan", lambda *_: True)  # the host raises instead
    monkeypatch.setattr(cuda_checks, "INTERFACES", ((65, 83), 5))
    interfaces = dict(cuda_checks.interfaces(gpu.cupy))
    # A tensor on the host is no array that the model takes.
    interfaces.pop("torch", None)
    assert all(same is True for same in interfaces.values()), interfaces
    steps = [
        ("gpu", lambda: {"gpu": "none"}),
        ("interfaces", lambda: interfaces),
        ("replays", lambda: cuda_checks.replays(gpu.cupy, 20)),
        (f"on the GPU, {size}", lambda: dict(cuda_timings.on_gpu(gpu, size, 0.01))),
        (f"stages, {size}", lambda: cuda_timings.stages(gpu, size)),
        (f"from the host, {size}", lambda: dict(cuda_timings.from_host(size, 0.01))),
        (f"in time, {size}", lambda: dict(cuda_timings.in_time(gpu, size, 0.01))),
        (f"rivals, {size}", lambda: dict(cuda_timings.rivals(gpu, size, 0.01))),
        ("parity, small", lambda: list(cuda_checks.parity("cuda", 1, cuda_checks.small()[:1]))),
        ("floors", lambda: {"copy_gb_s": 3000.0, "launch_us": {"graph_device": 9.0}}),
        ("broken", lambda: 1 / 0),
        ("sanitizer", lambda: {"missing": "not here"}),
    ]
    saved = []
    found = cuda.run(iter(steps), lambda found: saved.append(json.dumps(found)))
    assert len(saved) == len(steps)
    failed = {name: part["failed"] for name, part in found.items() if "failed" in part}
    assert list(failed) == ["broken"], failed
    assert "ZeroDivisionError" in failed["broken"]
    assert cuda.wrong(found) == ["broken"]
    assert found[f"rivals, {size}"]["found"]["plain_cupy"]["difference"] < 1e-4
    document = {"title": "a GPU", "machine": {"cpu": "some"}, "parts": found}
    text = cuda.markdown(document)
    assert "WRONG:" in text and "device_us" in text and "1.5 (30: met)" in text


def test_parts_too_late_are_left_out_and_a_save_that_fails_stops_nothing(capsys):
    def save(found):
        raise OSError("disk full")

    found = cuda.run(iter([("interfaces", lambda: 1), ("floors", lambda: 1)]), save, deadline=0)
    assert [part["left_out"] for part in found.values()] == ["no time was left"] * 2
    # Unchecked answers are not right ones.
    assert cuda.wrong(found) == ["interfaces: no time was left"]
    assert "disk full" in capsys.readouterr().err


CHILD = """
import os, sys, time
from pathlib import Path
from benchmarks.apart import keep
def pieces():
    yield "first", 1.5
    {}
    yield "second", 2.5
print("about to")
keep(pieces(), Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("harm", "limit", "told"),
    [
        ("raise ValueError('bad')", 20, "ValueError: bad"),
        ("os.abort()", 20, "exit status -6\nabout to"),
        ("sys.stdout.flush(); time.sleep(60)", 2, "took over 2 s and was stopped\nabout to"),
    ],
)
def test_a_part_that_ends_badly_leaves_what_it_found(harm, limit, told):
    child = CHILD.replace('print("about to")', 'print("about to", flush=True)').format(harm)
    steps = [
        ("bad", lambda: apart.call([sys.executable, "-c", child], limit)),
        ("good", lambda: apart.call([sys.executable, "-c", CHILD.format("")], 20)),
    ]
    found = cuda.run(iter(steps), lambda found: None)
    assert told in found["bad"]["failed"]
    assert found["bad"]["found"] == {"first": 1.5}
    assert found["good"]["found"] == {"first": 1.5, "second": 2.5}
    text = cuda.markdown({"title": "a GPU", "machine": {}, "parts": found})
    assert "- first: 1.5" in text and told.splitlines()[0] in text


def test_parts_have_names_and_run_by_them(monkeypatch, tmp_path):
    names = cuda_parts.names(quick=False)
    assert set(cuda_parts.names(quick=True)) < set(names)
    assert [name for name, _ in cuda.parts(1.0, 0.0, quick=False)] == names
    for part, size in ((p, s) for p in ("on the GPU", "from the host") for s in cuda.SIZES):
        assert f"{part}, {size}" in names  # as `figures` looks for them
    assert {n.split(",")[0] for n in names} >= {*cuda.CHECKS, "floors", "rivals", "first call"}
    monkeypatch.setattr(cuda_checks, "find_sanitizer", lambda: None)
    cuda_parts.main("sanitizer", "0.1", "quick", str(tmp_path / "found.json"))
    assert "missing" in json.loads((tmp_path / "found.json").read_text())


def test_the_sanitizers_program_is_run_and_its_summary_kept(monkeypatch, tmp_path):
    tool = tmp_path / "compute-sanitizer"
    tool.write_text("#!/bin/sh\necho ========= ERROR SUMMARY: 2 errors\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = dict(cuda_checks.sanitizer())
    assert found["memcheck"].startswith("exit 9: ERROR SUMMARY: 2 errors")
    assert len(cuda.wrong({"sanitizer": {"found": found}})) == len(cuda_checks.TOOLS)
    compile(cuda_checks.SANITIZED, "sanitized", "exec")
    compile(cuda_timings.FIRST, "first", "exec")


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
    assert len(done.stderr.splitlines()) == 1 and "no GPU" in done.stderr
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
    wanted = ittisal.Saliency(image.shape[:2], ittisal.GAZE, backend="reference")(image)
    within("upsampled", made["gaze"], wanted)
    within("order", made["gaze"], made["figure x corners"] * fixations.promotion(traced(image)))


def traced(image):
    return ittisal.Saliency(image.shape[:2], ittisal.GAZE, backend="reference").trace(image)


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
