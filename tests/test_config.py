"""Config: every field is checked, closed and survives a round trip."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from ittisal import (
    GAZE,
    GBVS,
    INVT,
    ITTI_1998,
    TOOLBOX,
    VIDEO,
    VOCUS2,
    WHITENED,
    Config,
    preset,
)
from ittisal.config import PRESETS
from ittisal.features import CHANNELS, FEATURES, TEMPORAL, Channel, Choice

# Per field: a valid value other than the default, in the field's own type.
OTHER = {
    "weights": (
        (Channel.INTENSITY, 1.0),
        (Channel.COLOUR, 0.0),
        (Channel.ORIENTATION, 2.5),
        (Channel.FLICKER, 0.0),
        (Channel.MOTION, 0.75),
        (Channel.WHITENED, 0.5),
    ),
    "feature_weights": tuple(
        (feature.name, {"red_green": 0.0, "motion_90": 2.5}.get(feature.name, 1.0))
        for feature in FEATURES
    ),
    "opponency": "walther",
    "hue_reference": "fixed",
    "hue_threshold": 0.25,
    "linear": True,
    "phase": "even",
    "small_frames": "clamp",
    "orientation_pyramid": "laplacian",
    "wavenumber": 1.5,
    "orientation_contrast": "rectified",
    "upsampling": "replicate",
    "split_cs": True,
    "border_attenuation": False,
    "reduction_taps": 9,
    "normalise_before_reduction": True,
    "normalisation": "iterative",
    "peak_mean": "all",
    "iterations": 7,
    "working_size": 640,
    "normalise_opponents": True,
    "normalise_saliency": True,
    "motion_threshold": 0.125,
    "figure": True,
    "whitening_seconds": 1.5,
    "centre_prior": 0.3,
    "smoothing": "leaky",
    "smoothing_rate": 0.25,
    "smoothing_seconds": 2.0,
}
EVERY = Config(**OTHER)
FIELDS = [field.name for field in fields(Config) if field.name != "model"]  # it goes with none
ENUMS = [name for name in FIELDS if isinstance(getattr(ITTI_1998, name), Choice)]
WEIGHTS = {"weights": "channel", "feature_weights": "feature"}
FLAGS = [name for name in FIELDS if isinstance(getattr(ITTI_1998, name), bool)]
NUMBERS = [name for name in FIELDS if type(getattr(ITTI_1998, name)) in (int, float)]

NAN, INF = math.nan, math.inf
RANGES = {  # field -> the limit in words, values within it, and values outside
    "hue_threshold": ("at least 0 and below 1", [0.0, 0.999], [-0.01, 1.0, NAN]),
    "wavenumber": ("above 0 and at most pi", [1e-3, math.pi], [0.0, 3.15, NAN]),
    "reduction_taps": ("5 or 9", [5, 9], [7]),
    "iterations": ("1 to 100", [1, 100], [0, 101]),
    "working_size": ("at least 0 and at most 2^30", [0, 1 << 30], [-1, (1 << 30) + 1]),
    "motion_threshold": ("at least 0 and below 1", [0.0, 0.999], [-1e-9, 1.0, NAN]),
    "whitening_seconds": ("at least 0 and finite", [0.0, 1e6], [-1e-9, INF, NAN]),
    "centre_prior": ("0, or 1e-6 to 1e6", [0.0, 1e-6, 0.28, 1e6], [-1e-9, 1e-7, 1e7, INF, NAN]),
    "smoothing_rate": ("above 0 and at most 1", [1e-6, 1.0], [0.0, 1.001, NAN]),
    "smoothing_seconds": ("above 0 and finite", [1e-6, 1e6], [0.0, -1.0, INF, NAN]),
}


def test_the_tables_above_cover_every_field():
    assert sorted(OTHER) == sorted(FIELDS)
    assert sorted([*WEIGHTS, *ENUMS, *FLAGS, *NUMBERS]) == sorted(FIELDS)
    assert set(RANGES) == set(NUMBERS)
    for name in FIELDS:
        assert getattr(EVERY, name) != getattr(ITTI_1998, name), name


@pytest.mark.parametrize("name", FIELDS)
def test_replace_changes_one_field(name):
    changed = replace(ITTI_1998, **{name: OTHER[name]})
    assert changed != ITTI_1998
    assert [f for f in FIELDS if getattr(changed, f) != getattr(ITTI_1998, f)] == [name]
    assert replace(changed, **{name: getattr(ITTI_1998, name)}) == ITTI_1998


@pytest.mark.parametrize("name", FIELDS)
def test_frozen(name):
    with pytest.raises(FrozenInstanceError):
        setattr(ITTI_1998, name, OTHER[name])


def test_hashable_and_equal_however_spelt():
    spelt = Config(opponency="walther", weights={"colour": 2, "intensity": 1})
    enums = Config(
        opponency=type(ITTI_1998.opponency)("walther"),
        weights=tuple(
            (channel, {Channel.INTENSITY: 1.0, Channel.COLOUR: 2.0}.get(channel, 0.0))
            for channel in Channel
        ),
    )
    assert spelt == enums
    assert hash(spelt) == hash(enums)
    assert len({ITTI_1998, Config(), spelt, enums, EVERY}) == 3


def test_weights_are_a_mapping():
    """To be changed one by one, in any spelling; not in place."""
    changed = replace(INVT, weights={**INVT.weights, "colour": 3})
    assert changed == replace(INVT, weights={"intensity": 4, Channel.COLOUR: 3, "orientation": 1})
    assert changed.weights["colour"] == changed.weights[Channel.COLOUR] == 3
    config = replace(changed, feature_weights={"red_green": 3})
    features = config.feature_weights
    assert config == replace(changed, feature_weights={**features, "red_green": 3})
    assert features["red_green"] == 3 and features["blue_yellow"] == 1
    assert list(features) == [feature.name for feature in FEATURES]
    assert pickle.loads(pickle.dumps(config)) == config
    for weights in (config.weights, features):
        assert eval(repr(weights)) == weights
        with pytest.raises(TypeError, match="does not support item assignment"):
            weights[next(iter(weights))] = 1


def test_a_features_weight_is_relative_to_its_channels_largest():
    given = {"intensity": 0.1, "red_green": 1e-9, "blue_yellow": 4e-9, "orientation_45": 1e300}
    config = Config(feature_weights={**given, "flicker": 0})
    weights = {feature.name: config.feature_weight(feature) for feature in FEATURES}
    assert weights.pop("red_green") == pytest.approx(0.25)
    expected = dict.fromkeys(("intensity", "blue_yellow", "orientation_45"), 1)
    expected |= {name: 1 for name in weights if name.startswith("motion")}
    assert weights == {name: pytest.approx(expected.get(name, 0)) for name in weights}
    assert all(ITTI_1998.feature_weight(feature) == 1 for feature in FEATURES)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENUMS)
def test_enums_are_closed(name):
    members = type(getattr(ITTI_1998, name))
    for member in members:
        assert getattr(replace(ITTI_1998, **{name: member.value}), name) is member
    for bad in ("Orientations", members(OTHER[name]).value.upper(), "", 1, None):
        with pytest.raises(ValueError, match=f"^{name}=") as caught:
            replace(ITTI_1998, **{name: bad})
        assert repr(bad) in str(caught.value)
        assert all(repr(member.value) in str(caught.value) for member in members)


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("bad", [0, 1, "true", "False", None])
def test_flags_are_booleans_only(name, bad):
    with pytest.raises(TypeError, match=f"^{name}={bad!r} must be True or False"):
        replace(ITTI_1998, **{name: bad})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("bad", [True, "1", None, 1j, [1]])
def test_numbers_are_numbers_only(name, bad):
    with pytest.raises(TypeError) as caught:
        replace(ITTI_1998, **{name: bad})
    assert str(caught.value).startswith(f"{name}={bad!r} must be")


@pytest.mark.parametrize("bad", [2.5, math.nan, math.inf])
@pytest.mark.parametrize("name", ["iterations", "reduction_taps"])
def test_whole_numbers_only(name, bad):
    with pytest.raises((TypeError, ValueError), match=f"^{name}={bad!r} must be"):
        replace(ITTI_1998, **{name: bad})


@pytest.mark.parametrize("name", RANGES)
def test_ranges(name):
    limit, allowed, refused = RANGES[name]
    for value in allowed:
        assert getattr(replace(ITTI_1998, **{name: value}), name) == value
    for bad in refused:
        with pytest.raises(ValueError) as caught:
            replace(ITTI_1998, **{name: bad})
        assert str(caught.value) == f"{name}={bad!r} must be {limit}"


def test_numbers_take_the_fields_own_type():
    config = replace(ITTI_1998, wavenumber=2, iterations=4.0)
    assert type(config.wavenumber) is float
    assert type(config.iterations) is int


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (3, TypeError, "to numbers, as in {'"),
        (None, TypeError, "to numbers, as in {'"),
        (["colour"], TypeError, "to numbers, as in {'"),
        ({"colour": "1"}, TypeError, "colour='1' must be a number"),
        ({"colour": True}, TypeError, "colour=True must be a number"),
        ({"colour": -0.5}, ValueError, "colour=-0.5 must be finite and at least 0"),
        ({"colour": math.nan}, ValueError, "colour=nan must be finite and at least 0"),
        ({"colour": math.inf}, ValueError, "colour=inf must be finite and at least 0"),
        ({"colour": 10**400}, ValueError, "colour=inf must be finite and at least 0"),
        ({"colour": 1e308, "intensity": 1e308}, ValueError, "and their sum must be finite"),
    ],
)
def test_weights_refused(bad, error, says):
    for field in WEIGHTS:
        given = bad
        if field == "feature_weights" and isinstance(bad, dict):
            given = {{"colour": "red_green"}.get(name, name): value for name, value in bad.items()}
            says = says.replace("colour", "red_green")
        with pytest.raises(error, match=f"^{field}") as caught:
            Config(**{field: given})
        assert says in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({}, "weights={}: at least one channel needs a weight above 0"),
        ({"colour": 0, "intensity": 0.0}, "at least one channel needs a weight above 0"),
        (ITTI_1998.feature_weights, "'red_green' is not one of 'intensity', 'colour', "),
    ],
)
def test_channels_refused(weights, says):
    with pytest.raises(ValueError, match=r"^weights") as caught:
        Config(weights=weights)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (dict.fromkeys(ITTI_1998.feature_weights, 0), "at least one feature needs a weight above"),
        ({"colour": 1}, "'colour' is not one of 'intensity', 'red_green', 'blue_yellow', "),
    ],
)
def test_features_refused(weights, says):
    with pytest.raises(ValueError, match=r"^feature_weights") as caught:
        Config(feature_weights=weights)
    assert says in str(caught.value)


# --- round trips -------------------------------------------------------------------------------

ROUND_TRIPS = {
    "dict": (Config.to_dict, Config.from_dict),
    "json": (Config.to_json, Config.from_json),
}
ONE_FIELD = [replace(ITTI_1998, **{name: value}) for name, value in OTHER.items()]


@pytest.mark.parametrize("way", ROUND_TRIPS)
@pytest.mark.parametrize("config", [*PRESETS.values(), EVERY, *ONE_FIELD], ids=lambda _: "")
def test_round_trip(config, way):
    write, read = ROUND_TRIPS[way]
    assert read(write(config)) == config


def test_files(tmp_path):
    path = tmp_path / "every.json"
    path.write_text(EVERY.to_json(), encoding="utf-8")
    assert Config.from_file(path) == Config.from_file(str(path)) == EVERY
    plain = EVERY.to_dict()
    tables = {name: plain.pop(name) for name in WEIGHTS}
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    for field, weights in tables.items():
        lines += [f"[{field}]", *(f"{name} = {weight}" for name, weight in weights.items())]
    path = tmp_path / "every.toml"
    for encoding in ("utf-8", "utf-8-sig"):  # with a byte order mark, as Windows' editors write
        path.write_text("\n".join(lines), encoding=encoding)
        assert Config.from_file(path) == EVERY


def test_to_dict_holds_every_field_as_plain_values():
    plain = EVERY.to_dict()
    assert list(plain) == ["model", *FIELDS]
    assert plain["weights"] == {channel.value: weight for channel, weight in OTHER["weights"]}
    assert plain["feature_weights"] == dict(OTHER["feature_weights"])
    flat = [v for v in plain.values() if not isinstance(v, dict)]
    assert all(type(v) in (str, bool, int, float) for v in flat)


def test_missing_fields_take_the_default():
    assert Config.from_dict({}) == ITTI_1998
    assert Config.from_json('{"split_cs": true}') == replace(ITTI_1998, split_cs=True)
    assert Config.from_toml("[weights]\ncolour = 2\n") == Config(weights={"colour": 2})


def test_unknown_fields_are_refused():
    with pytest.raises(ValueError) as caught:
        Config.from_dict({"split": True})
    assert "unknown config field 'split'" in str(caught.value)
    assert all(name in str(caught.value) for name in FIELDS)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.yaml", "", "ends in .json or .toml, not '.yaml'"),
        ("c", "", "not ''"),
        ("c.json", "{", "c.json: "),
        ("c.json", "[1]", "this is a list"),
        ("c.json", "[" * 100_000, "nested more than 32 deep in line 1"),
        ("c.json", '{"a":\n' * 5_000 + "1" + "}" * 5_000, "nested more than 32 deep in line 33"),
        ("c.toml", "a = " + "[" * 5_000 + "]" * 5_000, "nested more than 32 deep in line 1"),
        ("c.toml", "a = 1\n" + "{b = " * 5_000 + "}" * 5_000, "nested more than 32 deep in line 2"),
        ("c.toml", ".".join("a" * 20_000) + " = 1", "nested more than 32 deep in line 1"),
        ("c.toml", "[" + ' . "a"' * 5_000 + "]", "nested more than 32 deep in line 1"),
        ("c.toml", "a = [\"\"\"[\"\"\"\"\", '''['''''" + "[" * 5_000, "nested more than 32 deep"),
        ("c.toml", ".".join("a" * 50_000) + " = 1", "longer than 65,536 bytes"),
        ("c.toml", "[[a]]\n" * 20_000, "longer than 65,536 bytes"),
        ("c.toml", "#" + "\u00e9" * 40_000 + "\nmotion = 1", "longer than 65,536 bytes"),
        ("c.toml", "split_cs = ", "c.toml: "),
        ("c.toml", "split_cs = 1", "split_cs=1 must be True or False"),
        ("c.json", '{"wavenumber": 4}', "wavenumber=4.0 must be above 0 and at most pi"),
        ("c.json", '{"wave": 4}', "unknown config field 'wave'"),
        ("c.toml", "wave = 4", "unknown config field 'wave'"),
    ],
)
def test_bad_files_are_named(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        Config.from_file(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    with pytest.raises(FileNotFoundError):
        Config.from_file(tmp_path / "none.json")


def test_brackets_in_strings_and_comments_are_no_levels():
    deep = "[" * 100
    text = f'# {deep}\nphase = "even"  # {deep}\nmodel = """{deep}"""'
    with pytest.raises(ValueError, match="is not one of"):
        Config.from_toml(text)
    with pytest.raises(ValueError, match="is not one of"):
        Config.from_json(json.dumps({"model": f'"{deep}\\'}))


# --- presets and weights -----------------------------------------------------------------------


def test_presets():
    assert preset("itti1998") is ITTI_1998 == Config()
    assert preset("invt") is INVT
    weights = dict(zip(map(str, Channel), (4.0, 2.0, 1.0, 0.0, 0.0, 0.0), strict=True))
    assert INVT.to_dict() == {
        "model": "itti",
        "weights": weights,
        "feature_weights": {feature.name: 1.0 for feature in FEATURES},
        "opponency": "invt",
        "hue_reference": "fixed",
        "hue_threshold": 0.1,
        "linear": False,
        "phase": "even",
        "small_frames": "clamp",
        "orientation_pyramid": "laplacian",
        "wavenumber": 2.6,
        "orientation_contrast": "rectified",
        "upsampling": "replicate",
        "split_cs": False,
        "border_attenuation": True,
        "reduction_taps": 9,
        "normalise_before_reduction": False,
        "normalisation": "maxnorm",
        "peak_mean": "all",
        "iterations": 3,
        "normalise_opponents": False,
        "normalise_saliency": True,
        "motion_threshold": 3 / 65025,
        "figure": False,
        "whitening_seconds": 0.0,
        "centre_prior": 0.0,
        "working_size": 0,
        "smoothing": "none",
        "smoothing_rate": 0.1,
        "smoothing_seconds": 0.5,
    }
    assert preset("video") is VIDEO
    linear = replace(ITTI_1998, working_size=800, opponency="linear")
    assert replace(linear, figure=True, weights=VIDEO_WEIGHTS) == VIDEO
    assert preset("whitened") is WHITENED
    assert replace(linear, weights={"whitened": 1}, normalisation="none") == WHITENED
    assert preset("gaze") is GAZE == replace(linear, figure=True)
    assert PRESETS == {
        "itti1998": ITTI_1998,
        "invt": INVT,
        "video": VIDEO,
        "whitened": WHITENED,
        "gaze": GAZE,
        "toolbox": TOOLBOX,
        "vocus2": VOCUS2,
        "gbvs": GBVS,
    }
    assert Config(model="gbvs") == GBVS
    assert Config(model="vocus2", weights={"intensity": 1, "colour": 2}) == VOCUS2
    assert (
        Config(model="toolbox", weights={"intensity": 4, "colour": 2, "orientation": 1}) == TOOLBOX
    )
    with pytest.raises(ValueError, match="no preset 'itti'; the presets are: itti1998, invt, v"):
        preset("itti")


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "weights"])
@pytest.mark.parametrize("model", ["toolbox", "vocus2", "gbvs"])
def test_published_programs_take_weights_alone(model, name):
    with pytest.raises(ValueError, match=f"^{name}=.* does not apply to model='{model}'"):
        replace(PRESETS[model], **{name: OTHER[name]})
    half = replace(PRESETS[model], weights={"intensity": 1, "colour": 0.5})
    assert half.channel_weights() == {"intensity": 2 / 3, "colour": 1 / 3}
    with pytest.raises(ValueError, match=f"model='{model}' has no channel 'motion'; it has int"):
        replace(PRESETS[model], weights={"motion": 1})


def test_models_are_named():
    with pytest.raises(ValueError, match="model='aim' is not one of 'itti', 'toolbox', 'vocus2', "):
        Config(model="aim")
    with pytest.raises(ValueError, match="model='vocus2' has no channel 'orientation'"):
        Config(model="vocus2")


@pytest.mark.parametrize(
    ("working_size", "shifts"),  # of frames whose longer side is so long
    [
        (0, {32: 0, 256: 0}),
        (800, {32: 2, 256: 2, 282: 2, 283: 1, 320: 1, 565: 1, 566: 0, 640: 0, 4000: 0}),
        (400, {141: 2, 142: 1, 282: 1, 283: 0}),
        (1 << 30, {32: 2, 65536: 2}),
    ],
)
def test_frames_are_shifted_to_the_nearest_octave(working_size, shifts):
    config = replace(ITTI_1998, working_size=working_size)
    for side, shift in shifts.items():
        assert config.octave_shift((side, 32)) == config.octave_shift((32, side)) == shift


THREE = ("intensity", "colour", "orientation")
VIDEO_WEIGHTS = dict.fromkeys((*THREE, "flicker", "motion"), 1)


@pytest.mark.parametrize(
    ("weights", "colour", "past", "expected"),
    [
        (dict.fromkeys(THREE, 1), True, True, dict.fromkeys(THREE, 1 / 3)),
        (dict.fromkeys(THREE, 1), False, True, {"intensity": 0.5, "orientation": 0.5}),
        ({"intensity": 4, "colour": 2, "orientation": 2}, True, True, (0.5, 0.25, 0.25)),
        ({"intensity": 3}, True, True, {"intensity": 1.0}),
        ({"colour": 3}, True, True, {"colour": 1.0}),
        ({"colour": 1, "orientation": 3}, False, True, {"orientation": 1.0}),
        (VIDEO_WEIGHTS, True, True, dict.fromkeys(VIDEO_WEIGHTS, 0.2)),
        (VIDEO_WEIGHTS, True, False, dict.fromkeys(THREE, 1 / 3)),
        (VIDEO_WEIGHTS, False, True, {c: 0.25 for c in VIDEO_WEIGHTS if c != "colour"}),
        (VIDEO_WEIGHTS, False, False, {"intensity": 0.5, "orientation": 0.5}),
        ({"flicker": 3, "motion": 1}, True, True, {"flicker": 0.75, "motion": 0.25}),
        ({"colour": 1, "motion": 3}, False, True, {"motion": 1.0}),
        ({"intensity": 1, "flicker": 9}, True, False, {"intensity": 1.0}),
        # Nothing left, though the frame is not at fault: a map of 0, not an error.
        ({"flicker": 3, "motion": 1}, True, False, {"intensity": 0.0}),
        ({"colour": 1, "motion": 3}, False, False, {"intensity": 0.0}),
    ],
)
def test_channel_weights_are_over_the_channels_of_a_frame(weights, colour, past, expected):
    if isinstance(expected, tuple):
        expected = dict(zip(THREE, expected, strict=True))
    got = Config(weights=weights).channel_weights(colour=colour, past=past)
    assert got == pytest.approx({Channel(name): weight for name, weight in expected.items()})


def test_colour_alone_refuses_a_grey_frame():
    with pytest.raises(ValueError, match=r"a grey frame has no colour channel.*give a colour"):
        Config(weights={"colour": 1}).channel_weights(colour=False)


def test_the_presets_weights_are_the_tables():
    """Default weights, and for video every channel of the paper and every temporal one."""
    assert dict(ITTI_1998.weights) == {channel: CHANNELS[channel].weight for channel in Channel}
    given = {channel for channel in Channel if VIDEO.has(channel)}
    assert given == {channel for channel in Channel if ITTI_1998.has(channel)} | TEMPORAL


def test_what_a_config_asks_for():
    assert {Channel.FLICKER, Channel.MOTION} == TEMPORAL
    for channel in Channel:
        config = Config(weights={channel: 2})
        assert [c for c in Channel if config.has(c)] == [channel]
        assert config.remembers == (channel in TEMPORAL)
    assert not ITTI_1998.remembers
    assert not INVT.remembers
    assert VIDEO.remembers
    for config in (GAZE, WHITENED):
        assert config.whitens and config.sees_colour and not config.remembers
        averaging = replace(config, whitening_seconds=1)
        assert averaging.averages and averaging.remembers
    assert not replace(ITTI_1998, whitening_seconds=1).remembers
    assert not Config(weights={"intensity": 1}).sees_colour
    assert Config(smoothing="ema").remembers
    assert Config(smoothing="leaky").remembers
