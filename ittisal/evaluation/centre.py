"""The centre bias of people who look at photographs, without a look at the photographs."""

from __future__ import annotations

import numpy as np

SIGMA = 0.25  # of each side
FLOOR = 0.3  # of the weight that `centre_biased` leaves in the corners


def centre_gaussian(shape: tuple[int, int]) -> np.ndarray:
    """A Gaussian in the middle of the image, as wide against its height as the image.

    exp(-((x - W/2) / (W/4))^2 / 2 - ((y - H/2) / (H/4))^2 / 2), at pixel centres.

    Parameters
    ----------
    shape : (int, int)
        (H, W).

    Returns
    -------
    float32 ndarray of shape (H, W)
        At most 1.

    Examples
    --------
    >>> centre_gaussian((1, 3)).round(3)
    array([[0.411, 1.   , 0.411]], dtype=float32)
    """
    rows, columns = (
        np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) / SIGMA) ** 2).astype(np.float32)
        for n in shape
    )
    return rows[:, None] * columns


def centre_biased(saliency: np.ndarray) -> np.ndarray:
    """A map times (0.3 + the centre Gaussian): float32 of the map's shape.

    Examples
    --------
    >>> import numpy as np
    >>> centre_biased(np.ones((1, 3), np.float32)).round(3)
    array([[0.711, 1.3  , 0.711]], dtype=float32)
    """
    height, width = saliency.shape
    return saliency * (np.float32(FLOOR) + centre_gaussian((height, width)))
