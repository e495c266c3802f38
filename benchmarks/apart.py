"""One part of a benchmark in a process of its own, so that nothing it does can harm the next.

A kernel that writes out of bounds spoils every later call of its process, and one that never ends
can only be killed. What the part had found by then is kept: it writes that down as it goes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .report import write_json

ROOT = Path(__file__).resolve().parent.parent
LOG_TAIL = 6000  # characters kept of a failed process's output: its end


class PartError(RuntimeError):
    """A part's process failed or took too long; `found` is what it had found, or None."""

    def __init__(self, text: str, found: Any = None) -> None:
        super().__init__(text)
        self.found = found


def call(command: list[str], limit: float) -> Any:
    """What the command leaves, as JSON, in the file whose name it is given as last argument.

    Raises
    ------
    PartError
        It failed, or ran for more than `limit` seconds; then it and its children are killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder, "found.json"), Path(folder, "log")
        with log.open("wb") as output:
            child = subprocess.Popen(
                [*command, str(path)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, to be killed as one
            )
            try:
                status = child.wait(max(limit, 1.0))
            except subprocess.TimeoutExpired:
                status = f"took over {limit:.0f} s and was stopped"
            finally:
                _end(child)
        found = json.loads(path.read_text("utf-8")) if path.exists() else None
        if status == 0 and path.exists():
            return found
        text = log.read_text("utf-8", "replace")[-LOG_TAIL:].strip()
        how = status if isinstance(status, str) else f"exit status {status}"
        raise PartError(f"{how}\n{text}".strip(), found)


def keep(result: Any, path: Path) -> None:
    """Write what a part returns; if it comes piece by piece, after each.

    Pieces that are (name, value) make a dict, others a list.
    """
    if not isinstance(result, Iterator):
        write_json(path, result)
        return
    pieces: list[Any] = []
    named = False
    for piece in result:
        named = isinstance(piece, tuple)
        pieces.append(piece)
        write_json(path, dict(pieces) if named else pieces)
    if not pieces:
        write_json(path, pieces)


def _end(child: subprocess.Popen) -> None:
    """Kill what is left of the child's group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # it hangs in the driver: no more can be done
        child.wait(10)
