"""`ittisal crop` as its users meet it: the pixels of the original, and its metadata."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import PIL.features
import PIL.Image
import PIL.ImageCms
import PIL.PngImagePlugin
import pytest
from test_cli import load, names, run, run_here, save
from test_imagefiles import UPRIGHT, array, encoded, exif, photo, tiff, with_exif

import ittisal
from ittisal import imagefiles

WIDE = photo(64, 112)
ALPHA = np.dstack([WIDE, np.tile(np.arange(112, dtype=np.uint8) * 2, (64, 1))])
DEEP = np.minimum(WIDE.astype(int) * 257 + 5, 65535).astype(np.uint16)
FLOAT = (WIDE / np.float32(255)).astype(np.float32)


def crop_of(name: str, *options: object, cwd: Path) -> dict:
    """The line of JSON on one image, cropped to a square unless options say otherwise."""
    ran = run_here("crop", name, *(options or ("--aspect", "1:1")), "--json", cwd=cwd)
    assert ran.status == 0, ran.err
    (row,) = ran.rows
    return row


def inside(picture: np.ndarray, row: dict) -> np.ndarray:
    window = row["window"]
    rows = slice(window["y"], window["y"] + window["height"])
    return picture[rows, window["x"] : window["x"] + window["width"]]


def opened(path: Path) -> PIL.Image.Image:
    seen = PIL.Image.open(io.BytesIO(path.read_bytes()))
    seen.load()
    return seen


# --- the window --------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", ["saliency", "centre", "thirds"])
def test_it_is_what_the_api_gives(placement, tmp_path):
    save(tmp_path / "photo.png", WIDE)
    options = ("--aspect", "4:5", "--zoom", "1.5", "--placement", placement)
    row = crop_of("photo.png", *options, cwd=tmp_path)
    raw = ittisal.Saliency(
        WIDE.shape[:2], ittisal.GAZE, channel_order="bgr", backend="reference"
    )(WIDE)  # fmt: skip
    window = ittisal.crop(
        raw, aspect=4 / 5, zoom=1.5, placement=placement, shape=WIDE.shape[:2], config=ittisal.GAZE
    )
    assert {**row["window"], "share": row["share"], "focus": row["focus"]} == window.as_dict()
    assert (row["input"], row["outputs"]) == ("photo.png", {"crop": "photo.crop.png"})
    assert (row["width"], row["height"], row["backend"]) == (112, 64, "reference")
    np.testing.assert_array_equal(load(tmp_path / "photo.crop.png"), WIDE[window.slices])


def test_it_holds_the_object(tmp_path):
    picture = np.full((96, 256, 3), 90, np.uint8)
    picture[40:56, 200:216] = 0, 0, 255
    save(tmp_path / "photo.png", picture)
    row = crop_of("photo.png", "--aspect", "1", "--preset", "itti1998", cwd=tmp_path)
    assert row["window"]["x"] < 200 and row["window"]["x"] + 96 > 216 and row["share"] > 0.8
    assert abs(row["focus"]["x"] - 208) <= 16 and abs(row["focus"]["y"] - 48) <= 16


def test_nothing_stands_out(tmp_path):
    save(tmp_path / "flat.png", np.full((64, 112, 3), 127, np.uint8))
    ran = run_here("crop", "flat.png", "--aspect", "1:1", cwd=tmp_path)
    assert (ran.status, ran.out) == (0, "flat.crop.png\n")
    assert "flat.png: nothing stands out; its crop is the middle" in ran.err
    row = crop_of("flat.png", cwd=tmp_path)
    assert row["window"] == {"x": 24, "y": 0, "width": 64, "height": 64} and row["share"] == 0


# --- pixels ------------------------------------------------------------------------------------

PICTURES = {
    "colour.png": encoded(WIDE),
    "grey.png": encoded(WIDE[..., 1]),
    "alpha.png": encoded(ALPHA),
    "deep.png": encoded(DEEP),
    "deep-alpha.png": encoded(ALPHA.astype(np.uint16) * 257),
    "colour.tiff": encoded(WIDE, ".tiff"),
    "deep.tif": encoded(DEEP, ".tiff"),
    "alpha.tiff": encoded(ALPHA, ".tiff"),
    "float.tiff": encoded(FLOAT, ".tiff"),
    "colour.bmp": encoded(WIDE, ".bmp"),
    "colour.ppm": encoded(WIDE, ".ppm"),
    "grey.pgm": encoded(WIDE[..., 0], ".pgm"),
    "alpha.webp": encoded(ALPHA, ".webp"),
    "colour.gif": None,
    "colour.npy": array(WIDE),
    "float.npy": array(FLOAT.astype(np.float64)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_those_of_the_original(name, tmp_path):
    data = PICTURES[name]
    if data is None:
        buffer = io.BytesIO()
        PIL.Image.fromarray(WIDE).quantize(16).save(buffer, "GIF")
        data = buffer.getvalue()
    (tmp_path / name).write_bytes(data)
    row = crop_of(name, cwd=tmp_path)
    suffix = ".png" if name.endswith(".gif") else Path(name).suffix
    assert row["outputs"] == {"crop": f"{Path(name).stem}.crop{suffix}"}
    original = imagefiles.decode_stored(data)
    got = imagefiles.decode_stored((tmp_path / row["outputs"]["crop"]).read_bytes())
    assert got.dtype == original.dtype
    np.testing.assert_array_equal(got, inside(original, row))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(kind, orientation, tmp_path):
    block = exif(orientation, "<" if orientation % 2 else ">")
    buffer = io.BytesIO()
    if kind == "tiff":
        data = tiff(WIDE[..., ::-1], extratags=[(0x0112, 3, 1, orientation, True)])
    elif kind == "webp":
        PIL.Image.fromarray(WIDE[..., ::-1]).save(buffer, "WEBP", exif=block, lossless=True)
        data = buffer.getvalue()
    else:
        suffix = ".jpg" if kind == "jpeg" else ".png"
        data = with_exif(encoded(WIDE, suffix, (cv2.IMWRITE_JPEG_QUALITY, 98)), block)
    (tmp_path / f"photo.{kind}").write_bytes(data)
    row = crop_of(f"photo.{kind}", "--aspect", "5:4", cwd=tmp_path)
    upright = UPRIGHT[orientation](WIDE)
    assert (row["height"], row["width"]) == upright.shape[:2]
    written = tmp_path / f"photo.crop.{kind}"
    got, want = load(written).astype(int), inside(upright, row)
    assert got.shape == want.shape and abs(got - want).mean() < (3 if kind == "jpeg" else 1e-9)
    if kind != "tiff":
        seen = opened(written)
        assert seen.getexif()[0x0112] == 1 and seen.getexif()[0x0100] == seen.width


def test_sizes(tmp_path):
    picture = photo(128, 192)
    save(tmp_path / "photo.png", picture)
    for width, height in ((50, 40), (1, 1), (300, 200)):
        row = crop_of("photo.png", "--size", f"{width}x{height}", cwd=tmp_path)
        got, cut = load(tmp_path / "photo.crop.png"), inside(picture, row)
        assert got.shape == (height, width, 3)
        assert abs(cut.shape[1] / cut.shape[0] - width / height) < 0.02
        method = cv2.INTER_CUBIC if width == 300 else cv2.INTER_AREA
        np.testing.assert_array_equal(
            got.reshape(height, width, 3), cv2.resize(cut, (width, height), interpolation=method)
        )


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_scaled_pictures_keep_alpha_and_depth(suffix, tmp_path):
    picture = np.zeros((64, 112, 4), np.uint16)  # transparent black
    picture[20:44, 30:90] = 65535, 30000, 300, 65535
    save(tmp_path / f"photo{suffix}", picture)
    crop_of(f"photo{suffix}", "--size", "56x32", "--preset", "itti1998", cwd=tmp_path)
    got = load(tmp_path / f"photo.crop{suffix}")
    assert got.dtype == np.uint16 and got.shape == (32, 56, 4)
    seen = got[got[..., 3] > 0][:, :3].astype(int)
    # What is transparent has no part in the colours.
    assert len(seen) > 300 and abs(seen - [65535, 30000, 300]).max() <= 2


def test_files_of_other_formats(tmp_path):
    save(tmp_path / "alpha.png", ALPHA)
    crop_of("alpha.png", "--aspect", "1:1", "-o", "crop.JPG", cwd=tmp_path)
    got = load(tmp_path / "crop.JPG")
    assert got.shape == (64, 64, 3) and got[:, :8].mean() > 200  # white shines through
    save(tmp_path / "deep.png", DEEP)
    row = crop_of("deep.png", "--aspect", "1:1", "-o", "crop.webp", cwd=tmp_path)
    np.testing.assert_array_equal(load(tmp_path / "crop.webp"), inside(WIDE, row))
    (tmp_path / "float.npy").write_bytes(array(FLOAT[..., ::-1]))
    row = crop_of("float.npy", "--aspect", "1:1", "-o", "crop.png", cwd=tmp_path)
    want = inside(WIDE.astype(np.uint16) * 257, row)
    np.testing.assert_array_equal(load(tmp_path / "crop.png"), want)


@pytest.mark.skipif(not PIL.features.check("avif"), reason="this Pillow writes no AVIF")
def test_avif(tmp_path):
    PIL.Image.fromarray(WIDE[..., ::-1]).save(tmp_path / "photo.avif", quality=95)
    row = crop_of("photo.avif", cwd=tmp_path)
    got = load(tmp_path / "photo.crop.avif").astype(int)
    assert abs(got - inside(WIDE, row)).mean() < 3
    deep = cv2.imencode(".avif", DEEP >> 6, [cv2.IMWRITE_AVIF_DEPTH, 10])[1].tobytes()
    (tmp_path / "deep.avif").write_bytes(deep)
    ran = run_here("crop", "deep.avif", "--aspect", "1:1", cwd=tmp_path)
    assert ran.status == 1 and "is AVIF of 10 or 12 bits, which is not written" in ran.err
    row = crop_of("deep.avif", "--aspect", "1:1", "-o", "deep.png", cwd=tmp_path)
    got = load(tmp_path / "deep.png") / 257
    assert abs(got - inside(WIDE, row)).mean() < 3


def test_what_a_format_cannot_hold_is_told():
    with pytest.raises(imagefiles.ImageError, match=r"\(40, 17000, 3\) as .webp; choose another"):
        imagefiles.encode_copy(np.zeros((40, 17000, 3), np.uint8), ".webp", b"")
    with pytest.raises(imagefiles.ImageError, match=r"is 40x31 pixels; .* from 32x32 on"):
        imagefiles.encode_copy(np.zeros((31, 40, 3), np.uint8), ".jp2", b"")


# --- metadata ----------------------------------------------------------------------------------

PROFILE = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" by="me"/>\
<tiff:Orientation>8</tiff:Orientation></x:xmpmeta>"""
THUMBNAIL = b"\xff\xd8 a thumbnail of the whole picture \xff\xd9"


