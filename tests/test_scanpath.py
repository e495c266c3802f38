"""Scanpaths, the winner-take-all network and proto-objects (section 8 of the design)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from stimuli import singleton_displays

import ittisal
from ittisal.attention import inhibition, network
from ittisal.attention.network import WinnerTakeAll

SHAPE = (512, 640)


def naive(saliency, inhibits, seconds, step=1e-4):
    """Section 8.3 step by step: (seconds, row, column) of each winner."""
    leak, current = 1e-7, saliency.ravel() * 1e-9 + 1e-14
    potential, inhibited, layer = np.zeros((3, saliency.size))
    global_inhibition, neuron, excitation = 1e-2, 0.0, 0.0
    winners, last = [], -math.inf
    for k in range(1, round(seconds / step) + 1):
        conductance = np.maximum(leak + inhibited, 1e-10)
        target = current / conductance
        potential = target + (potential - target) * np.exp(-conductance * step / 5e-8)
        inhibited *= 0.9999 ** (step / 1e-4)
        conductance = 1e-8 + global_inhibition
        target = (5e-8 * potential - 0.02 * global_inhibition) / conductance
        layer = target + (layer - target) * math.exp(-conductance * step / 1e-9)
        layer = np.maximum(layer, -0.02)
        global_inhibition = 0.0
        firing = np.flatnonzero(layer >= 1e-3)
        layer[firing] = 0
        if firing.size and k - last > round(1e-3 / step):
            row, column = divmod(int(firing[0]), saliency.shape[1])
            winners.append((k * step, row, column))
            last, excitation = k, 1e-7
            strengths, part = inhibits(row, column)
            inhibited.reshape(saliency.shape)[part] += 0.1 * potential[firing[0]] * strengths
        conductance = 1e-8 + excitation
        target = 0.1 * excitation / conductance
        neuron = target + (neuron - target) * math.exp(-conductance * step / 1e-9)
        if neuron >= 1e-3:
            neuron, excitation, global_inhibition = 0.0, 0.0, 1e-2
    return winners


def peaks(shape, *places, width=1.5):
    """Gaussian peaks: (row, column, height) each."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return sum(
        height * np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * width**2))
        for r, c, height in places
    )


@pytest.fixture(scope="module")
def raw(photo):
    """A photograph's map with a maximum of 8."""
    saliency = ittisal.Saliency(photo.shape[:2])(photo).astype(float)
    return saliency * (8 / saliency.max())
