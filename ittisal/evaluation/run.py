"""Models against fixations, several images at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from typing import Any

import numpy as np

from ..datasets import DataSet
from .models import Model, Treatment, as_models
from .result import Evaluation
from .scenes import Everyone, Scene
from .scores import METRICS, check_metrics

MAX_SMOOTH = 50  # percent of the longer side


def evaluate(
    dataset: DataSet,
    models: Mapping[str, Callable[[np.ndarray], Any]] | Iterable[str | Model],
    metrics: Iterable[str] = tuple(METRICS),
    *,
    smooth_percent: float = 0.0,
    centre_bias: bool = False,
    limit: int | None = None,
    threads: int | None = None,
    progress: Callable[[], object] | None = None,
) -> Evaluation:
    """Score models, and baselines, on where people looked.

    Every image is read once and scored under all models; one that cannot be read, or that a model
    cannot map, is left out for all of them and named in `skipped`.

    Parameters
    ----------
    dataset : DataSet
    models : mapping of name to callable, iterable of names and Models, or one name
        A callable takes an image, uint8 RGB of shape (H, W, 3), and gives a map of shape (H, W),
        higher where more salient; it is called from several threads at once. Names are those of
        `model`: presets, `maps:DIR`, ..., and the baselines `uniform`, `centre`, `others` and
        `humans`.
    metrics : iterable of str, or str
        Keys of `METRICS`; all by default.
    smooth_percent : float in [0, 50]
        Blur of models' maps: the Gaussian's sigma in percent of the image's longer side.
    centre_bias : bool
        Multiply models' maps by (0.3 + a Gaussian in the centre): see `centre_biased`.
    limit : int, optional
        So many images only, spread evenly over the data set. Shuffled AUC still uses the fixations
        of all images.
    threads : int, optional
        Images at once; by default as many as there are CPUs. Scores do not depend on it.
    progress : callable, optional
        Called without arguments after each image, in the caller's thread.

    Raises TypeError if `dataset` is no DataSet, or a model neither a name nor a Model; ValueError
    for a bad argument, or if no image is left, saying why the first was skipped; OSError if a
    model's file or folder cannot be read.

    Notes
    -----
    Information gain is over the density of other images' fixations. A map that is no density is
    made one as by `ittisal.metrics.log_density`, with 1 % of a uniform density.

    Examples
    --------
    >>> import tempfile
    >>> from ittisal import datasets, evaluation
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = datasets.generated(folder)
    ...     result = evaluation.evaluate(made, ["itti1998", "centre"], ["auc", "nss"])
    >>> result.models, result.score("itti1998", "auc").mean > 0.5
    (('itti1998', 'centre'), True)
    """
    if not isinstance(dataset, DataSet):
        raise TypeError(f"dataset={dataset!r} must be a DataSet, as `ittisal.datasets.load` reads")
    chosen = as_models(models)
    names = check_metrics(metrics)
    if not 0 <= smooth_percent <= MAX_SMOOTH:
        raise ValueError(f"smooth_percent={smooth_percent!r} must be 0 to {MAX_SMOOTH}")
    for name, value in (("limit", limit), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value!r} must be at least 1")
    needs_others = any(METRICS[name].needs_others for name in names)
    if len(dataset) < 2 and (needs_others or any(each.name == "others" for each in chosen)):
        raise ValueError(
            "shuffled AUC, information gain and the baseline `others` need fixations on other "
            f"images, and {dataset.name} has {len(dataset)}; choose other metrics and baselines"
        )
    treatment = Treatment(float(smooth_percent), bool(centre_bias))
    everyone = Everyone(dataset)
    indices = chosen_images(len(dataset), limit)
    # By size, so that what is cached by size (`Everyone`, models) is made once for each.
    indices.sort(key=lambda i: (*dataset.sizes[i], dataset.sigma_px[i]))

    def score(index: int) -> np.ndarray | str:
        return _score(Scene(dataset, index, everyone), chosen, names, treatment)

    found: dict[int, np.ndarray] = {}
    skipped: dict[int, str] = {}
    with closing(_in_threads(score, indices, threads or _usable_cpus())) as outcomes:
        for index, outcome in outcomes:
            (skipped if isinstance(outcome, str) else found)[index] = outcome
            if progress is not None:
                progress()
    if not found:
        index, reason = min(skipped.items())
        raise ValueError(
            f"none of {len(indices)} images could be scored; the first, "
            f"{dataset.images[index]}: {reason}"
        )
    scored = sorted(found)
    return Evaluation(
        dataset=dataset.name,
        models=tuple(each.name for each in chosen),
        baselines=frozenset(each.name for each in chosen if each.baseline),
        metrics=names,
        images=tuple(str(dataset.images[index]) for index in scored),
        scores=np.stack([found[index] for index in scored]),
        fixations=int(np.isin(dataset.image, scored).sum()),
        skipped=tuple((str(dataset.images[index]), skipped[index]) for index in sorted(skipped)),
        treatment=treatment,
        remarks=(*dataset.remarks, *(remark for each in chosen for remark in each.remarks())),
        left_out=dataset.left_out,
    )


def chosen_images(count: int, limit: int | None) -> list[int]:
    """Indices of the images that a limit leaves, spread evenly: sets are often sorted by kind."""
    chosen = min(limit or count, count)
    return [i * count // chosen for i in range(chosen)]


def _score(
    scene: Scene, models: list[Model], metrics: tuple[str, ...], how: Treatment
) -> np.ndarray | str:
    """Scores of shape (models, metrics), or why the scene is left out."""
    if len(scene.x) == 0:
        return "has no fixations"
    rows, failing = [], ""
    try:
        _ = scene.image
        for each in models:
            failing = f"{each.name}: "
            rows.append(each.scores(scene, metrics, how))
    except (ValueError, OSError) as error:  # DataSetError is a ValueError
        return f"{failing}{error}"
    return np.array(rows, np.float64)


def _in_threads(
    work: Callable[[int], Any], items: list[int], threads: int
) -> Generator[tuple[int, Any], None, None]:
    """Yield (item, result) of each, as they are done.

    Threads, not processes: what takes time here (sorting, counting, decoding, products of
    matrices, the model) lets other threads run. If the caller stops, by an error or an interrupt,
    images under way are finished and no other is begun.
    """
    pool = ThreadPoolExecutor(min(threads, len(items)), "ittisal-evaluate")
    try:
        under_way = {pool.submit(work, item): item for item in items}
        for future in as_completed(under_way):
            yield under_way[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _usable_cpus() -> int:
    return len(getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0))
