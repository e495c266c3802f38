"""Machine code for GPUs that the package brings: an archive for each architecture, in a wheel that
was built so. It is loaded without NVRTC.

An archive is compressed as a whole, since the objects of an architecture are much alike.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import threading
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("prebuilt")
SUFFIX = ".tar.xz"
_lock = threading.Lock()


def capabilities() -> list[int]:
    """The compute capabilities (times ten) that there is machine code for."""
    names = (path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"sm_*{SUFFIX}"))
    return sorted(int(name.removeprefix("sm_")) for name in names)


def path(architecture: str, folder: Path | None = None) -> Path:
    """The archive of an architecture, whether it is there or not; by default the package's."""
    return (folder or FOLDER) / f"{architecture}{SUFFIX}"


def objects(architecture: str) -> dict[str, bytes]:
    """Machine code, or PTX, by key; none if there is no archive that can be read."""
    with _lock:  # threads that come together read it once
        return _read(path(architecture))


@cache
def _read(path: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(path) as archive:
            files = ((member.name, archive.extractfile(member)) for member in archive)
            return {name: file.read() for name, file in files if file is not None}
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError):
        return {}


def pack(objects: dict[str, bytes]) -> bytes:
    """An archive of objects by key; those that are alike should follow each other."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9) as archive:
        for key, data in objects.items():
            member = tarfile.TarInfo(key)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
