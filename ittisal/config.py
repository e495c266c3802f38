"""What the model is: every disputed reading of the paper as a named, validated field.

Sources are cited by short names: P98 is Itti, Koch & Niebur, IEEE TPAMI 20(11), 1998; IK00 is
Itti & Koch, Vision Research 40, 2000; WK06 is Walther & Koch, Neural Networks 19, 2006; G94 is
Greenspan et al., CVPR 1994; IDP03 is Itti, Dhavale & Pighin, SPIE 5200, 2003; iNVT is the authors'
own toolkit.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from . import documents
from .features import (
    CHANNELS,
    FEATURES,
    MODEL_CHANNELS,
    TEMPORAL,
    Channel,
    Choice,
    Feature,
    Model,
)

CENTRE_LEVELS = (2, 3, 4)  # c, P98
DELTAS = (3, 4)  # delta = s - c, P98
MAP_LEVEL = 4  # the saliency map lives at level 4, a sixteenth of the frame (P98)
TOP_LEVEL = 8  # nine scales, 0 to 8 (P98)
MOST_SHIFT = CENTRE_LEVELS[0]  # octaves that all of them move down, at most: to level 0
MIN_SIDE = 2 ** (CENTRE_LEVELS[0] + DELTAS[0])  # the first pair, 2-5, needs a level 5


Name = TypeVar("Name", bound=str)


class Opponency(Choice):
    """How colour becomes two signed planes, red-green and blue-yellow.

    `itti`: P98's broadly tuned R, G, B, Y. `invt`: the same with iNVT's yellow.
    `walther`: (r-g)/max and (b-min(r,g))/max (WK06). `linear`: r-g and b-(r+g)/2, with no
    division by brightness and so no threshold of hue.
    """

    ITTI, INVT, WALTHER, LINEAR = "itti", "invt", "walther", "linear"


class HueReference(Choice):
    """What `hue_threshold` is a fraction of: the frame's brightest pixel (P98), or 1."""

    FRAME, FIXED = "frame", "fixed"


class Phase(Choice):
    """Where a coarse sample sits: between two fine ones, or on every other (iNVT)."""

    CENTRED, EVEN = "centred", "even"


class SmallFrames(Choice):
    """Levels under one pixel: drop the pairs that need them, or clamp to one pixel (iNVT)."""

    DROP, CLAMP = "drop", "clamp"


class OrientationPyramid(Choice):
    """What is filtered: the intensity pyramid's own levels, or a 9-tap pyramid (iNVT, G94)."""

    INTENSITY, LAPLACIAN = "intensity", "laplacian"


class Contrast(Choice):
    """The sign of centre minus surround for orientation: |C-S| (P98, eq. 4) or max(0, C-S)."""

    ABSOLUTE, RECTIFIED = "absolute", "rectified"


class Upsampling(Choice):
    """How a surround reaches its centre's size: bilinear, or block replication (iNVT)."""

    BILINEAR, REPLICATE = "bilinear", "replicate"


class Normalisation(Choice):
    """The operator N: (M - mean maximum)^2 (P98), iterated difference of Gaussians (IK00), none."""

    MAXNORM, ITERATIVE, NONE = "maxnorm", "iterative", "none"


class PeakMean(Choice):
    """Which maxima the mean in `maxnorm` is over: all but the global one (P98), or all (iNVT)."""

    OTHERS, ALL = "others", "all"


class Smoothing(Choice):
    """How the map follows the frames: at once, or by a smoothing factor, fixed or by time.

    `ema`: V <- V + rate (S - V) per frame (iNVT). `leaky`: the same with a rate of
    1 - exp(-dt / seconds), a leaky integrator (P98's saliency map).
    """

    NONE, EMA, LEAKY = "none", "ema", "leaky"


