"""Faces as a channel: people look where they are (Cerf, Harel, Einhäuser & Koch 2007).

The detector is OpenCV's `FaceDetectorYN` with a model file of YuNet (Wu, Peng & Yu 2023), which
the user names or `download` fetches.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .channels import ChannelMap
from .files import utf8
from .frames import check_channel_order, check_frame, is_on_gpu
from .sampling import Sampling
from .store import cache_folder

FILE = "face_detection_yunet_2023mar.onnx"
URL = f"https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/{FILE}"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

SIZE = 640  # pixels of the longer side in which faces are looked for
LEAST_SCORE = 0.2
OVERLAP = 0.3  # intersection over union of two boxes above which the better one counts
MOST_FACES = 5000
WEIGHT = 60.0
SIGMA = 0.12  # standard deviations of a face's Gaussian, in sides of its box


class Face(NamedTuple):
    """A face: its box in pixels of the frame, how sure the detector is, and where its middle is."""

    x: float
    y: float
    width: float
    height: float
    score: float  # 0 to 1
    centre: tuple[float, float]  # x and y, the mean of eyes, nose and corners of the mouth


class FaceDetector:
    """Finds faces in a frame, and gives them as a channel that multiplies the map.

    Each face is a Gaussian about the mean of its landmarks, whose standard deviation is 0.12 of its
    box's side and whose height is the square of its score; of several, the highest counts. Weight
    and width were chosen on photographs with fixations. Threads may share a detector.

    Parameters
    ----------
    model : str or Path
        A model file of YuNet (.onnx).
    size : int, at least 32
        Frames are shrunk to so many pixels of their longer side: smaller is faster, and finds no
        faces of less than about a fortieth of the frame.
    weight : float >= 0
        The map is multiplied by 1 + weight where a face is certain.
    every : int
        Look at every so many-th frame, and take the faces of the last one for those between; a
        frame of another size is always looked at.
    channel_order : {"rgb", "bgr"}
        Of colour frames.

    Raises
    ------
    ImportError
        OpenCV is missing, or has no `FaceDetectorYN`.
    FileNotFoundError, TypeError, ValueError
        No such file, no such model, or a bad argument.

    Examples
    --------
    A frame of a video, or a photograph:

    >>> import ittisal
    >>> faces = ittisal.FaceDetector("yunet.onnx")  # doctest: +SKIP
    >>> model(frame, channels=faces)  # doctest: +SKIP
    >>> ittisal.saliency_map(photo, ittisal.GAZE, channels=faces)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        size: int = SIZE,
        weight: float = WEIGHT,
        every: int = 1,
        channel_order: str = "rgb",
    ) -> None:
        for name, value, least in (("size", size, 32), ("every", every, 1)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name}={value!r} must be a whole number")
            if value < least:
                raise ValueError(f"{name}={value} must be at least {least}")
        ChannelMap(None, weight)  # checks it
        self.size, self.weight, self.every = size, weight, every
        self.channel_order = check_channel_order(channel_order)
        self._network = _network(Path(model))
        self._lock = threading.Lock()
        self._faces: list[Face] = []  # of the last frame looked at
        self._shape: tuple[int, ...] | None = None  # of that; None before the first
        self._frames = 0  # since then

    def __call__(self, frame: Any) -> dict[str, ChannelMap]:
        """The channels of a frame: {"face": ...}; see `Saliency.__call__` for what a frame is."""
        shape = getattr(frame, "shape", (0, 0))[:2]
        with self._lock:
            due = self._shape != shape or self._frames % self.every == 0
            if due:
                self._faces, self._shape, self._frames = self._detect(frame), shape, 0
            self._frames += 1
            faces = self._faces

        def drawn(sampling: Sampling) -> np.ndarray:
            return face_map(faces, sampling)

        return {"face": ChannelMap(drawn, self.weight, "multiply")}

    def detect(self, frame: Any) -> list[Face]:
        """The faces in a frame, by falling score."""
        with self._lock:
            return self._detect(frame)

    def reset(self) -> None:
        """Look at the next frame, as after a cut."""
        self._shape = None

    def _detect(self, frame: Any) -> list[Face]:
        if is_on_gpu(frame):
            raise TypeError(
                "the frame lies on a GPU, and faces are found in host memory; copy it for the "
                "detector, as in model(frame, channels=faces(frame.get()))"
            )
        frame = check_frame(frame)
        small = _bgr(_shrunk(frame, self.size), self.channel_order)
        self._network.setInputSize(small.shape[1::-1])
        _, rows = self._network.detect(small)
        if rows is None:
            return []
        scale = np.divide(frame.shape[1::-1], small.shape[1::-1])
        faces = []
        for row in np.asarray(rows, float):
            x, y, width, height = (row[:4] * np.tile(scale, 2)).tolist()
            across, down = (row[4:14].reshape(5, 2).mean(0) * scale - 0.5).tolist()
            score = min(float(row[14]), 1.0)
            faces.append(Face(x, y, width, height, score, (across, down)))
        return sorted(faces, key=lambda face: -face.score)


