"""Writes maps.npz: what the reference gives today for two photographs, to notice change by.

Run `python tests/golden/make.py` after a change of the model that is meant, look at how far the
maps moved (it prints that), and commit both. Also names the cases for test_golden.py.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage.data

from ittisal import INVT, ITTI_1998, reference

PATH = Path(__file__).with_name("maps.npz")
KEPT = ("conspicuity/intensity", "conspicuity/colour", "conspicuity/orientation", "saliency")

CONFIGS = {
    "itti1998": ITTI_1998,
    "invt": INVT,
    "split": replace(ITTI_1998, split_cs=True),
    "walther": replace(ITTI_1998, opponency="walther", hue_reference="fixed"),
    "linear": replace(ITTI_1998, linear=True),
    "even": replace(ITTI_1998, phase="even", orientation_pyramid="laplacian"),
    "iterative": replace(ITTI_1998, normalisation="iterative", normalise_opponents=True),
    "none": replace(ITTI_1998, normalisation="none", border_attenuation=False),
    "weighted": replace(ITTI_1998, feature_weights={"red_green": 3, "orientation_90": 0}),
    "before": replace(ITTI_1998, normalise_before_reduction=True),
}


def photographs() -> dict[str, np.ndarray]:
    """Two photographs that come with scikit-image: colour of odd size, grey of even size."""
    return {
        "chelsea": np.ascontiguousarray(skimage.data.chelsea()),  # 451x300
        "camera": np.ascontiguousarray(skimage.data.camera()[::2, ::2]),  # 256x256
    }


def checksum(photograph: np.ndarray) -> int:
    """To notice that another scikit-image ships another photograph."""
    return zlib.crc32(photograph.tobytes())


def maps() -> dict[str, np.ndarray]:
    """Every golden array by its name, `PHOTOGRAPH/CONFIG/TRACE NAME`."""
    arrays = {}
    for name, photograph in photographs().items():
        arrays[f"{name}/checksum"] = np.array(checksum(photograph))
        for reading, config in CONFIGS.items():
            trace = reference.trace(photograph, config)
            for kept in KEPT:
                if kept in trace:
                    arrays[f"{name}/{reading}/{kept}"] = trace[kept].astype(np.float32)
    return arrays


def main() -> None:
    """Write the file and say what moved."""
    old = dict(np.load(PATH)) if PATH.exists() else {}
    new = maps()
    for name, x in new.items():
        if name in old and old[name].shape == x.shape and x.max() > 0:
            print(f"{name}: moved by {np.abs(x - old[name]).max() / x.max():.2g} of the maximum")
    np.savez_compressed(PATH, **new)
    print(f"{PATH}: {len(new)} arrays, {PATH.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
