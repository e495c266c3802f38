"""The 1998 model's winner-take-all network of leaky integrate-and-fire neurons.

A neuron per sample of the saliency map, and one more for each in a winner-take-all layer above. The
first to fire there is the attended location: an inhibitory neuron then silences the layer, the
location is inhibited in the saliency map, and the race starts anew (P98, section II.C; IK00).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from . import checks
from .inhibition import Inhibition, of_network


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
LEAST_CONDUCTANCE = 1e-9  # S, where facilitation would exceed the leak
REFRACTORY = 1e-3  # s after a winner in which there is no other

LAYER_LEAK = LAYER_NEURONS.leak / LAYER_NEURONS.capacitance  # per second
LAYER_GAIN = SYNAPSE / LAYER_NEURONS.leak  # V in the layer per V in the saliency map, in the end
LONGEST = 600  # steps at a time: inhibition is taken to be constant meanwhile
AT_ONCE = 2000  # potentials of the layer that are computed together
MARGIN = 2  # steps by which a winner may come later than inhibition constant over LONGEST has it


class Winner(NamedTuple):
    """A neuron that fired."""

    time: float  # s since the network was made or reset
    row: int
    column: int


class WinnerTakeAll:
    """The network, stepped: its state goes on from map to map.

    Every potential follows the exponential Euler scheme in steps of `time_step`. Between two
    winners conductances change slowly, so that many steps are one power: the network is advanced
    by up to 60 ms at once, and the step at which a neuron fires is found exactly. A lone peak wins
    after 61 ms, again after 3.3 s, when enough of its inhibition has decayed, then every 0.55 s.

    Parameters
    ----------
    shape : (int, int)
        Of the saliency map.
    inhibition : {"gauss", "disc"} or callable (row, column) -> (array, index)
        What is inhibited around a winner. `gauss`: a Gaussian of 0.3 radii, with facilitation of
        what is near beyond (P98). `disc`: all within the radius. A callable gives strengths, 1 for
        the full one, below 0 to facilitate, and the part of the map that they are for.
    radius : float or (float, float), optional
        Of attention, in samples, or by axis; a sixth of the shorter side by default.
    time_step : float
        Seconds, at most 0.001.

    Raises
    ------
    TypeError, ValueError
        Another name of inhibition, or a value that is no number or out of its range.

    Attributes
    ----------
    time : float
        Seconds since the network was made or reset.

    Examples
    --------
    >>> saliency = np.zeros((30, 40))
    >>> saliency[10, 20], saliency[20, 5] = 8, 6
    >>> network = WinnerTakeAll(saliency.shape, "disc")
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
        inhibition: str | Inhibition = "gauss",
        *,
        radius: float | tuple[float, float] | None = None,
        time_step: float = TIME_STEP,
    ) -> None:
        rows, columns = (checks.whole("shape", n) for n in shape)
        self.shape = rows, columns
        if isinstance(inhibition, str):
            radii = np.broadcast_to(min(self.shape) / 6 if radius is None else radius, 2).tolist()
            y, x = (checks.within("radius", r, 0, math.inf, above=True) for r in radii)
            inhibition = of_network(inhibition, self.shape, (y, x))
        self._inhibition = inhibition
        self._step = checks.within("time_step", time_step, 0, REFRACTORY, above=True)
        self._delay = _firing_delay(self._step)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as at a cut."""
        size = self.shape[0] * self.shape[1]
        self._potential = np.zeros(size)  # V, of the saliency map's neurons
        self._inhibited = np.zeros(size)  # S, of the same
        self._layer = np.zeros(size)  # V, of the winner-take-all layer
        self._silent = 1  # steps to the end of the layer's global inhibition; one at the start
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
        TypeError, ValueError
            Not a map, one of another shape, values that are negative or not finite, or an option
            out of its range.
        """
        saliency = checks.saliency(saliency)
        seconds = checks.within("seconds", seconds, 0, math.inf)
        most = None if most is None else checks.whole("most", most)
        if saliency.shape != self.shape:
            raise ValueError(
                f"map has shape {saliency.shape}; this network is for {self.shape}. Make another"
            )
        current = (CURRENT * saliency + RESTING_CURRENT).ravel()
        self._until += seconds / self._step
        winners: list[Winner] = []
        while (left := math.floor(self._until + 1e-6) - self._steps) > 0:
            winner = self._race(current, min(left, LONGEST))
            if winner is not None:
                winners.append(winner)
                if len(winners) == most:
                    self._until = self._steps
        return winners

    def _race(self, current: np.ndarray, steps: int) -> Winner | None:
        """Up to so many steps, as far as the first winner."""
        target, rate = self._saliency_map(current, steps)
        if steps > self._silent:
            # Nobody wins later than any one neuron, such as that of the highest potential by then.
            leader = np.array([(self._potential + self._change(target, rate, steps)).argmax()])
            _, first = self._first(leader, target, rate, steps)
            steps = min(first + MARGIN, steps)
            if first <= self._refractory_until - self._steps:  # maps far above `PEAK_INPUT`
                steps = self._refractory_until - self._steps
            target, rate = self._saliency_map(current, steps)
            highest = self._potential + np.maximum(self._change(target, rate, steps), 0)
            bound = self._layer_under(highest, steps)
            able = np.flatnonzero(bound >= LAYER_NEURONS.threshold)
            winners, first = self._first(able, target, rate, steps)
            if winners.size and self._steps + first > self._refractory_until:
                self._advance(*self._saliency_map(current, first), first)
                return self._win(int(winners[0]))  # of several, the first in reading order
        if steps >= self._silent:
            layer = self._layer_after(slice(None), target, rate, steps)
            self._layer = np.where(layer < LAYER_NEURONS.threshold, layer, 0)
        self._silent = max(self._silent - steps, 0)
        self._advance(target, rate, steps)
        return None

    def _win(self, place: int) -> Winner:
        """Inhibit the place of a neuron that fires now, and soon after the whole layer."""
        row, column = divmod(place, self.shape[1])
        strengths, part = self._inhibition(row, column)
        strength = INHIBITION * self._potential[place]
        self._inhibited.reshape(self.shape)[part] += strength * strengths
        self._refractory_until = self._steps + round(REFRACTORY / self._step)
        self._silent = self._delay
        return Winner(self.time, row, column)

    # --- the saliency map's neurons ---------------------------------------------------------

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
        kept = np.exp((rate * -steps).astype(np.float32))
        self._potential = target + (self._potential - target) * kept
        self._inhibited *= math.exp(-steps * self._step / RECOVERY)
        self._steps += steps

    def _change(self, target: np.ndarray, rate: np.ndarray, steps: int) -> np.ndarray:
        """What potentials change by in so many steps, at most: 1 - exp(-x) is at most x, and 1."""
        change = np.minimum(rate * steps, 1)
        change *= target - self._potential
        return change

    # --- the winner-take-all layer ----------------------------------------------------------

    def _first(
        self, able: np.ndarray, target: np.ndarray, rate: np.ndarray, steps: int
    ) -> tuple[np.ndarray, int]:
        """Who of them fires first, none if nobody does, and after how many steps."""
        low, high, stride = self._silent, steps, 0
        while able.size and stride != 1:
            stride = min(math.ceil((high - low) * able.size / AT_ONCE), (high - low + 1) // 2)
            tried = np.append(np.arange(low + stride, high, stride), high)
            fires = self._layer_after(able, target, rate, tried[:, None]) >= LAYER_NEURONS.threshold
            if not fires.any():
                return able[:0], steps
            at = int(fires.any(1).argmax())
            low, high = int(tried[at - 1]) if at else low, int(tried[at])
            able = able[fires[at]]
        return able, high

    def _layer_under(self, potential: np.ndarray, steps: int) -> np.ndarray:
        """The layer after so many steps, were the saliency map at these potentials all along."""
        start = _silenced(potential) if self._silent else self._layer
        decay = math.exp((self._silent - steps) * LAYER_LEAK * self._step)
        return start * decay + potential * ((1 - decay) * LAYER_GAIN)

    def _layer_after(
        self, which: Any, target: np.ndarray, rate: np.ndarray, steps: int | np.ndarray
    ) -> np.ndarray:
        """Potentials in the layer after so many steps, of some neurons; a row per number of steps.

        V <- d V + (1 - d) (synapse / leak) U at each step, U = target + (U_0 - target) r^k: two
        geometric series.
        """
        target, rate = target[which], rate[which]
        apart = self._potential[which] - target
        start = self._layer[which]
        if self._silent:
            apart = apart * np.exp(rate * -self._silent)
            start = _silenced(target + apart)
            steps = steps - self._silent
        decay, power = (np.exp(-k * LAYER_LEAK * self._step) for k in (1, steps))
        gap = np.exp(-rate) - decay
        gap = np.where(np.abs(gap) < 1e-8, 1e-8, gap)  # the series' limit
        end = LAYER_GAIN * target
        apart *= LAYER_GAIN * (1 - decay) * (decay + gap) / gap
        layer = end + (start - end) * power + apart * (np.exp(rate * -steps) - power)
        return np.maximum(layer, LAYER_NEURONS.inhibitory_reversal)


def _silenced(potential: np.ndarray) -> np.ndarray:
    """The layer after its global inhibition: one step is enough, since G dt / C is 1000."""
    inhibition = GLOBAL_INHIBITION * LAYER_NEURONS.inhibitory_reversal
    conductance = LAYER_NEURONS.leak + GLOBAL_INHIBITION
    return (SYNAPSE * potential + inhibition) / conductance


def _firing_delay(time_step: float) -> int:
    """Steps from a winner to the layer's inhibition, by the inhibitory neuron that it excites."""
    neuron = INHIBITORY_NEURON
    conductance = neuron.leak + EXCITATION
    target = EXCITATION * neuron.excitatory_reversal / conductance
    firing = -math.log1p(-neuron.threshold / target) * neuron.capacitance / conductance
    return math.ceil(firing / time_step)
