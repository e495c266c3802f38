"""The command line as its users meet it: as processes, with exit codes, files and streams."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from stimuli import thermal
from test_imagefiles import array, encoded, exif, photo, with_exif

import ittisal
from ittisal import cli, cpu, reference_backend
from ittisal.cli import common, info
from ittisal.imagefiles import ImageError

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("ITTISAL_")},
    "ITTISAL_BACKEND": "reference",  # nothing to compile; backends have tests of their own
    "PYTHONPATH": str(ROOT),
    "PYTHONIOENCODING": "utf-8",
}
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX streams, signals and limits")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "ittisal", *map(str, arguments)]


class Ran:
    """What a finished process left behind."""

    def __init__(self, process: subprocess.CompletedProcess[bytes]) -> None:
        self.status = process.returncode
        self.raw = process.stdout or b""
        self.out = self.raw.decode("utf-8", "surrogateescape")
        self.err = (process.stderr or b"").decode("utf-8", "surrogateescape")

    @property
    def rows(self) -> list[dict]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


def finished(words: list[str], cwd: Path, environment: dict[str, str], **streams) -> Ran:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    environment = {**ENVIRONMENT, **environment}
    return Ran(subprocess.run(words, cwd=cwd, env=environment, timeout=120, **streams))


def run(*arguments: object, cwd: Path, stdin: bytes = b"", **environment: str) -> Ran:
    return finished(command(*arguments), cwd, environment, input=stdin)


def run_script(script: str, cwd: Path, **environment: str) -> Ran:
    """A process that arranges something first, then calls `main`."""
    return finished([sys.executable, "-W", "error", "-c", script], cwd, environment)


def limited(most: int, *arguments: object, cwd: Path) -> Ran:
    """A process whose files may have no more than so many bytes."""
    script = f"""
