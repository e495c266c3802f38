"""The command line as its users meet it: as processes, with exit codes, files and streams."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import ittisal
from ittisal import cli, drawing, imagefiles
from ittisal.cli import images, inputs
from ittisal.cli.errors import ImageError

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("ITTISAL_")},
    "ITTISAL_BACKEND": "reference",  # nothing to compile; backends have tests of their own
    "PYTHONPATH": str(ROOT),
    "PYTHONIOENCODING": "utf-8",
}
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX streams, signals and limits")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "ittisal", *map(os.fspath, map(text, arguments))]


def text(argument: object) -> str | os.PathLike[str]:
    return argument if isinstance(argument, os.PathLike) else str(argument)


class Ran:
    """What a finished process left behind."""

    def __init__(self, process: subprocess.CompletedProcess[bytes]) -> None:
        self.status = process.returncode
        self.raw = process.stdout
        self.out = process.stdout.decode("utf-8", "surrogateescape")
        self.err = process.stderr.decode("utf-8", "surrogateescape")

    @property
    def rows(self) -> list[dict]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: object, cwd: Path, stdin: bytes = b"", **environment: str) -> Ran:
    process = subprocess.run(
        command(*arguments),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        env={**ENVIRONMENT, **environment},
        timeout=120,
        check=False,
    )
    return Ran(process)


def run_script(script: str, cwd: Path, **environment: str) -> Ran:
    """A process that arranges something first, then calls `main`."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=cwd,
        capture_output=True,
        env={**ENVIRONMENT, **environment},
        timeout=120,
        check=False,
    )
    return Ran(process)


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """BGR, smooth enough to be a picture, with one red square."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 3)
    picture[height // 4 : height // 4 + 9, width // 2 : width // 2 + 9] = 0, 0, 255
    return picture


def encoded(picture: np.ndarray, suffix: str = ".png") -> bytes:
    lossless = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tiff" else []  # OpenCV 4's is not
    return cv2.imencode(suffix, picture, lossless)[1].tobytes()


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


def expected(picture: np.ndarray, **options) -> np.ndarray:
    return ittisal.saliency_map(picture, channel_order="bgr", backend="reference", **options)


# --- help and usage ----------------------------------------------------------------------------


def test_help_has_examples(tmp_path, capsys):
    for name in ("demo", "map", "video", "info", "bench", "warmup"):
        with pytest.raises(SystemExit) as stop:
            cli.parser().parse_args([name, "--help"])
        assert stop.value.code == 0
        assert "examples:" in capsys.readouterr().out
    ran = run("--help", cwd=tmp_path)
    assert ran.status == 0 and not ran.err and "examples:" in ran.out


def test_help_imports_nothing_heavy(tmp_path):
    ran = run_script(
        "import sys; from ittisal.cli import parser; parser().format_help()\n"
        "print([m for m in ('cv2', 'skimage', 'numba', 'tqdm', 'cupy') if m in sys.modules])",
        tmp_path,
    )
    assert ran.out == "[]\n", ran.err


def test_version(tmp_path):
    assert run("--version", cwd=tmp_path).out == f"ittisal {ittisal.__version__}\n"


def test_no_command_shows_help(tmp_path):
    ran = run(cwd=tmp_path)
    assert ran.status == 2 and not ran.out
    assert "examples:" in ran.err


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
    ("map a.png --set phase.even=2", "only weights has parts"),
    ("map a.png --set weights.red=2", "'red' is not one of 'intensity'"),
    ("map a.png --backend gpu", "backend='gpu' is not one of: auto"),
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
    ("map a.png -o - --json", "not both"),
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
def test_usage_errors(line, message, crowded, monkeypatch, capsys):
    monkeypatch.chdir(crowded)
    monkeypatch.setattr(cli, "_prepare_process", lambda: None)  # this process is pytest's
    before = names(crowded)
    try:
        status = cli.main(line.split())
    except SystemExit as stop:  # argparse's own
        status = stop.code
    out, err = capsys.readouterr()
    assert status == 2
    assert message in err
    assert err.count("\n") == 1 and err.startswith("ittisal")
    assert not out
    assert names(crowded) == before


def test_usage_errors_end_the_process(crowded):
    for line in ("map", "map a.png --preset itti"):
        ran = run(*line.split(), cwd=crowded)
        assert ran.status == 2 and ran.err.count("\n") == 1 and not ran.out


@pytest.mark.parametrize("name", ["ITTISAL_BACKEND", "ITTISAL_THREADS"])
def test_bad_environment_is_named(name, crowded):
    ran = run("map", "a.png", cwd=crowded, **{name: "x"})
    assert ran.status == 2 and f"{name}='x'" in ran.err


# --- what a map is -----------------------------------------------------------------------------


def test_map_is_what_the_api_gives(tmp_path):
    picture = photo()
    save(tmp_path / "photo.png", picture)
    ran = run("map", "photo.png", cwd=tmp_path)
    assert (ran.status, ran.out, ran.err) == (0, "photo.saliency.png\n", "")
    assert names(tmp_path) == {"photo.png", "photo.saliency.png"}
    np.testing.assert_array_equal(
        load(tmp_path / "photo.saliency.png"), np.rint(expected(picture) * 255)
    )


def test_formats(tmp_path):
    picture = photo()
    save(tmp_path / "photo.png", picture)
    want = expected(picture)
    for options, name in (
        (["--format", "png16"], "photo.saliency.png"),
        (["--format", "tiff"], "photo.saliency.tiff"),
        (["--format", "npy"], "photo.saliency.npy"),
        (["-o", "own.tif"], "own.tif"),
    ):
        assert run("map", "photo.png", *options, cwd=tmp_path).out == f"{name}\n"
    np.testing.assert_array_equal(load(tmp_path / "photo.saliency.png"), np.rint(want * 65535))
    for array in (
        load(tmp_path / "photo.saliency.tiff"),
        load(tmp_path / "own.tif"),
        np.load(tmp_path / "photo.saliency.npy"),
    ):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, want)


def test_raw_and_small(tmp_path):
    picture = photo()
    save(tmp_path / "photo.png", picture)
    raw = ittisal.Saliency((48, 64), channel_order="bgr", backend="reference")(picture)
    run("map", "photo.png", "--raw", "-o", "raw.npy", cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "raw.npy"), raw)
    run("map", "photo.png", "--size", "map", "--format", "npy", cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "photo.saliency.npy"), raw / raw.max())


def test_config_reaches_the_model(tmp_path):
    picture = photo()
    save(tmp_path / "photo.png", picture)
    (tmp_path / "mine.json").write_text(ittisal.preset("invt").to_json())
    want = np.rint(expected(picture, config=ittisal.preset("invt")) * 255)
    for options in (["--preset", "invt"], ["--config", "mine.json"]):
        run("map", "photo.png", *options, cwd=tmp_path)
        np.testing.assert_array_equal(load(tmp_path / "photo.saliency.png"), want)
    run("map", "photo.png", "--set", "weights.colour=0", "--set", "phase=even", cwd=tmp_path)
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
    ran = run(
        "map", "photo.png", "--preset", preset, "--channels", "--backend", "reference", cwd=tmp_path
    )
    assert ran.status == 0, ran.err
    names = {path.name for path in tmp_path.iterdir()} - {"photo.png"}
    assert names == {f"photo.{part}.png" for part in {"saliency", *parts}}
    again = run("map", ".", "--preset", preset, "--backend", "reference", cwd=tmp_path)
    assert f"maps of earlier runs left out: {len(names)}" in again.err


def test_overlay_and_channels(tmp_path):
    save(tmp_path / "photo.png")
    save(tmp_path / "grey.png", photo()[..., 0])
    ran = run("map", "photo.png", "grey.png", "-o", "out", "--overlay", "--channels", cwd=tmp_path)
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
    ran = run("map", "photo.png", "bad.png", "flat.png", "--json", "--channels", cwd=tmp_path)
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
    (row,) = run("map", "photo.png", "--json", cwd=tmp_path).rows
    assert abs(row["peak"]["x"] - 40) <= 16 and abs(row["peak"]["y"] - 72) <= 16


def test_quiet_still_tells_errors(tmp_path):
    save(tmp_path / "photo.png")
    ran = run("map", "-q", "photo.png", "none.png", cwd=tmp_path)
    assert ran.status == 1 and not ran.out
    assert "none.png: no such file" in ran.err


# --- files that are not good images ------------------------------------------------------------


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Name: (content, what is said of it)."""
    jpeg, png, tiff = (encoded(photo(), suffix) for suffix in (".jpg", ".png", ".tiff"))
    nan = np.full((40, 40), np.nan, np.float32)
    return {
        "empty.png": (b"", "is empty (0 bytes)"),
        "text.jpg": (b"hello, world", "is not an image that OpenCV reads; it starts with b'hello"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated JPEG"),
        "cut-late.jpg": (jpeg[:-2], "truncated JPEG"),
        "cut-png.png": (png[: len(png) // 2], "truncated PNG"),
        "cut-tiff.tiff": (tiff[: len(tiff) // 2], "damaged or truncated TIFF"),
        "damaged.png": (png[:80] + bytes([png[80] ^ 255]) + png[81:], "damaged or truncated PNG"),
        "header.png": (png[:8] + b"IEND", "damaged or truncated PNG"),
        "light.exr": (b"v/1\x01" + bytes(60), "OpenEXR"),
        "small.png": (encoded(photo(31, 64)), "frame is 64x31 pixels; both sides must be at least"),
        "int.npy": (array(np.zeros((40, 40), np.int32)), "frame has dtype int32; give uint8"),
        "two.npy": (array(np.zeros((40, 40, 5), np.uint8)), "frame of shape (40, 40, 5)"),
        "line.npy": (array(np.zeros(40, np.uint8)), "frame of shape (40,) is not an image"),
        "none.npy": (array(np.zeros((0, 40), np.uint8)), "is empty"),
        "nan.npy": (array(nan), "frame holds NaN"),
        "bright.npy": (array(np.full((40, 40), 255.0)), "Divide by"),
        "object.npy": (array(np.array([{}], object)), "damaged, truncated or pickled"),
        "cut-npy.npy": (array(np.zeros((40, 40), np.uint8))[:-9], "damaged, truncated or pickled"),
    }


def array(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


def test_bad_files_are_reported_and_the_rest_go_on(tmp_path):
    files = bad_files()
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
    assert len(lines) == len(files) + 4  # nothing from OpenCV's own libraries
    assert names(tmp_path / "out") == {"good.saliency.png"}


@pytest.mark.skipif(sys.platform != "linux", reason="files that no one can read, not even root")
def test_what_cannot_be_read_is_told(tmp_path):
    ran = run("map", "/dev/zero", "/proc/self/mem", "-o", "out", cwd=tmp_path)
    assert ran.status == 1
    assert ran.err.splitlines() == [
        "ittisal map: /dev/zero: is a device, not an image file",
        "ittisal map: /proc/self/mem: cannot be read: Input/output error",
        "ittisal map: 2 of 2 inputs failed",
    ]


def test_a_backend_that_cannot_run_ends_the_run(tmp_path):
    save(tmp_path / "photo.png")
    script = """
import sys
from ittisal import backends, reference_backend
from ittisal.cli import main
reference_backend.supports = lambda config: (False, "not today")
sys.exit(main(["map", "photo.png", "--backend", "reference"]))
"""
    ran = run_script(script, tmp_path)
    assert ran.status == 2 and "reference: not today" in ran.err


# --- what is read ------------------------------------------------------------------------------


def decoded(picture: np.ndarray, suffix: str = ".png") -> np.ndarray:
    return images.decode(encoded(picture, suffix))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_decode_colour(suffix):
    np.testing.assert_array_equal(decoded(photo(), suffix), photo())


def test_decode_grey_and_16_bit():
    grey = photo()[..., 0]
    np.testing.assert_array_equal(decoded(grey), grey)
    deep = photo().astype(np.uint16) * 257
    for picture in (deep, deep[..., 0]):
        out = decoded(np.ascontiguousarray(picture))
        assert out.dtype == np.uint16
        np.testing.assert_array_equal(out, picture)


def test_decode_float_tiff():
    picture = photo().astype(np.float32) / 255
    np.testing.assert_array_equal(decoded(picture, ".tiff"), picture)


def test_decode_alpha_over_white():
    picture = np.dstack([photo(), np.full((48, 64), 255, np.uint8)])
    np.testing.assert_array_equal(decoded(picture), photo())
    picture[:, :32, 3] = 0
    out = decoded(picture)
    assert out.dtype == np.float32 and (out[:, :32] == 1).all()
    np.testing.assert_allclose(out[:, 32:], photo()[:, 32:] / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", ">f8"])
def test_decode_arrays_as_rgb(dtype):
    rgb = (np.random.default_rng(1).random((40, 50, 3)) * (1 if "f" in dtype else 255)).astype(
        dtype
    )
    np.testing.assert_array_equal(images.decode(array(rgb)), rgb[..., ::-1].astype("float32"))


def exif(orientation: int, order: str) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    other = struct.pack(order + "HHII", 0x0100, 4, 1, 77)
    return mark + struct.pack(order + "IH", 8, 2) + other + entry + bytes(4)


def with_exif(data: bytes, block: bytes) -> bytes:
    """The encoded JPEG or PNG with an EXIF block put in."""
    if data.startswith(b"\xff\xd8"):
        payload = b"Exif\0\0" + block
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + data[2:]
    chunk = b"eXIf" + block  # after the signature and IHDR
    return (
        data[:33]
        + struct.pack(">I", len(block))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + data[33:]
    )


UPRIGHT = {  # what a viewer shows, from what is stored
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: np.rot90(x, 2),
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, 1),
    9: lambda x: x,  # no such orientation
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("order", "<>")
def test_exif_orientation(orientation, suffix, order):
    plain = encoded(photo(), suffix)
    turned = images.decode(with_exif(plain, exif(orientation, order)))
    np.testing.assert_array_equal(turned, UPRIGHT[orientation](images.decode(plain)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_agrees_with_opencv(orientation):
    data = with_exif(encoded(photo(), ".jpg"), exif(orientation, "<"))
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(images.decode(data), shown)


def test_broken_exif_is_upright():
    plain = encoded(photo(), ".jpg")
    for block in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"nonsense", exif(6, "<")[:20]):
        np.testing.assert_array_equal(images.decode(with_exif(plain, block)), images.decode(plain))


def test_map_lies_over_the_upright_photograph(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(with_exif(encoded(photo(), ".jpg"), exif(6, ">")))
    (row,) = run("map", "photo.jpg", "--json", cwd=tmp_path).rows
    assert (row["width"], row["height"]) == (48, 64)


def test_jpeg_with_thumbnail_and_trailer():
    plain = encoded(photo(), ".jpg")
    whole = with_exif(plain, exif(1, "<") + encoded(photo(32, 32), ".jpg")) + b"\xff\xda trailer"
    np.testing.assert_array_equal(images.decode(whole), images.decode(plain))
    with pytest.raises(ImageError, match="truncated JPEG"):  # only the thumbnail has an end
        images.decode(whole[: len(whole) - 200])


def test_non_ascii_names(tmp_path):
    save(tmp_path / "фото ü 写真.png")
    ran = run("map", "фото ü 写真.png", cwd=tmp_path)
    assert (ran.status, ran.out) == (0, "фото ü 写真.saliency.png\n")
    assert names(tmp_path) == {"фото ü 写真.png", "фото ü 写真.saliency.png"}


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_names_that_are_not_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    save(tmp_path / name)
    ran = run("map", name, cwd=tmp_path)
    assert (ran.status, ran.raw) == (0, b"caf\xe9.saliency.png\n"), ran.err
    assert run("map", name, "--json", cwd=tmp_path).rows[0]["input"] == name


# --- inputs and where results go ---------------------------------------------------------------


def test_directories_and_patterns(tmp_path):
    for name in ("in/a.png", "in/B.PNG", "in/deep/er/a.png", "in/.hidden.png", "in/.d/c.png"):
        save(tmp_path / name.lower())
    (tmp_path / "in/b.png").rename(tmp_path / "in/B.PNG")
    (tmp_path / "in/notes.txt").write_text("not an image")
    ran = run("map", "in", "-o", "flat", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert names(tmp_path / "flat") == {"a.saliency.png", "B.saliency.png"}
    run("map", "in", "-r", "-o", "tree", cwd=tmp_path)
    assert names(tmp_path / "tree") == {
        "a.saliency.png",
        "B.saliency.png",
        str(Path("deep/er/a.saliency.png")),
    }
    run("map", "in/**/a*.png", cwd=tmp_path)
    assert (tmp_path / "in/a.saliency.png").exists()
    assert (tmp_path / "in/deep/er/a.saliency.png").exists()
    assert not (tmp_path / "in/B.saliency.png").exists()


def test_a_file_named_like_a_pattern(tmp_path):
    save(tmp_path / "a[1].png")
    assert run("map", "a[1].png", cwd=tmp_path).out == "a[1].saliency.png\n"


def test_a_second_run_leaves_the_maps_of_the_first_alone(tmp_path):
    save(tmp_path / "a.png")
    for _ in range(2):
        ran = run("map", ".", "-r", "--overlay", cwd=tmp_path)
        assert ran.status == 0
    assert names(tmp_path) == {"a.png", "a.saliency.png", "a.overlay.png"}
    assert "left out: 2" in ran.err
    for _ in range(2):
        run("map", ".", "-r", "-o", "maps", cwd=tmp_path)
    assert names(tmp_path / "maps") == {"a.saliency.png"}
    save(tmp_path / "b/a.colour.jpg")  # no format of ours
    save(tmp_path / "b/a.png")
    assert len(run("map", "b", cwd=tmp_path).out.splitlines()) == 2
    # Named alone, a map is an image like any other.
    assert run("map", "a.saliency.png", cwd=tmp_path).out == "a.saliency.saliency.png\n"


def test_one_image_given_twice_is_done_once(tmp_path):
    save(tmp_path / "a.png")
    assert run("map", "a.png", "./a.png", ".", cwd=tmp_path).out == "a.saliency.png\n"


def test_same_names_from_two_directories(tmp_path):
    for folder in ("x", "y"):
        save(tmp_path / folder / "a.png")
    ran = run("map", "x", "y", "-o", "out", cwd=tmp_path)
    assert ran.status == 2
    assert "would both be written to" in ran.err and "different -o" in ran.err
    assert not (tmp_path / "out").exists()
    assert run("map", ".", "-r", "-o", "out", cwd=tmp_path).status == 0
    assert names(tmp_path / "out") == {str(Path(folder, "a.saliency.png")) for folder in ("x", "y")}


def test_existing_results(tmp_path):
    save(tmp_path / "a.png")
    old = tmp_path / "a.saliency.png"
    old.write_bytes(b"old")
    ran = run("map", "a.png", "--no-clobber", "--overlay", "--json", cwd=tmp_path)
    assert old.read_bytes() == b"old"
    assert "a.saliency.png: exists, left as it is" in ran.err
    assert ran.rows[0]["skipped"] == ["a.saliency.png"]
    assert ran.rows[0]["outputs"] == {"overlay": "a.overlay.png"}
    ran = run("map", "a.png", "--no-clobber", cwd=tmp_path)
    assert ran.status == 0 and not ran.out
    run("map", "a.png", cwd=tmp_path)
    assert load(old).shape == (48, 64)


# --- streams -----------------------------------------------------------------------------------


def test_stdin_to_stdout(tmp_path):
    picture = photo()
    want = np.rint(expected(picture) * 255)
    for arguments in (["-"], ["-", "-o", "-"]):
        ran = run("map", *arguments, cwd=tmp_path, stdin=encoded(picture))
        assert ran.status == 0 and not ran.err
        got = cv2.imdecode(np.frombuffer(ran.raw, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(got, want)
    assert not names(tmp_path)
    ran = run("map", "-", "-o", "out", cwd=tmp_path, stdin=encoded(picture, ".bmp"))
    assert names(tmp_path) == {str(Path("out/stdin.saliency.png"))}
    ran = run("map", "-", cwd=tmp_path, stdin=b"")
    assert (ran.status, ran.raw) == (1, b"")
    assert ran.err == "ittisal map: -: is empty (0 bytes)\n"


@POSIX
def test_no_picture_on_a_terminal(tmp_path):
    import pty

    save(tmp_path / "a.png")
    master, terminal = pty.openpty()
    try:
        for arguments, stdin, message in (
            (["a.png", "-o", "-"], subprocess.DEVNULL, b"which is a terminal; redirect"),
            (["-", "-o", "out"], terminal, b"which is a terminal; pipe"),
        ):
            process = subprocess.run(
                command("map", *arguments),
                cwd=tmp_path,
                stdin=stdin,
                stdout=terminal,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
                timeout=120,
                check=False,
            )
            assert process.returncode == 2
            assert message in process.stderr
    finally:
        os.close(master)
        os.close(terminal)


@POSIX
@pytest.mark.parametrize(("options", "shown"), [([], True), (["-q"], False)])
def test_progress_on_a_terminal_only(options, shown, tmp_path):
    import fcntl
    import pty
    import termios

    pytest.importorskip("tqdm")
    for name in "ab":
        save(tmp_path / f"{name}.png")
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        process = subprocess.run(
            command("map", "a.png", "b.png", *options),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=ENVIRONMENT,
            timeout=120,
            check=True,
        )
        os.write(terminal, b"end\n")
        seen = b""
        while b"end" not in seen:
            seen += os.read(master, 4096)
    finally:
        os.close(master)
        os.close(terminal)
    assert (b"2/2" in seen) is shown
    assert process.stdout == (b"a.saliency.png\nb.saliency.png\n" if shown else b"")


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
    with subprocess.Popen(
        command("map", *many, "--json", "-o", "out"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        # A test run in the background ignores SIGINT, and would hand that on.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
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
    with subprocess.Popen(
        command("map", *many, "--json", "-o", "out"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 141


# --- disks -------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments", [["info"], ["map", "a.png", "--json"], ["map", "a.png", "-o", "-"]]
)
def test_full_stdout(arguments, tmp_path):
    save(tmp_path / "a.png")
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=120,
            check=False,
        )
    assert process.returncode == 1
    assert b"No space left on device" in process.stderr
    assert b"Traceback" not in process.stderr and b"Exception" not in process.stderr


@POSIX
def test_full_disk_leaves_nothing_half_written(tmp_path):
    save(tmp_path / "a.png", photo(96, 96))
    (tmp_path / "out").mkdir()
    old = tmp_path / "out/a.saliency.npy"
    old.write_bytes(b"old")
    script = """
import resource, sys
from ittisal.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))  # the array takes 36 KB
sys.exit(main(["map", "a.png", "-o", "out", "--format", "npy"]))
"""
    ran = run_script(script, tmp_path)
    assert ran.status == 1 and not ran.out
    assert "cannot write out/a.saliency.npy: File too large" in ran.err
    assert names(tmp_path / "out") == {"a.saliency.npy"} and old.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, not even root's")
@pytest.mark.parametrize(
    "arguments", [["map", "a.png", "-o", "/proc/maps"], ["demo", "-o", "/proc"]]
)
def test_unwritable_directory_is_found_out_first(arguments, tmp_path):
    save(tmp_path / "a.png")
    ran = run(*arguments, cwd=tmp_path)
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
        images.write(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == {"a.png"}


@POSIX
def test_written_files_have_the_usual_permissions(tmp_path):
    mask = os.umask(0o022)
    try:
        images.write(tmp_path / "a.png", b"new")
    finally:
        os.umask(mask)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o644


def test_faults_of_ours_are_told_on_one_line(tmp_path):
    script = """
import sys
from ittisal.cli import machine, main
def facts(): raise KeyError("oops")
machine.facts = facts
sys.exit(main(["info"]))
"""
    ran = run_script(script, tmp_path)
    assert ran.status == 1
    assert ran.err.startswith("ittisal info: unexpected KeyError: 'oops'.")
    assert ran.err.count("\n") == 1 and "ITTISAL_DEBUG=1" in ran.err
    assert "Traceback" in run_script(script, tmp_path, ITTISAL_DEBUG="1").err


def test_a_missing_opencv_is_told(tmp_path):
    save(tmp_path / "a.png")
    script = """
import sys
sys.modules["cv2"] = None
from ittisal.cli import main
sys.exit(main(["map", "a.png"]))
"""
    ran = run_script(script, tmp_path)
    assert ran.status == 2 and "pip install opencv-contrib-python" in ran.err


# --- the other commands ------------------------------------------------------------------------


def test_demo(tmp_path):
    ran = run("demo", cwd=tmp_path)
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
    ran = run("demo", "--image", "tall.png", "-o", ".", "--preset", "invt", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert "tall.png, 40x200 pixels" in ran.out
    assert names(tmp_path) == {"tall.png", "ittisal-demo.png"}


def test_every_bundled_photograph_is_there(tmp_path):
    from ittisal.cli.samples import PHOTOGRAPHS, photograph

    for name in PHOTOGRAPHS:
        assert min(photograph(name).shape[:2]) >= 256


def test_info(tmp_path):
    ran = run("info", "--size", "64x48", cwd=tmp_path)
    assert ran.status == 0 and not ran.err
    for word in ("numpy", "reference", "ITTISAL_BACKEND", "4x3", "2-5"):
        assert word in ran.out
    facts = json.loads(run("info", "--json", cwd=tmp_path).out)
    assert facts["ittisal"]["version"] == ittisal.__version__
    assert set(facts["backends"]) == set(ittisal.backends.available())
    assert {"cpu", "gpus", "packages", "caches", "environment", "presets"} <= set(facts)


def test_info_tells_what_the_cpu_backend_says(tmp_path):
    script = """
import sys, ittisal.cpu
from ittisal.cli import main
ittisal.cpu.describe = lambda: {"lanes": "16 float32", "cache directory": "/somewhere"}
sys.exit(main(["info"]))
"""
    out = run_script(script, tmp_path).out
    assert "16 float32" in out and "/somewhere" in out


def test_bench(tmp_path):
    ran = run(
        "bench",
        "--size",
        "64x48",
        "32x32",
        "--threads",
        "1",
        "2",
        "--seconds",
        "0.05",
        cwd=tmp_path,
    )
    assert ran.status == 0 and not ran.err
    assert ran.out.count("64x48") == 4 and ran.out.count("32x32") == 4  # frames, then stages
    ran = run("bench", "--size", "64x48", "--seconds", "0.05", "--grey", "--json", cwd=tmp_path)
    (row,) = json.loads(ran.out)["rows"]
    assert (row["width"], row["height"], row["backend"]) == (64, 48, "reference")
    assert row["frames"] >= 5
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]
    assert row["stages_ms"]


def test_warmup(tmp_path):
    ran = run("warmup", "--size", "64x48", "--dtype", "uint8", "float32", cwd=tmp_path)
    assert ran.status == 0 and not ran.err
    for words in ("uint8 rgb", "uint8 bgr", "uint8 grey", "float32 bgr", "in all"):
        assert words in ran.out


# --- pictures ----------------------------------------------------------------------------------


def test_overlay_shows_the_photograph_where_nothing_stands_out():
    frame = photo()
    saliency = np.zeros(frame.shape[:2], np.float32)
    saliency[10:20, 10:20] = 1
    picture = drawing.heat_over(frame, saliency).astype(int)
    quiet = saliency == 0
    assert (np.ptp(picture[quiet], axis=1) == 0).all()  # grey
    assert (np.ptp(picture[~quiet], axis=1) > 60).all()  # coloured
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    assert abs(picture[quiet][:, 0] - 0.8 * grey[quiet]).max() <= 1


@pytest.mark.parametrize(
    "frame",
    [photo(), photo()[..., 0], photo().astype(np.uint16) * 257, photo().astype("float32") / 255],
    ids=["colour", "grey", "16 bits", "float"],
)
def test_to_bgr8(frame):
    picture = imagefiles.to_bgr8(frame)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(
        picture, photo() if frame.ndim == 3 else photo()[..., :1] + 0 * photo()
    )


def test_targets_refuse_to_replace_an_input(tmp_path):
    first, second = (inputs.Source(name, tmp_path / name) for name in ("a.png", "a.saliency.png"))
    with pytest.raises(inputs.UsageError, match="would overwrite the input"):
        inputs.targets([first, second], {"saliency": ".png"}, None)
