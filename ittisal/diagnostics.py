"""What image and video libraries print on standard error, given to what decodes.

Nowhere else do libjpeg, libpng, libtiff, OpenJPEG and FFmpeg say that a file is damaged: OpenCV
returns what could be decoded. So a file takes the place of standard error while they work. Their
messages are taken from it, and the rest is passed on when they have ended. Lost is only what comes
before a crash of the process, from a program that another thread starts meanwhile, or within a line
of an image library.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

QUOTED = 200  # characters of a message
WARNING = 3  # OpenCV's level
_LOGGED = r"\[ *(?:WARN|ERROR|FATAL):\d+@[\d.]+\] global "  # by OpenCV
_CONTINUED = r"\n(?:(?:>.*|where|[ \t].*)?\n)*"
_IMAGES = re.compile(  # by OpenCV; libpng; libjpeg
    rf"{_LOGGED}\S*(?:grfmt_\w+|loadsave|bitstrm|exif)\.[ch]pp:\d+ (?:(?!TIFF_)\S+ )?(.*)"
    rf"{_CONTINUED}|libpng (?:warning|error): (.*)\n"
    r"|(Corrupt JPEG data: .*|Premature end of JPEG file|Inconsistent progression .*"
    r"|Invalid SOS parameters .*|Unknown Adobe color transform .*|Warning: unknown JFIF .*)\n"
)
_VIDEOS = re.compile(  # by FFmpeg, mostly with its part's name; OpenCV says nothing of damage
    r"\[(\w[\w,.]*) @ (?:0x)?[0-9A-Fa-f]+\] (.*)\n|(Truncating packet .*)\n"
    rf"| *Last message repeated .*\n|{_LOGGED}.*{_CONTINUED}"
)


def reported(work: Callable[[], T]) -> tuple[T, list[str]]:
    """The result of `work`, and what image libraries said meanwhile.

    Threads may work at the same time. Standard error is one for all: where anything was printed,
    `work` is repeated while no other is at work.
    """
    with _together() as capture:
        before = capture.size
        result = work()
        if capture.size == before:
            return result, []
    with _alone():
        capture.start()
        try:
            result = work()
        finally:
            messages = capture.stop()
    return result, messages


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """In this block, of one program, take what FFmpeg prints: `heard` gives it.

    FFmpeg's threads decode between the calls, too, so that standard error is replaced throughout.
    What Python prints goes where it did.
    """
    global _program
    ours, capture = sys.stderr, _capture(_VIDEOS)
    capture.start()
    with contextlib.suppress(OSError, AttributeError, ValueError):  # no stream of the system's
        if ours.fileno() == 2:
            sys.stderr = open(  # noqa: SIM115 (closed below)
                os.dup(capture.before), "w", 1, encoding=ours.encoding, errors=ours.errors
            )
    _program = capture
    try:
        yield
    finally:
        with _alone():
            _program = None
            capture.stop()
        if sys.stderr is not ours:
            sys.stderr.close()
        sys.stderr = ours


def heard() -> list[str]:
    """What FFmpeg has said since this was last asked; nothing where a program does not listen."""
    program = _program
    if program is None or not program.size:
        return []
    with _alone():
        return program.take() if program is _program else []  # which has ended meanwhile


def summary(messages: Sequence[str]) -> str:
    """The first message, and how many more there are; empty if there is none."""
    if not messages:
        return ""
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    return messages[0][:QUOTED] + more


class _Printed:
    """A file in place of standard error, and how far it is read."""

    def __init__(self) -> None:
        self._file, self._read = _scratch(), 0

    @property
    def size(self) -> int:
        """Bytes printed."""
        return os.fstat(self._file.fileno()).st_size

    def redirect(self) -> None:
        """Print here from now on, at the beginning."""
        self._file.seek(0)
        self._file.truncate()
        self._read = 0
        os.dup2(self._file.fileno(), 2)

    def rest(self) -> str:
        """What was printed since this was last asked."""
        size = self.size
        if size == self._read:
            return ""
        with mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ) as data:
            text = data[self._read :].decode("utf-8", "surrogateescape")
        self._read = size
        return text


class _Capture:
    """Two files that take turns in place of standard error; OpenCV logs at least its warnings.

    What a thread is printing while a file is replaced comes late. It is printed when this starts
    again, or the program ends.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern, self._files = pattern, [_Printed(), _Printed()]
        self._log, self._level = _log(), 0
        self._begun = ""  # a line whose end is still to come: FFmpeg prints its parts by themselves
        self.before = 2

    @property
    def size(self) -> int:
        """Bytes printed into the file whose turn it is."""
        return self._files[0].size

    def start(self) -> None:
        """Take what is printed from now on."""
        self.print_late()
        self._level = self._log.getLogLevel()
        self._log.setLogLevel(max(self._level, WARNING))
        self.before = os.dup(2)
        self._turn()

    def take(self) -> list[str]:
        """What the libraries have said; the rest is printed."""
        text = self._begun + self._files[1].rest()
        self._turn()
        lines, newline, self._begun = (text + self._files[1].rest()).rpartition("\n")
        return self._sort(lines + newline)

    def stop(self) -> list[str]:
        """As `take`; then standard error is what it was."""
        os.dup2(self.before, 2)
        messages = self._sort(self._begun + self._files[1].rest() + self._files[0].rest())
        os.close(self.before)
        self.before, self._begun = 2, ""
        self._log.setLogLevel(self._level)
        return messages

    def _turn(self) -> None:
        self._files.reverse()
        self._files[0].redirect()

    def print_late(self) -> None:
        """Print what came late."""
        self._sort("".join(file.rest() for file in self._files))

    def _sort(self, text: str) -> list[str]:
        others = self._pattern.sub("", text)
        with contextlib.suppress(OSError), open(self.before, "wb", closefd=False) as stderr:
            stderr.write(others.encode("utf-8", "surrogateescape"))
        found = [": ".join(filter(None, match.groups())) for match in self._pattern.finditer(text)]
        return [message.rstrip() for message in found if message]


