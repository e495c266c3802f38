"""Wall-clock timing of contenders that take turns, so that the machine's moods hit all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_ROUNDS = 5000
NOISY = 1.3  # median over minimum beyond which a figure deserves a warning


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one contender over all rounds."""

    minimum: float
    median: float
    rounds: int

    @property
    def spread(self) -> float:
        """Median over minimum: 1 on a silent machine."""
        return self.median / self.minimum


def interleave(
    contenders: dict[str, Callable[[], object]], seconds: float, min_rounds: int = 5
) -> dict[str, Timing]:
    """Call all contenders round-robin for `seconds`, the first one moving on by one each round.

    Two rounds go untimed. At least `min_rounds` are timed, however long they take.
    """
    names = list(contenders)
    for name in names * 2:
        contenders[name]()
    taken: dict[str, list[float]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        for turn in range(MAX_ROUNDS):
            if turn >= min_rounds and time.perf_counter() > end:
                break
            for i in range(len(names)):
                name = names[(turn + i) % len(names)]
                call = contenders[name]
                start = time.perf_counter()
                call()
                taken[name].append((time.perf_counter() - start) * 1e3)
    finally:
        if collecting:
            gc.enable()
    return {
        name: Timing(min(each), statistics.median(each), len(each)) for name, each in taken.items()
    }
