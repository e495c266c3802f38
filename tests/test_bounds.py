"""Small files that claim to hold much: a plain error, in little memory, and an end by signals."""

from __future__ import annotations

import io
import re
import signal
import struct
import sys
import zipfile

import numpy as np
import pytest
from test_cli import POSIX, begin, names, run_here, run_script, save
from test_imagefiles import encoded, photo

from ittisal import bounds, imageheaders
from ittisal.imagefiles import ImageError, decode

SIDE = 16_000
SMALL = np.zeros((64, 80, 3), np.uint8)
SIDES = {  # how files of OpenCV's state height and width, or width and height
    ".avif": ">II",
    ".bmp": "<ii",
    ".gif": "<HH",
    ".jp2": ">II",
    ".jpg": ">HH",
    ".png": ">II",
    ".ras": ">II",
}
TOO_LARGE = f"states {SIDE}x{SIDE} pixels in .* bytes, over the limit of 33,554,432 pixels"
DEEP = "is nested more than 32 deep in line 1"


def tiff(*directory: dict[int, int]) -> bytes:
    """A file of a directory of 32-bit numbers alone."""
    tags = [tag for part in directory for tag in part.items()]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def huge(suffix: str) -> bytes:
    """A small picture of OpenCV's that claims sides of `SIDE`."""
    data, form = encoded(SMALL, suffix), SIDES[suffix]
    for sides in ((80, 64), (64, 80)):
        data = data.replace(struct.pack(form, *sides), struct.pack(form, SIDE, SIDE))
    return data


def array_of(descr: str, *shape: int) -> bytes:
    """A .npy file of this type and shape, and next to no contents."""
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(99)


def archive_of(x: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", x)
    return file.getvalue()


PICTURES = {
    **{f"{suffix[1:]}{suffix}": huge(suffix) for suffix in SIDES},
    "webp.webp": b"RIFF\0\0\0\0WEBPVP8X\x0a" + bytes(7) + 2 * (SIDE - 1).to_bytes(3, "little"),
    "tif.tif": tiff({256: SIDE, 257: SIDE}),
    "tiles.tif": tiff({256: 80, 257: 64, 322: SIDE, 323: SIDE}),
    "twice.tif": tiff({256: SIDE, 257: SIDE}, {256: 80, 257: 64}),
}
SCAN = b"\xff\xda"
MANY_SCANS = encoded(SMALL, ".jpg").replace(SCAN, SCAN * 20_001)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is in KiB on Linux")
@pytest.mark.parametrize(
    ("files", "arguments", "says"),
    [
        (PICTURES, ["map", *PICTURES], TOO_LARGE),
        ({"a.gif": huge(".gif")}, ["video", "a.gif", "--csv", "-"], TOO_LARGE),
        ({"a.jpg": MANY_SCANS}, ["map", "a.jpg"], "has 20001 scans, over the limit of 200"),
        (
            {"a.npy": array_of("|V0", 10**6, 10**6, 3)},
            ["map", "a.npy"],
            "holds .V0, items of no",
        ),
        ({"a.npy": array_of("<f8", 10**6, 10**6, 3)}, ["map", "a.npy"], "would take 24,000,000,0"),
        ({"a.toml": b"a" + b".a" * 20_000 + b"=1"}, ["map", "a.png", "--config", "a.toml"], DEEP),
        ({"a.json": b"[" * 10**6}, ["map", "a.png", "--config", "a.json"], DEEP),
        ({"dataset.json": b"[" * 10**6, "fixations.npz": b""}, ["evaluate", "."], DEEP),
        ({"fixations.npz": archive_of(array_of("<f8", 10**9))}, ["evaluate", "."], "would take 8,"),
        (
            {"fixations.npz": archive_of(bytes(10**8))},
            ["evaluate", "."],
            "would become 100,",
        ),
    ],
)
def test_what_claims_much_is_refused_in_little_memory(files, arguments, says, tmp_path):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    ran = run_script(
        f"""
import resource, sys
from ittisal.cli import main
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before = peak()
status = main({arguments})
print("MiB:", peak() - before)
sys.exit(status)
""",
        tmp_path,
    )
    assert ran.status in (1, 2)
    errors = [line for line in ran.err.splitlines() if "inputs failed" not in line]
    assert len(errors) == (len(files) if arguments[0] == "map" else 1)
    assert all(re.search(says, line) for line in errors), ran.err
    assert int(ran.out.split("MiB:")[1]) < 256  # of which libraries take some hundred


@pytest.mark.parametrize("suffix", [*SIDES, ".tiff", ".webp"])
def test_headers_state_what_is_decoded(suffix):
    data = encoded(photo(64, 80), suffix)
    assert imageheaders.size_of(data) == decode(data).shape[:2] == (64, 80)
    for end in range(len(data)):  # no exception
        imageheaders.size_of(data[:end])


def test_limits(monkeypatch):
    """By the size of the file, by free memory, and as the caller says."""
    monkeypatch.setattr(bounds, "free_memory", lambda: 1 << 40)
    assert not bounds.excess(7680, 4320, 1000)
    assert "limit of 33,554,432 pixels for a file of this size" in bounds.excess(8000, 5000, 1000)
    assert not bounds.excess(60_000, 40_000, 100 << 20)
    assert "limit of 100,663,296 pixels" in bounds.excess(60_000, 40_000, 3 << 20)
    monkeypatch.setattr(bounds, "free_memory", lambda: 1 << 30)
    said = bounds.excess(60_000, 40_000, 100 << 20)
    assert "limit of 53,687,091 pixels for the memory that is free" in said
    assert said.endswith("if that is right, allow it with --max-pixels 2400000000")
    monkeypatch.setattr(bounds, "MAX_PIXELS", 80 * 64)
    assert decode(encoded(SMALL)).shape == SMALL.shape
    with pytest.raises(ImageError, match=r"81x64 pixels .* limit of 5,120 pixels set by --max"):
        decode(encoded(np.zeros((64, 81, 3), np.uint8)))


def test_max_pixels(tmp_path):
    save(tmp_path / "a.png", SMALL)
    ran = run_here("map", "a.png", "--max-pixels", "5119", cwd=tmp_path)
    assert ran.status == 1 and "states 80x64 pixels" in ran.err
    assert run_here("map", "a.png", "--max-pixels", "5120", cwd=tmp_path).status == 0


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_library_that_does_not_return(number, tmp_path):
    script = """
import hashlib, sys
from ittisal import cli, files
from ittisal.cli import map
def run(args):
    with files.atomic("a.png") as temporary:
        temporary.write_bytes(b"half")
        print("here", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # a quarter of an hour
map.run = run
sys.exit(cli.main(["map", "b.png"]))
"""
    with begin([sys.executable, "-c", script], tmp_path, number) as process:
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    assert names(tmp_path) == set()