def rich_exif(order: str) -> bytes:
    """EXIF with orientation, author, size of the picture and a thumbnail."""
    author = b"A. Photographer\0"
    main, inner, second, text = 8, 62, 92, 122
    picture = text + len(author)
    return (
        (b"II*\0" if order == "<" else b"MM\0*")
        + struct.pack(order + "I", main)
        + struct.pack(order + "HHHIHH", 4, 0x0112, 3, 1, 6, 0)
        + struct.pack(order + "HHII", 0x0131, 2, 4, 0)
        + struct.pack(order + "HHII", 0x013B, 2, len(author), text)
        + struct.pack(order + "HHIII", 0x8769, 4, 1, inner, second)
        + struct.pack(order + "HHHIHHHHIII", 2, 0xA002, 3, 1, 112, 0, 0xA003, 4, 1, 64, 0)
        + struct.pack(order + "HHHII", 2, 0x0201, 4, 1, picture)
        + struct.pack(order + "HHIII", 0x0202, 4, 1, len(THUMBNAIL), 0)
        + author
        + THUMBNAIL
    )


def check_metadata(path: Path, row: dict) -> PIL.Image.Image:
    """What every format carries; the picture."""
    data = path.read_bytes()
    assert THUMBNAIL not in data
    seen = opened(path)
    assert seen.info["icc_profile"] == PROFILE
    tags = seen.getexif()
    assert (tags[0x0112], tags[0x013B]) == (1, "A. Photographer")
    inner = tags.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == seen.size == (64, 64)
    assert not tags.get_ifd(1)
    assert XMP.replace(b'"6"', b'"1"').replace(b">8<", b">1<") in data
    assert row["width"] == 64 and row["height"] == 112
    return seen


