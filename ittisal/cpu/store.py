"""A store of compiled kernels: one file per object, named by all that the object depends on.

Nothing fails for want of a store: what cannot be read counts as missing, and what cannot be kept
is said once.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import llvmlite

from .._version import __version__
from ..files import write_whole
from .kernel import Kernel
from .target import target

MAGIC = b"ittisal object 1\n"  # then a SHA-256, then the object
CAPACITY = 64 << 20  # bytes of all objects; the least recently used are removed first
DAY = 24 * 3600
PATIENCE = 60  # seconds without a new object after which nobody waits for another process


# --- keys ----------------------------------------------------------------------------------------


@cache
def symbol(kernel: Kernel) -> str:
    """Name of the kernel's C function and of its file: a digest of all that it depends on."""
    depends = (tuple(kernel), _environment(kernel.scalar), _sources(kernel.full_module))
    return f"ittisal_{hashlib.sha256(repr(depends).encode()).hexdigest()[:32]}"


@cache
def _environment(scalar: bool) -> tuple[object, ...]:
    """Target, versions, and how the compiler is called. Numba is not imported for its version."""
    found = (*target(), __version__, llvmlite.__version__, _source(f"{__package__}.compiler")[0])
    if not scalar:
        return found
    numba = importlib.util.find_spec("numba")
    version = b""
    if numba is not None and numba.origin:
        with contextlib.suppress(OSError):
            version = Path(numba.origin).with_name("_version.py").read_bytes()
    python = sys.version_info[:2]  # Numba reads its bytecode
    return (*found, version, python, _source(f"{__package__}.scalar")[0])


@cache
def _sources(module: str) -> list[tuple[str, str]]:
    """Digests of a module's text and of all of its package that it imports, directly or not."""
    found, new = {module}, [module]
    while new:
        added = set(_source(new.pop())[1]) - found
        found |= added
        new += added
    return [(each, _source(each)[0]) for each in sorted(found)]


def changed(kernel: Kernel) -> bool:
    """Whether a file that the kernel depends on has changed since its digest was taken."""
    sources = _sources(kernel.full_module)
    return any(digest != _source.__wrapped__(module)[0] for module, digest in sources)


IMPORT = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n(]*)", re.M)


@cache
def _source(module: str) -> tuple[str, list[str]]:
    """A module's digest, and the modules of its package that it imports by `from ... import`."""
    path = _file(module)
    if path is None:
        return "", []
    text = path.read_bytes()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported = []
    for dots, name, names in IMPORT.findall(text.decode()):
        base = package.rsplit(".", len(dots) - 1)[0] if dots else ""
        source = ".".join(part for part in (base, name) if part)
        file = _file(source) if source.startswith(package.partition(".")[0]) else None
        if file is None:
            continue
        if file.name != "__init__.py":
            imported.append(source)
            continue
        for each in re.findall(r"\w+", re.sub(r"#.*|\bas\s+\w+", "", names)):
            inner = f"{source}.{each}"
            imported.append(source if _file(inner) is None else inner)
    return hashlib.sha256(text).hexdigest(), imported


