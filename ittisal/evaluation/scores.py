"""The scores of a benchmark by name: which functions of `ittisal.metrics`, on what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .. import metrics
from ..metrics import PreparedMap
from ..metrics.prepared import pixels_of
from .scenes import Target, with_uniform


@dataclass(frozen=True)
class Metric:
    """One score.

    `of_density` scores are against a density of fixations, the others against fixations.
    `needs_others` are those for which other images' fixations are needed.
    """

    label: str
    score: Callable[[PreparedMap, Target], float]
    higher_is_better: bool = True
    of_density: bool = False
    needs_others: bool = False


METRICS: dict[str, Metric] = {
    "auc": Metric("AUC", lambda m, t: metrics.auc(m, t.x, t.y)),
    "auc_judd": Metric("AUC-Judd", lambda m, t: metrics.auc_judd(m, t.x, t.y)),
    "auc_borji": Metric("AUC-Borji", lambda m, t: metrics.auc_borji(m, t.x, t.y)),
    "sauc": Metric(
        "sAUC",
        lambda m, t: metrics.shuffled_auc(m, t.x, t.y, *t.scene.others),
        needs_others=True,
    ),
    "nss": Metric("NSS", lambda m, t: metrics.nss(m, t.x, t.y)),
    "cc": Metric("CC", lambda m, t: metrics.cc(m, t.density), of_density=True),
    "sim": Metric("SIM", lambda m, t: metrics.sim(m, t.density), of_density=True),
    "kl": Metric(
        "KL", lambda m, t: metrics.kl(m, t.density), higher_is_better=False, of_density=True
    ),
    "ig": Metric("IG", lambda m, t: _information_gain(m, t), needs_others=True),
}
"""Every score by the name that `--metric` takes, in the order of the tables."""


def check_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """The names (or the one name), each once, in the order given.

    Raises
    ------
    ValueError
        One is unknown, or there are none.

    Examples
    --------
    >>> check_metrics(["nss", "auc", "nss"])
    ('nss', 'auc')
    """
    unique = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in unique:
        if name not in METRICS:
            raise ValueError(f"no metric {name!r}; the metrics are: {', '.join(METRICS)}")
    if not unique:
        raise ValueError(f"no metric is asked for; the metrics are: {', '.join(METRICS)}")
    return unique


def scores_of(saliency: PreparedMap, target: Target, names: Iterable[str]) -> list[float]:
    """Scores of a map, in the order of the names."""
    return [METRICS[name].score(saliency, target) for name in names]


class Density(PreparedMap):
    """A map that is a density already: above 0 everywhere, summing to 1.

    Its information gain is that of the density itself, where other maps are made one first.
    """


def _information_gain(saliency: PreparedMap, target: Target) -> float:
    """`ittisal.metrics.information_gain` of the map's density, whose logarithm is taken only where
    people looked.
    """
    if isinstance(saliency, Density):
        density = saliency.values
    else:
        density = with_uniform(saliency.distribution)  # as `ittisal.metrics.log_density`
    at = pixels_of(target.x, target.y, saliency.shape)[::-1]
    return float(np.mean(np.log2(density[at] / target.scene.baseline[at])))
