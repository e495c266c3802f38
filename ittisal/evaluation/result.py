"""What an evaluation found: scores per image, and what they say together."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .bootstrap import LEVEL, RESAMPLES, Bootstrap, Estimate
from .models import AS_IT_IS, Treatment


@dataclass(frozen=True)
class Evaluation:
    """Scores of models on the images of a data set.

    Attributes
    ----------
    dataset : str
        Its name.
    models, metrics, images : tuple of str
        Names; every model was scored on all of `images`, so that rows compare.
    baselines : frozenset of str
        Those of `models` that are baselines.
    scores : float64 ndarray of shape (images, models, metrics)
    fixations : int
        On the images that were scored.
    skipped : tuple of (str, str)
        Images that were left out for all models, and why.
    treatment : Treatment
        What was done to the models' maps.
    remarks : tuple of str
        What else people should know.
    """

    dataset: str
    models: tuple[str, ...]
    baselines: frozenset[str]
    metrics: tuple[str, ...]
    images: tuple[str, ...]
    scores: np.ndarray
    fixations: int
    skipped: tuple[tuple[str, str], ...] = ()
    treatment: Treatment = AS_IT_IS
    remarks: tuple[str, ...] = ()

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
        own = [name for name in self.models if name not in self.baselines]
        compared = [(later, own[i]) for j, later in enumerate(own) for i in range(j)]
        return compared + [
            (name, other) for name in own for other in self.models if other in self.baselines
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
            "skipped": [{"image": image, "reason": reason} for image, reason in self.skipped],
            "smooth_percent": self.treatment.smooth_percent,
            "centre_bias": self.treatment.centre_bias,
            "interval_percent": LEVEL,
            "bootstrap_resamples": RESAMPLES,
            "remarks": list(self.remarks),
            "models": [
                {
                    "name": name,
                    "baseline": name in self.baselines,
                    "scores": {metric: vars(self.score(name, metric)) for metric in self.metrics},
                }
                for name in self.models
            ],
            "differences": [
                {
                    "model": name,
                    "minus": other,
                    "scores": {
                        metric: vars(self.difference(name, other, metric))
                        for metric in self.metrics
                    },
                }
                for name, other in self.pairs
            ],
        }

    def to_csv(self) -> str:
        """The means and intervals, a row per model and metric."""
        rows = [
            (name, int(name in self.baselines), metric, *vars(self.score(name, metric)).values())
            for name in self.models
            for metric in self.metrics
        ]
        header = ("model", "baseline", "metric", "mean", "low", "high")
        return _csv(header, rows)

    def per_image_csv(self) -> str:
        """The scores themselves, a row per image and model; exact."""
        rows = [
            (image, name, *map(float, row))
            for image, of_models in zip(self.images, self.scores, strict=True)
            for name, row in zip(self.models, of_models, strict=True)
        ]
        return _csv(("image", "model", *self.metrics), rows)


def _csv(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
