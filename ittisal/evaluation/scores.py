"""The scores of a benchmark by name: functions of `ittisal.metrics` on a map and a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .. import metrics
from ..metrics import PreparedMap
from .scenes import Target, with_uniform


@dataclass(frozen=True)
class Metric:
    """One score.

    `of_density` scores compare with a density of fixations, the others with fixations;
    `needs_others` scores use other images' fixations too.
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
    "ig": Metric("IG", lambda m, t: information_gain(m, t), needs_others=True),
}
"""Every score by the name that `--metric` takes, in the order of the tables."""


def check_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """The names (or the one name), each once, in the order given; ValueError for an unknown one.

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


class Density(PreparedMap):
    """A map that is a density already: above 0 everywhere, summing to 1."""


def information_gain(saliency: PreparedMap, target: Target) -> float:
    """`ittisal.metrics.information_gain` of a map's density over that of other images' fixations.

    Maps that are no `Density` are made one as by `ittisal.metrics.log_density`. Logarithms are
    taken only at fixations.
    """
    known = isinstance(saliency, Density)
    density = saliency.values if known else with_uniform(saliency.distribution)
    at = saliency.pixels(target.x, target.y)
    return float(np.mean(np.log2(density.ravel()[at] / target.scene.baseline.ravel()[at])))
