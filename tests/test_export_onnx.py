"""ONNX graphs against the reference, by ONNX Runtime; what operators they have; their errors."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from test_cli import run_here
from test_golden import MAPS, PHOTOGRAPHS, make
from tolerances import within

import ittisal
from ittisal import Config, reference
from ittisal.config import PRESETS, PeakMean
from ittisal.features import Model

onnx = pytest.importorskip("onnx", reason="no onnx: pip install 'ittisal[onnx]'")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="no onnxruntime: pip install 'ittisal[onnx]'"
)

EXPORTED = ("itti1998", "invt", "whitened", "gaze", "toolbox")
# Odd; the least; thin; long enough for convolutions in place of products of matrices.
SIZES = ((97, 131), (32, 32), (33, 200), (270, 301))

# In the support matrices of TensorRT 8.4 to 10 (onnx-tensorrt, docs/operators.md), of OpenVINO and
# of ONNX Runtime, for the types used here. What they leave out, and why it is not used: Einsum
# with a repeated index (Cholesky factors), CumMax and Scan (reconstruction), EyeLike, Round.
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sqrt", "Pow", "Relu", "Max", "Min"}
LOGIC = {"Greater", "GreaterOrEqual", "LessOrEqual", "And", "Where"}
REDUCTIONS = {"ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum", "ReduceL2"}
SHAPES = {"Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Transpose"}
OPERATORS = ARITHMETIC | LOGIC | REDUCTIONS | SHAPES | {"Conv", "MatMul"}
OF_FIGURES = {"Loop", "MaxPool"}  # the reconstruction goes on until nothing changes


def run(model, frame):
    """The outputs of a graph by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, {"frame": frame}), strict=True))


@lru_cache(maxsize=4)
def exported(config, shape, **options):
    return ittisal.export.onnx_model(config, shape, **options)


def tolerance(config):
    """As of the other backends that compute in float32."""
    if config.model is Model.TOOLBOX:
        return "toolbox"
    return "float32_plateaus" if config.peak_mean is PeakMean.ALL else "float32"


