"""The 1998 model's winner-take-all network of leaky integrate-and-fire neurons.

A neuron per sample of the saliency map, and one more for each in a winner-take-all layer above. The
first to fire there is the attended location: an inhibitory neuron then silences the layer, the
location is inhibited in the saliency map, and the race starts anew (P98, section II.C; IK00).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .inhibition import Inhibition


class Neurons(NamedTuple):
    """Constants of a population of neurons: C dV/dt = I - g_leak V - g_exc (V - E_exc) - ..."""

    capacitance: float  # F
    leak: float  # S
    excitatory_reversal: float  # V
    inhibitory_reversal: float  # V; V never falls below
    threshold: float  # V; above it the neuron fires


SALIENCY_NEURONS = Neurons(5e-8, 1e-7, 0.0, 0.0, math.inf)  # they do not fire
LAYER_NEURONS = Neurons(1e-9, 1e-8, 0.1, -0.02, 1e-3)  # of the winner-take-all layer
INHIBITORY_NEURON = LAYER_NEURONS

TIME_STEP = 1e-4  # s
PEAK_INPUT = 8.0  # saliency of the highest place, where maps are scaled
CURRENT = 1e-9  # A per unit of saliency, into the saliency map's neurons
RESTING_CURRENT = 1e-14  # A
SYNAPSE = 5e-8  # A into the layer per V of the saliency map
EXCITATION = 10 * INHIBITORY_NEURON.leak  # S, of the inhibitory neuron once there is a winner
GLOBAL_INHIBITION = 1e-2  # S, of the whole layer for one step
INHIBITION = 0.1  # S at the winner's place per V of its neuron in the saliency map
RECOVERY = 1e-4 / -math.log(0.9999)  # s: time constant with which that conductance decays
LEAST_CONDUCTANCE = 1e-10  # S, where facilitation would exceed the leak
REFRACTORY = 1e-3  # s after a winner in which there is no other

LAYER_LEAK = LAYER_NEURONS.leak / LAYER_NEURONS.capacitance  # per second
LAYER_GAIN = SYNAPSE / LAYER_NEURONS.leak  # V in the layer per V in the saliency map, in the end
LONGEST = 250  # steps at a time: inhibition is taken to be constant meanwhile


class Winner(NamedTuple):
    """A neuron that fired."""

    time: float  # s since the network was made or reset
    row: int
    column: int


class WinnerTakeAll:
    """The network, stepped: its state goes on from map to map.

    Every potential follows the exponential Euler scheme in steps of `time_step`. Between two
    winners conductances change slowly, so that many steps are one power: the network is advanced
    by up to 25 ms at once, and the step at which a neuron fires is found exactly.

    Parameters
    ----------
    shape : (int, int)
        Of the saliency map.
    inhibition : callable (row, column) -> (array, index)
        How strongly places are inhibited after a winner, and the part of the map that they are: 1
        is the full strength, below 0 facilitates. `attention.inhibition` makes some.
    time_step : float
        Seconds.

    Attributes
    ----------
    time : float
        Seconds since the network was made or reset.

    Examples
    --------
    >>> from ittisal.attention import inhibition
    >>> saliency = np.zeros((30, 40))
    >>> saliency[10, 20], saliency[20, 5] = 8, 6
    >>> network = WinnerTakeAll(saliency.shape, inhibition.disc(saliency.shape, (5, 5)))
    >>> [(round(w.time, 3), w.row, w.column) for w in network.step(saliency, 0.2)[:2]]
    [(0.061, 10, 20), (0.1, 20, 5)]

    References
    ----------
    Constants: Itti, Koch & Niebur (1998) as in the authors' iNVT and in Walther & Koch's
    SaliencyToolbox.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        inhibition: Inhibition,
        *,
        time_step: float = TIME_STEP,
    ) -> None:
        self.shape = shape
        self._inhibition = inhibition
        self._step = time_step
        self._delay = _firing_delay(time_step)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as at a cut."""
        size = self.shape[0] * self.shape[1]
        self._potential = np.zeros(size)  # V, of the saliency map's neurons
        self._inhibited = np.zeros(size)  # S, of the same
        self._layer = np.zeros(size)  # V, of the winner-take-all layer
        self._steps = 0
        self._until = 0.0  # steps to be made so far, with a fraction
        self._refractory_until = 0

    @property
    def time(self) -> float:
        """Seconds since the network was made or reset."""
        return self._steps * self._step

    def step(
        self, saliency: np.ndarray, seconds: float, *, most: int | None = None
    ) -> list[Winner]:
        """Advance the network while a saliency map lasts.

        Parameters
        ----------
        saliency : array of `shape`
            Not negative. The network is made for peaks of about 8 (`PEAK_INPUT`).
        seconds : float
            How long; fractions of a time step are carried over.
        most : int, optional
            Stop after so many winners.

        Returns
        -------
        list of Winner
            In order.

        Raises
        ------
        ValueError
            A map of another shape.
        """
        if saliency.shape != self.shape:
            raise ValueError(
                f"map has shape {saliency.shape}; this network is for {self.shape}. Make another"
            )
        current = (CURRENT * saliency + RESTING_CURRENT).ravel()
        self._until += seconds / self._step
        winners: list[Winner] = []
        while (left := math.floor(self._until + 1e-6) - self._steps) > 0:
            if not self._steps:  # the layer is inhibited in the first step
                self._advance(*self._saliency_map(current, 1), 1)
                self._silence()
                continue
            winner = self._race(current, min(left, LONGEST))
            if winner is not None:
                winners.append(winner)
                if len(winners) == most:
                    self._until = self._steps
        return winners

    def _race(self, current: np.ndarray, steps: int) -> Winner | None:
        """Up to so many steps, as far as the first winner and the global inhibition it brings."""
        refractory = self._refractory_until - self._steps
        if refractory > 0:
            steps = min(steps, refractory)
        target, rate = self._saliency_map(current, steps)
        # Nobody's potential exceeds this meanwhile: 1 - exp(-x) is at most x, and at most 1.
        gain = np.minimum(rate * steps, 1)
        gain *= np.maximum(target - self._potential, 0)
        gain += self._potential
        decay = math.exp(-steps * LAYER_LEAK * self._step)
        bound = self._layer * decay + gain * ((1 - decay) * LAYER_GAIN)
        able = np.flatnonzero(bound >= LAYER_NEURONS.threshold)
        able, high = self._first(able, target, rate, steps)
        if not able.size or refractory > 0:
            layer = self._layer_after(slice(None), target, rate, steps)
            self._layer = np.where(layer < LAYER_NEURONS.threshold, layer, 0)
            self._advance(target, rate, steps)
            return None
        place = int(able[0])  # of several, the first in reading order
        row, column = divmod(place, self.shape[1])
        self._advance(*self._saliency_map(current, high), high)
        winner = Winner(self.time, row, column)
        self._refractory_until = self._steps + round(REFRACTORY / self._step)
        strength = INHIBITION * self._potential[place]
        strengths, part = self._inhibition(row, column)
        self._inhibited.reshape(self.shape)[part] += strength * strengths
        # The inhibitory neuron fires a little later.
        self._advance(*self._saliency_map(current, self._delay), self._delay)
        self._silence()
        return winner

    def _silence(self) -> None:
        """Global inhibition of the layer, so strong that one step is enough: G dt / C is 1000."""
        inhibition = GLOBAL_INHIBITION * LAYER_NEURONS.inhibitory_reversal
        conductance = LAYER_NEURONS.leak + GLOBAL_INHIBITION
        self._layer = (SYNAPSE * self._potential + inhibition) / conductance

    def _saliency_map(self, current: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Where its potentials go, and their rate per step, with conductances of half-way."""
        half_way = math.exp(-(steps - 1) / 2 * self._step / RECOVERY)
        conductance = self._inhibited * half_way
        conductance += SALIENCY_NEURONS.leak
        np.maximum(conductance, LEAST_CONDUCTANCE, out=conductance)
        target = current / conductance
        conductance *= self._step / SALIENCY_NEURONS.capacitance
        return target, conductance

    def _advance(self, target: np.ndarray, rate: np.ndarray, steps: int) -> None:
        """The saliency map as it is so many steps later."""
        self._potential = target + (self._potential - target) * np.exp(rate * -steps)
        self._inhibited *= math.exp(-steps * self._step / RECOVERY)
        self._steps += steps

    def _first(
        self, able: np.ndarray, target: np.ndarray, rate: np.ndarray, steps: int
    ) -> tuple[np.ndarray, int]:
        """Who of them fires first, none if nobody does, and after how many steps."""
        threshold = LAYER_NEURONS.threshold
        low, below = 0, LAYER_NEURONS.inhibitory_reversal  # the highest potential by then
        high, middle = steps + 1, steps
        while able.size and high - low > 1:
            layer = self._layer_after(able, target, rate, middle)
            highest = layer.max()
            if highest >= threshold:
                able, high, above = able[layer >= threshold], middle, highest
            elif high > steps:
                return able[:0], steps
            else:
                low, below = middle, highest
            # The potentials rise almost evenly.
            part = (threshold - below) / (above - below)
            middle = min(max(low + int(part * (high - low)), low + 1), high - 1)
        return able, high

    def _layer_after(
        self, which: Any, target: np.ndarray, rate: np.ndarray, steps: int
    ) -> np.ndarray:
        """Potentials in the layer after so many steps, of some neurons.

        V <- d V + (1 - d) (synapse / leak) U at each step, U = target + (U_0 - target) r^k: two
        geometric series.
        """
        decay, power = (math.exp(-k * LAYER_LEAK * self._step) for k in (1, steps))
        target, rate = target[which], rate[which]
        apart = np.exp(-rate) - decay
        apart = np.where(np.abs(apart) < 1e-8, 1e-8, apart)  # the sum's limit
        series = (1 - decay) * (decay + apart) * (np.exp(-rate * steps) - power) / apart
        layer = LAYER_GAIN * (target * (1 - power) + (self._potential[which] - target) * series)
        layer += self._layer[which] * power
        return np.maximum(layer, LAYER_NEURONS.inhibitory_reversal)


def _firing_delay(time_step: float) -> int:
    """Steps from a winner to the layer's inhibition, by the inhibitory neuron that it excites."""
    neuron = INHIBITORY_NEURON
    conductance = neuron.leak + EXCITATION
    target = EXCITATION * neuron.excitatory_reversal / conductance
    firing = -math.log1p(-neuron.threshold / target) * neuron.capacitance / conductance
    return math.ceil(firing / time_step)
