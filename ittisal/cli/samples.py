"""The photographs that scikit-image carries in its wheel: no download, no pooch."""

from __future__ import annotations

import numpy as np

from .errors import UsageError

# Each is in `skimage/data` of every release from 0.22. The rocket comes first because all three
# channels have something different to say: the lit hull, the orange lamps, the star bursts.
PHOTOGRAPHS = ("rocket", "chelsea", "coffee", "astronaut", "camera")


def photograph(name: str) -> np.ndarray:
    """A bundled photograph, in BGR or grey.

    Raises
    ------
    UsageError
        No such photograph, or scikit-image is not installed.
    """
    if name not in PHOTOGRAPHS:
        raise UsageError(
            f"no photograph {name!r}; there are {', '.join(PHOTOGRAPHS)}, or give an image file"
        )
    try:
        from skimage import data
    except ImportError:
        raise UsageError(
            "the photographs come with scikit-image, which is not installed; "
            "pip install scikit-image"
        ) from None
    image = getattr(data, name)()
    return np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image)
