"""Fixtures that every test file may use."""

from __future__ import annotations

import gc
import signal
from functools import lru_cache
from importlib.util import find_spec

import host_kernels
import numpy as np
import pytest
import skimage.data
from host_device import HostDevice

from ittisal import ITTI_1998, Saliency, backends, datasets

BACKENDS = ("reference", "cpu", "cuda")

# A shell's background jobs ignore Ctrl-C, and so would the programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session):
    """What is loaded by now stays: the garbage collector need not look at it again and again."""
    gc.freeze()


def pytest_collection_modifyitems(items):
    """The example of `class_saliency` needs PyTorch."""
    if find_spec("torch") is None:
        for item in items:
            if item.name == "ittisal.gradients.class_saliency":
                item.add_marker(pytest.mark.skip(reason="PyTorch is not installed"))


def pytest_sessionfinish(session):
    """At its end Python looks at all of it, while modules are still whole."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    """A developer's settings do not change what the tests test."""
    monkeypatch.delenv("ITTISAL_BACKEND", raising=False)
    monkeypatch.delenv("ITTISAL_THREADS", raising=False)


@pytest.fixture
def gpu_on_host(monkeypatch):
    """The CUDA backend without a GPU: its own orchestration, its kernels built by g++."""
    if not host_kernels.HAS_COMPILER:
        pytest.skip(host_kernels.NO_COMPILER)
    monkeypatch.setattr("ittisal.cuda.probe", lambda: (True, "this host"))
    monkeypatch.setattr("ittisal.cuda.backend.Device", HostDevice)


@pytest.fixture(params=BACKENDS)
def any_backend(request):
    """The name of each backend in turn; one that cannot run here is skipped, saying why.

    Without a GPU `cuda` is run on the host.
    """
    usable, reason = backends.available()[request.param]
    if not usable and request.param == "cuda":
        request.getfixturevalue("gpu_on_host")
    elif not usable:
        pytest.skip(f"{request.param}: {reason}")
    return request.param


@pytest.fixture
def backend(any_backend):
    """The same; a file of tests may leave some out."""
    return any_backend


@lru_cache(maxsize=8)
def model(backend, shape, config=ITTI_1998, channel_order="rgb"):
    """A model of a named backend, kept for the next test that wants the same."""
    return Saliency(shape, config, backend=backend, channel_order=channel_order, threads=1)


@pytest.fixture
def raw_map(backend):
    """Frame -> raw map, by the backend under test."""

    def run(frame, config=ITTI_1998, channel_order="rgb"):
        return model(backend, frame.shape[:2], config, channel_order)(frame)

    return run


@pytest.fixture
def traced(backend):
    """Frame -> every intermediate that the backend under test makes, by name."""

    def run(frame, config=ITTI_1998):
        return model(backend, frame.shape[:2], config).trace(frame)

    return run


@pytest.fixture(scope="session")
def photo():
    """A colour photograph, uint8, big enough for all six pairs; not to be written to."""
    image = np.ascontiguousarray(skimage.data.coffee()[70:326, 150:470])
    image.flags.writeable = False
    return image


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a generated data set: six images of two sizes; not to be written to."""
    path = tmp_path_factory.mktemp("data") / "tiny"
    datasets.generated(path)
    return path


@pytest.fixture
def rng():
    """Seeded afresh for each test."""
    return np.random.default_rng(20260801)
