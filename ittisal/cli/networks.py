"""A network in a file, for `ittisal map --class-model`: loading, preprocessing, and its maps."""

from __future__ import annotations

import argparse
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..config import ITTI_1998
from ..frames import check_values
from ..gradients import class_saliency
from ..imagefiles import ImageError
from ..levels import full_scale
from . import common, models
from .common import UsageError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # RGB

HELP = """\
With --class-model the map is not a preset's but the class gradient of Simonyan, Vedaldi &
Zisserman (2014): how much each pixel changes the score of a class, by a network exported with
PyTorch (extra `torch`), on the CPU. The picture is scaled to [0, 1], resized to the network's
input (its aspect is not preserved) and normalised as (RGB - mean) / std; the map is resampled to
the picture's size.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--class-model` and the options that go with it."""
    add = parser.add_argument_group("class gradient", HELP).add_argument
    add(
        "--class-model",
        metavar="FILE",
        help=".pt2 of torch.export.save, or TorchScript (.ts, .pt), in eval mode; returns scores "
        "(logits) of shape (1, classes). Such files can run code: load only those that you trust",
    )
    add(
        "--class",
        dest="class_number",
        metavar="N",
        type=common.number(0, 10**9, whole=True),
        help="the class, from 0 (default: the one with the highest score in each picture)",
    )
    add(
        "--class-size",
        metavar="WxH",
        type=common.extent,
        help="the network's input (default: as it was exported; the picture's where any size goes)",
    )
    add(
        "--class-mean",
        metavar="R,G,B",
        type=_numbers("mean", -math.inf),
        help="of [0, 1]; one number for networks of grey pictures; or imagenet, "
        f"{','.join(map(str, IMAGENET['mean']))} (default: 0)",
    )
    add(
        "--class-std",
        metavar="R,G,B",
        type=_numbers("std", 0),
        help=f"likewise; imagenet is {','.join(map(str, IMAGENET['std']))} (default: 1)",
    )


def _numbers(name: str, low: float) -> Callable[[str], tuple[float, ...]]:
    """A type for argparse: one or three numbers above `low`, or the name of known ones."""

    def parse(text: str) -> tuple[float, ...]:
        if text == "imagenet":
            return IMAGENET[name]
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) not in (1, 3) or not all(low < value < math.inf for value in values):
            raise argparse.ArgumentTypeError(
                f"{text!r} must be one or three numbers{' above 0' * (low == 0)}, as in "
                "0.5,0.5,0.5, or imagenet"
            )
        return values

    return parse


def from_options(args: argparse.Namespace) -> Network | None:
    """The network of `--class-model`, or None without it; UsageError if it cannot be used."""
    if args.class_model is None:
        options = ("class_number", "class_size", "class_mean", "class_std")
        if any(getattr(args, name) is not None for name in options):
            raise UsageError("--class... options need the network: give --class-model FILE")
        return None
    given = {
        "--channels": args.channels,
        "--levels": args.levels,
        "--faces": args.faces,
        "--backend": args.backend != "auto",
        "--preset, --config and --set": common.read_config(args) != ITTI_1998,
    }
    for option in (name for name, value in given.items() if value):
        raise UsageError(f"--class-model maps by the network alone; leave {option} out")
    return Network(args)


