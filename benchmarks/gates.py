"""The figures that ittisal promises (gate) and hopes for (stretch)."""

from __future__ import annotations

from dataclasses import dataclass

from .machine import vectors
from .settings import settings, shape_of

SMALL = 640 * 480
HD = 1280 * 720


@dataclass(frozen=True)
class Gate:
    """Two limits for one figure; some have no second."""

    gate: float
    stretch: float | None = None
    higher: bool = False  # whether higher is better

    def verdict(self, value: float) -> str:
        """Which of the two the value meets."""
        sign = -1 if self.higher else 1
        if self.stretch is not None and sign * value <= sign * self.stretch:
            return "stretch met"
        return "gate met" if sign * value <= sign * self.gate else "missed"


def find(suite: str, measure: str, params: dict, machine: dict) -> Gate | None:
    """The limits for one figure of one row, if it has any; they are for `itti1998`."""
    if settings.preset != "itti1998":
        return None
    rule = _RULES.get((suite, measure))
    return rule(params, machine) if rule else None


def _pixels(params: dict) -> int:
    height, width = shape_of(params["size"])
    return height * width


def _pyrdowns(params: dict, machine: dict) -> Gate | None:
    if params["threads"] != 1 or _pixels(params) < 320 * 240:
        return None
    if vectors(machine) == "avx2":
        return Gate(3.1, 2.3)
    if vectors(machine) == "avx512":
        return Gate(2.0, 1.5) if _pixels(params) >= SMALL else Gate(2.2, 1.8)
    return None


def _handwritten(params: dict, machine: dict) -> Gate:
    return Gate(12, 20, higher=True)


def _threads(params: dict, machine: dict) -> Gate | None:
    return Gate(0.75, 0.58) if params["threads"] == 2 and _pixels(params) >= HD else None


def _five_channels(params: dict, machine: dict) -> Gate | None:
    return Gate(3.5) if params["threads"] == 1 and params["size"] == "1920x1080" else None


def _first_map(params: dict, machine: dict) -> Gate:
    limits = {"nothing": (6, 2.5), "then bgr": (1.2, 0.4), "again": (0.3, 0.15)}
    return Gate(*limits.get(params["kept"], (3, 1)))


def _buffers(params: dict, machine: dict) -> Gate | None:
    return Gate(50, 25) if params["size"] == "1920x1080" else None


def _network(params: dict, machine: dict) -> Gate | None:
    return Gate(50, 500, higher=True) if params["size"] == "1920x1080" else None


def _attention(params: dict, machine: dict) -> Gate | None:
    return Gate(0.3, 0.05) if params["size"] == "1920x1080" else None


def _host_time(params: dict, machine: dict) -> Gate | None:
    return Gate(15, 8) if params["preset"] == "itti1998" else None


def _from_host(params: dict, machine: dict) -> Gate | None:
    return Gate(25, 15) if params["preset"] == "itti1998" else None


_RULES = {
    ("Frame", "in pyrDowns"): _pyrdowns,
    ("AgainstHandwritten", "times faster"): _handwritten,
    ("AgainstPlain", "times faster"): _handwritten,
    ("Threads", "of one thread"): _threads,
    ("Sequence", "in pyrDowns"): _five_channels,
    ("Staleness", "oldest of that"): lambda params, machine: Gate(1),
    ("Crop", "in pyrDowns"): _attention,
    ("Crop", "a part in pyrDowns"): _attention,
    ("CLibrary", "of Python's"): lambda params, machine: Gate(1.0),
    ("CLibrary", "size"): lambda params, machine: Gate(200, 90),
    ("FirstMap", "first_map"): _first_map,
    ("Regions", "in pyrDowns"): _attention,
    ("Scanpath", "in pyrDowns"): _attention,
    ("Network", "times_real_time"): _network,
    ("HostTime", "device frame"): _host_time,
    ("HostTime", "host frame"): _from_host,
    ("Import", "more_than_numpy"): lambda params, machine: Gate(0.15, 0.05),
    ("Model", "buffers"): _buffers,
    ("Model", "growth"): _buffers,
    ("Float32", "r"): lambda params, machine: Gate(0.9999, higher=True),
    ("Float32", "difference_without_flips"): lambda params, machine: Gate(1e-5),
}
