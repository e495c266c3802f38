"""The CPU's kernels in the store: what each depends on, and who compiles what is missing."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from .. import store
from .._version import __version__
from .kernel import Kernel

PATIENCE = 60  # seconds without a new object after which nobody waits for another process


# --- keys ----------------------------------------------------------------------------------------


@cache
def symbol(kernel: Kernel) -> str:
    """Name of the kernel's C function: a digest of the kernel and of its sources."""
    depends = (tuple(kernel), __version__, _sources(kernel.full_module))
    return f"ittisal_{_digest(depends)}"


@cache
def key(kernel: Kernel) -> str:
    """Name of its object's file: a digest of all that the machine code depends on."""
    return _digest((symbol(kernel), _environment(kernel.scalar)))


def _digest(depends: object) -> str:
    return hashlib.sha256(repr(depends).encode()).hexdigest()[:32]


@cache
def _environment(scalar: bool) -> tuple[object, ...]:
    """Target, versions, and how the compiler is called. Numba is not imported for its version."""
    import llvmlite

    from .target import target

    found = (*target(), llvmlite.__version__, _source(f"{__package__}.compiler")[0])
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


# --- objects -------------------------------------------------------------------------------------


compiled: list[Kernel] = []  # by this process, rather than read


def path(kernel: Kernel) -> Path | None:
    """The file of a kernel's object, whether it is there or not; None if there is no store."""
    return store.path(_name(kernel), key(kernel))


def read(kernel: Kernel) -> bytes | None:
    """A kernel's object; None if there is none, or a damaged one, on which LLVM would crash."""
    return store.read(_name(kernel), key(kernel))


def write(kernel: Kernel, data: bytes) -> None:
    """Keep the object of a kernel that was compiled, if it can be kept."""
    compiled.append(kernel)
    store.write(_name(kernel), key(kernel), data)


def _name(kernel: Kernel) -> str:
    return f"{kernel.module}.{kernel.function}"


@contextlib.contextmanager
def exclusive(found: Callable[[], bool]) -> Iterator[None]:
    """Wait until no other process compiles, or until `found` says that nothing is missing.

    The lock dies with the process that holds it. One that adds nothing for a minute is not waited
    for.
    """
    folder = store.directory()
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