@pytest.mark.parametrize("order", "<>")
def test_metadata_of_jpeg(order, tmp_path):
    block = rich_exif(order)
    photoshop = b"Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\x04IPTC8BIM\x04\x0c\0\0" + struct.pack(
        ">I", len(THUMBNAIL)
    )
    segments = {
        0xE1: [b"Exif\0\0" + block, b"http://ns.adobe.com/xap/1.0/\0" + XMP],
        0xE2: [b"MPF\0 more pictures", b"ICC_PROFILE\0\x01\x01" + PROFILE],
        0xED: [photoshop + THUMBNAIL],
        0xFE: [b"a comment"],
    }
    extra = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, contents in segments.items()
        for content in contents
    )
    plain = encoded(WIDE, ".jpg")
    (tmp_path / "photo.jpg").write_bytes(plain[:20] + extra + plain[20:])  # after APP0
    row = crop_of("photo.jpg", cwd=tmp_path)
    seen = check_metadata(tmp_path / "photo.crop.jpg", row)
    assert seen.info["comment"] == b"a comment"
    data = (tmp_path / "photo.crop.jpg").read_bytes()
    assert b"IPTC" in data and b"MPF" not in data
    again = crop_of("photo.crop.jpg", "--zoom", "2", cwd=tmp_path)
    assert (again["width"], again["height"]) == (64, 64)


