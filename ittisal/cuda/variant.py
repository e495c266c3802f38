"""What has to be known when the kernels are compiled, as `-D` options: no kernel chooses."""

from __future__ import annotations

from ..config import (
    Channel,
    Config,
    Contrast,
    HueReference,
    Normalisation,
    Opponency,
    PeakMean,
    Phase,
    Smoothing,
    Upsampling,
)
from .layout import CALL_BYTES, GEOMETRY

OPPONENCIES = {
    Opponency.ITTI: "ITTI",
    Opponency.INVT: "INVT",
    Opponency.WALTHER: "WALTHER",
    Opponency.LINEAR: "UNDIVIDED",  # LINEAR is another option's name
}
OPERATORS = {
    Normalisation.MAXNORM: "MAXNORM",
    Normalisation.ITERATIVE: "ITERATIVE",
    Normalisation.NONE: "NONE",
}
BITS = {"uint8": 8, "uint16": 16, "float32": 32}
# No product is fused with a sum but where the text says fmaf: the same bits everywhere.
COMPILER = ("-std=c++17", "--fmad=false")  # spelt so that CuPy sees it, and adds no other


def has_colour(config: Config, channels: int) -> bool:
    """Whether colour is computed for frames of so many channels."""
    return channels == 3 and config.sees_colour


def definitions(config: Config, order: str, dtype: str, channels: int) -> dict[str, int | str]:
    """Names and values for a config and a kind of frame; kernels/common.cuh says what they mean."""
    return {
        "PIXEL_BITS": BITS[dtype],
        "CHANNELS": channels,
        "BGR": int(order == "bgr"),
        "LINEAR": int(config.linear),
        "PLANES": 3 if has_colour(config, channels) else 1,
        "OPPONENCY": OPPONENCIES[config.opponency],
        "EVEN": int(config.phase is Phase.EVEN),
        "REPLICATE": int(config.upsampling is Upsampling.REPLICATE),
        "RECTIFIED": int(config.orientation_contrast is Contrast.RECTIFIED),
        "SPLIT": int(config.split_cs),
        "REDUCTION_TAPS": config.reduction_taps,
        "OWN_PYRAMID": int(config.own_pyramid),
        "HAS_FLICKER": int(config.has(Channel.FLICKER)),
        "HAS_MOTION": int(config.has(Channel.MOTION)),
        "HAS_WHITENED": int(config.has(Channel.WHITENED)),
        "WHITENS": int(config.whitens),
        "FIGURES": int(config.figure),
        "AVERAGES": int(config.averages),
        "SMOOTHED": int(config.smoothing is not Smoothing.NONE),
        "OPERATOR": OPERATORS[config.normalisation],
        "ALL_PEAKS": int(config.peak_mean is PeakMean.ALL),
        "ITERATIONS": config.iterations,
        "NORM_OPPONENTS": int(config.normalise_opponents),
        "NORM_SALIENCY": int(config.normalise_saliency),
        "FIXED_HUE": int(config.hue_reference is HueReference.FIXED),
        "GEOMETRY_BYTES": GEOMETRY.itemsize,
        "CALL_BYTES": CALL_BYTES,
    }


def options(config: Config, order: str, dtype: str, channels: int) -> tuple[str, ...]:
    """The compiler's options."""
    defined = definitions(config, order, dtype, channels)
    return (*COMPILER, *(f"-D{name}={value}" for name, value in defined.items()))
