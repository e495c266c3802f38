"""What a frame may be: shape, type and values checked once, with errors that say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np

from .config import MIN_SIDE

CHANNEL_ORDERS = ("rgb", "bgr")
CUDA_MEMORY = (2, 13)  # DLPack's numbers: of a device, and managed
DTYPES = frozenset(map(np.dtype, ("uint8", "uint16", "float32")))  # that the model takes
PIL_MODES = ("L", "LA", "RGB", "RGBA", "I", "I;16", "I;16L", "I;16B", "F")  # intensities
MAX_SIDE = 1 << 16  # beyond it offsets in the arena would be worth a second thought


def check_channel_order(channel_order: str) -> str:
    """`channel_order` if it is "rgb" or "bgr", else ValueError."""
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(f"channel_order={channel_order!r} is not 'rgb' or 'bgr'")
    return channel_order


def as_shape(shape: Any) -> tuple[int, int]:
    """(height, width) as two ints; TypeError unless they are two whole numbers."""
    try:
        height, width = (int(n) for n in shape)
        if (height, width) != tuple(shape):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"shape={shape!r} must be (height, width) in pixels, as in frame.shape[:2]"
        ) from None
    return height, width


def check_shape(shape: Any) -> tuple[int, int]:
    """(height, width) as two ints within the model's limits.

    Raises
    ------
    TypeError
        Not two whole numbers.
    ValueError
        A side is under 32 or over 65536 pixels.
    """
    height, width = as_shape(shape)
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"frame is {width}x{height} pixels; both sides must be at least {MIN_SIDE}, for the "
            "first centre-surround pair. Upsample it first"
        )
    if max(height, width) > MAX_SIDE:
        raise ValueError(
            f"frame is {width}x{height} pixels; sides over {MAX_SIDE} are not supported. "
            "Shrink it first"
        )
    return height, width


def is_on_gpu(array: Any) -> bool:
    """Whether this is an array in the memory of a CUDA device, CuPy's or another library's."""
    if isinstance(array, np.ndarray) or array is None:
        return False
    where = getattr(array, "__dlpack_device__", None)
    if where is not None:
        return where()[0] in CUDA_MEMORY
    return hasattr(array, "__cuda_array_interface__")


def check_frame(frame: Any) -> np.ndarray:
    """An array of shape (H, W) or (H, W, 3) with a type that the model takes; values unread.

    A trailing axis of length 1 is dropped. float16 and float64 become float32; nothing else is
    converted, and the input is never changed.

    Raises
    ------
    TypeError
        Not an array, or a type other than uint8, uint16 and float.
    ValueError
        Empty, or another number of axes or channels.
    """
    return _checked_type(_checked_axes(as_array(frame), 0))


def check_frames(frames: Any, shape: tuple[int, int]) -> tuple[Any, bool]:
    """One frame of this (height, width), or several: arrays with an axis more in front.

    They are NumPy's arrays or CuPy's; see `as_array`.

    Returns
    -------
    array, bool
        Of shape (H, W[, 3]) or (N, H, W[, 3]), as from `check_frame`; whether it is several.

    Raises
    ------
    TypeError, ValueError
        As `check_frame`, or frames of another size.
    """
    several = frames.ndim == 4 or (frames.ndim == 3 and frames.shape[1:] == shape)
    frames = _checked_axes(frames, int(several))
    if frames.shape[several : several + 2] != shape:
        raise ValueError(
            f"frame has shape {frames.shape[several:]}; this Saliency was built for {shape}. "
            "Build another, or call ittisal.saliency_map(frame)"
        )
    return _checked_type(frames), several


def as_array(frame: Any) -> Any:
    """An array as it is, or what converts to one, PIL images among it.

    Raises
    ------
    TypeError
        No array, or a PIL image whose numbers are no intensities or not red, green and blue.
    ValueError
        A masked array in which something is masked.
    """
    if type(frame) is np.ndarray:
        return frame
    if np.ma.is_masked(frame):
        raise ValueError(
            f"frame is a masked array, {np.ma.count_masked(frame)} of its numbers are masked; fill "
            "them first, as with frame.filled(frame.mean())"
        )
    if isinstance(frame, np.ndarray) or is_on_gpu(frame):
        return frame
    if type(frame).__module__.startswith("PIL.") and frame.mode not in PIL_MODES:
        raise TypeError(
            f'frame is a PIL image of mode {frame.mode!r}; convert it first: frame.convert("RGB")'
        )
    if not hasattr(frame, "__array__") and not hasattr(frame, "__array_interface__"):
        raise TypeError(
            f"frame is a {type(frame).__name__}, not an array"
            + (" (did the camera or the file reader fail?)" if frame is None else "")
            + "; give a NumPy array of shape (H, W, 3) or (H, W)"
        )
    return np.asarray(frame)


def _checked_axes(frame: Any, leading: int) -> Any:
    """The frame, or frames after `leading` axes, without a last axis of length 1."""
    if frame.ndim - leading == 3 and frame.shape[-1] == 1:
        frame = frame[..., 0]
    shape = frame.shape
    if frame.size == 0:
        raise ValueError(f"frame of shape {shape} is empty")
    sides, channels = len(shape) - leading, shape[leading + 2 :]
    if channels == (4,):
        raise ValueError(
            f"frame of shape {shape} has four channels; drop the fourth with "
            "frame[..., :3], or composite it (saliency_map does, over white)"
        )
    if sides < 2 or channels not in ((), (3,)):
        raise ValueError(
            f"frame of shape {shape} is not an image; give (H, W, 3) colour or (H, W) grey"
        )
    return frame


def _checked_type(frame: Any) -> Any:
    if frame.dtype not in DTYPES:
        frame = native(frame)
        if frame.dtype in (np.float16, np.float64):
            with np.errstate(over="ignore", invalid="ignore"):  # infinite and NaN are refused
                frame = frame.astype(np.float32)
        if frame.dtype not in DTYPES:
            raise TypeError(
                f"frame has dtype {frame.dtype}; give uint8 (0-255), uint16 (0-65535), or float in "
                "[0, 1]. Divide other integers by their full scale"
            )
    return frame


def native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order, as not every file is."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def check_values(low: float, high: float) -> None:
    """Raise ValueError unless the extremes of a float frame are numbers within [0, 1]."""
    if np.isnan(low) or np.isnan(high):
        raise ValueError("frame holds NaN; replace it first, as with numpy.nan_to_num")
    if low < 0:
        raise ValueError(
            f"frame holds {_shown(low)}; float frames must lie in [0, 1]. Clip or rescale it "
            "first, or give levels=(black, white)"
        )
    if high > 1 + 1e-6:
        raise ValueError(
            f"frame holds {_shown(high)}; float frames must lie in [0, 1]. Divide by the full "
            "scale (255 for 8-bit values), clip, or give levels=(black, white)"
        )


def _shown(value: float) -> str:
    """A value that was float64 may be infinite in float32 alone."""
    return f"{value:g}" if np.isfinite(value) else f"{value:g} (or what float32 cannot hold)"


def composite(image: np.ndarray) -> np.ndarray:
    """(H, W, 4) or (H, W, 2) with straight alpha, over white; others pass.

    White is the background that browsers, papers and `skimage.color.rgba2rgb` put under a picture.
    An opaque image keeps its type; else float32 in [0, 1].
    """
    if image.ndim != 3 or image.shape[2] not in (2, 4) or image.size == 0:
        return image
    image = native(image)
    if image.dtype not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
        return image[..., 0] if image.shape[2] == 2 else image[..., :3]  # check_frame refuses it
    if not np.issubdtype(image.dtype, np.unsignedinteger):
        full = 1.0
    else:
        full = float(np.iinfo(image.dtype).max)
    colour, alpha = image[..., :-1], image[..., -1:]
    if image.shape[2] == 2:
        colour = colour[..., 0]
        alpha = alpha[..., 0]
    lowest, highest = alpha.min(), alpha.max()
    if lowest == highest == full:
        return colour
    if full == 1:
        check_values(colour.min(), colour.max())
    if not 0 <= lowest <= highest <= full:  # NaN too
        raise ValueError("the alpha channel must lie in [0, 1]; clip or rescale it first")
    opaque = np.empty(colour.shape, np.float32)
    for over, row, cover in zip(opaque, colour, alpha, strict=True):  # less memory than all at once
        share = np.asarray(cover, np.float32) / np.float32(full)
        over[:] = row
        over /= np.float32(full)
        over *= share
        over += np.subtract(1, share, out=share)
    return opaque