def test_metadata_of_png(tmp_path):
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("Author", "me")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    PIL.Image.fromarray(WIDE[..., ::-1]).save(
        tmp_path / "photo.png", pnginfo=info, icc_profile=PROFILE, dpi=(300, 300),
        exif=rich_exif("<"),
    )  # fmt: skip
    row = crop_of("photo.png", cwd=tmp_path)
    seen = check_metadata(tmp_path / "photo.crop.png", row)
    assert seen.info["Author"] == "me" and round(seen.info["dpi"][0]) == 300
    np.testing.assert_array_equal(
        load(tmp_path / "photo.crop.png"), inside(np.rot90(WIDE, -1), row)
    )


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("channels", [3, 4])
def test_metadata_of_webp(lossless, channels, tmp_path):
    picture = np.ascontiguousarray(ALPHA[..., [2, 1, 0, 3][:channels]])
    PIL.Image.fromarray(picture).save(
        tmp_path / "photo.webp", icc_profile=PROFILE, exif=rich_exif(">"), xmp=XMP,
        lossless=lossless, quality=95, exact=True,
    )  # fmt: skip
    row = crop_of("photo.webp", cwd=tmp_path)
    seen = check_metadata(tmp_path / "photo.crop.webp", row)
    assert seen.mode == ("RGBA" if channels == 4 else "RGB")
    got = load(tmp_path / "photo.crop.webp")
    want = inside(np.rot90(ALPHA[..., :channels], -1), row)
    if channels == 4:
        got, want = got[want[..., 3] > 128], want[want[..., 3] > 128]
    assert abs(got.astype(int) - want).mean() < (0.01 if lossless else 5)


def test_profiles_of_other_colours_are_left_out(tmp_path):
    cmyk = io.BytesIO()
    PIL.Image.fromarray(WIDE[..., ::-1]).convert("CMYK").save(cmyk, "JPEG", icc_profile=PROFILE)
    (tmp_path / "photo.jpg").write_bytes(cmyk.getvalue())
    crop_of("photo.jpg", cwd=tmp_path)
    seen = opened(tmp_path / "photo.crop.jpg")
    assert seen.mode == "RGB" and "icc_profile" not in seen.info


@pytest.mark.parametrize("cut", [12, 20, 40, 63, 80, 100, 121])
def test_damaged_exif(cut, tmp_path):
    data = with_exif(encoded(WIDE, ".jpg"), rich_exif("<")[:cut])
    (tmp_path / "photo.jpg").write_bytes(data)
    crop_of("photo.jpg", cwd=tmp_path)
    assert load(tmp_path / "photo.crop.jpg").shape == (64, 64, 3)


# --- the command -------------------------------------------------------------------------------

