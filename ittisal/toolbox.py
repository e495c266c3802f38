"""The SaliencyToolbox (Walther & Koch 2006) as a reading of the model, and where it differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .config import Config, HueReference, Normalisation, Opponency, Phase
from .features import Model
from .gabor import REACH, Gabor
from .plan import HUE_TOLERANCE, PROGRAM_TOPS, Plan, Step, attenuation

READING = Config(
    opponency=Opponency.WALTHER,
    hue_reference=HueReference.FIXED,
    hue_threshold=0.1 / HUE_TOLERANCE**2,  # a pixel at exactly a tenth has a hue
    phase=Phase.EVEN,
    normalisation=Normalisation.ITERATIVE,
    normalise_opponents=True,
    normalise_saliency=True,
)
MEANS = {2: (0.5, 0.5), 3: (0.25, 0.5, 0.25)}  # of sides of so many samples, which become one


class ToolboxPlan(Plan):
    """A plan with the program's own filters and sizes."""

    # Seven taps that sum to 33, in the middle of nine.
    pyramid_taps = np.array([0, 1, 1, 5, 10, 10, 5, 1, 0]) / 33
    luma = (0.298936, 0.587043, 0.114021)  # MATLAB's rgb2gray
    gabor = Gabor(period=7.0, deviation=2.3333)
    nearest = True

    @property
    def channels_last(self) -> bool:
        """The caller's channels join the final map."""
        return True

    def channel_scale(self, *, colour: bool, past: bool) -> float:
        """What 1 in a caller's map of weight 1 adds to it."""
        return PROGRAM_TOPS[Model.TOOLBOX] * self.config.unit_weight(colour=colour, past=past)

    def step_weights(self, step: Step) -> tuple[np.ndarray, ...]:
        """Sides of two and three samples become their mean, once a level has one."""
        weights = super().step_weights(step)
        shape = self.level_shape(step.level)
        if min(shape) in MEANS:
            for each, n in zip(weights, shape, strict=True):
                if n in MEANS:
                    start = len(step.taps) // 2
                    each[:] = 0
                    each[0, start : start + n] = MEANS[n]
        return weights

    def orientation_filters(self, level: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """For rows, 1 and the factor of the energies; for columns, that of those at the border,
        and 1.

        The code divides the first and last four rows by what is left of the filter's sum there,
        and multiplies them by the sum, which is 0; their first and last four samples escape.
        """
        rows, columns = (np.ones((2, n)) for n in self.level_shape(level))
        if rows.shape[1] >= REACH:
            rows[1, :REACH] = rows[1, -REACH:] = 0
        columns[0, REACH : max(columns.shape[1] - REACH, 0)] = 0
        return (rows[0], rows[1]), (columns[0], columns[1])

    def map_fade(self, *, always: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """A twentieth of the longer side, rounded."""
        shape = self.map_shape
        return attenuation(shape, int(max(shape) / 20 + 0.5))


def toolbox_plan(plan: Plan) -> ToolboxPlan:
    """The plan of a backend for one whose config names the program."""
    return ToolboxPlan(plan.shape, replace(READING, weights=plan.config.weights))
