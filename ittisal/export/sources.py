"""C sources of a library's variants: snapshots as constants, declared in `native/variant.h`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .._version import __version__
from ..config import Smoothing
from ..cpu import store
from ..cpu.backend import CpuBackend
from ..cpu.context import FIELDS, INDEX
from ..cpu.program import ProgramState
from ..features import TEMPORAL, Channel
from ..pipeline import FLICKER_SECONDS, FRAME_SECONDS
from ..plan import MOVING_FIGURE, PROMOTION
from ..sampling import sampling
from .packing import pack, row_differences
from .snapshot import COLUMNS, Snapshot

ELEMENTS = {"uint8": 1, "uint16": 2, "float32": 4}  # bytes
NONE = -1  # in place of a place
NOWHERE = (NONE, 0)  # in place of a plane
WIDTH = 24  # bytes of a line


class Variant(NamedTuple):
    """What a library can be asked for."""

    preset: str
    pixels: str  # "rgb", "bgr" or "grey"
    type: str
    snapshot: Snapshot


def context_header() -> str:
    """Numbers of the context's fields, and constants of the model."""
    fields = ",\n".join(f"    {name.upper()} = {INDEX[name]}" for name in FIELDS)
    constants = {
        "FLICKER_SECONDS": FLICKER_SECONDS,
        "FRAME_SECONDS": FRAME_SECONDS,
        "PROMOTION": f"{PROMOTION}f",
        "MOVING_FIGURE": f"{MOVING_FIGURE}f",
        "ITTISAL_VERSION": f'"{__version__}"',
    }
    defined = "\n".join(f"#define {name} {value}" for name, value in constants.items())
    return f"enum {{\n{fields}\n}};\n{defined}\n"


def variants_source(variants: Sequence[Variant]) -> str:
    """All variants, and the kernels that they name."""
    kernels = dict.fromkeys(
        kernel for variant in variants for kernel in variant.snapshot.build.kernels
    )
    parts = ['#include "variant.h"\n']
    parts += [f"void {store.symbol(each)}(int64_t, int64_t, int64_t);" for each in kernels]
    for number, variant in enumerate(variants):
        parts += _constants(number, variant)
    described = ",\n".join(_value(_described(n, each)) for n, each in enumerate(variants))
    parts.append(f"const ittisal_snapshot ittisal_snapshots[] = {{\n{described}}};")
    parts.append(f"const int ittisal_snapshot_count = {len(variants)};\n")
    return "\n".join(parts)


def exported(header: str) -> list[str]:
    """Names of the functions that a header exports."""
    return re.findall(r"^ITTISAL_API [^;]*?\b(ittisal_\w+)\(", header, re.MULTILINE)


class _C(str):
    """A piece of C, to be taken as it is."""


def _value(value: Any) -> str:
    """A C initialiser."""
    if isinstance(value, _C):
        return value
    if isinstance(value, str):
        escaped = value.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f".{name} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(map(_value, value)) + "}"
    return repr(float(value)) if isinstance(value, float) else str(int(value))


def _array(kind: str, name: str, values: Iterable[Any]) -> str:
    """A constant array; C has no empty ones."""
    shown = [_value(each) for each in values] or ["{0}"]
    lines = (", ".join(shown[at : at + WIDTH]) for at in range(0, len(shown), WIDTH))
    return f"static const {kind} {name}[] = {{\n" + ",\n".join(lines) + "};"


def _constants(number: int, variant: Variant) -> list[str]:
    """What a variant's description points to."""
    snapshot = variant.snapshot
    kernels = (_C(store.symbol(kernel)) for kernel in snapshot.build.kernels)
    changing = (INDEX[name] for name in snapshot.build.changing)
    return [
        _array("unsigned char", f"packed_{number}", _packed(snapshot)),
        _array("ittisal_kernel", f"kernels_{number}", kernels),
        _array("int", f"changing_{number}", changing),
        *(
            _array("ittisal_term", f"terms_{number}_{int(past)}", _terms(snapshot, past))
            for past in (False, True)
        ),
    ]


def _packed(snapshot: Snapshot) -> bytes:
    block = snapshot.block.copy()
    tables = block[: snapshot.table_bytes].view("int64")
    tables[:] = row_differences(tables, COLUMNS)
    return pack(block.tobytes())


