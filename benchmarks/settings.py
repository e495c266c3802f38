"""What a run was asked to do. Child processes and asv find it in one environment variable."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "ITTISAL_BENCHMARKS"
SIZES = ("320x240", "640x480", "1280x720", "1920x1080", "3840x2160")


@dataclass(frozen=True)
class Settings:
    """Choices shared by all benchmarks; the command line fills them in."""

    sizes: tuple[str, ...] = SIZES
    threads: tuple[int, ...] = (1, 2)
    seconds: float = 2.0  # of timing per loop
    preset: str = "itti1998"
    backend: str = "auto"
    clips: str | None = None  # a folder of real ones
    against: str | None = None  # a checkout of another version
    quick: bool = False

    def export(self) -> None:
        """Hand them to modules imported, and processes started, from now on."""
        global settings
        settings = self
        os.environ[VARIABLE] = json.dumps(asdict(self))


def _load() -> Settings:
    values = json.loads(os.environ.get(VARIABLE, "{}"))
    return Settings(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


settings = _load()


def shape_of(size: str) -> tuple[int, int]:
    """(height, width) of "WIDTHxHEIGHT"."""
    width, height = (int(n) for n in size.split("x"))
    return height, width


def one_size(preferred: str) -> tuple[str]:
    """The preferred size if it was asked for, else the first that was."""
    return (preferred if preferred in settings.sizes else settings.sizes[0],)
