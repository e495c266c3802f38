"""A kernel by name, and the facts that it is compiled for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

Facts = SimpleNamespace  # as attributes


class Kernel(NamedTuple):
    """What is compiled, named and kept apart from all others."""

    module: str  # "opponency": ittisal/cpu/kernels/opponency.py; with a dot, the full name
    function: str
    facts: tuple[tuple[str, Any], ...] = ()  # sorted names with plain values
    scalar: bool = False  # written for Numba, rather than for the SIMD layer; it has no facts

    @property
    def full_module(self) -> str:
        """Dotted name of the module."""
        return self.module if "." in self.module else f"{__package__}.kernels.{self.module}"
