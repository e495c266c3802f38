"""Warnings at the caller's line."""

from __future__ import annotations

import sys
import warnings

_given: set[str] = set()  # subjects


def warn_once(subject: str, text: str) -> None:
    """Warn, the first time only for a subject."""
    if subject not in _given:
        _given.add(subject)
        warn(text, RuntimeWarning)


def warn(text: str, category: type[Warning]) -> None:
    """Warn where the package was called."""
    warnings.warn(text, category, stacklevel=_levels_to_caller())


def _levels_to_caller() -> int:
    """`stacklevel`, for the function that calls this, of the first call from outside the package.

    Its cached properties are called by functools. `skip_file_prefixes` needs Python 3.12.
    """
    inside = __name__.partition(".")[0], "functools"
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    return level
