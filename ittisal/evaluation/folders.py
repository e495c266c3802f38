"""Maps that were made elsewhere: a folder of files called like the images."""

from __future__ import annotations

import threading
from pathlib import Path, PurePath

import numpy as np

from .scenes import Scene

SUFFIXES = (".npy", ".png", ".jpg", ".jpeg", ".tiff", ".tif", ".bmp", ".webp", ".exr")
OURS = ".saliency"  # photo.jpg's map is photo.saliency.png, by `ittisal map`


class MapFolder:
    """Maps of images by name.

    The map of `a/photo.jpg` is `a/photo.SUFFIX` or `a/photo.saliency.SUFFIX` in the folder, or else
    the one file of that name anywhere below it. Suffixes: .npy (two dimensions), and pictures,
    of which colour ones become grey. A map of another size than its image is resized, bilinearly.

    Raises
    ------
    OSError
        The folder cannot be read.
    ValueError
        There is no map in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.is_dir():
            raise NotADirectoryError(20, "is no folder of maps", str(root))
        self._by_path: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                relative = path.relative_to(root).with_suffix("").as_posix().removesuffix(OURS)
                self._by_path.setdefault(relative, []).append(path)
                self._by_stem.setdefault(PurePath(relative).name, []).append(path)
        if not self._by_path:
            raise ValueError(f"{root}: no map in this folder; they end in {', '.join(SUFFIXES)}")
        self.resized: set[str] = set()
        self._lock = threading.Lock()

    def path_of(self, name: str) -> Path:
        """The file that holds an image's map. Raises ValueError where there is none, or two."""
        plain = PurePath(name).with_suffix("").as_posix()
        found = self._by_path.get(plain) or self._by_stem.get(PurePath(plain).name) or []
        if not found:
            raise ValueError(f"no map called {PurePath(plain).name} in {self.root}")
        if len(found) > 1:
            raise ValueError(f"two maps of one image: {found[0]} and {found[1]}; remove one")
        return found[0]

    def map_of(self, scene: Scene) -> np.ndarray:
        """The map of a scene, of its size."""
        import cv2

        saliency = read_map(self.path_of(scene.name))
        if saliency.shape == scene.shape:
            return saliency
        with self._lock:
            self.resized.add(scene.name)
        height, width = scene.shape
        smaller = height * width < saliency.size
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return cv2.resize(saliency, (width, height), interpolation=how)


def read_map(path: Path) -> np.ndarray:
    """A map from a file: float32 or float64 of shape (H, W).

    Raises
    ------
    ValueError
        It cannot be read, or holds no map; names the file.
    """
    import cv2

    try:
        if path.suffix.lower() == ".npy":
            saliency = np.load(path, allow_pickle=False)
        else:
            data = np.fromfile(path, np.uint8)  # by NumPy: cv2.imread fails on some names
            saliency = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except (OSError, ValueError, EOFError, cv2.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if saliency is None:
        raise ValueError(f"{path} is not an image that OpenCV reads")
    if saliency.ndim == 3 and saliency.shape[2] in (3, 4):
        saliency = saliency[..., :3].astype(np.float32).mean(axis=2)
    elif saliency.ndim == 3 and saliency.shape[2] == 1:
        saliency = saliency[..., 0]
    if saliency.ndim != 2 or saliency.dtype.kind not in "buif" or not saliency.size:
        raise ValueError(f"{path} is no map: {saliency.dtype} of shape {saliency.shape}")
    kind = np.float64 if saliency.dtype == np.float64 else np.float32
    return np.ascontiguousarray(saliency, kind)
