"""Which backend runs: a name gives that one or an error; "auto" the first that can."""

from __future__ import annotations

import importlib
import os
from typing import Any

from .config import Config
from .pipeline import BackendError

# In order of preference. Each module has `probe() -> (usable, reason)`, which raises BackendError
# where the environment asks what there is none of, so that "auto" takes no other instead,
# `supports(config) -> (can, reason)` and `make(plan, channel_order, threads) -> Backend`.
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
    """(name, module) of the backend to use.

    `ITTISAL_BACKEND` stands in for "auto". A named backend never falls back.

    Raises
    ------
    BackendError
        Unknown name, not usable here, or the config asks what it lacks; says which and why.
    """
    source = f"backend={name!r}"
    if name == "auto" and os.environ.get("ITTISAL_BACKEND"):
        name = os.environ["ITTISAL_BACKEND"]
        source = f"ITTISAL_BACKEND={name!r}"
    if name != "auto" and name not in MODULES:
        raise BackendError(f"{source} is not one of: auto, {', '.join(MODULES)}")
    reasons = []
    for candidate in MODULES if name == "auto" else (name,):
        module = importlib.import_module(MODULES[candidate])
        good, reason = module.probe()
        if good:
            good, reason = module.supports(config)
        if good:
            return candidate, module
        reasons.append(f"{candidate}: {reason}")
    raise BackendError(f"{source} cannot be used: " + "; ".join(reasons))
