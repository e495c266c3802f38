"""A progress bar on stderr that lines of text do not tear."""

from __future__ import annotations

import sys
from typing import Any, TextIO


class Progress:
    """A bar if tqdm is there and stderr is a terminal; without, only the text.

    `total` is None where nobody knows; `done` are those of an earlier run.
    """

    def __init__(
        self, total: int | None, *, wanted: bool, unit: str = "image", done: int = 0
    ) -> None:
        self._bar: Any = None
        if wanted and (total is None or total > 1) and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(
                total=total, initial=done, unit=unit, file=sys.stderr, dynamic_ncols=True
            )

    def step(self) -> None:
        """One more is done."""
        if self._bar is not None:
            self._bar.update()

    def say(self, text: str, stream: TextIO | None = None) -> None:
        """A line on stderr, or on another stream, at once."""
        stream = stream or sys.stderr
        if self._bar is not None:
            self._bar.clear()
        print(text, file=stream, flush=True)
        if self._bar is not None:
            self._bar.refresh()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