def number(name: str, value: Any) -> float:
    """A number as a float, infinite beyond its range; else a TypeError that names it."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}={value!r} must be a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


class Weights(Mapping[Name, float]):
    """A weight for each of some names. Read-only and hashable.

    A subclass says which names there are, and the weight where none is given.
    """

    field: ClassVar[str]  # of `Config`
    kind: ClassVar[str]  # what has the weights
    default: ClassVar[float]
    names: ClassVar[tuple[Any, ...]]

    def __init__(self, weights: Any) -> None:
        field, kind = self.field, self.kind
        try:
            given = dict(weights)
        except (TypeError, ValueError):
            raise TypeError(
                f"{field}={weights!r} must map {kind}s to numbers, as in {{'{self.names[1]}': 2.0}}"
            ) from None
        self._weights: dict[Name, float] = dict.fromkeys(self.names, self.default)
        for name, value in given.items():
            if name not in self._weights:
                names = ", ".join(repr(str(each)) for each in self.names)
                raise ValueError(f"{field}: {name!r} is not one of {names}")
            weight = number(f"{field}: {name}", value)
            if not 0 <= weight < math.inf:
                raise ValueError(f"{field}: {name}={weight!r} must be finite and at least 0")
            self._weights[name] = weight
        if not 0 < sum(self._weights.values()) < math.inf:
            raise ValueError(
                f"{field}={weights!r}: at least one {kind} needs a weight above 0, and their sum "
                "must be finite"
            )

    def __getitem__(self, name: Name) -> float:
        return self._weights[name]

    def __iter__(self) -> Iterator[Name]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def __hash__(self) -> int:
        return hash(tuple(self._weights.items()))

    def __repr__(self) -> str:
        return repr(self.plain())

    def plain(self) -> dict[str, float]:
        """The same as a dict of plain values."""
        return {str(name): weight for name, weight in self.items()}


class ChannelWeights(Weights[Channel]):
    """The weight of every channel, 0 where none is given.

    Examples
    --------
    >>> {**ChannelWeights({"intensity": 1}), "colour": 2}["colour"]
    2
    """

    field, kind, default, names = "weights", "channel", 0.0, tuple(Channel)


class FeatureWeights(Weights[str]):
    """The weight of every feature, 1 where none is given.

    Examples
    --------
    >>> FeatureWeights({"red_green": 2})["blue_yellow"]
    1.0
    """

    field, kind, default = "feature_weights", "feature", 1.0
    names = tuple(feature.name for feature in FEATURES)


@dataclass(frozen=True)
class Config:
    """One reading of the model. Frozen, hashable, checked when made.

    The defaults are the preset `itti1998`. Enum fields take the enum or its value. Use
    `dataclasses.replace` to change one field.

    Parameters
    ----------
    model : Model
        `itti`, which the other fields describe, or a published program, `toolbox`, `vocus2` or
        `gbvs`, of which only `weights` can be changed.
    weights : mapping of channel to number >= 0
        Relative weight of each conspicuity map in the sum: equal for the channels of P98 (eq. 8),
        0 for flicker, motion and whitened. They are divided by their sum over the channels that a
        frame has; a channel of weight 0 is not computed.
    feature_weights : mapping of feature to number >= 0
        Relative weight of each feature in its channel's conspicuity map: red_green, blue_yellow,
        orientation_0, ... (`features.FEATURES`), 1 where none is given (P98, eqs. 5-7). They are
        divided by the largest of the channel, since N follows and takes any common factor out.
        A channel whose features all have weight 0 adds nothing to the map, though its own weight
        still counts in the sum of `weights`.
    opponency : Opponency
        The two colour planes.
    hue_reference, hue_threshold : HueReference, float in [0, 1)
        Hue is set to 0 where intensity is not above this fraction of the frame's maximum
        (P98: a tenth) or of 1. `fixed` suits video: no bright pixel makes the colours flicker.
        With `opponency="walther"` the intensity compared is max(r, g, b).
    linear : bool
        Undo the sRGB curve first. No published code does; P98 is silent.
    phase : Phase
        Sampling of every pyramid. With `centred` a mirrored frame gives the mirrored map where both
        sides are multiples of 256; else levels drop an odd last row or column, another one when
        mirrored. `even` shifts the map by up to 15 pixels besides.
    small_frames : SmallFrames
        What happens to pairs whose surround has less than one pixel.
    orientation_pyramid : OrientationPyramid
        What the oriented filters see.
    wavenumber : float in (0, pi]
        Of the oriented filters, radians per pixel of the level (iNVT: 2.6).
    orientation_contrast : Contrast
        Sign of centre minus surround for orientation. Intensity and colour are always absolute.
    upsampling : Upsampling
        Of the surround to the centre's size ("interpolation to the finer scale", P98).
    split_cs : bool
        Keep the positive and negative half of each centre-surround difference as two maps.
        Finds red among green; costs shuffled AUC on photographs.
    border_attenuation : bool
        Fade oriented levels and centre-surround maps towards the frame's border (iNVT).
    reduction_taps : 5 or 9
        Low-pass before each downsampling of a centre-surround map to the saliency map's level.
    normalise_before_reduction : bool
        N at the map's own scale, as P98 writes it, rather than at the saliency map's level as its
        authors' codes do.
    normalisation : Normalisation
        The operator N.
    peak_mean : PeakMean
        Which local maxima count in `maxnorm`. `all` counts every sample of a plateau, as iNVT
        does; with `others` equal neighbours share a count.
    iterations : int in 1..100
        Of `iterative` (IK00 shows about 10; the published codes use 3).
    normalise_opponents : bool
        N on the red-green sum and on the blue-yellow sum before they are added.
    normalise_saliency : bool
        N on the final sum, on the range [0, 2] (iNVT).
    motion_threshold : float in [0, 1)
        Reichardt responses below it are none; in squared intensities of 0 to 1 (iNVT: 3 of 255^2).
    figure : bool
        Multiply the map by surroundedness, how far a place stands out of what surrounds it, and by
        corners, where contours of several orientations meet (`reference.surroundedness`,
        `reference.corners`). The sum over channels then promotes places among those; flicker and
        motion promote them as if surroundedness were higher by 2, of 0 to 6, so that what moves
        needs no closed outline. Needs a weight of orientation.
    whitening_seconds : float >= 0
        The statistics of whitening are each frame's own (0), or running ones: averages over about
        so many seconds of the frames before, so that no frame waits for its own.
    centre_prior : float, 0 or 1e-6 to 1e6
        Multiply the map by a Gaussian about the frame's middle, of this standard deviation as a
        fraction of each side; 0: no prior. People look at the middle of photographs whatever they
        show (Tatler 2007), so AUC and NSS gain by it, and shuffled AUC loses.
    working_size : int >= 0
        Longer side in pixels that smaller frames are worked on as if they had, to the nearest
        octave: all levels move down by one or two (`octave_shift`), and the map has 8 or 4 pixels
        per sample in place of 16. 0: never. A small frame then costs up to as much as a large one.
    smoothing, smoothing_rate, smoothing_seconds : Smoothing, float in (0, 1], float > 0
        Of the map over time. The rate is `ema`'s (iNVT: 0.1), the seconds are `leaky`'s (P98's
        saliency map: 0.5).

    Raises
    ------
    TypeError, ValueError
        A field has the wrong type or a value outside its limits; the message names them.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import ittisal
    >>> config = replace(ittisal.ITTI_1998, split_cs=True)
    >>> config == ittisal.Config.from_dict(config.to_dict())
    True
    """

    model: Model = Model.ITTI
    weights: Mapping[Channel, float] = ChannelWeights({c: t.weight for c, t in CHANNELS.items()})
    feature_weights: Mapping[str, float] = FeatureWeights({})
    opponency: Opponency = Opponency.ITTI
    hue_reference: HueReference = HueReference.FRAME
    hue_threshold: float = 0.1
    linear: bool = False
    phase: Phase = Phase.CENTRED
    small_frames: SmallFrames = SmallFrames.DROP
    orientation_pyramid: OrientationPyramid = OrientationPyramid.INTENSITY
    wavenumber: float = 2.6
    orientation_contrast: Contrast = Contrast.ABSOLUTE
    upsampling: Upsampling = Upsampling.BILINEAR
    split_cs: bool = False
    border_attenuation: bool = True
    reduction_taps: int = 5
    normalise_before_reduction: bool = False
    normalisation: Normalisation = Normalisation.MAXNORM
    peak_mean: PeakMean = PeakMean.OTHERS
    iterations: int = 3
    normalise_opponents: bool = False
    normalise_saliency: bool = False
    motion_threshold: float = 3 / 255**2
    figure: bool = False
    whitening_seconds: float = 0.0
    centre_prior: float = 0.0
    working_size: int = 0
    smoothing: Smoothing = Smoothing.NONE
    smoothing_rate: float = 0.1
    smoothing_seconds: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _checked(field.name, field.default, value))
        if self.model is not Model.ITTI:
            self._check_program()
        if self.figure and not self.has(Channel.ORIENTATION):
            raise ValueError(
                "figure=True takes corners from the orientation channel, whose weight is 0; "
                "give it a weight above 0"
            )

    def _check_program(self) -> None:
        """ValueError where a field or a channel is asked for that a published program lacks."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("model", "weights") and value != field.default:
                raise ValueError(
                    f"{field.name}={_plain(value)!r} does not apply to model={self.model.value!r}, "
                    "a published program; leave it out, or use model='itti'"
                )
        has = MODEL_CHANNELS[self.model]
        for channel in self.weights:
            if self.has(channel) and channel not in has:
                raise ValueError(
                    f"weights: model={self.model.value!r} has no channel {channel.value!r}; it has "
                    f"{', '.join(has)}"
                )

    def octave_shift(self, shape: tuple[int, int]) -> int:
        """How many levels finer than P98's a frame of (height, width) is worked on: 0, 1 or 2.

        So many octaves as bring the longer side nearest to `working_size`.

        Examples
        --------
        >>> config = Config(working_size=800)
        >>> [config.octave_shift((n, n)) for n in (256, 282, 283, 400, 565, 566, 640)]
        [2, 2, 1, 1, 1, 0, 0]
        """
        octaves = math.log2(max(self.working_size, 1) / max(*shape, 1))
        return min(max(round(octaves), 0), MOST_SHIFT)

    def channel_weights(self, *, colour: bool = True, past: bool = True) -> dict[Channel, float]:
        """Weights that sum to 1 over the channels computed.

        `colour` is False for a grey frame, which has no colour channel: ValueError if nothing else
        has a weight. `past` is False where no frame came before, so no flicker and no motion; if
        nothing else has a weight, intensity stands in with weight 0, and the map is 0.
        """
        present = self._present(colour=colour, past=past)
        if not present:
            return {Channel.INTENSITY: 0.0}
        total = sum(present.values())
        return {channel: weight / total for channel, weight in present.items()}

    def unit_weight(self, *, colour: bool = True, past: bool = True) -> float:
        """What a channel of weight 1 has beside `channel_weights`."""
        return 1 / (sum(self._present(colour=colour, past=past).values()) or 1.0)

    def _present(self, *, colour: bool, past: bool) -> dict[Channel, float]:
        """The weights, as given, of the channels computed."""
        given = {
            channel: weight
            for channel, weight in self.weights.items()
            if weight > 0 and (colour or not CHANNELS[channel].needs_colour)
        }
        if not given:
            raise ValueError(
                "a grey frame has no colour channel, and no other channel has a weight; "
                "give a colour frame, or weights to other channels"
            )
        return {
            channel: weight for channel, weight in given.items() if past or channel not in TEMPORAL
        }

    def feature_weight(self, feature: Feature) -> float:
        """Weight of a feature in its conspicuity map, 0 to 1: relative to its channel's largest."""
        weights = self.feature_weights
        largest = max(weights[each.name] for each in FEATURES if each.channel is feature.channel)
        weight = weights.get(feature.name, FeatureWeights.default)
        return weight / largest if largest > 0 else 0.0

    def has(self, channel: Channel) -> bool:
        """Whether a channel has a weight."""
        return self.weights[channel] > 0

    @property
    def has_orientation_pyramid(self) -> bool:
        """Whether orientation is computed, and on a pyramid apart from intensity's."""
        laplacian = self.orientation_pyramid is OrientationPyramid.LAPLACIAN
        return laplacian and self.has(Channel.ORIENTATION)

    @property
    def whitens(self) -> bool:
        """Whether the planes of a frame are decorrelated by its statistics."""
        return self.figure or self.has(Channel.WHITENED)

    @property
    def averages(self) -> bool:
        """Whether those statistics are running ones, of the frames before."""
        return self.whitens and self.whitening_seconds > 0

    @property
    def sees_colour(self) -> bool:
        """Whether a colour frame's red-green and blue-yellow planes are made."""
        return self.has(Channel.COLOUR) or self.whitens

    @property
    def remembers(self) -> bool:
        """Whether a map depends on the frames before."""
        temporal = any(self.has(channel) for channel in TEMPORAL)
        return temporal or self.averages or self.smoothing is not Smoothing.NONE

    def to_dict(self) -> dict[str, Any]:
        """Plain values by field name, ready for JSON: `opponency` is `"itti"`."""
        return {name: _plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Inverse of `to_dict`; missing fields take `itti1998`'s values.

        Raises ValueError for a field that is unknown (lists those known) or out of its limits, and
        TypeError for one of the wrong type.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(
                f"unknown config field {unknown[0]!r}; the fields are: {', '.join(known)}"
            )
        return cls(**values)

    def to_json(self) -> str:
        """The fields as a JSON object."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Inverse of `to_json`. Raises ValueError on bad JSON, unknown fields or bad values."""
        return cls._from_document(documents.parse(text, ".json"))

    @classmethod
    def _from_document(cls, values: Any) -> Config:
        if not isinstance(values, dict):
            raise ValueError(f"a config is a JSON object; this is a {type(values).__name__}")
        return cls.from_dict(values)

    @classmethod
    def from_toml(cls, text: str) -> Config:
        """The config in a TOML document. Raises ValueError as `from_json` does."""
        return cls.from_dict(documents.parse(text, ".toml"))

    @classmethod
    def from_file(cls, path: str | Path) -> Config:
        """Read a `.json` or `.toml` file.

        Raises OSError if it cannot be read, and ValueError, which names the file, for another
        suffix, a bad document, an unknown field or a bad value.
        """
        path = Path(path)
        if path.suffix not in documents.MAX_BYTES:
            raise ValueError(f"{path}: a config file ends in .json or .toml, not {path.suffix!r}")
        try:
            return cls._from_document(documents.read(path, path.suffix))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error


_RANGES = {  # field -> (accepts, what the limit is)
    "hue_threshold": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "wavenumber": (lambda v: 0 < v <= math.pi, "above 0 and at most pi"),
    "reduction_taps": (lambda v: v in (5, 9), "5 or 9"),
    "iterations": (lambda v: 1 <= v <= 100, "1 to 100"),
    "motion_threshold": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "whitening_seconds": (lambda v: 0 <= v < math.inf, "at least 0 and finite"),
    "centre_prior": (lambda v: v == 0 or 1e-6 <= v <= 1e6, "0, or 1e-6 to 1e6"),
    "working_size": (lambda v: 0 <= v <= 1 << 30, "at least 0 and at most 2^30"),
    "smoothing_rate": (lambda v: 0 < v <= 1, "above 0 and at most 1"),
    "smoothing_seconds": (lambda v: 0 < v < math.inf, "above 0 and finite"),
}


def _plain(value: Any) -> Any:
    if isinstance(value, Weights):
        return value.plain()
    return value.value if isinstance(value, Choice) else value


def _checked(name: str, default: Any, value: Any) -> Any:
    """`value` in the field's own type, or an error that names field, value and limit."""
    kind = type(default)
    if isinstance(default, Weights):
        return value if isinstance(value, kind) else kind(value)
    if isinstance(default, Choice):
        try:
            return kind(value)
        except ValueError:
            names = ", ".join(repr(member.value) for member in kind)
            raise ValueError(f"{name}={value!r} is not one of {names}") from None
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"{name}={value!r} must be True or False")
        return value
    as_float = number(name, value)
    if isinstance(default, int) and not as_float.is_integer():
        raise TypeError(f"{name}={value!r} must be a whole number")
    value = kind(as_float)
    accepts, limit = _RANGES[name]
    if not accepts(value):
        raise ValueError(f"{name}={value!r} must be {limit}")
    return value


