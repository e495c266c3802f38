"""What the `source` argument of `stream` may mean."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .errors import VideoError
from .readers import Source

READERS = ("opencv", "pyav")
DEFAULT_FPS = 25.0  # of frames that come without times


def resolve(
    source: Any,
    *,
    reader: str = "opencv",
    channel_order: str = "rgb",
    fps: float | None = None,
    timeout: float = 10.0,
) -> Source:
    """What to open, and how it behaves, for anything that `stream` takes.

    Raises
    ------
    TypeError, ValueError
        Not a source.
    VideoError
        No such file, or it may not be read.
    """
    if reader not in READERS:
        raise ValueError(f"reader={reader!r} is not one of {', '.join(map(repr, READERS))}")
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _path(os.fspath(source), reader)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray, dict)):
        return _iterable(source, channel_order, fps or DEFAULT_FPS)
    raise TypeError(
        f"source is a {type(source).__name__}; give a path, the number of a camera, an address, "
        "an iterable of arrays, or RawVideo(file, size, pix_fmt)"
    )


def _path(path: str, reader: str) -> Source:
    from .opencv_reader import open_file

    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise VideoError(f"{path}: no such file{_hint(path)}") from None
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror}") from error
    if not os.access(path, os.R_OK):
        raise VideoError(f"{path}: cannot be read: {os.strerror(errno.EACCES)}")
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        raise VideoError(f"{path}: is empty (0 bytes)")
    return Source(path, partial(open_file, os.path.abspath(path), path))


def _hint(path: str) -> str:
    if path.isdecimal():
        return f"; for a camera give the number, {path}, not text"
    parent = Path(path).absolute().parent
    return "" if parent.is_dir() else f" (nor directory {parent})"


def _iterable(source: Any, channel_order: str, fps: float) -> Source:
    from .arrays import ArrayReader

    if isinstance(source, np.ndarray) and source.ndim < 4 and source.shape[-1:] in ((3,), (4,), ()):
        raise ValueError(
            f"source is one array of shape {source.shape}; give several frames, (N, H, W, 3), or "
            "for one image call ittisal.saliency_map"
        )
    name = f"the {type(source).__name__}"
    return Source(name, partial(ArrayReader, source, channel_order, fps), threaded=False)
