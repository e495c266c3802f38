"""The two doors: `Saliency`, which owns plan and buffers, and `saliency_map`, which is easy."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import backends
from .config import ITTI_1998, Config
from .frames import check_channel_order, check_frame, check_shape, composite
from .maps import enlarge
from .pipeline import Backend
from .plan import Plan

SERIAL_PIXELS = 500_000  # below this a second thread costs more than it saves
MAX_AUTO_THREADS = 8
CACHED_MODELS = 4


class Saliency:
    """The model for frames of one size: plan, kernels and fixed buffers made once.

    Nothing is allocated per frame when `out` is given. The buffers are its own, so use one
    object per thread; a second call while one is under way is refused.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the frames in pixels, both at least 32.
    config : Config
        The reading of the model; `ittisal.preset` names some.
    backend : {"auto", "cpu", "reference"}
        "auto" takes the fastest that can run here, or what the environment variable
        ITTISAL_BACKEND names. A named backend never falls back to another.
    channel_order : {"rgb", "bgr"}
        Of colour frames. OpenCV's are "bgr".
    threads : int, optional
        CPU threads that share one frame. By default ITTISAL_THREADS, else one for small frames
        and up to eight for large ones. The map does not depend on it.

    Raises
    ------
    TypeError, ValueError
        Bad shape, order or thread count.
    BackendError
        The backend named cannot run here.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> model = ittisal.Saliency((240, 320), channel_order="bgr")
    >>> frame = np.zeros((240, 320, 3), np.uint8)
    >>> frame[100:120, 200:220] = 255
    >>> raw = model(frame)
    >>> raw.shape, raw.dtype
    ((15, 20), dtype('float32'))
    """

    def __init__(
        self,
        shape: tuple[int, int],
        config: Config = ITTI_1998,
        *,
        backend: str = "auto",
        channel_order: str = "rgb",
        threads: int | None = None,
    ) -> None:
        if not isinstance(config, Config):
            raise TypeError(f"config is a {type(config).__name__}; give an ittisal.Config")
        self._plan = Plan(check_shape(shape), config)
        self._channel_order = check_channel_order(channel_order)
        count = _thread_count(threads, self._plan.shape)
        _, module = backends.choose(backend, config)
        self._backend: Backend = module.make(self._plan, self._channel_order, count)
        self._busy = threading.Lock()
        self._closed = False

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self._plan.shape

    @property
    def map_shape(self) -> tuple[int, int]:
        """(height, width) of the raw map: a sixteenth of the frame's."""
        return self._plan.map_shape

    @property
    def config(self) -> Config:
        """The reading of the model."""
        return self._plan.config

    @property
    def plan(self) -> Plan:
        """The geometry: levels, pairs, buffers."""
        return self._plan

    @property
    def backend(self) -> str:
        """Name of the backend that runs."""
        return self._backend.name

    @property
    def threads(self) -> int:
        """CPU threads that share one frame."""
        return self._backend.threads

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers that this object owns."""
        return self._backend.nbytes

    def __call__(self, frame: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The raw saliency map of one frame (P98, eq. 8).

        Parameters
        ----------
        frame : array of shape (H, W, 3) or (H, W)
            uint8, uint16, or float in [0, 1]; any strides; never changed. Grey frames have no
            colour channel. C-contiguous ones are read where they are, others copied.
        out : float32 ndarray of shape (H//16, W//16), optional
            C-contiguous; receives the map.

        Returns
        -------
        float32 ndarray of shape (H//16, W//16)
            Not negative, not scaled to 1: comparable between frames. A frame without contrast
            gives exactly 0. Map sample i lies at frame pixel (i + 1/2) 16 - 1/2.

        Raises
        ------
        TypeError, ValueError
            Another size or type than the model's, or float values that are NaN or outside [0, 1].
        RuntimeError
            The model is closed, or in use by another thread.
        """
        frame = self._checked(frame)
        if out is None:
            out = np.empty(self.map_shape, np.float32)
        else:
            self._check_out(out)
        with self._alone() as backend:
            backend.run(frame, out)
        return out

    def trace(self, frame: Any) -> dict[str, np.ndarray]:
        """Every intermediate of one frame, by the names of `ittisal.reference.trace`.

        The CPU backend never makes some, and leaves them out: levels 0 and 1 of the pyramids, and
        `contrast/...`, centre-surround maps at their own scale. The arrays are copies.
        """
        frame = self._checked(frame)
        with self._alone() as backend:
            return backend.trace(frame)

    def timings(self, frame: Any) -> dict[str, float]:
        """Milliseconds that each stage took for this frame, once."""
        frame = self._checked(frame)
        with self._alone() as backend:
            return backend.timings(frame)

    def close(self) -> None:
        """Stop worker threads; the object then refuses frames. Closing twice does no harm."""
        self._closed = True
        self._backend.close()

    def __enter__(self) -> Saliency:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<Saliency {width}x{height}, backend {self.backend}, threads {self.threads}>"

    @contextmanager
    def _alone(self) -> Iterator[Backend]:
        """The backend, for one caller at a time."""
        if self._closed:
            raise RuntimeError("this Saliency is closed; build another")
        if not self._busy.acquire(blocking=False):
            raise RuntimeError(
                "this Saliency is in use by another thread; build one for each thread"
            )
        try:
            yield self._backend
        finally:
            self._busy.release()

    def _checked(self, frame: Any) -> np.ndarray:
        frame = check_frame(frame)
        if frame.shape[:2] != self.shape:
            raise ValueError(
                f"frame has shape {frame.shape}; this Saliency was built for {self.shape}. "
                "Build another, or call ittisal.saliency_map(frame)"
            )
        return frame

    def _check_out(self, out: np.ndarray) -> None:
        if not isinstance(out, np.ndarray) or out.dtype != np.float32:
            kind = getattr(out, "dtype", type(out).__name__)
            raise TypeError(f"out is {kind}; give a float32 ndarray of shape {self.map_shape}")
        if out.shape != self.map_shape:
            raise ValueError(f"out has shape {out.shape}; the map has {self.map_shape}")
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise ValueError("out must be C-contiguous and writeable")


