"""Both backends against maps that the reference gave when they were last looked at."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from conftest import model
from tolerances import within

from ittisal import backends
from ittisal.config import PeakMean

FOLDER = Path(__file__).parent / "golden"
_spec = importlib.util.spec_from_file_location("golden_make", FOLDER / "make.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

PHOTOGRAPHS = make.photographs()
with np.load(make.PATH) as _file:
    MAPS = dict(_file)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_photographs_are_the_same(name):
    assert make.checksum(PHOTOGRAPHS[name]) == MAPS[f"{name}/checksum"], (
        "this scikit-image ships another photograph: run tests/golden/make.py"
    )


def test_the_file_holds_every_case_and_is_small():
    wanted = {f"{name}/checksum" for name in PHOTOGRAPHS}
    for name, photograph in PHOTOGRAPHS.items():
        for kept in make.KEPT:
            if photograph.ndim == 3 or "colour" not in kept:
                wanted |= {f"{name}/{reading}/{kept}" for reading in make.CONFIGS}
    assert set(MAPS) == wanted
    assert make.PATH.stat().st_size < 200_000
    assert all(x.max() > 0 for x in MAPS.values())


@pytest.mark.parametrize("reading", make.CONFIGS)
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_golden(backend, name, reading):
    photograph, config = PHOTOGRAPHS[name], make.CONFIGS[reading]
    try:
        backends.choose(backend, config)
    except backends.BackendError as lacks:
        assert backend != "reference" and reading == "before", lacks
        pytest.skip(str(lacks))
    trace = model(backend, photograph.shape[:2], config).trace(photograph)
    plateaus = config.peak_mean is PeakMean.ALL
    tolerance = (
        "golden" if backend == "reference" else "float32_plateaus" if plateaus else "float32"
    )
    for kept in make.KEPT:
        golden = MAPS.get(f"{name}/{reading}/{kept}")
        if golden is not None:
            within(tolerance, trace[kept], golden)
    assert photograph.ndim == 3 or "conspicuity/colour" not in trace
