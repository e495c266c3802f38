"""`ittisal crop`: the most salient part of photographs, in a given aspect or size."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import imagefiles
from ..attention.crop import PLACEMENTS, crop
from ..imagefiles import CONTAINERS
from ..imageheaders import kind_of
from . import common, pictures
from .common import UsageError
from .pictures import Picture, Result, Source

DESCRIPTION = """\
Crops of photographs: of the largest windows of an aspect, the one that keeps the most saliency, by
the preset `gaze` unless another is named, since it predicts best where people look. The crop of
photo.jpg is photo.crop.jpg, beside it or in the directory given by -o. The paths of written files
are printed on standard output, everything else on standard error.
"""

EPILOG = """\
pixels:
  Cut from the original, turned upright: alpha and 16 bits are kept, and without --size no pixel is
  resampled. JPEG is written with quality 95 and whole chroma, AVIF with 95, WebP with 95 or, where
  the original is so, without loss. JPEG 2000 loses hardly anything, other formats nothing. Images
  are written in their own format, but GIF as PNG, and OpenEXR and radiance maps as TIFF. A FILE
  may be of another format than its image: what that cannot hold is converted, alpha to white and
  16 bits to 8.

metadata:
  EXIF, XMP, IPTC, comments and colour profiles are kept from JPEG to JPEG, PNG to PNG and WebP to
  WebP. The orientation is set to upright, and thumbnails of the whole picture are removed. Other
  formats lose them.

inputs:
  As for `ittisal map`. Crops and maps of earlier runs beside their photographs are skipped.

examples:
  ittisal crop photo.jpg --aspect 1:1            photo.crop.jpg, as large as fits
  ittisal crop photos/ --size 400x300 -o thumbs  scaled to 400x300 pixels
  ittisal crop photo.jpg --aspect 16:9 --placement thirds
  ittisal crop photo.jpg --zoom 2 -o close.png   half as wide and high as the photograph
  ittisal crop photos/ --aspect 4:5 --json | jq '.window, .focus'
  curl -s URL | ittisal crop - --size 200x200 > thumb.jpg

{json}
exit status:
  0 all went well; 1 some inputs failed, the rest were done; 2 wrong usage, nothing was done;
  130 interrupted. Files are written under a temporary name and renamed: never half.
""".format(
    json=pictures.JSON.format(
        facts="window (x, y, width, height) in pixels of the upright original; share of its "
        "saliency in the\n  window, 0 to 1; focus (x, y): where saliency is highest in the window."
    )
)

LOSSLESS = ".png"  # where the format of the image is not written
OTHERS = {**dict.fromkeys((".exr", ".hdr", ".pfm", ".pic"), ".tiff")}  # of floats
SUFFIXES = {  # of what comes from standard input
    **{"AVIF": ".avif", "BMP": ".bmp", "JPEG": ".jpg", "JPEG 2000": ".jp2"},
    **{"TIFF": ".tiff", "WebP": ".webp"},
}


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("crop", description=DESCRIPTION, epilog=EPILOG)
    parser.set_defaults(run=run)
    pictures.add_options(parser, "crops")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--aspect",
        metavar="W:H",
        type=common.aspect,
        help="width to height, as in 16:9, or their ratio",
    )
    shape.add_argument(
        "--size",
        metavar="WxH",
        type=common.extent,
        help="size of the written picture: a window of its aspect is scaled to it",
    )
    parser.add_argument(
        "--zoom",
        metavar="N",
        type=common.number(1, 1000),
        default=1.0,
        help="divide the sides of the largest window by N (default: 1); without --aspect and "
        "--size in the image's own aspect",
    )
    parser.add_argument(
        "--placement",
        choices=PLACEMENTS,
        default="saliency",
        help="the window that keeps the most saliency (default), or one with the most salient "
        "point in its centre or on the nearer third, moved into the picture",
    )
    common.add_model_options(parser, levels=True, faces=True, preset="gaze")


def run(args: argparse.Namespace) -> int:
    """Crop every image; 1 if some failed."""
    if args.aspect is None and args.size is None and args.zoom == 1:
        raise UsageError("which part? Give --aspect W:H, --size WxH, or --zoom")
    batch = pictures.Batch(args, "crop", CONTAINERS, keep_stored=True)
    suffix = partial(_suffix, batch.file)
    return batch.run(lambda source: {"crop": suffix(source, b"")}, partial(_crop, args, suffix))


def _suffix(file: str | None, source: Source, data: bytes) -> str:
    """The suffix that says the format of a crop: of -o FILE, else of the image."""
    if file and (suffix := Path(file).suffix.lower()) in CONTAINERS:
        return suffix
    if source.path:
        suffix = source.path.suffix.lower()
    else:  # its name in a directory is settled before it is read
        suffix = SUFFIXES.get(kind_of(data) or "", "") if file else ""
    suffix = OTHERS.get(suffix, suffix)
    return suffix if suffix in CONTAINERS else LOSSLESS


def _crop(
    args: argparse.Namespace, suffix: Callable[[Source, bytes], str], picture: Picture
) -> Result:
    """The crop of one image."""
    saliency = picture.model(picture.frame, channels=picture.faces)
    window = crop(
        saliency,
        aspect=args.aspect,
        size=args.size,
        zoom=args.zoom,
        placement=args.placement,
        shape=picture.shape,
        config=picture.model.config,
    )

    def encode() -> bytes:
        assert picture.stored is not None  # it is kept
        pixels = np.ascontiguousarray(picture.stored[window.slices])
        if args.size:
            pixels = _scaled(pixels, args.size)
        return imagefiles.encode_copy(pixels, suffix(picture.source, picture.data), picture.data)

    found = window.as_dict()
    facts = {"share": found.pop("share"), "focus": found.pop("focus")}
    note = "" if saliency.max() > 0 else "nothing stands out; its crop is the middle"
    return Result({"window": found, **facts}, {"crop": encode}, note=note)


def _scaled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels scaled to (height, width): areas averaged, or cubic; colours weighted by alpha."""
    import cv2

    shrunk = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    resize = partial(
        cv2.resize, dsize=size[::-1], interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_CUBIC
    )
    kind = pixels.dtype
    full = np.iinfo(kind).max if kind.kind == "u" else 1
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    if kind.kind == "u" and not has_alpha:
        return resize(pixels)
    unit = pixels / np.float32(full)
    if has_alpha:
        unit[..., :-1] *= unit[..., -1:]
    unit = np.clip(resize(unit), 0, 1)
    if has_alpha:
        unit[..., :-1] /= np.maximum(unit[..., -1:], 1e-6)
    return (np.rint(unit * full) if full > 1 else unit).clip(0, full).astype(kind)