def _scratch() -> Any:
    """A file without a name, in memory where the system has such."""
    if not hasattr(os, "memfd_create"):
        return tempfile.TemporaryFile(buffering=0)
    import fcntl

    file = os.memfd_create("ittisal")
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)  # else threads print over each other's text
    return open(file, "w+b", 0)


def _log() -> Any:
    """What sets the level of OpenCV's log."""
    import cv2

    return getattr(cv2.utils, "logging", cv2)  # where it is depends on the version


_captures: dict[re.Pattern[str], _Capture] = {}
_program: _Capture | None = None  # of videos, while a program listens
_at_work = 0  # threads
_entrance = threading.Lock()  # held by one that is alone, or comes in
_changed = threading.Condition()  # what is above


def _capture(pattern: re.Pattern[str]) -> _Capture:
    """The one of these messages."""
    try:
        os.fstat(2)
    except OSError:  # there is no standard error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if pattern not in _captures:
        _captures[pattern] = _Capture(pattern)
    return _captures[pattern]


@atexit.register
def _leave() -> None:
    """Lose nothing that came late."""
    for capture in _captures.values():
        capture.print_late()


@contextlib.contextmanager
def _together() -> Iterator[_Capture]:
    """Be at work, perhaps with others."""
    global _at_work
    with _entrance, _changed:
        capture = _capture(_IMAGES)
        if not _at_work:
            capture.start()
        _at_work += 1
    try:
        yield capture
    finally:
        with _changed:
            _at_work -= 1
            if not _at_work:
                capture.stop()
                _changed.notify_all()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until nobody is at work, and let nobody begin."""
    with _entrance:
        _wait()
        yield


def _wait() -> None:
    with _changed:
        _changed.wait_for(lambda: not _at_work)


def _before_fork() -> None:
    """No process is forked while standard error is replaced, where it would stay so."""
    _entrance.acquire()
    _wait()


def _after_fork() -> None:
    """A child does not print into its parent's files."""
    _captures.clear()
    _entrance.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_entrance.release, after_in_child=_after_fork
    )
