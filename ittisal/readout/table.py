"""The read-outs that ship, by preset, in `readouts.json`; and others' tables of that form."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .density import Readout

SHIPPED = Path(__file__).with_name("readouts.json")
ABOUT = (
    "Read-outs by preset: see ittisal.readout.Readout for what the numbers mean, and "
    "`ittisal readout --help` for how they were fitted."
)


def load(name: str, path: str | Path = SHIPPED) -> Readout:
    """A fitted read-out.

    Parameters
    ----------
    name : str
        A preset with a read-out: see `names`.
    path : path
        A table that `ittisal readout --out` wrote; by default the one that ships.

    Returns
    -------
    Readout

    Raises
    ------
    OSError
        The table cannot be read.
    ValueError
        It is no such table, or has no read-out of this name (lists those it has).

    Examples
    --------
    >>> load("itti1998").centre_height < 0
    True
    """
    entries = _read(Path(path))
    if name not in entries:
        raise ValueError(f"no read-out {name!r} in {path}; it has: {', '.join(entries)}")
    try:
        return Readout(**entries[name]["readout"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: the read-out {name!r} is damaged: {error}") from error


def names(path: str | Path = SHIPPED) -> list[str]:
    """What `load` knows. Raises as it does.

    Examples
    --------
    >>> "itti1998" in names()
    True
    """
    return list(_read(Path(path)))


def updated(path: str | Path, name: str, readout: Readout, facts: dict[str, Any]) -> str:
    """The text of a table with this read-out in it, in place of any other of its name.

    Parameters
    ----------
    path : path
        The table as it is, if there is one. Nothing is written.
    name : str
    readout : Readout
        Written with six digits.
    facts : dict
        What should be known of it: what it was fitted on, and its scores.

    Returns
    -------
    str
        JSON.

    Raises
    ------
    OSError, ValueError
        There is a file that cannot be read, or is no such table.
    """
    path = Path(path)
    entries = _read(path) if path.exists() else {}
    numbers = {field: float(f"{value:.6g}") for field, value in asdict(readout).items()}
    entries[name] = {"readout": numbers, **facts}
    return json.dumps({"about": ABOUT, "readouts": entries}, indent=2) + "\n"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["readouts"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no table of read-outs; name another file, or make one with "
            "`ittisal readout DATASET --out FILE`"
        ) from error
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise ValueError(f"{path}: `readouts` must map names to objects")
    return entries
