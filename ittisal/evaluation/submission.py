"""Maps of all images of a data set as saliency benchmarks take them, and what is wrong with such.

The MIT/Tuebingen benchmark (saliency.tuebingen.ai) takes a folder or an HDF5 file with a log
density of each image, of the image's size, whose logsumexp is within 0.001 of 0, and makes of it
the map for each of its metrics. `pysaliency` reads both: `SaliencyMapModelFromDirectory`,
`ModelFromDirectory`, `HDF5SaliencyMapModel` and `HDF5Model`.

The map of `a/photo.jpg` is the file `a/photo.npy` in the folder, or the data set `a/photo.jpg` in
the HDF5 file: float32 of shape (H, W). Pictures would not do: their 8 or 16 bits take what is
improbable for impossible, which KL and information gain punish, and make ties.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import bounds
from ..config import Config
from ..datasets import DataSet
from ..files import atomic
from ..metrics import MAPS, map_for, prepare
from ..metrics.scores import checked_log_density
from .folders import as_map, read_map, without_suffix
from .models import ChannelFunction, raw_maps
from .readout import Readout
from .scenes import Everyone, Scene

HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class Submission:
    """What `submit` wrote: the images in it, and why others are missing, by their names."""

    path: Path
    images: tuple[str, ...]
    failed: dict[str, str]


def check_submit(dataset: DataSet, path: str | os.PathLike[str], metric: str | None = None) -> None:
    """Raise ValueError, saying what to do, if `submit` cannot begin with these."""
    path = Path(path)
    if metric is not None and metric not in MAPS:
        raise ValueError(
            f"no map is made for metric {metric!r}; the metrics are {', '.join(MAPS)}, and log "
            "densities, without a metric, are for all"
        )
    if metric == "sauc" and len(np.unique(dataset.image)) < 2:
        raise ValueError(
            f"maps for sauc need fixations on other images, and {dataset.name} has none; submit "
            "log densities, without a metric: benchmarks make this map of them"
        )
    if is_hdf5(path):
        _h5py()
        if path.is_dir():
            raise ValueError(f"{path} is a folder; give a file, or a folder without {path.suffix}")
        return
    if path.exists():
        raise ValueError(f"{path} exists; give a new folder, or a file that ends in {HDF5[0]}")
    seen: dict[str, str] = {}
    for name in dataset.images:
        other = seen.setdefault(without_suffix(name), name)
        if other != name:
            raise ValueError(
                f"{other} and {name} would both have the map {_file(Path(), name)}; write an HDF5 "
                f"file, OUT{HDF5[0]}"
            )


def submit(
    dataset: DataSet,
    config: Config,
    readout: Readout,
    path: str | os.PathLike[str],
    *,
    metric: str | None = None,
    sigma_px: float | None = None,
    backend: str = "auto",
    channels: ChannelFunction | None = None,
    progress: Callable[[], object] | None = None,
) -> Submission:
    """Write a log density of each image, or the map that one metric asks for.

    Images that cannot be mapped are left out and named in `failed`. What is written appears whole,
    or, if an error or an interrupt ends this, not at all.

    Parameters
    ----------
    dataset : DataSet
        Fixations are needed for `sauc` alone: see `ittisal.datasets.load_images`.
    config : Config
    readout : Readout
        Of this config: `ittisal.readout.load("gaze")` for that of `ittisal.GAZE`, and
        `load("gaze faces")` for the same with a `FaceDetector` as `channels`.
    path : path
        A new folder, or a file that ends in .h5 or .hdf5 (needs h5py, the extra `hdf5`).
    metric : str, optional
        A key of `ittisal.metrics.MAPS`: write the maps of `ittisal.metrics.map_for` instead. For
        `sauc` the baseline is the density of other images' fixations.
    sigma_px : float, optional
        Blur of `cc`, `kl` and `sim`; by default the data set's.
    backend : str
        As of `Saliency`.
    channels : callable, optional
        For a read-out with a `gain_power`: a function of the image that gives channels which
        multiply, such as a `FaceDetector`.
    progress : callable, optional
        Called without arguments after each image.

    Raises
    ------
    ValueError
        See `check_submit`; if no image could be mapped, or something cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from ittisal import GAZE, datasets, evaluation, readout
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = datasets.generated(folder + "/tiny", images=2)
    ...     out = folder + "/out"
    ...     written = evaluation.submit(data, GAZE, readout.load("gaze"), out)
    ...     print(sorted(os.listdir(out)), written.failed)
    ...     print(evaluation.check_submission(out, data))
    ['bright-0.npy', 'colour-1.npy'] {}
    []
    """
    check_submit(dataset, path, metric)
    path = Path(path)
    everyone = Everyone(dataset)
    images: list[str] = []
    failed: dict[str, str] = {}
    try:
        with _writing(path) as write:
            for i, _, raw, given in raw_maps(dataset, config, backend=backend, channels=channels):
                scene = Scene(dataset, i, everyone)
                try:
                    if isinstance(raw, str):
                        raise ValueError(raw)
                    log_density = readout.log_density(raw, scene.shape, config, given)
                    write(scene.name, _map(log_density, metric, scene, sigma_px))
                    images.append(scene.name)
                except ValueError as error:
                    failed[scene.name] = str(error)
                if progress is not None:
                    progress()
            if not images:
                name, why = next(iter(failed.items()))
                raise ValueError(
                    f"none of {len(dataset)} images could be mapped; the first, {name}: {why}"
                )
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}") from error
    return Submission(path, tuple(images), failed)


def _map(
    log_density: np.ndarray, metric: str | None, scene: Scene, sigma_px: float | None
) -> np.ndarray:
    """What is written of an image: float32 of its size."""
    if metric is None:
        return log_density
    baseline = np.log(scene.baseline) if metric == "sauc" else None
    return map_for(
        log_density,
        metric,
        baseline_log_density=baseline,
        sigma_px=sigma_px or scene.sigma,
    ).astype(np.float32)


def check_submission(
    path: str | os.PathLike[str],
    dataset: DataSet | None = None,
    *,
    densities: bool = True,
    progress: Callable[[], object] | None = None,
) -> list[str]:
    """What is wrong with a folder or an HDF5 file of maps, one line each.

    Images without a map, and maps of another size than their image, where the data set is given;
    maps of no image, second maps of one, what is no map, values that are not finite; and, if they
    are `densities`, those whose logsumexp is not within 0.001 of 0.

    `progress` is called without arguments after each map. Raises OSError if there is nothing at
    `path`, and ValueError if it cannot be read.
    """
    path = Path(path)
    missing: dict[str, tuple[str, np.ndarray | None]] = {}
    if dataset is not None:
        key = without_suffix if path.is_dir() else str
        missing = {
            key(name): (name, size)
            for name, size in zip(dataset.images, dataset.sizes, strict=True)
        }
    wanted, seen = dict(missing), set()
    with _reading(path) as maps:
        problems = [] if maps else [f"{path} holds no map"]
        for label, name, read in maps:
            if wanted and name not in wanted:
                problems.append(f"{label} is of no image")
            elif name in seen:
                problems.append(f"{label} is a second map of one image; remove one")
            else:
                _, size = missing.pop(name, ("", None))
                problems.append(_problem(label, read, size, densities))
            seen.add(name)
            if progress is not None:
                progress()
    problems += [f"{image} has no map" for image, _ in missing.values()]
    return [problem for problem in problems if problem]


def _problem(
    label: str, read: Callable[[], np.ndarray], size: np.ndarray | None, densities: bool
) -> str:
    """What is wrong with one map, if anything; `size` is its image's height and width, if known."""
    try:
        found = read()
    except ValueError as error:
        return str(error)
    if size is not None and size.all() and found.shape != tuple(size):
        return f"{label} is {found.shape[1]}x{found.shape[0]}, its image {size[1]}x{size[0]} pixels"
    try:
        prepare(found)
        if densities:
            checked_log_density(found, "the log density")
    except ValueError as error:
        return f"{label}: {error}"
    return ""


