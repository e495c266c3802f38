"""What an evaluation found: scores per image, their means with intervals, and tables of them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .models import UNTREATED, Treatment
from .scores import METRICS

RESAMPLES = 2000
SEED = 0
LEVEL = 95  # percent
CELL = 15  # width of a column of the table: "[-0.123 -0.123]"


@dataclass(frozen=True)
class Estimate:
    """A mean over images with its 95 % interval.

    Examples
    --------
    >>> f"{Estimate(0.5, 0.25, 0.75):.2f}"
    '0.50 [0.25 0.75]'
    """

    mean: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}} [{self.low:{spec}} {self.high:{spec}}]"


class Bootstrap:
    """Percentile bootstrap over images.

    The images are drawn anew, with replacement, as many as there are, 2000 times (fixed seed);
    the interval holds the middle 95 % of the means. All columns see the same draws, so that the
    difference of two is of the same images: a paired comparison. See Efron & Tibshirani, An
    Introduction to the Bootstrap, 1993, section 13.3.

    `values`, of shape (N, K), are K scores of each of N images, all finite.

    Examples
    --------
    >>> import numpy as np
    >>> bootstrap = Bootstrap(np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]))
    >>> f"{bootstrap.mean(0):.2f}", f"{bootstrap.difference(1, 0):.2f}"
    ('2.00 [1.00 3.00]', '1.00 [1.00 1.00]')
    """

    def __init__(self, values: np.ndarray) -> None:
        count = len(values)
        rng = np.random.default_rng(SEED)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        # The means of each column over the images, and of each draw under them.
        self._means = np.vstack([values.mean(axis=0), drawn @ values / count]).T

    def mean(self, column: int) -> Estimate:
        """The mean of one column."""
        return _estimate(self._means[column])

    def difference(self, one: int, other: int) -> Estimate:
        """The mean of one column less that of another, over the same images."""
        return _estimate(self._means[one] - self._means[other])


def _estimate(means: np.ndarray) -> Estimate:
    """The first, and the interval of the others."""
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(means[1:], [tail, 100 - tail])
    return Estimate(float(means[0]), float(low), float(high))


@dataclass(frozen=True)
class Evaluation:
    """Scores of models on the images of a data set.

    `dataset`, `models`, `metrics` and `images` are names; every model was scored on all of
    `images`, so that rows compare, and `skipped` are those left out for all models, and why.
    `baselines` are those of `models` that are baselines. `scores` are float64 of shape
    (images, models, metrics). `fixations` counts those on `images`, `left_out` those of the data
    set that lie outside their image. `treatment` is what was done to the models' maps, and
    `remarks` what else people should know.
    """

    dataset: str
    models: tuple[str, ...]
    baselines: frozenset[str]
    metrics: tuple[str, ...]
    images: tuple[str, ...]
    scores: np.ndarray
    fixations: int
    skipped: tuple[tuple[str, str], ...] = ()
    treatment: Treatment = UNTREATED
    remarks: tuple[str, ...] = ()
    left_out: int = 0

    @cached_property
    def _bootstrap(self) -> Bootstrap:
        return Bootstrap(self.scores.reshape(len(self.images), -1))

    def _column(self, model: str, metric: str) -> int:
        return self.models.index(model) * len(self.metrics) + self.metrics.index(metric)

    def score(self, model: str, metric: str) -> Estimate:
        """A model's mean over images, with its 95 % interval."""
        return self._bootstrap.mean(self._column(model, metric))

    def difference(self, model: str, other: str, metric: str) -> Estimate:
        """How much higher `model` scores than `other` on the same images, with its interval."""
        return self._bootstrap.difference(self._column(model, metric), self._column(other, metric))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Models to compare: each with those before it, and with the baselines."""
        scored = [name for name in self.models if name not in self.baselines]
        compared = [(later, scored[i]) for j, later in enumerate(scored) for i in range(j)]
        return compared + [
            (name, other) for name in scored for other in self.models if other in self.baselines
        ]

    def of_image(self, model: str, metric: str) -> np.ndarray:
        """Scores of one model by image: float64 of shape (images,)."""
        return self.scores[:, self.models.index(model), self.metrics.index(metric)]

    def to_dict(self) -> dict[str, Any]:
        """All but the scores per image, as plain values ready for JSON."""
        return {
            "dataset": self.dataset,
            "images": len(self.images),
            "fixations": self.fixations,
            "left_out": self.left_out,
            "skipped": [{"image": image, "reason": reason} for image, reason in self.skipped],
            "smooth_percent": self.treatment.smooth_percent,
            "centre_bias": self.treatment.centre_bias,
            "interval_percent": LEVEL,
            "bootstrap_resamples": RESAMPLES,
            "remarks": list(self.remarks),
            "models": [
                {"name": name, "baseline": name in self.baselines, "scores": self._plain(name)}
                for name in self.models
            ],
            "differences": [
                {"model": name, "minus": other, "scores": self._plain(name, other)}
                for name, other in self.pairs
            ],
        }

    def _plain(self, name: str, minus: str | None = None) -> dict[str, dict[str, float]]:
        return {metric: vars(self._estimate(metric, name, minus)) for metric in self.metrics}

    def to_csv(self) -> str:
        """The means and intervals, a row per model and metric."""
        rows = [
            (name, int(name in self.baselines), metric, *vars(self.score(name, metric)).values())
            for name in self.models
            for metric in self.metrics
        ]
        return _csv([("model", "baseline", "metric", "mean", "low", "high"), *rows])

    def per_image_csv(self) -> str:
        """The scores themselves, a row per image and model; exact."""
        rows = [
            (image, name, *map(float, row))
            for image, of_models in zip(self.images, self.scores, strict=True)
            for name, row in zip(self.models, of_models, strict=True)
        ]
        return _csv([("image", "model", *self.metrics), *rows])

    def table(self, width: int = 120) -> str:
        """The means with intervals under them, in lines of at most `width` if that is possible.

        Models, baselines, and paired differences: of models, or else of the one from the baselines.
        """
        scored = [name for name in self.models if name not in self.baselines]
        pairs = self.pairs[: len(scored) * (len(scored) - 1) // 2] or self.pairs
        sections: dict[str, list[tuple[str, ...]]] = {
            "models": [(name,) for name in scored],
            "baselines": [(name,) for name in self.models if name not in scored],
            "paired differences": list(pairs),
        }
        first = max(len(" - ".join(names)) for rows in sections.values() for names in rows)
        per_block = max(1, (width - first) // (CELL + 1))
        lines = self._heading()
        for start in range(0, len(self.metrics), per_block):
            metrics = self.metrics[start : start + per_block]
            lines += ["", _line("", [_label(metric) for metric in metrics], first)]
            for title, rows in sections.items():
                lines += [title] * bool(rows)
                for names in rows:
                    found = [self._estimate(metric, *names) for metric in metrics]
                    means = [_text(each.mean) for each in found]
                    lines.append(_line(" - ".join(names), means, first))
                    intervals = [f"[{_text(each.low)} {_text(each.high)}]" for each in found]
                    lines.append(_line("", intervals, first))
        return "\n".join(lines)

    def _estimate(self, metric: str, name: str, minus: str | None = None) -> Estimate:
        if minus is None:
            return self.score(name, metric)
        return self.difference(name, minus, metric)

    def _heading(self) -> list[str]:
        """What the scores are of: data set, images, treatment of the maps."""
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        outside = f", {self.left_out} outside their image left out" if self.left_out else ""
        sigma = self.treatment.smooth_percent
        smooth = f"blurred, sigma {sigma:g} %" if sigma else "not smoothed"
        centre = "with" if self.treatment.centre_bias else "no"
        return [
            f"{self.dataset}: {len(self.images)} images{skipped}, {self.fixations} fixations"
            f"{outside}",
            f"models' maps {smooth}, {centre} centre bias; 95 % intervals over images under the "
            "means",
        ]


def _csv(rows: list[tuple[Any, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _label(name: str) -> str:
    metric = METRICS[name]
    return metric.label if metric.higher_is_better else f"{metric.label} (low)"


def _text(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # no minus before 0.000


def _line(first: str, cells: list[str], width: int) -> str:
    return (first.ljust(width) + "".join(f" {cell:>{CELL}}" for cell in cells)).rstrip()