class Network:
    """A network that maps pictures, with the interface of `models.Models` and its models.

    Raises
    ------
    UsageError
        The file is not there, or is no network of one picture; the options do not fit it.
    """

    backend, levels = "torch", None

    def __init__(self, args: argparse.Namespace) -> None:
        self._module, (channels, size) = _load(args.class_model)
        lengths = {len(values) for values in (args.class_mean, args.class_std) if values}
        self._channels = channels or min(lengths, default=3)
        if lengths - {self._channels}:
            raise UsageError(
                f"--class-mean and --class-std must have {self._channels} numbers each, one for "
                "each channel of the network's input"
            )
        if size and args.class_size not in (None, size):
            given, exported = ("{1}x{0}".format(*each) for each in (args.class_size, size))
            raise UsageError(
                f"--class-size {given}: {args.class_model} was exported for {exported}; leave "
                "--class-size out"
            )
        self._size = size or args.class_size
        self._mean = np.float32(args.class_mean or 0)
        self._std = np.float32(args.class_std or 1)
        self._class: int | None = args.class_number
        if args.threads:
            import torch

            torch.set_num_threads(args.threads)

    def get(self, shape: tuple[int, int]) -> Network:
        """Itself: it takes pictures of any size."""
        return self

    def close(self) -> None:
        """Nothing is open."""

    def map(self, frame: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """The map of a BGR or grey frame, in the size of the network's input; class and score."""
        import torch

        image = torch.from_numpy(self._input(frame))
        seen: list[Any] = []

        def score(batch: Any) -> Any:
            seen.append(self._module(batch))
            return seen[0]

        try:
            with _quiet():
                raw = class_saliency(score, image, self._class).numpy()
        except (TypeError, ValueError):
            raise
        except Exception as error:
            raise ImageError(
                f"the network fails on an input of shape {(1, *image.shape)}: {_line(error)}; "
                "--class-size, --class-mean and --class-std say what it takes"
            ) from error
        scores = seen[0][0].detach()
        number = int(scores.argmax()) if self._class is None else self._class
        return raw, {"class": number, "score": float(scores[number])}

    def _input(self, frame: np.ndarray) -> np.ndarray:
        """Preprocessed, (C, H, W)."""
        import cv2

        if frame.dtype.kind == "f":
            check_values(frame.min(), frame.max())
        picture: np.ndarray = frame.astype(np.float32) / np.float32(full_scale(frame.dtype))
        if self._channels == 1 and picture.ndim == 3:
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        elif self._channels == 3:
            code = cv2.COLOR_BGR2RGB if picture.ndim == 3 else cv2.COLOR_GRAY2RGB
            picture = cv2.cvtColor(picture, code)
        picture = resized(picture, self._size or picture.shape[:2])
        picture = (picture.reshape(*picture.shape[:2], -1) - self._mean) / self._std
        return np.ascontiguousarray(picture.transpose(2, 0, 1))


def resized(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resampled to (height, width), pixel areas aligned: areas averaged, or bilinear."""
    import cv2

    shrunk = shape[0] * shape[1] < picture.shape[0] * picture.shape[1]
    return cv2.resize(
        picture, shape[::-1], interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR
    )


def full_size(raw: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A class map over its maximum at the picture's size."""
    return resized(models.unit(raw), shape)


def peak_of(raw: np.ndarray, shape: tuple[int, int]) -> dict[str, int] | None:
    """The picture's pixel under the highest sample, or None where all are 0."""
    if not raw.max() > 0:
        return None
    at = np.unravel_index(raw.argmax(), raw.shape)
    y, x = ((int(i) * 2 + 1) * n // (2 * m) for i, n, m in zip(at, shape, raw.shape, strict=True))
    return {"x": x, "y": y}


# --- files -------------------------------------------------------------------------------------


def _load(path: str) -> tuple[Any, tuple[int | None, tuple[int, int] | None]]:
    """The module, and its input's channels and (height, width), None where they are not known."""
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            f"--class-model needs PyTorch, which cannot be imported ({error}); "
            "pip install 'ittisal[torch]'"
        ) from error
    suffix = path[path.rfind(".") :].lower()
    if suffix not in (".pt2", ".ts", ".pt"):
        raise UsageError(
            f"--class-model {path}: must be a .pt2 of torch.export.save, or TorchScript, .ts or .pt"
        )
    writer = "torch.export.save" if suffix == ".pt2" else "torch.jit.save"
    try:
        with open(path, "rb"), _quiet():
            if suffix == ".pt2":
                program = torch.export.load(path)
                return program.module(), _input_shape(path, program)
            return torch.jit.load(path, map_location="cpu").eval(), (None, None)
    except OSError as error:
        raise UsageError(f"--class-model {path}: {error.strerror or error}") from error
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"--class-model {path}: PyTorch {torch.__version__} does not load it ({_line(error)}); "
            f"write it with {writer}"
        ) from error


def _input_shape(path: str, program: Any) -> tuple[int, tuple[int, int] | None]:
    """Channels of an exported program's input, and its (height, width), None where any goes."""
    names = program.graph_signature.user_inputs
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in names]
    count, *rest = shapes[0] if len(shapes) == 1 else (0,)
    one = not isinstance(count, int) or count == 1
    if len(rest) != 3 or not one or rest[0] not in (1, 3):
        found = " and ".join(str(tuple(shape)) for shape in shapes)
        raise UsageError(
            f"--class-model {path}: takes {found}; export it for one picture, (1, C, H, W) with 1 "
            "or 3 channels"
        )
    channels, height, width = rest
    fixed = isinstance(height, int) and isinstance(width, int)
    return channels, (height, width) if fixed else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's warnings and log: errors are one line here."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _line(error: Exception) -> str:
    """The first line of an error that says something, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
