"""What the `source` argument of `stream` may mean."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import ArrayReader
from .errors import VideoError
from .opencv_reader import OpenCVReader, open_address, open_camera, open_file
from .pictures_reader import SUFFIXES, PicturesReader, natural
from .pyav_reader import open_pyav
from .raw import RawReader, RawVideo
from .readers import Source

READERS = ("opencv", "pyav")
DEFAULT_FPS = 25.0  # of frames that come without times
NOT_FRAMES = (bytes, bytearray, Mapping)  # though they can be iterated over
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PASSWORD = re.compile(r"(//[^/@]*:)[^/@]*@")


def resolve(
    source: Any,
    *,
    reader: str = "opencv",
    channel_order: str = "rgb",
    fps: float | None = None,
    timeout: float = 10.0,
    live: bool | None = None,
) -> Source:
    """What to open, and how it behaves, for anything that `stream` takes.

    Raises
    ------
    TypeError, ValueError
        Not a source.
    VideoError
        No such file, or it may not be read; a directory or pattern without pictures.
    """
    if reader not in READERS:
        raise ValueError(f"reader={reader!r} is not one of {', '.join(map(repr, READERS))}")
    rate = fps or DEFAULT_FPS
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        text = os.fspath(source)
        if isinstance(text, bytes):
            text = os.fsdecode(text)
        if _ADDRESS.match(text):
            return _address(text, reader, channel_order, timeout)
        return _path(text, reader, channel_order, rate)
    if isinstance(source, int) and not isinstance(source, bool):
        return _camera(source, f"camera {source}", reader)
    if isinstance(source, RawVideo):
        return Source(_raw_name(source.file), partial(RawReader, source, rate))
    if hasattr(source, "grab") and hasattr(source, "retrieve"):
        return _capture(source)
    is_file = hasattr(source, "read")  # which is iterable too, by lines
    if isinstance(source, Iterable) and not isinstance(source, NOT_FRAMES) and not is_file:
        return _iterable(source, channel_order, rate, bool(live))
    wanted = (
        "RawVideo(file, size, pix_fmt) if raw video comes from it"
        if is_file
        else "a path, the number of a camera, an address, an iterable of arrays, or a RawVideo"
    )
    raise TypeError(f"source is a {type(source).__name__}; give {wanted}")


def _raw_name(file: Any) -> str:
    name = getattr(file, "name", None)
    if name in ("<stdin>", 0):  # 0: opened by its number
        return "standard input"
    return name if isinstance(name, str) else "the raw video"


def _path(path: str, reader: str, channel_order: str, fps: float) -> Source:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if any(sign in path for sign in "*?["):
            return _pattern(path, fps)
        raise VideoError(f"{path}: no such file{_hint(path)}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise VideoError(f"{path!r}: {getattr(error, 'strerror', '') or error}") from error
    if stat.S_ISDIR(status.st_mode):
        return _directory(path, fps)
    if not os.access(path, os.R_OK):
        raise VideoError(f"{path}: permission denied; check who may read it")
    if stat.S_ISCHR(status.st_mode):
        return _camera(path, path, reader)
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        raise VideoError(f"{path}: is empty (0 bytes)")
    whole = os.path.abspath(path)  # or FFmpeg takes "a:b.mp4" for an address
    if reader == "pyav":
        return Source(path, partial(open_pyav, whole, path, channel_order))
    return Source(path, partial(open_file, whole, path))


def _hint(path: str) -> str:
    if path.isdecimal():
        return f"; for a camera give the number {path}, not text"
    parent = Path(path).absolute().parent
    return "" if parent.is_dir() else f", and no directory {parent}"


def _address(address: str, reader: str, channel_order: str, timeout: float) -> Source:
    name = _PASSWORD.sub(r"\1***@", address)  # messages end up in logs
    if reader == "pyav":
        opening: Any = partial(open_pyav, address, name, channel_order, timeout)
    else:
        opening = partial(open_address, address, name, timeout)
    return Source(name, opening, live=None, again=True, patience=False)


def _camera(which: int | str, name: str, reader: str) -> Source:
    if isinstance(which, int) and which < 0:
        raise ValueError(f"source={which}: cameras are numbered from 0")
    if reader != "opencv":
        raise ValueError(f"{name} is read by OpenCV only; leave out the reader {reader}")
    return Source(name, partial(open_camera, which, name), live=True, again=True, patience=False)


def _directory(path: str, fps: float) -> Source:
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
    return _pictures(path, [os.path.join(path, name) for name in names], fps)


def _pattern(pattern: str, fps: float) -> Source:
    paths = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    if not paths:
        raise VideoError(f"{pattern}: no file matches this pattern")
    others = [path for path in paths if not _is_picture(path)]
    if others:
        raise VideoError(
            f"{pattern}: {sorted(others)[0]} is not a picture; a pattern stands for the frames of "
            "one video, as in 'shots/*.png'"
        )
    return _pictures(pattern, paths, fps)


def _pictures(name: str, paths: list[str], fps: float) -> Source:
    return Source(name, partial(PicturesReader, sorted(paths, key=natural), fps))


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _capture(capture: Any) -> Source:
    """An open cv2.VideoCapture, or what is used like one."""
    name = f"the {type(capture).__name__}"
    if not capture.isOpened():
        raise VideoError(f"{name} is not open; give the path or number that it was to read")
    return Source(name, partial(_adopt, capture, name), live=None, patience=False)


def _adopt(capture: Any, name: str) -> OpenCVReader:
    import cv2

    return OpenCVReader(capture, name, timed=capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)


def _iterable(source: Any, channel_order: str, fps: float, live: bool) -> Source:
    if isinstance(source, np.ndarray) and (
        source.ndim < 3 or (source.ndim == 3 and source.shape[-1] in (1, 3, 4))
    ):
        raise ValueError(
            f"source is one array of shape {source.shape}; give several frames, (N, H, W, 3), or "
            "for one image call ittisal.saliency_map"
        )
    name = f"the {type(source).__name__}"
    opening = partial(ArrayReader, source, channel_order, fps, copies=live)
    return Source(name, opening, threaded=live)
