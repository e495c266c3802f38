"""How quick is a frame: against one `cv2.pyrDown`, OpenCV with NumPy, and one thread."""

from __future__ import annotations

import time

import cv2
import numpy as np

from .answers import check
from .frames import photograph
from .fresh import make_model
from .handwritten import Handwritten, PlainHandwritten
from .settings import settings, shape_of


class _Loop:
    """One model, one frame, and the answer checked before anything is timed."""

    def setup(self, size: str, threads: int = 1) -> None:
        """Make frame and model, and check the map."""
        cv2.setNumThreads(1)
        self.frame = photograph(size)
        self.model = make_model(size, threads)
        self.out = np.empty(self.model.map_shape, np.float32)
        self.agreement = check(self.model(self.frame, self.out), size)

    def teardown(self, *params: object) -> None:
        """Stop the model's threads."""
        self.model.close()

    def time_ittisal(self, *params: object) -> None:
        """One frame to its raw map, the output array given."""
        self.model(self.frame, self.out)


class Frame(_Loop):
    """One frame to its raw map. In the loop: ittisal and one single-threaded `cv2.pyrDown`."""

    param_names = ("size", "threads")
    params = (settings.sizes, settings.threads)
    ratios = (("in pyrDowns", "time_ittisal", "time_pyrdown"),)

    def setup(self, size: str, threads: int = 1) -> None:
        """Also make what pyrDown writes to."""
        super().setup(size, threads)
        self.half = cv2.pyrDown(self.frame)

    def time_pyrdown(self, *params: object) -> None:
        """One `cv2.pyrDown` of the same BGR uint8 frame, the output array given."""
        cv2.pyrDown(self.frame, dst=self.half)

    def track_difference(self, *params: object) -> float:
        """Of the timed map from the reference's, over the reference's maximum."""
        return self.agreement.difference

    track_difference.unit = "of max"


class Threads(_Loop):
    """Several threads against one. In the loop: two models that differ in threads alone."""

    param_names = ("size", "threads")
    params = (settings.sizes, tuple(n for n in settings.threads if n > 1))
    ratios = (("of one thread", "time_ittisal", "time_one_thread"),)

    def setup(self, size: str, threads: int = 2) -> None:
        """Also make the model with one thread."""
        super().setup(size, threads)
        self.single = make_model(size, 1)

    def teardown(self, *params: object) -> None:
        """Stop both models' threads."""
        super().teardown()
        self.single.close()

    def time_one_thread(self, *params: object) -> None:
        """The same frame with one thread."""
        self.single(self.frame, self.out)


class AgainstHandwritten(_Loop):
    """Against OpenCV with NumPy, well tuned. In the loop: these two, one thread each."""

    param_names = ("size",)
    params = (settings.sizes,)
    ratios = (("times faster", "time_handwritten", "time_ittisal"),)
    contender = Handwritten

    def setup(self, size: str) -> None:
        """Also make the handwritten model, and check its map."""
        if settings.preset != "itti1998":
            raise NotImplementedError("the handwritten version is of itti1998")
        super().setup(size)
        self.handwritten = self.contender(shape_of(size))
        self.handwritten_agreement = check(self.handwritten(self.frame), size)

    def time_handwritten(self, *params: object) -> None:
        """The same frame by hand."""
        self.handwritten(self.frame)

    def track_handwritten_difference(self, *params: object) -> float:
        """Of the handwritten map from the reference's."""
        return self.handwritten_agreement.difference

    track_handwritten_difference.unit = "of max"


class AgainstPlain(AgainstHandwritten):
    """The same against the handwritten version before anyone tuned its colours."""

    contender = PlainHandwritten


class Stages(_Loop):
    """Where the time goes: the model's own clock, median over repeated frames."""

    param_names = ("size", "threads")
    params = (settings.sizes, settings.threads)

    time_ittisal = None

    def track_stages(self, *params: object) -> dict[str, float]:
        """Milliseconds by stage (asv would want one number; the runner here takes a dict)."""
        self.model.timings(self.frame)
        taken = []
        end = time.perf_counter() + settings.seconds / 2
        while not taken or (time.perf_counter() < end and len(taken) < 1000):
            taken.append(self.model.timings(self.frame))
        return {name: float(np.median([each[name] for each in taken])) for name in taken[0]}

    track_stages.unit = "ms"
