"""Models against human fixations: scores with intervals, baselines, differences, pictures.

`evaluate` computes them; `ittisal evaluate` is the same on the command line. Fitting a density of
fixations to maps is in `ittisal.readout`.
"""

from .baselines import BASELINES, centre_biased, centre_gaussian
from .models import SPECS, Model, Treatment, model
from .plots import check_plot, plot_images, plot_scores
from .result import Bootstrap, Estimate, Evaluation
from .run import MAX_SMOOTH, evaluate
from .scenes import Scene, Target
from .scores import METRICS, Metric, check_metrics

__all__ = [
    "BASELINES",
    "MAX_SMOOTH",
    "METRICS",
    "SPECS",
    "Bootstrap",
    "Estimate",
    "Evaluation",
    "Metric",
    "Model",
    "Scene",
    "Target",
    "Treatment",
    "centre_biased",
    "centre_gaussian",
    "check_metrics",
    "check_plot",
    "evaluate",
    "model",
    "plot_images",
    "plot_scores",
]