import resource, sys
from ittisal.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
sys.exit(main({list(map(str, arguments))!r}))
"""
    return run_script(script, cwd)


def begin(words: list[str], cwd: Path | None = None, number=signal.SIGINT, **streams):
    """A process to be sent this signal. A test run in the background would hand on that it ignores
    SIGINT.
    """
    return subprocess.Popen(
        words,
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        **streams,
    )


def on_terminal(*arguments: object, cwd: Path) -> tuple[Ran, bytes]:
    """A process whose standard error is a terminal, and what that shows."""
    import fcntl
    import pty
    import termios

    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        ran = finished(command(*arguments), cwd, {}, stderr=terminal)
        os.write(terminal, b"end\n")
        seen = b""
        while b"end" not in seen:
            seen += os.read(master, 4096)
    finally:
        os.close(master)
        os.close(terminal)
    return ran, seen


def run_here(
    *arguments: object, cwd: Path, stdin: bytes = b"", terminal: str = "", **environment: str
) -> Ran:
    """Like `run`, in this process. `terminal` names the stream that claims to be one."""
    streams = [io.TextIOWrapper(io.BytesIO(data), "utf-8") for data in (stdin, b"", b"")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(cli, "_prepare_process", lambda: None)  # this process is pytest's
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            stream.isatty = lambda name=name: name == terminal
            patch.setattr(sys, name, stream)
        for name, value in {"ITTISAL_BACKEND": "reference", **environment}.items():
            patch.setenv(name, value)
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's own
            status = stop.code
    written = []
    for stream in streams[1:]:
        stream.flush()
        written.append(stream.buffer.getvalue())
    return Ran(subprocess.CompletedProcess(arguments, status, *written))


def save(path: Path, picture: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(photo() if picture is None else picture, path.suffix))
    return path


def load(path: Path) -> np.ndarray:
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def assert_wrong_usage(line: str, message: str, cwd: Path) -> None:
    """The command says this on one line, and writes nothing."""
    before = names(cwd)
    ran = run_here(*line.split(), cwd=cwd)
    assert ran.status == 2 and not ran.out
    assert message in ran.err and ran.err.count("\n") == 1 and ran.err.startswith("ittisal")
    assert names(cwd) == before


def expected(picture: np.ndarray, **options) -> np.ndarray:
    return ittisal.saliency_map(picture, channel_order="bgr", backend="reference", **options)


# --- help and usage ----------------------------------------------------------------------------


def test_help_has_examples(tmp_path):
    for name in ("demo", "map", "video", "info", "bench", "warmup"):
        ran = run_here(name, "--help", cwd=tmp_path)
        assert ran.status == 0 and "examples:" in ran.out
        assert ("(default: video)" in " ".join(ran.out.split())) is (name == "video")
    ran = run("--help", cwd=tmp_path)
    assert ran.status == 0 and not ran.err and "examples:" in ran.out
    assert all(summary in ran.out for summary in cli.COMMANDS.values())
    ran = run_here(cwd=tmp_path)
    assert ran.status == 2 and not ran.out and "examples:" in ran.err
    assert run_here("--version", cwd=tmp_path).out == f"ittisal {ittisal.__version__}\n"


def test_help_imports_nothing_heavy(tmp_path):
    ran = run_script(
        "import sys; from ittisal.cli import parser; parser().format_help()\n"
        "print([m for m in ('numpy', 'ittisal.config', 'typing') if m in sys.modules])\n"
        "parser('map'), parser('video')\n"
        "print([m for m in ('cv2', 'av', 'skimage', 'numba', 'tqdm', 'cupy') if m in sys.modules])",
        tmp_path,
    )
    assert ran.out == "[]\n[]\n", ran.err


USAGE_ERRORS = [
    ("nonsense", "invalid choice: 'nonsense'"),
    ("map", "IMAGE"),
    ("map a.png --over", "--over"),
    ("map a.png --preset itti", "no preset 'itti'; the presets are: itti1998, invt"),
    ("map a.png --config none.json", "none.json: No such file"),
    ("map a.png --config bad.json", "unknown config field 'hue'"),
    ("map a.png --config a.png", "ends in .json or .toml"),
    ("map a.png --set hue_threshold", "write FIELD=VALUE"),
    ("map a.png --set hue_threshold=2", "hue_threshold=2.0 must be at least 0 and below 1"),
    ("map a.png --set nonsense=2", "unknown config field 'nonsense'"),
    ("map a.png --set phase.even=2", "only weights and feature_weights have parts"),
    ("map a.png --set feature_weights.red=2", "'red' is not one of 'intensity', 'red_green'"),
    ("map a.png --set weights.red=2", "'red' is not one of 'intensity'"),
    ("map a.png --backend gpu", "backend='gpu' is not one of: auto"),
    ("map a.png --levels 7000", "'7000' are no levels; write BLACK:WHITE, as in 7000:7500"),
    ("map a.png --levels 1%:99", "'1%:99' are no levels"),
    ("map a.png --levels 1:2:3", "'1:2:3' are no levels"),
    ("map a.png --levels 1%:99%:soon", "'1%:99%:soon' are no levels"),
    ("map a.png --levels 200:100", "must be finite, black below white"),
    ("map a.png --levels 1%:101%", "must be from 0 to 100"),
    ("map a.png --levels 1%:99%:-1", "seconds=-1 must be at least 0"),
    ("map a.png --threads 0", "'0' must be a whole number from 1 to 256"),
    ("map a.png --format jpg", "invalid choice: 'jpg'"),
    ("map a.png -o map.jpg", "not written as .jpg"),
    ("map a.png -o bad.json", "is a file, not a directory"),
    ("map a.png -o a.png", "would overwrite the input a.png"),
    ("map a.png -o map.png --format npy", "does not end in .npy"),
    ("map a.png -o map.png --overlay", "takes one map"),
    ("map a.png b.png -o map.png", "takes one image, not 2"),
    ("map a.png -o none/map.png", "cannot write to none"),
    ("map a.png -o bad.json/maps", "cannot write to bad.json/maps"),
    ("map a.png -o - --json", "standard output takes one of -o - and --json"),
    ("map a.png --raw --format png", "--raw is written as npy"),
    ("map a.png --raw --size image", "--raw has the map's own size"),
    ("map - -", "give it once"),
    ("map - a.png", "Give a directory with -o"),
    ("map a.png a.bmp", "would both be written to a.saliency.png"),
    ("demo --image nobody", "no photograph 'nobody'"),
    ("demo --image bad.json", "is not an image"),
    ("demo -o picture.jpg", "end in .png"),
    ("demo -o none/picture.png", "cannot write to none"),
    ("bench --size 640", "'640' is no size; write WIDTHxHEIGHT"),
    ("bench --size 31x64", "frame is 31x64 pixels; both sides must be at least 32"),
    ("bench --seconds nan", "above 0 and at most 3600"),
    ("bench --threads 1 two", "'two' must be a whole number"),
    ("warmup --dtype int8", "invalid choice: 'int8'"),
]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("crowded")
    for name in ("a.png", "b.png", "a.bmp"):
        save(directory / name)
    (directory / "bad.json").write_text('{"hue": 1}')
    return directory


@pytest.mark.parametrize(("line", "message"), USAGE_ERRORS, ids=[line for line, _ in USAGE_ERRORS])
def test_usage_errors(line, message, crowded):
    assert_wrong_usage(line, message, crowded)


def test_usage_errors_end_the_process(crowded):
    for line in ("map", "map a.png --preset itti"):
        ran = run(*line.split(), cwd=crowded)
        assert ran.status == 2 and ran.err.count("\n") == 1 and not ran.out


@pytest.mark.parametrize("name", ["ITTISAL_BACKEND", "ITTISAL_THREADS"])
def test_bad_environment_is_named(name, crowded):
    ran = run_here("map", "a.png", cwd=crowded, **{name: "x"})
    assert ran.status == 2 and f"{name}='x'" in ran.err


# --- what a map is -----------------------------------------------------------------------------


def test_map_is_what_the_api_gives_in_each_format(tmp_path):
    picture = photo()
    save(tmp_path / "photo.png", picture)
    want = expected(picture)
    ran = run("map", "photo.png", cwd=tmp_path)
    assert (ran.status, ran.out, ran.err) == (0, "photo.saliency.png\n", "")
    assert names(tmp_path) == {"photo.png", "photo.saliency.png"}
    np.testing.assert_array_equal(load(tmp_path / "photo.saliency.png"), np.rint(want * 255))
    for options, name in (
        (["--format", "png16"], "photo.saliency.png"),
        (["--format", "tiff"], "photo.saliency.tiff"),
        (["--format", "npy"], "photo.saliency.npy"),
        (["-o", "own.tif"], "own.tif"),
    ):
        assert run_here("map", "photo.png", *options, cwd=tmp_path).out == f"{name}\n"
    np.testing.assert_array_equal(load(tmp_path / "photo.saliency.png"), np.rint(want * 65535))
    for floats in (
        load(tmp_path / "photo.saliency.tiff"),
        load(tmp_path / "own.tif"),
        np.load(tmp_path / "photo.saliency.npy"),
    ):
        assert floats.dtype == np.float32
        np.testing.assert_array_equal(floats, want)


def test_raw_and_small(tmp_path):
    picture = photo()
    save(tmp_path / "photo.png", picture)
    raw = ittisal.Saliency((48, 64), channel_order="bgr", backend="reference")(picture)
    run_here("map", "photo.png", "--raw", "-o", "raw.npy", cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "raw.npy"), raw)
    run_here("map", "photo.png", "--size", "map", "--format", "npy", cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "photo.saliency.npy"), raw / raw.max())


def test_config_reaches_the_model(tmp_path):
    picture = photo()
    save(tmp_path / "photo.png", picture)
    (tmp_path / "mine.json").write_text(ittisal.preset("invt").to_json())
    want = np.rint(expected(picture, config=ittisal.preset("invt")) * 255)
    for options in (["--preset", "invt"], ["--config", "mine.json"]):
        run_here("map", "photo.png", *options, cwd=tmp_path)
        np.testing.assert_array_equal(load(tmp_path / "photo.saliency.png"), want)
    run_here("map", "photo.png", "--set", "weights.colour=0", "--set", "phase=even", cwd=tmp_path)
    config = ittisal.Config(weights={"intensity": 1, "orientation": 1}, phase="even")
    np.testing.assert_array_equal(
        load(tmp_path / "photo.saliency.png"), np.rint(expected(picture, config=config) * 255)
    )


@pytest.mark.parametrize(
    ("preset", "parts"),
    [
        ("whitened", {"whitened"}),
        ("gaze", {"intensity", "colour", "orientation", "figure", "corners"}),
    ],
)
def test_parts_of_other_presets(tmp_path, preset, parts):
    save(tmp_path / "photo.png")
    ran = run_here(
        "map", "photo.png", "--preset", preset, "--channels", "--backend", "reference", cwd=tmp_path
    )
    assert ran.status == 0, ran.err
    names = {path.name for path in tmp_path.iterdir()} - {"photo.png"}
    assert names == {f"photo.{part}.png" for part in {"saliency", *parts}}
    again = run_here("map", ".", "--preset", preset, "--backend", "reference", cwd=tmp_path)
    assert f"maps of earlier runs left out: {len(names)}" in again.err


def test_overlay_and_channels(tmp_path):
    save(tmp_path / "photo.png")
    save(tmp_path / "grey.png", photo()[..., 0])
    ran = run_here(
        "map", "photo.png", "grey.png", "-o", "out", "--overlay", "--channels", cwd=tmp_path
    )
    assert ran.status == 0, ran.err
    kinds = {"saliency", "overlay", "intensity", "colour", "orientation"}
    assert names(tmp_path / "out") == {f"photo.{kind}.png" for kind in kinds} | {
        f"grey.{kind}.png" for kind in kinds - {"colour"}
    }
    assert load(tmp_path / "out/photo.overlay.png").shape == (48, 64, 3)
    for kind in kinds - {"overlay"}:
        picture = load(tmp_path / f"out/photo.{kind}.png")
        assert picture.shape == (48, 64) and picture.max() > 230  # between two samples


def test_json(tmp_path):
    save(tmp_path / "photo.png")
    save(tmp_path / "flat.png", np.full((48, 64, 3), 127, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"")
    ran = run_here("map", "photo.png", "bad.png", "flat.png", "--json", "--channels", cwd=tmp_path)
    assert ran.status == 1
    good, bad, flat = ran.rows
    assert good["input"] == "photo.png"
    assert good["outputs"]["saliency"] == "photo.saliency.png"
    assert (good["width"], good["height"], good["backend"]) == (64, 48, "reference")
    assert set(good["milliseconds"]) == {"read", "setup", "model", "write"}
    assert set(good["channel_maxima"]) == {"intensity", "colour", "orientation"}
    assert good["maximum"] > 0
    assert 0 <= good["peak"]["x"] < 64 and 0 <= good["peak"]["y"] < 48
    assert bad == {"input": "bad.png", "error": "is empty (0 bytes)"}
    assert flat["peak"] is None and flat["maximum"] == 0
    assert "flat.png: nothing stands out" in ran.err
    assert "1 of 3 inputs failed" in ran.err


def test_peak_is_where_the_object_is(tmp_path):
    picture = np.full((96, 128, 3), 90, np.uint8)
    picture[64:80, 32:48] = 0, 0, 255
    save(tmp_path / "photo.png", picture)
    (row,) = run_here("map", "photo.png", "--json", cwd=tmp_path).rows
    assert abs(row["peak"]["x"] - 40) <= 16 and abs(row["peak"]["y"] - 72) <= 16


@pytest.mark.parametrize("words", [["map"], ["video", "--jsonl", "a.jsonl"]])
def test_passwords_are_not_shown(words, tmp_path):
    ran = run_here(*words, "http://anna:secret@127.0.0.1:9/a.jpg", "--json", cwd=tmp_path)
    assert ran.status == 1
    assert ran.rows[0]["input"] == "http://anna:***@127.0.0.1:9/a.jpg"
    assert "secret" not in ran.out + ran.err


def test_quiet_still_tells_errors(tmp_path):
    save(tmp_path / "photo.png")
    ran = run_here("map", "-q", "photo.png", "none.png", cwd=tmp_path)
    assert ran.status == 1 and not ran.out
    assert "none.png: no such file" in ran.err


# --- files that are not good images ------------------------------------------------------------


def test_bad_files_are_reported_and_the_rest_go_on(tmp_path):
    files = {
        "cut.jpg": (encoded(photo(), ".jpg")[:900], "is a truncated JPEG file"),
        "small.png": (encoded(photo(31, 64)), "frame is 64x31 pixels; both sides must be at least"),
        "int.npy": (array(np.zeros((40, 40), np.int32)), "frame has dtype int32; give uint8"),
        "beyond.npy": (array(np.full((40, 40), 1e39)), "frame holds inf (or what float32 cannot"),
        "nan.npy": (array(np.full((40, 40), np.nan, np.float32)), "frame holds NaN"),
        "bright.npy": (array(np.full((40, 40), 255.0)), "Divide by"),
    }
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    save(tmp_path / "good.png")
    ran = run(
        "map", *sorted(files), "none.png", "*.nothing", "folder", "good.png", "-o", "out",
        cwd=tmp_path,
    )  # fmt: skip
    assert ran.status == 1
    lines = ran.err.splitlines()
    for name, (_, message) in files.items():
        (line,) = [line for line in lines if line.startswith(f"ittisal map: {name}: ")]
        assert message in line
    for line in (
        "ittisal map: none.png: no such file",
        "ittisal map: *.nothing: no file matches this pattern",
        "ittisal map: folder: no image file in this directory; --recursive also searches the "
        "folders in it",
        f"ittisal map: {len(files) + 3} of {len(files) + 4} inputs failed",
    ):
        assert line in lines
    assert len(lines) == len(files) + 4
    assert names(tmp_path / "out") == {"good.saliency.png"}


def test_a_folder_of_heic_is_not_empty(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(60))
    ran = run_here("map", ".", cwd=tmp_path)
    assert ran.status == 1 and ran.out == "a.saliency.png\n"
    assert "b.HEIC: is HEIC, which this OpenCV does not read; convert it" in ran.err


@pytest.mark.skipif(sys.platform != "linux", reason="files that no one can read, not even root")
def test_what_cannot_be_read_is_told(tmp_path):
    ran = run_here("map", "/dev/zero", "/proc/self/mem", "-o", "out", cwd=tmp_path)
    assert ran.status == 1
    assert ran.err.splitlines() == [
        "ittisal map: /dev/zero: is a device, not an image file",
        "ittisal map: /proc/self/mem: cannot be read: Input/output error",
        "ittisal map: 2 of 2 inputs failed",
    ]


def test_a_backend_that_cannot_run_ends_the_run(tmp_path, monkeypatch):
    save(tmp_path / "photo.png")
    monkeypatch.setattr(reference_backend, "supports", lambda config: (False, "not today"))
    ran = run_here("map", "photo.png", "--backend", "reference", cwd=tmp_path)
    assert ran.status == 2 and "reference: not today" in ran.err


# --- what is read (see also test_imagefiles.py) ------------------------------------------------


def test_map_lies_over_the_upright_photograph(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(with_exif(encoded(photo(), ".jpg"), exif(6, ">")))
    (row,) = run_here("map", "photo.jpg", "--json", cwd=tmp_path).rows
    assert (row["width"], row["height"]) == (48, 64)


@pytest.mark.parametrize(
    ("stem", "arguments"),
    [
        ("фото ü 写真", ["фото ü 写真.png"]),
        ("a[1]", ["a[1].png"]),  # named like a pattern
        ("a", ["a.png", "./a.png", "."]),  # given twice, done once
    ],
)
def test_names(stem, arguments, tmp_path):
    save(tmp_path / f"{stem}.png")
    ran = run_here("map", *arguments, cwd=tmp_path)
    assert (ran.status, ran.out) == (0, f"{stem}.saliency.png\n")
    assert names(tmp_path) == {f"{stem}.png", f"{stem}.saliency.png"}


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_names_that_are_not_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    save(tmp_path / name)
    ran = run("map", name, cwd=tmp_path)
    assert (ran.status, ran.raw) == (0, b"caf\xe9.saliency.png\n"), ran.err
    assert run_here("map", name, "--json", cwd=tmp_path).rows[0]["input"] == name
    lost = run("map", os.fsdecode(b"\xe9\x1b\n.png"), cwd=tmp_path)
    assert lost.err == "ittisal map: \\xe9\\x1b\\n.png: no such file\n"
    ran = run("video", name, "--reader", "opencv", "--jsonl", "a.jsonl", cwd=tmp_path)
    assert ran.status == 1 and "is not UTF-8, and OpenCV takes no other; rename it" in ran.err


@pytest.mark.parametrize(
    "words",
    ["{}", "map {}", "map a.png --preset {}", "map a.png --set {}=1", "map a.png --levels {}",
     "map a.png --{}", "dataset check {}", "evaluate {} --metric {}", "video {} --every {}"],
)  # fmt: skip
def test_errors_quote_a_part_of_what_is_long(words, tmp_path):
    ran = run_here(*words.format(*["x" * 50_000] * 2).split(), cwd=tmp_path)
    assert ran.status and "xxx...xxx" in ran.err and len(ran.err) < 1000


# --- inputs and where results go ---------------------------------------------------------------


def test_directories_and_patterns(tmp_path):
    for name in ("in/a.png", "in/B.PNG", "in/deep/er/a.png", "in/.hidden.png", "in/.d/c.png"):
        save(tmp_path / name.lower())
    (tmp_path / "in/b.png").rename(tmp_path / "in/B.PNG")
    (tmp_path / "in/notes.txt").write_text("not an image")
    ran = run_here("map", "in", "-o", "flat", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert names(tmp_path / "flat") == {"a.saliency.png", "B.saliency.png"}
    run_here("map", "in", "-r", "-o", "tree", cwd=tmp_path)
    assert names(tmp_path / "tree") == {
        "a.saliency.png",
        "B.saliency.png",
        str(Path("deep/er/a.saliency.png")),
    }
    run_here("map", "in/**/a*.png", cwd=tmp_path)
    assert (tmp_path / "in/a.saliency.png").exists()
    assert (tmp_path / "in/deep/er/a.saliency.png").exists()
    assert not (tmp_path / "in/B.saliency.png").exists()


def test_a_second_run_leaves_the_maps_of_the_first_alone(tmp_path):
    save(tmp_path / "a.png")
    for _ in range(2):
        ran = run_here("map", ".", "-r", "--overlay", cwd=tmp_path)
        assert ran.status == 0
    assert names(tmp_path) == {"a.png", "a.saliency.png", "a.overlay.png"}
    assert "left out: 2" in ran.err
    for _ in range(2):
        run_here("map", ".", "-r", "-o", "maps", cwd=tmp_path)
    assert names(tmp_path / "maps") == {"a.saliency.png"}
    save(tmp_path / "b/a.colour.jpg")  # no format of ours
    save(tmp_path / "b/a.png")
    assert len(run_here("map", "b", cwd=tmp_path).out.splitlines()) == 2
    # One that is named but missing is an error.
    ran = run_here("map", "b/a.saliency.png", "b/a.png", "b/a.overlay.png", cwd=tmp_path)
    assert (ran.status, ran.out) == (1, "b/a.saliency.png\n")
    assert "left out: 1" in ran.err and "b/a.overlay.png: no such file" in ran.err
    # Named alone, a map is an image like any other.
    assert run_here("map", "a.saliency.png", cwd=tmp_path).out == "a.saliency.saliency.png\n"


def test_same_names_from_two_directories(tmp_path):
    for folder in ("x", "y"):
        save(tmp_path / folder / "a.png")
    ran = run_here("map", "x", "y", "-o", "out", cwd=tmp_path)
    assert ran.status == 2
    assert "would both be written to" in ran.err and "different -o" in ran.err
    assert not (tmp_path / "out").exists()
    assert run_here("map", ".", "-r", "-o", "out", cwd=tmp_path).status == 0
    assert names(tmp_path / "out") == {str(Path(folder, "a.saliency.png")) for folder in ("x", "y")}


def test_existing_results(tmp_path):
    save(tmp_path / "a.png")
    old = tmp_path / "a.saliency.png"
    old.write_bytes(b"old")
    ran = run_here("map", "a.png", "--no-clobber", "--overlay", "--json", cwd=tmp_path)
    assert old.read_bytes() == b"old"
    assert "a.saliency.png: exists, left as it is" in ran.err
    assert ran.rows[0]["skipped"] == ["a.saliency.png"]
    assert ran.rows[0]["outputs"] == {"overlay": "a.overlay.png"}
    ran = run_here("map", "a.png", "--no-clobber", cwd=tmp_path)
    assert ran.status == 0 and not ran.out
    run_here("map", "a.png", cwd=tmp_path)
    assert load(old).shape == (48, 64)


# --- streams -----------------------------------------------------------------------------------


def test_stdin_to_stdout(tmp_path):
    picture = photo()
    want = np.rint(expected(picture) * 255)
    for arguments in (["-"], ["-", "-o", "-"]):
        ran = run_here("map", *arguments, cwd=tmp_path, stdin=encoded(picture))
        assert ran.status == 0 and not ran.err
        got = cv2.imdecode(np.frombuffer(ran.raw, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(got, want)
    assert not names(tmp_path)
    ran = run_here("map", "-", "-o", "out", cwd=tmp_path, stdin=encoded(picture, ".bmp"))
    assert names(tmp_path) == {str(Path("out/stdin.saliency.png"))}
    ran = run_here("map", "-", cwd=tmp_path, stdin=b"")
    assert (ran.status, ran.raw) == (1, b"")
    assert ran.err == "ittisal map: -: is empty (0 bytes)\n"


@POSIX
@pytest.mark.parametrize("words", [["map"], ["crop", "--zoom", "2"]])
def test_pipes_and_stdout_by_their_names(words, tmp_path):
    """What goes there is written on, not replaced, also with --no-clobber."""
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    ran = run_here(*words, "a.png", "-o", "pipe", "--no-clobber", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert (tmp_path / "pipe").is_fifo()
    sent = os.read(reader, 1 << 16)
    os.close(reader)
    assert sent.startswith(b"\x89PNG")
    assert run_here(*words, "a.png", "-o", "/dev/stdout", cwd=tmp_path).raw == sent


@pytest.mark.parametrize(
    ("line", "terminal", "message"),
    [
        ("map a.png -o -", "stdout", "which is a terminal; redirect"),
        ("video a.png -o -", "stdout", "which is a terminal; redirect"),
        ("map - -o out", "stdin", "which is a terminal; pipe"),
        ("video - --jsonl out", "stdin", "which is a terminal; pipe"),
    ],
)
def test_no_picture_on_a_terminal(line, terminal, message, crowded):
    ran = run_here(*line.split(), cwd=crowded, terminal=terminal)
    assert ran.status == 2 and message in ran.err


@POSIX
def test_progress_on_a_terminal_only(crowded, tmp_path):
    pytest.importorskip("tqdm")
    arguments = ("map", "a.png", "b.png", "-o", tmp_path)
    ran, seen = on_terminal(*arguments, cwd=crowded)
    assert ran.status == 0 and len(ran.out.splitlines()) == 2 and b"2/2" in seen
    quiet = run_here(*arguments, "-q", cwd=crowded, terminal="stderr")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


@pytest.fixture
def many(tmp_path) -> list[str]:
    """So many images that their JSON lines do not fit into a pipe that nobody reads."""
    save(tmp_path / "photo.png", photo(32, 32))
    stem = "x" * 100
    for i in range(300):
        os.link(tmp_path / "photo.png", tmp_path / f"{i:03}{stem}.png")
    return [f"{i:03}{stem}.png" for i in range(300)]


@POSIX
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (getattr(signal, "SIGHUP", 1), 129)],
)
def test_interrupted(number, status, many, tmp_path):
    with begin(command("map", *many, "--json", "-o", "out"), tmp_path, number) as process:
        process.stdout.readline()  # it works by now, and cannot end before more is read
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    assert process.returncode == status
    assert err == (b"ittisal map: interrupted\n" if number == signal.SIGINT else b"")
    done = names(tmp_path / "out")
    assert 0 < len(done) < 300
    for name in done:  # all whole, no temporary left
        assert load(tmp_path / "out" / name).shape == (32, 32)


@POSIX
def test_broken_pipe_is_quiet(many, tmp_path):
    with begin(command("map", *many, "--json", "-o", "out"), tmp_path) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 141


# --- disks -------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["info"],
        ["map", "a.png", "--json"],
        ["map", "a.png", "-o", "-"],
        ["--version"],
        ["--help"],
        ["video", "--help"],
    ],
)
def test_full_stdout(arguments, tmp_path):
    save(tmp_path / "a.png")
    with open("/dev/full", "wb") as full:
        ran = finished(command(*arguments), tmp_path, {}, stdout=full)
    assert ran.status == 1
    assert re.fullmatch(
        r"ittisal( \w+)?: cannot write standard output: No space left on device\n", ran.err
    )


@POSIX
def test_full_disk_leaves_nothing_half_written(tmp_path):
    save(tmp_path / "a.png", photo(96, 96))
    (tmp_path / "out").mkdir()
    old = tmp_path / "out/a.saliency.npy"
    old.write_bytes(b"old")
    ran = limited(5000, "map", "a.png", "-o", "out", "--format", "npy", cwd=tmp_path)  # of 36 KB
    assert ran.status == 1 and not ran.out
    assert "cannot write out/a.saliency.npy: File too large" in ran.err
    assert names(tmp_path / "out") == {"a.saliency.npy"} and old.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, not even root's")
@pytest.mark.parametrize(
    "arguments", [["map", "a.png", "-o", "/proc/maps"], ["demo", "-o", "/proc"]]
)
def test_unwritable_directory_is_found_out_first(arguments, tmp_path):
    save(tmp_path / "a.png")
    ran = run_here(*arguments, cwd=tmp_path)
    assert ran.status == 2
    assert "cannot write to /proc" in ran.err and "-o" in ran.err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_write_is_all_or_nothing(error, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ImageError if isinstance(error, OSError) else KeyboardInterrupt):
        common.write(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == {"a.png"}


def test_faults_of_ours_are_told_on_one_line(tmp_path, monkeypatch):
    def facts():
        raise KeyError("oops")

    monkeypatch.setattr(info, "facts", facts)
    ran = run_here("info", cwd=tmp_path)
    assert ran.status == 1
    assert ran.err.startswith("ittisal info: unexpected KeyError: 'oops'.")
    assert ran.err.count("\n") == 1 and "ITTISAL_DEBUG=1" in ran.err
    assert "Traceback" in run_here("info", cwd=tmp_path, ITTISAL_DEBUG="1").err


def test_warnings_take_a_line(tmp_path):
    script = """
