"""What is compiled for a plan: the files that hold its kernels, each with its options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from ..config import Config
from ..pipeline import FrameFormat
from ..plan import Plan
from . import compiler, sources, variant
from .compiler import Job
from .layout import Layout, make_layout
from .schedule import Launch, schedule
from .sources import Unit

Program = tuple[Unit, tuple[str, ...]]
# What is compiled depends on the frame's size only by the octave shift; these are of all three.
EXAMPLE = (480, 640)
EXAMPLES = (EXAMPLE, (240, 320), (120, 160))


def programs(layout: Layout, order: str, format_: FrameFormat) -> list[Program]:
    """What frames of a format need, the first and all later ones."""
    launches = unscheduled(layout, format_)
    for past in (False, True):
        launches += schedule(layout, format_, 1, past)
    units = sources.units(launch.kernel for launch in launches)
    defined = variant.definitions(layout.plan, order, format_)
    return [(unit, variant.options(unit, defined)) for unit in units]


def unscheduled(layout: Layout, format_: FrameFormat) -> list[Launch]:
    """Launches of the kernels that are not in every frame's schedule."""
    made = layout.schedule(format_, 1, past=True)
    channel = made.channel(whole_frame=False, each=False, slot=0, slots=1, weight=1.0)
    return [made.upsample(), channel]


def common_programs(layout: Layout, order: str) -> list[Program]:
    """What frames of every format need."""
    # In all that formats differ in; colour alone takes no grey frames.
    different = FrameFormat("uint8", 3), FrameFormat("float32", 1 if layout.plan.takes_grey else 3)
    first, second = (programs(layout, order, format_) for format_ in different)
    there = {(unit.text, options) for unit, options in second}
    return [(unit, options) for unit, options in first if (unit.text, options) in there]


def jobs(
    configs: Iterable[Config],
    formats: Sequence[tuple[str, int]],
    orders: Sequence[str],
    architectures: Sequence[str] | None,
) -> list[Job]:
    """See `ittisal.cuda.jobs`."""
    found: dict[Job, None] = {}
    for shape, config in product(EXAMPLES, configs):
        layout = make_layout(Plan(shape, config))
        for order in orders:
            for format_ in formats:
                for unit, options in programs(layout, order, FrameFormat(*format_)):
                    for architecture in architectures or compiler.architectures():
                        found[Job(unit.name, unit.text, options, architecture)] = None
    return list(found)