def _described(number: int, variant: Variant) -> dict[str, Any]:
    """A variant as the fields of `ittisal_snapshot`."""
    snapshot = variant.snapshot
    build, plan = snapshot.build, snapshot.build.plan
    grid = sampling(plan.shape, plan.config)
    terms = [len(_terms(snapshot, past)) for past in (False, True)]
    return {
        "options": {
            "abi": _C("ITTISAL_ABI"),
            "height": plan.shape[0],
            "width": plan.shape[1],
            "pixels": _C(f"ITTISAL_{variant.pixels.upper()}"),
            "type": _C(f"ITTISAL_{variant.type.upper()}"),
            "gaps": 0,
            "preset": variant.preset,
        },
        "channels": build.state.format.channels,
        "element": ELEMENTS[variant.type],
        "map_height": plan.map_shape[0],
        "map_width": plan.map_shape[1],
        "step": [*map(float, grid.step)],
        "first": [*map(float, grid.first)],
        "threads": build.state.threads,
        "packed": _C(f"packed_{number}"),
        "packed_size": _C(f"sizeof packed_{number}"),
        "size": snapshot.size,
        "tables": snapshot.table_bytes,
        "kernels": _C(f"kernels_{number}"),
        "loop": build.loop,
        "modes": snapshot.modes,
        "mode_columns": build.modes.shape[1],
        "changing": _C(f"changing_{number}"),
        "remembers": plan.config.remembers,
        **_time(snapshot),
        "terms": [_C(f"terms_{number}_{n}") for n in (0, 1)],
        "term_count": terms,
        **_contributions(snapshot),
    }


def _time(snapshot: Snapshot) -> dict[str, Any]:
    """What is kept of a frame for the next one: see `CpuBackend.advance`."""
    backend, config = snapshot.build.backend, snapshot.build.plan.config
    if not isinstance(backend, CpuBackend):
        return {}
    facts: dict[str, Any] = {
        "flickers": config.has(Channel.FLICKER),
        "smoothing_rate": float(config.smoothing_rate * (config.smoothing is Smoothing.EMA)),
        "smoothing_seconds": float(
            config.smoothing_seconds * (config.smoothing is Smoothing.LEAKY)
        ),
        "averaging_seconds": float(config.whitening_seconds if config.averages else 0),
        "smoothed_size": backend.smoothed[0].nbytes,
        "statistics": snapshot.place(backend.statistics),
        "statistics_count": backend.whitening.size * config.averages,
    }
    if config.has(Channel.MOTION):
        planes = [backend.layout.level_data(name) for name in ("intensity", "previous_intensity")]
        facts["intensity"], facts["previous_intensity"] = map(snapshot.place, planes)
        facts["plane_size"] = planes[0].nbytes
    return facts


def _terms(snapshot: Snapshot, past: bool) -> list[dict[str, Any]]:
    """What each channel adds, of a frame with one before it or not."""
    build, state = snapshot.build, snapshot.build.state
    plan, backend = build.plan, build.backend
    terms = []
    for channel, weight in plan.config.channel_weights(
        colour=state.format.colour, past=past
    ).items():
        name = f"conspicuity/{channel}"
        term = {"name": str(channel), "temporal": channel in TEMPORAL}
        if isinstance(state, ProgramState):
            term |= {"map": _plane(snapshot, name), "affine": NONE, "weight": float(weight)}
        else:
            layout = backend.layout
            term |= {
                "map": _map(snapshot, layout.normalised_at(name)),
                "affine": _floats(snapshot, layout.sum_affine_at(name)),
            }
        terms.append(term)
    return terms


def _contributions(snapshot: Snapshot) -> dict[str, Any]:
    """What else contributions depend on: see `trace`."""
    state, config = snapshot.build.state, snapshot.build.plan.config
    facts: dict[str, Any] = {
        "divides": True,
        "saliency_affine": NONE,
        "total": NOWHERE,
        "figure": NOWHERE,
        "corners": NOWHERE,
        "prior_rows": NONE,
        "prior_columns": NONE,
    }
    if isinstance(state, ProgramState):
        return facts | {"saliency": _plane(snapshot, "saliency")}
    layout = snapshot.build.backend.layout
    facts |= {
        "divides": config.normalise_saliency,
        "saliency": _map(snapshot, layout.normalised_at("saliency")),
        "saliency_affine": _floats(snapshot, layout.sum_affine_at("saliency")),
        "total": _map(snapshot, layout.sum_at("saliency")),
    }
    if config.figure:
        facts["figure"] = _map(snapshot, layout.figures)
        facts["corners"] = _map(snapshot, layout.figures + layout.map_stride)
    if config.centre_prior > 0:
        facts["prior_columns"] = _floats(snapshot, layout.centre_prior)
        facts["prior_rows"] = _floats(snapshot, layout.centre_prior + layout.map_pitch)
    return facts


def _plane(snapshot: Snapshot, name: str) -> tuple[int, int]:
    """Where a program's map lies, and floats from row to row."""
    place = snapshot.build.state.program.places[name]
    return _floats(snapshot, place.offset), place.pitch


def _map(snapshot: Snapshot, offset: int) -> tuple[int, int]:
    """The same of a map at an offset in the model's arena."""
    return _floats(snapshot, offset), snapshot.build.backend.layout.map_pitch


def _floats(snapshot: Snapshot, offset: int) -> int:
    """Where a float of the arena lies."""
    return snapshot.place(snapshot.build.state.context.arrays["arena"]) + 4 * offset