def face_map(faces: list[Face], sampling: Sampling) -> np.ndarray:
    """A Gaussian per face at the samples of a saliency map, float32, 1 in the middle of a certain
    one; of several the highest.

    A sample stands for the pixels around it: its half step adds to the width.
    """
    drawn = np.zeros(sampling.map_shape, np.float32)
    down, across = (
        first + step * np.arange(n)
        for first, step, n in zip(sampling.first, sampling.step, sampling.map_shape, strict=True)
    )
    for face in faces:
        x, y = face.centre
        variance = SIGMA**2 * face.width * face.height
        rows = np.exp(-0.5 * (down - y) ** 2 / (variance + sampling.step[0] ** 2 / 4))
        columns = np.exp(-0.5 * (across - x) ** 2 / (variance + sampling.step[1] ** 2 / 4))
        np.maximum(drawn, face.score**2 * rows[:, None] * columns, out=drawn, casting="same_kind")
    return drawn


def download(folder: str | os.PathLike[str] | None = None) -> Path:
    """Fetch YuNet from OpenCV's model zoo (230 KB, MIT licence), once, and return its file.

    Parameters
    ----------
    folder : path, optional
        Where it is kept; by default `ITTISAL_CACHE_DIR`, or the user's cache folder.

    Raises
    ------
    ImportError
        pooch is missing: the extra `faces`.
    OSError
        It cannot be fetched or written, or is not the file that is known.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"fetching {FILE} needs pooch: pip install 'ittisal[faces]'; or give the file"
        ) from error
    folder = Path(folder) if folder is not None else cache_folder().expanduser()
    try:
        return Path(pooch.retrieve(URL, f"sha256:{SHA256}", fname=FILE, path=folder))
    except Exception as error:  # of requests, of pooch, of the disk
        raise OSError(
            f"{FILE} cannot be fetched from {URL} ({error}); fetch it by hand and give the file"
        ) from error


def _network(path: Path) -> Any:
    """OpenCV's detector with a model file."""
    import cv2

    if not hasattr(cv2, "FaceDetectorYN"):
        raise ImportError(
            f"OpenCV {cv2.__version__} has no FaceDetectorYN; pip install -U opencv-contrib-python"
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path}; give a model file of YuNet, such as {FILE} of OpenCV's zoo"
        )
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    try:
        logging.setLogLevel(logging.LOG_LEVEL_ERROR)  # it warns of what it does not use
        network = cv2.FaceDetectorYN.create(
            utf8(path), "", (64, 64), LEAST_SCORE, OVERLAP, MOST_FACES
        )
        network.detect(np.zeros((64, 64, 3), np.uint8))
    except (cv2.error, SystemError) as error:
        why = getattr(error, "err", "") or str(error)
        raise ValueError(
            f"{path} is no face detector that OpenCV {cv2.__version__} can use ({why.strip()}); "
            f"give a model file of YuNet, such as {FILE} of OpenCV's zoo"
        ) from error
    finally:
        logging.setLogLevel(level)
    return network


def _shrunk(frame: np.ndarray, size: int) -> np.ndarray:
    """The frame with a longer side of at most `size` pixels: few are read of a large one."""
    import cv2

    height, width = frame.shape[:2]
    scale = size / max(height, width)
    if scale >= 1:
        return frame
    sides = [max(round(n * scale), 1) for n in (width, height)]
    if scale < 0.5:  # bilinear at twice the size, then means of four
        doubled = [2 * n for n in sides]
        frame = cv2.resize(frame, doubled, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(frame, sides, interpolation=cv2.INTER_AREA))


def _bgr(frame: np.ndarray, order: str) -> np.ndarray:
    """uint8 BGR of a grey or colour frame of any type; NaN is black."""
    import cv2

    if frame.dtype == np.uint16:
        frame = (frame >> 8).astype(np.uint8)
    elif frame.dtype != np.uint8:
        frame = np.rint(np.clip(np.nan_to_num(frame), 0, 1) * 255).astype(np.uint8)
    if frame.ndim == 2:
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    return np.ascontiguousarray(frame[..., ::-1] if order == "rgb" else frame)
