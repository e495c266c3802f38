"""Whole inputs for `python -m benchmarks fuzz`, one or more of every format that can be written.

They are small, made at run time by the libraries that are installed, and the same every time.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ittisal

from .fuzz_mutations import png

SIZE = (40, 56)  # height and width of pictures
FRAMES = 8  # of videos
CLIPS = (
    ("h264.mp4", "libx264", "yuv420p"),
    ("mpeg4.mp4", "mpeg4", "yuv420p"),
    ("h264.mkv", "libx264", "yuv420p"),
    ("vp8.webm", "libvpx", "yuv420p"),
    ("mjpeg.avi", "mjpeg", "yuvj420p"),
    ("mpeg2.ts", "mpeg2video", "yuv420p"),
    ("h264.mov", "libx264", "yuv444p"),
    ("animated.gif", "gif", "rgb8"),
    ("lossless.avi", "ffv1", "yuv420p"),
    ("flash.flv", "flv", "yuv420p"),
)
PRESETS = ("itti1998", "invt", "video", "whitened", "gaze", "toolbox", "vocus2", "gbvs")


class Seed(NamedTuple):
    """Files, and command lines that read them."""

    name: str
    files: dict[str, bytes]
    targets: tuple[str, ...]  # what is mutated: names of files, or "argv"
    commands: tuple[str, ...]  # "{}" is the name of the target, which may be mutated too


IMAGE_COMMANDS = (
    *("map {} --json -o out/ --format npy",) * 3,
    "map {} --json -o out/ --raw --channels --preset gaze",
    "map {} --json -o out/ --overlay --channels --levels 1%:99%",
    "map {} --json -o out/ --format tiff --preset whitened",
    "crop {} --json -o out/ --zoom 2",
    "regions {} --json -o out/",
    "scanpath {} --csv out.csv --explain",
)
ARRAY_COMMANDS = (
    "map {} --json -o out/ --raw --channels",
    "map {} --json -o out/ --raw --channels --preset gaze",
    "map {} --json -o out/ --raw --channels --preset invt",
    "map {} --json -o out/ --raw --preset toolbox",
    "map {} --json -o out/ --format npy --channels --overlay --preset whitened",
    "map {} --json -o out/ --format npy --levels 2%:98%",
    "map {} --json -o out/ --format npy --levels 0:1",
    "map {} --json -o out/ --format npy --backend reference",
    "crop {} --json -o out/ --zoom 2",
    "regions {} --jsonl out.jsonl --explain",
)
VIDEO_COMMANDS = (
    "video {} --jsonl out.jsonl --json",
    "video {} --jsonl out.jsonl --json --reader pyav",
    "video {} --raw -o out/ --json --reader pyav",
    "video {} --csv out.csv -o out.mp4 --json --boxes --scanpath",
    "video {} --jsonl out.jsonl --json --start 0.1 --every 2 --resume",
)
TABLE_COMMANDS = (
    "dataset check ds --json",
    "dataset convert table ds out --json",
    "evaluate ds --metric nss --metric sauc --no-baselines --json --threads 1",
    "evaluate ds --metric auc --metric kl --json --threads 1 --per-image out.csv",
    "evaluate ds --model maps:maps --metric cc --no-baselines --json --threads 1",
    "readout ds --metric nss --folds 2 --out out.json --json --threads 1",
    "submit ds -o out --json",
)
CONFIG_COMMANDS = (
    *("map in.png --config {} --json -o out/ --raw --backend reference",) * 4,
    "map in.png --config {} --json -o out/ --format npy",
    "info --config {} --size 64x64 --json",
)
COMMANDS = (
    "map in.png -o out.png",
    "map in.png in.jpg -o out --overlay --channels --json --preset gaze",
    "map in.png -o out.npy --raw --set hue_threshold=0.2 --threads 2",
    "map in.png --json --levels 10:200 --format png16 --size map",
    "map in.png -o out.tiff --set weights.colour=2 --set iterations=3 --backend reference",
    "crop in.jpg --aspect 4:3 -o out.jpg --placement thirds",
    "crop in.png --size 30x20 --json -q",
    "regions in.png --csv out.csv -n 4 --budget 0.3 --min-confidence 0.1 --margin 2",
    "regions in.png --tiles 16x16 --jsonl - --overlap",
    "scanpath in.jpg -n 4 --json --winner lif --inhibition object",
    "scanpath in.jpg --csv - --explain --no-clobber -r",
    "video in.mp4 --jsonl out.jsonl --every 2 --frames 3 --start 0.04 --end 0.3 --width 40",
    "video in.mp4 -o out.mp4 --side-by-side --fps 10 --writer opencv",
    "video in.mp4 -o out --raw --json --no-cuts --checkpoint 2 --resume",
    "dataset generate out --images 1 --seed 3 --json",
    "dataset convert table ds out --sigma 20 --link",
    "dataset list osie --json",
    "evaluate ds --metric nss --model config:mine.toml --smooth 2 --limit 2 --csv out.csv",
    "evaluate ds --metric auc --model centre --model maps:maps --json --centre-bias --threads 1",
    "readout ds --metric nss --folds 2 --out out.json --name mine --config mine.toml",
    "submit ds -o out --metric cc --sigma 5 --json",
    "submit --check maps ds --json",
    "info --size 64x64 --json --preset video",
    "warmup --size 48x40 --dtype uint8 --threads 1",
    "demo --image in.png -o out.png --preset itti1998",
)
SETTINGS = "hue_threshold=0.1 weights.motion=2 model=itti wavenumber=2.6 working_size=64"


@lru_cache
def images() -> list[Seed]:
    """Pictures of every format that OpenCV, Pillow and tifffile write here."""
    return [Seed(name, {name: data}, (name,), IMAGE_COMMANDS) for name, data in _pictures().items()]


@lru_cache
def arrays() -> list[Seed]:
    """`.npy` of the types and shapes that models take, and of others."""
    rgb = picture()
    unit = rgb / 255
    alpha = np.dstack([rgb, rgb[..., :1]])
    contents = {
        "rgb8": rgb,
        "grey8": rgb[..., 0],
        "grey8x1": rgb[..., :1],
        "rgba8": alpha,
        "fortran": np.asfortranarray(rgb),
        "rgb16": rgb.astype(np.uint16) * 257,
        "big16": (rgb.astype(np.uint16) * 257).astype(">u2"),
        "half": unit.astype(np.float16),
        "float": unit.astype(np.float32),
        "greyfloat": unit[..., 1].astype(np.float32),
        "double": unit,
        "rgbafloat": (alpha / 255).astype(np.float32),
        "large": unit.astype(np.float32) * 3e38,
        "faint": unit.astype(np.float32) * 1e-40,
        "int32": rgb.astype(np.int32),
        "bool": rgb > 100,
        "complex": unit.astype(np.complex64),
        "stack": np.stack([rgb, rgb]),
        "void": np.zeros(4, "V0"),
        "text": np.full(SIZE, "abc"),
        "record": np.zeros(SIZE, [("a", "u1"), ("b", "f4")]),
        "empty": np.zeros((0, 40, 3), np.uint8),
        "dates": np.zeros(SIZE, "M8[s]"),
        "objects": np.array([[{}] * 40] * 40, object),
    }
    return [
        Seed(name, {"in.npy": _npy(array)}, ("in.npy",), ARRAY_COMMANDS)
        for name, array in contents.items()
    ]


@lru_cache
def videos() -> list[Seed]:
    """Videos of every container and codec that PyAV writes here."""
    frames = [np.roll(picture(), 2 * i, axis=1) for i in range(FRAMES)]
    seeds = []
    for name, codec, pix_fmt in CLIPS:
        file = f"in{Path(name).suffix}"
        data = _video(Path(name).suffix, codec, pix_fmt, frames)
        seeds.append(Seed(name, {file: data}, (file,), VIDEO_COMMANDS))
    return seeds


@lru_cache
def tables() -> list[Seed]:
    """Data sets in our formats, spreadsheets and published layouts, and maps for them."""
    pictures = {f"ds/images/{name}.png": _cv(picture(i)) for i, name in enumerate("ab")}
    maps = {f"maps/{name}.npy": _npy(picture(i)[..., 0] / 255) for i, name in enumerate("ab")}
    about = json.dumps({"name": "tiny", "sigma_px": 8.5, "source": "x", "upright": False}).encode()
    files = {**pictures, "ds/dataset.json": about, **maps}
    rng = np.random.default_rng(1)
    columns = {
        "image": ["ab"[i % 2] + ".png" for i in range(48)],
        "x": rng.uniform(0, SIZE[1], 48).round(1),
        "y": rng.uniform(0, SIZE[0], 48).round(1),
        "subject": np.arange(48, dtype=np.int32) // 8,
        "order": np.arange(48, dtype=np.int32) % 4,
        "duration_ms": np.arange(200.0, 248),
    }
    rows = zip(*columns.values(), strict=True)
    text = "\n".join(",".join(map(str, row)) for row in [list(columns), *rows]) + "\n"
    spread = text.replace(",", ";").replace("duration_ms", "Duration").replace("image", "Stimulus")
    arrays = {
        "images": np.array(["a.png", "b.png"]),
        "sizes": np.array([SIZE] * 2, np.int32),
        "img": np.arange(48, dtype=np.int32) % 2,
        "sigma_px": np.array([8.5, 8.5]),
        **{name: column for name, column in columns.items() if name != "image"},
    }
    zipped = io.BytesIO()
    np.savez_compressed(zipped, **arrays)
    csv, npz = "ds/fixations.csv", "ds/fixations.npz"
    return [
        Seed("csv", {**files, csv: text.encode()}, (csv,), TABLE_COMMANDS),
        Seed("semicolons", {**files, csv: spread.encode()}, (csv,), TABLE_COMMANDS[1:2]),
        Seed("npz", {**files, npz: zipped.getvalue()}, (npz,), TABLE_COMMANDS),
        Seed("about", {**files, csv: text.encode()}, ("ds/dataset.json",), TABLE_COMMANDS),
        Seed("pictures", {**files, csv: text.encode()}, (*pictures, *maps), TABLE_COMMANDS),
        *_published(),
    ]


@lru_cache
def configs() -> list[Seed]:
    """Configs of every preset, as TOML and JSON, and tables of read-outs."""
    files = {"in.png": _cv(picture())}
    seeds = []
    for name in PRESETS:
        plain = ittisal.preset(name).to_dict()
        for form, text in (("toml", _toml(plain)), ("json", json.dumps(plain, indent=1))):
            file = f"mine.{form}"
            contents = {**files, file: text.encode()}
            seeds.append(Seed(f"{name}.{form}", contents, (file,), CONFIG_COMMANDS))
    numbers = {"blur_percent": 2.2, "power": 2.3, "centre_width": 0.6, "centre_height": -0.1}
    fits = json.dumps({"about": "", "readouts": {"itti1998": {"readout": numbers}}}).encode()
    readouts = Seed(
        "readouts",
        {**tables()[0].files, "r.json": fits},
        ("r.json",),
        ("submit ds --table r.json -o out --json", "readout ds --folds 2 --out r.json --json"),
    )
    setting = "map in.png -o out/ --json --raw --backend reference --set "
    settings = [Seed(field, files, ("argv",), (setting + field,)) for field in SETTINGS.split()]
    return [*seeds, *settings, readouts]


@lru_cache
def commands() -> list[Seed]:
    """Command lines of every command, with the files that they name."""
    files = dict(tables()[0].files)
    files |= {"in.png": _cv(picture()), "in.jpg": _cv(picture(1), ".jpg")}
    files |= {"in.mp4": videos()[0].files["in.mp4"], "mine.toml": b'phase = "centred"\n'}
    return [Seed(text, files, ("argv",), (text,)) for text in COMMANDS]


KINDS: dict[str, Callable[[], list[Seed]]] = {
    "images": images,
    "arrays": arrays,
    "videos": videos,
    "tables": tables,
    "configs": configs,
    "commands": commands,
}


@lru_cache
def picture(number: int = 0) -> np.ndarray:
    """A part of a photograph, RGB."""
    import skimage.data

    x = 120 + 64 * number
    image = np.ascontiguousarray(
        skimage.data.astronaut()[20 : 20 + SIZE[0] * 4 : 4, x : x + SIZE[1]]
    )
    image.flags.writeable = False
    return image


def _npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def _cv(image: np.ndarray, suffix: str = ".png", *options: int) -> bytes:
    """Encoded by OpenCV, of RGB."""
    import cv2

    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    if image.ndim == 3:
        image = image[..., order[image.shape[2]]]
    return cv2.imencode(suffix, image, options)[1].tobytes()


def _pil(image: np.ndarray, suffix: str = ".png", mode: str | None = None, **options: Any) -> bytes:
    """Encoded by Pillow, in a mode."""
    from PIL import Image

    data = io.BytesIO()
    converted = Image.fromarray(image).convert(mode)
    converted.save(data, Image.registered_extensions()[suffix], **options)
    return data.getvalue()


def _tifffile(*arrays: np.ndarray, byteorder: str = "<", **options: Any) -> bytes:
    import tifffile

    data = io.BytesIO()
    with tifffile.TiffWriter(data, byteorder=byteorder) as writer:
        for array in arrays:
            writer.write(array, **options)
    return data.getvalue()


def _pictures() -> dict[str, bytes]:
    import cv2
    from PIL import Image

    rgb = picture()
    grey, alpha = rgb[..., 0], np.dstack([rgb, 255 - rgb[..., :1]])
    deep, unit = rgb.astype(np.uint16) * 257, (rgb / 255).astype(np.float32)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"  # orientation, description
    two: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(picture(1))]}
    return {
        "baseline.jpg": _cv(rgb, ".jpg"),
        "progressive.jpg": _pil(rgb, ".jpg", progressive=True, optimize=True),
        "grey.jpg": _cv(grey, ".jpg"),
        "cmyk.jpg": _pil(rgb, ".jpg", "CMYK"),
        "exif.jpg": _pil(rgb, ".jpg", exif=exif, comment="text", dpi=(72, 72)),
        "restarts.jpg": _cv(rgb, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        "rgb.png": _cv(rgb),
        "rgba.png": _cv(alpha),
        "deep.png": _cv(deep),
        "deepgrey.png": _cv(deep[..., 0]),
        "exif.png": _pil(rgb, exif=exif, dpi=(72, 72)),
        "palette.png": _pil(rgb, mode="P", transparency=0),
        "interlaced.png": _interlaced(rgb),
        "palette1.png": _pil(grey, mode="P", bits=1),
        "palette2.png": _pil(grey // 64, mode="P", bits=2),
        "palette4.png": _pil(grey // 16, mode="P", bits=4),
        "bilevel.png": _pil(rgb, mode="1"),
        "animated.png": _pil(rgb, **two),
        **{
            f"{scheme}.tif": _pil(rgb, ".tif", compression=scheme)
            for scheme in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
        },
        "group3.tif": _pil(rgb, ".tif", "1", compression="group3"),
        "group4.tif": _pil(rgb, ".tif", "1", compression="group4"),
        "palette.tif": _pil(rgb, ".tif", "P"),
        "cmyk.tif": _pil(rgb, ".tif", "CMYK"),
        "tiled.tif": _tifffile(rgb, tile=(16, 16)),
        "planar.tif": _tifffile(np.moveaxis(rgb, 2, 0), planarconfig="separate", photometric="rgb"),
        "zipped.tif": _tifffile(rgb, compression="zlib", predictor=True, rowsperstrip=8),
        "big.tif": _tifffile(deep, byteorder=">", rowsperstrip=8),
        "pages.tif": _tifffile(rgb, picture(1), grey),
        "float.tif": _cv(unit, ".tiff"),
        "floatlzw.tif": _cv(unit[..., 0], ".tiff", cv2.IMWRITE_TIFF_COMPRESSION, 5),
        "lossy.webp": _cv(rgb, ".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
        "lossless.webp": _cv(alpha, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        "animated.webp": _pil(rgb, ".webp", exif=exif, **two),
        "rgb.avif": _cv(rgb, ".avif"),
        "alpha.avif": _pil(alpha, ".avif"),
        "rgb.jp2": _cv(rgb, ".jp2"),
        "tiles.jp2": _pil(rgb, ".jp2", tile_size=(16, 16), irreversible=True),
        "rgb.bmp": _cv(rgb, ".bmp"),
        "palette.bmp": _pil(rgb, ".bmp", "P"),
        "bilevel.bmp": _pil(rgb, ".bmp", "1"),
        "alpha.bmp": _cv(alpha, ".bmp"),
        "binary.ppm": _cv(rgb, ".ppm"),
        "binary.pgm": _cv(grey, ".pgm"),
        "binary.pnm": _cv(deep, ".pnm"),
        "binary.pbm": _cv(grey, ".pbm"),
        "binary.pam": _cv(rgb, ".pam"),
        "text.ppm": _cv(rgb[:16], ".ppm", cv2.IMWRITE_PXM_BINARY, 0),
        "float.pfm": _cv(unit, ".pfm"),
        "radiance.hdr": _cv(unit, ".hdr"),
        "flat.gif": _pil(rgb, ".gif", "P"),
        "animated.gif": _pil(rgb, ".gif", disposal=2, **two),
        "sun.ras": _cv(rgb, ".ras"),
    }


def _interlaced(image: np.ndarray) -> bytes:
    """A PNG of Adam7 passes, which neither OpenCV nor Pillow writes."""
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
              (1, 2, 0, 1))  # fmt: skip
    rows = b"".join(b"\0" + row.tobytes() for y, dy, x, dx in passes for row in image[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 2, 0, 0, 1)
    return png([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def _video(suffix: str, codec: str, pix_fmt: str, frames: list[np.ndarray]) -> bytes:
    import av

    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        with av.open(file.name, "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.codec_context.gop_size = pix_fmt, 4
            stream.codec_context.thread_count = 1
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())
        return file.read()


def _toml(plain: dict[str, Any]) -> str:
    """A config's plain values as TOML."""
    lines, sections = [], []
    for name, value in plain.items():
        if isinstance(value, dict):
            sections += [f"[{name}]", *(f"{key} = {number}" for key, number in value.items())]
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join([*lines, *sections]) + "\n"