@cache
def _file(module: str) -> Path | None:
    """The file of a module, found without importing it."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.origin:
        return None
    path = os.path.join(os.path.dirname(spec.origin), *rest)
    files = (f"{path}.py", os.path.join(path, "__init__.py"))
    return next((Path(file) for file in files if os.path.isfile(file)), None)


# --- the folder ----------------------------------------------------------------------------------


def directory() -> Path | None:
    """Where compiled kernels are kept, or None where they cannot be."""
    return folder()[0]


@cache
def folder() -> tuple[Path | None, str]:
    """The folder, or None and why.

    In ITTISAL_CACHE_DIR, else in NUMBA_CACHE_DIR, else in the user's cache folder. One that others
    may write to is not used: what lies in it is executed.
    """
    try:
        found = _base().expanduser() / "kernels"
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            state = found.stat()
            if state.st_uid not in (0, os.geteuid()):
                return None, f"{found} belongs to another user"
            if state.st_mode & 0o022:
                return None, f"other users may write to {found} (chmod go-w makes it usable)"
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        return None, str(error)
    return found, ""


def _base() -> Path:
    if chosen := os.environ.get("ITTISAL_CACHE_DIR"):
        return Path(chosen)
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / "ittisal"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "ittisal" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ittisal"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ittisal"


compiled: list[Kernel] = []  # by this process, rather than read
_unkept: list[str] = []  # why kernels could not be kept
_warned: list[str] = []


def warn_once() -> None:
    """Warn, the first time only, if kernels could not be kept."""
    for why in _unkept[: 1 - len(_warned)]:
        _warned.append(why)
        warnings.warn(
            f"compiled kernels cannot be kept, so every process compiles them anew: {why}; set "
            "ITTISAL_CACHE_DIR to a folder of your own on a disk that is not full",
            RuntimeWarning,
            stacklevel=_levels_to_caller(),
        )


def _levels_to_caller() -> int:
    """`stacklevel`, for the function that calls this, of the first call from outside the package.

    `skip_file_prefixes` needs Python 3.12.
    """
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


# --- objects -------------------------------------------------------------------------------------


def _path(kernel: Kernel) -> Path | None:
    folder = directory()
    name = f"{kernel.module}.{kernel.function}-{symbol(kernel)}.o"
    return None if folder is None else folder / name


def _digest(kernel: Kernel, data: bytes) -> bytes:
    """Of the object and of its name, so that no object passes for another."""
    return hashlib.sha256(symbol(kernel).encode() + data).digest()


def read(kernel: Kernel) -> bytes | None:
    """A kernel's object; None if there is none, or a damaged one.

    LLVM crashes on a truncated object, so nothing reaches it unchecked.
    """
    path = _path(kernel)
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[len(MAGIC) + 32 :]
    if content[: len(MAGIC) + 32] != MAGIC + _digest(kernel, data):
        return None
    with contextlib.suppress(OSError):  # a store that is only read
        if time.time() - path.stat().st_mtime > DAY:
            os.utime(path)
    return data


def write(kernel: Kernel, data: bytes) -> None:
    """Keep the object of a kernel that was compiled, if it can be kept."""
    compiled.append(kernel)
    path = _path(kernel)
    try:
        if path is None:
            raise OSError(folder()[1])
        write_whole(path, MAGIC + _digest(kernel, data) + data)
    except OSError as error:
        _unkept.append(str(error))


def tidy() -> None:
    """Remove the least recently used objects beyond the capacity, and what dead processes left."""
    folder = directory()
    if folder is None:
        return
    found = []
    for path in folder.glob("[!.]*.o"):
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append((state.st_mtime, state.st_size, path))
    excess = sum(size for _, size, _ in found) - CAPACITY
    for _, size, path in sorted(found):
        if excess <= 0:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            excess -= size
    for path in folder.glob(".*.tmp*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > DAY:
                path.unlink()


@contextlib.contextmanager
def exclusive(found: Callable[[], bool]) -> Iterator[None]:
    """Wait until no other process compiles, or until `found` says that nothing is missing.

    The lock dies with the process that holds it. One that adds nothing for a minute is not waited
    for.
    """
    folder = directory()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # there is no folder, or it takes no locks
            if folder is not None:
                file = stack.enter_context(open(folder / "lock", "ab"))
                state, since = 0.0, time.monotonic()
                while not _locked(file) and not found():
                    if state != (state := folder.stat().st_mtime):
                        since = time.monotonic()
                    if time.monotonic() - since > PATIENCE:
                        break
                    time.sleep(0.05)
                stack.callback(_unlock, file)
        yield


def _locked(file: BinaryIO) -> bool:
    """Take the lock, unless another process holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(file: BinaryIO) -> None:
    """Give the lock back. To close the file is not enough where a fork has it open."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)
