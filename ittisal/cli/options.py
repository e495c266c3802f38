"""Options that several subcommands share, and what they mean."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from .. import backends
from ..config import PRESETS, Config, preset
from ..frames import check_shape
from ..model import Saliency
from .errors import UsageError, reason


def add_model_options(
    parser: argparse.ArgumentParser, *, threads: bool = True, preset: str = "itti1998"
) -> None:
    """`--preset` with its default, `--config`, `--set`, `--backend`, unless told `--threads`."""
    group = parser.add_argument_group("model")
    which = group.add_mutually_exclusive_group()
    which.add_argument(
        "--preset",
        metavar="NAME",
        default=preset,
        help=f"reading of the model: {', '.join(PRESETS)} (default: {preset})",
    )
    which.add_argument("--config", metavar="FILE", help="a .json or .toml file of config fields")
    group.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="change one field, as in hue_threshold=0.05 or weights.colour=2; repeatable",
    )
    group.add_argument(
        "--backend",
        metavar="NAME",
        default="auto",
        help=f"auto, {', '.join(backends.MODULES)} (default: auto, the fastest that can run here)",
    )
    if threads:
        group.add_argument(
            "--threads",
            metavar="N",
            type=count,
            help="CPU threads that share one frame (default: by its size)",
        )


def read_config(args: argparse.Namespace) -> Config:
    """The config that `--preset`, `--config` and `--set` ask for.

    Raises
    ------
    UsageError
        An unknown preset or field, a value out of its limits, or a file that cannot be read.
    """
    try:
        config = Config.from_file(args.config) if args.config else preset(args.preset)
        plain = config.to_dict()
        for setting in args.set:
            _assign(plain, setting)
        return Config.from_dict(plain)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(reason(error)) from error


def _assign(plain: dict[str, Any], setting: str) -> None:
    """Put `field=value` or `weights.channel=value` into a config's plain values."""
    name, equals, text = setting.partition("=")
    if not equals:
        raise ValueError(f"--set {setting}: write FIELD=VALUE, as in hue_threshold=0.05")
    try:
        value = json.loads(text)
    except ValueError:
        value = text  # a bare word, as in phase=even
    name, _, key = name.partition(".")
    if key:
        if name != "weights":
            raise ValueError(f"--set {setting}: only weights has parts, as in weights.colour=2")
        plain["weights"] = {**plain["weights"], key: value}
    else:
        plain[name] = value


def check_backend(name: str, config: Config, threads: int | None = None) -> None:
    """Refuse a backend or thread count that cannot run, before any work.

    Raises
    ------
    BackendError, UsageError
    """
    backends.choose(name, config)
    try:  # the reference allocates nothing, so this checks the arguments alone
        Saliency((32, 32), config, backend="reference", threads=threads)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def size(text: str) -> tuple[int, int]:
    """(height, width) from "WIDTHxHEIGHT", for argparse.

    Examples
    --------
    >>> size("640x480")
    (480, 640)
    """
    match = re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write WIDTHxHEIGHT, as in 640x480")
    try:
        return check_shape((int(match[2]), int(match[1])))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """A whole number from 1 to 256, for argparse."""
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 to 256")
    return int(text)


def seconds(text: str) -> float:
    """A number above 0 and at most an hour, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:  # also catches NaN
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0 and at most 3600")
    return value
