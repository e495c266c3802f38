"""Image files: what is read from each format, which way up, and what is said of bad ones."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import cv2
import numpy as np
import PIL.features
import PIL.Image
import pytest
import tifffile

import ittisal
from benchmarks.fuzz_mutations import png
from ittisal import diagnostics, imagefiles, imageheaders
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
        "cut-late.jpg": (jpeg[:-9], "truncated JPEG"),
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


def zeroed(data: bytes, start: float, count: int) -> bytes:
    """With zeros from a fraction of its length on."""
    at = int(len(data) * start)
    return data[:at] + bytes(count) + data[at + count :]


def by_libtiff(compression: str) -> bytes:
    """A TIFF file of Pillow's."""
    buffer = io.BytesIO()
    picture = PIL.Image.fromarray(RGB).convert("1" if compression.startswith("g") else "RGB")
    picture.save(buffer, "TIFF", compression=compression)
    return buffer.getvalue()


PLANES = np.moveaxis(np.tile(RGB, (4, 3, 1)), -1, 0)
STRIPS = {"photometric": "rgb", "planarconfig": "separate", "rowsperstrip": 16}


def undecodable() -> dict[str, bytes]:
    """TIFF files of which parts cannot be decoded, which OpenCV leaves black."""
    planar = io.BytesIO()
    tifffile.imwrite(planar, PLANES, **STRIPS)
    packed = by_libtiff("packbits")
    return {
        "lzw": zeroed(by_libtiff("tiff_lzw"), 0.5, 40),
        "zip": zeroed(tiff(RGB, rowsperstrip=4, compression="zlib"), 0.5, 900),
        "fax4": zeroed(by_libtiff("group4"), 0.3, 20),
        "packbits": packed[:5000] + b"\x80" * 4000 + packed[9000:],  # which stands for nothing
        "planar, cut short": planar.getvalue()[: len(planar.getvalue()) * 3 // 4],
        "tiles": zeroed(tiff(RGB, tile=(32, 32), compression="zlib"), 0.5, 2000),
    }


@pytest.mark.parametrize("name", undecodable())
def test_tiff_that_cannot_be_decoded_is_refused(name, capfd):
    with pytest.raises(ImageError, match="damaged TIFF file, parts of which cannot be decoded: "):
        decode(undecodable()[name])
    assert not capfd.readouterr().err


def damaged() -> dict[str, tuple[bytes, str]]:
    """Name: (a file that is read in spite of damage, what the library says)."""
    jpeg, progressive = encoded(photo(), ".jpg"), encoded(photo(), ".jpg", PROGRESSIVE)
    png, noise = encoded(photo(), ".png"), np.random.default_rng(5)
    noisy = encoded(noise.integers(0, 256, (48, 64, 3), np.uint8), ".jpg")
    crc = with_exif(png, exif(1, "<"))
    strips = [struct.pack("<HHI", 273, 4, count) for count in (6, 9)]  # their offsets
    webp, jp2, ppm, bmp = (encoded(photo(), form) for form in (".webp", ".jp2", ".ppm", ".bmp"))
    return {
        "cut, with an end": (jpeg[: len(jpeg) // 2] + jpeg[-2:], "premature end of data segment"),
        "zeros": (zeroed(noisy, 0.6, 300), "extraneous bytes before marker 0xd9"),
        "progressive": (zeroed(progressive, 0.7, 60), "Corrupt JPEG data: "),
        "no end": (jpeg[:-2], "its end (EOI) is missing"),
        "half an end": (progressive[:-1], "its end (EOI) is missing"),
        "jpeg in tiff": (zeroed(by_libtiff("jpeg"), 0.4, 90), "JPEGLib: Corrupt JPEG data"),
        "fax3": (zeroed(by_libtiff("group3"), 0.5, 2), "Fax3Decode1D: "),
        "webp": (webp + bytes(20), "20 bytes follow its end"),
        "two files": (jp2 * 2, f"{len(jp2):,} bytes follow its end"),
        "strips": (tiff(RGB, rowsperstrip=8).replace(*strips), "it has 9 strips where 6 are"),
        "numbers": (ppm.replace(b"255\n", b"255\xff\n"), "has more than numbers and comments"),
        "long header": (bmp[:16] + b"\7" + bmp[17:], "its header reaches into its picture"),
        "metadata": (crc.replace(b"eXIfII", b"eXIfIJ"), "eXIf: CRC error"),
    }


@pytest.mark.parametrize("name", damaged())
def test_damage_is_reported(name, capfd, tmp_path):
    """Of what is read in spite of it: to who asks, or as a warning with the file's name."""
    data, message = damaged()[name]
    said = []
    picture = decode(data, report=said.append)
    assert len(said) == 1 and message in said[0] and len(said[0]) < 250
    (tmp_path / "a").write_bytes(data)
    with pytest.warns(ittisal.DamageWarning) as warned:
        np.testing.assert_array_equal(imagefiles.read(tmp_path / "a"), picture)
    assert str(warned[0].message) == f"{tmp_path / 'a'} is damaged, but was read: {said[0]}"
    assert warned[0].filename == __file__
    assert imagefiles.read_size(tmp_path / "a") == picture.shape[:2]
    assert not capfd.readouterr().err


def test_only_the_end_is_missing():
    """A JPEG file without its last two bytes has the whole picture."""
    for options in ([], PROGRESSIVE):
        jpeg = encoded(photo(), ".jpg", options)
        cut = decode(jpeg[:-2], report=lambda said: None)
        np.testing.assert_array_equal(cut, decode(jpeg))


def test_unusual_metadata_is_no_damage(recwarn):
    """Tags that libtiff does not know, profiles that libpng does not like."""
    png = encoded(photo(), ".png")
    profile = b"iCCP" + b"x\0\0" + zlib.compress(b"nonsense")
    chunk = struct.pack(">I", len(profile) - 4) + profile + struct.pack(">I", zlib.crc32(profile))
    jpeg = encoded(photo(), ".jpg")
    decode(tiff(RGB, extratags=[(65000, 3, 1, 7, True)]))
    decode(png[:33] + chunk + png[33:])
    decode(jpeg.replace(b"JFIF\0\1\1", b"JFIF\0\5\1") + b"a trailer")
    assert not recwarn


@pytest.mark.parametrize("separate", [False, True])
def test_an_animation_whose_rows_are_damaged_is_refused(separate):
    """OpenCV would give what lies in memory for those that are missing.

    Where the default picture is separate, no part of the animation, it would crash.
    """
    height, width = RGB.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in RGB)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    control = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 1, 0, 0)

    def animated(rows):
        parts = [(b"IHDR", header), (b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", control)]
        parts.insert(3 - separate, (b"IDAT", zlib.compress(rows)))
        return png([*parts, (b"IEND", b"")])

    np.testing.assert_array_equal(decode(animated(rows)), RGB[..., ::-1])
    for damaged in (rows[: len(rows) // 2], b"\7" + rows[1:]):
        with pytest.raises(ImageError, match="is a damaged or truncated PNG file"):
            decode(animated(damaged))


def decoded_together(files: dict[str, bytes]) -> Iterator[None]:
    """Decode files in threads, and as one alone; `None` now and then until they have ended."""
    alone: dict[str, list[str]] = {name: [] for name in files}
    for name, data in files.items():
        decode(data, report=alone[name].append)
    together: dict[str, list[str]] = {name: [] for name in files}

    def work(name):
        for _ in range(10):
            decode(files[name], report=together[name].append)

    with ThreadPoolExecutor(len(files)) as pool:
        pending = {pool.submit(work, name) for name in files}
        while pending:
            yield
            pending = wait(pending, 0.001).not_done
    assert together == {name: said * 10 for name, said in alone.items()}
    decode(files["good 0"])  # what came late is printed


GOOD = {f"good {i}": encoded(photo(200, 300, i), ".jpg") for i in range(4)}


def test_damage_is_told_apart_by_threads(capfd):
    """Standard error is one for all threads: each hears what is said of its own file."""
    for _ in decoded_together({name: data for name, (data, _) in damaged().items()} | GOOD):
        pass
    assert not capfd.readouterr().err


def test_what_a_thread_prints_meanwhile_is_not_lost(capfd):
    """Between libjpeg's lines, each of which is printed at once; OpenCV prints its own in parts."""
    jpegs = {name: damaged()[name][0] for name in ("cut, with an end", "zeros", "progressive")}
    printed = []
    for _ in decoded_together(jpegs | GOOD):
        printed.append(f"line {len(printed)}")
        os.write(2, f"{printed[-1]}\n".encode())
    assert sorted(capfd.readouterr().err.splitlines()) == sorted(printed)


def test_what_others_print_is_passed_on(capfd):
    """Of standard error while images are decoded, only the libraries' lines are taken."""
    jpeg = damaged()["zeros"][0]
    before, after = b"a bar\r50 %", b"a line\n\n[ WARN:0@1.0] global cap_v4l.cpp:1 open no camera\n"
    printed = [after, before]

    def work():  # more than once
        os.write(2, printed.pop() if printed else b"")
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
        os.write(2, printed.pop() if printed else b"")
        return 7

    result, said = diagnostics.reported(work)
    assert result == 7 and len(said) == 1 and said[0].startswith("Corrupt JPEG data: ")
    assert capfd.readouterr().err.encode() == before + after


def test_a_program_that_listens(capfd):
    """It hears what FFmpeg prints, by and by, while images are decoded too."""
    with diagnostics.listening():
        os.write(2, b"[h264 @ 0x1f] a fault\nanother's\n")
        decode(damaged()["zeros"][0], report=lambda said: None)
        os.write(2, b"[avi @ 0x1f] the end\n    Last message repeated 3 times\n")
        assert diagnostics.heard() == ["h264: a fault", "avi: the end"]
        os.write(2, b"[avi @ 0x1f] whole\n[ffv1 @ 0x3f] ")
        assert diagnostics.heard() == ["avi: whole"]
        os.write(2, b"the other part\n")
        assert diagnostics.heard() == ["ffv1: the other part"]
        os.write(2, b"[avi @ 0x2f] nobody asks\n[ WARN:0@1.0] global cap.cpp:1 open no video\n")
    assert diagnostics.heard() == []
    assert capfd.readouterr().err == "another's\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_is_forked_while_images_are_decoded():
    """The child decodes, and prints where it did."""
    program = """
import os, sys, threading, cv2, numpy as np
from ittisal import imagefiles
jpeg = cv2.imencode(".jpg", np.zeros((400, 400, 3), np.uint8))[1].tobytes()
ended = threading.Event()
def work():
    while not ended.is_set():
        imagefiles.decode(jpeg)
thread = threading.Thread(target=work)
thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        imagefiles.decode(jpeg)
        os.write(2, b"the child\\n")
        os._exit(0)
    print(os.waitpid(child, 0)[1])
ended.set()
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("0\n" * 20, "the child\n" * 20)


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
                decode(changed, report=lambda said: None)
