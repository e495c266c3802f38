"""A config and a frame's size as an ONNX model: its inputs, its outputs, and its file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._version import __version__
from ..config import Config, Smoothing
from ..features import TEMPORAL, Model
from ..files import write_whole
from ..frames import CHANNEL_ORDERS, check_shape
from ..pipeline import PROGRAM_STAGES
from ..plan import Plan
from ..toolbox import toolbox_plan
from . import onnx_linear as linear
from .onnx_graph import Graph, Tensor, Value, to_onnx
from .onnx_stages import Stages

if TYPE_CHECKING:
    import onnx

LAYOUTS = ("hwc", "nchw")
ORDERS = (*CHANNEL_ORDERS, "grey")
LEAST_DIVISOR = 1e-30  # of a map whose maximum is 0


def export_onnx(
    path: str | os.PathLike[str], config: Config, shape: tuple[int, int], **options: Any
) -> onnx.ModelProto:
    """Write the model for frames of one size as an ONNX graph.

    Parameters
    ----------
    path : str or path
        The file, written whole or not at all.
    config, shape, **options
        As for `ittisal.export.onnx_model`.

    Returns
    -------
    onnx.ModelProto
        What was written.

    Raises
    ------
    OSError
        The file cannot be written.
    ImportError, TypeError, ValueError
        As `ittisal.export.onnx_model`.

    Examples
    --------
    >>> import importlib.util, pathlib, tempfile, ittisal
    >>> if importlib.util.find_spec("onnx"):
    ...     path = pathlib.Path(tempfile.mkdtemp()) / "itti.onnx"
    ...     model = ittisal.export_onnx(path, ittisal.ITTI_1998, (240, 320), upsample=True)
    ...     assert [each.name for each in model.graph.output] == ["saliency", "upsampled"]
    """
    model = onnx_model(config, shape, **options)
    write_whole(Path(path), model.SerializeToString())
    return model


def onnx_model(
    config: Config,
    shape: tuple[int, int],
    *,
    channel_order: str = "rgb",
    layout: str = "hwc",
    upsample: bool = False,
    contributions: bool = False,
) -> onnx.ModelProto:
    """The model for frames of one size as an ONNX graph: opset 17, static shapes, float32.

    Only standard operators. `figure=True`, as in the preset `gaze`, takes one loop, which goes on
    until surroundedness no longer changes; all else is free of control flow.

    Parameters
    ----------
    config : Config
        Of the models `itti` and `toolbox`.
    shape : (int, int)
        Height and width of the frames in pixels, both at least 32.
    channel_order : {"rgb", "bgr", "grey"}
        Of the frames. Of grey ones the model has no colour.
    layout : {"hwc", "nchw"}
        "hwc": the input `frame` is uint8 of shape (H, W, 3), or (H, W) if grey, as cameras and
        OpenCV give frames; maps are of shape (h, w). "nchw": it is float32 in [0, 1] of shape
        (1, 3, H, W) or (1, 1, H, W), as networks take pictures; maps are of shape (1, 1, h, w).
    upsample : bool
        Also the output `upsampled`, of the frame's size and in [0, 1], as `saliency_map` gives it.
    contributions : bool
        Also an output `contribution_NAME` for each channel, and for `figure`: what it adds to
        `saliency`, as `Saliency.contributions` gives it.

    Returns
    -------
    onnx.ModelProto
        The output `saliency` is the raw map of a frame by itself, as a call of `Saliency` gives
        it: at least 0, with no fixed maximum. `doc_string` and `metadata_props` say what the input
        has to be and hold the config as JSON.

    Raises
    ------
    ImportError
        The package `onnx` is not there: the extra `onnx` has it.
    ValueError
        A stage of the config has no graph, or depends on the frames before: the message says which
        and what to do. Bad shape, order or layout.
    TypeError
        No config or shape.

    Examples
    --------
    >>> import importlib.util, ittisal
    >>> if importlib.util.find_spec("onnx"):
    ...     model = ittisal.export.onnx_model(ittisal.INVT, (96, 128), layout="nchw")
    ...     sizes = model.graph.output[0].type.tensor_type.shape.dim
    ...     assert [each.dim_value for each in sizes] == [1, 1, 6, 8]
    """
    if not isinstance(config, Config):
        raise TypeError(f"config is a {type(config).__name__}; give an ittisal.Config")
    height, width = check_shape(shape)
    if channel_order not in ORDERS:
        raise ValueError(f"channel_order={channel_order!r} is not 'rgb', 'bgr' or 'grey'")
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} is not 'hwc' or 'nchw'")
    _check_config(config)
    _require_onnx()
    plan = Plan((height, width), config)
    if config.model is Model.TOOLBOX:
        plan = toolbox_plan(plan)
    graph, frame = Graph(), _frame(plan, channel_order, layout)
    stages = Stages(graph, plan, _unit(graph, plan, frame), channel_order)
    maps = {"saliency": (stages.run(), "raw saliency map, at least 0")}
    if upsample:
        full = _upsampled(plan, stages.saliency)
        maps["upsampled"] = (full, "saliency over its maximum, in [0, 1], of the frame's size")
    if contributions:
        for name, term in stages.contributions.items():
            maps[f"contribution_{name}"] = (term, f"what {name} adds to saliency")
    outputs = []
    for name, (tensor, description) in maps.items():
        size: tuple[int, ...] = plan.shape if name == "upsampled" else plan.map_shape
        size = size if layout == "hwc" else (1, 1, *size)
        graph.give(tensor.reshape(*size), name)
        outputs.append(Value(name, np.float32, size, description))
    graph.prune(maps)
    made = to_onnx(graph, "ittisal", [frame], outputs)
    _describe(made, config, frame, channel_order)
    return made


def _require_onnx() -> None:
    """ImportError, which names the extra, where the package `onnx` is not there."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"an ONNX graph needs the package onnx, which cannot be imported ({error}); "
            "pip install 'ittisal[onnx]'"
        ) from error


