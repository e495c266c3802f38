"""How near float32 comes to the float64 reference, photograph by photograph."""

from __future__ import annotations

import numpy as np

from .answers import agreement
from .frames import PHOTOGRAPHS, photograph
from .fresh import make_model
from .settings import SIZES, settings

UNEVEN = ("333x251", "641x479")  # sizes that no power of two divides
NORMALISED = ("centre_surround/", "feature/orientation_", "conspicuity/")  # what N is applied to


class Float32:
    """The raw map: largest difference over the reference's maximum, and correlation.

    N counts local maxima, and rounding decides whether two equal neighbours, or a value at a
    tenth of the range, count. `flips` are the maxima that one of the two sees and the other does
    not, over all maps that N is applied to; the gate on the difference is for frames with none.
    """

    param_names = ("size", "photograph")
    params = (
        settings.sizes + (UNEVEN if settings.sizes == SIZES else ()),
        tuple(PHOTOGRAPHS)[: 1 if settings.quick else None],
    )

    def setup(self, size: str, name: str) -> None:
        """Trace one photograph with both."""
        frame = photograph(size, name)
        with make_model(size) as model:
            fast = model.trace(frame)
            self.found = agreement(model(frame), fast["saliency"])
            if self.found.difference > 1e-6:
                raise RuntimeError(f"trace and call differ by {self.found.difference:g}")
        fast = _kept(fast)
        with make_model(size, backend="reference") as model:
            truth = _kept(model.trace(frame))
        self.found = agreement(fast["saliency"], truth["saliency"])
        common = fast.keys() & truth.keys() - {"saliency"}
        self.maps = len(common)
        self.flips = sum(int((maxima(fast[k]) != maxima(truth[k])).sum()) for k in common)

    def track_difference(self, *params: object) -> float:
        """Largest anywhere in the map."""
        return self.found.difference

    def track_difference_without_flips(self, *params: object) -> float | None:
        """The same, if no maximum flipped."""
        return None if self.flips else self.found.difference

    def track_r(self, *params: object) -> float:
        """Pearson's correlation of the two maps."""
        return self.found.r

    def track_flips(self, *params: object) -> float:
        """Local maxima that only one of the two counts."""
        return self.flips

    def track_maps(self, *params: object) -> float:
        """How many maps were searched for flips."""
        return self.maps

    track_difference.unit = track_difference_without_flips.unit = "of max"


def _kept(trace: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is compared, without the rest: at 4K a trace is large."""
    return {k: x for k, x in trace.items() if k == "saliency" or k.startswith(NORMALISED)}


def maxima(x: np.ndarray) -> np.ndarray:
    """Where N counts a local maximum: interior, no neighbour higher, a tenth of the range up."""
    inner = x[1:-1, 1:-1]
    high = inner >= x.min() + (x.max() - x.min()) / 10
    for neighbour in (x[:-2, 1:-1], x[2:, 1:-1], x[1:-1, :-2], x[1:-1, 2:]):
        high = high & (inner >= neighbour)
    return high
