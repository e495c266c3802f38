"""Against the saliency that OpenCV ships: other models, so time is all that compares."""

from __future__ import annotations

import cv2
import numpy as np

import ittisal

from .answers import check
from .frames import photograph
from .fresh import make_model
from .settings import settings, shape_of


class OpenCV:
    """Frame to a map of the frame's size, which is what the peers return; one thread each.

    In the loop: all four. Spectral residual works at 64x64 whatever the frame, its default.
    """

    param_names = ("size",)
    params = (settings.sizes,)
    ratios = (
        ("residual / full size", "time_spectral_residual", "time_ittisal_full_size"),
        ("fine-grained / full size", "time_fine_grained", "time_ittisal_full_size"),
    )

    def setup(self, size: str) -> None:
        """Make frame, model and peers; check the map, and that the peers return one."""
        if not hasattr(cv2, "saliency"):
            raise NotImplementedError("cv2.saliency needs opencv-contrib-python")
        cv2.setNumThreads(1)
        self.frame = photograph(size)
        self.model = make_model(size)
        self.raw = np.empty(self.model.map_shape, np.float32)
        self.full = np.empty(shape_of(size), np.float32)
        self.spectral_residual = cv2.saliency.StaticSaliencySpectralResidual_create()
        self.fine_grained = cv2.saliency.StaticSaliencyFineGrained_create()
        check(self.model(self.frame), size)
        for peer in (self.spectral_residual, self.fine_grained):
            good, peer_map = peer.computeSaliency(self.frame)
            if not good or peer_map.shape != self.full.shape:
                raise RuntimeError(f"{type(peer).__name__} failed at {size}")

    def teardown(self, *params: object) -> None:
        """Stop the model's threads."""
        self.model.close()

    def time_ittisal(self, *params: object) -> None:
        """One frame to its raw map, a sixteenth of the size."""
        self.model(self.frame, self.raw)

    def time_ittisal_full_size(self, *params: object) -> None:
        """The same, scaled to [0, 1] and upsampled to the frame's size."""
        self.model(self.frame, self.raw)
        peak = self.raw.max()
        if peak > 0:
            self.raw /= peak
        ittisal.upsample(self.raw, self.full.shape, self.model.config, self.full)

    def time_spectral_residual(self, *params: object) -> None:
        """Hou & Zhang (2007) as OpenCV has it."""
        self.spectral_residual.computeSaliency(self.frame)

    def time_fine_grained(self, *params: object) -> None:
        """Montabone & Soto (2010) as OpenCV has it."""
        self.fine_grained.computeSaliency(self.frame)
