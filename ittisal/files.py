"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import weakref
from itertools import takewhile
from pathlib import Path

TEMPORARY = ".ittisal-"  # what the names of unfinished files and folders begin with

_outputs: weakref.WeakSet[atomic] = weakref.WeakSet()


class atomic:
    """Write a file, or a folder, under a temporary name, which takes its own name when it is whole.

    In a `with` block it is published at the end, or discarded if an exception ends the block, an
    interrupt too. The block also makes the folders that are missing above, and removes them again
    if nothing comes to be in them. What lives longer calls `publish` or `discard` itself. Where a
    device, a pipe or a socket is, such as /dev/null, that is written to and not replaced.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [path.name for path in folder.iterdir()]
    ['a.txt']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.temporary = self.path if is_special(self.path) else _beside(self.path)
        self._made: list[Path] = []  # folders, the innermost first
        _outputs.add(self)

    def publish(self) -> None:
        """Give it its name."""
        if self.temporary != self.path:
            os.replace(self.temporary, self.path)

    def discard(self) -> None:
        """Remove what is there under the temporary name."""
        if self.temporary == self.path:
            return
        with contextlib.suppress(OSError):
            if self.temporary.is_dir():
                shutil.rmtree(self.temporary, ignore_errors=True)
            else:
                self.temporary.unlink()
        with contextlib.suppress(OSError):  # the first that is not empty
            for folder in self._made:
                folder.rmdir()

    def __enter__(self) -> Path:
        self._made = list(takewhile(lambda folder: not folder.exists(), self.path.parents))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        try:
            if kind is None:
                self.publish()
        finally:
            self.discard()


def discard_all() -> None:
    """Remove all that is there under temporary names, for a process that ends at once."""
    for output in list(_outputs):
        output.discard()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file at once, whole or not at all.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def utf8(path: str | os.PathLike[str]) -> str:
    """A path as text for OpenCV, which a name that is not UTF-8 would crash: OSError then."""
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise OSError(
            f"{name}: its name, or that of its folder, is not UTF-8, and OpenCV takes no other; "
            "rename it, or for a video choose pyav"
        ) from None
    return name


def identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What all names of a file, and links to it, have in common; None of what is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a NUL in the name
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def is_special(path: Path) -> bool:
    """Whether this is a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def temporary(directory: Path) -> Path:
    """A new name in a directory that a search for images leaves out."""
    return _beside(directory / "x")


def _beside(path: Path) -> Path:
    """A new name beside a path, which a search for images leaves out, with the same suffix, by
    which libraries choose what to write.
    """
    # Not tempfile: its files are private to the user, ours have the default permissions.
    return path.parent / f"{TEMPORARY}{secrets.token_hex(6)}.tmp{path.suffix}"