import warnings
from ittisal.cli import info, main
info.facts = lambda: warnings.warn("no disk", RuntimeWarning)
warnings.simplefilter("always")
main(["info"])
"""
    assert run_script(script, tmp_path).err.startswith("ittisal: no disk\nittisal info: ")


def test_a_missing_opencv_is_told(tmp_path, monkeypatch):
    save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "cv2", None)
    ran = run_here("map", "a.png", cwd=tmp_path)
    assert ran.status == 2 and "pip install opencv-contrib-python" in ran.err


# --- the other commands ------------------------------------------------------------------------


def test_demo(tmp_path):
    ran = run_here("demo", cwd=tmp_path)
    assert ran.status == 0 and not ran.err
    told = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert Path(told["picture"]) == tmp_path / "ittisal-demo.png"
    assert told["photograph"] == "rocket, 640x427 pixels"
    assert "backend reference" in told["model"]
    assert names(tmp_path) == {"ittisal-demo.png"}
    picture = load(tmp_path / "ittisal-demo.png")
    assert picture.shape[0] > 600 and picture.shape[1] > 1400


def test_demo_of_ones_own_grey_image(tmp_path):
    save(tmp_path / "tall.png", photo(200, 40)[..., 0])
    ran = run_here("demo", "--image", "tall.png", "-o", ".", "--preset", "invt", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert "tall.png, 40x200 pixels" in ran.out
    assert names(tmp_path) == {"tall.png", "ittisal-demo.png"}


def test_every_bundled_photograph_is_there(tmp_path):
    from ittisal.cli.models import PHOTOGRAPHS, photograph

    for name in PHOTOGRAPHS:
        assert min(photograph(name).shape[:2]) >= 256


def test_info(tmp_path):
    ran = run_here("info", "--size", "64x48", cwd=tmp_path)
    assert ran.status == 0 and not ran.err
    for word in ("numpy", "reference", "ITTISAL_BACKEND", "4x3", "2-5"):
        assert word in ran.out
    facts = json.loads(run_here("info", "--json", cwd=tmp_path).out)
    assert facts["ittisal"]["version"] == ittisal.__version__
    assert set(facts["backends"]) == set(ittisal.backends.available())
    assert {"cpu", "gpus", "packages", "caches", "environment", "presets"} <= set(facts)


def test_info_tells_what_the_cpu_backend_says(tmp_path, monkeypatch):
    says = {"lanes": "16 float32", "cache directory": "/somewhere"}
    monkeypatch.setattr(cpu, "describe", lambda: says)
    out = run_here("info", cwd=tmp_path).out
    assert "16 float32" in out and "/somewhere" in out


NO_TARGETS = {
    "ITTISAL_LANES": ("7", "ITTISAL_LANES='7' must be 4, 8 or 16; unset it"),
    "NUMBA_CPU_NAME": ("xyz", "NUMBA_CPU_NAME='xyz' is no CPU that LLVM knows"),
}


@pytest.mark.parametrize("variable", NO_TARGETS)
def test_a_target_that_cannot_be_compiled_for_is_refused_once(variable, tmp_path):
    value, message = NO_TARGETS[variable]
    given = {"ITTISAL_BACKEND": "cpu", variable: value}
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    ran = run("map", ".", cwd=tmp_path, **given)
    assert ran.status == 2 and not ran.out
    assert ran.err.startswith(f"ittisal map: {message}") and ran.err.count("\n") == 1
    ran = run("info", cwd=tmp_path, **given)
    assert ran.status == 0 and not ran.err
    assert f"not usable: {message}" in ran.out


def test_bench(tmp_path):
    line = "bench --size 64x48 32x32 --threads 1 2 --seconds 0.05"
    ran = run_here(*line.split(), cwd=tmp_path)
    assert ran.status == 0 and not ran.err
    assert ran.out.count("64x48") == 4 and ran.out.count("32x32") == 4  # frames, then stages
    line = "bench --size 64x48 --seconds 0.05 --grey --json"
    ran = run_here(*line.split(), cwd=tmp_path)
    (row,) = json.loads(ran.out)["rows"]
    assert (row["width"], row["height"], row["backend"]) == (64, 48, "reference")
    assert row["frames"] >= 5
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]
    assert row["stages_ms"]


def test_warmup_fails_where_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("ittisal.cli.info.caches", lambda: {"cpu cache directory": "none: why"})
    ran = run_here("warmup", "--size", "64x48", "--backend", "cpu", cwd=tmp_path)
    assert ran.status == 1 and "none: why" in ran.out


def test_warmup(tmp_path):
    ran = run_here("warmup", "--size", "64x48", "--dtype", "uint8", "float32", cwd=tmp_path)
    assert ran.status == 0 and not ran.err
    for words in ("uint8 rgb", "uint8 bgr", "uint8 grey", "float32 bgr", "in all"):
        assert words in ran.out


# --- levels ------------------------------------------------------------------------------------


def test_levels_of_a_thermal_picture(tmp_path):
    scene, _ = thermal(np.random.default_rng(1))
    full = np.rint((scene - 7000.0) * 65535 / 500).astype(np.uint16)
    save(tmp_path / "full.png", full)
    for words in (["full.png"], ["scene.png", "--levels", "7000:7500"]):
        save(tmp_path / "scene.png", scene)
        ran = run_here("map", *words, "--preset", "gaze", "--overlay", "--json", cwd=tmp_path)
        assert ran.status == 0 and 90 <= ran.rows[0]["peak"]["x"] <= 110, ran.err
    got, wanted = (load(tmp_path / f"{name}.saliency.png") for name in ("scene", "full"))
    # Both are stretched to whole counts, by other arithmetic: some differ by one of 65535.
    assert np.abs(got.astype(int) - wanted).max() <= 1
    overlay = load(tmp_path / "scene.overlay.png")
    assert overlay[:30].max() < 60 < overlay.max()  # the background is dark, as 7000 is black


def test_levels_of_degrees_and_of_another_type(tmp_path):
    scene, _ = thermal(np.random.default_rng(1))
    np.save(tmp_path / "degrees.npy", (scene / 100 - 50).astype(np.float32))  # 20 to 25
    save(tmp_path / "eight.png", np.zeros((64, 64), np.uint8))
    ran = run_here("map", "degrees.npy", "eight.png", "--levels=-20.5:25", "--json", cwd=tmp_path)
    assert ran.status == 1
    assert 90 <= ran.rows[0]["peak"]["x"] <= 110
    assert "levels=(-20.5, 25) reach beyond uint8 frames, whose" in ran.rows[1]["error"]
    ran = run_here("map", "degrees.npy", "--levels", "1%:99.9%", "--json", cwd=tmp_path)
    assert 90 <= ran.rows[0]["peak"]["x"] <= 110
