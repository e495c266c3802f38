"""From a saliency map to a probability density of fixations: fitted, and apart from the model.

The map of Itti, Koch & Niebur says what stands out; it does not say how likely each pixel is to be
looked at, and scores such as information gain, CC and KL punish that. A `Readout` makes a density
of a raw map by four numbers fitted on human fixations: a blur, a power, and the width and height of
a centre bias. It is never applied by itself.

    density = np.exp(readout.load("itti1998").log_density(model(image), image.shape[:2]))

Those that ship are in `readouts.json`, by preset. `ittisal readout DATASET --preset NAME` fits
one, with cross-validated scores; `observe`, `fit` and `cross_validated` are its parts.
"""

from .crossvalidation import CrossValidation, cross_validated
from .density import Readout
from .fitting import Observations, fit, observe
from .table import load, names, updated

__all__ = [
    "CrossValidation",
    "Observations",
    "Readout",
    "cross_validated",
    "fit",
    "load",
    "names",
    "observe",
    "updated",
]