ITTI_1998 = Config()
"""The 1998 paper, with the readings that suit photographs best where it is silent."""

INVT = Config(
    weights=ChannelWeights({"intensity": 4, "colour": 2, "orientation": 1}),
    opponency=Opponency.INVT,
    hue_reference=HueReference.FIXED,
    phase=Phase.EVEN,
    small_frames=SmallFrames.CLAMP,
    orientation_pyramid=OrientationPyramid.LAPLACIAN,
    orientation_contrast=Contrast.RECTIFIED,
    upsampling=Upsampling.REPLICATE,
    reduction_taps=9,
    peak_mean=PeakMean.ALL,
    normalise_saliency=True,
)
"""What the authors' own didactic program (iNVT's simple-saliency) does."""

VIDEO = Config(
    weights=ChannelWeights(
        {c: 1 for c, traits in CHANNELS.items() if traits.weight or traits.needs_past}
    ),
    opponency=Opponency.LINEAR,
    figure=True,
    working_size=800,
)
"""`gaze` for moving pictures: with flicker and motion, which need no figure to be seen. The first
frame's map is that of `gaze`."""

WHITENED = Config(
    weights=ChannelWeights({"whitened": 1}),
    opponency=Opponency.LINEAR,
    normalisation=Normalisation.NONE,
    working_size=800,
)
"""Adaptive whitening (after AWS, Garcia-Diaz et al. 2012): the squared Mahalanobis
distance of oriented energies of decorrelated planes from the frame's mean. Predicts fixations
better than `itti1998`."""

