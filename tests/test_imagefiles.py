"""Image files: what is read from each format, which way up, and what is said of bad ones."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import cv2
import numpy as np
import PIL.features
import PIL.Image
import pytest
import tifffile

from ittisal import imagefiles, imageheaders
from ittisal.imagefiles import ImageError, decode


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """BGR, smooth enough to be a picture, with one red square."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 3)
    picture[height // 4 : height // 4 + 9, width // 2 : width // 2 + 9] = 0, 0, 255
    return picture


PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def encoded(picture: np.ndarray, suffix: str = ".png", options=()) -> bytes:
    lossless = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tiff" else []  # OpenCV 4's is not
    return cv2.imencode(suffix, picture, [*lossless, *options])[1].tobytes()


def array(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


def tiff(picture: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    kind = "rgb" if picture.ndim == 3 else "minisblack"
    tifffile.imwrite(buffer, picture, photometric=kind, metadata=None, **options)
    return buffer.getvalue()


# --- pixels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_pixels_are_as_stored(suffix):
    """Colour, and where the format has them grey, 16 bits and floats."""
    colour, deep = photo(), photo().astype(np.uint16) * 257
    pictures = [colour]
    if suffix in (".png", ".tiff"):
        pictures += [colour[..., 0], deep, deep[..., 0].copy()]
    if suffix == ".tiff":
        pictures.append(colour.astype(np.float32) / 255)
    for picture in pictures:
        out = decode(encoded(picture, suffix))
        assert out.dtype == picture.dtype
        np.testing.assert_array_equal(out, picture)


def test_alpha_over_white():
    picture = np.dstack([photo(), np.full((48, 64), 255, np.uint8)])
    np.testing.assert_array_equal(decode(encoded(picture)), photo())
    picture[:, :32, 3] = 0
    out = decode(encoded(picture))
    assert out.dtype == np.float32 and (out[:, :32] == 1).all()
    np.testing.assert_allclose(out[:, 32:], photo()[:, 32:] / 255, atol=1e-6)


@pytest.mark.skipif(not cv2.haveImageWriter(".avif"), reason="this OpenCV writes no AVIF")
@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("name", [b"pixi", b"free"])
def test_deep_avif_has_the_full_range(bits, name):
    """By the property `pixi`, and where there is none by `av1C`."""
    full = (1 << bits) - 1
    picture = np.rint(photo() * (full / 255)).astype(np.uint16)
    picture[:24] = full
    options = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100]
    out = decode(encoded(picture, ".avif", options).replace(b"pixi", name))
    assert out.dtype == np.uint16 and out.max() == 65535
    np.testing.assert_allclose(out / 65535, picture / full, atol=0.01)


@pytest.mark.skipif(not PIL.features.check("avif"), reason="this Pillow writes no AVIF")
def test_an_avif_property_without_number_is_ignored():
    """Number 0 is none, not the last, which here turns the picture."""
    listed = bytes([5, 1, 2, 0x83, 4, 0x85])  # how many, and their numbers
    data = by_pillow("AVIF", 6)
    assert data.count(listed) == 1 and imageheaders.orientation(data) == 6
    assert imageheaders.orientation(data.replace(listed, listed[:5] + b"\0")) == 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", ">f8"])
def test_arrays_are_rgb(dtype):
    scale = 1 if "f" in dtype else 255
    rgb = (np.random.default_rng(1).random((40, 50, 3)) * scale).astype(dtype)
    np.testing.assert_array_equal(decode(array(rgb)), rgb[..., ::-1].astype("float32"))


@pytest.mark.parametrize(
    "frame",
    [photo(), photo()[..., 0], photo().astype(np.uint16) * 257, photo().astype("float32") / 255],
    ids=["colour", "grey", "16 bits", "float"],
)
def test_to_bgr8(frame):
    picture = imagefiles.to_bgr8(frame)
    assert picture.dtype == np.uint8
    want = photo() if frame.ndim == 3 else np.repeat(photo()[..., :1], 3, axis=2)
    np.testing.assert_array_equal(picture, want)


# --- orientation -------------------------------------------------------------------------------

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


def exif(orientation: int, order: str, tag: int = 0x0112) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", tag, 3, 1, orientation, 0)
    other = struct.pack(order + "HHII", 0x0100, 4, 1, 77)
    return mark + struct.pack(order + "IH", 8, 2) + other + entry + bytes(4)


def with_exif(data: bytes, block: bytes) -> bytes:
    """The encoded JPEG or PNG with an EXIF block put in."""
    if data.startswith(b"\xff\xd8"):
        payload = b"Exif\0\0" + block
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + data[2:]
    chunk = b"eXIf" + block  # after the signature and IHDR
    check = struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + struct.pack(">I", len(block)) + chunk + check + data[33:]


def by_pillow(format: str, orientation: int, tag: int = 0x0112, **options) -> bytes:
    """A file of Pillow's, which for AVIF writes the container's properties and no EXIF tag."""
    buffer = io.BytesIO()
    block = exif(orientation, "<", tag)
    PIL.Image.fromarray(photo()[..., ::-1]).save(buffer, format, exif=block, **options)
    return buffer.getvalue()


def avif_with_exif(orientation: int) -> bytes:
    """AVIF whose container does not turn it, so that the EXIF tag counts."""
    data = by_pillow("AVIF", orientation, tag=0x0113)  # another's number, or Pillow takes it out
    assert b"irot" not in data and data.count(b"\x13\x01\x03\0") == 1
    return data.replace(b"\x13\x01\x03\0", b"\x12\x01\x03\0")


def tiff_of(picture: np.ndarray, **options):
    return lambda orientation: tiff(
        picture, extratags=[(0x0112, 3, 1, orientation, True)], **options
    )


RGB = photo()[..., ::-1]
ORIENTED = {
    "jpeg-little": lambda n: with_exif(encoded(photo(), ".jpg"), exif(n, "<")),
    "jpeg-progressive": lambda n: with_exif(encoded(photo(), ".jpg", PROGRESSIVE), exif(n, "<")),
    "jpeg-big": lambda n: with_exif(encoded(photo(), ".jpg"), exif(n, ">")),
    "png-little": lambda n: with_exif(encoded(photo(), ".png"), exif(n, "<")),
    "png-big": lambda n: with_exif(encoded(photo(), ".png"), exif(n, ">")),
    "webp": lambda n: by_pillow("WEBP", n, lossless=True),
    "avif": lambda n: by_pillow("AVIF", n),
    "avif-exif": avif_with_exif,
    "tiff": tiff_of(RGB),
    "tiff-big-endian": tiff_of(RGB, byteorder=">"),
    "tiff-16": tiff_of(RGB.astype(np.uint16) * 257),
    "tiff-float": tiff_of(RGB.astype(np.float32) / 255),
    "tiff-grey": tiff_of(np.ascontiguousarray(RGB[..., 0])),
    "tiff-tiles": tiff_of(RGB, tile=(32, 32)),
    "bigtiff": tiff_of(RGB, bigtiff=True),
}


@pytest.mark.parametrize("name", ORIENTED)
def test_every_orientation_is_applied_once(name, tmp_path):
    if "avif" in name and not PIL.features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    make = ORIENTED[name]
    stored = decode(make(1))
    if name.startswith("tiff"):
        want = RGB[..., 0] if "grey" in name else photo()
        np.testing.assert_array_equal(imagefiles.to_bgr8(stored), imagefiles.to_bgr8(want))
    for orientation, turn in UPRIGHT.items():
        if name == "avif" and orientation > 8:
            continue  # Pillow refuses to write it
        path = tmp_path / "picture"
        path.write_bytes(make(orientation))
        upright = imagefiles.read(path)
        np.testing.assert_array_equal(upright, turn(stored), f"orientation {orientation}")
        np.testing.assert_array_equal(imagefiles.read(path, upright=False), stored)
        assert imagefiles.read_size(path) == upright.shape[:2]
        assert imagefiles.read_size(path, upright=False) == stored.shape[:2]


def test_broken_exif_is_upright():
    plain = encoded(photo(), ".jpg")
    for block in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"nonsense", exif(6, "<")[:20]):
        np.testing.assert_array_equal(decode(with_exif(plain, block)), decode(plain))


def test_jpeg_with_thumbnail_and_trailer():
    plain = encoded(photo(), ".jpg")
    whole = with_exif(plain, exif(1, "<") + encoded(photo(32, 32), ".jpg")) + b"\xff\xda trailer"
    np.testing.assert_array_equal(decode(whole), decode(plain))
    with pytest.raises(ImageError, match="truncated JPEG"):  # only the thumbnail has an end
        decode(whole[: len(whole) - 200])


# --- files that are not good images ------------------------------------------------------------


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Name: (content, what is said of it)."""
    jpeg, png, whole = (encoded(photo(), suffix) for suffix in (".jpg", ".png", ".tiff"))
    return {
        "empty.png": (b"", "is empty (0 bytes)"),
        "text.jpg": (b"hello, world", "is not an image that OpenCV reads; it starts with b'hello"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated JPEG"),
        "cut-late.jpg": (jpeg[:-2], "truncated JPEG"),
        "cut-png.png": (png[: len(png) // 2], "truncated PNG"),
        "cut-tiff.tiff": (whole[: len(whole) // 2], "damaged or truncated TIFF"),
        "damaged.png": (png[:80] + bytes([png[80] ^ 255]) + png[81:], "damaged or truncated PNG"),
        "header.png": (png[:8] + b"IEND", "damaged or truncated PNG"),
        "light.exr": (b"v/1\x01" + bytes(60), "is OpenEXR, which this OpenCV does not read; "),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(60), "convert it to JPEG or PNG"),
        "half.tiff": (tiff(np.ones((40, 40, 3), np.float16)), "16-bit floats, which this OpenCV"),
        "int.npy": (array(np.zeros((40, 40), np.int32)), "frame has dtype int32; give uint8"),
        "two.npy": (array(np.zeros((40, 40, 5), np.uint8)), "frame of shape (40, 40, 5)"),
        "line.npy": (array(np.zeros(40, np.uint8)), "frame of shape (40,) is not an image"),
        "none.npy": (array(np.zeros((0, 40), np.uint8)), "is empty"),
        "object.npy": (array(np.array([{}], object)), "damaged, truncated or pickled"),
        "cut-npy.npy": (array(np.zeros((40, 40), np.uint8))[:-9], "damaged, truncated or pickled"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_bad_files(name, capfd):
    content, message = bad_files()[name]
    with pytest.raises((ImageError, TypeError, ValueError)) as refused:
        decode(content)
    assert message in str(refused.value)
    assert not capfd.readouterr().err  # nothing from OpenCV's own libraries


def test_damaged_headers_are_no_fault():
    """Whatever a byte of a header is changed to, the file is read or refused."""
    rng = np.random.default_rng(3)
    for name in ("jpeg-little", "webp", "tiff", "bigtiff", "avif"):
        if name == "avif" and not PIL.features.check("avif"):
            continue
        data = ORIENTED[name](6)
        for at in rng.integers(0, min(len(data), 400), 60):
            changed = data[:at] + bytes([rng.integers(256)]) + data[at + 1 :]
            with contextlib.suppress(ImageError, ValueError):
                decode(changed)