# --- files --------------------------------------------------------------------------------------


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Whether this is an HDF5 file by its name."""
    return Path(path).suffix.lower() in HDF5


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ValueError(
            f"HDF5 files need h5py, which cannot be imported ({error}); pip install 'ittisal[hdf5]'"
        ) from None
    return h5py


def _file(folder: Path, name: str) -> Path:
    """The file that holds an image's map."""
    return (folder / name).with_suffix(".npy")


@contextmanager
def _writing(path: Path) -> Iterator[Callable[[str, np.ndarray], None]]:
    """What writes the map of an image by its name; the whole appears when all are written."""
    with atomic(path) as temporary:
        if is_hdf5(path):
            with _File(temporary, "w+") as output:
                with _h5py().File(output, "w") as file:
                    yield partial(_write_dataset, file, output)
                output.check()
        else:
            temporary.mkdir()
            yield partial(_write_file, temporary)


class _File(io.FileIO):
    """A file that raises its first error in `check`: HDF5 can crash where the disk is full."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set its size."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def check(self) -> None:
        """Raise the first error."""
        if self.error is not None:
            raise self.error


def _write_dataset(file: Any, output: _File, name: str, values: np.ndarray) -> None:
    # Shuffled, a log density takes 2.2 bytes a pixel, else 3.2.
    file.create_dataset(os.fsencode(name), data=values, compression="gzip", shuffle=True)
    output.check()


def _write_file(folder: Path, name: str, values: np.ndarray) -> None:
    file = _file(folder, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, values)


@contextmanager
def _reading(path: Path) -> Iterator[list[tuple[str, str, Callable[[], np.ndarray]]]]:
    """Every map: what it is called in messages, which image's it is, and what reads it."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if not file.is_dir()]
        yield [
            (str(file), without_suffix(file.relative_to(path)), partial(read_map, file))
            for file in files
        ]
        return
    path.stat()  # a name that leads nowhere needs no h5py
    h5py = _h5py()
    names: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            names.append(os.fsdecode(name))

    try:
        with h5py.File(path, "r") as file:
            file.visititems(note)
    except Exception as error:  # damaged files make h5py raise many types
        raise ValueError(
            f"{path} is no folder and no HDF5 file that can be read: {error}"
        ) from None
    with h5py.File(path, "r") as file:
        yield [(f"{path}: {name}", name, partial(_read_dataset, file, name)) for name in names]


def _read_dataset(file: Any, name: str) -> np.ndarray:
    label = f"{file.filename}: {name}"
    try:
        found = file[os.fsencode(name)]
        if excess := bounds.excess(found.size or 0, 1, os.path.getsize(file.filename)):
            raise ValueError(excess)
        saliency = np.asarray(found[()])
    except Exception as error:
        raise ValueError(f"{label} cannot be read: {error}") from error
    return as_map(saliency, label)
