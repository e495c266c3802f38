"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import weakref
from pathlib import Path

_outputs: weakref.WeakSet[atomic] = weakref.WeakSet()


class atomic:
    """Write a file, or a folder, under a temporary name, which takes its own name when it is whole.

    In a `with` block it is published at the end, or discarded if an exception ends the block, an
    interrupt too. What lives longer calls `publish` or `discard` itself. Where a device, a pipe or
    a socket is, such as /dev/null, that is written to and not replaced.

    Parameters
    ----------
    path : path
        Its directory must exist.

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

    def __enter__(self) -> Path:
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
    return path.parent / f".ittisal-{secrets.token_hex(6)}.tmp{path.suffix}"
