"""From a saliency map to a probability density of fixations.

The map of Itti, Koch & Niebur says what stands out; it does not say how likely each pixel is to be
fixated, and scores such as information gain, CC and KL punish that. A `Readout` makes a density of
a raw map by numbers fitted on human fixations: a blur, a power, the width and height of a centre
bias, and, where faces are looked for, the power of their gain. Nothing applies it unless asked.

    density = np.exp(readout.load("itti1998").log_density(model(image), image.shape[:2]))

    faces = FaceDetector("yunet.onnx")
    fitted = readout.load("gaze faces")
    log_p = fitted.log_density(model(image), image.shape[:2], GAZE, faces(image))

Those that ship are in `evaluation/readouts.json`, by preset. `ittisal readout DATASET --preset
NAME` fits one, with cross-validated scores; `observe`, `fit` and `cross_validated` are its parts.
"""

from .evaluation.fitting import CrossValidation, Observations, cross_validated, fit, observe
from .evaluation.readout import SHIPPED, Readout, load, names, updated

__all__ = [
    "SHIPPED",
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
