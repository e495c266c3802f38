"""Whole inputs for `python -m benchmarks fuzz`, one or more of every format that can be written.

They are small, made at run time by the libraries that are installed, and the same every time.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SIZE = (40, 56)  # height and width of pictures
FRAMES = 8  # of videos


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


@lru_cache
def images() -> list[Seed]:
    """Pictures of every format that OpenCV, Pillow and tifffile write here."""
    return [Seed(name, {name: data}, (name,), IMAGE_COMMANDS) for name, data in _pictures()]


@lru_cache
def arrays() -> list[Seed]:
    """`.npy` of the types and shapes that models take, and of others."""
    rgb = picture()
    unit = rgb / 255
    alpha = np.dstack([rgb, rgb[..., :1]])
    held: dict[str, Any] = {
        "rgb8": rgb,
        "grey8": rgb[..., 0],
        "grey8x1": rgb[..., :1],
        "rgba8": alpha,
        "fortran": np.asfortranarray(rgb),
        "rgb16": rgb.astype(np.uint16) * 257,
        "big16": (rgb.astype(np.uint16) * 257).astype(">u2"),
        "int32": rgb.astype(np.int32),
        "bool": rgb > 100,
        "complex": unit.astype(np.complex64),
        "half": unit.astype(np.float16),
        "float": unit.astype(np.float32),
        "greyfloat": unit[..., 1].astype(np.float32),
        "double": unit,
        "rgbafloat": (alpha / 255).astype(np.float32),
        "large": unit.astype(np.float32) * 3e38,
        "faint": unit.astype(np.float32) * 1e-40,
        "stack": np.stack([rgb, rgb]),
        "void": np.zeros(4, "V0"),
        "text": np.full(SIZE, "abc"),
        "record": np.zeros(SIZE, [("a", "u1"), ("b", "f4")]),
        "empty": np.zeros((0, 40, 3), np.uint8),
        "dates": np.zeros(SIZE, "M8[s]"),
    }
    contents = {name: _saved(array) for name, array in held.items()}
    contents["objects"] = _saved(np.array([[{}] * 40] * 40, object))
    return [
        Seed(name, {"in.npy": data}, ("in.npy",), ARRAY_COMMANDS) for name, data in contents.items()
    ]


@lru_cache
def videos() -> list[Seed]:
    """Videos of every container and codec that PyAV writes here, and raw ones."""
    frames = [np.roll(picture(), 2 * i, axis=1) for i in range(FRAMES)]
    with tempfile.TemporaryDirectory() as folder:
        clips = {
            name: _video(Path(folder) / name, codec, pix_fmt, frames)
            for name, codec, pix_fmt in (
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
        }
    return [
        Seed(name, {f"in{Path(name).suffix}": data}, (f"in{Path(name).suffix}",), VIDEO_COMMANDS)
        for name, data in clips.items()
    ]


@lru_cache
def tables() -> list[Seed]:
    """Data sets in our formats, spreadsheets and published layouts, and maps for them."""
    pictures = {
        f"ds/images/{name}": _cv(".png", picture(i)) for i, name in enumerate(("a.png", "b.png"))
    }
    rng = np.random.default_rng(1)
    rows = [
        (f"{'ab'[i % 2]}.png", *rng.uniform(0, SIZE[::-1]).round(1), i // 8, i % 4, 200 + i)
        for i in range(48)
    ]
    text = "image,x,y,subject,order,duration_ms\n"
    text += "".join(",".join(map(str, row)) + "\n" for row in rows)
    spread = text.replace(",", ";").replace("duration_ms", "Duration").replace("image", "Stimulus")
    about = json.dumps({"name": "tiny", "sigma_px": 8.5, "source": "x", "upright": False}).encode()
    maps = {f"maps/{name}.npy": _saved(picture(i)[..., 0] / 255) for i, name in enumerate("ab")}
    files = {**pictures, "ds/dataset.json": about, **maps}
    arrays = {
        "images": np.array(["a.png", "b.png"]),
        "sizes": np.array([SIZE] * 2, np.int32),
        "img": np.array([row[0] == "b.png" for row in rows], np.int32),
        **{name: np.array([row[i + 1] for row in rows]) for i, name in enumerate("xy")},
        **{
            name: np.array([row[i + 3] for row in rows], kind)
            for i, (name, kind) in enumerate(
                {"subject": np.int32, "order": np.int32, "duration_ms": np.float64}.items()
            )
        },
        "sigma_px": np.array([8.5, 8.5]),
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
    from ittisal.config import PRESETS, preset

    seeds = []
    files = {"in.png": _cv(".png", picture())}
    for name in PRESETS:
        plain = preset(name).to_dict()
        for form, text in (("toml", _toml(plain)), ("json", json.dumps(plain, indent=1))):
            conf = f"mine.{form}"
            seeds.append(
                Seed(f"{name}.{form}", {**files, conf: text.encode()}, (conf,), CONFIG_COMMANDS)
            )
    data = {key: value for key, value in tables()[0].files.items()}
    numbers = {"blur_percent": 2.2, "power": 2.3, "centre_width": 0.6, "centre_height": -0.1}
    held = json.dumps({"about": "", "readouts": {"itti1998": {"readout": numbers}}}).encode()
    out = ("submit ds --table r.json -o out --json", "readout ds --folds 2 --out r.json --json")
    settings = ("map in.png -o out/ --json --raw --backend reference --set {}",) * 2
    fields = "hue_threshold=0.1 weights.motion=2 model=itti wavenumber=2.6 working_size=64"
    return [
        *seeds,
        *[
            seeds[0]._replace(name=field, targets=("argv",), commands=(settings[0].format(field),))
            for field in fields.split()
        ],
        Seed("readouts", {**data, "r.json": held}, ("r.json",), out),
    ]


@lru_cache
def commands() -> list[Seed]:
    """Command lines of every command, with the files that they name."""
    files = dict(tables()[0].files)
    files |= {"in.png": _cv(".png", picture()), "in.jpg": _cv(".jpg", picture(1))}
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


def _saved(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def _cv(suffix: str, image: np.ndarray, *options: int) -> bytes:
    """Encoded by OpenCV, of RGB."""
    import cv2

    order = [2, 1, 0, 3][: image.shape[2]] if image.ndim == 3 else slice(None)
    return cv2.imencode(suffix, image[..., order] if image.ndim == 3 else image, options)[
        1
    ].tobytes()


def _pil(suffix: str, image: Any, mode: str | None = None, **options: Any) -> bytes:
    """Encoded by Pillow, in a mode."""
    from PIL import Image

    held = image if isinstance(image, Image.Image) else Image.fromarray(image)
    data = io.BytesIO()
    (held.convert(mode) if mode else held).save(
        data, Image.registered_extensions()[suffix], **options
    )
    return data.getvalue()


def _tifffile(*arrays: np.ndarray, byteorder: str = "<", **options: Any) -> bytes:
    import tifffile

    data = io.BytesIO()
    with tifffile.TiffWriter(data, byteorder=byteorder) as writer:
        for array in arrays:
            writer.write(array, **options)
    return data.getvalue()


def _pictures() -> Iterator[tuple[str, bytes]]:
    import cv2
    from PIL import Image

    rgb = picture()
    grey, alpha = rgb[..., 0], np.dstack([rgb, 255 - rgb[..., :1]])
    deep, unit = rgb.astype(np.uint16) * 257, (rgb / 255).astype(np.float32)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    yield "baseline.jpg", _cv(".jpg", rgb)
    yield "progressive.jpg", _pil(".jpg", rgb, progressive=True, optimize=True)
    yield "grey.jpg", _cv(".jpg", grey)
    yield "cmyk.jpg", _pil(".jpg", rgb, "CMYK")
    yield "exif.jpg", _pil(".jpg", rgb, exif=exif, comment="text", dpi=(72, 72))
    yield "restarts.jpg", _cv(".jpg", rgb, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    yield "rgb.png", _cv(".png", rgb)
    yield "rgba.png", _cv(".png", alpha)
    yield "deep.png", _cv(".png", deep)
    yield "deepgrey.png", _cv(".png", deep[..., 0])
    yield "exif.png", _pil(".png", rgb, exif=exif, dpi=(72, 72))
    yield "palette.png", _pil(".png", rgb, "P", transparency=0)
    yield "interlaced.png", _interlaced(rgb)
    for bits in (1, 2, 4):
        yield (
            f"palette{bits}.png",
            _pil(".png", Image.fromarray(rgb).quantize(1 << bits), bits=bits),
        )
    yield "bilevel.png", _pil(".png", rgb, "1")
    yield (
        "animated.png",
        _pil(".png", rgb, save_all=True, append_images=[Image.fromarray(picture(1))]),
    )
    for scheme in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"{scheme}.tif", _pil(".tif", rgb, compression=scheme)
    for scheme in ("group3", "group4"):
        yield f"{scheme}.tif", _pil(".tif", rgb, "1", compression=scheme)
    yield "palette.tif", _pil(".tif", rgb, "P")
    yield "cmyk.tif", _pil(".tif", rgb, "CMYK")
    yield "tiled.tif", _tifffile(rgb, tile=(16, 16))
    yield (
        "planar.tif",
        _tifffile(np.moveaxis(rgb, 2, 0), planarconfig="separate", photometric="rgb"),
    )
    yield "zipped.tif", _tifffile(rgb, compression="zlib", predictor=True, rowsperstrip=8)
    yield "big.tif", _tifffile(deep, byteorder=">", rowsperstrip=8)
    yield "pages.tif", _tifffile(rgb, picture(1), grey)
    yield "float.tif", _cv(".tiff", unit)
    yield "floatlzw.tif", _cv(".tiff", unit[..., 0], cv2.IMWRITE_TIFF_COMPRESSION, 5)
    yield "lossy.webp", _cv(".webp", rgb, cv2.IMWRITE_WEBP_QUALITY, 80)
    yield "lossless.webp", _cv(".webp", alpha, cv2.IMWRITE_WEBP_QUALITY, 101)
    yield (
        "animated.webp",
        _pil(".webp", rgb, save_all=True, append_images=[Image.fromarray(picture(1))], exif=exif),
    )
    yield "rgb.avif", _cv(".avif", rgb)
    yield "alpha.avif", _pil(".avif", alpha)
    yield "rgb.jp2", _cv(".jp2", rgb)
    yield "tiles.jp2", _pil(".jp2", rgb, tile_size=(16, 16), irreversible=True)
    yield "rgb.bmp", _cv(".bmp", rgb)
    yield "palette.bmp", _pil(".bmp", rgb, "P")
    yield "bilevel.bmp", _pil(".bmp", rgb, "1")
    yield "alpha.bmp", _cv(".bmp", alpha)
    for suffix, image in (("ppm", rgb), ("pgm", grey), ("pnm", deep), ("pbm", grey), ("pam", rgb)):
        yield f"binary.{suffix}", _cv(f".{suffix}", image)
    yield "text.ppm", _cv(".ppm", rgb[:16], cv2.IMWRITE_PXM_BINARY, 0)
    yield "float.pfm", _cv(".pfm", unit)
    yield "radiance.hdr", _cv(".hdr", unit)
    yield "flat.gif", _pil(".gif", rgb, "P")
    yield (
        "animated.gif",
        _pil(".gif", rgb, save_all=True, append_images=[Image.fromarray(picture(1))], disposal=2),
    )
    yield "sun.ras", _cv(".ras", rgb)


def _interlaced(image: np.ndarray) -> bytes:
    """A PNG of Adam7 passes, which neither OpenCV nor Pillow writes."""
    import struct
    import zlib

    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
              (1, 2, 0, 1))  # fmt: skip
    rows = b"".join(b"\0" + row.tobytes() for y, dy, x, dx in passes for row in image[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _video(path: Path, codec: str, pix_fmt: str, frames: list[np.ndarray]) -> bytes:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.gop_size = pix_fmt, 4
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def _toml(plain: dict[str, Any]) -> str:
    """A config's plain values as TOML."""
    lines = [
        f"{name} = {json.dumps(value)}"
        for name, value in plain.items()
        if not isinstance(value, dict)
    ]
    for name, value in plain.items():
        if isinstance(value, dict):
            lines += [f"[{name}]", *(f"{key} = {number}" for key, number in value.items())]
    return "\n".join(lines) + "\n"


