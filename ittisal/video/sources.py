"""What the `source` argument of `stream` may mean."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..imagefiles import SUFFIXES
from .opencv_reader import OpenCVReader, open_address, open_camera, open_file
from .pyav_reader import open_pyav
from .readers import ArrayReader, PicturesReader, RawReader, RawVideo, Source, VideoError, import_av
from .selection import Reading

NOT_FRAMES = (bytes, bytearray, Mapping)  # though they can be iterated over
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PASSWORD = re.compile(r"(//[^/:@]*:)[^/]*@")  # which may hold @ itself: up to the last
_NUMBER = re.compile(r"(\d+)")
_NUMBERED = re.compile(r"%(0?)(\d*)d")  # as in shot%04d.png


def resolve(source: Any, reading: Reading = Reading()) -> Source:  # noqa: B008
    """What to open, and how it behaves, for anything that `stream` takes."""
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if _ADDRESS.match(path):
            return _address(path, reading)
        return _path(path, reading)
    if isinstance(source, int) and not isinstance(source, bool):
        return _camera(source, f"camera {source}", reading)
    if isinstance(source, RawVideo):
        return Source(source.name, partial(RawReader, source, reading.rate))
    if hasattr(source, "grab") and hasattr(source, "retrieve"):
        return _capture(source)
    is_file = hasattr(source, "read")  # which is iterable too, by lines
    if isinstance(source, Iterable) and not isinstance(source, NOT_FRAMES) and not is_file:
        return _iterable(source, reading)
    wanted = (
        "RawVideo(file, size, pix_fmt) if raw video comes from it"
        if is_file
        else "a path, the number of a camera, an address, an iterable of arrays, or a RawVideo"
    )
    raise TypeError(f"source is a {type(source).__name__}; give {wanted}")


def is_pattern(name: str) -> bool:
    """Whether a name stands for picture files: shots/*.png or shots/a%04d.png."""
    return not _ADDRESS.match(name) and bool(
        any(sign in name for sign in "*?[") or _NUMBERED.search(name)
    )


def matching(pattern: str) -> list[str]:
    """The files that a pattern stands for."""
    numbered = _NUMBERED.search(pattern)
    if numbered is None:
        return [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    head, tail = pattern[: numbered.start()], pattern[numbered.end() :]
    zero, width = numbered[1], int(numbered[2] or 1)
    digits = re.compile(rf"{re.escape(head)}(\d+){re.escape(tail)}")
    found = []
    for path in glob.glob(f"{glob.escape(head)}*{glob.escape(tail)}"):
        match = digits.fullmatch(path)
        if match and match[1] == format(int(match[1]), f"{zero}{width}d") and os.path.isfile(path):
            found.append(path)
    return found


def _path(path: str, reading: Reading) -> Source:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if is_pattern(path):
            return _pattern(path, reading)
        raise VideoError(f"{path}: no such file{_hint(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise VideoError(f"{path!r}: {getattr(error, 'strerror', '') or error}") from error
    if stat.S_ISDIR(status.st_mode):
        return _directory(path, reading)
    if not os.access(path, os.R_OK):
        raise VideoError(f"{path}: permission denied; check who may read it")
    if stat.S_ISCHR(status.st_mode):
        return _camera(path, path, reading)
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        raise VideoError(f"{path}: is empty (0 bytes)")
    return encoded(os.path.abspath(path), path, reading)  # FFmpeg takes "a:b" for an address


def encoded(path: str, name: str, reading: Reading) -> Source:
    """The source of an encoded video by its absolute path, or of `pipe:0` (standard input)."""
    if reading.reader == "pyav":
        import_av(name, "reader")
        opening: Any = partial(open_pyav, path, name, reading.channel_order)
    else:
        opening = partial(open_file, path, name)
    return Source(name, opening, path=path)


def _hint(path: str) -> str:
    if path.isdecimal():
        return f"; for a camera give the number {path}, not text"
    parent = Path(path).absolute().parent
    return "" if parent.is_dir() else f", and no directory {parent}"


def _address(address: str, reading: Reading) -> Source:
    name = without_password(address)
    timeout = min(reading.timeout, 1e6)  # FFmpeg knows no infinity
    opening: Any = partial(open_address, address, name, timeout)
    if reading.reader == "pyav":
        import_av(name, "reader")
        opening = partial(open_pyav, address, name, reading.channel_order, timeout)
    return Source(name, opening, live=None, again=True, patience=False)


def without_password(name: str) -> str:
    """An address as in messages, which end up in logs; other names unchanged."""
    return _PASSWORD.sub(r"\1***@", name) if _ADDRESS.match(name) else name


def _camera(which: int | str, name: str, reading: Reading) -> Source:
    if isinstance(which, int) and which < 0:
        raise ValueError(f"source={which}: cameras are numbered from 0")
    if reading.reader != "opencv":
        raise ValueError(f"{name} is read by OpenCV only; leave out the reader {reading.reader}")
    return Source(name, partial(open_camera, which, name), live=True, again=True, patience=False)


def _directory(path: str, reading: Reading) -> Source:
    try:
        names = os.listdir(path)
    except OSError as error:
        raise VideoError(f"{path}: cannot be listed: {error.strerror}") from error
    names = [name for name in names if not name.startswith(".") and _is_picture(name)]
    if not names:
        raise VideoError(
            f"{path}: is a directory without pictures ({', '.join(sorted(SUFFIXES))}); for videos "
            "give one file at a time"
        )
    return _pictures(path, [os.path.join(path, name) for name in names], reading)


def _pattern(pattern: str, reading: Reading) -> Source:
    paths = matching(pattern)
    if not paths:
        raise VideoError(f"{pattern}: no file matches this pattern")
    others = [path for path in paths if not _is_picture(path)]
    if others:
        raise VideoError(
            f"{pattern}: {sorted(others)[0]} is not a picture; a pattern stands for the frames of "
            "one video, as in 'shots/*.png'"
        )
    return _pictures(pattern, paths, reading)


def _pictures(name: str, paths: list[str], reading: Reading) -> Source:
    paths = with_gaps(sorted(paths, key=natural))
    return Source(name, partial(PicturesReader, paths, reading.rate))


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def natural(name: str) -> list[Any]:
    """A key for sorting by the numbers within names, not by their digits.

    Examples
    --------
    >>> sorted(["f10.png", "f9.png", "F1.png"], key=natural)
    ['F1.png', 'f9.png', 'f10.png']
    """
    # Text and numbers alternate, so that like is compared with like; the name settles ties.
    parts = _NUMBER.split(name.casefold())
    return [[int(p) if i % 2 else p for i, p in enumerate(parts)], name]


def with_gaps(paths: list[str]) -> list[str]:
    """Numbered pictures, with the names of those that are missing in between.

    They are numbered if their names differ in their last number only, and if at least half of
    the numbers between the first and the last are there, counted in the most common step.

    Examples
    --------
    >>> with_gaps(["a08.png", "a09.png", "a11.png"])
    ['a08.png', 'a09.png', 'a10.png', 'a11.png']
    >>> with_gaps(["a1.png", "a7.png", "a90.png"])
    ['a1.png', 'a7.png', 'a90.png']
    """
    split = [_NUMBER.split(path) for path in paths]
    rests = {tuple(parts[:-2] + parts[-1:]) for parts in split}
    if len(paths) < 3 or len(rests) > 1 or len(split[0]) < 3:
        return paths
    numbers = [int(parts[-2]) for parts in split]
    steps = Counter(b - a for a, b in pairwise(numbers))
    step, _ = steps.most_common(1)[0]
    if min(steps) < 1 or any((n - numbers[0]) % step for n in numbers):  # 0: a1 and a01
        return paths
    count = (numbers[-1] - numbers[0]) // step + 1
    if count > 2 * len(paths):
        return paths
    head, tail, width = "".join(split[0][:-2]), split[0][-1], len(split[0][-2])
    there = dict(zip(numbers, paths, strict=True))
    wanted = range(numbers[0], numbers[-1] + 1, step)
    return [there.get(n, f"{head}{n:0{width}}{tail}") for n in wanted]


def _capture(capture: Any) -> Source:
    """An open cv2.VideoCapture, or what is used like one."""
    name = f"the {type(capture).__name__}"
    if not capture.isOpened():
        raise VideoError(f"{name} is not open; give the path or number that it was to read")

    def adopt() -> OpenCVReader:
        import cv2

        return OpenCVReader(capture, name, timed=capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)

    return Source(name, adopt, live=None, patience=False)


def _iterable(source: Any, reading: Reading) -> Source:
    if isinstance(source, np.ndarray) and (
        source.ndim < 3 or (source.ndim == 3 and source.shape[-1] in (1, 3, 4))
    ):
        raise ValueError(
            f"source is one array of shape {source.shape}; give several frames, (N, H, W, 3), or "
            "for one image call ittisal.saliency_map"
        )
    live = bool(reading.live)
    opening = partial(ArrayReader, source, reading.channel_order, reading.rate, copies=live)
    return Source(f"the {type(source).__name__}", opening, threaded=live)