def _check_config(config: Config) -> None:
    """ValueError where a graph of a single frame cannot do what the config asks for."""
    if config.model in PROGRAM_STAGES:
        stage = next(s for s in PROGRAM_STAGES[config.model] if not hasattr(Stages, s))
        raise ValueError(
            f"the stage {stage} of model={config.model.value!r} has no ONNX graph; export "
            "itti1998, invt, whitened, gaze or toolbox"
        )
    temporal = [str(channel) for channel in TEMPORAL if config.has(channel)]
    if temporal:
        parts = " and ".join(f"weights.{name}=0" for name in sorted(temporal))
        stage = "motion" if "motion" in temporal else "opponency"
        raise ValueError(
            f"the stage {stage} of {' and '.join(sorted(temporal))} compares a frame with those "
            f"before, which an ONNX graph does not keep; set {parts}, or export gaze, which is "
            "video without them"
        )
    if config.averages:
        raise ValueError(
            "the stage whiten averages its statistics over the frames before, which an ONNX graph "
            "does not keep; set whitening_seconds=0, the statistics of each frame"
        )
    if config.smoothing is not Smoothing.NONE:
        raise ValueError(
            "the stage combine smooths the map over the frames before, which an ONNX graph does "
            "not keep; set smoothing=none, and smooth the maps that the graph gives"
        )
    if config.normalise_before_reduction:
        raise ValueError(
            "the stage normalise has no ONNX graph for maps at their own scale; set "
            "normalise_before_reduction=false"
        )


def _frame(plan: Plan, order: str, layout: str) -> Value:
    """The input."""
    pixels = order if order == "grey" else order.upper()
    if layout == "nchw":
        size = (1, 1 if order == "grey" else 3, *plan.shape)
        return Value("frame", np.float32, size, f"{pixels}, 0 to 1")
    channels = () if order == "grey" else (3,)
    return Value("frame", np.uint8, (*plan.shape, *channels), f"{pixels}, 0 to 255")


def _unit(graph: Graph, plan: Plan, frame: Value) -> Tensor:
    """The frame in [0, 1], of shape (1, 3, H, W) or (1, 1, H, W)."""
    with graph.stage("frame"):
        unit = Tensor(graph, frame.name)
        if frame.dtype is np.uint8:  # TensorRT takes bytes only where they are cast at once
            unit = unit.cast(np.float32).reshape(1, *plan.shape, *frame.shape[2:] or (1,))
            unit = unit.transpose(0, 3, 1, 2) / 255.0
        if plan.config.linear:  # IEC 61966-2-1
            curve = graph.add("Pow", (unit + 0.055) * (1 / 1.055), 2.4)
            unit = (unit <= 0.04045).where(unit * (1 / 12.92), curve)
        return unit


def _upsampled(plan: Plan, saliency: Tensor) -> Tensor:
    """A map over its maximum, at the frame's size."""
    with saliency.graph.stage("upsample"):
        scaled = saliency / saliency.highest().maximum(LEAST_DIVISOR)
        down, across = linear.to_frame(plan)
        return down @ (scaled @ across.T)


def _describe(model: onnx.ModelProto, config: Config, frame: Value, order: str) -> None:
    """Say in the file what it is and how its input has to be."""
    from onnx import helper

    model.producer_name, model.producer_version = "ittisal", __version__
    size = "x".join(map(str, frame.shape))
    given = f"{np.dtype(frame.dtype).name} {size}, {frame.description}"
    model.doc_string = (
        "Visual saliency after Itti, Koch & Niebur (1998). The input `frame` is "
        f"{given}; the output `saliency` is the raw map, float32, at least 0. Run it in float32: "
        "differences of nearly equal numbers are lost in half precision."
    )
    properties = {
        "ittisal.version": __version__,
        "ittisal.config": json.dumps(config.to_dict()),
        "ittisal.input": given,
        "ittisal.channel_order": order,
    }
    helper.set_model_props(model, properties)
