"""Which backend runs: a name gives that one or an error; "auto" the first that can."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

from .config import Config
from .pipeline import Backend, BackendError, DeviceError
from .plan import Plan
from .warning import warn_once

T = TypeVar("T")

# In order of preference. Each module has `probe() -> (usable, reason)`, `supports(config) -> (can,
# reason)` and `make(plan, channel_order, threads) -> Backend`. `probe` raises BackendError where
# the environment asks what there is none of, so that "auto" takes no other instead; `probe` and
# `make` raise DeviceError where a device is there but does not work.
MODULES = {
    "cuda": "ittisal.cuda",
    "cpu": "ittisal.cpu",
    "reference": "ittisal.reference_backend",
}


def available() -> dict[str, tuple[bool, str]]:
    """Each backend's name with (usable here, why or why not)."""
    found = {}
    for name, module in MODULES.items():
        try:
            found[name] = importlib.import_module(module).probe()
        except BackendError as error:
            found[name] = False, str(error)
    return found


def choose(name: str, config: Config) -> tuple[str, Any]:
    """(name, module) of the backend to use. See `make`."""
    return _first(name, config, lambda candidate, module: (candidate, module))


def make(name: str, plan: Plan, channel_order: str, threads: int) -> Backend:
    """The backend of this name, or the first that can run.

    `ITTISAL_BACKEND` stands in for "auto". A named backend never falls back. "auto" goes on with
    the next one, and warns once, where a GPU is there but does not work.

    Raises
    ------
    BackendError
        Unknown name, not usable here, or the config asks what it lacks; says which and why.
    MemoryError
        The named backend's device has too little memory left.
    """
    return _first(name, plan.config, lambda _, module: module.make(plan, channel_order, threads))


def _first(name: str, config: Config, use: Callable[[str, Any], T]) -> T:
    """What `use` gives for the first backend that can run."""
    source = f"backend={name!r}"
    if name == "auto" and os.environ.get("ITTISAL_BACKEND"):
        name = os.environ["ITTISAL_BACKEND"]
        source = f"ITTISAL_BACKEND={name!r}"
    automatic = name == "auto"
    if not automatic and name not in MODULES:
        raise BackendError(f"{source} is not one of: auto, {', '.join(MODULES)}")
    reasons: list[str] = []
    failure: Exception | None = None
    for candidate in MODULES if automatic else (name,):
        module = importlib.import_module(MODULES[candidate])
        try:
            good, reason = module.probe()
            if good:
                good, reason = module.supports(config)
            if good:
                return use(candidate, module)
        except (DeviceError, MemoryError) as error:
            if not automatic and isinstance(error, MemoryError):
                raise
            reason, failure = str(error), error
            if automatic:
                warn_once("backend", f"backend {candidate!r} is not used: {reason}")
        reasons.append(f"{candidate}: {reason}")
    raise BackendError(f"{source} cannot be used: " + "; ".join(reasons)) from failure
