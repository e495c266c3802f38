"""Maps that other programs made: a folder of files called like the images."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..arrayfiles import read_array
from ..config import GAZE, ITTI_1998
from ..imagefiles import ImageError, decode_picture, warning_of
from ..maps import upsample
from ..sampling import sampling
from .scenes import Scene

SUFFIXES = (".npy", ".png", ".jpg", ".jpeg", ".tiff", ".tif", ".bmp", ".webp", ".exr")
OURS = ".saliency"  # photo.jpg's map is photo.saliency.png, by `ittisal map`


class MapFolder:
    """Maps of images by name.

    The map of `a/photo.jpg` is `a/photo.SUFFIX` or `a/photo.saliency.SUFFIX` in the folder, or else
    the one file of that name anywhere below it, if only one image of the data set is called so.
    Suffixes: .npy (two dimensions), and pictures, of which colour ones become grey. A map of
    another size than its image is resized, bilinearly (a larger one by the mean of areas). Raises
    OSError if the folder cannot be read, and ValueError if there is no map in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.is_dir():
            raise NotADirectoryError(20, "is no folder of maps", str(root))
        self.files = [
            path
            for path in sorted(root.rglob("*"))
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        ]
        self._files = _index(
            (without_suffix(path.relative_to(root)).removesuffix(OURS), path) for path in self.files
        )
        if not self.files:
            raise ValueError(f"{root}: no map in this folder; they end in {', '.join(SUFFIXES)}")
        self.resized: set[str] = set()

    def path_of(self, name: str, images: tuple[str, ...] = ()) -> Path:
        """The file that holds the map of one of these images.

        Raises ValueError if there is none, or two, or if it could be another image's.
        """
        wanted = without_suffix(name)
        key = wanted if wanted in self._files else _anywhere(wanted)
        found = self._files.get(key, [])
        if not found:
            raise ValueError(f"no map called {PurePath(wanted).name} in {self.root}")
        rivals = [other for other in _images(images).get(key, []) if other != name]
        if rivals:
            raise ValueError(
                f"{found[0]} could be the map of {name} or of {rivals[0]}; put maps into folders "
                "like the images'"
            )
        if len(found) > 1:
            raise ValueError(f"two maps of one image: {found[0]} and {found[1]}; remove one")
        return found[0]

    def remarks(self, name: str) -> list[str]:
        """How many maps were resized, if any; `name` is the model's."""
        count = len(self.resized)
        return [f"{name}: {count} maps of another size than their image, resized"] if count else []

    def map_of(self, scene: Scene) -> np.ndarray:
        """The map of a scene, of its size."""
        import cv2

        saliency = read_map(self.path_of(scene.name, scene.dataset.images))
        if saliency.shape == scene.shape:
            return saliency
        self.resized.add(scene.name)
        height, width = scene.shape
        if saliency.min() == saliency.max():  # rounding would make it vary
            return np.full(scene.shape, saliency.flat[0])
        for config in (ITTI_1998, GAZE):  # as `map --raw` writes, at either working size
            if saliency.shape == sampling(scene.shape, config).map_shape:
                return upsample(saliency, scene.shape, config)
        smaller = height * width < saliency.size
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return cv2.resize(saliency, (width, height), interpolation=how)


def without_suffix(name: str | PurePath) -> str:
    """A path without its suffix, with accents composed, which macOS writes as letters apart."""
    return unicodedata.normalize("NFC", PurePath(name).with_suffix("").as_posix())


def _anywhere(plain: str) -> str:
    """The key of files and images of this name in any folder."""
    return f"*/{PurePath(plain).name}"


def _index(items: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    """Items by their path without suffix, and by `_anywhere` of it."""
    index: dict[str, list[Any]] = {}
    for plain, item in items:
        for key in (plain, _anywhere(plain)):
            index.setdefault(key, []).append(item)
    return index


@lru_cache(maxsize=2)
def _images(names: tuple[str, ...]) -> dict[str, list[str]]:
    return _index((without_suffix(name), name) for name in names)


def read_map(path: Path) -> np.ndarray:
    """A map from a file: float32 or float64 of shape (H, W).

    Raises ValueError, which names the file, if it cannot be read or holds no map.
    """
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:  # np.load would take archives too
                saliency = read_array(file, path.stat().st_size)
        else:
            saliency = decode_picture(path.read_bytes(), warning_of(path))
    except ImageError as error:
        raise ValueError(f"{path} {error}") from error
    except Exception as error:  # damaged files make NumPy raise many types
        raise ValueError(f"{path} cannot be read: {error}") from error
    if saliency.ndim == 3 and saliency.shape[2] in (3, 4):
        saliency = saliency[..., :3].astype(np.float32).mean(axis=2)
    elif saliency.ndim == 3 and saliency.shape[2] == 1:
        saliency = saliency[..., 0]
    return as_map(saliency, str(path))


def as_map(saliency: np.ndarray, where: str) -> np.ndarray:
    """An array as float32, or float64 if it is; ValueError, which says where, if it is no map."""
    if saliency.ndim != 2 or saliency.dtype.kind not in "buif" or not saliency.size:
        raise ValueError(f"{where} is no map: {saliency.dtype} of shape {saliency.shape}")
    kind = np.float64 if saliency.dtype == np.float64 else np.float32
    return np.ascontiguousarray(saliency, kind)