def _published() -> list[Seed]:
    """OSIE's, Toronto's, CAT2000's and MIT1003's layouts."""
    import scipy.io

    def mat(**variables: Any) -> bytes:
        data = io.BytesIO()
        scipy.io.savemat(data, variables)
        return b"MATLAB 5.0 MAT-file".ljust(116) + data.getvalue()[116:]  # without the time

    def cell(value: Any) -> np.ndarray:
        array = np.empty((1, 1), object)
        array[0, 0] = value
        return array

    jpg = _cv(picture(), ".jpg")
    points = np.zeros(SIZE, np.uint8)
    points[5:30:7, 4:50:9] = 1
    samples = np.full((400, 2), 20.0) + np.arange(400)[:, None] // 100 * 5
    seen = {"fix_x": [3.0, 20.0], "fix_y": [5.0, 9.0], "fix_duration": [200.0, 180.0]}
    osie = cell({"img": "1001.jpg", "subjects": cell(seen)})
    layouts = {
        "osie": {"stimuli/1001.jpg": jpg, "fixations.mat": mat(fixations=osie)},
        "toronto": {"Original Image Set/1.jpg": jpg, "origfixdata.mat": mat(white=cell(points))},
        "cat2000": {
            "Stimuli/Art/001.jpg": jpg, "FIXATIONLOCS/Art/001.mat": mat(fixLocs=points),
        },
        "mit1003": {
            "ALLSTIMULI/i1.jpg": jpg,
            "DATA/ajs/i1.mat": mat(i1={"DATA": {"eyeData": samples}}),
        },
    }  # fmt: skip
    seeds = []
    for name, files in layouts.items():
        files = {f"src/{path}": data for path, data in files.items()}
        targets = tuple(path for path in files if path.endswith(".mat"))
        seeds.append(Seed(name, files, targets, (f"dataset convert {name} src out --json",)))
    return seeds