USAGE_ERRORS = [
    ("a.png", "which part? Give --aspect W:H, --size WxH, or --zoom"),
    ("a.png --aspect 1:1 --size 10x10", "not allowed with"),
    ("a.png --aspect wide", "'wide' is no aspect"),
    ("a.png --aspect 0:1", "'0:1' is no aspect"),
    ("a.png --aspect 1:0", "'1:0' is no aspect"),
    ("a.png --aspect 1:9999", "a number from 0.001 to 1000"),
    ("a.png --size 10", "'10' is no size"),
    ("a.png --size 0x10", "sides from 1 to 65535"),
    ("a.png --size 10x65536", "sides from 1 to 65535"),
    ("a.png --zoom 0.5", "'0.5' must be a number from 1 to 1000"),
    ("a.png --zoom 2 --placement center", "invalid choice: 'center'"),
    ("a.png --zoom 2 -o a.gif", "crops are not written as .gif; end in .avif, .bmp"),
    ("a.png --zoom 2 -o a.png", "would overwrite the input a.png"),
    ("a.png b.png --zoom 2 -o c.png", "takes one image, not 2"),
    ("- a.png --zoom 2", "Give a directory with -o"),
    ("a.png --zoom 2 -o - --json", "takes one of -o - and --json"),
]


@pytest.mark.parametrize(("line", "message"), USAGE_ERRORS, ids=[line for line, _ in USAGE_ERRORS])
def test_usage_errors(line, message, tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    ran = run_here("crop", *line.split(), cwd=tmp_path)
    assert ran.status == 2 and not ran.out and message in ran.err, ran.err
    assert ran.err.count("\n") == 1 and ran.err.startswith("ittisal crop: ")
    assert names(tmp_path) == {"a.png", "b.png"}


def test_help(tmp_path):
    ran = run_here("crop", "--help", cwd=tmp_path)
    assert ran.status == 0 and "examples:" in ran.out
    assert "(default: gaze)" in " ".join(ran.out.split())


def test_streams(tmp_path):
    for suffix, data in ((".jpg", encoded(WIDE, ".jpg")), (".png", encoded(ALPHA))):
        ran = run_here("crop", "-", "--aspect", "1:1", cwd=tmp_path, stdin=data)
        assert ran.status == 0 and not ran.err and ran.raw[:3] == data[:3], suffix
        got = cv2.imdecode(np.frombuffer(ran.raw, np.uint8), cv2.IMREAD_UNCHANGED)
        assert got.shape[:2] == (64, 64)
        ran = run_here("crop", "-", "--zoom", "2", "-o", "out", cwd=tmp_path, stdin=data)
        assert ran.out == str(Path("out/stdin.crop.png")) + "\n"
        assert load(tmp_path / "out/stdin.crop.png").shape[:2] == (32, 56)
    ran = run("crop", "-", "--zoom", "2", "-o", "-", cwd=tmp_path, stdin=b"nonsense")
    assert (ran.status, ran.raw) == (1, b"") and "-: is not an image" in ran.err


def test_bad_files_are_reported_and_the_rest_go_on(tmp_path):
    (tmp_path / "cut.jpg").write_bytes(encoded(WIDE, ".jpg")[:900])
    save(tmp_path / "small.png", photo(20, 64))
    save(tmp_path / "good.png", WIDE)
    ran = run_here(
        "crop", "cut.jpg", "none.png", "small.png", "good.png", "--zoom", "2", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    assert ran.status == 1 and [set(row) & {"error", "window"} for row in ran.rows] == [
        *3 * [{"error"}],
        {"window"},
    ]
    assert "3 of 4 inputs failed" in ran.err
    assert names(tmp_path) == {"cut.jpg", "small.png", "good.png", "good.crop.png"}


def test_existing_crops(tmp_path):
    save(tmp_path / "photo.jpg", WIDE)
    (tmp_path / "photo.crop.jpg").write_bytes(b"old")
    ran = run_here("crop", ".", "--zoom", "2", "--no-clobber", cwd=tmp_path)
    assert (tmp_path / "photo.crop.jpg").read_bytes() == b"old"
    assert "crops of earlier runs left out: 1" in ran.err
    assert "photo.crop.jpg: exists, left as it is" in ran.err
    for _ in range(2):
        assert run_here("crop", ".", "--zoom", "2", cwd=tmp_path).out == "photo.crop.jpg\n"
    assert load(tmp_path / "photo.crop.jpg").shape == (32, 56, 3)
    ran = run_here("map", ".", cwd=tmp_path)
    assert ran.out == "photo.saliency.png\n" and "crops of earlier runs left out: 1" in ran.err
    ran = run_here("crop", ".", "--zoom", "2", cwd=tmp_path)
    assert "crops and maps of earlier runs left out: 2" in ran.err