GAZE = Config(opponency=Opponency.LINEAR, figure=True, working_size=800)
"""Where people look in photographs: corners on figures, those promoted that pop out. See
`benchmarks/FIXATIONS.md`."""

TOOLBOX = Config(
    model=Model.TOOLBOX, weights=ChannelWeights({"intensity": 4, "colour": 2, "orientation": 1})
)
"""The SaliencyToolbox with its defaults (Walther & Koch 2006)."""

VOCUS2 = Config(model=Model.VOCUS2, weights=ChannelWeights({"intensity": 1, "colour": 2}))
"""VOCUS2 with its defaults (Frintrop, Werner & Martin Garcia 2015)."""

GBVS = Config(model=Model.GBVS)
"""Graph-based visual saliency with its defaults (Harel, Koch & Perona 2006)."""

PRESETS: dict[str, Config] = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "video": VIDEO,
    "whitened": WHITENED,
    "gaze": GAZE,
    "toolbox": TOOLBOX,
    "vocus2": VOCUS2,
    "gbvs": GBVS,
}


def preset(name: str) -> Config:
    """The named reading of the model; ValueError, which lists the names, if there is none.

    `name` is `itti1998` (the default, but for video), `invt`, `video`, `whitened`, `gaze`, or a
    published program, `toolbox`, `vocus2` or `gbvs`.

    Examples
    --------
    >>> import ittisal
    >>> ittisal.preset("invt").phase.value
    'even'
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; the presets are: {', '.join(PRESETS)}")
    return PRESETS[name]
