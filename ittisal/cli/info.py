"""`ittisal info`: what this machine offers and what would run on it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..config import PRESETS, Config
from ..model import Saliency
from . import machine, options

DESCRIPTION = """\
CPU, threads, GPUs, backends, versions, caches and environment, as they bear on ittisal; fit to be
pasted into a bug report. With --size also the geometry of the model for frames of that size.
"""

EPILOG = """\
examples:
  ittisal info
  ittisal info --size 640x480 1920x1080
  ittisal info --json | jq .backends
"""


def add_parser(commands: Any) -> None:
    """Add this subcommand."""
    parser = commands.add_parser(
        "info",
        help="this machine, backends, versions and caches",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--size",
        metavar="WxH",
        nargs="+",
        type=options.size,
        default=[],
        help="also levels, pairs and map of frames of these sizes",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options.add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the facts."""
    config = options.read_config(args)
    sections: dict[str, dict[str, Any]] = dict(machine.facts())
    sections["presets"] = {name: _differences(preset) for name, preset in PRESETS.items()}
    for height, width in args.size:
        sections[f"{width}x{height}"] = _geometry((height, width), config, args.threads)
    if args.json:
        print(json.dumps(sections, indent=2))
        return 0
    column = max(len(name) for facts in sections.values() for name in facts)
    for title, facts in sections.items():
        print(title)
        for name, value in facts.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            print(f"  {name:{column}}  {text}")
    return 0


def _differences(config: Config) -> str:
    """The fields in which a preset is not the default."""
    default = Config().to_dict()
    return (
        ", ".join(
            f"{name}={value}" for name, value in config.to_dict().items() if value != default[name]
        )
        or "the default"
    )


def _geometry(shape: tuple[int, int], config: Config, threads: int | None) -> dict[str, Any]:
    # The reference allocates and compiles nothing; the geometry is every backend's.
    with Saliency(shape, config, backend="reference", threads=threads) as model:
        plan = model.plan
        return {
            "map": "{1}x{0}".format(*plan.map_shape),
            "levels": [
                "{1}x{0}".format(*plan.level_shape(level)) for level in range(plan.top_level + 1)
            ],
            "pairs": [f"{c}-{s}" for c, s in plan.pairs],
            "threads": model.threads,
        }