def _thread_count(threads: int | None, shape: tuple[int, int]) -> int:
    source = "threads"
    value: Any = threads
    if value is None and os.environ.get("ITTISAL_THREADS"):
        source, value = "ITTISAL_THREADS", os.environ["ITTISAL_THREADS"]
    if value is None:
        if shape[0] * shape[1] < SERIAL_PIXELS:
            return 1
        usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
        return min(len(usable), MAX_AUTO_THREADS)
    try:
        count = int(value)
        if isinstance(value, bool) or (not isinstance(value, str) and count != value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{source}={value!r} must be a whole number") from None
    if not 1 <= count <= 256:
        raise ValueError(f"{source}={count} must be 1 to 256")
    return count


_local = threading.local()


def saliency_map(
    image: Any,
    config: Config = ITTI_1998,
    *,
    backend: str = "auto",
    channel_order: str = "rgb",
) -> np.ndarray:
    """The saliency map of an image, at the image's size, between 0 and 1.

    Parameters
    ----------
    image : array of shape (H, W), (H, W, 3), (H, W, 2) or (H, W, 4)
        Grey or colour; with straight alpha, which is composited over white. uint8,
        uint16, or float in [0, 1]; any strides; never changed. Sides at least 32.
    config : Config
        The reading of the model; see `ittisal.preset`.
    backend : {"auto", "cpu", "reference"}
        As for `Saliency`.
    channel_order : {"rgb", "bgr"}
        Of colour images; never guessed. Images from cv2.imread are "bgr".

    Returns
    -------
    float32 ndarray of shape (H, W)
        In [0, 1]: the raw map over its maximum, enlarged bilinearly on the pyramid's own grid.
        (Map samples lie between pixels, so the highest pixel may fall a little short of 1.) All
        zero where nothing stands out.

    Raises
    ------
    TypeError, ValueError
        Not an image that the model takes; the message says why.
    BackendError
        The backend named cannot run here.

    Notes
    -----
    Models of the last sizes used are kept per thread, so repeated calls are quick. Video loops
    are better served by `Saliency`.

    Examples
    --------
    >>> import numpy as np, ittisal
    >>> image = np.zeros((96, 128, 3), np.uint8)
    >>> image[40:50, 60:70] = (255, 0, 0)
    >>> saliency = ittisal.saliency_map(image)
    >>> saliency.shape, saliency.dtype, bool(0.9 < saliency.max() <= 1)
    ((96, 128), dtype('float32'), True)
    """
    if hasattr(image, "__array__"):
        image = composite(np.asarray(image))
    frame = check_frame(image)
    raw = _cached_model(frame.shape[:2], config, backend, channel_order)(frame)
    peak = raw.max()
    if peak > 0:
        raw /= peak
    return enlarge(raw, frame.shape[:2], config)


def _cached_model(*key: Any) -> Saliency:
    """A model from this thread's least-recently-used few; the environment is part of the key."""
    models: OrderedDict[Any, Saliency] = _local.__dict__.setdefault("models", OrderedDict())
    shape, config, backend, channel_order = key
    key += (os.environ.get("ITTISAL_BACKEND"), os.environ.get("ITTISAL_THREADS"))
    model = models.pop(key, None)
    if model is None:
        model = Saliency(shape, config, backend=backend, channel_order=channel_order)
        while len(models) >= CACHED_MODELS:
            models.popitem(last=False)[1].close()
    models[key] = model
    return model
