"""Models against human fixations: scores with intervals, baselines, differences, pictures.

`evaluate` computes them; `ittisal evaluate` is the same on the command line. Fitting a density of
fixations to maps is in `ittisal.readout`.
"""

from .adapters import as_pysaliency, from_pysaliency
from .baselines import BASELINES, centre_biased, centre_gaussian
from .models import SPECS, Model, Treatment, model
from .plots import check_plot, plot_images, plot_scores
from .result import Bootstrap, Estimate, Evaluation
from .run import MAX_SMOOTH, evaluate
from .scenes import Scene, Target
from .scores import METRICS, Metric, check_metrics
from .submission import Submission, check_submission, check_submit, is_hdf5, submit

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
    "Submission",
    "Target",
    "Treatment",
    "as_pysaliency",
    "centre_biased",
    "centre_gaussian",
    "check_metrics",
    "check_plot",
    "check_submission",
    "check_submit",
    "evaluate",
    "from_pysaliency",
    "is_hdf5",
    "model",
    "plot_images",
    "plot_scores",
    "submit",
]