def _published() -> list[Seed]:
    """OSIE's, Toronto's, CAT2000's and MIT1003's layouts."""
    import scipy.io

    def mat(**variables: Any) -> bytes:
        data = io.BytesIO()
        scipy.io.savemat(data, variables)
        return data.getvalue()

    jpg = _cv(".jpg", picture())
    points = np.zeros(SIZE, np.uint8)
    points[5:30:7, 4:50:9] = 1
    samples = np.full((400, 2), 20.0) + np.arange(400)[:, None] // 100 * 5
    seen = {"fix_x": [3.0, 20.0], "fix_y": [5.0, 9.0], "fix_duration": [200.0, 180.0]}
    osie = np.empty((1, 1), object)
    osie[0, 0] = {"img": "1001.jpg", "subjects": np.array([[seen]], object)}
    white = np.empty((1, 1), object)
    white[0, 0] = points
    layouts = {
        "osie": {"stimuli/1001.jpg": jpg, "fixations.mat": mat(fixations=osie)},
        "toronto": {"Original Image Set/1.jpg": jpg, "origfixdata.mat": mat(white=white)},
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
        held = {f"src/{path}": data for path, data in files.items()}
        mutated = tuple(path for path in held if path.endswith(".mat"))
        seeds.append(Seed(name, held, mutated, (f"dataset convert {name} src out --json",)))
    return seeds