def crop(photo, shape):
    """The middle of the photograph, or, where that is too small, of its mosaic."""
    whole = np.tile(photo, (2, 2, 1))
    top, left = ((n - side) // 2 for n, side in zip(whole.shape, shape, strict=False))
    return np.ascontiguousarray(whole[top : top + shape[0], left : left + shape[1]])


def nodes(graph):
    """All nodes, those of loops among them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g)


# --- the same map ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SIZES, ids="{0[1]}x{0[0]}".format)
@pytest.mark.parametrize("name", EXPORTED)
def test_every_output_is_the_references(photo, name, shape):
    config, frame = PRESETS[name], crop(photo, shape)
    got = run(exported(config, shape, upsample=True, contributions=True), frame)
    trace = reference.trace(frame, config)
    saliency = trace["saliency"]
    within(tolerance(config), got.pop("saliency"), saliency)
    wanted = ittisal.upsample(saliency / saliency.max(), shape, config)
    within(tolerance(config), got.pop("upsampled"), wanted)
    terms = {k: x for k, x in trace.items() if k.startswith("contribution/")}
    assert {k.replace("/", "_") for k in terms} == set(got)
    for key, term in terms.items():
        within(tolerance(config), got[key.replace("/", "_")] + saliency, term + saliency)


@pytest.mark.parametrize("reading", [name for name in make.CONFIGS if name != "before"])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_golden(name, reading):
    photograph, config = PHOTOGRAPHS[name], make.CONFIGS[reading]
    order = "grey" if photograph.ndim == 2 else "rgb"
    model = exported(config, photograph.shape[:2], channel_order=order)
    got = run(model, photograph)["saliency"]
    within(tolerance(config), got, MAPS[f"{name}/{reading}/saliency"])


@pytest.mark.parametrize(
    "fields",
    [
        {"weights": {"orientation": 1}},
        {"weights": {"whitened": 1, "intensity": 1}},
        {"weights": {"intensity": 1, "orientation": 2}, "figure": True},
        {"figure": True, "centre_prior": 0.34, "split_cs": True},
        {"normalise_saliency": True, "peak_mean": "all", "split_cs": True},
        {"reduction_taps": 9, "upsampling": "replicate", "small_frames": "clamp"},
        {"normalisation": "iterative", "iterations": 5, "normalise_saliency": True},
        {"orientation_contrast": "rectified", "border_attenuation": False, "wavenumber": 1.5},
        {"opponency": "invt", "hue_threshold": 0.3, "working_size": 800},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_other_readings(photo, fields):
    config, frame = Config(**fields), crop(photo, (97, 131))
    got = run(exported(config, (97, 131), contributions=True), frame)
    trace = reference.trace(frame, config)
    within(tolerance(config), got["saliency"], trace["saliency"])
    for channel in got.keys() - {"saliency"}:
        term = trace[channel.replace("_", "/", 1)]
        within(tolerance(config), got[channel] + trace["saliency"], term + trace["saliency"])


@pytest.mark.parametrize("name", EXPORTED)
def test_orders_and_layouts(photo, name):
    config, frame = PRESETS[name], crop(photo, (97, 131))
    wanted = run(exported(config, (97, 131)), frame)["saliency"]
    bgr = run(exported(config, (97, 131), channel_order="bgr"), frame[..., ::-1])["saliency"]
    assert np.array_equal(bgr, wanted)
    planes = np.moveaxis(np.float32(frame) / 255, 2, 0)[None]
    nchw = run(exported(config, (97, 131), layout="nchw", upsample=True), planes)
    assert nchw["saliency"].shape == (1, 1, *wanted.shape)
    assert nchw["upsampled"].shape == (1, 1, 97, 131)
    assert np.array_equal(nchw["saliency"][0, 0], wanted)


@pytest.mark.parametrize("name", EXPORTED)
def test_grey_frames(photo, name):
    config, grey = PRESETS[name], np.ascontiguousarray(crop(photo, (97, 131))[..., 1])
    wanted = reference.saliency(grey, config)
    got = run(exported(config, (97, 131), channel_order="grey"), grey)["saliency"]
    within(tolerance(config), got, wanted)
    planes = np.float32(grey)[None, None] / 255
    nchw = run(exported(config, (97, 131), channel_order="grey", layout="nchw"), planes)["saliency"]
    within("same_maths", nchw[0, 0], got)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (77, 77, 77), (200, 13, 64)])
@pytest.mark.parametrize("name", EXPORTED)
def test_constant_frames(name, colour):
    """Zeros, but for `toolbox`, whose filters see the zeros outside of the frame."""
    config, frame = PRESETS[name], np.full((97, 131, 3), colour, np.uint8)
    wanted = reference.saliency(frame, config)
    got = run(exported(config, (97, 131), upsample=True), frame)
    if wanted.any():
        assert name == "toolbox"
        within(tolerance(config), got["saliency"], wanted)
    else:
        assert not got["saliency"].any() and not got["upsampled"].any()


# --- the graph ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPORTED)
def test_standard_operators_and_static_shapes(name):
    model = exported(PRESETS[name], (240, 320), upsample=True, contributions=True)
    onnx.checker.check_model(model, full_check=True)
    used = {node.op_type for node in nodes(model.graph)}
    figures = OF_FIGURES if name == "gaze" else set()
    assert used <= OPERATORS | figures, used - OPERATORS
    assert figures <= used
    assert {node.domain for node in nodes(model.graph)} == {""}
    (opset,) = model.opset_import
    assert (opset.domain, opset.version) == ("", 17)
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}
    assert {each.data_type for each in model.graph.initializer} <= kinds
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    values = [*inferred.graph.value_info, *inferred.graph.output]
    assert len(values) == len(model.graph.node)
    for value in values:
        kind = value.type.tensor_type
        assert kind.elem_type in kinds, value.name
        assert all(each.HasField("dim_value") for each in kind.shape.dim), value.name


def test_nodes_are_named_after_stages():
    model = exported(PRESETS["gaze"], (97, 131))
    stages = [node.name.split("/")[0] for node in model.graph.node]
    order = ["frame", "opponency", "pyramid", "orientation", "whiten", "figure"]
    assert list(dict.fromkeys(stages[:-2])) == [*order, "centre_surround", "normalise", "combine"]


def test_nothing_is_there_that_no_output_needs():
    model = exported(PRESETS["gaze"], (97, 131))
    read = {name for node in nodes(model.graph) for name in node.input}
    read |= {each.name for each in model.graph.output}
    assert {each.name for each in model.graph.initializer} <= read
    assert {name for node in model.graph.node for name in node.output} <= read


def test_the_loop_ends_by_itself():
    """A corridor that winds through the whole map: far more steps than any photograph takes."""
    from ittisal.export.onnx_figure import reconstruction
    from ittisal.export.onnx_graph import Graph, Tensor, Value, to_onnx

    mask = np.full((1, 2, 21, 30), -1.0, np.float32)
    mask[0, 0, 1::2] = 5
    for row in range(2, 20, 2):
        mask[0, 0, row, -2 if row % 4 == 2 else 1] = 4 - row / 10
    mask[0, 0, :, [0, -1]] = -1
    mask[0, 0, 0, 1] = 3
    mask[0, 1] = np.random.default_rng(0).random((21, 30))
    graph = Graph()
    graph.give(reconstruction(Tensor(graph, "frame"), mask.shape), "result")
    given = [Value(name, np.float32, mask.shape) for name in ("frame", "result")]
    model = to_onnx(graph, "reconstruction", given[:1], given[1:])
    onnx.checker.check_model(model, full_check=True)
    got = run(model, mask)["result"]
    for plane, values in zip(mask[0], got[0], strict=True):
        assert np.array_equal(values, -reference.reconstruction(-plane))
    assert got[0, 0, 19, 15] == 2.2  # the corridor's end, past its narrowest place


def test_the_file_says_what_it_is(tmp_path, photo):
    path = tmp_path / "new" / "gaze.onnx"
    model = ittisal.export_onnx(path, PRESETS["gaze"], (97, 131), channel_order="bgr")
    loaded = onnx.load(path)
    assert loaded == model and [each.name for each in path.parent.iterdir()] == ["gaze.onnx"]
    properties = {each.key: each.value for each in loaded.metadata_props}
    assert properties["ittisal.version"] == ittisal.__version__ == loaded.producer_version
    assert properties["ittisal.input"] == "uint8 97x131x3, BGR, 0 to 255"
    assert properties["ittisal.channel_order"] == "bgr"
    assert Config.from_dict(json.loads(properties["ittisal.config"])) == PRESETS["gaze"]
    assert properties["ittisal.input"] in loaded.doc_string
    assert "at least 0" in loaded.graph.output[0].doc_string


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PRESETS["video"], r"stage motion of flicker and motion .* set weights.flicker=0 and weig"),
        (Config(weights={"flicker": 1}), "stage opponency of flicker .* set weights.flicker=0"),
        (PRESETS["vocus2"], "stage twin_pyramids of model='vocus2' has no ONNX graph; export itti"),
        (PRESETS["gbvs"], "stage features of model='gbvs' has no ONNX graph"),
        (replace(PRESETS["gaze"], whitening_seconds=0.5), "stage whiten .*whitening_seconds=0"),
        (Config(smoothing="leaky"), "stage combine smooths .* set smoothing=none"),
        (make.CONFIGS["before"], "stage normalise .* normalise_before_reduction=false"),
    ],
)
def test_what_has_no_graph(config, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ittisal.export_onnx(tmp_path / "x.onnx", config, (97, 131))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((31, 64), {}, "frame is 64x31 pixels; both sides must be at least 32"),
        ((64, 64), {"channel_order": "gbr"}, "channel_order='gbr' is not"),
        ((64, 64), {"layout": "nhwc"}, "layout='nhwc' is not 'hwc' or 'nchw'"),
        ((64, 64), {"channel_order": "grey"}, "a grey frame has no colour channel"),
    ],
)
def test_bad_arguments(shape, options, message):
    with pytest.raises(ValueError, match=message):
        ittisal.export.onnx_model(Config(weights={"colour": 1}), shape, **options)


def test_no_config_and_no_shape():
    with pytest.raises(TypeError, match="config is a str; give an ittisal"):
        ittisal.export.onnx_model("gaze", (64, 64))
    with pytest.raises(TypeError, match="shape=64 must be"):
        ittisal.export.onnx_model(Config(), 64)


def test_without_onnx(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = r"needs the package onnx, .*pip install 'ittisal\[onnx\]'"
    with pytest.raises(ImportError, match=message):
        ittisal.export_onnx(tmp_path / "x.onnx", Config(), (64, 64))
    ran = run_here("export", "--format", "onnx", "-o", "x.onnx", "--size", "64x64", cwd=tmp_path)
    assert ran.status == 2 and "pip install 'ittisal[onnx]'" in ran.err
    assert ran.err.startswith("ittisal export: an ONNX graph needs the package onnx")


# --- the command -------------------------------------------------------------------------------


def export(line, cwd):
    return run_here("export", "--format", "onnx", *line.split(), cwd=cwd)


def test_the_command(tmp_path, photo):
    ran = export("-o a/gaze.onnx --preset gaze --size 131x97 --channel-order bgr", tmp_path)
    assert ran.status == 0 and ran.out == "a/gaze.onnx\n"
    assert "frame BGR, 0 to 255, [97, 131, 3] -> saliency [24, 32]" in ran.err
    written = onnx.load(tmp_path / "a/gaze.onnx")
    assert written == exported(PRESETS["gaze"], (97, 131), channel_order="bgr")


def test_its_json_and_options(tmp_path):
    line = "-o x.onnx --size 131x97 --channel-order grey --layout nchw --upsample --contributions"
    ran = export(line + " --json --set weights.orientation=0", tmp_path)
    assert ran.status == 0 and ran.err == ""
    (facts,) = ran.rows
    assert facts["bytes"] == (tmp_path / "x.onnx").stat().st_size
    assert facts["nodes"] > 100 and facts["opset"] == 17 and facts["format"] == "onnx"
    assert facts["inputs"] == {"frame": [1, 1, 97, 131]}
    assert facts["outputs"] == {
        "saliency": [1, 1, 6, 8],
        "upsampled": [1, 1, 97, 131],
        "contribution_intensity": [1, 1, 6, 8],
    }


def test_to_standard_output(tmp_path):
    ran = export("-o - --size 131x97", tmp_path)
    assert ran.status == 0
    assert onnx.load_from_string(ran.raw) == exported(Config(), (97, 131))
    assert "-> saliency [6, 8]" in ran.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-o x.onnx --size 131x97 --preset video", "the stage motion of flicker and motion"),
        ("-o x.onnx --size 131x20", "must be at least 32"),
        ("-o x.onnx --size 131x97 --preset nothing", "no preset 'nothing'"),
        ("-o - --size 131x97 --json", "standard output takes one of -o - and --json"),
        ("-o c.json --config c.json --size 131x97", "would overwrite the input"),
        ("-o c.json/x.onnx --size 131x97", "cannot write to c.json"),
        ("--size 131x97", "the following arguments are required: -o"),
    ],
)
def test_wrong_usage(tmp_path, line, message):
    (tmp_path / "c.json").write_text("{}")
    ran = export(line, tmp_path)
    assert ran.status == 2 and message in ran.err and ran.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    assert (tmp_path / "c.json").read_text() == "{}"
