"""The C compiler that links kernels into libraries: the machine's own, or one for another."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # other names of an architecture


class ToolchainError(RuntimeError):
    """There is no C compiler for an architecture, or it failed; says which, and what to install."""


def here() -> str:
    """The architecture of this machine: "x86_64", "aarch64", or another."""
    machine = platform.machine().lower()
    return MACHINES.get(machine, machine)


def compiler(architecture: str) -> list[str]:
    """The command of a C compiler for an architecture, on this machine's system.

    `CC` is taken as it is, for whatever architecture it compiles.

    Raises
    ------
    ToolchainError
        There is none.
    """
    if chosen := os.environ.get("CC"):
        return shlex.split(chosen)
    cross = f"{architecture}-linux-gnu-gcc"
    names = ("cc", "gcc", "clang") if architecture == here() else (cross,)
    for name in names:
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        system = {"darwin": "macos", "win32": "windows-gnu"}.get(sys.platform, "linux-gnu")
        return [sys.executable, "-m", "ziglang", "cc", "-target", f"{architecture}-{system}"]
    raise ToolchainError(
        f"there is no C compiler for {architecture} ({', '.join(names)}); install one, or "
        "pip install ziglang"
    )


def archiver(compiler: Sequence[str]) -> list[str]:
    """The command that puts objects of a C compiler into a static library. `AR` is taken as it is.

    Raises
    ------
    ToolchainError
        The compiler cannot say which.
    """
    if chosen := os.environ.get("AR"):
        return shlex.split(chosen)
    if "ziglang" in compiler:
        return [sys.executable, "-m", "ziglang", "ar"]
    return [run([*compiler, "-print-prog-name=ar"]).strip()]


def run(command: Sequence[str | Path]) -> str:
    """Run a tool; what it printed.

    Raises
    ------
    ToolchainError
        It cannot be started, or fails; with what it said.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise ToolchainError(f"{words[0]} cannot be started: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise ToolchainError(f"{shlex.join(words[:3])} ... failed: {said[-2000:]}")
    return done.stdout
